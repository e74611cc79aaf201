//! The audit log: who did what, when, from where, and what was refused.
//!
//! JSON lines in `audit.log` (four files of 1 MiB) and, for what was refused, `refused.log` (two of 1 MiB): strangers
//! who are refused all day cannot push the changes out. Refusals are written 200 at once and one a second; how many
//! were left out is written with the next one. Changes are on the disk (fdatasync) when `append` returns.
//! Secrets are never put in; that is up to the callers. Tested with small files, cuts and floods.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::role::Who;

/// Of one file.
const SIZE: u64 = 1 << 20;
const CHANGES: &str = "audit.log";
const CHANGES_KEPT: usize = 4;
const REFUSED: &str = "refused.log";
const REFUSED_KEPT: usize = 2;
/// Refusals written at once, and after that one a second.
const BURST: u64 = 200;
/// Characters kept of a detail, and of everything else.
const LONGEST_DETAIL: usize = 1000;
const LONGEST_WORD: usize = 96;
/// Entries of one page.
pub const LARGEST_PAGE: usize = 1000;

/// One thing that somebody did, or was not allowed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub time: u64,
    /// As [`Who::name`]; empty when nobody has logged in.
    pub user: String,
    /// `0.0.0.0`: the unit itself.
    pub address: IpAddr,
    /// A short word: `log-in`, `user-add`, `apply`.
    pub action: String,
    /// A sentence, without secrets.
    pub detail: String,
    #[serde(default)]
    pub refused: bool,
}

impl AuditEntry {
    pub fn new(now: u64, who: &Who, action: impl Into<String>, detail: impl Into<String>) -> AuditEntry {
        AuditEntry {
            time: now,
            user: who.name(),
            address: who.address.to_canonical(),
            action: action.into(),
            detail: detail.into(),
            refused: false,
        }
    }

    /// By somebody who has not logged in.
    pub fn stranger(now: u64, address: IpAddr, action: impl Into<String>, detail: impl Into<String>) -> AuditEntry {
        AuditEntry {
            time: now,
            user: String::new(),
            address: address.to_canonical(),
            action: action.into(),
            detail: detail.into(),
            refused: false,
        }
    }

    /// By the unit itself.
    pub fn unit(now: u64, action: impl Into<String>, detail: impl Into<String>) -> AuditEntry {
        AuditEntry::stranger(now, IpAddr::from([0, 0, 0, 0]), action, detail)
    }

    /// The same, refused.
    pub fn refused(self) -> AuditEntry {
        AuditEntry { refused: true, ..self }
    }

    fn clip(&mut self) {
        for (text, most) in
            [(&mut self.user, LONGEST_WORD), (&mut self.action, LONGEST_WORD), (&mut self.detail, LONGEST_DETAIL)]
        {
            if let Some((at, _)) = text.char_indices().nth(most) {
                text.truncate(at);
                text.push('…');
            }
        }
    }

    fn matches(&self, words: &[String]) -> bool {
        let address = self.address.to_string();
        let refused = if self.refused { "refused" } else { "" };
        let text = [&self.user, &address, &self.action, &self.detail, refused].join(" ").to_lowercase();
        words.iter().all(|word| text.contains(word))
    }
}

/// An entry as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    /// Grows by time; names the entry.
    pub sequence: u64,
    #[serde(flatten)]
    pub entry: AuditEntry,
}

/// Some entries, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AuditPage {
    pub entries: Vec<AuditLine>,
    /// `before` of the next page, unless this is the last.
    pub next: Option<u64>,
}

/// One log and the files it was rotated into.
#[derive(Debug)]
struct Stream {
    path: PathBuf,
    kept: usize,
    size: u64,
    file: Option<File>,
}

impl Stream {
    fn new(dir: &Path, name: &str, kept: usize, size: u64) -> Stream {
        Stream { path: dir.join(name), kept, size, file: None }
    }

    /// File `age`: 0 is being written.
    fn file_name(&self, age: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        if age > 0 {
            name.push(format!(".{age}"));
        }
        name.into()
    }

    fn append(&mut self, line: &str, sync: bool) -> io::Result<()> {
        let result = self.try_append(line, sync);
        if result.is_err() {
            self.file = None;
        }
        result
    }

