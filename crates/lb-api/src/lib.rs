//! The words spoken on `/run/lbd.sock`: HTTP/1.1 with JSON bodies.
//!
//! Owns the request and answer types ([`types`]), the shape of an error ([`ApiError`]), the table of
//! routes ([`route`]), and the client: [`Client`] for async programs, [`BlockingClient`] for command lines. Unknown fields in
//! bodies are refused. Tested by round trips here and against lbd in its component tests.

mod certificates;
mod client;
mod error;
mod ha;
#[cfg(feature = "tls")]
mod https;
mod layer7;
mod persistence;
pub mod route;
mod transport;
mod types;
mod unit;
mod update;

pub use certificates::*;
pub use client::{BlockingClient, Client};
pub use error::{ApiError, ErrorCode, ProblemDetails};
pub use ha::*;
#[cfg(feature = "tls")]
pub use https::{Fingerprint, Trust};
pub use layer7::*;
pub use persistence::*;
pub use transport::{ClientError, Transport};
pub use types::*;
pub use unit::*;
pub use update::*;

/// Where lbd listens unless told otherwise. Mode 0660, group `lb`.
pub const SOCKET: &str = "/run/lbd.sock";
