//! The store: what callers use.
//!
//! One lock around everything; reads of the running revision and the candidate come from memory
//! and cost a clone of two pointers. Commits and history reads touch the disk: call them from a
//! thread that may block.
//!
//! ```text
//!              commit: sled, flush or sync failed
//!   working ------------------------------------------> failed
//!      ^  (running and candidate still served)             |
//!      +------------- reopen() succeeded ------------------+
//! ```

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::fcntl::{Flock, FlockArg};

use crate::ballast;
use crate::copy::Copy;
use crate::copy_writer::{CopyWriter, Wanted};
use crate::engine::{Engine, EngineError};
use crate::error::{CommitError, OpenError, ReadError};
use crate::files::{Files, io_error};
use crate::json_text::compact;
use crate::opening::{self, Trust, Up};
use crate::records::{self, Change, Contents, Head, RevisionHead};
use crate::types::{Candidate, NewCandidate, NewRevision, Opened, PendingConfirm, Revision, RevisionMeta};

/// Revisions that are kept, the running one included.
const HISTORY: usize = 200;

/// Bytes of documents that are kept, however few revisions that are (but always two).
const HISTORY_BYTES: u64 = 8 << 20;

/// The open store. Shared by reference between threads; closed by [`Store::close`] or drop, which
/// wait for the readable copy.
pub struct Store {
    // Dropped in this order: sled, then the copy's thread, then the lock.
    inner: Mutex<Inner>,
    copies: CopyWriter,
    files: Files,
    _lock: Flock<std::fs::File>,
}

struct Inner {
    engine: Result<Engine, Failure>,
    head: Head,
    running: Option<Revision>,
    candidate: Option<Candidate>,
    index: BTreeMap<u64, RevisionHead>,
    reserved: bool,
}

#[derive(Clone)]
struct Failure {
    reason: String,
    trust: Trust,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.fail(Failure { reason: "closed".to_owned(), trust: Trust::AsRead });
    }
}

impl Store {
    /// Open the store in `dir`, or create it. The copies lie beside `dir`, so its parent should
    /// hold nothing else. `now_unix` names a moved-aside directory.
    pub fn open(dir: &Path, now_unix: u64) -> Result<(Store, Opened), OpenError> {
        let files = Files::new(dir);
        std::fs::create_dir_all(&files.parent).map_err(io_error("creating", &files.parent))?;
        let lock = lock(&files)?;
        let up = opening::open(&files, now_unix, None, Trust::AsRead)?;
        let copies = CopyWriter::start(files.clone()).map_err(io_error("starting the thread for", &files.copy(0)))?;
        let opened = up.opened.clone();
        let stale = up.copy_generation.is_none();
        let mut inner = Inner::of(up);
        inner.reserved = ballast::reserve(&files.ballast());
        let store = Store { inner: Mutex::new(inner), copies, files, _lock: lock };
        if stale {
            store.want_copy(&store.lock());
        }
        Ok((store, opened))
    }

    /// Try again after a failure. What is in memory counts as a copy, should the disk have less.
    pub fn reopen(&self, now_unix: u64) -> Result<Opened, OpenError> {
        let mut inner = self.lock();
        self.reopen_locked(&mut inner, now_unix)
    }

    fn reopen_locked(&self, inner: &mut Inner, now: u64) -> Result<Opened, OpenError> {
        let trust = match &inner.engine {
            Ok(_) => Trust::AsRead,
            Err(failure) => failure.trust,
        };
        // sled holds its lock until it is closed.
        inner.fail(Failure { reason: "reopening".to_owned(), trust });
        let up = opening::open(&self.files, now, inner.as_copy(), trust)
            .inspect_err(|e| inner.fail(Failure { reason: e.to_string(), trust }))?;
        let opened = up.opened.clone();
        let reserved = inner.reserved;
        *inner = Inner::of(up);
        inner.reserved = reserved;
        self.want_copy(inner);
        Ok(opened)
    }

