//! lbd's own routes, by the same paths and with the same types as on its socket.
//!
//! Whoever calls is the author: what a body says of an author is replaced. An edit of the candidate names what it
//! saw, by `If-Match` or, as on the socket, by `etag` in the body; with `If-Match: *` the body's counts alone.

use super::{
    caller::{Administer, Caller, Configure, Look, SetState},
    etag::{self, IfMatch},
    extract::{Json, Path, Query},
    problem::Problem,
};
use crate::Shared;
use axum::{
    Json as Answer,
    extract::State,
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use lb_api::{
    Applied, ApplyRequest, ByRequest, CandidateView, ConfirmRequest, ConfirmView, ConnectionQuery, ConnectionsView,
    DiscardRequest, Done, ErrorCode, ForgetRequest, LogName, LogQuery, LogView, NetworkView, PlanRequest, PlanView,
    PutCandidate, ReconcileView, RevisionView, RollbackRequest, Running, ServiceView, StateRequest, Status, Summary,
    SystemView, UnitRequest,
};
use lb_model::{Change, Config, changes};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

type Result<T> = std::result::Result<T, Problem>;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(confirm))
        .routes(routes!(factory))
        .routes(routes!(history))
        .routes(routes!(revision))
        .routes(routes!(revision_changes))
        .routes(routes!(rollback))
        .routes(routes!(running))
        .routes(routes!(set_state))
        .routes(routes!(reconcile))
        .routes(routes!(summary))
        .routes(routes!(status))
        .routes(routes!(connections))
        .routes(routes!(forget))
        .routes(routes!(network))
        .routes(routes!(system))
        .routes(routes!(log))
        .routes(routes!(services))
        .routes(routes!(restart_service))
        .routes(routes!(unit))
}

/// Those whose bodies hold a whole configuration.
pub fn large() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(candidate, put_candidate, discard))
        .routes(routes!(plan))
        .routes(routes!(apply))
}

/// The running configuration with its revision
#[utoipa::path(get, path = "/v1/config/running", tag = "configuration", security(("token" = ["look"])),
    responses((status = 200, body = Running)))]
async fn running(_: Caller<Look>, State(app): State<Shared>) -> Result<Response> {
    Ok(Answer(&*app.lbd.running().await?).into_response())
}

/// The manufacturer's settings of this version
#[utoipa::path(get, path = "/v1/config/factory", tag = "configuration", security(("token" = ["look"])),
    responses((status = 200, body = Config)))]
async fn factory(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<Config>> {
    Ok(Answer(app.lbd.client.factory().await?))
}

fn tagged(view: &CandidateView) -> Response {
    (AppendHeaders([(header::ETAG, etag::of(view))]), Answer(view)).into_response()
}

/// What is being edited: the candidate, or what runs when there is none
#[utoipa::path(get, path = "/v1/config/candidate", tag = "configuration", security(("token" = ["look"])),
    responses((status = 200, body = CandidateView)))]
async fn candidate(_: Caller<Look>, State(app): State<Shared>) -> Result<Response> {
    Ok(tagged(&*app.lbd.candidate().await?))
}

/// Replace the candidate by a whole configuration
///
/// It may have problems: they are listed in the answer and keep it from being applied.
#[utoipa::path(put, path = "/v1/config/candidate", tag = "configuration", security(("token" = ["configure"])),
    params(IfMatch), request_body = PutCandidate, responses((status = 200, body = CandidateView)))]
async fn put_candidate(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    seen: IfMatch,
    Json(mut request): Json<PutCandidate>,
) -> Result<Response> {
    let view = app.lbd.candidate().await?;
    seen.check(&etag::of(&*view))?;
    // What the header has seen, lbd compares once more in the same breath as it writes.
    request.etag = if seen.fits("") { request.etag } else { Some(view.etag) };
    request.author = caller.author();
    let now = app.lbd.client.put_candidate(&request).await?;
    caller.audit(&app, "edit", &format!("the whole candidate; {} changes are pending", now.changes.len()));
    Ok(tagged(&now))
}

/// Give up all pending changes
#[utoipa::path(delete, path = "/v1/config/candidate", tag = "configuration", security(("token" = ["configure"])),
    params(IfMatch), request_body = Option<DiscardRequest>, responses((status = 200, body = CandidateView)))]
async fn discard(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    seen: IfMatch,
    Json(mut request): Json<DiscardRequest>,
) -> Result<Response> {
    let view = app.lbd.candidate().await?;
    seen.check(&etag::of(&*view))?;
    // As above: an edit of this very moment is not thrown away.
    request.etag = if seen.fits("") { request.etag } else { Some(view.etag) };
    request.author = caller.author();
    let now = app.lbd.client.discard(&request).await?;
    caller.audit(&app, "discard", &format!("{} changes", view.changes.len()));
    Ok(tagged(&now))
}

/// What an apply would do, line by line; nothing is changed
#[utoipa::path(post, path = "/v1/plan", tag = "configuration", security(("token" = ["look"])),
    request_body = Option<PlanRequest>, responses((status = 200, body = PlanView)))]
