//! Made-up clients: so many new connections a second for each service, going up and down like a day in minutes.
//!
//! Connection number n of a service goes to the destination in whose share of the weights n falls, so that counts
//! depend on the time alone, and not on how often somebody looks.

use crate::{DestCounters, ServiceCounters, Totals};
use lb_plan::{Dest, DestKey, Forward, Service, ServiceKey};
use std::{
    collections::{BTreeMap, HashMap},
    f64::consts::TAU,
    fmt,
    time::Duration,
};

/// Packets and bytes of one connection; only NAT sees what servers answer.
const PACKETS_IN: u64 = 8;
const PACKETS_OUT: u64 = 10;
const BYTES_IN: u64 = 900;
const BYTES_OUT: u64 = 14_000;
/// Seconds that a connection stays active, and is then still remembered.
const ACTIVE: f64 = 4.0;
const INACTIVE: f64 = 20.0;
/// Seconds until the last client has left a server that gets no new ones.
const LEAVING: f64 = 60.0;

pub(super) struct Traffic {
    clock: Box<dyn Fn() -> Duration + Send>,
    flows: HashMap<ServiceKey, Flow>,
}

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traffic").field("flows", &self.flows.len()).finish_non_exhaustive()
    }
}

/// One service's clients.
struct Flow {
    wave: Wave,
    since: f64,
    /// Seconds up to which everything is counted.
    until: f64,
    dests: BTreeMap<DestKey, Carried>,
    /// By destinations that are gone.
    before: Totals,
}

#[derive(Default)]
struct Carried {
    connections: u64,
    active: f64,
    /// Its share of the weights, 0..=1.
    share: f64,
    /// When it got its last client, and how many were active then.
    left: Option<(f64, f64)>,
    nat: bool,
}

/// New connections a second: between half and one and a half times `rate`, once around in `period` seconds.
struct Wave {
    rate: f64,
    period: f64,
    phase: f64,
}

impl Wave {
    fn of(key: &ServiceKey) -> Wave {
        // FNV-1a: the same in every build.
        let hash = key
            .to_string()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let part = |shift: u32| f64::from(u32::try_from((hash >> shift) % 1000).unwrap_or(0)) / 1000.0;
        Wave { rate: 2.0 + 48.0 * part(8), period: 300.0 + 1500.0 * part(24), phase: TAU * part(40) }
    }

    fn at(&self, seconds: f64) -> f64 {
        self.rate * (1.0 + 0.5 * (TAU * seconds / self.period + self.phase).sin())
    }

    /// Connections made in the first `seconds`: the integral of [`Wave::at`].
    fn sum(&self, seconds: f64) -> u64 {
        let swing = 0.5 * self.period / TAU;
        let turned = self.phase.cos() - (TAU * seconds / self.period + self.phase).cos();
        // Never negative, and far below 2^53.
        (self.rate * (seconds + swing * turned)).max(0.0) as u64
    }
}

impl Traffic {
    pub(super) fn new(clock: impl Fn() -> Duration + Send + 'static) -> Traffic {
        Traffic { clock: Box::new(clock), flows: HashMap::new() }
    }

    pub(super) fn carry(&mut self, services: &BTreeMap<ServiceKey, Service>) {
        let now = (self.clock)().as_secs_f64();
        self.flows.retain(|key, _| services.contains_key(key));
        for (key, service) in services {
            let flow = self.flows.entry(*key).or_insert_with(|| Flow {
                wave: Wave::of(key),
                since: now,
                until: now,
                dests: BTreeMap::new(),
                before: Totals::default(),
            });
            flow.carry(&service.dests, now);
        }
    }

    /// What `key` has carried, as [`carry`](Traffic::carry) counted last.
    pub(super) fn counters(&self, key: &ServiceKey, service: &Service) -> ServiceCounters {
        self.flows.get(key).map_or_else(ServiceCounters::default, |flow| flow.counters(service))
    }
}

impl Flow {
    fn carry(&mut self, dests: &BTreeMap<DestKey, Dest>, now: f64) {
        let before = &mut self.before;
        self.dests.retain(|key, carried| {
            let stays = dests.contains_key(key);
            if !stays {
                *before = sum(*before, carried.totals());
            }
            stays
        });
        let (from, to) = (self.wave.sum(self.until - self.since), self.wave.sum(now - self.since));
        let rate = self.wave.at(now - self.since);
        self.until = now;
        let all: u64 = dests.values().map(|d| u64::from(d.weight)).sum();
        let mut first = 0;
        for (key, dest) in dests {
            let carried = self.dests.entry(*key).or_default();
            carried.nat = dest.forward == Forward::Nat;
            let weight = u64::from(dest.weight);
            if weight == 0 {
                carried.leave(now);
                continue;
            }
            carried.connections += within(to, all, first, weight) - within(from, all, first, weight);
            first += weight;
            carried.share = dest.weight as f64 / all as f64;
            carried.active = rate * carried.share * ACTIVE;
            carried.left = None;
        }
    }

    fn counters(&self, service: &Service) -> ServiceCounters {
        let rate = self.wave.at(self.until - self.since);
        let mut totals = self.before;
        let mut dests = BTreeMap::new();
        for (key, carried) in &self.dests {
            let mut own = carried.totals();
            totals = sum(totals, own);
            own.connections_per_second = (rate * carried.share) as u64;
            totals.connections_per_second += own.connections_per_second;
            let active = carried.active as u32;
            let persistent = if service.persistence.is_some() { active } else { 0 };
            let inactive = (rate * carried.share * INACTIVE) as u32;
            dests.insert(*key, DestCounters { active, inactive, persistent, totals: own });
        }
        ServiceCounters { totals, dests }
    }
}

impl Carried {
    /// Gets no new clients; those it has go one after the other.
    fn leave(&mut self, now: f64) {
        let (since, had) = *self.left.get_or_insert((now, self.active));
        self.active = had * (1.0 - (now - since) / LEAVING).max(0.0);
        self.share = 0.0;
    }

    fn totals(&self) -> Totals {
        let n = self.connections;
        let (packets_out, bytes_out) = if self.nat { (n * PACKETS_OUT, n * BYTES_OUT) } else { (0, 0) };
        Totals {
            connections: n,
            packets_in: n * PACKETS_IN,
            packets_out,
            bytes_in: n * BYTES_IN,
            bytes_out,
            connections_per_second: 0,
        }
    }
}

/// How many of the numbers below `n` are, modulo `all`, in the `weight` numbers from `first` on.
fn within(n: u64, all: u64, first: u64, weight: u64) -> u64 {
    n / all * weight + (n % all).saturating_sub(first).min(weight)
}

fn sum(a: Totals, b: Totals) -> Totals {
    Totals {
        connections: a.connections + b.connections,
        packets_in: a.packets_in + b.packets_in,
        packets_out: a.packets_out + b.packets_out,
        bytes_in: a.bytes_in + b.bytes_in,
        bytes_out: a.bytes_out + b.bytes_out,
        connections_per_second: a.connections_per_second,
    }
}
