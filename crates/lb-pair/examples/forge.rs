//! Attempts to become a peer without the code: `cargo run --release -p lb-pair --example forge -- SEED COUNT`.
//!
//! Guesses, replays, changed and cut messages, noise. Fails if one succeeds, is not counted, or memory grows.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/forge.rs"]
mod forge;

use std::time::Instant;

/// Kilobytes that this process has in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_ascii_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0)
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().expect("a number"));
    let (seed, count) = (args.next().unwrap_or(1), args.next().unwrap_or(1_000_000));
    forge::attack(seed, 1_000);
    let (before, began) = (resident(), Instant::now());
    let tally = forge::attack(seed, count);
    let (after, took) = (resident(), began.elapsed().as_secs_f64());
    println!("{tally:#?}");
    println!("{took:.0} s, {:.0} a second; memory {before} kB before, {after} kB after", count as f64 / took);
    assert_eq!((tally.paired, tally.counted), (0, count), "refused and counted");
    assert!(after <= before + 1024, "memory grew");
}
