//! The transitions: for each state, what ends it and why.

use super::{Act, Command};
use super::{Core, State, Time};
use crate::defect::Defect;
use crate::reason::Reason;
use crate::word::Word;

type Move = Option<(State, Reason)>;

impl Core {
    pub(super) fn step(&mut self, now: Time, acts: &mut Vec<Act>) -> Move {
        match self.state {
            State::Starting => self.starting(now, acts),
            State::Standby => self.standby(now, acts),
            State::Claiming => self.claiming(now, acts),
            State::Taking => self.taking(now, acts),
            State::Acquiring | State::Active => self.serving(now).map(|reason| (State::Releasing, reason)),
            State::Releasing => self.releasing(now),
            State::Leaving => self.leaving(now, acts),
            State::Stopped => None,
        }
    }

    fn starting(&mut self, now: Time, acts: &mut Vec<Act>) -> Move {
        if self.inherits {
            let peer_serves = self.live_word(now).is_some_and(|w| matches!(w.state, State::Acquiring | State::Active));
            let too_late = now.since(self.started) >= self.t.initdead;
            // A peer that serves says so within a keepalive; the addresses stay meanwhile.
            let listened = self.live_word(now).is_some() || now.since(self.started) >= self.t.warntime;
            if !peer_serves && listened && self.eligible(now) {
                return Some((State::Acquiring, Reason::ServedAlone));
            }
            if peer_serves || too_late || self.leaving {
                self.inherits = false;
                // What goes now is counted from now.
                self.started = now;
                acts.push(Act::Release);
            }
            return None;
        }
        if self.holds && self.release_failed && now.since(self.started) >= self.t.lease_over() {
            // Nobody has renewed them since. Without an answer they may be of before there was a pair, and have no end.
            self.holds = false;
        }
        if self.holds {
            return None;
        }
        if self.leaving {
            return Some((State::Stopped, Reason::NothingToHandOver));
        }
        if let Some(word) = self.live_word(now) {
            return Some((State::Standby, if word.holds { Reason::PeerServes } else { Reason::PeerPresent }));
        }
        let waited = now.since(self.started.max(self.woke));
        let enough = waited >= self.t.initdead && self.eligible(now);
        enough.then_some((State::Taking, Reason::NobodyAfterStart { waited }))
    }

    fn standby(&mut self, now: Time, acts: &mut Vec<Act>) -> Move {
        if self.leaving {
            return Some((State::Stopped, Reason::NothingToHandOver));
        }
        let Some(word) = self.live_word(now) else {
            let silence = self.silence(now);
            return self.eligible(now).then_some((State::Taking, Reason::PeerSilent { silence }));
        };
        if word.holds {
            self.stood_by = None;
            self.idle_since = None;
            if !self.eligible(now) {
                return None;
            }
            if matches!(word.state, State::Releasing | State::Starting) {
                return Some((State::Claiming, Reason::PeerHandsOver));
            }
            let reason = self.reason_to_ask(&word, now)?;
            self.claim_asks = true;
            return Some((State::Claiming, reason));
        }
        self.failback_since = None;
        if word.claim != 0 {
            self.grant(&word, acts);
            return None;
        }
        let idle = *self.idle_since.get_or_insert(now);
        if self.granted != 0 || word.taking || !self.eligible(now) {
            return None;
        }
        if let Some((Command::Takeover { .. }, _)) = self.pending {
            self.claim_asks = true;
            return Some((State::Claiming, Reason::OperatorAsked));
        }
        if self.stood_by.is_some_and(|until| now < until) {
            return None;
        }
        let mine = crate::word::Rank { epoch: 0, merit: self.merit() };
        // A peer that was started together with this node may not know yet that it is fit.
        let young = now.since(self.started) < self.t.initdead && !word.maintenance && !word.leaving;
        let patient = now.since(idle) >= self.t.deadtime;
        let reason = if !word.can_serve() && (patient || !young) {
            Reason::PeerCannotServe
        } else if mine.outranks(self.me, word.rank) {
            Reason::NobodyServes
        } else if patient {
            Reason::PeerDidNotClaim
        } else {
            return None;
        };
        Some((State::Claiming, reason))
    }

    /// Why to claim from a peer that serves.
    fn reason_to_ask(&mut self, word: &Word, now: Time) -> Option<Reason> {
        if let Some((Command::Takeover { .. }, _)) = self.pending {
            return Some(Reason::OperatorAsked);
        }
        let delay = self.t.failback?;
        let ready = self.hot && self.t.preferred == Some(self.me) && word.state == State::Active;
        if !ready {
            self.failback_since = None;
            return None;
        }
        let since = *self.failback_since.get_or_insert(now);
        if now.since(since) < delay {
            return None;
        }
        self.failback_since = Some(now);
        Some(Reason::FailbackDue)
    }

    fn grant(&mut self, word: &Word, acts: &mut Vec<Act>) {
        if self.granted != word.claim {
            self.granted = word.claim;
            acts.push(Act::Speak);
        }
    }

