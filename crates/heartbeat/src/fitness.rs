//! Whether this node can serve: lbd answers, the floating addresses' interfaces have links, the disk takes writes.
//!
//! lbd is asked on its socket, beside the loop, and says itself when HAProxy is down; the disk by a thread of its own, which may hang as long as it likes:
//! that is what it is to find out. [`Fitness`] keeps the reasons; a node is unfit while there is one.

use crate::outlet::{Log, STACK};
use lb_kernel::{Ear, KernelError, LinkWatch, Links};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, TryLockError},
    thread,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::mpsc::UnboundedSender,
    time::{MissedTickBehavior, interval, timeout},
};

/// lbd is asked this often, and may take so long for one answer.
const ASK_EVERY: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(2);
/// As long as a disk may take ([`DISK_SILENCE`]), since lbd waits for it; the kernel balances on meanwhile.
const LBD_SILENCE: Duration = Duration::from_secs(20);
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// A disk that takes longer is none.
const DISK_SILENCE: Duration = Duration::from_secs(20);
/// `lb_api::route::SUMMARY`: cheap, and answered by the engine's own loop.
const QUESTION: &[u8] = b"GET /v1/summary HTTP/1.1\r\nHost: lbd\r\nConnection: close\r\n\r\n";
const ANSWERED: &[u8] = b"HTTP/1.1 200";
/// Bytes; with every alarm that lbd has, an answer is far shorter.
const LONGEST_ANSWER: u64 = 1 << 20;

/// What of `lb_api::Summary` counts here.
#[derive(serde::Deserialize)]
struct Answer {
    #[serde(default)]
    unfit: Option<String>,
}

/// The reasons, by what they are about.
#[derive(Debug, Default)]
pub struct Fitness {
    reasons: BTreeMap<String, String>,
    told: Option<Vec<String>>,
}

impl Fitness {
    pub fn set(&mut self, about: &str, reason: Option<String>) {
        match reason {
            Some(reason) => drop(self.reasons.insert(about.to_owned(), reason)),
            None => drop(self.reasons.remove(about)),
        }
    }

    /// Forgets what is about these: a prefix.
    pub fn clear(&mut self, about: &str) {
        self.reasons.retain(|key, _| !key.starts_with(about));
    }

    /// The reasons, if they are others than the last time.
    pub fn news(&mut self) -> Option<Vec<String>> {
        let reasons: Vec<String> = self.reasons.values().cloned().collect();
        let news = self.told.as_ref() != Some(&reasons);
        news.then(|| {
            self.told = Some(reasons.clone());
            reasons
        })
    }
}

/// Asks lbd for ever; tells whenever what is wrong with it changes.
pub async fn watch_lbd(socket: PathBuf, told: UnboundedSender<Option<String>>) {
    let mut answered = None::<Instant>;
    let mut said = None;
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let silence = match timeout(ANSWER, ask_lbd(&socket)).await {
            Ok(Ok(unfit)) => {
                answered = Some(Instant::now());
                Ok(unfit)
            }
            Ok(Err(error)) => Err(format!("lbd does not answer: {error}")),
            Err(_) => Err("lbd does not answer in time".to_owned()),
        };
        let now = match silence {
            Err(_) if answered.is_some_and(|at| at.elapsed() < LBD_SILENCE) => continue,
            Err(silence) => Some(silence),
            Ok(unfit) => unfit,
        };
        if said.as_ref() == Some(&now) {
            continue;
        }
        if told.send(now.clone()).is_err() {
            return;
        }
        said = Some(now);
    }
}

/// Why it says that this unit cannot serve, if it does.
async fn ask_lbd(socket: &Path) -> io::Result<Option<String>> {
    let mut lbd = UnixStream::connect(socket).await?;
    lbd.write_all(QUESTION).await?;
    let mut answer = Vec::new();
    lbd.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
    if !answer.starts_with(ANSWERED) {
        return Err(io::Error::other("it says that something is wrong"));
    }
    let body = answer.windows(4).position(|end| end == b"\r\n\r\n").map_or(&[][..], |end| &answer[end + 4..]);
    let Answer { unfit } = serde_json::from_slice(body)?;
    Ok(unfit)
}

/// Tells the links as they are and as they change. A thread's work: it may wait for the kernel's network lock.
pub fn watch_links(log: &Log, told: UnboundedSender<Links>) -> Result<Links, KernelError> {
    let mut watch = LinkWatch::open()?;
    let (first, log) = (watch.links().clone(), log.clone());
    let thread = thread::Builder::new().name("links".into()).stack_size(STACK).spawn(move || {
        loop {
            match watch.wait() {
                Ok(links) => {
                    if told.send(links.clone()).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    log.warn(format!("watching the links: {error}"));
                    thread::sleep(ASK_EVERY);
                }
            }
        }
    });
    thread.map_err(|error| KernelError { doing: "start the thread for links".into(), cause: error.into() })?;
    Ok(first)
}

/// What the thread for slow things has found out, and when.
#[derive(Clone)]
pub struct Slow(Arc<Mutex<SlowState>>);

/// What [`Slow`] has found out.
pub struct Found {
    /// What is wrong with the disk.
    pub disk: Option<String>,
    pub neighbours: Vec<Ipv4Addr>,
}

struct SlowState {
    /// When the last write ended, or the thread began.
    wrote: Instant,
    error: Option<String>,
    /// Whose neighbours are wanted, and those found.
    interface: Option<String>,
    neighbours: Vec<Ipv4Addr>,
}

impl Slow {
    pub fn start(state: &Path) -> io::Result<Slow> {
        let found = SlowState { wrote: Instant::now(), error: None, interface: None, neighbours: Vec::new() };
        let slow = Slow(Arc::new(Mutex::new(found)));
        let (ours, file) = (slow.clone(), state.join("disk"));
        thread::Builder::new().name("slow".into()).stack_size(STACK).spawn(move || {
            let mut ear = None;
            loop {
                let wrote = write(&file).err().map(|error| format!("the disk takes no writes: {error}"));
                let wanted = ours.with(|state| {
                    (state.wrote, state.error) = (Instant::now(), wrote);
                    state.interface.clone()
                });
                if let Some(interface) = wanted {
                    if ear.is_none() {
                        ear = Ear::open().ok();
                    }
                    let found = ear.as_mut().and_then(|ear| ear.neighbours(&interface).ok());
                    ours.with(|state| state.neighbours = found.unwrap_or_default());
                }
                thread::sleep(WRITE_EVERY);
            }
        })?;
        Ok(slow)
    }

    fn with<T>(&self, f: impl FnOnce(&mut SlowState) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What it knows, and from now on whose neighbours it looks up. `None`: the thread is just writing it down; it is
    /// an ordinary one, so a real-time one must not wait for it.
    pub fn look(&self, interface: Option<&str>) -> Option<Found> {
        let mut state = match self.0.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        if state.interface.as_deref() != interface {
            state.interface = interface.map(str::to_owned);
        }
        let silent = state.wrote.elapsed();
        let seconds = silent.as_secs() / 10 * 10;
        let hangs = (silent > DISK_SILENCE).then(|| format!("the disk has taken no write for {seconds} s"));
        Some(Found { disk: hangs.or_else(|| state.error.clone()), neighbours: state.neighbours.clone() })
    }
}

fn write(file: &Path) -> io::Result<()> {
    let mut file = File::create(file)?;
    file.write_all(b"this node can write\n")?;
    file.sync_data()
}
