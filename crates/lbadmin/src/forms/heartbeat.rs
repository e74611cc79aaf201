//! Heartbeat Configuration: paths, times and policies of a pair.
//!
//! Of units that have just been paired the form is filled in: [`Proposal`] finds the networks in which both have an
//! address. Only together with that it says which of the two this unit is.

use super::{
    edit::{Object, Standing, Typed, Values},
    form::{Field, Section},
    parse,
};
use ipnet::IpNet;
use lb_model::{
    Config, Heartbeat, HeartbeatPath, NodeId, SerialPath, UdpPath, Witness,
    heartbeat::{HEARTBEAT_PORT, MAX_PATHS, SERIAL_BAUD},
};
use std::{collections::HashSet, net::IpAddr};

/// What the form begins with where there is no heartbeat yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub unit: NodeId,
    pub paths: Vec<HeartbeatPath>,
}

impl Default for Proposal {
    fn default() -> Self {
        Proposal { unit: NodeId::One, paths: vec![HeartbeatPath::Serial(SerialPath::default())] }
    }
}

impl Proposal {
    /// The cable, and every network in which this unit and the other, which has `theirs`, have an address of their own.
    pub fn guess(config: &Config, unit: NodeId, theirs: &[IpNet]) -> Proposal {
        let vips: HashSet<IpAddr> = config.virtual_servers.iter().filter_map(|vs| vs.service.address()).collect();
        let mine = config.node.interfaces.iter().flat_map(|i| &i.addresses);
        // A card's first address in a network is enough: others are on the same cable.
        let mut networks = HashSet::new();
        let common = mine.filter(|net| !vips.contains(&net.addr())).filter_map(|net| {
            let other = theirs.iter().find(|t| t.trunc() == net.trunc() && t.addr() != net.addr())?;
            networks.insert(net.trunc()).then_some((net.addr(), other.addr()))
        });
        let udp = common.map(|(mine, theirs)| {
            let (one, two) = if unit == NodeId::One { (mine, theirs) } else { (theirs, mine) };
            HeartbeatPath::Udp(UdpPath { one, two, port: HEARTBEAT_PORT })
        });
        let cable = HeartbeatPath::Serial(SerialPath::default());
        Proposal { unit, paths: std::iter::once(cable).chain(udp).take(MAX_PATHS).collect() }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeartbeatForm {
    proposal: Option<Proposal>,
}

/// Keepalive, warntime, deadtime under a name.
type Pace = (&'static str, &'static str, [u32; 3]);

const PACES: [Pace; 2] = [
    ("default", "Default: dead after 400 ms of silence", [100, 200, 400]),
    ("fast", "Fast: dead after 50 ms of silence", [10, 25, 50]),
];
/// The numbers are somebody's own.
const OWN: &str = "own";

fn pace(h: &Heartbeat) -> &'static str {
    let times = [h.keepalive_ms, h.warntime_ms, h.deadtime_ms];
    PACES.iter().find(|(.., p)| *p == times).map_or(OWN, |(name, ..)| name)
}

impl HeartbeatForm {
    /// Without a proposal a unit that has no heartbeat has no form either.
    pub fn of(proposal: Option<Proposal>) -> Self {
        HeartbeatForm { proposal }
    }

    /// It fills in what is not there yet.
    pub fn proposes(&self) -> bool {
        self.proposal.is_some()
    }

    fn unit(&self, config: &Config) -> Option<NodeId> {
        config.node.unit.or(self.proposal.as_ref().map(|p| p.unit))
    }

