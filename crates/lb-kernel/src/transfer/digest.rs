//! What two tables have in common, without sending either.
//!
//! An entry's fingerprint is SipHash-2-4 of what identifies it: protocol, client, virtual and real server, whether it
//! is a template; not its state, nor what it has left. Keyed anew for every transfer, so that no client can open
//! connections that look alike.

use crate::Connection;
use std::net::{IpAddr, SocketAddr};

/// Random, and the same on both sides of one transfer.
pub type DigestKey = [u64; 2];

/// Buckets of a digest: at a million entries some 250 each, so that one lost message costs 40 buckets' fingerprints.
const BUCKETS: usize = 4096;

/// How many entries a table has in each bucket, and the sum of their fingerprints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(Vec<(u32, u64)>);

impl Default for Digest {
    fn default() -> Self {
        Digest(vec![(0, 0); BUCKETS])
    }
}

impl Digest {
    pub fn add(&mut self, fingerprint: u64) {
        let (count, sum) = &mut self.0[usize::from(bucket(fingerprint))];
        *count = count.wrapping_add(1);
        *sum = sum.wrapping_add(fingerprint);
    }

    pub fn entries(&self) -> u64 {
        self.0.iter().map(|(count, _)| u64::from(*count)).sum()
    }

    /// The buckets in which the two are not the same.
    pub fn differing(&self, other: &Digest) -> Vec<u16> {
        (0u16..).zip(self.0.iter().zip(&other.0)).filter(|(_, (a, b))| a != b).map(|(at, _)| at).collect()
    }

    /// 48 KiB, big-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(count, sum)| count.to_be_bytes().into_iter().chain(sum.to_be_bytes())).collect()
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Digest> {
        let (rows, []) = bytes.as_chunks::<12>() else { return None };
        let row = |[a, b, c, d, sum @ ..]: &[u8; 12]| (u32::from_be_bytes([*a, *b, *c, *d]), u64::from_be_bytes(*sum));
        (rows.len() == BUCKETS).then(|| Digest(rows.iter().map(row).collect()))
    }
}

/// The fingerprints of a table's entries, in some buckets or in all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held(Vec<u64>);

impl Held {
    /// More entries than this are not held: at eight bytes each, 32 MiB.
    pub const MOST: usize = 4 << 20;

    /// In any order.
    pub fn new(mut fingerprints: Vec<u64>) -> Held {
        fingerprints.sort_unstable();
        fingerprints.dedup();
        Held(fingerprints)
    }

    /// Both together, as far as they are held.
    pub(crate) fn and(self, other: Held) -> Held {
        let mut all = self.0;
        all.extend(other.0.into_iter().take(Held::MOST.saturating_sub(all.len())));
        Held::new(all)
    }

    pub fn contains(&self, fingerprint: u64) -> bool {
        self.0.binary_search(&fingerprint).is_ok()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|f| f.to_be_bytes()).collect()
    }

    /// `None` for what is no list of fingerprints, or longer than [`Held::MOST`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Held> {
        let (all, []) = bytes.as_chunks::<8>() else { return None };
        (all.len() <= Held::MOST).then(|| Held::new(all.iter().map(|f| u64::from_be_bytes(*f)).collect()))
    }
}

pub(crate) fn bucket(fingerprint: u64) -> u16 {
    // The upper bits: the sums mix the lower ones.
    (fingerprint >> 52) as u16
}

pub(crate) fn fingerprint(key: DigestKey, connection: &Connection<'_>) -> u64 {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(connection.protocol.as_bytes());
    bytes.push(u8::from(connection.is_template()));
    for socket in [connection.client, connection.virtual_server, connection.real_server] {
        put(&mut bytes, socket);
    }
    siphash(key, &bytes)
}

fn put(bytes: &mut Vec<u8>, socket: SocketAddr) {
    match socket.ip() {
        IpAddr::V4(ip) => bytes.extend([4].into_iter().chain(ip.octets())),
        IpAddr::V6(ip) => bytes.extend([6].into_iter().chain(ip.octets())),
    }
    bytes.extend(socket.port().to_be_bytes());
}

/// SipHash-2-4 (Aumasson and Bernstein, 2012). The standard library's is of no promised version, and two units of a
/// pair may run different releases.
pub(super) fn siphash([k0, k1]: DigestKey, bytes: &[u8]) -> u64 {
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = bytes.len() as u8;
    for word in words.iter().chain([&last]) {
        let word = u64::from_le_bytes(*word);
        v[3] ^= word;
        round(&mut v);
        round(&mut v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

/// A set of buckets.
pub(crate) struct Buckets(Vec<bool>);

impl Buckets {
    pub(crate) fn new(buckets: &[u16]) -> Buckets {
        let mut set = vec![false; BUCKETS];
        for bucket in buckets {
            if let Some(in_it) = set.get_mut(usize::from(*bucket)) {
                *in_it = true;
            }
        }
        Buckets(set)
    }

    /// The numbers of all there are.
    pub(crate) fn all() -> Vec<u16> {
        (0u16..).take(BUCKETS).collect()
    }

    pub(crate) fn contains(&self, fingerprint: u64) -> bool {
        self.0[usize::from(bucket(fingerprint))]
    }
}
