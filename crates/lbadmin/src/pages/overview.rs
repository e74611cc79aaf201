//! System overview: every virtual server with its real servers, live.

use crate::{
    Shared,
    frame::{Frame, show},
    live::{self, Cell, PERIOD, RELOAD, mark},
    refusal::Refusal,
    seat::Seat,
};
use askama::Template;
use axum::{
    Router,
    extract::{OriginalUri, State},
    response::Response,
    routing::get,
};
use lb_api::{ActualState, RealServerStatus, Status, VirtualServerStatus};
use lb_model::RequestedState;
use serde::Deserialize;

/// Virtual servers on a page.
const PER_PAGE: usize = 100;

pub fn routes() -> Router<Shared> {
    Router::new().route("/lbadmin/", get(page))
}

/// Which part of the list: a search and a page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Part {
    /// In labels, addresses and ports, upper and lower case alike.
    #[serde(default)]
    pub q: String,
    /// From 0.
    #[serde(default)]
    pub page: usize,
}

impl Part {
    pub fn of(query: &str) -> Part {
        serde_urlencoded::from_str(query).unwrap_or_default()
    }

    /// For links and for the live view.
    pub fn query(&self, page: usize) -> String {
        serde_urlencoded::to_string([("q", self.q.as_str()), ("page", &page.to_string())]).unwrap_or_default()
    }

    /// All virtual servers that match, with their places in the whole list.
    pub fn matching<'a>(&self, status: &'a Status) -> Vec<(usize, &'a VirtualServerStatus)> {
        let wanted = self.q.trim().to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        let matches = |v: &VirtualServerStatus| {
            wanted.is_empty()
                || has(&v.label)
                || has(&v.service)
                || v.real_servers.iter().any(|r| has(&r.label) || has(&r.address))
        };
        status.virtual_servers.iter().enumerate().filter(|(_, v)| matches(v)).collect()
    }

    /// The virtual servers of the page, and how many match.
    pub fn select<'a>(&self, status: &'a Status) -> (Vec<(usize, &'a VirtualServerStatus)>, usize) {
        let all = self.matching(status);
        let matching = all.len();
        (all.into_iter().skip(self.page * PER_PAGE).take(PER_PAGE).collect(), matching)
    }
}

/// A state with a symbol and a word: colour never stands alone.
pub fn actual(state: ActualState) -> (&'static str, &'static str) {
    match state {
        ActualState::Active => ("state state-active", "● active"),
        ActualState::NonActive => ("state state-down", "✕ non-active"),
        ActualState::Draining => ("state state-drain", "◐ draining"),
        ActualState::Checking => ("state state-wait", "… checking"),
    }
}

/// A server that is out because somebody wanted it so is no alarm.
pub fn actual_of(r: &RealServerStatus) -> (&'static str, &'static str) {
    match (r.requested, r.actual) {
        (RequestedState::Drain | RequestedState::Offline, ActualState::NonActive) => {
            ("state state-off", "○ non-active")
        }
        (_, state) => actual(state),
    }
}

pub fn virtual_state(v: &VirtualServerStatus) -> (&'static str, &'static str) {
    match (v.active, v.fallback) {
        (true, _) => ("state state-active", "● active"),
        (false, true) => ("state state-drain", "▲ fallback"),
        (false, false) => ("state state-down", "✕ down"),
    }
}

fn state_cell(id: String, (class, text): (&'static str, &'static str)) -> Cell {
    Cell::new(id, text).class(class)
}

/// The live cells of one virtual server: the same for its row and for the stream.
struct VipRow {
    layer: u8,
    number: usize,
    label: String,
    service: String,
    scheduler: String,
    state: Cell,
    active: Cell,
    inactive: Cell,
    rate: Cell,
    bytes_in: Cell,
    bytes_out: Cell,
    rips: Vec<RipRow>,
}

struct RipRow {
    number: usize,
    label: String,
    address: String,
    forwarding: String,
    weight: u32,
    requested: String,
    state: Cell,
    check: Cell,
    active: Cell,
    inactive: Cell,
    rate: Cell,
    bytes_in: Cell,
    bytes_out: Cell,
}

