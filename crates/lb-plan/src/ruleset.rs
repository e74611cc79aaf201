//! Our own nftables table, as data and as the text that `nft` takes.

use ipnet::IpNet;
use lb_model::{IfName, MANAGEMENT_PORTS, Ports, Protocol};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

/// The table `inet steelyard`: marks for virtual servers with several ports, MASQUERADE, what a unit of a pair holds
/// back, who may tell it what layer 7 remembers, who reaches the unit's own services, and which answers to clients'
/// addresses are its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    pub marks: Vec<MarkRule>,
    pub masquerade: Option<Masquerade>,
    pub held_back: Option<HeldBack>,
    pub peers: Option<PeersDoor>,
    pub management: Option<ManagementDoor>,
    /// Ports of real servers with which layer 7 speaks under clients' addresses: their answers get [`Ruleset::DETOUR`].
    pub transparent: BTreeMap<Ports, BTreeSet<IpAddr>>,
}

/// HAProxy takes what anybody tells it at this place: nobody but the pair's two units gets through to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeersDoor {
    pub mine: IpAddr,
    pub other: IpAddr,
    pub port: u16,
}

/// The lock-down: new connections to [`MANAGEMENT_PORTS`] from elsewhere are dropped. Those that are there go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ManagementDoor {
    /// None overlaps another.
    pub sources: Vec<IpNet>,
    /// Virtual servers that stand at one of these ports at an address: they stay open to all.
    pub services: BTreeSet<(IpAddr, u16)>,
    /// What has one of these marks is a virtual server's as well.
    pub marks: BTreeSet<u32>,
}

/// Packets to these ports get the mark by which IPVS knows the virtual server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkRule {
    pub address: IpAddr,
    pub protocol: Protocol,
    pub ports: Ports,
    pub mark: u32,
}

/// What comes from these networks leaves through `out` under its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masquerade {
    pub networks: Vec<IpNet>,
    pub out: IfName,
}

/// What would end a TCP connection that this unit does not know yet, or keep one from coming about: see
/// `Desired::holding_back`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeldBack {
    /// No reset leaves or passes under these addresses, and nothing is remembered of what is only passed on to them.
    pub floating: BTreeSet<IpAddr>,
    /// Nothing is passed on from these real servers and ports under their own addresses.
    pub answers: BTreeMap<Ports, BTreeSet<IpAddr>>,
}

impl Ruleset {
    pub const TABLE: &'static str = "steelyard";

    /// The mark of packets that are delivered to this unit whatever their destination: no virtual server's
    /// ([`lb_model::FirewallMark`] is below 2^31).
    pub const DETOUR: u32 = 0xc000_0000;

    pub fn is_empty(&self) -> bool {
        *self == Ruleset::default()
    }

    /// One transaction that puts this ruleset in the place of the former one: `nft -f -` applies all or nothing.
    pub fn script(&self) -> String {
        let table = Self::TABLE;
        let clear = format!("add table inet {table}\ndelete table inet {table}\n");
        if self.is_empty() {
            return clear;
        }
        format!("{clear}{self}")
    }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}

/// `ip saddr { … }` for the addresses of each family there are some of.
fn sources(addresses: &BTreeSet<IpAddr>) -> impl Iterator<Item = String> {
    each_family("saddr", addresses)
}

fn each_family(end: &'static str, addresses: &BTreeSet<IpAddr>) -> impl Iterator<Item = String> {
    let of = move |word: &'static str| {
        let of_family = addresses.iter().filter(|a| family(**a) == word).map(IpAddr::to_string);
        let list: Vec<String> = of_family.collect();
        (!list.is_empty()).then(|| format!("{word} {end} {{ {} }}", list.join(", ")))
    };
    ["ip", "ip6"].into_iter().filter_map(of)
}

fn port_list(ports: &Ports) -> String {
    ports.to_string().replace(',', ", ")
}

/// The socket decides: what a real server sends to a client by itself, or by DR and NAT of layer 4, is passed on as ever.
fn transparent(servers: &BTreeMap<Ports, BTreeSet<IpAddr>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "  chain transparent {{\n    type filter hook prerouting priority mangle; policy accept;")?;
    for (ports, servers) in servers {
        for from in sources(servers) {
            let tcp = match ports.is_any() {
                true => "meta l4proto tcp".to_owned(),
                false => format!("tcp sport {{ {} }}", port_list(ports)),
            };
            writeln!(f, "    {from} {tcp} socket transparent 1 meta mark set {:#x}", Ruleset::DETOUR)?;
        }
    }
    writeln!(f, "  }}")
}

