//! Bytes of the messages: `SP`, version, kind, body.

use super::{Failure, MAX_MESSAGE};

pub const VERSION: u8 = 1;
/// Of SPAKE2: one byte that names the side, one point.
pub const SHARE: usize = 33;
pub const PROOF: usize = 32;
/// Of the AEAD.
pub const TAG: usize = 16;
const MAGIC: [u8; 2] = *b"SP";
const HEAD: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    Start {
        share: &'a [u8; SHARE],
    },
    Answer {
        share: &'a [u8; SHARE],
    },
    Proof(&'a [u8; PROOF]),
    WaiterPresents {
        proof: &'a [u8; PROOF],
        sealed: &'a [u8],
    },
    CallerPresents {
        sealed: &'a [u8],
    },
    Kept {
        sealed: &'a [u8; TAG],
    },
    /// Not sealed: whoever can put it there can also cut the line.
    Stop(u8),
}

impl<'a> Message<'a> {
    pub fn write(self) -> Vec<u8> {
        let (kind, parts): (u8, [&[u8]; 2]) = match &self {
            Message::Start { share } => (1, [&share[..], &[]]),
            Message::Answer { share } => (2, [&share[..], &[]]),
            Message::Proof(proof) => (3, [&proof[..], &[]]),
            Message::WaiterPresents { proof, sealed } => (4, [&proof[..], sealed]),
            Message::CallerPresents { sealed } => (5, [sealed, &[]]),
            Message::Kept { sealed } => (6, [&sealed[..], &[]]),
            Message::Stop(reason) => (7, [std::slice::from_ref(reason), &[]]),
        };
        let head = [MAGIC[0], MAGIC[1], VERSION, kind];
        [&head, parts[0], parts[1]].concat()
    }

    pub fn read(bytes: &'a [u8]) -> Result<Message<'a>, Failure> {
        if bytes.len() > MAX_MESSAGE || !bytes.starts_with(&MAGIC) {
            return Err(Failure::NotOurs);
        }
        let (head, body) = bytes.split_first_chunk::<HEAD>().ok_or(Failure::NotOurs)?;
        let [_, _, version, kind] = *head;
        if version != VERSION {
            return Err(Failure::Version { theirs: version });
        }
        let message = match kind {
            1 => body.try_into().ok().map(|share| Message::Start { share }),
            2 => body.try_into().ok().map(|share| Message::Answer { share }),
            3 => body.try_into().ok().map(Message::Proof),
            4 => body.split_first_chunk().map(|(proof, sealed)| Message::WaiterPresents { proof, sealed }),
            5 => Some(Message::CallerPresents { sealed: body }),
            6 => body.try_into().ok().map(|sealed| Message::Kept { sealed }),
            7 => <[u8; 1]>::try_from(body).ok().map(|[reason]| Message::Stop(reason)),
            _ => None,
        };
        message.ok_or(Failure::NotOurs)
    }
}

/// What a unit says when it stops.
pub fn stop(failure: &Failure) -> Vec<u8> {
    let reason = match failure {
        Failure::WrongCode => 1,
        Failure::Expired => 2,
        Failure::Spent => 3,
        Failure::NotWaiting => 4,
        Failure::Myself => 5,
        // A version needs no word: the head of the message says which one is spoken here.
        Failure::Version { .. } | Failure::NotOurs | Failure::OutOfPlace => 0,
        Failure::TooSlow | Failure::Card(_) | Failure::Stopped => 0,
    };
    Message::Stop(reason).write()
}

/// What the other unit's reason to stop means here.
pub fn stopped(reason: u8) -> Failure {
    match reason {
        1 => Failure::WrongCode,
        2 => Failure::Expired,
        3 => Failure::Spent,
        4 => Failure::NotWaiting,
        5 => Failure::Myself,
        _ => Failure::Stopped,
    }
}
