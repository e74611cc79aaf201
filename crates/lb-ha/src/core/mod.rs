//! The core: who holds the floating addresses. It knows neither bytes nor paths, only what was heard, and when.
//!
//! ```text
//!              start: remove what a predecessor left; or, having served alone before there was a pair, straight
//!                 |    to [Acquiring] unless the peer serves
//!            [Starting] --initdead, nobody heard--------------+
//!                 | peer heard                                |
//!                 v        peer silent for deadtime           v
//!    +------> [Standby] ---------------------------------> [Taking]  prove that it is safe (floating address
//!    |         |  ^  ^ <--------peer heard again------------  |      free, or lease over; witness agrees),
//!    |  neither|  |  |                                        |      then say so for half a keepalive
//!    |  serves,|  |  | refused, outranked                     |
//!    |  or asked v  |                                         |
//!    |        [Claiming] --peer's grant of this claim--+      |
//!    |                                                 v      v
//!    |                                               [Acquiring] --addresses up--> [Active]
//!    |                                                    |                           |
//!    |                 outranked, asked, unfit, frozen, witness silent, maintenance   |
//!    |                                                    v                           |
//!    +-----------addresses gone---------------------- [Releasing] <-------------------+
//!                                                         | shutting down
//!                                                         v
//!                                                     [Leaving] --peer serves--> [Stopped]
//! ```
//!
//! While the peer lives, ownership passes by grant only: a node that does not hold grants the claim with one
//! number, and keeps still until it hears that the claim is over. While the peer is silent, ownership passes by
//! proof only: [`State::Taking`]. If both hold (every path was cut), the lower [`Rank`] steps down.
//!
//! [`Core::handle`] is a function of the input and the time; everything is compared, copied and hashed, so a
//! model checker can walk it. Tested by `tests/core.rs`, `tests/model.rs` and the simulator.

mod command;
#[cfg(feature = "sim")]
mod model;
mod rules;
mod take;
mod timers;

use crate::defect::Defect;
use crate::reason::{Alarm, Note, Reason, Refusal, Wait};
use crate::settings::{MAX_DEADTIME_MS, NodeId, Timing};
use crate::time::{Micros, Time};
use crate::word::{Rank, State, Word};
use serde::{Deserialize, Serialize};

/// What an operator may ask of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Serve here. Without `force` only with the peer's connections.
    Takeover { force: bool },
    /// Serve there.
    Standby,
    /// Serve nothing until it is switched off. `force`: even if nobody else can serve.
    Maintenance { on: bool, force: bool },
    /// Hand over, then exit.
    Shutdown,
}

/// What became of an order to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hands {
    Acquired,
    AcquireFailed,
    Released,
    ReleaseFailed,
}

/// Whether somebody else answers for a floating address on its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    Answers,
    Free,
    /// It could not be asked: no link, no network, an error.
    Unknown,
}

/// What the core is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Input {
    Tick,
    Heard {
        word: Word,
        /// When the newest of our frames left that the peer is known to have received.
        confirmed: Option<Time>,
        /// The peer's daemon is another than the one heard before.
        restarted: bool,
    },
    Fit(bool),
    Hot(bool),
    /// At the start: the floating addresses are here, because this unit served alone before there was a pair.
    Inherits,
    Pings(u8),
    Command(Command),
    Hands(Hands),
    Probe(Probe),
    /// `asked` is the moment of the question, from [`Act::AskWitness`]. Yes means: the witness answers, nobody
    /// answers for a floating address, and, on node two while it holds nothing, node one has not asked within
    /// two keepalives.
    Witness {
        asked: Time,
        granted: bool,
    },
    /// A machine that is not the peer answers for a floating address.
    Duplicate,
    Timing(Timing),
}

/// What the core wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Say [`Core::word`] on every path.
    Speak,
    Acquire,
    Release,
    Renew,
    Announce,
    Probe,
    AskWitness {
        asked: Time,
    },
    Note(Note),
    Alarm {
        alarm: Alarm,
        on: bool,
    },
    Outcome {
        command: Command,
        result: Result<(), Refusal>,
    },
    Exit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Peer {
    word: Word,
    at: Time,
}

