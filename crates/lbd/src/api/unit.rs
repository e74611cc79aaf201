//! Services and power.

use super::{Served, answer};
use crate::{
    engine::record,
    unit::{OWN, UnitError},
};
use axum::{
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use lb_api::{ApiError, ByRequest, Done, ErrorCode, UnitAction, UnitRequest};
use std::time::{Duration, UNIX_EPOCH};

/// An answer has gone out by then, before what carries it goes down.
const AFTER_ANSWERING: Duration = Duration::from_millis(500);

pub async fn services(State(served): State<Served>) -> Response {
    answer::aside(move || {
        let now = UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs());
        Ok(served.unit.services(now, served.started.elapsed().as_secs()))
    })
    .await
}

pub async fn restart(State(served): State<Served>, Path(name): Path<String>, body: Bytes) -> Response {
    let order = answer::body::<ByRequest>(&body).and_then(|request| {
        let known = served
            .unit
            .known(&name)
            .map_err(|error| refused(&error).hint(format!("there is: {}", served.unit.names())))?;
        Ok((known, request.author))
    });
    let (name, author) = match order {
        Ok(order) => order,
        Err(error) => return answer::refusal(&error),
    };
    tracing::info!("{}", record::did(&author, &format!("restarted the service {name}")));
    let done = Done { message: format!("{name} restarts.") };
    if name == OWN {
        tokio::spawn(async move {
            tokio::time::sleep(AFTER_ANSWERING).await;
            if let Err(error) = served.unit.restart(name) {
                tracing::error!("{error}");
            }
        });
        return answer::json(StatusCode::OK, &done);
    }
    answer::aside(move || served.unit.restart(name).map(|()| done).map_err(|error| refused(&error))).await
}

pub async fn power(State(served): State<Served>, body: Bytes) -> Response {
    let UnitRequest { action, author } = match answer::body(&body) {
        Ok(request) => request,
        Err(error) => return answer::refusal(&error),
    };
    let (did, message) = match action {
        UnitAction::Halt => ("switched the unit off", "The unit switches itself off."),
        UnitAction::Restart => ("restarted the unit", "The unit restarts; it answers again in about a minute."),
    };
    tracing::info!("{}", record::did(&author, did));
    tokio::spawn(async move {
        tokio::time::sleep(AFTER_ANSWERING).await;
        if let Err(error) = served.unit.power(action) {
            tracing::error!("{error}");
        }
    });
    answer::json(StatusCode::OK, &Done { message: message.into() })
}

fn refused(error: &UnitError) -> ApiError {
    let code = match error {
        UnitError::Unknown(_) => ErrorCode::NotFound,
        _ => ErrorCode::Internal,
    };
    ApiError::new(code, error.to_string())
}
