//! Real servers and clients that keep their connections, as browsers do: many requests in little time, and websockets.

use super::net::Netns;
use anyhow::{Context, Result, ensure};
use socket2::{Domain, Socket, Type};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

pub const PATIENCE: Duration = Duration::from_secs(20);

/// The cookie of an application that has one.
pub const SESSION: &str = "SESSION";

/// Answers with its name, and what is sent on a websocket with the same. When it is dropped it ends as if it were killed.
pub struct Server {
    address: SocketAddr,
    /// `None`: this program's.
    ns: Option<Netns>,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    name: String,
    /// Whether it gives a client that has none of its own a session, by a cookie.
    sessions: bool,
    stop: AtomicBool,
    count: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Server {
    pub fn start(ns: &Netns, port: u16, name: &str) -> Result<Server> {
        Server::with(ns, port, State { name: name.to_owned(), ..State::default() })
    }

    /// One whose application has sessions.
    pub fn with_sessions(ns: &Netns, port: u16, name: &str) -> Result<Server> {
        Server::with(ns, port, State { name: name.to_owned(), sessions: true, ..State::default() })
    }

    /// In this program's own network.
    pub fn here(port: u16, name: &str) -> Result<Server> {
        let state = State { name: name.to_owned(), ..State::default() };
        Server::serving(listen(port)?, None, port, state)
    }

    fn with(ns: &Netns, port: u16, state: State) -> Result<Server> {
        Server::serving(ns.inside(move || listen(port))?, Some(ns.clone()), port, state)
    }

    fn serving(listener: TcpListener, ns: Option<Netns>, port: u16, state: State) -> Result<Server> {
        let (state, address) = (Arc::new(state), SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let of_thread = state.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_thread.stop.load(Ordering::SeqCst) {
                    return;
                }
                let of_client = of_thread.clone();
                // A client that leaves is its own affair.
                std::thread::spawn(move || serve(stream, &of_client));
            }
        });
        Ok(Server { address, ns, state, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        let address = self.address;
        // Wakes accept(); a thread that cannot be woken is not waited for.
        let wake = move || Ok(TcpStream::connect_timeout(&address, PATIENCE)?);
        let woken = self.ns.as_ref().map_or_else(wake, |ns| ns.inside(wake));
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
        for stream in self.state.open.lock().map(|mut open| std::mem::take(&mut *open)).unwrap_or_default() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind(("0.0.0.0", port)).with_context(|| format!("listening on port {port}"))
}

fn serve(stream: TcpStream, state: &State) -> Result<()> {
    stream.set_nodelay(true)?;
    if let Ok(mut open) = state.open.lock() {
        open.push(stream.try_clone()?);
    }
    let mut reader = BufReader::new(stream);
    let own = format!("{SESSION}={}-", state.name).to_ascii_lowercase();
    loop {
        let (mut websocket, mut known) = (false, false);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim().to_ascii_lowercase();
            websocket |= line.starts_with("upgrade: websocket");
            known |= line.starts_with("cookie:") && line.contains(&own);
            if line.is_empty() {
                break;
            }
        }
        if websocket {
            reader.get_mut().write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            )?;
            let mut byte = [0];
            while reader.read(&mut byte)? > 0 {
                reader.get_mut().write_all(&byte)?;
            }
            return Ok(());
        }
        let (name, n) = (&state.name, state.count.fetch_add(1, Ordering::SeqCst));
        let cookie = match state.sessions && !known {
            true => format!("Set-Cookie: {SESSION}={name}-{n}; Path=/; HttpOnly\r\n"),
            false => String::new(),
        };
        let answer = format!("HTTP/1.1 200 OK\r\n{cookie}Content-Length: {}\r\n\r\n{name}", name.len());
        reader.get_mut().write_all(answer.as_bytes())?;
    }
}

/// A client with cookies, and maybe an address of its own.
#[derive(Debug, Default, Clone)]
pub struct Visitor {
    pub cookies: BTreeMap<String, String>,
    pub from: Option<Ipv4Addr>,
    /// Of the last answer, in small letters.
    pub head: String,
}

impl Visitor {
    /// So many requests on one connection, from the calling thread's namespace: who answered each.
    pub fn ask(&mut self, address: SocketAddr, requests: usize) -> Result<Vec<String>> {
        let stream = connect(address, self.from)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        self.ask_over(&mut BufReader::new(stream), requests)
    }

    /// The same over a connection that is there.
    pub fn ask_over<S: Read + Write>(&mut self, reader: &mut BufReader<S>, requests: usize) -> Result<Vec<String>> {
        (0..requests).map(|_| self.request(reader)).collect()
    }

    fn request<S: Read + Write>(&mut self, reader: &mut BufReader<S>) -> Result<String> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = if cookies.is_empty() { String::new() } else { format!("Cookie: {}\r\n", cookies.join("; ")) };
        // In one piece, or the time would be that of delayed acknowledgements.
        reader.get_mut().write_all(format!("GET / HTTP/1.1\r\nHost: lab\r\n{cookies}\r\n").as_bytes())?;
        reader.get_mut().flush()?;
        let (mut line, mut length) = (String::new(), 0);
        self.head.clear();
        reader.read_line(&mut line).context("reading the answer")?;
        ensure!(line.contains(" 200 "), "no answer: {line:?}");
        loop {
            line.clear();
            ensure!(reader.read_line(&mut line)? > 0, "cut short");
            let Some((name, value)) = line.trim().split_once(':') else { break };
            self.head.push_str(&line.to_ascii_lowercase());
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
            if name.eq_ignore_ascii_case("set-cookie") {
                let pair = value.split(';').next().and_then(|pair| pair.trim().split_once('='));
                let (name, value) = pair.context("a cookie is NAME=VALUE")?;
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(String::from_utf8(body)?)
    }
}

/// From an address of this machine, where one is given.
fn connect(address: SocketAddr, from: Option<Ipv4Addr>) -> Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if let Some(from) = from {
        socket.bind(&SocketAddr::from((from, 0)).into()).with_context(|| format!("binding {from}"))?;
    }
    socket.connect_timeout(&address.into(), PATIENCE).with_context(|| format!("connecting to {address}"))?;
    Ok(socket.into())
}
