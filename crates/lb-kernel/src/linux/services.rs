//! IPVS: batches out, tables in, and what of it is ours.

pub(super) mod convert;

use super::journal::Journal;
use crate::Cause;
use ipvs::{ErrorKind, Ipvs, Request};
use lb_model::Timeouts;
use lb_plan::{Action, Service, ServiceKey};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

pub(super) struct Services {
    /// Opened when it is first needed and again after a failure: a late answer must not meet the next request.
    socket: Option<Ipvs>,
    journal: Journal,
}

impl Services {
    pub(super) fn open(run: &Path) -> Result<Self, Cause> {
        Ok(Services { socket: None, journal: Journal::open(run.join("owned"))? })
    }

    /// Runs `f` on the socket, and gives the socket up where the failure leaves it in doubt.
    fn with_socket<T>(&mut self, f: impl FnOnce(&mut Ipvs) -> Result<T, ipvs::Error>) -> Result<T, Cause> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            None => self.socket.insert(Ipvs::open()?),
        };
        let result = f(socket);
        if matches!(&result, Err(error) if error.kind().is_none()) {
            self.socket = None;
        }
        Ok(result?)
    }

    pub(super) fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), Cause> {
        let Timeouts { tcp, tcp_fin, udp } = timeouts;
        self.with_socket(|socket| socket.set_timeouts(ipvs::Timeouts { tcp, tcp_fin, udp }))
    }

    pub(super) fn observe(&mut self) -> Result<(Timeouts, BTreeMap<ServiceKey, Service>), Cause> {
        let ipvs::Timeouts { tcp, tcp_fin, udp } = self.with_socket(Ipvs::timeouts)?;
        let table = self.with_socket(Ipvs::table)?;
        let services = table
            .into_iter()
            .filter_map(|(entry, dests)| {
                let key = convert::key(&entry.service.id)?;
                let dests = dests.iter().map(|d| (convert::dest_key(&d.dest), convert::dest(&d.dest))).collect();
                Some((key, convert::service(entry.service, dests)))
            })
            .collect();
        Ok((Timeouts { tcp, tcp_fin, udp }, services))
    }

    pub(super) fn owned(&self, services: &BTreeMap<ServiceKey, Service>) -> BTreeSet<ServiceKey> {
        services.keys().filter(|k| self.journal.contains(k)).copied().collect()
    }

    /// IPVS actions alone; one result each.
    pub(super) fn execute(&mut self, actions: &[Action]) -> Vec<Result<(), Cause>> {
        let mut requests = Vec::with_capacity(actions.len());
        let mut bad = BTreeMap::new();
        for (i, action) in actions.iter().enumerate() {
            match convert::request(action) {
                Some(request) => requests.push(request),
                None => {
                    bad.insert(i, Cause::Refused("mark 0 means no mark".into()));
                }
            }
        }
        let claimed = actions.iter().filter_map(|action| match action {
            Action::AddService { key, .. } | Action::SetService { key, .. } => Some(key),
            _ => None,
        });
        if let Err(error) = self.journal.add(claimed) {
            // A service that we would forget we made must not be made.
            let again = || std::io::Error::new(error.kind(), format!("the journal of our IPVS services: {error}"));
            return actions.iter().map(|_| Err(Cause::Io(again()))).collect();
        }
        let mut answers = self.batch(&requests).into_iter();
        let mut results = Vec::with_capacity(actions.len());
        for (i, action) in actions.iter().enumerate() {
            results.push(match bad.remove(&i) {
                Some(cause) => Err(cause),
                None => done_before(action, answers.next().unwrap_or(Ok(()))),
            });
        }
        let released = actions.iter().zip(&results).filter_map(|(action, result)| match (action, result) {
            (Action::DelService(key), Ok(())) => Some(key),
            _ => None,
        });
        if let Err(error) = self.journal.remove(released) {
            // It stays ours on paper, and there is nothing of that name in the kernel.
            tracing::warn!(%error, "cannot strike removed services out of the journal");
        }
        results
    }

    fn batch(&mut self, requests: &[Request]) -> Vec<Result<(), Cause>> {
        match self.with_socket(|socket| Ok(socket.batch(requests))) {
            Ok(results) => {
                // One answer in doubt is enough: it may still come, into the next batch.
                if results.iter().any(|r| matches!(r, Err(error) if error.kind().is_none())) {
                    self.socket = None;
                }
                results.into_iter().map(|r| r.map_err(Cause::from)).collect()
            }
            Err(Cause::NoIpvs) => requests.iter().map(|_| Err(Cause::NoIpvs)).collect(),
            Err(cause) => {
                let why = std::error::Error::source(&cause).map(|s| format!(": {s}")).unwrap_or_default();
                requests.iter().map(|_| Err(Cause::Refused(format!("{cause}{why}")))).collect()
            }
        }
    }
}

/// What was done already is done.
fn done_before(action: &Action, result: Result<(), Cause>) -> Result<(), Cause> {
    let Err(Cause::Ipvs(error)) = &result else { return result };
    match (action, error.kind()) {
        (Action::AddService { .. }, Some(ErrorKind::ServiceExists))
        | (Action::AddDest { .. }, Some(ErrorKind::DestExists))
        | (Action::DelService(_), Some(ErrorKind::NoSuchService))
        | (Action::DelDest { .. }, Some(ErrorKind::NoSuchDest | ErrorKind::NoSuchService)) => Ok(()),
        _ => result,
    }
}
