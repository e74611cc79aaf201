//! `cargo xtask test update`: bundles on a unit that boots from its disk. What is wrong is refused and changes nothing; a
//! good one runs after a restart, with the configuration; one that panics and one that never gets ready are left by the
//! unit itself, which says why. `cargo xtask test update-web`: the same from the web interface, and factory settings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testbed::host::{self, run, say, step};
use testbed::image::{self, Hardware};
use testbed::lab::{Lab, Topology};
use testbed::limits::{self, wait_until};
use testbed::qemu::{Disk, Wire};

use crate::appliance::Web;
use crate::demo::steps;
use crate::disk::{START, Unit, written};
use crate::unit::{Answer, Client, PASSWORD};

/// Checking, writing and reading back a slot on an emulated disk.
pub const INSTALL: Duration = Duration::from_secs(240);
/// The lab's load, which goes on for three minutes.
const LOAD: Duration = Duration::from_secs(240);
/// The wizard's virtual server.
const VIP: &str = "10.0.0.21:80";
/// What the update that never gets ready is given, seconds; the shipped limit is three minutes.
const SHORT: &str = "20";

pub fn update() -> Result<()> {
    host::require_tools()?;
    let appliance = image::build(Hardware::Virtual)?;
    let folder = tempfile::Builder::new().prefix("sy-update-").tempdir().context("making a folder for the disks")?;
    let shelf = step("bundles", || bundles(folder.path()))?;
    let disk = written(&appliance, &folder.path().join("unit"))?;
    let wire = |side| Wire::new(folder.path(), &format!("update-{side}"));
    let mut lab = Lab::start(&image::guest_base()?, &wire("external"), &wire("internal"))?;
    lab.wire(Topology::Nat)?;
    let mut unit = Unit::with("update", Disk::raw(&disk), folder.path(), Some(Disk::readonly(&shelf)))?;
    step("boots from slot A", || unit.log_in())?;
    unit.is_settled()?;
    mounted(&mut unit)?;
    step("what is wrong is refused, and nothing is changed", || refused(&mut unit))?;
    steps::configure(Topology::Nat, &mut unit.console)?;
    step("a good one is installed under load", || installed_under_load(&mut unit, &mut lab))?;
    step("it runs after a restart, with the configuration", || good(&mut unit, &mut lab))?;
    step("one that panics is left after three tries", || panics(&mut unit))?;
    step("one that never gets ready goes back by itself, and says why", || never(&mut unit))
}

/// A disk with a good bundle, one whose kernel finds nothing to start, one whose lbd never runs.
fn bundles(folder: &Path) -> Result<PathBuf> {
    shelf(folder, |tree| {
        image::bundle_of("0.1.1", &tree.join("good.lbu"), |_| Ok(()))?;
        image::bundle_of("0.1.2", &tree.join("panics.lbu"), |root| {
            // Nothing the kernel could start: it panics, and panic=10 restarts it.
            fs::write(root.join("boot/initrd"), "no initramfs\n").context("spoiling the initramfs")?;
            fs::remove_dir_all(root.join("usr/share")).context("making it small")
        })?;
        never_ready(&tree.join("never.lbu"))
    })
}

/// 0.1.3, whose lbd never runs.
fn never_ready(file: &Path) -> Result<()> {
    image::bundle_of("0.1.3", file, |root| {
        fs::write(root.join("etc/sv/lbd/run"), "#!/bin/sh\nexec sleep 1000000\n").context("replacing lbd")?;
        let gate = root.join("etc/sv/slot/run");
        let text = fs::read_to_string(&gate).context("reading the service")?;
        fs::write(&gate, text.replace("--within 180", &format!("--within {SHORT}"))).context("shortening the limit")
    })
}

