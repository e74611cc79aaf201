//! The life of a configuration: candidate, apply, conflict, confirm, history, rollback; and what a restart changes.

use crate::rig::{Rig, guide_unchecked};
use lb_api::{Applied, ApplyRequest, ErrorCode, PutCandidate, RevisionView, RollbackRequest, StateRequest};
use lb_kernel::Fake;
use lb_model::RequestedState;
use lbd::engine::Command;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

#[test]
fn a_new_unit_runs_the_factory_settings() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    assert_eq!(rig.running().config, lb_model::factory());
    assert_eq!(rig.running().revision.number, 0);
    let log = rig.kernel.log();
    assert!(log.contains(&"address: add 192.168.2.21/24 on eth0".to_owned()), "{log:?}");
}

#[test]
fn an_applied_candidate_runs_and_survives_a_restart() {
    let dir = dir();
    let config = guide_unchecked();
    let kernel = {
        let rig = Rig::start(dir.path());
        assert_eq!(rig.put(&config).expect("a candidate").problems, []);
        let applied: Applied = rig.ask(Command::Apply(Box::default())).expect("applied");
        assert_eq!((applied.revision.number, applied.converged), (1, true), "{applied:?}");
        assert!(
            applied.changes.iter().any(|c| c.text.starts_with("Add virtual server HTTP_Cluster")),
            "{:?}",
            applied.changes
        );
        let again: Applied = rig.ask(Command::Apply(Box::default())).expect("nothing to apply");
        assert_eq!((again.revision.number, again.changes.len(), again.plan.len()), (1, 0, 0));
        rig.kernel.clone()
    };
    let before = kernel.log().len();
    let rig = Rig::with_kernel(dir.path(), kernel.clone());
    assert_eq!(rig.running().config, config);
    assert_eq!(kernel.log()[before..], [] as [String; 0], "a restart changes nothing in the kernel");
}

#[test]
fn all_problems_come_at_once_and_nothing_is_applied() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    let mut config = guide_unchecked();
    config.node.gateway = Some([172, 16, 0, 1].into());
    config.virtual_servers[0].real_servers[0].address = [10, 0, 0, 21].into();
    let error = rig.apply(&config).expect_err("two problems");
    assert_eq!((error.code, error.problems.len()), (ErrorCode::Invalid, 2), "{error}");
    assert_eq!(rig.running().revision.number, 0);
}

#[test]
fn a_candidate_from_an_older_revision_is_a_conflict_that_says_what_came_between() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    let mut mine = guide_unchecked();
    rig.put(&mine).expect("a candidate");
    let mut theirs = guide_unchecked();
    theirs.virtual_servers.clear();
    rig.apply(&theirs).expect("somebody else's apply");
    let error = rig.ask::<Applied>(Command::Apply(Box::default())).expect_err("a conflict");
    assert_eq!(error.code, ErrorCode::Conflict);
    assert_eq!(error.between.iter().map(|r| r.number).collect::<Vec<_>>(), [1]);
    // Nothing is lost: put again on top of what runs, it goes through.
    mine.node.nameservers.clear();
    rig.put(&mine).expect("the candidate again");
    assert_eq!(rig.ask::<Applied>(Command::Apply(Box::default())).expect("applied").revision.number, 2);
}

#[test]
fn two_editors_of_the_candidate_see_each_other() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    let first = rig.put(&guide_unchecked()).expect("a candidate");
    let mut other = guide_unchecked();
    other.virtual_servers[0].real_servers.pop();
    rig.put(&other).expect("the other one's edit");
    let late = PutCandidate { config: guide_unchecked(), base: None, etag: Some(first.etag), author: "late".into() };
    let error = rig.ask::<lb_api::CandidateView>(Command::PutCandidate(Box::new(late))).expect_err("a conflict");
    assert_eq!(error.code, ErrorCode::Conflict, "{error}");
}

#[test]
fn a_rollback_is_a_new_revision() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    rig.apply(&guide_unchecked()).expect("applied");
    let request = |revision| {
        Command::Rollback(RollbackRequest {
            revision,
            author: "test".into(),
            comment: String::new(),
            ..RollbackRequest::default()
        })
    };
    let applied: Applied = rig.ask(request(0)).expect("back to the factory settings");
    assert_eq!(applied.revision.number, 2);
    assert_eq!(rig.running().config, lb_model::factory());
    assert!(rig.kernel.state().services.is_empty());
    let history: Vec<RevisionView> = rig.ask(Command::History { limit: 10 }).expect("the history");
    assert_eq!(history.iter().map(|r| r.comment.as_str()).collect::<Vec<_>>(), ["Roll back to revision 0", ""]);
    assert_eq!(rig.ask::<Applied>(request(99)).expect_err("no such revision").code, ErrorCode::NotFound);
}

