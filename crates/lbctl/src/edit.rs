//! Edits of the candidate: read it, change it, send it back with the tag it was read with.
//!
//! Owns the order of an edit with `--apply`: what has problems is refused here before anything is
//! sent; where nothing else is pending the edit is applied in one step past the candidate, so that
//! a refusal leaves nothing behind.

use crate::{
    cli::{ApplyOptions, EditOptions},
    error::Error,
    session::{Answer, Session, refuse_problems},
    text,
};
use lb_api::{Applied, ApplyRequest, CandidateView, ErrorCode, PutCandidate};
use lb_model::{Config, changes};
use std::fmt::Write;

impl Session {
    /// Changes the candidate as `change` says.
    pub fn edit(
        &self,
        options: &EditOptions,
        change: impl FnOnce(&Config) -> Result<Config, Error>,
    ) -> Result<Answer, Error> {
        let view = self.client.candidate()?;
        let config = change(&view.config)?;
        self.replace(options, &view, config)
    }

    /// Puts `config` in the place of the candidate that was read as `view`.
    pub fn replace(&self, options: &EditOptions, view: &CandidateView, config: Config) -> Result<Answer, Error> {
        if options.apply {
            refuse_problems(&config)?;
            let applied = match view.etag {
                0 => self.apply(&(options).into(), Some(config), Some(view.base))?,
                _ => {
                    if config != view.config {
                        self.put(view, config)?;
                    }
                    self.apply(&(options).into(), None, None)?
                }
            };
            return Answer::new(text::applied(&applied), &applied);
        }
        if config == view.config {
            return Answer::new("That is how it is already; nothing was changed.\n", view);
        }
        let now = self.put(view, config)?;
        Answer::new(edited(view, &now), &now)
    }

    /// A whole document takes the candidate's place and begins from what runs now: the way out of a
    /// candidate that others have overtaken. What it would undo of theirs shows in the difference.
    pub fn put_document(&self, options: &EditOptions, config: Config) -> Result<Answer, Error> {
        let view = self.client.candidate()?;
        if options.apply {
            return self.replace(options, &view, config);
        }
        let now = self.put_on(None, &view, config)?;
        Answer::new(text::candidate(&now, None), &now)
    }

    pub fn put(&self, view: &CandidateView, config: Config) -> Result<CandidateView, Error> {
        self.put_on(Some(view.base), view, config)
    }

    fn put_on(&self, base: Option<u64>, view: &CandidateView, config: Config) -> Result<CandidateView, Error> {
        let request = PutCandidate { config, base, etag: Some(view.etag), author: self.author.clone() };
        self.client.put_candidate(&request).map_err(|e| {
            let error = self.explain_conflict(e.into(), &view.config).about(&request.config);
            not_lost(error, "nothing was lost; run the same command again to make your change on top of theirs")
        })
    }

    pub fn apply(&self, options: &ApplyOptions, config: Option<Config>, base: Option<u64>) -> Result<Applied, Error> {
        let request = ApplyRequest {
            base,
            etag: None,
            author: self.author.clone(),
            comment: options.comment.clone().unwrap_or_default(),
            confirm_within: options.confirm,
            from: self.from,
            config,
        };
        self.client.apply(&request).map_err(|e| {
            let past = request.config.is_some();
            let Some(config) = request.config.or_else(|| self.client.candidate().ok().map(|c| c.config)) else { return e.into() };
            let error = self.explain_conflict(e.into(), &config).about(&config);
            not_lost(error, match past {
                true => "nothing was lost; run the same command again to make your change on top of theirs",
                false => "nothing was lost, the candidate is kept; to go on from it:\n  lbctl config show candidate > mine.json; lbctl config put mine.json; lbctl diff",
            })
        })
    }
}

fn not_lost(mut error: Error, hint: &str) -> Error {
    if let Error::Refused(refusal) = &mut error
        && refusal.error.code == ErrorCode::Conflict
    {
        refusal.error.hint = Some(hint.to_owned());
    }
    error
}

/// What an edit did to the candidate, and what to do next.
pub fn edited(before: &CandidateView, now: &CandidateView) -> String {
    let mut text = text::change_lines(&changes(&before.config, &now.config));
    let _ = match now.changes.len() {
        n if !now.problems.is_empty() => {
            writeln!(text, "{} pending.", if n == 1 { "1 change is".to_owned() } else { format!("{n} changes are") })
        }
        0 => writeln!(text, "With that, nothing is pending any more."),
        1 => writeln!(text, "It is pending.\nhint: lbctl apply makes it run"),
        n => writeln!(text, "{n} changes are pending.\nhint: lbctl diff shows them, lbctl apply makes them run"),
    };
    text + &text::problems(now)
}
