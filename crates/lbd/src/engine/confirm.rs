//! The confirm window: a revision that undoes itself unless somebody still reaches the unit to keep it.

use super::{Engine, Now, record};
use lb_api::{ApiError, ConfirmRequest, ConfirmView, ErrorCode};
use lb_kernel::Kernel;
use std::time::Duration;

impl<K: Kernel> Engine<K> {
    /// After a restart the window goes on; by the wall clock, as nothing else survives a boot.
    pub(super) fn resume_confirm(&mut self, now: Now) {
        let pending = self.store.as_ref().and_then(|s| s.pending_confirm());
        self.revert_at =
            pending.map(|p| now.since_start + Duration::from_secs(p.deadline_unix.saturating_sub(now.unix)));
    }

    pub(super) fn confirm(&mut self, request: ConfirmRequest, now: Now) -> Result<ConfirmView, ApiError> {
        let store = self.store(now)?;
        let Some(pending) = store.pending_confirm() else {
            return Err(ApiError::new(ErrorCode::NotFound, "no revision waits for its confirmation"));
        };
        if let Some(wanted) = request.revision.filter(|r| *r != pending.number) {
            let message = format!("revision {} waits for its confirmation, not {wanted}", pending.number);
            return Err(ApiError::new(ErrorCode::NotFound, message));
        }
        store.confirm(pending.number, now.unix).map_err(|e| self.commit_error(e))?;
        self.revert_at = None;
        self.touch();
        tracing::info!("{}", record::did(&request.author, &format!("confirmed revision {}", pending.number)));
        Ok(ConfirmView { revision: pending.number })
    }

    pub(super) fn revert_if_unconfirmed(&mut self, now: Now) {
        if self.revert_at.is_none_or(|at| now.since_start < at) {
            return;
        }
        let Some(pending) = self.store.as_ref().and_then(|s| s.pending_confirm()) else {
            self.revert_at = None;
            return;
        };
        match self.revert(pending.revert_to, now) {
            Ok(_) => self.revert_at = None,
            Err(halt) => {
                let error = ApiError::from(halt);
                tracing::error!("reverting: {error}");
                self.revert_at = Some(now.since_start + Duration::from_secs(5));
            }
        }
    }
}