fn with_confirm(config: lb_model::Config, seconds: u64) -> Command {
    Command::Apply(Box::new(ApplyRequest { config: Some(config), confirm_within: Some(seconds), ..Default::default() }))
}

#[test]
fn an_unconfirmed_revision_is_undone_by_itself() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    let applied: Applied = rig.ask(with_confirm(guide_unchecked(), 10)).expect("applied");
    assert!(applied.confirm_before.is_some());
    let waiting = rig.status().confirm.expect("a confirm window");
    assert_eq!(waiting.revision, applied.revision.number);
    let error = rig.apply(&lb_model::factory()).expect_err("one window at a time");
    assert_eq!(error.code, ErrorCode::AwaitingConfirm);
    rig.wait("the way back", |rig| rig.running().config == lb_model::factory());
    assert!(rig.running().revision.number > applied.revision.number);
    assert!(rig.status().confirm.is_none());
}

#[test]
fn a_confirmed_revision_stays() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    rig.ask::<Applied>(with_confirm(guide_unchecked(), 3600)).expect("applied");
    rig.ask::<lb_api::ConfirmView>(Command::Confirm(Default::default())).expect("confirmed");
    assert!(rig.status().confirm.is_none());
    assert_eq!(rig.running().config, guide_unchecked());
}

#[test]
fn an_unconfirmed_revision_is_undone_after_a_restart_too() {
    let dir = dir();
    {
        let rig = Rig::start(dir.path());
        rig.ask::<Applied>(with_confirm(guide_unchecked(), 5)).expect("applied");
    }
    let rig = Rig::start(dir.path());
    rig.wait("the way back", |rig| rig.running().config == lb_model::factory());
}

#[test]
fn a_confirm_window_out_of_range_is_refused() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    for seconds in [0, 4, 3601] {
        let error = rig.ask::<Applied>(with_confirm(guide_unchecked(), seconds)).expect_err("out of range");
        assert_eq!(error.code, ErrorCode::BadRequest);
    }
    assert_eq!(rig.running().revision.number, 0);
}

#[test]
fn taking_a_server_offline_works_at_once_and_keeps_the_candidate() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    rig.apply(&guide_unchecked()).expect("applied");
    let mut pending = guide_unchecked();
    pending.globals.masquerade = false;
    rig.put(&pending).expect("a candidate");
    let state = |server: &str, state| {
        Command::SetState(StateRequest {
            virtual_server: "HTTP_Cluster".parse().expect("a label"),
            real_server: server.parse().expect("a label"),
            state,
            author: "test".into(),
        })
    };
    rig.ask::<Applied>(state("WebServer1", RequestedState::Offline)).expect("offline");
    let service = rig.kernel.state().services.into_values().next().expect("the service");
    assert_eq!(service.dests.len(), 1);
    let candidate: lb_api::CandidateView = rig.ask(Command::Candidate).expect("the candidate");
    let texts: Vec<_> = candidate.changes.iter().map(|c| c.text.as_str()).collect();
    assert_eq!(texts, ["Turn MASQUERADE off"]);
    assert_eq!(rig.ask::<Applied>(Command::Apply(Box::default())).expect("no conflict").revision.number, 3);
    let error = rig.ask::<Applied>(state("WebServer9", RequestedState::Offline)).expect_err("no such server");
    assert!(error.to_string().contains("WebServer1, WebServer2"), "{error}");
}

#[test]
fn what_was_removed_by_hand_comes_back_and_what_was_added_is_reported() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    rig.apply(&guide_unchecked()).expect("applied");
    let before = rig.kernel.state();
    rig.kernel.edit(|kernel| kernel.services.values_mut().for_each(|s| s.dests.clear()));
    let key = lb_plan::ServiceKey::Mark { mark: 7, family: lb_model::Family::Ipv4 };
    let by_hand = before.services.values().next().expect("the service").clone();
    rig.kernel.edit(|kernel| drop(kernel.services.insert(key, by_hand)));
    let report: lb_api::ReconcileView = rig.ask(Command::Reconcile).expect("reconciled");
    assert_eq!(report.plan.len(), 2, "{report:?}");
    assert!(report.drift[0].contains("mark 7"), "{report:?}");
    assert_eq!(rig.status().drift, report.drift);
    assert!(rig.kernel.state().services.contains_key(&key));
    let again: lb_api::ReconcileView = rig.ask(Command::Reconcile).expect("reconciled");
    assert_eq!(again.plan, [] as [String; 0]);
}

