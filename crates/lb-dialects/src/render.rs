//! What the dialects' objects become in virtual servers.
//!
//! HTTP and whatever speaks TCP becomes layer 7 (cookies, limits and access lists are possible there), UDP becomes
//! layer 4 by NAT. What neither can say is stored, answered, and without effect: the guide's chapter lists it.

mod ovh;
mod rackspace;

pub(crate) use ovh::{differing, header, label_of as frontend_label, server_label, ssl_label};
pub(crate) use rackspace::{certificate_label, label_of, node_label, own_address, secure_label_of, serves};

use ipnet::IpNet;
use lb_model::{
    Config, Label, Layer7VirtualServer, Ports, Protocol, RequestedState, Scheduler, Service, StatusCodes,
    VirtualServer,
    layer7::{Certificate, Layer7Check, Layer7CheckMethod, ManualBlock, Outcome, Rule, Test},
};
use std::net::IpAddr;

/// Virtual servers of both dialects.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rendered {
    pub layer4: Vec<VirtualServer>,
    pub layer7: Vec<Layer7VirtualServer>,
    /// Named as the virtual server that shows them, or as the object that brought them.
    pub certificates: Vec<Certificate>,
}

impl Rendered {
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        let layer4 = self.layer4.iter().map(|vs| vs.label.as_str());
        layer4.chain(self.layer7.iter().map(|vs| vs.label.as_str()))
    }

    pub(crate) fn state(&self, vs: &str, rs: &str) -> Option<RequestedState> {
        let of7 = self.layer7.iter().find(|v| v.label.as_str() == vs);
        let of4 = self.layer4.iter().find(|v| v.label.as_str() == vs);
        let state7 = of7.and_then(|v| v.real_servers.iter().find(|r| r.label.as_str() == rs).map(|r| r.state));
        state7.or_else(|| of4?.real_servers.iter().find(|r| r.label.as_str() == rs).map(|r| r.state))
    }
}

/// What both dialects want to run: Rackspace's objects, and OVH's as they were at the last refresh.
pub fn render(config: &Config) -> Rendered {
    let mut rendered = Rendered::default();
    rackspace::render(config, &mut rendered);
    ovh::render(config, &mut rendered);
    rendered
}

/// A label that is right by its making.
fn label(text: &str) -> Label {
    match text.parse() {
        Ok(label) => label,
        Err(e) => unreachable!("a word, a kind and numbers: {e}"),
    }
}

/// A text of people's in a type that refuses some; nothing where it is refused.
fn text<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// Always fit, never asked.
fn unasked() -> Layer7Check {
    Layer7Check { method: Layer7CheckMethod::On, ..Layer7Check::default() }
}

/// The codes that count, `200-299,302`; nothing where none does.
fn status_codes(counts: impl Fn(u16) -> bool) -> Option<StatusCodes> {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for code in (100..=599u16).filter(|code| counts(*code)) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == code => *last = code,
            _ => ranges.push((code, code)),
        }
    }
    let words = ranges.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") });
    text(&words.collect::<Vec<_>>().join(","))
}

/// A UDP virtual server by NAT without servers.
fn layer4(label: Label, address: IpAddr, ports: Ports, scheduler: Scheduler) -> VirtualServer {
    VirtualServer {
        label,
        service: Service::Address { address, protocol: Protocol::Udp, ports, mark: None },
        scheduler,
        hash_port: false,
        one_packet: false,
        persistence: None,
        check: lb_model::Check { method: lb_model::CheckMethod::On, ..lb_model::Check::default() },
        agent: None,
        quiescent: None,
        fallback: None,
        real_servers: Vec::new(),
    }
}

/// Values of one rule (lb-model's limit), and words of one line of HAProxy's.
const VALUES: usize = 100;
const WORDS: usize = 40;

/// Requests from these networks, or `not` from them, are refused in mode http.
fn refusals(networks: &[IpNet], not: bool) -> Vec<Rule> {
    networks
        .chunks(VALUES)
        .map(|chunk| Rule { test: Test::Source { values: chunk.to_vec() }, not, then: Outcome::Refuse {} })
        .collect()
}

/// The same for connections in mode tcp, which the document cannot say otherwise.
fn rejections(networks: &[IpNet], not: bool) -> Option<ManualBlock> {
    let words = |chunk: &[IpNet]| chunk.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = match (networks.is_empty(), not) {
        (true, _) => return None,
        (_, false) => networks
            .chunks(WORDS)
            .map(|chunk| format!("tcp-request connection reject if {{ src {} }}", words(chunk)))
            .collect(),
        (_, true) => {
            let allowed = networks.chunks(WORDS).map(|chunk| format!("acl allowed src {}", words(chunk)));
            allowed.chain(["tcp-request connection reject if !allowed".to_owned()]).collect()
        }
    };
    text(&lines.join("\n"))
}

/// `networks` without what is in `but`.
pub(crate) fn without(networks: &[IpNet], but: &[IpNet]) -> Vec<IpNet> {
    let mut left = Vec::new();
    let mut open: Vec<IpNet> = networks.iter().map(IpNet::trunc).collect();
    while let Some(network) = open.pop() {
        if but.iter().any(|b| b.contains(&network)) {
            continue;
        }
        if !but.iter().any(|b| network.contains(b)) {
            left.push(network);
        } else if let Ok(halves) = network.subnets(network.prefix_len() + 1) {
            open.extend(halves);
        }
    }
    left.sort();
    left.dedup();
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_taken_out_of_networks() {
        let nets = |list: &[&str]| list.iter().map(|n| n.parse().expect("a network")).collect::<Vec<IpNet>>();
        assert_eq!(without(&nets(&["10.0.0.0/8"]), &[]), nets(&["10.0.0.0/8"]));
        assert_eq!(without(&nets(&["10.0.0.0/30"]), &nets(&["10.0.0.1/32"])), nets(&["10.0.0.0/32", "10.0.0.2/31"]));
        assert_eq!(without(&nets(&["10.0.0.5/32"]), &nets(&["10.0.0.0/24"])), nets(&[]));
        let all_but = without(&nets(&["0.0.0.0/0"]), &nets(&["192.0.2.7/32", "::1/128"]));
        assert_eq!(all_but.len(), 32);
        assert!(!all_but.iter().any(|n| n.contains(&"192.0.2.7".parse::<IpAddr>().expect("an address"))));
    }

    #[test]
    fn long_lists_are_several_lines() {
        let many: Vec<IpNet> = (0..90u8).map(|n| format!("10.0.{n}.0/24").parse().expect("a network")).collect();
        let block = rejections(&many, true).expect("a block");
        assert_eq!(block.as_str().lines().count(), 4);
        assert_eq!(rejections(&many, false).expect("a block").as_str().lines().count(), 3);
        assert!(rejections(&[], true).is_none());
    }
}
