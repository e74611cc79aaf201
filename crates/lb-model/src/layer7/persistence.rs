//! What keeps a client on its server at layer 7.

use super::CookieName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Stickiness. Where a client cannot be kept by a cookie, `source` may help out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Layer7Persistence {
    /// HAProxy sends clients a cookie of its own (active).
    Cookie(Cookie),
    /// HAProxy remembers which server set the application's cookie to which value (passive).
    ApplicationCookie(ApplicationCookie),
    Source(SourceTable),
    /// The cookie of the Remote Desktop Protocol, `mstshash`; mode tcp.
    RdpCookie(SourceTable),
    /// The session id of TLS up to 1.2, which passes through; mode tcp.
    SslSessionId(SourceTable),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Cookie {
    #[serde(default = "server_id")]
    pub name: CookieName,
    /// Seconds without a request after which it counts no more, 1..=31536000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 31536000))]
    pub idle: Option<u32>,
    /// Seconds after its first request after which it counts no more, 1..=31536000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 31536000))]
    pub life: Option<u32>,
    /// For clients that keep no cookies: where the source address was last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceTable>,
}

impl Default for Cookie {
    fn default() -> Self {
        Cookie { name: server_id(), idle: None, life: None, source: None }
    }
}

fn server_id() -> CookieName {
    CookieName::server_id()
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApplicationCookie {
    /// The application's own: `PHPSESSID`, `JSESSIONID`.
    pub name: CookieName,
    /// Seconds without use after which a value is forgotten, 1..=31536000.
    #[serde(default = "half_an_hour")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 31536000, default = 1800))]
    pub timeout: u32,
    /// Values that are remembered, 1..=10000000.
    #[serde(default = "hundred_thousand")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 10000000, default = 100000))]
    pub size: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceTable>,
}

impl ApplicationCookie {
    /// With everything else as it is when left out.
    pub fn new(name: CookieName) -> ApplicationCookie {
        ApplicationCookie { name, timeout: half_an_hour(), size: hundred_thousand(), source: None }
    }
}

/// What is remembered of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SourceTable {
    /// Seconds without use after which an entry is forgotten, 1..=31536000.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 31536000, default = 1800))]
    pub timeout: u32,
    /// Entries, 1..=10000000; the oldest makes room.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 10000000, default = 100000))]
    pub size: u32,
    /// Of a source address: prefix length that makes clients one client, 1..=32 for IPv4, 1..=128 for IPv6.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 128))]
    pub granularity: Option<u8>,
}

impl Default for SourceTable {
    fn default() -> Self {
        SourceTable { timeout: half_an_hour(), size: hundred_thousand(), granularity: None }
    }
}

fn half_an_hour() -> u32 {
    1800
}

fn hundred_thousand() -> u32 {
    100_000
}

impl fmt::Display for Layer7Persistence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = |s: &Option<SourceTable>| if s.is_some() { ", else the source address" } else { "" };
        match self {
            Layer7Persistence::Cookie(c) => write!(f, "cookie {}{}", c.name, source(&c.source)),
            Layer7Persistence::ApplicationCookie(c) => {
                write!(f, "the application's cookie {}{}", c.name, source(&c.source))
            }
            Layer7Persistence::Source(SourceTable { timeout, granularity, .. }) => {
                let by = granularity.map_or_else(String::new, |g| format!(" by /{g}"));
                write!(f, "source address for {timeout} s{by}")
            }
            Layer7Persistence::RdpCookie(t) => write!(f, "RDP cookie for {} s", t.timeout),
            Layer7Persistence::SslSessionId(t) => write!(f, "SSL session id for {} s", t.timeout),
        }
    }
}