/// A disk with what `fill` puts in a folder.
pub fn shelf(folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let tree = folder.join("shelf");
    fs::create_dir(&tree).context("making a folder for the bundles")?;
    fill(&tree)?;
    let disk = folder.join("shelf.ext4");
    fs::File::create(&disk).and_then(|file| file.set_len(256 << 20)).context("making a disk for the bundles")?;
    run(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4", "-d"]).arg(&tree).arg(&disk))?;
    fs::remove_dir_all(&tree).context("removing the bundles' folder")?;
    Ok(disk)
}

const ENVIRONMENT: &str = "for n in ORDER A_OK A_TRY B_OK B_TRY; do /usr/lib/steelyard/boot-env get $n; done";

fn refused(unit: &mut Unit) -> Result<()> {
    let before = unit.says(ENVIRONMENT)?;
    // Each made of the good one, by hand, as an accident or an attacker would.
    let good = "/tmp/shelf/good.lbu";
    let cases = [
        ("cut short", format!("head -c 20000000 {good}"), "the bundle is cut short"),
        ("too long", format!("(cat {good}; echo more)"), "the bundle has"),
        ("changed head", format!("sed 's/0.1.1/0.1.9/' {good}"), "the bundle's signature is wrong"),
        ("of a stranger", format!("sed '3s/^[^ ]* /stranger /' {good}"), "does not trust"),
        ("changed behind the head", format!("(head -c 30000000 {good}; tail -c +30000002 {good}; echo)"), "damaged"),
        ("no bundle", "head -c 1000000 /dev/zero".to_owned(), "this is no update bundle"),
    ];
    for (what, made, reason) in cases {
        unit.console.ok_within(&format!("{made} > /data/bad.lbu"), INSTALL)?;
        let answer = unit.console.run_within("lbctl update install /data/bad.lbu --yes", INSTALL)?;
        ensure!(answer.status == 1, "{what}: the exit status is {}", answer.status);
        ensure!(answer.text.contains(reason), "{what}: {:?} does not say {reason:?}", answer.text);
    }
    unit.console.ok("rm /data/bad.lbu")?;
    let after = unit.says(ENVIRONMENT)?;
    ensure!(before == after, "the boot loader was told something: {before:?}, now {after:?}");
    let status = unit.says("lbctl update")?;
    ensure!(status.contains("slot B  empty"), "slot B was written: {status}");
    ensure!(status.contains("No update was installed"), "there is a record: {status}");
    Ok(())
}

/// A request every tenth of a second, and connections that stay: none of them notices.
fn installed_under_load(unit: &mut Unit, lab: &mut Lab) -> Result<()> {
    lab.begin("steady", &format!("lab steady --to {VIP} --count 1800 --spacing 100 --timeout 10 --standing 10"))?;
    let before = Instant::now();
    install(unit, "good")?;
    let took = before.elapsed();
    ensure!(!lab.has_ended("steady")?, "the load had ended before the installation, which took {took:?}");
    let said = lab.ended("steady", LOAD)?;
    say(&format!("    installed in {:.0} s; {}", took.as_secs_f64(), said.trim().replace('\n', "; ")));
    Ok(())
}

fn good(unit: &mut Unit, lab: &mut Lab) -> Result<()> {
    let status = unit.says("lbctl update")?;
    ensure!(status.contains("slot B  0.1.1") && status.contains("it runs after a restart"), "{status}");
    let before = unit.says("lbctl config show")?;
    restart(unit)?;
    unit.console.expect("Starting Steelyard from slot B", limits::BOOT * START)?;
    unit.log_in()?;
    unit.is_settled()?;
    wait_until("the update to stay", limits::CONVERGE * START, || {
        Ok(unit.says("lbctl update")?.contains("by root) works").then_some(()))
    })?;
    ensure!(unit.says("grep VERSION_ID /etc/os-release")?.contains("0.1.1"), "another system runs");
    let after = unit.says("lbctl config show")?;
    ensure!(before == after, "the configuration was {before}, and is {after}");
    lab.fetch(VIP, 10).map(drop)
}

fn panics(unit: &mut Unit) -> Result<()> {
    mounted(unit)?;
    install(unit, "panics")?;
    restart(unit)?;
    for _ in 0..3 {
        unit.console.expect("Starting Steelyard from slot A", limits::BOOT * START)?;
        unit.console.expect("Kernel panic", limits::BOOT * START)?;
    }
    returned(unit, "0.1.2", "it did not come up in three tries")
}

fn never(unit: &mut Unit) -> Result<()> {
    mounted(unit)?;
    install(unit, "never")?;
    restart(unit)?;
    unit.console.expect("Starting Steelyard from slot A", limits::BOOT * START)?;
    returned(unit, "0.1.3", "lbd does not answer")
}

/// The unit is back in slot B, with 0.1.1, and says why: on the console, in `lbctl update`, among lbd's alarms, which the
/// web interface shows, and in the log.
fn returned(unit: &mut Unit, version: &str, reason: &str) -> Result<()> {
    unit.console.expect("Starting Steelyard from slot B", limits::BOOT * START)?;
    unit.console.expect(&format!("! the update to {version} did not stay"), limits::BOOT * START)?;
    unit.log_in()?;
    unit.is_settled()?;
    ensure!(unit.remembers("A_OK")? == "0" && unit.remembers("ORDER")?.starts_with('B'), "slot A may be started again");
    let status = unit.says("lbctl update")?;
    ensure!(status.contains(&format!("did not stay: {reason}")), "{status}");
    let alarms = unit.says("lbctl status --json | grep -A3 alarms")?;
    ensure!(alarms.contains(reason), "{alarms}");
    unit.console.ok(&format!("grep -F '{reason}' /data/log/lbd/current"))?;
    unit.console.ok("lbctl update acknowledge")?;
    wait_until("the alarm to go", limits::CONVERGE, || {
        Ok((!unit.says("lbctl status --json | grep -A3 alarms")?.contains(reason)).then_some(()))
    })
}

pub fn mounted(unit: &mut Unit) -> Result<()> {
    unit.console.ok("mkdir -p /tmp/shelf && mount -t ext4 -o ro,noload /dev/vdb /tmp/shelf").map(drop)
}

fn install(unit: &mut Unit, name: &str) -> Result<()> {
    let said = unit.console.ok_within(&format!("lbctl update install /tmp/shelf/{name}.lbu --yes"), INSTALL)?;
    ensure!(said.contains("is installed in slot"), "{said}");
    Ok(())
}

fn restart(unit: &mut Unit) -> Result<()> {
    unit.console.send_line("reboot")
}

const PAGE: &str = "/lbadmin/maintenance/update";
const FACTORY: &str = "/lbadmin/maintenance/factory-settings";

/// Larger than a slot (image/genimage.cfg), bytes.
const LARGE: u64 = 208 << 20;

pub fn web() -> Result<()> {
    host::require_tools()?;
    let appliance = image::build(Hardware::Virtual)?;
    let folder = tempfile::Builder::new().prefix("sy-update-").tempdir().context("making a folder for the disk")?;
    let at = |name: &str| folder.path().join(name);
    step("bundles", || {
        image::bundle_for_another(&at("another.lbu"))?;
        fs::File::create(at("large.lbu")).and_then(|file| file.set_len(LARGE)).context("making a large file")?;
        never_ready(&at("never.lbu"))
    })?;
    let web = Web::new()?;
    let disk = written(&appliance, &at("unit"))?;
    let mut unit = Unit::with_web("update-web", Disk::raw(&disk), folder.path(), &web)?;
    step("boots from slot A", || unit.log_in())?;
    unit.is_settled()?;
    web.open(&mut unit.console)?;
    let mut person = Client::new(web.http());
    person.first_log_in()?;
    step("web: what is wrong is refused, and leaves nothing", || {
        uploaded(&mut person, &at("another.lbu"), "The bundle is for another, this is a steelyard.")?;
        uploaded(&mut person, &at("large.lbu"), "The bundle is larger than the slot")?;
        let left = unit.says("ls /data/web")?;
        ensure!(!left.contains("update"), "something is left of it: {left}");
        ensure!(unit.says("lbctl update")?.contains("slot B  empty"), "slot B was written");
        Ok(())
    })?;
    step("web: uploaded, installed with its progress shown, restarted into", || {
        uploaded(&mut person, &at("never.lbu"), "The bundle is here: version 0.1.3")?;
        sent(&mut person, PAGE, "/lbadmin/maintenance/update/install", &[])?;
        let mut shown = false;
        wait_until("the installation", INSTALL, || {
            let page = person.get(PAGE)?.body;
            shown |= page.contains("id=\"work\"");
            ensure!(!page.contains("was not installed"), "{page}");
            Ok(page.contains("Restart into 0.1.3").then_some(()))
        })?;
        ensure!(shown, "the page did not say how far it is");
        ensure!(unit.says("ls /data/web")?.lines().all(|name| name != "update.lbu"), "the upload is still there");
        let path = "/lbadmin/maintenance/update/restart";
        let answer = sent(&mut person, path, path, &[])?;
        ensure!(answer.body.contains("The unit restarts."), "{}", answer.body);
        unit.console.expect("Starting Steelyard from slot B", limits::BOOT * START).map(drop)
    })?;
    step("web: back in slot A by itself, and the page says why", || {
        unit.console.expect("Starting Steelyard from slot A", limits::BOOT * START)?;
        unit.log_in()?;
        unit.is_settled()?;
        web.open(&mut unit.console)?;
        person.log_in(PASSWORD)?;
        let page = person.get(PAGE)?.body;
        ensure!(page.contains("Version 0.1.3 did not stay: lbd does not answer"), "{page}");
        sent(&mut person, PAGE, "/lbadmin/maintenance/update/acknowledge", &[])?;
        ensure!(!person.get(PAGE)?.body.contains("Take the alarm away"), "it cannot be taken away");
        Ok(())
    })?;
    step("web: factory settings, with lbd dead and the store destroyed", || {
        unit.console.ok("sv force-stop lbd; rm -rf /data/lb/store; head -c 100000 /dev/urandom > /data/lb/store")?;
        let refused = sent(&mut person, FACTORY, FACTORY, &[("word", "restore"), ("password", "a wrong one")])?;
        ensure!(refused.status == 422, "a wrong password is answered with {}", refused.status);
        let done = sent(&mut person, FACTORY, FACTORY, &[("word", "restore"), ("password", PASSWORD)])?;
        ensure!(done.body.contains("with factory settings"), "{}", done.body);
        unit.console.expect("Restoring factory settings", limits::BOOT * START)?;
        unit.log_in()?;
        unit.is_settled()?;
        let log = unit.says("cat /data/log/restored")?;
        ensure!(log.contains("asked for by loadbalancer:10.0.2.2"), "the log says {log:?}");
        web.open(&mut unit.console)?;
        Client::new(web.http()).first_log_in()
    })
}

/// What the page says after this file was uploaded.
fn uploaded(person: &mut Client, file: &Path, said: &str) -> Result<()> {
    let csrf = person.get(PAGE)?.value("csrf").context("a page without a form")?;
    let answer = person.upload("/lbadmin/maintenance/update/upload", &csrf, file)?;
    ensure!(answer.status == 303, "the upload is answered with {}", answer.status);
    let page = person.get(PAGE)?.body;
    ensure!(page.contains(said), "the page does not say {said:?}:\n{page}");
    Ok(())
}

/// Posts a form of the page at `from`.
fn sent(person: &mut Client, from: &str, to: &str, fields: &[(&str, &str)]) -> Result<Answer> {
    let csrf = person.get(from)?.value("csrf").context("a page without a form")?;
    let all: Vec<(&str, &str)> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
    person.post(to, &all)
}
