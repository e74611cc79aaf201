//! What agents say, in the kernel's weights.

use lb_model::{Agent, Config, Label, factory};
use lb_plan::{AgentShare, Fitness, Health, Observed, desired, health_seen};

const READY: AgentShare = AgentShare { percent: 100, drains: false, out: false };

fn label(text: &str) -> Label {
    text.parse().expect("a label")
}

/// Two servers with the weights 1000 and 1.
fn config() -> Config {
    let mut config = factory();
    let vs = r#"{"label": "A", "service": {"kind": "address", "address": "192.168.2.21", "ports": "80"}, "real_servers": [
        {"label": "Big", "address": "192.168.2.50", "forwarding": "dr", "weight": 1000},
        {"label": "Small", "address": "192.168.2.51", "forwarding": "dr", "weight": 1}]}"#;
    config.virtual_servers = vec![serde_json::from_str(vs).expect("a virtual server")];
    config.virtual_servers[0].agent = Some(Agent::new(3333));
    assert_eq!(lb_model::problems(&config), []);
    config
}

fn health(share: AgentShare) -> Health {
    let mut health = Health::default();
    for rs in ["Big", "Small"] {
        health.set(&label("A"), &label(rs), Fitness::Fit);
        health.set_agent(&label("A"), &label(rs), share);
    }
    health
}

/// `192.168.2.50:80 1000` of each real server that the kernel shall have; the fallback page is left out.
fn weights(config: &Config, health: &Health) -> Vec<String> {
    let services = desired(config, health).services;
    let dests = services.values().flat_map(|service| &service.dests);
    dests.map(|(key, dest)| format!("{key} {}", dest.weight)).filter(|line| !line.contains(":9081")).collect()
}

#[track_caller]
fn check(share: AgentShare, big: &str, small: &str) {
    let wanted = [format!("192.168.2.50:80 {big}"), format!("192.168.2.51:80 {small}")];
    assert_eq!(weights(&config(), &health(share)), wanted, "{share:?}");
}

#[test]
fn a_share_of_the_configured_weight() {
    check(READY, "1000", "1");
    check(AgentShare { percent: 33, ..READY }, "330", "1");
    check(AgentShare { percent: 0, ..READY }, "0", "0");
    check(AgentShare { percent: 25_600, ..READY }, "65535", "256");
    check(AgentShare { percent: 50, drains: true, ..READY }, "0", "0");
    check(AgentShare { percent: 50, out: true, ..READY }, "0", "0");
}

#[test]
fn a_server_that_is_out_goes_as_an_unfit_one_does() {
    let mut config = config();
    config.virtual_servers[0].quiescent = Some(false);
    assert_eq!(weights(&config, &health(AgentShare { out: true, ..READY })), [] as [String; 0]);
    let unfit = {
        let mut health = health(READY);
        health.set(&label("A"), &label("Big"), Fitness::Unfit);
        health
    };
    assert_eq!(weights(&config, &unfit), ["192.168.2.51:80 1"], "an agent makes no unfit server fit");
}

#[test]
fn without_an_agent_nothing_that_one_said_counts() {
    let mut config = config();
    config.virtual_servers[0].agent = None;
    let shares = health(AgentShare { percent: 10, out: true, drains: false });
    assert_eq!(weights(&config, &shares), ["192.168.2.50:80 1000", "192.168.2.51:80 1"]);
}

/// A restarted lbd goes on with the kernel's weights until the agents are asked.
#[test]
fn a_restart_goes_on_with_the_weights_that_are_there() {
    let config = config();
    for percent in [1, 7, 33, 50, 99, 100, 150, 200] {
        let wanted = desired(&config, &health(AgentShare { percent, ..READY }));
        let observed = Observed { services: wanted.services.clone(), ..observed() };
        let again = desired(&config, &health_seen(&config, &observed));
        assert_eq!(again.services, wanted.services, "{percent}%");
    }
}

fn observed() -> Observed {
    Observed {
        hostname: "lbmaster".into(),
        nameservers: Vec::new(),
        time_servers: Some(Vec::new()),
        links: Default::default(),
        addresses: Vec::new(),
        routes: Vec::new(),
        sysctls: Default::default(),
        ruleset: None,
        detours: Default::default(),
        timeouts: lb_model::Timeouts::default(),
        services: Default::default(),
        owned: Default::default(),
        sync: Default::default(),
        fallback_page: None,
    }
}
