//! What administrators change: users, TOTP, tokens, settings, and all of it at once from a backup.
//!
//! Every method asks who wants it; whoever may not is refused, and that is written down.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::access::{Access, State, lock, token_hash};
use crate::audit::AuditEntry;
use crate::document::{self, Document, MOST_TOKENS, MOST_USERS, Token, Totp, User};
use crate::guess::Attempt;
use crate::password;
use crate::random;
use crate::refusal::{PasswordRefusal, Refusal};
use crate::role::{Permission, Role, Via, Who};
use crate::settings::WebSettings;
use crate::totp::Secret;

/// A TOTP secret waits this long for its first code.
const PENDING: u64 = 600;
const BUSY: u64 = 2;
/// So that a token is known for what it is, also by those who search leaks.
pub const TOKEN_PREFIX: &str = "lbt_";

/// A user as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserView {
    pub name: String,
    pub role: Role,
    pub must_change_password: bool,
    pub totp: bool,
    pub created: u64,
    pub last_login: Option<u64>,
    pub last_address: Option<IpAddr>,
    /// Somebody guessed too often: log-ins from their networks wait until then (it may be past).
    pub locked_until: Option<u64>,
    pub tokens: usize,
}

/// A token as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenView {
    pub id: String,
    pub name: String,
    pub owner: String,
    /// What it may do now: never more than its owner.
    pub role: Role,
    pub created: u64,
    pub expires: Option<u64>,
    /// Since the last start.
    pub last_used: Option<u64>,
    pub last_address: Option<IpAddr>,
}

/// A secret for an authenticator app, shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret {
    /// Base32, to type in.
    pub secret: String,
    /// `otpauth://…`, for a QR code.
    pub uri: String,
}

/// Users with their hashes, tokens and settings, for a backup. Whoever takes it encrypts it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Export(Document);

impl Export {
    /// Names of the users in it.
    pub fn users(&self) -> impl Iterator<Item = (&str, Role)> {
        self.0.users.iter().map(|(name, user)| (name.as_str(), user.role))
    }

    pub fn tokens(&self) -> usize {
        self.0.tokens.len()
    }

    /// Whether [`Access::import`] would take it.
    pub fn check(&self) -> Result<(), Refusal> {
        self.0.check().map_err(Refusal::Import)
    }
}

impl Access {
    /// Does one thing that only administrators may, and writes down what came of it.
    fn administer<T>(
        &self,
        by: &Who,
        now: u64,
        action: &str,
        detail: String,
        work: impl FnOnce() -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let result = if by.may(Permission::Administer) { work() } else { Err(Refusal::Forbidden) };
        self.noted(by, now, action, detail, result)
    }

    fn noted<T>(
        &self,
        by: &Who,
        now: u64,
        action: &str,
        detail: String,
        result: Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.record(match &result {
            Ok(_) => AuditEntry::new(now, by, action, detail),
            Err(refusal) => AuditEntry::new(now, by, action, format!("{detail} {refusal}.")).refused(),
        });
        result
    }

    fn hash(&self, password: &str) -> Result<String, Refusal> {
        let place = self.hasher.enter(true).map_err(|_| PasswordRefusal::Busy { retry_after: BUSY })?;
        place.hash(password).ok_or(Refusal::Failed(crate::Failure::Resources))
    }

    /// Every user by name.
    pub fn users(&self) -> Vec<UserView> {
        let state = lock(&self.state);
        let Some(document) = &state.document else { return Vec::new() };
        let view = |(name, user): (&String, &User)| UserView {
            name: name.clone(),
            role: user.role,
            must_change_password: user.must_change,
            totp: user.totp.is_some(),
            created: user.created,
            last_login: user.last_login.map(|login| login.time),
            last_address: user.last_login.map(|login| login.address),
            locked_until: Some(state.guard.locked_until(name)).filter(|until| *until > 0),
            tokens: document.tokens.iter().filter(|token| token.owner == *name).count(),
        };
        document.users.iter().map(view).collect()
    }

