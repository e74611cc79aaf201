//! What moves the floating IPs (take over, stand by, maintenance), and the choice between two histories.
//!
//! Each has a page that says what will happen, made from the state of this moment; what was done, or why it was not,
//! stands on the page of the pair afterwards. lbd and its heartbeat decide.

use crate::{
    Shared,
    app::Flash,
    frame::{Frame, go, show},
    refusal::{Refusal, words},
    seat::{Seat, Sent},
};
use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::get,
};
use lb_access::Permission;
use lb_api::{
    ByRequest, ClientError, Done, HaRole, HaView, Keep, MaintenanceRequest, PeerView, ResolveRequest, TakeoverRequest,
};

const HERE: &str = "/lbadmin/ha";

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/lbadmin/ha/resolve", get(ask_resolve).post(resolve))
        .route("/lbadmin/ha/do/{action}", get(ask).post(act))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    TakeOver,
    StandBy,
    Maintenance { on: bool },
}

#[derive(Debug, PartialEq, Eq)]
pub struct Action {
    kind: Kind,
    /// Behind `/lbadmin/ha/do/`.
    pub path: &'static str,
    pub title: &'static str,
}

static TAKE_OVER: Action = Action { kind: Kind::TakeOver, path: "take-over", title: "Take over" };
static STAND_BY: Action = Action { kind: Kind::StandBy, path: "stand-by", title: "Stand by" };
static MAINTENANCE_ON: Action =
    Action { kind: Kind::Maintenance { on: true }, path: "maintenance-on", title: "Maintenance on" };
static MAINTENANCE_OFF: Action =
    Action { kind: Kind::Maintenance { on: false }, path: "maintenance-off", title: "Maintenance off" };

/// What makes sense in this role.
pub fn offered(ha: &HaView) -> Vec<&'static Action> {
    match ha.role {
        HaRole::Single | HaRole::Unknown | HaRole::Stopped => Vec::new(),
        HaRole::Active | HaRole::Taking => vec![&STAND_BY, &MAINTENANCE_ON],
        HaRole::Standby | HaRole::Releasing | HaRole::Starting => vec![&TAKE_OVER, &MAINTENANCE_ON],
        HaRole::Maintenance => vec![&MAINTENANCE_OFF],
    }
}

fn action(path: &str) -> Result<&'static Action, Refusal> {
    let all = [&TAKE_OVER, &STAND_BY, &MAINTENANCE_ON, &MAINTENANCE_OFF];
    all.into_iter().find(|a| a.path == path).ok_or_else(|| Refusal::NotFound("There is no such page.".into()))
}

/// What is asked before it is done.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    /// What happens, a paragraph each.
    effects: Vec<String>,
    /// What one must want expressly; none: nothing is in its way.
    force: Option<String>,
}

/// What clients notice, if the unit that is to serve has the connections or not.
fn moved(hot: bool) -> &'static str {
    match hot {
        true => {
            "The floating IPs move within milliseconds and are announced to the network at once. Established \
             connections go on, and clients notice nothing."
        }
        false => "The floating IPs move within milliseconds and are announced to the network at once.",
    }
}

fn peer_name(peer: Option<&PeerView>) -> &str {
    peer.map(|p| p.hostname.as_str()).filter(|h| !h.is_empty()).unwrap_or("the other unit")
}

