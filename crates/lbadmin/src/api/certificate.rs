//! The certificate of https.

use super::{
    caller::{Administer, Caller, Look},
    extract::Json,
    people::blocking,
    problem::Problem,
};
use crate::{
    Shared,
    app::now,
    tls::{self, LARGEST, TlsError},
};
use axum::{Json as Answer, extract::State};
use lb_api::{ApiError, ErrorCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

type Result<T> = std::result::Result<T, Problem>;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default().routes(routes!(certificate, put_certificate)).routes(routes!(self_signed))
}

/// What https shows. Times are seconds since 1970.
#[derive(Serialize, ToSchema)]
struct Certificate {
    subject: String,
    issuer: String,
    /// Host names and addresses that it is for.
    names: Vec<String>,
    not_before: u64,
    not_after: u64,
    /// SHA-256 of the certificate: `AB:CD:…`
    fingerprint: String,
    self_signed: bool,
}

impl From<tls::Certificate> for Certificate {
    fn from(c: tls::Certificate) -> Self {
        let tls::Certificate { subject, issuer, names, not_before, not_after, fingerprint, self_signed } = c;
        Certificate { subject, issuer, names, not_before, not_after, fingerprint, self_signed }
    }
}

impl From<TlsError> for Problem {
    fn from(error: TlsError) -> Self {
        let path = match &error {
            TlsError::Io(_) => return Problem::internal(&error),
            TlsError::TooLarge => return Problem::new(ErrorCode::TooLarge, error.to_string()),
            TlsError::Key(_) => "/key",
            TlsError::Certificate(_) | TlsError::Pair(_) | TlsError::NotValidNow { .. } => "/chain",
        };
        let problem =
            lb_model::Problem { path: path.into(), value: String::new(), reason: error.to_string(), hint: None };
        let message = "the certificate cannot be used; nothing was changed";
        ApiError { problems: vec![problem], ..ApiError::new(ErrorCode::Malformed, message) }.into()
    }
}

/// The certificate of https
#[utoipa::path(get, path = "/v1/certificate", tag = "unit", security(("token" = ["look"])),
    responses((status = 200, body = Certificate)))]
async fn certificate(_: Caller<Look>, State(app): State<Shared>) -> Answer<Certificate> {
    Answer(app.tls.certificate().into())
}

/// A certificate with its private key, both PEM.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCertificate {
    /// The certificate, and after it those that lead to its authority
    #[schema(max_length = 65536)]
    chain: String,
    /// Not encrypted
    #[schema(max_length = 65536, write_only)]
    key: String,
}

/// Serve another certificate, from the next connection on
#[utoipa::path(put, path = "/v1/certificate", tag = "unit", security(("token" = ["administer"])),
    request_body = NewCertificate, responses((status = 200, body = Certificate)))]
async fn put_certificate(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Json(new): Json<NewCertificate>,
) -> Result<Answer<Certificate>> {
    if new.chain.len() > LARGEST || new.key.len() > LARGEST {
        return Err(TlsError::TooLarge.into());
    }
    let work = app.clone();
    let now = blocking(&app, move |_| work.tls.replace(&new.chain, &new.key, now())).await??;
    caller.audit(&app, "certificate", &format!("replaced by one with SHA-256 {}", now.fingerprint));
    Ok(Answer(now.into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Names {
    /// Host names and addresses by which browsers and programs reach this unit
    #[schema(min_items = 1, max_items = 20)]
    names: Vec<Name>,
}

/// A host name or address.
#[derive(Deserialize, ToSchema)]
#[schema(pattern = r"^[A-Za-z0-9.:*_-]+$", min_length = 1, max_length = 253)]
struct Name(String);

/// Make a new self-signed certificate and serve it from the next connection on
#[utoipa::path(post, path = "/v1/certificate/self-signed", tag = "unit", security(("token" = ["administer"])),
    request_body = Names, responses((status = 200, body = Certificate)))]
async fn self_signed(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Json(new): Json<Names>,
) -> Result<Answer<Certificate>> {
    let names: Vec<String> = new.names.into_iter().map(|Name(name)| name).collect();
    let work = app.clone();
    let now = blocking(&app, move |_| work.tls.renew(&names, now())).await??;
    caller.audit(&app, "certificate", &format!("a self-signed one with SHA-256 {}", now.fingerprint));
    Ok(Answer(now.into()))
}
