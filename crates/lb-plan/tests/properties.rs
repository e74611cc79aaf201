//! Properties over configurations made from seeds: a plan reaches what it aims at, and touches nothing else.

use lb_model::{Config, Timeouts, problems, sample, sample::Random};
use lb_plan::{
    Address, Desired, Dest, DestKey, Drift, Fitness, Forward, Health, Link, Observed, ObservedAddress, Ruleset,
    Service, ServiceKey, desired, plan,
};
use std::collections::{BTreeMap, BTreeSet};

fn bare_kernel() -> Observed {
    Observed {
        hostname: "(none)".into(),
        nameservers: Vec::new(),
        links: ["eth0", "eth1"].map(|n| (n.parse().expect("a name"), Link { up: false, mtu: 1500 })).into(),
        addresses: Vec::new(),
        routes: Vec::new(),
        sysctls: BTreeMap::new(),
        ruleset: Some(Ruleset::default()),
        timeouts: Timeouts { tcp: 900, tcp_fin: 120, udp: 300 },
        services: BTreeMap::new(),
        owned: BTreeSet::new(),
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
