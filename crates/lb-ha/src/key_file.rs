//! The file with the pair's keys: `/data/pair/heartbeat.keys`, mode 0600, written when the pair is made.
//!
//! One key a line: what it is for, its number, its 32 bytes in hexadecimal. `seal` once: what is sent is sealed with
//! it. `accept` at most once: another that is believed while keys rotate. Empty lines and `#` comments are skipped.
//!
//! ```text
//! seal 1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
//! accept 2 …
//! ```
//!
//! Errors name the line, never what stands in it.

use crate::codec::Key;
use std::fmt;
use zeroize::Zeroizing;

/// The keys of a pair.
#[derive(Debug, Clone)]
pub struct Keys {
    pub seal: Key,
    pub accept: Option<Key>,
}

/// What is wrong with the file, and on which line (from 1; 0 = the file as a whole).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFileError {
    pub line: usize,
    pub reason: &'static str,
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(self.reason),
            line => write!(f, "line {line}: {}", self.reason),
        }
    }
}

impl std::error::Error for KeyFileError {}

impl Keys {
    pub fn parse(text: &str) -> Result<Keys, KeyFileError> {
        let (mut seal, mut accept) = (None::<Key>, None::<Key>);
        for (line, words) in (1..).zip(text.lines()) {
            let error = |reason| KeyFileError { line, reason };
            let words = words.split('#').next().unwrap_or_default();
            let words: Vec<&str> = words.split_ascii_whitespace().collect();
            let [use_, id, secret] = words[..] else {
                if words.is_empty() {
                    continue;
                }
                return Err(error("expected: seal or accept, the key's number, 64 hexadecimal digits"));
            };
            let id = id.parse().map_err(|_| error("the key's number must be 0 to 255"))?;
            let secret = unhex(secret).ok_or(error("a key is 64 hexadecimal digits"))?;
            let place = match use_ {
                "seal" => &mut seal,
                "accept" => &mut accept,
                _ => return Err(error("a key is for seal or for accept")),
            };
            if place.replace(Key { id, secret }).is_some() {
                return Err(error("there is one such key already"));
            }
        }
        let seal = seal.ok_or(KeyFileError { line: 0, reason: "there is no key to seal with" })?;
        if accept.as_ref().is_some_and(|accept| accept.id == seal.id) {
            return Err(KeyFileError { line: 0, reason: "both keys have the same number" });
        }
        Ok(Keys { seal, accept })
    }

    /// The file's text.
    pub fn print(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(256));
        let lines = [("seal", Some(&self.seal)), ("accept", self.accept.as_ref())];
        for (use_, key) in lines.into_iter().filter_map(|(use_, key)| Some((use_, key?))) {
            text.push_str(&format!("{use_} {} ", key.id));
            for byte in key.secret.iter() {
                for digit in [byte >> 4, byte & 15] {
                    text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
                }
            }
            text.push('\n');
        }
        text
    }
}

fn unhex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut secret = Zeroizing::new([0; 32]);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != secret.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in secret.iter_mut().zip(pairs) {
        for digit in pair {
            *byte = *byte << 4 | u8::try_from(char::from(*digit).to_digit(16)?).ok()?;
        }
    }
    Some(secret)
}
