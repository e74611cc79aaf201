//! Maintenance > Factory Settings: what goes and what stays, said first; then asked for by a word and the password.
//!
//! It is `lbrestore`'s, through root's door, so it needs neither lbd nor the store. Tested by `tests/it/update.rs`.

use super::services::Gone;
use crate::{
    Shared,
    app::{Flash, now},
    frame::{self, Frame, go, show},
    pages::update::serves,
    refusal::Refusal,
    seat::{Seat, Sent},
    update::factory_words,
};
use askama::Template;
use axum::{Router, extract::State, response::Response, routing::get};
use lb_access::Permission;
use lb_api::UpdateAct;

const HERE: &str = "maintenance/factory-settings";
const PAGE: &str = "/lbadmin/maintenance/factory-settings";
/// As `lbrestore` asks for it.
const WORD: &str = "restore";
const ACTION: &str = "factory-settings";

pub fn routes() -> Router<Shared> {
    Router::new().route(PAGE, get(page).post(restore))
}

#[derive(Template)]
#[template(path = "factory.html")]
struct Page {
    frame: Frame,
    parts: Vec<(&'static str, String)>,
    hand_over: bool,
    /// What is wrong with the word, and with the password.
    wrong: [String; 2],
}

async fn all(app: &Shared, seat: &Seat, wrong: [String; 2]) -> Result<Page, Refusal> {
    let frame = Frame::load_alone(app, seat, HERE, &["Maintenance", "Factory Settings"]).await?;
    Ok(Page { hand_over: serves(frame.ha()), frame, parts: factory_words(), wrong })
}

async fn page(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "factory settings")?;
    show(&all(&app, &seat, Default::default()).await?)
}

async fn restore(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "factory settings")?;
    if sent.get("word").trim() != WORD {
        let wrong = [format!("Nothing was changed: type {WORD} to go on."), String::new()];
        return frame::refused(&all(&app, seat, wrong).await?);
    }
    let (shared, who, password) = (app.clone(), seat.session.who.clone(), sent.get("password").to_owned());
    let proved =
        tokio::task::spawn_blocking(move || shared.access.confirm_password(&who, &password, ACTION, now())).await;
    if let Err(refusal) = proved.map_err(|e| Refusal::Internal(format!("checking the password: {e}")))? {
        let wrong = [String::new(), format!("{refusal}. {}", refusal.hint())];
        return frame::refused(&all(&app, seat, wrong).await?);
    }
    match app.updates.act(UpdateAct::Restore, &seat.session.who).await {
        Ok(()) => {
            seat.audit(&app, ACTION, "");
            let text = "Afterwards it is at 192.168.2.21, with the log-ins of the factory: loadbalancer, password \
                        loadbalancer. This address answers no more unless it is that one.";
            let message = "The unit restarts, with factory settings.".to_owned();
            let back = "http://192.168.2.21:9080/lbadmin/";
            show(&Gone { title: "Factory settings".into(), message, text, back })
        }
        Err(error) => {
            seat.refused(&app, ACTION, &format!("{error}."));
            Ok(go(&app, seat, PAGE, Flash::bad(error.sentence())))
        }
    }
}
