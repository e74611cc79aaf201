//! A root file system in memory: busybox, kernel modules, a program and the libraries it needs.
//!
//! Written as a newc archive (Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
    folders: BTreeSet<String>,
}

impl Archive {
    fn entry(&mut self, name: &str, mode: u32, rdev: (u32, u32), data: &[u8]) {
        self.inode += 1;
        let fields = [
            self.inode,
            mode,
            0,
            0,
            1,
            0,
            u32::try_from(data.len()).unwrap_or(0),
            0,
            0,
            rdev.0,
            rdev.1,
            u32::try_from(name.len() + 1).unwrap_or(0),
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(data);
        self.pad();
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }

    /// A folder and those above it.
    pub fn folder(&mut self, name: &str) {
        let mut path = String::new();
        for part in name.split('/').filter(|part| !part.is_empty()) {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(part);
            if self.folders.insert(path.clone()) {
                self.entry(&path.clone(), 0o040_755, (0, 0), &[]);
            }
        }
    }

    /// A file, executable; `name` without a leading slash.
    pub fn file(&mut self, name: &str, data: &[u8]) {
        if let Some((folder, _)) = name.rsplit_once('/') {
            self.folder(folder);
        }
        self.entry(name, 0o100_755, (0, 0), data);
    }

    pub fn device(&mut self, name: &str, major: u32, minor: u32) {
        if let Some((folder, _)) = name.rsplit_once('/') {
            self.folder(folder);
        }
        self.entry(name, 0o020_600, (major, minor), &[]);
    }

    /// A program of this machine with the shared libraries that it loads, at the same paths.
    pub fn program(&mut self, name: &str, path: &Path) -> anyhow::Result<()> {
        self.file(name, &fs::read(path).with_context(|| path.display().to_string())?);
        for library in libraries(path)? {
            let inside = library.to_string_lossy().trim_start_matches('/').to_owned();
            self.file(&inside, &fs::read(&library)?);
        }
        Ok(())
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }
}

fn libraries(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let out = Command::new("ldd").arg(program).output().context("ldd")?;
    // A static program is no error: ldd says so and leaves with 1.
    let text = String::from_utf8_lossy(&out.stdout);
    if text.contains("not found") {
        bail!("{}: {text}", program.display());
    }
    Ok(text
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect())
}