    /// The configuration in force; none before the first commit.
    pub fn running(&self) -> Option<Revision> {
        self.lock().running.clone()
    }

    pub fn candidate(&self) -> Option<Candidate> {
        self.lock().candidate.clone()
    }

    /// The open confirm window.
    pub fn pending_confirm(&self) -> Option<PendingConfirm> {
        self.lock().pending_confirm()
    }

    /// Why commits are refused; none while the store works.
    pub fn failed(&self) -> Option<String> {
        self.lock().engine.as_ref().err().map(|failure| failure.reason.clone())
    }

    /// Why the readable copy is behind, if writing it failed. It is tried again by itself.
    pub fn copy_error(&self) -> Option<String> {
        self.copies.error()
    }

    /// Wait until the readable copy shows the running revision, or the error that prevents it.
    pub fn settle_copy(&self) -> Result<(), String> {
        self.copies.settle()
    }

    /// Make a document the running revision. On return it is on the disk.
    ///
    /// `expected_parent` is the revision that the caller believes to be running; if it is not,
    /// [`CommitError::Conflict`].
    pub fn commit(
        &self,
        expected_parent: Option<u64>,
        new: NewRevision,
        now_unix: u64,
    ) -> Result<Revision, CommitError> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.working()?;
        // The candidate's own text was looked at when it was put.
        let document = match &inner.candidate {
            Some(candidate) if *candidate.document == *new.document => candidate.document.clone(),
            _ => compact(&new.document).map_err(CommitError::NotJson)?.into(),
        };
        let parent = inner.head.running;
        if expected_parent != parent {
            return Err(CommitError::Conflict { expected: expected_parent, found: parent });
        }
        if let Some(confirm) = new.confirm
            && !inner.index.contains_key(&confirm.revert_to)
        {
            return Err(CommitError::UnknownRevision(confirm.revert_to));
        }
        let revision = Revision {
            number: parent.map_or(1, |p| p + 1),
            parent,
            time: now_unix,
            author: new.author,
            comment: new.comment,
            tag: new.tag,
            document,
        };
        let mut head = inner.head.clone();
        head.running = Some(revision.number);
        head.generation += 1;
        head.confirm = new.confirm;

        let mut changes = vec![records::put_head(&head)];
        let revision_head = records::put_revision(&revision, &mut changes);
        let gone = inner.surplus(&head, &revision_head);
        for number in &gone {
            records::remove_revision(&inner.index[number], &mut changes);
        }
        let mut candidate = inner.candidate.clone();
        if new.clear_candidate {
            records::put_candidate(None, candidate.as_ref(), &mut changes);
            candidate = None;
        }
        self.write(inner, &changes, new.may_use_reserve, now_unix)?;

