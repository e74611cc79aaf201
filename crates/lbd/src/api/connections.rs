//! A page of the kernel's connection table, and the removal of one entry that binds a client.
//!
//! The table is read as a stream on a thread of its own and filtered on the way: what is kept is one page and a count
//! for each state, however long the table. Few are read at once, and a reading nobody waits for any more ends. The
//! filter is pure, and tested below; lbd's component tests page through 100,000 entries.

use super::{Served, answer};
use crate::engine::record;
use axum::{
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use lb_api::{
    ApiError, Connection, ConnectionKind, ConnectionQuery, ConnectionsView, Done, ErrorCode, ForgetRequest, StateCount,
};
use lb_kernel::{Forgotten, Template};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Tables read at once. Before Linux 6.14 the kernel finds its place anew for every 4 KB that are read of it, so that
/// a long table keeps a CPU busy.
const AT_ONCE: usize = 2;
/// A reader is told what was read until then. Below [`lb_api::Transport`]'s own limit.
pub(super) const LONGEST: Duration = Duration::from_secs(20);
pub(super) const LIMIT: usize = 100;
pub(super) const LARGEST_LIMIT: usize = 1000;
/// Entries between two looks at the clock.
pub(super) const STEP: usize = 1024;

/// Who may read a table now.
#[derive(Clone)]
pub struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Turns(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Turns {
    /// Waits for it; whoever has given up is gone from the queue. `None` never comes: the turns are never closed.
    pub(super) async fn turn(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        self.0.clone().acquire_owned().await.ok()
    }
}

/// Tells a reading that nobody waits for it any more.
pub(super) struct Gone(pub(super) Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub async fn show(State(served): State<Served>, query: Result<Query<ConnectionQuery>, QueryRejection>) -> Response {
    let mut page = match answer::query(query).and_then(Page::new) {
        Ok(page) => page,
        Err(error) => return answer::refusal(&error),
    };
    let turn = served.tables.0.acquire_owned().await;
    let gone = Gone(Arc::default());
    let nobody_waits = gone.0.clone();
    let answered = answer::aside(move || {
        let _turn = turn;
        let end = Instant::now() + LONGEST;
        let read = served.inspector.connections(&mut |connection| {
            page.see(connection);
            let late =
                page.view.total.is_multiple_of(STEP) && (nobody_waits.load(Ordering::Relaxed) || Instant::now() > end);
            if late { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let read = read.map_err(|error| answer::internal(&error))?;
        Ok(page.done(read.is_break()))
    })
    .await;
    drop(gone);
    answered
}

/// Removes a persistent entry. Its client's connections stay where they are.
pub async fn forget(State(served): State<Served>, body: Bytes) -> Response {
    let ForgetRequest { protocol, client, virtual_server, real_server, author } = match answer::body(&body) {
        Ok(request) => request,
        Err(error) => return answer::refusal(&error),
    };
    let name = format!("{protocol} {client} to {virtual_server} on {real_server}");
    if client.port() != 0 || !["TCP", "UDP", "SCTP", "IP"].contains(&protocol.as_str()) {
        let message = format!("{} is no persistent entry", name.chars().take(200).collect::<String>());
        return answer::refusal(&ApiError::new(ErrorCode::BadRequest, message));
    }
    let turn = served.tables.0.clone().acquire_owned().await;
    answer::aside(move || {
        let _turn = turn;
        let template = Template { protocol, client, virtual_server, real_server };
        let became = served.inspector.forget(&template).map_err(|error| answer::internal(&error))?;
        tracing::info!("{}", record::did(&author, &format!("removed the persistent entry {name}")));
        let message = match became {
            Forgotten::Gone => "The entry is removed: the client's next connection may go to any real server.",
            Forgotten::InUse => {
                "The client has connections: the entry goes within a minute after the last of them, \
                 unless it makes a new one before."
            }
        };
        Ok(Done { message: message.to_owned() })
    })
    .await
}

/// What is asked for, and what was found of it so far.
struct Page {
    wanted: Wanted,
    offset: usize,
    limit: usize,
    states: BTreeMap<String, usize>,
    view: ConnectionsView,
}

struct Wanted {
    kind: ConnectionKind,
    client: Option<IpAddr>,
    virtual_server: Option<Place>,
    real_server: Option<Place>,
    state: Option<String>,
}

/// An address, with its port or with any.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    address: IpAddr,
    port: Option<u16>,
}

impl Place {
    pub(super) fn parse(field: &str, text: &str) -> Result<Place, ApiError> {
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Ok(Place { address: socket.ip(), port: Some(socket.port()) });
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        match bare.parse() {
            Ok(address) => Ok(Place { address, port: None }),
            Err(_) => Err(answer::bad_query(field, format!("\"{text}\""), "is no address and no ADDRESS:PORT")
                .hint("for example 10.0.0.21:80, or [2001:db8::1]:80")),
        }
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }

    fn is(&self, socket: SocketAddr) -> bool {
        self.address == socket.ip() && self.port.is_none_or(|p| p == socket.port())
    }
}

impl Page {
    fn new(query: ConnectionQuery) -> Result<Page, ApiError> {
        let limit = match query.limit {
            0 => LIMIT,
            n if n <= LARGEST_LIMIT => n,
            n => return Err(answer::bad_query("limit", n, "is more than 1000")),
        };
        let state = query.state.map(|s| s.to_ascii_uppercase());
        if let Some(state) = state.as_deref().filter(|s| s.is_empty() || s.len() > 20 || !s.bytes().all(is_word)) {
            let error = answer::bad_query("state", format!("\"{state}\""), "is no state of a connection");
            return Err(error.hint("for example ESTABLISHED or SYN_RECV"));
        }
        let place = |field: &str, text: Option<String>| text.map(|t| Place::parse(field, &t)).transpose();
        let wanted = Wanted {
            kind: query.kind,
            client: query.client,
            virtual_server: place("virtual_server", query.virtual_server)?,
            real_server: place("real_server", query.real_server)?,
            state,
        };
        Ok(Page { wanted, offset: query.offset, limit, states: BTreeMap::new(), view: ConnectionsView::default() })
    }

    fn see(&mut self, connection: &lb_kernel::Connection<'_>) {
        self.view.total += 1;
        if !self.wanted.matches(connection) {
            return;
        }
        let place = self.view.matching;
        self.view.matching += 1;
        match self.states.get_mut(connection.state) {
            Some(count) => *count += 1,
            None => {
                self.states.insert(connection.state.to_owned(), 1);
            }
        }
        if place >= self.offset && self.view.entries.len() < self.limit {
            self.view.entries.push(Connection {
                protocol: connection.protocol.to_owned(),
                client: connection.client,
                virtual_server: connection.virtual_server,
                real_server: connection.real_server,
                state: connection.state.to_owned(),
                expires: connection.expires,
            });
        }
    }

    fn done(mut self, truncated: bool) -> ConnectionsView {
        let counted = self.states.into_iter().map(|(state, count)| StateCount { state, count });
        self.view.states = counted.collect();
        self.view.states.sort_by_key(|s| std::cmp::Reverse(s.count));
        self.view.truncated = truncated;
        self.view
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_!?".contains(&byte)
}

impl Wanted {
    fn matches(&self, connection: &lb_kernel::Connection<'_>) -> bool {
        let kind = match self.kind {
            ConnectionKind::Connections => !connection.is_template(),
            ConnectionKind::Persistent => connection.is_template(),
        };
        kind && self.client.is_none_or(|c| c == connection.client.ip())
            && self.virtual_server.as_ref().is_none_or(|p| p.is(connection.virtual_server))
            && self.real_server.as_ref().is_none_or(|p| p.is(connection.real_server))
            && self.state.as_ref().is_none_or(|s| s == connection.state)
    }
}

#[cfg(test)]
mod tests;
