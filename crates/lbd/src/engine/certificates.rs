//! What is done with the shelf, and what a configuration needs of it.

use super::{Engine, Now, candidate, record};
use crate::layer7;
use lb_api::{ApiError, CertificateKind, CertificateView, Done, ErrorCode, RequestCertificate, SelfSigned};
use lb_certs::{Entry, Found, Refusal, Subject};
use lb_kernel::Kernel;
use lb_model::{
    Config, Problem,
    layer7::{Certificate, CertificateFingerprint},
};
use lb_pair::wire::Pem;
use lb_store::Store;
use std::{collections::BTreeSet, io};

/// Days before its end from which a certificate that is in use is an alarm.
const SOON: u64 = 30;
const DAY: u64 = 86_400;
/// Days that one made here is valid: the most that all browsers take.
const VALID: u32 = 825;
/// Alarms of certificates; of more only the count is said.
const MOST_ALARMS: usize = 10;

impl<K: Kernel> Engine<K> {
    pub(super) fn certificates(&mut self) -> Vec<CertificateView> {
        let candidate = self.judged().ok();
        self.certificates.iter().map(|(_, entry)| self.view_of(entry, candidate.as_deref())).collect()
    }

    fn view_of(&self, entry: &Entry, candidate: Option<&candidate::Judged>) -> CertificateView {
        let fingerprint = entry.fingerprint();
        let configs = [Some(&self.running), candidate.map(|judged| &judged.config)];
        let named = configs.into_iter().flatten().flat_map(|config| &config.layer7.certificates);
        let labels: BTreeSet<String> =
            named.filter(|named| named.fingerprint == fingerprint).map(|named| named.label.to_string()).collect();
        let mut view = CertificateView {
            in_use: needs(&self.running, &fingerprint),
            fingerprint: fingerprint.to_string(),
            kind: CertificateKind::Request,
            subject: String::new(),
            issuer: String::new(),
            serial: String::new(),
            names: Vec::new(),
            not_before: 0,
            not_after: 0,
            key: String::new(),
            chain: Vec::new(),
            warning: None,
            labels: labels.into_iter().collect(),
            request: None,
            ocsp: None,
        };
        if let Some(own) = entry.certificate() {
            view.subject.clone_from(&own.subject);
            view.issuer.clone_from(&own.issuer);
            view.serial.clone_from(&own.serial);
            view.names = own.names.iter().map(ToString::to_string).collect();
            (view.not_before, view.not_after) = (own.not_before, own.not_after);
            view.key.clone_from(&own.key);
        }
        match entry {
            Entry::Chain(chain) => {
                view.kind = CertificateKind::Server;
                view.chain = chain.issuers().iter().map(|issuer| issuer.subject.clone()).collect();
                view.ocsp = self.ocsp_view(chain);
                view.warning = self.revoked(&fingerprint).or_else(|| chain.warning());
            }
            Entry::Authority(_) => view.kind = CertificateKind::Authority,
            Entry::Request(request) => {
                view.subject = request.subject();
                view.request = Some(request.pem());
            }
        }
        view
    }

    pub(super) fn add_certificate(
        &mut self,
        found: Found,
        authority: bool,
        author: &str,
        now: Now,
    ) -> Result<CertificateView, ApiError> {
        let entry = match authority {
            true => lb_certs::authority(found, now.unix).map(Entry::Authority),
            false => lb_certs::chain(found, &self.certificates.keys(), now.unix).map(Entry::Chain),
        };
        self.put(entry.map_err(|refusal| refused(&refusal))?, "added", author)
    }

    pub(super) fn self_signed(&mut self, request: &SelfSigned, now: Now) -> Result<CertificateView, ApiError> {
        let made = lb_certs::self_signed(&request.names, request.days.unwrap_or(VALID), now.unix);
        self.put(Entry::Chain(made.map_err(|refusal| refused(&refusal))?), "made", &request.author)
    }

    pub(super) fn request_certificate(&mut self, request: RequestCertificate) -> Result<CertificateView, ApiError> {
        let RequestCertificate { names, organization, unit, locality, state, country, author } = request;
        let subject = Subject { organization, unit, locality, state, country };
        let made = lb_certs::request(&names, &subject).map_err(|refusal| refused(&refusal))?;
        self.put(Entry::Request(made), "made", &author)
    }