#[test]
fn an_action_that_fails_stays_visible_and_is_tried_again() {
    let dir = dir();
    let kernel = Fake::new(&["eth0", "eth1"]);
    let rig = Rig::with_kernel(dir.path(), kernel.clone());
    kernel.fail_next("ipvs: add 192.168.2.50", 1);
    let applied = rig.apply(&guide_unchecked()).expect("stored, though not all of it works");
    assert!(!applied.converged);
    assert!(applied.pending[0].action.starts_with("ipvs: add 192.168.2.50:80"), "{:?}", applied.pending);
    rig.wait("the second try", |rig| rig.status().converged);
    assert_eq!(kernel.state().services.into_values().next().expect("the service").dests.len(), 2);
}

/// A reader that polls the summary misses nothing that a status would show, but for counters.
#[test]
fn the_generation_grows_with_every_change_and_only_then() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    let mut last = rig.summary().generation;
    let mut grew = |what: &str, rig: &Rig| {
        let now = rig.summary().generation;
        assert!(now > last, "{what}");
        last = now;
    };
    rig.put(&crate::rig::guide()).expect("a candidate");
    grew("an edit of the candidate", &rig);
    rig.ask::<Applied>(Command::Apply(Box::default())).expect("applied");
    grew("an apply", &rig);
    rig.answer_probes(|_| lb_check::Outcome::Fit);
    rig.wait("both fit", |rig| rig.status().virtual_servers[0].active);
    grew("a health transition", &rig);
    rig.kernel.edit(|kernel| kernel.services.values_mut().for_each(|s| s.dests.clear()));
    rig.ask::<lb_api::ReconcileView>(Command::Reconcile).expect("reconciled");
    grew("a repair", &rig);
    rig.put(&guide_unchecked()).expect("a candidate");
    grew("another edit", &rig);
    assert_eq!(rig.summary().candidate_etag, 2);
    rig.ask::<lb_api::CandidateView>(Command::Discard(Default::default())).expect("discarded");
    grew("giving it up", &rig);
    let (before, summary) = (last, rig.summary());
    rig.ask::<lb_api::ReconcileView>(Command::Reconcile).expect("reconciled");
    rig.ask::<lb_api::CandidateView>(Command::Discard(Default::default())).expect("nothing to discard");
    rig.status();
    assert_eq!((rig.summary().generation, summary.candidate_etag, summary.converged), (before, 0, true));
    assert_eq!(summary.revision, rig.status().revision);
}

/// It begins with the clock, so that a restarted lbd goes on above the one before it.
#[test]
fn the_generation_grows_over_a_restart() {
    let dir = dir();
    let before = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let summary = Rig::start(dir.path()).summary();
    assert!((before * 1000..=summary.time * 1000 + 999).contains(&summary.generation), "{summary:?}");
}

/// What somebody else applied meanwhile changes what an edit amounts to.
#[test]
fn the_changes_of_a_candidate_are_told_anew_after_each_apply() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    let mut mine = guide_unchecked();
    mine.globals.masquerade = false;
    rig.put(&mine).expect("a candidate");
    let alone = rig.status().pending_changes;
    rig.apply(&guide_unchecked()).expect("somebody else's apply");
    let candidate: lb_api::CandidateView = rig.ask(Command::Candidate).expect("the candidate");
    assert_eq!(candidate.changes.iter().map(|c| c.text.as_str()).collect::<Vec<_>>(), ["Turn MASQUERADE off"]);
    assert!(alone > 1);
    assert_eq!((rig.status().pending_changes, candidate.base), (1, 0));
}

#[test]
fn the_fallback_page_is_part_of_the_configuration() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    let mut config = guide_unchecked();
    rig.apply(&config).expect("applied");
    let texts = |applied: &Applied| applied.changes.iter().map(|c| c.text.clone()).collect::<Vec<_>>();
    config.fallback_page = Some(lb_model::FallbackPage::new("<h1>Back soon</h1>"));
    let applied = rig.apply(&config).expect("applied");
    assert_eq!(texts(&applied), ["Set a fallback page of 18 bytes"]);
    assert_eq!(applied.plan, ["fallback page: set 18 bytes"]);
    assert_eq!(rig.kernel.state().fallback_page.as_deref(), Some("<h1>Back soon</h1>"));
    assert_eq!(texts(&rig.apply(&config).expect("nothing to do")), [] as [&str; 0]);
    rig.kernel.edit(|kernel| kernel.fallback_page = None);
    let repaired: lb_api::ReconcileView = rig.ask(Command::Reconcile).expect("reconciled");
    assert_eq!(repaired.plan, ["fallback page: set 18 bytes"]);
    config.fallback_page = Some(lb_model::FallbackPage::new("x".repeat(lb_model::FallbackPage::LONGEST + 1)));
    let error = rig.apply(&config).expect_err("too long");
    assert_eq!(error.problems[0].path, "/fallback_page");
    config.fallback_page = None;
    assert_eq!(texts(&rig.apply(&config).expect("applied")), ["Go back to the shipped fallback page"]);
    assert_eq!(rig.kernel.state().fallback_page, None);
}

