//! Maintenance > Software Update: both slots, the last update and why it did not stay, the upload, the way there and back.
//!
//! What is shown comes from root's door ([`crate::update`]); lbd is not needed. Without scripts the page loads itself
//! again while an installation is under way; with them it also tells how far an upload is. Tested by `tests/it/update.rs`.

use super::{overview::bytes, services::Gone};
use crate::{
    Shared,
    app::Flash,
    frame::{Frame, go, show, time},
    refusal::Refusal,
    seat::{Seat, Sent},
    update::{UpdateError, comes_next},
};
use askama::Template;
use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{Stream, StreamExt};
use lb_access::Permission;
use lb_api::{BundleView, HaRole, HaView, LastUpdate, SlotView, UpdateAct, UpdateStage, UpdateStep, UpdateView};
use std::time::Duration;

const HERE: &str = "maintenance/update";
const PAGE: &str = "/lbadmin/maintenance/update";
pub const UPLOAD: &str = "/lbadmin/maintenance/update/upload";
const INSTALL: &str = "/lbadmin/maintenance/update/install";
const REMOVE: &str = "/lbadmin/maintenance/update/remove";
const ACKNOWLEDGE: &str = "/lbadmin/maintenance/update/acknowledge";
const RESTART: &str = "/lbadmin/maintenance/update/restart";
const BACK: &str = "/lbadmin/maintenance/update/back";

/// Of an upload that was refused, so much more is taken and forgotten, so that the browser reads the answer.
const FORGOTTEN: u64 = 1 << 30;
const FORGETTING: Duration = Duration::from_secs(300);
/// Seconds between two looks without scripts.
const REFRESH: u32 = 3;

pub fn routes() -> Router<Shared> {
    Router::new()
        .route(PAGE, get(page))
        .route(UPLOAD, post(upload).layer(DefaultBodyLimit::disable()))
        .route(INSTALL, post(install))
        .route(REMOVE, post(remove))
        .route(ACKNOWLEDGE, post(acknowledge))
        .route(RESTART, get(ask_restart).post(restart))
        .route(BACK, get(ask_back).post(back))
}

struct Row {
    slot: String,
    version: String,
    class: &'static str,
    state: &'static str,
}

fn row(slot: &SlotView, runs: bool, probation: bool) -> Row {
    let (class, state) = match (runs, slot.version.is_some()) {
        (true, _) if probation => ("state state-wait", "◌ runs, on probation"),
        (true, _) => ("state state-active", "● runs"),
        (false, false) => ("state state-off", "○ empty"),
        (false, true) if slot.next => ("state state-wait", "◌ starts next"),
        (false, true) if slot.startable => ("state state-off", "○ kept"),
        (false, true) => ("state state-down", "✕ is not started"),
    };
    Row { slot: slot.slot.clone(), version: slot.version.clone().unwrap_or_else(|| "none".into()), class, state }
}

/// What became of the last update, as a person reads it.
struct Story {
    good: bool,
    text: String,
    when: String,
    by: String,
    /// There is something to take away.
    alarm: bool,
}

fn story(last: &LastUpdate, probation: bool, running: &str) -> Story {
    let LastUpdate { version, from, .. } = last;
    let reason = last.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let (good, text) = match last.stage {
        UpdateStage::Writing => (true, format!("Version {version} is being written to slot {}.", last.slot)),
        UpdateStage::Installed if probation => (
            true,
            format!(
                "Version {version} runs since this start, and has three minutes to show that it works. Otherwise the \
                 unit goes back to {from} by itself."
            ),
        ),
        UpdateStage::Installed => {
            (true, format!("Version {version} is in slot {}, and runs after a restart.", last.slot))
        }
        UpdateStage::Works => (true, format!("Version {version}, which came after {from}, works.")),
        UpdateStage::Returned => {
            (false, format!("Version {version} did not stay{reason}. This unit runs {running} again."))
        }
        UpdateStage::Interrupted => {
            (false, format!("Version {version} is not installed{reason}. This unit runs {running}."))
        }
    };
    let alarm = !good && !last.acknowledged;
    Story { good, text, when: time(last.time), by: last.by.clone(), alarm }
}

/// How far an installation is.
struct Work {
    text: &'static str,
    percent: u64,
}

