//! Every promise, checked at every instant at which anything changes.

use super::host::Host;
use crate::frame::Frame;
use crate::node::Output;
use crate::reason::{Note, Reason};
use crate::settings::{NodeId, Settings};
use crate::time::Time;
use crate::word::State;
use std::fmt;

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Never two owners while the nodes hear each other.
    OneOwner,
    /// With a witness never two owners with running daemons, whatever is cut.
    OneOwnerWithWitness,
    /// Nobody takes an address that somebody else has answered for all the time.
    TookWhatAnswered,
    /// An owner within dead time and one keepalive of a death.
    OwnerInTime,
    /// Nobody is called dead before the dead time.
    DeadTooEarly,
    /// Faults on one path move nothing.
    OnePathMovesNothing,
    /// After a heal exactly one steps down, and the other goes on.
    OneStepsDown,
    /// The winner announces after the loser has let go.
    AnnouncedAfterHeal,
    /// Whoever takes over announces at once.
    Announced,
    /// An unfit node does not acquire.
    UnfitAcquired,
    /// A shut-down hands over before it exits.
    HandsOverFirst,
    /// Each ownership is numbered above all that its node knew of.
    EpochRises,
    /// A node does not say that it holds nothing while its kernel has the addresses.
    SaysWhatItHolds,
    /// A node that says it serves has the addresses.
    ServesWhatItSays,
    /// A running owner's lease does not end.
    LeaseKept,
    /// A frame played back is not believed.
    ReplayBelieved,
    /// When everything works, exactly one node serves.
    OneInTheEnd,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub rule: Rule,
    pub at: u64,
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {} ms: {}", self.rule, self.at / 1000, self.what)
    }
}

/// What must happen by a moment, unless another fault comes between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    Serve { node: usize },
    Announce { node: usize },
}

#[derive(Debug)]
pub struct Audit {
    keepalive: u64,
    deadtime: u64,
    /// Time to let go once both hear each other: two beats, and the hands.
    settle: u64,
    witness: bool,
    /// The winner of a heal goes on for so long; then the preferred node may ask for the addresses, if fail-back is on.
    won: u64,
    /// When each node last heard something new, and since when without a break.
    heard: [Option<(u64, u64)>; 2],
    heard_local: [Time; 2],
    epoch_seen: [u32; 2],
    last_fault: u64,
    /// Since when the floating network has been as it is.
    floating_since: u64,
    two_since: Option<u64>,
    owed: Vec<(u64, Owed)>,
    /// The one that must go on until then: it won a heal.
    winner: Option<(usize, u64)>,
    still: Option<u64>,
    /// When each gave way to a peer that outranked it.
    outranked: [Option<u64>; 2],
    /// Nodes asked to shut down that owe a hand-over.
    handing: [bool; 2],
    pub broken: Option<Broken>,
    pub takeovers: u32,
    pub heals: u32,
}

/// Orders to the kernel take this long at most.
pub const HANDS: u64 = 2_000;
/// A probe's or witness's answer takes this part of a keepalive at most.
pub const ANSWER_PART: u64 = 4;

impl Audit {
    pub fn new(settings: &Settings) -> Audit {
        let us = |ms: u32| u64::from(ms) * 1000;
        Audit {
            keepalive: us(settings.keepalive_ms),
            deadtime: us(settings.deadtime_ms),
            settle: 2 * us(settings.keepalive_ms) + 2 * HANDS,
            witness: settings.witness.is_some(),
            won: match settings.auto_failback {
                // Clocks drift by less.
                true => us(settings.failback_delay_ms.saturating_sub(settings.keepalive_ms)),
                false => u64::MAX,
            },
            heard: [None; 2],
            heard_local: [Time(0); 2],
            epoch_seen: [0; 2],
            last_fault: 0,
            floating_since: 0,
            two_since: None,
            owed: Vec::new(),
            winner: None,
            still: None,
            outranked: [None; 2],
            handing: [false; 2],
            broken: None,
            takeovers: 0,
            heals: 0,
        }
    }

