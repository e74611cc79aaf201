//! Servers that fail and return, and what clients notice.

use super::{
    net::Netns,
    topology::{Appliance, Lab, guide_nat},
    wait,
    web::{Load, Server, fetch},
};
use anyhow::{Result, ensure};
use lb_api::StateRequest;
use lb_model::{Check, CheckMethod, Config, Negotiate, NegotiateService, RequestedState};
use std::{
    collections::BTreeMap,
    io::Write,
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

fn lab() -> Result<(Lab, Server, Server, Appliance)> {
    with(&guide_nat())
}

fn with(config: &Config) -> Result<(Lab, Server, Server, Appliance)> {
    let lab = Lab::two_arm()?;
    let rs1 = Server::start(&lab.rs1, "0.0.0.0:80", "rs1")?;
    let rs2 = Server::start(&lab.rs2, "0.0.0.0:80", "rs2")?;
    let appliance = Appliance::start(&lab.lb)?;
    appliance.apply(config)?;
    appliance.wait_for(&["active", "active"])?;
    Ok((lab, rs1, rs2, appliance))
}

/// The kernel's wheel begins anew whenever lbd changes a server (`ip_vs_wrr_dest_changed`), in the midst of ten, too.
fn evenly(lab: &Lab) -> Result<()> {
    let ask = || fetch(&lab.client, "10.0.0.21:80", 10);
    wait("ten requests in equal shares", ask, |answers| answers.get("rs1") == Some(&5)).map(drop)
}

fn only(name: &str, n: usize) -> BTreeMap<String, usize> {
    BTreeMap::from([(name.to_owned(), n)])
}

pub fn stop_and_start() -> Result<()> {
    let (lab, rs1, rs2, appliance) = lab()?;
    drop(rs1);
    let stopped = Instant::now();
    appliance.wait_for(&["non-active", "active"])?;
    // Interval 1 s, and a server that is stopped refuses at once; the rest is what an emulated machine on a busy host may take.
    ensure!(stopped.elapsed().as_secs() < 30, "noticed after {:?}", stopped.elapsed());
    let before = rs2.count();
    ensure!(fetch(&lab.client, "10.0.0.21:80", 10)? == only("rs2", 10), "a request went elsewhere");
    ensure!(rs2.count() == before + 10);
    let _rs1 = Server::start(&lab.rs1, "0.0.0.0:80", "rs1")?;
    appliance.wait_for(&["active", "active"])?;
    evenly(&lab)
}

pub fn fallback() -> Result<()> {
    let (lab, rs1, rs2, appliance) = lab()?;
    let _page = Server::start(&lab.lb, "0.0.0.0:9081", "fallback page")?;
    drop((rs1, rs2));
    appliance.wait_for(&["non-active", "non-active"])?;
    ensure!(appliance.client.status()?.virtual_servers[0].fallback);
    ensure!(fetch(&lab.client, "10.0.0.21:80", 3)? == only("fallback page", 3));
    let _rs2 = Server::start(&lab.rs2, "0.0.0.0:80", "rs2")?;
    appliance.wait_for(&["non-active", "active"])?;
    ensure!(fetch(&lab.client, "10.0.0.21:80", 3)? == only("rs2", 3));
    Ok(())
}

pub fn negotiate() -> Result<()> {
    let mut config = guide_nat();
    config.virtual_servers[0].check = Check {
        method: CheckMethod::Negotiate(Negotiate {
            service: NegotiateService::Http,
            request: "/".into(),
            response: Some("rs[12]".parse()?),
            virtual_host: Some("www.example.com".into()),
            status: Default::default(),
        }),
        ..Check::default()
    };
    let (lab, rs1, rs2, appliance) = with(&config)?;
    drop((rs1, rs2));
    appliance.wait_for(&["non-active", "non-active"])?;
    let _rs1 = Server::with_status(&lab.rs1, "0.0.0.0:80", "rs1", 500)?;
    let _rs2 = Server::start(&lab.rs2, "0.0.0.0:80", "another page")?;
    let texts = || {
        let status = appliance.client.status()?;
        let servers = &status.virtual_servers[0].real_servers;
        Ok(servers.iter().map(|r| r.check.as_ref().map_or(String::new(), |c| c.text.clone())).collect::<Vec<_>>())
    };
    wait("the reasons", texts, |t| t[0].contains("500") && t[1].contains("rs[12]"))?;
    Ok(())
}

pub fn offline() -> Result<()> {
    let (lab, rs1, _rs2, appliance) = lab()?;
    let load = Load::start(&lab.client, "10.0.0.21:80", 2)?;
    wait("requests", || Ok(load.count()), |n| *n > 20)?;
    let set = |state| {
        appliance.client.set_state(&StateRequest {
            virtual_server: "HTTP_Cluster".parse()?,
            real_server: "WebServer1".parse()?,
            state,
            author: "case".into(),
        })?;
        anyhow::Ok(())
    };
    set(RequestedState::Drain)?;
    let drained = wait("a quiet server", || Ok(rs1.count()), |n| *n == rs1.count())?;
    let after = load.count();
    wait("more requests", || Ok(load.count()), |n| *n > after + 20)?;
    // One request may have been under way.
    ensure!(rs1.count() <= drained + 2, "a drained server got {} new requests", rs1.count() - drained);
    set(RequestedState::Online)?;
    wait("requests again", || Ok(rs1.count()), |n| *n > drained + 5)?;
    let (_, failures) = load.stop();
    ensure!(failures.is_empty(), "draining failed requests: {failures:?}");
    set(RequestedState::Offline)?;
    ensure!(!appliance.table()?.contains("192.168.2.50"), "{}", appliance.table()?);
    ensure!(fetch(&lab.client, "10.0.0.21:80", 4)? == only("rs2", 4));
    Ok(())
}

/// A program on a real server that says how much of the load it wants.
struct Voice(Arc<Mutex<&'static str>>);

impl Voice {
    fn start(ns: &Netns, port: u16) -> Result<Voice> {
        let listener = ns.inside(move || Ok(TcpListener::bind(("0.0.0.0", port))?))?;
        let word = Arc::new(Mutex::new("ready 100%"));
        let said = word.clone();
        // For the rest of the case: it ends with the guest.
        ns.thread(move || {
            for stream in listener.incoming() {
                let word = *said.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = stream.and_then(|mut stream| writeln!(stream, "{word}"));
            }
        })?;
        Ok(Voice(word))
    }

    fn say(&self, word: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = word;
    }
}

pub fn agent() -> Result<()> {
    let mut config = guide_nat();
    let server = &mut config.virtual_servers[0];
    server.agent = Some(serde_json::from_str(r#"{"port":7001,"interval":1}"#)?);
    for real_server in &mut server.real_servers {
        real_server.weight = 40;
    }
    let lab = Lab::two_arm()?;
    let _servers = [Server::start(&lab.rs1, "0.0.0.0:80", "rs1")?, Server::start(&lab.rs2, "0.0.0.0:80", "rs2")?];
    let (first, _second) = (Voice::start(&lab.rs1, 7001)?, Voice::start(&lab.rs2, 7001)?);
    let appliance = Appliance::start(&lab.lb)?;
    appliance.apply(&config)?;
    appliance.wait_for(&["active", "active"])?;
    let weighs = |weight: u32| {
        let line = format!("-r 192.168.2.50:80 -m -w {weight}");
        wait(&format!("the kernel has {line}"), || appliance.table(), move |table| table.contains(&line))
    };
    weighs(40)?;
    first.say("25%");
    weighs(10)?;
    first.say("drain");
    weighs(0)?;
    ensure!(fetch(&lab.client, "10.0.0.21:80", 4)? == only("rs2", 4), "a drained server got a new client");
    first.say("ready 100%");
    weighs(40)?;
    evenly(&lab)
}
