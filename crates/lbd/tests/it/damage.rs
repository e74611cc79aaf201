//! Damage by hand to the store: lbd runs what was applied last, with an alarm; the copies damaged too, the failsafe.

use crate::rig::{Rig, guide_unchecked};
use lb_api::{Applied, ErrorCode};
use lb_model::Config;
use std::{
    fs,
    path::{Path, PathBuf},
};

const REVISIONS: u32 = 30;

fn config(weight: u32) -> Config {
    let mut config = guide_unchecked();
    config.virtual_servers[0].real_servers[0].weight = weight;
    config
}

/// A unit with some revisions, its lbd stopped.
fn stopped() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    for weight in 1..=REVISIONS {
        rig.apply(&config(weight + 1)).expect("applied");
    }
    drop(rig);
    dir
}

fn snapshot(store: &Path) -> PathBuf {
    let files = fs::read_dir(store).expect("the store").map(|e| e.expect("a file").path());
    let is_snapshot = |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("snap."));
    files.filter(is_snapshot).max().expect("a snapshot")
}

fn edit(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).expect("the file");
    change(&mut bytes);
    fs::write(file, bytes).expect("the file written");
}

/// Does `harm` to the store of a stopped lbd. The last revision must run, and go on; the alarms come back.
fn after(harm: impl FnOnce(&Path)) -> Vec<String> {
    let dir = stopped();
    harm(&dir.path().join("lb"));
    let rig = Rig::start(dir.path());
    let (status, running) = (rig.status(), rig.running());
    assert_eq!(
        (running.revision.number, running.config),
        (REVISIONS.into(), config(REVISIONS + 1)),
        "{:?}",
        status.alarms
    );
    assert!(status.converged && status.alarms.iter().all(|a| !a.contains("FAILSAFE")), "{:?}", status.alarms);
    let services = rig.kernel.state().services;
    let weights: Vec<_> = services.values().flat_map(|s| s.dests.values().map(|d| d.weight)).collect();
    assert!(services.len() == 1 && weights.contains(&(REVISIONS + 1)), "{weights:?}");
    let next: Applied = rig.apply(&config(1)).expect("applied");
    assert_eq!(next.revision.number, u64::from(REVISIONS) + 1);
    drop(rig);
    let again = Rig::start(dir.path());
    assert_eq!((again.running().config, again.status().alarms), (config(1), Vec::new()), "a recovered store is whole");
    status.alarms
}

fn expect_alarm(alarms: &[String]) {
    let [alarm] = alarms else { panic!("{alarms:?}") };
    assert!(alarm.contains(&format!("Revision {REVISIONS}")), "{alarm}");
}

#[test]
fn flipped_bits_come_back_from_the_copy_with_an_alarm() {
    expect_alarm(&after(|store| edit(&store.join("db"), |bytes| bytes.iter_mut().step_by(64).for_each(|b| *b ^= 4))));
}

#[test]
fn a_truncated_log_comes_back_from_the_copy_with_an_alarm() {
    expect_alarm(&after(|store| edit(&store.join("db"), |bytes| bytes.truncate(bytes.len() / 2))));
}

#[test]
fn a_truncated_snapshot_comes_back_from_the_copy_with_an_alarm() {
    expect_alarm(&after(|store| edit(&snapshot(store), |bytes| bytes.truncate(bytes.len() / 2))));
}

#[test]
fn a_deleted_log_comes_back_from_the_copy_with_an_alarm() {
    expect_alarm(&after(|store| fs::remove_file(store.join("db")).expect("removed")));
}

#[test]
fn a_deleted_store_comes_back_from_the_copy_with_an_alarm() {
    expect_alarm(&after(|store| fs::remove_dir_all(store).expect("removed")));
}

/// sled would start empty, or replay its whole log: whichever it is, the last revision runs.
#[test]
fn a_deleted_snapshot_loses_nothing() {
    after(|store| fs::remove_file(snapshot(store)).expect("removed"));
}

/// A power cut in the middle of writing a snapshot leaves one that was never renamed: no damage, no alarm.
#[test]
fn a_half_written_snapshot_left_over_is_no_damage() {
    let alarms = after(|store| {
        let half = fs::read(snapshot(store)).expect("the snapshot");
        fs::write(store.join("snap.00000000FFFFFFFF.generating"), &half[..half.len() / 2]).expect("written");
    });
    assert_eq!(alarms, [] as [String; 0]);
}

/// One that pretends to be newer than the log: sled would believe it.
#[test]
fn a_leftover_snapshot_from_elsewhere_loses_nothing() {
    after(|store| {
        let newest = snapshot(store);
        fs::copy(&newest, store.join("snap.00000000FFFFFFFF")).expect("copied");
    });
    expect_alarm(&after(|store| fs::write(store.join("snap.00000000FFFFFFFF"), b"from elsewhere").expect("written")));
}

#[test]
fn without_a_good_copy_the_failsafe_runs_says_so_and_deletes_nothing() {
    let dir = stopped();
    edit(&dir.path().join("lb/db"), |bytes| bytes.fill(0));
    for entry in fs::read_dir(dir.path()).expect("the directory") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|e| e == "json") {
            edit(&path, |bytes| bytes.truncate(bytes.len() / 2));
        }
    }
    let rig = Rig::start(dir.path());
    let status = rig.status();
    assert!(status.alarms[0].starts_with("FAILSAFE: the store at"), "{:?}", status.alarms);
    assert_eq!(rig.running().config, lb_model::failsafe());
    assert!(rig.kernel.state().services.is_empty());
    assert_eq!(rig.apply(&config(1)).expect_err("there is no store").code, ErrorCode::StoreFailed);
    assert!(dir.path().join("lb/db").exists());
}
