//! View Configuration > High Availability: the pair as this unit knows it, live, and the same on both units.
//!
//! What moves the floating IPs, and the choice between two histories, stand in [`actions`]; making and ending a pair
//! in [`pairing`]. Every word about the state is lbd's; this decides only how it looks. Tested by `tests/it/ha`,
//! with an lbd that answers as one of a pair.

mod actions;
mod pairing;

use crate::{
    Shared,
    frame::{Frame, role, show, time, web},
    live::{Cell, RELOAD, State, mark},
    refusal::Refusal,
    seat::Seat,
};
use askama::Template;
use axum::{Router, extract, response::Response, routing::get};
use lb_api::{FloatingView, HaRole, HaView, PathView, PeerView, ReplicationState, ReplicationView};

pub fn routes() -> Router<Shared> {
    Router::new().route("/lbadmin/ha", get(page)).merge(actions::routes()).merge(pairing::routes())
}

/// Everything that changes by itself, by its place on the page.
struct View {
    role: Cell,
    since: Cell,
    why: Cell,
    fit: Cell,
    hot: Cell,
    floating: Vec<Floating>,
    paths: Vec<Path>,
    peer: Option<Peer>,
    replication: Option<Replication>,
}

struct Floating {
    address: String,
    interface: String,
    purpose: &'static str,
    place: Cell,
}

struct Path {
    name: String,
    kind: &'static str,
    state: Cell,
    loss: Cell,
    latency: Cell,
    error: Cell,
}

struct Peer {
    hostname: Cell,
    role: Cell,
    heard: Cell,
    fit: Cell,
    hot: Cell,
    web: Option<String>,
    fingerprint: String,
}

struct Replication {
    state: Cell,
    last: Cell,
    detail: Cell,
}

fn badge(id: impl Into<String>, (class, text): (&'static str, &'static str)) -> Cell {
    Cell::new(id, text).class(class)
}

fn good(is: bool, yes: &'static str, no: &'static str) -> (&'static str, &'static str) {
    if is { ("state state-active", yes) } else { ("state state-down", no) }
}

/// A unit without the connections of the other is ready, only not in the best way.
fn hot(is: bool) -> (&'static str, &'static str) {
    if is { ("state state-active", "● has them") } else { ("state state-drain", "▲ not all of them yet") }
}

impl View {
    fn of(ha: &HaView) -> View {
        let unfit = ha.unfit.join("; ");
        let fit = match unfit.is_empty() {
            true => badge("ha-fit", good(true, "● fit", "")),
            false => Cell::new("ha-fit", format!("✕ unfit: {unfit}")).class("error"),
        };
        View {
            role: badge("ha-role", role(ha.role)),
            since: Cell::new("ha-since", ha.since.map_or_else(String::new, |at| format!("since {} (UTC)", time(at)))),
            why: Cell::new("ha-why", &ha.why),
            fit,
            hot: if ha.role == HaRole::Active {
                badge("ha-hot", ("state state-active", "● makes them"))
            } else {
                badge("ha-hot", hot(ha.hot))
            },
            floating: ha.floating.iter().map(|f| floating(ha, f)).collect(),
            paths: ha.paths.iter().map(path).collect(),
            peer: ha.peer.as_ref().map(peer),
            replication: ha.replication.as_ref().map(replication),
        }
    }

    fn cells(self) -> Vec<Cell> {
        let mut cells = vec![self.role, self.since, self.why, self.fit, self.hot];
        cells.extend(self.floating.into_iter().map(|f| f.place));
        cells.extend(self.paths.into_iter().flat_map(|p| [p.state, p.loss, p.latency, p.error]));
        cells.extend(self.peer.into_iter().flat_map(|p| [p.hostname, p.role, p.heard, p.fit, p.hot]));
        cells.extend(self.replication.into_iter().flat_map(|r| [r.state, r.last, r.detail]));
        cells
    }
}

