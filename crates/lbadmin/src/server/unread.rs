//! What a request had left to say when it was answered, which is the case for most refusals.
//!
//! A socket closed on unread bytes resets the connection, and with it the answer on its way. So the rest is taken first,
//! within bounds: who sends more than that, or slowly, may lose the answer.

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::header,
    middleware::Next,
    response::Response,
};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::oneshot;

/// Bytes that are taken.
const REST: usize = 1 << 20;
/// Time in which they must come.
const REST_TIME: Duration = Duration::from_secs(5);

pub async fn take(request: Request, next: Next) -> Response {
    // Who expects 100 Continue has sent nothing yet, and asking for the body would make him.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let (back, mut rest) = oneshot::channel();
    let response = next.run(request.map(|body| Body::new(Lent { body: Some(body), back: Some(back) }))).await;
    if let Ok(rest) = rest.try_recv() {
        // Late: the connection ends with bytes unread.
        let _ = tokio::time::timeout(REST_TIME, drain(rest)).await;
    }
    response
}

async fn drain(mut body: Body) {
    let mut taken = 0;
    while taken < REST
        && let Some(Ok(frame)) = body.frame().await
    {
        taken += frame.data_ref().map_or(0, Bytes::len);
    }
}

/// A body that comes back when nobody reads it any more.
struct Lent {
    body: Option<Body>,
    back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.body.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some((body, back)) = self.body.take().zip(self.back.take())
            && !body.is_end_stream()
        {
            // Nobody waits for it any more: the client is gone.
            let _ = back.send(body);
        }
    }
}
