use super::*;
use lb_plan::MarkRule;

fn ruleset() -> Ruleset {
    let rule = MarkRule {
        address: [10, 0, 0, 1].into(),
        protocol: lb_model::Protocol::Tcp,
        ports: "80,443".parse().expect("ports"),
        mark: 0x8000_0000,
    };
    Ruleset { marks: vec![rule], ..Ruleset::default() }
}

#[test]
fn what_was_loaded_survives_in_its_file() {
    let loaded = Loaded { script: ruleset().script(), listing: "table inet steelyard {\n}\n".into() };
    assert_eq!(Loaded::from_file(&loaded.to_file()), Some(loaded));
    assert_eq!(Loaded::from_file("half of a fi"), None);
}

/// Nothing loaded and nothing wanted is known without asking anybody.
#[test]
fn without_rules_there_is_nothing_to_ask() {
    let dir = tempfile::tempdir().expect("a directory");
    let firewall = Firewall::open(dir.path());
    assert_eq!(firewall.observe(&Ruleset::default()), Some(Ruleset::default()));
    assert_eq!(firewall.observe(&ruleset()), None);
}
