//! A frame: what travels, decoded. Its bytes are in [`crate::codec`].

use crate::settings::{MAX_PATHS, NodeId};
use crate::word::Word;
use serde::{Deserialize, Serialize};

/// What a frame says about one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Lane {
    pub path: u8,
    /// How many frames its sender has sent on this path; this one counts if it came on it.
    pub sent: u16,
    /// The peer's newest `sent` that arrived on this path; meaningless while `age` is [`Lane::NEVER`].
    pub echo: u16,
    /// How long ago that one arrived, in units of 100 microseconds.
    pub age: u16,
}

impl Lane {
    /// Nothing was heard on this path, or nothing for more than six seconds.
    pub const NEVER: u16 = u16::MAX;
}

/// The lanes of a frame, at most [`MAX_PATHS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<Lane>", into = "Vec<Lane>")]
pub struct Lanes {
    count: u8,
    lanes: [Lane; MAX_PATHS],
}

impl Lanes {
    /// False when there is no room.
    pub fn push(&mut self, lane: Lane) -> bool {
        let Some(free) = self.lanes.get_mut(usize::from(self.count)) else { return false };
        *free = lane;
        self.count += 1;
        true
    }

    pub fn as_slice(&self) -> &[Lane] {
        &self.lanes[..usize::from(self.count).min(MAX_PATHS)]
    }

    pub fn of(&self, path: u8) -> Option<&Lane> {
        self.as_slice().iter().find(|lane| lane.path == path)
    }
}

impl From<Lanes> for Vec<Lane> {
    fn from(lanes: Lanes) -> Vec<Lane> {
        lanes.as_slice().to_vec()
    }
}

impl TryFrom<Vec<Lane>> for Lanes {
    type Error = String;

    fn try_from(from: Vec<Lane>) -> Result<Lanes, String> {
        let mut lanes = Lanes::default();
        let fits = from.iter().all(|lane| lanes.push(*lane));
        fits.then_some(lanes).ok_or_else(|| format!("more than {MAX_PATHS} paths"))
    }
}

/// One frame. The same one goes out on every path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    pub from: NodeId,
    /// How often this node's daemon has been started: greater than at any start before.
    pub boot: u32,
    /// Counts the frames of this boot.
    pub seq: u64,
    /// Drawn at random by this start of the daemon.
    pub nonce: u64,
    /// The peer's nonce, 0 = not known. Only a frame that echoes the receiver's own nonce is younger than its start.
    pub echo: u64,
    pub word: Word,
    pub lanes: Lanes,
}
