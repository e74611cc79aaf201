//! `cargo xtask demo --pair`: two appliances become one, before the reader's eyes; `cargo xtask test pair` is the same
//! without a reader.
//!
//! The units are set up by their wizards, paired over the null-modem cable; cables are pulled, the one that serves is
//! switched off in the middle of a download, and comes back as the slave; planned take-overs while clients come and stay;
//! both kinds of cables at once (`PAIR_SPLIT`). Exactly one owner of every floating IP after each step, but where nobody
//! can know.

mod planned;
mod split;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::host::{self, say};
use testbed::image::{self, Appliance, Hardware};
use testbed::lab::Lab;
use testbed::limits::{self, wait_until};

use super::{steps, until_ctrl_c};
use crate::pair::{Pair, Unit};
use crate::{appliance, console};

const VIP: &str = "10.0.0.20:80";
const FLOATING: &[&str] = &["10.0.0.20", "192.168.2.20"];
const REQUESTS: u32 = 100;
/// The defaults.
const WARNTIME: Duration = Duration::from_millis(200);
const DEADTIME: Duration = Duration::from_millis(400);
/// The file that is fetched while a unit dies, in seconds.
const DOWNLOAD: u32 = 15;

pub fn demo(exit: bool) -> Result<()> {
    say("Steelyard demo: two appliances as a pair, a client and two real servers, in three QEMU machines.");
    host::install_missing_tools()?;
    say("Building (the first time takes some minutes):");
    let built = image::build(Hardware::Virtual)?;
    let guest = image::guest_base()?;
    let folder = appliance::tempfolder()?;
    say("Booting:");
    let told = Pair::start(&built, &guest, &folder).and_then(|mut pair| {
        story(&mut pair, &built)?;
        if exit { Ok(()) } else { stay(pair) }
    });
    let _ = std::fs::remove_dir_all(&folder);
    told
}

fn story(pair: &mut Pair, built: &Appliance) -> Result<()> {
    say("\nTwo units out of the box");
    steps::pair(pair.two.shell()?, pair.one.shell()?)?;
    host::step("both have the same configuration", || pair.in_sync())?;
    patience(pair)?;
    serves(pair, "unit one")?;
    host::step("the slave has the master's connections", || hot(pair, false))?;
    say(&pair.two.ok("lbctl ha")?);

    say("\nOne cable at a time");
    cable_by_cable(pair)?;

    say("\nThe plug of the unit that serves");
    pair.lab.download(VIP, DOWNLOAD)?;
    host::step("unit one is switched off in the middle of a download", || {
        known(&mut pair.lab, &mut pair.two)?;
        pair.one.power_off(&pair.lab)
    })?;
    serves(pair, "unit two")?;
    let said = host::step("the download goes on, and is what was sent", || {
        let end = pair.lab.ended("download", limits::CONVERGE + Duration::from_secs(DOWNLOAD.into()));
        end.or_else(|error| {
            let table = pair.two.ok("ipvsadm -Lnc | grep -v TIME_WAIT")?;
            let client = pair.lab.on("client", "ss -tnoi")?;
            let servers = pair.lab.on("rs1", "ss -tnoi")? + &pair.lab.on("rs2", "ss -tnoi")?;
            Err(error).with_context(|| format!("unit two:\n{table}\nclient:\n{client}\nservers:\n{servers}"))
        })
    })?;
    say(said.trim());
    say(pair.two.ok("lbctl log heartbeat -n 8")?.trim());

    say("\nIt comes back");
    host::step("meanwhile a server is drained on unit two", || {
        pair.two.ok("lbctl drain HTTP_Cluster WebServer2").map(drop)
    })?;
    host::step("unit one is switched on", || pair.one.power_on(built, &pair.lab))?;
    host::step("both have the same configuration", || pair.in_sync())?;
    let state = pair.one.ok("lbctl config show virtual_servers.HTTP_Cluster.real_servers.WebServer2.state")?;
    ensure!(state.contains("drain"), "unit one did not catch up: {state}");
    ensure!(pair.one_owner(FLOATING)? == "unit two", "the floating IPs moved");
    host::step("the server is online again", || pair.two.ok("lbctl online HTTP_Cluster WebServer2").map(drop))?;
    serves(pair, "unit two")?;
    host::step("unit one has the connections", || hot(pair, true))?;

    say("\nBack, by order");
    host::step("lbctl ha takeover on unit one, in the middle of a download", || {
        pair.lab.download(VIP, DOWNLOAD)?;
        known(&mut pair.lab, &mut pair.one)?;
        takes_over(&mut pair.one)
    })?;
    let limit = limits::CONVERGE + Duration::from_secs(DOWNLOAD.into());
    say(&host::step("the download goes on, and is what was sent", || pair.lab.ended("download", limit))?);
    serves(pair, "unit one")?;
    say(&pair.one.ok("lbctl ha")?);
    planned::back_and_forth(pair)?;
    // By name only, until it has run to its end on a quiet machine.
    if std::env::var_os("PAIR_SPLIT").is_some() { split::all_paths(pair) } else { Ok(()) }
}

