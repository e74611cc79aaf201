//! The engine of a unit of a pair: versions, pushes, who edits, heartbeat's document, and the end of a pair.

use crate::rig::Rig;
use lb_api::{Applied, ErrorCode};
use lb_model::{Config, NodeId, factory};
use lb_pair::{Id, SharedVersion};
use lbd::engine::{
    Command,
    pair::{Editor, Facts, HELD_BACK, NotTaken, Pushed, Sync},
};

pub fn pair(unit: NodeId) -> Config {
    let text = include_str!("../../../lb-model/tests/cases/pair-two-arm.json");
    let mut config: Config = serde_json::from_str(text).expect("a configuration");
    if unit == NodeId::Two {
        config.node.unit = Some(NodeId::Two);
        config.node.hostname = "lbslave".parse().expect("a name");
        for interface in &mut config.node.interfaces {
            let two = interface.addresses.iter().map(|net| net.to_string().replace(".21/", ".22/").parse());
            interface.addresses = two.collect::<Result<_, _>>().expect("addresses");
        }
    }
    config
}

fn facts(unit: NodeId) -> Facts {
    Facts { unit: Some(unit), ..Facts::default() }
}

pub fn pushed(config: &Config, version: SharedVersion, ground: Option<Id>) -> Pushed {
    let document = serde_json::to_string(&config.shared()).expect("written").into();
    Pushed { version, ground, author: "alice".into(), comment: "more".into(), document, certificates: Vec::new() }
}

/// A unit two that was set up, and paired, but has nothing of the pair yet.
pub fn joining(rig: &Rig) {
    let mut config = pair(NodeId::Two);
    config = config.with_shared(factory().shared());
    config.node.unit = None;
    rig.apply(&config).expect("its addresses");
    rig.pair(facts(NodeId::Two));
}

#[test]
fn each_change_of_what_is_shared_has_a_name_and_a_unit_s_own_part_has_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    rig.apply(&Config { heartbeat: None, floating_ips: Vec::new(), ..alone(pair(NodeId::One)) })
        .expect("a single unit");
    assert_eq!(rig.told().history, []);
    rig.pair(facts(NodeId::One));
    let mut config = pair(NodeId::One);
    rig.apply(&config).expect("the pair");
    let first = rig.told().history;
    assert_eq!(first.len(), 1);
    config.node.nameservers.clear();
    rig.apply(&config).expect("its own part");
    assert_eq!(rig.told().history, first);
    config.globals.masquerade = true;
    rig.apply(&config).expect("a shared part");
    let second = rig.told().history;
    assert_eq!((second.len(), second[0]), (2, first[0]));
    let newest = rig.newest().expect("a version");
    assert_eq!((newest.version.number, newest.version.id), (2, second[1]));
    drop(rig);
    // It is on the disk.
    let rig = Rig::start(dir.path());
    assert_eq!(rig.told().history, second);
}

fn alone(mut config: Config) -> Config {
    config.node.unit = None;
    config
}

#[test]
fn a_push_is_run_with_this_units_own_part_and_its_name_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    joining(&rig);
    let version = lb_pair::next(None, "the master's text");
    rig.push(pushed(&pair(NodeId::One), version, None)).expect("taken");
    let running = rig.running();
    assert_eq!(running.config, pair(NodeId::Two));
    assert_eq!(running.revision.comment, "From the other unit: more");
    assert_eq!(rig.told().history, [version.id]);
    // Every service is there before it is needed; the VIPs are the heartbeat's.
    let kernel = rig.kernel.state().observed();
    assert_eq!(kernel.services.len(), 1);
    assert!(kernel.addresses.iter().all(|seen| !seen.address.net.to_string().contains(".20/")), "{kernel:?}");
    assert!(kernel.sync.len() == 2, "{:?}", kernel.sync);
}

#[test]
fn a_push_for_another_ground_or_that_cannot_run_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    joining(&rig);
    let before = rig.running();
    let version = lb_pair::next(None, "text");
    let other = lb_pair::next(Some(version), "text");
    let stale = rig.push(pushed(&pair(NodeId::One), other, Some(version.id)));
    assert!(matches!(stale, Err(NotTaken::Stale(None))), "{stale:?}");
    let mut elsewhere = pair(NodeId::One);
    elsewhere.virtual_servers[0].real_servers[0].address = [172, 16, 0, 9].into();
    elsewhere.floating_ips = vec![[172, 16, 0, 1].into()];
    let refused = rig.push(pushed(&elsewhere, version, None));
    let Err(NotTaken::Problems(problems)) = refused else { panic!("{refused:?}") };
    assert!(problems.iter().any(|problem| problem.path == "/floating_ips/0"), "{problems:?}");
    assert_eq!(rig.running(), before);
}

#[test]
fn what_is_shared_is_edited_where_the_addresses_are() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    joining(&rig);
    rig.push(pushed(&pair(NodeId::One), lb_pair::next(None, "text"), None)).expect("taken");
    let editor = Editor { hostname: "lbmaster".into(), web: Some("https://10.0.0.21:9443".into()) };
    rig.pair(Facts { editor: Some(editor), ..facts(NodeId::Two) });
    let mut config = pair(NodeId::Two);
    config.globals.masquerade = true;
    let refused = rig.apply(&config).expect_err("the master's");
    assert_eq!(refused.code, ErrorCode::Conflict);
    assert!(refused.hint.is_some_and(|hint| hint.contains("https://10.0.0.21:9443")));
    assert_eq!(rig.put(&config).expect_err("the master's").code, ErrorCode::Conflict);
    let mut config = pair(NodeId::Two);
    config.node.nameservers.clear();
    rig.put(&config).expect("its own part");
    rig.apply(&config).expect("its own part");
}