    pub fn breaks(&mut self, rule: Rule, at: u64, what: impl Into<String>) {
        if self.broken.is_none() {
            self.broken = Some(Broken { rule, at, what: what.into() });
        }
    }

    /// From now on nothing may move.
    pub fn hold_still(&mut self, now: u64) {
        self.still = Some(now);
    }

    pub fn fault(&mut self, now: u64) {
        self.last_fault = now;
        self.owed.clear();
        self.winner = None;
        self.handing = [false; 2];
    }

    pub fn floating_changed(&mut self, now: u64) {
        self.floating_since = now;
    }

    pub fn heard_new(&mut self, node: usize, frame: &Frame, local: Time, now: u64) {
        let close = self.deadtime * 3 / 4;
        let since = self.heard[node].filter(|(last, _)| now - last < close).map_or(now, |(_, since)| since);
        self.heard[node] = Some((now, since));
        self.heard_local[node] = local;
        self.epoch_seen[node] = self.epoch_seen[node].max(frame.word.epoch);
    }

    /// The daemon does not run any more, or another does: contact begins anew.
    pub fn interrupted(&mut self, node: usize, started: bool) {
        self.heard = [None; 2];
        if started {
            self.epoch_seen[node] = 0;
        }
    }

    /// Since when both have heard each other without a break.
    fn contact(&self, now: u64) -> Option<u64> {
        let [a, b] = self.heard;
        let ((a, since_a), (b, since_b)) = (a?, b?);
        let close = self.deadtime * 3 / 4;
        (now - a < close && now - b < close).then(|| since_a.max(since_b))
    }

    pub fn in_contact(&self, now: u64) -> bool {
        self.contact(now).is_some_and(|since| now - since > self.settle)
    }

    /// After every change of a kernel.
    pub fn kernel_changed(&mut self, node: usize, by_release: bool, hosts: &[Host; 2], now: u64) {
        let other = 1 - node;
        if self.still.is_some_and(|since| now > since) {
            self.breaks(Rule::OnePathMovesNothing, now, format!("node {} moved", node + 1));
        }
        let got = hosts[node].kernel.holds;
        if got {
            self.takeovers += 1;
            let (taker, holder) = (&hosts[node], &hosts[other]);
            let long = self.deadtime + 4 * self.keepalive;
            let seen = taker.floating_up && holder.answers();
            let steady = now - self.floating_since.min(now) > long && now - holder.kernel.since.min(now) > long;
            if seen && steady && taker.powered {
                self.breaks(Rule::TookWhatAnswered, now, format!("node {} acquired", node + 1));
            }
        } else if by_release {
            if let Some((winner, until)) = self.winner
                && winner == node
                && now <= until
                && self.contact(now).is_some()
            {
                self.breaks(Rule::OneStepsDown, now, format!("node {} let go after it had won", node + 1));
            }
            let serves = hosts[other].node.as_ref().is_some_and(|node| node.core().state() == State::Active);
            let heals = self.two_since.is_some() && self.contact(now).is_some() && hosts[other].runs();
            // With a witness both may have to let go: each hears that somebody else answers.
            if heals && serves && hosts[other].fit && !self.witness {
                self.heals += 1;
                let by = now + 8 * self.keepalive + HANDS;
                self.winner = Some((other, by.min(now.saturating_add(self.won))));
                self.owed.push((by, Owed::Announce { node: other }));
            }
        }
        let two = hosts[0].powered && hosts[0].kernel.holds && hosts[1].powered && hosts[1].kernel.holds;
        self.two_since = if two { self.two_since.or(Some(now)) } else { None };
    }

