//! What the store hands out and takes in. Plain data; times are Unix seconds.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One configuration that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Counts from 1; parent + 1.
    pub number: u64,
    /// The revision that was running before; none for the first.
    pub parent: Option<u64>,
    /// Unix seconds.
    pub time: u64,
    pub author: String,
    pub comment: String,
    /// As committed; see [`NewRevision::tag`].
    pub tag: Option<String>,
    /// JSON without insignificant white space; otherwise as committed, token by token.
    pub document: Arc<str>,
}

impl Revision {
    pub fn meta(&self) -> RevisionMeta {
        RevisionMeta {
            number: self.number,
            parent: self.parent,
            time: self.time,
            author: self.author.clone(),
            comment: self.comment.clone(),
            tag: self.tag.clone(),
        }
    }
}

/// A [`Revision`] without its document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionMeta {
    pub number: u64,
    pub parent: Option<u64>,
    pub time: u64,
    pub author: String,
    pub comment: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// What to commit.
#[derive(Debug, Clone, Default)]
pub struct NewRevision {
    pub author: String,
    pub comment: String,
    /// A word of the caller's about the document, kept with it and never looked into.
    pub tag: Option<String>,
    /// One JSON value; white space between tokens is not kept.
    pub document: String,
    /// Opens a confirm window. Every commit replaces the pending window by this field: whether
    /// a commit is allowed while one is open is for the caller to decide.
    pub confirm: Option<Confirm>,
    /// Forget the candidate in the same transaction.
    pub clear_candidate: bool,
    /// For a rollback, a missed confirm and a factory reset: when the disk is full, use the
    /// space that the ballast file keeps.
    pub may_use_reserve: bool,
}

/// The wish to be undone unless confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// Unix seconds.
    pub deadline_unix: u64,
    /// A revision in the history; kept there while the window is open.
    pub revert_to: u64,
}

/// The open confirm window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingConfirm {
    /// The revision that waits: always the running one.
    pub number: u64,
    pub deadline_unix: u64,
    pub revert_to: u64,
}

/// The configuration being edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The running revision it started from; 0 when there was none.
    pub base: u64,
    /// Grows by one with each change of the candidate, is never used twice.
    pub etag: u64,
    pub author: String,
    /// Unix seconds.
    pub time: u64,
    pub document: Arc<str>,
}

/// What to remember as the candidate.
#[derive(Debug, Clone, Default)]
pub struct NewCandidate {
    /// The running revision it starts from; 0 when there is none.
    pub base: u64,
    pub author: String,
    pub document: String,
}

/// How the store was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// There was nothing; a new, empty store stands there now.
    Created,
    Clean,
    /// It was damaged and stands again as the copy had it.
    Recovered {
        /// One or two sentences for the administrator.
        alarm: String,
        /// The damaged directory; none when it was missing altogether.
        moved_to: Option<PathBuf>,
        /// The running revision now.
        revision: u64,
    },
}
