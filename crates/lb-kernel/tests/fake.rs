//! The fake passes the stories, and what tests do with it works.

use lb_kernel::{Counters, Fake, Inspect, Kernel, conformance};
use lb_model::{Protocol, factory};
use lb_plan::{Action, Dest, DestKey, Drift, Forward, Health, ObservedAddress, Service, ServiceKey, desired, plan};
use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

#[test]
fn the_fake_passes_the_stories() {
    conformance::run(&mut Fake::new(&["eth0", "eth1"]), true, |_| {});
}

/// From any configuration to any other on one machine: all actions work and the second plan is empty.
#[test]
fn the_fake_converges() {
    let mut fake = Fake::new(&["eth0", "eth1"]);
    let mut converge = conformance::Converge::new(&mut fake, true);
    let steps = (0..3_000).filter(|seed| converge.step(&mut fake, *seed).unwrap_or_else(|e| panic!("{e}"))).count();
    assert!(steps > 1_500, "only {steps} of the configurations make sense");
}

#[test]
fn an_action_fails_as_often_as_it_was_told() {
    let fake = Fake::new(&["eth0"]);
    fake.fail_next("address: add", 1);
    let mut kernel = fake.clone();
    let wanted = desired(&factory(), &Health::default());
    let first = plan(&wanted, &kernel.observe(&wanted).expect("observed"));
    let failed: Vec<_> = kernel.execute(&first.actions).into_iter().filter_map(Result::err).collect();
    assert_eq!(failed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["address: add 192.168.2.21/24 on eth0"]);
    let second = plan(&wanted, &kernel.observe(&wanted).expect("observed"));
    assert_eq!(second.to_string(), "address: add 192.168.2.21/24 on eth0\n");
    kernel.execute(&second.actions).into_iter().for_each(|r| r.expect("works now"));
    assert_eq!(fake.log().last().map(String::as_str), Some("address: add 192.168.2.21/24 on eth0"));
    fake.fail_next("observe", 1);
    assert!(kernel.observe(&wanted).is_err() && kernel.observe(&wanted).is_ok());
}

#[test]
fn what_was_added_by_hand_is_seen_as_such() {
    let fake = Fake::new(&["eth0"]);
    let address =
        lb_plan::Address { interface: "eth0".parse().expect("a name"), net: "10.1.1.1/24".parse().expect("a net") };
    fake.edit(|state| state.addresses.push(ObservedAddress { address: address.clone(), ours: false }));
    let wanted = desired(&factory(), &Health::default());
    assert_eq!(plan(&wanted, &fake.clone().observe(&wanted).expect("observed")).drift, [Drift::Address(address)]);
}
/// Changing an interface's prefix length removes its only address for a moment, and with it the kernel drops the
/// default route: one plan must bring back both.
#[test]
fn a_new_prefix_length_keeps_the_default_route() {
    let mut kernel = Fake::new(&["eth0"]);
    for net in ["10.0.0.21/24", "10.0.0.21/16", "10.0.0.22/16"] {
        let mut config = factory();
        config.node.interfaces[0].addresses = vec![net.parse().expect("a net")];
        config.node.gateway = Some([10, 0, 0, 1].into());
        let wanted = desired(&config, &Health::default());
        let todo = plan(&wanted, &kernel.observe(&wanted).expect("observed"));
        kernel.execute(&todo.actions).into_iter().for_each(|r| r.expect("works"));
        assert_eq!(plan(&wanted, &kernel.observe(&wanted).expect("observed")).to_string(), "", "{net}");
    }
}

fn ip(text: &str) -> std::net::IpAddr {
    text.parse().expect("an address")
}

fn http() -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: ip("10.0.0.21"), port: 80 }
}

fn server(n: u8) -> DestKey {
    DestKey { address: ip(&format!("192.168.2.{n}")), port: 80 }
}

fn dest(weight: u32) -> Dest {
    Dest { forward: Forward::Nat, weight, upper: 0, lower: 0 }
}

