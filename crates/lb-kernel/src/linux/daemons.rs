//! The two halves of connection synchronisation: starting, stopping, and which of them are ours.
//!
//! The kernel does not keep who started one. A line `master` or `backup` in a file below `/run`, so that it is gone when
//! the daemons are, says that it was us; written before the start, struck out after the stop.

use super::files;
use crate::Cause;
use ipvs::{Daemon, DaemonRole, ErrorKind, Ipvs};
use lb_model::IfName;
use lb_plan::{ObservedSync, SyncDaemon, SyncRole};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind as Io,
    net::IpAddr,
    path::{Path, PathBuf},
};

pub(super) struct Daemons {
    path: PathBuf,
    ours: BTreeSet<SyncRole>,
}

impl Daemons {
    pub(super) fn open(run: &Path) -> std::io::Result<Daemons> {
        let path = run.join("sync");
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == Io::NotFound => String::new(),
            other => other?,
        };
        let ours = [SyncRole::Master, SyncRole::Backup];
        let ours = ours.into_iter().filter(|role| text.lines().any(|line| line == role.to_string())).collect();
        Ok(Daemons { path, ours })
    }

    pub(super) fn observe(&self) -> Result<BTreeMap<SyncRole, ObservedSync>, Cause> {
        let running = Ipvs::open()?.daemons()?;
        let seen = running.iter().filter(|d| d.interface != "lo").filter_map(|daemon| {
            let (role, daemon) = from_kernel(daemon)?;
            Some((role, ObservedSync { daemon, ours: self.ours.contains(&role) }))
        });
        Ok(seen.collect())
    }

    pub(super) fn start(&mut self, role: SyncRole, wanted: &SyncDaemon) -> Result<(), Cause> {
        let mut kernel = Ipvs::open()?;
        let running = kernel.daemons()?.into_iter().find(|d| d.role == to_role(role));
        let same = running.as_ref().and_then(from_kernel).is_some_and(|(_, is)| is == *wanted);
        self.ours.insert(role);
        self.save()?;
        if same {
            return Ok(());
        }
        if running.is_some() {
            stop(&mut kernel, role)?;
        }
        let mut daemon = Daemon::new(to_role(role), wanted.interface.as_str(), wanted.sync_id.into());
        daemon.max_len = wanted.max_len;
        daemon.group = Some(wanted.group);
        daemon.port = wanted.port;
        daemon.ttl = wanted.ttl;
        Ok(kernel.start_daemon(daemon)?)
    }

    pub(super) fn stop(&mut self, role: SyncRole) -> Result<(), Cause> {
        stop(&mut Ipvs::open()?, role)?;
        self.ours.remove(&role);
        Ok(self.save()?)
    }

    fn save(&self) -> std::io::Result<()> {
        files::replace(&self.path, &self.ours.iter().map(|role| format!("{role}\n")).collect::<String>())
    }
}

/// One that does not run is stopped.
fn stop(kernel: &mut Ipvs, role: SyncRole) -> Result<(), Cause> {
    match kernel.stop_daemon(to_role(role)) {
        Err(error) if error.kind() == Some(ErrorKind::NoDaemon) => Ok(()),
        other => Ok(other?),
    }
}

fn to_role(role: SyncRole) -> DaemonRole {
    match role {
        SyncRole::Master => DaemonRole::Master,
        SyncRole::Backup => DaemonRole::Backup,
    }
}

/// `None` for an interface whose name is none of ours.
fn from_kernel(is: &Daemon) -> Option<(SyncRole, SyncDaemon)> {
    let role = match is.role {
        DaemonRole::Master => SyncRole::Master,
        DaemonRole::Backup => SyncRole::Backup,
    };
    let daemon = SyncDaemon {
        interface: is.interface.parse::<IfName>().ok()?,
        // An id beyond a byte reaches nobody; 0 is one that we never ask for.
        sync_id: u8::try_from(is.sync_id).unwrap_or(0),
        max_len: is.max_len,
        group: is.group.unwrap_or(IpAddr::V4(SyncDaemon::GROUP)),
        port: is.port,
        ttl: is.ttl,
    };
    Some((role, daemon))
}
