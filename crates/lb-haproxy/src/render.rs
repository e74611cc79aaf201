//! A configuration in HAProxy's language (Configuration Manual 2.6).
//!
//! One virtual server is `frontend vs:LABEL`, where clients arrive, and `backend LABEL`, with its real servers; what
//! has a `:` in its name is ours, as no label has one. A rule that uses another virtual server's real servers leads
//! from the one's frontend to the other's backend.
//!
//! What the document says is written by [`quote`] alone, so that no text can say more than itself.
//! Tested by golden files, which the real HAProxy reads too, and with nasty texts in `tests/`.

mod backend;
mod frontend;
mod global;
mod lines;
mod quote;

pub(crate) use backend::address_type;
use lb_model::{Config, Label, RequestedState, layer7::PEERS_PORT};
use lines::Lines;
use sha2::{Digest, Sha256};
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
}

/// What HAProxy shall be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The whole file, weights and states included. Its first line is `# shape SHAPE`.
    pub text: String,
    /// The JSON pointer (RFC 6901) that a line comes from, by the number of the first line that does; lines count from 1.
    pub origins: BTreeMap<usize, String>,
    pub servers: BTreeMap<ServerKey, ServerSetting>,
    /// A digest (hex) of the text without `servers`: where it is the same, no reload is needed.
    pub shape: String,
}

impl Rendered {
    /// The JSON pointer of the field that line number `line` of the text comes from.
    pub fn origin(&self, line: usize) -> &str {
        self.origins.range(..=line).next_back().map_or("/layer7", |(_, pointer)| pointer)
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
    /// On loopback: where a new worker is taught what the old one remembered of clients. In a pair it is the same port of
    /// the unit's address.
    pub peers: SocketAddr,
}

impl Default for Places {
    fn default() -> Self {
        Places {
            run: "/run/haproxy".into(),
            user: Some("haproxy".into()),
            peers: SocketAddr::from((Ipv4Addr::LOCALHOST, PEERS_PORT)),
        }
    }
}

/// `None`: the configuration has no layer 7, and HAProxy need not run.
pub fn render(config: &Config) -> Option<Rendered> {
    render_in(config, &Places::default())
}

/// As [`render`], with things elsewhere.
pub fn render_in(config: &Config, places: &Places) -> Option<Rendered> {
    if config.layer7.virtual_servers.is_empty() {
        return None;
    }
    let mut lines = Lines::default();
    let mut servers = BTreeMap::new();
    global::write(config, places, &mut lines);
    for (i, virtual_server) in config.layer7.virtual_servers.iter().enumerate() {
        let at = format!("/layer7/virtual_servers/{i}");
        frontend::write(virtual_server, &at, &mut lines);
        backend::write(virtual_server, &config.globals.health, &at, &mut lines);
        servers.extend(virtual_server.real_servers.iter().map(|rs| {
            let key = ServerKey { virtual_server: virtual_server.label.clone(), real_server: rs.label.clone() };
            (key, ServerSetting { weight: rs.weight, state: rs.state })
        }));
    }
    let shape = Sha256::digest(&lines.shape).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let text = format!("{SHAPE}{shape}\n{}", lines.text);
    Some(Rendered { text, origins: lines.origins, servers, shape })
}
