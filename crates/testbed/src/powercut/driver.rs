//! Boot, kill, cut, boot again; and judge.
//!
//! Generic over the guest: it speaks these lines on its serial console, everything else is kept
//! for the report.
//! ```text
//!   mounted                      the disk is there, the store not yet open
//!   open N clean|created|...     the store came up with revision N running
//!   ack N                        revision N was acknowledged
//! ```

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::disk::Fuse;
use super::{Mode, Random, Server};

/// From the start of QEMU to the store open; TCG on a loaded machine takes 10 to 20 s.
const BOOT: Duration = Duration::from_secs(120);

/// Lines of the console that a failure shows.
const SHOWN: usize = 60;

#[derive(Debug, Clone)]
pub struct Plan {
    pub cuts: u32,
    pub seed: u64,
    /// The guest is cut at 0..this after its store is open.
    pub longest_life: Duration,
    /// Every n-th cut is timed from `mounted` instead, to hit the opening of the store; 0 = none.
    pub aim_at_open: u32,
}

/// What happened, in numbers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Summary {
    pub cuts: u32,
    pub keep: u32,
    pub drop: u32,
    pub random: u32,
    /// Cuts before the guest had its store open.
    pub before_open: u32,
    pub acknowledged: u64,
    /// Reopens that found the revision that was in flight at the cut.
    pub in_flight: u32,
    /// Writes that were in the cache at the cuts.
    pub writes_cut: usize,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Summary { cuts, keep, drop, random, before_open, acknowledged, in_flight, writes_cut } = self;
        write!(
            f,
            "{cuts} cuts ({keep} keep, {drop} drop, {random} random; {before_open} before the store was \
             open; {writes_cut} writes in the cache): {acknowledged} acknowledged, 0 lost, {in_flight} \
             found one in flight"
        )
    }
}

/// When a cut comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// A part of the life after `mounted`: while the store opens.
    Opening,
    /// Its life after `open`.
    AnyTime,
    /// With the first `ack` after that: a sync that is missing or comes too late shows here.
    AtAck,
    /// After that, with the n-th write or flush from then on: in the middle of a commit.
    AtRequest(u32),
}

/// Writes and flushes of two or three commits.
const REQUESTS: u64 = 16;

/// How often a blown fuse is looked for; the disk itself has stopped at once.
const LOOK: Duration = Duration::from_millis(5);

enum Line {
    Mounted,
    Open { number: u64, how: String },
    Ack(u64),
    Other,
}

fn parse(line: &str) -> Line {
    let line = line.trim();
    let mut words = line.splitn(3, ' ');
    let word = words.next().unwrap_or("");
    let number = words.next().and_then(|n| n.parse().ok());
    match (word, number) {
        ("mounted", None) => Line::Mounted,
        ("open", Some(number)) => Line::Open { number, how: words.next().unwrap_or("").to_owned() },
        ("ack", Some(number)) => Line::Ack(number),
        _ => Line::Other,
    }
}

/// A guest under way: its console line by line, killed when dropped.
struct Guest {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Guest {
    fn start(mut command: Command) -> io::Result<Guest> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let (sender, lines) = mpsc::channel();
        if let Some(out) = child.stdout.take() {
            std::thread::spawn(move || {
                // A killed guest leaves half a line: it must not read as a whole one.
                let mut out = BufReader::new(out);
                let mut line = Vec::new();
                while out.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                    if line.ends_with(b"\n") {
                        let _ = sender.send(String::from_utf8_lossy(&line).trim().to_owned());
                    }
                    line.clear();
                }
            });
        }
        Ok(Guest { child, lines })
    }

    fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

struct Judge {
    acknowledged: u64,
    console: VecDeque<String>,
    summary: Summary,
}

impl Judge {
    /// Hold a line against what was acknowledged.
    fn hear(&mut self, text: String) -> anyhow::Result<Line> {
        let line = parse(&text);
        if self.console.len() == SHOWN {
            self.console.pop_front();
        }
        self.console.push_back(text);
        match &line {
            Line::Open { number, how } => {
                if *number != self.acknowledged && *number != self.acknowledged + 1 {
                    bail!("acknowledged {}, found {number}", self.acknowledged);
                }
                if how != "clean" && !(how == "created" && self.acknowledged == 0) {
                    bail!("a power cut is no damage, but the store came up as: {how}");
                }
                self.summary.in_flight += u32::from(*number != self.acknowledged);
                self.acknowledged = *number;
            }
            Line::Ack(number) => {
                if *number != self.acknowledged + 1 {
                    bail!("acknowledged {} after {}", number, self.acknowledged);
                }
                self.acknowledged = *number;
                self.summary.acknowledged += 1;
            }
            Line::Mounted | Line::Other => {}
        }
        Ok(line)
    }
}

