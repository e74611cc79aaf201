//! From the code and both shares to keys: SPAKE2, then HKDF-SHA256 over what travelled.

use super::{Failure, message::SHARE};
use crate::{Seed, code::Code};
use chacha20poly1305::{
    ChaCha20Poly1305, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use spake2::{
    Ed25519Group, Identity, Password, Spake2,
    rand_core::{Infallible, TryCryptoRng, TryRng},
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Caller,
    Waiter,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Caller => Side::Waiter,
            Side::Waiter => Side::Caller,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Side::Caller => "caller",
            Side::Waiter => "waiter",
        }
    }
}

/// One side's half of a key exchange.
pub struct Exchange {
    side: Side,
    spake: Spake2<Ed25519Group>,
    pub share: [u8; SHARE],
}

impl Exchange {
    pub fn start(side: Side, code: &Code, seed: Seed) -> Exchange {
        let password = Password::new(code.password());
        let name = |side: Side| format!("steelyard pairing 1, {}, {}", code.way(), side.name());
        let (caller, waiter) = (name(Side::Caller), name(Side::Waiter));
        let (caller, waiter) = (Identity::new(caller.as_bytes()), Identity::new(waiter.as_bytes()));
        let start = match side {
            Side::Caller => Spake2::start_a_with_rng,
            Side::Waiter => Spake2::start_b_with_rng,
        };
        let (spake, share) = start(&password, &caller, &waiter, Expanded { seed, blocks: 0 });
        let Ok(share) = <[u8; SHARE]>::try_from(share) else {
            unreachable!("a share over Ed25519 is a byte for the side and a compressed point");
        };
        Exchange { side, spake, share }
    }

    /// `first` and `second` are messages 1 and 2 as they travelled.
    pub fn finish(self, their_share: &[u8; SHARE], first: &[u8], second: &[u8]) -> Result<Keys, Failure> {
        let secret = Zeroizing::new(self.spake.finish(their_share).map_err(|_| Failure::OutOfPlace)?);
        let mut transcript = Sha256::new();
        for message in [first, second] {
            transcript.update((message.len() as u64).to_be_bytes());
            transcript.update(message);
        }
        let transcript: [u8; 32] = transcript.finalize().into();
        let hkdf = Hkdf::<Sha256>::new(Some(&transcript), &secret);
        let key = |side: Side, what: &str| expand(&hkdf, &format!("{} {what}", side.name()));
        Ok(Keys {
            mine: key(self.side, "proof"),
            theirs: key(self.side.other(), "proof"),
            seal: key(self.side, "seal"),
            open: key(self.side.other(), "seal"),
            heartbeat: expand(&hkdf, "heartbeat"),
            transcript,
        })
    }
}

fn expand(hkdf: &Hkdf<Sha256>, what: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    match hkdf.expand_multi_info(&[b"steelyard pairing 1, ", what.as_bytes()], &mut *key) {
        Ok(()) => key,
        Err(_) => unreachable!("32 bytes are less than 255 hashes (RFC 5869, section 2.3)"),
    }
}

/// What a finished exchange gives; worthless until the other side's proof was right.
pub struct Keys {
    mine: Zeroizing<[u8; 32]>,
    theirs: Zeroizing<[u8; 32]>,
    seal: Zeroizing<[u8; 32]>,
    open: Zeroizing<[u8; 32]>,
    pub heartbeat: Zeroizing<[u8; 32]>,
    transcript: [u8; 32],
}

impl Keys {
    pub fn proof(&self) -> &[u8; 32] {
        &self.mine
    }

    pub fn proves(&self, proof: &[u8; 32]) -> bool {
        self.theirs.ct_eq(proof).into()
    }

    /// `number`: 0 for the first that this side seals, then 1. No number twice.
    pub fn seal(&self, number: u8, plain: &[u8]) -> Vec<u8> {
        let payload = Payload { msg: plain, aad: &self.transcript };
        match ChaCha20Poly1305::new((&*self.seal).into()).encrypt(&nonce(number), payload) {
            Ok(sealed) => sealed,
            Err(_) => unreachable!("a message is shorter than the cipher's limit of 256 GB (RFC 8439, section 2.8)"),
        }
    }

    pub fn open(&self, number: u8, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let payload = Payload { msg: sealed, aad: &self.transcript };
        ChaCha20Poly1305::new((&*self.open).into()).decrypt(&nonce(number), payload).ok().map(Zeroizing::new)
    }
}

fn nonce(number: u8) -> Nonce {
    let mut nonce = [0; 12];
    nonce[11] = number;
    nonce.into()
}

/// The seed, stretched: SHA-256 of seed and block number.
struct Expanded {
    seed: Seed,
    blocks: u64,
}

impl TryRng for Expanded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        for part in to.chunks_mut(32) {
            let block = Sha256::new().chain_update(*self.seed).chain_update(self.blocks.to_be_bytes()).finalize();
            self.blocks += 1;
            part.copy_from_slice(&block[..part.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Expanded {}
