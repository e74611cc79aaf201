//! How a part of the candidate is changed: read, compared with what the caller saw, changed, put back.
//!
//! A change that brings the configuration a problem it did not have is refused with all that it brings; problems
//! that were there before keep nobody from mending something else. Somebody else's edit in between is no conflict
//! here unless it touched the same part: then the tag no longer fits.

use super::{caller::Caller, etag::IfMatch, problem::Problem};
use crate::{App, backend::Edit};
use lb_api::{ApiError, CandidateView, ErrorCode};
use lb_model::{Config, problems};
use serde::Serialize;
use std::{collections::HashSet, sync::Arc};

/// Takes the candidate through `change`; `what` is for the audit log.
pub async fn edit<P>(
    app: &App,
    caller: &Caller<P>,
    what: &str,
    mut change: impl FnMut(&mut Config) -> Result<(), Problem>,
) -> Result<Arc<CandidateView>, Problem> {
    let author = caller.author();
    let edited = app
        .lbd
        .edit(&author, |old| {
            let mut new = old.clone();
            change(&mut new)?;
            new.assign_marks();
            refuse_new_problems(old, &new)?;
            Ok(new)
        })
        .await?;
    match edited {
        Edit::Pending(view) => {
            caller.audit(app, "edit", what);
            Ok(view)
        }
        Edit::Refused(problem) => Err(problem),
    }
}

fn refuse_new_problems(old: &Config, new: &Config) -> Result<(), Problem> {
    let mut brought = problems(new);
    if !brought.is_empty() {
        // Paths move when an entry before them goes; what is wrong stays the same words.
        let before: HashSet<(String, String)> = problems(old).into_iter().map(|p| (p.value, p.reason)).collect();
        brought.retain(|p| !before.contains(&(p.value.clone(), p.reason.clone())));
    }
    if brought.is_empty() { Ok(()) } else { Err(ApiError::invalid(brought).into()) }
}

/// Where `part` is what the caller saw, or `*`.
pub fn seen(tag: &IfMatch, part: &impl Serialize) -> Result<(), Problem> {
    tag.check(&super::etag::of(part))
}

pub fn taken(what: impl std::fmt::Display) -> Problem {
    Problem::new(ErrorCode::Conflict, format!("there is a {what} already"))
        .hint("change that one, or choose another name")
}
