//! The engine and the heartbeat, as the peer's tasks see them: [`Shelf`] over the engine's inbox.

use crate::{
    engine::{Event, pair},
    hot,
    peer::{Current, Handle, NotCommitted, Pushed, Revision, Shelf, Status},
};
use lb_api::{HaRole, PeerView};
use lb_ha::{State, control::Report};
use lb_model::{Config, HeartbeatPath, NodeId};
use lb_pair::{UnitAddress, wire::Table};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, mpsc},
};
use tokio::sync::{oneshot, watch};

/// lbadmin's port for HTTPS.
const WEB_PORT: u16 = 9443;

/// Asks the engine; every answer is a message away.
pub struct EngineShelf {
    events: mpsc::Sender<Event>,
    heartbeat: watch::Receiver<Option<Report>>,
    changes: watch::Receiver<u64>,
    facts: Mutex<pair::Facts>,
    hot: watch::Receiver<hot::View>,
    /// What the peer says of the connection table, for [`hot`].
    tables: tokio::sync::mpsc::Sender<Table>,
}

impl EngineShelf {
    /// `changes` moves whenever the engine has another revision or the heartbeat another role: see [`changes`].
    pub fn new(
        events: mpsc::Sender<Event>,
        heartbeat: watch::Receiver<Option<Report>>,
        changes: watch::Receiver<u64>,
        facts: pair::Facts,
        hot: watch::Receiver<hot::View>,
        tables: tokio::sync::mpsc::Sender<Table>,
    ) -> EngineShelf {
        EngineShelf { events, heartbeat, changes, facts: Mutex::new(facts), hot, tables }
    }

    async fn ask<T>(&self, event: impl FnOnce(oneshot::Sender<T>) -> Event) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.events.send(event(answer)).ok()?;
        answered.await.ok()
    }

    fn tell(&self, change: impl FnOnce(&mut pair::Facts)) {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut facts);
        let _ = self.events.send(Event::Pair(facts.clone()));
    }

    /// Tells the engine for ever who serves, who edits, and what is wrong with the pair.
    pub async fn keep_told(self: Arc<Self>, peer: Handle) {
        let mut status = peer.watch();
        let mut hot = self.hot.clone();
        let mut heartbeat = self.heartbeat.clone();
        loop {
            let serves = serves(heartbeat.borrow_and_update().as_ref());
            let cold = hot.borrow_and_update().alarm.clone();
            let (editor, alarms) = {
                let status = status.borrow_and_update();
                let alarms = status.alarm.iter().cloned().chain(diverged(&status)).chain(cold);
                (editor(&status), alarms.collect())
            };
            self.tell(|facts| {
                facts.serves = serves;
                facts.editor = editor;
                facts.alarms = alarms;
            });
            let changed = tokio::select! {
                changed = status.changed() => changed,
                changed = hot.changed() => changed,
                changed = heartbeat.wait_for(|report| self::serves(report.as_ref()) != serves) => changed.map(drop),
            };
            if changed.is_err() {
                return;
            }
        }
    }
}

/// None: nobody says so.
fn serves(report: Option<&Report>) -> Option<bool> {
    report.map(|report| report.status.state == State::Active)
}

fn editor(status: &Status) -> Option<pair::Editor> {
    let seen = status.seen.as_ref().filter(|_| status.peer_edits())?;
    Some(pair::Editor { hostname: seen.hostname.clone(), web: seen.web.clone() })
}

/// What is not in order with the replication, where people must do something.
fn diverged(status: &Status) -> Option<String> {
    use lb_api::ReplicationState::{Behind, Diverged, InSync, Refused, Unreachable};
    let replication = status.replication.as_ref()?;
    match replication.state {
        Diverged | Refused => Some(replication.detail.clone()),
        InSync | Behind | Unreachable => None,
    }
}

/// The other unit, as far as the configuration's channel knows it.
pub fn peer_view(status: &Status) -> Option<PeerView> {
    let peer = status.peer.as_ref()?;
    let seen = status.seen.as_ref();
    Some(PeerView {
        hostname: seen.map_or_else(|| peer.card.hostname.to_string(), |seen| seen.hostname.clone()),
        role: HaRole::Unknown,
        web: seen.and_then(|seen| seen.web.clone()),
        fingerprint: peer.card.certificate.fingerprint().to_string(),
        ..PeerView::default()
    })
}

fn active(report: Option<&Report>) -> bool {
    serves(report).unwrap_or_default()
}

