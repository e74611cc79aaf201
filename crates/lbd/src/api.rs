//! HTTP on the Unix socket: a request that changes something, or asks for the configuration, becomes one command to
//! the engine. What the kernel and the machine have is read beside the engine, on threads that may wait: [`look`].

mod answer;
mod certificates;
mod connections;
mod ha;
mod log;
mod look;
mod network;
mod persistence;
mod system;
mod unit;

use crate::{
    engine::{Command, Event},
    ha::Heartbeat,
    hot,
    peer::Handle,
    unit::Unit,
};
use answer::{json, refusal};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRef, Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
    routing::{delete, get, post},
};
use lb_api::{ApiError, ErrorCode, route};
use lb_kernel::Inspect;
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Instant,
};
use tokio::{net::UnixListener, sync::oneshot};

/// A document of 10,000 virtual servers is about 5 MB.
const BODY_LIMIT: usize = 32 << 20;

/// Where requests are answered from.
#[derive(Clone, FromRef)]
pub struct Served {
    pub events: mpsc::Sender<Event>,
    pub inspector: Arc<dyn Inspect>,
    pub tables: connections::Turns,
    /// What layer 7 remembers of clients.
    pub memory: Arc<dyn lb_haproxy::Memory>,
    pub places: Arc<Places>,
    pub unit: Arc<Unit>,
    pub started: Instant,
    pub heartbeat: Heartbeat,
    pub peer: Handle,
    pub hot: hot::Handle,
}

/// Directories that are shown something of.
pub struct Places {
    /// On the data partition.
    pub state: PathBuf,
    /// The services' logs.
    pub log: PathBuf,
}

type Engine = State<mpsc::Sender<Event>>;

pub async fn serve(listener: UnixListener, served: Served) -> std::io::Result<()> {
    axum::serve(listener, router(served)).await
}

fn router(served: Served) -> Router {
    Router::new()
        .route(route::RUNNING, get(|e: Engine| ask(e, Command::Running)))
        .route(route::FACTORY, get(|e: Engine| ask(e, Command::Factory)))
        .route(
            route::CANDIDATE,
            get(|e: Engine| ask(e, Command::Candidate))
                .put(|e: Engine, body: Bytes| ask_with(e, body, |b| Command::PutCandidate(Box::new(b))))
                .delete(|e: Engine, body: Bytes| ask_with(e, body, Command::Discard)),
        )
        .route(route::PLAN, post(|e: Engine, body: Bytes| ask_with(e, body, |b| Command::Plan(Box::new(b)))))
        .route(route::APPLY, post(|e: Engine, body: Bytes| ask_with(e, body, |b| Command::Apply(Box::new(b)))))
        .route(route::CONFIRM, post(|e: Engine, body: Bytes| ask_with(e, body, Command::Confirm)))
        .route(route::HISTORY, get(history))
        .route(route::REVISION, get(revision))
        .route(route::ROLLBACK, post(|e: Engine, body: Bytes| ask_with(e, body, Command::Rollback)))
        .route(route::SUMMARY, get(|e: Engine| ask(e, Command::Summary)))
        .route(route::STATUS, get(look::status))
        .route(route::CONNECTIONS, get(connections::show))
        .route(route::FORGET, post(connections::forget))
        .route(route::LAYER7_STATISTICS, get(look::layer7_statistics))
        .route(route::PERSISTENCE, get(persistence::show))
        .route(route::FORGET_ENTRY, post(persistence::forget))
        .route(route::CLEAR_ENTRIES, post(persistence::clear))
        .route(route::NETWORK, get(network::show))
        .route(route::SYSTEM, get(system::show))
        .route(route::SERVICES, get(unit::services))
        .route(route::RESTART_SERVICE, post(unit::restart))
        .route(route::UNIT, post(unit::power))
        .route(route::LOG, get(log::show))
        .route(route::CERTIFICATES, get(|e: Engine| ask(e, Command::Certificates)).post(certificates::add))
        .route(
            route::SELF_SIGNED,
            post(|e: Engine, body: Bytes| ask_with(e, body, |b| Command::SelfSigned(Box::new(b)))),
        )
        .route(
            route::REQUEST_CERTIFICATE,
            post(|e: Engine, body: Bytes| ask_with(e, body, |b| Command::RequestCertificate(Box::new(b)))),
        )
        .route(route::ACME, get(|e: Engine| ask(e, Command::Acme)))
        .route(route::ORDER_CERTIFICATE, post(|e: Engine, body: Bytes| ask_with(e, body, Command::OrderCertificate)))
        .route(route::CERTIFICATE, delete(certificates::remove))
        .route(route::HA, get(ha::show))
        .route(route::TAKEOVER, post(ha::takeover))
        .route(route::STANDBY, post(ha::standby))
        .route(route::MAINTENANCE, post(ha::maintenance))
        .route(route::PAIRING, get(ha::pairing).post(ha::pair))
        .route(route::UNPAIR, post(ha::unpair))
        .route(route::RESOLVE, post(ha::resolve))
        .route(route::STATE, post(|e: Engine, body: Bytes| ask_with(e, body, Command::SetState)))
        .route(route::RECONCILE, post(|e: Engine| ask(e, Command::Reconcile)))
        .fallback(|| async { refusal(&ApiError::new(ErrorCode::NotFound, "there is no such route")) })
        .method_not_allowed_fallback(|| async {
            refusal(&ApiError::new(ErrorCode::BadRequest, "this route does not take that method"))
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(served)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    limit: Option<usize>,
}

async fn history(engine: Engine, query: Result<Query<Limit>, QueryRejection>) -> Response {
    match query {
        Ok(Query(Limit { limit })) => ask(engine, Command::History { limit: limit.unwrap_or(50) }).await,
        Err(e) => refusal(&ApiError::new(ErrorCode::BadRequest, e.to_string()).hint("for example ?limit=20")),
    }
}

async fn revision(engine: Engine, Path(number): Path<String>) -> Response {
    match number.parse() {
        Ok(number) => ask(engine, Command::Revision(number)).await,
        Err(_) => {
            refusal(&ApiError::new(ErrorCode::BadRequest, format!("\"{number}\" is not the number of a revision")))
        }
    }
}

async fn ask_with<B: DeserializeOwned>(engine: Engine, body: Bytes, command: impl FnOnce(B) -> Command) -> Response {
    match answer::body(&body) {
        Ok(body) => ask(engine, command(body)).await,
        Err(error) => refusal(&error),
    }
}

async fn ask(State(events): Engine, command: Command) -> Response {
    let (answer, answered) = oneshot::channel();
    if events.send(Event::Command { command, answer }).is_err() {
        return refusal(&ApiError::new(ErrorCode::Internal, "lbd is stopping"));
    }
    match answered.await {
        Ok(Ok(reply)) => json(StatusCode::OK, &reply),
        Ok(Err(error)) => refusal(&error),
        Err(_) => refusal(&ApiError::new(ErrorCode::Internal, "lbd is stopping")),
    }
}
