//! `cargo xtask demo`: from power-on to balanced traffic, before the reader's eyes.
//!
//! What is typed on the appliance is in [`steps`]; this file boots, rewires, asks and prints.

pub mod pair;
pub mod steps;

use std::os::fd::AsFd;
use std::time::Instant;

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use testbed::console::{Console, ROOT_PASSWORD};
use testbed::host::{self, say};
use testbed::image;
use testbed::lab::{Lab, Topology};
use testbed::limits::{self, wait_until};
use testbed::qemu::Wire;

use crate::appliance::{self, Web};
use crate::console;

/// The virtual server of the guide, in all three topologies.
const VIP: &str = "10.0.0.21:80";
/// Requests per table.
const REQUESTS: u32 = 100;

/// Shows NAT, DR and TUN; stays until Ctrl-C unless `exit`.
pub fn demo(exit: bool) -> Result<()> {
    say("Steelyard demo: an appliance, a client and two real servers in two QEMU machines.");
    host::install_missing_tools()?;
    say("Building (the first time takes some minutes):");
    let built = image::build(image::Hardware::Virtual)?;
    let guest = image::guest_base()?;

    let cables = appliance::tempfolder()?;
    let (external, internal) = (Wire::new(&cables, "external"), Wire::new(&cables, "internal"));
    let start = Instant::now();
    say("Booting the appliance and the lab:");
    let web = Web::new()?;
    let (mut machine, mut shell) = appliance::start(&built, &external, &internal, &web)?;
    let mut lab = host::step("lab: client and two real servers", || {
        let mut lab = Lab::start(&guest, &external, &internal)?;
        lab.wire(Topology::Nat)?;
        Ok(lab)
    })?;
    host::step("appliance: login on the serial console", || shell.login_root(limits::BOOT))?;
    host::step("appliance: its web interface", || web.open(&mut shell))?;

    for topology in [Topology::Nat, Topology::Dr, Topology::Tun] {
        show(topology, &mut shell, &mut lab)?;
    }
    say(&format!(
        "All three methods balanced {REQUESTS} requests each; {:.0} s since power-on.",
        start.elapsed().as_secs_f64()
    ));
    if exit {
        let _ = std::fs::remove_dir_all(&cables);
        return Ok(());
    }
    let lab_console = lab.machine.socket("ttyS0");
    drop(shell);
    drop(lab.shell);
    console::announce(&[(console::Which::Appliance, machine.socket("console")), (console::Which::Lab, lab_console)])?;
    say("\nThe machines stay until Ctrl-C. In a browser:");
    say(&format!("  {}    the web interface: loadbalancer / loadbalancer, then a password of your own", web.url()));
    say("In another terminal:");
    say(&format!(
        "  cargo xtask console          the appliance (you are root there; `exit` shows the login: root / {ROOT_PASSWORD})"
    ));
    say("  cargo xtask console --lab    the lab; `ip netns exec client lab fetch --to 10.0.0.21:80` sends requests");
    until_ctrl_c(|| machine.is_running())?;
    console::withdraw();
    let _ = std::fs::remove_dir_all(&cables);
    Ok(())
}

/// Returns at Ctrl-C, or when the appliance has powered off. The signals are blocked in this thread and taken off the
/// queue here, so that machines and folders are cleared away in order.
fn until_ctrl_c(mut runs: impl FnMut() -> Result<bool>) -> Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    signals.thread_block().context("taking over Ctrl-C")?;
    let inbox = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK).context("listening for Ctrl-C")?;
    while runs()? {
        let mut waiting = [PollFd::new(inbox.as_fd(), PollFlags::POLLIN)];
        if poll(&mut waiting, PollTimeout::from(1000_u16)).context("waiting for Ctrl-C")? > 0 {
            break;
        }
    }
    Ok(())
}

/// Sets the appliance up for `topology`, sends requests, prints who answered.
fn show(topology: Topology, shell: &mut Console, lab: &mut Lab) -> Result<()> {
    let title = match topology {
        Topology::Nat => "Two-arm NAT: the guide's table, typed into lbwizard",
        Topology::Dr => "One-arm DR: the same lab on one network",
        Topology::Tun => "TUN: the same, through IP-in-IP",
    };
    say(&format!("\n{title}"));
    if topology != Topology::Nat {
        host::step("lab: rewiring", || lab.wire(topology))?;
        // Health checks went on meanwhile: what the appliance believes about its neighbours is of the old wiring.
        shell.ok("/sbin/ip neigh flush all")?;
    }
    steps::configure(topology, shell)?;
    // After a rewiring the two machines may lose packets for some seconds: what counts is a whole table without failure.
    let what = format!("{REQUESTS} requests in a row through the VIP, to both real servers");
    let table = host::step(&what, || {
        wait_until(&what, limits::CONVERGE, || {
            let table = lab.fetch(VIP, REQUESTS).unwrap_or_default();
            Ok((table.contains("rs1") && table.contains("rs2")).then_some(table))
        })
        .with_context(|| format!("the appliance's table:\n{}", shell.ok("ipvsadm -Ln").unwrap_or_default()))
    })?;
    println!("\n{REQUESTS} requests to {VIP}:\n{table}");
    println!("{}", shell.ok("ipvsadm -Ln")?.trim());
    Ok(())
}
