//! `lbctl ha`: what the pair is and does, and the orders that an administrator gives it.
//!
//! Owns the screen of the pair: this unit, the other one, whether they agree, addresses and paths. A line that is
//! not as it should be begins with `!`; no colour. Refuses to judge an order: lbd's sentence is what is printed.
//! Rendering is pure. Tested by `tests/stories/pair.txt`, and at 80 columns.

use crate::{
    cli::HaCommand,
    error::{DONE, Error, REFUSED},
    session::{Answer, Session},
    text::{time, wrapped},
};
use lb_api::{
    ByRequest, ClientError, Done, ErrorCode, FloatingView, HaRole, HaView, MaintenanceRequest, PathView, PeerView,
    ReplicationState, ReplicationView, ResolveRequest, TakeoverRequest,
};
use std::fmt::Write;

pub const HELP: &str = "\
Without a command: the same as `lbctl ha status`.

Exit status: 0 it was done, or shown; 1 it was refused, and the reason was
printed (`status --check`: something is not as it should be); 2 the command line
could not be read; 3 the load balancer cannot be reached, or gave no answer.

Examples:
  lbctl ha                             who serves, why, and over which paths
  lbctl ha status --check              for a monitor
  lbctl ha takeover                    before work on the other unit
  lbctl ha maintenance on
  lbctl ha pair wait                   on the slave, first
  lbctl ha pair serial                 on the master, with the null-modem cable
  lbctl ha pair network 10.0.0.22      on the master, without the cable
  lbctl ha resolve mine
  lbctl log heartbeat                  who took over, when and why";

impl Session {
    pub fn ha(&self, command: Option<HaCommand>) -> Result<Answer, Error> {
        let author = self.author.clone();
        let done = match command {
            None | Some(HaCommand::Status { check: false }) => {
                let view = self.client.ha()?;
                return Answer::new(render(&view), &view);
            }
            Some(HaCommand::Status { check: true }) => return checked(&self.client.ha()?),
            Some(HaCommand::Pair(command)) => return self.pair(command),
            Some(HaCommand::Takeover { force }) => self.client.takeover(&TakeoverRequest { author, force })?,
            Some(HaCommand::Standby) => self.client.standby(&ByRequest { author })?,
            Some(HaCommand::Maintenance { on, force }) => {
                self.client.maintenance(&MaintenanceRequest { author, on, force })?
            }
            Some(HaCommand::Unpair) => self.client.unpair(&ByRequest { author })?,
            Some(HaCommand::Resolve { keep }) => self.client.resolve(&ResolveRequest { author, keep })?,
        };
        said(&done)
    }

