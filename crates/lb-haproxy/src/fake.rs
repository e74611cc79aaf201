//! A HAProxy in memory, for tests of what drives one.

use crate::{Action, Observed, ObservedServer, Proxy, ProxyError, Rendered, ServerKey, Statistics};
use lb_model::{Problem, RequestedState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared with the test; clones are the same HAProxy.
#[derive(Debug, Clone, Default)]
pub struct Fake(pub Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub struct State {
    pub observed: Observed,
    pub statistics: Statistics,
    /// What the next checks complain of.
    pub complaints: Vec<Problem>,
    /// What was executed, in order.
    pub done: Vec<Action>,
    /// Everything fails while set.
    pub down: bool,
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
                (server.key, ObservedServer { weight: server.weight, state })
            })
            .collect();
        Ok(())
    }
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
            Action::Reload => state.take_up()?,
            Action::SetWeight { server, weight } => state.server(server, "set weight")?.weight = *weight,
            Action::SetState { server, state: wanted } => state.server(server, "set server")?.state = *wanted,
            Action::Stop => state.observed = Observed::default(),
        }
        state.done.push(action.clone());
        Ok(())
    }

    fn statistics(&mut self) -> Result<Statistics, ProxyError> {
        Ok(self.up()?.statistics.clone())
    }
}
