//! Moments of the caller's monotonic clock, as numbers.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Microseconds since any fixed start of the caller's monotonic clock. It must count while the machine sleeps
/// (`CLOCK_BOOTTIME`): time asleep is time in which the peer may have taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub u64);

/// A span in microseconds.
pub type Micros = u64;

impl Time {
    pub const NEVER: Time = Time(u64::MAX);

    pub fn plus(self, span: Micros) -> Time {
        Time(self.0.saturating_add(span))
    }

    /// Zero when `earlier` is later.
    pub fn since(self, earlier: Time) -> Micros {
        self.0.saturating_sub(earlier.0)
    }

    pub fn earlier_by(self, span: Micros) -> Time {
        Time(self.0.saturating_sub(span))
    }
}

impl From<Duration> for Time {
    fn from(since_start: Duration) -> Time {
        Time(u64::try_from(since_start.as_micros()).unwrap_or(u64::MAX))
    }
}

impl From<Time> for Duration {
    fn from(time: Time) -> Duration {
        Duration::from_micros(time.0)
    }
}
