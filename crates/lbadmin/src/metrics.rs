//! `/metrics`: the state of the unit in OpenMetrics, for Prometheus and its relatives.
//!
//! Made anew for each scrape from lbd's status, which is asked for at most every 1.5 s. Labels are names of servers
//! and interfaces from the configuration and the kernel, never what a client sends; beyond [`MOST`] servers the rest
//! is left out and counted. A token of any role is needed, unless the settings of the web interface say otherwise.

use crate::{
    Shared,
    api::{caller::bearer, problem::Problem},
    seat::address,
};
use axum::{
    extract::{FromRequestParts, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use lb_access::{AuditEntry, Permission};
use lb_api::{
    ActualState, Counters, HaRole, HaView, Layer7Figures, Layer7Statistics, RealServerStatus, ReplicationState, Status,
    Summary, SystemView,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text::encode},
    metrics::{MetricType, exemplar::Exemplar},
    registry::{Registry, Unit},
};
use std::{fmt, sync::Arc};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Virtual and real servers in one answer.
const MOST: usize = 20_000;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default().routes(routes!(metrics))
}

/// The state of the unit in OpenMetrics
///
/// Without a token where the settings of the web interface say so.
#[utoipa::path(get, path = "/metrics", tag = "reports", security(("token" = ["look"]), ()),
    responses((status = 200, body = String, content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8")))]
async fn metrics(_: Scraper, State(app): State<Shared>, headers: HeaderMap) -> Result<Response, Problem> {
    let (summary, status, system, ha) =
        tokio::join!(app.lbd.summary(), app.lbd.status(), app.lbd.client.system(), app.lbd.ha());
    let (summary, status, system, ha) = (summary.ok(), status.ok(), system.ok(), Some(ha));
    let layer7 = match status.as_ref().is_some_and(|s| s.virtual_servers.iter().any(|v| v.layer == 7)) {
        true => app.lbd.client.layer7_statistics().await.ok(),
        false => None,
    };
    let scrape = Scrape { summary, status, system, ha, layer7 };
    let text = scrape.text().map_err(Problem::internal)?;
    let old = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()).is_some_and(|accept| {
        accept.contains("text/plain") && !accept.contains("openmetrics") && !accept.contains("*/*")
    });
    Ok(([(header::CONTENT_TYPE, if old { PLAIN } else { OPENMETRICS })], text).into_response())
}

/// Somebody who may look, or anybody where that is set.
struct Scraper;

impl FromRequestParts<Shared> for Scraper {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, app: &Shared) -> Result<Self, Problem> {
        if app.access.settings().open_metrics {
            return Ok(Scraper);
        }
        match bearer(&parts.headers, app, address(parts)) {
            Ok(who) if who.may(Permission::Look) => Ok(Scraper),
            Ok(who) => Err(Problem::new(lb_api::ErrorCode::Forbidden, format!("the role {} may not look", who.role))),
            Err(problem) => {
                let entry = AuditEntry::stranger(
                    crate::app::now(),
                    address(parts),
                    "GET /metrics",
                    problem.error.message.clone(),
                );
                app.access.record(entry.refused());
                Err(problem)
            }
        }
    }
}

/// What is known at one time; nothing of it where lbd does not answer.
#[derive(Debug)]
pub struct Scrape {
    pub summary: Option<Summary>,
    pub status: Option<Arc<Status>>,
    pub system: Option<SystemView>,
    pub ha: Option<Arc<HaView>>,
    /// Where there is a layer 7.
    pub layer7: Option<Layer7Statistics>,
}

impl Scrape {
    pub fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("steelyard");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

/// One metric with its values.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn gauges<'v>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl Iterator<Item = (Labels<'v>, f64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in values {
            match labels.is_empty() {
                true => metric.encode_gauge(&value)?,
                false => metric.encode_family(&labels)?.encode_gauge(&value)?,
            }
        }
        Ok(())
    }

    fn counters<'v>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl Iterator<Item = (Labels<'v>, f64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        let none: Option<&Exemplar<Labels<'_>, f64>> = None;
        for (labels, value) in values {
            match labels.is_empty() {
                true => metric.encode_counter(&value, none)?,
                false => metric.encode_family(&labels)?.encode_counter(&value, none)?,
            }
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: f64) -> fmt::Result {
        self.gauges(name, help, unit, std::iter::once((Vec::new(), value)))
    }

    fn flag(&mut self, name: &str, help: &str, value: bool) -> fmt::Result {
        self.gauge(name, help, None, f64::from(u8::from(value)))
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut writer = Writer(encoder);
        writer.flag("lbd_up", "lbd answers.", self.summary.is_some() && self.status.is_some())?;
        if let Some(summary) = &self.summary {
            unit(summary, &mut writer)?;
        }
        if let Some(ha) = &self.ha {
            pair(ha, &mut writer)?;
        }
        if let Some(status) = &self.status {
            servers(status, &mut writer)?;
        }
        if let Some(statistics) = &self.layer7 {
            layer7(statistics, &mut writer)?;
        }
        if let Some(system) = &self.system {
            load(system, &mut writer)?;
        }
        Ok(())
    }
}

