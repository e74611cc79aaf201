//! At every start: what it means for an update, and whether the system may stay.

use super::{DONE, disk::Disk, look::look, running, screen, version};
use crate::{
    gate,
    install::{Machine, last},
    record::{Record, SlotName, Stage, Start},
};
use anyhow::{Context, Result};
use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Between two looks.
const POLL: Duration = Duration::from_secs(1);

/// In `rcS`, before any service, so that whoever looks first is told already.
pub fn boot() -> Result<u8> {
    let Ok(slot) = running() else { return Ok(DONE) };
    let Some(mut record) = record() else { return Ok(DONE) };
    if record.is_open() && record.started(slot, Disk.given(record.slot)?) == Start::Left {
        // First what counts: that it is not started again.
        if record.stage == Stage::Returned {
            Disk.remember(&last(record.slot)).context("telling the boot loader")?;
        }
        Disk.keep(&record).context("noting that the update did not stay")?;
    }
    if let Some(alarm) = record.alarm(version()?) {
        screen::say(&alarm)?;
    }
    Ok(DONE)
}

/// In the service `slot`: an update has `within` seconds to show that it works. A system that has shown it before is
/// never restarted for this: it serves, and an administrator is told what is wrong by other means.
pub fn gate(within: u64) -> Result<u8> {
    let Ok(slot) = running() else { return Ok(DONE) };
    let record = record().filter(|record| record.is_open() && record.slot == slot);
    let started = Instant::now();
    loop {
        let lacking = gate::lacking(&look());
        let missing = match &record {
            Some(record) => gate::against(lacking, &record.excused),
            // As long as it can be reached it is no try that failed.
            None => gate::against(lacking, &[gate::Part::Store, gate::Part::Converged, gate::Part::Heartbeat]),
        };
        match (missing, &record) {
            (None, record) => return good(slot, record.clone()),
            (Some(missing), Some(record)) if started.elapsed() >= Duration::from_secs(within) => {
                return back(slot, record.clone(), &missing, within);
            }
            _ => thread::sleep(POLL),
        }
    }
}

/// A record that cannot be read holds no system back: it is said, and there is none.
fn record() -> Option<Record> {
    Disk.record().unwrap_or_else(|error| {
        println!("update: {error:#}");
        None
    })
}

fn good(slot: SlotName, record: Option<Record>) -> Result<u8> {
    Disk.remember(&[format!("{slot}_OK=1"), format!("{slot}_TRY=0")]).context("telling the boot loader")?;
    println!("slot {slot} works");
    if let Some(mut record) = record {
        (record.stage, record.reason) = (Stage::Works, None);
        Disk.keep(&record).context("noting that the update works")?;
        println!("the update to {} stays", record.version);
    }
    Ok(DONE)
}

/// A start that came so far and did not work is not tried again: clients wait meanwhile.
fn back(slot: SlotName, mut record: Record, missing: &str, within: u64) -> Result<u8> {
    (record.stage, record.reason) = (Stage::Installed, Some(format!("{missing}, {within} s after it began")));
    println!("the update to {} goes: {missing}", record.version);
    Disk.keep(&record).context("noting why the update goes")?;
    Disk.remember(&last(slot)).context("telling the boot loader")?;
    reboot()?;
    Ok(DONE)
}

/// As a person would.
pub fn reboot() -> Result<()> {
    let status = Command::new("/sbin/reboot").status().context("starting reboot")?;
    anyhow::ensure!(status.success(), "reboot ended with {status}");
    Ok(())
}
