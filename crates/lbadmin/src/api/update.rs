//! Software update and factory settings: what root's door does ([`crate::update`]). lbd is not asked.

use super::{
    caller::{Administer, Caller, Look},
    extract::Json,
    problem::Problem,
};
use crate::{
    Shared,
    pages::update::serves,
    update::{UpdateError, comes_next},
};
use axum::{
    Json as Answer,
    extract::{Request, State},
    http::{StatusCode, header},
};
use lb_api::{BundleView, Done, ErrorCode, UpdateAct, UpdateRefused, UpdateView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

type Result<T> = std::result::Result<T, Problem>;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(update))
        .routes(routes!(remove_bundle))
        .routes(routes!(install_update))
        .routes(routes!(update_back))
        .routes(routes!(update_restart))
        .routes(routes!(update_acknowledge))
        .routes(routes!(factory_settings))
}

/// Whose body is a whole bundle; its bounds are the slot and the disk.
pub fn unbounded() -> OpenApiRouter<Shared> {
    OpenApiRouter::default().routes(routes!(put_bundle))
}

impl From<UpdateError> for Problem {
    fn from(error: UpdateError) -> Self {
        let code = match &error {
            UpdateError::Door(_) => ErrorCode::Unavailable,
            UpdateError::TooLarge { .. } => ErrorCode::TooLarge,
            UpdateError::NoRoom { .. } | UpdateError::Disk(_) => ErrorCode::StoreFailed,
            UpdateError::Refused(_) | UpdateError::Busy | UpdateError::NoBundle => ErrorCode::Conflict,
            UpdateError::Broken(_) => ErrorCode::BadRequest,
        };
        let problem = Problem::new(code, error.to_string());
        match error.hint() {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}

/// Software update
#[derive(Serialize, ToSchema)]
struct UpdateReport {
    unit: UpdateView,
    /// The uploaded bundle, if it may be installed here.
    bundle: Option<BundleView>,
    /// Why the uploaded bundle may not.
    bundle_refused: Option<UpdateRefused>,
}

/// Both slots, the last update and what became of it, and the uploaded bundle
#[utoipa::path(get, path = "/v1/update", tag = "unit", security(("token" = ["look"])),
    responses((status = 200, body = UpdateReport)))]
async fn update(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<UpdateReport>> {
    let unit = app.updates.view().await?;
    let uploaded = if unit.work.is_some() { None } else { app.updates.uploaded().await };
    let (bundle, bundle_refused) = match uploaded {
        None => (None, None),
        Some(Ok(bundle)) => (Some(bundle), None),
        Some(Err(UpdateError::Refused(refused))) => (None, Some(refused)),
        Some(Err(error)) => return Err(error.into()),
    };
    Ok(Answer(UpdateReport { unit, bundle, bundle_refused }))
}

/// Upload a bundle: its signature is checked, and nothing is installed
#[utoipa::path(put, path = "/v1/update/bundle", tag = "unit", security(("token" = ["administer"])),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = BundleView)))]
async fn put_bundle(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    request: Request,
) -> Result<Answer<BundleView>> {
    let (parts, body) = request.into_parts();
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::CONTENT_TYPE) != Some("application/octet-stream") {
        return Err(Problem::new(ErrorCode::UnsupportedMediaType, "the body is not application/octet-stream")
            .hint("send Content-Type: application/octet-stream")
            .header(header::ACCEPT, "application/octet-stream"));
    }
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    match app.updates.receive(length, body.into_data_stream()).await {
        Ok(bundle) => {
            caller.audit(&app, "update-upload", &format!("Version {}, {} bytes.", bundle.version, bundle.size));
            Ok(Answer(bundle))
        }
        // Here it is the body that is wrong.
        Err(UpdateError::Refused(UpdateRefused { message, hint })) => {
            caller.audit(&app, "update-upload", &format!("Refused: {message}."));
            let problem = Problem::new(ErrorCode::Malformed, message);
            Err(if let Some(hint) = hint { problem.hint(hint) } else { problem })
        }
        Err(error) => Err(error.into()),
    }
}

