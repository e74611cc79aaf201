//! The hands, on the appliance: partitions, boot loader, record, screen. What is decided is decided above.
//!
//! `lbupdate` is started by `lbctl update` (somebody who is root already), by `rcS` before any service (`boot`), by the
//! service `slot` (`gate`) and by the service `updates` (`serve`), which does a closed list of things for the web
//! interface. Nothing that a person writes reaches a shell.

mod cli;
mod disk;
mod door;
mod look;
mod screen;
mod start;
mod status;

use crate::{
    bundle::Head,
    gate,
    install::{self, Machine, Progress, Step},
    keys::PublicKey,
    manifest::{Formats, Here, Version},
    record::{self, Record, SlotName, Stage},
};
use anyhow::{Context, Result, bail};
use clap::Parser;
use cli::{Command, Lbupdate};
use disk::Disk;
use nix::fcntl::{Flock, FlockArg};
use std::{
    fs::{self, File},
    io::{self, BufRead, IsTerminal, Write},
    path::Path,
    thread,
    time::{Duration, Instant, UNIX_EPOCH},
};

/// The public keys that bundles may be signed with.
const KEYS: &str = "/usr/share/steelyard/update-keys";
/// One installation at a time, and nobody mounts a slot to look into it meanwhile.
const LOCK: &str = "/run/lbupdate.lock";
/// Who only looks is gone in so long.
const PATIENCE: Duration = Duration::from_secs(3);

/// Exit status: done, refused.
const DONE: u8 = 0;
const REFUSED: u8 = 1;

/// Runs one command line; the exit status.
pub fn main() -> u8 {
    let Lbupdate { json, command } = Lbupdate::parse();
    match run(command, json) {
        Ok(status) => status,
        Err(error) => {
            let text = format!("{error:#}");
            let (message, hint) = text.split_once(". hint: ").map_or((&*text, None), |(m, h)| (m, Some(h)));
            if json {
                let body = serde_json::json!({"error": {"code": "request", "message": message, "hint": hint}});
                println!("{body:#}");
            } else {
                eprintln!("error: {message}");
                if let Some(hint) = hint {
                    eprintln!("hint: {hint}");
                }
            }
            REFUSED
        }
    }
}

fn run(command: Command, json: bool) -> Result<u8> {
    match command {
        Command::Status => status::print(json),
        Command::Install(order) => install(&order, json),
        Command::Back(order) => back(&order, json),
        Command::Acknowledge => acknowledge(),
        Command::Serve(order) => door::serve(&order),
        Command::Boot => start::boot(),
        Command::Gate { within } => start::gate(within),
    }
}

/// Where a bundle would go, and over what.
struct Ground {
    running: SlotName,
    keys: Vec<PublicKey>,
    here: Here,
}

impl Ground {
    /// Refused while the running system has yet to show that it works.
    fn look() -> Result<Ground> {
        let running = running()?;
        let before = Disk.record()?;
        if before.is_some_and(|record| record.is_open() && record.slot == running) {
            bail!(
                "the running system is an update that has yet to show that it works, and the other slot is what it \
                 would go back to. hint: wait until lbctl update status says that it works"
            );
        }
        let keys = PublicKey::all(Path::new(KEYS)).context("this unit's keys cannot be read")?;
        let slot = disk::part(running.other())?.size;
        Ok(Ground { running, keys, here: Here { version: version()?, configuration: Formats::OURS.newest, slot } })
    }

    fn slot(&self) -> SlotName {
        self.running.other()
    }

    /// What is written down of something that goes to the other slot. What does not work now is not asked of it.
    fn record(&self, version: Version, by: &str) -> Record {
        record_of(self.slot(), version, self.here.version, by)
    }

    /// Writes what was examined.
    fn fill(&self, file: &mut File, head: &Head, by: &str, progress: Progress<'_>) -> Result<Record> {
        let mut record = self.record(head.manifest.version, by);
        // What is wrong with the one before is of no interest any more.
        screen::quiet()?;
        install::install(&mut Disk, file, head, &mut record, progress)?;
        Ok(record)
    }
}

fn record_of(slot: SlotName, version: Version, from: Version, by: &str) -> Record {
    Record {
        slot,
        version,
        from,
        by: word(by),
        time: UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs()),
        stage: Stage::Writing,
        reason: None,
        excused: gate::lacking(&look::look()).into_iter().map(|(part, _)| part).collect(),
        acknowledged: false,
    }
}

fn install(order: &cli::Install, json: bool) -> Result<u8> {
    let _alone = alone()?;
    let ground = Ground::look()?;
    let mut file = File::open(&order.file).with_context(|| format!("cannot open {}", order.file.display()))?;
    let about = file.metadata().context("cannot look at the bundle")?;
    if !about.is_file() {
        bail!("{} is no file. hint: a bundle is a file whose name ends in .lbu", order.file.display());
    }
    let mut bar = Bar::new(json);
    let Ground { keys, here, running } = &ground;
    let head = install::examine(&mut file, about.len(), keys, here, order.downgrade, &mut |s, d, o| bar.at(s, d, o))?;
    bar.end();
    let (version, slot) = (head.manifest.version, ground.slot());
    if !json {
        println!(
            "{version}, signed with the key {}, goes to slot {slot}; {} runs from slot {running}.",
            head.key, here.version
        );
        println!("The unit goes on serving; the next start is from slot {slot}.");
    }
    if !order.yes && !asked("install")? {
        println!("Nothing was changed.");
        return Ok(REFUSED);
    }
    let done = ground.fill(&mut file, &head, &order.by, &mut |s, d, o| bar.at(s, d, o));
    bar.end();
    let record = done?;
    if json {
        println!("{:#}", serde_json::to_value(&record)?);
    } else {
        println!(
            "{version} is installed in slot {slot}. It has three tries to show that it works; else {} comes back.",
            here.version
        );
    }
    then(order.reboot, json)
}

