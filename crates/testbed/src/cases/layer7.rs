//! Layer 7 on the real HAProxy, supervised by runit as on the appliance, driven by lbd: the guide's one arm.

use super::{
    net::Netns,
    topology::{Appliance, Lab, guide, guide_nat},
    wait,
    web::{Load, Server, fetch},
};
use anyhow::{Context, Result, ensure};
use lb_api::{ForgetEntryRequest, PersistenceEntry, PersistenceQuery, PlanRequest, StateRequest};
use lb_model::{Config, ForwardingMethod, RequestedState};
use std::{
    collections::BTreeSet,
    io::Write as _,
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
};

const LAYER_7: &str = "10.0.0.21:8080";

/// The service's own script, with this lab's folders in the place of the appliance's.
const RUN: &str = include_str!("../../../../rootfs-overlay/etc/sv/haproxy/run");

/// One arm with a layer 4 virtual server on port 80, and on port 8080 of the same address one of layer 7 with three
/// servers and a cookie.
fn shop() -> Config {
    let mut config = guide(ForwardingMethod::Dr, ["10.0.0.50", "10.0.0.51"]);
    let layer7 = r#"{"virtual_servers":[{"label":"Shop","address":"10.0.0.21","ports":"8080",
        "persistence":{"type":"cookie"},
        "real_servers":[{"label":"Shop1","address":"10.0.0.50","port":8001},
                        {"label":"Shop2","address":"10.0.0.51","port":8002},
                        {"label":"Shop3","address":"10.0.0.51","port":8003}]}]}"#;
    match serde_json::from_str(layer7) {
        Ok(layer7) => config.layer7 = layer7,
        Err(e) => unreachable!("{e}"),
    }
    config
}

struct Shop {
    lab: Lab,
    appliance: Appliance,
    supervisor: Supervisor,
    /// Shop1, Shop2, Shop3, and the two of layer 4.
    servers: Vec<Option<Server>>,
}

impl Shop {
    fn open() -> Result<Shop> {
        let lab = Lab::one_arm()?;
        let servers = vec![
            Some(Server::start(&lab.rs1, "0.0.0.0:8001", "Shop1")?),
            Some(Server::start(&lab.rs2, "0.0.0.0:8002", "Shop2")?),
            Some(Server::start(&lab.rs2, "0.0.0.0:8003", "Shop3")?),
            Some(Server::start(&lab.rs1, "0.0.0.0:80", "rs1")?),
            Some(Server::start(&lab.rs2, "0.0.0.0:80", "rs2")?),
        ];
        let appliance = Appliance::start(&lab.lb)?;
        let supervisor = Supervisor::start(&lab.lb, &appliance)?;
        appliance.apply(&shop())?;
        appliance.wait_for(&["active"; 5])?;
        let shop = Shop { lab, appliance, supervisor, servers };
        shop.settled()?;
        Ok(shop)
    }

    fn settled(&self) -> Result<()> {
        let see = || Ok(self.appliance.client.status()?);
        wait("HAProxy does as it was told", see, |status| status.converged).map(drop)
    }

    /// Clients that HAProxy takes at once.
    fn most_connections(&self) -> Result<u32> {
        let mut socket = UnixStream::connect(self.appliance.folder().join("haproxy/admin.sock"))?;
        socket.write_all(b"show info\n")?;
        let info = std::io::read_to_string(socket)?;
        let most = info.lines().find_map(|line| line.strip_prefix("Maxconn: ")).context("HAProxy says no Maxconn")?;
        Ok(most.parse()?)
    }

    fn set(&self, server: &str, state: RequestedState) -> Result<()> {
        let request = StateRequest {
            virtual_server: "Shop".parse()?,
            real_server: server.parse()?,
            state,
            author: "case".into(),
        };
        self.appliance.client.set_state(&request)?;
        self.settled()
    }
}

/// runit's, for one service.
pub(crate) struct Supervisor {
    ns: Netns,
    child: Child,
}

