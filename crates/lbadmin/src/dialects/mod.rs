//! The two cloud dialects at the door: what they say is decided by lb-dialects, who calls by [`accounts`].
//!
//! ```text
//!  request --> off? 404 --> lb_dialects::{rackspace, ovh} --Outcome--> apply past the candidate --> answer
//!                 ^ what runs, servers' state              conflict: once more on what runs now
//! ```
//! One change at a time. An administrator's candidate that was made from what ran gets the same change, so that it
//! neither swallows it nor is in conflict with it. Keys and grants are in [`store`]. Tested by `tests/it/dialects.rs`,
//! and by the clouds' own clients (`cargo xtask test dialects`).

mod accounts;
mod settings;
mod store;

use crate::{App, Shared, api::problem::LATER, app::now, seat};
use accounts::Caller;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::{any, get},
};
use lb_access::AuditEntry;
use lb_api::{
    AddCertificate, ApiError, ApplyRequest, CertificateView, ClientError, ErrorCode, PutCandidate, Running, Secret,
};
use lb_dialects::{Facts, LARGEST_BODY, Outcome, Upload, merge, ovh, rackspace};
use lb_model::Config;
pub use settings::{OvhSettings, RackspaceSettings, Settings, put};
use std::{net::IpAddr, sync::Arc};
pub use store::{ApplicationView, GrantView, Keys, NewApplication, Pending, Refused};

/// How often a change is repeated on top of somebody else's.
const ATTEMPTS: usize = 8;

/// Where the dialects are; programs are not redirected there.
pub const PLACES: [&str; 4] = ["/v1.0/", "/v2.0/", "/1.0/", "/v1/"];

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/v2.0/{*rest}", any(tokens))
        .route("/v1.0/{*rest}", any(load_balancers))
        .route("/1.0/{*rest}", any(ip_load_balancing))
        .route("/v1/{*rest}", any(ip_load_balancing))
        .route("/auth/", get(approval))
}

type Said = lb_dialects::Response;

/// As the dialects see a request, and where it came from.
struct Read {
    request: lb_dialects::Request,
    from: IpAddr,
}

async fn read(parts: Parts, body: Body) -> Result<Read, ()> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let body = to_bytes(body, LARGEST_BODY).await.map_err(|_| ())?;
    let request = lb_dialects::Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        scheme: match seat::scheme(&parts) {
            seat::Scheme::Http => "http",
            seat::Scheme::Https => "https",
        },
        host: parts.headers.get(header::HOST).map(text).unwrap_or_default(),
        body: body.to_vec(),
    };
    Ok(Read { request, from: seat::address(&parts) })
}

