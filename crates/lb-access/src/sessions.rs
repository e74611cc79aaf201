//! The table of sessions: in memory only, bounded, keyed by the cookie's SHA-256. Pure: secrets and time are arguments.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use crate::random::{self, Fingerprint};
use crate::refusal::Failure;
use crate::role::{Role, Who};
use crate::settings::WebSettings;

/// Sessions of one user; the oldest ends when another begins.
pub const MOST_PER_USER: usize = 10;
/// Sessions in all.
pub const MOST: usize = 512;
/// A clock set back by more ends sessions: their ages are unknown.
const SET_BACK: u64 = 300;

/// A session that has just begun. The cookie is nowhere else: `{:?}` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct NewSession {
    /// 256 bits as base64url.
    pub cookie: String,
    pub session: Session,
}

/// A session as a request sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Public: names it in lists and forms.
    pub id: String,
    pub who: Who,
    /// Goes into every form; see [`Session::csrf_matches`].
    pub csrf: String,
    /// The password must be changed before anything else is allowed.
    pub must_change_password: bool,
    pub started: u64,
    pub last_seen: u64,
    /// When it ends unless something is asked for before.
    pub expires: u64,
}

impl Session {
    /// Compares a form's token, in constant time.
    pub fn csrf_matches(&self, token: &str) -> bool {
        random::same(self.csrf.as_bytes(), token.as_bytes())
    }
}

/// A session as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    pub id: String,
    pub user: String,
    pub role: Role,
    /// Of its last request.
    pub address: IpAddr,
    pub started: u64,
    pub last_seen: u64,
    pub expires: u64,
}

/// What a session is made of, from random numbers.
pub struct Secrets {
    pub cookie: String,
    pub csrf: String,
    pub id: String,
}

impl Secrets {
    pub fn new() -> Result<Secrets, Failure> {
        Ok(Secrets { cookie: random::word::<32>()?, csrf: random::word::<32>()?, id: random::word::<9>()? })
    }
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub id: String,
    pub user: String,
    pub csrf: String,
    pub address: IpAddr,
    pub started: u64,
    pub last_seen: u64,
}

impl Entry {
    pub fn expires(&self, settings: &WebSettings) -> u64 {
        let idle = self.last_seen.saturating_add(settings.session_idle.into());
        idle.min(self.started.saturating_add(settings.session_absolute.into()))
    }

    fn is_alive(&self, settings: &WebSettings, now: u64) -> bool {
        now < self.expires(settings) && self.last_seen <= now.saturating_add(SET_BACK)
    }
}

#[derive(Default)]
pub struct Sessions(HashMap<Fingerprint, Entry>);

impl Sessions {
    /// Begins one; what is over, or too much, ends.
    pub fn begin(&mut self, secrets: &Secrets, user: &str, address: IpAddr, settings: &WebSettings, now: u64) -> Entry {
        self.0.retain(|_, entry| entry.is_alive(settings, now));
        self.make_room(MOST_PER_USER, |entry| entry.user == user);
        self.make_room(MOST, |_| true);
        let entry = Entry {
            id: secrets.id.clone(),
            user: user.to_owned(),
            csrf: secrets.csrf.clone(),
            address,
            started: now,
            last_seen: now,
        };
        self.0.insert(random::fingerprint(&secrets.cookie), entry.clone());
        entry
    }

    fn make_room(&mut self, most: usize, of: impl Fn(&Entry) -> bool) {
        while self.0.values().filter(|entry| of(entry)).count() >= most {
            let oldest = self.0.iter().filter(|(_, entry)| of(entry)).min_by_key(|(_, e)| (e.started, e.last_seen));
            let Some((key, _)) = oldest.map(|(key, entry)| (*key, entry)) else { return };
            self.0.remove(&key);
        }
    }

    /// The living session of a cookie; one that is over ends here.
    pub fn get(&mut self, cookie: &str, settings: &WebSettings, now: u64) -> Option<&mut Entry> {
        let key = random::fingerprint(cookie);
        if !self.0.get(&key)?.is_alive(settings, now) {
            self.0.remove(&key);
        }
        self.0.get_mut(&key)
    }

