//! `cargo xtask test disk`: the image on a larger, blank disk, started by BIOS and by UEFI as a server does: it boots,
//! grows, is found good; factory settings come back; a slot that does not start is given up after three tries.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use testbed::console::Console;
use testbed::host::{self, step};
use testbed::image::{self, Appliance};
use testbed::limits::{self, scaled, wait_until};
use testbed::qemu::{Builder, Disk, Firmware, Machine, Wire};

use crate::appliance::PASSWORD;

/// Of the disk that the image is written to.
const DISK: u64 = 2 << 30;
/// What its data partition has then, in MB: at least.
const DATA: u64 = 1500;
/// A start by firmware and boot loader takes longer than one of the kernel alone.
pub const START: u32 = 3;

pub fn disk() -> Result<()> {
    host::require_tools()?;
    let appliance = image::build()?;
    let folder = tempfile::Builder::new().prefix("sy-disk-").tempdir().context("making a folder for the disks")?;
    for (name, firmware) in [("bios", Firmware::Bios), ("uefi", Firmware::Uefi)] {
        let disk = written(&appliance, &folder.path().join(name))?;
        let mut unit = Unit::start(&format!("disk-{name}"), &disk, firmware, folder.path())?;
        step(&format!("{name}: boots to a log-in prompt"), || unit.log_in())?;
        step(&format!("{name}: the data partition has grown, the slot is good"), || unit.is_settled())?;
        if firmware == Firmware::Bios {
            step("factory settings come back, whatever was there", || restored(&mut unit))?;
            step("a slot that does not start is given up after three tries", || given_up(&mut unit))?;
        }
        drop(unit);
        fs::remove_file(&disk).context("removing a disk")?;
    }
    Ok(())
}

/// The image on a disk that is larger than it.
pub fn written(appliance: &Appliance, file: &Path) -> Result<PathBuf> {
    fs::copy(&appliance.disk, file).context("writing the image to a disk")?;
    fs::OpenOptions::new()
        .write(true)
        .open(file)
        .and_then(|disk| disk.set_len(DISK))
        .context("making the disk larger")?;
    Ok(file.to_path_buf())
}

pub struct Unit {
    _machine: Machine,
    pub console: Console,
}

impl Unit {
    fn start(name: &str, disk: &Path, firmware: Firmware, cables: &Path) -> Result<Unit> {
        Unit::with(name, disk, firmware, cables, None)
    }

    /// With a second disk.
    pub fn with(name: &str, disk: &Path, firmware: Firmware, cables: &Path, second: Option<Disk>) -> Result<Unit> {
        let wire = |side| Wire::new(cables, &format!("{name}-{side}"));
        let mut machine = Builder::new(name).firmware(firmware).reboots().disk(Disk::raw(disk));
        if let Some(second) = second {
            machine = machine.disk(second);
        }
        let machine = machine
            .serial("console")
            .nic(wire("external").left("52:54:00:10:00:21"))
            .nic(wire("internal").left("52:54:00:20:00:21"))
            .start()?;
        let console = machine.console("console")?;
        Ok(Unit { _machine: machine, console })
    }

    pub fn log_in(&mut self) -> Result<()> {
        self.console.login("root", PASSWORD, limits::BOOT * START)
    }

    /// One line of what a command says.
    pub fn says(&mut self, command: &str) -> Result<String> {
        Ok(self.console.ok(command)?.trim().to_owned())
    }

    pub fn remembers(&mut self, name: &str) -> Result<String> {
        self.says(&format!("/usr/lib/steelyard/boot-env get {name}"))
    }

    pub fn is_settled(&mut self) -> Result<()> {
        let size = self.says("df -m /data | tail -n 1 | awk '{ print $2 }'")?;
        let megabytes: u64 = size.parse().with_context(|| format!("df says {size:?}"))?;
        ensure!(megabytes >= DATA, "the data partition has {megabytes} MB on a disk of {} MB", DISK >> 20);
        let slot = self.says("sed -n 's/.*lb.slot=\\(.\\).*/\\1/p' /proc/cmdline")?;
        wait_until("the slot to be good", limits::CONVERGE * START, || {
            Ok((self.remembers(&format!("{slot}_TRY"))? == "0").then_some(()))
        })
    }
}

/// A store of random bytes, another password, a full disk: and back.
fn restored(unit: &mut Unit) -> Result<()> {
    unit.console
        .ok("echo root:another | busybox chpasswd 2>/dev/null || printf 'another\\nanother\\n' | passwd root")?;
    unit.console.ok("sv force-stop lbd; rm -rf /data/lb/store; head -c 100000 /dev/urandom > /data/lb/store; sync")?;
    unit.console.run("dd if=/dev/zero of=/data/full bs=1M")?;
    unit.console.send_line("lbrestore")?;
    unit.console.expect("Type \"restore\" to go on", limits::QUESTION)?;
    unit.console.send_line("no")?;
    unit.console.expect("Nothing was changed.", limits::QUESTION)?;
    unit.console.send_line("lbrestore")?;
    unit.console.expect("Type \"restore\" to go on", limits::QUESTION)?;
    unit.console.send_line("restore")?;
    unit.console.expect("Restoring factory settings", limits::BOOT * START)?;
    unit.log_in()?;
    unit.is_settled()?;
    ensure!(unit.remembers("lb_reset")?.is_empty(), "the boot loader would restore once more");
    let log = unit.says("cat /data/log/restored")?;
    ensure!(log.contains("factory settings restored (asked for by console)"), "the log says {log:?}");
    let address = unit.says("ip -4 -o address show dev eth0")?;
    ensure!(address.contains("192.168.2.21/24"), "eth0 has {address:?}");
    ensure!(unit.console.run("test -e /data/full")?.status != 0, "a file outlived it");
    Ok(())
}

/// Slot B gets what cannot be mounted, and is preferred.
fn given_up(unit: &mut Unit) -> Result<()> {
    let part = "/dev/$(basename $(dirname $(grep -lx PARTNAME=rootB /sys/class/block/*/uevent)))";
    unit.console.ok(&format!("head -c 1000000 /dev/urandom > {part}; sync"))?;
    unit.console.ok("/usr/lib/steelyard/boot-env set 'ORDER=B A' B_OK=1 B_TRY=0")?;
    unit.console.send_line("reboot")?;
    for _ in 0..3 {
        unit.console.expect("Starting Steelyard from slot B", scaled(limits::BOOT * START))?;
    }
    unit.console.expect("Starting Steelyard from slot A", scaled(limits::BOOT * START))?;
    unit.log_in()?;
    ensure!(unit.remembers("B_TRY")? == "3", "slot B is not given up");
    unit.is_settled()
}
