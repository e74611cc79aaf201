//! What lbd's answers cost a reader, and the engine: `cargo run --release -p lbd --example answer_cost [SERVICES]`.
//!
//! Two real servers each, a fake kernel with traffic and 100,000 connections. "alone" is the best and the worst time of
//! an answer, and the CPU time of the whole process for one, which a busy machine does not change; "summary beside" is
//! the slowest summary while the others are asked for without a pause: what the engine's thread is held up by them.

use lb_api::{ApplyRequest, BlockingClient, PutCandidate, route};
use lb_model::{Config, Service};
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const ROUNDS: usize = 20;

fn many(n: u16) -> Config {
    let document = r#"{"version":1,"node":{"hostname":"lbmaster","interfaces":[{"name":"eth0","addresses":["10.0.0.21/16"]}]},
      "virtual_servers":[{"label":"V","service":{"kind":"address","address":"10.0.0.21","ports":"80"},"check":{"method":{"type":"on"}},
        "real_servers":[{"label":"R0","address":"10.0.64.1","forwarding":"dr"},{"label":"R1","address":"10.0.64.2","forwarding":"dr"}]}]}"#;
    let mut config = lb_model::migrate(document).expect("the document");
    let model = config.virtual_servers.remove(0);
    for i in 0..n {
        let mut vs = model.clone();
        vs.label = format!("V{i}").parse().expect("a label");
        if let Service::Address { ports, .. } = &mut vs.service {
            *ports = (1000 + i).into();
        }
        config.virtual_servers.push(vs);
    }
    config
}

/// One answer as bytes: what a reader makes of it is his own affair.
fn get(socket: &Path, path: &str) -> (Duration, usize) {
    let started = Instant::now();
    let mut stream = UnixStream::connect(socket).expect("connecting");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: lbd\r\nConnection: close\r\n\r\n").expect("asking");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..200]));
    (started.elapsed(), answer.len())
}

/// Of all threads: lbd's and the reader's.
fn cpu() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn main() {
    let n = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(5000);
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let settings = lbd::Settings::below(dir.path());
    let socket = settings.socket.clone();
    let begin = Instant::now();
    let fake = lb_kernel::Fake::new(&["eth0"]).with_traffic(move || begin.elapsed()).with_connections(100_000);
    thread::spawn(move || lbd::serve(settings, move || Ok(fake)));
    let client = BlockingClient::new(&socket);
    while client.summary().is_err() {
        thread::yield_now();
    }
    let config = many(n);
    client.apply(&ApplyRequest { config: Some(config.clone()), ..Default::default() }).expect("applied");
    let mut edited = config;
    edited.virtual_servers[0].hash_port = false;
    edited.virtual_servers[0].real_servers[0].weight = 7;
    let put = PutCandidate { config: edited, base: None, etag: None, author: "bench".into() };
    client.put_candidate(&put).expect("a candidate");
    println!("{n} virtual servers x 2; best and worst of {ROUNDS}");
    let mut edited = put.config;
    for weight in 1..=5 {
        edited.virtual_servers[0].real_servers[0].weight = weight;
        let put = PutCandidate { config: edited.clone(), base: None, etag: None, author: "bench".into() };
        let (started, before) = (Instant::now(), cpu());
        client.put_candidate(&put).expect("a candidate");
        let (time, used) = (milliseconds(started.elapsed()), milliseconds(cpu() - before));
        println!("an edit, with writing and reading the documents: {time:.2} ms, CPU {used:.2} ms");
    }
    for path in [route::SUMMARY, route::STATUS, route::CANDIDATE, route::RUNNING, route::NETWORK, "/v1/connections"] {
        let mut times: Vec<Duration> = Vec::new();
        let mut size = 0;
        let before = cpu();
        for _ in 0..ROUNDS {
            let (time, bytes) = get(&socket, path);
            (size, _) = (bytes, times.push(time));
        }
        let used = (cpu() - before) / u32::try_from(ROUNDS).unwrap_or(1);
        let (best, worst) = (times.iter().min().copied(), times.iter().max().copied());
        let (stop, mut held) = (AtomicBool::new(false), Duration::ZERO);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    get(&socket, path);
                }
            });
            for _ in 0..ROUNDS * 5 {
                held = held.max(get(&socket, route::SUMMARY).0);
            }
            stop.store(true, Ordering::Relaxed);
        });
        println!(
            "{path:<22} alone {:>8.2} {:>8.2} ms, CPU {:>8.2} ms, {size:>9} bytes; summary beside {:>8.2} ms",
            milliseconds(best.unwrap_or_default()),
            milliseconds(worst.unwrap_or_default()),
            milliseconds(used),
            milliseconds(held)
        );
    }
}
