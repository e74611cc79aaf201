//! What is in both slots, and what became of the last update.

use super::{DONE, disk, disk::Disk, running, version};
use crate::{
    manifest::Version,
    record::{Record, SlotName},
};
use anyhow::{Context, Result};
use jiff::Timestamp;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde::Serialize;
use std::fs;

/// Where the idle slot is mounted while it is looked at.
const LOOK: &str = "/run/lbupdate";

#[derive(Debug, Serialize)]
struct Slot {
    slot: SlotName,
    /// `None`: there is no system in it.
    version: Option<Version>,
    /// The boot loader may start it.
    startable: bool,
}

#[derive(Debug, Serialize)]
struct View {
    running: Slot,
    other: Slot,
    last: Option<Record>,
}

pub fn print(json: bool) -> Result<u8> {
    let slot = running()?;
    let idle = slot.other();
    let startable = |slot| Disk.given(slot).map(|given| given.ok && !given.spent);
    let view = View {
        running: Slot { slot, version: Some(version()?), startable: startable(slot)? },
        other: Slot { slot: idle, version: version_of(idle)?, startable: startable(idle)? },
        last: Disk.record()?,
    };
    if json {
        println!("{:#}", serde_json::to_value(&view)?);
    } else {
        print!("{}", text(&view));
    }
    Ok(DONE)
}

fn text(view: &View) -> String {
    let version = |slot: &Slot| slot.version.map_or_else(|| "empty".to_owned(), |version| version.to_string());
    let mark = if view.other.startable || view.other.version.is_none() { "" } else { "  is not started" };
    let mut text = format!("slot {}  {}  runs\n", view.running.slot, version(&view.running));
    text += &format!("slot {}  {}{mark}\n", view.other.slot, version(&view.other));
    match &view.last {
        None => text + "No update was installed since the factory settings.\n",
        Some(last) => {
            let second = i64::try_from(last.time).ok().and_then(|time| Timestamp::from_second(time).ok());
            let when = second.map(|time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()).unwrap_or_default();
            text + &format!(
                "The update from {} to {} in slot {} ({when}, by {}) {}.\n",
                last.from,
                last.version,
                last.slot,
                last.by,
                last.outcome()
            )
        }
    }
}

/// The slot itself says it: `VERSION_ID` of its `/etc/os-release`. What does not mount is no system.
pub fn version_of(slot: SlotName) -> Result<Option<Version>> {
    let part = disk::part(slot)?;
    fs::create_dir_all(LOOK).with_context(|| format!("making {LOOK}"))?;
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    if mount(Some(&part.device), LOOK, Some("squashfs"), flags, None::<&str>).is_err() {
        return Ok(None);
    }
    let text = fs::read_to_string(format!("{LOOK}/etc/os-release")).unwrap_or_default();
    umount2(LOOK, MntFlags::MNT_DETACH).with_context(|| format!("unmounting {LOOK}"))?;
    Ok(version_in(&text))
}

/// `VERSION_ID` of an os-release(5).
pub fn version_in(text: &str) -> Option<Version> {
    text.lines().find_map(|line| line.strip_prefix("VERSION_ID=")?.trim_matches('"').parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Stage;

    #[test]
    fn a_version_is_read_off_os_release() {
        assert_eq!(version_in("ID=steelyard\nVERSION_ID=0.1.0\n"), Some(Version(0, 1, 0)));
        assert_eq!(version_in("VERSION_ID=\"1.2.3\"\n"), Some(Version(1, 2, 3)));
        assert_eq!(version_in("VERSION=1.2.3\n"), None);
    }

    #[test]
    fn an_update_that_came_back_is_told_in_words() {
        let last = Record {
            slot: SlotName::B,
            version: Version(0, 2, 0),
            from: Version(0, 1, 0),
            by: "root".into(),
            time: 1_800_000_000,
            stage: Stage::Returned,
            reason: Some("lbd does not answer".into()),
            excused: Vec::new(),
            acknowledged: false,
        };
        let slot = |slot, version, startable| Slot { slot, version: Some(version), startable };
        let view = View {
            running: slot(SlotName::A, last.from, true),
            other: slot(SlotName::B, last.version, false),
            last: Some(last),
        };
        assert_eq!(
            text(&view),
            "slot A  0.1.0  runs\nslot B  0.2.0  is not started\nThe update from 0.1.0 to 0.2.0 in slot B \
             (2027-01-15 08:00:00 UTC, by root) did not stay: lbd does not answer.\n"
        );
        let empty = View {
            running: slot(SlotName::A, Version(0, 1, 0), true),
            other: Slot { slot: SlotName::B, version: None, startable: false },
            last: None,
        };
        assert_eq!(
            text(&empty),
            "slot A  0.1.0  runs\nslot B  empty\nNo update was installed since the factory settings.\n"
        );
    }
}
