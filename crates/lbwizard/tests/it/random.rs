//! Whatever is typed: no panic, and what is taken in the end is a configuration without problems.

use lb_api::PairedView;
use lb_model::{Config, HeartbeatPath, NodeId, factory, migrate, problems};
use lbwizard::flow::{self, Answers, Step, answered, next};
use proptest::prelude::*;
use std::net::Ipv4Addr;

const PLAUSIBLE: &[&str] = &[
    "n",
    "y",
    "m",
    "s",
    "no",
    "yes",
    "10.0.0.20",
    "10.0.0.22",
    "10.0.0.21",
    "10.0.0.31",
    "10.0.0.100",
    "192.168.2.21",
    "192.168.2.50",
    "192.168.2.1",
    "10.0.1.1",
    "172.16.0.5",
    "255.255.255.0",
    "255.255.255.252",
    "255.255.0.0",
    "/24",
    "25",
    "/30",
    "29",
    "8",
    "/1",
    "80",
    "443",
    "22",
    "0",
    "65536",
    "256.1.1.1",
    "127.0.0.1",
    "224.0.0.1",
    "10.0.0.0",
    "10.0.0.255",
    "0.0.0.0",
    "255.255.255.255",
    "::1",
];

fn typed() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just(String::new()),
        6 => proptest::sample::select(PLAUSIBLE).prop_map(str::to_owned),
        2 => any::<[u8; 4]>().prop_map(|o| format!("{}.{}.{}.{}", o[0], o[1], o[2], o[3])),
        2 => (0u8..4, 0u8..4).prop_map(|(a, b)| format!("10.0.{a}.{b}")),
        1 => (0u8..40).prop_map(|n| format!("/{n}")),
        1 => any::<String>(),
    ]
}

/// Whom the master finds at the other end.
fn the_slave(address: Ipv4Addr) -> PairedView {
    let addresses = [format!("{address}/24"), "192.168.77.22/24".into()].map(|a| a.parse().expect("network"));
    let addresses = addresses.to_vec();
    PairedView { unit: NodeId::One, hostname: "lbslave".into(), addresses, fingerprint: String::new() }
}

/// Whether some answer is taken at every question from here on, the default first of all; an end without a pair is
/// an end too.
fn way_on(running: &Config, mut answers: Answers) -> Result<(), String> {
    loop {
        let ask = match next(running, &answers) {
            Step::Ask(ask) => ask,
            Step::Confirm(_) => return Ok(()),
            Step::Pair { slave } => match flow::paired(running, &answers, the_slave(slave), Some(false)) {
                Ok(paired) => {
                    answers = paired;
                    continue;
                }
                Err(_) => return Ok(()),
            },
        };
        let words = ["n", "y", "s"].map(str::to_owned);
        let network = answers.network();
        let hosts = network.iter().flat_map(|n| [Some(n.eth0), n.eth1]).flatten().flat_map(|net| net.hosts().take(40));
        let mut typed = ask.default.clone().into_iter().chain(words).chain(hosts.map(|h| h.to_string()));
        match typed.find_map(|t| answered(running, &answers, ask.question, &t).ok()) {
            Some(taken) => answers = taken,
            None => {
                let why = answered(running, &answers, ask.question, "10.99.99.99").err();
                return Err(format!("nothing answers \"{}\": {why:?}", ask.question.text()));
            }
        }
    }
}

/// The answers so far, and what is to be confirmed, if it comes so far.
fn so_far(running: &Config, lines: &[String]) -> Answers {
    let mut answers = Answers { sync_id: 1, ..Answers::default() };
    for line in lines {
        match next(running, &answers) {
            Step::Ask(ask) => {
                let text = if line.is_empty() { ask.default.unwrap_or_default() } else { line.clone() };
                answers = answered(running, &answers, ask.question, &text).unwrap_or(answers);
            }
            Step::Confirm(_) | Step::Pair { .. } => break,
        }
    }
    answers
}

/// Types line after line; what is to be confirmed, if it comes so far.
fn wizard(running: &Config, lines: &[String]) -> Option<Config> {
    let mut answers = Answers { sync_id: 1, ..Answers::default() };
    for line in lines {
        let ask = match next(running, &answers) {
            Step::Ask(ask) => ask,
            Step::Confirm(settings) => return Some(settings.configure(running)),
            Step::Pair { slave } => {
                answers = flow::paired(running, &answers, the_slave(slave), Some(true)).ok()?;
                continue;
            }
        };
        let text = match (line.as_str(), ask.default) {
            ("", Some(default)) => {
                answered(running, &answers, ask.question, &default).expect("a default is one that is taken");
                default
            }
            (text, _) => text.to_owned(),
        };
        if let Ok(taken) = answered(running, &answers, ask.question, &text) {
            answers = taken;
        }
    }
    None
}

/// A unit in use, with more virtual servers and routes than the wizard asks for.
fn in_use() -> Config {
    migrate(include_str!("../cases/reconfigured_enter_everywhere/running.json")).expect("running.json")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_taken_has_no_problems(first in proptest::collection::vec(typed(), 0..60), second in proptest::collection::vec(typed(), 0..60)) {
        for running in [factory(), in_use()] {
            let Some(config) = wizard(&running, &first) else { continue };
            prop_assert_eq!(problems(&config), vec![]);
            if let Some(again) = wizard(&config, &second) {
                prop_assert_eq!(problems(&again), vec![]);
            }
        }
    }

    /// No answer leads where no further answer is possible: from wherever one is, there is a way to the end.
    #[test]
    fn there_is_always_a_way_on(lines in proptest::collection::vec(typed(), 0..40)) {
        for running in [factory(), in_use()] {
            prop_assert_eq!(way_on(&running, so_far(&running, &lines)), Ok(()), "stuck after {:?}", lines);
        }
    }

    /// A master's configuration names the other unit on a network of both, and no address twice.
    #[test]
    fn a_masters_configuration_is_a_pairs(lines in proptest::collection::vec(typed(), 20..60)) {
        for running in [factory(), in_use()] {
            let master: Vec<String> =
                ["y", "m", "y"].into_iter().map(str::to_owned).chain(lines.clone()).collect();
            let Some(config) = wizard(&running, &master) else { continue };
            let (unit, heartbeat) = config.pair().expect("a pair");
            prop_assert_eq!(unit, NodeId::One);
            prop_assert!(heartbeat.paths.iter().any(|p| matches!(p, HeartbeatPath::Udp(_))));
            let vips: Vec<_> = config.virtual_servers.iter().filter_map(|v| v.service.address()).collect();
            prop_assert!(vips.iter().all(|vip| !config.node.owns(*vip)));
        }
    }
}
