//! Reports > Current Connections and Persistent Connections: the kernel's table, filtered and paged by lbd.
//!
//! A filter takes addresses, or labels of the running configuration; what it cannot read comes back in the form. A row
//! in SYN_RECV says what is wrong with its real server. Persistent Connections has what layer 7 remembers below
//! ([`layer7`]); a filter that means something of one layer only shows nothing of the other.

mod filter;
mod layer7;

use crate::{
    Shared,
    app::Flash,
    frame::{Frame, go, refused, show},
    pages::list::{Paging, duration, thousands},
    refusal::{Refusal, words},
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{
    Router,
    extract::{OriginalUri, State},
    response::Response,
    routing::{get, post},
};
use filter::{Filter, Wrong};
use lb_access::Permission;
use lb_api::{Connection, ConnectionKind, ConnectionsView, ForgetRequest, StateCount};
use lb_model::{Config, ForwardingMethod, RealServer, Service, VirtualServer};
use std::net::{IpAddr, SocketAddr};

/// Entries on a page.
const PER_PAGE: usize = 100;

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/lbadmin/connections", get(current))
        .route("/lbadmin/persistent", get(persistent))
        .route("/lbadmin/persistent/remove", post(remove))
        .route("/lbadmin/persistent/remove-layer-7", post(layer7::remove))
        .route("/lbadmin/persistent/clear/{label}", get(layer7::ask_clear).post(layer7::clear))
}

struct Row {
    protocol: String,
    client: SocketAddr,
    virtual_server: String,
    virtual_label: String,
    real_server: SocketAddr,
    real_label: String,
    state: String,
    expires: String,
    /// The virtual server as the kernel names it.
    place: SocketAddr,
    /// What a state that should pass means when it stays.
    advice: &'static str,
}

/// The virtual server that clients reach at `address`, if it is configured.
fn virtual_server<'a>(config: &'a Config, protocol: &str, at: SocketAddr) -> Option<&'a VirtualServer> {
    if protocol == "IP" {
        // A template of a firewall mark, whose number stands in the place of the address (`ip_vs_core.c`).
        let mark = mark(at.ip());
        return config.virtual_servers.iter().find(|v| v.service.mark().map(u32::from) == Some(mark));
    }
    config.virtual_servers.iter().find(|v| match &v.service {
        Service::Address { address, protocol: p, ports, .. } => {
            *address == at.ip()
                && protocol.eq_ignore_ascii_case(p.as_str())
                && (at.port() == 0
                    || ports.is_any()
                    || ports.ranges().iter().any(|r| (r.first..=r.last).contains(&at.port())))
        }
        Service::FirewallMark { .. } => false,
    })
}

/// Its first four bytes; the rest of an IPv6 one is not set.
fn mark(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(a) => u32::from(a),
        IpAddr::V6(a) => (u128::from(a) >> 96) as u32,
    }
}

fn real_server(v: &VirtualServer, at: SocketAddr) -> Option<&RealServer> {
    let fits = |r: &&RealServer| r.address == at.ip() && r.port.is_none_or(|p| p == at.port());
    v.real_servers.iter().find(fits)
}

/// Why a connection stays half open, in one sentence.
fn advice(state: &str, forwarding: Option<ForwardingMethod>) -> &'static str {
    if !matches!(state, "SYN_RECV" | "SYNACK") {
        return "";
    }
    match forwarding {
        Some(ForwardingMethod::Nat) => {
            "If it stays, the real server is set up wrongly: its answers do not come back through this unit. \
             Its default gateway must be this unit's internal address."
        }
        Some(ForwardingMethod::Dr) => {
            "If it stays, the real server is set up wrongly: it does not answer for the VIP. \
             It must own the VIP on its loopback and not answer ARP for it."
        }
        Some(ForwardingMethod::Tun) => {
            "If it stays, the real server is set up wrongly: it does not answer for the VIP. \
             It must own the VIP on a tunnel interface and take the tunnel's packets."
        }
        None => {
            "If it stays, the real server is set up wrongly: with NAT its default gateway must be this unit, \
             with DR it must own the VIP without answering ARP for it."
        }
    }
}

fn row(config: &Config, c: &Connection) -> Row {
    let v = virtual_server(config, &c.protocol, c.virtual_server);
    let r = v.and_then(|v| real_server(v, c.real_server));
    Row {
        protocol: c.protocol.clone(),
        client: c.client,
        virtual_server: match c.protocol.as_str() {
            "IP" => format!("firewall mark {}", mark(c.virtual_server.ip())),
            _ => c.virtual_server.to_string(),
        },
        virtual_label: v.map_or_else(String::new, |v| v.label.to_string()),
        real_server: c.real_server,
        real_label: r.map_or_else(String::new, |r| r.label.to_string()),
        state: c.state.clone(),
        expires: duration(c.expires.into()),
        place: c.virtual_server,
        advice: advice(&c.state, r.map(|r| r.forwarding)),
    }
}

/// A state with its count and the filter that shows it alone.
struct StateLink {
    state: String,
    count: String,
    query: String,
    chosen: bool,
}

fn state_link(filter: &Filter, s: &StateCount) -> StateLink {
    let only = Filter { state: s.state.clone(), ..filter.clone() };
    StateLink {
        state: s.state.clone(),
        count: thousands(s.count as u64),
        query: only.query(0),
        chosen: filter.state.eq_ignore_ascii_case(&s.state),
    }
}

