//! Rise and fall: from outcomes to verdicts.
//!
//! ```text
//!                    +---------+
//!        1 success   | Unknown |   1 failure
//!       +------------+  (down) +------------+
//!       v            +---------+            v
//!   +-------+   `fall` failures in a row  +-------+
//!   |  Fit  +---------------------------->| Unfit |
//!   |       |<----------------------------+       |
//!   +-------+   `rise` successes in a row +-------+
//! ```
//!
//! The first outcome decides alone: a server that nothing is known of gets no clients, so one success
//! more would only delay it, and one failure changes nothing for anybody.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What the checks say of a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Not asked yet.
    #[default]
    Unknown,
    Fit,
    Unfit,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Unknown => "unknown",
            Verdict::Fit => "fit",
            Verdict::Unfit => "unfit",
        })
    }
}

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Fit,
    /// Why not, in words for an administrator: "connection refused", "status 500, expected 200-299".
    Unfit(String),
}

/// A verdict, and what has been counted against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Unknown,
    /// `failures` in a row so far, less than `fall`.
    Fit {
        failures: u32,
    },
    /// `successes` in a row so far, less than `rise`.
    Unfit {
        successes: u32,
    },
}

impl State {
    pub(crate) fn of(verdict: Verdict) -> State {
        match verdict {
            Verdict::Unknown => State::Unknown,
            Verdict::Fit => State::Fit { failures: 0 },
            Verdict::Unfit => State::Unfit { successes: 0 },
        }
    }

    pub(crate) fn verdict(self) -> Verdict {
        match self {
            State::Unknown => Verdict::Unknown,
            State::Fit { .. } => Verdict::Fit,
            State::Unfit { .. } => Verdict::Unfit,
        }
    }

    /// A failure has been seen that is not believed yet.
    pub(crate) fn doubted(self) -> bool {
        match self {
            State::Fit { failures } => failures > 0,
            State::Unknown | State::Unfit { .. } => false,
        }
    }

    /// The only place where a verdict changes. The text says why things stand as they do.
    pub(crate) fn next(self, outcome: Outcome, rise: u32, fall: u32) -> (State, String) {
        let fit = State::Fit { failures: 0 };
        let unfit = State::Unfit { successes: 0 };
        match (self, outcome) {
            (State::Unknown | State::Fit { .. }, Outcome::Fit) => (fit, "answers".into()),
            (State::Unknown, Outcome::Unfit(why)) => (unfit, why),
            (State::Fit { failures }, Outcome::Unfit(why)) => match failures + 1 {
                1 if fall <= 1 => (unfit, why),
                n if n >= fall => (unfit, format!("{why} ({n} failures in a row)")),
                n => (State::Fit { failures: n }, format!("{why} (failure {n} of {fall})")),
            },
            (State::Unfit { successes }, Outcome::Fit) => match successes + 1 {
                1 if rise <= 1 => (fit, "answers again".into()),
                n if n >= rise => (fit, format!("answers again ({n} successes in a row)")),
                n => (State::Unfit { successes: n }, format!("answers again (success {n} of {rise})")),
            },
            (State::Unfit { .. }, Outcome::Unfit(why)) => (unfit, why),
        }
    }
}
