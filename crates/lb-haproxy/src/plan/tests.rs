use super::*;
use crate::{Proxy, ServerSetting, fake::Fake, render};
use lb_model::Config;

/// One virtual server, Shop, with Web1 of `weight` and `state`, listening on `port`.
fn wanted(port: u16, weight: u16, state: RequestedState) -> Rendered {
    let mut config: Config =
        serde_json::from_str(include_str!("../../tests/cases/plain/config.json")).expect("a configuration");
    let shop = &mut config.layer7.virtual_servers[0];
    shop.ports = port.into();
    shop.real_servers.truncate(1);
    shop.real_servers[0].weight = weight;
    shop.real_servers[0].state = state;
    render(&config).expect("layer 7")
}

/// Carries the plan out, and expects that nothing is left to do then.
fn settle(fake: &mut Fake, wanted: Option<&Rendered>) -> String {
    let actions = plan(wanted, &fake.observe().unwrap());
    for action in &actions {
        fake.execute(action).unwrap();
    }
    assert_eq!(plan(wanted, &fake.observe().unwrap()), []);
    let name = |line: String| match line.strip_prefix("layer 7: ").unwrap_or("?") {
        write if write.starts_with("write ") => WRITE.to_owned(),
        other => other.to_owned(),
    };
    actions.iter().map(|action| name(action.to_string())).collect::<Vec<_>>().join("; ")
}

const WRITE: &str = "write";
const RELOAD: &str = "reload HAProxy: open connections stay with the old process";

#[test]
fn the_ladder() {
    use RequestedState::{Drain, Offline, Online};
    let mut fake = Fake::default();
    let mut step = |wanted: Option<Rendered>| settle(&mut fake, wanted.as_ref());
    assert_eq!(step(None), "");
    assert_eq!(step(Some(wanted(80, 1, Online))), format!("{WRITE}; {RELOAD}"));
    assert_eq!(step(Some(wanted(80, 1, Online))), "");
    assert_eq!(step(Some(wanted(80, 5, Online))), format!("{WRITE}; set weight of Web1 in Shop to 5"));
    assert_eq!(step(Some(wanted(80, 5, Drain))), format!("{WRITE}; set Web1 in Shop to DRAIN"));
    assert_eq!(step(Some(wanted(80, 5, Offline))), format!("{WRITE}; set Web1 in Shop to OFFLINE"));
    // The weight first: it never serves with the old one.
    assert_eq!(
        step(Some(wanted(80, 7, Online))),
        format!("{WRITE}; set weight of Web1 in Shop to 7; set Web1 in Shop to ONLINE")
    );
    assert_eq!(step(Some(wanted(8080, 7, Online))), format!("{WRITE}; {RELOAD}"));
    // What runs goes on for a while, or for good if the reload fails.
    assert_eq!(step(Some(wanted(90, 7, Offline))), format!("{WRITE}; set Web1 in Shop to OFFLINE; {RELOAD}"));
    assert_eq!(step(None), "stop HAProxy");
}

#[test]
fn a_drained_server_is_one_of_weight_0_after_a_start() {
    let mut fake = Fake::default();
    let drained = wanted(80, 5, RequestedState::Drain);
    assert_eq!(settle(&mut fake, Some(&drained)), format!("{WRITE}; {RELOAD}"));
    let online = wanted(80, 5, RequestedState::Online);
    assert_eq!(settle(&mut fake, Some(&online)), format!("{WRITE}; set weight of Web1 in Shop to 5"));
}

#[test]
fn what_somebody_changed_by_hand_is_put_right() {
    let mut fake = Fake::default();
    let online = wanted(80, 5, RequestedState::Online);
    settle(&mut fake, Some(&online));
    let server = online.servers.keys().next().unwrap().clone();
    fake.0.lock().unwrap().observed.servers.get_mut(&server).unwrap().weight = 9;
    assert_eq!(settle(&mut fake, Some(&online)), "set weight of Web1 in Shop to 5");
    fake.0.lock().unwrap().observed.servers.get_mut(&server).unwrap().state = RequestedState::Offline;
    assert_eq!(settle(&mut fake, Some(&online)), "set Web1 in Shop to ONLINE");
    fake.0.lock().unwrap().observed.text = Some("somebody's".into());
    assert_eq!(settle(&mut fake, Some(&online)), WRITE);
    fake.0.lock().unwrap().observed.servers.clear();
    assert_eq!(settle(&mut fake, Some(&online)), RELOAD);
}

/// Every pair of settings is reached, in both ways that a drain is seen.
#[test]
fn every_setting_is_reached_from_every_other() {
    use RequestedState::{Drain, Offline, Online};
    let all: Vec<ServerSetting> = [Online, Drain, Offline]
        .into_iter()
        .flat_map(|state| [0, 1, 256].map(|weight| ServerSetting { weight, state }))
        .collect();
    for from in &all {
        for to in &all {
            let (before, after) = (wanted(80, from.weight, from.state), wanted(80, to.weight, to.state));
            assert_eq!(before.shape, after.shape);
            let mut fake = Fake::default();
            settle(&mut fake, Some(&before));
            assert!(!settle(&mut fake, Some(&after)).contains("reload"), "{from:?} {to:?}");
        }
    }
}
