//! lbadmin's native API as a way to lbd's routes: HTTPS with a bearer token.
//!
//! Owns the reading of a URL, whom to trust ([`Trust`]) and what is said when a certificate is not
//! trusted: its fingerprint, so that a person can compare and pin it. Refuses plain HTTP, over which
//! a token could be read. Tested here, and by lbctl's stories against a small server.

use crate::ClientError;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use sha2::{Digest, Sha256};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Where lbadmin serves lbd's routes.
pub(crate) const PREFIX: &str = "/api";

/// Where distributions keep the certificates of public authorities.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// Which certificate of the server is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// One for the server's name, from an authority that this system trusts.
    System,
    /// One for the server's name, from an authority in this file (PEM).
    CaFile(PathBuf),
    /// This very one.
    Fingerprint(Fingerprint),
    /// Any: whoever is in between can read and change everything.
    Insecure,
}

/// SHA-256 of a certificate (DER), as `openssl x509 -fingerprint -sha256` prints it: `AB:CD:…`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(certificate: &[u8]) -> Self {
        Fingerprint(Sha256::digest(certificate).into())
    }
}

impl FromStr for Fingerprint {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let refused =
            || format!("\"{s}\" is no SHA-256 fingerprint; it has 64 hexadecimal digits, with or without colons");
        let digits: Vec<u8> = s.trim().trim_start_matches("sha256:").bytes().filter(|b| *b != b':').collect();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(refused());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| refused())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| refused())?;
        }
        Ok(Fingerprint(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let colon = if i == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// One server, and the token to show it.
#[derive(Clone)]
pub(crate) struct Https {
    url: Url,
    token: Option<String>,
    connector: TlsConnector,
    verifier: Arc<Verifier>,
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Https").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Https {
    pub(crate) fn new(url: &str, token: Option<String>, trust: Trust) -> Result<Self, ClientError> {
        let url: Url = url.parse()?;
        let token = token.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
        if let Some(token) = &token
            && !token.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(ClientError::Settings("the token has characters that no token has".into()));
        }
        let provider = Arc::new(ring::default_provider());
        let believe = match trust {
            Trust::System => Believe::Roots(roots(system_roots()?.as_ref(), &provider)?),
            Trust::CaFile(file) => Believe::Roots(roots(&file, &provider)?),
            Trust::Fingerprint(fingerprint) => Believe::Fingerprint(fingerprint),
            Trust::Insecure => Believe::Any,
        };
        let verifier = Arc::new(Verifier { believe, provider: Arc::clone(&provider), seen: Mutex::new(None) });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| ClientError::Settings(e.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        Ok(Https { url, token, connector: TlsConnector::from(Arc::new(config)), verifier })
    }

    pub(crate) fn authority(&self) -> &str {
        &self.url.authority
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    pub(crate) async fn connect(&self) -> Result<TlsStream<TcpStream>, ClientError> {
        let unreachable = |source| ClientError::Unreachable { url: self.url.to_string(), source };
        let stream = TcpStream::connect((self.url.host.as_str(), self.url.port)).await.map_err(unreachable)?;
        let name = ServerName::try_from(self.url.host.clone())
            .map_err(|_| ClientError::Settings(format!("\"{}\" is not the name of a server", self.url.host)))?;
        self.connector.connect(name, stream).await.map_err(|e| self.explain(e))
    }

    fn explain(&self, error: io::Error) -> ClientError {
        let url = self.url.to_string();
        let tls = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
        let seen = self.verifier.seen.lock().map_or(None, |seen| *seen);
        match (tls, seen) {
            (Some(rustls::Error::InvalidCertificate(reason)), Some(seen)) => ClientError::Certificate {
                url,
                reason: in_words(reason, &self.url.host),
                fingerprint: seen.to_string(),
            },
            _ => ClientError::Tls { url, source: error },
        }
    }
}

fn in_words(reason: &CertificateError, host: &str) -> String {
    match reason {
        CertificateError::UnknownIssuer => "no authority that is trusted here signed it".into(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; compare the clocks".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("it is not for the name {host}")
        }
        CertificateError::ApplicationVerificationFailure => "its fingerprint is not the one that was named".into(),
        other => other.to_string(),
    }
}

fn system_roots() -> Result<PathBuf, ClientError> {
    let found = SYSTEM_ROOTS.iter().map(Path::new).find(|p| p.exists());
    found.map(Path::to_owned).ok_or_else(|| {
        ClientError::Settings(
            "this system has no list of trusted authorities\nhint: name a file of them, or the server's fingerprint"
                .into(),
        )
    })
}

fn roots(file: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, ClientError> {
    let unusable = |why: String| ClientError::Settings(format!("cannot use {} as authorities: {why}", file.display()));
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| unusable(e.to_string()))? {
        // A bundle may hold some that this library does not know; the others count.
        let _ = store.add(certificate.map_err(|e| unusable(e.to_string()))?);
    }
    if store.is_empty() {
        return Err(unusable("it holds no certificate (PEM)".into()));
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
        .build()
        .map_err(|e| unusable(e.to_string()))
}

#[derive(Debug)]
enum Believe {
    Roots(Arc<WebPkiServerVerifier>),
    Fingerprint(Fingerprint),
    Any,
}

/// Remembers what it saw, so that a refusal can name it.
#[derive(Debug)]
struct Verifier {
    believe: Believe,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Fingerprint>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = Fingerprint::of(end_entity);
        if let Ok(mut place) = self.seen.lock() {
            *place = Some(seen);
        }
        match &self.believe {
            Believe::Roots(roots) => roots.verify_server_cert(end_entity, intermediates, server_name, ocsp, now),
            Believe::Fingerprint(wanted) if *wanted != seen => {
                Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            Believe::Fingerprint(_) | Believe::Any => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// `https://HOST[:PORT]`; what a browser shows behind that (`/lbadmin/…`) may stay.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Url {
    /// As in the Host header.
    authority: String,
    /// Without brackets.
    host: String,
    port: u16,
}

impl FromStr for Url {
    type Err = ClientError;
    fn from_str(s: &str) -> Result<Self, ClientError> {
        let refused =
            |why: &str| ClientError::Settings(format!("\"{s}\" {why}\nhint: for example https://192.168.2.21:9443"));
        let uri: hyper::Uri = s.trim().parse().map_err(|_| refused("is not a URL"))?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") => return Err(refused("is not encrypted: anybody in between could read the token")),
            _ => return Err(refused("does not begin with https://")),
        }
        let authority = uri.authority().ok_or_else(|| refused("names no server"))?;
        if authority.as_str().contains('@') {
            return Err(refused("has a user in it; use a token"));
        }
        if !(uri.path() == "/" || uri.path().starts_with("/lbadmin")) {
            return Err(refused("has a path in it; the server's address is enough"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(refused("names no server"));
        }
        Ok(Url { authority: authority.to_string(), host, port: authority.port_u16().unwrap_or(443) })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority)
    }
}

#[cfg(test)]
mod tests;
