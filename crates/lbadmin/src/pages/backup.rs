//! Maintenance > Backup & Restore, and Support > Support Bundle.
//!
//! A restore takes two steps. The file is read and opened, and a page says what it would change; what was opened waits
//! in memory, for its session only, a few at a time and not for long. The second step puts the configuration into the
//! candidate. Tested by `tests/it/backup.rs`.

use crate::{
    Shared,
    app::{Flash, now},
    backup::{Backup, BackupError, LARGEST, LONGEST_PASSPHRASE, SHORTEST_PASSPHRASE},
    forms::Field,
    frame::{self, Frame, go, show, time},
    refusal::{Refusal, words},
    restore::{self, Looked, RestoreError, Wanted},
    seat::{Seat, Sent},
    support::{self, BundleError},
};
use askama::Template;
use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State},
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use lb_access::Permission;
use lb_model::{Change, Problem};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

const HERE: &str = "maintenance/backup";
const PAGE: &str = "/lbadmin/maintenance/backup";
const DOWNLOAD: &str = "/lbadmin/maintenance/backup/download";
const LOOK: &str = "/lbadmin/maintenance/backup/look";
const RESTORE: &str = "/lbadmin/maintenance/backup/restore";
const BUNDLE: &str = "/lbadmin/support/bundle";

/// Restores that wait for their second step.
const WAITING: usize = 8;
/// Seconds that one waits.
const PATIENCE: u64 = 900;
/// Changes that the page shows.
const SHOWN: usize = 500;

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(PAGE, get(page))
        .route(DOWNLOAD, post(download))
        .route(LOOK, post(look).layer(DefaultBodyLimit::max(LARGEST + (64 << 10))))
        .route(RESTORE, post(restore_it))
        .route(BUNDLE, get(bundle_page).post(bundle))
        .layer(Extension(Arc::<Waiting>::default()))
}

/// What was opened and is looked at, by session.
#[derive(Default)]
struct Waiting(Mutex<HashMap<String, (u64, Looked, bool)>>);

impl Waiting {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (u64, Looked, bool)>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        all.retain(|_, (since, ..)| now.saturating_sub(*since) < PATIENCE);
        all
    }

    fn keep(&self, session: &str, looked: Looked, keep_node: bool) {
        let mut all = self.lock();
        if all.len() >= WAITING
            && let Some(oldest) = all.iter().min_by_key(|(_, (since, ..))| *since).map(|(s, _)| s.clone())
        {
            all.remove(&oldest);
        }
        all.insert(session.to_owned(), (now(), looked, keep_node));
    }

    fn take(&self, session: &str) -> Option<(Looked, bool)> {
        self.lock().remove(session).map(|(_, looked, keep_node)| (looked, keep_node))
    }
}

#[derive(Template)]
#[template(path = "backup.html")]
struct Page {
    frame: Frame,
    /// Fields only: the page has its own buttons.
    make: Vec<Field>,
    read: Vec<Field>,
    file: String,
    look: &'static str,
    download: &'static str,
    with_secrets: bool,
    may_restore: bool,
}

fn make_fields() -> Vec<Field> {
    vec![
        Field::password("passphrase", "Passphrase", "backup-passphrase").hint(format!(
            "Empty: the file holds the configuration only. {SHORTEST_PASSPHRASE} to {LONGEST_PASSPHRASE} characters: it \
             also holds users, tokens and the https key, encrypted."
        )),
        Field::password("repeat", "Passphrase again", "backup-passphrase"),
    ]
}

fn read_fields() -> Vec<Field> {
    vec![
        Field::password("passphrase", "Passphrase", "restore-passphrase")
            .hint("Only to restore users, tokens or the https key."),
        Field::checkbox("keep_node", "Keep what belongs to this unit", "restore-keep-node")
            .hint("Host name, nameservers, addresses, gateways and routes stay as they run."),
    ]
}

/// The page, with an error at one of its fields.
async fn all(app: &Shared, seat: &Seat, wrong: Option<(&str, &str, String)>) -> Result<Page, Refusal> {
    let frame = Frame::load(app, seat, HERE, &["Maintenance", "Backup & Restore"]).await?;
    let mut page = Page {
        make: make_fields(),
        read: read_fields(),
        file: String::new(),
        look: LOOK,
        download: DOWNLOAD,
        with_secrets: frame.may_administer,
        may_restore: frame.may_configure,
        frame,
    };
    match wrong {
        Some(("file", _, text)) => page.file = text,
        Some((form, name, text)) => {
            let fields = if form == "make" { &mut page.make } else { &mut page.read };
            fields.iter_mut().filter(|f| f.name == name).for_each(|f| f.error = Some(text.clone()));
        }
        None => {}
    }
    Ok(page)
}

