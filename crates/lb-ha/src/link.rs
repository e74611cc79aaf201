//! The frames of one pair: which are new, which are copies, which are old; and how good each path is.
//!
//! A frame is *live* when it echoes the nonce of this start of this daemon: then it was made after it. Only
//! live frames reach the core. Until the peer has echoed our nonce its frames do one thing: they tell us the
//! nonce that we have to echo. So what was recorded before a reboot of either node moves nothing after it, even
//! if the receiver has lost all memory. Among live frames only a higher (boot, sequence) is new.

use crate::defect::Defect;
use crate::frame::{Frame, Lane, Lanes};
use crate::settings::{MAX_PATHS, NodeId, Path};
use crate::time::{Micros, Time};
use crate::word::Word;
use serde::{Deserialize, Serialize};

/// How many frames back a path remembers.
const WINDOW: u16 = 64;

/// What a frame is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// It says something new. `confirmed`: when our newest frame left that the peer has.
    New {
        confirmed: Option<Time>,
        restarted: bool,
    },
    /// Its content came before on another path.
    Copy,
    /// The peer does not know our nonce yet. `reply`: it can learn it at once.
    Greeting {
        reply: bool,
    },
    Refused,
}

/// Frames counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    pub new: u64,
    pub copies: u64,
    pub greetings: u64,
    /// Authentic, but played back, or of an earlier start of the peer.
    pub old: u64,
    /// Our own, reflected.
    pub reflected: u64,
    /// Not authentic, or no frames at all.
    pub refused: u64,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    boot: u32,
    seq: u64,
    nonce: u64,
}

#[derive(Debug, Clone)]
struct Lanework {
    min_interval: Micros,
    sent: u16,
    sent_at: [Time; WINDOW as usize],
    last_sent: Option<Time>,
    /// The peer's newest number, and when it came.
    newest: Option<(u16, Time)>,
    /// When any copy came.
    heard: Option<Time>,
    /// Bit n: number `newest - n` came.
    seen: u64,
    rtt: Option<Micros>,
}

/// How a path does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathQuality {
    /// Something came within the dead time.
    pub up: bool,
    /// Of the last 64 frames of the peer, so many of 1000 did not come.
    pub loss_permille: u16,
    /// There and back, smoothed.
    pub round_trip_us: Option<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Link {
    me: NodeId,
    boot: u32,
    nonce: u64,
    seq: u64,
    /// The newest frame of the peer, live or not: its nonce is echoed.
    hint: Option<Session>,
    peer: Option<Session>,
    reply_from: Time,
    lanes: Vec<Lanework>,
    pub counters: Counters,
    pub defect: Option<Defect>,
}

impl Link {
    pub fn new(me: NodeId, boot: u32, nonce: u64, paths: &[Path]) -> Link {
        let mut link = Link {
            me,
            boot,
            nonce,
            seq: 0,
            hint: None,
            peer: None,
            reply_from: Time(0),
            lanes: Vec::new(),
            counters: Counters::default(),
            defect: None,
        };
        link.set_paths(paths);
        link
    }

    /// Paths keep their history by number.
    pub fn set_paths(&mut self, paths: &[Path]) {
        self.lanes.truncate(paths.len());
        for (number, path) in paths.iter().take(MAX_PATHS).enumerate() {
            let min_interval = u64::from(path.min_interval_ms) * 1000;
            match self.lanes.get_mut(number) {
                Some(lane) => lane.min_interval = min_interval,
                None => self.lanes.push(Lanework::new(min_interval)),
            }
        }
    }

    pub fn receive(&mut self, path: u8, frame: &Frame, now: Time, keepalive: Micros) -> Received {
        if frame.from == self.me {
            self.counters.reflected += 1;
            return Received::Refused;
        }
        let key = (frame.boot, frame.seq);
        if frame.echo != self.nonce && !self.broken(Defect::SkipChallenge) {
            let newest = self.hint.map_or((0, 0), |hint| (hint.boot, hint.seq));
            if key <= newest {
                self.counters.old += 1;
                return Received::Refused;
            }
            self.counters.greetings += 1;
            let reply = self.hint.is_none_or(|hint| hint.nonce != frame.nonce) && now >= self.reply_from;
            self.hint = Some(Session { boot: frame.boot, seq: frame.seq, nonce: frame.nonce });
            if reply {
                self.reply_from = now.plus(keepalive / 2);
            }
            return Received::Greeting { reply };
        }
        let mut restarted = false;
        if let Some(peer) = self.peer {
            let other_life = frame.boot < peer.boot || frame.boot == peer.boot && frame.nonce != peer.nonce;
            if other_life && !self.broken(Defect::AcceptOldBoot) {
                self.counters.old += 1;
                return Received::Refused;
            }
            restarted = frame.nonce != peer.nonce;
            if !restarted && frame.seq <= peer.seq && !self.broken(Defect::AcceptReplay) {
                return self.copy(path, frame, now);
            }
        }
        if restarted {
            self.lanes.iter_mut().for_each(Lanework::forget_peer);
        }
        let session = Session { boot: frame.boot, seq: frame.seq, nonce: frame.nonce };
        self.peer = Some(session);
        self.hint = Some(session);
        self.counters.new += 1;
        let confirmed = frame.lanes.as_slice().iter().filter_map(|lane| self.sent_at(lane)).max();
        self.arrived(path, frame, now);
        Received::New { confirmed, restarted }
    }

