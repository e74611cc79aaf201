//! How a bundle gets into the idle slot, so that a power cut at any moment leaves a system that starts.
//!
//! ```text
//!  examine   head signed? fits? as long as it says? hash of all of it      nothing is written yet
//!  install   record: writing
//!            boot loader: the idle slot is not OK, the running one is first
//!            slot: unpacked into it, flushed, read back from the disk, hash again
//!            boot loader: the idle slot is first, OK, not tried             one write: the switch
//!            record: installed
//! ```
//!
//! Tested with a machine in memory whose power is cut before every single step.

use crate::{
    bundle::{self, Head},
    keys::PublicKey,
    manifest::{Here, Manifest, Refusal},
    record::{Record, SlotName, Stage},
};
use ruzstd::decoding::StreamingDecoder;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// A slot that is being filled.
pub trait Place: Read + Write + Seek {
    /// All that was written is on the disk, and what is read next comes from there.
    fn settle(&mut self) -> io::Result<()>;
}

/// What it is done with.
pub trait Machine {
    type Place: Place;

    /// Makes the boot loader remember `NAME=VALUE`s, all or none.
    fn remember(&mut self, words: &[String]) -> io::Result<()>;
    /// Keeps the record through a power cut.
    fn keep(&mut self, record: &Record) -> io::Result<()>;
    fn open(&mut self, slot: SlotName) -> io::Result<Self::Place>;
}

/// Why a bundle is not installed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Before anything was written.
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the bundle cannot be read: {0}")]
    Bundle(io::Error),
    #[error("slot {0} cannot be written: {1}")]
    Slot(SlotName, io::Error),
    #[error("slot {0} does not give back what was written to it. hint: the disk is failing: back up, and replace it")]
    Medium(SlotName),
    #[error("the boot loader cannot be told: {0}")]
    BootLoader(io::Error),
    #[error("it cannot be noted on the data partition: {0}. hint: is it full (df /data)?")]
    Record(io::Error),
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Checking,
    Writing,
    Reading,
}

/// Told of bytes done, and of how many.
pub type Progress<'a> = &'a mut dyn FnMut(Step, u64, u64);

/// Whether the bundle, `length` bytes long, may be installed; writes nothing.
pub fn examine(
    file: &mut (impl Read + Seek),
    length: u64,
    keys: &[PublicKey],
    here: &Here,
    downgrade: bool,
    progress: Progress<'_>,
) -> Result<Head, Failure> {
    let head = inspect(file, length, keys, here, downgrade)?;
    file.seek(SeekFrom::Start(head.payload_at)).map_err(Failure::Bundle)?;
    let size = head.manifest.packed.size;
    let (hash, read) = read_through(file, size, Step::Checking, progress).map_err(Failure::Bundle)?;
    if read < size {
        return Err(Refusal::Truncated { found: head.payload_at + read, wanted: head.payload_at + size }.into());
    }
    match hash == head.manifest.packed.sha256 {
        true => Ok(head),
        false => Err(Refusal::Damaged.into()),
    }
}

/// The part of [`examine`] that takes no time: the head, and whether there is as much behind it as it says.
pub fn inspect(
    file: &mut (impl Read + Seek),
    length: u64,
    keys: &[PublicKey],
    here: &Here,
    downgrade: bool,
) -> Result<Head, Failure> {
    file.seek(SeekFrom::Start(0)).map_err(Failure::Bundle)?;
    let head = bundle::read_head(&mut *file, keys).map_err(Failure::Bundle)??;
    head.manifest.may_follow(here, downgrade)?;
    let wanted = head.payload_at + head.manifest.packed.size;
    if length < wanted {
        return Err(Refusal::Truncated { found: length, wanted }.into());
    }
    if length > wanted {
        return Err(Refusal::TooLong { found: length, wanted }.into());
    }
    Ok(head)
}

