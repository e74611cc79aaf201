//! Pending changes: what waits, what it will do, apply, discard, keep or undo.

use crate::{
    Shared,
    app::Flash,
    frame::{Frame, go, show},
    refusal::{Refusal, words},
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use lb_access::Permission;
use lb_api::{
    Applied, ApplyRequest, ClientError, ConfirmRequest, DiscardRequest, ErrorCode, PlanRequest, RollbackRequest,
};
use lb_model::{Change, Problem};

/// Seconds to press Keep after a change that can cut the administrator off.
pub const CONFIRM_WITHIN: u64 = 120;

/// Lines of a plan that the page shows.
const SHOWN: usize = 200;

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/lbadmin/changes", get(page))
        .route("/lbadmin/apply", post(apply))
        .route("/lbadmin/discard", post(discard))
        .route("/lbadmin/confirm", post(confirm))
        .route("/lbadmin/undo", post(undo))
}

#[derive(Template)]
#[template(path = "changes.html")]
struct Page {
    frame: Frame,
    changes: Vec<Change>,
    problems: Vec<Problem>,
    actions: Vec<String>,
    more_actions: usize,
    /// The plan could not be made, and why.
    no_plan: String,
    confirm_within: u64,
}

async fn page(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    let frame = Frame::load(&app, &seat, "changes", &["Edit Configuration", "Pending Changes"]).await?;
    let candidate = frame.candidate().clone();
    let (mut actions, mut no_plan) = (Vec::new(), String::new());
    if frame.bar.is_some() && candidate.problems.is_empty() {
        match app.lbd.client.plan(&PlanRequest::default()).await {
            Ok(plan) => actions = plan.actions,
            Err(e) => no_plan = words(&e),
        }
    }
    let more_actions = actions.len().saturating_sub(SHOWN);
    actions.truncate(SHOWN);
    show(&Page {
        changes: candidate.changes.iter().take(SHOWN * 5).cloned().collect(),
        problems: candidate.problems.clone(),
        frame,
        actions,
        more_actions,
        no_plan,
        confirm_within: CONFIRM_WITHIN,
    })
}

async fn apply(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Configure, "apply")?;
    let etag = sent.get("etag").parse().map_err(|_| Refusal::Unreadable("etag: a number is expected".into()))?;
    let candidate = app.lbd.candidate().await?;
    let confirmed = app.lbd.cuts_off(&candidate).await? || sent.get("confirm") == "on";
    let request = ApplyRequest {
        etag: Some(etag),
        author: seat.author(),
        comment: sent.get("comment").trim().chars().take(200).collect(),
        confirm_within: confirmed.then_some(CONFIRM_WITHIN),
        from: Some(seat.session.who.address),
        ..ApplyRequest::default()
    };
    match app.lbd.apply(&request).await {
        Ok(applied) => {
            seat.audit(&app, "apply", &format!("revision {}", applied.revision.number));
            Ok(go(&app, seat, back(&sent), done(&applied)))
        }
        Err(error) => refused(&app, seat, "apply", error),
    }
}

/// What was done, in one message.
pub fn done(applied: &Applied) -> Flash {
    if applied.changes.is_empty() && applied.plan.is_empty() {
        return Flash::good("There was nothing to apply.");
    }
    let number = applied.revision.number;
    let lines = |plan: &[String]| plan.iter().take(20).cloned().collect::<Vec<_>>();
    match (applied.converged, applied.confirm_before) {
        (true, None) => Flash::good(format!("Applied as revision {number}.")).lines(lines(&applied.plan)),
        (true, Some(_)) => Flash::good(format!("Applied as revision {number}; it is undone unless you keep it."))
            .lines(lines(&applied.plan)),
        (false, _) => {
            let failed = applied.pending.iter().map(|p| format!("{}: {}", p.action, p.error)).collect();
            Flash::bad(format!(
                "Applied as revision {number}, but not all of it works yet; it is tried again by itself."
            ))
            .lines(failed)
        }
    }
}

/// lbd refused: its words on the page of pending changes, where all is as it was.
fn refused(app: &Shared, seat: &Seat, what: &str, error: ClientError) -> Result<Response, Refusal> {
    let ClientError::Refused(api) = error else { return Err(error.into()) };
    seat.refused(app, what, &api.message);
    let mut lines: Vec<String> = api.problems.iter().map(ToString::to_string).collect();
    lines.extend(api.between.iter().map(ToString::to_string));
    lines.extend(api.hint.clone().filter(|_| api.code != ErrorCode::AwaitingConfirm));
    if api.code == ErrorCode::AwaitingConfirm {
        lines.push("Keep or undo it with the buttons above first.".into());
    }
    Ok(go(app, seat, "/lbadmin/changes", Flash::bad(api.message).lines(lines)))
}

async fn discard(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Configure, "discard")?;
    let etag = sent.get("etag").parse().map_err(|_| Refusal::Unreadable("etag: a number is expected".into()))?;
    // To say what is lost. Whether it is what this page showed, lbd decides in the same breath as it discards.
    let lost = app.lbd.candidate().await?;
    match app.lbd.client.discard(&DiscardRequest { etag: Some(etag), author: seat.author() }).await {
        Ok(_) => {
            seat.audit(&app, "discard", &format!("{} changes", lost.changes.len()));
            let lines = lost.changes.iter().map(|c| c.text.clone()).take(20).collect();
            Ok(go(&app, seat, back(&sent), Flash::good("The pending changes are discarded.").lines(lines)))
        }
        Err(error) => refused(&app, seat, "discard", error),
    }
}

async fn confirm(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Configure, "keep")?;
    let revision = sent.get("revision").parse().ok();
    match app.lbd.client.confirm(&ConfirmRequest { revision, author: seat.author() }).await {
        Ok(kept) => {
            seat.audit(&app, "keep", &format!("revision {}", kept.revision));
            Ok(go(&app, seat, back(&sent), Flash::good(format!("Revision {} is kept.", kept.revision))))
        }
        Err(error) => refused(&app, seat, "keep", error),
    }
}

async fn undo(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Configure, "undo")?;
    let Some(waiting) = app.lbd.summary().await?.confirm else {
        return Ok(go(&app, seat, back(&sent), Flash::bad("No revision waits: it was kept or undone meanwhile.")));
    };
    let request = RollbackRequest {
        revision: waiting.revert_to,
        author: seat.author(),
        comment: format!("Undo revision {}", waiting.revision),
        // It would come back by itself.
        ..RollbackRequest::default()
    };
    match app.lbd.client.rollback(&request).await {
        Ok(applied) => {
            app.lbd.forget_status().await;
            seat.audit(&app, "undo", &format!("revision {}", waiting.revision));
            Ok(go(&app, seat, back(&sent), done(&applied)))
        }
        Err(error) => refused(&app, seat, "undo", error),
    }
}

/// The page that the form was on. Who has just finished the wizard is not asked its first question again.
fn back(sent: &Sent) -> &str {
    let wanted = sent.get("back");
    if wanted == "/lbadmin/edit/wizard" {
        "/lbadmin/"
    } else if wanted.starts_with("/lbadmin/") && !wanted.contains("//") && !wanted.contains(['\\', '\r', '\n']) {
        wanted
    } else {
        "/lbadmin/"
    }
}
