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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// 400: the request could not be read.
    BadRequest,
    /// 404: there is no such revision, server or route.
    NotFound,
    /// 409: somebody else's change came first.
    Conflict,
    /// 409: another revision waits for its confirmation.
    AwaitingConfirm,
    /// 422: the configuration has problems.
    Invalid,
    /// 503: the store cannot take changes now; traffic is served as before.
    StoreFailed,
    /// 500
    Internal,
}

impl ErrorCode {
    pub fn http_status(self) -> u16 {
        match self {
            ErrorCode::BadRequest => 400,
            ErrorCode::NotFound => 404,
            ErrorCode::Conflict | ErrorCode::AwaitingConfirm => 409,
            ErrorCode::Invalid => 422,
            ErrorCode::StoreFailed => 503,
            ErrorCode::Internal => 500,
        }
    }

    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::BadRequest => "bad-request",
            ErrorCode::NotFound => "not-found",
            ErrorCode::Conflict => "conflict",
            ErrorCode::AwaitingConfirm => "awaiting-confirm",
            ErrorCode::Invalid => "invalid",
            ErrorCode::StoreFailed => "store-failed",
            ErrorCode::Internal => "internal",
        }
    }

    /// What the code means, whatever the request.
    pub fn title(self) -> &'static str {
        match self {
            ErrorCode::BadRequest => "The request cannot be read",
            ErrorCode::NotFound => "There is no such thing",
            ErrorCode::Conflict => "Somebody else's change came first",
            ErrorCode::AwaitingConfirm => "A revision waits for its confirmation",
            ErrorCode::Invalid => "The configuration has problems",
            ErrorCode::StoreFailed => "The store takes no changes",
            ErrorCode::Internal => "Something went wrong here",
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
        for code in [
            ErrorCode::BadRequest,
            ErrorCode::NotFound,
            ErrorCode::Conflict,
            ErrorCode::AwaitingConfirm,
            ErrorCode::Invalid,
            ErrorCode::StoreFailed,
            ErrorCode::Internal,
        ] {
            assert_eq!(serde_json::to_value(code).expect("written"), code.as_str());
        }
    }
}
