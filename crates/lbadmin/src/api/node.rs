//! The rest of the candidate: global settings, interfaces, DNS and host name, routing, the fallback page.

use super::{
    caller::{Caller, Configure, Look},
    edit::{edit, seen, taken},
    etag::{IfMatch, tag_of},
    extract::{Json, Path},
    problem::Problem,
};
use crate::Shared;
use axum::{
    Json as Answer,
    extract::State,
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse},
};
use lb_model::{Config, FallbackPage, Globals, Hostname, IfName, Interface, Route};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

type Result<T> = std::result::Result<T, Problem>;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(globals, put_globals))
        .routes(routes!(interfaces, add_interface))
        .routes(routes!(interface, put_interface, delete_interface))
        .routes(routes!(dns, put_dns))
        .routes(routes!(routing, put_routing))
        .routes(routes!(fallback_page, put_fallback_page))
}

/// The global settings of the candidate
#[utoipa::path(get, path = "/v1/globals", tag = "settings", security(("token" = ["look"])),
    responses((status = 200, body = Globals)))]
async fn globals(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<Globals>> {
    Ok(Answer(app.lbd.candidate().await?.config.globals.clone()))
}

/// Replace the global settings of the candidate
#[utoipa::path(put, path = "/v1/globals", tag = "settings", security(("token" = ["configure"])), params(IfMatch),
    request_body = Globals, responses((status = 200, body = Globals)))]
async fn put_globals(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    tag: IfMatch,
    Json(new): Json<Globals>,
) -> Result<impl IntoResponse> {
    let view = edit(&app, &caller, "global settings", |config| {
        seen(&tag, &config.globals)?;
        config.globals = new.clone();
        Ok(())
    })
    .await?;
    let now = view.config.globals.clone();
    Ok((tag_of(&now), Answer(now)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfInterface {
    #[param(value_type = String, min_length = 1, max_length = 15, example = "eth0")]
    name: IfName,
}

fn of_name<'c>(config: &'c Config, name: &IfName) -> Result<&'c Interface> {
    config
        .node
        .interfaces
        .iter()
        .find(|i| i.name == *name)
        .ok_or_else(|| Problem::not_found(format!("the candidate has no interface {name}")))
}

/// The network interfaces of the candidate
#[utoipa::path(get, path = "/v1/interfaces", tag = "settings", security(("token" = ["look"])),
    responses((status = 200, body = Vec<Interface>)))]
async fn interfaces(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<Vec<Interface>>> {
    Ok(Answer(app.lbd.candidate().await?.config.node.interfaces.clone()))
}

/// Take another network interface into use
#[utoipa::path(post, path = "/v1/interfaces", tag = "settings", security(("token" = ["configure"])),
    request_body = Interface,
    responses((status = 201, body = Interface, headers(("Location" = String), ("ETag" = String)))))]
async fn add_interface(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Json(new): Json<Interface>,
) -> Result<impl IntoResponse> {
    let view = edit(&app, &caller, &format!("add interface {}", new.name), |config| {
        if of_name(config, &new.name).is_ok() {
            return Err(taken(format!("interface {}", new.name)));
        }
        config.node.interfaces.push(new.clone());
        Ok(())
    })
    .await?;
    let made = of_name(&view.config, &new.name)?.clone();
    let place = AppendHeaders([(header::LOCATION, format!("/api/v1/interfaces/{}", percent(new.name.as_str())))]);
    Ok((StatusCode::CREATED, place, tag_of(&made), Answer(made)))
}

/// A network interface of the candidate
#[utoipa::path(get, path = "/v1/interfaces/{name}", tag = "settings", security(("token" = ["look"])),
    params(OfInterface), responses((status = 200, body = Interface)))]
async fn interface(
    _: Caller<Look>,
    State(app): State<Shared>,
    Path(of): Path<OfInterface>,
) -> Result<Answer<Interface>> {
    Ok(Answer(of_name(&app.lbd.candidate().await?.config, &of.name)?.clone()))
}

/// Replace the settings of a network interface
#[utoipa::path(put, path = "/v1/interfaces/{name}", tag = "settings", security(("token" = ["configure"])),
    params(OfInterface, IfMatch), request_body = Interface, responses((status = 200, body = Interface)))]
async fn put_interface(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Path(of): Path<OfInterface>,
    tag: IfMatch,
    Json(new): Json<Interface>,
) -> Result<impl IntoResponse> {
    if new.name != of.name {
        return Err(Problem::new(
            lb_api::ErrorCode::BadRequest,
            format!("the path says interface {}, the body {}: a card keeps its name", of.name, new.name),
        ));
    }
    let view = edit(&app, &caller, &format!("interface {}", of.name), |config| {
        seen(&tag, of_name(config, &of.name)?)?;
        config.node.interfaces.iter_mut().filter(|i| i.name == of.name).for_each(|i| *i = new.clone());
        Ok(())
    })
    .await?;
    let now = of_name(&view.config, &of.name)?.clone();
    Ok((tag_of(&now), Answer(now)))
}

