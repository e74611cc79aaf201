//! The connection table on its way to the other unit, and who has all of it.
//!
//! ```text
//!   heartbeat: who serves --+                                +--> heartbeat: this unit is hot
//!   engine: sync daemons ---+--> keeper (pure) --> View -----+--> the pair's channel: ready, hot
//!   peer: ready, hot -------+        | Order                 +--> people: replication, alarms
//!                                    v
//!                        ConnectionTable::send, on a thread  <--> the other unit's digest, held
//! ```
//! What is decided, and when, is [`keeper`]'s. This task carries it out: one transfer at a time, one answer at a time to
//! the other unit's questions, on threads that may wait; whatever comes that nobody waits for is dropped. Tested by two
//! of them over the peer's real channel, with tables in memory.

mod keeper;
mod table;
#[cfg(test)]
mod tests;

pub use keeper::Standing;
pub use table::{ConnectionTable, KernelTable, NoTable};

use crate::{engine::pair::Sync, peer};
use keeper::{Keeper, Order, Outcome, Sight};
use lb_kernel::transfer::{Digest, DigestKey, End, First, Held, OtherTable, Pace, Report, Transfer};
use lb_pair::wire::{Buckets, Bytes, Table};
use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc as threads,
    },
    time::{Duration, Instant},
};
use table::Failure;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{sleep_until, timeout},
};

/// The other unit answers within this time: it reads its table once.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a take-over waits for one more round.
const ROUND: Duration = Duration::from_secs(5);
/// Questions for one more round that wait at once.
const MOST_ROUNDS: usize = 16;

/// What everybody else may know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// See [`lb_pair::wire::Alive`].
    pub ready: Option<u64>,
    /// See [`lb_pair::wire::Alive`].
    pub tells: Option<u64>,
    /// This unit has all connections; for heartbeat.
    pub hot: bool,
    pub alarm: Option<String>,
    pub standing: Standing,
}

/// What it needs.
pub struct Parts {
    pub table: Arc<dyn ConnectionTable>,
    pub peer: peer::Handle,
    /// What the other unit says about the tables.
    pub words: mpsc::Receiver<Table>,
    /// The sync daemons, as the engine keeps them.
    pub sync: watch::Receiver<Option<Sync>>,
    /// Whether this unit serves.
    pub serves: watch::Receiver<bool>,
    pub view: watch::Sender<View>,
}

/// Speaks with the task; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    rounds: mpsc::Sender<oneshot::Sender<()>>,
    view: watch::Receiver<View>,
    progress: Arc<Sent>,
}

/// How far the transfer under way is.
#[derive(Default)]
struct Sent {
    entries: AtomicU64,
    of: AtomicU64,
}

impl Handle {
    /// Before the unit that serves changes by somebody's wish: what the next one may lack goes there once more. Returns
    /// when that is done, when nothing can be done, and after [`ROUND`].
    pub async fn round(&self) {
        let (done, is_done) = oneshot::channel();
        if self.rounds.try_send(done).is_ok() {
            let _ = timeout(ROUND, is_done).await;
        }
    }

    /// A clause on the connections, for the sentence on the replication with `peer`.
    pub fn clause(&self, peer: &str) -> Option<String> {
        match &self.view.borrow().standing {
            Standing::Nothing => None,
            Standing::Waits => Some("it is not ready yet to be sent the connections".into()),
            Standing::Sending => {
                let (entries, of) = (&self.progress.entries, &self.progress.of);
                let (entries, of) = (entries.load(Ordering::Relaxed), of.load(Ordering::Relaxed));
                Some(format!("connections are being sent to it ({entries} of about {})", of.max(entries)))
            }
            Standing::Sent => Some("it has every connection".into()),
            Standing::Failed(why) => Some(format!("it does not have every connection: {why}")),
            Standing::Joins { hot: true } => Some("every connection of it is here".into()),
            Standing::Joins { hot: false } => Some(format!("not every connection of {peer} is here yet")),
        }
    }
}

