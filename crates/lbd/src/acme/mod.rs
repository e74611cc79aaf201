//! Certificates that the unit obtains and renews by itself (ACME, RFC 8555; decision 30).
//!
//! [`when`] decides when one is ordered, as a function of what is known; [`order`] speaks with the ACME server, beside
//! the engine, and [`https`] carries what is said; [`account`] keeps the account's key, and what failed. The engine
//! alone says what runs: `engine/acme.rs`. Challenges are answered by HAProxy, which needs nothing told for an order.
//! Tested beside the code, and in `tests/it/acme.rs` with Pebble and a real HAProxy.

pub mod account;
mod https;
pub mod order;
pub mod when;

pub use order::{Failure, Job, Obtained, run};
