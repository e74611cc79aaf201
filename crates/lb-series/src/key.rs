//! Whose values: a virtual server, a real server, an interface, the unit itself.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An object whose values are recorded. Its text form is stable: `vs:HTTP`, `rs:HTTP/WebServer1`, `if:eth0`, `system`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Key {
    // The order is the order in which objects get a place when there are too many.
    System,
    Interface(String),
    VirtualServer(String),
    RealServer { virtual_server: String, real_server: String },
}

/// A value of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// As in JSON: `bytes_in`.
    pub name: &'static str,
    /// As on a page: `Bytes in`.
    pub title: &'static str,
    /// `""`, `/s`, `B`, `B/s`; `1` for a share from 0 to 1.
    pub unit: &'static str,
}

const fn column(name: &'static str, title: &'static str, unit: &'static str) -> Column {
    Column { name, title, unit }
}

const SERVER: [Column; 6] = [
    column("active_connections", "Active connections", ""),
    column("connections_per_second", "Connections per second", "/s"),
    column("packets_in", "Packets in", "/s"),
    column("packets_out", "Packets out", "/s"),
    column("bytes_in", "Bytes in", "B/s"),
    column("bytes_out", "Bytes out", "B/s"),
];

const SYSTEM: [Column; 2] = [column("cpu_busy", "CPU busy", "1"), column("memory_used", "Memory used", "B")];

impl Key {
    /// What is recorded of it, in the order of [`crate::Chart::columns`].
    pub fn columns(&self) -> &'static [Column] {
        match self {
            Key::System => &SYSTEM,
            Key::Interface(_) => SERVER.split_at(2).1,
            Key::VirtualServer(_) | Key::RealServer { .. } => &SERVER,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::System => f.write_str("system"),
            Key::Interface(name) => write!(f, "if:{name}"),
            Key::VirtualServer(label) => write!(f, "vs:{label}"),
            Key::RealServer { virtual_server, real_server } => write!(f, "rs:{virtual_server}/{real_server}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" names nothing that is recorded; use system, if:eth0, vs:LABEL or rs:LABEL/LABEL")]
pub struct KeyError(String);

impl FromStr for Key {
    type Err = KeyError;
    fn from_str(s: &str) -> Result<Self, KeyError> {
        let refused = || KeyError(s.chars().take(140).collect());
        let name = |s: &str| {
            let fits = !s.is_empty() && s.len() <= 63 && !s.contains(|c: char| c == '/' || c.is_control());
            fits.then(|| s.to_owned()).ok_or_else(refused)
        };
        match s.split_once(':') {
            None if s == "system" => Ok(Key::System),
            Some(("if", rest)) => Ok(Key::Interface(name(rest)?)),
            Some(("vs", rest)) => Ok(Key::VirtualServer(name(rest)?)),
            Some(("rs", rest)) => {
                let (virtual_server, real_server) = rest.split_once('/').ok_or_else(refused)?;
                Ok(Key::RealServer { virtual_server: name(virtual_server)?, real_server: name(real_server)? })
            }
            _ => Err(refused()),
        }
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;
    fn try_from(s: String) -> Result<Self, KeyError> {
        s.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> String {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_text() {
        for text in ["system", "if:eth0.100", "vs:HTTP_Cluster", "rs:HTTP_Cluster/WebServer1"] {
            assert_eq!(text.parse::<Key>().map(|k| k.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "System", "if:", "vs:", "vs:a/b", "rs:a", "rs:a/", "rs:/b", "rs:a/b/c", "x:y", "if:a\nb"] {
            assert!(text.parse::<Key>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_interface_has_a_servers_last_four_columns() {
        let names = |key: &str| key.parse::<Key>().map(|k| k.columns().iter().map(|c| c.name).collect::<Vec<_>>());
        assert_eq!(names("if:eth0"), Ok(vec!["packets_in", "packets_out", "bytes_in", "bytes_out"]));
        assert_eq!(names("system"), Ok(vec!["cpu_busy", "memory_used"]));
    }
}
