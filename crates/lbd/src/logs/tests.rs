use super::*;
use std::fs;

/// svlogd's directories for these services and files.
fn logs(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (file, text) in files {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().expect("a service")).expect("its directory");
        fs::write(path, text).expect("its log");
    }
    dir
}

const OLD: &str = "\
2026-11-21_07:00:00.00001  INFO a new store: factory settings
2026-11-21_07:00:01.00001  INFO listening on /run/lbd.sock
2026-11-21_07:00:05.50000  INFO change: alice applied revision 1: Add virtual server A
2026-11-21_07:00:06.00000  INFO check: B in A went from checking to active: HTTP 200
";
const CURRENT: &str = "\
2026-11-21_07:10:00.00001  WARN check: B in A went from active to non-active: connection refused
2026-11-21_07:10:00.00001 ERROR ipvs: add 10.0.0.1:80: the kernel refused
2026-11-21_07:11:00.12345  INFO change: bob applied revision 2: Take B in A offline
2026-11-21_07:11:01.00000  INFO cut in the mid";

fn own() -> tempfile::TempDir {
    logs(&[
        ("lbd/@400000006561a2b4.s", OLD),
        ("lbd/current", CURRENT),
        ("lbd/config", "s500000\nn5\n"),
        ("syslog/current", "2026-11-21_07:05:00.00000 Nov 21 07:05:00 lbmaster kern.info kernel: eth0 up\n"),
        ("dropbear/current", "2026-11-21_07:05:00.00000 [9] Child connection from 10.0.0.31\n"),
    ])
}

fn query(query: &str) -> Wanted {
    let uri = format!("http://lbd/?{query}").parse().expect("a URI");
    let query = axum::extract::Query::<LogQuery>::try_from_uri(&uri).expect("a query").0;
    Wanted::new(query).expect("a query")
}

fn texts(dir: &tempfile::TempDir, name: LogName, wanted: &str) -> Vec<String> {
    let view = read(dir.path(), name, &query(wanted)).expect("a page");
    view.lines.into_iter().map(|l| format!("{} {}", l.time, l.text)).collect()
}

#[test]
fn lbds_own_lines_are_two_logs_newest_first() {
    let dir = own();
    let changes = [
        "2026-11-21T07:11:00Z change: bob applied revision 2: Take B in A offline",
        "2026-11-21T07:10:00Z error: ipvs: add 10.0.0.1:80: the kernel refused",
        "2026-11-21T07:00:05Z change: alice applied revision 1: Add virtual server A",
        "2026-11-21T07:00:01Z listening on /run/lbd.sock",
        "2026-11-21T07:00:00Z a new store: factory settings",
    ];
    assert_eq!(texts(&dir, LogName::LoadBalancer, ""), changes, "the last one is still being written");
    let checks = [
        "2026-11-21T07:10:00Z B in A went from active to non-active: connection refused",
        "2026-11-21T07:00:06Z B in A went from checking to active: HTTP 200",
    ];
    assert_eq!(texts(&dir, LogName::Ldirectord, ""), checks);
    assert_eq!(texts(&dir, LogName::Ldirectord, "filter=ACTIVE+to"), checks[..1]);
    assert_eq!(texts(&dir, LogName::Ldirectord, "filter=nothing+of+that+kind"), [] as [&str; 0]);
}

#[test]
fn what_other_programs_say_is_one_log() {
    let dir = own();
    let expected = [
        "2026-11-21T07:05:00Z Nov 21 07:05:00 lbmaster kern.info kernel: eth0 up",
        "2026-11-21T07:05:00Z dropbear: [9] Child connection from 10.0.0.31",
    ];
    assert_eq!(texts(&dir, LogName::System, ""), expected);
}

