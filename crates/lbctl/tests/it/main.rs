//! Stories: each file in `tests/stories` is what a person types and what lbctl answers, against a
//! small lbd in memory. Lines beginning with `$` are run by the real program; lines beginning with
//! `%` happen to lbd; `#` is a comment. `BLESS=1 cargo test -p lbctl` writes the answers anew.

mod fake;
mod pair;

use fake::Fake;
use std::{
    fmt::Write,
    fs,
    io::{BufRead, BufReader, Write as _},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

#[test]
fn stories() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).expect("stories").map(|f| f.expect("file").path()).collect();
    files.sort();
    assert!(files.len() >= 5, "the stories are missing");
    let differing: Vec<String> = files.iter().filter_map(|file| story(file)).collect();
    assert!(differing.is_empty(), "{}\nBLESS=1 cargo test -p lbctl takes the new answers", differing.join("\n"));
}

/// What differs, unless the story is written anew.
fn story(file: &Path) -> Option<String> {
    let want = fs::read_to_string(file).expect("story");
    let folder = tempfile::tempdir().expect("folder");
    let fake = Arc::new(Mutex::new(Fake::default()));
    fake::serve(&folder.path().join("lbd.sock"), Arc::clone(&fake));
    let names = if want.contains("$URL") { served(folder.path(), &fake) } else { Vec::new() };
    let mut got = String::new();
    for line in want.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            let command = names.iter().fold(command.to_owned(), |c, (name, value)| c.replace(name, value));
            let answer = lbctl(&command, folder.path());
            let answer = names.iter().fold(answer, |a, (name, value)| a.replace(value, name));
            let _ = writeln!(got, "{line}{}{answer}", if answer.is_empty() { "" } else { "\n" });
        } else if let Some(event) = line.strip_prefix("% ") {
            happen(event, &mut fake.lock().expect("lock"));
            let _ = writeln!(got, "{line}");
        } else if line.starts_with('#') {
            let _ = writeln!(got, "{line}");
        }
    }
    if got == want {
        return None;
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(file, got).expect("bless");
        return None;
    }
    let line = got
        .lines()
        .zip(want.lines())
        .position(|(g, w)| g != w)
        .unwrap_or(want.lines().count().min(got.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("(end)").to_owned();
    Some(format!("{}:{}\n  want: {}\n  got:  {}", file.display(), line + 1, at(&want), at(&got)))
}

/// What differs from run to run where the lbd is reached over TLS, and its name in a story.
fn served(folder: &Path, fake: &Arc<Mutex<Fake>>) -> Vec<(&'static str, String)> {
    let (port, certificate) = fake::serve_tls(Arc::clone(fake));
    let fingerprint = lb_api::Fingerprint::of(certificate.der()).to_string();
    fs::write(folder.join("ca.pem"), certificate.pem()).expect("certificate");
    for (name, token, mode) in
        [("token", fake::TOKEN, 0o600), ("look-token", fake::LOOK_TOKEN, 0o600), ("open-token", fake::TOKEN, 0o644)]
    {
        let file = folder.join(name);
        fs::write(&file, format!("{token}\n")).expect("token");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("mode");
    }
    vec![("$URL", format!("https://127.0.0.1:{port}")), ("$PORT", port.to_string()), ("$FINGERPRINT", fingerprint)]
}

fn happen(event: &str, fake: &mut Fake) {
    match event {
        "bob applies another scheduler" => {
            fake.somebody_applies(|c| c.virtual_servers[0].scheduler = lb_model::Scheduler::Rr)
        }
        "bob edits while we edit" => {
            fake.before_next_change = Some(|f| f.somebody_edits(|c| c.globals.health.interval = 3));
        }
        "WebServer2 fails" => fake.failed.push("WebServer2".into()),
        "WebServer1 fails" => fake.failed.push("WebServer1".into()),
        "the units are a pair" => fake.ha = pair::healthy(),
        "the cable is pulled and the configuration diverges" => pair::hurt(&mut fake.ha),
        "the slave waits and is called" => fake.pairing = pair::waits_and_is_called(),
        "the cable gives no answer" => fake.pairing = pair::no_answer(),
        "the slave answers" => fake.pairing = pair::answers(),
        "nobody pairs" => fake.pairing.clear(),
        "the pair refuses orders" => fake.refuse = Some(pair::refusal()),
        "clients come to Shop" => {
            fake.entries =
                [("198.51.100.1", Some("Web1"), 1790), ("198.51.100.2", Some("Web2"), 60), ("198.51.100.3", None, 5)]
                    .map(|(key, real_server, expires)| lb_api::PersistenceEntry {
                        virtual_server: "Shop".into(),
                        kind: lb_api::PersistenceKind::Source,
                        key: key.into(),
                        real_server: real_server.map(str::to_owned),
                        expires,
                    })
                    .into();
        }
        "an alarm and drift" => {
            fake.alarms.push("the store was damaged and rebuilt from its copy".into());
            fake.drift.push("service tcp 10.0.0.99:80 was added by hand".into());
        }
        other => panic!("nothing is known of: {other}"),
    }
}

/// Runs `COMMAND`, `COMMAND << typed text`, `COMMAND > FILE`, or `NAME=value COMMAND`.
fn lbctl(line: &str, folder: &Path) -> String {
    let (line, typed) = line.split_once(" << ").unwrap_or((line, ""));
    let (line, file) = line.split_once(" > ").map_or((line, None), |(line, file)| (line, Some(file)));
    let mut words = split(line);
    let mut command = Command::new(env!("CARGO_BIN_EXE_lbctl"));
    command
        .env_clear()
        .env("USER", "alice")
        .env("TZ", "UTC")
        .env("TMPDIR", folder)
        .env("PATH", "/usr/bin:/bin")
        .current_dir(folder);
    command.env("LBD_SOCKET", folder.join("lbd.sock"));
    while let Some((name, value)) = words[0].split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())) {
        command.env(name, value);
        words.remove(0);
    }
    assert_eq!(words.remove(0), "lbctl");
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("lbctl");
    // Whoever does not read its input may be gone already.
    let _ = child.stdin.take().expect("stdin").write_all(typed.replace("\\n", "\n").as_bytes());
    let output = child.wait_with_output().expect("output");
    let mut stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if let Some(file) = file {
        fs::write(folder.join(file), std::mem::take(&mut stdout)).expect("file");
    }
    let text = stdout + &String::from_utf8_lossy(&output.stderr);
    let mut text = without_pids(&text.replace(&folder.display().to_string(), "/tmp"));
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    // An answer's own lines must not be taken for the story's.
    let text: String = text.lines().map(|l| format!("  {l}").trim_end().to_owned() + "\n").collect();
    match output.status.code() {
        Some(0) => text.trim_end_matches('\n').to_owned(),
        code => format!("{text}  [exit status {}]", code.unwrap_or(-1)),
    }
}

