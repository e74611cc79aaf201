//! Network configuration, routing table and firewall rules, as the kernel has them.

use crate::{
    Shared,
    frame::{Frame, show},
    pages::list::{Paging, lines, query, thousands},
    refusal::Refusal,
    seat::Seat,
};
use askama::Template;
use axum::{
    extract::{OriginalUri, State},
    response::Response,
};
use lb_api::{AddressView, InterfaceView, RouteView, SystemView};
use serde::Deserialize;

/// Addresses or routes on a page.
const PER_PAGE: usize = 200;
/// Lines of rules on a page.
const LINES: usize = 1000;
/// Virtual servers named beside an address.
const NAMED: usize = 5;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    q: String,
    page: usize,
}

impl Wanted {
    fn of(uri: &OriginalUri) -> Wanted {
        serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default()
    }

    fn query(&self, page: usize) -> String {
        query(&[("q", &self.q)], page)
    }

    fn matches(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.q.trim().to_lowercase())
    }
}

struct Card {
    name: String,
    class: &'static str,
    state: &'static str,
    mac: String,
    mtu: u32,
    addresses: usize,
    errors: String,
    dropped: String,
}

/// A symbol and words: whether the card is on, and whether somebody is at the other end.
fn carrier(i: &InterfaceView) -> (&'static str, &'static str) {
    match (i.up, i.carrier) {
        (true, true) => ("state state-active", "● up, cable connected"),
        (true, false) => ("state state-down", "✕ up, but no cable or nobody at its other end"),
        (false, _) => ("state state-off", "○ switched off"),
    }
}

fn card(i: &InterfaceView, system: Option<&SystemView>) -> Card {
    let (class, state) = carrier(i);
    let counters = system.and_then(|s| s.interfaces.iter().find(|c| c.name == i.name));
    let count = |n: Option<u64>| n.map_or_else(|| "–".to_owned(), thousands);
    Card {
        name: i.name.clone(),
        class,
        state,
        mac: i.mac.clone(),
        mtu: i.mtu,
        addresses: i.addresses.len(),
        errors: count(counters.map(|c| c.errors)),
        dropped: count(counters.map(|c| c.dropped)),
    }
}

struct Address {
    interface: String,
    address: String,
    purpose: &'static str,
    virtual_servers: String,
}

fn purpose(word: &str) -> &'static str {
    match word {
        "interface" => "this unit's own",
        "vip" => "virtual servers",
        "floating" => "floating IP, held by this unit",
        _ => "not configured here",
    }
}

fn address(interface: &str, a: &AddressView) -> Address {
    let mut named = a.virtual_servers.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if a.virtual_servers.len() > NAMED {
        named.push_str(&format!(" and {} more", a.virtual_servers.len() - NAMED));
    }
    Address {
        interface: interface.to_owned(),
        address: a.address.clone(),
        purpose: purpose(&a.purpose),
        virtual_servers: named,
    }
}

#[derive(Template)]
#[template(path = "view-network.html")]
struct Cards {
    frame: Frame,
    q: String,
    hostname: String,
    nameservers: String,
    cards: Vec<Card>,
    addresses: Vec<Address>,
    paging: Paging,
}

pub async fn cards(State(app): State<Shared>, seat: Seat, uri: OriginalUri) -> Result<Response, Refusal> {
    let wanted = Wanted::of(&uri);
    let frame = Frame::load(&app, &seat, "view/network", &["View Configuration", "Network Configuration"]).await?;
    let (network, system, running) = tokio::join!(app.lbd.client.network(), app.lbd.client.system(), app.lbd.running());
    let (network, system, running) = (network?, system.ok(), running?);
    let all = network.interfaces.iter().flat_map(|i| i.addresses.iter().map(move |a| (i, a)));
    let fits = |i: &InterfaceView, a: &AddressView| {
        wanted.matches(&i.name) || wanted.matches(&a.address) || a.virtual_servers.iter().any(|v| wanted.matches(v))
    };
    let found: Vec<_> = all.filter(|(i, a)| fits(i, a)).collect();
    let paging = Paging::new(wanted.page, PER_PAGE, found.len(), "addresses", |p| wanted.query(p));
    let part = found.into_iter().skip(paging.page * PER_PAGE).take(PER_PAGE);
    let node = &running.config.node;
    show(&Cards {
        hostname: node.hostname.to_string(),
        nameservers: node.nameservers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        cards: network.interfaces.iter().map(|i| card(i, system.as_ref())).collect(),
        addresses: part.map(|(i, a)| address(&i.name, a)).collect(),
        paging,
        q: wanted.q,
        frame,
    })
}

struct Route {
    to: String,
    via: String,
    interface: String,
    origin: &'static str,
}

fn route(r: RouteView) -> Route {
    Route {
        origin: match r.origin.as_str() {
            "configured" => "configured",
            "kernel" => "network of an interface",
            _ => "not configured here",
        },
        to: r.to,
        via: r.via.unwrap_or_default(),
        interface: r.interface,
    }
}

#[derive(Template)]
#[template(path = "view-routing.html")]
struct Routing {
    frame: Frame,
    routes: Vec<Route>,
    paging: Paging,
}

pub async fn routing(State(app): State<Shared>, seat: Seat, uri: OriginalUri) -> Result<Response, Refusal> {
    let wanted = Wanted::of(&uri);
    let frame = Frame::load(&app, &seat, "view/routing", &["View Configuration", "Routing Table"]).await?;
    let routes = app.lbd.client.network().await?.routes;
    let paging = Paging::new(wanted.page, PER_PAGE, routes.len(), "routes", |p| query(&[], p));
    let routes = routes.into_iter().skip(paging.page * PER_PAGE).take(PER_PAGE).map(route).collect();
    show(&Routing { frame, routes, paging })
}

#[derive(Template)]
#[template(path = "view-firewall.html")]
struct Firewall {
    frame: Frame,
    rules: String,
    paging: Paging,
}

pub async fn firewall(State(app): State<Shared>, seat: Seat, uri: OriginalUri) -> Result<Response, Refusal> {
    let wanted = Wanted::of(&uri);
    let frame = Frame::load(&app, &seat, "view/firewall", &["View Configuration", "Firewall Rules"]).await?;
    let rules = app.lbd.client.network().await?.firewall;
    let paging = Paging::new(wanted.page, LINES, rules.lines().count(), "lines", |p| query(&[], p));
    show(&Firewall { frame, rules: lines(&rules, paging.page, LINES).0, paging })
}
