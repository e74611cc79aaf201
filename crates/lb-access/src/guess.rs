//! Against guessing: who has to wait before the next password is even looked at. Pure.
//!
//! Every attempt is charged to buckets before its password is checked, so that parallel attempts cannot slip through
//! together; what turns out right is given back. A bucket holds some failures for free and forgives one every half hour;
//! a failure beyond makes it refuse for a delay that doubles up to a quarter of an hour.
//!
//! ```text
//! bucket                                        free   delays        looked at for
//! source: an IPv4 address or an IPv6 /64          5    5 s .. 15 min   everybody
//! account from a network: /24 or /64             10    5 s .. 15 min   sources unknown to the account
//! account from anywhere                          30    2 s .. 10 s     sources unknown to the account
//! ```
//!
//! A source is known to an account that logged in from it before: a stranger elsewhere cannot lock it out. Tables are
//! bounded: when one is full, the entries that hold back least are forgotten. Tested with a clock of numbers.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// No delay is longer: seconds.
const LONGEST: u64 = 15 * 60;
/// A bucket forgives one failure in this time: seconds.
const FORGIVEN: u64 = 30 * 60;
/// Failures beyond the free ones are counted up to here.
const MOST: u32 = 10;
/// Entries in each table.
pub const TABLE: usize = 8192;

/// Where somebody comes from: an IPv4 address, or an IPv6 /64 (one customer's network).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(IpAddr);

impl Source {
    pub fn of(address: IpAddr) -> Source {
        Source(masked(address, 32, 64))
    }
}

/// The network around an address: IPv4 /24, IPv6 /64.
fn network(address: IpAddr) -> IpAddr {
    masked(address, 24, 64)
}

fn masked(address: IpAddr, v4: u32, v6: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(a) => Ipv4Addr::from(u32::from(a) & (u32::MAX << (32 - v4))).into(),
        IpAddr::V6(a) => Ipv6Addr::from(u128::from(a) & (u128::MAX << (128 - v6))).into(),
    }
}

/// An account's name, whoever it belongs to and however long it is, in 16 bytes.
type Account = [u8; 16];

fn account(user: &str) -> Account {
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::digest(user.as_bytes())[..16]);
    short
}

/// One attempt at an account.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    source: Source,
    network: IpAddr,
    account: Account,
    /// The account has logged in from this source before.
    known: bool,
}

impl Attempt {
    pub fn new(user: &str, address: IpAddr, known: bool) -> Attempt {
        Attempt { source: Source::of(address), network: network(address), account: account(user), known }
    }
}

/// How a kind of bucket holds back.
struct Rule {
    free: u32,
    first: u64,
    longest: u64,
}

const SOURCE: Rule = Rule { free: 5, first: 5, longest: LONGEST };
const PAIR: Rule = Rule { free: 10, first: 5, longest: LONGEST };
const EVERYWHERE: Rule = Rule { free: 30, first: 2, longest: 10 };

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    failures: u32,
    /// When `failures` was last right.
    counted: u64,
    /// Refuses until then.
    until: u64,
    /// Whose failures these are, unless several accounts were tried.
    account: Account,
    mixed: bool,
}

impl Bucket {
    /// Forgives what time has forgiven.
    fn settle(&mut self, now: u64) {
        // Not from the future, should the clock have been set back.
        self.counted = self.counted.min(now);
        let forgiven = now.saturating_sub(self.counted) / FORGIVEN;
        self.failures = self.failures.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
        self.counted = if self.failures == 0 { now } else { self.counted.saturating_add(forgiven * FORGIVEN) };
    }

    fn charge(&mut self, account: Account, rule: &Rule, now: u64) {
        self.settle(now);
        self.mixed = self.failures > 0 && (self.mixed || self.account != account);
        self.account = account;
        self.failures = (self.failures + 1).min(rule.free + MOST);
        if let Some(beyond) = self.failures.checked_sub(rule.free) {
            self.until = now.saturating_add((rule.first << beyond.min(MOST)).min(rule.longest));
        }
    }

    /// Takes one charge back, and the wait that came with it.
    fn give_back(&mut self) {
        self.failures = self.failures.saturating_sub(1);
        self.until = 0;
    }

    /// The account's owner was here: what was tried with it alone were mistakes. Guesses at other accounts stay: an
    /// account of one's own must not buy more of them.
    fn clear(&mut self) {
        self.give_back();
        if !self.mixed {
            self.failures = 0;
        }
    }
}