fn unit(summary: &Summary, w: &mut Writer) -> fmt::Result {
    let build = [("version", summary.version.as_str()), ("hostname", summary.hostname.as_str())];
    w.0.encode_descriptor("unit", "Which unit this is.", None, MetricType::Info)?.encode_info(&build.to_vec())?;
    w.gauge("revision", "The running revision of the configuration.", None, summary.revision as f64)?;
    w.flag("converged", "The kernel is as the configuration says.", summary.converged)?;
    w.flag("candidate_pending", "Changes wait in the candidate.", summary.candidate_etag != 0)?;
    w.flag("awaiting_confirm", "A revision undoes itself unless it is confirmed.", summary.confirm.is_some())?;
    w.gauge("alarms", "What an administrator must know.", None, summary.alarms.len() as f64)
}

const ROLES: [(HaRole, &str); 9] = [
    (HaRole::Single, "single"),
    (HaRole::Active, "active"),
    (HaRole::Standby, "standby"),
    (HaRole::Taking, "taking"),
    (HaRole::Releasing, "releasing"),
    (HaRole::Starting, "starting"),
    (HaRole::Maintenance, "maintenance"),
    (HaRole::Stopped, "stopped"),
    (HaRole::Unknown, "unknown"),
];

const REPLICATION: [(ReplicationState, &str); 5] = [
    (ReplicationState::InSync, "in-sync"),
    (ReplicationState::Behind, "behind"),
    (ReplicationState::Refused, "refused"),
    (ReplicationState::Diverged, "diverged"),
    (ReplicationState::Unreachable, "unreachable"),
];

/// Of a single unit only that it is one.
fn pair(ha: &HaView, w: &mut Writer) -> fmt::Result {
    let flag = |b: bool| f64::from(u8::from(b));
    let roles = ROLES.iter().map(|(role, word)| (vec![("role", *word)], flag(ha.role == *role)));
    w.gauges("ha_role", "1 for what the unit is: serving, standing by, or not one of a pair.", None, roles)?;
    if matches!(ha.role, HaRole::Single | HaRole::Unknown) {
        return Ok(());
    }
    w.flag("ha_fit", "This unit can serve.", ha.unfit.is_empty())?;
    w.flag("ha_hot", "This unit has the connections of the one that serves.", ha.hot)?;
    if let Some(since) = ha.since {
        w.gauge("ha_role_since", "When the unit got its role, since 1970.", Some(&Unit::Seconds), since as f64)?;
    }
    w.flag("ha_peer_heard", "The other unit's heartbeat is heard.", ha.peer.as_ref().is_some_and(|p| p.heard))?;
    w.flag("ha_peer_fit", "The other unit can serve.", ha.peer.as_ref().is_some_and(|p| p.heard && p.fit))?;
    let paths = || ha.paths.iter().map(|p| (vec![("path", p.name.as_str())], p));
    w.gauges("ha_path_up", "The other unit is heard on the path.", None, paths().map(|(l, p)| (l, flag(p.up))))?;
    let loss = paths().filter_map(|(l, p)| Some((l, f64::from(p.loss_percent?) / 100.0)));
    w.gauges("ha_path_loss", "Heartbeats that were lost.", Some(&Unit::Ratios), loss)?;
    let latency = paths().filter_map(|(l, p)| Some((l, p.latency_us? as f64 / 1e6)));
    w.gauges("ha_path_latency", "Round trip of a heartbeat.", Some(&Unit::Seconds), latency)?;
    let addresses: Vec<(String, bool)> = ha.floating.iter().map(|f| (f.address.to_string(), f.here)).collect();
    let here = addresses.iter().map(|(address, here)| (vec![("address", address.as_str())], flag(*here)));
    w.gauges("ha_floating_ip_here", "The floating IP is on this unit.", None, here)?;
    if let Some(replication) = &ha.replication {
        let states = REPLICATION.iter().map(|(s, word)| (vec![("state", *word)], flag(replication.state == *s)));
        w.gauges("ha_replication_state", "1 for how the configurations of both units stand.", None, states)?;
    }
    w.gauge("ha_alarms", "What an administrator must know of the pair.", None, ha.alarms.len() as f64)
}

