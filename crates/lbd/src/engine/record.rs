//! What the log says of everything that somebody does, and of every turn of a server's health: one line each.

use crate::logs::CHECK;
use lb_check::{AgentTurn, Transition, Verdict};
use lb_model::Change;

/// So many sentences of one change are logged; the history has them all.
const SENTENCES: usize = 30;

/// `change: alice applied revision 7 (Tuning): Change scheduler of A from rr to wlc; …`
pub fn changed(author: &str, did: &str, revision: u64, comment: &str, changes: &[Change]) -> String {
    let comment = if comment.is_empty() { String::new() } else { format!(" ({comment})") };
    format!("change: {} {did} revision {revision}{comment}: {}", who(author), sentences(changes))
}

/// `change: alice discarded 2 pending changes: …`
pub fn discarded(author: &str, changes: &[Change]) -> String {
    let n = changes.len();
    let what = if n == 1 { "1 pending change".to_owned() } else { format!("{n} pending changes") };
    format!("change: {} discarded {what}: {}", who(author), sentences(changes))
}

/// `change: alice confirmed revision 7`
pub fn did(author: &str, did: &str) -> String {
    format!("change: {} {did}", who(author))
}

/// `check: B in A went from active to non-active: connection refused`
pub fn turned(turn: &Transition) -> String {
    let Transition { vs, rs, from, to, text } = turn;
    let why = if text.is_empty() { "" } else { ": " };
    format!("{CHECK}{rs} in {vs} went from {} to {}{why}{text}", word(*from), word(*to))
}

/// `check: B in A: agent: drain, 20% (sunday)`
pub fn agent_turned(turn: &AgentTurn) -> String {
    let AgentTurn { vs, rs, text, .. } = turn;
    format!("{CHECK}{rs} in {vs}: {text}")
}

fn who(author: &str) -> &str {
    if author.is_empty() { "somebody" } else { author }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Unknown => "checking",
        Verdict::Fit => "active",
        Verdict::Unfit => "non-active",
    }
}

fn sentences(changes: &[Change]) -> String {
    let mut texts: Vec<String> = changes.iter().take(SENTENCES).map(Change::to_string).collect();
    match changes.len().saturating_sub(SENTENCES) {
        0 => {}
        more => texts.push(format!("… and {more} more")),
    }
    if texts.is_empty() { "no difference to what runs".to_owned() } else { texts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str) -> Change {
        Change { text: text.into(), impact: Some("drops sessions".into()) }
    }

    #[test]
    fn one_line_says_who_did_what() {
        assert_eq!(
            changed("alice", "applied", 7, "Tuning", &[change("Move A"), change("Remove B")]),
            "change: alice applied revision 7 (Tuning): Move A (drops sessions); Remove B (drops sessions)"
        );
        assert_eq!(did("", "confirmed revision 7"), "change: somebody confirmed revision 7");
        assert_eq!(discarded("bob", &[]), "change: bob discarded 0 pending changes: no difference to what runs");
        let many: Vec<Change> = (0..100).map(|n| change(&n.to_string())).collect();
        assert!(discarded("bob", &many).ends_with("29 (drops sessions); … and 70 more"));
    }

    #[test]
    fn a_turn_says_from_where_to_where_and_why() {
        let label = |text: &str| text.parse().expect("a label");
        let turn = Transition {
            vs: label("A"),
            rs: label("B"),
            from: Verdict::Fit,
            to: Verdict::Unfit,
            text: "connection refused".into(),
        };
        assert_eq!(turned(&turn), "check: B in A went from active to non-active: connection refused");
    }
}