/// Bounded: when it is full, the eighth that holds back least makes room.
#[derive(Debug)]
struct Table<K>(HashMap<K, Bucket>);

impl<K: Eq + Hash + Copy> Table<K> {
    fn wait(&self, key: &K, now: u64) -> u64 {
        let wait = self.0.get(key).map_or(0, |bucket| bucket.until.saturating_sub(now));
        // Longer than any delay: the clock was set back.
        if wait > LONGEST { 0 } else { wait }
    }

    fn charge(&mut self, key: K, account: Account, rule: &Rule, now: u64) {
        if self.0.len() >= TABLE && !self.0.contains_key(&key) {
            self.make_room(now);
        }
        self.0.entry(key).or_default().charge(account, rule, now);
    }

    fn make_room(&mut self, now: u64) {
        self.0.retain(|_, bucket| {
            bucket.settle(now);
            bucket.failures > 0
        });
        if self.0.len() < TABLE {
            return;
        }
        let mut order: Vec<_> = self.0.iter().map(|(key, b)| (b.until, b.failures, b.counted, *key)).collect();
        let (least, ..) =
            order.select_nth_unstable_by_key(TABLE / 8, |(until, failures, counted, _)| (*until, *failures, *counted));
        for (.., key) in least {
            self.0.remove(key);
        }
    }
}

/// Every bucket.
#[derive(Debug)]
pub struct Guard {
    sources: Table<Source>,
    pairs: Table<(Account, IpAddr)>,
    everywhere: Table<Account>,
}

impl Default for Guard {
    fn default() -> Guard {
        Guard { sources: Table(HashMap::new()), pairs: Table(HashMap::new()), everywhere: Table(HashMap::new()) }
    }
}

impl Guard {
    /// Charges the attempt, or says how many seconds it has to wait; a refused attempt is not charged.
    pub fn admit(&mut self, attempt: &Attempt, now: u64) -> Result<(), u64> {
        let wait = self.wait(attempt, now);
        if wait > 0 {
            return Err(wait);
        }
        self.sources.charge(attempt.source, attempt.account, &SOURCE, now);
        if !attempt.known {
            self.pairs.charge((attempt.account, attempt.network), attempt.account, &PAIR, now);
            self.everywhere.charge(attempt.account, attempt.account, &EVERYWHERE, now);
        }
        Ok(())
    }

    /// Seconds until the attempt would be admitted.
    pub fn wait(&self, attempt: &Attempt, now: u64) -> u64 {
        let source = self.sources.wait(&attempt.source, now);
        if attempt.known {
            return source;
        }
        let pair = self.pairs.wait(&(attempt.account, attempt.network), now);
        source.max(pair).max(self.everywhere.wait(&attempt.account, now))
    }

    /// The attempt was never looked at, or not to its end: its charge is taken back.
    pub fn give_back(&mut self, attempt: &Attempt) {
        self.buckets(attempt).into_iter().flatten().for_each(Bucket::give_back);
    }

    /// The attempt was right.
    pub fn succeeded(&mut self, attempt: &Attempt) {
        self.buckets(attempt).into_iter().flatten().for_each(Bucket::clear);
    }

    /// What the attempt was charged to.
    fn buckets(&mut self, attempt: &Attempt) -> [Option<&mut Bucket>; 3] {
        let source = self.sources.0.get_mut(&attempt.source);
        if attempt.known {
            return [source, None, None];
        }
        let pair = self.pairs.0.get_mut(&(attempt.account, attempt.network));
        [source, pair, self.everywhere.0.get_mut(&attempt.account)]
    }

    /// Until when some network has to wait for this account (0 = none).
    pub fn locked_until(&self, user: &str) -> u64 {
        let account = account(user);
        let pairs = self.pairs.0.iter().filter(|((a, _), _)| *a == account).map(|(_, bucket)| bucket.until);
        pairs.max().unwrap_or(0)
    }

    /// An administrator lets the account's people try again: its networks, and the sources in them.
    pub fn unlock(&mut self, user: &str) {
        let account = account(user);
        let networks: Vec<IpAddr> = self.pairs.0.keys().filter(|(a, _)| *a == account).map(|(_, n)| *n).collect();
        self.pairs.0.retain(|(a, _), _| *a != account);
        self.everywhere.0.remove(&account);
        self.sources.0.retain(|source, _| !networks.contains(&network(source.0)));
    }

    #[cfg(test)]
    pub fn entries(&self) -> usize {
        self.sources.0.len() + self.pairs.0.len() + self.everywhere.0.len()
    }
}

#[cfg(test)]
mod tests;