/// The state machine of one node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Core {
    me: NodeId,
    t: Timing,
    defect: Option<Defect>,
    state: State,
    since: Time,
    started: Time,

    fit: bool,
    hot: bool,
    pings: u8,
    maintenance: bool,
    leaving: bool,
    /// No acquiring before this moment: the last attempt failed.
    holdoff: Time,
    /// Handed over: no claim of our own before this moment, so that the peer can take.
    stood_by: Option<Time>,
    pending: Option<(Command, Time)>,
    failback_since: Option<Time>,
    worse_since: Option<Time>,
    idle_since: Option<Time>,

    epoch: u32,
    /// Frozen while claiming and holding.
    rank: Rank,
    /// From before the addresses are added until they are known to be gone.
    holds: bool,
    /// Starting only: it served alone before there was a pair, and goes on as soon as it can.
    inherits: bool,
    /// Starting only: an order to remove what is here has failed.
    release_failed: bool,
    claim: u32,
    next_claim: u32,
    claim_asks: bool,
    granted: u32,

    peer: Option<Peer>,
    /// Silence counts from here at the earliest: we did not run before.
    woke: Time,
    confirmed: Time,
    /// While we held, the peer was lost or held as well: announce when that is over.
    split: bool,
    path_zero: Time,

    probe: Option<(Probe, Time)>,
    probe_asked: Time,
    noticed: Option<Time>,
    waits: Option<Wait>,
    witness_asked: Time,
    /// First and last question of an unbroken row of yes.
    granted_from: Option<(Time, Time)>,

    next_beat: Time,
    last_renew: Time,
    next_announce: Time,
    announced: u8,
    late: bool,
    alarms: u8,
    duplicate_at: Option<Time>,
    defended: Time,
    due: Time,
}

impl Core {
    /// A node that starts: [`Act::Release`] comes first, for what a predecessor may have left.
    /// `boot` differs between any two starts; claims are numbered from it.
    pub fn new(me: NodeId, boot: u32, timing: Timing, now: Time, acts: &mut Vec<Act>) -> Core {
        acts.push(Act::Note(Note::Moved { from: State::Stopped, to: State::Starting, reason: Reason::Started }));
        acts.extend([Act::Release, Act::Speak]);
        Core {
            me,
            t: timing,
            defect: None,
            state: State::Starting,
            since: now,
            started: now,
            fit: false,
            hot: false,
            pings: 0,
            maintenance: false,
            leaving: false,
            holdoff: Time(0),
            stood_by: None,
            pending: None,
            failback_since: None,
            worse_since: None,
            idle_since: None,
            epoch: 0,
            rank: Rank::default(),
            holds: true,
            inherits: false,
            release_failed: false,
            claim: 0,
            next_claim: (boot << 16) | 1,
            claim_asks: false,
            granted: 0,
            peer: None,
            woke: now,
            confirmed: Time(0),
            split: false,
            path_zero: now,
            probe: None,
            probe_asked: Time(0),
            noticed: None,
            waits: None,
            witness_asked: Time(0),
            granted_from: None,
            next_beat: now.plus(timing.keepalive),
            last_renew: now,
            next_announce: Time::NEVER,
            announced: 0,
            late: false,
            alarms: 0,
            duplicate_at: None,
            defended: Time(0),
            due: now.plus(timing.keepalive),
        }
    }

    /// Takes one input at `now`, which never goes back, and appends what is to be done, in order.
    pub fn handle(&mut self, input: Input, now: Time, acts: &mut Vec<Act>) {
        if self.state == State::Stopped {
            return;
        }
        self.notice_stall(now, acts);
        match input {
            Input::Tick => {}
            Input::Heard { word, confirmed, restarted } => self.heard(word, confirmed, restarted, now, acts),
            Input::Fit(fit) => self.fit = fit,
            Input::Hot(hot) => self.hot = hot,
            Input::Inherits if self.state == State::Starting && self.holds => self.inherits = true,
            Input::Inherits => acts.push(Act::Release),
            Input::Pings(reached) => self.pings = reached,
            Input::Command(command) => self.command(command, now, acts),
            Input::Hands(done) => self.hands(done, now, acts),
            Input::Probe(probe) => self.probe = Some((probe, now)),
            Input::Witness { asked, granted } => self.witness(asked, granted),
            Input::Duplicate => self.duplicate(now, acts),
            Input::Timing(timing) => {
                self.t = timing;
                self.next_beat = self.next_beat.min(now.plus(timing.keepalive));
            }
        }
        self.settle(now, acts);
        self.run_timers(now, acts);
        self.raise_alarms(now, acts);
        self.due = self.next_due(now);
    }