/// Whether this unit serves, as its heartbeat says.
pub async fn serving(mut heartbeat: watch::Receiver<Option<Report>>, told: watch::Sender<bool>) {
    loop {
        let is = active(heartbeat.borrow_and_update().as_ref());
        told.send_if_modified(|was| std::mem::replace(was, is) != is);
        if heartbeat.changed().await.is_err() {
            return;
        }
    }
}

/// A number that moves with the engine's revisions, with this unit's role, and with what it says of the connections.
pub async fn changes(
    mut engine: watch::Receiver<u64>,
    mut serves: watch::Receiver<bool>,
    mut hot: watch::Receiver<hot::View>,
    told: watch::Sender<u64>,
) {
    let said = |view: &hot::View| (view.ready, view.tells);
    let mut was = said(&hot.borrow());
    loop {
        let moved = tokio::select! {
            changed = engine.changed() => changed.map(|()| true),
            changed = serves.changed() => changed.map(|()| true),
            changed = hot.changed() => changed.map(|()| {
                let is = said(&hot.borrow_and_update());
                std::mem::replace(&mut was, is) != is
            }),
        };
        match moved {
            Ok(true) => told.send_modify(|number| *number += 1),
            Ok(false) => {}
            Err(_) => return,
        }
    }
}

/// The unit's own addresses, and where the peer can be reached.
fn peer_addresses(config: &Config) -> Vec<IpAddr> {
    let Some((unit, heartbeat)) = config.pair() else { return Vec::new() };
    let udp = |path: &HeartbeatPath| match path {
        HeartbeatPath::Udp(udp) => Some(udp.of(unit.other())),
        HeartbeatPath::Serial(_) => None,
    };
    heartbeat.paths.iter().filter_map(udp).collect()
}

/// Where this unit's web interface answers: on the address of its first path, or on its first.
fn web(config: &Config) -> Option<String> {
    let path = config.pair().and_then(|(unit, heartbeat)| {
        heartbeat.paths.iter().find_map(|path| match path {
            HeartbeatPath::Udp(udp) => Some(udp.of(unit)),
            HeartbeatPath::Serial(_) => None,
        })
    });
    let first =
        || config.node.interfaces.iter().flat_map(|interface| &interface.addresses).next().map(|net| net.addr());
    let address = path.or_else(first)?;
    Some(format!("https://{}", std::net::SocketAddr::new(address, WEB_PORT)))
}

impl Shelf for EngineShelf {
    async fn current(&self) -> Option<Current> {
        let told = self.ask(Event::Told).await?;
        let config = &told.config;
        let (ready, hot) = {
            let view = self.hot.borrow();
            (view.ready, view.tells)
        };
        let addresses = config.node.interfaces.iter().flat_map(|interface| {
            let name = interface.name.to_string();
            interface.addresses.iter().map(move |network| UnitAddress { interface: name.clone(), network: *network })
        });
        Some(Current {
            hostname: config.node.hostname.clone(),
            web: web(config),
            addresses: addresses.collect(),
            peer_addresses: peer_addresses(config),
            active: active(self.heartbeat.borrow().as_ref()),
            history: told.history,
            ready,
            hot,
        })
    }

    async fn newest(&self) -> Option<Revision> {
        let newest = self.ask(Event::Newest).await??;
        // Written here, beside the engine: a large configuration takes its time.
        let document = serde_json::to_string(&newest.config.shared()).ok()?;
        Some(Revision {
            version: newest.version,
            author: newest.author,
            comment: newest.comment,
            at: newest.at,
            document: document.into(),
            certificates: newest.certificates,
        })
    }

    async fn commit(&self, pushed: Pushed) -> Result<(), NotCommitted> {
        let Pushed { revision, ground } = pushed;
        let Revision { version, author, comment, at: _, document, certificates } = revision;
        let pushed = Box::new(pair::Pushed { version, ground, author, comment, document, certificates });
        match self.ask(|answer| Event::Pushed { pushed, answer }).await {
            Some(Ok(())) => Ok(()),
            Some(Err(pair::NotTaken::Stale(newest))) => Err(NotCommitted::Stale(newest)),
            Some(Err(pair::NotTaken::Problems(problems))) => Err(NotCommitted::Problems(problems)),
            None => Err(NotCommitted::Problems(Vec::new())),
        }
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    async fn paired(&self, unit: NodeId) {
        self.tell(|facts| facts.unit = Some(unit));
    }

    async fn unpaired(&self) {
        self.tell(|facts| *facts = pair::Facts::default());
    }

    async fn table(&self, word: Table) {
        // One that finds no room is asked for again.
        let _ = self.tables.try_send(word);
    }
}
