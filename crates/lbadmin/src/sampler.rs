//! What is measured every ten seconds: from lbd's status and system to the history, and the rates of now.
//!
//! [`Sampler`] is pure: counters in, values out. [`History`] keeps the recorded values (`lb-series`, in `series/` of the
//! state directory) and the last rates for the pages; [`run`] is the task that feeds both. Without a usable directory
//! (a full disk) the interface works and says why there are no graphs.

use crate::{App, app::now};
use lb_api::{Counters, RealServerStatus, Status, SystemView};
use lb_series::{Chart, Key, Meter, Reading, Series, Span, Traffic, Values};
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// Per second, over the last period.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    pub connections: f64,
    pub traffic: Traffic,
}

/// The rates of the last period, of everything that was there in it and in the one before.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    /// Unix seconds; 0: nothing was measured yet.
    pub time: u64,
    pub of: HashMap<Key, Rate>,
}

/// The counters of the last period.
#[derive(Debug, Default)]
pub struct Sampler {
    servers: Meter<Key, 5>,
    interfaces: Meter<Key, 4>,
    cpu: Meter<(), 2>,
}

impl Sampler {
    /// `at` is a clock that nobody sets.
    pub fn sample(
        &mut self,
        at: Duration,
        status: &Status,
        system: Option<&SystemView>,
    ) -> (Vec<(Key, Values)>, HashMap<Key, Rate>) {
        let mut samples = Vec::new();
        let mut rates = HashMap::new();
        if let Some(system) = system {
            self.system(at, system, &mut samples, &mut rates);
        }
        for v in &status.virtual_servers {
            let active = v.real_servers.iter().map(|r| u64::from(r.active_connections)).sum();
            self.server(at, Key::VirtualServer(v.label.clone()), active, &v.counters, &mut samples, &mut rates);
            for r in &v.real_servers {
                let active = u64::from(r.active_connections);
                self.server(at, real_server(&v.label, r), active, &r.counters, &mut samples, &mut rates);
            }
        }
        self.servers.end_round();
        (samples, rates)
    }

    fn server(
        &mut self,
        at: Duration,
        key: Key,
        active: u64,
        c: &Counters,
        samples: &mut Vec<(Key, Values)>,
        rates: &mut HashMap<Key, Rate>,
    ) {
        let counters = [c.connections, c.packets_in, c.packets_out, c.bytes_in, c.bytes_out];
        let rate = self.servers.read(key.clone(), Reading { at, counters }).map(
            |[connections, packets_in, packets_out, bytes_in, bytes_out]| Rate {
                connections,
                traffic: Traffic { packets_in, packets_out, bytes_in, bytes_out },
            },
        );
        samples.push((key.clone(), Values::server(active, rate.map(|r| (r.connections, r.traffic)))));
        rates.extend(rate.map(|r| (key, r)));
    }

    fn system(
        &mut self,
        at: Duration,
        system: &SystemView,
        samples: &mut Vec<(Key, Values)>,
        rates: &mut HashMap<Key, Rate>,
    ) {
        let cpu = self.cpu.read((), Reading { at, counters: [system.cpu_busy, system.cpu_total] });
        self.cpu.end_round();
        let busy = cpu.and_then(|[busy, total]| (total > 0.0).then(|| (busy / total).min(1.0)));
        let used = system.memory_total.checked_sub(system.memory_available);
        samples.push((Key::System, Values::system(busy, used)));
        for i in &system.interfaces {
            let key = Key::Interface(i.name.clone());
            let counters = [i.packets_in, i.packets_out, i.bytes_in, i.bytes_out];
            let traffic = self.interfaces.read(key.clone(), Reading { at, counters }).map(
                |[packets_in, packets_out, bytes_in, bytes_out]| Traffic {
                    packets_in,
                    packets_out,
                    bytes_in,
                    bytes_out,
                },
            );
            samples.push((key.clone(), Values::interface(traffic)));
            rates.extend(traffic.map(|traffic| (key, Rate { connections: 0.0, traffic })));
        }
        self.interfaces.end_round();
    }
}

pub fn real_server(virtual_server: &str, r: &RealServerStatus) -> Key {
    Key::RealServer { virtual_server: virtual_server.to_owned(), real_server: r.label.clone() }
}

/// What was measured, for every request.
#[derive(Debug)]
pub struct History {
    series: RwLock<Option<Series>>,
    rates: RwLock<Arc<Rates>>,
    /// Why nothing is recorded; empty: it is.
    trouble: RwLock<String>,
}

impl History {
    /// `state` is the program's own directory.
    pub fn open(state: &Path, limit: usize) -> Self {
        let (series, trouble) = match Series::open(&state.join("series"), limit) {
            Ok(series) => (Some(series), String::new()),
            Err(error) => (None, chain(&error)),
        };
        if !trouble.is_empty() {
            tracing::error!("no history: {trouble}");
        }
        History { series: RwLock::new(series), rates: RwLock::default(), trouble: RwLock::new(trouble) }
    }

    /// Records what was measured at `time` and shows `rates` from now on.
    pub fn record(&self, time: u64, samples: &[(Key, Values)], rates: HashMap<Key, Rate>) {
        *self.rates.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Rates { time, of: rates });
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let Some(series) = series.as_mut() else { return };
        let now = series.record(time, samples).err().map(|e| chain(&e)).unwrap_or_default();
        let mut trouble = self.trouble.write().unwrap_or_else(PoisonError::into_inner);
        if *trouble != now {
            if now.is_empty() {
                tracing::info!("the history is recorded again");
            } else {
                tracing::error!("the history is not recorded: {now}");
            }
            *trouble = now;
        }
    }

    pub fn rates(&self) -> Arc<Rates> {
        self.rates.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn trouble(&self) -> String {
        self.trouble.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `None`: nothing was ever recorded of it. Reads files: about a millisecond.
    pub fn chart(&self, key: &Key, span: Span, now: u64) -> Option<Chart> {
        self.series.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.read(key, span, now)
    }

    /// Everything that has a history.
    pub fn keys(&self) -> Vec<Key> {
        self.series.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(Series::keys).unwrap_or_default()
    }

    /// Objects for which there was no room.
    pub fn not_recorded(&self) -> usize {
        self.series.read().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, Series::not_recorded)
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

/// Measures at each full step of the clock, for as long as the program runs.
pub async fn run(app: Arc<App>) {
    let start = Instant::now();
    let mut sampler = Sampler::default();
    let step = Span::Hour.step();
    loop {
        tokio::time::sleep(Duration::from_secs(step) - into_step(step)).await;
        let (status, system) = tokio::join!(app.lbd.status(), app.lbd.client.system());
        let status = match status {
            Ok(status) => status,
            Err(error) => {
                tracing::debug!("measuring: {error}");
                continue;
            }
        };
        let (samples, rates) = sampler.sample(start.elapsed(), &status, system.ok().as_ref());
        let (app, time) = (app.clone(), now());
        let recorded = tokio::task::spawn_blocking(move || app.history.record(time, &samples, rates)).await;
        if let Err(error) = recorded {
            tracing::error!("recording what was measured: {error}");
        }
    }
}

/// How far into the running step the clock is.
fn into_step(step: u64) -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(now.as_secs() % step) + Duration::from_nanos(now.subsec_nanos().into())
}

#[cfg(test)]
mod tests;
