//! What can go wrong, in the caller's words.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::engine::EngineError;

#[derive(Debug, Error)]
pub enum OpenError {
    #[error("the store is in use by another process")]
    InUse,
    /// Nothing was deleted. The daemon goes on with its failsafe configuration.
    #[error("the store is lost: {reason}; and there is no valid copy of the configuration")]
    Lost { reason: String },
    #[error("the store was written by a newer version (schema {found}, this one knows {known})")]
    Newer { found: u32, known: u32 },
    #[error("the disk is full, the store cannot be opened")]
    DiskFull,
    #[error("{doing} {path}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("writing a new store")]
    Build(#[source] EngineError),
}

#[derive(Debug, Error)]
pub enum CommitError {
    /// Somebody else was first.
    #[error("based on {expected}, but {found} is there now", expected = or_none(.expected), found = or_none(.found))]
    Conflict { expected: Option<u64>, found: Option<u64> },
    #[error("the document is no JSON")]
    NotJson(#[source] serde_json::Error),
    #[error("revision {0} is not in the history")]
    UnknownRevision(u64),
    #[error("revision {0} does not wait to be confirmed")]
    NotPending(u64),
    /// Nothing was changed; the store still works.
    #[error("the disk is full, nothing was changed")]
    DiskFull,
    /// Whether this commit is on the disk is not known; later ones are refused until
    /// [`crate::Store::reopen`].
    #[error("the store has failed: {0}")]
    Failed(String),
}

#[derive(Debug, Error)]
pub enum ReadError {
    #[error("the store has failed: {0}")]
    Failed(String),
}

fn or_none(number: &Option<u64>) -> String {
    number.map_or_else(|| "none".to_owned(), |n| n.to_string())
}
