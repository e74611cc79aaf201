//! Backup, restore and the support bundle.

use super::{
    caller::{Backup as MayBackup, Caller, Configure},
    extract::Json,
    people::RoleWord,
    problem::Problem,
};
use crate::{
    Shared,
    backup::{Backup, BackupError},
    restore::{self, RestoreError, Wanted},
    support,
};
use axum::{
    Json as Answer,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use lb_access::{Permission, Role};
use lb_api::{ApiError, ErrorCode};
use lb_model::Change;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

type Result<T> = std::result::Result<T, Problem>;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default().routes(routes!(make_backup)).routes(routes!(support_bundle))
}

/// Whose body holds a whole backup.
pub fn large() -> OpenApiRouter<Shared> {
    OpenApiRouter::default().routes(routes!(restore_backup))
}

impl From<RestoreError> for Problem {
    fn from(error: RestoreError) -> Self {
        let said = error.to_string();
        let field = match error {
            RestoreError::Lbd(error) => return error.into(),
            RestoreError::Access(refusal) => return refusal.into(),
            RestoreError::Internal(what) => return Problem::internal(what),
            RestoreError::NoUsers => return Problem::new(ErrorCode::StoreFailed, said),
            RestoreError::Busy => {
                return Problem::new(ErrorCode::TooManyRequests, said)
                    .header(header::RETRY_AFTER, restore::AGAIN.to_string());
            }
            RestoreError::Certificate(crate::tls::TlsError::Io(error)) => return Problem::internal(error),
            RestoreError::Certificate(_) => "/backup/secrets",
            RestoreError::Backup(error) => match error {
                BackupError::TooLarge => return Problem::new(ErrorCode::TooLarge, said),
                BackupError::Resources => return Problem::new(ErrorCode::StoreFailed, said),
                BackupError::Passphrase | BackupError::PassphraseLength => "/passphrase",
                BackupError::Configuration(_) => "/backup/configuration",
                BackupError::NoSecrets | BackupError::Cost(_) => "/backup/secrets",
                BackupError::Unreadable(_) | BackupError::TooNew(_) => "/backup",
            },
        };
        let problem = lb_model::Problem { path: field.into(), value: String::new(), reason: said, hint: None };
        let message = "the backup cannot be made or restored; nothing was changed";
        ApiError { problems: vec![problem], ..ApiError::new(ErrorCode::Malformed, message) }.into()
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BackupRequest {
    /// Encrypts users with their hashes, tokens, web settings, certificate and key into the backup, for which the
    /// role configuration is needed. Left out: the backup holds none of them.
    #[serde(default)]
    #[schema(min_length = 10, max_length = 256, format = Password, write_only)]
    passphrase: Option<String>,
}

/// Make a backup of what runs
#[utoipa::path(post, path = "/v1/backup", tag = "unit", security(("token" = ["backup"])),
    request_body = Option<BackupRequest>, responses((status = 200, body = Backup), (status = 429)))]
