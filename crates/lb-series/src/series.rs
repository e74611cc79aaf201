//! Recording and reading.
//!
//! A step of a coarser ring is made from the finer ring's file once it is over, so that a restart loses nothing; while
//! it is not over, reading makes it up in the same way.

use crate::{
    Key, SeriesError, Span, Values,
    cell::{CELL, Cell},
    names::{Names, Place},
    ring::Ring,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::Path,
};

/// The history of one unit.
#[derive(Debug)]
pub struct Series {
    names: Names,
    hour: Ring,
    day: Ring,
    month: Ring,
    /// When was last recorded; none since it was opened.
    last: Option<u64>,
    not_recorded: usize,
}

/// What was measured, oldest first. The value `i` of a column is that of the time `from + i * step`.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Seconds since 1970, a multiple of `step`.
    pub from: u64,
    pub step: u64,
    /// As [`crate::Column::name`].
    pub names: Vec<&'static str>,
    /// Averages over the steps; none: nothing was measured.
    pub columns: Vec<Vec<Option<f32>>>,
    /// The highest within each step. For [`Span::Hour`] equal to `columns`.
    pub peaks: Vec<Vec<Option<f32>>>,
}

impl Series {
    /// Opens or makes the history in `dir`, of at most `limit` objects. With another limit than before it begins anew.
    pub fn open(dir: &Path, limit: usize) -> Result<Self, SeriesError> {
        if !(1..=65536).contains(&limit) {
            return Err(SeriesError::Limit(limit));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(SeriesError::io("creating", dir))?;
        Ok(Series {
            names: Names::open(dir, limit)?,
            hour: Ring::open(dir, Span::Hour, limit)?,
            day: Ring::open(dir, Span::Day, limit)?,
            month: Ring::open(dir, Span::Month, limit)?,
            last: None,
            not_recorded: 0,
        })
    }

    /// Records what was measured at `now` (seconds since 1970). Of two records within a step the later one stays.
    pub fn record(&mut self, now: u64, samples: &[(Key, Values)]) -> Result<(), SeriesError> {
        let samples: BTreeMap<&Key, Values> = samples.iter().map(|(key, values)| (key, *values)).collect();
        let present: BTreeSet<&Key> = samples.keys().copied().collect();
        self.not_recorded = self.names.see(now, &present);
        self.names.write(now)?;
        self.close(Span::Day, now)?;
        self.close(Span::Month, now)?;
        let n = now / Span::Hour.step();
        let cells = samples.iter().filter_map(|(key, values)| Some((self.names.get(key)?, Cell::measured(values.0))));
        let row = row(&self.hour, n, self.names.used(), cells);
        self.hour.write(n, &row)?;
        self.last = Some(now);
        Ok(())
    }

    /// Makes the steps of `span` that are over by `now` and have not been made.
    fn close(&self, span: Span, now: u64) -> Result<(), SeriesError> {
        let Some(finer) = span.finer() else { return Ok(()) };
        let current = now / span.step();
        match self.last.map(|last| last / span.step()) {
            Some(last) if last == current => Ok(()),
            Some(last) => self.make(span, last),
            // After a restart: all that the finer ring still has, unless made before the restart.
            None => {
                let reach = finer.steps() * finer.step() / span.step();
                let missing = (current.saturating_sub(reach)..current).filter(|n| !self.made(span, *n));
                missing.into_iter().try_for_each(|n| self.make(span, n))
            }
        }
    }

    /// Makes step `n` of `span` from the finer ring.
    fn make(&self, span: Span, n: u64) -> Result<(), SeriesError> {
        let Some(finer) = span.finer() else { return Ok(()) };
        let (from, into) = (self.ring(finer), self.ring(span));
        let used = self.names.used();
        let steps = finer_steps(span, finer, n);
        let rows: Vec<(u64, Vec<u8>)> = steps.map(|fine| (fine, from.read_row(fine, used))).collect();
        let cells: Vec<(Place, Cell)> = self
            .names
            .places()
            .filter_map(|place| {
                let cells = rows.iter().filter_map(|(fine, row)| {
                    Cell::decode(row.get(place.index * CELL..)?, from.form(), place.seed, *fine)
                });
                Some((place, Cell::over(cells)?))
            })
            .collect();
        if cells.is_empty() {
            return Ok(());
        }
        into.write(n, &row(into, n, used, cells.into_iter()))
    }

    fn made(&self, span: Span, n: u64) -> bool {
        let ring = self.ring(span);
        let row = ring.read_row(n, self.names.used());
        let cell = |place: Place| Cell::decode(row.get(place.index * CELL..)?, ring.form(), place.seed, n);
        self.names.places().any(|place| cell(place).is_some())
    }

    fn ring(&self, span: Span) -> &Ring {
        match span {
            Span::Hour => &self.hour,
            Span::Day => &self.day,
            Span::Month => &self.month,
        }
    }

    /// What was measured of `key` over the span that ends with the step of `now`; none: it was never recorded.
    pub fn read(&self, key: &Key, span: Span, now: u64) -> Option<Chart> {
        let place = self.names.get(key)?;
        let current = now / span.step();
        let first = (current + 1).saturating_sub(span.steps());
        let names: Vec<&'static str> = key.columns().iter().map(|c| c.name).collect();
        let mut columns = vec![Vec::new(); names.len()];
        let mut peaks = columns.clone();
        let open = self.last.map_or(current, |last| last / span.step());
        for n in first..=current {
            let cell = match n == open {
                true => self.so_far(span, place, n),
                false => self.ring(span).read_cell(n, place.index, place.seed),
            };
            for i in 0..names.len() {
                columns[i].push(cell.map(|c| c.average[i]).filter(|v| !v.is_nan()));
                peaks[i].push(cell.map(|c| c.peak[i]).filter(|v| !v.is_nan()));
            }
        }
        Some(Chart { from: first * span.step(), step: span.step(), names, columns, peaks })
    }

    /// Step `n`, which may not be over yet.
    fn so_far(&self, span: Span, place: Place, n: u64) -> Option<Cell> {
        let Some(finer) = span.finer() else { return self.ring(span).read_cell(n, place.index, place.seed) };
        let last = self.last.map(|last| last / finer.step());
        Cell::over(finer_steps(span, finer, n).filter_map(|fine| match Some(fine) == last {
            true => self.so_far(finer, place, fine),
            false => self.ring(finer).read_cell(fine, place.index, place.seed),
        }))
    }

    /// All objects that have a history, also those that have been gone for less than 31 days.
    pub fn keys(&self) -> Vec<Key> {
        self.names.keys().cloned().collect()
    }

    /// Objects of the last record for which there was no room.
    pub fn not_recorded(&self) -> usize {
        self.not_recorded
    }
}

/// The steps of `finer` that make up step `n` of `span`.
fn finer_steps(span: Span, finer: Span, n: u64) -> std::ops::Range<u64> {
    let each = span.step() / finer.step();
    n * each..(n + 1) * each
}

/// The first `used` cells of a row; those not given are zero, which is no cell.
fn row(ring: &Ring, n: u64, used: usize, cells: impl Iterator<Item = (Place, Cell)>) -> Vec<u8> {
    let mut row = vec![0; used * CELL];
    for (place, cell) in cells {
        let bytes = cell.encode(ring.form(), place.seed, n);
        row[place.index * CELL..][..CELL].copy_from_slice(&bytes);
    }
    row
}