impl HeldBack {
    fn chains(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Before conntrack sees it (NF_IP_PRI_RAW). It would remember a client's SYN that comes between two owners of an
        // address, and IPVS drops the SYN of a reused port that conntrack knows (`ip_vs_conn_uses_old_conntrack`).
        writeln!(f, "  chain passing {{\n    type filter hook prerouting priority raw; policy accept;")?;
        for to in each_family("daddr", &self.floating) {
            writeln!(f, "    {to} fib daddr type != local notrack")?;
        }
        writeln!(f, "  }}")?;
        writeln!(f, "  chain resets {{\n    type filter hook output priority filter; policy accept;")?;
        for from in sources(&self.floating) {
            writeln!(f, "    {from} tcp flags & rst == rst drop")?;
        }
        writeln!(f, "  }}")?;
        // After IPVS has put the VIP into the answers that it knows (priority 100, `ip_vs_core.c`). Resets among these may
        // be of a real server that an older connection of the client's port led to.
        writeln!(f, "  chain answers {{\n    type filter hook forward priority 110; policy accept;")?;
        for from in sources(&self.floating) {
            writeln!(f, "    {from} tcp flags & rst == rst drop")?;
        }
        for (ports, servers) in &self.answers {
            for from in sources(servers) {
                match ports.is_any() {
                    true => writeln!(f, "    {from} meta l4proto tcp drop")?,
                    false => writeln!(f, "    {from} tcp sport {{ {} }} drop", port_list(ports))?,
                }
            }
        }
        writeln!(f, "  }}")
    }
}

impl ManagementDoor {
    /// Only the packet that asks for a connection is looked at, so that no connection need be tracked and none is cut.
    /// On the way in (`input`) it has the address and port that the client sent it to: what IPVS passes on to the
    /// fallback page is not yet the fallback page's (priority 99, `ip_vs_core.c`).
    fn chains(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |texts: Vec<String>| texts.join(", ");
        let ports = list(MANAGEMENT_PORTS.iter().map(u16::to_string).collect());
        writeln!(f, "  chain outsiders {{\n    iifname \"lo\" accept")?;
        if !self.marks.is_empty() {
            let marks = list(self.marks.iter().map(|mark| format!("{mark:#x}")).collect());
            writeln!(f, "    meta mark {{ {marks} }} accept")?;
        }
        for (address, port) in &self.services {
            writeln!(f, "    {} daddr {address} tcp dport {port} accept", family(*address))?;
        }
        for word in ["ip", "ip6"] {
            let of_family = self.sources.iter().filter(|net| family(net.addr()) == word);
            let networks: Vec<String> = of_family.map(IpNet::to_string).collect();
            if !networks.is_empty() {
                writeln!(f, "    {word} saddr {{ {} }} accept", list(networks))?;
            }
        }
        writeln!(f, "    drop\n  }}")?;
        writeln!(f, "  chain management {{\n    type filter hook input priority filter; policy accept;")?;
        writeln!(f, "    tcp dport {{ {ports} }} tcp flags & (syn | ack) == syn jump outsiders\n  }}")
    }
}

/// The table as `nft` reads it. Every word in it comes from a parsed type, none from a person's text.
impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table inet {} {{", Self::TABLE)?;
        if !self.marks.is_empty() {
            // Before conntrack and IPVS look at the packet (NF_IP_PRI_MANGLE).
            writeln!(f, "  chain marks {{\n    type filter hook prerouting priority mangle; policy accept;")?;
            for rule in &self.marks {
                let MarkRule { address, protocol, ports, mark } = rule;
                write!(f, "    {} daddr {address} ", family(*address))?;
                match ports.is_any() {
                    true => write!(f, "meta l4proto {protocol}")?,
                    false => write!(f, "{protocol} dport {{ {} }}", port_list(ports))?,
                }
                writeln!(f, " meta mark set {mark:#x}")?;
            }
            writeln!(f, "  }}")?;
        }
        if let Some(Masquerade { networks, out }) = &self.masquerade {
            writeln!(f, "  chain outbound {{\n    type nat hook postrouting priority srcnat; policy accept;")?;
            for net in networks {
                writeln!(f, "    {} saddr {net} oifname \"{out}\" masquerade", family(net.addr()))?;
            }
            writeln!(f, "  }}")?;
        }
        if let Some(held_back) = &self.held_back {
            held_back.chains(f)?;
        }
        if let Some(PeersDoor { mine, other, port }) = self.peers {
            let word = family(mine);
            writeln!(f, "  chain peers {{\n    type filter hook input priority filter; policy accept;")?;
            writeln!(f, "    {word} daddr {mine} tcp dport {port} {word} saddr != {{ {mine}, {other} }} drop\n  }}")?;
        }
        if let Some(management) = &self.management {
            management.chains(f)?;
        }
        if !self.transparent.is_empty() {
            transparent(&self.transparent, f)?;
        }
        writeln!(f, "}}")
    }
}
