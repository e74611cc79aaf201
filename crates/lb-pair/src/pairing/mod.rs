//! Two units that know the same short code, or hold the same cable, become a pair; nobody else learns or changes anything.
//!
//! ```text
//!   Call (unit one)                                   Wait (unit two), under an Offer with the code
//!     | 1 Start  share                                  |
//!     |------------------------------------------------>|   SPAKE2 (RFC 9382): one guess a try, for either side
//!     |                                 2 Answer  share |
//!     |<------------------------------------------------|
//!     | 3 Proof  that I know the key                     |
//!     |------------------------------------------------>|   wrong: counted, Stop; five wrong end the offer
//!     |            4 Presents  proof, my card (sealed)   |
//!     |<------------------------------------------------|
//!     | 5 Presents  my card (sealed)                     |
//!     |------------------------------------------------>|   Paired: kept on the disk before 6 is sent
//!     |                                 6 Kept  (sealed) |
//!     |<------------------------------------------------|   Paired
//! ```
//!
//! The caller proves itself first, so a guesser learns whether a code is right only by spending a try. All keys hang on
//! messages 1 and 2 as they travelled, on the sides and on the way (cable or network). Each machine takes whole
//! messages of at most [`MAX_MESSAGE`] bytes and gives [`Output`]s in the order in which they must be done. Tested in
//! `tests/pairing.rs`; `examples/forge.rs` makes a million forged and guessed attempts.

mod call;
mod keys;
mod message;
mod offer;
mod wait;

pub use call::Call;
pub use offer::{Offer, VALID, WRONG_TRIES};
pub use wait::Wait;

use crate::card::{Card, CardError};
use lb_ha::{Key, NodeId};
use std::{fmt, time::Duration};

pub use message::VERSION;

/// The longest message: a card with 64 addresses has about 8 KB.
pub const MAX_MESSAGE: usize = 16 << 10;
/// How long one attempt may take; a card needs ten seconds at 9600 baud.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The number of the heartbeat key that a pairing makes.
pub const FIRST_KEY: u8 = 1;

/// What is to be done, in this order.
#[derive(Debug)]
pub enum Output {
    /// A message to the other unit.
    Send(Vec<u8>),
    /// To be kept durably before anything that follows is sent.
    Paired(Box<Paired>),
    /// It is over.
    Failed(Failure),
}

/// What both units know after a pairing.
#[derive(Debug)]
pub struct Paired {
    /// Which of the pair this unit is: who called is unit one.
    pub unit: NodeId,
    pub peer: Card,
    pub heartbeat: Key,
}

/// Why an attempt came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No message of ours.
    NotOurs,
    /// The other unit's software speaks another version of this protocol.
    Version {
        theirs: u8,
    },
    /// A message that does not belong here.
    OutOfPlace,
    WrongCode,
    /// The code is older than ten minutes.
    Expired,
    /// Too many wrong codes were tried.
    Spent,
    /// The other unit does not wait, or has become another one's peer meanwhile.
    NotWaiting,
    TooSlow,
    /// It is this unit itself that answers.
    Myself,
    Card(CardError),
    /// The other unit stopped, without a reason that this software knows.
    Stopped,
}

impl Failure {
    /// What the user can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Failure::NotOurs => "check the address or the cable: something else answers there",
            Failure::Version { .. } => "install the same software version on both units",
            Failure::WrongCode => "compare the code with the one that the waiting unit shows",
            Failure::Expired | Failure::Spent => "let the waiting unit show a new code",
            Failure::NotWaiting => "begin on the unit that is to be the slave: let it wait for its peer",
            Failure::Myself => "enter the address of the other unit",
            Failure::Card(_) | Failure::OutOfPlace | Failure::TooSlow | Failure::Stopped => {
                "try again; begin on the unit that is to be the slave"
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotOurs => f.write_str("what was received is not from a unit that pairs"),
            Failure::Version { theirs } => {
                write!(f, "the other unit speaks version {theirs} of the pairing protocol, this one version {VERSION}")
            }
            Failure::OutOfPlace => f.write_str("the other unit did not keep to the protocol"),
            Failure::WrongCode => f.write_str("the code is wrong"),
            Failure::Expired => f.write_str("the code has expired"),
            Failure::Spent => f.write_str("too many wrong codes were tried"),
            Failure::NotWaiting => f.write_str("the other unit does not wait for a peer"),
            Failure::TooSlow => f.write_str("the other unit did not answer in time"),
            Failure::Myself => f.write_str("this unit has reached itself"),
            Failure::Card(why) => write!(f, "what a unit says of itself cannot be used: {why}"),
            Failure::Stopped => f.write_str("the other unit ended the pairing"),
        }
    }
}

impl std::error::Error for Failure {}
