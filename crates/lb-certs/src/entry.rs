//! What lies on the shelf, and the text by which it is kept: PEM, which HAProxy reads as it is.

use crate::{Certificate, PrivateKey, Refusal, fingerprint};
use lb_model::layer7::CertificateFingerprint;
use pem::Pem;
use std::fmt;
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer as _};
use zeroize::Zeroizing;

/// A server's certificate with its key and the way up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub(crate) key: PrivateKey,
    /// The server's own first.
    pub(crate) certificates: Vec<Certificate>,
    /// The root was given with it, or it is its own.
    pub(crate) anchored: bool,
}

/// An authority's certificates, without keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    pub(crate) certificates: Vec<Certificate>,
}

/// A key that waits for its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(crate) key: PrivateKey,
    pub(crate) der: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Chain(Chain),
    Authority(Authority),
    Request(Request),
}

impl Chain {
    pub fn certificate(&self) -> &Certificate {
        &self.certificates[0]
    }

    /// Whom the server's own certificate was signed by, and so on.
    pub fn issuers(&self) -> &[Certificate] {
        &self.certificates[1..]
    }

    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// What clients may stumble over.
    pub fn warning(&self) -> Option<String> {
        let own = self.certificate();
        if own.self_issued {
            return Some("it is signed by itself: clients must be told to trust it".to_owned());
        }
        (self.certificates.len() == 1 && !self.anchored).then(|| {
            format!(
                "no intermediate certificate was given: where {} is not a root, clients will refuse it. hint: upload it \
                 again with the authority's intermediate certificates",
                own.issuer
            )
        })
    }
}

impl Authority {
    pub fn certificate(&self) -> &Certificate {
        &self.certificates[0]
    }

    /// DER of each.
    pub fn anchors(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates.iter().map(|certificate| certificate.der.as_slice())
    }
}

impl Request {
    /// For the authority.
    pub fn pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&Pem::new("CERTIFICATE REQUEST", self.der.clone()), config)
    }

    /// PKCS#10.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    pub fn subject(&self) -> String {
        match X509CertificationRequest::from_der(&self.der) {
            Ok((_, request)) => request.certification_request_info.subject.to_string(),
            Err(_) => String::new(),
        }
    }
}

impl Entry {
    /// SHA-256 of the server's own or the authority's first certificate, or of the request.
    pub fn fingerprint(&self) -> CertificateFingerprint {
        match self {
            Entry::Chain(chain) => chain.certificate().fingerprint.clone(),
            Entry::Authority(authority) => authority.certificate().fingerprint.clone(),
            Entry::Request(request) => fingerprint(&request.der),
        }
    }

    pub fn key(&self) -> Option<&PrivateKey> {
        match self {
            Entry::Chain(chain) => Some(&chain.key),
            Entry::Request(request) => Some(&request.key),
            Entry::Authority(_) => None,
        }
    }

    /// The server's own certificate, or the authority's first.
    pub fn certificate(&self) -> Option<&Certificate> {
        match self {
            Entry::Chain(chain) => Some(chain.certificate()),
            Entry::Authority(authority) => Some(authority.certificate()),
            Entry::Request(_) => None,
        }
    }

    /// Key first, then the server's own certificate and its issuers. No empty lines.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        if let Some(key) = self.key() {
            text.push_str(&key.to_pem());
        }
        match self {
            Entry::Chain(Chain { certificates, .. }) | Entry::Authority(Authority { certificates }) => {
                certificates.iter().for_each(|certificate| text.push_str(&certificate.to_pem()));
            }
            Entry::Request(request) => text.push_str(&request.pem()),
        }
        text
    }

    /// What [`Entry::to_pem`] wrote; old as it may be, it is not judged again, but a key must belong to what it is with.
    pub fn from_pem(text: &str) -> Result<Entry, Refusal> {
        let damaged = |why: String| Refusal::new("file", why, "upload it again");
        let sections = pem::parse_many(text).map_err(|e| damaged(format!("is damaged: {e}")))?;
        let (mut key, mut certificates, mut request) = (None, Vec::new(), None);
        for section in &sections {
            match section.tag() {
                "CERTIFICATE" => certificates.push(Certificate::parse(section.contents())?),
                "CERTIFICATE REQUEST" => request = Some(section.contents().to_vec()),
                tag => key = PrivateKey::from_pem(tag, section.contents()).transpose()?.or(key),
            }
        }
        match (key, certificates.first(), request) {
            (Some(key), Some(first), None) if first.public == key.public() => {
                let anchored = first.self_issued || certificates.len() > 1;
                Ok(Entry::Chain(Chain { key, certificates, anchored }))
            }
            (None, Some(_), None) => Ok(Entry::Authority(Authority { certificates })),
            (Some(key), None, Some(der)) => Ok(Entry::Request(Request { key, der })),
            _ => Err(damaged("holds no certificate with its key, no authority and no request".to_owned())),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Chain(chain) => write!(f, "the certificate of {}", chain.certificate().subject),
            Entry::Authority(authority) => write!(f, "the authority {}", authority.certificate().subject),
            Entry::Request(request) => write!(f, "the request for {}", request.subject()),
        }
    }
}
