//! How a store comes up: as it was, new, or rebuilt from the newest valid copy.
//!
//! ```text
//!   <dir> there? --no--> copy, or a moved-aside store? --no--> build empty --------> Created
//!        |                    | copy        | only moved-aside
//!       yes                   v             v
//!        |               rebuild         Lost
//!        v                    ^ copy        ^ no copy
//!   opens, complete, not older than the copy? --no--> move aside (with a copy only)
//!        |
//!       yes ----------------------------------------------------------------------> Clean
//! ```
//! A new store is built as `<dir>.new` and renamed when it is whole: a `<dir>` without its
//! sentinel is therefore always damage, never a creation that was interrupted.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::ballast;
use crate::copy::{self, Copy, Found};
use crate::engine::{Engine, EngineError};
use crate::error::OpenError;
use crate::files::{Files, io_error};
use crate::records::{Contents, Head, SCHEMA};
use crate::types::{Confirm, Opened};

/// Whether the disk's blocks are to be trusted as they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The last sync, if any, succeeded.
    AsRead,
    /// A sync failed: the kernel may show pages that never reached the disk. Read, then write
    /// everything anew.
    Rewrite,
}

/// An open store.
pub struct Up {
    pub engine: Engine,
    pub contents: Contents,
    pub opened: Opened,
    /// The generation in `running.json`; none when it has to be written.
    pub copy_generation: Option<u64>,
}

/// Bring the store up. `known` is what a running process still has in memory: as good as a copy.
pub fn open(files: &Files, now: u64, known: Option<Copy>, trust: Trust) -> Result<Up, OpenError> {
    fs::create_dir_all(&files.parent).map_err(io_error("creating", &files.parent))?;
    let unfinished = files.new_dir();
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(io_error("removing", &unfinished))?;
    }
    let mut copies = copy::find(files);
    set_aside_edited(files, &copies);
    if let Some(known) = known {
        copies.valid.insert(0, known);
        copies.valid.sort_by_key(|copy| std::cmp::Reverse(copy.generation));
    }

    if is_absent(files)? {
        if !copies.valid.is_empty() {
            return recover(files, &copies, None, "its directory is missing".to_owned());
        }
        if !copies.invalid.is_empty() || files.has_remains()? {
            return Err(OpenError::Lost { reason: "its directory is missing".to_owned() });
        }
        let (engine, contents) = build(files, empty())?;
        return Ok(Up { engine, contents, opened: Opened::Created, copy_generation: None });
    }

    match open_existing(files) {
        Ok((engine, contents)) => match older_than(&contents, &copies) {
            None if trust == Trust::Rewrite => {
                engine.close();
                files.move_aside(now)?;
                let (engine, contents) = build(files, contents)?;
                Ok(Up { engine, contents, opened: Opened::Clean, copy_generation: None })
            }
            None => {
                Ok(Up { copy_generation: current_copy(&contents, &copies), engine, contents, opened: Opened::Clean })
            }
            Some(why) => {
                engine.close();
                let moved = files.move_aside(now)?;
                recover(files, &copies, Some(moved), why)
            }
        },
        Err(EngineError::Newer(found)) => Err(OpenError::Newer { found, known: SCHEMA }),
        Err(e) if e.is_disk_full() => Err(OpenError::DiskFull),
        Err(e) if copies.valid.is_empty() => Err(OpenError::Lost { reason: e.to_string() }),
        Err(e) => {
            let moved = files.move_aside(now)?;
            recover(files, &copies, Some(moved), e.to_string())
        }
    }
}

/// No directory, or an empty one that somebody made for us.
fn is_absent(files: &Files) -> Result<bool, OpenError> {
    match fs::read_dir(&files.dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(io_error("listing", &files.dir)(e)),
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Ok(false);
            }
            fs::remove_dir(&files.dir).map_err(io_error("removing", &files.dir))?;
            Ok(true)
        }
    }
}

fn open_existing(files: &Files) -> Result<(Engine, Contents), EngineError> {
    // sled would make what it does not find, and the result would be an empty store.
    for name in ["db", "conf"] {
        if !files.dir.join(name).is_file() {
            return Err(EngineError::Damaged(format!("its file {name} is missing")));
        }
    }
    files.remove_half_snapshots().map_err(|e| EngineError::Damaged(e.to_string()))?;
    let engine = match Engine::open(&files.dir) {
        Err(e) if e.is_disk_full() => {
            // sled writes a snapshot at each open, and its half of one is in the way now.
            ballast::release(&files.ballast());
            files.remove_half_snapshots().map_err(|e| EngineError::Damaged(e.to_string()))?;
            Engine::open(&files.dir)?
        }
        other => other?,
    };
    match engine.load() {
        Ok(contents) => Ok((engine, contents)),
        Err(e) => {
            engine.close();
            Err(e)
        }
    }
}

