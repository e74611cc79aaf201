//! An engine in a thread with a fake kernel, and commands to it.

use lb_api::{ApiError, Applied, ApplyRequest, CandidateView, PutCandidate, Running, Status, Summary};
use lb_haproxy::fake;
use lb_kernel::{Fake, Kernel};
use lb_model::Config;
use lbd::{
    engine::{Clock, Command, Engine, Event, Opening, Pairing, Starts, pair},
    layer7::Layer7,
};
use serde::de::DeserializeOwned;
use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::oneshot::error::TryRecvError;

/// Long enough for a loaded machine; a state that has not come by then does not come.
pub const LIMIT: Duration = Duration::from_secs(60);

pub type Hands = Box<dyn lb_haproxy::Proxy>;

pub struct Rig {
    pub kernel: Fake,
    pub proxy: fake::Fake,
    events: Sender<Event>,
    /// Probes that the engine started; the test says what came of them.
    pub probes: Arc<Mutex<Vec<lb_check::Probe>>>,
    /// Questions to agents that the engine put; the test answers them.
    pub questions: Arc<Mutex<Vec<lb_check::AgentQuestion>>>,
    /// Certificates that the engine ordered; the test says what came of them.
    pub orders: Arc<Mutex<Vec<lbd::acme::Job>>>,
    engine: Option<JoinHandle<()>>,
    /// What the engine says of the sync daemons.
    pub sync: tokio::sync::watch::Receiver<Option<pair::Sync>>,
}

impl Rig {
    /// An engine on the store in `dir`, with a kernel that has eth0 and eth1.
    pub fn start(dir: &Path) -> Rig {
        Rig::with_kernel(dir, Fake::new(&["eth0", "eth1"]))
    }

    pub fn with_kernel(dir: &Path, kernel: Fake) -> Rig {
        Rig::with(dir, kernel, fake::Fake::default())
    }

    pub fn with(dir: &Path, kernel: Fake, proxy: fake::Fake) -> Rig {
        let places = lb_haproxy::Places::default();
        let hands = (Box::new(proxy.clone()) as Hands, Box::new(proxy.clone()) as Hands, places);
        let orders = Arc::new(Mutex::new(Vec::new()));
        let ordered = orders.clone();
        let order = move |job, _: &Sender<Event>| ordered.lock().expect("the orders").push(job);
        let mut rig = Rig::with_hands(dir, kernel, proxy, hands, order);
        rig.orders = orders;
        rig
    }

