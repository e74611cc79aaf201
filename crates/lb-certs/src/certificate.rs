//! One certificate, as far as people and the shelf want to know it.

use crate::{Refusal, day, fingerprint, hex, key::KINDS};
use lb_model::layer7::{CertificateFingerprint, CertificateName};
use pem::Pem;
use sha1::{Digest as _, Sha1};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use x509_parser::{
    certificate::X509Certificate, error::X509Error, extensions::GeneralName, prelude::FromDer as _,
    public_key::PublicKey,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub(crate) der: Vec<u8>,
    pub subject: String,
    pub issuer: String,
    /// Hosts and addresses; where there are none, the subject's common name.
    pub names: Vec<CertificateName>,
    /// Unix seconds.
    pub not_before: u64,
    pub not_after: u64,
    /// `RSA 2048`, `EC P-256`
    pub key: String,
    pub authority: bool,
    /// Its subject is its issuer.
    pub self_issued: bool,
    /// Hexadecimal digits in lower case.
    pub serial: String,
    pub fingerprint: CertificateFingerprint,
    pub(crate) public: Vec<u8>,
}

impl Certificate {
    pub(crate) fn parse(der: &[u8]) -> Result<Certificate, Refusal> {
        let unreadable = |why: String| {
            let hint = "upload a certificate (X.509) as PEM or PKCS#12";
            Refusal::new("file", format!("the certificate cannot be read: {why}"), hint)
        };
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|e| unreadable(e.to_string()))?;
        if !rest.is_empty() {
            return Err(unreadable("something stands behind it".to_owned()));
        }
        let seconds = |time: &x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
        let constraints = parsed.basic_constraints().map_err(|e| unreadable(e.to_string()))?;
        Ok(Certificate {
            der: der.to_vec(),
            subject: printable(&parsed.subject().to_string()),
            issuer: printable(&parsed.issuer().to_string()),
            names: names(&parsed),
            not_before: seconds(&parsed.validity().not_before),
            not_after: seconds(&parsed.validity().not_after),
            key: kind(&parsed),
            authority: constraints.is_some_and(|constraints| constraints.value.ca),
            self_issued: parsed.subject().as_raw() == parsed.issuer().as_raw(),
            serial: serial(parsed.raw_serial()),
            fingerprint: fingerprint(der),
            public: parsed.public_key().subject_public_key.data.to_vec(),
        })
    }

    /// SHA-1 of the DER in upper case, as HAProxy shows certificates that it runs.
    pub fn sha1(&self) -> String {
        hex(&Sha1::digest(&self.der)).to_uppercase()
    }

    pub(crate) fn to_pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&Pem::new("CERTIFICATE", self.der.clone()), config)
    }

    /// Whether `issuer` signed it. A signature of a kind that cannot be checked here counts by its name.
    pub(crate) fn signed_by(&self, issuer: &Certificate) -> bool {
        let (Ok((_, this)), Ok((_, other))) =
            (X509Certificate::from_der(&self.der), X509Certificate::from_der(&issuer.der))
        else {
            return false;
        };
        this.issuer().as_raw() == other.subject().as_raw()
            && !matches!(this.verify_signature(Some(other.public_key())), Err(X509Error::SignatureVerificationError))
    }

    /// What clients refuse, whatever its name.
    pub(crate) fn refuse_weak(&self) -> Result<(), Refusal> {
        let Ok((_, parsed)) = X509Certificate::from_der(&self.der) else { return Ok(()) };
        let weak = |reason: String| Err(Refusal::new("file", format!("{}: {reason}", self.subject), KINDS));
        match parsed.public_key().parsed() {
            // Modulus and nothing else: `key_size` counts a leading zero byte.
            Ok(PublicKey::RSA(rsa)) => {
                let bits = bits(rsa.modulus);
                if !(2048..=4096).contains(&bits) {
                    return weak(format!("its RSA key has {bits} bits; 2048 to 4096 are taken"));
                }
            }
            Ok(PublicKey::EC(point)) if matches!(point.data().len(), 65 | 97) => {}
            Ok(PublicKey::EC(_)) => return weak("its key is of an elliptic curve that is not taken".to_owned()),
            _ => return weak("its key is of a kind that is not taken".to_owned()),
        }
        // RFC 9155 and the browsers: SHA-1 and MD5 signatures are no proof. A root's own signature proves nothing anyway.
        let oid = parsed.signature_algorithm.algorithm.to_id_string();
        let broken = ["1.2.840.113549.1.1.5", "1.2.840.113549.1.1.4", "1.2.840.10045.4.1"].contains(&oid.as_str());
        if broken && !self.self_issued {
            let reason = format!("{}: it is signed with SHA-1 or MD5, which clients refuse", self.subject);
            return Err(Refusal::new("file", reason, "ask the authority for a certificate signed with SHA-256"));
        }
        Ok(())
    }

    pub(crate) fn refuse_expired(&self, now: u64) -> Result<(), Refusal> {
        if self.not_after >= now {
            return Ok(());
        }
        let reason = format!("{}: it has expired on {}", self.subject, day(self.not_after));
        Err(Refusal::new("file", reason, "upload the renewed certificate; if it is not expired, set the unit's clock"))
    }
}

/// A positive integer in DER may begin with a byte that only says so.
fn serial(bytes: &[u8]) -> String {
    let digits = hex(bytes);
    printable(digits.strip_prefix("00").filter(|rest| !rest.is_empty()).unwrap_or(&digits))
}

fn bits(modulus: &[u8]) -> usize {
    let significant = modulus.iter().skip_while(|byte| **byte == 0);
    let first = significant.clone().next().map_or(0, |byte| byte.leading_zeros() as usize);
    (significant.count() * 8).saturating_sub(first)
}

fn kind(parsed: &X509Certificate<'_>) -> String {
    match parsed.public_key().parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA {}", bits(rsa.modulus)),
        Ok(PublicKey::EC(point)) => match point.data().len() {
            65 => "EC P-256".to_owned(),
            97 => "EC P-384".to_owned(),
            _ => "EC".to_owned(),
        },
        _ => "another".to_owned(),
    }
}

fn names(parsed: &X509Certificate<'_>) -> Vec<CertificateName> {
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let found: Vec<String> = match &alternative {
        Some(names) => names.value.general_names.iter().filter_map(general_name).collect(),
        None => Vec::new(),
    };
    let common =
        || parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok()).map(str::to_owned).collect();
    let found = if found.is_empty() { common() } else { found };
    // A name that is no text of ours is left out: clients see it all the same.
    found.iter().filter_map(|name| printable(name).parse().ok()).collect()
}

fn general_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(|four| IpAddr::from(Ipv4Addr::from(four)));
            let v6 = || <[u8; 16]>::try_from(*bytes).map(|sixteen| IpAddr::from(Ipv6Addr::from(sixteen)));
            v4.or_else(|_| v6()).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// What others wrote, on a console: without control characters, and not endless.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(255).collect()
}
