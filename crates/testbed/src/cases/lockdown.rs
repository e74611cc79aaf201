//! The lock-down with packets: who gets through to the unit's own ports, and that clients of its virtual servers do not
//! notice.

use super::{
    topology::{Appliance, Lab, guide_nat},
    wait,
    web::Server,
};
use anyhow::{Context, Result, ensure};
use lb_model::{CheckMethod, Config, Lockdown, MANAGEMENT_PORTS, Service, VirtualServer};
use socket2::{Domain, Socket, Type};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// An administrator's addresses, and somebody else's on the same wire.
const INSIDE: [&str; 2] = ["10.0.0.31", "fd00:a::31"];
const OUTSIDE: [&str; 2] = ["10.0.0.32", "fd00:a::32"];
/// The unit's, of the same families.
const UNIT: [&str; 2] = ["10.0.0.21", "fd00:a::21"];

pub fn management_networks() -> Result<()> {
    let lab = Lab::two_arm()?;
    lab.client.ip("addr add 10.0.0.32/24 dev eth0")?;
    for address in ["fd00:a::31", "fd00:a::32"] {
        lab.client.ip(&format!("addr add {address}/64 dev eth0 nodad"))?;
    }
    let _web = Server::start(&lab.rs1, "0.0.0.0:80", "rs1")?;
    let _git = Server::start(&lab.rs1, "0.0.0.0:22", "git")?;
    let own = |port: &u16| Server::start(&lab.lb, &format!("[::]:{port}"), "unit");
    let _own: Vec<Server> = MANAGEMENT_PORTS.iter().map(own).collect::<Result<_>>()?;
    let appliance = Appliance::start(&lab.lb)?;
    let open = config()?;
    let mut locked = open.clone();
    locked.globals.lockdown =
        Lockdown { enabled: true, networks: vec!["10.0.0.31/32".parse()?, "fd00:a::31/128".parse()?] };

    appliance.apply(&open)?;
    appliance.wait_for(&["active", "active", "non-active"])?;
    for (from, unit) in OUTSIDE.into_iter().zip(UNIT) {
        wait("the unit answers everybody", || ask(&lab, from, unit, 22), |answer| answer == "unit")?;
    }
    let mut before = lab.client.inside(|| connect("10.0.0.32", "10.0.0.21", 9080))?;

    let applied = appliance.apply(&locked)?;
    ensure!(applied.plan.len() == 1 && applied.plan[0].contains("the unit's own services"), "{:?}", applied.plan);
    // First, as the server takes one connection after another.
    before.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
    let mut answer = String::new();
    before.read_to_string(&mut answer).context("on the connection from before")?;
    ensure!(answer.ends_with("unit"), "the connection from before goes on: {answer:?}");
    closed_but_for_administrators(&lab)?;
    clients_notice_nothing(&lab)?;
    let itself = lab.lb.inside(|| super::web::get("10.0.0.21:9443".parse()?))?;
    ensure!(itself == "unit", "the unit reaches itself: {itself:?}");

    lab.lb.run("nft", &["flush", "chain", "inet", "steelyard", "management"])?;
    let rules = || lab.lb.run("nft", &["list", "chain", "inet", "steelyard", "management"]);
    wait("the repair of the rules", rules, |text| text.contains("jump outsiders"))?;
    closed_but_for_administrators(&lab)?;

    appliance.apply(&open)?;
    for (from, unit) in OUTSIDE.into_iter().zip(UNIT) {
        for port in MANAGEMENT_PORTS {
            ensure!(ask(&lab, from, unit, port)? == "unit", "{unit} port {port} is open to {from} again");
        }
    }
    ensure!(appliance.client.status()?.drift.is_empty(), "{:?}", appliance.client.status()?.drift);
    Ok(())
}

/// The guide's virtual server, one at port 22 of an address of its own, and one whose clients get the fallback page.
fn config() -> Result<Config> {
    let mut config = guide_nat();
    config.node.interfaces[0].addresses.push("fd00:a::21/64".parse()?);
    let servers = &mut config.virtual_servers;
    servers[0].real_servers.truncate(1);
    let git = another(&servers[0], "Git", 22, CheckMethod::Connect)?;
    let down = another(&servers[0], "Down", 81, CheckMethod::Off)?;
    servers.extend([git, down]);
    Ok(config)
}

fn another(like: &VirtualServer, label: &str, port: u16, method: CheckMethod) -> Result<VirtualServer> {
    let mut vs = like.clone();
    vs.label = label.parse()?;
    vs.service = Service::Address {
        address: "10.0.0.40".parse()?,
        protocol: Default::default(),
        ports: port.into(),
        mark: None,
    };
    vs.check.method = method;
    vs.real_servers[0].port = Some(port);
    Ok(vs)
}

fn closed_but_for_administrators(lab: &Lab) -> Result<()> {
    for port in MANAGEMENT_PORTS {
        for (from, unit) in INSIDE.into_iter().zip(UNIT) {
            ensure!(ask(lab, from, unit, port)? == "unit", "{unit} port {port} answers {from}");
        }
        // By the address of a virtual server as little as by the unit's own.
        for (from, unit) in OUTSIDE.into_iter().zip(UNIT).chain([("10.0.0.32", "10.0.0.40")]) {
            if (unit, port) == ("10.0.0.40", 22) {
                continue;
            }
            let refused =
                ask(lab, from, unit, port).err().with_context(|| format!("{unit} port {port} let {from} in"))?;
            let kind = refused.root_cause().downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            ensure!(kind == Some(std::io::ErrorKind::TimedOut), "{unit} port {port}: {refused:#}");
        }
    }
    Ok(())
}

fn clients_notice_nothing(lab: &Lab) -> Result<()> {
    for (vip, port, meant) in [("10.0.0.21", 80, "rs1"), ("10.0.0.40", 22, "git"), ("10.0.0.40", 81, "unit")] {
        let answer = ask(lab, "10.0.0.32", vip, port)?;
        ensure!(answer == meant, "{vip} port {port} answers {answer:?}");
    }
    Ok(())
}

/// Long enough for an emulated machine, short enough to be waited for some twenty times.
const PATIENCE: Duration = Duration::from_secs(2);

fn connect(from: &str, to: &str, port: u16) -> Result<TcpStream> {
    let (from, to) = (SocketAddr::new(from.parse()?, 0), SocketAddr::new(to.parse()?, port));
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&from.into()).with_context(|| format!("binding {from}"))?;
    socket.connect_timeout(&to.into(), PATIENCE).with_context(|| format!("connecting to {to}"))?;
    socket.set_read_timeout(Some(PATIENCE * 5))?;
    Ok(socket.into())
}

/// One request of the client's, from one of its addresses: what answers.
fn ask(lab: &Lab, from: &str, to: &str, port: u16) -> Result<String> {
    let (from, to) = (from.to_owned(), to.to_owned());
    lab.client.inside(move || {
        let mut stream = connect(&from, &to, port)?;
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).with_context(|| format!("no answer of {to}:{port} to {from}"))?;
        Ok(answer.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned())
    })
}
