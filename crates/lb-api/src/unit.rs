//! The unit itself: what the kernel has, logs, services, load. Times are seconds since 1970 (UTC).

use crate::AwaitingConfirm;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// Cheap at any size of configuration: tells whether what a reader keeps is still current.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Summary {
    pub version: String,
    pub hostname: String,
    pub time: u64,
    pub revision: u64,
    /// As in [`crate::CandidateView::etag`].
    pub candidate_etag: u64,
    /// Grows whenever a status might differ in more than counters: a health transition, an apply, an edit of the
    /// candidate, a reconcile that did something. Grows over restarts too.
    pub generation: u64,
    pub alarms: Vec<String>,
    /// Why this unit cannot serve, though lbd answers; heartbeat moves the floating IPs to a unit that can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfit: Option<String>,
    pub converged: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<AwaitingConfirm>,
}

/// Which connections; every part that is left out matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionQuery {
    /// `connections` (default) or `persistent`: the templates that bind a client to a server.
    #[cfg_attr(feature = "schema", param(inline))]
    pub kind: ConnectionKind,
    #[cfg_attr(feature = "schema", param(inline, value_type = Option<lb_model::schema::IpAddress>))]
    pub client: Option<IpAddr>,
    /// `ADDRESS` or `ADDRESS:PORT` of the virtual server.
    pub virtual_server: Option<String>,
    /// `ADDRESS` or `ADDRESS:PORT` of the real server.
    pub real_server: Option<String>,
    /// `ESTABLISHED`, `SYN_RECV`, …
    pub state: Option<String>,
    pub offset: usize,
    /// 1..=1000; 0: 100.
    #[cfg_attr(feature = "schema", param(maximum = 1000))]
    pub limit: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionKind {
    #[default]
    Connections,
    Persistent,
}

/// A page of the kernel's connection table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ConnectionsView {
    /// Entries that match, all pages together.
    pub matching: usize,
    /// Entries in the table, of both kinds.
    pub total: usize,
    /// Matching entries by state, most first.
    pub states: Vec<StateCount>,
    /// The table was too long to be read in time: counted is only what was read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    pub entries: Vec<Connection>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StateCount {
    pub state: String,
    pub count: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Connection {
    /// `TCP`, `UDP`, `SCTP`, or `IP` for a template of a firewall mark.
    pub protocol: String,
    #[cfg_attr(feature = "schema", schema(value_type = String, examples("192.0.2.7:50123", "[2001:db8::7]:50123")))]
    pub client: SocketAddr,
    #[cfg_attr(feature = "schema", schema(value_type = String, examples("192.0.2.7:50123", "[2001:db8::7]:50123")))]
    pub virtual_server: SocketAddr,
    #[cfg_attr(feature = "schema", schema(value_type = String, examples("192.0.2.7:50123", "[2001:db8::7]:50123")))]
    pub real_server: SocketAddr,
    pub state: String,
    /// Seconds until it goes unless a packet comes.
    pub expires: u32,
}

/// A persistent entry, as [`ConnectionsView`] has it, that is to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ForgetRequest {
    pub protocol: String,
    #[cfg_attr(feature = "schema", schema(value_type = String, examples("192.0.2.7:0", "[2001:db8::7]:0")))]
    pub client: SocketAddr,
    #[cfg_attr(feature = "schema", schema(value_type = String, examples("192.0.2.7:50123", "[2001:db8::7]:50123")))]
    pub virtual_server: SocketAddr,
    #[cfg_attr(feature = "schema", schema(value_type = String, examples("192.0.2.7:50123", "[2001:db8::7]:50123")))]
    pub real_server: SocketAddr,
    #[serde(default)]
    pub author: String,
}

/// What the kernel has: cards, addresses, routes, firewall.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NetworkView {
    pub interfaces: Vec<InterfaceView>,
    pub routes: Vec<RouteView>,
    /// As `nft list ruleset` prints it.
    pub firewall: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct InterfaceView {
    pub name: String,
    pub up: bool,
    /// A cable with somebody at its other end.
    pub carrier: bool,
    pub mtu: u32,
    /// `52:54:00:00:00:01`; empty for a card without one.
    pub mac: String,
    pub addresses: Vec<AddressView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AddressView {
    /// With its prefix length.
    pub address: String,
    /// Configured here (`interface`), held for virtual servers (`vip`), moved by heartbeat (`floating`), or `other`.
    pub purpose: String,
    /// Labels of the virtual servers on it.
    pub virtual_servers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RouteView {
    /// `default` or a network.
    pub to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    pub interface: String,
    /// `configured`, `kernel` (a card's own network) or `other`.
    pub origin: String,
}

/// Load of the machine. Counters run since boot; rates are the reader's to make.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SystemView {
    pub time: u64,
    /// Seconds since boot.
    pub uptime: u64,
    pub kernel: String,
    pub cpus: u32,
    /// Over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// Hundredths of a second, all CPUs together.
    pub cpu_busy: u64,
    pub cpu_total: u64,
    /// Bytes.
    pub memory_total: u64,
    pub memory_available: u64,
    /// Bytes of the data partition.
    pub disk_total: u64,
    pub disk_free: u64,
    pub interfaces: Vec<InterfaceCounters>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct InterfaceCounters {
    pub name: String,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub packets_in: u64,
    pub packets_out: u64,
    pub errors: u64,
    pub dropped: u64,
}

/// Logs that lbd can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LogName {
    /// Every change: who, when, what it did.
    LoadBalancer,
    /// Health checks.
    Ldirectord,
    /// Requests and connections of layer 7 that failed.
    #[serde(rename = "layer-7")]
    Layer7,
    /// The pair: who took over, when and why.
    Heartbeat,
    /// Everything that other programs say.
    System,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields, default)]
pub struct LogQuery {
    /// Only lines that contain this, upper and lower case alike.
    pub filter: Option<String>,
    /// Only lines before (older than) this cursor.
    pub before: Option<String>,
    /// Only lines after (newer than) this cursor, the oldest of them first to come: what following asks for.
    pub after: Option<String>,
    /// 1..=1000; 0: 200.
    #[cfg_attr(feature = "schema", param(maximum = 1000))]
    pub limit: usize,
}

/// Lines of a log, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LogView {
    pub lines: Vec<LogLine>,
    /// There are older ones: ask again with `before` the last line's cursor. With `after` there are newer ones: ask again
    /// with `after` the first line's.
    pub more: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// Names the place in the log; sorts as the lines do.
    pub cursor: String,
    /// `2026-11-21T07:13:20Z`; empty where the log has none.
    pub time: String,
    pub text: String,
}

/// A supervised program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ServiceView {
    pub name: String,
    pub description: String,
    pub running: bool,
    /// Seconds in this state.
    pub since: u64,
    /// What a restart does to traffic and to the administrator, in a sentence.
    pub restart: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UnitRequest {
    pub action: UnitAction,
    #[serde(default)]
    pub author: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UnitAction {
    /// Switch off.
    Halt,
    Restart,
}

/// Something was asked for and is under way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Done {
    pub message: String,
}
