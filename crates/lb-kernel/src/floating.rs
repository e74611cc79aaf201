//! The floating addresses of a pair, as heartbeat handles them: what the hands can do, and a fake.
//!
//! A floating address is in the kernel for a lease only: whoever added it has to renew it, and a daemon that dies or
//! freezes leaves nothing behind. All of them carry heartbeat's mark (IFA_PROTO), so a new daemon finds and removes
//! what its predecessor left, and nothing else.

use crate::{Cause, KernelError};
use lb_model::IfName;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A host's address on an interface. It is added as /32 or /128, whatever its network: so it makes no route, is
/// never the source of what this unit sends by itself, and no other address goes when it goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FloatingAddress {
    pub interface: IfName,
    pub address: IpAddr,
}

impl fmt::Display for FloatingAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.address, self.interface)
    }
}

/// What heartbeat has the kernel do. Each call is short, but waits for the kernel's network lock: call it from a
/// thread of its own.
pub trait Floating: Send {
    /// Adds them all with this lease, and gives those that are there, ours, the full lease again. One that lbd has
    /// added for a virtual server, before there was a pair, changes its owner where it is: no packet is lost. An
    /// address that somebody else added is refused. When it fails, some may have been added.
    fn acquire(&mut self, addresses: &[FloatingAddress], lease: Duration) -> Result<(), KernelError>;

    /// Gives them the full lease again; one that is gone is not added, but returned.
    fn renew(&mut self, addresses: &[FloatingAddress], lease: Duration) -> Result<Vec<FloatingAddress>, KernelError>;

    /// Removes every address that heartbeat, whichever, has added, but for `keep`; and of those that lbd has added
    /// these, `lbds`. How many went.
    fn release(&mut self, keep: &[FloatingAddress], lbds: &[FloatingAddress]) -> Result<usize, KernelError>;

    /// Whether lbd has added one of these.
    fn lbds(&mut self, addresses: &[FloatingAddress]) -> Result<bool, KernelError>;

    /// Tells the networks once where the addresses are: gratuitous ARP as request and as reply, unsolicited neighbour
    /// advertisement. An address that cannot be announced still answers who asks, so that is no failure.
    fn announce(&mut self, addresses: &[FloatingAddress]);
}

/// Whole seconds, as the kernel counts: never longer than the lease, but a second at least.
pub fn lease_seconds(lease: Duration) -> u32 {
    u32::try_from(lease.as_secs()).unwrap_or(u32::MAX - 1).max(1)
}

/// What [`FakeFloating`] holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FakeFloatingState {
    /// Addresses and their leases. It has no clock: a test lets a lease end by removing the address.
    pub held: BTreeMap<FloatingAddress, Duration>,
    /// Those that lbd has added.
    pub lbds: BTreeSet<FloatingAddress>,
    /// Each call, as one line.
    pub log: Vec<String>,
    /// The next so many calls fail.
    pub fail: usize,
}

/// Hands that only remember. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct FakeFloating(Arc<Mutex<FakeFloatingState>>);

impl FakeFloating {
    pub fn state(&self) -> MutexGuard<'_, FakeFloatingState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, line: String) -> Result<MutexGuard<'_, FakeFloatingState>, KernelError> {
        let mut state = self.state();
        state.log.push(line.clone());
        if state.fail > 0 {
            state.fail -= 1;
            return Err(KernelError::new(line, Cause::Refused("told to fail".into())));
        }
        Ok(state)
    }
}

impl Floating for FakeFloating {
    fn acquire(&mut self, addresses: &[FloatingAddress], lease: Duration) -> Result<(), KernelError> {
        let mut state = self.call(format!("acquire {}", list(addresses)))?;
        state.lbds.retain(|address| !addresses.contains(address));
        state.held.extend(addresses.iter().map(|address| (address.clone(), lease)));
        Ok(())
    }

    fn renew(&mut self, addresses: &[FloatingAddress], lease: Duration) -> Result<Vec<FloatingAddress>, KernelError> {
        let mut state = self.call(format!("renew {}", list(addresses)))?;
        let (there, gone) = addresses.iter().cloned().partition(|address| state.held.contains_key(address));
        state.held.extend(<Vec<FloatingAddress>>::into_iter(there).map(|address| (address, lease)));
        Ok(gone)
    }

    fn release(&mut self, keep: &[FloatingAddress], lbds: &[FloatingAddress]) -> Result<usize, KernelError> {
        let mut state = self.call(format!("release, keep {}", list(keep)))?;
        let before = state.held.len() + state.lbds.len();
        state.held.retain(|address, _| keep.contains(address));
        state.lbds.retain(|address| !lbds.contains(address));
        Ok(before - state.held.len() - state.lbds.len())
    }

    fn lbds(&mut self, addresses: &[FloatingAddress]) -> Result<bool, KernelError> {
        let state = self.call(format!("whose are {}", list(addresses)))?;
        Ok(addresses.iter().any(|address| state.lbds.contains(address)))
    }

    fn announce(&mut self, addresses: &[FloatingAddress]) {
        self.state().log.push(format!("announce {}", list(addresses)));
    }
}

fn list(addresses: &[FloatingAddress]) -> String {
    if addresses.is_empty() {
        return "none".into();
    }
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
