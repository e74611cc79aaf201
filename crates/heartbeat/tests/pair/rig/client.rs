//! A client that asks the floating IPv4 address every 5 ms for an echo, and notes the longest time without an answer.

use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::Read,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const EVERY: Duration = Duration::from_millis(5);

struct Seen {
    last: Option<Instant>,
    gap: Duration,
}

pub struct Client {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    pub fn start(namespace: u32) -> Client {
        let seen = Arc::new(Mutex::new(Seen { last: None, gap: Duration::ZERO }));
        let stop = Arc::new(AtomicBool::new(false));
        let (sees, ends) = (seen.clone(), stop.clone());
        let thread = thread::spawn(move || {
            super::lan::enter(namespace);
            probe(&sees, &ends);
        });
        Client { seen, stop, thread: Some(thread) }
    }

    pub fn reaches(&self) -> bool {
        self.seen.lock().expect("not poisoned").last.is_some_and(|at| at.elapsed() < 4 * EVERY)
    }

    pub fn forget(&self) {
        self.seen.lock().expect("not poisoned").gap = Duration::ZERO;
    }

    /// The longest time without an answer since [`Client::forget`], one that goes on included.
    pub fn gap(&self) -> Duration {
        let seen = self.seen.lock().expect("not poisoned");
        seen.gap.max(seen.last.map(|at| at.elapsed()).unwrap_or_default())
    }
}

fn probe(seen: &Mutex<Seen>, stop: &AtomicBool) {
    let mut socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).expect("a socket");
    socket.set_nonblocking(true).expect("set");
    let to: SocketAddr = format!("{}:0", super::FLOATING4).parse().expect("an address");
    // Type 8, its checksum, identifier and number 0 (RFC 792).
    let echo = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
    let mut buffer = [0; 256];
    while !stop.load(Ordering::Relaxed) {
        // No route, no neighbour: no answer.
        let _ = socket.send_to(&echo, &to.into());
        thread::sleep(EVERY);
        let mut answered = false;
        while let Ok(length) = socket.read(&mut buffer) {
            answered |= length >= 28 && buffer[20] == 0;
        }
        if answered {
            let (mut seen, now) = (seen.lock().expect("not poisoned"), Instant::now());
            if let Some(last) = seen.last.replace(now) {
                seen.gap = seen.gap.max(now - last);
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
