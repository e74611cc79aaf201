//! Users, sessions, tokens, the audit log and the settings of the web interface: what lb-access decides, in JSON.
//!
//! Nothing here is staged; a change takes effect at once. One's own password and one-time codes are no business of a
//! token and stay with the log-in. A token's text is answered once, when it is made.

use super::{
    caller::{Administer, Caller, Look},
    etag::{self, IfMatch},
    extract::{Json, Path, Query},
    problem::Problem,
};
use crate::{Shared, app::now};
use axum::{
    Json as Answer,
    extract::State,
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse},
};
use lb_access::{
    Access, AuditEntry, AuditLine, HttpMode, PasswordRefusal, Permission, Refusal, Role, SessionView, TokenView,
    UserView, WebSettings,
};
use lb_api::{ApiError, ErrorCode};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

type Result<T> = std::result::Result<T, Problem>;

const USERS: &str = "/api/v1/users";

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(users, add_user))
        .routes(routes!(user, delete_user))
        .routes(routes!(put_role))
        .routes(routes!(put_password))
        .routes(routes!(unlock))
        .routes(routes!(remove_totp))
        .routes(routes!(sessions))
        .routes(routes!(end_session))
        .routes(routes!(tokens, add_token))
        .routes(routes!(revoke_token))
        .routes(routes!(audit))
        .routes(routes!(web_settings, put_web_settings))
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        let code = match &refusal {
            Refusal::Forbidden => ErrorCode::Forbidden,
            Refusal::NoUser(_) | Refusal::NoToken | Refusal::NoTotp => ErrorCode::NotFound,
            Refusal::UserExists(_)
            | Refusal::TokenExists(_)
            | Refusal::LastAdministrator(_)
            | Refusal::Yourself
            | Refusal::MustChange
            | Refusal::TooMany { .. } => ErrorCode::Conflict,
            Refusal::Locked { retry_after }
            | Refusal::Password(PasswordRefusal::Locked { retry_after } | PasswordRefusal::Busy { retry_after }) => {
                return Problem::new(ErrorCode::TooManyRequests, message)
                    .hint(refusal.hint())
                    .header(header::RETRY_AFTER, retry_after.to_string());
            }
            Refusal::Failed(_) | Refusal::Password(PasswordRefusal::Failed(_)) => ErrorCode::StoreFailed,
            _ => {
                let path =
                    Some(refusal.field()).filter(|f| !f.is_empty()).map_or_else(String::new, |f| format!("/{f}"));
                let problem =
                    lb_model::Problem { path, value: String::new(), reason: message, hint: Some(refusal.hint()) };
                let message = "the body does not fit in 1 place";
                return ApiError { problems: vec![problem], ..ApiError::new(ErrorCode::Malformed, message) }.into();
            }
        };
        Problem::new(code, message).hint(refusal.hint())
    }
}

/// Runs `work` where it may hash and write.
pub async fn blocking<T: Send + 'static>(app: &Shared, work: impl FnOnce(&Access) -> T + Send + 'static) -> Result<T> {
    let app = app.clone();
    tokio::task::spawn_blocking(move || work(&app.access)).await.map_err(Problem::internal)
}

/// What somebody, or a token, may do.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "the schema of lb_access::Role")]
pub enum RoleWord {
    /// Look at everything, change nothing.
    Report,
    /// Look, take servers offline and online, make backups.
    Maintenance,
    /// Everything.
    Configuration,
}

/// A user of the web interface. Times are seconds since 1970.
#[derive(Serialize, ToSchema)]
struct User {
    name: String,
    #[schema(value_type = RoleWord)]
    role: Role,
    must_change_password: bool,
    /// Logs in with one-time codes.
    totp: bool,
    created: u64,
    last_login: Option<u64>,
    #[schema(value_type = Option<String>)]
    last_address: Option<IpAddr>,
    /// Too many wrong passwords: log-ins wait until then.
    locked_until: Option<u64>,
    /// API tokens of this user.
    tokens: usize,
}

