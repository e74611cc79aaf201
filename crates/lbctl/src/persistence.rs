//! `lbctl persistence`: what layer 7 remembers of clients, and how it is made to forget them.
//!
//! Entries come and go with the clients, so that nothing here is part of the configuration. Tested by
//! `tests/stories/persistence.txt`.

use crate::{
    error::Error,
    session::{Answer, Session},
};
use clap::{Args, Subcommand};
use lb_api::{ClearEntriesRequest, ForgetEntryRequest, PersistenceKind, PersistenceQuery, PersistenceView};
use std::{collections::BTreeSet, fmt::Write as _};

/// Entries of one client that are removed by one command; each table has one at most.
const MOST_OF_A_CLIENT: usize = 1000;

#[derive(Debug, Subcommand)]
pub enum PersistenceCommand {
    /// Show which clients are kept on which real servers
    List(List),
    /// Forget a client: its next request or connection may go to any real server
    Remove {
        /// Label, or address:port
        #[arg(value_name = "VIP")]
        vip: String,
        /// Address, value of the application's cookie or its digest, user of an RDP cookie, or id of a TLS session
        client: String,
    },
    /// Forget all clients of a virtual server
    Clear {
        /// Label, or address:port
        #[arg(value_name = "VIP")]
        vip: String,
    },
}

#[derive(Debug, Args)]
pub struct List {
    /// Only this client: address, value of the application's cookie or its digest, user of an RDP cookie, or id of a TLS session
    #[arg(long, value_name = "CLIENT")]
    pub client: Option<String>,
    /// Only of this virtual server: label, or address:port
    #[arg(long, value_name = "VIP")]
    pub vip: Option<String>,
    /// Only on this real server: label, or address:port
    #[arg(long, value_name = "RIP")]
    pub rip: Option<String>,
    /// How many, at most 1000
    #[arg(short = 'n', long, default_value_t = 100, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub limit: u16,
    /// Leave out so many first
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    pub offset: usize,
}

impl Session {
    pub fn persistence(&self, command: PersistenceCommand) -> Result<Answer, Error> {
        match command {
            PersistenceCommand::List(args) => {
                let List { client, vip, rip, limit, offset } = args;
                let query =
                    PersistenceQuery { client, virtual_server: vip, real_server: rip, offset, limit: limit.into() };
                let view = self.client.persistence(&query)?;
                Answer::new(shown(&view, offset), &view)
            }
            PersistenceCommand::Remove { vip, client } => self.forget_client(vip, client),
            PersistenceCommand::Clear { vip } => self.forget_all(vip),
        }
    }

    fn forget_client(&self, vip: String, client: String) -> Result<Answer, Error> {
        let query = PersistenceQuery {
            client: Some(client.clone()),
            virtual_server: Some(vip.clone()),
            limit: MOST_OF_A_CLIENT,
            ..PersistenceQuery::default()
        };
        let entries = self.client.persistence(&query)?.entries;
        if entries.is_empty() {
            let hint = format!("lbctl persistence list --vip {vip} shows whom it remembers");
            return Err(Error::request(format!("{vip} remembers nothing of {client}"), Some(hint)));
        }
        let mut removed = String::new();
        for entry in &entries {
            self.client.forget_entry(&ForgetEntryRequest {
                virtual_server: entry.virtual_server.clone(),
                kind: entry.kind,
                key: entry.key.clone(),
                author: self.author.clone(),
            })?;
            let (vs, kind, key) = (&entry.virtual_server, kind(entry.kind), &entry.key);
            let _ = writeln!(removed, "{vs} has forgotten {kind} {key}.");
        }
        Answer::new(removed, &entries)
    }

    fn forget_all(&self, vip: String) -> Result<Answer, Error> {
        let query = PersistenceQuery { virtual_server: Some(vip.clone()), limit: 1, ..PersistenceQuery::default() };
        let tables = self.client.persistence(&query)?.tables;
        let labels: BTreeSet<&String> = tables.iter().map(|table| &table.virtual_server).collect();
        if labels.is_empty() {
            return Err(Error::request(format!("{vip} remembers no clients at layer 7"), None));
        }
        let mut cleared = String::new();
        for label in labels {
            self.client
                .clear_entries(&ClearEntriesRequest { virtual_server: label.clone(), author: self.author.clone() })?;
            let of_it = tables.iter().filter(|table| table.virtual_server == *label);
            let entries: usize = of_it.map(|table| table.entries).sum();
            let _ = writeln!(cleared, "{label} has forgotten all its clients: {}.", counted(entries));
        }
        Answer::new(cleared, &tables)
    }
}

fn kind(kind: PersistenceKind) -> &'static str {
    match kind {
        PersistenceKind::Source => "source",
        PersistenceKind::ApplicationCookie => "application-cookie",
        PersistenceKind::RdpCookie => "rdp-cookie",
        PersistenceKind::SslSessionId => "ssl-session-id",
    }
}

fn counted(entries: usize) -> String {
    if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") }
}

fn shown(view: &PersistenceView, offset: usize) -> String {
    if view.tables.is_empty() {
        return "No layer 7 virtual server remembers clients.\n".to_owned();
    }
    let mut text = String::new();
    let head = ["VIP", "KIND", "CLIENT", "RIP", "GOES IN"].map(str::to_owned);
    let rows: Vec<[String; 5]> = view
        .entries
        .iter()
        .map(|entry| {
            let rip = entry.real_server.clone().unwrap_or_else(|| "-".to_owned());
            let expires = format!("{} s", entry.expires);
            [entry.virtual_server.clone(), kind(entry.kind).to_owned(), entry.key.clone(), rip, expires]
        })
        .collect();
    if !rows.is_empty() {
        let mut widths = [0; 5];
        for row in rows.iter().chain([&head]) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.len().max(*width);
            }
        }
        for row in [&head].into_iter().chain(&rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                let _ = write!(line, "{cell:width$}  ");
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    let of = match (view.matching == view.total, view.truncated) {
        (_, true) => "; the tables are too long to be read in time, and not all of them was".to_owned(),
        (true, false) => String::new(),
        (false, false) => format!(" of {} in all", view.total),
    };
    let _ = writeln!(text, "{} {}{of}.", counted(view.matching), if view.matching == 1 { "matches" } else { "match" });
    let last = offset + view.entries.len();
    if last < view.matching {
        let _ = writeln!(text, "hint: --offset {last} shows the next ones");
    }
    text
}
