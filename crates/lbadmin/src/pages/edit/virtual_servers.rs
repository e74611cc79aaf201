//! Edit Configuration > Virtual Servers: the list, and a virtual server's own form.

use super::{EDIT, Listing, Place, Wanted, show, show_removal, take, take_removal, within};
use crate::{
    Shared,
    forms::VirtualServerForm,
    frame::{self, Frame},
    pages::list::Paging,
    refusal::Refusal,
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    response::Response,
    routing::get,
};
use lb_access::Permission;
use lb_model::VirtualServer;
use lb_series::Key;
use serde::Deserialize;

const HERE: &str = "edit/virtual-servers";
const LIST: &str = "/lbadmin/edit/virtual-servers";

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(LIST, get(list))
        .route("/lbadmin/edit/virtual-servers/new", get(show_new).post(take_new))
        .route("/lbadmin/edit/virtual-servers/modify", get(show_one).post(take_one))
        .route("/lbadmin/edit/virtual-servers/remove", get(ask).post(remove))
}

/// Labels stand in the query: a path could not tell `new`, `.` and `..` from a label.
#[derive(Deserialize)]
struct Of {
    vip: String,
}

struct Row {
    number: usize,
    label: String,
    service: String,
    scheduler: String,
    persistence: String,
    check: String,
    real_servers: usize,
}

fn row(at: usize, vs: &VirtualServer) -> Row {
    Row {
        number: at + 1,
        label: vs.label.to_string(),
        service: vs.service.to_string(),
        scheduler: vs.scheduler.to_string(),
        persistence: vs.persistence.map_or_else(|| "no".to_owned(), |p| format!("{} s", p.timeout)),
        check: vs.check.method.to_string(),
        real_servers: vs.real_servers.len(),
    }
}

#[derive(Template)]
#[template(path = "virtual_servers.html")]
struct List {
    frame: Frame,
    rows: Vec<Row>,
    listing: Listing,
    paging: Paging,
}

async fn list(State(app): State<Shared>, seat: Seat, Query(wanted): Query<Wanted>) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Configure, "Virtual Servers")?;
    let frame = Frame::load(&app, &seat, HERE, &[EDIT, "Virtual Servers"]).await?;
    let candidate = frame.candidate().clone();
    let (part, listing, paging) = wanted.select(&candidate.config.virtual_servers, |vs, q| {
        within(vs.label.as_str(), q) || within(&vs.service.to_string(), q)
    });
    frame::show(&List { frame, rows: part.into_iter().map(|(at, vs)| row(at, vs)).collect(), listing, paging })
}

fn place(title: &'static str, verb: &str, vip: &str) -> Place {
    let query = if vip.is_empty() { String::new() } else { format!("?{}", query(vip)) };
    Place {
        group: EDIT,
        here: HERE,
        title,
        action: format!("{LIST}/{verb}{query}"),
        then: LIST.to_owned(),
        intro: String::new(),
        links: vec![(LIST.to_owned(), "Virtual Servers"), ("/lbadmin/edit/real-servers".to_owned(), "Real Servers")],
        measured: None,
    }
}

fn query(vip: &str) -> String {
    serde_urlencoded::to_string([("vip", vip)]).unwrap_or_default()
}

fn new() -> Place {
    // A virtual server without real servers does nothing yet.
    Place { then: "/lbadmin/edit/real-servers".to_owned(), ..place("Add a new Virtual Server", "new", "") }
}

async fn show_new(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    show(&app, &seat, &VirtualServerForm::add(), new()).await
}

async fn take_new(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    take(&app, sent, &VirtualServerForm::add(), new()).await
}

async fn show_one(State(app): State<Shared>, seat: Seat, Query(of): Query<Of>) -> Result<Response, Refusal> {
    let mut place = place("Modify a Virtual Server", "modify", &of.vip);
    place.measured = Some(Key::VirtualServer(of.vip.clone()));
    show(&app, &seat, &VirtualServerForm::modify(&of.vip), place).await
}

async fn take_one(State(app): State<Shared>, Query(of): Query<Of>, sent: Sent) -> Result<Response, Refusal> {
    take(&app, sent, &VirtualServerForm::modify(&of.vip), place("Modify a Virtual Server", "modify", &of.vip)).await
}

async fn ask(State(app): State<Shared>, seat: Seat, Query(of): Query<Of>) -> Result<Response, Refusal> {
    let place = place("Remove a Virtual Server", "remove", &of.vip);
    show_removal(&app, &seat, &VirtualServerForm::modify(&of.vip), place).await
}

async fn remove(State(app): State<Shared>, Query(of): Query<Of>, sent: Sent) -> Result<Response, Refusal> {
    let place = place("Remove a Virtual Server", "remove", &of.vip);
    take_removal(&app, sent, &VirtualServerForm::modify(&of.vip), place).await
}
