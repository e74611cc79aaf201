//! The dialects' keys: Rackspace tokens and grants that wait, in memory; OVH applications and grants, in `dialects.json`.
//!
//! The file is this user's alone (0600) and in no backup. An application's secret stands in it, as signatures are made
//! with it; of consumer keys it has the SHA-256 only. What was answered is on the disk; a damaged file is moved aside,
//! and nobody gets in with it. Everything is bounded.

use anyhow::Context;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ipnet::IpNet;
use lb_dialects::{AccessRule, ConsumerState, NewCredential, rackspace::Rates};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const FILE: &str = "dialects.json";
const MOST_TOKENS: usize = 1000;
const MOST_APPLICATIONS: usize = 100;
const MOST_GRANTS: usize = 1000;
const MOST_WAITING: usize = 100;
/// Seconds that a grant waits for its approval.
const WAITS: u64 = 3600;

/// What a Rackspace token stands for.
#[derive(Clone)]
pub enum Held {
    Key(Zeroizing<String>),
    Session(Zeroizing<String>),
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    next: u64,
    applications: Vec<StoredApplication>,
    grants: Vec<Grant>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredApplication {
    id: u64,
    key: String,
    secret: String,
    name: String,
    owner: String,
    created: u64,
}

impl std::fmt::Debug for StoredApplication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredApplication").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant {
    id: u64,
    /// Of the consumer key.
    sha256: String,
    application: String,
    rules: Vec<(String, String)>,
    addresses: Vec<IpNet>,
    user: String,
    created: u64,
}

/// A grant that nobody has approved yet, or that somebody has refused.
struct Waiting {
    sha256: String,
    approval: String,
    application: String,
    rules: Vec<AccessRule>,
    redirection: Option<String>,
    addresses: Vec<IpNet>,
    created: u64,
    refused: bool,
}

#[derive(Default)]
struct Memory {
    tokens: HashMap<String, (Held, u64)>,
    waiting: Vec<Waiting>,
    document: Document,
}

/// All of it.
pub struct Keys {
    path: PathBuf,
    memory: Mutex<Memory>,
    /// Held by whoever changes something through a dialect.
    pub one: tokio::sync::Mutex<()>,
    /// Of the one Rackspace account, and when they began.
    rates: Mutex<Rates>,
    began: Instant,
}

/// A grant as a call meets it.
pub struct Found {
    pub id: u64,
    pub application: String,
    pub application_name: String,
    pub state: ConsumerState,
    pub rules: Vec<AccessRule>,
    pub addresses: Vec<IpNet>,
    pub user: Option<String>,
    pub created: u64,
}

/// A new application; its secret is shown once.
pub struct NewApplication {
    pub id: u64,
    pub key: String,
    pub secret: String,
}

/// An application, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = DialectApplication)]
pub struct ApplicationView {
    pub id: u64,
    pub name: String,
    /// The application key, which is no secret.
    pub key: String,
    pub owner: String,
    pub created: u64,
}

/// A grant that somebody approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = DialectGrant)]
pub struct GrantView {
    pub id: u64,
    pub application: String,
    /// Whose rights it has.
    pub user: String,
    /// `GET /ipLoadbalancing/*`
    pub rules: Vec<String>,
    pub created: u64,
}

/// What a person is asked to approve.
pub struct Pending {
    pub application: String,
    pub rules: Vec<String>,
    pub addresses: Vec<String>,
    pub redirection: Option<String>,
}

/// Why keys are not changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("there is no such application or grant, or it has ended")]
    Unknown,
    #[error("there are {MOST_APPLICATIONS} applications, or {MOST_GRANTS} grants, which is the most")]
    TooMany,
    #[error("a name has 1 to 64 letters, digits, spaces, _, - and .")]
    Name,
    #[error("the keys cannot be written: {0}")]
    Disk(#[from] std::io::Error),
}

