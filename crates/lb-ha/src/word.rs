//! What the nodes say to each other about ownership: the part of a frame that the core reads.

use crate::settings::NodeId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a node stands. The diagram is in [`crate::core`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Starting,
    Standby,
    Claiming,
    Taking,
    Acquiring,
    Active,
    Releasing,
    Leaving,
    Stopped,
}

impl State {
    pub const ALL: [State; 9] = [
        State::Starting,
        State::Standby,
        State::Claiming,
        State::Taking,
        State::Acquiring,
        State::Active,
        State::Releasing,
        State::Leaving,
        State::Stopped,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Standby => "stand-by",
            State::Claiming => "claiming",
            State::Taking => "taking over",
            State::Acquiring => "acquiring",
            State::Active => "active",
            State::Releasing => "releasing",
            State::Leaving => "leaving",
            State::Stopped => "stopped",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who outranks whom: a total order over the two nodes. Both compare the same two values, each one's as it
/// stood when that one took over or claimed, so both come to the same answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Rank {
    /// The ownership epoch: each take-over counts one more than any seen. 0 = holds nothing by right.
    pub epoch: u32,
    /// Bit 1: hot (has the connection table). Bit 0: preferred.
    pub merit: u8,
}

impl Rank {
    /// Whether `self`, of node `me`, outranks `other`, of the peer: epoch, hot, preferred, then node one.
    pub fn outranks(self, me: NodeId, other: Rank) -> bool {
        (self.epoch, self.merit, me == NodeId::One) > (other.epoch, other.merit, me != NodeId::One)
    }
}

/// One node's view at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Word {
    pub state: State,
    /// The addresses may be on this node's kernel: from before they are added until they are known to be gone.
    pub holds: bool,
    pub fit: bool,
    pub hot: bool,
    pub maintenance: bool,
    /// The daemon is being shut down.
    pub leaving: bool,
    /// "I hear nobody and take over in half a keepalive."
    pub taking: bool,
    /// The claim is meant although the peer serves: an operator's take-over, or fail-back.
    pub asks: bool,
    /// It has heard the peer within the dead time.
    pub hears: bool,
    /// Ping nodes it reaches.
    pub pings: u8,
    /// The highest ownership epoch it knows of.
    pub epoch: u32,
    pub rank: Rank,
    /// Number of its claim, 0 = none. Never used twice.
    pub claim: u32,
    /// Number of the peer's claim that it grants, 0 = none.
    pub grant: u32,
    /// Its dead time. Both wait for the longer of the two, so that settings need not change on both at once.
    pub deadtime_ms: u32,
}

impl Word {
    /// Whether it could serve if it were given the addresses.
    pub fn can_serve(&self) -> bool {
        self.fit && !self.maintenance && !self.leaving
    }
}
