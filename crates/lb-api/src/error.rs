//! The shape of an error: what was wrong, all of it, and what to do.

use crate::RevisionView;
use lb_model::Problem;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The body of every answer that is not 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    pub code: ErrorCode,
    /// One sentence.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// With [`ErrorCode::Invalid`]: every problem of the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// With [`ErrorCode::Conflict`]: what was applied in between.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub between: Vec<RevisionView>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
