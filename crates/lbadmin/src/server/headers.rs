//! Headers that every answer carries, and answers that the listener gives in place of the pages.

use crate::{
    Shared,
    api::problem::Problem,
    app::now,
    refusal::Refusal,
    seat::{Scheme, address},
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use lb_access::{AuditEntry, HttpMode};
use lb_api::ErrorCode;
use std::{
    any::Any,
    sync::atomic::{AtomicU64, Ordering},
};
use tower_http::csrf::ProtectionError;

/// No inline script, no inline style, nothing from elsewhere.
const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

/// Content-Security-Policy Level 3, OWASP's secure headers; pages are not kept by caches, assets say otherwise.
pub async fn secure(request: Request, next: Next) -> Response {
    let https = request.extensions().get::<Scheme>() == Some(&Scheme::Https);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: header::HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "same-origin");
    // Text browsers know the older word only.
    set(header::CACHE_CONTROL, "no-cache, no-store");
    set(header::HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()");
    set(header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if https {
        // Without includeSubDomains: the host name may be shared with other ports and machines.
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}

/// A request from a foreign origin is refused before any page sees it; the audit log says so.
pub async fn audit_refusals(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (parts, body) = request.into_parts();
    let from = address(&parts);
    let origin = parts.headers.get(header::ORIGIN).and_then(|o| o.to_str().ok()).unwrap_or_default().to_owned();
    let response = next.run(Request::from_parts(parts, body)).await;
    if let Some(error) = response.extensions().get::<ProtectionError>() {
        app.access.record(AuditEntry {
            time: now(),
            user: String::new(),
            address: from,
            action: format!("{method} {path}"),
            detail: format!("{error}; origin {origin:?}"),
            refused: true,
        });
        return match path.starts_with("/api/") {
            true => Problem::new(ErrorCode::Forbidden, "a page of another site sent this").into_response(),
            false => Refusal::Foreign.into_response(),
        };
    }
    response
}

/// A handler panicked: who asked gets a reference, what was said stands beside it in the log only.
pub fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let reference = format!("{:x}-{}", now(), COUNT.fetch_add(1, Ordering::Relaxed));
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!("a request panicked, reference {reference}: {}", said.unwrap_or("without a word"));
    Refusal::Internal(format!("It stopped in the middle. Reference: {reference}.")).into_response()
}

/// Where http is redirected, everything goes to the same place over https (308: a form is posted again as it is).
pub async fn redirect_to_https(State(app): State<Shared>, request: Request, next: Next) -> Response {
    if app.access.settings().http != HttpMode::Redirect {
        return next.run(request).await;
    }
    // A program would send its token in clear each time before it follows: it is told instead.
    let path = request.uri().path();
    let program = path.starts_with("/api/") || path == "/metrics";
    if program || crate::dialects::PLACES.iter().any(|place| path.starts_with(place)) {
        return Problem::new(ErrorCode::Forbidden, "this is served over https only")
            .hint(format!("use https, port {}", app.https_port))
            .into_response();
    }
    let Some(host) = host(request.headers()) else {
        return (StatusCode::BAD_REQUEST, "The request names no host.\n").into_response();
    };
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
    Redirect::permanent(&format!("https://{host}:{}{path}", app.https_port)).into_response()
}

/// The host without its port; an IPv6 address stays in its brackets.
pub fn host(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let name = if host.starts_with('[') { host.split_inclusive(']').next()? } else { host.split(':').next()? };
    let good = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    (!name.is_empty() && name.chars().all(good)).then(|| name.to_owned())
}