/// One that may be installed.
struct Bundle {
    version: String,
    key: String,
    size: String,
    older: bool,
}

/// All that root's door told.
struct Unit {
    rows: Vec<Row>,
    last: Option<Story>,
    work: Option<Work>,
    failed: Option<String>,
    moves: bool,
    /// Bytes of the largest bundle.
    most: u64,
    most_words: String,
    bundle: Option<Bundle>,
    /// Why the bundle that is there cannot be installed.
    bundle_wrong: Option<String>,
    running: String,
    /// What a restart brings.
    next: Option<String>,
    /// What one could go back to.
    former: Option<String>,
}

fn unit(view: &UpdateView, uploaded: Option<Result<BundleView, UpdateError>>) -> Unit {
    let running = view.running.version.clone().unwrap_or_default();
    let (bundle, bundle_wrong) = match uploaded {
        None => (None, None),
        Some(Ok(BundleView { version, key, size, older })) => {
            (Some(Bundle { version, key, size: bytes(size), older }), None)
        }
        Some(Err(error)) => (None, Some(error.sentence())),
    };
    let step = |step| match step {
        UpdateStep::Checking => "Checking the bundle",
        UpdateStep::Writing => "Writing the slot",
        UpdateStep::Reading => "Reading it back from the disk",
    };
    let idle = view.work.is_none() && !view.probation && !view.other.next;
    Unit {
        rows: vec![row(&view.running, true, view.probation), row(&view.other, false, false)],
        last: view.last.as_ref().map(|last| story(last, view.probation, &running)),
        work: view.work.map(|work| Work { text: step(work.step), percent: work.percent() }),
        failed: view.failed.clone().map(|failed| UpdateError::Refused(failed).sentence()),
        moves: view.work.is_some() || view.probation,
        most: view.room,
        most_words: bytes(view.room),
        bundle,
        bundle_wrong,
        next: comes_next(view).map(str::to_owned),
        former: view.other.version.clone().filter(|_| idle && view.other.startable),
        running,
    }
}

#[derive(Template)]
#[template(path = "update.html")]
struct Page {
    frame: Frame,
    unit: Option<Unit>,
    /// Why there is none.
    why: String,
}

async fn page(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "software update")?;
    let mut frame = Frame::load_alone(&app, &seat, HERE, &["Maintenance", "Software Update"]).await?;
    let (unit, why) = match app.updates.view().await {
        // Who installs reads the bundle: it is left alone.
        Ok(view) if view.work.is_some() => (Some(unit(&view, None)), String::new()),
        Ok(view) => (Some(unit(&view, app.updates.uploaded().await)), String::new()),
        Err(error) => (None, error.sentence()),
    };
    if unit.as_ref().is_some_and(|unit| unit.moves) {
        frame.refresh = REFRESH;
    }
    show(&Page { frame, unit, why })
}

async fn upload(State(app): State<Shared>, seat: Seat, request: Request) -> Result<Response, Refusal> {
    let unreadable = |e: axum::extract::multipart::MultipartError| Refusal::Unreadable(e.body_text());
    let headers = request.headers().clone();
    let mut parts = Multipart::from_request(request, &app).await.map_err(|e| Refusal::Unreadable(e.body_text()))?;
    // The token comes first, or nothing behind it is read.
    let token = match parts.next_field().await.map_err(unreadable)? {
        Some(field) if field.name() == Some("csrf") => field.text().await.map_err(unreadable)?,
        _ => String::new(),
    };
    if !seat.session.csrf_matches(&token) {
        seat.refused(&app, &format!("POST {UPLOAD}"), "the form's token is not this session's");
        return Err(Refusal::Stale);
    }
    seat.must(&app, Permission::Administer, "upload an update")?;
    let done = match parts.next_field().await.map_err(unreadable)? {
        Some(field) if field.name() == Some("file") => {
            let mut field = Box::pin(field);
            let length = headers.get(header::CONTENT_LENGTH).and_then(|l| l.to_str().ok()?.parse::<u64>().ok());
            // What the form has around the file is less than this.
            let done = app.updates.receive(length.map(|length| length.saturating_sub(4096)), &mut field).await;
            if done.is_err() {
                forget(field).await;
            }
            done
        }
        _ => Err(UpdateError::NoBundle),
    };
    let flash = match done {
        Ok(bundle) => {
            seat.audit(&app, "update-upload", &format!("Version {}, {} bytes.", bundle.version, bundle.size));
            Flash::good(format!("The bundle is here: version {}, signed with the key {}.", bundle.version, bundle.key))
        }
        Err(error) => {
            seat.refused(&app, "update-upload", &format!("{error}."));
            Flash::bad(error.sentence())
        }
    };
    if wants_page(&headers) {
        return Ok(go(&app, &seat, PAGE, flash));
    }
    // A script goes there by itself; whoever follows for it would take the message away.
    app.tell(&seat.session.id, flash);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Browsers name HTML when they go to a page, and scripts do not.
fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_none_or(|accept| accept.contains("text/html"))
}

