//! The checker in a world of virtual time: servers with a latency that fail and return when told to.

use lb_check::{CheckSpec, Checker, Kind, Known, LastState, Outcome, ProbeKey, Target, Transition, Verdict};
use lb_model::Label;
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

const MS: Duration = Duration::from_millis(1);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn label(s: &str) -> Label {
    s.parse().unwrap()
}

/// A connect check of the `n`th server: every 10 s, 5 s at most, one failure or success enough.
fn spec(n: u32) -> CheckSpec {
    CheckSpec {
        target: Target { address: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n)), port: 80 },
        kind: Kind::Connect,
        interval: secs(10),
        timeout: secs(5),
        retry: secs(1),
        fall: 1,
        rise: 1,
    }
}

fn unknown(_: &Label, _: &Label) -> Verdict {
    Verdict::Unknown
}

/// How a server is, and from when on.
#[derive(Debug, Clone, Copy)]
enum Server {
    /// Answers after this time.
    Up(Duration),
    /// Refuses after this time.
    Refuses(Duration),
    /// Says nothing, so a probe takes its whole timeout.
    Silent,
}

#[derive(Default)]
struct World {
    now: Duration,
    checker: Checker,
    /// What each address does from which moment on. Without an entry: answers within 1 ms.
    servers: HashMap<IpAddr, BTreeMap<Duration, Server>>,
    ends: BTreeSet<(Duration, ProbeKey)>,
    outcomes: HashMap<ProbeKey, Outcome>,
    /// Each start of a probe.
    starts: Vec<(Duration, Target)>,
    seen: Vec<(Duration, Transition)>,
}

impl World {
    fn of(specs: Vec<(Label, Label, CheckSpec)>) -> World {
        let mut world = World::default();
        world.configure(specs, unknown);
        world
    }

    fn configure(&mut self, specs: Vec<(Label, Label, CheckSpec)>, known: impl Fn(&Label, &Label) -> Verdict) {
        let told = self.checker.configure(specs, self.now, known);
        self.seen.extend(told.into_iter().map(|t| (self.now, t)));
    }

    /// From `at` on the address behaves like this.
    fn becomes(&mut self, address: IpAddr, at: Duration, server: Server) {
        self.servers.entry(address).or_default().insert(at, server);
    }

    fn server(&self, address: IpAddr, at: Duration) -> Server {
        let history = self.servers.get(&address);
        history.and_then(|h| h.range(..=at).next_back()).map_or(Server::Up(MS), |(_, s)| *s)
    }

    /// When a probe started now ends, and how. A server that stops before it has answered has not answered.
    fn probe(&self, spec: &CheckSpec) -> (Duration, Outcome) {
        let address = spec.target.address;
        let limit = self.now + spec.timeout;
        let silent = (limit, Outcome::Unfit("no answer".into()));
        match self.server(address, self.now) {
            Server::Silent => silent,
            Server::Refuses(latency) => (limit.min(self.now + latency), Outcome::Unfit("connection refused".into())),
            Server::Up(latency) if latency > spec.timeout => silent,
            Server::Up(latency) => match self.server(address, self.now + latency) {
                Server::Up(_) => (self.now + latency, Outcome::Fit),
                Server::Refuses(_) | Server::Silent => silent,
            },
        }
    }

    fn run_until(&mut self, end: Duration) {
        loop {
            let ends = self.ends.first().map(|(at, _)| *at);
            match [self.checker.deadline(), ends].into_iter().flatten().min() {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => break,
            }
            while let Some((at, key)) = self.ends.first().copied().filter(|(at, _)| *at <= self.now) {
                self.ends.remove(&(at, key));
                let outcome = self.outcomes.remove(&key).unwrap();
                let told = self.checker.result(key, outcome, self.now);
                self.seen.extend(told.into_iter().map(|t| (self.now, t)));
            }
            for probe in self.checker.due(self.now) {
                self.starts.push((self.now, probe.spec.target));
                let (at, outcome) = self.probe(&probe.spec);
                assert!(self.outcomes.insert(probe.key, outcome).is_none(), "two probes of one check at once");
                self.ends.insert((at, probe.key));
            }
        }
        self.now = end;
    }

    /// What was told since the last call: `seconds vs/rs from->to: text`.
    fn told(&mut self) -> Vec<String> {
        let line = |(at, t): (Duration, Transition)| {
            format!("{:.3} {}/{} {}->{}: {}", at.as_secs_f64(), t.vs, t.rs, t.from, t.to, t.text)
        };
        self.seen.drain(..).map(line).collect()
    }

