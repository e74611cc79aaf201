//! Bridges, namespaces and addresses of the three topologies, by iproute2. Servers run in their namespaces with their
//! process number in `/run/lab/NAME.pid`; taking the network down ends them first.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// See `testbed::lab::Topology`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Topology {
    Nat,
    /// As nat, between two appliances: eth2 and eth3 lead to the other one, and the gateway floats.
    Pair,
    Dr,
    Tun,
}

/// The virtual server's address in the one-arm topologies.
const VIP: &str = "10.0.0.21";
/// The appliance's internal address: gateway of the real servers under NAT.
const INSIDE: &str = "192.168.2.21";
/// The same of a pair, on the unit that serves.
const FLOATING_INSIDE: &str = "192.168.2.20";
const HOSTS: [&str; 3] = ["client", "rs1", "rs2"];

/// Takes everything down and builds `topology`.
pub fn wire(topology: Topology) -> Result<()> {
    for name in HOSTS {
        stop_server(name)?;
        // Not there at the first wiring.
        let _ = ip(&["netns", "del", name]);
    }
    for (bridge, card, other) in [("ext", "eth0", "eth2"), ("int", "eth1", "eth3")] {
        let _ = ip(&["link", "del", bridge]);
        ip(&["link", "add", bridge, "type", "bridge", "forward_delay", "0"])?;
        ip(&["link", "set", card, "master", bridge, "up"])?;
        if topology == Topology::Pair {
            ip(&["link", "set", other, "master", bridge, "up"])?;
        }
        ip(&["link", "set", bridge, "up"])?;
    }
    host("client", "ext", &["10.0.0.30/24", "10.0.0.31/24"])?;
    match topology {
        Topology::Nat | Topology::Pair => {
            let gateway = if topology == Topology::Pair { FLOATING_INSIDE } else { INSIDE };
            host("rs1", "int", &["192.168.2.50/24"])?;
            host("rs2", "int", &["192.168.2.51/24"])?;
            for name in ["rs1", "rs2"] {
                inside(name, &["route", "add", "default", "via", gateway])?;
            }
        }
        Topology::Dr | Topology::Tun => {
            host("rs1", "ext", &["10.0.0.50/24"])?;
            host("rs2", "ext", &["10.0.0.51/24"])?;
            for name in ["rs1", "rs2"] {
                own_vip(name, topology)?;
            }
        }
    }
    start_server("rs1")?;
    start_server("rs2")
}

/// A namespace with one card on `bridge`.
fn host(name: &str, bridge: &str, addresses: &[&str]) -> Result<()> {
    let outer = format!("v-{name}");
    ip(&["netns", "add", name])?;
    // The same card again after a rewiring: the appliance need not find out that a neighbour has another one.
    let number = HOSTS.iter().position(|host| *host == name).unwrap_or_default();
    let mac = format!("02:00:00:00:00:{:02x}", number + 1);
    ip(&["link", "add", &outer, "type", "veth", "peer", "name", "eth0", "address", &mac, "netns", name])?;
    ip(&["link", "set", &outer, "master", bridge, "up"])?;
    inside(name, &["link", "set", "lo", "up"])?;
    inside(name, &["link", "set", "eth0", "up"])?;
    addresses.iter().try_for_each(|address| inside(name, &["addr", "add", address, "dev", "eth0"]))
}

/// The real server takes packets for the VIP without owning it: what comes for it is redirected to its own address, as
/// the quick start guide does it. A server that owned the VIP could not answer the appliance's health checks, which come
/// from that very address where the unit has only one.
fn own_vip(name: &str, topology: Topology) -> Result<()> {
    let own = if name == "rs1" { "10.0.0.50" } else { "10.0.0.51" };
    let rules = format!(
        "table ip vip {{ chain in {{ type nat hook prerouting priority dstnat; ip daddr {VIP} dnat to {own}; }}; }}"
    );
    run(Command::new("/sbin/ip").args(["netns", "exec", name, "nft", &rules]))?;
    if topology == Topology::Tun {
        // tunl0 is there in every namespace as soon as ipip is loaded. Packets come out of it that by the routing table
        // belong to eth0: no reverse-path filter.
        inside(name, &["link", "set", "tunl0", "up"])?;
        ["all", "eth0", "tunl0"]
            .iter()
            .try_for_each(|card| setting(name, &format!("net.ipv4.conf.{card}.rp_filter=0")))?;
    }
    Ok(())
}

/// Starts the HTTP server of `name` and returns when it listens.
pub fn start_server(name: &str) -> Result<()> {
    stop_server(name)?;
    fs::create_dir_all("/run/lab").context("making /run/lab")?;
    let log = fs::File::create(format!("/run/lab/{name}.log")).context("making the server's log")?;
    let program = std::env::current_exe().context("finding myself")?;
    let child = Command::new("/sbin/ip")
        .args(["netns", "exec", name])
        .arg(program)
        .args(["http-server", "--name", name, "--port", "80"])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("starting the server")?;
    // `ip netns exec` becomes the server: the number is the server's.
    fs::write(pid_file(name), child.id().to_string()).context("noting the server's process")?;
    let end = Instant::now() + Duration::from_secs(20);
    while !Command::new("/sbin/ip")
        .args(["netns", "exec", name, "ss", "-Hltn", "sport", "=", ":80"])
        .output()?
        .stdout
        .starts_with(b"LISTEN")
    {
        if Instant::now() > end {
            bail!("{name} does not listen: {}", fs::read_to_string(format!("/run/lab/{name}.log")).unwrap_or_default());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Kills the HTTP server of `name`, if one runs.
pub fn stop_server(name: &str) -> Result<()> {
    let file = pid_file(name);
    let Ok(pid) = fs::read_to_string(&file) else { return Ok(()) };
    run(Command::new("kill").args(["-9", pid.trim()]))?;
    fs::remove_file(&file).context("forgetting the server's process")
}

fn pid_file(name: &str) -> PathBuf {
    PathBuf::from(format!("/run/lab/{name}.pid"))
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("/sbin/ip").args(arguments))
}

fn inside(name: &str, arguments: &[&str]) -> Result<()> {
    run(Command::new("/sbin/ip").args(["-n", name]).args(arguments))
}

fn setting(name: &str, setting: &str) -> Result<()> {
    run(Command::new("/sbin/ip").args(["netns", "exec", name, "sysctl", "-qw", setting]))
}

fn run(command: &mut Command) -> Result<()> {
    let done = command.output().with_context(|| format!("starting {command:?}"))?;
    if !done.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}
