//! Entity tags (RFC 9110, section 8.8.3): what a change must have seen before it replaces something.

use super::problem::Problem;
use axum::{
    body::Body,
    extract::{FromRequestParts, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{AppendHeaders, IntoResponse, Response},
};
use lb_api::ErrorCode;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The tag of a value in the form in which it is answered.
pub fn of(value: &impl Serialize) -> String {
    serde_json::to_vec(value).map_or_else(|_| String::new(), |bytes| of_bytes(&bytes))
}

/// The header that goes with `part`.
pub fn tag_of(part: &impl Serialize) -> AppendHeaders<[(HeaderName, String); 1]> {
    AppendHeaders([(header::ETAG, of(part))])
}

fn of_bytes(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().take(12).map(|b| format!("{b:02x}")).collect();
    format!("\"{hex}\"")
}

/// The header `If-Match`. Without it the route answers 428.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(names("If-Match"), parameter_in = Header)]
pub struct IfMatch(
    /// The `ETag` of what is to be replaced, as it was read; or `*` for whatever is there.
    String,
);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let values: Vec<&str> =
            parts.headers.get_all(header::IF_MATCH).iter().filter_map(|v| v.to_str().ok()).collect();
        if values.is_empty() {
            return Err(Problem::new(
                ErrorCode::PreconditionRequired,
                "If-Match is missing: it keeps this change from overwriting somebody else's",
            )
            .hint("send the ETag of the answer that you edited, or * for whatever is there"));
        }
        Ok(IfMatch(values.join(",")))
    }
}

impl IfMatch {
    /// Strong comparison: a weak tag never fits.
    pub fn fits(&self, current: &str) -> bool {
        self.0.split(',').map(str::trim).any(|tag| tag == "*" || tag == current)
    }

    pub fn check(&self, current: &str) -> Result<(), Problem> {
        match self.fits(current) {
            true => Ok(()),
            false => {
                Err(Problem::new(ErrorCode::PreconditionFailed, "it has changed since it was read; nothing was done")
                    .hint("read it again, and make the change on top of what is there now")
                    .header(header::ETAG, current.to_owned()))
            }
        }
    }
}

/// Gives every JSON answer to a GET its tag, and answers 304 to whoever has it already.
pub async fn tag(request: Request, next: Next) -> Response {
    let asked = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect::<Vec<_>>();
    let response = next.run(request).await;
    let json = response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t == "application/json");
    if !asked || response.status() != StatusCode::OK || !json {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The body is in memory already.
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return Problem::internal("an answer that cannot be read").into_response();
    };
    if !parts.headers.contains_key(header::ETAG)
        && let Ok(tag) = HeaderValue::from_str(&of_bytes(&bytes))
    {
        parts.headers.insert(header::ETAG, tag);
    }
    // A private answer: kept by nobody but its reader, who asks again with the tag.
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if seen(&known, &parts.headers) {
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return (StatusCode::NOT_MODIFIED, parts.headers).into_response();
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Weak comparison, as `If-None-Match` wants it.
fn seen(known: &[HeaderValue], headers: &HeaderMap) -> bool {
    let current = headers.get(header::ETAG).and_then(|t| t.to_str().ok()).unwrap_or_default();
    let tags = known.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim);
    !current.is_empty() && tags.into_iter().any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_must_have_seen_what_is_there() {
        let tag = of(&"a");
        for (given, fits) in [("*", true), (tag.as_str(), true), ("\"x\"", false), ("", false)] {
            assert_eq!(IfMatch(given.into()).fits(&tag), fits, "{given}");
        }
        assert!(IfMatch(format!("\"x\", {tag}")).fits(&tag));
        assert!(!IfMatch(format!("W/{tag}")).fits(&tag), "a weak tag says nothing about bytes");
        assert_ne!(of(&"a"), of(&"b"));
    }
}
