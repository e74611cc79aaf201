//! Maintenance > Fallback Page: its HTML, and a preview in a sandbox.

use super::{Place, show, take};
use crate::{
    Shared,
    forms::FallbackPageForm,
    refusal::Refusal,
    seat::{Seat, Sent},
};
use axum::{
    Router,
    extract::State,
    http::header,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use lb_access::Permission;

const HERE: &str = "maintenance/fallback-page";
const PREVIEW: &str = "/lbadmin/maintenance/fallback-page/preview";

/// What clients get as long as nobody has written a page.
const SHIPPED: &str = include_str!("../../../../../rootfs-overlay/usr/share/steelyard/fallback/index.html");

/// What is in the page is foreign to this interface: it runs no script, has no origin and loads nothing.
const SANDBOX: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; \
                       form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/lbadmin/maintenance/fallback-page", get(show_page).post(take_page))
        .route("/lbadmin/maintenance/fallback-page/preview", get(preview))
}

fn place() -> Place {
    Place {
        group: "Maintenance",
        intro: "What clients of a virtual server get when none of its real servers is left.".into(),
        links: vec![(PREVIEW.to_owned(), "Preview")],
        ..Place::single(HERE, "Fallback Page")
    }
}

async fn show_page(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    show(&app, &seat, &FallbackPageForm, place()).await
}

async fn take_page(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    take(&app, sent, &FallbackPageForm, place()).await
}

/// The page as it is pending, or the one that was shipped.
async fn preview(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Configure, "Fallback Page")?;
    let candidate = app.lbd.candidate().await?;
    let page = candidate.config.fallback_page.as_ref().map_or(SHIPPED, |page| page.as_str());
    Ok(([(header::CONTENT_SECURITY_POLICY, SANDBOX)], Html(page.to_owned())).into_response())
}
