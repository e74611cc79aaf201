//! What a unit that joins late gets of the other's connections: by `send_table` alone, since the kernel's own
//! master daemon is off in all cases but the last two.
//!
//! The units have services and addresses by Debian's tools and no lbd, so that nothing else moves them.

mod pair;

use super::{
    topology::C_TOOL,
    wait,
    web::{Server, get, reset},
};
use anyhow::{Context, Result, bail, ensure};
use lb_kernel::{
    Forgotten,
    transfer::{First, Pace},
};
use pair::{BACKUP_ID, Pair, Unit, VIP, held_back};
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    ops::Range,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough for some packets to have come again.
const SILENT: Duration = Duration::from_secs(2);
/// Longer than what both sockets hold, so that the server is still sending when the client has stopped to read.
const LENGTH: usize = 24 << 20;
const BEFORE: usize = 1 << 20;

/// The byte at this place of the file: wrong order, a hole and a repetition all show.
fn byte(at: usize) -> u8 {
    (at as u32).wrapping_mul(0x9e37_79b1).to_be_bytes()[0]
}

/// Serves the file once. It never waits for anything but the client.
fn file_server(pair: &Pair, address: &str) -> Result<()> {
    let address: SocketAddr = address.parse()?;
    let listener = pair.rs1.inside(move || Ok(TcpListener::bind(address)?))?;
    pair.rs1.thread(move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        let file: Vec<u8> = (0..LENGTH).map(byte).collect();
        Ok(stream.write_all(&file)?)
    })?;
    Ok(())
}

/// Reads and compares up to there.
fn read_on(stream: &mut TcpStream, read: &mut usize, end: usize) -> Result<()> {
    let mut chunk = vec![0; 1 << 16];
    while *read < end {
        let wanted = chunk.len().min(end - *read);
        let n = stream.read(&mut chunk[..wanted]).with_context(|| format!("after {read} bytes"))?;
        ensure!(n > 0, "the download ended after {read} bytes");
        let right = chunk[..n].iter().enumerate().all(|(at, b)| *b == byte(*read + at));
        ensure!(right, "wrong bytes between {read} and {}", *read + n);
        *read += n;
    }
    Ok(())
}

/// The download's end after the move; `transferred`: with the table, or without.
fn download_over(vip: &str, server: &str, transferred: bool) -> Result<Result<Duration>> {
    let pair = Pair::new()?;
    pair.service(&["-t", vip, "-s", "wrr"], &[(server, "-m")])?;
    file_server(&pair, server)?;
    pair.serves(&pair.a)?;
    let to: SocketAddr = vip.parse()?;
    let mut stream = pair.client.inside(move || Ok(TcpStream::connect_timeout(&to, PATIENCE)?))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut read = 0;
    read_on(&mut stream, &mut read, BEFORE)?;
    pair.start_backup(&pair.b)?;
    ensure!(pair.entries(&pair.b)? == 0, "the late joiner has been told of nothing");
    if transferred {
        pair.transfer(&pair.b, BACKUP_ID, Pace::default())?;
        // Flags, state and server as at the other unit.
        let line = |ns| -> Result<String> {
            let table = pair.table(ns)?;
            let words: Vec<&str> = table.lines().nth(1).context("no entry")?.split_whitespace().collect();
            Ok(words[..8].join(" "))
        };
        ensure!(line(&pair.a)? == line(&pair.b)?, "{}\n{}", line(&pair.a)?, line(&pair.b)?);
    }
    pair.moves()?;
    let started = Instant::now();
    let rest = read_on(&mut stream, &mut read, LENGTH);
    Ok(rest.map(|()| started.elapsed()))
}

pub fn download() -> Result<()> {
    let whole = download_over("10.0.0.21:80", "192.168.2.50:80", true)??;
    println!("  the remaining {} MiB came within {whole:?}", (LENGTH - BEFORE) >> 20);
    super::net::clean_up();
    match download_over("10.0.0.21:80", "192.168.2.50:80", false)? {
        Ok(_) => anyhow::bail!("it went on without the table: this case shows nothing"),
        Err(error) => println!("  without the table: {error:#}"),
    }
    Ok(())
}

pub fn download_ipv6() -> Result<()> {
    download_over("[fd00:a::21]:80", "[fd00:b::50]:80", true)??;
    super::net::clean_up();
    ensure!(download_over("[fd00:a::21]:80", "[fd00:b::50]:80", false)?.is_err(), "it went on without the table");
    Ok(())
}

