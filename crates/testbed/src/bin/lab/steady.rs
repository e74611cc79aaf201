//! Clients that come at their own pace, whatever becomes of those before them: each request has a connection of its own
//! and begins on schedule. Beside them connections that stay and ask again and again.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::client::{self, Tally};

/// Between two questions of a connection that stays.
const PAUSE: Duration = Duration::from_millis(100);
/// A request needs little.
const STACK: usize = 128 << 10;

pub struct Order {
    pub to: SocketAddr,
    pub count: u32,
    pub spacing: Duration,
    /// For every step of a request, and for an answer on a connection that stays.
    pub timeout: Duration,
    /// Connections that stay.
    pub standing: u32,
}

/// What became of it.
pub struct Outcome {
    tally: Tally,
    count: u32,
    slowest: Duration,
    /// Requests that took longer than half a second.
    slow: u32,
    spacing: Duration,
    achieved: Duration,
    /// The longest that a request began after its time.
    late: Duration,
    standing: u32,
    alive: u32,
    questions: u32,
    longest: Duration,
    why: Vec<String>,
}

impl Outcome {
    pub fn lost_nothing(&self) -> bool {
        self.tally.failures() == 0 && self.alive == self.standing
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_second = |spacing: Duration| 1.0 / spacing.as_secs_f64().max(1e-6);
        let failed = self.tally.failures();
        writeln!(
            f,
            "{} requests, each of its own connection: {} answered, {failed} failed; slowest {} ms, {} above 500 ms",
            self.count,
            self.count - failed,
            self.slowest.as_millis(),
            self.slow
        )?;
        writeln!(
            f,
            "one every {:.2} ms ({:.0}/s) was wanted, one every {:.2} ms ({:.0}/s) began, {} ms late at most",
            self.spacing.as_secs_f64() * 1e3,
            per_second(self.spacing),
            self.achieved.as_secs_f64() * 1e3,
            per_second(self.achieved),
            self.late.as_millis()
        )?;
        writeln!(
            f,
            "{} connections that stayed, {} alive at the end; {} questions answered, longest wait {} ms",
            self.standing,
            self.alive,
            self.questions,
            self.longest.as_millis()
        )?;
        self.why.iter().try_for_each(|why| writeln!(f, "  {why}"))?;
        if failed > 0 { self.tally.fmt(f) } else { Ok(()) }
    }
}

/// Runs it to its end.
pub fn run(order: &Order) -> Result<Outcome> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let stay = || stays(order, &over);
        let standing: Vec<_> = (0..order.standing).map(|_| scope.spawn(stay)).collect();
        let mut outcome = requests(order)?;
        over.store(true, Ordering::Relaxed);
        for thread in standing {
            let (questions, longest, end) = thread.join().unwrap_or_default();
            outcome.questions += questions;
            outcome.longest = outcome.longest.max(longest);
            match end {
                None => outcome.alive += 1,
                Some(why) => outcome.why.push(why),
            }
        }
        Ok(outcome)
    })
}

fn requests(order: &Order) -> Result<Outcome> {
    let (ends, ended) = mpsc::channel();
    let (to, timeout) = (order.to, order.timeout);
    let (begin, mut late) = (Instant::now(), Duration::ZERO);
    let mut last = begin;
    for number in 0..order.count {
        let due = begin + order.spacing * number;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        last = Instant::now();
        late = late.max(last.saturating_duration_since(due));
        let ends = ends.clone();
        let ask = move || {
            let asked = Instant::now();
            let answer = client::request(to, timeout);
            // Nobody waits when the program ends early.
            let _ = ends.send((number, asked.elapsed(), answer));
        };
        thread::Builder::new().stack_size(STACK).spawn(ask).context("starting a request's thread")?;
    }
    drop(ends);
    let achieved = (last - begin) / order.count.saturating_sub(1).max(1);
    let mut outcome = Outcome {
        tally: Tally::default(),
        count: order.count,
        slowest: Duration::ZERO,
        slow: 0,
        spacing: order.spacing,
        achieved,
        late,
        standing: order.standing,
        alive: 0,
        questions: 0,
        longest: Duration::ZERO,
        why: Vec::new(),
    };
    for (number, took, answer) in ended {
        outcome.slowest = outcome.slowest.max(took);
        outcome.slow += u32::from(took > Duration::from_millis(500));
        if let Err(error) = &answer {
            outcome.why.push(format!("request {number} failed after {} ms: {error:#}", took.as_millis()));
        }
        outcome.tally.add(answer);
    }
    Ok(outcome)
}

/// Questions answered, the longest wait, and why it ended early.
fn stays(order: &Order, over: &AtomicBool) -> (u32, Duration, Option<String>) {
    let (mut questions, mut longest) = (0, Duration::ZERO);
    let talk = || -> Result<()> {
        let stream = TcpStream::connect_timeout(&order.to, order.timeout).context("connect")?;
        stream.set_read_timeout(Some(order.timeout)).context("time limit")?;
        let mut reader = BufReader::new(stream.try_clone().context("a second handle")?);
        let mut writer = &stream;
        // Once more after the others' end: that is when it must be alive.
        let mut more = true;
        while more {
            more = !over.load(Ordering::Relaxed);
            let asked = Instant::now();
            writer.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").context("send")?;
            answered(&mut reader)?;
            longest = longest.max(asked.elapsed());
            questions += 1;
            thread::sleep(PAUSE);
        }
        Ok(())
    };
    let end = { talk }().err().map(|why| format!("a connection that stayed ended: {why:#}"));
    (questions, longest, end)
}

/// Reads one answer.
fn answered(reader: &mut BufReader<TcpStream>) -> Result<()> {
    let mut length = None;
    loop {
        let mut line = String::new();
        ensure!(reader.read_line(&mut line).context("receive")? > 0, "the other end has closed it");
        if line.trim().is_empty() {
            break;
        }
        if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = number.trim().parse::<usize>().ok();
        }
    }
    let mut body = vec![0; length.context("an answer without a length")?];
    reader.read_exact(&mut body).context("receive")
}
