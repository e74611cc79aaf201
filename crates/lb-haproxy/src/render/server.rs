//! Lines of real servers, and which of them the runtime API can make and take away (`add server`, `del server`: Management
//! Guide 9.3).
//!
//! HAProxy 2.6 makes a server at run time without `cookie` and `no-check-ssl`, not from `default-server`, and only where
//! the balance follows weights. Where it could not be exactly what the file says the line is part of the shape, and a
//! change of it a reload. Where it can, its number is a digest of its line: what runs says by itself what it was made of.

use super::{Definition, Lines, ServerKey, backend, lines::Change};
use lb_model::{
    Label, Layer7RealServer, Layer7VirtualServer, RequestedState,
    layer7::{Balance, Layer7CheckMethod, Layer7Persistence, SendProxy},
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// No label has a `:`.
pub(crate) const FALLBACK: &str = ":fallback";

/// Consistent hashing spreads a server by its number times 4096 in 32 bits (`SRV_EWGHT_RANGE`): two that are alike in the
/// lower bits would share their places.
const SPREAD: u32 = 20;

/// All of a virtual server's. `None`: they change by a reload.
pub(super) fn write(
    vs: &Layer7VirtualServer,
    verify: &str,
    defaults: &str,
    at: &str,
    lines: &mut Lines,
) -> Option<BTreeMap<Label, Definition>> {
    let words: Vec<String> = vs.real_servers.iter().map(|server| words(vs, server, verify)).collect();
    let labels = || vs.real_servers.iter().map(|server| server.label.as_str());
    let (change, numbers) = match change(vs, defaults) {
        Change::Runtime => match numbers(labels().zip(&words).map(|(label, words)| format!("{label} {words}"))) {
            Some(numbers) => (Change::Runtime, Some(numbers)),
            None => (Change::Reload, None),
        },
        // By their labels alone, so that a server that comes or goes moves no other one's clients.
        Change::Reload if vs.balance == Balance::Source => (Change::Reload, numbers(labels().map(str::to_owned))),
        Change::Reload => (Change::Reload, None),
    };
    let checked = vs.check.method != Layer7CheckMethod::On;
    let mut definitions = BTreeMap::new();
    for (i, (server, words)) in vs.real_servers.iter().zip(&words).enumerate() {
        let number = numbers.as_ref().map(|numbers| numbers[i]);
        let words = match number {
            Some(number) => format!("{words} id {number}"),
            None => words.clone(),
        };
        let line = format!("server {} {words}", server.label);
        lines.server(&format!("{at}/real_servers/{i}"), &line, &setting(vs, server), change);
        if let Some(number) = number {
            let agent = vs.agent.is_some();
            let words = format!("{words} {defaults}{}", if agent { AGENT } else { "" }).trim_end().to_owned();
            definitions.insert(server.label.clone(), Definition { number, words, checked, agent });
        }
    }
    (change == Change::Runtime).then_some(definitions)
}

/// What servers of `vs` need to come and go.
fn change(vs: &Layer7VirtualServer, defaults: &str) -> Change {
    // The number is the order of `first`, and the place in the hash of `source`: it cannot stand for the line as well.
    let balance = matches!(vs.balance, Balance::RoundRobin | Balance::LeastConn | Balance::Random);
    let cookie = matches!(vs.persistence, Some(Layer7Persistence::Cookie(_)));
    let https = vs.check.method == Layer7CheckMethod::Https;
    let unasked = vs.check.method == Layer7CheckMethod::On;
    let tls = vs.real_servers.iter().any(|server| server.tls && !https && !unasked);
    // The worker cannot read an authority's file any more.
    let verified = vs.server_verification.is_some();
    // A command has no quotes.
    let plain = !defaults.contains(['\'', '"', '\\', ';', '<']);
    match balance && !cookie && !tls && !verified && plain && !backend::manual_reaches_servers(vs) {
        true => Change::Runtime,
        false => Change::Reload,
    }
}

/// A number for each, 1..; `None` where two would come too near to each other.
fn numbers(of: impl Iterator<Item = String>) -> Option<Vec<u32>> {
    let mut places = BTreeSet::new();
    of.map(|text| {
        let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(text).into();
        let number = u32::from_be_bytes([a, b, c, d]) >> 1;
        let place = number & ((1 << SPREAD) - 1);
        (number > 0 && places.insert(place)).then_some(number)
    })
    .collect()
}

pub(super) fn place(address: IpAddr, port: Option<u16>) -> String {
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    match address {
        IpAddr::V4(address) => format!("{address}{port}"),
        IpAddr::V6(address) => format!("[{address}]{port}"),
    }
}

// `on-marked-down shutdown-sessions` only where somebody wants it: one missed check, the default, would cut every
// download of a server that works. "Out at once" is promised for OFFLINE only, and there the sessions are shut down by
// the runtime API.
fn words(vs: &Layer7VirtualServer, server: &Layer7RealServer, verify: &str) -> String {
    let mut line = place(server.address, server.port);
    let mut add = |words: &str| {
        line.push(' ');
        line.push_str(words);
    };
    if let Some(Layer7Persistence::Cookie(_)) = vs.persistence {
        add(&format!("cookie {}", server.cookie_value()));
    }
    if server.min_connections > 0 {
        add(&format!("minconn {}", server.min_connections));
    }
    if server.max_connections > 0 {
        add(&format!("maxconn {}", server.max_connections));
    }
    match server.send_proxy {
        SendProxy::None => {}
        SendProxy::V1 => add("send-proxy"),
        SendProxy::V2 => add("send-proxy-v2"),
    }
    if server.shutdown_sessions {
        add("on-marked-down shutdown-sessions");
    }
    let https = vs.check.method == Layer7CheckMethod::Https;
    if server.tls {
        add("ssl");
    }
    if server.tls {
        add(verify);
    } else if https {
        add("verify none");
    }
    if vs.check.method != Layer7CheckMethod::On {
        add("check");
        match (https, server.tls) {
            (true, _) => add("check-ssl"),
            (false, true) => add("no-check-ssl"),
            (false, false) => {}
        }
        // Behind another port stands another program.
        if server.send_proxy != SendProxy::None && vs.check.port.is_none() {
            add("check-send-proxy");
        }
        if server.port.is_none() && vs.check.port.is_none() {
            add(&format!("port {}", vs.ports.first()));
        }
    }
    line
}

/// Of a server that an administrator has drained or taken out no agent is asked: its `ready` would bring it back.
const AGENT: &str = " agent-check";

/// What a weight is multiplied by in HAProxy. Whole numbers up to 256 are all that an agent's percentage of it can
/// become, and one of a weight of 1 would be none.
pub(super) fn scale(vs: &Layer7VirtualServer) -> u16 {
    let most = vs.real_servers.iter().map(|server| server.weight).max().unwrap_or(0).max(1);
    if vs.agent.is_some() { (MOST_WEIGHT / most).clamp(1, 100) } else { 1 }
}

/// HAProxy's own (`SRV_UWGHT_MAX`).
const MOST_WEIGHT: u16 = 256;

fn setting(vs: &Layer7VirtualServer, server: &Layer7RealServer) -> String {
    let weight = server.weight * scale(vs);
    let agent = if vs.agent.is_some() { AGENT } else { "" };
    match server.state {
        RequestedState::Online => format!(" weight {weight}{agent}"),
        RequestedState::Drain => " weight 0".into(),
        RequestedState::Offline => format!(" weight {weight} disabled"),
    }
}

/// Of a server that is made at run time: it begins in maintenance.
impl Definition {
    pub(crate) fn command(&self, key: &ServerKey, weight: u16) -> String {
        let name = format!("{}/{}", key.virtual_server, key.real_server);
        let checks = if self.checked { format!("; enable health {name}") } else { String::new() };
        format!("add server {name} {} weight {weight}{checks}", self.words)
    }
}
