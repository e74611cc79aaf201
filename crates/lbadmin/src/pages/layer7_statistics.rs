//! Reports > Layer 7 Statistics: what HAProxy counts of each virtual and real server, and layer 4 has nothing like:
//! answers by status, waiting, response times, errors.

use crate::{
    Shared,
    frame::{Frame, ago, show},
    pages::{
        list::{Paging, query, thousands},
        overview::bytes,
    },
    refusal::Refusal,
    seat::Seat,
};
use askama::Template;
use axum::{
    Router,
    extract::{OriginalUri, State},
    response::Response,
    routing::get,
};
use lb_api::{Layer7Figures, Layer7Statistics, Layer7VirtualServerFigures};
use serde::Deserialize;

/// Virtual servers on a page.
const PER_PAGE: usize = 50;
/// Without JavaScript the page is loaded again after so many seconds.
const RELOAD: u32 = 15;

pub fn routes() -> Router<Shared> {
    Router::new().route("/lbadmin/layer-7-statistics", get(page))
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    q: String,
    page: usize,
}

struct Row {
    vip: bool,
    name: String,
    connections: String,
    total: String,
    per_second: String,
    /// 2xx, 3xx, 4xx, 5xx; dashes in mode tcp.
    responses: [String; 4],
    queue: String,
    time: String,
    bytes_in: String,
    bytes_out: String,
    /// Refused, failed, tried once more.
    trouble: String,
    check: String,
}

fn row(name: String, http: bool, vip: bool, figures: &Layer7Figures) -> Row {
    let of = |n: u64| if http { thousands(n) } else { "-".to_owned() };
    let lb_api::Responses { s2xx, s3xx, s4xx, s5xx, .. } = figures.responses;
    Row {
        vip,
        name,
        connections: thousands(figures.connections.into()),
        total: thousands(figures.total),
        per_second: thousands(figures.per_second),
        responses: [of(s2xx), of(s3xx), of(s4xx), of(s5xx)],
        queue: thousands(figures.queue.into()),
        time: if http { figures.response_ms } else { figures.connect_ms }.to_string(),
        bytes_in: bytes(figures.bytes_in),
        bytes_out: bytes(figures.bytes_out),
        trouble: trouble(figures),
        check: String::new(),
    }
}

fn trouble(figures: &Layer7Figures) -> String {
    let all = [(figures.denied, "refused"), (figures.errors, "failed"), (figures.retries, "tried again")];
    let some: Vec<String> =
        all.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", thousands(*n))).collect();
    some.join(", ")
}

fn rows(vs: &Layer7VirtualServerFigures) -> Vec<Row> {
    let http = vs.mode == "http";
    let mut rows = vec![row(format!("{} ({})", vs.label, vs.mode), http, true, &vs.figures)];
    rows.extend(vs.real_servers.iter().map(|rs| {
        let check = rs.check.as_ref().map_or_else(String::new, |check| match check.since {
            0 => check.text.clone(),
            since => format!("{}, {}", check.text, ago(since)),
        });
        let took = if rs.check_ms > 0 { format!("{check} ({} ms)", rs.check_ms) } else { check };
        Row { check: took, ..row(rs.label.clone(), http, false, &rs.figures) }
    }));
    rows
}

fn matching<'a>(q: &str, all: &'a Layer7Statistics) -> Vec<&'a Layer7VirtualServerFigures> {
    let q = q.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&q);
    let fits = |vs: &&Layer7VirtualServerFigures| has(&vs.label) || vs.real_servers.iter().any(|rs| has(&rs.label));
    all.virtual_servers.iter().filter(fits).collect()
}

#[derive(Template)]
#[template(path = "layer7_statistics.html")]
struct Page {
    frame: Frame,
    wanted: Wanted,
    none: bool,
    old_connections: String,
    old: u32,
    rows: Vec<Row>,
    paging: Paging,
    here: String,
}

async fn page(State(app): State<Shared>, seat: Seat, OriginalUri(uri): OriginalUri) -> Result<Response, Refusal> {
    let wanted: Wanted = serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default();
    let mut frame = Frame::load(&app, &seat, "layer-7-statistics", &["Reports", "Layer 7 Statistics"]).await?;
    frame.refresh = RELOAD;
    let all = app.lbd.client.layer7_statistics().await?;
    let found = matching(wanted.q.trim(), &all);
    let link = |page| query(&[("q", wanted.q.trim())], page);
    let paging = Paging::new(wanted.page, PER_PAGE, found.len(), "virtual servers", link);
    let shown = found.iter().skip(paging.page * PER_PAGE).take(PER_PAGE);
    let here = format!("/lbadmin/layer-7-statistics?{}", link(paging.page));
    show(&Page {
        rows: shown.flat_map(|vs| rows(vs)).collect(),
        none: all.virtual_servers.is_empty(),
        old_connections: thousands(all.old_connections.into()),
        old: all.old_connections,
        frame,
        wanted,
        paging,
        here,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_its_mode_has() {
        let responses = lb_api::Responses { s2xx: 1234, s5xx: 2, ..Default::default() };
        let figures =
            Layer7Figures { responses, response_ms: 12, connect_ms: 3, denied: 4, retries: 1, ..Default::default() };
        let http = row("Shop".into(), true, true, &figures);
        assert_eq!(http.responses, ["1\u{a0}234", "0", "0", "2"]);
        assert_eq!((http.time.as_str(), http.trouble.as_str()), ("12", "4 refused, 1 tried again"));
        let tcp = row("Shop".into(), false, true, &figures);
        assert_eq!((tcp.responses[0].as_str(), tcp.time.as_str()), ("-", "3"));
    }
}
