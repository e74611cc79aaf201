//! Configuration history: every revision, what it changed, how it differs from what runs, and the way back.

use crate::{
    Shared,
    app::Flash,
    backend::locks,
    frame::{Frame, go, show, time},
    pages::changes::{CONFIRM_WITHIN, done},
    refusal::Refusal,
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State},
    response::Response,
    routing::get,
};
use lb_access::Permission;
use lb_api::{ClientError, RevisionView, RollbackRequest};
use lb_model::{Change, changes};
use serde::Deserialize;

const PER_PAGE: usize = 50;
/// lbd keeps fewer.
const ALL: usize = 10_000;

pub fn routes() -> Router<Shared> {
    Router::new().route("/lbadmin/history", get(list)).route("/lbadmin/history/{number}", get(one).post(roll_back))
}

struct Row {
    revision: RevisionView,
    time: String,
    runs: bool,
}

fn row(revision: RevisionView, running: u64) -> Row {
    Row { time: time(revision.time), runs: revision.number == running, revision }
}

#[derive(Template)]
#[template(path = "history.html")]
struct List {
    frame: Frame,
    rows: Vec<Row>,
    /// Revision 0, on the last page: it runs.
    factory: Option<bool>,
    older: Option<usize>,
    newer: Option<usize>,
}

#[derive(Deserialize)]
struct PageQuery {
    #[serde(default)]
    page: usize,
}

async fn list(
    State(app): State<Shared>,
    seat: Seat,
    Query(PageQuery { page }): Query<PageQuery>,
) -> Result<Response, Refusal> {
    let frame = Frame::load(&app, &seat, "history", &["Maintenance", "Configuration History"]).await?;
    let all = app.lbd.client.history(ALL).await?;
    let running = frame.summary().revision;
    let page = page.min(all.len().saturating_sub(1) / PER_PAGE);
    let older = (all.len() > (page + 1) * PER_PAGE).then_some(page + 1);
    let rows = all.into_iter().skip(page * PER_PAGE).take(PER_PAGE).map(|r| row(r, running)).collect();
    // The factory settings are before all others, and always kept.
    let factory = older.is_none().then_some(running == 0);
    show(&List { frame, rows, factory, older, newer: page.checked_sub(1) })
}

#[derive(Template)]
#[template(path = "revision.html")]
struct One {
    frame: Frame,
    row: Row,
    /// What it changed, against the revision before it; `None`: that one is no longer kept.
    made: Option<Vec<Change>>,
    /// What going back to it would change now.
    back: Vec<Change>,
}

async fn one(State(app): State<Shared>, seat: Seat, Path(number): Path<u64>) -> Result<Response, Refusal> {
    let title = if number == 0 { "Revision 0: Factory Settings".to_owned() } else { format!("Revision {number}") };
    let frame = Frame::load(&app, &seat, "history", &["Maintenance", "Configuration History", &title]).await?;
    let revision = app.lbd.client.revision(number).await?;
    let made = match number {
        0 => None,
        _ => match app.lbd.client.revision(number - 1).await {
            Ok(before) => Some(changes(&before.config, &revision.config)),
            Err(ClientError::Refused(_)) => None,
            Err(e) => return Err(e.into()),
        },
    };
    let running = app.lbd.running().await?;
    let back = changes(&running.config, &revision.config);
    let row = row(revision.revision, running.revision.number);
    show(&One { frame, row, made, back })
}

async fn roll_back(State(app): State<Shared>, Path(number): Path<u64>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Configure, "roll back")?;
    let target = app.lbd.client.revision(number).await?;
    let running = app.lbd.running().await?;
    let cuts_off = running.config.node != target.config.node || locks(&running.config, &target.config);
    let request = RollbackRequest {
        revision: number,
        author: seat.author(),
        comment: sent.get("comment").trim().chars().take(200).collect(),
        confirm_within: cuts_off.then_some(CONFIRM_WITHIN),
        from: Some(seat.session.who.address),
    };
    match app.lbd.client.rollback(&request).await {
        Ok(applied) => {
            app.lbd.forget_status().await;
            seat.audit(&app, "roll back", &format!("to revision {number}"));
            Ok(go(&app, seat, "/lbadmin/history", done(&applied)))
        }
        Err(ClientError::Refused(error)) => {
            seat.refused(&app, "roll back", &error.message);
            let lines = error.problems.iter().map(ToString::to_string).chain(error.hint.clone()).collect();
            Ok(go(&app, seat, &format!("/lbadmin/history/{number}"), Flash::bad(error.message).lines(lines)))
        }
        Err(error) => Err(error.into()),
    }
}
