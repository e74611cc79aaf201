//! What the kernel has, for people to read. Unlike [`Kernel`](crate::Kernel) it plans nothing and changes nothing, so
//! it is asked from any thread, and several at once, while lbd's own thread goes on with its work.

use crate::KernelError;
use ipnet::IpNet;
use lb_plan::{DestKey, ServiceKey};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    ops::ControlFlow,
    sync::Arc,
};

/// Looks at the kernel of the calling thread's network namespace.
pub trait Inspect: Send + Sync {
    /// Counters and numbers of connections of every service and destination, whoever made them. Readers that come
    /// within a moment of each other get the same ones.
    fn counters(&self) -> Result<Arc<Counters>, KernelError>;

    /// Shows every entry of the connection table to `visit`, until it breaks off. Entries come in no order, and one
    /// that comes or goes meanwhile may be missing. Nothing is kept: the table may have millions.
    fn connections(
        &self,
        visit: &mut dyn FnMut(&Connection<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, KernelError>;

    fn network(&self) -> Result<Network, KernelError>;

    /// All firewall rules, as `nft list ruleset` prints them; whoever made them.
    fn firewall(&self) -> Result<String, KernelError>;

    /// The one thing that a looker may change: the kernel forgets what binds a client to a server. Takes a few seconds.
    fn forget(&self, template: &Template) -> Result<Forgotten, KernelError>;
}

/// An entry that binds a client, or a network of clients, to a server; as in [`Connection`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Template {
    pub protocol: String,
    pub client: SocketAddr,
    pub virtual_server: SocketAddr,
    pub real_server: SocketAddr,
}

/// What became of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// There is none of that name any more.
    Gone,
    /// Its client has connections. It goes within a minute after the last of them, unless there are new ones.
    InUse,
}

pub type Counters = BTreeMap<ServiceKey, ServiceCounters>;

/// The counters of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceCounters {
    pub totals: Totals,
    pub dests: BTreeMap<DestKey, DestCounters>,
}

/// The counters of one destination. The first three are numbers of connections at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DestCounters {
    pub active: u32,
    pub inactive: u32,
    /// Templates that bind a client to this destination.
    pub persistent: u32,
    pub totals: Totals,
}

/// Counted since the object was added or its counters were zeroed; the last one is the kernel's estimate,
/// an average over about 8 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    pub connections: u64,
    pub packets_in: u64,
    pub packets_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub connections_per_second: u64,
}

/// One entry of the connection table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection<'a> {
    /// `TCP`, `UDP`, `SCTP`; `IP` for a template of a firewall mark, whose number stands in the place of the virtual
    /// server's address.
    pub protocol: &'a str,
    pub client: SocketAddr,
    pub virtual_server: SocketAddr,
    pub real_server: SocketAddr,
    /// The kernel's word: `ESTABLISHED`, `SYN_RECV`, …
    pub state: &'a str,
    /// Seconds until it goes unless a packet comes.
    pub expires: u32,
}

impl Connection<'_> {
    /// It binds a client, or a network of clients, to a server, and carries no packets itself. The kernel marks these
    /// with a flag that it does not print; they have no port, and one of two states (`ip_vs_proto.c`,
    /// `ip_vs_ctpl_state_name_table`) that no other entry without a port has, but for an FTP data connection in the
    /// moment before its first packet.
    pub fn is_template(&self) -> bool {
        self.client.port() == 0 && matches!(self.state, "NONE" | "ASSURED")
    }
}

/// Cards, addresses and routes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// All but the loopback.
    pub cards: Vec<CardSeen>,
    /// The main table.
    pub routes: Vec<RouteSeen>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardSeen {
    pub name: String,
    pub up: bool,
    /// A cable with somebody at its other end.
    pub carrier: bool,
    pub mtu: u32,
    /// Empty for a card without one.
    pub mac: String,
    pub addresses: Vec<(IpNet, AddressOwner)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressOwner {
    Lbd,
    Heartbeat,
    /// The kernel itself, a router's advertisement, or somebody by hand.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSeen {
    pub to: IpNet,
    pub via: Option<IpAddr>,
    /// Name of the card.
    pub card: String,
    pub origin: RouteOrigin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteOrigin {
    Lbd,
    /// A card's own network.
    Kernel,
    Other,
}
