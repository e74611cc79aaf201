//! Problems of virtual servers and their real servers.

use super::{Found, direct, same_network, unusable};
use crate::{
    Check, CheckMethod, Config, FallbackServer, Family, FirewallMark, ForwardingMethod, PortRange, Protocol,
    RealServer, Scheduler, Service, VirtualServer,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

/// The ranges of ports of one address and protocol by their first port, and whose they are.
type Taken<'a> = BTreeMap<u16, (PortRange, &'a VirtualServer)>;

pub(super) fn check(config: &Config, found: &mut Found) {
    let mut labels = HashSet::new();
    let mut marks: HashMap<(FirewallMark, Family), &VirtualServer> = HashMap::new();
    // By first port: the last range that begins at or before another one's end is the only one that can reach into it.
    let mut ports: HashMap<(IpAddr, Protocol), Taken> = HashMap::new();
    for (i, vs) in config.virtual_servers.iter().enumerate() {
        let at = format!("/virtual_servers/{i}");
        if !labels.insert(&vs.label) {
            found.add(format!("{at}/label"), &vs.label, "another virtual server has this label", "labels must differ");
        }
        match &vs.service {
            Service::Address { address, protocol, ports: own, mark } => {
                vip(config, &format!("{at}/service/address"), *address, found);
                let taken = ports.entry((*address, *protocol)).or_default();
                let reaches = |range: &PortRange| {
                    let (_, (there, other)) = taken.range(..=range.last).next_back()?;
                    there.overlaps(*range).then_some(*other)
                };
                if let Some(other) = own.ranges().iter().find_map(reaches) {
                    let reason = format!("virtual server {} has {} already", other.label, other.service);
                    found.add(format!("{at}/service/ports"), own, reason, "use another port or address");
                }
                taken.extend(own.ranges().iter().map(|r| (r.first, (*r, vs))));
                if let Some(mark) = mark.filter(|m| !m.is_automatic()) {
                    let reason = "marks for several ports are given by the appliance, from 1073741824 up";
                    found.add(format!("{at}/service/mark"), mark, reason, "leave it out");
                }
            }
            Service::FirewallMark { mark, .. } => {
                if mark.is_automatic() {
                    found.add(
                        format!("{at}/service/mark"),
                        mark,
                        "marks from 1073741824 up belong to the appliance",
                        "use 1 to 1073741823",
                    );
                }
            }
        }
        if let Some(mark) = vs.service.mark()
            && let Some(other) = marks.insert((mark, vs.service.family()), vs)
        {
            found.add(
                format!("{at}/service/mark"),
                mark,
                format!("virtual server {} has this mark", other.label),
                "use another mark",
            );
        }
        options(vs, &at, found);
        health(&vs.check, vs, &at, found);
        found.agent(&at, vs.agent.as_ref());
        if let Some(fallback) = &vs.fallback {
            fallback_server(config, vs, fallback, &at, found);
        }
        let mut rip_labels = HashSet::new();
        let mut rips = HashSet::new();
        for (j, rs) in vs.real_servers.iter().enumerate() {
            let at = format!("{at}/real_servers/{j}");
            if !rip_labels.insert(&rs.label) {
                found.add(
                    format!("{at}/label"),
                    &rs.label,
                    format!("another real server of {} has this label", vs.label),
                    "labels must differ",
                );
            }
            if !rips.insert((rs.address, rs.port.or(vs.service.single_port()))) {
                found.add(
                    format!("{at}/address"),
                    rs.address,
                    format!("this real server is in {} already", vs.label),
                    "change its weight instead",
                );
            }
            real_server(config, vs, rs, &at, found);
        }
    }
}

