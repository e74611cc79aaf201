//! Certificates of layer 7: lbd's routes by the same paths and types. A key goes in, and never comes out.

use super::{
    caller::{Caller, Configure, Look},
    extract::{Json, Path},
    problem::Problem,
};
use crate::Shared;
use axum::{Json as Answer, extract::State, http::StatusCode};
use lb_api::{
    AcmeView, AddCertificate, ByRequest, CertificateView, Done, OrderCertificate, RequestCertificate, SelfSigned,
};
use lb_model::layer7::CertificateFingerprint;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

type Result<T> = std::result::Result<T, Problem>;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(make_self_signed_certificate))
        .routes(routes!(request_certificate))
        .routes(routes!(obtained_certificates))
        .routes(routes!(order_certificate))
        .routes(routes!(remove_certificate))
}

/// Uploads.
pub fn large() -> OpenApiRouter<Shared> {
    OpenApiRouter::default().routes(routes!(certificates, add_certificate))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct Which {
    /// Of the certificate, or of the request
    #[param(value_type = String, pattern = "^[0-9a-f]{64}$")]
    fingerprint: CertificateFingerprint,
}

/// The certificates of layer 7 on this unit, and the requests that wait for theirs
#[utoipa::path(get, path = "/v1/certificates", tag = "servers", security(("token" = ["look"])),
    responses((status = 200, body = Vec<CertificateView>)))]
async fn certificates(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<Vec<CertificateView>>> {
    Ok(Answer(app.lbd.client.certificates().await?))
}

/// Upload a certificate with its key
///
/// It lies on the unit then; that a virtual server may name it, the configuration must give it a label
/// (`layer7.certificates`).
#[utoipa::path(post, path = "/v1/certificates", tag = "servers", security(("token" = ["configure"])),
    request_body = AddCertificate, responses((status = 201, body = CertificateView)))]
async fn add_certificate(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Json(mut request): Json<AddCertificate>,
) -> Result<(StatusCode, Answer<CertificateView>)> {
    request.author = caller.author();
    let view = app.lbd.client.add_certificate(&request).await?;
    caller.audit(&app, "certificate", &format!("added {} ({})", view.subject, view.fingerprint));
    Ok((StatusCode::CREATED, Answer(view)))
}

/// Make a key and a certificate signed by itself
#[utoipa::path(post, path = "/v1/certificates/self-signed", tag = "servers", security(("token" = ["configure"])),
    request_body = SelfSigned, responses((status = 201, body = CertificateView)))]
async fn make_self_signed_certificate(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Json(mut request): Json<SelfSigned>,
) -> Result<(StatusCode, Answer<CertificateView>)> {
    request.author = caller.author();
    let view = app.lbd.client.self_signed(&request).await?;
    caller.audit(&app, "certificate", &format!("made {} ({})", view.subject, view.fingerprint));
    Ok((StatusCode::CREATED, Answer(view)))
}

/// Make a key, which stays on the unit, and a request (CSR) for its certificate
#[utoipa::path(post, path = "/v1/certificates/request", tag = "servers", security(("token" = ["configure"])),
    request_body = RequestCertificate, responses((status = 201, body = CertificateView)))]
async fn request_certificate(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Json(mut request): Json<RequestCertificate>,
) -> Result<(StatusCode, Answer<CertificateView>)> {
    request.author = caller.author();
    let view = app.lbd.client.request_certificate(&request).await?;
    caller.audit(&app, "certificate", &format!("requested {} ({})", view.subject, view.fingerprint));
    Ok((StatusCode::CREATED, Answer(view)))
}

/// The certificates that the unit obtains by itself, when they are ordered next, and what went wrong
#[utoipa::path(get, path = "/v1/certificates/acme", tag = "servers", security(("token" = ["look"])),
    responses((status = 200, body = Vec<AcmeView>)))]
async fn obtained_certificates(_: Caller<Look>, State(app): State<Shared>) -> Result<Answer<Vec<AcmeView>>> {
    Ok(Answer(app.lbd.client.acme().await?))
}

/// Order a certificate now that the unit obtains by itself
#[utoipa::path(post, path = "/v1/certificates/acme/order", tag = "servers", security(("token" = ["configure"])),
    request_body = OrderCertificate, responses((status = 200, body = Done), (status = 404)))]
async fn order_certificate(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Json(mut request): Json<OrderCertificate>,
) -> Result<Answer<Done>> {
    request.author = caller.author();
    let done = app.lbd.client.order_certificate(&request).await?;
    caller.audit(&app, "certificate", &done.message);
    Ok(Answer(done))
}

/// Remove a certificate that no configuration names
#[utoipa::path(delete, path = "/v1/certificates/{fingerprint}", tag = "servers", security(("token" = ["configure"])),
    params(Which), responses((status = 200, body = Done)))]
async fn remove_certificate(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Path(Which { fingerprint }): Path<Which>,
) -> Result<Answer<Done>> {
    let done = app.lbd.client.remove_certificate(&fingerprint, &ByRequest { author: caller.author() }).await?;
    caller.audit(&app, "certificate", &done.message);
    Ok(Answer(done))
}
