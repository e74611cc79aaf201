//! Two instances over loopback, with shelves in memory.

mod cable;
mod channel;
mod pairing;
mod replication;
pub mod rig;
mod session;
mod strangers;
