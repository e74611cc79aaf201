//! What all virtual servers share: the process, time-outs, the memory that survives a reload.

use super::{Lines, Places};
use crate::render::backend::tables;
use lb_model::Config;

/// The name of the section that keeps tables over a reload, and later on the pair's other unit.
pub(super) const PEERS: &str = "pair";

pub(super) fn write(config: &Config, places: &Places, lines: &mut Lines) {
    process(config, places, lines);
    defaults(config, lines);
    if config.layer7.virtual_servers.iter().any(tables) {
        lines.section("/layer7", format_args!("peers {PEERS}"));
        lines.put("/layer7", format_args!("peer this {}", places.peers));
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
    // No `log` yet: servers that go up and down are said on standard error in any case.
    lines.put(at, format_args!("stats socket {run}/admin.sock mode 600 level admin expose-fd listeners"));
    lines.put(at, format_args!("server-state-file {run}/servers"));
    lines.put(at, "localpeer this");
    // An old process lives on for its connections, but not for ever, and not in any number.
    lines.put(at, "hard-stop-after 12h");
    lines.put(at, "mworker-max-reloads 50");
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
