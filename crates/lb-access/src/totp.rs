//! One-time codes: RFC 6238 with SHA-1, 30 s, 6 digits (what every authenticator app speaks). Pure.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use std::fmt;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Seconds that a code is for.
const STEP: u64 = 30;
/// Codes of this many steps before and after are right too.
const WINDOW: u64 = 1;
/// RFC 4226 section 4 asks for 160 bits.
pub const SECRET_BYTES: usize = 20;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The secret shared with an authenticator app, as base32. Not printed by `{:?}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Secret([u8; SECRET_BYTES]);

impl Secret {
    pub fn new(bytes: [u8; SECRET_BYTES]) -> Secret {
        Secret(bytes)
    }

    /// Base32 (RFC 4648 section 6); 20 bytes need no padding.
    pub fn base32(&self) -> String {
        let mut text = String::with_capacity(32);
        for five in self.0.chunks(5) {
            let bits = five.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            for shift in (0..8).rev() {
                text.push(char::from(ALPHABET[(bits >> (5 * shift) & 31) as usize]));
            }
        }
        text
    }

    /// What the QR code says (the key URI format of authenticator apps).
    pub fn uri(&self, user: &str, unit: &str) -> String {
        let (user, unit) = (escape(user), escape(unit));
        format!("otpauth://totp/Steelyard:{user}@{unit}?secret={}&issuer=Steelyard", self.base32())
    }

    /// The code of a step.
    fn code(&self, step: u64) -> u32 {
        let Ok(mac) = Hmac::<Sha1>::new_from_slice(&self.0) else { unreachable!("HMAC takes a key of any length") };
        let digest = mac.chain_update(step.to_be_bytes()).finalize().into_bytes();
        // RFC 4226 section 5.3.
        let at = usize::from(digest[19] & 15);
        let bytes = [digest[at] & 0x7f, digest[at + 1], digest[at + 2], digest[at + 3]];
        u32::from_be_bytes(bytes) % 1_000_000
    }

    /// The step that a code belongs to, if it is right at `now` and later than `used`: each code counts once.
    pub fn check(&self, code: &str, now: u64, used: u64) -> Option<u64> {
        let code = parse(code)?;
        let step = now / STEP;
        // A code used in the future: the clock was set back.
        let used = if used > step + WINDOW { 0 } else { used };
        let mut found = 0u64;
        for candidate in step.saturating_sub(WINDOW)..=step + WINDOW {
            let right: Choice = self.code(candidate).ct_eq(&code);
            found.conditional_assign(&candidate, right);
        }
        (found > used).then_some(found)
    }
}

/// The code that an app shows for a base32 secret; `None` when it is none. (What tests log in with.)
pub fn code_at(secret: &str, now: u64) -> Option<String> {
    let secret = Secret::try_from(secret.to_owned()).ok()?;
    Some(format!("{:06}", secret.code(now / STEP)))
}

/// Six digits; apps show them with a space in the middle.
fn parse(code: &str) -> Option<u32> {
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Percent-encodes everything but letters, digits, `-`, `.`, `_`.
fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(b).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> String {
        secret.base32()
    }
}

impl TryFrom<String> for Secret {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Secret, &'static str> {
        const WRONG: &str = "a TOTP secret is 32 letters and digits of base32";
        if text.len() != 32 {
            return Err(WRONG);
        }
        let mut bytes = [0; SECRET_BYTES];
        for (five, eight) in bytes.chunks_mut(5).zip(text.as_bytes().chunks(8)) {
            let mut bits = 0u64;
            for letter in eight {
                let value = ALPHABET.iter().position(|a| a == letter).ok_or(WRONG)?;
                bits = bits << 5 | value as u64;
            }
            five.copy_from_slice(&bits.to_be_bytes()[3..]);
        }
        Ok(Secret(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code_at(secret: &Secret, now: u64) -> String {
        super::code_at(&secret.base32(), now).unwrap()
    }

    /// RFC 6238 appendix B, its SHA-1 rows; ours are the last six of its eight digits.
    #[test]
    fn codes_are_those_of_rfc_6238() {
        let secret = Secret::new(*b"12345678901234567890");
        let table = [
            (59, "94287082"),
            (1111111109, "07081804"),
            (1111111111, "14050471"),
            (1234567890, "89005924"),
            (2000000000, "69279037"),
            (20000000000, "65353130"),
        ];
        for (time, code) in table {
            assert_eq!(code_at(&secret, time), code[2..], "at {time}");
            assert_eq!(secret.check(&code[2..], time, 0), Some(time / 30));
        }
    }

    #[test]
    fn a_code_is_right_for_one_step_on_either_side() {
        let secret = Secret::new(*b"12345678901234567890");
        let code = code_at(&secret, 3000);
        for (now, right) in [(2940, false), (2970, true), (3000, true), (3029, true), (3059, true), (3060, false)] {
            assert_eq!(secret.check(&code, now, 0).is_some(), right, "at {now}");
        }
    }

    #[test]
    fn each_code_counts_once_and_never_an_older_one_after_it() {
        let secret = Secret::new(*b"12345678901234567890");
        let used = secret.check(&code_at(&secret, 3000), 3000, 0).unwrap();
        assert_eq!(secret.check(&code_at(&secret, 3000), 3010, used), None);
        assert_eq!(secret.check(&code_at(&secret, 2970), 3010, used), None);
        assert!(secret.check(&code_at(&secret, 3030), 3030, used).is_some());
    }

    #[test]
    fn codes_are_six_digits_with_any_spaces() {
        let secret = Secret::new(*b"12345678901234567890");
        assert!(secret.check("287 082 ", 59, 0).is_some());
        for nonsense in ["", "87082", "0287082", "28708a", "+87082", "٢٨٧٠٨٢"] {
            assert_eq!(secret.check(nonsense, 59, 0), None, "{nonsense}");
        }
    }

    #[test]
    fn the_uri_is_what_apps_scan_and_secrets_are_not_printed() {
        let secret = Secret::new(*b"12345678901234567890");
        assert_eq!(
            secret.uri("ops", "lb master"),
            "otpauth://totp/Steelyard:ops@lb%20master?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Steelyard"
        );
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    proptest! {
        #[test]
        fn base32_comes_back(bytes: [u8; 20]) {
            let secret = Secret::new(bytes);
            prop_assert_eq!(Secret::try_from(secret.base32()), Ok(secret));
        }
    }
}
