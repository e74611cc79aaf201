//! How often this daemon has been started: counted on the disk, durably, before anything is said.

use anyhow::{Context, Result};
use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::Path,
    time::SystemTime,
};

/// Counts one more and returns it. Where the number was damaged, the count goes on from the seconds since 1970: more
/// than any count before.
pub fn count(state: &Path) -> Result<u32> {
    let file = state.join("boot");
    let before = match fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().unwrap_or_else(|_| seconds()),
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(error).with_context(|| format!("reading {}", file.display())),
    };
    let boot = before.checked_add(1).context("the start counter has come to its end: pair the nodes anew")?;
    write(state, &file, boot).with_context(|| format!("counting this start in {}", file.display()))?;
    Ok(boot)
}

fn write(state: &Path, file: &Path, boot: u32) -> std::io::Result<()> {
    fs::create_dir_all(state)?;
    let beside = state.join("boot.new");
    let mut new = File::create(&beside)?;
    writeln!(new, "{boot}")?;
    new.sync_all()?;
    fs::rename(&beside, file)?;
    // The name, too, must survive a power cut.
    File::open(state)?.sync_all()
}

fn seconds() -> u32 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_has_a_greater_number() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("heartbeat");
        assert_eq!([count(&state).ok(), count(&state).ok()], [Some(1), Some(2)]);
        fs::write(state.join("boot"), "\0\0").expect("written");
        let after_damage = count(&state).expect("counted");
        assert!(after_damage > 1_000_000_000);
        assert_eq!(count(&state).ok(), Some(after_damage + 1));
        fs::write(state.join("boot"), u32::MAX.to_string()).expect("written");
        assert!(count(&state).is_err());
    }
}
