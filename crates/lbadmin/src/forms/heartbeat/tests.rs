use super::*;
use crate::{
    forms::{Edit, Posted, Refused},
    testing::guide,
};

fn nets(all: &[&str]) -> Vec<IpNet> {
    all.iter().map(|n| n.parse().expect("a network")).collect()
}

fn udp(one: &str, two: &str) -> HeartbeatPath {
    let address = |text: &str| text.parse().expect("an address");
    HeartbeatPath::Udp(UdpPath { one: address(one), two: address(two), port: HEARTBEAT_PORT })
}

/// The guide's unit without the VIP on its own address, which no pair can have.
fn unit() -> Config {
    Config { virtual_servers: Vec::new(), ..guide() }
}

#[test]
fn networks_that_both_units_are_in_become_paths() {
    let paths =
        |unit, config: &Config, theirs: &[&str]| Proposal::guess(config, unit, &nets(theirs)).paths[1..].to_vec();
    let theirs = ["10.0.0.22/24", "192.168.2.22/24", "172.16.0.1/16"];
    let both = [udp("10.0.0.21", "10.0.0.22"), udp("192.168.2.21", "192.168.2.22")];
    assert_eq!(paths(NodeId::One, &unit(), &theirs), both);
    let turned = [udp("10.0.0.22", "10.0.0.21"), udp("192.168.2.22", "192.168.2.21")];
    assert_eq!(paths(NodeId::Two, &unit(), &theirs), turned);
    // Not the same network, the same address, and a VIP, which moves.
    assert_eq!(paths(NodeId::One, &unit(), &["10.0.0.22/16", "192.168.2.21/24"]), []);
    assert_eq!(paths(NodeId::One, &guide(), &theirs), both[1..]);
    // A card's second address in a network is on the same cable.
    let mut config = unit();
    config.node.interfaces[0].addresses.push("10.0.0.31/24".parse().expect("a network"));
    assert_eq!(paths(NodeId::One, &config, &theirs), both);
}

fn proposed() -> HeartbeatForm {
    HeartbeatForm::of(Some(Proposal { unit: NodeId::One, paths: vec![udp("10.0.0.21", "10.0.0.22")] }))
}

/// What is read of a form as it is shown, with some fields typed over.
fn read(editor: &HeartbeatForm, config: &Config, typed: &[(&str, &str)]) -> Result<Config, Refused> {
    let form = editor.form(config).expect("a form");
    let mut posted = Posted::default();
    posted.set("seen", &form.seen);
    for field in form.fields().filter(|f| f.name != "unit" && !f.value.is_empty()) {
        posted.set(field.name, &field.value);
    }
    typed.iter().for_each(|(name, value)| posted.set(name, value));
    editor.read(config, &posted)
}

#[test]
fn what_is_proposed_makes_a_pair() {
    let made = read(&proposed(), &unit(), &[]).expect("a pair");
    assert_eq!(made.node.unit, Some(NodeId::One));
    assert_eq!(made.heartbeat, Some(Heartbeat { paths: vec![udp("10.0.0.21", "10.0.0.22")], ..Heartbeat::default() }));
    assert_eq!(lb_model::problems(&made), []);
    // As it is shown, it is read back.
    assert_eq!(read(&HeartbeatForm::default(), &made, &[]).expect("the same"), made);
}

#[test]
fn a_pace_sets_three_times_and_own_numbers_stay() {
    let made = read(&proposed(), &unit(), &[]).expect("a pair");
    let times = |typed: &[(&str, &str)], config: &Config| {
        let h =
            read(&HeartbeatForm::default(), config, typed).expect("a configuration").heartbeat.expect("a heartbeat");
        [h.keepalive_ms, h.warntime_ms, h.deadtime_ms]
    };
    assert_eq!(times(&[("pace", "fast"), ("deadtime", "9999")], &made), [10, 25, 50]);
    assert_eq!(times(&[("deadtime", "900")], &made), [100, 200, 900]);
    let own = read(&HeartbeatForm::default(), &made, &[("deadtime", "900")]).expect("a configuration");
    assert_eq!(HeartbeatForm::default().form(&own).expect("a form").field("pace").expect("pace").value, OWN);
    assert_eq!(times(&[("pace", "default")], &own), [100, 200, 400]);
}

#[test]
fn every_path_is_told_and_read_as_it_is() {
    let lines = "10.0.0.21 10.0.0.22\nfd00::1 to fd00::2 port 695";
    let typed = [("serial", "/dev/ttyS1\n/dev/ttyUSB0 9600"), ("networks", lines)];
    // The addresses of IPv6 are not this unit's, which the form says, and nothing of the lines is lost.
    let Err(Refused::Wrong(form)) = read(&proposed(), &unit(), &typed) else { panic!("refused") };
    let networks = form.field("networks").expect("networks");
    assert!(networks.error.as_deref().is_some_and(|e| e.contains("not an address of this unit")), "{networks:?}");
    assert_eq!(networks.value, lines);
    for (name, value) in
        [("serial", "/dev/ttyS1 fast"), ("serial", "a b c"), ("networks", "10.0.0.21"), ("networks", "x to y")]
    {
        let Err(Refused::Wrong(form)) = read(&proposed(), &unit(), &[(name, value)]) else { panic!("refused") };
        assert!(form.field(name).is_some_and(|f| f.error.is_some()), "{name}: {value}");
    }
}

#[test]
fn a_witness_needs_its_address() {
    let made = read(&proposed(), &unit(), &[]).expect("a pair");
    let editor = HeartbeatForm::default();
    let Err(Refused::Wrong(form)) = read(&editor, &made, &[("witness", "address")]) else { panic!("refused") };
    assert!(form.field("witness_address").is_some_and(|f| f.error.is_some()));
    let with = |typed: &[(&str, &str)], on: &Config| read(&editor, on, typed).expect("a configuration");
    let asked = with(&[("witness", "address"), ("witness_address", "10.0.0.31")], &made);
    let witness = |c: &Config| c.heartbeat.as_ref().and_then(|h| h.witness);
    assert_eq!(witness(&asked), Some(Witness::Address([10, 0, 0, 31].into())));
    assert_eq!(witness(&with(&[("sync_id", "7")], &asked)), witness(&asked));
    assert_eq!(witness(&with(&[("witness", "floating-network")], &asked)), Some(Witness::FloatingNetwork));
    assert_eq!(witness(&with(&[("witness", "none")], &asked)), None);
}
