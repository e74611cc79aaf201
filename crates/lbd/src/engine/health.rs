//! From what probes say to what the kernel should have.

use super::{Engine, Now, record};
use lb_check::{AgentKey, AgentMode, AgentState, Outcome, ProbeKey, Transition, Verdict};
use lb_kernel::Kernel;
use lb_plan::{AgentShare, Fitness, health_seen};

impl<K: Kernel> Engine<K> {
    /// A restarted lbd knows its servers by the weights that they have in the kernel.
    pub(super) fn adopt_health(&mut self) {
        if let Some(observed) = &self.observed {
            self.health = health_seen(&self.running, observed);
        }
    }

    /// Checks what the running configuration says; unchanged checks go on undisturbed.
    pub(super) fn configure_checks(&mut self, now: Now) {
        let health = &self.health;
        let known = |vs: &_, rs: &_| match health.get(vs, rs) {
            Fitness::Unknown => Verdict::Unknown,
            Fitness::Fit => Verdict::Fit,
            Fitness::Unfit => Verdict::Unfit,
        };
        let transitions = self.checker.configure(lb_check::specs(&self.running), now.since_start, known);
        self.changed(transitions, now);
        self.configure_agents(now);
        let configured: std::collections::HashSet<_> = self
            .running
            .virtual_servers
            .iter()
            .flat_map(|vs| vs.real_servers.iter().map(move |rs| (&vs.label, &rs.label)))
            .collect();
        self.health.retain(|vs, rs| configured.contains(&(vs, rs)));
        self.since.retain(|(vs, rs), _| configured.contains(&(vs, rs)));
    }

    pub(super) fn probed(&mut self, key: ProbeKey, outcome: Outcome, now: Now) {
        let transitions = self.checker.result(key, outcome, now.since_start);
        self.changed(transitions, now);
    }

    /// An agent that is no longer asked has said nothing.
    fn configure_agents(&mut self, now: Now) {
        let health = &self.health;
        // Of a restarted lbd's servers the kernel tells, until they are asked.
        let known = |vs: &_, rs: &_| AgentState { percent: health.agent(vs, rs).percent, ..AgentState::default() };
        self.agents.configure(lb_check::agents(&self.running), now.since_start, known);
        for vs in &self.running.virtual_servers {
            for rs in &vs.real_servers {
                let state = self.agents.standing(&vs.label, &rs.label).map(|(state, _)| state).unwrap_or_default();
                let share = share(state);
                self.dirty |= self.health.set_agent(&vs.label, &rs.label, share) != share;
            }
        }
    }

    pub(super) fn agent_answered(&mut self, key: AgentKey, answer: Result<Vec<u8>, String>, now: Now) {
        let Some(turn) = self.agents.result(key, answer, now.since_start) else { return };
        self.touch();
        let (before, after) = (share(turn.from), share(turn.to));
        self.dirty |= self.health.set_agent(&turn.vs, &turn.rs, after) != after;
        // How much of the load changes all the time; whether it takes any is worth a line.
        if (before.drains, before.out) != (after.drains, after.out) {
            tracing::info!("{}", record::agent_turned(&turn));
        }
    }

    fn changed(&mut self, transitions: Vec<Transition>, now: Now) {
        for transition in transitions {
            let fitness = match transition.to {
                Verdict::Unknown => Fitness::Unknown,
                Verdict::Fit => Fitness::Fit,
                Verdict::Unfit => Fitness::Unfit,
            };
            self.touch();
            let before = self.health.set(&transition.vs, &transition.rs, fitness);
            self.dirty |= before != fitness;
            match fitness {
                Fitness::Unfit => tracing::warn!("{}", record::turned(&transition)),
                Fitness::Fit | Fitness::Unknown => tracing::info!("{}", record::turned(&transition)),
            }
            self.since.insert((transition.vs, transition.rs), now.unix);
        }
    }
}

fn share(state: AgentState) -> AgentShare {
    let AgentState { percent, mode, down } = state;
    AgentShare { percent, drains: mode == AgentMode::Drain, out: down || mode == AgentMode::Maint }
}
