//! What a unit tells the other one when they become a pair; every limit is checked when it is read.

use crate::identity::Fingerprint;
use base64::{Engine, prelude::BASE64_STANDARD};
use ipnet::IpNet;
use lb_model::Hostname;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// Bytes of a certificate; ours has about 400.
pub const LARGEST_CERTIFICATE: usize = 4 << 10;
/// Addresses of a unit.
pub const MOST_ADDRESSES: usize = 64;
/// Characters of a version or of an interface's name.
pub const LONGEST_WORD: usize = 64;

/// A unit as it presents itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    pub certificate: Certificate,
    pub hostname: Hostname,
    /// Of the software: `0.1.0`.
    pub version: String,
    /// Its own, not the floating ones.
    pub addresses: Vec<UnitAddress>,
}

/// `eth0` has `192.168.2.21/24`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitAddress {
    pub interface: String,
    pub network: IpNet,
}

/// An X.509 certificate, readable and not too large. Base64 in JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Certificate(Vec<u8>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    #[error("the certificate is empty or larger than {LARGEST_CERTIFICATE} bytes")]
    CertificateSize,
    #[error("the certificate cannot be read")]
    Certificate,
    #[error("a version or the name of an interface has no or more than {LONGEST_WORD} characters, or strange ones")]
    Word,
    #[error("there are more than {MOST_ADDRESSES} addresses")]
    Addresses,
    #[error("it is not of the agreed form")]
    Form,
}

impl Card {
    pub(crate) fn write(&self) -> Result<Vec<u8>, CardError> {
        self.check()?;
        serde_json::to_vec(self).map_err(|_| CardError::Form)
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Card, CardError> {
        let card: Card = serde_json::from_slice(bytes).map_err(|_| CardError::Form)?;
        card.check()?;
        Ok(card)
    }

    /// What the types do not refuse by themselves.
    pub(crate) fn check(&self) -> Result<(), CardError> {
        if self.addresses.len() > MOST_ADDRESSES {
            return Err(CardError::Addresses);
        }
        let mut words = std::iter::once(&self.version).chain(self.addresses.iter().map(|a| &a.interface));
        let plain =
            |word: &String| (1..=LONGEST_WORD).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_graphic());
        if words.all(plain) { Ok(()) } else { Err(CardError::Word) }
    }
}

impl Certificate {
    pub fn new(der: &[u8]) -> Result<Certificate, CardError> {
        if !(1..=LARGEST_CERTIFICATE).contains(&der.len()) {
            return Err(CardError::CertificateSize);
        }
        let shown = CertificateDer::from(der);
        rustls::server::ParsedCertificate::try_from(&shown).map_err(|_| CardError::Certificate)?;
        Ok(Certificate(der.to_vec()))
    }

    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0)
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.0.clone())
    }

    /// In constant time.
    pub fn is(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate({})", self.fingerprint())
    }
}

impl TryFrom<String> for Certificate {
    type Error = CardError;

    fn try_from(text: String) -> Result<Certificate, CardError> {
        if text.len() > LARGEST_CERTIFICATE * 2 {
            return Err(CardError::CertificateSize);
        }
        Certificate::new(&BASE64_STANDARD.decode(text).map_err(|_| CardError::Form)?)
    }
}

impl From<Certificate> for String {
    fn from(certificate: Certificate) -> String {
        BASE64_STANDARD.encode(certificate.0)
    }
}
