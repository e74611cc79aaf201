//! Configurations for tests, made from a seed: most make sense, some do not on purpose.
//!
//! Behind the feature `sample`, so that the product does not carry it.

mod dialects;
mod layer7;

use crate::{
    Agent, Check, CheckMethod, Config, FallbackPage, FallbackServer, Family, FirewallMark, ForwardingMethod, Interface,
    Lockdown, Negotiate, NegotiateService, Persistence, Ports, Protocol, RealServer, RequestedState, Route, Scheduler,
    Service, Tunnel, VirtualServer, factory,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `0..below`
    pub fn below(&mut self, below: u64) -> u64 {
        self.draw() % below.max(1)
    }

    /// Once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap_or(0)]
    }
}

/// A configuration on eth0 and eth1. With `wild`, values are drawn without regard to sense.
pub fn config(seed: u64, wild: bool) -> Config {
    let mut r = Random(seed);
    let mut config = factory();
    let two_arms = !r.one_in(3);
    config.node.interfaces[0].addresses = vec![net("10.0.0.21/24"), net("fd00:a::21/64")];
    if two_arms {
        if let Ok(name) = "eth1".parse() {
            config.node.interfaces.push(Interface { name, addresses: vec![net("192.168.2.21/24")], mtu: None });
        }
        config.globals.masquerade = r.one_in(2);
    }
    config.node.gateway = Some(Ipv4Addr::new(10, 0, 0, 1));
    config.globals.health.quiescent = r.one_in(2);
    if r.one_in(3) {
        config.node.routes.push(Route { to: net("172.16.0.0/12"), via: Ipv4Addr::new(10, 0, 0, 2).into() });
    }
    if r.one_in(4) {
        config.globals.timeouts.tcp = 60 + u32::try_from(r.below(900)).unwrap_or(0);
    }
    // Not by `r`: what else is drawn stays as it was for every seed.
    let servers = ["10.0.0.5", "ntp1.example.com", "2001:db8::123"].into_iter().filter_map(|s| s.parse().ok());
    config.globals.time_servers = servers.take(usize::try_from(seed / 7 % 4).unwrap_or(0)).collect();
    let networks = ["10.0.0.0/8", "10.1.0.0/16", "fd00::/8"].map(net);
    let networks = networks[..usize::try_from(seed / 11 % 4).unwrap_or(0)].to_vec();
    config.globals.lockdown = Lockdown { enabled: seed.is_multiple_of(3) && (wild || !networks.is_empty()), networks };
    for i in 0..r.below(6) {
        config.virtual_servers.extend(virtual_server(&mut r, i, wild));
    }
    if r.one_in(3) {
        for i in 0..r.below(4) {
            config.layer7.virtual_servers.extend(layer7::virtual_server(&mut r, i, wild));
        }
        if r.one_in(2) {
            config.layer7.timeouts.client = u32::try_from(r.below(if wild { 100_000 } else { 100 })).unwrap_or(0) + 1;
        }
    }
    if wild && r.one_in(4) {
        config.node.gateway = Some(Ipv4Addr::from(u32::try_from(r.draw() >> 32).unwrap_or(0)));
    }
    if r.one_in(8) {
        let size = if wild && r.one_in(2) { 0 } else { 1 + r.below(2000) };
        config.fallback_page = Some(FallbackPage::new("x".repeat(usize::try_from(size).unwrap_or(1))));
    }
    if r.one_in(5) {
        config.dialects = dialects::dialects(&mut r, wild);
    }
    config.assign_marks();
    config
}

/// The same with certificates, whose keys nobody has, and with TLS on layer 7.
pub fn config_with_tls(seed: u64, wild: bool) -> Config {
    let mut config = config(seed, wild);
    let labels = layer7::with_tls(&mut Random(seed ^ 0x715), &mut config);
    debug_assert!(labels.is_some(), "labels and names that parse");
    config
}

fn net(s: &str) -> ipnet::IpNet {
    match s.parse() {
        Ok(net) => net,
        Err(e) => unreachable!("{s}: {e}"),
    }
}

fn v4(third: u8, host: u64) -> IpAddr {
    let host = 30 + u8::try_from(host % 200).unwrap_or(0);
    let third = if third == 0 { [10, 0, 0] } else { [192, 168, 2] };
    Ipv4Addr::new(third[0], third[1], third[2], host).into()
}

fn v6(host: u64) -> IpAddr {
    let host = 0x30 + u16::try_from(host % 0x200).unwrap_or(0);
    Ipv6Addr::new(0xfd00, 0xa, 0, 0, 0, 0, 0, host).into()
}

