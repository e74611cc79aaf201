//! `access.json` on the disk, and its copy.
//!
//! The document stands in the file as text beside the CRC of that text. A write goes to a temporary file, fsync,
//! rename, fsync of the folder: first `access.json`, then `access.json.1`, its copy. So a crash leaves the old or the
//! new document, never neither, and the copy is older than the file only by the change that a crash interrupted.
//!
//! A damaged file is moved aside as `access.bad-TIME` and its copy taken. Without a good copy nobody can log in until
//! somebody at the console restores a file or asks for factory users with `access.reset`: that is never done silently.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::document::{Document, VERSION};
use crate::refusal::AccessError;

const FILE: &str = "access.json";
const COPY: &str = "access.json.1";
/// Made by somebody at the console: start again with factory users.
const RESET: &str = "access.reset";
const BAD: &str = "access.bad-";
/// Damaged files that are kept.
const BAD_KEPT: usize = 5;
/// The largest document of 64 users and tokens is far smaller.
const LARGEST: u64 = 4 << 20;

/// What the folder held.
#[derive(Debug)]
pub enum Found {
    /// Nothing at all: the first start.
    First,
    /// Somebody at the console asked for factory users; [`Disk::reset_done`] ends it.
    Reset,
    Good(Document),
    /// The file was damaged, this is its copy; the alarm says so.
    Copy(Document, String),
    /// Nothing usable; the alarm says how to recover.
    Closed(String),
}

enum Content {
    Absent,
    Good(Document),
    /// Written by a newer version: not damaged, not ours to touch.
    Newer(u64),
    Damaged(String),
    Unreadable(String),
}

#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    /// Of the text of `access`, hexadecimal.
    crc32: String,
    access: Box<RawValue>,
}

