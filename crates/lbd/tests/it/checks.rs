//! From what a probe says to what the kernel has.

use crate::rig::{Rig, guide};
use lb_api::ActualState;
use lb_check::Outcome;
use lb_plan::{DestKey, Forward};

fn dests(rig: &Rig) -> Vec<(DestKey, u32)> {
    let service = rig.kernel.state().services.into_values().next().expect("the service");
    service.dests.into_iter().map(|(key, dest)| (key, dest.weight)).collect()
}

fn shown(rig: &Rig) -> Vec<String> {
    dests(rig).iter().map(|(key, weight)| format!("{key} {weight}")).collect()
}

fn unfit() -> Outcome {
    Outcome::Unfit("connection refused".into())
}

#[test]
fn servers_get_clients_when_they_are_fit_and_the_fallback_when_none_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    rig.apply(&guide()).expect("applied");
    assert_eq!(shown(&rig), ["10.0.0.21:9081 1", "192.168.2.50:80 0", "192.168.2.51:80 0"], "nobody was checked yet");
    assert_eq!(rig.status().virtual_servers[0].real_servers[0].actual, ActualState::Checking);

    rig.answer_probes(|_| Outcome::Fit);
    rig.wait("both in", |rig| shown(rig) == ["192.168.2.50:80 1", "192.168.2.51:80 1"]);
    assert!(rig.status().virtual_servers[0].active);
}

#[test]
fn a_failed_server_is_quiesced_and_comes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    let mut config = guide();
    config.globals.health.interval = 1;
    rig.apply(&config).expect("applied");
    rig.answer_probes(|_| Outcome::Fit);
    rig.wait("both in", |rig| shown(rig) == ["192.168.2.50:80 1", "192.168.2.51:80 1"]);

    let first_fails = |probe: &lb_check::Probe| match probe.spec.target.address.to_string().ends_with(".50") {
        true => unfit(),
        false => Outcome::Fit,
    };
    rig.wait("the first one out", |rig| {
        rig.answer_probes(first_fails);
        shown(rig) == ["192.168.2.50:80 0", "192.168.2.51:80 1"]
    });
    let server = rig.status().virtual_servers[0].real_servers[0].clone();
    assert_eq!(server.actual, ActualState::NonActive);
    assert_eq!(server.check.expect("the check's text").text, "connection refused");

    rig.wait("all out", |rig| {
        rig.answer_probes(|_| unfit());
        shown(rig) == ["10.0.0.21:9081 1", "192.168.2.50:80 0", "192.168.2.51:80 0"]
    });
    assert!(rig.status().virtual_servers[0].fallback);
    assert_eq!(
        rig.kernel
            .state()
            .services
            .into_values()
            .next()
            .expect("the service")
            .dests
            .into_values()
            .next()
            .expect("a dest")
            .forward,
        Forward::Nat
    );

    rig.wait("all back", |rig| {
        rig.answer_probes(|_| Outcome::Fit);
        shown(rig) == ["192.168.2.50:80 1", "192.168.2.51:80 1"]
    });
}

#[test]
fn a_restart_keeps_what_the_kernel_knows_of_the_servers() {
    let dir = tempfile::tempdir().expect("a directory");
    let kernel = {
        let rig = Rig::start(dir.path());
        rig.apply(&guide()).expect("applied");
        rig.answer_probes(|p| if p.spec.target.address.to_string().ends_with(".50") { Outcome::Fit } else { unfit() });
        rig.wait("one in", |rig| shown(rig) == ["192.168.2.50:80 1", "192.168.2.51:80 0"]);
        rig.kernel.clone()
    };
    let before = kernel.log().len();
    let rig = Rig::with_kernel(dir.path(), kernel.clone());
    assert_eq!(shown(&rig), ["192.168.2.50:80 1", "192.168.2.51:80 0"]);
    assert_eq!(rig.status().virtual_servers[0].real_servers[0].actual, ActualState::Active);
    assert_eq!(kernel.log()[before..], [] as [String; 0]);
}

/// The guide's two servers with the weights 10 and 10, their agents asked every second.
fn with_agents() -> lb_model::Config {
    let mut config = guide();
    let vs = &mut config.virtual_servers[0];
    vs.agent = Some(lb_model::Agent { interval: Some(1), ..lb_model::Agent::new(3333) });
    vs.real_servers.iter_mut().for_each(|rs| rs.weight = 10);
    config
}

/// Says so until the kernel has these weights.
fn agents_say(rig: &Rig, one: &str, two: &str, weights: &[&str]) {
    rig.wait(&format!("{weights:?}"), |rig| {
        rig.answer_agents(|question| {
            let first = question.spec.target.address.to_string().ends_with(".50");
            Ok(if first { one } else { two }.as_bytes().to_vec())
        });
        shown(rig) == weights
    });
}

