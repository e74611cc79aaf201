//! What differs between two configurations, in sentences, with what it does to traffic.

mod dialects;
mod layer7;

use crate::{Config, Globals, Heartbeat, Lockdown, Node, RealServer, RequestedState, VirtualServer, Witness};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, fmt};

/// One difference. `impact` says whom it hurts, where it hurts somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Change {
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.impact {
            Some(impact) => write!(f, " ({impact})"),
            None => Ok(()),
        }
    }
}

/// The differences from `old` to `new`; empty exactly when the two are equal.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let mut list = List::default();
    node(&old.node, &new.node, &mut list);
    globals(&old.globals, &new.globals, &mut list);
    virtual_servers(&old.virtual_servers, &new.virtual_servers, &mut list);
    layer7::layer7(&old.layer7, &new.layer7, &mut list);
    dialects::dialects(&old.dialects, &new.dialects, &mut list);
    if old.fallback_page != new.fallback_page {
        list.add(match (&old.fallback_page, &new.fallback_page) {
            (_, None) => "Go back to the shipped fallback page".to_owned(),
            (None, Some(page)) => format!("Set a fallback page of {} bytes", page.as_str().len()),
            (Some(_), Some(page)) => format!("Change the fallback page, now {} bytes", page.as_str().len()),
        });
    }
    pair(old, new, &mut list);
    if list.0.is_empty() && old != new {
        list.add("Reorder the entries of the configuration");
    }
    list.0
}

#[derive(Default)]
struct List(Vec<Change>);

impl List {
    fn add(&mut self, text: impl Into<String>) {
        self.0.push(Change { text: text.into(), impact: None });
    }

    fn hurting(&mut self, text: impl Into<String>, impact: impl Into<String>) {
        self.0.push(Change { text: text.into(), impact: Some(impact.into()) });
    }

    fn set<T: PartialEq + fmt::Display>(&mut self, what: &str, old: T, new: T) {
        if old != new {
            self.add(format!("Change {what} from {old} to {new}"));
        }
    }
}

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_owned(), |v| v.to_string())
}

fn joined<T: ToString>(values: &[T]) -> String {
    match values {
        [] => "none".to_owned(),
        all => all.iter().map(T::to_string).collect::<Vec<_>>().join(", "),
    }
}

const CUTS_OFF: &str = "may cut off whoever is connected through it";

fn node(old: &Node, new: &Node, list: &mut List) {
    list.set("host name", &old.hostname, &new.hostname);
    list.set("nameservers", joined(&old.nameservers), joined(&new.nameservers));
    for interface in &new.interfaces {
        let Some(before) = old.interfaces.iter().find(|i| i.name == interface.name) else {
            list.add(format!("Add interface {} with {}", interface.name, joined(&interface.addresses)));
            continue;
        };
        for address in interface.addresses.iter().filter(|a| !before.addresses.contains(a)) {
            list.add(format!("Add address {address} to {}", interface.name));
        }
        for address in before.addresses.iter().filter(|a| !interface.addresses.contains(a)) {
            list.hurting(format!("Remove address {address} from {}", interface.name), CUTS_OFF);
        }
        list.set(&format!("MTU of {}", interface.name), shown(before.mtu), shown(interface.mtu));
    }
    for gone in old.interfaces.iter().filter(|o| !new.interfaces.iter().any(|n| n.name == o.name)) {
        list.hurting(format!("Take {} out of use, with {}", gone.name, joined(&gone.addresses)), CUTS_OFF);
    }
    for (what, a, b) in [
        ("default gateway", shown(old.gateway), shown(new.gateway)),
        ("IPv6 default gateway", shown(old.gateway6), shown(new.gateway6)),
    ] {
        if a != b {
            list.hurting(format!("Change {what} from {a} to {b}"), "may cut off clients and administrators behind it");
        }
    }
    for route in new.routes.iter().filter(|r| !old.routes.contains(r)) {
        list.add(format!("Add route to {} through {}", route.to, route.via));
    }
    for route in old.routes.iter().filter(|r| !new.routes.contains(r)) {
        list.hurting(
            format!("Remove route to {} through {}", route.to, route.via),
            "that network may become unreachable",
        );
    }
}

fn globals(old: &Globals, new: &Globals, list: &mut List) {
    let (h, g) = (&old.health, &new.health);
    list.set("health check interval", format!("{} s", h.interval), format!("{} s", g.interval));
    list.set("health check timeout", format!("{} s", h.timeout), format!("{} s", g.timeout));
    list.set("negotiate timeout", format!("{} s", h.negotiate_timeout), format!("{} s", g.negotiate_timeout));
    list.set("failure count", h.fall, g.fall);
    list.set("success count", h.rise, g.rise);
    list.set("quiescent", on(h.quiescent), on(g.quiescent));
    list.set("default forwarding method", old.default_forwarding, new.default_forwarding);
    if old.masquerade != new.masquerade {
        match new.masquerade {
            true => list.add("Turn MASQUERADE on"),
            false => list.hurting("Turn MASQUERADE off", "real servers can no longer reach out"),
        }
    }
    list.set("TCP time-out", format!("{} s", old.timeouts.tcp), format!("{} s", new.timeouts.tcp));
    list.set("TCP FIN time-out", format!("{} s", old.timeouts.tcp_fin), format!("{} s", new.timeouts.tcp_fin));
    list.set("UDP time-out", format!("{} s", old.timeouts.udp), format!("{} s", new.timeouts.udp));
    list.set("time servers", joined(&old.time_servers), joined(&new.time_servers));
    lockdown(&old.lockdown, &new.lockdown, list);
}

