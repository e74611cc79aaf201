//! A disk image with a volatile write cache.
//!
//! The file is what survives a cut. Writes go into the cache, which reads see; FLUSH empties it
//! into the file; a FUA write goes to the file at once.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Random;

/// What a cut keeps or drops as one piece: what disks write as one.
pub const PIECE: usize = 4096;

/// What becomes of the cache when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All of it reaches the disk: only the machine died.
    Keep,
    /// None of it does.
    Drop,
    /// Each piece of each write does or does not, by this seed.
    Random(u64),
}

#[derive(Debug)]
struct Write {
    at: u64,
    data: Vec<u8>,
    /// In the file already; stays in line, so that an older write does not bury it at a flush.
    durable: bool,
}

#[derive(Debug)]
pub struct Disk {
    file: File,
    size: u64,
    cache: Vec<Write>,
    /// The cache's newest state by piece, for reads.
    newest: HashMap<u64, Box<[u8]>>,
    epoch: u64,
    fuse: Option<Fuse>,
    /// The fuse has blown, with so many writes in the cache: nothing is served until the next [`Disk::cut`].
    blown: Option<usize>,
    pub flushes: u64,
}

/// Cuts by itself when so many further writes and flushes have come: exact where a hand on the switch is too slow.
#[derive(Debug, Clone, Copy)]
pub struct Fuse {
    /// 1: the next one is the first that is lost.
    pub requests: u32,
    pub mode: Mode,
}

impl Disk {
    /// The image must exist; its length is the disk's size, a multiple of [`PIECE`].
    pub fn new(path: &Path) -> io::Result<Disk> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let size = file.metadata()?.len();
        if size == 0 || size % PIECE as u64 != 0 {
            return Err(io::Error::other("the image's size is no multiple of 4096"));
        }
        Ok(Disk {
            file,
            size,
            cache: Vec::new(),
            newest: HashMap::new(),
            epoch: 0,
            fuse: None,
            blown: None,
            flushes: 0,
        })
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Grows with each cut: a connection from before must not write any more.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    fn check(&self, at: u64, length: usize) -> io::Result<()> {
        match at.checked_add(length as u64) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        }
    }

    pub fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.check(at, into.len())?;
        self.file.read_exact_at(into, at)?;
        for (piece, start, range) in pieces(at, into.len()) {
            if let Some(data) = self.newest.get(&piece) {
                let length = range.len();
                into[range].copy_from_slice(&data[start..start + length]);
            }
        }
        Ok(())
    }

    /// `fua`: durable on return (NBD_CMD_FLAG_FUA).
    pub fn write(&mut self, at: u64, data: &[u8], fua: bool) -> io::Result<()> {
        self.check(at, data.len())?;
        self.burn()?;
        for (piece, start, range) in pieces(at, data.len()) {
            if !self.newest.contains_key(&piece) {
                let mut old = vec![0; PIECE];
                self.file.read_exact_at(&mut old, piece * PIECE as u64)?;
                self.newest.insert(piece, old.into_boxed_slice());
            }
            if let Some(newest) = self.newest.get_mut(&piece) {
                newest[start..start + range.len()].copy_from_slice(&data[range]);
            }
        }
        if fua {
            self.file.write_all_at(data, at)?;
        }
        self.cache.push(Write { at, data: data.to_vec(), durable: fua });
        Ok(())
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.burn()?;
        self.flushes += 1;
        self.empty_cache(|_, _| true)
    }

    pub fn arm(&mut self, fuse: Fuse) {
        self.fuse = Some(fuse);
    }

    /// The fuse has blown; [`Disk::cut`] brings the power back.
    pub fn is_off(&self) -> bool {
        self.blown.is_some()
    }

    fn burn(&mut self) -> io::Result<()> {
        match &mut self.fuse {
            Some(fuse) if fuse.requests <= 1 => {
                let mode = fuse.mode;
                self.blown = Some(self.cut(mode)?);
                Err(io::Error::other("the power is off"))
            }
            Some(fuse) => {
                fuse.requests -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The power goes. Returns how many writes were in the cache. Kill the guest first: what it
    /// writes afterwards on an old connection is refused. After a blown fuse this only brings the power back.
    pub fn cut(&mut self, mode: Mode) -> io::Result<usize> {
        self.fuse = None;
        if let Some(waiting) = self.blown.take() {
            return Ok(waiting);
        }
        let waiting = self.cache.iter().filter(|write| !write.durable).count();
        self.epoch += 1;
        match mode {
            Mode::Keep => self.empty_cache(|_, _| true)?,
            Mode::Drop => self.empty_cache(|write, _| write.durable)?,
            Mode::Random(seed) => {
                let mut random = Random::new(seed);
                self.empty_cache(|write, _| write.durable || random.below(2) == 0)?;
            }
        }
        Ok(waiting)
    }

    fn empty_cache(&mut self, mut keep: impl FnMut(&Write, usize) -> bool) -> io::Result<()> {
        for write in std::mem::take(&mut self.cache) {
            for (_, _, range) in pieces(write.at, write.data.len()) {
                if keep(&write, range.start) {
                    self.file.write_all_at(&write.data[range.clone()], write.at + range.start as u64)?;
                }
            }
        }
        self.newest.clear();
        Ok(())
    }
}

/// The pieces that `at..at + length` touches: number, offset in the piece, range of the buffer.
fn pieces(at: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= length {
            return None;
        }
        let position = at + done as u64;
        let start = usize::try_from(position % PIECE as u64).unwrap_or(0);
        let end = (done + PIECE - start).min(length);
        let item = (position / PIECE as u64, start, done..end);
        done = end;
        Some(item)
    })
}
