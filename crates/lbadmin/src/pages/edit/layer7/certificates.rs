//! Layer 7 Configuration > SSL Termination: the certificates of this unit, uploaded, made, asked for and removed.
//!
//! A certificate lies on the unit as soon as it is uploaded; its label is a pending change like any other. Keys are
//! never shown again, whatever was wrong with an upload. Tested by `tests/it/certificates.rs`.

use crate::{
    Shared,
    app::{Flash, now},
    backend::Edit,
    form_view::FormView,
    forms::{Field, Form, Section, wrong},
    frame::{self, Frame, go, show, time},
    pages::edit::EDIT,
    refusal::Refusal,
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequest, Multipart, Query, Request, State},
    response::Response,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use lb_access::Permission;
use lb_api::{
    AddCertificate, ApiError, ByRequest, CertificateKind, CertificateView, ClientError, OcspState, OcspView,
    RequestCertificate, Secret, SelfSigned,
};
use lb_model::{
    Config, Label,
    layer7::{Certificate, CertificateFingerprint},
};
use serde::Deserialize;
use std::convert::Infallible;

const HERE: &str = "edit/layer-7/ssl";
const TITLE: &str = "SSL Termination";
const LIST: &str = "/lbadmin/edit/layer-7/ssl";
const UPLOAD: &str = "/lbadmin/edit/layer-7/ssl/upload";
const SELF_SIGNED: &str = "/lbadmin/edit/layer-7/ssl/self-signed";
const REQUEST: &str = "/lbadmin/edit/layer-7/ssl/request";
const STAPLING: &str = "/lbadmin/edit/layer-7/ssl/stapling";
const REMOVE: &str = "/lbadmin/edit/layer-7/ssl/remove";
/// What is read at all; a file of more than [`LARGEST`] is refused with its size.
const MOST_READ: usize = 16 << 20;
const LARGEST: usize = 1 << 20;
/// Days before its end at which a certificate is warned about.
const SOON: u64 = 30 * 86_400;

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(LIST, get(list))
        .route(UPLOAD, post(upload).layer(DefaultBodyLimit::max(MOST_READ)))
        .route(SELF_SIGNED, post(self_signed))
        .route(REQUEST, post(request))
        .route(STAPLING, post(stapling))
        .route(REMOVE, get(ask).post(remove))
}

struct Row {
    view: CertificateView,
    labels: String,
    names: String,
    kind: &'static str,
    expires: String,
    expired: bool,
    soon: bool,
    /// What its responder says.
    ocsp: Option<String>,
    /// As pending changes have it; `None`: no responder, or no label.
    stapling: Option<bool>,
}

fn row(view: CertificateView, candidate: &Config) -> Row {
    let named = candidate.layer7.certificates.iter().find(|named| named.fingerprint.as_str() == view.fingerprint);
    let dated = view.kind != CertificateKind::Request;
    Row {
        labels: view.labels.join(", "),
        names: if view.names.is_empty() { view.subject.clone() } else { view.names.join(", ") },
        kind: match view.kind {
            CertificateKind::Server => "certificate with key",
            CertificateKind::Authority => "authority",
            CertificateKind::Request => "request, waits for its certificate",
        },
        expires: if dated { time(view.not_after).chars().take(10).collect() } else { String::new() },
        expired: dated && view.not_after < now(),
        soon: dated && view.not_after < now() + SOON,
        ocsp: view.ocsp.as_ref().map(ocsp),
        stapling: view.ocsp.as_ref().and(named).map(|named| named.stapling),
        view,
    }
}

