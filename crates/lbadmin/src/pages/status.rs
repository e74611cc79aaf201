//! Reports > Status: the unit's health in one page, and every server that is not as it was asked to be.

use crate::{
    Shared,
    frame::{Frame, ago, show},
    pages::{
        list::{Paging, duration, query},
        overview::{actual_of, bytes, virtual_state},
    },
    refusal::{Refusal, words},
    seat::Seat,
};
use askama::Template;
use axum::{
    Router,
    extract::{OriginalUri, State},
    response::Response,
    routing::get,
};
use lb_api::{ActualState, Status, SystemView};
use lb_model::RequestedState;
use serde::Deserialize;
use std::sync::Arc;

const PER_PAGE: usize = 100;

pub fn routes() -> Router<Shared> {
    Router::new().route("/lbadmin/status", get(page))
}

/// How many servers stand how.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    virtual_active: usize,
    virtual_fallback: usize,
    virtual_down: usize,
    active: usize,
    checking: usize,
    draining: usize,
    /// Not active although they should be.
    failed: usize,
    /// Taken offline.
    offline: usize,
}

fn counts(status: &Status) -> Counts {
    let mut counts = Counts::default();
    for v in &status.virtual_servers {
        match (v.active, v.fallback) {
            (true, _) => counts.virtual_active += 1,
            (false, true) => counts.virtual_fallback += 1,
            (false, false) => counts.virtual_down += 1,
        }
        for r in &v.real_servers {
            match (r.actual, r.requested) {
                (ActualState::Active, _) => counts.active += 1,
                (ActualState::Checking, _) => counts.checking += 1,
                (ActualState::Draining, _) => counts.draining += 1,
                (ActualState::NonActive, RequestedState::Online) => counts.failed += 1,
                (ActualState::NonActive, _) => counts.offline += 1,
            }
        }
    }
    counts
}

/// A server that wants attention.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    virtual_server: String,
    real_server: String,
    address: String,
    requested: String,
    class: &'static str,
    state: &'static str,
    why: String,
    since: String,
}

fn rows(status: &Status) -> Vec<Row> {
    let mut rows = Vec::new();
    for v in &status.virtual_servers {
        if !v.active {
            let (class, state) = virtual_state(v);
            rows.push(Row {
                virtual_server: v.label.clone(),
                real_server: String::new(),
                address: v.service.clone(),
                requested: String::new(),
                class,
                state,
                why: match (v.fallback, v.real_servers.is_empty()) {
                    (true, _) => "no real server is left; the fallback server answers".to_owned(),
                    (false, true) => "it has no real server".to_owned(),
                    (false, false) => "no real server is left, and clients are refused".to_owned(),
                },
                since: String::new(),
            });
        }
        for r in v.real_servers.iter().filter(|r| r.actual != ActualState::Active) {
            let (class, state) = actual_of(r);
            let check = r.check.as_ref();
            rows.push(Row {
                virtual_server: v.label.clone(),
                real_server: r.label.clone(),
                address: r.address.clone(),
                requested: r.requested.to_string(),
                class,
                state,
                why: check.map_or_else(String::new, |c| c.text.clone()),
                since: check.filter(|c| c.since > 0).map_or_else(String::new, |c| ago(c.since)),
            });
        }
    }
    rows
}

/// The machine in words.
struct Machine {
    uptime: String,
    load: String,
    cpus: u32,
    memory: String,
    disk: String,
    disk_low: bool,
    kernel: String,
}

fn machine(system: &SystemView) -> Machine {
    let share = |part: u64, of: u64| (part * 100).checked_div(of).unwrap_or(0);
    let used = system.memory_total.saturating_sub(system.memory_available);
    let [one, five, fifteen] = system.load;
    Machine {
        uptime: duration(system.uptime),
        load: format!("{one:.2} {five:.2} {fifteen:.2}"),
        cpus: system.cpus,
        memory: format!(
            "{} of {} used ({} %)",
            bytes(used),
            bytes(system.memory_total),
            share(used, system.memory_total)
        ),
        disk: format!("{} of {} free", bytes(system.disk_free), bytes(system.disk_total)),
        disk_low: system.disk_total > 0 && share(system.disk_free, system.disk_total) < 20,
        kernel: system.kernel.clone(),
    }
}

#[derive(Template)]
#[template(path = "status.html")]
struct Page {
    frame: Frame,
    status: Arc<Status>,
    counts: Counts,
    machine: Option<Machine>,
    /// Why there is no machine.
    no_machine: String,
    rows: Vec<Row>,
    paging: Paging,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    page: usize,
}

async fn page(State(app): State<Shared>, seat: Seat, OriginalUri(uri): OriginalUri) -> Result<Response, Refusal> {
    let wanted: Wanted = serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default();
    let frame = Frame::load(&app, &seat, "status", &["Reports", "Status"]).await?;
    let (status, system) = tokio::join!(app.lbd.status(), app.lbd.client.system());
    let status = status?;
    let (machine, no_machine) = match system {
        Ok(system) => (Some(machine(&system)), String::new()),
        Err(error) => (None, words(&error)),
    };
    let all = rows(&status);
    let paging = Paging::new(wanted.page, PER_PAGE, all.len(), "servers", |p| query(&[], p));
    let rows = all.into_iter().skip(paging.page * PER_PAGE).take(PER_PAGE).collect();
    show(&Page { counts: counts(&status), status, machine, no_machine, rows, paging, frame })
}