/// Whether clients can reach a virtual server's address, at the path `at`.
pub(super) fn vip(config: &Config, at: &str, address: IpAddr, found: &mut Found) {
    let path = || at.to_owned();
    let node = &config.node;
    let mut gateways = node.gateway.map(IpAddr::V4).into_iter().chain(node.gateway6.map(IpAddr::V6));
    if let Some(reason) = unusable(address) {
        found.add(path(), address, reason, "use an address that clients can reach");
    } else if gateways.any(|gateway| gateway == address) {
        found.add(
            path(),
            address,
            "is the default gateway's address",
            "use an address of this unit, or a free one in its network",
        );
    } else {
        match config.interface_to(address) {
            None => found.add(
                path(),
                address,
                "is in none of this unit's networks, so no card could answer for it",
                "use an address in the network of a card, or give a card an address there",
            ),
            Some((_, net)) if address != net.addr() && net.prefix_len() < net.max_prefix_len() - 1 => {
                if address == net.network() || (address.is_ipv4() && address == net.broadcast()) {
                    found.add(path(), address, format!("is not a host's address in {}", net.trunc()), "");
                }
            }
            Some(_) => {}
        }
    }
}

fn options(vs: &VirtualServer, at: &str, found: &mut Found) {
    let family = vs.service.family();
    if vs.one_packet && vs.service.protocol() != Some(Protocol::Udp) {
        found.add(format!("{at}/one_packet"), true, "one-packet scheduling is for UDP", "turn it off");
    }
    if vs.one_packet && vs.persistence.is_some() {
        found.add(
            format!("{at}/persistence"),
            "set",
            "one-packet scheduling forgets clients at once",
            "use one of the two",
        );
    }
    if vs.hash_port && !matches!(vs.scheduler, Scheduler::Sh | Scheduler::Mh) {
        found.add(format!("{at}/hash_port"), true, format!("scheduler {} does not hash", vs.scheduler), "use sh or mh");
    }
    if let Some(p) = vs.persistence {
        found.range(at, "persistence/timeout", p.timeout, 1, 2_678_400, " seconds");
        if let Some(g) = p.granularity {
            found.range(at, "persistence/granularity", g.into(), 1, family.bits().into(), " bits");
        }
    }
}

fn health(check: &Check, vs: &VirtualServer, at: &str, found: &mut Found) {
    let at = format!("{at}/check");
    found.check_numbers(&at, [check.interval, check.timeout, check.fall, check.rise], check.port);
    if let CheckMethod::Negotiate(n) = &check.method {
        if !n.request.starts_with('/') || !n.request.bytes().all(|b| b.is_ascii_graphic()) {
            found.add(
                format!("{at}/method/request"),
                &n.request,
                "is not a path",
                "begin with / and use no spaces, for example /check.html",
            );
        }
        if let Some(host) = &n.virtual_host
            && (host.is_empty()
                || host.len() > 253
                || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b)))
        {
            found.add(format!("{at}/method/virtual_host"), host, "is not a host name", "for example www.example.com");
        }
    }
    let asks_port = matches!(check.method, CheckMethod::Connect | CheckMethod::Negotiate(_));
    let known = match &vs.service {
        Service::Address { ports, .. } => !ports.is_any(),
        Service::FirewallMark { .. } => false,
    };
    if asks_port && check.port.is_none() && !known && vs.real_servers.iter().any(|r| r.port.is_none()) {
        found.add(
            format!("{at}/port"),
            "none",
            "a virtual server for any port does not say which port to check",
            "set the check's port, or use ping",
        );
    }
}

fn fallback_server(config: &Config, vs: &VirtualServer, fallback: &FallbackServer, at: &str, found: &mut Found) {
    if fallback.is_page() {
        return;
    }
    let at = format!("{at}/fallback");
    if let Some(reason) = unusable(fallback.address) {
        found.add(format!("{at}/address"), fallback.address, reason, "");
    } else if Family::of(fallback.address) != vs.service.family() {
        found.add(format!("{at}/address"), fallback.address, "is not of the virtual server's address family", "");
    } else if config.node.owns(fallback.address) {
        found.add(
            format!("{at}/address"),
            fallback.address,
            "is this unit's own address",
            "for the unit's fallback page use 127.0.0.1:9081",
        );
    } else if vs
        .real_servers
        .iter()
        .any(|r| r.address == fallback.address && effective(vs, r.port) == effective(vs, fallback.port))
    {
        found.add(
            format!("{at}/address"),
            fallback.address,
            "is one of the real servers",
            "use another machine, or the fallback page 127.0.0.1:9081",
        );
    }
    port_translation(vs, fallback.port, fallback.forwarding, &at, found);
}

