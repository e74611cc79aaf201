//! TLS of a layer 7 virtual server: which certificates it shows, what it speaks, whom it asks for a certificate.
//!
//! The document says certificates by label and fingerprint; keys and chains are never in it. They lie on lbd's shelf,
//! from which lbd takes what a configuration names.

use crate::{Label, NameError, names::string_name, words};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

string_name! {
    /// SHA-256 of a certificate's DER: 64 hexadecimal digits in lower case.
    CertificateFingerprint, check_fingerprint
}

string_name! {
    /// A name in a certificate: a host, `*.example.com`, an address, or an authority's own. 1 to 255 printable ASCII
    /// characters.
    CertificateName, check_name
}

fn check_fingerprint(s: &str) -> Result<(), String> {
    match s.len() == 64 && s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        true => Ok(()),
        false => {
            let shown: String = s.chars().take(80).collect();
            Err(format!("\"{}\" is not a fingerprint: 64 digits 0-9 and a-f", shown.escape_debug()))
        }
    }
}

fn check_name(s: &str) -> Result<(), String> {
    if s.is_empty() || s.len() > 255 {
        return Err(format!("a name of a certificate has {} characters; 1 to 255 are allowed", s.len()));
    }
    match s.chars().find(|c| !c.is_ascii_graphic() && *c != ' ') {
        Some(c) => Err(format!("\"{}\" contains {c:?}; use printable ASCII characters", s.escape_debug())),
        None => Ok(()),
    }
}

impl CertificateFingerprint {
    /// Enough for people to tell two certificates apart.
    pub fn short(&self) -> &str {
        &self.as_str()[..16]
    }
}

/// A certificate that virtual servers name by its label. A renewed one takes the label of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = Layer7Certificate))]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    pub label: Label,
    pub fingerprint: CertificateFingerprint,
    /// The certificate of an authority that signs others, without a key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub authority: bool,
    /// What it is valid for, as it says itself; the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 100))]
    pub names: Vec<CertificateName>,
    /// Until when it is valid, as it says itself (Unix seconds).
    pub not_after: u64,
    /// The unit obtains and renews it for these hosts (`layer7.acme`), and says itself what stands above: a fingerprint
    /// of zeros will do. Left out: it is uploaded, or made here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 100))]
    pub acme: Vec<CertificateName>,
    /// Where the certificate names a responder (OCSP), clients are shown its answer: that it was not revoked.
    #[serde(default = "on", skip_serializing_if = "is_on")]
    #[cfg_attr(feature = "schema", schema(default = true))]
    pub stapling: bool,
}

fn on() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde's skip_serializing_if asks for")]
fn is_on(is: &bool) -> bool {
    *is
}

impl Certificate {
    /// Names that the document keeps.
    pub const MOST_NAMES: usize = 100;

    /// One that the unit shall obtain for these hosts.
    pub fn awaited(label: Label, acme: Vec<CertificateName>) -> Certificate {
        let fingerprint = CertificateFingerprint("0".repeat(64));
        Certificate { label, fingerprint, authority: false, names: Vec::new(), not_after: 0, acme, stapling: true }
    }

    /// The same, as the certificate with this fingerprint says itself.
    #[must_use]
    pub fn at(&self, fingerprint: CertificateFingerprint, names: Vec<CertificateName>, not_after: u64) -> Certificate {
        let names = names.into_iter().take(Certificate::MOST_NAMES).collect();
        Certificate { fingerprint, names, not_after, ..self.clone() }
    }

    /// The unit obtains it by itself.
    pub fn is_obtained(&self) -> bool {
        !self.acme.is_empty()
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.names.iter().take(3).map(CertificateName::as_str).collect();
        let more = if self.names.len() > 3 { ", …" } else { "" };
        write!(f, "{} ({}{more}; {})", self.label, names.join(", "), self.fingerprint.short())
    }
}

/// Clients speak TLS, which ends here: real servers get what was in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// 1 to 1,000 labels. A client that names a host gets the certificate with that name, every other one the first.
    #[cfg_attr(feature = "schema", schema(min_items = 1, max_items = 1000))]
    pub certificates: Vec<Label>,
    #[serde(default)]
    pub profile: TlsProfile,
    /// Mode http: seconds for which browsers come by https only (HTTP Strict Transport Security), 1..=63072000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 63072000))]
    pub hsts: Option<u32>,
    /// Asks clients for a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientCertificates>,
}

impl Tls {
    pub const MOST_CERTIFICATES: usize = 1000;
    /// Two years, which the browsers' own list of such sites asks for.
    pub const LONGEST_HSTS: u32 = 63_072_000;

    /// With everything else as it is when left out.
    pub fn new(certificates: Vec<Label>) -> Tls {
        Tls { certificates, profile: TlsProfile::default(), hsts: None, client: None }
    }
}

/// Who may connect by certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientCertificates {
    /// The label of the authority that signed clients' certificates.
    pub authority: Label,
    #[serde(default)]
    pub verify: ClientVerify,
}

/// How the certificates of real servers with `tls` are verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ServerVerification {
    /// The label of the authority that signed them.
    pub authority: Label,
    /// The host that they must be for, which the servers are told (SNI); left out: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<CertificateName>,
}

words! {
    /// Versions of TLS and their ciphers, after Mozilla's recommendations.
    TlsProfile, "TLS profile",
    /// TLS 1.3 only: browsers since 2018.
    Modern = "modern",
    /// TLS 1.2 and 1.3, with ciphers that keep past sessions secret.
    #[default] Compatible = "compatible",
}

words! {
    /// What becomes of clients without a certificate. A wrong one is refused in any case.
    ClientVerify, "client verification",
    #[default] Required = "required",
    Optional = "optional",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_64_lower_case_digits() {
        let good = "0123456789abcdef".repeat(4);
        assert_eq!(good.parse::<CertificateFingerprint>().map(|f| f.short().to_owned()), Ok("0123456789abcdef".into()));
        for bad in ["", "0123", &good.to_uppercase(), &good[1..], &"é".repeat(32)] {
            assert!(bad.parse::<CertificateFingerprint>().is_err(), "{bad}");
        }
    }
}
