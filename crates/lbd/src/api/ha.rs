//! The pair: what it is doing, and orders to the heartbeat.

use super::{Served, answer};
use crate::{
    engine::{Command, Event, pair::Told, record},
    peer::Refusal,
    shelf,
};
use axum::{body::Bytes, extract::State, http::StatusCode, response::Response};
use lb_api::{
    ApiError, ByRequest, Done, ErrorCode, HaRole, HaView, Keep, MaintenanceRequest, PairingRequest, PairingStep,
    ReplicationState, ReplicationView, ResolveRequest, TakeoverRequest,
};
use lb_ha::control::Request;
use std::time::UNIX_EPOCH;
use tokio::sync::oneshot;

pub async fn show(State(served): State<Served>) -> Response {
    match look(&served).await {
        Ok(view) => answer::json(StatusCode::OK, &view),
        Err(error) => answer::refusal(&error),
    }
}

async fn look(served: &Served) -> Result<HaView, ApiError> {
    let told = told(served).await?;
    let now = UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs());
    let heartbeat = match told.config.pair() {
        Some(_) => served.heartbeat.status().await,
        None => Err("this is a single unit".into()),
    };
    let status = served.peer.status();
    let peer = shelf::peer_view(&status);
    let replication = status.replication.map(|replication| match (replication.state, &peer) {
        (ReplicationState::InSync, Some(peer)) => {
            let clause = served.hot.clause(&peer.hostname);
            let detail =
                [Some(replication.detail.clone()), clause].into_iter().flatten().collect::<Vec<_>>().join("; ");
            ReplicationView { detail, ..replication }
        }
        _ => replication,
    });
    Ok(crate::ha::view(&told.config, heartbeat, peer, replication, told.edits, &told.alarms, now))
}

async fn told(served: &Served) -> Result<Told, ApiError> {
    let stopping = || ApiError::new(ErrorCode::Internal, "lbd is stopping");
    let (answer, told) = oneshot::channel();
    served.events.send(Event::Told(answer)).map_err(|_| stopping())?;
    told.await.map_err(|_| stopping())
}

pub async fn takeover(State(served): State<Served>, body: Bytes) -> Response {
    match answer::body(&body) {
        Ok(TakeoverRequest { author, force }) => {
            let done = "This unit serves: the floating IPs are here.";
            order(&served, &author, "took over", Request::Takeover { force }, done).await
        }
        Err(error) => answer::refusal(&error),
    }
}

pub async fn standby(State(served): State<Served>, body: Bytes) -> Response {
    match answer::body(&body) {
        Ok(ByRequest { author }) => {
            let done = "This unit stands by: the other one serves.";
            order(&served, &author, "put this unit on stand-by", Request::Standby, done).await
        }
        Err(error) => answer::refusal(&error),
    }
}

pub async fn maintenance(State(served): State<Served>, body: Bytes) -> Response {
    match answer::body(&body) {
        Ok(MaintenanceRequest { author, on, force }) => {
            let (did, done) = match on {
                true => ("began maintenance", "Maintenance: the other unit serves, and this one does not take over."),
                false => ("ended maintenance", "Maintenance is over: this unit can take over again."),
            };
            order(&served, &author, did, Request::Maintenance { on, force }, done).await
        }
        Err(error) => answer::refusal(&error),
    }
}

/// An order to the heartbeat, with its outcome.
async fn order(served: &Served, author: &str, did: &str, request: Request, done: &str) -> Response {
    let result = match told(served).await {
        Err(error) => return answer::refusal(&error),
        Ok(told) if told.config.pair().is_none() => {
            Err("this is a single unit. hint: pair it first (lbwizard, lbctl ha pair)".to_owned())
        }
        Ok(_) => {
            if matches!(request, Request::Takeover { .. } | Request::Standby | Request::Maintenance { on: true, .. }) {
                served.hot.round().await;
            }
            served.heartbeat.command(&request).await
        }
    };
    match result {
        Ok(()) => {
            tracing::info!("{}", record::did(author, did));
            answer::json(StatusCode::OK, &Done { message: done.into() })
        }
        Err(text) => {
            tracing::warn!("{}", record::did(author, &format!("wanted what could not be done ({did}): {text}")));
            let (message, hint) = match text.split_once(" hint: ") {
                Some((message, hint)) => (message.trim_end_matches('.').to_owned(), Some(hint.to_owned())),
                None => (text, None),
            };
            answer::refusal(&ApiError { hint, ..ApiError::new(ErrorCode::Conflict, message) })
        }
    }
}

