//! The life of a configuration: apply, history, rollback.

use super::{Engine, Now, opening::view, reconcile::shown, record, reply::RunningView, waiting::Halt};
use lb_api::{
    ApiError, Applied, ApplyRequest, ErrorCode, PlanRequest, PlanView, RevisionView, RollbackRequest, StateRequest,
};
use lb_kernel::Kernel;
use lb_model::{Config, Label, Problem, RequestedState, changes, factory, migrate, problems};
use lb_pair::SharedVersion;
use lb_plan::{Drift, plan};
use lb_store::{CommitError, Confirm, NewCandidate, NewRevision, Store};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// What goes into one commit, besides the configuration.
#[derive(Default)]
pub(super) struct Note {
    /// For the log: `applied`, `rolled back with`, …
    pub(super) did: &'static str,
    pub(super) author: String,
    pub(super) comment: String,
    pub(super) confirm_within: Option<u64>,
    pub(super) clear_candidate: bool,
    pub(super) may_use_reserve: bool,
    /// Of the shared configuration, where the peer has named it.
    pub(super) version: Option<SharedVersion>,
    /// The configuration's text, where it stands in the store already; it has no problems then.
    pub(super) document: Option<String>,
    /// HAProxy is not asked first: it has run, and the way back must not be barred.
    pub(super) ran_before: bool,
}

impl<K: Kernel> Engine<K> {
    pub(super) fn running_view(&self) -> RunningView {
        RunningView { revision: self.revision.clone(), config: self.running.clone() }
    }

    pub(super) fn plan(&mut self, request: PlanRequest) -> Result<PlanView, Halt> {
        let config = match request.config {
            Some(config) => prepared(config)?,
            None => self.judged()?.applicable()?,
        };
        let obtains = config.layer7.obtained().next().is_some();
        let config = if obtains {
            let mut newest = Config::clone(&config);
            newest.layer7.keep_obtained(&self.running.layer7);
            Arc::new(newest)
        } else {
            config
        };
        let proxied = self.proxied(&config)?;
        let wanted = self.wanted(&config);
        let mut observed =
            self.kernel.observe(&wanted).map_err(|e| ApiError::new(ErrorCode::Internal, e.to_string()))?;
        if let Some(known) = &self.observed {
            observed
                .owned
                .extend(known.owned.iter().filter(|k| observed.services.contains_key(k)).copied().collect::<Vec<_>>());
        }
        let plan = plan(&wanted, &observed);
        let kernel = plan.actions.iter().map(lb_plan::Action::to_string);
        Ok(PlanView {
            changes: changes(&self.running, &config),
            actions: kernel.chain(self.layer7.preview(proxied.as_deref())).collect(),
            drift: plan.drift.iter().map(Drift::to_string).collect(),
        })
    }

    pub(super) fn apply(&mut self, request: ApplyRequest, now: Now) -> Result<Applied, Halt> {
        let mut note = Note {
            did: "applied",
            author: request.author,
            comment: request.comment,
            confirm_within: request.confirm_within,
            clear_candidate: request.config.is_none(),
            ..Note::default()
        };
        let stored = match &request.config {
            Some(_) => None,
            None => match self.store(now)?.candidate() {
                stored if request.etag.is_some_and(|seen| seen != stored.as_ref().map_or(0, |c| c.etag)) => {
                    return Err(changed_since(stored.as_ref()).into());
                }
                None => return Ok(self.nothing()),
                stored => stored,
            },
        };
        let base = stored.as_ref().map_or(request.base, |c| Some(c.base));
        if let Some(base) = base.filter(|b| *b != self.revision.number) {
            return Err(self.conflict(base).into());
        }
        self.refuse_while_unconfirmed(None)?;
        let config = match request.config {
            Some(config) => prepared(config)?,
            None => {
                let judged = self.judged()?;
                // What this lbd wrote need not be written again; an older text becomes one of today.
                note.document = stored.filter(|_| judged.written).map(|c| c.document.to_string());
                judged.applicable()?
            }
        };
        self.may_change(&config)?;
        self.keeps_in(&config, request.from)?;
        let newest = self.adopted(config.clone(), now)?;
        note.document = note.document.filter(|_| Arc::ptr_eq(&config, &newest));
        self.commit(newest, note, now)
    }

