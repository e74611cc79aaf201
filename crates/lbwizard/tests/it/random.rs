//! Whatever is typed: no panic, and what is taken in the end is a configuration without problems.

use lb_model::{Config, factory, migrate, problems};
use lbwizard::flow::{Answers, Step, answered, next};
use proptest::prelude::*;

const PLAUSIBLE: &[&str] = &[
    "n",
    "y",
    "no",
    "yes",
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

/// Types line after line; what is to be confirmed, if it comes so far.
fn wizard(running: &Config, lines: &[String]) -> Option<Config> {
    let mut answers = Answers::default();
    for line in lines {
        let ask = match next(running, &answers) {
            Step::Ask(ask) => ask,
            Step::Confirm(settings) => return Some(settings.configure(running)),
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
        let mut all = lines;
        all.extend(["n", "n"].map(str::to_owned));
        all.extend(std::iter::repeat_n(String::new(), 12));
        // Enter and n alone must be enough, as every question has either a default or takes n.
        for running in [factory(), in_use()] {
            prop_assert!(wizard(&running, &all).is_some(), "stuck after {:?}", all);
        }
    }
}
