//! What all virtual servers share: the process, time-outs, the memory that survives a reload and, in a pair, a
//! take-over.

use super::{Lines, Places};
use lb_model::{Config, Layer7VirtualServer, NodeId};
use std::net::SocketAddr;

/// Without the query and without headers, which hold secrets. Codes of how it ended: Configuration Manual 8.5.
const HTTP_LOG: &str = "access %ci:%cp %f %b/%s status %ST, %B bytes, %Ta ms, ended %tsc, retries %rc: %HM %{+Q}HP";
const TCP_LOG: &str = "access %ci:%cp %f %b/%s %B bytes, %Tt ms, ended %ts, retries %rc";

/// A process that has outlived more is ended.
pub(crate) const MOST_RELOADS: u32 = 50;

/// The name of the section that keeps tables over a reload, and on the pair's other unit.
pub(super) const PEERS: &str = "pair";

pub(super) fn write(config: &Config, places: &Places, lines: &mut Lines) {
    process(config, places, lines);
    defaults(config, lines);
    if config.layer7.virtual_servers.iter().any(Layer7VirtualServer::remembers) {
        peers(config, places, lines);
    }
}

/// The local peer's line says where this process listens, which is also where the one before a reload brings it what it
/// remembers. Both units name each other alike.
fn peers(config: &Config, places: &Places, lines: &mut Lines) {
    lines.section("/layer7", format_args!("peers {PEERS}"));
    match config.layer7_peers() {
        None => lines.put("/layer7", format_args!("peer {} {}", local(None), places.peers)),
        Some(peers) => {
            let place = |address| SocketAddr::new(address, places.peers.port());
            let (mine, other) = (place(peers.mine), place(peers.other));
            lines.put("/heartbeat/paths", format_args!("peer {} {mine}", local(Some(peers.unit))));
            // From this very address, which is what the other unit lets in.
            let source = peers.mine;
            lines.put(
                "/heartbeat/paths",
                format_args!("peer {} {other} source {source}", local(Some(peers.unit.other()))),
            );
        }
    }
}

/// What a process is called among its peers. It changes when a pair is made, and only then.
fn local(unit: Option<NodeId>) -> &'static str {
    match unit {
        None => "this",
        Some(NodeId::One) => "one",
        Some(NodeId::Two) => "two",
    }
}

fn process(config: &Config, places: &Places, lines: &mut Lines) {
    let at = "/layer7";
    let run = places.run.display();
    lines.section(at, "global");
    let transparent = config.layer7.virtual_servers.iter().find(|vs| vs.transparent);
    match (transparent, &places.user) {
        (Some(vs), _) => lines.put(at, format_args!("# stays root: {} is transparent", vs.label)),
        (None, Some(user)) => {
            lines.put(at, format_args!("user {user}"));
            lines.put(at, format_args!("group {user}"));
        }
        (None, None) => {}
    }
    if places.user.is_some() {
        lines.put(at, format_args!("chroot {run}/empty"));
    }
    // Its service's log parts requests from what else it says by their first word. Only frontends log there: servers
    // that go up and down are said on standard error in any case.
    lines.put(at, "log stderr format raw local0");
    lines.put(at, format_args!("stats socket {run}/admin.sock mode 600 level admin expose-fd listeners"));
    lines.put(at, format_args!("server-state-file {run}/servers"));
    lines.put(at, format_args!("localpeer {}", local(config.layer7_peers().map(|peers| peers.unit))));
    // An old process lives on for its connections, but not for ever, and not in any number.
    lines.put(at, "hard-stop-after 12h");
    lines.put(at, format_args!("mworker-max-reloads {MOST_RELOADS}"));
    match config.layer7.max_connections {
        // Tables of a thousand million descriptors, which some systems allow, would take all memory.
        0 => lines.put(at, "fd-hard-limit 1048576"),
        n => lines.put("/layer7/max_connections", format_args!("maxconn {n}")),
    }
}

fn defaults(config: &Config, lines: &mut Lines) {
    for mode in ["http", "tcp"] {
        let at = "/layer7";
        lines.section(at, format_args!("defaults {mode}"));
        lines.put(at, format_args!("mode {mode}"));
        lines.put(at, "load-server-state-from-file global");
        // What goes well is counted, not told: a busy unit would write its disk to death.
        lines.put(at, "option dontlog-normal");
        lines.put(at, "option dontlognull");
        lines.put(at, format_args!("log-format '{}'", if mode == "http" { HTTP_LOG } else { TCP_LOG }));
        if mode == "http" {
            // A connection that waits for its next request gets an answer before the old process closes it.
            lines.put(at, "option idle-close-on-response");
        }
        for (field, name, seconds) in config.layer7.timeouts.words() {
            // In mode tcp `timeout tunnel` would stand in for client's and server's; it is for websockets.
            if mode == "http" || matches!(name, "connect" | "client" | "server" | "queue") {
                lines.put(&format!("/layer7/timeouts/{field}"), format_args!("timeout {name} {seconds}s"));
            }
        }
    }
}
