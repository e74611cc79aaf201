//! The routes, one constant each, so that server and clients cannot differ.

/// GET: [`crate::Running`]
pub const RUNNING: &str = "/v1/config/running";
/// GET: [`crate::CandidateView`]; PUT [`crate::PutCandidate`]; DELETE discards it.
pub const CANDIDATE: &str = "/v1/config/candidate";
/// GET: factory settings of the running version, a [`lb_model::Config`].
pub const FACTORY: &str = "/v1/config/factory";
/// POST [`crate::PlanRequest`]: [`crate::PlanView`]. Changes nothing.
pub const PLAN: &str = "/v1/plan";
/// POST [`crate::ApplyRequest`]: [`crate::Applied`]
pub const APPLY: &str = "/v1/apply";
/// POST [`crate::ConfirmRequest`]: [`crate::ConfirmView`]. Keeps a revision that waits for its confirmation.
pub const CONFIRM: &str = "/v1/confirm";
/// GET `?limit=N`: `Vec<`[`crate::RevisionView`]`>`, newest first.
pub const HISTORY: &str = "/v1/history";
/// GET `/v1/history/{number}`: [`crate::Running`]
pub const REVISION: &str = "/v1/history/{number}";
/// POST [`crate::RollbackRequest`]: [`crate::Applied`]
pub const ROLLBACK: &str = "/v1/rollback";
/// GET: [`crate::Status`]
pub const STATUS: &str = "/v1/status";
/// POST [`crate::StateRequest`]: [`crate::Applied`]. Takes a real server online or offline, or drains it, at once.
pub const STATE: &str = "/v1/real-servers/state";
/// POST, empty body: [`crate::ReconcileView`]. Compares with the kernel now.
pub const RECONCILE: &str = "/v1/reconcile";

/// `/v1/history/{number}` with its number.
pub fn revision(number: u64) -> String {
    REVISION.replace("{number}", &number.to_string())
}
