//! `lbctl vip add-layer7`: a virtual server that HAProxy proxies, and its real servers.

use crate::{
    cli::{AgentArgs, EditOptions, RipAdd},
    error::Error,
    parse::{AddressPort, AddressPorts, Fallback},
};
use clap::Args;
use lb_model::{
    Config, Label, Layer7RealServer, Layer7VirtualServer, RequestedState, StatusCodes,
    layer7::{
        ApplicationCookie, Balance, ClientCertificates, ClientVerify, Cookie, CookieName, HttpText, Layer7Check,
        Layer7CheckMethod, Layer7Fallback, Layer7Persistence, ProxyMode, SourceTable, Tls, TlsProfile,
    },
};

#[derive(Debug, Args)]
pub struct VipAdd {
    pub label: Label,
    /// 10.0.0.21:80, [2001:db8::21]:80,8080
    #[arg(value_name = "ADDRESS:PORTS")]
    pub service: AddressPorts,
    /// http, or tcp
    #[arg(long, default_value_t)]
    pub mode: ProxyMode,
    /// Speak TLS with clients: the certificates' labels, the first for clients that name no host
    #[arg(long, value_name = "LABEL,…", value_delimiter = ',')]
    pub tls: Vec<Label>,
    /// modern (TLS 1.3), or compatible (TLS 1.2 and 1.3) [default: compatible]
    #[arg(long, value_name = "PROFILE", requires = "tls")]
    pub tls_profile: Option<TlsProfile>,
    /// Browsers come by https only, for so long
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "31536000", requires = "tls")]
    pub hsts: Option<u32>,
    /// Clients need a certificate that this authority signed
    #[arg(long, value_name = "LABEL", requires = "tls")]
    pub client_authority: Option<Label>,
    /// Send every client to https:// and the same place
    #[arg(long, conflicts_with = "tls")]
    pub redirect_https: bool,
    /// roundrobin, leastconn, source, first or random
    #[arg(long, default_value_t)]
    pub balance: Balance,
    /// Keep a client on its real server by a cookie of our own
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "SERVERID", conflicts_with = "application_cookie")]
    pub cookie: Option<CookieName>,
    /// Keep a client on the real server that set this cookie of the application's
    #[arg(long, value_name = "NAME")]
    pub application_cookie: Option<CookieName>,
    /// Keep a source address on its real server for so long; beside a cookie: where the client keeps none
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1800")]
    pub source: Option<u32>,
    /// With --source: netmask or prefix length that makes clients one client
    #[arg(long, value_name = "MASK", requires = "source", value_parser = crate::parse::granularity)]
    pub granularity: Option<u8>,
    /// connect, http, https, on, smtp, mysql, pgsql, redis or ldap
    #[arg(long, value_name = "METHOD", default_value_t)]
    pub check: Layer7CheckMethod,
    /// The port to ask [default: the real server's]
    #[arg(long, value_name = "PORT")]
    pub check_port: Option<u16>,
    /// http, https: the path to ask for [default: /]
    #[arg(long, value_name = "PATH")]
    pub check_request: Option<HttpText>,
    /// http, https: text that the answer must hold
    #[arg(long, value_name = "TEXT")]
    pub check_response: Option<HttpText>,
    /// http, https: the Host header
    #[arg(long, value_name = "NAME")]
    pub check_host: Option<HttpText>,
    /// http, https: status codes that are well [default: 200-399]
    #[arg(long, value_name = "CODES")]
    pub check_status: Option<StatusCodes>,
    #[command(flatten)]
    pub agent: AgentArgs,
    /// Serves when no real server is left, or none [default: 127.0.0.1:9081]
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    pub fallback: Option<Fallback>,
    #[command(flatten)]
    pub options: EditOptions,
}

/// Appends the virtual server.
pub fn add_vip(config: &Config, args: &VipAdd) -> Result<Config, Error> {
    let taken = |path: &str| {
        let hint = format!("change it with lbctl config set {path}.{}.…", args.label);
        Err(Error::request(format!("there is a virtual server {} already", args.label), Some(hint)))
    };
    if config.virtual_server(args.label.as_str()).is_some() {
        return taken("virtual_servers");
    }
    if config.layer7_virtual_server(args.label.as_str()).is_some() {
        return taken("layer7.virtual_servers");
    }
    let mut config = config.clone();
    config.layer7.virtual_servers.push(Layer7VirtualServer {
        mode: args.mode,
        tls: tls(args),
        redirect_https: args.redirect_https,
        balance: args.balance,
        persistence: persistence(args),
        check: Layer7Check {
            method: args.check,
            request: args.check_request.clone(),
            virtual_host: args.check_host.clone(),
            status: args.check_status.clone(),
            response: args.check_response.clone(),
            port: args.check_port,
            ..Layer7Check::default()
        },
        agent: args.agent.agent(),
        fallback: match args.fallback {
            None => Layer7Fallback::page(),
            Some(Fallback::None) => None,
            Some(Fallback::To(AddressPort { address, port })) => Some(Layer7Fallback { address, port }),
        },
        ..Layer7VirtualServer::new(args.label.clone(), args.service.address, args.service.ports.clone())
    });
    Ok(config)
}

fn tls(args: &VipAdd) -> Option<Tls> {
    let client = args
        .client_authority
        .as_ref()
        .map(|authority| ClientCertificates { authority: authority.clone(), verify: ClientVerify::Required });
    (!args.tls.is_empty()).then(|| Tls {
        profile: args.tls_profile.unwrap_or_default(),
        hsts: args.hsts,
        client,
        ..Tls::new(args.tls.clone())
    })
}

fn persistence(args: &VipAdd) -> Option<Layer7Persistence> {
    let source =
        args.source.map(|timeout| SourceTable { timeout, granularity: args.granularity, ..SourceTable::default() });
    match (&args.cookie, &args.application_cookie) {
        (Some(name), _) => Some(Layer7Persistence::Cookie(Cookie { name: name.clone(), source, ..Cookie::default() })),
        (None, Some(name)) => Some(Layer7Persistence::ApplicationCookie(ApplicationCookie {
            source,
            ..ApplicationCookie::new(name.clone())
        })),
        (None, None) => source.map(Layer7Persistence::Source),
    }
}

/// The real server of `lbctl rip add`.
pub fn real_server(args: &RipAdd) -> Result<Layer7RealServer, Error> {
    if args.forwarding.is_some() {
        let hint = "leave --forwarding out: HAProxy makes connections of its own to the servers (SNAT)";
        let message = format!("{} is a layer 7 virtual server, which has no forwarding method", args.vip);
        return Err(Error::request(message, Some(hint.to_owned())));
    }
    let weight = u16::try_from(args.weight).ok().filter(|weight| *weight <= 256);
    let Some(weight) = weight else {
        let hint = "weights of layer 7 are 0 to 256; only their proportion counts";
        return Err(Error::request(format!("weight {} is too large", args.weight), Some(hint.to_owned())));
    };
    Ok(Layer7RealServer {
        weight,
        min_connections: args.min_connections,
        max_connections: args.max_connections,
        state: RequestedState::Online,
        ..Layer7RealServer::new(args.label.clone(), args.address.address, args.address.port)
    })
}