    pub(super) fn rollback(&mut self, request: RollbackRequest, now: Now) -> Result<Applied, Halt> {
        self.refuse_while_unconfirmed(Some(request.revision))?;
        let config = prepared(self.config_of(request.revision)?)?;
        let comment = match request.comment.as_str() {
            "" => format!("Roll back to revision {}", request.revision),
            comment => comment.to_owned(),
        };
        let note = Note {
            did: "rolled back with",
            author: request.author,
            comment,
            confirm_within: request.confirm_within,
            may_use_reserve: true,
            ..Note::default()
        };
        self.may_change(&config)?;
        self.keeps_in(&config, request.from)?;
        let config = self.adopted(config, now)?;
        self.commit(config, note, now)
    }

    /// Refuses a change after which whoever asks for it could not come back. Whom the lock-down leaves out already, by a
    /// connection of before, may go on.
    fn keeps_in(&self, config: &Config, from: Option<IpAddr>) -> Result<(), ApiError> {
        let Some(from) = from.filter(|from| self.running.admits(*from) && !config.admits(*from)) else {
            return Ok(());
        };
        let networks: Vec<String> = config.globals.lockdown.networks.iter().map(ToString::to_string).collect();
        let mine = config.likely_management_network(from);
        Err(ApiError::invalid(vec![Problem {
            path: "/globals/lockdown/networks".into(),
            value: networks.join(", "),
            reason: format!("you come from {}, and would be locked out", from.to_canonical()),
            hint: Some(format!("add {mine}; only at the unit's console can you lock yourself out")),
        }]))
    }

    /// Undoes a revision that nobody confirmed.
    pub(super) fn revert(&mut self, revision: u64, now: Now) -> Result<Applied, Halt> {
        let config = prepared(self.config_of(revision)?)?;
        let config = self.adopted(config, now)?;
        let comment = format!("Not confirmed in time: back to revision {revision}");
        let author = "lbd".into();
        self.commit(
            config,
            Note { did: "reverted with", author, comment, may_use_reserve: true, ran_before: true, ..Note::default() },
            now,
        )
    }

    /// At once, past the candidate, which gets the same change if it was made from what runs.
    pub(super) fn set_state(&mut self, request: StateRequest, now: Now) -> Result<Applied, Halt> {
        self.refuse_while_unconfirmed(None)?;
        let mut config = Config::clone(&self.running);
        let StateRequest { virtual_server, real_server, state, author } = request;
        if !set_state(&mut config, virtual_server.as_str(), real_server.as_str(), state) {
            return Err(self.unknown_server(virtual_server.as_str(), real_server.as_str()).into());
        }
        let base = self.revision.number;
        let candidate = self.store(now)?.candidate().filter(|c| c.base == base);
        let comment = match state {
            RequestedState::Online => format!("Take {real_server} in {virtual_server} online"),
            RequestedState::Drain => format!("Drain {real_server} in {virtual_server}"),
            RequestedState::Offline => format!("Take {real_server} in {virtual_server} offline"),
        };
        let config = prepared(config)?;
        self.may_change(&config)?;
        let applied = self.commit(config, Note { did: "applied", author, comment, ..Note::default() }, now)?;
        if let Some(candidate) = candidate.filter(|_| self.revision.number != base) {
            let mut config = read(&candidate.document)?;
            set_state(&mut config, virtual_server.as_str(), real_server.as_str(), state);
            let new = NewCandidate { base: self.revision.number, author: candidate.author, document: write(&config)? };
            self.store(now)?.set_candidate(new, None, now.unix).map_err(|e| self.commit_error(e))?;
            self.touch();
        }
        Ok(applied)
    }

