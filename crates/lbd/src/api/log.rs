//! A page of a log.

use super::{Served, answer};
use crate::{engine::chain, logs};
use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    response::Response,
};
use lb_api::{ApiError, ErrorCode, LogName, LogQuery};

pub async fn show(
    State(served): State<Served>,
    Path(name): Path<String>,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Response {
    let wanted = answer::query(query).and_then(|query| {
        logs::Wanted::new(query).map_err(|(field, why)| {
            ApiError::new(ErrorCode::BadRequest, format!("the query cannot be read: {field}: {why}"))
        })
    });
    let (name, wanted) = match named(&name).and_then(|name| Ok((name, wanted?))) {
        Ok(both) => both,
        Err(error) => return answer::refusal(&error),
    };
    answer::aside(move || {
        let page = logs::read(&served.places.log, name, &wanted);
        page.map_err(|e| ApiError::new(ErrorCode::Internal, format!("reading the log: {}", chain(&e))))
    })
    .await
}

fn named(name: &str) -> Result<LogName, ApiError> {
    match name {
        "load-balancer" => Ok(LogName::LoadBalancer),
        "ldirectord" => Ok(LogName::Ldirectord),
        "layer-7" => Ok(LogName::Layer7),
        "heartbeat" => Ok(LogName::Heartbeat),
        "system" => Ok(LogName::System),
        _ => Err(ApiError::new(ErrorCode::NotFound, format!("there is no log \"{name}\""))
            .hint("there is: load-balancer, ldirectord, layer-7, heartbeat, system")),
    }
}
