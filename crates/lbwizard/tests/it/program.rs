//! The program itself: on a pseudo-terminal, with a pipe, and with an answers file.

use crate::fake::FakeUnit;
use lb_api::{ApiError, ErrorCode};
use lb_model::factory;
use rexpect::{
    process::{Signal, WaitStatus},
    session::{PtySession, spawn_command},
};
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

/// What the guide types, and the beginning of what it sees before each.
const GUIDE: [(&str, &str); 10] = [
    ("part of an HA-Pair? (y/n): ", "n"),
    ("one-armed set-up (i.e. same subnet as servers)? (y/n): ", "n"),
    ("IP address for interface eth0 [192.168.2.21]: ", "10.0.0.21"),
    ("Netmask for interface eth0 [255.255.255.0]: ", "255.255.255.0"),
    ("IP address for interface eth1 [192.168.2.21]: ", "192.168.2.21"),
    ("Netmask for interface eth1 [255.255.255.0]: ", "255.255.255.0"),
    ("IP address of the default gateway [10.0.0.1]: ", "10.0.0.31"),
    ("IP address of the nameserver [192.168.2.1]: ", "10.0.0.31"),
    ("Port for first virtual server [80]: ", "80"),
    ("IP address of the first real server (backend) [192.168.2.100]: ", "192.168.2.50"),
];

fn program(socket: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lbwizard"));
    command.arg("--socket").arg(socket);
    command
}

struct Console {
    unit: FakeUnit,
    tty: PtySession,
    _dir: tempfile::TempDir,
}

/// The wizard on a terminal, answered up to `question` (0: it waits for the first Enter).
fn console(question: usize) -> Console {
    let dir = tempfile::tempdir().expect("dir");
    let unit = FakeUnit::new(factory());
    let mut tty = spawn_command(program(&unit.listen(dir.path())), Some(20_000)).expect("spawn");
    tty.exp_string("Press Enter to continue, or Ctrl-C to exit.[]").expect("welcome");
    for (n, (text, _)) in GUIDE.iter().enumerate().take(question) {
        tty.send_line(if n == 0 { "" } else { GUIDE[n - 1].1 }).expect("answer");
        tty.exp_string(text).unwrap_or_else(|e| panic!("question {}: {e}", n + 1));
    }
    if question > GUIDE.len() {
        tty.send_line(GUIDE[9].1).expect("answer");
        tty.exp_string("Press Enter to make these changes permanent, or Ctrl-C to exit.[]").expect("confirmation");
    }
    Console { unit, tty, _dir: dir }
}

fn status(tty: &PtySession) -> i32 {
    match tty.process().wait().expect("wait") {
        WaitStatus::Exited(_, code) => code,
        other => panic!("not an exit: {other:?}"),
    }
}

#[test]
fn the_guides_dialogue_on_a_terminal() {
    let mut c = console(11);
    c.tty.send_line("").expect("Enter");
    c.tty.exp_string("Done. Revision 1 runs").expect("done");
    c.tty.exp_string("ip route replace default via 192.168.2.21").expect("what the real server needs");
    c.tty.exp_string("curl http://10.0.0.21/").expect("how to test");
    c.tty.exp_eof().expect("end");
    assert_eq!(status(&c.tty), 0);
    let applies = c.unit.applies();
    assert_eq!(applies.len(), 1);
    assert_eq!(applies[0].base, Some(0));
}

#[test]
fn ctrl_c_at_any_question_changes_nothing() {
    for question in 0..=11 {
        let mut c = console(question);
        c.tty.send_control('c').expect("Ctrl-C");
        c.tty.exp_string("Nothing was changed.").unwrap_or_else(|e| panic!("at {question}: {e}"));
        c.tty.exp_eof().expect("end");
        assert_eq!(status(&c.tty), 130, "at question {question}");
        assert!(c.unit.applies().is_empty(), "at question {question}");
    }
}

#[test]
fn other_ways_out_change_nothing_either() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let mut c = console(9);
        c.tty.process_mut().signal(signal).expect("signal");
        c.tty.exp_string("Nothing was changed.").expect("message");
        assert_eq!(status(&c.tty), code);
        assert!(c.unit.applies().is_empty());
    }
    // Ctrl-D is not Enter.
    for question in [0, 5, 11] {
        let mut c = console(question);
        c.tty.send_control('d').expect("Ctrl-D");
        c.tty.exp_string("Nothing was changed.").expect("message");
        assert_eq!(status(&c.tty), 1);
        assert!(c.unit.applies().is_empty());
    }
}

/// Somebody types "no" where Enter makes everything permanent.
#[test]
fn only_enter_confirms() {
    let mut c = console(11);
    c.tty.send_line("no").expect("answer");
    c.tty.exp_string("only Enter goes on").expect("refusal");
    c.tty.exp_string("permanent, or Ctrl-C to exit.[]").expect("asked again");
    assert!(c.unit.applies().is_empty());
    c.tty.send_control('c').expect("Ctrl-C");
    c.tty.exp_eof().expect("end");
    assert_eq!(status(&c.tty), 130);
}

