//! Log in, log out, and the change of password that the first log-in demands.

use crate::{
    Shared,
    app::{Flash, now},
    frame::go,
    refusal::Refusal,
    seat::{Anyone, Scheme, Seat, Sent, SentByAnyone, address, scheme},
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{DefaultBodyLimit, FromRequest, Query, Request, State},
    http::{StatusCode, header},
    response::{AppendHeaders, Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use lb_access::LoginRefusal;
use serde::Deserialize;

/// Bytes of a posted log-in: its fields, percent-encoded, with the page that was wanted.
const LOGIN_BODY: usize = 8 << 10;

pub fn routes() -> Router<Shared> {
    Router::new()
        // Strangers send it: as large as its fields may be, whatever other forms may take.
        .route("/lbadmin/login", get(login).post(log_in).layer(DefaultBodyLimit::max(LOGIN_BODY)))
        .route("/lbadmin/logout", post(log_out))
        .route("/lbadmin/password", get(password).post(change_password))
}

#[derive(Template, Default)]
#[template(path = "login.html")]
struct LoginPage {
    hostname: String,
    user: String,
    next: String,
    error: String,
    hint: String,
    /// The user has a second factor.
    code: bool,
    secure: bool,
    https_port: u16,
    fingerprint: String,
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

/// A place on this site; anything else would send people elsewhere after the log-in.
fn place(next: &str) -> String {
    let inside = next.starts_with("/lbadmin/") && !next.contains(['\\', '\n', '\r']) && !next.contains("//");
    if inside { next.to_owned() } else { "/lbadmin/".to_owned() }
}

async fn page(app: &Shared, scheme: Scheme) -> LoginPage {
    let hostname = app.lbd.summary().await.map(|s| s.hostname).unwrap_or_default();
    let fingerprint = app.tls.certificate().fingerprint;
    LoginPage {
        hostname,
        secure: scheme == Scheme::Https,
        https_port: app.https_port,
        fingerprint,
        ..LoginPage::default()
    }
}

async fn login(
    State(app): State<Shared>,
    Query(Next { next }): Query<Next>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let page = LoginPage { next, ..page(&app, scheme(&parts)).await };
    Ok(Html(page.render()?).into_response())
}

#[derive(Deserialize)]
struct LoginForm {
    user: String,
    password: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
}

async fn log_in(State(app): State<Shared>, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let (scheme, from) = (scheme(&parts), address(&parts));
    let request = Request::from_parts(parts, body);
    let Form(form) =
        Form::<LoginForm>::from_request(request, &app).await.map_err(|e| Refusal::Unreadable(e.to_string()))?;
    let shared = app.clone();
    let (user, code) = (form.user.clone(), form.code.trim().to_owned());
    // Hashing takes its time: not on a thread that serves others.
    let outcome = tokio::task::spawn_blocking(move || {
        let code = Some(code.as_str()).filter(|c| !c.is_empty());
        shared.access.login(&form.user, &form.password, code, from, now())
    })
    .await
    .map_err(|e| Refusal::Internal(format!("checking the password: {e}")))?;
    let refusal = match outcome {
        Ok(session) => {
            let cookie = scheme.set_cookie(&session.cookie);
            return Ok(
                (AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to(&place(&form.next))).into_response()
            );
        }
        Err(refusal) => refusal,
    };
    let wait = refusal.retry_after();
    let status = if wait.is_some() { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::UNAUTHORIZED };
    let page = LoginPage {
        user,
        next: form.next,
        error: refusal.to_string(),
        hint: refusal.hint(),
        code: matches!(refusal, LoginRefusal::CodeNeeded | LoginRefusal::CodeWrong),
        ..page(&app, scheme).await
    };
    let mut response = (status, Html(page.render()?)).into_response();
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

async fn log_out(State(app): State<Shared>, SentByAnyone(sent): SentByAnyone) -> Response {
    app.access.logout(&sent.seat.cookie, now());
    let cookie = sent.seat.scheme.set_cookie("");
    (AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to("/lbadmin/login")).into_response()
}

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    user: String,
    csrf: String,
    forced: bool,
    error: String,
    hint: String,
}

async fn password(Anyone(seat): Anyone) -> Result<Response, Refusal> {
    let page = PasswordPage {
        user: seat.session.who.user.clone(),
        csrf: seat.session.csrf.clone(),
        forced: seat.session.must_change_password,
        error: String::new(),
        hint: String::new(),
    };
    Ok(Html(page.render()?).into_response())
}

async fn change_password(State(app): State<Shared>, SentByAnyone(sent): SentByAnyone) -> Result<Response, Refusal> {
    match change_own(&app, &sent, "/lbadmin/").await? {
        Ok(response) => Ok(response),
        Err(Wrong { reason, hint, .. }) => {
            let seat = &sent.seat;
            let page = PasswordPage {
                user: seat.session.who.user.clone(),
                csrf: seat.session.csrf.clone(),
                forced: seat.session.must_change_password,
                error: reason,
                hint,
            };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Html(page.render()?)).into_response())
        }
    }
}

/// Why a password was not changed, and the field that it belongs to.
pub struct Wrong {
    pub field: &'static str,
    pub reason: String,
    pub hint: String,
}

/// Changes the password of whoever sent `old`, `new` and `repeat`; afterwards the new session is at `then`.
pub async fn change_own(app: &Shared, sent: &Sent, then: &str) -> Result<Result<Response, Wrong>, Refusal> {
    let seat = &sent.seat;
    if sent.get("new") != sent.get("repeat") {
        let reason = "The two new passwords differ".to_owned();
        return Ok(Err(Wrong { field: "repeat", reason, hint: "Type the new password twice.".into() }));
    }
    let (shared, cookie) = (app.clone(), seat.cookie.clone());
    let (old, new) = (sent.get("old").to_owned(), sent.get("new").to_owned());
    let changed = tokio::task::spawn_blocking(move || shared.access.change_own_password(&cookie, &old, &new, now()))
        .await
        .map_err(|e| Refusal::Internal(format!("changing the password: {e}")))?;
    let new = match changed {
        Ok(new) => new,
        Err(refusal) => {
            return Ok(Err(Wrong { field: refusal.field(), reason: refusal.to_string(), hint: refusal.hint() }));
        }
    };
    // The cookie is a new one; its session is told.
    let cookie = AppendHeaders([(header::SET_COOKIE, seat.scheme.set_cookie(&new.cookie))]);
    let fresh = Seat { session: new.session, cookie: new.cookie, scheme: seat.scheme };
    let flash = Flash::good("Your password is changed. Other sessions of yours have ended.");
    Ok(Ok((cookie, go(app, &fresh, then, flash)).into_response()))
}
