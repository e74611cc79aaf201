//! Partitions by their names, the boot loader's memory, the record.

use crate::{
    install::{Machine, Place},
    record::{Given, Record, SlotName},
};
use anyhow::{Context, Result, bail};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// Reads and writes what the boot loader remembers.
const BOOT_ENV: &str = "/usr/lib/steelyard/boot-env";
const RECORD: &str = "/data/update/last.json";
const BLOCKS: &str = "/sys/class/block";
/// The kernel counts in these, whatever the disk has (Documentation/ABI/stable/sysfs-block, `size`).
const SECTOR: u64 = 512;

/// A slot's partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub device: PathBuf,
    /// Bytes.
    pub size: u64,
}

pub fn part(slot: SlotName) -> Result<Part> {
    part_below(Path::new(BLOCKS), slot)
}

/// The only partition of that name: with a second disk of ours in the unit nobody can tell which one is meant.
fn part_below(blocks: &Path, slot: SlotName) -> Result<Part> {
    let name = slot.partition();
    let mut found = Vec::new();
    for entry in fs::read_dir(blocks).context("looking for partitions")? {
        let folder = entry.context("looking for partitions")?.path();
        let about = fs::read_to_string(folder.join("uevent")).unwrap_or_default();
        let value = |key: &str| about.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        if let (Some(true), Some(device)) = (value("PARTNAME").map(|found| found == name), value("DEVNAME")) {
            let sectors = fs::read_to_string(folder.join("size")).context("reading a partition's size")?;
            let sectors: u64 = sectors.trim().parse().context("a partition's size is no number")?;
            found.push(Part { device: Path::new("/dev").join(device), size: sectors * SECTOR });
        }
    }
    match found.len() {
        0 => bail!("no disk has a partition {name}"),
        1 => Ok(found.remove(0)),
        _ => bail!("several disks have a partition {name}. hint: remove the other disk, and try again"),
    }
}

/// This unit's.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Disk {
    /// Of the last update; none was ever installed, or factory settings took it away.
    pub fn record(self) -> Result<Option<Record>> {
        match fs::read(RECORD) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("{RECORD} cannot be read"))?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{RECORD} cannot be read")),
        }
    }

    /// What the boot loader remembers under `name`; empty: nothing.
    pub fn remembered(self, name: &str) -> Result<String> {
        let output = Command::new(BOOT_ENV).args(["get", name]).output().context("starting boot-env")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    pub fn given(self, slot: SlotName) -> Result<Given> {
        Ok(Given {
            ok: self.remembered(&format!("{slot}_OK"))? == "1",
            spent: self.remembered(&format!("{slot}_TRY"))? == "3",
            first: self.remembered("ORDER")?.starts_with(&slot.to_string()),
        })
    }
}

impl Machine for Disk {
    type Place = File;

    fn remember(&mut self, words: &[String]) -> io::Result<()> {
        let output = Command::new(BOOT_ENV).arg("set").args(words).output()?;
        match output.status.success() {
            true => Ok(()),
            false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        }
    }

    fn keep(&mut self, record: &Record) -> io::Result<()> {
        replace(Path::new(RECORD), &serde_json::to_vec_pretty(record)?)
    }

    fn open(&mut self, slot: SlotName) -> io::Result<File> {
        let part = part(slot).map_err(|error| io::Error::other(format!("{error:#}")))?;
        OpenOptions::new().read(true).write(true).open(part.device)
    }
}

impl Place for File {
    fn settle(&mut self) -> io::Result<()> {
        self.sync_all()?;
        // What is clean now is forgotten, and read from the disk again (posix_fadvise(2)).
        Ok(posix_fadvise(&*self, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
    }
}

/// All of it or what was there before, also after a power cut.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(folder: &Path, name: &str, about: &str, sectors: &str) -> io::Result<()> {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("uevent"), about)?;
        fs::write(folder.join("size"), sectors)
    }

    #[test]
    fn a_slot_is_found_by_its_name_and_only_when_there_is_one() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let blocks = folder.path();
        block(blocks, "vda", "MAJOR=254\nDEVNAME=vda\nDEVTYPE=disk\n", "4194304\n")?;
        block(blocks, "vda3", "DEVNAME=vda3\nDEVTYPE=partition\nPARTN=3\nPARTNAME=rootA\n", "196608\n")?;
        assert!(part_below(blocks, SlotName::B).is_err_and(|error| error.to_string().contains("rootB")));
        block(blocks, "vda4", "DEVNAME=vda4\nDEVTYPE=partition\nPARTN=4\nPARTNAME=rootB\n", "196608\n")?;
        let part = part_below(blocks, SlotName::B)?;
        assert_eq!(part, Part { device: "/dev/vda4".into(), size: 96 << 20 });
        block(blocks, "sda4", "DEVNAME=sda4\nDEVTYPE=partition\nPARTN=4\nPARTNAME=rootB\n", "196608\n")?;
        assert!(part_below(blocks, SlotName::B).is_err_and(|error| error.to_string().contains("several disks")));
        Ok(())
    }

    #[test]
    fn a_record_is_replaced_whole() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("update/last.json");
        replace(&file, b"one")?;
        replace(&file, b"two")?;
        assert_eq!(fs::read(&file)?, b"two");
        assert!(!file.with_extension("new").exists());
        Ok(())
    }
}
