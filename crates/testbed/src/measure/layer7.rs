//! Requests through HAProxy as lbd runs it, beside a HAProxy that somebody started by hand with a configuration written by
//! hand for the same: one guest, the same servers, run by turns.

use super::measured;
use crate::cases::{
    layer7::Supervisor,
    net::{Netns, plug},
    topology::{Appliance, Lab, guide},
    wait,
};
use anyhow::{Context, Result, ensure};
use lb_model::ForwardingMethod;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::Stdio,
    time::{Duration, Instant},
};

const OURS: &str = "10.0.0.21:8080";
const BY_HAND: &str = "10.0.0.61:8080";
/// Turns of both; the smallest time of each counts.
const TURNS: usize = 5;

/// As the virtual server below, by somebody who knows HAProxy.
const WRITTEN: &str = "\
global
    maxconn 40000
    user haproxy
    group haproxy
defaults
    mode http
    timeout connect 4s
    timeout client 43s
    timeout server 43s
    timeout http-request 10s
    option redispatch
frontend shop
    bind 10.0.0.61:8080
    option forwardfor
    default_backend shop
backend shop
    balance roundrobin
    cookie SHOP insert indirect nocache httponly
    server one 10.0.0.50:80 cookie one check inter 10s
    server two 10.0.0.51:80 cookie two check inter 10s
";

const SHOP: &str = r#"{"virtual_servers":[{"label":"Shop","address":"10.0.0.21","ports":"8080",
    "persistence":{"type":"cookie"},
    "real_servers":[{"label":"One","address":"10.0.0.50","port":80},{"label":"Two","address":"10.0.0.51","port":80}]}]}"#;

pub fn proxy() -> Result<()> {
    let lab = Lab::one_arm()?;
    let mut children = Vec::new();
    for rs in [&lab.rs1, &lab.rs2] {
        // They end with their namespaces.
        let mut server = rs.command("lab");
        children.push(server.args(["http-server", "--name", &rs.0]).stdin(Stdio::null()).spawn()?);
    }
    let appliance = Appliance::start(&lab.lb)?;
    let _supervisor = Supervisor::start(&lab.lb, &appliance)?;
    let mut config = guide(ForwardingMethod::Dr, ["10.0.0.50", "10.0.0.51"]);
    config.virtual_servers.clear();
    config.layer7 = serde_json::from_str(SHOP)?;
    appliance.apply(&config)?;
    appliance.wait_for(&["active", "active"])?;
    wait("HAProxy does as it was told", || Ok(appliance.client.status()?), |status| status.converged)?;

    let hand = Netns::new("hand")?;
    plug(&hand, "eth0", "ext")?;
    hand.ip("addr add 10.0.0.61/24 dev eth0")?;
    hand.ip("link set eth0 up")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, WRITTEN)?;
    let mut haproxy = hand.command("/usr/sbin/haproxy");
    haproxy.args(["-W", "-db", "-f"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    children.push(haproxy.spawn().context("starting HAProxy by hand")?);
    let [ours, by_hand]: [SocketAddr; 2] = [OURS.parse()?, BY_HAND.parse()?];
    for address in [ours, by_hand] {
        wait("HAProxy answers", || lab.client.inside(move || kept(address, 1)), |_| true)?;
    }
    type Ask = fn(SocketAddr, u32) -> Result<Duration>;
    for (name, count, ask) in [("kept", 1000, kept as Ask), ("new", 400, new as Ask)] {
        let mut best = [Duration::MAX; 2];
        for turn in 0..TURNS {
            for which in [turn % 2, 1 - turn % 2] {
                let address = [ours, by_hand][which];
                best[which] = best[which].min(lab.client.inside(move || ask(address, count))?);
            }
        }
        for (whose, time) in ["ours", "by-hand"].iter().zip(best) {
            measured(&format!("layer-7-{name}-{whose}-us"), time.as_secs_f64() * 1e6 / f64::from(count));
        }
    }
    for child in &mut children {
        let _ = child.kill();
        let _ = child.wait();
    }
    Ok(())
}

/// Requests on one connection that is kept.
fn kept(address: SocketAddr, count: u32) -> Result<Duration> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    let mut reader = BufReader::new(stream);
    let start = Instant::now();
    for _ in 0..count {
        ask(&mut reader, "")?;
    }
    Ok(start.elapsed())
}

/// Each on a connection of its own.
fn new(address: SocketAddr, count: u32) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..count {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        ask(&mut BufReader::new(stream), "Connection: close\r\n")?;
    }
    Ok(start.elapsed())
}

fn ask(reader: &mut BufReader<TcpStream>, header: &str) -> Result<()> {
    // In one piece: in several, the time would be that of delayed acknowledgements.
    reader.get_mut().write_all(format!("GET / HTTP/1.1\r\nHost: shop\r\n{header}\r\n").as_bytes())?;
    let (mut status, mut length) = (String::new(), 0);
    reader.read_line(&mut status)?;
    ensure!(status.contains(" 200 "), "{status:?}");
    loop {
        let mut line = String::new();
        ensure!(reader.read_line(&mut line)? > 0, "cut short");
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(())
}
