//! Load balancers as Rackspace Cloud Load Balancers v1.0 has them, in the vendor's words.

use super::{is_false, one};
use crate::{NameError, layer7::Certificate, words};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, str::FromStr};

/// The vendor's limits (`/absolutelimits`).
pub const MOST_LOAD_BALANCERS: usize = 25;
pub const MOST_NODES: usize = 25;
pub const MOST_ACCESS_ITEMS: usize = 100;
pub const MOST_METADATA: usize = 25;
/// Bytes of an error page.
pub const LONGEST_ERROR_PAGE: usize = 65_536;
/// Bytes of a certificate with those that complete it, as PEM.
pub const LONGEST_CERTIFICATE: usize = 65_536;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Rackspace {
    pub enabled: bool,
    /// The account number in the paths.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 2147483647, default = 1000))]
    pub account: u32,
    /// Addresses for new public virtual IPs; empty: they share the unit's own address.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<crate::schema::IpAddress>, max_items = 256))]
    pub public: Vec<IpAddr>,
    /// The same for the service network.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<crate::schema::IpAddress>, max_items = 256))]
    pub servicenet: Vec<IpAddr>,
    /// What the next object gets; no number is given twice.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 2147483647, default = 1))]
    pub next_id: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 1000))]
    pub virtual_ips: Vec<RackspaceVirtualIp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 25))]
    pub load_balancers: Vec<RackspaceLoadBalancer>,
}

impl Default for Rackspace {
    fn default() -> Self {
        Rackspace {
            enabled: false,
            account: 1000,
            public: Vec::new(),
            servicenet: Vec::new(),
            next_id: 1,
            virtual_ips: Vec::new(),
            load_balancers: Vec::new(),
        }
    }
}

impl Rackspace {
    pub fn load_balancer(&self, id: u32) -> Option<&RackspaceLoadBalancer> {
        self.load_balancers.iter().find(|lb| lb.id == id)
    }

    pub fn virtual_ip(&self, id: u32) -> Option<&RackspaceVirtualIp> {
        self.virtual_ips.iter().find(|ip| ip.id == id)
    }
}

/// An address that load balancers share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RackspaceVirtualIp {
    #[cfg_attr(feature = "schema", schema(minimum = 1))]
    pub id: u32,
    #[cfg_attr(feature = "schema", schema(value_type = crate::schema::IpAddress))]
    pub address: IpAddr,
    #[serde(default)]
    pub kind: RackspaceVirtualIpType,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RackspaceLoadBalancer {
    #[cfg_attr(feature = "schema", schema(minimum = 1))]
    pub id: u32,
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 128))]
    pub name: String,
    pub protocol: RackspaceProtocol,
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 65535))]
    pub port: u16,
    #[serde(default)]
    pub algorithm: RackspaceAlgorithm,
    /// Seconds, 30..=120.
    #[cfg_attr(feature = "schema", schema(minimum = 30, maximum = 120))]
    pub timeout: u32,
    #[serde(default, skip_serializing_if = "is_false")]
    pub half_closed: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub https_redirect: bool,
    /// By their ids; at least one.
    #[cfg_attr(feature = "schema", schema(min_items = 1, max_items = 26))]
    pub virtual_ips: Vec<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 25))]
    pub nodes: Vec<RackspaceNode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<RackspacePersistence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_monitor: Option<RackspaceMonitor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_throttle: Option<RackspaceThrottle>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub connection_logging: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub content_caching: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 100))]
    pub access_list: Vec<RackspaceAccess>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 65536))]
    pub error_page: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_termination: Option<RackspaceSslTermination>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 25))]
    pub metadata: Vec<RackspaceMetadata>,
    /// Unix seconds.
    #[serde(default)]
    pub created: u64,
    #[serde(default)]
    pub updated: u64,
}

impl RackspaceLoadBalancer {
    pub fn node(&self, id: u32) -> Option<&RackspaceNode> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Where it listens, or would.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        [Some(self.port), self.ssl_termination.as_ref().map(|ssl| ssl.secure_port)].into_iter().flatten()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RackspaceNode {
    #[cfg_attr(feature = "schema", schema(minimum = 1))]
    pub id: u32,
    #[cfg_attr(feature = "schema", schema(value_type = crate::schema::IpAddress))]
    pub address: IpAddr,
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 65535))]
    pub port: u16,
    #[serde(default)]
    pub condition: RackspaceCondition,
    #[serde(default)]
    pub kind: RackspaceNodeType,
    /// Counts with the weighted algorithms, 1..=100.
    #[serde(default = "one")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100, default = 1))]
    pub weight: u16,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 25))]
    pub metadata: Vec<RackspaceMetadata>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RackspaceMetadata {
    #[cfg_attr(feature = "schema", schema(minimum = 1))]
    pub id: u32,
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 256))]
    pub key: String,
    #[cfg_attr(feature = "schema", schema(max_length = 256))]
    pub value: String,
}

/// How nodes are asked. `CONNECT` knows nothing of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RackspaceMonitor {
    pub kind: RackspaceMonitorType,
    /// Seconds between two checks, 1..=3600.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 3600))]
    pub delay: u32,
    /// Seconds, 1..=300.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 300))]
    pub timeout: u32,
    /// Failures in a row, 1..=10.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 10))]
    pub attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 128))]
    pub path: Option<String>,
    /// Regular expressions, in the vendor's fields of these names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 128))]
    pub status_regex: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 128))]
    pub body_regex: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 256))]
    pub host_header: Option<String>,
}

