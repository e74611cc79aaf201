//! Two whole units, each lbd and heartbeat in a namespace of its own: one kernel, and no emulated card between them, so
//! that what clients wait for is the units' doing.

use super::{
    net::{Netns, plug, switch},
    topology::Appliance,
    wait,
};
use anyhow::{Context, Result, bail, ensure};
use lb_api::{ApplyRequest, HaRole, PairingRequest, PairingStep, PairingView, TakeoverRequest};
use lb_model::Config;
use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

const VIP: &str = "10.0.0.20:80";
/// One every 5 ms: 50 seconds.
const REQUESTS: &str = "10000";
const SPACING: &str = "5";
/// Connections that stay from the first request to the last.
const STANDING: &str = "8";
/// What clients do between two take-overs.
const REST: Duration = Duration::from_secs(4);
const LEAST: usize = 4;

struct Unit {
    lbd: Appliance,
    heartbeat: Option<Child>,
    ns: Netns,
}

impl Unit {
    fn new(name: &str, host: u8) -> Result<Unit> {
        let ns = Netns::new(name)?;
        plug(&ns, "eth0", "ext")?;
        plug(&ns, "eth1", "int")?;
        let lbd = Appliance::start(&ns)?;
        let unit = Unit { lbd, heartbeat: None, ns };
        // Both have the machine's one name.
        unit.apply(&format!(
            r#"{{"version":1,"node":{{"hostname":"lb","gateway":"10.0.0.31","interfaces":[
              {{"name":"eth0","addresses":["10.0.0.{host}/24"]}},{{"name":"eth1","addresses":["192.168.2.{host}/24"]}}]}}}}"#
        ))?;
        Ok(unit)
    }

    fn apply(&self, document: &str) -> Result<()> {
        let config: Config = lb_model::migrate(document)?;
        let request = ApplyRequest { config: Some(config), author: "case".into(), ..ApplyRequest::default() };
        self.lbd.client.apply(&request).map(drop).context("applying")
    }

    /// As its supervisor does: once lbd has written what it needs.
    fn start_heartbeat(&mut self) -> Result<()> {
        let at = |name: &str| self.lbd.folder().join(name);
        let (config, keys) = (at("run/ha.json"), at("pair/heartbeat.keys"));
        wait("what heartbeat needs", || Ok(config.exists() && keys.exists()), |there| *there)?;
        std::fs::create_dir_all(at("heartbeat"))?;
        let log = std::fs::File::create(at("heartbeat.log"))?;
        let mut command = self.ns.command("heartbeat");
        command.arg("--config").arg(config).arg("--keys").arg(keys).arg("--state").arg(at("heartbeat"));
        command.arg("--socket").arg(at("heartbeat.sock")).arg("--lbd").arg(at("lbd.sock"));
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        self.heartbeat = Some(child.context("starting heartbeat")?);
        Ok(())
    }

    fn has(&self, role: HaRole) -> Result<bool> {
        Ok(self.lbd.client.ha()?.role == role)
    }

    fn logs(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.lbd.folder().join(name)).unwrap_or_default();
        let last = |text: String| text.lines().rev().take(40).map(|l| format!("{l}\n")).collect::<Vec<_>>();
        let mut lines: Vec<String> = last(read("lbd.log"));
        lines.extend(last(read("heartbeat.log")));
        lines.reverse();
        lines.concat()
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if let Some(heartbeat) = &mut self.heartbeat {
            // It may have ended by itself.
            let _ = heartbeat.kill();
            let _ = heartbeat.wait();
        }
    }
}

