//! Waiting for a peer, or calling one: [`lb_pair::pairing`] carried over TCP and the null-modem cable.
//!
//! A waiting unit listens on both at once. What was agreed is on the disk before the other unit is told so, and only the
//! first of several callers gets that far. At most [`MOST_ATTEMPTS`] callers at a time over the network, two of one
//! address, and [`Limits::attempt`] for each.

use super::{Limits, Refusal, Settings, serial::Line, session::chain, unix_now};
use lb_api::PairedView;
use lb_pair::{
    Call, Card, Code, Failure, Offer, Output, Paired, Peer, Seed, Wait,
    cable::{Act, Cable},
    pairing::{MAX_MESSAGE, VALID},
    wire::{read_frame, write_frame},
};
use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{Instant as TokioInstant, sleep, sleep_until, timeout},
};

/// Callers at a time over the network.
pub const MOST_ATTEMPTS: usize = 16;
/// Of one address.
pub const MOST_OF_ONE: usize = 2;

/// What both ways of pairing need.
pub struct Pairing {
    pub settings: Arc<Settings>,
    pub card: Card,
    clock: Instant,
    kept: Mutex<Kept>,
}

/// Whoever comes first.
enum Kept {
    Nobody,
    Peer(Peer),
    /// Given up.
    Closed,
}

