//! Server-sent events: what changed, as it changes, so that a client need not ask again and again.
//!
//! ```text
//!  one watcher, while somebody listens: every second --summary--> differs? --> all streams
//! ```
//! An event `summary` holds a [`Summary`]; the first comes at once, so that a client that was away has missed nothing.
//! Streams are bounded in number and end when their token does.

use super::{
    caller::{Caller, Look, bearer},
    problem::Problem,
};
use crate::Shared;
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, header},
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::StreamExt;
use lb_api::{ErrorCode, Summary};
use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_stream::wrappers::WatchStream;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Streams at once.
const STREAMS: usize = 200;
const EVERY: Duration = Duration::from_secs(1);
/// How long a revoked token may go on listening.
const CHECK_TOKEN: Duration = Duration::from_secs(30);

/// The streams and what feeds them.
struct Hub {
    slots: Arc<Semaphore>,
    /// The watcher's channel, while it runs.
    watched: Mutex<Option<watch::Receiver<Arc<Summary>>>>,
}

pub fn routes() -> OpenApiRouter<Shared> {
    let hub = Hub { slots: Arc::new(Semaphore::new(STREAMS)), watched: Mutex::default() };
    OpenApiRouter::default().routes(routes!(events)).layer(Extension(Arc::new(hub)))
}

/// What changes, as server-sent events
///
/// Events named `summary` hold a Summary in JSON: at once, and whenever the revision, the candidate, the generation,
/// an alarm or the confirmation differs. Comments keep the connection alive every 15 seconds.
#[utoipa::path(get, path = "/v1/events", tag = "state", security(("token" = ["look"])),
    responses((status = 200, body = String, content_type = "text/event-stream")))]
async fn events(
    caller: Caller<Look>,
    State(app): State<Shared>,
    Extension(hub): Extension<Arc<Hub>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let slot = hub.slots.clone().try_acquire_owned().map_err(|_| {
        Problem::new(ErrorCode::TooManyRequests, format!("{STREAMS} streams are open, which is the limit"))
            .header(header::RETRY_AFTER, "10")
    })?;
    let first = Arc::new(app.lbd.summary().await?);
    let changes = watched(&hub, &app, first);
    let event = |summary: Arc<Summary>| {
        let event = Event::default().event("summary").id(summary.generation.to_string());
        Ok::<_, Infallible>(event.json_data(&*summary).unwrap_or_default())
    };
    let ended = ended(app, headers, caller.who.address, slot);
    Ok(Sse::new(WatchStream::new(changes).map(event).take_until(ended))
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// The summaries from now on. Starts the watcher if none runs.
fn watched(hub: &Arc<Hub>, app: &Shared, now: Arc<Summary>) -> watch::Receiver<Arc<Summary>> {
    let mut watched = hub.watched.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(changes) = watched.as_ref() {
        return changes.clone();
    }
    let (sender, changes) = watch::channel(now);
    *watched = Some(changes.clone());
    tokio::spawn(watch(hub.clone(), app.clone(), sender));
    changes
}

async fn watch(hub: Arc<Hub>, app: Shared, sender: watch::Sender<Arc<Summary>>) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        {
            let mut watched = hub.watched.lock().unwrap_or_else(PoisonError::into_inner);
            // The hub's own receiver, from which those to come are cloned, is one.
            if sender.receiver_count() <= 1 {
                *watched = None;
                return;
            }
        }
        let Ok(now) = app.lbd.summary().await else { continue };
        let now = Arc::new(now);
        sender.send_if_modified(|last| {
            let differs = key(last) != key(&now);
            if differs {
                *last = now.clone();
            }
            differs
        });
    }
}

/// What makes an event: everything but the time.
fn key(s: &Summary) -> impl PartialEq + use<'_> {
    let confirm = s.confirm.as_ref().map(|c| (c.revision, c.before));
    (s.revision, s.candidate_etag, s.generation, &s.alarms, s.converged, confirm, &s.hostname)
}

/// When the token has gone. Holds the stream's slot.
async fn ended(app: Shared, headers: HeaderMap, from: IpAddr, _slot: OwnedSemaphorePermit) {
    let mut tick = tokio::time::interval(CHECK_TOKEN);
    tick.tick().await;
    loop {
        tick.tick().await;
        if bearer(&headers, &app, from).is_err() {
            return;
        }
    }
}
