//! `ipvsadm` as administrators and scripts know it (Debian's 1.31): options, output, messages, exit status.
//!
//! Pure parts: [`popt`] (splits arguments), [`options`] (what may go with what), [`parse`] (arguments to a
//! [`Command`]), [`render`] (data to text), [`conn`] (`/proc/net/ip_vs_conn` to text), [`message`] (errors
//! to the original's words), [`lines`] (a saved file to arguments). [`run`] does the rest; [`names`] asks
//! the system for host and service names.
//!
//! Exit status: 0 done, 255 the kernel said no or an option is unknown, 2 refused here, 1 a listing failed.
//! Where the original has a quirk that scripts can see (`-S` drops `-x` and `-y`; `-R` exits with the
//! status of its last line and stops at a line it cannot accept), so has this. Two differences are meant:
//! `-h`, `-v` and mistakes in the arguments are answered without the kernel module.

pub mod address;
pub mod conn;
pub mod lines;
pub mod message;
pub mod names;
pub mod options;
pub mod parse;
pub mod popt;
pub mod render;
pub mod run;
pub mod usage;
mod verb;

use crate::request::Request;
use crate::service::ServiceId;

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// One change in the kernel.
    Change(Request),
    List(Listing, Format),
    /// The table as commands (`-S`).
    Save(Format),
    /// Commands from standard input (`-R`).
    Restore,
    Help,
    Version,
}

/// What to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    All,
    One(ServiceId),
    Connections,
    Timeouts,
    Daemons,
}

/// How to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Format {
    /// Addresses and ports as numbers.
    pub numeric: bool,
    pub stats: bool,
    pub rate: bool,
    pub thresholds: bool,
    pub persistent_conn: bool,
    pub tun_info: bool,
    /// Keep the kernel's order.
    pub nosort: bool,
    /// Numbers in full.
    pub exact: bool,
}

/// A command line that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Exit status.
    pub status: u8,
    /// For standard error, without the line end.
    pub text: String,
    /// Whether it ends a restore; an unknown option does not.
    pub fatal: bool,
}

impl Rejection {
    fn local(text: impl Into<String>) -> Self {
        Self { status: 2, text: text.into(), fatal: true }
    }

    fn try_help(program: &str) -> Self {
        let text = format!("Try `{program} -h' or '{program} --help' for more information.");
        Self { status: 255, text, fatal: true }
    }
}