    pub fn end(&mut self, cookie: &str) -> Option<Entry> {
        self.0.remove(&random::fingerprint(cookie))
    }

    pub fn end_id(&mut self, id: &str) -> Option<Entry> {
        let key = self.0.iter().find(|(_, entry)| entry.id == id).map(|(key, _)| *key)?;
        self.0.remove(&key)
    }

    pub fn end_of(&mut self, user: &str) {
        self.0.retain(|_, entry| entry.user != user);
    }

    pub fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        self.0.retain(|_, entry| keep(entry));
    }

    /// The living ones.
    pub fn list(&self, settings: &WebSettings, now: u64) -> Vec<&Entry> {
        self.0.values().filter(|entry| entry.is_alive(settings, now)).collect()
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({})", self.0.len())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id).field("who", &self.who).finish_non_exhaustive()
    }
}

impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSession").field("session", &self.session).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(sessions: &mut Sessions, user: &str, now: u64) -> String {
        let secrets = Secrets::new().unwrap();
        sessions.begin(&secrets, user, "10.0.0.5".parse().unwrap(), &WebSettings::default(), now);
        secrets.cookie
    }

    #[test]
    fn a_session_ends_when_idle_and_in_the_end_anyway() {
        let settings = WebSettings::default();
        let mut sessions = Sessions::default();
        let cookie = begin(&mut sessions, "ops", 1000);
        assert!(sessions.get(&cookie, &settings, 1899).is_some());
        assert!(sessions.get(&cookie, &settings, 1900).is_none());

        let cookie = begin(&mut sessions, "ops", 1000);
        for now in (1000..1000 + 28_800).step_by(600) {
            sessions.get(&cookie, &settings, now).unwrap().last_seen = now;
        }
        assert!(sessions.get(&cookie, &settings, 1000 + 28_799).is_some());
        assert!(sessions.get(&cookie, &settings, 1000 + 28_800).is_none());
    }

    #[test]
    fn a_clock_set_back_does_not_make_sessions_eternal() {
        let mut sessions = Sessions::default();
        let cookie = begin(&mut sessions, "ops", 1_000_000);
        assert!(sessions.get(&cookie, &WebSettings::default(), 1_000_000 - 299).is_some());
        assert!(sessions.get(&cookie, &WebSettings::default(), 1_000_000 - 301).is_none());
    }

    #[test]
    fn the_eleventh_session_of_a_user_ends_the_oldest() {
        let settings = WebSettings::default();
        let mut sessions = Sessions::default();
        let other = begin(&mut sessions, "other", 0);
        let cookies: Vec<_> = (0..11).map(|now| begin(&mut sessions, "ops", now)).collect();
        assert!(sessions.get(&cookies[0], &settings, 11).is_none());
        assert!(cookies[1..].iter().all(|cookie| sessions.get(cookie, &settings, 11).is_some()));
        assert!(sessions.get(&other, &settings, 11).is_some());
    }

    #[test]
    fn the_table_is_bounded() {
        let mut sessions = Sessions::default();
        for i in 0..MOST + 50 {
            begin(&mut sessions, &format!("u{}", i % 100), 1);
        }
        assert_eq!(sessions.0.len(), MOST);
        begin(&mut sessions, "late", 2000);
        assert_eq!(sessions.0.len(), 1, "what is over makes room first");
    }

    #[test]
    fn no_secret_is_printed() {
        let secrets = Secrets::new().unwrap();
        let mut sessions = Sessions::default();
        sessions.begin(&secrets, "ops", "10.0.0.5".parse().unwrap(), &WebSettings::default(), 0);
        assert_eq!(format!("{sessions:?}"), "Sessions(1)");
        assert_eq!((secrets.cookie.len(), secrets.csrf.len(), secrets.id.len()), (43, 43, 12));
    }
}
