//! The pair: lbd's routes by the same paths and types, and the parts of the candidate that make one.

use super::{
    caller::{Administer, Caller, Configure, Look},
    edit::{edit, seen},
    etag::{IfMatch, tag_of},
    extract::Json,
    problem::Problem,
};
use crate::Shared;
use axum::{Json as Answer, extract::State, response::IntoResponse};
use lb_api::{
    ByRequest, Done, HaView, MaintenanceRequest, PairingRequest, PairingStep, PairingView, ResolveRequest,
    TakeoverRequest,
};
use lb_model::{Config, Heartbeat, NodeId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

type Result<T> = std::result::Result<T, Problem>;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(ha))
        .routes(routes!(takeover))
        .routes(routes!(standby))
        .routes(routes!(maintenance))
        .routes(routes!(pairing, pair))
        .routes(routes!(unpair))
        .routes(routes!(resolve))
        .routes(routes!(heartbeat, put_heartbeat))
        .routes(routes!(floating_ips, put_floating_ips))
}

/// The pair as this unit knows it: roles, heartbeat paths, floating IPs, the other unit, alarms
#[utoipa::path(get, path = "/v1/ha", tag = "pair", security(("token" = ["look"])),
    responses((status = 200, body = HaView)))]
async fn ha(_: Caller<Look>, State(app): State<Shared>) -> Answer<HaView> {
    Answer((*app.lbd.ha().await).clone())
}

/// Move the floating IPs to this unit
#[utoipa::path(post, path = "/v1/ha/takeover", tag = "pair", security(("token" = ["administer"])),
    request_body = TakeoverRequest, responses((status = 200, body = Done)))]
async fn takeover(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Json(mut request): Json<TakeoverRequest>,
) -> Result<Answer<Done>> {
    request.author = caller.author();
    let done = app.lbd.client.takeover(&request).await;
    app.lbd.forget_status().await;
    let done = done?;
    caller.audit(&app, "take over", if request.force { "by force" } else { "" });
    Ok(Answer(done))
}

/// Move the floating IPs to the other unit
#[utoipa::path(post, path = "/v1/ha/standby", tag = "pair", security(("token" = ["administer"])),
    request_body = Option<ByRequest>, responses((status = 200, body = Done)))]
async fn standby(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Json(_by): Json<ByRequest>,
) -> Result<Answer<Done>> {
    let done = app.lbd.client.standby(&ByRequest { author: caller.author() }).await;
    app.lbd.forget_status().await;
    let done = done?;
    caller.audit(&app, "stand by", "");
    Ok(Answer(done))
}

/// Switch maintenance on, in which this unit does not take over, or off
#[utoipa::path(post, path = "/v1/ha/maintenance", tag = "pair", security(("token" = ["administer"])),
    request_body = MaintenanceRequest, responses((status = 200, body = Done)))]
async fn maintenance(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Json(mut request): Json<MaintenanceRequest>,
) -> Result<Answer<Done>> {
    request.author = caller.author();
    let done = app.lbd.client.maintenance(&request).await;
    app.lbd.forget_status().await;
    let done = done?;
    caller.audit(&app, "maintenance", if request.on { "on" } else { "off" });
    Ok(Answer(done))
}

/// How far the pairing is
#[utoipa::path(get, path = "/v1/ha/pairing", tag = "pair", security(("token" = ["administer"])),
    responses((status = 200, body = PairingView)))]
async fn pairing(_: Caller<Administer>, State(app): State<Shared>) -> Result<Answer<PairingView>> {
    Ok(Answer(app.lbd.pairing().await?))
}

/// Wait to be paired, pair with a unit that waits, or give up
#[utoipa::path(post, path = "/v1/ha/pairing", tag = "pair", security(("token" = ["administer"])),
    request_body = PairingRequest, responses((status = 200, body = PairingView)))]
async fn pair(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Json(mut request): Json<PairingRequest>,
) -> Result<Answer<PairingView>> {
    request.author = caller.author();
    let view = app.lbd.client.pair(&request).await?;
    // Never the code.
    let what = match &request.step {
        PairingStep::Wait {} => "wait".to_owned(),
        PairingStep::CallSerial {} => "call over the null-modem cable".to_owned(),
        PairingStep::CallNetwork { address, .. } => format!("call {address}"),
        PairingStep::Cancel {} => "give up".to_owned(),
    };
    caller.audit(&app, "pair the unit", &what);
    Ok(Answer(view))
}

