//! Layer 7 in the candidate: its virtual servers with their real servers, and what holds for all of them.

use super::{
    caller::{Caller, Configure, Look},
    edit::{edit, seen, taken},
    etag::{IfMatch, tag_of},
    extract::{Json, Path, Query},
    page::Part,
    problem::Problem,
};
use crate::Shared;
use axum::{
    Json as Answer,
    extract::State,
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse},
};
use lb_model::{Config, Label, Layer7RealServer, Layer7VirtualServer, layer7::ProxyTimeouts};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

type Result<T> = std::result::Result<T, Problem>;

const PATH: &str = "/api/v1/layer-7/virtual-servers";

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(layer7_virtual_servers, add_layer7_virtual_server))
        .routes(routes!(get_layer7_virtual_server, put_layer7_virtual_server, delete_layer7_virtual_server))
        .routes(routes!(layer7_real_servers, add_layer7_real_server))
        .routes(routes!(get_layer7_real_server, put_layer7_real_server, delete_layer7_real_server))
        .routes(routes!(get_layer7_settings, put_layer7_settings))
}

/// A page of layer 7 virtual servers.
#[derive(Serialize, ToSchema)]
pub struct Layer7VirtualServerPage {
    /// All pages together.
    total: usize,
    items: Vec<Layer7VirtualServer>,
}

/// A page of real servers of layer 7.
#[derive(Serialize, ToSchema)]
pub struct Layer7RealServerPage {
    /// All pages together.
    total: usize,
    items: Vec<Layer7RealServer>,
}

/// What holds for all layer 7 virtual servers.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Layer7Settings {
    /// Where a virtual server says nothing of its own.
    timeouts: ProxyTimeouts,
    /// Clients' connections of all of them together; 0 = one for each 64 KB of the unit's memory.
    #[schema(minimum = 0, maximum = 500000)]
    max_connections: u32,
}

impl Layer7Settings {
    fn of(config: &Config) -> Layer7Settings {
        Layer7Settings { timeouts: config.layer7.timeouts, max_connections: config.layer7.max_connections }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfVirtual {
    /// Of the virtual server
    #[param(value_type = String, pattern = "^[A-Za-z0-9_.-]{1,63}$", example = "Shop")]
    label: Label,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfReal {
    /// Of the virtual server
    #[param(value_type = String, pattern = "^[A-Za-z0-9_.-]{1,63}$", example = "Shop")]
    label: Label,
    /// Of the real server
    #[param(value_type = String, pattern = "^[A-Za-z0-9_.-]{1,63}$", example = "WebServer1")]
    real_server: Label,
}

fn virtual_server<'c>(config: &'c Config, label: &Label) -> Result<&'c Layer7VirtualServer> {
    config
        .layer7_virtual_server(label.as_str())
        .ok_or_else(|| Problem::not_found(format!("the candidate has no layer 7 virtual server {label}")))
}

fn virtual_server_mut<'c>(config: &'c mut Config, label: &Label) -> Result<&'c mut Layer7VirtualServer> {
    config
        .layer7
        .virtual_servers
        .iter_mut()
        .find(|v| v.label == *label)
        .ok_or_else(|| Problem::not_found(format!("the candidate has no layer 7 virtual server {label}")))
}

/// Labels differ between the layers too.
fn is_taken(config: &Config, label: &Label) -> bool {
    config.layer7_virtual_server(label.as_str()).is_some() || config.virtual_server(label.as_str()).is_some()
}

fn real_server<'c>(vs: &'c Layer7VirtualServer, label: &Label) -> Result<&'c Layer7RealServer> {
    vs.real_servers
        .iter()
        .find(|r| r.label == *label)
        .ok_or_else(|| Problem::not_found(format!("virtual server {} has no real server {label}", vs.label)))
}

fn has(text: impl ToString, wanted: &str) -> bool {
    text.to_string().to_lowercase().contains(wanted)
}

/// The layer 7 virtual servers of the candidate
#[utoipa::path(get, path = "/v1/layer-7/virtual-servers", tag = "servers", security(("token" = ["look"])),
    params(Part), responses((status = 200, body = Layer7VirtualServerPage, headers(("Link" = String, description = "The pages around (RFC 8288)")))))]
async fn layer7_virtual_servers(
    _: Caller<Look>,
    State(app): State<Shared>,
    Query(part): Query<Part>,
) -> Result<impl IntoResponse> {
    let view = app.lbd.candidate().await?;
    let matches = |v: &Layer7VirtualServer, wanted: &str| {
        has(&v.label, wanted)
            || has(v.service(), wanted)
            || v.real_servers.iter().any(|r| has(&r.label, wanted) || has(r.address, wanted))
    };
    let (items, total, links) = part.of(PATH, view.config.layer7.virtual_servers.iter(), matches);
    Ok((AppendHeaders(links), Answer(Layer7VirtualServerPage { total, items: items.into_iter().cloned().collect() })))
}

