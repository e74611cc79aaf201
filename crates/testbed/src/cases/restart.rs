//! lbd may die at any time, and hands other than its own may touch the kernel.

use super::{
    topology::{Appliance, C_TOOL, Lab, guide_nat},
    wait,
    web::{Load, Server},
};
use anyhow::{Result, ensure};

pub fn kill_under_load() -> Result<()> {
    let lab = Lab::two_arm()?;
    let _rs1 = Server::start(&lab.rs1, "0.0.0.0:80", "rs1")?;
    let _rs2 = Server::start(&lab.rs2, "0.0.0.0:80", "rs2")?;
    let mut appliance = Appliance::start(&lab.lb)?;
    appliance.apply(&guide_nat())?;
    appliance.wait_for(&["active", "active"])?;
    let table = appliance.table()?;
    let load = Load::start(&lab.client, "10.0.0.21:80", 3)?;
    let counted = |a: &Appliance| anyhow::Ok(a.client.status()?.virtual_servers[0].counters.connections);
    for _ in 0..5 {
        let before = load.count();
        let kernel = counted(&appliance)?;
        appliance.kill()?;
        wait("requests without lbd", || Ok(load.count()), |n| *n > before + 20)?;
        ensure!(appliance.table()? == table, "a dead lbd changed the table");
        appliance.start_again()?;
        ensure!(appliance.table()? == table, "a new lbd changed the table:\n{}", appliance.table()?);
        let with = load.count();
        wait("requests with lbd", || Ok(load.count()), |n| *n > with + 20)?;
        appliance.wait_for(&["active", "active"])?;
        // The kernel counts on: nothing was removed and added again. It adds its processors' counts up every two
        // seconds (net/netfilter/ipvs/ip_vs_est.c), so the same number may be read twice, but never a smaller one.
        let now = counted(&appliance)?;
        ensure!(now >= kernel, "the kernel counts {now} connections after {kernel}");
        wait("the kernel's count", || counted(&appliance), |now| *now > kernel)?;
    }
    let (done, failures) = load.stop();
    ensure!(failures.is_empty(), "{} of {done} requests failed: {:?}", failures.len(), failures.first());
    Ok(())
}

pub fn by_hand() -> Result<()> {
    let lab = Lab::two_arm()?;
    let _rs1 = Server::start(&lab.rs1, "0.0.0.0:80", "rs1")?;
    let _rs2 = Server::start(&lab.rs2, "0.0.0.0:80", "rs2")?;
    let appliance = Appliance::start(&lab.lb)?;
    appliance.apply(&guide_nat())?;
    appliance.wait_for(&["active", "active"])?;
    let table = appliance.table()?;
    let hand = |words: &str| lab.lb.run(C_TOOL, &words.split(' ').collect::<Vec<_>>());
    for words in [
        "-d -t 10.0.0.21:80 -r 192.168.2.50:80",
        "-D -t 10.0.0.21:80",
        "-E -t 10.0.0.21:80 -s rr -p 60",
        "-e -t 10.0.0.21:80 -r 192.168.2.51:80 -m -w 9",
        "-a -t 10.0.0.21:80 -r 192.168.2.77:80 -m",
    ] {
        hand(words)?;
        wait(&format!("repair of ipvsadm {words}"), || appliance.table(), |t| *t == table)?;
    }
    lab.lb.ip("addr del 192.168.2.21/24 dev eth1")?;
    wait("the address", || lab.lb.ip("addr show eth1"), |t| t.contains("192.168.2.21/24"))?;
    lab.lb.ip("route del default")?;
    wait("the route", || lab.lb.ip("route"), |t| t.contains("default via 10.0.0.31"))?;
    lab.lb.run("nft", &["delete", "table", "inet", "steelyard"])?;
    wait("the firewall rules", || lab.lb.run("nft", &["list", "ruleset"]), |t| t.contains("masquerade"))?;
    lab.lb.sysctl("net.ipv4.ip_forward", "0")?;
    let forward = || lab.lb.run("cat", &["/proc/sys/net/ipv4/ip_forward"]);
    wait("forwarding", forward, |t| t.trim() == "1")?;

    hand("-A -t 10.0.0.21:2222 -s rr")?;
    lab.lb.ip("addr add 10.0.0.99/24 dev eth0")?;
    let drift = || Ok(appliance.client.status()?.drift.join("\n"));
    wait("the report", drift, |d| d.contains("10.0.0.21:2222") && d.contains("10.0.0.99/24"))?;
    ensure!(appliance.table()?.contains("10.0.0.21:2222"), "a foreign service was removed");
    ensure!(lab.lb.ip("addr show eth0")?.contains("10.0.0.99/24"), "a foreign address was removed");
    Ok(())
}
