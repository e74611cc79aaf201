//! Two appliances as machines: a null-modem cable between their second serial ports, two networks, and a lab beside them
//! that is client and real servers.
//!
//! ```text
//!   unit one: eth0 --+                 +-- eth0 of the lab - bridge ext - [client]
//!             eth1 --|-- wires --------|-- eth1            - bridge int - [rs1] [rs2]
//!   unit two: eth0 --|                 |-- eth2 (ext)
//!             eth1 --+                 +-- eth3 (int)
//!   unit one: ttyS1 ===== NullModem ===== ttyS1 :unit two
//! ```
//! What the units write stays on disks of their own, so that one can be switched off and on again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use testbed::console::Console;
use testbed::host;
use testbed::image::{Appliance, GuestBase};
use testbed::lab::Lab;
use testbed::limits::{self, wait_until};
use testbed::null_modem::NullModem;
use testbed::qemu::{Disk, Machine, Wire};

use crate::appliance;

/// One appliance, switched on or off.
pub struct Unit {
    /// `unit one`, for people; its file names have a dash.
    pub name: &'static str,
    number: u8,
    folder: PathBuf,
    disk: PathBuf,
    on: Option<(Machine, Option<Console>)>,
}

/// All of it.
pub struct Pair {
    pub one: Unit,
    pub two: Unit,
    pub lab: Lab,
    pub cable: NullModem,
}

impl Unit {
    fn new(name: &'static str, number: u8, folder: &Path, appliance: &Appliance) -> Result<Unit> {
        let disk = folder.join(format!("unit-{number}.disk"));
        std::fs::copy(&appliance.disk, &disk).with_context(|| format!("making {}", disk.display()))?;
        Ok(Unit { name, number, folder: folder.to_path_buf(), disk, on: None })
    }

    fn wire(&self, network: &str) -> Wire {
        Wire::new(&self.folder, &format!("{network}{}", self.number))
    }

    fn cable(&self) -> PathBuf {
        self.folder.join(format!("modem{}", self.number))
    }

    /// Boots it and logs in on its console.
    pub fn power_on(&mut self, appliance: &Appliance, lab: &Lab) -> Result<()> {
        self.lab_cards(lab, true)?;
        let mac = |network: u8| format!("52:54:00:{network}0:00:2{}", self.number);
        // The socket of a machine that was killed would be in the way.
        let _ = std::fs::remove_file(self.cable());
        let builder = appliance::bare(&format!("appliance-{}", self.number), appliance, Disk::raw(&self.disk))
            .cable(&self.cable())
            .nic(self.wire("ext").left(&mac(1)))
            .nic(self.wire("int").left(&mac(2)));
        let (machine, mut shell) = appliance::boot(builder)?;
        shell.login_root(limits::BOOT)?;
        // A program logs in faster than a person, and sooner than lbd has started.
        wait_until("lbd to answer", limits::BOOT, || Ok((shell.run("lbctl status")?.status == 0).then_some(())))?;
        self.on = Some((machine, Some(shell)));
        Ok(())
    }

    /// Leaves its console to somebody else.
    pub fn hang_up(&mut self) {
        if let Some((_, shell)) = &mut self.on {
            *shell = None;
        }
    }

    /// Pulls the plug, and the lab's cards lose their carrier, as a switch's ports do. Otherwise its QEMU may keep
    /// frames for the dead machine for ever, and senders wait for them.
    pub fn power_off(&mut self, lab: &Lab) -> Result<()> {
        self.on = None;
        self.lab_cards(lab, false)
    }

    /// The lab's ends of this unit's wires.
    fn lab_cards(&self, lab: &Lab, carrier: bool) -> Result<()> {
        let first = 2 * (self.number - 1);
        let word = if carrier { "on" } else { "off" };
        [first, first + 1]
            .iter()
            .try_for_each(|card| lab.machine.monitor(&format!("set_link n{card} {word}")).map(drop))
    }

    fn machine(&self) -> Result<&Machine> {
        self.on.as_ref().map(|(machine, _)| machine).with_context(|| format!("{} is switched off", self.name))
    }

    pub fn shell(&mut self) -> Result<&mut Console> {
        let name = self.name;
        let shell = self.on.as_mut().and_then(|(_, shell)| shell.as_mut());
        shell.with_context(|| format!("{name} is switched off"))
    }