/// A machine that runs its guests by fits and starts (`STEELYARD_SLOW`) delays beats by more than the default dead time.
fn patience(pair: &mut Pair) -> Result<()> {
    let (warntime, deadtime) = (limits::scaled(WARNTIME).as_millis(), limits::scaled(DEADTIME).as_millis());
    if deadtime == DEADTIME.as_millis() {
        return Ok(());
    }
    host::step(&format!("a slow machine: a dead time of {deadtime} ms"), || {
        let two = pair.one_owner(FLOATING)? == "unit two";
        let unit = if two { &mut pair.two } else { &mut pair.one };
        let times = [
            ("initdead_ms", (deadtime * 2).max(5000)),
            ("lease_ms", (deadtime * 2).max(2000)),
            ("deadtime_ms", deadtime),
            ("warntime_ms", warntime),
        ];
        for (name, milliseconds) in times {
            unit.ok(&format!("lbctl config set heartbeat.{name} {milliseconds}"))?;
        }
        unit.ok("lbctl apply -m patience")?;
        pair.in_sync()?;
        if two {
            hot(pair, true)?;
            takes_over(&mut pair.one)?;
        }
        Ok(())
    })
}

/// Exactly one owner, the right one, and nobody's request is lost.
fn serves(pair: &mut Pair, name: &'static str) -> Result<()> {
    host::step(&format!("{name} has every floating IP, the other none; {REQUESTS} requests"), || {
        wait_until(&format!("{name} to serve"), limits::CONVERGE, || {
            Ok((pair.one_owner(FLOATING)? == name).then_some(()))
        })?;
        let mut last = String::new();
        wait_until("requests to both servers, none lost", limits::CONVERGE, || {
            last = pair.lab.fetch(VIP, REQUESTS).unwrap_or_else(|error| format!("{error:#}"));
            Ok((last.contains("rs1") && last.contains("rs2")).then_some(()))
        })
        .with_context(|| last)
    })
}

fn hot(pair: &mut Pair, one: bool) -> Result<()> {
    hot_within(pair, one, limits::CONVERGE)
}

fn hot_within(pair: &mut Pair, one: bool, limit: Duration) -> Result<()> {
    let unit = if one { &mut pair.one } else { &mut pair.two };
    wait_until("the unit to be hot", limit, || Ok((unit.ha("/hot")? == true).then_some(())))
        .or_else(|error| Err(error).with_context(|| unit.ok("lbctl ha").unwrap_or_default()))
}

/// By order, given again while it is refused: who was hot a moment ago may not be so at this one.
fn takes_over(unit: &mut Unit) -> Result<()> {
    let mut said = String::new();
    wait_until("lbctl ha takeover to be carried out", limits::CONVERGE, || {
        let answer = unit.shell()?.run("lbctl ha takeover")?;
        said = answer.text;
        Ok((answer.status == 0 || said.contains("serves already")).then_some(()))
    })
    .with_context(|| said)
}

/// Waits until the unit that stands by has the download: of a quiet unit's connections it hears after two to three seconds.
fn known(lab: &mut Lab, standby: &mut Unit) -> Result<()> {
    let client = wait_until("the download to begin", limits::CONVERGE, || {
        let sockets = lab.on("client", "ss -Htn state established dport = :80")?;
        Ok(sockets.split_whitespace().nth(2).map(str::to_owned))
    })?;
    wait_until("the stand-by unit to know of the download", limits::CONVERGE, || {
        let table = standby.ok("ipvsadm -Lnc")?;
        let mine = |line: &&str| line.contains(&format!(" {client} ")) && line.contains("ESTABLISHED");
        Ok(table.lines().find(mine).map(drop))
    })
}

/// Nothing moves while a path works, and both units say which one does not.
fn cable_by_cable(pair: &mut Pair) -> Result<()> {
    host::step("the null-modem cable is pulled: nothing moves, both say so", || {
        pair.cable.pull();
        path_is(pair, "ttyS1", false)?;
        ensure!(pair.one_owner(FLOATING)? == "unit one", "the floating IPs moved");
        pair.cable.plug();
        path_is(pair, "ttyS1", true)
    })?;
    host::step("the slave's network cables are pulled: nothing moves, both say so", || {
        pair.two.networks(false)?;
        path_is(pair, "eth0", false)?;
        ensure!(pair.one_owner(FLOATING)? == "unit one", "the floating IPs moved");
        pair.two.networks(true)?;
        path_is(pair, "eth0", true)
    })?;
    serves(pair, "unit one")
}

/// Both units see that path so.
fn path_is(pair: &mut Pair, path: &str, up: bool) -> Result<()> {
    for unit in [&mut pair.one, &mut pair.two] {
        let what = format!("{} to see {path} {}", unit.name, if up { "up" } else { "down" });
        wait_until(&what, limits::CONVERGE, || {
            let paths = unit.ha("/paths")?;
            let seen = paths.as_array().into_iter().flatten().find(|seen| seen["name"] == path);
            Ok(seen.is_some_and(|seen| seen["up"] == up).then_some(()))
        })
        .or_else(|error| Err(error).with_context(|| unit.ok("lbctl ha").unwrap_or_default()))?;
    }
    Ok(())
}

fn stay(pair: Pair) -> Result<()> {
    let Pair { mut one, mut two, lab, cable: _cable } = pair;
    console::announce(&[
        (console::Which::Appliance, one.console_socket()?),
        (console::Which::Second, two.console_socket()?),
        (console::Which::Lab, lab.machine.socket("ttyS0")),
    ])?;
    one.hang_up();
    two.hang_up();
    drop(lab.shell);
    say("\nThe machines stay until Ctrl-C. In another terminal:");
    say("  cargo xtask console           unit one (you are root there): lbctl ha, lbctl ha standby");
    say("  cargo xtask console --second  unit two");
    say("  cargo xtask console --lab     the lab; `ip netns exec client lab fetch --to 10.0.0.20:80` sends requests");
    until_ctrl_c(|| Ok(one.is_running()? && two.is_running()?))?;
    console::withdraw();
    Ok(())
}
