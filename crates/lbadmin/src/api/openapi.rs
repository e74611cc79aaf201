//! The API's own description: OpenAPI 3.1, made from the routes, served at `/api/v1/openapi.json`.
//!
//! What holds for many routes is written here once, by rule: which refusals a route can answer follows from its
//! method, parameters and body; entity tags from being a GET with a JSON answer. Bodies and queries are checked
//! against this document ([`super::extract`]).

use super::{
    caller::{Caller, Look},
    problem::Problem,
};
use crate::Shared;
use axum::{
    body::Bytes,
    http::{HeaderValue, header},
    response::IntoResponse,
};
use lb_api::{ErrorCode, ProblemDetails};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use utoipa::{PartialSchema, ToSchema, openapi::OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};

const ABOUT: &str = "\
The native API of the load balancer: everything the web interface does. Requests carry a bearer token, which is made \
under Edit Configuration > API Tokens and has a role; what a route needs stands with it as the scope of its security \
requirement (look, set-state, backup, configure, administer).

Edits go into the candidate, which runs after POST /api/v1/apply. A change of something that exists names the ETag \
that it saw in If-Match, so that nobody overwrites what they have not seen. Whoever calls is the author: the author \
in a body is replaced.

Every refusal is problem details (RFC 9457). With the code `invalid` each problem's path points into the \
configuration, with `malformed` into the body that was sent.";

const TAGS: [(&str, &str); 10] = [
    ("configuration", "The running configuration, the candidate, apply, history"),
    ("servers", "Virtual servers and real servers of the candidate"),
    ("settings", "Global settings, interfaces, DNS and routing of the candidate"),
    ("state", "How it goes, and what is done at once"),
    ("pair", "High availability: who serves, and making a pair"),
    ("reports", "Connections, network, load, logs, graphs"),
    ("access", "Users, sessions, tokens, audit log"),
    ("dialects", "The cloud dialects: on or off, applications, grants"),
    ("unit", "The unit itself: services, certificate, backup, software update, factory settings, support"),
    ("description", "The API itself"),
];

struct Document {
    value: Value,
    text: Bytes,
}

static DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
    let value = finish(super::described().merge(super::outside()).to_openapi());
    let text = serde_json::to_vec(&value).unwrap_or_default().into();
    Document { value, text }
});

pub fn document() -> &'static Value {
    &DOCUMENT.value
}

/// The document's schemas by name.
pub fn schemas() -> &'static Map<String, Value> {
    static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    document().pointer("/components/schemas").and_then(Value::as_object).unwrap_or(&NONE)
}

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default().routes(routes!(openapi))
}

/// This document
#[utoipa::path(get, path = "/v1/openapi.json", tag = "description", security(("token" = ["look"])),
    responses((status = 200, body = Object)))]
async fn openapi(_: Caller<Look>) -> Result<impl IntoResponse, Problem> {
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], DOCUMENT.text.clone()))
}

fn finish(described: OpenApi) -> Value {
    let mut document = serde_json::to_value(described).unwrap_or_default();
    document["info"] = json!({
        "title": "Steelyard", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT,
        "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
    });
    document["servers"] = json!([{"url": "/", "description": "This unit"}]);
    document["tags"] = TAGS.iter().map(|(name, about)| json!({"name": name, "description": about})).collect();
    let mut paths = Map::new();
    for (path, mut item) in document["paths"].as_object().cloned().unwrap_or_default() {
        let prefix = if path.starts_with("/v1/") { "/api" } else { "" };
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            complete(method, operation);
        }
        paths.insert(format!("{prefix}{path}"), item);
    }
    document["paths"] = paths.into();
    document["components"]["securitySchemes"] = json!({"token": {
        "type": "http", "scheme": "bearer", "description": "A token made under Edit Configuration > API Tokens",
    }});
    document["components"]["responses"] = refusals();
    document["components"]["schemas"][ProblemDetails::name().as_ref()] =
        serde_json::to_value(ProblemDetails::schema()).unwrap_or_default();
    for (name, schema) in parts() {
        document["components"]["schemas"].as_object_mut().map(|all| all.entry(name).or_insert(schema));
    }
    plain_words(&mut document);
    document
}

