//! What the wizard prints beside its questions. Lines of at most 78 columns, for 80x24.

pub mod pair;

use crate::settings::{First, Network, Role, Settings};
use ipnet::Ipv4Net;
use lb_api::{Applied, PlanView};
use lb_model::Config;
use std::fmt::{Display, Write};

pub const WIDTH: usize = 78;

pub const WELCOME: &str = "\
*****
Welcome to the Steelyard Setup Wizard. After a few questions this load
balancer has its first virtual server with one real server behind it. If it is
part of a clustered pair, configure the slave first.

Values within square brackets are defaults: Enter takes them. A ? explains the
question. Ctrl-C exits at any time, and undoes all changes.
*****
";

pub const CONTINUE: &str = "Press Enter to continue, or Ctrl-C to exit.[]";
pub const CONFIRM: &str = "Press Enter to make these changes permanent, or Ctrl-C to exit.[]";

/// Breaks a line between words; the lines after the first are indented by `indent`.
pub fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    let lead = text.len() - text.trim_start().len();
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column == 0 {
            out.push_str(&" ".repeat(lead));
            column = lead + width;
        } else if column + 1 + width > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent + width;
        } else {
            out.push(' ');
            column += 1 + width;
        }
        out.push_str(word);
    }
    out
}

fn list<T: Display>(title: &str, items: &[T], most: usize, more: &str) -> String {
    let mut out = title.to_owned();
    for item in items.iter().take(most) {
        let _ = write!(out, "\n{}", wrapped(&format!("  - {item}"), 4));
    }
    if items.len() > most {
        let _ = write!(out, "\n  ... and {} more{more}", items.len() - most);
    }
    out
}

/// All that an apply would do.
pub fn dry_run(plan: &PlanView) -> String {
    let mut parts = vec![changes(plan, usize::MAX)];
    if !plan.actions.is_empty() {
        parts.push(list("What would be done:", &plan.actions, usize::MAX, ""));
    }
    if !plan.drift.is_empty() {
        parts.push(list("Found here, but configured by nobody, and left alone:", &plan.drift, usize::MAX, ""));
    }
    parts.push("This was a dry run. Nothing was changed.".into());
    parts.join("\n\n")
}

/// The same before the confirmation, short enough for a screen.
pub fn plan(plan: &PlanView) -> String {
    let mut parts = Vec::new();
    if !plan.actions.is_empty() {
        parts.push(list("What will be done:", &plan.actions, 20, " (lbwizard --dry-run shows all)"));
    }
    parts.push(changes(plan, 20));
    parts.join("\n\n")
}

fn changes(plan: &PlanView, most: usize) -> String {
    match plan.changes.is_empty() {
        true => "What changes: nothing; the unit is set up like this already.".into(),
        false => list("What changes:", &plan.changes, most, " (lbwizard --dry-run shows all)"),
    }
}

/// The answers as a set-up.
pub fn summary(settings: &Settings, config: &Config) -> String {
    let Settings { network: Network { eth0, eth1, gateway, nameserver }, role } = settings;
    let card = |net: &Ipv4Net| format!("{} netmask {}", net.addr(), net.netmask());
    let mut rows = match role {
        Role::Single(_) => Vec::new(),
        Role::Slave => vec![("Role", format!("slave of a pair, hostname {}", config.node.hostname))],
        Role::Master(_, pair) => vec![("Role", format!("master of a pair; the slave is {}", pair.peer.hostname))],
    };
    match (role, eth1) {
        (Role::Slave, _) => {}
        (_, None) => rows.push(("Method", "one arm, layer 4 DR".to_owned())),
        (_, Some(_)) => rows.push(("Method", "two arms, layer 4 NAT, MASQUERADE on".to_owned())),
    }
    match eth1 {
        None => rows.push(("eth0", card(eth0))),
        Some(eth1) => rows.extend([("eth0 (external)", card(eth0)), ("eth1 (internal)", card(eth1))]),
    }
    rows.push(("Default gateway", gateway.to_string()));
    rows.push(("Nameserver", nameserver.to_string()));
    if let Role::Master(first, pair) = role {
        rows.push(("Floating IP", format!("{}, for the clients", first.vip)));
        rows.extend(pair.internal.map(|a| ("Floating IP", format!("{a}, the real servers' gateway"))));
        let paths = config.heartbeat.iter().flat_map(|h| &h.paths);
        rows.extend(paths.map(|path| ("Heartbeat", path.to_string())));
    }
    if let Some(First { vip, port, real_server }) = settings.first() {
        let label = config.virtual_servers.first().map_or("", |v| v.label.as_str());
        rows.push(("Virtual Server", format!("{label}, tcp {vip}:{port}, scheduler wrr")));
        rows.push(("Real Server", format!("WebServer1, {real_server}:{port}, checked by connecting")));
    }
    let kept = config.virtual_servers.len().saturating_sub(1);
    if kept > 0 {
        rows.push(("Kept", format!("{kept} more virtual server{}", if kept == 1 { "" } else { "s" })));
    }
    rows.iter().fold("This unit will be set up like this:".to_owned(), |mut out, (name, value)| {
        let _ = write!(out, "\n  {name:<17} {value}");
        out
    })
}

