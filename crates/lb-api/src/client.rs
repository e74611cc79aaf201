//! A blocking client over the Unix socket.

use crate::{
    ApiError, Applied, ApplyRequest, CandidateView, ConfirmRequest, ConfirmView, PlanRequest, PlanView, PutCandidate,
    ReconcileView, RevisionView, RollbackRequest, Running, StateRequest, Status, route,
};
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

/// Speaks to one lbd. Every call opens a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    timeout: Duration,
}

impl Client {
    pub fn new(socket: impl AsRef<Path>) -> Self {
        Client { socket: socket.as_ref().to_owned(), timeout: Duration::from_secs(60) }
    }

    pub fn running(&self) -> Result<Running, ClientError> {
        self.call(Method::GET, route::RUNNING, &())
    }

    pub fn factory(&self) -> Result<lb_model::Config, ClientError> {
        self.call(Method::GET, route::FACTORY, &())
    }

    pub fn candidate(&self) -> Result<CandidateView, ClientError> {
        self.call(Method::GET, route::CANDIDATE, &())
    }

    pub fn put_candidate(&self, body: &PutCandidate) -> Result<CandidateView, ClientError> {
        self.call(Method::PUT, route::CANDIDATE, body)
    }

    /// Gives up all pending changes.
    pub fn discard(&self) -> Result<CandidateView, ClientError> {
        self.call(Method::DELETE, route::CANDIDATE, &())
    }

    pub fn plan(&self, body: &PlanRequest) -> Result<PlanView, ClientError> {
        self.call(Method::POST, route::PLAN, body)
    }

    pub fn apply(&self, body: &ApplyRequest) -> Result<Applied, ClientError> {
        self.call(Method::POST, route::APPLY, body)
    }

    pub fn confirm(&self, body: &ConfirmRequest) -> Result<ConfirmView, ClientError> {
        self.call(Method::POST, route::CONFIRM, body)
    }

    pub fn history(&self, limit: usize) -> Result<Vec<RevisionView>, ClientError> {
        self.call(Method::GET, &format!("{}?limit={limit}", route::HISTORY), &())
    }

    pub fn revision(&self, number: u64) -> Result<Running, ClientError> {
        self.call(Method::GET, &route::revision(number), &())
    }

    pub fn rollback(&self, body: &RollbackRequest) -> Result<Applied, ClientError> {
        self.call(Method::POST, route::ROLLBACK, body)
    }

    pub fn status(&self) -> Result<Status, ClientError> {
        self.call(Method::GET, route::STATUS, &())
    }

    pub fn set_state(&self, body: &StateRequest) -> Result<Applied, ClientError> {
        self.call(Method::POST, route::STATE, body)
    }

    pub fn reconcile(&self) -> Result<ReconcileView, ClientError> {
        self.call(Method::POST, route::RECONCILE, &())
    }

    fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let body = match method {
            Method::GET | Method::DELETE => Vec::new(),
            _ => serde_json::to_vec(body)?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (status, answer) = runtime.block_on(async {
            tokio::time::timeout(self.timeout, self.exchange(method, path, body))
                .await
                .unwrap_or(Err(ClientError::Timeout(self.timeout)))
        })?;
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
