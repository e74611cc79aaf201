//! Load of the machine: CPU, memory, disk, network cards, as the kernel counts them. `proc(5)` says what is where.

use crate::{Cause, KernelError};
use nix::sys::statvfs::statvfs;
use std::{fs, path::Path};

/// Counters run since boot; whoever wants rates asks twice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Machine {
    /// Seconds since boot.
    pub uptime: u64,
    /// The kernel's release.
    pub kernel: String,
    pub cpus: u32,
    /// Over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// Hundredths of a second, all CPUs together.
    pub cpu_busy: u64,
    pub cpu_total: u64,
    /// Bytes.
    pub memory_total: u64,
    pub memory_available: u64,
    /// Bytes of the file system asked for.
    pub disk_total: u64,
    pub disk_free: u64,
    /// Those of the calling thread's network namespace, but for the loopback.
    pub cards: Vec<CardCounters>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardCounters {
    pub name: String,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub packets_in: u64,
    pub packets_out: u64,
    pub errors: u64,
    pub dropped: u64,
}

impl Machine {
    /// As it is now; `disk` is a path on the file system that is asked for.
    pub fn read(disk: &Path) -> Result<Machine, KernelError> {
        let mut machine =
            Machine { kernel: text("/proc/sys/kernel/osrelease")?.trim().to_owned(), ..Machine::default() };
        machine.cpu(&text("/proc/stat")?);
        machine.memory(&text("/proc/meminfo")?);
        machine.load(&text("/proc/loadavg")?);
        machine.uptime = first_number(&text("/proc/uptime")?) as u64;
        machine.cards = cards(&text("/proc/thread-self/net/dev")?);
        (machine.disk_total, machine.disk_free) = room(disk)?;
        Ok(machine)
    }

    fn cpu(&mut self, stat: &str) {
        for line in stat.lines().filter(|l| l.starts_with("cpu")) {
            let mut words = line.split_ascii_whitespace();
            if words.next() != Some("cpu") {
                self.cpus += 1;
                continue;
            }
            // user nice system idle iowait irq softirq steal; what guests use is in user already.
            let times: Vec<u64> = words.take(8).map_while(|w| w.parse().ok()).collect();
            self.cpu_total = times.iter().sum();
            self.cpu_busy = self.cpu_total - times.iter().skip(3).take(2).sum::<u64>();
        }
    }

    fn memory(&mut self, meminfo: &str) {
        let bytes = |name: &str| {
            let line = meminfo.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|l| l.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or_default() * 1024
        };
        (self.memory_total, self.memory_available) = (bytes("MemTotal"), bytes("MemAvailable"));
    }

    fn load(&mut self, loadavg: &str) {
        for (place, word) in self.load.iter_mut().zip(loadavg.split_ascii_whitespace()) {
            *place = word.parse().unwrap_or_default();
        }
    }
}

/// Of the file system of `path`: bytes in all, and bytes free. What root alone may use is not free.
pub fn room(path: &Path) -> Result<(u64, u64), KernelError> {
    let space = statvfs(path).map_err(|e| KernelError::new(format!("ask for the space on {}", path.display()), e))?;
    Ok((space.blocks() * space.fragment_size(), space.blocks_available() * space.fragment_size()))
}

fn text(path: &str) -> Result<String, KernelError> {
    fs::read_to_string(path)
        .map_err(|source| KernelError::new("read the machine's load", Cause::File { path: path.to_owned(), source }))
}

fn first_number(text: &str) -> f64 {
    text.split_ascii_whitespace().next().and_then(|w| w.parse().ok()).unwrap_or_default()
}

fn cards(dev: &str) -> Vec<CardCounters> {
    dev.lines().filter_map(card).filter(|c| c.name != "lo").collect()
}

fn card(line: &str) -> Option<CardCounters> {
    let (name, counts) = line.split_once(':')?;
    let n: Vec<u64> = counts.split_ascii_whitespace().map_while(|w| w.parse().ok()).collect();
    // Receive: bytes packets errs drop fifo frame compressed multicast; transmit: bytes packets errs drop …
    let [bytes_in, packets_in, errors_in, dropped_in, _, _, _, _, bytes_out, packets_out, errors_out, dropped_out, ..] =
        n[..]
    else {
        return None;
    };
    Some(CardCounters {
        name: name.trim().to_owned(),
        bytes_in,
        bytes_out,
        packets_in,
        packets_out,
        errors: errors_in + errors_out,
        dropped: dropped_in + dropped_out,
    })
}

#[cfg(test)]
mod tests;
