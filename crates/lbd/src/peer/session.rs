//! One connection between the two lbd of a pair, from the hellos to its end.
//!
//! A reader and a writer of their own, so that a large push holds up no word, and the loop holds up neither. Bytes that
//! arrive count as life; silence for [`Times::silence`] ends it, whatever TCP believes. Everything said about the
//! configuration comes from [`Replication`].

use super::{
    Said, Shared, Times,
    replication::{NoChoice, Replication, Say, Verdict},
    shelf::{NotCommitted, Pushed, Revision, Shelf},
    unix_now,
};
use lb_api::Keep;
use lb_model::{NodeId, Problem};
use lb_pair::{
    Relation, SharedVersion,
    wire::{self, Alive, Hello, Message, PROTOCOL, Push, Table},
};
use serde_json::value::RawValue;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant as TokioInstant, sleep_until, timeout},
};

/// Words that wait to be written; more means that the peer does not read.
const MOST_WAITING: usize = 32;

/// How long a good-bye waits for the peer to have heard it.
const PARTING: Duration = Duration::from_secs(1);

/// What this unit wants of the connection, whichever it is at the moment.
pub enum Order {
    Resolve(Keep, oneshot::Sender<Result<(), NoChoice>>),
    Table(Table),
    /// Say good-bye and end.
    Bye(String, oneshot::Sender<()>),
}

/// What the loop hears.
enum Heard {
    Message(Box<Message>),
    End(String),
    Committed { version: SharedVersion, result: Result<(), NotCommitted> },
}

/// Runs until the connection ends, and says why it did.
pub async fn run<S: Shelf>(
    shared: &Shared<S>,
    unit: NodeId,
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    orders: &mut mpsc::Receiver<Order>,
) -> String {
    match Session::open(shared, unit, stream).await {
        Ok(session) => session.run(orders).await,
        Err(why) => why,
    }
}

struct Session<'a, S> {
    shared: &'a Shared<S>,
    /// Dropped with the session.
    tasks: JoinSet<()>,
    heard: mpsc::Receiver<Heard>,
    hears: mpsc::Sender<Heard>,
    out: mpsc::Sender<Message>,
    life: Life,
    changes: watch::Receiver<u64>,
    replication: Replication,
    /// When the answer to what was pushed is overdue.
    answer_by: Option<Instant>,
}

