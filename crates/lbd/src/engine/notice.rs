//! What other programs of this unit have to say to people, shown as alarms: that an update did not stay
//! (`/run/lb/update.alarm`, written by lbupdate), what is wrong with the disk (`/run/lb/disk.alarm`, found when the unit
//! started). The files are in memory, so that looking at them waits for no disk.

use super::Engine;
use lb_kernel::Kernel;
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// Names of the files in lbd's folder for what is gone after a restart.
pub const NOTICES: [&str; 2] = ["disk.alarm", "update.alarm"];
/// More than a sentence with its hint has, bytes.
const LIMIT: u64 = 2000;

#[derive(Debug, Default)]
pub(super) struct Notices {
    pub(super) files: Vec<PathBuf>,
    pub(super) texts: Vec<String>,
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
    }
}

fn read(file: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(file).ok()?.take(LIMIT).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
