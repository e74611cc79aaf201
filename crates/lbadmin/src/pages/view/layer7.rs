//! Layer 7: every setting of the running configuration in words, with the state of each server, live.

use super::layer4::{Fact, or_global, yes};
use crate::{
    Shared,
    forms::layer7::{TIMEOUTS, balance_phrase, header_text, rule_text},
    frame::{Frame, show},
    live::{self, Cell, PERIOD, RELOAD, mark},
    pages::{
        list::{Paging, duration, query},
        overview::{actual_of, virtual_state},
    },
    refusal::Refusal,
    seat::Seat,
};
use askama::Template;
use axum::{
    extract::{OriginalUri, State},
    response::Response,
};
use lb_api::{RealServerStatus, Status, VirtualServerStatus};
use lb_model::{
    Config, Family, HealthDefaults, Layer7, Layer7RealServer, Layer7VirtualServer,
    layer7::{Layer7Check, Layer7CheckMethod, Layer7Persistence, Limits, ProxyMode, SourceTable},
};
use serde::Deserialize;

/// Virtual servers on a page.
const PER_PAGE: usize = 25;

/// A connection limit.
fn most(n: u32) -> String {
    if n == 0 { "unrestricted".to_owned() } else { n.to_string() }
}

fn globals(layer7: &Layer7) -> Vec<Fact> {
    let timeouts = TIMEOUTS.into_iter().zip(layer7.timeouts.words());
    let mut facts: Vec<Fact> =
        timeouts.map(|((.., label, _), (.., seconds))| (label, format!("{seconds} s"))).collect();
    let connections = layer7.max_connections;
    facts.push((
        "Maximum connections",
        if connections == 0 { "as many as memory allows".to_owned() } else { connections.to_string() },
    ));
    facts
}

fn table(table: &SourceTable, bits: u8) -> String {
    let clients = match table.granularity.filter(|g| *g < bits) {
        None => String::new(),
        Some(prefix) => format!("; all clients of a /{prefix} network together"),
    };
    format!("{}, {} entries at most{clients}", duration(table.timeout.into()), table.size)
}

fn persistence(v: &Layer7VirtualServer) -> Vec<Fact> {
    let bits = Family::of(v.address).bits();
    let Some(persistence) = &v.persistence else { return vec![("Persistence", "no".to_owned())] };
    let limit = |n: Option<u32>| n.map_or_else(|| "none".to_owned(), |n| duration(n.into()));
    let mut facts = vec![("Persistence", persistence.to_string())];
    let source = match persistence {
        Layer7Persistence::Cookie(cookie) => {
            facts.push(("Idle limit of the cookie", limit(cookie.idle)));
            facts.push(("Life limit of the cookie", limit(cookie.life)));
            cookie.source
        }
        Layer7Persistence::ApplicationCookie(cookie) => {
            let own = SourceTable { timeout: cookie.timeout, size: cookie.size, granularity: None };
            facts.push(("Remembered", table(&own, bits)));
            cookie.source
        }
        Layer7Persistence::Source(own) | Layer7Persistence::RdpCookie(own) | Layer7Persistence::SslSessionId(own) => {
            facts.push(("Remembered", table(own, bits)));
            None
        }
    };
    facts.extend(source.map(|source| ("Source addresses", table(&source, bits))));
    facts
}

fn check(check: &Layer7Check, global: &HealthDefaults) -> Vec<Fact> {
    let mut facts = vec![("Check type", check.method.to_string())];
    if check.method == Layer7CheckMethod::On {
        facts[0].1 = "on: never asked, always active".to_owned();
        return facts;
    }
    if check.method.is_http() {
        let path = check.request.as_ref().map_or("/", |path| path.as_str());
        facts.push(("Request", format!("{} {path}", check.verb)));
        facts.extend(check.virtual_host.as_ref().map(|h| ("Virtual host", h.to_string())));
        facts.push(("Status codes", check.status.as_ref().map_or_else(|| "200-399".to_owned(), ToString::to_string)));
        facts.extend(check.response.as_ref().map(|r| ("Expected response", format!("{} {r}", check.expect))));
    }
    facts.push(("Check port", check.port.map_or_else(|| "the real server's own".to_owned(), |p| p.to_string())));
    facts.push(("Interval", or_global(check.interval, global.interval, " s")));
    facts.push(("Time-out", or_global(check.timeout, global.timeout, " s")));
    facts.push(("Failures until a server is out", or_global(check.fall, global.fall, "")));
    facts.push(("Successes until it is back", or_global(check.rise, global.rise, "")));
    facts
}

