//! How a request reaches lbd, and how its answer is read.

use crate::ApiError;
#[cfg(feature = "tls")]
use crate::https::{self, Https, Trust};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, body::Bytes, header};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite};

/// No answer is longer; a status of 10,000 virtual servers is a tenth of it.
const ANSWER_LIMIT: usize = 256 << 20;

/// Why there was no answer, or that the answer was no.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot reach lbd at {path}: {source}\nhint: is it running (sv status lbd), and may you use its socket?")]
    Connect { path: PathBuf, source: io::Error },
    #[error("cannot reach {url}: {source}\nhint: the web interface answers HTTPS on port 9443 unless set up otherwise")]
    Unreachable { url: String, source: io::Error },
    #[error("{url} does not speak TLS as it should: {source}\nhint: HTTPS is on port 9443 unless set up otherwise")]
    Tls { url: String, source: io::Error },
    /// Somebody else may answer in the server's place; nothing was sent.
    #[error(
        "the certificate of {url} is not trusted: {reason}\nits SHA-256 fingerprint is {fingerprint}\n\
         hint: compare it with what the unit's own console or web interface shows, and only if it is the same trust it:\n  \
         --fingerprint {fingerprint}"
    )]
    Certificate { url: String, reason: String, fingerprint: String },
    /// 401
    #[error(
        "{0}\nhint: make a token in the web interface (Edit Configuration > API tokens) and pass it with --token-file"
    )]
    Unauthorized(String),
    /// 403
    #[error("{0}\nhint: use a token of a user whose role allows it")]
    Forbidden(String),
    /// An error that is not in our own words: something else answers there, or stands in between.
    #[error("the server answers with status {status} and no reason\nhint: is there a load balancer at this address?")]
    Foreign { status: u16 },
    /// A URL, token or file that cannot be used.
    #[error("{0}")]
    Settings(String),
    #[error("there was no answer within {0:?}")]
    Timeout(Duration),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the answer could not be read: {0}")]
    Answer(#[from] serde_json::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Refused(ApiError),
}

/// Where lbd's routes are served, and how to get there.
#[derive(Debug, Clone)]
pub struct Transport {
    way: Way,
    timeout: Duration,
}

#[derive(Debug, Clone)]
enum Way {
    Unix(PathBuf),
    #[cfg(feature = "tls")]
    Https(Box<Https>),
}

impl Transport {
    /// lbd's own Unix socket.
    pub fn unix(socket: impl AsRef<Path>) -> Self {
        Transport::over(Way::Unix(socket.as_ref().to_owned()))
    }

    /// lbadmin's native API, which serves the same routes below `/api`. `url`: `https://HOST[:PORT]`.
    #[cfg(feature = "tls")]
    pub fn https(url: &str, token: Option<String>, trust: Trust) -> Result<Self, ClientError> {
        Ok(Transport::over(Way::Https(Box::new(Https::new(url, token, trust)?))))
    }

    fn over(way: Way) -> Self {
        Transport { way, timeout: Duration::from_secs(60) }
    }

    pub(crate) async fn call<T: DeserializeOwned, B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, ClientError> {
        let body = body.map_or_else(|| Ok(Vec::new()), serde_json::to_vec)?;
        let exchange = tokio::time::timeout(self.timeout, self.exchange(method, path, body));
        let (status, answer) = exchange.await.unwrap_or(Err(ClientError::Timeout(self.timeout)))?;
        match status {
            200..300 => Ok(serde_json::from_slice(&answer)?),
            401 => Err(ClientError::Unauthorized(reason(&answer, "the server asks for a token"))),
            403 => Err(ClientError::Forbidden(reason(&answer, "this token's role does not allow that"))),
            _ => Err(match serde_json::from_slice(&answer) {
                Ok(error) => ClientError::Refused(error),
                Err(_) => ClientError::Foreign { status },
            }),
        }
    }

    async fn exchange(&self, method: Method, path: &str, body: Vec<u8>) -> Result<(u16, Bytes), ClientError> {
        let request = Request::builder().method(method.clone()).header(header::CONTENT_TYPE, "application/json");
        match &self.way {
            Way::Unix(socket) => {
                let stream = tokio::net::UnixStream::connect(socket)
                    .await
                    .map_err(|source| ClientError::Connect { path: socket.clone(), source })?;
                send(stream, request.uri(path).header(header::HOST, "lbd"), body).await
            }
            #[cfg(feature = "tls")]
            Way::Https(https) => {
                let mut request =
                    request.uri(format!("{}{path}", https::PREFIX)).header(header::HOST, https.authority());
                if let Some(token) = https.token() {
                    request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
                }
                // Which state is meant stands in the body, as lbd takes it.
                if matches!(method, Method::PUT | Method::DELETE) {
                    request = request.header(header::IF_MATCH, "*");
                }
                send(https.connect().await?, request, body).await
            }
        }
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: hyper::http::request::Builder,
    body: Vec<u8>,
) -> Result<(u16, Bytes), ClientError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = request.body(Full::new(Bytes::from(body))).map_err(|e| io::Error::other(e.to_string()))?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let answer = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await.map_err(io::Error::other)?;
    drop(sender);
    connection.abort();
    Ok((status, answer.to_bytes()))
}

/// What the server says, where it speaks in our words.
fn reason(answer: &[u8], otherwise: &str) -> String {
    serde_json::from_slice::<ApiError>(answer).map_or_else(|_| otherwise.to_owned(), |e| e.message)
}
