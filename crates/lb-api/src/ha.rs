//! The pair: who serves, how the units hear each other, whether they have the same configuration; making the pair.
//! Times are seconds since 1970 (UTC).

use ipnet::IpNet;
use lb_model::{IfName, NodeId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What the HA page shows; the same on both units.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct HaView {
    pub role: HaRole,
    /// Which of the two; none on a single unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<NodeId>,
    /// Since when this unit has its role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// The last transition with its reason, a sentence.
    pub why: String,
    /// This unit may change what the pair shares; otherwise `peer` may.
    pub edits: bool,
    pub floating: Vec<FloatingView>,
    pub paths: Vec<PathView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerView>,
    /// Why this unit cannot serve; empty: it can.
    pub unfit: Vec<String>,
    /// This unit has the connections of the one that serves.
    pub hot: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<ReplicationView>,
    pub alarms: Vec<String>,
}

/// What a unit is to its clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum HaRole {
    /// Not one of a pair.
    #[default]
    Single,
    /// Serves: the floating IPs are here.
    Active,
    /// Ready to take over.
    Standby,
    /// On the way to serve.
    Taking,
    /// On the way to stand by.
    Releasing,
    Starting,
    /// Stands by and does not take over.
    Maintenance,
    Stopped,
    /// The heartbeat does not answer.
    Unknown,
}

impl HaRole {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            HaRole::Single => "single unit",
            HaRole::Active => "active",
            HaRole::Standby => "stand-by",
            HaRole::Taking => "taking over",
            HaRole::Releasing => "handing over",
            HaRole::Starting => "starting",
            HaRole::Maintenance => "maintenance",
            HaRole::Stopped => "stopped",
            HaRole::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for HaRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FloatingView {
    #[cfg_attr(feature = "schema", schema(value_type = lb_model::schema::IpAddress))]
    pub address: IpAddr,
    pub interface: IfName,
    /// A virtual server is on it.
    pub vip: bool,
    /// The address is on this unit now.
    pub here: bool,
}

/// One heartbeat path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PathView {
    /// `ttyS1`, `10.0.0.22`.
    pub name: String,
    pub serial: bool,
    /// The peer is heard on it.
    pub up: bool,
    /// Of the last beats, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_percent: Option<u8>,
    /// Round trip, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<u64>,
    /// What stands in its way on this unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is known of the other unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PeerView {
    pub hostname: String,
    /// As it last said.
    pub role: HaRole,
    /// Its heartbeat is heard.
    pub heard: bool,
    pub fit: bool,
    pub hot: bool,
    /// Of its web interface: `https://10.0.0.22:9443`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<String>,
    /// SHA-256 of its certificate, as its console shows it.
    pub fingerprint: String,
}

/// Whether both units have the same configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReplicationView {
    pub state: ReplicationState,
    /// When both were last known to have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// A sentence: why not, and what to do.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ReplicationState {
    InSync,
    /// On its way.
    Behind,
    /// The other unit cannot run it: the detail says why.
    Refused,
    /// Both were changed without the other: an administrator must choose.
    Diverged,
    Unreachable,
}

/// Moves the floating IPs here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TakeoverRequest {
    #[serde(default)]
    pub author: String,
    /// Even if this unit is unfit, or does not have the connections.
    #[serde(default)]
    pub force: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MaintenanceRequest {
    #[serde(default)]
    pub author: String,
    pub on: bool,
    /// Even if nobody serves then.
    #[serde(default)]
    pub force: bool,
}

/// What to do towards a pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PairingRequest {
    #[serde(default)]
    pub author: String,
    pub step: PairingStep,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PairingStep {
    /// On the slave: waits for the master on the null-modem cable and on the network.
    Wait {},
    /// On the master: over the null-modem cable, on which nothing is typed.
    CallSerial {},
    /// On the master: over the network, with the code that the slave shows.
    CallNetwork {
        #[cfg_attr(feature = "schema", schema(value_type = lb_model::schema::IpAddress))]
        address: IpAddr,
        code: String,
    },
    /// Gives up waiting or calling.
    Cancel {},
}

/// How far the pairing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum PairingView {
    Idle,
    /// The slave waits; `code` is typed at the master when the network is used.
    Waiting {
        code: String,
        until: u64,
        /// Why the cable cannot be listened on, if it cannot.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        serial_error: Option<String>,
    },
    Working {
        text: String,
    },
    Done(PairedView),
    Failed {
        reason: String,
        hint: String,
    },
}

/// With whom this unit is paired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PairedView {
    /// Which of the two this unit is.
    pub unit: NodeId,
    pub hostname: String,
    /// The other unit's own addresses, with their prefix lengths.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<lb_model::schema::IpNetwork>))]
    pub addresses: Vec<IpNet>,
    /// SHA-256 of the other unit's certificate.
    pub fingerprint: String,
}

/// Ends a choice between two histories; on the unit that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ResolveRequest {
    #[serde(default)]
    pub author: String,
    pub keep: Keep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// This unit's configuration goes to the other.
    Mine,
    /// The other unit's configuration comes here.
    Theirs,
}
