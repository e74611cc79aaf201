//! HAProxy's servers in the words of layer 4.

use super::View;
use crate::engine::record;
use lb_api::{ActualState, CheckStatus, Counters, RealServerStatus, VirtualServerStatus};
use lb_check::{AgentMode, AgentState, Heard, Transition, Verdict, agent_text};
use lb_haproxy::{ActualAgent, ActualServer, AgentAnswer, ServerKey, Statistics, Totals};
use lb_model::{Layer7RealServer, Layer7VirtualServer, RequestedState, layer7::Layer7CheckMethod};
use std::{collections::BTreeMap, net::SocketAddr};

pub fn virtual_server(vs: &Layer7VirtualServer, view: &View) -> VirtualServerStatus {
    let real_servers: Vec<RealServerStatus> = vs.real_servers.iter().map(|rs| server(vs, rs, view)).collect();
    let active = real_servers.iter().any(|r| r.actual == ActualState::Active);
    let counted = view.statistics.virtual_servers.get(&vs.label);
    VirtualServerStatus {
        label: vs.label.to_string(),
        layer: 7,
        service: vs.service(),
        scheduler: vs.balance.to_string(),
        active,
        fallback: !active && counted.is_some_and(|c| c.fallback),
        counters: counted.map_or_else(Counters::default, |c| counters(c.totals)),
        real_servers,
    }
}

fn server(vs: &Layer7VirtualServer, rs: &Layer7RealServer, view: &View) -> RealServerStatus {
    let key = ServerKey { virtual_server: vs.label.clone(), real_server: rs.label.clone() };
    let seen = view.statistics.servers.get(&key);
    let fit = match vs.check.method {
        // Its agent alone can say otherwise.
        Layer7CheckMethod::On => seen.map(|s| s.fit != Some(false)),
        _ => seen.and_then(|s| s.fit),
    };
    let connected = seen.is_some_and(|s| s.totals.current > 0);
    let agent = seen.and_then(|s| s.agent.as_ref()).filter(|_| rs.state == RequestedState::Online);
    let weight = agent.map_or(rs.weight, |agent| agent.weight);
    // What its agent asks for, where an administrator asks for nothing.
    let requested = agent.map_or(rs.state, |agent| agent.state);
    let actual = match (requested, fit) {
        (RequestedState::Online, Some(true)) if rs.weight > 0 && weight > 0 => ActualState::Active,
        (RequestedState::Online, None) => ActualState::Checking,
        // HAProxy may ask a drained server no more; whoever is connected is served all the same.
        (RequestedState::Drain, _) | (RequestedState::Online, Some(true)) if connected => ActualState::Draining,
        _ => ActualState::NonActive,
    };
    let port = rs.port.or(vs.ports.single());
    RealServerStatus {
        label: rs.label.to_string(),
        address: port.map_or_else(|| rs.address.to_string(), |p| SocketAddr::new(rs.address, p).to_string()),
        forwarding: if vs.transparent { "transparent" } else { "snat" }.into(),
        weight: rs.weight.into(),
        requested: rs.state,
        actual,
        check: seen.and_then(|s| check(s, view, &key)),
        active_connections: seen.map_or(0, |s| s.totals.current),
        inactive_connections: 0,
        persistent_connections: 0,
        counters: seen.map_or_else(Counters::default, |s| counters(s.totals)),
    }
}

pub(super) fn check(server: &ActualServer, view: &View, key: &ServerKey) -> Option<CheckStatus> {
    let whole = view.observed.servers.get(key).map_or(0, |server| server.initial_weight);
    let agent = server.agent.as_ref().map(|agent| agent_words(agent, whole));
    let since = view.since.get(key).copied().unwrap_or_default();
    with_agent(server.check.clone(), agent).map(|text| CheckStatus { text, since })
}

/// What a check found and what an agent says, as both layers show it: `status 200; agent: 75%`.
pub fn with_agent(check: Option<String>, agent: Option<String>) -> Option<String> {
    match (check, agent) {
        (Some(check), Some(agent)) => Some(format!("{check}; {agent}")),
        (check, agent) => check.or(agent),
    }
}

