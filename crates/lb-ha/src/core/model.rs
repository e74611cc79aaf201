//! For the model checker: time without a beginning, so that equal situations are equal states.

use super::{Core, Time};
use crate::time::Micros;

impl Core {
    /// Moves every moment back by `span`, so that `now` can stay the same while time passes. What is long ago
    /// becomes equal; announcements and alarms, which decide nothing, are left out.
    pub fn rebase(&mut self, span: Micros) {
        let shift = |at: &mut Time| *at = if *at == Time::NEVER { *at } else { at.earlier_by(span) };
        let moments = [
            &mut self.since,
            &mut self.started,
            &mut self.holdoff,
            &mut self.woke,
            &mut self.confirmed,
            &mut self.path_zero,
            &mut self.probe_asked,
            &mut self.witness_asked,
            &mut self.next_beat,
            &mut self.last_renew,
            &mut self.due,
        ];
        moments.into_iter().for_each(shift);
        let maybe = [
            &mut self.stood_by,
            &mut self.failback_since,
            &mut self.worse_since,
            &mut self.idle_since,
            &mut self.noticed,
            &mut self.duplicate_at,
        ];
        maybe.into_iter().flatten().for_each(shift);
        if let Some(peer) = &mut self.peer {
            shift(&mut peer.at);
        }
        if let Some((_, at)) = &mut self.pending {
            shift(at);
        }
        if let Some((_, at)) = &mut self.probe {
            shift(at);
        }
        if let Some((first, last)) = &mut self.granted_from {
            shift(first);
            shift(last);
        }
        (self.next_announce, self.announced, self.alarms, self.defended) = (Time::NEVER, 0, 0, Time(0));
    }
}
