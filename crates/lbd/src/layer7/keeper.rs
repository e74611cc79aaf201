//! When HAProxy is told what: at once after a change, again when something has changed by itself, and ever more rarely
//! what it does not do.

use super::View;
use crate::engine::chain;
use lb_api::Pending;
use lb_haproxy::{Action, Observed, Proxy, Rendered, plan};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// The longest pause between two tries of something that fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a reload does not bring, such as a drained server, takes a second round.
const ROUNDS: usize = 4;

/// So long HAProxy may take to come up before it is an alarm; its supervisor waits a second.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Keeper {
    number: u64,
    wanted: Option<Arc<Rendered>>,
    /// It is known that HAProxy shall not run and does not.
    idle: bool,
    /// What did not work last, and what HAProxy was like then.
    failed: Option<Failed>,
    down_since: Option<Duration>,
}

struct Failed {
    pending: Vec<Pending>,
    seen: Option<Observed>,
    times: u32,
    again: Duration,
}

impl Keeper {
    /// Nothing to look after until the next order.
    pub fn is_idle(&self) -> bool {
        self.idle || self.number == 0
    }

    pub fn want(&mut self, number: u64, wanted: Option<Arc<Rendered>>) {
        self.number = number;
        self.wanted = wanted;
        self.idle = false;
        self.failed = None;
    }

    /// Looks, does what is to be done, and says how things are then.
    pub fn work(&mut self, hands: &mut dyn Proxy, now: Duration) -> View {
        let (pending, mut observed) = self.converge(hands, now);
        let settled = if pending.is_empty() { self.number } else { 0 };
        // Those whom a process still serves are shown as long as there are any.
        self.idle = self.wanted.is_none() && pending.is_empty() && observed.old_connections == 0;
        let statistics = match &self.wanted {
            // Without counters the rest is still worth showing.
            Some(_) => hands.statistics().unwrap_or_default(),
            None => Default::default(),
        };
        observed.busy = statistics.busy();
        View {
            order: self.number,
            settled,
            pending,
            alarm: self.alarm(&observed, now),
            observed,
            statistics,
            since: BTreeMap::new(),
        }
    }

    /// What is left to do, and what HAProxy is like.
    fn converge(&mut self, hands: &mut dyn Proxy, now: Duration) -> (Vec<Pending>, Observed) {
        let mut pending = Vec::new();
        for _ in 0..ROUNDS {
            let mut observed = match hands.observe() {
                Ok(observed) => observed,
                // What cannot be seen need not be ended.
                Err(_) if self.wanted.is_none() => return (Vec::new(), Observed::default()),
                Err(error) => {
                    let action = "layer 7: read HAProxy's state".into();
                    pending = vec![Pending { action, error: chain(&error) }];
                    return (self.failed(pending, None, now), Observed::default());
                }
            };
            let mut actions = plan(self.wanted.as_deref(), &observed);
            if actions.iter().any(|action| matches!(action, Action::RemoveServer { .. })) {
                // Whom it would disturb decides how.
                observed.busy = hands.statistics().unwrap_or_default().busy();
                actions = plan(self.wanted.as_deref(), &observed);
            }
            if actions.is_empty() {
                self.failed = None;
                return (Vec::new(), observed);
            }
            if !pending.is_empty() {
                return (self.failed(pending, Some(observed.clone()), now), observed);
            }
            if let Some(failed) = &self.failed
                && now < failed.again
                && failed.seen.as_ref().is_some_and(|seen| same(seen, &observed))
            {
                return (failed.pending.clone(), observed);
            }
            pending = carry_out(hands, &actions);
        }
        if pending.is_empty() {
            pending = vec![Pending {
                action: "layer 7: bring HAProxy to the configuration".into(),
                error: "it was told, and is otherwise all the same".into(),
            }];
        }
        let observed = hands.observe().unwrap_or_default();
        (self.failed(pending, Some(observed.clone()), now), observed)
    }

    fn failed(&mut self, pending: Vec<Pending>, seen: Option<Observed>, now: Duration) -> Vec<Pending> {
        let (known, times) = match &self.failed {
            Some(before) => (before.pending == pending, before.times.saturating_add(1)),
            None => (false, 1),
        };
        if !known {
            for Pending { action, error } in &pending {
                tracing::error!("{action}: {error}");
            }
        }
        let again = now + Duration::from_secs(1 << times.min(6).saturating_sub(1)).min(LONGEST_PAUSE);
        self.failed = Some(Failed { pending: pending.clone(), seen, times, again });
        pending
    }

    fn alarm(&mut self, observed: &Observed, now: Duration) -> Option<String> {
        if self.wanted.is_none() || observed.shape.is_some() {
            self.down_since = None;
            return None;
        }
        let since = *self.down_since.get_or_insert(now);
        (now.saturating_sub(since) >= PATIENCE).then(|| {
            "HAProxy does not run, so no layer 7 virtual server is served. hint: look at the log of haproxy".to_owned()
        })
    }
}

/// Connections of old processes end as they please.
fn same(a: &Observed, b: &Observed) -> bool {
    a.shape == b.shape
        && a.text == b.text
        && a.servers == b.servers
        && a.lists == b.lists
        && a.files == b.files
        && a.certificates == b.certificates
}

/// In order; what comes after a failure stands on it, and waits.
fn carry_out(hands: &mut dyn Proxy, actions: &[Action]) -> Vec<Pending> {
    for (n, action) in actions.iter().enumerate() {
        match hands.execute(action) {
            Ok(()) => tracing::info!("{action}"),
            Err(error) => {
                let waits = actions
                    .iter()
                    .skip(n + 1)
                    .map(|action| Pending { action: action.to_string(), error: "waits for the one before".into() });
                let first = Pending { action: action.to_string(), error: chain(&error) };
                return std::iter::once(first).chain(waits).collect();
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests;