fn facts(v: &Layer7VirtualServer, config: &Config) -> Vec<Fact> {
    let http = v.mode == ProxyMode::Http;
    let mut facts = vec![("Balance", format!("{}: {}", v.balance, balance_phrase(v.balance)))];
    facts.extend(persistence(v));
    facts.extend(check(&v.check, &config.globals.health));
    facts.extend(v.agent.as_ref().map(|agent| ("Agent on the real servers", agent.to_string())));
    facts.push((
        "Fallback server",
        match &v.fallback {
            None if v.fallback_page.is_some() => "a page of its own".to_owned(),
            None => "none: clients get status 503 when no real server is left".to_owned(),
            Some(f) if f.is_page() && v.fallback_page.is_some() => "a page of its own".to_owned(),
            Some(f) if f.is_page() => "the unit's own page".to_owned(),
            Some(f) => f.to_string(),
        },
    ));
    if v.slow_start > 0 {
        facts.push(("Slow start", duration(v.slow_start.into())));
    }
    facts.push(("Maximum connections of clients", most(v.max_connections)));
    if http {
        facts.push(("X-Forwarded-For", yes(v.forwarded_for)));
        facts.push(("Keep-alive", v.keep_alive.to_string()));
        facts.push(("Compression", yes(v.compression)));
        facts.push(("Redirect to https", yes(v.redirect_https)));
    }
    facts.push(("Log of every request", yes(v.log_requests)));
    facts.push(("PROXY protocol from clients", yes(v.accept_proxy)));
    if v.transparent {
        facts.push(("Transparent", yes(v.transparent)));
    }
    if let Some(Limits { requests_per_10s, connections }) = v.limits {
        facts.push(("Requests of one address in 10 s", most(requests_per_10s)));
        facts.push(("Connections of one address", most(connections)));
    }
    let own = TIMEOUTS.into_iter().zip(v.timeouts.words());
    facts.extend(own.filter_map(|((.., label, _), (.., seconds))| Some((label, format!("{} s", seconds?)))));
    facts
}

/// What is told as lines, in the notation of the forms.
fn texts(v: &Layer7VirtualServer) -> Vec<Fact> {
    let lines = |all: Vec<String>| all.join("\n");
    let all = vec![
        ("Content rules", lines(v.rules.iter().map(rule_text).collect())),
        ("Request headers", lines(v.request_headers.iter().map(header_text).collect())),
        ("Response headers", lines(v.response_headers.iter().map(header_text).collect())),
        ("Fallback page", v.fallback_page.as_ref().map_or_else(String::new, |p| p.as_str().to_owned())),
        ("Manual configuration", v.manual.as_ref().map_or_else(String::new, |m| m.as_str().to_owned())),
    ];
    all.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

struct Vip {
    number: usize,
    label: String,
    service: String,
    state: Cell,
    facts: Vec<Fact>,
    texts: Vec<Fact>,
    rips: Vec<Rip>,
}

struct Rip {
    number: usize,
    label: String,
    state: Cell,
    check: Cell,
    address: String,
    proxy: String,
    tls: String,
    cookie: String,
    when_unfit: &'static str,
    weight: u16,
    minimum: String,
    maximum: String,
    requested: String,
}

fn state(v: &VirtualServerStatus) -> Cell {
    let (class, text) = virtual_state(v);
    Cell::new(format!("{}-s", mark(&[&v.label])), text).class(class)
}

/// State and last answer.
fn server_cells(vip: &str, r: &RealServerStatus) -> [Cell; 2] {
    let mark = mark(&[vip, &r.label]);
    let (class, text) = actual_of(r);
    let said = r.check.as_ref().map_or("", |c| c.text.as_str());
    [Cell::new(format!("{mark}-s"), text).class(class), Cell::new(format!("{mark}-c"), said)]
}

fn rip(n: usize, vip: &str, r: &Layer7RealServer, status: &RealServerStatus) -> Rip {
    let [state, check] = server_cells(vip, status);
    Rip {
        number: n + 1,
        label: r.label.to_string(),
        state,
        check,
        address: match r.port {
            Some(port) => std::net::SocketAddr::new(r.address, port).to_string(),
            None => format!("{}, the client's port", r.address),
        },
        proxy: r.send_proxy.to_string(),
        tls: yes(r.tls),
        cookie: r.cookie.as_ref().map_or_else(|| "the label".to_owned(), ToString::to_string),
        when_unfit: if r.shutdown_sessions { "end" } else { "stay" },
        weight: r.weight,
        minimum: if r.min_connections == 0 { "–".to_owned() } else { r.min_connections.to_string() },
        maximum: most(r.max_connections),
        requested: r.state.to_string(),
    }
}

fn vip(n: usize, config: &Config, status: &VirtualServerStatus) -> Vip {
    let v = &config.layer7.virtual_servers[n];
    let server = |r: &Layer7RealServer| status.real_servers.iter().find(|s| s.label == r.label.as_str());
    let rips = v.real_servers.iter().enumerate();
    Vip {
        // As in the overview, which has those of layer 4 first.
        number: config.virtual_servers.len() + n + 1,
        label: v.label.to_string(),
        service: v.service(),
        state: state(status),
        facts: facts(v, config),
        texts: texts(v),
        rips: rips.filter_map(|(n, r)| Some(rip(n, v.label.as_str(), r, server(r)?))).collect(),
    }
}

/// Part of the list.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    q: String,
    page: usize,
}

