//! The only hands on the kernel: observe and execute.
//!
//! Owns every call by which the product reads or changes the network: links, addresses and routes
//! (rtnetlink), IPVS (`ipvs-rs`), our nftables table, sysctls, the host name and `resolv.conf`, and the
//! announcements of new addresses. It decides nothing: [`lb_plan`] says what to do, and one [`Action`]
//! done twice is the same as done once. It never flushes, and touches nothing that is not in an action.
//!
//! [`Linux`] is the kernel of the calling thread's network namespace; [`Fake`] has the same semantics in
//! memory and can be told to fail. Both pass the stories in `conformance` (feature of that name): the fake
//! in every test run, Linux as root in a namespace and, with IPVS, in a guest.

mod error;
mod fake;
mod linux;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use error::{Cause, KernelError};
pub use fake::{Fake, FakeState};
pub use linux::{ADDRESS_OWNER, HEARTBEAT_ADDRESS_OWNER, Linux, ROUTE_OWNER};

use lb_plan::{Action, Desired, DestKey, Observed, ServiceKey};
use std::{collections::BTreeMap, path::PathBuf};

/// What lbd does everything through. Synchronous: lbd calls it on one thread of its own.
pub trait Kernel: Send {
    /// What the kernel has, as far as `desired` concerns it: of the sysctls those that it names, all else whole.
    fn observe(&mut self, desired: &Desired) -> Result<Observed, KernelError>;

    /// Executes in order; IPVS actions in a row go as one batch. One result for each action, in order. A failure
    /// does not stop the rest; what depended on it fails with an error of its own.
    fn execute(&mut self, actions: &[Action]) -> Vec<Result<(), KernelError>>;

    /// Counters and numbers of connections of every service and destination, whoever made them.
    fn counters(&mut self) -> Result<BTreeMap<ServiceKey, ServiceCounters>, KernelError>;
}

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

/// Where [`Linux`] finds and keeps its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `/etc`: `hostname`, `hosts` and `resolv.conf` are written here.
    pub etc: PathBuf,
    /// `/run/lb`: what must survive a restart of lbd, and must not survive one of the kernel.
    pub run: PathBuf,
    /// `/proc/sys`.
    pub proc_sys: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Paths { etc: "/etc".into(), run: "/run/lb".into(), proc_sys: "/proc/sys".into() }
    }
}
