//! Asking real servers how they are: one probe, one outcome.
//!
//! What to ask, when, and what the answers add up to is `lb-check`'s; here are only the sockets.
//! A probe is one future without tasks of its own: it has one connection at a time, and dropping it
//! closes that connection. It ends within its timeout and never fails: what goes wrong on the way
//! is the outcome, in words for an administrator. How many run at once is the caller's.
//!
//! Further check types come as a file here and an arm in [`run`].
//!
//! Tested against listeners on loopback that behave well, badly, and not at all.

use lb_check::{Kind, Outcome, Probe, Target};
use lb_model::NegotiateService;
use std::{fmt, io, net::SocketAddr, time::Duration};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

mod agent;
mod http;
mod ping;
mod tls;

pub use agent::ask as ask_agent;

/// Carries out one probe.
pub async fn run(probe: &Probe) -> Outcome {
    let check = &*probe.spec;
    let limit = Limit { at: Instant::now() + check.timeout, within: check.timeout };
    let asked = match (&check.kind, &probe.expected) {
        (Kind::Ping, _) => ping::ask(check.target.address, limit).await,
        (Kind::Connect, _) => connect(check.target, limit).await.map(|_| Outcome::Fit),
        (Kind::Negotiate(negotiate), Some(expected)) => match negotiate.service {
            NegotiateService::Http => http::ask(check.target, negotiate, expected, limit).await,
            NegotiateService::Https => http::ask_tls(check.target, negotiate, expected, limit).await,
        },
        (Kind::Negotiate(_), None) => Err(Failed("the check does not say what it expects".into())),
    };
    asked.unwrap_or_else(|Failed(why)| Outcome::Unfit(why))
}

/// A TCP connection. It is closed in the ordinary way: a reset would save a TIME_WAIT here, and be an
/// error in the server's log at every check.
async fn connect(target: Target, limit: Limit) -> Result<TcpStream, Failed> {
    limit.hold("no answer", TcpStream::connect(SocketAddr::new(target.address, target.port))).await
}

/// Why the server is not fit.
#[derive(Debug)]
struct Failed(String);

impl From<io::Error> for Failed {
    fn from(e: io::Error) -> Self {
        use io::ErrorKind::*;
        Failed(match e.kind() {
            ConnectionRefused => "connection refused".into(),
            ConnectionReset => "connection reset".into(),
            ConnectionAborted | BrokenPipe | UnexpectedEof => "connection closed by the server".into(),
            HostUnreachable => "host unreachable".into(),
            NetworkUnreachable => "network unreachable: the appliance has no route to it".into(),
            TimedOut => "no answer".into(),
            PermissionDenied => "not permitted by the appliance's own packet filter".into(),
            AddrNotAvailable => "the appliance has no free port or no address to ask from".into(),
            // "... (os error 24)": the number helps nobody here.
            _ => {
                let text = e.to_string();
                text.split(" (os error").next().unwrap_or_default().to_lowercase()
            }
        })
    }
}

/// The end of the whole probe, whatever step it is in.
#[derive(Debug, Clone, Copy)]
struct Limit {
    at: Instant,
    within: Duration,
}

impl Limit {
    /// One step of a probe; `missing` is what there was not when time ran out.
    async fn hold<T, E: Into<Failed>>(
        self,
        missing: &str,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failed> {
        match timeout_at(self.at, step).await {
            Ok(done) => done.map_err(Into::into),
            Err(_) => Err(Failed(format!("{missing} within {self}"))),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.within.subsec_millis() {
            0 => write!(f, "{} s", self.within.as_secs()),
            _ => write!(f, "{} ms", self.within.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests;
