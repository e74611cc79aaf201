//! The channel over real TCP: the two units of a pair get through, nobody else does.

mod common;

use common::{Unit, unit};
use lb_pair::{Certificate, Identity, tls};
use rustls::{
    ClientConfig, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Whether a byte gets to the other side and back.
async fn gets_through(client: ClientConfig, server: ServerConfig) -> (bool, bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let called = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(stream).await.ok()?;
        let byte = stream.read_u8().await.ok()?;
        stream.write_u8(byte).await.ok()?;
        stream.flush().await.ok()?;
        stream.get_ref().1.peer_certificates().map(|shown| shown.len())
    });
    let calls = async move {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = TlsConnector::from(Arc::new(client)).connect(tls::name(), stream).await.ok()?;
        assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        stream.write_u8(7).await.ok()?;
        stream.flush().await.ok()?;
        stream.read_u8().await.ok()
    };
    (calls.await == Some(7), called.await.unwrap() == Some(1))
}

fn run(client: ClientConfig, server: ServerConfig) -> (bool, bool) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(gets_through(client, server))
}

fn client(me: &Unit, peer: &Certificate) -> ClientConfig {
    tls::client(&me.identity, peer).unwrap()
}

fn server(me: &Unit, peer: &Certificate) -> ServerConfig {
    tls::server(&me.identity, peer).unwrap()
}

const NOBODY: (bool, bool) = (false, false);

#[test]
fn a_pair_gets_through() {
    let (a, b) = (unit("master"), unit("slave"));
    let (to_b, to_a) = (client(&a, b.identity.certificate()), server(&b, a.identity.certificate()));
    assert_eq!(run(to_b.clone(), to_a.clone()), (true, true));
    assert_eq!(run(to_b, to_a), (true, true));
}

#[test]
fn a_third_unit_is_refused_on_both_sides() {
    let (a, b, c) = (unit("master"), unit("slave"), unit("third"));
    // It calls, and would believe whom it reaches.
    assert_eq!(run(client(&c, b.identity.certificate()), server(&b, a.identity.certificate())), NOBODY);
    // It is called, and would take whoever calls.
    assert_eq!(run(client(&a, b.identity.certificate()), server(&c, a.identity.certificate())), NOBODY);
}

#[test]
fn whoever_shows_no_certificate_is_refused() {
    let (a, b) = (unit("master"), unit("slave"));
    let mut without = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    // With the pair's own way of looking at the server, so that only the missing certificate is in the way.
    without.dangerous().set_certificate_verifier(Arc::new(AnyServer));
    without.alpn_protocols = vec![tls::ALPN.to_vec()];
    assert_eq!(run(without, server(&b, a.identity.certificate())), NOBODY);
}

/// The right certificate, so the right fingerprint, but without the key that belongs to it.
#[test]
fn a_certificate_without_its_key_is_refused_on_both_sides() {
    let (a, b, c) = (unit("master"), unit("slave"), unit("third"));
    let stolen = |of: &Unit| Arc::new(Stolen::new(of, &c));
    let provider = Arc::new(ring::default_provider());
    let mut calls = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer))
        .with_client_cert_resolver(stolen(&a));
    calls.alpn_protocols = vec![tls::ALPN.to_vec()];
    assert_eq!(run(calls, server(&b, a.identity.certificate())), NOBODY);
    let mut called = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(stolen(&b));
    called.alpn_protocols = vec![tls::ALPN.to_vec()];
    assert_eq!(run(client(&a, b.identity.certificate()), called), NOBODY);
}

#[test]
fn a_unit_with_a_new_identity_is_refused_until_it_is_paired_again() {
    let (a, b) = (unit("master"), unit("slave"));
    let new = Unit { identity: Identity::renew(b.dir.path()).unwrap(), ..unit("slave") };
    assert_eq!(run(client(&a, b.identity.certificate()), server(&new, a.identity.certificate())), NOBODY);
    assert_eq!(run(client(&a, new.identity.certificate()), server(&new, a.identity.certificate())), (true, true));
}

#[test]
fn tls_12_is_not_spoken() {
    let (a, b) = (unit("master"), unit("slave"));
    let mut old = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer))
        .with_client_cert_resolver(Arc::new(Stolen::own(&a)));
    old.alpn_protocols = vec![tls::ALPN.to_vec()];
    assert_eq!(run(old, server(&b, a.identity.certificate())), NOBODY);
}

/// Believes every server, as a third party would.
#[derive(Debug)]
struct AnyServer;

impl rustls::client::danger::ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// One unit's certificate with another one's key.
#[derive(Debug)]
struct Stolen(Arc<rustls::sign::CertifiedKey>);

impl Stolen {
    fn new(certificate_of: &Unit, key_of: &Unit) -> Stolen {
        let pem = |unit: &Unit| std::fs::read(unit.dir.path().join(lb_pair::identity::FILE)).unwrap();
        let certificate = CertificateDer::from_pem_slice(&pem(certificate_of)).unwrap();
        let key = PrivateKeyDer::from_pem_slice(&pem(key_of)).unwrap();
        let key = ring::sign::any_supported_type(&key).unwrap();
        Stolen(Arc::new(rustls::sign::CertifiedKey::new(vec![certificate], key)))
    }

    fn own(unit: &Unit) -> Stolen {
        Stolen::new(unit, unit)
    }
}

impl rustls::client::ResolvesClientCert for Stolen {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl rustls::server::ResolvesServerCert for Stolen {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(self.0.clone())
    }
}