    fn heard(&mut self, word: Word, confirmed: Option<Time>, restarted: bool, now: Time, acts: &mut Vec<Act>) {
        if restarted {
            acts.push(Act::Note(Note::PeerRestarted));
        }
        if let Some(confirmed) = confirmed {
            self.confirmed = self.confirmed.max(confirmed);
        }
        self.epoch = self.epoch.max(word.epoch);
        self.late = false;
        self.peer = Some(Peer { word, at: now });
        if self.granted != 0 && !word.holds && word.claim != self.granted {
            // The claim is over and its number is never used again, so the grant is void.
            self.granted = 0;
        }
    }

    fn hands(&mut self, done: Hands, now: Time, acts: &mut Vec<Act>) {
        match (done, self.state) {
            (Hands::Acquired, State::Acquiring) => self.enter(State::Active, Reason::AddressesUp, now, acts),
            (Hands::AcquireFailed, State::Acquiring | State::Active) => {
                self.holdoff = now.plus(self.t.patience);
                self.enter(State::Releasing, Reason::AddressesFailed, now, acts);
            }
            (Hands::Released, State::Starting) => {
                self.holds = false;
                acts.push(Act::Speak);
            }
            (Hands::Released, State::Releasing) => self.released(Reason::AddressesGone, now, acts),
            // Try again with the next beat, until the lease has ended.
            (Hands::ReleaseFailed, State::Starting | State::Releasing) => {
                self.release_failed = true;
                acts.push(Act::Release);
            }
            _ => {}
        }
    }

    fn released(&mut self, reason: Reason, now: Time, acts: &mut Vec<Act>) {
        self.holds = false;
        self.rank = Rank::default();
        let next = if self.leaving { State::Leaving } else { State::Standby };
        self.enter(next, reason, now, acts);
    }

    fn witness(&mut self, asked: Time, granted: bool) {
        self.granted_from = match (granted, self.granted_from) {
            (false, _) => None,
            (true, None) => Some((asked, asked)),
            (true, Some((first, last))) => Some((first, last.max(asked))),
        };
    }

    fn settle(&mut self, now: Time, acts: &mut Vec<Act>) {
        // Each step needs a cause that the one before removed; the bound is for a defect in that argument.
        for _ in 0..8 {
            let Some((state, reason)) = self.step(now, acts) else { return };
            if state == State::Standby && self.state == State::Releasing {
                self.released(reason, now, acts);
            } else {
                self.enter(state, reason, now, acts);
            }
        }
    }

    /// The one place that changes the state.
    fn enter(&mut self, state: State, reason: Reason, now: Time, acts: &mut Vec<Act>) {
        acts.push(Act::Note(Note::Moved { from: self.state, to: state, reason }));
        self.state = state;
        (self.inherits, self.release_failed) = (false, false);
        self.since = now;
        self.noticed = None;
        self.waits = None;
        self.idle_since = None;
        if state != State::Claiming {
            self.claim = 0;
            self.claim_asks = false;
        }
        match state {
            State::Starting | State::Standby | State::Leaving => {}
            State::Claiming => {
                self.claim = self.next_claim;
                self.next_claim = self.next_claim.wrapping_add(1).max(1);
                self.rank = Rank { epoch: 0, merit: self.merit() };
            }
            State::Taking => self.granted_from = None,
            State::Acquiring => {
                if !self.broken(Defect::EpochNotRaised) {
                    self.epoch = self.epoch.saturating_add(1);
                }
                self.rank = Rank { epoch: self.epoch, merit: self.merit() };
                self.holds = true;
                self.granted = 0;
                self.last_renew = now;
                self.split = false;
                acts.push(Act::Acquire);
            }
            State::Active => self.announce_from(now),
            State::Releasing => {
                self.next_announce = Time::NEVER;
                if self.broken(Defect::ForgetRelease) {
                    self.holds = false;
                } else {
                    acts.push(Act::Release);
                }
            }
            State::Stopped => acts.push(Act::Exit),
        }
        acts.push(Act::Speak);
    }

