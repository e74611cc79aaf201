//! The guide's networks, and the appliance in them.

use super::{
    net::{Netns, plug, switch},
    wait,
};
use anyhow::{Context, Result};
use lb_api::{Applied, ApplyRequest, BlockingClient};
use lb_model::{Config, ForwardingMethod};
use std::process::{Child, Command, Stdio};

/// A client, the appliance, two real servers.
pub struct Lab {
    pub client: Netns,
    pub lb: Netns,
    pub rs1: Netns,
    pub rs2: Netns,
}

fn host(name: &str, interface: &str, at: &str, address: &str) -> Result<Netns> {
    let ns = Netns::new(name)?;
    plug(&ns, interface, at)?;
    ns.ip(&format!("addr add {address} dev {interface}"))?;
    ns.ip(&format!("link set {interface} up"))?;
    Ok(ns)
}

impl Lab {
    /// 10.0.0.0/24 outside with the client (.31, the appliance's gateway), 192.168.2.0/24 inside with the servers.
    pub fn two_arm() -> Result<Lab> {
        switch("ext")?;
        switch("int")?;
        let client = host("client", "eth0", "ext", "10.0.0.31/24")?;
        let lb = Netns::new("lb")?;
        plug(&lb, "eth0", "ext")?;
        plug(&lb, "eth1", "int")?;
        let rs1 = host("rs1", "eth0", "int", "192.168.2.50/24")?;
        let rs2 = host("rs2", "eth0", "int", "192.168.2.51/24")?;
        for rs in [&rs1, &rs2] {
            rs.ip("route add default via 192.168.2.21")?;
        }
        Ok(Lab { client, lb, rs1, rs2 })
    }

    /// Everybody on 10.0.0.0/24 and fd00:a::/64. What comes for the IPv4 VIP is redirected on the servers, as the guide
    /// does it: the VIP is the appliance's own address, and a server that owned it could not answer a health check.
    /// The IPv6 VIP is on their loopback.
    pub fn one_arm() -> Result<Lab> {
        switch("ext")?;
        let client = host("client", "eth0", "ext", "10.0.0.31/24")?;
        let lb = Netns::new("lb")?;
        plug(&lb, "eth0", "ext")?;
        plug(&lb, "eth1", "ext")?;
        let rs1 = host("rs1", "eth0", "ext", "10.0.0.50/24")?;
        let rs2 = host("rs2", "eth0", "ext", "10.0.0.51/24")?;
        for (ns, host) in [(&client, 31), (&rs1, 50), (&rs2, 51)] {
            ns.ip(&format!("addr add fd00:a::{host}/64 dev eth0 nodad"))?;
        }
        for (rs, address) in [(&rs1, "10.0.0.50"), (&rs2, "10.0.0.51")] {
            rs.sysctl("net.ipv4.conf.all.rp_filter", "0")?;
            rs.sysctl("net.ipv4.conf.default.rp_filter", "0")?;
            rs.ip("addr add fd00:a::21/128 dev lo nodad")?;
            rs.run("nft", &["add", "table", "ip", "vip"])?;
            rs.run("nft", &["add chain ip vip in { type nat hook prerouting priority dstnat; }"])?;
            rs.run("nft", &[&format!("add rule ip vip in ip daddr 10.0.0.21 dnat to {address}")])?;
        }
        Ok(Lab { client, lb, rs1, rs2 })
    }
}

/// lbd in the appliance's namespace, with a store of its own.
pub struct Appliance {
    ns: Netns,
    dir: tempfile::TempDir,
    child: Child,
    pub client: BlockingClient,
}

impl Appliance {
    pub fn start(ns: &Netns) -> Result<Appliance> {
        let dir = tempfile::tempdir()?;
        std::fs::create_dir(dir.path().join("etc"))?;
        std::fs::create_dir(dir.path().join("haproxy"))?;
        let child = spawn(ns, &dir)?;
        let client = BlockingClient::new(dir.path().join("lbd.sock"));
        let appliance = Appliance { ns: ns.clone(), dir, child, client };
        appliance.answers()?;
        Ok(appliance)
    }

    /// Where its store, its logs and its sockets are.
    pub fn folder(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Waits until lbd answers.
    pub fn answers(&self) -> Result<()> {
        wait("lbd answers", || Ok(self.client.status()?), |_| true).map(drop)
    }

    /// `kill -9`, and no successor yet.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    pub fn start_again(&mut self) -> Result<()> {
        self.child = spawn(&self.ns, &self.dir)?;
        self.answers()
    }

    pub fn apply(&self, config: &Config) -> Result<Applied> {
        let request = ApplyRequest { config: Some(config.clone()), author: "case".into(), ..ApplyRequest::default() };
        let applied = self.client.apply(&request)?;
        anyhow::ensure!(applied.converged, "not converged: {:?}", applied.pending);
        self.same_as_meant(config)?;
        Ok(applied)
    }

