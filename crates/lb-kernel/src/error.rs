//! What went wrong: the error says what we were doing, its source says why.

use nix::errno::Errno;
use std::{io, time::Duration};

/// `doing` is an action's own line of text where there is one.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct KernelError {
    pub doing: String,
    #[source]
    pub cause: Cause,
}

impl KernelError {
    pub(crate) fn new(doing: impl Into<String>, cause: impl Into<Cause>) -> Self {
        KernelError { doing: doing.into(), cause: cause.into() }
    }
}

/// Why the kernel, or what stands between it and us, refused.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error("the kernel refused: {} ({})", .0.desc(), errno_name(*.0))]
    Errno(Errno),
    #[error("there is no interface {0}")]
    NoInterface(String),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Ipvs(ipvs::Error),
    #[error("the kernel has no IPVS\nhint: modprobe ip_vs")]
    NoIpvs,
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    /// nft's own words.
    #[error("nft: {0}")]
    Nft(String),
    #[error("rtnetlink: {0}")]
    Netlink(String),
    #[error("no answer within {} s", .0.as_secs())]
    NoAnswer(Duration),
    /// What the fake refuses, in the words of the kernel's errno.
    #[error("{0}")]
    Refused(String),
}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Self {
        Cause::Errno(errno)
    }
}

impl From<ipvs::Error> for Cause {
    fn from(error: ipvs::Error) -> Self {
        match error {
            ipvs::Error::NoIpvs => Cause::NoIpvs,
            other => Cause::Ipvs(other),
        }
    }
}

/// `Errno`'s debug form is the name in `errno.h`.
fn errno_name(errno: Errno) -> String {
    format!("{errno:?}")
}
