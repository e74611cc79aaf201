//! Observe, plan, execute: again on every change, and every few seconds.

use super::{Engine, Now};
use lb_api::{Pending, ReconcileView};
use lb_kernel::Kernel;
use lb_plan::{Action, Desired, Drift, plan};
use std::time::{Duration, Instant};

/// So many actions of one plan are logged and answered line by line: nobody reads more, and 15,000 take their time.
pub(super) const SHOWN: usize = 200;

/// The longest pause between two tries of something that fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl<K: Kernel> Engine<K> {
    /// Reads the kernel. On failure the old observation is dropped, so that nothing is planned from it.
    pub(super) fn observe(&mut self) {
        let wanted = self.wanted(&self.running);
        match self.kernel.observe(&wanted) {
            Ok(mut observed) => {
                // What the running configuration has is ours, whoever programmed it first.
                let ours = wanted.services.keys().filter(|key| observed.services.contains_key(key));
                observed.owned.extend(ours);
                self.observed = Some(observed);
            }
            Err(error) => {
                self.observed = None;
                let pending = vec![Pending { action: "read the kernel's state".into(), error: chain(&error) }];
                if self.pending != pending {
                    self.pending = pending;
                    self.touch();
                }
            }
        }
    }

    /// Compares with the kernel itself and repairs what differs.
    pub(super) fn reconcile(&mut self, now: Now) -> ReconcileView {
        let started = Instant::now();
        self.observe();
        let done = self.converge(now);
        self.look_at_certificates(now);
        self.look_at_clock(now);
        self.look_at_notices();
        ReconcileView {
            plan: shown(&done),
            drift: self.drift.clone(),
            pending: self.pending.clone(),
            microseconds: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// Brings what was last seen to what should be, and returns what was done.
    pub(super) fn converge(&mut self, now: Now) -> Vec<Action> {
        let mut done = Vec::new();
        self.dirty = false;
        let before = (self.pending.clone(), self.drift.clone());
        if self.observed.is_none() {
            self.tell_sync(None, &[], &[]);
        }
        let wanted: Desired = self.wanted(&self.running);
        if let Some(observed) = &mut self.observed {
            let plan = plan(&wanted, observed);
            let results = self.kernel.execute(&plan.actions);
            let before = std::mem::take(&mut self.pending);
            let all_worked = results.iter().all(Result::is_ok);
            for (action, result) in plan.actions.into_iter().zip(results) {
                match result {
                    Ok(()) => {
                        if done.len() < SHOWN {
                            tracing::info!("{action}");
                        }
                        if !(all_worked && action.is_ipvs()) {
                            observed.after(&action);
                        }
                        done.push(action);
                    }
                    Err(error) => {
                        let pending = Pending { action: action.to_string(), error: chain(&error) };
                        if !before.contains(&pending) {
                            tracing::error!("{}: {}", pending.action, pending.error);
                        }
                        self.pending.push(pending);
                    }
                }
            }
            if done.len() > SHOWN {
                tracing::info!("… and {} more actions", done.len() - SHOWN);
            }
            let drift: Vec<String> = plan.drift.iter().map(Drift::to_string).collect();
            for new in drift.iter().filter(|d| !self.drift.contains(d)) {
                tracing::warn!("{new}");
            }
            self.drift = drift;
            self.tell_sync(Some(&wanted), &done, &plan.drift);
            if let Some(observed) = self.observed.as_mut().filter(|_| all_worked && !done.is_empty()) {
                observed.after_services(wanted);
            }
        }
        if !done.is_empty() || before != (self.pending.clone(), self.drift.clone()) {
            self.touch();
        }
        self.failures = if self.pending.is_empty() { 0 } else { self.failures.saturating_add(1) };
        self.next_reconcile = now.since_start + self.pause();
        done
    }

    /// Twice as long after each failure, so that a hopeless action does not fill the log.
    fn pause(&self) -> Duration {
        match self.failures {
            0 => self.reconcile_every,
            n => Duration::from_secs(1 << n.min(5).saturating_sub(1)).min(LONGEST_PAUSE),
        }
    }
}

/// One line an action; of very many the first ones, and how many more there are.
pub(super) fn shown(actions: &[Action]) -> Vec<String> {
    let mut lines: Vec<String> = actions.iter().take(SHOWN).map(Action::to_string).collect();
    if actions.len() > SHOWN {
        lines.push(format!("… and {} more", actions.len() - SHOWN));
    }
    lines
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