/// Forget the other unit and the shared keys
#[utoipa::path(post, path = "/v1/ha/unpair", tag = "pair", security(("token" = ["administer"])),
    request_body = Option<ByRequest>, responses((status = 200, body = Done)))]
async fn unpair(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Json(_by): Json<ByRequest>,
) -> Result<Answer<Done>> {
    let done = app.lbd.client.unpair(&ByRequest { author: caller.author() }).await?;
    app.lbd.forget_status().await;
    caller.audit(&app, "unpair the unit", "");
    Ok(Answer(done))
}

/// Choose between two configurations that were changed without each other
#[utoipa::path(post, path = "/v1/ha/resolve", tag = "pair", security(("token" = ["configure"])),
    request_body = ResolveRequest, responses((status = 200, body = Done)))]
async fn resolve(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Json(mut request): Json<ResolveRequest>,
) -> Result<Answer<Done>> {
    request.author = caller.author();
    let done = app.lbd.client.resolve(&request).await?;
    app.lbd.forget_status().await;
    caller.audit(&app, "choose a configuration", &format!("{:?}", request.keep).to_lowercase());
    Ok(Answer(done))
}

/// What makes this unit one of a pair.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PairSettings {
    /// Which of the two this unit is; null: a single unit.
    #[serde(default)]
    unit: Option<NodeId>,
    /// Null: there is no heartbeat.
    #[serde(default)]
    heartbeat: Option<Heartbeat>,
}

fn pair_of(config: &Config) -> PairSettings {
    PairSettings { unit: config.node.unit, heartbeat: config.heartbeat.clone() }
}

/// The heartbeat of the candidate, and which of the two units this is
#[utoipa::path(get, path = "/v1/heartbeat", tag = "settings", security(("token" = ["look"])),
    responses((status = 200, body = PairSettings)))]
async fn heartbeat(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<PairSettings>> {
    Ok(Answer(pair_of(&app.lbd.candidate().await?.config)))
}

/// Replace the heartbeat of the candidate
#[utoipa::path(put, path = "/v1/heartbeat", tag = "settings", security(("token" = ["configure"])), params(IfMatch),
    request_body = PairSettings, responses((status = 200, body = PairSettings)))]
async fn put_heartbeat(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    tag: IfMatch,
    Json(new): Json<PairSettings>,
) -> Result<impl IntoResponse> {
    let view = edit(&app, &caller, "heartbeat", |config| {
        seen(&tag, &pair_of(config))?;
        config.node.unit = new.unit;
        config.heartbeat = new.heartbeat.clone();
        Ok(())
    })
    .await?;
    let now = pair_of(&view.config);
    Ok((tag_of(&now), Answer(now)))
}

/// Addresses that move with the virtual servers.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FloatingIps {
    /// Beside the VIPs, which are floating IPs by themselves.
    #[schema(value_type = Vec<lb_model::schema::IpAddress>, max_items = 256)]
    floating_ips: Vec<IpAddr>,
}

fn floating_of(config: &Config) -> FloatingIps {
    FloatingIps { floating_ips: config.floating_ips.clone() }
}

/// The floating IPs of the candidate beside the VIPs
#[utoipa::path(get, path = "/v1/floating-ips", tag = "settings", security(("token" = ["look"])),
    responses((status = 200, body = FloatingIps)))]
async fn floating_ips(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<FloatingIps>> {
    Ok(Answer(floating_of(&app.lbd.candidate().await?.config)))
}

/// Replace the floating IPs of the candidate
#[utoipa::path(put, path = "/v1/floating-ips", tag = "settings", security(("token" = ["configure"])), params(IfMatch),
    request_body = FloatingIps, responses((status = 200, body = FloatingIps)))]
async fn put_floating_ips(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    tag: IfMatch,
    Json(new): Json<FloatingIps>,
) -> Result<impl IntoResponse> {
    let view = edit(&app, &caller, "floating IPs", |config| {
        seen(&tag, &floating_of(config))?;
        config.floating_ips = new.floating_ips.clone();
        Ok(())
    })
    .await?;
    let now = floating_of(&view.config);
    Ok((tag_of(&now), Answer(now)))
}
