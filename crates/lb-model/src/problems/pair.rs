//! Problems of a pair: its heartbeat, its floating addresses, and what a pair forbids.

use super::{Found, same_network, unusable};
use crate::{
    Config, Heartbeat, HeartbeatPath, NodeId, Problem, UdpPath, Witness,
    heartbeat::{BAUDS, MAX_DEADTIME_MS, MAX_FLOATING, MAX_PATHS, MAX_PING_NODES, MIN_LEASE_MS},
};
use std::{collections::HashSet, net::IpAddr};

pub(super) fn check(config: &Config, found: &mut Found) {
    match (&config.heartbeat, config.node.unit) {
        (None, None) => {}
        (None, Some(unit)) => found.add(
            "/node/unit".into(),
            unit,
            "this unit is one of a pair, but the pair has no heartbeat",
            "unpair the units, or set up the heartbeat",
        ),
        (Some(heartbeat), unit) => {
            policies(config, heartbeat, found);
            paths(config, heartbeat, unit, found);
            found.0.extend(Times::from(heartbeat).problems("/heartbeat"));
        }
    }
    floating(config, found);
}

fn policies(config: &Config, heartbeat: &Heartbeat, found: &mut Found) {
    if heartbeat.sync_id == 0 || heartbeat.sync_id == u8::MAX {
        let hint = "two pairs on one network need numbers that differ by two or more";
        found.add("/heartbeat/sync_id".into(), heartbeat.sync_id, "must be 1 to 254", hint);
    }
    let nodes = &heartbeat.ping_nodes;
    if nodes.len() > MAX_PING_NODES {
        let reason = format!("must be {MAX_PING_NODES} or fewer");
        found.add("/heartbeat/ping_nodes".into(), nodes.len(), reason, "remove some");
    }
    for (i, node) in nodes.iter().enumerate() {
        let at = format!("/heartbeat/ping_nodes/{i}");
        elsewhere(config, &at, *node, found);
        if nodes[..i].contains(node) {
            found.add(at, node, "stands here twice", "remove one of the two");
        }
    }
    if heartbeat.failover_on_network_failure && nodes.is_empty() {
        let hint = "name an address that always answers, such as the gateway";
        found.add("/heartbeat/failover_on_network_failure".into(), true, "there is no ping node", hint);
    }
    if heartbeat.auto_failback && heartbeat.preferred.is_none() {
        let hint = "say which unit the addresses return to";
        found.add("/heartbeat/auto_failback".into(), true, "no unit is preferred", hint);
    }
    if let Some(Witness::Address(address)) = heartbeat.witness {
        elsewhere(config, "/heartbeat/witness/address", address, found);
    }
}

/// Somebody else must answer there: not this unit, not the pair.
fn elsewhere(config: &Config, at: &str, address: IpAddr, found: &mut Found) {
    if let Some(reason) = unusable(address) {
        found.add(at.into(), address, reason, "");
    } else if config.node.owns(address) || config.floating().contains(&address) {
        let hint = "use another machine's address, such as the gateway's";
        found.add(at.into(), address, "is the pair's own address, so it says nothing about the network", hint);
    }
}

fn paths(config: &Config, heartbeat: &Heartbeat, unit: Option<NodeId>, found: &mut Found) {
    let at = "/heartbeat/paths";
    let all = &heartbeat.paths;
    if all.len() > MAX_PATHS {
        found.add(at.into(), all.len(), format!("must be {MAX_PATHS} or fewer"), "remove some");
    }
    if !all.iter().any(|path| matches!(path, HeartbeatPath::Udp(_))) {
        let hint = "add a network path: the configuration and the connections travel there";
        found.add(at.into(), all.len(), "a pair needs at least one network path", hint);
    }
    for (i, path) in all.iter().enumerate() {
        let at = format!("{at}/{i}");
        match path {
            HeartbeatPath::Serial(serial) => {
                let device = &serial.device;
                let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
                if !device.starts_with("/dev/") || device.contains("..") || !device.chars().all(plain) {
                    found.add(format!("{at}/serial/device"), device, "is not a device below /dev", "use /dev/ttyS1");
                }
                if !BAUDS.contains(&serial.baud) {
                    let list: Vec<String> = BAUDS.iter().map(u32::to_string).collect();
                    let reason = format!("must be one of {}", list.join(", "));
                    found.add(format!("{at}/serial/baud"), serial.baud, reason, "use 115200");
                }
            }
            HeartbeatPath::Udp(udp) => udp_path(config, udp, unit, &format!("{at}/udp"), found),
        }
        let same = |other: &HeartbeatPath| match (other, path) {
            (HeartbeatPath::Serial(a), HeartbeatPath::Serial(b)) => a.device == b.device,
            (HeartbeatPath::Udp(a), HeartbeatPath::Udp(b)) => (a.one, a.two) == (b.one, b.two),
            _ => false,
        };
        if all[..i].iter().any(same) {
            found.add(at, path, "this path stands here twice", "remove one of the two");
        }
    }
}

fn udp_path(config: &Config, udp: &UdpPath, unit: Option<NodeId>, at: &str, found: &mut Found) {
    if udp.port == 0 {
        found.add(format!("{at}/port"), 0, "must be 1 to 65535", "use 694");
    }
    for (name, address) in [("one", udp.one), ("two", udp.two)] {
        if let Some(reason) = unusable(address) {
            found.add(format!("{at}/{name}"), address, reason, "use the unit's own address");
        }
    }
    if udp.one == udp.two {
        found.add(format!("{at}/two"), udp.two, "both units have the same address", "use the other unit's address");
    } else if let Some(unit) = unit {
        let (mine, theirs) = (udp.of(unit), udp.of(unit.other()));
        if !config.node.owns(mine) {
            let hint = "use an address that this unit itself has and that never moves";
            found.add(format!("{at}/{unit}"), mine, "is not an address of this unit", hint);
        } else if config.node.owns(theirs) {
            let hint = "use the other unit's address";
            found.add(format!("{at}/{}", unit.other()), theirs, "is this unit's own address", hint);
        }
    }
}