impl Wanted {
    fn of(query: &str) -> Wanted {
        serde_urlencoded::from_str(query).unwrap_or_default()
    }

    fn matches(&self, v: &VirtualServerStatus) -> bool {
        let wanted = self.q.trim().to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        v.layer == 7
            && (wanted.is_empty()
                || has(&v.label)
                || has(&v.service)
                || v.real_servers.iter().any(|r| has(&r.label) || has(&r.address)))
    }

    /// The virtual servers of the page.
    fn select<'a>(&self, status: &'a Status) -> (Vec<&'a VirtualServerStatus>, Paging) {
        let found: Vec<&VirtualServerStatus> = status.virtual_servers.iter().filter(|v| self.matches(v)).collect();
        let link = |page| query(&[("q", self.q.as_str())], page);
        let paging = Paging::new(self.page, PER_PAGE, found.len(), "virtual servers", link);
        (found.into_iter().skip(paging.page * PER_PAGE).take(PER_PAGE).collect(), paging)
    }
}

/// [`crate::live::Render`] of this page.
pub fn cells(state: &live::State, query: &str) -> Vec<Cell> {
    let mut cells = Vec::new();
    for v in Wanted::of(query).select(&state.status).0 {
        cells.push(self::state(v));
        cells.extend(v.real_servers.iter().flat_map(|r| server_cells(&v.label, r)));
    }
    cells
}

#[derive(Template)]
#[template(path = "view-layer7.html")]
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
    let wanted = Wanted::of(uri.query().unwrap_or_default());
    let frame = Frame::load(&app, &seat, "view/layer-7", &["View Configuration", "Layer 7"]).await?;
    let status = app.lbd.status().await?;
    let running = app.lbd.running().await?;
    let config = &running.config;
    let (found, paging) = wanted.select(&status);
    let all = &config.layer7.virtual_servers;
    // One that was removed a moment ago is left out.
    let there = |s: &VirtualServerStatus| all.iter().position(|v| v.label.as_str() == s.label);
    let vips = found.into_iter().filter_map(|s| Some(vip(there(s)?, config, s))).collect();
    let part = query(&[("q", wanted.q.as_str())], paging.page);
    show(&Page {
        revision: running.revision.number,
        pending: frame.bar.is_some(),
        globals: globals(&config.layer7),
        vips,
        none: all.is_empty(),
        q: wanted.q,
        paging,
        frame: frame.live(format!("/lbadmin/live/layer-7?{part}"), RELOAD.max(PERIOD)),
    })
}
