//! Taking over from a silent peer: the proof that it is safe.

use super::{Act, Core, Probe, State, Time};
use crate::defect::Defect;
use crate::reason::{Note, Reason, Wait};

impl Core {
    pub(super) fn taking(&mut self, now: Time, acts: &mut Vec<Act>) -> Option<(State, Reason)> {
        if self.leaving {
            return Some((State::Stopped, Reason::NothingToHandOver));
        }
        if !self.eligible(now) {
            return Some((State::Standby, Reason::NotFitToServe));
        }
        if self.alive(now) {
            return Some((State::Standby, Reason::PeerBack));
        }
        match self.proof(now) {
            Err(why) => {
                self.noticed = None;
                if self.waits != Some(why) {
                    self.waits = Some(why);
                    acts.push(Act::Note(Note::Waits { why }));
                }
                None
            }
            Ok(reason) => {
                if self.noticed.is_none() {
                    self.noticed = Some(now);
                    acts.push(Act::Speak);
                }
                let noticed = self.noticed.unwrap_or(now);
                let over = now.since(noticed) >= self.t.notice() || self.broken(Defect::SkipNotice);
                over.then_some((State::Acquiring, reason))
            }
        }
    }

    /// Why the silent peer cannot be serving any more, or what would have to come first.
    fn proof(&self, now: Time) -> Result<Reason, Wait> {
        let last_heard = self.peer.map_or(self.started, |peer| peer.at);
        // It may hold if it said so, if we let it, or if it never said anything.
        let held = self.peer.is_none_or(|peer| peer.word.holds) || self.granted != 0;
        let fresh = self.probe.filter(|(_, at)| {
            *at >= last_heard.plus(self.t.warntime) && now.since(*at) <= self.t.deadtime + 2 * self.t.keepalive
        });
        let waited = now.since(last_heard);
        let free = match fresh.map(|(probe, _)| probe) {
            _ if self.broken(Defect::NoLeaseWait) => Ok(Reason::FloatingAddressFree),
            // Also when the lease is over: then a living daemon renews it, and only its paths are cut.
            Some(Probe::Answers) => Err(Wait::AddressAnswers),
            _ if !held => Ok(Reason::PeerHeldNothing),
            Some(Probe::Free) => Ok(Reason::FloatingAddressFree),
            Some(Probe::Unknown) if waited >= self.t.lease_over() => Ok(Reason::LeaseOver { waited }),
            // No answer yet. After a freeze one is on its way, and old ones say nothing.
            None if now.since(last_heard.max(self.woke)) >= self.t.lease_over() => Ok(Reason::LeaseOver { waited }),
            Some(Probe::Unknown) | None => Err(Wait::Lease),
        }?;
        if !self.t.witness || self.broken(Defect::TakeWithoutWitness) {
            return Ok(free);
        }
        // A peer that the witness answered last just before us stops a grant's time later at the latest.
        let agreed = self.granted_from.is_some_and(|(first, last)| {
            now.since(first) >= self.t.grant() + self.t.keepalive && now.since(last) <= self.t.grant()
        });
        if agreed { Ok(Reason::WitnessAgrees) } else { Err(Wait::Witness) }
    }

    /// With a witness: until when a serving node may go on. The peer cannot take over before a dead time has
    /// passed since it heard us last, and the witness's yes counts for [`crate::settings::Timing::grant`].
    pub(super) fn alone_until(&self) -> Time {
        let by_peer = self.confirmed.plus(self.trusted());
        let by_witness = self.granted_from.map_or(Time(0), |(_, last)| last.plus(self.t.grant()));
        by_peer.max(by_witness)
    }
}
