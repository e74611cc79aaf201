use super::*;
use nix::sys::stat::Mode;
use std::io::Read;

/// As runsv leaves it: a service that has run under process 1234 since a day of November 2026.
const STATUS: [u8; 20] = [0x40, 0, 0, 0, 0x6b, 0x01, 0x2f, 0x8a, 0x1d, 0xcd, 0x65, 0, 0xd2, 0x04, 0, 0, 0, b'u', 0, 1];
const SINCE: u64 = 0x6b01_2f80;

/// A directory of services, each with what runsv keeps.
fn supervised(names: &[&str], status: &[u8]) -> (tempfile::TempDir, Unit) {
    let dir = tempfile::tempdir().expect("a directory");
    for name in names {
        let supervise = dir.path().join(name).join("supervise");
        fs::create_dir_all(&supervise).expect("supervise");
        fs::write(supervise.join("status"), status).expect("a status");
        for fifo in ["ok", "control"] {
            nix::unistd::mkfifo(&supervise.join(fifo), Mode::S_IRWXU).expect("a FIFO");
        }
    }
    let unit = Unit { services: Some(dir.path().to_owned()), power: false };
    (dir, unit)
}

/// runsv's end of a FIFO.
fn reader(dir: &tempfile::TempDir, fifo: &str) -> fs::File {
    let path = dir.path().join(fifo);
    OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).expect("its end")
}

#[test]
fn a_status_is_read_as_runsv_writes_it() {
    assert_eq!(status(&STATUS), Some((true, SINCE)));
    let mut down = STATUS;
    (down[12], down[13], down[19]) = (0, 0, 0);
    assert_eq!(status(&down), Some((false, SINCE)));
    let mut finishing = STATUS;
    finishing[19] = 2;
    assert_eq!(status(&finishing), Some((false, SINCE)));
    assert_eq!(status(&STATUS[..18]), None);
    assert_eq!(status(&[0; 20]), None, "before 1970");
}

#[test]
fn services_of_the_list_are_shown_as_they_are() {
    let (dir, unit) = supervised(&["lbd", "dropbear", "getty"], &STATUS);
    let _runsv = reader(&dir, "lbd/supervise/ok");
    let seen: Vec<String> =
        unit.services(SINCE + 60, 5).iter().map(|s| format!("{} {} {}", s.name, s.running, s.since)).collect();
    assert_eq!(seen, ["lbd true 60", "dropbear false 0"], "dropbear has no runsv, and getty is none of ours");
    let pretended = Unit { services: None, power: false };
    assert!(pretended.services(0, 7).iter().all(|s| s.running && s.since == 7));
}

#[test]
fn a_restart_is_an_order_to_runsv() {
    let (dir, unit) = supervised(&["dropbear"], &STATUS);
    let mut runsv = reader(&dir, "dropbear/supervise/control");
    unit.restart(unit.known("dropbear").expect("known")).expect("ordered");
    let mut orders = [0; 8];
    let n = runsv.read(&mut orders).expect("orders");
    assert_eq!(&orders[..n], b"tcu");
    drop(runsv);
    let error = unit.restart("dropbear").expect_err("nobody is there");
    assert!(matches!(error, UnitError::NotSupervised("dropbear", _)), "{error}");
}

#[test]
fn only_what_is_in_the_list_and_on_the_unit_has_a_name() {
    let (_dir, unit) = supervised(&["dropbear", "getty"], &STATUS);
    for name in ["getty", "lbadmin", "", "..", "dropbear/../getty", "DROPBEAR"] {
        assert!(unit.known(name).is_err(), "{name}");
    }
    assert_eq!(unit.names(), "dropbear");
}

/// The machine that runs this test goes on running.
#[test]
fn an_init_of_another_kind_is_left_alone() {
    if fs::read_to_string("/proc/1/comm").is_ok_and(|c| c.trim() != "init") {
        let unit = Unit { services: None, power: true };
        assert!(matches!(unit.power(UnitAction::Restart), Err(UnitError::OtherInit(_))));
    }
    Unit { services: None, power: false }.power(UnitAction::Halt).expect("only said");
}
