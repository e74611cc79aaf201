//! Who has which place: `names.json`, replaced as a whole.
//!
//! If it is lost, the objects get places anew; what lies there under other names does not pass its checksum.

use crate::{Key, SeriesError, cell};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Seconds after which an object that is gone gives its place away: as long as the longest span, and a day.
const KEPT: u64 = 31 * 86_400;
/// The times at which objects were seen are written this often.
const WRITTEN_EVERY: u64 = 3600;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub index: usize,
    pub seed: u32,
    seen: u64,
}

#[derive(Debug)]
pub struct Names {
    path: PathBuf,
    limit: usize,
    places: BTreeMap<Key, Place>,
    free: BTreeSet<usize>,
    /// The file says something else; `written` is when it was last told.
    changed: bool,
    written: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key: Key,
    place: usize,
    seen: u64,
}

impl Names {
    pub fn open(dir: &Path, limit: usize) -> Result<Self, SeriesError> {
        let path = dir.join("names.json");
        let entries = match fs::read(&path) {
            // Unreadable text is like none: the history begins anew.
            Ok(text) => serde_json::from_slice::<Vec<Entry>>(&text).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(SeriesError::io("reading", &path)(error)),
        };
        let mut free: BTreeSet<usize> = (0..limit).collect();
        let mut places = BTreeMap::new();
        for Entry { key, place, seen } in entries {
            if !places.contains_key(&key) && free.remove(&place) {
                let seed = cell::seed(&key.to_string());
                places.insert(key, Place { index: place, seed, seen });
            }
        }
        Ok(Names { path, limit, places, free, changed: false, written: 0 })
    }

    /// Notes who is there at `now`, forgets who has long been gone, and gives places to who is new.
    /// Answers how many found none.
    pub fn see(&mut self, now: u64, present: &BTreeSet<&Key>) -> usize {
        for (key, place) in &mut self.places {
            // A time to come is left from a clock that was wrong.
            place.seen = if present.contains(key) { now } else { place.seen.min(now) };
        }
        let before = self.places.len();
        self.places.retain(|_, place| now - place.seen <= KEPT);
        if self.places.len() != before {
            self.changed = true;
            let taken: BTreeSet<usize> = self.places.values().map(|p| p.index).collect();
            self.free = (0..self.limit).filter(|index| !taken.contains(index)).collect();
        }
        let mut without = 0;
        for &key in present {
            if self.places.contains_key(key) {
                continue;
            }
            match self.free.pop_first() {
                Some(index) => {
                    let seed = cell::seed(&key.to_string());
                    self.places.insert(key.clone(), Place { index, seed, seen: now });
                    self.changed = true;
                }
                None => without += 1,
            }
        }
        without
    }

    /// Brings the file up to date when it must be.
    pub fn write(&mut self, now: u64) -> Result<(), SeriesError> {
        if !self.changed && now.abs_diff(self.written) < WRITTEN_EVERY {
            return Ok(());
        }
        let new = self.path.with_extension("new");
        self.write_to(&new).and_then(|()| fs::rename(&new, &self.path)).map_err(SeriesError::io("writing", &new))?;
        self.changed = false;
        self.written = now;
        Ok(())
    }

    fn write_to(&self, path: &Path) -> io::Result<()> {
        let entries: Vec<Entry> = self
            .places
            .iter()
            .map(|(key, place)| Entry { key: key.clone(), place: place.index, seen: place.seen })
            .collect();
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(&serde_json::to_vec(&entries)?)?;
        file.sync_all()
    }

    pub fn get(&self, key: &Key) -> Option<Place> {
        self.places.get(key).copied()
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.places.keys()
    }

    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.places.values().copied()
    }

    /// Places from 0 that any object lies in.
    pub fn used(&self) -> usize {
        self.places.values().map(|p| p.index + 1).max().unwrap_or(0)
    }
}
