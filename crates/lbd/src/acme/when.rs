//! When a certificate is ordered: at once where the one that is shown is no more than a stand-in, after two thirds of
//! its life else, and after a failure the later the more often it failed. No clock, no dice: both are arguments.

use serde::{Deserialize, Serialize};

/// Seconds after a first failure; each further one takes four times as long.
const FIRST_PAUSE: u64 = 300;
const LONGEST_PAUSE: u64 = 86_400;
/// Where the server says that it was asked too often, and not for how long.
const LIMITED: u64 = 3600;
/// What a server asks for is believed up to here.
const LONGEST_ASKED: u64 = 7 * 86_400;

/// What went wrong since a certificate was last obtained.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failures {
    /// In a row.
    pub count: u32,
    /// The last (Unix seconds).
    pub at: u64,
    /// Nothing is ordered before, by the server's own word (Unix seconds).
    pub not_before: u64,
    /// The last one's reason.
    pub text: String,
}

impl Failures {
    /// One more. `asked`: the server said for how many seconds it wants to be left alone; `limited`: that it was asked
    /// too often.
    #[must_use]
    pub fn and(&self, text: String, limited: bool, asked: Option<u64>, now: u64) -> Failures {
        let alone = asked.map(|seconds| seconds.min(LONGEST_ASKED)).max(limited.then_some(LIMITED)).unwrap_or_default();
        Failures { count: self.count.saturating_add(1), at: now, not_before: now.saturating_add(alone), text }
    }

    /// When the next try is (Unix seconds): the later the more often it failed, up to `longest` seconds after the last.
    /// `None`: nothing failed. `dice` as in [`due`].
    pub fn again(&self, longest: u64, dice: u32) -> Option<u64> {
        let times = self.count.checked_sub(1)?;
        let pause = FIRST_PAUSE.saturating_mul(1 << (2 * times.min(8))).min(longest);
        Some(self.at.saturating_add(pause + spread(pause / 4, dice)).max(self.not_before))
    }
}

/// 0 up to nearly 1 of `most`.
pub fn spread(most: u64, dice: u32) -> u64 {
    u64::try_from((u128::from(most) * u128::from(dice)) >> 32).unwrap_or(most)
}

/// The certificate that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Unix seconds.
    pub not_before: u64,
    pub not_after: u64,
    /// Of the right hosts, and from an authority.
    pub fits: bool,
}

/// From when on it is ordered (Unix seconds). `dice` spreads units and certificates, and is the same for the same
/// certificate.
pub fn due(shown: Option<Shown>, failures: &Failures, dice: u32) -> u64 {
    let by_life = match shown.filter(|shown| shown.fits) {
        None => 0,
        Some(Shown { not_before, not_after, .. }) => {
            let life = not_after.saturating_sub(not_before);
            not_before + life / 3 * 2 - spread(life / 30, dice)
        }
    };
    failures.again(LONGEST_PAUSE, dice).map_or(by_life, |again| by_life.max(again))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn shown(fits: bool) -> Option<Shown> {
        Some(Shown { not_before: 1000 * DAY, not_after: 1090 * DAY, fits })
    }

    fn failed(times: u32) -> Failures {
        (0..times).fold(Failures::default(), |before, _| before.and("no".into(), false, None, 1000 * DAY))
    }

    #[test]
    fn two_thirds_of_its_life_at_the_latest() {
        let none = Failures::default();
        assert_eq!(due(shown(true), &none, 0), 1060 * DAY);
        let earliest = due(shown(true), &none, u32::MAX);
        assert!((1057 * DAY..1057 * DAY + 60).contains(&earliest), "{earliest}");
        // What stands in is replaced at once, and so is what is for other hosts.
        assert_eq!(due(shown(false), &none, 7), 0);
        assert_eq!(due(None, &none, 7), 0);
        // Six days' certificates as well.
        let short = Shown { not_before: 0, not_after: 6 * DAY, fits: true };
        assert_eq!(due(Some(short), &none, 0), 4 * DAY);
    }

    #[test]
    fn the_more_failures_the_longer_the_pause() {
        let pauses: Vec<u64> = (1..=9).map(|times| due(None, &failed(times), 0) - 1000 * DAY).collect();
        assert_eq!(pauses, [300, 1200, 4800, 19_200, 76_800, DAY, DAY, DAY, DAY]);
        for (times, pause) in (1..).zip(pauses) {
            let longest = due(None, &failed(times), u32::MAX) - 1000 * DAY;
            assert!(longest > pause && longest <= pause + pause / 4, "{times}: {pause} to {longest}");
        }
        assert!(due(None, &failed(1000), u32::MAX) <= 1002 * DAY);
        // Failing early is no reason to order before its time.
        assert_eq!(due(shown(true), &failed(1), 0), 1060 * DAY);
    }

    #[test]
    fn who_is_asked_too_often_is_left_alone() {
        let now = 1000 * DAY;
        let asked = |seconds| Failures::default().and("too many".into(), true, seconds, now);
        assert_eq!(due(None, &asked(None), 0), now + 3600);
        assert_eq!(due(None, &asked(Some(60)), 0), now + 3600);
        assert_eq!(due(None, &asked(Some(2 * DAY)), 0), now + 2 * DAY);
        assert_eq!(due(None, &asked(Some(u64::MAX)), 0), now + 7 * DAY);
        let busy = Failures::default().and("busy".into(), false, Some(900), now);
        assert_eq!(due(None, &busy, 0), now + 900);
    }
}
