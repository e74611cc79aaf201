//! What an entry of the table becomes in a message.
//!
//! `/proc` prints neither flags nor marks, so both come from the services: how a connection is forwarded from its
//! destination, whether it counts as inactive from its state (as `ip_vs_proto_tcp.c` and its neighbours have it), its
//! mark from our rules. The receiving kernel looks for the destination by these, and takes the forwarding method of its
//! own; only where it finds none, the message's is used.
//!
//! Time-outs: a connection gets its state's whole time again, as with every message that the kernel itself sends, a
//! template that of its service. What it had left would be too short: the next packet gives it the whole time here, and
//! nobody tells the other unit.

use crate::Connection;
use ipvs::sync::{self, flag};
use lb_model::{Family, Protocol};
use lb_plan::{Dest, DestKey, Forward, MarkRule, Service, ServiceKey};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// IPPROTO_*.
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// The kernel's words for states, at their numbers: `tcp_state_name_table`, `sctp_state_name_table`.
const TCP_STATES: [&str; 11] = [
    "NONE",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "SYNACK",
];
const SCTP_STATES: [&str; 14] = [
    "NONE",
    "INIT1",
    "INIT",
    "C-SENT",
    "C-REPLIED",
    "C-WAIT",
    "COOKIE",
    "C-ECHOED",
    "ESTABLISHED",
    "S-SENT",
    "S-RECEIVED",
    "S-ACK-SENT",
    "REJECTED",
    "CLOSED",
];
/// `tcp_state_active_table`.
const TCP_ACTIVE: [&str; 4] = ["ESTABLISHED", "SYN_SENT", "SYN_RECV", "SYNACK"];
/// `ip_vs_ctpl_state_name_table`.
const TEMPLATE_STATES: [&str; 2] = ["NONE", "ASSURED"];

/// Why an entry stays here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsent {
    /// Its server is this unit itself, which the other is not.
    Local,
    /// Client and server are of different families: messages cannot say that.
    MixedFamilies,
    /// A data connection before its first packet: the client's port is not known yet.
    NoClientPort,
    /// A protocol or state that we have no number for.
    Unknown,
}

/// This unit's services, for looking entries up.
pub struct Rules {
    services: HashMap<ServiceKey, Service>,
    marks: Vec<MarkRule>,
    /// The marks whose service has a destination of this address.
    marked: HashMap<IpAddr, Vec<u32>>,
    own: HashSet<IpAddr>,
}

impl Rules {
    /// `marks`: the rules by which packets get theirs; `own`: this unit's addresses.
    pub fn new(services: BTreeMap<ServiceKey, Service>, marks: &[MarkRule], own: HashSet<IpAddr>) -> Rules {
        let mut marked: HashMap<IpAddr, Vec<u32>> = HashMap::new();
        for (key, service) in &services {
            let ServiceKey::Mark { mark, .. } = key else { continue };
            for dest in service.dests.keys() {
                let marks = marked.entry(dest.address).or_default();
                if !marks.contains(mark) {
                    marks.push(*mark);
                }
            }
        }
        Rules { services: services.into_iter().collect(), marks: marks.to_vec(), marked, own }
    }

    /// The entry as the other unit's backup daemon takes it.
    pub fn message(&self, connection: &Connection<'_>) -> Result<sync::Connection, Unsent> {
        let Connection { client, virtual_server, real_server, .. } = *connection;
        let template = connection.is_template();
        let protocol = number(connection.protocol).ok_or(Unsent::Unknown)?;
        let family = Family::of(client.ip());
        if family != Family::of(virtual_server.ip()) || family != Family::of(real_server.ip()) {
            return Err(Unsent::MixedFamilies);
        }
        if client.port() == 0 && !template {
            return Err(Unsent::NoClientPort);
        }
        let state = state(protocol, template, connection.state).ok_or(Unsent::Unknown)?;
        let (mark, service) = self.service(protocol, virtual_server, real_server.ip());
        let dest = service.and_then(|service| dest(service, real_server));
        let forward = dest.map_or(Forward::Nat, |dest| dest.forward);
        let to_itself = forward == Forward::Local || self.own.contains(&real_server.ip());
        if to_itself || real_server.ip().is_loopback() {
            return Err(Unsent::Local);
        }
        let mut flags = self::forward(forward);
        if template {
            flags |= flag::TEMPLATE;
        } else if !active(protocol, connection.state) {
            flags |= flag::INACTIVE;
        }
        let timeout = match (template, service.and_then(|service| service.persistence)) {
            (true, Some((seconds, _))) => seconds,
            (true, None) => connection.expires.max(1),
            (false, _) => 0,
        };
        Ok(sync::Connection {
            protocol,
            flags,
            state,
            client,
            virtual_server,
            destination: real_server,
            mark,
            timeout,
            sequence: None,
            engine: None,
        })
    }