/// The move comes before the entry, as it does to a connection that is a moment old; and the client can route the real
/// servers' own addresses. `held_back`: with the rules of a unit that stands by, or without.
fn late_entry(vip: &str, server: &str, held_back: bool) -> Result<()> {
    let pair = Pair::new()?;
    pair.client.ip("route add 192.168.2.0/24 via 10.0.0.21 onlink dev eth0")?;
    pair.client.ip("-6 route add fd00:b::/64 via fd00:a::21 onlink dev eth0")?;
    pair.service(&["-t", vip, "-s", "wrr"], &[(server, "-m")])?;
    file_server(&pair, server)?;
    let (to, from): (SocketAddr, SocketAddr) = (vip.parse()?, server.parse()?);
    if held_back {
        pair.hold_back(&pair.b, to, from)?;
    }
    pair.serves(&pair.a)?;
    let mut stream = pair.client.inside(move || Ok(TcpStream::connect_timeout(&to, PATIENCE)?))?;
    let mut read = 0;
    stream.set_read_timeout(Some(PATIENCE))?;
    read_on(&mut stream, &mut read, BEFORE)?;
    pair.start_backup(&pair.b)?;
    pair.moves()?;
    // Nobody knows it there, and packets of both sides come.
    stream.set_read_timeout(Some(SILENT))?;
    let Err(error) = read_on(&mut stream, &mut read, LENGTH) else { bail!("it went on without an entry") };
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    ensure!(kind == Some(std::io::ErrorKind::WouldBlock), "it was refused: {error:#}");
    let sent = pair.transfer_from(First::Lacking, &pair.b, BACKUP_ID, Pace::default())?;
    ensure!(sent.entries == 1, "{sent:?}");
    stream.set_read_timeout(Some(PATIENCE))?;
    read_on(&mut stream, &mut read, LENGTH)
}

pub fn late() -> Result<()> {
    for (vip, server) in [("10.0.0.21:80", "192.168.2.50:80"), ("[fd00:a::21]:80", "[fd00:b::50]:80")] {
        late_entry(vip, server, true)?;
        super::net::clean_up();
        match late_entry(vip, server, false) {
            Ok(()) => bail!("it goes on without the rules: this case shows nothing"),
            Err(error) => println!("  without the rules: {error:#}"),
        }
        super::net::clean_up();
    }
    Ok(())
}

/// The client's SYN passes through a unit on its way to the one that serves, as it does while an address moves; later that
/// one serves, and the client uses its port again. Whether that SYN is answered, or has to come a second time.
fn passes_through(rules: bool) -> Result<bool> {
    let pair = Pair::new()?;
    let _rs1 = Server::start(&pair.rs1, "0.0.0.0:80", "rs1")?;
    pair.service(&["-t", VIP, "-s", "rr"], &[("192.168.2.50:80", "-m")])?;
    let vip: SocketAddr = VIP.parse()?;
    let servers = ["192.168.2.50:80".parse()?];
    pair.rules(&pair.b, rules.then(|| held_back(vip, &servers)))?;
    pair.serves(&pair.a)?;
    let mac = pair.b.run("cat", &["/sys/class/net/eth0/address"])?;
    pair.client.ip(&format!("neigh replace 10.0.0.21 lladdr {} dev eth0", mac.trim()))?;
    ask_from(&pair, 40_000, PATIENCE)?;
    pair.start_backup(&pair.b)?;
    pair.transfer(&pair.b, BACKUP_ID, Pace::default())?;
    let table = pair.table(&pair.b)?;
    ensure!(table.contains("TIME_WAIT"), "no older connection: {table}");
    pair.moves()?;
    // No time for the SYN to come again (TCP_TIMEOUT_INIT, 1 s).
    let once = Duration::from_millis(900);
    Ok(ask_from(&pair, 40_000, once).inspect_err(|error| println!("  {error:#}")).is_ok())
}

/// One request from that port, connected within so long.
fn ask_from(pair: &Pair, port: u16, connected: Duration) -> Result<()> {
    let vip: SocketAddr = VIP.parse()?;
    pair.client.inside(move || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from(([10, 0, 0, 31], port)).into())?;
        socket.connect_timeout(&vip.into(), connected).context("connecting")?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        // The server closes first, and the port is free.
        stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("reading the answer")?;
        ensure!(answer.ends_with("rs1"), "{answer}");
        Ok(())
    })
}

/// Times that it is tried: an emulated guest may take longer than a SYN has, though none is lost.
const TRIES: u32 = 3;

