//! The parts of lbd, for its `main` and for tests that run it with a fake kernel.
//!
//! ```text
//!  HTTP on the socket --> api --Command--> engine <--Event::Probed-- probes
//!                                           |  one thread, one loop, one match
//!                              lb-store <---+---> lb-kernel
//!                                           |
//!                                        layer7 ---> lb-haproxy    a thread of its own
//! ```
#![forbid(unsafe_code)]

pub mod acme;
mod api;
pub mod certificates;
pub mod engine;
mod ha;
mod hot;
pub mod layer7;
pub mod logs;
pub mod ocsp;
mod peer;
mod probes;
mod serve;
mod shelf;
mod unit;

pub use ha::HaFile;
pub use hot::{ConnectionTable, KernelTable, NoTable};
pub use serve::{Settings, serve};
pub use unit::Unit;
