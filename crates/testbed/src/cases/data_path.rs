//! Packets from a client to real servers, by every forwarding method.

use super::{
    net::Netns,
    topology::{Appliance, Lab, guide, guide_nat},
    wait,
    web::{Server, fetch, get, reset, udp_ask, udp_server},
};
use anyhow::{Result, ensure};
use lb_model::{Config, ForwardingMethod, Persistence, Service, Tunnel};
use std::{collections::BTreeMap, net::TcpListener};

pub fn nat() -> Result<()> {
    let lab = Lab::two_arm()?;
    let _rs1 = Server::start(&lab.rs1, "0.0.0.0:80", "rs1")?;
    let _rs2 = Server::start(&lab.rs2, "0.0.0.0:80", "rs2")?;
    let appliance = Appliance::start(&lab.lb)?;
    let applied = appliance.apply(&guide_nat())?;
    ensure!(applied.revision.number == 1, "{applied:?}");
    appliance.wait_for(&["active", "active"])?;
    evenly(&lab.client, "10.0.0.21:80")?;
    let meant = "-A -t 10.0.0.21:80 -s wrr\n\
                 -a -t 10.0.0.21:80 -r 192.168.2.50:80 -m -w 1\n\
                 -a -t 10.0.0.21:80 -r 192.168.2.51:80 -m -w 1";
    ensure!(appliance.table()? == meant, "{}", appliance.table()?);
    masqueraded(&lab)
}

/// A real server that reaches out is seen under the external address.
fn masqueraded(lab: &Lab) -> Result<()> {
    let listener = lab.client.inside(|| Ok(TcpListener::bind("10.0.0.31:8080")?))?;
    let seen = std::thread::spawn(move || listener.accept().map(|(_, from)| from.ip().to_string()));
    let _open = lab.rs1.inside(|| Ok(std::net::TcpStream::connect("10.0.0.31:8080")?))?;
    let seen = seen.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    ensure!(seen == "10.0.0.21", "the server is seen as {seen}");
    Ok(())
}

/// The kernel's wheel begins anew whenever lbd changes a server (`ip_vs_wrr_dest_changed`), in the midst of twenty, too.
fn evenly(client: &Netns, vip: &str) -> Result<()> {
    let even = BTreeMap::from([("rs1".into(), 10), ("rs2".into(), 10)]);
    wait("twenty requests in equal shares", || fetch(client, vip, 20), |answers| *answers == even).map(drop)
}

fn balanced(lab: &Lab, config: &Config) -> Result<()> {
    let _rs1 = Server::start(&lab.rs1, "0.0.0.0:80", "rs1")?;
    let _rs2 = Server::start(&lab.rs2, "0.0.0.0:80", "rs2")?;
    let appliance = Appliance::start(&lab.lb)?;
    appliance.apply(config)?;
    appliance.wait_for(&["active", "active"])?;
    evenly(&lab.client, "10.0.0.21:80")
}

const SERVERS: [&str; 2] = ["10.0.0.50", "10.0.0.51"];

pub fn dr() -> Result<()> {
    balanced(&Lab::one_arm()?, &guide(ForwardingMethod::Dr, SERVERS))
}

pub fn tun() -> Result<()> {
    for tunnel in Tunnel::ALL {
        let mut config = guide(ForwardingMethod::Tun, SERVERS);
        for rs in &mut config.virtual_servers[0].real_servers {
            rs.tunnel = *tunnel;
        }
        let lab = Lab::one_arm()?;
        for (rs, address) in [(&lab.rs1, SERVERS[0]), (&lab.rs2, SERVERS[1])] {
            let end = match tunnel {
                Tunnel::Ipip => "tunl0",
                Tunnel::Gue => {
                    // What is unwrapped from GUE is IP in IP, and ends in the same device.
                    rs.ip("fou add port 6080 gue")?;
                    "tunl0"
                }
                Tunnel::Gre => {
                    rs.ip(&format!("link add gre1 type gre local {address} remote 10.0.0.21"))?;
                    "gre1"
                }
            };
            rs.ip(&format!("link set {end} up"))?;
            rs.sysctl(&format!("net.ipv4.conf.{end}.rp_filter"), "0")?;
        }
        balanced(&lab, &config).map_err(|e| e.context(format!("tunnel {tunnel}")))?;
        super::net::clean_up();
    }
    Ok(())
}

