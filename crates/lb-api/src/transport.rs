//! How a request reaches lbd, and how its answer is read.

use crate::ApiError;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, body::Bytes};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Why there was no answer, or that the answer was no.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot reach lbd at {path}: {source}\nhint: is it running (sv status lbd), and may you use its socket?")]
    Connect { path: PathBuf, source: io::Error },
    #[error("lbd gave no answer within {0:?}")]
    Timeout(Duration),
    #[error("the connection to lbd broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("lbd's answer could not be read: {0}")]
    Answer(#[from] serde_json::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Refused(ApiError),
}

/// Where lbd's routes are served, and how to get there.
#[derive(Debug, Clone)]
pub struct Transport {
    socket: PathBuf,
    timeout: Duration,
}

impl Transport {
    /// lbd's own Unix socket.
    pub fn unix(socket: impl AsRef<Path>) -> Self {
        Transport { socket: socket.as_ref().to_owned(), timeout: Duration::from_secs(60) }
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
        if (200..300).contains(&status) {
            Ok(serde_json::from_slice(&answer)?)
        } else {
            Err(ClientError::Refused(serde_json::from_slice(&answer)?))
        }
    }

    async fn exchange(&self, method: Method, path: &str, body: Vec<u8>) -> Result<(u16, Bytes), ClientError> {
        let stream = tokio::net::UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ClientError::Connect { path: self.socket.clone(), source })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "lbd")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| io::Error::other(e.to_string()))?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let answer = response.into_body().collect().await?.to_bytes();
        drop(sender);
        connection.abort();
        Ok((status, answer))
    }
}
