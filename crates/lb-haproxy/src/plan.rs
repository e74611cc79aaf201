//! From what should be and what is to what must be done.

use crate::{Rendered, ServerKey};
use lb_model::RequestedState;
use std::{collections::BTreeMap, fmt};

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The shape that the running HAProxy was started or last reloaded with; `None`: none runs.
    pub shape: Option<String>,
    /// The text of the file, for the next start.
    pub text: Option<String>,
    pub servers: BTreeMap<ServerKey, ObservedServer>,
    /// Connections that processes of before a reload still serve.
    pub old_connections: u32,
}

/// What the runtime API says of a server's administration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObservedServer {
    pub weight: u16,
    pub state: RequestedState,
}

/// One step. Each is safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Writes the file, so that a restart comes up with it; nothing that runs changes.
    Write {
        text: String,
    },
    /// Starts HAProxy or lets it take the file up: the listening sockets are handed over, old connections stay with the
    /// old process.
    Reload,
    SetWeight {
        server: ServerKey,
        weight: u16,
    },
    SetState {
        server: ServerKey,
        state: RequestedState,
    },
    /// Ends it: no layer 7 virtual server is left.
    Stop,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        todo!()
    }
}

/// Empty where all is as it should be. `wanted: None`: HAProxy shall not run.
pub fn plan(wanted: Option<&Rendered>, observed: &Observed) -> Vec<Action> {
    todo!("{wanted:?} {observed:?}")
}
