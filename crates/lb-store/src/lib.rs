//! Remember configurations durably: running, candidate, history.
//!
//! Owns one directory of sled 0.34 (`<dir>`), the readable copies beside it (`running.json`,
//! `running.1.json`, `running.2.json`), a ballast file and a lock file. Documents are opaque JSON:
//! what they mean, and whether they make sense, is decided above.
//!
//! What a caller may rely on:
//! - A call that returned `Ok` survives a kill and a power cut: one sled transaction, sled's flush,
//!   then our own `fdatasync` of sled's file (sled's flush alone reaches only the disk's cache).
//! - A store that does not open, or opens older than its copy, is moved aside (never deleted) and
//!   rebuilt from the newest valid copy; [`Opened::Recovered`] carries the alarm.
//!   Neither a kill nor a power cut damages it: each write is on the disk before the next begins ([`engine`]). Should
//!   the disk itself damage it, what a copy does not hold is lost with the file: the last quarter of a second, older
//!   history than the copies kept (3) and the candidate.
//! - A failed write stops all further writes ([`CommitError::Failed`]) until [`Store::reopen`];
//!   running revision and candidate are still served, from memory.
//!
//! Tested by a model with reopens, by 200 kills, by damage to every file of the directory
//! (`tests/`), and by power cuts of a disk with a volatile cache (`testbed::powercut`).
#![forbid(unsafe_code)]

mod ballast;
mod copy;
mod copy_writer;
mod engine;
mod error;
mod files;
mod json_text;
mod opening;
mod records;
mod store;
mod types;

pub use error::{CommitError, OpenError, ReadError};
pub use files::reset;
pub use store::Store;
pub use types::{Candidate, Confirm, NewCandidate, NewRevision, Opened, PendingConfirm, Revision, RevisionMeta};