    /// What `lbctl status` says of the pair; an lbd that knows no pairs is a single unit's.
    pub fn pair_of_status(&self) -> Result<Option<HaView>, ClientError> {
        match self.client.ha() {
            Ok(view) => Ok(Some(view).filter(|v| v.role != HaRole::Single)),
            Err(ClientError::Refused(e)) if e.code == ErrorCode::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// What lbd says of an order that it has carried out.
fn said(done: &Done) -> Result<Answer, Error> {
    let text = if done.message.is_empty() { "Done." } else { &done.message };
    Answer::new(wrapped(text, 0) + "\n", done)
}

fn checked(view: &HaView) -> Result<Answer, Error> {
    let wrong = complaints(view);
    let text = match wrong.len() {
        0 => "All is as it should be.\n".to_owned(),
        _ => wrong.iter().map(|w| wrapped(&format!("- {w}"), 2) + "\n").collect(),
    };
    Ok(Answer { exit: if wrong.is_empty() { DONE } else { REFUSED }, ..Answer::new(text, view)? })
}

/// What is not as it should be in a pair, most important first; a single unit has nothing to complain of.
pub fn complaints(view: &HaView) -> Vec<String> {
    let mut wrong: Vec<String> = view.alarms.iter().map(|a| format!("alarm: {a}")).collect();
    if view.role == HaRole::Single {
        return wrong;
    }
    if matches!(view.role, HaRole::Maintenance | HaRole::Stopped | HaRole::Unknown) {
        wrong.push(format!("this unit's role is: {}", view.role));
    }
    wrong.extend(view.unfit.iter().map(|u| format!("this unit cannot serve: {u}")));
    match &view.peer {
        Some(peer) if !peer.heard => wrong.push(format!("{} is not heard", peer.hostname)),
        Some(peer) if !peer.fit => wrong.push(format!("{} cannot serve", peer.hostname)),
        Some(_) => {}
        None => wrong.push("nothing is known of the other unit".to_owned()),
    }
    if let Some(replication) = view.replication.as_ref().filter(|r| r.state != ReplicationState::InSync) {
        wrong.push(format!("configuration: {}", replication_text(replication)));
    }
    for path in view.paths.iter().filter(|p| !p.up) {
        let error = path.error.as_ref().map_or_else(String::new, |e| format!(": {e}"));
        wrong.push(format!("path {} is down{error}", path.name));
    }
    wrong
}

fn replication_text(replication: &ReplicationView) -> String {
    let word = match replication.state {
        ReplicationState::InSync => "both units have the same",
        ReplicationState::Behind => "on its way to the other unit",
        ReplicationState::Refused => "the other unit cannot run it",
        ReplicationState::Diverged => "both units were changed without each other",
        ReplicationState::Unreachable => "the other unit cannot be reached",
    };
    match replication.detail.as_str() {
        "" => word.to_owned(),
        detail => format!("{word}: {detail}"),
    }
}

/// The role in a line, for `lbctl status`.
pub fn one_line(view: &HaView) -> String {
    let unit = view.unit.map_or_else(String::new, |u| format!(" (unit {u})"));
    let peer = match &view.peer {
        Some(peer) if peer.heard => format!("{} is {}", peer.hostname, peer.role),
        Some(peer) => format!("{} is not heard", peer.hostname),
        None => "the other unit is not known".to_owned(),
    };
    let mark = if complaints(view).is_empty() { "" } else { "! " };
    let more = if mark.is_empty() { "" } else { "; lbctl ha says more" };
    wrapped(&format!("{mark}Pair: this unit{unit} is {}, {peer}{more}", view.role), 2)
}

/// The whole screen.
pub fn render(view: &HaView) -> String {
    let mut text = String::new();
    let mut line = |indent: usize, sentence: String| {
        let _ = writeln!(text, "{}", wrapped(&sentence, indent));
    };
    for alarm in &view.alarms {
        line(2, format!("! ALARM: {alarm}"));
    }
    if view.role == HaRole::Single {
        line(0, "This unit is a single unit, not one of a pair.".into());
        line(2, "hint: lbwizard sets up a pair, the slave first; or: lbctl ha pair --help".into());
        return text;
    }
    let unit = view.unit.map_or_else(String::new, |u| format!("Unit {u}, this one"));
    let unit = if unit.is_empty() { "This unit".to_owned() } else { unit };
    let since = view.since.map_or_else(String::new, |s| format!(" since {}", time(s)));
    line(2, format!("{}{unit}: {}{since}", mark(own_is_well(view)), view.role));
    if !view.why.is_empty() {
        line(4, format!("  {}", view.why));
    }
    for reason in &view.unfit {
        line(4, format!("  cannot serve: {reason}"));
    }
    line(4, format!("  {}", connections(view.hot)));
    if !view.edits {
        line(4, "  what the pair shares is changed at the other unit".into());
    }
    match &view.peer {
        Some(peer) => other(peer, &mut line),
        None => line(2, "! Other unit: nothing is known of it".into()),
    }
    if let Some(replication) = &view.replication {
        let well = replication.state == ReplicationState::InSync;
        line(2, format!("{}Configuration: {}", mark(well), replication_text(replication)));
        if let Some(last) = replication.last.filter(|_| !well) {
            line(4, format!("  last the same at {}", time(last)));
        }
        if replication.state == ReplicationState::Diverged {
            line(4, "  hint: choose with lbctl ha resolve mine, or theirs".into());
        }
    }
    text.push('\n');
    floating(&view.floating, &mut text);
    text.push('\n');
    paths(&view.paths, &mut text);
    text
}

fn mark(well: bool) -> &'static str {
    if well { "" } else { "! " }
}

fn own_is_well(view: &HaView) -> bool {
    view.unfit.is_empty() && !matches!(view.role, HaRole::Maintenance | HaRole::Stopped | HaRole::Unknown)
}

fn connections(hot: bool) -> &'static str {
    if hot { "has the clients' connections" } else { "does not have the clients' connections yet" }
}

fn other(peer: &PeerView, line: &mut impl FnMut(usize, String)) {
    let PeerView { hostname, role, heard, fit, hot, web, fingerprint } = peer;
    let heard_text = if *heard { "" } else { ", not heard any more" };
    line(2, format!("{}Other unit, {hostname}: {role}{heard_text}", mark(*heard && *fit)));
    if *heard {
        let fit = if *fit { "can serve" } else { "cannot serve" };
        line(4, format!("  {fit}; {}", connections(*hot)));
    }
    if let Some(web) = web {
        line(4, format!("  {web}/lbadmin/"));
    }
    if !fingerprint.is_empty() {
        line(4, format!("  certificate SHA-256 {fingerprint}"));
    }
}

fn floating(floating: &[FloatingView], text: &mut String) {
    if floating.is_empty() {
        text.push_str("No floating IP: a virtual server's address is one.\n");
        return;
    }
    let _ = writeln!(text, "  {:<39} {:<15} {:<7} Here", "Floating IP", "Interface", "For");
    for f in floating {
        let interface = f.interface.to_string();
        let (kind, here) = (if f.vip { "VIP" } else { "gateway" }, if f.here { "yes" } else { "no" });
        let _ = writeln!(text, "  {:<39} {interface:<15} {kind:<7} {here}", f.address.to_string());
    }
}

fn paths(paths: &[PathView], text: &mut String) {
    if paths.is_empty() {
        text.push_str("! No heartbeat path\n");
        return;
    }
    let _ = writeln!(text, "  {:<39} {:<7} {:<5} {:>5} {:>12}", "Path", "Kind", "State", "Loss", "Round trip");
    for path in paths {
        let mark = if path.up { "  " } else { "! " };
        let (kind, state) = (if path.serial { "serial" } else { "network" }, if path.up { "up" } else { "down" });
        let loss = path.loss_percent.map_or_else(|| "-".to_owned(), |l| format!("{l}%"));
        let trip = path.latency_us.map_or_else(|| "-".to_owned(), |l| format!("{}.{:03} ms", l / 1000, l % 1000));
        let _ = writeln!(text, "{mark}{:<39} {kind:<7} {state:<5} {loss:>5} {trip:>12}", path.name);
        if let Some(error) = &path.error {
            let _ = writeln!(text, "{}", wrapped(&format!("    {error}"), 4));
        }
    }
}

#[cfg(test)]
mod tests;