    fn put(&mut self, entry: Entry, did: &str, author: &str) -> Result<CertificateView, ApiError> {
        let what = entry.to_string();
        let fingerprint = self.certificates.put(entry.clone()).map_err(|e| unwritten(&e))?;
        tracing::info!("{}", record::did(author, &format!("{did} {what} ({})", fingerprint.short())));
        if needs(&self.running, &fingerprint) {
            self.stapling.ask_anew(fingerprint.clone());
            let running = self.running.clone();
            let rendered = self.rendered(&running);
            self.layer7.want(rendered);
        }
        self.touch();
        let candidate = self.judged().ok();
        Ok(self.view_of(&entry, candidate.as_deref()))
    }

    pub(super) fn remove_certificate(
        &mut self,
        fingerprint: &CertificateFingerprint,
        author: &str,
    ) -> Result<Done, ApiError> {
        let Some(entry) = self.certificates.get(fingerprint) else {
            let message = format!("there is no certificate {}", fingerprint.short());
            return Err(ApiError::new(ErrorCode::NotFound, message).hint("lbctl certificate list shows all"));
        };
        let what = entry.to_string();
        self.unnamed(fingerprint, &what)?;
        self.certificates.remove(fingerprint).map_err(|e| unwritten(&e))?;
        let message = format!("removed {what} ({})", fingerprint.short());
        tracing::info!("{}", record::did(author, &message));
        self.touch();
        Ok(Done { message })
    }

    /// What runs, what is edited, and what may come back by itself, does not name it.
    fn unnamed(&mut self, fingerprint: &CertificateFingerprint, what: &str) -> Result<(), ApiError> {
        let back = self.store.as_ref().and_then(Store::pending_confirm).map(|pending| pending.revert_to);
        let back = back.and_then(|number| self.config_of(number).ok());
        let candidate = self.judged()?;
        let places = [
            ("the running configuration names it", Some(&*self.running)),
            ("pending changes name it", Some(&*candidate.config)),
            ("the revision to which an unconfirmed one goes back names it", back.as_ref()),
        ];
        for (place, config) in places {
            let named =
                config.and_then(|c| c.layer7.certificates.iter().find(|named| named.fingerprint == *fingerprint));
            if let Some(Certificate { label, .. }) = named {
                let message = format!("{what} cannot be removed: {place} as {label}");
                let hint = format!("remove {label} from the configuration and apply that first");
                return Err(ApiError::new(ErrorCode::Conflict, message).hint(hint));
            }
        }
        Ok(())
    }

    /// What a configuration that is about to run names, and this unit does not have. What runs already is no reason to
    /// refuse other changes: of that there is an alarm.
    pub(super) fn lacking(&self, config: &Config) -> Vec<Problem> {
        let mut found = Vec::new();
        for (i, named) in config.layer7.certificates.iter().enumerate() {
            // Of one that is obtained the unit says itself what it is, and has a stand-in at least.
            if self.running.layer7.certificates.contains(named) || (named.is_obtained() && !named.authority) {
                continue;
            }
            let mut add = |field: &str, value: String, reason: &str, hint: &str| {
                let path = format!("/layer7/certificates/{i}/{field}");
                found.push(Problem { path, value, reason: reason.to_owned(), hint: Some(hint.to_owned()) });
            };
            let entry = self.certificates.get(&named.fingerprint);
            let Some((entry, own)) = entry.and_then(|entry| Some((entry, entry.certificate()?))) else {
                let hint =
                    "upload it here with its key (lbctl certificate add, or Edit Configuration > SSL Termination)";
                add("fingerprint", named.fingerprint.short().to_owned(), "is not on this unit", hint);
                continue;
            };
            let as_is = "leave it as it was when the certificate was added";
            if named.authority != matches!(entry, Entry::Authority(_)) {
                add("authority", named.authority.to_string(), "is otherwise on this unit", as_is);
            }
            if named.not_after != own.not_after {
                add("not_after", named.not_after.to_string(), "the certificate itself says otherwise", as_is);
            }
            let names = own.names.iter().take(Certificate::MOST_NAMES);
            if !named.names.iter().eq(names) {
                let value = format!("{} names", named.names.len());
                add("names", value, "the certificate itself says otherwise", as_is);
            }
        }
        found
    }

    /// For the pair's other unit: what the running configuration names.
    pub(super) fn named_material(&self) -> Vec<Pem> {
        let named = self.running.layer7.certificates.iter();
        let entries = named.filter_map(|named| self.certificates.get(&named.fingerprint));
        entries.map(|entry| Pem::new(entry.to_pem().to_string())).collect()
    }

    /// Keeps what the peer sent along with a configuration, as far as that names it.
    pub(super) fn take_material(&mut self, material: &[Pem], config: &Config) -> Result<(), String> {
        for pem in material {
            let entry = Entry::from_pem(pem.expose()).map_err(|refusal| refusal.reason)?;
            let fingerprint = entry.fingerprint();
            let named = config.layer7.certificates.iter().any(|named| named.fingerprint == fingerprint);
            if !named || self.certificates.get(&fingerprint) == Some(&entry) {
                continue;
            }
            self.certificates.put(entry).map_err(|e| format!("keeping a certificate: {e}"))?;
        }
        Ok(())
    }

