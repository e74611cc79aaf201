//! `cargo xtask test cuts`: the power goes at random moments of a unit's life, of its first start, of applies, of an
//! update's installation, of the change of the slot, of the return to factory settings. It boots each time, has what it
//! acknowledged, and never stands there with the failsafe.
//!
//! The disk has a volatile cache, which a cut keeps, loses, or keeps a random half of (`testbed::powercut`).
//! `CUTS=200 SEED=7` say how often and which moments; by name only.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testbed::host::{self, say, step};
use testbed::image::{self, Appliance, Hardware};
use testbed::limits::{self, wait_until};
use testbed::powercut::disk::Fuse;
use testbed::powercut::{self, Mode, Random, Server};
use testbed::qemu;

use crate::disk::{START, Unit, written};
use crate::update::{INSTALL, mounted, shelf};

/// From power-on to the log-in it is some 12 s.
const BOOT: u64 = 20_000;
/// Applies for so long, milliseconds.
const APPLIES: u64 = 8_000;
/// Checking, writing and reading back a slot takes about as long.
const WRITING: u64 = 30_000;

/// Writes and flushes of some commits, or of a part of a slot.
const REQUESTS: u64 = 40;
/// Who writes nothing for so long is cut all the same.
const QUIET: Duration = Duration::from_secs(5);

/// Counts in steps that are acknowledged: after revision 2 the real server's weight is the revision.
const COUNT: &str = r#"lbctl config discard >/dev/null 2>&1; while :; do n=$((n+1)); case $n in
1) set -- vip add Cut 192.168.2.21:81 --check on;;
2) set -- rip add Cut Web 192.168.2.50;;
*) set -- config set virtual_servers.Cut.real_servers.Web.weight $n;;
esac; lbctl "$@" --apply >/tmp/said 2>&1 || { echo "refused $n"; cat /tmp/said; break; }; echo "acknowledged $n"; done"#;

pub fn cuts() -> Result<()> {
    host::require_tools()?;
    let (cuts, seed) = (asked("CUTS", 20)?, asked("SEED", 1)?);
    let folder = tempfile::Builder::new().prefix("sy-cuts-").tempdir().context("making a folder for the disks")?;
    let appliance = image::build(Hardware::Virtual)?;
    let shelf = step("a bundle", || {
        shelf(folder.path(), |tree| image::bundle_of("0.1.1", &tree.join("good.lbu"), |_| Ok(())))
    })?;
    let mut rig = Rig::new(folder.path(), appliance, shelf, seed)?;
    for cut in 1..=cuts {
        let said = rig.life().with_context(|| format!("SEED={seed}, cut {cut}"))?;
        say(&format!("cut {cut}/{cuts}: {said}"));
    }
    let mut unit = rig.power_on()?;
    rig.judged(&mut unit).context("after the last cut")?;
    say(&format!("{cuts} cuts, {} applies acknowledged, none lost; {} first starts", rig.acknowledged, rig.units));
    Ok(())
}

fn asked<T: FromStr<Err: Display>>(name: &str, usual: T) -> Result<T> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|error| anyhow::anyhow!("{name} is {text:?}: {error}")),
        Err(_) => Ok(usual),
    }
}

/// What the unit does when the power goes.
#[derive(Debug, Clone, Copy)]
enum Act {
    Start,
    FirstStart,
    Applies,
    Install,
    Switch,
    Reset,
}

struct Rig {
    folder: PathBuf,
    appliance: Appliance,
    shelf: PathBuf,
    server: Server,
    random: Random,
    /// The revisions that may run: what was acknowledged, and what was under way at the cut.
    allowed: Vec<u64>,
    acknowledged: u64,
    units: u32,
}

impl Rig {
    fn new(folder: &Path, appliance: Appliance, shelf: PathBuf, seed: u64) -> Result<Rig> {
        let server = blank(&appliance, folder, 1)?;
        let (folder, random) = (folder.to_path_buf(), Random::new(seed));
        Ok(Rig { folder, appliance, shelf, server, random, allowed: vec![0], acknowledged: 0, units: 1 })
    }

    fn power_on(&self) -> Result<Unit> {
        let disk = qemu::Disk::nbd(self.server.socket());
        Unit::with("cuts", disk, &self.folder, Some(qemu::Disk::readonly(&self.shelf)))
    }

