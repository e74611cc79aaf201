//! Leaving the program while a pair is made: what was begun is stopped, what was applied is undone.

use crate::fake::FakeUnit;
use lb_api::PairingView;
use lb_model::factory;
use rexpect::{
    process::{Signal, WaitStatus},
    session::{PtySession, spawn_command},
};
use std::{
    process::Command,
    time::{Duration, Instant},
};

struct Console {
    unit: FakeUnit,
    tty: PtySession,
    _dir: tempfile::TempDir,
}

/// The wizard on a terminal, on a unit that says this of its pair; `typed` ahead.
fn console(pairing: Vec<PairingView>, typed: &[&str]) -> Console {
    let dir = tempfile::tempdir().expect("dir");
    let unit = FakeUnit::new(factory());
    unit.0.lock().expect("state").pair.pairing = pairing;
    let mut command = Command::new(env!("CARGO_BIN_EXE_lbwizard"));
    command.arg("--socket").arg(unit.listen(dir.path()));
    let mut tty = spawn_command(command, Some(20_000)).expect("spawn");
    tty.exp_string("or Ctrl-C to exit.[]").expect("welcome");
    let lines: String = typed.iter().map(|line| format!("{line}\r")).collect();
    tty.send(&lines).expect("answers");
    tty.flush().expect("flush");
    Console { unit, tty, _dir: dir }
}

fn status(tty: &PtySession) -> i32 {
    match tty.process().wait().expect("wait") {
        WaitStatus::Exited(_, code) => code,
        other => panic!("not an exit: {other:?}"),
    }
}

impl Console {
    fn calls(&self) -> Vec<String> {
        self.unit.0.lock().expect("state").calls.clone()
    }
}

const SLAVE: [&str; 9] = ["", "y", "s", "y", "10.0.0.22", "", "10.0.0.31", "10.0.0.31", ""];
const MASTER: [&str; 11] = ["", "y", "m", "y", "y", "10.0.0.21", "", "10.0.0.31", "10.0.0.31", "10.0.0.22", ""];

fn waiting() -> Vec<PairingView> {
    vec![
        PairingView::Idle,
        PairingView::Idle,
        PairingView::Waiting { code: "1234 5678".into(), until: 0, serial_error: None },
    ]
}

fn no_cable() -> Vec<PairingView> {
    vec![PairingView::Idle, PairingView::Failed { reason: "nobody answers".into(), hint: "look at the cable".into() }]
}

#[test]
fn ctrl_c_stops_the_slaves_waiting() {
    let mut c = console(waiting(), &SLAVE);
    c.tty.exp_string("1234 5678").expect("the code");
    c.tty.exp_string("Ctrl-C stops waiting").expect("how to leave");
    c.tty.send_control('c').expect("Ctrl-C");
    c.tty.exp_string("This unit no longer waits. What was set up stays").expect("what became of it");
    c.tty.exp_string("lbctl ha pair wait").expect("how to come back");
    c.tty.exp_eof().expect("end");
    assert_eq!(status(&c.tty), 130);
    assert_eq!(c.unit.applies().len(), 1);
    assert_eq!(c.calls(), ["pair: Wait", "pair: Cancel"]);
}

/// The administrator came over the network, and has just changed the address under it.
#[test]
fn a_line_that_breaks_does_not_stop_it() {
    let mut c = console(waiting(), &SLAVE);
    c.tty.exp_string("Ctrl-C stops waiting").expect("how to leave");
    c.tty.process_mut().signal(Signal::SIGHUP).expect("signal");
    c.tty.exp_string("This unit waits on by itself.").expect("message");
    assert_eq!(status(&c.tty), 129);
    assert_eq!(c.calls(), ["pair: Wait"]);
}

#[test]
fn ctrl_c_at_the_masters_code_sets_the_addresses_back() {
    let mut c = console(no_cable(), &MASTER);
    c.tty.exp_string("Code that the slave shows").expect("the code's question");
    assert_eq!(c.unit.applies().len(), 1);
    assert!(c.unit.applies()[0].confirm_within.is_some());
    c.tty.send_control('c').expect("Ctrl-C");
    c.tty.exp_string("addresses are as they were before. Nothing was changed.").expect("message");
    c.tty.exp_eof().expect("end");
    assert_eq!(status(&c.tty), 130);
    assert_eq!(c.calls(), ["pair: CallSerial", "roll back to 0"]);
    assert_eq!(c.unit.0.lock().expect("state").running.config, factory());
}

#[test]
fn ctrl_c_ends_a_call_that_is_under_way() {
    let working = vec![PairingView::Idle, PairingView::Working { text: "Calling.".into() }];
    let mut c = console(working, &MASTER[..10]);
    c.tty.exp_string("over the null-modem cable").expect("the call");
    let end = Instant::now() + Duration::from_secs(20);
    while c.calls().is_empty() {
        assert!(Instant::now() < end, "lbd is not told to call");
        std::thread::sleep(Duration::from_millis(5));
    }
    c.tty.send_control('c').expect("Ctrl-C");
    c.tty.exp_string("Nothing was changed.").expect("message");
    c.tty.exp_eof().expect("end");
    assert_eq!(status(&c.tty), 130);
    assert_eq!(c.calls(), ["pair: CallSerial", "pair: Cancel"]);
    assert!(c.unit.applies().is_empty());
}
