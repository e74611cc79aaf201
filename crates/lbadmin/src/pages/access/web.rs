//! Edit Configuration > Web Interface: http and session time-outs, the certificate of https.

use super::{blocking, forms, html, sentence};
use crate::{
    Shared,
    app::{Flash, now},
    forms::Form,
    frame::{self, Frame, go, show, time},
    refusal::Refusal,
    seat::{Scheme, Seat, Sent},
    server::host,
    tls::{Certificate, LARGEST, TlsError},
};
use askama::Template;
use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State},
    http::HeaderMap,
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use lb_access::{HttpMode, Permission, WebSettings};
use std::net::IpAddr;

const HERE: &str = "edit/web-interface";
const PAGE: &str = "/lbadmin/edit/web-interface";
const UPLOAD: &str = "/lbadmin/edit/web-interface/certificate";
const SELF_SIGNED: &str = "/lbadmin/edit/web-interface/self-signed";
/// Both files, and what is around them.
const LARGEST_UPLOAD: usize = 2 * LARGEST + (16 << 10);
/// Names of a certificate made here.
const MOST_NAMES: usize = 20;
/// Days before its end at which a certificate is warned about.
const SOON: u64 = 30 * 86_400;

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(PAGE, get(page).post(take))
        .route(UPLOAD, post(upload).layer(DefaultBodyLimit::max(LARGEST_UPLOAD)))
        .route(SELF_SIGNED, post(self_signed))
}

#[derive(Template)]
#[template(path = "web_interface.html")]
struct Page {
    frame: Frame,
    /// How the administrator is connected, and what follows from it.
    secure: bool,
    host: String,
    https_port: u16,
    settings: String,
    certificate: Certificate,
    from: String,
    to: String,
    expired: bool,
    soon: bool,
    upload: Upload,
    upload_to: &'static str,
    self_signed: String,
}

/// What was wrong with an upload. The key is not shown again, wherever it was put.
#[derive(Default)]
struct Upload {
    chain: String,
    key: String,
}

#[derive(Default)]
struct Returned {
    settings: Option<Form>,
    upload: Upload,
    self_signed: Option<Form>,
}

async fn all(app: &Shared, seat: &Seat, headers: &HeaderMap, returned: Returned) -> Result<Page, Refusal> {
    let frame = Frame::load(app, seat, HERE, &["Edit Configuration", "Web Interface"]).await?;
    let certificate = app.tls.certificate();
    let settings = returned.settings.unwrap_or_else(|| forms::web(&app.access.settings()));
    let names = returned.self_signed.unwrap_or_else(|| forms::own_certificate(&certificate.names));
    Ok(Page {
        secure: seat.scheme == Scheme::Https,
        host: host(headers).unwrap_or_else(|| frame.hostname.clone()),
        https_port: app.https_port,
        settings: html(&settings, PAGE, seat)?,
        from: time(certificate.not_before),
        to: time(certificate.not_after),
        expired: certificate.not_after < now(),
        soon: certificate.not_after < now() + SOON,
        certificate,
        upload: returned.upload,
        upload_to: UPLOAD,
        self_signed: html(&names, SELF_SIGNED, seat)?,
        frame,
    })
}

async fn page(State(app): State<Shared>, seat: Seat, headers: HeaderMap) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "Web Interface")?;
    show(&all(&app, &seat, &headers, Returned::default()).await?)
}

/// Said instead of a redirect when the settings end the connection that they came by: a browser may not be sent to
/// another port by the answer to a form (`form-action 'self'`).
#[derive(Template)]
#[template(path = "moved.html")]
struct Moved {
    off: bool,
    to: String,
    fingerprint: String,
}

async fn take(State(app): State<Shared>, headers: HeaderMap, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "change the web interface")?;
    let form = forms::typed(forms::web(&app.access.settings()), &sent);
    let form = match settings(&sent) {
        Err((field, text)) => forms::wrong(form, field, text),
        Ok(settings) => {
            let (by, http) = (seat.session.who.clone(), settings.http);
            match blocking(&app, move |access| access.set_settings(settings, &by, now())).await? {
                Err(refusal) => forms::wrong(form, refusal.field(), sentence(&refusal)),
                Ok(()) if seat.scheme == Scheme::Http && http != HttpMode::On => {
                    let host = host(&headers).unwrap_or_default();
                    let page = Moved {
                        off: http == HttpMode::Off,
                        to: format!("https://{host}:{}{PAGE}", app.https_port),
                        fingerprint: app.tls.certificate().fingerprint,
                    };
                    return Ok(Html(page.render()?).into_response());
                }
                Ok(()) => return Ok(go(&app, seat, PAGE, Flash::good("The web interface is changed."))),
            }
        }
    };
    frame::refused(&all(&app, seat, &headers, Returned { settings: Some(form), ..Returned::default() }).await?)
}

/// What was typed, or the field that cannot be read.
fn settings(sent: &Sent) -> Result<WebSettings, (&'static str, String)> {
    let seconds = |field: &'static str| {
        let number = sent.get(field).trim().parse::<u32>();
        number.map_err(|_| (field, "This is not a whole number of seconds.".to_owned()))
    };
    let http = sent.get("http").parse::<HttpMode>().map_err(|refusal| (refusal.field(), sentence(&refusal)))?;
    let open_metrics = match sent.get("metrics") {
        "" | "token" => false,
        "everybody" => true,
        _ => return Err(("metrics", "This is none of the choices. Choose token or everybody.".to_owned())),
    };
    let (session_idle, session_absolute) = (seconds("session_idle")?, seconds("session_absolute")?);
    Ok(WebSettings { http, session_idle, session_absolute, open_metrics })
}