impl From<UserView> for User {
    fn from(view: UserView) -> Self {
        let UserView {
            name,
            role,
            must_change_password,
            totp,
            created,
            last_login,
            last_address,
            locked_until,
            tokens,
        } = view;
        User { name, role, must_change_password, totp, created, last_login, last_address, locked_until, tokens }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfUser {
    #[param(pattern = "^[a-z0-9][a-z0-9._-]{0,31}$", example = "loadbalancer")]
    name: String,
}

fn user_of(app: &Shared, name: &str) -> Result<User> {
    let user = app.access.users().into_iter().find(|user| user.name == name);
    user.map(User::from).ok_or_else(|| Refusal::NoUser(if is_name(name) { name.into() } else { "?".into() }).into())
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 32
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
}

/// The users
#[utoipa::path(get, path = "/v1/users", tag = "access", security(("token" = ["administer"])),
    responses((status = 200, body = Vec<User>)))]
async fn users(_: Caller<Administer>, State(app): State<Shared>) -> Answer<Vec<User>> {
    Answer(app.access.users().into_iter().map(User::from).collect())
}

/// A user to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUser {
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,31}$", min_length = 1, max_length = 32)]
    name: String,
    #[schema(value_type = RoleWord)]
    role: Role,
    /// Must be changed at the first log-in.
    #[schema(min_length = 10, max_length = 128, format = Password, write_only)]
    password: String,
}

/// Add a user
#[utoipa::path(post, path = "/v1/users", tag = "access", security(("token" = ["administer"])), request_body = NewUser,
    responses((status = 201, body = User, headers(("Location" = String))), (status = 429)))]
async fn add_user(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Json(new): Json<NewUser>,
) -> Result<impl IntoResponse> {
    let NewUser { name, role, password } = new;
    let (by, named) = (caller.who.clone(), name.clone());
    blocking(&app, move |access| access.add_user(&named, role, &password, &by, now())).await??;
    let place = AppendHeaders([(header::LOCATION, format!("{USERS}/{name}"))]);
    Ok((StatusCode::CREATED, place, Answer(user_of(&app, &name)?)))
}

/// A user
#[utoipa::path(get, path = "/v1/users/{name}", tag = "access", security(("token" = ["administer"])), params(OfUser),
    responses((status = 200, body = User)))]
async fn user(_: Caller<Administer>, State(app): State<Shared>, Path(of): Path<OfUser>) -> Result<Answer<User>> {
    Ok(Answer(user_of(&app, &of.name)?))
}

/// Remove a user, with sessions and tokens
#[utoipa::path(delete, path = "/v1/users/{name}", tag = "access", security(("token" = ["administer"])),
    params(OfUser), responses((status = 204)))]
async fn delete_user(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Path(of): Path<OfUser>,
) -> Result<StatusCode> {
    let by = caller.who.clone();
    blocking(&app, move |access| access.remove_user(&of.name, &by, now())).await??;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRole {
    #[schema(value_type = RoleWord)]
    role: Role,
}

/// Give a user another role
#[utoipa::path(put, path = "/v1/users/{name}/role", tag = "access", security(("token" = ["administer"])),
    params(OfUser), request_body = NewRole, responses((status = 200, body = User)))]
async fn put_role(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Path(of): Path<OfUser>,
    Json(new): Json<NewRole>,
) -> Result<Answer<User>> {
    let (by, name) = (caller.who.clone(), of.name.clone());
    blocking(&app, move |access| access.set_role(&name, new.role, &by, now())).await??;
    Ok(Answer(user_of(&app, &of.name)?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// Must be changed at the next log-in.
    #[schema(min_length = 10, max_length = 128, format = Password, write_only)]
    password: String,
}

/// Give a user another password, which must be changed at the next log-in
#[utoipa::path(put, path = "/v1/users/{name}/password", tag = "access", security(("token" = ["administer"])),
    params(OfUser), request_body = NewPassword, responses((status = 204), (status = 429)))]
async fn put_password(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Path(of): Path<OfUser>,
    Json(new): Json<NewPassword>,
) -> Result<StatusCode> {
    let by = caller.who.clone();
    blocking(&app, move |access| access.set_password(&of.name, &new.password, &by, now())).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Let a user log in again at once after too many wrong passwords
#[utoipa::path(post, path = "/v1/users/{name}/unlock", tag = "access", security(("token" = ["administer"])),
    params(OfUser), responses((status = 200, body = User)))]
async fn unlock(caller: Caller<Administer>, State(app): State<Shared>, Path(of): Path<OfUser>) -> Result<Answer<User>> {
    let (by, name) = (caller.who.clone(), of.name.clone());
    blocking(&app, move |access| access.unlock(&name, &by, now())).await??;
    Ok(Answer(user_of(&app, &of.name)?))
}

