//! A configuration in HAProxy's language (Configuration Manual 2.6).

use lb_model::{Config, Label, RequestedState};
use std::collections::BTreeMap;

/// A real server, by the labels of its virtual server and of its own: `backend/server` in HAProxy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerKey {
    pub virtual_server: Label,
    pub real_server: Label,
}

/// What the runtime API can change of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerSetting {
    /// 0..=256
    pub weight: u16,
    pub state: RequestedState,
}

/// What HAProxy shall be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The whole file, weights and states included. Its first line is `# shape SHAPE`.
    pub text: String,
    /// The JSON pointer (RFC 6901) that a line comes from, by the number of the first line that does; lines count from 1.
    pub origins: BTreeMap<usize, String>,
    pub servers: BTreeMap<ServerKey, ServerSetting>,
    /// A digest (hex) of the text without `servers`: where it is the same, no reload is needed.
    pub shape: String,
}

/// `None`: the configuration has no layer 7, and HAProxy need not run.
pub fn render(config: &Config) -> Option<Rendered> {
    if config.layer7.virtual_servers.is_empty() {
        return None;
    }
    todo!()
}
