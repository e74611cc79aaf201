//! How revisions and the candidate lie in sled's trees, byte by byte.
//!
//! Every value is `crc32 (4 bytes, little endian) || payload`, the CRC taken over tree name, key
//! and payload, so that a value under a wrong key is noticed too. Documents are cut into chunks of
//! [`CHUNK`] bytes. Numbers in keys are big endian: sled's order is the order of revisions.
//!
//! | tree | key | payload |
//! |---|---|---|
//! | meta | `head` | [`Head`] as JSON |
//! | candidate | chunk number, 4 bytes | 0: [`CandidateHead`] as JSON; 1..: document |
//! | history | revision, 8 bytes; chunk number, 4 bytes | 0: [`RevisionHead`] as JSON; 1..: document |

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::types::{Candidate, Confirm, Revision, RevisionMeta};

/// What this version writes, and the newest that it reads.
pub const SCHEMA: u32 = 1;

/// Bytes of document per value. sled splits a leaf at more than 16 values, whatever their size,
/// and writes a leaf of more than a quarter segment (16 KiB) into a file of its own that it never
/// syncs. 17 values of this size stay below.
pub const CHUNK: usize = 768;

pub const HEAD_KEY: &[u8] = b"head";

/// The three trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    Meta,
    Candidate,
    History,
}

impl Tree {
    pub fn name(self) -> &'static str {
        match self {
            Tree::Meta => "meta",
            Tree::Candidate => "candidate",
            Tree::History => "history",
        }
    }
}

/// The sentinel: without it a directory is no store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub schema: u32,
    /// Tells this store from any other; the copies carry it too.
    pub store: String,
    /// Grows with every change of the running revision or its confirm window.
    pub generation: u64,
    pub running: Option<u64>,
    pub confirm: Option<Confirm>,
    /// The etag given out last.
    pub etag: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionHead {
    #[serde(flatten)]
    pub meta: RevisionMeta,
    /// Bytes of the document.
    pub length: u64,
    /// CRC-32 of the document.
    pub crc: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CandidateHead {
    base: u64,
    etag: u64,
    author: String,
    time: u64,
    length: u64,
    crc: u32,
}

/// All that a store holds, in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub head: Head,
    pub history: BTreeMap<u64, Revision>,
    pub candidate: Option<Candidate>,
}

/// One change of one key; no value = remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub tree: Tree,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

fn crc(tree: Tree, key: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(tree.name().as_bytes());
    hasher.update(&[u8::try_from(key.len()).unwrap_or(u8::MAX)]);
    hasher.update(key);
    hasher.update(payload);
    hasher.finalize()
}

fn put(tree: Tree, key: Vec<u8>, payload: &[u8]) -> Change {
    let mut value = Vec::with_capacity(4 + payload.len());
    value.extend_from_slice(&crc(tree, &key, payload).to_le_bytes());
    value.extend_from_slice(payload);
    Change { tree, key, value: Some(value) }
}

fn remove(tree: Tree, key: Vec<u8>) -> Change {
    Change { tree, key, value: None }
}

/// The payload of a value, or what is wrong with it.
pub fn payload<'a>(tree: Tree, key: &[u8], value: &'a [u8]) -> Result<&'a [u8], String> {
    let Some((sum, payload)) = value.split_first_chunk::<4>() else {
        return Err(format!("{} {}: value too short", tree.name(), hex(key)));
    };
    if u32::from_le_bytes(*sum) != crc(tree, key, payload) {
        return Err(format!("{} {}: checksum differs", tree.name(), hex(key)));
    }
    Ok(payload)
}

/// Parse a JSON payload.
pub fn parse<T: DeserializeOwned>(what: &str, payload: &[u8]) -> Result<T, String> {
    serde_json::from_slice(payload).map_err(|e| format!("{what}: {e}"))
}

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

// The types above are plain structs with string keys: they always serialise.
fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

pub fn history_key(number: u64, chunk: u32) -> Vec<u8> {
    let mut key = number.to_be_bytes().to_vec();
    key.extend_from_slice(&chunk.to_be_bytes());
    key
}

/// Chunks of a document of this length.
pub fn chunks(length: u64) -> u32 {
    u32::try_from(length.div_ceil(CHUNK as u64)).unwrap_or(u32::MAX)
}

