//! The certificate of https: made on the first start, replaced by upload, swapped without a restart.
//!
//! `tls.pem` in the state directory holds chain and key together, so that no crash can part them; it is readable for
//! this user only. TLS 1.2 and 1.3, the suites of rustls' ring provider.

use anyhow::Context;
use axum_server::tls_rustls::RustlsConfig;
use rustls::{ServerConfig, crypto::ring, version};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

const FILE: &str = "tls.pem";

/// A chain of the longest sensible length is far below.
pub const LARGEST: usize = 64 << 10;

/// Seconds that a certificate made here is valid: 825 days, the longest that all browsers take.
const VALIDITY: u64 = 825 * 86400;

pub struct Tls {
    dir: PathBuf,
    pub config: RustlsConfig,
    shown: Mutex<Certificate>,
}

/// What people want to know of a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    pub subject: String,
    pub issuer: String,
    pub names: Vec<String>,
    /// Unix seconds.
    pub not_before: u64,
    pub not_after: u64,
    /// SHA-256 of the certificate: `AB:CD:…`, as browsers show it.
    pub fingerprint: String,
    pub self_signed: bool,
}

/// Why a certificate was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the certificate is larger than {LARGEST} bytes")]
    TooLarge,
    #[error("the certificate cannot be read: {0}; a PEM text that begins with -----BEGIN CERTIFICATE----- is expected")]
    Certificate(String),
    #[error(
        "the private key cannot be read: {0}; an unencrypted PEM text such as -----BEGIN PRIVATE KEY----- is expected"
    )]
    Key(String),
    #[error("certificate and private key do not belong together, or are of a kind that is not supported: {0}")]
    Pair(String),
    #[error("the certificate is valid from {from} to {to}, not now")]
    NotValidNow { from: String, to: String },
    #[error("writing the certificate: {0}")]
    Io(#[from] std::io::Error),
}

impl Tls {
    /// Reads the certificate, or makes one when there is none. One that cannot be read is moved aside: https must come up.
    pub fn open(dir: &Path, now: u64) -> anyhow::Result<Tls> {
        let file = dir.join(FILE);
        let kept = match fs::read_to_string(&file) {
            Ok(text) => match checked(&text, &text) {
                Ok(pair) => Some(pair),
                Err(error) => {
                    tracing::error!("the certificate in {} is unusable ({error}): making a new one", file.display());
                    fs::rename(&file, dir.join(format!("{FILE}.bad-{now}")))?;
                    None
                }
            },
            Err(_) => None,
        };
        let (config, certificate) = match kept {
            Some(pair) => pair,
            None => {
                let host = fs::read_to_string("/etc/hostname").unwrap_or_default();
                let (chain, key) = self_signed(&names(host.trim()), now).context("making a certificate")?;
                write(dir, &chain, &key).context("writing the certificate")?;
                checked(&chain, &key)?
            }
        };
        tracing::info!("certificate SHA-256 {}", certificate.fingerprint);
        Ok(Tls { dir: dir.to_owned(), config: RustlsConfig::from_config(config), shown: Mutex::new(certificate) })
    }

