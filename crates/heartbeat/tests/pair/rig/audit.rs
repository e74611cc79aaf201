//! Who has the floating addresses, asked of the kernels themselves, all the time.

use std::{
    fs,
    net::Ipv6Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Two kernels cannot be asked at the same moment.
const EVERY: Duration = Duration::from_millis(2);
/// What was asked within this time was so at one moment. Two moves, there and back, take some milliseconds: a thread that
/// is kept waiting between two questions would see an address on both sides.
const AT_ONCE: Duration = Duration::from_millis(1);

pub struct Audit {
    allowed: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    forbidden: Arc<Mutex<Option<Duration>>>,
    thread: Option<JoinHandle<()>>,
}

impl Audit {
    pub fn start(nodes: [u32; 2]) -> Audit {
        let (allowed, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let forbidden = Arc::new(Mutex::new(None));
        let (may, ends, found) = (allowed.clone(), stop.clone(), forbidden.clone());
        let thread = thread::spawn(move || {
            let mut since = None;
            while !ends.load(Ordering::Relaxed) {
                // Two at once: the first has them before and after the second is asked.
                let asked = Instant::now();
                let both = has_any(nodes[0]) && has_any(nodes[1]) && has_any(nodes[0]);
                if !both || asked.elapsed() > AT_ONCE || may.load(Ordering::Relaxed) {
                    since = None;
                } else {
                    let since = *since.get_or_insert_with(Instant::now);
                    let mut found = found.lock().expect("not poisoned");
                    *found = Some(since.elapsed().max(found.unwrap_or_default()));
                }
                thread::sleep(EVERY);
            }
        });
        Audit { allowed, stop, forbidden, thread: Some(thread) }
    }

    pub fn allow(&self, allowed: bool) {
        self.allowed.store(allowed, Ordering::Relaxed);
    }

    /// For how long there were two where there must not be.
    pub fn forbidden(&self) -> Option<Duration> {
        *self.forbidden.lock().expect("not poisoned")
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

pub fn owners(nodes: [u32; 2]) -> [bool; 2] {
    nodes.map(has_any)
}

fn has_any(pid: u32) -> bool {
    has(pid, super::FLOATING4) || has(pid, super::FLOATING6)
}

/// Whether the address is in the namespace of that process.
pub fn has(pid: u32, address: &str) -> bool {
    match address.parse::<Ipv6Addr>() {
        Ok(v6) => {
            let hex: String = v6.octets().iter().map(|byte| format!("{byte:02x}")).collect();
            fs::read_to_string(format!("/proc/{pid}/net/if_inet6")).unwrap_or_default().contains(&hex)
        }
        // `|-- 10.9.0.20` and below it `/32 host LOCAL`.
        Err(_) => {
            let trie = fs::read_to_string(format!("/proc/{pid}/net/fib_trie")).unwrap_or_default();
            let leaf = format!("|-- {address}\n");
            trie.split_once(&leaf)
                .is_some_and(|(_, rest)| rest.lines().next().is_some_and(|l| l.contains("host LOCAL")))
        }
    }
}
