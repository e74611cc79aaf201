//! Errors in the words of the original, on which scripts may depend. Pure.

use std::error::Error as _;
use std::io;

use nix::libc;

use crate::error::{Error, ErrorKind};
use crate::wire::Cmd;

/// The line for standard error.
pub fn text(error: &Error) -> String {
    let Error::Refused { command, kind, errno, .. } = error else {
        return chain(error);
    };
    let text = match kind {
        ErrorKind::ServiceExists => "Service already exists",
        ErrorKind::NoSuchService => match command {
            Cmd::NewDest | Cmd::SetDest | Cmd::DelDest => "Service not defined",
            _ => "No such service",
        },
        ErrorKind::DestExists => "Destination already exists",
        ErrorKind::NoSuchDest => "No such destination",
        ErrorKind::SchedulerNotFound => "Scheduler or persistence engine not found",
        ErrorKind::DaemonRunning => "Daemon has already run",
        ErrorKind::NoDaemon => "No daemon is running",
        _ => return errno_text(*errno),
    };
    text.to_owned()
}

/// What an errno is called when the command does not matter.
pub fn errno_text(errno: i32) -> String {
    let text = match errno {
        libc::EPERM => "Permission denied (you must be root)",
        libc::EINVAL => "Invalid operation.  Possibly wrong module version, address not unicast, ...",
        libc::ENOPROTOOPT => "Protocol not available",
        libc::ENOMEM => "Memory allocation problem",
        libc::EOPNOTSUPP => "Operation not supported with IPv6",
        libc::EAFNOSUPPORT => "Operation not supported with specified address family",
        libc::EMSGSIZE => "Module is wrong version",
        // glibc's words; the C library this is linked with may have others.
        libc::ERANGE => "Numerical result out of range",
        libc::ENODEV => "No such device",
        libc::ENOENT => "No such file or directory",
        libc::EEXIST => "File exists",
        libc::ESRCH => "No such process",
        libc::EBUSY => "Device or resource busy",
        _ => {
            // std appends " (os error N)".
            let text = io::Error::from_raw_os_error(errno).to_string();
            return text.split(" (os error").next().unwrap_or_default().to_owned();
        }
    };
    text.to_owned()
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
