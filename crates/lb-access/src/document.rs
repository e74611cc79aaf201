//! What `access.json` holds, and whether it makes sense. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::guess::Source;
use crate::password;
use crate::role::Role;
use crate::settings::WebSettings;
use crate::totp::Secret;

/// The newest form of the document that this software reads and writes.
pub const VERSION: u32 = 1;
pub const MOST_USERS: usize = 64;
pub const MOST_TOKENS: usize = 64;
/// Sources kept for each user, newest first.
const KNOWN_SOURCES: usize = 8;

/// Everything that outlives a restart.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub version: u32,
    pub users: BTreeMap<String, User>,
    pub tokens: Vec<Token>,
    pub settings: WebSettings,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    pub role: Role,
    /// argon2id, PHC string.
    pub hash: String,
    pub must_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp: Option<Totp>,
    pub created: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login: Option<LastLogin>,
    /// Where it has logged in from, newest first: `guess` holds these back less.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Source>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totp {
    pub secret: Secret,
    /// The step of the last code that was used.
    pub used: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastLogin {
    pub time: u64,
    pub address: IpAddr,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Public: names it in lists and forms.
    pub id: String,
    pub name: String,
    pub owner: String,
    pub role: Role,
    /// SHA-256 of the token, hexadecimal.
    pub sha256: String,
    pub created: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

impl Document {
    /// One user with the factory password.
    pub fn factory(hash: String, now: u64) -> Document {
        let user = User {
            role: Role::Configuration,
            hash,
            must_change: true,
            totp: None,
            created: now,
            last_login: None,
            known: Vec::new(),
        };
        Document {
            version: VERSION,
            users: BTreeMap::from([(password::FACTORY.to_owned(), user)]),
            tokens: Vec::new(),
            settings: WebSettings::default(),
        }
    }

    /// The first thing that makes no sense.
    pub fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("its version is {}, not {VERSION}", self.version));
        }
        if self.users.len() > MOST_USERS || self.tokens.len() > MOST_TOKENS {
            return Err("it has too many users or tokens".into());
        }
        for (name, user) in &self.users {
            if !is_user_name(name) {
                return Err(format!("{name:?} is no user name"));
            }
            if !password::is_hash(&user.hash) {
                return Err(format!("the password of {name} is no argon2id hash"));
            }
        }
        if self.administrators() == 0 {
            return Err("no user has the role configuration".into());
        }
        let mut seen = BTreeSet::new();
        for token in &self.tokens {
            let hex = token.sha256.len() == 64 && token.sha256.bytes().all(|b| b.is_ascii_hexdigit());
            if !is_token_name(&token.name) || !is_id(&token.id) || !hex {
                return Err("a token makes no sense".into());
            }
            if !self.users.contains_key(&token.owner) {
                return Err(format!("token {} has no owner", token.name));
            }
            if !seen.insert(&token.id) || self.tokens.iter().filter(|t| t.name == token.name).count() > 1 {
                return Err(format!("there are two tokens {}", token.name));
            }
        }
        self.settings.check().map_err(|refusal| refusal.to_string())
    }

    /// Users with the role configuration.
    pub fn administrators(&self) -> usize {
        self.users.values().filter(|user| user.role == Role::Configuration).count()
    }
}

impl User {
    pub fn knows(&self, address: IpAddr) -> bool {
        self.known.contains(&Source::of(address))
    }

    /// Remembers a log-in that succeeded.
    pub fn logged_in(&mut self, address: IpAddr, now: u64) {
        let source = Source::of(address);
        self.known.retain(|known| *known != source);
        self.known.insert(0, source);
        self.known.truncate(KNOWN_SOURCES);
        self.last_login = Some(LastLogin { time: now, address: address.to_canonical() });
    }
}

/// 1 to 32 small letters, digits, `.`, `_`, `-`; begins with a letter or digit.
pub fn is_user_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    first && rest && name.len() <= 32
}

/// 1 to 32 letters, digits, spaces, `.`, `_`, `-`; no space at either end.
pub fn is_token_name(name: &str) -> bool {
    let all = name.bytes().all(|b| b.is_ascii_alphanumeric() || b" ._-".contains(&b));
    all && !name.is_empty() && name.len() <= 32 && name.trim() == name
}

fn is_id(id: &str) -> bool {
    (8..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("users", &self.users.keys()).field("tokens", &self.tokens.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "loadbalancer", "j.smith", "0ps_2-b"] {
            assert!(is_user_name(good), "{good}");
        }
        let long = "a".repeat(33);
        for bad in ["", ".a", "-a", "A", "a b", "a/b", "ä", "a\n", long.as_str()] {
            assert!(!is_user_name(bad), "{bad:?}");
        }
        for good in ["ci", "Backup of site 2"] {
            assert!(is_token_name(good), "{good}");
        }
        for bad in ["", " ci", "ci ", "a/b", "a\tb", long.as_str()] {
            assert!(!is_token_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_eight_last_sources_are_known() {
        let mut document = Document::factory(String::new(), 0);
        let user = document.users.get_mut("loadbalancer").unwrap();
        for host in 1..=10 {
            user.logged_in(format!("10.0.0.{host}").parse().unwrap(), host);
        }
        user.logged_in("10.0.0.5".parse().unwrap(), 11);
        assert_eq!(user.known.len(), 8);
        assert!(user.knows("10.0.0.5".parse().unwrap()) && user.knows("10.0.0.3".parse().unwrap()));
        assert!(!user.knows("10.0.0.2".parse().unwrap()));
        assert_eq!(user.last_login.unwrap().time, 11);
    }
}
