//! Virtual servers and their real servers in the candidate.

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
use lb_model::{Config, Label, RealServer, VirtualServer};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

type Result<T> = std::result::Result<T, Problem>;

const PATH: &str = "/api/v1/virtual-servers";

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(virtual_servers, add_virtual_server))
        .routes(routes!(get_virtual_server, put_virtual_server, delete_virtual_server))
        .routes(routes!(real_servers, add_real_server))
        .routes(routes!(get_real_server, put_real_server, delete_real_server))
}

/// A page of virtual servers.
#[derive(Serialize, ToSchema)]
pub struct VirtualServerPage {
    /// All pages together.
    total: usize,
    items: Vec<VirtualServer>,
}

/// A page of real servers.
#[derive(Serialize, ToSchema)]
pub struct RealServerPage {
    /// All pages together.
    total: usize,
    items: Vec<RealServer>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfVirtual {
    /// Of the virtual server
    #[param(value_type = String, pattern = "^[A-Za-z0-9_.-]{1,63}$", example = "HTTP_Cluster")]
    label: Label,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfReal {
    /// Of the virtual server
    #[param(value_type = String, pattern = "^[A-Za-z0-9_.-]{1,63}$", example = "HTTP_Cluster")]
    label: Label,
    /// Of the real server
    #[param(value_type = String, pattern = "^[A-Za-z0-9_.-]{1,63}$", example = "WebServer1")]
    real_server: Label,
}

fn virtual_server<'c>(config: &'c Config, label: &Label) -> Result<&'c VirtualServer> {
    config
        .virtual_server(label.as_str())
        .ok_or_else(|| Problem::not_found(format!("the candidate has no virtual server {label}")))
}

fn virtual_server_mut<'c>(config: &'c mut Config, label: &Label) -> Result<&'c mut VirtualServer> {
    config
        .virtual_servers
        .iter_mut()
        .find(|v| v.label == *label)
        .ok_or_else(|| Problem::not_found(format!("the candidate has no virtual server {label}")))
}

fn real_server<'c>(vs: &'c VirtualServer, label: &Label) -> Result<&'c RealServer> {
    vs.real_servers
        .iter()
        .find(|r| r.label == *label)
        .ok_or_else(|| Problem::not_found(format!("virtual server {} has no real server {label}", vs.label)))
}

fn has(text: impl ToString, wanted: &str) -> bool {
    text.to_string().to_lowercase().contains(wanted)
}

/// The virtual servers of the candidate
#[utoipa::path(get, path = "/v1/virtual-servers", tag = "servers", security(("token" = ["look"])),
    params(Part), responses((status = 200, body = VirtualServerPage, headers(("Link" = String, description = "The pages around (RFC 8288)")))))]
async fn virtual_servers(
    _: Caller<Look>,
    State(app): State<Shared>,
    Query(part): Query<Part>,
) -> Result<impl IntoResponse> {
    let view = app.lbd.candidate().await?;
    let matches = |v: &VirtualServer, wanted: &str| {
        has(&v.label, wanted)
            || has(&v.service, wanted)
            || v.real_servers.iter().any(|r| has(&r.label, wanted) || has(r.address, wanted))
    };
    let (items, total, links) = part.of(PATH, view.config.virtual_servers.iter(), matches);
    Ok((AppendHeaders(links), Answer(VirtualServerPage { total, items: items.into_iter().cloned().collect() })))
}

/// Add a virtual server to the candidate
#[utoipa::path(post, path = "/v1/virtual-servers", tag = "servers", security(("token" = ["configure"])),
    request_body = VirtualServer,
    responses((status = 201, body = VirtualServer, headers(("Location" = String), ("ETag" = String)))))]
async fn add_virtual_server(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Json(new): Json<VirtualServer>,
) -> Result<impl IntoResponse> {
    let label = new.label.clone();
    let view = edit(&app, &caller, &format!("add virtual server {label}"), |config| {
        if config.virtual_server(label.as_str()).is_some() {
            return Err(taken(format!("virtual server {label}")));
        }
        config.virtual_servers.push(new.clone());
        Ok(())
    })
    .await?;
    let made = virtual_server(&view.config, &label)?.clone();
    let place = AppendHeaders([(header::LOCATION, format!("{PATH}/{label}"))]);
    Ok((StatusCode::CREATED, place, tag_of(&made), Answer(made)))
}

/// A virtual server of the candidate
#[utoipa::path(get, path = "/v1/virtual-servers/{label}", tag = "servers", security(("token" = ["look"])),
    params(OfVirtual), responses((status = 200, body = VirtualServer)))]
