//! The one waiting function and the one table of time limits.
//!
//! A limit says when to give up, never how long to wait: everything returns as soon as its condition holds.
//! The limits fit a quiet two-core machine under TCG. `STEELYARD_SLOW=N` multiplies them; where `CI` is set and
//! `STEELYARD_SLOW` is not, the factor is 5.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// From QEMU's start to the login prompt.
pub const BOOT: Duration = Duration::from_secs(60);
/// One command typed on a root shell.
pub const COMMAND: Duration = Duration::from_secs(30);
/// One question of the wizard, from the answer to the next question.
pub const QUESTION: Duration = Duration::from_secs(15);
/// A question of the wizard that comes after a pairing, which asks the cable first.
pub const PAIRING: Duration = Duration::from_secs(90);
/// From an accepted configuration to packets that flow.
pub const CONVERGE: Duration = Duration::from_secs(30);
/// A socket or file that a program just started makes.
pub const APPEAR: Duration = Duration::from_secs(10);
/// A machine told to power off.
pub const POWER_OFF: Duration = Duration::from_secs(40);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(25);

/// `limit` times the factor of this machine (see the module).
pub fn scaled(limit: Duration) -> Duration {
    let factor = match std::env::var("STEELYARD_SLOW") {
        Ok(text) => text.parse::<u32>().unwrap_or(1).clamp(1, 100),
        Err(_) if std::env::var_os("CI").is_some() => 5,
        Err(_) => 1,
    };
    limit * factor
}

/// Asks `look` again and again until it has an answer; an error ends the waiting at once.
/// `what` completes the sentence "waited 30 s for …".
pub fn wait_until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let limit = scaled(limit);
    let start = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if start.elapsed() >= limit {
            bail!("waited {:.0} s for {what}, in vain", limit.as_secs_f64());
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_the_waiting() {
        let mut looks = 0;
        let got = wait_until("the third look", COMMAND, || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(got.ok(), Some(3));
    }

    #[test]
    fn no_answer_names_what_was_waited_for() {
        let err = wait_until::<()>("a miracle", Duration::from_millis(1), || Ok(None));
        assert!(err.is_err_and(|e| e.to_string().contains("a miracle")));
    }
}