/// Restarts, or says that this is left to do.
fn then(reboot: bool, json: bool) -> Result<u8> {
    if reboot {
        start::reboot()?;
    } else if !json {
        println!("hint: reboot starts it");
    }
    Ok(DONE)
}

fn back(order: &cli::Back, json: bool) -> Result<u8> {
    let way = Way::look(alone()?)?;
    if !json {
        println!("The next start is from slot {}, with {}; {} runs.", way.slot, way.to, way.from);
        println!("It has three tries to show that it works; else {} comes back.", way.from);
    }
    if !order.yes && !asked("back")? {
        println!("Nothing was changed.");
        return Ok(REFUSED);
    }
    let record = way.take(&order.by)?;
    if json {
        println!("{:#}", serde_json::to_value(&record)?);
    }
    then(order.reboot, json)
}

/// To the system in the other slot.
struct Way {
    slot: SlotName,
    to: Version,
    from: Version,
    _alone: Flock<File>,
}

impl Way {
    fn look(alone: Flock<File>) -> Result<Way> {
        let running = running()?;
        let slot = running.other();
        let to = record::may_go_back(Disk.record()?.as_ref(), running, status::version_of(slot)?, Disk.given(slot)?)?;
        Ok(Way { slot, to, from: version()?, _alone: alone })
    }

    /// In the order of an installation, so that a power cut leaves the same: the record, the switch, the record.
    fn take(&self, by: &str) -> Result<Record> {
        let mut record = record_of(self.slot, self.to, self.from, by);
        screen::quiet()?;
        Disk.keep(&record).context("it cannot be noted on the data partition")?;
        Disk.remember(&install::first(self.slot)).context("the boot loader cannot be told")?;
        record.stage = Stage::Installed;
        Disk.keep(&record).context("it cannot be noted on the data partition")?;
        Ok(record)
    }
}

fn asked(word: &str) -> Result<bool> {
    print!("Type \"{word}\" to go on: ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == word)
}

fn acknowledge() -> Result<u8> {
    if let Some(mut record) = Disk.record()? {
        record.acknowledged = true;
        Disk.keep(&record).context("it cannot be noted on the data partition")?;
    }
    screen::quiet()?;
    Ok(DONE)
}

/// Nobody else installs or looks meanwhile.
fn alone() -> Result<Flock<File>> {
    let begun = Instant::now();
    loop {
        match locked(FlockArg::LockExclusiveNonblock) {
            Err(_) if begun.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(100)),
            result => return result.context("another installation is under way. hint: lbctl update status"),
        }
    }
}

fn locked(how: FlockArg) -> Result<Flock<File>> {
    let file = File::create(LOCK).with_context(|| format!("cannot make {LOCK}. hint: be root"))?;
    Flock::lock(file, how).map_err(|(_, errno)| errno.into())
}

/// The slot that runs.
fn running() -> Result<SlotName> {
    let line = fs::read_to_string("/proc/cmdline").context("reading the kernel's command line")?;
    SlotName::running(&line).context("this unit was not started by its boot loader, so it has no slots")
}

/// Of the running system.
fn version() -> Result<Version> {
    let text = fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    status::version_in(&text).context("/etc/os-release tells no version")
}

/// One word for the record and the log.
fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || ".:_-".contains(*c)).take(64).collect()
}

/// A line that tells how far it is, where somebody looks.
struct Bar {
    shown: bool,
    last: Option<(Step, u64)>,
}

impl Bar {
    /// Characters of a full bar.
    const WIDTH: u64 = 40;

    fn new(quiet: bool) -> Bar {
        Bar { shown: !quiet && io::stderr().is_terminal(), last: None }
    }

    fn at(&mut self, step: Step, done: u64, of: u64) {
        let percent = done * 100 / of.max(1);
        if !self.shown || self.last == Some((step, percent)) {
            return;
        }
        if self.last.is_some_and(|(before, _)| before != step) {
            self.end();
        }
        self.last = Some((step, percent));
        let what = match step {
            Step::Checking => "checking the bundle",
            Step::Writing => "writing the slot",
            Step::Reading => "reading it back",
        };
        let full = percent * Bar::WIDTH / 100;
        let (full, rest) = ("#".repeat(full as usize), ".".repeat((Bar::WIDTH - full) as usize));
        eprint!("\r  {what:20} [{full}{rest}] {percent:3} %");
    }

    fn end(&mut self) {
        if self.last.take().is_some() {
            eprintln!();
        }
    }
}
