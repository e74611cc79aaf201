//! Layer 7: virtual servers that HAProxy proxies (SNAT), so that it can read and change what passes.
//!
//! Owns the types and the words of their options; what is wrong with a set of them is in
//! [`crate::problems`]. How they are written in HAProxy's own language is lb-haproxy's business.

mod acme;
mod memory;
mod persistence;
mod rules;
mod text;
mod tls;

pub use acme::{Acme, AcmeContact, AcmeDirectory};
pub use memory::{PEERS_PORT, Peers};
pub use persistence::{ApplicationCookie, Cookie, Layer7Persistence, SourceTable};
pub use rules::{HeaderOperation, HeaderRule, Limits, Outcome, Rule, Test};
pub use text::{CookieName, CookieValue, HeaderName, HttpText, ManualBlock, PageText};
pub use tls::{
    Certificate, CertificateFingerprint, CertificateName, ClientCertificates, ClientVerify, ServerVerification, Tls,
    TlsProfile,
};

use crate::{Agent, FALLBACK_PAGE_PORT, Label, NameError, PortRange, Ports, RequestedState, StatusCodes, words};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

/// All of layer 7.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Layer7 {
    pub virtual_servers: Vec<Layer7VirtualServer>,
    /// What virtual servers name by label; keys and chains are not in the document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 1000))]
    pub certificates: Vec<Certificate>,
    /// From whom the unit obtains certificates by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme: Option<Acme>,
    /// Where a virtual server says nothing of its own.
    pub timeouts: ProxyTimeouts,
    /// Clients' connections of all layer 7 virtual servers together; 0 = one for each 64 KB of the unit's memory.
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 500000, default = 0))]
    pub max_connections: u32,
}

impl Layer7 {
    /// Each takes two of the 1,048,576 files that a process may open (`fs.nr_open`).
    pub const MOST_CONNECTIONS: u32 = 500_000;
    pub const MOST_CERTIFICATES: usize = 1000;

    pub fn certificate(&self, label: &str) -> Option<&Certificate> {
        self.certificates.iter().find(|certificate| certificate.label.as_str() == label)
    }

    /// Nothing to proxy, and nothing said.
    pub fn is_unused(&self) -> bool {
        *self == Layer7::default()
    }
}

/// A layer 7 virtual server: what clients connect to, as HAProxy answers there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Layer7VirtualServer {
    /// No other virtual server, of either layer, has it.
    pub label: Label,
    #[cfg_attr(feature = "schema", schema(value_type = crate::schema::IpAddress))]
    pub address: IpAddr,
    /// At most 64, and not all.
    pub ports: Ports,
    #[serde(default)]
    pub mode: ProxyMode,
    /// Clients speak TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    #[serde(default)]
    pub balance: Balance,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Layer7Persistence>,
    #[serde(default)]
    pub check: Layer7Check,
    /// Asked beside the check, on each real server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    #[serde(default, skip_serializing_if = "OwnTimeouts::none")]
    pub timeouts: OwnTimeouts,
    /// Clients' connections; 0 = unrestricted. Further ones wait in the kernel's queue.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 1000000, default = 0))]
    pub max_connections: u32,
    /// Mode http: tells servers the client's address in `X-Forwarded-For`.
    #[serde(default = "yes")]
    pub forwarded_for: bool,
    /// Clients come through a proxy that speaks the PROXY protocol, and only through it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_proxy: bool,
    #[serde(default)]
    pub keep_alive: KeepAlive,
    /// Mode http: compresses text that the server sent uncompressed (gzip).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compression: bool,
    /// Servers see the client's address (TPROXY): their way back must lead through this unit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transparent: bool,
    /// Mode http: sends every client to `https://` and the same place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redirect_https: bool,
    /// Mode http: the first that matches decides; if none does, the real servers below serve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 100))]
    pub rules: Vec<Rule>,
    /// Mode http.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 100))]
    pub request_headers: Vec<HeaderRule>,
    /// Mode http.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 100))]
    pub response_headers: Vec<HeaderRule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Seconds in which a server that came back gets its full share; 0 = at once.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 3600, default = 0))]
    pub slow_start: u32,
    /// Serves when no real server is left; `null` for none: clients get status 503.
    #[serde(default = "Layer7Fallback::page")]
    pub fallback: Option<Layer7Fallback>,
    /// Mode http: what clients get with status 503 when nobody serves, in place of the appliance's own fallback page.
    /// Another fallback server goes before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_page: Option<PageText>,
    /// Every request, in mode tcp every connection, is logged, and not only those that fail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub log_requests: bool,
    /// Lines of HAProxy's own language for the end of this virtual server's section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual: Option<ManualBlock>,
    /// Left out: the certificates of real servers are not verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_verification: Option<ServerVerification>,
    #[serde(default)]
    pub real_servers: Vec<Layer7RealServer>,
}

