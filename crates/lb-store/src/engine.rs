//! sled, contained: every call under `catch_unwind`, every write durable before it returns.
//!
//! sled 0.34 on Linux flushes with `sync_file_range`, which neither empties the disk's cache nor
//! writes the file's size (spacejam/sled#1452), and believes it: within one transaction it may write
//! over a segment whose pages it has just moved elsewhere, and a power cut that finds only the second
//! of the two writes on the disk leaves a file that does not open. So its files carry the attribute `S`
//! of chattr(1), FS_SYNC_FL in linux/fs.h: each write of sled's returns when it is on the disk, size included.
//! Where the file system has no such attribute (tmpfs) nothing survives a power cut anyway, or is said in the log.
//!
//! Each write here then is transaction, flush, and an `fdatasync` on a descriptor of our own, which has nothing
//! left to write but reports what failed: the kernel reports a failed write-back once to every descriptor that was
//! open at that time, so it is opened before the first write and kept. `fdatasync` is enough: a commit creates no
//! file (no value is large enough for sled's `blobs/`).

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional};
use thiserror::Error;

use crate::records::{self, Change, Contents, HEAD_KEY, Head, RevisionHead, Tree};

/// How long to wait for sled's own threads of an earlier open in this process to let go of its
/// lock. Other processes are kept out before, by the store's own lock file.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Error)]
pub enum EngineError {
    #[error("sled: {0}")]
    Sled(sled::Error),
    #[error("sled panicked: {0}")]
    Panic(String),
    #[error("fdatasync of sled's file: {0}")]
    Sync(io::Error),
    #[error("opening sled's file: {0}")]
    File(io::Error),
    #[error("damaged: {0}")]
    Damaged(String),
    #[error("written by schema {0}")]
    Newer(u32),
}

impl EngineError {
    pub fn is_disk_full(&self) -> bool {
        match self {
            // sled hands the first error of its background threads on as kind and text only.
            EngineError::Sled(sled::Error::Io(e)) | EngineError::Sync(e) | EngineError::File(e) => {
                e.kind() == io::ErrorKind::StorageFull || e.to_string().contains("StorageFull")
            }
            EngineError::Panic(text) => text.contains("StorageFull"),
            _ => false,
        }
    }
}

/// An open sled directory.
pub struct Engine {
    db: sled::Db,
    meta: sled::Tree,
    candidate: sled::Tree,
    history: sled::Tree,
    file: File,
}

impl Engine {
    /// Open what is there. Refuses, without writing, a directory that has no `meta` tree.
    pub fn open(dir: &Path) -> Result<Engine, EngineError> {
        Engine::start(dir, false)
    }

    /// Make a new store of `contents`. Not durable as a directory until [`crate::files`] has
    /// synced it.
    pub fn create(dir: &Path, contents: &Contents) -> Result<Engine, EngineError> {
        let engine = Engine::start(dir, true)?;
        engine.write(&records::put_all(contents))?;
        Ok(engine)
    }

    fn start(dir: &Path, new: bool) -> Result<Engine, EngineError> {
        if let Err(e) = write_through(dir) {
            tracing::warn!("{}: a power cut may damage it: {e}", dir.display());
        }
        let config = sled::Config::new()
            .path(dir)
            .mode(sled::Mode::LowSpace)
            .cache_capacity(8 << 20)
            .segment_size(64 << 10)
            .use_compression(false);
        let started = Instant::now();
        let db = loop {
            match contain(|| config.open()) {
                Err(EngineError::Sled(sled::Error::Io(e)))
                    if e.to_string().contains("could not acquire lock") && started.elapsed() < LOCK_PATIENCE =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                other => break other?,
            }
        };
        let file = File::open(dir.join("db")).map_err(EngineError::File)?;
        if !new && !db.tree_names().iter().any(|name| name == Tree::Meta.name().as_bytes()) {
            return Err(EngineError::Damaged("sled opened empty".to_owned()));
        }
        contain(|| {
            Ok(Engine {
                meta: db.open_tree(Tree::Meta.name())?,
                candidate: db.open_tree(Tree::Candidate.name())?,
                history: db.open_tree(Tree::History.name())?,
                db: db.clone(),
                file,
            })
        })
    }

    /// Make the changes, all or none, durable before the return.
    pub fn write(&self, changes: &[Change]) -> Result<(), EngineError> {
        contain(|| {
            let trees = (&self.meta, &self.candidate, &self.history);
            trees
                .transaction(|(meta, candidate, history)| {
                    for change in changes {
                        let tree = match change.tree {
                            Tree::Meta => meta,
                            Tree::Candidate => candidate,
                            Tree::History => history,
                        };
                        match &change.value {
                            Some(value) => tree.insert(change.key.as_slice(), value.as_slice())?,
                            None => tree.remove(change.key.as_slice())?,
                        };
                    }
                    Ok::<(), ConflictableTransactionError<()>>(())
                })
                .map_err(|e| match e {
                    TransactionError::Storage(e) => e,
                    TransactionError::Abort(()) => {
                        sled::Error::ReportableBug("a transaction that never aborts did".to_owned())
                    }
                })?;
            self.db.flush().map(drop)
        })?;
        self.file.sync_data().map_err(EngineError::Sync)
    }