impl Disk {
    /// Opens the folder, making it if need be. `begun` = something else says that this is not the first start.
    pub fn open(dir: &Path, begun: bool, now: u64) -> Result<(Disk, Found), AccessError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| AccessError::Io {
            doing: "making the folder",
            path: dir.to_owned(),
            source,
        })?;
        let disk = Disk { dir: dir.to_owned() };
        let found = disk.find(begun, now).map_err(|source| AccessError::Io {
            doing: "recovering the users in",
            path: dir.to_owned(),
            source,
        })?;
        Ok((disk, found))
    }

    fn find(&self, begun: bool, now: u64) -> io::Result<Found> {
        if self.path(RESET).exists() {
            self.move_aside(COPY, now)?;
            self.move_aside(FILE, now)?;
            return Ok(Found::Reset);
        }
        let copy = self.read(COPY);
        let (reason, damaged) = match self.read(FILE) {
            Content::Good(document) => {
                if !matches!(copy, Content::Good(ref copy) if *copy == document) {
                    // Best effort: the next write does it again.
                    let _ = encode(&document).and_then(|text| self.put(COPY, &text));
                }
                return Ok(Found::Good(document));
            }
            Content::Newer(version) => return Ok(Found::Closed(newer(version))),
            Content::Absent => ("is missing".to_owned(), false),
            Content::Damaged(reason) => (reason, true),
            Content::Unreadable(reason) => (reason, false),
        };
        match copy {
            Content::Good(document) => {
                let kept = self.move_aside(FILE, now)?;
                let text = encode(&document)?;
                self.put(FILE, &text)?;
                let kept = kept.map_or_else(String::new, |path| format!(" It is kept as {}.", path.display()));
                let alarm = format!(
                    "The file of users {reason}; its copy was used.{kept} Check the users, tokens and passwords: the \
                     last change may be missing."
                );
                Ok(Found::Copy(document, alarm))
            }
            Content::Newer(version) => Ok(Found::Closed(newer(version))),
            Content::Absent if !damaged && reason == "is missing" && !begun && self.bad()?.is_empty() => {
                Ok(Found::First)
            }
            copy => {
                // What cannot be read for want of permission stays: giving the permission mends it.
                if damaged {
                    self.move_aside(FILE, now)?;
                }
                if matches!(copy, Content::Damaged(_)) {
                    self.move_aside(COPY, now)?;
                }
                Ok(Found::Closed(self.recovery(&reason)))
            }
        }
    }

    fn recovery(&self, reason: &str) -> String {
        let dir = self.dir.display();
        format!(
            "the file of users {reason}, and there is no good copy of it. On the console, as root: put a good \
             {dir}/{FILE} back, or start again with the factory user and password by `touch {dir}/{RESET}`; then \
             `sv restart lbadmin`. Damaged files are kept as {dir}/{BAD}TIME."
        )
    }

    /// Writes the document and its copy. When this fails, the old document is still there.
    pub fn write(&self, document: &Document) -> io::Result<()> {
        let text = encode(document)?;
        self.put(FILE, &text)?;
        // The document is on the disk: a copy that fails is made at the next start or change.
        let _ = self.put(COPY, &text);
        Ok(())
    }

    /// The factory users are written: what asked for them goes.
    pub fn reset_done(&self) -> io::Result<()> {
        fs::remove_file(self.path(RESET))?;
        self.sync()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn put(&self, name: &str, text: &str) -> io::Result<()> {
        let temporary = self.path(&format!("{name}.tmp"));
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, self.path(name))?;
        self.sync()
    }

    fn read(&self, name: &str) -> Content {
        let mut text = String::new();
        let opened = File::open(self.path(name)).and_then(|file| file.take(LARGEST).read_to_string(&mut text));
        match opened {
            Ok(_) => decode(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => Content::Absent,
            Err(error) if error.kind() == ErrorKind::InvalidData => Content::Damaged("is damaged (not text)".into()),
            Err(error) => Content::Unreadable(format!("cannot be read ({error})")),
        }
    }

    /// Moves a file to `access.bad-TIME`; `None` when there is none.
    fn move_aside(&self, name: &str, now: u64) -> io::Result<Option<PathBuf>> {
        let from = self.path(name);
        if !from.exists() {
            return Ok(None);
        }
        let mut to = self.path(&format!("{BAD}{now}"));
        for n in 1.. {
            if !to.exists() {
                break;
            }
            to = self.path(&format!("{BAD}{now}-{n}"));
        }
        fs::rename(&from, &to)?;
        let bad = self.bad()?;
        for old in bad.iter().take(bad.len().saturating_sub(BAD_KEPT)) {
            fs::remove_file(old)?;
        }
        self.sync()?;
        Ok(Some(to))
    }

    /// Files that were moved aside, oldest first.
    fn bad(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if let Some(rest) = entry.file_name().to_string_lossy().strip_prefix(BAD) {
                let mut parts = rest.splitn(2, '-').map(|part| part.parse::<u64>().unwrap_or(0));
                found.push(((parts.next().unwrap_or(0), parts.next().unwrap_or(0)), entry.path()));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, path)| path).collect())
    }
}

fn encode(document: &Document) -> io::Result<String> {
    let access = RawValue::from_string(serde_json::to_string_pretty(document)?)?;
    let crc32 = format!("{:08x}", crc32fast::hash(access.get().as_bytes()));
    Ok(serde_json::to_string(&Envelope { crc32, access })?)
}

fn decode(text: &str) -> Content {
    #[derive(Deserialize)]
    struct JustVersion {
        version: u64,
    }
    let damaged = |what: String| Content::Damaged(format!("is damaged ({what})"));
    let envelope: Envelope = match serde_json::from_str(text) {
        Ok(envelope) => envelope,
        Err(error) => return damaged(format!("line {} column {}", error.line(), error.column())),
    };
    let access = envelope.access.get();
    if envelope.crc32 != format!("{:08x}", crc32fast::hash(access.as_bytes())) {
        return damaged("its checksum is wrong".into());
    }
    if let Ok(JustVersion { version }) = serde_json::from_str(access)
        && version > u64::from(VERSION)
    {
        return Content::Newer(version);
    }
    match serde_json::from_str::<Document>(access) {
        Ok(document) => match document.check() {
            Ok(()) => Content::Good(document),
            Err(reason) => damaged(reason),
        },
        Err(error) => damaged(format!("line {} column {}", error.line(), error.column())),
    }
}

fn newer(version: u64) -> String {
    format!(
        "the file of users was written by newer software (version {version}, this one knows {VERSION}). Install that \
         software again; nothing was changed."
    )
}

#[cfg(test)]
mod tests;
