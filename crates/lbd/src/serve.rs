//! Puts the parts together and runs them until a signal.

use crate::{
    acme,
    api::{self, Places, Served},
    engine::{Clock, Engine, Event, Now, Opening, Pairing, Starts, pair},
    ha::{HaFile, Heartbeat},
    hot::{self, ConnectionTable, NoTable},
    layer7::Layer7,
    ocsp, peer, probes,
    shelf::{self, EngineShelf},
    unit::Unit,
};
use anyhow::{Context, anyhow};
use lb_kernel::{Kernel, KernelError};
use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, watch},
};

/// Probes under way at once; each holds one file descriptor.
const PROBES_AT_ONCE: usize = 1024;

/// An order with up to a hundred hosts.
const ORDER_LIMIT: Duration = Duration::from_secs(900);

/// What `main` read off the command line.
pub struct Settings {
    pub state: PathBuf,
    pub log: PathBuf,
    pub socket: PathBuf,
    /// What lasts until the next boot: `ha.json`.
    pub run: PathBuf,
    /// The pair's keys and who the peer is.
    pub pair: PathBuf,
    /// Where this unit waits for the other one; the other one waits at the same port.
    pub pair_listen: SocketAddr,
    /// heartbeat's status socket.
    pub heartbeat: PathBuf,
    pub unit: Unit,
    /// What goes to the other unit of a pair: the kernel's that `open_kernel` gives.
    pub table: Arc<dyn ConnectionTable>,
    /// `None`: layer 7 is served in memory only.
    pub haproxy: Option<lb_haproxy::Paths>,
    pub reconcile_every: Duration,
}

impl Settings {
    /// Everything below `dir`, for tests that run lbd with a fake kernel in a thread of theirs.
    pub fn below(dir: &Path) -> Settings {
        Settings {
            state: dir.join("store"),
            log: dir.join("log"),
            socket: dir.join("lbd.sock"),
            run: dir.to_owned(),
            pair: dir.join("pair"),
            pair_listen: ([127, 0, 0, 1], 0).into(),
            heartbeat: dir.join("heartbeat.sock"),
            unit: Unit { services: None, power: false },
            table: Arc::new(NoTable),
            haproxy: None,
            reconcile_every: Duration::from_secs(3600),
        }
    }
}

/// Runs until SIGTERM or SIGINT. `open_kernel` is called on the engine's own thread, whose network namespace counts.
pub fn serve<K: Kernel + 'static>(
    settings: Settings,
    open_kernel: impl FnOnce() -> Result<K, KernelError> + Send + 'static,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (events, inbox) = mpsc::channel();
    let clock = Clock::start();
    let slots = Arc::new(Semaphore::new(PROBES_AT_ONCE));
    let starts = Starts {
        probe: prober(&runtime, &slots, events.clone()),
        agent: agent_asker(&runtime, &slots, events.clone()),
        order: orderer(&runtime, events.clone()),
        ask: asker(&runtime, events.clone()),
    };
    let state = settings.state.clone();
    let notices = settings.run.clone();
    let every = settings.reconcile_every;
    let (changed, engine_changes) = watch::channel(0);
    let (sync, sync_changes) = watch::channel(None);
    // What is wrong with the file, the peer's tasks say.
    let unit = lb_pair::Peer::open(&settings.pair).ok().flatten().map(|peer| peer.unit);
    let facts = pair::Facts { unit, ..pair::Facts::default() };
    let pairing = Pairing { facts: facts.clone(), file: Some(HaFile::below(&settings.run)), changed, sync };
    let (layer7, memory) =
        layer7(settings.haproxy.clone(), events.clone()).context("starting the thread for HAProxy")?;
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let engine = thread::Builder::new().name("engine".into()).spawn(move || -> anyhow::Result<()> {
        let opening = Opening::open(&state, clock.now()).with_notices(&notices, &state);
        let kernel = open_kernel().context("opening the kernel's interfaces")?;
        let inspector = kernel.inspector();
        let mut engine = Engine::new(opening, kernel, pairing, layer7, every, starts, clock.now());
        let _ = ready.send(inspector);
        engine.run(&inbox, &clock);
        Ok(())
    })?;
    let socket = settings.socket.clone();
    let served = runtime.block_on(async {
        // The first reconcile is done before anybody is answered.
        let Ok(inspector) = is_ready.await else { return Ok(()) };
        let listener = listen(&socket)?;
        tracing::info!("listening on {}", socket.display());
        let engine = EngineSide { events: events.clone(), changes: engine_changes, sync: sync_changes };
        let (peer, hot) = peer_tasks(&settings, engine, facts);
        let places = Arc::new(Places { state: settings.state.clone(), log: settings.log.clone() });
        let served = Served {
            events: events.clone(),
            inspector,
            tables: Default::default(),
            memory,
            places,
            unit: Arc::new(settings.unit.clone()),
            started: Instant::now(),
            peer,
            hot,
            heartbeat: Heartbeat::at(&settings.heartbeat),
        };
        let server = api::serve(listener, served);
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        tokio::select! {
            done = server => done.context("serving the socket"),
            _ = term.recv() => Ok(()),
            _ = int.recv() => Ok(()),
        }
    });
    let _ = events.send(Event::Stop);
    // Whoever reads a large table is not waited for.
    runtime.shutdown_background();
    let ended = engine.join().map_err(|_| anyhow!("the engine panicked"))?;
    let _ = std::fs::remove_file(&settings.socket);
    tracing::info!("stopped; traffic goes on as programmed");
    ended.and(served)
}

