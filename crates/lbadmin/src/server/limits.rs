//! What one client, and all together, may use. Who gets a connection is decided in [`super::places`].

use super::places::{Full, Places, Source};
use crate::{pages, seat::Scheme, update::UPLOAD_TIME};
use axum::{
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use axum_server::accept::Accept;
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto::Builder,
};
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    sync::Semaphore,
};
use tokio_io_timeout::TimeoutStream;

/// A form; uploads say their own limit.
pub const FORM_BODY: usize = 1 << 20;
/// Bytes of a request's head, and what is buffered of its body.
const HEAD: usize = 64 << 10;
/// The head must be there in so long, also on a connection that is kept open.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// A request must be read and answered in so long; server-sent events begin their answer at once.
const REQUEST_TIME: Duration = Duration::from_secs(90);
/// A bundle may be large and come slowly; these say themselves when it comes too slowly.
const UPLOADS: [&str; 2] = [pages::update::UPLOAD, "/api/v1/update/bundle"];
/// A client that takes nothing of its answer for so long is gone.
const WRITE_TIME: Duration = Duration::from_secs(40);

/// Clients at once that are told why they get no connection; further ones are closed without a word.
const FAREWELLS: usize = 64;
/// In so long, and with so many bytes of what they had to say taken.
const FAREWELL_TIME: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: u64 = 64 << 10;

#[derive(Clone)]
pub struct Limits {
    places: Arc<Mutex<Places>>,
    farewells: Arc<Semaphore>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { places: Arc::default(), farewells: Arc::new(Semaphore::new(FAREWELLS)) }
    }
}

impl Limits {
    pub fn acceptor(&self, scheme: Scheme) -> LimitedAcceptor {
        LimitedAcceptor { limits: self.clone(), scheme }
    }

    pub fn configure(&self, builder: &mut Builder<TokioExecutor>) {
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD);
    }
}

fn lock(places: &Mutex<Places>) -> MutexGuard<'_, Places> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers 408 for a request that is not done in time.
pub async fn in_time(request: Request, next: Next) -> Response {
    let upload = UPLOADS.contains(&request.uri().path());
    within(if upload { UPLOAD_TIME } else { REQUEST_TIME }, request, next).await
}

async fn within(time: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "The request took too long.\n").into_response(),
    }
}

/// Hands out the connections. One too many is told so over http, and closed; over https a word would cost a handshake.
#[derive(Clone)]
pub struct LimitedAcceptor {
    limits: Limits,
    scheme: Scheme,
}

impl<S: Send + 'static> Accept<TcpStream, S> for LimitedAcceptor {
    type Stream = Held;
    type Service = S;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Held, S)>> + Send>>;

    fn accept(&self, mut stream: TcpStream, service: S) -> Self::Future {
        let LimitedAcceptor { limits, scheme } = self.clone();
        Box::pin(async move {
            let address = stream.peer_addr()?.ip();
            let place = match Place::take(&limits.places, Source::of(address)) {
                Ok(place) => place,
                Err(full) => {
                    if full == (Full::Address { first: true }) {
                        tracing::warn!("{address} has its share of all connections; further ones are closed");
                    }
                    if let (Scheme::Http, Ok(_one)) = (scheme, limits.farewells.try_acquire()) {
                        // Gone before that: nothing is lost.
                        let _ = tokio::time::timeout(FAREWELL_TIME, farewell(&mut stream, full)).await;
                    }
                    return Err(io::Error::other("too many connections"));
                }
            };
            stream.set_nodelay(true)?;
            let mut stream = TimeoutStream::new(stream);
            stream.set_write_timeout(Some(WRITE_TIME));
            Ok((Held { stream: Box::pin(stream), _place: place }, service))
        })
    }
}

/// 429 (RFC 6585, section 4), before anything is asked. What the client sends meanwhile is taken: a socket closed on
/// unread bytes resets the connection, and with it what was said.
async fn farewell(stream: &mut TcpStream, full: Full) -> io::Result<()> {
    let (text, after) = (full.words(), HEAD_TIME.as_secs());
    let length = text.len();
    let answer = format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: text/plain; charset=utf-8\r\nretry-after: {after}\r\n\
         cache-control: no-store\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{text}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(FAREWELL_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}

/// A place among the connections, for as long as it lives.
struct Place {
    places: Arc<Mutex<Places>>,
    source: Source,
}

impl Place {
    fn take(places: &Arc<Mutex<Places>>, source: Source) -> Result<Place, Full> {
        lock(places).enter(source)?;
        Ok(Place { places: places.clone(), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.places).leave(self.source);
    }
}

/// A connection with its place.
pub struct Held {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    _place: Place,
}

impl AsyncRead for Held {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Held {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().stream.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.as_mut().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().stream.as_mut().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Body, middleware::from_fn, routing::post};
    use tower::ServiceExt;

    /// A body of which nothing comes, and one that is whole.
    #[tokio::test]
    async fn a_request_that_never_ends_is_408() {
        let time = Duration::from_millis(200);
        let router = Router::new()
            .route("/", post(|body: String| async move { body }))
            .layer(from_fn(move |request, next| within(time, request, next)));
        let ask = async |body| router.clone().oneshot(Request::post("/").body(body).expect("a request")).await;
        let slow = Body::from_stream(futures_util::stream::pending::<io::Result<Vec<u8>>>());
        assert_eq!(ask(slow).await.expect("an answer").status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(ask(Body::from("whole")).await.expect("an answer").status(), StatusCode::OK);
    }
}
