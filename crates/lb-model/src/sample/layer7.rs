//! Layer 7 virtual servers of [`super::config`].

use super::{Random, v4};
use crate::{
    Config, Label, Layer7RealServer, Layer7VirtualServer, Ports, RequestedState,
    layer7::{
        Acme, AcmeDirectory, ApplicationCookie, Balance, Certificate, ClientCertificates, ClientVerify, Cookie,
        HeaderOperation, HeaderRule, KeepAlive, Layer7Check, Layer7CheckMethod, Layer7Persistence, Limits, Outcome,
        OwnTimeouts, ProxyMode, Rule, SendProxy, ServerVerification, SourceTable, Test, Tls, TlsProfile,
    },
};
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn virtual_server(r: &mut Random, i: u64, wild: bool) -> Option<Layer7VirtualServer> {
    let address: IpAddr = if r.one_in(3) { Ipv4Addr::new(10, 0, 0, 21).into() } else { v4(0, 150 + i) };
    let ports: Ports = match r.below(4) {
        0 if wild => "any".parse().ok()?,
        0 => format!("{0},{1}", 10_000 + i * 10, 10_002 + i * 10).parse().ok()?,
        1 => format!("{}-{}", 10_000 + i * 10, 10_004 + i * 10).parse().ok()?,
        _ => Ports::from(u16::try_from(10_000 + i * 10).ok()?),
    };
    let mode = r.pick(&[ProxyMode::Http, ProxyMode::Http, ProxyMode::Tcp]);
    let http = mode == ProxyMode::Http || wild && r.one_in(5);
    let label: Label = format!("L7-{i}").parse().ok()?;
    let mut vs = Layer7VirtualServer {
        mode,
        balance: r.pick(Balance::ALL),
        persistence: persistence(r, http)?,
        check: check(r)?,
        timeouts: OwnTimeouts { server: r.one_in(3).then_some(300), ..OwnTimeouts::default() },
        max_connections: if r.one_in(3) { 5000 } else { 0 },
        forwarded_for: !r.one_in(4),
        accept_proxy: r.one_in(5),
        keep_alive: r.pick(KeepAlive::ALL),
        compression: http && r.one_in(4),
        redirect_https: http && r.one_in(6),
        limits: r.one_in(4).then(|| Limits { requests_per_10s: 100, connections: if r.one_in(2) { 20 } else { 0 } }),
        fallback: if r.one_in(3) { None } else { crate::layer7::Layer7Fallback::page() },
        ..Layer7VirtualServer::new(label, address, ports)
    };
    if http && r.one_in(3) {
        vs.rules = rules(r, i)?;
        let value = Some("a \"b\" 'c' %[src] \\ #d".parse().ok()?);
        vs.request_headers = vec![HeaderRule { operation: HeaderOperation::Set, name: "X-Shop".parse().ok()?, value }];
    }
    if !matches!(vs.balance, Balance::Source | Balance::First) && r.one_in(4) {
        vs.slow_start = 30;
    }
    vs.transparent = i % 3 == 2;
    vs.log_requests = i % 4 == 1;
    if http && i % 3 == 1 {
        vs.fallback_page = Some("<h1>\"a\" 'b' $c \\ %[src]</h1>\n\té\n".parse().ok()?);
    }
    vs.agent = super::agent(i, wild);
    for j in 0..r.below(5) {
        vs.real_servers.push(real_server(r, i * 10 + j, j, wild)?);
    }
    Some(vs)
}

