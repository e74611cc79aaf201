//! OVH front-ends with their farms as virtual servers: `ovh-http-7`, and `ovh-http-7-2` on a second address.
//!
//! What runs is what was applied at the last refresh. A farm that no front-end names serves nobody.

use super::{Rendered, label, layer4, own_address, refusals, rejections, status_codes, text, unasked};
use lb_model::{
    Config, ForwardingMethod, Label, Layer7RealServer, Layer7VirtualServer, RealServer, RequestedState, Scheduler,
    StatusCodes, Tunnel, VirtualServer,
    dialects::ovh::{
        OvhBalance, OvhFarm, OvhFrontend, OvhKind, OvhMatch, OvhObjects, OvhProbe, OvhProbeMethod, OvhProbeType,
        OvhProxyProtocol, OvhServer, OvhSslConfiguration, OvhStickiness,
    },
    layer7::{
        Balance, CheckExpect, CheckVerb, Cookie, CookieValue, HeaderOperation, HeaderRule, HttpText, Layer7Check,
        Layer7CheckMethod, Layer7Fallback, Layer7Persistence, ManualBlock, Outcome, ProxyMode, Rule, SendProxy,
        SourceTable, Test, Tls, TlsProfile,
    },
};
use std::net::IpAddr;

pub(crate) fn label_of(kind: OvhKind, frontend: u32) -> String {
    format!("ovh-{kind}-{frontend}")
}

pub(crate) fn server_label(server: u32) -> String {
    format!("server-{server}")
}

pub(crate) fn ssl_label(ssl: u32) -> Label {
    label(&format!("ovh-ssl-{ssl}"))
}

/// Seconds: half a year. The vendor's API only says on or off.
const HSTS: u32 = 15_768_000;

pub(super) fn render(config: &Config, into: &mut Rendered) {
    let state = &config.dialects.ovh;
    // One that was uploaded is kept at once; it is shown after a refresh, and until the one that follows its removal.
    let new = state.objects.ssl.iter().filter(|ssl| !state.applied.ssl.iter().any(|other| other.id == ssl.id));
    into.certificates.extend(state.applied.ssl.iter().chain(new).map(|ssl| ssl.kept.clone()));
    for frontend in state.applied.frontends.iter().filter(|frontend| !frontend.disabled) {
        let own = frontend.addresses.iter().copied().map(IpAddr::V4).collect::<Vec<_>>();
        let shared = state.address.or_else(|| own_address(config, false, false));
        let addresses = if own.is_empty() { shared.into_iter().collect() } else { own };
        for (i, address) in addresses.into_iter().enumerate() {
            let first = label_of(frontend.kind, frontend.id);
            let name = if i == 0 { first } else { format!("{first}-{}", i + 1) };
            let farm = frontend.default_farm.and_then(|id| state.applied.farm(id));
            match frontend.kind {
                OvhKind::Udp => into.layer4.push(udp(frontend, farm, &name, address)),
                OvhKind::Http | OvhKind::Tcp => {
                    let tls = frontend.ssl.then(|| tls(&state.applied, frontend));
                    into.layer7.push(Layer7VirtualServer { tls, ..proxied(frontend, farm, &name, address) });
                }
            }
        }
    }
}

/// Every certificate, as the vendor does it: who names a host gets the one with that name, everybody else the first.
fn tls(applied: &OvhObjects, frontend: &OvhFrontend) -> Tls {
    let (default, others): (Vec<_>, Vec<_>) = applied.ssl.iter().partition(|ssl| Some(ssl.id) == frontend.default_ssl);
    let labels = default.into_iter().chain(others).map(|ssl| ssl.kept.label.clone()).collect();
    let profile = match applied.ssl_configuration.unwrap_or_default() {
        OvhSslConfiguration::Intermediate => TlsProfile::Compatible,
        OvhSslConfiguration::Modern => TlsProfile::Modern,
    };
    Tls { profile, hsts: frontend.hsts.then_some(HSTS), ..Tls::new(labels) }
}

