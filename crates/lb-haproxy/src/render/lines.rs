//! The text as it grows: three times, each with less of what the runtime API can change, and with where each line
//! comes from.

use std::{collections::BTreeMap, fmt::Display};

/// What it takes to change a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Runtime,
    Reload,
}

#[derive(Default)]
pub(super) struct Lines {
    pub text: String,
    /// The text without weights and requested states.
    pub outline: String,
    /// The outline without the real servers that come and go without a reload.
    pub shape: String,
    pub origins: BTreeMap<usize, String>,
    lines: usize,
    last: String,
}

impl Lines {
    /// An empty line and the section's name.
    pub fn section(&mut self, at: &str, name: impl Display) {
        if !self.text.is_empty() {
            self.line(at, "", "", Change::Reload);
        }
        self.line(at, &name.to_string(), "", Change::Reload);
    }

    pub fn put(&mut self, at: &str, line: impl Display) {
        self.line(at, &format!("  {line}"), "", Change::Reload);
    }

    /// A server's line: `setting` is what the runtime API can change, `change` what the rest of it needs.
    pub fn server(&mut self, at: &str, line: &str, setting: &str, change: Change) {
        self.line(at, &format!("  {line}"), setting, change);
    }

    fn line(&mut self, at: &str, line: &str, setting: &str, change: Change) {
        self.lines += 1;
        let shape = (change == Change::Reload).then_some(&mut self.shape);
        let texts = [Some((&mut self.text, setting)), Some((&mut self.outline, "")), shape.map(|shape| (shape, ""))];
        for (text, end) in texts.into_iter().flatten() {
            text.push_str(line);
            text.push_str(end);
            text.push('\n');
        }
        if self.last != at {
            // The first line of the file is the shape's.
            self.origins.insert(self.lines + 1, at.to_owned());
            at.clone_into(&mut self.last);
        }
    }
}