/// From page to page by the last line's cursor, everything comes once, in order; also after svlogd has renamed the file.
#[test]
fn pages_join_over_files_and_renames() {
    let dir = own();
    let all = texts(&dir, LogName::LoadBalancer, "");
    let mut seen: Vec<String> = Vec::new();
    let mut wanted = query("limit=2");
    loop {
        let page = read(dir.path(), LogName::LoadBalancer, &wanted).expect("a page");
        seen.extend(page.lines.iter().map(|l| format!("{} {}", l.time, l.text)));
        assert_eq!(page.more, seen.len() < all.len(), "{seen:?}");
        if !page.more {
            break;
        }
        wanted.before = Cursor::parse(&page.lines[1].cursor);
        assert!(wanted.before.is_some());
        let at = dir.path().join("lbd/current");
        if at.exists() {
            fs::rename(at, dir.path().join("lbd/@400000006561b000.s")).expect("renamed");
        }
    }
    assert_eq!(seen, all);
}

#[test]
fn following_gives_what_came_since() {
    let dir = own();
    let newest = read(dir.path(), LogName::LoadBalancer, &query("limit=1")).expect("a page").lines.remove(0).cursor;
    assert_eq!(newest, "2026-11-21_07:11:00.123450000/lbd/000000171");
    let after = format!("after={newest}");
    assert_eq!(texts(&dir, LogName::LoadBalancer, &after), [] as [&str; 0]);
    let path = dir.path().join("lbd/current");
    let more = format!("{CURRENT}dle\n2026-11-21_06:59:00.00000  INFO the clock was set back\n");
    fs::write(&path, more).expect("more lines");
    let expected = ["2026-11-21T06:59:00Z the clock was set back", "2026-11-21T07:11:01Z cut in the middle"];
    assert_eq!(texts(&dir, LogName::LoadBalancer, &after), expected);
    // The line itself is gone with its file: its time is left.
    fs::write(&path, "2026-11-21_07:20:00.00000  INFO later\n").expect("another file");
    assert_eq!(texts(&dir, LogName::LoadBalancer, &after), ["2026-11-21T07:20:00Z later"]);
    // A cursor of one service's line is a time in the others.
    fs::write(&path, CURRENT).expect("as before");
    let all = texts(&dir, LogName::System, "after=2026-11-21_07:05:00.000000000/aaa/000000000");
    assert_eq!(all.len(), 2);
    assert_eq!(texts(&dir, LogName::System, "after=2026-11-21_07:05:00.000000000/dropbear/000000000").len(), 1);
}

/// From page to page by the first line's cursor, everything comes once.
#[test]
fn newer_pages_join() {
    let dir = own();
    let all = texts(&dir, LogName::LoadBalancer, "");
    let oldest =
        read(dir.path(), LogName::LoadBalancer, &query("")).expect("a page").lines.pop().expect("a line").cursor;
    let (mut seen, mut after) = (Vec::new(), oldest);
    loop {
        let page = read(dir.path(), LogName::LoadBalancer, &query(&format!("limit=2&after={after}"))).expect("a page");
        seen.splice(0..0, page.lines.iter().map(|l| format!("{} {}", l.time, l.text)));
        after = page.lines[0].cursor.clone();
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, all[..4]);
}

#[test]
fn lines_without_a_time_belong_to_the_one_before() {
    let dir = logs(&[("lbd/current", "torn off\n2026-11-21_07:00:00.1 thread panicked\n  at here\n  and there\n")]);
    let view = read(dir.path(), LogName::LoadBalancer, &query("")).expect("a page");
    let lines: Vec<String> = view.lines.iter().map(|l| format!("{}|{}", l.time, l.text)).collect();
    let time = "2026-11-21T07:00:00Z";
    // What has nothing before it is given the time that comes after it.
    assert_eq!(
        lines,
        [
            format!("{time}|and there"),
            format!("{time}|at here"),
            format!("{time}|thread panicked"),
            format!("{time}|torn off"),
        ]
    );
}

