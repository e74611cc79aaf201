//! The waiting unit's offer: one code, ten minutes, five wrong tries.

use super::Failure;
use crate::code::Code;
use std::time::Duration;

/// How long a code is good.
pub const VALID: Duration = Duration::from_secs(600);
/// After so many wrong codes a new one is needed.
pub const WRONG_TRIES: u8 = 5;

/// That this unit waits for a peer. One for all attempts that go on at the same time, and all it keeps of past ones.
#[derive(Debug)]
pub struct Offer {
    pub(super) code: Code,
    until: Duration,
    wrong: u8,
    refused: u64,
    taken: bool,
}

impl Offer {
    pub fn new(code: Code, now: Duration) -> Offer {
        Offer { code, until: now.saturating_add(VALID), wrong: 0, refused: 0, taken: false }
    }

    pub fn code(&self) -> &Code {
        &self.code
    }

    /// When it ends, on the clock that it was made with.
    pub fn until(&self) -> Duration {
        self.until
    }

    /// Wrong codes so far.
    pub fn wrong(&self) -> u8 {
        self.wrong
    }

    /// Attempts that came to nothing, for whatever reason.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Why nobody can pair any more.
    pub fn over(&self, now: Duration) -> Option<Failure> {
        if self.taken {
            Some(Failure::NotWaiting)
        } else if self.wrong >= WRONG_TRIES {
            Some(Failure::Spent)
        } else if now >= self.until {
            Some(Failure::Expired)
        } else {
            None
        }
    }

    pub(super) fn refuse(&mut self, failure: &Failure) {
        self.refused = self.refused.saturating_add(1);
        if *failure == Failure::WrongCode {
            self.wrong = self.wrong.saturating_add(1);
        }
    }

    pub(super) fn take(&mut self) {
        self.taken = true;
    }
}
