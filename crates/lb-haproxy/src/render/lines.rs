//! The text as it grows: twice, with and without what the runtime API can change, and with where each line comes from.

use std::{collections::BTreeMap, fmt::Display};

#[derive(Default)]
pub(super) struct Lines {
    pub text: String,
    /// The text without weights and requested states.
    pub shape: String,
    pub origins: BTreeMap<usize, String>,
    lines: usize,
    last: String,
}

impl Lines {
    /// An empty line and the section's name.
    pub fn section(&mut self, at: &str, name: impl Display) {
        if !self.text.is_empty() {
            self.line(at, "", "");
        }
        self.line(at, &name.to_string(), "");
    }

    pub fn put(&mut self, at: &str, line: impl Display) {
        self.line(at, &format!("  {line}"), "");
    }

    /// A server's line: `setting` is what the runtime API can change.
    pub fn server(&mut self, at: &str, line: &str, setting: &str) {
        self.line(at, &format!("  {line}"), setting);
    }

    fn line(&mut self, at: &str, line: &str, setting: &str) {
        self.lines += 1;
        for (text, end) in [(&mut self.text, setting), (&mut self.shape, "")] {
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
