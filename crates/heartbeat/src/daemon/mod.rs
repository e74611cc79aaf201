//! The loop: what happens becomes an event, what the node wants is carried out, in order.
//!
//! ```text
//!  sockets, lines --bytes--> Codec --+
//!  hands, ear, links, fitness -------+--> Event --> Node::handle --> Output --> paths, hands, ear, log
//!  status socket, signals, files ----+                  ^
//!                     Node::deadline --Timer------------+   (after everything that waits in the sockets)
//! ```
//! One thread, real-time where permitted, its memory locked. Nothing in it waits for a disk, a log, or the kernel's
//! network lock.

mod answers;
mod reload;

use crate::{
    boot, clock,
    control::{self, Asked},
    fitness::{self, Fitness, Slow},
    hands::{Done, Hands, Order, chain},
    listen::{Listener, Stand},
    load::{Files, Stamp},
    outlet::{Log, Recorder},
    paths::Paths,
    pings, ready,
};
use anyhow::{Context, Result, anyhow};
use lb_ha::control::Reply;
use lb_ha::{Codec, Command, Document, Event, Node, Output, Start, State, Time, trace::Line};
use lb_kernel::{Ear, Links, LinuxFloating, realtime};
use reload::{change, set_paths};
use std::{
    fs::{File, OpenOptions},
    future::poll_fn,
    io::Write,
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};
use tokio::{
    io::Interest,
    signal::unix::{SignalKind, signal},
    sync::{
        Semaphore,
        mpsc::{UnboundedReceiver, unbounded_channel},
        oneshot, watch,
    },
    time::{MissedTickBehavior, interval, sleep},
};

/// Before every ordinary thread, after the kernel's own.
const PRIORITY: i32 = 50;
/// Files, links, disk and watchdog are looked after this often.
const TICK: Duration = Duration::from_millis(500);
/// What the kernel refused is tried again after.
const RETRY: Duration = Duration::from_millis(100);
/// Answers have so long to leave when the daemon ends.
const FAREWELL: Duration = Duration::from_millis(20);

/// Where everything is.
pub struct Places {
    pub files: Files,
    pub state: PathBuf,
    pub socket: PathBuf,
    /// `None`: no lbd is asked, and the node counts as hot.
    pub lbd: Option<PathBuf>,
    pub watchdog: Option<PathBuf>,
    pub record: Option<PathBuf>,
}

/// Runs until the node is shut down. The floating addresses are then gone from here.
pub fn run(places: Places) -> Result<()> {
    let log = Log::start().context("starting the log")?;
    let document = places.files.document()?;
    let codec = places.files.codec()?;
    let boot = boot::count(&places.state)?;
    let nonce = getrandom::u64().map_err(|error| anyhow!("drawing a random number: {error}"))?.max(1);
    let slow = Slow::start(&places.state).context("starting the thread for slow things")?;
    let recorder = match &places.record {
        Some(file) => Recorder::start(file, &log).with_context(|| format!("recording in {}", file.display()))?,
        None => Recorder::none(&log),
    };
    let watchdog = places.watchdog.as_ref().map(|device| {
        OpenOptions::new().write(true).open(device).with_context(|| format!("opening {}", device.display()))
    });
    let watchdog = watchdog.transpose()?;
    // From here on threads are real-time ones too: the hands.
    let degraded = go_first(&log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let start = Start { me: document.me, boot, nonce, settings: document.settings.clone(), at: clock::now() };
        let daemon = Daemon::open(Opening { places, log, document, codec, slow, recorder, watchdog, degraded }, start)?;
        daemon.run(nonce).await
    })
}

fn go_first(log: &Log) -> Vec<String> {
    let asked = [
        ("lock its memory", realtime::lock_memory()),
        ("run before ordinary processes (SCHED_FIFO)", realtime::run_first(PRIORITY)),
    ];
    let refused = asked.into_iter().filter_map(|(what, done)| Some(format!("may not {what}: {}", done.err()?)));
    refused.inspect(|text| log.warn(format!("{text}; a loaded machine may make beats late"))).collect()
}

