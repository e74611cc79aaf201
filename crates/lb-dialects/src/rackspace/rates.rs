//! How often an account may call: the vendor's rates, one bucket for each method.
//!
//! A bucket has as many tokens as the vendor grants in a second, and fills at that rate: that many at once, and 600 or
//! 300 in each minute that follows. Who finds it empty is let in when there is a token again, where that takes no longer
//! than [`PATIENCE`]; so a client that asks one after the other is slowed down and never refused, though it is quicker
//! here than its cloud was. Time is an argument.

use super::{Fault, Response};
use std::time::Duration;

/// Calls a second; a minute has sixty times as many.
const RATES: [(&str, u32); 4] = [("GET", 10), ("PUT", 10), ("POST", 5), ("DELETE", 5)];
/// What a full bucket holds, as the time in which it fills.
const FULL: Duration = Duration::from_secs(1);
/// The longest that a call is held.
const PATIENCE: Duration = Duration::from_secs(2);

/// Of one account.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    /// When each bucket is full again, in the order of [`RATES`].
    full_at: [Duration; 4],
}

impl Rates {
    /// A call of this method: how long it is to be held, or a refusal.
    pub fn admit(&mut self, method: &str, now: Duration) -> Result<Duration, Response> {
        let method = if method == "HEAD" { "GET" } else { method };
        let Some(i) = RATES.iter().position(|(name, _)| *name == method) else { return Ok(Duration::ZERO) };
        let full_at = self.full_at[i].max(now) + FULL / RATES[i].1;
        let wait = full_at.saturating_sub(now + FULL);
        if wait > PATIENCE {
            return Err(refusal(wait - PATIENCE));
        }
        self.full_at[i] = full_at;
        Ok(wait)
    }
}

fn refusal(after: Duration) -> Response {
    let seconds = after.as_secs() + 1;
    Fault::over_limit("OverLimit Retry...").response().with("retry-after", seconds.to_string())
}

/// Method, calls a second.
pub(super) fn all() -> impl Iterator<Item = (&'static str, u32)> {
    RATES.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// One call after the other: each comes 20 ms after the answer to the one before.
    #[test]
    fn a_client_that_asks_one_after_the_other_is_slowed_down_and_never_refused() {
        for (method, rate) in RATES {
            let (mut rates, mut now) = (Rates::default(), at(5_000));
            for _ in 0..1_000 {
                now += rates.admit(method, now).expect("let in") + at(20);
            }
            let fastest = at(5_000) + FULL / rate * (1_000 - rate);
            assert!(now >= fastest && now < fastest + at(1_100), "{method}: {now:?}, not {fastest:?}");
        }
    }

    #[test]
    fn no_minute_but_the_first_second_has_more_calls_than_the_vendor_grants() {
        for (method, rate) in RATES {
            let mut rates = Rates::default();
            // Fifty a second, whatever is answered.
            let let_in: Vec<Duration> = (0..6_000_u64)
                .map(|n| at(n * 20))
                .filter_map(|now| rates.admit(method, now).ok().map(|wait| now + wait))
                .collect();
            let within = |from: u64, to: u64| let_in.iter().filter(|t| (at(from)..at(to)).contains(*t)).count();
            let (rate, minute) = (rate as usize, 60 * rate as usize);
            assert_eq!(within(0, 1_000), 2 * rate - 1, "{method}: a full bucket, and what comes in");
            assert_eq!((within(1_000, 2_000), within(60_000, 61_000)), (rate, rate), "{method}");
            assert_eq!(within(30_000, 90_000), minute, "{method}");
        }
    }

    #[test]
    fn who_is_refused_is_told_when_to_come_again_and_is_let_in_then() {
        let mut rates = Rates::default();
        let held: Vec<Duration> = (0..15).map(|_| rates.admit("POST", at(0)).expect("let in")).collect();
        assert_eq!((held[4], held[5], held[14]), (at(0), at(200), at(2_000)));
        let refused = rates.admit("POST", at(0)).expect_err("refused");
        assert_eq!(refused.status, 413);
        assert_eq!(refused.headers, [("retry-after", "1".to_owned())]);
        assert_eq!(refused.body.as_ref().map(|body| body["code"].clone()), Some(413.into()));
        // Each method has a bucket of its own, and what is refused takes no token.
        assert_eq!(rates.admit("GET", at(0)).ok(), Some(at(0)));
        assert_eq!(rates.admit("PATCH", at(0)).ok(), Some(at(0)));
        assert_eq!(rates.admit("POST", at(1_000)).ok(), Some(at(1_200)));
    }
}
