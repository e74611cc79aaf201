//! The one task that owns the pair on this unit: requests in, pairing or channel started and ended.

use super::{
    Refusal, Request, Settings, Shared, Status, channel,
    pairing::{self, Pairing},
    session::{Order, chain},
    shelf::Shelf,
    unix_now,
};
use lb_api::{PairingStep, PairingView};
use lb_pair::{Card, Code, Identity, Offer, Peer, identity::IdentityError, peer_file};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

/// How long unpairing waits for the peer to have heard of it.
const PARTING: Duration = Duration::from_secs(2);

/// Owns the pair on this unit: which peer it has, and what is done about it.
pub struct Actor<S> {
    settings: Arc<Settings>,
    shared: Arc<Shared<S>>,
    view: watch::Sender<PairingView>,
    work: Work,
}

/// What is under way; at most one.
enum Work {
    None,
    Pairing { pairing: Arc<Pairing>, task: Task<Result<Peer, Refusal>>, serial_error: mpsc::Receiver<Option<String>> },
    Channel { task: Task<()>, orders: mpsc::Sender<Order> },
}

/// A task that ends when it is dropped.
struct Task<T>(JoinHandle<T>);

impl<T> Task<T> {
    /// When this returns, what it held is free.
    async fn end(&mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the actor hears of its work.
enum Heard {
    Paired(Box<Result<Peer, Refusal>>),
    SerialError(Option<String>),
    ChannelEnded,
}

impl Work {
    async fn hear(&mut self) -> Heard {
        match self {
            Work::None => std::future::pending().await,
            Work::Channel { task, .. } => {
                let _ = (&mut task.0).await;
                Heard::ChannelEnded
            }
            Work::Pairing { task, serial_error, .. } => tokio::select! {
                biased;
                Some(error) = serial_error.recv() => Heard::SerialError(error),
                ended = &mut task.0 => {
                    let ended = ended.unwrap_or_else(|e| Err(Refusal::new(e.to_string(), "try again")));
                    Heard::Paired(Box::new(ended))
                }
            },
        }
    }
}

impl<S: Shelf> Actor<S> {
    pub fn new(settings: Settings, shared: Arc<Shared<S>>, view: watch::Sender<PairingView>) -> Actor<S> {
        Actor { settings: Arc::new(settings), shared, view, work: Work::None }
    }

    pub async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        match Peer::open(&self.settings.dir) {
            Ok(None) => {}
            Ok(Some(peer)) => self.take_up(peer),
            Err(why) => self.alarm(chain(&why)),
        }
        loop {
            tokio::select! {
                request = inbox.recv() => match request {
                    Some(request) => self.request(request).await,
                    None => return,
                },
                heard = self.work.hear() => self.hear(heard).await,
            }
        }
    }

    async fn request(&mut self, request: Request) {
        match request {
            Request::Step(step, answer) => {
                let done = self.step(step).await;
                let _ = answer.send(done);
            }
            Request::Unpair(answer) => {
                let done = self.unpair().await;
                let _ = answer.send(done);
            }
            Request::Resolve(keep, answer) => {
                let Work::Channel { orders, .. } = &self.work else {
                    let _ = answer.send(Err(Refusal::new("this unit has no peer", "pair it with another one first")));
                    return;
                };
                let (asked, answered) = oneshot::channel();
                let sent = orders.try_send(Order::Resolve(keep, asked)).is_ok();
                // The session answers at once, but this loop must not wait for it.
                tokio::spawn(async move {
                    let done = if sent { answered.await.ok() } else { None };
                    let _ = answer.send(match done {
                        Some(done) => done.map_err(Refusal::from),
                        None => Err(Refusal::new("the peer cannot be reached", "switch it on, and check the network")),
                    });
                });
            }
            Request::Table(word) => {
                if let Work::Channel { orders, .. } = &self.work {
                    let _ = orders.try_send(Order::Table(word));
                }
            }
        }
    }

    async fn step(&mut self, step: PairingStep) -> Result<(), Refusal> {
        if self.shared.status.borrow().peer.is_some() {
            return Err(Refusal::new("this unit is one of a pair already", "end the pair first"));
        }
        // Whatever was under way ends before the port or the cable is used again.
        if let Work::Pairing { pairing, task, .. } = &mut self.work {
            let kept = pairing.close().await;
            task.end().await;
            self.work = Work::None;
            self.view.send_replace(PairingView::Idle);
            let Some(peer) = kept else { return Box::pin(self.step(step)).await };
            // It was kept in the very moment in which the user gave up or began anew.
            self.paired(peer).await;
            return Err(Refusal::new("the units were paired just now", "end the pair first"));
        }
        let (told, serial_error) = mpsc::channel(4);
        let (pairing, task) = match step {
            PairingStep::Cancel {} => {
                self.view.send_replace(PairingView::Idle);
                return Ok(());
            }
            PairingStep::Wait {} => {
                let pairing = self.pairing().await?;
                let offer = Offer::new(pairing::code()?, Duration::ZERO);
                let listener = TcpListener::bind(self.settings.listen).await.map_err(|e| {
                    let reason = format!("this unit cannot listen on TCP port {}: {e}", self.settings.listen.port());
                    Refusal::new(reason, "try again in a minute")
                })?;
                let until = unix_now() + lb_pair::pairing::VALID.as_secs();
                let code = offer.code().shown().unwrap_or_default();
                self.view.send_replace(PairingView::Waiting { code, until, serial_error: None });
                (pairing.clone(), tokio::spawn(pairing.wait(offer, listener, told)))
            }
            PairingStep::CallSerial {} => {
                let pairing = self.pairing().await?;
                let text = format!("calling over {}", self.settings.serial.display());
                self.view.send_replace(PairingView::Working { text });
                (pairing.clone(), tokio::spawn(pairing.call_serial()))
            }
            PairingStep::CallNetwork { address, code } => {
                let code: Code = code.parse().map_err(|_| {
                    let reason = format!("a pairing code has {} digits", lb_pair::code::DIGITS);
                    Refusal::new(reason, "it is shown by the unit that waits")
                })?;
                let pairing = self.pairing().await?;
                self.view.send_replace(PairingView::Working { text: format!("calling {address}") });
                (pairing.clone(), tokio::spawn(pairing.call_network(address, code)))
            }
        };
        self.work = Work::Pairing { pairing, task: Task(task), serial_error };
        Ok(())
    }

    async fn pairing(&self) -> Result<Arc<Pairing>, Refusal> {
        let current = self.shared.shelf.current().await.ok_or_else(|| Refusal::new("lbd stops", "try again"))?;
        let certificate = self.identity(true)?.certificate().clone();
        let mut addresses = current.addresses;
        addresses.truncate(lb_pair::card::MOST_ADDRESSES);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let card = Card { certificate, hostname: current.hostname, version, addresses };
        Ok(Arc::new(Pairing::new(self.settings.clone(), card)))
    }

    /// `renew`: nobody knows the old one, so one that is damaged may be replaced.
    fn identity(&self, renew: bool) -> Result<Identity, Refusal> {
        let opened = match Identity::open(&self.settings.dir) {
            Err(IdentityError::Damaged(why)) if renew => {
                tracing::warn!("peer: the identity of this unit is replaced: {why}");
                Identity::renew(&self.settings.dir)
            }
            opened => opened,
        };
        opened.map_err(|e| Refusal::new(chain(&e), "look at the system log"))
    }

    async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::SerialError(error) => {
                self.view.send_if_modified(|view| match view {
                    PairingView::Waiting { serial_error, .. } => {
                        *serial_error = error;
                        true
                    }
                    _ => false,
                });
            }
            Heard::Paired(result) => {
                self.work = Work::None;
                match *result {
                    Ok(peer) => self.paired(peer).await,
                    Err(Refusal { reason, hint }) => {
                        tracing::warn!("pairing: {reason}");
                        self.view.send_replace(PairingView::Failed { reason, hint });
                    }
                }
            }
            // It has said why.
            Heard::ChannelEnded => self.work = Work::None,
        }
    }

    async fn paired(&mut self, peer: Peer) {
        let (hostname, unit) = (&peer.card.hostname, peer.unit);
        tracing::info!("change: this unit is unit {unit} of a pair with {hostname} from now on");
        self.shared.shelf.paired(unit).await;
        self.take_up(peer);
    }

    fn take_up(&mut self, peer: Peer) {
        self.view.send_replace(PairingView::Done(pairing::view(&peer)));
        self.shared.status.send_modify(|status| *status = Status { peer: Some(peer.clone()), ..Status::default() });
        let identity = match self.identity(false) {
            Ok(identity) => identity,
            Err(why) => return self.alarm(why.reason),
        };
        let (orders, taken) = mpsc::channel(16);
        let task = tokio::spawn(channel::run(self.shared.clone(), self.settings.clone(), identity, peer, taken));
        self.work = Work::Channel { task: Task(task), orders };
    }

    async fn unpair(&mut self) -> Result<(), Refusal> {
        let known = self.shared.status.borrow().clone();
        if known.peer.is_none() && known.alarm.is_none() {
            return Err(Refusal::new("this unit is not one of a pair", "nothing is to be done"));
        }
        if let Work::Channel { orders, task } = &mut self.work {
            let (answer, answered) = oneshot::channel();
            if orders.try_send(Order::Bye("the pair was ended there".into(), answer)).is_ok() {
                let _ = timeout(PARTING, answered).await;
            }
            task.end().await;
        }
        self.work = Work::None;
        peer_file::forget(&self.settings.dir)
            .map_err(|e| Refusal::new(format!("forgetting the peer: {e}"), "look at the system log"))?;
        tracing::info!("change: this unit is not one of a pair any more");
        self.shared.status.send_replace(Status::default());
        self.view.send_replace(PairingView::Idle);
        self.shared.shelf.unpaired().await;
        Ok(())
    }

    fn alarm(&self, text: String) {
        tracing::error!("alarm: {text}");
        self.shared.status.send_modify(|status| status.alarm = Some(text));
    }
}
