//! What another program of this unit has to say to people, shown as an alarm: that an update did not stay
//! (`/run/lb/update.alarm`, written by lbupdate). The file is in memory, so that looking at it waits for no disk.

use super::Engine;
use lb_kernel::Kernel;
use std::{fs::File, io::Read, path::PathBuf};

/// More than a sentence with its hint has, bytes.
const LIMIT: u64 = 2000;

#[derive(Debug, Default)]
pub(super) struct Notice {
    /// `None`: nobody writes one.
    pub(super) file: Option<PathBuf>,
    pub(super) text: Option<String>,
}

impl<K: Kernel> Engine<K> {
    pub(super) fn look_at_notice(&mut self) {
        let text = self.notice.read();
        if text != self.notice.text {
            if let Some(text) = &text {
                tracing::warn!("alarm: {text}");
            }
            self.notice.text = text;
            self.touch();
        }
    }
}

impl Notice {
    fn read(&self) -> Option<String> {
        let mut text = String::new();
        File::open(self.file.as_ref()?).ok()?.take(LIMIT).read_to_string(&mut text).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }
}
