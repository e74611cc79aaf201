//! Everything that is wrong with a configuration, all at once.
//!
//! One pass a subject; each problem names the field (a JSON pointer), the value, the reason and a hint.
//! What a single value can be wrong in is refused earlier, when it is parsed.

use crate::{Agent, Config, FallbackPage, Family, ForwardingMethod, Globals, HealthDefaults, Timeouts};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::IpAddr,
};

mod dialects;
mod layer7;
mod lockdown;
mod pair;
mod tls;
mod virtual_servers;

pub use pair::Times as HeartbeatTimes;

/// Why a configuration cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Problem {
    /// JSON pointer (RFC 6901) to the field: `/virtual_servers/0/real_servers/1/port`.
    pub path: String,
    pub value: String,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.path, self.value, self.reason)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// All problems of a configuration; empty when it can be applied.
pub fn problems(config: &Config) -> Vec<Problem> {
    let mut found = Found::default();
    network(config, &mut found);
    globals(config, &mut found);
    virtual_servers::check(config, &mut found);
    layer7::check(config, &mut found);
    dialects::check(config, &mut found);
    pair::check(config, &mut found);
    if let Some(page) = &config.fallback_page {
        let size = page.as_str().len();
        if !(1..=FallbackPage::LONGEST).contains(&size) {
            let reason = format!("must be 1 to {} bytes of HTML", FallbackPage::LONGEST);
            let hint = "leave it out for the shipped page; put pictures on another server";
            found.add("/fallback_page".into(), format!("{size} bytes"), reason, hint);
        }
    }
    found.0
}

#[derive(Default)]
struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, path: String, value: impl ToString, reason: impl Into<String>, hint: &str) {
        let hint = Some(hint.to_owned()).filter(|h| !h.is_empty());
        self.0.push(Problem { path, value: value.to_string(), reason: reason.into(), hint });
    }

    /// The times and counts of a health check that says them itself, and the port that it asks.
    fn check_numbers(&mut self, at: &str, numbers: [Option<u32>; 4], port: Option<u16>) {
        let names = [("interval", 3600), ("timeout", 300), ("fall", 100), ("rise", 100)];
        for ((name, most), value) in names.into_iter().zip(numbers) {
            if let Some(value) = value {
                self.range(at, name, value, 1, most, "");
            }
        }
        if port == Some(0) {
            self.add(format!("{at}/port"), 0, "0 is not a port", "use 1 to 65535");
        }
    }

    /// Of a virtual server at the path `at`.
    fn agent(&mut self, at: &str, agent: Option<&Agent>) {
        if let Some(agent) = agent {
            self.check_numbers(&format!("{at}/agent"), [agent.interval, None, None, None], Some(agent.port));
        }
    }

    fn range(&mut self, at: &str, name: &str, value: u32, from: u32, to: u32, unit: &str) {
        if !(from..=to).contains(&value) {
            self.add(format!("{at}/{name}"), value, format!("must be {from} to {to}{unit}"), "");
        }
    }
}

fn unusable(address: IpAddr) -> Option<&'static str> {
    match address {
        a if a.is_unspecified() => Some("is the unspecified address, not a host's"),
        a if a.is_multicast() => Some("is a multicast address, not a host's"),
        a if a.is_loopback() => Some("is a loopback address, which no other machine can reach"),
        IpAddr::V4(a) if a.is_broadcast() => Some("is the broadcast address, not a host's"),
        _ => None,
    }
}

fn network(config: &Config, found: &mut Found) {
    let node = &config.node;
    let mut names = HashSet::new();
    let mut addresses: HashMap<IpAddr, String> = HashMap::new();
    let mut networks: Vec<(ipnet::IpNet, &str)> = Vec::new();
    for (i, interface) in node.interfaces.iter().enumerate() {
        let at = format!("/node/interfaces/{i}");
        if !names.insert(&interface.name) {
            found.add(
                format!("{at}/name"),
                &interface.name,
                "this interface is listed twice",
                "put all its addresses into one entry",
            );
        }
        if let Some(mtu) = interface.mtu {
            found.range(&at, "mtu", mtu, 576, 9216, " bytes");
        }
        for (j, net) in interface.addresses.iter().enumerate() {
            let at = format!("{at}/addresses/{j}");
            let address = net.addr();
            if let Some(reason) = unusable(address) {
                found.add(at.clone(), net, reason, "");
            } else if net.prefix_len() == 0 {
                found.add(
                    at.clone(),
                    net,
                    "a netmask of 0.0.0.0 would make the whole world this interface's network",
                    "use the network's netmask, for example /24",
                );
            } else if net.prefix_len() < net.max_prefix_len() - 1 && is_edge(*net) {
                let what = if address == net.network() {
                    "the network's own address"
                } else {
                    "the network's broadcast address"
                };
                found.add(at.clone(), net, format!("is {what}, not a host's"), "");
            }
            if let Some(other) = addresses.insert(address, interface.name.to_string()) {
                found.add(
                    at.clone(),
                    net,
                    format!("this address is on {other} already"),
                    "give each card an address of its own, in a network of its own",
                );
            } else if let Some((net2, other)) = networks.iter().find(|(n, name)| {
                *name != interface.name.as_str() && (n.contains(&net.trunc()) || net.contains(&n.trunc()))
            }) {
                let reason = format!("overlaps the network {} of {other}", net2.trunc());
                found.add(at, net, reason, "two cards cannot be in one network; use one arm, or another network");
            }
            networks.push((*net, interface.name.as_str()));
        }
    }
    if addresses.is_empty() {
        found.add(
            "/node/interfaces".into(),
            "no address",
            "no interface has an address, so nobody could reach this unit",
            "give eth0 an address",
        );
    }
    let gateway = node.gateway.map(IpAddr::V4).map(|g| ("/node/gateway", g));
    let gateway6 = node.gateway6.map(IpAddr::V6).map(|g| ("/node/gateway6", g));
    for (path, gateway) in gateway.into_iter().chain(gateway6) {
        next_hop(config, path.into(), gateway, found);
    }
    let mut routes = HashSet::new();
    for (i, route) in node.routes.iter().enumerate() {
        let at = format!("/node/routes/{i}");
        if Family::of(route.to.addr()) != Family::of(route.via) {
            found.add(format!("{at}/via"), route.via, format!("is not of the address family of {}", route.to), "");
        } else {
            next_hop(config, format!("{at}/via"), route.via, found);
        }
        if route.to.prefix_len() == 0 {
            found.add(format!("{at}/to"), route.to, "this is the default route", "set the default gateway instead");
        } else if !routes.insert(route.to.trunc()) {
            found.add(format!("{at}/to"), route.to, "there are two routes to this network", "");
        } else if networks.iter().any(|(n, _)| n.trunc() == route.to.trunc()) {
            found.add(format!("{at}/to"), route.to, "this network is directly attached", "remove the route");
        }
    }
    for (i, server) in node.nameservers.iter().enumerate() {
        if let Some(reason) = unusable(*server).filter(|_| !server.is_loopback()) {
            found.add(format!("/node/nameservers/{i}"), server, reason, "");
        }
    }
    if node.nameservers.len() > 3 {
        found.add(
            "/node/nameservers".into(),
            node.nameservers.len(),
            "only the first three would be asked (resolv.conf(5), MAXNS)",
            "keep three",
        );
    }
}

