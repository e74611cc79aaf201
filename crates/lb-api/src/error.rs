//! The shape of an error: what was wrong, all of it, and what to do.
//!
//! On the wire it is problem details (RFC 9457), `application/problem+json`: [`ProblemDetails`]. Tested by a golden
//! text below and, over the socket, by lbd.

use crate::RevisionView;
use lb_model::Problem;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a request was refused: the body of every answer that is not 2xx, written and read as [`ProblemDetails`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ProblemDetails", into = "ProblemDetails")]
pub struct ApiError {
    pub code: ErrorCode,
    /// One sentence.
    pub message: String,
    pub hint: Option<String>,
    /// With [`ErrorCode::Invalid`]: every problem of the configuration.
    pub problems: Vec<Problem>,
    /// With [`ErrorCode::Conflict`]: what was applied in between.
    pub between: Vec<RevisionView>,
}

/// An [`ApiError`] as it is written: the members of RFC 9457, section 3.1, and ours behind them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ProblemDetails {
    /// `urn:steelyard:problem:` and the code.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// What the code means, the same for all problems with it.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    pub code: ErrorCode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub between: Vec<RevisionView>,
}

impl ProblemDetails {
    pub const CONTENT_TYPE: &'static str = "application/problem+json";
}

impl From<ApiError> for ProblemDetails {
    fn from(ApiError { code, message, hint, problems, between }: ApiError) -> Self {
        ProblemDetails {
            kind: format!("urn:steelyard:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.http_status(),
            detail: message,
            code,
            hint,
            problems,
            between,
        }
    }
}

impl From<ProblemDetails> for ApiError {
    fn from(p: ProblemDetails) -> Self {
        ApiError { code: p.code, message: p.detail, hint: p.hint, problems: p.problems, between: p.between }
    }
}

/// The codes of both, lbd and the native API above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// 400: the request could not be read.
    BadRequest,
    /// 401: there is no token, or it is not valid.
    Unauthorized,
    /// 403: the role of the token does not allow it.
    Forbidden,
    /// 404: there is no such revision, server or route.
    NotFound,
    /// 405: the `Allow` header says which it takes.
    MethodNotAllowed,
    /// 406: the answer does not come in a form that `Accept` names.
    NotAcceptable,
    /// 408: the request did not arrive, or was not done, in time.
    Timeout,
    /// 409: somebody else's change came first.
    Conflict,
    /// 409: another revision waits for its confirmation.
    AwaitingConfirm,
    /// 412: it has changed since the ETag in `If-Match` was given.
    PreconditionFailed,
    /// 413: the body is larger than allowed.
    TooLarge,
    /// 415: the body is not of the type that the route takes.
    UnsupportedMediaType,
    /// 422: the configuration has problems.
    Invalid,
    /// 422: the body does not fit its schema; `path` points into the body.
    Malformed,
    /// 428: `If-Match` is missing: it protects the changes of others.
    PreconditionRequired,
    /// 429: too many at once, or too many wrong ones; `Retry-After` says when.
    TooManyRequests,
    /// 500: something went wrong here; the log says more.
    Internal,
    /// 503: the store cannot take changes now; traffic is served as before.
    StoreFailed,
    /// 503: lbd does not answer; traffic is served as before.
    Unavailable,
    /// 503: what must be asked first did not answer in time; nothing was changed, and the same request may be repeated.
    Busy,
}

impl ErrorCode {
    pub const ALL: &[ErrorCode] = &[
        ErrorCode::BadRequest,
        ErrorCode::Unauthorized,
        ErrorCode::Forbidden,
        ErrorCode::NotFound,
        ErrorCode::MethodNotAllowed,
        ErrorCode::NotAcceptable,
        ErrorCode::Timeout,
        ErrorCode::Conflict,
        ErrorCode::AwaitingConfirm,
        ErrorCode::PreconditionFailed,
        ErrorCode::TooLarge,
        ErrorCode::UnsupportedMediaType,
        ErrorCode::Invalid,
        ErrorCode::Malformed,
        ErrorCode::PreconditionRequired,
        ErrorCode::TooManyRequests,
        ErrorCode::Internal,
        ErrorCode::StoreFailed,
        ErrorCode::Unavailable,
        ErrorCode::Busy,
    ];

