//! Layer 7 Configuration > Virtual Servers: the list, and a virtual server's own form.

use crate::{
    Shared,
    forms::Layer7VirtualServerForm,
    frame::{self, Frame},
    pages::{
        edit::{
            EDIT, Listing, Place, Wanted,
            object::{Doing, Named, ask, remove, show_new, show_one, take_new, take_one},
            within,
        },
        list::Paging,
    },
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
use lb_model::{Config, Layer7VirtualServer};
use lb_series::Key;
use serde::Deserialize;

const HERE: &str = "edit/layer-7/virtual-servers";
const LIST: &str = "/lbadmin/edit/layer-7/virtual-servers";

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(LIST, get(list))
        .route("/lbadmin/edit/layer-7/virtual-servers/new", get(show_new::<Of>).post(take_new::<Of>))
        .route("/lbadmin/edit/layer-7/virtual-servers/modify", get(show_one::<Of>).post(take_one::<Of>))
        .route("/lbadmin/edit/layer-7/virtual-servers/remove", get(ask::<Of>).post(remove::<Of>))
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
    balance: String,
    persistence: String,
    check: String,
    rules: usize,
    real_servers: usize,
}

fn row(number: usize, vs: &Layer7VirtualServer) -> Row {
    Row {
        number,
        label: vs.label.to_string(),
        service: vs.service(),
        balance: vs.balance.to_string(),
        persistence: vs.persistence.as_ref().map_or_else(|| "no".to_owned(), ToString::to_string),
        check: vs.check.method.to_string(),
        rules: vs.rules.len(),
        real_servers: vs.real_servers.len(),
    }
}

#[derive(Template)]
#[template(path = "layer7_virtual_servers.html")]
struct List {
    frame: Frame,
    rows: Vec<Row>,
    listing: Listing,
    paging: Paging,
}

async fn list(State(app): State<Shared>, seat: Seat, Query(wanted): Query<Wanted>) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Configure, "Layer 7 Virtual Servers")?;
    let frame = Frame::load(&app, &seat, HERE, &[EDIT, "Layer 7 Virtual Servers"]).await?;
    let candidate = frame.candidate().clone();
    let (part, listing, paging) = wanted.select(&candidate.config.layer7.virtual_servers, |vs, q| {
        within(vs.label.as_str(), q) || within(&vs.service(), q)
    });
    let first = super::first_number(&candidate.config);
    frame::show(&List { frame, rows: part.into_iter().map(|(at, vs)| row(first + at, vs)).collect(), listing, paging })
}

impl Named for Of {
    type Form = Layer7VirtualServerForm;

    fn name(&self) -> &str {
        &self.vip
    }

    fn form(&self, doing: Doing) -> Layer7VirtualServerForm {
        match doing {
            Doing::Add => Layer7VirtualServerForm::add(),
            Doing::Modify | Doing::Remove => Layer7VirtualServerForm::modify(&self.vip),
        }
    }

    fn place(&self, _: &Config, doing: Doing) -> Place {
        let query = serde_urlencoded::to_string([("vip", &self.vip)]).unwrap_or_default();
        let real_servers = "/lbadmin/edit/layer-7/real-servers";
        Place {
            title: match doing {
                Doing::Add => "Add a new Layer 7 Virtual Server",
                Doing::Modify => "Modify a Layer 7 Virtual Server",
                Doing::Remove => "Remove a Layer 7 Virtual Server",
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
