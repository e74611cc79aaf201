//! What happens in a run: settings, paths, clocks and faults, all drawn from one seed.

use super::Random;
use crate::core::Command;
use crate::settings::{NodeId, Path, Settings, Witness};
use std::net::{IpAddr, Ipv4Addr};

/// What a run is about: some promises hold only if nothing else goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    Mixed,
    /// Anything may happen to path 0, nothing to the others: nothing may move.
    OnePath,
    /// The active node dies, nothing else.
    Death,
    /// Paths are cut while a witness is configured.
    Witness,
    /// Every path is cut, and heals.
    Split,
    /// Operators at work.
    Planned,
}

/// One thing that happens. Nodes are 0 and 1. Times are microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Frames from node `from` no longer arrive on this path.
    Cut {
        path: usize,
        from: usize,
    },
    Mend {
        path: usize,
    },
    Loss {
        path: usize,
        permille: u64,
    },
    /// The daemon does not run; the kernel does.
    Freeze {
        node: usize,
        span: u64,
    },
    /// The daemon is gone, its addresses are not; another is started.
    Kill {
        node: usize,
        back_after: u64,
    },
    /// The machine is gone, and comes back.
    PowerOff {
        node: usize,
        back_after: u64,
    },
    Fit {
        node: usize,
        fit: bool,
    },
    Hot {
        node: usize,
        hot: bool,
    },
    /// The node's link to the network of the floating addresses. `seen`: its daemon notices and is unfit.
    Floating {
        node: usize,
        up: bool,
        seen: bool,
    },
    Command {
        node: usize,
        command: Command,
    },
    /// Frames recorded before are sent to a node again.
    Replay {
        to: usize,
        path: usize,
        frames: usize,
    },
    /// Bytes that are no frame.
    Garbage {
        to: usize,
        path: usize,
    },
    /// Everything works again.
    Calm,
}

#[derive(Debug, Clone)]
pub struct Wire {
    pub delay: (u64, u64),
    /// Now and then a frame takes so long, and is overtaken.
    pub slow: u64,
    pub loss: u64,
    pub twice: u64,
}

#[derive(Debug, Clone)]
pub struct Schedule {
    pub seed: u64,
    pub kind: Kind,
    pub settings: Settings,
    pub wires: Vec<Wire>,
    /// Parts per million that each clock is fast.
    pub drift: [i64; 2],
    /// When each node is switched on.
    pub start: [u64; 2],
    pub faults: Vec<(u64, Fault)>,
    pub end: u64,
}

impl Schedule {
    pub fn random(seed: u64) -> Schedule {
        let mut r = Random::new(seed);
        let kinds = [Kind::Mixed, Kind::Mixed, Kind::OnePath, Kind::Death, Kind::Witness, Kind::Split, Kind::Planned];
        let kind = r.pick(&kinds);
        Schedule::of(kind, seed, &mut r)
    }

    /// A pair whose daemons freeze all the time, each for `longest` at most. Nothing may move.
    pub fn of_stalls(seed: u64, settings: Settings, longest: u64, span: u64) -> Schedule {
        let mut r = Random::new(seed);
        let keepalive = u64::from(settings.keepalive_ms) * 1000;
        let wires = settings.paths.iter().map(|_| Wire { delay: (50, 300), slow: 0, loss: 0, twice: 0 }).collect();
        let mut at = u64::from(settings.initdead_ms) * 1000 + 1_000_000;
        let mut faults = Vec::new();
        while at < span {
            faults.push((at, Fault::Freeze { node: r.between(0, 1) as usize, span: r.between(1, longest) }));
            at += longest + r.between(3 * keepalive, 30 * keepalive);
        }
        Schedule { seed, kind: Kind::OnePath, settings, wires, drift: [300, -300], start: [1, 900], faults, end: span }
    }

    fn of(kind: Kind, seed: u64, r: &mut Random) -> Schedule {
        let settings = settings(kind, r);
        let (keepalive, deadtime) = (u64::from(settings.keepalive_ms) * 1000, u64::from(settings.deadtime_ms) * 1000);
        let mut wires: Vec<Wire> = settings.paths.iter().map(|_| wire(keepalive, r)).collect();
        if kind == Kind::Death {
            // The bound of a death holds while a frame takes half a keepalive at most.
            wires.iter_mut().for_each(|wire| wire.slow = keepalive / 2 - wire.delay.1);
        }
        let drift = [r.between(0, 2000) as i64 - 1000, r.between(0, 2000) as i64 - 1000];
        let apart = if r.permille(300) { 3 * deadtime } else { 50_000 };
        let start = [r.between(1, 50_000), r.between(1, apart)];
        let calm_from = u64::from(settings.initdead_ms) * 1000 + 4 * deadtime + u64::from(settings.lease_ms) * 200;
        let mut schedule = Schedule { seed, kind, settings, wires, drift, start, faults: Vec::new(), end: 0 };
        let over = schedule.fill(calm_from, keepalive, deadtime, r);
        schedule.faults.push((over, Fault::Calm));
        let lease = u64::from(schedule.settings.lease_ms) * 1000;
        // Long enough for a command that waits for its peer (patience, 2 s), then a lease, then an election.
        schedule.end = over + 4_500_000 + 2 * lease + 10 * deadtime;
        schedule
    }

