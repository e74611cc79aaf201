//! A refusal as the API writes it: problem details (RFC 9457) with the headers that belong to them.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use lb_api::{ApiError, ClientError, ErrorCode, ProblemDetails};
use std::borrow::Cow;

/// Seconds after which it makes sense to ask lbd again.
pub const LATER: &str = "5";

#[derive(Debug)]
pub struct Problem {
    pub error: Box<ApiError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ApiError::new(code, message).into()
    }

    pub fn not_found(what: impl Into<String>) -> Self {
        Problem::new(ErrorCode::NotFound, what)
    }

    pub fn internal(what: impl std::fmt::Display) -> Self {
        tracing::error!("{what}");
        Problem::new(ErrorCode::Internal, "something went wrong here; the log says more")
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.error.hint = Some(hint.into());
        self
    }

    /// Left out when it is no header's value.
    pub fn header(mut self, name: HeaderName, value: impl Into<Cow<'static, str>>) -> Self {
        if let Ok(value) = HeaderValue::from_str(&value.into()) {
            self.headers.push((name, value));
        }
        self
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let busy = error.code == ErrorCode::Busy;
        let problem = Problem { error: Box::new(error), headers: Vec::new() };
        if busy { problem.header(header::RETRY_AFTER, LATER) } else { problem }
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(error) => error.into(),
            other => {
                tracing::warn!("lbd: {other}");
                Problem::new(ErrorCode::Unavailable, "the load balancer's daemon does not answer")
                    .hint("traffic is served as before; try again, or look at Logs > System")
                    .header(header::RETRY_AFTER, LATER)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&*self.error).unwrap_or_default();
        let mut response =
            (status, [(header::CONTENT_TYPE, HeaderValue::from_static(ProblemDetails::CONTENT_TYPE))], body)
                .into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_repeated_says_when() {
        let said = |code| Problem::from(ApiError::new(code, "no")).into_response();
        let busy = said(ErrorCode::Busy);
        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(busy.headers().get(header::RETRY_AFTER), Some(&HeaderValue::from_static(LATER)));
        assert_eq!(said(ErrorCode::Conflict).headers().get(header::RETRY_AFTER), None);
    }
}