impl Supervisor {
    pub(crate) fn start(ns: &Netns, appliance: &Appliance) -> Result<Supervisor> {
        let service = appliance.folder().join("sv-haproxy");
        std::fs::create_dir(&service)?;
        let at = |name: &str| appliance.folder().join(name).display().to_string();
        let script = RUN.replace("/run/haproxy/", &at("haproxy/")).replace("/run/lb/", &at("run/"));
        let run = service.join("run");
        std::fs::write(&run, script)?;
        std::fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let log = std::fs::File::create(appliance.folder().join("haproxy.log"))?;
        let mut command: Command = ns.command("/usr/bin/runsv");
        let command = command.arg(&service).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Supervisor { ns: ns.clone(), child: command.spawn().context("starting runsv")? })
    }

    /// HAProxy's processes: the master and its workers.
    pub(crate) fn processes(&self) -> Result<BTreeSet<i32>> {
        let pids = super::net::ip(&format!("netns pids {}", self.ns.0))?;
        let is = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.trim() == "haproxy");
        pids.split_whitespace().filter(|pid| is(pid)).map(|pid| Ok(pid.parse()?)).collect()
    }

    fn kill_haproxy(&self) -> Result<()> {
        for pid in self.processes()? {
            // It may have ended by itself, with the one before it.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        Ok(())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // What it supervises goes with the namespace.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn changes() -> Result<()> {
    let shop = Shop::open()?;
    let load = Load::start(&shop.lab.client, LAYER_7, 3)?;
    let more = |what: &str| {
        let before = load.count();
        wait(what, || Ok(load.count()), |n| *n > before + 30).map(drop)
    };
    more("requests")?;
    // One for each 64 KB, less what its sockets and checks take.
    let (most, memory) = (shop.most_connections()?, memory()?);
    ensure!((memory * 8 / 10..=memory).contains(&(most * 64)), "{most} connections at once with {memory} KB of memory");
    let processes = shop.supervisor.processes()?;
    let mut config = running(&shop.appliance)?;
    for weight in [7, 0, 1] {
        config.layer7.virtual_servers[0].real_servers[1].weight = weight;
        let applied = shop.appliance.apply(&config)?;
        ensure!(applied.plan.iter().any(|line| line.contains("Shop2")), "{:?}", applied.plan);
        shop.settled()?;
        more("requests with another weight")?;
    }
    let second = shop.servers[1].as_ref().context("Shop2")?;
    shop.set("Shop2", RequestedState::Drain)?;
    // A request may have been under way.
    wait("a quiet server", || Ok(second.count()), |n| *n == second.count())?;
    let drained = second.count();
    more("requests without Shop2")?;
    // One of each of the load's three may have been on its way.
    ensure!(second.count() <= drained + 3, "a drained server got {} new requests", second.count() - drained);
    shop.set("Shop2", RequestedState::Offline)?;
    more("requests without Shop2")?;
    shop.set("Shop2", RequestedState::Online)?;
    shop.appliance.wait_for(&["active"; 5])?;
    wait("requests again", || Ok(second.count()), |n| *n > drained + 5)?;
    ensure!(shop.supervisor.processes()? == processes, "a weight or a state took a reload");

    for compression in [true, false, true] {
        let mut config = running(&shop.appliance)?;
        config.layer7.virtual_servers[0].compression = compression;
        let plan = shop.appliance.client.plan(&PlanRequest { config: Some(config.clone()) })?;
        ensure!(plan.actions.iter().any(|line| line.contains("reload HAProxy")), "{:?}", plan.actions);
        shop.appliance.apply(&config)?;
        shop.settled()?;
        more("requests after a reload")?;
    }
    ensure!(shop.supervisor.processes()? != processes, "nothing was reloaded");
    let (done, failures) = load.stop();
    ensure!(failures.is_empty(), "{} of {done} requests failed: {:?}", failures.len(), failures.first());
    Ok(())
}

/// Of the machine, KB.
fn memory() -> Result<u32> {
    let text = std::fs::read_to_string("/proc/meminfo").context("reading /proc/meminfo")?;
    Ok(text.split_whitespace().nth(1).context("an empty /proc/meminfo")?.parse()?)
}

fn running(appliance: &Appliance) -> Result<Config> {
    Ok(appliance.client.running()?.config)
}

pub fn kills() -> Result<()> {
    let mut shop = Shop::open()?;
    let load = Load::start(&shop.lab.client, LAYER_7, 3)?;
    let processes = shop.supervisor.processes()?;
    for _ in 0..3 {
        let before = load.count();
        shop.appliance.kill()?;
        wait("requests without lbd", || Ok(load.count()), |n| *n > before + 20)?;
        shop.appliance.start_again()?;
        shop.settled()?;
        let with = load.count();
        wait("requests with lbd", || Ok(load.count()), |n| *n > with + 20)?;
    }
    ensure!(shop.supervisor.processes()? == processes, "a new lbd restarted or reloaded HAProxy");
    let (done, failures) = load.stop();
    ensure!(failures.is_empty(), "{} of {done} requests failed: {:?}", failures.len(), failures.first());

    shop.supervisor.kill_haproxy()?;
    let asked = || fetch(&shop.lab.client, LAYER_7, 3);
    wait("HAProxy is back", asked, |answers| answers.values().sum::<usize>() == 3)?;
    shop.appliance.wait_for(&["active"; 5])?;
    shop.settled()?;
    ensure!(shop.appliance.client.status()?.alarms.is_empty(), "an alarm stays");

    remembered(&shop)?;
    // Without layer 7 it ends, and the port is nobody's.
    let alone = guide(ForwardingMethod::Dr, ["10.0.0.50", "10.0.0.51"]);
    shop.appliance.apply(&alone)?;
    wait("HAProxy's end", || shop.supervisor.processes(), BTreeSet::is_empty)?;
    shop.settled()
}

/// What it remembers of a client is seen, and forgotten when asked to.
fn remembered(shop: &Shop) -> Result<()> {
    let mut config = running(&shop.appliance)?;
    config.layer7.virtual_servers[0].persistence = Some(serde_json::from_str(r#"{"type":"source"}"#)?);
    shop.appliance.apply(&config)?;
    shop.settled()?;
    ensure!(fetch(&shop.lab.client, LAYER_7, 3)?.len() == 1, "a client met several servers");
    let client = &shop.appliance.client;
    let seen = client.persistence(&PersistenceQuery::default())?;
    let [PersistenceEntry { virtual_server, kind, key, real_server: Some(_), .. }] = &seen.entries[..] else {
        anyhow::bail!("one entry: {seen:?}")
    };
    let author = "case".to_owned();
    let entry = ForgetEntryRequest { virtual_server: virtual_server.clone(), kind: *kind, key: key.clone(), author };
    client.forget_entry(&entry)?;
    let left = client.persistence(&PersistenceQuery::default())?;
    ensure!(left.entries.is_empty(), "it is still remembered: {left:?}");
    Ok(())
}

pub fn refused() -> Result<()> {
    let shop = Shop::open()?;
    let processes = shop.supervisor.processes()?;
    let mut wrong = running(&shop.appliance)?;
    wrong.layer7.virtual_servers[0].manual = Some("http-request no-such-thing".parse()?);
    let Err(lb_api::ClientError::Refused(error)) =
        shop.appliance.client.apply(&lb_api::ApplyRequest { config: Some(wrong), ..Default::default() })
    else {
        anyhow::bail!("it was applied")
    };
    let paths: Vec<_> = error.problems.iter().map(|p| p.path.as_str()).collect();
    ensure!(paths == ["/layer7/virtual_servers/0/manual"], "{error:?}");
    ensure!(shop.supervisor.processes()? == processes, "HAProxy was touched");
    ensure!(fetch(&shop.lab.client, LAYER_7, 3)?.values().sum::<usize>() == 3);
    Ok(())
}

/// A real server sees the client's own address while that is asked for, and the unit's before and after.
pub fn transparent() -> Result<()> {
    let lab = Lab::two_arm()?;
    let _servers = [
        Server::that_sees(&lab.rs1, "0.0.0.0:8001")?,
        Server::start(&lab.rs1, "0.0.0.0:80", "rs1")?,
        Server::start(&lab.rs2, "0.0.0.0:80", "rs2")?,
    ];
    let appliance = Appliance::start(&lab.lb)?;
    let supervisor = Supervisor::start(&lab.lb, &appliance)?;
    let mut config = guide_nat();
    config.layer7 = serde_json::from_str(
        r#"{"virtual_servers":[{"label":"Shop","address":"10.0.0.21","ports":"8080",
            "real_servers":[{"label":"Shop1","address":"192.168.2.50","port":8001}]}]}"#,
    )?;
    for (transparent, seen) in [(false, "192.168.2.21"), (true, "10.0.0.31"), (false, "192.168.2.21")] {
        config.layer7.virtual_servers[0].transparent = transparent;
        appliance.apply(&config)?;
        appliance.wait_for(&["active"; 3])?;
        wait("HAProxy does as it was told", || Ok(appliance.client.status()?), |status| status.converged)?;
        let answers = fetch(&lab.client, LAYER_7, 4)?;
        ensure!(answers == [(seen.to_owned(), 4)].into(), "transparent {transparent}: a real server saw {answers:?}");
        ensure!(fetch(&lab.client, "10.0.0.21:80", 4)?.len() == 2, "layer 4 is not balanced beside it");
    }
    drop(supervisor);
    Ok(())
}
