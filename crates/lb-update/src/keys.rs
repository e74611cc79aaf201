//! Keys: Ed25519 (RFC 8032). Who makes bundles has the private one as PKCS#8 in PEM, as `openssl genpkey -algorithm
//! ed25519` writes it too; an image holds the public ones it believes, one file each.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use pem::{EncodeConfig, LineEnding};
use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use std::{fmt, fs, io, path::Path};

/// Bytes of a public key.
const LENGTH: usize = 32;
/// Characters of a name, which is a word of a bundle's head.
const LONGEST_NAME: usize = 32;
/// In a PEM file.
const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";
/// What stands before the bytes of a public Ed25519 key (SubjectPublicKeyInfo, RFC 8410, section 4).
const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// First word of a public key's file.
const KIND: &str = "ed25519";

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{0}: {1}")]
    File(String, io::Error),
    #[error("{0} is no Ed25519 key. hint: {1}")]
    NoKey(String, &'static str),
    #[error("{0:?} is no name of a key. hint: 1 to 32 letters, digits, \"-\" and \"_\"")]
    Name(String),
}

/// One that bundles may be signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// Its file's without the ending.
    pub name: String,
    bytes: [u8; LENGTH],
}

impl PublicKey {
    /// `ed25519 BASE64`, as [`SigningKey::public_text`] writes it.
    pub fn parse(name: &str, text: &str) -> Result<PublicKey, KeyError> {
        let wrong = || KeyError::NoKey(format!("{name}.pub"), "one line: ed25519, a space, 32 bytes in base64");
        let bytes = text.trim().strip_prefix(KIND).map(str::trim).and_then(|word| BASE64.decode(word).ok());
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)?;
        Ok(PublicKey { name: named(name)?, bytes })
    }

    /// Every `NAME.pub` in a folder, by name.
    pub fn all(folder: &Path) -> Result<Vec<PublicKey>, KeyError> {
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |error| KeyError::File(path, error)
        };
        let mut keys = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed(folder))? {
            let path = entry.map_err(failed(folder))?.path();
            if path.extension().is_some_and(|ending| ending == "pub") {
                let text = fs::read_to_string(&path).map_err(failed(&path))?;
                keys.push(PublicKey::parse(&stem(&path), &text)?);
            }
        }
        keys.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(keys)
    }

    /// Whether `signature` is this key's over `message`.
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.bytes).verify(message, signature).is_ok()
    }
}

/// Of who makes bundles. It stands in no image.
pub struct SigningKey {
    pub name: String,
    pair: Ed25519KeyPair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A new one, as text for its file.
    pub fn generate() -> Result<String, KeyError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| KeyError::NoKey("a new key".into(), "the system has no random numbers"))?;
        Ok(pem::encode(&pem::Pem::new(PRIVATE, document.as_ref())))
    }

    pub fn parse(name: &str, text: &str) -> Result<SigningKey, KeyError> {
        let wrong = || KeyError::NoKey(name.to_owned(), "openssl genpkey -algorithm ed25519 makes one");
        let parsed = pem::parse(text).map_err(|_| wrong())?;
        if parsed.tag() != PRIVATE {
            return Err(wrong());
        }
        // OpenSSL leaves out the public half.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(parsed.contents()).map_err(|_| wrong())?;
        Ok(SigningKey { name: named(name)?, pair })
    }

    /// From a file, whose name without the ending is the key's.
    pub fn read(path: &Path) -> Result<SigningKey, KeyError> {
        let text = fs::read_to_string(path).map_err(|error| KeyError::File(path.display().to_string(), error))?;
        SigningKey::parse(&stem(path), &text)
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    /// For the public key's file.
    pub fn public_text(&self) -> String {
        format!("{KIND} {}\n", BASE64.encode(self.pair.public_key().as_ref()))
    }

    /// The public key as OpenSSL reads it: for whoever has no program of ours.
    pub fn public_pem(&self) -> String {
        let document = [&PREFIX[..], self.pair.public_key().as_ref()].concat();
        pem::encode_config(&pem::Pem::new(PUBLIC, document), EncodeConfig::new().set_line_ending(LineEnding::LF))
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn named(name: &str) -> Result<String, KeyError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(fits) {
        true => Ok(name.to_owned()),
        false => Err(KeyError::Name(crate::manifest::printable(name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl genpkey -algorithm ed25519`; RFC 8410, section 10.3, has the same form.
    const OPENSSL: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    /// Its public half, from the same section; section 10.1 has it in PEM.
    const OF_OPENSSL: &str = "ed25519 Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

    #[test]
    fn openssls_keys_are_read() -> Result<(), KeyError> {
        let key = SigningKey::parse("release", OPENSSL)?;
        assert_eq!(key.public_text().trim(), OF_OPENSSL);
        let lines = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
        assert_eq!(key.public_pem(), format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n"));
        assert_eq!(format!("{key:?}"), "SigningKey { name: \"release\", .. }", "a private key is never shown");
        Ok(())
    }

    #[test]
    fn only_the_signers_own_key_believes_it() -> Result<(), KeyError> {
        let (one, other) = (SigningKey::parse("one", &SigningKey::generate()?)?, SigningKey::generate()?);
        let other = SigningKey::parse("other", &other)?;
        let signature = one.sign(b"words");
        let public = |key: &SigningKey| PublicKey::parse(&key.name, &key.public_text());
        assert!(public(&one)?.signed(b"words", &signature));
        assert!(!public(&one)?.signed(b"other words", &signature));
        assert!(!public(&other)?.signed(b"words", &signature));
        assert!(!public(&one)?.signed(b"words", &signature[1..]));
        Ok(())
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "ed25519", "ed25519 AAAA", "rsa Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="] {
            assert!(PublicKey::parse("k", text).is_err(), "{text:?}");
        }
        assert!(PublicKey::parse("../k", OF_OPENSSL).is_err());
        assert!(SigningKey::parse("k", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").is_err());
    }
}