fn lockdown(old: &Lockdown, new: &Lockdown, list: &mut List) {
    match (old.enabled, new.enabled) {
        (false, true) => list.hurting(
            "Turn the firewall lock-down on",
            "SSH and the web interface take new connections from the management networks only",
        ),
        (true, false) => list.hurting(
            "Turn the firewall lock-down off",
            "SSH and the web interface take connections from everywhere again",
        ),
        _ => {}
    }
    for network in new.networks.iter().filter(|n| !old.networks.contains(n)) {
        list.add(format!("Add management network {network}"));
    }
    for network in old.networks.iter().filter(|n| !new.networks.contains(n)) {
        let text = format!("Remove management network {network}");
        match old.enabled && new.enabled {
            true => list.hurting(text, "SSH and the web interface take no new connections from there any more"),
            false => list.add(text),
        }
    }
}

fn pair(old: &Config, new: &Config, list: &mut List) {
    let unit = |c: &Config| c.node.unit.map_or_else(|| "a single unit".to_owned(), |u| format!("unit {u} of a pair"));
    if old.node.unit != new.node.unit {
        list.add(format!("Change this unit from {} to {}", unit(old), unit(new)));
    }
    for address in new.floating_ips.iter().filter(|a| !old.floating_ips.contains(a)) {
        list.add(format!("Add floating IP {address}"));
    }
    for address in old.floating_ips.iter().filter(|a| !new.floating_ips.contains(a)) {
        list.hurting(format!("Remove floating IP {address}"), "cuts off whoever uses it, such as NAT servers' gateway");
    }
    match (&old.heartbeat, &new.heartbeat) {
        (None, None) => {}
        (None, Some(_)) => list.add("Set up the heartbeat of a pair"),
        (Some(_), None) => list.add("Remove the heartbeat: this unit is no longer one of a pair"),
        (Some(old), Some(new)) => heartbeat(old, new, list),
    }
}

fn heartbeat(old: &Heartbeat, new: &Heartbeat, list: &mut List) {
    let ms = |value: u32| format!("{value} ms");
    list.set("keepalive", ms(old.keepalive_ms), ms(new.keepalive_ms));
    list.set("warning time", ms(old.warntime_ms), ms(new.warntime_ms));
    list.set("dead time", ms(old.deadtime_ms), ms(new.deadtime_ms));
    list.set("initial dead time", ms(old.initdead_ms), ms(new.initdead_ms));
    list.set("lease of floating IPs", ms(old.lease_ms), ms(new.lease_ms));
    list.set("auto-failback", on(old.auto_failback), on(new.auto_failback));
    list.set("fail-back delay", ms(old.failback_delay_ms), ms(new.failback_delay_ms));
    list.set("preferred unit", shown(old.preferred), shown(new.preferred));
    list.set("ping nodes", joined(&old.ping_nodes), joined(&new.ping_nodes));
    let failover = (on(old.failover_on_network_failure), on(new.failover_on_network_failure));
    list.set("fail-over on network failure", failover.0, failover.1);
    let witness = |w: Option<Witness>| match w {
        None => "none".to_owned(),
        Some(Witness::Address(address)) => address.to_string(),
        Some(Witness::FloatingNetwork) => "the floating IPs' network".to_owned(),
    };
    list.set("witness", witness(old.witness), witness(new.witness));
    list.set("announcement interval", ms(old.announce_every_ms), ms(new.announce_every_ms));
    if old.sync_id != new.sync_id {
        let text = format!("Change the connection synchronisation id from {} to {}", old.sync_id, new.sync_id);
        list.hurting(text, "connections are sent again to the other unit");
    }
    for path in new.paths.iter().filter(|p| !old.paths.contains(p)) {
        list.add(format!("Add heartbeat path {path}"));
    }
    for path in old.paths.iter().filter(|p| !new.paths.contains(p)) {
        list.add(format!("Remove heartbeat path {path}"));
    }
}

fn on(b: bool) -> &'static str {
    if b { "on" } else { "off" }
}