/// Answers sent ahead of the questions, as a script does that does not wait, and with Backspace and Ctrl-U in them.
#[test]
fn typed_ahead_and_edited() {
    let mut c = console(0);
    let lines: String = GUIDE.iter().map(|(_, a)| format!("{a}\r")).collect();
    c.tty.send(&format!("\r{}", lines.replacen("10.0.0.21", "99\u{15}10.0.0.221\u{7f}\u{7f}1", 1))).expect("answers");
    c.tty.flush().expect("flush");
    c.tty.exp_string("10.0.0.21 netmask 255.255.255.0").expect("summary");
    c.tty.exp_string("permanent, or Ctrl-C to exit.[]").expect("confirmation");
    c.tty.send_line("").expect("Enter");
    c.tty.exp_string("Done. Revision 1 runs").expect("done");
}

fn answers_file(dir: &Path) -> std::path::PathBuf {
    let text: String = GUIDE.iter().map(|(q, a)| format!("{a}  # {q}\n")).collect();
    let path = dir.join("answers.txt");
    fs::write(&path, format!("# the guide's example\n{text}")).expect("answers");
    path
}

fn text(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into(), String::from_utf8_lossy(&output.stderr).into())
}

#[test]
fn unattended() {
    let dir = tempfile::tempdir().expect("dir");
    let unit = FakeUnit::new(factory());
    let socket = unit.listen(dir.path());
    let answers = answers_file(dir.path());

    let dry = program(&socket).arg("--answers").arg(&answers).arg("--dry-run").output().expect("run");
    let (out, err) = text(&dry);
    assert!(dry.status.success(), "{err}");
    assert!(out.contains("Add virtual server HTTP_Cluster on tcp 10.0.0.21:80 (wrr)"), "{out}");
    assert!(out.contains("This was a dry run. Nothing was changed."), "{out}");
    assert!(unit.applies().is_empty());

    let done = program(&socket)
        .arg("--answers")
        .arg(&answers)
        .env("LOGNAME", "root")
        .env_remove("SUDO_USER")
        .output()
        .expect("run");
    assert!(done.status.success(), "{}", text(&done).1);
    assert_eq!(unit.applies().len(), 1);
    assert_eq!(unit.applies()[0].author, "lbwizard (root)");
    assert_eq!(unit.applies()[0].comment, "setup wizard: two-arm NAT, 10.0.0.21:80");

    for (change, message) in [
        (
            ("10.0.0.31  # IP address of the default", "10.9.0.31  # IP address of the default"),
            "outside eth0's subnet 10.0.0.0/24",
        ),
        (("192.168.2.50", "10.0.0.50"), "line 11: the answer \"10.0.0.50\""),
        (("80  #", "# no port\n#"), "is not a port"),
    ] {
        let wrong = dir.path().join("wrong.txt");
        fs::write(&wrong, fs::read_to_string(&answers).expect("answers").replacen(change.0, change.1, 1))
            .expect("answers");
        let refused = program(&socket).arg("--answers").arg(&wrong).output().expect("run");
        assert_eq!(refused.status.code(), Some(1));
        let err = text(&refused).1;
        assert!(err.contains(message) && err.contains("Nothing was changed."), "{err}");
    }
    assert_eq!(unit.applies().len(), 1);
}

#[test]
fn a_file_with_too_many_or_too_few_answers() {
    let dir = tempfile::tempdir().expect("dir");
    let unit = FakeUnit::new(factory());
    let socket = unit.listen(dir.path());
    for (answers, message) in [
        ("n\nn\n", "there is no answer to \"IP address for interface eth0\""),
        ("n\ny\n\n\n\n\n\n\nmore\n", "line 9: \"more\""),
    ] {
        let path = dir.path().join("answers.txt");
        fs::write(&path, answers).expect("answers");
        let out = program(&socket).arg("--answers").arg(&path).output().expect("run");
        assert_eq!(out.status.code(), Some(1));
        let err = text(&out).1;
        assert!(err.contains(message) && err.contains("Nothing was changed."), "{err}");
    }
    assert!(unit.applies().is_empty());
}

#[test]
fn a_pipe_that_ends_early() {
    let dir = tempfile::tempdir().expect("dir");
    let unit = FakeUnit::new(factory());
    let mut child = program(&unit.listen(dir.path()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run");
    child.stdin.take().expect("stdin").write_all(b"\nn\ny\n").expect("answers");
    let out = child.wait_with_output().expect("end");
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out).1.contains("Nothing was changed."));
    assert!(unit.applies().is_empty());
}

/// lbd's refusals reach the person whole, and nothing is claimed that is not so.
#[test]
fn what_lbd_refuses() {
    let dir = tempfile::tempdir().expect("dir");
    let unit = FakeUnit::new(factory());
    unit.0.lock().expect("state").refuse =
        Some(ApiError::new(ErrorCode::Conflict, "the configuration was changed meanwhile").hint("start again"));
    let out = program(&unit.listen(dir.path())).arg("--answers").arg(answers_file(dir.path())).output().expect("run");
    assert_eq!(out.status.code(), Some(1));
    let (seen, err) = text(&out);
    assert!(!seen.contains("Done."), "{seen}");
    assert!(
        err.contains("changed meanwhile") && err.contains("hint: start again") && err.contains("Nothing was changed."),
        "{err}"
    );

    let nobody = program(&dir.path().join("nobody")).output().expect("run");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody).1.contains("cannot reach lbd"), "{}", text(&nobody).1);
}

#[test]
fn help_explains_itself() {
    let out = Command::new(env!("CARGO_BIN_EXE_lbwizard")).arg("--help").output().expect("run");
    let (help, _) = text(&out);
    assert!(help.contains("--answers") && help.contains("10.0.0.21       # IP address for interface eth0"), "{help}");
    assert_eq!(help.lines().find(|l| l.chars().count() > 80), None);
}
