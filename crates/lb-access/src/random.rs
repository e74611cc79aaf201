//! Secrets: random numbers from the kernel, how they are written, compared and looked up.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::refusal::Failure;

pub fn bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Failure::Resources)?;
    Ok(bytes)
}

/// `N` random bytes as base64url: 32 bytes are 43 characters.
pub fn word<const N: usize>() -> Result<String, Failure> {
    Ok(URL_SAFE_NO_PAD.encode(bytes::<N>()?))
}

/// What is kept of a secret word.
pub type Fingerprint = [u8; 32];

pub fn fingerprint(secret: &str) -> Fingerprint {
    Sha256::digest(secret.as_bytes()).into()
}

/// Compares without telling by its time where the difference is. (The length of what is compared is no secret.)
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}
