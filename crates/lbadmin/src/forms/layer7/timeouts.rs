//! HAProxy's time-outs: of layer 7 altogether in Global Settings, and of one virtual server.

use crate::forms::{
    edit::{Typed, Values},
    form::{Field, Section},
};
use lb_model::layer7::{OwnTimeouts, ProxyTimeouts};

/// Field, the document's own name, words, and what it is about; in the order of [`ProxyTimeouts::words`].
pub const TIMEOUTS: [(&str, &str, &str, &str); 7] = [
    ("timeout_connect", "connect", "Connect timeout", "A real server accepts the connection"),
    ("timeout_client", "client", "Client timeout", "A client is silent while it is to speak"),
    ("timeout_server", "server", "Server timeout", "A real server is silent while it is to answer"),
    ("timeout_queue", "queue", "Queue timeout", "A request waits for a real server with a place left"),
    ("timeout_http_request", "http_request", "HTTP request timeout", "A client sends the whole head of its request"),
    (
        "timeout_http_keep_alive",
        "http_keep_alive",
        "HTTP keep-alive timeout",
        "A client's connection stays open for its next request",
    ),
    ("timeout_tunnel", "tunnel", "Tunnel timeout", "Both sides of a websocket are silent"),
];

const HELP: &str = "layer-seven-timeouts";

fn field((name, _, label, about): (&'static str, &str, &str, &str)) -> Field {
    Field::number(name, label, HELP, 1, 86_400).unit("seconds").hint(about)
}

/// The field that a name of the document is about.
pub fn field_at(name: &str) -> Option<&'static str> {
    TIMEOUTS.iter().find(|(_, own, ..)| *own == name).map(|(field, ..)| *field)
}

pub fn global_fields() -> Vec<Field> {
    TIMEOUTS.into_iter().map(field).collect()
}

pub fn global_values(timeouts: &ProxyTimeouts) -> impl Iterator<Item = (&'static str, String)> {
    TIMEOUTS.into_iter().zip(timeouts.words()).map(|((name, ..), (.., seconds))| (name, seconds.to_string()))
}

pub fn write_global(timeouts: &mut ProxyTimeouts, typed: &mut Typed) {
    let ProxyTimeouts { connect, client, server, queue, http_request, http_keep_alive, tunnel } = timeouts;
    let places = [connect, client, server, queue, http_request, http_keep_alive, tunnel];
    for ((name, ..), place) in TIMEOUTS.into_iter().zip(places) {
        typed.put_number(name, place);
    }
}

pub fn section(global: &ProxyTimeouts, usual: &Values) -> Section {
    let fields = TIMEOUTS.into_iter().zip(global.words());
    let fields = fields.map(|(of, (.., seconds))| field(of).placeholder(format!("{seconds} (global)")));
    Section::folding("Timeouts", fields.collect(), usual)
}

pub fn values(timeouts: &OwnTimeouts) -> impl Iterator<Item = (&'static str, String)> {
    let seconds = |s: Option<u32>| s.map_or_else(String::new, |s| s.to_string());
    TIMEOUTS.into_iter().zip(timeouts.words()).map(move |((name, ..), (.., own))| (name, seconds(own)))
}

pub fn write(timeouts: &mut OwnTimeouts, typed: &mut Typed) {
    let OwnTimeouts { connect, client, server, queue, http_request, http_keep_alive, tunnel } = timeouts;
    let places = [connect, client, server, queue, http_request, http_keep_alive, tunnel];
    for ((name, ..), place) in TIMEOUTS.into_iter().zip(places) {
        typed.put_optional_number(name, place);
    }
}