/// `whole`: the weight that the agent's percentage is of.
fn agent_words(agent: &ActualAgent, whole: u16) -> String {
    let mode = match agent.state {
        RequestedState::Online => AgentMode::Ready,
        RequestedState::Drain => AgentMode::Drain,
        RequestedState::Offline => AgentMode::Maint,
    };
    // HAProxy rounds down.
    let percent = (u32::from(agent.weight) * 100).div_ceil(u32::from(whole.max(1)));
    let heard = match &agent.last {
        AgentAnswer::None => Heard::Nothing,
        AgentAnswer::Reply(note) => Heard::Reply(note.clone()),
        AgentAnswer::NotUnderstood(text) => Heard::NotUnderstood(text.clone()),
        AgentAnswer::Unreachable(why) => Heard::Unreachable(why.clone()),
    };
    agent_text(AgentState { percent, mode, down: agent.down }, &heard)
}

/// HAProxy says how many whole seconds ago: of the same moment another second may come out each time.
pub fn since(before: &View, now: &Statistics, unix: u64) -> BTreeMap<ServerKey, u64> {
    let moment = |(key, server): (&ServerKey, &ActualServer)| {
        let new = unix.saturating_sub(server.since);
        let same = before.since.get(key).filter(|old| old.abs_diff(new) <= 1);
        (key.clone(), same.copied().unwrap_or(new))
    };
    now.servers.iter().map(moment).collect()
}

/// Packets are the kernel's affair: HAProxy sees none.
fn counters(t: Totals) -> Counters {
    Counters {
        connections: t.sessions,
        packets_in: 0,
        packets_out: 0,
        bytes_in: t.bytes_in,
        bytes_out: t.bytes_out,
        connections_per_second: t.rate,
    }
}

/// Whether somebody who keeps a status would see another one now, but for the counters.
pub fn differ(before: &View, now: &View) -> bool {
    let health = |s: &Statistics| {
        let shown = |(key, server): (&ServerKey, &ActualServer)| {
            (key.clone(), server.fit, server.check.clone(), server.agent.clone())
        };
        s.servers.iter().map(shown).collect::<Vec<_>>()
    };
    let fallbacks = |s: &Statistics| s.virtual_servers.values().map(|vs| vs.fallback).collect::<Vec<_>>();
    let runs = before.observed.shape.is_some() || now.observed.shape.is_some();
    (runs && before.settled != now.settled)
        || before.pending != now.pending
        || before.alarm != now.alarm
        || before.observed.shape != now.observed.shape
        || (before.observed.old_connections == 0) != (now.observed.old_connections == 0)
        || health(&before.statistics) != health(&now.statistics)
        || fallbacks(&before.statistics) != fallbacks(&now.statistics)
}

fn turned_by(server: &ActualServer) -> String {
    match server.agent.as_ref().filter(|agent| agent.down) {
        Some(ActualAgent { last: AgentAnswer::Reply(note), .. }) if !note.is_empty() => format!("agent: down ({note})"),
        Some(_) => "agent: down".to_owned(),
        None => server.check.clone().unwrap_or_default(),
    }
}

/// One line for each server that turned, as for those of layer 4.
pub fn log_turns(before: &Statistics, now: &Statistics) {
    let verdict = |fit: Option<bool>| match fit {
        None => Verdict::Unknown,
        Some(true) => Verdict::Fit,
        Some(false) => Verdict::Unfit,
    };
    for (ServerKey { virtual_server, real_server }, server) in &now.servers {
        let key = ServerKey { virtual_server: virtual_server.clone(), real_server: real_server.clone() };
        // A reload forgets for a moment; what is asked again is no news.
        let Some(was) = before.servers.get(&key).filter(|was| was.fit != server.fit && server.fit.is_some()) else {
            continue;
        };
        let turn = Transition {
            vs: virtual_server.clone(),
            rs: real_server.clone(),
            from: verdict(was.fit),
            to: verdict(server.fit),
            text: turned_by(server),
        };
        match turn.to {
            Verdict::Unfit => tracing::warn!("{}", record::turned(&turn)),
            Verdict::Fit | Verdict::Unknown => tracing::info!("{}", record::turned(&turn)),
        }
    }
}
