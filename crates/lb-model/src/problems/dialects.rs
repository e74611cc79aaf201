//! Problems of what the cloud dialects keep. What it becomes in virtual servers is judged there.

use super::{Found, unusable};
use crate::{
    Config,
    dialects::{
        ovh::{
            MOST_FARMS, MOST_FRONTENDS, MOST_SERVERS, MOST_SSL, MOST_TASKS, Ovh, OvhFarm, OvhFrontend, OvhKind,
            OvhObjects,
        },
        rackspace::{
            LONGEST_CERTIFICATE, LONGEST_ERROR_PAGE, MOST_ACCESS_ITEMS, MOST_LOAD_BALANCERS, MOST_METADATA, MOST_NODES,
            Rackspace, RackspaceLoadBalancer, RackspaceMetadata,
        },
    },
};
use std::{collections::HashSet, net::IpAddr};

const MOST_ADDRESSES: usize = 256;
const BIGGEST_ID: u32 = i32::MAX as u32;

pub(super) fn check(config: &Config, found: &mut Found) {
    if config.dialects.is_unused() {
        return;
    }
    rackspace(&config.dialects.rackspace, found);
    ovh(&config.dialects.ovh, found);
}

/// Numbers that were given, each once, all below the next.
struct Ids {
    next: u32,
    given: HashSet<u32>,
}

impl Ids {
    fn take(&mut self, at: &str, id: u32, found: &mut Found) {
        if !(1..self.next).contains(&id) {
            found.add(format!("{at}/id"), id, format!("must be 1 to {}", self.next.saturating_sub(1)), "");
        } else if !self.given.insert(id) {
            found.add(format!("{at}/id"), id, "another object has this number", "");
        }
    }
}

fn most(at: String, count: usize, limit: usize, found: &mut Found) {
    if count > limit {
        found.add(at, count, format!("at most {limit} are possible"), "");
    }
}

fn addresses(at: &str, list: &[IpAddr], found: &mut Found) {
    most(at.to_owned(), list.len(), MOST_ADDRESSES, found);
    for (i, address) in list.iter().enumerate() {
        if let Some(reason) = unusable(*address) {
            found.add(format!("{at}/{i}"), address, reason, "use an address that clients can reach");
        }
    }
}

fn length(at: String, text: &str, from: usize, to: usize, found: &mut Found) {
    let count = text.chars().count();
    if !(from..=to).contains(&count) {
        found.add(at, format!("{count} characters"), format!("must be {from} to {to} characters"), "");
    }
}

fn port(at: &str, port: u16, found: &mut Found) {
    if port == 0 {
        found.add(format!("{at}/port"), 0, "0 is not a port", "use 1 to 65535");
    }
}

fn rackspace(state: &Rackspace, found: &mut Found) {
    let at = "/dialects/rackspace";
    found.range(at, "account", state.account, 1, BIGGEST_ID, "");
    found.range(at, "next_id", state.next_id, 1, BIGGEST_ID, "");
    addresses(&format!("{at}/public"), &state.public, found);
    addresses(&format!("{at}/servicenet"), &state.servicenet, found);
    most(format!("{at}/virtual_ips"), state.virtual_ips.len(), 1000, found);
    most(format!("{at}/load_balancers"), state.load_balancers.len(), MOST_LOAD_BALANCERS, found);
    let mut ids = Ids { next: state.next_id, given: HashSet::new() };
    for (i, ip) in state.virtual_ips.iter().enumerate() {
        ids.take(&format!("{at}/virtual_ips/{i}"), ip.id, found);
    }
    for (i, lb) in state.load_balancers.iter().enumerate() {
        load_balancer(state, lb, &format!("{at}/load_balancers/{i}"), &mut ids, found);
    }
}