    fn try_append(&mut self, line: &str, sync: bool) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => open(&self.path)?,
        };
        if file.stream_position()? + line.len() as u64 > self.size {
            for age in (0..self.kept - 1).rev() {
                match fs::rename(self.file_name(age), self.file_name(age + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            file = open(&self.path)?;
        }
        file.write_all(line.as_bytes())?;
        if sync {
            file.sync_data()?;
        }
        self.file = Some(file);
        Ok(())
    }

    /// Newest first, until `wanted` says no.
    fn walk(&self, mut wanted: impl FnMut(AuditLine) -> bool) {
        for age in 0..self.kept {
            let Ok(bytes) = read(&self.file_name(age), self.size) else { continue };
            for line in bytes.split(|b| *b == b'\n').rev() {
                // A line cut off by a crash, or damaged, is not an entry.
                if let Ok(line) = serde_json::from_slice(line)
                    && !wanted(line)
                {
                    return;
                }
            }
        }
    }
}

/// At its end, on a line of its own even after a line that a crash cut off.
fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if file.seek(SeekFrom::End(0))? > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
        file.seek(SeekFrom::End(0))?;
    }
    Ok(file)
}

fn read(path: &Path, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Room for the newline that `open` may add.
    File::open(path)?.take(size + 2).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Both logs.
#[derive(Debug)]
pub struct AuditLog {
    changes: Stream,
    refused: Stream,
    next: u64,
    /// Refusals that may be written now, as of `refilled`.
    budget: u64,
    refilled: u64,
    left_out: u64,
    failing: bool,
}

impl AuditLog {
    pub fn open(dir: &Path) -> AuditLog {
        AuditLog::with_size(dir, SIZE)
    }

    fn with_size(dir: &Path, size: u64) -> AuditLog {
        let changes = Stream::new(dir, CHANGES, CHANGES_KEPT, size);
        let refused = Stream::new(dir, REFUSED, REFUSED_KEPT, size);
        let mut last = 0;
        for stream in [&changes, &refused] {
            stream.walk(|line| {
                last = last.max(line.sequence);
                false
            });
        }
        let next = last.saturating_add(1);
        AuditLog { changes, refused, next, budget: BURST, refilled: 0, left_out: 0, failing: false }
    }

    /// Whether something was ever written here.
    pub fn begun(dir: &Path) -> bool {
        dir.join(CHANGES).exists()
    }

    /// The last entry could not be written.
    pub fn failing(&self) -> bool {
        self.failing
    }

    pub fn append(&mut self, mut entry: AuditEntry) {
        if entry.refused && !self.take(entry.time) {
            self.left_out += 1;
            return;
        }
        if entry.refused && self.left_out > 0 {
            entry.detail.push_str(&format!(" ({} refusals before this one were not written down)", self.left_out));
            self.left_out = 0;
        }
        entry.clip();
        let (sync, line) = (!entry.refused, AuditLine { sequence: self.next, entry });
        let stream = if sync { &mut self.changes } else { &mut self.refused };
        let written = serde_json::to_string(&line)
            .map_err(io::Error::from)
            .and_then(|text| stream.append(&format!("{text}\n"), sync));
        self.failing = written.is_err();
        self.next += 1;
    }

    fn take(&mut self, now: u64) -> bool {
        self.budget = self.budget.saturating_add(now.saturating_sub(self.refilled)).min(BURST);
        self.refilled = now;
        let may = self.budget > 0;
        self.budget = self.budget.saturating_sub(1);
        may
    }

    /// Entries before a sequence number that hold every word of the filter, newest first.
    pub fn page(&self, filter: Option<&str>, before: Option<u64>, limit: usize) -> AuditPage {
        let limit = limit.clamp(1, LARGEST_PAGE);
        let before = before.unwrap_or(u64::MAX);
        let words: Vec<String> = filter.unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
        let mut entries = Vec::new();
        for stream in [&self.changes, &self.refused] {
            let mut found = 0;
            stream.walk(|line| {
                if line.sequence < before && line.entry.matches(&words) {
                    entries.push(line);
                    found += 1;
                }
                found <= limit
            });
        }
        entries.sort_by_key(|line| std::cmp::Reverse(line.sequence));
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| more).map(|line| line.sequence);
        AuditPage { entries, next }
    }
}

#[cfg(test)]
mod tests;
