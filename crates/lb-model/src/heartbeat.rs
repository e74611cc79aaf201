//! How two units act as one: the times, the policies and the paths of their heartbeat.
//!
//! The same text on both units: what differs is which of the two a unit is, [`crate::Node::unit`].

use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// The null-modem cable's device if nothing else is said.
pub const SERIAL_DEVICE: &str = "/dev/ttyS1";
/// Its speed if nothing else is said; 8 data bits, no parity, 1 stop bit.
pub const SERIAL_BAUD: u32 = 115_200;
/// The speeds that a serial line can have.
pub const BAUDS: [u32; 9] = [4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600];
/// The port of heartbeats (IANA: ha-cluster).
pub const HEARTBEAT_PORT: u16 = 694;
/// The most heartbeat paths a pair can have; a frame has room for so many.
pub const MAX_PATHS: usize = 8;
/// The most ping nodes; their count travels in one byte.
pub const MAX_PING_NODES: usize = 16;
/// The most floating addresses of a pair, VIPs among them. Announcing that many takes the kernel some milliseconds.
pub const MAX_FLOATING: usize = 256;
/// The kernel counts address lifetimes in whole seconds, so a shorter lease cannot be kept.
pub const MIN_LEASE_MS: u32 = 1000;
/// The longest dead time.
pub const MAX_DEADTIME_MS: u32 = 120_000;

/// Which of the two units. Given out when the pair is made; roles move, this does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeId {
    One,
    Two,
}

impl NodeId {
    pub fn other(self) -> NodeId {
        match self {
            NodeId::One => NodeId::Two,
            NodeId::Two => NodeId::One,
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NodeId::One => "one",
            NodeId::Two => "two",
        })
    }
}

/// Whom a unit asks before it serves while its peer is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// An address that must answer, on a network that carries a floating IP.
    #[cfg_attr(feature = "schema", schema(value_type = crate::schema::IpAddress))]
    Address(IpAddr),
    /// The network of the floating IPs itself: somebody must answer there, and nobody for the floating IP.
    FloatingNetwork,
}

/// How the pair behaves. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Heartbeat {
    /// A beat goes out on every path this often.
    #[cfg_attr(feature = "schema", schema(minimum = 5, maximum = 10000, default = 100))]
    pub keepalive_ms: u32,
    /// Silence after which a beat is called late.
    #[cfg_attr(feature = "schema", schema(minimum = 6, maximum = 120000, default = 200))]
    pub warntime_ms: u32,
    /// Silence on every path after which the peer counts as dead.
    #[cfg_attr(feature = "schema", schema(minimum = 20, maximum = 120000, default = 400))]
    pub deadtime_ms: u32,
    /// The same after a start, when cards and switches may still be asleep.
    #[cfg_attr(feature = "schema", schema(minimum = 40, maximum = 600000, default = 5000))]
    pub initdead_ms: u32,
    /// How long the kernel keeps floating IPs that the heartbeat no longer renews.
    #[cfg_attr(feature = "schema", schema(minimum = 1000, maximum = 600000, default = 2000))]
    pub lease_ms: u32,
    /// The preferred unit asks for the floating IPs when it is back.
    pub auto_failback: bool,
    /// It asks when it has been fit, hot and in contact for so long.
    #[cfg_attr(feature = "schema", schema(maximum = 86400000, default = 30000))]
    pub failback_delay_ms: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred: Option<NodeId>,
    #[cfg_attr(feature = "schema", schema(value_type = Vec<crate::schema::IpAddress>, max_items = 16))]
    pub ping_nodes: Vec<IpAddr>,
    /// The unit that reaches more ping nodes serves.
    pub failover_on_network_failure: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
    /// After the announcements at a take-over, one more this often, for switches that forget.
    #[cfg_attr(feature = "schema", schema(minimum = 1000, maximum = 3600000, default = 30000))]
    pub announce_every_ms: u32,
    /// Under which unit one's kernel sends its connections; unit two's has the next. Pairs on one network must differ.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 254, default = 1))]
    pub sync_id: u8,
    #[cfg_attr(feature = "schema", schema(min_items = 1, max_items = 8))]
    pub paths: Vec<HeartbeatPath>,
}

impl Default for Heartbeat {
    fn default() -> Heartbeat {
        Heartbeat {
            keepalive_ms: 100,
            warntime_ms: 200,
            deadtime_ms: 400,
            initdead_ms: 5000,
            lease_ms: 2000,
            auto_failback: false,
            failback_delay_ms: 30_000,
            preferred: None,
            ping_nodes: Vec::new(),
            failover_on_network_failure: false,
            witness: None,
            announce_every_ms: 30_000,
            sync_id: 1,
            paths: Vec::new(),
        }
    }
}