fn load_balancer(state: &Rackspace, lb: &RackspaceLoadBalancer, at: &str, ids: &mut Ids, found: &mut Found) {
    ids.take(at, lb.id, found);
    length(format!("{at}/name"), &lb.name, 1, 128, found);
    port(at, lb.port, found);
    found.range(at, "timeout", lb.timeout, 30, 120, " seconds");
    if lb.virtual_ips.is_empty() || lb.virtual_ips.len() > 26 {
        found.add(format!("{at}/virtual_ips"), lb.virtual_ips.len(), "must be 1 to 26", "");
    }
    for (i, id) in lb.virtual_ips.iter().enumerate() {
        if state.virtual_ip(*id).is_none() || lb.virtual_ips[..i].contains(id) {
            found.add(format!("{at}/virtual_ips/{i}"), id, "is no virtual IP, or is named twice", "");
        }
    }
    if let Some(mode) = lb.session_persistence.filter(|mode| !lb.protocol.takes(*mode)) {
        let reason = format!("does not go with protocol {}", lb.protocol);
        found.add(format!("{at}/session_persistence"), mode, reason, "use HTTP_COOKIE with HTTP, SOURCE_IP otherwise");
    }
    most(format!("{at}/nodes"), lb.nodes.len(), MOST_NODES, found);
    for (i, node) in lb.nodes.iter().enumerate() {
        let at = format!("{at}/nodes/{i}");
        ids.take(&at, node.id, found);
        port(&at, node.port, found);
        found.range(&at, "weight", node.weight.into(), 1, 100, "");
        if lb.nodes[..i].iter().any(|other| (other.address, other.port) == (node.address, node.port)) {
            found.add(format!("{at}/address"), node.address, "this node is there already", "");
        }
        metadata(&node.metadata, &format!("{at}/metadata"), ids, found);
    }
    if let Some(monitor) = &lb.health_monitor {
        let at = format!("{at}/health_monitor");
        found.range(&at, "delay", monitor.delay, 1, 3600, " seconds");
        found.range(&at, "timeout", monitor.timeout, 1, 300, " seconds");
        found.range(&at, "attempts", monitor.attempts, 1, 10, "");
        let texts = [
            ("path", &monitor.path, 1, 128),
            ("status_regex", &monitor.status_regex, 0, 128),
            ("body_regex", &monitor.body_regex, 0, 128),
            ("host_header", &monitor.host_header, 1, 256),
        ];
        for (name, text, from, to) in texts {
            if let Some(text) = text {
                length(format!("{at}/{name}"), text, from, to, found);
            }
        }
    }
    if let Some(throttle) = &lb.connection_throttle {
        let at = format!("{at}/connection_throttle");
        found.range(&at, "max_connections", throttle.max_connections, 0, 100_000, "");
        found.range(&at, "min_connections", throttle.min_connections.unwrap_or(0), 0, 1000, "");
        found.range(&at, "max_connection_rate", throttle.max_connection_rate.unwrap_or(0), 0, 100_000, "");
        found.range(&at, "rate_interval", throttle.rate_interval.unwrap_or(1), 1, 3600, " seconds");
    }
    most(format!("{at}/access_list"), lb.access_list.len(), MOST_ACCESS_ITEMS, found);
    for (i, item) in lb.access_list.iter().enumerate() {
        ids.take(&format!("{at}/access_list/{i}"), item.id, found);
    }
    let page = lb.error_page.as_ref().map_or(0, String::len);
    most(format!("{at}/error_page"), page, LONGEST_ERROR_PAGE, found);
    if let Some(ssl) = &lb.ssl_termination {
        let at = format!("{at}/ssl_termination");
        if ssl.secure_port == 0 || ssl.secure_port == lb.port {
            let hint = "use 1 to 65535, and not the load balancer's own";
            found.add(format!("{at}/secure_port"), ssl.secure_port, "is no port for this", hint);
        }
        if !lb.protocol.takes_ssl_termination() {
            found.add(at.clone(), lb.protocol, "does not go with SSL termination", "use HTTP, for example");
        }
        let intermediate = ssl.intermediate_certificate.as_ref().map_or(0, String::len);
        most(format!("{at}/certificate"), ssl.certificate.len(), LONGEST_CERTIFICATE, found);
        most(format!("{at}/intermediate_certificate"), intermediate, LONGEST_CERTIFICATE, found);
    }
    metadata(&lb.metadata, &format!("{at}/metadata"), ids, found);
}

