//! What the peer's tasks need of the engine, and nothing more. Tests put a shelf of their own in its place.

use lb_model::{Hostname, NodeId, Problem};
use lb_pair::{
    Id, SharedVersion, UnitAddress,
    wire::{Pem, Table},
};
use std::{future::Future, net::IpAddr, sync::Arc};
use tokio::sync::watch;

/// The engine, seen from the peer's side. Every answer may be waited for; none means that lbd stops.
pub trait Shelf: Send + Sync + 'static {
    /// What this unit is and has now.
    fn current(&self) -> impl Future<Output = Option<Current>> + Send;

    /// The newest shared revision with its document; none before the pair's first apply.
    fn newest(&self) -> impl Future<Output = Option<Revision>> + Send;

    /// Runs a document that the peer pushed, under the peer's version, with this unit's own node part; only if the
    /// newest version here is still `pushed.ground`.
    fn commit(&self, pushed: Pushed) -> impl Future<Output = Result<(), NotCommitted>> + Send;

    /// A number that changes whenever [`Shelf::current`] may answer otherwise: a revision, who is active, an address.
    fn changes(&self) -> watch::Receiver<u64>;

    /// A pair was made: this unit is `unit` from now on. What it was in a pair before counts no more.
    fn paired(&self, unit: NodeId) -> impl Future<Output = ()> + Send;

    /// The pair was ended on this unit.
    fn unpaired(&self) -> impl Future<Output = ()> + Send;

    /// The peer's word on the connection table.
    fn table(&self, word: Table) -> impl Future<Output = ()> + Send;
}

/// What a unit is and has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    pub hostname: Hostname,
    /// Of the web interface: `https://10.0.0.21:9443`.
    pub web: Option<String>,
    /// Its own, for the peer to choose paths from.
    pub addresses: Vec<UnitAddress>,
    /// The peer's, where the configuration has paths to it; first those that are tried first.
    pub peer_addresses: Vec<IpAddr>,
    /// It holds the floating addresses.
    pub active: bool,
    /// Names of the shared versions since the pair was made, oldest first.
    pub history: Vec<Id>,
    /// Its kernel takes the peer's connections: see [`lb_pair::wire::Alive::ready`].
    pub ready: Option<u64>,
    /// The peer has this unit's connections, if it is ready by this number.
    pub hot: Option<u64>,
}

/// A shared revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    pub version: SharedVersion,
    pub author: String,
    pub comment: String,
    /// Unix seconds.
    pub at: u64,
    /// Everything but the node's own part, as JSON.
    pub document: Arc<str>,
    /// Keys and chains that the document names.
    pub certificates: Vec<Pem>,
}

/// A revision from the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    pub revision: Revision,
    pub ground: Option<Id>,
}

/// Why it was not taken; then nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotCommitted {
    /// The newest version here is another one.
    Stale(Option<Id>),
    Problems(Vec<Problem>),
}
