//! Where clients arrive: places, limits, content switching, headers.

use super::{
    Lines, Places, acme, backend,
    lines::Change,
    lists::{self, List, Lists},
    quote, tls,
};
use lb_model::{
    Config, Layer7VirtualServer,
    layer7::{HeaderOperation, HeaderRule, KeepAlive, Limits, Outcome, ProxyMode, Test},
};
use std::net::IpAddr;

/// Of [`lb_model::layer7::OwnTimeouts`], what HAProxy reads in a frontend; the others are the backend's.
pub(super) const TIMEOUTS: [&str; 3] = ["client", "http-request", "http-keep-alive"];

const TOO_MANY: &str = "<!DOCTYPE html><title>Too many requests</title><h1>Too many requests</h1><p>Please wait ten seconds and try again.</p>";

pub(super) fn write(
    config: &Config,
    vs: &Layer7VirtualServer,
    places: &Places,
    at: &str,
    lists: &mut Lists,
    lines: &mut Lines,
) {
    let http = vs.mode == ProxyMode::Http;
    lines.section(&format!("{at}/label"), format_args!("frontend vs:{} from {}", vs.label, vs.mode));
    bind(vs, places, at, lines);
    lines.put(&format!("{at}/label"), "log global");
    if vs.log_requests {
        lines.put(&format!("{at}/log_requests"), "no option dontlog-normal");
    }
    if vs.max_connections > 0 {
        lines.put(&format!("{at}/max_connections"), format_args!("maxconn {}", vs.max_connections));
    }
    for (field, name, seconds) in vs.timeouts.words() {
        if let Some(seconds) = seconds.filter(|_| TIMEOUTS.contains(&name)) {
            lines.put(&format!("{at}/timeouts/{field}"), format_args!("timeout {name} {seconds}s"));
        }
    }
    let limits = vs.limits.as_ref().filter(|limits| **limits != Limits::default());
    if limits.is_some() {
        track(vs, &format!("{at}/limits"), lines);
    }
    acme::rule(config, vs, places, lines);
    if let Some(limits) = limits {
        limit(vs, limits, &format!("{at}/limits"), lines);
    }
    if http {
        keep_alive(vs, at, lines);
        if vs.forwarded_for {
            lines.put(&format!("{at}/forwarded_for"), "option forwardfor");
        }
        if vs.compression {
            let at = format!("{at}/compression");
            lines.put(&at, "compression algo gzip");
            let types = "text/html text/plain text/css text/xml text/javascript application/javascript application/json application/xml image/svg+xml";
            lines.put(&at, format_args!("compression type {types}"));
        }
        if vs.redirect_https {
            // Certificates are asked for over http (RFC 8555, section 8.3).
            let unless = "!{ path -m beg /.well-known/acme-challenge/ }";
            let to = "https://%[req.hdr(host),host_only]%[pathq]";
            lines.put(&format!("{at}/redirect_https"), format_args!("http-request redirect location {to} if {unless}"));
        }
        tls::headers(vs, at, lines);
        rules(vs, at, lists, lines);
        headers("http-request", &vs.request_headers, &format!("{at}/request_headers"), lines);
        headers("http-response", &vs.response_headers, &format!("{at}/response_headers"), lines);
    }
    // HAProxy chooses the backend last, and warns of other rules after these lines.
    backend::manual(vs, &format!("{at}/manual"), backend::Section::Frontend, lines);
    if http {
        choice(vs, at, lines);
    }
    lines.put(&format!("{at}/label"), format_args!("default_backend {}", vs.label));
}

fn bind(vs: &Layer7VirtualServer, places: &Places, at: &str, lines: &mut Lines) {
    let address = match vs.address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let proxy = if vs.accept_proxy { " accept-proxy" } else { "" };
    let tls = tls::bind(vs, places);
    for range in vs.ports.ranges() {
        let ports = match range.first == range.last {
            true => range.first.to_string(),
            false => format!("{}-{}", range.first, range.last),
        };
        lines.put(&format!("{at}/ports"), format_args!("bind {address}:{ports}{proxy}{tls}"));
    }
}

pub(super) fn keep_alive(vs: &Layer7VirtualServer, at: &str, lines: &mut Lines) {
    let option = match vs.keep_alive {
        KeepAlive::Both => return,
        KeepAlive::ServerClose => "http-server-close",
        KeepAlive::Close => "httpclose",
    };
    lines.put(&format!("{at}/keep_alive"), format_args!("option {option}"));
}

fn rate(vs: &Layer7VirtualServer) -> &'static str {
    if vs.mode == ProxyMode::Http { "http_req_rate" } else { "conn_rate" }
}

/// Counts what each source does.
fn track(vs: &Layer7VirtualServer, at: &str, lines: &mut Lines) {
    let (rate, family) = (rate(vs), backend::address_type(vs));
    lines.put(at, format_args!("stick-table type {family} size 100k expire 60s store conn_cur,{rate}(10s)"));
    // After the PROXY protocol's header, so that the source is the client.
    lines.put(at, "tcp-request session track-sc0 src");
}

