//! What is said on heartbeat's status socket, `/run/heartbeat.sock`: one JSON document a line, each way.
//!
//! A request is answered in order; a command when it has ended, with the outcome and, if refused, the reason.

use crate::core::Command;
use crate::document::Document;
use crate::node::Status;
use crate::reason::Refusal;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where the socket is; mode 0660, group `lb`.
pub const SOCKET: &str = "/run/heartbeat.sock";

/// A line to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    Status,
    Takeover {
        #[serde(default)]
        force: bool,
    },
    Standby,
    Maintenance {
        on: bool,
        #[serde(default)]
        force: bool,
    },
    /// Hand over, then exit. The supervisor may start the daemon again.
    Shutdown,
    /// lbd has received the peer's connection table, or has lost it.
    Hot(bool),
}

impl Request {
    /// The command that it is, if it is one.
    pub fn command(self) -> Option<Command> {
        match self {
            Request::Takeover { force } => Some(Command::Takeover { force }),
            Request::Standby => Some(Command::Standby),
            Request::Maintenance { on, force } => Some(Command::Maintenance { on, force }),
            Request::Shutdown => Some(Command::Shutdown),
            Request::Status | Request::Hot(_) => None,
        }
    }
}

/// A line from the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Status(Box<Report>),
    Done,
    /// `reason` names it for programs, `text` says it to people.
    Refused {
        reason: Refusal,
        text: String,
    },
    /// The request was not understood, or the daemon ends.
    Error {
        text: String,
    },
}

/// Answer to [`Request::Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Microseconds of the node's clock, to which the status's moments compare.
    pub now: u64,
    pub status: Status,
    pub document: Document,
    /// Per path what stands in its way on this node: the device is missing, the address is not there.
    pub path_errors: Vec<Option<String>>,
    /// What of locked memory and SCHED_FIFO was not permitted.
    pub degraded: Vec<String>,
}

impl Report {
    /// For how long the node has been in its state.
    pub fn for_how_long(&self) -> Duration {
        Duration::from_micros(self.now.saturating_sub(self.status.since.0))
    }
}