/// Starts the task on the runtime that calls.
pub fn start(parts: Parts) -> Handle {
    let (rounds, wanted) = mpsc::channel(MOST_ROUNDS);
    let progress = Arc::new(Sent::default());
    let handle = Handle { rounds, view: parts.view.subscribe(), progress: progress.clone() };
    let (asks, asked) = mpsc::channel(1);
    let task = Task {
        parts,
        life: random()[0],
        keeper: Keeper::default(),
        start: Instant::now(),
        work: JoinSet::new(),
        broken: Broken::default(),
        progress,
        asks,
        waiting: None,
        connection: 0,
        answering: false,
        next: None,
        rounds: Vec::new(),
        far_rounds: Vec::new(),
        far: None,
    };
    tokio::spawn(task.run(wanted, asked));
    handle
}

/// A question of the transfer's thread. Without an answer it is dropped.
struct Asked {
    word: Table,
    answer: threads::SyncSender<Vec<u8>>,
}

/// What a thread has done.
enum Done {
    Sent(Outcome),
    /// None: it cannot be said.
    Answer(Option<Table>),
}

/// Ends the transfer when it is set, and when it is dropped.
#[derive(Default)]
struct Broken(Arc<AtomicBool>);

impl Drop for Broken {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    parts: Parts,
    /// Random: the numbers of another life of lbd are other ones.
    life: u64,
    keeper: Keeper,
    start: Instant,
    work: JoinSet<Done>,
    broken: Broken,
    progress: Arc<Sent>,
    asks: mpsc::Sender<Asked>,
    /// The transfer's thread waits for an answer.
    waiting: Option<Asked>,
    /// On which the question was asked.
    connection: u64,
    answering: bool,
    /// A question that came while the one before is being answered; only the newest is still waited for.
    next: Option<Table>,
    /// Who waits for the round under way, on this unit and on the other.
    rounds: Vec<oneshot::Sender<()>>,
    far_rounds: Vec<DigestKey>,
    /// A round that the other unit was asked for.
    far: Option<(DigestKey, oneshot::Sender<()>)>,
}