impl<'a, S: Shelf> Session<'a, S> {
    async fn open(
        shared: &'a Shared<S>,
        unit: NodeId,
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
    ) -> Result<Self, String> {
        let times = shared.times;
        // Marked as seen before the state is read: a change in between is not missed.
        let mut changes = shared.shelf.changes();
        changes.borrow_and_update();
        let current = shared.shelf.current().await.ok_or("lbd stops")?;
        let life = Life::default();
        let (read, mut write) = tokio::io::split(stream);
        let mut read = Living { inner: read, life: life.clone() };
        let mine = Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").into(),
            hostname: current.hostname,
            unit,
            history: newest_part(&current.history),
            web: current.web,
            active: current.active,
        };
        let mine_told = mine.history.clone();
        let greet = async {
            wire::write(&mut write, &Message::Hello(mine)).await?;
            wire::read_hello(&mut read).await
        };
        let theirs = match timeout(times.hello, greet).await {
            Err(_) => return Err("the peer said nothing".into()),
            Ok(Err(why)) => return Err(chain(&why)),
            Ok(Ok(theirs)) => theirs,
        };
        if theirs.unit == unit {
            return Err(format!(
                "both units take themselves for unit {unit}. hint: end the pair on both and pair again"
            ));
        }
        let (hears, heard) = mpsc::channel(4);
        let (out, mut queue) = mpsc::channel(MOST_WAITING);
        let mut tasks = JoinSet::new();
        let reader = hears.clone();
        tasks.spawn(async move {
            loop {
                let (heard, end) = match wire::read(&mut read).await {
                    Ok(Some(message)) => (Heard::Message(Box::new(message)), false),
                    Ok(None) => (Heard::End("the peer hung up".into()), true),
                    Err(why) => (Heard::End(chain(&why)), true),
                };
                if reader.send(heard).await.is_err() || end {
                    return;
                }
            }
        });
        let writer = hears.clone();
        tasks.spawn(async move {
            while let Some(message) = queue.recv().await {
                if let Err(why) = wire::write(&mut write, &message).await {
                    let _ = writer.send(Heard::End(chain(&why))).await;
                    return;
                }
                if matches!(message, Message::Bye { .. }) {
                    let _ = write.shutdown().await;
                    return;
                }
            }
        });
        shared.seen(&theirs);
        let replication =
            Replication::new(theirs.hostname.to_string(), (mine_told, current.active), (theirs.history, theirs.active));
        Ok(Session { shared, tasks, heard, hears, out, life, changes, replication, answer_by: None })
    }

    async fn run(mut self, orders: &mut mpsc::Receiver<Order>) -> String {
        let times = self.shared.times;
        let mut beat = tokio::time::interval(times.beat);
        let mut orders_open = true;
        let why = loop {
            if let Err(why) = self.go_on().await {
                break why;
            }
            let silent = self.life.since() + times.silence;
            let overdue = self.answer_by.unwrap_or(silent).min(silent);
            let step = tokio::select! {
                heard = self.heard.recv() => match heard {
                    Some(heard) => self.hear(heard).await,
                    None => Err("the connection's tasks ended".into()),
                },
                changed = self.changes.changed() => match changed {
                    Ok(()) => self.changed().await,
                    Err(_) => Err("lbd stops".into()),
                },
                _ = beat.tick() => self.alive().await,
                order = orders.recv(), if orders_open => match order {
                    None => {
                        orders_open = false;
                        Ok(())
                    }
                    Some(Order::Resolve(keep, answer)) => {
                        let _ = answer.send(self.replication.choose(keep));
                        Ok(())
                    }
                    Some(Order::Table(word)) => self.say(Message::Table(word)),
                    Some(Order::Bye(reason, answer)) => {
                        self.part(reason).await;
                        let _ = answer.send(());
                        Err("this unit hung up".into())
                    }
                },
                () = sleep_until(TokioInstant::from_std(overdue)) => self.overdue(),
            };
            if let Err(why) = step {
                break why;
            }
        };
        self.tasks.abort_all();
        why
    }

    /// Says good-bye and waits for the peer to close: if this side closed first, what the peer had just said would
    /// make the kernel take the good-bye back.
    async fn part(&mut self, reason: String) {
        if self.say(Message::Bye { reason }).is_err() {
            return;
        }
        let closed = async {
            while let Some(heard) = self.heard.recv().await {
                if matches!(heard, Heard::End(_)) {
                    return;
                }
            }
        };
        let _ = timeout(PARTING, closed).await;
    }

    /// Says what the state of things asks for, and shows it.
    async fn go_on(&mut self) -> Result<(), String> {
        if let Some(say) = self.replication.next() {
            self.obey(say).await?;
        }
        self.answer_by = match (self.replication.waits(), self.answer_by) {
            (true, None) => Some(Instant::now() + self.shared.times.answer),
            (true, at) => at,
            (false, _) => None,
        };
        let same = self.replication.relation() == Relation::Same;
        self.shared.replicates(|last| {
            let last = if same { Some(unix_now()) } else { last };
            self.replication.view(last)
        });
        Ok(())
    }

    async fn obey(&mut self, say: Say) -> Result<(), String> {
        match say {
            Say::Ask { ground } => self.say(Message::Ask { ground }),
            Say::Push { ground } => {
                let Revision { version, author, comment, at, document, certificates } =
                    self.shared.shelf.newest().await.ok_or("there is no shared configuration to send")?;
                let document = RawValue::from_string(String::from(&*document))
                    .map_err(|_| "the shared configuration is no JSON text".to_owned())?;
                tracing::info!("peer: sending version {version}");
                self.say(Message::Push(Push { version, ground, author, comment, at, certificates, document }))
            }
        }
    }

    fn say(&mut self, message: Message) -> Result<(), String> {
        self.out.try_send(message).map_err(|_| "the peer does not read what is sent to it".to_owned())
    }

    async fn alive(&mut self) -> Result<(), String> {
        let current = self.shared.shelf.current().await.ok_or("lbd stops")?;
        let newest = current.history.last().copied();
        // What a connection needs here, this unit has only with the peer's configuration.
        let ready = current.ready.filter(|_| self.replication.relation() == Relation::Same);
        let hot = current.hot;
        self.say(Message::Alive(Alive { active: current.active, web: current.web, newest, ready, hot }))
    }

    async fn changed(&mut self) -> Result<(), String> {
        let current = self.shared.shelf.current().await.ok_or("lbd stops")?;
        if let Some(say) = self.replication.changed_here(newest_part(&current.history), current.active) {
            self.obey(say).await?;
        }
        self.alive().await
    }

    async fn hear(&mut self, heard: Heard) -> Result<(), String> {
        let message = match heard {
            Heard::End(why) => return Err(why),
            Heard::Committed { version, result } => return self.committed(version, result).await,
            Heard::Message(message) => *message,
        };
        match message {
            Message::Hello(_) => return Err("the peer said hello twice".into()),
            Message::Alive(Alive { active, web, newest, ready, hot }) => {
                self.replication.alive(active, newest);
                self.shared.seen_alive(active, web, Said { ready, hot });
            }
            Message::Push(push) => self.offered(push)?,
            Message::Pushed { version } => {
                self.answer_by = None;
                tracing::info!("peer: it runs version {version}");
                self.replication.pushed(version);
            }
            Message::Refused { version, problems } => {
                self.answer_by = None;
                tracing::warn!("peer: it cannot run version {version}: {} problems", problems.len());
                self.replication.refused(version, problems);
            }
            Message::Stale { newest, .. } => {
                self.answer_by = None;
                self.replication.stale(newest).map_err(|_| "the peer contradicts itself".to_owned())?;
            }
            Message::Ask { ground } => {
                if let Some(say) = self.replication.asked(ground) {
                    self.obey(say).await?;
                }
            }
            Message::Table(word) => self.shared.shelf.table(word).await,
            Message::Bye { reason } => {
                let reason: String = reason.chars().filter(|c| !c.is_control()).take(wire::LONGEST_REASON).collect();
                return Err(format!("the peer hung up: {reason}"));
            }
        }
        Ok(())
    }

    fn offered(&mut self, push: Push) -> Result<(), String> {
        let version = push.version;
        match self.replication.offered(version, push.ground) {
            Verdict::Have => self.say(Message::Pushed { version }),
            Verdict::Stale(newest) => self.say(Message::Stale { version, newest }),
            Verdict::Refuse(problem) => self.say(Message::Refused { version, problems: vec![problem] }),
            Verdict::OutOfTurn => Err("the peer sent two configurations at once".into()),
            Verdict::Commit => {
                let document = Arc::from(Box::<str>::from(push.document));
                let Push { ground, author, comment, at, certificates, .. } = push;
                let revision = Revision { version, author, comment, at, document, certificates };
                let pushed = Pushed { revision, ground };
                let (shelf, hears) = (self.shared.shelf.clone(), self.hears.clone());
                // Beside the loop: an apply may take longer than the peer's patience with silence.
                self.tasks.spawn(async move {
                    let result = shelf.commit(pushed).await;
                    let _ = hears.send(Heard::Committed { version, result }).await;
                });
                Ok(())
            }
        }
    }

    async fn committed(&mut self, version: SharedVersion, result: Result<(), NotCommitted>) -> Result<(), String> {
        match result {
            Ok(()) => {
                tracing::info!("peer: its version {version} runs here");
                self.replication.committed(version, Ok(()));
                self.say(Message::Pushed { version })
            }
            Err(NotCommitted::Problems(problems)) => {
                tracing::warn!("peer: its version {version} cannot run here: {}", listed(&problems));
                self.replication.committed(version, Err(problems.clone()));
                self.say(Message::Refused { version, problems })
            }
            Err(NotCommitted::Stale(newest)) => {
                self.replication.overtaken();
                self.say(Message::Stale { version, newest })
            }
        }
    }

    fn overdue(&mut self) -> Result<(), String> {
        let now = Instant::now();
        if self.answer_by.is_some_and(|at| now >= at) {
            return Err("the peer did not answer to a configuration".into());
        }
        if now >= self.life.since() + self.shared.times.silence {
            return Err(format!("nothing was heard of the peer for {:?}", self.shared.times.silence));
        }
        Ok(())
    }
}