/// Who drives HAProxy, and who looks into its tables.
fn layer7(
    haproxy: Option<lb_haproxy::Paths>,
    events: mpsc::Sender<Event>,
) -> std::io::Result<(Layer7, Arc<dyn lb_haproxy::Memory>)> {
    // The engine is gone only when lbd stops.
    let tell = move |news| drop(events.send(Event::Layer7(news)));
    match haproxy {
        Some(paths) => {
            std::fs::create_dir_all(&paths.run)?;
            let hands = || lb_haproxy::Haproxy::new(paths.clone());
            let places = lb_haproxy::Places {
                run: paths.run.clone(),
                certificates: paths.certificates.clone(),
                ..lb_haproxy::Places::default()
            };
            Ok((Layer7::start(Box::new(hands()), Box::new(hands()), places, tell)?, Arc::new(hands())))
        }
        None => {
            let fake = lb_haproxy::fake::Fake::default();
            let places = lb_haproxy::Places::default();
            let layer7 = Layer7::start(Box::new(fake.clone()), Box::new(fake.clone()), places, tell)?;
            Ok((layer7, Arc::new(fake)))
        }
    }
}

/// What the engine says to, and takes from, those who deal with the other unit.
struct EngineSide {
    events: mpsc::Sender<Event>,
    changes: watch::Receiver<u64>,
    sync: watch::Receiver<Option<pair::Sync>>,
}

/// Starts what deals with the other unit; its tasks end with the runtime.
fn peer_tasks(settings: &Settings, engine: EngineSide, facts: pair::Facts) -> (peer::Handle, hot::Handle) {
    let EngineSide { events, changes, sync } = engine;
    let heartbeat = Heartbeat::at(&settings.heartbeat);
    let (seen, reports) = watch::channel(None);
    tokio::spawn(heartbeat.clone().watch(seen));
    let (serves, serving) = watch::channel(false);
    tokio::spawn(shelf::serving(reports.clone(), serves));
    let (view, hot_view) = watch::channel(hot::View::default());
    tokio::spawn(heartbeat.keep_hot(hot_view.clone(), reports.clone()));
    let (moves, moved) = watch::channel(0);
    tokio::spawn(shelf::changes(changes, serving.clone(), hot_view.clone(), moves));
    let (tables, words) = tokio::sync::mpsc::channel(4);
    let shelf = Arc::new(EngineShelf::new(events, reports, moved, facts, hot_view, tables));
    let handle = peer::start(
        peer::Settings {
            dir: settings.pair.clone(),
            listen: settings.pair_listen,
            port: settings.pair_listen.port(),
            serial: lb_model::heartbeat::SERIAL_DEVICE.into(),
            baud: lb_model::heartbeat::SERIAL_BAUD,
            times: peer::Times::USUAL,
            limits: peer::Limits::USUAL,
        },
        shelf.clone(),
    );
    tokio::spawn(shelf.keep_told(handle.clone()));
    let table = settings.table.clone();
    let hot = hot::start(hot::Parts { table, peer: handle.clone(), words, sync, serves: serving, view });
    (handle, hot)
}