    /// Waits until real servers have the actual status that is asked for, in their order.
    pub fn wait_for(&self, actual: &[&str]) -> Result<()> {
        let see = || {
            let status = self.client.status()?;
            let servers = status.virtual_servers.into_iter().flat_map(|v| v.real_servers);
            Ok(servers.map(|r| r.actual.to_string()).collect::<Vec<_>>())
        };
        wait(&format!("real servers are {actual:?}"), see, |seen| seen == actual).map(drop)
    }

    /// What the C tool says of the kernel's table, sorted.
    pub fn table(&self) -> Result<String> {
        table(&self.ns, C_TOOL)
    }

    /// After an apply the C tool sees the services that the configuration means, with their schedulers.
    fn same_as_meant(&self, config: &Config) -> Result<()> {
        let wanted = lb_plan::desired(config, &lb_plan::Health::default());
        let table = self.table()?;
        let services = table.lines().filter(|l| l.starts_with("-A")).count();
        anyhow::ensure!(
            services == wanted.services.len(),
            "{services} services, {} meant:\n{table}",
            wanted.services.len()
        );
        for (key, service) in &wanted.services {
            let name = match key {
                lb_plan::ServiceKey::Address { protocol, address, port } => {
                    let flag = match protocol {
                        lb_model::Protocol::Tcp => "-t",
                        lb_model::Protocol::Udp => "-u",
                        lb_model::Protocol::Sctp => "--sctp-service",
                    };
                    format!("-A {flag} {}", std::net::SocketAddr::new(*address, *port))
                }
                lb_plan::ServiceKey::Mark { mark, .. } => format!("-A -f {mark}"),
            };
            let line = table.lines().find(|l| l.starts_with(&format!("{name} ")));
            let line = line.with_context(|| format!("{name} is not in the kernel:\n{table}"))?;
            anyhow::ensure!(line.contains(&format!("-s {}", service.scheduler)), "{line}: {} meant", service.scheduler);
        }
        Ok(())
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        // Its namespace goes with it.
        let _ = self.kill();
    }
}

fn spawn(ns: &Netns, dir: &tempfile::TempDir) -> Result<Child> {
    let at = |name: &str| dir.path().join(name);
    let log = std::fs::OpenOptions::new().create(true).append(true).open(at("lbd.log"))?;
    let mut command: Command = ns.command("lbd");
    command.args(["--reconcile-every".as_ref(), "1".as_ref(), "--state".as_ref(), at("lb").as_os_str()]);
    command.args(["--run".as_ref(), at("run").as_os_str(), "--etc".as_ref(), at("etc").as_os_str()]);
    command.args(["--haproxy-run".as_ref(), at("haproxy").as_os_str()]);
    command.args(["--socket".as_ref(), at("lbd.sock").as_os_str(), "--pair".as_ref(), at("pair").as_os_str()]);
    command.args(["--heartbeat".as_ref(), at("heartbeat.sock").as_os_str()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().context("starting lbd")
}

/// Debian's ipvsadm in the test guest.
pub const C_TOOL: &str = "/sbin/ipvsadm";

/// `ipvsadm -Sn`, sorted.
pub fn table(ns: &Netns, tool: &str) -> Result<String> {
    let text = ns.run(tool, &["-S", "-n"])?;
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.sort_unstable();
    Ok(lines.join("\n"))
}

/// The guide's two-arm NAT: 10.0.0.21:80 to the servers inside.
pub fn guide_nat() -> Config {
    let mut config = guide(ForwardingMethod::Nat, ["192.168.2.50", "192.168.2.51"]);
    config
        .node
        .interfaces
        .extend(serde_json::from_str::<lb_model::Interface>(r#"{"name":"eth1","addresses":["192.168.2.21/24"]}"#));
    config.globals.masquerade = true;
    config
}

/// One arm: the VIP is the appliance's own address. A check waits for longer than an emulated machine is ever held up; a
/// server that is stopped refuses at once.
pub fn guide(forwarding: ForwardingMethod, servers: [&str; 2]) -> Config {
    let [a, b] = servers;
    let document = format!(
        r#"{{"version":1,
          "node":{{"hostname":"lbmaster","interfaces":[{{"name":"eth0","addresses":["10.0.0.21/24"]}}],"gateway":"10.0.0.31"}},
          "globals":{{"health":{{"interval":1,"timeout":10}}}},
          "virtual_servers":[{{"label":"HTTP_Cluster","service":{{"kind":"address","address":"10.0.0.21","ports":"80"}},
            "real_servers":[{{"label":"WebServer1","address":"{a}","forwarding":"{forwarding}"}},
                            {{"label":"WebServer2","address":"{b}","forwarding":"{forwarding}"}}]}}]}}"#
    );
    match lb_model::migrate(&document) {
        Ok(config) => config,
        Err(e) => unreachable!("{e}"),
    }
}
