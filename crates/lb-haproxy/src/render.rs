//! A configuration in HAProxy's language (Configuration Manual 2.6).
//!
//! One virtual server is `frontend vs:LABEL`, where clients arrive, and `backend LABEL`, with its real servers; what
//! has a `:` in its name is ours, as no label has one. A rule that uses another virtual server's real servers leads
//! from the one's frontend to the other's backend.
//!
//! What the document says is written by [`quote`] alone, so that no text can say more than itself.
//! Tested by golden files, which the real HAProxy reads too, and with nasty texts in `tests/`.

mod acme;
mod backend;
mod frontend;
mod global;
mod lines;
pub(crate) mod lists;
mod quote;
mod server;
mod tls;

use crate::files::{self, Certificates, File, Missing};
pub use acme::answered;
pub(crate) use backend::address_type;
pub(crate) use global::MOST_RELOADS;
use lb_model::{Config, Label, RequestedState, layer7::PEERS_PORT};
use lines::Lines;
pub use lists::List;
#[cfg(test)]
pub(crate) use quote::word;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// A real server, by the labels of its virtual server and of its own: `backend/server` in HAProxy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerKey {
    pub virtual_server: Label,
    pub real_server: Label,
}

/// What the runtime API can change of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerSetting {
    /// 0..=256
    pub weight: u16,
    pub state: RequestedState,
    /// Its agent says how much of the weight it gets, and whether any, as long as it is requested online.
    pub agent: bool,
}

/// A real server that the runtime API can make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// A digest of its line, and its `id` in HAProxy.
    pub number: u32,
    /// Its place, and all that is said of it but its weight and state.
    pub words: String,
    /// HAProxy asks it whether it is fit.
    pub checked: bool,
    /// HAProxy can ask its agent.
    pub agent: bool,
}

/// What HAProxy shall be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The whole file, weights and states included. Its first line is `# shape SHAPE`.
    pub text: String,
    /// The JSON pointer (RFC 6901) that a line comes from, by the number of the first line that does; lines count from 1.
    pub origins: BTreeMap<usize, String>,
    pub servers: BTreeMap<ServerKey, ServerSetting>,
    /// What the text names in [`Places::certificates`], by file name; there before HAProxy reads the text.
    pub files: BTreeMap<String, File>,
    /// What cannot be served for want of a certificate.
    pub missing: Vec<Missing>,
    /// Virtual servers whose real servers come and go without a reload.
    pub runtime: BTreeMap<Label, BTreeMap<Label, Definition>>,
    /// What tests compare with, which changes without a reload, by HAProxy's number of the list.
    pub lists: BTreeMap<u32, List>,
    /// A digest (hex) of the text without `servers`, and of the files that are read at a reload only.
    pub outline: String,
    /// The same without the lines of real servers that come and go without a reload, and without `lists`: where it is the
    /// same, no reload is needed.
    pub shape: String,
}

impl Rendered {
    /// The JSON pointer of the field that line number `line` of the text comes from.
    pub fn origin(&self, line: usize) -> &str {
        self.origins.range(..=line).next_back().map_or("/layer7", |(_, pointer)| pointer)
    }

    /// Of a real server that the runtime API can make.
    pub fn definition(&self, server: &ServerKey) -> Option<&Definition> {
        self.runtime.get(&server.virtual_server)?.get(&server.real_server)
    }

    /// The shape that a text of ours was written for, from its first line.
    pub fn shape_of(text: &str) -> Option<&str> {
        text.lines().next()?.strip_prefix(SHAPE)
    }
}

const SHAPE: &str = "# shape ";

/// Where HAProxy finds its things; [`Places::default`] is the appliance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The directory of the sockets, the servers' states over a reload and the empty directory `empty`.
    pub run: PathBuf,
    /// Who the workers are, user and group; `None`: who started HAProxy.
    pub user: Option<String>,
    /// The directory of certificates, keys and lists of them, for root alone.
    pub certificates: PathBuf,
    /// On loopback: where a new worker is taught what the old one remembered of clients. In a pair it is the same port of
    /// the unit's address.
    pub peers: SocketAddr,
    /// The thumbprint of the unit's ACME account, where it has one.
    pub acme: Option<String>,
}

impl Default for Places {
    fn default() -> Self {
        Places {
            run: "/run/haproxy".into(),
            user: Some("haproxy".into()),
            certificates: "/run/lb/certs".into(),
            peers: SocketAddr::from((Ipv4Addr::LOCALHOST, PEERS_PORT)),
            acme: None,
        }
    }
}

/// `None`: the configuration has no layer 7, and HAProxy need not run. Without certificates: see [`render_in`].
pub fn render(config: &Config) -> Option<Rendered> {
    render_in(config, &Places::default(), &Certificates::default())
}

/// As [`render`], with things elsewhere, and with the keys and chains at hand. Where one is missing that a virtual
/// server cannot do without, HAProxy does not listen for it.
pub fn render_in(config: &Config, places: &Places, certificates: &Certificates) -> Option<Rendered> {
    if config.layer7.virtual_servers.is_empty() {
        return None;
    }
    let (files, missing) = files::files(&config.layer7, places, certificates);
    let mut lines = Lines::default();
    let (mut servers, mut runtime, mut lists) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    global::write(config, places, &mut lines);
    for (i, virtual_server) in config.layer7.virtual_servers.iter().enumerate() {
        let at = format!("/layer7/virtual_servers/{i}");
        if !missing.iter().any(|missing| missing.virtual_server == virtual_server.label && missing.stops) {
            frontend::write(config, virtual_server, places, &at, &mut lists, &mut lines);
        }
        let definitions = backend::write(virtual_server, &config.globals.health, places, &files, &at, &mut lines);
        runtime.extend(definitions.map(|definitions| (virtual_server.label.clone(), definitions)));
        let (scale, agent) = (server::scale(virtual_server), virtual_server.agent.is_some());
        servers.extend(virtual_server.real_servers.iter().map(|rs| {
            let key = ServerKey { virtual_server: virtual_server.label.clone(), real_server: rs.label.clone() };
            (key, ServerSetting { weight: rs.weight * scale, state: rs.state, agent })
        }));
    }
    acme::write(config, places, &mut lines);
    let [outline, shape] = [lines.outline, lines.shape].map(|mut text| {
        for (name, file) in files.iter().filter(|(name, file)| file.sha1.is_none() && !files::is_response(name)) {
            let _ = writeln!(text, "{name} {}", file.digest);
        }
        files::digest(text.as_bytes())
    });
    let text = format!("{SHAPE}{shape}\n{}", lines.text);
    Some(Rendered { text, origins: lines.origins, servers, files, missing, runtime, lists, outline, shape })
}
