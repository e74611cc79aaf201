//! Certificates with their keys, which lie on the unit's shelf: what is shown of them, and how they get there.
//!
//! A key goes in and never comes out: no answer holds one, and what a request holds of it is in no `Debug`.

use lb_model::{Label, layer7::Certificate};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroize;

/// A text that nobody shall see, such as a key.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// For whoever must have it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What lies on the shelf under one fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CertificateView {
    /// SHA-256 of the certificate, or of the request.
    pub fingerprint: String,
    pub kind: CertificateKind,
    pub subject: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// The number that its issuer gave it, in hexadecimal digits; empty: a request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub serial: String,
    /// Hosts and addresses.
    #[serde(default)]
    pub names: Vec<String>,
    /// Unix seconds; 0 for a request.
    #[serde(default)]
    pub not_before: u64,
    #[serde(default)]
    pub not_after: u64,
    /// `RSA 2048`, `EC P-256`
    #[serde(default)]
    pub key: String,
    /// Subjects of the intermediate certificates that clients are sent.
    #[serde(default)]
    pub chain: Vec<String>,
    /// What clients may stumble over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// Labels by which the running configuration or the candidate names it.
    #[serde(default)]
    pub labels: Vec<String>,
    /// A virtual server that runs needs it.
    #[serde(default)]
    pub in_use: bool,
    /// Of a request: the text for the authority (PKCS#10, PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Of one that names a responder (OCSP) and came with its issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocsp: Option<OcspView>,
}

/// What a certificate's responder says of it, and whether clients are shown that (OCSP stapling).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OcspView {
    /// Its URL.
    pub responder: String,
    pub state: OcspState,
    /// When the last answer that is believed was made, and until when it counts (Unix seconds); 0: there is none.
    pub produced: u64,
    pub next_update: u64,
    /// When the responder is asked next (Unix seconds); 0: as soon as possible, or never while `state` is off.
    pub next: u64,
    /// Tries in a row that failed.
    pub failures: u32,
    /// Why the last one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OcspState {
    /// Clients are shown that it was not revoked.
    Stapled,
    /// There is no answer yet.
    Waiting,
    /// There is no answer that counts, as the responder gave none.
    Failed,
    /// Its authority has revoked it.
    Revoked,
    /// Nobody is shown it, or its `stapling` is off.
    Off,
}

impl fmt::Display for OcspState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            OcspState::Stapled => "stapled",
            OcspState::Waiting => "waiting",
            OcspState::Failed => "failed",
            OcspState::Revoked => "revoked",
            OcspState::Off => "off",
        })
    }
}

impl CertificateView {
    /// How a configuration names it; `None`: a request, or something that is no certificate's.
    pub fn named(&self, label: Label) -> Option<Certificate> {
        if self.kind == CertificateKind::Request {
            return None;
        }
        let names = self.names.iter().filter_map(|name| name.parse().ok()).take(Certificate::MOST_NAMES);
        Some(Certificate {
            label,
            fingerprint: self.fingerprint.parse().ok()?,
            authority: self.kind == CertificateKind::Authority,
            names: names.collect(),
            not_after: self.not_after,
            acme: Vec::new(),
            stapling: true,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CertificateKind {
    /// With its key.
    Server,
    /// Signs others; without a key.
    Authority,
    /// A key that waits for its certificate.
    Request,
}

impl fmt::Display for CertificateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            CertificateKind::Server => "server",
            CertificateKind::Authority => "authority",
            CertificateKind::Request => "request",
        })
    }
}

/// A certificate that the unit obtains and renews by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AcmeView {
    pub label: String,
    /// The hosts that it is ordered for.
    pub names: Vec<String>,
    pub state: AcmeState,
    /// Until when the one that clients see is valid (Unix seconds); 0: they see a stand-in.
    pub not_after: u64,
    /// When it is ordered next (Unix seconds); in the past: as soon as possible.
    pub next: u64,
    /// Orders in a row that failed.
    pub failures: u32,
    /// Why the last one failed, in the ACME server's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why this unit does not order it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AcmeState {
    /// It was obtained, and is renewed in time.
    Valid,
    /// It was not ordered yet.
    Waiting,
    /// An order is under way.
    Ordered,
    /// The last order failed.
    Failed,
}

impl fmt::Display for AcmeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            AcmeState::Valid => "valid",
            AcmeState::Waiting => "waiting",
            AcmeState::Ordered => "ordered",
            AcmeState::Failed => "failed",
        })
    }
}

/// Orders a certificate now that the unit obtains by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OrderCertificate {
    pub label: Label,
    #[serde(default)]
    pub author: String,
}

/// One certificate with its key and chain, as PEM in any order or as PKCS#12; or an authority's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddCertificate {
    /// Either this,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, max_length = 1500000, write_only))]
    pub pem: Option<Secret>,
    /// or this: PKCS#12 in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, max_length = 1500000, write_only))]
    pub pfx: Option<Secret>,
    /// PEM, where the key is not in `pem`. Left out for the answer to a request made here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, max_length = 1500000, write_only))]
    pub key: Option<Secret>,
    /// Of the PKCS#12, or of an encrypted key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, max_length = 1500000, write_only))]
    pub passphrase: Option<Secret>,
    /// It is an authority's, for the certificates of clients or real servers; without a key.
    #[serde(default)]
    pub authority: bool,
    #[serde(default)]
    pub author: String,
}

/// A key and a certificate signed by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SelfSigned {
    /// Hosts and addresses, 1 to 100.
    #[cfg_attr(feature = "schema", schema(min_items = 1, max_items = 100))]
    pub names: Vec<String>,
    /// 1 to 3650; left out: 825.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 3650))]
    pub days: Option<u32>,
    #[serde(default)]
    pub author: String,
}

/// A key and a request (CSR) for its certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RequestCertificate {
    /// Hosts and addresses, 1 to 100.
    #[cfg_attr(feature = "schema", schema(min_items = 1, max_items = 100))]
    pub names: Vec<String>,
    #[serde(default)]
    pub organization: String,
    /// Of the organization.
    #[serde(default)]
    pub unit: String,
    #[serde(default)]
    pub locality: String,
    #[serde(default)]
    pub state: String,
    /// Two capital letters.
    #[serde(default)]
    pub country: String,
    #[serde(default)]
    pub author: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_no_debug() {
        let add = AddCertificate {
            pem: Some(Secret::new("PRIVATE")),
            passphrase: Some(Secret::new("PRIVATE")),
            ..AddCertificate::default()
        };
        assert!(!format!("{add:?}").contains("PRIVATE"));
        let text = serde_json::to_string(&add).expect("written");
        assert_eq!(serde_json::from_str::<AddCertificate>(&text).expect("read"), add);
    }
}
