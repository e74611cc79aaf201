//! The command, which is the first option of a line, and the rule for what may follow it. Pure.

use super::Rejection;
use super::options::{self, Opt, Rule};
use crate::daemon::DaemonRole;

/// What the first option asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    AddService,
    EditService,
    DeleteService,
    AddServer,
    EditServer,
    DeleteServer,
    Clear,
    List,
    Zero,
    Set,
    Restore,
    Save,
    StartDaemon(DaemonRole),
    StopDaemon(DaemonRole),
}

impl Verb {
    /// `None` for an option that is no command.
    pub(super) fn of(opt: Opt, value: Option<&str>) -> Option<Result<Self, Rejection>> {
        Some(Ok(match opt {
            Opt::AddService => Self::AddService,
            Opt::EditService => Self::EditService,
            Opt::DeleteService => Self::DeleteService,
            Opt::AddServer => Self::AddServer,
            Opt::EditServer => Self::EditServer,
            Opt::DeleteServer => Self::DeleteServer,
            Opt::Clear => Self::Clear,
            Opt::List => Self::List,
            Opt::Zero => Self::Zero,
            Opt::Set => Self::Set,
            Opt::Restore => Self::Restore,
            Opt::Save => Self::Save,
            Opt::StartDaemon => match role(value) {
                Some(role) => Self::StartDaemon(role),
                None => return Some(Err(Rejection::local("illegal start-daemon parameter specified"))),
            },
            Opt::StopDaemon => match role(value) {
                Some(role) => Self::StopDaemon(role),
                None => return Some(Err(Rejection::local("illegal start_daemon specified"))),
            },
            _ => return None,
        }))
    }

    pub(super) fn rule(self) -> &'static Rule {
        match self {
            Self::AddService => &options::ADD_SERVICE,
            Self::EditService => &options::EDIT_SERVICE,
            Self::DeleteService => &options::DELETE_SERVICE,
            Self::AddServer => &options::ADD_SERVER,
            Self::EditServer => &options::EDIT_SERVER,
            Self::DeleteServer => &options::DELETE_SERVER,
            Self::Clear => &options::CLEAR,
            Self::List => &options::LIST,
            Self::Zero => &options::ZERO,
            Self::Set => &options::SET,
            Self::Restore => &options::RESTORE,
            Self::Save => &options::SAVE,
            Self::StartDaemon(_) => &options::START_DAEMON,
            Self::StopDaemon(_) => &options::STOP_DAEMON,
        }
    }
}

fn role(value: Option<&str>) -> Option<DaemonRole> {
    match value? {
        "master" => Some(DaemonRole::Master),
        "backup" => Some(DaemonRole::Backup),
        _ => None,
    }
}
