//! The state of the unit in the words that administrators know: requested, actual, connections.

use super::{Engine, Now};
use lb_api::{
    ActualState, AwaitingConfirm, CheckStatus, Counters, RealServerStatus, Status, Summary, VirtualServerStatus,
};
use lb_kernel::{DestCounters, Kernel, ServiceCounters, Totals};
use lb_model::{CheckMethod, Label, RealServer, RequestedState, VirtualServer};
use lb_plan::{Fitness, dest_key, service_key};
use lb_store::Store;
use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

/// Since when each real server stands as it does (Unix seconds).
pub type Since = HashMap<(Label, Label), u64>;

impl<K: Kernel> Engine<K> {
    pub(super) fn summary(&self, now: Now) -> Summary {
        Summary {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: self.running.node.hostname.to_string(),
            time: now.unix,
            revision: self.revision.number,
            candidate_etag: self.store.as_ref().and_then(Store::candidate).map_or(0, |c| c.etag),
            generation: self.generation,
            alarms: self.alarms.clone(),
            converged: self.pending.is_empty(),
            confirm: self.awaiting_confirm(),
        }
    }

    fn awaiting_confirm(&self) -> Option<AwaitingConfirm> {
        let pending = self.store.as_ref().and_then(Store::pending_confirm)?;
        Some(AwaitingConfirm { revision: pending.number, before: pending.deadline_unix, revert_to: pending.revert_to })
    }

    pub(super) fn status(&mut self) -> Status {
        // Without counters the rest is still worth showing.
        let counters = self.kernel.counters().unwrap_or_else(|error| {
            tracing::warn!("reading counters: {error}");
            BTreeMap::new()
        });
        let pending_changes = self.judged().map_or(0, |judged| judged.changes.len());
        let virtual_servers = self
            .running
            .virtual_servers
            .iter()
            .map(|vs| self.virtual_server(vs, service_key(vs).and_then(|key| counters.get(&key))))
            .collect();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: self.running.node.hostname.to_string(),
            revision: self.revision.number,
            alarms: self.alarms.clone(),
            converged: self.pending.is_empty(),
            pending: self.pending.clone(),
            drift: self.drift.clone(),
            confirm: self.awaiting_confirm(),
            pending_changes,
            virtual_servers,
        }
    }

    fn virtual_server(&self, vs: &VirtualServer, counters: Option<&ServiceCounters>) -> VirtualServerStatus {
        let none = BTreeMap::new();
        let dests = counters.map_or(&none, |c| &c.dests);
        let real_servers: Vec<RealServerStatus> =
            vs.real_servers.iter().map(|rs| self.real_server(vs, rs, dests.get(&dest_key(vs, rs)))).collect();
        let active = real_servers.iter().any(|r| r.actual == ActualState::Active);
        let fallback = !active && vs.fallback.is_some() && counters.is_some_and(|c| !c.dests.is_empty());
        VirtualServerStatus {
            label: vs.label.to_string(),
            service: vs.service.to_string(),
            scheduler: vs.scheduler.to_string(),
            active,
            fallback,
            counters: counters.map_or_else(Counters::default, |c| totals(c.totals)),
            real_servers,
        }
    }

    /// What the last probe found; none before the first.
    fn check(&self, vs: &VirtualServer, rs: &RealServer) -> Option<CheckStatus> {
        let standing = self.checker.standing(&vs.label, &rs.label).filter(|s| !s.text.is_empty())?;
        let since = self.since.get(&(vs.label.clone(), rs.label.clone())).copied().unwrap_or_default();
        Some(CheckStatus { text: standing.text.to_owned(), since })
    }

    fn real_server(&self, vs: &VirtualServer, rs: &RealServer, counters: Option<&DestCounters>) -> RealServerStatus {
        let fit = match vs.check.method {
            CheckMethod::On => Fitness::Fit,
            CheckMethod::Off => Fitness::Unfit,
            _ => self.health.get(&vs.label, &rs.label),
        };
        let connected = counters.is_some_and(|c| c.active > 0);
        let actual = match (rs.state, fit) {
            (RequestedState::Online, Fitness::Fit) if rs.weight > 0 => ActualState::Active,
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
            check: self.check(vs, rs),
            active_connections: counters.map_or(0, |c| c.active),
            inactive_connections: counters.map_or(0, |c| c.inactive),
            persistent_connections: counters.map_or(0, |c| c.persistent),
            counters: counters.map_or_else(Counters::default, |c| totals(c.totals)),
        }
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