/// Numbers of the objects that are otherwise than at the last refresh.
pub(crate) fn differing(edited: &OvhObjects, applied: &OvhObjects) -> usize {
    fn count<T: PartialEq>(new: &[T], old: &[T], id: impl Fn(&T) -> u32) -> usize {
        let changed = new.iter().filter(|n| old.iter().find(|o| id(o) == id(n)) != Some(n)).count();
        changed + old.iter().filter(|o| !new.iter().any(|n| id(n) == id(o))).count()
    }
    count(&edited.farms, &applied.farms, |farm| farm.id)
        + count(&edited.frontends, &applied.frontends, |frontend| frontend.id)
        + count(&edited.ssl, &applied.ssl, |ssl| ssl.id)
        + usize::from(edited.ssl_configuration != applied.ssl_configuration)
}

fn state(server: &OvhServer) -> RequestedState {
    if server.inactive { RequestedState::Offline } else { RequestedState::Online }
}

fn udp(frontend: &OvhFrontend, farm: Option<&OvhFarm>, name: &str, address: IpAddr) -> VirtualServer {
    let mut vs = layer4(label(name), address, frontend.ports.clone(), Scheduler::Wrr);
    vs.real_servers = farm.map_or_else(Vec::new, |farm| {
        let server = |server: &OvhServer| RealServer {
            label: label(&server_label(server.id)),
            address: server.address.into(),
            port: server.port.or(farm.port),
            weight: server.weight.into(),
            min_connections: 0,
            max_connections: 0,
            forwarding: ForwardingMethod::Nat,
            tunnel: Tunnel::default(),
            state: state(server),
        };
        farm.servers.iter().map(server).collect()
    });
    vs
}

fn proxied(frontend: &OvhFrontend, farm: Option<&OvhFarm>, name: &str, address: IpAddr) -> Layer7VirtualServer {
    let http = frontend.kind == OvhKind::Http;
    let mut vs = Layer7VirtualServer::new(label(name), address, frontend.ports.clone());
    vs.mode = if http { ProxyMode::Http } else { ProxyMode::Tcp };
    vs.check = unasked();
    vs.fallback = None;
    let mut manual: Vec<String> = Vec::new();
    if http {
        vs.rules = [refusals(&frontend.denied_source, false), allowing(frontend), redirect(frontend)].concat();
        vs.request_headers = frontend.http_header.iter().filter_map(|line| header(line)).collect();
    } else {
        let blocks = [rejections(&frontend.denied_source, false), rejections(&frontend.allowed_source, true)];
        manual.extend(blocks.into_iter().flatten().map(|block| block.as_str().to_owned()));
    }
    if let Some(farm) = farm {
        servers(&mut vs, farm, &mut manual);
    }
    vs.manual = text::<ManualBlock>(&manual.join("\n")).filter(|block| !block.as_str().is_empty());
    vs
}

/// One rule: several would each refuse what the other allows.
fn allowing(frontend: &OvhFrontend) -> Vec<Rule> {
    refusals(&frontend.allowed_source, true)
}

fn redirect(frontend: &OvhFrontend) -> Vec<Rule> {
    let to = frontend.redirect_location.as_deref().and_then(text::<HttpText>);
    let all = text::<HttpText>("/");
    to.zip(all)
        .map(|(to, all)| Rule {
            test: Test::PathBegins { values: vec![all] },
            not: false,
            then: Outcome::Redirect { to },
        })
        .into_iter()
        .collect()
}

/// `X-Name value`
pub(crate) fn header(line: &str) -> Option<HeaderRule> {
    let (name, value) = line.trim().split_once([' ', ':'])?;
    let value = value.trim_start_matches([' ', ':']);
    Some(HeaderRule { operation: HeaderOperation::Set, name: text(name)?, value: Some(text(value)?) })
}

