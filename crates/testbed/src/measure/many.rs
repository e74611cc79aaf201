//! A thousand layer 7 virtual servers: how long one change takes until it is acknowledged, and until clients see it.
//!
//! In real time on this machine, in a network namespace of its own, where it answers at the guide's addresses: the real
//! lbd with a kernel in memory, the real HAProxy, real servers that are asked for their health.

use super::{Lbd, measured, milliseconds};
use crate::cases::{
    kept::{Server, Visitor},
    wait,
};
use anyhow::{Context, Result, ensure};
use lb_api::{ApplyRequest, PutCandidate, StateRequest};
use lb_model::{Config, RequestedState};
use serde_json::{Value, json};
use std::{
    fs::File,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const VIRTUAL_SERVERS: usize = 1000;
/// Each kind of change so often; the slowest counts.
const TURNS: usize = 5;
const FIRST_PORT: u16 = 10_000;
const HAPROXY: &str = "/usr/sbin/haproxy";

pub fn changes() -> Result<()> {
    run("ip", &["link", "set", "lo", "up"])?;
    for address in ["10.0.0.21/24", "10.0.0.50/24", "10.0.0.51/24"] {
        run("ip", &["addr", "add", address, "dev", "lo"])?;
    }
    let servers = [Server::here(8001, "One")?, Server::here(8002, "Two")?];
    let lbd = Lbd::on_this_machine(HAPROXY)?;
    let folder = lbd.folder().to_owned();
    let mut config: Config = serde_json::from_value(json!({
        "version": 1,
        "node": {"hostname": "lbmaster", "interfaces": [{"name": "eth0", "addresses": ["10.0.0.21/24"]}]},
        "layer7": {"virtual_servers": (0..VIRTUAL_SERVERS).map(shop).collect::<Vec<Value>>()},
    }))?;
    lbd.apply(&config)?;
    let _haproxy = Proxy::start(&folder)?;
    let settled =
        || wait("HAProxy does as it was told", || Ok(lbd.client.status()?), |status| status.converged).map(drop);
    settled()?;
    let checked = |status: &lb_api::Status| {
        status.virtual_servers.iter().all(|vs| vs.real_servers.iter().all(|rs| rs.actual.to_string() == "active"))
    };
    wait("all real servers are checked", || Ok(lbd.client.status()?), checked)?;

    // What needs no reload: who answers says when it is live.
    let middle = place(VIRTUAL_SERVERS / 2);
    let mut worst = Worst::default();
    for turn in 0..TURNS {
        let (off, on) = if turn % 2 == 0 { ("One", "Two") } else { ("Two", "One") };
        for (server, weight) in [(on, 1), (off, 0)] {
            let servers = &mut config.layer7.virtual_servers[VIRTUAL_SERVERS / 2].real_servers;
            servers.iter_mut().filter(|rs| rs.label.as_str() == server).for_each(|rs| rs.weight = weight);
        }
        worst.see(changed(&lbd, &config)?, || Ok(met(middle)?.iter().all(|server| server == on)))?;
        settled()?;
    }
    worst.say("weight");
    let mut worst = Worst::default();
    for turn in 0..TURNS {
        let state = if turn % 2 == 0 { RequestedState::Offline } else { RequestedState::Online };
        let request = StateRequest {
            virtual_server: "Shop7".parse()?,
            real_server: "One".parse()?,
            state,
            author: "bench".into(),
        };
        let order = Instant::now();
        lbd.client.set_state(&request)?;
        let taken = (order, order.elapsed());
        let away = state == RequestedState::Offline;
        worst.see(taken, || Ok(met(place(7))?.iter().all(|server| server == "Two") == away))?;
        settled()?;
        config = lbd.client.running()?.config;
    }
    worst.say("state");

    // What takes a reload.
    let mut worst = Worst::default();
    for turn in 0..TURNS {
        let name = format!("X-Turn-{turn}");
        let header = json!({"operation": "set", "name": name, "value": "here"});
        config.layer7.virtual_servers[VIRTUAL_SERVERS / 2].response_headers.push(serde_json::from_value(header)?);
        worst.see(changed(&lbd, &config)?, || head_has(middle, &name))?;
        settled()?;
    }
    worst.say("header");
    let mut worst = Worst::default();
    for turn in 0..TURNS {
        let number = VIRTUAL_SERVERS + turn;
        config.layer7.virtual_servers.push(serde_json::from_value(shop(number))?);
        worst.see(changed(&lbd, &config)?, || Ok(met(place(number)).is_ok()))?;
        settled()?;
    }
    worst.say("new");
    drop(servers);
    Ok(())
}

fn shop(number: usize) -> Value {
    json!({"label": format!("Shop{number}"), "address": "10.0.0.21", "ports": place(number).port().to_string(),
        "check": {"interval": 60},
        "real_servers": [{"label": "One", "address": "10.0.0.50", "port": 8001},
                         {"label": "Two", "address": "10.0.0.51", "port": 8002}]})
}

fn place(number: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 21], FIRST_PORT + number as u16))
}

/// Who answers four clients.
fn met(address: SocketAddr) -> Result<Vec<String>> {
    let answers = (0..4).map(|_| Visitor::default().ask(address, 1)).collect::<Result<Vec<_>>>()?;
    Ok(answers.concat())
}

fn head_has(address: SocketAddr, header: &str) -> Result<bool> {
    let mut visitor = Visitor::default();
    visitor.ask(address, 1)?;
    Ok(visitor.head.contains(&header.to_ascii_lowercase()))
}

/// The candidate put before; when the apply was asked for, and how long its answer took.
fn changed(lbd: &Lbd, config: &Config) -> Result<(Instant, Duration)> {
    let put = PutCandidate { config: config.clone(), base: None, etag: None, author: String::new() };
    lbd.client.put_candidate(&put)?;
    let order = Instant::now();
    let applied = lbd.client.apply(&ApplyRequest::default())?;
    let taken = order.elapsed();
    ensure!(!applied.plan.is_empty(), "nothing was applied");
    Ok((order, taken))
}

#[derive(Default)]
struct Worst {
    acknowledged: Duration,
    live: Duration,
}

impl Worst {
    fn see(&mut self, (order, acknowledged): (Instant, Duration), live: impl Fn() -> Result<bool>) -> Result<()> {
        self.acknowledged = self.acknowledged.max(acknowledged);
        wait("the change is live", live, |is| *is)?;
        self.live = self.live.max(order.elapsed());
        Ok(())
    }

    fn say(&self, what: &str) {
        measured(&format!("thousand-{what}-acknowledged"), milliseconds(self.acknowledged));
        measured(&format!("thousand-{what}-live"), milliseconds(self.live));
    }
}

/// As its service starts it.
struct Proxy(Child);

impl Proxy {
    fn start(folder: &Path) -> Result<Proxy> {
        let file = folder.join("run/haproxy.cfg");
        wait("HAProxy's file", || Ok(file.exists()), |is| *is)?;
        let log = File::create(folder.join("haproxy.log"))?;
        let socket = format!("{},mode,600", folder.join("haproxy/master.sock").display());
        let mut command = Command::new(HAPROXY);
        command.args(["-W", "-db", "-S", &socket, "-f"]).arg(file);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        Ok(Proxy(child.context("starting HAProxy")?))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The workers end when nobody holds their end of the pipe.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program).args(arguments).status().with_context(|| format!("starting {program}"))?;
    ensure!(status.success(), "{program} {}: {status}", arguments.join(" "));
    Ok(())
}