async fn make_backup(
    caller: Caller<MayBackup>,
    State(app): State<Shared>,
    Json(request): Json<BackupRequest>,
) -> Result<Response> {
    if request.passphrase.is_some() && !caller.who.may(Permission::Administer) {
        return Err(Problem::new(ErrorCode::Forbidden, "users and keys are for the role configuration only")
            .hint("leave the passphrase out"));
    }
    let backup = restore::make(&app, &caller.who, request.passphrase).await?;
    let text = serde_json::to_vec_pretty(&backup).map_err(Problem::internal)?;
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", backup.file_name())),
    ];
    Ok((headers, text).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RestoreRequest {
    backup: Backup,
    /// Of the backup's users, tokens and certificate
    #[serde(default)]
    #[schema(max_length = 256, format = Password, write_only)]
    passphrase: Option<String>,
    /// This unit's own host name, addresses, gateways and routes stay
    #[serde(default)]
    keep_node: bool,
    /// Users, tokens and web settings of the backup take the place of those that are there, at once
    #[serde(default)]
    users: bool,
    /// The backup's certificate is served, at once
    #[serde(default)]
    certificate: bool,
    /// Only say what it would change: true unless it is said to be false
    #[serde(default = "yes")]
    #[schema(default = true)]
    dry_run: bool,
}

fn yes() -> bool {
    true
}

/// What a restore changes.
#[derive(Serialize, ToSchema)]
struct RestoreView {
    /// The configuration is in the candidate, and what else was asked for is in effect; false: it was a dry run.
    done: bool,
    /// When the backup was made, seconds since 1970.
    made: u64,
    hostname: String,
    software: String,
    /// Against what runs.
    changes: Vec<Change>,
    /// They keep the configuration from being applied.
    problems: Vec<lb_model::Problem>,
    /// What the passphrase opened.
    secrets: Option<OpenedSecrets>,
}

#[derive(Serialize, ToSchema)]
struct OpenedSecrets {
    users: Vec<RestoredUser>,
    tokens: usize,
    /// SHA-256 of the certificate.
    certificate: String,
}

#[derive(Serialize, ToSchema)]
struct RestoredUser {
    name: String,
    #[schema(value_type = RoleWord)]
    role: Role,
}

/// Restore a backup: its configuration into the candidate, and if asked its users and certificate
#[utoipa::path(post, path = "/v1/restore", tag = "unit", security(("token" = ["configure"])),
    request_body = RestoreRequest, responses((status = 200, body = RestoreView), (status = 429)))]
async fn restore_backup(
    caller: Caller<Configure>,
    State(app): State<Shared>,
    Json(request): Json<RestoreRequest>,
) -> Result<Answer<RestoreView>> {
    let RestoreRequest { backup, passphrase, keep_node, users, certificate, dry_run } = request;
    if (users || certificate) && !caller.who.may(Permission::Administer) {
        return Err(Problem::new(ErrorCode::Forbidden, "users and keys are for the role configuration only"));
    }
    if (users || certificate) && passphrase.is_none() {
        return Err(RestoreError::Backup(BackupError::Passphrase).into());
    }
    let looked = restore::look(&app, backup, passphrase, keep_node).await?;
    let view = RestoreView {
        done: !dry_run,
        made: looked.made,
        hostname: looked.hostname.clone(),
        software: looked.software.clone(),
        changes: looked.changes.clone(),
        problems: looked.problems.clone(),
        secrets: looked.secrets.as_ref().map(|opened| OpenedSecrets {
            users: opened.users.iter().map(|(name, role)| RestoredUser { name: name.clone(), role: *role }).collect(),
            tokens: opened.tokens,
            certificate: opened.certificate.fingerprint.clone(),
        }),
    };
    if !dry_run {
        restore::restore(&app, &caller.who, looked, Wanted { keep_node, users, certificate }).await?;
    }
    Ok(Answer(view))
}

/// What support needs to see, as tar.gz: configuration without secrets, status, network, logs, versions
#[utoipa::path(get, path = "/v1/support-bundle", tag = "unit", security(("token" = ["backup"])),
    responses((status = 200, body = Vec<u8>, content_type = "application/gzip"), (status = 429)))]
async fn support_bundle(caller: Caller<MayBackup>, State(app): State<Shared>) -> Result<Response> {
    let bundle = support::bundle(&app).await.map_err(|error| match error {
        support::BundleError::Busy => Problem::new(ErrorCode::TooManyRequests, "another bundle is being made")
            .header(header::RETRY_AFTER, restore::AGAIN.to_string()),
        support::BundleError::Internal(what) => Problem::internal(what),
    })?;
    caller.audit(&app, "support-bundle", &bundle.name);
    let headers = [
        (header::CONTENT_TYPE, "application/gzip".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", bundle.name)),
    ];
    Ok((headers, bundle.bytes).into_response())
}