fn word<const N: usize>() -> Option<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// As the vendor's keys look: letters and digits.
fn hex<const N: usize>() -> Option<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(hexadecimal(&bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn fingerprint(secret: &str) -> String {
    hexadecimal(&Sha256::digest(secret.as_bytes()))
}

fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

fn no_random() -> Refused {
    Refused::Disk(std::io::Error::other("the kernel gave no random numbers"))
}

fn words(rules: &[AccessRule]) -> Vec<String> {
    rules.iter().map(|rule| format!("{} {}", rule.method, rule.path)).collect()
}

impl Document {
    fn take_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn name_of(&self, key: &str) -> String {
        self.applications.iter().find(|application| application.key == key).map_or_else(String::new, |a| a.name.clone())
    }
}

impl Keys {
    pub fn open(dir: &Path) -> anyhow::Result<Keys> {
        let path = dir.join(FILE);
        let document = match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(document) => document,
                Err(error) => {
                    // No text of the file: it holds secrets.
                    let (line, column) = (error.line(), error.column());
                    tracing::error!("{FILE} is damaged at line {line} column {column}, moved to {FILE}.bad");
                    fs::rename(&path, dir.join(format!("{FILE}.bad"))).context("moving damaged keys aside")?;
                    Document::default()
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Document::default(),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let memory = Mutex::new(Memory { document, ..Memory::default() });
        let (one, rates) = (tokio::sync::Mutex::default(), Mutex::default());
        Ok(Keys { path, memory, one, rates, began: Instant::now() })
    }

    /// A Rackspace call of this method: how long it is to be held, or a refusal.
    pub fn admit(&self, method: &str) -> Result<Duration, lb_dialects::Response> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.admit(method, self.began.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a changed document before it counts.
    fn change<T>(&self, change: impl FnOnce(&mut Document) -> Result<T, Refused>) -> Result<T, Refused> {
        let mut memory = self.lock();
        let mut document = memory.document.clone();
        let value = change(&mut document)?;
        self.write(&document)?;
        memory.document = document;
        Ok(value)
    }

    fn write(&self, document: &Document) -> std::io::Result<()> {
        let temporary = self.path.with_extension("json.new");
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(document)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        self.path.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
    }

    /// A Rackspace token for somebody who has logged in.
    pub fn hold(&self, held: Held, expires: u64, now: u64) -> Option<String> {
        let token = word::<32>()?;
        let mut memory = self.lock();
        memory.tokens.retain(|_, (_, expires)| *expires > now);
        if memory.tokens.len() >= MOST_TOKENS {
            let oldest = memory.tokens.iter().min_by_key(|(_, (_, expires))| *expires).map(|(key, _)| key.clone());
            oldest.and_then(|key| memory.tokens.remove(&key));
        }
        memory.tokens.insert(fingerprint(&token), (held, expires));
        Some(token)
    }

    pub fn held(&self, token: &str, now: u64) -> Option<Held> {
        let memory = self.lock();
        memory.tokens.get(&fingerprint(token)).filter(|(_, expires)| *expires > now).map(|(held, _)| held.clone())
    }

    pub fn secret(&self, key: &str) -> Option<String> {
        let memory = self.lock();
        let mut all = memory.document.applications.iter();
        all.find(|application| same(&application.key, key)).map(|application| application.secret.clone())
    }

    pub fn applications(&self) -> Vec<ApplicationView> {
        let view = |application: &StoredApplication| ApplicationView {
            id: application.id,
            name: application.name.clone(),
            key: application.key.clone(),
            owner: application.owner.clone(),
            created: application.created,
        };
        self.lock().document.applications.iter().map(view).collect()
    }

    pub fn add_application(&self, name: &str, owner: &str, now: u64) -> Result<NewApplication, Refused> {
        let letter = |c: char| c.is_ascii_alphanumeric() || " _-.".contains(c);
        if !(1..=64).contains(&name.len()) || !name.chars().all(letter) || name.trim() != name {
            return Err(Refused::Name);
        }
        let (key, secret) = hex::<8>().zip(hex::<16>()).ok_or_else(no_random)?;
        self.change(|document| {
            if document.applications.len() >= MOST_APPLICATIONS {
                return Err(Refused::TooMany);
            }
            let id = document.take_id();
            document.applications.push(StoredApplication {
                id,
                key: key.clone(),
                secret: secret.clone(),
                name: name.to_owned(),
                owner: owner.to_owned(),
                created: now,
            });
            Ok(NewApplication { id, key, secret })
        })
    }

    /// With all its grants.
    pub fn remove_application(&self, id: u64) -> Result<String, Refused> {
        let (key, name) = self.change(|document| {
            let at = document.applications.iter().position(|application| application.id == id);
            let gone = document.applications.remove(at.ok_or(Refused::Unknown)?);
            document.grants.retain(|grant| grant.application != gone.key);
            Ok((gone.key, gone.name))
        })?;
        self.lock().waiting.retain(|waiting| waiting.application != key);
        Ok(name)
    }

    pub fn grants(&self) -> Vec<GrantView> {
        let memory = self.lock();
        let view = |grant: &Grant| GrantView {
            id: grant.id,
            application: memory.document.name_of(&grant.application),
            user: grant.user.clone(),
            rules: grant.rules.iter().map(|(method, path)| format!("{method} {path}")).collect(),
            created: grant.created,
        };
        memory.document.grants.iter().map(view).collect()
    }

    pub fn remove_grant(&self, id: u64) -> Result<(), Refused> {
        self.change(|document| {
            let before = document.grants.len();
            document.grants.retain(|grant| grant.id != id);
            if document.grants.len() == before { Err(Refused::Unknown) } else { Ok(()) }
        })
    }

    pub fn revoke(&self, consumer: &str) -> Result<(), Refused> {
        let sha256 = fingerprint(consumer);
        self.change(|document| {
            document.grants.retain(|grant| !same(&grant.sha256, &sha256));
            Ok(())
        })
    }

    pub fn consumer(&self, key: &str, now: u64) -> Option<Found> {
        let sha256 = fingerprint(key);
        let memory = self.lock();
        if let Some(grant) = memory.document.grants.iter().find(|grant| same(&grant.sha256, &sha256)) {
            let rule = |(method, path): &(String, String)| AccessRule { method: method.clone(), path: path.clone() };
            return Some(Found {
                id: grant.id,
                application: grant.application.clone(),
                application_name: memory.document.name_of(&grant.application),
                state: ConsumerState::Validated,
                rules: grant.rules.iter().map(rule).collect(),
                addresses: grant.addresses.clone(),
                user: Some(grant.user.clone()),
                created: grant.created,
            });
        }
        let waiting = memory.waiting.iter().find(|waiting| same(&waiting.sha256, &sha256))?;
        let state = match (waiting.refused, waiting.created + WAITS > now) {
            (true, _) => ConsumerState::Refused,
            (false, true) => ConsumerState::Pending,
            (false, false) => ConsumerState::Expired,
        };
        Some(Found {
            id: 0,
            application: waiting.application.clone(),
            application_name: memory.document.name_of(&waiting.application),
            state,
            rules: waiting.rules.clone(),
            addresses: waiting.addresses.clone(),
            user: None,
            created: waiting.created,
        })
    }

    pub fn request(
        &self,
        application: &str,
        rules: Vec<AccessRule>,
        redirection: Option<String>,
        addresses: Vec<IpNet>,
        now: u64,
    ) -> Option<NewCredential> {
        let (consumer_key, approval) = hex::<16>().zip(hex::<16>())?;
        let mut memory = self.lock();
        memory.waiting.retain(|waiting| waiting.created + WAITS > now);
        if memory.waiting.len() >= MOST_WAITING {
            return None;
        }
        memory.waiting.push(Waiting {
            sha256: fingerprint(&consumer_key),
            approval: fingerprint(&approval),
            application: application.to_owned(),
            rules,
            redirection,
            addresses,
            created: now,
            refused: false,
        });
        Some(NewCredential { consumer_key, approval })
    }

    /// What the page of this address asks a person.
    pub fn waiting(&self, approval: &str, now: u64) -> Option<Pending> {
        let fingerprint = fingerprint(approval);
        let memory = self.lock();
        let open = |w: &&Waiting| same(&w.approval, &fingerprint) && !w.refused && w.created + WAITS > now;
        let waiting = memory.waiting.iter().find(open)?;
        Some(Pending {
            application: memory.document.name_of(&waiting.application),
            rules: words(&waiting.rules),
            addresses: waiting.addresses.iter().map(ToString::to_string).collect(),
            redirection: waiting.redirection.clone(),
        })
    }

    /// A person's answer. The place that the program wants them sent to.
    pub fn answer(&self, approval: &str, user: &str, approved: bool, now: u64) -> Result<Option<String>, Refused> {
        let fingerprint = fingerprint(approval);
        let mut memory = self.lock();
        let open = |w: &Waiting| same(&w.approval, &fingerprint) && !w.refused && w.created + WAITS > now;
        let at = memory.waiting.iter().position(open).ok_or(Refused::Unknown)?;
        let redirection = memory.waiting[at].redirection.clone();
        if !approved {
            memory.waiting[at].refused = true;
            return Ok(redirection);
        }
        let mut document = memory.document.clone();
        if document.grants.len() >= MOST_GRANTS {
            return Err(Refused::TooMany);
        }
        let waiting = &memory.waiting[at];
        let id = document.take_id();
        document.grants.push(Grant {
            id,
            sha256: waiting.sha256.clone(),
            application: waiting.application.clone(),
            rules: waiting.rules.iter().map(|rule| (rule.method.clone(), rule.path.clone())).collect(),
            addresses: waiting.addresses.clone(),
            user: user.to_owned(),
            created: now,
        });
        self.write(&document)?;
        memory.document = document;
        memory.waiting.remove(at);
        Ok(redirection)
    }
}

#[cfg(test)]
mod tests;
