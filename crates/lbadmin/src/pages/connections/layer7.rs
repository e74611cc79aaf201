//! The lower half of Reports > Persistent Connections: what HAProxy's tables remember of clients, beside the kernel's
//! entries. One entry is removed by its button, all of a virtual server after a question.

use super::{Filter, PER_PAGE};
use crate::{
    Shared,
    app::Flash,
    frame::{Frame, go, show},
    pages::{
        list::{Paging, duration, thousands},
        services::Sure,
    },
    refusal::{Refusal, words},
    seat::{Seat, Sent},
};
use axum::{
    extract::{Path, State},
    response::Response,
};
use lb_access::Permission;
use lb_api::{
    ClearEntriesRequest, ForgetEntryRequest, PersistenceEntry, PersistenceKind, PersistenceQuery, PersistenceView,
};
use lb_model::{Config, Label, Layer7VirtualServer};
use std::net::{IpAddr, SocketAddr};

const HERE: &str = "/lbadmin/persistent";

pub(super) struct Row {
    pub virtual_server: String,
    /// What the client is known by.
    pub kind: &'static str,
    /// As the request that removes it says it.
    pub kind_word: &'static str,
    pub key: String,
    /// As people read it.
    pub client: String,
    pub real_server: String,
    pub expires: String,
}

/// A virtual server that remembers clients.
pub(super) struct Remembers {
    pub virtual_server: String,
    pub kind: &'static str,
    pub entries: String,
    pub some: bool,
}

/// Shown where the configuration has something that remembers clients.
pub(super) struct Section {
    pub rows: Vec<Row>,
    pub tables: Vec<Remembers>,
    pub matching: String,
    pub total: String,
    pub truncated: bool,
    pub paging: Paging,
}

/// Whether anything at layer 7 remembers clients.
pub(super) fn remembers(config: &Config) -> bool {
    config.layer7.virtual_servers.iter().any(Layer7VirtualServer::remembers)
}

/// Whether the filter's words can mean something of layer 7: its labels, or any address.
pub(super) fn is_meant(filter: &Filter, config: &Config) -> bool {
    let address = |text: &str| text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok();
    let servers = || config.layer7.virtual_servers.iter().flat_map(|vs| vs.real_servers.iter());
    let (virtual_server, real_server) = (filter.virtual_server.as_str(), filter.real_server.as_str());
    let here =
        virtual_server.is_empty() || address(virtual_server) || config.layer7_virtual_server(virtual_server).is_some();
    let there = real_server.is_empty() || address(real_server) || servers().any(|rs| rs.label.as_str() == real_server);
    here && there
}

pub(super) async fn section(app: &Shared, filter: &Filter) -> Result<Section, Refusal> {
    let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    // An address may have been typed with a port, as in the kernel's table.
    let client = filter.client.parse::<SocketAddr>().map_or_else(|_| filter.client.clone(), |a| a.ip().to_string());
    let query = PersistenceQuery {
        client: set(&client),
        virtual_server: set(&filter.virtual_server),
        real_server: set(&filter.real_server),
        offset: filter.page7.saturating_mul(PER_PAGE),
        limit: PER_PAGE,
    };
    let view = app.lbd.client.persistence(&query).await?;
    Ok(of(view, filter))
}

fn of(view: PersistenceView, filter: &Filter) -> Section {
    let page = |page7| Filter { page7, ..filter.clone() }.query(filter.page);
    Section {
        paging: Paging::new(filter.page7, PER_PAGE, view.matching, "entries", page),
        matching: thousands(view.matching as u64),
        total: thousands(view.total as u64),
        truncated: view.truncated,
        rows: view.entries.into_iter().map(row).collect(),
        tables: view
            .tables
            .into_iter()
            .map(|table| Remembers {
                virtual_server: table.virtual_server,
                kind: kind(table.kind).0,
                entries: thousands(table.entries as u64),
                some: table.entries > 0,
            })
            .collect(),
    }
}

/// In a sentence, and in a request.
fn kind(kind: PersistenceKind) -> (&'static str, &'static str) {
    match kind {
        PersistenceKind::Source => ("source address", "source"),
        PersistenceKind::ApplicationCookie => ("application's cookie", "application-cookie"),
        PersistenceKind::RdpCookie => ("RDP cookie", "rdp-cookie"),
        PersistenceKind::SslSessionId => ("SSL session id", "ssl-session-id"),
    }
}

fn kind_of(word: &str) -> Option<PersistenceKind> {
    let all = [
        PersistenceKind::Source,
        PersistenceKind::ApplicationCookie,
        PersistenceKind::RdpCookie,
        PersistenceKind::SslSessionId,
    ];
    all.into_iter().find(|k| kind(*k).1 == word)
}

/// As people know it. Nobody compares 64 signs of a session by eye.
fn client(kind: PersistenceKind, key: &str) -> String {
    match kind {
        PersistenceKind::Source => {
            key.parse::<IpAddr>().map_or_else(|_| key.to_owned(), |address| address.to_canonical().to_string())
        }
        PersistenceKind::RdpCookie => key.to_owned(),
        PersistenceKind::ApplicationCookie | PersistenceKind::SslSessionId => {
            format!("{}…", key.chars().take(16).collect::<String>())
        }
    }
}