/// Let a user log in without one-time codes, who has lost the authenticator
#[utoipa::path(delete, path = "/v1/users/{name}/totp", tag = "access", security(("token" = ["administer"])),
    params(OfUser), responses((status = 204)))]
async fn remove_totp(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Path(of): Path<OfUser>,
) -> Result<StatusCode> {
    let by = caller.who.clone();
    blocking(&app, move |access| access.remove_totp(&of.name, &by, now())).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Somebody who is logged in. Times are seconds since 1970.
#[derive(Serialize, ToSchema)]
struct Session {
    id: String,
    user: String,
    #[schema(value_type = RoleWord)]
    role: Role,
    #[schema(value_type = String)]
    address: IpAddr,
    started: u64,
    last_seen: u64,
    /// Unless something is asked for before.
    expires: u64,
}

impl From<SessionView> for Session {
    fn from(SessionView { id, user, role, address, started, last_seen, expires }: SessionView) -> Self {
        Session { id, user, role, address, started, last_seen, expires }
    }
}

/// Who is logged in: everybody for administrators, oneself for others
#[utoipa::path(get, path = "/v1/sessions", tag = "access", security(("token" = ["look"])),
    responses((status = 200, body = Vec<Session>)))]
async fn sessions(caller: Caller<Look>, State(app): State<Shared>) -> Answer<Vec<Session>> {
    let seen = |s: &SessionView| s.user == caller.who.user || caller.who.may(Permission::Administer);
    Answer(app.access.sessions(now()).into_iter().filter(seen).map(Session::from).collect())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfId {
    #[param(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    id: String,
}

/// Log somebody out: anybody for administrators, oneself for others
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = "access", security(("token" = ["look"])), params(OfId),
    responses((status = 204)))]
async fn end_session(caller: Caller<Look>, State(app): State<Shared>, Path(of): Path<OfId>) -> Result<StatusCode> {
    let by = caller.who.clone();
    match blocking(&app, move |access| access.end_session(&of.id, &by, now())).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("there is no such session, or it is not yours")),
    }
}

/// An API token, without its text. Times are seconds since 1970.
#[derive(Serialize, ToSchema)]
struct Token {
    id: String,
    name: String,
    owner: String,
    /// What it may do now: never more than its owner.
    #[schema(value_type = RoleWord)]
    role: Role,
    created: u64,
    expires: Option<u64>,
    /// Since the last start of the web interface.
    last_used: Option<u64>,
    #[schema(value_type = Option<String>)]
    last_address: Option<IpAddr>,
}

impl From<TokenView> for Token {
    fn from(TokenView { id, name, owner, role, created, expires, last_used, last_address }: TokenView) -> Self {
        Token { id, name, owner, role, created, expires, last_used, last_address }
    }
}

/// The API tokens
#[utoipa::path(get, path = "/v1/tokens", tag = "access", security(("token" = ["administer"])),
    responses((status = 200, body = Vec<Token>)))]
async fn tokens(_: Caller<Administer>, State(app): State<Shared>) -> Answer<Vec<Token>> {
    Answer(app.access.tokens().into_iter().map(Token::from).collect())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// Says what the token is for: it stands in the history.
    #[schema(pattern = "^[A-Za-z0-9._-]([A-Za-z0-9 ._-]{0,30}[A-Za-z0-9._-])?$", min_length = 1, max_length = 32)]
    name: String,
    /// At most one's own.
    #[schema(value_type = RoleWord)]
    role: Role,
    /// Seconds since 1970; left out: as long as the token that asks, or until it is revoked.
    #[serde(default)]
    expires: Option<u64>,
}

/// A token with its text, which is not shown again.
#[derive(Serialize, ToSchema)]
struct MadeToken {
    id: String,
    name: String,
    /// Goes into `Authorization: Bearer …`.
    token: String,
}

/// Make an API token; its text is answered this once
#[utoipa::path(post, path = "/v1/tokens", tag = "access", security(("token" = ["administer"])),
    request_body = NewToken, responses((status = 201, body = MadeToken, headers(("Location" = String)))))]
async fn add_token(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Json(new): Json<NewToken>,
) -> Result<impl IntoResponse> {
    let NewToken { name, role, expires } = new;
    let (by, named) = (caller.who.clone(), name.clone());
    let token = blocking(&app, move |access| access.create_token(&named, role, expires, &by, now())).await??;
    let id = app.access.tokens().into_iter().find(|t| t.name == name).map_or_else(String::new, |t| t.id);
    let place = AppendHeaders([(header::LOCATION, format!("/api/v1/tokens/{id}"))]);
    Ok((StatusCode::CREATED, place, Answer(MadeToken { id, name, token })))
}

