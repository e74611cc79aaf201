//! Problems of layer 7 virtual servers and their real servers.

use super::{Found, tls, unusable, virtual_servers::routed};
use crate::{
    Config, Family, Layer7, Layer7RealServer, Layer7VirtualServer, Protocol, Service,
    layer7::{
        Balance, CheckExpect, CheckVerb, CookieName, HeaderOperation, HeaderRule, Layer7Check, Layer7Persistence,
        Outcome, ProxyMode, SourceTable, Test,
    },
};
use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
};

/// Each place takes a socket, and its line in HAProxy's configuration.
const MOST_PORTS: usize = 64;
const MOST_CONNECTIONS: u32 = 1_000_000;
const A_YEAR: u32 = 31_536_000;

/// Where the appliance itself answers on each of its addresses: SSH, the pair's channel, the web interface, the
/// fallback page and what HAProxy remembers.
const OWN_PORTS: &[u16] = &[22, 6694, 9080, 9081, crate::layer7::PEERS_PORT, 9443];

pub(super) fn check(config: &Config, found: &mut Found) {
    let layer7 = &config.layer7;
    for (name, _, value) in layer7.timeouts.words() {
        found.range("/layer7/timeouts", name, value, 1, 86_400, " seconds");
    }
    found.range("/layer7", "max_connections", layer7.max_connections, 0, Layer7::MOST_CONNECTIONS, "");
    tls::certificates(layer7, found);
    let mut labels: HashSet<_> = config.virtual_servers.iter().map(|vs| &vs.label).collect();
    let mut places: HashMap<SocketAddr, &Layer7VirtualServer> = HashMap::new();
    for (i, vs) in layer7.virtual_servers.iter().enumerate() {
        let at = format!("/layer7/virtual_servers/{i}");
        if !labels.insert(&vs.label) {
            let reason = "another virtual server has this label";
            found.add(format!("{at}/label"), &vs.label, reason, "labels must differ, also between layer 4 and layer 7");
        }
        super::virtual_servers::vip(config, &format!("{at}/address"), vs.address, found);
        ports(config, vs, &at, &mut places, found);
        settings(vs, &at, found);
        only_http(vs, &at, found);
        tls::check(layer7, vs, &at, found);
        persistence(vs, &at, found);
        health(&vs.check, &at, found);
        found.agent(&at, vs.agent.as_ref());
        rules(config, vs, &at, found);
        fallback(config, vs, &at, found);
        tls::servers(layer7, vs, &at, found);
        real_servers(config, vs, &at, found);
    }
}

fn ports<'a>(
    config: &Config,
    vs: &'a Layer7VirtualServer,
    at: &str,
    places: &mut HashMap<SocketAddr, &'a Layer7VirtualServer>,
    found: &mut Found,
) {
    let path = || format!("{at}/ports");
    if vs.ports.is_any() || vs.places().nth(MOST_PORTS).is_some() {
        let reason = format!("are more than {MOST_PORTS} ports");
        return found.add(path(), &vs.ports, reason, "name the ports that are needed; for all ports use layer 4");
    }
    let layer4 = config.virtual_servers.iter().find(|other| match &other.service {
        Service::Address { address, protocol: Protocol::Tcp, ports, .. } => {
            *address == vs.address && ports.overlaps(&vs.ports)
        }
        _ => false,
    });
    if let Some(other) = layer4 {
        let reason = format!("layer 4 virtual server {} has {} already", other.label, other.service);
        found.add(path(), &vs.ports, reason, "use another port or address");
    }
    if let Some(place) = vs.places().find(|place| OWN_PORTS.contains(&place.port())) {
        let reason = format!("the appliance itself answers on port {}", place.port());
        found.add(path(), &vs.ports, reason, "use another port");
    }
    for place in vs.places() {
        if let Some(other) = places.insert(place, vs).filter(|other| other.label != vs.label) {
            let reason = format!("virtual server {} has {place} already", other.label);
            return found.add(path(), &vs.ports, reason, "use another port or address");
        }
    }
}