pub fn put_head(head: &Head) -> Change {
    put(Tree::Meta, HEAD_KEY.to_vec(), &json(head))
}

/// A document as it is stored. The same settings stand in it again and again: LZ4 makes about a tenth of it, and
/// writing is what a commit costs.
fn packed(document: &str) -> Vec<u8> {
    lz4_flex::compress_prepend_size(document.as_bytes())
}

pub fn put_revision(revision: &Revision, out: &mut Vec<Change>) -> RevisionHead {
    let document = packed(&revision.document);
    let head = RevisionHead { meta: revision.meta(), length: document.len() as u64, crc: crc32fast::hash(&document) };
    out.push(put(Tree::History, history_key(revision.number, 0), &json(&head)));
    for (chunk, bytes) in (1u32..).zip(document.chunks(CHUNK)) {
        out.push(put(Tree::History, history_key(revision.number, chunk), bytes));
    }
    head
}

pub fn remove_revision(head: &RevisionHead, out: &mut Vec<Change>) {
    for chunk in 0..=chunks(head.length) {
        out.push(remove(Tree::History, history_key(head.meta.number, chunk)));
    }
}

/// Replace `old` by `new`: chunks that are left over go.
pub fn put_candidate(new: Option<&Candidate>, old: Option<&Candidate>, out: &mut Vec<Change>) {
    let mut keep_below = 0;
    if let Some(candidate) = new {
        let document = packed(&candidate.document);
        let head = CandidateHead {
            base: candidate.base,
            etag: candidate.etag,
            author: candidate.author.clone(),
            time: candidate.time,
            length: document.len() as u64,
            crc: crc32fast::hash(&document),
        };
        out.push(put(Tree::Candidate, 0u32.to_be_bytes().to_vec(), &json(&head)));
        for (chunk, bytes) in (1u32..).zip(document.chunks(CHUNK)) {
            out.push(put(Tree::Candidate, chunk.to_be_bytes().to_vec(), bytes));
        }
        keep_below = chunks(head.length) + 1;
    }
    if let Some(candidate) = old {
        for chunk in keep_below..=chunks(packed(&candidate.document).len() as u64) {
            out.push(remove(Tree::Candidate, chunk.to_be_bytes().to_vec()));
        }
    }
}

/// Put a document together again.
pub fn document(
    what: &str,
    length: u64,
    crc: u32,
    mut next: impl FnMut(u32) -> Result<Option<Vec<u8>>, String>,
) -> Result<Arc<str>, String> {
    let mut bytes = Vec::new();
    for chunk in 1..=chunks(length) {
        match next(chunk)? {
            Some(part) => bytes.extend_from_slice(&part),
            None => return Err(format!("{what}: chunk {chunk} is missing")),
        }
    }
    if bytes.len() as u64 != length || crc32fast::hash(&bytes) != crc {
        return Err(format!("{what}: the document's checksum differs"));
    }
    let text = lz4_flex::decompress_size_prepended(&bytes).map_err(|e| format!("{what}: {e}"))?;
    String::from_utf8(text).map(Into::into).map_err(|e| format!("{what}: {e}"))
}

pub fn revision(head: RevisionHead, document: Arc<str>) -> Revision {
    let RevisionMeta { number, parent, time, author, comment, tag } = head.meta;
    Revision { number, parent, time, author, comment, tag, document }
}

/// Read the candidate out of its tree's values.
pub fn candidate(mut value: impl FnMut(u32) -> Result<Option<Vec<u8>>, String>) -> Result<Option<Candidate>, String> {
    let Some(head) = value(0)? else {
        return Ok(None);
    };
    let head: CandidateHead = parse("candidate", &head)?;
    let document = document("candidate", head.length, head.crc, value)?;
    Ok(Some(Candidate { base: head.base, etag: head.etag, author: head.author, time: head.time, document }))
}

/// The changes that turn an empty store into `contents`.
pub fn put_all(contents: &Contents) -> Vec<Change> {
    let mut out = vec![put_head(&contents.head)];
    for revision in contents.history.values() {
        put_revision(revision, &mut out);
    }
    put_candidate(contents.candidate.as_ref(), None, &mut out);
    out
}
