//! Bytes of a frame: version, length, key number, contents, HMAC-SHA256. `docs/heartbeat-protocol.md` has the
//! layout; its examples are a test.
//!
//! [`Codec::open`] refuses whatever was not sealed with one of its keys; nothing of a frame is believed before.
//! It is stateless: what is old or played back is refused by [`crate::link`].

use crate::frame::{Frame, Lane, Lanes};
use crate::settings::{MAX_PATHS, NodeId};
use crate::word::{Rank, State, Word};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

pub const VERSION: u8 = 1;
/// Of the HMAC as many bytes travel (RFC 2104 section 5: half of the hash or more).
pub const TAG: usize = 16;
const MAGIC: [u8; 2] = *b"HB";
const HEAD: usize = 6;
const FIXED: usize = HEAD + 53;
/// What each path adds to a frame.
pub(crate) const LANE: usize = 7;
/// A frame without its lanes.
pub(crate) const FIXED_AND_TAG: usize = FIXED + TAG;
/// The longest frame.
pub const MAX_FRAME: usize = FIXED + MAX_PATHS * LANE + TAG;
/// The shortest: no lanes.
pub const MIN_FRAME: usize = FIXED + TAG;
/// The most keys at once: the one in use, and its successor or predecessor while keys rotate.
pub const MAX_KEYS: usize = 2;

/// A key of a pair.
#[derive(Clone)]
pub struct Key {
    pub id: u8,
    pub secret: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key {{ id: {}, secret: .. }}", self.id)
    }
}

/// Why bytes are no frame of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    Length,
    NotAFrame,
    Version,
    UnknownKey,
    Forged,
    /// Sealed with our key, but no frame of this version: the peer's software is at fault.
    Malformed,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Length => "it is too short or too long",
            Refused::NotAFrame => "it is not a heartbeat frame",
            Refused::Version => "it is of a version that this software does not know",
            Refused::UnknownKey => "its key is not known here",
            Refused::Forged => "its authentication is wrong",
            Refused::Malformed => "it is authentic but makes no sense",
        })
    }
}

impl std::error::Error for Refused {}

/// Seals and opens frames.
#[derive(Clone)]
pub struct Codec {
    /// The first one seals.
    keys: Vec<(u8, Hmac<Sha256>)>,
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

impl Codec {
    /// `seals` is used for what is sent; `also` is another that is accepted while keys rotate. To change keys,
    /// first let both nodes accept the new one, then let each seal with it, then forget the old.
    pub fn new(seals: &Key, also: Option<&Key>) -> Codec {
        let keyed = |key: &Key| (key.id, mac(&key.secret));
        Codec { keys: std::iter::once(seals).chain(also).map(keyed).collect() }
    }

    pub fn seal(&self, frame: &Frame) -> Vec<u8> {
        let (id, mac) = &self.keys[0];
        let mut bytes = Vec::with_capacity(MAX_FRAME);
        write(frame, *id, &mut bytes);
        let tag = mac.clone().chain_update(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&tag[..TAG]);
        bytes
    }

    pub fn open(&self, bytes: &[u8]) -> Result<Frame, Refused> {
        if !(MIN_FRAME..=MAX_FRAME).contains(&bytes.len()) {
            return Err(Refused::Length);
        }
        if bytes[..2] != MAGIC {
            return Err(Refused::NotAFrame);
        }
        if bytes[2] != VERSION {
            return Err(Refused::Version);
        }
        if usize::from(bytes[3]) != bytes.len() {
            return Err(Refused::Length);
        }
        let (_, mac) = self.keys.iter().find(|(id, _)| *id == bytes[4]).ok_or(Refused::UnknownKey)?;
        let (contents, tag) = bytes.split_at(bytes.len() - TAG);
        mac.clone().chain_update(contents).verify_truncated_left(tag).map_err(|_| Refused::Forged)?;
        read(contents).ok_or(Refused::Malformed)
    }
}

fn mac(secret: &[u8; 32]) -> Hmac<Sha256> {
    match Hmac::new_from_slice(secret) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length (RFC 2104 section 2)"),
    }
}

/// The flags, bit 0 first.
fn flags(word: &Word) -> [bool; 8] {
    [word.holds, word.fit, word.hot, word.maintenance, word.leaving, word.taking, word.asks, word.hears]
}

fn write(frame: &Frame, key: u8, out: &mut Vec<u8>) {
    let (word, lanes) = (&frame.word, frame.lanes.as_slice());
    let length = FIXED + lanes.len() * LANE + TAG;
    let from = match frame.from {
        NodeId::One => 1,
        NodeId::Two => 2,
    };
    let state = State::ALL.iter().position(|state| *state == word.state).unwrap_or(0);
    let flags = flags(word).iter().enumerate().fold(0, |bits, (n, flag)| bits | u8::from(*flag) << n);
    out.extend_from_slice(&MAGIC);
    // Both fit: the longest frame has 131 bytes, and there are nine states.
    out.extend_from_slice(&[VERSION, length as u8, key, from, state as u8, flags, word.pings, word.rank.merit]);
    out.extend_from_slice(&frame.boot.to_be_bytes());
    out.extend_from_slice(&frame.seq.to_be_bytes());
    for number in [word.epoch, word.rank.epoch, word.claim, word.grant, word.deadtime_ms] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    for nonce in [frame.nonce, frame.echo] {
        out.extend_from_slice(&nonce.to_be_bytes());
    }
    out.push(lanes.len() as u8);
    for lane in lanes {
        out.push(lane.path);
        for number in [lane.sent, lane.echo, lane.age] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

/// Takes numbers off the front of bytes.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }
}

fn read(contents: &[u8]) -> Option<Frame> {
    let mut r = Reader(contents.get(5..)?);
    let from = match r.u8()? {
        1 => NodeId::One,
        2 => NodeId::Two,
        _ => return None,
    };
    let state = *State::ALL.get(usize::from(r.u8()?))?;
    let flags = r.u8()?;
    let flag = |n: u8| flags >> n & 1 == 1;
    let pings = r.u8()?;
    let merit = r.u8()?;
    if merit > 3 {
        return None;
    }
    let (boot, seq, epoch) = (r.u32()?, r.u64()?, r.u32()?);
    let rank = Rank { epoch: r.u32()?, merit };
    let (claim, grant, deadtime_ms) = (r.u32()?, r.u32()?, r.u32()?);
    let (nonce, echo) = (r.u64()?, r.u64()?);
    let mut lanes = Lanes::default();
    for _ in 0..r.u8()? {
        let lane = Lane { path: r.u8()?, sent: r.u16()?, echo: r.u16()?, age: r.u16()? };
        if usize::from(lane.path) >= MAX_PATHS || lanes.of(lane.path).is_some() || !lanes.push(lane) {
            return None;
        }
    }
    let word = Word {
        state,
        holds: flag(0),
        fit: flag(1),
        hot: flag(2),
        maintenance: flag(3),
        leaving: flag(4),
        taking: flag(5),
        asks: flag(6),
        hears: flag(7),
        pings,
        epoch,
        rank,
        claim,
        grant,
        deadtime_ms,
    };
    r.0.is_empty().then_some(Frame { from, boot, seq, nonce, echo, word, lanes })
}