fn question(kind: Kind, ha: &HaView) -> Question {
    let peer = ha.peer.as_ref();
    let name = peer_name(peer);
    let heard = peer.is_some_and(|p| p.heard);
    let peer_hot = peer.is_some_and(|p| p.heard && p.hot);
    let addresses = match ha.floating.len() {
        1 => "1 floating IP".to_owned(),
        n => format!("{n} floating IPs"),
    };
    // Of the other unit, when it is to serve.
    let other = |peer: Option<&PeerView>| match peer {
        Some(p) if p.heard && p.fit && p.hot => None,
        Some(p) if p.heard && p.fit => Some(format!("{name} does not have all connections yet: those break.")),
        Some(p) if p.heard => Some(format!("{name} says that it is not fit to serve.")),
        _ => Some(format!("{name} is not heard: nobody would serve.")),
    };
    match kind {
        Kind::TakeOver => {
            let mut effects = vec![match heard {
                true => format!("{name} hands {addresses} over to this unit and stands by. {}", moved(ha.hot)),
                false => format!("{name} is not heard. This unit serves on {addresses} from now on."),
            }];
            let mut against = Vec::new();
            if !heard {
                let text = "If it still serves, both units have the same addresses until they hear each other again. \
                            Look at the other unit first.";
                effects.push(text.to_owned());
            }
            if !ha.unfit.is_empty() {
                against.push(format!("This unit is unfit: {}.", ha.unfit.join("; ")));
            }
            if !ha.hot {
                against.push("This unit does not have all connections yet: those break.".to_owned());
            }
            let force = (!against.is_empty()).then(|| against.join(" "));
            Question { effects, force }
        }
        Kind::StandBy => {
            let mut effects =
                vec![format!("This unit hands {addresses} over to {name} and stands by. {}", moved(peer_hot))];
            if let Some(against) = other(peer) {
                effects.push(format!("▲ {against} This unit refuses to stand by unless the other one takes over."));
            }
            Question { effects, force: None }
        }
        Kind::Maintenance { on: true } if ha.role == HaRole::Active => Question {
            effects: vec![
                format!("This unit hands {addresses} over to {name}. {}", moved(peer_hot)),
                "Afterwards it does not take over by itself, whatever happens to the other unit, until maintenance is \
                 switched off. You can restart it, pull its cables, or replace it."
                    .to_owned(),
            ],
            force: other(peer),
        },
        Kind::Maintenance { on: true } => Question {
            effects: vec![
                format!(
                    "This unit does not take over by itself any more, until maintenance is switched off: if {name} \
                     fails meanwhile, nobody serves."
                ),
                "Clients notice nothing now. You can restart it, pull its cables, or replace it.".to_owned(),
            ],
            force: None,
        },
        Kind::Maintenance { on: false } => Question {
            effects: vec![
                "This unit stands by, and takes over again when the other one fails. Nothing moves now, unless \
                 automatic fail-back is on and this is the preferred unit."
                    .to_owned(),
            ],
            force: None,
        },
    }
}

/// Also the question before units are unpaired.
#[derive(Template)]
#[template(path = "ha-sure.html")]
pub(super) struct Sure {
    pub frame: Frame,
    pub effects: Vec<String>,
    /// What one must want expressly.
    pub force: Option<String>,
    pub button: &'static str,
    pub back: &'static str,
}

async fn ask(State(app): State<Shared>, seat: Seat, Path(path): Path<String>) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Administer, "move the floating IPs")?;
    let action = action(&path)?;
    let frame = Frame::load(&app, &seat, "ha", &["View Configuration", "High Availability", action.title]).await?;
    let Question { effects, force } = question(action.kind, frame.ha());
    show(&Sure { frame, effects, force, button: action.title, back: HERE })
}

async fn act(State(app): State<Shared>, Path(path): Path<String>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Administer, "move the floating IPs")?;
    let action = action(&path)?;
    let (author, force) = (seat.author(), sent.get("force") == "on");
    let lbd = &app.lbd.client;
    let done = match action.kind {
        Kind::TakeOver => lbd.takeover(&TakeoverRequest { author, force }).await,
        Kind::StandBy => lbd.standby(&ByRequest { author }).await,
        Kind::Maintenance { on } => lbd.maintenance(&MaintenanceRequest { author, on, force }).await,
    };
    Ok(told(&app, seat, &action.title.to_lowercase(), HERE, done).await)
}

/// What came of it, on the page `then`.
pub(super) async fn told(
    app: &Shared,
    seat: &Seat,
    what: &str,
    then: &str,
    done: Result<Done, ClientError>,
) -> Response {
    app.lbd.forget_status().await;
    let flash = match done {
        Ok(done) => {
            seat.audit(app, what, &done.message);
            Flash::good(done.message)
        }
        Err(error) => {
            seat.refused(app, what, &error.to_string());
            refused(&error)
        }
    };
    go(app, seat, then, flash)
}

