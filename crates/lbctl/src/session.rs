//! What every command has at hand: the client, the author, how to print; and what it gives back.
//!
//! Owns reading of named configurations and the turning of conflicts into who did what.

use crate::{
    cli::Source,
    error::{DONE, Error},
    text,
};
use lb_api::{ApiError, BlockingClient, ErrorCode};
use lb_model::{Config, changes};
use serde::Serialize;
use std::{
    io::Read,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// One run of lbctl.
pub struct Session {
    pub client: BlockingClient,
    /// Who is recorded in the history.
    pub author: String,
    /// Where they sit, by SSH; `None` at the console.
    pub from: Option<IpAddr>,
}

/// What a command prints: one of the two.
pub struct Answer {
    pub text: String,
    pub json: String,
    pub exit: u8,
}

impl Answer {
    pub fn new(text: impl Into<String>, json: &impl Serialize) -> Result<Self, Error> {
        Ok(Answer { text: text.into(), json: serde_json::to_string_pretty(json)? + "\n", exit: DONE })
    }
}

impl Session {
    pub fn config(&self, source: Source) -> Result<Config, Error> {
        Ok(match source {
            Source::Running => self.client.running()?.config,
            Source::Candidate => self.client.candidate()?.config,
            Source::Factory => self.client.factory()?,
            Source::Revision(number) => self.client.revision(number)?.config,
        })
    }

    /// Adds what the revisions in between changed, and what was edited since `seen`. As far as lbd tells.
    pub fn explain_conflict(&self, error: Error, seen: &Config) -> Error {
        let Error::Refused(mut refusal) = error else { return error };
        if refusal.error.code == ErrorCode::Conflict {
            for revision in &refusal.error.between {
                let configs =
                    (self.client.revision(revision.number.saturating_sub(1)), self.client.revision(revision.number));
                if let (Ok(before), Ok(after)) = configs {
                    refusal.notes.push(format!("Revision {} made these changes:", revision.number));
                    refusal
                        .notes
                        .push(text::change_lines(&changes(&before.config, &after.config)).trim_end().to_owned());
                }
            }
            if refusal.error.between.is_empty()
                && let Ok(now) = self.client.candidate()
                && now.config != *seen
            {
                refusal.notes.push("Somebody changed the candidate in between:".to_owned());
                refusal.notes.push(text::change_lines(&changes(seen, &now.config)).trim_end().to_owned());
            }
        }
        Error::Refused(refusal)
    }
}

/// The document in a file, or `-` for standard input.
pub fn read_document(path: &Path) -> Result<Config, Error> {
    let read = || match path.as_os_str() == "-" {
        true => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        }
        false => std::fs::read_to_string(path),
    };
    let text = read().map_err(|source| Error::File { path: path.to_owned(), source })?;
    lb_model::migrate(&text).map_err(|source| {
        let what = if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
        Error::Document { what, source }
    })
}

/// The person behind this process: who called sudo, else who logged in, else the user's number.
pub fn author() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty());
    named.unwrap_or_else(|| match std::fs::metadata(PathBuf::from("/proc/self")) {
        Ok(me) => format!("uid {}", me.uid()),
        Err(_) => "unknown".to_owned(),
    })
}

/// The client of the SSH session that this process belongs to: `SSH_CONNECTION` begins with its address (dropbear(8)).
pub fn from() -> Option<IpAddr> {
    let connection = std::env::var("SSH_CONNECTION").ok()?;
    let client = connection.split_whitespace().next()?;
    // Of a link-local address without its card.
    client.split('%').next()?.parse().ok()
}

/// Refuses here, before anything is sent, what lbd would refuse.
pub fn refuse_problems(config: &Config) -> Result<(), Error> {
    match lb_model::problems(config) {
        problems if problems.is_empty() => Ok(()),
        problems => Err(Error::refused(ApiError::invalid(problems)).about(config)),
    }
}
