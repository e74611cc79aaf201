//! From counters to rates. Pure: what the clock of a reading is, the caller says.
//!
//! A counter that went backwards began anew (the service was made again, the unit was restarted): a gap, not a spike.

use std::{collections::HashMap, hash::Hash, time::Duration};

/// Readings further apart say nothing about now.
const FARTHEST: Duration = Duration::from_secs(60);
/// Readings closer together than this make noise of a single packet.
const NEAREST: Duration = Duration::from_millis(500);

/// Counters as they stood `at`, on a clock that nobody sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading<const N: usize> {
    pub at: Duration,
    pub counters: [u64; N],
}

impl<const N: usize> Reading<N> {
    /// Per second since `before`; none when that cannot be told.
    pub fn rates_since(&self, before: &Self) -> Option<[f64; N]> {
        let elapsed = self.at.checked_sub(before.at).filter(|e| (NEAREST..=FARTHEST).contains(e))?;
        let mut rates = [0.0; N];
        for (rate, (now, then)) in rates.iter_mut().zip(self.counters.iter().zip(before.counters)) {
            *rate = now.checked_sub(then)? as f64 / elapsed.as_secs_f64();
        }
        Some(rates)
    }
}

/// The last reading of each of many objects. Objects that are not read in a round are forgotten after the next.
#[derive(Debug, Clone)]
pub struct Meter<K, const N: usize> {
    last: HashMap<K, Reading<N>>,
    now: HashMap<K, Reading<N>>,
}

impl<K, const N: usize> Default for Meter<K, N> {
    fn default() -> Self {
        Meter { last: HashMap::new(), now: HashMap::new() }
    }
}

impl<K: Hash + Eq, const N: usize> Meter<K, N> {
    /// Rates of `key` since the round before.
    pub fn read(&mut self, key: K, reading: Reading<N>) -> Option<[f64; N]> {
        let rates = self.last.get(&key).and_then(|before| reading.rates_since(before));
        self.now.insert(key, reading);
        rates
    }

    /// All objects were read once.
    pub fn end_round(&mut self) {
        self.last = std::mem::take(&mut self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: u64, counter: u64) -> Reading<1> {
        Reading { at: Duration::from_secs(at), counters: [counter] }
    }

    fn check(before: (u64, u64), after: (u64, u64), rate: Option<f64>) {
        let rates = reading(after.0, after.1).rates_since(&reading(before.0, before.1));
        assert_eq!(rates, rate.map(|r| [r]), "{before:?} {after:?}");
    }

    #[test]
    fn counters_become_rates_or_a_gap() {
        check((100, 1000), (110, 1500), Some(50.0));
        check((100, 1000), (110, 1000), Some(0.0));
        check((100, 1000), (110, 999), None);
        check((100, u64::MAX), (110, 5), None);
        check((100, 0), (100, 5), None);
        check((110, 0), (100, 5), None);
        check((100, 0), (161, 5), None);
        check((0, 0), (1, u64::MAX), Some(u64::MAX as f64));
    }

    #[test]
    fn one_counter_that_began_anew_makes_all_of_them_a_gap() {
        let before = Reading { at: Duration::ZERO, counters: [5, 100] };
        let after = Reading { at: Duration::from_secs(10), counters: [6, 20] };
        assert_eq!(after.rates_since(&before), None);
    }

    #[test]
    fn a_service_that_went_and_came_back_starts_with_a_gap() {
        let mut meter = Meter::default();
        assert_eq!(meter.read("a", reading(0, 10)), None);
        meter.end_round();
        assert_eq!(meter.read("a", reading(10, 20)), Some([1.0]));
        meter.end_round();
        meter.end_round(); // a round without it
        assert_eq!(meter.read("a", reading(30, 5000)), None);
    }
}