fn ocsp(ocsp: &OcspView) -> String {
    let text = match ocsp.state {
        OcspState::Stapled => {
            let (produced, end) = (time(ocsp.produced), time(ocsp.next_update));
            format!(
                "● OCSP: clients are shown that it was not revoked, by an answer of {produced} that counts until {end}"
            )
        }
        OcspState::Waiting => "○ OCSP: its responder is asked".to_owned(),
        OcspState::Failed => "▲ OCSP: clients are shown no answer".to_owned(),
        OcspState::Revoked => "✕ OCSP: it was revoked".to_owned(),
        OcspState::Off => "○ OCSP: off".to_owned(),
    };
    match &ocsp.error {
        Some(error) => format!("{text}. {error}. The responder is asked again {}", time(ocsp.next)),
        None => text,
    }
}

/// What was wrong with an upload. Keys and passphrases are not shown again.
#[derive(Default)]
struct Upload {
    label_typed: String,
    label: String,
    file: String,
    key: String,
    passphrase: String,
}

impl Upload {
    fn at(&mut self, field: &str, text: String) {
        let place = match field {
            "label" => &mut self.label,
            "key" => &mut self.key,
            "passphrase" => &mut self.passphrase,
            _ => &mut self.file,
        };
        *place = text;
    }

    fn is_fine(&self) -> bool {
        [&self.label, &self.file, &self.key, &self.passphrase].iter().all(|text| text.is_empty())
    }
}

#[derive(Template)]
#[template(path = "layer7_certificates.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    upload: Upload,
    upload_to: &'static str,
    remove_at: &'static str,
    stapling_at: &'static str,
    self_signed: String,
    request: String,
}

#[derive(Default)]
struct Returned {
    upload: Upload,
    self_signed: Option<Form>,
    request: Option<Form>,
}

async fn page(app: &Shared, seat: &Seat, returned: Returned) -> Result<Page, Refusal> {
    let frame = Frame::load(app, seat, HERE, &[EDIT, TITLE]).await?;
    let candidate = app.lbd.candidate().await?;
    let rows = app.lbd.client.certificates().await?.into_iter().map(|view| row(view, &candidate.config)).collect();
    let html = |form: Form, action| FormView { form: &form, action, csrf: &seat.session.csrf }.render();
    Ok(Page {
        frame,
        rows,
        upload: returned.upload,
        upload_to: UPLOAD,
        remove_at: REMOVE,
        stapling_at: STAPLING,
        self_signed: html(returned.self_signed.unwrap_or_else(self_signed_form), SELF_SIGNED)?,
        request: html(returned.request.unwrap_or_else(request_form), REQUEST)?,
    })
}

async fn list(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Configure, TITLE)?;
    show(&page(&app, &seat, Returned::default()).await?)
}

pub(super) fn form(heading: &'static str, fields: Vec<Field>) -> Form {
    Form {
        title: heading.to_owned(),
        sections: vec![Section::folding(heading, fields, &Default::default())],
        errors: Vec::new(),
        seen: String::new(),
    }
}

/// Two forms of one page: their fields are told apart by their names.
pub(super) fn names_field(name: &'static str) -> Field {
    Field::area(name, "Names and addresses", "layer-seven-certificate-names", 3)
        .placeholder("www.example.com")
        .hint("One a line: what clients have in their address bar; *.example.com is possible")
}

fn self_signed_form() -> Form {
    let fields = vec![
        Field::text("label", "Label", "layer-seven-certificate-label").placeholder("shop"),
        names_field("names"),
        Field::number("days", "Valid for", "layer-seven-certificate-days", 1, 3650).unit("days").value("825"),
    ];
    form("Make a self-signed certificate", fields)
}

fn request_form() -> Form {
    let text = |name, label: &str| Field::text(name, label, "layer-seven-certificate-subject");
    let fields = vec![
        names_field("request_names"),
        text("organization", "Organization"),
        text("unit", "Organizational unit"),
        text("locality", "Locality"),
        text("state", "State or province"),
        text("country", "Country").hint("Two capital letters"),
    ];
    form("Ask an authority for a certificate (CSR)", fields)
}

pub(super) fn typed(mut form: Form, sent: &Sent) -> Form {
    for field in form.fields_mut() {
        field.value = sent.get(field.name).to_owned();
    }
    form
}

