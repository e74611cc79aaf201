//! The thread that writes the readable copy after the acknowledgement.
//!
//! Only the newest state counts: what was asked for while a write was under way is written once.
//! A failed write is tried again after [`RETRY`], with the next change, and at the end.

use std::fs::{self, File};
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::copy::{self, Copy, KEPT};
use crate::files::Files;

const RETRY: Duration = Duration::from_secs(10);

/// From a commit to the writing of its copy.
const PAUSE: Duration = Duration::from_millis(250);

/// What the copies shall say.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub running: Copy,
    /// The revision a pending confirm would go back to: without it a recovery could not.
    pub revert_to: Option<Copy>,
}

#[derive(Default)]
struct State {
    wanted: Option<Wanted>,
    busy: bool,
    closing: bool,
    /// Somebody waits in [`CopyWriter::settle`].
    hurry: bool,
    error: Option<String>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct CopyWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl CopyWriter {
    pub fn start(files: Files) -> io::Result<CopyWriter> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("store copy".to_owned()).spawn(move || run(&theirs, &files))?;
        Ok(CopyWriter { shared, thread: Some(thread) })
    }

    /// Returns at once.
    pub fn want(&self, wanted: Wanted) {
        self.shared.lock().wanted = Some(wanted);
        self.shared.changed.notify_all();
    }

    /// Wait until the copy says what was wanted last, or writing it has failed.
    pub fn settle(&self) -> Result<(), String> {
        let mut state = self.shared.lock();
        state.hurry = true;
        self.shared.changed.notify_all();
        while state.busy || (state.wanted.is_some() && state.error.is_none()) {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.hurry = false;
        state.error.clone().map_or(Ok(()), Err)
    }

    /// Why the copy is behind, if writing it failed.
    pub fn error(&self) -> Option<String> {
        self.shared.lock().error.clone()
    }
}

impl Drop for CopyWriter {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, files: &Files) {
    let mut state = shared.lock();
    loop {
        let Some(wanted) = state.wanted.take() else {
            if state.closing {
                return;
            }
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        // The one who waits for an acknowledgement goes first, and of several commits in a row the last is enough.
        state.busy = true;
        state = shared
            .changed
            .wait_timeout_while(state, PAUSE, |s| !s.closing && !s.hurry)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        let wanted = state.wanted.take().unwrap_or(wanted);
        drop(state);
        let outcome = write(files, &wanted);
        state = shared.lock();
        state.busy = false;
        match outcome {
            Ok(()) => state.error = None,
            Err(e) => {
                tracing::warn!("writing {}: {e}", files.copy(0).display());
                state.error = Some(e.to_string());
                if state.closing {
                    return;
                }
                // Something newer may have come meanwhile.
                state.wanted.get_or_insert(wanted);
                shared.changed.notify_all();
                let before = state.wanted.as_ref().map(|w| w.running.generation);
                let nothing_new =
                    |s: &mut State| !s.closing && s.wanted.as_ref().map(|w| w.running.generation) == before;
                state = shared
                    .changed
                    .wait_timeout_while(state, RETRY, nothing_new)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                continue;
            }
        }
        shared.changed.notify_all();
    }
}

fn write(files: &Files, wanted: &Wanted) -> io::Result<()> {
    if let Some(revert_to) = &wanted.revert_to {
        let found = copy::find(files);
        let there = |copy: &Copy| copy.store == revert_to.store && copy.revision == revert_to.revision;
        if !found.valid.iter().any(there) {
            write_one(files, revert_to)?;
        }
    }
    write_one(files, &wanted.running)
}

/// Write `running.json`; the one before becomes `running.1.json` when it shows another revision.
/// At every moment there is a whole `running.json`.
fn write_one(files: &Files, new: &Copy) -> io::Result<()> {
    let text = copy::render(new)?;
    let temporary = files.copy(0).with_extension("json.tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let old = fs::read_to_string(files.copy(0)).ok().and_then(|text| copy::parse(&text).ok());
    if old.is_some_and(|old| old.revision != new.revision || old.store != new.store) {
        for age in (1..KEPT - 1).rev() {
            if files.copy(age).exists() {
                fs::rename(files.copy(age), files.copy(age + 1))?;
            }
        }
        let link = files.copy(1).with_extension("json.tmp");
        let _ = fs::remove_file(&link);
        fs::hard_link(files.copy(0), &link)?;
        fs::rename(&link, files.copy(1))?;
    }
    fs::rename(&temporary, files.copy(0))?;
    File::open(&files.parent)?.sync_all()
}
