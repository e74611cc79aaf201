//! Figures of layer 7 that layer 4 has nothing like.

use crate::CheckStatus;
use serde::{Deserialize, Serialize};

/// HAProxy's counters. They begin anew at its start and at each reload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Layer7Statistics {
    /// Connections that HAProxy processes of before a reload, or before the end, still serve.
    pub old_connections: u32,
    /// In the configuration's order.
    pub virtual_servers: Vec<Layer7VirtualServerFigures>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Layer7VirtualServerFigures {
    pub label: String,
    /// `http` or `tcp`.
    pub mode: String,
    pub figures: Layer7Figures,
    pub real_servers: Vec<Layer7RealServerFigures>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Layer7RealServerFigures {
    pub label: String,
    pub figures: Layer7Figures,
    /// What the last check found, and since when the server stands as it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckStatus>,
    /// Milliseconds that it took.
    pub check_ms: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Layer7Figures {
    /// Connections now.
    pub connections: u32,
    /// Mode http: requests, mode tcp: connections.
    pub total: u64,
    /// The same in the last second.
    pub per_second: u64,
    /// Mode http.
    pub responses: Responses,
    /// What waits for a real server now.
    pub queue: u32,
    /// Milliseconds until a real server accepted the connection; the average of the last 1024.
    pub connect_ms: u32,
    /// Mode http: milliseconds until its answer began; the average of the last 1024.
    pub response_ms: u32,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Refused by rules and limits.
    pub denied: u64,
    /// Requests that could not be read, connections and answers of real servers that failed.
    pub errors: u64,
    /// Tried once more, at the same real server or another one.
    pub retries: u64,
}

/// Answers by their status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Responses {
    #[serde(rename = "1xx")]
    pub s1xx: u64,
    #[serde(rename = "2xx")]
    pub s2xx: u64,
    #[serde(rename = "3xx")]
    pub s3xx: u64,
    #[serde(rename = "4xx")]
    pub s4xx: u64,
    #[serde(rename = "5xx")]
    pub s5xx: u64,
    pub other: u64,
}