pub async fn pairing(State(served): State<Served>) -> Response {
    answer::json(StatusCode::OK, &served.peer.pairing())
}

pub async fn pair(State(served): State<Served>, body: Bytes) -> Response {
    let PairingRequest { author, step } = match answer::body(&body) {
        Ok(request) => request,
        Err(error) => return answer::refusal(&error),
    };
    let did = match &step {
        PairingStep::Wait {} => "waits for the other unit of a pair".to_owned(),
        PairingStep::CallSerial {} => "calls the other unit of a pair over the null-modem cable".to_owned(),
        PairingStep::CallNetwork { address, .. } => format!("calls the other unit of a pair at {address}"),
        PairingStep::Cancel {} => "gave up pairing".to_owned(),
    };
    match served.peer.step(step).await {
        Ok(()) => {
            tracing::info!("{}", record::did(&author, &did));
            pairing(State(served)).await
        }
        Err(why) => answer::refusal(&refused(why)),
    }
}

/// The other unit must not serve what this one will: first who serves last.
pub async fn unpair(State(served): State<Served>, body: Bytes) -> Response {
    let ended = async {
        let ByRequest { author } = answer::body(&body)?;
        let view = look(&served).await?;
        let heard = view.peer.as_ref().is_some_and(|peer| peer.heard);
        let serves = !matches!(view.role, HaRole::Standby | HaRole::Maintenance | HaRole::Starting);
        if heard && serves {
            let message = "this unit serves and the other one is there, so both would serve";
            let hint = "end the pair on the other unit first (lbctl ha unpair there), then here";
            return Err(ApiError::new(ErrorCode::Conflict, message).hint(hint));
        }
        let (answer, answered) = oneshot::channel();
        let command = Command::EndPair { author: author.clone(), serve: serves };
        let stopping = || ApiError::new(ErrorCode::Internal, "lbd is stopping");
        served.events.send(Event::Command { command, answer }).map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())??;
        served.peer.unpair().await.map_err(refused)?;
        tracing::info!("{}", record::did(&author, "ended the pair on this unit"));
        let message = match serves {
            true => "The pair has ended here: this unit goes on alone, with its VIPs.",
            false => {
                "The pair has ended here: this unit keeps its network settings and balances nothing; the history has the rest."
            }
        };
        Ok(Done { message: message.into() })
    };
    match ended.await {
        Ok(done) => answer::json(StatusCode::OK, &done),
        Err(error) => answer::refusal(&error),
    }
}

pub async fn resolve(State(served): State<Served>, body: Bytes) -> Response {
    let ResolveRequest { author, keep } = match answer::body(&body) {
        Ok(request) => request,
        Err(error) => return answer::refusal(&error),
    };
    let (did, done) = match keep {
        Keep::Mine => ("gave this unit's configuration to the other", "The other unit gets this unit's configuration."),
        Keep::Theirs => ("took the other unit's configuration", "This unit gets the other unit's configuration."),
    };
    match served.peer.resolve(keep).await {
        Ok(()) => {
            tracing::info!("{}", record::did(&author, did));
            answer::json(StatusCode::OK, &Done { message: done.into() })
        }
        Err(why) => answer::refusal(&refused(why)),
    }
}

fn refused(why: Refusal) -> ApiError {
    ApiError::new(ErrorCode::Conflict, why.reason).hint(why.hint)
}
