//! What operators ask, and what they are told.

use super::{Act, Command, Core, State, Time};
use crate::reason::Refusal;

impl Core {
    pub(super) fn command(&mut self, command: Command, now: Time, acts: &mut Vec<Act>) {
        if let Some((before, _)) = self.pending.take() {
            acts.push(Act::Outcome { command: before, result: Err(Refusal::Superseded) });
        }
        let peer = self.live_word(now);
        let peer_can = peer.is_some_and(|word| word.can_serve());
        let serves = matches!(self.state, State::Acquiring | State::Active);
        let busy = matches!(self.state, State::Starting | State::Releasing | State::Leaving);
        let refusal = match command {
            Command::Takeover { .. } if serves => Some(Refusal::AlreadyActive),
            Command::Takeover { .. } if busy => Some(Refusal::Busy),
            Command::Takeover { .. } if !self.eligible(now) => Some(Refusal::ThisNodeUnfit),
            Command::Takeover { force: false } if !self.hot => Some(Refusal::ThisNodeNotHot),
            Command::Takeover { .. } if peer.is_none() => Some(Refusal::PeerSilent),
            Command::Standby if self.state != State::Active => Some(Refusal::NotActive),
            Command::Standby if !peer_can => Some(Refusal::PeerCannotServe),
            Command::Maintenance { on: true, force: false } if serves && !peer_can => Some(Refusal::PeerCannotServe),
            Command::Takeover { .. } | Command::Standby | Command::Maintenance { .. } | Command::Shutdown => None,
        };
        if let Some(refusal) = refusal {
            acts.push(Act::Outcome { command, result: Err(refusal) });
            return;
        }
        match command {
            Command::Takeover { .. } | Command::Standby => {}
            Command::Maintenance { on, .. } => self.maintenance = on,
            Command::Shutdown => self.leaving = true,
        }
        self.pending = Some((command, now));
        acts.push(Act::Speak);
    }

    /// Ends the pending command when it has succeeded, or cannot any more.
    pub(super) fn report(&mut self, now: Time, acts: &mut Vec<Act>) {
        let Some((command, asked)) = self.pending else { return };
        let done = match command {
            Command::Takeover { .. } => self.state == State::Active,
            Command::Standby => !self.holds && self.live_word(now).is_some_and(|word| word.state == State::Active),
            Command::Maintenance { on, .. } => !on || !self.holds,
            Command::Shutdown => self.state == State::Stopped,
        };
        // Stand-by ends before this node takes the addresses back, or it would hand them over again.
        let rounds = if command == Command::Standby { 1 } else { 2 };
        let late = now.since(asked) >= rounds * self.t.patience;
        if done || late {
            self.pending = None;
            let result = if done { Ok(()) } else { Err(Refusal::PeerDidNotTake) };
            acts.push(Act::Outcome { command, result });
        }
    }

    /// Ends a pending take-over: the peer did not agree.
    pub(super) fn give_up(&mut self, acts: &mut Vec<Act>) {
        if let Some((command @ Command::Takeover { .. }, _)) = self.pending {
            self.pending = None;
            acts.push(Act::Outcome { command, result: Err(Refusal::PeerDidNotTake) });
        }
    }
}