impl Pairing {
    pub fn new(settings: Arc<Settings>, card: Card) -> Pairing {
        Pairing { settings, card, clock: Instant::now(), kept: Mutex::new(Kept::Nobody) }
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// When a machine's moment is, for waiting.
    fn at(&self, moment: Option<Duration>) -> TokioInstant {
        let far = self.clock + VALID * 2;
        TokioInstant::from_std(moment.and_then(|moment| self.clock.checked_add(moment)).unwrap_or(far))
    }

    /// Puts it on the disk. No peer but the first.
    pub async fn keep(self: &Arc<Self>, paired: Paired) -> Result<Peer, Refusal> {
        let this = self.clone();
        let kept = tokio::task::spawn_blocking(move || {
            let mut kept = lock(&this.kept);
            let Kept::Nobody = *kept else { return Err(Failure::NotWaiting.into()) };
            let peer = Peer::keep(&this.settings.dir, &paired, unix_now())
                .map_err(|e| Refusal::new(chain(&e), "look at the system log; the disk may be full or damaged"))?;
            *kept = Kept::Peer(peer.clone());
            Ok(peer)
        });
        kept.await.unwrap_or_else(|e| Err(Refusal::new(e.to_string(), "try again")))
    }

    /// From now on nobody becomes a peer; the one who did already.
    pub async fn close(self: &Arc<Self>) -> Option<Peer> {
        let this = self.clone();
        let closed =
            tokio::task::spawn_blocking(move || match std::mem::replace(&mut *lock(&this.kept), Kept::Closed) {
                Kept::Peer(peer) => Some(peer),
                Kept::Nobody | Kept::Closed => None,
            });
        closed.await.ok().flatten()
    }

    /// Calls over the network.
    pub async fn call_network(self: Arc<Self>, address: IpAddr, code: Code) -> Result<Peer, Refusal> {
        let address = SocketAddr::new(address, self.settings.port);
        let hint = "let the other unit wait for its peer first, and check the address";
        let stream = match timeout(self.settings.times.connect, TcpStream::connect(address)).await {
            Err(_) => return Err(Refusal::new(format!("no answer from {address}"), hint)),
            Ok(Err(why)) => return Err(Refusal::new(format!("{address}: {why}"), hint)),
            Ok(Ok(stream)) => stream,
        };
        let (call, start) = Call::new(&code, self.card.clone(), seed()?, self.now());
        let ended =
            timeout(self.settings.limits.attempt, self.over_tcp(stream, Machine::Call(call), Some(start))).await;
        ended.unwrap_or(Err(Failure::TooSlow.into()))
    }

    /// Calls over the cable.
    pub async fn call_serial(self: Arc<Self>) -> Result<Peer, Refusal> {
        let device = self.settings.serial.display().to_string();
        let opened = Line::open(&self.settings.serial, self.settings.baud);
        let line = opened.map_err(|e| Refusal::new(format!("{device}: {e}"), "check the unit's serial port"))?;
        let (call, start) = Call::new(&Code::Cable, self.card.clone(), seed()?, self.now());
        let mut number = [0; 4];
        getrandom::fill(&mut number).map_err(|_| no_randomness())?;
        let cable = Cable::call(u32::from_be_bytes(number), self.settings.baud);
        self.over_serial(&line, cable, Machine::Call(call), Some(start)).await
    }

    /// Waits on both ways until somebody has become the peer, or the offer is over. The port is free when it returns.
    pub async fn wait(
        self: Arc<Self>,
        offer: Offer,
        listener: TcpListener,
        serial_error: mpsc::Sender<Option<String>>,
    ) -> Result<Peer, Refusal> {
        let until = self.at(Some(offer.until()));
        let network = self.clone().wait_network(Arc::new(Mutex::new(offer)), listener);
        let serial = self.clone().wait_serial(serial_error);
        tokio::pin!(network, serial);
        let (why, expired) = tokio::select! {
            ended = &mut network => match ended {
                Ok(peer) => return Ok(peer),
                Err(why) => (why, false),
            },
            ended = &mut serial => return ended,
            () = sleep_until(until) => (Failure::Expired.into(), true),
        };
        // The offer is over; but somebody may have been kept, and only still be told so.
        let peer = self.close().await.ok_or(why)?;
        let told = async {
            tokio::select! {
                _ = network, if expired => {}
                _ = serial => {}
            }
        };
        let _ = timeout(self.settings.limits.linger, told).await;
        Ok(peer)
    }

    async fn wait_network(self: Arc<Self>, offer: Arc<Mutex<Offer>>, listener: TcpListener) -> Result<Peer, Refusal> {
        let mut attempts: JoinSet<(IpAddr, Result<Peer, Refusal>)> = JoinSet::new();
        let mut of_one: HashMap<IpAddr, usize> = HashMap::new();
        loop {
            tokio::select! {
                Some(ended) = attempts.join_next() => {
                    let Ok((address, result)) = ended else { continue };
                    if let Some(count) = of_one.get_mut(&address) {
                        *count -= 1;
                        if *count == 0 {
                            of_one.remove(&address);
                        }
                    }
                    let why = match result {
                        Ok(peer) => return Ok(peer),
                        Err(why) => why,
                    };
                    tracing::warn!("pairing: {address} was refused: {why}");
                    match lock(&offer).over(self.now()) {
                        // Another one has the code and is being kept: it ends this, well or not.
                        Some(Failure::NotWaiting) if !attempts.is_empty() => {}
                        Some(Failure::NotWaiting) => return Err(why),
                        Some(over) => return Err(over.into()),
                        None => {}
                    }
                }
                accepted = listener.accept() => {
                    let (stream, address) = match accepted {
                        Ok(accepted) => accepted,
                        Err(why) => {
                            tracing::warn!("pairing: accepting a connection: {why}");
                            sleep(self.settings.times.retry).await;
                            continue;
                        }
                    };
                    let address = address.ip();
                    let count = of_one.entry(address).or_default();
                    if attempts.len() >= MOST_ATTEMPTS || *count >= MOST_OF_ONE {
                        if *count == 0 {
                            of_one.remove(&address);
                        }
                        continue;
                    }
                    *count += 1;
                    let wait = Wait::new(self.card.clone(), seed()?, self.now());
                    let machine = Machine::Wait { wait: Some(wait), offer: offer.clone() };
                    let this = self.clone();
                    attempts.spawn(async move {
                        let limit = this.settings.limits.attempt;
                        let ended = timeout(limit, this.over_tcp(stream, machine, None)).await;
                        (address, ended.unwrap_or(Err(Failure::TooSlow.into())))
                    });
                }
            }
        }
    }

    /// Without the cable the network still works, so this one never gives up.
    async fn wait_serial(self: Arc<Self>, error: mpsc::Sender<Option<String>>) -> Result<Peer, Refusal> {
        // The cable needs no code, so its offer has none to be guessed; it ends with the other one.
        let mut said = None;
        loop {
            let why = match Line::open(&self.settings.serial, self.settings.baud) {
                Err(why) => Refusal::new(why.to_string(), ""),
                Ok(line) => {
                    if said.take().is_some() {
                        let _ = error.send(None).await;
                    }
                    let offer = Arc::new(Mutex::new(Offer::new(Code::Cable, self.now())));
                    let machine = Machine::Wait { wait: None, offer };
                    let cable = Cable::wait(self.settings.baud);
                    match self.over_serial(&line, cable, machine, None).await {
                        Ok(peer) => return Ok(peer),
                        Err(why) => why,
                    }
                }
            };
            let text = format!("{}: {}", self.settings.serial.display(), why.reason);
            if said.as_ref() != Some(&text) {
                tracing::warn!("pairing: {text}");
                let _ = error.send(Some(text.clone())).await;
                said = Some(text);
            }
            sleep(self.settings.times.retry).await;
        }
    }

    async fn over_tcp(
        self: &Arc<Self>,
        mut stream: TcpStream,
        mut machine: Machine,
        first: Option<Vec<u8>>,
    ) -> Result<Peer, Refusal> {
        let broken = |why: lb_pair::wire::WireError| Refusal::new(chain(&why), "try again");
        if let Some(first) = first {
            write_frame(&mut stream, &first).await.map_err(broken)?;
        }
        loop {
            let frame = read_frame(&mut stream, MAX_MESSAGE).await.map_err(broken)?;
            let Some(frame) = frame else {
                return Err(Refusal::new("the other unit hung up".to_owned(), "try again"));
            };
            let (mut paired, mut failed) = (None, None);
            for output in machine.step(&frame, self.now()) {
                match output {
                    // Who is kept stays, told or not.
                    Output::Send(message) if paired.is_some() => drop(write_frame(&mut stream, &message).await),
                    Output::Send(message) => write_frame(&mut stream, &message).await.map_err(broken)?,
                    Output::Paired(agreed) => paired = Some(self.keep(*agreed).await?),
                    Output::Failed(failure) => failed = Some(failure),
                }
            }
            match (paired, failed) {
                (Some(peer), _) => return Ok(peer),
                (None, Some(failure)) => return Err(failure.into()),
                (None, None) => {}
            }
        }
    }

    async fn over_serial(
        self: &Arc<Self>,
        line: &Line,
        mut cable: Cable,
        mut machine: Machine,
        first: Option<Vec<u8>>,
    ) -> Result<Peer, Refusal> {
        let waits = matches!(machine, Machine::Wait { .. });
        let mut paired: Option<(Peer, Duration)> = None;
        let mut todo: VecDeque<Act> = first.map(|first| cable.send(first, self.now())).unwrap_or_default().into();
        loop {
            while let Some(act) = todo.pop_front() {
                let outputs = match act {
                    Act::Write(bytes) => match (line.write(&bytes).await, &paired) {
                        (Ok(()), _) => continue,
                        (Err(_), Some((peer, _))) => return Ok(peer.clone()),
                        (Err(why), None) => return Err(broken_cable(&why)),
                    },
                    Act::Opened => {
                        machine.opened(self)?;
                        continue;
                    }
                    Act::Broken if paired.is_some() || waits => continue,
                    Act::Broken => {
                        return Err(Refusal::new(
                            "nobody answers at the other end of the cable".to_owned(),
                            "let the other unit wait for its peer first, and check the cable",
                        ));
                    }
                    Act::Message(message) => machine.step(&message, self.now()),
                };
                for output in outputs {
                    match output {
                        Output::Send(message) => todo.extend(cable.send(message, self.now())),
                        Output::Paired(agreed) => {
                            paired = Some((self.keep(*agreed).await?, self.now() + self.settings.limits.linger));
                        }
                        // A unit that waits goes on waiting for the next call.
                        Output::Failed(failure) if waits => tracing::warn!("pairing: the cable was refused: {failure}"),
                        Output::Failed(failure) => return Err(failure.into()),
                    }
                }
            }
            // Who waits stays until its last word has arrived; who called answers once more if its answer is lost.
            if let Some((peer, until)) = &paired
                && (self.now() >= *until || (waits && cable.idle()))
            {
                return Ok(peer.clone());
            }
            let moments = [cable.deadline(), machine.deadline(), paired.as_ref().map(|(_, until)| *until)];
            tokio::select! {
                bytes = line.read() => match (bytes, &paired) {
                    (Ok(bytes), _) => todo.extend(cable.receive(&bytes, self.now())),
                    (Err(_), Some((peer, _))) => return Ok(peer.clone()),
                    (Err(why), None) => return Err(broken_cable(&why)),
                },
                () = sleep_until(self.at(moments.into_iter().flatten().min())) => {
                    todo.extend(cable.tick(self.now()));
                    for output in machine.tick(self.now()) {
                        match output {
                            Output::Failed(failure) if !waits => return Err(failure.into()),
                            Output::Send(message) => todo.extend(cable.send(message, self.now())),
                            Output::Failed(_) | Output::Paired(_) => {}
                        }
                    }
                }
            }
        }
    }
}

/// One side of an attempt.
enum Machine {
    Call(Call),
    Wait { wait: Option<Wait>, offer: Arc<Mutex<Offer>> },
}

impl Machine {
    fn opened(&mut self, pairing: &Pairing) -> Result<(), Refusal> {
        if let Machine::Wait { wait, .. } = self {
            *wait = Some(Wait::new(pairing.card.clone(), seed()?, pairing.now()));
        }
        Ok(())
    }

