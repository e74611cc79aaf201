//! The whole configuration as the document that it is: to read, and to keep.

use crate::{
    Shared,
    frame::{Frame, show},
    pages::list::{Paging, lines, query},
    refusal::Refusal,
    seat::Seat,
};
use askama::Template;
use axum::{
    extract::{OriginalUri, State},
    http::header,
    response::{IntoResponse, Response},
};
use lb_api::Running;
use serde::Deserialize;

/// Lines on a page.
const LINES: usize = 1000;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    page: usize,
}

#[derive(Template)]
#[template(path = "view-document.html")]
struct Page {
    frame: Frame,
    revision: u64,
    text: String,
    paging: Paging,
}

fn pretty(running: &Running) -> Result<String, Refusal> {
    serde_json::to_string_pretty(&running.config)
        .map(|text| text + "\n")
        .map_err(|e| Refusal::Internal(format!("writing the document: {e}")))
}

pub async fn page(State(app): State<Shared>, seat: Seat, OriginalUri(uri): OriginalUri) -> Result<Response, Refusal> {
    let wanted: Wanted = serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default();
    let frame = Frame::load(&app, &seat, "view/document", &["View Configuration", "Configuration Document"]).await?;
    let running = app.lbd.running().await?;
    let text = pretty(&running)?;
    let paging = Paging::new(wanted.page, LINES, text.lines().count(), "lines", |p| query(&[], p));
    let part = lines(&text, paging.page, LINES).0;
    show(&Page { frame, revision: running.revision.number, text: part, paging })
}

pub async fn download(State(app): State<Shared>, _seat: Seat) -> Result<Response, Refusal> {
    let running = app.lbd.running().await?;
    // A host name has letters, digits, `-` and `.` only.
    let name = format!("{}-revision-{}.json", running.config.node.hostname, running.revision.number);
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, pretty(&running)?).into_response())
}
