//! Keeps lines as svlogd would, where there is none.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// What the image's `log-service` tells svlogd.
const SIZE: u64 = 500_000;
const FILES: usize = 5;

pub struct Keeper {
    dir: PathBuf,
    current: File,
    size: u64,
}

impl Keeper {
    /// lbd's own log below `dir`.
    pub fn open(dir: &Path) -> io::Result<Keeper> {
        let dir = dir.join(super::OWN);
        fs::create_dir_all(&dir)?;
        let current = OpenOptions::new().create(true).append(true).open(dir.join("current"))?;
        let size = current.metadata()?.len();
        Ok(Keeper { dir, current, size })
    }

    /// `line` ends with a line feed.
    pub fn keep(&mut self, line: &[u8]) -> io::Result<()> {
        let now = jiff::Timestamp::now();
        if self.size > SIZE {
            self.begin_another(now)?;
        }
        let mut stamped = now.strftime("%Y-%m-%d_%H:%M:%S.%5f ").to_string().into_bytes();
        stamped.extend_from_slice(line);
        self.size += stamped.len() as u64;
        self.current.write_all(&stamped)
    }

    fn begin_another(&mut self, now: jiff::Timestamp) -> io::Result<()> {
        // TAI64N: 2^62 and the seconds, then the nanoseconds, so that names sort by time.
        let label =
            format!("@{:016x}{:08x}.s", (1_u64 << 62) + now.as_second().unsigned_abs() + 10, now.subsec_nanosecond());
        fs::rename(self.dir.join("current"), self.dir.join(label))?;
        self.current = File::create(self.dir.join("current"))?;
        self.size = 0;
        let names = fs::read_dir(&self.dir)?.filter_map(|e| Some(e.ok()?.file_name()));
        let mut older: Vec<_> = names.filter(|n| n.as_encoded_bytes().starts_with(b"@")).collect();
        older.sort();
        for old in older.iter().rev().skip(FILES - 1) {
            fs::remove_file(self.dir.join(old))?;
        }
        Ok(())
    }
}
