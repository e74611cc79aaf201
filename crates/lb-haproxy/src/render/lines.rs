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
    /// The outline without the real servers that come and go without a reload, and without the values of tests.
    pub shape: String,
    pub origins: BTreeMap<usize, String>,
    lines: usize,
    last: String,
}

impl Lines {
    /// An empty line and the section's name.
    pub fn section(&mut self, at: &str, name: impl Display) {
        if !self.text.is_empty() {
            self.line(at, ["", "", ""], Change::Reload);
        }
        let name = name.to_string();
        self.line(at, [&name; 3], Change::Reload);
    }

    pub fn put(&mut self, at: &str, line: impl Display) {
        let line = format!("  {line}");
        self.line(at, [&line; 3], Change::Reload);
    }

    /// A server's line: `setting` is what the runtime API can change, `change` what the rest of it needs.
    pub fn server(&mut self, at: &str, line: &str, setting: &str, change: Change) {
        let line = format!("  {line}");
        self.line(at, [&format!("{line}{setting}"), &line, &line], change);
    }

    /// A test's line: the runtime API can change `values`, `change` is what the rest of it needs.
    pub fn values(&mut self, at: &str, line: &str, values: &str, change: Change) {
        let (line, whole) = (format!("  {line}"), format!("  {line} {values}"));
        self.line(at, [&whole, &whole, &line], change);
    }

    /// What the text, the outline and the shape say.
    fn line(&mut self, at: &str, [text, outline, shape]: [&str; 3], change: Change) {
        self.lines += 1;
        let shape = (change == Change::Reload).then_some((&mut self.shape, shape));
        for (all, line) in
            [Some((&mut self.text, text)), Some((&mut self.outline, outline)), shape].into_iter().flatten()
        {
            all.push_str(line);
            all.push('\n');
        }
        if self.last != at {
            // The first line of the file is the shape's.
            self.origins.insert(self.lines + 1, at.to_owned());
            at.clone_into(&mut self.last);
        }
    }
}
