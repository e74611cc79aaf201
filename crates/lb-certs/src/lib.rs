//! Certificates and private keys: read from what people upload, checked, completed, and made here.
//!
//! Owns what an [`Entry`] of the shelf is: a key with the chain that clients are shown, an authority's certificates, or
//! a key that waits for its certificate. PEM in any order (PKCS#1, SEC1, PKCS#8, the last also encrypted) and PKCS#12
//! become one; a key that does not fit, a chain with a hole in it, what has expired, and what clients would refuse for
//! its weakness are refused, each with the field, the reason and a way out ([`Refusal`]). Keys stand in no `Debug`.
//! Whether an authority has revoked a certificate is asked in [`Question`]s and read from [`Answer`]s (OCSP).
//!
//! No files, no clock; randomness only where a key is made. Tested with what OpenSSL writes, in `tests/`.
#![forbid(unsafe_code)]

mod account;
mod assemble;
mod certificate;
mod entry;
mod key;
mod make;
mod ocsp;
mod read;

pub use account::AccountKey;
pub use assemble::{authority, chain};
pub use certificate::Certificate;
pub use entry::{Authority, Chain, Entry, Request};
pub use key::PrivateKey;
pub use make::{Subject, request, self_signed};
pub use ocsp::{Answer, Distrust, LONGEST_ANSWER, Question, Status};
pub use read::{Found, read};

use lb_model::layer7::CertificateFingerprint;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Bytes of an upload. A key with its chain has some ten thousand.
pub const LARGEST: usize = 1 << 20;
/// Certificates of an upload, and of an authority's file.
pub const MOST: usize = 32;

/// What somebody uploads.
#[derive(Clone, Copy)]
pub struct Upload<'a> {
    /// PEM, or PKCS#12 (PFX).
    pub file: &'a [u8],
    /// PEM, where the key stands in a file of its own.
    pub key: Option<&'a [u8]>,
    /// Of the PKCS#12, or of an encrypted key.
    pub passphrase: Option<&'a str>,
}

/// Why something was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// `file`, `key`, `passphrase`, `names`, `days` or `subject`.
    pub field: &'static str,
    pub reason: String,
    pub hint: String,
}

impl Refusal {
    fn new(field: &'static str, reason: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal { field, reason: reason.into(), hint: hint.into() }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn fingerprint(bytes: &[u8]) -> CertificateFingerprint {
    match hex(&Sha256::digest(bytes)).parse() {
        Ok(fingerprint) => fingerprint,
        Err(error) => unreachable!("32 bytes are 64 digits: {error}"),
    }
}

/// `2026-11-21`
fn day(unix: u64) -> String {
    let moment = i64::try_from(unix).ok().and_then(|unix| time::OffsetDateTime::from_unix_timestamp(unix).ok());
    moment.map_or_else(|| "a day far away".to_owned(), |moment| moment.date().to_string())
}
