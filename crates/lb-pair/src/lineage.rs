//! Which of two units is behind: each revision of the shared configuration carries a name that hangs on all before it.
//!
//! `id = SHA-256(id of the one before | the shared document)`: two units that make the same change on the same ground get
//! the same name, any other two changes different ones. Pure.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// Names of the newest versions that a unit tells its peer. A peer that was away for longer must be brought back by
/// hand.
pub const MOST_TOLD: usize = 1024;

/// The name of a version; 64 hexadecimal digits in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(pub [u8; 32]);

/// A version of the shared configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedVersion {
    /// Counts from 1, for people.
    pub number: u64,
    pub id: Id,
}

/// How the peer's configuration stands to mine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    Same,
    /// Mine was made from the peer's.
    PeerBehind,
    /// The peer's was made from mine.
    PeerAhead,
    /// Both were changed apart from each other: people must choose.
    Diverged,
}

/// The version that `shared` becomes after `previous`. `shared`: the shared document as JSON text.
pub fn next(previous: Option<SharedVersion>, shared: &str) -> SharedVersion {
    let mut hash = Sha256::new();
    // A fixed length in front: no document can pass for another one with another predecessor.
    hash.update(previous.map_or([0; 32], |version| version.id.0));
    hash.update(shared.as_bytes());
    let number = previous.map_or(0, |version| version.number).saturating_add(1);
    SharedVersion { number, id: Id(hash.finalize().into()) }
}

/// Compares two histories, oldest first.
pub fn relation(mine: &[Id], theirs: &[Id]) -> Relation {
    let (my_newest, their_newest) = match (mine.last(), theirs.last()) {
        (None, None) => return Relation::Same,
        (Some(_), None) => return Relation::PeerBehind,
        (None, Some(_)) => return Relation::PeerAhead,
        (Some(mine), Some(theirs)) => (mine, theirs),
    };
    match (my_newest == their_newest, mine.contains(their_newest), theirs.contains(my_newest)) {
        (true, ..) => Relation::Same,
        (false, true, false) => Relation::PeerBehind,
        (false, false, true) => Relation::PeerAhead,
        // Each claims to come after the other: one of them has lost what it knew.
        (false, true, true) | (false, false, false) => Relation::Diverged,
    }
}

impl Relation {
    /// As the peer sees it.
    pub fn reversed(self) -> Relation {
        match self {
            Relation::PeerBehind => Relation::PeerAhead,
            Relation::PeerAhead => Relation::PeerBehind,
            Relation::Same | Relation::Diverged => self,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Enough to tell them apart in a log.
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SharedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.number, self.id)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a shared version has 64 hexadecimal digits, lower case")]
pub struct IdError;

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Id, IdError> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(IdError);
        }
        let mut id = [0; 32];
        for (byte, pair) in id.iter_mut().zip(pairs) {
            for digit in pair {
                let value = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    _ => return Err(IdError),
                };
                *byte = *byte << 4 | value;
            }
        }
        Ok(Id(id))
    }
}

impl TryFrom<String> for Id {
    type Error = IdError;

    fn try_from(text: String) -> Result<Id, IdError> {
        text.parse()
    }
}

impl From<Id> for String {
    fn from(id: Id) -> String {
        id.to_string()
    }
}
