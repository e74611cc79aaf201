//! The one loop: events in, kernel and store kept equal to the running configuration.
//!
//! One thread owns the store, the kernel and the state of the checks, so that nothing needs a lock
//! and every change has its place in one order. Time is an argument. What it decides is in the
//! pure crates (lb-model, lb-plan, lb-check); what it does is in [`commands`](self) and `reconcile`.
//! Tested by `tests/` with the fake kernel over a real socket, and in a guest with the real one.

mod acme;
mod candidate;
mod certificates;
mod clock;
mod commands;
mod confirm;
mod health;
mod notice;
mod ocsp;
mod opening;
pub mod pair;
mod reconcile;
pub(crate) mod record;
mod reply;
mod status;
mod waiting;

pub use certificates::refused;
pub use opening::Opening;
pub use reconcile::chain;
pub use reply::Reply;
pub use status::Snapshot;
use waiting::{Asked, Halt};

use crate::{
    acme::{Job, Obtained},
    certificates::Certificates,
    ha::HaFile,
    layer7::{Layer7, News},
    ocsp::{Answered, Job as Question},
};
use lb_api::{
    ApiError, ApplyRequest, ConfirmRequest, DiscardRequest, OrderCertificate, Pending, PlanRequest, PutCandidate,
    RequestCertificate, RevisionView, RollbackRequest, SelfSigned, StateRequest,
};
use lb_check::{AgentKey, AgentQuestion, Agents, Checker, Outcome, Probe, ProbeKey};
use lb_kernel::Kernel;
use lb_model::{Config, layer7::CertificateFingerprint};
use lb_plan::{Health, Observed};
use lb_store::Store;
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::{oneshot, watch};

/// Everything that can happen to lbd.
pub enum Event {
    Command {
        command: Command,
        answer: oneshot::Sender<Result<Reply, ApiError>>,
    },
    /// Somebody shows what the engine knows beside what the kernel has.
    Snapshot(oneshot::Sender<Snapshot>),
    /// Something of the pair is otherwise than before.
    Pair(pair::Facts),
    /// What the peer is told of the configuration.
    Told(oneshot::Sender<pair::Told>),
    /// The shared revision that runs; none before the pair's first.
    Newest(oneshot::Sender<Option<pair::Newest>>),
    /// The peer pushes a version.
    Pushed {
        pushed: Box<pair::Pushed>,
        answer: oneshot::Sender<Result<(), pair::NotTaken>>,
    },
    Layer7(News),
    /// A probe that the engine started has its outcome.
    Probed {
        key: ProbeKey,
        outcome: Outcome,
    },
    /// What an agent answered, or why it did not.
    AgentAnswered {
        key: AgentKey,
        answer: Result<Vec<u8>, String>,
    },
    /// An order of a certificate has ended.
    Obtained(Box<Obtained>),
    /// A responder was asked about a certificate.
    Answered(Box<Answered>),
    Stop,
}

/// What somebody asks for over the socket.
pub enum Command {
    Running,
    Factory,
    Candidate,
    PutCandidate(Box<PutCandidate>),
    Discard(DiscardRequest),
    Plan(Box<PlanRequest>),
    Apply(Box<ApplyRequest>),
    Confirm(ConfirmRequest),
    History {
        limit: usize,
    },
    Revision(u64),
    Rollback(RollbackRequest),
    Summary,
    /// Goes on alone: with what the pair shared, or with nothing to balance.
    EndPair {
        author: String,
        serve: bool,
    },
    SetState(StateRequest),
    Reconcile,
    Certificates,
    AddCertificate {
        found: Box<lb_certs::Found>,
        authority: bool,
        author: String,
    },
    SelfSigned(Box<SelfSigned>),
    RequestCertificate(Box<RequestCertificate>),
    /// Those that the unit obtains by itself.
    Acme,
    OrderCertificate(OrderCertificate),
    RemoveCertificate {
        fingerprint: CertificateFingerprint,
        author: String,
    },
}

/// A moment: since lbd started, and by the wall clock (Unix seconds).
#[derive(Debug, Clone, Copy)]
pub struct Now {
    pub since_start: Duration,
    pub unix: u64,
}

/// Where [`Now`] comes from.
pub struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Clock(Instant::now())
    }

    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    pub fn unix(&self) -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
    }
}

/// Who does what takes its time; what came of it comes back as an [`Event`].
pub struct Starts {
    pub probe: Box<dyn Fn(Probe) + Send>,
    pub agent: Box<dyn Fn(AgentQuestion) + Send>,
    /// Orders a certificate.
    pub order: Box<dyn Fn(Job) + Send>,
    /// Asks a responder about a certificate.
    pub ask: Box<dyn Fn(Question) + Send>,
}