fn listen(socket: &Path) -> anyhow::Result<UnixListener> {
    // A socket left by a killed lbd; the store's lock has shown that no other one lives.
    match std::fs::remove_file(socket) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(e).with_context(|| format!("removing {}", socket.display()));
        }
        _ => {}
    }
    let listener = UnixListener::bind(socket).with_context(|| format!("listening on {}", socket.display()))?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o660))?;
    if let Ok(Some(group)) = nix::unistd::Group::from_name("lb") {
        nix::unistd::chown(socket, None, Some(group.gid))?;
    }
    Ok(listener)
}

/// Starts a probe on the runtime; its outcome comes back as an event.
fn prober(
    runtime: &tokio::runtime::Runtime,
    slots: &Arc<Semaphore>,
    events: mpsc::Sender<Event>,
) -> Box<dyn Fn(lb_check::Probe) + Send> {
    let (handle, slots) = (runtime.handle().clone(), slots.clone());
    Box::new(move |probe| {
        let (slots, events) = (slots.clone(), events.clone());
        handle.spawn(async move {
            let _slot = slots.acquire_owned().await;
            let key = probe.key;
            // Of its own, so that a probe that panics is an unfit server and not one that is never asked again.
            let asked = tokio::spawn(async move { probes::run(&probe).await });
            let outcome =
                asked.await.unwrap_or_else(|e| lb_check::Outcome::Unfit(format!("the check itself failed: {e}")));
            // The engine is gone only when lbd stops.
            let _ = events.send(Event::Probed { key, outcome });
        });
    })
}

/// Asks an agent on the runtime; its answer comes back as an event.
fn agent_asker(
    runtime: &tokio::runtime::Runtime,
    slots: &Arc<Semaphore>,
    events: mpsc::Sender<Event>,
) -> Box<dyn Fn(lb_check::AgentQuestion) + Send> {
    let (handle, slots) = (runtime.handle().clone(), slots.clone());
    Box::new(move |question| {
        let (slots, events) = (slots.clone(), events.clone());
        handle.spawn(async move {
            let _slot = slots.acquire_owned().await;
            let key = question.key;
            let asked = tokio::spawn(async move { probes::ask_agent(&question.spec).await });
            let answer = asked.await.unwrap_or_else(|e| Err(format!("asking it failed: {e}")));
            // The engine is gone only when lbd stops.
            let _ = events.send(Event::AgentAnswered { key, answer });
        });
    })
}

/// Orders a certificate on the runtime; what came of it comes back as an event.
fn orderer(runtime: &tokio::runtime::Runtime, events: mpsc::Sender<Event>) -> Box<dyn Fn(acme::Job) + Send> {
    let handle = runtime.handle().clone();
    Box::new(move |job| {
        let events = events.clone();
        handle.spawn(async move {
            let (label, names) = (job.label.clone(), job.names.clone());
            // Of its own, so that one that panics or hangs has failed, and is tried again.
            let ordered = tokio::time::timeout(ORDER_LIMIT, tokio::spawn(acme::run(job))).await;
            let failed = |text: String| {
                let failure = acme::Failure { text, limited: false, asked: None };
                acme::Obtained { label, names, outcome: Err(failure) }
            };
            let obtained = match ordered {
                Ok(Ok(obtained)) => obtained,
                Ok(Err(e)) => failed(format!("ordering it failed in lbd itself: {e}")),
                Err(_) => failed(format!("the order took longer than {} minutes", ORDER_LIMIT.as_secs() / 60)),
            };
            // The engine is gone only when lbd stops.
            let _ = events.send(Event::Obtained(Box::new(obtained)));
        });
    })
}

/// Asks a responder on the runtime; what came of it comes back as an event.
fn asker(runtime: &tokio::runtime::Runtime, events: mpsc::Sender<Event>) -> Box<dyn Fn(ocsp::Job) + Send> {
    let handle = runtime.handle().clone();
    Box::new(move |job| {
        let events = events.clone();
        handle.spawn(async move {
            let fingerprint = job.fingerprint.clone();
            // Of its own, so that one that panics has failed, and is asked again.
            let answered = tokio::spawn(ocsp::run(job)).await.unwrap_or_else(|e| {
                let text = format!("asking the responder failed in lbd itself: {e}");
                let failure = acme::Failure { text, limited: false, asked: None };
                ocsp::Answered { fingerprint, outcome: Err(failure) }
            });
            // The engine is gone only when lbd stops.
            let _ = events.send(Event::Answered(Box::new(answered)));
        });
    })
}

impl Clock {
    /// Time since lbd started, and the wall clock.
    pub fn now(&self) -> Now {
        Now { since_start: self.elapsed(), unix: self.unix() }
    }
}