    pub fn http_status(self) -> u16 {
        match self {
            ErrorCode::BadRequest => 400,
            ErrorCode::Unauthorized => 401,
            ErrorCode::Forbidden => 403,
            ErrorCode::NotFound => 404,
            ErrorCode::MethodNotAllowed => 405,
            ErrorCode::NotAcceptable => 406,
            ErrorCode::Timeout => 408,
            ErrorCode::Conflict | ErrorCode::AwaitingConfirm => 409,
            ErrorCode::PreconditionFailed => 412,
            ErrorCode::TooLarge => 413,
            ErrorCode::UnsupportedMediaType => 415,
            ErrorCode::Invalid | ErrorCode::Malformed => 422,
            ErrorCode::PreconditionRequired => 428,
            ErrorCode::TooManyRequests => 429,
            ErrorCode::Internal => 500,
            ErrorCode::StoreFailed | ErrorCode::Unavailable | ErrorCode::Busy => 503,
        }
    }

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::BadRequest => "bad-request",
            ErrorCode::Unauthorized => "unauthorized",
            ErrorCode::Forbidden => "forbidden",
            ErrorCode::NotFound => "not-found",
            ErrorCode::MethodNotAllowed => "method-not-allowed",
            ErrorCode::NotAcceptable => "not-acceptable",
            ErrorCode::Timeout => "timeout",
            ErrorCode::Conflict => "conflict",
            ErrorCode::AwaitingConfirm => "awaiting-confirm",
            ErrorCode::PreconditionFailed => "precondition-failed",
            ErrorCode::TooLarge => "too-large",
            ErrorCode::UnsupportedMediaType => "unsupported-media-type",
            ErrorCode::Invalid => "invalid",
            ErrorCode::Malformed => "malformed",
            ErrorCode::PreconditionRequired => "precondition-required",
            ErrorCode::TooManyRequests => "too-many-requests",
            ErrorCode::Internal => "internal",
            ErrorCode::StoreFailed => "store-failed",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::Busy => "busy",
        }
    }

    /// What the code means, whatever the request.
    pub fn title(self) -> &'static str {
        match self {
            ErrorCode::BadRequest => "The request cannot be read",
            ErrorCode::Unauthorized => "A token is needed",
            ErrorCode::Forbidden => "The role does not allow it",
            ErrorCode::NotFound => "There is no such thing",
            ErrorCode::MethodNotAllowed => "The route does not take this method",
            ErrorCode::NotAcceptable => "No such form of the answer",
            ErrorCode::Timeout => "The request took too long",
            ErrorCode::Conflict => "Somebody else's change came first",
            ErrorCode::AwaitingConfirm => "A revision waits for its confirmation",
            ErrorCode::PreconditionFailed => "It is no longer what was edited",
            ErrorCode::TooLarge => "The request is too large",
            ErrorCode::UnsupportedMediaType => "The body is of the wrong type",
            ErrorCode::Invalid => "The configuration has problems",
            ErrorCode::Malformed => "The body does not fit its schema",
            ErrorCode::PreconditionRequired => "If-Match is needed",
            ErrorCode::TooManyRequests => "Too many requests",
            ErrorCode::Internal => "Something went wrong here",
            ErrorCode::StoreFailed => "The store takes no changes",
            ErrorCode::Unavailable => "The daemon does not answer",
            ErrorCode::Busy => "Too busy to check the change",
        }
    }
}

impl ApiError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ApiError { code, message: message.into(), hint: None, problems: Vec::new(), between: Vec::new() }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn invalid(problems: Vec<Problem>) -> Self {
        let n = problems.len();
        let message =
            format!("the configuration has {n} problem{}; nothing was changed", if n == 1 { "" } else { "s" });
        ApiError { problems, ..ApiError::new(ErrorCode::Invalid, message) }
    }
}

/// As a person reads it on a console.
impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for problem in &self.problems {
            write!(f, "\n- {problem}")?;
        }
        for revision in &self.between {
            write!(f, "\n- {revision}")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_written_as_problem_details_and_read_back() {
        let problem = Problem { path: "/node/gateway".into(), value: "::".into(), reason: "no".into(), hint: None };
        let error = ApiError::invalid(vec![problem]).hint("mend it");
        let text = serde_json::to_string_pretty(&error).expect("written");
        let expected = r#"{
  "type": "urn:steelyard:problem:invalid",
  "title": "The configuration has problems",
  "status": 422,
  "detail": "the configuration has 1 problem; nothing was changed",
  "code": "invalid",
  "hint": "mend it",
  "problems": [
    {
      "path": "/node/gateway",
      "value": "::",
      "reason": "no"
    }
  ]
}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<ApiError>(&text).expect("read"), error);
    }

    #[test]
    fn a_codes_name_is_what_json_says() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).expect("written"), code.as_str());
        }
    }
}