/// What a form with files brought.
#[derive(Default)]
struct Files {
    csrf: String,
    chain: String,
    key: String,
}

impl Files {
    /// A file and a text of the same name may both come: a browser sends an empty one for what was not chosen.
    async fn read(request: Request, app: &Shared) -> Result<Files, Refusal> {
        let unreadable = |e: axum::extract::multipart::MultipartError| Refusal::Unreadable(e.body_text());
        let mut parts = Multipart::from_request(request, app).await.map_err(|e| Refusal::Unreadable(e.body_text()))?;
        let mut files = Files::default();
        while let Some(part) = parts.next_field().await.map_err(unreadable)? {
            let name = part.name().unwrap_or_default().to_owned();
            let bytes = part.bytes().await.map_err(unreadable)?;
            let text = String::from_utf8_lossy(&bytes);
            let place = match name.as_str() {
                "csrf" => &mut files.csrf,
                "chain" | "chain_text" => &mut files.chain,
                "key" | "key_text" => &mut files.key,
                _ => continue,
            };
            place.push_str(text.trim());
        }
        Ok(files)
    }
}

async fn upload(
    State(app): State<Shared>,
    seat: Seat,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    let files = Files::read(request, &app).await?;
    if !seat.session.csrf_matches(&files.csrf) {
        seat.refused(&app, &format!("POST {UPLOAD}"), "the form's token is not this session's");
        return Err(Refusal::Stale);
    }
    seat.must(&app, Permission::Administer, "replace the certificate")?;
    let mut upload = Upload::default();
    if files.chain.is_empty() {
        upload.chain = "Choose a file, or paste the certificate.".into();
    }
    if files.key.is_empty() && !files.chain.contains("PRIVATE KEY-----") {
        upload.key = "Choose a file, or paste the private key.".into();
    }
    if upload.chain.is_empty() && upload.key.is_empty() {
        // One file may hold both.
        let key = if files.key.is_empty() { files.chain.clone() } else { files.key };
        let shared = app.clone();
        let replaced = tokio::task::spawn_blocking(move || shared.tls.replace(&files.chain, &key, now()))
            .await
            .map_err(|e| Refusal::Internal(format!("replacing the certificate: {e}")))?;
        match replaced {
            Ok(certificate) => return Ok(changed(&app, &seat, &certificate)),
            Err(error) => {
                seat.refused(&app, "certificate", &error.to_string());
                let text = capital(&error.to_string());
                match error {
                    TlsError::Key(_) | TlsError::Pair(_) => upload.key = text,
                    TlsError::TooLarge | TlsError::Certificate(_) | TlsError::NotValidNow { .. } | TlsError::Io(_) => {
                        upload.chain = text;
                    }
                }
            }
        }
    }
    frame::refused(&all(&app, &seat, &headers, Returned { upload, ..Returned::default() }).await?)
}

fn changed(app: &Shared, seat: &Seat, certificate: &Certificate) -> Response {
    seat.audit(app, "certificate", &format!("{}, SHA-256 {}", certificate.subject, certificate.fingerprint));
    let flash = Flash::good("The certificate is in use from the next connection on.")
        .lines(vec![format!("SHA-256 {}", certificate.fingerprint)]);
    go(app, seat, PAGE, flash)
}

async fn self_signed(State(app): State<Shared>, headers: HeaderMap, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "make a certificate")?;
    let form = forms::typed(forms::own_certificate(&[]), &sent);
    let form = match names(sent.get("names")) {
        Err(text) => forms::wrong(form, "names", text),
        Ok(names) => {
            let shared = app.clone();
            let made = tokio::task::spawn_blocking(move || shared.tls.renew(&names, now()))
                .await
                .map_err(|e| Refusal::Internal(format!("making a certificate: {e}")))?;
            match made {
                Ok(certificate) => return Ok(changed(&app, seat, &certificate)),
                Err(error) => forms::wrong(form, "names", capital(&error.to_string())),
            }
        }
    };
    frame::refused(&all(&app, seat, &headers, Returned { self_signed: Some(form), ..Returned::default() }).await?)
}

/// Host names (a `*` as the first label) and addresses, apart by blanks or commas.
fn names(text: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for name in text.split(|c: char| c.is_whitespace() || c == ',').filter(|name| !name.is_empty()) {
        let name = name.to_lowercase();
        if name.parse::<IpAddr>().is_err() && !is_host(&name) {
            let shown: String = name.chars().take(60).collect();
            return Err(format!("{shown:?} is neither a host name nor an IP address."));
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match names.len() {
        0 => Err("At least one name or address is needed.".into()),
        1..=MOST_NAMES => Ok(names),
        _ => Err(format!("More than {MOST_NAMES} names are too many.")),
    }
}

/// RFC 1123, section 2.1.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.strip_prefix("*.").unwrap_or(name).split('.').all(label)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str() + ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hosts_and_addresses_each_once() {
        let found = names("LB.example.com, lb.example.com\n10.0.0.21\r\n fd00::21 *.example.com").unwrap();
        assert_eq!(found, ["lb.example.com", "10.0.0.21", "fd00::21", "*.example.com"]);
        for wrong in ["", " ,\n", "a_b", "-a.example", "a..b", "a b<c", "http://x", &"a".repeat(64), "a.*.b"] {
            assert!(names(wrong).is_err(), "{wrong:?}");
        }
        let many: Vec<String> = (0..21).map(|n| format!("h{n}")).collect();
        assert!(names(&many.join(" ")).is_err());
    }
}