async fn forget<T: AsRef<[u8]>, E>(mut bytes: impl Stream<Item = Result<T, E>> + Unpin) {
    let mut taken = 0;
    let _ = tokio::time::timeout(FORGETTING, async {
        while taken < FORGOTTEN
            && let Some(Ok(chunk)) = bytes.next().await
        {
            taken += chunk.as_ref().len() as u64;
        }
    })
    .await;
}

/// Back to the page, with what became of it in the audit log.
fn told(app: &Shared, seat: &Seat, action: &str, detail: &str, done: Result<(), UpdateError>, good: &str) -> Response {
    let flash = match done {
        Ok(()) => {
            seat.audit(app, action, detail);
            Flash::good(good)
        }
        Err(error) => {
            seat.refused(app, action, &format!("{error}."));
            Flash::bad(error.sentence())
        }
    };
    go(app, seat, PAGE, flash)
}

async fn install(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "install an update")?;
    let downgrade = sent.get("downgrade") == "on";
    let done = app.updates.install(downgrade, &seat.session.who).await;
    let detail = if downgrade { "An older version is meant." } else { "" };
    let good = "The installation has begun. The unit goes on serving meanwhile.";
    Ok(told(&app, seat, "update-install", detail, done, good))
}

async fn remove(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "delete an upload")?;
    let done = app.updates.remove().await.map(drop);
    Ok(told(&app, seat, "update-remove", "", done, "The uploaded bundle is deleted."))
}

async fn acknowledge(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "acknowledge an update")?;
    let done = app.updates.act(UpdateAct::Acknowledge, &seat.session.who).await;
    Ok(told(&app, seat, "update-acknowledge", "", done, "The alarm is taken away."))
}

/// A question before the unit does something else than serve.
#[derive(Template)]
#[template(path = "update_sure.html")]
struct Sure {
    frame: Frame,
    effects: Vec<String>,
    /// This unit serves and another one could.
    hand_over: bool,
    button: String,
    back: &'static str,
}

/// Of a pair: this unit has the floating IPs.
pub fn serves(ha: &HaView) -> bool {
    matches!(ha.role, HaRole::Active | HaRole::Taking | HaRole::Releasing)
}

/// What a start of the other system means.
fn probation(to: &str, from: &str) -> String {
    format!(
        "Version {to} then has three minutes to show that it works: lbd, the configuration, the web interface and, in a \
         pair, heartbeat, as they work now. Otherwise the unit goes back to {from} by itself, which takes some minutes \
         more, and says why."
    )
}

const BREAKS: &str = "Every connection through this unit breaks, and no client is served until it is up again: about \
                      a minute. Afterwards clients are balanced as before; persistence begins anew.";
const AGAIN: &str = "This interface goes away and comes back under the same address. Log in again then.";

async fn ask_restart(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "restart into an update")?;
    let view = match app.updates.view().await {
        Ok(view) => view,
        Err(error) => return Ok(go(&app, &seat, PAGE, Flash::bad(error.sentence()))),
    };
    let Some(to) = comes_next(&view) else {
        return Ok(go(&app, &seat, PAGE, Flash::bad("No update waits for a restart.")));
    };
    let title = format!("Restart into {to}");
    let frame = Frame::load_alone(&app, &seat, HERE, &["Maintenance", "Software Update", &title]).await?;
    let from = view.running.version.clone().unwrap_or_default();
    let effects = vec![BREAKS.to_owned(), probation(to, &from), AGAIN.to_owned()];
    let hand_over = serves(frame.ha());
    show(&Sure { frame, effects, hand_over, button: title, back: PAGE })
}