fn settings(vs: &Layer7VirtualServer, at: &str, found: &mut Found) {
    for (name, _, value) in vs.timeouts.words() {
        if let Some(value) = value {
            found.range(&format!("{at}/timeouts"), name, value, 1, 86_400, " seconds");
        }
    }
    found.range(at, "max_connections", vs.max_connections, 0, MOST_CONNECTIONS, "");
    found.range(at, "slow_start", vs.slow_start, 0, 3600, " seconds");
    if let Some(limits) = vs.limits {
        let at = format!("{at}/limits");
        found.range(&at, "requests_per_10s", limits.requests_per_10s, 0, MOST_CONNECTIONS, "");
        found.range(&at, "connections", limits.connections, 0, MOST_CONNECTIONS, "");
    }
    if vs.slow_start > 0 && matches!(vs.balance, Balance::Source | Balance::First) {
        let reason = format!("balance {} knows no slow start", vs.balance);
        found.add(format!("{at}/slow_start"), vs.slow_start, reason, "use roundrobin, leastconn or random, or 0");
    }
}

/// What reads or changes requests.
fn only_http(vs: &Layer7VirtualServer, at: &str, found: &mut Found) {
    if vs.mode == ProxyMode::Http {
        return;
    }
    let options = [
        ("compression", vs.compression),
        ("redirect_https", vs.redirect_https),
        ("rules", !vs.rules.is_empty()),
        ("request_headers", !vs.request_headers.is_empty()),
        ("response_headers", !vs.response_headers.is_empty()),
        ("fallback_page", vs.fallback_page.is_some()),
    ];
    for (name, used) in options {
        if used {
            found.add(format!("{at}/{name}"), "set", "needs mode http", "set mode http, or leave it out");
        }
    }
}

fn persistence(vs: &Layer7VirtualServer, at: &str, found: &mut Found) {
    let Some(persistence) = &vs.persistence else { return };
    let at = format!("{at}/persistence");
    let (needs, table, source) = match persistence {
        Layer7Persistence::Cookie(c) => {
            for (name, value) in [("idle", c.idle), ("life", c.life)] {
                if let Some(value) = value {
                    found.range(&at, name, value, 1, A_YEAR, " seconds");
                }
            }
            (Some(ProxyMode::Http), None, c.source)
        }
        Layer7Persistence::ApplicationCookie(c) => {
            found.range(&at, "timeout", c.timeout, 1, A_YEAR, " seconds");
            found.range(&at, "size", c.size, 1, 10_000_000, "");
            (Some(ProxyMode::Http), None, c.source)
        }
        Layer7Persistence::Source(table) => (None, Some(*table), None),
        Layer7Persistence::RdpCookie(table) | Layer7Persistence::SslSessionId(table) => {
            (Some(ProxyMode::Tcp), Some(*table), None)
        }
    };
    if let Some(mode) = needs.filter(|mode| *mode != vs.mode) {
        let hint = match mode {
            ProxyMode::Http => "set mode http, or use persistence by source",
            ProxyMode::Tcp => "set mode tcp, or use a cookie",
        };
        found.add(format!("{at}/type"), persistence, format!("needs mode {mode}"), hint);
    }
    let tables = [(at.clone(), table), (format!("{at}/source"), source)];
    for (at, SourceTable { timeout, size, granularity }) in tables.into_iter().filter_map(|(at, t)| Some((at, t?))) {
        found.range(&at, "timeout", timeout, 1, A_YEAR, " seconds");
        found.range(&at, "size", size, 1, 10_000_000, "");
        if let Some(bits) = granularity {
            found.range(&at, "granularity", bits.into(), 1, Family::of(vs.address).bits().into(), " bits");
        }
    }
}