/// A whole log of svlogd's, read from its end: 200 lines cost a few blocks, and all of it comes out as it went in.
#[test]
fn a_long_log_is_read_whole() {
    let line = |n: u32| {
        format!(
            "2026-11-21_07:{:02}:{:02}.{:05}  INFO line {n} {}",
            n / 6000,
            n / 100 % 60,
            n % 100,
            "x".repeat(n as usize % 300)
        )
    };
    let lines: Vec<String> = (0..12_000).map(line).collect();
    let (first, second) = lines.split_at(8_000);
    let dir =
        logs(&[("lbd/@400000006561a2b4.s", &(first.join("\n") + "\n")), ("lbd/current", &(second.join("\n") + "\n"))]);
    let mut wanted = query("limit=1000");
    let mut seen = Vec::new();
    loop {
        let page = read(dir.path(), LogName::LoadBalancer, &wanted).expect("a page");
        wanted.before = page.lines.last().and_then(|l| Cursor::parse(&l.cursor));
        seen.extend(page.lines.into_iter().map(|l| l.text));
        if !page.more {
            break;
        }
    }
    seen.reverse();
    let meant: Vec<&str> = lines.iter().map(|l| l.split_once("INFO ").expect("a line").1.trim_end()).collect();
    assert_eq!(seen.len(), meant.len());
    assert!(seen.iter().map(|s| s.trim_end()).eq(meant));
}

#[test]
fn nonsense_is_no_cursor_and_no_log_is_an_empty_one() {
    for text in
        ["", "now", "2026-11-21_07:13:20.1/lbd", "2026-11-21_07:13:20.1/../../etc/0", "2026/lbd/1", "/lbd/-1", "a/b/1"]
    {
        assert_eq!(Cursor::parse(text), None, "{text}");
    }
    let bad = |query| Wanted::new(query).expect_err("refused").0;
    assert_eq!(bad(LogQuery { limit: 1001, ..Default::default() }), "limit");
    assert_eq!(bad(LogQuery { after: Some("now".into()), ..Default::default() }), "after");
    assert_eq!(bad(LogQuery { before: Some("x".into()), ..Default::default() }), "before");
    let nowhere = Path::new("/nonexistent/log");
    assert_eq!(read(nowhere, LogName::System, &query("")).expect("empty"), LogView::default());
    assert_eq!(texts(&logs(&[("lbd/config", "s1\n")]), LogName::LoadBalancer, ""), [] as [&str; 0]);
}

/// Longer than what is kept of a line: it comes in pieces, and nothing is lost before or after it.
#[test]
fn an_endless_line_does_no_harm() {
    let text = format!(
        "2026-11-21_07:00:00.1 before\n2026-11-21_07:00:01.1 {}\n2026-11-21_07:00:02.1 after\n",
        "y".repeat(300_000)
    );
    let view = read(logs(&[("lbd/current", &text)]).path(), LogName::LoadBalancer, &query("")).expect("a page");
    assert!(view.lines.len() < 10 && view.lines.iter().all(|l| l.text.chars().count() <= 4001));
    assert_eq!((view.lines[0].text.as_str(), view.lines.last().map(|l| l.text.as_str())), ("after", Some("before")));
}

#[test]
fn what_is_kept_is_read_back_and_the_oldest_goes() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut keeper = Keeper::open(dir.path()).expect("a log");
    let long = "z".repeat(1000);
    for n in 0..3_600 {
        keeper.keep(format!(" INFO line {n} {long}\n").as_bytes()).expect("kept");
    }
    let files = fs::read_dir(dir.path().join("lbd")).expect("the files").count();
    assert_eq!(files, 5);
    let lines = read(dir.path(), LogName::LoadBalancer, &query("limit=1000")).expect("a page").lines;
    let numbers: Vec<u32> =
        lines.iter().map(|l| l.text.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number")).collect();
    assert!(numbers.iter().rev().copied().eq(2_600..3_600), "{:?}", &numbers[..5]);
}