/// Only `max_connections` has an effect: connections of one client address at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RackspaceThrottle {
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 100000))]
    pub max_connections: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 1000))]
    pub min_connections: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 100000))]
    pub max_connection_rate: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 3600))]
    pub rate_interval: Option<u32>,
}

/// TLS that ends at the unit, on a port of its own. The private key lies on the unit's shelf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RackspaceSslTermination {
    pub enabled: bool,
    /// The load balancer's own port does not listen.
    #[serde(default, skip_serializing_if = "is_false")]
    pub secure_traffic_only: bool,
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 65535))]
    pub secure_port: u16,
    /// PEM, as it was sent.
    #[cfg_attr(feature = "schema", schema(max_length = 65536))]
    pub certificate: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 65536))]
    pub intermediate_certificate: Option<String>,
    /// The same on the unit's shelf.
    pub kept: Certificate,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RackspaceAccess {
    #[cfg_attr(feature = "schema", schema(minimum = 1))]
    pub id: u32,
    #[cfg_attr(feature = "schema", schema(value_type = crate::schema::IpNetwork))]
    pub network: IpNet,
    pub kind: RackspaceAccessType,
}

words! {
    RackspaceProtocol, "protocol",
    DnsTcp = "DNS_TCP",
    DnsUdp = "DNS_UDP",
    Ftp = "FTP",
    #[default] Http = "HTTP",
    Https = "HTTPS",
    Imaps = "IMAPS",
    Imapv4 = "IMAPv4",
    Ldap = "LDAP",
    Ldaps = "LDAPS",
    Mysql = "MYSQL",
    Pop3 = "POP3",
    Pop3s = "POP3S",
    Smtp = "SMTP",
    Sftp = "SFTP",
    Tcp = "TCP",
    TcpClientFirst = "TCP_CLIENT_FIRST",
    TcpStream = "TCP_STREAM",
    Udp = "UDP",
    UdpStream = "UDP_STREAM",
}

impl RackspaceProtocol {
    /// 0: a load balancer must name its own.
    pub fn default_port(self) -> u16 {
        match self {
            RackspaceProtocol::DnsTcp | RackspaceProtocol::DnsUdp => 53,
            RackspaceProtocol::Ftp => 21,
            RackspaceProtocol::Http => 80,
            RackspaceProtocol::Https => 443,
            RackspaceProtocol::Imaps => 993,
            RackspaceProtocol::Imapv4 => 143,
            RackspaceProtocol::Ldap => 389,
            RackspaceProtocol::Ldaps => 636,
            RackspaceProtocol::Mysql => 3306,
            RackspaceProtocol::Pop3 => 110,
            RackspaceProtocol::Pop3s => 995,
            RackspaceProtocol::Smtp => 25,
            RackspaceProtocol::Sftp => 22,
            RackspaceProtocol::Tcp
            | RackspaceProtocol::TcpClientFirst
            | RackspaceProtocol::TcpStream
            | RackspaceProtocol::Udp
            | RackspaceProtocol::UdpStream => 0,
        }
    }

    pub fn is_udp(self) -> bool {
        matches!(self, RackspaceProtocol::DnsUdp | RackspaceProtocol::Udp | RackspaceProtocol::UdpStream)
    }

    /// TLS can end at the unit: what is inside is not encrypted already.
    pub fn takes_ssl_termination(self) -> bool {
        use RackspaceProtocol::{Https, Imaps, Ldaps, Pop3s, Sftp};
        !self.is_udp() && !matches!(self, Https | Imaps | Ldaps | Pop3s | Sftp)
    }

    /// Whether this kind of persistence goes with it.
    pub fn takes(self, persistence: RackspacePersistence) -> bool {
        (self == RackspaceProtocol::Http) == (persistence == RackspacePersistence::HttpCookie)
    }
}

words! {
    RackspaceAlgorithm, "algorithm",
    LeastConnections = "LEAST_CONNECTIONS",
    #[default] Random = "RANDOM",
    RoundRobin = "ROUND_ROBIN",
    WeightedLeastConnections = "WEIGHTED_LEAST_CONNECTIONS",
    WeightedRoundRobin = "WEIGHTED_ROUND_ROBIN",
}

impl RackspaceAlgorithm {
    pub fn is_weighted(self) -> bool {
        matches!(self, RackspaceAlgorithm::WeightedLeastConnections | RackspaceAlgorithm::WeightedRoundRobin)
    }
}

words! {
    RackspaceCondition, "condition",
    #[default] Enabled = "ENABLED",
    Disabled = "DISABLED",
    Draining = "DRAINING",
}

words! {
    RackspaceNodeType, "type of a node",
    #[default] Primary = "PRIMARY",
    Secondary = "SECONDARY",
}

words! {
    RackspacePersistence, "persistence type",
    #[default] HttpCookie = "HTTP_COOKIE",
    SourceIp = "SOURCE_IP",
}

words! {
    RackspaceMonitorType, "type of a health monitor",
    #[default] Connect = "CONNECT",
    Http = "HTTP",
    Https = "HTTPS",
}

words! {
    RackspaceAccessType, "type of an access item",
    #[default] Allow = "ALLOW",
    Deny = "DENY",
}

words! {
    RackspaceVirtualIpType, "type of a virtual IP",
    #[default] Public = "PUBLIC",
    Servicenet = "SERVICENET",
}
