//! Edit Configuration > Network Interfaces.

use super::{EDIT, Place, show, show_removal, take, take_removal};
use crate::{
    Shared,
    forms::InterfaceForm,
    frame::{self, Frame},
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
use serde::Deserialize;

const HERE: &str = "edit/interfaces";
const LIST: &str = "/lbadmin/edit/interfaces";

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(LIST, get(list))
        .route("/lbadmin/edit/interfaces/new", get(show_new).post(take_new))
        .route("/lbadmin/edit/interfaces/modify", get(show_one).post(take_one))
        .route("/lbadmin/edit/interfaces/remove", get(ask).post(remove))
}

#[derive(Deserialize)]
struct Of {
    name: String,
}

struct Row {
    name: String,
    /// For links.
    query: String,
    addresses: Vec<String>,
    mtu: String,
}

#[derive(Template)]
#[template(path = "interfaces.html")]
struct List {
    frame: Frame,
    rows: Vec<Row>,
}

async fn list(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Configure, "Network Interfaces")?;
    let frame = Frame::load(&app, &seat, HERE, &[EDIT, "Network Interfaces"]).await?;
    let rows = frame.candidate().config.node.interfaces.iter().map(|i| Row {
        name: i.name.to_string(),
        query: query(i.name.as_str()),
        addresses: i.addresses.iter().map(ToString::to_string).collect(),
        mtu: i.mtu.map_or_else(|| "the card's".to_owned(), |m| m.to_string()),
    });
    let rows = rows.collect();
    frame::show(&List { frame, rows })
}

fn query(name: &str) -> String {
    serde_urlencoded::to_string([("name", name)]).unwrap_or_default()
}

fn place(title: &'static str, verb: &str, name: &str) -> Place {
    let query = if name.is_empty() { String::new() } else { format!("?{}", query(name)) };
    Place {
        group: EDIT,
        here: HERE,
        title,
        action: format!("{LIST}/{verb}{query}"),
        then: LIST.to_owned(),
        intro: "A change of addresses can cut you off: it is undone by itself unless you keep it after applying."
            .into(),
        links: vec![(LIST.to_owned(), "Network Interfaces")],
        measured: None,
    }
}

fn new() -> Place {
    place("Add a Network Interface", "new", "")
}

async fn show_new(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    show(&app, &seat, &InterfaceForm::add(), new()).await
}

async fn take_new(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    take(&app, sent, &InterfaceForm::add(), new()).await
}

async fn show_one(State(app): State<Shared>, seat: Seat, Query(of): Query<Of>) -> Result<Response, Refusal> {
    show(&app, &seat, &InterfaceForm::modify(&of.name), place("Modify a Network Interface", "modify", &of.name)).await
}

async fn take_one(State(app): State<Shared>, Query(of): Query<Of>, sent: Sent) -> Result<Response, Refusal> {
    take(&app, sent, &InterfaceForm::modify(&of.name), place("Modify a Network Interface", "modify", &of.name)).await
}

async fn ask(State(app): State<Shared>, seat: Seat, Query(of): Query<Of>) -> Result<Response, Refusal> {
    let place = place("Take a Network Interface out of use", "remove", &of.name);
    show_removal(&app, &seat, &InterfaceForm::modify(&of.name), place).await
}

async fn remove(State(app): State<Shared>, Query(of): Query<Of>, sent: Sent) -> Result<Response, Refusal> {
    let place = place("Take a Network Interface out of use", "remove", &of.name);
    take_removal(&app, sent, &InterfaceForm::modify(&of.name), place).await
}
