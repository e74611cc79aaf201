//! What lbd shows of the kernel: connections and the network, beside what the kernel's own tools say.

use super::{
    net::Netns,
    topology::{Appliance, Lab, guide, guide_nat},
    wait,
    web::{Server, fetch, get},
};
use anyhow::{Context, Result, ensure};
use lb_api::{Connection, ConnectionKind, ConnectionQuery};
use lb_model::{CheckMethod, Config, ForwardingMethod, Persistence, Protocol, Service, VirtualServer};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

/// Entries with which paging is tried. The emulated kernel of a busy machine needs lbd's 20 s for 100,000 of them, and 7 to
/// 9 s for 50,000: before Linux 6.14 reading the table costs the square of its length.
const MANY: u32 = 30_000;
/// A summary may take this long whatever else is read: an emulated guest is not on a processor all the time.
const STALL: Duration = Duration::from_secs(2);

fn address(ip: &str, protocol: Protocol, port: u16) -> Result<Service> {
    Ok(Service::Address { address: ip.parse()?, protocol, ports: port.into(), mark: None })
}

/// The guide's virtual server once more, under another name and port, active unasked.
fn another(config: &Config, label: &str, protocol: Protocol, port: u16) -> Result<VirtualServer> {
    let mut vs = config.virtual_servers[0].clone();
    vs.label = label.parse()?;
    vs.service = address("10.0.0.21", protocol, port)?;
    vs.check.method = CheckMethod::On;
    Ok(vs)
}

/// `state client virtual real`, the client without its port.
fn shown(c: &Connection) -> String {
    format!("{} {} {} {} {}", c.protocol, c.client.ip(), c.virtual_server, c.real_server, c.state)
}

fn seen(appliance: &Appliance, query: &ConnectionQuery) -> Result<Vec<String>> {
    let mut lines: Vec<String> = appliance.client.connections(query)?.entries.iter().map(shown).collect();
    lines.sort();
    Ok(lines)
}

fn on(port: u16) -> ConnectionQuery {
    ConnectionQuery { virtual_server: Some(format!("10.0.0.21:{port}")), ..ConnectionQuery::default() }
}

/// An open connection, one whose server does not answer, a client bound to a server, and a service of several ports.
pub fn connections() -> Result<()> {
    let lab = Lab::two_arm()?;
    let _rs1 = Server::start(&lab.rs1, "0.0.0.0:80", "rs1")?;
    let _rs2 = Server::start(&lab.rs2, "0.0.0.0:80", "rs2")?;
    let _other = Server::start(&lab.rs1, "0.0.0.0:84", "rs1")?;
    let mut config = guide_nat();
    let mut deaf = another(&config, "Deaf", Protocol::Tcp, 81)?;
    deaf.real_servers.truncate(1);
    deaf.real_servers[0].address = "192.168.2.77".parse()?;
    let mut sticky = another(&config, "Sticky", Protocol::Tcp, 82)?;
    sticky.persistence = Some(Persistence { timeout: 300, granularity: Some(24) });
    for rs in &mut sticky.real_servers {
        rs.port = Some(80);
    }
    let mut ports = another(&config, "Ports", Protocol::Tcp, 83)?;
    if let Service::Address { ports, .. } = &mut ports.service {
        *ports = "83,84".parse()?;
    }
    ports.persistence = Some(Persistence { timeout: 300, granularity: None });
    ports.real_servers.truncate(1);
    ports.real_servers[0].port = None;
    config.virtual_servers.extend([deaf, sticky, ports]);
    config.assign_marks();
    let appliance = Appliance::start(&lab.lb)?;
    appliance.apply(&config)?;
    appliance.wait_for(&["active"; 6])?;

    // A server takes one client at a time: who asks comes before who stays.
    let _served = lab.client.inside(|| get("10.0.0.21:82".parse()?))?;
    let _open = lab.client.inside(|| Ok(TcpStream::connect("10.0.0.21:80")?))?;
    let one_of = |lines: &[String], meant: [&str; 2]| lines.len() == 1 && meant.contains(&lines[0].as_str());
    let open = seen(&appliance, &ConnectionQuery { state: Some("ESTABLISHED".into()), ..on(80) })?;
    let meant = [
        "TCP 10.0.0.31 10.0.0.21:80 192.168.2.50:80 ESTABLISHED",
        "TCP 10.0.0.31 10.0.0.21:80 192.168.2.51:80 ESTABLISHED",
    ];
    ensure!(one_of(&open, meant), "{open:?}");
    let unanswered = lab.client.inside(|| {
        Ok(TcpStream::connect_timeout(&SocketAddr::from(([10, 0, 0, 21], 81)), Duration::from_secs(2)).is_err())
    })?;
    ensure!(unanswered, "nobody is at 192.168.2.77");
    fetch(&lab.client, "10.0.0.21:84", 1)?;

    let begun = seen(&appliance, &on(81))?;
    ensure!(begun == ["TCP 10.0.0.31 10.0.0.21:81 192.168.2.77:81 SYN_RECV"], "{begun:?}");
    let persistent = ConnectionQuery { kind: ConnectionKind::Persistent, ..ConnectionQuery::default() };
    let bound = appliance.client.connections(&persistent)?;
    let clients: Vec<String> = bound.entries.iter().map(|c| format!("{} {}", c.protocol, c.client)).collect();
    ensure!(bound.matching == 2 && clients.contains(&"TCP 10.0.0.0:0".into()), "{bound:?}");
    // A firewall mark's template has the mark where others have the virtual server: 0x40000000, the first automatic one.
    let mark = bound.entries.iter().find(|c| c.protocol == "IP").context("no template of the mark")?;
    ensure!(mark.client.to_string() == "10.0.0.31:0" && mark.virtual_server.to_string() == "64.0.0.0:0", "{mark:?}");
    // The kernel's own list has as many.
    let raw = lab.lb.run("cat", &["/proc/net/ip_vs_conn"])?;
    let all = appliance.client.connections(&ConnectionQuery::default())?;
    ensure!(all.total == raw.lines().count() - 1, "{} of\n{raw}", all.total);
    Ok(())
}

