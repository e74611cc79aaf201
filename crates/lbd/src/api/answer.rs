//! Answers as bytes: JSON, or problem details (RFC 9457).

use axum::{
    extract::{Query, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use lb_api::{ApiError, ErrorCode, ProblemDetails};
use serde::{Serialize, de::DeserializeOwned};

pub fn refusal(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(status, ProblemDetails::CONTENT_TYPE, serde_json::to_vec(error))
}

pub fn json(status: StatusCode, reply: &impl Serialize) -> Response {
    respond(status, "application/json", serde_json::to_vec(reply))
}

/// Does `work` on a thread that may wait for files and the kernel, and writes what comes of it there as well: the
/// threads that serve the socket are few.
pub async fn aside<T: Serialize>(work: impl FnOnce() -> Result<T, ApiError> + Send + 'static) -> Response {
    let answer = || match work() {
        Ok(reply) => json(StatusCode::OK, &reply),
        Err(error) => refusal(&error),
    };
    let done = tokio::task::spawn_blocking(answer).await;
    done.unwrap_or_else(|_| refusal(&ApiError::new(ErrorCode::Internal, "reading it failed in lbd itself")))
}

/// The body of a request, or a refusal that names the field. An empty one means the request with nothing in it.
pub fn body<B: DeserializeOwned>(body: &[u8]) -> Result<B, ApiError> {
    let text = if body.is_empty() { b"{}" } else { body };
    if let Ok(body) = serde_json::from_slice(text) {
        return Ok(body);
    }
    // Once more, for the path of what is wrong: keeping track of it costs as much again.
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(text)).map_err(|e| {
        let message = format!("the request cannot be read at {}: {}", e.path(), e.inner());
        ApiError::new(ErrorCode::BadRequest, message)
    })
}

/// The query of a request, or a refusal that names the field.
pub fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, ApiError> {
    match query {
        Ok(Query(query)) => Ok(query),
        Err(e) => {
            let text = e.body_text();
            let why = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            Err(ApiError::new(ErrorCode::BadRequest, format!("the query cannot be read: {why}")))
        }
    }
}

/// A part of the query that says nothing useful.
pub fn bad_query(field: &str, value: impl std::fmt::Display, reason: &str) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, format!("the query cannot be read: {field}: {value} {reason}"))
}

/// An error with its causes, in one line.
pub fn internal(error: &dyn std::error::Error) -> ApiError {
    ApiError::new(ErrorCode::Internal, crate::engine::chain(error))
}

fn respond(status: StatusCode, kind: &'static str, body: serde_json::Result<Vec<u8>>) -> Response {
    match body {
        Ok(body) => (status, [(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}