    fn values(&self, config: &Config, h: &Heartbeat) -> Values {
        let on = |b: bool| if b { "on".to_owned() } else { String::new() };
        let serial: Vec<String> = h.paths.iter().filter_map(serial_line).collect();
        let networks: Vec<String> = h.paths.iter().filter_map(network_line).collect();
        let (witness, witness_address) = match h.witness {
            None => ("none", String::new()),
            Some(Witness::FloatingNetwork) => ("floating-network", String::new()),
            Some(Witness::Address(address)) => ("address", address.to_string()),
        };
        Values::from([
            ("unit", self.unit(config).map_or_else(|| "not known".to_owned(), |unit| format!("unit {unit}"))),
            ("serial", parse::joined(&serial)),
            ("networks", parse::joined(&networks)),
            ("pace", pace(h).to_owned()),
            ("keepalive", h.keepalive_ms.to_string()),
            ("warntime", h.warntime_ms.to_string()),
            ("deadtime", h.deadtime_ms.to_string()),
            ("initdead", h.initdead_ms.to_string()),
            ("lease", h.lease_ms.to_string()),
            ("announce", h.announce_every_ms.to_string()),
            ("preferred", h.preferred.map_or_else(String::new, |unit| unit.to_string())),
            ("auto_failback", on(h.auto_failback)),
            ("failback_delay", h.failback_delay_ms.to_string()),
            ("ping_nodes", parse::joined(&h.ping_nodes)),
            ("network_failure", on(h.failover_on_network_failure)),
            ("witness", witness.to_owned()),
            ("witness_address", witness_address),
            ("sync_id", h.sync_id.to_string()),
        ])
    }
}

fn serial_line(path: &HeartbeatPath) -> Option<String> {
    match path {
        HeartbeatPath::Serial(s) => Some(format!("{} {}", s.device, s.baud)),
        HeartbeatPath::Udp(_) => None,
    }
}

fn network_line(path: &HeartbeatPath) -> Option<String> {
    match path {
        HeartbeatPath::Udp(UdpPath { one, two, port: HEARTBEAT_PORT }) => Some(format!("{one} to {two}")),
        HeartbeatPath::Udp(UdpPath { one, two, port }) => Some(format!("{one} to {two} port {port}")),
        HeartbeatPath::Serial(_) => None,
    }
}

/// `/dev/ttyS1 115200`
fn serial(text: &str) -> Result<HeartbeatPath, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (device, baud) = match words[..] {
        [device] => (device, SERIAL_BAUD),
        [device, baud] => (device, parse::number(baud, 1, u32::MAX)?),
        _ => return Err(format!("\"{text}\" is not a serial line; write DEVICE SPEED, for example /dev/ttyS1 115200")),
    };
    Ok(HeartbeatPath::Serial(SerialPath { device: device.to_owned(), baud }))
}

/// `10.0.0.21 to 10.0.0.22`, `10.0.0.21 to 10.0.0.22 port 695`
fn network(text: &str) -> Result<HeartbeatPath, String> {
    let form = "write UNIT ONE'S ADDRESS to UNIT TWO'S, for example 10.0.0.21 to 10.0.0.22";
    let words: Vec<&str> = text.split_whitespace().filter(|w| !["to", "port"].contains(w)).collect();
    let (one, two, port) = match words[..] {
        [one, two] => (one, two, HEARTBEAT_PORT),
        [one, two, port] => (one, two, parse::port(port)?),
        _ => return Err(format!("\"{text}\" is not a path; {form}")),
    };
    let address = |text: &str| text.parse().map_err(|_| format!("\"{text}\" is not an IP address; {form}"));
    Ok(HeartbeatPath::Udp(UdpPath { one: address(one)?, two: address(two)?, port }))
}

impl Object for HeartbeatForm {
    fn title(&self) -> String {
        "Heartbeat Configuration".into()
    }

    fn name(&self) -> String {
        self.title()
    }

    fn standing(&self, config: &Config) -> Standing {
        match (&config.heartbeat, &self.proposal) {
            (Some(heartbeat), _) => Standing::There(self.values(config, heartbeat)),
            (None, Some(proposal)) => {
                let heartbeat = Heartbeat { paths: proposal.paths.clone(), ..Heartbeat::default() };
                Standing::New(self.values(config, &heartbeat))
            }
            (None, None) => Standing::Nowhere("This unit is not paired, so it has no heartbeat.".into()),
        }
    }

