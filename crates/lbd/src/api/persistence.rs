//! What layer 7 remembers of clients: a page of it, and the removal of one entry or of all of a virtual server.
//!
//! HAProxy's tables are read as streams on a thread of its own, as the kernel's is in [`super::connections`], with whose
//! readers it takes turns: what is kept is one page and counts. Who looks for one client reads no table: each is asked
//! for that key. Which tables there are, the running configuration says. Tested below with a HAProxy in memory, and in
//! lb-haproxy with the real one.

use super::{
    Served, answer,
    connections::{Gone, LARGEST_LIMIT, LIMIT, LONGEST, Place, STEP},
    look,
};
use crate::engine::record;
use axum::{
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use lb_api::{
    ApiError, ClearEntriesRequest, Done, ErrorCode, ForgetEntryRequest, PersistenceEntry, PersistenceKind,
    PersistenceQuery, PersistenceTable, PersistenceView,
};
use lb_haproxy::{Entry, Forgotten, Known, Memory, ServerKey, Table};
use lb_model::{Config, Label, Layer7VirtualServer};
use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

pub async fn show(State(served): State<Served>, query: Result<Query<PersistenceQuery>, QueryRejection>) -> Response {
    let query = match answer::query(query) {
        Ok(query) => query,
        Err(error) => return answer::refusal(&error),
    };
    let (config, turn) = match look::snapshot(&served).await {
        Ok(snapshot) => (snapshot.config, served.tables.turn().await),
        Err(error) => return answer::refusal(&error),
    };
    let page = match Page::new(&config, query) {
        Ok(page) => page,
        Err(error) => return answer::refusal(&error),
    };
    let gone = Gone(Arc::default());
    let nobody_waits = gone.0.clone();
    let answered = answer::aside(move || {
        let _turn = turn;
        let end = Instant::now() + LONGEST;
        let late = || nobody_waits.load(Ordering::Relaxed) || Instant::now() > end;
        page.read(&*served.memory, &late).map_err(|error| answer::internal(&error))
    })
    .await;
    drop(gone);
    answered
}

/// Removes one entry. Its client's connections stay open; in mode http the next request on one is a new choice.
pub async fn forget(State(served): State<Served>, body: Bytes) -> Response {
    let ForgetEntryRequest { virtual_server, kind, key, author } = match answer::body(&body) {
        Ok(request) => request,
        Err(error) => return answer::refusal(&error),
    };
    let tables = match tables_of(&served, &virtual_server).await {
        Ok(tables) => tables,
        Err(error) => return answer::refusal(&error),
    };
    let Some(table) = tables.into_iter().find(|table| self::kind(table.known) == kind) else {
        let message = format!("{} keeps no clients that way", short(&virtual_server));
        return answer::refusal(&ApiError::new(ErrorCode::NotFound, message));
    };
    answer::aside(move || {
        match served.memory.forget(&table, &key).map_err(|error| answer::internal(&error))? {
            Forgotten::Gone => {}
            Forgotten::Unknown => {
                let message = format!("{} has no entry for {} that could be removed alone", short(&virtual_server), short(&key));
                let hint = "it may have gone by itself; an entry with signs that no command can hold goes with all of its table";
                return Err(ApiError::new(ErrorCode::NotFound, message).hint(hint));
            }
        }
        let name = name(table.known, &key);
        tracing::info!("{}", record::did(&author, &format!("removed the persistent entry of {name} in {virtual_server}")));
        let message = "The entry is removed: the client's next request or connection may go to any real server.";
        Ok(Done { message: message.to_owned() })
    })
    .await
}

/// Removes all entries of a virtual server.
pub async fn clear(State(served): State<Served>, body: Bytes) -> Response {
    let ClearEntriesRequest { virtual_server, author } = match answer::body(&body) {
        Ok(request) => request,
        Err(error) => return answer::refusal(&error),
    };
    let tables = match tables_of(&served, &virtual_server).await {
        Ok(tables) => tables,
        Err(error) => return answer::refusal(&error),
    };
    answer::aside(move || {
        for table in &tables {
            served.memory.clear(table).map_err(|error| answer::internal(&error))?;
        }
        tracing::info!("{}", record::did(&author, &format!("removed all persistent entries of {virtual_server}")));
        let message = "All entries are removed: each client's next request or connection may go to any real server.";
        Ok(Done { message: message.to_owned() })
    })
    .await
}

/// What remembers the clients of a virtual server; at least one table.
async fn tables_of(served: &Served, virtual_server: &str) -> Result<Vec<Table>, ApiError> {
    let config = look::snapshot(served).await?.config;
    let mut tables = lb_haproxy::tables(&config);
    tables.retain(|table| table.virtual_server.as_str() == virtual_server);
    if tables.is_empty() {
        let message = format!("there is no layer 7 virtual server {} that remembers clients", short(virtual_server));
        return Err(ApiError::new(ErrorCode::NotFound, message));
    }
    Ok(tables)
}

/// What somebody sent, in a message.
fn short(text: &str) -> String {
    format!("\"{}\"", text.chars().take(100).collect::<String>())
}

/// Of a session only so much that the log gives away no key to look it up by.
fn name(known: Known, key: &str) -> String {
    match known {
        Known::Source | Known::RdpCookie => key.to_owned(),
        Known::ApplicationCookie | Known::SslSessionId => {
            format!("the session {}…", key.chars().take(8).collect::<String>())
        }
    }
}

fn kind(known: Known) -> PersistenceKind {
    match known {
        Known::Source => PersistenceKind::Source,
        Known::ApplicationCookie => PersistenceKind::ApplicationCookie,
        Known::RdpCookie => PersistenceKind::RdpCookie,
        Known::SslSessionId => PersistenceKind::SslSessionId,
    }
}

/// What is asked for, and what was found of it so far.
struct Page {
    tables: Vec<Table>,
    client: Option<String>,
    /// `None`: all.
    servers: Option<BTreeSet<ServerKey>>,
    offset: usize,
    limit: usize,
    view: PersistenceView,
}

impl Page {
    fn new(config: &Config, query: PersistenceQuery) -> Result<Page, ApiError> {
        let limit = match query.limit {
            0 => LIMIT,
            n if n <= LARGEST_LIMIT => n,
            n => return Err(answer::bad_query("limit", n, "is more than 1000")),
        };
        let mut tables = lb_haproxy::tables(config);
        if let Some(text) = &query.virtual_server {
            let chosen = virtual_servers(config, text)?;
            tables.retain(|table| chosen.contains(&table.virtual_server));
        }
        let servers = query.real_server.as_deref().map(|text| real_servers(config, text)).transpose()?;
        let view = PersistenceView::default();
        Ok(Page { tables, client: query.client, servers, offset: query.offset, limit, view })
    }

    fn read(mut self, memory: &dyn Memory, late: &dyn Fn() -> bool) -> Result<PersistenceView, lb_haproxy::ProxyError> {
        let used = memory.used()?;
        let entries = |table: &Table| used.get(table.name()).copied().unwrap_or(0);
        for table in std::mem::take(&mut self.tables) {
            let entries = entries(&table);
            self.view.total += entries;
            let virtual_server = table.virtual_server.to_string();
            self.view.tables.push(PersistenceTable { virtual_server, kind: kind(table.known), entries });
            if entries == 0 || self.view.truncated {
                continue;
            }
            let keys = match &self.client {
                Some(client) => table.keys(client).into_iter().map(Some).collect(),
                None => vec![None],
            };
            let mut seen = 0_usize;
            for key in keys {
                let mut see = |entry: Entry<'_>| {
                    self.see(&table, &entry);
                    seen += 1;
                    if seen.is_multiple_of(STEP) && late() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                };
                match memory.entries(&table, key.as_deref(), &mut see) {
                    Ok(end) => self.view.truncated |= end.is_break(),
                    // It ended, or was reloaded without it, since it was asked for its tables.
                    Err(lb_haproxy::ProxyError::Down) => {}
                    Err(error) => return Err(error),
                }
            }
            self.view.truncated |= late();
        }
        Ok(self.view)
    }

    fn see(&mut self, table: &Table, entry: &Entry<'_>) {
        let server = table.server(entry);
        let meant = |servers: &BTreeSet<ServerKey>| server.as_ref().is_some_and(|server| servers.contains(server));
        if !self.servers.as_ref().is_none_or(meant) {
            return;
        }
        let place = self.view.matching;
        self.view.matching += 1;
        if place >= self.offset && self.view.entries.len() < self.limit {
            self.view.entries.push(PersistenceEntry {
                virtual_server: table.virtual_server.to_string(),
                kind: kind(table.known),
                key: entry.key.clone().into_owned(),
                real_server: entry.server.map(str::to_owned),
                expires: entry.expires,
            });
        }
    }
}

