//! Real servers: who gets what, who stays where, who is fit.

use super::{
    Definition, Lines, Places, frontend,
    global::PEERS,
    quote,
    server::{self, FALLBACK},
    tls,
};
use crate::File;
use lb_model::{
    Agent, HealthDefaults, Label, Layer7VirtualServer,
    layer7::{Balance, CheckExpect, Layer7Check, Layer7CheckMethod, Layer7Persistence, ProxyMode, SourceTable},
};
use std::{collections::BTreeMap, net::IpAddr};

pub(super) fn write(
    vs: &Layer7VirtualServer,
    health: &HealthDefaults,
    places: &Places,
    files: &BTreeMap<String, File>,
    at: &str,
    lines: &mut Lines,
) -> Option<BTreeMap<Label, Definition>> {
    let http = vs.mode == ProxyMode::Http;
    let label = format!("{at}/label");
    lines.section(&label, format_args!("backend {} from {}", vs.label, vs.mode));
    lines.put(&format!("{at}/balance"), format_args!("balance {}", vs.balance));
    if vs.balance == Balance::Source {
        // Only a lost server's clients move, and weights can change at run time.
        lines.put(&format!("{at}/balance"), "hash-type consistent");
    }
    for (field, name, seconds) in vs.timeouts.words() {
        if let Some(seconds) = seconds.filter(|_| !frontend::TIMEOUTS.contains(&name)) {
            lines.put(&format!("{at}/timeouts/{field}"), format_args!("timeout {name} {seconds}s"));
        }
    }
    if http {
        frontend::keep_alive(vs, at, lines);
    }
    if vs.transparent {
        let any = if vs.address.is_ipv4() { "0.0.0.0" } else { "[::]" };
        lines.put(&format!("{at}/transparent"), format_args!("source {any} usesrc clientip"));
    }
    // A server that refuses a connection is not asked again, unless the client belongs there: then three times more.
    let redispatch = if vs.persistence.is_some() { "option redispatch" } else { "option redispatch 1" };
    lines.put(&label, redispatch);
    if let Some(persistence) = &vs.persistence {
        stick(vs, persistence, &format!("{at}/persistence"), lines);
    }
    let mut defaults = check(vs, health, &format!("{at}/check"), lines);
    if let Some(agent) = &vs.agent {
        agent_check(vs, agent, health, &format!("{at}/agent"), &mut defaults, lines);
    }
    // Without the authority's certificate nobody could tell a server from somebody else.
    let verify = tls::verify(vs, places, files);
    let definitions = verify.and_then(|verify| server::write(vs, &verify, &defaults, at, lines));
    if let Some(page) = vs.fallback_page.as_ref().filter(|_| http) {
        // In the backend: whoever comes by another one's rule gets it too.
        let page = quote::lines(page.as_str());
        let words = format!("content-type 'text/html; charset=utf-8' string {page} hdr Cache-Control no-cache");
        lines.put(&format!("{at}/fallback_page"), format_args!("http-error status 503 {words}"));
    }
    if let Some(fallback) = vs.last_resort() {
        // It never comes into a table: clients go back when a real server does. Its way is not transparent where it
        // is the appliance itself.
        let source = match (vs.transparent && fallback.is_page(), fallback.address) {
            (false, _) => "",
            (true, IpAddr::V4(_)) => " source 0.0.0.0",
            (true, IpAddr::V6(_)) => " source [::]",
        };
        let place = server::place(fallback.address, fallback.port);
        lines.put(&format!("{at}/fallback"), format_args!("server {FALLBACK} {place} backup non-stick{source}"));
    }
    manual(vs, &format!("{at}/manual"), Section::Backend, lines);
    if let Some(source) = second_table(vs) {
        let at = format!("{at}/persistence/source");
        lines.section(&at, format_args!("backend source:{} from {}", vs.label, vs.mode));
        source_table(vs, source, &at, lines);
    }
    definitions
}

/// The words of `default-server`, which servers that are made at run time do not read.
fn check(vs: &Layer7VirtualServer, health: &HealthDefaults, at: &str, lines: &mut Lines) -> String {
    let check = &vs.check;
    let mut defaults = String::new();
    if check.method != Layer7CheckMethod::On {
        let (interval, timeout) = (check.interval.unwrap_or(health.interval), check.timeout.unwrap_or(health.timeout));
        let (fall, rise) = (check.fall.unwrap_or(health.fall), check.rise.unwrap_or(health.rise));
        lines.put(&format!("{at}/timeout"), format_args!("timeout check {timeout}s"));
        defaults = format!("inter {interval}s fall {fall} rise {rise}");
        if let Some(port) = check.port {
            defaults.push_str(&format!(" port {port}"));
        }
        if vs.slow_start > 0 {
            defaults.push_str(&format!(" slowstart {}s", vs.slow_start));
        }
        if let (Layer7CheckMethod::Https, Some(host)) = (check.method, &check.virtual_host) {
            defaults.push_str(&format!(" check-sni {}", quote::word(host.as_str())));
        }
        lines.put(at, format_args!("default-server {defaults}"));
    }
    match check.method {
        Layer7CheckMethod::On | Layer7CheckMethod::Connect => {}
        Layer7CheckMethod::Http | Layer7CheckMethod::Https => http_check(check, at, lines),
        Layer7CheckMethod::Smtp => lines.put(at, "option smtpchk"),
        Layer7CheckMethod::Mysql => lines.put(at, "option mysql-check"),
        // Whom every server knows; it is asked only how one would have to log in.
        Layer7CheckMethod::Pgsql => lines.put(at, "option pgsql-check user postgres"),
        Layer7CheckMethod::Redis => lines.put(at, "option redis-check"),
        Layer7CheckMethod::Ldap => lines.put(at, "option ldap-check"),
    }
    defaults
}

