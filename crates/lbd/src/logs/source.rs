//! One service's log: its files as one row of lines, newest first.

use super::backwards::Backwards;
use std::{
    collections::VecDeque,
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Characters of a line that are shown.
const SHOWN: usize = 4000;
/// Lines without a time that wait for the one before them to give them its own.
const WAITING: usize = 1000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `2026-11-21_07:13:20.123450000`; empty where the log has none.
    pub time: String,
    pub offset: u64,
    pub text: String,
}

pub struct Source {
    pub service: String,
    dir: PathBuf,
    current: Option<Backwards<File>>,
    /// Newest last.
    older: Vec<PathBuf>,
    /// Opened already: it may have been renamed among the older ones meanwhile.
    first: Option<u64>,
    waiting: VecDeque<Line>,
    peeked: Option<Line>,
    last_time: String,
}

impl Source {
    pub fn open(dir: &Path, service: &str) -> io::Result<Source> {
        let mut source = Source {
            service: service.to_owned(),
            dir: dir.to_owned(),
            current: None,
            older: Vec::new(),
            first: None,
            waiting: VecDeque::new(),
            peeked: None,
            last_time: String::new(),
        };
        if let Some(file) = opened(&dir.join("current"))? {
            source.first = Some(file.metadata()?.ino());
            source.current = Some(Backwards::new(file)?);
        }
        for entry in std::fs::read_dir(dir)? {
            let name = entry?.file_name();
            if name.as_encoded_bytes().starts_with(b"@") {
                source.older.push(dir.join(name));
            }
        }
        source.older.sort();
        Ok(source)
    }

    /// The same log once more from its newest line.
    pub fn again(&self) -> io::Result<Source> {
        Source::open(&self.dir, &self.service)
    }

    pub fn peek(&mut self) -> io::Result<Option<&Line>> {
        if self.peeked.is_none() {
            self.peeked = self.read()?;
        }
        Ok(self.peeked.as_ref())
    }

    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        match self.peeked.take() {
            Some(line) => Ok(Some(line)),
            None => self.read(),
        }
    }

    fn read(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.waiting.pop_front() {
            return Ok(Some(line));
        }
        // Reading backwards, the line that has the time comes after those that continue it.
        while let Some((offset, bytes)) = self.raw()? {
            let text = String::from_utf8_lossy(&bytes);
            let (time, text) = stamped(&text);
            let line = Line { time, offset, text: shortened(text) };
            if line.time.is_empty() && self.waiting.len() < WAITING {
                self.waiting.push_back(line);
                continue;
            }
            if !line.time.is_empty() {
                self.last_time.clone_from(&line.time);
            }
            self.waiting.push_back(line);
            break;
        }
        for line in &mut self.waiting {
            line.time.clone_from(&self.last_time);
        }
        Ok(self.waiting.pop_front())
    }

    fn raw(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        loop {
            if let Some(lines) = &mut self.current
                && let Some(line) = lines.next_line()?
            {
                return Ok(Some(line));
            }
            self.current = None;
            let Some(path) = self.older.pop() else { return Ok(None) };
            // One that svlogd has removed meanwhile was the oldest.
            let Some(file) = opened(&path)? else { continue };
            if Some(file.metadata()?.ino()) != self.first {
                self.current = Some(Backwards::new(file)?);
            }
        }
    }
}

fn opened(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN).filter(|_| text.len() > SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Digits of a second's fraction; svlogd prints five or more.
const FRACTION: usize = 9;

/// The time that svlogd put before the line, its fraction always as long, and the rest.
fn stamped(line: &str) -> (String, &str) {
    let (stamp, text) = line.split_once(' ').unwrap_or((line, ""));
    match is_stamp(stamp) {
        true => (format!("{stamp:0<width$.width$}", width = "2026-11-21_07:13:20.".len() + FRACTION), text),
        false => (String::new(), line),
    }
}

/// `2026-11-21_07:13:20.12345`
pub fn is_stamp(text: &str) -> bool {
    let form = b"dddd-dd-dd_dd:dd:dd.d";
    text.len() >= form.len()
        && text.bytes().enumerate().all(|(i, byte)| match form.get(i) {
            None | Some(b'd') => byte.is_ascii_digit(),
            Some(sign) => byte == *sign,
        })
}
