//! Maintenance > Firewall Lock-down: what it closes and what it leaves open, and from where administrators come.

use super::{Place, not_there, page, take};
use crate::{
    Shared,
    forms::{Edit, LockdownForm},
    refusal::Refusal,
    seat::{Seat, Sent},
};
use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};
use lb_access::Permission;

const HERE: &str = "maintenance/lockdown";
const TITLE: &str = "Firewall Lock-down";

pub fn routes() -> Router<Shared> {
    Router::new().route("/lbadmin/maintenance/lockdown", get(show_page).post(take_page))
}

fn place() -> Place {
    let ports = lb_model::MANAGEMENT_PORTS.map(|port| port.to_string()).join(", ");
    Place {
        group: "Maintenance",
        intro: format!(
            "While it is on, the unit's own services (ports {ports}) can be reached from the management networks only. \
             Virtual servers stay open to all, and so does what the two units of a pair say to each other; connections \
             that are there go on. At the console, lbctl lockdown off --apply opens the unit again."
        ),
        links: vec![("/lbadmin/view/firewall".to_owned(), "Firewall Rules")],
        ..Place::single(HERE, TITLE)
    }
}

fn editor(seat: &Seat) -> LockdownForm {
    LockdownForm { client: seat.session.who.address.to_canonical() }
}

async fn show_page(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Configure, TITLE)?;
    let (place, editor) = (place(), editor(&seat));
    let frame = place.frame(&app, &seat).await?;
    let config = &frame.candidate().config;
    let mut form = editor.form(config).ok_or_else(|| not_there(&editor))?;
    editor.suggest(config, &mut form);
    page(frame, place, &form, StatusCode::OK, String::new())
}

async fn take_page(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let editor = editor(&sent.seat);
    take(&app, sent, &editor, place()).await
}