/// Whom to ask beside the check; who is asked stands at the servers.
fn agent_check(
    vs: &Layer7VirtualServer,
    agent: &Agent,
    health: &HealthDefaults,
    at: &str,
    defaults: &mut String,
    lines: &mut Lines,
) {
    if vs.check.method == Layer7CheckMethod::On {
        // The agents' too.
        lines.put(at, format_args!("timeout check {}s", health.timeout));
    }
    let mut words = format!("agent-port {} agent-inter {}s", agent.port, agent.interval.unwrap_or(health.interval));
    if let Some(text) = &agent.send {
        words.push_str(&format!(" agent-send {}\\n", quote::word(text.as_str())));
    }
    lines.put(at, format_args!("default-server {words}"));
    *defaults = format!("{defaults} {words}").trim_start().to_owned();
}

fn http_check(check: &Layer7Check, at: &str, lines: &mut Lines) {
    lines.put(at, "option httpchk");
    let path = check.request.as_ref().map_or_else(|| "/".into(), |path| quote::word(path.as_str()));
    // HTTP/1.1 asks for a host (RFC 9112, section 3.2).
    let host = match &check.virtual_host {
        Some(host) => format!("1.1 hdr Host {}", quote::format(host.as_str())),
        None => "1.0".into(),
    };
    let verb = check.verb;
    lines.put(&format!("{at}/request"), format_args!("http-check send meth {verb} uri {path} ver HTTP/{host}"));
    let status = check.status.as_ref().map_or_else(|| "200-399".into(), ToString::to_string);
    lines.put(&format!("{at}/status"), format_args!("http-check expect status {status}"));
    if let Some(text) = &check.response {
        let expect = match check.expect {
            CheckExpect::Contains => "string",
            CheckExpect::Lacks => "! string",
            CheckExpect::Matches => "rstring",
            CheckExpect::MatchesNot => "! rstring",
        };
        lines.put(&format!("{at}/response"), format_args!("http-check expect {expect} {}", quote::word(text.as_str())));
    }
}

fn stick(vs: &Layer7VirtualServer, persistence: &Layer7Persistence, at: &str, lines: &mut Lines) {
    match persistence {
        Layer7Persistence::Cookie(cookie) => {
            let secure = if vs.tls.is_some() { " secure" } else { "" };
            let mut line = format!("cookie {} insert indirect nocache httponly{secure}", cookie.name);
            for (word, seconds) in [("maxidle", cookie.idle), ("maxlife", cookie.life)] {
                if let Some(seconds) = seconds {
                    line.push_str(&format!(" {word} {seconds}s"));
                }
            }
            lines.put(at, line);
            if let Some(source) = &cookie.source {
                let at = format!("{at}/source");
                source_table(vs, source, &at, lines);
                lines.put(&at, format_args!("stick on {}", source_key(vs, source)));
            }
        }
        Layer7Persistence::ApplicationCookie(cookie) => {
            // Sessions are stored by a digest: values of any length, and none that could be stolen from the table. In
            // letters, as the runtime API removes no other keys than texts and addresses.
            let (size, expire) = (cookie.size, cookie.timeout);
            lines.put(at, format_args!("stick-table type string len 64 size {size} expire {expire}s peers {PEERS}"));
            lines.put(at, format_args!("stick store-response res.cook({}),sha2(256),hex", cookie.name));
            lines.put(at, format_args!("stick match req.cook({}),sha2(256),hex", cookie.name));
            if let Some(source) = &cookie.source {
                let key = source_key(vs, source);
                lines.put(&format!("{at}/source"), format_args!("stick on {key} table source:{}", vs.label));
            }
        }
        Layer7Persistence::Source(source) => {
            source_table(vs, source, at, lines);
            lines.put(at, format_args!("stick on {}", source_key(vs, source)));
        }
        Layer7Persistence::RdpCookie(SourceTable { timeout, size, .. }) => {
            lines.put(at, "tcp-request inspect-delay 5s");
            lines.put(at, "tcp-request content accept if RDP_COOKIE");
            lines.put(at, format_args!("stick-table type string len 64 size {size} expire {timeout}s peers {PEERS}"));
            lines.put(at, "stick on req.rdp_cookie(mstshash)");
        }
        // The manual's own example, section "stick store-response": the id's length is at byte 43 of either hello.
        Layer7Persistence::SslSessionId(SourceTable { timeout, size, .. }) => {
            lines.put(at, "acl client:hello req.ssl_hello_type 1");
            lines.put(at, "acl server:hello res.ssl_hello_type 2");
            lines.put(at, "tcp-request inspect-delay 5s");
            lines.put(at, "tcp-request content accept if client:hello");
            lines.put(at, "tcp-response content accept if server:hello");
            lines.put(at, format_args!("stick-table type string len 64 size {size} expire {timeout}s peers {PEERS}"));
            lines.put(at, "stick on req.payload_lv(43,1),hex if client:hello");
            lines.put(at, "stick store-response res.payload_lv(43,1),hex if server:hello");
        }
    }
}