async fn restart(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "restart into an update")?;
    let ha = app.lbd.ha().await;
    if serves(&ha) && sent.get("force") != "on" {
        let flash = Flash::bad("Nothing was restarted: this unit serves. Hand over first, or tick that you mean it.");
        return Ok(go(&app, seat, RESTART, flash));
    }
    match app.updates.act(UpdateAct::Restart, &seat.session.who).await {
        Ok(()) => {
            seat.audit(&app, "update-restart", "");
            let text = "Load this interface again in two minutes, and log in: this page then says what became of it.";
            show(&Gone { title: "Restart".into(), message: "The unit restarts.".into(), text, back: PAGE })
        }
        Err(error) => {
            seat.refused(&app, "update-restart", &format!("{error}."));
            Ok(go(&app, seat, PAGE, Flash::bad(error.sentence())))
        }
    }
}

async fn ask_back(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "go back to the other slot")?;
    let view = match app.updates.view().await {
        Ok(view) => view,
        Err(error) => return Ok(go(&app, &seat, PAGE, Flash::bad(error.sentence()))),
    };
    let (from, to) = (view.running.version.unwrap_or_default(), view.other.version.unwrap_or_default());
    let title = format!("Go back to {to}");
    let frame = Frame::load_alone(&app, &seat, HERE, &["Maintenance", "Software Update", &title]).await?;
    let effects = vec![
        format!(
            "The next start is from slot {}, with version {to}. Nothing happens to clients before that.",
            view.other.slot
        ),
        probation(&to, &from),
        "The configuration stays as it is. Settings that only the newer version knows have no effect in an older one."
            .to_owned(),
    ];
    show(&Sure { frame, effects, hand_over: false, button: title, back: PAGE })
}

async fn back(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "go back to the other slot")?;
    let done = app.updates.act(UpdateAct::Back, &seat.session.who).await;
    Ok(told(
        &app,
        seat,
        "update-back",
        "",
        done,
        "The next start is from the other slot. Restart the unit when it suits.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(stage: UpdateStage, reason: Option<&str>) -> LastUpdate {
        LastUpdate {
            version: "0.2.0".into(),
            from: "0.1.0".into(),
            slot: "B".into(),
            by: "anna:10.0.0.5".into(),
            time: 1_800_000_000,
            stage,
            reason: reason.map(str::to_owned),
            acknowledged: false,
        }
    }

    #[test]
    fn an_update_that_did_not_stay_says_why() {
        let told = story(&last(UpdateStage::Returned, Some("lbd does not answer")), false, "0.1.0");
        assert_eq!(told.text, "Version 0.2.0 did not stay: lbd does not answer. This unit runs 0.1.0 again.");
        assert_eq!((told.good, told.alarm, told.when.as_str()), (false, true, "2027-01-15 08:00:00"));
        let good = story(&last(UpdateStage::Works, None), false, "0.2.0");
        assert_eq!((good.good, good.alarm), (true, false));
    }

    #[test]
    fn a_slot_is_named_by_what_the_boot_loader_does_with_it() {
        let slot = |version: Option<&str>, startable, next| SlotView {
            slot: "B".into(),
            version: version.map(str::to_owned),
            startable,
            next,
        };
        let state = |slot: SlotView| row(&slot, false, false).state;
        assert_eq!(state(slot(None, false, false)), "○ empty");
        assert_eq!(state(slot(Some("0.2.0"), true, true)), "◌ starts next");
        assert_eq!(state(slot(Some("0.2.0"), true, false)), "○ kept");
        assert_eq!(state(slot(Some("0.2.0"), false, false)), "✕ is not started");
        assert_eq!(row(&slot(Some("0.2.0"), true, true), true, true).state, "◌ runs, on probation");
    }

    #[test]
    fn every_question_mark_leads_to_the_guide() {
        for anchor in ["update-file", "update-downgrade", "factory-word", "factory-password"] {
            assert!(crate::help::field(anchor).is_some(), "{anchor} is not explained");
        }
    }
}