pub fn passed_through() -> Result<()> {
    let mut answered = false;
    for _ in 0..TRIES {
        answered = passes_through(true)?;
        super::net::clean_up();
        if answered {
            break;
        }
    }
    ensure!(answered, "the first SYN was lost, {TRIES} times");
    ensure!(!passes_through(false)?, "it is answered without the rules: this case shows nothing");
    Ok(())
}

/// The unit that takes over has an older connection of the client's port, to another server, which refuses the newer one.
fn led_astray(rules: bool) -> Result<()> {
    let pair = Pair::new()?;
    pair.service(&["-t", VIP, "-s", "rr"], &[("192.168.2.50:80", "-m"), ("192.168.2.51:80", "-m")])?;
    pair.a.run(C_TOOL, &["-e", "-t", VIP, "-r", "192.168.2.51:80", "-m", "-w", "0"])?;
    file_server(&pair, "192.168.2.50:80")?;
    let vip: SocketAddr = VIP.parse()?;
    let servers = ["192.168.2.50:80".parse()?, "192.168.2.51:80".parse()?];
    pair.rules(&pair.b, rules.then(|| held_back(vip, &servers)))?;
    pair.serves(&pair.a)?;
    let mut stream = pair.client.inside(move || Ok(TcpStream::connect_timeout(&vip, PATIENCE)?))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut read = 0;
    read_on(&mut stream, &mut read, BEFORE)?;
    pair.start_backup(&pair.b)?;
    pair.tell(&ipvs::sync::Connection {
        protocol: 6,
        flags: ipvs::sync::flag::INACTIVE,
        // IP_VS_TCP_S_TIME_WAIT
        state: 5,
        client: stream.local_addr()?,
        virtual_server: vip,
        destination: "192.168.2.51:80".parse()?,
        mark: 0,
        timeout: 120,
        sequence: None,
        engine: None,
    })?;
    wait("the older one", || pair.entries(&pair.b), |n| *n == 1)?;
    pair.moves()?;
    stream.set_read_timeout(Some(SILENT))?;
    let Err(error) = read_on(&mut stream, &mut read, LENGTH) else { bail!("it went on without its entry") };
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    ensure!(kind == Some(std::io::ErrorKind::WouldBlock), "it was refused: {error:#}");
    pair.transfer_from(First::Lacking, &pair.b, BACKUP_ID, Pace::default())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    read_on(&mut stream, &mut read, LENGTH)
}

pub fn older_server() -> Result<()> {
    led_astray(true)?;
    super::net::clean_up();
    match led_astray(false) {
        Ok(()) => bail!("it goes on without the rules: this case shows nothing"),
        Err(error) => println!("  without the rules: {error:#}"),
    }
    Ok(())
}

/// A client that is bound to a server which gets no new ones any more: the servers that it is given after the move.
fn bound(transferred: bool) -> Result<(String, Vec<String>)> {
    let pair = Pair::new()?;
    let _rs1 = Server::start(&pair.rs1, "0.0.0.0:80", "rs1")?;
    let _rs2 = Server::start(&pair.rs2, "0.0.0.0:80", "rs2")?;
    pair.service(&["-t", VIP, "-s", "rr", "-p", "300"], &[("192.168.2.50:80", "-m"), ("192.168.2.51:80", "-m")])?;
    pair.serves(&pair.a)?;
    let ask = || pair.client.inside(|| get(VIP.parse()?));
    let first = ask()?;
    // Left to itself, the late joiner takes the other server.
    let here = if first == "rs1" { "192.168.2.50:80" } else { "192.168.2.51:80" };
    pair.b.run(C_TOOL, &["-e", "-t", VIP, "-r", here, "-m", "-w", "0"])?;
    pair.start_backup(&pair.b)?;
    if transferred {
        pair.transfer(&pair.b, BACKUP_ID, Pace::default())?;
        let table = pair.table(&pair.b)?;
        let template = table.lines().find(|l| l.split_whitespace().nth(2) == Some("0000"));
        let template = template.with_context(|| format!("no template:\n{table}"))?;
        let left: u32 = template.split_whitespace().nth(8).context("short")?.parse()?;
        ensure!((250..=300).contains(&left), "the template has {left} s");
    }
    pair.moves()?;
    let served = (0..5).map(|_| ask()).collect::<Result<_>>()?;
    Ok((first, served))
}

