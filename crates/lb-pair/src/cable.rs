//! Messages over a null-modem cable that may lose and garble bytes: pieces, one at a time, each repeated until answered.
//!
//! Frames are those of the heartbeat's line ([`lb_ha::serial`]: COBS between zero bytes), so that neither takes the
//! other for its own:
//!
//! ```text
//!   "SC" version:1 kind:1 call:4 number:1 piece:0..=96 crc32:4          kind: 1 open, 2 piece, 3 last piece, 4 answer
//! ```
//!
//! Whoever calls draws the call's number; a new one makes the waiting side forget what was before. Each direction counts
//! its pieces. The checksum is against the line, not against people: [`crate::pairing`] is what believes nobody.
//! Sans-io; holds at most one incoming and [`MOST_QUEUED`] outgoing messages. Tested over a line that loses every tenth
//! byte, and with arbitrary bytes.

use crate::pairing::MAX_MESSAGE;
use lb_ha::serial::{self, Decoder};
use std::{collections::VecDeque, time::Duration};

/// Bytes of a message in one frame.
pub const PIECE: usize = 96;
/// Times that a piece is sent before the line counts as dead.
pub const TRIES: u32 = 50;
/// Messages that wait to be sent: the protocol needs two.
pub const MOST_QUEUED: usize = 4;
const HEAD: usize = 9;
const SUM: usize = 4;
const LONGEST: usize = HEAD + PIECE + SUM;
const _: () = assert!(LONGEST <= lb_ha::codec::MAX_FRAME, "the decoder keeps no longer frame");
const MAGIC: [u8; 3] = *b"SC\x01";

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Put these bytes on the line.
    Write(Vec<u8>),
    /// Somebody calls: what was before is void. Only on the waiting side.
    Opened,
    Message(Vec<u8>),
    /// Nobody answers.
    Broken,
}

/// One end of the line.
#[derive(Debug)]
pub struct Cable {
    /// Of the call under way.
    call: Option<u32>,
    waits: bool,
    repeat: Duration,
    decoder: Decoder,
    refused: u64,
    incoming: Incoming,
    outgoing: Outgoing,
}

#[derive(Debug, Default)]
struct Incoming {
    next: u8,
    held: Vec<u8>,
}

#[derive(Debug, Default)]
struct Outgoing {
    messages: VecDeque<Vec<u8>>,
    /// Of the first message, what is answered.
    sent: usize,
    number: u8,
    /// The other end knows of the call.
    open: bool,
    /// When the piece under way is sent again, and how often it was.
    again: Option<(Duration, u32)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open = 1,
    Piece,
    Last,
    Answer,
}

impl Cable {
    /// The calling end. `call`: a random number. `baud`: of the line.
    pub fn call(call: u32, baud: u32) -> Cable {
        Cable::new(Some(call), baud)
    }

    /// The waiting end.
    pub fn wait(baud: u32) -> Cable {
        Cable::new(None, baud)
    }

    fn new(call: Option<u32>, baud: u32) -> Cable {
        // Three times what a frame and its answer need, ten bits a byte.
        let bits = 10_000 * 3 * (LONGEST + HEAD + SUM + 6) as u64;
        let repeat = Duration::from_millis((bits / u64::from(baud.max(1))).clamp(100, 10_000));
        Cable {
            call,
            waits: call.is_none(),
            repeat,
            decoder: Decoder::default(),
            refused: 0,
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
        }
    }

    /// Frames that were not taken: garbled, of another call, or no frames of ours.
    pub fn refused(&self) -> u64 {
        self.refused + self.decoder.garbage()
    }

    /// Nothing is left to send, or nobody to send it to.
    pub fn idle(&self) -> bool {
        self.outgoing.messages.is_empty()
    }

    /// When to call [`Cable::tick`].
    pub fn deadline(&self) -> Option<Duration> {
        self.outgoing.again.map(|(at, _)| at)
    }

    /// Queues a message. One that is too long, one too many, or one while nobody has called is dropped: the attempt
    /// then ends by its time.
    pub fn send(&mut self, message: Vec<u8>, now: Duration) -> Vec<Act> {
        let fits = (1..=MAX_MESSAGE).contains(&message.len()) && self.outgoing.messages.len() < MOST_QUEUED;
        if self.call.is_none() || !fits {
            return Vec::new();
        }
        self.outgoing.messages.push_back(message);
        match self.outgoing.again {
            None => self.put(now, 1),
            Some(_) => Vec::new(),
        }
    }

