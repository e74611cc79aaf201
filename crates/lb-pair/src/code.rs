//! The short code that the waiting unit shows and the calling one is told; or the cable instead of it.

use std::{fmt, str::FromStr};
use zeroize::Zeroizing;

/// Digits of a code.
pub const DIGITS: usize = 8;

/// What both units must know to become a pair.
#[derive(Clone, PartialEq, Eq)]
pub enum Code {
    /// Over a null-modem cable: whoever holds its other end is trusted.
    Cable,
    Digits(Zeroizing<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pairing code has {DIGITS} digits. hint: it is shown by the unit that waits")]
pub struct CodeError;

impl Code {
    /// A code from bytes that nobody can guess.
    pub fn from_random(bytes: [u8; 8]) -> Code {
        // 2^64 over 10^8: no code is likelier than another by more than 1 in 10^11.
        let number = u64::from_be_bytes(bytes) % 10u64.pow(DIGITS as u32);
        Code::Digits(Zeroizing::new(format!("{number:0DIGITS$}")))
    }

    /// As people see it: `1234 5678`; nothing for the cable.
    pub fn shown(&self) -> Option<String> {
        match self {
            Code::Cable => None,
            Code::Digits(digits) => {
                let (left, right) = digits.split_at(DIGITS / 2);
                Some(format!("{left} {right}"))
            }
        }
    }

    pub(crate) fn password(&self) -> &[u8] {
        match self {
            Code::Cable => b"",
            Code::Digits(digits) => digits.as_bytes(),
        }
    }

    /// Keeps a code for the network useless on a cable, and the cable's missing code useless on a network.
    pub(crate) fn way(&self) -> &'static str {
        match self {
            Code::Cable => "cable",
            Code::Digits(_) => "network",
        }
    }
}

/// Spaces and hyphens between digits do not count.
impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Code, CodeError> {
        let digits = text.bytes().filter(|b| !matches!(b, b' ' | b'-'));
        let digits: Zeroizing<String> = Zeroizing::new(digits.take(DIGITS + 1).map(char::from).collect());
        if digits.len() != DIGITS || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(CodeError);
        }
        Ok(Code::Digits(digits))
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Code::Cable => "Cable",
            Code::Digits(_) => "Digits(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_shown() {
        for random in [[0; 8], [255; 8], [0, 0, 0, 0, 0, 0, 0, 7]] {
            let code = Code::from_random(random);
            let shown = code.shown().unwrap();
            assert_eq!(shown.len(), DIGITS + 1);
            assert!(shown.parse::<Code>() == Ok(code));
        }
        assert!("1234-5678".parse::<Code>() == "12345678".parse());
        for bad in ["", "1234567", "123456789", "1234567a", "１２３４５６７８", "+1234567"] {
            assert!(bad.parse::<Code>() == Err(CodeError), "{bad}");
        }
        assert_eq!(format!("{:?}", Code::from_random([1; 8])), "Digits(..)");
    }
}
