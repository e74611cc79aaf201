//! Damage by hand to any file of the store: it comes up intact, or from the copy with an alarm.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use lb_store::{CommitError, Confirm, NewCandidate, NewRevision, OpenError, Opened, Revision, Store};

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn seed() -> u64 {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().map_or(1, |d| d.subsec_nanos().into()));
    println!("SEED={seed}");
    seed | 1
}

fn commit(store: &Store, size: usize) -> Revision {
    let parent = store.running().map(|r| r.number);
    let document = format!(r#"{{"parent":{},"fill":"{}"}}"#, parent.unwrap_or(0), "x".repeat(size));
    store.commit(parent, NewRevision { document, ..NewRevision::default() }, 0).unwrap()
}

struct Case {
    _tmp: tempfile::TempDir,
    dir: PathBuf,
    last: Revision,
}

/// A store with some revisions, closed, its copies up to date.
fn store(commits: usize) -> Case {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("store");
    let (store, _) = Store::open(&dir, 0).unwrap();
    for n in 0..commits {
        commit(&store, n * 97 % 3000);
    }
    let last = store.running().unwrap();
    store.close().unwrap();
    Case { _tmp: tmp, dir, last }
}

impl Case {
    fn snapshot(&self) -> PathBuf {
        let is_snap = |p: &PathBuf| p.file_name().unwrap().to_string_lossy().starts_with("snap.");
        fs::read_dir(&self.dir).unwrap().map(|e| e.unwrap().path()).find(is_snap).unwrap()
    }

    fn copy(&self) -> PathBuf {
        self.dir.with_file_name("running.json")
    }

    /// Opens; the last revision must be running. Then the store must work, and open cleanly.
    fn expect_last(&self, what: &str) -> Opened {
        let (store, opened) = Store::open(&self.dir, 77).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(store.running().as_ref(), Some(&self.last), "{what}: {opened:?}");
        if let Opened::Recovered { alarm, moved_to, revision } = &opened {
            assert_eq!(*revision, self.last.number, "{what}");
            assert!(alarm.contains(&format!("Revision {revision}")), "{alarm}");
            assert!(moved_to.as_ref().is_none_or(|dir| dir.is_dir()), "{what}");
        }
        let next = commit(&store, 100);
        store.close().unwrap();
        let (store, again) = Store::open(&self.dir, 78).unwrap();
        assert_eq!((again, store.running()), (Opened::Clean, Some(next)), "{what}");
        opened
    }

    fn expect_recovered(&self, what: &str) {
        let opened = self.expect_last(what);
        assert!(matches!(opened, Opened::Recovered { .. }), "{what}: {opened:?}");
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Random damage to `db`, `conf` and the snapshot; the same store each time.
#[test]
fn bit_flips_zeroes_and_truncations_never_lose_the_running_revision() {
    let mut random = Random(seed());
    let original = store(60);
    let (mut intact, mut recovered) = (0, 0);
    for trial in 0..150 {
        let tmp = tempfile::tempdir().unwrap();
        copy_tree(original.dir.parent().unwrap(), tmp.path());
        let case = Case { dir: tmp.path().join("store"), last: original.last.clone(), _tmp: tmp };
        let path = match random.below(6) {
            0 => case.dir.join("conf"),
            1 => case.snapshot(),
            _ => case.dir.join("db"),
        };
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let length = file.metadata().unwrap().len();
        let at = random.below(length);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let what = match random.below(3) {
            0 => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                byte[0] ^= 1 << random.below(8);
                file.write_all_at(&byte, at).unwrap();
                format!("trial {trial}: bit flip in {name} at {at}")
            }
            1 => {
                let size = (length - at).min(4096);
                file.write_all_at(&vec![0; usize::try_from(size).unwrap()], at).unwrap();
                format!("trial {trial}: {size} zeroes in {name} at {at}")
            }
            _ => {
                file.set_len(at).unwrap();
                format!("trial {trial}: {name} truncated to {at}")
            }
        };
        drop(file);
        match case.expect_last(&what) {
            Opened::Clean => intact += 1,
            Opened::Recovered { .. } => recovered += 1,
            Opened::Created => panic!("{what}: created"),
        }
    }
    println!("150 damaged: {intact} intact, {recovered} recovered from the copy");
    assert!(recovered > 20 && intact > 0);
}

#[test]
fn a_leftover_half_snapshot_is_no_damage() {
    let case = store(30);
    let snapshot = fs::read(case.snapshot()).unwrap();
    for (name, bytes) in
        [("snap.00000000FFFFFFFF.generating", &snapshot[..10]), ("snap.7FFFFFFFFFFFFFFF.generating", &[])]
    {
        fs::write(case.dir.join(name), bytes).unwrap();
    }
    assert_eq!(case.expect_last("half snapshot"), Opened::Clean);
}

#[test]
fn an_empty_snapshot_is_recovered_from() {
    let case = store(30);
    fs::write(case.snapshot(), []).unwrap();
    case.expect_last("empty snapshot");
}

#[test]
fn a_deleted_snapshot_never_gives_an_empty_store() {
    for commits in [3, 400] {
        let case = store(commits);
        fs::remove_file(case.snapshot()).unwrap();
        case.expect_last(&format!("deleted snapshot, {commits} commits"));
    }
}

#[test]
fn deleted_files_are_recovered_from() {
    for name in ["db", "conf"] {
        let case = store(10);
        fs::remove_file(case.dir.join(name)).unwrap();
        case.expect_recovered(&format!("deleted {name}"));
    }
    let case = store(10);
    fs::remove_dir_all(&case.dir).unwrap();
    case.expect_recovered("deleted directory");
    let case = store(10);
    fs::remove_dir_all(&case.dir).unwrap();
    fs::create_dir(&case.dir).unwrap();
    case.expect_recovered("emptied directory");
}

#[test]
fn a_store_put_back_from_a_backup_is_older_than_the_copy() {
    let case = store(10);
    let backup = case.dir.with_file_name("backup");
    copy_tree(&case.dir, &backup);
    let (store, _) = Store::open(&case.dir, 0).unwrap();
    let last = commit(&store, 5);
    store.close().unwrap();
    fs::remove_dir_all(&case.dir).unwrap();
    fs::rename(&backup, &case.dir).unwrap();
    Case { last, ..case }.expect_recovered("older");
}

#[test]
fn without_a_valid_copy_the_store_is_lost_and_nothing_is_deleted() {
    let case = store(2);
    let text = fs::read_to_string(case.copy()).unwrap();
    for age in [".1", ".2", ""] {
        let path = case.dir.with_file_name(format!("running{age}.json"));
        if path.exists() {
            let edited = fs::read_to_string(&path).unwrap().replace("xx", "yy").replace("parent", "Parent");
            fs::write(&path, edited).unwrap();
        }
    }
    assert_ne!(fs::read_to_string(case.copy()).unwrap(), text);
    let db = case.dir.join("db");
    let length = fs::metadata(&db).unwrap().len();
    OpenOptions::new().write(true).open(&db).unwrap().write_all_at(&vec![0; length as usize], 0).unwrap();
    for _ in 0..2 {
        let error = Store::open(&case.dir, 5).map(drop).unwrap_err();
        assert!(matches!(error, OpenError::Lost { .. }), "{error}");
        assert!(db.exists());
    }
}

/// The first open sets the edited copies aside; the second must not take that for a fresh disk.
#[test]
fn a_missing_store_with_only_edited_copies_stays_lost() {
    let case = store(1);
    let text = fs::read_to_string(case.copy()).unwrap();
    fs::write(case.copy(), text.replace("parent", "Parent")).unwrap();
    fs::remove_dir_all(&case.dir).unwrap();
    for _ in 0..2 {
        let error = Store::open(&case.dir, 5).map(drop).unwrap_err();
        assert!(matches!(error, OpenError::Lost { .. }), "{error}");
    }
}

#[test]
fn an_edited_copy_is_set_aside_and_written_anew() {
    let case = store(5);
    let good = fs::read_to_string(case.copy()).unwrap();
    fs::write(case.copy(), good.replace("\"number\": 5", "\"number\": 6")).unwrap();
    let (store, opened) = Store::open(&case.dir, 0).unwrap();
    assert_eq!((opened, store.running()), (Opened::Clean, Some(case.last.clone())));
    store.close().unwrap();
    assert_eq!(fs::read_to_string(case.copy()).unwrap(), good);
    assert!(case.dir.with_file_name("running.json.edited").exists());
}

#[test]
fn a_recovery_keeps_an_open_confirm_window_and_what_it_goes_back_to() {
    let case = store(4);
    let (store, _) = Store::open(&case.dir, 0).unwrap();
    let confirm = Some(Confirm { deadline_unix: 99, revert_to: 4 });
    let new = NewRevision { document: "{}".into(), confirm, ..NewRevision::default() };
    store.commit(Some(4), new, 0).unwrap();
    store.close().unwrap();
    fs::remove_file(case.dir.join("db")).unwrap();
    let (store, opened) = Store::open(&case.dir, 0).unwrap();
    assert!(matches!(opened, Opened::Recovered { revision: 5, .. }), "{opened:?}");
    assert_eq!(store.pending_confirm().unwrap().revert_to, 4);
    assert_eq!(store.revision(4).unwrap(), Some(case.last.clone()));
}

#[test]
fn three_damaged_stores_are_kept() {
    let case = store(2);
    for time in 0..5 {
        fs::remove_file(case.dir.join("conf")).unwrap();
        let (store, opened) = Store::open(&case.dir, 100 + time).unwrap();
        assert!(matches!(opened, Opened::Recovered { .. }));
        store.close().unwrap();
    }
    let mut bad: Vec<String> = fs::read_dir(case.dir.parent().unwrap())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.contains(".bad-"))
        .collect();
    bad.sort();
    assert_eq!(bad, ["store.bad-102", "store.bad-103", "store.bad-104"]);
}

/// A file system of 4 MiB, full: an ordinary commit is refused, a rollback is stored.
/// Needs root and tmpfs; says so where it has neither.
#[test]
fn a_full_disk_refuses_an_apply_and_still_takes_a_rollback() {
    let tmp = tempfile::tempdir().unwrap();
    let flags = nix::mount::MsFlags::empty();
    if let Err(e) = nix::mount::mount(Some("tmpfs"), tmp.path(), Some("tmpfs"), flags, Some("size=4m")) {
        println!("not tested: mounting a tmpfs needs root ({e})");
        return;
    }
    let outcome = std::panic::catch_unwind(|| full_disk(tmp.path()));
    nix::mount::umount2(tmp.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn full_disk(at: &Path) {
    let dir = at.join("store");
    let (store, _) = Store::open(&dir, 0).unwrap();
    let first = commit(&store, 10);
    store.settle_copy().unwrap();
    // Somebody else fills the disk.
    let filler = OpenOptions::new().create(true).truncate(false).write(true).open(at.join("filler")).unwrap();
    let mut at_byte = 0;
    while filler.write_all_at(&[1; 4096], at_byte).is_ok() {
        at_byte += 4096;
    }
    let mut refused = None;
    for n in 0..400u64 {
        let parent = store.running().map(|r| r.number);
        let document = format!(r#"{{"n":{n},"fill":"{}"}}"#, "x".repeat(5000));
        match store.commit(parent, NewRevision { document, ..NewRevision::default() }, 0) {
            Ok(_) => {}
            Err(e) => {
                refused = Some(e);
                break;
            }
        }
    }
    assert!(matches!(refused, Some(CommitError::DiskFull)), "{refused:?}");
    assert_eq!(store.failed(), None);
    let before = store.running().unwrap();
    let rollback =
        NewRevision { document: first.document.to_string(), may_use_reserve: true, ..NewRevision::default() };
    let stored = store.commit(Some(before.number), rollback, 0).unwrap();
    drop(store);
    let (store, opened) = Store::open(&dir, 0).unwrap();
    assert_eq!((opened, store.running()), (Opened::Clean, Some(stored)));
}

#[test]
fn a_failed_store_still_answers_and_reopens() {
    let case = store(3);
    let (store, _) = Store::open(&case.dir, 0).unwrap();
    let candidate = NewCandidate { base: 3, author: "a".into(), document: "[1]".into() };
    store.set_candidate(candidate, None, 0).unwrap();
    // A read that finds damage is how a store fails without the disk's help: overwrite the log
    // under sled, then ask for an old revision, which sled has to read back.
    let db = OpenOptions::new().write(true).open(case.dir.join("db")).unwrap();
    let length = db.metadata().unwrap().len();
    db.write_all_at(&vec![0xff; usize::try_from(length).unwrap()], 0).unwrap();
    let _ = store.revision(1);
    let before = store.running();
    if store.failed().is_some() {
        let new = NewRevision { document: "1".into(), ..NewRevision::default() };
        assert!(matches!(store.commit(Some(3), new, 0), Err(CommitError::Failed(_))));
    }
    assert_eq!(store.running(), before);
    assert!(store.candidate().is_some());
    let opened = store.reopen(9).unwrap();
    assert!(matches!(opened, Opened::Recovered { revision: 3, .. }), "{opened:?}");
    assert_eq!(store.running(), before);
    commit(&store, 1);
    store.close().unwrap();
}
