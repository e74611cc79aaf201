//! Who may open one more connection: a decision on counts, without sockets.
//!
//! One address has a share of all places, so that whoever takes every one it can get leaves room for the others. The
//! console of the unit itself has some that nobody else gets. An IPv6 host commands a whole /64 (RFC 4291, section
//! 2.5.4), which counts as one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
};

/// Connections at once, both ports together. 500 live views and the rest of a large team fit.
pub const CONNECTIONS: usize = 1500;
/// Of these, those of one address. A proxy with a team behind it fits too.
pub const OF_ONE_ADDRESS: usize = CONNECTIONS / 4;
/// Besides, for who sits at the console.
pub const OF_THE_CONSOLE: usize = 32;

#[derive(Debug, Default)]
pub struct Places {
    taken: usize,
    by: HashMap<Source, Held>,
}

#[derive(Debug, Default)]
struct Held {
    count: usize,
    /// It was refused one more, and the log has it.
    told: bool,
}

/// What counts as one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl Source {
    pub fn of(address: IpAddr) -> Source {
        Source(match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            other => other,
        })
    }
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The address has its share; whether it is the first to be told since it had none.
    Address {
        first: bool,
    },
    All,
}

impl Full {
    /// For who is turned away.
    pub fn words(self) -> String {
        match self {
            Full::Address { .. } => format!(
                "Your address has {OF_ONE_ADDRESS} connections open here, which is its share of all.\n\
                 Close some, or wait until idle ones end, and try again.\n"
            ),
            Full::All => "All connections of this interface are taken. Try again in a moment.\n".into(),
        }
    }
}

impl Places {
    /// Takes a place, which [`Places::leave`] gives back.
    pub fn enter(&mut self, source: Source) -> Result<(), Full> {
        let most = CONNECTIONS + if source.0.is_loopback() { OF_THE_CONSOLE } else { 0 };
        if let Some(held) = self.by.get_mut(&source).filter(|held| held.count >= OF_ONE_ADDRESS) {
            return Err(Full::Address { first: !std::mem::replace(&mut held.told, true) });
        }
        if self.taken >= most {
            return Err(Full::All);
        }
        self.taken += 1;
        self.by.entry(source).or_default().count += 1;
        Ok(())
    }

    pub fn leave(&mut self, source: Source) {
        self.taken = self.taken.saturating_sub(1);
        if let Some(held) = self.by.get_mut(&source) {
            held.count = held.count.saturating_sub(1);
            if held.count == 0 {
                self.by.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::of(text.parse().expect("an address"))
    }

    /// As many as it gets, and what it is told then.
    fn fill(places: &mut Places, from: &str) -> (usize, Full) {
        let mut got = 0;
        loop {
            match places.enter(source(from)) {
                Ok(()) => got += 1,
                Err(full) => return (got, full),
            }
        }
    }

    #[test]
    fn one_address_gets_its_share_and_others_the_rest() {
        let mut places = Places::default();
        assert_eq!(fill(&mut places, "10.0.0.1"), (OF_ONE_ADDRESS, Full::Address { first: true }));
        assert_eq!(fill(&mut places, "10.0.0.1"), (0, Full::Address { first: false }), "the log has it once");
        assert_eq!(places.enter(source("10.0.0.2")), Ok(()));
        places.leave(source("10.0.0.1"));
        assert_eq!(fill(&mut places, "10.0.0.1").0, 1, "a place that is left can be had again");
    }

    #[test]
    fn the_console_gets_in_when_all_is_taken() {
        let mut places = Places::default();
        let got: usize = (1..=5).map(|n| fill(&mut places, &format!("10.0.0.{n}")).0).sum();
        assert_eq!(got, CONNECTIONS);
        assert_eq!(places.enter(source("10.0.0.9")), Err(Full::All));
        assert_eq!(fill(&mut places, "127.0.0.1"), (OF_THE_CONSOLE, Full::All));
    }

    #[test]
    fn nothing_is_kept_of_who_has_left() {
        let mut places = Places::default();
        for n in 0..10_000_u32 {
            let from = Source::of(IpAddr::V4(n.into()));
            places.enter(from).expect("a place");
            places.leave(from);
        }
        assert_eq!((places.taken, places.by.len()), (0, 0));
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:10.0.0.1"), source("10.0.0.1"));
    }
}
