//! `kill -9` at random moments: what was acknowledged is there, whole.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const KILLS: usize = 200;

/// Each open reads all documents again: small ones keep the test short.
const MAX: (&str, &str) = ("STORE_WRITER_MAX", "20000");

/// Cargo builds examples before it runs tests and puts them beside the test's own folder.
fn writer() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let path = exe.parent().unwrap().parent().unwrap().join("examples/store_writer");
    assert!(path.exists(), "{} is missing: run `cargo test -p lb-store`", path.display());
    path
}

/// A small generator, so that a seed printed is a run repeated.
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

/// When the time of a run is counted from.
#[derive(Clone, Copy, PartialEq)]
enum From {
    Start,
    /// The store is open: commits are under way.
    Open,
    /// One commit was acknowledged.
    FirstAck,
}

/// Start the writer, kill it `life` after `from`; its lines.
fn run_and_kill(dir: &Path, from: From, life: Duration) -> Vec<String> {
    let mut child = Command::new(writer()).arg(dir).env(MAX.0, MAX.1).stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (line, lines_seen) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let lines = out.lines().map_while(Result::ok);
        // Nobody listens to the later ones.
        lines.inspect(|_| line.send(()).unwrap_or(())).collect::<Vec<_>>()
    });
    let awaited = match from {
        From::Start => 0,
        From::Open => 1,
        From::FirstAck => 2,
    };
    for _ in 0..awaited {
        // An error means that the writer ended by itself: its last line says why.
        let _ = lines_seen.recv();
    }
    // The moment of the kill is what the test draws at random: not a wait for a state.
    std::thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    drop(lines_seen);
    reader.join().unwrap()
}

#[test]
fn two_hundred_kills_lose_nothing_that_was_acknowledged() {
    let mut random = Random(seed());
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("store");
    let mut acknowledged = 0u64;
    let (mut acks, mut before_open, mut in_flight) = (0, 0, 0);
    for kill in 0..=KILLS {
        let from = match random.below(4) {
            0 | 1 => From::Start,
            2 => From::Open,
            // However slow the machine is.
            _ => From::FirstAck,
        };
        let life = Duration::from_micros(random.below(60_000));
        // The last run only looks how the last kill was survived.
        let lines = if kill == KILLS {
            let out = Command::new(writer()).arg(&dir).arg("check").env(MAX.0, MAX.1).output().unwrap();
            String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
        } else {
            run_and_kill(&dir, from, life)
        };
        let mut saw_open = false;
        for line in &lines {
            let mut words = line.split(' ');
            let word = words.next().unwrap();
            let number = words.next().and_then(|n| n.parse::<u64>().ok());
            match (word, number) {
                ("open", Some(number)) => {
                    saw_open = true;
                    assert!(line.ends_with("clean") || acknowledged == 0, "kill {kill}: {line}");
                    assert!(
                        number == acknowledged || number == acknowledged + 1,
                        "kill {kill}: acknowledged {acknowledged}, found {number}"
                    );
                    in_flight += u64::from(number == acknowledged + 1);
                    acknowledged = number;
                }
                ("ack", Some(number)) => {
                    assert_eq!(number, acknowledged + 1);
                    acknowledged = number;
                    acks += 1;
                }
                _ => panic!("kill {kill}: {line}"),
            }
        }
        before_open += u64::from(!saw_open);
        assert!(kill < KILLS || saw_open, "{lines:?}");
    }
    println!(
        "{KILLS} kills: {acks} acknowledged, {before_open} before the store was open, {in_flight} found one in flight"
    );
    assert!(acks > KILLS / 8, "the kills came too early to say anything: {acks}");
}