    fn sections(&self, config: &Config, _: &Values) -> Vec<Section> {
        let one_two = |unit| match self.unit(config) {
            Some(this) if this == unit => format!("Unit {unit} (this one)"),
            _ => format!("Unit {unit}"),
        };
        let paces = PACES.iter().map(|(name, words, _)| (*name, *words)).chain([(OWN, "As below")]);
        vec![
            Section::new(
                "Paths",
                vec![
                    Field::readonly("unit", "This unit is", "heartbeat-unit"),
                    Field::area("serial", "Null-modem cables", "heartbeat-serial", 2)
                        .placeholder("/dev/ttyS1 115200")
                        .hint("One a line: DEVICE SPEED. Leave it empty without a cable"),
                    Field::area("networks", "Networks", "heartbeat-networks", 4)
                        .placeholder("10.0.0.21 to 10.0.0.22")
                        .hint(
                            "One a line: unit one's own address to unit two's. The first ones carry the configuration \
                             and the connections too",
                        ),
                ],
            ),
            Section::new(
                "Times",
                vec![
                    Field::select("pace", "Pace", "heartbeat-pace", paces)
                        .hint("Another choice sets the next three; a number of your own needs no other choice"),
                    Field::number("keepalive", "Keepalive", "heartbeat-keepalive", 5, 10_000).unit("ms"),
                    Field::number("warntime", "Warntime", "heartbeat-warntime", 6, 120_000).unit("ms"),
                    Field::number("deadtime", "Deadtime", "heartbeat-deadtime", 20, 120_000)
                        .unit("ms")
                        .hint("Silence on every path after which the other unit takes over"),
                    Field::number("initdead", "Initdead", "heartbeat-initdead", 40, 600_000)
                        .unit("ms")
                        .hint("The same after a start"),
                    Field::number("lease", "Lease", "heartbeat-lease", 1000, 600_000)
                        .unit("ms")
                        .hint("How long a unit keeps floating IPs when its heartbeat has died"),
                    Field::number("announce", "Announce again every", "heartbeat-announce", 1000, 3_600_000).unit("ms"),
                ],
            ),
            Section::new(
                "Fail-back",
                vec![
                    Field::select(
                        "preferred",
                        "Preferred unit",
                        "heartbeat-preferred",
                        [
                            (String::new(), "None".to_owned()),
                            ("one".to_owned(), one_two(NodeId::One)),
                            ("two".to_owned(), one_two(NodeId::Two)),
                        ],
                    ),
                    Field::checkbox("auto_failback", "Auto-failback", "heartbeat-auto-failback")
                        .hint("The preferred unit takes the floating IPs back when it has returned"),
                    Field::number("failback_delay", "Fail-back after", "heartbeat-failback-delay", 0, 86_400_000)
                        .unit("ms"),
                ],
            ),
            Section::new(
                "Network failure",
                vec![
                    Field::area("ping_nodes", "Ping nodes", "heartbeat-ping-nodes", 3)
                        .placeholder("10.0.0.1")
                        .hint("One address a line: machines that always answer, such as the gateway"),
                    Field::checkbox("network_failure", "Fail over on network failure", "heartbeat-network-failure")
                        .hint("The unit that reaches more ping nodes serves"),
                ],
            ),
            Section::new(
                "Witness",
                vec![
                    Field::select(
                        "witness",
                        "Before a unit serves alone it asks",
                        "heartbeat-witness",
                        [
                            ("none", "Nobody"),
                            ("address", "The address below"),
                            ("floating-network", "The network of the floating IPs"),
                        ],
                    )
                    .hint("Without a witness both units serve when every path is cut"),
                    Field::text("witness_address", "Witness", "heartbeat-witness-address").placeholder("10.0.0.1"),
                ],
            ),
            Section::new(
                "Connections",
                vec![
                    Field::number("sync_id", "Sync ID", "heartbeat-sync-id", 1, 254)
                        .hint("Unit two has the next number. Pairs in one network need others"),
                ],
            ),
        ]
    }