fn virtual_server(r: &mut Random, i: u64, wild: bool) -> Option<VirtualServer> {
    let family = if r.one_in(4) { Family::Ipv6 } else { Family::Ipv4 };
    let protocol = r.pick(Protocol::ALL);
    let ports: Ports = match r.below(5) {
        0 => "80,443".parse().ok()?,
        1 => "8000-8010".parse().ok()?,
        2 if !wild => Ports::from(443),
        2 => "any".parse().ok()?,
        n => Ports::from(u16::try_from(80 + i * 10 + n).ok()?),
    };
    let own = r.one_in(3);
    let address = match (family, own) {
        (Family::Ipv4, true) => Ipv4Addr::new(10, 0, 0, 21).into(),
        (Family::Ipv4, false) => v4(0, i),
        (Family::Ipv6, true) => "fd00:a::21".parse().ok()?,
        (Family::Ipv6, false) => v6(i),
    };
    let by_mark = r.one_in(6);
    let service = if by_mark {
        Service::FirewallMark { mark: FirewallMark::try_from(u32::try_from(i).ok()? + 1).ok()?, family }
    } else {
        Service::Address { address, protocol, ports, mark: None }
    };
    let scheduler = r.pick(Scheduler::ALL);
    let one_packet = service.protocol() == Some(Protocol::Udp) && r.one_in(4);
    let persistence = (!one_packet && r.one_in(3)).then(|| Persistence {
        timeout: 60 + u32::try_from(r.below(600)).unwrap_or(0),
        granularity: (!r.one_in(2)).then(|| if family == Family::Ipv4 { 24 } else { 64 }),
    });
    let mut vs = VirtualServer {
        label: format!("VIP{i}").parse().ok()?,
        hash_port: matches!(scheduler, Scheduler::Sh | Scheduler::Mh) && r.one_in(2),
        scheduler,
        one_packet,
        persistence,
        check: check(r, by_mark),
        agent: agent(i, wild),
        quiescent: (!r.one_in(3)).then(|| r.one_in(2)),
        fallback: if r.one_in(3) { None } else { FallbackServer::page() },
        real_servers: Vec::new(),
        service,
    };
    for j in 0..r.below(5) {
        vs.real_servers.push(real_server(r, &vs, i * 10 + j, j, wild)?);
    }
    Some(vs)
}

/// By the number alone, so that the other draws of a seed stay as they are.
fn agent(i: u64, wild: bool) -> Option<Agent> {
    let port = if wild && i % 7 == 4 { 0 } else { 3333 };
    (i % 3 == 1).then(|| Agent { interval: i.is_multiple_of(2).then_some(2), ..Agent::new(port) })
}

fn check(r: &mut Random, any_port: bool) -> Check {
    let method = match r.below(5) {
        0 => CheckMethod::On,
        1 => CheckMethod::Off,
        2 => CheckMethod::Ping,
        3 => CheckMethod::Connect,
        _ => CheckMethod::Negotiate(Negotiate {
            service: NegotiateService::Http,
            request: "/check.html".into(),
            response: "OK".parse().ok(),
            virtual_host: None,
            status: Default::default(),
        }),
    };
    Check { method, port: any_port.then_some(80), ..Check::default() }
}

fn real_server(r: &mut Random, vs: &VirtualServer, host: u64, j: u64, wild: bool) -> Option<RealServer> {
    let family = vs.service.family();
    let forwarding = r.pick(ForwardingMethod::ALL);
    let address = if family == Family::Ipv6 { v6(host + 100) } else { v4(0, host + 40) };
    let translated = forwarding == ForwardingMethod::Nat || (wild && r.one_in(5));
    let max = if r.one_in(3) { 1000 } else { 0 };
    Some(RealServer {
        label: format!("RIP{j}").parse().ok()?,
        address,
        port: (translated && r.one_in(2)).then_some(8080),
        weight: u32::try_from(r.below(if wild { 70_000 } else { 5 })).ok()?,
        min_connections: if max > 0 { 800 } else { u32::from(wild && r.one_in(9)) },
        max_connections: max,
        forwarding,
        tunnel: if forwarding == ForwardingMethod::Tun && vs.service.family() == Family::Ipv4 {
            r.pick(Tunnel::ALL)
        } else {
            Tunnel::Ipip
        },
        state: r.pick(&[
            RequestedState::Online,
            RequestedState::Online,
            RequestedState::Drain,
            RequestedState::Offline,
        ]),
    })
}
