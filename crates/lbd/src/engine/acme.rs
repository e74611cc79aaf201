//! Certificates that the unit obtains by itself: when they are ordered, and how a new one comes to run (decision 30).
//!
//! A new one is a revision like any other, by lbd: what runs, what the other unit has and what the history says are
//! then the same thing. Nobody's edits suffer: pending changes that were made from what ran go on from what runs, and
//! whatever an older text says of such a certificate, the newest stays. One order at a time, on the unit that serves.

use super::{
    Engine, Now,
    certificates::unwritten,
    commands::{Note, prepared, read, write},
    record,
    waiting::{Asked, Halt},
};
use crate::acme::{
    Job, Obtained,
    account::Account,
    order::{Failure, Roots, is_for},
    when::{Shown, due},
};
use lb_api::{AcmeState, AcmeView, ApiError, Done, ErrorCode, OrderCertificate};
use lb_certs::{Chain, Entry};
use lb_haproxy::Rendered;
use lb_kernel::Kernel;
use lb_model::{
    Config, Label, Layer7,
    layer7::{Certificate, CertificateFingerprint, CertificateName},
};
use lb_store::{NewCandidate, Store};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Between two looks at what is due; every change and every order's end brings one at once.
const EVERY: Duration = Duration::from_secs(60);
/// The same while something else must be done first.
const SOON: Duration = Duration::from_secs(1);
/// Days that a stand-in is valid: it is replaced as soon as the real one is there.
const STANDS_IN: u32 = 825;
/// Failures in a row from which they are an alarm, although a good certificate is shown.
const OFTEN: u32 = 3;

/// What is ordered, and what came of it.
pub struct Orders {
    account: Account,
    start: Box<dyn Fn(Job) + Send>,
    /// The label of the order that runs.
    under_way: Option<String>,
    /// Somebody wants it now.
    wanted_now: Option<Label>,
    /// On the shelf, and not in what runs yet.
    obtained: BTreeMap<Label, (Vec<CertificateName>, CertificateFingerprint)>,
    /// Made to stand in, by the names: what waits for HAProxy, or was refused, takes the same one again.
    stand_ins: BTreeMap<String, CertificateFingerprint>,
    look: Duration,
}

