//! Layer 4: every setting of the running configuration in words.

use crate::{
    Shared,
    frame::{Frame, show},
    pages::list::{Paging, duration, query},
    refusal::Refusal,
    seat::Seat,
};
use askama::Template;
use axum::{
    extract::{OriginalUri, State},
    response::Response,
};
use lb_model::{
    Check, CheckMethod, Globals, HealthDefaults, NegotiateService, RealServer, Service, TimeServer, VirtualServer,
};
use serde::Deserialize;

/// Virtual servers on a page.
const PER_PAGE: usize = 25;

/// A setting and its value.
pub(super) type Fact = (&'static str, String);

pub(super) fn yes(on: bool) -> String {
    if on { "yes" } else { "no" }.to_owned()
}

/// A value of its own, or the global one, which is said.
pub(super) fn or_global(own: Option<u32>, global: u32, unit: &str) -> String {
    match own {
        Some(n) => format!("{n}{unit}"),
        None => format!("{global}{unit} (global setting)"),
    }
}

fn failed(quiescent: bool) -> &'static str {
    if quiescent { "stays with weight 0" } else { "is removed" }
}

pub fn globals(g: &Globals) -> Vec<Fact> {
    let h = &g.health;
    vec![
        ("Check interval", format!("{} s", h.interval)),
        ("Check time-out", format!("{} s", h.timeout)),
        ("Negotiate time-out", format!("{} s", h.negotiate_timeout)),
        ("Failures until a server is out", h.fall.to_string()),
        ("Successes until it is back", h.rise.to_string()),
        ("A failed server", failed(h.quiescent).to_owned()),
        ("Forwarding method of new real servers", g.default_forwarding.to_string().to_uppercase()),
        ("Auto-NAT (MASQUERADE)", yes(g.masquerade)),
        ("Idle TCP connections are remembered for", duration(g.timeouts.tcp.into())),
        ("TCP connections after FIN", duration(g.timeouts.tcp_fin.into())),
        ("UDP", duration(g.timeouts.udp.into())),
        ("Time servers", time_servers(g)),
        ("Firewall lock-down", g.lockdown.to_string()),
    ]
}

fn time_servers(g: &Globals) -> String {
    let servers: Vec<&str> = g.time_servers.iter().map(TimeServer::as_str).collect();
    if servers.is_empty() { "none".to_owned() } else { servers.join(", ") }
}

fn persistence(v: &VirtualServer) -> String {
    let Some(p) = &v.persistence else { return "no".to_owned() };
    let bits = v.service.family().bits();
    let clients = match p.granularity.filter(|g| *g < bits) {
        None => "each client address for itself".to_owned(),
        Some(prefix) => format!("all clients of a /{prefix} network together"),
    };
    format!("{}; {clients}", duration(p.timeout.into()))
}

fn check(v: &VirtualServer, global: &HealthDefaults) -> Vec<Fact> {
    let Check { method, port, interval, timeout, fall, rise } = &v.check;
    let mut facts = vec![(
        "Check type",
        match method {
            CheckMethod::On => "on: never asked, always active".to_owned(),
            CheckMethod::Off => "off: never asked, never active".to_owned(),
            CheckMethod::Connect => "connect: a connection is accepted".to_owned(),
            CheckMethod::Ping => "ping: an echo is answered".to_owned(),
            CheckMethod::Negotiate(_) => "negotiate: a request gets the expected answer".to_owned(),
        },
    )];
    if matches!(method, CheckMethod::On | CheckMethod::Off) {
        return facts;
    }
    let mut timeout_default = global.timeout;
    if let CheckMethod::Negotiate(n) = method {
        timeout_default = global.negotiate_timeout;
        facts.push((
            "Check service",
            match n.service {
                NegotiateService::Http => "HTTP",
                NegotiateService::Https => "HTTPS",
            }
            .to_owned(),
        ));
        facts.push(("Request", n.request.clone()));
        facts.extend(n.response.as_ref().map(|r| ("Expected response", r.as_str().to_owned())));
        facts.extend(n.virtual_host.as_ref().map(|h| ("Virtual host", h.clone())));
        facts.push(("Status codes", n.status.to_string()));
    }
    facts.push(("Check port", port.map_or_else(|| "the real server's own".to_owned(), |p| p.to_string())));
    facts.push(("Interval", or_global(*interval, global.interval, " s")));
    facts.push(("Time-out", or_global(*timeout, timeout_default, " s")));
    facts.push(("Failures until a server is out", or_global(*fall, global.fall, "")));
    facts.push(("Successes until it is back", or_global(*rise, global.rise, "")));
    facts
}

