//! Why a command failed, as text, as JSON and as an exit status.
//!
//! Owns the exit statuses. Everything a person reads about a failure is made here, so that all
//! commands fail alike. Tested by the stories in `tests/stories`.

use crate::path::{PathError, dotted};
use lb_api::{ApiError, ClientError, RevisionView};
use lb_model::{Config, MigrateError, Problem};
use serde::Serialize;
use std::{fmt::Write, io, path::PathBuf};

pub const DONE: u8 = 0;
pub const REFUSED: u8 = 1;
pub const USAGE: u8 = 2;
pub const UNREACHABLE: u8 = 3;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// By lbd, or here by lbd's own rules before anything was sent.
    #[error("{}", .0.error.message)]
    Refused(Box<Refusal>),
    /// A label, path or value that does not fit; nothing was sent.
    #[error("{message}")]
    Request { message: String, hint: Option<String> },
    #[error("cannot read {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{what}: {source}")]
    Document { what: String, source: MigrateError },
    #[error("cannot edit: {what}: {source}")]
    Editor { what: String, source: io::Error },
    #[error("{0}")]
    Client(ClientError),
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// lbd's refusal with what makes it readable.
#[derive(Debug)]
pub struct Refusal {
    pub error: ApiError,
    /// What was refused: turns pointers into labels.
    pub config: Option<Config>,
    /// Further lines: what came in between.
    pub notes: Vec<String>,
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(error) => Error::refused(error),
            other => Error::Client(other),
        }
    }
}

impl From<PathError> for Error {
    fn from(PathError { message, hint }: PathError) -> Self {
        Error::Request { message, hint }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: Plain<'a>,
}

/// [`ApiError`] with codes of our own beside lbd's: `request`, `file`, `output`, and those of [`client_code`].
#[derive(Serialize)]
struct Plain<'a> {
    code: serde_json::Value,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    problems: &'a [Problem],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    between: &'a [RevisionView],
}

impl Error {
    pub fn refused(error: ApiError) -> Self {
        Error::Refused(Box::new(Refusal { error, config: None, notes: Vec::new() }))
    }

    pub fn request(message: impl Into<String>, hint: Option<String>) -> Self {
        Error::Request { message: message.into(), hint }
    }

    /// Names the configuration that a refusal speaks of.
    pub fn about(mut self, config: &Config) -> Self {
        if let Error::Refused(refusal) = &mut self {
            refusal.config.get_or_insert_with(|| config.clone());
        }
        self
    }

    pub fn exit(&self) -> u8 {
        match self {
            Error::Refused(_) | Error::Request { .. } | Error::Document { .. } | Error::Editor { .. } => REFUSED,
            Error::File { .. } => USAGE,
            Error::Client(ClientError::Unauthorized(_) | ClientError::Forbidden(_)) => REFUSED,
            Error::Client(ClientError::Settings(_)) => USAGE,
            Error::Client(_) => UNREACHABLE,
            Error::Output(_) | Error::Json(_) => REFUSED,
        }
    }

    pub fn text(&self) -> String {
        let (message, hint) = self.message_and_hint();
        let mut text = format!("error: {message}\n");
        if let Error::Refused(refusal) = self {
            text += &problem_lines(&refusal.error.problems, refusal.config.as_ref());
            for revision in &refusal.error.between {
                let _ = writeln!(text, "- {revision}");
            }
            for note in &refusal.notes {
                let _ = writeln!(text, "{note}");
            }
        }
        if let Some(hint) = hint {
            let _ = writeln!(text, "hint: {hint}");
        }
        text
    }

    pub fn json(&self) -> Result<String, serde_json::Error> {
        let (message, hint) = self.message_and_hint();
        let (code, problems, between) = match self {
            Error::Refused(r) => (serde_json::to_value(r.error.code)?, &r.error.problems[..], &r.error.between[..]),
            Error::Request { .. } | Error::Document { .. } | Error::Editor { .. } => {
                ("request".into(), &[][..], &[][..])
            }
            Error::File { .. } => ("file".into(), &[][..], &[][..]),
            Error::Client(error) => (client_code(error).into(), &[][..], &[][..]),
            Error::Output(_) | Error::Json(_) => ("output".into(), &[][..], &[][..]),
        };
        serde_json::to_string_pretty(&Body { error: Plain { code, message, hint, problems, between } })
    }

    fn message_and_hint(&self) -> (String, Option<String>) {
        match self {
            Error::Refused(refusal) => (refusal.error.message.clone(), refusal.error.hint.clone()),
            Error::Request { message, hint } => (message.clone(), hint.clone()),
            other => {
                let text = other.to_string();
                match text.split_once("hint: ") {
                    Some((message, hint)) => (message.trim_end_matches(['\n', ' ']).to_owned(), Some(hint.to_owned())),
                    None => (text, None),
                }
            }
        }
    }
}

fn client_code(error: &ClientError) -> &'static str {
    match error {
        ClientError::Unauthorized(_) => "unauthorized",
        ClientError::Forbidden(_) => "forbidden",
        ClientError::Certificate { .. } => "certificate",
        ClientError::Settings(_) => "usage",
        _ => "unreachable",
    }
}

/// The JSON body of a command line that could not be read.
pub fn usage_json(message: &str) -> String {
    serde_json::json!({"error": {"code": "usage", "message": message.trim_end().trim_start_matches("error: ")}})
        .to_string()
}

/// One line a problem, its hint below it.
pub fn problem_lines(problems: &[Problem], config: Option<&Config>) -> String {
    let mut text = String::new();
    for Problem { path, value, reason, hint } in problems {
        let path = config.map_or_else(|| path.clone(), |c| dotted(c, path));
        let _ = writeln!(text, "- {path} ({value}): {reason}");
        if let Some(hint) = hint {
            let _ = writeln!(text, "  hint: {hint}");
        }
    }
    text
}
