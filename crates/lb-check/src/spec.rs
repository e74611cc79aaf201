//! What the configuration asks of each real server.

use lb_model::{Check, CheckMethod, Config, Label, Negotiate, Protocol, RealServer, VirtualServer};
use std::{fmt, net::IpAddr, time::Duration};

/// How soon a first failure of a fit server is looked at again, where the interval is not shorter still.
const RETRY: Duration = Duration::from_secs(1);

/// One question, and how often to put it. Equal ones are asked once, however many virtual servers wait
/// for the answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CheckSpec {
    pub target: Target,
    pub kind: Kind,
    /// From one probe's start to the next, at least 1 ms.
    pub interval: Duration,
    /// What one probe may take in all.
    pub timeout: Duration,
    /// From a failure that is not believed yet to the next probe.
    pub retry: Duration,
    /// Failures in a row that make a fit server unfit, 1 and up.
    pub fall: u32,
    /// Successes in a row that make an unfit server fit, 1 and up.
    pub rise: u32,
}

/// Whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    pub address: IpAddr,
    /// 0 where the question knows no ports.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.port) {
            (address, 0) => write!(f, "{address}"),
            (IpAddr::V4(a), port) => write!(f, "{a}:{port}"),
            (IpAddr::V6(a), port) => write!(f, "[{a}]:{port}"),
        }
    }
}

/// What to ask. Further check types are further variants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A TCP connection is accepted.
    Connect,
    /// An ICMP echo is answered.
    Ping,
    /// An HTTP or HTTPS request gets the expected answer.
    Negotiate(Negotiate),
}

impl CheckSpec {
    /// The longest time from the moment a fit server stops working to the verdict: `interval + timeout`,
    /// and `retry + timeout` more for each failure after the first that `fall` asks for.
    ///
    /// Worst case: the server stops right after it has answered, so the next probe is a whole interval
    /// away, and it stays silent, so every probe takes its whole timeout. What the caller adds (waiting
    /// for a free place among the running probes) comes on top.
    pub fn detection_bound(&self) -> Duration {
        self.interval + self.timeout + (self.retry + self.timeout) * self.fall.saturating_sub(1)
    }

    fn new(config: &Config, vs: &VirtualServer, rs: &RealServer) -> Option<CheckSpec> {
        let defaults = &config.globals.health;
        let Check { method, port, interval, timeout, fall, rise } = &vs.check;
        let (kind, default_timeout) = match method {
            CheckMethod::On | CheckMethod::Off => return None,
            CheckMethod::Connect => match vs.service.protocol() {
                // A firewall mark says no protocol; what has ports to check is TCP then.
                Some(Protocol::Tcp) | None => (Kind::Connect, defaults.timeout),
                // An unanswered datagram says nothing, and one that is answered would have to be understood.
                Some(Protocol::Udp | Protocol::Sctp) => (Kind::Ping, defaults.timeout),
            },
            CheckMethod::Ping => (Kind::Ping, defaults.timeout),
            CheckMethod::Negotiate(n) => (Kind::Negotiate(n.clone()), defaults.negotiate_timeout),
        };
        let port = match kind {
            Kind::Ping => 0,
            Kind::Connect | Kind::Negotiate(_) => port.or(rs.port).unwrap_or_else(|| service_port(vs)),
        };
        let seconds = |n: u32| Duration::from_secs(n.max(1).into());
        let interval = seconds(interval.unwrap_or(defaults.interval));
        Some(CheckSpec {
            target: Target { address: rs.address, port },
            kind,
            interval,
            timeout: seconds(timeout.unwrap_or(default_timeout)),
            retry: RETRY.min(interval),
            fall: fall.unwrap_or(defaults.fall).max(1),
            rise: rise.unwrap_or(defaults.rise).max(1),
        })
    }
}

/// The virtual server's port, or the lowest of its ports. 0 for a firewall mark, which `lb_model::problems` refuses.
fn service_port(vs: &VirtualServer) -> u16 {
    match &vs.service {
        lb_model::Service::Address { ports, .. } => ports.first(),
        lb_model::Service::FirewallMark { .. } => 0,
    }
}

/// Every real server that is to be asked (its virtual server's check is neither `on` nor `off`), by the
/// labels of its virtual server and its own.
///
/// Servers requested OFFLINE or DRAIN are asked as well, other than ldirectord does: their actual state
/// stays visible, and one that is put online again serves at once if it is fit.
pub fn specs(config: &Config) -> Vec<(Label, Label, CheckSpec)> {
    let servers = config.virtual_servers.iter().flat_map(|vs| vs.real_servers.iter().map(move |rs| (vs, rs)));
    servers.filter_map(|(vs, rs)| Some((vs.label.clone(), rs.label.clone(), CheckSpec::new(config, vs, rs)?))).collect()
}