/// What was set up, what the real server still needs, and how to try it.
pub fn report(settings: &Settings, applied: &Applied) -> String {
    let mut parts = vec![match (applied.changes.is_empty(), applied.converged) {
        (true, _) => "There was nothing to change: the unit is set up like this already.".to_owned(),
        (false, true) => format!("Done. Revision {} runs, and is permanent.", applied.revision.number),
        (false, false) => format!("Revision {} is permanent, but not all of it works yet.", applied.revision.number),
    }];
    if !applied.pending.is_empty() {
        let pending: Vec<String> = applied.pending.iter().map(|p| format!("{}: {}", p.action, p.error)).collect();
        parts.push(list("Not done yet, and tried again by itself:", &pending, 10, ""));
    }
    if let Some(first) = settings.first() {
        parts.push(real_server_needs(settings, first));
        let First { vip, port, .. } = first;
        let url = match port {
            80 => format!("http://{vip}/"),
            443 => format!("-k https://{vip}/"),
            _ => format!("http://{vip}:{port}/"),
        };
        let from = if settings.network.eth1.is_some() {
            "a machine on the external network"
        } else {
            "another machine, not the real server"
        };
        parts.push(format!("Test it from {from}:\n  curl {url}"));
        parts.push(where_next(settings));
    }
    parts.join("\n\n")
}

/// The one place that names where to go on. The web interface answers on every address; eth0's is the one just typed.
fn where_next(settings: &Settings) -> String {
    let eth0 = settings.network.eth0.addr();
    let pair = if matches!(settings.role, Role::Master(..)) { "\n  lbctl ha" } else { "" };
    format!(
        "See what it does, and add more servers, in a browser (the factory user\n\
         loadbalancer, password loadbalancer, must choose a new password):\n\
         \x20 http://{eth0}:9080/lbadmin/\n\
         \x20 https://{eth0}:9443/lbadmin/\n\
         or here:\n\
         \x20 links http://127.0.0.1:9080/lbadmin/\n\
         \x20 lbctl status{pair}\n\
         \x20 lbctl --help"
    )
}

fn real_server_needs(settings: &Settings, first: &First) -> String {
    let First { vip, real_server, .. } = first;
    let gateway = match &settings.role {
        Role::Master(_, pair) => pair.internal.map(|a| (a, "the floating IP")),
        Role::Single(_) | Role::Slave => settings.network.eth1.map(|net| (net.addr(), "this unit")),
    };
    match gateway {
        Some((gateway, whose)) => format!(
            "The real server {real_server} still needs {whose} as its default\n\
             gateway. On Linux:\n\
             \x20 ip route replace default via {gateway}"
        ),
        None => format!(
            "The real server {real_server} still needs to take what comes for the\n\
             virtual server's address, without owning it. On Linux, with one of:\n\
             \x20 iptables -t nat -A PREROUTING -d {vip} -j REDIRECT\n\
             \x20 nft add table ip vip\n\
             \x20 nft 'add chain ip vip in {{ type nat hook prerouting priority -100; }}'\n\
             \x20 nft add rule ip vip in ip daddr {vip} redirect"
        ),
    }
}
