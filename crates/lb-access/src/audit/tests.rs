use super::*;

fn entry(time: u64, detail: &str) -> AuditEntry {
    AuditEntry::stranger(time, "::ffff:10.0.0.5".parse().unwrap(), "test", detail)
}

fn details(page: &AuditPage) -> Vec<&str> {
    page.entries.iter().map(|line| line.entry.detail.as_str()).collect()
}

#[test]
fn pages_go_back_through_both_logs_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = AuditLog::open(dir.path());
    for i in 0..10 {
        let entry = entry(i, &format!("e{i}"));
        log.append(if i % 3 == 0 { entry.refused() } else { entry });
    }
    let first = log.page(None, None, 4);
    assert_eq!(details(&first), ["e9", "e8", "e7", "e6"]);
    assert!(first.entries[0].entry.refused && !first.entries[1].entry.refused);
    assert_eq!(first.entries[0].entry.address, "10.0.0.5".parse::<IpAddr>().unwrap());
    let second = log.page(None, first.next, 4);
    assert_eq!(details(&second), ["e5", "e4", "e3", "e2"]);
    let last = log.page(None, second.next, 4);
    assert_eq!((details(&last), last.next), (vec!["e1", "e0"], None));
}

#[test]
fn a_filter_finds_every_word_in_any_case() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = AuditLog::open(dir.path());
    log.append(entry(1, "User Ops added"));
    log.append(entry(2, "user ops removed").refused());
    assert_eq!(details(&log.page(Some("OPS added"), None, 9)), ["User Ops added"]);
    assert_eq!(details(&log.page(Some("refused"), None, 9)), ["user ops removed"]);
    assert_eq!(details(&log.page(Some("10.0.0.5"), None, 9)).len(), 2);
    assert_eq!(details(&log.page(Some("10.0.0.6"), None, 9)).len(), 0);
}

#[test]
fn numbering_goes_on_after_a_restart_and_after_a_line_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = AuditLog::open(dir.path());
    log.append(entry(1, "one"));
    log.append(entry(2, "two").refused());
    let path = dir.path().join(CHANGES);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"{\"sequence\":3,\"ti");
    fs::write(&path, bytes).unwrap();
    let mut log = AuditLog::open(dir.path());
    log.append(entry(3, "three"));
    let page = log.page(None, None, 9);
    assert_eq!(details(&page), ["three", "two", "one"]);
    assert_eq!(page.entries[0].sequence, 3);
}

#[test]
fn the_logs_stay_small_and_keep_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = AuditLog::with_size(dir.path(), 4096);
    for i in 0..1000 {
        log.append(entry(i, &format!("e{i}")));
    }
    let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap()).collect();
    assert_eq!(files.len(), CHANGES_KEPT);
    for file in files {
        assert!(file.metadata().unwrap().len() <= 4096);
    }
    let page = log.page(None, None, 1000);
    assert!(page.entries.len() > 100, "{}", page.entries.len());
    let sequences: Vec<u64> = page.entries.iter().map(|line| line.sequence).collect();
    assert_eq!(sequences[0], 1000);
    assert!(sequences.windows(2).all(|pair| pair[0] == pair[1] + 1), "none missing, none twice");
}

#[test]
fn a_flood_of_refusals_leaves_the_changes_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = AuditLog::with_size(dir.path(), 4096);
    log.append(entry(0, "a change"));
    for _ in 0..100_000 {
        log.append(entry(10, "refused").refused());
    }
    log.append(entry(11, "after a second").refused());
    assert_eq!(details(&log.page(Some("change"), None, 9)), ["a change"]);
    let newest = &log.page(None, None, 1).entries[0].entry.detail;
    assert_eq!(newest, "after a second (99800 refusals before this one were not written down)");
}

#[test]
fn entries_are_one_short_line_whatever_is_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = AuditLog::open(dir.path());
    log.append(entry(1, &"ä\n\u{1b}[2J".repeat(10_000)));
    let text = fs::read_to_string(dir.path().join(CHANGES)).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert!(text.len() < 20_000 && !text.contains('\u{1b}'), "{}", text.len());
}

#[test]
fn a_disk_that_refuses_is_noticed_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = AuditLog::open(dir.path());
    fs::create_dir(dir.path().join(CHANGES)).unwrap();
    log.append(entry(1, "lost"));
    assert!(log.failing());
    fs::remove_dir(dir.path().join(CHANGES)).unwrap();
    log.append(entry(2, "kept"));
    assert!(!log.failing());
    assert_eq!(details(&log.page(None, None, 9)), ["kept"]);
}
