//! The lab beside an appliance: one guest that is a client and two real servers on the appliance's two networks.
//!
//! ```text
//!   appliance            lab guest
//!   eth0 ---- wire ---- eth0 - bridge ext - [ns client]  (NAT: also the gateway 10.0.0.31)
//!   eth1 ---- wire ---- eth1 - bridge int - [ns rs1] [ns rs2]   (DR, TUN: on bridge ext instead)
//! ```
//! The wiring itself is done inside by the `lab` program; here is only its remote control, over the guest's console.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::console::Console;
use crate::guest;
use crate::host;
use crate::image::{self, GuestBase};
use crate::limits::{self, wait_until};
use crate::qemu::{Machine, Nic, Wire};

/// How client and real servers are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// Two-arm NAT: client 10.0.0.30 and .31 outside; rs1 192.168.2.50, rs2 192.168.2.51 inside, gateway 192.168.2.21.
    Nat,
    /// One-arm DR: client 10.0.0.30, rs1 10.0.0.50, rs2 10.0.0.51 on one network; both hold 10.0.0.21 on `lo`, ARP mute.
    Dr,
    /// As DR, with 10.0.0.21 on `tunl0` (IP-in-IP).
    Tun,
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Topology::Nat => "nat",
            Topology::Dr => "dr",
            Topology::Tun => "tun",
        })
    }
}

/// The running lab.
pub struct Lab {
    /// Its QEMU.
    pub machine: Machine,
    /// A root shell in it.
    pub shell: Console,
}

impl Lab {
    /// Starts the lab at the right ends of the wires of the appliance's eth0 and eth1.
    pub fn start(base: &GuestBase, external: &Wire, internal: &Wire) -> Result<Lab> {
        Lab::start_with(base, vec![external.right("52:54:00:10:00:01"), internal.right("52:54:00:20:00:01")])
    }

    /// Starts it with these cards, eth0, eth1, …; for a pair outside and inside of unit one, then of unit two.
    pub fn start_with(base: &GuestBase, nics: Vec<Nic>) -> Result<Lab> {
        let disk = host::target().join("vm/lab-job.squashfs");
        std::fs::create_dir_all(host::target().join("vm")).context("making target/vm")?;
        guest::job_disk(&[], Some(&host::target().join("release")), &disk)?;
        let builder = guest::builder("lab", base, "shell").memory(384).disk(crate::qemu::Disk::readonly(&disk));
        let machine = guest::add_nics(builder, nics).start()?;
        let mut shell = machine.console("ttyS0")?;
        shell.expect_match(r"guest ready[^\n]*\n(?s:.*)# $", limits::BOOT).context("the lab does not boot")?;
        shell.quiet_shell()?;
        shell.ok("export PATH=/job/bin:$PATH; modprobe -a ipip veth bridge")?;
        Ok(Lab { machine, shell })
    }

    /// Builds the programs and the guest, for [`Lab::start`].
    pub fn prepare() -> Result<GuestBase> {
        image::programs()?;
        image::guest_base()
    }

    /// Takes the networks down and builds `topology`, with HTTP servers on port 80 of both real servers.
    pub fn wire(&mut self, topology: Topology) -> Result<()> {
        self.shell.ok(&format!("lab wire {topology}")).map(drop)
    }

    /// As NAT, between the two units of a pair, whose floating 192.168.2.20 is the servers' gateway.
    pub fn wire_pair(&mut self) -> Result<()> {
        self.shell.ok("lab wire pair").map(drop)
    }

    /// `count` requests from the client to `to` (`IP:PORT`); returns the table of answers per server.
    pub fn fetch(&mut self, to: &str, count: u32) -> Result<String> {
        let limit = limits::COMMAND + Duration::from_millis(u64::from(count) * 20);
        self.shell.ok_within(&format!("/sbin/ip netns exec client lab fetch --to {to} --count {count} --strict"), limit)
    }

    /// Runs `command` in the namespace of `who` (client, rs1, rs2).
    pub fn on(&mut self, who: &str, command: &str) -> Result<String> {
        self.shell.ok(&format!("/sbin/ip netns exec {who} {command}"))
    }

    /// A download from `to` that takes so many seconds, in the background; [`Lab::ended`] waits for it.
    pub fn download(&mut self, to: &str, seconds: u32) -> Result<()> {
        self.begin("download", &format!("lab download --to {to} --seconds {seconds}"))
    }

    /// Runs `command` as the client in the background.
    pub fn begin(&mut self, name: &str, command: &str) -> Result<()> {
        let run = format!("/sbin/ip netns exec client {command}; echo end $?");
        self.shell.ok(&format!("({run}) >/run/lab/{name}.log 2>&1 </dev/null &")).map(drop)
    }

    /// Whether it has ended, well or not.
    pub fn has_ended(&mut self, name: &str) -> Result<bool> {
        let text = self.shell.ok(&format!("cat /run/lab/{name}.log"))?;
        Ok(text.lines().any(|line| line.starts_with("end ")))
    }

    /// What it said, when it has ended well.
    pub fn ended(&mut self, name: &str, limit: Duration) -> Result<String> {
        wait_until(&format!("{name} to end"), limit, || Ok(self.has_ended(name)?.then_some(())))?;
        let text = self.shell.ok(&format!("cat /run/lab/{name}.log"))?;
        // The shell may say that a job is done, in whatever comes next.
        match text.split_once("end 0") {
            Some((said, _)) => Ok(said.trim().to_owned()),
            None => bail!("{name} failed: {text}"),
        }
    }

    /// A pair's units reach everybody but each other, as behind two switches whose link is cut: or again each other too.
    pub fn apart(&mut self, apart: bool) -> Result<()> {
        let word = u8::from(apart);
        let cards = (0..4).map(|card| format!("echo {word} >/sys/class/net/eth{card}/brport/isolated"));
        self.shell.ok(&cards.collect::<Vec<_>>().join(" && ")).map(drop)
    }

    /// A unit (1 or 2) of a pair reaches nobody over its networks, though its cards have their carrier: or everybody again.
    pub fn alone(&mut self, unit: u8, alone: bool) -> Result<()> {
        let first = 2 * (unit - 1);
        let wires = [(first, "ext"), (first + 1, "int")].map(|(card, bridge)| match alone {
            true => format!("/sbin/ip link set eth{card} nomaster"),
            false => format!("/sbin/ip link set eth{card} master {bridge}"),
        });
        self.shell.ok(&wires.join(" && ")).map(drop)
    }

    /// Stops the HTTP server of a real server, as a crash would.
    pub fn stop_server(&mut self, who: &str) -> Result<()> {
        self.shell.ok(&format!("lab stop-server {who}")).map(drop)
    }

    /// Starts it again.
    pub fn start_server(&mut self, who: &str) -> Result<()> {
        self.shell.ok(&format!("lab start-server {who}")).map(drop)
    }
}