/// As many as a hello may have.
fn newest_part(history: &[lb_pair::Id]) -> Vec<lb_pair::Id> {
    history[history.len().saturating_sub(lb_pair::lineage::MOST_TOLD)..].to_vec()
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{}: {}", problem.path, problem.reason)).collect::<Vec<_>>().join("; ")
}

/// An error with its sources, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

/// When a byte last came.
#[derive(Debug, Clone)]
struct Life {
    start: Instant,
    milliseconds: Arc<AtomicU64>,
}

impl Default for Life {
    fn default() -> Life {
        Life { start: Instant::now(), milliseconds: Arc::default() }
    }
}

impl Life {
    fn sign(&self) {
        let since = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.milliseconds.store(since, Ordering::Relaxed);
    }

    fn since(&self) -> Instant {
        self.start + Duration::from_millis(self.milliseconds.load(Ordering::Relaxed))
    }
}

/// Notes every byte that comes.
struct Living<R> {
    inner: R,
    life: Life,
}

impl<R: AsyncRead + Unpin> AsyncRead for Living<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.life.sign();
        }
        poll
    }
}

impl Times {
    /// For a network between two units.
    pub const USUAL: Times = Times {
        connect: Duration::from_secs(3),
        hello: Duration::from_secs(10),
        beat: Duration::from_secs(2),
        silence: Duration::from_secs(10),
        answer: Duration::from_secs(120),
        retry: Duration::from_secs(1),
        longest_retry: Duration::from_secs(5),
    };
}