    fn merit(&self) -> u8 {
        u8::from(self.hot) << 1 | u8::from(self.t.preferred == Some(self.me))
    }

    /// What is said now.
    pub fn word(&self, now: Time) -> Word {
        let frozen = self.holds || self.claim != 0;
        Word {
            state: self.state,
            holds: self.holds,
            fit: self.fit && now >= self.holdoff,
            hot: self.hot,
            maintenance: self.maintenance,
            leaving: self.leaving,
            taking: self.noticed.is_some() && !self.broken(Defect::SkipNotice),
            asks: self.claim_asks,
            hears: self.alive(now),
            pings: self.pings,
            epoch: self.epoch,
            rank: if frozen { self.rank } else { Rank { epoch: 0, merit: self.merit() } },
            claim: self.claim,
            grant: self.granted,
            deadtime_ms: u32::try_from(self.t.deadtime / 1000).unwrap_or(u32::MAX),
        }
    }

    fn eligible(&self, now: Time) -> bool {
        let fit = self.fit || self.broken(Defect::UnfitAcquires);
        fit && !self.maintenance && !self.leaving && now >= self.holdoff
    }

    /// How long nothing has been heard, time asleep not counted. From the start if nothing ever was.
    fn silence(&self, now: Time) -> Micros {
        let heard = self.peer.map_or(self.started, |peer| peer.at);
        let heard = if self.broken(Defect::OnePathCounts) { self.path_zero.min(heard) } else { heard };
        now.since(heard.max(self.woke))
    }

    fn alive(&self, now: Time) -> bool {
        self.peer.is_some() && self.silence(now) < self.deadtime()
    }

    /// The longer of both nodes' dead times: the peer may still speak as seldom as its settings say.
    fn deadtime(&self) -> Micros {
        let longer = self.peer_deadtime().map_or(self.t.deadtime, |theirs| theirs.max(self.t.deadtime));
        match self.defect {
            Some(Defect::DeadtimeEarly) => longer - self.t.keepalive,
            Some(Defect::DeadtimeLate) => longer + 2 * self.t.keepalive,
            Some(Defect::OwnDeadtimeOnly) => self.t.deadtime,
            _ => longer,
        }
    }

    /// For how long at least the peer does not call us dead.
    fn trusted(&self) -> Micros {
        let shorter = self.peer_deadtime().map_or(self.t.deadtime, |theirs| theirs.min(self.t.deadtime));
        // Its clock may be faster than ours.
        shorter - shorter / 16
    }

    fn peer_deadtime(&self) -> Option<Micros> {
        self.peer.map(|peer| u64::from(peer.word.deadtime_ms.min(MAX_DEADTIME_MS)) * 1000)
    }

    /// The peer's word, if the peer lives.
    fn live_word(&self, now: Time) -> Option<Word> {
        self.peer.filter(|_| self.alive(now)).map(|peer| peer.word)
    }

    fn broken(&self, defect: Defect) -> bool {
        cfg!(feature = "sim") && self.defect == Some(defect)
    }

    /// When [`Core::handle`] wants to be called with [`Input::Tick`] if nothing else happens before.
    pub fn deadline(&self) -> Time {
        self.due
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn since(&self) -> Time {
        self.since
    }

    pub fn holds(&self) -> bool {
        self.holds
    }

    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The last the peer said, and when.
    pub fn peer(&self) -> Option<(Word, Time)> {
        self.peer.map(|peer| (peer.word, peer.at))
    }

    pub fn peer_alive(&self, now: Time) -> bool {
        self.alive(now)
    }

    pub(crate) fn timing(&self) -> &Timing {
        &self.t
    }

    #[cfg(feature = "sim")]
    pub fn break_it(&mut self, defect: Option<Defect>) {
        self.defect = defect;
        if defect == Some(Defect::KeepLeftovers) && self.state == State::Starting {
            self.holds = false;
        }
    }

    pub(crate) fn heard_on(&mut self, path: u8, now: Time) {
        if path == 0 {
            self.path_zero = now;
        }
    }
}
