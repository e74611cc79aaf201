//! The lines of a file, last one first.

use std::io::{self, Read, Seek, SeekFrom};

const BLOCK: usize = 16 * 1024;
/// Bytes after which a line is taken in pieces.
const LONGEST: usize = 64 * 1024;

pub struct Backwards<R> {
    file: R,
    /// Where `buffer` begins in the file.
    at: u64,
    /// What was read and not yet given out.
    buffer: Vec<u8>,
    done: bool,
}

impl<R: Read + Seek> Backwards<R> {
    /// From the last whole line on: what has no end yet is still being written.
    pub fn new(mut file: R) -> io::Result<Self> {
        let at = file.seek(SeekFrom::End(0))?;
        let mut lines = Backwards { file, at, buffer: Vec::new(), done: false };
        while !lines.done {
            match lines.buffer.iter().rposition(|b| *b == b'\n') {
                Some(end) => {
                    lines.buffer.truncate(end);
                    break;
                }
                None => {
                    lines.buffer.clear();
                    lines.done = !lines.fill()?;
                }
            }
        }
        Ok(lines)
    }

    /// The next line towards the beginning, and where it begins.
    pub fn next_line(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        // Where the search has been already.
        let mut searched = 0;
        while !self.done {
            let unseen = self.buffer.len() - searched;
            if let Some(end) = self.buffer[..unseen].iter().rposition(|b| *b == b'\n') {
                let line = self.buffer.split_off(end + 1);
                self.buffer.truncate(end);
                return Ok(Some((self.at + end as u64 + 1, line)));
            }
            searched = self.buffer.len();
            if searched >= LONGEST {
                return Ok(Some((self.at, std::mem::take(&mut self.buffer))));
            }
            if !self.fill()? {
                self.done = true;
                return Ok(Some((0, std::mem::take(&mut self.buffer))));
            }
        }
        Ok(None)
    }

    /// Puts the block before in front; `false`: there is none.
    fn fill(&mut self) -> io::Result<bool> {
        let size = u64::min(self.at, BLOCK as u64);
        if size == 0 {
            return Ok(false);
        }
        self.at -= size;
        self.file.seek(SeekFrom::Start(self.at))?;
        let mut block = Vec::with_capacity(size as usize + self.buffer.len());
        (&mut self.file).take(size).read_to_end(&mut block)?;
        block.append(&mut self.buffer);
        self.buffer = block;
        Ok(true)
    }
}
