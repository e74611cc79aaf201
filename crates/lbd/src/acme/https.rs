//! One request to an ACME server on a connection of its own: https only, the server's certificate verified, and time and
//! size bounded. What it says of being asked too often is kept.

use super::order::Roots;
use http_body_util::{BodyExt as _, Limited};
use hyper::{
    Request, Uri,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, HOST, HeaderValue, RETRY_AFTER, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

/// The public authorities, as the system's package of them says.
const PUBLIC: &str = "/etc/ssl/certs/ca-certificates.crt";
/// For each: the connection, and everything after it.
const LIMIT: Duration = Duration::from_secs(30);
/// A chain has some ten thousand bytes.
const LARGEST: usize = 1 << 20;

pub struct Https {
    tls: Arc<ClientConfig>,
    /// Seconds that the server last asked to be left alone for.
    pub alone: Arc<Mutex<Option<u64>>>,
}

impl Https {
    pub fn new(roots: &Roots) -> Result<Https, String> {
        let mut store = RootCertStore::empty();
        match roots {
            Roots::Public => {
                let all = CertificateDer::pem_file_iter(Path::new(PUBLIC)).map_err(|e| format!("{PUBLIC}: {e}"))?;
                store.add_parsable_certificates(all.filter_map(Result::ok));
            }
            Roots::These(all) => {
                for der in all {
                    let added = store.add(CertificateDer::from(der.clone()));
                    added.map_err(|e| format!("the authority of the ACME server: {e}"))?;
                }
            }
        }
        if store.is_empty() {
            return Err(format!("there is no authority to verify the ACME server by ({PUBLIC} is empty)"));
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|e| e.to_string())?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Https { tls: Arc::new(tls), alone: Arc::default() })
    }
}

impl HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (tls, alone) = (self.tls.clone(), self.alone.clone());
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            match timeout(2 * LIMIT, ask(tls, &alone, request)).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(why)) => Err(Error::Other(format!("{host}: {why}").into())),
                Err(_) => Err(Error::Other(format!("{host} did not answer within {} s", 2 * LIMIT.as_secs()).into())),
            }
        })
    }
}

type Why = Box<dyn std::error::Error + Send + Sync>;

async fn ask(
    tls: Arc<ClientConfig>,
    alone: &Mutex<Option<u64>>,
    request: Request<BodyWrapper<Bytes>>,
) -> Result<BytesResponse, Why> {
    let (mut head, body) = request.into_parts();
    if head.uri.scheme_str() != Some("https") {
        return Err(format!("{} is not an https:// URL", head.uri).into());
    }
    let authority = head.uri.authority().ok_or("a URL without a host")?.clone();
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16().unwrap_or(443);
    head.headers.insert(HOST, HeaderValue::from_str(authority.as_str())?);
    head.headers.insert(USER_AGENT, HeaderValue::from_static("Steelyard"));
    head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    head.uri = head.uri.path_and_query().map_or("/", |path| path.as_str()).parse::<Uri>()?;

    let connect = timeout(LIMIT, TcpStream::connect((host.as_str(), port)));
    let stream = connect.await.map_err(|_| format!("no connection within {} s", LIMIT.as_secs()))??;
    let name = ServerName::try_from(host)?;
    let stream = TlsConnector::from(tls).connect(name, stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer, or when this is dropped with its time over: the sender is gone then.
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(Request::from_parts(head, body)).await?;
    let (head, body) = answer.into_parts();
    if !head.status.is_success() {
        let seconds = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        *alone.lock().unwrap_or_else(PoisonError::into_inner) = seconds;
    }
    let body = Limited::new(body, LARGEST).collect().await?.to_bytes();
    connection.abort();
    Ok(BytesResponse { parts: head, body: Box::new(body) })
}