    /// At every instant.
    pub fn look(&mut self, hosts: &[Host; 2], now: u64) {
        if let Some(since) = self.two_since {
            if self.in_contact(now) {
                self.breaks(Rule::OneOwner, now, format!("two owners since {} ms", since / 1000));
            }
            // A daemon that just woke needs its hands before it can be blamed.
            let awake = |host: &Host| host.runs() && now - host.running_since > 5 * HANDS;
            if self.witness && hosts.iter().all(awake) && now - since > 0 {
                self.breaks(Rule::OneOwnerWithWitness, now, format!("two owners since {} ms", since / 1000));
            }
        }
        if self.owed.iter().any(|(by, _)| now > *by) {
            let due: Vec<Owed> = self.owed.iter().filter(|(by, _)| now > *by).map(|(_, owed)| *owed).collect();
            self.owed.retain(|(by, _)| now <= *by);
            for owed in due {
                match owed {
                    Owed::Serve { node } if !hosts[node].kernel.holds => {
                        self.breaks(Rule::OwnerInTime, now, format!("node {} does not serve yet", node + 1));
                    }
                    Owed::Serve { .. } => {}
                    Owed::Announce { node } => {
                        self.breaks(Rule::AnnouncedAfterHeal, now, format!("node {} kept silent", node + 1));
                    }
                }
            }
        }
    }

    pub fn asked_to_shut_down(&mut self, node: usize) {
        self.handing[node] = true;
    }

    /// The owner's machine died; `survivor` was stand-by, fit and in contact.
    pub fn owes_service(&mut self, survivor: usize, now: u64) {
        let in_all = self.deadtime + self.keepalive;
        // The clock may be a thousandth slow, and the hands take their time.
        let by = now + in_all + in_all / 500 + 2 * HANDS;
        self.owed.push((by, Owed::Serve { node: survivor }));
    }

    /// One output of a node, before it is carried out.
    pub fn output(&mut self, node: usize, output: &Output, host: &Host, hosts_other: &Host, local: Time, now: u64) {
        match output {
            Output::Acquire if !host.fit => self.breaks(Rule::UnfitAcquired, now, format!("node {}", node + 1)),
            Output::Announce => self.owed.retain(|(_, owed)| *owed != Owed::Announce { node }),
            Output::Exit => {
                if host.kernel.holds {
                    self.breaks(Rule::HandsOverFirst, now, format!("node {} exits and holds", node + 1));
                }
                if self.handing[node] && !hosts_other.kernel.holds {
                    self.breaks(Rule::HandsOverFirst, now, format!("node {} exits, nobody serves", node + 1));
                }
            }
            Output::Send { frame, .. } => self.said(node, frame, host, now),
            Output::Log(Note::Moved { to: State::Taking, reason: Reason::PeerSilent { .. }, .. })
                if local.since(self.heard_local[node]) < self.deadtime =>
            {
                self.breaks(Rule::DeadTooEarly, now, format!("node {}", node + 1));
            }
            _ => {}
        }
        if let Output::Log(Note::Moved { reason: Reason::PeerOutranks { .. }, .. }) = output {
            if self.outranked[1 - node].is_some_and(|at| now - at < self.settle) {
                self.breaks(Rule::OneStepsDown, now, "each gave way to the other");
            }
            self.outranked[node] = Some(now);
        }
        if let Output::Log(Note::Moved { to: State::Acquiring, .. }) = output {
            let epoch = host.node.as_ref().map_or(0, |node| node.core().epoch());
            if epoch <= self.epoch_seen[node] {
                self.breaks(Rule::EpochRises, now, format!("node {} takes over as {epoch}", node + 1));
            }
        }
    }

    fn said(&mut self, node: usize, frame: &Frame, host: &Host, now: u64) {
        let word = &frame.word;
        debug_assert_eq!(frame.from == NodeId::One, node == 0);
        if !word.holds && host.kernel.holds {
            self.breaks(Rule::SaysWhatItHolds, now, format!("node {} says that it holds nothing", node + 1));
        }
        if word.state == State::Active && !host.kernel.holds {
            self.breaks(Rule::ServesWhatItSays, now, format!("node {} has no addresses", node + 1));
        }
    }

    pub fn calm_for(&self, now: u64) -> u64 {
        now - self.last_fault
    }
}
