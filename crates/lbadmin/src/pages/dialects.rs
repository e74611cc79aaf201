//! Edit Configuration > Cloud Dialects: on and off, OVH's applications and grants, and the page where a person approves one.
//!
//! A secret is shown once, when it is made. Whoever approves lends a program their own rights, so only somebody who may
//! make API tokens may. Tested by `tests/it/dialects.rs`, and with all other forms by `tests/it/abuse.rs`.

use super::access::Ask;
use crate::{
    Shared,
    app::{Flash, now},
    dialects::{self, ApplicationView, GrantView, OvhSettings, RackspaceSettings, Settings},
    form_view::FormView,
    forms::{Field, Form, Section, wrong},
    frame::{self, Frame, go, show},
    refusal::Refusal,
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State},
    response::Response,
    routing::get,
};
use lb_access::Permission;
use lb_api::{ClientError, ErrorCode};
use serde::Deserialize;
use std::net::IpAddr;

const HERE: &str = "edit/dialects";
const PAGE: &str = "/lbadmin/edit/dialects";
const NEW: &str = "/lbadmin/edit/dialects/applications/new";
const REMOVE: &str = "/lbadmin/edit/dialects/applications/remove";
const REVOKE: &str = "/lbadmin/edit/dialects/grants/remove";
const APPROVE: &str = "/lbadmin/dialects/approve/{token}";
const TITLES: [&str; 2] = ["Edit Configuration", "Cloud Dialects"];

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(PAGE, get(page).post(take))
        .route(NEW, get(show_new).post(take_new))
        .route(REMOVE, get(ask_remove).post(remove))
        .route(REVOKE, get(ask_revoke).post(revoke))
        .route(APPROVE, get(ask_approval).post(approve))
}

#[derive(Template)]
#[template(path = "dialects.html")]
struct Page {
    frame: Frame,
    settings: String,
    by_hand: Vec<String>,
    applications: Vec<ApplicationView>,
    grants: Vec<GrantView>,
}

fn form(settings: &Settings) -> Form {
    let lines = |list: &[IpAddr]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let switch = |on: bool| if on { "on" } else { "" };
    let Settings { rackspace, ovh } = settings;
    let rackspace = vec![
        Field::checkbox("rackspace", "Serve Rackspace Cloud Load Balancers v1.0", "dialect-rackspace")
            .value(switch(rackspace.enabled)),
        Field::number("account", "Account number", "dialect-account", 1, 2_147_483_647)
            .value(rackspace.account.to_string()),
        Field::area("public", "Public addresses", "dialect-addresses", 3)
            .hint("One a line. Empty: load balancers share this unit's own address.")
            .value(lines(&rackspace.public)),
        Field::area("servicenet", "Addresses of the service network", "dialect-addresses", 3)
            .hint("One a line. Empty: they share this unit's own address.")
            .value(lines(&rackspace.servicenet)),
    ];
    let ovh = vec![
        Field::checkbox("ovh", "Serve OVH ipLoadbalancing v1", "dialect-ovh").value(switch(ovh.enabled)),
        Field::text("service_name", "Service name", "dialect-service").value(ovh.service_name.clone()),
        Field::text("zone", "Zone", "dialect-zone").value(ovh.zone.clone()),
        Field::text("address", "Address of front-ends", "dialect-address")
            .hint("Empty: this unit's own address.")
            .value(ovh.address.map_or_else(String::new, |address| address.to_string())),
    ];
    Form {
        title: "Cloud dialects".into(),
        sections: vec![Section::new("Rackspace", rackspace), Section::new("OVH", ovh)],
        errors: Vec::new(),
        seen: String::new(),
    }
}

fn html(form: &Form, action: &str, seat: &Seat) -> Result<String, Refusal> {
    Ok(FormView { form, action, csrf: &seat.session.csrf }.render()?)
}

async fn whole(app: &Shared, seat: &Seat, settings: &Form) -> Result<Page, Refusal> {
    Ok(Page {
        frame: Frame::load(app, seat, HERE, &TITLES).await?,
        settings: html(settings, PAGE, seat)?,
        by_hand: lb_dialects::commit::by_hand(&app.lbd.running().await?.config),
        applications: app.keys.applications(),
        grants: app.keys.grants(),
    })
}

async fn page(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "Cloud Dialects")?;
    let settings = form(&Settings::of(&app.lbd.running().await?.config));
    show(&whole(&app, &seat, &settings).await?)
}

