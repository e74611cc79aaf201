//! One machine of the simulated pair: a kernel that holds addresses for a lease, and perhaps a daemon.

use crate::node::{Event, Node};
use crate::time::Time;

#[derive(Debug)]
pub struct Host {
    pub node: Option<Node>,
    pub boot: u32,
    pub powered: bool,
    /// The daemon was shut down and stays away.
    pub exited: bool,
    pub frozen: bool,
    pub frozen_since: u64,
    /// What came while the daemon was frozen.
    pub inbox: Vec<Event>,
    pub kernel: Kernel,
    pub floating_up: bool,
    pub fit: bool,
    pub hot: bool,
    /// Orders to the kernel are carried out one after the other.
    pub hands_busy: u64,
    /// When it last asked the witness.
    pub asked_at: u64,
    /// When the daemon began to run without a break.
    pub running_since: u64,
    drift: i64,
    offset: u64,
    pub wake: u64,
}

#[derive(Debug, Default)]
pub struct Kernel {
    pub holds: bool,
    pub since: u64,
    pub expires: u64,
    pub expiry_set: bool,
}

impl Host {
    pub fn new(drift: i64, offset: u64) -> Host {
        Host {
            node: None,
            boot: 0,
            powered: false,
            exited: false,
            frozen: false,
            frozen_since: 0,
            inbox: Vec::new(),
            kernel: Kernel::default(),
            floating_up: true,
            fit: true,
            hot: false,
            hands_busy: 0,
            asked_at: 0,
            running_since: 0,
            drift,
            offset,
            wake: u64::MAX,
        }
    }

    /// What this machine's clock shows.
    pub fn clock(&self, world: u64) -> Time {
        let drifted = i128::from(world) * (1_000_000 + i128::from(self.drift)) / 1_000_000;
        Time(self.offset + drifted as u64)
    }

    /// When this machine's clock has come to `local`.
    pub fn world(&self, local: Time) -> u64 {
        let span = i128::from(local.0.saturating_sub(self.offset));
        (span * 1_000_000 / (1_000_000 + i128::from(self.drift))) as u64 + 2
    }

    pub fn runs(&self) -> bool {
        self.powered && !self.frozen && self.node.is_some()
    }

    /// Whether clients on the network of the floating addresses reach this kernel.
    pub fn answers(&self) -> bool {
        self.powered && self.kernel.holds && self.floating_up
    }

    pub fn dies(&mut self) {
        self.node = None;
        self.frozen = false;
        self.inbox.clear();
        self.wake = u64::MAX;
    }
}