pub fn ipv6() -> Result<()> {
    let lab = Lab::one_arm()?;
    let _rs1 = Server::start(&lab.rs1, "[::]:80", "rs1")?;
    let _rs2 = Server::start(&lab.rs2, "[::]:80", "rs2")?;
    let mut config = guide(ForwardingMethod::Dr, SERVERS);
    config.node.interfaces[0].addresses.push("fd00:a::20/64".parse()?);
    let vs = &mut config.virtual_servers[0];
    vs.service =
        Service::Address { address: "fd00:a::21".parse()?, protocol: Default::default(), ports: 80.into(), mark: None };
    for (rs, address) in vs.real_servers.iter_mut().zip(["fd00:a::50", "fd00:a::51"]) {
        rs.address = address.parse()?;
    }
    let appliance = Appliance::start(&lab.lb)?;
    appliance.apply(&config)?;
    appliance.wait_for(&["active", "active"])?;
    evenly(&lab.client, "[fd00:a::21]:80")
}

pub fn udp() -> Result<()> {
    let lab = Lab::two_arm()?;
    udp_server(&lab.rs1, "0.0.0.0:53", "rs1")?;
    udp_server(&lab.rs2, "0.0.0.0:53", "rs2")?;
    let mut config = guide_nat();
    let vs = &mut config.virtual_servers[0];
    vs.service = Service::Address {
        address: "10.0.0.21".parse()?,
        protocol: lb_model::Protocol::Udp,
        ports: 53.into(),
        mark: None,
    };
    vs.one_packet = true;
    vs.check.method = lb_model::CheckMethod::Ping;
    let appliance = Appliance::start(&lab.lb)?;
    appliance.apply(&config)?;
    appliance.wait_for(&["active", "active"])?;
    let ask = || {
        let mut answers = BTreeMap::<String, usize>::new();
        for _ in 0..10 {
            *answers.entry(udp_ask(&lab.client, "10.0.0.21:53")?).or_default() += 1;
        }
        Ok(answers)
    };
    let even = BTreeMap::from([("rs1".into(), 5), ("rs2".into(), 5)]);
    wait("ten datagrams in equal shares", ask, |answers| *answers == even).map(drop)
}

/// A list and a range become one service by a mark; a port added later drops nothing, and other ports are not touched.
pub fn ports() -> Result<()> {
    let lab = Lab::one_arm()?;
    let mut servers = Vec::new();
    for port in [80, 443, 8001, 9000] {
        servers.push(Server::start(&lab.rs1, &format!("0.0.0.0:{port}"), "rs1")?);
        servers.push(Server::start(&lab.rs2, &format!("0.0.0.0:{port}"), "rs2")?);
    }
    let mut config = guide(ForwardingMethod::Dr, SERVERS);
    let with = |config: &mut Config, list: &str| -> Result<()> {
        if let Service::Address { ports, .. } = &mut config.virtual_servers[0].service {
            *ports = list.parse()?;
        }
        Ok(())
    };
    with(&mut config, "80,8000-8002")?;
    config.assign_marks();
    let appliance = Appliance::start(&lab.lb)?;
    appliance.apply(&config)?;
    appliance.wait_for(&["active", "active"])?;
    evenly(&lab.client, "10.0.0.21:80")?;
    evenly(&lab.client, "10.0.0.21:8001")?;
    ensure!(fetch(&lab.client, "10.0.0.21:443", 1).is_err(), "port 443 is not balanced yet");
    let open = lab.client.inside(|| Ok(std::net::TcpStream::connect("10.0.0.21:80")?))?;
    with(&mut config, "80,443,8000-8002")?;
    let applied = appliance.apply(&config)?;
    ensure!(!applied.plan.iter().any(|a| a.contains("remove")), "{:?}", applied.plan);
    evenly(&lab.client, "10.0.0.21:443")?;
    // The connection from before still works.
    use std::io::{Read, Write};
    let mut open = open;
    open.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
    let mut answer = String::new();
    open.read_to_string(&mut answer)?;
    ensure!(answer.ends_with("rs1") || answer.ends_with("rs2"), "{answer:?}");
    Ok(())
}

