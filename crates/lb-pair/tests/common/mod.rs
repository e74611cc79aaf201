//! Units for the tests: cards with real certificates, seeds from numbers.
#![allow(dead_code)]

use lb_pair::{Card, Code, Identity, Seed, UnitAddress};
use std::time::Duration;

/// A unit with an identity of its own.
pub struct Unit {
    pub dir: tempfile::TempDir,
    pub identity: Identity,
    pub card: Card,
}

pub fn unit(hostname: &str) -> Unit {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::open(dir.path()).unwrap();
    let address = UnitAddress { interface: "eth0".into(), network: "192.168.2.21/24".parse().unwrap() };
    let card = Card {
        certificate: identity.certificate().clone(),
        hostname: hostname.parse().unwrap(),
        version: "0.1.0".into(),
        addresses: vec![address],
    };
    Unit { dir, identity, card }
}

pub fn seed(number: u64) -> Seed {
    let mut seed = Seed::new([0; 32]);
    seed[..8].copy_from_slice(&number.to_be_bytes());
    seed
}

pub fn code(digits: &str) -> Code {
    digits.parse().unwrap()
}

pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Numbers that look random (SplitMix64).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}
