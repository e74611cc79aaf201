//! Backups: one readable JSON document, its secrets encrypted under a passphrase or left out.
//!
//! ```text
//!  {format, version, made, software, hostname, configuration, secrets?}
//!                                                  secrets: argon2id(passphrase, salt) -> chacha20poly1305(nonce)
//! ```
//! Owns the document's form, its limits and its cipher; what is secret (users with hashes, tokens, settings of the web
//! interface, certificate and key) is opaque to it until [`Backup::open`]. The rest of the document is bound to the
//! secrets as associated data: nobody can put another configuration around them unnoticed. Opening runs the
//! configuration's migrations in memory and changes nothing. Parameters come from the document, so their cost is
//! bounded before they are used. Tested by round trips, by every bit flipped, and by documents made to exhaust.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    ChaCha20Poly1305, Key, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use lb_access::Export;
use lb_model::{Config, Hostname};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use zeroize::{Zeroize, Zeroizing};

pub const FORMAT: &str = "steelyard-backup";
/// The newest form that this program reads and writes.
pub const VERSION: u32 = 1;
/// Bytes of a whole document.
pub const LARGEST: usize = 32 << 20;
/// Characters of a passphrase.
pub const SHORTEST_PASSPHRASE: usize = 10;
pub const LONGEST_PASSPHRASE: usize = 256;

/// RFC 9106, section 4, second recommendation: for when memory is short.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// What a document may ask for at most.
const MOST_MEMORY_KIB: u32 = 256 * 1024;
const MOST_PASSES: u32 = 10;
const MOST_LANES: u32 = 4;
/// Bytes of salt and nonce.
const SALT: usize = 16;
const NONCE: usize = 12;

/// A backup as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// `steelyard-backup`
    #[schema(pattern = "^steelyard-backup$")]
    pub format: String,
    #[schema(minimum = 1, maximum = 1)]
    pub version: u32,
    /// Seconds since 1970.
    pub made: u64,
    /// The version of the software that made it.
    #[schema(max_length = 64)]
    pub software: String,
    /// Of the unit that made it.
    pub hostname: Hostname,
    /// What ran, in the form of its own version.
    #[schema(value_type = Object)]
    pub configuration: Value,
    /// Left out: the backup holds no users, tokens and keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Sealed>,
}

/// Secrets, encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    pub kdf: Kdf,
    /// `chacha20poly1305`
    #[schema(pattern = "^chacha20poly1305$")]
    pub cipher: String,
    /// Base64, 12 bytes.
    #[schema(pattern = "^[A-Za-z0-9+/]{16}$")]
    pub nonce: String,
    /// Base64.
    #[schema(pattern = "^[A-Za-z0-9+/]*={0,2}$")]
    pub text: String,
}

/// How the key is made from the passphrase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Kdf {
    /// `argon2id`
    #[schema(pattern = "^argon2id$")]
    pub name: String,
    #[schema(minimum = 8, maximum = 262_144)]
    pub memory_kib: u32,
    #[schema(minimum = 1, maximum = 10)]
    pub passes: u32,
    #[schema(minimum = 1, maximum = 4)]
    pub lanes: u32,
    /// Base64, 16 bytes.
    #[schema(pattern = "^[A-Za-z0-9+/]{22}==$")]
    pub salt: String,
}

/// What is encrypted.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    pub access: Export,
    /// Chain and key, PEM.
    pub certificate: String,
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.certificate.zeroize();
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    #[error("this is no backup of a load balancer: {0}")]
    Unreadable(String),
    #[error("the backup is of version {0}; this software knows up to {VERSION}. hint: update the software first")]
    TooNew(u32),
    #[error("the backup is larger than {LARGEST} bytes")]
    TooLarge,
    #[error("{0}")]
    Configuration(String),
    #[error("the passphrase does not fit, or the backup was changed after it was made")]
    Passphrase,
    #[error("the backup holds no users, tokens and certificate")]
    NoSecrets,
    #[error("a passphrase has {SHORTEST_PASSPHRASE} to {LONGEST_PASSPHRASE} characters")]
    PassphraseLength,
    #[error("the backup asks for too much work: {0}")]
    Cost(String),
    #[error("the unit has no random numbers or no memory left")]
    Resources,
}

/// What goes into a backup beside the configuration.
pub struct About {
    pub made: u64,
    pub hostname: Hostname,
}

impl Backup {
    /// A backup without secrets.
    pub fn of(config: &Config, about: About) -> Result<Backup, BackupError> {
        let configuration = serde_json::to_value(config).map_err(|e| BackupError::Unreadable(e.to_string()))?;
        Ok(Backup {
            format: FORMAT.into(),
            version: VERSION,
            made: about.made,
            software: env!("CARGO_PKG_VERSION").into(),
            hostname: about.hostname,
            configuration,
            secrets: None,
        })
    }