/// Writes what was examined to `record.slot`, and makes it the next start's. The record given is kept with how it went.
pub fn install<M: Machine>(
    machine: &mut M,
    file: &mut (impl Read + Seek),
    head: &Head,
    record: &mut Record,
    progress: Progress<'_>,
) -> Result<(), Failure> {
    let slot = record.slot;
    record.stage = Stage::Writing;
    machine.keep(record).map_err(Failure::Record)?;
    let filled = mark(machine, slot, false).and_then(|()| fill(machine, file, head, slot, progress));
    if let Err(failure) = filled.and_then(|()| mark(machine, slot, true)) {
        record.stage = Stage::Interrupted;
        record.reason = Some(failure.to_string());
        // The failure is what is told; that it could not be kept either adds nothing.
        let _ = machine.keep(record);
        return Err(failure);
    }
    record.stage = Stage::Installed;
    machine.keep(record).map_err(Failure::Record)
}

/// Tells the boot loader that `slot` has nothing to start, or that it is the next one to be started.
fn mark(machine: &mut impl Machine, slot: SlotName, good: bool) -> Result<(), Failure> {
    let words = if good { first(slot) } else { last(slot) };
    machine.remember(&words).map_err(Failure::BootLoader)
}

/// `slot` is started first, and has its three tries.
pub fn first(slot: SlotName) -> Vec<String> {
    vec![format!("ORDER={slot} {}", slot.other()), format!("{slot}_OK=1"), format!("{slot}_TRY=0")]
}

/// `slot` is not started.
pub fn last(slot: SlotName) -> Vec<String> {
    vec![format!("ORDER={} {slot}", slot.other()), format!("{slot}_OK=0")]
}

fn fill<M: Machine>(
    machine: &mut M,
    file: &mut (impl Read + Seek),
    head: &Head,
    slot: SlotName,
    progress: Progress<'_>,
) -> Result<(), Failure> {
    let failed = |error| Failure::Slot(slot, error);
    let size = head.manifest.size;
    let mut place = machine.open(slot).map_err(failed)?;
    place.seek(SeekFrom::Start(0)).map_err(failed)?;
    unpack(file, head, |bytes| place.write_all(bytes).map_err(failed), |done| progress(Step::Writing, done, size))?;
    place.settle().map_err(failed)?;
    place.seek(SeekFrom::Start(0)).map_err(failed)?;
    let (hash, read) = read_through(&mut place, size, Step::Reading, progress).map_err(failed)?;
    match read == size && hash == head.manifest.sha256 {
        true => Ok(()),
        false => Err(Failure::Medium(slot)),
    }
}

/// [`bundle::hash`], with how far it is.
fn read_through(reader: &mut impl Read, size: u64, step: Step, progress: Progress<'_>) -> io::Result<(String, u64)> {
    let mut done = 0;
    bundle::hash(reader, size, |bytes| {
        done += bytes.len() as u64;
        progress(step, done, size);
        Ok(())
    })
}

/// Gives the payload, unpacked, to `each`, and compares its hash.
fn unpack(
    file: &mut (impl Read + Seek),
    head: &Head,
    mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
    mut told: impl FnMut(u64),
) -> Result<(), Failure> {
    let Manifest { size, sha256, packed, .. } = &head.manifest;
    file.seek(SeekFrom::Start(head.payload_at)).map_err(Failure::Bundle)?;
    let damaged = |_| Failure::Refused(Refusal::Damaged);
    let mut unpacked = StreamingDecoder::new(file.take(packed.size)).map_err(damaged)?;
    let mut failure = None;
    let mut done = 0;
    let hashed = bundle::hash(&mut unpacked, *size, |bytes| {
        each(bytes).map_err(|why| {
            failure = Some(why);
            io::Error::other("not taken")
        })?;
        done += bytes.len() as u64;
        told(done);
        Ok(())
    });
    match (failure, hashed) {
        (Some(why), _) => Err(why),
        (None, Err(why)) => Err(Failure::Bundle(why)),
        (None, Ok((hash, read))) if read == *size && hash == *sha256 => Ok(()),
        (None, Ok(_)) => Err(Refusal::Damaged.into()),
    }
}

#[cfg(test)]
mod tests;
