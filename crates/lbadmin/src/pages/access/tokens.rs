//! Edit Configuration > API Tokens.

use super::{Ask, FormPage, blocking, forms, html, sentence};
use crate::{
    Shared,
    app::{Flash, now},
    forms::Form,
    frame::{self, Frame, ago, go, show, time},
    refusal::Refusal,
    seat::{Seat, Sent},
    server::host,
};
use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    http::HeaderMap,
    response::Response,
    routing::get,
};
use lb_access::{Permission, Role, TokenView};
use serde::Deserialize;

const HERE: &str = "edit/tokens";
const LIST: &str = "/lbadmin/edit/tokens";
const NEW: &str = "/lbadmin/edit/tokens/new";
const REVOKE: &str = "/lbadmin/edit/tokens/revoke";
const DAY: u64 = 86_400;

pub fn routes() -> Router<Shared> {
    Router::new().route(LIST, get(list)).route(NEW, get(show_new).post(take_new)).route(REVOKE, get(ask).post(revoke))
}

struct Row {
    token: TokenView,
    created: String,
    expires: String,
    expired: bool,
    last_used: String,
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct List {
    frame: Frame,
    rows: Vec<Row>,
}

async fn list(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "API Tokens")?;
    let frame = Frame::load(&app, &seat, HERE, &["Edit Configuration", "API Tokens"]).await?;
    let row = |token: TokenView| Row {
        created: time(token.created),
        expires: token.expires.map(time).unwrap_or_default(),
        expired: token.expires.is_some_and(|at| at <= now()),
        last_used: match (token.last_used, token.last_address) {
            (Some(at), Some(address)) => format!("{} from {address}", ago(at)),
            _ => String::new(),
        },
        token,
    };
    let rows = app.access.tokens().into_iter().map(row).collect();
    show(&List { frame, rows })
}

async fn new_page(app: &Shared, seat: &Seat, form: &Form) -> Result<FormPage, Refusal> {
    Ok(FormPage {
        frame: Frame::load(app, seat, HERE, &["Edit Configuration", "API Tokens", "Create an API token"]).await?,
        intro: "A program shows the token instead of a user and password. It never may more than you may.".into(),
        form: html(form, NEW, seat)?,
        links: vec![(LIST, "API Tokens")],
    })
}

async fn show_new(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "create an API token")?;
    show(&new_page(&app, &seat, &forms::new_token(seat.session.who.role)).await?)
}

/// The one time that a token is shown.
#[derive(Template)]
#[template(path = "token.html")]
struct Created {
    frame: Frame,
    name: String,
    token: String,
    host: String,
    port: u16,
    fingerprint: String,
}

async fn take_new(State(app): State<Shared>, headers: HeaderMap, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "create an API token")?;
    let form = forms::typed(forms::new_token(seat.session.who.role), &sent);
    let name = sent.get("name").trim().to_owned();
    let days = forms::TOKEN_DAYS.iter().find(|(value, _)| *value == sent.get("days")).map(|(value, _)| *value);
    let form = match (sent.get("role").parse::<Role>(), days) {
        (Err(unknown), _) => forms::wrong(form, "role", unknown.to_string()),
        (_, None) => forms::wrong(form, "days", "This is none of the choices.".into()),
        (Ok(role), Some(days)) => {
            let expires = days.parse::<u64>().ok().map(|days| now() + days * DAY);
            let (by, wanted) = (seat.session.who.clone(), name.clone());
            match blocking(&app, move |access| access.create_token(&wanted, role, expires, &by, now())).await? {
                Ok(token) => {
                    let title = format!("Token {name}");
                    let frame = Frame::load(&app, seat, HERE, &["Edit Configuration", "API Tokens", &title]).await?;
                    let host = host(&headers).unwrap_or_else(|| frame.hostname.clone());
                    let fingerprint = app.tls.certificate().fingerprint;
                    return show(&Created { frame, name, token, host, port: app.https_port, fingerprint });
                }
                Err(refusal) => forms::wrong(form, refusal.field(), sentence(&refusal)),
            }
        }
    };
    frame::refused(&new_page(&app, seat, &form).await?)
}

#[derive(Deserialize)]
struct Of {
    id: String,
}

async fn ask(State(app): State<Shared>, seat: Seat, Query(of): Query<Of>) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "revoke an API token")?;
    let token = app.access.tokens().into_iter().find(|token| token.id == of.id);
    let token = token.ok_or_else(|| Refusal::NotFound("There is no such token.".into()))?;
    let title = format!("Revoke token {}", token.name);
    let lines = vec![format!("What uses the token {} of user {} is refused from then on.", token.name, token.owner)];
    let frame = Frame::load(&app, &seat, HERE, &["Edit Configuration", "API Tokens", &title]).await?;
    show(&Ask { frame, lines, action: REVOKE, name: "id", value: token.id, button: "Revoke", back: LIST })
}

async fn revoke(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "revoke an API token")?;
    let (by, id) = (seat.session.who.clone(), sent.get("id").to_owned());
    let flash = match blocking(&app, move |access| access.revoke_token(&id, &by, now())).await? {
        Ok(()) => Flash::good("The token is revoked."),
        Err(refusal) => Flash::bad(sentence(&refusal)),
    };
    Ok(go(&app, seat, LIST, flash))
}