/// What the problem details are made of.
fn parts() -> Vec<(String, Value)> {
    let mut parts = Vec::new();
    ProblemDetails::schemas(&mut parts);
    parts.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default())).collect()
}

/// Adds what follows from the shape of an operation.
fn complete(method: &str, operation: &mut Value) {
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let is_in = |place: &str| parameters.iter().any(|p| p["in"] == place);
    let conditional = parameters.iter().any(|p| p["name"] == "If-Match");
    let mut codes = vec![401, 403, 406, 408, 500, 503];
    if is_in("path") {
        codes.push(404);
    }
    if is_in("query") {
        codes.push(400);
    }
    if let Some(body) = operation.get_mut("requestBody") {
        codes.extend([400, 413, 415, 422]);
        optional(body);
    }
    if conditional {
        codes.extend([412, 428]);
    }
    if method != "get" {
        // Somebody else's change, a revision on trial, a problem that the change brings.
        codes.extend([409, 422]);
    }
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for code in codes {
        let reference = json!({"$ref": format!("#/components/responses/{code}")});
        responses.entry(code.to_string()).or_insert(reference);
    }
    for (code, response) in responses.iter_mut() {
        // A refusal that a handler says of itself has the same form as all others.
        if code.starts_with(['4', '5']) && response["content"].is_null() {
            *response = json!({"$ref": format!("#/components/responses/{code}")});
        }
        if code.starts_with('2') && response["description"].as_str().is_none_or(str::is_empty) {
            response["description"] = match code.as_str() {
                "201" => "Made".into(),
                "202" => "Under way".into(),
                "204" => "Done".into(),
                _ => "Done, or what was asked for".into(),
            };
        }
    }
    let json = responses.get("200").is_some_and(|r| !r["content"]["application/json"].is_null());
    if json && (method == "get" || conditional) {
        responses["200"]["headers"]["ETag"] = json!({
            "description": "Names this state: for If-Match, and for If-None-Match", "schema": {"type": "string"},
        });
    }
    if json && method == "get" {
        responses.insert("304".into(), json!({"description": "It is as If-None-Match says"}));
    }
}

/// A body that may be left out is an object where it is there, and never `null`.
fn optional(body: &mut Value) {
    let null = |choice: &Value| choice["type"] == "null";
    let Some(schema) = body.pointer_mut("/content/application~1json/schema") else { return };
    let choices = schema.get_mut("oneOf").and_then(Value::as_array_mut);
    let Some(choices) = choices.filter(|all| all.iter().any(null)) else { return };
    choices.retain(|choice| !null(choice));
    if let [only] = choices.as_slice() {
        *schema = only.clone();
    }
    body["required"] = false.into();
}

/// The refusals by status, each with the codes that it comes with.
fn refusals() -> Value {
    let mut all = Map::new();
    for code in ErrorCode::ALL {
        let status = code.http_status().to_string();
        let words = format!("`{}`: {}", code.as_str(), code.title());
        match all.get_mut(&status).and_then(|r: &mut Value| r["description"].as_str().map(str::to_owned)) {
            Some(before) => all[&status]["description"] = format!("{before}; {words}").into(),
            None => {
                let schema = json!({"$ref": "#/components/schemas/ProblemDetails"});
                let content = json!({ProblemDetails::CONTENT_TYPE: {"schema": schema}});
                all.insert(status, json!({"description": words, "content": content}));
            }
        }
    }
    let header = |about: &str| json!({"description": about, "schema": {"type": "string"}});
    all["401"]["headers"] = json!({"WWW-Authenticate": header("Bearer (RFC 6750)")});
    all["405"]["headers"] = json!({"Allow": header("The methods that the route takes")});
    all["429"]["headers"] = json!({"Retry-After": header("Seconds")});
    all.into()
}

/// Descriptions come from doc comments; their links mean nothing outside of the code.
fn plain_words(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match field {
                    Value::String(text) if name == "description" && text.contains("[`") => *text = without_links(text),
                    other => plain_words(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(plain_words),
        _ => {}
    }
}

/// ``[`crate::Summary`]`` becomes ``Summary``.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        plain.push_str(before);
        let Some((name, after)) = link.split_once("`]") else { break };
        plain.push_str(name.strip_prefix("crate::").unwrap_or(name));
        rest = after;
    }
    plain + rest
}