/// What was typed, or the field that cannot be read.
fn read(sent: &Sent) -> Result<Settings, (&'static str, String)> {
    let address = |name: &'static str, text: &str| {
        let wrong = format!("\"{text}\" is not an IP address; use for example 10.0.0.60.");
        text.parse::<IpAddr>().map_err(|_| (name, wrong))
    };
    let lines = |name: &'static str| {
        let words = sent.get(name).split_whitespace().map(str::trim);
        words.map(|text| address(name, text)).collect::<Result<Vec<_>, _>>()
    };
    let account = sent.get("account").trim().parse().ok().filter(|account| *account > 0);
    let account = account.ok_or(("account", "The account is a number from 1 on.".to_owned()))?;
    let own = sent.get("address").trim();
    Ok(Settings {
        rackspace: RackspaceSettings {
            enabled: !sent.get("rackspace").is_empty(),
            account,
            public: lines("public")?,
            servicenet: lines("servicenet")?,
        },
        ovh: OvhSettings {
            enabled: !sent.get("ovh").is_empty(),
            service_name: sent.get("service_name").trim().to_owned(),
            zone: sent.get("zone").trim().to_owned(),
            address: if own.is_empty() { None } else { Some(address("address", own)?) },
        },
    })
}

/// The field of a problem, by the end of its path.
fn field(path: &str) -> &'static str {
    let names = ["account", "public", "servicenet", "service_name", "zone", "address"];
    let parts: Vec<&str> = path.split('/').collect();
    names.into_iter().find(|name| parts.contains(name)).unwrap_or("")
}

async fn take(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "change the cloud dialects")?;
    let mut typed = form(&Settings::of(&app.lbd.running().await?.config));
    for field in typed.fields_mut() {
        field.value = sent.get(field.name).to_owned();
    }
    let typed = match read(&sent) {
        Err((field, text)) => wrong(typed, field, text),
        Ok(settings) => match dialects::put(&app, &settings, &seat.author()).await {
            Ok(()) => {
                seat.audit(&app, "dialects", &settings.words());
                return Ok(go(&app, seat, PAGE, Flash::good("The cloud dialects are changed.")));
            }
            Err(ClientError::Refused(error)) if error.code == ErrorCode::Invalid => error
                .problems
                .iter()
                .fold(typed, |form, p| wrong(form, field(&p.path), format!("{} {}", p.value, p.reason))),
            Err(ClientError::Refused(error)) if error.code != ErrorCode::Internal => {
                wrong(typed, "", error.message.clone())
            }
            Err(error) => return Err(error.into()),
        },
    };
    frame::refused(&whole(&app, seat, &typed).await?)
}

#[derive(Template)]
#[template(path = "access_form.html")]
struct FormPage {
    frame: Frame,
    intro: String,
    form: String,
    links: Vec<(&'static str, &'static str)>,
}

fn new_form() -> Form {
    let name =
        Field::text("name", "Name", "dialect-application").hint("Says what the program is, for example terraform.");
    Form {
        title: "Create an application".into(),
        sections: vec![Section::new("", vec![name])],
        errors: Vec::new(),
        seen: String::new(),
    }
}

async fn new_page(app: &Shared, seat: &Seat, form: &Form) -> Result<FormPage, Refusal> {
    Ok(FormPage {
        frame: Frame::load(app, seat, HERE, &[TITLES[0], TITLES[1], "Create an application"]).await?,
        intro: "A program that calls the OVH dialect has a key and a secret. What it may do, a person grants it."
            .into(),
        form: html(form, NEW, seat)?,
        links: vec![(PAGE, "Cloud Dialects")],
    })
}

async fn show_new(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "create an application")?;
    show(&new_page(&app, &seat, &new_form()).await?)
}

/// The one time that a secret is shown.
#[derive(Template)]
#[template(path = "dialect_application.html")]
struct Created {
    frame: Frame,
    name: String,
    key: String,
    secret: String,
}

async fn take_new(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "create an application")?;
    let name = sent.get("name").trim().to_owned();
    match app.keys.add_application(&name, &seat.session.who.user, now()) {
        Ok(made) => {
            seat.audit(&app, "ovh-application", &format!("Application {name} is made."));
            let frame = Frame::load(&app, seat, HERE, &[TITLES[0], TITLES[1], &name]).await?;
            show(&Created { frame, name, key: made.key, secret: made.secret })
        }
        Err(refused) => {
            let mut form = new_form();
            form.fields_mut().for_each(|field| field.value.clone_from(&name));
            frame::refused(&new_page(&app, seat, &wrong(form, "name", refused.to_string())).await?)
        }
    }
}