/// Gives the configuration certificates, and some of its layer 7 virtual servers TLS.
pub(super) fn with_tls(r: &mut Random, config: &mut Config) -> Option<()> {
    for (i, label) in ["shop", "blog", "office"].into_iter().enumerate() {
        config.layer7.certificates.push(Certificate {
            label: label.parse().ok()?,
            fingerprint: format!("{:064x}", 0xabc0 + i).parse().ok()?,
            authority: label == "office",
            names: vec![format!("{label}.example.com").parse().ok()?],
            not_after: 1_900_000_000 + r.below(100_000_000),
            acme: Vec::new(),
            stapling: true,
        });
    }
    let authority: Label = "office".parse().ok()?;
    for vs in &mut config.layer7.virtual_servers {
        if r.one_in(3) || matches!(vs.persistence, Some(Layer7Persistence::SslSessionId(_))) {
            continue;
        }
        let mut certificates = vec!["shop".parse().ok()?];
        if r.one_in(2) {
            certificates.push("blog".parse().ok()?);
        }
        let verify = r.pick(ClientVerify::ALL);
        vs.tls = Some(Tls {
            profile: r.pick(TlsProfile::ALL),
            hsts: (vs.mode == ProxyMode::Http && r.one_in(2)).then_some(31_536_000),
            client: r.one_in(3).then(|| ClientCertificates { authority: authority.clone(), verify }),
            ..Tls::new(certificates)
        });
        vs.redirect_https = false;
        if r.one_in(3) {
            let name = if r.one_in(2) { Some("web.example.com".parse().ok()?) } else { None };
            vs.server_verification = Some(ServerVerification { authority: authority.clone(), name });
        }
    }
    if r.one_in(2) {
        let contact = Some("admin@example.com".parse().ok()?);
        config.layer7.acme =
            Some(Acme { directory: AcmeDirectory::default(), contact, terms_agreed: true, authority: Some(authority) });
        let blog = config.layer7.certificates.iter_mut().find(|certificate| certificate.label.as_str() == "blog")?;
        blog.acme = vec!["blog.example.com".parse().ok()?];
    }
    Some(())
}

/// `None` inside: no persistence.
#[expect(clippy::option_option, reason = "the outer one is a value that does not parse")]
fn persistence(r: &mut Random, http: bool) -> Option<Option<Layer7Persistence>> {
    let table = SourceTable { granularity: r.one_in(2).then_some(24), ..SourceTable::default() };
    let source = r.one_in(2).then_some(table);
    Some(match (r.below(4), http) {
        (0, _) => None,
        (1, true) => {
            Some(Layer7Persistence::Cookie(Cookie { idle: r.one_in(2).then_some(600), source, ..Cookie::default() }))
        }
        (2, true) => {
            let cookie = ApplicationCookie::new("PHPSESSID".parse().ok()?);
            Some(Layer7Persistence::ApplicationCookie(ApplicationCookie { source, ..cookie }))
        }
        (1, false) => Some(Layer7Persistence::RdpCookie(SourceTable::default())),
        (2, false) => Some(Layer7Persistence::SslSessionId(SourceTable::default())),
        _ => Some(Layer7Persistence::Source(table)),
    })
}

fn check(r: &mut Random) -> Option<Layer7Check> {
    let method = r.pick(Layer7CheckMethod::ALL);
    let http = method.is_http();
    Some(Layer7Check {
        method,
        request: if http { Some("/check.html?a=b".parse().ok()?) } else { None },
        response: if http && r.one_in(2) { Some("it's \"OK\"".parse().ok()?) } else { None },
        status: (http && r.one_in(2)).then(Default::default),
        interval: r.one_in(2).then_some(5),
        ..Layer7Check::default()
    })
}

fn rules(r: &mut Random, i: u64) -> Option<Vec<Rule>> {
    let value = || "/a b'\"\\#${x}%".parse().ok();
    let test = match r.below(6) {
        0 => Test::PathBegins { values: vec![value()?, "/img".parse().ok()?] },
        1 => Test::PathEnds { values: vec![value()?] },
        2 => Test::Host { values: vec!["www.example.com".parse().ok()?] },
        3 => Test::Header { name: "X-Test".parse().ok()?, values: vec![value()?] },
        4 => Test::Query { name: "q".parse().ok()?, values: vec![value()?] },
        _ => Test::Source { values: vec![super::net("192.0.2.0/24"), super::net("2001:db8::/32")] },
    };
    let then = match r.below(2) {
        0 => Outcome::Refuse {},
        _ => Outcome::Redirect { to: format!("https://www.example.com/{i}").parse().ok()? },
    };
    Some(vec![Rule { test, not: r.one_in(3), then }])
}

fn real_server(r: &mut Random, host: u64, j: u64, wild: bool) -> Option<Layer7RealServer> {
    let max = if r.one_in(3) { 1000 } else { 0 };
    let label = format!("RIP{j}").parse().ok()?;
    Some(Layer7RealServer {
        weight: u16::try_from(r.below(if wild { 400 } else { 257 })).ok()?,
        min_connections: if max > 0 { 800 } else { 0 },
        max_connections: max,
        send_proxy: r.pick(SendProxy::ALL),
        tls: r.one_in(4),
        state: r.pick(&[RequestedState::Online, RequestedState::Drain, RequestedState::Offline]),
        ..Layer7RealServer::new(label, v4(0, host), (!r.one_in(4)).then_some(8080))
    })
}
