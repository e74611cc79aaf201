//! The unit's services, through runit, and its power, through init. Runs no program and no shell.
//!
//! runsv keeps a service's state in `supervise/status` and takes orders, one letter each, from the FIFO
//! `supervise/control`; init takes signals. Only services of a closed list can be restarted. Where there is no such
//! machine below lbd, with a fake kernel, orders are only logged. Tested with directories as runsv leaves them.

use lb_api::{ServiceView, UnitAction};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A service that may be restarted over the API.
struct Known {
    name: &'static str,
    description: &'static str,
    /// What a restart does.
    restart: &'static str,
}

const KNOWN: [Known; 8] = [
    Known {
        name: "lbd",
        description: "Load balancing and health checks",
        restart: "Connections go on; health checks and changes wait for a moment.",
    },
    Known {
        name: "heartbeat",
        description: "Heartbeat of the pair",
        restart: "If this unit serves, the other one takes over first.",
    },
    Known {
        name: "haproxy",
        description: "Layer 7 proxy",
        restart: "Connections of layer 7 virtual servers end; their clients connect again.",
    },
    Known {
        name: "lbadmin",
        description: "Web interface and API",
        restart: "The web interface is away for a moment; connections are not affected.",
    },
    Known {
        name: "fallback",
        description: "Fallback page",
        restart: "Clients of a virtual server without a real server get no page for a moment.",
    },
    Known { name: "dropbear", description: "SSH", restart: "Open SSH sessions stay; new ones wait for a moment." },
    Known { name: "time", description: "Time (NTP)", restart: "The time servers are asked anew, four times in a row." },
    Known { name: "syslog", description: "System log", restart: "What programs report in that moment may be lost." },
];

/// lbd's own name among the services.
pub const OWN: &str = "lbd";

/// What lbd runs on.
#[derive(Debug, Clone)]
pub struct Unit {
    /// runit's directory of services; `None`: there are none, and all are said to run.
    pub services: Option<PathBuf>,
    /// Halting and restarting is meant.
    pub power: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    #[error("there is no service \"{0}\"")]
    Unknown(String),
    #[error("{0} is not supervised: {1}")]
    NotSupervised(&'static str, io::Error),
    #[error("process 1 is {0}, not the appliance's init")]
    OtherInit(String),
    #[error("signalling init: {0}")]
    Signal(#[from] nix::Error),
    #[error("looking at process 1: {0}")]
    Init(#[from] io::Error),
}

impl Unit {
    /// Those of the closed list that this unit has. `now` is in Unix seconds; `up` is how long lbd runs.
    pub fn services(&self, now: u64, up: u64) -> Vec<ServiceView> {
        let view = |known: &Known, running, since| ServiceView {
            name: known.name.into(),
            description: known.description.into(),
            running,
            since,
            restart: known.restart.into(),
        };
        let Some(dir) = &self.services else { return KNOWN.iter().map(|known| view(known, true, up)).collect() };
        let there = KNOWN.iter().filter(|known| dir.join(known.name).is_dir());
        let seen = there.map(|known| {
            let (running, since) = state(&dir.join(known.name).join("supervise"));
            view(known, running, since.map_or(0, |since| now.saturating_sub(since)))
        });
        seen.collect()
    }

    /// The name of a service that can be restarted.
    pub fn known(&self, name: &str) -> Result<&'static str, UnitError> {
        let there = |known: &&Known| {
            known.name == name && self.services.as_ref().is_none_or(|dir| dir.join(known.name).is_dir())
        };
        KNOWN.iter().find(there).map(|known| known.name).ok_or_else(|| UnitError::Unknown(name.to_owned()))
    }

    /// Those that can be.
    pub fn names(&self) -> String {
        let there = KNOWN.iter().filter(|k| self.services.as_ref().is_none_or(|dir| dir.join(k.name).is_dir()));
        there.map(|k| k.name).collect::<Vec<_>>().join(", ")
    }

    /// As `sv restart`: TERM, CONT, and up.
    pub fn restart(&self, name: &'static str) -> Result<(), UnitError> {
        let Some(dir) = &self.services else {
            tracing::info!("{name} would be restarted");
            return Ok(());
        };
        let fifo = dir.join(name).join("supervise/control");
        // Without a reader, runsv, this fails at once instead of waiting for one.
        let mut control = OpenOptions::new()
            .write(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(fifo)
            .map_err(|error| UnitError::NotSupervised(name, error))?;
        control.write_all(b"tcu").map_err(|error| UnitError::NotSupervised(name, error))
    }

    /// As busybox's `poweroff` and `reboot`, which signal its init.
    pub fn power(&self, action: UnitAction) -> Result<(), UnitError> {
        if !self.power {
            tracing::info!(
                "the unit would {}",
                if action == UnitAction::Halt { "be switched off" } else { "be restarted" }
            );
            return Ok(());
        }
        // Another init takes these signals for something else.
        let init = fs::read_to_string("/proc/1/comm")?;
        if init.trim() != "init" {
            return Err(UnitError::OtherInit(init.trim().to_owned()));
        }
        let signal = match action {
            UnitAction::Halt => Signal::SIGUSR2,
            UnitAction::Restart => Signal::SIGTERM,
        };
        Ok(kill(Pid::from_raw(1), signal)?)
    }
}

/// Whether the service runs, and since when it does or does not.
fn state(supervise: &Path) -> (bool, Option<u64>) {
    let alive = OpenOptions::new().write(true).custom_flags(nix::libc::O_NONBLOCK).open(supervise.join("ok"));
    // Nobody reads it: there is no runsv, and the status is one of long ago.
    if matches!(&alive, Err(error) if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ENXIO))
    {
        return (false, None);
    }
    match fs::read(supervise.join("status")).ok().as_deref().and_then(status) {
        Some((running, since)) => (running, Some(since)),
        None => (false, None),
    }
}

/// 20 bytes: TAI64N of the last change, process number (little endian), paused, wanted, terminated, state
/// (runit's `runsv.c`, `update_status`).
fn status(bytes: &[u8]) -> Option<(bool, u64)> {
    /// 1970 as runit has it: TAI64's 2^62, and the ten seconds of then.
    const EPOCH: u64 = (1 << 62) + 10;
    let seconds = u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
    let process = u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?);
    let run = *bytes.get(19)?;
    Some((process > 0 && run == 1, seconds.checked_sub(EPOCH)?))
}

#[cfg(test)]
mod tests;
