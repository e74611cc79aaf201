//! What is being edited: put, shown, given up.

use super::{
    Engine, Now,
    commands::{all_problems, changed_since, read, write},
    record,
    reply::CandidateView,
};
use lb_api::{ApiError, DiscardRequest, ErrorCode, PutCandidate};
use lb_kernel::Kernel;
use lb_model::{Change, Config, Problem, changes};
use lb_store::{NewCandidate, Store};
use std::sync::Arc;

/// A candidate with what is to be said about it, found out once for each edit and each revision.
pub struct Judged {
    /// Of the stored candidate; 0: there is none, this is what runs.
    pub(super) etag: u64,
    pub(super) config: Arc<Config>,
    pub(super) problems: Vec<Problem>,
    /// Against what ran when it was judged.
    pub(super) changes: Vec<Change>,
    against: Arc<Config>,
    /// This lbd wrote its text, in today's version and with its marks.
    pub(super) written: bool,
}

impl Judged {
    /// The configuration, if it can be applied.
    pub(super) fn applicable(&self) -> Result<Arc<Config>, ApiError> {
        match self.problems.as_slice() {
            [] => Ok(self.config.clone()),
            all => Err(ApiError::invalid(all.to_vec())),
        }
    }
}

impl<K: Kernel> Engine<K> {
    /// The candidate, judged; what runs where there is none.
    pub(super) fn judged(&mut self) -> Result<Arc<Judged>, ApiError> {
        let stored = self.store.as_ref().and_then(Store::candidate);
        let etag = stored.as_ref().map_or(0, |c| c.etag);
        let kept = self.candidate.as_ref().filter(|kept| kept.etag == etag);
        if let Some(kept) = kept.filter(|kept| Arc::ptr_eq(&kept.against, &self.running)) {
            return Ok(kept.clone());
        }
        let (config, problems, written) = match (stored, kept) {
            // What runs has no problems: nothing else is applied, or started from.
            (None, _) => (self.running.clone(), Vec::new(), false),
            (Some(_), Some(kept)) => (kept.config.clone(), kept.problems.clone(), kept.written),
            (Some(stored), None) => {
                let mut config = read(&stored.document)?;
                config.assign_marks();
                let problems = all_problems(&config);
                (Arc::new(config), problems, false)
            }
        };
        Ok(self.keep(etag, config, problems, written))
    }

    fn keep(&mut self, etag: u64, config: Arc<Config>, problems: Vec<Problem>, written: bool) -> Arc<Judged> {
        let changes = if Arc::ptr_eq(&config, &self.running) { Vec::new() } else { changes(&self.running, &config) };
        let judged = Judged { etag, config, problems, changes, against: self.running.clone(), written };
        self.candidate.insert(Arc::new(judged)).clone()
    }

    pub(super) fn candidate(&mut self) -> Result<CandidateView, ApiError> {
        let judged = self.judged()?;
        Ok(match self.store.as_ref().and_then(Store::candidate) {
            None => CandidateView { base: self.revision.number, author: String::new(), time: 0, judged },
            Some(c) => CandidateView { base: c.base, author: c.author, time: c.time, judged },
        })
    }

    pub(super) fn put_candidate(&mut self, request: PutCandidate, now: Now) -> Result<CandidateView, ApiError> {
        let mut config = request.config;
        config.assign_marks();
        let number = self.revision.number;
        let base = request.base.unwrap_or(number);
        if base > number {
            let message = format!("revision {base} does not exist; the running one is {number}");
            return Err(ApiError::new(ErrorCode::NotFound, message));
        }
        self.edited_here(&config)?;
        let store = self.store(now)?;
        let there = store.candidate();
        let etag = there.as_ref().map_or(0, |c| c.etag);
        if request.etag.is_some_and(|seen| seen != etag) {
            return Err(changed_since(there.as_ref()));
        }
        if config == *self.running && base == number {
            store.clear_candidate(Some(etag), now.unix).map_err(|e| self.commit_error(e))?;
        } else {
            let new = NewCandidate { base, author: request.author, document: write(&config)? };
            let stored = store.set_candidate(new, Some(etag), now.unix).map_err(|e| self.commit_error(e))?;
            let problems = all_problems(&config);
            self.keep(stored.etag, Arc::new(config), problems, true);
        }
        self.touch();
        self.candidate()
    }

    pub(super) fn discard(&mut self, request: &DiscardRequest, now: Now) -> Result<CandidateView, ApiError> {
        let line = match self.judged() {
            Ok(judged) => record::discarded(&request.author, &judged.changes),
            // What cannot be read can still be given up.
            Err(error) => record::did(&request.author, &format!("discarded pending changes: {error}")),
        };
        let store = self.store(now)?;
        let there = store.candidate();
        let etag = there.as_ref().map_or(0, |c| c.etag);
        if request.etag.is_some_and(|seen| seen != etag) {
            return Err(changed_since(there.as_ref()).hint("look at it again before you discard it; nothing was lost"));
        }
        if there.is_some() {
            store.clear_candidate(Some(etag), now.unix).map_err(|e| self.commit_error(e))?;
            tracing::info!("{line}");
            self.touch();
        }
        self.candidate()
    }
}
