//! Both kinds of cables pulled at once. The client's network goes on: the two units alone do not hear each other, as behind
//! two switches whose link is cut, or one of them hears nobody at all.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testbed::host::{self, say};
use testbed::limits::{self, wait_until};

use super::{FLOATING, VIP, hot_within, serves, takes_over};
use crate::pair::{Pair, Unit};

/// After any path is back, exactly one owner within this time.
const SETTLED: Duration = Duration::from_secs(1);
/// So long one looks at a pair in which nothing is to happen.
const WATCHED: Duration = Duration::from_secs(5);
/// A unit that served apart was seen to lack a closed connection or two for more than a minute and a half. The cause is
/// not proven: a kernel may take one for the end of another connection of the same client's port. Closed connections are
/// forgotten after two minutes, and it is tried again every minute.
const JOINED: Duration = Duration::from_secs(200);
/// The lab's address that the units ask.
const WITNESS: &str = "10.0.0.31";

/// What comes back first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Cable,
    Networks,
}

pub fn all_paths(pair: &mut Pair) -> Result<()> {
    say("\nBoth kinds of cables at once, without a witness");
    for first in [First::Cable, First::Networks] {
        two_owners_until(pair, first)?;
    }
    say("\nBoth kinds of cables at once, with a witness");
    host::step(&format!("heartbeat.witness.address = {WITNESS}"), || {
        pair.one.ok(&format!("lbctl config set heartbeat.witness.address {WITNESS}"))?;
        pair.one.ok("lbctl apply -m witness")?;
        pair.in_sync()
    })?;
    host::step("unit two is out of reach of everybody: unit one serves all the time", || {
        pair.cable.pull();
        pair.lab.alone(2, true)?;
        let begin = Instant::now();
        alarm(&mut pair.two, "the witness does not answer")?;
        while begin.elapsed() < limits::scaled(WATCHED) {
            ensure!(owners(pair)? == ["unit one"], "unit one does not serve alone");
        }
        pair.lab.fetch(VIP, 20).map(drop)
    })?;
    back(pair, 2)?;
    serves(pair, "unit one")?;
    host::step("unit two has the connections", || hot_within(pair, false, JOINED))?;
    host::step("unit one is out of reach of everybody: unit two serves, never both", || {
        pair.cable.pull();
        pair.lab.alone(1, true)?;
        wait_until("unit two alone to serve", limits::CONVERGE, || {
            let owners = owners(pair)?;
            ensure!(owners.len() < 2, "two owners with a witness");
            Ok((owners == ["unit two"]).then_some(()))
        })?;
        let begin = Instant::now();
        while begin.elapsed() < limits::scaled(WATCHED) {
            ensure!(owners(pair)? == ["unit two"], "unit two does not serve alone");
        }
        pair.lab.fetch(VIP, 20).map(drop)
    })?;
    back(pair, 1)?;
    serves(pair, "unit two").or_else(|error| Err(error).context(pair.logs()?))
}

/// Cut, seen by both, and healed by what comes back first.
fn two_owners_until(pair: &mut Pair, first: First) -> Result<()> {
    host::step("the units do not hear each other: two owners, an alarm on both", || {
        pair.cable.pull();
        pair.lab.apart(true)?;
        wait_until("two owners", limits::CONVERGE, || Ok((owners(pair)?.len() == 2).then_some(())))?;
        for unit in [&mut pair.one, &mut pair.two] {
            alarm(unit, "the peer is silent on every path; it may serve as well")?;
        }
        Ok(())
    })?;
    let path = match first {
        First::Cable => "the null-modem cable",
        First::Networks => "the networks",
    };
    let (owner, took) = host::step(&format!("{path} first: exactly one owner"), || {
        let healed = Instant::now();
        match first {
            First::Cable => pair.cable.plug(),
            First::Networks => pair.lab.apart(false)?,
        }
        let owner = wait_until("one owner", limits::CONVERGE, || {
            let owners = owners(pair)?;
            Ok((owners.len() == 1).then(|| owners[0]))
        })?;
        Ok((owner, healed.elapsed()))
    })?;
    say(&format!("{owner}, {} ms after {path} came back, as seen from outside", took.as_millis()));
    ensure!(took <= limits::scaled(SETTLED), "two owners for {} ms after {path} came back", took.as_millis());
    host::step(&format!("the client finds {owner}, at once"), || found(pair, owner))?;
    match first {
        First::Cable => pair.lab.apart(false)?,
        First::Networks => pair.cable.plug(),
    }
    pair.in_sync()?;
    hot_within(pair, owner == "unit two", JOINED)?;
    if owner == "unit two" {
        takes_over(&mut pair.one)?;
    }
    serves(pair, "unit one")?;
    hot_within(pair, false, JOINED)
}

/// Its requests succeed, and its neighbour table has the right card.
fn found(pair: &mut Pair, owner: &str) -> Result<()> {
    let number = if owner == "unit one" { 1 } else { 2 };
    let said = pair.lab.on("client", &format!("lab steady --to {VIP} --count 100 --spacing 10 --timeout 3"))?;
    say(said.trim());
    let (address, _) = VIP.split_once(':').context("a port")?;
    let table = pair.lab.on("client", &format!("/sbin/ip neigh show {address}"))?;
    ensure!(table.contains(&format!("52:54:00:10:00:2{number}")), "the client believes in another unit: {table}");
    Ok(())
}

fn back(pair: &mut Pair, number: u8) -> Result<()> {
    host::step("everything is plugged in again", || {
        pair.lab.alone(number, false)?;
        pair.cable.plug();
        pair.in_sync()
    })
}

/// Who holds any floating IP. When it looks like both, the first is asked again: it may have let go meanwhile.
fn owners(pair: &mut Pair) -> Result<Vec<&'static str>> {
    let one = !pair.one.holds(FLOATING)?.is_empty();
    let two = !pair.two.holds(FLOATING)?.is_empty();
    let one = one && (!two || !pair.one.holds(FLOATING)?.is_empty());
    Ok([("unit one", one), ("unit two", two)].into_iter().filter_map(|(name, holds)| holds.then_some(name)).collect())
}

/// Until the unit's page has this one, and its log.
fn alarm(unit: &mut Unit, text: &str) -> Result<()> {
    let what = format!("{} to say: {text}", unit.name);
    wait_until(&what, limits::CONVERGE, || {
        let shown = unit.ha("/alarms")?.to_string().contains(text);
        Ok((shown && unit.ok("lbctl log heartbeat -n 40")?.contains(text)).then_some(()))
    })
    .or_else(|error| Err(error).with_context(|| unit.ok("lbctl ha").unwrap_or_default()))
}
