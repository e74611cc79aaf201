//! The answers, each written as its own JSON. A configuration is shared with the engine, not copied: copying one of
//! 5,000 virtual servers would hold up the loop, and writing it happens elsewhere.

use super::candidate::Judged;
use lb_api::{AcmeView, Applied, CertificateView, ConfirmView, Done, PlanView, ReconcileView, RevisionView, Summary};
use lb_model::Config;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::sync::Arc;

#[derive(Serialize)]
#[serde(untagged)]
pub enum Reply {
    Running(RunningView),
    Config(Box<Config>),
    Candidate(CandidateView),
    Plan(PlanView),
    Applied(Applied),
    Confirm(ConfirmView),
    History(Vec<RevisionView>),
    Summary(Box<Summary>),
    Reconcile(ReconcileView),
    Certificates(Vec<CertificateView>),
    Acme(Vec<AcmeView>),
    Certificate(Box<CertificateView>),
    Done(Done),
}

impl Reply {
    pub(super) fn certificate(view: CertificateView) -> Reply {
        Reply::Certificate(Box::new(view))
    }
}

/// Written as [`lb_api::Running`].
pub struct RunningView {
    pub(super) revision: RevisionView,
    pub(super) config: Arc<Config>,
}

impl Serialize for RunningView {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("Running", 2)?;
        fields.serialize_field("revision", &self.revision)?;
        fields.serialize_field("config", &*self.config)?;
        fields.end()
    }
}

/// Written as [`lb_api::CandidateView`].
pub struct CandidateView {
    pub(super) base: u64,
    pub(super) author: String,
    pub(super) time: u64,
    pub(super) judged: Arc<Judged>,
}

impl Serialize for CandidateView {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("CandidateView", 7)?;
        fields.serialize_field("base", &self.base)?;
        fields.serialize_field("etag", &self.judged.etag)?;
        fields.serialize_field("author", &self.author)?;
        fields.serialize_field("time", &self.time)?;
        fields.serialize_field("config", &*self.judged.config)?;
        fields.serialize_field("changes", &self.judged.changes)?;
        fields.serialize_field("problems", &self.judged.problems)?;
        fields.end()
    }
}
