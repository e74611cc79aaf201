//! What happens because time passes: beats, renewals, announcements, questions, alarms.

use super::{Act, Core, State, Time};
use crate::defect::Defect;
use crate::reason::{Alarm, Note};
use crate::time::Micros;

/// After a take-over announcements follow each other by these; then by `announce_every`. Microseconds.
const BURST: [Micros; 5] = [0, 100_000, 400_000, 500_000, 1_000_000];
/// RFC 5227 section 2.4 (c): defend an address at most this often.
const DEFEND_INTERVAL: Micros = 10_000_000;
/// A duplicate not seen for so long is gone.
const DUPLICATE_FORGOTTEN: Micros = 60_000_000;
const ALARMS: [Alarm; 6] = [
    Alarm::PeerSilent,
    Alarm::TwoOwners,
    Alarm::PeerDeaf,
    Alarm::DuplicateAddress,
    Alarm::AddressAnswers,
    Alarm::WitnessSilent,
];

impl Core {
    /// If this daemon did not run when it should have, what it did not hear meanwhile proves nothing.
    pub(super) fn notice_stall(&mut self, now: Time, acts: &mut Vec<Act>) {
        let late = now.since(self.due);
        if late > self.t.keepalive {
            if !self.broken(Defect::NoStallGrace) {
                self.woke = now;
            }
            acts.push(Act::Note(Note::Stalled { span: late }));
        }
    }

    pub(super) fn run_timers(&mut self, now: Time, acts: &mut Vec<Act>) {
        if now >= self.next_beat {
            self.next_beat = now.plus(self.t.keepalive);
            self.renew(now, acts);
            acts.push(Act::Speak);
        }
        self.announce(now, acts);
        self.ask(now, acts);
        self.report(now, acts);
    }

    /// Always before the beat that it belongs to: see [`crate::settings::Timing::lease_over`].
    fn renew(&mut self, now: Time, acts: &mut Vec<Act>) {
        let serves = matches!(self.state, State::Acquiring | State::Active);
        if serves && now.since(self.last_renew) >= self.t.lease / 4 && !self.broken(Defect::ForgetRenew) {
            self.last_renew = now;
            acts.push(Act::Renew);
        }
    }

    pub(super) fn announce_from(&mut self, now: Time) {
        self.announced = 0;
        self.next_announce = if self.broken(Defect::SkipAnnounce) { Time::NEVER } else { now };
    }

    fn announce(&mut self, now: Time, acts: &mut Vec<Act>) {
        if self.state == State::Active && self.split && self.live_word(now).is_some_and(|word| !word.holds) {
            self.split = false;
            if !self.broken(Defect::SkipHealAnnounce) {
                self.announce_from(now);
            }
        }
        if now >= self.next_announce {
            acts.push(Act::Announce);
            self.announced = self.announced.saturating_add(1);
            let next = BURST.get(usize::from(self.announced)).copied().unwrap_or(self.t.announce_every);
            self.next_announce = now.plus(next);
        }
    }

    pub(super) fn duplicate(&mut self, now: Time, acts: &mut Vec<Act>) {
        self.duplicate_at = Some(now);
        if self.state == State::Active && (self.defended == Time(0) || now.since(self.defended) >= DEFEND_INTERVAL) {
            self.defended = now;
            acts.push(Act::Announce);
        }
    }

    /// Questions to the network, while the answers matter.
    fn ask(&mut self, now: Time, acts: &mut Vec<Act>) {
        let silence = self.silence(now);
        let late = silence >= self.t.warntime;
        let listens = matches!(self.state, State::Standby | State::Claiming | State::Taking);
        if listens && late {
            if !self.late && self.peer.is_some() {
                self.late = true;
                acts.push(Act::Note(Note::Late { silence }));
            }
            if now.since(self.probe_asked) >= self.t.keepalive || self.probe_asked == Time(0) {
                self.probe_asked = now;
                acts.push(Act::Probe);
            }
        }
        if !self.t.witness {
            return;
        }
        let unsure = match self.state {
            State::Taking => true,
            State::Acquiring | State::Active => now.since(self.confirmed) >= self.t.warntime,
            _ => false,
        };
        if unsure && now.since(self.witness_asked) >= self.t.keepalive / 2 {
            self.witness_asked = now;
            acts.push(Act::AskWitness { asked: now });
        }
    }

    pub(super) fn raise_alarms(&mut self, now: Time, acts: &mut Vec<Act>) {
        let peer = self.live_word(now);
        let raised = |alarm| match alarm {
            Alarm::PeerSilent => self.holds && self.state != State::Starting && peer.is_none(),
            Alarm::TwoOwners => self.holds && peer.is_some_and(|word| word.holds && word.rank.epoch > 0),
            Alarm::PeerDeaf => peer.is_some_and(|word| !word.hears) && now.since(self.since) >= self.t.deadtime,
            Alarm::DuplicateAddress => self.duplicate_at.is_some_and(|at| now.since(at) < DUPLICATE_FORGOTTEN),
            Alarm::AddressAnswers => self.waits == Some(crate::reason::Wait::AddressAnswers),
            Alarm::WitnessSilent => self.waits == Some(crate::reason::Wait::Witness),
        };
        let bits = ALARMS.iter().enumerate().fold(0, |bits, (n, alarm)| bits | u8::from(raised(*alarm)) << n);
        let changed = bits ^ self.alarms;
        self.alarms = bits;
        for (n, alarm) in ALARMS.into_iter().enumerate().filter(|(n, _)| changed >> n & 1 == 1) {
            acts.push(Act::Alarm { alarm, on: bits >> n & 1 == 1 });
        }
    }

    /// The alarms that are on.
    pub fn alarms(&self) -> impl Iterator<Item = Alarm> {
        let bits = self.alarms;
        ALARMS.into_iter().enumerate().filter(move |(n, _)| bits >> n & 1 == 1).map(|(_, alarm)| alarm)
    }

    pub(super) fn next_due(&self, now: Time) -> Time {
        if self.state == State::Stopped {
            return Time::NEVER;
        }
        let mut due = self.next_beat.min(self.next_announce);
        // What is past has been dealt with, or waits for something else than time.
        let mut at = |moment: Time| due = if moment > now { due.min(moment) } else { due };
        let heard = self.peer.map_or(self.started, |peer| peer.at).max(self.woke);
        match self.state {
            State::Starting => at(self.started.plus(self.t.warntime)),
            State::Standby | State::Claiming if self.peer.is_some() => {
                at(heard.plus(if self.late { self.deadtime() } else { self.t.warntime }));
            }
            State::Taking => {
                if let Some(noticed) = self.noticed {
                    at(noticed.plus(self.t.notice()));
                }
                if self.t.witness {
                    at(self.witness_asked.plus(self.t.keepalive / 2));
                }
            }
            State::Acquiring | State::Active if self.t.witness => {
                at(self.alone_until());
                at(self.confirmed.plus(self.t.warntime).max(self.witness_asked.plus(self.t.keepalive / 2)));
            }
            State::Standby
            | State::Claiming
            | State::Acquiring
            | State::Active
            | State::Releasing
            | State::Leaving
            | State::Stopped => {}
        }
        due
    }
}
