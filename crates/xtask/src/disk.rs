//! `cargo xtask test disk`: the image on a larger, blank disk. The one for virtual machines, started by BIOS: it boots,
//! grows, is found good; factory settings come back, from the boot menu too; a slot that does not start is given up after
//! three tries. The one for servers: started by UEFI from a stick it installs itself on a SATA disk, which starts by
//! BIOS, with ten network cards.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use testbed::console::Console;
use testbed::host::{self, step};
use testbed::image::{self, Appliance, Hardware};
use testbed::limits::{self, wait_until};
use testbed::qemu::{Builder, Bus, Disk, Firmware, Machine, Nic, Wire};

use crate::appliance::Web;

/// Of the disk that the image is written to.
const DISK: u64 = 2 << 30;
/// Of a server, MB. With 256, GRUB finds no room for this kernel under OVMF.
const MEMORY: u32 = 512;
/// What its data partition has then, in MB: at least.
const DATA: u64 = 1500;
/// A start by firmware and boot loader takes longer than one of the kernel alone.
pub const START: u32 = 3;

/// Ctrl-N, the next entry of the boot menu on every terminal.
const NEXT: &str = "\x0e";
/// Times that the boot menu is tried.
const MENUS: u32 = 3;

/// QEMU's models of a server's cards, in the order of their slots.
const CARDS: [&str; 10] =
    ["e1000e", "vmxnet3", "e1000e", "rtl8139", "e1000", "virtio-net-pci", "e1000e", "pcnet", "vmxnet3", "e1000e"];

pub fn disk() -> Result<()> {
    host::require_tools()?;
    let folder = tempfile::Builder::new().prefix("sy-disk-").tempdir().context("making a folder for the disks")?;
    virtual_machine(folder.path())?;
    server(folder.path())
}

fn virtual_machine(folder: &Path) -> Result<()> {
    let appliance = image::build(Hardware::Virtual)?;
    let disk = written(&appliance, &folder.join("virtual"))?;
    let mut unit = Unit::with("disk-virtual", Disk::raw(&disk), folder, None)?;
    step("virtual machine: boots to a log-in prompt by BIOS", || unit.log_in())?;
    step("virtual machine: the data partition has grown, the slot is good", || unit.is_settled())?;
    step("factory settings come back, whatever was there", || restored(&mut unit))?;
    step("factory settings come back by the boot menu", || restored_by_menu(&mut unit))?;
    step("a slot that does not start is given up after three tries", || given_up(&mut unit))?;
    drop(unit);
    fs::remove_file(&disk).context("removing a disk")?;
    let mut unit = Unit::with("disk-protected", Disk::readonly(&appliance.disk), folder, None)?;
    step("a disk that can only be read: starts, and says so", || protected(&mut unit))
}

/// On the console, and as an alarm of an lbd that runs on a copy in memory.
fn protected(unit: &mut Unit) -> Result<()> {
    const WORDS: &str = "can only be read";
    unit.console.expect(WORDS, limits::BOOT * START)?;
    unit.console.login_root(limits::BOOT * START)?;
    wait_until("lbd's alarm", limits::CONVERGE * START, || {
        Ok(unit.console.run("lbctl status")?.text.contains(WORDS).then_some(()))
    })
}

fn server(folder: &Path) -> Result<()> {
    let stick = written(&image::build(Hardware::Any)?, &folder.join("stick"))?;
    let disk = folder.join("server");
    fs::File::create(&disk).and_then(|blank| blank.set_len(DISK)).context("making a blank disk")?;
    let blank = Disk::raw(&disk).on(Bus::Sata);
    let machine =
        Builder::new("disk-stick").memory(MEMORY).firmware(Firmware::Uefi).disk(Disk::raw(&stick).on(Bus::Usb));
    let mut unit = Unit::start(machine.disk(blank.clone()))?;
    step("server: boots to a log-in prompt from a stick by UEFI", || unit.log_in())?;
    step("server: installs itself from the stick on a blank disk", || installed(&mut unit))?;
    drop(unit);

    // By BIOS: OVMF's network stack polls each of the ten cards, and needs minutes.
    let mut machine = Builder::new("disk-server").memory(MEMORY).firmware(Firmware::Bios).disk(blank);
    for (number, model) in CARDS.into_iter().enumerate() {
        machine = machine.nic(Nic::unplugged(&card(number)).model(model));
    }
    let mut unit = Unit::start(machine)?;
    step("server: boots to a log-in prompt by BIOS", || unit.log_in())?;
    step("server: the data partition has grown, the slot is good", || unit.is_settled())?;
    step("server: its ten network cards have their names", || named(&mut unit))?;
    step("server: a hang would restart it", || watched(&mut unit))
}

/// Shown what there is, asked, then done; with the progress.
fn installed(unit: &mut Unit) -> Result<()> {
    unit.console.send_line("lbinstall")?;
    unit.console.expect("2048 MB  ATA QEMU HARDDISK (no partitions)", limits::QUESTION)?;
    unit.console.expect("Which one", limits::QUESTION)?;
    unit.console.send_line("sda")?;
    unit.console.expect("Type \"install\" to go on", limits::QUESTION)?;
    unit.console.send_line("install")?;
    unit.console.expect("Steelyard is on sda", limits::BOOT * START)?;
    Ok(())
}

/// The MAC address of a card.
fn card(number: usize) -> String {
    format!("52:54:00:30:00:{number:02x}")
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
    machine: Machine,
    pub console: Console,
}