    fn step(&mut self, message: &[u8], now: Duration) -> Vec<Output> {
        match self {
            Machine::Call(call) => call.step(message, now),
            Machine::Wait { wait: Some(wait), offer } => wait.step(&mut lock(offer), message, now),
            Machine::Wait { wait: None, .. } => Vec::new(),
        }
    }

    fn tick(&mut self, now: Duration) -> Vec<Output> {
        match self {
            Machine::Call(call) => call.tick(now),
            Machine::Wait { wait: Some(wait), offer } => wait.tick(&mut lock(offer), now),
            Machine::Wait { wait: None, .. } => Vec::new(),
        }
    }

    fn deadline(&self) -> Option<Duration> {
        match self {
            Machine::Call(call) => call.deadline(),
            Machine::Wait { wait, .. } => wait.as_ref().and_then(Wait::deadline),
        }
    }
}

/// What a unit shows of its peer.
pub fn view(peer: &Peer) -> PairedView {
    PairedView {
        unit: peer.unit,
        hostname: peer.card.hostname.to_string(),
        addresses: peer.card.addresses.iter().map(|address| address.network).collect(),
        fingerprint: peer.card.certificate.fingerprint().to_string(),
    }
}

pub fn code() -> Result<Code, Refusal> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| no_randomness())?;
    Ok(Code::from_random(bytes))
}

fn seed() -> Result<Seed, Refusal> {
    let mut seed = Seed::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|_| no_randomness())?;
    Ok(seed)
}

fn broken_cable(why: &std::io::Error) -> Refusal {
    Refusal::new(why.to_string(), "check the cable and the serial port")
}

fn no_randomness() -> Refusal {
    Refusal::new("this unit has no random numbers".to_owned(), "try again")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal::new(failure.to_string(), failure.hint())
    }
}

impl Limits {
    pub const USUAL: Limits = Limits { attempt: Duration::from_secs(15), linger: Duration::from_secs(2) };
}
