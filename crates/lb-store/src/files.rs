//! The files of a store and what is done to them as files: sync, move aside, forget.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// Damaged directories that are kept.
const BAD_KEPT: usize = 3;

/// Names around the directory `<dir>`; everything lies in its parent.
#[derive(Debug, Clone)]
pub struct Files {
    pub dir: PathBuf,
    pub parent: PathBuf,
    name: String,
}

impl Files {
    pub fn new(dir: &Path) -> Files {
        let name = dir.file_name().map_or("store".into(), |n| n.to_string_lossy());
        let parent = match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        Files { dir: dir.to_owned(), parent, name: name.into_owned() }
    }

    /// Where a new store is built before it takes the place of `<dir>`.
    pub fn new_dir(&self) -> PathBuf {
        self.parent.join(format!("{}.new", self.name))
    }

    pub fn lock(&self) -> PathBuf {
        self.parent.join(format!("{}.lock", self.name))
    }

    pub fn ballast(&self) -> PathBuf {
        self.parent.join(format!("{}.ballast", self.name))
    }

    /// Copy `age`: 0 = newest.
    pub fn copy(&self, age: usize) -> PathBuf {
        match age {
            0 => self.parent.join("running.json"),
            age => self.parent.join(format!("running.{age}.json")),
        }
    }

    /// Where copy `age` goes when it was edited.
    pub fn edited(&self, age: usize) -> PathBuf {
        self.copy(age).with_extension("json.edited")
    }

    /// Something that only an earlier store can have left.
    pub fn has_remains(&self) -> Result<bool, OpenError> {
        let bad = self.bad().map_err(io_error("listing", &self.parent))?;
        Ok(!bad.is_empty() || (0..crate::copy::KEPT).any(|age| self.edited(age).exists()))
    }

    /// Moved-aside directories, oldest first.
    pub fn bad(&self) -> io::Result<Vec<PathBuf>> {
        let prefix = format!("{}.bad-", self.name);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.parent)? {
            let entry = entry?;
            if let Some(rest) = entry.file_name().to_string_lossy().strip_prefix(&prefix) {
                // "<unix seconds>" or "<unix seconds>-<n>"
                let mut parts = rest.splitn(2, '-').map(|p| p.parse::<u64>().unwrap_or(0));
                let order = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
                found.push((order, entry.path()));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, path)| path).collect())
    }

    /// Move `<dir>` to `<dir>.bad-<time>`.
    pub fn move_aside(&self, now: u64) -> Result<PathBuf, OpenError> {
        let mut to = self.parent.join(format!("{}.bad-{now}", self.name));
        for n in 1.. {
            if !to.exists() {
                break;
            }
            to = self.parent.join(format!("{}.bad-{now}-{n}", self.name));
        }
        fs::rename(&self.dir, &to).map_err(io_error("moving aside", &self.dir))?;
        sync_dir(&self.parent)?;
        let bad = self.bad().map_err(io_error("listing", &self.parent))?;
        for old in bad.iter().take(bad.len().saturating_sub(BAD_KEPT)) {
            fs::remove_dir_all(old).map_err(io_error("removing", old))?;
        }
        Ok(to)
    }

    /// A left-over of an interrupted start, which sorts as sled's newest snapshot and makes
    /// every later open fail (spacejam/sled#1527). Nothing else of sled's is ever deleted: a
    /// store without its `snap.<LSN>` opens empty.
    pub fn remove_half_snapshots(&self) -> Result<(), OpenError> {
        for entry in fs::read_dir(&self.dir).map_err(io_error("listing", &self.dir))? {
            let path = entry.map_err(io_error("listing", &self.dir))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("snap.") && name.ends_with(".generating") {
                fs::remove_file(&path).map_err(io_error("removing", &path))?;
            }
        }
        Ok(())
    }

    /// Sync every file and folder of a closed store: sled syncs neither `conf` nor any folder.
    pub fn sync_store(&self, dir: &Path) -> Result<(), OpenError> {
        for entry in fs::read_dir(dir).map_err(io_error("listing", dir))? {
            let path = entry.map_err(io_error("listing", dir))?.path();
            sync_path(&path)?;
        }
        sync_dir(dir)?;
        sync_dir(&self.parent)
    }

    /// Put the finished `<dir>.new` in the place of `<dir>`.
    pub fn install_new(&self) -> Result<(), OpenError> {
        let new = self.new_dir();
        fs::rename(&new, &self.dir).map_err(io_error("installing", &new))?;
        sync_dir(&self.parent)
    }
}

pub fn io_error<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> OpenError + 'a {
    move |source| OpenError::Io { doing, path: path.to_owned(), source }
}

fn sync_path(path: &Path) -> Result<(), OpenError> {
    File::open(path).and_then(|f| f.sync_all()).map_err(io_error("syncing", path))
}

pub fn sync_dir(path: &Path) -> Result<(), OpenError> {
    sync_path(path)
}

/// Forget everything, for a factory reset from outside: the store, its copies and what was moved
/// aside. The store must be closed. The next open finds nothing and creates a new store.
pub fn reset(dir: &Path) -> Result<(), OpenError> {
    let files = Files::new(dir);
    // The copies first: were the store gone and a copy left, the next open would restore it.
    for age in 0..crate::copy::KEPT {
        remove_if_there(&files.copy(age))?;
        remove_if_there(&files.edited(age))?;
    }
    for bad in files.bad().map_err(io_error("listing", &files.parent))? {
        fs::remove_dir_all(&bad).map_err(io_error("removing", &bad))?;
    }
    for dir in [files.new_dir(), files.dir.clone()] {
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(io_error("removing", &dir))?;
        }
    }
    sync_dir(&files.parent)
}

fn remove_if_there(path: &Path) -> Result<(), OpenError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("removing", path)(e)),
        _ => Ok(()),
    }
}