pub(super) fn names(sent: &Sent, field: &str) -> Vec<String> {
    let text = sent.get(field).to_owned();
    text.split(|c: char| c.is_whitespace() || c == ',').filter(|n| !n.is_empty()).map(str::to_lowercase).collect()
}

/// The field that lbd refuses, and its reason with the hint.
pub(super) fn refused(error: ClientError) -> Result<(String, String), Refusal> {
    match error {
        ClientError::Refused(ApiError { problems, message, hint, .. }) => Ok(match problems.first() {
            Some(problem) => {
                let hint = problem.hint.as_ref().map_or_else(String::new, |hint| format!(" Hint: {hint}."));
                let field = problem.path.trim_start_matches('/').to_owned();
                (field, format!("{}.{hint}", capital(&problem.reason)))
            }
            None => (String::new(), format!("{}. {}", capital(&message), hint.unwrap_or_default())),
        }),
        other => Err(other.into()),
    }
}

pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

pub(super) fn label(text: &str) -> Result<Label, String> {
    match text.trim() {
        "" => Err("A label is needed here: virtual servers name the certificate by it.".to_owned()),
        text => text.parse::<Label>().map_err(|why| format!("{}.", capital(&why.to_string()))),
    }
}

/// The candidate in which `label` is this certificate.
fn named(config: &Config, label: &Label, view: &CertificateView) -> Config {
    let mut config = config.clone();
    if let Some(certificate) = view.named(label.clone()) {
        match config.layer7.certificates.iter_mut().find(|is| is.label == *label) {
            Some(is) => *is = Certificate { stapling: is.stapling, ..certificate },
            None => config.layer7.certificates.push(certificate),
        }
    }
    config
}

async fn staged(app: &Shared, seat: &Seat, label: &Label, view: &CertificateView) -> Result<Response, Refusal> {
    seat.audit(app, "certificate", &format!("{label}: {} ({})", view.subject, view.fingerprint));
    let author = seat.session.who.user.clone();
    let _: Edit<Infallible> = app.lbd.edit(&author, |config| Ok(named(config, label, view))).await?;
    let mut lines = vec![format!("SHA-256 {}", view.fingerprint)];
    lines.extend(view.warning.as_ref().map(|warning| capital(warning)));
    let flash =
        Flash::good(format!("The certificate is on the unit; its label {label} is a pending change.")).lines(lines);
    Ok(go(app, seat, LIST, flash))
}

#[derive(Default)]
struct Files {
    csrf: String,
    label: String,
    passphrase: String,
    authority: bool,
    file: Vec<u8>,
    key: String,
}

impl Files {
    async fn read(request: Request, app: &Shared) -> Result<Files, Refusal> {
        let unreadable = |e: axum::extract::multipart::MultipartError| Refusal::Unreadable(e.body_text());
        let mut parts = Multipart::from_request(request, app).await.map_err(|e| Refusal::Unreadable(e.body_text()))?;
        let mut files = Files::default();
        while let Some(part) = parts.next_field().await.map_err(unreadable)? {
            let name = part.name().unwrap_or_default().to_owned();
            let bytes = part.bytes().await.map_err(unreadable)?;
            let text = || String::from_utf8_lossy(&bytes).trim().to_owned();
            match name.as_str() {
                "csrf" => files.csrf = text(),
                "label" => files.label = text(),
                "passphrase" => files.passphrase = text(),
                "authority" => files.authority = !bytes.is_empty(),
                "file" | "text" if !bytes.is_empty() => files.file = bytes.to_vec(),
                "key" => files.key = text(),
                _ => {}
            }
        }
        Ok(files)
    }

