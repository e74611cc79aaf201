//! The fake passes the stories, and what tests do with it works.

use lb_kernel::{Fake, Kernel, conformance};
use lb_model::factory;
use lb_plan::{Drift, Health, ObservedAddress, desired, plan};

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