    /// From power-on to the cut; says what happened.
    fn life(&mut self) -> Result<String> {
        let act = match self.random.below(10) {
            0..3 => Act::Start,
            3 => Act::FirstStart,
            4..7 => Act::Applies,
            7 => Act::Install,
            8 => Act::Switch,
            _ => Act::Reset,
        };
        if let Act::FirstStart = act {
            self.units += 1;
            self.server = blank(&self.appliance, &self.folder, self.units)?;
            self.allowed = vec![0];
        }
        let mut unit = self.power_on()?;
        let found = match act {
            Act::Start | Act::FirstStart => "not looked at".to_owned(),
            Act::Applies | Act::Install | Act::Switch | Act::Reset => self.judged(&mut unit)?,
        };
        let longest = self.begin(act, &mut unit)?;
        let life = Duration::from_millis(self.random.below(longest));
        thread::sleep(life);
        let mode = match self.random.below(5) {
            0 => Mode::Keep,
            1 | 2 => Mode::Drop,
            _ => Mode::Random(self.random.below(u64::MAX >> 12)),
        };
        // Three of four in the midst of what it writes.
        if self.random.below(4) > 0 {
            let requests = 1 + u32::try_from(self.random.below(REQUESTS)).unwrap_or(0);
            self.server.arm(Fuse { requests, mode });
            let end = Instant::now() + QUIET;
            while !self.server.is_off() && Instant::now() < end {
                thread::sleep(Duration::from_millis(5));
            }
        }
        let heard = unit.cut();
        let waiting = self.server.cut(mode).context("cutting the disk")?;
        self.expect_of(act, &heard)?;
        Ok(format!("{found}; {act:?} for {} ms, {mode:?}, {waiting} writes in the cache", life.as_millis()))
    }

    /// Lets the unit begin with it; the longest time until the cut, milliseconds.
    fn begin(&self, act: Act, unit: &mut Unit) -> Result<u64> {
        match act {
            Act::Start | Act::FirstStart => Ok(BOOT),
            Act::Applies => {
                let revision = self.allowed.first().context("the unit was judged")?;
                unit.console.send_line(&format!("n={revision}; {}", COUNT.replace('\n', " ")))?;
                Ok(APPLIES)
            }
            Act::Install | Act::Switch => {
                unit.is_settled()?;
                // One that is on probation is no ground for another.
                wait_until("the last update to stay", limits::CONVERGE * START, || {
                    Ok((!unit.says("lbctl update")?.contains("probation")).then_some(()))
                })?;
                mounted(unit)?;
                let install = "lbctl update install /tmp/shelf/good.lbu --yes";
                if let Act::Install = act {
                    unit.console.send_line(install)?;
                    return Ok(WRITING);
                }
                unit.console.ok_within(install, INSTALL)?;
                unit.console.send_line("reboot")?;
                Ok(BOOT)
            }
            Act::Reset => {
                unit.console.send_line("lbrestore --yes")?;
                Ok(BOOT)
            }
        }
    }

    /// What the next start may find.
    fn expect_of(&mut self, act: Act, heard: &str) -> Result<()> {
        match act {
            Act::Applies => {
                if let Some(at) = heard.find("refused ") {
                    bail!("an apply was refused:\n{}", &heard[at..]);
                }
                let number = |line: &str| line.strip_prefix("acknowledged ").and_then(|number| number.parse().ok());
                // Half a line is none: the cut may have taken the end of a number.
                let last = heard.split_inclusive('\n').filter_map(|line| number(line.strip_suffix('\n')?)).next_back();
                let before = self.allowed.first().copied().unwrap_or(0);
                let last = last.unwrap_or(before);
                self.acknowledged += last - before;
                self.allowed = vec![last, last + 1];
            }
            // Once it was said, it is done.
            Act::Reset if heard.contains("The unit restarts now, with factory settings.") => self.allowed = vec![0],
            Act::Reset => self.allowed.push(0),
            Act::Start | Act::FirstStart | Act::Install | Act::Switch => {}
        }
        Ok(())
    }

    /// It boots, has what it acknowledged, and balances it.
    fn judged(&mut self, unit: &mut Unit) -> Result<String> {
        unit.log_in()?;
        let status: Status = wait_until("lbd to answer", limits::CONVERGE * START, || {
            let answer = unit.console.run("lbctl --json status 2>/dev/null")?;
            Ok((answer.status == 0).then(|| serde_json::from_str(&answer.text).ok()).flatten())
        })?;
        let (revision, alarms) = (status.revision, status.alarms.join("; "));
        ensure!(self.allowed.contains(&revision), "revision {revision} runs, not one of {:?}; {alarms}", self.allowed);
        ensure!(!alarms.contains("FAILSAFE"), "it came up with the failsafe: {alarms}");
        if revision > 2 {
            let weight = unit.says("lbctl config show running virtual_servers.Cut.real_servers.Web.weight")?;
            ensure!(weight == revision.to_string(), "revision {revision} has the weight {weight}");
        }
        if revision > 1 {
            wait_until("the real server to be in the kernel", limits::CONVERGE * START, || {
                let table = unit.says("ipvsadm -Ln")?;
                Ok((table.contains("192.168.2.21:81") && table.contains("192.168.2.50:81")).then_some(()))
            })?;
        }
        self.allowed = vec![revision];
        let slot = unit.says("sed -n 's/.*lb.slot=\\(.\\).*/\\1/p' /proc/cmdline")?;
        Ok(format!("slot {slot}, revision {revision}"))
    }
}

/// The part of `lbctl --json status` that is judged.
#[derive(serde::Deserialize)]
struct Status {
    revision: u64,
    alarms: Vec<String>,
}

/// The image as it was written to a disk, with a cache.
fn blank(appliance: &Appliance, folder: &Path, number: u32) -> Result<Server> {
    let file = written(appliance, &folder.join("unit"))?;
    let disk = powercut::Disk::new(&file).context("opening the disk")?;
    Server::start(disk, &folder.join(format!("nbd{number}"))).context("serving the disk")
}