    pub(super) fn history(&self, limit: usize) -> Vec<RevisionView> {
        let list = match &self.store {
            Some(store) => store.history(limit),
            None => Vec::new(),
        };
        list.iter().map(|m| view(Some(m))).collect()
    }

    pub(super) fn revision(&self, number: u64) -> Result<RunningView, ApiError> {
        let config = self.config_of(number)?;
        let revision = match number {
            0 => view(None),
            _ => self.history(usize::MAX).into_iter().find(|r| r.number == number).unwrap_or_else(|| view(None)),
        };
        Ok(RunningView { revision, config: Arc::new(config) })
    }

    /// Store and execute what was [`prepared`]; the one way by which the running configuration changes.
    pub(super) fn commit(&mut self, config: Arc<Config>, note: Note, now: Now) -> Result<Applied, Halt> {
        let changes = changes(&self.running, &config);
        let version = match note.version {
            Some(version) => Some(version),
            None => self.version_for(&config)?,
        };
        // A name of the peer's is kept even for what runs already.
        if changes.is_empty() && note.version.is_none() {
            if note.clear_candidate {
                self.store(now)?.clear_candidate(None, now.unix).map_err(|e| self.commit_error(e))?;
                self.touch();
            }
            return Ok(self.nothing());
        }
        let proxied = if note.ran_before { self.rendered(&config) } else { self.proxied(&config)? };
        let confirm = self.confirm_window(note.confirm_within, now)?;
        let new = NewRevision {
            author: note.author,
            comment: note.comment,
            tag: version.as_ref().and_then(|version| serde_json::to_string(version).ok()),
            document: note.document.map_or_else(|| write(&config), Ok)?,
            confirm,
            clear_candidate: note.clear_candidate,
            may_use_reserve: note.may_use_reserve,
        };
        let parent = Some(self.revision.number).filter(|n| *n > 0);
        let stored = self.store(now)?.commit(parent, new, now.unix).map_err(|e| self.commit_error(e))?;
        self.revision = view(Some(&stored.meta()));
        let RevisionView { number, author, comment, .. } = &self.revision;
        tracing::info!("{}", record::changed(author, note.did, *number, comment, &changes));
        self.touch();
        let begins = self.running.layer7.virtual_servers.is_empty() != config.layer7.virtual_servers.is_empty();
        let unread = begins || self.running.node != config.node;
        self.running = config;
        // The failsafe is over once something else runs.
        self.alarms.retain(|a| !a.starts_with("FAILSAFE"));
        self.revert_at =
            confirm.map(|_| now.since_start + Duration::from_secs(note.confirm_within.unwrap_or_default()));
        self.configure_checks(now);
        self.write_ha();
        self.changed.send_replace(self.revision.number);
        // Interfaces and layer 7 bring settings of their own along, which nobody has read yet; services do not.
        if unread || self.observed.is_none() {
            self.observe();
        }
        let done = self.converge(now);
        // After the addresses that clients are to find it at.
        let to_haproxy = self.layer7.preview(proxied.as_deref());
        self.layer7.want(proxied);
        self.look_at_certificates(now);
        self.orders.look_now(now);
        self.stapling.look_now(now);
        // What was planned from memory is compared with the kernel itself soon.
        self.next_reconcile = self.next_reconcile.min(now.since_start + Duration::from_secs(1));
        Ok(Applied {
            revision: self.revision.clone(),
            changes,
            plan: shown(&done).into_iter().chain(to_haproxy).collect(),
            converged: self.all_pending().is_empty(),
            pending: self.all_pending(),
            confirm_before: confirm.map(|c| c.deadline_unix),
        })
    }

