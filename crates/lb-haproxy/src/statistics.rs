//! What HAProxy counts and how its servers are (`show stat`, Management Guide 9.1).

mod detail;

pub use detail::Detail;

use crate::ServerKey;
use lb_model::{Label, RequestedState};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statistics {
    pub virtual_servers: BTreeMap<Label, VirtualServerStatistics>,
    pub servers: BTreeMap<ServerKey, ActualServer>,
    /// What few look at: of virtual servers, and of real ones.
    pub details: BTreeMap<Label, Detail>,
    pub server_details: BTreeMap<ServerKey, Detail>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VirtualServerStatistics {
    pub totals: Totals,
    /// The fallback server is what serves.
    pub fallback: bool,
}

/// Since HAProxy's last start or reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// In mode http requests, in mode tcp connections.
    pub sessions: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// New sessions in the last second.
    pub rate: u64,
    /// Now.
    pub current: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActualServer {
    /// `None`: not asked yet.
    pub fit: Option<bool>,
    /// What its last check found, in words: `connected`, `status 200`, `timeout`, `connection refused`.
    pub check: Option<String>,
    /// Seconds since it last changed between fit and unfit.
    pub since: u64,
    pub totals: Totals,
    /// What its agent has made of it; `None` where none is asked.
    pub agent: Option<ActualAgent>,
}

/// A server whose agent HAProxy asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActualAgent {
    /// Of what [`crate::ObservedServer::initial_weight`] is the whole.
    pub weight: u16,
    /// `ready`, `drain` or `maint`.
    pub state: RequestedState,
    pub down: bool,
    pub last: AgentAnswer,
}

/// What the last question to an agent brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentAnswer {
    /// It was not asked yet.
    None,
    /// With its words for people.
    Reply(String),
    NotUnderstood(String),
    /// Why, in words.
    Unreachable(String),
}

impl Statistics {
    /// Servers that clients are connected with, or wait for.
    pub fn busy(&self) -> BTreeSet<ServerKey> {
        let queue = |key: &ServerKey| self.server_details.get(key).is_some_and(|detail| detail.queue > 0);
        let busy = self.servers.iter().filter(|(key, server)| server.totals.current > 0 || queue(key));
        busy.map(|(key, _)| key.clone()).collect()
    }

    /// The answer to `show stat`: one header, then one line for each frontend, backend and server.
    pub(crate) fn parse(answer: &str) -> Statistics {
        let mut lines = answer.lines();
        let header = lines.next().unwrap_or_default().trim_start_matches("# ");
        let columns: BTreeMap<&str, usize> = header.split(',').enumerate().map(|(i, name)| (name, i)).collect();
        let mut statistics = Statistics::default();
        for line in lines.filter(|line| !line.is_empty()) {
            statistics.add(&Row { columns: &columns, fields: fields(line) });
        }
        statistics
    }

    fn add(&mut self, row: &Row) {
        match row.text("type") {
            FRONTEND => {
                if let Some(label) =
                    row.text("pxname").strip_prefix("vs:").and_then(|label| label.parse::<Label>().ok())
                {
                    self.details.entry(label.clone()).or_default().arrive(row);
                    self.virtual_servers.entry(label).or_default().totals = row.totals();
                }
            }
            BACKEND => {
                if let Ok(label) = row.text("pxname").parse::<Label>() {
                    self.details.entry(label.clone()).or_default().serve(row);
                    let fallback = row.number("act") == 0 && row.number("bck") > 0;
                    self.virtual_servers.entry(label).or_default().fallback = fallback;
                }
            }
            SERVER => {
                if let (Ok(virtual_server), Ok(real_server)) = (row.text("pxname").parse(), row.text("svname").parse())
                {
                    let (fit, check, agent) = (row.fit(), row.check(), row.agent());
                    let (since, totals) = (row.number("lastchg"), row.totals());
                    let actual = ActualServer { fit, check, since, totals, agent };
                    let key = ServerKey { virtual_server, real_server };
                    self.server_details.insert(key.clone(), Detail::of_server(row));
                    self.servers.insert(key, actual);
                }
            }
            _ => {}
        }
    }
}

