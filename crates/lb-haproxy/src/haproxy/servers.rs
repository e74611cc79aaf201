//! Real servers that come and go while it runs: `add server`, `del server` (Management Guide 9.3).
//!
//! Should HAProxy refuse, a reload does the same: the file has been written before.

use super::{Haproxy, PAUSE, states};
use crate::{Definition, ProxyError, ServerKey};
use lb_model::RequestedState;
use std::{
    thread,
    time::{Duration, Instant},
};

/// Until a server that gets no more clients has let go of the connections that were kept for later requests.
const LET_GO: Duration = Duration::from_secs(5);

impl Haproxy {
    pub(super) fn add_server(
        &self,
        server: &ServerKey,
        definition: &Definition,
        weight: u16,
        state: RequestedState,
    ) -> Result<(), ProxyError> {
        // One that was drained is one of weight 0, as in the file.
        let weight = if state == RequestedState::Drain { 0 } else { weight };
        let command = definition.command(server, weight);
        match self.worker(&command)?.trim() {
            // A reload in place of the action before may have made it.
            "New server registered." | "Already exists a server with the same name in backend." => {}
            answer => return self.instead(&command, answer),
        }
        match state {
            RequestedState::Offline => Ok(()),
            RequestedState::Online | RequestedState::Drain => {
                self.order(&format!("set server {}/{} state ready", server.virtual_server, server.real_server))?;
                if definition.agent && state == RequestedState::Online { self.ask_agent(server) } else { Ok(()) }
            }
        }
    }

    pub(super) fn remove_server(&self, server: &ServerKey) -> Result<(), ProxyError> {
        let name = format!("{}/{}", server.virtual_server, server.real_server);
        self.worker(&format!("disable agent {name}"))?;
        match self.worker(&format!("set server {name} state maint"))?.trim() {
            "" => {}
            // A reload in place of the action before has taken it away.
            "No such server." => return Ok(()),
            answer => return self.instead(&format!("set server {name} state maint"), answer),
        }
        let deadline = Instant::now() + LET_GO;
        while self.has_connections(server)? {
            // HAProxy 2.6 asks less before it deletes: not for connections that belong to one client, which would then
            // lead to nowhere.
            if Instant::now() > deadline {
                return self.instead(&format!("del server {name}"), "the server has connections");
            }
            thread::sleep(PAUSE);
        }
        let command = format!("del server {name}");
        match self.worker(&command)?.trim() {
            "Server deleted." => Ok(()),
            answer => self.instead(&command, answer),
        }
    }

    /// From now on its agent decides, where it has one.
    pub(super) fn ask_agent(&self, server: &ServerKey) -> Result<(), ProxyError> {
        let command = format!("enable agent {}/{}", server.virtual_server, server.real_server);
        match self.worker(&command)?.trim() {
            "" | "Agent was not configured on this server, cannot enable." => Ok(()),
            answer => Err(ProxyError::Refused { command, answer: answer.to_owned() }),
        }
    }

    /// From now on its agent says nothing any more; an answer under way is not heard either
    /// (`tcpcheck_agent_expect_reply` in HAProxy's `tcpcheck.c`).
    pub(super) fn ignore_agent(&self, server: &ServerKey) -> Result<(), ProxyError> {
        self.order(&format!("disable agent {}/{}", server.virtual_server, server.real_server))
    }

    fn has_connections(&self, server: &ServerKey) -> Result<bool, ProxyError> {
        let answer = self.worker(&format!("show servers conn {}", server.virtual_server))?;
        let own = states::connections(&answer).find(|(key, ..)| key == server);
        Ok(own.is_some_and(|(_, used, kept)| used > 0 || kept > 0))
    }

    pub(super) fn instead(&self, command: &str, answer: &str) -> Result<(), ProxyError> {
        tracing::info!("layer 7: HAProxy refuses \"{command}\": {answer}; it is reloaded instead");
        self.reload()
    }
}