    /// Says anew what is wrong with the certificates that are in use.
    pub(super) fn look_at_certificates(&mut self, now: Now) {
        let alarms = self.of_certificates(now.unix);
        if alarms != self.certificate_alarms {
            for alarm in alarms.iter().filter(|alarm| !self.certificate_alarms.contains(alarm)) {
                tracing::warn!("alarm: {alarm}");
            }
            self.certificate_alarms = alarms;
            self.touch();
        }
    }

    fn of_certificates(&self, now: u64) -> Vec<String> {
        let mut alarms = Vec::new();
        for label in layer7::named(&self.running.layer7) {
            let Some(named) = self.running.layer7.certificate(label.as_str()) else { continue };
            let Some(entry) = self.certificates.get(&named.fingerprint) else {
                let served = "what needs it is not served";
                let hint = "upload it again with its key (lbctl certificate add)";
                alarms.push(format!("certificate {label} is not on this unit: {served}. hint: {hint}"));
                continue;
            };
            let revoked = self.revoked(&named.fingerprint).map(|text| format!("certificate {label}: {text}"));
            alarms.extend(revoked.or_else(|| self.acme_alarm(named)).or_else(|| expiry(named, entry, now)));
        }
        if let Some(more) = alarms.len().checked_sub(MOST_ALARMS).filter(|more| *more > 0) {
            alarms.truncate(MOST_ALARMS);
            alarms.push(format!("{more} more certificates are missing, or expire soon"));
        }
        alarms
    }
}

/// The first of the chain that ends, where that is soon.
fn expiry(named: &Certificate, entry: &Entry, now: u64) -> Option<String> {
    let label = &named.label;
    let all: Vec<&lb_certs::Certificate> = match entry {
        Entry::Chain(chain) => std::iter::once(chain.certificate()).chain(chain.issuers()).collect(),
        other => other.certificate().into_iter().collect(),
    };
    let first = all.iter().min_by_key(|certificate| certificate.not_after)?;
    let whose = match all.first().is_some_and(|own| own.fingerprint == first.fingerprint) {
        true => String::new(),
        false => format!(" (its intermediate certificate {})", first.subject),
    };
    if named.is_obtained() {
        // By then it should have been renewed long since.
        let life = first.not_after.saturating_sub(first.not_before);
        let left = first.not_after.saturating_sub(now);
        let hint = "lbctl certificate acme-status says why";
        return (left < life / 4)
            .then(|| format!("certificate {label}{whose} is not renewed, and ends soon. hint: {hint}"));
    }
    let hint = "add the renewed certificate under the same label (lbctl certificate add)";
    let left = first.not_after.saturating_sub(now);
    match (first.not_after < now, left / DAY) {
        (true, _) => Some(format!("certificate {label}{whose} has expired: clients refuse it. hint: {hint}")),
        (false, 0) => Some(format!("certificate {label}{whose} expires today. hint: {hint}")),
        (false, 1) => Some(format!("certificate {label}{whose} expires tomorrow. hint: {hint}")),
        (false, days) if days < SOON => {
            Some(format!("certificate {label}{whose} expires in {days} days. hint: {hint}"))
        }
        _ => None,
    }
}

/// Whether a virtual server of the configuration needs it.
fn needs(config: &Config, fingerprint: &CertificateFingerprint) -> bool {
    let layer7 = &config.layer7;
    layer7::named(layer7)
        .into_iter()
        .any(|label| layer7.certificate(label.as_str()).is_some_and(|named| named.fingerprint == *fingerprint))
}

/// A refusal with the field of the request.
pub fn refused(refusal: &Refusal) -> ApiError {
    let Refusal { field, reason, hint } = refusal;
    let problem = Problem {
        path: format!("/{field}"),
        value: "as sent".to_owned(),
        reason: reason.clone(),
        hint: Some(hint.clone()),
    };
    ApiError { problems: vec![problem], ..ApiError::new(ErrorCode::Invalid, "the certificate was not taken") }
}

pub(super) fn unwritten(error: &io::Error) -> ApiError {
    if error.kind() == io::ErrorKind::QuotaExceeded {
        return ApiError::new(ErrorCode::Conflict, error.to_string()).hint("remove those that are not in use");
    }
    let message = format!("the certificate could not be kept: {error}");
    ApiError::new(ErrorCode::StoreFailed, message).hint("look at the disk (df /data, dmesg), then try again")
}