fn yes() -> bool {
    true
}

impl Layer7VirtualServer {
    /// With everything else as it is when left out.
    pub fn new(label: Label, address: IpAddr, ports: Ports) -> Layer7VirtualServer {
        Layer7VirtualServer {
            label,
            address,
            ports,
            mode: ProxyMode::default(),
            tls: None,
            balance: Balance::default(),
            persistence: None,
            check: Layer7Check::default(),
            agent: None,
            timeouts: OwnTimeouts::default(),
            max_connections: 0,
            forwarded_for: yes(),
            accept_proxy: false,
            keep_alive: KeepAlive::default(),
            compression: false,
            transparent: false,
            redirect_https: false,
            rules: Vec::new(),
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            limits: None,
            slow_start: 0,
            fallback: Layer7Fallback::page(),
            fallback_page: None,
            log_requests: false,
            manual: None,
            server_verification: None,
            real_servers: Vec::new(),
        }
    }

    /// Who serves when no real server is left; the appliance's own page does not where there is one for this virtual
    /// server.
    pub fn last_resort(&self) -> Option<&Layer7Fallback> {
        self.fallback.as_ref().filter(|fallback| self.fallback_page.is_none() || !fallback.is_page())
    }

    /// Each place where clients connect.
    pub fn places(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let ports = self.ports.ranges().iter().flat_map(|PortRange { first, last }| *first..=*last);
        ports.map(|port| SocketAddr::new(self.address, port))
    }

    /// As administrators write it: `http 10.0.0.20:80,8080`, with TLS `https` or `tcp+tls`.
    pub fn service(&self) -> String {
        let mode = match (self.mode, &self.tls) {
            (mode, None) => mode.to_string(),
            (ProxyMode::Http, Some(_)) => "https".to_owned(),
            (ProxyMode::Tcp, Some(_)) => "tcp+tls".to_owned(),
        };
        match self.address {
            IpAddr::V4(address) => format!("{mode} {address}:{}", self.ports),
            IpAddr::V6(address) => format!("{mode} [{address}]:{}", self.ports),
        }
    }
}

/// A real server of a layer 7 virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Layer7RealServer {
    pub label: Label,
    #[cfg_attr(feature = "schema", schema(value_type = crate::schema::IpAddress))]
    pub address: IpAddr,
    /// Left out: the port that the client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 65535))]
    pub port: Option<u16>,
    /// Share of the load, 0..=256.
    #[serde(default = "one")]
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 256, default = 1))]
    pub weight: u16,
    /// Under little load the maximum below shrinks to this; 0 = it does not.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 1000000, default = 0))]
    pub min_connections: u32,
    /// Connections at which further requests wait in a queue; 0 = unrestricted.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 1000000, default = 0))]
    pub max_connections: u32,
    /// Tells the server the client's address before anything else.
    #[serde(default, skip_serializing_if = "SendProxy::is_none")]
    pub send_proxy: SendProxy,
    /// Speaks TLS with the server. Its certificate is verified where `server_verification` says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// With persistence by a cookie of this unit's: what its clients have in it. Left out: the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<CookieValue>,
    /// Ends its connections when it is found unfit; otherwise they stay until either side closes them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shutdown_sessions: bool,
    #[serde(default)]
    pub state: RequestedState,
}

fn one() -> u16 {
    1
}

