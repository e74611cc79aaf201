//! What `/run/lb/ha.json` says: which node this is, the pair's settings, the floating addresses, and how each path
//! travels. lbd renders it at each apply (a file beside it, then a rename); heartbeat reads it anew at each change.
//!
//! It holds no secret: keys stand in a file of their own ([`crate::key_file`]). An unknown field is refused. All
//! problems are found at once, each with field, value, reason and hint. Tested by `tests/document.rs`.

use crate::codec::{FIXED_AND_TAG, LANE};
use crate::settings::{NodeId, Settings, Witness};
use ipnet::IpNet;
pub use lb_model::SerialPath as Serial;
pub use lb_model::heartbeat::{BAUDS, HEARTBEAT_PORT as UDP_PORT, MAX_FLOATING, SERIAL_BAUD, SERIAL_DEVICE};
use lb_model::{IfName, Problem};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// The version of the document that this software reads.
pub const DOCUMENT_VERSION: u32 = 1;
/// The whole document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`DOCUMENT_VERSION`].
    pub version: u32,
    pub me: NodeId,
    /// The same on both nodes, as are the floating addresses.
    pub settings: Settings,
    pub floating: Vec<Floating>,
    /// One for each of [`Settings::paths`], in that order.
    pub transports: Vec<Transport>,
}

/// One floating address, and the interface that carries it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floating {
    pub interface: IfName,
    pub net: IpNet,
}

/// How frames travel on one path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    Serial(Serial),
    Udp(Udp),
}

/// UDP, one frame a datagram.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Udp {
    /// An address of this node that never moves, and the port to listen on.
    pub local: SocketAddr,
    /// The same of the other node.
    pub peer: SocketAddr,
    /// Send and receive on this interface only. A link-local address needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<IfName>,
}

/// How long the longest frame of a pair with so many paths is on a serial line of this speed, in milliseconds, rounded up.
pub fn frame_ms(baud: u32, paths: usize) -> u32 {
    // Stuffing adds three bytes (`serial`), and a byte is ten bits long with its start and stop bit.
    let bits = 10 * (FIXED_AND_TAG + LANE * paths + 3);
    u32::try_from(bits * 1000).unwrap_or(u32::MAX).div_ceil(baud.max(1))
}