fn limit(vs: &Layer7VirtualServer, limits: &Limits, at: &str, lines: &mut Lines) {
    let (http, rate) = (vs.mode == ProxyMode::Http, rate(vs));
    let over = [("requests_per_10s", rate, limits.requests_per_10s), ("connections", "conn_cur", limits.connections)];
    for (field, counter, most) in over {
        if most > 0 {
            let refuse = match http {
                true => format!(
                    "http-request deny status 429 content-type text/html string {} hdr Retry-After 10",
                    quote::word(TOO_MANY)
                ),
                false => "tcp-request session reject".into(),
            };
            lines.put(&format!("{at}/{field}"), format_args!("{refuse} if {{ sc0_{counter} gt {most} }}"));
        }
    }
}

/// The first rule that matches decides, whatever it does; a variable remembers that one did, as HAProxy chooses
/// backends only after all `http-request` lines.
fn rules(vs: &Layer7VirtualServer, at: &str, lists: &mut Lists, lines: &mut Lines) {
    let mut open = "";
    for (i, rule) in vs.rules.iter().enumerate() {
        let at = format!("{at}/rules/{i}");
        let list = List { virtual_server: vs.label.clone(), rule: i, values: values(&rule.test) };
        test(&rule.test, list, &format!("{at}/test"), lists, lines);
        let not = if rule.not { "!" } else { "" };
        let then = match &rule.then {
            Outcome::Use { virtual_server } => format!("set-var(txn.use) str({virtual_server})"),
            Outcome::Redirect { to } => format!("redirect location {}", quote::format(to.as_str())),
            Outcome::Refuse {} => "deny".into(),
        };
        lines.put(&format!("{at}/then"), format_args!("http-request {then} if {not}rule:{i}{open}"));
        if matches!(rule.then, Outcome::Use { .. }) {
            open = " !{ var(txn.use) -m found }";
        }
    }
}

fn choice(vs: &Layer7VirtualServer, at: &str, lines: &mut Lines) {
    let mut used = Vec::new();
    for (i, rule) in vs.rules.iter().enumerate() {
        if let Outcome::Use { virtual_server } = &rule.then
            && !used.contains(&virtual_server)
        {
            let line = format!("use_backend {virtual_server} if {{ var(txn.use) -m str -- {virtual_server} }}");
            lines.put(&format!("{at}/rules/{i}/then/virtual_server"), line);
            used.push(virtual_server);
        }
    }
}

/// HAProxy takes 64 words a line: values that do not fit on the first one stand on a second, and lines of one name are
/// joined by or. Paths and parameters are compared decoded, or `%61dmin` would slip past a rule on `admin`.
fn test(test: &Test, list: List, at: &str, lists: &mut Lists, lines: &mut Lines) {
    let sample = match test {
        Test::PathBegins { .. } => "path,url_dec -m beg".to_owned(),
        Test::PathEnds { .. } => "path,url_dec -m end".to_owned(),
        Test::Host { .. } => "req.hdr(host),host_only -m str -i".to_owned(),
        Test::Header { name, .. } => format!("req.hdr({name}) -m str"),
        Test::Query { name, .. } => format!("url_param({name}),url_dec(1) -m str"),
        Test::Source { .. } => "src".to_owned(),
    };
    let (at, rule) = (format!("{at}/values"), list.rule);
    let words: Vec<String> = list.values.iter().map(|value| quote::word(value)).collect();
    let (here, more) = lists::parts(&words);
    let number = lists::add(lists, list);
    let line = |number| format!("acl rule:{rule} {sample} -u {number} --");
    lines.values(&at, &line(number), &here.join(" "), Change::Reload);
    if !more.is_empty() {
        // What runs has them in its first list.
        lines.values(&at, &line(lists::second(number)), &more.join(" "), Change::Runtime);
    }
}

fn values(test: &Test) -> Vec<String> {
    match test {
        Test::PathBegins { values }
        | Test::PathEnds { values }
        | Test::Host { values }
        | Test::Header { values, .. }
        | Test::Query { values, .. } => values.iter().map(|value| value.as_str().to_owned()).collect(),
        Test::Source { values } => values.iter().map(ToString::to_string).collect(),
    }
}

fn headers(direction: &str, rules: &[HeaderRule], at: &str, lines: &mut Lines) {
    for (i, HeaderRule { operation, name, value }) in rules.iter().enumerate() {
        let value = value.as_ref().map_or_else(|| "''".into(), |value| quote::format(value.as_str()));
        let line = match operation {
            HeaderOperation::Set => format!("set-header {name} {value}"),
            HeaderOperation::Add => format!("add-header {name} {value}"),
            HeaderOperation::Remove => format!("del-header {name}"),
        };
        lines.put(&format!("{at}/{i}"), format_args!("{direction} {line}"));
    }
}
