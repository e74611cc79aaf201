//! Ctrl-C, SIGTERM and SIGHUP: leave, and say that nothing was changed.
//!
//! ```text
//!   Asking --begin()--> Committing --end()--> Done
//!     | signal            | signal               | signal
//!     v                   v                      v
//!   "Nothing was        "wait", and on         leave
//!    changed.", leave
//! ```
//! The signals are blocked everywhere and awaited by one thread; the stage's lock is held while it
//! leaves, so "Nothing was changed." and a commit exclude each other.

use nix::sys::signal::{SigSet, Signal};
use std::{
    fmt::Display,
    io::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asking,
    Committing,
    Done,
}

/// Knows whether leaving now would leave anything behind.
#[derive(Debug, Clone)]
pub struct Guard(Arc<Mutex<Stage>>);

impl Guard {
    /// Call it before any other thread begins: they inherit the blocked signals.
    pub fn start() -> Guard {
        let guard = Guard::unwatched();
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        // Where blocking fails, the default action stands: the program ends, and nothing was changed either.
        if set.thread_block().is_ok() {
            let watch = guard.clone();
            std::thread::spawn(move || {
                while let Ok(signal) = set.wait() {
                    watch.handle(signal);
                }
            });
        }
        guard
    }

    /// For callers that are not a console program and look after signals themselves.
    pub fn unwatched() -> Guard {
        Guard(Arc::new(Mutex::new(Stage::Asking)))
    }

    pub fn begin(&self) {
        *self.stage() = Stage::Committing;
    }

    pub fn end(&self) {
        *self.stage() = Stage::Done;
    }

    /// Prints why the wizard ends without having done its work. `error` says itself what became of a commit.
    pub fn failed(&self, error: &dyn Display) {
        let nothing = if *self.stage() == Stage::Asking { "\nNothing was changed." } else { "" };
        let _ = writeln!(std::io::stderr(), "\n{error}{nothing}");
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, signal: Signal) {
        let stage = self.stage();
        // The terminal may be gone (SIGHUP): a failed write must not keep us from leaving.
        match *stage {
            Stage::Asking => {
                let _ = writeln!(std::io::stderr(), "\nNothing was changed.");
            }
            Stage::Committing => {
                let _ = writeln!(std::io::stderr(), "\nThe changes are being made; wait a moment.");
                return;
            }
            Stage::Done => {}
        }
        std::process::exit(128 + signal as i32);
    }
}