/// The pair at the start, and who is told of changes.
#[derive(Debug, Default)]
pub struct Pairing {
    pub facts: pair::Facts,
    pub file: Option<HaFile>,
    pub changed: watch::Sender<u64>,
    pub sync: watch::Sender<Option<pair::Sync>>,
}

/// The state of lbd.
pub struct Engine<K> {
    /// `None`: it could not be opened; `alarms` says why. Traffic is served, changes are refused.
    store: Option<Store>,
    certificates: Certificates,
    /// Of certificates that are in use.
    certificate_alarms: Vec<String>,
    orders: acme::Orders,
    stapling: ocsp::Stapling,
    kernel: K,
    start_probe: Box<dyn Fn(Probe) + Send>,
    ask_agent: Box<dyn Fn(AgentQuestion) + Send>,
    /// Shared with whoever is being answered.
    running: Arc<Config>,
    revision: RevisionView,
    alarms: Vec<String>,
    notices: notice::Notices,
    /// Since when no time server vouches for the clock, where there are any.
    clock_alone_since: Duration,
    /// The stored candidate, read and judged once.
    candidate: Option<Arc<candidate::Judged>>,
    /// See [`lb_api::Summary::generation`].
    generation: u64,
    /// What the kernel had when it was last read, with what we did since; `None` until it was read.
    observed: Option<Observed>,
    pending: Vec<Pending>,
    drift: Vec<String>,
    checker: Checker,
    agents: Agents,
    health: Health,
    since: status::Since,
    /// Health changed, and the kernel does not know yet.
    dirty: bool,
    reconcile_every: Duration,
    next_reconcile: Duration,
    /// Reconciles in a row that left something pending.
    failures: u32,
    pair: pair::Facts,
    holds_back: pair::HoldsBack,
    /// `None`: nobody reads one.
    ha_file: Option<HaFile>,
    ha_alarm: Option<String>,
    /// Told after every change: the revision's number.
    changed: watch::Sender<u64>,
    /// Told of the sync daemons, and how often some were started or stopped.
    sync: watch::Sender<Option<pair::Sync>>,
    sync_starts: u64,
    layer7: Layer7,
    waiting: waiting::Waiting,
    /// When an unconfirmed revision is undone, on the clock that nobody can set.
    revert_at: Option<Duration>,
}

impl<K: Kernel> Engine<K> {
    /// Takes over whatever a former lbd left in the kernel, and brings it to the running configuration.
    pub fn new(
        opening: Opening,
        kernel: K,
        pair: Pairing,
        layer7: Layer7,
        reconcile_every: Duration,
        starts: Starts,
        now: Now,
    ) -> Self {
        let Opening { store, certificates, account, running, revision, alarms, notices } = opening;
        for alarm in &alarms {
            tracing::error!("alarm: {alarm}");
        }
        let mut engine = Engine {
            store,
            certificates,
            certificate_alarms: Vec::new(),
            orders: acme::Orders::new(account, starts.order),
            stapling: ocsp::Stapling::new(starts.ask),
            kernel,
            start_probe: starts.probe,
            ask_agent: starts.agent,
            running: Arc::new(running),
            revision,
            alarms,
            notices,
            clock_alone_since: now.since_start,
            candidate: None,
            // Far above what the lbd before us can have counted to, and still a whole number in every JSON reader.
            generation: now.unix.saturating_mul(1000),
            observed: None,
            pending: Vec::new(),
            drift: Vec::new(),
            checker: Checker::default(),
            agents: Agents::default(),
            health: Health::default(),
            since: status::Since::default(),
            dirty: false,
            reconcile_every,
            next_reconcile: now.since_start,
            failures: 0,
            pair: pair.facts,
            holds_back: pair::HoldsBack::No,
            ha_file: pair.file,
            ha_alarm: None,
            changed: pair.changed,
            sync: pair.sync,
            sync_starts: 0,
            layer7,
            waiting: waiting::Waiting::default(),
            revert_at: None,
        };
        engine.write_ha();
        engine.resume_confirm(now);
        engine.observe();
        engine.adopt_health();
        engine.adopt_role();
        engine.configure_checks(now);
        engine.reconcile(now);
        // After the addresses that it listens at, and the setting by which it may where they are not.
        engine.certificates.staple(now.unix);
        let running = engine.running.clone();
        let rendered = engine.rendered(&running);
        engine.layer7.want(rendered);
        tracing::info!("running {}", engine.revision);
        engine
    }