async fn get_virtual_server(
    _: Caller<Look>,
    State(app): State<Shared>,
    Path(of): Path<OfVirtual>,
) -> Result<Answer<VirtualServer>> {
    let view = app.lbd.candidate().await?;
    Ok(Answer(virtual_server(&view.config, &of.label)?.clone()))
}

/// Replace a virtual server of the candidate, with its real servers
///
/// Another label in the body renames it.
#[utoipa::path(put, path = "/v1/virtual-servers/{label}", tag = "servers", security(("token" = ["configure"])),
    params(OfVirtual, IfMatch), request_body = VirtualServer,
    responses((status = 200, body = VirtualServer, headers(("Content-Location" = String)))))]
async fn put_virtual_server(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Path(of): Path<OfVirtual>,
    tag: IfMatch,
    Json(new): Json<VirtualServer>,
) -> Result<impl IntoResponse> {
    let label = new.label.clone();
    let view = edit(&app, &caller, &format!("virtual server {}", of.label), |config| {
        seen(&tag, virtual_server(config, &of.label)?)?;
        if label != of.label && config.virtual_server(label.as_str()).is_some() {
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

/// Remove a virtual server, with its real servers, from the candidate
#[utoipa::path(delete, path = "/v1/virtual-servers/{label}", tag = "servers", security(("token" = ["configure"])),
    params(OfVirtual, IfMatch), responses((status = 204)))]
async fn delete_virtual_server(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Path(of): Path<OfVirtual>,
    tag: IfMatch,
) -> Result<StatusCode> {
    edit(&app, &caller, &format!("remove virtual server {}", of.label), |config| {
        seen(&tag, virtual_server(config, &of.label)?)?;
        config.virtual_servers.retain(|v| v.label != of.label);
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The real servers of a virtual server
#[utoipa::path(get, path = "/v1/virtual-servers/{label}/real-servers", tag = "servers",
    security(("token" = ["look"])), params(OfVirtual, Part),
    responses((status = 200, body = RealServerPage, headers(("Link" = String, description = "The pages around (RFC 8288)")))))]
async fn real_servers(
    _: Caller<Look>,
    State(app): State<Shared>,
    Path(of): Path<OfVirtual>,
    Query(part): Query<Part>,
) -> Result<impl IntoResponse> {
    let view = app.lbd.candidate().await?;
    let all = &virtual_server(&view.config, &of.label)?.real_servers;
    let path = format!("{PATH}/{}/real-servers", of.label);
    let matches = |r: &RealServer, wanted: &str| has(&r.label, wanted) || has(r.address, wanted);
    let (items, total, links) = part.of(&path, all.iter(), matches);
    Ok((AppendHeaders(links), Answer(RealServerPage { total, items: items.into_iter().cloned().collect() })))
}

/// Add a real server to a virtual server of the candidate
#[utoipa::path(post, path = "/v1/virtual-servers/{label}/real-servers", tag = "servers",
    security(("token" = ["configure"])), params(OfVirtual), request_body = RealServer,
    responses((status = 201, body = RealServer, headers(("Location" = String), ("ETag" = String)))))]
async fn add_real_server(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Path(of): Path<OfVirtual>,
    Json(new): Json<RealServer>,
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

/// A real server of the candidate
#[utoipa::path(get, path = "/v1/virtual-servers/{label}/real-servers/{real_server}", tag = "servers",
    security(("token" = ["look"])), params(OfReal), responses((status = 200, body = RealServer)))]
async fn get_real_server(
    _: Caller<Look>,
    State(app): State<Shared>,
    Path(of): Path<OfReal>,
) -> Result<Answer<RealServer>> {
    let view = app.lbd.candidate().await?;
    Ok(Answer(real_server(virtual_server(&view.config, &of.label)?, &of.real_server)?.clone()))
}

/// Replace a real server of the candidate
///
/// Another label in the body renames it.
#[utoipa::path(put, path = "/v1/virtual-servers/{label}/real-servers/{real_server}", tag = "servers",
    security(("token" = ["configure"])), params(OfReal, IfMatch), request_body = RealServer,
    responses((status = 200, body = RealServer, headers(("Content-Location" = String)))))]
async fn put_real_server(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Path(of): Path<OfReal>,
    tag: IfMatch,
    Json(new): Json<RealServer>,
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

/// Remove a real server from the candidate
#[utoipa::path(delete, path = "/v1/virtual-servers/{label}/real-servers/{real_server}", tag = "servers",
    security(("token" = ["configure"])), params(OfReal, IfMatch), responses((status = 204)))]
async fn delete_real_server(
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
