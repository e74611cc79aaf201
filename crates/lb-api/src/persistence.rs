//! What layer 7 remembers of clients: the entries that bind them to real servers.

use serde::{Deserialize, Serialize};

/// Which entries; every part that is left out matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields, default)]
pub struct PersistenceQuery {
    /// An address, which is looked for as its network where the virtual server takes a network for one client; the
    /// value of the application's cookie, or its digest; a user's name in an RDP cookie; or the id of a TLS session.
    #[cfg_attr(feature = "schema", param(max_length = 4096))]
    pub client: Option<String>,
    /// A label, `ADDRESS` or `ADDRESS:PORT`.
    #[cfg_attr(feature = "schema", param(max_length = 100))]
    pub virtual_server: Option<String>,
    /// A label, `ADDRESS` or `ADDRESS:PORT`.
    #[cfg_attr(feature = "schema", param(max_length = 100))]
    pub real_server: Option<String>,
    pub offset: usize,
    /// 1..=1000; 0: 100.
    #[cfg_attr(feature = "schema", param(maximum = 1000))]
    pub limit: usize,
}

/// By what a client is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PersistenceKind {
    /// Its address, or its network's.
    Source,
    /// A digest (SHA-256) of the value of the application's cookie.
    ApplicationCookie,
    RdpCookie,
    SslSessionId,
}

/// A page of what HAProxy's tables remember.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PersistenceView {
    /// Entries that match, all pages together.
    pub matching: usize,
    /// Entries of all `tables`, whether they match or not.
    pub total: usize,
    /// The tables were too long to be read in time: counted is only what was read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// What remembers clients, in the configuration's order; of those that match the filter of virtual servers.
    pub tables: Vec<PersistenceTable>,
    pub entries: Vec<PersistenceEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PersistenceTable {
    /// A label.
    pub virtual_server: String,
    pub kind: PersistenceKind,
    pub entries: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PersistenceEntry {
    /// A label.
    pub virtual_server: String,
    pub kind: PersistenceKind,
    /// What the client is known by. What cannot be printed stands as `\x` and its code.
    pub key: String,
    /// Its label; none while the client's first request is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real_server: Option<String>,
    /// Seconds until it goes unless the client comes.
    pub expires: u32,
}

/// An entry, as [`PersistenceView`] has it, that is to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ForgetEntryRequest {
    /// A label.
    #[cfg_attr(feature = "schema", schema(max_length = 100))]
    pub virtual_server: String,
    pub kind: PersistenceKind,
    #[cfg_attr(feature = "schema", schema(max_length = 4096))]
    pub key: String,
    #[serde(default)]
    pub author: String,
}

/// A virtual server that is to forget all its clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ClearEntriesRequest {
    /// A label.
    #[cfg_attr(feature = "schema", schema(max_length = 100))]
    pub virtual_server: String,
    #[serde(default)]
    pub author: String,
}