/// Add a layer 7 virtual server to the candidate
#[utoipa::path(post, path = "/v1/layer-7/virtual-servers", tag = "servers", security(("token" = ["configure"])),
    request_body = Layer7VirtualServer,
    responses((status = 201, body = Layer7VirtualServer, headers(("Location" = String), ("ETag" = String)))))]
async fn add_layer7_virtual_server(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Json(new): Json<Layer7VirtualServer>,
) -> Result<impl IntoResponse> {
    let label = new.label.clone();
    let view = edit(&app, &caller, &format!("add layer 7 virtual server {label}"), |config| {
        if is_taken(config, &label) {
            return Err(taken(format!("virtual server {label}")));
        }
        config.layer7.virtual_servers.push(new.clone());
        Ok(())
    })
    .await?;
    let made = virtual_server(&view.config, &label)?.clone();
    let place = AppendHeaders([(header::LOCATION, format!("{PATH}/{label}"))]);
    Ok((StatusCode::CREATED, place, tag_of(&made), Answer(made)))
}

/// A layer 7 virtual server of the candidate
#[utoipa::path(get, path = "/v1/layer-7/virtual-servers/{label}", tag = "servers", security(("token" = ["look"])),
    params(OfVirtual), responses((status = 200, body = Layer7VirtualServer)))]
async fn get_layer7_virtual_server(
    _: Caller<Look>,
    State(app): State<Shared>,
    Path(of): Path<OfVirtual>,
) -> Result<Answer<Layer7VirtualServer>> {
    let view = app.lbd.candidate().await?;
    Ok(Answer(virtual_server(&view.config, &of.label)?.clone()))
}

/// Replace a layer 7 virtual server of the candidate, with its real servers
///
/// Another label in the body renames it.
#[utoipa::path(put, path = "/v1/layer-7/virtual-servers/{label}", tag = "servers", security(("token" = ["configure"])),
    params(OfVirtual, IfMatch), request_body = Layer7VirtualServer,
    responses((status = 200, body = Layer7VirtualServer, headers(("Content-Location" = String)))))]
async fn put_layer7_virtual_server(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Path(of): Path<OfVirtual>,
    tag: IfMatch,
    Json(new): Json<Layer7VirtualServer>,
) -> Result<impl IntoResponse> {
    let label = new.label.clone();
    let view = edit(&app, &caller, &format!("layer 7 virtual server {}", of.label), |config| {
        seen(&tag, virtual_server(config, &of.label)?)?;
        if label != of.label && is_taken(config, &label) {
            return Err(taken(format!("virtual server {label}")));
        }
        *virtual_server_mut(config, &of.label)? = new.clone();
        Ok(())
    })
    .await?;
    let now = virtual_server(&view.config, &label)?.clone();
    let place = AppendHeaders([(header::CONTENT_LOCATION, format!("{PATH}/{label}"))]);
    Ok((place, tag_of(&now), Answer(now)))
}

/// Remove a layer 7 virtual server, with its real servers, from the candidate
#[utoipa::path(delete, path = "/v1/layer-7/virtual-servers/{label}", tag = "servers", security(("token" = ["configure"])),
    params(OfVirtual, IfMatch), responses((status = 204)))]
async fn delete_layer7_virtual_server(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Path(of): Path<OfVirtual>,
    tag: IfMatch,
) -> Result<StatusCode> {
    edit(&app, &caller, &format!("remove layer 7 virtual server {}", of.label), |config| {
        seen(&tag, virtual_server(config, &of.label)?)?;
        config.layer7.virtual_servers.retain(|v| v.label != of.label);
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The real servers of a layer 7 virtual server
#[utoipa::path(get, path = "/v1/layer-7/virtual-servers/{label}/real-servers", tag = "servers",
    security(("token" = ["look"])), params(OfVirtual, Part),
    responses((status = 200, body = Layer7RealServerPage, headers(("Link" = String, description = "The pages around (RFC 8288)")))))]
async fn layer7_real_servers(
    _: Caller<Look>,
    State(app): State<Shared>,
    Path(of): Path<OfVirtual>,
    Query(part): Query<Part>,
) -> Result<impl IntoResponse> {
    let view = app.lbd.candidate().await?;
    let all = &virtual_server(&view.config, &of.label)?.real_servers;
    let path = format!("{PATH}/{}/real-servers", of.label);
    let matches = |r: &Layer7RealServer, wanted: &str| has(&r.label, wanted) || has(r.address, wanted);
    let (items, total, links) = part.of(&path, all.iter(), matches);
    Ok((AppendHeaders(links), Answer(Layer7RealServerPage { total, items: items.into_iter().cloned().collect() })))
}

/// Add a real server to a layer 7 virtual server of the candidate
#[utoipa::path(post, path = "/v1/layer-7/virtual-servers/{label}/real-servers", tag = "servers",
    security(("token" = ["configure"])), params(OfVirtual), request_body = Layer7RealServer,
    responses((status = 201, body = Layer7RealServer, headers(("Location" = String), ("ETag" = String)))))]
