//! The other unit of a pair: becoming one, and having the same configuration ever after.
//!
//! ```text
//!   lb-api requests --> Handle --Order--> Actor --+--> pairing: waits or calls (TCP 6694, null-modem cable)
//!        views <-- watch --------------------+    +--> channel: one connection, mutual TLS --> session
//!                                                                                  | replication (pure)
//!                                          engine <------------- Shelf ------------+
//! ```
//!
//! One actor ([`actor`]) owns which of these runs. It knows the engine only as a [`Shelf`]; the engine's loop is never waited for
//! longer than its own work. Tested with shelves in memory: two instances over loopback, third parties, half-open
//! connections, a cable made of two ptys (`peer/tests`).

mod actor;
mod channel;
mod pairing;
mod replication;
mod serial;
mod session;
mod shelf;
#[cfg(test)]
pub mod tests;

pub use replication::NoChoice;
pub use shelf::{Current, NotCommitted, Pushed, Revision, Shelf};

use lb_api::{Keep, PairingStep, PairingView, ReplicationState, ReplicationView};
use lb_model::NodeId;
use lb_pair::{
    Peer,
    wire::{Hello, Table},
};
use std::{
    fmt,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::{mpsc, oneshot, watch};

/// A refused caller is logged no more often than this; all are counted.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Where things are.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `/data/pair`.
    pub dir: PathBuf,
    /// Where unit two, and whoever waits, listens.
    pub listen: SocketAddr,
    /// Where the peer listens.
    pub port: u16,
    /// The null-modem cable.
    pub serial: PathBuf,
    pub baud: u32,
    pub times: Times,
    pub limits: Limits,
}

/// Times of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub connect: Duration,
    /// To prove itself, and then to say who it is.
    pub hello: Duration,
    /// A sign of life goes out this often.
    pub beat: Duration,
    /// Without any byte for so long, the connection is dead.
    pub silence: Duration,
    /// Within which a pushed configuration is applied or refused.
    pub answer: Duration,
    /// Between calls, doubled up to the longest.
    pub retry: Duration,
    pub longest_retry: Duration,
}

/// Times of a pairing.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For one attempt over the network.
    pub attempt: Duration,
    /// How long the cable is still served after a pairing, for lost answers.
    pub linger: Duration,
}

/// What is known of the pair, for people.
#[derive(Debug, Clone, Default)]
pub struct Status {
    pub peer: Option<Peer>,
    /// As the peer last introduced itself.
    pub seen: Option<Seen>,
    pub connected: bool,
    /// How many connections there have been.
    pub connections: u64,
    pub replication: Option<ReplicationView>,
    /// Connections to the pair's port by others than the peer.
    pub refused: u64,
    /// What stands in the way of the pair on this unit.
    pub alarm: Option<String>,
}

impl Status {
    /// The peer holds the floating addresses and can be reached: there is where the shared part is edited.
    pub fn peer_edits(&self) -> bool {
        self.connected && self.seen.as_ref().is_some_and(|seen| seen.active)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub hostname: String,
    pub version: String,
    pub unit: NodeId,
    pub web: Option<String>,
    pub active: bool,
    /// None before its first word on this connection.
    pub said: Option<Said>,
}

/// What a unit says of the connection table; see [`lb_pair::wire::Alive`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    pub ready: Option<u64>,
    pub hot: Option<u64>,
}

/// Why something was not begun or came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: String,
    pub hint: String,
}

