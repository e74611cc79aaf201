//! Commit in a loop and print `ack N` after each acknowledged revision: what the tests kill.
//!
//! `store_writer DIR [check]`. First line: `open REVISION created|clean|recovered DIGEST-OK`.
//! Document N is [`document`] of N, so that whoever reads revision N knows what it must say; its
//! size changes from revision to revision, between 300 bytes and 100 KB. `check` only opens,
//! verifies and prints. `STORE_WRITER_MAX` bounds the size of the documents in bytes.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use lb_store::{NewCandidate, NewRevision, Opened, Store};

/// The document of revision `number`: a function of the number alone.
fn document(number: u64, max: usize) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    // Mostly small, as configurations are; sometimes many segments of sled's log.
    let size = match next() % 16 {
        0 => max,
        1..=3 => max / 4,
        _ => 300 + usize::try_from(next() % 6000).unwrap_or(0),
    };
    let mut text = format!(r#"{{"number":{number},"fill":[0"#);
    while text.len() < size.min(max) {
        text.push_str(&format!(",{}", next()));
    }
    text.push_str("]}");
    text
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(dir) = args.next() else {
        eprintln!("usage: store_writer DIR [check]");
        return ExitCode::from(2);
    };
    let only_check = args.next().is_some();
    let max = std::env::var("STORE_WRITER_MAX").ok().and_then(|v| v.parse().ok()).unwrap_or(100_000);
    match run(Path::new(&dir), only_check, max) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            println!("error {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(dir: &Path, only_check: bool, max: usize) -> Result<(), Box<dyn std::error::Error>> {
    let (store, opened) = Store::open(dir, now())?;
    let how = match &opened {
        Opened::Created => "created".to_owned(),
        Opened::Clean => "clean".to_owned(),
        Opened::Recovered { alarm, .. } => format!("recovered ({alarm})"),
    };
    let running = store.running();
    let mut number = running.as_ref().map_or(0, |r| r.number);
    for meta in store.history(usize::MAX) {
        let Some(revision) = store.revision(meta.number)? else {
            return Err(format!("revision {} is not whole", meta.number).into());
        };
        if *revision.document != document(meta.number, max) {
            return Err(format!("revision {} is not what was written", meta.number).into());
        }
    }
    say(&format!("open {number} {how}"))?;
    if only_check {
        return Ok(());
    }
    loop {
        // As an administrator does: edit, then apply what was edited.
        let document = document(number + 1, max);
        let candidate = NewCandidate { base: number, author: "w".into(), document: document.clone() };
        store.set_candidate(candidate, None, now())?;
        let new = NewRevision {
            author: "writer".into(),
            comment: format!("revision {}", number + 1),
            document,
            clear_candidate: true,
            ..NewRevision::default()
        };
        let parent = (number > 0).then_some(number);
        number = store.commit(parent, new, now())?.number;
        say(&format!("ack {number}"))?;
    }
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