fn health(check: &Layer7Check, at: &str, found: &mut Found) {
    let at = format!("{at}/check");
    found.check_numbers(&at, [check.interval, check.timeout, check.fall, check.rise], check.port);
    if let Some(path) = check.request.as_ref().filter(|p| !p.as_str().starts_with('/') || p.as_str().contains(' ')) {
        let hint = "begin with / and use no spaces, for example /check.html";
        found.add(format!("{at}/request"), path, "is not a path", hint);
    }
    let host = |host: &&crate::layer7::HttpText| {
        !host.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
    };
    if let Some(host) = check.virtual_host.as_ref().filter(host) {
        found.add(format!("{at}/virtual_host"), host, "is not a host name", "for example www.example.com");
    }
    let told = [
        ("request", check.request.is_some()),
        ("virtual_host", check.virtual_host.is_some()),
        ("status", check.status.is_some()),
        ("response", check.response.is_some()),
        ("expect", check.expect != CheckExpect::default()),
        ("verb", check.verb != CheckVerb::default()),
    ];
    if check.method.is_http() && check.response.is_none() && check.expect != CheckExpect::default() {
        let hint = "say what the answer is compared with in response, or leave it out";
        found.add(format!("{at}/expect"), check.expect, "there is nothing to compare with", hint);
    }
    for (name, _) in told.into_iter().filter(|(_, told)| *told && !check.method.is_http()) {
        let reason = format!("check method {} asks for none", check.method);
        found.add(format!("{at}/{name}"), "set", reason, "use method http or https, or leave it out");
    }
}

fn rules(config: &Config, vs: &Layer7VirtualServer, at: &str, found: &mut Found) {
    for (name, len) in [
        ("rules", vs.rules.len()),
        ("request_headers", vs.request_headers.len()),
        ("response_headers", vs.response_headers.len()),
    ] {
        if len > 100 {
            found.add(format!("{at}/{name}"), len, "at most 100 are possible", "join rules with equal outcomes");
        }
    }
    for (i, rule) in vs.rules.iter().enumerate() {
        let at = format!("{at}/rules/{i}");
        let (values, paths) = match &rule.test {
            Test::PathBegins { values } => (values.len(), &values[..]),
            Test::PathEnds { values } | Test::Host { values } => (values.len(), &[][..]),
            Test::Header { values, .. } | Test::Query { values, .. } => (values.len(), &[][..]),
            Test::Source { values } => (values.len(), &[][..]),
        };
        if !(1..=100).contains(&values) {
            found.add(format!("{at}/test/values"), values, "must be 1 to 100 values", "");
        }
        for (j, path) in paths.iter().enumerate().filter(|(_, path)| !path.as_str().starts_with('/')) {
            found.add(format!("{at}/test/values/{j}"), path, "is not a path", "begin with /, for example /shop");
        }
        match &rule.then {
            Outcome::Use { virtual_server } => target(config, vs, virtual_server.as_str(), &at, found),
            Outcome::Redirect { to } if !["http://", "https://", "/"].iter().any(|p| to.as_str().starts_with(p)) => {
                let hint = "begin with http://, https:// or /";
                found.add(format!("{at}/then/to"), to, "is not a place to redirect to", hint);
            }
            Outcome::Redirect { .. } | Outcome::Refuse {} => {}
        }
    }
    for (name, headers) in [("request_headers", &vs.request_headers), ("response_headers", &vs.response_headers)] {
        for (i, HeaderRule { operation, value, .. }) in headers.iter().enumerate() {
            let path = format!("{at}/{name}/{i}/value");
            match (operation, value) {
                (HeaderOperation::Remove, Some(value)) => {
                    found.add(path, value, "a header that is removed has no value", "leave it out");
                }
                (HeaderOperation::Set | HeaderOperation::Add, None) => {
                    found.add(path, "none", format!("operation {operation} needs a value"), "");
                }
                _ => {}
            }
        }
    }
}

fn target(config: &Config, vs: &Layer7VirtualServer, label: &str, at: &str, found: &mut Found) {
    let path = format!("{at}/then/virtual_server");
    match config.layer7_virtual_server(label) {
        None => found.add(path, label, "there is no such layer 7 virtual server", "add it first"),
        Some(target) if target.label == vs.label => {
            found.add(path, label, "is this virtual server itself", "without a rule its own servers serve");
        }
        Some(target) if target.mode != ProxyMode::Http => found.add(path, label, "is not of mode http", ""),
        Some(target) if inserted(vs).is_some() && inserted(vs) == inserted(target) => {
            let reason = "inserts a cookie of the same name, so that each would undo the other's";
            found.add(path, label, reason, "give one of the two another cookie name");
        }
        Some(_) => {}
    }
}

/// The cookie that HAProxy itself sends to clients.
fn inserted(vs: &Layer7VirtualServer) -> Option<&CookieName> {
    match &vs.persistence {
        Some(Layer7Persistence::Cookie(cookie)) => Some(&cookie.name),
        _ => None,
    }
}

