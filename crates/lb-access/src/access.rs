//! [`Access`]: opening, log-in, sessions, tokens at work. What administrators change is in `admin.rs`.
//!
//! Locks, always taken in this order, none held while a password is hashed: `disk` (one change at a time, held during
//! fsync), `state` (short), `audit`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::Params;

use crate::audit::{AuditEntry, AuditLog, AuditPage};
use crate::disk::{Disk, Found};
use crate::document::Document;
use crate::guess::{Attempt, Guard};
use crate::password::{self, Hasher};
use crate::random;
use crate::refusal::{AccessError, Failure, LoginRefusal, PasswordRefusal};
use crate::role::{Permission, Role, Via, Who};
use crate::sessions::{Entry, NewSession, Secrets, Session, SessionView, Sessions};
use crate::settings::WebSettings;
use crate::totp::Secret;

/// How long somebody waits when every place for hashing is taken.
const BUSY: u64 = 2;

/// Users, sessions, tokens, settings and the audit log of one unit.
#[derive(Debug)]
pub struct Access {
    pub(crate) disk: Mutex<Disk>,
    pub(crate) state: Mutex<State>,
    pub(crate) audit: Mutex<AuditLog>,
    pub(crate) hasher: Hasher,
}

/// What is in memory.
#[derive(Debug)]
pub(crate) struct State {
    /// `None`: the file cannot be used, and nobody gets in.
    pub document: Option<Document>,
    pub sessions: Sessions,
    pub guard: Guard,
    /// TOTP secrets shown but not confirmed yet, and until when, by user.
    pub pending: HashMap<String, (Secret, u64)>,
    /// When and from where each token (by its id) was last used.
    pub token_used: HashMap<String, (u64, IpAddr)>,
    /// About the files.
    pub alarm: Option<String>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Access {
    /// Opens the state directory. On the first start there is one user, `loadbalancer` with the password
    /// `loadbalancer` (to be changed at once) and the role configuration. Blocks: hashes, writes.
    pub fn open(dir: &Path, now: u64) -> Result<Access, AccessError> {
        Access::with_cost(dir, Params::default(), now)
    }

    /// As [`Access::open`], with hashes that cost nothing: for tests only.
    #[cfg(any(test, feature = "cheap-hash"))]
    pub fn open_cheap(dir: &Path, now: u64) -> Result<Access, AccessError> {
        Access::with_cost(dir, Params::new(8, 1, 1, None).map_err(|_| AccessError::Hash)?, now)
    }

    fn with_cost(dir: &Path, params: Params, now: u64) -> Result<Access, AccessError> {
        let (disk, found) = Disk::open(dir, AuditLog::begun(dir), now)?;
        let hasher = Hasher::new(params);
        let mut audit = AuditLog::open(dir);
        let mut note = |action: &str, detail: &str| audit.append(AuditEntry::unit(now, action, detail));
        let (document, alarm) = match found {
            Found::Good(document) => (Some(document), None),
            Found::Copy(document, alarm) => {
                note("recovery", &alarm);
                (Some(document), Some(alarm))
            }
            Found::Closed(alarm) => {
                note("recovery", &alarm);
                (None, Some(alarm))
            }
            first @ (Found::First | Found::Reset) => {
                let hash = hasher.enter(true).ok().and_then(|place| place.hash(password::FACTORY));
                let document = Document::factory(hash.ok_or(AccessError::Hash)?, now);
                let io =
                    |source| AccessError::Io { doing: "writing the factory user in", path: dir.to_owned(), source };
                disk.write(&document).map_err(io)?;
                if matches!(first, Found::Reset) {
                    disk.reset_done().map_err(io)?;
                    note("recovery", "Users, tokens and web settings were reset at the console.");
                } else {
                    note("first-start", "User loadbalancer was made with the factory password.");
                }
                (Some(document), None)
            }
        };
        let state = State {
            document,
            sessions: Sessions::default(),
            guard: Guard::default(),
            pending: HashMap::new(),
            token_used: HashMap::new(),
            alarm,
        };
        Ok(Access { disk: Mutex::new(disk), state: Mutex::new(state), audit: Mutex::new(audit), hasher })
    }

    /// What the administrator should know about the files, for the overview.
    pub fn alarms(&self) -> Vec<String> {
        let mut alarms: Vec<String> = lock(&self.state).alarm.iter().cloned().collect();
        if lock(&self.audit).failing() {
            alarms.push("The audit log cannot be written: the disk may be full or failing.".into());
        }
        alarms
    }

    /// Starts a session. `code`: of the authenticator app, where the account has one. Blocks: hashes.
    pub fn login(
        &self,
        user: &str,
        password: &str,
        code: Option<&str>,
        address: IpAddr,
        now: u64,
    ) -> Result<NewSession, LoginRefusal> {
        let user = user.trim().to_ascii_lowercase();
        let code = code.map(str::trim).filter(|code| !code.is_empty());
        let result = self.try_login(&user, password, code, address.to_canonical(), now);
        let entry = match &result {
            Ok(new) => AuditEntry::new(now, &new.session.who, "log-in", "Logged in."),
            Err(refusal) => {
                // A password typed into the wrong field must not be written down.
                let exists = lock(&self.state).document.as_ref().is_some_and(|d| d.users.contains_key(&user));
                let user = if exists { user.as_str() } else { "an unknown user" };
                AuditEntry::stranger(now, address, "log-in", format!("As {user}: {refusal}.")).refused()
            }
        };
        self.record(entry);
        result
    }

    fn try_login(
        &self,
        user: &str,
        password: &str,
        code: Option<&str>,
        address: IpAddr,
        now: u64,
    ) -> Result<NewSession, LoginRefusal> {
        let (attempt, known, hash) = {
            let mut state = lock(&self.state);
            let Some(document) = &state.document else {
                return Err(LoginRefusal::Closed { alarm: state.alarm.clone().unwrap_or_default() });
            };
            let account = document.users.get(user);
            let known = account.is_some_and(|account| account.knows(address));
            let hash = account.map(|account| account.hash.clone());
            let attempt = Attempt::new(user, address, known);
            state.guard.admit(&attempt, now).map_err(|retry_after| LoginRefusal::Locked { retry_after })?;
            (attempt, known, hash)
        };
        let right = match self.hasher.enter(known) {
            Ok(place) => place.verify(password, hash.as_deref()),
            Err(password::Full) => {
                lock(&self.state).guard.give_back(&attempt);
                return Err(LoginRefusal::Busy { retry_after: BUSY });
            }
        };
        if !right {
            return Err(LoginRefusal::Wrong);
        }
        let secrets = Secrets::new()?;
        let disk = lock(&self.disk);
        let mut state = lock(&self.state);
        let Some(mut document) = state.document.clone() else { return Err(Failure::Closed.into()) };
        // Somebody may have changed or removed the account while its password was hashed.
        let Some(account) = document.users.get_mut(user).filter(|account| Some(&account.hash) == hash.as_ref()) else {
            return Err(LoginRefusal::Wrong);
        };
        if let Some(totp) = &mut account.totp {
            let Some(code) = code else {
                state.guard.give_back(&attempt);
                return Err(LoginRefusal::CodeNeeded);
            };
            totp.used = totp.secret.check(code, now, totp.used).ok_or(LoginRefusal::CodeWrong)?;
        }
        account.logged_in(address, now);
        state.guard.succeeded(&attempt);
        let entry = state.sessions.begin(&secrets, user, address, &document.settings, now);
        let session = session(&document, &entry);
        state.document = Some(document.clone());
        drop(state);
        // When it cannot be written the log-in is good all the same: who else should mend the disk?
        let _ = disk.write(&document);
        let session = session.ok_or(LoginRefusal::Wrong)?;
        Ok(NewSession { cookie: secrets.cookie, session })
    }

    /// Whose cookie this is; puts off the idle time-out.
    pub fn session(&self, cookie: &str, address: IpAddr, now: u64) -> Option<Session> {
        self.look(cookie, now, |entry| {
            entry.last_seen = entry.last_seen.max(now);
            entry.address = address.to_canonical();
        })
    }

    /// As [`Access::session`], for what a page asks by itself: does not put off the idle time-out.
    pub fn peek(&self, cookie: &str, now: u64) -> Option<Session> {
        self.look(cookie, now, |_| {})
    }

    /// Whether the cookie's session lives.
    pub fn is_session(&self, cookie: &str, now: u64) -> bool {
        self.peek(cookie, now).is_some()
    }

    fn look(&self, cookie: &str, now: u64, touch: impl FnOnce(&mut Entry)) -> Option<Session> {
        let mut state = lock(&self.state);
        let State { document, sessions, .. } = &mut *state;
        let document = document.as_ref()?;
        let entry = sessions.get(cookie, &document.settings, now)?;
        touch(entry);
        session(document, entry)
    }

    /// Ends the cookie's session.
    pub fn logout(&self, cookie: &str, now: u64) {
        let Some(session) = self.peek(cookie, now) else { return };
        lock(&self.state).sessions.end(cookie);
        self.record(AuditEntry::new(now, &session.who, "log-out", "Logged out."));
    }

    /// Every living session, newest first.
    pub fn sessions(&self, now: u64) -> Vec<SessionView> {
        let state = lock(&self.state);
        let Some(document) = &state.document else { return Vec::new() };
        let view = |entry: &Entry| {
            Some(SessionView {
                id: entry.id.clone(),
                user: entry.user.clone(),
                role: document.users.get(&entry.user)?.role,
                address: entry.address,
                started: entry.started,
                last_seen: entry.last_seen,
                expires: entry.expires(&document.settings),
            })
        };
        let mut views: Vec<_> = state.sessions.list(&document.settings, now).into_iter().filter_map(view).collect();
        views.sort_by(|a, b| (b.started, &b.id).cmp(&(a.started, &a.id)));
        views
    }

    /// Ends a session: one's own, or with the right to administer anybody's. False when there is none, or no right.
    pub fn end_session(&self, id: &str, by: &Who, now: u64) -> bool {
        let mut state = lock(&self.state);
        let Some(document) = &state.document else { return false };
        let theirs = state.sessions.list(&document.settings, now).into_iter().find(|entry| entry.id == id);
        let Some(user) = theirs.map(|entry| entry.user.clone()) else { return false };
        let allowed = user == by.user || by.may(Permission::Administer);
        if allowed {
            state.sessions.end_id(id);
        }
        drop(state);
        let entry = AuditEntry::new(now, by, "session-end", format!("A session of {user}."));
        self.record(if allowed { entry } else { entry.refused() });
        allowed
    }

    /// Whose API token this is.
    pub fn bearer(&self, token: &str, address: IpAddr, now: u64) -> Option<Who> {
        let sha256 = token_hash(token);
        let mut state = lock(&self.state);
        let State { document, token_used, .. } = &mut *state;
        let document = document.as_ref()?;
        let found = document.tokens.iter().find(|token| random::same(token.sha256.as_bytes(), sha256.as_bytes()))?;
        if found.expires.is_some_and(|expires| expires <= now) {
            return None;
        }
        let owner = document.users.get(&found.owner).filter(|owner| !owner.must_change)?;
        let address = address.to_canonical();
        token_used.insert(found.id.clone(), (now, address));
        Some(Who {
            user: found.owner.clone(),
            role: found.role.min(owner.role),
            address,
            via: Via::Token(found.name.clone()),
        })
    }

    /// Changes the password of the cookie's user. Every session of theirs ends; the answer is a new one. Blocks: hashes.
    pub fn change_own_password(
        &self,
        cookie: &str,
        old: &str,
        new: &str,
        now: u64,
    ) -> Result<NewSession, PasswordRefusal> {
        let who = self.peek(cookie, now).ok_or(PasswordRefusal::NoSession)?.who;
        let result = self.try_change_own_password(&who, cookie, old, new, now);
        let entry = match &result {
            Ok(_) => AuditEntry::new(now, &who, "password-change", "Changed their own password."),
            Err(refusal) => AuditEntry::new(now, &who, "password-change", format!("{refusal}.")).refused(),
        };
        self.record(entry);
        result
    }

    fn try_change_own_password(
        &self,
        who: &Who,
        cookie: &str,
        old: &str,
        new: &str,
        now: u64,
    ) -> Result<NewSession, PasswordRefusal> {
        password::policy(&who.user, new)?;
        let (place, before) = self.prove(who, old, now, PasswordRefusal::OldWrong)?;
        if random::same(old.as_bytes(), new.as_bytes()) {
            return Err(PasswordRefusal::Same);
        }
        let hash = place.hash(new).ok_or(Failure::Resources)?;
        drop(place);
        let secrets = Secrets::new()?;
        let session = self.change(
            |document, state| {
                let Some(account) = document.users.get_mut(&who.user).filter(|account| account.hash == before) else {
                    return Err(PasswordRefusal::NoSession);
                };
                // It may have been ended while the passwords were hashed.
                if state.sessions.get(cookie, &document.settings, now).is_none() {
                    return Err(PasswordRefusal::NoSession);
                }
                account.hash = hash;
                account.must_change = false;
                Ok(())
            },
            |document, state, ()| {
                state.sessions.end_of(&who.user);
                let entry = state.sessions.begin(&secrets, &who.user, who.address, &document.settings, now);
                session(document, &entry)
            },
        )?;
        let session = session.ok_or(PasswordRefusal::NoSession)?;
        Ok(NewSession { cookie: secrets.cookie, session })
    }

    /// Whether this is the password of who asks, before something that cannot be undone. Wrong ones count as wrong
    /// log-ins do. Blocks: hashes.
    pub fn confirm_password(&self, who: &Who, password: &str, action: &str, now: u64) -> Result<(), PasswordRefusal> {
        let result = self.prove(who, password, now, PasswordRefusal::Wrong).map(drop);
        if let Err(refusal) = &result {
            self.record(AuditEntry::new(now, who, action, format!("{refusal}.")).refused());
        }
        result
    }

    /// The hash that the password fits, and the place among those who hash; `wrong` says that it does not.
    fn prove(
        &self,
        who: &Who,
        password: &str,
        now: u64,
        wrong: PasswordRefusal,
    ) -> Result<(password::Place<'_>, String), PasswordRefusal> {
        let (attempt, hash) = {
            let mut state = lock(&self.state);
            let account = state.document.as_ref().and_then(|document| document.users.get(&who.user));
            let hash = account.map(|account| account.hash.clone()).ok_or(PasswordRefusal::NoSession)?;
            let attempt = Attempt::new(&who.user, who.address, true);
            state.guard.admit(&attempt, now).map_err(|retry_after| PasswordRefusal::Locked { retry_after })?;
            (attempt, hash)
        };
        let busy = |_| PasswordRefusal::Busy { retry_after: BUSY };
        let place = self.hasher.enter(true).map_err(busy).inspect_err(|_| {
            lock(&self.state).guard.give_back(&attempt);
        })?;
        if !place.verify(password, Some(&hash)) {
            return Err(wrong);
        }
        lock(&self.state).guard.succeeded(&attempt);
        Ok((place, hash))
    }

    /// One change of the document: `edit` decides, then it is written, then it counts and `after` sees to sessions.
    /// When it is refused or cannot be written, nothing has changed.
    pub(crate) fn change<T, U, E: From<Failure>>(
        &self,
        edit: impl FnOnce(&mut Document, &mut State) -> Result<T, E>,
        after: impl FnOnce(&Document, &mut State, T) -> U,
    ) -> Result<U, E> {
        let disk = lock(&self.disk);
        let (document, value) = {
            let mut state = lock(&self.state);
            let mut document = state.document.clone().ok_or(Failure::Closed)?;
            let value = edit(&mut document, &mut state)?;
            (document, value)
        };
        disk.write(&document).map_err(|_| Failure::Disk)?;
        let mut state = lock(&self.state);
        let result = after(&document, &mut state, value);
        state.document = Some(document);
        Ok(result)
    }

    /// Settings of the web interface; the defaults when the file cannot be used.
    pub fn settings(&self) -> WebSettings {
        lock(&self.state).document.as_ref().map(|document| document.settings.clone()).unwrap_or_default()
    }

    /// Writes into the audit log.
    pub fn record(&self, entry: AuditEntry) {
        lock(&self.audit).append(entry);
    }

    /// Reads the audit log, newest first: entries that hold every word of `filter`. Blocks: reads up to 6 MiB.
    pub fn audit(&self, filter: Option<&str>, before: Option<u64>, limit: usize) -> AuditPage {
        lock(&self.audit).page(filter, before, limit)
    }

    /// The role that a user has now.
    pub fn role(&self, user: &str) -> Option<Role> {
        lock(&self.state).document.as_ref()?.users.get(user).map(|user| user.role)
    }
}

/// SHA-256 in hexadecimal: what is kept of a token.
pub(crate) fn token_hash(token: &str) -> String {
    random::fingerprint(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A session with what its user is at this moment; `None` when the user is gone.
fn session(document: &Document, entry: &Entry) -> Option<Session> {
    let user = document.users.get(&entry.user)?;
    Some(Session {
        id: entry.id.clone(),
        who: Who { user: entry.user.clone(), role: user.role, address: entry.address, via: Via::Session },
        csrf: entry.csrf.clone(),
        must_change_password: user.must_change,
        started: entry.started,
        last_seen: entry.last_seen,
        expires: entry.expires(&document.settings),
    })
}
