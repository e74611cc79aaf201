//! Maintenance > Passwords: one's own password, and the one-time codes of an authenticator app.

use super::{blocking, forms, html, sentence};
use crate::{
    Shared,
    app::{Flash, now},
    forms::Form,
    frame::{self, Frame, go, show},
    pages::login,
    refusal::Refusal,
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use lb_access::TotpSecret;
use qrcode::{Color, QrCode};
use std::fmt::Write;

const HERE: &str = "maintenance/passwords";
const PAGE: &str = "/lbadmin/maintenance/passwords";
const TOTP: &str = "/lbadmin/maintenance/totp";
const TOTP_OFF: &str = "/lbadmin/maintenance/totp/off";
/// Modules of white around a QR code (ISO/IEC 18004, 6.3.8).
const QUIET: usize = 4;

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(PAGE, get(page).post(change))
        .route("/lbadmin/maintenance/totp/begin", post(begin))
        .route(TOTP, get(secret).post(confirm))
        .route(TOTP_OFF, post(off))
}

#[derive(Template)]
#[template(path = "passwords.html")]
struct Page {
    frame: Frame,
    password: String,
    totp: bool,
    off: String,
}

async fn both(app: &Shared, seat: &Seat, password: &Form, off: &Form) -> Result<Page, Refusal> {
    let own = app.access.users().into_iter().find(|user| user.name == seat.session.who.user);
    Ok(Page {
        frame: Frame::load(app, seat, HERE, &["Maintenance", "Passwords"]).await?,
        password: html(password, PAGE, seat)?,
        totp: own.is_some_and(|user| user.totp),
        off: html(off, TOTP_OFF, seat)?,
    })
}

async fn page(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    show(&both(&app, &seat, &forms::own_password(), &forms::remove_code()).await?)
}

async fn change(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    match login::change_own(&app, &sent, PAGE).await? {
        Ok(response) => Ok(response),
        Err(wrong) => {
            let form = forms::wrong(forms::own_password(), wrong.field, format!("{}. {}", wrong.reason, wrong.hint));
            frame::refused(&both(&app, &sent.seat, &form, &forms::remove_code()).await?)
        }
    }
}

async fn begin(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    let unit = app.lbd.summary().await?.hostname.clone();
    Ok(match app.access.begin_totp(&unit, &seat.session.who, now()) {
        Ok(_) => axum::response::IntoResponse::into_response(axum::response::Redirect::to(TOTP)),
        Err(refusal) => go(&app, seat, PAGE, Flash::bad(sentence(&refusal))),
    })
}

#[derive(Template)]
#[template(path = "totp.html")]
struct SetUp {
    frame: Frame,
    qr: String,
    /// The secret in groups of four, to be typed.
    groups: String,
    form: String,
}

/// The secret that waits for its first code; `None` when there is none, or no more.
async fn set_up(app: &Shared, seat: &Seat, form: &Form) -> Result<Option<SetUp>, Refusal> {
    let crumbs = ["Maintenance", "Passwords", "Set up one-time codes"];
    let frame = Frame::load(app, seat, HERE, &crumbs).await?;
    let Some(TotpSecret { secret, uri }) = app.access.pending_totp(&frame.hostname, &seat.session.who, now()) else {
        return Ok(None);
    };
    let letters: Vec<char> = secret.chars().collect();
    let groups: Vec<String> = letters.chunks(4).map(|four| four.iter().collect()).collect();
    Ok(Some(SetUp { frame, qr: qr(&uri)?, groups: groups.join(" "), form: html(form, TOTP, seat)? }))
}

fn over(app: &Shared, seat: &Seat) -> Response {
    go(app, seat, PAGE, Flash::bad("The set-up was begun too long ago. Begin it again."))
}

async fn secret(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    match set_up(&app, &seat, &forms::confirm_code()).await? {
        Some(page) => show(&page),
        None => Ok(over(&app, &seat)),
    }
}

async fn confirm(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    let (by, code) = (seat.session.who.clone(), sent.get("code").to_owned());
    match blocking(&app, move |access| access.confirm_totp(&code, &by, now())).await? {
        Ok(()) => Ok(go(&app, seat, PAGE, Flash::good("From now on a code is asked for when you log in."))),
        Err(refusal) => {
            let form = forms::wrong(forms::confirm_code(), refusal.field(), sentence(&refusal));
            match set_up(&app, seat, &form).await? {
                Some(page) => frame::refused(&page),
                None => Ok(over(&app, seat)),
            }
        }
    }
}

async fn off(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    let (by, code) = (seat.session.who.clone(), sent.get("code").to_owned());
    match blocking(&app, move |access| access.remove_own_totp(&code, &by, now())).await? {
        Ok(()) => Ok(go(&app, seat, PAGE, Flash::good("No code is asked for any more when you log in."))),
        Err(refusal) => {
            let form = forms::wrong(forms::remove_code(), refusal.field(), sentence(&refusal));
            frame::refused(&both(&app, seat, &forms::own_password(), &form).await?)
        }
    }
}

/// Inline SVG: one path, no style.
fn qr(text: &str) -> Result<String, Refusal> {
    let code = QrCode::new(text).map_err(|e| Refusal::Internal(format!("drawing the QR code: {e}")))?;
    let (width, mut path) = (code.width(), String::new());
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            // Writing to a String does not fail.
            let _ = write!(path, "M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET);
        }
    }
    let size = width + 2 * QUIET;
    Ok(format!(
        "<svg viewBox=\"0 0 {size} {size}\" role=\"img\" aria-label=\"QR code of the secret below\" \
         shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h{size}v{size}H0z\"/><path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_qr_code_is_svg_that_the_content_policy_allows() {
        let svg = qr("otpauth://totp/Steelyard:ops@lbmaster?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Steelyard")
            .unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>") && svg.len() < 64_000, "{}", svg.len());
        assert!(!svg.contains("style") && !svg.contains("script"));
    }
}
