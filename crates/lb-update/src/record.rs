//! What became of the last update: one small file on the data partition, and what a start means for it. Pure.
//!
//! ```text
//!            written, not yet switched         the slot is the next start's
//!  install ----> Writing ------------------------> Installed
//!                   |                                |      \  started from it, all works
//!                   | started from the other slot,   |       +------------------------------> Works
//!                   v it was never switched          |
//!              Interrupted                           |  started from the other slot, as this one is given up
//!                                                    +--------------------------------------> Returned, with a reason
//! ```
//!
//! A power cut between the switch and its record leaves `Writing`: from the new slot it counts as `Installed`.

use crate::{gate::Part, manifest::Version};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlotName {
    A,
    B,
}

impl SlotName {
    pub fn other(self) -> SlotName {
        match self {
            SlotName::A => SlotName::B,
            SlotName::B => SlotName::A,
        }
    }

    /// The name of its partition (`image/genimage.cfg`).
    pub fn partition(self) -> &'static str {
        match self {
            SlotName::A => "rootA",
            SlotName::B => "rootB",
        }
    }

    /// Off the kernel's command line: `lb.slot=A`, as the boot loader writes it.
    pub fn running(command_line: &str) -> Option<SlotName> {
        command_line.split_ascii_whitespace().find_map(|word| match word {
            "lb.slot=A" => Some(SlotName::A),
            "lb.slot=B" => Some(SlotName::B),
            _ => None,
        })
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SlotName::A => "A",
            SlotName::B => "B",
        })
    }
}

/// How far an update is: see the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Writing,
    Installed,
    Works,
    Returned,
    Interrupted,
}

/// The last update. A version that came later may have written more into it: that is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub slot: SlotName,
    pub version: Version,
    /// What ran when it was installed.
    pub from: Version,
    /// Who asked for it.
    pub by: String,
    /// When it was installed, seconds since 1970 (UTC).
    pub time: u64,
    pub stage: Stage,
    /// Why it did not stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What did not work before it either: that is not asked of it.
    #[serde(default)]
    pub excused: Vec<Part>,
    /// Somebody has read that it did not stay.
    #[serde(default)]
    pub acknowledged: bool,
}

/// The boot loader's word on a slot (`X_OK`, `X_TRY`, `ORDER`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// There is a system that may be started.
    pub ok: bool,
    /// Its tries are used up.
    pub spent: bool,
    /// It is the one that is started first.
    pub first: bool,
}

/// What a start means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// No update is on its way.
    Ordinary,
    /// The update runs, and must show that it works.
    Probation,
    /// It is installed and may yet be started.
    Waiting,
    /// It was left: the record says so now.
    Left,
}

/// Why the system in the other slot is not made the next start's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoWayBack {
    #[error(
        "the running system is an update that has yet to show that it works; it goes back by itself if it does not. \
         hint: wait until lbctl update status says that it works"
    )]
    Probation,
    #[error("the next start is from the other slot already. hint: restart the unit")]
    Already,
    #[error("there is no system in the other slot. hint: install one: lbctl update install")]
    Empty,
    #[error("the system in the other slot did not work, and is not started. hint: install one: lbctl update install")]
    NotStartable,
}

/// Whether the unit may go back to the system in the other slot. Once there it has to show that it works as an update
/// has to: it may be older than the configuration.
pub fn may_go_back(
    before: Option<&Record>,
    running: SlotName,
    system: Option<Version>,
    of_the_other: Given,
) -> Result<Version, NoWayBack> {
    match before {
        Some(record) if record.is_open() && record.slot == running => return Err(NoWayBack::Probation),
        Some(record) if record.is_open() && of_the_other.ok && !of_the_other.spent => return Err(NoWayBack::Already),
        _ => {}
    }
    let version = system.ok_or(NoWayBack::Empty)?;
    if !of_the_other.ok || of_the_other.spent {
        return Err(NoWayBack::NotStartable);
    }
    Ok(version)
}

/// Said where the system did not live to say more.
const SILENT: &str = "it did not come up in three tries";
const CUT: &str = "the installation was interrupted";

impl Record {
    /// It is neither good nor given up.
    pub fn is_open(&self) -> bool {
        match self.stage {
            Stage::Writing | Stage::Installed => true,
            Stage::Works | Stage::Returned | Stage::Interrupted => false,
        }
    }

    /// Told at every start: from which slot, and what the boot loader says of the update's. The only place where an
    /// update is given up.
    pub fn started(&mut self, running: SlotName, of_its_slot: Given) -> Start {
        if !self.is_open() {
            return Start::Ordinary;
        }
        if running == self.slot {
            return Start::Probation;
        }
        // The switch may have been made, and the power have gone before that was written down.
        if self.stage == Stage::Writing && !of_its_slot.first {
            (self.stage, self.reason) = (Stage::Interrupted, Some(CUT.into()));
        } else if of_its_slot.ok && !of_its_slot.spent {
            return Start::Waiting;
        } else {
            self.stage = Stage::Returned;
            self.reason.get_or_insert_with(|| SILENT.into());
        }
        Start::Left
    }

    /// For people: a sentence while there is something to tell them.
    pub fn alarm(&self, running: Version) -> Option<String> {
        let Record { version, reason, .. } = self;
        let reason = reason.as_deref().unwrap_or(SILENT);
        match self.stage {
            _ if self.acknowledged => None,
            Stage::Returned => Some(format!(
                "the update to {version} did not stay: {reason}. This unit runs {running} again. hint: lbctl update \
                 acknowledge takes this line away"
            )),
            Stage::Interrupted => Some(format!(
                "the update to {version} is not installed: {reason}. This unit runs {running}. hint: install it again"
            )),
            Stage::Writing | Stage::Installed | Stage::Works => None,
        }
    }

    /// For people: how it stands.
    pub fn outcome(&self) -> String {
        let reason = self.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        match self.stage {
            Stage::Writing => "is being written".into(),
            Stage::Installed => "installed; it runs after a restart".into(),
            Stage::Works => "works".into(),
            Stage::Returned => format!("did not stay{reason}"),
            Stage::Interrupted => format!("is not installed{reason}"),
        }
    }
}

#[cfg(test)]
mod tests;
