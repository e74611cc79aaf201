//! How a pair is to behave: the times and policies of `ha.json`, and what is wrong with them.
//!
//! Every problem is found at once, each with field, value, reason and hint. [`Timing`] is the same in the
//! machine's unit. Both nodes get the same settings; a difference is safe, but makes one of them slower.

use crate::time::Micros;
use lb_model::{Heartbeat, HeartbeatTimes, Problem};
pub use lb_model::{
    NodeId, Witness,
    heartbeat::{MAX_DEADTIME_MS, MAX_PATHS, MAX_PING_NODES, MIN_LEASE_MS},
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One way on which frames travel. Its number, the place in [`Settings::paths`], is the same on both nodes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Path {
    /// What people call it: `ttyS1`, `eth0`.
    pub name: String,
    /// Milliseconds: a slow line gets a frame no more often than this, in whole keepalives. 0 = with every beat.
    #[serde(default)]
    pub min_interval_ms: u32,
}

/// Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// A frame goes out on every path this often: 5..=10000.
    pub keepalive_ms: u32,
    /// Silence after which a beat is called late, and the floating IPs are probed.
    pub warntime_ms: u32,
    /// Silence on every path after which the peer counts as dead.
    pub deadtime_ms: u32,
    /// The same after a start, when cards and switches may still be asleep.
    pub initdead_ms: u32,
    /// How long the kernel keeps floating IPs that the daemon no longer renews.
    pub lease_ms: u32,
    /// The preferred node asks for the floating IPs when it is back.
    pub auto_failback: bool,
    /// It asks when it has been fit, hot and in contact for so long.
    pub failback_delay_ms: u32,
    pub preferred: Option<NodeId>,
    pub ping_nodes: Vec<IpAddr>,
    /// The node that reaches more ping nodes serves.
    pub failover_on_network_failure: bool,
    pub witness: Option<Witness>,
    /// After the announcements at a take-over, one more this often, for switches that forget.
    pub announce_every_ms: u32,
    pub paths: Vec<Path>,
}

/// As the configuration has it, without paths: how they travel is the document's business.
impl From<&Heartbeat> for Settings {
    fn from(h: &Heartbeat) -> Settings {
        Settings {
            keepalive_ms: h.keepalive_ms,
            warntime_ms: h.warntime_ms,
            deadtime_ms: h.deadtime_ms,
            initdead_ms: h.initdead_ms,
            lease_ms: h.lease_ms,
            auto_failback: h.auto_failback,
            failback_delay_ms: h.failback_delay_ms,
            preferred: h.preferred,
            ping_nodes: h.ping_nodes.clone(),
            failover_on_network_failure: h.failover_on_network_failure,
            witness: h.witness,
            announce_every_ms: h.announce_every_ms,
            paths: Vec::new(),
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings::from(&Heartbeat::default())
    }
}

impl Settings {
    /// The quickest times that held on a machine under full load: 50 ms of silence.
    pub fn fast() -> Settings {
        let (keepalive_ms, warntime_ms, deadtime_ms) = (10, 25, 50);
        Settings { keepalive_ms, warntime_ms, deadtime_ms, ..Settings::default() }
    }

    /// Everything that is wrong; `/deadtime_ms` and the like point into this document.
    pub fn problems(&self) -> Vec<Problem> {
        let s = self;
        let mut found = Found(s.times().problems(""));
        if s.paths.is_empty() {
            found.add("paths", "none", "a pair needs a heartbeat path", "add the null-modem cable or a network");
        }
        if s.paths.len() > MAX_PATHS {
            found.add("paths", s.paths.len(), &format!("must be {MAX_PATHS} or fewer"), "remove some");
        }
        for (number, path) in s.paths.iter().enumerate() {
            let at = format!("paths/{number}/min_interval_ms");
            // Frames leave with a beat, so the interval is whole keepalives.
            let beats = path.min_interval_ms.div_ceil(s.keepalive_ms.max(1)).max(1);
            let interval = u64::from(beats) * u64::from(s.keepalive_ms);
            if path.min_interval_ms > 0 && interval * 3 > u64::from(s.deadtime_ms) {
                let reason = format!("{} is too slow for a dead time of {} ms", path.name, s.deadtime_ms);
                found.add(&at, path.min_interval_ms, &reason, "raise deadtime_ms, or the line's speed");
            }
            if s.paths[..number].iter().any(|other| other.name == path.name) {
                found.add(&format!("paths/{number}/name"), &path.name, "stands here twice", "remove one of the two");
            }
        }
        if s.ping_nodes.len() > MAX_PING_NODES {
            found.add("ping_nodes", s.ping_nodes.len(), &format!("must be {MAX_PING_NODES} or fewer"), "remove some");
        }
        if s.failover_on_network_failure && s.ping_nodes.is_empty() {
            let hint = "name an address that always answers, such as the gateway";
            found.add("failover_on_network_failure", "true", "there is no ping node", hint);
        }
        if s.auto_failback && s.preferred.is_none() {
            found.add("auto_failback", "true", "no node is preferred", "say which node the addresses return to");
        }
        found.0
    }

    fn times(&self) -> HeartbeatTimes {
        HeartbeatTimes {
            keepalive: self.keepalive_ms,
            warntime: self.warntime_ms,
            deadtime: self.deadtime_ms,
            initdead: self.initdead_ms,
            lease: self.lease_ms,
            failback_delay: self.failback_delay_ms,
            announce_every: self.announce_every_ms,
        }
    }

    pub(crate) fn timing(&self) -> Timing {
        let us = |ms: u32| u64::from(ms) * 1000;
        Timing {
            keepalive: us(self.keepalive_ms),
            warntime: us(self.warntime_ms),
            deadtime: us(self.deadtime_ms),
            initdead: us(self.initdead_ms),
            lease: us(self.lease_ms),
            announce_every: us(self.announce_every_ms),
            failback: self.auto_failback.then(|| us(self.failback_delay_ms)),
            pings_count: self.failover_on_network_failure,
            witness: self.witness.is_some(),
            preferred: self.preferred,
            patience: (4 * us(self.deadtime_ms)).max(2_000_000),
        }
    }
}

/// What the core needs of the settings, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timing {
    pub keepalive: Micros,
    pub warntime: Micros,
    pub deadtime: Micros,
    pub initdead: Micros,
    pub lease: Micros,
    pub announce_every: Micros,
    pub failback: Option<Micros>,
    pub pings_count: bool,
    pub witness: bool,
    pub preferred: Option<NodeId>,
    /// How long a hand-over may take before it counts as failed.
    pub patience: Micros,
}

impl Timing {
    /// How long "I am taking over" is said before it is done: time for a peer that still hears us to step back.
    pub fn notice(&self) -> Micros {
        self.keepalive / 2
    }

    /// How long a witness's yes counts.
    pub fn grant(&self) -> Micros {
        2 * self.keepalive
    }

    /// How long after its last frame a silent node's kernel may still hold the addresses: it renews just
    /// before it speaks, and it speaks every keepalive.
    pub fn lease_over(&self) -> Micros {
        self.lease + 2 * self.keepalive
    }
}

struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, field: &str, value: impl ToString, reason: &str, hint: &str) {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        let (path, reason) = (format!("/{field}"), reason.to_owned());
        self.0.push(Problem { path, value: value.to_string(), reason, hint });
    }
}