    /// Sends again what was not answered.
    pub fn tick(&mut self, now: Duration) -> Vec<Act> {
        match self.outgoing.again {
            Some((at, tries)) if now >= at && tries >= TRIES => {
                self.outgoing = Outgoing::default();
                vec![Act::Broken]
            }
            Some((at, tries)) if now >= at => self.put(now, tries + 1),
            _ => Vec::new(),
        }
    }

    /// Takes bytes as the line delivers them.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) -> Vec<Act> {
        let mut frames = Vec::new();
        self.decoder.push(bytes, |frame| frames.push(frame.to_vec()));
        frames.iter().flat_map(|frame| self.frame(frame, now)).collect()
    }

    fn frame(&mut self, frame: &[u8], now: Duration) -> Vec<Act> {
        let Some((kind, call, number, piece)) = read(frame) else {
            self.refused += 1;
            return Vec::new();
        };
        let mut acts = Vec::new();
        if kind == Kind::Open && self.waits && self.call != Some(call) {
            self.call = Some(call);
            self.incoming = Incoming::default();
            self.outgoing = Outgoing::default();
            acts.push(Act::Opened);
        }
        if self.call != Some(call) || (kind == Kind::Open && !self.waits) {
            self.refused += 1;
            return acts;
        }
        if kind == Kind::Answer {
            acts.extend(self.answered(number, now));
            return acts;
        }
        if number.wrapping_add(1) == self.incoming.next {
            // Our answer was lost.
            acts.push(Act::Write(write(Kind::Answer, call, number, &[])));
            return acts;
        }
        if number != self.incoming.next {
            self.refused += 1;
            return acts;
        }
        self.incoming.next = number.wrapping_add(1);
        acts.push(Act::Write(write(Kind::Answer, call, number, &[])));
        // An opening has no piece.
        self.incoming.held.extend_from_slice(piece);
        if self.incoming.held.len() > MAX_MESSAGE {
            self.incoming.held = Vec::new();
        } else if kind == Kind::Last {
            acts.push(Act::Message(std::mem::take(&mut self.incoming.held)));
        }
        acts
    }

    fn answered(&mut self, number: u8, now: Duration) -> Vec<Act> {
        let out = &mut self.outgoing;
        if out.again.is_none() || number != out.number {
            return Vec::new();
        }
        out.again = None;
        out.number = number.wrapping_add(1);
        if !self.waits && !out.open {
            out.open = true;
            return self.put(now, 1);
        }
        out.sent += PIECE;
        if out.messages.front().is_some_and(|message| out.sent >= message.len()) {
            out.messages.pop_front();
            out.sent = 0;
        }
        self.put(now, 1)
    }

    /// Puts the next piece on the line, if there is one.
    fn put(&mut self, now: Duration, tries: u32) -> Vec<Act> {
        let out = &mut self.outgoing;
        let (Some(call), Some(message)) = (self.call, out.messages.front()) else { return Vec::new() };
        let rest = message.get(out.sent..).unwrap_or_default();
        let piece = rest.get(..PIECE).unwrap_or(rest);
        let last = piece.len() == rest.len();
        let frame = match (out.open || self.waits, last) {
            (false, _) => write(Kind::Open, call, out.number, &[]),
            (true, true) => write(Kind::Last, call, out.number, piece),
            (true, false) => write(Kind::Piece, call, out.number, piece),
        };
        out.again = Some((now.saturating_add(self.repeat), tries));
        vec![Act::Write(frame)]
    }
}

fn write(kind: Kind, call: u32, number: u8, piece: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(LONGEST);
    frame.extend_from_slice(&MAGIC);
    frame.push(kind as u8);
    frame.extend_from_slice(&call.to_be_bytes());
    frame.push(number);
    frame.extend_from_slice(piece);
    let sum = crc32fast::hash(&frame);
    frame.extend_from_slice(&sum.to_be_bytes());
    serial::encode(&frame)
}

fn read(frame: &[u8]) -> Option<(Kind, u32, u8, &[u8])> {
    let (contents, sum) = frame.split_last_chunk::<SUM>()?;
    if crc32fast::hash(contents) != u32::from_be_bytes(*sum) {
        return None;
    }
    let (kind, rest) = contents.strip_prefix(&MAGIC)?.split_first()?;
    let kind = match kind {
        1 => Kind::Open,
        2 => Kind::Piece,
        3 => Kind::Last,
        4 => Kind::Answer,
        _ => return None,
    };
    let (call, rest) = rest.split_first_chunk::<4>()?;
    let (number, piece) = rest.split_first()?;
    let right = match kind {
        Kind::Open | Kind::Answer => piece.is_empty(),
        Kind::Piece | Kind::Last => (1..=PIECE).contains(&piece.len()),
    };
    right.then_some((kind, u32::from_be_bytes(*call), *number, piece))
}