fn metadata(list: &[RackspaceMetadata], at: &str, ids: &mut Ids, found: &mut Found) {
    most(at.to_owned(), list.len(), MOST_METADATA, found);
    for (i, item) in list.iter().enumerate() {
        let at = format!("{at}/{i}");
        ids.take(&at, item.id, found);
        length(format!("{at}/key"), &item.key, 1, 256, found);
        length(format!("{at}/value"), &item.value, 0, 256, found);
    }
}

fn ovh(state: &Ovh, found: &mut Found) {
    let at = "/dialects/ovh";
    let name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if !(1..=64).contains(&state.service_name.len()) || !state.service_name.chars().all(name) {
        let hint = "use 1 to 64 letters, digits, - and ., for example loadbalancer-1";
        found.add(format!("{at}/service_name"), &state.service_name, "is not a service's name", hint);
    }
    let zone = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !(1..=16).contains(&state.zone.len()) || !state.zone.chars().all(zone) || state.zone == "all" {
        let hint = "use 1 to 16 small letters and digits, for example rbx";
        found.add(format!("{at}/zone"), &state.zone, "is not a zone's name", hint);
    }
    if let Some((address, reason)) = state.address.and_then(|a| unusable(a).map(|reason| (a, reason))) {
        found.add(format!("{at}/address"), address, reason, "use an address that clients can reach");
    }
    if let Some(name) = &state.display_name {
        length(format!("{at}/display_name"), name, 0, 50, found);
    }
    found.range(at, "next_id", state.next_id, 1, BIGGEST_ID, "");
    most(format!("{at}/tasks"), state.tasks.len(), MOST_TASKS, found);
    for (name, objects) in [("objects", &state.objects), ("applied", &state.applied)] {
        let mut ids = Ids { next: state.next_id, given: HashSet::new() };
        for (i, task) in state.tasks.iter().enumerate() {
            ids.take(&format!("{at}/tasks/{i}"), task.id, found);
        }
        self::objects(state, objects, &format!("{at}/{name}"), &mut ids, found);
    }
}

fn objects(state: &Ovh, objects: &OvhObjects, at: &str, ids: &mut Ids, found: &mut Found) {
    most(format!("{at}/farms"), objects.farms.len(), MOST_FARMS, found);
    most(format!("{at}/frontends"), objects.frontends.len(), MOST_FRONTENDS, found);
    let zone = |at: &str, zone: &str, found: &mut Found| {
        if zone != "all" && zone != state.zone {
            found.add(format!("{at}/zone"), zone, format!("is neither all nor {}", state.zone), "");
        }
    };
    for (i, farm) in objects.farms.iter().enumerate() {
        let at = format!("{at}/farms/{i}");
        ids.take(&at, farm.id, found);
        zone(&at, &farm.zone, found);
        self::farm(farm, &at, ids, found);
    }
    for (i, frontend) in objects.frontends.iter().enumerate() {
        let at = format!("{at}/frontends/{i}");
        ids.take(&at, frontend.id, found);
        zone(&at, &frontend.zone, found);
        self::frontend(objects, frontend, &at, found);
    }
    most(format!("{at}/ssl"), objects.ssl.len(), MOST_SSL, found);
    for (i, ssl) in objects.ssl.iter().enumerate() {
        let at = format!("{at}/ssl/{i}");
        ids.take(&at, ssl.id, found);
        if let Some(name) = &ssl.display_name {
            length(format!("{at}/display_name"), name, 0, 255, found);
        }
        length(format!("{at}/subject"), &ssl.subject, 0, 255, found);
        length(format!("{at}/serial"), &ssl.serial, 0, 255, found);
    }
}

