//! How a real server's fitness is asked for.
//!
//! The check types still to come (external, smtp, dns, …) are further variants of
//! [`CheckMethod`] and [`NegotiateService`].

use crate::NameError;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The health check of a virtual server. What is left out comes from the global settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub method: CheckMethod,
    /// Port to ask on the real server; left out: the real server's own port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 65535))]
    pub port: Option<u16>,
    /// Seconds between two checks, 1..=3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 3600))]
    pub interval: Option<u32>,
    /// Seconds that one check may take, 1..=300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 300))]
    pub timeout: Option<u32>,
    /// Failures in a row that take a server out, 1..=100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100))]
    pub fall: Option<u32>,
    /// Successes in a row that take it back, 1..=100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100))]
    pub rise: Option<u32>,
}

impl Default for Check {
    fn default() -> Self {
        Check { method: CheckMethod::Connect, port: None, interval: None, timeout: None, fall: None, rise: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", from = "CheckMethodFields")]
pub enum CheckMethod {
    /// Never asked, always active.
    On,
    /// Never asked, never active.
    Off,
    /// A TCP connection is accepted. UDP has no connections and SCTP's are not asked for: a virtual server of
    /// these protocols is checked as by `ping`.
    Connect,
    /// An ICMP echo is answered.
    Ping,
    /// A request of the service gets the expected answer.
    Negotiate(Negotiate),
}

/// What is read: variants with braces refuse fields that a bare one would skip.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
enum CheckMethodFields {
    On {},
    Off {},
    Connect {},
    Ping {},
    Negotiate(Negotiate),
}

impl From<CheckMethodFields> for CheckMethod {
    fn from(method: CheckMethodFields) -> Self {
        match method {
            CheckMethodFields::On {} => CheckMethod::On,
            CheckMethodFields::Off {} => CheckMethod::Off,
            CheckMethodFields::Connect {} => CheckMethod::Connect,
            CheckMethodFields::Ping {} => CheckMethod::Ping,
            CheckMethodFields::Negotiate(negotiate) => CheckMethod::Negotiate(negotiate),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Negotiate {
    pub service: NegotiateService,
    /// The path asked for; begins with `/`.
    #[serde(default = "slash")]
    #[cfg_attr(feature = "schema", schema(pattern = "^/[!-~]*$", default = "/"))]
    pub request: String,
    /// Regular expression that must match somewhere in the first 64 KiB of the answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Pattern>,
    /// The Host header, and for HTTPS the server name; left out: the real server's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = r"^[A-Za-z0-9._:\[\]-]+$", min_length = 1, max_length = 253))]
    pub virtual_host: Option<String>,
    /// Status codes that count as fit.
    #[serde(default)]
    pub status: StatusCodes,
}

fn slash() -> String {
    "/".into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum NegotiateService {
    Http,
    /// The certificate is not verified: a check asks whether the server works, by its address.
    Https,
}

impl fmt::Display for CheckMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckMethod::On => f.write_str("on"),
            CheckMethod::Off => f.write_str("off"),
            CheckMethod::Connect => f.write_str("connect"),
            CheckMethod::Ping => f.write_str("ping"),
            CheckMethod::Negotiate(n) => match n.service {
                NegotiateService::Http => write!(f, "negotiate http {}", n.request),
                NegotiateService::Https => write!(f, "negotiate https {}", n.request),
            },
        }
    }
}

/// A regular expression of the `regex` crate's syntax that compiles, at most 1,000 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

impl Pattern {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The compiled expression; its memory is bounded, so that no document can exhaust the box.
    pub fn regex(&self) -> Result<regex::bytes::Regex, NameError> {
        regex::bytes::RegexBuilder::new(&self.0)
            .size_limit(1 << 20)
            .build()
            .map_err(|e| NameError(format!("expected response \"{}\" is not a regular expression: {e}", self.0)))
    }
}

impl FromStr for Pattern {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        if s.len() > 1000 {
            return Err(NameError(format!("expected response has {} characters; at most 1000 are allowed", s.len())));
        }
        let pattern = Pattern(s.to_owned());
        pattern.regex()?;
        Ok(pattern)
    }
}

impl TryFrom<String> for Pattern {
    type Error = NameError;
    fn try_from(s: String) -> Result<Self, NameError> {
        s.parse()
    }
}

impl From<Pattern> for String {
    fn from(p: Pattern) -> String {
        p.0
    }
}

/// HTTP status codes: `200-299` or a list such as `200,204,301-302`; each 100..=599.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StatusCodes(Vec<(u16, u16)>);

impl StatusCodes {
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(a, b)| (*a..=*b).contains(&status))
    }
}

impl Default for StatusCodes {
    fn default() -> Self {
        StatusCodes(vec![(200, 299)])
    }
}

impl FromStr for StatusCodes {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        let code = |t: &str| {
            let digits = t.trim_matches(' ');
            let plain = digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse::<u16>().ok()).flatten().filter(|c| (100..=599).contains(c))
        };
        let mut codes = Vec::new();
        for part in s.split(',') {
            let (a, b) = part.split_once('-').unwrap_or((part, part));
            match (code(a), code(b)) {
                (Some(a), Some(b)) if a <= b => codes.push((a, b)),
                _ => {
                    return Err(NameError(format!(
                        "\"{}\" is not a status code; use 100 to 599, for example 200-299 or 200,301",
                        part.trim()
                    )));
                }
            }
        }
        Ok(StatusCodes(codes))
    }
}

impl TryFrom<String> for StatusCodes {
    type Error = NameError;
    fn try_from(s: String) -> Result<Self, NameError> {
        s.parse()
    }
}

impl From<StatusCodes> for String {
    fn from(s: StatusCodes) -> String {
        s.to_string()
    }
}

impl fmt::Display for StatusCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (a, b)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match a == b {
                true => write!(f, "{comma}{a}")?,
                false => write!(f, "{comma}{a}-{b}")?,
            }
        }
        Ok(())
    }
}
