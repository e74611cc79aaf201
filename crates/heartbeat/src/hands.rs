//! The hands: a thread that carries out what the node wants of the kernel, in order.
//!
//! It waits for the kernel's network lock so that the beats need not. An order that has waited too long is not carried
//! out any more: a renewal that is late by more than a keepalive would outlive what the peer reckons with
//! (`lb_ha::settings`, `lease_over`), and the next one is on its way. What is over is told by [`Done`].

use crate::clock;
use crate::outlet::{Log, STACK};
use lb_ha::{Micros, Time};
use lb_kernel::{Floating, FloatingAddress, KernelError};
use std::{error::Error as _, fmt::Write as _, io, sync::mpsc, thread, time::Duration};
use tokio::sync::mpsc::UnboundedSender;

/// An order to add addresses, or to announce them, that has waited so long comes too late.
const STALE: Micros = 1_000_000;
/// lbd looks at the kernel every five seconds, and may be busy.
const BEQUEST: Duration = Duration::from_secs(60);

/// What the hands are to do.
#[derive(Debug)]
pub enum Order {
    Acquire,
    /// Every address that a heartbeat has added, and, but for the first time, floating ones that lbd has added.
    Release {
        first: bool,
    },
    /// Gives what is here time enough for lbd to take it over: there is no pair any more.
    Bequeath,
    /// `within`: only if it is not older than this.
    Renew {
        within: Micros,
    },
    Announce,
    /// From now on these addresses, this lease. `holds`: the kernel is made equal to them at once.
    Change {
        addresses: Vec<FloatingAddress>,
        lease: Duration,
        holds: bool,
    },
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    Acquired,
    AcquireFailed,
    Released,
    /// What heartbeat had added is gone, what lbd had added is not.
    LbdsAreHere,
    ReleaseFailed,
    /// This daemon's part is over.
    Bequeathed,
    /// An address has gone, or could not be renewed.
    Lost,
}

/// The daemon's side.
pub struct Hands {
    orders: mpsc::Sender<(Time, Order)>,
}

struct Worker<F> {
    kernel: F,
    addresses: Vec<FloatingAddress>,
    lease: Duration,
    log: Log,
}

impl Hands {
    pub fn start(kernel: impl Floating + 'static, log: &Log, done: UnboundedSender<Done>) -> io::Result<Hands> {
        let (orders, inbox) = mpsc::channel::<(Time, Order)>();
        let mut worker = Worker { kernel, addresses: Vec::new(), lease: Duration::from_secs(1), log: log.clone() };
        thread::Builder::new().name("hands".into()).stack_size(STACK).spawn(move || {
            for (at, order) in inbox {
                let Some(what) = worker.carry_out(order, clock::now().since(at)) else { continue };
                if done.send(what).is_err() {
                    return;
                }
            }
        })?;
        Ok(Hands { orders })
    }

    pub fn order(&self, order: Order) {
        // The thread ends with the daemon only.
        let _ = self.orders.send((clock::now(), order));
    }
}

impl<F: Floating> Worker<F> {
    fn carry_out(&mut self, order: Order, waited: Micros) -> Option<Done> {
        match order {
            Order::Acquire if waited > STALE => {
                self.log.warn(format!("adding the floating addresses came too late, by {} ms", waited / 1000));
                Some(Done::AcquireFailed)
            }
            Order::Acquire => {
                let done = self.kernel.acquire(&self.addresses, self.lease);
                Some(self.told(done).map_or(Done::AcquireFailed, |()| Done::Acquired))
            }
            Order::Release { first } => {
                let done = self.kernel.release(&[], if first { &[] } else { &self.addresses });
                if self.told(done).is_none() {
                    return Some(Done::ReleaseFailed);
                }
                if !first {
                    return Some(Done::Released);
                }
                let lbds = self.kernel.lbds(&self.addresses);
                Some(if self.told(lbds) == Some(true) { Done::LbdsAreHere } else { Done::Released })
            }
            Order::Bequeath => {
                let done = self.kernel.renew(&self.addresses, BEQUEST);
                self.told(done);
                Some(Done::Bequeathed)
            }
            Order::Renew { within } if waited > within => {
                self.log.warn(format!("a renewal came too late, by {} ms", waited / 1000));
                None
            }
            Order::Renew { .. } => {
                let done = self.kernel.renew(&self.addresses, self.lease);
                // What cannot be renewed will run out: better to hand it over.
                let Some(gone) = self.told(done) else { return Some(Done::Lost) };
                if gone.is_empty() {
                    return None;
                }
                for address in gone {
                    self.log.warn(format!("the floating address {address} has gone"));
                }
                Some(Done::Lost)
            }
            Order::Announce => {
                if waited <= STALE {
                    self.kernel.announce(&self.addresses);
                }
                None
            }
            Order::Change { addresses, lease, holds } => {
                let new: Vec<_> = addresses.iter().filter(|a| !self.addresses.contains(a)).cloned().collect();
                (self.addresses, self.lease) = (addresses, lease);
                if !holds {
                    return None;
                }
                let done = self.kernel.release(&self.addresses, &[]);
                let done = done.and_then(|_| self.kernel.acquire(&self.addresses, self.lease));
                if self.told(done).is_none() {
                    return Some(Done::Lost);
                }
                self.kernel.announce(&new);
                None
            }
        }
    }

    fn told<T>(&self, done: Result<T, KernelError>) -> Option<T> {
        done.inspect_err(|error| self.log.warn(chain(error))).ok()
    }
}

/// An error and all its sources.
pub fn chain(error: &KernelError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string does not fail.
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}