const STATES: [(ActualState, &str); 4] = [
    (ActualState::Active, "active"),
    (ActualState::NonActive, "non-active"),
    (ActualState::Draining, "draining"),
    (ActualState::Checking, "checking"),
];

/// A counter's name, what it counts, its unit, and where it is.
type Counter = (&'static str, &'static str, Option<Unit>, fn(&Counters) -> u64);

const COUNTERS: [Counter; 5] = [
    ("connections", "Connections scheduled", None, |c| c.connections),
    ("packets_in", "Packets from clients", None, |c| c.packets_in),
    ("packets_out", "Packets to clients", None, |c| c.packets_out),
    ("in", "Bytes from clients", Some(Unit::Bytes), |c| c.bytes_in),
    ("out", "Bytes to clients", Some(Unit::Bytes), |c| c.bytes_out),
];

type Gauge = (&'static str, &'static str, fn(&RealServerStatus) -> u32);

const GAUGES: [Gauge; 4] = [
    ("real_server_active_connections", "Open connections.", |r| r.active_connections),
    ("real_server_inactive_connections", "Connections that are being closed.", |r| r.inactive_connections),
    ("real_server_persistent_connections", "Clients bound to the server.", |r| r.persistent_connections),
    ("real_server_weight", "Share of the load.", |r| r.weight),
];

fn servers(status: &Status, w: &mut Writer) -> fmt::Result {
    let all: Vec<_> = status.virtual_servers.iter().collect();
    let count = |vs: &&lb_api::VirtualServerStatus| 1 + vs.real_servers.len();
    let mut room = MOST;
    let kept = all.iter().take_while(|vs| {
        let fits = room >= count(vs);
        room = room.saturating_sub(count(vs));
        fits
    });
    let kept = kept.count();
    let left_out: usize = all[kept..].iter().map(count).sum();
    let virtual_servers = &all[..kept];
    w.gauge("servers_left_out", "Virtual and real servers that are not in this answer.", None, left_out as f64)?;
    w.gauge("virtual_servers", "Virtual servers that are configured.", None, all.len() as f64)?;

    let each = || virtual_servers.iter().map(|v| (vec![("virtual_server", v.label.as_str())], *v));
    let flag = |b: bool| f64::from(u8::from(b));
    w.gauges("virtual_server_up", "Somebody serves: a real server.", None, each().map(|(l, v)| (l, flag(v.active))))?;
    let fallback = each().map(|(l, v)| (l, flag(v.fallback)));
    w.gauges("virtual_server_fallback", "The fallback server has the traffic.", None, fallback)?;
    for (name, help, unit, of) in &COUNTERS {
        let name = format!("virtual_server_{name}");
        w.counters(&name, &format!("{help}."), unit.as_ref(), each().map(|(l, v)| (l, of(&v.counters) as f64)))?;
    }

    let rips = || {
        virtual_servers.iter().flat_map(|v| {
            v.real_servers
                .iter()
                .map(|r| (vec![("virtual_server", v.label.as_str()), ("real_server", r.label.as_str())], r))
        })
    };
    let up = rips().map(|(l, r)| (l, flag(r.actual == ActualState::Active)));
    w.gauges("real_server_up", "The real server is given clients.", None, up)?;
    let states = rips().flat_map(|(labels, r)| {
        STATES.iter().map(move |(state, word)| {
            let mut labels = labels.clone();
            labels.push(("state", word));
            (labels, f64::from(u8::from(r.actual == *state)))
        })
    });
    w.gauges("real_server_state", "1 for the state that the real server is in.", None, states)?;
    for (name, help, of) in GAUGES {
        w.gauges(name, help, None, rips().map(|(l, r)| (l, f64::from(of(r)))))?;
    }
    for (name, help, unit, of) in &COUNTERS {
        let name = format!("real_server_{name}");
        w.counters(&name, &format!("{help}."), unit.as_ref(), rips().map(|(l, r)| (l, of(&r.counters) as f64)))?;
    }
    Ok(())
}

type Figure = (&'static str, &'static str, fn(&Layer7Figures) -> u64);

const TROUBLE: [Figure; 3] = [
    ("denied", "Refused by rules and limits.", |f| f.denied),
    ("errors", "Requests, connections and answers that failed.", |f| f.errors),
    ("retries", "Tried once more, at the same real server or another one.", |f| f.retries),
];

