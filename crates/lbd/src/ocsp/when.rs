//! When a responder is asked: at once where no answer counts, half-way through the time that an answer has left else, and after a
//! failure the later the more often it failed. No clock, no dice: both are arguments.

use crate::acme::when::{Failures, spread};

/// Seconds: answers are good for hours or days, and half of that is left at the first failure.
const LONGEST_PAUSE: u64 = 3600;
/// A responder whose answers count for minutes only is not asked more often (seconds).
const SHORTEST: u64 = 300;

/// The answer that was believed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    /// When it came; else from when on it counts (Unix seconds). Responders give the same answer to everybody, for days:
    /// one that was old when it came is no reason to ask again at once.
    pub from: u64,
    /// Until when it counts (Unix seconds).
    pub next_update: u64,
}

/// From when on the responder is asked (Unix seconds). `dice` spreads units and certificates, and is the same for the
/// same certificate.
pub fn due(last: Option<Last>, failures: &Failures, dice: u32) -> u64 {
    let by_time = last.map_or(0, |Last { from, next_update }| {
        let time = next_update.saturating_sub(from);
        from.saturating_add((time / 2 + spread(time / 20, dice)).max(SHORTEST))
    });
    failures.again(LONGEST_PAUSE, dice).map_or(by_time, |again| by_time.max(again))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn failed(times: u32, at: u64) -> Failures {
        (0..times).fold(Failures::default(), |before, _| before.and("no".into(), false, None, at))
    }

    #[test]
    fn half_way_through_an_answers_time() {
        let week = Some(Last { from: 100 * DAY, next_update: 107 * DAY });
        assert_eq!(due(None, &Failures::default(), 7), 0);
        assert_eq!(due(week, &Failures::default(), 0), 103 * DAY + DAY / 2);
        let latest = due(week, &Failures::default(), u32::MAX);
        assert!(latest < 104 * DAY, "{latest}");
        // The same one again: after half of the rest.
        let again = Some(Last { from: 103 * DAY, next_update: 107 * DAY });
        assert_eq!(due(again, &Failures::default(), 0), 105 * DAY);
        let minutes = Some(Last { from: 100, next_update: 200 });
        assert_eq!(due(minutes, &Failures::default(), 0), 100 + SHORTEST);
    }

    #[test]
    fn failures_end_in_an_hourly_try() {
        let pauses: Vec<u64> = (1..=5).map(|times| due(None, &failed(times, DAY), 0) - DAY).collect();
        assert_eq!(pauses, [300, 1200, 3600, 3600, 3600]);
        // By then the answer of before still counts.
        let last = Some(Last { from: DAY, next_update: 2 * DAY });
        assert_eq!(due(last, &failed(1, DAY + DAY / 2), 0), DAY + DAY / 2 + 300);
    }
}