struct Opening {
    places: Places,
    log: Log,
    document: Document,
    codec: Codec,
    slow: Slow,
    recorder: Recorder,
    watchdog: Option<File>,
    degraded: Vec<String>,
}

struct Daemon {
    places: Places,
    log: Log,
    document: Document,
    codec: Codec,
    stamps: (Stamp, Stamp),
    node: Node,
    paths: Paths,
    hands: Hands,
    done: UnboundedReceiver<Done>,
    listener: Listener,
    links: Links,
    link_news: UnboundedReceiver<Links>,
    fitness: Fitness,
    slow: Slow,
    recorder: Recorder,
    watchdog: Option<File>,
    degraded: Vec<String>,
    pending: Vec<(Command, oneshot::Sender<Reply>)>,
    ping_nodes: watch::Sender<Vec<IpAddr>>,
    release_again: Option<Instant>,
    exits: bool,
    /// The first order to release, at the start, has been given.
    released: bool,
    /// What a call wanted, kept for its room.
    wanted: Vec<Output>,
    heard: Vec<Event>,
}

/// What ends a wait.
enum Wake {
    Io,
    Links(Links),
    Done(Done),
    Asked(Asked),
    Lbd(Option<String>),
    Pings(u8),
    Tick,
    Timer,
    ReadAnew,
    HandOver,
}

impl Daemon {
    fn open(opening: Opening, start: Start) -> Result<Daemon> {
        let Opening { places, log, document, codec, slow, mut recorder, watchdog, degraded } = opening;
        let kernel = |error: lb_kernel::KernelError| anyhow!(chain(&error));
        let (told, done) = unbounded_channel();
        let hands = Hands::start(LinuxFloating::open().map_err(kernel)?, &log, told).context("starting the hands")?;
        hands.order(change(&document, false));
        let listener = Listener::new(Ear::open().map_err(kernel)?, &document);
        let (told, link_news) = unbounded_channel();
        let links = fitness::watch_links(&log, told).map_err(kernel)?;
        let mut paths = Paths::new(&log);
        set_paths(&mut paths, &document);
        recorder.keep(|| Line::Start(start.clone()));
        let mut wanted = Vec::new();
        // The document has been looked through already, settings and all.
        let node = Node::start(start, &mut wanted).map_err(|problems| anyhow!("{problems:?}"))?;
        let mut daemon = Daemon {
            stamps: places.files.stamp(),
            places,
            log,
            codec,
            node,
            paths,
            hands,
            done,
            listener,
            links,
            link_news,
            fitness: Fitness::default(),
            slow,
            recorder,
            watchdog,
            degraded,
            pending: Vec::new(),
            ping_nodes: watch::Sender::new(document.settings.ping_nodes.clone()),
            document,
            release_again: None,
            exits: false,
            released: false,
            wanted: Vec::new(),
            heard: Vec::new(),
        };
        daemon.carry_out(wanted);
        Ok(daemon)
    }