fn servers(vs: &mut Layer7VirtualServer, farm: &OvhFarm, manual: &mut Vec<String>) {
    vs.balance = match farm.balance.unwrap_or_default() {
        OvhBalance::First => Balance::First,
        OvhBalance::Leastconn => Balance::LeastConn,
        OvhBalance::Roundrobin | OvhBalance::Uri => Balance::RoundRobin,
        OvhBalance::Source => Balance::Source,
    };
    if farm.balance == Some(OvhBalance::Uri) {
        // Only a lost server's paths move, and weights can change at run time.
        manual.extend(["balance uri".into(), "hash-type consistent".into()]);
    }
    vs.persistence = farm.stickiness.map(|stickiness| match stickiness {
        // Cookies do not know ports: two farms on one address must not share a name.
        OvhStickiness::Cookie => {
            let cookie = Cookie::default();
            let name = text(&format!("SERVERID{}", farm.id)).unwrap_or_else(|| cookie.name.clone());
            Layer7Persistence::Cookie(Cookie { name, ..cookie })
        }
        OvhStickiness::SourceIp => Layer7Persistence::Source(SourceTable::default()),
    });
    if let Some(probe) = farm.probe.as_ref().filter(|_| farm.servers.iter().any(|server| server.probe)) {
        vs.check = check(probe);
    }
    let (backups, servers): (Vec<&OvhServer>, Vec<&OvhServer>) = farm.servers.iter().partition(|server| server.backup);
    vs.fallback = backups
        .into_iter()
        .find(|server| !server.inactive)
        .map(|server| Layer7Fallback { address: server.address.into(), port: server.port.or(farm.port) });
    vs.real_servers = servers
        .into_iter()
        .map(|server| Layer7RealServer {
            weight: server.weight,
            send_proxy: match server.proxy_protocol {
                None => SendProxy::None,
                Some(OvhProxyProtocol::V1) => SendProxy::V1,
                Some(OvhProxyProtocol::V2 | OvhProxyProtocol::V2Ssl | OvhProxyProtocol::V2SslCn) => SendProxy::V2,
            },
            tls: server.ssl,
            cookie: cookie(farm, server),
            shutdown_sessions: server.shutdown_sessions,
            state: state(server),
            ..Layer7RealServer::new(label(&server_label(server.id)), server.address.into(), server.port.or(farm.port))
        })
        .collect();
}

/// Nothing where it is the label, or what was stored before this unit minded it is no value.
fn cookie(farm: &OvhFarm, server: &OvhServer) -> Option<CookieValue> {
    let own = server.cookie.as_deref().filter(|_| farm.kind == OvhKind::Http);
    own.filter(|value| *value != server_label(server.id)).and_then(text)
}

fn check(probe: &OvhProbe) -> Layer7Check {
    let method = match probe.kind.unwrap_or_default() {
        OvhProbeType::Http if probe.force_ssl == Some(true) => Layer7CheckMethod::Https,
        OvhProbeType::Http => Layer7CheckMethod::Http,
        OvhProbeType::Mysql => Layer7CheckMethod::Mysql,
        OvhProbeType::Pgsql => Layer7CheckMethod::Pgsql,
        OvhProbeType::Smtp => Layer7CheckMethod::Smtp,
        OvhProbeType::Tcp | OvhProbeType::Oco | OvhProbeType::Internal => Layer7CheckMethod::Connect,
    };
    let mut check = Layer7Check {
        method,
        port: probe.port,
        interval: Some(probe.interval.unwrap_or(30)),
        ..Layer7Check::default()
    };
    if method.is_http() {
        let url = probe.url.as_deref().unwrap_or("/");
        let (host, path) = url.split_at(url.find('/').unwrap_or(url.len()));
        check.request = text(path);
        check.virtual_host = text(host);
        check.verb = match probe.method {
            None | Some(OvhProbeMethod::Get | OvhProbeMethod::Internal) => CheckVerb::Get,
            Some(OvhProbeMethod::Head) => CheckVerb::Head,
            Some(OvhProbeMethod::Options) => CheckVerb::Options,
        };
        let pattern = probe.pattern.as_deref();
        let negate = probe.negate == Some(true);
        let response = match probe.matching {
            Some(OvhMatch::Contains) => Some(if negate { CheckExpect::Lacks } else { CheckExpect::Contains }),
            Some(OvhMatch::Matches) => Some(if negate { CheckExpect::MatchesNot } else { CheckExpect::Matches }),
            Some(OvhMatch::Status) => {
                let codes = pattern.and_then(text::<StatusCodes>);
                check.status = codes.and_then(|codes| status_codes(|code| codes.contains(code) != negate));
                None
            }
            Some(OvhMatch::Default | OvhMatch::Internal) | None => None,
        };
        if let Some((expect, text)) = response.zip(pattern.and_then(text)) {
            (check.expect, check.response) = (expect, Some(text));
        }
    }
    check
}