/// Cut `plan.cuts` times. `launch` makes the command that boots the guest on the drive given (a
/// value for `qemu -drive`), with its serial console on standard output. `progress` gets a line
/// per cut.
pub fn run(
    plan: &Plan,
    server: &Server,
    launch: impl Fn(&str) -> Command,
    mut progress: impl FnMut(&str),
) -> anyhow::Result<Summary> {
    let mut random = Random::new(plan.seed);
    let mut judge = Judge { acknowledged: 0, console: VecDeque::new(), summary: Summary::default() };
    for cut in 1..=plan.cuts {
        let moment = match cut {
            _ if plan.aim_at_open != 0 && cut % plan.aim_at_open == 0 => Moment::Opening,
            _ => match random.below(6) {
                0 => Moment::AnyTime,
                1 | 2 => Moment::AtAck,
                _ => Moment::AtRequest(1 + u32::try_from(random.below(REQUESTS)).unwrap_or(0)),
            },
        };
        let life = Duration::from_micros(random.below(plan.longest_life.as_micros() as u64 + 1));
        let mode = match random.below(5) {
            0 => Mode::Keep,
            1 | 2 => Mode::Drop,
            _ => Mode::Random(random.below(u64::MAX >> 12)),
        };
        judge.console.clear();
        let one = one_cut(server, launch(&server.drive()), moment, life, mode, &mut judge);
        let waiting = one.with_context(|| failure(plan, cut, mode, &judge))?;
        match mode {
            Mode::Keep => judge.summary.keep += 1,
            Mode::Drop => judge.summary.drop += 1,
            Mode::Random(_) => judge.summary.random += 1,
        }
        judge.summary.cuts += 1;
        judge.summary.writes_cut += waiting;
        progress(&format!(
            "cut {cut}/{}: {moment:?}, {mode:?} after {} ms, {waiting} writes in the cache, acknowledged {}",
            plan.cuts,
            life.as_millis(),
            judge.acknowledged
        ));
    }
    // How the last cut was survived.
    judge.console.clear();
    let last = one_cut(server, launch(&server.drive()), Moment::AnyTime, Duration::ZERO, Mode::Keep, &mut judge);
    last.with_context(|| failure(plan, plan.cuts, Mode::Keep, &judge))?;
    Ok(judge.summary)
}

fn failure(plan: &Plan, cut: u32, mode: Mode, judge: &Judge) -> String {
    let console: Vec<_> = judge.console.iter().map(String::as_str).collect();
    format!("SEED={} cut {cut} ({mode:?} to come)\nconsole:\n{}", plan.seed, console.join("\n"))
}

fn one_cut(
    server: &Server,
    command: Command,
    moment: Moment,
    life: Duration,
    mode: Mode,
    judge: &mut Judge,
) -> anyhow::Result<usize> {
    let mut guest = Guest::start(command).context("starting the guest")?;
    let mut end = Instant::now() + BOOT;
    let (mut timed, mut opened, mut at_ack, mut armed) = (false, false, false, false);
    while !server.is_off() {
        let left = end.saturating_duration_since(Instant::now());
        match guest.lines.recv_timeout(if armed { left.min(LOOK) } else { left }) {
            Ok(text) => match judge.hear(text)? {
                Line::Mounted if moment == Moment::Opening => {
                    timed = true;
                    // Opening takes a fraction of the time that commits are watched for.
                    end = Instant::now() + life / 4;
                }
                Line::Open { .. } => {
                    opened = true;
                    if !timed {
                        timed = true;
                        end = Instant::now() + life;
                    }
                }
                Line::Ack(_) if at_ack => break,
                Line::Mounted | Line::Ack(_) | Line::Other => {}
            },
            Err(RecvTimeoutError::Timeout) if armed && Instant::now() < end => {}
            Err(RecvTimeoutError::Timeout) if armed => bail!("no write for {BOOT:?}"),
            Err(RecvTimeoutError::Timeout) if at_ack => bail!("no ack for {BOOT:?}"),
            Err(RecvTimeoutError::Timeout) if !timed => bail!("the store was not open after {BOOT:?}"),
            Err(RecvTimeoutError::Timeout) => {
                end = Instant::now() + BOOT;
                match moment {
                    Moment::Opening | Moment::AnyTime => break,
                    Moment::AtAck => at_ack = true,
                    Moment::AtRequest(requests) => {
                        armed = true;
                        server.arm(Fuse { requests, mode });
                    }
                }
            }
            // It noticed that its disk is gone.
            Err(RecvTimeoutError::Disconnected) if server.is_off() => {}
            Err(RecvTimeoutError::Disconnected) => bail!("the guest ended by itself"),
        }
    }
    guest.kill().context("killing the guest")?;
    let waiting = server.cut(mode).context("cutting the disk")?;
    // What it said before it died counts.
    while let Ok(text) = guest.lines.recv_timeout(Duration::from_secs(5)) {
        opened |= matches!(judge.hear(text)?, Line::Open { .. });
    }
    judge.summary.before_open += u32::from(!opened);
    Ok(waiting)
}
