//! What layer 7 remembers of clients, and what it counts, by lbd's own paths and types.

use super::{
    caller::{Caller, Look, SetState},
    extract::{Json, Query},
    problem::Problem,
};
use crate::Shared;
use axum::{Json as Answer, extract::State};
use lb_api::{
    ClearEntriesRequest, Done, ForgetEntryRequest, Layer7Statistics, PersistenceKind, PersistenceQuery, PersistenceView,
};
use utoipa_axum::{router::OpenApiRouter, routes};

type Result<T> = std::result::Result<T, Problem>;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(layer7_statistics))
        .routes(routes!(entries))
        .routes(routes!(forget_entry))
        .routes(routes!(clear_entries))
}

/// What layer 7 counts: answers by status, waiting, times, errors
#[utoipa::path(get, path = "/v1/layer-7/statistics", tag = "reports", security(("token" = ["look"])),
    responses((status = 200, body = Layer7Statistics)))]
async fn layer7_statistics(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<Layer7Statistics>> {
    Ok(Answer(app.lbd.client.layer7_statistics().await?))
}

/// What layer 7 remembers of clients: the entries that bind them to real servers
#[utoipa::path(get, path = "/v1/layer-7/persistence", tag = "reports", security(("token" = ["look"])),
    params(PersistenceQuery), responses((status = 200, body = PersistenceView)))]
async fn entries(
    _: Caller<Look>,
    State(app): State<Shared>,
    Query(query): Query<PersistenceQuery>,
) -> Result<Answer<PersistenceView>> {
    Ok(Answer(app.lbd.client.persistence(&query).await?))
}

/// Remove an entry of layer 7: the client's next request or connection may go to any real server
///
/// No connection is cut. In a pair the other unit keeps its copy until it expires.
#[utoipa::path(post, path = "/v1/layer-7/persistence/forget", tag = "reports", security(("token" = ["set-state"])),
    request_body = ForgetEntryRequest, responses((status = 200, body = Done), (status = 404)))]
async fn forget_entry(
    caller: Caller<SetState>,
    State(app): State<Shared>,
    Json(mut request): Json<ForgetEntryRequest>,
) -> Result<Answer<Done>> {
    request.author = caller.author();
    let done = app.lbd.client.forget_entry(&request).await?;
    // Of a session only so much that the log gives away no key to look it up by.
    let client = match request.kind {
        PersistenceKind::Source | PersistenceKind::RdpCookie => request.key.clone(),
        PersistenceKind::ApplicationCookie | PersistenceKind::SslSessionId => {
            format!("{}…", request.key.chars().take(16).collect::<String>())
        }
    };
    caller.audit(&app, "remove persistent entry", &format!("{client} in {}", request.virtual_server));
    Ok(Answer(done))
}

/// Remove all entries of a layer 7 virtual server; no connection is cut
#[utoipa::path(post, path = "/v1/layer-7/persistence/clear", tag = "reports", security(("token" = ["set-state"])),
    request_body = ClearEntriesRequest, responses((status = 200, body = Done), (status = 404)))]
async fn clear_entries(
    caller: Caller<SetState>,
    State(app): State<Shared>,
    Json(mut request): Json<ClearEntriesRequest>,
) -> Result<Answer<Done>> {
    request.author = caller.author();
    let done = app.lbd.client.clear_entries(&request).await?;
    caller.audit(&app, "remove all persistent entries", &request.virtual_server);
    Ok(Answer(done))
}