    /// A new user, who has to change the password at the first log-in. Blocks: hashes.
    pub fn add_user(&self, name: &str, role: Role, password: &str, by: &Who, now: u64) -> Result<(), Refusal> {
        let shown = if document::is_user_name(name) { name } else { "?" };
        self.administer(by, now, "user-add", format!("User {shown} with the role {role}."), || {
            if !document::is_user_name(name) {
                return Err(Refusal::UserName);
            }
            if self.role(name).is_some() {
                return Err(Refusal::UserExists(name.into()));
            }
            password::policy(name, password)?;
            let hash = self.hash(password)?;
            self.change(
                |document, _| {
                    if document.users.contains_key(name) {
                        return Err(Refusal::UserExists(name.into()));
                    }
                    if document.users.len() >= MOST_USERS {
                        return Err(Refusal::TooMany { what: "users", limit: MOST_USERS });
                    }
                    let user = User {
                        role,
                        hash,
                        must_change: true,
                        totp: None,
                        created: now,
                        last_login: None,
                        known: Vec::new(),
                    };
                    document.users.insert(name.to_owned(), user);
                    Ok(())
                },
                |_, _, ()| (),
            )
        })
    }

    /// Counts at once, in sessions and tokens too.
    pub fn set_role(&self, name: &str, role: Role, by: &Who, now: u64) -> Result<(), Refusal> {
        self.administer(by, now, "user-role", format!("User {} gets the role {role}.", quiet(name)), || {
            self.change(
                |document, _| {
                    user_mut(document, name)?.role = role;
                    if document.administrators() == 0 {
                        return Err(Refusal::LastAdministrator(name.into()));
                    }
                    Ok(())
                },
                |_, _, ()| (),
            )
        })
    }

    /// A password for somebody else, to be changed at the next log-in; their sessions end. Blocks: hashes.
    pub fn set_password(&self, name: &str, password: &str, by: &Who, now: u64) -> Result<(), Refusal> {
        self.administer(by, now, "user-password", format!("A new password for user {}.", quiet(name)), || {
            password::policy(name, password)?;
            let before = lock(&self.state).document.as_ref().and_then(|d| d.users.get(name).map(|u| u.hash.clone()));
            let Some(before) = before else { return Err(Refusal::NoUser(quiet(name).into())) };
            let place = self.hasher.enter(true).map_err(|_| PasswordRefusal::Busy { retry_after: BUSY })?;
            if place.verify(password, Some(&before)) {
                return Err(PasswordRefusal::Same.into());
            }
            let hash = place.hash(password).ok_or(Refusal::Failed(crate::Failure::Resources))?;
            drop(place);
            self.change(
                |document, _| {
                    let user = user_mut(document, name)?;
                    user.hash = hash;
                    user.must_change = true;
                    Ok(())
                },
                |_, state, ()| state.sessions.end_of(name),
            )
        })
    }

    /// Their sessions and tokens end at once.
    pub fn remove_user(&self, name: &str, by: &Who, now: u64) -> Result<(), Refusal> {
        self.administer(by, now, "user-remove", format!("User {}.", quiet(name)), || {
            self.change(
                |document, _| {
                    user_mut(document, name)?;
                    document.users.remove(name);
                    if document.administrators() == 0 {
                        return Err(Refusal::LastAdministrator(name.into()));
                    }
                    if name == by.user {
                        return Err(Refusal::Yourself);
                    }
                    document.tokens.retain(|token| token.owner != name);
                    Ok(())
                },
                |document, state, ()| {
                    state.sessions.end_of(name);
                    state.pending.remove(name);
                    forget_tokens(document, state);
                },
            )
        })
    }

    /// Lets somebody try again who guessed too often.
    pub fn unlock(&self, name: &str, by: &Who, now: u64) -> Result<(), Refusal> {
        self.administer(by, now, "user-unlock", format!("User {}.", quiet(name)), || {
            if self.role(name).is_none() {
                return Err(Refusal::NoUser(quiet(name).into()));
            }
            lock(&self.state).guard.unlock(name);
            Ok(())
        })
    }

    /// A secret for one's own authenticator app; counts once a code of it was given ([`Access::confirm_totp`]).
    /// `unit` names this unit in the app.
    pub fn begin_totp(&self, unit: &str, by: &Who, now: u64) -> Result<TotpSecret, Refusal> {
        if by.via != Via::Session {
            return Err(Refusal::Forbidden);
        }
        let secret = Secret::new(random::bytes()?);
        let mut state = lock(&self.state);
        let exists = state.document.as_ref().is_some_and(|document| document.users.contains_key(&by.user));
        if !exists {
            return Err(Refusal::NoUser(by.user.clone()));
        }
        state.pending.retain(|_, (_, until)| *until > now);
        state.pending.insert(by.user.clone(), (secret.clone(), now + PENDING));
        Ok(TotpSecret { secret: secret.base32(), uri: secret.uri(&by.user, unit) })
    }

