//! A planned take-over loses nothing: clients come at their own pace, some stay, and the pair changes its mind meanwhile.
//!
//! `PAIR_REQUESTS` and `PAIR_SPACING` (milliseconds) change how many come, and how quickly; `PAIR_REST` (seconds) how long
//! the pair stays as it is between two take-overs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testbed::host::{self, say};
use testbed::limits;

use super::{FLOATING, VIP, hot, serves, takes_over};
use crate::pair::Pair;

/// Twice as many on a machine whose limits are stretched, where a take-over takes longer.
const REQUESTS: u32 = 1000;
/// The real servers' network.
const INSIDE: &str = "192.168.2.0/24";
/// Milliseconds. Three emulated machines on two busy cores have not kept up with ten: lbd was unfit, for want of time.
const SPACING: f64 = 20.0;
/// Seconds. None: a take-over as soon as the other unit has every connection.
const REST: f64 = 0.0;
/// Connections that stay.
const STANDING: u32 = 8;
/// With fewer, the run says little.
const LEAST: u32 = 2;

fn setting<T: std::str::FromStr>(name: &str, usual: T) -> Result<T> {
    match std::env::var(name) {
        Ok(text) => text.parse().ok().with_context(|| format!("{name}={text} is no number")),
        Err(_) => Ok(usual),
    }
}

fn requests() -> u32 {
    let stretched = limits::scaled(limits::CONVERGE) > limits::CONVERGE;
    if stretched { 2 * REQUESTS } else { REQUESTS }
}

pub fn back_and_forth(pair: &mut Pair) -> Result<()> {
    say("\nBack and forth, by order, and clients do not notice");
    // A client that can route real servers' own addresses refuses answers from there: what must not happen either.
    pair.lab.on("client", &format!("/sbin/ip route replace {INSIDE} via {}", VIP.trim_end_matches(":80")))?;
    let (count, spacing) = (setting("PAIR_REQUESTS", requests())?, setting("PAIR_SPACING", SPACING)?);
    let command = format!("lab steady --to {VIP} --count {count} --spacing {spacing} --standing {STANDING}");
    pair.lab.begin("steady", &command)?;
    let limit = limits::CONVERGE + Duration::from_secs_f64(f64::from(count) * spacing / 1000.0);
    let rest = Duration::from_secs_f64(setting("PAIR_REST", REST)?);
    let moved = moves(pair, rest).and_then(|moves| Ok((moves, pair.lab.ended("steady", limit)?)));
    let (moves, said) = moved.or_else(|error| Err(error).context(pair.logs()?))?;
    say(&format!("{moves} take-overs meanwhile; {said}"));
    ensure!(moves >= LEAST, "only {moves} take-overs in so many requests");
    // Where the story goes on.
    hot(pair, true)?;
    if pair.one_owner(FLOATING)? == "unit two" {
        takes_over(&mut pair.one)?;
    }
    serves(pair, "unit one")
}

/// Take-overs until the clients have what they wanted.
fn moves(pair: &mut Pair, rest: Duration) -> Result<u32> {
    let (mut moves, mut before) = (0, Instant::now());
    while !pair.lab.has_ended("steady")? {
        if before.elapsed() < rest {
            std::thread::sleep(Duration::from_millis(200));
            continue;
        }
        let one = pair.one_owner(FLOATING)? == "unit two";
        let name = if one { "unit one" } else { "unit two" };
        host::step(&format!("{name} is hot, and lbctl ha takeover there"), || {
            hot(pair, one)?;
            takes_over(if one { &mut pair.one } else { &mut pair.two })
        })?;
        moves += 1;
        before = Instant::now();
    }
    Ok(moves)
}