/// The virtual servers that a label or an address means.
fn virtual_servers(config: &Config, text: &str) -> Result<BTreeSet<Label>, ApiError> {
    let here = |vs: &&Layer7VirtualServer, place: &Place| {
        place.address() == vs.address
            && place.port().is_none_or(|port| vs.ports.ranges().iter().any(|r| (r.first..=r.last).contains(&port)))
    };
    if let Some(vs) = config.layer7_virtual_server(text) {
        return Ok(BTreeSet::from([vs.label.clone()]));
    }
    let place = place("virtual_server", text)?;
    Ok(config.layer7.virtual_servers.iter().filter(|vs| here(vs, &place)).map(|vs| vs.label.clone()).collect())
}

/// The same of real servers; one without a port of its own has its virtual server's.
fn real_servers(config: &Config, text: &str) -> Result<BTreeSet<ServerKey>, ApiError> {
    let all = || {
        let of = |vs: &'_ Layer7VirtualServer| {
            let label = vs.label.clone();
            let key = move |real_server: &Label| ServerKey {
                virtual_server: label.clone(),
                real_server: real_server.clone(),
            };
            vs.real_servers
                .iter()
                .map(|rs| (key(&rs.label), rs.address, rs.port.or(vs.ports.single())))
                .collect::<Vec<_>>()
        };
        config.layer7.virtual_servers.iter().flat_map(of)
    };
    let named: BTreeSet<ServerKey> =
        all().map(|(key, ..)| key).filter(|key| key.real_server.as_str() == text).collect();
    if !named.is_empty() {
        return Ok(named);
    }
    let place = place("real_server", text)?;
    let here = |(key, address, port)| {
        let fits = place.address() == address && place.port().is_none_or(|wanted| port == Some(wanted));
        fits.then_some(key)
    };
    Ok(all().filter_map(here).collect())
}

fn place(field: &str, text: &str) -> Result<Place, ApiError> {
    Place::parse(field, text).map_err(|_| {
        answer::bad_query(field, format!("\"{text}\""), "is no label, no address and no ADDRESS:PORT")
            .hint("labels are those of layer 7; an address is for example 10.0.0.21:80, or [2001:db8::1]:80")
    })
}

#[cfg(test)]
mod tests;
