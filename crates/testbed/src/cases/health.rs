//! Servers that fail and return, and what clients notice.

use super::{
    topology::{Appliance, Lab, guide_nat},
    wait,
    web::{Load, Server, fetch},
};
use anyhow::{Result, ensure};
use lb_api::StateRequest;
use lb_model::{Check, CheckMethod, Config, Negotiate, NegotiateService, RequestedState};
use std::{collections::BTreeMap, time::Instant};

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

fn only(name: &str, n: usize) -> BTreeMap<String, usize> {
    BTreeMap::from([(name.to_owned(), n)])
}

pub fn stop_and_start() -> Result<()> {
    let (lab, rs1, rs2, appliance) = lab()?;
    drop(rs1);
    let stopped = Instant::now();
    appliance.wait_for(&["non-active", "active"])?;
    // Interval 1 s, time-out 2 s; the rest is what an emulated machine on a busy host may take.
    ensure!(stopped.elapsed().as_secs() < 30, "noticed after {:?}", stopped.elapsed());
    let before = rs2.count();
    ensure!(fetch(&lab.client, "10.0.0.21:80", 10)? == only("rs2", 10), "a request went elsewhere");
    ensure!(rs2.count() == before + 10);
    let _rs1 = Server::start(&lab.rs1, "0.0.0.0:80", "rs1")?;
    appliance.wait_for(&["active", "active"])?;
    let answers = fetch(&lab.client, "10.0.0.21:80", 10)?;
    ensure!(answers.get("rs1") == Some(&5), "{answers:?}");
    Ok(())
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