/// One way on which beats travel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HeartbeatPath {
    Serial(SerialPath),
    Udp(UdpPath),
}

/// The null-modem cable: the same device on both units.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SerialPath {
    /// Below `/dev/`.
    #[cfg_attr(feature = "schema", schema(pattern = "^/dev/[A-Za-z0-9_./-]{1,64}$", default = "/dev/ttyS1"))]
    pub device: String,
    /// Bits a second, one of [`BAUDS`].
    #[cfg_attr(feature = "schema", schema(minimum = 4800, maximum = 921600, default = 115200))]
    pub baud: u32,
}

impl Default for SerialPath {
    fn default() -> SerialPath {
        SerialPath { device: SERIAL_DEVICE.to_owned(), baud: SERIAL_BAUD }
    }
}

/// A network: an address of each unit that never moves. Beats, configuration and connections travel there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UdpPath {
    #[cfg_attr(feature = "schema", schema(value_type = crate::schema::IpAddress))]
    pub one: IpAddr,
    #[cfg_attr(feature = "schema", schema(value_type = crate::schema::IpAddress))]
    pub two: IpAddr,
    #[serde(default = "heartbeat_port")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 65535, default = 694))]
    pub port: u16,
}

fn heartbeat_port() -> u16 {
    HEARTBEAT_PORT
}

impl UdpPath {
    pub fn of(&self, unit: NodeId) -> IpAddr {
        match unit {
            NodeId::One => self.one,
            NodeId::Two => self.two,
        }
    }
}

impl fmt::Display for HeartbeatPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeartbeatPath::Serial(SerialPath { device, baud }) => write!(f, "{device} at {baud} baud"),
            HeartbeatPath::Udp(UdpPath { one, two, port }) => write!(f, "{one} to {two}, UDP port {port}"),
        }
    }
}

/// What a pair shares: the whole document but `node`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    pub version: u32,
    #[serde(default)]
    pub globals: crate::Globals,
    #[serde(default)]
    pub virtual_servers: Vec<crate::VirtualServer>,
    #[serde(default, skip_serializing_if = "crate::Layer7::is_unused")]
    pub layer7: crate::Layer7,
    #[serde(default, skip_serializing_if = "crate::Dialects::is_unused")]
    pub dialects: crate::Dialects,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_page: Option<crate::FallbackPage>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub floating_ips: Vec<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
}

impl crate::Config {
    /// Which unit this is and how the pair behaves, if it is one of a pair.
    pub fn pair(&self) -> Option<(NodeId, &Heartbeat)> {
        Some((self.node.unit?, self.heartbeat.as_ref()?))
    }

    pub fn shared(&self) -> Shared {
        let crate::Config {
            version,
            node: _,
            globals,
            virtual_servers,
            layer7,
            dialects,
            fallback_page,
            floating_ips,
            heartbeat,
        } = self.clone();
        Shared { version, globals, virtual_servers, layer7, dialects, fallback_page, floating_ips, heartbeat }
    }

    /// Whether what a pair shares is the same.
    pub fn same_shared(&self, other: &crate::Config) -> bool {
        let crate::Config {
            version,
            node: _,
            globals,
            virtual_servers,
            layer7,
            dialects,
            fallback_page,
            floating_ips,
            heartbeat,
        } = self;
        *version == other.version
            && *globals == other.globals
            && *virtual_servers == other.virtual_servers
            && *layer7 == other.layer7
            && *dialects == other.dialects
            && *fallback_page == other.fallback_page
            && *floating_ips == other.floating_ips
            && *heartbeat == other.heartbeat
    }

    /// This unit with what the pair shares.
    pub fn with_shared(&self, shared: Shared) -> crate::Config {
        let Shared { version, globals, virtual_servers, layer7, dialects, fallback_page, floating_ips, heartbeat } =
            shared;
        let node = self.node.clone();
        crate::Config {
            version,
            node,
            globals,
            virtual_servers,
            layer7,
            dialects,
            fallback_page,
            floating_ips,
            heartbeat,
        }
    }

    /// The addresses that the pair's heartbeat moves: every VIP that is not this unit's own, then the others,
    /// each once.
    pub fn floating(&self) -> Vec<IpAddr> {
        let mut seen = std::collections::HashSet::new();
        self.virtual_addresses()
            .chain(self.floating_ips.iter().copied())
            .filter(|a| !self.node.owns(*a) && seen.insert(*a))
            .collect()
    }
}
