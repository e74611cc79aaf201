//! Which IPVS services are ours, across restarts: the kernel does not keep who made one.
//!
//! An append-only file of lines `+tcp 10.0.0.1:80` and `-mark 5 ipv4` below `/run`, so that it is gone when
//! the kernel's table is. A service is written down before it is added and struck out after it was
//! removed: killed in between, we own a service that is not there, which is harmless. One write a batch.

use super::files;
use lb_model::{Family, Protocol};
use lb_plan::ServiceKey;
use std::{
    collections::HashSet,
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
};

pub(super) struct Journal {
    path: PathBuf,
    file: File,
    keys: HashSet<ServiceKey>,
    /// Lines in the file; when most of them are history it is written anew.
    lines: usize,
}

impl Journal {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let keys = replay(&text);
        let file = rewrite(&path, &keys)?;
        let lines = keys.len();
        Ok(Journal { path, file, keys, lines })
    }

    pub(super) fn contains(&self, key: &ServiceKey) -> bool {
        self.keys.contains(key)
    }

    /// Must be on file before the services are added.
    pub(super) fn add<'a>(&mut self, keys: impl Iterator<Item = &'a ServiceKey>) -> io::Result<()> {
        let mut text = String::new();
        for key in keys.filter(|k| !self.keys.contains(k)) {
            // Cannot fail: a String grows.
            let _ = writeln!(text, "+{key}");
        }
        self.append(&text)
    }

    pub(super) fn remove<'a>(&mut self, keys: impl Iterator<Item = &'a ServiceKey>) -> io::Result<()> {
        let mut text = String::new();
        for key in keys.filter(|k| self.keys.contains(k)) {
            let _ = writeln!(text, "-{key}");
        }
        self.append(&text)
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.file.write_all(text.as_bytes())?;
        for line in text.lines() {
            apply(&mut self.keys, line);
            self.lines += 1;
        }
        if self.lines > 64 && self.lines > 4 * self.keys.len() {
            self.file = rewrite(&self.path, &self.keys)?;
            self.lines = self.keys.len();
        }
        Ok(())
    }
}

fn rewrite(path: &Path, keys: &HashSet<ServiceKey>) -> io::Result<File> {
    let text: String = keys.iter().map(|key| format!("+{key}\n")).collect();
    files::replace(path, &text)?;
    OpenOptions::new().append(true).open(path)
}

fn replay(text: &str) -> HashSet<ServiceKey> {
    let mut keys = HashSet::new();
    for line in text.split_inclusive('\n') {
        // A last line without its end was cut off before what it announces was done.
        if let Some(line) = line.strip_suffix('\n') {
            apply(&mut keys, line);
        }
    }
    keys
}

fn apply(keys: &mut HashSet<ServiceKey>, line: &str) {
    let Some((sign, key)) = line.split_at_checked(1) else { return };
    match (sign, parse(key)) {
        ("+", Some(key)) => {
            keys.insert(key);
        }
        ("-", Some(key)) => {
            keys.remove(&key);
        }
        _ => {}
    }
}

/// The reverse of [`ServiceKey`]'s text.
fn parse(text: &str) -> Option<ServiceKey> {
    let (first, rest) = text.split_once(' ')?;
    if first == "mark" {
        let (mark, family) = rest.split_once(' ')?;
        return Some(ServiceKey::Mark { mark: mark.parse().ok()?, family: family.parse::<Family>().ok()? });
    }
    let address: SocketAddr = rest.parse().ok()?;
    Some(ServiceKey::Address { protocol: first.parse::<Protocol>().ok()?, address: address.ip(), port: address.port() })
}

#[cfg(test)]
mod tests;
