//! Requests and answers. Times are seconds since 1970 (UTC); durations are seconds.

use lb_model::{Change, Config, Label, RequestedState};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// A revision with its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Running {
    pub revision: RevisionView,
    pub config: Config,
}

/// A revision without its configuration. Revision 0 is the factory settings, which are never stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RevisionView {
    pub number: u64,
    pub time: u64,
    pub author: String,
    pub comment: String,
}

impl fmt::Display for RevisionView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revision {} by {}", self.number, self.author)?;
        match self.comment.as_str() {
            "" => Ok(()),
            comment => write!(f, ": {comment}"),
        }
    }
}

/// What is being edited, and how it differs from what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CandidateView {
    /// The revision that the candidate began as.
    pub base: u64,
    /// Names this state of the candidate; send it back with the next edit. 0: there is no candidate, this is what runs.
    pub etag: u64,
    /// Who edited it last; empty when there is no candidate.
    #[serde(default)]
    pub author: String,
    /// When it was edited last; 0 when there is no candidate.
    #[serde(default)]
    pub time: u64,
    pub config: Config,
    /// Against the running configuration; empty: nothing is pending.
    pub changes: Vec<Change>,
    pub problems: Vec<lb_model::Problem>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PutCandidate {
    pub config: Config,
    /// The revision it was made from; left out: the running one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
    /// From the [`CandidateView`] that was edited; refused with a conflict when the candidate has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<u64>,
    #[serde(default)]
    pub author: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// Left out: the candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
}

/// What an apply would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PlanView {
    pub changes: Vec<Change>,
    /// One line an action.
    pub actions: Vec<String>,
    /// What is in the kernel that nobody configured.
    pub drift: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// Applied in one step, past the candidate. Left out: the candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
    /// With `config`: the revision that it was made from. Left out: whatever runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
    /// Without `config`: the [`CandidateView`] that was looked at; a conflict when the candidate has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<u64>,
    #[serde(default)]
    pub author: String,
    #[serde(default)]
    pub comment: String,
    /// Undo it by itself after so many seconds (5..=3600) unless it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 5, maximum = 3600))]
    pub confirm_within: Option<u64>,
    /// Where whoever asks comes from; left out: the unit's console. A change by which the lock-down would lock them out is
    /// refused. What comes in over the network is given the client's address, whatever it says here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<lb_model::schema::IpAddress>))]
    pub from: Option<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Applied {
    pub revision: RevisionView,
    /// Empty: there was nothing to apply, and nothing was done.
    pub changes: Vec<Change>,
    /// What was done, one line an action.
    pub plan: Vec<String>,
    /// The kernel is as the configuration says.
    pub converged: bool,
    /// What failed and will be tried again.
    pub pending: Vec<Pending>,
    /// When it will be undone unless confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_before: Option<u64>,
}

/// An action that did not work, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Pending {
    pub action: String,
    pub error: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    /// Left out: whichever waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    #[serde(default)]
    pub author: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DiscardRequest {
    /// The [`CandidateView`] that was looked at; a conflict when the candidate has changed since. Left out: whatever
    /// is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<u64>,
    #[serde(default)]
    pub author: String,
}

/// Who asks for something that needs no further words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ByRequest {
    #[serde(default)]
    pub author: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ConfirmView {
    pub revision: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    pub revision: u64,
    #[serde(default)]
    pub author: String,
    #[serde(default)]
    pub comment: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 5, maximum = 3600))]
    pub confirm_within: Option<u64>,
    /// Where whoever asks comes from; left out: the unit's console. A change by which the lock-down would lock them out is
    /// refused. What comes in over the network is given the client's address, whatever it says here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<lb_model::schema::IpAddress>))]
    pub from: Option<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StateRequest {
    pub virtual_server: Label,
    pub real_server: Label,
    pub state: RequestedState,
    #[serde(default)]
    pub author: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReconcileView {
    /// What was done; empty: all was as it should be.
    pub plan: Vec<String>,
    pub drift: Vec<String>,
    pub pending: Vec<Pending>,
    /// How long observing, planning and executing took.
    pub microseconds: u64,
}

/// The state of the unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Status {
    pub version: String,
    pub hostname: String,
    pub revision: u64,
    /// The unit runs on failsafe settings, or something else that an administrator must know.
    pub alarms: Vec<String>,
    pub converged: bool,
    pub pending: Vec<Pending>,
    pub drift: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<AwaitingConfirm>,
    /// Changes wait in the candidate.
    pub pending_changes: usize,
    /// Connections that HAProxy processes of before a reload, or before the end of layer 7, still serve.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub old_connections: u32,
    pub virtual_servers: Vec<VirtualServerStatus>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields so")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AwaitingConfirm {
    pub revision: u64,
    pub before: u64,
    pub revert_to: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct VirtualServerStatus {
    /// No other one has it, whatever its layer.
    pub label: String,
    /// 4: the kernel balances connections; 7: HAProxy proxies them.
    #[serde(default = "layer_4")]
    #[cfg_attr(feature = "schema", schema(minimum = 4, maximum = 7, default = 4))]
    pub layer: u8,
    /// `tcp 10.0.0.21:80`; of layer 7 `http 10.0.0.21:80`.
    pub service: String,
    pub scheduler: String,
    pub active: bool,
    /// The fallback server has the traffic.
    pub fallback: bool,
    pub counters: Counters,
    pub real_servers: Vec<RealServerStatus>,
}

fn layer_4() -> u8 {
    4
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RealServerStatus {
    pub label: String,
    /// `192.168.2.50:80`
    pub address: String,
    pub forwarding: String,
    pub weight: u32,
    pub requested: RequestedState,
    pub actual: ActualState,
    /// What the last check found, and since when the server stands as it does (0: since before lbd started).
    pub check: Option<CheckStatus>,
    pub active_connections: u32,
    pub inactive_connections: u32,
    pub persistent_connections: u32,
    pub counters: Counters,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CheckStatus {
    pub text: String,
    pub since: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ActualState {
    Active,
    NonActive,
    /// Gets no new clients; some are still connected.
    Draining,
    /// The first check has not answered yet.
    Checking,
}

impl fmt::Display for ActualState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ActualState::Active => "active",
            ActualState::NonActive => "non-active",
            ActualState::Draining => "draining",
            ActualState::Checking => "checking",
        })
    }
}

/// The kernel's counters since the service was made, and its rates per second. Of layer 7 HAProxy's since its last
/// start or reload: requests where the mode is http, and no packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Counters {
    pub connections: u64,
    pub packets_in: u64,
    pub packets_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub connections_per_second: u64,
}
