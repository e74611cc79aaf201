//! Logs that are followed: lbd is asked once for all who follow the same log with the same filter.
//!
//! ```text
//!  while somebody follows: every 2 s --newest line--> another one? --page of lines--> watch channel --> its streams
//! ```
//! An event holds the whole page of newest lines, for the place where the page has them; a stream that lags misses
//! only what is no longer on it. Followers, and the different things they follow, are bounded. A stream ends with its
//! session, the asking with its last stream.

use super::{PERIOD, ended};
use crate::{Shared, pages::logs::Follow, seat::Seat};
use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use futures_util::{StreamExt, future};
use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

/// Streams at once.
const FOLLOWERS: usize = 100;
/// Different logs and filters at once: each costs a question to lbd every period.
const TAILS: usize = 20;

/// Newest lines; empty before the first answer.
type Lines = Arc<str>;

#[derive(Default)]
pub struct Tails(Mutex<HashMap<Follow, watch::Sender<Lines>>>);

impl Tails {
    fn lock(&self) -> MutexGuard<'_, HashMap<Follow, watch::Sender<Lines>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `follow` shows from now on, and whether nobody asks for it yet; `None`: too many follow already.
    fn join(&self, follow: &Follow) -> Option<(watch::Receiver<Lines>, bool)> {
        let mut tails = self.lock();
        if tails.values().map(watch::Sender::receiver_count).sum::<usize>() >= FOLLOWERS {
            return None;
        }
        if let Some(tail) = tails.get(follow) {
            return Some((tail.subscribe(), false));
        }
        if tails.len() >= TAILS {
            return None;
        }
        let (sender, receiver) = watch::channel(Arc::from(""));
        tails.insert(follow.clone(), sender);
        Some((receiver, true))
    }

    /// To all who follow it; false, and it is forgotten, when nobody does.
    fn tell(&self, follow: &Follow, lines: Option<String>) -> bool {
        let mut tails = self.lock();
        let Some(tail) = tails.get(follow).filter(|tail| tail.receiver_count() > 0) else {
            tails.remove(follow);
            return false;
        };
        if let Some(lines) = lines {
            tail.send_if_modified(|last| {
                let differs = **last != *lines;
                if differs {
                    *last = lines.into();
                }
                differs
            });
        }
        true
    }
}

async fn run(app: Shared, follow: Follow) {
    let mut tick = tokio::time::interval(Duration::from_secs(PERIOD.into()));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut newest = None;
    loop {
        tick.tick().await;
        let lines = follow.news(&app, &mut newest).await.unwrap_or_else(|error| {
            tracing::warn!("following a log: {error}");
            None
        });
        if !app.tails.tell(&follow, lines) {
            return;
        }
    }
}

/// The newest lines, and again whenever there are others.
pub fn stream(app: Shared, seat: Seat, follow: Follow) -> Response {
    let Some((lines, first)) = app.tails.join(&follow) else {
        // htmx tries again later; the page reloads by hand meanwhile.
        return (axum::http::StatusCode::SERVICE_UNAVAILABLE, "Too many logs are followed.\n").into_response();
    };
    if first {
        tokio::spawn(run(app.clone(), follow));
    }
    let events = WatchStream::new(lines)
        .filter(|lines| future::ready(!lines.is_empty()))
        .map(|lines| Ok::<_, Infallible>(Event::default().event("cells").data(lines.as_ref())));
    let ended = ended(app, seat.cookie, seat.session.who.address);
    Sse::new(events.take_until(ended)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(filter: &str) -> Follow {
        Follow::of("system", filter).expect("a log")
    }

    #[test]
    fn followers_and_what_they_follow_are_bounded() {
        let tails = Tails::default();
        let mut receivers: Vec<_> = (0..FOLLOWERS).map(|_| tails.join(&follow("a")).expect("room")).collect();
        assert_eq!(receivers.iter().filter(|(_, first)| *first).count(), 1, "one asks for all");
        assert!(tails.join(&follow("a")).is_none(), "too many followers");
        receivers.pop();
        assert!(tails.join(&follow("a")).is_some(), "there is room again");
        drop(receivers);
        assert!(!tails.tell(&follow("a"), None), "nobody follows it any more");
        let kept: Vec<_> = (0..TAILS).map(|n| tails.join(&follow(&n.to_string())).expect("room")).collect();
        assert!(tails.join(&follow("another")).is_none(), "too many different ones");
        assert!(tails.join(&follow("3")).is_some());
        drop(kept);
    }

    #[test]
    fn all_hear_of_new_lines() {
        let tails = Tails::default();
        let (one, _) = tails.join(&follow("")).expect("room");
        let (other, _) = tails.join(&follow("")).expect("room");
        assert!(tails.tell(&follow(""), Some("lines".into())));
        assert!(tails.tell(&follow(""), None));
        assert_eq!((&**one.borrow(), &**other.borrow()), ("lines", "lines"));
        let mut later = one.clone();
        later.mark_unchanged();
        assert!(tails.tell(&follow(""), Some("lines".into())));
        assert_eq!(later.has_changed().ok(), Some(false), "the same is not sent again");
    }
}
