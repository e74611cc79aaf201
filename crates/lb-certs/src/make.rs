//! Keys made here: with a certificate of their own, or with a request for one. The key never leaves the unit.

use crate::{Certificate, Chain, PrivateKey, Refusal, Request};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256};
use std::net::IpAddr;
use time::OffsetDateTime;

/// Names of one certificate.
const MOST_NAMES: usize = 100;
/// Seconds by which one begins before it is made: the clock of whoever looks may be behind.
const BACK: u64 = 3600;
/// Days: ten years.
const LONGEST: u32 = 3650;

/// Who asks for a certificate; what is empty is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    pub organization: String,
    pub unit: String,
    pub locality: String,
    pub state: String,
    /// Two letters.
    pub country: String,
}

/// A key and a certificate signed by itself, valid for so many days, of which an hour is over. The first name is its common name.
pub fn self_signed(names: &[String], days: u32, now: u64) -> Result<Chain, Refusal> {
    if !(1..=LONGEST).contains(&days) {
        let hint = "browsers take up to 825 days";
        return Err(Refusal::new("days", format!("{days} days: must be 1 to {LONGEST}"), hint));
    }
    let mut params = params(names, &Subject::default())?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let from = now.saturating_sub(BACK);
    params.not_before = moment(from);
    // Both ends count (RFC 5280, section 4.1.2.5): to the second so many days, and not one more.
    params.not_after = moment(from + u64::from(days) * 86_400 - 1);
    let (key, pair) = key()?;
    let made = params.self_signed(&pair).map_err(failed)?;
    let certificate = Certificate::parse(made.der())?;
    Ok(Chain { key, certificates: vec![certificate], anchored: true })
}

/// A key and a request (PKCS#10) for a certificate of these names.
pub fn request(names: &[String], subject: &Subject) -> Result<Request, Refusal> {
    let params = params(names, subject)?;
    let (key, pair) = key()?;
    let made = params.serialize_request(&pair).map_err(failed)?;
    Ok(Request { key, der: made.der().to_vec() })
}

pub(crate) fn key() -> Result<(PrivateKey, KeyPair), Refusal> {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let key = PrivateKey::from_pkcs8(&pair.serialize_der())?;
    Ok((key, pair))
}

fn failed(error: rcgen::Error) -> Refusal {
    Refusal::new("names", format!("it could not be made: {error}"), "look at the names")
}

fn params(names: &[String], subject: &Subject) -> Result<CertificateParams, Refusal> {
    let Some(first) = names.first() else {
        return Err(Refusal::new("names", "there is no name", "enter the host names, for example www.example.com"));
    };
    if names.len() > MOST_NAMES {
        return Err(Refusal::new(
            "names",
            format!("{} names: at most {MOST_NAMES} are taken", names.len()),
            "use *.NAME",
        ));
    }
    if let Some(name) = names.iter().find(|name| !is_host(name)) {
        let hint = "enter host names or addresses, for example www.example.com or *.example.com";
        return Err(Refusal::new("names", format!("\"{}\" is not a host name", name.escape_debug()), hint));
    }
    let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
    let mut name = DistinguishedName::new();
    let Subject { organization, unit, locality, state, country } = subject;
    let letters = country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
    if !country.is_empty() && !letters {
        return Err(Refusal::new(
            "subject",
            format!("\"{country}\" is no country"),
            "two capital letters, for example DE",
        ));
    }
    let parts = [
        (DnType::CountryName, country),
        (DnType::StateOrProvinceName, state),
        (DnType::LocalityName, locality),
        (DnType::OrganizationName, organization),
        (DnType::OrganizationalUnitName, unit),
    ];
    for (kind, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
        if text.len() > 64 || text.chars().any(char::is_control) {
            let hint = "the standard allows 64 characters";
            return Err(Refusal::new("subject", format!("\"{}\" is too long", text.escape_debug()), hint));
        }
        name.push(kind, text.as_str());
    }
    // RFC 5280 allows 64 characters; a longer name stands among the alternative ones, where clients look.
    if first.len() <= 64 {
        name.push(DnType::CommonName, first.as_str());
    }
    params.distinguished_name = name;
    Ok(params)
}

/// A host name, one with `*` as its first label, or an address.
fn is_host(name: &str) -> bool {
    if name.parse::<IpAddr>().is_ok() {
        return true;
    }
    let host = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    name.len() <= 253 && host.split('.').all(label)
}

fn moment(unix: u64) -> OffsetDateTime {
    let moment = i64::try_from(unix).ok().and_then(|unix| OffsetDateTime::from_unix_timestamp(unix).ok());
    moment.unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