fn farm(farm: &OvhFarm, at: &str, ids: &mut Ids, found: &mut Found) {
    let udp = farm.kind == OvhKind::Udp;
    let told = [
        ("balance", farm.balance.is_some() && udp),
        ("stickiness", farm.stickiness.is_some() && udp),
        ("probe", farm.probe.is_some() && udp),
    ];
    for (name, _) in told.into_iter().filter(|(_, told)| *told) {
        found.add(format!("{at}/{name}"), "set", "a udp farm has none", "leave it out");
    }
    if udp && farm.port.is_none() {
        found.add(format!("{at}/port"), "none", "a udp farm needs a port", "");
    }
    if let Some(number) = farm.port {
        port(at, number, found);
    }
    if farm.kind == OvhKind::Tcp {
        use crate::dialects::ovh::{OvhBalance, OvhStickiness};
        if farm.stickiness == Some(OvhStickiness::Cookie) {
            found.add(format!("{at}/stickiness"), "cookie", "a tcp farm knows no cookies", "use sourceIp");
        }
        if farm.balance == Some(OvhBalance::Uri) {
            found.add(format!("{at}/balance"), "uri", "a tcp farm knows no paths", "");
        }
    }
    if let Some(name) = &farm.display_name {
        length(format!("{at}/display_name"), name, 0, 255, found);
    }
    if let Some(probe) = &farm.probe {
        let at = format!("{at}/probe");
        found.range(&at, "interval", probe.interval.unwrap_or(30), 30, 3600, " seconds");
        if let Some(number) = probe.port {
            port(&at, number, found);
        }
        for (name, text) in [("url", &probe.url), ("pattern", &probe.pattern)] {
            if let Some(text) = text {
                length(format!("{at}/{name}"), text, 0, 255, found);
            }
        }
    }
    most(format!("{at}/servers"), farm.servers.len(), MOST_SERVERS, found);
    for (i, server) in farm.servers.iter().enumerate() {
        let at = format!("{at}/servers/{i}");
        ids.take(&at, server.id, found);
        found.range(&at, "weight", server.weight.into(), 0, 256, "");
        if let Some(number) = server.port {
            port(&at, number, found);
        }
        let texts = [("chain", &server.chain, 65_536), ("display_name", &server.display_name, 255)];
        for (name, text, to) in texts.into_iter().chain([("cookie", &server.cookie, 64)]) {
            if let Some(text) = text {
                length(format!("{at}/{name}"), text, 0, to, found);
            }
        }
    }
}

fn frontend(objects: &OvhObjects, frontend: &OvhFrontend, at: &str, found: &mut Found) {
    let farm = |id: u32| objects.farm(id).filter(|farm| farm.kind == frontend.kind);
    if let Some(id) = frontend.default_farm.filter(|id| farm(*id).is_none()) {
        let reason = format!("there is no {} farm of this number", frontend.kind);
        found.add(format!("{at}/default_farm"), id, reason, "");
    }
    if !frontend.allowed_source.is_empty() && !frontend.denied_source.is_empty() {
        let reason = "allowed and denied sources exclude each other";
        found.add(format!("{at}/denied_source"), "both are set", reason, "leave one of the two out");
    }
    if frontend.kind != OvhKind::Http && (frontend.redirect_location.is_some() || !frontend.http_header.is_empty()) {
        found.add(format!("{at}/kind"), frontend.kind, "redirects and headers need a http front-end", "");
    }
    if let Some(id) = frontend.default_ssl.filter(|id| !objects.ssl.iter().any(|ssl| ssl.id == *id)) {
        found.add(format!("{at}/default_ssl"), id, "there is no certificate of this number", "");
    }
    if frontend.ssl && (frontend.kind == OvhKind::Udp || objects.ssl.is_empty()) {
        let reason = "needs a certificate, and http or tcp";
        found.add(format!("{at}/ssl"), true, reason, "add a certificate, or leave it out");
    }
    if frontend.hsts && !(frontend.ssl && frontend.kind == OvhKind::Http) {
        found.add(format!("{at}/hsts"), true, "needs http and ssl", "set ssl, or leave it out");
    }
    if let Some(name) = &frontend.display_name {
        length(format!("{at}/display_name"), name, 0, 255, found);
    }
    if let Some(to) = &frontend.redirect_location {
        length(format!("{at}/redirect_location"), to, 1, 1000, found);
    }
    most(format!("{at}/allowed_source"), frontend.allowed_source.len(), 100, found);
    most(format!("{at}/denied_source"), frontend.denied_source.len(), 100, found);
    most(format!("{at}/addresses"), frontend.addresses.len(), 16, found);
    most(format!("{at}/http_header"), frontend.http_header.len(), 100, found);
}
