//! A slice of the random schedules; `cargo run --release -p lb-ha --features sim --example schedules` runs more.

use lb_ha::sim::{Fault, Kind, Random, Schedule, World, run};
use lb_ha::trace::{Line, replay};
use lb_ha::{Path, Settings};

#[test]
fn a_slice_of_random_schedules_breaks_no_promise() {
    let (mut takeovers, mut heals) = (0, 0);
    for seed in 0..4000 {
        let ended = run(Schedule::random(seed), None);
        assert!(ended.broken.is_none(), "seed {seed}: {}", ended.broken.unwrap());
        takeovers += ended.takeovers;
        heals += ended.heals;
    }
    assert!(takeovers > 4000 && heals > 100, "the schedules do not try much: {takeovers} take-overs, {heals} heals");
}

/// The documented bounds: a keepalive less than the dead time if nothing but frames tells the nodes of each other;
/// two keepalives less than the lease while the floating network works.
#[test]
fn ten_minutes_of_stalls_up_to_the_bound_move_nothing() {
    let path = Path { name: "eth0".into(), min_interval_ms: 0 };
    let settings = Settings { paths: vec![path], initdead_ms: 200, ..Settings::fast() };
    for (longest_ms, seed, floating) in [(39, 1, false), (900, 2, true)] {
        let mut schedule = Schedule::of_stalls(seed, settings.clone(), longest_ms * 1000, 600_000_000);
        let cut = Fault::Floating { node: 0, up: floating, seen: false };
        schedule.faults.insert(0, (schedule.faults[0].0 - 1, cut));
        let stalls = schedule.faults.len();
        let ended = run(schedule, None);
        assert!(ended.broken.is_none(), "{longest_ms} ms: {}", ended.broken.unwrap());
        assert_eq!(ended.takeovers, 1, "{longest_ms} ms, {stalls} stalls");
    }
}

#[test]
fn every_kind_of_schedule_is_drawn() {
    let kinds: Vec<Kind> = (0..200).map(|seed| Schedule::random(seed).kind).collect();
    for kind in [Kind::Mixed, Kind::OnePath, Kind::Death, Kind::Witness, Kind::Split, Kind::Planned] {
        assert!(kinds.contains(&kind), "{kind:?}");
    }
}

#[test]
fn frames_through_their_bytes_make_no_difference() {
    for seed in 0..60 {
        let plain = World::new(Schedule::random(seed), None).recorded().run();
        let bytes = World::new(Schedule::random(seed), None).in_bytes().recorded().run();
        assert!(bytes.broken.is_none(), "seed {seed}");
        assert_eq!(plain.wanted, bytes.wanted, "seed {seed}");
    }
}

#[test]
fn a_trace_plays_again_to_the_same_outputs_also_through_json() {
    for seed in 0..20 {
        let ended = World::new(Schedule::random(seed), None).recorded().run();
        for (trace, wanted) in ended.traces.into_iter().zip(ended.wanted) {
            let text: Vec<String> = trace.iter().map(|line| serde_json::to_string(line).unwrap()).collect();
            let read = text.iter().map(|line| serde_json::from_str::<Line>(line).unwrap());
            assert_eq!(replay(read).unwrap(), wanted, "seed {seed}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let once = World::new(Schedule::random(5), None).recorded().run();
    let again = World::new(Schedule::random(5), None).recorded().run();
    assert_eq!(once.wanted, again.wanted);
    let mut random = Random::new(1);
    assert!((0..100).all(|_| (3..=5).contains(&random.between(3, 5))));
}
