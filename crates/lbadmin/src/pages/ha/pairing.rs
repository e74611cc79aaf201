//! Maintenance > Pair with Another Unit: waiting, calling, how far it is, and ending a pair.
//!
//! ```text
//!  idle --wait--> code on the page --the master calls--> done     on the slave
//!  idle --call over the cable, or over the network with the code--> done --> heartbeat, filled in     on the master
//! ```
//! The page asks for itself every two seconds while something is under way. The code is shown to administrators only.

use super::actions::{Sure, refused, told};
use crate::{
    Shared,
    app::{Flash, now},
    frame::{Frame, go, show, time, web},
    refusal::Refusal,
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{Router, extract::State, response::Response, routing::get};
use lb_access::Permission;
use lb_api::{ByRequest, HaRole, PairingRequest, PairingStep, PairingView};
use lb_model::NodeId;

const PAGE: &str = "/lbadmin/maintenance/pairing";
const HERE: &str = "maintenance/pairing";
const CRUMBS: [&str; 2] = ["Maintenance", "Pair with Another Unit"];
/// Seconds between two reloads without JavaScript while something is under way.
const RELOAD: u32 = 5;

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/lbadmin/maintenance/pairing", get(page).post(step))
        .route("/lbadmin/maintenance/unpair", get(ask_unpair).post(unpair))
}

/// What is typed at the master.
#[derive(Default)]
struct Call {
    address: String,
    /// What is wrong with the address, and with the code.
    wrong: [String; 2],
}

/// The other unit of the pair that there is.
struct Partner {
    hostname: String,
    fingerprint: String,
    web: Option<String>,
    /// The configuration makes no pair of them yet.
    half: bool,
    /// This one is where that is done.
    first: bool,
}

#[derive(Template)]
#[template(path = "pairing.html")]
struct Page {
    frame: Frame,
    view: PairingView,
    /// Of the code.
    until: String,
    left: u64,
    partner: Option<Partner>,
    call: Call,
}

impl Page {
    /// It changes by itself.
    fn moves(&self) -> bool {
        matches!(self.view, PairingView::Waiting { .. } | PairingView::Working { .. })
    }
}

async fn made(app: &Shared, seat: &Seat, call: Call) -> Result<Page, Refusal> {
    let mut frame = Frame::load(app, seat, HERE, &CRUMBS).await?;
    let view = app.lbd.pairing().await?;
    let ha = frame.ha();
    let single = ha.role == HaRole::Single;
    let partner = match (&view, &ha.peer) {
        (PairingView::Done(paired), peer) => Some(Partner {
            hostname: paired.hostname.clone(),
            fingerprint: paired.fingerprint.clone(),
            web: peer.as_ref().and_then(web).map(str::to_owned),
            half: single,
            first: paired.unit == NodeId::One,
        }),
        (_, Some(peer)) => Some(Partner {
            hostname: peer.hostname.clone(),
            fingerprint: peer.fingerprint.clone(),
            web: web(peer).map(str::to_owned),
            half: single,
            first: ha.unit != Some(NodeId::Two),
        }),
        (_, None) => None,
    };
    let (until, left) = match &view {
        PairingView::Waiting { until, .. } => (time(*until), until.saturating_sub(now())),
        _ => (String::new(), 0),
    };
    if matches!(view, PairingView::Waiting { .. } | PairingView::Working { .. }) {
        frame.refresh = RELOAD;
    }
    Ok(Page { until, left, partner, view, call, frame })
}

async fn page(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "pair the unit")?;
    show(&made(&app, &seat, Call::default()).await?)
}

/// What the form asks for; otherwise what is wrong with it.
fn wanted(sent: &Sent) -> Result<PairingStep, Call> {
    match sent.get("step") {
        "wait" => Ok(PairingStep::Wait {}),
        "call-serial" => Ok(PairingStep::CallSerial {}),
        "cancel" => Ok(PairingStep::Cancel {}),
        _ => {
            let typed = sent.get("address").trim();
            // As it is read out: in groups.
            let code: String = sent.get("code").chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
            let address = typed.parse();
            let digits = code.len() == 8 && code.bytes().all(|b| b.is_ascii_digit());
            match (address, digits) {
                (Ok(address), true) => Ok(PairingStep::CallNetwork { address, code }),
                (address, _) => Err(Call {
                    address: typed.chars().take(60).collect(),
                    wrong: [
                        if address.is_err() { "This is not an IP address; use for example 10.0.0.22" } else { "" },
                        if digits { "" } else { "The code has 8 digits; the other unit shows it while it waits" },
                    ]
                    .map(str::to_owned),
                }),
            }
        }
    }
}

async fn step(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "pair the unit")?;
    let step = match wanted(&sent) {
        Ok(step) => step,
        Err(call) => return crate::frame::refused(&made(&app, seat, call).await?),
    };
    // The code is a secret for as long as it counts.
    let what = match &step {
        PairingStep::Wait {} => "wait for the master".to_owned(),
        PairingStep::CallSerial {} => "call the slave over the null-modem cable".to_owned(),
        PairingStep::CallNetwork { address, .. } => format!("call the slave at {address}"),
        PairingStep::Cancel {} => "give up".to_owned(),
    };
    let request = PairingRequest { author: seat.author(), step };
    match app.lbd.client.pair(&request).await {
        Ok(_) => {
            seat.audit(&app, "pair the unit", &what);
            app.lbd.forget_status().await;
            Ok(axum::response::IntoResponse::into_response(axum::response::Redirect::to(PAGE)))
        }
        Err(error) => {
            seat.refused(&app, "pair the unit", &format!("{what}: {error}"));
            Ok(go(&app, seat, PAGE, refused(&error)))
        }
    }
}

async fn ask_unpair(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "unpair the unit")?;
    let frame = Frame::load(&app, &seat, HERE, &[CRUMBS[0], CRUMBS[1], "Unpair"]).await?;
    let ha = frame.ha();
    let Some(peer) = &ha.peer else {
        return Ok(go(&app, &seat, PAGE, Flash::bad("This unit is not paired.")));
    };
    let name = if peer.hostname.is_empty() { "the other unit" } else { &peer.hostname };
    let waits = matches!(ha.role, HaRole::Standby | HaRole::Maintenance | HaRole::Starting);
    let mut effects = vec![format!(
        "This unit forgets {name} and the keys that both share. From then on neither takes over from the other, and the \
         configuration does not travel any more. To make a pair again, begin anew."
    )];
    effects.push(match waits {
        true => {
            "This unit keeps its network settings and balances nothing afterwards; its history has the rest.".into()
        }
        false => "This unit goes on alone, with its virtual servers.".into(),
    });
    if !waits && peer.heard {
        effects.push(format!(
            "▲ {name} is there and has the same virtual servers. End the pair on {name} first: otherwise two units \
             answer for one address, and this unit refuses."
        ));
    }
    show(&Sure { frame, effects, force: None, button: "Unpair", back: PAGE })
}

async fn unpair(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "unpair the unit")?;
    let done = app.lbd.client.unpair(&ByRequest { author: seat.author() }).await;
    Ok(told(&app, seat, "unpair the unit", PAGE, done).await)
}