/// Paired over the network, unit one serves, unit two has every connection.
fn paired() -> Result<[Unit; 2]> {
    let (mut one, mut two) = (Unit::new("one", 21)?, Unit::new("two", 22)?);
    let step = |unit: &Unit, step| {
        unit.lbd.client.pair(&PairingRequest { author: "case".into(), step }).map(drop).context("pairing")
    };
    step(&two, PairingStep::Wait {})?;
    let code = match two.lbd.client.pairing()? {
        PairingView::Waiting { code, .. } => code,
        other => bail!("the slave does not wait: {other:?}"),
    };
    step(&one, PairingStep::CallNetwork { address: "10.0.0.22".parse()?, code })?;
    for unit in [&one, &two] {
        wait("the pairing", || Ok(unit.lbd.client.pairing()?), |view| matches!(view, PairingView::Done(_)))?;
    }
    one.apply(
        r#"{"version":1,
          "node":{"hostname":"lb","gateway":"10.0.0.31","unit":"one","interfaces":[
            {"name":"eth0","addresses":["10.0.0.21/24"]},{"name":"eth1","addresses":["192.168.2.21/24"]}]},
          "globals":{"health":{"interval":1,"timeout":2},"masquerade":true},
          "floating_ips":["192.168.2.20"],
          "heartbeat":{"warntime_ms":1000,"deadtime_ms":2000,"initdead_ms":5000,"lease_ms":4000,"paths":[
            {"udp":{"one":"10.0.0.21","two":"10.0.0.22"}},{"udp":{"one":"192.168.2.21","two":"192.168.2.22"}}]},
          "virtual_servers":[{"label":"HTTP","service":{"kind":"address","address":"10.0.0.20","ports":"80"},
            "real_servers":[{"label":"rs1","address":"192.168.2.50","forwarding":"nat"},
                            {"label":"rs2","address":"192.168.2.51","forwarding":"nat"}]}]}"#,
    )?;
    one.start_heartbeat()?;
    two.start_heartbeat()?;
    wait("unit one to serve", || one.has(HaRole::Active), |serves| *serves)?;
    wait("unit two to be hot", || Ok(two.lbd.client.ha()?.hot), |hot| *hot)?;
    one.lbd.wait_for(&["active", "active"])?;
    Ok([one, two])
}

/// 10,000 requests, one every 5 ms, each of its own connection, while the units take over from each other by order; and
/// connections that stay. A client that can route real servers' own addresses would refuse answers from there.
pub fn loses_nothing() -> Result<()> {
    switch("ext")?;
    switch("int")?;
    let host = |name: &str, network: &str, address: &str| -> Result<Netns> {
        let ns = Netns::new(name)?;
        plug(&ns, "eth0", network)?;
        ns.ip(&format!("addr add {address}/24 dev eth0"))?;
        ns.ip("link set eth0 up")?;
        Ok(ns)
    };
    let client = host("client", "ext", "10.0.0.31")?;
    client.ip("route add 192.168.2.0/24 via 10.0.0.20")?;
    let mut servers = Vec::new();
    for (name, address) in [("rs1", "192.168.2.50"), ("rs2", "192.168.2.51")] {
        let ns = host(name, "int", address)?;
        ns.ip("route add default via 192.168.2.20")?;
        // They end with their namespaces.
        let mut server = ns.command("lab");
        servers.push(server.args(["http-server", "--name", name]).stdin(Stdio::null()).spawn()?);
    }
    let units = paired()?;
    let asking = std::thread::spawn({
        let mut command = client.command("lab");
        command.args(["steady", "--to", VIP, "--count", REQUESTS, "--spacing", SPACING, "--standing", STANDING]);
        move || command.output()
    });
    let mut gaps = Vec::new();
    let moved = (|| -> Result<()> {
        loop {
            let begin = Instant::now();
            while begin.elapsed() < REST {
                if asking.is_finished() {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let [active, other] = if units[0].has(HaRole::Active)? { [0, 1] } else { [1, 0] };
            wait("the other unit to be hot", || Ok(units[other].lbd.client.ha()?.hot), |hot| *hot)?;
            let order = Instant::now();
            units[other].lbd.client.takeover(&TakeoverRequest { author: "case".into(), force: false })?;
            wait("it serves", || units[other].has(HaRole::Active), |serves| *serves)?;
            gaps.push(order.elapsed());
            wait("the one before stands by", || units[active].has(HaRole::Standby), |stands_by| *stands_by)?;
        }
    })();
    let logs = || format!("unit one:\n{}\nunit two:\n{}", units[0].logs(), units[1].logs());
    moved.with_context(logs)?;
    let asked = asking.join().ok().context("the clients' thread panicked")?.context("starting the clients")?;
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    let longest = gaps.iter().max().copied().unwrap_or_default();
    println!("  {} take-overs, from the order to the new owner {longest:?} at most", gaps.len());
    said.lines().for_each(|line| println!("  {line}"));
    ensure!(asked.status.success(), "clients lost something, see above\n{}", logs());
    ensure!(gaps.len() >= LEAST, "only {} take-overs in so many requests", gaps.len());
    Ok(())
}
