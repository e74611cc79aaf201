//! SSL Termination > Obtained by the unit: from whom, for which hosts, how it stands, and once more now.
//!
//! Both forms are pending changes like any other; ordering one again is not. Tested by `tests/it/certificates.rs`.

use super::certificates::{capital, form, label, names, names_field, refused, typed};
use crate::{
    Shared,
    app::Flash,
    backend::Edit,
    form_view::FormView,
    forms::{Field, Form, wrong},
    frame::{self, Frame, go, show, time},
    pages::edit::EDIT,
    refusal::Refusal,
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use lb_access::Permission;
use lb_api::{AcmeState, AcmeView, OrderCertificate};
use lb_model::{
    Config, Label,
    layer7::{Acme, AcmeDirectory, Certificate, CertificateName},
};
use std::convert::Infallible;

const HERE: &str = "edit/layer-7/ssl";
const TITLE: &str = "Obtained Certificates";
const LIST: &str = "/lbadmin/edit/layer-7/ssl/acme";
const SERVER: &str = "/lbadmin/edit/layer-7/ssl/acme/server";
const OBTAIN: &str = "/lbadmin/edit/layer-7/ssl/acme/obtain";
const ORDER: &str = "/lbadmin/edit/layer-7/ssl/acme/order";

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(LIST, get(list))
        .route(SERVER, post(server))
        .route(OBTAIN, post(obtain))
        .route(ORDER, post(order))
}

struct Row {
    label: String,
    names: String,
    state: &'static str,
    shown: String,
    next: String,
    error: Option<String>,
    waits_for: Option<String>,
}

fn row(view: AcmeView) -> Row {
    Row {
        label: view.label,
        names: view.names.join(", "),
        state: match view.state {
            AcmeState::Valid => "● valid",
            AcmeState::Waiting => "○ waiting",
            AcmeState::Ordered => "○ ordered",
            AcmeState::Failed => "▲ failed",
        },
        shown: match view.not_after {
            0 => "a stand-in that clients do not trust".to_owned(),
            end => format!("valid until {}", time(end).chars().take(10).collect::<String>()),
        },
        next: if view.next == 0 { "now".to_owned() } else { time(view.next) },
        error: view.error,
        waits_for: view.waits_for.map(|why| capital(&why)),
    }
}

#[derive(Template)]
#[template(path = "layer7_acme.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    order_at: &'static str,
    server: String,
    obtain: String,
}

#[derive(Default)]
struct Returned {
    server: Option<Form>,
    obtain: Option<Form>,
}

async fn page(app: &Shared, seat: &Seat, returned: Returned) -> Result<Page, Refusal> {
    let frame = Frame::load(app, seat, HERE, &[EDIT, TITLE]).await?;
    let rows = app.lbd.client.acme().await?.into_iter().map(row).collect();
    let html = |form: Form, action| FormView { form: &form, action, csrf: &seat.session.csrf }.render();
    let server = match returned.server {
        Some(form) => form,
        None => server_form(app.lbd.candidate().await?.config.layer7.acme.as_ref()),
    };
    Ok(Page {
        frame,
        rows,
        order_at: ORDER,
        server: html(server, SERVER)?,
        obtain: html(returned.obtain.unwrap_or_else(obtain_form), OBTAIN)?,
    })
}

async fn list(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Configure, TITLE)?;
    show(&page(&app, &seat, Returned::default()).await?)
}

fn server_form(acme: Option<&Acme>) -> Form {
    let text = |value: Option<String>| value.unwrap_or_default();
    let directory = acme.map_or_else(|| AcmeDirectory::LETS_ENCRYPT.to_owned(), |acme| acme.directory.to_string());
    let staging = format!("For tries, trusted by nobody: {}", AcmeDirectory::LETS_ENCRYPT_STAGING);
    let agreed = if acme.is_some_and(|acme| acme.terms_agreed) { "on" } else { "" };
    let fields = vec![
        Field::text("directory", "Directory", "layer-seven-acme-directory").value(directory).hint(staging),
        Field::text("contact", "Contact", "layer-seven-acme-contact")
            .value(text(acme.and_then(|acme| acme.contact.as_ref()).map(ToString::to_string)))
            .placeholder("admin@example.com"),
        Field::text("authority", "Authority of a private server", "layer-seven-acme-authority")
            .value(text(acme.and_then(|acme| acme.authority.as_ref()).map(ToString::to_string))),
        Field::checkbox("terms", "Its terms of service are agreed to", "layer-seven-acme-terms").value(agreed),
    ];
    form("ACME server", fields)
}