async fn page(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Backup, "backup")?;
    show(&all(&app, &seat, None).await?)
}

fn attachment(kind: &'static str, name: &str, bytes: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, bytes).into_response()
}

async fn download(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Backup, "backup")?;
    let passphrase = Some(sent.get("passphrase")).filter(|p| !p.is_empty());
    let wrong = |name, text: &str| Some(("make", name, text.to_owned()));
    if passphrase.is_some() {
        seat.must(&app, Permission::Administer, "backup with users and keys")?;
        if passphrase != Some(sent.get("repeat")) {
            return frame::refused(&all(&app, seat, wrong("repeat", "The two are not the same.")).await?);
        }
    }
    let made = restore::make(&app, &seat.session.who, passphrase.map(str::to_owned)).await;
    match made {
        Ok(backup) => {
            let text = serde_json::to_vec_pretty(&backup).map_err(|e| Refusal::Internal(e.to_string()))?;
            Ok(attachment("application/json", &backup.file_name(), text))
        }
        Err(RestoreError::Lbd(error)) => Err(error.into()),
        Err(error) => frame::refused(&all(&app, seat, wrong("passphrase", &sentence(&error))).await?),
    }
}

fn sentence(error: &impl ToString) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str() + ".")
}

/// What a form with a file brought.
#[derive(Default)]
struct Upload {
    csrf: String,
    backup: Vec<u8>,
    passphrase: String,
    keep_node: bool,
}

impl Upload {
    async fn read(request: Request, app: &Shared) -> Result<Upload, Refusal> {
        let unreadable = |e: axum::extract::multipart::MultipartError| Refusal::Unreadable(e.body_text());
        let mut parts = Multipart::from_request(request, app).await.map_err(|e| Refusal::Unreadable(e.body_text()))?;
        let mut upload = Upload::default();
        while let Some(part) = parts.next_field().await.map_err(unreadable)? {
            let name = part.name().unwrap_or_default().to_owned();
            let bytes = part.bytes().await.map_err(unreadable)?;
            let text = || String::from_utf8_lossy(&bytes).into_owned();
            match name.as_str() {
                "csrf" => upload.csrf = text(),
                "passphrase" => upload.passphrase = text(),
                "keep_node" => upload.keep_node = true,
                // A browser sends an empty file for none chosen; the text may be there instead.
                "file" | "text" if !bytes.trim_ascii().is_empty() => upload.backup = bytes.to_vec(),
                _ => {}
            }
        }
        Ok(upload)
    }
}

#[derive(Template)]
#[template(path = "restore.html")]
struct Preview {
    frame: Frame,
    made: String,
    hostname: String,
    software: String,
    changes: Vec<Change>,
    more: usize,
    problems: Vec<Problem>,
    cuts_off: bool,
    users: Option<String>,
    tokens: usize,
    certificate: String,
    fields: Vec<Field>,
    restore: &'static str,
    back: &'static str,
}

async fn look(
    State(app): State<Shared>,
    seat: Seat,
    Extension(waiting): Extension<Arc<Waiting>>,
    request: Request,
) -> Result<Response, Refusal> {
    let upload = Upload::read(request, &app).await?;
    if !seat.session.csrf_matches(&upload.csrf) {
        seat.refused(&app, &format!("POST {LOOK}"), "the form's token is not this session's");
        return Err(Refusal::Stale);
    }
    seat.must(&app, Permission::Configure, "restore")?;
    let passphrase = Some(upload.passphrase).filter(|p| !p.is_empty());
    let looked = match upload.backup.is_empty() {
        true => Err(RestoreError::Internal("choose a file, or paste its text".into())),
        false => match Backup::parse(&upload.backup) {
            Ok(backup) => restore::look(&app, backup, passphrase, upload.keep_node).await,
            Err(error) => Err(error.into()),
        },
    };
    let looked = match looked {
        Ok(looked) => looked,
        Err(RestoreError::Lbd(error)) => return Err(error.into()),
        Err(error) => {
            seat.refused(&app, "restore", &error.to_string());
            let at_passphrase = matches!(
                error,
                RestoreError::Busy
                    | RestoreError::Backup(
                        BackupError::Passphrase | BackupError::PassphraseLength | BackupError::NoSecrets
                    )
            );
            let wrong = if at_passphrase { ("read", "passphrase") } else { ("file", "") };
            return frame::refused(&all(&app, &seat, Some((wrong.0, wrong.1, sentence(&error)))).await?);
        }
    };
    let preview = preview(&app, &seat, &looked).await?;
    waiting.keep(&seat.session.id, looked, upload.keep_node);
    show(&preview)
}