impl Layer7RealServer {
    /// With everything else as it is when left out.
    pub fn new(label: Label, address: IpAddr, port: Option<u16>) -> Layer7RealServer {
        Layer7RealServer {
            label,
            address,
            port,
            weight: one(),
            min_connections: 0,
            max_connections: 0,
            send_proxy: SendProxy::default(),
            tls: false,
            cookie: None,
            shutdown_sessions: false,
            state: RequestedState::default(),
        }
    }
}

impl Layer7RealServer {
    /// What its clients have in the cookie, where there is one.
    pub fn cookie_value(&self) -> &str {
        self.cookie.as_ref().map_or(self.label.as_str(), CookieValue::as_str)
    }
}

impl fmt::Display for Layer7RealServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port.map_or_else(String::new, |p| format!(" port {p}"));
        write!(f, "{} at {}{port} (weight {})", self.label, self.address, self.weight)
    }
}

/// The server of last resort. On a loopback address it is the appliance's own fallback page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Layer7Fallback {
    #[cfg_attr(feature = "schema", schema(value_type = crate::schema::IpAddress))]
    pub address: IpAddr,
    /// Left out: the port that the client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 65535))]
    pub port: Option<u16>,
}

impl Layer7Fallback {
    /// 127.0.0.1:9081, the page that the appliance itself serves.
    pub fn page() -> Option<Layer7Fallback> {
        Some(Layer7Fallback { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: Some(FALLBACK_PAGE_PORT) })
    }

    pub fn is_page(&self) -> bool {
        self.address.is_loopback()
    }
}

impl fmt::Display for Layer7Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.address, self.port.map_or_else(String::new, |p| format!(" port {p}")))
    }
}

/// Seconds, 1..=86400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ProxyTimeouts {
    /// A server takes the connection.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 86400, default = 5))]
    pub connect: u32,
    /// A client is silent while it is to speak.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 86400, default = 60))]
    pub client: u32,
    /// A server is silent while it is to speak.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 86400, default = 60))]
    pub server: u32,
    /// A request waits for a server with a place left.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 86400, default = 30))]
    pub queue: u32,
    /// A client sends the whole head of its request.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 86400, default = 10))]
    pub http_request: u32,
    /// A client's connection stays for its next request.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 86400, default = 10))]
    pub http_keep_alive: u32,
    /// Either side of a websocket is silent.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 86400, default = 3600))]
    pub tunnel: u32,
}

impl Default for ProxyTimeouts {
    fn default() -> Self {
        ProxyTimeouts {
            connect: 5,
            client: 60,
            server: 60,
            queue: 30,
            http_request: 10,
            http_keep_alive: 10,
            tunnel: 3600,
        }
    }
}

impl ProxyTimeouts {
    /// With HAProxy's own words for them.
    pub fn words(&self) -> [(&'static str, &'static str, u32); 7] {
        [
            ("connect", "connect", self.connect),
            ("client", "client", self.client),
            ("server", "server", self.server),
            ("queue", "queue", self.queue),
            ("http_request", "http-request", self.http_request),
            ("http_keep_alive", "http-keep-alive", self.http_keep_alive),
            ("tunnel", "tunnel", self.tunnel),
        ]
    }
}

/// What a virtual server says otherwise than [`ProxyTimeouts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct OwnTimeouts {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 86400))]
    pub connect: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 86400))]
    pub client: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 86400))]
    pub server: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 86400))]
    pub queue: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 86400))]
    pub http_request: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 86400))]
    pub http_keep_alive: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 86400))]
    pub tunnel: Option<u32>,
}

impl OwnTimeouts {
    fn none(&self) -> bool {
        *self == OwnTimeouts::default()
    }

    /// As [`ProxyTimeouts::words`].
    pub fn words(&self) -> [(&'static str, &'static str, Option<u32>); 7] {
        [
            ("connect", "connect", self.connect),
            ("client", "client", self.client),
            ("server", "server", self.server),
            ("queue", "queue", self.queue),
            ("http_request", "http-request", self.http_request),
            ("http_keep_alive", "http-keep-alive", self.http_keep_alive),
            ("tunnel", "tunnel", self.tunnel),
        ]
    }
}