fn obtain_form() -> Form {
    let fields = vec![
        Field::text("label", "Label", "layer-seven-certificate-label").placeholder("shop"),
        names_field("names").hint("One a line: host names that lead to a VIP of this unit"),
    ];
    form("Obtain a certificate", fields)
}

async fn server(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Configure, "say whom certificates are obtained from")?;
    let mut form = typed(server_form(None), &sent);
    let text = |name: &str| sent.get(name).trim().to_owned();
    let sentence = |why: lb_model::NameError| format!("{}.", capital(&why.to_string()));
    let mut problem = |field: &str, text: String| form = wrong(form.clone(), field, text);
    let directory = text("directory").parse::<AcmeDirectory>().map_err(|why| problem("directory", sentence(why)));
    let contact = Some(text("contact")).filter(|contact| !contact.is_empty());
    let contact = contact.map(|contact| contact.parse()).transpose().map_err(|why| problem("contact", sentence(why)));
    let authority = Some(text("authority")).filter(|label| !label.is_empty());
    let authority = authority.map(|label| label.parse::<Label>()).transpose();
    let authority = authority.map_err(|why| problem("authority", sentence(why)));
    let (Ok(directory), Ok(contact), Ok(authority)) = (directory, contact, authority) else {
        return frame::refused(&page(&app, seat, Returned { server: Some(form), ..Returned::default() }).await?);
    };
    let acme = Acme { directory, contact, terms_agreed: !sent.get("terms").is_empty(), authority };
    let change = |config: &Config| {
        let mut config = config.clone();
        config.layer7.acme = Some(acme.clone());
        Ok(config)
    };
    let _: Edit<Infallible> = app.lbd.edit(&seat.session.who.user, change).await?;
    seat.audit(&app, "certificate", &format!("ACME server {}", acme.directory));
    Ok(go(&app, seat, LIST, Flash::good("The ACME server is a pending change.")))
}

async fn obtain(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Configure, "obtain a certificate")?;
    let form = typed(obtain_form(), &sent);
    let hosts: Result<Vec<CertificateName>, _> = names(&sent, "names").iter().map(|name| name.parse()).collect();
    let form = match (label(sent.get("label")), hosts) {
        (Err(text), _) => wrong(form, "label", text),
        (_, Err(why)) => wrong(form, "names", format!("{}.", capital(&why.to_string()))),
        (_, Ok(hosts)) if hosts.is_empty() => wrong(form, "names", "At least one host name is needed.".into()),
        (Ok(label), Ok(hosts)) => {
            let change = |config: &Config| {
                let mut config = config.clone();
                match config.layer7.certificates.iter_mut().find(|is| is.label == label) {
                    Some(is) => is.acme = hosts.clone(),
                    None => config.layer7.certificates.push(Certificate::awaited(label.clone(), hosts.clone())),
                }
                Ok(config)
            };
            let _: Edit<Infallible> = app.lbd.edit(&seat.session.who.user, change).await?;
            seat.audit(&app, "certificate", &format!("{label} is to be obtained"));
            let text = format!("{label} is ordered as soon as the pending changes are applied.");
            return Ok(go(&app, seat, LIST, Flash::good(text)));
        }
    };
    frame::refused(&page(&app, seat, Returned { obtain: Some(form), ..Returned::default() }).await?)
}

async fn order(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Configure, "order a certificate")?;
    let Ok(label) = sent.get("label").parse::<Label>() else {
        return Err(Refusal::NotFound("There is no such certificate.".into()));
    };
    let author = seat.session.who.user.clone();
    let flash = match app.lbd.client.order_certificate(&OrderCertificate { label, author }).await {
        Ok(done) => {
            seat.audit(&app, "certificate", &done.message);
            Flash::good(format!("{}.", capital(&done.message)))
        }
        Err(error) => Flash::bad(refused(error)?.1),
    };
    Ok(go(&app, seat, LIST, flash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_mark_leads_to_the_guide() {
        for field in [server_form(None), obtain_form()].iter().flat_map(Form::fields) {
            assert!(crate::help::field(field.help).is_some(), "{} is not explained", field.help);
        }
    }
}