/// Every line of the configuration that changes is planned without reading the kernel's services again,
/// and the full comparison that follows finds nothing to do.
#[test]
fn an_apply_from_memory_leaves_nothing_to_repair() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    for seed in 0..200 {
        let config = lb_model::sample::config(seed, false);
        if !lb_model::problems(&config).is_empty() {
            continue;
        }
        let applied = rig.apply(&config).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert!(applied.converged, "seed {seed}: {:?}", applied.pending);
        let report: lb_api::ReconcileView = rig.ask(Command::Reconcile).expect("reconciled");
        assert_eq!(report.plan, [] as [String; 0], "seed {seed}");
        assert_eq!(report.drift, [] as [String; 0], "seed {seed}");
    }
}

/// lbupdate says why an update did not stay; lbd shows it for as long as it is said.
#[test]
fn what_another_program_says_is_an_alarm_while_it_says_it() {
    let dir = dir();
    let file = dir.path().join("update.alarm");
    std::fs::write(&file, "the update to 0.2.0 did not stay: lbd does not answer\n").expect("written");
    let rig = Rig::start(dir.path());
    let before = rig.summary();
    assert_eq!(before.alarms, ["the update to 0.2.0 did not stay: lbd does not answer"]);
    std::fs::write(dir.path().join("disk.alarm"), "The data partition can only be read.\n").expect("written");
    let _: lb_api::ReconcileView = rig.ask(Command::Reconcile).expect("reconciled");
    assert_eq!(rig.summary().alarms.len(), 2, "the disk's, too");
    std::fs::remove_file(dir.path().join("disk.alarm")).expect("removed");
    std::fs::remove_file(&file).expect("removed");
    let _: lb_api::ReconcileView = rig.ask(Command::Reconcile).expect("reconciled");
    let after = rig.summary();
    assert_eq!(after.alarms, [] as [&str; 0]);
    assert!(after.generation > before.generation, "who looks would not see it");
}

fn locked_to(network: &str) -> lb_model::Config {
    let mut config = lb_model::factory();
    let networks = vec![network.parse().expect("a network")];
    config.globals.lockdown = lb_model::Lockdown { enabled: true, networks };
    config
}

/// Who comes from nowhere sits at the console.
#[test]
fn nobody_locks_themselves_out_over_the_network() {
    let dir = dir();
    let rig = Rig::start(dir.path());
    let from = |address: &str| Some(address.parse().expect("an address"));
    let apply = |config: lb_model::Config, from| {
        rig.ask::<Applied>(Command::Apply(Box::new(ApplyRequest { config: Some(config), from, ..Default::default() })))
    };
    let back = |from| {
        let request = RollbackRequest { revision: 1, author: "test".into(), from, ..RollbackRequest::default() };
        rig.ask::<Applied>(Command::Rollback(request))
    };
    let locked = locked_to("10.1.0.0/16");
    let error = apply(locked.clone(), from("192.168.2.77")).expect_err("refused");
    assert_eq!(error.code, ErrorCode::Invalid);
    assert_eq!(
        error.problems[0].to_string(),
        "/globals/lockdown/networks (10.1.0.0/16): you come from 192.168.2.77, and would be locked out\n  \
         hint: add 192.168.2.0/24; only at the unit's console can you lock yourself out"
    );
    assert_eq!(rig.running().revision.number, 0);
    rig.put(&locked).expect("a candidate");
    let request = ApplyRequest { from: from("192.168.2.77"), ..Default::default() };
    rig.ask::<Applied>(Command::Apply(Box::new(request))).expect_err("by way of the candidate neither");

    apply(locked.clone(), from("::ffff:10.1.2.3")).expect("from within");
    assert!(rig.kernel.state().ruleset.expect("rules").management.is_some());
    // A connection of before the lock-down may do everything else, and end it.
    let mut slower = locked.clone();
    slower.globals.timeouts.tcp = 901;
    apply(slower, from("192.168.2.77")).expect("whom it leaves out already may go on");
    apply(lb_model::factory(), from("192.168.2.77")).expect("off");
    assert!(rig.kernel.state().ruleset.expect("rules").management.is_none());
    assert_eq!(back(from("192.168.2.77")).expect_err("an old revision is no way around it").code, ErrorCode::Invalid);
    back(None).expect("at the console");
}