impl Refusal {
    fn new(reason: impl Into<String>, hint: &str) -> Refusal {
        Refusal { reason: reason.into(), hint: hint.to_owned() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Speaks with the actor; cheap to clone. The actor ends with the last one.
#[derive(Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    status: watch::Receiver<Status>,
    pairing: watch::Receiver<PairingView>,
}

enum Request {
    Step(PairingStep, oneshot::Sender<Result<(), Refusal>>),
    Unpair(oneshot::Sender<Result<(), Refusal>>),
    Resolve(Keep, oneshot::Sender<Result<(), Refusal>>),
    Table(Table),
}

impl Handle {
    /// Takes a step towards a pair; how far it is, [`Handle::pairing`] says.
    pub async fn step(&self, step: PairingStep) -> Result<(), Refusal> {
        self.ask(|answer| Request::Step(step, answer)).await
    }

    /// Ends the pair on this unit, and tells the peer if it can be reached.
    pub async fn unpair(&self) -> Result<(), Refusal> {
        self.ask(Request::Unpair).await
    }

    /// Ends a choice between two histories.
    pub async fn resolve(&self, keep: Keep) -> Result<(), Refusal> {
        self.ask(|answer| Request::Resolve(keep, answer)).await
    }

    /// A word about the connection table; lost if there is no connection.
    pub fn table(&self, word: Table) {
        let _ = self.requests.try_send(Request::Table(word));
    }

    pub fn pairing(&self) -> PairingView {
        self.pairing.borrow().clone()
    }

    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// To be told of changes.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    async fn ask(&self, request: impl FnOnce(oneshot::Sender<Result<(), Refusal>>) -> Request) -> Result<(), Refusal> {
        let (answer, answered) = oneshot::channel();
        let gone = || Refusal::new("lbd stops", "try again");
        self.requests.send(request(answer)).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// What the tasks have in common.
struct Shared<S> {
    shelf: Arc<S>,
    times: Times,
    status: watch::Sender<Status>,
    refused_said: std::sync::Mutex<Option<Instant>>,
}

impl<S> Shared<S> {
    fn seen(&self, hello: &Hello) {
        let Hello { version, hostname, unit, web, active, .. } = hello.clone();
        let seen = Seen { hostname: hostname.to_string(), version, unit, web, active, said: None };
        self.status.send_modify(|status| {
            status.seen = Some(seen);
            status.connected = true;
            status.connections += 1;
        });
    }

    fn seen_alive(&self, active: bool, web: Option<String>, said: Said) {
        self.status.send_if_modified(|status| match &mut status.seen {
            Some(seen) if seen.active != active || seen.web != web || seen.said != Some(said) => {
                seen.active = active;
                seen.web = web;
                seen.said = Some(said);
                true
            }
            _ => false,
        });
    }

    /// `view`: of when both were last known to have the same.
    fn replicates(&self, view: impl FnOnce(Option<u64>) -> ReplicationView) {
        self.status.send_if_modified(|status| {
            let view = view(status.replication.as_ref().and_then(|replication| replication.last));
            let shown = |view: &ReplicationView| (view.state, view.detail.clone());
            let changed = status.replication.as_ref().map(shown) != Some(shown(&view));
            status.replication = Some(view);
            changed
        });
    }

    fn unreachable(&self, detail: String) {
        self.status.send_modify(|status| {
            status.connected = false;
            let last = status.replication.as_ref().and_then(|replication| replication.last);
            status.replication = Some(ReplicationView { state: ReplicationState::Unreachable, last, detail });
        });
    }

    fn refused_caller(&self, address: SocketAddr, why: &str) {
        self.status.send_modify(|status| status.refused = status.refused.saturating_add(1));
        let mut said = self.refused_said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if said.is_none_or(|at| at.elapsed() >= SAID_EVERY) {
            *said = Some(Instant::now());
            tracing::warn!("peer: {} was refused on the pair's port: {why}", address.ip());
        }
    }
}

/// Starts the actor on the runtime that calls. It takes up the pair that this unit is in, if any.
pub fn start<S: Shelf>(settings: Settings, shelf: Arc<S>) -> Handle {
    let (requests, inbox) = mpsc::channel(64);
    let (status, status_seen) = watch::channel(Status::default());
    let (view, view_seen) = watch::channel(PairingView::Idle);
    let times = settings.times;
    let shared = Arc::new(Shared { shelf, times, status, refused_said: std::sync::Mutex::new(None) });
    tokio::spawn(actor::Actor::new(settings, shared, view).run(inbox));
    Handle { requests, status: status_seen, pairing: view_seen }
}

impl From<NoChoice> for Refusal {
    fn from(why: NoChoice) -> Refusal {
        match why {
            NoChoice::NotDiverged => Refusal::new("there is nothing to choose", "both units have one history"),
            NoChoice::NotActive => Refusal::new("the other unit serves", "choose there"),
        }
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
