//! One MiB set aside, so that a full disk still takes a rollback.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use nix::fcntl::{FallocateFlags, fallocate};

const SIZE: i64 = 1 << 20;

/// Reserve the space. `false` when the disk has none left: the store works without.
pub fn reserve(path: &Path) -> bool {
    match try_reserve(path) {
        Ok(()) => true,
        Err(e) => {
            tracing::warn!("no space reserved in {}: {e}", path.display());
            // Part of it may have been allocated; better left to the store.
            release(path);
            false
        }
    }
}

fn try_reserve(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    // Blocks, not length, are what counts: a sparse file of the right length keeps nothing.
    fallocate(&file, FallocateFlags::empty(), 0, SIZE)?;
    file.sync_all()
}

/// Give the space to whoever needs it now.
pub fn release(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => tracing::warn!("the disk is full: {} released", path.display()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => tracing::warn!("releasing {}: {e}", path.display()),
    }
}
