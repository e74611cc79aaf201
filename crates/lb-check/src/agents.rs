//! When to ask which agent, and what all have said.
//!
//! Each agent is asked as soon as it is configured, and then at the points of its own grid, as checks are: `phase + n *
//! interval`, the phase from a hash of whom it is asked for. One question at a time; one that fails changes nothing.

use crate::{AgentReply, AgentState, Heard, Target, agent_text, checker};
use lb_model::{Config, Label, RequestedState};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

/// One question to an agent, and how often to put it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AgentSpec {
    pub target: Target,
    /// What is sent first, with its line's end; may be nothing.
    pub send: String,
    pub interval: Duration,
    /// What one question may take in all.
    pub timeout: Duration,
}

/// Names a question of [`Agents`] for as long as it is configured; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentKey(u64);

/// A question to put, with one [`Agents::result`] to follow in every case.
#[derive(Debug, Clone)]
pub struct AgentQuestion {
    pub key: AgentKey,
    pub spec: Arc<AgentSpec>,
}

/// An agent has said something else of its server than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentTurn {
    pub vs: Label,
    pub rs: Label,
    pub from: AgentState,
    pub to: AgentState,
    /// In words for an administrator.
    pub text: String,
}

struct Entry {
    vs: Label,
    rs: Label,
    spec: Arc<AgentSpec>,
    state: AgentState,
    heard: Heard,
    phase: Duration,
    /// `None`: in flight.
    due: Option<Duration>,
}

/// The agents of a whole configuration.
#[derive(Default)]
pub struct Agents {
    entries: HashMap<AgentKey, Entry>,
    by_server: HashMap<(Label, Label), AgentKey>,
    queue: BTreeSet<(Duration, AgentKey)>,
    last_key: u64,
}

impl Agents {
    /// Takes over a configuration: what [`agents`] makes of it. An agent at the same place keeps what it has said; of
    /// one that was not there before that is what is `known` of it.
    pub fn configure(
        &mut self,
        specs: Vec<(Label, Label, AgentSpec)>,
        now: Duration,
        known: impl Fn(&Label, &Label) -> AgentState,
    ) {
        let mut before = std::mem::take(&mut self.by_server);
        for (vs, rs, spec) in specs {
            let server = (vs, rs);
            let was = before.remove(&server).and_then(|key| Some((key, self.entries.remove(&key)?)));
            match was {
                Some((key, entry)) if *entry.spec == spec => {
                    self.by_server.insert(server, key);
                    self.entries.insert(key, entry);
                }
                was => {
                    let was = was.map(|(key, entry)| {
                        self.queue.retain(|(_, queued)| *queued != key);
                        entry
                    });
                    let same = was.filter(|was| was.spec.target == spec.target).map(|was| (was.state, was.heard));
                    let (state, heard) = same.unwrap_or_else(|| (known(&server.0, &server.1), Heard::Nothing));
                    self.insert(server, spec, state, heard, now);
                }
            }
        }
        for key in before.into_values() {
            if let Some(Entry { due: Some(at), .. }) = self.entries.remove(&key) {
                self.queue.remove(&(at, key));
            }
        }
    }

    fn insert(&mut self, server: (Label, Label), spec: AgentSpec, state: AgentState, heard: Heard, now: Duration) {
        self.last_key += 1;
        let key = AgentKey(self.last_key);
        let phase = checker::phase(&(&server, &spec), spec.interval);
        self.by_server.insert(server.clone(), key);
        self.queue.insert((now, key));
        let (vs, rs) = server;
        self.entries.insert(key, Entry { vs, rs, spec: Arc::new(spec), state, heard, phase, due: Some(now) });
    }

    /// The questions to put now. Each is in flight until its [`result`](Agents::result).
    pub fn due(&mut self, now: Duration) -> Vec<AgentQuestion> {
        let mut questions = Vec::new();
        while let Some((at, key)) = self.queue.first().copied().filter(|(at, _)| *at <= now) {
            self.queue.remove(&(at, key));
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            entry.due = None;
            questions.push(AgentQuestion { key, spec: entry.spec.clone() });
        }
        questions
    }

    /// When [`due`](Agents::due) has something next.
    pub fn deadline(&self) -> Option<Duration> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes in an answer, or why there is none. A key that a configuration has dropped meanwhile, or that is not in
    /// flight, is ignored. Returns what people would see otherwise than before.
    pub fn result(&mut self, key: AgentKey, answer: Result<Vec<u8>, String>, now: Duration) -> Option<AgentTurn> {
        let entry = self.entries.get_mut(&key).filter(|entry| entry.due.is_none())?;
        let at = checker::next_on_grid(entry.phase, entry.spec.interval, now);
        entry.due = Some(at);
        self.queue.insert((at, key));
        let (state, heard) = match answer.map(|answer| AgentReply::read(&answer)) {
            Ok(reply) if reply.says_something() => (entry.state.after(&reply), Heard::Reply(reply.note)),
            Ok(reply) => (entry.state, Heard::NotUnderstood(reply.note)),
            Err(why) => (entry.state, Heard::Unreachable(why)),
        };
        if (entry.state, &entry.heard) == (state, &heard) {
            return None;
        }
        let from = std::mem::replace(&mut entry.state, state);
        entry.heard = heard;
        let text = agent_text(state, &entry.heard);
        Some(AgentTurn { vs: entry.vs.clone(), rs: entry.rs.clone(), from, to: state, text })
    }

    /// What an agent has said of its server, and the words for it; `None` where none is asked.
    pub fn standing(&self, vs: &Label, rs: &Label) -> Option<(AgentState, String)> {
        let key = self.by_server.get(&(vs.clone(), rs.clone()))?;
        let entry = self.entries.get(key)?;
        Some((entry.state, agent_text(entry.state, &entry.heard)))
    }
}

/// Every layer 4 real server whose agent is to be asked, by the labels of its virtual server and its own. That of a
/// server requested DRAIN or OFFLINE is not: an administrator's word is above the agent's, which begins anew after it.
pub fn agents(config: &Config) -> Vec<(Label, Label, AgentSpec)> {
    let health = &config.globals.health;
    let seconds = |n: u32| Duration::from_secs(n.max(1).into());
    let asked = config.virtual_servers.iter().filter_map(|vs| Some((vs, vs.agent.as_ref()?)));
    let servers = asked.flat_map(|(vs, agent)| vs.real_servers.iter().map(move |rs| (vs, agent, rs)));
    servers
        .filter(|(_, _, rs)| rs.state == RequestedState::Online)
        .map(|(vs, agent, rs)| {
            let spec = AgentSpec {
                target: Target { address: rs.address, port: agent.port },
                send: agent.send.as_ref().map_or_else(String::new, |text| format!("{text}\n")),
                interval: seconds(agent.interval.unwrap_or(health.interval)),
                timeout: seconds(health.timeout),
            };
            (vs.label.clone(), rs.label.clone(), spec)
        })
        .collect()
}
