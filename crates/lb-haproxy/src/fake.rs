//! A HAProxy in memory, for tests of what drives one.

use crate::haproxy::text::TextServer;
use crate::{
    Action, Entry, Forgotten, Memory, Observed, ObservedAgent, ObservedServer, Proxy, ProxyError, Rendered, ServerKey,
    Statistics, Table,
};
use lb_model::{Problem, RequestedState};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Shared with the test; clones are the same HAProxy.
#[derive(Debug, Clone, Default)]
pub struct Fake(pub Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub struct State {
    pub observed: Observed,
    pub statistics: Statistics,
    /// What the next checks complain of.
    pub complaints: Vec<Problem>,
    /// What certificates in files are, for a reload.
    certificates: BTreeMap<String, String>,
    /// What was executed, in order.
    pub done: Vec<Action>,
    /// Everything fails while set.
    pub down: bool,
    /// What each table remembers, by its name: keys with their real server. A reload brings each new table one client
    /// for each of its servers.
    pub tables: BTreeMap<String, BTreeMap<String, String>>,
}

impl Fake {
    fn up(&self) -> Result<MutexGuard<'_, State>, ProxyError> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.down { Err(ProxyError::Down) } else { Ok(state) }
    }
}

impl State {
    fn server(&mut self, key: &ServerKey, command: &str) -> Result<&mut ObservedServer, ProxyError> {
        let refused = || ProxyError::Refused { command: command.to_owned(), answer: "No such server.".to_owned() };
        self.observed.servers.get_mut(key).ok_or_else(refused)
    }

    /// As a reload does: shape, servers, weights and states are the text's.
    fn take_up(&mut self) -> Result<(), ProxyError> {
        let text = self.observed.text.clone().ok_or(ProxyError::Down)?;
        let shape = Rendered::shape_of(&text).ok_or_else(|| ProxyError::Reload("no shape in the file".to_owned()))?;
        self.observed.shape = Some(shape.to_owned());
        self.observed.servers = crate::haproxy::text::servers(&text)
            .map(|server| {
                let state = if server.disabled { RequestedState::Offline } else { RequestedState::Online };
                let agent = if server.agent { ObservedAgent::On } else { ObservedAgent::None };
                let TextServer { key, weight, number, .. } = server;
                (key, ObservedServer { weight, state, number, agent, initial_weight: weight })
            })
            .collect();
        self.observed.lists = crate::haproxy::text::lists(&text).collect();
        self.observed.certificates = self.certificates.clone();
        for (name, servers) in remembering(&text) {
            let client = |(n, server): (usize, &str)| (format!("198.51.100.{}", n + 1), server.to_owned());
            self.tables.entry(name).or_insert_with(|| servers.into_iter().enumerate().map(client).collect());
        }
        Ok(())
    }
}

fn asked(agent: bool, state: RequestedState) -> ObservedAgent {
    match (agent, state) {
        (false, _) => ObservedAgent::None,
        (true, RequestedState::Online) => ObservedAgent::On,
        (true, RequestedState::Drain | RequestedState::Offline) => ObservedAgent::Off,
    }
}

/// The backends of `text` that remember clients by their address, with their real servers.
fn remembering(text: &str) -> Vec<(String, Vec<&str>)> {
    let mut tables = Vec::new();
    for section in text.split("\nbackend ").skip(1) {
        let name = section.split_whitespace().next().unwrap_or_default();
        let section = section.split("\n\n").next().unwrap_or_default();
        let servers = section.lines().filter_map(|line| line.trim().strip_prefix("server ")?.split(' ').next());
        if section.contains("stick-table type ip") {
            tables.push((name.to_owned(), servers.filter(|name| !name.starts_with(':')).collect()));
        }
    }
    tables
}

impl Proxy for Fake {
    fn check(&mut self, _wanted: &Rendered) -> Result<Vec<Problem>, ProxyError> {
        Ok(self.up()?.complaints.clone())
    }

    fn observe(&mut self) -> Result<Observed, ProxyError> {
        Ok(self.up()?.observed.clone())
    }

    fn execute(&mut self, action: &Action) -> Result<(), ProxyError> {
        let mut state = self.up()?;
        match action {
            Action::Write { text } => state.observed.text = Some(text.clone()),
            Action::WriteFile { name, file } => {
                state.observed.files.insert(name.clone(), file.digest.clone());
                state.certificates.extend(file.sha1.clone().map(|sha1| (name.clone(), sha1)));
            }
            Action::Renew { name, file, .. } | Action::Staple { name, file, .. } => {
                state.observed.certificates.extend(file.sha1.clone().map(|sha1| (name.clone(), sha1)));
            }
            Action::RemoveFiles { names } => {
                state.observed.files.retain(|name, _| !names.contains(name));
                state.certificates.retain(|name, _| !names.contains(name));
            }
            Action::Reload => state.take_up()?,
            Action::SetWeight { server, weight } => state.server(server, "set weight")?.weight = *weight,
            Action::SetState { server, state: wanted } => {
                let server = state.server(server, "set server")?;
                server.state = *wanted;
                server.agent = asked(server.agent != ObservedAgent::None, *wanted);
            }
            Action::SetList { number, list } => {
                if !state.observed.lists.contains_key(number) {
                    let (command, answer) = (format!("prepare acl #{number}"), "Unknown ACL identifier".to_owned());
                    return Err(ProxyError::Refused { command, answer });
                }
                state.observed.lists.insert(*number, list.values.clone());
                state.observed.lists.remove(&crate::render::lists::second(*number));
            }
            Action::AddServer { server, definition, weight, state: wanted } => {
                let made = ObservedServer {
                    weight: *weight,
                    state: *wanted,
                    number: definition.number,
                    agent: asked(definition.agent, *wanted),
                    initial_weight: *weight,
                };
                state.observed.servers.insert(server.clone(), made);
            }
            Action::RemoveServer { server } => {
                state.server(server, "del server")?;
                state.observed.servers.remove(server);
            }
            Action::Stop => {
                let files = std::mem::take(&mut state.observed.files);
                state.observed = Observed { files, ..Observed::default() };
            }
        }
        state.done.push(action.clone());
        Ok(())
    }

    fn statistics(&mut self) -> Result<Statistics, ProxyError> {
        Ok(self.up()?.statistics.clone())
    }
}

/// Seconds until an entry of a fake table goes, if it went.
const EXPIRES: u32 = 1800;

impl Memory for Fake {
    fn used(&self) -> Result<BTreeMap<String, usize>, ProxyError> {
        let Ok(state) = self.up() else { return Ok(BTreeMap::new()) };
        Ok(state.tables.iter().map(|(name, entries)| (name.clone(), entries.len())).collect())
    }

    fn entries(
        &self,
        table: &Table,
        key: Option<&str>,
        see: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ProxyError> {
        let state = self.up()?;
        let entries = state.tables.get(table.name()).into_iter().flatten();
        for (is, server) in entries.filter(|(is, _)| key.is_none_or(|key| key == *is)) {
            let entry = Entry { key: Cow::Borrowed(is), server: Some(server), expires: EXPIRES };
            if see(entry).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn forget(&self, table: &Table, key: &str) -> Result<Forgotten, ProxyError> {
        let mut state = self.up()?;
        let gone = state.tables.get_mut(table.name()).and_then(|entries| entries.remove(key));
        Ok(gone.map_or(Forgotten::Unknown, |_| Forgotten::Gone))
    }

    fn clear(&self, table: &Table) -> Result<(), ProxyError> {
        self.up()?.tables.remove(table.name());
        Ok(())
    }
}