pub fn persistence() -> Result<()> {
    for transferred in [true, false] {
        let (first, served) = bound(transferred)?;
        ensure!(served.iter().all(|s| (*s == first) == transferred), "{first} before; then {served:?}, {transferred}");
        super::net::clean_up();
    }
    Ok(())
}

/// The other unit still has an older one of the same client's port, to another server, and takes what is not active for
/// the end of a third. Every entry of UDP is such a one.
pub fn reused_port() -> Result<()> {
    let pair = Pair::new()?;
    let _deaf = pair.rs1.inside(|| Ok(UdpSocket::bind("0.0.0.0:5353")?))?;
    pair.service(&["-u", "10.0.0.21:5353", "-s", "rr"], &[("192.168.2.50:5353", "-m"), ("192.168.2.51:5353", "-m")])?;
    pair.a.run(C_TOOL, &["-e", "-u", "10.0.0.21:5353", "-r", "192.168.2.51:5353", "-m", "-w", "0"])?;
    pair.serves(&pair.a)?;
    pair.start_backup(&pair.b)?;
    pair.tell(&ipvs::sync::Connection {
        protocol: 17,
        flags: 0,
        state: 0,
        client: "10.0.0.31:40000".parse()?,
        virtual_server: "10.0.0.21:5353".parse()?,
        destination: "192.168.2.51:5353".parse()?,
        mark: 0,
        timeout: 300,
        sequence: None,
        engine: None,
    })?;
    // As the table writes it: 192.168.2.51 and .50.
    let at = |server: &str| pair.table(&pair.b).map(|t| t.contains("9C40") && t.contains(server));
    wait("the older one", || at("C0A80233"), |is| *is)?;
    pair.client.inside(|| Ok(UdpSocket::bind("10.0.0.31:40000")?.send_to(b"?", "10.0.0.21:5353")?))?;
    wait("the newer one", || pair.entries(&pair.a), |n| *n == 1)?;
    let report = pair.transfer(&pair.b, BACKUP_ID, Pace::default())?;
    ensure!(report.lost == [1], "it was ignored at first: {report:?}");
    ensure!(at("C0A80232")?, "{}", pair.table(&pair.b)?);
    Ok(())
}

/// Virtual servers with several ports are known by a mark, which the table does not show.
pub fn marks() -> Result<()> {
    let pair = Pair::new()?;
    let _rs1 = Server::start(&pair.rs1, "0.0.0.0:80", "rs1")?;
    pair.service(&["-f", "7", "-s", "rr", "-p", "300"], &[("192.168.2.50:0", "-m")])?;
    for ns in [&pair.a, &pair.b] {
        ns.run("nft", &["add table ip marks"])?;
        ns.run("nft", &["add chain ip marks in { type filter hook prerouting priority mangle; }"])?;
        ns.run("nft", &["add rule ip marks in ip daddr 10.0.0.21 tcp dport { 80, 443 } meta mark set 7"])?;
    }
    pair.serves(&pair.a)?;
    let open = pair.client.inside(|| Ok(TcpStream::connect(VIP)?))?;
    pair.start_backup(&pair.b)?;
    pair.transfer(&pair.b, BACKUP_ID, Pace::default())?;
    // Bound to the destination: it counts there, one connection and one template.
    let counts = pair.b.run(C_TOOL, &["-L", "-n", "--persistent-conn"])?;
    let line = counts.lines().find(|l| l.contains("192.168.2.50:0")).context("no destination")?.to_owned();
    let words: Vec<&str> = line.split_whitespace().collect();
    ensure!(words[words.len() - 3..] == ["1", "1", "0"], "{counts}");
    pair.moves()?;
    let mut open = open;
    open.set_read_timeout(Some(PATIENCE))?;
    open.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
    let mut answer = String::new();
    open.read_to_string(&mut answer)?;
    ensure!(answer.ends_with("rs1"), "{answer:?}");
    println!("  {}", line.trim());
    Ok(())
}

/// Entries, of this many ports of each address.
const MANY: u32 = 25_000;
const PORTS: u16 = 500;
/// Those of them that go over a lossy line: the units share the emulated kernel's one table, and reading it costs the
/// square of its length.
const LOSSY: u32 = 10_000;
/// For a transfer of [`MANY`] at the usual pace, in an emulated guest on a busy machine.
const BOUND: Duration = Duration::from_secs(90);

