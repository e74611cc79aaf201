//! Why a page was not given, and how that looks.

use crate::{App, frame::Elsewhere};
use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
};
use lb_access::Role;
use lb_api::{ApiError, ClientError, ErrorCode};

#[derive(Debug)]
pub enum Refusal {
    /// There is no session; afterwards the wanted page.
    LogIn {
        wanted: String,
    },
    ChangePassword,
    Forbidden {
        role: Role,
    },
    /// A form of an older session, or of somebody else's.
    Stale,
    /// It was sent by another site's page.
    Foreign,
    Unreadable(String),
    NotFound(String),
    /// lbd said no, or nothing.
    Lbd(ClientError),
    /// The other unit of the pair decides this.
    Elsewhere(Box<ApiError>, Elsewhere),
    Internal(String),
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        Refusal::Lbd(error)
    }
}

impl Refusal {
    /// Why an edit was not taken: on a unit that does not edit, with the way to the one that does.
    pub async fn of_edit(app: &App, error: ClientError) -> Refusal {
        match error {
            ClientError::Refused(e) if e.code == ErrorCode::Conflict => match Elsewhere::of(&*app.lbd.ha().await) {
                Some(other) => Refusal::Elsewhere(e.into(), other),
                None => Refusal::Lbd(ClientError::Refused(e)),
            },
            other => Refusal::Lbd(other),
        }
    }
}

impl From<askama::Error> for Refusal {
    fn from(error: askama::Error) -> Self {
        Refusal::Internal(format!("rendering the page: {error}"))
    }
}

/// What lbd said, as one text with its problems and hint.
pub fn words(error: &ClientError) -> String {
    error.to_string()
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct Page<'a> {
    title: &'a str,
    text: &'a str,
    hint: &'a str,
    /// Somewhere to go instead: address and words.
    instead: Option<(&'a str, &'a str)>,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::LogIn { wanted } if wanted.is_empty() || wanted == "/lbadmin/" => {
                Redirect::to("/lbadmin/login").into_response()
            }
            Refusal::LogIn { wanted } => {
                let next: String = form_encoded(&wanted);
                Redirect::to(&format!("/lbadmin/login?next={next}")).into_response()
            }
            Refusal::ChangePassword => Redirect::to("/lbadmin/password").into_response(),
            Refusal::Forbidden { role } => page(
                StatusCode::FORBIDDEN,
                "Not allowed",
                &format!("Your role ({role}) does not allow this."),
                "An administrator with the role configuration can give you another role.",
            ),
            Refusal::Stale => page(
                StatusCode::FORBIDDEN,
                "This form is out of date",
                "It was made for another session; nothing was changed.",
                "Go back, load the page again, and repeat your change.",
            ),
            Refusal::Foreign => page(
                StatusCode::FORBIDDEN,
                "Sent by another site",
                "A page of another site sent this request; nothing was changed.",
                "Use the forms of this interface, under the address that you opened it with.",
            ),
            Refusal::Unreadable(why) => {
                page(StatusCode::BAD_REQUEST, "The request cannot be read", &why, "Nothing was changed.")
            }
            Refusal::NotFound(what) => {
                page(StatusCode::NOT_FOUND, "Not found", &what, "It may have been removed or renamed.")
            }
            Refusal::Lbd(error) => {
                tracing::warn!("lbd: {error}");
                let (status, title) = match &error {
                    ClientError::Refused(e) => (
                        StatusCode::from_u16(e.code.http_status()).unwrap_or(StatusCode::BAD_GATEWAY),
                        "The load balancer refused",
                    ),
                    _ => (StatusCode::BAD_GATEWAY, "The load balancer's daemon does not answer"),
                };
                page(status, title, &words(&error), "Traffic is served as before.")
            }
            Refusal::Elsewhere(error, other) => {
                let name = if other.hostname.is_empty() { "the other unit" } else { &other.hostname };
                let web = other.web.map(|web| format!("{web}/lbadmin/"));
                show(
                    StatusCode::CONFLICT,
                    &Page {
                        title: "The other unit of the pair decides this",
                        text: &error.message,
                        hint: error.hint.as_deref().unwrap_or("Make this change on the unit that serves."),
                        instead: web.as_deref().map(|web| (web, name)),
                    },
                )
            }
            Refusal::Internal(why) => {
                tracing::error!("{why}");
                page(StatusCode::INTERNAL_SERVER_ERROR, "Something is wrong with this page", &why, "The log says more.")
            }
        }
    }
}

fn page(status: StatusCode, title: &str, text: &str, hint: &str) -> Response {
    show(status, &Page { title, text, hint, instead: None })
}

fn show(status: StatusCode, page: &Page) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

/// Percent-encoded for a query.
pub fn form_encoded(text: &str) -> String {
    serde_urlencoded::to_string([("", text)]).unwrap_or_default().trim_start_matches('=').to_owned()
}