    fn confirm_window(&mut self, within: Option<u64>, now: Now) -> Result<Option<Confirm>, ApiError> {
        let Some(seconds) = within else { return Ok(None) };
        if !(5..=3600).contains(&seconds) {
            let message = format!("confirm within {seconds} seconds: must be 5 to 3600");
            return Err(ApiError::new(ErrorCode::BadRequest, message).hint("60 is a good start"));
        }
        if self.revision.number == 0 {
            // The way back must be in the history: the factory settings become a revision of their own.
            let new = NewRevision {
                author: "lbd".into(),
                comment: "Factory settings, to come back to".into(),
                document: write(&self.running)?,
                tag: None,
                ..NewRevision::default()
            };
            let stored = self.store(now)?.commit(None, new, now.unix).map_err(|e| self.commit_error(e))?;
            self.revision = view(Some(&stored.meta()));
        }
        Ok(Some(Confirm { deadline_unix: now.unix + seconds, revert_to: self.revision.number }))
    }

    fn nothing(&self) -> Applied {
        Applied {
            revision: self.revision.clone(),
            changes: Vec::new(),
            plan: Vec::new(),
            converged: self.all_pending().is_empty(),
            pending: self.all_pending(),
            confirm_before: None,
        }
    }

    /// What failed and is tried again, in the kernel and in HAProxy.
    pub(super) fn all_pending(&self) -> Vec<lb_api::Pending> {
        self.pending.iter().cloned().chain(self.layer7.pending()).collect()
    }

    fn conflict(&self, base: u64) -> ApiError {
        let newer = self.history(usize::MAX).into_iter().filter(|r| r.number > base).collect();
        let message = format!(
            "this configuration was made from revision {base}, but revision {} runs by now; nothing was applied",
            self.revision.number
        );
        let mut error =
            ApiError::new(ErrorCode::Conflict, message).hint("compare with what runs, then edit that, or discard");
        error.between = newer;
        error
    }