    fn request(self, author: String) -> AddCertificate {
        let secret = |text: String| (!text.is_empty()).then(|| Secret::new(text));
        let (pem, pfx) = match String::from_utf8(self.file) {
            Ok(text) if text.contains("-----BEGIN ") => (Some(Secret::new(text)), None),
            Ok(text) => (None, Some(Secret::new(STANDARD.encode(text)))),
            Err(other) => (None, Some(Secret::new(STANDARD.encode(other.into_bytes())))),
        };
        let (key, passphrase) = (secret(self.key), secret(self.passphrase));
        AddCertificate { pem, pfx, key, passphrase, authority: self.authority, author }
    }
}

async fn upload(State(app): State<Shared>, seat: Seat, request: Request) -> Result<Response, Refusal> {
    let files = Files::read(request, &app).await?;
    if !seat.session.csrf_matches(&files.csrf) {
        seat.refused(&app, &format!("POST {UPLOAD}"), "the form's token is not this session's");
        return Err(Refusal::Stale);
    }
    seat.must(&app, Permission::Configure, "add a certificate")?;
    let mut upload = Upload { label_typed: files.label.clone(), ..Upload::default() };
    let label = label(&files.label).map_err(|text| upload.label = text).ok();
    if files.file.is_empty() {
        upload.file = "Choose a file, or paste the certificate with its key.".into();
    } else if files.file.len() > LARGEST {
        upload.file =
            format!("It has {} bytes, and at most {LARGEST} are taken: is this another file?", files.file.len());
    }
    if let Some(label) = label.filter(|_| upload.is_fine()) {
        match app.lbd.client.add_certificate(&files.request(seat.session.who.user.clone())).await {
            Ok(view) => return staged(&app, &seat, &label, &view).await,
            Err(error) => {
                let (field, text) = refused(error)?;
                seat.refused(&app, "certificate", &text);
                upload.at(&field, text);
            }
        }
    }
    frame::refused(&page(&app, &seat, Returned { upload, ..Returned::default() }).await?)
}

async fn self_signed(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Configure, "make a certificate")?;
    let form = typed(self_signed_form(), &sent);
    let form = match (label(sent.get("label")), sent.get("days").trim().parse::<u32>()) {
        (Err(text), _) => wrong(form, "label", text),
        (_, Err(_)) => wrong(form, "days", "This is not a whole number of days.".into()),
        (Ok(label), Ok(days)) => {
            let author = seat.session.who.user.clone();
            let request = SelfSigned { names: names(&sent, "names"), days: Some(days), author };
            match app.lbd.client.self_signed(&request).await {
                Ok(view) => return staged(&app, seat, &label, &view).await,
                Err(error) => {
                    let (field, text) = refused(error)?;
                    wrong(form, &field, text)
                }
            }
        }
    };
    frame::refused(&page(&app, seat, Returned { self_signed: Some(form), ..Returned::default() }).await?)
}

async fn request(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Configure, "ask for a certificate")?;
    let form = typed(request_form(), &sent);
    let text = |name| sent.get(name).trim().to_owned();
    let request = RequestCertificate {
        names: names(&sent, "request_names"),
        organization: text("organization"),
        unit: text("unit"),
        locality: text("locality"),
        state: text("state"),
        country: text("country"),
        author: seat.session.who.user.clone(),
    };
    match app.lbd.client.request_certificate(&request).await {
        Ok(view) => {
            seat.audit(&app, "certificate", &format!("requested {} ({})", view.subject, view.fingerprint));
            let flash = Flash::good("The key is made, and stays on this unit. The request stands in the list.");
            Ok(go(&app, seat, LIST, flash))
        }
        Err(error) => {
            let (field, text) = refused(error)?;
            let field = if field == "names" { "request_names" } else { &field };
            let request = Some(wrong(form, field, text));
            frame::refused(&page(&app, seat, Returned { request, ..Returned::default() }).await?)
        }
    }
}