/// Where every fourth message is lost: what it said is found missing, and sent again. And more, at the usual pace.
pub fn many() -> Result<()> {
    let pair = Pair::new()?;
    let _deaf = pair.rs1.inside(|| Ok(UdpSocket::bind("0.0.0.0:5353")?))?;
    pair.service(&["-u", "10.0.0.21:5353", "-s", "wrr"], &[("192.168.2.50:5353", "-m")])?;
    pair.serves(&pair.a)?;
    pair.client.ip("route add local 100.64.0.0/10 dev lo")?;
    pair.a.ip("route add 100.64.0.0/10 via 10.0.0.31")?;
    let all = |ns, many: u32| wait("all entries", || pair.entries(ns), |n| *n == u64::from(many)).map(drop);
    // A busy machine loses a datagram now and then; who has an entry already gets no second one.
    let filled = |many: Range<u32>| {
        let (all, once) = (u64::from(many.end), || fill(&pair, many.clone()).and_then(|()| pair.entries(&pair.a)));
        wait("all entries", once, |n| *n == all).map(drop)
    };
    filled(0..LOSSY)?;
    pair.start_backup_as(&pair.c, BACKUP_ID + 1)?;
    pair.c.run("nft", &["add table ip loss"])?;
    pair.c.run("nft", &["add chain ip loss in { type filter hook input priority filter; }"])?;
    pair.c.run("nft", &["add rule ip loss in udp dport 8848 numgen inc mod 4 0 drop"])?;
    let report = pair.transfer(&pair.c, BACKUP_ID + 1, Pace { burst: u32::MAX, pause: Duration::ZERO })?;
    let lost = report.lost.first().copied().unwrap_or_default();
    ensure!((u64::from(LOSSY / 8)..=u64::from(LOSSY / 2)).contains(&lost), "about a fourth meant: {report:?}");
    all(&pair.c, LOSSY)?;
    // Another unit that has none yet.
    filled(LOSSY..MANY)?;
    pair.start_backup(&pair.b)?;
    let started = Instant::now();
    let report = pair.transfer(&pair.b, BACKUP_ID, Pace::default())?;
    ensure!(started.elapsed() < BOUND, "took {:?}", started.elapsed());
    ensure!(report.entries >= u64::from(MANY) && report.unsaid == 0 && report.local == 0, "{report:?}");
    all(&pair.b, MANY)?;
    let inactive = pair.b.run(C_TOOL, &["-L", "-n"])?;
    ensure!(inactive.contains(&format!(" {MANY} ")), "bound to their destination:\n{inactive}");
    Ok(())
}

/// Makes entries of that number on the unit that serves, by one datagram each.
fn fill(pair: &Pair, entries: Range<u32>) -> Result<()> {
    let (started, many) = (Instant::now(), entries.len());
    pair.client.inside(move || {
        for n in entries {
            let from = Ipv4Addr::from(0x6440_0001 + n / u32::from(PORTS));
            let port = 20_000 + (n % u32::from(PORTS)) as u16;
            let socket = UdpSocket::bind((from, port)).with_context(|| format!("binding {from}"))?;
            socket.send_to(b"?", "10.0.0.21:5353")?;
        }
        Ok(())
    })?;
    println!("  {many} entries made within {:?}", started.elapsed());
    Ok(())
}

/// What reconciling does with the kernel's daemons; and that a master then sends a connection as soon as it is
/// established, when two packets of it have come.
pub fn reconciled() -> Result<()> {
    let pair = Pair::new()?;
    // Nobody accepts, so that nothing is said beyond the handshake.
    let _mute = pair.rs1.inside(|| Ok([TcpListener::bind("0.0.0.0:80")?, TcpListener::bind("[fd00:b::50]:81")?]))?;
    pair.service(&["-t", VIP, "-s", "rr"], &[("192.168.2.50:80", "-m")])?;
    pair.service(&["-t", "[fd00:a::21]:81", "-s", "rr"], &[("[fd00:b::50]:81", "-m")])?;
    pair.serves(&pair.a)?;
    let [a, b] = [Unit::new(&pair.a, 1, 2)?, Unit::new(&pair.b, 2, 1)?];
    for unit in [&a, &b] {
        let did = unit.reconcile(true)?;
        ensure!(did.len() == 5, "two daemons, three settings: {did:?}");
        let did = unit.reconcile(true)?;
        ensure!(did.is_empty(), "they are kept: {did:?}");
    }
    // By hand: one stopped, one with another id.
    pair.a.run(C_TOOL, &["--stop-daemon", "master"])?;
    pair.b.run(C_TOOL, &["--stop-daemon", "backup"])?;
    pair.b.run(C_TOOL, &["--start-daemon", "backup", "--mcast-interface", "eth2", "--syncid", "9"])?;
    for (unit, said) in [(&a, "start sync master on eth2 id 1"), (&b, "start sync backup on eth2 id 1")] {
        let did = unit.reconcile(true)?;
        ensure!(did.len() == 1 && did[0].contains(said), "{said} meant: {did:?}");
    }
    let mut open = Vec::new();
    for (vip, entries) in [(VIP, 1), ("[fd00:a::21]:81", 2)] {
        let to: SocketAddr = vip.parse()?;
        open.push(pair.client.inside(move || Ok(TcpStream::connect_timeout(&to, PATIENCE)?))?);
        wait("the other unit has heard of it", || pair.entries(&pair.b), |n| *n == entries)?;
    }
    // A unit that is not of a pair any more.
    let did = a.reconcile(false)?;
    ensure!(did == ["ipvs: stop sync master", "ipvs: stop sync backup"], "{did:?}");
    let daemons = pair.a.run(C_TOOL, &["-L", "--daemon"])?;
    ensure!(!daemons.contains("sync"), "{daemons}");
    Ok(())
}

