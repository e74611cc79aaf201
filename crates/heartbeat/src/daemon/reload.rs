//! What the loop does when `ha.json` or the keys have changed, or there is no pair any more.

use super::Daemon;
use crate::{hands::Order, listen, paths::Paths};
use lb_ha::{Document, Event, State};
use std::time::Duration;

impl Daemon {
    /// What makes no sense is told, and what was in force stays so.
    pub(super) fn read_anew(&mut self) {
        self.stamps = self.places.files.stamp();
        if self.stamps.0.is_missing() {
            self.log.info("ha.json is gone: there is no pair any more, and lbd takes the addresses over");
            self.hands.order(Order::Bequeath);
            return;
        }
        match self.places.files.codec() {
            Ok(codec) => self.codec = codec,
            Err(error) => self.log.warn(format!("{error:#}; the keys stay as they are")),
        }
        match self.places.files.document() {
            Ok(document) if document == self.document => {}
            Ok(document) if document.me != self.document.me => {
                self.log.warn("ha.json says that this is the other node; that needs a restart of heartbeat");
            }
            Ok(document) => self.obey(document),
            Err(error) => self.log.warn(format!("{error:#}; what was in force stays so")),
        }
    }

    pub(super) fn obey(&mut self, document: Document) {
        self.log.info("ha.json has changed and is in force");
        set_paths(&mut self.paths, &document);
        let holds = matches!(self.node.core().state(), State::Acquiring | State::Active);
        if document.floating != self.document.floating || document.settings.lease_ms != self.document.settings.lease_ms
        {
            self.hands.order(change(&document, holds));
        }
        self.listener.set(&document);
        self.ping_nodes.send_replace(document.settings.ping_nodes.clone());
        let settings = Box::new(document.settings.clone());
        self.document = document;
        self.handle(Event::Settings(settings));
        self.tell_fitness();
    }
}

pub(super) fn set_paths(paths: &mut Paths, document: &Document) {
    let names = document.settings.paths.iter().map(|path| path.name.clone());
    paths.set(names.zip(document.transports.iter().cloned()));
}

pub(super) fn change(document: &Document, holds: bool) -> Order {
    let lease = Duration::from_millis(u64::from(document.settings.lease_ms));
    Order::Change { addresses: listen::floating(document), lease, holds }
}
