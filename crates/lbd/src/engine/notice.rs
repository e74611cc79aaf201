//! What is to be said to people before they log in on the console too, shown as alarms: that an update did not stay
//! (`/run/lb/update.alarm`, written by lbupdate), what is wrong with the disk (`/run/lb/disk.alarm`, found when the unit
//! started), that the clock is wrong ([`CLOCK`], written by lbd itself). The files are in memory, so that looking at them
//! waits for no disk. And that the disk is nearly full.

use super::Engine;
use lb_kernel::Kernel;
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Names of the files in lbd's folder for what is gone after a restart.
pub const NOTICES: [&str; 3] = ["disk.alarm", CLOCK, "update.alarm"];
/// The one that lbd writes.
pub const CLOCK: &str = "clock.alarm";
/// More than a sentence with its hint has, bytes.
const LIMIT: u64 = 2000;

/// Less room than this part of the data partition is an alarm: logs wait, and soon nothing can be kept.
const LITTLE: u64 = 20;
/// But on a large one not before it has less than this, bytes.
const MOST_LITTLE: u64 = 64 << 20;

#[derive(Debug, Default)]
pub(super) struct Notices {
    pub(super) files: Vec<PathBuf>,
    /// Somewhere on the data partition.
    pub(super) data: Option<PathBuf>,
    pub(super) texts: Vec<String>,
    pub(super) full: Option<String>,
}

impl Notices {
    pub(super) fn texts(&self) -> impl Iterator<Item = &String> {
        self.texts.iter().chain(&self.full)
    }

    /// Leaves `text` in the file of that name, or no such file. One that cannot be written is tried again.
    pub(super) fn leave(&self, name: &str, text: Option<&str>) {
        let Some(file) = self.files.iter().find(|file| file.ends_with(name)) else { return };
        if read(file).as_deref() == text {
            return;
        }
        let done = match text {
            Some(text) => write(file, text),
            None => fs::remove_file(file),
        };
        if let Err(error) = done {
            tracing::warn!("{}: {error}", file.display());
        }
    }
}

impl<K: Kernel> Engine<K> {
    pub(super) fn look_at_notices(&mut self) {
        let texts: Vec<String> = self.notices.files.iter().filter_map(|file| read(file)).collect();
        if texts != self.notices.texts {
            for text in texts.iter().filter(|text| !self.notices.texts.contains(text)) {
                tracing::warn!("alarm: {text}");
            }
            self.notices.texts = texts;
            self.touch();
        }
        let Some(Ok((total, free))) = self.notices.data.as_deref().map(lb_kernel::room) else { return };
        let full = full(total, free, self.notices.full.is_some());
        // How much is left changes all the time.
        if full.is_some() != self.notices.full.is_some() {
            match &full {
                Some(text) => tracing::warn!("alarm: {text}"),
                None => tracing::info!("there is room on the data partition again"),
            }
            self.notices.full = full;
            self.touch();
        }
    }
}

/// What to say of a data partition with so many bytes in all and free. What was said stays until there is half as much
/// room again.
fn full(total: u64, free: u64, was: bool) -> Option<String> {
    let little = (total / LITTLE).min(MOST_LITTLE);
    let limit = if was { little + little / 2 } else { little };
    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    (free < limit).then(|| {
        format!(
            "the data partition is full: {:.1} of {:.0} MB are free. The unit goes on balancing, but keeps no logs, and \
             may refuse changes. hint: du -xk /data | sort -n | tail says what takes the room",
            megabytes(free),
            megabytes(total)
        )
    })
}

/// In one step, so that nobody shows half of it.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, format!("{text}\n"))?;
    fs::rename(new, file)
}

fn read(file: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(file).ok()?.take(LIMIT).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::full;

    #[test]
    fn little_room_is_an_alarm_until_there_is_clearly_more() {
        const MB: u64 = 1 << 20;
        let says = |total: u64, free: u64, was: bool| full(total * MB, free * MB, was).is_some();
        assert_eq!(
            [says(55, 3, false), says(55, 2, false), says(55, 3, true), says(55, 5, true)],
            [false, true, true, false]
        );
        // A large one is not full with a gigabyte.
        assert_eq!([says(100_000, 1000, false), says(100_000, 63, false)], [false, true]);
        let text = full(55 * MB, MB, false).unwrap_or_default();
        assert!(text.starts_with("the data partition is full: 1.0 of 55 MB are free."), "{text}");
    }
}