    /// The same with `secrets`, encrypted. Blocks: a fifth of a second or more, and 64 MiB.
    pub fn seal(self, secrets: &Secrets, passphrase: &str) -> Result<Backup, BackupError> {
        let length = passphrase.chars().count();
        if !(SHORTEST_PASSPHRASE..=LONGEST_PASSPHRASE).contains(&length) {
            return Err(BackupError::PassphraseLength);
        }
        let (mut salt, mut nonce) = ([0; SALT], [0; NONCE]);
        getrandom::fill(&mut salt).and_then(|()| getrandom::fill(&mut nonce)).map_err(|_| BackupError::Resources)?;
        let kdf = Kdf {
            name: "argon2id".into(),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: 1,
            salt: BASE64_STANDARD.encode(salt),
        };
        let sealed = Sealed {
            kdf,
            cipher: "chacha20poly1305".into(),
            nonce: BASE64_STANDARD.encode(nonce),
            text: String::new(),
        };
        let mut backup = Backup { secrets: Some(sealed), ..self };
        let key = backup.key(passphrase)?;
        let aad = backup.bound();
        let plain = Zeroizing::new(serde_json::to_vec(secrets).map_err(|e| BackupError::Unreadable(e.to_string()))?);
        let text = ChaCha20Poly1305::new(&key)
            .encrypt(&Nonce::from(nonce), Payload { msg: &plain, aad: &aad })
            .map_err(|_| BackupError::Resources)?;
        if let Some(sealed) = &mut backup.secrets {
            sealed.text = BASE64_STANDARD.encode(text);
        }
        Ok(backup)
    }

    /// A document from outside.
    pub fn parse(text: &[u8]) -> Result<Backup, BackupError> {
        if text.len() > LARGEST {
            return Err(BackupError::TooLarge);
        }
        let unreadable = |e: serde_json::Error| BackupError::Unreadable(e.to_string());
        // The version first: a newer form may have fields that are not known here.
        let value: Value = serde_json::from_slice(text).map_err(unreadable)?;
        let version = value.get("version").and_then(Value::as_u64);
        match (value.get("format").and_then(Value::as_str), version) {
            (Some(FORMAT), Some(version)) if version > VERSION.into() => {
                return Err(BackupError::TooNew(u32::try_from(version).unwrap_or(u32::MAX)));
            }
            (Some(FORMAT), Some(1..)) => {}
            (Some(FORMAT), _) => return Err(BackupError::Unreadable("it says no version".into())),
            _ => return Err(BackupError::Unreadable(format!("it does not say format {FORMAT:?}"))),
        }
        serde_json::from_value(value).map_err(unreadable)
    }

    /// The configuration in today's form. Changes nothing.
    pub fn config(&self) -> Result<Config, BackupError> {
        let mut config = lb_model::migrate(&self.configuration.to_string())
            .map_err(|e| BackupError::Configuration(e.to_string()))?;
        config.assign_marks();
        Ok(config)
    }

    /// The secrets, where the passphrase fits. Blocks as [`Backup::seal`] does.
    pub fn open(&self, passphrase: &str) -> Result<Secrets, BackupError> {
        let sealed = self.secrets.as_ref().ok_or(BackupError::NoSecrets)?;
        if passphrase.chars().count() > LONGEST_PASSPHRASE {
            return Err(BackupError::PassphraseLength);
        }
        if sealed.cipher != "chacha20poly1305" || sealed.kdf.name != "argon2id" {
            return Err(BackupError::Unreadable(format!("{} with {} is not known", sealed.cipher, sealed.kdf.name)));
        }
        let decode = |text: &str| {
            BASE64_STANDARD.decode(text).map_err(|_| BackupError::Unreadable("its secrets are no base64".into()))
        };
        let nonce: [u8; NONCE] = decode(&sealed.nonce)?
            .try_into()
            .map_err(|_| BackupError::Unreadable("its nonce has not 12 bytes".into()))?;
        let text = decode(&sealed.text)?;
        let key = self.key(passphrase)?;
        let plain = ChaCha20Poly1305::new(&key)
            .decrypt(&Nonce::from(nonce), Payload { msg: &text, aad: &self.bound() })
            .map_err(|_| BackupError::Passphrase)?;
        let plain = Zeroizing::new(plain);
        serde_json::from_slice(&plain).map_err(|e| BackupError::Unreadable(format!("its secrets: {e}")))
    }

    fn key(&self, passphrase: &str) -> Result<Key, BackupError> {
        let kdf = &self.secrets.as_ref().ok_or(BackupError::NoSecrets)?.kdf;
        let Kdf { memory_kib, passes, lanes, .. } = *kdf;
        if memory_kib > MOST_MEMORY_KIB || passes > MOST_PASSES || lanes > MOST_LANES {
            return Err(BackupError::Cost(format!("{memory_kib} KiB, {passes} passes, {lanes} lanes")));
        }
        let salt = BASE64_STANDARD
            .decode(&kdf.salt)
            .ok()
            .filter(|salt| salt.len() == SALT)
            .ok_or_else(|| BackupError::Unreadable("its salt has not 16 bytes".into()))?;
        let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(|e| BackupError::Cost(e.to_string()))?;
        let mut key = Key::default();
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &salt, &mut key)
            .map_err(|_| BackupError::Resources)?;
        Ok(key)
    }

    /// Everything but the encrypted text, which it is bound to. serde_json writes maps in the order of their keys.
    fn bound(&self) -> Vec<u8> {
        let mut rest = self.clone();
        if let Some(sealed) = &mut rest.secrets {
            sealed.text = String::new();
        }
        serde_json::to_vec(&rest).unwrap_or_default()
    }

    /// `lbmaster-2026-11-21-0713.backup.json`
    pub fn file_name(&self) -> String {
        let time: String = crate::frame::time(self.made).chars().take(16).filter(|c| *c != ':').collect();
        format!("{}-{}.backup.json", self.hostname, time.replace(' ', "-"))
    }
}

/// The node of `config` gives way to the one of `keep`: host name, addresses, gateways and routes stay.
pub fn keeping_node(mut config: Config, keep: &Config) -> Config {
    config.node = keep.node.clone();
    config
}

#[cfg(test)]
mod tests;