    pub fn ok(&mut self, command: &str) -> Result<String> {
        let name = self.name;
        self.shell()?.ok(command).with_context(|| format!("on {name}"))
    }

    pub fn is_running(&mut self) -> Result<bool> {
        self.on.as_mut().map_or(Ok(false), |(machine, _)| machine.is_running())
    }

    pub fn console_socket(&self) -> Result<PathBuf> {
        Ok(self.machine()?.socket("console"))
    }

    /// Pulls or plugs both network cables.
    pub fn networks(&self, plugged: bool) -> Result<()> {
        let word = if plugged { "on" } else { "off" };
        ["n0", "n1"].iter().try_for_each(|card| self.machine()?.monitor(&format!("set_link {card} {word}")).map(drop))
    }

    /// What `lbctl ha --json` says at `field`.
    pub fn ha(&mut self, pointer: &str) -> Result<serde_json::Value> {
        let text = self.ok("lbctl --json ha")?;
        // The kernel speaks on the console too, when a card of an overloaded host gets nothing out.
        let json = text.find('{').map_or("", |begin| &text[begin..]);
        let view: serde_json::Value = serde_json::from_str(json).with_context(|| format!("reading {text}"))?;
        Ok(view.pointer(pointer).cloned().unwrap_or_default())
    }

    /// The addresses among `of` that its kernel has.
    pub fn holds(&mut self, of: &[&str]) -> Result<Vec<String>> {
        let all = self.ok("ip -o addr show")?;
        Ok(of.iter().filter(|address| all.contains(&format!(" {address}/"))).map(ToString::to_string).collect())
    }
}

impl Pair {
    /// Everything plugged in and booted.
    pub fn start(appliance: &Appliance, guest: &GuestBase, folder: &Path) -> Result<Pair> {
        let mut one = Unit::new("unit one", 1, folder, appliance)?;
        let mut two = Unit::new("unit two", 2, folder, appliance)?;
        let nics = vec![
            one.wire("ext").right("52:54:00:10:00:01"),
            one.wire("int").right("52:54:00:20:00:01"),
            two.wire("ext").right("52:54:00:10:00:02"),
            two.wire("int").right("52:54:00:20:00:02"),
        ];
        let lab = host::step("lab: client and two real servers between the units", || {
            let mut lab = Lab::start_with(guest, nics)?;
            lab.wire_pair()?;
            Ok(lab)
        })?;
        host::step("unit two: booted, logged in", || two.power_on(appliance, &lab))?;
        host::step("unit one: booted, logged in", || one.power_on(appliance, &lab))?;
        let cable = NullModem::between(one.cable(), two.cable());
        Ok(Pair { one, two, lab, cable })
    }

    /// The ends of both units' logs, for a story that went wrong.
    pub fn logs(&mut self) -> Result<String> {
        let log = "tail -n 40 /data/log/lbd/current /data/log/heartbeat/current";
        let (one, two) = (self.one.ok(log)?, self.two.ok(log)?);
        Ok(format!("unit one:\n{one}\nunit two:\n{two}"))
    }

    /// Waits until exactly one of the units that are on holds all of `floating`, and says which.
    pub fn one_owner(&mut self, floating: &[&str]) -> Result<&'static str> {
        let mut seen = String::new();
        wait_until("exactly one owner of every floating IP", limits::CONVERGE, || {
            let mut holders = Vec::new();
            for unit in [&mut self.one, &mut self.two].into_iter().filter(|unit| unit.on.is_some()) {
                let held = unit.holds(floating)?;
                if !held.is_empty() {
                    holders.push((unit.name, held));
                }
            }
            seen = format!("{holders:?}");
            Ok(match holders.as_slice() {
                [(name, held)] if held.len() == floating.len() => Some(*name),
                _ => None,
            })
        })
        .with_context(|| format!("held now: {seen}"))
    }

    /// Both units say that they have the same configuration.
    pub fn in_sync(&mut self) -> Result<()> {
        for unit in [&mut self.one, &mut self.two] {
            let name = unit.name;
            wait_until(&format!("{name} to be in sync"), limits::CONVERGE, || {
                Ok((unit.ha("/replication/state")? == "in-sync").then_some(()))
            })
            .or_else(|error| Err(error).with_context(|| unit.ok("lbctl ha").unwrap_or_default()))?;
        }
        Ok(())
    }
}
