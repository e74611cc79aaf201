//! The state of the unit in the words that administrators know: requested, actual, connections.
//!
//! The engine gives a [`Snapshot`] of what it knows, which costs it little at any size; whoever asked reads the
//! counters and puts the two together on a thread of his own.

use super::{Engine, Now};
use crate::layer7::{self, View};
use lb_api::{
    ActualState, AwaitingConfirm, CheckStatus, Counters, RealServerStatus, Status, Summary, VirtualServerStatus,
};
use lb_kernel::{DestCounters, Kernel, ServiceCounters, Totals};
use lb_model::{CheckMethod, Config, Label, RealServer, RequestedState, VirtualServer};
use lb_plan::{AgentShare, Fitness, dest_key, service_key};
use lb_store::Store;
use std::{collections::HashMap, net::SocketAddr, sync::Arc};

/// Since when each real server stands as it does (Unix seconds).
pub type Since = HashMap<(Label, Label), u64>;

/// What the engine knew at one moment.
pub struct Snapshot {
    pub config: Arc<Config>,
    summary: Summary,
    pending_changes: usize,
    pending: Vec<lb_api::Pending>,
    drift: Vec<String>,
    /// One for each real server, in the configuration's order.
    standings: Vec<Standing>,
    layer7: Arc<View>,
}

/// What the checks say of a real server.
struct Standing {
    fitness: Fitness,
    /// What the last probe found and the agent says; none before the first.
    check: Option<CheckStatus>,
    agent: AgentShare,
}

impl<K: Kernel> Engine<K> {
    pub(super) fn summary(&self, now: Now) -> Summary {
        Summary {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: self.running.node.hostname.to_string(),
            time: now.unix,
            revision: self.revision.number,
            candidate_etag: self.store.as_ref().and_then(Store::candidate).map_or(0, |c| c.etag),
            generation: self.generation,
            alarms: self.all_alarms(),
            unfit: self.layer7.view().alarm.as_ref().map(|_| "HAProxy does not run".to_owned()),
            converged: self.all_pending().is_empty() && self.layer7.is_settled(),
            confirm: self.awaiting_confirm(),
        }
    }

    fn awaiting_confirm(&self) -> Option<AwaitingConfirm> {
        let pending = self.store.as_ref().and_then(Store::pending_confirm)?;
        Some(AwaitingConfirm { revision: pending.number, before: pending.deadline_unix, revert_to: pending.revert_to })
    }

    pub(super) fn snapshot(&mut self, now: Now) -> Snapshot {
        let pending_changes = self.judged().map_or(0, |judged| judged.changes.len());
        let servers = self.running.virtual_servers.iter().flat_map(|vs| vs.real_servers.iter().map(move |rs| (vs, rs)));
        let standings = servers.map(|(vs, rs)| self.standing(vs, rs)).collect();
        Snapshot {
            config: self.running.clone(),
            summary: self.summary(now),
            pending_changes,
            pending: self.all_pending(),
            drift: self.drift.clone(),
            standings,
            layer7: self.layer7.view(),
        }
    }

    fn standing(&self, vs: &VirtualServer, rs: &RealServer) -> Standing {
        let fitness = match vs.check.method {
            CheckMethod::On => Fitness::Fit,
            CheckMethod::Off => Fitness::Unfit,
            _ => self.health.get(&vs.label, &rs.label),
        };
        let found = self.checker.standing(&vs.label, &rs.label).map(|s| s.text.to_owned()).filter(|s| !s.is_empty());
        let agent = self.agents.standing(&vs.label, &rs.label).map(|(_, text)| text);
        let since = || self.since.get(&(vs.label.clone(), rs.label.clone())).copied().unwrap_or_default();
        let check = layer7::with_agent(found, agent).map(|text| CheckStatus { text, since: since() });
        Standing { fitness, check, agent: self.health.agent(&vs.label, &rs.label) }
    }
}

impl Snapshot {
    pub fn layer7_statistics(&self) -> lb_api::Layer7Statistics {
        layer7::statistics(&self.config, &self.layer7)
    }

    /// `counters` may lack services: they count nothing then.
    pub fn status(self, counters: &lb_kernel::Counters) -> Status {
        let mut standings = self.standings.into_iter();
        let virtual_servers = self
            .config
            .virtual_servers
            .iter()
            .map(|vs| virtual_server(vs, &mut standings, service_key(vs).and_then(|key| counters.get(&key))))
            .chain(self.config.layer7.virtual_servers.iter().map(|vs| layer7::virtual_server(vs, &self.layer7)))
            .collect();
        let Summary { version, hostname, revision, alarms, converged, confirm, .. } = self.summary;
        Status {
            version,
            hostname,
            revision,
            alarms,
            converged,
            pending: self.pending,
            drift: self.drift,
            confirm,
            pending_changes: self.pending_changes,
            old_connections: self.layer7.observed.old_connections,
            virtual_servers,
        }
    }
}

fn virtual_server(
    vs: &VirtualServer,
    standings: &mut impl Iterator<Item = Standing>,
    counters: Option<&ServiceCounters>,
) -> VirtualServerStatus {
    let dests = |rs: &RealServer| counters.and_then(|c| c.dests.get(&dest_key(vs, rs)));
    let real_servers: Vec<RealServerStatus> =
        vs.real_servers.iter().zip(standings).map(|(rs, standing)| real_server(vs, rs, standing, dests(rs))).collect();
    let active = real_servers.iter().any(|r| r.actual == ActualState::Active);
    let fallback = !active && vs.fallback.is_some() && counters.is_some_and(|c| !c.dests.is_empty());
    VirtualServerStatus {
        label: vs.label.to_string(),
        layer: 4,
        service: vs.service.to_string(),
        scheduler: vs.scheduler.to_string(),
        active,
        fallback,
        counters: counters.map_or_else(Counters::default, |c| totals(c.totals)),
        real_servers,
    }
}

fn real_server(
    vs: &VirtualServer,
    rs: &RealServer,
    Standing { fitness, check, agent }: Standing,
    counters: Option<&DestCounters>,
) -> RealServerStatus {
    let connected = counters.is_some_and(|c| c.active > 0);
    let weight = agent.of(rs.weight);
    let fitness = if agent.out && fitness == Fitness::Fit { Fitness::Unfit } else { fitness };
    let actual = match (rs.state, fitness) {
        (RequestedState::Online, Fitness::Fit) if weight > 0 => ActualState::Active,
        (RequestedState::Online, Fitness::Unknown) => ActualState::Checking,
        (RequestedState::Drain | RequestedState::Online, Fitness::Fit) if connected => ActualState::Draining,
        _ => ActualState::NonActive,
    };
    let port = rs.port.or(vs.service.single_port());
    RealServerStatus {
        label: rs.label.to_string(),
        address: port.map_or_else(|| rs.address.to_string(), |p| SocketAddr::new(rs.address, p).to_string()),
        forwarding: rs.forwarding.to_string(),
        weight: rs.weight,
        requested: rs.state,
        actual,
        check,
        active_connections: counters.map_or(0, |c| c.active),
        inactive_connections: counters.map_or(0, |c| c.inactive),
        persistent_connections: counters.map_or(0, |c| c.persistent),
        counters: counters.map_or_else(Counters::default, |c| totals(c.totals)),
    }
}

fn totals(t: Totals) -> Counters {
    Counters {
        connections: t.connections,
        packets_in: t.packets_in,
        packets_out: t.packets_out,
        bytes_in: t.bytes_in,
        bytes_out: t.bytes_out,
        connections_per_second: t.connections_per_second,
    }
}
