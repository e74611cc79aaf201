//! Properties over configurations made from seeds: a plan reaches what it aims at, and touches nothing else.

use lb_model::{Config, Timeouts, problems, sample, sample::Random};
use lb_plan::{
    Address, Desired, Dest, DestKey, Drift, Fitness, Forward, Health, Link, Observed, ObservedAddress, ObservedSync,
    Ruleset, Service, ServiceKey, SyncDaemon, SyncPair, SyncRole, desired, plan,
};
use std::collections::{BTreeMap, BTreeSet};

fn bare_kernel() -> Observed {
    Observed {
        hostname: "(none)".into(),
        nameservers: Vec::new(),
        time_servers: Some(Vec::new()),
        links: ["eth0", "eth1"].map(|n| (n.parse().expect("a name"), Link { up: false, mtu: 1500 })).into(),
        addresses: Vec::new(),
        routes: Vec::new(),
        sysctls: BTreeMap::new(),
        ruleset: Some(Ruleset::default()),
        detours: Default::default(),
        timeouts: Timeouts { tcp: 900, tcp_fin: 120, udp: 300 },
        services: BTreeMap::new(),
        owned: BTreeSet::new(),
        sync: Default::default(),
        fallback_page: None,
    }
}

fn health(config: &Config, random: &mut Random) -> Health {
    let mut health = Health::default();
    for vs in &config.virtual_servers {
        for rs in &vs.real_servers {
            health.set(
                &vs.label,
                &rs.label,
                random.pick(&[Fitness::Unknown, Fitness::Fit, Fitness::Fit, Fitness::Unfit]),
            );
        }
    }
    health
}

fn wanted(seed: u64) -> Option<Desired> {
    let config = sample::config(seed, seed.is_multiple_of(5));
    let health = health(&config, &mut Random(seed));
    problems(&config).is_empty().then(|| desired(&config, &health))
}

fn executed(wanted: &Desired, kernel: &mut Observed, seed: u64) {
    for (name, value) in &wanted.sysctls {
        kernel.sysctls.entry(name.clone()).or_insert_with(|| if value == "0" { "1".into() } else { "0".into() });
    }
    for action in &plan(wanted, kernel).actions {
        kernel.after(action);
    }
    let second = plan(wanted, kernel);
    assert!(second.is_empty(), "seed {seed}: the second plan is not empty:\n{second}");
}

/// From any configuration to any other, and nothing is left over.
#[test]
fn a_plan_reaches_desired_and_the_second_is_empty() {
    let mut plans = 0;
    let mut kernel = bare_kernel();
    for seed in 0..10_000 {
        let Some(wanted) = wanted(seed) else { continue };
        if seed.is_multiple_of(7) {
            kernel = bare_kernel();
        }
        executed(&wanted, &mut kernel, seed);
        assert_eq!(kernel.services, wanted.services, "seed {seed}");
        let ours: BTreeSet<_> = kernel.addresses.iter().map(|a| a.address.clone()).collect();
        assert_eq!(ours, wanted.addresses.union(&wanted.vips).cloned().collect(), "seed {seed}");
        plans += 1;
    }
    assert!(plans > 5_000, "only {plans} of the sample configurations are valid");
}

/// What was there before and is not ours stays, and is reported.
#[test]
fn foreign_objects_are_untouched() {
    let service = ServiceKey::Mark { mark: 4711, family: lb_model::Family::Ipv4 };
    let dest = (
        DestKey { address: [10, 0, 0, 99].into(), port: 0 },
        Dest { forward: Forward::Bypass, weight: 3, upper: 0, lower: 0 },
    );
    let by_hand = Service {
        scheduler: "twos".into(),
        persistence: None,
        one_packet: false,
        scheduler_flags: 0,
        dests: [dest].into(),
    };
    let address =
        Address { interface: "eth0".parse().expect("a name"), net: "10.0.0.250/24".parse().expect("an address") };
    for seed in 0..500 {
        let Some(wanted) = wanted(seed) else { continue };
        let mut kernel = bare_kernel();
        kernel.services.insert(service, by_hand.clone());
        kernel.addresses.push(ObservedAddress { address: address.clone(), ours: false });
        executed(&wanted, &mut kernel, seed);
        assert_eq!(kernel.services.get(&service), Some(&by_hand), "seed {seed}");
        let drift = plan(&wanted, &kernel).drift;
        assert!(
            drift.contains(&Drift::Service(service)) && drift.contains(&Drift::Address(address.clone())),
            "seed {seed}"
        );
    }
}

/// A change of weights and health never removes a service or an address.
#[test]
fn health_moves_only_destinations() {
    for seed in 0..1_000 {
        let config = sample::config(seed, false);
        if !problems(&config).is_empty() {
            continue;
        }
        let mut kernel = bare_kernel();
        executed(&desired(&config, &health(&config, &mut Random(seed))), &mut kernel, seed);
        let after = desired(&config, &health(&config, &mut Random(seed + 1)));
        for action in plan(&after, &kernel).actions {
            let text = action.to_string();
            let destination = text.contains(" to ") || text.contains(" from ") || text.contains(" in ");
            assert!(destination && text.starts_with("ipvs:") && !text.contains("service"), "seed {seed}: {text}");
        }
    }
}

/// A pair's daemons are started, put right, and stopped when there is no pair any more; those of others are only named.
#[test]
fn sync_daemons_follow_the_pair() {
    let eth1: lb_model::IfName = "eth1".parse().expect("a name");
    let daemon = |id| SyncDaemon::new(eth1.clone(), id, 1500);
    let pair = SyncPair { master: daemon(1), backup: daemon(2) };
    let mut wanted = desired(&lb_model::factory(), &Health::default()).synchronised(pair.clone());
    let mut kernel = bare_kernel();
    executed(&wanted, &mut kernel, 0);
    assert_eq!(kernel.sync[&SyncRole::Backup], ObservedSync { daemon: daemon(2), ours: true });

    kernel.sync.remove(&SyncRole::Master);
    kernel.sync.insert(SyncRole::Backup, ObservedSync { daemon: daemon(9), ours: false });
    let said = "ipvs: start sync master on eth1 id 1, messages of 1472 bytes\n\
                ipvs: start sync backup on eth1 id 2, messages of 1472 bytes\n";
    assert_eq!(plan(&wanted, &kernel).to_string(), said);
    executed(&wanted, &mut kernel, 0);

    wanted.sync = None;
    kernel.sync.insert(SyncRole::Master, ObservedSync { daemon: daemon(1), ours: false });
    let todo = plan(&wanted, &kernel);
    assert_eq!(todo.actions.iter().map(ToString::to_string).collect::<Vec<_>>(), ["ipvs: stop sync backup"]);
    assert_eq!(todo.drift, [Drift::Sync(SyncRole::Master)]);

    // Without its card there is nothing to start.
    wanted.sync = Some(pair);
    let mut bare = bare_kernel();
    bare.links.remove(&eth1);
    assert!(!plan(&wanted, &bare).actions.iter().any(|a| a.to_string().contains("sync")));
    // As long as fits, and never shorter than the kernel takes.
    let longest = [576, 1500, 9000, 65536].map(|mtu| SyncDaemon::new(eth1.clone(), 1, mtu).max_len);
    assert_eq!(longest, [1024, 1472, 8972, 65507]);
}
