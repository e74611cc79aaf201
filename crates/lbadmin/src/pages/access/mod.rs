//! Who may use this interface, and how: users and roles, API tokens, sessions, passwords and one-time codes, the audit
//! log, the settings of the interface itself.
//!
//! Nothing here is staged: users are no part of the configuration, and a change takes effect at once. Decisions are
//! lb-access's; these pages ask it, on threads that may block, and put its refusals at the fields they belong to.
//! Tested by `tests/it/access.rs`, every form with the wrong role and with a stale token.

mod audit;
mod forms;
mod passwords;
mod sessions;
mod tokens;
mod users;
mod web;

use crate::{Shared, form_view::FormView, forms::Form, frame::Frame, refusal::Refusal, seat::Seat};
use askama::Template;
use axum::Router;
use lb_access::Access;

pub fn routes() -> Router<Shared> {
    Router::new()
        .merge(users::routes())
        .merge(tokens::routes())
        .merge(sessions::routes())
        .merge(passwords::routes())
        .merge(audit::routes())
        .merge(web::routes())
}

/// A form with a page of its own.
#[derive(Template)]
#[template(path = "access_form.html")]
struct FormPage {
    frame: Frame,
    intro: String,
    form: String,
    links: Vec<(&'static str, &'static str)>,
}

/// A question before something is done that cannot be undone.
#[derive(Template)]
#[template(path = "access_ask.html")]
pub(super) struct Ask {
    pub frame: Frame,
    /// What would be done, in a sentence each.
    pub lines: Vec<String>,
    pub action: &'static str,
    /// Names what it is done to.
    pub name: &'static str,
    pub value: String,
    pub button: &'static str,
    pub back: &'static str,
}

/// The form as HTML.
fn html(form: &Form, action: &str, seat: &Seat) -> Result<String, Refusal> {
    Ok(FormView { form, action, csrf: &seat.session.csrf }.render()?)
}

/// Runs `work` where it may hash and write.
async fn blocking<T: Send + 'static>(
    app: &Shared,
    work: impl FnOnce(&Access) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let app = app.clone();
    tokio::task::spawn_blocking(move || work(&app.access))
        .await
        .map_err(|e| Refusal::Internal(format!("asking who may do what: {e}")))
}

/// As a page of its own says it: the reason, then what to do.
fn sentence(refusal: &lb_access::Refusal) -> String {
    format!("{refusal}. {}", refusal.hint())
}