async fn plan(
    _: Caller<Look>,
    State(app): State<Shared>,
    Json(request): Json<PlanRequest>,
) -> Result<Answer<PlanView>> {
    Ok(Answer(app.lbd.client.plan(&request).await?))
}

/// Make the candidate run, or a whole configuration past it
#[utoipa::path(post, path = "/v1/apply", tag = "configuration", security(("token" = ["configure"])),
    request_body = Option<ApplyRequest>, responses((status = 200, body = Applied)))]
async fn apply(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Json(mut request): Json<ApplyRequest>,
) -> Result<Answer<Applied>> {
    request.author = caller.author();
    request.from = Some(caller.who.address);
    let applied = app.lbd.apply(&request).await?;
    caller.audit(&app, "apply", &format!("revision {}", applied.revision.number));
    Ok(Answer(applied))
}

/// Keep a revision that would undo itself
#[utoipa::path(post, path = "/v1/confirm", tag = "configuration", security(("token" = ["configure"])),
    request_body = Option<ConfirmRequest>, responses((status = 200, body = ConfirmView), (status = 404)))]
async fn confirm(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Json(mut request): Json<ConfirmRequest>,
) -> Result<Answer<ConfirmView>> {
    request.author = caller.author();
    let kept = app.lbd.client.confirm(&request).await?;
    caller.audit(&app, "keep", &format!("revision {}", kept.revision));
    Ok(Answer(kept))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// How many, newest first
    #[param(minimum = 1, maximum = 10000, default = 50)]
    limit: Option<usize>,
}

/// The revisions, newest first
#[utoipa::path(get, path = "/v1/history", tag = "configuration", security(("token" = ["look"])),
    params(HistoryQuery), responses((status = 200, body = Vec<RevisionView>)))]
async fn history(
    _: Caller<Look>,
    State(app): State<Shared>,
    Query(query): Query<HistoryQuery>,
) -> Result<Answer<Vec<RevisionView>>> {
    Ok(Answer(app.lbd.client.history(query.limit.unwrap_or(50)).await?))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfRevision {
    /// A revision; 0 is the manufacturer's settings
    number: u64,
}

/// A revision with its configuration
#[utoipa::path(get, path = "/v1/history/{number}", tag = "configuration", security(("token" = ["look"])),
    params(OfRevision), responses((status = 200, body = Running)))]
async fn revision(_: Caller<Look>, State(app): State<Shared>, Path(of): Path<OfRevision>) -> Result<Answer<Running>> {
    Ok(Answer(app.lbd.client.revision(of.number).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ChangesQuery {
    /// The revision to start from; left out: what runs
    from: Option<u64>,
}

/// What differs in a revision, in sentences: how going back to it changes what runs, or another revision
#[utoipa::path(get, path = "/v1/history/{number}/changes", tag = "configuration", security(("token" = ["look"])),
    params(OfRevision, ChangesQuery), responses((status = 200, body = Vec<Change>)))]
async fn revision_changes(
    _: Caller<Look>,
    State(app): State<Shared>,
    Path(of): Path<OfRevision>,
    Query(query): Query<ChangesQuery>,
) -> Result<Answer<Vec<Change>>> {
    let to = app.lbd.client.revision(of.number).await?;
    Ok(Answer(match query.from {
        Some(number) => changes(&app.lbd.client.revision(number).await?.config, &to.config),
        None => changes(&app.lbd.running().await?.config, &to.config),
    }))
}

/// Make an earlier revision run again, as a new one
#[utoipa::path(post, path = "/v1/rollback", tag = "configuration", security(("token" = ["configure"])),
    request_body = RollbackRequest, responses((status = 200, body = Applied), (status = 404)))]
async fn rollback(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Json(mut request): Json<RollbackRequest>,
) -> Result<Answer<Applied>> {
    request.author = caller.author();
    request.from = Some(caller.who.address);
    let applied = app.lbd.client.rollback(&request).await?;
    app.lbd.forget_status().await;
    caller.audit(&app, "roll back", &format!("to revision {}", request.revision));
    Ok(Answer(applied))
}

/// Take a real server online or offline, or drain it, at once
#[utoipa::path(post, path = "/v1/real-servers/state", tag = "state", security(("token" = ["set-state"])),
    request_body = StateRequest, responses((status = 200, body = Applied), (status = 404)))]
async fn set_state(
    caller: Caller<SetState>,
    State(app): State<Shared>,
    Json(mut request): Json<StateRequest>,
) -> Result<Answer<Applied>> {
    request.author = caller.author();
    let applied = app.lbd.set_state(&request).await?;
    let StateRequest { virtual_server, real_server, state, .. } = request;
    caller.audit(&app, "real server", &format!("{real_server} in {virtual_server}: {state}"));
    Ok(Answer(applied))
}

/// Compare the kernel with the configuration now, and repair it
#[utoipa::path(post, path = "/v1/reconcile", tag = "state", security(("token" = ["configure"])),
    responses((status = 200, body = ReconcileView)))]