    fn pointer(&self, config: &Config) -> Option<String> {
        config.heartbeat.as_ref().map(|_| "/heartbeat".into())
    }

    fn write(&self, config: &mut Config, typed: &mut Typed) -> String {
        let mut h = match (&config.heartbeat, &self.proposal) {
            (Some(heartbeat), _) => heartbeat.clone(),
            (None, Some(proposal)) => Heartbeat { paths: proposal.paths.clone(), ..Heartbeat::default() },
            (None, None) => Heartbeat::default(),
        };
        if typed.changed(&["serial", "networks"]) {
            let serial = typed.parsed("serial", |text| parse::lines(text, serial));
            let networks = typed.parsed("networks", |text| parse::lines(text, network));
            if let (Some(serial), Some(networks)) = (serial, networks) {
                h.paths = serial.into_iter().chain(networks).collect();
            }
        }
        let chosen = PACES.iter().find(|(name, ..)| *name == typed.text("pace") && *name != pace(&h));
        match chosen {
            Some((.., times)) => [h.keepalive_ms, h.warntime_ms, h.deadtime_ms] = *times,
            None => {
                typed.put_number("keepalive", &mut h.keepalive_ms);
                typed.put_number("warntime", &mut h.warntime_ms);
                typed.put_number("deadtime", &mut h.deadtime_ms);
            }
        }
        typed.put_number("initdead", &mut h.initdead_ms);
        typed.put_number("lease", &mut h.lease_ms);
        typed.put_number("announce", &mut h.announce_every_ms);
        typed.put_number("failback_delay", &mut h.failback_delay_ms);
        h.auto_failback = typed.on("auto_failback");
        h.preferred = match typed.text("preferred") {
            "one" => Some(NodeId::One),
            "two" => Some(NodeId::Two),
            _ => None,
        };
        typed.put("ping_nodes", &mut h.ping_nodes, |text| parse::lines(text, parse::address));
        h.failover_on_network_failure = typed.on("network_failure");
        match typed.text("witness") {
            "address" => {
                let address = typed.parsed("witness_address", |text| match text {
                    "" => Err("An address is needed here, such as the gateway's".to_owned()),
                    text => parse::address(text),
                });
                h.witness = address.map(Witness::Address);
            }
            "floating-network" => h.witness = Some(Witness::FloatingNetwork),
            _ => h.witness = None,
        }
        typed.put("sync_id", &mut h.sync_id, |text| {
            let id = parse::number(text, 1, 254)?;
            u8::try_from(id).map_err(|e| e.to_string())
        });
        config.heartbeat = Some(h);
        if let (None, Some(proposal)) = (config.node.unit, &self.proposal) {
            config.node.unit = Some(proposal.unit);
        }
        "/heartbeat".into()
    }

    fn field_at(&self, tail: &str) -> Option<&'static str> {
        Some(match tail {
            "/keepalive_ms" => "keepalive",
            "/warntime_ms" => "warntime",
            "/deadtime_ms" => "deadtime",
            "/initdead_ms" => "initdead",
            "/lease_ms" => "lease",
            "/announce_every_ms" => "announce",
            "/preferred" => "preferred",
            "/auto_failback" => "auto_failback",
            "/failback_delay_ms" => "failback_delay",
            "/failover_on_network_failure" => "network_failure",
            "/sync_id" => "sync_id",
            _ if tail.starts_with("/ping_nodes") => "ping_nodes",
            _ if tail.starts_with("/witness") => "witness_address",
            _ if tail.starts_with("/paths/") && tail.contains("/serial/") => "serial",
            _ if tail.starts_with("/paths") => "networks",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