impl Document {
    /// Everything that is wrong; empty when the daemon can obey it.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Found::default();
        if self.version != DOCUMENT_VERSION {
            let reason = format!("this software reads version {DOCUMENT_VERSION}");
            found.add("version", self.version, reason, "let both nodes run the same software");
        }
        found.0.extend(self.settings.problems().into_iter().map(|problem| {
            let path = format!("/settings{}", problem.path);
            Problem { path, ..problem }
        }));
        self.floating_problems(&mut found);
        self.transport_problems(&mut found);
        for (number, address) in self.settings.ping_nodes.iter().enumerate() {
            let at = format!("settings/ping_nodes/{number}");
            self.must_be_elsewhere(&at, *address, &mut found);
            if self.settings.ping_nodes[..number].contains(address) {
                found.add(&at, address, "stands here twice", "remove one of the two");
            }
        }
        match self.settings.witness {
            Some(Witness::Address(address)) => {
                let at = "settings/witness/address";
                self.must_be_elsewhere(at, address, &mut found);
                if address.is_ipv6() {
                    // Its question would not be seen by the other node: see `docs/heartbeat-protocol.md`.
                    found.add(at, address, "must be an IPv4 address", "give the witness's IPv4 address");
                } else if !self.floating.is_empty() && self.witness_interface().is_none() {
                    let hint = "give an address in the network of a floating address";
                    found.add(at, address, "is in no network that carries a floating address", hint);
                }
            }
            Some(Witness::FloatingNetwork) if self.witness_interface().is_none() => {
                let hint = "add a floating IPv4 address, or name the witness's address";
                found.add("settings/witness", "floating_network", "there is no floating IPv4 address", hint);
            }
            Some(Witness::FloatingNetwork) | None => {}
        }
        found.0
    }

    /// The interface on which a witness is asked.
    pub fn witness_interface(&self) -> Option<&IfName> {
        let found = match self.settings.witness? {
            Witness::Address(address) => self.floating.iter().find(|floating| floating.net.contains(&address)),
            Witness::FloatingNetwork => self.floating.iter().find(|floating| floating.net.addr().is_ipv4()),
        };
        found.map(|floating| &floating.interface)
    }

    fn floating_problems(&self, found: &mut Found) {
        if self.floating.len() > MAX_FLOATING {
            found.add("floating", self.floating.len(), format!("must be {MAX_FLOATING} or fewer"), "remove some");
        }
        let mut seen = HashMap::new();
        for (number, floating) in self.floating.iter().enumerate() {
            let (at, address) = (format!("floating/{number}/net"), floating.net.addr());
            if let Some(reason) = unusable(address) {
                found.add(&at, floating.net, reason, "give the address that clients use");
            } else if floating.net.prefix_len() == 0 {
                let hint = "use the network's netmask, for example /24";
                found.add(&at, floating.net, "would make the whole world this interface's network", hint);
            }
            if let Some(other) = seen.insert(address, &floating.interface) {
                found.add(&at, floating.net, format!("stands here twice, also on {other}"), "remove one of the two");
            }
        }
    }

    fn transport_problems(&self, found: &mut Found) {
        let (paths, transports) = (self.settings.paths.len(), self.transports.len());
        if paths != transports {
            let reason = format!("there are {paths} paths in the settings, each needs one");
            found.add("transports", transports, reason, "list them in the order of settings/paths");
        }
        for (number, transport) in self.transports.iter().enumerate() {
            match transport {
                Transport::Serial(serial) => self.serial_problems(number, serial, found),
                Transport::Udp(udp) => self.udp_problems(number, udp, found),
            }
            if self.transports[..number].iter().any(|other| collide(transport, other)) {
                let reason = "another path uses the same device or addresses, so one fault would cut both";
                found.add(&format!("transports/{number}"), name(transport), reason, "remove one of the two");
            }
        }
    }

    fn serial_problems(&self, number: usize, serial: &Serial, found: &mut Found) {
        let at = format!("transports/{number}/serial");
        let device = serial.device.as_str();
        let parts = device.strip_prefix("/dev/").map(|rest| rest.split('/').collect::<Vec<_>>());
        let good = |part: &&str| !part.is_empty() && *part != "." && *part != ".." && !part.contains('\0');
        if !parts.is_some_and(|parts| parts.iter().all(good)) {
            let hint = format!("the second serial port is {SERIAL_DEVICE}");
            found.add(&format!("{at}/device"), device, "is not a device below /dev/", &hint);
        }
        if !BAUDS.contains(&serial.baud) {
            let hint = format!("one of {BAUDS:?}; both ends need the same");
            found.add(&format!("{at}/baud"), serial.baud, "is not a speed of serial lines", &hint);
            return;
        }
        let Some(path) = self.settings.paths.get(number) else { return };
        let line = frame_ms(serial.baud, self.settings.paths.len());
        let every = path.min_interval_ms.max(self.settings.keepalive_ms);
        if every < line {
            let reason = format!("a frame takes {line} ms on a line of {} baud", serial.baud);
            let hint = format!("set it to {line} or more, or raise the line's speed");
            found.add(&format!("settings/paths/{number}/min_interval_ms"), path.min_interval_ms, reason, &hint);
        }
    }

    fn udp_problems(&self, number: usize, udp: &Udp, found: &mut Found) {
        let at = format!("transports/{number}/udp");
        for (field, socket) in [("local", udp.local), ("peer", udp.peer)] {
            let at = format!("{at}/{field}");
            if let Some(reason) = unusable(socket.ip()) {
                found.add(&at, socket, reason, "give a node's own, fixed address");
            }
            if socket.port() == 0 {
                found.add(&at, socket, "port 0 is none", &format!("heartbeats use port {UDP_PORT}"));
            }
            self.must_be_elsewhere(&at, socket.ip(), found);
            let link_local = matches!(socket.ip(), IpAddr::V6(a) if a.is_unicast_link_local());
            if link_local && udp.interface.is_none() {
                found.add(&at, socket, "is link-local, so it says nothing without its interface", "give the interface");
            }
        }
        if udp.local.is_ipv4() != udp.peer.is_ipv4() {
            let hint = "give both as IPv4 or both as IPv6";
            found.add(&format!("{at}/peer"), udp.peer, "is of another family than the local address", hint);
        }
        if udp.local.ip() == udp.peer.ip() {
            found.add(&format!("{at}/peer"), udp.peer, "is this node's own address", "give the other node's");
        }
    }

    /// An address that moves between the nodes says nothing about either.
    fn must_be_elsewhere(&self, at: &str, address: IpAddr, found: &mut Found) {
        if self.floating.iter().any(|floating| floating.net.addr() == address) {
            found.add(at, address, "is a floating address of this pair", "give an address that does not move");
        }
    }
}

fn collide(one: &Transport, other: &Transport) -> bool {
    match (one, other) {
        (Transport::Serial(one), Transport::Serial(other)) => one.device == other.device,
        // Two sockets cannot listen on one address, and two addresses of one peer may still be two networks.
        (Transport::Udp(one), Transport::Udp(other)) => one.local == other.local || one.peer == other.peer,
        (Transport::Serial(_), Transport::Udp(_)) | (Transport::Udp(_), Transport::Serial(_)) => false,
    }
}

fn name(transport: &Transport) -> String {
    match transport {
        Transport::Serial(serial) => serial.device.clone(),
        Transport::Udp(udp) => format!("{} to {}", udp.local, udp.peer),
    }
}

fn unusable(address: IpAddr) -> Option<&'static str> {
    match address {
        a if a.is_unspecified() => Some("is the unspecified address, not a host's"),
        a if a.is_multicast() => Some("is a multicast address, not a host's"),
        a if a.is_loopback() => Some("is a loopback address, which no other machine can reach"),
        IpAddr::V4(a) if a.is_broadcast() => Some("is the broadcast address, not a host's"),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

#[derive(Default)]
struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, field: &str, value: impl ToString, reason: impl Into<String>, hint: &str) {
        let (path, value, reason) = (format!("/{field}"), value.to_string(), reason.into());
        self.0.push(Problem { path, value, reason, hint: Some(hint.to_owned()) });
    }
}