const FRONTEND: &str = "0";
const BACKEND: &str = "1";
const SERVER: &str = "2";

/// The fields of a line; HAProxy writes one with a comma or a quote in it in quotes.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields
}

struct Row<'a> {
    columns: &'a BTreeMap<&'a str, usize>,
    fields: Vec<String>,
}

impl Row<'_> {
    fn text(&self, name: &str) -> &str {
        self.columns.get(name).and_then(|column| self.fields.get(*column)).map_or("", String::as_str)
    }

    /// 0 where there is none.
    fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(0)
    }

    fn small(&self, name: &str) -> u32 {
        u32::try_from(self.number(name)).unwrap_or(u32::MAX)
    }

    fn totals(&self) -> Totals {
        let requests = self.text("mode") == "http" && self.text("type") == FRONTEND;
        let (sessions, rate) = if requests { ("req_tot", "req_rate") } else { ("stot", "rate") };
        Totals {
            sessions: self.number(sessions),
            bytes_in: self.number("bin"),
            bytes_out: self.number("bout"),
            rate: self.number(rate),
            current: self.small("scur"),
        }
    }

    /// HAProxy takes a server for fit until it has asked; where it has not, only "unfit" is known (from before a reload).
    fn fit(&self) -> Option<bool> {
        let asked = !matches!(self.text("check_status").trim_start_matches("* "), "" | "INI" | "UNK");
        match self.text("status").split(' ').next().unwrap_or_default() {
            "no" => Some(true),
            "UP" | "NOLB" | "DRAIN" => asked.then_some(true),
            "DOWN" => Some(false),
            _ => None,
        }
    }

    /// An agent that is not asked any more has no status.
    fn agent(&self) -> Option<ActualAgent> {
        let status = self.text("agent_status").trim_start_matches("* ");
        let said = self.text("last_agt");
        let last = match status {
            "" => return None,
            "INI" | "UNK" => AgentAnswer::None,
            "CHECKED" | "L7OK" | "L7STS" => match said.strip_prefix("agent reports an error : ") {
                Some(text) => AgentAnswer::NotUnderstood(text.to_owned()),
                // `via agent : down (too hot)`
                None => {
                    let note = said.split_once(" (").and_then(|(_, note)| note.strip_suffix(')'));
                    AgentAnswer::Reply(note.unwrap_or_default().to_owned())
                }
            },
            "L4TOUT" | "L7TOUT" => AgentAnswer::Unreachable("timeout".to_owned()),
            _ if said.is_empty() => AgentAnswer::Unreachable("no answer".to_owned()),
            _ => AgentAnswer::Unreachable(lower(said)),
        };
        let state = match self.text("status").split(' ').next() {
            Some("MAINT") => RequestedState::Offline,
            Some("DRAIN") => RequestedState::Drain,
            _ => RequestedState::Online,
        };
        let weight = u16::try_from(self.number("uweight")).unwrap_or(u16::MAX);
        Some(ActualAgent { weight, state, down: self.text("agent_health") == "0", last })
    }

    fn check(&self) -> Option<String> {
        let status = self.text("check_status").trim_start_matches("* ");
        let (code, last) = (self.text("check_code"), self.text("last_chk"));
        let words = |instead: &str| if last.is_empty() { instead.to_owned() } else { lower(last) };
        let found = match status {
            "" | "INI" | "UNK" => return None,
            "L4OK" => "connected".to_owned(),
            "L6OK" => "TLS connected".to_owned(),
            "L7OK" | "L7OKC" | "L7STS" if self.text("mode") == "http" && !code.is_empty() && code != "0" => {
                format!("status {code}")
            }
            "L7OK" | "L7OKC" => "answered".to_owned(),
            "L4TOUT" | "L6TOUT" | "L7TOUT" => "timeout".to_owned(),
            "L6RSP" => words("no TLS"),
            "L7RSP" | "L7STS" => words("unexpected answer"),
            _ => words("no connection"),
        };
        Some(found)
    }
}

/// As the middle of a sentence: `Connection refused` -> `connection refused`.
fn lower(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(Some(second)).chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}
