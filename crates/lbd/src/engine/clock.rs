//! Whether the clock can be right. What hangs on it: certificates and OCSP answers, one-time codes, the times in logs
//! and graphs. Nothing else: the order of revisions, checks and the pair go by what nobody can set.

use super::{Engine, Now, notice::CLOCK};
use lb_kernel::Kernel;
use std::time::Duration;

/// 2026-11-01 in Unix seconds: when there was no unit yet. A later release may raise it.
const FIRST: u64 = 1_793_491_200;
/// Nobody runs this software twenty years later: 2046-10-27.
const LAST: u64 = FIRST + 20 * 365 * 24 * 3600;
/// What unreachable time servers may take. A clock that nobody sets drifts by some 0.1 s in that time.
const ALONE: Duration = Duration::from_secs(2 * 3600);

impl<K: Kernel> Engine<K> {
    pub(super) fn look_at_clock(&mut self, now: Now) {
        let servers = !self.running.globals.time_servers.is_empty();
        if !servers || self.kernel.clock_is_set() {
            self.clock_alone_since = now.since_start;
        }
        let alone = now.since_start.saturating_sub(self.clock_alone_since);
        self.notices.leave(CLOCK, wrong(now.unix, servers, alone).as_deref());
    }
}

/// What is to be said of a clock that says `unix` and which no time server has vouched for so long. The text stays the
/// same as long as the matter does.
fn wrong(unix: u64, servers: bool, alone: Duration) -> Option<String> {
    let hint = match servers {
        true => "hint: look at what the service \"time\" says (/data/log/time), and whether the time servers answer",
        false => {
            "hint: name time servers (Edit Configuration > Global Settings, or lbctl config set globals.time_servers), \
             or set it at the console: date -u -s '2026-12-31 23:59:00' && hwclock -u -w"
        }
    };
    if unix < FIRST {
        return Some(format!(
            "the clock is wrong: it is at a time before this software was made. Certificates and one-time codes cannot \
             be judged, and logs have wrong times. {hint}"
        ));
    }
    if unix > LAST {
        return Some(format!(
            "the clock is wrong: it is more than twenty years ahead. Certificates and one-time codes cannot be judged, \
             and logs have wrong times. {hint}"
        ));
    }
    let hours = ALONE.as_secs() / 3600;
    (alone >= ALONE).then(|| format!("no time server has vouched for the clock for {hours} hours. {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_clock_at_1970_or_2100_is_an_alarm_and_one_of_today_is_none() {
        for (unix, words) in [
            (0, Some("before this software was made")),
            (1_793_491_199, Some("before this software was made")),
            (1_793_491_200, None),
            (1_795_305_600, None),
            (LAST, None),
            (LAST + 1, Some("twenty years ahead")),
            (4_102_444_800, Some("twenty years ahead")),
        ] {
            for servers in [false, true] {
                let text = wrong(unix, servers, Duration::ZERO);
                assert_eq!(text.is_some(), words.is_some(), "{unix}: {text:?}");
                assert!(text.is_none_or(|t| words.is_some_and(|w| t.contains(w))), "{unix}");
            }
        }
    }

    #[test]
    fn servers_that_do_not_answer_are_an_alarm_after_two_hours() {
        assert_eq!(wrong(FIRST, true, ALONE - MINUTE), None);
        let text = wrong(FIRST, true, ALONE).expect("an alarm");
        assert!(text.contains("for 2 hours") && text.contains("whether the time servers answer"), "{text}");
        assert_eq!(wrong(FIRST, true, ALONE + MINUTE).as_deref(), Some(text.as_str()));
    }

    #[test]
    fn the_hint_names_what_there_is_to_be_done() {
        let nobody = wrong(0, false, Duration::ZERO).expect("an alarm");
        assert!(nobody.contains("globals.time_servers"), "{nobody}");
        assert!(wrong(0, true, Duration::ZERO).is_some_and(|text| text.contains("whether the time servers answer")));
    }
}