#[derive(Template)]
#[template(path = "connections.html")]
struct Page {
    frame: Frame,
    persistent: bool,
    filter: Filter,
    wrong: Wrong,
    rows: Vec<Row>,
    states: Vec<StateLink>,
    /// Some rows wait in SYN_RECV.
    half_open: bool,
    total: String,
    truncated: bool,
    paging: Paging,
    again: String,
    /// The filter can mean something of layer 4.
    layer4: bool,
    /// Where something at layer 7 remembers clients.
    layer7: Option<layer7::Section>,
}

async fn current(state: State<Shared>, seat: Seat, uri: OriginalUri) -> Result<Response, Refusal> {
    page(state, seat, uri, ConnectionKind::Connections).await
}

async fn persistent(state: State<Shared>, seat: Seat, uri: OriginalUri) -> Result<Response, Refusal> {
    page(state, seat, uri, ConnectionKind::Persistent).await
}

async fn page(
    State(app): State<Shared>,
    seat: Seat,
    OriginalUri(uri): OriginalUri,
    kind: ConnectionKind,
) -> Result<Response, Refusal> {
    let persistent = kind == ConnectionKind::Persistent;
    let (here, title) =
        if persistent { ("persistent", "Persistent Connections") } else { ("connections", "Current Connections") };
    let filter = Filter::of(uri.query().unwrap_or_default());
    let frame = Frame::load(&app, &seat, here, &["Reports", title]).await?;
    let running = app.lbd.running().await?;
    let both = persistent && layer7::remembers(&running.config);
    let layer7 = match both && layer7::is_meant(&filter, &running.config) {
        true => Some(layer7::section(&app, &filter).await?),
        false => None,
    };
    let query = filter.parse(&running.config, kind, PER_PAGE);
    let (view, wrong, layer4) = match query {
        Ok(query) => (app.lbd.client.connections(&query).await?, Wrong::default(), true),
        // What layer 4 does not know, layer 7 may.
        Err(_) if layer7.is_some() => (ConnectionsView::default(), Wrong::default(), false),
        Err(wrong) => (ConnectionsView::default(), wrong, true),
    };
    let paging = Paging::new(filter.page, PER_PAGE, view.matching, "entries", |p| filter.query(p));
    let page = Page {
        rows: view.entries.iter().map(|c| row(&running.config, c)).collect(),
        states: view.states.iter().map(|s| state_link(&filter, s)).collect(),
        half_open: view.entries.iter().any(|c| !advice(&c.state, None).is_empty()),
        truncated: view.truncated,
        total: thousands(view.total as u64),
        again: filter.query(paging.page),
        layer4,
        layer7,
        persistent,
        paging,
        filter,
        frame,
        wrong,
    };
    if page.wrong == Wrong::default() { show(&page) } else { refused(&page) }
}

/// A button beside a persistent entry.
async fn remove(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::SetState, "remove a persistent entry")?;
    let address = |field: &str| -> Result<SocketAddr, Refusal> {
        let text = sent.get(field);
        text.parse().map_err(|_| Refusal::Unreadable(format!("{field}: \"{text}\" is no address with a port")))
    };
    let request = ForgetRequest {
        protocol: sent.get("protocol").to_owned(),
        client: address("client")?,
        virtual_server: address("virtual_server")?,
        real_server: address("real_server")?,
        author: seat.author(),
    };
    let what = format!("{} on {}", request.client.ip(), request.real_server);
    let flash = match app.lbd.client.forget(&request).await {
        Ok(done) => {
            seat.audit(&app, "remove a persistent entry", &what);
            Flash::good(format!("{}: {}", request.client.ip(), done.message))
        }
        Err(error) => {
            seat.refused(&app, "remove a persistent entry", &format!("{what}: {error}"));
            Flash::bad(words(&error))
        }
    };
    let filter = Filter::of(sent.get("back"));
    Ok(go(&app, seat, &format!("/lbadmin/persistent?{}", filter.query(filter.page)), flash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_named_after_the_configuration() {
        let config = crate::testing::guide();
        let v = &config.virtual_servers[0];
        let r = &v.real_servers[0];
        let address = v.service.address().expect("an address");
        let connection = |virtual_port, state: &str| Connection {
            protocol: "TCP".into(),
            client: "198.51.100.7:40000".parse().expect("an address"),
            virtual_server: SocketAddr::new(address, virtual_port),
            real_server: SocketAddr::new(r.address, r.port.unwrap_or(virtual_port)),
            state: state.into(),
            expires: 58,
        };
        let port = v.service.single_port().expect("a port");
        let named = row(&config, &connection(port, "ESTABLISHED"));
        assert_eq!((named.virtual_label.as_str(), named.real_label.as_str()), (v.label.as_str(), r.label.as_str()));
        assert_eq!(named.advice, "");
        assert!(row(&config, &connection(port, "SYN_RECV")).advice.contains("default gateway"));
        let foreign = row(&config, &connection(port + 1, "SYN_RECV"));
        assert_eq!(foreign.virtual_label, "");
        assert!(foreign.advice.contains("DR"), "both ways where the method is not known");
    }
}
