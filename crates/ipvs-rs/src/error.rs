//! What can go wrong, in terms of the command and the object it was about.
//!
//! The kernel answers with an errno alone, and the same errno means different things to different
//! commands (`ENOENT` from an add of a service: no such scheduler; from a set of a destination: no such
//! destination). [`ErrorKind::of`] is that table; it comes from `net/netfilter/ipvs/ip_vs_ctl.c`.

use std::fmt;
use std::io;

use nix::libc;
use thiserror::Error;

use crate::wire::{Cmd, DecodeError};

/// A failed operation.
#[derive(Debug, Error)]
pub enum Error {
    /// The kernel said no.
    #[error("cannot {}: {}", action(*.command, .object), .kind)]
    Refused {
        command: Cmd,
        /// The service, destination or daemon; empty when the command is about the whole table.
        object: String,
        kind: ErrorKind,
        /// Positive.
        errno: i32,
    },
    /// The kernel has no IPVS: the module `ip_vs` is not loaded and could not be.
    #[error("the kernel has no IPVS (module ip_vs is not loaded)")]
    NoIpvs,
    /// The socket itself failed.
    #[error("cannot {doing}")]
    Socket { doing: &'static str, source: io::Error },
    /// The kernel did not answer in time. Open a new [`crate::Ipvs`]: a late answer may still arrive here.
    #[error("the kernel did not answer within {seconds} s")]
    Timeout { seconds: u64 },
    /// The answer was lost for want of buffer space. The command may or may not have been done: read back.
    #[error("the kernel's answer was lost: cannot tell whether {} was done", action(*.command, .object))]
    ReplyLost { command: Cmd, object: String },
    /// The answer is not what it should be.
    #[error("cannot understand the kernel's answer to {doing}")]
    Decode { doing: &'static str, source: DecodeError },
}

impl Error {
    pub(crate) fn refused(command: Cmd, object: impl fmt::Display, errno: i32) -> Self {
        Self::Refused { command, object: object.to_string(), kind: ErrorKind::of(command, errno), errno }
    }

    /// What the kernel's refusal means; `None` for every other failure.
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Refused { kind, .. } => Some(*kind),
            _ => None,
        }
    }
}

/// What an errno means, given the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum ErrorKind {
    #[error("the service already exists")]
    ServiceExists,
    #[error("no such service")]
    NoSuchService,
    #[error("the destination already exists")]
    DestExists,
    #[error("no such destination")]
    NoSuchDest,
    #[error("the kernel has no such scheduler or persistence engine")]
    SchedulerNotFound,
    #[error("a sync daemon of this kind is already running")]
    DaemonRunning,
    #[error("no sync daemon of this kind is running")]
    NoDaemon,
    #[error("no such network interface")]
    NoInterface,
    /// Attributes missing or senseless together: an address that is not unicast, an IPv6 netmask out of
    /// range, mixed families without a tunnel or beside a sync daemon, a scheduler's own refusal.
    #[error("the kernel finds it invalid (address not unicast, netmask, mixed address families or scheduler)")]
    Invalid,
    #[error("a number is out of range (weight, or lower threshold above the upper)")]
    OutOfRange,
    #[error("the kernel does not support this address family")]
    AddressFamily,
    #[error("permission denied: CAP_NET_ADMIN is needed in the initial user namespace")]
    Permission,
    #[error("the IPVS module is being unloaded")]
    Unloading,
    #[error("the kernel is out of memory")]
    OutOfMemory,
    #[error("error {0} from the kernel")]
    Other(i32),
}

impl ErrorKind {
    /// The meaning of a positive errno from `command`.
    pub fn of(command: Cmd, errno: i32) -> Self {
        use Cmd::{DelDaemon, DelDest, NewDaemon, NewDest, NewService, SetDest, SetService};
        match (errno, command) {
            (libc::EEXIST, NewService) => Self::ServiceExists,
            (libc::EEXIST, NewDest) => Self::DestExists,
            (libc::EEXIST, NewDaemon) => Self::DaemonRunning,
            (libc::ESRCH, DelDaemon) => Self::NoDaemon,
            (libc::ESRCH, _) => Self::NoSuchService,
            (libc::ENOENT, NewService | SetService) => Self::SchedulerNotFound,
            (libc::ENOENT, SetDest | DelDest) => Self::NoSuchDest,
            (libc::ENODEV, _) => Self::NoInterface,
            (libc::EINVAL, _) => Self::Invalid,
            (libc::ERANGE, _) => Self::OutOfRange,
            (libc::EAFNOSUPPORT, _) => Self::AddressFamily,
            (libc::EPERM, _) => Self::Permission,
            (libc::ENOPROTOOPT, _) => Self::Unloading,
            (libc::ENOMEM, _) => Self::OutOfMemory,
            (other, _) => Self::Other(other),
        }
    }
}

/// "add service tcp 10.1.0.1:80": the verb of a command and its object.
fn action(command: Cmd, object: &str) -> String {
    let verb = match command {
        Cmd::NewService => "add service",
        Cmd::SetService => "change service",
        Cmd::DelService => "delete service",
        Cmd::GetService => "read service",
        Cmd::NewDest => "add destination",
        Cmd::SetDest => "change destination",
        Cmd::DelDest => "delete destination",
        Cmd::GetDest => "read destinations of",
        Cmd::NewDaemon => "start sync daemon",
        Cmd::DelDaemon => "stop sync daemon",
        Cmd::GetDaemon => "read sync daemons",
        Cmd::SetConfig => "set timeouts",
        Cmd::GetConfig => "read timeouts",
        Cmd::SetInfo | Cmd::GetInfo => "read the IPVS version",
        Cmd::Zero => "zero counters",
        Cmd::Flush => "clear the table",
    };
    if object.is_empty() { verb.to_owned() } else { format!("{verb} {object}") }
}

#[cfg(test)]
mod tests;