    pub fn certificate(&self) -> Certificate {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Checks the pair, writes it, and serves it from the next connection on.
    pub fn replace(&self, chain: &str, key: &str, now: u64) -> Result<Certificate, TlsError> {
        let (config, certificate) = checked(chain, key)?;
        valid_at(&certificate, now)?;
        write(&self.dir, chain, key)?;
        self.config.reload_from_config(config);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = certificate.clone();
        Ok(certificate)
    }

    /// A new certificate of our own for these names and addresses.
    pub fn renew(&self, names: &[String], now: u64) -> Result<Certificate, TlsError> {
        let (chain, key) = self_signed(names, now).map_err(|e| TlsError::Certificate(e.to_string()))?;
        self.replace(&chain, &key, now)
    }

    /// Chain and key as one PEM text, for an encrypted backup; [`Tls::replace`] takes it as both.
    pub fn export(&self) -> std::io::Result<String> {
        fs::read_to_string(self.dir.join(FILE))
    }
}

/// Browsers refuse one that is not valid yet or any more.
pub fn valid_at(certificate: &Certificate, now: u64) -> Result<(), TlsError> {
    if (certificate.not_before..=certificate.not_after).contains(&now) {
        return Ok(());
    }
    let (from, to) = (crate::frame::time(certificate.not_before), crate::frame::time(certificate.not_after));
    Err(TlsError::NotValidNow { from, to })
}

/// What a text with chain and key holds, if it can be used.
pub fn inspect(pair: &str) -> Result<Certificate, TlsError> {
    checked(pair, pair).map(|(_, certificate)| certificate)
}

fn names(host: &str) -> Vec<String> {
    let mut names: Vec<String> = [host, "localhost"].into_iter().filter(|n| !n.is_empty()).map(str::to_owned).collect();
    names.push("127.0.0.1".into());
    names.dedup();
    names
}

fn self_signed(names: &[String], now: u64) -> Result<(String, String), rcgen::Error> {
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(names.to_vec())?;
    let mut subject = rcgen::DistinguishedName::new();
    subject.push(rcgen::DnType::OrganizationName, "Steelyard");
    subject.push(rcgen::DnType::CommonName, names.first().map_or("steelyard", String::as_str));
    params.distinguished_name = subject;
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    // A day back: the clock of whoever looks may be behind.
    params.not_before = day(now.saturating_sub(86400));
    params.not_after = day(now + VALIDITY);
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn day(unix: u64) -> time::OffsetDateTime {
    i64::try_from(unix)
        .ok()
        .and_then(|s| time::OffsetDateTime::from_unix_timestamp(s).ok())
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

fn checked(chain: &str, key: &str) -> Result<(Arc<ServerConfig>, Certificate), TlsError> {
    if chain.len() > LARGEST || key.len() > LARGEST {
        return Err(TlsError::TooLarge);
    }
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|e| TlsError::Certificate(e.to_string()))?;
    let first = chain.first().ok_or_else(|| TlsError::Certificate("there is none in it".into()))?;
    let certificate = describe(first)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| TlsError::Key(e.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|e| TlsError::Pair(e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| TlsError::Pair(e.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(config), certificate))
}

fn describe(der: &CertificateDer<'_>) -> Result<Certificate, TlsError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der).map_err(|e| TlsError::Certificate(e.to_string()))?;
    let names = parsed
        .subject_alternative_name()
        .ok()
        .flatten()
        .map_or_else(Vec::new, |san| san.value.general_names.iter().map(general_name).collect());
    let seconds = |t: &x509_parser::time::ASN1Time| u64::try_from(t.timestamp()).unwrap_or(0);
    let digest = Sha256::digest(der.as_ref());
    Ok(Certificate {
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        names,
        not_before: seconds(&parsed.validity().not_before),
        not_after: seconds(&parsed.validity().not_after),
        fingerprint: digest.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":"),
        self_signed: parsed.subject() == parsed.issuer(),
    })
}

fn general_name(name: &x509_parser::extensions::GeneralName<'_>) -> String {
    use x509_parser::extensions::GeneralName;
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(four) => std::net::Ipv4Addr::from(four).to_string(),
            Err(_) => <[u8; 16]>::try_from(*bytes)
                .map_or_else(|_| "an address".into(), |b| std::net::Ipv6Addr::from(b).to_string()),
        },
        other => other.to_string(),
    }
}

fn write(dir: &Path, chain: &str, key: &str) -> std::io::Result<()> {
    let new = dir.join("tls.pem.new");
    let _ = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    // One text may hold both.
    let key = if chain == key { "" } else { key };
    file.write_all(format!("{}\n{key}", chain.trim_end()).as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, dir.join(FILE))?;
    File::open(dir)?.sync_all()
}
