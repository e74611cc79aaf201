//! `lbctl status`: how the unit and its servers do, on an 80x24 console.
//!
//! Owns the table: what an administrator must know comes first, then a line for each virtual and
//! each real server. A line that is not as it should be begins with `!`; no colour. Rendering is
//! pure; only the watch loop touches the terminal. Tested by stories, and at 80 columns.

use crate::{
    cli::StatusArgs,
    error::{DONE, Error, REFUSED},
    ha,
    session::{Answer, Session},
    text,
};
use lb_api::{ActualState, HaView, RealServerStatus, Status, VirtualServerStatus};
use lb_model::RequestedState;
use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    time::Duration,
};

impl Session {
    pub fn status(&self, args: &StatusArgs, json: bool) -> Result<Answer, Error> {
        if let Some(seconds) = args.watch {
            return self.watch(Duration::from_secs(seconds), args.long, json);
        }
        let status = self.client.status()?;
        let pair = self.pair_of_status();
        if !args.check {
            return Answer::new(render(&status, pair.ok().flatten().as_ref(), args.long), &status);
        }
        let mut wrong = complaints(&status);
        match pair {
            Ok(pair) => wrong.extend(pair.iter().flat_map(ha::complaints).map(|w| format!("pair: {w}"))),
            Err(e) => wrong.push(format!("pair: {}", Error::from(e))),
        }
        let text = match wrong.len() {
            0 => "All is as it should be.\n".to_owned(),
            _ => wrong.iter().map(|w| format!("- {w}\n")).collect(),
        };
        Ok(Answer { exit: if wrong.is_empty() { DONE } else { REFUSED }, ..Answer::new(text, &status)? })
    }

    /// Until Ctrl-C, or until nobody reads any more. An lbd that restarts is waited for.
    fn watch(&self, every: Duration, long: bool, json: bool) -> Result<Answer, Error> {
        let mut out = io::stdout();
        loop {
            let frame = match self.client.status() {
                Ok(status) if json => serde_json::to_string(&status)? + "\n",
                Ok(status) => render(&status, self.pair_of_status().ok().flatten().as_ref(), long),
                Err(e) if json => Error::from(e).json()?.replace('\n', "") + "\n",
                Err(e) => Error::from(e).text() + "Trying again.\n",
            };
            match out.is_terminal() && !json {
                true => write!(out, "\x1b[H\x1b[J{}", fit(&frame, rows()))?,
                false if json => out.write_all(frame.as_bytes())?,
                false => writeln!(out, "{frame}")?,
            }
            out.flush()?;
            std::thread::sleep(every);
        }
    }
}

fn rows() -> usize {
    terminal_size::terminal_size().map_or(24, |(_, height)| height.0.into())
}

/// The first lines of `frame`: what matters stands at the top, and must not scroll away.
fn fit(frame: &str, rows: usize) -> String {
    let lines: Vec<&str> = frame.lines().collect();
    if lines.len() < rows {
        return frame.to_owned();
    }
    let shown = rows.saturating_sub(2);
    format!("{}\n({} more lines; lbctl status shows all)\n", lines[..shown].join("\n"), lines.len() - shown)
}

/// What is not as it should be, most important first.
fn complaints(status: &Status) -> Vec<String> {
    let mut wrong: Vec<String> = status.alarms.iter().map(|a| format!("alarm: {a}")).collect();
    wrong.extend(status.pending.iter().map(|p| format!("not done yet: {}: {}", p.action, p.error)));
    if !status.converged && status.pending.is_empty() {
        wrong.push("the kernel is not yet as the configuration says".to_owned());
    }
    wrong.extend(status.drift.iter().map(|d| format!("drift: {d}")));
    for vs in &status.virtual_servers {
        if let Some(what) = state_of(vs).1 {
            wrong.push(format!("{}: {what}", vs.label));
        }
        for rs in vs.real_servers.iter().filter(|rs| !as_requested(rs)) {
            let check = rs.check.as_ref().map_or_else(String::new, |c| format!(": {}", c.text));
            wrong.push(format!("{} in {}: requested {}, is {}{check}", rs.label, vs.label, rs.requested, rs.actual));
        }
    }
    wrong
}

fn as_requested(rs: &RealServerStatus) -> bool {
    match rs.requested {
        RequestedState::Online => rs.actual == ActualState::Active,
        RequestedState::Drain => rs.actual != ActualState::Active,
        RequestedState::Offline => matches!(rs.actual, ActualState::NonActive | ActualState::Draining),
    }
}

/// The word for a virtual server, and what is wrong with it.
fn state_of(vs: &VirtualServerStatus) -> (&'static str, Option<&'static str>) {
    match (vs.active, vs.fallback) {
        (_, true) => ("fallback", Some("no real server is left; the fallback server has the traffic")),
        (true, false) => ("active", None),
        (false, false) => ("non-active", Some("nothing answers its clients")),
    }
}