/// Take a network interface out of use
#[utoipa::path(delete, path = "/v1/interfaces/{name}", tag = "settings", security(("token" = ["configure"])),
    params(OfInterface, IfMatch), responses((status = 204)))]
async fn delete_interface(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Path(of): Path<OfInterface>,
    tag: IfMatch,
) -> Result<StatusCode> {
    edit(&app, &caller, &format!("remove interface {}", of.name), |config| {
        seen(&tag, of_name(config, &of.name)?)?;
        config.node.interfaces.retain(|i| i.name != of.name);
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// For a path: everything but letters, digits, `-`, `.`, `_` and `~` (RFC 3986, section 2.3).
fn percent(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Host name and nameservers.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    hostname: Hostname,
    #[schema(value_type = Vec<lb_model::schema::IpAddress>, max_items = 3)]
    nameservers: Vec<IpAddr>,
}

fn dns_of(config: &Config) -> Dns {
    Dns { hostname: config.node.hostname.clone(), nameservers: config.node.nameservers.clone() }
}

/// Host name and nameservers of the candidate
#[utoipa::path(get, path = "/v1/dns", tag = "settings", security(("token" = ["look"])),
    responses((status = 200, body = Dns)))]
async fn dns(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<Dns>> {
    Ok(Answer(dns_of(&app.lbd.candidate().await?.config)))
}

/// Replace host name and nameservers of the candidate
#[utoipa::path(put, path = "/v1/dns", tag = "settings", security(("token" = ["configure"])), params(IfMatch),
    request_body = Dns, responses((status = 200, body = Dns)))]
async fn put_dns(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    tag: IfMatch,
    Json(new): Json<Dns>,
) -> Result<impl IntoResponse> {
    let view = edit(&app, &caller, "DNS and host name", |config| {
        seen(&tag, &dns_of(config))?;
        config.node.hostname = new.hostname.clone();
        config.node.nameservers = new.nameservers.clone();
        Ok(())
    })
    .await?;
    let now = dns_of(&view.config);
    Ok((tag_of(&now), Answer(now)))
}

/// Default gateways and static routes.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Routing {
    #[serde(default)]
    #[schema(value_type = Option<lb_model::schema::Ipv4Address>)]
    gateway: Option<Ipv4Addr>,
    #[serde(default)]
    #[schema(value_type = Option<lb_model::schema::Ipv6Address>)]
    gateway6: Option<Ipv6Addr>,
    routes: Vec<Route>,
}

fn routing_of(config: &Config) -> Routing {
    let node = &config.node;
    Routing { gateway: node.gateway, gateway6: node.gateway6, routes: node.routes.clone() }
}

/// Default gateways and static routes of the candidate
#[utoipa::path(get, path = "/v1/routes", tag = "settings", security(("token" = ["look"])),
    responses((status = 200, body = Routing)))]
async fn routing(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<Routing>> {
    Ok(Answer(routing_of(&app.lbd.candidate().await?.config)))
}

/// Replace default gateways and static routes of the candidate
#[utoipa::path(put, path = "/v1/routes", tag = "settings", security(("token" = ["configure"])), params(IfMatch),
    request_body = Routing, responses((status = 200, body = Routing)))]
async fn put_routing(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    tag: IfMatch,
    Json(new): Json<Routing>,
) -> Result<impl IntoResponse> {
    let view = edit(&app, &caller, "routing", |config| {
        seen(&tag, &routing_of(config))?;
        config.node.gateway = new.gateway;
        config.node.gateway6 = new.gateway6;
        config.node.routes = new.routes.clone();
        Ok(())
    })
    .await?;
    let now = routing_of(&view.config);
    Ok((tag_of(&now), Answer(now)))
}

/// What clients see of a virtual server that has no real server left.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// HTML; null: the page that is shipped.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 262_144)]
    html: Option<FallbackPage>,
}

fn page_of(config: &Config) -> Page {
    Page { html: config.fallback_page.clone() }
}

/// The fallback page of the candidate
#[utoipa::path(get, path = "/v1/fallback-page", tag = "settings", security(("token" = ["look"])),
    responses((status = 200, body = Page)))]
async fn fallback_page(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<Page>> {
    Ok(Answer(page_of(&app.lbd.candidate().await?.config)))
}

/// Replace the fallback page of the candidate
#[utoipa::path(put, path = "/v1/fallback-page", tag = "settings", security(("token" = ["configure"])),
    params(IfMatch), request_body = Page, responses((status = 200, body = Page)))]
async fn put_fallback_page(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    tag: IfMatch,
    Json(new): Json<Page>,
) -> Result<impl IntoResponse> {
    let view = edit(&app, &caller, "fallback page", |config| {
        seen(&tag, &page_of(config))?;
        config.fallback_page = new.html.clone();
        Ok(())
    })
    .await?;
    let now = page_of(&view.config);
    Ok((tag_of(&now), Answer(now)))
}