fn virtual_servers(old: &[VirtualServer], new: &[VirtualServer], list: &mut List) {
    let before: HashMap<_, _> = old.iter().map(|v| (&v.label, v)).collect();
    let after: HashMap<_, _> = new.iter().map(|v| (&v.label, v)).collect();
    // A virtual server that only got another label is the same service: say so, instead of remove and add.
    let renamed = |v: &VirtualServer| {
        old.iter()
            .find(|o| o.service == v.service && !after.contains_key(&o.label))
            .filter(|_| !before.contains_key(&v.label))
    };
    for vs in new {
        match before.get(&vs.label).copied().or_else(|| renamed(vs)) {
            None => {
                list.add(format!("Add virtual server {} on {} ({})", vs.label, vs.service, vs.scheduler));
                for rs in &vs.real_servers {
                    list.add(format!("Add real server {} to {}", described(rs), vs.label));
                }
            }
            Some(was) if was != vs => virtual_server(was, vs, list),
            Some(_) => {}
        }
    }
    for gone in old.iter().filter(|o| !after.contains_key(&o.label)) {
        if !new.iter().any(|n| n.service == gone.service && !before.contains_key(&n.label)) {
            list.hurting(format!("Remove virtual server {} on {}", gone.label, gone.service), drops(gone));
        }
    }
}

fn described(rs: &RealServer) -> String {
    let port = rs.port.map_or_else(String::new, |p| format!(" port {p}"));
    format!("{} at {}{port} ({}, weight {})", rs.label, rs.address, rs.forwarding, rs.weight)
}

fn drops(vs: &VirtualServer) -> String {
    format!("drops sessions on {}", vs.label)
}

fn virtual_server(old: &VirtualServer, new: &VirtualServer, list: &mut List) {
    let label = &new.label;
    if old.label != new.label {
        list.add(format!("Rename virtual server {} to {label}", old.label));
    }
    if old.service != new.service {
        list.hurting(format!("Move virtual server {label} from {} to {}", old.service, new.service), drops(new));
    }
    list.set(&format!("scheduler of {label}"), old.scheduler, new.scheduler);
    list.set(&format!("port hashing of {label}"), on(old.hash_port), on(new.hash_port));
    list.set(&format!("one-packet scheduling of {label}"), on(old.one_packet), on(new.one_packet));
    if old.persistence != new.persistence {
        let word = |p: Option<crate::Persistence>| {
            p.map_or_else(
                || "none".to_owned(),
                |p| format!("{} s{}", p.timeout, p.granularity.map_or_else(String::new, |g| format!(" by /{g}"))),
            )
        };
        let text = format!("Change persistence of {label} from {} to {}", word(old.persistence), word(new.persistence));
        list.hurting(text, format!("may move clients of {label} to another server"));
    }
    if old.check != new.check {
        list.add(match old.check.method == new.check.method {
            true => format!("Change the health check settings of {label}"),
            false => format!("Change the health check of {label} from {} to {}", old.check.method, new.check.method),
        });
    }
    list.set(&format!("agent of {label}"), shown(old.agent.as_ref()), shown(new.agent.as_ref()));
    list.set(&format!("quiescent of {label}"), old.quiescent.map_or("global", on), new.quiescent.map_or("global", on));
    let fallback = |v: &VirtualServer| {
        shown(
            v.fallback
                .as_ref()
                .map(|f| format!("{}{}", f.address, f.port.map_or_else(String::new, |p| format!(" port {p}")))),
        )
    };
    list.set(&format!("fallback server of {label}"), fallback(old), fallback(new));
    real_servers(old, new, list);
}

fn real_servers(old: &VirtualServer, new: &VirtualServer, list: &mut List) {
    let before: HashMap<_, _> = old.real_servers.iter().map(|r| (&r.label, r)).collect();
    let vs = &new.label;
    for rs in &new.real_servers {
        match before.get(&rs.label) {
            None => list.add(format!("Add real server {} to {vs}", described(rs))),
            Some(was) if *was != rs => real_server(was, rs, vs.as_str(), list),
            Some(_) => {}
        }
    }
    for gone in old.real_servers.iter().filter(|o| !new.real_servers.iter().any(|n| n.label == o.label)) {
        list.hurting(
            format!("Remove real server {} from {vs}", described(gone)),
            format!("drops its sessions on {vs}"),
        );
    }
}

fn real_server(old: &RealServer, new: &RealServer, vs: &str, list: &mut List) {
    let name = format!("{} in {vs}", new.label);
    if (old.address, old.port) != (new.address, new.port) {
        let place =
            |r: &RealServer| format!("{}{}", r.address, r.port.map_or_else(String::new, |p| format!(" port {p}")));
        list.hurting(
            format!("Move {name} from {} to {}", place(old), place(new)),
            format!("drops its sessions on {vs}"),
        );
    }
    if old.forwarding != new.forwarding {
        let text = format!("Change forwarding method of {name} from {} to {}", old.forwarding, new.forwarding);
        list.hurting(text, "existing connections keep the old method");
    }
    list.set(&format!("tunnel of {name}"), old.tunnel, new.tunnel);
    list.set(&format!("weight of {name}"), old.weight, new.weight);
    list.set(&format!("minimum connections of {name}"), old.min_connections, new.min_connections);
    list.set(&format!("maximum connections of {name}"), old.max_connections, new.max_connections);
    match (old.state == new.state, new.state) {
        (true, _) => {}
        (_, RequestedState::Online) => list.add(format!("Take {name} online")),
        (_, RequestedState::Drain) => list.add(format!("Drain {name}: no new clients, those connected stay")),
        (_, RequestedState::Offline) => {
            list.hurting(format!("Take {name} offline"), format!("moves its clients on {vs}"))
        }
    }
}
