//! lbd as the pages see it: its client, with what is asked for on every page kept until it changes.

use lb_api::{
    ApplyRequest, CandidateView, Client, ClientError, ErrorCode, HaRole, HaView, PairingView, PutCandidate, Running,
    StateRequest, Status, Summary,
};
use lb_model::Config;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// A status younger than this is shown again.
const FRESH: Duration = Duration::from_millis(1500);

/// How long a page waits to learn of the pair; whether the heartbeat answers keeps no page from anybody.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often an edit is repeated on top of somebody else's before giving up.
const ATTEMPTS: usize = 5;

/// Revision that runs, and state of the candidate.
type Key = (u64, u64);

pub struct Backend {
    pub client: Client,
    candidate: Mutex<Option<(Key, Arc<CandidateView>)>>,
    running: Mutex<Option<Arc<Running>>>,
    status: Mutex<Option<(Instant, Arc<Status>)>>,
    ha: Mutex<Option<(Instant, Arc<HaView>)>>,
}

/// What became of an edit.
pub enum Edit<E> {
    /// It is in the candidate.
    Pending(Arc<CandidateView>),
    /// The closure refused.
    Refused(E),
}

/// The lock-down may leave somebody out by `new` whom it let in by `old`: it is turned on, or a network goes.
pub fn locks(old: &Config, new: &Config) -> bool {
    let (old, new) = (&old.globals.lockdown, &new.globals.lockdown);
    new.enabled && !(old.enabled && old.networks.iter().all(|net| new.networks.contains(net)))
}

impl Backend {
    pub fn new(socket: &Path) -> Self {
        Backend {
            client: Client::new(socket),
            candidate: Mutex::default(),
            running: Mutex::default(),
            status: Mutex::default(),
            ha: Mutex::default(),
        }
    }

    pub async fn summary(&self) -> Result<Summary, ClientError> {
        self.client.summary().await
    }

    /// What is being edited: the candidate, or what runs when there is none. Read again only when it has changed.
    pub async fn candidate(&self) -> Result<Arc<CandidateView>, ClientError> {
        let summary = self.summary().await?;
        self.candidate_of(&summary).await
    }

    pub async fn candidate_of(&self, summary: &Summary) -> Result<Arc<CandidateView>, ClientError> {
        let key = (summary.revision, summary.candidate_etag);
        let mut kept = self.candidate.lock().await;
        if let Some((_, view)) = kept.as_ref().filter(|(of, _)| *of == key) {
            return Ok(view.clone());
        }
        let view = Arc::new(self.client.candidate().await?);
        // Somebody may have edited between the two questions: then the key does not fit and the next page asks again.
        *kept = Some(((summary.revision, view.etag), view.clone()));
        Ok(view)
    }

    /// The running configuration; read again only when another revision runs.
    pub async fn running(&self) -> Result<Arc<Running>, ClientError> {
        let revision = self.summary().await?.revision;
        let mut kept = self.running.lock().await;
        if let Some(running) = kept.as_ref().filter(|r| r.revision.number == revision) {
            return Ok(running.clone());
        }
        let running = Arc::new(self.client.running().await?);
        *kept = Some(running.clone());
        Ok(running)
    }

    /// The candidate changes how this unit is reached: addresses, gateways, routes, or who may.
    pub async fn cuts_off(&self, candidate: &CandidateView) -> Result<bool, ClientError> {
        let running = self.running().await?;
        let (old, new) = (&running.config, &candidate.config);
        let reach = |c: &Config| (c.node.interfaces.clone(), c.node.gateway, c.node.gateway6, c.node.routes.clone());
        Ok(reach(old) != reach(new) || locks(old, new))
    }

    /// At most [`FRESH`] old, asked for once however many pages want it.
    pub async fn status(&self) -> Result<Arc<Status>, ClientError> {
        let mut kept = self.status.lock().await;
        if let Some((_, status)) = kept.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(status.clone());
        }
        let status = Arc::new(self.client.status().await?);
        *kept = Some((Instant::now(), status.clone()));
        Ok(status)
    }

    /// After something was done, so that the next page shows it.
    pub async fn forget_status(&self) {
        *self.status.lock().await = None;
        *self.ha.lock().await = None;
    }

    /// The pair, at most [`FRESH`] old. What cannot be learnt is the role `unknown`, with the reason.
    pub async fn ha(&self) -> Arc<HaView> {
        let mut kept = self.ha.lock().await;
        if let Some((_, ha)) = kept.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return ha.clone();
        }
        let unknown = |why: String| HaView { role: HaRole::Unknown, why, ..HaView::default() };
        let ha = match tokio::time::timeout(PATIENCE, self.client.ha()).await {
            Ok(Ok(ha)) => ha,
            // An lbd that knows of no pairs.
            Ok(Err(ClientError::Refused(e))) if e.code == ErrorCode::NotFound => HaView::default(),
            Ok(Err(error)) => unknown(error.to_string()),
            Err(_) => unknown(format!("the state of the pair was not known within {} s", PATIENCE.as_secs())),
        };
        let ha = Arc::new(ha);
        *kept = Some((Instant::now(), ha.clone()));
        ha
    }

    /// How far the pairing is.
    pub async fn pairing(&self) -> Result<PairingView, ClientError> {
        match self.client.pairing().await {
            Err(ClientError::Refused(e)) if e.code == ErrorCode::NotFound => Ok(PairingView::Idle),
            other => other,
        }
    }

    /// Takes the candidate through `change` and puts it back; once more on top of what somebody else put meanwhile.
    pub async fn edit<E>(
        &self,
        author: &str,
        mut change: impl FnMut(&Config) -> Result<Config, E>,
    ) -> Result<Edit<E>, ClientError> {
        let mut tried = None;
        for attempt in 1.. {
            let view = self.candidate().await?;
            let key = (view.base, view.etag);
            let config = match change(&view.config) {
                Ok(config) => config,
                Err(refused) => return Ok(Edit::Refused(refused)),
            };
            let put = PutCandidate { config, base: Some(view.base), etag: Some(view.etag), author: author.to_owned() };
            match self.client.put_candidate(&put).await {
                Ok(view) => return Ok(Edit::Pending(Arc::new(view))),
                // A conflict over the same candidate as before is about something else, such as whose turn it is.
                Err(ClientError::Refused(e))
                    if e.code == ErrorCode::Conflict && attempt < ATTEMPTS && tried != Some(key) =>
                {
                    tried = Some(key);
                }
                Err(e) => return Err(e),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Online, offline or drain, at once.
    pub async fn set_state(&self, request: &StateRequest) -> Result<lb_api::Applied, ClientError> {
        let applied = self.client.set_state(request).await;
        self.forget_status().await;
        applied
    }

    pub async fn apply(&self, request: &ApplyRequest) -> Result<lb_api::Applied, ClientError> {
        let applied = self.client.apply(request).await;
        self.forget_status().await;
        applied
    }
}