/// Clients of one /24 share a server until the time-out; another network goes to the other.
pub fn persistence() -> Result<()> {
    let lab = Lab::two_arm()?;
    let _rs1 = Server::start(&lab.rs1, "0.0.0.0:80", "rs1")?;
    let _rs2 = Server::start(&lab.rs2, "0.0.0.0:80", "rs2")?;
    lab.client.ip("addr add 10.0.0.32/24 dev eth0")?;
    lab.client.ip("addr add 172.16.9.1/32 dev lo")?;
    let mut config = guide_nat();
    config.virtual_servers[0].persistence = Some(Persistence { timeout: 300, granularity: Some(24) });
    let appliance = Appliance::start(&lab.lb)?;
    appliance.apply(&config)?;
    appliance.wait_for(&["active", "active"])?;
    let first = lab.client.inside(|| get("10.0.0.21:80".parse()?))?;
    for from in ["10.0.0.31", "10.0.0.32"] {
        for _ in 0..5 {
            let served = from_address(&lab.client, from)?;
            ensure!(served == first, "{from} went to {served}, its network is on {first}");
        }
    }
    let other = from_address(&lab.client, "172.16.9.1")?;
    ensure!(other != first, "another network is on {other} too");
    Ok(())
}

/// A persistent entry that is removed binds its client no more; one whose client is connected stays.
pub fn removed_persistence() -> Result<()> {
    let lab = Lab::two_arm()?;
    let _rs1 = Server::start(&lab.rs1, "0.0.0.0:80", "rs1")?;
    let _rs2 = Server::start(&lab.rs2, "0.0.0.0:80", "rs2")?;
    let mut config = guide_nat();
    config.virtual_servers[0].persistence = Some(Persistence { timeout: 300, granularity: Some(24) });
    let appliance = Appliance::start(&lab.lb)?;
    appliance.apply(&config)?;
    appliance.wait_for(&["active", "active"])?;
    lab.client.inside(reset)?;
    let templates = || {
        let kind = lb_api::ConnectionKind::Persistent;
        Ok(appliance.client.connections(&lb_api::ConnectionQuery { kind, ..Default::default() })?.entries)
    };
    let bound = wait("a persistent entry", templates, |t| t.len() == 1)?;
    let forget = || -> Result<String> {
        let t = bound[0].clone();
        let request = lb_api::ForgetRequest {
            protocol: t.protocol,
            client: t.client,
            virtual_server: t.virtual_server,
            real_server: t.real_server,
            author: "case".into(),
        };
        Ok(appliance.client.forget(&request)?.message)
    };
    let message = forget()?;
    ensure!(message.contains("has connections"), "while the kernel remembers a connection: {message}");
    ensure!(templates()?[0].expires <= 60, "it is asked for again within a minute: {:?}", templates()?);
    let connections = || Ok(appliance.client.connections(&lb_api::ConnectionQuery::default())?.matching);
    wait("the connection is forgotten", connections, |n| *n == 0)?;
    let message = forget()?;
    ensure!(message.contains("is removed"), "{message}");
    ensure!(templates()?.is_empty(), "{:?}", templates()?);
    ensure!(appliance.client.status()?.drift.is_empty(), "the daemon is gone, and nothing else has changed");
    Ok(())
}

fn from_address(client: &Netns, from: &str) -> Result<String> {
    let from: std::net::IpAddr = from.parse()?;
    client.inside(move || {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
        use std::{
            io::{Read, Write},
            os::fd::AsRawFd,
        };
        let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None)?;
        let address =
            |ip: &str, port: u16| -> Result<SockaddrIn> { Ok(std::net::SocketAddrV4::new(ip.parse()?, port).into()) };
        bind(fd.as_raw_fd(), &address(&from.to_string(), 0)?)?;
        connect(fd.as_raw_fd(), &address("10.0.0.21", 80)?)?;
        let mut stream = std::net::TcpStream::from(fd);
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned())
    })
}
