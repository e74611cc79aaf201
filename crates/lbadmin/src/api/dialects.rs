//! The cloud dialects as a program administers them: on and off, OVH's applications and grants, edits by hand.
//!
//! The switches are part of the configuration and take effect at once, past the candidate. An application's secret is
//! answered once. Grants are approved by a person, on a page.

use super::{
    caller::{Administer, Caller, Configure, Look},
    etag::{self, IfMatch},
    extract::{Json, Path},
    problem::Problem,
};
use crate::{
    Shared,
    app::now,
    dialects::{self, ApplicationView, GrantView, Refused, Settings},
};
use axum::{
    Json as Answer,
    extract::State,
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse},
};
use lb_api::ErrorCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

type Result<T> = std::result::Result<T, Problem>;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(dialects, put_dialects))
        .routes(routes!(by_hand))
        .routes(routes!(applications, add_application))
        .routes(routes!(remove_application))
        .routes(routes!(grants))
        .routes(routes!(remove_grant))
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let code = match &refused {
            Refused::Unknown => ErrorCode::NotFound,
            Refused::TooMany => ErrorCode::Conflict,
            Refused::Name => ErrorCode::Malformed,
            Refused::Disk(_) => ErrorCode::StoreFailed,
        };
        Problem::new(code, refused.to_string())
    }
}

/// Whether the cloud dialects are on, and how
#[utoipa::path(get, path = "/v1/dialects", tag = "dialects", security(("token" = ["look"])),
    responses((status = 200, body = Settings)))]
async fn dialects(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<Settings>> {
    Ok(Answer(Settings::of(&app.lbd.running().await?.config)))
}

/// Switch the cloud dialects on or off, at once
#[utoipa::path(put, path = "/v1/dialects", tag = "dialects", security(("token" = ["configure"])), params(IfMatch),
    request_body = Settings, responses((status = 200, body = Settings)))]
async fn put_dialects(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    seen: IfMatch,
    Json(new): Json<Settings>,
) -> Result<impl IntoResponse> {
    let before = Settings::of(&app.lbd.running().await?.config);
    seen.check(&etag::of(&before))?;
    dialects::put(&app, &new, &caller.author()).await?;
    caller.audit(&app, "dialects", &new.words());
    let now = Settings::of(&app.lbd.running().await?.config);
    Ok((AppendHeaders([(header::ETAG, etag::of(&now))]), Answer(now)))
}

/// What was changed by hand in the dialects' virtual servers, in sentences
#[utoipa::path(get, path = "/v1/dialects/by-hand", tag = "dialects", security(("token" = ["look"])),
    responses((status = 200, body = Vec<String>)))]
async fn by_hand(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<Vec<String>>> {
    Ok(Answer(lb_dialects::commit::by_hand(&app.lbd.running().await?.config)))
}

/// Programs that call the OVH dialect, without their secrets
#[utoipa::path(get, path = "/v1/dialects/ovh/applications", tag = "dialects", security(("token" = ["administer"])),
    responses((status = 200, body = Vec<ApplicationView>)))]
async fn applications(_: Caller<Administer>, State(app): State<Shared>) -> Answer<Vec<ApplicationView>> {
    Answer(app.keys.applications())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewDialectApplication)]
struct NewApplication {
    /// Says what the program is.
    #[schema(pattern = "^[A-Za-z0-9._-]([A-Za-z0-9 ._-]{0,62}[A-Za-z0-9._-])?$", min_length = 1, max_length = 64)]
    name: String,
}

/// An application with its secret, which is not shown again.
#[derive(Serialize, ToSchema)]
#[schema(as = MadeDialectApplication)]
struct MadeApplication {
    id: u64,
    application_key: String,
    application_secret: String,
}

/// Make an application; its secret is answered this once
#[utoipa::path(post, path = "/v1/dialects/ovh/applications", tag = "dialects", security(("token" = ["administer"])),
    request_body = NewApplication,
    responses((status = 201, body = MadeApplication, headers(("Location" = String)))))]
async fn add_application(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Json(new): Json<NewApplication>,
) -> Result<impl IntoResponse> {
    let made = app.keys.add_application(&new.name, &caller.who.user, now())?;
    caller.audit(&app, "ovh-application", &format!("Application {} is made.", new.name));
    let place = AppendHeaders([(header::LOCATION, format!("/api/v1/dialects/ovh/applications/{}", made.id))]);
    let answer = MadeApplication { id: made.id, application_key: made.key, application_secret: made.secret };
    Ok((StatusCode::CREATED, place, Answer(answer)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfId {
    /// Its number
    id: u64,
}

/// Remove an application with all its grants
#[utoipa::path(delete, path = "/v1/dialects/ovh/applications/{id}", tag = "dialects",
    security(("token" = ["administer"])), params(OfId), responses((status = 204)))]
async fn remove_application(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Path(of): Path<OfId>,
) -> Result<StatusCode> {
    let name = app.keys.remove_application(of.id)?;
    caller.audit(&app, "ovh-application", &format!("Application {name} is removed."));
    Ok(StatusCode::NO_CONTENT)
}

/// What people have granted to applications
#[utoipa::path(get, path = "/v1/dialects/ovh/grants", tag = "dialects", security(("token" = ["administer"])),
    responses((status = 200, body = Vec<GrantView>)))]
async fn grants(_: Caller<Administer>, State(app): State<Shared>) -> Answer<Vec<GrantView>> {
    Answer(app.keys.grants())
}

/// Revoke a grant
#[utoipa::path(delete, path = "/v1/dialects/ovh/grants/{id}", tag = "dialects",
    security(("token" = ["administer"])), params(OfId), responses((status = 204)))]
async fn remove_grant(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Path(of): Path<OfId>,
) -> Result<StatusCode> {
    app.keys.remove_grant(of.id)?;
    caller.audit(&app, "ovh-grant", &format!("Grant {} is revoked.", of.id));
    Ok(StatusCode::NO_CONTENT)
}
