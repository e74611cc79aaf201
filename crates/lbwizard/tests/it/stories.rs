//! `tests/cases/<story>`: `answers.txt` is what was typed, line by line; `running.json`, if there, what ran
//! before (else factory settings); `pair.json`, if there, what the unit says of its pair, look by look;
//! `transcript.txt` what was seen, `config.json` what was applied, and `calls.txt` what was asked of the pair.
//! `UPDATE_GOLDEN=1` (set by `cargo xtask bless`) rewrites the last three.

use crate::fake::FakeUnit;
use lb_model::{factory, migrate, problems};
use lbwizard::{flow::Question, prompter::Lines, session, signals::Guard};
use std::{fs, io::Cursor, path::Path};

fn golden(path: &Path, got: &str) -> Option<String> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, got).expect("golden");
        return None;
    }
    let want = fs::read_to_string(path).unwrap_or_default();
    (want != got).then(|| format!("{} differs; it is now:\n{got}", path.display()))
}

#[test]
fn stories() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut wrong = Vec::new();
    let mut told = 0;
    for case in fs::read_dir(cases).expect("cases") {
        let case = case.expect("case").path();
        let running = match fs::read_to_string(case.join("running.json")) {
            Ok(text) => migrate(&text).expect("running.json"),
            Err(_) => factory(),
        };
        assert_eq!(problems(&running), [], "{}", case.display());
        let unit = FakeUnit::new(running);
        if let Ok(text) = fs::read_to_string(case.join("pair.json")) {
            unit.0.lock().expect("state").pair = serde_json::from_str(&text).expect("pair.json");
        }
        let mut seen = Vec::new();
        let typed = fs::read_to_string(case.join("answers.txt")).expect("answers.txt");
        let too_long: Vec<&str> = typed.lines().filter(|l| l.len() > 40).collect();
        let input = Cursor::new(typed.clone());
        let guard = Guard::unwatched();
        let result = session::run(&unit, &mut Lines::new(input, &mut seen, true), &guard, "lbwizard", false);
        let mut seen = String::from_utf8(seen).expect("UTF-8");
        if let Err(error) = result {
            seen.push_str(&format!("\n-- {}\n", guard.parting(&error)));
        }
        let ours = seen.lines().filter(|l| !too_long.iter().any(|t| l.ends_with(t)));
        let long = ours.clone().find(|l| l.chars().count() > lbwizard::text::WIDTH);
        assert_eq!(long, None, "{}: a line too long for the screen", case.display());
        assert!(seen.is_ascii(), "{}: a VT100 knows ASCII only", case.display());
        let (provisional, applies): (Vec<_>, Vec<_>) =
            unit.applies().into_iter().partition(|a| a.confirm_within.is_some());
        assert!(applies.len() <= 1, "{}: more than one commit", case.display());
        assert!(provisional.len() <= 1, "{}: addresses set more than once", case.display());
        let calls = unit.0.lock().expect("state").calls.clone();
        for apply in provisional {
            // Whatever is applied before the end is confirmed at the end, or undone.
            assert!(apply.confirm_within.is_some_and(|s| s >= 600), "{}", case.display());
            let ended = calls.iter().any(|c| c == "confirm 1" || c == "roll back to 0");
            assert!(ended, "{}: what was applied for the pairing is forgotten", case.display());
        }
        if !calls.is_empty() {
            wrong.extend(golden(&case.join("calls.txt"), &(calls.join("\n") + "\n")));
        }
        let config = match applies.first() {
            Some(apply) => serde_json::to_string_pretty(&apply.config).expect("json") + "\n",
            None => "nothing was applied\n".into(),
        };
        wrong.extend(golden(&case.join("transcript.txt"), &seen));
        wrong.extend(golden(&case.join("config.json"), &config));
        told += 1;
    }
    assert!(told >= 8, "only {told} stories were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn questions_fit_on_a_line() {
    use Question::*;
    for question in [
        HaPair,
        Role,
        SlaveReady,
        OneArm,
        Eth0Address,
        Eth0Netmask,
        Eth1Address,
        Eth1Netmask,
        Gateway,
        Nameserver,
        SlaveAddress,
        Cable,
        FloatingIp,
        InternalFloatingIp,
        Port,
        RealServer,
    ] {
        assert!(question.text().len() <= 65, "{}", question.text());
        assert!(question.help().lines().all(|l| l.len() <= 78), "{}", question.help());
    }
}
