//! Units for the tests: a shelf in memory, an address of loopback, a directory.

use crate::peer::{Current, Handle, Limits, NotCommitted, Pushed, Revision, Settings, Shelf, Status, Times, start};
use lb_api::{PairingStep, PairingView, ReplicationState};
use lb_model::{NodeId, Problem};
use lb_pair::{Id, SharedVersion, UnitAddress, next, wire::Table};
use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

/// Nothing here takes so long, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

pub const QUICK: Times = Times {
    connect: Duration::from_millis(500),
    hello: Duration::from_secs(3),
    beat: Duration::from_millis(50),
    silence: Duration::from_secs(2),
    answer: Duration::from_secs(20),
    retry: Duration::from_millis(20),
    longest_retry: Duration::from_millis(100),
};

/// Runs a test on a runtime of its own.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test)
}

/// Waits until `state` gives something.
pub async fn until<T>(what: &str, mut state: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = state() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The engine's part.
pub struct Memory {
    pub state: Mutex<State>,
    /// Who hears what is said of the tables, beside `heard`.
    pub tables: Mutex<Option<mpsc::Sender<Table>>>,
    bump: watch::Sender<u64>,
}

pub struct State {
    pub current: Current,
    pub revisions: Vec<Revision>,
    /// What every pushed document has wrong.
    pub refuses: Vec<Problem>,
    pub unit: Option<NodeId>,
    pub heard: Vec<Table>,
    /// How often it was asked to commit something.
    pub asked: usize,
    /// Documents that were committed, in their order.
    pub committed: Vec<String>,
}

impl Memory {
    pub fn new(hostname: &str, address: IpAddr) -> Arc<Memory> {
        let own = UnitAddress { interface: "lo".into(), network: address.into() };
        let current = Current {
            hostname: hostname.parse().unwrap(),
            web: Some(format!("https://{hostname}:9443")),
            addresses: vec![own],
            peer_addresses: Vec::new(),
            active: false,
            history: Vec::new(),
            ready: None,
            hot: None,
        };
        let state = State {
            current,
            revisions: Vec::new(),
            refuses: Vec::new(),
            unit: None,
            heard: Vec::new(),
            asked: 0,
            committed: Vec::new(),
        };
        Arc::new(Memory { state: Mutex::new(state), tables: Mutex::default(), bump: watch::channel(0).0 })
    }

    /// Changes something and says so.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let done = change(&mut self.state.lock().unwrap());
        self.bump.send_modify(|number| *number += 1);
        done
    }

    /// An administrator applies a document.
    pub fn apply(&self, document: &str) -> SharedVersion {
        self.change(|state| {
            let version = next(state.revisions.last().map(|revision| revision.version), document);
            state.add(Revision {
                version,
                author: "admin".into(),
                comment: format!("makes it {document}"),
                at: 1_700_000_000,
                document: document.into(),
                certificates: Vec::new(),
            });
            version
        })
    }

    pub fn document(&self) -> Option<String> {
        self.state.lock().unwrap().revisions.last().map(|revision| revision.document.to_string())
    }

    pub fn newest_version(&self) -> Option<SharedVersion> {
        self.state.lock().unwrap().revisions.last().map(|revision| revision.version)
    }
}

impl State {
    fn add(&mut self, revision: Revision) {
        self.current.history.push(revision.version.id);
        self.revisions.push(revision);
    }
}

impl Shelf for Memory {
    async fn current(&self) -> Option<Current> {
        Some(self.state.lock().unwrap().current.clone())
    }

    async fn newest(&self) -> Option<Revision> {
        self.state.lock().unwrap().revisions.last().cloned()
    }

    async fn commit(&self, pushed: Pushed) -> Result<(), NotCommitted> {
        self.state.lock().unwrap().asked += 1;
        let newest = self.newest_version().map(|version| version.id);
        if newest != pushed.ground {
            return Err(NotCommitted::Stale(newest));
        }
        let refuses = self.state.lock().unwrap().refuses.clone();
        if !refuses.is_empty() {
            return Err(NotCommitted::Problems(refuses));
        }
        self.change(|state| {
            state.committed.push(pushed.revision.document.to_string());
            state.add(pushed.revision);
        });
        Ok(())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.bump.subscribe()
    }

    async fn paired(&self, unit: NodeId) {
        self.change(|state| {
            state.unit = Some(unit);
            state.current.history.clear();
            state.revisions.clear();
        });
    }

    async fn unpaired(&self) {
        self.change(|state| state.unit = None);
    }

