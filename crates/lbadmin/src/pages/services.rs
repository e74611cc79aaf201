//! Maintenance > Restart Services, and Halt or Restart the Unit: what each does to traffic is said before it is done.

use crate::{
    Shared,
    app::Flash,
    frame::{Frame, go, show},
    pages::list::duration,
    refusal::{Refusal, words},
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::get,
};
use lb_access::Permission;
use lb_api::{ByRequest, ServiceView, UnitAction, UnitRequest};

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/lbadmin/services", get(services))
        .route("/lbadmin/services/{name}", get(ask_service).post(restart_service))
        .route("/lbadmin/unit", get(unit))
        .route("/lbadmin/unit/{action}", get(ask_unit).post(do_unit))
}

struct Row {
    service: ServiceView,
    class: &'static str,
    state: &'static str,
    since: String,
}

fn row(service: ServiceView) -> Row {
    let (class, state) =
        if service.running { ("state state-active", "● running") } else { ("state state-down", "✕ stopped") };
    Row { since: duration(service.since), class, state, service }
}

#[derive(Template)]
#[template(path = "services.html")]
struct Services {
    frame: Frame,
    rows: Vec<Row>,
}

async fn services(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "restart services")?;
    let frame = Frame::load(&app, &seat, "services", &["Maintenance", "Restart Services"]).await?;
    let rows = app.lbd.client.services().await?.into_iter().map(row).collect();
    show(&Services { frame, rows })
}

/// A question before something that cannot be taken back.
#[derive(Template)]
#[template(path = "sure.html")]
pub(super) struct Sure {
    pub frame: Frame,
    /// What happens, a paragraph each.
    pub effects: Vec<String>,
    pub button: String,
    /// Where the way back leads.
    pub back: &'static str,
}

async fn ask_service(State(app): State<Shared>, seat: Seat, Path(name): Path<String>) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "restart services")?;
    let services = app.lbd.client.services().await?;
    let Some(service) = services.into_iter().find(|s| s.name == name) else {
        return Err(Refusal::NotFound(format!("There is no service {name}.")));
    };
    let title = format!("Restart {name}");
    let frame = Frame::load(&app, &seat, "services", &["Maintenance", "Restart Services", &title]).await?;
    let effects = vec![service.description, service.restart];
    show(&Sure { frame, effects, button: title, back: "/lbadmin/services" })
}

async fn restart_service(State(app): State<Shared>, Path(name): Path<String>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "restart a service")?;
    // These two are what the next page comes from.
    let ours = matches!(name.as_str(), "lbd" | "lbadmin");
    let flash = match app.lbd.client.restart_service(&name, &ByRequest { author: seat.author() }).await {
        Ok(done) => {
            seat.audit(&app, "restart a service", &name);
            if ours {
                let text = "Its pages answer again in a few seconds; you stay logged in.";
                return show(&Gone {
                    title: format!("Restart {name}"),
                    message: done.message,
                    text,
                    back: "/lbadmin/services",
                });
            }
            Flash::good(done.message)
        }
        Err(error) => {
            seat.refused(&app, "restart a service", &format!("{name}: {error}"));
            Flash::bad(words(&error))
        }
    };
    Ok(go(&app, seat, "/lbadmin/services", flash))
}

struct Choice {
    path: &'static str,
    action: UnitAction,
    title: &'static str,
    button: &'static str,
    /// What it does to clients and to the administrator.
    effects: [&'static str; 2],
    /// Said when it is under way.
    done: &'static str,
}

const CHOICES: [Choice; 2] = [
    Choice {
        path: "restart",
        action: UnitAction::Restart,
        title: "Restart the Unit",
        button: "Restart the unit",
        effects: [
            "Every connection through this unit breaks, and no client is served until it is up again: about a minute. \
             Afterwards clients are balanced as before; persistence begins anew.",
            "This interface goes away and comes back under the same address. Log in again then.",
        ],
        done: "The unit restarts. Load this interface again in a minute, and log in.",
    },
    Choice {
        path: "halt",
        action: UnitAction::Halt,
        title: "Halt the Unit",
        button: "Halt the unit",
        effects: [
            "Every connection through this unit breaks, and no client is served until somebody switches it on again.",
            "It cannot be switched on from here: you need its power button, its remote management, or its hypervisor.",
        ],
        done: "The unit switches itself off. It can be switched on again at the machine only.",
    },
];

#[derive(Template)]
#[template(path = "unit.html")]
struct Unit {
    frame: Frame,
    choices: &'static [Choice],
}

async fn unit(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "halt or restart the unit")?;
    let frame = Frame::load(&app, &seat, "unit", &["Maintenance", "Halt or Restart the Unit"]).await?;
    show(&Unit { frame, choices: &CHOICES })
}

fn choice(path: &str) -> Result<&'static Choice, Refusal> {
    CHOICES.iter().find(|c| c.path == path).ok_or_else(|| Refusal::NotFound("There is no such page.".into()))
}

async fn ask_unit(State(app): State<Shared>, seat: Seat, Path(path): Path<String>) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "halt or restart the unit")?;
    let choice = choice(&path)?;
    let frame = Frame::load(&app, &seat, "unit", &["Maintenance", "Halt or Restart the Unit", choice.title]).await?;
    let mut effects: Vec<String> = choice.effects.iter().map(|e| (*e).to_owned()).collect();
    if frame.bar.is_some() {
        effects.push("Pending changes are kept, and still not applied afterwards.".to_owned());
    }
    show(&Sure { frame, effects, button: choice.button.to_owned(), back: "/lbadmin/unit" })
}

#[derive(Template)]
#[template(path = "unit-done.html")]
pub(super) struct Gone {
    pub title: String,
    pub message: String,
    pub text: &'static str,
    /// Where to go when it is there again.
    pub back: &'static str,
}

async fn do_unit(State(app): State<Shared>, Path(path): Path<String>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "halt or restart the unit")?;
    let choice = choice(&path)?;
    let what = choice.button.to_lowercase();
    let request = UnitRequest { action: choice.action, author: seat.author() };
    match app.lbd.client.unit(&request).await {
        Ok(done) => {
            seat.audit(&app, &what, "");
            let title = choice.title.to_owned();
            show(&Gone { title, message: done.message, text: choice.done, back: "/lbadmin/" })
        }
        Err(error) => {
            seat.refused(&app, &what, &error.to_string());
            Ok(go(&app, seat, "/lbadmin/unit", Flash::bad(words(&error))))
        }
    }
}