/// What layer 4 has nothing like; of both kinds of servers under the same names.
fn layer7(statistics: &Layer7Statistics, w: &mut Writer) -> fmt::Result {
    let old = f64::from(statistics.old_connections);
    w.gauge("layer7_old_connections", "Connections that HAProxy processes of before a reload serve.", None, old)?;
    let mut room = MOST;
    let fits = |vs: &&lb_api::Layer7VirtualServerFigures| {
        let fits = room > vs.real_servers.len();
        room = room.saturating_sub(1 + vs.real_servers.len());
        fits
    };
    let kept: Vec<_> = statistics.virtual_servers.iter().take_while(fits).collect();
    let virtual_servers: Vec<_> =
        kept.iter().map(|v| (vec![("virtual_server", v.label.as_str())], &v.figures)).collect();
    let real_servers: Vec<_> = kept
        .iter()
        .flat_map(|v| v.real_servers.iter().map(|r| (v.label.as_str(), r)))
        .map(|(v, r)| (vec![("virtual_server", v), ("real_server", r.label.as_str())], &r.figures))
        .collect();
    for (whose, all) in [("virtual_server", &virtual_servers), ("real_server", &real_servers)] {
        let each = || all.iter().map(|(labels, figures)| (labels.clone(), *figures));
        let responses = each().flat_map(|(labels, figures)| {
            let lb_api::Responses { s1xx, s2xx, s3xx, s4xx, s5xx, other } = figures.responses;
            let codes = [("1xx", s1xx), ("2xx", s2xx), ("3xx", s3xx), ("4xx", s4xx), ("5xx", s5xx), ("other", other)];
            codes.map(|(code, count)| {
                let mut labels = labels.clone();
                labels.push(("code", code));
                (labels, count as f64)
            })
        });
        w.counters(
            &format!("{whose}_http_responses"),
            "Answers by status, since HAProxy's start or reload.",
            None,
            responses,
        )?;
        let queue = each().map(|(l, f)| (l, f64::from(f.queue)));
        w.gauges(&format!("{whose}_queue"), "What waits for a real server.", None, queue)?;
        let time = each().map(|(l, f)| (l, f64::from(f.response_ms) / 1000.0));
        let help = "Time until an answer began, the average of the last 1024.";
        w.gauges(&format!("{whose}_response_time"), help, Some(&Unit::Seconds), time)?;
        for (name, help, of) in TROUBLE {
            w.counters(&format!("{whose}_{name}"), help, None, each().map(|(l, f)| (l, of(f) as f64)))?;
        }
    }
    Ok(())
}

fn load(system: &SystemView, w: &mut Writer) -> fmt::Result {
    w.gauge("uptime", "Since boot.", Some(&Unit::Seconds), system.uptime as f64)?;
    w.gauge("cpus", "Processors.", None, f64::from(system.cpus))?;
    let none = |value: f64| std::iter::once((Vec::new(), value));
    // The kernel counts hundredths of a second.
    let (busy, total) = (system.cpu_busy as f64 / 100.0, system.cpu_total as f64 / 100.0);
    w.counters("cpu_busy", "Time that the processors worked, all together.", Some(&Unit::Seconds), none(busy))?;
    w.counters("cpu", "Time of the processors, all together.", Some(&Unit::Seconds), none(total))?;
    for (name, value) in ["load1", "load5", "load15"].into_iter().zip(system.load) {
        w.gauge(name, "Load average.", None, value)?;
    }
    for (name, help, value) in [
        ("memory_total", "Memory.", system.memory_total),
        ("memory_available", "Memory that can be had.", system.memory_available),
        ("disk_total", "The data partition.", system.disk_total),
        ("disk_free", "Room on the data partition.", system.disk_free),
    ] {
        w.gauge(name, help, Some(&Unit::Bytes), value as f64)?;
    }
    let cards = || system.interfaces.iter().map(|i| (vec![("interface", i.name.as_str())], i));
    let bytes = Some(&Unit::Bytes);
    w.counters("interface_in", "Bytes received.", bytes, cards().map(|(l, i)| (l, i.bytes_in as f64)))?;
    w.counters("interface_out", "Bytes sent.", bytes, cards().map(|(l, i)| (l, i.bytes_out as f64)))?;
    w.counters("interface_packets_in", "Packets received.", None, cards().map(|(l, i)| (l, i.packets_in as f64)))?;
    w.counters("interface_packets_out", "Packets sent.", None, cards().map(|(l, i)| (l, i.packets_out as f64)))?;
    w.counters("interface_errors", "Packets with errors.", None, cards().map(|(l, i)| (l, i.errors as f64)))?;
    w.counters("interface_dropped", "Packets dropped.", None, cards().map(|(l, i)| (l, i.dropped as f64)))
}

#[cfg(test)]
mod tests;