#[derive(Deserialize)]
struct Of {
    id: String,
}

async fn ask(
    app: &Shared,
    seat: &Seat,
    title: &str,
    line: String,
    action: &'static str,
    of: Of,
) -> Result<Response, Refusal> {
    let frame = Frame::load(app, seat, HERE, &[TITLES[0], TITLES[1], title]).await?;
    let (name, button, back) = ("id", "Remove", PAGE);
    show(&Ask { frame, lines: vec![line], action, name, value: of.id, button, back })
}

async fn ask_remove(State(app): State<Shared>, seat: Seat, Query(of): Query<Of>) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "remove an application")?;
    let found = app.keys.applications().into_iter().find(|application| application.id.to_string() == of.id);
    let found = found.ok_or_else(|| Refusal::NotFound("There is no such application.".into()))?;
    let line = format!("What calls with the key of {} is refused from then on, and its grants are gone.", found.name);
    ask(&app, &seat, &format!("Remove {}", found.name), line, REMOVE, of).await
}

async fn remove(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "remove an application")?;
    let flash = match app.keys.remove_application(sent.get("id").parse().unwrap_or(0)) {
        Ok(name) => {
            seat.audit(&app, "ovh-application", &format!("Application {name} is removed."));
            Flash::good("The application is removed.")
        }
        Err(refused) => Flash::bad(refused.to_string()),
    };
    Ok(go(&app, seat, PAGE, flash))
}

async fn ask_revoke(State(app): State<Shared>, seat: Seat, Query(of): Query<Of>) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "revoke a grant")?;
    let found = app.keys.grants().into_iter().find(|grant| grant.id.to_string() == of.id);
    let found = found.ok_or_else(|| Refusal::NotFound("There is no such grant.".into()))?;
    let line = format!("{} may no longer act for {}.", found.application, found.user);
    ask(&app, &seat, "Revoke a grant", line, REVOKE, of).await
}

async fn revoke(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "revoke a grant")?;
    let flash = match app.keys.remove_grant(sent.get("id").parse().unwrap_or(0)) {
        Ok(()) => {
            seat.audit(&app, "ovh-grant", "A grant is revoked.");
            Flash::good("The grant is revoked.")
        }
        Err(refused) => Flash::bad(refused.to_string()),
    };
    Ok(go(&app, seat, PAGE, flash))
}

/// What a program asks a person for.
#[derive(Template)]
#[template(path = "dialect_approval.html")]
struct Approval {
    frame: Frame,
    action: String,
    user: String,
    application: String,
    rules: Vec<String>,
    addresses: Vec<String>,
    redirection: String,
}

const GONE: &str = "This request was answered already, or has waited for too long. Let the program ask again.";

async fn ask_approval(State(app): State<Shared>, seat: Seat, Path(token): Path<String>) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "approve a grant")?;
    let pending = app.keys.waiting(&token, now()).ok_or_else(|| Refusal::NotFound(GONE.into()))?;
    show(&Approval {
        frame: Frame::load(&app, &seat, HERE, &[TITLES[0], TITLES[1], "Approve a grant"]).await?,
        action: APPROVE.replace("{token}", &token),
        user: seat.session.who.user.clone(),
        application: pending.application,
        rules: pending.rules,
        addresses: pending.addresses,
        redirection: pending.redirection.unwrap_or_default(),
    })
}

async fn approve(State(app): State<Shared>, Path(token): Path<String>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "approve a grant")?;
    let approved = sent.get("answer") == "approve";
    let flash = match app.keys.answer(&token, &seat.session.who.user, approved, now()) {
        Err(crate::dialects::Refused::Unknown) => Flash::bad(GONE),
        Err(refused) => Flash::bad(refused.to_string()),
        Ok(redirection) => {
            let (word, detail) = if approved { ("approved", "is approved") } else { ("refused", "is refused") };
            seat.audit(&app, "ovh-grant", &format!("A grant {detail}."));
            let words = format!("The grant is {word}.");
            // A browser may not be sent elsewhere by the answer to a form (`form-action 'self'`).
            match redirection {
                Some(to) => Flash::good(words).lines(vec![format!("The program waits for you at {to}")]),
                None => Flash::good(words),
            }
        }
    };
    Ok(go(&app, seat, PAGE, flash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_mark_leads_to_the_guide() {
        for form in [form(&Settings::of(&lb_model::factory())), new_form()] {
            for field in form.fields() {
                assert!(crate::help::field(field.help).is_some(), "{} is not explained", field.help);
            }
        }
    }
}
