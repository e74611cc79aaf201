//! What clients are shown of a certificate's state (OCSP stapling, decision 32): which responders are asked, and what
//! becomes of their answers.
//!
//! Asked for is whatever a virtual server shows, names a responder, came with its issuer, and does not say otherwise.
//! An answer that speaks well of its certificate is given to HAProxy for as long as it counts; whatever comes instead
//! of one, the one before stays until then. A revoked certificate is shown without an answer, and is an alarm. Each
//! unit of a pair asks for itself.

use super::{Engine, Now, acme::dice};
use crate::{
    acme::{Failure, when::Failures},
    layer7,
    ocsp::{
        Answered, Job,
        when::{Last, due},
    },
};
use lb_api::{OcspState, OcspView};
use lb_certs::{Answer, Chain, Entry, Status};
use lb_kernel::Kernel;
use lb_model::layer7::CertificateFingerprint;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Between two looks at what is due, and at what counts no more; changes and answers bring one at once.
const EVERY: Duration = Duration::from_secs(30);
/// Responders that are asked at once.
const AT_ONCE: usize = 8;

/// What is asked, and what came of it.
pub struct Stapling {
    start: Box<dyn Fn(Job) + Send>,
    under_way: BTreeSet<CertificateFingerprint>,
    /// Uploaded a moment ago, perhaps to have it asked about.
    anew: BTreeSet<CertificateFingerprint>,
    /// When the answer that is kept came (Unix seconds).
    got: BTreeMap<CertificateFingerprint, u64>,
    /// A restart may ask at once: answers are kept over it.
    failures: BTreeMap<CertificateFingerprint, Failures>,
    look: Duration,
}

impl Stapling {
    pub fn new(start: Box<dyn Fn(Job) + Send>) -> Stapling {
        Stapling {
            start,
            under_way: BTreeSet::new(),
            anew: BTreeSet::new(),
            got: BTreeMap::new(),
            failures: BTreeMap::new(),
            look: Duration::ZERO,
        }
    }

    /// When there is something to look at.
    pub fn deadline(&self) -> Duration {
        self.look
    }

    pub fn look_now(&mut self, now: Now) {
        self.look = now.since_start;
    }

    /// Whatever is known of it already.
    pub fn ask_anew(&mut self, fingerprint: CertificateFingerprint) {
        self.anew.insert(fingerprint);
        self.look = Duration::ZERO;
    }
}

impl<K: Kernel> Engine<K> {
    /// What time and the last change bring about.
    pub(super) fn ask_responders(&mut self, now: Now) {
        if now.since_start < self.stapling.look {
            return;
        }
        self.stapling.look = now.since_start + EVERY;
        self.staple(now);
        let shown = self.with_responder();
        let known = |fingerprint: &CertificateFingerprint| shown.iter().any(|job| job.fingerprint == *fingerprint);
        self.stapling.failures.retain(|fingerprint, _| known(fingerprint));
        self.stapling.got.retain(|fingerprint, _| known(fingerprint));
        self.stapling.anew.retain(known);
        for job in shown {
            let asked = &self.stapling.under_way;
            if asked.len() >= AT_ONCE || asked.contains(&job.fingerprint) {
                continue;
            }
            if self.stapling.anew.remove(&job.fingerprint) || self.next_question(&job.fingerprint) <= now.unix {
                self.stapling.under_way.insert(job.fingerprint.clone());
                (self.stapling.start)(job);
            }
        }
    }

    /// The certificates that virtual servers show and that do not say otherwise.
    fn to_be_stapled(&self) -> BTreeSet<&CertificateFingerprint> {
        let shown = layer7::named(&self.running.layer7);
        let all = self.running.layer7.certificates.iter();
        all.filter(|named| named.stapling && shown.contains(&named.label)).map(|named| &named.fingerprint).collect()
    }

    /// What is asked about them.
    fn with_responder(&self) -> Vec<Job> {
        let job = |fingerprint: &CertificateFingerprint| {
            let question = self.chain(fingerprint)?.ocsp()?;
            Some(Job { fingerprint: fingerprint.clone(), responder: question.responder, question: question.der })
        };
        self.to_be_stapled().into_iter().filter_map(job).collect()
    }