    /// The same without the moment.
    fn told_what(&mut self) -> Vec<String> {
        self.told().into_iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    fn verdict(&self, vs: &str, rs: &str) -> Verdict {
        self.checker.standing(&label(vs), &label(rs)).unwrap().verdict
    }
}

fn one(spec: CheckSpec) -> Vec<(Label, Label, CheckSpec)> {
    vec![(label("web"), label("a"), spec)]
}

fn many(n: u32) -> Vec<(Label, Label, CheckSpec)> {
    (0..n).map(|i| (label("web"), label(&format!("rip{i}")), spec(i))).collect()
}

fn server() -> impl Strategy<Value = Server> {
    prop_oneof![(0u64..20_000).prop_map(|ms| Server::Refuses(MS * ms as u32)), Just(Server::Silent)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The promise of `detection_bound`, and its counterpart for the way back.
    #[test]
    fn a_failure_is_found_within_the_bound(
        (interval, timeout, fall, rise) in (1u64..=20, 1u64..=40, 1u32..=4, 1u32..=4),
        latency in 0u64..1_000,
        fails in 100_000u64..200_000,
        lasts in 1_000_000u64..1_100_000,
        address in 0u32..1_000_000,
        broken in server(),
    ) {
        let retry = secs(1);
        let check = CheckSpec { interval: secs(interval), timeout: secs(timeout), retry, fall, rise, ..spec(address) };
        let bound = check.detection_bound();
        if fall == 1 {
            prop_assert_eq!(bound, secs(interval + timeout));
        }
        let (address, latency) = (check.target.address, Duration::from_millis(latency));
        let (fails, back) = (Duration::from_millis(fails), Duration::from_millis(fails + lasts));
        let mut world = World::of(one(check));
        world.becomes(address, Duration::ZERO, Server::Up(latency));
        world.becomes(address, fails, broken);
        world.becomes(address, back, Server::Up(latency));

        world.run_until(fails - MS);
        prop_assert_eq!(world.told().len(), 1, "one success was enough to begin with, and nothing else happened");
        prop_assert_eq!(world.verdict("web", "a"), Verdict::Fit);
        world.run_until(fails + bound);
        prop_assert_eq!(world.verdict("web", "a"), Verdict::Unfit);
        world.run_until(back - MS);
        prop_assert_eq!(world.told().len(), 1);

        // A probe may still be waiting for the silent server; then `rise` more, each at most an interval
        // after the one before has ended.
        world.run_until(back + secs(timeout) + (secs(interval) + latency) * rise);
        prop_assert_eq!(world.verdict("web", "a"), Verdict::Fit);
    }

    /// Whatever outcomes come at whatever times: only real changes are told, each from the last one told.
    #[test]
    fn transitions_are_a_chain(
        outcomes in proptest::collection::vec((any::<bool>(), 0u64..30_000), 1..200),
        (fall, rise) in (1u32..=4, 1u32..=4),
    ) {
        let mut checker = Checker::new();
        checker.configure(one(CheckSpec { fall, rise, ..spec(1) }), Duration::ZERO, unknown);
        let (mut verdict, mut now, mut run) = (Verdict::Unknown, Duration::ZERO, (0, false));
        for (fit, late) in outcomes {
            now = now.max(checker.deadline().unwrap()) + Duration::from_millis(late);
            let [probe] = &checker.due(now)[..] else { panic!("one probe is due") };
            prop_assert_eq!(checker.deadline(), None, "in flight");
            run = if run.1 == fit { (run.0 + 1, fit) } else { (1, fit) };
            let outcome = if fit { Outcome::Fit } else { Outcome::Unfit("down".into()) };
            let told = checker.result(probe.key, outcome.clone(), now);
            prop_assert!(checker.result(probe.key, outcome, now).is_empty(), "a result counts once");
            let wanted = match (verdict, fit) {
                (Verdict::Unknown, true) => Verdict::Fit,
                (Verdict::Unknown, false) => Verdict::Unfit,
                (Verdict::Fit, false) if run.0 >= fall => Verdict::Unfit,
                (Verdict::Unfit, true) if run.0 >= rise => Verdict::Fit,
                (old, _) => old,
            };
            let changes: Vec<_> = told.iter().map(|t| (t.from, t.to)).collect();
            let wanted_changes = if wanted == verdict { vec![] } else { vec![(verdict, wanted)] };
            prop_assert_eq!(changes, wanted_changes);
            verdict = wanted;
        }
    }
}

#[test]
fn first_verdict_needs_one_outcome() {
    let check = CheckSpec { fall: 3, rise: 3, ..spec(1) };
    let mut world = World::of(one(check.clone()));
    world.run_until(MS);
    assert_eq!(world.told(), ["0.001 web/a unknown->fit: answers"]);
    let mut world = World::of(one(check));
    world.becomes(spec(1).target.address, Duration::ZERO, Server::Refuses(MS));
    world.run_until(MS);
    assert_eq!(world.told(), ["0.001 web/a unknown->unfit: connection refused"]);
}

/// Failures that are not believed yet are looked at every second, not every interval.
#[test]
fn doubt_is_settled_quickly() {
    let mut world = World::of(one(CheckSpec { fall: 3, interval: secs(60), ..spec(1) }));
    world.run_until(secs(100));
    let target = spec(1).target.address;
    world.becomes(target, secs(100), Server::Refuses(MS));
    world.starts.clear();
    world.run_until(secs(170));
    let starts: Vec<_> = world.starts.iter().map(|(at, _)| *at).take(3).collect();
    assert_eq!([starts[1] - starts[0], starts[2] - starts[1]], [secs(1) + MS; 2], "1 s after each failure");
    assert_eq!(world.told_what()[1..], ["web/a fit->unfit: connection refused (3 failures in a row)"]);
}

/// Up and down again faster than `fall` and `rise` count: nothing is told.
#[test]
fn flapping_below_the_counts_is_not_told() {
    let mut checker = Checker::new();
    checker.configure(one(CheckSpec { fall: 2, rise: 2, ..spec(1) }), Duration::ZERO, unknown);
    for n in 0..100 {
        let now = checker.deadline().unwrap();
        let key = checker.due(now)[0].key;
        let outcome = if n % 2 == 0 { Outcome::Fit } else { Outcome::Unfit("reset".into()) };
        assert_eq!(checker.result(key, outcome, now).len(), usize::from(n == 0), "only the first verdict");
    }
    assert_eq!(checker.standing(&label("web"), &label("a")).unwrap().text, "reset (failure 1 of 2)");
}

#[test]
fn equal_checks_are_asked_once() {
    let both = vec![(label("web"), label("a"), spec(1)), (label("shop"), label("b"), spec(1))];
    let mut world = World::of(both.clone());
    assert_eq!(world.checker.len(), 1);
    world.run_until(secs(100));
    assert_eq!(world.starts.len(), 11, "at once, then every 10 s");
    assert_eq!(world.told_what(), ["web/a unknown->fit: answers", "shop/b unknown->fit: answers"]);

    // One that joins is told what is known already, without another probe.
    let joined = [both, vec![(label("mail"), label("c"), spec(1))]].concat();
    world.configure(joined, unknown);
    assert_eq!(world.told(), ["100.000 mail/c unknown->fit: answers"]);

    let other =
        vec![(label("web"), label("a"), spec(1)), (label("shop"), label("b"), CheckSpec { fall: 2, ..spec(1) })];
    world.configure(other, unknown);
    assert_eq!(world.checker.len(), 2, "another count is another check");
}

#[test]
fn reconfiguring_keeps_verdict_counts_and_phase() {
    let check = CheckSpec { fall: 2, interval: secs(60), ..spec(1_000) };
    let mut world = World::of(one(check.clone()));
    let mut undisturbed = World::of(one(check.clone()));
    for second in 1..=300u32 {
        world.configure([one(check.clone()), many(second % 7)].concat(), unknown);
        world.run_until(secs(second.into()));
    }
    undisturbed.run_until(secs(300));
    world.starts.retain(|(_, target)| *target == check.target);
    assert_eq!(world.starts, undisturbed.starts);

    // A counted failure survives as well.
    let mut world = World::of(one(check.clone()));
    world.run_until(secs(100));
    world.becomes(check.target.address, secs(100), Server::Refuses(MS));
    while world.checker.standing(&label("web"), &label("a")).unwrap().text == "answers" {
        world.run_until(world.checker.deadline().unwrap() + MS);
    }
    world.told();
    world.configure([one(check), many(1)].concat(), unknown);
    world.run_until(world.now + secs(2));
    assert!(world.told_what().contains(&"web/a fit->unfit: connection refused (2 failures in a row)".to_owned()));
}

/// Another question about the same server: it serves on until the new answer is there.
#[test]
fn another_check_of_the_same_target_keeps_the_verdict() {
    let mut world = World::of(one(spec(1)));
    world.run_until(secs(7));
    world.told();
    world.configure(
        one(CheckSpec { kind: Kind::Ping, target: Target { port: 0, ..spec(1).target }, ..spec(1) }),
        unknown,
    );
    assert_eq!((world.verdict("web", "a"), world.told()), (Verdict::Fit, vec![]));
    assert_eq!(world.checker.deadline(), Some(secs(7)), "and is asked at once");
}

/// The same name for another machine says nothing about that machine.
#[test]
fn another_target_starts_unknown() {
    let mut world = World::of(one(spec(1)));
    world.run_until(secs(7));
    world.told();
    world.configure(one(spec(2)), |_, _| Verdict::Fit);
    assert_eq!(world.told(), ["7.000 web/a fit->unknown: now at 10.0.0.2:80, before at 10.0.0.1:80"]);
    world.run_until(secs(8));
    assert_eq!(world.told(), ["7.001 web/a unknown->fit: answers"]);
}

#[test]
fn known_servers_serve_at_once_and_are_asked_after_the_unknown_ones() {
    let mut world = World::of(many(20));
    world.run_until(secs(1));
    let kept = serde_json::to_string(&world.checker.last_states()).unwrap();
    assert!(kept.starts_with(r#"[{"vs":"web","rs":"rip0","verdict":"fit"},"#), "{kept}");

    let known: Known = serde_json::from_str::<Vec<LastState>>(&kept).unwrap().into_iter().collect();
    let mut restarted = World::default();
    let mut specs = many(22);
    specs.rotate_left(5);
    restarted.configure(specs, |vs, rs| known.get(vs, rs));
    assert_eq!((restarted.told(), restarted.verdict("web", "rip7")), (vec![], Verdict::Fit));
    assert_eq!(restarted.verdict("web", "rip21"), Verdict::Unknown);
    restarted.run_until(secs(1));
    // Four start in the first millisecond.
    let first: HashSet<_> = restarted.starts.iter().filter(|(at, _)| *at < MS).map(|(_, t)| *t).collect();
    assert_eq!(first.len(), 4);
    assert!(first.is_superset(&HashSet::from([spec(20).target, spec(21).target])), "{first:?}");
    // Counts begin at the verdict that was kept: a failure is a transition from fit.
    assert_eq!(restarted.told_what(), ["web/rip20 unknown->fit: answers", "web/rip21 unknown->fit: answers"]);
}

#[test]
fn results_of_what_is_no_longer_configured_are_ignored() {
    let mut checker = Checker::new();
    checker.configure(one(spec(1)), Duration::ZERO, unknown);
    let key = checker.due(Duration::ZERO)[0].key;
    checker.configure(vec![], MS, unknown);
    assert!(checker.is_empty());
    assert_eq!((checker.result(key, Outcome::Fit, MS), checker.deadline()), (vec![], None));
    checker.configure(one(spec(1)), MS, unknown);
    assert_eq!(checker.result(key, Outcome::Fit, MS), [], "a key is never used again");
    assert_eq!(checker.due(MS).len(), 1);
}

/// 10,000 checks: the load is even, the period exact, and configuring or asking them takes no time.
#[test]
fn ten_thousand_checks_make_no_storm() {
    let mut world = World::of(many(10_000));
    world.run_until(secs(130));
    assert_eq!(world.told().len(), 10_000);
    let starts = &world.starts;
    let before = |end: Duration| starts.partition_point(|(at, _)| *at < end);
    let busiest = |from: Duration, window: Duration| {
        starts[before(from)..].iter().map(|(at, _)| before(*at + window) - before(*at)).max().unwrap()
    };
    assert!(busiest(Duration::ZERO, secs(1)) <= 4_000 + 1_250, "{}", busiest(Duration::ZERO, secs(1)));
    // 1,000 a second on average; 5 standard deviations of a random spread are 158.
    assert!(busiest(secs(20), secs(1)) < 1_250, "{}", busiest(secs(20), secs(1)));
    assert!(busiest(secs(20), MS * 10) < 60, "{}", busiest(secs(20), MS * 10));

    let mut last: HashMap<IpAddr, Duration> = HashMap::new();
    for (at, target) in starts.iter().filter(|(at, _)| *at >= secs(20)) {
        if let Some(before) = last.insert(target.address, *at) {
            assert_eq!(*at - before, secs(10));
        }
    }
    assert_eq!(last.len(), 10_000);
}

/// Slow servers: the period stays a multiple of the interval, with a pause between two probes.
#[test]
fn a_probe_longer_than_the_interval_leaves_points_out() {
    let check = CheckSpec { timeout: secs(25), ..spec(1) };
    let mut world = World::of(one(check));
    world.becomes(spec(1).target.address, Duration::ZERO, Server::Silent);
    world.run_until(secs(300));
    for pair in world.starts.windows(2).skip(1) {
        assert_eq!(pair[1].0 - pair[0].0, secs(30));
    }
    // The first is asked at once, the second by the phase: 25 s to 35 s later.
    assert!((10..=11).contains(&world.starts.len()), "{}", world.starts.len());
}
