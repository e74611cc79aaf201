//! What a request says: its body, query and path, each checked against the served document first.
//!
//! The names are those of axum, so that the document's generator knows them.

use super::{openapi, problem::Problem, schema::Schemas};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
};
use lb_api::{ApiError, ErrorCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::{IntoParams, PartialSchema, ToSchema, openapi::path::ParameterIn};

/// A JSON body. An empty one is the object with nothing in it.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + ToSchema, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).cloned();
        let body = Bytes::from_request(request, state).await.map_err(|e| match e.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(ErrorCode::TooLarge, "the body is larger than allowed"),
            _ => Problem::new(ErrorCode::BadRequest, "the body cannot be read"),
        })?;
        if !body.is_empty() && !kind.is_some_and(|k| k.to_str().is_ok_and(is_json)) {
            return Err(Problem::new(ErrorCode::UnsupportedMediaType, "the body is not application/json")
                .hint("send Content-Type: application/json")
                .header(header::ACCEPT, "application/json"));
        }
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        let value: Value = serde_json::from_slice(text)
            .map_err(|e| Problem::new(ErrorCode::BadRequest, format!("the body is not JSON: {e}")))?;
        read(value).map(Json)
    }
}

fn is_json(kind: &str) -> bool {
    let (kind, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let charset = parameters.trim().to_ascii_lowercase();
    kind.trim().eq_ignore_ascii_case("application/json") && (charset.is_empty() || charset == "charset=utf-8")
}

/// A value that came from outside, as what it should be.
pub fn read<T: DeserializeOwned + ToSchema>(value: Value) -> Result<T, Problem> {
    let schemas = openapi::schemas();
    let inline;
    let schema = match schemas.get(T::name().as_ref()) {
        Some(schema) => schema,
        None => {
            inline = serde_json::to_value(<T as PartialSchema>::schema()).unwrap_or(Value::Bool(true));
            &inline
        }
    };
    let problems = Schemas(schemas).problems(schema, &value);
    if !problems.is_empty() {
        let n = problems.len();
        let message = format!("the body does not fit its schema in {n} place{}", if n == 1 { "" } else { "s" });
        return Err(ApiError { problems, ..ApiError::new(ErrorCode::Malformed, message) }.into());
    }
    // What no schema says: that a regular expression compiles, that a range runs forwards.
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = pointer(e.path());
        let problem = lb_model::Problem { path, value: String::new(), reason: e.inner().to_string(), hint: None };
        let message = "the body does not fit its schema in 1 place";
        ApiError { problems: vec![problem], ..ApiError::new(ErrorCode::Malformed, message) }.into()
    })
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let part = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{key}"),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    };
    path.iter().map(part).collect()
}

/// The query; parameters that the route does not have are refused.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + IntoParams, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        check_query::<T>(query)?;
        serde_urlencoded::from_str(query).map(Query).map_err(|e| bad_query(e.to_string()))
    }
}

fn bad_query(why: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::BadRequest, format!("the query cannot be read: {}", why.into()))
}

/// Each parameter against its schema, where it has one.
fn check_query<T: IntoParams>(query: &str) -> Result<(), Problem> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).map_err(|e| bad_query(e.to_string()))?;
    let known = T::into_params(|| Some(ParameterIn::Query));
    for (name, text) in &pairs {
        let Some(parameter) = known.iter().find(|p| p.name == *name) else {
            let names: Vec<&str> = known.iter().map(|p| p.name.as_str()).collect();
            return Err(
                bad_query(format!("there is no parameter {name:?}")).hint(format!("there are {}", names.join(", ")))
            );
        };
        if pairs.iter().filter(|(n, _)| n == name).count() > 1 {
            return Err(bad_query(format!("{name} stands in it twice")));
        }
        let Some(schema) = parameter.schema.as_ref().and_then(|s| serde_json::to_value(s).ok()) else { continue };
        let schemas = openapi::schemas();
        let fits = |value: Value| Schemas(schemas).problems(&schema, &value);
        // In a query everything is text; what could be a number is tried as one first.
        let as_text = fits(Value::String(text.clone()));
        let as_value = serde_json::from_str(text).map_or_else(|_| as_text.clone(), fits);
        if let (Some(_), Some(problem)) = (as_text.first(), as_value.first()) {
            return Err(bad_query(format!("{name} {}", problem.reason)));
        }
    }
    Ok(())
}

/// The variable parts of the path. What they cannot be does not exist.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Path(value)),
            Err(_) => Err(Problem::not_found(format!("there is no {}", parts.uri.path()))),
        }
    }
}