    /// The same with other hands on HAProxy, and with what orders certificates.
    pub fn with_hands(
        dir: &Path,
        kernel: Fake,
        proxy: fake::Fake,
        (hands, checker, places): (Hands, Hands, lb_haproxy::Places),
        order: impl Fn(lbd::acme::Job, &Sender<Event>) + Send + 'static,
    ) -> Rig {
        let (events, inbox) = channel();
        let probes = Arc::new(Mutex::new(Vec::new()));
        let (says, sync) = tokio::sync::watch::channel(None);
        let pairing = Pairing { file: Some(lbd::HaFile::below(dir)), sync: says, ..Pairing::default() };
        let orders = Arc::default();
        let questions = Arc::new(Mutex::new(Vec::new()));
        let put = questions.clone();
        let (ended, asked) = (events.clone(), events.clone());
        let (started, fake, state) = (probes.clone(), kernel.clone(), dir.join("lb"));
        let notices = dir.to_path_buf();
        let changes = events.clone();
        let tell = move |news| drop(changes.send(Event::Layer7(news)));
        let layer7 = Layer7::start(hands, checker, places, tell).expect("a thread");
        let engine = std::thread::spawn(move || {
            let clock = Clock::start();
            let probe = Box::new(move |probe| started.lock().expect("the probes").push(probe));
            let order = Box::new(move |job| order(job, &ended));
            let ask = Box::new(move |job| {
                let events = asked.clone();
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    let answered = runtime.expect("a runtime").block_on(lbd::ocsp::run(job));
                    drop(events.send(Event::Answered(Box::new(answered))));
                });
            });
            let agent = Box::new(move |question| put.lock().expect("the questions").push(question));
            let start = Starts { probe, agent, order, ask };
            // Reconciles come from the tests' own changes alone.
            let every = Duration::from_secs(3600);
            let opening = Opening::open(&state, clock.now()).with_notices(&notices, &state);
            Engine::new(opening, fake, pairing, layer7, every, start, clock.now()).run(&inbox, &clock);
        });
        Rig { kernel, proxy, events, probes, questions, orders, engine: Some(engine), sync }
    }

    /// The engine has it when this returns, before whatever is asked later; what comes of it is for whoever calls that.
    pub fn begin<T: DeserializeOwned>(&self, command: Command) -> impl FnOnce() -> Result<T, ApiError> + use<T> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        assert!(self.events.send(Event::Command { command, answer }).is_ok(), "the engine is gone");
        move || {
            let reply = answer_of(answered)?;
            Ok(serde_json::from_value(serde_json::to_value(&reply).expect("a reply")).expect("the reply's type"))
        }
    }

    pub fn ask<T: DeserializeOwned>(&self, command: Command) -> Result<T, ApiError> {
        self.begin(command)()
    }

    pub fn apply(&self, config: &Config) -> Result<Applied, ApiError> {
        self.ask(Command::Apply(Box::new(ApplyRequest {
            config: Some(config.clone()),
            author: "test".into(),
            ..Default::default()
        })))
    }

    pub fn put(&self, config: &Config) -> Result<CandidateView, ApiError> {
        self.ask(Command::PutCandidate(Box::new(PutCandidate {
            config: config.clone(),
            base: None,
            etag: None,
            author: "test".into(),
        })))
    }

    /// Tells the engine of the pair.
    pub fn pair(&self, facts: pair::Facts) {
        assert!(self.events.send(Event::Pair(facts)).is_ok(), "the engine is gone");
    }

    /// An order has ended.
    pub fn obtained(&self, obtained: lbd::acme::Obtained) {
        assert!(self.events.send(Event::Obtained(Box::new(obtained))).is_ok(), "the engine is gone");
    }

    fn event<T>(&self, event: impl FnOnce(tokio::sync::oneshot::Sender<T>) -> Event) -> T {
        let (answer, answered) = tokio::sync::oneshot::channel();
        assert!(self.events.send(event(answer)).is_ok(), "the engine is gone");
        answer_of(answered)
    }

    pub fn told(&self) -> pair::Told {
        self.event(Event::Told)
    }

    pub fn newest(&self) -> Option<pair::Newest> {
        self.event(Event::Newest)
    }

    pub fn push(&self, pushed: pair::Pushed) -> Result<(), pair::NotTaken> {
        self.event(|answer| Event::Pushed { pushed: Box::new(pushed), answer })
    }

    pub fn running(&self) -> Running {
        self.ask(Command::Running).expect("what runs")
    }

    pub fn summary(&self) -> Summary {
        self.ask(Command::Summary).expect("the summary")
    }

    pub fn status(&self) -> Status {
        let snapshot = self.event(Event::Snapshot);
        snapshot.status(&self.kernel.inspector().counters().unwrap_or_default())
    }

    /// Every probe under way ends as `outcome` says for its server's address; those too that were started in one turn
    /// of the engine with the first, as it answers between two turns.
    pub fn answer_probes(&self, outcome: impl Fn(&lb_check::Probe) -> lb_check::Outcome) {
        self.wait("probes", |_| !self.probes.lock().expect("the probes").is_empty());
        self.told();
        for probe in self.probes.lock().expect("the probes").drain(..) {
            let outcome = outcome(&probe);
            assert!(self.events.send(Event::Probed { key: probe.key, outcome }).is_ok(), "the engine is gone");
        }
    }

    /// What the agents say that were asked since the last call; waits for one.
    pub fn answer_agents(&self, answer: impl Fn(&lb_check::AgentQuestion) -> Result<Vec<u8>, String>) {
        self.wait("questions to agents", |_| !self.questions.lock().expect("the questions").is_empty());
        self.told();
        for question in self.questions.lock().expect("the questions").drain(..) {
            let (key, answer) = (question.key, answer(&question));
            assert!(self.events.send(Event::AgentAnswered { key, answer }).is_ok(), "the engine is gone");
        }
    }

    pub fn wait(&self, what: &str, state: impl Fn(&Rig) -> bool) {
        let end = Instant::now() + LIMIT;
        while !state(self) {
            assert!(Instant::now() < end, "{what}: not within {LIMIT:?}; status {:#?}", self.status());
            std::thread::yield_now();
        }
    }
}

/// Fails rather than waits for ever.
fn answer_of<T>(mut answered: tokio::sync::oneshot::Receiver<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        match answered.try_recv() {
            Ok(answer) => return answer,
            Err(TryRecvError::Closed) => panic!("the engine hung up"),
            Err(TryRecvError::Empty) => assert!(Instant::now() < end, "the engine answers: not within {LIMIT:?}"),
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Stop);
        if let Some(engine) = self.engine.take() {
            let ended = engine.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the engine panicked");
        }
    }
}

/// The guide's two-arm NAT configuration with two servers, checked by connecting.
pub fn guide() -> Config {
    let document = r#"{"version":1,
      "node":{"hostname":"lbmaster","nameservers":["10.0.0.31"],
        "interfaces":[{"name":"eth0","addresses":["10.0.0.21/24"]},{"name":"eth1","addresses":["192.168.2.21/24"]}],
        "gateway":"10.0.0.31"},
      "globals":{"masquerade":true},
      "virtual_servers":[{"label":"HTTP_Cluster","service":{"kind":"address","address":"10.0.0.21","ports":"80"},
        "real_servers":[{"label":"WebServer1","address":"192.168.2.50","forwarding":"nat"},
                        {"label":"WebServer2","address":"192.168.2.51","forwarding":"nat"}]}]}"#;
    lb_model::migrate(document).expect("the guide's configuration")
}

/// The same, with servers that are active unasked.
pub fn guide_unchecked() -> Config {
    let mut config = guide();
    config.virtual_servers[0].check.method = lb_model::CheckMethod::On;
    config
}
