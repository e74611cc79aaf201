//! Content switching, headers and limits of a layer 7 virtual server.

use super::{HeaderName, HttpText};
use crate::{Label, NameError, words};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Requests that pass `test` get `then`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub test: Test,
    /// Requests that do not pass it instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not: bool,
    pub then: Outcome,
}

/// One of the values must fit: 1 to 100.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "on", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Test {
    /// The path begins with it.
    PathBegins {
        values: Vec<HttpText>,
    },
    /// The path ends in it.
    PathEnds {
        values: Vec<HttpText>,
    },
    /// The host asked for, without its port, in any case.
    Host {
        values: Vec<HttpText>,
    },
    Header {
        name: HeaderName,
        values: Vec<HttpText>,
    },
    /// A parameter of the query.
    Query {
        name: HeaderName,
        values: Vec<HttpText>,
    },
    Source {
        #[cfg_attr(feature = "schema", schema(value_type = Vec<crate::schema::IpNetwork>))]
        values: Vec<IpNet>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outcome {
    /// The real servers of another layer 7 virtual server of mode http serve.
    Use { virtual_server: Label },
    /// The client is sent there (status 302).
    Redirect { to: HttpText },
    /// Status 403.
    Refuse {},
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Use { virtual_server } => write!(f, "the servers of {virtual_server}"),
            Outcome::Redirect { to } => write!(f, "redirect to {to}"),
            Outcome::Refuse {} => f.write_str("refuse"),
        }
    }
}

/// A header is changed on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HeaderRule {
    pub operation: HeaderOperation,
    pub name: HeaderName,
    /// Not for `remove`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<HttpText>,
}

words! {
    /// What is done to a header.
    HeaderOperation, "header operation",
    /// Only this value is left.
    #[default] Set = "set",
    /// One more line.
    Add = "add",
    Remove = "remove",
}

/// What one source address may ask for; beyond it is refused with status 429, in mode tcp by closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests in ten seconds, in mode tcp connections; 0 = unrestricted.
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 1000000, default = 0))]
    pub requests_per_10s: u32,
    /// Connections at once; 0 = unrestricted.
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 1000000, default = 0))]
    pub connections: u32,
}