/// Delete the uploaded bundle
#[utoipa::path(delete, path = "/v1/update/bundle", tag = "unit", security(("token" = ["administer"])),
    responses((status = 204), (status = 404)))]
async fn remove_bundle(caller: Caller<Administer>, State(app): State<Shared>) -> Result<StatusCode> {
    if !app.updates.remove().await? {
        return Err(Problem::not_found("no bundle is uploaded"));
    }
    caller.audit(&app, "update-remove", "");
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InstallRequest {
    /// An older version is meant
    #[serde(default)]
    downgrade: bool,
}

fn done(message: &str) -> (StatusCode, Answer<Done>) {
    (StatusCode::ACCEPTED, Answer(Done { message: message.to_owned() }))
}

/// Install the uploaded bundle into the other slot; the next start is from there. How far it is stands in the update
#[utoipa::path(post, path = "/v1/update/install", tag = "unit", security(("token" = ["administer"])),
    request_body = Option<InstallRequest>, responses((status = 202, body = Done)))]
async fn install_update(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Json(request): Json<InstallRequest>,
) -> Result<(StatusCode, Answer<Done>)> {
    app.updates.install(request.downgrade, &caller.who).await?;
    caller.audit(&app, "update-install", if request.downgrade { "An older version is meant." } else { "" });
    Ok(done("the installation has begun"))
}

/// Make the system in the other slot the next start's; it has to show that it works as an update has
#[utoipa::path(post, path = "/v1/update/back", tag = "unit", security(("token" = ["administer"])),
    responses((status = 202, body = Done)))]
async fn update_back(caller: Caller<Administer>, State(app): State<Shared>) -> Result<(StatusCode, Answer<Done>)> {
    app.updates.act(UpdateAct::Back, &caller.who).await?;
    caller.audit(&app, "update-back", "");
    Ok(done("the next start is from the other slot"))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateRestartRequest {
    /// Also while this unit of a pair serves
    #[serde(default)]
    force: bool,
}

/// Restart the unit into the update that is installed
#[utoipa::path(post, path = "/v1/update/restart", tag = "unit", security(("token" = ["administer"])),
    request_body = Option<UpdateRestartRequest>, responses((status = 202, body = Done)))]
async fn update_restart(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Json(request): Json<UpdateRestartRequest>,
) -> Result<(StatusCode, Answer<Done>)> {
    if comes_next(&app.updates.view().await?).is_none() {
        return Err(Problem::new(ErrorCode::Conflict, "no update waits for a restart")
            .hint("install one first; POST /api/v1/unit restarts the unit for other reasons"));
    }
    let ha = app.lbd.ha().await;
    if !request.force && serves(&ha) {
        return Err(Problem::new(ErrorCode::Conflict, "this unit of a pair serves")
            .hint("hand over first (POST /api/v1/ha/standby), or say force"));
    }
    app.updates.act(UpdateAct::Restart, &caller.who).await?;
    caller.audit(&app, "update-restart", "");
    Ok(done("the unit restarts"))
}

/// Take away the alarm that an update did not stay
#[utoipa::path(post, path = "/v1/update/acknowledge", tag = "unit", security(("token" = ["administer"])),
    responses((status = 204)))]
async fn update_acknowledge(caller: Caller<Administer>, State(app): State<Shared>) -> Result<StatusCode> {
    app.updates.act(UpdateAct::Acknowledge, &caller.who).await?;
    caller.audit(&app, "update-acknowledge", "");
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FactoryRequest {
    confirm: FactoryWord,
}

/// That it is meant.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum FactoryWord {
    Restore,
}

/// Restore the factory settings and restart: configuration, history, users, keys, pairing, graphs and logs are lost
#[utoipa::path(post, path = "/v1/factory-settings", tag = "unit", security(("token" = ["administer"])),
    request_body = FactoryRequest, responses((status = 202, body = Done)))]
async fn factory_settings(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Json(FactoryRequest { confirm: FactoryWord::Restore }): Json<FactoryRequest>,
) -> Result<(StatusCode, Answer<Done>)> {
    app.updates.act(UpdateAct::Restore, &caller.who).await?;
    caller.audit(&app, "factory-settings", "");
    Ok(done("the unit restarts, with factory settings"))
}