async fn reconcile(caller: Caller<Configure>, State(app): State<Shared>) -> Result<Answer<ReconcileView>> {
    let view = app.lbd.client.reconcile().await?;
    caller.audit(&app, "reconcile", &format!("{} actions", view.plan.len()));
    Ok(Answer(view))
}

/// Whether anything has changed; cheap at any size
#[utoipa::path(get, path = "/v1/summary", tag = "state", security(("token" = ["look"])),
    responses((status = 200, body = Summary)))]
async fn summary(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<Summary>> {
    Ok(Answer(app.lbd.summary().await?))
}

/// The state of the unit, its virtual servers and its real servers
#[utoipa::path(get, path = "/v1/status", tag = "state", security(("token" = ["look"])),
    responses((status = 200, body = Status)))]
async fn status(_: Caller<Look>, State(app): State<Shared>) -> Result<Response> {
    Ok(Answer(&*app.lbd.status().await?).into_response())
}

/// The kernel's connections, or the templates that bind clients to servers
#[utoipa::path(get, path = "/v1/connections", tag = "reports", security(("token" = ["look"])),
    params(ConnectionQuery), responses((status = 200, body = ConnectionsView)))]
async fn connections(
    _: Caller<Look>,
    State(app): State<Shared>,
    Query(query): Query<ConnectionQuery>,
) -> Result<Answer<ConnectionsView>> {
    Ok(Answer(app.lbd.client.connections(&query).await?))
}

/// Remove a persistent entry: the client's next connection may go to any real server
///
/// While the client has connections, the entry stays: it goes within a minute after the last of them.
#[utoipa::path(post, path = "/v1/connections/forget", tag = "reports", security(("token" = ["set-state"])),
    request_body = ForgetRequest, responses((status = 200, body = Done)))]
async fn forget(
    caller: Caller<SetState>,
    State(app): State<Shared>,
    Json(mut request): Json<ForgetRequest>,
) -> Result<Answer<Done>> {
    request.author = caller.author();
    let done = app.lbd.client.forget(&request).await?;
    caller.audit(&app, "remove persistent entry", &format!("{} on {}", request.client, request.real_server));
    Ok(Answer(done))
}

/// What the kernel has: cards, addresses, routes, firewall rules
#[utoipa::path(get, path = "/v1/network", tag = "reports", security(("token" = ["look"])),
    responses((status = 200, body = NetworkView)))]
async fn network(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<NetworkView>> {
    Ok(Answer(app.lbd.client.network().await?))
}

/// Load of the unit
#[utoipa::path(get, path = "/v1/system", tag = "reports", security(("token" = ["look"])),
    responses((status = 200, body = SystemView)))]
async fn system(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<SystemView>> {
    Ok(Answer(app.lbd.client.system().await?))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfLog {
    #[param(inline)]
    name: LogName,
}

/// Lines of a log, newest first
#[utoipa::path(get, path = "/v1/logs/{name}", tag = "reports", security(("token" = ["look"])),
    params(OfLog, LogQuery), responses((status = 200, body = LogView)))]
async fn log(
    _: Caller<Look>,
    State(app): State<Shared>,
    Path(of): Path<OfLog>,
    Query(query): Query<LogQuery>,
) -> Result<Answer<LogView>> {
    Ok(Answer(app.lbd.client.log(of.name, &query).await?))
}

/// The supervised programs
#[utoipa::path(get, path = "/v1/services", tag = "unit", security(("token" = ["look"])),
    responses((status = 200, body = Vec<ServiceView>)))]
async fn services(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<Vec<ServiceView>>> {
    Ok(Answer(app.lbd.client.services().await?))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfService {
    #[param(pattern = "^[A-Za-z0-9_-]{1,63}$")]
    name: String,
}

/// Restart a supervised program
#[utoipa::path(post, path = "/v1/services/{name}/restart", tag = "unit", security(("token" = ["administer"])),
    request_body = Option<ByRequest>, params(OfService), responses((status = 202, body = Done)))]
async fn restart_service(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Path(of): Path<OfService>,
    Json(_by): Json<ByRequest>,
) -> Result<(StatusCode, Answer<Done>)> {
    // The name becomes a part of lbd's path: what is not one goes no further.
    if !of.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
        return Err(Problem::new(ErrorCode::NotFound, format!("there is no service {}", of.name)));
    }
    let done = app.lbd.client.restart_service(&of.name, &ByRequest { author: caller.author() }).await?;
    caller.audit(&app, "restart service", &of.name);
    Ok((StatusCode::ACCEPTED, Answer(done)))
}

/// Halt or restart the unit
#[utoipa::path(post, path = "/v1/unit", tag = "unit", security(("token" = ["administer"])),
    request_body = UnitRequest, responses((status = 202, body = Done)))]
async fn unit(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Json(mut request): Json<UnitRequest>,
) -> Result<(StatusCode, Answer<Done>)> {
    request.author = caller.author();
    let done = app.lbd.client.unit(&request).await?;
    caller.audit(&app, "unit", &format!("{:?}", request.action).to_lowercase());
    Ok((StatusCode::ACCEPTED, Answer(done)))
}