impl Task {
    async fn run(mut self, mut wanted: mpsc::Receiver<oneshot::Sender<()>>, mut asked: mpsc::Receiver<Asked>) {
        let mut status = self.parts.peer.watch();
        loop {
            self.look();
            let deadline = self.keeper.deadline().map(|at| self.start + at);
            let far_off = Instant::now() + Duration::from_secs(3600);
            let go_on = tokio::select! {
                word = self.parts.words.recv() => word.map(|word| self.hear(word)),
                Some(ask) = asked.recv() => {
                    self.ask(ask);
                    Some(())
                }
                Some(done) = self.work.join_next(), if !self.work.is_empty() => {
                    self.done(done.ok());
                    Some(())
                }
                round = wanted.recv() => round.map(|done| self.round(done)),
                changed = status.changed() => changed.ok(),
                changed = self.parts.sync.changed() => changed.ok(),
                changed = self.parts.serves.changed() => changed.ok(),
                () = sleep_until(deadline.unwrap_or(far_off).into()) => Some(()),
            };
            // Whoever is no more, is no more because lbd stops.
            if go_on.is_none() {
                return;
            }
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Sees how things are, does what that asks for, and says it.
    fn look(&mut self) {
        let status = self.parts.peer.status();
        if !status.connected || status.connections != self.connection {
            self.connection = status.connections;
            (self.waiting, self.far) = (None, None);
            self.far_rounds.clear();
        }
        let seen = status.seen.filter(|_| status.connected);
        let peer = seen.and_then(|seen| {
            let peer::Said { ready, hot } = seen.said?;
            Some(keeper::Peer { serves: seen.active, ready, hot })
        });
        let sync = self.parts.sync.borrow_and_update().clone();
        let sight = Sight {
            serves: *self.parts.serves.borrow_and_update(),
            daemons: sync.as_ref().map(|sync| self.life.wrapping_add(sync.starts)),
            converged: sync.as_ref().is_some_and(|sync| sync.converged),
            peer,
        };
        let order = self.keeper.see(sight, self.now());
        self.obey(order);
        self.show();
    }

    fn obey(&mut self, order: Option<Order>) {
        let sync = self.parts.sync.borrow().clone();
        match (order, sync) {
            (Some(Order::Send), Some(sync)) => self.send(sync, First::Everything),
            (Some(Order::Part), Some(sync)) => self.send(sync, First::Lacking),
            // Only with daemons there is one.
            (Some(Order::Send | Order::Part), None) => self.keeper.ended(Outcome::Cut, self.start.elapsed()),
            (Some(Order::Break), _) => {
                self.broken = Broken::default();
                self.waiting = None;
            }
            (None, _) => {}
        }
        if !self.keeper.sends() {
            self.rounds.clear();
            for key in self.far_rounds.drain(..) {
                self.parts.peer.table(Table::Round { key });
            }
        }
    }

    fn show(&self) {
        let alarm = self.keeper.complaint().map(|why| {
            format!(
                "the other unit does not have every connection of this one and would cut some off if it took over: {why}. \
                 hint: it is tried again every minute; look at the network between the units"
            )
        });
        let view = View {
            ready: self.keeper.ready(),
            tells: self.keeper.tells(),
            hot: self.keeper.hot(),
            alarm,
            standing: self.keeper.standing(),
        };
        self.parts.view.send_if_modified(|shown| {
            if let (Standing::Joins { hot }, true) = (&view.standing, shown.hot != view.hot) {
                let has = if *hot { "has" } else { "does not have" };
                tracing::info!("peer: this unit {has} every connection of the one that serves");
            }
            let changed = *shown != view;
            *shown = view;
            changed
        });
    }

    fn send(&mut self, sync: Sync, first: First) {
        self.broken = Broken::default();
        let (table, asks, progress) = (self.parts.table.clone(), self.asks.clone(), self.progress.clone());
        let broken = self.broken.0.clone();
        progress.entries.store(0, Ordering::Relaxed);
        progress.of.store(0, Ordering::Relaxed);
        let Sync { master, marks, .. } = sync;
        let transfer = Transfer { daemon: master, marks, key: random(), pace: Pace::default(), first };
        tracing::info!(
            "peer: {}",
            match first {
                First::Everything => "sending the connections",
                First::Lacking => "the other unit serves now: sending it the connections that it lacks",
            }
        );
        self.work.spawn_blocking(move || {
            let ended = table.send(&transfer, &mut Asker { asks }, &mut |at| {
                progress.entries.store(at.sent, Ordering::Relaxed);
                progress.of.store(at.total, Ordering::Relaxed);
                if broken.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            Done::Sent(outcome(ended))
        });
    }

    fn done(&mut self, done: Option<Done>) {
        match done {
            Some(Done::Sent(outcome)) => {
                self.waiting = None;
                if let (Outcome::Failed(why), true) = (&outcome, self.keeper.parts()) {
                    tracing::warn!(
                        "peer: the youngest connections may not have reached the unit that serves now: {why}"
                    );
                } else if let Outcome::Failed(why) = &outcome {
                    tracing::error!("alarm: the connections did not all reach the other unit: {why}");
                }
                self.keeper.ended(outcome, self.now());
            }
            Some(Done::Answer(word)) => {
                self.answering = false;
                if let Some(word) = word {
                    self.parts.peer.table(word);
                }
                if let Some(next) = self.next.take() {
                    self.answer(next);
                }
            }
            // A thread that panicked: whatever it was.
            None => {
                self.answering = false;
                self.waiting = None;
                self.keeper.ended(Outcome::Failed("lbd has a defect, see its log".into()), self.now());
            }
        }
        self.obey(None);
    }

    /// The transfer's thread asks the other unit.
    fn ask(&mut self, asked: Asked) {
        self.parts.peer.table(asked.word.clone());
        self.waiting = Some(asked);
    }

    /// The other unit says something about the tables.
    fn hear(&mut self, word: Table) {
        match word {
            Table::AskDigest { .. } | Table::AskHeld { .. } if self.answering => self.next = Some(word),
            Table::AskDigest { .. } | Table::AskHeld { .. } => self.answer(word),
            Table::Digest { key, bytes } => {
                let asked = |word: &Table| *word == Table::AskDigest { key };
                self.answered(asked, bytes.0);
            }
            Table::Held { key, bytes } => {
                let asked = |word: &Table| matches!(word, Table::AskHeld { key: asked, .. } if *asked == key);
                self.answered(asked, bytes.0);
            }
            Table::AskRound { key } => {
                self.far_rounds.truncate(MOST_ROUNDS - 1);
                self.far_rounds.push(key);
                let order = self.keeper.round();
                self.obey(order);
            }
            Table::Round { key } => {
                if let Some((_, done)) = self.far.take_if(|(asked, _)| *asked == key) {
                    let _ = done.send(());
                }
            }
        }
    }

    fn answered(&mut self, is_asked: impl Fn(&Table) -> bool, bytes: Vec<u8>) {
        if let Some(asked) = self.waiting.take_if(|asked| is_asked(&asked.word)) {
            // The thread may have given up.
            let _ = asked.answer.try_send(bytes);
        }
    }

    /// Reads this unit's table for the other.
    fn answer(&mut self, word: Table) {
        self.answering = true;
        let table = self.parts.table.clone();
        self.work.spawn_blocking(move || {
            let read = match word {
                Table::AskDigest { key } => {
                    table.digest(key).map(|digest| Table::Digest { key, bytes: Bytes(digest.to_bytes()) })
                }
                Table::AskHeld { key, buckets } => {
                    let held = table.held(key, buckets.numbers());
                    held.map(|held| Table::Held { key, bytes: Bytes(held.to_bytes()) })
                }
                Table::Digest { .. } | Table::Held { .. } | Table::AskRound { .. } | Table::Round { .. } => {
                    return Done::Answer(None);
                }
            };
            // The other unit waits in vain, and says so.
            Done::Answer(read.inspect_err(|why| tracing::error!("{}", crate::engine::chain(why))).ok())
        });
    }

    /// Somebody is about to change who serves.
    fn round(&mut self, done: oneshot::Sender<()>) {
        let status = self.parts.peer.status();
        if *self.parts.serves.borrow() {
            self.rounds.truncate(MOST_ROUNDS - 1);
            self.rounds.push(done);
            let order = self.keeper.round();
            self.obey(order);
        } else if self.keeper.hot() && status.connected {
            let key = random();
            self.parts.peer.table(Table::AskRound { key });
            self.far = Some((key, done));
        }
    }
}

fn outcome(ended: Result<Report, Failure>) -> Outcome {
    let report = match ended {
        Ok(report) => report,
        Err(Failure::HungUp) => return Outcome::Cut,
        Err(why) => return Outcome::Failed(crate::engine::chain(&why)),
    };
    let Report { entries, messages, unsaid, unverified, .. } = &report;
    match report.end {
        End::Hot => {
            tracing::info!(
                "peer: the other unit has every connection: {entries} sent in {messages} messages, {unsaid} cannot be \
                 said, {unverified} not compared"
            );
            Outcome::Hot
        }
        End::Lacking(missing) => Outcome::Failed(format!("{missing} of its {entries} were lost on the way")),
        End::BrokenOff => Outcome::Cut,
    }
}

/// Asks the other unit from the transfer's thread.
struct Asker {
    asks: mpsc::Sender<Asked>,
}

impl Asker {
    fn ask(&mut self, word: Table) -> Result<Vec<u8>, Failure> {
        let (answer, answered) = threads::sync_channel(1);
        self.asks.blocking_send(Asked { word, answer }).map_err(|_| Failure::HungUp)?;
        answered.recv_timeout(ANSWER).map_err(|why| match why {
            threads::RecvTimeoutError::Timeout => Failure::Silent(ANSWER.as_secs()),
            threads::RecvTimeoutError::Disconnected => Failure::HungUp,
        })
    }
}

impl OtherTable for Asker {
    type Error = Failure;

    fn digest(&mut self, key: DigestKey) -> Result<Digest, Failure> {
        let bytes = self.ask(Table::AskDigest { key })?;
        Digest::from_bytes(&bytes).ok_or(Failure::Form)
    }

    fn held(&mut self, key: DigestKey, buckets: &[u16]) -> Result<Held, Failure> {
        let buckets = Buckets::try_from(buckets.to_vec()).map_err(|_| Failure::Form)?;
        let bytes = self.ask(Table::AskHeld { key, buckets })?;
        Held::from_bytes(&bytes).ok_or(Failure::Form)
    }
}

/// Without a source of randomness, the time: another one than before is what matters most.
fn random() -> DigestKey {
    let time = || std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
    let word = || getrandom::u64().unwrap_or_else(|_| time());
    [word(), word()]
}
