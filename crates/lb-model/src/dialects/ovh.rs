//! Farms, servers and front-ends as OVH ipLoadbalancing v1 has them, in the vendor's words.
//!
//! `objects` is what programs edit; `applied` is what they were at the last refresh, and what runs.

use super::{is_false, one};
use crate::{NameError, Ports, layer7::Certificate, words};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

pub const MOST_FARMS: usize = 1000;
pub const MOST_SERVERS: usize = 1000;
pub const MOST_FRONTENDS: usize = 1000;
/// Each front-end with `ssl` shows all of them.
pub const MOST_SSL: usize = 100;
/// Older ones are forgotten.
pub const MOST_TASKS: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Ovh {
    pub enabled: bool,
    /// What programs call this unit: letters, digits, `-` and `.`.
    #[cfg_attr(feature = "schema", schema(pattern = "^[A-Za-z0-9.-]{1,64}$", default = "loadbalancer-1"))]
    pub service_name: String,
    /// The only zone, beside `all`: lower case letters and digits.
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z0-9]{1,16}$", default = "rbx"))]
    pub zone: String,
    /// Where front-ends without an address of their own are; left out: the unit's own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<crate::schema::IpAddress>))]
    pub address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 50))]
    pub display_name: Option<String>,
    /// What the next object gets; no number is given twice.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 2147483647, default = 1))]
    pub next_id: u32,
    #[serde(skip_serializing_if = "OvhObjects::is_empty")]
    pub objects: OvhObjects,
    #[serde(skip_serializing_if = "OvhObjects::is_empty")]
    pub applied: OvhObjects,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 100))]
    pub tasks: Vec<OvhTask>,
}

impl Default for Ovh {
    fn default() -> Self {
        Ovh {
            enabled: false,
            service_name: "loadbalancer-1".into(),
            zone: "rbx".into(),
            address: None,
            display_name: None,
            next_id: 1,
            objects: OvhObjects::default(),
            applied: OvhObjects::default(),
            tasks: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct OvhObjects {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 1000))]
    pub farms: Vec<OvhFarm>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 1000))]
    pub frontends: Vec<OvhFrontend>,
    /// Certificates: a client that names a host gets the one with that name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 100))]
    pub ssl: Vec<OvhSsl>,
    /// Left out: intermediate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_configuration: Option<OvhSslConfiguration>,
}

impl OvhObjects {
    pub fn is_empty(&self) -> bool {
        *self == OvhObjects::default()
    }

    pub fn farm(&self, id: u32) -> Option<&OvhFarm> {
        self.farms.iter().find(|farm| farm.id == id)
    }
}

/// A group of servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OvhFarm {
    #[cfg_attr(feature = "schema", schema(minimum = 1))]
    pub id: u32,
    pub kind: OvhKind,
    /// `all`, or the unit's.
    pub zone: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Not for udp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<OvhBalance>,
    /// Left out: the front-end's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 65535))]
    pub port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stickiness: Option<OvhStickiness>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vrack_network_id: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<OvhProbe>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 1000))]
    pub servers: Vec<OvhServer>,
}

impl OvhFarm {
    pub fn server(&self, id: u32) -> Option<&OvhServer> {
        self.servers.iter().find(|server| server.id == id)
    }
}

/// How servers are asked; what is left out is the vendor's default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct OvhProbe {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<OvhProbeType>,
    /// Seconds, 30..=3600.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 30, maximum = 3600))]
    pub interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 255))]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<OvhProbeMethod>,
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<OvhMatch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 255))]
    pub pattern: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 65535))]
    pub port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_ssl: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OvhServer {
    #[cfg_attr(feature = "schema", schema(minimum = 1))]
    pub id: u32,
    #[cfg_attr(feature = "schema", schema(value_type = crate::schema::Ipv4Address))]
    pub address: Ipv4Addr,
    #[serde(default, skip_serializing_if = "is_false")]
    pub inactive: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 65535))]
    pub port: Option<u16>,
    /// 0..=256; 0 gets no new clients.
    #[serde(default = "one")]
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 256, default = 1))]
    pub weight: u16,
    #[serde(default, skip_serializing_if = "is_false")]
    pub probe: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub ssl: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub backup: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 65536))]
    pub chain: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub shutdown_sessions: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<OvhProxyProtocol>,
    /// http: what the server's clients have in their cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 64))]
    pub cookie: Option<String>,
}

/// Where clients arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OvhFrontend {
    #[cfg_attr(feature = "schema", schema(minimum = 1))]
    pub id: u32,
    pub kind: OvhKind,
    pub zone: String,
    pub ports: Ports,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_farm: Option<u32>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub disabled: bool,
    /// At most one of the two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<crate::schema::IpNetwork>, max_items = 100))]
    pub allowed_source: Vec<IpNet>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<crate::schema::IpNetwork>, max_items = 100))]
    pub denied_source: Vec<IpNet>,
    /// The addresses it is on; empty: the service's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<crate::schema::Ipv4Address>, max_items = 16))]
    pub addresses: Vec<Ipv4Addr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(max_length = 1000))]
    pub redirect_location: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 100))]
    pub http_header: Vec<String>,
    /// Clients speak TLS, which ends here.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ssl: bool,
    /// The certificate for clients that name no host, or one that none has; left out: the oldest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_ssl: Option<u32>,
    /// http with ssl: browsers come by https only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hsts: bool,
}

/// A certificate that was uploaded with its key; the key is not in the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OvhSsl {
    #[cfg_attr(feature = "schema", schema(minimum = 1))]
    pub id: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// As the certificate says itself.
    #[cfg_attr(feature = "schema", schema(max_length = 255))]
    pub subject: String,
    /// Hexadecimal digits.
    #[cfg_attr(feature = "schema", schema(max_length = 255))]
    pub serial: String,
    /// How the layer 7 part of the document names it.
    pub kept: Certificate,
}

/// What became of a refresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OvhTask {
    #[cfg_attr(feature = "schema", schema(minimum = 1))]
    pub id: u32,
    /// Unix seconds.
    pub created: u64,
    #[serde(default, skip_serializing_if = "is_false")]
    pub failed: bool,
}

words! {
    OvhKind, "kind of farm",
    #[default] Http = "http",
    Tcp = "tcp",
    Udp = "udp",
}

words! {
    OvhBalance, "balance",
    First = "first",
    Leastconn = "leastconn",
    #[default] Roundrobin = "roundrobin",
    Source = "source",
    Uri = "uri",
}

words! {
    OvhStickiness, "stickiness",
    #[default] Cookie = "cookie",
    SourceIp = "sourceIp",
}

words! {
    OvhProbeType, "type of a probe",
    Http = "http",
    Internal = "internal",
    Mysql = "mysql",
    Oco = "oco",
    Pgsql = "pgsql",
    Smtp = "smtp",
    #[default] Tcp = "tcp",
}

words! {
    OvhProbeMethod, "method of a probe",
    #[default] Get = "GET",
    Head = "HEAD",
    Options = "OPTIONS",
    Internal = "internal",
}

words! {
    OvhMatch, "match of a probe",
    Contains = "contains",
    #[default] Default = "default",
    Internal = "internal",
    Matches = "matches",
    Status = "status",
}

words! {
    OvhProxyProtocol, "version of the PROXY protocol",
    #[default] V1 = "v1",
    V2 = "v2",
    V2Ssl = "v2-ssl",
    V2SslCn = "v2-ssl-cn",
}

words! {
    OvhSslConfiguration, "SSL configuration",
    #[default] Intermediate = "intermediate",
    Modern = "modern",
}
