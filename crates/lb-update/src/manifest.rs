//! What a bundle says of itself, and whether it may be installed here. Pure.
//!
//! The policy on versions: the same one and newer ones, at any time; an older one only when asked for (`--downgrade`),
//! as settings that only the newer one knows are lost with it; never one that cannot read the configuration that runs,
//! and never over a system older than the bundle says it can follow.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Of this product, in every bundle.
pub const PRODUCT: &str = "steelyard";
/// What this program was built for: the only machines that its slots start on.
pub const ARCHITECTURE: &str = std::env::consts::ARCH;

/// `MAJOR.MINOR.PATCH`, compared number by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(pub u32, pub u32, pub u32);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no version. hint: three numbers, as 1.2.3")]
pub struct NoVersion(String);

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let wrong = || NoVersion(text.chars().take(40).collect());
        let numbers: Vec<u32> = text.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        match numbers[..] {
            [major, minor, patch] => Ok(Version(major, minor, patch)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl TryFrom<String> for Version {
    type Error = NoVersion;

    fn try_from(text: String) -> Result<Self, NoVersion> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

/// Versions of the configuration document ([`lb_model::DOCUMENT_VERSION`]) that a system reads, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Formats {
    pub oldest: u32,
    pub newest: u32,
}

impl Formats {
    /// Of the tree that this was built from: `lb_model::migrate` reads every version from the first one on.
    pub const OURS: Formats = Formats { oldest: 1, newest: lb_model::DOCUMENT_VERSION };
}

/// The signed part of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`PRODUCT`]
    pub product: String,
    pub version: Version,
    /// [`ARCHITECTURE`]
    pub architecture: String,
    /// Of the slot's file system, bytes.
    pub size: u64,
    /// Of the slot's file system, 64 lower-case hexadecimal digits.
    pub sha256: String,
    pub packed: Packed,
    /// The oldest system that it may be installed over.
    pub oldest: Version,
    pub configuration: Formats,
}

/// The payload: the slot's file system as one Zstandard frame (RFC 8878).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packed {
    /// Bytes.
    pub size: u64,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// The unit that a bundle is to be installed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Here {
    /// Of the system that runs.
    pub version: Version,
    /// Of the configuration documents that it writes.
    pub configuration: u32,
    /// Of the idle slot, bytes.
    pub slot: u64,
}

/// Why a bundle is not installed; nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("this is no update bundle. hint: its name ends in .lbu, and its first line is \"steelyard-update 1\"")]
    NotABundle,
    #[error(
        "this bundle is of format \"{0}\", which this version does not know. hint: install a version between first"
    )]
    OtherFormat(String),
    #[error("the bundle's head cannot be read: {0}")]
    Head(String),
    #[error(
        "the bundle is signed with the key \"{0}\", which this unit does not trust. hint: take the bundle from where \
         the unit's system came from"
    )]
    UnknownKey(String),
    #[error("the bundle's signature is wrong: it was changed after it was signed. hint: fetch it again")]
    Signature,
    #[error("the bundle is for {found}, this is a {PRODUCT}")]
    Product { found: String },
    #[error("the bundle is for {found} machines, this one is {ARCHITECTURE}")]
    Architecture { found: String },
    #[error("the bundle is cut short: it has {found} of {wanted} bytes. hint: fetch it again")]
    Truncated { found: u64, wanted: u64 },
    #[error("the bundle has {found} bytes and should have {wanted}. hint: fetch it again")]
    TooLong { found: u64, wanted: u64 },
    #[error("the system has {size} bytes, the slot has room for {slot}. hint: this needs a new disk image")]
    TooLarge { size: u64, slot: u64 },
    #[error("the bundle's contents are damaged: its hash is not the signed one. hint: fetch it again")]
    Damaged,
    #[error(
        "the bundle brings {to}, older than the {from} that runs. hint: --downgrade installs it all the same; what only \
         {from} can be told is lost"
    )]
    Downgrade { from: Version, to: Version },
    #[error("{to} cannot follow {from}: it follows {oldest} or newer. hint: install {oldest} first")]
    TooOld { from: Version, to: Version, oldest: Version },
    #[error(
        "{to} reads configurations of version {} to {}, this unit's is of version {here}. hint: install a version \
         that reads it",
        .reads.oldest,
        .reads.newest
    )]
    Configuration { to: Version, reads: Formats, here: u32 },
}

impl Manifest {
    /// Whether it may be installed on `here`; `downgrade`: an older version is meant.
    pub fn may_follow(&self, here: &Here, downgrade: bool) -> Result<(), Refusal> {
        let (to, from) = (self.version, here.version);
        if self.product != PRODUCT {
            return Err(Refusal::Product { found: printable(&self.product) });
        }
        if self.architecture != ARCHITECTURE {
            return Err(Refusal::Architecture { found: printable(&self.architecture) });
        }
        if self.size > here.slot {
            return Err(Refusal::TooLarge { size: self.size, slot: here.slot });
        }
        if from < self.oldest {
            return Err(Refusal::TooOld { from, to, oldest: self.oldest });
        }
        let reads = self.configuration;
        if here.configuration < reads.oldest || here.configuration > reads.newest {
            return Err(Refusal::Configuration { to, reads, here: here.configuration });
        }
        if to < from && !downgrade {
            return Err(Refusal::Downgrade { from, to });
        }
        Ok(())
    }
}

/// What came from outside, for a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests;