fn floating(ha: &HaView, f: &FloatingView) -> Floating {
    let peer_serves = ha.peer.as_ref().is_some_and(|p| p.heard && p.role == HaRole::Active);
    let place = match (f.here, peer_serves) {
        (true, _) => ("state state-active", "● on this unit"),
        (false, true) => ("state state-off", "○ on the other unit"),
        (false, false) => ("state state-down", "✕ not on this unit"),
    };
    Floating {
        address: f.address.to_string(),
        interface: f.interface.to_string(),
        purpose: if f.vip { "virtual servers" } else { "floating IP, such as real servers' gateway" },
        place: badge(mark(&["floating", &f.address.to_string()]), place),
    }
}

fn path(p: &PathView) -> Path {
    let mark = mark(&["path", &p.name]);
    let id = |what: &str| format!("{mark}-{what}");
    Path {
        name: p.name.clone(),
        kind: if p.serial { "null-modem cable" } else { "network" },
        state: badge(id("s"), good(p.up, "● up", "✕ down")),
        loss: Cell::new(id("l"), p.loss_percent.map_or_else(|| "–".to_owned(), |l| format!("{l} %"))),
        latency: Cell::new(id("t"), p.latency_us.map_or_else(|| "–".to_owned(), latency)),
        error: Cell::new(id("e"), p.error.as_deref().unwrap_or_default()),
    }
}

/// Microseconds as `0.42 ms`.
fn latency(us: u64) -> String {
    match us {
        0..10_000 => format!("{:.2} ms", us as f64 / 1000.0),
        _ => format!("{} ms", us / 1000),
    }
}

fn peer(p: &PeerView) -> Peer {
    let hostname = if p.hostname.is_empty() { "the other unit" } else { &p.hostname };
    // What it said last is worth little when it is not heard any more.
    let (role_badge, fit, hot) = match p.heard {
        true => (role(p.role), good(p.fit, "● fit", "✕ unfit"), hot(p.hot)),
        false => {
            let unknown = ("state state-down", "▲ unknown");
            (unknown, unknown, unknown)
        }
    };
    Peer {
        hostname: Cell::new("peer-hostname", hostname),
        role: badge("peer-role", role_badge),
        heard: badge("peer-heard", good(p.heard, "● heard", "✕ not heard")),
        fit: badge("peer-fit", fit),
        hot: badge("peer-hot", hot),
        web: web(p).map(str::to_owned),
        fingerprint: p.fingerprint.clone(),
    }
}

fn replication(r: &ReplicationView) -> Replication {
    let state = match r.state {
        ReplicationState::InSync => ("state state-active", "● the same on both"),
        ReplicationState::Behind => ("state state-wait", "… on its way"),
        ReplicationState::Refused => ("state state-down", "✕ refused by the other unit"),
        ReplicationState::Diverged => ("state state-down", "▲ diverged: a choice is needed"),
        ReplicationState::Unreachable => ("state state-down", "✕ the other unit is not reached"),
    };
    Replication {
        state: badge("sync-state", state),
        last: Cell::new("sync-last", r.last.map_or_else(|| "not yet".to_owned(), |at| format!("{} (UTC)", time(at)))),
        detail: Cell::new("sync-detail", &r.detail),
    }
}

/// [`crate::live::Render`] of this page.
pub fn cells(state: &State, _query: &str) -> Vec<Cell> {
    View::of(&state.ha).cells()
}

#[derive(Template)]
#[template(path = "ha.html")]
struct Page {
    frame: Frame,
    view: View,
    /// Which of the two, in words; empty: unknown.
    unit: String,
    actions: Vec<&'static actions::Action>,
    diverged: bool,
    single: bool,
    /// Paired, but the configuration makes no pair of it yet.
    half: bool,
}

async fn page(extract::State(app): extract::State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    let frame = Frame::load(&app, &seat, "ha", &["View Configuration", "High Availability"]).await?;
    let single = frame.ha().role == HaRole::Single;
    let frame = if single { frame } else { frame.live("/lbadmin/live/ha", RELOAD) };
    let ha = frame.ha();
    let page = Page {
        view: View::of(ha),
        unit: ha.unit.map_or_else(String::new, |unit| format!("unit {unit}")),
        actions: if frame.may_administer { actions::offered(ha) } else { Vec::new() },
        diverged: ha.replication.as_ref().is_some_and(|r| r.state == ReplicationState::Diverged),
        single,
        half: single && ha.peer.is_some(),
        frame,
    };
    show(&page)
}

#[cfg(test)]
mod tests;
