//! Edit Configuration > Floating IPs: the VIPs, which float by themselves, and the others, which are added here.

use super::{
    EDIT, Place,
    heartbeat::no_pair,
    object::{Doing, Named, ask, remove, show_new, take_new},
};
use crate::{
    Shared,
    forms::FloatingIpForm,
    frame::{self, Frame},
    pages::list::{Paging, query},
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
use lb_model::Config;
use serde::Deserialize;
use std::net::IpAddr;

const HERE: &str = "edit/floating-ips";
const LIST: &str = "/lbadmin/edit/floating-ips";
const PER_PAGE: usize = 100;
/// Virtual servers named beside an address.
const NAMED: usize = 3;

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(LIST, get(list))
        .route("/lbadmin/edit/floating-ips/new", get(show_new::<Of>).post(take_new::<Of>))
        .route("/lbadmin/edit/floating-ips/remove", get(ask::<Of>).post(remove::<Of>))
}

#[derive(Deserialize)]
struct Of {
    /// Left out where one is added.
    #[serde(default)]
    address: String,
}

struct Row {
    address: IpAddr,
    /// In whose network it is; empty: none.
    interface: String,
    /// The virtual servers on it; none: it was added here.
    virtual_servers: String,
    automatic: bool,
}

fn rows(config: &Config) -> Vec<Row> {
    let on = |address: IpAddr| config.virtual_servers.iter().filter(move |vs| vs.service.address() == Some(address));
    let card =
        |address: IpAddr| config.node.interfaces.iter().find(|i| i.addresses.iter().any(|n| n.contains(&address)));
    let row = |address: IpAddr, automatic: bool| {
        let mut servers = on(address);
        let mut named: Vec<String> = servers.by_ref().take(NAMED).map(|vs| vs.label.to_string()).collect();
        let more = servers.count();
        if more > 0 {
            named.push(format!("and {more} more"));
        }
        let interface = card(address).map_or_else(String::new, |i| i.name.to_string());
        Row { address, interface, virtual_servers: named.join(", "), automatic }
    };
    let vips = config.floating().into_iter().filter(|a| on(*a).next().is_some()).map(|a| row(a, true));
    vips.chain(config.floating_ips.iter().map(|a| row(*a, false))).collect()
}

#[derive(Template)]
#[template(path = "floating_ips.html")]
struct List {
    frame: Frame,
    rows: Vec<Row>,
    paging: Paging,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    page: usize,
}

async fn list(State(app): State<Shared>, seat: Seat, Query(wanted): Query<Wanted>) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Configure, "Floating IPs")?;
    let candidate = app.lbd.candidate().await?;
    let config = &candidate.config;
    if config.heartbeat.is_none() && config.floating_ips.is_empty() {
        let what = "A floating IP is an address that the two units of a pair share: whichever serves has it.";
        return no_pair(&app, &seat, HERE, "Floating IPs", what).await;
    }
    let frame = Frame::load(&app, &seat, HERE, &[EDIT, "Floating IPs"]).await?;
    let all = rows(config);
    let paging = Paging::new(wanted.page, PER_PAGE, all.len(), "floating IPs", |p| query(&[], p));
    let rows = all.into_iter().skip(paging.page * PER_PAGE).take(PER_PAGE).collect();
    frame::show(&List { frame, rows, paging })
}

impl Named for Of {
    type Form = FloatingIpForm;

    fn name(&self) -> &str {
        &self.address
    }

    fn form(&self, doing: Doing) -> FloatingIpForm {
        if doing == Doing::Add { FloatingIpForm::add() } else { FloatingIpForm::of(&self.address) }
    }

    fn place(&self, _: &Config, doing: Doing) -> Place {
        let of = serde_urlencoded::to_string([("address", &self.address)]).unwrap_or_default();
        let query = if doing == Doing::Add { String::new() } else { format!("?{of}") };
        Place {
            title: if doing == Doing::Add { "Add a Floating IP" } else { "Remove a Floating IP" },
            action: format!("{LIST}/{}{query}", doing.word()),
            then: LIST.to_owned(),
            intro: "The VIPs need no entry here: in a pair each of them is a floating IP by itself.".into(),
            links: vec![(LIST.to_owned(), "Floating IPs")],
            ..Place::single(HERE, "")
        }
    }
}
