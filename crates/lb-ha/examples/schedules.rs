//! Runs simulated schedules: `cargo run --release -p lb-ha --features sim --example schedules -- FIRST COUNT`.
//!
//! Prints the seed of every broken promise, and how many schedules a second there were. With `trace SEED` the
//! log of one run; with `stalls MINUTES` daemons that freeze all that time, up to the documented bounds.

use lb_ha::sim::{Fault, Schedule, World, run};
use lb_ha::{Output, Path, Settings};
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    if arguments.first().is_some_and(|word| word == "trace") {
        return show(number(1, 0));
    }
    if arguments.first().is_some_and(|word| word == "stalls") {
        return stalls(number(1, 60));
    }
    let (first, count) = (number(0, 0), number(1, 10_000));
    let began = Instant::now();
    let (mut broken, mut takeovers, mut heals, mut events, mut frames) = (0, 0u64, 0u64, 0u64, 0u64);
    for seed in first..first + count {
        let ended = run(Schedule::random(seed), None);
        takeovers += u64::from(ended.takeovers);
        heals += u64::from(ended.heals);
        events += ended.events;
        frames += ended.frames as u64;
        if let Some(what) = ended.broken {
            broken += 1;
            println!("seed {seed}: {what}");
            if broken >= 20 {
                break;
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{count} schedules from seed {first}: {broken} broken; {takeovers} take-overs, {heals} heals, {frames} frames, \
         {events} events; {seconds:.1} s, {:.0} schedules a second",
        count as f64 / seconds
    );
    if broken > 0 {
        std::process::exit(1);
    }
}

fn stalls(minutes: u64) {
    let paths = vec![Path { name: "eth0".into(), min_interval_ms: 0 }];
    let settings = Settings { paths, initdead_ms: 200, ..Settings::fast() };
    for (longest_ms, floating) in [(39, false), (900, true)] {
        let mut schedule = Schedule::of_stalls(1, settings.clone(), longest_ms * 1000, minutes * 60_000_000);
        let cut = Fault::Floating { node: 0, up: floating, seen: false };
        schedule.faults.insert(0, (schedule.faults[0].0 - 1, cut));
        let count = schedule.faults.len() - 1;
        let ended = run(schedule, None);
        println!(
            "{minutes} minutes, dead time {} ms, {count} stalls of up to {longest_ms} ms, floating network {}: \
             {} take-over(s), the first included; broken: {:?}",
            settings.deadtime_ms,
            if floating { "up" } else { "cut" },
            ended.takeovers,
            ended.broken
        );
    }
}

fn show(seed: u64) {
    let schedule = Schedule::random(seed);
    println!("{:?} {:#?}", schedule.kind, schedule.settings);
    println!("{:?} {:?}", schedule.wires, schedule.drift);
    for (at, fault) in &schedule.faults {
        println!("{:>10.3} {fault:?}", *at as f64 / 1000.0);
    }
    let ended = World::new(schedule, None).recorded().run();
    let starts = [7_000_000, 911_000_000];
    let mut lines = Vec::new();
    for (node, wanted) in ended.wanted.iter().enumerate() {
        for (at, output) in wanted {
            let at = at.0 - starts[node];
            match output {
                Output::Send { .. } | Output::Renew | Output::Probe => {}
                Output::Log(note) => lines.push((at, format!("node {}: {note}", node + 1))),
                other => lines.push((at, format!("node {}: {other:?}", node + 1))),
            }
        }
    }
    lines.sort();
    for (at, line) in lines {
        println!("{:>10.3} {line}", at as f64 / 1000.0);
    }
    println!("{:?}", ended.broken);
}