    fn refuse_while_unconfirmed(&self, rollback_to: Option<u64>) -> Result<(), ApiError> {
        match self.store.as_ref().and_then(Store::pending_confirm) {
            Some(p) if rollback_to != Some(p.revert_to) => {
                let message = format!("revision {} waits for its confirmation", p.number);
                Err(ApiError::new(ErrorCode::AwaitingConfirm, message)
                    .hint(format!("confirm it (lbctl confirm), or undo it (lbctl rollback {})", p.revert_to)))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn config_of(&self, number: u64) -> Result<Config, ApiError> {
        if number == 0 {
            return Ok(factory());
        }
        let unknown = || ApiError::new(ErrorCode::NotFound, format!("revision {number} is not in the history"));
        let store = self.store.as_ref().ok_or_else(unknown)?;
        let stored = store.revision(number).map_err(|e| ApiError::new(ErrorCode::StoreFailed, e.to_string()))?;
        read(&stored.ok_or_else(unknown)?.document)
    }

    fn unknown_server(&self, vs: &str, rs: &str) -> ApiError {
        let names = |all: Vec<&str>| {
            if all.is_empty() { "there is none".to_owned() } else { format!("there is: {}", all.join(", ")) }
        };
        let labels = |servers: Vec<&Label>| names(servers.into_iter().map(Label::as_str).collect());
        let real_servers: Vec<&Label> = match (self.running.virtual_server(vs), self.running.layer7_virtual_server(vs))
        {
            (Some(vs), _) => vs.real_servers.iter().map(|rs| &rs.label).collect(),
            (None, Some(vs)) => vs.real_servers.iter().map(|rs| &rs.label).collect(),
            (None, None) => {
                let layer4 = self.running.virtual_servers.iter().map(|vs| &vs.label);
                let layer7 = self.running.layer7.virtual_servers.iter().map(|vs| &vs.label);
                return ApiError::new(ErrorCode::NotFound, format!("there is no virtual server {vs}"))
                    .hint(labels(layer4.chain(layer7).collect()));
            }
        };
        ApiError::new(ErrorCode::NotFound, format!("virtual server {vs} has no real server {rs}"))
            .hint(labels(real_servers))
    }

    /// The store, if it takes changes; one that failed is opened again first.
    pub(super) fn store(&self, now: Now) -> Result<&Store, ApiError> {
        let refused = |why: String| {
            ApiError::new(
                ErrorCode::StoreFailed,
                format!("the store takes no changes: {why}; traffic is served as before"),
            )
            .hint("look at the disk (df /data, dmesg); lbctl status shows the alarms")
        };
        let store = self.store.as_ref().ok_or_else(|| refused("it could not be opened".into()))?;
        if let Some(failure) = store.failed() {
            tracing::warn!("store: {failure}; opening it again");
            store.reopen(now.unix).map_err(|e| refused(format!("{failure}; opening it again: {e}")))?;
        }
        Ok(store)
    }

    pub(super) fn commit_error(&self, error: CommitError) -> ApiError {
        let hint = match &error {
            CommitError::Failed(_) => "traffic is served as before; look at the disk (df /data, dmesg), then try again",
            CommitError::DiskFull => "free some space below /data, then try again",
            CommitError::Conflict { .. } => "read the configuration again and repeat your change",
            CommitError::NotJson(_) | CommitError::UnknownRevision(_) | CommitError::NotPending(_) => "",
        };
        let code = match &error {
            CommitError::Conflict { .. } => ErrorCode::Conflict,
            CommitError::UnknownRevision(_) | CommitError::NotPending(_) => ErrorCode::NotFound,
            CommitError::NotJson(_) => ErrorCode::BadRequest,
            CommitError::Failed(_) | CommitError::DiskFull => ErrorCode::StoreFailed,
        };
        tracing::error!("store: {error}");
        let error = ApiError::new(code, error.to_string());
        if hint.is_empty() { error } else { error.hint(hint) }
    }
}

/// Of either layer: labels are unique over both.
fn set_state(config: &mut Config, vs: &str, rs: &str, state: RequestedState) -> bool {
    let layer4 = config.virtual_servers.iter_mut().filter(|v| v.label.as_str() == vs);
    let layer4 = layer4.flat_map(|v| &mut v.real_servers).map(|r| (&r.label, &mut r.state));
    let layer7 = config.layer7.virtual_servers.iter_mut().filter(|v| v.label.as_str() == vs);
    let layer7 = layer7.flat_map(|v| &mut v.real_servers).map(|r| (&r.label, &mut r.state));
    match layer4.chain(layer7).find(|(label, _)| label.as_str() == rs) {
        Some((_, requested)) => {
            *requested = state;
            true
        }
        None => false,
    }
}

/// Somebody else edited, applied or discarded what was looked at.
pub(super) fn changed_since(now: Option<&lb_store::Candidate>) -> ApiError {
    let who = now.map_or_else(|| "it was applied or discarded".to_owned(), |c| format!("{} changed it", c.author));
    let message = format!("the pending configuration is no longer the one you looked at: {who}");
    ApiError::new(ErrorCode::Conflict, message).hint("read it again and repeat your change; nothing was lost")
}

/// With its marks and without problems.
pub(super) fn prepared(mut config: Config) -> Result<Arc<Config>, ApiError> {
    config.assign_marks();
    match all_problems(&config) {
        none if none.is_empty() => Ok(Arc::new(config)),
        all => Err(ApiError::invalid(all)),
    }
}

/// Those of the document, and what the heartbeat would not obey; the latter only where the former are none.
pub(super) fn all_problems(config: &Config) -> Vec<Problem> {
    let found = problems(config);
    if found.is_empty() { crate::ha::problems(config) } else { found }
}

pub(super) fn read(document: &str) -> Result<Config, ApiError> {
    migrate(document)
        .map_err(|e| ApiError::new(ErrorCode::Internal, format!("a stored configuration cannot be read: {e}")))
}

pub(super) fn write(config: &Config) -> Result<String, ApiError> {
    serde_json::to_string(config)
        .map_err(|e| ApiError::new(ErrorCode::Internal, format!("writing the configuration: {e}")))
}
