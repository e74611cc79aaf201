//! Edit Configuration > Network Interfaces.

use super::{
    EDIT, Place,
    object::{Doing, Named, ask, remove, show_new, show_one, take_new, take_one},
};
use crate::{
    Shared,
    forms::InterfaceForm,
    frame::{self, Frame},
    refusal::Refusal,
    seat::Seat,
};
use askama::Template;
use axum::{Router, extract::State, response::Response, routing::get};
use lb_access::Permission;
use lb_model::Config;
use serde::Deserialize;

const HERE: &str = "edit/interfaces";
const LIST: &str = "/lbadmin/edit/interfaces";

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(LIST, get(list))
        .route("/lbadmin/edit/interfaces/new", get(show_new::<Of>).post(take_new::<Of>))
        .route("/lbadmin/edit/interfaces/modify", get(show_one::<Of>).post(take_one::<Of>))
        .route("/lbadmin/edit/interfaces/remove", get(ask::<Of>).post(remove::<Of>))
}

#[derive(Deserialize)]
struct Of {
    /// Left out where one is added.
    #[serde(default)]
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

impl Named for Of {
    type Form = InterfaceForm;

    fn name(&self) -> &str {
        &self.name
    }

    fn form(&self, doing: Doing) -> InterfaceForm {
        if doing == Doing::Add { InterfaceForm::add() } else { InterfaceForm::modify(&self.name) }
    }

    fn place(&self, _: &Config, doing: Doing) -> Place {
        let query = if doing == Doing::Add { String::new() } else { format!("?{}", query(&self.name)) };
        Place {
            title: match doing {
                Doing::Add => "Add a Network Interface",
                Doing::Modify => "Modify a Network Interface",
                Doing::Remove => "Take a Network Interface out of use",
            },
            action: format!("{LIST}/{}{query}", doing.word()),
            then: LIST.to_owned(),
            intro: "A change of addresses can cut you off: it is undone by itself unless you keep it after applying."
                .into(),
            links: vec![(LIST.to_owned(), "Network Interfaces")],
            ..Place::single(HERE, "")
        }
    }
}