/// A fake with a service and two servers of weights 3 and 1, and the clock of its traffic.
fn with_clients() -> (Fake, Arc<AtomicU64>) {
    let clock = Arc::new(AtomicU64::new(0));
    let hand = clock.clone();
    let mut fake = Fake::new(&["eth0"]).with_traffic(move || Duration::from_secs(hand.load(Ordering::SeqCst)));
    let service = Service {
        scheduler: "wlc".into(),
        persistence: None,
        one_packet: false,
        scheduler_flags: 0,
        dests: Default::default(),
    };
    let add = |n, weight| Action::AddDest { service: http(), key: server(n), dest: dest(weight) };
    for done in fake.execute(&[Action::AddService { key: http(), service }, add(50, 3), add(51, 1)]) {
        done.expect("added");
    }
    (fake, clock)
}

fn connections(counters: &Counters, n: u8) -> u64 {
    counters[&http()].dests[&server(n)].totals.connections
}

#[test]
fn traffic_is_shared_by_weight_and_depends_on_the_time_alone() {
    let (often, clock) = with_clients();
    for second in 1..=600 {
        clock.store(second, Ordering::SeqCst);
        often.counters().expect("counters");
    }
    let (once, clock) = with_clients();
    clock.store(600, Ordering::SeqCst);
    let (often, once) = (often.counters().expect("counters"), once.counters().expect("counters"));
    assert_eq!(often, once);
    let all = once[&http()].totals;
    assert!(all.connections > 600 && all.bytes_out > all.bytes_in && all.packets_in > 0, "{all:?}");
    assert_eq!(all.connections, connections(&once, 50) + connections(&once, 51));
    assert!((connections(&once, 50)).abs_diff(3 * connections(&once, 51)) <= 3, "{once:?}");
    let (big, small) = (once[&http()].dests[&server(50)], once[&http()].dests[&server(51)]);
    assert!(big.active > small.active && small.active > 0 && small.inactive > 0, "{once:?}");
}

#[test]
fn a_drained_server_gets_no_new_clients_and_loses_those_it_has() {
    let (mut fake, clock) = with_clients();
    clock.store(100, Ordering::SeqCst);
    let before = fake.counters().expect("counters");
    let drain = Action::SetDest { service: http(), key: server(50), dest: dest(0) };
    fake.execute(&[drain]).remove(0).expect("drained");
    clock.store(130, Ordering::SeqCst);
    let between = fake.counters().expect("counters");
    assert_eq!(connections(&between, 50), connections(&before, 50));
    assert!(connections(&between, 51) > connections(&before, 51));
    let active = |counters: &Counters| counters[&http()].dests[&server(50)].active;
    assert!(active(&between) > 0 && active(&between) < active(&before), "{between:?}");
    clock.store(161, Ordering::SeqCst);
    assert_eq!(active(&fake.counters().expect("counters")), 0);
    // What a removed server has carried stays in the service's count.
    let all = |counters: &Counters| counters[&http()].totals.connections;
    let kept = all(&fake.counters().expect("counters"));
    fake.execute(&[Action::DelDest { service: http(), key: server(50) }]).remove(0).expect("removed");
    assert_eq!(all(&fake.counters().expect("counters")), kept);
}

fn table(fake: &Fake) -> Vec<String> {
    let mut lines = Vec::new();
    let whole = fake.connections(&mut |c| {
        lines.push(format!("{} {} {} {}", c.client, c.virtual_server, c.real_server, c.state));
        ControlFlow::Continue(())
    });
    assert!(whole.expect("the table").is_continue());
    lines
}

#[test]
fn the_connection_table_has_as_many_entries_as_told_all_different() {
    assert!(table(&Fake::new(&["eth0"]).with_connections(10)).is_empty(), "nobody to connect to");
    let (fake, clock) = with_clients();
    assert!(!table(&fake).is_empty());
    let lines = table(&fake.clone().with_connections(100_000));
    let different: std::collections::HashSet<_> = lines.iter().collect();
    assert_eq!((lines.len(), different.len()), (100_000, 100_000));
    assert!(lines.iter().any(|l| l.ends_with("10.0.0.21:80 192.168.2.51:80 SYN_RECV")), "{:?}", &lines[..30]);
    clock.store(1000, Ordering::SeqCst);
    assert_eq!(table(&fake), lines, "and they stay");
}
