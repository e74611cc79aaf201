//! Layer 7 Configuration > Real Servers: the tree of virtual servers as at layer 4, and a real server's form.

use crate::{
    Shared,
    forms::Layer7RealServerForm,
    frame::{self, Frame},
    pages::{
        edit::{
            EDIT, Listing, Place, Wanted,
            object::{Doing, Named, ask, remove, show_new, show_one, take_new, take_one},
            real_servers::address,
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
use lb_model::{Config, Layer7RealServer, Layer7VirtualServer, RequestedState, layer7::SendProxy};
use lb_series::Key;
use serde::Deserialize;

const HERE: &str = "edit/layer-7/real-servers";
const LIST: &str = "/lbadmin/edit/layer-7/real-servers";

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(LIST, get(list))
        .route("/lbadmin/edit/layer-7/real-servers/new", get(show_new::<Of>).post(take_new::<Of>))
        .route("/lbadmin/edit/layer-7/real-servers/modify", get(show_one::<Of>).post(take_one::<Of>))
        .route("/lbadmin/edit/layer-7/real-servers/remove", get(ask::<Of>).post(remove::<Of>))
}

#[derive(Deserialize)]
struct Of {
    vip: String,
    /// Left out where one is added.
    #[serde(default)]
    rip: String,
}

struct Vip {
    number: usize,
    label: String,
    /// `http 10.0.0.21:80`
    place: String,
    rips: Vec<Rip>,
}

struct Rip {
    number: usize,
    label: String,
    address: String,
    /// What is spoken before and around the traffic; empty: nothing.
    speaks: String,
    weight: u16,
    minimum: u32,
    maximum: u32,
    /// Empty: online.
    state: String,
}

fn speaks(rs: &Layer7RealServer) -> String {
    let proxy = (rs.send_proxy != SendProxy::None).then(|| format!("PROXY {}", rs.send_proxy));
    let tls = rs.tls.then(|| "TLS".to_owned());
    proxy.into_iter().chain(tls).collect::<Vec<_>>().join(", ")
}

fn vip(number: usize, vs: &Layer7VirtualServer) -> Vip {
    let rip = |(j, rs): (usize, &Layer7RealServer)| Rip {
        number: j + 1,
        label: rs.label.to_string(),
        address: address(rs.address, rs.port),
        speaks: speaks(rs),
        weight: rs.weight,
        minimum: rs.min_connections,
        maximum: rs.max_connections,
        state: match rs.state {
            RequestedState::Online => String::new(),
            other => other.to_string(),
        },
    };
    Vip {
        number,
        label: vs.label.to_string(),
        place: vs.service(),
        rips: vs.real_servers.iter().enumerate().map(rip).collect(),
    }
}

#[derive(Template)]
#[template(path = "layer7_real_servers.html")]
struct List {
    frame: Frame,
    vips: Vec<Vip>,
    listing: Listing,
    paging: Paging,
}

async fn list(State(app): State<Shared>, seat: Seat, Query(wanted): Query<Wanted>) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Configure, "Layer 7 Real Servers")?;
    let frame = Frame::load(&app, &seat, HERE, &[EDIT, "Layer 7 Real Servers"]).await?;
    let candidate = frame.candidate().clone();
    let (part, listing, paging) = wanted.select(&candidate.config.layer7.virtual_servers, |vs, q| {
        within(vs.label.as_str(), q)
            || within(&vs.service(), q)
            || vs.real_servers.iter().any(|r| within(r.label.as_str(), q) || within(&address(r.address, r.port), q))
    });
    let first = super::first_number(&candidate.config);
    frame::show(&List { frame, vips: part.into_iter().map(|(at, vs)| vip(first + at, vs)).collect(), listing, paging })
}

/// `VIP 1 Shop (http 192.168.1.23:80)`
fn intro(config: &Config, label: &str) -> String {
    let list = &config.layer7.virtual_servers;
    let at = list.iter().position(|v| v.label.as_str() == label);
    at.map_or_else(String::new, |at| {
        format!("VIP {} {label} ({})", super::first_number(config) + at, list[at].service())
    })
}

impl Named for Of {
    type Form = Layer7RealServerForm;

    fn name(&self) -> &str {
        &self.rip
    }

    fn form(&self, doing: Doing) -> Layer7RealServerForm {
        match doing {
            Doing::Add => Layer7RealServerForm::add(&self.vip),
            Doing::Modify | Doing::Remove => Layer7RealServerForm::modify(&self.vip, &self.rip),
        }
    }

    fn place(&self, config: &Config, doing: Doing) -> Place {
        let Of { vip, rip } = self;
        let of = if doing == Doing::Add { vec![("vip", vip)] } else { vec![("vip", vip), ("rip", rip)] };
        let query = serde_urlencoded::to_string(of).unwrap_or_default();
        let key = || Key::RealServer { virtual_server: vip.clone(), real_server: rip.clone() };
        Place {
            title: match doing {
                Doing::Add => "Add a new Layer 7 Real Server",
                Doing::Modify => "Modify a Layer 7 Real Server",
                Doing::Remove => "Remove a Layer 7 Real Server",
            },
            action: format!("{LIST}/{}?{query}", doing.word()),
            then: LIST.to_owned(),
            intro: intro(config, vip),
            links: vec![
                (LIST.to_owned(), "Real Servers"),
                ("/lbadmin/edit/layer-7/virtual-servers".to_owned(), "Virtual Servers"),
            ],
            measured: (doing == Doing::Modify).then(key),
            ..Place::single(HERE, "")
        }
    }
}