    /// The secret that waits for its first code, to show it again beside a mistake.
    pub fn pending_totp(&self, unit: &str, by: &Who, now: u64) -> Option<TotpSecret> {
        let state = lock(&self.state);
        let (secret, until) = state.pending.get(&by.user).filter(|_| by.via == Via::Session)?;
        (*until > now).then(|| TotpSecret { secret: secret.base32(), uri: secret.uri(&by.user, unit) })
    }

    /// The first code of the app: from now on each log-in needs one.
    pub fn confirm_totp(&self, code: &str, by: &Who, now: u64) -> Result<(), Refusal> {
        let result = self.change(
            |document, state| {
                let waiting = state.pending.get(&by.user).filter(|(_, until)| *until > now && by.via == Via::Session);
                let secret = waiting.map(|(secret, _)| secret.clone()).ok_or(Refusal::NoTotp)?;
                let used = secret.check(code, now, 0).ok_or(Refusal::Code)?;
                user_mut(document, &by.user)?.totp = Some(Totp { secret, used });
                Ok(())
            },
            |_, state, ()| {
                state.pending.remove(&by.user);
            },
        );
        self.noted(by, now, "totp-on", "Log-ins need a code from now on.".into(), result)
    }

    /// Takes TOTP off one's own account; needs a code.
    pub fn remove_own_totp(&self, code: &str, by: &Who, now: u64) -> Result<(), Refusal> {
        let result = self.change(
            |document, state| {
                let user = user_mut(document, &by.user)?;
                let totp = user.totp.as_mut().filter(|_| by.via == Via::Session).ok_or(Refusal::NoTotp)?;
                let attempt = Attempt::new(&by.user, by.address, true);
                state.guard.admit(&attempt, now).map_err(|retry_after| Refusal::Locked { retry_after })?;
                totp.secret.check(code, now, totp.used).ok_or(Refusal::Code)?;
                state.guard.succeeded(&attempt);
                user.totp = None;
                Ok(())
            },
            |_, _, ()| (),
        );
        self.noted(by, now, "totp-off", "Log-ins need no code any more.".into(), result)
    }

    /// Takes TOTP off somebody's account, who lost the app.
    pub fn remove_totp(&self, name: &str, by: &Who, now: u64) -> Result<(), Refusal> {
        self.administer(by, now, "totp-off", format!("User {} needs no code any more.", quiet(name)), || {
            self.change(|document, _| user_mut(document, name).map(|user| user.totp = None), |_, _, ()| ())
        })
    }

    /// A token of one's own. The answer is shown once: only its SHA-256 is kept.
    pub fn create_token(
        &self,
        name: &str,
        role: Role,
        expires: Option<u64>,
        by: &Who,
        now: u64,
    ) -> Result<String, Refusal> {
        let shown = if document::is_token_name(name) { name } else { "?" };
        self.administer(by, now, "token-create", format!("Token {shown} with the role {role}."), || {
            if !document::is_token_name(name) {
                return Err(Refusal::TokenName);
            }
            if role > by.role {
                return Err(Refusal::TokenRole);
            }
            if expires.is_some_and(|expires| expires <= now) {
                return Err(Refusal::TokenExpired);
            }
            let token = format!("{TOKEN_PREFIX}{}", random::word::<32>()?);
            let id = random::word::<9>()?;
            self.change(
                |document, _| {
                    if user_mut(document, &by.user)?.must_change {
                        return Err(Refusal::MustChange);
                    }
                    if document.tokens.iter().any(|token| token.name == name) {
                        return Err(Refusal::TokenExists(name.into()));
                    }
                    document.tokens.retain(|token| token.expires.is_none_or(|expires| expires > now));
                    if document.tokens.len() >= MOST_TOKENS {
                        return Err(Refusal::TooMany { what: "tokens", limit: MOST_TOKENS });
                    }
                    // A token that ends must not leave one behind that does not.
                    let ends = match &by.via {
                        Via::Session => None,
                        Via::Token(own) => {
                            document.tokens.iter().find(|token| token.name == *own).and_then(|t| t.expires)
                        }
                    };
                    document.tokens.push(Token {
                        id,
                        name: name.to_owned(),
                        owner: by.user.clone(),
                        role,
                        sha256: token_hash(&token),
                        created: now,
                        expires: match (expires, ends) {
                            (Some(asked), Some(ends)) => Some(asked.min(ends)),
                            (asked, ends) => asked.or(ends),
                        },
                    });
                    Ok(())
                },
                |document, state, ()| forget_tokens(document, state),
            )?;
            Ok(token)
        })
    }