#[test]
fn agents_set_weights_and_take_their_servers_out_and_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    rig.apply(&with_agents()).expect("applied");
    rig.answer_probes(|_| Outcome::Fit);
    rig.wait("both in", |rig| shown(rig) == ["192.168.2.50:80 10", "192.168.2.51:80 10"]);
    agents_say(&rig, "75%", "1% #busy", &["192.168.2.50:80 7", "192.168.2.51:80 1"]);
    let text = |rig: &Rig, n: usize| rig.status().virtual_servers[0].real_servers[n].check.clone().map(|c| c.text);
    assert_eq!(text(&rig, 1).as_deref(), Some("answers; agent: 1% (busy)"));

    agents_say(&rig, "drain", "50%", &["192.168.2.50:80 0", "192.168.2.51:80 5"]);
    let first = rig.status().virtual_servers[0].real_servers[0].clone();
    assert_eq!((first.actual, first.weight), (ActualState::NonActive, 10), "the configured weight stays what it is");
    agents_say(&rig, "ready", "down", &["192.168.2.50:80 7", "192.168.2.51:80 0"]);
    agents_say(&rig, "100%", "up 100%", &["192.168.2.50:80 10", "192.168.2.51:80 10"]);

    // Nobody left: the fallback page, as when checks fail.
    agents_say(&rig, "maint", "0%", &["10.0.0.21:9081 1", "192.168.2.50:80 0", "192.168.2.51:80 0"]);
    assert!(rig.status().virtual_servers[0].fallback);
    agents_say(&rig, "ready", "40%", &["192.168.2.50:80 10", "192.168.2.51:80 4"]);

    // Agents that are gone change nothing, and people see it.
    rig.answer_agents(|_| Err("connection refused".into()));
    let wanted = "answers; agent unreachable: connection refused (40% as before)";
    rig.wait("people see it", |rig| {
        rig.answer_agents(|_| Err("connection refused".into()));
        text(rig, 1).as_deref() == Some(wanted)
    });
    assert_eq!(shown(&rig), ["192.168.2.50:80 10", "192.168.2.51:80 4"]);
    // A destination is never taken away and made again for a weight.
    let log = rig.kernel.log();
    assert!(!log.iter().any(|line| line.contains("remove") && line.contains("192.168.2.5")), "{log:#?}");
}

#[test]
fn an_administrators_word_and_weight_are_above_an_agents() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    let mut config = with_agents();
    rig.apply(&config).expect("applied");
    rig.answer_probes(|_| Outcome::Fit);
    agents_say(&rig, "50%", "50%", &["192.168.2.50:80 5", "192.168.2.51:80 5"]);

    // Another weight: the share is of it at once.
    config.virtual_servers[0].real_servers[0].weight = 100;
    rig.apply(&config).expect("applied");
    rig.wait("its share", |rig| shown(rig) == ["192.168.2.50:80 50", "192.168.2.51:80 5"]);

    config.virtual_servers[0].real_servers[0].state = lb_model::RequestedState::Drain;
    rig.apply(&config).expect("applied");
    agents_say(&rig, "ready 100%", "20%", &["192.168.2.50:80 0", "192.168.2.51:80 2"]);

    // Without agents the configured weights again.
    config.virtual_servers[0].agent = None;
    config.virtual_servers[0].real_servers[0].state = lb_model::RequestedState::Online;
    rig.apply(&config).expect("applied");
    rig.wait("the configured ones", |rig| shown(rig) == ["192.168.2.50:80 100", "192.168.2.51:80 10"]);
}

#[test]
fn a_restart_keeps_the_weights_that_agents_gave() {
    let dir = tempfile::tempdir().expect("a directory");
    let kernel = {
        let rig = Rig::start(dir.path());
        rig.apply(&with_agents()).expect("applied");
        rig.answer_probes(|_| Outcome::Fit);
        agents_say(&rig, "70%", "30%", &["192.168.2.50:80 7", "192.168.2.51:80 3"]);
        rig.kernel.clone()
    };
    let before = kernel.log().len();
    let rig = Rig::with_kernel(dir.path(), kernel.clone());
    rig.answer_probes(|_| Outcome::Fit);
    rig.answer_agents(|_| Err("no answer within 5 s".into()));
    let text = |rig: &Rig| rig.status().virtual_servers[0].real_servers[1].check.clone().map(|c| c.text);
    rig.wait("it was asked", |rig| text(rig).is_some_and(|text| text.contains("unreachable")));
    assert_eq!(shown(&rig), ["192.168.2.50:80 7", "192.168.2.51:80 3"]);
    assert_eq!(kernel.log()[before..], [] as [String; 0]);
}
