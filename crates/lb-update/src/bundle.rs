//! The file: a head of three lines, then the payload. The head is read whole and believed only when it is signed; what
//! is signed is its first two lines, so that a signature of another format never counts.

use crate::{
    keys::{PublicKey, SigningKey},
    manifest::{Manifest, Refusal, printable},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ring::digest::{Context, SHA256};
use std::{
    fmt::Write as _,
    io::{self, Read, Write},
};

/// First word of a bundle, and its format.
const MAGIC: &str = "steelyard-update";
const FORMAT: &str = "1";
/// No head is longer; a manifest has some 300 bytes.
const HEAD_LIMIT: usize = 8192;
/// What is read and written at once, bytes.
pub const CHUNK: usize = 1 << 20;

/// A head that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub manifest: Manifest,
    /// Name of the key that signed it.
    pub key: String,
    /// Where the payload begins, bytes.
    pub payload_at: u64,
}

/// Reads the head from the beginning of a bundle.
pub fn read_head(reader: impl Read, keys: &[PublicKey]) -> io::Result<Result<Head, Refusal>> {
    let mut bytes = Vec::new();
    reader.take(HEAD_LIMIT as u64).read_to_end(&mut bytes)?;
    Ok(parse_head(&bytes, keys))
}

fn parse_head(bytes: &[u8], keys: &[PublicKey]) -> Result<Head, Refusal> {
    if !bytes.starts_with(MAGIC.as_bytes()) {
        return Err(Refusal::NotABundle);
    }
    let mut ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let short = || Refusal::Head(format!("it has fewer than three lines in its first {HEAD_LIMIT} bytes"));
    let (Some(first), Some(second), Some(third)) = (ends.next(), ends.next(), ends.next()) else {
        return Err(short());
    };
    let text = |range| std::str::from_utf8(&bytes[range]).map_err(|_| Refusal::Head("it is not text".into()));
    let (magic, manifest, signature) = (text(0..first)?, text(first..second)?, text(second..third)?);
    match magic.trim_end().split_once(' ') {
        Some((MAGIC, FORMAT)) => {}
        Some((MAGIC, other)) => return Err(Refusal::OtherFormat(printable(other))),
        _ => return Err(Refusal::NotABundle),
    }
    let Some((name, signature)) = signature.trim_end().split_once(' ') else {
        return Err(Refusal::Head("its third line is not a key's name and a signature".into()));
    };
    let key = keys.iter().find(|key| key.name == name).ok_or_else(|| Refusal::UnknownKey(printable(name)))?;
    let signature = BASE64.decode(signature).map_err(|_| Refusal::Signature)?;
    if !key.signed(&bytes[..second], &signature) {
        return Err(Refusal::Signature);
    }
    let manifest = serde_json::from_str(manifest).map_err(|error| Refusal::Head(error.to_string()))?;
    Ok(Head { manifest, key: key.name.clone(), payload_at: third as u64 })
}

/// The three lines for `manifest`.
pub fn head(manifest: &Manifest, key: &SigningKey) -> serde_json::Result<Vec<u8>> {
    let mut head = format!("{MAGIC} {FORMAT}\n{}\n", serde_json::to_string(manifest)?);
    let signature = BASE64.encode(key.sign(head.as_bytes()));
    let _ = writeln!(head, "{} {signature}", key.name);
    Ok(head.into_bytes())
}

/// Writes a bundle of the payload, packed already, that `manifest` was made for.
pub fn write_bundle(
    manifest: &Manifest,
    key: &SigningKey,
    payload: &mut impl Read,
    to: &mut impl Write,
) -> io::Result<()> {
    to.write_all(&head(manifest, key)?)?;
    io::copy(payload, to)?;
    to.flush()
}

/// SHA-256 of `size` bytes of `reader` in hexadecimal, and how many bytes there were: fewer when it ends early.
/// `each` gets what was read, and may refuse to go on.
pub fn hash(
    reader: &mut impl Read,
    size: u64,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(String, u64)> {
    let mut context = Context::new(&SHA256);
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut done = 0;
    while done < size {
        chunk.clear();
        reader.by_ref().take((size - done).min(CHUNK as u64)).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            break;
        }
        context.update(&chunk);
        done += chunk.len() as u64;
        each(&chunk)?;
    }
    let mut text = String::with_capacity(64);
    for byte in context.finish().as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    Ok((text, done))
}

#[cfg(test)]
mod tests;
