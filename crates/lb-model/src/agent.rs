//! The agent on real servers that says how much of the load they want.

use crate::layer7::HttpText;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Asked over TCP on each real server of a virtual server. Its answer, one line in HAProxy's agent language
/// (Configuration Manual 2.6, 5.2 "agent-check"), sets the server's share of its weight, and whether it takes clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Where it listens on the real server.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 65535))]
    pub port: u16,
    /// Seconds between two questions, 1..=3600; left out: the global interval of health checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 3600))]
    pub interval: Option<u32>,
    /// Sent to it with a line's end; left out: nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<HttpText>,
}

impl Agent {
    pub fn new(port: u16) -> Agent {
        Agent { port, interval: None, send: None }
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}", self.port)?;
        if let Some(interval) = self.interval {
            write!(f, " every {interval} s")?;
        }
        match &self.send {
            Some(text) => write!(f, ", sent \"{text}\""),
            None => Ok(()),
        }
    }
}
