//! Who remembers clients, and whom a unit of a pair tells what it remembers.

use super::{Layer7Persistence, Layer7VirtualServer};
use crate::{Config, HeartbeatPath, NodeId};
use std::net::IpAddr;

/// Where HAProxy's tables are told: on loopback to the process after a reload, in a pair to the other unit as well.
pub const PEERS_PORT: u16 = 9082;

/// Between whom a pair's tables travel: the two addresses of its first network path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peers {
    pub unit: NodeId,
    pub mine: IpAddr,
    pub other: IpAddr,
}

impl Layer7VirtualServer {
    /// Whether it remembers clients itself; what only sends them a cookie does not.
    pub fn remembers(&self) -> bool {
        match &self.persistence {
            None => false,
            Some(Layer7Persistence::Cookie(cookie)) => cookie.source.is_some(),
            Some(_) => true,
        }
    }
}

impl Config {
    /// `None`: nothing is remembered at layer 7, or nobody else is there to be told.
    pub fn layer7_peers(&self) -> Option<Peers> {
        let (unit, heartbeat) = self.pair()?;
        let path = heartbeat.paths.iter().find_map(|path| match path {
            HeartbeatPath::Udp(udp) => Some(udp),
            HeartbeatPath::Serial(_) => None,
        })?;
        let (mine, other) = (path.of(unit), path.of(unit.other()));
        let remember = self.layer7.virtual_servers.iter().any(Layer7VirtualServer::remembers);
        remember.then_some(Peers { unit, mine, other })
    }
}