/// While both units' daemons run.
pub fn removed() -> Result<()> {
    let pair = Pair::new()?;
    let _rs1 = Server::start(&pair.rs1, "0.0.0.0:80", "rs1")?;
    pair.service(&["-t", VIP, "-s", "rr", "-p", "300"], &[("192.168.2.50:80", "-m")])?;
    pair.serves(&pair.a)?;
    let [a, b] = [Unit::new(&pair.a, 1, 2)?, Unit::new(&pair.b, 2, 1)?];
    a.reconcile(true)?;
    b.reconcile(true)?;
    pair.client.inside(reset)?;
    // The connection, which the kernel remembers for ten seconds, and the entry.
    let bound = wait("a persistent entry", || a.templates(), |t| t.len() == 1)?;
    wait("the other unit has it", || b.templates(), |t| t.len() == 1)?;
    for ns in [&pair.a, &pair.b] {
        wait("the connection is forgotten", || pair.entries(ns), |n| *n == 1)?;
    }
    ensure!(a.forget(bound[0].clone())? == Forgotten::Gone, "in use");
    wait("the other unit has forgotten it", || b.templates(), Vec::is_empty)?;
    ensure!(a.reconcile(true)?.is_empty() && b.reconcile(true)?.is_empty(), "the daemons are as before");
    Ok(())
}

/// Our codec reads what the kernel's master daemon sends, and would have written the same bytes.
pub fn as_the_kernel() -> Result<()> {
    let pair = Pair::new()?;
    let _rs1 = Server::start(&pair.rs1, "0.0.0.0:80", "rs1")?;
    let _rs6 = Server::start(&pair.rs1, "[fd00:b::50]:81", "rs1")?;
    pair.service(&["-t", VIP, "-s", "rr", "-p", "300"], &[("192.168.2.50:80", "-m")])?;
    pair.service(&["-t", "[fd00:a::21]:81", "-s", "rr"], &[("[fd00:b::50]:81", "-m")])?;
    pair.serves(&pair.a)?;
    let listener = pair.b.inside(|| {
        let socket = UdpSocket::bind("224.0.0.81:8848")?;
        socket.join_multicast_v4(&Ipv4Addr::new(224, 0, 0, 81), &Ipv4Addr::new(10, 9, 9, 2))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    })?;
    pair.start_master()?;
    pair.client.inside(|| {
        get(VIP.parse()?)?;
        get("[fd00:a::21]:81".parse()?)
    })?;
    let (mut seen, mut templates, mut six) = (0, 0, 0);
    let mut datagram = [0; 2048];
    while templates == 0 || six == 0 {
        let (n, _) = listener.recv_from(&mut datagram).with_context(|| format!("after {seen} entries"))?;
        let bytes = &datagram[..n];
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        println!("  {hex}");
        let (id, connections) = ipvs::sync::decode(bytes).with_context(|| hex.clone())?;
        let mut again = ipvs::sync::Message::new(id, 1472);
        for connection in &connections {
            ensure!(again.push(connection) == Ok(true), "{connection:?}");
            templates += usize::from(connection.flags & ipvs::sync::flag::TEMPLATE != 0);
            six += usize::from(connection.client.is_ipv6());
        }
        ensure!(again.bytes() == bytes, "ours: {:02x?}\nthe kernel's: {hex}", again.bytes());
        seen += connections.len();
    }
    println!("  {seen} entries, {templates} of them templates, {six} IPv6");
    Ok(())
}
