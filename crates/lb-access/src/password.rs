//! Passwords: which are good enough, and their hashes (argon2id, the crate's defaults: 19 MiB, 2 passes).
//!
//! One password is hashed at a time, so that guessing costs one core and 19 MiB at most; few may wait for their turn,
//! and strangers may not take all places. Passwords themselves are never stored, logged or put into an error.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};

use crate::refusal::PasswordRefusal;

/// Characters of a password.
pub const SHORTEST: usize = 10;
pub const LONGEST: usize = 128;
/// What everybody knows: it logs in once.
pub const FACTORY: &str = "loadbalancer";

/// Hashes under way and waiting, at most.
const PLACES: usize = 9;
/// Of these, for sources that have not logged in to the account before.
const STRANGERS: usize = 6;

/// What an imported or stored hash may cost to check.
const MOST_MEMORY_KIB: u32 = 64 * 1024;
const MOST_PASSES: u32 = 8;
const MOST_LANES: u32 = 4;

/// Whether `new` may become the password of `user`.
pub fn policy(user: &str, new: &str) -> Result<(), PasswordRefusal> {
    let length = new.chars().count();
    if length < SHORTEST {
        Err(PasswordRefusal::TooShort)
    } else if length > LONGEST {
        Err(PasswordRefusal::TooLong)
    } else if new.eq_ignore_ascii_case(FACTORY) {
        Err(PasswordRefusal::Factory)
    } else if new.eq_ignore_ascii_case(user) {
        Err(PasswordRefusal::UserName)
    } else {
        Ok(())
    }
}

/// Whether text is a hash that this software checks, at a bearable cost.
pub fn is_hash(text: &str) -> bool {
    let Ok(hash) = PasswordHash::new(text) else { return false };
    let Ok(params) = Params::try_from(&hash) else { return false };
    hash.algorithm == Algorithm::Argon2id.ident()
        && hash.salt.is_some()
        && hash.hash.is_some()
        && params.m_cost() <= MOST_MEMORY_KIB
        && params.t_cost() <= MOST_PASSES
        && params.p_cost() <= MOST_LANES
}

/// Every place is taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// The one hasher.
#[derive(Debug)]
pub struct Hasher {
    params: Params,
    turn: Mutex<()>,
    places: AtomicUsize,
}

/// A place in the queue; the hash is made while it is held.
#[derive(Debug)]
pub struct Place<'a> {
    hasher: &'a Hasher,
}

impl Hasher {
    pub fn new(params: Params) -> Hasher {
        Hasher { params, turn: Mutex::new(()), places: AtomicUsize::new(0) }
    }

    /// Takes a place, without waiting for the turn.
    pub fn enter(&self, known: bool) -> Result<Place<'_>, Full> {
        let most = if known { PLACES } else { STRANGERS };
        let taken = |places| (places < most).then_some(places + 1);
        self.places.fetch_update(Ordering::SeqCst, Ordering::SeqCst, taken).map_err(|_| Full)?;
        Ok(Place { hasher: self })
    }

    fn argon2(&self) -> Argon2<'static> {
        Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone())
    }
}

impl Place<'_> {
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.hasher.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new hash with a new salt; `None` without random numbers or memory.
    pub fn hash(&self, password: &str) -> Option<String> {
        let _turn = self.turn();
        let hash: PasswordHash = self.hasher.argon2().hash_password(password.as_bytes()).ok()?;
        Some(hash.to_string())
    }

    /// Whether the password is the one of `hash`. Without a hash (no such user) the same work is done for nothing.
    pub fn verify(&self, password: &str, hash: Option<&str>) -> bool {
        let Some(hash) = hash.and_then(|hash| PasswordHash::new(hash).ok()) else {
            let _ = self.hash(password);
            return false;
        };
        let _turn = self.turn();
        self.hasher.argon2().verify_password(password.as_bytes(), &hash).is_ok()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.hasher.places.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap() -> Hasher {
        Hasher::new(Params::new(8, 1, 1, None).unwrap())
    }

    #[test]
    fn the_policy() {
        let table = [
            ("short", Some(PasswordRefusal::TooShort)),
            ("ninechars", Some(PasswordRefusal::TooShort)),
            ("ten chars!", None),
            ("zehn Zeiche", None),
            ("äöüäöüäöüä", None),
            ("LoadBalancer", Some(PasswordRefusal::Factory)),
            ("Administrator", Some(PasswordRefusal::UserName)),
        ];
        for (password, expected) in table {
            assert_eq!(policy("administrator", password).err(), expected, "{password}");
        }
        assert_eq!(policy("ops", &"ä".repeat(128)), Ok(()));
        assert_eq!(policy("ops", &"ä".repeat(129)), Err(PasswordRefusal::TooLong));
    }

    #[test]
    fn a_hash_is_of_its_password_only_and_salted() {
        let hasher = cheap();
        let place = hasher.enter(true).unwrap();
        let hash = place.hash("correct horse").unwrap();
        assert!(is_hash(&hash), "{hash}");
        assert_ne!(place.hash("correct horse").unwrap(), hash);
        assert!(place.verify("correct horse", Some(&hash)));
        assert!(!place.verify("correct hors", Some(&hash)));
        assert!(!place.verify("correct horse", Some("nonsense")));
        assert!(!place.verify("correct horse", None));
    }

    #[test]
    fn the_appliance_hashes_with_the_crates_defaults() {
        let hasher = Hasher::new(Params::default());
        let hash = hasher.enter(true).unwrap().hash("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    }

    #[test]
    fn hashes_that_cost_too_much_or_are_of_another_kind_are_none() {
        let tail = "$c29tZXNhbHRzb21lc2FsdA$v7JdzQ0bB4cP1vH1yq0rDqVdJQHn0wRZ0mKQm6vQm1A";
        assert!(is_hash(&format!("$argon2id$v=19$m=19456,t=2,p=1{tail}")));
        for head in
            ["$argon2id$v=19$m=4194304,t=2,p=1", "$argon2id$v=19$m=19456,t=900,p=1", "$argon2i$v=19$m=19456,t=2,p=1"]
        {
            assert!(!is_hash(&format!("{head}{tail}")), "{head}");
        }
        assert!(!is_hash("$argon2id$v=19$m=19456,t=2,p=1"));
    }

    #[test]
    fn strangers_do_not_take_every_place() {
        let hasher = cheap();
        let taken: Vec<_> = (0..STRANGERS).map(|_| hasher.enter(false).unwrap()).collect();
        assert!(hasher.enter(false).is_err());
        let known: Vec<_> = (STRANGERS..PLACES).map(|_| hasher.enter(true).unwrap()).collect();
        assert!(hasher.enter(true).is_err());
        drop(taken);
        assert!(hasher.enter(false).is_ok());
        drop(known);
        assert_eq!(hasher.places.load(Ordering::SeqCst), 0);
    }
}