fn row(entry: PersistenceEntry) -> Row {
    let (words, kind_word) = kind(entry.kind);
    let client = client(entry.kind, &entry.key);
    Row {
        virtual_server: entry.virtual_server,
        kind: words,
        kind_word,
        key: entry.key,
        client,
        real_server: entry.real_server.unwrap_or_default(),
        expires: duration(entry.expires.into()),
    }
}

/// A button beside an entry.
pub(super) async fn remove(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::SetState, "remove a persistent entry")?;
    let word = sent.get("kind");
    let kind = kind_of(word).ok_or_else(|| Refusal::Unreadable(format!("kind: \"{word}\" is none")))?;
    let request = ForgetEntryRequest {
        virtual_server: sent.get("virtual_server").to_owned(),
        kind,
        key: sent.get("key").to_owned(),
        author: seat.author(),
    };
    let client = client(kind, &request.key).chars().take(100).collect::<String>();
    let what = format!("{client} in {}", request.virtual_server);
    let flash = match app.lbd.client.forget_entry(&request).await {
        Ok(done) => {
            seat.audit(&app, "remove a persistent entry", &what);
            Flash::good(format!("{client}: {}", done.message))
        }
        Err(error) => {
            seat.refused(&app, "remove a persistent entry", &format!("{what}: {error}"));
            Flash::bad(words(&error))
        }
    };
    let filter = Filter::of(sent.get("back"));
    Ok(go(&app, seat, &format!("{HERE}?{}", filter.query(filter.page)), flash))
}

async fn named(app: &Shared, name: &str) -> Result<Label, Refusal> {
    let running = app.lbd.running().await?;
    let found = running.config.layer7_virtual_server(name).filter(|vs| vs.remembers()).map(|vs| vs.label.clone());
    found.ok_or_else(|| {
        let name: String = name.chars().take(100).collect();
        Refusal::NotFound(format!("There is no layer 7 virtual server {name} that remembers clients."))
    })
}

pub(super) async fn ask_clear(
    State(app): State<Shared>,
    seat: Seat,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    seat.must(&app, Permission::SetState, "remove persistent entries")?;
    let name = named(&app, &name).await?;
    let title = format!("Clear {name}");
    let frame = Frame::load(&app, &seat, "persistent", &["Reports", "Persistent Connections", &title]).await?;
    let effects = vec![
        format!(
            "{name} forgets which real server each of its clients is bound to: with its next request or connection each may come to another one."
        ),
        "No connection is cut. A session that only one real server knows is lost for its client.".to_owned(),
    ];
    show(&Sure { frame, effects, button: format!("Remove all entries of {name}"), back: HERE })
}

pub(super) async fn clear(
    State(app): State<Shared>,
    Path(name): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::SetState, "remove persistent entries")?;
    let name = named(&app, &name).await?.to_string();
    let request = ClearEntriesRequest { virtual_server: name.clone(), author: seat.author() };
    let flash = match app.lbd.client.clear_entries(&request).await {
        Ok(done) => {
            seat.audit(&app, "remove all persistent entries", &name);
            Flash::good(format!("{name}: {}", done.message))
        }
        Err(error) => {
            seat.refused(&app, "remove all persistent entries", &format!("{name}: {error}"));
            Flash::bad(words(&error))
        }
    };
    Ok(go(&app, seat, HERE, flash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: PersistenceKind, key: &str) -> PersistenceEntry {
        let (virtual_server, real_server) = ("Shop".to_owned(), Some("Shop1".to_owned()));
        PersistenceEntry { virtual_server, kind, key: key.to_owned(), real_server, expires: 90 }
    }

    #[test]
    fn a_client_is_shown_as_people_know_it() {
        let client = |kind, key| row(entry(kind, key)).client;
        assert_eq!(client(PersistenceKind::Source, "::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(client(PersistenceKind::RdpCookie, r"DOMAIN\user"), r"DOMAIN\user");
        assert_eq!(client(PersistenceKind::ApplicationCookie, &"A".repeat(64)), format!("{}…", "A".repeat(16)));
        let words = [PersistenceKind::Source, PersistenceKind::ApplicationCookie, PersistenceKind::RdpCookie];
        assert!(words.iter().all(|k| kind_of(kind(*k).1) == Some(*k)));
    }

    #[test]
    fn pages_of_both_halves_are_turned_apart() {
        let entries = vec![entry(PersistenceKind::Source, "10.0.0.1")];
        let view = PersistenceView { matching: 250, total: 300, entries, ..PersistenceView::default() };
        let filter = Filter::of("client=10.0.0.1&page=2&page7=1");
        let section = of(view, &filter);
        assert_eq!(section.paging.next.as_deref(), Some("client=10.0.0.1&page7=2&page=2"));
        assert_eq!(filter.query(0), "client=10.0.0.1&page7=1");
    }
}