    fn claiming(&mut self, now: Time, acts: &mut Vec<Act>) -> Move {
        if !self.eligible(now) {
            return Some((State::Standby, Reason::NotFitToServe));
        }
        let Some(word) = self.live_word(now) else {
            return Some((State::Taking, Reason::PeerSilent { silence: self.silence(now) }));
        };
        // The peer keeps its word for a dead time after it last heard us. A grant that waited in a socket while
        // this daemon was frozen may be older.
        let stands = now.since(self.confirmed) < self.trusted();
        let granted = word.grant == self.claim && (stands || self.broken(Defect::TrustOldGrant));
        if !word.holds && (granted || self.broken(Defect::AcquireWithoutGrant)) {
            return Some((State::Acquiring, Reason::PeerGranted));
        }
        if word.grant == self.claim && self.broken(Defect::GrantWhileHolding) {
            return Some((State::Acquiring, Reason::PeerGranted));
        }
        let leaves = matches!(word.state, State::Releasing | State::Starting);
        if word.holds && !leaves && !self.claim_asks {
            return Some((State::Standby, Reason::PeerServes));
        }
        if !word.holds && word.claim != 0 && !self.rank.outranks(self.me, word.rank) {
            if self.broken(Defect::NoClaimGivesWay) {
                self.grant(&word, acts);
                return None;
            }
            return Some((State::Standby, Reason::PeerClaimsToo));
        }
        if self.broken(Defect::NoClaimGivesWay) && !word.holds && word.claim != 0 {
            self.grant(&word, acts);
        }
        if now.since(self.since) < self.t.patience {
            return None;
        }
        self.give_up(acts);
        Some((State::Standby, Reason::ClaimUnanswered))
    }

    /// Why a node that holds has to let go.
    fn serving(&mut self, now: Time) -> Option<Reason> {
        if self.leaving {
            return Some(Reason::ShutdownAsked);
        }
        if self.maintenance {
            return Some(Reason::MaintenanceAsked);
        }
        let unrenewed = now.since(self.last_renew);
        if unrenewed >= self.t.lease - self.t.keepalive
            && !self.broken(Defect::IgnoreLapse)
            && !self.broken(Defect::ForgetRenew)
        {
            return Some(Reason::Frozen { span: unrenewed });
        }
        if self.t.witness && !self.broken(Defect::KeepWithoutWitness) && now >= self.alone_until() {
            return Some(Reason::WitnessSilent);
        }
        let Some(word) = self.live_word(now) else {
            self.split = true;
            self.worse_since = None;
            return None;
        };
        if word.holds {
            return self.two_owners(&word);
        }
        if word.taking && !self.broken(Defect::IgnoreNotice) {
            return Some(Reason::PeerTakesOver);
        }
        if self.broken(Defect::GrantWhileHolding) && word.claim != 0 {
            self.granted = word.claim;
        }
        let reason = self.reason_to_hand_over(&word, now)?;
        self.stood_by = Some(now.plus(self.t.patience));
        Some(reason)
    }

    fn two_owners(&mut self, word: &Word) -> Option<Reason> {
        self.split = true;
        let mut outranked = word.rank.outranks(self.me.other(), self.rank);
        match self.defect {
            Some(Defect::BothStepDown) => outranked = word.state == State::Active,
            Some(Defect::NoneStepsDown) => outranked = false,
            // "Mine is at least as good" on one side, "is better" on the other.
            Some(Defect::IgnoreEpoch) => outranked = word.rank.merit > self.rank.merit,
            _ => {}
        }
        if !outranked {
            return None;
        }
        Some(match self.state {
            State::Acquiring => Reason::PeerAlreadyServes,
            _ => Reason::PeerOutranks { mine: self.rank.epoch, theirs: word.rank.epoch },
        })
    }

    fn reason_to_hand_over(&mut self, word: &Word, now: Time) -> Option<Reason> {
        let worse = self.t.pings_count && self.pings < word.pings;
        if !worse {
            self.worse_since = None;
        }
        if self.state != State::Active || !word.can_serve() {
            return None;
        }
        // The order was for the ownership in which it was given.
        if self.pending.is_some_and(|(command, asked)| command == Command::Standby && asked >= self.since) {
            return Some(Reason::StandbyAsked);
        }
        if word.asks && word.claim != 0 {
            return Some(Reason::PeerAsks);
        }
        if !self.fit {
            return Some(Reason::Unfit);
        }
        let long = worse && now.since(*self.worse_since.get_or_insert(now)) >= self.t.deadtime;
        long.then_some(Reason::NetworkWorse { mine: self.pings, theirs: word.pings })
    }

    fn releasing(&mut self, now: Time) -> Move {
        if !self.holds {
            return Some((State::Standby, Reason::AddressesGone));
        }
        if self.leaving && self.broken(Defect::ExitHolding) {
            return Some((State::Stopped, Reason::HandedOver));
        }
        // Counted from the order to release: one to acquire may still have been under way before it.
        let over = now.since(self.since) >= self.t.lease_over();
        over.then_some((State::Standby, Reason::LeaseEnded))
    }

    fn leaving(&mut self, now: Time, acts: &mut Vec<Act>) -> Move {
        if self.broken(Defect::ExitEarly) {
            return Some((State::Stopped, Reason::HandedOver));
        }
        let Some(word) = self.live_word(now).filter(Word::can_serve) else {
            return Some((State::Stopped, Reason::PeerDidNotTake));
        };
        if word.holds {
            let serves = word.state == State::Active;
            return serves.then_some((State::Stopped, Reason::HandedOver));
        }
        if word.claim != 0 {
            self.grant(&word, acts);
        }
        let waited = now.since(self.since) >= self.t.patience;
        waited.then_some((State::Stopped, Reason::PeerDidNotTake))
    }
}
