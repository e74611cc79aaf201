//! What the kernel has, shown beside what the engine knows.

use super::{Served, answer};
use crate::engine::{Event, Snapshot, chain};
use axum::{extract::State, response::Response};
use lb_api::{ApiError, ErrorCode};
use tokio::sync::oneshot;

pub async fn snapshot(served: &Served) -> Result<Snapshot, ApiError> {
    let stopping = || ApiError::new(ErrorCode::Internal, "lbd is stopping");
    let (answer, answered) = oneshot::channel();
    served.events.send(Event::Snapshot(answer)).map_err(|_| stopping())?;
    answered.await.map_err(|_| stopping())
}

pub async fn status(State(served): State<Served>) -> Response {
    let snapshot = match snapshot(&served).await {
        Ok(snapshot) => snapshot,
        Err(error) => return answer::refusal(&error),
    };
    answer::aside(move || {
        // Without counters the rest is still worth showing.
        let counters = served.inspector.counters().unwrap_or_else(|error| {
            tracing::warn!("{}", chain(&error));
            Default::default()
        });
        Ok(snapshot.status(&counters))
    })
    .await
}

pub async fn layer7_statistics(State(served): State<Served>) -> Response {
    match snapshot(&served).await {
        Ok(snapshot) => answer::aside(move || Ok(snapshot.layer7_statistics())).await,
        Err(error) => answer::refusal(&error),
    }
}