    fn fill(&mut self, from: u64, keepalive: u64, deadtime: u64, r: &mut Random) -> u64 {
        let paths = self.wires.len();
        let node = r.between(0, 1) as usize;
        let at = from + r.between(0, 2 * keepalive);
        match self.kind {
            Kind::Death => {
                // Whoever serves: powering off the other shows nothing, and half of the runs hit.
                self.faults.push((at, Fault::PowerOff { node, back_after: 6 * deadtime + r.between(0, deadtime) }));
                at + 8 * deadtime
            }
            Kind::OnePath => {
                let mut at = at;
                for _ in 0..r.between(1, 6) {
                    let fault = match r.between(0, 4) {
                        0 => Fault::Cut { path: 0, from: 0 },
                        1 => Fault::Cut { path: 0, from: 1 },
                        2 => Fault::Mend { path: 0 },
                        3 => Fault::Loss { path: 0, permille: r.between(0, 1000) },
                        _ => Fault::Replay { to: r.between(0, 1) as usize, path: 0, frames: 5 },
                    };
                    self.faults.push((at, fault));
                    at += r.between(0, 3 * deadtime);
                }
                at + 2 * deadtime
            }
            Kind::Split => {
                let floating = r.permille(800);
                for path in 0..paths {
                    let at = at + r.between(0, deadtime);
                    self.faults.push((at, Fault::Cut { path, from: 0 }));
                    self.faults.push((at + r.between(0, 1) * r.between(0, deadtime), Fault::Cut { path, from: 1 }));
                }
                if floating {
                    self.faults.push((at, Fault::Floating { node, up: false, seen: false }));
                }
                let lease = u64::from(self.settings.lease_ms) * 1000;
                let heal = at + 3 * deadtime + r.between(0, 2 * lease);
                self.faults.push((heal, Fault::Mend { path: r.between(0, paths as u64 - 1) as usize }));
                heal + 20 * keepalive + deadtime
            }
            Kind::Mixed | Kind::Witness | Kind::Planned => {
                let mut at = at;
                for _ in 0..r.between(1, 8) {
                    let fault = self.fault(keepalive, deadtime, r);
                    self.faults.push((at, fault));
                    let long = if r.permille(300) { 4 * deadtime } else { deadtime };
                    at += r.between(0, long);
                }
                at + deadtime
            }
        }
    }

    fn fault(&self, keepalive: u64, deadtime: u64, r: &mut Random) -> Fault {
        let node = r.between(0, 1) as usize;
        let path = r.between(0, self.wires.len() as u64 - 1) as usize;
        let lease = u64::from(self.settings.lease_ms) * 1000;
        let lease = r.between(0, 1) * lease;
        let which = match self.kind {
            Kind::Planned => r.between(8, 15),
            Kind::Witness => r.between(0, 9),
            _ => r.between(0, 15),
        };
        match which {
            0 | 1 => Fault::Cut { path, from: node },
            2 => Fault::Mend { path },
            3 => Fault::Loss { path, permille: r.between(0, 600) },
            4 => {
                let seen = self.kind == Kind::Mixed && r.permille(500);
                Fault::Floating { node, up: self.kind == Kind::Mixed && r.permille(500), seen }
            }
            5 => Fault::Freeze { node, span: r.between(1000, deadtime * 2 + lease) },
            6 => Fault::Kill { node, back_after: r.between(1000, deadtime + 2 * lease) },
            7 => Fault::PowerOff { node, back_after: r.between(deadtime / 2, 6 * deadtime) },
            8 => Fault::Replay { to: node, path, frames: r.between(1, 30) as usize },
            9 => Fault::Garbage { to: node, path },
            10 => Fault::Hot { node, hot: r.permille(700) },
            11 => Fault::Fit { node, fit: r.permille(500) },
            12 => Fault::Command { node, command: Command::Standby },
            13 => Fault::Command { node, command: Command::Takeover { force: r.permille(800) } },
            14 if r.permille(500) => Fault::Command { node, command: Command::Shutdown },
            14 => Fault::Freeze { node, span: r.between(1000, 3 * keepalive) },
            _ => Fault::Command { node, command: Command::Maintenance { on: r.permille(500), force: r.permille(500) } },
        }
    }
}

fn settings(kind: Kind, r: &mut Random) -> Settings {
    let least = if kind == Kind::OnePath { 2 } else { 1 };
    let count = r.between(least, 3);
    let preferred = r.pick(&[None, Some(NodeId::One), Some(NodeId::Two)]);
    let witness = (kind == Kind::Witness).then_some(Witness::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let auto_failback = kind == Kind::Mixed && preferred.is_some() && r.permille(200);
    let times = [
        (100, 200, 400, 800),
        (100, 200, 400, 1000),
        (50, 120, 200, 400),
        (50, 120, 400, 800),
        (200, 450, 700, 1400),
        (10, 25, 50, 100),
    ];
    let (keepalive_ms, warntime_ms, deadtime_ms, initdead_ms) = r.pick(&times);
    // A slow line, such as a serial one.
    let slow = if r.permille(300) { deadtime_ms / 3 / keepalive_ms * keepalive_ms } else { 0 };
    let path = |n: u64| Path { name: format!("path{n}"), min_interval_ms: if n == 0 { slow } else { 0 } };
    let paths = (0..count).map(path).collect();
    let lease_ms = 1000 + 500 * r.between(0, 2) as u32;
    Settings {
        keepalive_ms,
        warntime_ms,
        deadtime_ms,
        initdead_ms,
        lease_ms,
        auto_failback,
        failback_delay_ms: 2 * deadtime_ms,
        preferred,
        witness,
        paths,
        ..Settings::default()
    }
}

fn wire(keepalive: u64, r: &mut Random) -> Wire {
    let low = r.between(20, 500);
    let high = low + r.between(0, keepalive / 20);
    Wire { delay: (low, high), slow: keepalive * 3 / 2, loss: r.pick(&[0, 0, 5, 30]), twice: r.pick(&[0, 20]) }
}
