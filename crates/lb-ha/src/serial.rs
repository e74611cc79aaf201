//! Frames on a serial line: consistent overhead byte stuffing (COBS, Cheshire and Baker 1999) between zero bytes.
//!
//! The line has no packets and may begin, end or garble anywhere; after a zero byte the next frame is found
//! again. The decoder keeps at most one frame. Tested with garbage and cuts at every byte.

use crate::codec::MAX_FRAME;

/// The longest frame as it travels: one byte of overhead (frames are shorter than 254), and a zero at each end.
pub const MAX_ON_LINE: usize = MAX_FRAME + 3;

/// The bytes to write for one frame.
pub fn encode(frame: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(frame.len() + 3);
    // The leading zero ends whatever noise came before.
    out.push(0);
    let mut code_at = out.len();
    out.push(1);
    for &byte in frame {
        if byte != 0 {
            out.push(byte);
            out[code_at] += 1;
        }
        if byte == 0 || out[code_at] == u8::MAX {
            code_at = out.len();
            out.push(1);
        }
    }
    out.push(0);
    out
}

/// Finds frames in what a line delivers.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    held: Vec<u8>,
    /// Longer than any frame: skip to the next zero.
    overrun: bool,
    garbage: u64,
}

impl Decoder {
    /// Takes bytes as they came and gives each complete frame to `frame`. Whether it is one, the codec says.
    pub fn push(&mut self, bytes: &[u8], mut frame: impl FnMut(&[u8])) {
        for &byte in bytes {
            if byte != 0 {
                if self.held.len() < MAX_ON_LINE {
                    self.held.push(byte);
                } else {
                    self.overrun = true;
                }
                continue;
            }
            if !self.held.is_empty() {
                match unstuff(&self.held) {
                    Some(plain) if !self.overrun => frame(&plain),
                    _ => self.garbage += 1,
                }
            }
            self.held.clear();
            self.overrun = false;
        }
    }

    /// How many runs of bytes were no frame.
    pub fn garbage(&self) -> u64 {
        self.garbage
    }
}

fn unstuff(stuffed: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(stuffed.len());
    let mut rest = stuffed;
    while let Some((&code, tail)) = rest.split_first() {
        let (block, next) = tail.split_at_checked(usize::from(code) - 1)?;
        plain.extend_from_slice(block);
        if code != u8::MAX && !next.is_empty() {
            plain.push(0);
        }
        rest = next;
    }
    Some(plain)
}
