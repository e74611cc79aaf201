//! Values that update by themselves: one poll of lbd for all viewers, one rendering a view, only what changed is sent.
//!
//! ```text
//!  run: every 2 s --status--> each open view: cells -> difference -> broadcast --> its streams (server-sent events)
//! ```
//! A view is named by its place and query, so that everybody on the same page shares it. A cell is a `<span>` with an
//! id that the page already has; htmx puts the new one in its place. Without JavaScript pages reload instead.

pub mod tail;

use crate::{App, Shared, refusal::Refusal, seat::Seat};
use axum::{
    extract::{self, OriginalUri, Path},
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, StreamExt, future, stream};
use lb_api::{ClientError, HaView, Status, Summary};
use std::{
    collections::HashMap,
    convert::Infallible,
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

/// Seconds between two polls, and between two reloads of a page without JavaScript.
pub const PERIOD: u32 = 2;
pub const RELOAD: u32 = 15;

/// The id of the cell that every live page has: empty, or that the page is no longer what is configured.
pub const NEWS: &str = "news";
const STALE: &str = "↻ The configuration has changed since this page was made: load it again to see it.";

/// Streams at once.
const VIEWERS: usize = 1000;
/// Different views at once: each costs a rendering every period.
const VIEWS_AT_ONCE: usize = 300;

/// A value on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    pub id: String,
    /// Of the style sheet; not from users.
    pub class: &'static str,
    pub text: String,
    /// Behind the text: address and words.
    pub link: Option<(String, &'static str)>,
}

impl Cell {
    pub fn new(id: impl Into<String>, text: impl ToString) -> Self {
        Cell { id: id.into(), class: "", text: text.to_string(), link: None }
    }

    pub fn class(mut self, class: &'static str) -> Self {
        self.class = class;
        self
    }

    pub fn link(mut self, address: impl Into<String>, words: &'static str) -> Self {
        self.link = Some((address.into(), words));
        self
    }

    /// As it stands in the page; everything in it is escaped.
    pub fn html(&self) -> String {
        self.span("")
    }

    fn span(&self, swap: &str) -> String {
        let mut html = String::from("<span id=\"");
        escape(&self.id, &mut html);
        // Writing to a string cannot fail.
        let _ = write!(html, "\" class=\"{}\"{swap}>", self.class);
        escape(&self.text, &mut html);
        if let Some((address, words)) = &self.link {
            html.push_str(" <a href=\"");
            escape(address, &mut html);
            html.push_str("\">");
            escape(words, &mut html);
            html.push_str("</a>");
        }
        html.push_str("</span>");
        html
    }
}

/// Begins an id, from labels: a cell belongs to the server that the page showed, wherever that stands meanwhile.
pub fn mark(labels: &[&str]) -> String {
    // FNV-1a; behind each stands a byte that no label has.
    let bytes = labels.iter().flat_map(|label| label.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("s{hash:016x}")
}

fn escape(text: &str, into: &mut String) {
    for c in text.chars() {
        match c {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&#39;"),
            c => into.push(c),
        }
    }
}

/// What the views show.
#[derive(Debug, Clone)]
pub struct State {
    pub status: Arc<Status>,
    pub ha: Arc<HaView>,
}

/// The cells of a view, from the state of the unit and the page's query.
pub type Render = fn(&State, query: &str) -> Vec<Cell>;

/// The views by name. A page that has one says so by [`crate::frame::Frame::live`].
pub const VIEWS: &[(&str, Render)] = &[
    ("overview", crate::pages::overview::cells),
    ("servers", crate::pages::servers::cells),
    ("ha", crate::pages::ha::cells),
    ("layer-7", crate::pages::view::layer7::cells),
];

#[derive(Default)]
pub struct Hub(Mutex<HashMap<String, View>>);

struct View {
    render: Render,
    query: String,
    last: HashMap<String, String>,
    all: Arc<str>,
    streams: broadcast::Sender<Arc<str>>,
}

impl View {
    /// Renders again; the spans that changed.
    fn update(&mut self, state: &State, seen: &str) -> String {
        let mut cells = (self.render)(state, &self.query);
        cells.push(Cell::new(NEWS, if asked(&self.query, "seen").is_some_and(|s| s != seen) { STALE } else { "" }));
        let mut changed = String::new();
        let mut all = String::new();
        let mut last = HashMap::with_capacity(cells.len());
        for cell in cells {
            let html = cell.span(" hx-swap-oob=\"true\"");
            if self.last.get(&cell.id) != Some(&html) {
                changed.push_str(&html);
            }
            all.push_str(&html);
            last.insert(cell.id, html);
        }
        self.last = last;
        self.all = all.into();
        changed
    }
}

impl Hub {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, View>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All cells now, and what changes from then on; `None`: too many viewers.
    fn join(
        &self,
        name: &str,
        render: Render,
        query: &str,
        state: &State,
        seen: &str,
    ) -> Option<(Arc<str>, broadcast::Receiver<Arc<str>>)> {
        let mut views = self.lock();
        if views.values().map(|v| v.streams.receiver_count()).sum::<usize>() >= VIEWERS {
            return None;
        }
        let key = format!("{name}?{query}");
        if !views.contains_key(&key) {
            if views.len() >= VIEWS_AT_ONCE {
                return None;
            }
            let (streams, _) = broadcast::channel(8);
            let mut view = View { render, query: query.to_owned(), last: HashMap::new(), all: Arc::from(""), streams };
            view.update(state, seen);
            views.insert(key.clone(), view);
        }
        views.get(&key).map(|v| (v.all.clone(), v.streams.subscribe()))
    }

    fn update(&self, state: &State, seen: &str) {
        let mut views = self.lock();
        views.retain(|_, v| v.streams.receiver_count() > 0);
        for view in views.values_mut() {
            let changed = view.update(state, seen);
            if !changed.is_empty() {
                // Nobody left to hear it: the view goes at the next round.
                let _ = view.streams.send(changed.into());
            }
        }
    }

    fn is_watched(&self) -> bool {
        !self.lock().is_empty()
    }
}

/// What a page was made from: the revision that runs and the state of the candidate.
pub fn seen(summary: &Summary) -> String {
    format!("{}.{}", summary.revision, summary.candidate_etag)
}

fn asked<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(n, _)| *n == name).map(|(_, v)| v)
}