/// Revoke an API token
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "access", security(("token" = ["administer"])), params(OfId),
    responses((status = 204)))]
async fn revoke_token(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    Path(of): Path<OfId>,
) -> Result<StatusCode> {
    let by = caller.who.clone();
    blocking(&app, move |access| access.revoke_token(&of.id, &by, now())).await??;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only entries that hold every word of this
    #[param(max_length = 100)]
    q: Option<String>,
    /// Only entries before this one, as `next` says it
    before: Option<u64>,
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

/// Something that somebody did, or was not allowed to.
#[derive(Serialize, ToSchema)]
struct Entry {
    /// Grows; names the entry.
    sequence: u64,
    /// Seconds since 1970.
    time: u64,
    /// Empty: nobody was logged in.
    user: String,
    /// `0.0.0.0`: the unit itself.
    #[schema(value_type = String)]
    address: IpAddr,
    action: String,
    detail: String,
    refused: bool,
}

impl From<AuditLine> for Entry {
    fn from(AuditLine { sequence, entry }: AuditLine) -> Self {
        let AuditEntry { time, user, address, action, detail, refused } = entry;
        Entry { sequence, time, user, address, action, detail, refused }
    }
}

/// Entries of the audit log, newest first.
#[derive(Serialize, ToSchema)]
struct AuditEntries {
    entries: Vec<Entry>,
    /// `before` of the next page; null: this is the last.
    next: Option<u64>,
}

/// Who did what, from where, and what was refused
#[utoipa::path(get, path = "/v1/audit", tag = "access", security(("token" = ["look"])), params(AuditQuery),
    responses((status = 200, body = AuditEntries)))]
async fn audit(
    _: Caller<Look>,
    State(app): State<Shared>,
    Query(query): Query<AuditQuery>,
) -> Result<Answer<AuditEntries>> {
    let AuditQuery { q, before, limit } = query;
    let page = blocking(&app, move |access| access.audit(q.as_deref(), before, limit.unwrap_or(100))).await?;
    Ok(Answer(AuditEntries { entries: page.entries.into_iter().map(Entry::from).collect(), next: page.next }))
}

#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "the schema of lb_access::HttpMode")]
enum HttpWord {
    /// As on https.
    On,
    /// Browsers are sent to https, programs are refused.
    Redirect,
    /// Nothing listens.
    Off,
}

/// Settings of the web interface.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Web {
    #[schema(value_type = HttpWord)]
    http: HttpMode,
    /// A session ends after so many seconds without a request.
    #[schema(minimum = 60, maximum = 86400)]
    session_idle: u32,
    /// A session ends after so many seconds in any case.
    #[schema(minimum = 300, maximum = 604800)]
    session_absolute: u32,
    /// `/metrics` is answered without a token, too.
    #[serde(default)]
    open_metrics: bool,
}

fn web(app: &Shared) -> Web {
    let WebSettings { http, session_idle, session_absolute, open_metrics } = app.access.settings();
    Web { http, session_idle, session_absolute, open_metrics }
}

/// The settings of the web interface
#[utoipa::path(get, path = "/v1/web-settings", tag = "access", security(("token" = ["administer"])),
    responses((status = 200, body = Web)))]
async fn web_settings(_: Caller<Administer>, State(app): State<Shared>) -> Answer<Web> {
    Answer(web(&app))
}

/// Replace the settings of the web interface, at once
#[utoipa::path(put, path = "/v1/web-settings", tag = "access", security(("token" = ["administer"])), params(IfMatch),
    request_body = Web, responses((status = 200, body = Web)))]
async fn put_web_settings(
    caller: Caller<Administer>,
    State(app): State<Shared>,
    seen: IfMatch,
    Json(new): Json<Web>,
) -> Result<impl IntoResponse> {
    seen.check(&etag::of(&web(&app)))?;
    let Web { http, session_idle, session_absolute, open_metrics } = new;
    let settings = WebSettings { http, session_idle, session_absolute, open_metrics };
    let by = caller.who.clone();
    blocking(&app, move |access| access.set_settings(settings, &by, now())).await??;
    let now = web(&app);
    Ok((AppendHeaders([(header::ETAG, etag::of(&now))]), Answer(now)))
}
