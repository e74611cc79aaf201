//! Two units become a pair, and then speak with each other: what both daemons' hands need, without the daemon.
//!
//! ```text
//!   pairing::Call --messages--> cable (serial) | wire frames (TCP) --> pairing::Wait + Offer (the code)
//!        |  SPAKE2, proofs, sealed cards                                   |
//!        +--> Paired { peer's certificate, heartbeat key } --> peer_file <-+
//!   afterwards: tls (both pinned to exactly the other's certificate) carrying wire::Message
//! ```
//!
//! - [`identity`]: this unit's key and certificate; [`peer_file`]: the other's, pinned.
//! - [`pairing`], [`cable`]: sans-io; time and randomness are arguments. Arbitrary bytes never panic, what is kept is
//!   bounded, wrong tries are counted.
//! - [`tls`], [`wire`]: the channel of a pair. Only [`wire`] knows tokio.
//! - [`lineage`]: which of two units is behind. Pure.
//!
//! It refuses to know sockets, devices and the configuration's meaning: lbd is its only user. Tested by unit tests,
//! properties, a lossy line in memory, real TCP with third parties, and (`--example forge`) a million forgeries.
#![forbid(unsafe_code)]

pub mod cable;
pub mod card;
pub mod code;
mod durable;
pub mod identity;
pub mod lineage;
pub mod pairing;
pub mod peer_file;
pub mod tls;
pub mod wire;

pub use card::{Card, Certificate, UnitAddress};
pub use code::Code;
pub use identity::{Fingerprint, Identity};
pub use lineage::{Id, Relation, SharedVersion, next, relation};
pub use pairing::{Call, Failure, Offer, Output, Paired, Wait};
pub use peer_file::Peer;

/// What a call of a cryptographic primitive needs from outside: 32 bytes that nobody can guess, used once.
pub type Seed = zeroize::Zeroizing<[u8; 32]>;