        for number in &gone {
            inner.index.remove(number);
        }
        inner.index.insert(revision.number, revision_head);
        inner.head = head;
        inner.candidate = candidate;
        inner.running = Some(revision.clone());
        self.want_copy(inner);
        Ok(revision)
    }

    /// The running revision stays: close its confirm window.
    pub fn confirm(&self, number: u64, now_unix: u64) -> Result<(), CommitError> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.working()?;
        if inner.pending_confirm().is_none_or(|pending| pending.number != number) {
            return Err(CommitError::NotPending(number));
        }
        let mut head = inner.head.clone();
        head.generation += 1;
        head.confirm = None;
        self.write(inner, &[records::put_head(&head)], true, now_unix)?;
        inner.head = head;
        self.want_copy(inner);
        Ok(())
    }

    /// Remember a candidate. `expected_etag`: the etag of the candidate that is replaced (0 =
    /// there must be none); none = replace whatever is there.
    pub fn set_candidate(
        &self,
        new: NewCandidate,
        expected_etag: Option<u64>,
        now_unix: u64,
    ) -> Result<Candidate, CommitError> {
        let document = compact(&new.document).map_err(CommitError::NotJson)?.into();
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.working()?;
        inner.expect_etag(expected_etag)?;
        let mut head = inner.head.clone();
        head.etag += 1;
        let candidate = Candidate { base: new.base, etag: head.etag, author: new.author, time: now_unix, document };
        let mut changes = vec![records::put_head(&head)];
        records::put_candidate(Some(&candidate), inner.candidate.as_ref(), &mut changes);
        self.write(inner, &changes, false, now_unix)?;
        inner.head = head;
        inner.candidate = Some(candidate.clone());
        Ok(candidate)
    }

    /// Forget the candidate; `expected_etag` as in [`Store::set_candidate`].
    pub fn clear_candidate(&self, expected_etag: Option<u64>, now_unix: u64) -> Result<(), CommitError> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.working()?;
        inner.expect_etag(expected_etag)?;
        let mut changes = Vec::new();
        records::put_candidate(None, inner.candidate.as_ref(), &mut changes);
        if !changes.is_empty() {
            self.write(inner, &changes, false, now_unix)?;
            inner.candidate = None;
        }
        Ok(())
    }

    /// The newest revisions, newest first, at most `limit`.
    pub fn history(&self, limit: usize) -> Vec<RevisionMeta> {
        self.lock().index.values().rev().take(limit).map(|head| head.meta.clone()).collect()
    }

    /// One revision; none when the history does not have it (any more).
    pub fn revision(&self, number: u64) -> Result<Option<Revision>, ReadError> {
        let mut inner = self.lock();
        if let Some(running) = inner.running.as_ref().filter(|r| r.number == number) {
            return Ok(Some(running.clone()));
        }
        let Some(head) = inner.index.get(&number) else {
            return Ok(None);
        };
        let read = match &inner.engine {
            Ok(engine) => engine.revision(head),
            Err(failure) => return Err(ReadError::Failed(failure.reason.clone())),
        };
        read.map(Some).map_err(|e| {
            let reason = e.to_string();
            inner.fail(Failure { reason: reason.clone(), trust: Trust::AsRead });
            ReadError::Failed(reason)
        })
    }

    /// Close, and wait until the readable copy is written. The error says why it is not.
    pub fn close(self) -> Result<(), String> {
        self.copies.settle()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Write, or leave the store either as it was (disk full) or failed.
    fn write(&self, inner: &mut Inner, changes: &[Change], may_use_reserve: bool, now: u64) -> Result<(), CommitError> {
        let Err(first) = inner.try_write(changes) else {
            if !inner.reserved {
                inner.reserved = ballast::reserve(&self.files.ballast());
            }
            return Ok(());
        };
        inner.fail_by(&first);
        if !first.is_disk_full() {
            return Err(inner.failure());
        }
        // sled refuses everything after its first error, so it is opened anew in any case; and
        // opening writes a snapshot, which needs room.
        ballast::release(&self.files.ballast());
        inner.reserved = false;
        let before = (inner.head.generation, inner.head.etag);
        match self.reopen_locked(inner, now) {
            Ok(Opened::Clean) => {}
            // The changes were made for a state that is gone.
            Ok(Opened::Recovered { alarm, .. }) => return Err(CommitError::Failed(alarm)),
            Ok(Opened::Created) => return Err(CommitError::Failed("the store was gone".to_owned())),
            Err(e) => {
                tracing::error!("the disk is full and the store does not open again: {e}");
                return Err(inner.failure());
            }
        }
        // The write that failed may have become whole when sled closed. It was not acknowledged,
        // but it is what stands now: written again it is the same.
        let landed = (inner.head.generation, inner.head.etag) != before;
        if !may_use_reserve && !landed {
            inner.reserved = ballast::reserve(&self.files.ballast());
            return Err(CommitError::DiskFull);
        }
        inner.try_write(changes).map_err(|second| {
            inner.fail_by(&second);
            inner.failure()
        })
    }

    fn want_copy(&self, inner: &Inner) {
        let Some(running) = inner.as_copy() else {
            return;
        };
        let revert_to = inner.head.confirm.and_then(|confirm| {
            let head = inner.index.get(&confirm.revert_to)?;
            let revision = inner.engine.as_ref().ok()?.revision(head).ok()?;
            Some(Copy {
                generation: inner.head.generation.saturating_sub(1),
                confirm: None,
                revision,
                store: inner.head.store.clone(),
            })
        });
        self.copies.want(Wanted { running, revert_to });
    }
}

