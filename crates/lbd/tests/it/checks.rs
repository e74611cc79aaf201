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
