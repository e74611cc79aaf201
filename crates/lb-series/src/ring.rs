//! A file of rows, one for each step of time, each with a cell for every place. Row `n % rows` holds step `n`.
//!
//! Nothing is kept in memory; that a row is of the step asked for, and whole, each of its cells says for itself.

use crate::{
    SeriesError, Span,
    cell::{CELL, Cell, Form},
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The first page says what the rows are; a file that says something else begins anew.
const HEADER: u64 = 4096;

#[derive(Debug)]
pub struct Ring {
    file: File,
    path: PathBuf,
    span: Span,
    places: usize,
}

impl Ring {
    pub fn open(dir: &Path, span: Span, places: usize) -> Result<Self, SeriesError> {
        let path = dir.join(span.file());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(SeriesError::io("opening", &path))?;
        let ring = Ring { file, path, span, places };
        let title = ring.title();
        let mut found = vec![0; title.len()];
        let known = ring.file.read_exact_at(&mut found, 0).is_ok() && found == title.as_bytes();
        if !known {
            ring.begin(&title).map_err(SeriesError::io("writing", &ring.path))?;
        }
        Ok(ring)
    }

    fn title(&self) -> String {
        format!("lb-series 1: {} steps of {} s, {} places\n", self.span.steps(), self.span.step(), self.places)
    }

    fn begin(&self, title: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        (&self.file).write_all(title.as_bytes())
    }

    pub fn form(&self) -> Form {
        match self.span.finer() {
            None => Form::Exact,
            Some(_) => Form::Packed,
        }
    }

    /// Where row `n` begins.
    fn row(&self, n: u64) -> u64 {
        HEADER + n % self.span.steps() * (self.places * CELL) as u64
    }

    /// Writes the first cells of row `n` in one go.
    pub fn write(&self, n: u64, cells: &[u8]) -> Result<(), SeriesError> {
        self.file.write_all_at(cells, self.row(n)).map_err(SeriesError::io("writing", &self.path))
    }

    /// The first `places` cells of row `n`; what the file does not have is zero, which is no cell.
    pub fn read_row(&self, n: u64, places: usize) -> Vec<u8> {
        let mut row = vec![0; places.min(self.places) * CELL];
        self.read(&mut row, self.row(n));
        row
    }

    /// The cell of one place in row `n`.
    pub fn read_cell(&self, n: u64, place: usize, seed: u32) -> Option<Cell> {
        let mut bytes = [0; CELL];
        self.read(&mut bytes, self.row(n) + (place * CELL) as u64);
        Cell::decode(&bytes, self.form(), seed, n)
    }

    fn read(&self, into: &mut [u8], mut at: u64) {
        let mut rest = into;
        while !rest.is_empty() {
            match self.file.read_at(rest, at) {
                Ok(0) => return,
                Ok(n) => {
                    at += n as u64;
                    rest = &mut rest[n..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A bad sector is a gap.
                Err(_) => return,
            }
        }
    }
}