    fn next_question(&self, fingerprint: &CertificateFingerprint) -> u64 {
        let got = self.stapling.got.get(fingerprint);
        let last = self.certificates.answer(fingerprint).map(|answer| Last {
            from: got.copied().unwrap_or(answer.this_update).max(answer.this_update),
            next_update: answer.next_update,
        });
        let failures = self.stapling.failures.get(fingerprint).cloned().unwrap_or_default();
        due(last, &failures, dice(fingerprint))
    }

    /// HAProxy gets what counts now.
    fn staple(&mut self, now: Now) {
        if self.certificates.staple(now.unix) {
            let running = self.running.clone();
            let rendered = self.rendered(&running);
            self.layer7.want(rendered);
            self.touch();
        }
    }

    /// A responder was asked.
    pub(super) fn answered(&mut self, answered: Answered, now: Now) {
        let Answered { fingerprint, outcome } = answered;
        self.stapling.under_way.remove(&fingerprint);
        self.stapling.look = now.since_start;
        self.touch();
        let Some(chain) = self.chain(&fingerprint) else { return };
        let subject = chain.certificate().subject.clone();
        match outcome.and_then(|der| believed(chain, &der, now.unix)) {
            Ok(answer) => {
                if let Status::Revoked { .. } = answer.status {
                    tracing::warn!("the certificate of {subject} was revoked, says its responder");
                }
                self.stapling.failures.remove(&fingerprint);
                self.stapling.got.insert(fingerprint.clone(), now.unix);
                if let Err(error) = self.certificates.put_answer(&fingerprint, answer) {
                    tracing::error!("keeping what a responder said of the certificate of {subject}: {error}");
                }
                self.staple(now);
            }
            Err(Failure { text, limited, asked }) => {
                tracing::warn!("asking whether the certificate of {subject} was revoked: {text}");
                let before = self.stapling.failures.remove(&fingerprint).unwrap_or_default();
                self.stapling.failures.insert(fingerprint, before.and(text, limited, asked, now.unix));
            }
        }
        self.look_at_certificates(now);
    }

    pub(super) fn ocsp_view(&self, chain: &Chain) -> Option<OcspView> {
        let fingerprint = &chain.certificate().fingerprint;
        let responder = chain.ocsp()?.responder;
        let asked = self.to_be_stapled().contains(fingerprint);
        let answer = self.certificates.answer(fingerprint);
        let failures = self.stapling.failures.get(fingerprint);
        let state = match answer.map(|answer| answer.status) {
            Some(Status::Revoked { .. }) => OcspState::Revoked,
            _ if !asked => OcspState::Off,
            _ if self.certificates.is_stapled(fingerprint) => OcspState::Stapled,
            _ if failures.is_some() => OcspState::Failed,
            _ => OcspState::Waiting,
        };
        Some(OcspView {
            responder,
            state,
            produced: answer.map_or(0, |answer| answer.produced),
            next_update: answer.map_or(0, |answer| answer.next_update),
            next: if asked { self.next_question(fingerprint) } else { 0 },
            failures: failures.map_or(0, |failures| failures.count),
            error: failures.map(|failures| failures.text.clone()),
        })
    }

    /// What people must know of one that its authority took back.
    pub(super) fn revoked(&self, fingerprint: &CertificateFingerprint) -> Option<String> {
        let Some(Entry::Chain(_)) = self.certificates.get(fingerprint) else { return None };
        let status = self.certificates.answer(fingerprint)?.status;
        let Status::Revoked { .. } = status else { return None };
        let why = status.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let hint = "add another certificate under the same label (lbctl certificate add)";
        Some(format!("its authority has revoked it{why}: clients that ask refuse it. hint: {hint}"))
    }
}

/// What may be kept.
fn believed(chain: &Chain, der: &[u8], now: u64) -> Result<Answer, Failure> {
    let responder = chain.ocsp().map(|question| question.responder).unwrap_or_default();
    let failure = |why: String| Failure { text: format!("{responder}: {why}"), limited: false, asked: None };
    let answer = chain.ocsp_answer(der).map_err(|distrust| failure(distrust.to_string()))?;
    match answer.status {
        Status::Unknown => Err(failure("it does not know the certificate (yet)".to_owned())),
        _ if !answer.counts(now) => Err(failure(
            "its answer does not count now. hint: look at the unit's clock (lbctl status); else the responder must be \
             mended"
                .to_owned(),
        )),
        _ => Ok(answer),
    }
}
