//! Listeners, TLS, limits and headers: what stands between the network and the pages.
//!
//! Bounded: connections in all and of one address, header size and time, body size, time of a request, time in which a client must take
//! its answer. The http listener comes and goes with the web settings, without a restart.

mod headers;
mod limits;
mod places;
mod unread;

pub use headers::host;

use crate::{Shared, api, args::Args, dialects, pages, seat::Scheme};
use anyhow::Context;
use axum::{Extension, Router, extract::DefaultBodyLimit, middleware};
use axum_server::{Handle, tls_rustls::RustlsAcceptor};
use lb_access::HttpMode;
use limits::Limits;
use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};
use tower_http::{catch_panic::CatchPanicLayer, csrf::CsrfLayer};

/// Seconds that requests under way get when the program stops.
const GRACE: Duration = Duration::from_secs(2);

/// Both ports, opened before the process is confined.
pub struct Listeners {
    http: TcpListener,
    https: TcpListener,
}

impl Listeners {
    pub fn open(args: &Args) -> anyhow::Result<Listeners> {
        Ok(Listeners { http: listen(args.http)?, https: listen(args.https)? })
    }
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let open = || -> std::io::Result<TcpListener> {
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        Ok(socket.into())
    };
    open().with_context(|| format!("listening on {address}"))
}

/// Until SIGTERM or SIGINT.
pub async fn serve(app: Shared, listeners: Listeners) -> anyhow::Result<()> {
    let limits = Limits::default();
    let stop = Handle::new();
    let router = router(&app);

    let acceptor = RustlsAcceptor::new(app.tls.config.clone())
        .handshake_timeout(Duration::from_secs(10))
        .acceptor(limits.acceptor(Scheme::Https));
    let mut https = axum_server::from_tcp(listeners.https)?.acceptor(acceptor).handle(stop.clone());
    limits.configure(https.http_builder());
    let https_service =
        router.clone().layer(Extension(Scheme::Https)).into_make_service_with_connect_info::<SocketAddr>();
    let mut https = tokio::spawn(async move { https.serve(https_service).await });

    let http = tokio::spawn(http(app, listeners.http, router, limits));
    tracing::info!("serving http and https");
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        done = &mut https => done?.context("serving https")?,
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    http.abort();
    stop.graceful_shutdown(Some(GRACE));
    Ok(())
}

/// Serves http for as long as the settings want it; a listener that nobody serves is closed.
async fn http(app: Shared, listener: TcpListener, router: Router, limits: Limits) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let mut listener = Some(listener);
    let mut serving: Option<(Handle<SocketAddr>, tokio::task::JoinHandle<std::io::Result<()>>)> = None;
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    loop {
        tick.tick().await;
        let wanted = app.access.settings().http != HttpMode::Off;
        match (&serving, wanted) {
            (None, true) => {
                let socket = match listener.take() {
                    Some(socket) => socket,
                    None => match listen(address) {
                        Ok(socket) => socket,
                        Err(error) => {
                            tracing::error!("{error:#}; trying again");
                            continue;
                        }
                    },
                };
                let handle = Handle::new();
                let mut server =
                    axum_server::from_tcp(socket)?.acceptor(limits.acceptor(Scheme::Http)).handle(handle.clone());
                limits.configure(server.http_builder());
                let service = router
                    .clone()
                    .layer(middleware::from_fn_with_state(app.clone(), headers::redirect_to_https))
                    .layer(Extension(Scheme::Http))
                    .into_make_service_with_connect_info::<SocketAddr>();
                serving = Some((handle, tokio::spawn(async move { server.serve(service).await })));
            }
            (Some((handle, _)), false) => {
                tracing::info!("http is turned off");
                handle.graceful_shutdown(Some(GRACE));
                serving = None;
                listener = None;
            }
            _ => {}
        }
    }
}

/// Everything, for either scheme.
pub fn router(app: &Shared) -> Router {
    around(app, pages::routes().merge(api::routes()).merge(dialects::routes()))
}

/// What every route has around it.
pub fn around(app: &Shared, routes: Router<Shared>) -> Router {
    routes
        .layer(DefaultBodyLimit::max(limits::FORM_BODY))
        .layer(middleware::from_fn(limits::in_time))
        .layer(CsrfLayer::new())
        .layer(middleware::from_fn_with_state(app.clone(), headers::audit_refusals))
        .layer(CatchPanicLayer::custom(headers::panicked))
        .layer(middleware::from_fn(headers::secure))
        .layer(middleware::from_fn(unread::take))
        .with_state(app.clone())
}
