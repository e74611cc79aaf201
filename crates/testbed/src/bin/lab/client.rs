//! Sends requests and counts who answered. One connection per request: every one is a decision of the scheduler.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Answers per server and failures per reason.
#[derive(Debug, Default)]
pub struct Tally {
    answers: BTreeMap<String, u32>,
    failed: BTreeMap<String, u32>,
}

impl Tally {
    pub fn add(&mut self, outcome: Result<String>) {
        match outcome {
            Ok(name) => *self.answers.entry(name).or_default() += 1,
            Err(error) => *self.failed.entry(format!("{error:#}")).or_default() += 1,
        }
    }

    fn merge(&mut self, other: Tally) {
        for (name, count) in other.answers {
            *self.answers.entry(name).or_default() += count;
        }
        for (reason, count) in other.failed {
            *self.failed.entry(reason).or_default() += count;
        }
    }

    /// How many requests had no answer.
    pub fn failures(&self) -> u32 {
        self.failed.values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u32 = self.answers.values().sum();
        writeln!(f, "real server        requests   share")?;
        for (name, count) in &self.answers {
            writeln!(f, "{name:<18} {count:>8}   {:>4.0}%", f64::from(*count) * 100.0 / f64::from(total))?;
        }
        writeln!(f, "failed             {:>8}", self.failures())?;
        for (reason, count) in &self.failed {
            writeln!(f, "  {count} x {reason}")?;
        }
        Ok(())
    }
}

/// `count` requests, `concurrency` at a time.
pub fn fetch(to: SocketAddr, count: u32, concurrency: u32, timeout: Duration) -> Tally {
    let left = AtomicU32::new(count);
    let more = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
    together(concurrency, to, timeout, &more)
}

/// Requests for `time`, `concurrency` at a time.
pub fn load(to: SocketAddr, time: Duration, concurrency: u32, timeout: Duration) -> Tally {
    let end = Instant::now() + time;
    together(concurrency, to, timeout, &|| Instant::now() < end)
}

fn together(concurrency: u32, to: SocketAddr, timeout: Duration, more: &(dyn Fn() -> bool + Sync)) -> Tally {
    let mut tally = Tally::default();
    thread::scope(|scope| {
        let worker = || {
            let mut own = Tally::default();
            while more() {
                own.add(request(to, timeout));
            }
            own
        };
        let workers: Vec<_> = (0..concurrency.max(1)).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            tally.merge(worker.join().unwrap_or_default());
        }
    });
    tally
}

/// One request; the first word of the answer's body is the server's name.
pub fn request(to: SocketAddr, timeout: Duration) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, timeout).context("connect")?;
    stream.set_read_timeout(Some(timeout)).context("time limit")?;
    stream.set_write_timeout(Some(timeout)).context("time limit")?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {to}\r\n\r\n").context("send")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("receive")?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("no whole answer")?;
    let promised = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length:").and_then(|n| n.trim().parse::<usize>().ok())
    });
    if promised.is_some_and(|length| length != body.len()) {
        anyhow::bail!("answer cut short");
    }
    let status = head.lines().next().unwrap_or_default();
    match body.split_whitespace().next() {
        Some(name) if status.contains(" 200") && !name.starts_with('<') => Ok(name.to_string()),
        _ => Ok(format!("({})", status.trim_start_matches("HTTP/1.0 ").trim_start_matches("HTTP/1.1 "))),
    }
}

/// `count` datagrams.
pub fn udp(to: SocketAddr, count: u32, timeout: Duration) -> Result<Tally> {
    let mut tally = Tally::default();
    let any: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    for _ in 0..count {
        let socket = UdpSocket::bind(any).context("opening a UDP socket")?;
        socket.set_read_timeout(Some(timeout)).context("time limit")?;
        tally.add(ask(&socket, to));
    }
    Ok(tally)
}

fn ask(socket: &UdpSocket, to: SocketAddr) -> Result<String> {
    socket.connect(to).context("connect")?;
    socket.send(b"who").context("send")?;
    let mut answer = [0; 256];
    let length = socket.recv(&mut answer).context("receive")?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}
