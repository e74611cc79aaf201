//! TLS for checks: any certificate will do.
//!
//! A check asks whether this server works, and asks it by its address. Its certificate is for the name
//! that clients use, often from the customer's own authority, and its expiry is no reason to take the
//! last servers out. Nothing secret is sent. So nothing is verified, TLS 1.2 is good enough, and every
//! signature scheme that rustls can name is offered.

use super::{Failed, Limit};
use lb_check::Target;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// `name` is the server name sent along; one that is none (an address) is not sent.
pub async fn handshake(
    stream: TcpStream,
    target: Target,
    name: Option<&str>,
    limit: Limit,
) -> Result<TlsStream<TcpStream>, Failed> {
    let name = name
        .and_then(|n| ServerName::try_from(n.to_owned()).ok())
        .unwrap_or_else(|| ServerName::IpAddress(target.address.into()));
    let connector = TlsConnector::from(config()?);
    let step = async { connector.connect(name, stream).await.map_err(reason) };
    limit.hold("connected, but no TLS handshake", step).await
}

fn reason(e: std::io::Error) -> Failed {
    match e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) => Failed("does not speak TLS on this port".into()),
        Some(tls) => Failed(format!("TLS: {tls}")),
        None => {
            let Failed(why) = e.into();
            Failed(format!("TLS: {why}"))
        }
    }
}

/// One configuration for all checks, and the one place that names their crypto provider.
fn config() -> Result<Arc<ClientConfig>, Failed> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, rustls::Error>> = OnceLock::new();
    let made = CONFIG.get_or_init(|| {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
        let mut config =
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate)).with_no_client_auth();
        // A check is to see what a new client sees.
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    });
    made.clone().map_err(|e| Failed(format!("TLS: {e}")))
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme::*;
        vec![
            ECDSA_NISTP256_SHA256,
            ECDSA_NISTP384_SHA384,
            ECDSA_NISTP521_SHA512,
            ED25519,
            ED448,
            RSA_PSS_SHA256,
            RSA_PSS_SHA384,
            RSA_PSS_SHA512,
            RSA_PKCS1_SHA256,
            RSA_PKCS1_SHA384,
            RSA_PKCS1_SHA512,
            ECDSA_SHA1_Legacy,
            RSA_PKCS1_SHA1,
        ]
    }
}
