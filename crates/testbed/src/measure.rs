//! What the benchmarks measure, inside one guest with a virtual clock: ours and the peer in the same run.
//!
//! Each figure is printed as `MEASURED name value`, milliseconds of the guest's clock (1 ns an instruction; names
//! that end in `-us`: microseconds);
//! `cargo xtask bench` sets them beside each other. The minimum of several runs is taken.

mod layer7;
mod many;

pub use layer7::proxy;
pub use many::changes;

use crate::cases::{
    net::{Netns, ip, plug, switch},
    topology::{C_TOOL, guide},
};
use anyhow::{Context, Result, ensure};
use lb_api::{ApplyRequest, BlockingClient, PutCandidate};
use lb_model::{CheckMethod, Config, ForwardingMethod, RealServer, Service, VirtualServer};
use std::{
    fmt::Write as _,
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const OURS: &str = "/job/bin/ipvsadm-rs";
const VIP: &str = "10.0.0.21";

fn measured(name: &str, value: f64) {
    println!("MEASURED {name} {value:.3}");
}

fn milliseconds(d: Duration) -> f64 {
    d.as_secs_f64() * 1000.0
}

/// The smallest of `runs` times of `work`, after `prepare` each.
fn best(runs: usize, mut prepare: impl FnMut() -> Result<()>, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::MAX;
    for _ in 0..runs {
        prepare()?;
        let start = Instant::now();
        work()?;
        best = best.min(milliseconds(start.elapsed()));
    }
    Ok(best)
}

/// `services` virtual servers with two real servers each, on one VIP, never checked.
fn many(services: u16) -> Config {
    let mut config = guide(ForwardingMethod::Dr, ["10.0.0.50", "10.0.0.51"]);
    let model = config.virtual_servers.remove(0);
    config.virtual_servers = (0..services).filter_map(|i| one(&model, i)).collect();
    config
}

fn one(model: &VirtualServer, i: u16) -> Option<VirtualServer> {
    let server = |j: u16| {
        let n = i.wrapping_mul(2).wrapping_add(j);
        let address = std::net::Ipv4Addr::new(10, 0, 64 + (n >> 8) as u8 % 128, (n & 0xff) as u8);
        Some(RealServer {
            label: format!("R{j}").parse().ok()?,
            address: address.into(),
            ..model.real_servers[0].clone()
        })
    };
    let mut vs = model.clone();
    vs.label = format!("V{i}").parse().ok()?;
    vs.service = Service::Address {
        address: VIP.parse().ok()?,
        protocol: Default::default(),
        ports: (1000 + i).into(),
        mark: None,
    };
    vs.check.method = CheckMethod::On;
    vs.fallback = None;
    vs.real_servers = vec![server(0)?, server(1)?];
    Some(vs)
}

/// The same as `ipvsadm -R` reads it.
fn rules(config: &Config) -> String {
    let mut text = String::new();
    for (key, service) in lb_plan::desired(config, &lb_plan::Health::default()).services {
        let lb_plan::ServiceKey::Address { address, port, .. } = key else { continue };
        let vip = SocketAddr::new(address, port);
        let _ = writeln!(text, "-A -t {vip} -s {}", service.scheduler);
        for (dest, settings) in service.dests {
            let _ = writeln!(text, "-a -t {vip} -r {dest} -g -w {}", settings.weight);
        }
    }
    text
}

fn fed(ns: &Netns, tool: &str, args: &[&str], file: &Path) -> Result<()> {
    let status = ns.command(tool).args(args).stdin(File::open(file)?).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "{tool} {args:?}: {status}");
    Ok(())
}

/// A load balancer's namespace without a past: what IPVS removed lies in its bin for two minutes and makes the next
/// additions slower, so every run gets a table of its own.
fn fresh() -> Result<Netns> {
    crate::cases::net::clean_up();
    switch("ext")?;
    let lb = Netns::new("lb")?;
    plug(&lb, "eth0", "ext")?;
    Ok(lb)
}