fn facts(v: &VirtualServer, globals: &Globals) -> Vec<Fact> {
    let mut facts = vec![("Scheduler", v.scheduler.to_string())];
    if v.hash_port {
        facts.push(("Source hashing", "takes the client's port in".to_owned()));
    }
    if v.one_packet {
        facts.push(("One-packet", "every datagram is scheduled for itself".to_owned()));
    }
    if let Service::Address { mark: Some(mark), .. } = &v.service {
        facts.push(("Firewall mark", format!("{mark}, given by the unit for its several ports")));
    }
    facts.push(("Persistent", persistence(v)));
    facts.push((
        "Fallback server",
        match &v.fallback {
            None => "none: clients are refused when no real server is left".to_owned(),
            Some(f) if f.is_page() => "the unit's own page".to_owned(),
            Some(f) => {
                let port = f.port.map_or_else(String::new, |p| format!(" port {p}"));
                format!("{}{port}, {}", f.address, f.forwarding.to_string().to_uppercase())
            }
        },
    ));
    facts.push((
        "A failed server",
        match v.quiescent {
            Some(q) => failed(q).to_owned(),
            None => format!("{} (global setting)", failed(globals.health.quiescent)),
        },
    ));
    facts.extend(check(v, &globals.health));
    facts.extend(v.agent.as_ref().map(|agent| ("Agent on the real servers", agent.to_string())));
    facts
}

struct Rip {
    number: usize,
    label: String,
    address: String,
    forwarding: String,
    weight: u32,
    minimum: String,
    maximum: String,
    requested: String,
}

fn rip(n: usize, r: &RealServer) -> Rip {
    let connections = |n: u32, none: &str| if n == 0 { none.to_owned() } else { n.to_string() };
    let tunnel = match r.forwarding {
        lb_model::ForwardingMethod::Tun => format!(" ({})", r.tunnel),
        _ => String::new(),
    };
    Rip {
        number: n + 1,
        label: r.label.to_string(),
        address: match r.port {
            Some(port) => std::net::SocketAddr::new(r.address, port).to_string(),
            None => format!("{}, the client's port", r.address),
        },
        forwarding: format!("{}{tunnel}", r.forwarding.to_string().to_uppercase()),
        weight: r.weight,
        minimum: connections(r.min_connections, "–"),
        maximum: connections(r.max_connections, "unrestricted"),
        requested: r.state.to_string(),
    }
}

struct Vip {
    number: usize,
    label: String,
    service: String,
    facts: Vec<Fact>,
    rips: Vec<Rip>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    q: String,
    page: usize,
}

impl Wanted {
    fn matches(&self, v: &VirtualServer) -> bool {
        let wanted = self.q.trim().to_lowercase();
        let has = |text: &dyn std::fmt::Display| text.to_string().to_lowercase().contains(&wanted);
        wanted.is_empty()
            || has(&v.label)
            || has(&v.service)
            || v.real_servers.iter().any(|r| has(&r.label) || has(&r.address))
    }
}

#[derive(Template)]
#[template(path = "view-layer4.html")]
struct Page {
    frame: Frame,
    revision: u64,
    pending: bool,
    q: String,
    globals: Vec<Fact>,
    vips: Vec<Vip>,
    none: bool,
    paging: Paging,
}

pub async fn page(State(app): State<Shared>, seat: Seat, OriginalUri(uri): OriginalUri) -> Result<Response, Refusal> {
    let wanted: Wanted = serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default();
    let frame = Frame::load(&app, &seat, "view/layer-4", &["View Configuration", "Layer 4"]).await?;
    let running = app.lbd.running().await?;
    let config = &running.config;
    let found: Vec<_> = config.virtual_servers.iter().enumerate().filter(|(_, v)| wanted.matches(v)).collect();
    let paging = Paging::new(wanted.page, PER_PAGE, found.len(), "virtual servers", |p| query(&[("q", &wanted.q)], p));
    let vip = |(n, v): (usize, &VirtualServer)| Vip {
        number: n + 1,
        label: v.label.to_string(),
        service: v.service.to_string(),
        facts: facts(v, &config.globals),
        rips: v.real_servers.iter().enumerate().map(|(n, r)| rip(n, r)).collect(),
    };
    show(&Page {
        revision: running.revision.number,
        pending: frame.bar.is_some(),
        globals: globals(&config.globals),
        vips: found.into_iter().skip(paging.page * PER_PAGE).take(PER_PAGE).map(vip).collect(),
        none: config.virtual_servers.is_empty(),
        q: wanted.q,
        paging,
        frame,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_said_to_be_global() {
        let mut config = crate::testing::guide();
        let v = &mut config.virtual_servers[0];
        let words = |v: &VirtualServer, name: &str| {
            let all = facts(v, &Globals::default());
            all.into_iter().find(|(n, _)| *n == name).map(|(_, value)| value).unwrap_or_default()
        };
        assert_eq!(words(v, "Interval"), "10 s (global setting)");
        assert_eq!(words(v, "Time-out"), "5 s (global setting)");
        assert_eq!(words(v, "Persistent"), "no");
        v.check.interval = Some(3);
        v.persistence = Some(lb_model::Persistence { timeout: 300, granularity: Some(24) });
        assert_eq!(words(v, "Interval"), "3 s");
        assert_eq!(words(v, "Persistent"), "5 min; all clients of a /24 network together");
        v.check.method = CheckMethod::On;
        assert_eq!(words(v, "Interval"), "", "nothing is asked");
    }
}
