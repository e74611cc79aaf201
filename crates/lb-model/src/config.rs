//! The document: what one unit is (`node`, never replicated), and what it does (the rest).

use crate::{
    Dialects, FallbackPage, FirewallMark, ForwardingMethod, Heartbeat, Hostname, IfName, Layer7, Layer7VirtualServer,
    Lockdown, NodeId, Service, TimeServer, VirtualServer,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The version of the document that this program writes. Older ones are migrated in memory.
pub const DOCUMENT_VERSION: u32 = 1;

/// The whole configuration of an appliance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 1))]
    pub version: u32,
    pub node: Node,
    #[serde(default)]
    pub globals: Globals,
    #[serde(default)]
    pub virtual_servers: Vec<VirtualServer>,
    #[serde(default, skip_serializing_if = "Layer7::is_unused")]
    pub layer7: Layer7,
    /// What programs written for a cloud have made here.
    #[serde(default, skip_serializing_if = "Dialects::is_unused")]
    pub dialects: Dialects,
    /// Left out: the page that is shipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, min_length = 1, max_length = 262_144))]
    pub fallback_page: Option<FallbackPage>,
    /// Addresses that a pair shares beside its VIPs, such as the gateway of real servers behind NAT.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<crate::schema::IpAddress>, max_items = 256))]
    pub floating_ips: Vec<IpAddr>,
    /// Left out: a single unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
}

/// What stays with this unit when a pair shares its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Node {
    pub hostname: Hostname,
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<crate::schema::IpAddress>, max_items = 3))]
    pub nameservers: Vec<IpAddr>,
    #[cfg_attr(feature = "schema", schema(min_items = 1))]
    pub interfaces: Vec<Interface>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<crate::schema::Ipv4Address>))]
    pub gateway: Option<Ipv4Addr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<crate::schema::Ipv6Address>))]
    pub gateway6: Option<Ipv6Addr>,
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Which unit of a pair this is; left out: a single unit. Given when the pair is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<NodeId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Interface {
    pub name: IfName,
    /// Addresses with their prefix length: `10.0.0.21/24`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<crate::schema::IpNetwork>))]
    pub addresses: Vec<IpNet>,
    /// Bytes, 576..=9216; left out: what the card has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 576, maximum = 9216))]
    pub mtu: Option<u32>,
}

/// A static route: `to` is reached through the router `via`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Route {
    #[cfg_attr(feature = "schema", schema(value_type = crate::schema::IpNetwork))]
    pub to: IpNet,
    #[cfg_attr(feature = "schema", schema(value_type = crate::schema::IpAddress))]
    pub via: IpAddr,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Globals {
    pub health: HealthDefaults,
    /// The method that a new real server's form offers.
    pub default_forwarding: ForwardingMethod,
    /// Servers on the networks of the other cards reach out under the address of the card with the default gateway.
    pub masquerade: bool,
    pub timeouts: Timeouts,
    /// Who tells the unit the time (NTP); at most [`Globals::MOST_TIME_SERVERS`]. None: nobody sets the clock.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 8))]
    pub time_servers: Vec<TimeServer>,
    /// Who may open connections to the unit's own services.
    #[serde(skip_serializing_if = "Lockdown::is_unused")]
    pub lockdown: Lockdown,
}

impl Globals {
    /// Each is asked as often as the others, and four are enough to outvote one that is wrong (RFC 5905, section 11.2.1).
    pub const MOST_TIME_SERVERS: usize = 8;
}

impl Default for Globals {
    fn default() -> Self {
        Globals {
            health: HealthDefaults::default(),
            default_forwarding: ForwardingMethod::Dr,
            masquerade: false,
            timeouts: Timeouts::default(),
            time_servers: Vec::new(),
            lockdown: Lockdown::default(),
        }
    }
}

/// Health checks where a virtual server says nothing of its own. Units and ranges: [`crate::Check`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct HealthDefaults {
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 3600, default = 10))]
    pub interval: u32,
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 300, default = 5))]
    pub timeout: u32,
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 300, default = 30))]
    pub negotiate_timeout: u32,
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100, default = 1))]
    pub fall: u32,
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100, default = 1))]
    pub rise: u32,
    /// A failed server keeps its place with weight 0 (true), or is removed (false).
    pub quiescent: bool,
}

impl Default for HealthDefaults {
    fn default() -> Self {
        HealthDefaults { interval: 10, timeout: 5, negotiate_timeout: 30, fall: 1, rise: 1, quiescent: true }
    }
}

/// Seconds that the kernel remembers an idle layer 4 connection, 1..=31536000; its own defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 31536000, default = 900))]
    pub tcp: u32,
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 31536000, default = 120))]
    pub tcp_fin: u32,
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 31536000, default = 300))]
    pub udp: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { tcp: 900, tcp_fin: 120, udp: 300 }
    }
}

impl Config {
    /// The interface whose own network holds `address`, and the interface's address there.
    pub fn interface_to(&self, address: IpAddr) -> Option<(&Interface, IpNet)> {
        self.node.interface_to(address)
    }

    pub fn virtual_server(&self, label: &str) -> Option<&VirtualServer> {
        self.virtual_servers.iter().find(|v| v.label.as_str() == label)
    }

    pub fn layer7_virtual_server(&self, label: &str) -> Option<&Layer7VirtualServer> {
        self.layer7.virtual_servers.iter().find(|v| v.label.as_str() == label)
    }

    /// The addresses that clients connect to, of both layers; some stand there more than once.
    pub fn virtual_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let layer4 = self.virtual_servers.iter().filter_map(|vs| vs.service.address());
        layer4.chain(self.layer7.virtual_servers.iter().map(|vs| vs.address))
    }

    /// Gives every virtual server with several ports that has no mark yet the lowest free automatic one.
    /// A mark once given stays: it is the identity of the kernel's service and of its connections.
    pub fn assign_marks(&mut self) {
        let mut used: BTreeSet<u32> =
            self.virtual_servers.iter().filter_map(|v| v.service.mark()).map(u32::from).collect();
        let mut next = FirewallMark::AUTOMATIC;
        for virtual_server in &mut self.virtual_servers {
            let Service::Address { ports, mark, .. } = &mut virtual_server.service else { continue };
            if ports.single().is_some() {
                *mark = None;
            } else if mark.is_none() {
                while !used.insert(next) {
                    next += 1;
                }
                *mark = FirewallMark::try_from(next).ok();
            }
        }
    }
}

impl Node {
    pub fn interface_to(&self, address: IpAddr) -> Option<(&Interface, IpNet)> {
        self.interfaces
            .iter()
            .flat_map(|i| i.addresses.iter().map(move |net| (i, *net)))
            .filter(|(_, net)| net.contains(&address))
            .max_by_key(|(_, net)| net.prefix_len())
    }

    pub fn owns(&self, address: IpAddr) -> bool {
        self.interfaces.iter().any(|i| i.addresses.iter().any(|net| net.addr() == address))
    }
}
