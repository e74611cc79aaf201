//! What is said while the connection table goes to the other unit: its digest, and the fingerprints that differ.
//!
//! The entries themselves go from kernel to kernel. Every question names the key by which the fingerprints are made, and
//! the answer repeats it: an answer to an earlier transfer's question says nothing.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Random, of one transfer.
pub type Key = [u64; 2];

/// Buckets of a digest.
pub const BUCKETS: usize = 4096;
/// Bytes of a digest.
pub const LARGEST_DIGEST: usize = 12 * BUCKETS;
/// Bytes of fingerprints.
pub const LARGEST_HELD: usize = 32 << 20;

/// One word about the connection table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Table {
    /// How many entries do you have in each bucket?
    AskDigest {
        key: Key,
    },
    Digest {
        key: Key,
        bytes: Bytes<LARGEST_DIGEST>,
    },
    /// Which entries do you have in these buckets?
    AskHeld {
        key: Key,
        buckets: Buckets,
    },
    Held {
        key: Key,
        bytes: Bytes<LARGEST_HELD>,
    },
    /// I am about to take over: send me what I lack, once more.
    AskRound {
        key: Key,
    },
    /// That is done, or cannot be.
    Round {
        key: Key,
    },
}

/// Base64, and no more of them than `MOST`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bytes<const MOST: usize>(pub Vec<u8>);

impl<const MOST: usize> std::fmt::Debug for Bytes<MOST> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<const MOST: usize> Serialize for Bytes<MOST> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de, const MOST: usize> Deserialize<'de> for Bytes<MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() > MOST.div_ceil(3) * 4 {
            return Err(D::Error::custom(format_args!("at most {MOST} bytes are taken")));
        }
        let bytes = BASE64_STANDARD.decode(text).map_err(D::Error::custom)?;
        if bytes.len() > MOST {
            return Err(D::Error::custom(format_args!("at most {MOST} bytes are taken")));
        }
        Ok(Bytes(bytes))
    }
}

/// Numbers of buckets, [`BUCKETS`] at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u16>")]
pub struct Buckets(Vec<u16>);

impl Buckets {
    pub fn numbers(&self) -> &[u16] {
        &self.0
    }
}

impl TryFrom<Vec<u16>> for Buckets {
    type Error = &'static str;

    fn try_from(numbers: Vec<u16>) -> Result<Self, Self::Error> {
        match numbers.len() {
            0..=BUCKETS => Ok(Buckets(numbers)),
            _ => Err("at most 4096 buckets are asked for"),
        }
    }
}
