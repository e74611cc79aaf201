//! Edit Configuration > Heartbeat Configuration. Of units that were paired and have no heartbeat yet it is filled in.

use super::{EDIT, Place, show, take};
use crate::{
    Shared,
    forms::{HeartbeatForm, Proposal},
    frame::{self, Frame},
    refusal::Refusal,
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{Router, extract::State, response::Response, routing::get};
use lb_access::Permission;
use lb_api::{PairedView, PairingView};

const HERE: &str = "edit/heartbeat";
const TITLE: &str = "Heartbeat Configuration";

pub fn routes() -> Router<Shared> {
    Router::new().route("/lbadmin/edit/heartbeat", get(page).post(update))
}

fn place(proposed: bool) -> Place {
    let intro = match proposed {
        true => {
            "The two units are paired. This is what both have in common: look at the paths, take out what is not \
             there, update, and apply. The other unit then gets this unit's configuration."
        }
        false => "Both units of the pair have these settings.",
    };
    Place {
        intro: intro.to_owned(),
        links: vec![
            ("/lbadmin/ha".to_owned(), "High Availability"),
            ("/lbadmin/edit/floating-ips".to_owned(), "Floating IPs"),
        ],
        ..Place::single(HERE, TITLE)
    }
}

/// The unit that this one is paired with, as long as there is no heartbeat.
async fn paired(app: &Shared) -> Result<Option<PairedView>, Refusal> {
    match app.lbd.pairing().await? {
        PairingView::Done(paired) => Ok(Some(paired)),
        _ => Ok(None),
    }
}

async fn editor(app: &Shared) -> Result<HeartbeatForm, Refusal> {
    let candidate = app.lbd.candidate().await?;
    let config = &candidate.config;
    if config.heartbeat.is_some() && config.node.unit.is_some() {
        return Ok(HeartbeatForm::default());
    }
    let paired = paired(app).await?;
    Ok(HeartbeatForm::of(paired.map(|p| Proposal::guess(config, p.unit, &p.addresses))))
}

#[derive(Template)]
#[template(path = "no-pair.html")]
struct NoPair {
    frame: Frame,
    what: &'static str,
}

/// What a single unit shows in place of a pair's settings.
pub(super) async fn no_pair(
    app: &Shared,
    seat: &Seat,
    here: &'static str,
    title: &'static str,
    what: &'static str,
) -> Result<Response, Refusal> {
    let frame = Frame::load(app, seat, here, &[EDIT, title]).await?;
    frame::show(&NoPair { frame, what })
}

async fn page(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Configure, TITLE)?;
    let form = editor(&app).await?;
    let new = app.lbd.candidate().await?.config.heartbeat.is_none();
    if new && !form.proposes() {
        let what = "The heartbeat is how the two units of a pair hear whether the other one is alive.";
        return no_pair(&app, &seat, HERE, TITLE, what).await;
    }
    show(&app, &seat, &form, place(new)).await
}

async fn update(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    sent.seat.must(&app, Permission::Configure, TITLE)?;
    let form = editor(&app).await?;
    take(&app, sent, &form, place(form.proposes())).await
}