fn said(response: Said) -> Response {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = match response.body {
        Some(body) => (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response(),
        None => status.into_response(),
    };
    for (name, value) in response.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    answer
}

/// Which of the two is spoken, for refusals that neither decides.
#[derive(Clone, Copy)]
enum Dialect {
    Rackspace,
    Ovh,
}

impl Dialect {
    fn is_on(self, config: &Config) -> bool {
        match self {
            Dialect::Rackspace => config.dialects.rackspace.enabled,
            Dialect::Ovh => config.dialects.ovh.enabled,
        }
    }

    fn off(self) -> Said {
        match self {
            Dialect::Rackspace => rackspace::Fault::not_found("Resource not found").response(),
            Dialect::Ovh => ovh::Fault::no_such_place().response(),
        }
    }

    fn too_large(self) -> Said {
        match self {
            Dialect::Rackspace => rackspace::Fault::over_limit("The request body is too large.").response(),
            Dialect::Ovh => ovh::Fault::bad_request("The body is too large").response(),
        }
    }

    /// A certificate that clients would not take, or that is none.
    fn bad_certificate(self, error: &ApiError) -> Said {
        let reason = error.problems.first().map_or_else(
            || error.message.clone(),
            |problem| match &problem.hint {
                Some(hint) => format!("{}: {hint}", problem.reason),
                None => problem.reason.clone(),
            },
        );
        match self {
            Dialect::Rackspace => rackspace::Fault::bad_request(reason).response(),
            Dialect::Ovh => ovh::Fault::bad_request(reason).response(),
        }
    }

    /// lbd does not answer, or is busy with something that has to end first.
    fn refused(self, error: ClientError) -> Said {
        match (self, error) {
            (Dialect::Rackspace, ClientError::Refused(error)) if error.code == ErrorCode::Invalid => {
                rackspace::refused(&error.problems).response()
            }
            (Dialect::Ovh, ClientError::Refused(error)) if error.code == ErrorCode::Invalid => {
                ovh::Fault::bad_request(words(&error)).response()
            }
            (Dialect::Rackspace, ClientError::Refused(error)) if busy(&error) => {
                rackspace::Fault::unprocessable(format!("The load balancer is considered immutable: {}", words(&error)))
                    .response()
            }
            (Dialect::Ovh, ClientError::Refused(error)) if busy(&error) => {
                ovh::Fault::conflict(words(&error)).response()
            }
            (dialect, ClientError::Refused(error)) if error.code == ErrorCode::Busy => {
                tracing::warn!("a dialect's change was not checked: {error}");
                dialect.later("The unit is too busy to check the change, and nothing was changed; try again")
            }
            (dialect, error) => {
                tracing::error!("a dialect's change was not taken: {error}");
                dialect.later("The load balancer's daemon does not answer; try again")
            }
        }
    }

    /// Nothing was done, and the same request may be repeated.
    fn later(self, words: &str) -> Said {
        let fault = match self {
            Dialect::Rackspace => rackspace::Fault::new(503, words).response(),
            Dialect::Ovh => ovh::Fault::unavailable(words).response(),
        };
        fault.with("retry-after", LATER)
    }
}

fn busy(error: &ApiError) -> bool {
    matches!(error.code, ErrorCode::Conflict | ErrorCode::AwaitingConfirm)
}

fn words(error: &ApiError) -> String {
    match error.problems.first() {
        Some(problem) => format!("{} {}", problem.value, problem.reason),
        None => error.message.clone(),
    }
}

/// What runs, where the dialect is on.
async fn running(app: &App, dialect: Dialect) -> Result<Arc<Running>, Said> {
    let running = app.lbd.running().await.map_err(|error| dialect.refused(error))?;
    if dialect.is_on(&running.config) { Ok(running) } else { Err(dialect.off()) }
}

async fn begin(app: &App, dialect: Dialect, request: Request) -> Result<Read, Said> {
    running(app, dialect).await?;
    let (parts, body) = request.into_parts();
    read(parts, body).await.map_err(|()| dialect.too_large())
}

async fn tokens(State(app): State<Shared>, request: Request) -> Response {
    let dialect = Dialect::Rackspace;
    let account = match running(&app, dialect).await {
        Ok(running) => running.config.dialects.rackspace.account,
        Err(response) => return said(response),
    };
    let Read { request, from } = match begin(&app, dialect, request).await {
        Ok(read) => read,
        Err(response) => return said(response),
    };
    // Passwords are hashed.
    let work = tokio::task::spawn_blocking(move || {
        rackspace::login(&Caller { app: &app, from, now: now() }, account, &request)
    });
    said(work.await.unwrap_or_else(|_| rackspace::Fault::new(503, "The log-in stopped; try again").response()))
}

async fn load_balancers(State(app): State<Shared>, request: Request) -> Response {
    let Read { request, from } = match begin(&app, Dialect::Rackspace, request).await {
        Ok(read) => read,
        Err(response) => return said(response),
    };
    let caller = Caller { app: &app, from, now: now() };
    let person = request.header("x-auth-token").and_then(|token| lb_dialects::Accounts::token(&caller, token));
    let Some(person) = person else {
        return said(rackspace::Fault::new(401, "Unauthorized").response());
    };
    match app.keys.admit(&request.method) {
        Ok(hold) => tokio::time::sleep(hold).await,
        Err(response) => return said(response),
    }
    let looks = matches!(request.method.as_str(), "GET" | "HEAD");
    let decide = |config: &Config, facts: &Facts| rackspace::handle(config, facts, &person, &request, caller.now);
    said(act(&app, Dialect::Rackspace, looks, decide).await)
}

async fn ip_load_balancing(State(app): State<Shared>, request: Request) -> Response {
    let Read { request, from } = match begin(&app, Dialect::Ovh, request).await {
        Ok(read) => read,
        Err(response) => return said(response),
    };
    let caller = Caller { app: &app, from, now: now() };
    let looks = matches!(request.method.as_str(), "GET" | "HEAD") || request.path.contains("/auth/");
    let decide = |config: &Config, facts: &Facts| ovh::handle(config, facts, &caller, &request, caller.now);
    said(act(&app, Dialect::Ovh, looks, decide).await)
}

/// Decides on what runs, and makes it run; once more when somebody was quicker.
async fn act(app: &App, dialect: Dialect, looks: bool, decide: impl Fn(&Config, &Facts) -> Outcome) -> Said {
    let _one = if looks { None } else { Some(app.keys.one.lock().await) };
    let mut attempt = 1;
    loop {
        let running = match running(app, dialect).await {
            Ok(running) => running,
            Err(response) => return response,
        };
        // Without it nodes are as nobody knows, which is no reason not to answer.
        let facts = app.lbd.status().await.map(|status| Facts::of(&status)).unwrap_or_default();
        let mut outcome = decide(&running.config, &facts);
        if let Some(upload) = outcome.certificate.take() {
            match keep(app, upload).await {
                Ok(view) => outcome = decide(&running.config, &facts.with_certificate(view)),
                Err(ClientError::Refused(error)) if error.code == ErrorCode::Invalid => {
                    return dialect.bad_certificate(&error);
                }
                Err(error) => return dialect.refused(error),
            }
        }
        match carry_out(app, &running, outcome).await {
            Ok(response) => return response,
            Err(ClientError::Refused(error)) if error.code == ErrorCode::Conflict && attempt < ATTEMPTS => attempt += 1,
            Err(error) => return dialect.refused(error),
        }
    }
}

/// A certificate with its key on lbd's shelf. What is there already stays as it is.
async fn keep(app: &App, upload: Upload) -> Result<CertificateView, ClientError> {
    let request = AddCertificate {
        pem: Some(Secret::new(upload.chain)),
        key: Some(upload.key),
        author: upload.author,
        ..AddCertificate::default()
    };
    app.lbd.client.add_certificate(&request).await
}

async fn carry_out(app: &App, running: &Running, outcome: Outcome) -> Result<Said, ClientError> {
    let Some(change) = outcome.change else { return Ok(outcome.response) };
    match apply(app, running, change.config, change.author, change.comment).await {
        Ok(()) => Ok(outcome.response),
        Err(ClientError::Refused(error)) if error.code == ErrorCode::Invalid && change.otherwise.is_some() => {
            let Some(otherwise) = change.otherwise else { return Err(ClientError::Refused(error)) };
            if let Some(change) = otherwise.change {
                apply(app, running, change.config, change.author, change.comment).await?;
            }
            Ok(otherwise.response)
        }
        Err(error) => Err(error),
    }
}

/// Past the candidate, which gets the same change if it was made from what runs.
pub(crate) async fn apply(
    app: &App,
    running: &Running,
    config: Config,
    author: String,
    comment: String,
) -> Result<(), ClientError> {
    let number = running.revision.number;
    let candidate = app.lbd.candidate().await?;
    let request =
        ApplyRequest { config: Some(config.clone()), base: Some(number), author, comment, ..ApplyRequest::default() };
    let applied = app.lbd.apply(&request).await?;
    if candidate.etag != 0 && candidate.base == number && applied.revision.number != number {
        let config = merge::candidate(&running.config, &candidate.config, &config);
        let put = PutCandidate {
            config,
            base: Some(applied.revision.number),
            etag: Some(candidate.etag),
            author: candidate.author.clone(),
        };
        // Somebody edits at this very moment: the candidate is theirs, and an apply of it shows what came between.
        if let Err(error) = app.lbd.client.put_candidate(&put).await {
            tracing::warn!("the candidate did not get a dialect's change: {error}");
        }
    }
    Ok(())
}

/// Where a program sends a person to approve its grant: a page for whoever is logged in.
async fn approval(State(app): State<Shared>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    if let Err(response) = running(&app, Dialect::Ovh).await {
        return said(response);
    }
    let query: Vec<(String, String)> =
        serde_urlencoded::from_str(parts.uri.query().unwrap_or_default()).unwrap_or_default();
    let token = query.into_iter().find(|(name, _)| name == "credentialToken").map(|(_, value)| value);
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match token.filter(|token| !token.is_empty() && token.len() <= 64 && token.chars().all(word)) {
        Some(token) => Redirect::to(&format!("/lbadmin/dialects/approve/{token}")).into_response(),
        None => (StatusCode::BAD_REQUEST, "The address names no grant.\n").into_response(),
    }
}

/// A line in the audit log about somebody who was refused.
fn stranger(app: &App, from: IpAddr, action: &str, detail: &str) {
    app.access.record(AuditEntry::stranger(now(), from, action, detail).refused());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_that_nobody_could_check_may_be_repeated() {
        for (dialect, field, value) in
            [(Dialect::Rackspace, "code", json!(503)), (Dialect::Ovh, "class", json!("Client::ServiceUnavailable"))]
        {
            let said = dialect.refused(ClientError::Refused(ApiError::new(ErrorCode::Busy, "it took too long")));
            assert_eq!((said.status, said.headers.as_slice()), (503, &[("retry-after", LATER.to_owned())][..]));
            let body = said.body.expect("a body");
            assert_eq!(body[field], value);
        }
    }
}