/// A refusal's sentence, with its hint below.
pub(super) fn refused(error: &ClientError) -> Flash {
    match error {
        ClientError::Refused(e) => {
            let problems = e.problems.iter().map(ToString::to_string);
            Flash::bad(e.message.clone()).lines(problems.chain(e.hint.clone()).collect())
        }
        other => Flash::bad(words(other)),
    }
}

#[derive(Template)]
#[template(path = "ha-resolve.html")]
struct Resolve {
    frame: Frame,
    /// The other unit's name.
    name: String,
    web: Option<String>,
    detail: String,
    /// This unit decides; otherwise it is done on the other.
    here: bool,
}

async fn ask_resolve(State(app): State<Shared>, seat: Seat) -> Result<Response, Refusal> {
    seat.must(&app, Permission::Configure, "choose a configuration")?;
    let title = "Choose a configuration";
    let frame = Frame::load(&app, &seat, "ha", &["View Configuration", "High Availability", title]).await?;
    let ha = frame.ha();
    let Some(replication) = ha.replication.as_ref().filter(|r| r.state == lb_api::ReplicationState::Diverged) else {
        return Ok(go(
            &app,
            &seat,
            HERE,
            Flash::good("There is nothing to choose: the configuration has not diverged."),
        ));
    };
    let page = Resolve {
        name: peer_name(ha.peer.as_ref()).to_owned(),
        web: ha.peer.as_ref().and_then(crate::frame::web).map(str::to_owned),
        detail: replication.detail.clone(),
        here: ha.edits,
        frame,
    };
    show(&page)
}

async fn resolve(State(app): State<Shared>, sent: Sent) -> Result<Response, Refusal> {
    let seat = &sent.seat;
    seat.must(&app, Permission::Configure, "choose a configuration")?;
    let keep = match sent.get("keep") {
        "mine" => Keep::Mine,
        "theirs" => Keep::Theirs,
        _ => return Ok(go(&app, seat, "/lbadmin/ha/resolve", Flash::bad("Choose one of the two."))),
    };
    let done = app.lbd.client.resolve(&ResolveRequest { author: seat.author(), keep }).await;
    Ok(told(&app, seat, "choose a configuration", HERE, done).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(role: HaRole, heard: bool, fit: bool, hot: bool) -> HaView {
        let peer = PeerView { hostname: "lb2".into(), heard, fit, hot, ..PeerView::default() };
        HaView { role, hot: true, peer: Some(peer), ..HaView::default() }
    }

    #[test]
    fn whoever_serves_is_offered_to_stand_by() {
        let words = |role| offered(&pair(role, true, true, true)).iter().map(|a| a.path).collect::<Vec<_>>();
        assert_eq!(words(HaRole::Active), ["stand-by", "maintenance-on"]);
        assert_eq!(words(HaRole::Standby), ["take-over", "maintenance-on"]);
        assert_eq!(words(HaRole::Maintenance), ["maintenance-off"]);
        assert!(words(HaRole::Single).is_empty() && words(HaRole::Unknown).is_empty());
    }

    #[test]
    fn what_breaks_must_be_wanted_expressly() {
        let force = |kind, ha: &HaView| question(kind, ha).force;
        let maintenance = Kind::Maintenance { on: true };
        assert_eq!(force(maintenance, &pair(HaRole::Active, true, true, true)), None);
        for (heard, fit, hot, why) in [
            (false, true, true, "lb2 is not heard: nobody would serve."),
            (true, false, true, "lb2 says that it is not fit to serve."),
            (true, true, false, "lb2 does not have all connections yet: those break."),
        ] {
            assert_eq!(force(maintenance, &pair(HaRole::Active, heard, fit, hot)).as_deref(), Some(why));
        }
        let unfit = HaView { unfit: vec!["eth0 has no cable".into()], ..pair(HaRole::Standby, true, true, true) };
        assert_eq!(force(Kind::TakeOver, &unfit).as_deref(), Some("This unit is unfit: eth0 has no cable."));
        assert_eq!(force(Kind::TakeOver, &pair(HaRole::Standby, true, true, true)), None);
    }
}
