//! Certificates. What is uploaded is opened on a thread that may take its time: passphrases are slow on purpose.

use super::{Engine, answer, ask};
use crate::engine::{Command, refused};
use axum::{
    body::Bytes,
    extract::{Path, State},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use lb_api::{AddCertificate, ApiError, ByRequest, ErrorCode};
use lb_certs::{Found, Refusal, Upload};
use zeroize::Zeroizing;

pub async fn add(State(events): Engine, body: Bytes) -> Response {
    let request: AddCertificate = match answer::body(&body) {
        Ok(request) => request,
        Err(error) => return answer::refusal(&error),
    };
    let (authority, author) = (request.authority, request.author.clone());
    match tokio::task::spawn_blocking(move || open(&request)).await {
        Ok(Ok(found)) => {
            ask(State(events), Command::AddCertificate { found: Box::new(found), authority, author }).await
        }
        Ok(Err(refusal)) => answer::refusal(&refused(&refusal)),
        Err(_) => answer::refusal(&ApiError::new(ErrorCode::Internal, "reading it failed in lbd itself")),
    }
}

fn open(request: &AddCertificate) -> Result<Found, Refusal> {
    let refuse = |reason: &str, hint: &str| Refusal { field: "file", reason: reason.into(), hint: hint.into() };
    let key = request.key.as_ref().map(|key| key.expose().as_bytes());
    let passphrase = request.passphrase.as_ref().map(|passphrase| passphrase.expose());
    match (&request.pem, &request.pfx) {
        (Some(pem), None) => lb_certs::read(Upload { file: pem.expose().as_bytes(), key, passphrase }),
        (None, Some(pfx)) => {
            let text = Zeroizing::new(pfx.expose().replace(['\n', '\r', ' '], ""));
            let bytes = STANDARD.decode(text.as_bytes());
            let bytes = Zeroizing::new(bytes.map_err(|_| refuse("pfx is not base64", "encode the file with base64"))?);
            lb_certs::read(Upload { file: &bytes, key, passphrase })
        }
        _ => Err(refuse("there is not exactly one of pem and pfx", "send the certificate's file as one of both")),
    }
}

pub async fn remove(engine: Engine, Path(fingerprint): Path<String>, body: Bytes) -> Response {
    let by: ByRequest = match answer::body(&body) {
        Ok(by) => by,
        Err(error) => return answer::refusal(&error),
    };
    match fingerprint.parse() {
        Ok(fingerprint) => ask(engine, Command::RemoveCertificate { fingerprint, author: by.author }).await,
        Err(why) => answer::refusal(&ApiError::new(ErrorCode::BadRequest, format!("{why}"))),
    }
}