/// The whole screen.
fn render(status: &Status, pair: Option<&HaView>, long: bool) -> String {
    let mut text = String::new();
    let left = format!("{}  revision {}", status.hostname, status.revision);
    let right = format!("version {}", status.version);
    let _ = writeln!(text, "{left}{right:>w$}", w = 79_usize.saturating_sub(left.chars().count()).max(right.len() + 1));
    if let Some(pair) = pair {
        let _ = writeln!(text, "{}", ha::one_line(pair));
    }
    for alarm in &status.alarms {
        let _ = writeln!(text, "! ALARM: {alarm}");
    }
    if let Some(confirm) = &status.confirm {
        let _ = writeln!(
            text,
            "! Revision {} goes back to {} at {}",
            confirm.revision,
            confirm.revert_to,
            text::time(confirm.before)
        );
        let _ = writeln!(text, "  unless you confirm it: lbctl confirm {}", confirm.revision);
    }
    for pending in &status.pending {
        let _ = writeln!(text, "! Not done yet: {}\n  {}", pending.action, pending.error);
    }
    if !status.converged && status.pending.is_empty() {
        text += "! The kernel is not yet as the configuration says.\n";
    }
    for drift in &status.drift {
        let _ = writeln!(text, "! Drift: {drift}");
    }
    if status.old_connections > 0 {
        let connections = text::count(status.old_connections as usize, "connection");
        let _ = writeln!(text, "{connections} at HAProxy processes of before a reload, until they end");
    }
    if status.pending_changes > 0 {
        let verb = if status.pending_changes == 1 { "waits" } else { "wait" };
        let _ = writeln!(text, "{} {verb} in the candidate: lbctl diff", text::count(status.pending_changes, "change"));
    }
    if status.virtual_servers.is_empty() {
        text += "\nNo virtual server is configured: lbctl vip add --help\n";
        return text;
    }
    for vs in &status.virtual_servers {
        text.push('\n');
        virtual_server(vs, &mut text);
        if !vs.real_servers.is_empty() {
            let _ = writeln!(
                text,
                "  {}",
                row("Real server", "Address", ["Fwd", "Wgt", "Requested", "Actual", "Active", "Inact"])
            );
        }
        for rs in &vs.real_servers {
            real_server(rs, long, &mut text);
        }
    }
    text
}

fn virtual_server(vs: &VirtualServerStatus, text: &mut String) {
    let (state, wrong) = state_of(vs);
    let mark = if wrong.is_some() { "! " } else { "" };
    let name = format!("{mark}{}  {}", vs.label, vs.service);
    let facts = format!("{}  {state}  {} conn/s", vs.scheduler, vs.counters.connections_per_second);
    let gap = 79_usize.saturating_sub(name.chars().count() + facts.chars().count());
    let _ = match gap {
        0 | 1 => writeln!(text, "{name}\n{facts:>79}"),
        _ => writeln!(text, "{name}{facts:>w$}", w = gap + facts.chars().count()),
    };
    if vs.real_servers.is_empty() {
        text.push_str("  No real server: lbctl rip add --help\n");
    }
}

const LABEL: usize = 12;
const ADDRESS: usize = 20;

fn row(label: &str, address: &str, [forwarding, weight, requested, actual, active, inactive]: [&str; 6]) -> String {
    // "snat" is wider than the other methods, and its weights are narrower.
    let room = 9_usize.saturating_sub(forwarding.chars().count());
    format!("{label:<LABEL$} {address:<ADDRESS$} {forwarding}{weight:>room$} {requested:<9} {actual:<10} {active:>6} {inactive:>5}")
        .trim_end()
        .to_owned()
}

fn real_server(rs: &RealServerStatus, long: bool, text: &mut String) {
    let fine = as_requested(rs);
    let weight = rs.weight.to_string();
    let (requested, actual) = (rs.requested.to_string(), rs.actual.to_string());
    let (active, inactive) = (rs.active_connections.to_string(), rs.inactive_connections.to_string());
    let cells = [rs.forwarding.as_str(), &weight, &requested, &actual, &active, &inactive];
    text.push_str(if fine { "  " } else { "! " });
    // What is too long for its column gets a line of its own; nothing is cut.
    let (mut label, mut address) = (rs.label.as_str(), rs.address.as_str());
    if label.chars().count() > LABEL || address.chars().count() > ADDRESS {
        let _ = match label.chars().count() + address.chars().count() < 76 {
            true => writeln!(text, "{label} {address}"),
            false => writeln!(text, "{label}\n  {address}"),
        };
        text.push_str("  ");
        (label, address) = ("", "");
    }
    let _ = writeln!(text, "{}", row(label, address, cells));
    if let Some(check) = rs.check.as_ref().filter(|_| long || !fine) {
        let _ = writeln!(text, "    {}", check.text);
        // 0: lbd has not seen it change since it started.
        if check.since > 0 {
            let _ = writeln!(text, "    since {}", text::time(check.since));
        }
    }
}

#[cfg(test)]
mod tests;