#[test]
fn a_configuration_of_a_pair_needs_the_pairing() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    let refused = rig.apply(&pair(NodeId::One)).expect_err("nobody is paired");
    assert_eq!((refused.code, refused.problems[0].path.as_str()), (ErrorCode::Invalid, "/node/unit"));
    rig.pair(facts(NodeId::Two));
    let refused = rig.apply(&pair(NodeId::One)).expect_err("this is unit two");
    assert!(refused.problems[0].reason.contains("this unit is two"), "{refused}");
}

#[test]
fn who_brings_the_tables_together_hears_of_the_sync_daemons() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    let sync = || rig.sync.borrow().clone();
    assert_eq!(sync(), None);
    rig.pair(facts(NodeId::One));
    rig.apply(&pair(NodeId::One)).expect("the pair");
    let first = sync().expect("daemons");
    assert!(first.converged);
    assert_eq!(Some(&first.master), rig.kernel.state().sync.get(&lb_plan::SyncRole::Master).map(|seen| &seen.daemon));
    // Something else cannot be done.
    rig.kernel.fail_next("firewall", 1);
    let mut config = pair(NodeId::One);
    config.globals.masquerade = true;
    rig.apply(&config).expect("stored");
    assert_eq!(sync(), Some(Sync { converged: false, ..first.clone() }));
    reconcile(&rig);
    assert_eq!(sync(), Some(first.clone()));
    // Somebody stops a daemon: it runs again, and may have missed connections.
    rig.kernel.edit(|kernel| drop(kernel.sync.remove(&lb_plan::SyncRole::Backup)));
    reconcile(&rig);
    assert_eq!(sync(), Some(Sync { starts: first.starts + 1, ..first }));
    let _: Applied = rig.ask(Command::EndPair { author: "alice".into(), serve: true }).expect("ended");
    assert_eq!(sync(), None);
}

fn reconcile(rig: &Rig) {
    let _: lb_api::ReconcileView = rig.ask(Command::Reconcile).expect("reconciled");
}

#[test]
fn a_pair_ends_with_its_services_or_without() {
    for serve in [true, false] {
        let dir = tempfile::tempdir().expect("a directory");
        let rig = Rig::start(dir.path());
        rig.pair(facts(NodeId::One));
        rig.apply(&pair(NodeId::One)).expect("the pair");
        assert!(dir.path().join("ha.json").exists());
        let applied: Applied = rig.ask(Command::EndPair { author: "alice".into(), serve }).expect("ended");
        assert!(applied.converged);
        assert!(!dir.path().join("ha.json").exists());
        assert_eq!(rig.told().history, []);
        let kernel = rig.kernel.state().observed();
        let vip = kernel.addresses.iter().any(|seen| seen.address.net.to_string() == "10.0.0.20/32");
        assert_eq!((vip, kernel.services.len(), kernel.sync.len()), (serve, usize::from(serve), 0));
    }
}

/// What would end connections that the other unit has, and this one does not know yet, is held back: while this unit stands
/// by, and for some seconds after; also when the one lbd has died meanwhile and another goes on.
#[test]
fn a_unit_that_stands_by_holds_resets_back_and_one_that_serves_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let restarted = |rig: Rig| {
        let kernel = rig.kernel.clone();
        drop(rig);
        Rig::with_kernel(dir.path(), kernel)
    };
    let rig = Rig::start(dir.path());
    let serves = |serves| Facts { serves, ..facts(NodeId::One) };
    let held_back = |rig: &Rig| rig.kernel.state().ruleset.is_some_and(|rules| rules.held_back.is_some());
    rig.pair(serves(Some(true)));
    rig.apply(&pair(NodeId::One)).expect("the pair");
    assert!(!held_back(&rig), "one that has served all the time");
    rig.pair(serves(Some(false)));
    rig.wait("the rules", |rig| held_back(rig));
    // Somebody removes them.
    rig.kernel.edit(|kernel| kernel.ruleset = None);
    rig.ask::<lb_api::ReconcileView>(Command::Reconcile).expect("repaired");
    assert!(held_back(&rig));
    // Another lbd, which nobody has told anything yet: nothing changes.
    let rig = restarted(rig);
    assert!(held_back(&rig));
    rig.pair(serves(None));
    let begun = std::time::Instant::now();
    rig.pair(serves(Some(true)));
    rig.ask::<lb_api::ReconcileView>(Command::Reconcile).expect("in order");
    assert!(held_back(&rig) || begun.elapsed() >= HELD_BACK, "the other unit's youngest connections are on their way");
    rig.wait("an end", |rig| !held_back(rig));
    assert!(begun.elapsed() >= HELD_BACK);
    let rig = restarted(rig);
    assert!(!held_back(&rig));
    rig.pair(serves(Some(true)));
    rig.ask::<lb_api::ReconcileView>(Command::Reconcile).expect("in order");
    assert!(!held_back(&rig), "lbd alone was restarted");
}
