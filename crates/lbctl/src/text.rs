//! Answers as a person reads them: changes, applied revisions, plans, the history. Pure.
//!
//! Sentence case, no colour, hints where there is something to do. Tested by the stories.

use crate::error::problem_lines;
use lb_api::{Applied, CandidateView, LogView, Pending, PlanView, ReconcileView, RevisionView};
use lb_model::Change;
use std::fmt::Write;

/// One line a change, whom it hurts below it.
pub fn change_lines(changes: &[Change]) -> String {
    let mut text = String::new();
    for Change { text: sentence, impact } in changes {
        let _ = writeln!(text, "- {sentence}");
        if let Some(impact) = impact {
            let _ = writeln!(text, "  impact: {impact}");
        }
    }
    text
}

pub fn lines(title: &str, lines: &[String]) -> String {
    let mut text = String::new();
    if !lines.is_empty() {
        let _ = writeln!(text, "{title}");
    }
    for line in lines {
        let _ = writeln!(text, "- {line}");
    }
    text
}

pub fn pending_lines(pending: &[Pending]) -> String {
    let mut text = String::new();
    if !pending.is_empty() {
        text += "Not done yet, and tried again by itself:\n";
    }
    for Pending { action, error } in pending {
        let _ = writeln!(text, "- {action}\n  {error}");
    }
    text
}

pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Seconds since 1970 in the unit's time zone.
pub fn time(seconds: u64) -> String {
    let stamp = i64::try_from(seconds).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    stamp.map_or_else(
        || seconds.to_string(),
        |t| t.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
    )
}

fn revision(view: &RevisionView) -> String {
    match view.number {
        0 => "factory settings".to_owned(),
        number => format!("revision {number}"),
    }
}

pub fn applied(applied: &Applied) -> String {
    if applied.changes.is_empty() {
        return format!(
            "There is nothing to apply; {} runs on.\n{}",
            revision(&applied.revision),
            pending_lines(&applied.pending)
        );
    }
    let mut text = change_lines(&applied.changes);
    let number = applied.revision.number;
    let _ = writeln!(
        text,
        "Revision {number} runs now{}.",
        if applied.converged { ", and the kernel has all of it" } else { "" }
    );
    text += &pending_lines(&applied.pending);
    if let Some(before) = applied.confirm_before {
        let _ =
            writeln!(text, "It will be undone at {} unless you confirm it:\n  lbctl confirm {number}", time(before));
    }
    text
}

/// What waits in the candidate.
pub fn candidate(view: &CandidateView, running: Option<u64>) -> String {
    if view.changes.is_empty() {
        return "Nothing is pending.\n".to_owned();
    }
    let mut text = change_lines(&view.changes);
    let _ = writeln!(
        text,
        "{} pending.",
        match view.changes.len() {
            1 => "1 change is".to_owned(),
            n => format!("{n} changes are"),
        }
    );
    if let Some(running) = running.filter(|r| *r != view.base) {
        let _ = writeln!(
            text,
            "The candidate began as revision {}, and revision {running} runs now.\nhint: to go on from it: lbctl config show candidate > mine.json; lbctl config put mine.json",
            view.base
        );
    }
    text + &problems(view)
}

/// Why the candidate cannot be applied yet; empty when it can.
pub fn problems(view: &CandidateView) -> String {
    match view.problems.len() {
        0 => String::new(),
        n => format!(
            "The candidate has {} and cannot be applied:\n{}",
            count(n, "problem"),
            problem_lines(&view.problems, Some(&view.config))
        ),
    }
}

pub fn plan(plan: &PlanView) -> String {
    let mut text = change_lines(&plan.changes);
    text += &match plan.actions.len() {
        0 => "Nothing would be done: the kernel is as it should be.\n".to_owned(),
        n => lines(&format!("An apply would do {}:", count(n, "action")), &plan.actions),
    };
    text + &lines("In the kernel, but configured by nobody (drift):", &plan.drift)
}

pub fn reconciled(view: &ReconcileView) -> String {
    let time = format!("{}.{:03} ms", view.microseconds / 1000, view.microseconds % 1000);
    let mut text = match view.plan.len() {
        0 if view.pending.is_empty() => format!("All was as it should be ({time}).\n"),
        0 => format!("Compared in {time}.\n"),
        n => lines(&format!("Did {} in {time}:", count(n, "action")), &view.plan),
    };
    text += &pending_lines(&view.pending);
    text + &lines("In the kernel, but configured by nobody (drift):", &view.drift)
}

pub fn history(revisions: &[RevisionView]) -> String {
    if revisions.is_empty() {
        return "Nothing has been applied yet; factory settings run.\n".to_owned();
    }
    let author = revisions.iter().map(|r| r.author.chars().count()).max().unwrap_or(0).max(6);
    let mut text = format!("{:>8}  {:<23}  {:<author$}  Comment\n", "Revision", "Time", "Author");
    for RevisionView { number, time: at, author: who, comment } in revisions {
        let line = format!("{number:>8}  {:<23}  {who:<author$}  {comment}", time(*at));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Oldest first, as a log is read.
pub fn log(view: &LogView) -> String {
    if view.lines.is_empty() {
        return "Nothing of this is in the log.\n".to_owned();
    }
    let line = |l: &lb_api::LogLine| format!("{} {}", l.time, l.text).trim_start().to_owned() + "\n";
    view.lines.iter().rev().map(line).collect()
}

/// Breaks a sentence between words at 79 columns; the lines after the first are indented by `indent`.
pub fn wrapped(text: &str, indent: usize) -> String {
    let lead = text.len() - text.trim_start().len();
    let mut out = " ".repeat(lead);
    let mut column = lead;
    let mut first = true;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if !first && column + 1 + width > 79 {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if !first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
        first = false;
    }
    out
}
