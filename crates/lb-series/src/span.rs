//! How far back: an hour, a day, 30 days; each with its step.

use std::{fmt, str::FromStr};

/// A resolution, kept in a ring file of its own. `1h`, `24h`, `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Span {
    /// 360 steps of 10 s.
    #[default]
    Hour,
    /// 720 steps of 2 min.
    Day,
    /// 720 steps of 1 h.
    Month,
}

impl Span {
    pub const ALL: [Span; 3] = [Span::Hour, Span::Day, Span::Month];

    /// Seconds between two values.
    pub const fn step(self) -> u64 {
        match self {
            Span::Hour => 10,
            Span::Day => 120,
            Span::Month => 3600,
        }
    }

    /// Values kept.
    pub const fn steps(self) -> u64 {
        match self {
            Span::Hour => 360,
            Span::Day | Span::Month => 720,
        }
    }

    /// What its values are averages of.
    pub(crate) const fn finer(self) -> Option<Span> {
        match self {
            Span::Hour => None,
            Span::Day => Some(Span::Hour),
            Span::Month => Some(Span::Day),
        }
    }

    pub(crate) const fn file(self) -> &'static str {
        match self {
            Span::Hour => "hour.ring",
            Span::Day => "day.ring",
            Span::Month => "month.ring",
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Span::Hour => "1h",
            Span::Day => "24h",
            Span::Month => "30d",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the span is 1h, 24h or 30d")]
pub struct SpanError;

impl FromStr for Span {
    type Err = SpanError;
    fn from_str(s: &str) -> Result<Self, SpanError> {
        Span::ALL.into_iter().find(|span| span.to_string() == s).ok_or(SpanError)
    }
}