    async fn table(&self, word: Table) {
        if let Some(tables) = &*self.tables.lock().unwrap() {
            let _ = tables.try_send(word.clone());
        }
        self.state.lock().unwrap().heard.push(word);
    }
}

/// One unit.
pub struct Unit {
    _dir: tempfile::TempDir,
    pub shelf: Arc<Memory>,
    pub settings: Settings,
    handle: Option<Handle>,
}

/// Two units that know nothing of each other; one listens at `.1`, two at `.2` of a network of loopback of their own.
pub fn two() -> (Unit, Unit) {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let net = NEXT.fetch_add(1, Ordering::Relaxed);
    let third = std::process::id() as u8;
    let address = |last| IpAddr::V4(Ipv4Addr::new(127, third.max(1), net, last));
    let free = TcpListener::bind((address(2), 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    (Unit::new("lbmaster", address(1), port), Unit::new("lbslave", address(2), port))
}

/// Two units of a pair, in contact, master active, without a configuration.
pub async fn pair() -> (Unit, Unit) {
    let (a, b) = two();
    make_pair(&a, &b).await;
    connected(&a, &b).await;
    a.shelf.change(|state| state.current.active = true);
    (a, b)
}

pub async fn make_pair(a: &Unit, b: &Unit) {
    let code = b.waits().await;
    a.handle().step(PairingStep::CallNetwork { address: b.address(), code }).await.unwrap();
    for unit in [a, b] {
        until("paired", || matches!(unit.handle().pairing(), PairingView::Done(_)).then_some(())).await;
    }
}

pub async fn connected(a: &Unit, b: &Unit) {
    until("both connected", || (a.status().connected && b.status().connected).then_some(())).await;
}

/// Waits until both units show this, and gives what they say.
pub async fn both_show(a: &Unit, b: &Unit, state: ReplicationState) -> (String, String) {
    (a.shows(state).await, b.shows(state).await)
}

/// Waits until both have this document and say that they have the same.
pub async fn in_sync(a: &Unit, b: &Unit, document: &str) {
    let what = format!("both have {}", &document[..document.len().min(40)]);
    let same = |unit: &Unit| {
        let state = unit.shelf.state.lock().unwrap();
        state.revisions.last().is_some_and(|revision| &*revision.document == document)
    };
    until(&what, || (same(a) && same(b)).then_some(())).await;
    both_show(a, b, ReplicationState::InSync).await;
    assert_eq!(a.shelf.newest_version(), b.shelf.newest_version());
}

impl Unit {
    pub fn new(hostname: &str, address: IpAddr, port: u16) -> Unit {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            dir: dir.path().join("pair"),
            listen: SocketAddr::new(address, port),
            port,
            serial: PathBuf::from("/dev/no-such-line"),
            baud: 115_200,
            times: QUICK,
            limits: Limits { attempt: Duration::from_secs(10), linger: Duration::from_millis(300) },
        };
        let mut unit = Unit { _dir: dir, shelf: Memory::new(hostname, address), settings, handle: None };
        unit.boot();
        unit
    }

    /// lbd starts on it; needs a runtime, so tests that change the settings first call it again.
    pub fn boot(&mut self) {
        self.handle = Some(start(self.settings.clone(), self.shelf.clone()));
    }

    /// lbd stops: every socket is closed when this has returned and the runtime got around to it.
    pub fn stop(&mut self) {
        self.handle = None;
    }

    pub fn handle(&self) -> &Handle {
        self.handle.as_ref().unwrap()
    }

    pub fn status(&self) -> Status {
        self.handle().status()
    }

    pub fn address(&self) -> IpAddr {
        self.settings.listen.ip()
    }

    /// Lets it wait for a peer; the code that it shows.
    pub async fn waits(&self) -> String {
        self.handle().step(PairingStep::Wait {}).await.unwrap();
        match self.handle().pairing() {
            PairingView::Waiting { code, .. } => code,
            other => panic!("{other:?}"),
        }
    }

    pub async fn shows(&self, state: ReplicationState) -> String {
        let view = || self.status().replication;
        until(&format!("{state:?} shown"), || view().filter(|view| view.state == state)).await.detail
    }
}

pub fn problem(path: &str, reason: &str, hint: Option<&str>) -> Problem {
    Problem { path: path.into(), value: "eth7".into(), reason: reason.into(), hint: hint.map(str::to_owned) }
}

pub fn ids(text: &str) -> Vec<Id> {
    text.bytes().map(|byte| Id([byte; 32])).collect()
}
