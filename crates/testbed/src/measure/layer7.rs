//! Requests through HAProxy as lbd runs it, beside a HAProxy that somebody started by hand with a configuration written by
//! hand for the same: one guest, the same servers, run by turns.

use super::measured;
use crate::cases::{
    layer7::Supervisor,
    net::{Netns, plug},
    tls::{self, Authority},
    topology::{Appliance, Lab, guide},
    wait,
};
use anyhow::{Context, Result, ensure};
use lb_model::ForwardingMethod;
use rustls::ClientConfig;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

const OURS: &str = "10.0.0.21";
const BY_HAND: &str = "10.0.0.61";
const HOST: &str = "shop.example.com";
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
frontend secure
    bind 10.0.0.61:8443 ssl crt FOLDER/shop.pem ssl-min-ver TLSv1.2 no-tls-tickets alpn h2,http/1.1
    option forwardfor
    http-request set-header X-Forwarded-Proto https
    default_backend shop
backend shop
    balance roundrobin
    cookie SHOP insert indirect nocache httponly
    server one 10.0.0.50:80 cookie one check inter 10s
    server two 10.0.0.51:80 cookie two check inter 10s
";

fn shop(label: &str, port: &str) -> Value {
    json!({"label": label, "address": OURS, "ports": port, "persistence": {"type":"cookie"},
        "real_servers":[{"label":"One","address":"10.0.0.50","port":80},{"label":"Two","address":"10.0.0.51","port":80}]})
}

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
    let authority = Authority::new()?;
    let (_, pem) = authority.sign(HOST)?;
    let certificate = tls::upload(&appliance.client, "shop", pem.clone())?;
    let mut secure = shop("Secure", "8443");
    secure["tls"] = json!({"certificates": ["shop"]});
    config.layer7 = serde_json::from_value(
        json!({"certificates": [certificate], "virtual_servers": [shop("Shop", "8080"), secure]}),
    )?;
    appliance.apply(&config)?;
    appliance.wait_for(&["active"; 4])?;
    wait("HAProxy does as it was told", || Ok(appliance.client.status()?), |status| status.converged)?;

    let hand = Netns::new("hand")?;
    plug(&hand, "eth0", "ext")?;
    hand.ip("addr add 10.0.0.61/24 dev eth0")?;
    hand.ip("link set eth0 up")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, WRITTEN.replace("FOLDER", &folder.path().display().to_string()))?;
    std::fs::write(folder.path().join("shop.pem"), pem)?;
    let mut haproxy = hand.command("/usr/sbin/haproxy");
    haproxy.args(["-W", "-db", "-f"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    children.push(haproxy.spawn().context("starting HAProxy by hand")?);
    let [ours, by_hand]: [IpAddr; 2] = [OURS.parse()?, BY_HAND.parse()?];
    for address in [ours, by_hand] {
        wait("HAProxy answers", || lab.client.inside(move || kept((address, 8080).into(), 1)), |_| true)?;
    }
    type Ask = Arc<dyn Fn(SocketAddr, u32) -> Result<Duration> + Send + Sync>;
    let clients = authority.clients()?;
    let of_new = clients.clone();
    let kinds: [(&str, u16, u32, Ask); 4] = [
        ("kept", 8080, 1000, Arc::new(kept)),
        ("new", 8080, 400, Arc::new(new)),
        ("tls-kept", 8443, 1000, Arc::new(move |address, count| tls_kept(address, &clients, count))),
        ("tls-new", 8443, 100, Arc::new(move |address, count| tls_new(address, &of_new, count))),
    ];
    for (name, port, count, ask) in kinds {
        let mut best = [Duration::MAX; 2];
        for turn in 0..TURNS {
            for which in [turn % 2, 1 - turn % 2] {
                let (address, ask) = (SocketAddr::new([ours, by_hand][which], port), ask.clone());
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

fn tls_kept(address: SocketAddr, clients: &Arc<ClientConfig>, count: u32) -> Result<Duration> {
    let (mut reader, _) = tls::connect(address, clients, HOST)?;
    let start = Instant::now();
    for _ in 0..count {
        ask(&mut reader, "")?;
    }
    Ok(start.elapsed())
}

/// With a whole handshake each.
fn tls_new(address: SocketAddr, clients: &Arc<ClientConfig>, count: u32) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..count {
        ask(&mut tls::connect(address, clients, HOST)?.0, "Connection: close\r\n")?;
    }
    Ok(start.elapsed())
}

fn ask<S: Read + Write>(reader: &mut BufReader<S>, header: &str) -> Result<()> {
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