    fn copy(&mut self, path: u8, frame: &Frame, now: Time) -> Received {
        if self.arrived(path, frame, now) {
            self.counters.copies += 1;
            Received::Copy
        } else {
            self.counters.old += 1;
            Received::Refused
        }
    }

    /// When the frame left that the peer echoes on a lane, if that is not too long ago to know.
    fn sent_at(&self, lane: &Lane) -> Option<Time> {
        let ours = self.lanes.get(usize::from(lane.path))?;
        let back = ours.sent.wrapping_sub(lane.echo);
        let known = lane.age != Lane::NEVER && back < WINDOW && ours.last_sent.is_some();
        known.then(|| ours.sent_at[usize::from(lane.echo % WINDOW)])
    }

    /// Notes the arrival on a path; false if this very frame came on this path before.
    fn arrived(&mut self, path: u8, frame: &Frame, now: Time) -> bool {
        let Some(lane) = frame.lanes.of(path) else { return true };
        let left = self.sent_at(lane);
        let Some(ours) = self.lanes.get_mut(usize::from(path)) else { return true };
        match ours.newest {
            None => {
                ours.newest = Some((lane.sent, now));
                ours.seen = 1;
            }
            Some((newest, _)) => {
                let ahead = lane.sent.wrapping_sub(newest);
                let behind = newest.wrapping_sub(lane.sent);
                if ahead != 0 && ahead < u16::MAX / 2 {
                    ours.seen = ours.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
                    ours.newest = Some((lane.sent, now));
                } else if behind < WINDOW && ours.seen >> behind & 1 == 0 {
                    ours.seen |= 1 << behind;
                } else {
                    return false;
                }
            }
        }
        ours.heard = Some(now);
        if let Some(left) = left {
            let rtt = now.since(left).saturating_sub(u64::from(lane.age) * 100);
            ours.rtt = Some(ours.rtt.map_or(rtt, |old| (7 * old + rtt) / 8));
        }
        true
    }

    /// The next frame, and the paths that it goes out on.
    pub fn compose(&mut self, word: Word, now: Time) -> (Vec<u8>, Frame) {
        self.seq = self.seq.saturating_add(1);
        let current = self.hint.map(|hint| hint.nonce) == self.peer.map(|peer| peer.nonce);
        let (mut on, mut lanes) = (Vec::with_capacity(self.lanes.len()), Lanes::default());
        for (path, lane) in (0..).zip(&mut self.lanes) {
            if lane.last_sent.is_none_or(|last| now.since(last) >= lane.min_interval) {
                lane.sent = lane.sent.wrapping_add(1);
                lane.sent_at[usize::from(lane.sent % WINDOW)] = now;
                lane.last_sent = Some(now);
                on.push(path);
            }
            let heard = lane.newest.filter(|_| current);
            let age = heard.map_or(u64::MAX, |(_, at)| now.since(at) / 100);
            let age = u16::try_from(age).unwrap_or(Lane::NEVER);
            lanes.push(Lane { path, sent: lane.sent, echo: heard.map_or(0, |(echo, _)| echo), age });
        }
        let echo = self.hint.map_or(0, |hint| hint.nonce);
        (on, Frame { from: self.me, boot: self.boot, seq: self.seq, nonce: self.nonce, echo, word, lanes })
    }

    pub fn up(&self, path: usize, now: Time, deadtime: Micros) -> bool {
        self.lanes.get(path).and_then(|lane| lane.heard).is_some_and(|heard| now.since(heard) < deadtime)
    }

    pub fn quality(&self, path: usize, now: Time, deadtime: Micros) -> PathQuality {
        let lane = self.lanes.get(path);
        let up = self.up(path, now, deadtime);
        let lost = lane.map_or(0, |lane| {
            // Zeros above the oldest one are from before the first frame.
            let known = 64 - lane.seen.leading_zeros();
            ((known - lane.seen.count_ones()) * 1000).checked_div(known).unwrap_or(0)
        });
        let loss_permille = if up { lost as u16 } else { 1000 };
        PathQuality { up, loss_permille, round_trip_us: lane.and_then(|lane| lane.rtt).filter(|_| up) }
    }

    fn broken(&self, defect: Defect) -> bool {
        cfg!(feature = "sim") && self.defect == Some(defect)
    }
}

impl Lanework {
    fn new(min_interval: Micros) -> Lanework {
        let sent_at = [Time(0); WINDOW as usize];
        Lanework { min_interval, sent: 0, sent_at, last_sent: None, newest: None, heard: None, seen: 0, rtt: None }
    }

    fn forget_peer(&mut self) {
        (self.newest, self.seen, self.rtt) = (None, 0, None);
    }
}