    /// Until [`Event::Stop`], or until nobody is left to send events.
    pub fn run(&mut self, inbox: &Receiver<Event>, clock: &Clock) {
        loop {
            self.tick(clock.now());
            let wait = self.deadline().saturating_sub(clock.elapsed());
            let first = match inbox.recv_timeout(wait) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // All that waits is taken at once: thousands of probes may end in the same moment.
            for event in first.into_iter().chain(inbox.try_iter()) {
                match event {
                    Event::Stop => return,
                    Event::Command { command, answer } => self.asked(Asked::Command { command, answer }, clock.now()),
                    Event::Snapshot(answer) => {
                        let _ = answer.send(self.snapshot(clock.now()));
                    }
                    Event::Layer7(News::Changed) => self.touch(),
                    Event::Layer7(News::Checked { number, outline, said }) => {
                        self.layer7.learn(outline, said);
                        self.checked(number, clock.now());
                        self.layer7.forget();
                    }
                    Event::Pair(facts) => self.pair_facts(facts, clock.now()),
                    Event::Told(answer) => drop(answer.send(self.told())),
                    Event::Newest(answer) => drop(answer.send(self.newest())),
                    Event::Pushed { pushed, answer } => self.asked(Asked::Pushed { pushed, answer }, clock.now()),
                    Event::Obtained(obtained) => self.order_ended(*obtained, clock.now()),
                    Event::Answered(answered) => self.answered(*answered, clock.now()),
                    Event::Probed { key, outcome } => self.probed(key, outcome, clock.now()),
                    Event::AgentAnswered { key, answer } => self.agent_answered(key, answer, clock.now()),
                }
            }
        }
    }

    /// A reader that keeps a status must ask again.
    fn touch(&mut self) {
        self.generation += 1;
    }

    /// What time alone brings about.
    fn tick(&mut self, now: Now) {
        self.revert_if_unconfirmed(now);
        self.serves_alone(now);
        self.order_certificates(now);
        self.ask_responders(now);
        if now.since_start >= self.next_reconcile {
            self.reconcile(now);
        } else if self.dirty {
            self.converge(now);
        }
        for probe in self.checker.due(now.since_start) {
            (self.start_probe)(probe);
        }
        for question in self.agents.due(now.since_start) {
            (self.ask_agent)(question);
        }
    }

    fn deadline(&self) -> Duration {
        let (probes, agents) = (self.checker.deadline(), self.agents.deadline());
        let orders = Some(self.orders.deadline());
        let stapling = Some(self.stapling.deadline());
        let times = [Some(self.next_reconcile), probes, agents, self.revert_at, self.holds_until(), orders, stapling];
        times.into_iter().flatten().min().unwrap_or(self.next_reconcile)
    }

    fn command(&mut self, command: Command, now: Now) -> Result<Reply, Halt> {
        Ok(match command {
            Command::Running => Reply::Running(self.running_view()),
            Command::Factory => Reply::Config(Box::new(lb_model::factory())),
            Command::Candidate => Reply::Candidate(self.candidate()?),
            Command::PutCandidate(request) => Reply::Candidate(self.put_candidate(*request, now)?),
            Command::Discard(request) => Reply::Candidate(self.discard(&request, now)?),
            Command::Plan(request) => Reply::Plan(self.plan(*request)?),
            Command::Apply(request) => Reply::Applied(self.apply(*request, now)?),
            Command::Confirm(request) => Reply::Confirm(self.confirm(request, now)?),
            Command::History { limit } => Reply::History(self.history(limit)),
            Command::Revision(number) => Reply::Running(self.revision(number)?),
            Command::Rollback(request) => Reply::Applied(self.rollback(request, now)?),
            Command::Summary => Reply::Summary(Box::new(self.summary(now))),
            Command::EndPair { author, serve } => Reply::Applied(self.end_pair(author, serve, now)?),
            Command::SetState(request) => Reply::Applied(self.set_state(request, now)?),
            Command::Reconcile => Reply::Reconcile(self.reconcile(now)),
            Command::Certificates => Reply::Certificates(self.certificates()),
            Command::AddCertificate { found, authority, author } => {
                Reply::certificate(self.add_certificate(*found, authority, &author, now)?)
            }
            Command::SelfSigned(request) => Reply::certificate(self.self_signed(&request, now)?),
            Command::RequestCertificate(request) => Reply::certificate(self.request_certificate(*request)?),
            Command::Acme => Reply::Acme(self.acme()),
            Command::OrderCertificate(request) => Reply::Done(self.order_now(&request, now)?),
            Command::RemoveCertificate { fingerprint, author } => {
                Reply::Done(self.remove_certificate(&fingerprint, &author)?)
            }
        })
    }
}
