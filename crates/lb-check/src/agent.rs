//! What an agent's answer means: the language of HAProxy's agent checks (Configuration Manual 2.6, 5.2 "agent-check"),
//! so that one agent serves both layers.
//!
//! An answer is a line of words, in any order. What it does not speak of stays as it was, and only the agent itself takes
//! back what it has said: a server that it has drained gets clients again when it says `ready`, one that it has taken
//! down when it says `up`.

use std::fmt;

/// Bytes of an answer that are read: 1 KiB.
pub const ANSWER_LIMIT: usize = 1024;

/// A larger share makes no sense, and could not be multiplied (HAProxy's own limit is its largest weight, 256).
const MOST_PERCENT: u32 = 25_600;

/// What an agent has said of its server, all answers taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentState {
    /// Of the configured weight.
    pub percent: u32,
    pub mode: AgentMode,
    /// It has said `down`, `fail` or `stopped`, and not `up` since.
    pub down: bool,
}

impl Default for AgentState {
    /// Of one that has said nothing: as if there were none.
    fn default() -> Self {
        AgentState { percent: 100, mode: AgentMode::Ready, down: false }
    }
}

/// The administrative part of what an agent says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AgentMode {
    #[default]
    Ready,
    /// No new clients.
    Drain,
    /// No clients.
    Maint,
}

impl fmt::Display for AgentState {
    /// `75%`, `drain, 20%`, `maint, down, 0%`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            AgentMode::Ready => {}
            AgentMode::Drain => f.write_str("drain, ")?,
            AgentMode::Maint => f.write_str("maint, ")?,
        }
        if self.down {
            f.write_str("down, ")?;
        }
        write!(f, "{}%", self.percent)
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentReply {
    pub percent: Option<u32>,
    pub mode: Option<AgentMode>,
    pub up: Option<bool>,
    /// The words after `#`, and those that say nothing, for people.
    pub note: String,
}

impl AgentReply {
    /// Reads the first line of `answer`.
    pub fn read(answer: &[u8]) -> AgentReply {
        let line = answer.split(|b| matches!(b, b'\r' | b'\n' | 0)).next().unwrap_or_default();
        // For logs and pages: nothing that a terminal would obey.
        let line: String =
            String::from_utf8_lossy(line).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let (words, note) = line.split_once('#').unwrap_or((&line, ""));
        let mut reply = AgentReply::default();
        let mut others: Vec<&str> = Vec::new();
        for word in words.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
            match word.to_ascii_lowercase().as_str() {
                "up" => reply.up = Some(true),
                "down" | "fail" | "failed" | "stopped" => reply.up = Some(false),
                "ready" => reply.mode = Some(AgentMode::Ready),
                "drain" => reply.mode = Some(AgentMode::Drain),
                "maint" => reply.mode = Some(AgentMode::Maint),
                _ => match percent(word) {
                    Some(percent) => reply.percent = Some(percent),
                    None => others.push(word),
                },
            }
        }
        others.extend(Some(note.trim()).filter(|note| !note.is_empty()));
        reply.note = others.join(" ");
        reply
    }

    /// Whether any word of it says something.
    pub fn says_something(&self) -> bool {
        self.percent.is_some() || self.mode.is_some() || self.up.is_some()
    }
}

fn percent(word: &str) -> Option<u32> {
    let digits = word.strip_suffix('%')?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    // More digits than fit are more than the most.
    plain.then(|| digits.parse().unwrap_or(MOST_PERCENT).min(MOST_PERCENT))
}

impl AgentState {
    pub fn after(self, reply: &AgentReply) -> AgentState {
        AgentState {
            percent: reply.percent.unwrap_or(self.percent),
            mode: reply.mode.unwrap_or(self.mode),
            down: reply.up.map_or(self.down, |up| !up),
        }
    }
}

/// For people, the same at both layers: what an agent has said so far, and what it said last or why nothing.
pub fn agent_text(state: AgentState, last: &Heard) -> String {
    let noted = |note: &str| if note.is_empty() { String::new() } else { format!(" ({note})") };
    match last {
        Heard::Nothing => "agent not asked yet".to_owned(),
        Heard::Reply(note) => format!("agent: {state}{}", noted(note)),
        Heard::NotUnderstood(text) => format!("agent not understood: \"{text}\" ({state} as before)"),
        Heard::Unreachable(why) => format!("agent unreachable: {why} ({state} as before)"),
    }
}

/// What the last question to an agent brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Heard {
    #[default]
    Nothing,
    /// With its words for people.
    Reply(String),
    NotUnderstood(String),
    /// Why, in words for an administrator.
    Unreachable(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer, and what a fresh agent's server is then, with the note.
    #[test]
    fn answers_and_what_they_mean() {
        for (answer, wanted) in [
            ("75%\n", "75%"),
            ("75%", "75%"),
            (" 75%\r\n20%\n", "75%"),
            ("up 50%", "50%"),
            ("UP,50%", "50%"),
            ("drain", "drain, 100%"),
            ("maint\t0%", "maint, 0%"),
            ("down #too hot", "down, 100% (too hot)"),
            ("stopped,ready", "down, 100%"),
            ("fail", "down, 100%"),
            ("300%", "300%"),
            ("99999999999999%", "25600%"),
            ("busy 40% #disk is full, really", "40% (busy disk is full, really)"),
            ("40% maxconn:30", "40% (maxconn:30)"),
            ("up #\u{1b}[31mred", "100% ([31mred)"),
            ("", "nothing"),
            ("-5%", "nothing (-5%)"),
            ("%", "nothing (%)"),
            ("75", "nothing (75)"),
            ("HTTP/1.1 400 Bad", "nothing (HTTP/1.1 400 Bad)"),
        ] {
            let reply = AgentReply::read(answer.as_bytes());
            let state = AgentState::default().after(&reply);
            let state = if reply.says_something() { state.to_string() } else { "nothing".to_owned() };
            let note = if reply.note.is_empty() { String::new() } else { format!(" ({})", reply.note) };
            assert_eq!(format!("{state}{note}"), wanted, "{answer:?}");
        }
        assert_eq!(AgentReply::read(b"\xff\xfe 7%").percent, Some(7), "bytes that are no text");
    }

    /// As HAProxy 2.6.12 was seen to do with the same answers.
    #[test]
    fn only_an_agent_takes_back_what_it_said() {
        let mut state = AgentState::default();
        for (answer, wanted) in [
            ("down", "down, 100%"),
            ("50%", "down, 50%"),
            ("up", "50%"),
            ("drain", "drain, 50%"),
            ("20%", "drain, 20%"),
            ("up", "drain, 20%"),
            ("maint", "maint, 20%"),
            ("nonsense", "maint, 20%"),
            ("ready up 0%", "0%"),
        ] {
            state = state.after(&AgentReply::read(answer.as_bytes()));
            assert_eq!(state.to_string(), wanted, "after {answer:?}");
        }
    }

    #[test]
    fn what_people_read() {
        let state = AgentState { percent: 20, mode: AgentMode::Drain, down: false };
        let texts = [
            Heard::Nothing,
            Heard::Reply("sunday".into()),
            Heard::NotUnderstood("75".into()),
            Heard::Unreachable("connection refused".into()),
        ]
        .map(|heard| agent_text(state, &heard));
        let wanted = [
            "agent not asked yet",
            "agent: drain, 20% (sunday)",
            "agent not understood: \"75\" (drain, 20% as before)",
            "agent unreachable: connection refused (drain, 20% as before)",
        ];
        assert_eq!(texts, wanted);
    }
}
