//! Lines that leave the daemon: its log, and the record of what happened to the node.
//!
//! A full pipe or a slow disk must not hold up a beat, so each outlet has a thread, and room for some lines; what does
//! not fit is dropped, counted and told.

use lb_ha::trace::Line;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::mpsc::{SyncSender, TrySendError, sync_channel},
    thread,
    time::Duration,
};

/// Lines that wait to be written.
const ROOM: usize = 4096;
/// A record is turned over at this size; one predecessor is kept beside it.
const RECORD: u64 = 16 << 20;

/// How long an outlet may take for what is left when the daemon ends.
const LAST: Duration = Duration::from_millis(500);

/// A line, or the question whether all before it are written.
enum Sent<T> {
    Line(T),
    Flush(SyncSender<()>),
}

fn flush<T>(lines: &SyncSender<Sent<T>>) {
    let (done, is_done) = sync_channel(1);
    if lines.try_send(Sent::Flush(done)).is_ok() {
        // In vain if it takes too long.
        let _ = is_done.recv_timeout(LAST);
    }
}

/// The log on stderr; the supervisor's logger adds the time.
#[derive(Clone)]
pub struct Log {
    lines: SyncSender<Sent<String>>,
}

impl Log {
    pub fn start() -> io::Result<Log> {
        let (lines, written) = sync_channel(ROOM);
        thread::Builder::new().name("log".into()).stack_size(STACK).spawn(move || {
            for sent in written {
                match sent {
                    // Nobody is left to be told.
                    Sent::Line::<String>(line) => drop(io::stderr().write_all(line.as_bytes())),
                    Sent::Flush(done) => {
                        let _ = done.send(());
                    }
                }
            }
        })?;
        Ok(Log { lines })
    }

    /// Waits, for a while, until all is written.
    pub fn flush(&self) {
        flush(&self.lines);
    }

    pub fn info(&self, text: impl AsRef<str>) {
        self.line("INFO", text.as_ref());
    }

    pub fn warn(&self, text: impl AsRef<str>) {
        self.line("WARN", text.as_ref());
    }

    fn line(&self, level: &str, text: &str) {
        // One event, one line, whoever's words are in it.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = self.lines.try_send(Sent::Line(format!("{level} {text}\n")));
    }
}

/// The outlets' threads need no more: every page of a stack is locked in memory.
pub const STACK: usize = 256 << 10;

/// Writes what happened to a file that `lb_ha::trace` plays again.
pub struct Recorder {
    lines: Option<SyncSender<Sent<Line>>>,
    log: Log,
}

impl Recorder {
    pub fn none(log: &Log) -> Recorder {
        Recorder { lines: None, log: log.clone() }
    }

    pub fn start(path: &Path, log: &Log) -> io::Result<Recorder> {
        let mut file = Record::open(path)?;
        let (lines, written) = sync_channel(ROOM);
        let told = log.clone();
        thread::Builder::new().name("record".into()).stack_size(STACK).spawn(move || {
            for sent in written {
                let line = match sent {
                    Sent::Line(line) => line,
                    Sent::Flush(done) => {
                        let _ = done.send(());
                        continue;
                    }
                };
                if let Err(error) = file.keep(&line) {
                    told.warn(format!("the record ends: {error}"));
                    return;
                }
            }
        })?;
        Ok(Recorder { lines: Some(lines), log: log.clone() })
    }

    /// Waits, for a while, until all is written.
    pub fn flush(&self) {
        self.lines.iter().for_each(flush);
    }

    /// After a line that did not fit the rest could not be played, so the record ends there.
    pub fn keep(&mut self, line: impl FnOnce() -> Line) {
        let Some(lines) = &self.lines else { return };
        match lines.try_send(Sent::Line(line())) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.log.warn("the record ends: the disk is too slow for it");
                self.lines = None;
            }
            Err(TrySendError::Disconnected(_)) => self.lines = None,
        }
    }
}

struct Record {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Record {
    fn open(path: &Path) -> io::Result<Record> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let size = file.metadata()?.len();
        Ok(Record { path: path.to_owned(), file, size })
    }

    fn keep(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        if self.size + text.len() as u64 > RECORD {
            let mut old = self.path.clone().into_os_string();
            old.push(".old");
            fs::rename(&self.path, old)?;
            *self = Record::open(&self.path)?;
        }
        self.size += text.len() as u64;
        self.file.write_all(&text)
    }
}