    /// Every token by name, those that have expired too until another is made.
    pub fn tokens(&self) -> Vec<TokenView> {
        let state = lock(&self.state);
        let Some(document) = &state.document else { return Vec::new() };
        let view = |token: &Token| {
            let used = state.token_used.get(&token.id);
            Some(TokenView {
                id: token.id.clone(),
                name: token.name.clone(),
                owner: token.owner.clone(),
                role: token.role.min(document.users.get(&token.owner)?.role),
                created: token.created,
                expires: token.expires,
                last_used: used.map(|(time, _)| *time),
                last_address: used.map(|(_, address)| *address),
            })
        };
        let mut views: Vec<_> = document.tokens.iter().filter_map(view).collect();
        views.sort_by(|a, b| a.name.cmp(&b.name));
        views
    }

    /// By its id.
    pub fn revoke_token(&self, id: &str, by: &Who, now: u64) -> Result<(), Refusal> {
        let name = self.tokens().into_iter().find(|token| token.id == id).map_or("?".into(), |token| token.name);
        self.administer(by, now, "token-revoke", format!("Token {name}."), || {
            self.change(
                |document, _| {
                    let before = document.tokens.len();
                    document.tokens.retain(|token| token.id != id);
                    if document.tokens.len() == before { Err(Refusal::NoToken) } else { Ok(()) }
                },
                |document, state, ()| forget_tokens(document, state),
            )
        })
    }

    /// Time-outs count at once, for sessions that run too.
    pub fn set_settings(&self, settings: WebSettings, by: &Who, now: u64) -> Result<(), Refusal> {
        let detail = format!(
            "http {}, sessions end after {} s idle and {} s in all, metrics {}.",
            settings.http,
            settings.session_idle,
            settings.session_absolute,
            if settings.open_metrics { "for everybody" } else { "with a token" }
        );
        self.administer(by, now, "web-settings", detail, || {
            settings.check()?;
            self.change(
                |document, _| {
                    document.settings = settings;
                    Ok(())
                },
                |_, _, ()| (),
            )
        })
    }

    /// Users with hashes, tokens and settings, for a backup. `None` when the file of users cannot be used.
    pub fn export(&self) -> Option<Export> {
        lock(&self.state).document.clone().map(Export)
    }

    /// Takes users, tokens and settings from a backup, instead of all there are. Sessions go on whose user has the
    /// same password as before.
    pub fn import(&self, export: Export, by: &Who, now: u64) -> Result<(), Refusal> {
        let detail = format!("{} users and {} tokens from a backup.", export.0.users.len(), export.0.tokens.len());
        self.administer(by, now, "users-import", detail, || {
            export.0.check().map_err(Refusal::Import)?;
            let hashes = |document: &Document| -> Vec<(String, String)> {
                document.users.iter().map(|(name, user)| (name.clone(), user.hash.clone())).collect()
            };
            self.change(
                |document, _| {
                    let before = hashes(document);
                    *document = export.0;
                    Ok::<_, Refusal>(before)
                },
                |document, state, before| {
                    state.sessions.retain(|entry| {
                        let old = before.iter().find(|(name, _)| *name == entry.user).map(|(_, hash)| hash);
                        let new = document.users.get(&entry.user).map(|user| &user.hash);
                        old.is_some() && old == new
                    });
                    state.pending.clear();
                    forget_tokens(document, state);
                },
            )
        })
    }
}

fn user_mut<'a>(document: &'a mut Document, name: &str) -> Result<&'a mut User, Refusal> {
    document.users.get_mut(name).ok_or_else(|| Refusal::NoUser(quiet(name).into()))
}

/// A name as it may stand in a log or on a page: what is no name is not repeated.
fn quiet(name: &str) -> &str {
    if document::is_user_name(name) { name } else { "?" }
}

/// Uses are remembered of tokens that exist.
fn forget_tokens(document: &Document, state: &mut State) {
    state.token_used.retain(|id, _| document.tokens.iter().any(|token| token.id == *id));
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(…)")
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