pub fn connections_ipv6() -> Result<()> {
    let lab = Lab::one_arm()?;
    let _rs1 = Server::start(&lab.rs1, "[::]:80", "rs1")?;
    let mut config = guide(ForwardingMethod::Dr, ["10.0.0.50", "10.0.0.51"]);
    config.node.interfaces[0].addresses.push("fd00:a::20/64".parse()?);
    let vs = &mut config.virtual_servers[0];
    vs.service = address("fd00:a::21", Protocol::Tcp, 80)?;
    vs.real_servers.truncate(1);
    vs.real_servers[0].address = "fd00:a::50".parse()?;
    let appliance = Appliance::start(&lab.lb)?;
    appliance.apply(&config)?;
    appliance.wait_for(&["active"])?;
    fetch(&lab.client, "[fd00:a::21]:80", 3)?;
    let client = Some("fd00:a::31".parse::<IpAddr>()?);
    let lines = seen(&appliance, &ConnectionQuery { client, ..ConnectionQuery::default() })?;
    let meant = "TCP fd00:a::31 [fd00:a::21]:80 [fd00:a::50]:80 ";
    ensure!(lines.len() == 3 && lines.iter().all(|l| l.starts_with(meant)), "{lines:?}");
    let network = appliance.client.network()?;
    let eth0 = network.interfaces.iter().find(|i| i.name == "eth0").context("no eth0")?;
    let vip = eth0.addresses.iter().find(|a| a.address == "fd00:a::21/128").context("no VIP")?;
    ensure!(vip.purpose == "vip" && vip.virtual_servers == ["HTTP_Cluster"], "{vip:?}");
    Ok(())
}

