//! Real servers that answer with their name, and a client that asks.

use super::net::Netns;
use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// An HTTP server in a namespace. Stops listening when it is dropped.
pub struct Server {
    address: SocketAddr,
    ns: Netns,
    stop: Arc<AtomicBool>,
    pub served: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(ns: &Netns, address: &str, name: &str) -> Result<Server> {
        Server::with_status(ns, address, name, 200)
    }

    /// Answers with the address that the client has here.
    pub fn that_sees(ns: &Netns, address: &str) -> Result<Server> {
        Server::answering(ns, address, None, 200)
    }

    pub fn with_status(ns: &Netns, address: &str, name: &str, status: u16) -> Result<Server> {
        Server::answering(ns, address, Some(name.to_owned()), status)
    }

    fn answering(ns: &Netns, address: &str, name: Option<String>, status: u16) -> Result<Server> {
        let address: SocketAddr = address.parse().with_context(|| format!("{address} is no address"))?;
        let listener =
            ns.inside(move || TcpListener::bind(address).with_context(|| format!("listening on {address}")))?;
        let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (stop.clone(), served.clone());
        let thread = ns.thread(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                // A client that leaves early is its own affair.
                let _ = stream.and_then(|s| serve(s, name.as_deref(), status, &count));
            }
        })?;
        Ok(Server { address, ns: ns.clone(), stop, served, thread: Some(thread) })
    }

    pub fn count(&self) -> u64 {
        self.served.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, name: Option<&str>, status: u16, count: &AtomicU64) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let name =
        name.map_or_else(|| Ok(stream.peer_addr()?.ip().to_string()), |name| std::io::Result::Ok(name.into()))?;
    let mut request = [0; 2048];
    let n = stream.read(&mut request)?;
    if n == 0 {
        return Ok(()); // a check by connecting
    }
    if !request[..n].windows(9).any(|w| w == b"Steelyard") {
        count.fetch_add(1, Ordering::SeqCst); // a client, not a health check
    }
    write!(stream, "HTTP/1.1 {status} Answer\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{name}", name.len())
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let address = match self.address {
            a if a.ip().is_unspecified() => SocketAddr::new([127, 0, 0, 1].into(), a.port()),
            a => a,
        };
        // Wakes accept(); a thread that cannot be woken is not waited for.
        let woken = self.ns.inside(move || Ok(TcpStream::connect_timeout(&address, PATIENCE)?));
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// One request, from the calling thread's namespace; the body of the answer.
pub fn get(address: SocketAddr) -> Result<String> {
    let mut stream =
        TcpStream::connect_timeout(&address, PATIENCE).with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("reading the answer")?;
    match answer.split_once("\r\n\r\n") {
        Some((_, body)) if !body.is_empty() => Ok(body.to_owned()),
        _ => bail!("no answer: {answer:?}"),
    }
}

/// Opens a connection and resets it: the kernel remembers that for ten seconds, a closed one for two minutes.
pub fn reset() -> Result<()> {
    let stream = TcpStream::connect("10.0.0.21:80")?;
    let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &at_once)?;
    Ok(())
}

/// `count` requests, one after the other: how many each server answered.
pub fn fetch(ns: &Netns, address: &str, count: usize) -> Result<BTreeMap<String, usize>> {
    let address: SocketAddr = address.parse()?;
    ns.inside(move || {
        let mut answers = BTreeMap::new();
        for _ in 0..count {
            *answers.entry(get(address)?).or_default() += 1;
        }
        Ok(answers)
    })
}

/// Requests without a pause until it is stopped; every failure is kept.
pub struct Load {
    stop: Arc<AtomicBool>,
    pub done: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    pub fn start(ns: &Netns, address: &str, threads: usize) -> Result<Load> {
        let address: SocketAddr = address.parse()?;
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let start = |_| {
            let (stop, done) = (stop.clone(), done.clone());
            ns.thread(move || {
                let mut failures = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    match get(address) {
                        Ok(_) => drop(done.fetch_add(1, Ordering::SeqCst)),
                        Err(e) => failures.push(format!("{e:#}")),
                    }
                }
                failures
            })
        };
        let threads = (0..threads).map(start).collect::<Result<_>>()?;
        Ok(Load { stop, done, threads })
    }

    pub fn count(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    /// How many requests were answered, and what went wrong with the others.
    pub fn stop(mut self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::SeqCst);
        let threads = std::mem::take(&mut self.threads);
        let failures = threads.into_iter().flat_map(|t| t.join().unwrap_or_else(|_| vec!["panicked".into()])).collect();
        (self.done.load(Ordering::SeqCst), failures)
    }
}

/// A case that fails leaves no load behind for the next ones.
impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// Answers every datagram with `name`, for the rest of the case.
pub fn udp_server(ns: &Netns, address: &str, name: &str) -> Result<()> {
    let (address, name): (SocketAddr, String) = (address.parse()?, name.to_owned());
    let socket = ns.inside(move || UdpSocket::bind(address).with_context(|| format!("binding {address}")))?;
    ns.thread(move || {
        let mut datagram = [0; 512];
        while let Ok((_, from)) = socket.recv_from(&mut datagram) {
            if socket.send_to(name.as_bytes(), from).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// One datagram and its answer.
pub fn udp_ask(ns: &Netns, address: &str) -> Result<String> {
    let address: SocketAddr = address.parse()?;
    ns.inside(move || {
        let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send_to(b"who?", address)?;
        let mut answer = [0; 512];
        let (n, from) = socket.recv_from(&mut answer)?;
        anyhow::ensure!(from == address, "the answer came from {from}");
        Ok(String::from_utf8_lossy(&answer[..n]).into_owned())
    })
}
