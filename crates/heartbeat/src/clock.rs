//! The node's clock: CLOCK_BOOTTIME, which also counts while the machine sleeps.

use lb_ha::Time;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Now.
pub fn now() -> Time {
    match clock_gettime(ClockId::CLOCK_BOOTTIME) {
        Ok(time) => Time::from(Duration::from(time)),
        Err(error) => unreachable!("every Linux since 2.6.39 has CLOCK_BOOTTIME: {error}"),
    }
}

/// How long until then; zero if it is past.
pub fn until(moment: Time) -> Duration {
    Duration::from_micros(moment.since(now()))
}
