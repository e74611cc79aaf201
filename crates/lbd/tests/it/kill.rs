//! `kill -9` of the program at random moments of a stream of applies: what was acknowledged runs again, whole.
//!
//! `LBD_KILLS` says how often (200 before a release), `SEED` repeats a run.

use lb_api::{ApplyRequest, BlockingClient, PutCandidate};
use lb_model::Config;
use std::{
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

const KILLS: u64 = 60;

/// Microseconds within which a kill comes.
const LIFE: u64 = 60_000;

/// Long enough for a loaded machine; an lbd that does not answer by then does not answer.
const LIMIT: Duration = Duration::from_secs(20);

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

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// The configuration of revision `number`, a function of the number alone: that of the guide, and up to 60 further
/// virtual servers.
fn document(number: u64) -> Config {
    if number == 0 {
        return lb_model::factory();
    }
    let mut config = crate::rig::guide_unchecked();
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let first = config.virtual_servers[0].clone();
    let further = if mixed.is_multiple_of(8) { 60 } else { mixed / 8 % 4 };
    for further in 0..further {
        let mut server = first.clone();
        server.label = format!("Server_{further}").parse().expect("a label");
        server.service = serde_json::from_str(&format!(
            r#"{{"kind":"address","address":"10.0.0.21","ports":"{}"}}"#,
            1000 + further
        ))
        .expect("a service");
        server.real_servers[0].weight = u32::try_from((mixed + further) % 65_536).expect("a weight");
        config.virtual_servers.push(server);
    }
    config.virtual_servers[0].label = format!("Revision_{number}").parse().expect("a label");
    config.virtual_servers[0].real_servers[0].weight = u32::try_from(number % 65_536).expect("a weight");
    config
}

fn start(dir: &tempfile::TempDir) -> Child {
    let at = |name: &str| dir.path().join(name);
    Command::new(env!("CARGO_BIN_EXE_lbd"))
        .arg("--fake-kernel")
        .args(["--state".as_ref(), at("lb").as_os_str()])
        .args(["--run".as_ref(), at("run").as_os_str()])
        .args(["--socket".as_ref(), at("lbd.sock").as_os_str()])
        .stderr(Stdio::null())
        .spawn()
        .expect("starting lbd")
}

/// What a client saw of one life of lbd.
#[derive(Debug, Default)]
struct Life {
    /// The revision that ran at the start, if lbd lived long enough to say.
    found: Option<u64>,
    acknowledged: Option<u64>,
}

/// Waits for lbd, holds what runs against what was applied, then applies until lbd is dead. Tells of both, and of each
/// apply.
fn apply_until(dead: &AtomicBool, client: &BlockingClient, news: &mpsc::Sender<()>) -> Life {
    let mut life = Life::default();
    let end = Instant::now() + LIMIT;
    let status = loop {
        match client.status() {
            Ok(status) => break status,
            Err(_) if dead.load(Ordering::SeqCst) => return life,
            Err(error) => assert!(Instant::now() < end, "lbd does not answer: {error}"),
        }
        thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(status.alarms, [] as [String; 0], "a kill is no damage");
    // From here on a call that fails means the kill.
    let Ok(running) = client.running() else { return life };
    let mut number = running.revision.number;
    assert_eq!(status.revision, number);
    assert_eq!(running.config, document(number), "revision {number} is not what was applied");
    life.found = Some(number);
    let _ = news.send(());
    loop {
        let config = document(number + 1);
        let request = if number % 2 == 0 {
            ApplyRequest { config: Some(config), base: Some(number), ..Default::default() }
        } else {
            // As an administrator does: edit, then apply what was edited.
            let put = PutCandidate { config, base: Some(number), etag: None, author: "test".into() };
            match client.put_candidate(&put) {
                Ok(_) => ApplyRequest::default(),
                Err(error) => return refused(dead, &error, life),
            }
        };
        match client.apply(&request) {
            Ok(applied) => assert_eq!(applied.revision.number, number + 1),
            Err(error) => return refused(dead, &error, life),
        }
        number += 1;
        life.acknowledged = Some(number);
        let _ = news.send(());
    }
}

/// A broken connection is the kill, which is noted as done a moment later; a refusal never is.
fn refused(dead: &AtomicBool, error: &lb_api::ClientError, life: Life) -> Life {
    assert!(!matches!(error, lb_api::ClientError::Refused(_)), "{error}");
    let end = Instant::now() + LIMIT;
    while !dead.load(Ordering::SeqCst) {
        assert!(Instant::now() < end, "lbd ended by itself: {error}");
        thread::sleep(Duration::from_millis(1));
    }
    life
}

#[test]
fn kills_at_random_moments_lose_nothing_that_was_acknowledged() {
    let kills = from_environment("LBD_KILLS", KILLS);
    let seed = from_environment("SEED", std::time::UNIX_EPOCH.elapsed().map_or(1, |d| d.subsec_nanos().into()));
    println!("SEED={seed}");
    let mut random = Random(seed | 1);
    let dir = tempfile::tempdir().expect("a directory");
    let client = BlockingClient::new(dir.path().join("lbd.sock"));
    let started = Instant::now();
    let mut last = 0;
    let (mut applies, mut before_open, mut in_flight) = (0, 0, 0);
    for kill in 0..=kills {
        // The last life only shows how the last kill was survived.
        let at_start = kill < kills && random.below(3) == 0;
        // Every fourth life sees an apply, however slow the machine is.
        let awaited = match at_start {
            true => 0,
            false => 1 + usize::from(kill % 4 == 1),
        };
        let moment = Duration::from_micros(random.below(LIFE));
        let (dead, (news, told)) = (AtomicBool::new(false), mpsc::channel());
        let mut child = start(&dir);
        let life = thread::scope(|scope| {
            let (dead, client) = (&dead, &client);
            let applier = scope.spawn(move || apply_until(dead, client, &news));
            for _ in 0..awaited {
                // An error means that the applier has failed, and its panic says why.
                let _ = told.recv();
            }
            // The moment of the kill is what the test draws at random: not a wait for a state.
            thread::sleep(moment);
            let ended = child.try_wait().expect("looking after lbd");
            child.kill().expect("killing lbd");
            child.wait().expect("its end");
            dead.store(true, Ordering::SeqCst);
            assert!(ended.is_none(), "kill {kill}: lbd ended by itself: {ended:?}");
            applier.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        match life.found {
            None => before_open += 1,
            Some(found) => {
                assert!(found == last || found == last + 1, "kill {kill}: acknowledged {last}, found {found}");
                in_flight += u64::from(found != last);
                let newest = life.acknowledged.unwrap_or(found);
                applies += newest - found;
                last = newest;
            }
        }
        assert!(kill < kills || life.found.is_some());
    }
    println!(
        "{kills} kills in {:?}: {applies} applies acknowledged, 0 lost; {before_open} before lbd answered, {in_flight} found one in flight",
        started.elapsed()
    );
    assert!(applies > kills / 8, "the kills came too early to say anything: {applies}");
}
