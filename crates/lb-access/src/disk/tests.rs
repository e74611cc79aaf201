use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$v7JdzQ0bB4cP1vH1yq0rDqVdJQHn0wRZ0mKQm6vQm1A";

fn document(created: u64) -> Document {
    Document::factory(HASH.into(), created)
}

fn open(dir: &Path) -> Found {
    Disk::open(dir, false, 77).unwrap().1
}

/// A folder with a document and its copy.
fn written(created: u64) -> (tempfile::TempDir, Disk) {
    let dir = tempfile::tempdir().unwrap();
    let (disk, found) = Disk::open(dir.path(), false, 1).unwrap();
    assert!(matches!(found, Found::First), "{found:?}");
    disk.write(&document(created)).unwrap();
    (dir, disk)
}

#[track_caller]
fn is_good(found: Found, created: u64) {
    assert!(matches!(&found, Found::Good(d) if *d == document(created)), "{found:?}");
}

#[test]
fn what_was_written_is_read_and_nobody_else_may() {
    let (dir, disk) = written(1);
    disk.write(&document(2)).unwrap();
    is_good(open(dir.path()), 2);
    for name in [FILE, COPY] {
        let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_crash_at_any_step_leaves_the_old_or_the_new() {
    // The states that a crash between the steps of `put` leaves, in order.
    let (old, new) = (encode(&document(1)).unwrap(), encode(&document(2)).unwrap());
    let states = [
        (&old, &old, Some(("access.json.tmp", "")), 1),
        (&old, &old, Some(("access.json.tmp", &new[..new.len() / 2])), 1),
        (&old, &old, Some(("access.json.tmp", new.as_str())), 1),
        (&new, &old, None, 2),
        (&new, &old, Some(("access.json.1.tmp", &new[..9])), 2),
        (&new, &new, None, 2),
    ];
    for (file, copy, temporary, expected) in states {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), file).unwrap();
        fs::write(dir.path().join(COPY), copy).unwrap();
        if let Some((name, text)) = temporary {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let (disk, found) = Disk::open(dir.path(), false, 1).unwrap();
        is_good(found, expected);
        assert_eq!(fs::read(dir.path().join(COPY)).unwrap(), fs::read(dir.path().join(FILE)).unwrap());
        disk.write(&document(3)).unwrap();
        is_good(open(dir.path()), 3);
    }
}

#[test]
fn a_crash_during_the_first_write_is_a_first_start_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("access.json.tmp"), "{").unwrap();
    assert!(matches!(open(dir.path()), Found::First));
}

#[test]
fn a_damaged_file_is_kept_and_its_copy_used() {
    let (dir, _) = written(1);
    fs::write(dir.path().join(FILE), "{ damaged").unwrap();
    match open(dir.path()) {
        Found::Copy(copy, alarm) => {
            assert_eq!(copy, document(1));
            assert!(alarm.contains("is damaged (line 1 column 3)") && alarm.contains("access.bad-77"), "{alarm}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_to_string(dir.path().join("access.bad-77")).unwrap(), "{ damaged");
    is_good(open(dir.path()), 1);
}

#[test]
fn a_missing_file_is_made_of_its_copy() {
    let (dir, _) = written(1);
    fs::remove_file(dir.path().join(FILE)).unwrap();
    assert!(matches!(open(dir.path()), Found::Copy(..)));
    is_good(open(dir.path()), 1);
}

#[test]
fn without_a_good_copy_nobody_gets_in_and_the_alarm_says_what_to_do() {
    let (dir, disk) = written(1);
    let before = encode(&document(1)).unwrap();
    fs::write(dir.path().join(FILE), before.replace("loadbalancer", "lxadbalancer")).unwrap();
    fs::write(dir.path().join(COPY), "").unwrap();
    // And the next start does not take it for the first.
    for _ in 0..2 {
        match open(dir.path()) {
            Found::Closed(alarm) => {
                assert!(alarm.contains("console") && alarm.contains("access.reset"), "{alarm}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(disk.bad().unwrap().len(), 2);
    // A good file that somebody puts back is taken.
    fs::write(dir.path().join(FILE), before).unwrap();
    is_good(open(dir.path()), 1);
}

#[test]
fn all_files_gone_is_no_first_start_when_something_remembers_one() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Disk::open(dir.path(), true, 1).unwrap().1, Found::Closed(_)));
    assert!(matches!(Disk::open(dir.path(), false, 1).unwrap().1, Found::First));
}

#[test]
fn the_console_asks_for_factory_users_with_a_file() {
    let (dir, disk) = written(1);
    fs::write(dir.path().join(RESET), "").unwrap();
    assert!(matches!(open(dir.path()), Found::Reset));
    // Until it is done, every start does it again.
    assert!(matches!(open(dir.path()), Found::Reset));
    disk.write(&document(5)).unwrap();
    disk.reset_done().unwrap();
    is_good(open(dir.path()), 5);
    assert_eq!(disk.bad().unwrap().len(), 2, "the old file and copy are kept");
}

#[test]
fn a_file_of_newer_software_is_left_alone() {
    let (dir, _) = written(1);
    let access = serde_json::to_string(&document(1)).unwrap().replace("\"version\":1", "\"version\":2");
    let crc32 = crc32fast::hash(access.as_bytes());
    let text = format!(r#"{{"crc32":"{crc32:08x}","access":{access}}}"#);
    fs::write(dir.path().join(FILE), &text).unwrap();
    assert!(matches!(open(dir.path()), Found::Closed(alarm) if alarm.contains("newer")));
    assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap(), text);
}

#[test]
fn few_damaged_files_are_kept() {
    let (dir, disk) = written(1);
    for time in 0..12 {
        fs::write(dir.path().join(FILE), "").unwrap();
        disk.find(false, time).unwrap();
    }
    let kept = disk.bad().unwrap();
    assert_eq!(kept.len(), BAD_KEPT);
    assert_eq!(kept[0], dir.path().join("access.bad-7"));
}

#[test]
fn a_disk_that_refuses_leaves_the_old_document() {
    let (dir, disk) = written(1);
    fs::create_dir(dir.path().join("access.json.tmp")).unwrap();
    disk.write(&document(2)).unwrap_err();
    is_good(open(dir.path()), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No flipped bit, no cut goes unnoticed: the copy is used, or what is read is what was written.
    #[test]
    fn damage_is_noticed(at: prop::sample::Index, bit in 0u8..8, cut: bool) {
        let (dir, _) = written(1);
        let path = dir.path().join(FILE);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        fs::write(&path, bytes).unwrap();
        match open(dir.path()) {
            Found::Good(found) | Found::Copy(found, _) => prop_assert_eq!(found, document(1)),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
