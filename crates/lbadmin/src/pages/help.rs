//! Help: the guide's chapters in the frame, and where the `?` beside a field leads.

use crate::{
    Shared,
    frame::{Frame, show},
    help,
    refusal::Refusal,
    seat::Seat,
};
use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/lbadmin/help", get(|| async { Redirect::to("/lbadmin/help/") }))
        .route("/lbadmin/help/", get(index))
        .route("/lbadmin/help/{chapter}", get(chapter))
        .route("/lbadmin/help/field/{anchor}", get(field))
}

#[derive(Template)]
#[template(path = "help.html")]
struct Page {
    frame: Frame,
    html: &'static str,
}

async fn index(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    page(&app, &seat, help::index()).await
}

async fn chapter(State(app): State<Shared>, seat: Seat, Path(name): Path<String>) -> Result<Response, Refusal> {
    let Some(chapter) = help::chapter(&name) else {
        return Err(Refusal::NotFound("The guide has no such chapter.".into()));
    };
    page(&app, &seat, chapter).await
}

async fn page(app: &Shared, seat: &Seat, page: &'static help::Page) -> Result<Response, Refusal> {
    let frame = Frame::load(app, seat, "help/", &["Support", "Help", &page.title]).await?;
    show(&Page { frame, html: &page.html })
}

async fn field(_: Seat, Path(anchor): Path<String>) -> Result<Response, Refusal> {
    match help::field(&anchor) {
        Some(address) => Ok(Redirect::to(&address).into_response()),
        None => Err(Refusal::NotFound("The guide does not explain such a field.".into())),
    }
}
