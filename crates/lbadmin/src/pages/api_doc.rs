//! Support > API: the served document as a page, for people.

use crate::{
    Shared,
    api::openapi,
    frame::{Frame, show},
    refusal::Refusal,
    seat::Seat,
    server::host,
};
use askama::Template;
use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::Value;

pub fn routes() -> Router<Shared> {
    Router::new().route("/lbadmin/api", get(page)).route("/lbadmin/api/openapi.json", get(download))
}

struct Group {
    name: String,
    about: String,
    operations: Vec<Operation>,
}

struct Operation {
    method: String,
    path: String,
    summary: String,
    about: String,
    needs: String,
    parameters: Vec<(String, &'static str, String)>,
    /// Names of schemas.
    body: String,
    answer: String,
}

#[derive(Template)]
#[template(path = "api.html")]
struct Page {
    frame: Frame,
    host: String,
    port: u16,
    fingerprint: String,
    about: Vec<String>,
    groups: Vec<Group>,
    refusals: Vec<(String, String)>,
}

async fn page(State(app): State<Shared>, seat: Seat, headers: HeaderMap) -> Result<Response, Refusal> {
    let frame = Frame::load(&app, &seat, "api", &["Support", "API"]).await?;
    let document = openapi::document();
    show(&Page {
        host: host(&headers).unwrap_or_else(|| frame.hostname.clone()),
        port: app.https_port,
        fingerprint: app.tls.certificate().fingerprint,
        about: text(&document["info"]["description"]).split("\n\n").map(str::to_owned).collect(),
        groups: groups(document),
        refusals: refusals(document),
        frame,
    })
}

/// For people: by their session, where programs have a token.
async fn download(_: Seat) -> Response {
    Json(openapi::document()).into_response()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn groups(document: &Value) -> Vec<Group> {
    let tags = document["tags"].as_array().into_iter().flatten();
    let group = |tag: &Value| {
        let name = text(&tag["name"]).to_owned();
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for method in ["get", "post", "put", "delete"] {
                if item[method]["tags"][0] == name {
                    operations.push(operation(method, path, &item[method]));
                }
            }
        }
        Group { about: text(&tag["description"]).to_owned(), name, operations }
    };
    tags.map(group).collect()
}

fn operation(method: &str, path: &str, of: &Value) -> Operation {
    let parameters = of["parameters"].as_array().into_iter().flatten();
    let parameter = |p: &Value| {
        let required = if p["required"] == true { "needed" } else { "" };
        (text(&p["name"]).to_owned(), required, text(&p["description"]).to_owned())
    };
    let answers = of["responses"].as_object().into_iter().flatten();
    let answer = answers.filter(|(code, _)| code.starts_with('2')).map(|(code, answer)| {
        let named = content(answer);
        if named.is_empty() { code.clone() } else { format!("{code} {named}") }
    });
    Operation {
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&of["summary"]).to_owned(),
        about: text(&of["description"]).to_owned(),
        needs: text(&of["security"][0]["token"][0]).to_owned(),
        parameters: parameters.map(parameter).collect(),
        body: content(&of["requestBody"]),
        answer: answer.collect::<Vec<_>>().join(", "),
    }
}

/// The name of the schema of a body, or its media type.
fn content(of: &Value) -> String {
    let Some((kind, content)) = of["content"].as_object().and_then(|c| c.iter().next()) else { return String::new() };
    let schema = &content["schema"];
    let forms = schema["oneOf"].as_array().into_iter().flatten().chain([schema, &schema["items"]]);
    let name = forms.filter_map(|s| s["$ref"].as_str()).find_map(|r| r.rsplit('/').next());
    match (name, schema["type"] == "array") {
        (Some(name), true) => format!("list of {name}"),
        (Some(name), false) => name.to_owned(),
        (None, _) => kind.clone(),
    }
}

fn refusals(document: &Value) -> Vec<(String, String)> {
    let all = document["components"]["responses"].as_object().into_iter().flatten();
    all.map(|(status, response)| (status.clone(), text(&response["description"]).replace('`', ""))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_on_the_page() {
        let document = openapi::document();
        let documented: usize = document["paths"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(_, i)| i.as_object().map_or(0, |i| i.len()))
            .sum();
        let groups = groups(document);
        assert_eq!(groups.iter().map(|g| g.operations.len()).sum::<usize>(), documented);
        for operation in groups.iter().flat_map(|g| &g.operations) {
            assert!(!operation.needs.is_empty() && !operation.answer.is_empty(), "{}", operation.path);
        }
        let put =
            groups.iter().flat_map(|g| &g.operations).find(|o| o.path.ends_with("/candidate") && o.method == "PUT");
        assert_eq!(put.map(|o| (o.body.as_str(), o.answer.as_str())), Some(("PutCandidate", "200 CandidateView")));
    }
}
