//! Files of the pair: private, and either old or new after a power cut.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// Writes `dir/name` with mode 0600: temporary file, sync, rename, sync of the directory, which is made if need be.
pub fn write(dir: &Path, name: &str, contents: &[u8]) -> io::Result<()> {
    if !dir.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
    }
    let new = dir.join(format!("{name}.new"));
    // One left by a crash may have other permissions.
    remove(&new)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&new, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// Removes files and syncs the directory; one that is not there is no error.
pub fn forget(dir: &Path, names: &[&str]) -> io::Result<()> {
    for name in names {
        remove(&dir.join(name))?;
    }
    match File::open(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        dir => dir?.sync_all(),
    }
}

/// The file's text; `None` when there is none. What is longer than `limit` is not ours.
pub fn read(dir: &Path, name: &str, limit: u64) -> io::Result<Option<String>> {
    use io::Read;
    let file = match File::open(dir.join(name)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = String::new();
    let length = file.take(limit + 1).read_to_string(&mut text)?;
    if length as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {limit} bytes")));
    }
    Ok(Some(text))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
