//! Edit Configuration > Virtual Servers: the list, and a virtual server's own form.

use super::{
    EDIT, Listing, Place, Wanted,
    object::{Doing, Named, ask, remove, show_new, show_one, take_new, take_one},
    within,
};
use crate::{
    Shared,
    forms::VirtualServerForm,
    frame::{self, Frame},
    pages::list::Paging,
    refusal::Refusal,
    seat::Seat,
};
use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    response::Response,
    routing::get,
};
use lb_access::Permission;
use lb_model::{Config, VirtualServer};
use lb_series::Key;
use serde::Deserialize;

const HERE: &str = "edit/virtual-servers";
const LIST: &str = "/lbadmin/edit/virtual-servers";

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(LIST, get(list))
        .route("/lbadmin/edit/virtual-servers/new", get(show_new::<Of>).post(take_new::<Of>))
        .route("/lbadmin/edit/virtual-servers/modify", get(show_one::<Of>).post(take_one::<Of>))
        .route("/lbadmin/edit/virtual-servers/remove", get(ask::<Of>).post(remove::<Of>))
}

#[derive(Deserialize)]
struct Of {
    /// Left out where one is added.
    #[serde(default)]
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

impl Named for Of {
    type Form = VirtualServerForm;

    fn name(&self) -> &str {
        &self.vip
    }

    fn form(&self, doing: Doing) -> VirtualServerForm {
        if doing == Doing::Add { VirtualServerForm::add() } else { VirtualServerForm::modify(&self.vip) }
    }

    fn place(&self, _: &Config, doing: Doing) -> Place {
        let query = serde_urlencoded::to_string([("vip", &self.vip)]).unwrap_or_default();
        let real_servers = "/lbadmin/edit/real-servers";
        Place {
            title: match doing {
                Doing::Add => "Add a new Virtual Server",
                Doing::Modify => "Modify a Virtual Server",
                Doing::Remove => "Remove a Virtual Server",
            },
            action: match doing {
                Doing::Add => format!("{LIST}/new"),
                _ => format!("{LIST}/{}?{query}", doing.word()),
            },
            // A virtual server without real servers does nothing yet.
            then: if doing == Doing::Add { real_servers } else { LIST }.to_owned(),
            links: vec![(LIST.to_owned(), "Virtual Servers"), (real_servers.to_owned(), "Real Servers")],
            measured: (doing == Doing::Modify).then(|| Key::VirtualServer(self.vip.clone())),
            ..Place::single(HERE, "")
        }
    }
}
