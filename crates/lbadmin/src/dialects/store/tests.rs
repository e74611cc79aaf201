//! Grants from their request to their end, and what is on the disk meanwhile.

use super::*;
use std::os::unix::fs::PermissionsExt;

fn rule() -> AccessRule {
    AccessRule { method: "GET".into(), path: "/*".into() }
}

#[test]
fn a_grant_counts_when_it_is_approved_and_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = Keys::open(dir.path()).expect("keys");
    let new = keys.add_application("terraform", "anna", 100).expect("an application");
    let credential = keys.request(&new.key, vec![rule()], None, Vec::new(), 100).expect("a grant");
    let state = |keys: &Keys, now| keys.consumer(&credential.consumer_key, now).map(|found| found.state);
    assert_eq!(state(&keys, 101), Some(ConsumerState::Pending));
    assert_eq!(state(&keys, 100 + WAITS), Some(ConsumerState::Expired));
    assert!(keys.answer("another", "anna", true, 101).is_err());
    keys.answer(&credential.approval, "anna", true, 101).expect("approved");
    assert!(keys.answer(&credential.approval, "anna", true, 102).is_err(), "it is answered once");
    let keys = Keys::open(dir.path()).expect("keys");
    assert_eq!(state(&keys, 10_000), Some(ConsumerState::Validated));
    assert_eq!(keys.secret(&new.key), Some(new.secret.clone()));
    let text = fs::read_to_string(dir.path().join(FILE)).expect("the file");
    assert!(!text.contains(&credential.consumer_key), "of consumer keys there is the digest only");
    let mode = fs::metadata(dir.path().join(FILE)).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    keys.remove_application(new.id).expect("removed");
    assert_eq!(state(&keys, 10_000), None, "its grants go with it");
}

#[test]
fn what_waits_is_bounded_and_a_refusal_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = Keys::open(dir.path()).expect("keys");
    let first = keys.request("key", vec![rule()], None, Vec::new(), 0).expect("a grant");
    keys.answer(&first.approval, "anna", false, 1).expect("refused");
    assert_eq!(keys.consumer(&first.consumer_key, 2).map(|f| f.state), Some(ConsumerState::Refused));
    for _ in 1..MOST_WAITING {
        assert!(keys.request("key", vec![rule()], None, Vec::new(), 5).is_some());
    }
    assert!(keys.request("key", vec![rule()], None, Vec::new(), 6).is_none());
    assert!(keys.request("key", vec![rule()], None, Vec::new(), 6 + WAITS).is_some());
}

#[test]
fn a_damaged_file_is_moved_aside() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join(FILE), "{\"next\":1,").expect("a file");
    let keys = Keys::open(dir.path()).expect("keys");
    assert!(keys.applications().is_empty() && dir.path().join("dialects.json.bad").exists());
}

#[test]
fn tokens_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = Keys::open(dir.path()).expect("keys");
    let token = keys.hold(Held::Session("cookie".to_owned().into()), 100, 1).expect("a token");
    assert!(keys.held(&token, 99).is_some() && keys.held(&token, 100).is_none());
    assert!(keys.held("another", 5).is_none());
}
