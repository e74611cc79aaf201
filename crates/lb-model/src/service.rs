//! Virtual servers (VIP) and their real servers (RIP).

use crate::{Agent, Check, FALLBACK_PAGE_PORT, FirewallMark, Label, NameError, Ports};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

/// A virtual server: what clients connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VirtualServer {
    pub label: Label,
    pub service: Service,
    #[serde(default)]
    pub scheduler: Scheduler,
    /// Source hashing (`sh`, `mh`) takes the client's port in as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hash_port: bool,
    /// Every UDP datagram is scheduled for itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_packet: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    #[serde(default)]
    pub check: Check,
    /// Asked beside the check, on each real server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    /// Overrides the global setting: a failed server keeps its place with weight 0, or is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiescent: Option<bool>,
    /// Serves when no real server is left; `null` for none.
    #[serde(default = "FallbackServer::page")]
    pub fallback: Option<FallbackServer>,
    #[serde(default)]
    pub real_servers: Vec<RealServer>,
}

/// What the kernel recognises the virtual server's packets by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Service {
    Address {
        address: IpAddr,
        #[serde(default)]
        protocol: Protocol,
        ports: Ports,
        /// Given by the appliance when there is more than one port. Leave it out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<FirewallMark>,
    },
    FirewallMark {
        mark: FirewallMark,
        #[serde(default)]
        family: Family,
    },
}

impl Service {
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Service::Address { address, .. } => Some(*address),
            Service::FirewallMark { .. } => None,
        }
    }

    pub fn family(&self) -> Family {
        match self {
            Service::Address { address, .. } => Family::of(*address),
            Service::FirewallMark { family, .. } => *family,
        }
    }

    pub fn mark(&self) -> Option<FirewallMark> {
        match self {
            Service::Address { mark, .. } => *mark,
            Service::FirewallMark { mark, .. } => Some(*mark),
        }
    }

    /// The port, where the service has exactly one.
    pub fn single_port(&self) -> Option<u16> {
        match self {
            Service::Address { ports, .. } => ports.single(),
            Service::FirewallMark { .. } => None,
        }
    }

    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            Service::Address { protocol, .. } => Some(*protocol),
            Service::FirewallMark { .. } => None,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Service::Address { address: IpAddr::V4(a), protocol, ports, .. } => write!(f, "{protocol} {a}:{ports}"),
            Service::Address { address: IpAddr::V6(a), protocol, ports, .. } => write!(f, "{protocol} [{a}]:{ports}"),
            Service::FirewallMark { mark, family } => write!(f, "firewall mark {mark} ({family})"),
        }
    }
}

/// A real server (backend).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RealServer {
    pub label: Label,
    #[cfg_attr(feature = "schema", schema(value_type = crate::schema::IpAddress))]
    pub address: IpAddr,
    /// Left out: the port that the client asked for. With DR and TUN it cannot be another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 65535))]
    pub port: Option<u16>,
    /// Share of the load, 0..=65535.
    #[serde(default = "one")]
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 65535, default = 1))]
    pub weight: u32,
    /// Connections below which a full server is given new ones again; 0 = as soon as it is below the maximum.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 2147483647, default = 0))]
    pub min_connections: u32,
    /// Connections at which a server is given no new ones; 0 = unrestricted.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 2147483647, default = 0))]
    pub max_connections: u32,
    pub forwarding: ForwardingMethod,
    /// How TUN wraps packets.
    #[serde(default, skip_serializing_if = "Tunnel::is_ipip")]
    pub tunnel: Tunnel,
    #[serde(default)]
    pub state: RequestedState,
}

fn one() -> u32 {
    1
}

/// What the administrator wants of a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RequestedState {
    #[default]
    Online,
    /// No new clients; those connected stay.
    Drain,
    /// Out at once; its clients are sent to the others.
    Offline,
}

impl fmt::Display for RequestedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RequestedState::Online => "ONLINE",
            RequestedState::Drain => "DRAIN",
            RequestedState::Offline => "OFFLINE",
        })
    }
}

/// Stickiness by source address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Persistence {
    /// Seconds, 1..=2678400 (31 days).
    #[serde(default = "five_minutes")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 2678400, default = 300))]
    pub timeout: u32,
    /// Prefix length that makes clients one client: 1..=32 for IPv4, 1..=128 for IPv6; left out: each address for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 128))]
    pub granularity: Option<u8>,
}

fn five_minutes() -> u32 {
    300
}

/// The server of last resort. On a loopback address it is the appliance's own fallback page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FallbackServer {
    #[cfg_attr(feature = "schema", schema(value_type = crate::schema::IpAddress))]
    pub address: IpAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 65535))]
    pub port: Option<u16>,
    #[serde(default)]
    pub forwarding: ForwardingMethod,
}

impl FallbackServer {
    /// 127.0.0.1:9081, the page that the appliance itself serves.
    pub fn page() -> Option<FallbackServer> {
        Some(FallbackServer {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: Some(FALLBACK_PAGE_PORT),
            forwarding: ForwardingMethod::Nat,
        })
    }

    pub fn is_page(&self) -> bool {
        self.address.is_loopback()
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal, $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                crate::schema::words($what, $name::ALL.iter().map(|v| v.as_str()), $name::default().as_str())
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(s: &str) -> Result<Self, NameError> {
                $name::ALL.iter().copied().find(|v| v.as_str().eq_ignore_ascii_case(s)).ok_or_else(|| {
                    let all: Vec<_> = $name::ALL.iter().map(|v| v.as_str()).collect();
                    NameError(format!("\"{s}\" is not a {}; use one of {}", $what, all.join(", ")))
                })
            }
        }
    };
}

pub(crate) use words;

words! {
    /// How packets reach the real server.
    ForwardingMethod, "forwarding method",
    /// Direct Routing: only the destination MAC address changes.
    #[default] Dr = "dr",
    /// The destination address changes, and the source of the answers.
    Nat = "nat",
    /// Like DR, through a tunnel.
    Tun = "tun",
}

words! {
    Protocol, "protocol",
    #[default] Tcp = "tcp",
    Udp = "udp",
    Sctp = "sctp",
}

words! {
    Family, "address family",
    #[default] Ipv4 = "ipv4",
    Ipv6 = "ipv6",
}

impl Family {
    pub fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }

    /// Bits in an address.
    pub fn bits(self) -> u8 {
        match self {
            Family::Ipv4 => 32,
            Family::Ipv6 => 128,
        }
    }
}

words! {
    /// How TUN wraps packets (`ip_vs.h`, `IP_VS_CONN_F_TUNNEL_TYPE_*`).
    Tunnel, "tunnel type",
    #[default] Ipip = "ipip",
    /// Generic UDP Encapsulation, port 6080 (IANA).
    Gue = "gue",
    Gre = "gre",
}

impl Tunnel {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde's skip_serializing_if asks for")]
    fn is_ipip(&self) -> bool {
        *self == Tunnel::Ipip
    }
}

words! {
    /// Which real server gets the next client; the kernel's names.
    Scheduler, "scheduler",
    Rr = "rr",
    #[default] Wrr = "wrr",
    Lc = "lc",
    Wlc = "wlc",
    Sh = "sh",
    Dh = "dh",
    Mh = "mh",
    Sed = "sed",
    Nq = "nq",
    Lblc = "lblc",
    Lblcr = "lblcr",
    Fo = "fo",
    Ovf = "ovf",
}