/// How HAProxy asks whether a server is fit. What is left out comes from the global settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Layer7Check {
    #[serde(default)]
    pub method: Layer7CheckMethod,
    /// http, https: the path asked for; begins with `/`. Left out: `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<HttpText>,
    /// http, https: the Host header; left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_host: Option<HttpText>,
    /// http, https: status codes that count as fit; left out: 200-399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusCodes>,
    /// http, https: what `expect` is about; left out: bodies are not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<HttpText>,
    /// http, https: what the body must do with `response`.
    #[serde(default, skip_serializing_if = "CheckExpect::is_contains")]
    pub expect: CheckExpect,
    /// http, https: the request's method.
    #[serde(default, skip_serializing_if = "CheckVerb::is_get")]
    pub verb: CheckVerb,
    /// Port to ask on the real server; left out: the real server's own port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 65535))]
    pub port: Option<u16>,
    /// Seconds between two checks, 1..=3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 3600))]
    pub interval: Option<u32>,
    /// Seconds that one check may take, 1..=300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 300))]
    pub timeout: Option<u32>,
    /// Failures in a row that take a server out, 1..=100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100))]
    pub fall: Option<u32>,
    /// Successes in a row that take it back, 1..=100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100))]
    pub rise: Option<u32>,
}

words! {
    /// What HAProxy reads of the traffic.
    ProxyMode, "mode",
    /// Requests: cookies, headers, paths.
    #[default] Http = "http",
    /// Bytes.
    Tcp = "tcp",
}

words! {
    /// Which real server gets the next request; HAProxy's names.
    Balance, "balance",
    #[default] RoundRobin = "roundrobin",
    LeastConn = "leastconn",
    /// A hash of the client's address.
    Source = "source",
    /// The first one with a place left.
    First = "first",
    Random = "random",
}

words! {
    /// What becomes of connections after a request.
    KeepAlive, "keep-alive mode",
    /// Both sides stay.
    #[default] Both = "keep-alive",
    /// The client's stays, the server's is closed.
    ServerClose = "server-close",
    /// Both are closed.
    Close = "close",
}

words! {
    /// The PROXY protocol towards a server.
    SendProxy, "PROXY protocol version",
    #[default] None = "none",
    V1 = "v1",
    V2 = "v2",
}

impl SendProxy {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde's skip_serializing_if asks for")]
    fn is_none(&self) -> bool {
        *self == SendProxy::None
    }
}

words! {
    /// What the body of an answer to a check must do with a text.
    CheckExpect, "expectation",
    #[default] Contains = "contains",
    Lacks = "lacks",
    /// The text is a regular expression (PCRE2), found anywhere in the body.
    Matches = "matches",
    MatchesNot = "matches-not",
}

impl CheckExpect {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde's skip_serializing_if asks for")]
    fn is_contains(&self) -> bool {
        *self == CheckExpect::Contains
    }
}

words! {
    /// The method of a check's request. Answers to HEAD and OPTIONS have no body that is worth reading.
    CheckVerb, "request method",
    #[default] Get = "GET",
    Head = "HEAD",
    Options = "OPTIONS",
}

impl CheckVerb {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde's skip_serializing_if asks for")]
    fn is_get(&self) -> bool {
        *self == CheckVerb::Get
    }
}

words! {
    /// How HAProxy asks a server.
    Layer7CheckMethod, "check method",
    /// A TCP connection is accepted.
    #[default] Connect = "connect",
    /// A request gets an expected answer.
    Http = "http",
    /// The same over TLS; the certificate is not verified.
    Https = "https",
    /// Never asked, always active.
    On = "on",
    Smtp = "smtp",
    Mysql = "mysql",
    Pgsql = "pgsql",
    Redis = "redis",
    Ldap = "ldap",
}

impl Layer7CheckMethod {
    /// Whether it has a path, a host, status codes and a body.
    pub fn is_http(self) -> bool {
        matches!(self, Layer7CheckMethod::Http | Layer7CheckMethod::Https)
    }
}
