//! HTTP on the Unix socket: each request becomes one command to the engine, its answer one response.

use crate::engine::{Command, Event, Reply};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use lb_api::{ApiError, ErrorCode, ProblemDetails, route};
use serde::{Deserialize, de::DeserializeOwned};
use std::sync::mpsc;
use tokio::{net::UnixListener, sync::oneshot};

/// A document of 10,000 virtual servers is about 5 MB.
const BODY_LIMIT: usize = 32 << 20;

type Engine = State<mpsc::Sender<Event>>;

pub async fn serve(listener: UnixListener, events: mpsc::Sender<Event>) -> std::io::Result<()> {
    axum::serve(listener, router(events)).await
}

fn router(events: mpsc::Sender<Event>) -> Router {
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
        .route(route::STATUS, get(|e: Engine| ask(e, Command::Status)))
        .route(route::STATE, post(|e: Engine, body: Bytes| ask_with(e, body, Command::SetState)))
        .route(route::RECONCILE, post(|e: Engine| ask(e, Command::Reconcile)))
        .fallback(|| async { refusal(&ApiError::new(ErrorCode::NotFound, "there is no such route")) })
        .method_not_allowed_fallback(|| async {
            refusal(&ApiError::new(ErrorCode::BadRequest, "this route does not take that method"))
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(events)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    limit: Option<usize>,
}

async fn history(engine: Engine, query: Result<Query<Limit>, axum::extract::rejection::QueryRejection>) -> Response {
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
    // An empty body means the request with nothing in it.
    let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
    if let Ok(body) = serde_json::from_slice(text) {
        return ask(engine, command(body)).await;
    }
    // Once more, for the path of what is wrong: keeping track of it costs as much again.
    match serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(text)) {
        Ok(body) => ask(engine, command(body)).await,
        Err(e) => {
            let message = format!("the request cannot be read at {}: {}", e.path(), e.inner());
            refusal(&ApiError::new(ErrorCode::BadRequest, message))
        }
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

fn refusal(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(status, ProblemDetails::CONTENT_TYPE, serde_json::to_vec(error))
}

fn json(status: StatusCode, reply: &Reply) -> Response {
    respond(status, "application/json", serde_json::to_vec(reply))
}

fn respond(status: StatusCode, kind: &'static str, body: serde_json::Result<Vec<u8>>) -> Response {
    match body {
        Ok(body) => (status, [(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}
