//! The command line, and where log lines go.

use clap::Parser;
use std::{io::IsTerminal, net::SocketAddr, path::PathBuf};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// The web interface and the native API of this load balancer.
///
/// Started by the supervisor as a user of its own; speaks to lbd on its socket.
#[derive(Parser, Debug, Clone)]
#[command(version)]
pub struct Args {
    /// Directory of users, certificate and graphs
    #[arg(long, default_value = "/data/web")]
    pub state: PathBuf,
    /// lbd's Unix socket
    #[arg(long, default_value = lb_api::SOCKET)]
    pub socket: PathBuf,
    /// Unix socket of the service that installs updates
    #[arg(long, default_value = lb_api::UPDATE_SOCKET)]
    pub updates: PathBuf,
    /// Where to serve http
    #[arg(long, default_value = "[::]:9080")]
    pub http: SocketAddr,
    /// Where to serve https
    #[arg(long, default_value = "[::]:9443")]
    pub https: SocketAddr,
    /// Do without the kernel's confinement to the state directory (for trying things out)
    #[arg(long)]
    pub unconfined: bool,
}

/// Lines that wait for the supervisor's logger; some hundred bytes each.
const WAITING: usize = 2000;

/// Log lines on stderr, where the supervisor's logger takes them and adds the time. Nobody waits for it: it stands still
/// while the disk is full, and what it cannot take is lost. Who drops the guard waits for the last lines.
pub fn log() -> WorkerGuard {
    let (out, guard) = NonBlockingBuilder::default().buffered_lines_limit(WAITING).finish(std::io::stderr());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let format = tracing_subscriber::fmt().with_env_filter(filter).with_writer(out).with_ansi(false).with_target(false);
    if std::io::stderr().is_terminal() {
        format.init()
    } else {
        format.without_time().init()
    }
    guard
}