async fn add_layer7_real_server(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Path(of): Path<OfVirtual>,
    Json(new): Json<Layer7RealServer>,
) -> Result<impl IntoResponse> {
    let view = edit(&app, &caller, &format!("add real server {} to {}", new.label, of.label), |config| {
        let vs = virtual_server_mut(config, &of.label)?;
        if vs.real_servers.iter().any(|r| r.label == new.label) {
            return Err(taken(format!("real server {} in {}", new.label, of.label)));
        }
        vs.real_servers.push(new.clone());
        Ok(())
    })
    .await?;
    let made = real_server(virtual_server(&view.config, &of.label)?, &new.label)?.clone();
    let place = AppendHeaders([(header::LOCATION, format!("{PATH}/{}/real-servers/{}", of.label, new.label))]);
    Ok((StatusCode::CREATED, place, tag_of(&made), Answer(made)))
}

/// A real server of a layer 7 virtual server of the candidate
#[utoipa::path(get, path = "/v1/layer-7/virtual-servers/{label}/real-servers/{real_server}", tag = "servers",
    security(("token" = ["look"])), params(OfReal), responses((status = 200, body = Layer7RealServer)))]
async fn get_layer7_real_server(
    _: Caller<Look>,
    State(app): State<Shared>,
    Path(of): Path<OfReal>,
) -> Result<Answer<Layer7RealServer>> {
    let view = app.lbd.candidate().await?;
    Ok(Answer(real_server(virtual_server(&view.config, &of.label)?, &of.real_server)?.clone()))
}

/// Replace a real server of a layer 7 virtual server of the candidate
///
/// Another label in the body renames it.
#[utoipa::path(put, path = "/v1/layer-7/virtual-servers/{label}/real-servers/{real_server}", tag = "servers",
    security(("token" = ["configure"])), params(OfReal, IfMatch), request_body = Layer7RealServer,
    responses((status = 200, body = Layer7RealServer, headers(("Content-Location" = String)))))]
async fn put_layer7_real_server(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Path(of): Path<OfReal>,
    tag: IfMatch,
    Json(new): Json<Layer7RealServer>,
) -> Result<impl IntoResponse> {
    let view = edit(&app, &caller, &format!("real server {} in {}", of.real_server, of.label), |config| {
        let vs = virtual_server_mut(config, &of.label)?;
        seen(&tag, real_server(vs, &of.real_server)?)?;
        if new.label != of.real_server && vs.real_servers.iter().any(|r| r.label == new.label) {
            return Err(taken(format!("real server {} in {}", new.label, of.label)));
        }
        vs.real_servers.iter_mut().filter(|r| r.label == of.real_server).for_each(|r| *r = new.clone());
        Ok(())
    })
    .await?;
    let now = real_server(virtual_server(&view.config, &of.label)?, &new.label)?.clone();
    let place = AppendHeaders([(header::CONTENT_LOCATION, format!("{PATH}/{}/real-servers/{}", of.label, new.label))]);
    Ok((place, tag_of(&now), Answer(now)))
}

/// Remove a real server from a layer 7 virtual server of the candidate
#[utoipa::path(delete, path = "/v1/layer-7/virtual-servers/{label}/real-servers/{real_server}", tag = "servers",
    security(("token" = ["configure"])), params(OfReal, IfMatch), responses((status = 204)))]
async fn delete_layer7_real_server(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Path(of): Path<OfReal>,
    tag: IfMatch,
) -> Result<StatusCode> {
    edit(&app, &caller, &format!("remove real server {} from {}", of.real_server, of.label), |config| {
        let vs = virtual_server_mut(config, &of.label)?;
        seen(&tag, real_server(vs, &of.real_server)?)?;
        vs.real_servers.retain(|r| r.label != of.real_server);
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What holds for all layer 7 virtual servers of the candidate
#[utoipa::path(get, path = "/v1/layer-7/settings", tag = "settings", security(("token" = ["look"])),
    responses((status = 200, body = Layer7Settings)))]
async fn get_layer7_settings(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<Layer7Settings>> {
    Ok(Answer(Layer7Settings::of(&app.lbd.candidate().await?.config)))
}

/// Replace what holds for all layer 7 virtual servers of the candidate
#[utoipa::path(put, path = "/v1/layer-7/settings", tag = "settings", security(("token" = ["configure"])),
    params(IfMatch), request_body = Layer7Settings, responses((status = 200, body = Layer7Settings)))]
async fn put_layer7_settings(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    tag: IfMatch,
    Json(new): Json<Layer7Settings>,
) -> Result<impl IntoResponse> {
    let view = edit(&app, &caller, "settings of layer 7", |config| {
        seen(&tag, &Layer7Settings::of(config))?;
        let Layer7Settings { timeouts, max_connections } = new.clone();
        (config.layer7.timeouts, config.layer7.max_connections) = (timeouts, max_connections);
        Ok(())
    })
    .await?;
    let now = Layer7Settings::of(&view.config);
    Ok((tag_of(&now), Answer(now)))
}
