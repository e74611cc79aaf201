//! What HAProxy counts and how its servers are (`show stat`, Management Guide 9.1).

use crate::ServerKey;
use lb_model::Label;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statistics {
    pub virtual_servers: BTreeMap<Label, VirtualServerStatistics>,
    pub servers: BTreeMap<ServerKey, ActualServer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VirtualServerStatistics {
    pub totals: Totals,
    /// The fallback server is what serves.
    pub fallback: bool,
}

/// Since HAProxy's last start or reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// In mode http requests, in mode tcp connections.
    pub sessions: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// New sessions in the last second.
    pub rate: u64,
    /// Now.
    pub current: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActualServer {
    /// `None`: not asked yet.
    pub fit: Option<bool>,
    /// What its last check found, in words: `connected`, `status 200`, `timeout`, `connection refused`.
    pub check: Option<String>,
    /// Seconds since it last changed between fit and unfit.
    pub since: u64,
    pub totals: Totals,
}
