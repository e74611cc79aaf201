//! The only hands on the kernel: observe and execute.
//!
//! Owns every call by which the product reads or changes the network: links, addresses and routes
//! (rtnetlink), IPVS (`ipvs-rs`), our nftables table, sysctls, the host name, `resolv.conf`, chronyd's servers, and the
//! announcements of new addresses; and reads what people want to see ([`Inspect`]). It decides nothing: [`lb_plan`] says what to do, and one [`Action`]
//! done twice is the same as done once. It never flushes, and touches nothing that is not in an action.
//!
//! For heartbeat: [`Floating`] addresses with a lease, an [`Ear`] for who claims them, a [`LinkWatch`], [`realtime`].
//!
//! [`Linux`] is the kernel of the calling thread's network namespace; [`Fake`] has the same semantics in
//! memory and can be told to fail. Both pass the stories in `conformance` (feature of that name): the fake
//! in every test run, Linux as root in a namespace and, with IPVS, in a guest.

mod error;
mod fake;
pub mod floating;
mod inspect;
mod linux;
mod machine;
pub mod realtime;
mod serial;
mod table;
pub mod transfer;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use error::{Cause, KernelError};
pub use fake::{Fake, FakeState};
pub use floating::{FakeFloating, Floating, FloatingAddress};
pub use inspect::{
    AddressOwner, CardSeen, Connection, Counters, DestCounters, Forgotten, Inspect, Network, RouteOrigin, RouteSeen,
    ServiceCounters, Template, Totals,
};
pub use linux::{
    ADDRESS_OWNER, Ear, HEARTBEAT_ADDRESS_OWNER, Heard, LinkWatch, Links, Linux, LinuxFloating, NOTE, ROUTE_OWNER, Said,
};
pub use machine::{CardCounters, Machine, room};
pub use serial::open_serial;

use lb_plan::{Action, Desired, Observed};
use std::{path::PathBuf, sync::Arc};

/// What lbd does everything through. Synchronous: lbd calls it on one thread of its own.
pub trait Kernel: Send {
    /// What the kernel has, as far as `desired` concerns it: of the sysctls those that it names, all else whole.
    fn observe(&mut self, desired: &Desired) -> Result<Observed, KernelError>;

    /// Executes in order; IPVS actions in a row go as one batch. One result for each action, in order. A failure
    /// does not stop the rest; what depended on it fails with an error of its own.
    fn execute(&mut self, actions: &[Action]) -> Vec<Result<(), KernelError>>;

    /// Whether somebody who compares it with time servers vouches for the clock: the kernel says no when he has told it
    /// so, and some hours after his last word (`STA_UNSYNC`, adjtimex(2)).
    fn clock_is_set(&self) -> bool;

    /// Eyes on the same kernel, for other threads.
    fn inspector(&self) -> Arc<dyn Inspect>;
}

/// Where [`Linux`] finds and keeps its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `/etc`: `hostname`, `hosts` and `resolv.conf` are written here; `service/time` is chronyd's.
    pub etc: PathBuf,
    /// `/run/lb`: what must survive a restart of lbd, and must not survive one of the kernel.
    pub run: PathBuf,
    /// `/proc/sys`.
    pub proc_sys: PathBuf,
    /// The fallback page where none is configured. The one that is served is in `run`.
    pub shipped_page: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Paths {
            etc: "/etc".into(),
            run: "/run/lb".into(),
            proc_sys: "/proc/sys".into(),
            shipped_page: "/usr/share/steelyard/fallback/index.html".into(),
        }
    }
}