async fn state(app: &App) -> Result<(State, Summary), ClientError> {
    let (status, summary, ha) = tokio::join!(app.lbd.status(), app.lbd.summary(), app.lbd.ha());
    Ok((State { status: status?, ha }, summary?))
}

/// Polls lbd for as long as somebody looks.
pub async fn run(app: Arc<App>) {
    let mut tick = tokio::time::interval(Duration::from_secs(PERIOD.into()));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if !app.live.is_watched() {
            continue;
        }
        match state(&app).await {
            Ok((state, summary)) => app.live.update(&state, &seen(&summary)),
            Err(error) => tracing::warn!("live values: {error}"),
        }
    }
}

/// GET `/lbadmin/live/{view}?query`: the view's cells, then what changes. Ends when the session does.
pub async fn stream(
    extract::State(app): extract::State<Shared>,
    seat: Seat,
    Path(name): Path<String>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Refusal> {
    let Some((name, render)) = VIEWS.iter().find(|(n, _)| *n == name) else {
        return Err(Refusal::NotFound(format!("There is no view {name}.")));
    };
    let query = uri.query().unwrap_or_default();
    if query.len() > 500 {
        return Err(Refusal::Unreadable("the query is longer than 500 characters".into()));
    }
    let (state, summary) = state(&app).await?;
    let Some((all, changes)) = app.live.join(name, *render, query, &state, &seen(&summary)) else {
        return Ok((StatusCode::SERVICE_UNAVAILABLE, "Too many live views.\n").into_response());
    };
    let stream = events(all, changes);
    let ended = ended(app, seat.cookie, seat.session.who.address);
    Ok(Sse::new(stream.take_until(ended))
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
        .into_response())
}

fn events(
    all: Arc<str>,
    changes: broadcast::Receiver<Arc<str>>,
) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
    // A stream that lags has missed something: it ends, and the browser comes back for all cells.
    let later = BroadcastStream::new(changes)
        .take_while(|change| future::ready(change.is_ok()))
        .filter_map(|change| future::ready(change.ok()));
    let event = |html: Arc<str>| Ok(Event::default().event("cells").data(html.as_ref()));
    stream::once(async move { all }).chain(later).map(event)
}

/// When the session has gone. Looking does not keep it: an idle administrator is logged out.
async fn ended(app: Shared, cookie: String, _address: std::net::IpAddr) {
    let mut tick = tokio::time::interval(Duration::from_secs(30));
    tick.tick().await;
    loop {
        tick.tick().await;
        if !app.access.is_session(&cookie, crate::app::now()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
