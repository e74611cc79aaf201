//! The store against a model in a few lines, with closing and reopening in between.

use std::collections::BTreeMap;

use lb_store::{CommitError, Confirm, NewCandidate, NewRevision, OpenError, Opened, Store};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Commit { stale: bool, size: usize, clear: bool, confirm: bool },
    Candidate { size: usize, stale: bool },
    ClearCandidate,
    Confirm,
    Rollback { back: u64 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![8 => 0usize..3000, 1 => 20_000usize..70_000];
    prop_oneof![
        4 => (prop::bool::weighted(0.2), size.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(stale, size, clear, confirm)| Step::Commit { stale, size, clear, confirm }),
        3 => (size, prop::bool::weighted(0.2)).prop_map(|(size, stale)| Step::Candidate { size, stale }),
        1 => Just(Step::ClearCandidate),
        1 => Just(Step::Confirm),
        1 => (0u64..5).prop_map(|back| Step::Rollback { back }),
        2 => Just(Step::Reopen),
    ]
}

#[derive(Default)]
struct Model {
    history: BTreeMap<u64, String>,
    running: Option<u64>,
    candidate: Option<(u64, String)>,
    revert_to: Option<u64>,
}

fn document(seed: usize, size: usize) -> String {
    format!(r#"{{"seed":{seed},"text":"{}"}}"#, "ä\\\" ".repeat(size / 5))
}

fn check(store: &Store, model: &Model) {
    assert_eq!(store.running().map(|r| r.number), model.running);
    assert_eq!(store.candidate().map(|c| (c.etag, c.document.to_string())), model.candidate);
    assert_eq!(store.pending_confirm().map(|p| p.revert_to), model.revert_to);
    let numbers: Vec<u64> = store.history(1000).iter().map(|m| m.number).collect();
    assert_eq!(numbers, model.history.keys().rev().copied().collect::<Vec<_>>());
    for (number, document) in &model.history {
        let revision = store.revision(*number).unwrap().unwrap();
        assert_eq!(&*revision.document, document);
        assert_eq!(revision.parent, number.checked_sub(1).filter(|p| *p > 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(steps in prop::collection::vec(step(), 1..25)) {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("store");
        let (mut store, opened) = Store::open(&dir, 1).unwrap();
        prop_assert_eq!(opened, Opened::Created);
        let mut model = Model::default();
        for (seed, step) in steps.into_iter().enumerate() {
            match step {
                Step::Commit { stale, size, clear, confirm } => {
                    let document = document(seed, size);
                    let confirm = model.running.filter(|_| confirm);
                    let new = NewRevision {
                        document: document.clone(),
                        tag: (seed % 2 == 0).then(|| seed.to_string()),
                        clear_candidate: clear,
                        confirm: confirm.map(|revert_to| Confirm { deadline_unix: 9, revert_to }),
                        ..NewRevision::default()
                    };
                    let parent = if stale { Some(model.running.unwrap_or(0) + 7) } else { model.running };
                    match store.commit(parent, new, 2) {
                        Ok(revision) => {
                            prop_assert!(!stale);
                            prop_assert_eq!(&revision.tag, &(seed % 2 == 0).then(|| seed.to_string()));
                            prop_assert_eq!(revision.number, model.running.unwrap_or(0) + 1);
                            model.running = Some(revision.number);
                            model.history.insert(revision.number, document);
                            model.revert_to = confirm;
                            if clear { model.candidate = None; }
                        }
                        Err(CommitError::Conflict { found, .. }) => {
                            prop_assert!(stale);
                            prop_assert_eq!(found, model.running);
                        }
                        Err(e) => prop_assert!(false, "{}", e),
                    }
                }
                Step::Candidate { size, stale } => {
                    let document = document(seed, size);
                    let new = NewCandidate { document: document.clone(), ..NewCandidate::default() };
                    let there = model.candidate.as_ref().map_or(0, |c| c.0);
                    match store.set_candidate(new, Some(if stale { there + 1 } else { there }), 3) {
                        Ok(candidate) => {
                            prop_assert!(!stale && candidate.etag > there);
                            model.candidate = Some((candidate.etag, document));
                        }
                        Err(CommitError::Conflict { .. }) => prop_assert!(stale),
                        Err(e) => prop_assert!(false, "{}", e),
                    }
                }
                Step::ClearCandidate => {
                    store.clear_candidate(None, 3).unwrap();
                    model.candidate = None;
                }
                Step::Confirm => {
                    let number = model.running.unwrap_or(0);
                    prop_assert!(store.confirm(number + 1, 4).is_err());
                    prop_assert_eq!(store.confirm(number, 4).is_ok(), model.revert_to.is_some());
                    model.revert_to = None;
                }
                Step::Rollback { back } => {
                    let Some(running) = model.running else { continue };
                    let Some(old) = store.revision(running.saturating_sub(back)).unwrap() else { continue };
                    let new = NewRevision {
                        document: old.document.to_string(),
                        may_use_reserve: true,
                        ..NewRevision::default()
                    };
                    let revision = store.commit(model.running, new, 5).unwrap();
                    model.running = Some(revision.number);
                    model.history.insert(revision.number, old.document.to_string());
                    model.revert_to = None;
                }
                Step::Reopen => {
                    let running = store.running();
                    store.close().unwrap();
                    let (again, opened) = Store::open(&dir, 6).unwrap();
                    prop_assert_eq!(opened, Opened::Clean);
                    prop_assert_eq!(again.running(), running);
                    store = again;
                }
            }
            check(&store, &model);
        }
        // No value may be so large that sled puts it into a file that nobody syncs.
        prop_assert_eq!(std::fs::read_dir(dir.join("blobs")).unwrap().count(), 0);
    }
}

fn commit(store: &Store, text: &str) -> u64 {
    let new = NewRevision { document: format!("{{\"t\":\"{text}\"}}"), ..NewRevision::default() };
    let parent = store.running().map(|r| r.number);
    store.commit(parent, new, 0).unwrap().number
}

#[test]
fn a_second_opener_is_told_that_the_store_is_in_use() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("store");
    let (store, _) = Store::open(&dir, 0).unwrap();
    let second = Store::open(&dir, 0).map(drop).unwrap_err();
    assert!(matches!(second, OpenError::InUse), "{second}");
    assert_eq!(second.to_string(), "the store is in use by another process");
    drop(store);
    Store::open(&dir, 0).unwrap();
}

#[test]
fn history_is_bounded_but_keeps_what_a_confirm_needs() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("store");
    let (store, _) = Store::open(&dir, 0).unwrap();
    for _ in 0..205 {
        commit(&store, "x");
    }
    assert_eq!(store.history(1000).len(), 200);
    assert_eq!(store.revision(5).unwrap(), None);
    let confirm = Some(Confirm { deadline_unix: 9, revert_to: 6 });
    let new = NewRevision { document: "{}".into(), confirm, ..NewRevision::default() };
    store.commit(Some(205), new, 0).unwrap();
    assert!(store.revision(6).unwrap().is_some());
    assert_eq!(store.history(1000).len(), 200);
    store.close().unwrap();
    let (store, opened) = Store::open(&dir, 0).unwrap();
    assert_eq!(opened, Opened::Clean);
    assert_eq!(store.history(1000).len(), 200);
    assert_eq!(store.pending_confirm().unwrap().revert_to, 6);
}

#[test]
fn what_is_no_json_is_refused_and_changes_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&tmp.path().join("store"), 0).unwrap();
    for document in ["", "{", "{} {}"] {
        let new = NewRevision { document: document.into(), ..NewRevision::default() };
        assert!(matches!(store.commit(None, new, 0), Err(CommitError::NotJson(_))));
    }
    assert_eq!(store.running(), None);
    let confirm = Some(Confirm { deadline_unix: 9, revert_to: 1 });
    let new = NewRevision { document: "1".into(), confirm, ..NewRevision::default() };
    assert!(matches!(store.commit(None, new, 0), Err(CommitError::UnknownRevision(1))));
}

#[test]
fn reset_leaves_nothing_to_recover_from() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("store");
    let (store, _) = Store::open(&dir, 0).unwrap();
    commit(&store, "secret");
    store.close().unwrap();
    lb_store::reset(&dir).unwrap();
    let (store, opened) = Store::open(&dir, 0).unwrap();
    assert_eq!(opened, Opened::Created);
    assert_eq!(store.running(), None);
}
