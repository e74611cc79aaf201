//! Edit Configuration > Real Servers: the tree of virtual servers as in the guide, and a real server's form.

use super::{
    EDIT, Listing, Place, Wanted,
    object::{Doing, Named, ask, remove, show_new, show_one, take_new, take_one},
    within,
};
use crate::{
    Shared,
    forms::RealServerForm,
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
use lb_model::{Config, RealServer, RequestedState, Service, VirtualServer};
use lb_series::Key;
use serde::Deserialize;
use std::net::IpAddr;

const HERE: &str = "edit/real-servers";
const LIST: &str = "/lbadmin/edit/real-servers";

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(LIST, get(list))
        .route("/lbadmin/edit/real-servers/new", get(show_new::<Of>).post(take_new::<Of>))
        .route("/lbadmin/edit/real-servers/modify", get(show_one::<Of>).post(take_one::<Of>))
        .route("/lbadmin/edit/real-servers/remove", get(ask::<Of>).post(remove::<Of>))
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
    /// `10.0.0.21:80`, as the guide has it in brackets.
    place: String,
    rips: Vec<Rip>,
}

struct Rip {
    number: usize,
    label: String,
    address: String,
    forwarding: String,
    weight: u32,
    minimum: u32,
    maximum: u32,
    /// Empty: online.
    state: String,
}

/// Without the protocol where it is TCP, as in the guide.
fn service(service: &Service) -> String {
    let text = service.to_string();
    text.strip_prefix("tcp ").map_or(text.clone(), str::to_owned)
}

pub fn address(address: IpAddr, port: Option<u16>) -> String {
    match (address, port) {
        (address, None) => address.to_string(),
        (IpAddr::V4(a), Some(port)) => format!("{a}:{port}"),
        (IpAddr::V6(a), Some(port)) => format!("[{a}]:{port}"),
    }
}

fn vip(at: usize, vs: &VirtualServer) -> Vip {
    let rip = |(j, rs): (usize, &RealServer)| Rip {
        number: j + 1,
        label: rs.label.to_string(),
        address: address(rs.address, rs.port.or(vs.service.single_port())),
        forwarding: rs.forwarding.as_str().to_uppercase(),
        weight: rs.weight,
        minimum: rs.min_connections,
        maximum: rs.max_connections,
        state: match rs.state {
            RequestedState::Online => String::new(),
            other => other.to_string(),
        },
    };
    Vip {
        number: at + 1,
        label: vs.label.to_string(),
        place: service(&vs.service),
        rips: vs.real_servers.iter().enumerate().map(rip).collect(),
    }
}

#[derive(Template)]
#[template(path = "real_servers.html")]
struct List {
    frame: Frame,
    vips: Vec<Vip>,
    listing: Listing,
    paging: Paging,
}

async fn list(State(app): State<Shared>, seat: Seat, Query(wanted): Query<Wanted>) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Configure, "Real Servers")?;
    let frame = Frame::load(&app, &seat, HERE, &[EDIT, "Real Servers"]).await?;
    let candidate = frame.candidate().clone();
    let (part, listing, paging) = wanted.select(&candidate.config.virtual_servers, |vs, q| {
        within(vs.label.as_str(), q)
            || within(&vs.service.to_string(), q)
            || vs.real_servers.iter().any(|r| within(r.label.as_str(), q) || within(&address(r.address, r.port), q))
    });
    frame::show(&List { frame, vips: part.into_iter().map(|(at, vs)| vip(at, vs)).collect(), listing, paging })
}

/// `VIP 1 HTTP_Cluster (192.168.1.23:80)`
fn intro(config: &Config, label: &str) -> String {
    let at = config.virtual_servers.iter().position(|v| v.label.as_str() == label);
    at.map_or_else(String::new, |at| {
        format!("VIP {} {label} ({})", at + 1, service(&config.virtual_servers[at].service))
    })
}

impl Named for Of {
    type Form = RealServerForm;

    fn name(&self) -> &str {
        &self.rip
    }

    fn form(&self, doing: Doing) -> RealServerForm {
        if doing == Doing::Add { RealServerForm::add(&self.vip) } else { RealServerForm::modify(&self.vip, &self.rip) }
    }

    fn place(&self, config: &Config, doing: Doing) -> Place {
        let Of { vip, rip } = self;
        let of = if doing == Doing::Add { vec![("vip", vip)] } else { vec![("vip", vip), ("rip", rip)] };
        let query = serde_urlencoded::to_string(of).unwrap_or_default();
        let key = || Key::RealServer { virtual_server: vip.clone(), real_server: rip.clone() };
        Place {
            title: match doing {
                Doing::Add => "Add a new Real Server",
                Doing::Modify => "Modify a Real Server",
                Doing::Remove => "Remove a Real Server",
            },
            action: format!("{LIST}/{}?{query}", doing.word()),
            then: LIST.to_owned(),
            intro: intro(config, vip),
            links: vec![
                (LIST.to_owned(), "Real Servers"),
                ("/lbadmin/edit/virtual-servers".to_owned(), "Virtual Servers"),
            ],
            measured: (doing == Doing::Modify).then(key),
            ..Place::single(HERE, "")
        }
    }
}