fn is_edge(net: ipnet::IpNet) -> bool {
    net.addr() == net.network() || (net.addr().is_ipv4() && net.addr() == net.broadcast())
}

fn next_hop(config: &Config, path: String, via: IpAddr, found: &mut Found) {
    let linklocal = matches!(via, IpAddr::V6(a) if a.is_unicast_link_local());
    if let Some(reason) = unusable(via) {
        found.add(path, via, reason, "");
    } else if linklocal {
        found.add(
            path,
            via,
            "is a link-local address, which does not say which card",
            "use the router's global address",
        );
    } else if config.node.owns(via) {
        found.add(path, via, "is this unit's own address", "enter the address of the router");
    } else {
        match config.interface_to(via) {
            None => {
                let networks: Vec<String> =
                    config.node.interfaces.iter().flat_map(|i| &i.addresses).map(|n| n.trunc().to_string()).collect();
                let reason = format!("is in none of this unit's networks ({})", networks.join(", "));
                found.add(path, via, reason, "a router must be in the network of a card");
            }
            Some((_, net)) if net.prefix_len() < net.max_prefix_len() - 1 && is_edge(same_net(net, via)) => {
                found.add(path, via, format!("is not a host's address in {}", net.trunc()), "");
            }
            Some(_) => {}
        }
    }
}

/// `address` with the prefix length of `net`.
fn same_net(net: ipnet::IpNet, address: IpAddr) -> ipnet::IpNet {
    ipnet::IpNet::new(address, net.prefix_len()).unwrap_or(net)
}

fn globals(config: &Config, found: &mut Found) {
    let HealthDefaults { interval, timeout, negotiate_timeout, fall, rise, quiescent: _ } = config.globals.health;
    let at = "/globals/health";
    found.range(at, "interval", interval, 1, 3600, " seconds");
    found.range(at, "timeout", timeout, 1, 300, " seconds");
    found.range(at, "negotiate_timeout", negotiate_timeout, 1, 300, " seconds");
    found.range(at, "fall", fall, 1, 100, "");
    found.range(at, "rise", rise, 1, 100, "");
    let Timeouts { tcp, tcp_fin, udp } = config.globals.timeouts;
    for (name, value) in [("tcp", tcp), ("tcp_fin", tcp_fin), ("udp", udp)] {
        found.range("/globals/timeouts", name, value, 1, 31_536_000, " seconds");
    }
    time_servers(&config.globals, found);
    lockdown::check(&config.globals.lockdown, found);
    let arms = config.node.interfaces.iter().filter(|i| !i.addresses.is_empty()).count();
    if config.globals.masquerade && (arms < 2 || config.node.gateway.is_none()) {
        found.add(
            "/globals/masquerade".into(),
            true,
            "MASQUERADE needs two cards with addresses and a default gateway",
            "turn it off, or set up the second card",
        );
    }
}

fn time_servers(globals: &Globals, found: &mut Found) {
    let (servers, at) = (&globals.time_servers, "/globals/time_servers");
    for (i, server) in servers.iter().enumerate() {
        if let Some(reason) = server.as_str().parse().ok().and_then(unusable) {
            found.add(format!("{at}/{i}"), server, reason, "name another machine that speaks NTP");
        } else if servers[..i].contains(server) {
            found.add(format!("{at}/{i}"), server, "stands there twice", "remove one");
        }
    }
    if servers.len() > Globals::MOST_TIME_SERVERS {
        let reason = format!("there are at most {}", Globals::MOST_TIME_SERVERS);
        found.add(at.into(), servers.len(), reason, "four outvote one that is wrong; more only ask more often");
    }
}

fn same_network(config: &Config, address: IpAddr) -> bool {
    config.interface_to(address).is_some()
}

fn direct(method: ForwardingMethod) -> bool {
    matches!(method, ForwardingMethod::Dr | ForwardingMethod::Tun)
}