/// The smallest of three times of `work`, each in a namespace of its own.
fn best_fresh(mut work: impl FnMut(&Netns) -> Result<Duration>) -> Result<f64> {
    let mut best = f64::MAX;
    for _ in 0..3 {
        best = best.min(milliseconds(work(&fresh()?)?));
    }
    Ok(best)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

/// Programming and reading the kernel's table: the C tool, ours, and lbd.
pub fn programming() -> Result<()> {
    // 10.0.0.0/16 so that all real servers are on the card's network.
    let network = |config: &mut Config| -> Result<()> {
        config.node.interfaces[0].addresses = vec!["10.0.0.21/16".parse()?];
        Ok(())
    };
    let mut config = many(5000);
    network(&mut config)?;
    let mut empty = config.clone();
    empty.virtual_servers.clear();
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("rules");
    std::fs::write(&file, rules(&config))?;

    for (name, tool) in [("c", C_TOOL), ("ours", OURS)] {
        let restore = best_fresh(|lb| timed(|| fed(lb, tool, &["-R"], &file)))?;
        measured(&format!("ipvsadm-{name}-restore-5000x2"), restore);
    }
    let lb = fresh()?;
    fed(&lb, C_TOOL, &["-R"], &file)?;
    for (name, tool) in [("c", C_TOOL), ("ours", OURS)] {
        let list = best(3, || Ok(()), || fed(&lb, tool, &["-L", "-n"], Path::new("/dev/null")))?;
        measured(&format!("ipvsadm-{name}-list-5000x2"), list);
    }

    let mut reconcile = f64::MAX;
    let apply = best_fresh(|lb| {
        let lbd = Lbd::start(lb)?;
        lbd.apply(&empty)?;
        let time = lbd.converged(&config)?;
        for _ in 0..2 {
            let done = lbd.client.reconcile()?;
            ensure!(done.plan.is_empty(), "{} actions after the apply", done.plan.len());
            reconcile = reconcile.min(done.microseconds as f64 / 1000.0);
        }
        Ok(time)
    })?;
    measured("lbd-apply-5000x2", apply);
    measured("lbd-reconcile-5000x2", reconcile);

    let mut config = many(500);
    network(&mut config)?;
    let lb = fresh()?;
    let lbd = Lbd::start(&lb)?;
    lbd.converged(&config)?;
    let model = config.virtual_servers[0].clone();
    let mut added = f64::MAX;
    for i in 0..5 {
        config.virtual_servers.extend(one(&model, 600 + i));
        added = added.min(milliseconds(lbd.converged(&config)?));
    }
    measured("lbd-add-one-among-500", added);
    Ok(())
}

struct Lbd {
    child: std::process::Child,
    client: BlockingClient,
    dir: tempfile::TempDir,
}

impl Lbd {
    fn start(ns: &Netns) -> Result<Lbd> {
        let mut command: Command = ns.command("lbd");
        command.args(["--reconcile-every", "3600"]);
        Lbd::run(command)
    }

    /// With a kernel in memory and the real HAProxy.
    fn on_this_machine(haproxy: &str) -> Result<Lbd> {
        let mut command = Command::new("lbd");
        command.args(["--fake-kernel", "--haproxy", haproxy]);
        Lbd::run(command)
    }

    fn run(mut command: Command) -> Result<Lbd> {
        let kept = tempfile::tempdir()?;
        let dir = kept.path();
        std::fs::create_dir_all(dir.join("etc"))?;
        std::fs::create_dir_all(dir.join("haproxy"))?;
        command
            .arg("--haproxy-run")
            .arg(dir.join("haproxy"))
            .arg("--state")
            .arg(dir.join("lb"))
            .arg("--run")
            .arg(dir.join("run"));
        command.arg("--etc").arg(dir.join("etc")).arg("--socket").arg(dir.join("lbd.sock"));
        let child =
            command.stdin(Stdio::null()).stderr(File::create(dir.join("log"))?).spawn().context("starting lbd")?;
        let client = BlockingClient::new(dir.join("lbd.sock"));
        crate::cases::wait("lbd answers", || Ok(client.status()?), |_| true)?;
        Ok(Lbd { child, client, dir: kept })
    }

    /// Where its store, its file for HAProxy (below `run`) and HAProxy's sockets (below `haproxy`) are.
    fn folder(&self) -> &Path {
        self.dir.path()
    }

    fn apply(&self, config: &Config) -> Result<lb_api::Applied> {
        Ok(self.client.apply(&ApplyRequest { config: Some(config.clone()), ..ApplyRequest::default() })?)
    }

    /// How long the apply of `config` takes, put as the candidate before.
    fn converged(&self, config: &Config) -> Result<Duration> {
        let put = PutCandidate { config: config.clone(), base: None, etag: None, author: String::new() };
        self.client.put_candidate(&put)?;
        let start = Instant::now();
        let applied = self.client.apply(&ApplyRequest::default())?;
        ensure!(applied.converged && !applied.plan.is_empty(), "{:?}", applied.pending);
        Ok(start.elapsed())
    }
}

impl Drop for Lbd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Requests through the kernel: direct, routed, DR, NAT. Point-to-point wires without offloads, so that real packets of
/// 1,500 bytes are counted, and a way back from the server to the client that passes the load balancer by.
pub fn data_path() -> Result<()> {
    let (client, lb, server) = (Netns::new("c")?, Netns::new("lb")?, Netns::new("s")?);
    wire("c", "tolb", "lb", "toc")?;
    wire("lb", "tos", "s", "tolb")?;
    wire("s", "toc", "c", "tos")?;
    client.ip("addr add 10.1.0.1/24 dev tolb")?;
    lb.ip("addr add 10.1.0.2/24 dev toc")?;
    lb.ip("addr add 10.2.0.1/24 dev tos")?;
    server.ip("addr add 10.2.0.2/24 dev tolb")?;
    server.ip("addr add 10.3.0.1/24 dev toc")?;
    client.ip("addr add 10.3.0.2/24 dev tos")?;
    for ns in [&client, &lb, &server] {
        ns.sysctl("net.ipv4.ip_forward", "1")?;
        ns.sysctl("net.ipv4.conf.all.rp_filter", "0")?;
        ns.sysctl("net.ipv4.conf.default.rp_filter", "0")?;
        ns.sysctl("net.ipv4.conf.all.send_redirects", "0")?;
        for interface in ns.ip("-br link")?.lines().filter_map(|l| l.split(['@', ' ']).next()) {
            if interface.starts_with("to") {
                ns.sysctl(&format!("net.ipv4.conf.{interface}.rp_filter"), "0")?;
            }
        }
    }
    // One address of the server a way: the client's route says how it gets there, the server's rule how it answers.
    // .10 direct; .11 routed one way; .12 DR VIP; .13 routed both ways; .14 NAT VIP.
    for host in [10, 11, 12, 13] {
        server.ip(&format!("addr add 10.9.0.{host}/32 dev lo"))?;
    }
    client.ip("route add 10.9.0.10/32 via 10.3.0.1")?;
    for host in [11, 12, 13, 14] {
        client.ip(&format!("route add 10.9.0.{host}/32 via 10.1.0.2"))?;
    }
    for host in [11, 13] {
        lb.ip(&format!("route add 10.9.0.{host}/32 via 10.2.0.2"))?;
    }
    for host in [12, 14] {
        lb.ip(&format!("addr add 10.9.0.{host}/32 dev lo"))?;
    }
    // The client speaks from 10.1.0.1 to the load balancer; answers go back over the server's own wire by default.
    server.ip("route add 10.1.0.0/24 via 10.3.0.2 dev toc")?;
    for (rule, table) in [("10.9.0.13", "100"), ("10.2.0.2", "100")] {
        server.ip(&format!("rule add from {rule} lookup {table}"))?;
    }
    server.ip("route add 10.1.0.0/24 via 10.2.0.1 dev tolb table 100")?;
    lb.sysctl("net.ipv4.vs.conntrack", "0")?;
    lb.run(OURS, &["-A", "-t", "10.9.0.12:80", "-s", "rr"])?;
    lb.run(OURS, &["-a", "-t", "10.9.0.12:80", "-r", "10.2.0.2:80", "-g"])?;
    lb.run(OURS, &["-A", "-t", "10.9.0.14:80", "-s", "rr"])?;
    lb.run(OURS, &["-a", "-t", "10.9.0.14:80", "-r", "10.2.0.2:80", "-m"])?;

    let listener = server.inside(|| Ok(TcpListener::bind("0.0.0.0:80")?))?;
    server.thread(move || {
        for stream in listener.incoming().flatten() {
            // Sequential connections, one at a time.
            let _ = answer(stream);
        }
    })?;
    for (size, requests) in [(100, 1000), (65_536, 100)] {
        for (name, host) in [("direct", 10), ("routed-one-way", 11), ("dr", 12), ("routed-both-ways", 13), ("nat", 14)]
        {
            let address: SocketAddr = format!("10.9.0.{host}:80").parse()?;
            let time = client.inside(move || {
                keep_alive(address, size, requests / 10)?;
                best(3, || Ok(()), || keep_alive(address, size, requests))
            })?;
            measured(&format!("request-{size}-{name}-us"), time * 1000.0 / requests as f64);
        }
    }
    Ok(())
}

fn wire(a: &str, a_end: &str, b: &str, b_end: &str) -> Result<()> {
    ip(&format!("-n {a} link add {a_end} type veth peer name {b_end} netns {b}"))?;
    for (ns, end) in [(a, a_end), (b, b_end)] {
        let ns = Netns(ns.to_owned());
        ns.ip(&format!("link set {end} up"))?;
        ns.run("ethtool", &["-K", end, "tso", "off", "gso", "off", "gro", "off", "tx", "off"])?;
    }
    Ok(())
}

/// Reads `N\n`, answers N bytes, until the client leaves.
fn answer(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let body = vec![b'x'; 65_536];
    let mut request = [0; 8];
    loop {
        stream.read_exact(&mut request)?;
        let size = u64::from_be_bytes(request) as usize;
        stream.write_all(body.get(..size).context("more than 64 KiB asked for")?)?;
    }
}

fn keep_alive(address: SocketAddr, size: usize, requests: usize) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))
        .with_context(|| format!("connecting to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut body = vec![0; size];
    for _ in 0..requests {
        stream.write_all(&(size as u64).to_be_bytes())?;
        stream.read_exact(&mut body)?;
    }
    Ok(())
}
