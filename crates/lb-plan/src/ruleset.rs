//! Our own nftables table, as data and as the text that `nft` takes.

use ipnet::IpNet;
use lb_model::{IfName, Ports, Protocol};
use std::{fmt, net::IpAddr};

/// The table `inet steelyard`: marks for virtual servers with several ports, and MASQUERADE.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    pub marks: Vec<MarkRule>,
    pub masquerade: Option<Masquerade>,
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

impl Ruleset {
    pub const TABLE: &'static str = "steelyard";

    pub fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.masquerade.is_none()
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
                    false => write!(f, "{protocol} dport {{ {} }}", ports.to_string().replace(',', ", "))?,
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
        writeln!(f, "}}")
    }
}