/// A backend has one table of its own; the second stands in a section of its own.
fn second_table(vs: &Layer7VirtualServer) -> Option<&SourceTable> {
    match &vs.persistence {
        Some(Layer7Persistence::ApplicationCookie(cookie)) => cookie.source.as_ref(),
        _ => None,
    }
}

fn source_table(vs: &Layer7VirtualServer, table: &SourceTable, at: &str, lines: &mut Lines) {
    let SourceTable { timeout, size, .. } = table;
    let family = address_type(vs);
    lines.put(at, format_args!("stick-table type {family} size {size} expire {timeout}s peers {PEERS}"));
}

/// Through a proxy come clients of both families.
pub(crate) fn address_type(vs: &Layer7VirtualServer) -> &'static str {
    if vs.address.is_ipv4() && !vs.accept_proxy { "ip" } else { "ipv6" }
}

fn source_key(vs: &Layer7VirtualServer, table: &SourceTable) -> String {
    let Some(prefix) = table.granularity else { return "src".into() };
    match (vs.address, address_type(vs)) {
        (_, "ip") => format!("src,ipmask({prefix})"),
        (IpAddr::V4(_), _) => format!("src,ipmask({prefix},128)"),
        (IpAddr::V6(_), _) => format!("src,ipmask(32,{prefix})"),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Frontend,
    Backend,
}

/// First words that HAProxy reads in a backend only (chapter 4.1 "Proxy keywords matrix").
const BACKEND_WORDS: &[&str] = &[
    "balance",
    "cookie",
    "default-server",
    "dispatch",
    "dynamic-cookie-key",
    "external-check",
    "force-persist",
    "fullconn",
    "hash-balance-factor",
    "hash-type",
    "http-check",
    "http-reuse",
    "http-send-name-header",
    "ignore-persist",
    "load-server-state-from-file",
    "max-session-srv-conns",
    "option abortonclose",
    "option allbackups",
    "option external-check",
    "option httpchk",
    "option ldap-check",
    "option log-health-checks",
    "option mysql-check",
    "option persist",
    "option pgsql-check",
    "option prefer-last-server",
    "option redis-check",
    "option redispatch",
    "option smtpchk",
    "option spop-check",
    "option srvtcpka",
    "option ssl-hello-chk",
    "option tcp-check",
    "option tcp-smart-connect",
    "option transparent",
    "persist",
    "retries",
    "retry-on",
    "server",
    "server-template",
    "source",
    "srvtcpka-cnt",
    "srvtcpka-idle",
    "srvtcpka-intvl",
    "stick",
    "stick-table",
    "tcp-check",
    "tcp-response",
    "timeout check",
    "timeout connect",
    "timeout queue",
    "timeout server",
    "timeout server-fin",
    "timeout tunnel",
    "transparent",
    "use-fcgi-app",
    "use-server",
];

/// The lines of the manual block that belong to `section`: those that only a backend understands go to its end, `acl`
/// and comments to both, everything else to the frontend, before its `use_backend`s.
pub(super) fn manual(vs: &Layer7VirtualServer, at: &str, section: Section, lines: &mut Lines) {
    for line in manual_lines(vs) {
        let both = line.split_whitespace().next() == Some("acl") || line.starts_with('#');
        if both || is_of_backend(line) == (section == Section::Backend) {
            lines.put(at, line);
        }
    }
}

fn manual_lines(vs: &Layer7VirtualServer) -> impl Iterator<Item = &str> {
    let lines = vs.manual.iter().flat_map(|manual| manual.as_str().lines());
    lines.map(str::trim).filter(|line| !line.is_empty())
}

fn is_of_backend(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| *word == "no");
    let first = words.next().unwrap_or_default();
    let both = format!("{first} {}", words.next().unwrap_or_default());
    BACKEND_WORDS.contains(&first) || BACKEND_WORDS.contains(&both.as_str())
}

/// Whether the manual block says something of servers.
pub(super) fn manual_reaches_servers(vs: &Layer7VirtualServer) -> bool {
    manual_lines(vs).any(is_of_backend)
}