async fn preview(app: &Shared, seat: &Seat, looked: &Looked) -> Result<Preview, Refusal> {
    let frame = Frame::load(app, seat, HERE, &["Maintenance", "Backup & Restore", "What would change"]).await?;
    let reach = |n: &lb_model::Node| (n.interfaces.clone(), n.gateway, n.gateway6, n.routes.clone());
    let running = app.lbd.running().await?;
    let opened = looked.secrets.as_ref();
    let user = |(name, role): &(String, lb_access::Role)| format!("{name} ({role})");
    let fields = match opened {
        None => Vec::new(),
        Some(_) => vec![
            Field::checkbox("users", "Users, tokens and web settings", "restore-users")
                .hint("They take the place of those that are there, at once; you may have to log in again."),
            Field::checkbox("certificate", "Certificate of https", "restore-certificate")
                .hint("It is served at once, from the next connection on."),
        ],
    };
    Ok(Preview {
        frame,
        made: time(looked.made),
        hostname: looked.hostname.clone(),
        software: looked.software.clone(),
        changes: looked.changes.iter().take(SHOWN).cloned().collect(),
        more: looked.changes.len().saturating_sub(SHOWN),
        problems: looked.problems.clone(),
        cuts_off: reach(&running.config.node) != reach(&looked.config.node),
        users: opened.map(|o| o.users.iter().map(user).collect::<Vec<_>>().join(", ")),
        tokens: opened.map_or(0, |o| o.tokens),
        certificate: opened.map_or_else(String::new, |o| o.certificate.fingerprint.clone()),
        fields,
        restore: RESTORE,
        back: PAGE,
    })
}

async fn restore_it(
    State(app): State<Shared>,
    Extension(waiting): Extension<Arc<Waiting>>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Configure, "restore")?;
    let Some((looked, keep_node)) = waiting.take(&seat.session.id) else {
        return Ok(go(&app, seat, PAGE, Flash::bad("No backup waits to be restored any more: choose it again.")));
    };
    let wanted = Wanted { keep_node, users: sent.get("users") == "on", certificate: sent.get("certificate") == "on" };
    if wanted.users || wanted.certificate {
        seat.must(&app, Permission::Administer, "restore users and keys")?;
    }
    match restore::restore(&app, &seat.session.who, looked, wanted).await {
        Ok(view) if view.changes.is_empty() => {
            Ok(go(&app, seat, "/lbadmin/changes", Flash::good("The backup is what runs already: nothing is pending.")))
        }
        Ok(_) => Ok(go(&app, seat, "/lbadmin/changes", Flash::good("The backup is pending. Look, and apply it."))),
        Err(RestoreError::Lbd(error)) => {
            seat.refused(&app, "restore", &words(&error));
            Ok(go(&app, seat, PAGE, Flash::bad(words(&error))))
        }
        Err(error) => {
            seat.refused(&app, "restore", &error.to_string());
            Ok(go(&app, seat, PAGE, Flash::bad(sentence(&error))))
        }
    }
}

#[derive(Template)]
#[template(path = "support_bundle.html")]
struct BundlePage {
    frame: Frame,
    action: &'static str,
}

async fn bundle_page(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Backup, "support bundle")?;
    let frame = Frame::load(&app, &seat, "support/bundle", &["Support", "Support Bundle"]).await?;
    show(&BundlePage { frame, action: BUNDLE })
}

async fn bundle(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Backup, "support bundle")?;
    match support::bundle(&app).await {
        Ok(bundle) => {
            seat.audit(&app, "support-bundle", &bundle.name);
            Ok(attachment("application/gzip", &bundle.name, bundle.bytes))
        }
        Err(BundleError::Busy) => Ok(go(&app, seat, BUNDLE, Flash::bad("Another bundle is being made. Try again."))),
        Err(BundleError::Internal(what)) => Err(Refusal::Internal(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_mark_leads_to_the_guide() {
        let own = [
            "backup-passphrase",
            "restore-file",
            "restore-passphrase",
            "restore-keep-node",
            "restore-users",
            "restore-certificate",
        ];
        for anchor in own {
            assert!(crate::help::field(anchor).is_some(), "{anchor} is not explained");
        }
        assert!(make_fields().iter().chain(&read_fields()).all(|f| own.contains(&f.help)));
    }
}
