//! Who holds the floating addresses of a pair: the decisions, the frames, and a simulator.
//!
//! Pure: no I/O, no clock, no threads, no randomness. The `heartbeat` daemon is its hands:
//!
//! ```text
//!   bytes --serial::Decoder--> frame's bytes --Codec::open--> Event::Frame --+
//!   timer, kernel, lbd, operator ------------------------------> Event ------+--> Node::handle --> Output
//!   Output::Send --Codec::seal--> bytes --serial::encode--> line
//! ```
//!
//! - [`node`]: the façade; [`core`]: the state machine, drawn there; [`link`]: sessions, copies, path quality.
//! - [`codec`], [`frame`], [`serial`]: bytes, documented in `docs/heartbeat-protocol.md`.
//! - [`document`], [`key_file`]: what the daemon reads at its start and at each change.
//! - [`control`]: what is said on the daemon's status socket.
//! - [`trace`]: what happened to a node, played again.
//! - `sim` (feature `sim`): two nodes, lossy paths, drifting clocks, freezes, reboots, and the audit.
//!
//! Only [`document`] knows addresses and interfaces; the machine does not. Tested by unit tests, a million simulated
//! schedules, a model checker and seeded defects: `docs/testing.md`.
#![forbid(unsafe_code)]

pub mod codec;
pub mod control;
pub mod core;
mod defect;
pub mod document;
pub mod frame;
pub mod key_file;
pub mod link;
pub mod node;
pub mod reason;
pub mod serial;
pub mod settings;
#[cfg(feature = "sim")]
pub mod sim;
mod time;
pub mod trace;
pub mod word;

pub use codec::{Codec, Key, Refused};
pub use core::{Command, Hands, Probe};
#[cfg(feature = "sim")]
pub use defect::Defect;
pub use document::Document;
pub use frame::Frame;
pub use key_file::Keys;
pub use node::{Event, Node, Output, Start, Status};
pub use reason::{Alarm, Note, Reason, Refusal};
pub use settings::{NodeId, Path, Settings, Witness};
pub use time::{Micros, Time};
pub use word::{Rank, State, Word};