    fn tree(&self, tree: Tree) -> &sled::Tree {
        match tree {
            Tree::Meta => &self.meta,
            Tree::Candidate => &self.candidate,
            Tree::History => &self.history,
        }
    }

    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let Some(value) = contain(|| self.tree(tree).get(key))? else {
            return Ok(None);
        };
        let payload = records::payload(tree, key, &value).map_err(EngineError::Damaged)?;
        Ok(Some(payload.to_vec()))
    }

    /// Read everything, check everything.
    pub fn load(&self) -> Result<Contents, EngineError> {
        let damaged = EngineError::Damaged;
        let head = self.get(Tree::Meta, HEAD_KEY)?.ok_or_else(|| damaged("the sentinel is missing".to_owned()))?;
        // The schema first: a newer head may have fields of other shapes.
        #[derive(serde::Deserialize)]
        struct Schema {
            schema: u32,
        }
        let schema: Schema = records::parse("sentinel", &head).map_err(damaged)?;
        if schema.schema > records::SCHEMA {
            return Err(EngineError::Newer(schema.schema));
        }
        let head: Head = records::parse("sentinel", &head).map_err(damaged)?;
        let candidate_tree = self.read_tree(Tree::Candidate)?;
        let candidate =
            records::candidate(|chunk| Ok(candidate_tree.get(&chunk.to_be_bytes()[..]).cloned())).map_err(damaged)?;
        let parts = self.read_tree(Tree::History)?;
        let mut history = std::collections::BTreeMap::new();
        for (key, payload) in &parts {
            let Some((number, chunk)) = key.split_first_chunk::<8>() else {
                return Err(damaged(format!("history {}: no such key", records::hex(key))));
            };
            if chunk != 0u32.to_be_bytes() {
                continue;
            }
            let number = u64::from_be_bytes(*number);
            let what = format!("revision {number}");
            let head: RevisionHead = records::parse(&what, payload).map_err(damaged)?;
            let document = records::document(&what, head.length, head.crc, |chunk| {
                Ok(parts.get(&records::history_key(number, chunk)).cloned())
            })
            .map_err(damaged)?;
            history.insert(number, records::revision(head, document));
        }
        let needed = head.running.into_iter().chain(head.confirm.map(|c| c.revert_to));
        for number in needed {
            if !history.contains_key(&number) {
                return Err(damaged(format!("revision {number} is missing")));
            }
        }
        Ok(Contents { head, history, candidate })
    }

    fn read_tree(&self, tree: Tree) -> Result<std::collections::BTreeMap<Vec<u8>, Vec<u8>>, EngineError> {
        let pairs = contain(|| self.tree(tree).iter().collect::<sled::Result<Vec<_>>>())?;
        pairs
            .into_iter()
            .map(|(key, value)| {
                let payload = records::payload(tree, &key, &value).map_err(EngineError::Damaged)?;
                Ok((key.to_vec(), payload.to_vec()))
            })
            .collect()
    }

    /// One revision out of the history.
    pub fn revision(&self, head: &RevisionHead) -> Result<crate::Revision, EngineError> {
        let number = head.meta.number;
        let document = records::document(&format!("revision {number}"), head.length, head.crc, |chunk| {
            self.get(Tree::History, &records::history_key(number, chunk)).map_err(|e| e.to_string())
        })
        .map_err(EngineError::Damaged)?;
        Ok(records::revision(head.clone(), document))
    }

    /// Close; sled's threads end. A panic on the way out is only reported.
    pub fn close(self) {
        if let Err(e) = contain(|| {
            drop(self);
            Ok(())
        }) {
            tracing::warn!("closing the store: {e}");
        }
    }
}

/// Let every write to the files of `dir` return when it is on the disk. New ones inherit it from the directory, made here
/// if need be.
fn write_through(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let files = std::fs::read_dir(dir)?.map(|entry| entry.map(|e| e.path()));
    for path in std::iter::once(Ok(dir.to_owned())).chain(files) {
        let file = File::open(path?)?;
        let flags = ioctl_getflags(&file)?;
        if !flags.contains(IFlags::SYNC) {
            ioctl_setflags(&file, flags | IFlags::SYNC)?;
        }
    }
    Ok(())
}

// sled's structures are shared with its own threads anyway: what a panic leaves half done in them
// is not touched again, because every caller drops the engine after an error.
fn contain<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, EngineError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(EngineError::Sled),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                .unwrap_or_else(|| "unknown".to_owned());
            Err(EngineError::Panic(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the power-cut suites find once in some hundred cuts.
    #[test]
    fn every_file_is_written_through_also_of_a_store_from_before() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("store");
        let flags = |name: &str| ioctl_getflags(File::open(dir.join(name)).unwrap());
        if write_through(&dir).is_err() {
            eprintln!("skipped: this file system has no attributes");
            return;
        }
        let through = |name: &str| flags(name).unwrap().contains(IFlags::SYNC);
        let head =
            Head { schema: records::SCHEMA, store: "s".into(), generation: 0, running: None, confirm: None, etag: 0 };
        let contents = Contents { head, history: Default::default(), candidate: None };
        Engine::create(&dir, &contents).unwrap().close();
        assert!(through("db") && through("conf"));
        for name in [".", "db", "conf"] {
            ioctl_setflags(File::open(dir.join(name)).unwrap(), flags(name).unwrap() - IFlags::SYNC).unwrap();
        }
        assert!(!through("db"));
        Engine::open(&dir).unwrap().close();
        assert!(through("db") && through("conf"));
    }
}