/// A table as long as a busy day's: every page comes, each entry once, and lbd answers others meanwhile.
pub fn many_connections() -> Result<()> {
    let lab = Lab::two_arm()?;
    // It never reads, so that nobody tells the clients that nobody is there.
    let _deaf = lab.rs1.inside(|| Ok(UdpSocket::bind("0.0.0.0:5353")?))?;
    let mut config = guide_nat();
    let mut many = another(&config, "Many", Protocol::Udp, 5353)?;
    many.real_servers.truncate(1);
    config.virtual_servers = vec![many];
    let appliance = Appliance::start(&lab.lb)?;
    appliance.apply(&config)?;
    appliance.wait_for(&["active"])?;
    // RFC 6598's addresses, all of them the client's own.
    lab.client.ip("route add local 100.64.0.0/10 dev lo")?;
    lab.lb.ip("route add 100.64.0.0/10 via 10.0.0.31")?;
    let page = |offset, limit| appliance.client.connections(&ConnectionQuery { offset, limit, ..on(5353) });
    // A busy machine loses a datagram now and then; who has an entry already gets no second one.
    let filled = || {
        fill(&lab.client)?;
        Ok(page(0, 1)?)
    };
    let all = wait("all entries", filled, |v| v.matching >= MANY as usize)?;
    ensure!(all.matching == MANY as usize && !all.truncated, "{all:?}");

    let started = Instant::now();
    let last = page(MANY as usize - 10, 1000)?;
    let whole = started.elapsed();
    ensure!(last.entries.len() == 10 && last.states[0].count == MANY as usize, "{last:?}");
    let wanted = last.entries[4].client;
    let found = seen(&appliance, &ConnectionQuery { client: Some(wanted.ip()), limit: 1000, ..on(5353) })?;
    ensure!(found.len() == PORTS as usize, "{} from {wanted}", found.len());

    // Somebody pages all the time, and lbd still answers.
    let socket = appliance.client.clone();
    let pager = std::thread::spawn(move || socket.connections(&on(5353)).map(|v| v.matching));
    let (mut slowest, mut asked) = (Duration::ZERO, 0);
    while !pager.is_finished() {
        let started = Instant::now();
        appliance.client.summary()?;
        slowest = slowest.max(started.elapsed());
        asked += 1;
    }
    let paged = pager.join().map_err(|_| anyhow::anyhow!("panicked"))??;
    ensure!(paged == MANY as usize, "{paged}");
    println!("  {MANY} entries read in {whole:?}; {asked} summaries meanwhile, the slowest in {slowest:?}");
    ensure!(slowest < (whole / 2).max(STALL), "a summary took {slowest:?} beside a reading of {whole:?}");
    Ok(())
}

const PORTS: u16 = 400;

/// One datagram each from [`MANY`] addresses and ports.
fn fill(client: &Netns) -> Result<()> {
    client.inside(|| {
        for n in 0..MANY / u32::from(PORTS) {
            let from = Ipv4Addr::from(0x6440_0001 + n);
            for port in 0..PORTS {
                let socket = UdpSocket::bind((from, 20_000 + port)).with_context(|| format!("binding {from}"))?;
                socket.send_to(b"?", "10.0.0.21:5353")?;
            }
        }
        Ok(())
    })
}

pub fn network() -> Result<()> {
    let lab = Lab::two_arm()?;
    let mut config = guide_nat();
    let mut vip = another(&config, "Vip", Protocol::Tcp, 443)?;
    vip.service = address("10.0.0.40", Protocol::Tcp, 443)?;
    config.virtual_servers.push(vip);
    let appliance = Appliance::start(&lab.lb)?;
    appliance.apply(&config)?;
    lab.lb.ip("addr add 10.0.0.99/32 dev eth0")?;
    lab.lb.ip("route add 10.9.0.0/16 via 10.0.0.31")?;
    lab.lb.run("nft", &["add", "table", "inet", "by_hand"])?;
    let network = appliance.client.network()?;
    let eth0 = network.interfaces.iter().find(|i| i.name == "eth0").context("no eth0")?;
    let mut addresses: Vec<String> = eth0
        .addresses
        .iter()
        .filter(|a| !a.address.contains(':'))
        .map(|a| format!("{} {} {}", a.address, a.purpose, a.virtual_servers.join(",")))
        .collect();
    addresses.sort();
    let meant = ["10.0.0.21/24 interface HTTP_Cluster", "10.0.0.40/32 vip Vip", "10.0.0.99/32 other "];
    ensure!(addresses == meant, "{addresses:?}");
    ensure!(eth0.up && eth0.carrier && eth0.mtu == 1500 && eth0.mac.len() == 17, "{eth0:?}");
    let routes: Vec<String> = network
        .routes
        .iter()
        .filter(|r| !r.to.contains(':'))
        .map(|r| format!("{} {} {} {}", r.to, r.via.as_deref().unwrap_or("-"), r.interface, r.origin))
        .collect();
    for route in [
        "default 10.0.0.31 eth0 configured",
        "10.0.0.0/24 - eth0 kernel",
        "192.168.2.0/24 - eth1 kernel",
        "10.9.0.0/16 10.0.0.31 eth0 other",
    ] {
        ensure!(routes.iter().any(|r| r == route), "{route} is missing: {routes:?}");
    }
    ensure!(network.firewall.contains("masquerade") && network.firewall.contains("by_hand"), "{}", network.firewall);
    let system = appliance.client.system()?;
    let cards: Vec<&str> = system.interfaces.iter().map(|i| i.name.as_str()).collect();
    ensure!(cards.contains(&"eth0") && cards.contains(&"eth1") && system.memory_total > 0, "{system:?}");
    Ok(())
}
