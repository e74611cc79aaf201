//! Maintenance > Sessions: who is logged in; one's own, and for administrators everybody's.

use super::blocking;
use crate::{
    Shared,
    app::{Flash, now},
    frame::{Frame, ago, go, show, time},
    refusal::Refusal,
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{
    Router,
    extract::State,
    http::header,
    response::{AppendHeaders, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use lb_access::{Permission, SessionView};

const HERE: &str = "maintenance/sessions";
const LIST: &str = "/lbadmin/maintenance/sessions";

pub fn routes() -> Router<Shared> {
    Router::new().route(LIST, get(list)).route("/lbadmin/maintenance/sessions/end", post(end))
}

struct Row {
    session: SessionView,
    this: bool,
    started: String,
    last_seen: String,
    expires: String,
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct List {
    frame: Frame,
    rows: Vec<Row>,
}

async fn list(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    let frame = Frame::load(&app, &seat, HERE, &["Maintenance", "Sessions"]).await?;
    let row = |session: SessionView| Row {
        this: session.id == seat.session.id,
        started: time(session.started),
        last_seen: ago(session.last_seen),
        expires: time(session.expires),
        session,
    };
    let seen = |session: &SessionView| session.user == seat.session.who.user || seat.may(Permission::Administer);
    let rows = app.access.sessions(now()).into_iter().filter(seen).map(row).collect();
    show(&List { frame, rows })
}

async fn end(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    let id = sent.get("id").to_owned();
    let listed = app.access.sessions(now()).into_iter().find(|session| session.id == id);
    if listed.is_some_and(|session| session.user != seat.session.who.user) {
        seat.must(&app, Permission::Administer, "end a session")?;
    }
    let (by, own) = (seat.session.who.clone(), id == seat.session.id);
    let ended = blocking(&app, move |access| access.end_session(&id, &by, now())).await?;
    if own {
        let cookie = AppendHeaders([(header::SET_COOKIE, seat.scheme.set_cookie(""))]);
        return Ok((cookie, Redirect::to("/lbadmin/login")).into_response());
    }
    let flash =
        if ended { Flash::good("The session is ended.") } else { Flash::bad("There is no such session any more.") };
    Ok(go(&app, seat, LIST, flash))
}