    /// The service that made an entry, and the mark by which the kernel finds it. In the kernel's order
    /// (`ip_vs_service_find`): by mark, by address and port, by address alone.
    fn service(&self, protocol: u8, virtual_server: SocketAddr, server: IpAddr) -> (u32, Option<&Service>) {
        let (address, family) = (virtual_server.ip(), Family::of(virtual_server.ip()));
        let by_mark = |mark| (mark, self.services.get(&ServiceKey::Mark { mark, family }));
        let named = match protocol {
            TCP => Protocol::Tcp,
            UDP => Protocol::Udp,
            SCTP => Protocol::Sctp,
            _ => return by_mark(template_mark(address)),
        };
        let port = virtual_server.port();
        let rule = self.marks.iter().find(|rule| {
            let ports = rule.ports.is_any() || rule.ports.ranges().iter().any(|r| (r.first..=r.last).contains(&port));
            rule.address == address && rule.protocol == named && ports
        });
        if let Some((mark, Some(service))) = rule.map(|rule| by_mark(rule.mark)) {
            return (mark, Some(service));
        }
        for port in [port, 0] {
            let key = ServiceKey::Address { protocol: named, address, port };
            if let Some(service) = self.services.get(&key) {
                return (0, Some(service));
            }
        }
        // Marked by somebody else's rules: known only if no other marked service has that server.
        match self.marked.get(&server).map(Vec::as_slice) {
            Some([mark]) => by_mark(*mark),
            _ => (0, None),
        }
    }
}

/// The mark stands where others have the virtual server; of IPv6 addresses the kernel uses the first four bytes as well
/// (`ip_vs_sched_persist`).
fn template_mark(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(ip) => ip.to_bits(),
        IpAddr::V6(ip) => Ipv4Addr::from(ip.octets().first_chunk().copied().unwrap_or_default()).to_bits(),
    }
}

/// Under a mark destinations have port 0 unless NAT changes the port, and so have those of a service of all ports.
fn dest(service: &Service, server: SocketAddr) -> Option<&Dest> {
    let at = |port| service.dests.get(&DestKey { address: server.ip(), port });
    at(server.port())
        .or_else(|| at(0))
        .or_else(|| service.dests.iter().find(|(key, _)| key.address == server.ip()).map(|(_, dest)| dest))
}

fn forward(forward: Forward) -> u32 {
    match forward {
        Forward::Nat => 0,
        Forward::Local => 1 | flag::NO_OUTPUT,
        Forward::Tun(_) => 2 | flag::NO_OUTPUT,
        Forward::Dr => 3 | flag::NO_OUTPUT,
        Forward::Bypass => 4 | flag::NO_OUTPUT,
    }
}

/// IANA's numbers; `IP` stands for a firewall mark.
pub(crate) fn number(protocol: &str) -> Option<u8> {
    match protocol {
        "IP" => Some(0),
        "TCP" => Some(TCP),
        "UDP" => Some(UDP),
        "SCTP" => Some(SCTP),
        _ => None,
    }
}

fn state(protocol: u8, template: bool, word: &str) -> Option<u16> {
    let words: &[&str] = match protocol {
        _ if template => &TEMPLATE_STATES,
        TCP => &TCP_STATES,
        UDP => &["UDP"],
        SCTP => &SCTP_STATES,
        _ => return None,
    };
    words.iter().position(|w| *w == word).and_then(|at| u16::try_from(at).ok())
}

fn active(protocol: u8, state: &str) -> bool {
    match protocol {
        TCP => TCP_ACTIVE.contains(&state),
        SCTP => state == "ESTABLISHED",
        // UDP has one state, and never becomes active.
        _ => false,
    }
}