fn fallback(config: &Config, vs: &Layer7VirtualServer, at: &str, found: &mut Found) {
    let Some(fallback) = vs.fallback.as_ref().filter(|f| !f.is_page()) else { return };
    let at = format!("{at}/fallback");
    if let Some(reason) = unusable(fallback.address) {
        found.add(format!("{at}/address"), fallback.address, reason, "");
    } else if config.node.owns(fallback.address) {
        let hint = "for the unit's fallback page use 127.0.0.1:9081";
        found.add(format!("{at}/address"), fallback.address, "is this unit's own address", hint);
    }
    if fallback.port == Some(0) {
        found.add(format!("{at}/port"), 0, "0 is not a port", "use 1 to 65535, or leave it out");
    }
}

fn real_servers(config: &Config, vs: &Layer7VirtualServer, at: &str, found: &mut Found) {
    let mut labels = HashSet::new();
    let (mut places, mut cookies) = (HashSet::new(), HashSet::new());
    for (j, rs) in vs.real_servers.iter().enumerate() {
        let at = format!("{at}/real_servers/{j}");
        let new = labels.insert(&rs.label);
        if !new {
            let reason = format!("another real server of {} has this label", vs.label);
            found.add(format!("{at}/label"), &rs.label, reason, "labels must differ");
        }
        // Where no cookie is set, another label mends this too.
        if !cookies.insert(rs.cookie_value()) && (new || rs.cookie.is_some()) {
            let reason = format!("another real server of {} has this in its cookie", vs.label);
            found.add(format!("{at}/cookie"), rs.cookie_value(), reason, "where none is set it is the label");
        }
        if !places.insert((rs.address, rs.port)) {
            let reason = format!("this real server is in {} already", vs.label);
            found.add(format!("{at}/address"), rs.address, reason, "change its weight instead");
        }
        real_server(config, vs, rs, &at, found);
    }
}

fn real_server(config: &Config, vs: &Layer7VirtualServer, rs: &Layer7RealServer, at: &str, found: &mut Found) {
    let path = || format!("{at}/address");
    let place = rs.port.map(|port| SocketAddr::new(rs.address, port));
    let itself = place.map_or(rs.address == vs.address, |place| vs.places().any(|own| own == place));
    if let Some(reason) = unusable(rs.address) {
        found.add(path(), rs.address, reason, "");
    } else if itself {
        found.add(path(), rs.address, "is the virtual server itself", "enter the real server's own address");
    } else if !config.node.owns(rs.address) && !routed(config, rs.address) {
        let reason = "cannot be reached: no card's network, route or default gateway leads there";
        found.add(path(), rs.address, reason, "add a route or a default gateway");
    }
    if rs.port == Some(0) {
        found.add(format!("{at}/port"), 0, "0 is not a port", "use 1 to 65535, or leave it out");
    }
    found.range(at, "weight", rs.weight.into(), 0, 256, "");
    found.range(at, "max_connections", rs.max_connections, 0, MOST_CONNECTIONS, "");
    if rs.min_connections > rs.max_connections {
        let reason = match rs.max_connections {
            0 => "has no meaning without a maximum".to_owned(),
            max => format!("is above the maximum of {max}"),
        };
        let hint = "under little load the maximum shrinks to the minimum: set both, or the minimum to 0";
        found.add(format!("{at}/min_connections"), rs.min_connections, reason, hint);
    }
    let (client, server) = (Family::of(vs.address), Family::of(rs.address));
    if vs.transparent && client != server {
        let reason = format!("a transparent virtual server's clients are {client}, this server is {server}");
        found.add(path(), rs.address, reason, "turn transparent off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_own_ports_are_the_guides() {
        let guide = include_str!("../../../../docs/guide/15-reference.md");
        let (_, table) = guide.split_once("## Ports of the unit").expect("a table of ports");
        let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split_once("/tcp |"));
        let mut ports: Vec<u16> = rows.filter_map(|(port, _)| port.parse().ok()).collect();
        ports.sort_unstable();
        assert_eq!(ports, OWN_PORTS);
    }
}
