//! The key by which an ACME server knows this unit (RFC 8555, section 7.3), and the thumbprint by which HAProxy answers
//! for it.

use crate::{PrivateKey, Refusal, make};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// A key of P-256.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountKey(PrivateKey);

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountKey(..)")
    }
}

impl AccountKey {
    pub fn make() -> Result<AccountKey, Refusal> {
        make::key().map(|(key, _)| AccountKey(key))
    }

    /// What [`AccountKey::to_pem`] wrote.
    pub fn from_pem(text: &str) -> Result<AccountKey, Refusal> {
        let no_key = || Refusal::new("key", "it holds no key of an account", "remove it: the unit makes another one");
        let sections = pem::parse_many(text).map_err(|_| no_key())?;
        let [section] = sections.as_slice() else { return Err(no_key()) };
        let key = PrivateKey::from_pem(section.tag(), section.contents()).ok_or_else(no_key)??;
        // An uncompressed point of P-256.
        let fits = key.pkcs8().is_some() && key.public().len() == 65;
        if fits { Ok(AccountKey(key)) } else { Err(no_key()) }
    }

    pub fn to_pem(&self) -> Zeroizing<String> {
        self.0.to_pem()
    }

    pub fn pkcs8(&self) -> &[u8] {
        self.0.pkcs8().unwrap_or_default()
    }

    /// SHA-256 of the public half as JSON (RFC 7638), in base64url: no secret.
    pub fn thumbprint(&self) -> String {
        let (x, y) = self.0.public()[1..].split_at(32);
        let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
        let json = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        URL_SAFE_NO_PAD.encode(Sha256::digest(json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_comes_back_from_its_text() {
        let key = AccountKey::make().expect("made");
        assert_eq!(AccountKey::from_pem(&key.to_pem()).expect("read"), key);
        assert_eq!(key.thumbprint().len(), 43);
        assert_ne!(key.thumbprint(), AccountKey::make().expect("made").thumbprint());
        assert!(!format!("{key:?}").contains("PRIVATE"));
        for bad in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(AccountKey::from_pem(bad).is_err(), "{bad}");
        }
    }
}