impl Orders {
    pub fn new(account: Account, start: Box<dyn Fn(Job) + Send>) -> Orders {
        Orders {
            account,
            start,
            under_way: None,
            wanted_now: None,
            obtained: BTreeMap::new(),
            stand_ins: BTreeMap::new(),
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
}

impl<K: Kernel> Engine<K> {
    /// What HAProxy is told for a configuration.
    pub(super) fn rendered(&mut self, config: &Config) -> Option<Arc<Rendered>> {
        if config.layer7.obtained().next().is_some() {
            match self.orders.account.key() {
                Ok(key) => self.layer7.answer_with(key.thumbprint()),
                Err(error) => tracing::error!("making the key of the ACME account: {error}"),
            }
        }
        self.layer7.render(config, self.certificates.at_hand())
    }

    /// The configuration with the newest certificates of those that are obtained, and with a stand-in where there is
    /// none yet: signed by itself, so that everything else works at once.
    pub(super) fn adopted(&mut self, config: Arc<Config>, now: Now) -> Result<Arc<Config>, ApiError> {
        if config.layer7.obtained().next().is_none() {
            return Ok(config);
        }
        let mut new = Config::clone(&config);
        new.layer7.keep_obtained(&self.running.layer7);
        for certificate in new.layer7.certificates.iter_mut().filter(|certificate| certificate.is_obtained()) {
            let there = match self.certificates.get(&certificate.fingerprint) {
                Some(Entry::Chain(chain)) => chain.certificate().clone(),
                _ => self.stand_in(certificate, now)?,
            };
            *certificate = certificate.at(there.fingerprint.clone(), there.names.clone(), there.not_after);
        }
        Ok(if new == *config { config } else { Arc::new(new) })
    }

    fn stand_in(&mut self, certificate: &Certificate, now: Now) -> Result<lb_certs::Certificate, ApiError> {
        let names = names(&certificate.acme);
        let made = self.orders.stand_ins.get(&names.join(" "));
        if let Some(Entry::Chain(made)) = made.and_then(|fingerprint| self.certificates.get(fingerprint)) {
            return Ok(made.certificate().clone());
        }
        let made = lb_certs::self_signed(&names, STANDS_IN, now.unix);
        let made = made.map_err(|refusal| super::refused(&refusal))?;
        let own = made.certificate().clone();
        let fingerprint = self.certificates.put(Entry::Chain(made)).map_err(|e| unwritten(&e))?;
        self.orders.stand_ins.insert(names.join(" "), fingerprint);
        Ok(own)
    }

    /// What time and the last change bring about.
    pub(super) fn order_certificates(&mut self, now: Now) {
        if now.since_start < self.orders.look {
            return;
        }
        self.orders.look = now.since_start + EVERY;
        self.run_obtained(now);
        if self.orders.under_way.is_some() || self.not_ordered().is_some() {
            return;
        }
        let running = self.running.clone();
        let first = running.layer7.obtained().map(|one| (self.due(one), one)).min_by_key(|(due, _)| *due);
        let Some((due, certificate)) = first else { return };
        if due > now.unix {
            return;
        }
        if !self.layer7.is_settled() {
            // HAProxy must be able to answer before the server asks.
            self.orders.look = now.since_start + SOON;
            return;
        }
        match self.job(certificate) {
            Ok(job) => {
                tracing::info!(
                    "ordering certificate {} for {} from {}",
                    job.label,
                    job.names.join(", "),
                    job.directory
                );
                self.orders.under_way = Some(job.label.clone());
                self.orders.wanted_now = self.orders.wanted_now.take().filter(|label| *label != certificate.label);
                (self.orders.start)(job);
                self.touch();
            }
            Err(text) => {
                let failure = Failure { text, limited: false, asked: None };
                self.failed(&certificate.label, &failure, now);
                self.orders.look = now.since_start;
            }
        }
    }

    /// Why this unit orders nothing; `None`: it does.
    fn not_ordered(&self) -> Option<&'static str> {
        if self.running.pair().is_some() && self.pair.serves != Some(true) {
            return Some("the unit that serves orders it");
        }
        (!lb_haproxy::answered(&self.running)).then_some(
            "no layer 7 virtual server answers on port 80: name the certificate in one with SSL termination, or add one \
             at port 80 in mode http",
        )
    }

    fn due(&self, certificate: &Certificate) -> u64 {
        if self.orders.wanted_now.as_ref() == Some(&certificate.label) {
            return 0;
        }
        let failures = self.orders.account.failures(certificate.label.as_str());
        due(self.shown(certificate), &failures, dice(&certificate.fingerprint))
    }

    fn shown(&self, certificate: &Certificate) -> Option<Shown> {
        let chain = self.chain(&certificate.fingerprint)?;
        let own = chain.certificate();
        let fits = !own.self_issued && is_for(chain, &names(&certificate.acme));
        Some(Shown { not_before: own.not_before, not_after: own.not_after, fits })
    }

    pub(super) fn chain(&self, fingerprint: &CertificateFingerprint) -> Option<&Chain> {
        match self.certificates.get(fingerprint)? {
            Entry::Chain(chain) => Some(chain),
            Entry::Authority(_) | Entry::Request(_) => None,
        }
    }

    fn job(&mut self, certificate: &Certificate) -> Result<Job, String> {
        let acme = self.running.layer7.acme.as_ref().filter(|acme| acme.terms_agreed);
        let acme = acme.ok_or("there is no ACME server whose terms are agreed to")?.clone();
        let roots = match &acme.authority {
            None => Roots::Public,
            Some(label) => {
                let named = self.running.layer7.certificate(label.as_str());
                match named.and_then(|named| self.certificates.get(&named.fingerprint)) {
                    Some(Entry::Authority(authority)) => {
                        Roots::These(authority.anchors().map(<[u8]>::to_vec).collect())
                    }
                    _ => return Err(format!("authority {label} is not on this unit")),
                }
            }
        };
        let account = self.orders.account.key().map_err(|e| format!("the key of the ACME account: {e}"))?.clone();
        Ok(Job {
            label: certificate.label.to_string(),
            directory: acme.directory.to_string(),
            contact: acme.contact.as_ref().map(ToString::to_string),
            names: names(&certificate.acme),
            account,
            roots,
        })
    }

    /// An order has ended.
    pub(super) fn order_ended(&mut self, obtained: Obtained, now: Now) {
        let Obtained { label, names: hosts, outcome } = obtained;
        self.orders.under_way = None;
        self.orders.look = now.since_start;
        self.touch();
        let wants = |layer7: &Layer7| layer7.obtained().find(|one| one.label.as_str() == label).cloned();
        let Some(certificate) = wants(&self.running.layer7).filter(|one| names(&one.acme) == hosts) else { return };
        let kept = outcome.and_then(|chain| {
            let kept = self.certificates.put(Entry::Chain(*chain));
            let unkept = |e| Failure { text: format!("keeping it: {e}"), limited: false, asked: None };
            kept.map_err(unkept)
        });
        match kept {
            Ok(fingerprint) => {
                self.orders.obtained.insert(certificate.label, (certificate.acme, fingerprint));
                self.run_obtained(now);
            }
            Err(failure) => self.failed(&certificate.label, &failure, now),
        }
    }

    fn failed(&mut self, label: &Label, failure: &Failure, now: Now) {
        let Failure { text, limited, asked } = failure;
        tracing::warn!("certificate {label} could not be obtained: {text}");
        let before = self.orders.account.failures(label.as_str());
        self.remember(label, Some(before.and(text.clone(), *limited, *asked, now.unix)));
        self.look_at_certificates(now);
        self.touch();
    }

    fn remember(&mut self, label: &Label, failures: Option<crate::acme::when::Failures>) {
        if let Err(error) = self.orders.account.remember(label.as_str(), failures) {
            tracing::error!("writing down what came of an order: {error}");
        }
        let running = self.running.clone();
        let known = |label: &str| running.layer7.obtained().any(|one| one.label.as_str() == label);
        if let Err(error) = self.orders.account.retain(known) {
            tracing::error!("writing down what came of orders: {error}");
        }
    }

    /// What was obtained comes to run; it waits for a revision that is to be confirmed.
    pub(super) fn run_obtained(&mut self, now: Now) {
        if self.orders.obtained.is_empty() || self.waiting.has_obtained() {
            return;
        }
        if self.store.as_ref().and_then(Store::pending_confirm).is_some() {
            self.orders.look = now.since_start + SOON;
            return;
        }
        for (label, (acme, fingerprint)) in std::mem::take(&mut self.orders.obtained) {
            let is = self.running.layer7.certificate(label.as_str()).filter(|is| is.acme == acme).cloned();
            let own = self.chain(&fingerprint).map(|chain| chain.certificate().clone());
            let (Some(is), Some(own)) = (is, own) else { continue };
            let renewed = is.at(fingerprint.clone(), own.names, own.not_after);
            match self.renew(&is, &renewed, now) {
                Ok(()) => self.remember(&label, None),
                Err(Halt::Unchecked(wanted)) => {
                    self.orders.obtained.insert(label, (acme, fingerprint));
                    self.wait(wanted, Asked::Obtained);
                }
                // It is tried again with the next look.
                Err(Halt::Refused(error)) if error.code == ErrorCode::Busy => {
                    self.orders.obtained.insert(label, (acme, fingerprint));
                }
                Err(Halt::Refused(error)) => {
                    let text = format!("it is here, but cannot run: {error}");
                    self.failed(&label, &Failure { text, limited: false, asked: None }, now);
                }
            }
        }
    }

    fn renew(&mut self, was: &Certificate, renewed: &Certificate, now: Now) -> Result<(), Halt> {
        let replace = |config: &mut Config| {
            let all = &mut config.layer7.certificates;
            for one in all.iter_mut().filter(|one| one.label == renewed.label && one.acme == renewed.acme) {
                *one = renewed.clone();
            }
        };
        let mut config = Config::clone(&self.running);
        replace(&mut config);
        let config = prepared(config)?;
        self.may_change(&config)?;
        let base = self.revision.number;
        let candidate = self.store(now)?.candidate().filter(|candidate| candidate.base == base);
        let comment = format!("Obtained certificate {}", renewed.label);
        let note = Note { did: "applied", author: "lbd".into(), comment, ..Note::default() };
        self.commit(config, note, now)?;
        if let Some(candidate) = candidate.filter(|_| self.revision.number != base) {
            let mut config = read(&candidate.document)?;
            replace(&mut config);
            let new = NewCandidate { base: self.revision.number, author: candidate.author, document: write(&config)? };
            self.store(now)?.set_candidate(new, None, now.unix).map_err(|e| self.commit_error(e))?;
        }
        self.drop_superseded(std::slice::from_ref(was));
        Ok(())
    }

    /// Takes obtained certificates that were replaced off the shelf: no way back leads to them, as the newest stays.
    pub(super) fn drop_superseded(&mut self, before: &[Certificate]) {
        for was in before.iter().filter(|was| was.is_obtained()) {
            let now = &self.running.layer7;
            let replaced = now.obtained().any(|is| is.label == was.label && is.acme == was.acme);
            if replaced
                && !now.certificates.iter().any(|is| is.fingerprint == was.fingerprint)
                && let Err(error) = self.certificates.remove(&was.fingerprint)
            {
                tracing::warn!("removing the certificate before {}: {error}", was.label);
            }
        }
        self.touch();
    }

    /// Somebody wants it now, whatever failed before.
    pub(super) fn order_now(&mut self, request: &OrderCertificate, now: Now) -> Result<Done, ApiError> {
        let OrderCertificate { label, author } = request;
        if !self.running.layer7.obtained().any(|one| one.label == *label) {
            let message = format!("no certificate {label} is obtained here");
            let hint = "lbctl certificate acme-status shows those that are; apply pending changes first";
            return Err(ApiError::new(ErrorCode::NotFound, message).hint(hint));
        }
        if let Some(why) = self.not_ordered() {
            return Err(ApiError::new(ErrorCode::Conflict, format!("{label} is not ordered here")).hint(why));
        }
        self.remember(label, None);
        self.orders.wanted_now = Some(label.clone());
        self.orders.look_now(now);
        self.touch();
        let message = format!("certificate {label} is ordered");
        tracing::info!("{}", record::did(author, &format!("ordered certificate {label}")));
        Ok(Done { message })
    }

    pub(super) fn acme(&self) -> Vec<AcmeView> {
        let mut all: Vec<AcmeView> = self.running.layer7.obtained().map(|one| self.acme_view(one)).collect();
        all.sort_by(|a, b| a.label.cmp(&b.label));
        all
    }

    fn acme_view(&self, certificate: &Certificate) -> AcmeView {
        let failures = self.orders.account.failures(certificate.label.as_str());
        let shown = self.shown(certificate).filter(|shown| shown.fits);
        let under_way = self.orders.under_way.as_deref() == Some(certificate.label.as_str());
        let state = match (under_way, failures.count, &shown) {
            (true, ..) => AcmeState::Ordered,
            (false, 1.., _) => AcmeState::Failed,
            (false, 0, Some(_)) => AcmeState::Valid,
            (false, 0, None) => AcmeState::Waiting,
        };
        AcmeView {
            label: certificate.label.to_string(),
            names: names(&certificate.acme),
            state,
            not_after: shown.map_or(0, |shown| shown.not_after),
            next: self.due(certificate),
            failures: failures.count,
            error: (failures.count > 0).then_some(failures.text),
            waits_for: self.not_ordered().map(str::to_owned),
        }
    }

    /// What people must know of one that is obtained.
    pub(super) fn acme_alarm(&self, certificate: &Certificate) -> Option<String> {
        let failures = self.orders.account.failures(certificate.label.as_str());
        let good = self.shown(certificate).is_some_and(|shown| shown.fits);
        if failures.count == 0 || (good && failures.count < OFTEN) {
            return None;
        }
        let shows = if good { "the one before is shown" } else { "clients see a stand-in that they do not trust" };
        let hint = "lbctl certificate acme-status says more, lbctl certificate order tries again";
        let label = &certificate.label;
        Some(format!("certificate {label} could not be obtained: {}. Until then {shows}. hint: {hint}", failures.text))
    }
}

fn names(names: &[CertificateName]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// The same for the same certificate, and other for every one.
pub(super) fn dice(fingerprint: &CertificateFingerprint) -> u32 {
    u32::from_str_radix(&fingerprint.as_str()[..8], 16).unwrap_or_default()
}