fn floating(config: &Config, found: &mut Found) {
    let mut seen = HashSet::new();
    let vip = |address: IpAddr| config.virtual_servers.iter().any(|vs| vs.service.address() == Some(address));
    for (i, address) in config.floating_ips.iter().enumerate() {
        let at = format!("/floating_ips/{i}");
        if let Some(reason) = unusable(*address) {
            found.add(at, address, reason, "use a free address in the network of a card");
        } else if !seen.insert(*address) {
            found.add(at, address, "stands here twice", "remove one of the two");
        } else if config.heartbeat.is_none() {
            let hint = "pair the units first; on a single unit give the card the address";
            found.add(at, address, "a single unit has no floating IPs", hint);
        } else if config.node.owns(*address) {
            let hint = "use a free address: this one stays with this unit";
            found.add(at, address, "is this unit's own address, which cannot move", hint);
        } else if vip(*address) {
            found.add(at, address, "is a VIP, and so a floating IP already", "remove it here");
        } else if !same_network(config, *address) {
            let hint = "use an address in the network of a card";
            found.add(at, address, "is in none of this unit's networks", hint);
        } else if config.node.gateway.map(IpAddr::V4) == Some(*address)
            || config.node.gateway6.map(IpAddr::V6) == Some(*address)
        {
            found.add(at, address, "is the default gateway's address", "use a free address");
        }
    }
    let Some(heartbeat) = &config.heartbeat else { return };
    let count = config.floating().len();
    if count > MAX_FLOATING {
        let reason = format!("a pair moves {MAX_FLOATING} addresses at most, VIPs among them");
        found.add("/floating_ips".into(), count, reason, "put several ports on one VIP");
    }
    if config.node.unit.is_none() {
        return;
    }
    let both = |address: IpAddr| {
        heartbeat.paths.iter().any(|path| match path {
            HeartbeatPath::Udp(udp) => udp.one == address || udp.two == address,
            HeartbeatPath::Serial(_) => false,
        })
    };
    for (i, vs) in config.virtual_servers.iter().enumerate() {
        if let Some(address) = vs.service.address().filter(|a| config.node.owns(*a) || both(*a)) {
            let reason = "is an address of one unit, which the other could not take over";
            let hint = "in a pair a VIP needs an address of its own, in the network of a card";
            found.add(format!("/virtual_servers/{i}/service/address"), address, reason, hint);
        }
    }
}

/// The times of a heartbeat, milliseconds: what they must be to each other.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub keepalive: u32,
    pub warntime: u32,
    pub deadtime: u32,
    pub initdead: u32,
    pub lease: u32,
    pub failback_delay: u32,
    pub announce_every: u32,
}

impl From<&Heartbeat> for Times {
    fn from(h: &Heartbeat) -> Times {
        Times {
            keepalive: h.keepalive_ms,
            warntime: h.warntime_ms,
            deadtime: h.deadtime_ms,
            initdead: h.initdead_ms,
            lease: h.lease_ms,
            failback_delay: h.failback_delay_ms,
            announce_every: h.announce_every_ms,
        }
    }
}

impl Times {
    /// Everything that is wrong, each at `at` and the field's name.
    pub fn problems(&self, at: &str) -> Vec<Problem> {
        let mut found = Found::default();
        let t = self;
        found.range(at, "keepalive_ms", t.keepalive, 5, 10_000, " ms");
        found.range(at, "failback_delay_ms", t.failback_delay, 0, 86_400_000, " ms");
        found.range(at, "announce_every_ms", t.announce_every, 1000, 3_600_000, " ms");
        found.range(at, "lease_ms", t.lease, MIN_LEASE_MS, 600_000, " ms");
        found.range(at, "initdead_ms", t.initdead, 0, 600_000, " ms");
        found.range(at, "deadtime_ms", t.deadtime, 20, MAX_DEADTIME_MS, " ms");
        let mut at_least = |name: &str, value: u32, least: u32, why: &str, hint: &str| {
            if value < least {
                found.add(format!("{at}/{name}"), value, format!("must be {why}, here {least} ms"), hint);
            }
        };
        let hint = "one late beat is not worth a warning: set about twice the keepalive";
        at_least("warntime_ms", t.warntime, t.keepalive.saturating_add(1), "longer than keepalive_ms", hint);
        let hint = "set at least three times the keepalive, and leave a keepalive between warntime and deadtime";
        let after_warning = t.warntime.saturating_add(t.keepalive);
        at_least("deadtime_ms", t.deadtime, after_warning, "warntime_ms + keepalive_ms or more", hint);
        at_least("deadtime_ms", t.deadtime, t.keepalive.saturating_mul(3), "three times keepalive_ms or more", hint);
        let hint = "switches and cards need time after a start: 5000 is usual";
        at_least("initdead_ms", t.initdead, t.deadtime.saturating_mul(2), "twice deadtime_ms or more", hint);
        let hint = "a unit that is late but alive would lose its addresses before anybody takes them over";
        at_least("lease_ms", t.lease, t.deadtime, "deadtime_ms or more", hint);
        found.0
    }
}