fn effective(vs: &VirtualServer, port: Option<u16>) -> Option<u16> {
    port.or(vs.service.single_port())
}

fn port_translation(vs: &VirtualServer, port: Option<u16>, forwarding: ForwardingMethod, at: &str, found: &mut Found) {
    if port == Some(0) {
        found.add(format!("{at}/port"), 0, "0 is not a port", "use 1 to 65535, or leave it out");
        return;
    }
    let Some(port) = port.filter(|p| vs.service.single_port() != Some(*p)) else { return };
    if !direct(forwarding) {
        // net/netfilter/ipvs/ip_vs_core.c, ip_vs_sched_persist(): the server's port counts only where the client asked
        // for the service's own, which a firewall mark does not have.
        if vs.persistence.is_some() && vs.service.single_port().is_none() {
            let reason =
                "with persistence the kernel does not translate the ports of a virtual server that has several";
            found.add(format!("{at}/port"), port, reason, "leave the port out, or make a virtual server for each port");
        }
        return;
    }
    let how = match forwarding {
        ForwardingMethod::Dr => "DR changes only the MAC address of a packet",
        _ => "TUN wraps the packet as it is",
    };
    let wanted = match vs.service.single_port() {
        Some(p) => format!("use port {p}, or forwarding method nat"),
        None => "leave the port out, or use forwarding method nat".to_owned(),
    };
    let reason =
        format!("port translation is not possible: {how}, so the real server gets it on the virtual server's own port");
    found.add(format!("{at}/port"), port, reason, &wanted);
}

fn real_server(config: &Config, vs: &VirtualServer, rs: &RealServer, at: &str, found: &mut Found) {
    let path = || format!("{at}/address");
    if let Some(reason) = unusable(rs.address) {
        found.add(path(), rs.address, reason, "");
    } else if Some(rs.address) == vs.service.address() {
        found.add(path(), rs.address, "is the virtual server's own address", "enter the real server's own address");
    } else if config.node.owns(rs.address) {
        found.add(path(), rs.address, "is this unit's own address", "enter the real server's address");
    } else if Family::of(rs.address) != vs.service.family() && rs.forwarding != ForwardingMethod::Tun {
        let reason = format!("is not of the virtual server's address family ({})", vs.service.family());
        found.add(path(), rs.address, reason, "only TUN can cross address families");
    } else if rs.forwarding == ForwardingMethod::Dr && !same_network(config, rs.address) {
        found.add(
            path(),
            rs.address,
            "is in none of this unit's networks; DR reaches only servers on the same network, by their MAC address",
            "use tun, or nat",
        );
    } else if rs.forwarding != ForwardingMethod::Dr && !routed(config, rs.address) {
        found.add(
            path(),
            rs.address,
            "cannot be reached: no card's network, route or default gateway leads there",
            "add a route or a default gateway",
        );
    }
    port_translation(vs, rs.port, rs.forwarding, at, found);
    found.range(at, "weight", rs.weight, 0, 65_535, "");
    // u_thresh and l_thresh are counts of connections; the kernel keeps them as int.
    found.range(at, "max_connections", rs.max_connections, 0, i32::MAX as u32, "");
    if rs.max_connections > 0 && rs.min_connections > rs.max_connections {
        let reason = format!("is above the maximum of {}", rs.max_connections);
        found.add(
            format!("{at}/min_connections"),
            rs.min_connections,
            reason,
            "the minimum is where a full server is given clients again",
        );
    } else if rs.max_connections == 0 && rs.min_connections > 0 {
        found.add(
            format!("{at}/min_connections"),
            rs.min_connections,
            "has no meaning without a maximum",
            "set maximum connections too, or 0",
        );
    }
}

pub(super) fn routed(config: &Config, address: IpAddr) -> bool {
    let default = match address {
        IpAddr::V4(_) => config.node.gateway.is_some(),
        IpAddr::V6(_) => config.node.gateway6.is_some(),
    };
    default || same_network(config, address) || config.node.routes.iter().any(|r| r.to.contains(&address))
}