impl Inner {
    fn of(up: Up) -> Inner {
        let Contents { head, history, candidate } = up.contents;
        let running = head.running.and_then(|number| history.get(&number).cloned());
        let index = history
            .into_values()
            .map(|revision| {
                let mut unused = Vec::new();
                (revision.number, records::put_revision(&revision, &mut unused))
            })
            .collect();
        Inner { engine: Ok(up.engine), head, running, candidate, index, reserved: false }
    }

    fn as_copy(&self) -> Option<Copy> {
        Some(Copy {
            store: self.head.store.clone(),
            generation: self.head.generation,
            confirm: self.head.confirm,
            revision: self.running.clone()?,
        })
    }

    fn pending_confirm(&self) -> Option<PendingConfirm> {
        let number = self.head.running?;
        self.head.confirm.map(|confirm| PendingConfirm {
            number,
            deadline_unix: confirm.deadline_unix,
            revert_to: confirm.revert_to,
        })
    }

    fn expect_etag(&self, expected: Option<u64>) -> Result<(), CommitError> {
        let found = self.candidate.as_ref().map(|candidate| candidate.etag);
        match expected {
            Some(etag) if etag != found.unwrap_or(0) => Err(CommitError::Conflict { expected, found }),
            _ => Ok(()),
        }
    }

    /// Revisions to drop when `new` joins.
    fn surplus(&self, head: &Head, new: &RevisionHead) -> Vec<u64> {
        let mut count = self.index.len() + 1;
        let mut bytes: u64 = self.index.values().map(|h| h.length).sum::<u64>() + new.length;
        let mut gone = Vec::new();
        for (number, old) in &self.index {
            if count <= HISTORY && (bytes <= HISTORY_BYTES || count <= 2) {
                break;
            }
            let needed = head.confirm.is_some_and(|confirm| confirm.revert_to == *number);
            if !needed {
                gone.push(*number);
                count -= 1;
                bytes -= old.length;
            }
        }
        gone
    }

    fn working(&self) -> Result<(), CommitError> {
        match &self.engine {
            Ok(_) => Ok(()),
            Err(_) => Err(self.failure()),
        }
    }

    fn try_write(&self, changes: &[Change]) -> Result<(), EngineError> {
        match &self.engine {
            Ok(engine) => engine.write(changes),
            Err(failure) => Err(EngineError::Damaged(failure.reason.clone())),
        }
    }

    fn failure(&self) -> CommitError {
        let reason = self.engine.as_ref().err().map(|failure| failure.reason.clone());
        CommitError::Failed(reason.unwrap_or_default())
    }

    fn fail_by(&mut self, error: &EngineError) {
        let synced = !matches!(error, EngineError::Sync(_));
        let trust = if synced { Trust::AsRead } else { Trust::Rewrite };
        self.fail(Failure { reason: error.to_string(), trust });
    }

    /// The one way into the failed state; also closes sled.
    fn fail(&mut self, failure: Failure) {
        if let Ok(engine) = std::mem::replace(&mut self.engine, Err(failure)) {
            engine.close();
        }
    }
}

fn lock(files: &Files) -> Result<Flock<std::fs::File>, OpenError> {
    let path = files.lock();
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(io_error("opening", &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        nix::Error::EWOULDBLOCK => OpenError::InUse,
        errno => io_error("locking", &path)(errno.into()),
    })
}
