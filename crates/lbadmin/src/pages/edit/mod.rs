//! Edit Configuration: a page for every object, all of them a [`crate::forms`] form shown, read and staged.
//!
//! ```text
//!  GET  --> the object in the candidate --> form
//!  POST --> Edit::read on the candidate --> Ok: candidate + what changed, on the list | Wrong: 422 | Conflict: 409
//! ```
//! Nothing here takes effect by itself: what was changed waits until it is applied. Only the wizard applies, after
//! its own summary. A removal is confirmed on a page that says what it does.

mod fallback_page;
mod floating_ips;
mod heartbeat;
mod interfaces;
mod layer7;
mod listing;
mod lockdown;
mod object;
mod real_servers;
mod virtual_servers;
pub mod wizard;

use crate::pages::graphs::small::last_hour;
use crate::{
    Shared,
    app::Flash,
    backend::Edit as Edited,
    form_view::FormView,
    forms::{DnsForm, Edit, Form, GlobalsForm, Posted, Refused, Remove, RoutingForm},
    frame::{Frame, IN_BAR, ago, go},
    refusal::Refusal,
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use lb_access::Permission;
use lb_model::{Change, Config, changes};
use lb_series::Key;

pub use listing::{Listing, Wanted, within};

pub(super) const EDIT: &str = "Edit Configuration";

/// Changes that a message names.
const TOLD: usize = 10;

pub fn routes() -> Router<Shared> {
    Router::new()
        .merge(virtual_servers::routes())
        .merge(real_servers::routes())
        .merge(layer7::routes())
        .merge(interfaces::routes())
        .merge(fallback_page::routes())
        .merge(floating_ips::routes())
        .merge(heartbeat::routes())
        .merge(lockdown::routes())
        .merge(wizard::routes())
        .route("/lbadmin/edit/dns", get(show_dns).post(take_dns))
        .route("/lbadmin/edit/routing", get(show_routing).post(take_routing))
        .route("/lbadmin/edit/globals", get(show_globals).post(take_globals))
}

/// Where a form stands, and where one goes after it.
pub(super) struct Place {
    /// The menu's group.
    pub group: &'static str,
    /// The menu's entry.
    pub here: &'static str,
    /// The page's own name, below the group.
    pub title: &'static str,
    /// Where the form is posted to.
    pub action: String,
    /// Where one goes when it was taken.
    pub then: String,
    /// A line above the form.
    pub intro: String,
    /// Other places, as the guide's `[Virtual Servers]`: address and words.
    pub links: Vec<(String, &'static str)>,
    /// Whose last hour stands below the form.
    pub measured: Option<Key>,
}

impl Place {
    /// A form that is a page of the menu itself.
    fn single(here: &'static str, title: &'static str) -> Place {
        let action = format!("/lbadmin/{here}");
        Place {
            group: EDIT,
            here,
            title,
            then: action.clone(),
            action,
            intro: String::new(),
            links: Vec::new(),
            measured: None,
        }
    }

    async fn frame(&self, app: &Shared, seat: &Seat) -> Result<Frame, Refusal> {
        Frame::load(app, seat, self.here, &[self.group, self.title]).await
    }
}

#[derive(Template)]
#[template(path = "edit.html")]
struct FormPage {
    frame: Frame,
    intro: String,
    form: String,
    links: Vec<(String, &'static str)>,
    /// Safe HTML.
    last_hour: String,
}

fn page(frame: Frame, place: Place, form: &Form, status: StatusCode, last_hour: String) -> Result<Response, Refusal> {
    let view = FormView { form, action: &place.action, csrf: &frame.csrf };
    let form = view.render()?;
    let page = FormPage { form, intro: place.intro, links: place.links, last_hour, frame };
    Ok((status, Html(page.render()?)).into_response())
}

/// The form of `editor`'s object as it stands in the candidate.
pub(super) async fn show(app: &Shared, seat: &Seat, editor: &impl Edit, place: Place) -> Result<Response, Refusal> {
    seat.must(app, Permission::Configure, place.title)?;
    let frame = place.frame(app, seat).await?;
    let form = editor.form(&frame.candidate().config).ok_or_else(|| not_there(editor))?;
    let last_hour = match &place.measured {
        Some(key) => last_hour(app, key).await?,
        None => String::new(),
    };
    page(frame, place, &form, StatusCode::OK, last_hour)
}

fn not_there(editor: &(impl Edit + ?Sized)) -> Refusal {
    Refusal::NotFound(format!("{} is not in the configuration.", editor.name()))
}

enum Stop {
    Refused(Box<Refused>),
    /// What was sent is what is there: the candidate is not touched, nor its last author.
    Nothing,
}

/// Stages what was posted.
pub(super) async fn take(app: &Shared, sent: Sent, editor: &impl Edit, place: Place) -> Result<Response, Refusal> {
    let Sent { seat, fields } = sent;
    seat.must(app, Permission::Configure, place.title)?;
    let posted = Posted::from(fields);
    let mut made = Vec::new();
    let change = |config: &Config| {
        let new = editor.read(config, &posted).map_err(|refused| Stop::Refused(Box::new(refused)))?;
        made = changes(config, &new);
        if new == *config { Err(Stop::Nothing) } else { Ok(new) }
    };
    let edited = match app.lbd.edit(&seat.author(), change).await {
        Ok(edited) => edited,
        Err(error) => return Err(Refusal::of_edit(app, error).await),
    };
    match edited {
        Edited::Pending(view) => Ok(staged(app, &seat, &place.then, &editor.name(), &made, view.changes.len())),
        Edited::Refused(Stop::Nothing) => {
            Ok(go(app, &seat, &place.then, Flash::good("Nothing was changed: it is like that already.")))
        }
        Edited::Refused(Stop::Refused(refused)) => match *refused {
            Refused::Gone(why) => Err(Refusal::NotFound(why)),
            Refused::Wrong(form) => {
                page(place.frame(app, &seat).await?, place, &form, StatusCode::UNPROCESSABLE_ENTITY, String::new())
            }
            Refused::Conflict(mut form) => {
                let frame = place.frame(app, &seat).await?;
                form.errors.extend(last_editor(&frame));
                page(frame, place, &form, StatusCode::CONFLICT, String::new())
            }
        },
    }
}

/// Who it probably was.
fn last_editor(frame: &Frame) -> Option<String> {
    let candidate = frame.candidate();
    let known = candidate.etag != 0 && !candidate.author.is_empty();
    known.then(|| format!("The pending changes were last edited by {}, {}.", candidate.author, ago(candidate.time)))
}

/// On to `then`, where the bar says what is pending. Where that is more than the bar has room for, the message says
/// what came in just now.
fn staged(app: &Shared, seat: &Seat, then: &str, object: &str, made: &[Change], pending: usize) -> Response {
    let texts: Vec<&str> = made.iter().take(TOLD).map(|c| c.text.as_str()).collect();
    seat.audit(app, "edit", &format!("{object}: {}", texts.join("; ")));
    let mut lines: Vec<String> = Vec::new();
    if pending > IN_BAR {
        lines.extend(made.iter().take(TOLD).map(ToString::to_string));
        if made.len() > TOLD {
            lines.push(format!("and {} more", made.len() - TOLD));
        }
    }
    go(app, seat, then, Flash::good("Saved, and pending until the configuration is applied.").lines(lines))
}

#[derive(Template)]
#[template(path = "remove.html")]
struct RemovePage {
    frame: Frame,
    name: String,
    changes: Vec<Change>,
    consequences: Vec<String>,
    /// It is not as it was when the page was made.
    changed: bool,
    seen: String,
    action: String,
    back: String,
}

async fn removal_page(
    app: &Shared,
    seat: &Seat,
    editor: &(impl Edit + Remove),
    place: Place,
    changed: bool,
) -> Result<Response, Refusal> {
    let frame = place.frame(app, seat).await?;
    let config = &frame.candidate().config;
    let (Some(seen), Some(removal)) = (editor.fingerprint(config), editor.remove(config)) else {
        return Err(not_there(editor));
    };
    let page = RemovePage {
        name: editor.name(),
        changes: changes(config, &removal.config),
        consequences: removal.consequences,
        changed,
        seen,
        action: place.action,
        back: place.then,
        frame,
    };
    let status = if changed { StatusCode::CONFLICT } else { StatusCode::OK };
    Ok((status, Html(page.render()?)).into_response())
}

/// Asks before something is removed.
pub(super) async fn show_removal(
    app: &Shared,
    seat: &Seat,
    editor: &(impl Edit + Remove),
    place: Place,
) -> Result<Response, Refusal> {
    seat.must(app, Permission::Configure, place.title)?;
    removal_page(app, seat, editor, place, false).await
}

enum NotRemoved {
    Gone,
    Changed,
}

/// Stages a removal that was confirmed, if the object is still what was confirmed.
pub(super) async fn take_removal(
    app: &Shared,
    sent: Sent,
    editor: &(impl Edit + Remove),
    place: Place,
) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(app, Permission::Configure, place.title)?;
    let mut made = Vec::new();
    let change = |config: &Config| {
        match editor.fingerprint(config) {
            None => return Err(NotRemoved::Gone),
            Some(seen) if seen != sent.get("seen") => return Err(NotRemoved::Changed),
            Some(_) => {}
        }
        let removal = editor.remove(config).ok_or(NotRemoved::Gone)?;
        made = changes(config, &removal.config);
        Ok(removal.config)
    };
    let edited = match app.lbd.edit(&seat.author(), change).await {
        Ok(edited) => edited,
        Err(error) => return Err(Refusal::of_edit(app, error).await),
    };
    match edited {
        Edited::Pending(view) => Ok(staged(app, seat, &place.then, &editor.name(), &made, view.changes.len())),
        Edited::Refused(NotRemoved::Gone) => {
            let text = format!("{} is not there any more: somebody else removed or renamed it.", editor.name());
            Ok(go(app, seat, &place.then, Flash::bad(text)))
        }
        Edited::Refused(NotRemoved::Changed) => removal_page(app, seat, editor, place, true).await,
    }
}

fn dns() -> Place {
    Place::single("edit/dns", "DNS & Hostname")
}

async fn show_dns(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    show(&app, &seat, &DnsForm, dns()).await
}

async fn take_dns(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    take(&app, sent, &DnsForm, dns()).await
}

fn routing() -> Place {
    Place::single("edit/routing", "Routing")
}

async fn show_routing(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    show(&app, &seat, &RoutingForm, routing()).await
}

async fn take_routing(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    take(&app, sent, &RoutingForm, routing()).await
}

fn globals() -> Place {
    Place::single("edit/globals", "Global Settings")
}

async fn show_globals(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    show(&app, &seat, &GlobalsForm, globals()).await
}

async fn take_globals(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    take(&app, sent, &GlobalsForm, globals()).await
}
