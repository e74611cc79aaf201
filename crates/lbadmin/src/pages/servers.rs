//! Maintenance > Take a Real Server Offline or Online: at once, past the candidate, for one server after the other.
//!
//! Requested Status is what the administrator wants, Actual Status what the kernel does. A server that is wanted online
//! and is not active has failed its health check; the log of those is a link away.

use crate::{
    Shared,
    app::Flash,
    frame::{Frame, go, show},
    live::{self, Cell, PERIOD, RELOAD, mark},
    pages::{
        edit::{Listing, Wanted, within},
        list::Paging,
        overview::actual_of,
    },
    refusal::{Refusal, words},
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{
    Router,
    extract::{OriginalUri, State},
    response::Response,
    routing::get,
};
use lb_access::Permission;
use lb_api::{ActualState, ClientError, RealServerStatus, StateRequest, Status, VirtualServerStatus};
use lb_model::{Label, RequestedState};

const HERE: &str = "maintenance/servers";
const PAGE: &str = "/lbadmin/maintenance/servers";

pub fn routes() -> Router<Shared> {
    Router::new().route(PAGE, get(page).post(change))
}

struct Vip {
    number: usize,
    label: String,
    service: String,
    rips: Vec<Rip>,
}

struct Rip {
    number: usize,
    label: String,
    address: String,
    active: Cell,
    requested: Cell,
    actual: Cell,
}

fn select<'a>(wanted: &Wanted, status: &'a Status) -> (Vec<(usize, &'a VirtualServerStatus)>, Listing, Paging) {
    wanted.select(&status.virtual_servers, |v, q| {
        within(&v.label, q)
            || within(&v.service, q)
            || v.real_servers.iter().any(|r| within(&r.label, q) || within(&r.address, q))
    })
}

fn vip(n: usize, v: &VirtualServerStatus) -> Vip {
    let rips = v.real_servers.iter().enumerate().map(|(m, r)| rip(m, &v.label, r)).collect();
    Vip { number: n + 1, label: v.label.clone(), service: v.service.clone(), rips }
}

fn rip(m: usize, vip: &str, r: &RealServerStatus) -> Rip {
    let mark = mark(&[vip, &r.label]);
    let id = |what: &str| format!("{mark}-{what}");
    let (class, text) = actual_of(r);
    let failed = r.requested == RequestedState::Online && r.actual == ActualState::NonActive;
    let actual = Cell::new(id("s"), text).class(class);
    Rip {
        number: m + 1,
        label: r.label.clone(),
        address: r.address.clone(),
        active: Cell::new(id("a"), r.active_connections),
        requested: Cell::new(id("w"), requested(r)),
        actual: if failed { actual.link(logs(&r.address), "why? (Ldirectord log)") } else { actual },
    }
}

/// With the weight, as the guide has it.
fn requested(r: &RealServerStatus) -> String {
    match r.requested {
        RequestedState::Online => format!("ONLINE ({})", r.weight),
        other => other.to_string(),
    }
}

/// The health checks of this server.
fn logs(address: &str) -> String {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    format!("/lbadmin/logs/ldirectord?{}", serde_urlencoded::to_string([("filter", host)]).unwrap_or_default())
}

/// [`crate::live::Render`] of this page.
pub fn cells(state: &live::State, query: &str) -> Vec<Cell> {
    let (part, ..) = select(&Wanted::of(query), &state.status);
    let rips =
        part.into_iter().flat_map(|(_, v)| v.real_servers.iter().enumerate().map(move |(m, r)| rip(m, &v.label, r)));
    rips.flat_map(|r| [r.active, r.requested, r.actual]).collect()
}

#[derive(Template)]
#[template(path = "servers.html")]
struct Page {
    frame: Frame,
    vips: Vec<Vip>,
    listing: Listing,
    paging: Paging,
}

async fn page(State(app): State<Shared>, seat: Seat, OriginalUri(uri): OriginalUri) -> Result<Response, Refusal> {
    seat.must(&app, Permission::SetState, "Take a Real Server Offline or Online")?;
    let status = app.lbd.status().await?;
    let wanted = Wanted::of(uri.query().unwrap_or_default());
    let (part, listing, paging) = select(&wanted, &status);
    let vips = part.into_iter().map(|(n, v)| vip(n, v)).collect();
    let frame = Frame::load(&app, &seat, HERE, &["Maintenance", "Take a Real Server Offline or Online"]).await?;
    let frame = frame.live(format!("/lbadmin/live/servers?{}", wanted.query()), RELOAD.max(PERIOD));
    show(&Page { frame, vips, listing, paging })
}

async fn change(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::SetState, "Take a Real Server Offline or Online")?;
    let label =
        |field: &str| sent.get(field).parse::<Label>().map_err(|e| Refusal::Unreadable(format!("{field}: {e}")));
    let state = match sent.get("state") {
        "online" => RequestedState::Online,
        "drain" => RequestedState::Drain,
        "offline" => RequestedState::Offline,
        _ => return Err(Refusal::Unreadable("state: online, drain or offline is expected".into())),
    };
    let request =
        StateRequest { virtual_server: label("vip")?, real_server: label("rip")?, state, author: seat.author() };
    let what = format!("{} of {}: {state}", request.real_server, request.virtual_server);
    let wanted = Wanted { q: sent.get("q").to_owned(), page: sent.get("page").parse().unwrap_or_default() };
    let back = format!("{PAGE}?{}", wanted.query());
    match app.lbd.set_state(&request).await {
        Ok(applied) => {
            seat.audit(&app, "set state", &what);
            let done = match applied.changes.is_empty() {
                true => Flash::good(format!("{what} already.")),
                false if applied.converged => Flash::good(format!("{what}.")),
                false => Flash::bad(format!("{what}, but not all of it works yet; it is tried again by itself."))
                    .lines(applied.pending.iter().map(|p| format!("{}: {}", p.action, p.error)).collect()),
            };
            Ok(go(&app, seat, &back, done))
        }
        Err(error @ ClientError::Refused(_)) => {
            seat.refused(&app, "set state", &what);
            Ok(go(&app, seat, &back, Flash::bad(words(&error))))
        }
        Err(error) => Err(error.into()),
    }
}
