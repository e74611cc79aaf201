//! The native API: `/api/v1`, JSON with bearer tokens, and its own description as OpenAPI.
//!
//! ```text
//!  request --> panics, time, Accept --> route --> Caller: token, role --> If-Match, query, body against the document
//!                                          |                                     |
//!                             404, 405 as problem details            handler --Backend--> lbd
//! ```
//! lbd's routes by the same paths and types ([`daemon`]); the parts of the candidate as objects with entity tags
//! ([`servers`], [`layer7`], [`node`], [`ha`]); what lbadmin itself keeps ([`people`], [`certificate`], [`series`]); root's door ([`update`]). Every refusal is problem details. No cookie counts, so there
//! is nothing that another site could forge. [`openapi`] makes the document from the routes; what a body or query may
//! be is checked against it. Tested by `tests/api`.

mod backup;
pub mod caller;
mod certificate;
mod certificates;
mod daemon;
mod dialects;
mod edit;
pub mod etag;
mod events;
mod extract;
mod ha;
mod layer7;
mod node;
pub mod openapi;
mod page;
mod people;
mod persistence;
pub mod problem;
mod schema;
mod series;
mod servers;
mod update;

use crate::{Shared, update::UPLOAD_TIME};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderMap, HeaderValue, Method, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use lb_api::ErrorCode;
use problem::Problem;
use std::{any::Any, time::Duration};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

/// A whole configuration: 10,000 virtual servers are about 5 MB.
const LARGE: usize = 32 << 20;
const BODY: usize = 1 << 20;

/// A whole bundle, which may come slowly.
const UPLOAD: &str = "/v1/update/bundle";

/// lbd answers within 60 s, or its client gives up.
const REQUEST_TIME: Duration = Duration::from_secs(75);

/// All routes below `/api`, with their description.
fn described() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .merge(update::unbounded().layer(DefaultBodyLimit::disable()))
        .merge(daemon::large().merge(backup::large()).merge(certificates::large()).layer(DefaultBodyLimit::max(LARGE)))
        .merge(
            OpenApiRouter::default()
                .merge(daemon::routes())
                .merge(servers::routes())
                .merge(layer7::routes())
                .merge(persistence::routes())
                .merge(node::routes())
                .merge(ha::routes())
                .merge(dialects::routes())
                .merge(events::routes())
                .merge(people::routes())
                .merge(certificate::routes())
                .merge(certificates::routes())
                .merge(series::routes())
                .merge(backup::routes())
                .merge(update::routes())
                .merge(openapi::routes())
                .layer(DefaultBodyLimit::max(BODY)),
        )
}

/// Those outside of `/api`.
fn outside() -> OpenApiRouter<Shared> {
    crate::metrics::routes()
}

pub fn routes() -> Router<Shared> {
    let (router, _) = described().split_for_parts();
    let router = router
        .fallback(|request: Request| async move {
            Problem::not_found(format!("there is no route /api{}", request.uri().path()))
                .hint("/api/v1/openapi.json describes them all")
        })
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(etag::tag))
        .layer(middleware::from_fn(acceptable))
        .layer(middleware::from_fn(in_time))
        .layer(CatchPanicLayer::custom(panicked));
    let (outside, _) = outside().split_for_parts();
    Router::new().nest("/api", router).merge(outside.method_not_allowed_fallback(method_not_allowed))
}

async fn method_not_allowed(method: Method) -> Problem {
    Problem::new(ErrorCode::MethodNotAllowed, format!("this route does not take {method}"))
        .hint("Allow says what it takes")
}

async fn in_time(request: Request, next: Next) -> Response {
    let time = if request.uri().path() == UPLOAD { UPLOAD_TIME } else { REQUEST_TIME };
    match tokio::time::timeout(time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(ErrorCode::Timeout, "the request took too long").into_response(),
    }
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Problem::internal("the API panicked").into_response()
}

/// Refuses early what could not be answered in a form that the client takes (RFC 9110, section 12.5.1).
async fn acceptable(request: Request, next: Next) -> Response {
    let form = form(request.uri().path());
    if accepts(request.headers(), form) {
        return next.run(request).await;
    }
    Problem::new(ErrorCode::NotAcceptable, format!("this answers {form}, which Accept does not name")).into_response()
}

/// What a route answers with, by its path.
fn form(path: &str) -> &'static str {
    match path {
        "/v1/events" => "text/event-stream",
        "/v1/support-bundle" => "application/gzip",
        _ => "application/json",
    }
}

fn accepts(headers: &HeaderMap, form: &str) -> bool {
    let all: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|v: &HeaderValue| v.to_str().ok()).collect();
    let family = form.split('/').next().unwrap_or_default();
    all.is_empty()
        || all.iter().flat_map(|v| v.split(',')).any(|range| {
            let (kind, parameters) = range.split_once(';').unwrap_or((range, ""));
            let zero = parameters.split(';').filter_map(|p| p.trim().strip_prefix("q=")).any(|q| q.parse() == Ok(0.0));
            let kind = kind.trim().to_ascii_lowercase();
            !zero && (kind == "*/*" || kind == form || kind == format!("{family}/*"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_is_read_as_rfc_9110_says() {
        let accepts = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(value))]);
            accepts(&headers, "application/json")
        };
        for good in
            ["*/*", "application/json", "application/*", "text/html, application/json;q=0.1", "Application/JSON"]
        {
            assert!(accepts(good), "{good}");
        }
        for bad in ["text/html", "application/json;q=0", "text/*", ""] {
            assert!(!accepts(bad), "{bad}");
        }
        assert!(super::accepts(&HeaderMap::new(), "application/json"));
    }
}