/// The number in a draft's name differs from run to run.
fn without_pids(text: &str) -> String {
    let mut parts = text.split("lbctl-edit-");
    let first = parts.next().unwrap_or("").to_owned();
    parts.fold(first, |done, part| done + "lbctl-edit-N" + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

fn split(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("a word").push(c),
        }
    }
    words
}

#[test]
fn help_fits_the_console() {
    let folder = tempfile::tempdir().expect("folder");
    let commands = [
        "",
        "status",
        "config",
        "config show",
        "config set",
        "config unset",
        "config edit",
        "config put",
        "vip",
        "vip add",
        "vip remove",
        "rip",
        "rip add",
        "rip remove",
        "online",
        "diff",
        "plan",
        "apply",
        "confirm",
        "discard",
        "history",
        "rollback",
        "reconcile",
        "completions",
        "man",
        "ha",
        "ha status",
        "ha takeover",
        "ha standby",
        "ha maintenance",
        "ha pair",
        "ha pair wait",
        "ha pair serial",
        "ha pair network",
        "ha pair cancel",
        "ha unpair",
        "ha resolve",
        "log",
        "lockdown",
        "lockdown show",
        "lockdown on",
        "lockdown off",
    ];
    for command in commands {
        let line = format!("lbctl {command} --help").replace("  ", " ");
        let text = lbctl(&line, folder.path());
        assert!(text.contains("Usage: lbctl"), "{text}");
        for line in text.lines() {
            // Two columns are the story's indent.
            assert!(line.chars().count() <= 82, "{command}: {line}");
        }
    }
}

#[test]
fn nobody_listens() {
    let folder = tempfile::tempdir().expect("folder");
    let text = lbctl("lbctl status", folder.path());
    assert!(
        text.contains("cannot reach lbd at") && text.contains("hint: ") && text.ends_with("[exit status 3]"),
        "{text}"
    );
    let text = lbctl("lbctl status --json", folder.path());
    assert!(text.contains("\"code\": \"unreachable\""), "{text}");
}

#[test]
fn completions_and_manual_name_every_command() {
    let folder = tempfile::tempdir().expect("folder");
    for shell in ["bash", "zsh", "fish"] {
        assert!(lbctl(&format!("lbctl completions {shell}"), folder.path()).contains("reconcile"));
    }
    let page = lbctl("lbctl man", folder.path());
    for section in [
        ".TH LBCTL 1",
        ".SH \"LBCTL CONFIG SET\"",
        ".SH \"LBCTL RIP ADD\"",
        ".SH \"LBCTL HA PAIR NETWORK\"",
        ".SH \"LBCTL LOG\"",
    ] {
        assert!(page.contains(section), "{section}");
    }
}

#[test]
fn watch_shows_the_status_again_and_again() {
    let folder = tempfile::tempdir().expect("folder");
    let socket = folder.path().join("lbd.sock");
    fake::serve(&socket, Arc::default());
    let mut command = Command::new(env!("CARGO_BIN_EXE_lbctl"));
    command.args(["status", "--watch", "1", "--json", "--socket"]).arg(&socket).stdout(Stdio::piped());
    let mut child = command.spawn().expect("lbctl");
    let frames = BufReader::new(child.stdout.take().expect("stdout")).lines().take(2);
    let frames: Vec<String> = frames.map(|l| l.expect("line")).collect();
    child.kill().and_then(|()| child.wait()).expect("end");
    assert_eq!(frames[0], frames[1]);
    assert!(frames[0].starts_with("{\"version\":"), "{}", frames[0]);
}