impl Unit {
    /// The image for virtual machines in one, with a second disk.
    pub fn with(name: &str, disk: Disk, cables: &Path, second: Option<Disk>) -> Result<Unit> {
        Unit::start(second.into_iter().fold(Unit::cabled(name, disk, cables), Builder::disk))
    }

    /// The image for virtual machines in one, with a way to its web interface.
    pub fn with_web(name: &str, disk: Disk, cables: &Path, web: &Web) -> Result<Unit> {
        Unit::start(Unit::cabled(name, disk, cables).nic(web.nic()))
    }

    fn cabled(name: &str, disk: Disk, cables: &Path) -> Builder {
        let wire = |side| Wire::new(cables, &format!("{name}-{side}"));
        let machine = Builder::new(name).firmware(Firmware::Bios).disk(disk);
        machine.nic(wire("external").left("52:54:00:10:00:21")).nic(wire("internal").left("52:54:00:20:00:21"))
    }

    fn start(machine: Builder) -> Result<Unit> {
        let machine = machine.reboots().serial("console").start()?;
        let console = machine.console("console")?;
        Ok(Unit { machine, console })
    }

    /// Takes the power away; everything that its console showed.
    pub fn cut(mut self) -> String {
        self.machine.kill();
        // To the end of the line, which is what it waits for.
        let _ = self.console.expect("\0", limits::COMMAND);
        self.console.transcript()
    }

    pub fn log_in(&mut self) -> Result<()> {
        self.console.login_root(limits::BOOT * START)
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
    // It ends by the disk's being full.
    unit.console.run_within("dd if=/dev/zero of=/data/full bs=1M", limits::BOOT * START)?;
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

/// A store of half its bytes, and the keys that somebody presses at the boot menu.
fn restored_by_menu(unit: &mut Unit) -> Result<()> {
    reach_menu(unit)?;
    for entry in ["*Steelyard, slot B", "*Restore factory settings"] {
        unit.console.send(NEXT)?;
        unit.console.expect(entry, limits::QUESTION)?;
    }
    unit.console.send_line("")?;
    unit.console.expect("Restoring factory settings", limits::BOOT * START)?;
    unit.log_in()?;
    let log = unit.says("cat /data/log/restored")?;
    ensure!(log.contains("factory settings restored (asked for by the boot menu)"), "the log says {log:?}");
    ensure!(unit.console.run("test -e /data/mark")?.status != 0, "a file outlived it");
    unit.is_settled()
}

/// Cuts the store to pieces and stops the boot menu's clock. The menu waits for two seconds, within which a key may not
/// get in on a busy machine: then the unit has started, and all of it is done again.
fn reach_menu(unit: &mut Unit) -> Result<()> {
    const STARTS: &str = "Starting Steelyard";
    let met = format!(r"\*Steelyard, slot A|{STARTS}");
    for _ in 0..MENUS {
        unit.console.ok(
            "touch /data/mark; for file in $(find /data/lb/store -type f -size +1k); do truncate -s 700 $file; done; sync",
        )?;
        unit.console.send_line("reboot")?;
        unit.console.expect("will be executed automatically", limits::BOOT * START)?;
        unit.console.send(NEXT)?;
        if unit.console.expect_match(&met, limits::QUESTION)?.1 != STARTS {
            return Ok(());
        }
        unit.log_in()?;
    }
    bail!("no key got in at the boot menu, {MENUS} times")
}

/// Slot B gets what cannot be mounted, and is preferred.
fn given_up(unit: &mut Unit) -> Result<()> {
    let part = "/dev/$(basename $(dirname $(grep -lx PARTNAME=rootB /sys/class/block/*/uevent)))";
    unit.console.ok(&format!("head -c 1000000 /dev/urandom > {part}; sync"))?;
    unit.console.ok("/usr/lib/steelyard/boot-env set 'ORDER=B A' B_OK=1 B_TRY=0")?;
    unit.console.send_line("reboot")?;
    for _ in 0..3 {
        unit.console.expect("Starting Steelyard from slot B", limits::BOOT * START)?;
    }
    unit.console.expect("Starting Steelyard from slot A", limits::BOOT * START)?;
    unit.log_in()?;
    ensure!(unit.remembers("B_TRY")? == "3", "slot B is not given up");
    unit.is_settled()
}

/// In the order of their slots; and two that change their names.
fn named(unit: &mut Unit) -> Result<()> {
    let list = unit.says("lbcards")?;
    for number in 0..CARDS.len() {
        let line = format!("eth{number:<3} {}", card(number));
        ensure!(list.contains(&line), "lbcards does not say {line:?}, but:\n{list}");
    }
    let told = unit.says("lbcards swap eth1 eth9")?;
    ensure!(told.contains("at the next start"), "lbcards says {told:?}");
    unit.console.send_line("reboot")?;
    unit.console.expect("Starting Steelyard", limits::BOOT * START)?;
    unit.log_in()?;
    for (name, number) in [("eth1", 9), ("eth9", 1), ("eth2", 2)] {
        let address = unit.says(&format!("cat /sys/class/net/{name}/address"))?;
        ensure!(address == card(number), "{name} is {address}, not {}", card(number));
    }
    Ok(())
}

/// Somebody feeds the watchdog, and nobody can stop it.
fn watched(unit: &mut Unit) -> Result<()> {
    let state = unit.says("cat /sys/class/watchdog/watchdog0/state")?;
    ensure!(state == "active", "the watchdog is {state}");
    let stays = unit.says("cat /sys/class/watchdog/watchdog0/nowayout")?;
    ensure!(stays == "1", "nowayout is {stays}");
    Ok(())
}