/// Why the store as it opened is not the newest state known. A copy of another store (a directory
/// put back by hand) says nothing about this one.
fn older_than(contents: &Contents, copies: &Found) -> Option<String> {
    let head = &contents.head;
    let newest = copies.valid.iter().find(|copy| copy.store == head.store)?;
    (newest.generation > head.generation)
        .then(|| format!("it went back to generation {}, the copy has {}", head.generation, newest.generation))
}

fn current_copy(contents: &Contents, copies: &Found) -> Option<u64> {
    let head = &contents.head;
    copies
        .valid
        .iter()
        .any(|copy| copy.store == head.store && copies.newest_file == Some(head.generation))
        .then_some(head.generation)
}

fn recover(files: &Files, copies: &Found, moved_to: Option<PathBuf>, why: String) -> Result<Up, OpenError> {
    let Some(newest) = copies.valid.first() else {
        return Err(OpenError::Lost { reason: why });
    };
    let revision = newest.revision.number;
    let mut alarm = format!(
        "The configuration store was damaged ({why}). Revision {revision} was restored from the \
         copy; the candidate and older history are lost."
    );
    if let Some(moved) = &moved_to {
        alarm.push_str(&format!(" The damaged store is kept in {}.", moved.display()));
    }
    let mut history = BTreeMap::new();
    for copy in copies.valid.iter().filter(|copy| copy.store == newest.store) {
        if copy.revision.number <= revision {
            history.entry(copy.revision.number).or_insert_with(|| copy.revision.clone());
        }
    }
    let revert_is_known = |confirm: &Confirm| history.contains_key(&confirm.revert_to);
    if newest.confirm.is_some_and(|confirm| !revert_is_known(&confirm)) {
        alarm.push_str(" It had not been confirmed, and what it replaced is not known any more.");
    }
    let contents = Contents {
        head: Head {
            schema: SCHEMA,
            store: newest.store.clone(),
            generation: newest.generation + 1,
            running: Some(revision),
            confirm: newest.confirm.filter(revert_is_known),
            // Far above any etag that was given out: a client that holds one must not match.
            etag: newest.generation.saturating_mul(1 << 20),
        },
        history,
        candidate: None,
    };
    let (engine, contents) = build(files, contents)?;
    tracing::error!("{alarm}");
    let opened = Opened::Recovered { alarm, moved_to, revision };
    Ok(Up { engine, contents, opened, copy_generation: None })
}

fn build(files: &Files, contents: Contents) -> Result<(Engine, Contents), OpenError> {
    match build_once(files, &contents) {
        Err(OpenError::Build(e)) if e.is_disk_full() => {
            ballast::release(&files.ballast());
            let new = files.new_dir();
            let _ = fs::remove_dir_all(&new);
            match build_once(files, &contents) {
                Err(OpenError::Build(e)) if e.is_disk_full() => Err(OpenError::DiskFull),
                other => other,
            }
        }
        other => other,
    }
    .map(|engine| (engine, contents))
}

fn build_once(files: &Files, contents: &Contents) -> Result<Engine, OpenError> {
    let new = files.new_dir();
    let engine = Engine::create(&new, contents).map_err(OpenError::Build)?;
    engine.close();
    files.sync_store(&new)?;
    files.install_new()?;
    Engine::open(&files.dir).map_err(OpenError::Build)
}

fn empty() -> Contents {
    Contents {
        head: Head { schema: SCHEMA, store: new_id(), generation: 0, running: None, confirm: None, etag: 0 },
        history: BTreeMap::new(),
        candidate: None,
    }
}

/// A random UUID from the kernel (`Documentation/admin-guide/sysctl/kernel.rst`, random).
fn new_id() -> String {
    match fs::read_to_string("/proc/sys/kernel/random/uuid") {
        Ok(id) => id.trim().to_owned(),
        // A chroot without /proc: the standard library's own random keys will do.
        Err(_) => {
            use std::hash::{BuildHasher, RandomState};
            format!("{:016x}", RandomState::new().hash_one(std::process::id()))
        }
    }
}

/// A copy that was edited is no longer a copy, but it may be somebody's work: it stays, under a
/// name that no recovery reads.
fn set_aside_edited(files: &Files, copies: &Found) {
    for (age, why) in &copies.invalid {
        let path = files.copy(*age);
        let aside = files.edited(*age);
        tracing::warn!("{} is not used: {why}; kept as {}", path.display(), aside.display());
        if let Err(e) = fs::rename(&path, &aside) {
            tracing::warn!("renaming {}: {e}", path.display());
        }
    }
}
