//! Our `ipvsadm` beside the C tool, on the real kernel.

use super::{
    net::{Netns, plug, switch},
    topology::C_TOOL,
    web::{Server, fetch},
};
use anyhow::{Context, Result, bail, ensure};
use std::process::{Command, Output, Stdio};

/// Ours, as the guest has it beside the C tool.
const OURS: &str = "/job/bin/ipvsadm-rs";

/// The topology of the kernel's `tools/testing/selftests/net/netfilter/ipvs.sh`: a client and a director on one
/// network, a real server on a second one behind the director; DR, NAT and TUN. The commands are those of that script.
pub fn selftest() -> Result<()> {
    for (method, flag) in [("DR", "-g"), ("NAT", "-m"), ("TUN", "-i")] {
        one_selftest(method, flag).with_context(|| method.to_owned())?;
        super::net::clean_up();
    }
    Ok(())
}

fn one_selftest(method: &str, flag: &str) -> Result<()> {
    const VIP: &str = "207.175.44.110";
    switch("br0")?;
    let (client, director, server) = (Netns::new("ns0")?, Netns::new("ns1")?, Netns::new("ns2")?);
    plug(&client, "eth0", "br0")?;
    plug(&director, "eth0", "br0")?;
    plug(&server, "eth0", "br0")?;
    crate::cases::net::ip("link add veth12 type veth peer name eth1 netns ns2")?;
    crate::cases::net::ip("link set veth12 netns ns1 name eth1")?;
    client.ip("addr add 10.0.0.1/24 dev eth0")?;
    director.ip("addr add 10.0.0.10/24 dev eth0")?;
    director.ip(&format!("addr add {VIP}/32 dev lo"))?;
    director.ip("addr add 10.1.0.1/24 dev eth1")?;
    server.ip("addr add 10.1.0.2/24 dev eth1")?;
    server.ip("addr add 10.0.0.20/24 dev eth0")?;
    for (ns, interface) in
        [(&client, "eth0"), (&director, "eth0"), (&director, "eth1"), (&server, "eth0"), (&server, "eth1")]
    {
        ns.ip(&format!("link set {interface} up"))?;
    }
    client.ip(&format!("route add {VIP} via 10.0.0.10 dev eth0"))?;
    director.sysctl("net.ipv4.ip_forward", "1")?;
    director.run(OURS, &["-v"])?;
    let service = format!("{VIP}:8080");
    let add = |args: &[&str]| director.run(OURS, args);
    let _web = match method {
        "NAT" => {
            server.ip("route add default via 10.1.0.1 dev eth1")?;
            server.ip("addr del 10.0.0.20/24 dev eth0")?;
            add(&["-A", "-t", &service, "-s", "rr"])?;
            add(&["-a", flag, "-t", &service, "-r", "10.1.0.2:8080"])?;
            Server::start(&server, "10.1.0.2:8080", "server")?
        }
        _ => {
            let on = if method == "TUN" { "tunl0" } else { "lo" };
            let real = if method == "TUN" { "10.1.0.2:8080" } else { "10.0.0.20:8080" };
            for (name, value) in [("arp_ignore", "1"), ("arp_announce", "2"), ("rp_filter", "0")] {
                server.sysctl(&format!("net.ipv4.conf.all.{name}"), value)?;
            }
            for interface in ["eth0", "eth1"] {
                server.sysctl(&format!("net.ipv4.conf.{interface}.rp_filter"), "0")?;
            }
            if method == "TUN" {
                server.ip("link set tunl0 up")?;
                server.sysctl("net.ipv4.conf.tunl0.rp_filter", "0")?;
            }
            server.ip(&format!("addr add {VIP}/32 dev {on}"))?;
            add(&["-A", "-t", &service, "-s", "rr"])?;
            add(&["-a", flag, "-t", &service, "-r", real])?;
            Server::start(&server, &service, "server")?
        }
    };
    let answers = fetch(&client, &service, 3)?;
    ensure!(answers.get("server") == Some(&3), "{answers:?}");
    Ok(())
}

/// Every line of the table is run with both tools, each in a namespace of its own, one after the other; exit status and
/// the kernel's table must be equal after each.
pub fn matrix() -> Result<()> {
    let lines = include_str!("../../../ipvs-rs/tests/matrix/lines.txt");
    let (ours, theirs) = (Netns::new("ours")?, Netns::new("theirs")?);
    for ns in [&ours, &theirs] {
        ns.ip("link add dummy0 type dummy")?;
        ns.ip("link set dummy0 up")?;
        for route in ["route add default dev dummy0", "-6 route add default dev dummy0"] {
            ns.ip(route)?;
        }
    }
    let mut tried = 0;
    let mut differences = Vec::new();
    for line in lines.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
        let args: Vec<&str> = line.split_whitespace().collect();
        let (a, b) = (output(&ours, OURS, &args)?, output(&theirs, C_TOOL, &args)?);
        tried += 1;
        if a.status.code() != b.status.code() {
            let said = |o: &std::process::Output| {
                String::from_utf8_lossy(&o.stderr).lines().next().unwrap_or_default().to_owned()
            };
            differences.push(format!(
                "{line}: ours {:?} {}, C tool {:?} {}",
                a.status.code(),
                said(&a),
                b.status.code(),
                said(&b)
            ));
        }
        let thresholds = args.iter().any(|a| a.starts_with("-x") || a.starts_with("-y") || a.contains("thresh"));
        let (a, b) = (state(&ours, thresholds)?, state(&theirs, thresholds)?);
        if a != b {
            bail!("after {line}: ours:\n{a}\nthe C tool:\n{b}");
        }
        let meant = saved(&ours, C_TOOL)?;
        let printed = saved(&ours, OURS)?;
        if printed != meant {
            bail!("after {line}: ours prints\n{printed}\nthe C tool of the same table\n{meant}");
        }
    }
    ensure!(differences.is_empty(), "{} of {tried} lines differ:\n  {}", differences.len(), differences.join("\n  "));
    ensure!(tried > 100, "only {tried} lines");
    println!("  {tried} lines");
    Ok(())
}

/// What the C tool can tell of the table; `-S` leaves thresholds out.
fn state(ns: &Netns, thresholds: bool) -> Result<String> {
    let listed = if thresholds { printed(ns, C_TOOL, &["-L", "-n", "--thresholds"])? } else { String::new() };
    Ok(format!("{}\n{listed}", saved(ns, C_TOOL)?))
}

/// `ipvsadm -Sn`, sorted: the order of the kernel's table is that of its hash.
fn saved(ns: &Netns, tool: &str) -> Result<String> {
    let text = printed(ns, tool, &["-S", "-n"])?;
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.sort_unstable();
    Ok(lines.join("\n"))
}

fn printed(ns: &Netns, tool: &str, args: &[&str]) -> Result<String> {
    Ok(String::from_utf8_lossy(&output(ns, tool, args)?.stdout).into_owned())
}

/// Started from a thread inside the namespace: thousands of programs run here, and `ip netns exec` would double them.
fn output(ns: &Netns, tool: &str, args: &[&str]) -> Result<Output> {
    let mut command = Command::new(tool);
    command.args(args).stdin(Stdio::null());
    ns.inside(move || Ok(command.output()?))
}