/// Whether clients are shown what the responder says.
async fn stapling(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Configure, "change OCSP stapling")?;
    let view = found(&app, sent.get("certificate")).await?;
    let on = sent.get("stapling") == "on";
    let change = |config: &Config| {
        let mut config = config.clone();
        let all = config.layer7.certificates.iter_mut();
        all.filter(|named| named.fingerprint.as_str() == view.fingerprint).for_each(|named| named.stapling = on);
        Ok(config)
    };
    let _: Edit<Infallible> = app.lbd.edit(&seat.session.who.user, change).await?;
    let word = if on { "on" } else { "off" };
    seat.audit(&app, "certificate", &format!("OCSP stapling {word}: {} ({})", view.subject, view.fingerprint));
    Ok(go(&app, seat, LIST, Flash::good(format!("OCSP stapling {word} is a pending change."))))
}

#[derive(Template)]
#[template(path = "access_ask.html")]
struct Ask {
    frame: Frame,
    lines: Vec<String>,
    action: &'static str,
    name: &'static str,
    value: String,
    button: &'static str,
    back: &'static str,
}

#[derive(Deserialize)]
struct Of {
    #[serde(default)]
    certificate: String,
}

async fn found(app: &Shared, fingerprint: &str) -> Result<CertificateView, Refusal> {
    let all = app.lbd.client.certificates().await?;
    let one = all.into_iter().find(|view| view.fingerprint == fingerprint);
    one.ok_or_else(|| Refusal::NotFound("There is no such certificate.".into()))
}

async fn ask(State(app): State<Shared>, seat: Seat, Query(of): Query<Of>) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Configure, "remove a certificate")?;
    let view = found(&app, &of.certificate).await?;
    let what = row(view.clone(), &app.lbd.candidate().await?.config);
    let lines = match what.labels.as_str() {
        "" => vec![
            format!("{} ({}) is removed from this unit at once, with its key.", what.names, what.kind),
            "It cannot be brought back, but uploaded again.".to_owned(),
        ],
        labels => vec![
            format!("{labels} ({}) is taken out of the configuration: a pending change.", what.names),
            "Its key stays on the unit until it is removed once more after the change was applied.".to_owned(),
        ],
    };
    let frame = Frame::load(&app, &seat, HERE, &[EDIT, TITLE, "Remove a certificate"]).await?;
    show(&Ask {
        frame,
        lines,
        action: REMOVE,
        name: "certificate",
        value: view.fingerprint,
        button: "Remove",
        back: LIST,
    })
}

async fn remove(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Configure, "remove a certificate")?;
    let view = found(&app, sent.get("certificate")).await?;
    let author = seat.session.who.user.clone();
    let candidate = app.lbd.candidate().await?;
    let is =
        |config: &Config| config.layer7.certificates.iter().any(|named| named.fingerprint.as_str() == view.fingerprint);
    if is(&candidate.config) {
        let without = |config: &Config| {
            let mut config = config.clone();
            config.layer7.certificates.retain(|named| named.fingerprint.as_str() != view.fingerprint);
            config
        };
        let _: Edit<Infallible> = app.lbd.edit(&author, |config| Ok(without(config))).await?;
        let flash = Flash::good("The certificate is out of the configuration as soon as that is applied.");
        return Ok(go(&app, seat, LIST, flash));
    }
    let Ok(fingerprint) = view.fingerprint.parse::<CertificateFingerprint>() else {
        return Err(Refusal::NotFound("There is no such certificate.".into()));
    };
    let flash = match app.lbd.client.remove_certificate(&fingerprint, &ByRequest { author }).await {
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
        for field in [self_signed_form(), request_form()].iter().flat_map(Form::fields) {
            assert!(crate::help::field(field.help).is_some(), "{} is not explained", field.help);
        }
        for upload in
            ["layer-seven-certificate-label", "layer-seven-certificate-file", "layer-seven-certificate-passphrase"]
        {
            assert!(crate::help::field(upload).is_some(), "{upload}");
        }
    }
}