fn vip_row(n: usize, v: &VirtualServerStatus) -> VipRow {
    let sum = |f: fn(&RealServerStatus) -> u32| v.real_servers.iter().map(|r| u64::from(f(r))).sum::<u64>();
    let mark = mark(&[&v.label]);
    let id = |what: &str| format!("{mark}-{what}");
    VipRow {
        layer: v.layer,
        number: n + 1,
        label: v.label.clone(),
        service: v.service.clone(),
        scheduler: v.scheduler.clone(),
        state: state_cell(id("s"), virtual_state(v)),
        active: Cell::new(id("a"), sum(|r| r.active_connections)),
        inactive: Cell::new(id("i"), sum(|r| r.inactive_connections)),
        rate: Cell::new(id("r"), v.counters.connections_per_second),
        bytes_in: Cell::new(id("bi"), bytes(v.counters.bytes_in)),
        bytes_out: Cell::new(id("bo"), bytes(v.counters.bytes_out)),
        rips: v.real_servers.iter().enumerate().map(|(m, r)| rip_row(m, &v.label, r)).collect(),
    }
}

fn rip_row(m: usize, vip: &str, r: &RealServerStatus) -> RipRow {
    let mark = mark(&[vip, &r.label]);
    let id = |what: &str| format!("{mark}-{what}");
    let check = r.check.as_ref().map_or("", |c| c.text.as_str());
    RipRow {
        number: m + 1,
        label: r.label.clone(),
        address: r.address.clone(),
        forwarding: r.forwarding.to_uppercase(),
        weight: r.weight,
        requested: r.requested.to_string(),
        state: state_cell(id("s"), actual_of(r)),
        check: Cell::new(id("c"), check),
        active: Cell::new(id("a"), r.active_connections),
        inactive: Cell::new(id("i"), r.inactive_connections),
        rate: Cell::new(id("r"), r.counters.connections_per_second),
        bytes_in: Cell::new(id("bi"), bytes(r.counters.bytes_in)),
        bytes_out: Cell::new(id("bo"), bytes(r.counters.bytes_out)),
    }
}

/// `1.4 MB`: powers of 1000, as networks count.
pub fn bytes(n: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 99.5 {
        format!("{value:.0} {}", units[unit])
    } else {
        format!("{value:.1} {}", units[unit])
    }
}

/// [`crate::live::Render`] of this page.
pub fn cells(state: &live::State, query: &str) -> Vec<Cell> {
    let part = Part::of(query);
    let mut cells: Vec<Cell> = Vec::new();
    for (n, v) in part.select(&state.status).0 {
        let row = vip_row(n, v);
        cells.extend([row.state, row.active, row.inactive, row.rate, row.bytes_in, row.bytes_out]);
        for r in row.rips {
            cells.extend([r.state, r.check, r.active, r.inactive, r.rate, r.bytes_in, r.bytes_out]);
        }
    }
    cells
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    status: std::sync::Arc<Status>,
    rows: Vec<VipRow>,
    part: Part,
    matching: usize,
    pages: usize,
    down: usize,
}

async fn page(State(app): State<Shared>, seat: Seat, OriginalUri(uri): OriginalUri) -> Result<Response, Refusal> {
    let mut part = Part::of(uri.query().unwrap_or_default());
    let status = app.lbd.status().await?;
    let frame = Frame::load(&app, &seat, "", &["View Configuration", "System Overview"]).await?;
    let (mut found, matching) = part.select(&status);
    let pages = matching.div_ceil(PER_PAGE).max(1);
    if part.page >= pages {
        part.page = pages - 1;
        found = part.select(&status).0;
    }
    let rows = found.into_iter().map(|(n, v)| vip_row(n, v)).collect();
    let frame = frame.live(format!("/lbadmin/live/overview?{}", part.query(part.page)), RELOAD.max(PERIOD));
    let down = status.virtual_servers.iter().filter(|v| !v.active).count();
    show(&Page { frame, rows, part, matching, pages, down, status: status.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_unit_and_two_digits() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (99_499, "99.5 kB"),
            (1_500_000, "1.5 MB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (n, text) in cases {
            assert_eq!(bytes(n), text);
        }
    }
}
