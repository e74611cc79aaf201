//! Ctrl-C, SIGTERM and SIGHUP: leave, and say that nothing was changed, or undo what was.
//!
//! ```text
//!   Asking --begin()--> Committing --end()--> Done
//!     ^  \--on_leave(undo)--v  ^--on_leave(stop)--/
//!     |                   Leaving
//!     | signal            | signal               | signal
//!     v                   v                      v
//!   "Nothing was        Committing: "wait",    leave
//!    changed.", leave    and on. Leaving: does what was left to do, says it, leave
//! ```
//! The signals are blocked everywhere and awaited by one thread; the stage's lock is held while it
//! leaves, so "Nothing was changed." and a commit exclude each other.

use nix::sys::signal::{SigSet, Signal};
use std::{
    fmt::Display,
    io::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

enum Stage {
    Asking,
    Committing,
    Done,
    /// Something is to be undone, or to be stopped, before leaving.
    Leaving(OnLeave),
}

/// What leaving by a signal does, or by an error (`None`); and what it says then.
pub type OnLeave = Box<dyn FnOnce(Option<Signal>) -> String + Send>;

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stage::Asking => "Asking",
            Stage::Committing => "Committing",
            Stage::Done => "Done",
            Stage::Leaving(_) => "Leaving",
        })
    }
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

    /// From here on leaving does this, until [`Guard::begin`] or [`Guard::end`].
    pub fn on_leave(&self, what: OnLeave) {
        *self.stage() = Stage::Leaving(what);
    }

    /// Prints why the wizard ends without having done its work. `error` says itself what became of a commit.
    pub fn failed(&self, error: &dyn Display) {
        let _ = writeln!(std::io::stderr(), "\n{}", self.parting(error));
    }

    /// The same as text; does what was left to do.
    pub fn parting(&self, error: &dyn Display) -> String {
        match std::mem::replace(&mut *self.stage(), Stage::Done) {
            Stage::Asking => format!("{error}\nNothing was changed."),
            Stage::Leaving(what) => format!("{error}\n{}", what(None)),
            Stage::Committing | Stage::Done => error.to_string(),
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, signal: Signal) {
        let mut stage = self.stage();
        // The terminal may be gone (SIGHUP): a failed write must not keep us from leaving.
        match std::mem::replace(&mut *stage, Stage::Done) {
            Stage::Asking => {
                let _ = writeln!(std::io::stderr(), "\nNothing was changed.");
            }
            Stage::Committing => {
                *stage = Stage::Committing;
                let _ = writeln!(std::io::stderr(), "\nThe changes are being made; wait a moment.");
                return;
            }
            Stage::Leaving(what) => {
                let _ = writeln!(std::io::stderr(), "\n{}", what(Some(signal)));
            }
            Stage::Done => {}
        }
        std::process::exit(128 + signal as i32);
    }
}
