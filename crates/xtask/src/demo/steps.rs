//! What a person types on the appliance: the wizard's answers and the commands of `lbctl`. All of it is here.

use anyhow::{Context, Result};
use testbed::console::Console;
use testbed::host;
use testbed::lab::Topology;
use testbed::limits::{self, wait_until};

/// A question of the wizard (a part of its text) and the answer; an empty answer is Enter.
type Question = (&'static str, &'static str);

/// The guide's eleven answers: single unit, two-arm NAT (product.md section 4).
const TWO_ARM: &[Question] = &[
    ("part of an HA-Pair?", "n"),
    ("one-armed set-up", "n"),
    ("IP address for interface eth0", "10.0.0.21"),
    ("netmask for interface eth0", "255.255.255.0"),
    ("IP address for interface eth1", "192.168.2.21"),
    ("netmask for interface eth1", "255.255.255.0"),
    ("default gateway", "10.0.0.31"),
    ("nameserver", "10.0.0.31"),
    ("port for first virtual server", "80"),
    ("first real server", "192.168.2.50"),
    ("permanent", ""),
];

/// The same unit with one arm: DR, the virtual server on eth0's own address.
const ONE_ARM: &[Question] = &[
    ("part of an HA-Pair?", "n"),
    ("one-armed set-up", "y"),
    ("IP address for interface eth0", "10.0.0.21"),
    ("netmask for interface eth0", "255.255.255.0"),
    ("default gateway", "10.0.0.31"),
    ("nameserver", "10.0.0.31"),
    ("port for first virtual server", "80"),
    ("first real server", "10.0.0.50"),
    ("permanent", ""),
];

/// The slave of a pair: its addresses. Then it waits for the master, and the wizard ends when they are paired.
const SLAVE: &[Question] = &[
    ("part of an HA-Pair?", "y"),
    ("master or the slave?", "s"),
    ("one-armed set-up", "n"),
    ("IP address for interface eth0", "10.0.0.22"),
    ("Netmask for interface eth0", "255.255.255.0"),
    ("IP address for interface eth1", "192.168.2.22"),
    ("Netmask for interface eth1", "255.255.255.0"),
    ("default gateway", "10.0.0.31"),
    ("nameserver", "10.0.0.31"),
    ("permanent", ""),
];

/// The master: nothing is typed for the pairing where there is a null-modem cable.
const MASTER: &[Question] = &[
    ("part of an HA-Pair?", "y"),
    ("master or the slave?", "m"),
    ("slave been set up already?", "y"),
    ("one-armed set-up", "n"),
    ("IP address for interface eth0", "10.0.0.21"),
    ("Netmask for interface eth0", "255.255.255.0"),
    ("IP address for interface eth1", "192.168.2.21"),
    ("Netmask for interface eth1", "255.255.255.0"),
    ("default gateway", "10.0.0.31"),
    ("nameserver", "10.0.0.31"),
    ("IP address of the slave", "10.0.0.22"),
    ("address for the first virtual server", "10.0.0.20"),
    ("real servers' gateway", "192.168.2.20"),
    ("port for first virtual server", "80"),
    ("first real server", "192.168.2.50"),
    ("permanent", ""),
];

/// Two units out of the box become a pair, by their wizards and the null-modem cable.
pub fn pair(slave: &mut Console, master: &mut Console) -> Result<()> {
    host::step("lbwizard on the slave: its addresses; it waits for the master", || {
        answers(slave, SLAVE)?;
        slave.expect_match("This unit waits for the master", limits::CONVERGE).map(drop)
    })?;
    host::step("lbwizard on the master: paired over the null-modem cable, the first virtual server", || {
        wizard(master, MASTER)
    })?;
    host::step("lbwizard on the slave has ended", || ended(slave))?;
    second_server_of(master, "10.0.0.20:80", "192.168.2.51")
}

/// The virtual server, as lbctl's arguments name it.
const VIP: &str = "10.0.0.21:80";

/// Brings the appliance to `topology`, from the factory settings or from the topology shown before.
pub fn configure(topology: Topology, shell: &mut Console) -> Result<()> {
    // A program logs in faster than a person, and sooner than lbd has started.
    wait_until("lbd to answer", limits::BOOT, || Ok((shell.run("lbctl status")?.status == 0).then_some(())))?;
    match topology {
        Topology::Nat => {
            host::step("lbwizard: the guide's eleven answers on the serial console", || wizard(shell, TWO_ARM))?;
            second_server(shell, "192.168.2.51")
        }
        Topology::Dr => {
            host::step("lbwizard again: one arm", || wizard(shell, ONE_ARM))?;
            second_server(shell, "10.0.0.51")
        }
        Topology::Tun => {
            for server in ["WebServer1", "WebServer2"] {
                lbctl(shell, &format!("config set virtual_servers.0.real_servers.{server}.forwarding tun"))?;
            }
            lbctl(shell, "apply -m TUN")
        }
    }
}

/// Answers `questions` in their order. Each must come; what else is printed does not matter.
fn wizard(shell: &mut Console, questions: &[Question]) -> Result<()> {
    answers(shell, questions)?;
    ended(shell)
}

fn answers(shell: &mut Console, questions: &[Question]) -> Result<()> {
    shell.send_line("lbwizard; printf 'wizard-%s:%d:\\n' end $?")?;
    shell.expect_match("(?i-u)press enter to continue", limits::QUESTION).context("no welcome from lbwizard")?;
    shell.send_line("")?;
    for (question, answer) in questions {
        shell
            .expect_match(&format!("(?i-u){}", question.replace("?", "\\?")), limits::PAIRING)
            .with_context(|| format!("lbwizard did not ask: {question}"))?;
        shell.send_line(answer)?;
    }
    Ok(())
}

fn ended(shell: &mut Console) -> Result<()> {
    let (_, end) = shell.expect_match(r"wizard-end:\d+:\n", limits::CONVERGE)?;
    anyhow::ensure!(end.contains(":0:"), "lbwizard ended with {}", end.trim());
    Ok(())
}

fn second_server(shell: &mut Console, address: &str) -> Result<()> {
    second_server_of(shell, VIP, address)
}

fn second_server_of(shell: &mut Console, vip: &str, address: &str) -> Result<()> {
    lbctl(shell, &format!("rip add {vip} WebServer2 {address}:80 --apply"))
}

fn lbctl(shell: &mut Console, arguments: &str) -> Result<()> {
    host::step(&format!("lbctl {arguments}"), || shell.ok(&format!("lbctl {arguments}")).map(drop))
}
