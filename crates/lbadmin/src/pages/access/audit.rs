//! Logs > Audit: who did what, from where, and what was refused.

use super::blocking;
use crate::{
    Shared,
    frame::{Frame, show, time},
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
use lb_access::AuditEntry;
use serde::Deserialize;

const PER_PAGE: usize = 100;
/// Longer filters are cut.
const LONGEST_FILTER: usize = 100;

pub fn routes() -> Router<Shared> {
    Router::new().route("/lbadmin/logs/audit", get(page))
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    q: String,
    /// The page ends before this entry.
    before: Option<u64>,
}

struct Row {
    time: String,
    /// The unit itself did it.
    unit: bool,
    entry: AuditEntry,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    frame: Frame,
    q: String,
    rows: Vec<Row>,
    newest: Option<String>,
    older: Option<String>,
}

async fn page(State(app): State<Shared>, seat: Seat, Query(wanted): Query<Wanted>) -> Result<Response, Refusal> {
    let q: String = wanted.q.trim().chars().take(LONGEST_FILTER).collect();
    let (filter, before) = (q.clone(), wanted.before);
    let found = blocking(&app, move |access| access.audit(Some(&filter), before, PER_PAGE)).await?;
    let row = |entry: AuditEntry| Row { time: time(entry.time), unit: entry.address.is_unspecified(), entry };
    let rows = found.entries.into_iter().map(|line| row(line.entry)).collect();
    let query = |before: Option<u64>| {
        let before = before.map(|sequence| sequence.to_string());
        let pairs = [("q", Some(q.as_str())), ("before", before.as_deref())];
        let pairs: Vec<_> = pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        serde_urlencoded::to_string(pairs).unwrap_or_default()
    };
    let (newest, older) = (before.map(|_| query(None)), found.next.map(|next| query(Some(next))));
    let frame = Frame::load(&app, &seat, "logs/audit", &["Logs", "Audit"]).await?;
    show(&Page { frame, rows, newest, older, q })
}
