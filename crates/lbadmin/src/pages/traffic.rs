//! Reports > Traffic Rate: what each VIP and RIP takes now, over the last ten seconds.

use crate::{
    Shared,
    app::now,
    frame::{Frame, show},
    pages::list::{Paging, byte_rate, number, query},
    pages::overview::Part,
    refusal::Refusal,
    sampler::{Rate, Rates, real_server},
    seat::Seat,
};
use askama::Template;
use axum::{
    Router,
    extract::{OriginalUri, State},
    response::Response,
    routing::get,
};
use lb_api::{Status, VirtualServerStatus};
use lb_series::Key;
use serde::Deserialize;

/// Virtual servers on a page.
const PER_PAGE: usize = 50;
/// Without JavaScript the page is loaded again after so many seconds.
const RELOAD: u32 = 15;

pub fn routes() -> Router<Shared> {
    Router::new().route("/lbadmin/traffic", get(page))
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    q: String,
    /// `connections`, `packets`, `bytes`; else the configuration's order.
    sort: String,
    page: usize,
}

impl Wanted {
    fn query(&self, page: usize) -> String {
        query(&[("q", &self.q), ("sort", &self.sort)], page)
    }
}

/// The virtual servers that match, in the order asked for, with their places in the configuration.
fn select<'a>(wanted: &Wanted, status: &'a Status, rates: &Rates) -> Vec<(usize, &'a VirtualServerStatus)> {
    let part = Part { q: wanted.q.clone(), page: 0 };
    let mut found: Vec<_> = part.matching(status);
    let weight: fn(&Rate) -> f64 = match wanted.sort.as_str() {
        "connections" => |r| r.connections,
        "packets" => |r| r.traffic.packets_in + r.traffic.packets_out,
        "bytes" => |r| r.traffic.bytes_in + r.traffic.bytes_out,
        _ => return found,
    };
    let of = |v: &VirtualServerStatus| rates.of.get(&Key::VirtualServer(v.label.clone())).map_or(-1.0, weight);
    let mut keyed: Vec<(f64, (usize, &VirtualServerStatus))> = found.drain(..).map(|(n, v)| (of(v), (n, v))).collect();
    keyed.sort_by(|a, b| b.0.total_cmp(&a.0));
    keyed.into_iter().map(|(_, row)| row).collect()
}

struct Row {
    vip: bool,
    name: String,
    address: String,
    graph: String,
    connections: String,
    packets_in: String,
    packets_out: String,
    bytes_in: String,
    bytes_out: String,
}

fn row(vip: bool, name: String, address: &str, key: &Key, rates: &Rates) -> Row {
    let rate = rates.of.get(key);
    let text =
        |value: fn(&Rate) -> f64, words: fn(f64) -> String| rate.map_or_else(|| "–".to_owned(), |r| words(value(r)));
    Row {
        vip,
        name,
        address: address.to_owned(),
        graph: query(&[("object", &key.to_string())], 0),
        connections: text(|r| r.connections, number),
        packets_in: text(|r| r.traffic.packets_in, number),
        packets_out: text(|r| r.traffic.packets_out, number),
        bytes_in: text(|r| r.traffic.bytes_in, byte_rate),
        bytes_out: text(|r| r.traffic.bytes_out, byte_rate),
    }
}

fn rows(found: &[(usize, &VirtualServerStatus)], rates: &Rates) -> Vec<Row> {
    let mut rows = Vec::new();
    for (n, v) in found {
        let key = Key::VirtualServer(v.label.clone());
        rows.push(row(true, format!("VIP {} {}", n + 1, v.label), &v.service, &key, rates));
        for (m, r) in v.real_servers.iter().enumerate() {
            let key = real_server(&v.label, r);
            rows.push(row(false, format!("RIP {} {}", m + 1, r.label), &r.address, &key, rates));
        }
    }
    rows
}

/// All virtual servers together, in a sentence.
fn total(status: &Status, rates: &Rates) -> String {
    let all = status.virtual_servers.iter().filter_map(|v| rates.of.get(&Key::VirtualServer(v.label.clone())));
    let [connections, bytes_in, bytes_out] = all.fold([0.0; 3], |[connections, bytes_in, bytes_out], r| {
        [connections + r.connections, bytes_in + r.traffic.bytes_in, bytes_out + r.traffic.bytes_out]
    });
    format!(
        "All virtual servers together: {} connections per second, {} in, {} out.",
        number(connections),
        byte_rate(bytes_in),
        byte_rate(bytes_out)
    )
}

fn interfaces(rates: &Rates) -> Vec<Row> {
    let mut keys: Vec<&Key> = rates.of.keys().filter(|k| matches!(k, Key::Interface(_))).collect();
    keys.sort();
    let name = |key: &Key| match key {
        Key::Interface(name) => name.clone(),
        other => other.to_string(),
    };
    keys.into_iter().map(|key| row(true, name(key), "", key, rates)).collect()
}

#[derive(Template)]
#[template(path = "traffic.html")]
struct Page {
    frame: Frame,
    wanted: Wanted,
    rows: Vec<Row>,
    interfaces: Vec<Row>,
    total: String,
    paging: Paging,
    none: bool,
    age: Option<u64>,
    here: String,
}

async fn page(State(app): State<Shared>, seat: Seat, OriginalUri(uri): OriginalUri) -> Result<Response, Refusal> {
    let wanted: Wanted = serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default();
    let mut frame = Frame::load(&app, &seat, "traffic", &["Reports", "Traffic Rate"]).await?;
    frame.refresh = RELOAD;
    let status = app.lbd.status().await?;
    let rates = app.history.rates();
    let found = select(&wanted, &status, &rates);
    let paging = Paging::new(wanted.page, PER_PAGE, found.len(), "virtual servers", |p| wanted.query(p));
    let part: Vec<_> = found.into_iter().skip(paging.page * PER_PAGE).take(PER_PAGE).collect();
    show(&Page {
        rows: rows(&part, &rates),
        interfaces: interfaces(&rates),
        total: total(&status, &rates),
        none: status.virtual_servers.is_empty(),
        age: (rates.time > 0).then(|| now().saturating_sub(rates.time)),
        here: format!("/lbadmin/traffic?{}", wanted.query(paging.page)),
        paging,
        wanted,
        frame,
    })
}
