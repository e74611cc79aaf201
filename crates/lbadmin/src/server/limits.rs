//! What one client, and all together, may use.

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
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_io_timeout::TimeoutStream;

/// A form; uploads say their own limit.
pub const FORM_BODY: usize = 1 << 20;
/// Connections at once, both ports together. 500 live views and the rest of a large team fit.
const CONNECTIONS: usize = 1500;
/// Bytes of a request's head, and what is buffered of its body.
const HEAD: usize = 64 << 10;
/// The head must be there in so long, also on a connection that is kept open.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// A request must be read and answered in so long; server-sent events begin their answer at once.
const REQUEST_TIME: Duration = Duration::from_secs(90);
/// A client that takes nothing of its answer for so long is gone.
const WRITE_TIME: Duration = Duration::from_secs(40);

#[derive(Clone)]
pub struct Limits {
    slots: Arc<Semaphore>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { slots: Arc::new(Semaphore::new(CONNECTIONS)) }
    }
}

impl Limits {
    pub fn acceptor(&self) -> LimitedAcceptor {
        LimitedAcceptor { slots: self.slots.clone() }
    }

    pub fn configure(&self, builder: &mut Builder<TokioExecutor>) {
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD);
    }
}

/// Answers 408 for a request that is not done in time.
pub async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "The request took too long.\n").into_response(),
    }
}

/// Hands out the connections; one beyond the limit is closed at once.
#[derive(Clone)]
pub struct LimitedAcceptor {
    slots: Arc<Semaphore>,
}

impl<S: Send + 'static> Accept<TcpStream, S> for LimitedAcceptor {
    type Stream = Held;
    type Service = S;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Held, S)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let slot = self.slots.clone().try_acquire_owned();
        Box::pin(async move {
            let slot = slot.map_err(|_| io::Error::other("too many connections"))?;
            stream.set_nodelay(true)?;
            let mut stream = TimeoutStream::new(stream);
            stream.set_write_timeout(Some(WRITE_TIME));
            Ok((Held { stream: Box::pin(stream), _slot: slot }, service))
        })
    }
}

/// A connection with its slot.
pub struct Held {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    _slot: OwnedSemaphorePermit,
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