    async fn run(mut self, mark: u64) -> Result<()> {
        let listener = control::listen(&self.places.socket)?;
        let connections = Arc::new(Semaphore::new(control::AT_ONCE as usize));
        let (asks, mut asked) = unbounded_channel();
        tokio::spawn(control::serve(listener, connections, asks));
        let (tells, mut lbd) = unbounded_channel();
        match &self.places.lbd {
            Some(socket) => {
                self.fitness.set("lbd", Some("lbd has not answered yet".into()));
                tokio::spawn(fitness::watch_lbd(socket.clone(), tells.clone()));
            }
            None => self.handle(Event::Hot(true)),
        }
        let (counts, mut reached) = unbounded_channel();
        tokio::spawn(pings::watch_nodes(self.ping_nodes.subscribe(), mark, counts));
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        let mut hup = signal(SignalKind::hangup())?;
        let duplicate = |fd: std::os::fd::BorrowedFd<'_>| -> Result<_> {
            Ok(ready::watch(fd.try_clone_to_owned()?, Interest::READABLE)?)
        };
        let [arp, nd] = self.listener.sockets();
        let ears = [duplicate(arp)?, duplicate(nd)?];
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.log.info(format!("node {:?} has started", self.document.me));
        let mut more = false;
        while !self.exits {
            let deadline = self.deadline();
            let wait = if more { Duration::ZERO } else { clock::until(deadline) };
            let Daemon { paths, done, link_news, .. } = &mut self;
            let io = poll_fn(|context| {
                let mut wake = paths.poll_ready(context).map(|()| Wake::Io);
                for ear in &ears {
                    if let Poll::Ready(Ok(mut guard)) = ear.poll_read_ready(context) {
                        guard.clear_ready();
                        wake = Poll::Ready(Wake::Io);
                    }
                }
                wake
            });
            let wake = tokio::select! {
                biased;
                wake = io => wake,
                Some(done) = done.recv() => Wake::Done(done),
                Some(links) = link_news.recv() => Wake::Links(links),
                () = sleep(wait) => Wake::Timer,
                Some(asked) = asked.recv() => Wake::Asked(asked),
                Some(reason) = lbd.recv() => Wake::Lbd(reason),
                Some(count) = reached.recv() => Wake::Pings(count),
                _ = ticks.tick() => Wake::Tick,
                _ = hup.recv() => Wake::ReadAnew,
                _ = term.recv() => Wake::HandOver,
                _ = int.recv() => Wake::HandOver,
            };
            let began = Instant::now();
            more = self.turn(wake);
            if more {
                // Somebody floods us: leave the processor to others for as long as this took.
                sleep(began.elapsed()).await;
            }
        }
        let _ = std::fs::remove_file(&self.places.socket);
        if let Some(device) = &mut self.watchdog {
            // Magic close (watchdog-api.rst): this end is meant.
            let _ = device.write_all(b"V");
        }
        drop(std::mem::take(&mut self.pending));
        sleep(FAREWELL).await;
        self.log.info("ended");
        self.recorder.flush();
        self.log.flush();
        Ok(())
    }

    fn deadline(&self) -> Time {
        let again = self.release_again.map_or(Time::NEVER, |at| {
            let wait = at.saturating_duration_since(Instant::now());
            clock::now().plus(wait.as_micros() as u64)
        });
        // An hour is as good as never, and no timer overflows.
        let at_last = clock::now().plus(3_600_000_000);
        self.node.deadline().min(self.listener.deadline()).min(again).min(at_last)
    }

    /// One turn of the loop; whether more waits in the sockets.
    fn turn(&mut self, wake: Wake) -> bool {
        // All that waits comes first: what the node decides next must not rest on less than what has arrived.
        let more = self.read();
        match wake {
            Wake::Io | Wake::Timer => {}
            Wake::Links(links) => {
                self.listener.follow(&links);
                self.links = links;
                self.tell_fitness();
            }
            Wake::Done(done) => self.hands_done(done),
            Wake::Asked(asked) => self.asked(asked),
            Wake::Lbd(reason) => {
                self.fitness.set("lbd", reason);
                self.tell_fitness();
            }
            Wake::Pings(count) => self.handle(Event::Pings(count)),
            Wake::Tick => self.tick(),
            Wake::ReadAnew => self.read_anew(),
            Wake::HandOver => {
                self.log.info("asked to end: handing over");
                self.handle(Event::Command(Command::Shutdown));
            }
        }
        if self.release_again.is_some_and(|at| at <= Instant::now()) {
            self.release_again = None;
            self.handle(Event::Hands(lb_ha::Hands::ReleaseFailed));
        }
        if self.node.deadline() <= clock::now() {
            self.handle(Event::Timer);
        }
        more
    }

    /// Frames first, then what the networks say.
    fn read(&mut self) -> bool {
        let Daemon { paths, codec, heard, .. } = self;
        let more = paths.drain(|path, bytes| {
            heard.push(match codec.open(bytes) {
                Ok(frame) => Event::Frame { path, frame },
                Err(why) => Event::Refused { path, why },
            });
        });
        self.handle_heard();
        let (now, stand) = (clock::now(), self.stand());
        if let Err(error) = self.listener.hear(now, &stand, &mut self.heard) {
            self.log.warn(format!("listening to the networks: {error}"));
        }
        self.listener.expire(now, &stand, &mut self.heard);
        self.handle_heard();
        more
    }

    fn handle_heard(&mut self) {
        let mut heard = std::mem::take(&mut self.heard);
        for event in heard.drain(..) {
            self.handle(event);
        }
        self.heard = heard;
    }

    fn stand(&self) -> Stand {
        let (core, now) = (self.node.core(), clock::now());
        let peer_holds_nothing = core.peer_alive(now) && core.peer().is_some_and(|(word, _)| !word.holds);
        Stand { state: core.state(), since: core.since(), peer_holds_nothing }
    }

    fn handle(&mut self, event: Event) {
        let now = clock::now();
        self.recorder.keep(|| Line::Event { at: now, event: event.clone() });
        let mut wanted = std::mem::take(&mut self.wanted);
        self.node.handle(event, now, &mut wanted);
        self.carry_out(wanted);
    }

    fn carry_out(&mut self, mut wanted: Vec<Output>) {
        for output in wanted.drain(..) {
            match output {
                Output::Send { paths, frame } => self.paths.send(&paths, &self.codec.seal(&frame)),
                Output::Acquire => self.hands.order(Order::Acquire),
                Output::Release => {
                    // At the start it is found out first who added what is here.
                    let first = !std::mem::replace(&mut self.released, true);
                    self.hands.order(Order::Release { first });
                }
                Output::Renew => {
                    let within = u64::from(self.document.settings.keepalive_ms) * 1000;
                    self.hands.order(Order::Renew { within });
                }
                Output::Announce => self.hands.order(Order::Announce),
                Output::Probe => self.listener.probe(clock::now()),
                Output::AskWitness { asked } => self.listener.ask_witness(asked, clock::now()),
                Output::Log(note) => self.tell(note),
                Output::Alarm { alarm, on: true } => self.log.warn(format!("alarm: {alarm}")),
                Output::Alarm { alarm, on: false } => self.log.info(format!("over: {alarm}")),
                Output::Outcome { command, result } => self.outcome(command, result),
                Output::Exit => self.exits = true,
            }
        }
        self.wanted = wanted;
    }

    fn hands_done(&mut self, done: Done) {
        let event = match done {
            Done::Acquired => lb_ha::Hands::Acquired,
            Done::AcquireFailed => lb_ha::Hands::AcquireFailed,
            Done::Released => lb_ha::Hands::Released,
            Done::LbdsAreHere => {
                self.log.info("lbd has added floating addresses before there was a pair; they stay");
                self.handle(Event::Inherits);
                return;
            }
            Done::ReleaseFailed => {
                // The node tries again at once.
                self.release_again = Some(Instant::now() + RETRY);
                return;
            }
            // An answer to an order from before the addresses were let go says nothing any more.
            Done::Lost if self.node.core().state() == State::Active => lb_ha::Hands::AcquireFailed,
            Done::Lost => return,
            Done::Bequeathed => {
                self.exits = true;
                return;
            }
        };
        self.handle(Event::Hands(event));
    }

    fn tick(&mut self) {
        if let Some(device) = &mut self.watchdog {
            // If it cannot be fed it bites.
            let _ = device.write_all(b"\0");
        }
        self.paths.open_missing();
        if let Some(found) = self.slow.look(self.listener.wants_neighbours()) {
            self.fitness.set("disk", found.disk);
            self.listener.set_neighbours(found.neighbours);
        }
        self.tell_fitness();
        if self.places.files.stamp() != self.stamps {
            self.read_anew();
        }
    }

    fn tell_fitness(&mut self) {
        self.fitness.clear("link ");
        for floating in &self.document.floating {
            let name = floating.interface.as_str();
            if !self.links.up(name) {
                self.fitness
                    .set(&format!("link {name}"), Some(format!("{name} carries a floating address and is down")));
            }
        }
        if let Some(reasons) = self.fitness.news() {
            self.log.info(if reasons.is_empty() { "fit".into() } else { format!("unfit: {}", reasons.join("; ")) });
            self.handle(Event::Fitness { reasons });
        }
    }
}
