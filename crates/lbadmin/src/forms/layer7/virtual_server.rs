//! The form of a layer 7 virtual server. Its real servers have forms of their own.

use super::{check, persistence, rules, timeouts, tls};
use crate::forms::{
    agent,
    edit::{Object, Removal, Remove, Standing, Typed, Values, fingerprint_of, removal},
    form::{Field, Section},
    parse,
    virtual_server::some_label,
};
use lb_model::{
    Config, Family, Label, Layer7VirtualServer, Ports,
    layer7::{Balance, KeepAlive, Layer7Fallback, Limits, ManualBlock, Outcome, PageText, ProxyMode},
};
use std::net::{IpAddr, Ipv4Addr};

const MOST_CONNECTIONS: u32 = 1_000_000;

/// A virtual server to add, or the one with this label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer7VirtualServerForm {
    label: Option<String>,
}

impl Layer7VirtualServerForm {
    pub fn add() -> Self {
        Layer7VirtualServerForm { label: None }
    }

    pub fn modify(label: &str) -> Self {
        Layer7VirtualServerForm { label: Some(label.to_owned()) }
    }

    fn position(&self, config: &Config) -> Option<usize> {
        let label = self.label.as_deref()?;
        config.layer7.virtual_servers.iter().position(|v| v.label.as_str() == label)
    }
}

/// Which real server gets the next request, in a phrase.
pub fn balance_phrase(balance: Balance) -> &'static str {
    match balance {
        Balance::RoundRobin => "one after the other, by weight",
        Balance::LeastConn => "the fewest connections for its weight",
        Balance::Source => "a client's address decides",
        Balance::First => "the first one with a place left",
        Balance::Random => "any, by weight",
    }
}

fn keep_alive_phrase(mode: KeepAlive) -> &'static str {
    match mode {
        KeepAlive::Both => "both sides stay open for further requests",
        KeepAlive::ServerClose => "the client's stays open, the server's is closed",
        KeepAlive::Close => "both are closed",
    }
}

/// As an added one begins.
fn nothing() -> Layer7VirtualServer {
    Layer7VirtualServer::new(some_label(), Ipv4Addr::UNSPECIFIED.into(), Ports::from(80))
}

fn values(vs: &Layer7VirtualServer) -> Values {
    let on = |b: bool| if b { "on".to_owned() } else { String::new() };
    let lines = |all: Vec<String>| all.join("\n");
    let limits = vs.limits.unwrap_or_default();
    let mut values = Values::from([
        ("label", vs.label.to_string()),
        ("service", parse::shown(vs.address, Some(&vs.ports))),
        ("mode", vs.mode.to_string()),
        ("balance", vs.balance.to_string()),
        ("max_connections", vs.max_connections.to_string()),
        ("forwarded_for", on(vs.forwarded_for)),
        ("accept_proxy", on(vs.accept_proxy)),
        ("transparent", on(vs.transparent)),
        ("keep_alive", vs.keep_alive.to_string()),
        ("compression", on(vs.compression)),
        ("redirect_https", on(vs.redirect_https)),
        ("rules", lines(vs.rules.iter().map(rules::rule_text).collect())),
        ("request_headers", lines(vs.request_headers.iter().map(rules::header_text).collect())),
        ("response_headers", lines(vs.response_headers.iter().map(rules::header_text).collect())),
        ("limit_requests", limits.requests_per_10s.to_string()),
        ("limit_connections", limits.connections.to_string()),
        ("slow_start", vs.slow_start.to_string()),
        ("fallback", vs.fallback.as_ref().map_or_else(String::new, |f| parse::shown(f.address, f.port))),
        ("log_requests", on(vs.log_requests)),
        // Browsers send their own line ends, whatever is stored.
        ("fallback_page", vs.fallback_page.as_ref().map_or_else(String::new, |p| p.as_str().replace("\r\n", "\n"))),
        ("manual", vs.manual.as_ref().map_or_else(String::new, |m| m.as_str().replace("\r\n", "\n"))),
    ]);
    persistence::values(vs.persistence.as_ref(), Family::of(vs.address), &mut values);
    check::values(&vs.check, &mut values);
    agent::values(vs.agent.as_ref(), &mut values);
    values.extend(timeouts::values(&vs.timeouts));
    tls::values(vs, &mut values);
    values
}

impl Object for Layer7VirtualServerForm {
    fn title(&self) -> String {
        if self.label.is_some() { "Modify a Layer 7 Virtual Server" } else { "Add a new Layer 7 Virtual Server" }
            .to_owned()
    }

    fn name(&self) -> String {
        format!("Layer 7 Virtual Server {}", self.label.as_deref().unwrap_or("(new)"))
    }

    fn standing(&self, config: &Config) -> Standing {
        let defaults = || {
            let mut values = values(&nothing());
            values.extend([("label", String::new()), ("service", String::new())]);
            values
        };
        match (self.position(config), &self.label) {
            (Some(at), _) => Standing::There(values(&config.layer7.virtual_servers[at])),
            (None, Some(_)) => Standing::Gone(defaults()),
            (None, None) => Standing::New(defaults()),
        }
    }

    fn sections(&self, config: &Config, _: &Values) -> Vec<Section> {
        let usual = values(&nothing());
        let [persistence, by_source] = persistence::sections(&usual);
        let [termination, verification] = tls::sections(config, &usual);
        vec![
            basics(config),
            termination,
            persistence,
            by_source,
            check::section(config),
            agent::section(config, &usual),
            Section::new(
                "When servers fail",
                vec![
                    Field::text("fallback", "Fallback server (ipaddress:port)", "layer-seven-fallback")
                        .placeholder("none")
                        .hint("127.0.0.1:9081 is this unit's own fallback page; empty: none"),
                    Field::area("fallback_page", "Page of this virtual server (HTML)", "layer-seven-fallback-page", 6)
                        .placeholder("<h1>Back at noon</h1>")
                        .hint("In place of this unit's own page, with status 503 (http). Empty: none"),
                    Field::number("slow_start", "Slow start", "layer-seven-slow-start", 0, 3600)
                        .unit("seconds")
                        .hint("In which a server that is back gets its full share; 0: at once"),
                ],
            ),
            connections(&usual),
            verification,
            switching(&usual),
            limits(&usual),
            timeouts::section(&config.layer7.timeouts, &usual),
            Section::folding(
                "Manual configuration",
                vec![Field::area("manual", "Lines of HAProxy's own language", "layer-seven-manual", 6).hint(
                    "They stand at the end of this virtual server's section, and are checked before they are accepted",
                )],
                &usual,
            ),
        ]
    }

    fn pointer(&self, config: &Config) -> Option<String> {
        self.position(config).map(|at| format!("/layer7/virtual_servers/{at}"))
    }

    fn write(&self, config: &mut Config, typed: &mut Typed) -> String {
        let list = &mut config.layer7.virtual_servers;
        let at = self.label.as_ref().and_then(|label| list.iter().position(|v| v.label.as_str() == label));
        let at = at.unwrap_or(list.len());
        let mut vs = list.get(at).cloned().unwrap_or_else(nothing);
        let before = vs.label.clone();
        typed.put("label", &mut vs.label, str::parse::<Label>);
        if typed.changed(&["service"])
            && let Some((address, ports)) = typed.parsed("service", address_and_ports)
        {
            (vs.address, vs.ports) = (address, ports);
        }
        typed.put("mode", &mut vs.mode, str::parse::<ProxyMode>);
        typed.put("balance", &mut vs.balance, str::parse::<Balance>);
        persistence::write(&mut vs.persistence, Family::of(vs.address), typed);
        check::write(&mut vs.check, typed);
        agent::write(&mut vs.agent, typed);
        typed.put("fallback", &mut vs.fallback, fallback);
        typed.put("fallback_page", &mut vs.fallback_page, |text| match text.trim() {
            "" => Ok(None),
            _ => text.parse::<PageText>().map(Some),
        });
        typed.put_number("slow_start", &mut vs.slow_start);
        typed.put_number("max_connections", &mut vs.max_connections);
        typed.put("keep_alive", &mut vs.keep_alive, str::parse::<KeepAlive>);
        vs.forwarded_for = typed.on("forwarded_for");
        vs.accept_proxy = typed.on("accept_proxy");
        vs.transparent = typed.on("transparent");
        vs.compression = typed.on("compression");
        vs.redirect_https = typed.on("redirect_https");
        vs.log_requests = typed.on("log_requests");
        typed.put("rules", &mut vs.rules, |text| parse::lines(text, rules::rule));
        typed.put("request_headers", &mut vs.request_headers, |text| parse::lines(text, rules::header));
        typed.put("response_headers", &mut vs.response_headers, |text| parse::lines(text, rules::header));
        if typed.changed(&["limit_requests", "limit_connections"]) {
            let mut limits = vs.limits.unwrap_or_default();
            typed.put_number("limit_requests", &mut limits.requests_per_10s);
            typed.put_number("limit_connections", &mut limits.connections);
            vs.limits = Some(limits).filter(|l| *l != Limits::default());
        }
        timeouts::write(&mut vs.timeouts, typed);
        tls::write(&mut vs, typed);
        typed.put("manual", &mut vs.manual, |text| match text.trim_end() {
            "" => Ok(None),
            text => text.parse::<ManualBlock>().map(Some),
        });
        let label = vs.label.clone();
        match list.get_mut(at) {
            Some(there) => {
                *there = vs;
                // Rules that lead here lead here under the new name.
                follow(list, &before, &label);
            }
            None => list.push(vs),
        }
        format!("/layer7/virtual_servers/{at}")
    }

    fn field_at(&self, tail: &str) -> Option<&'static str> {
        let (first, rest) = match tail.get(1..)?.find('/') {
            Some(end) => tail.split_at(end + 1),
            None => (tail, ""),
        };
        Some(match first {
            "/label" => "label",
            "/address" | "/ports" => "service",
            "/mode" => "mode",
            "/tls" => tls::field_at(rest),
            "/server_verification" => tls::server_field_at(rest),
            "/balance" => "balance",
            "/persistence" => persistence::field_at(rest),
            "/check" => check::field_at(rest),
            "/agent" => agent::field_at(rest),
            "/timeouts" => timeouts::field_at(rest.strip_prefix('/')?)?,
            "/max_connections" => "max_connections",
            "/forwarded_for" => "forwarded_for",
            "/accept_proxy" => "accept_proxy",
            "/transparent" => "transparent",
            "/keep_alive" => "keep_alive",
            "/compression" => "compression",
            "/redirect_https" => "redirect_https",
            "/rules" => "rules",
            "/request_headers" => "request_headers",
            "/response_headers" => "response_headers",
            "/limits" if rest == "/connections" => "limit_connections",
            "/limits" => "limit_requests",
            "/slow_start" => "slow_start",
            "/fallback" => "fallback",
            "/fallback_page" => "fallback_page",
            "/log_requests" => "log_requests",
            "/manual" => "manual",
            _ => return None,
        })
    }

    fn entry_at(&self, tail: &str) -> Option<String> {
        let mut parts = tail.split('/').skip(1);
        let what = match parts.next()? {
            "rules" => "Rule",
            "request_headers" | "response_headers" => "Header",
            _ => return None,
        };
        let number: usize = parts.next()?.parse().ok()?;
        Some(format!("{what} {}", number + 1))
    }

    fn verbatim(&self) -> &'static [&'static str] {
        &["check_request", "check_response", "check_host", "agent_send", "fallback_page", "manual"]
    }
}

fn basics(config: &Config) -> Section {
    let own = config.node.interfaces.first().and_then(|i| i.addresses.first()).map(ipnet::IpNet::addr);
    let own = own.unwrap_or(Ipv4Addr::new(10, 0, 0, 21).into());
    let modes = [(ProxyMode::Http, "http: requests are read"), (ProxyMode::Tcp, "tcp: bytes pass as they are")];
    let balances = Balance::ALL.iter().map(|b| (b.as_str(), format!("{b} - {}", balance_phrase(*b))));
    Section::new(
        "",
        vec![
            Field::text("label", "Label", "layer-seven-label").placeholder("Shop"),
            Field::text("service", "Virtual Server (ipaddress:port)", "layer-seven-address")
                .placeholder(parse::shown(own, Some(80)))
                .hint("Several ports as 80,8080 or 8000-8010; IPv6 as [fd00::21]:80"),
            Field::select("mode", "Mode", "layer-seven-mode", modes),
            Field::select("balance", "Balance", "layer-seven-balance", balances),
        ],
    )
}

fn connections(usual: &Values) -> Section {
    let kept = KeepAlive::ALL.iter().map(|k| (k.as_str(), format!("{k} - {}", keep_alive_phrase(*k))));
    Section::folding(
        "Connections and requests",
        vec![
            Field::number(
                "max_connections",
                "Maximum connections",
                "layer-seven-maximum-connections",
                0,
                MOST_CONNECTIONS,
            )
            .hint("Of clients; 0: unrestricted"),
            Field::checkbox("forwarded_for", "X-Forwarded-For", "layer-seven-forwarded-for")
                .hint("Real servers are told the client's address (http)"),
            Field::checkbox("accept_proxy", "PROXY protocol from clients", "layer-seven-accept-proxy")
                .hint("Clients come through a proxy that speaks it, and only through it"),
            Field::checkbox("transparent", "Transparent source", "layer-seven-transparent")
                .hint("Real servers see the client's address; their default gateway must be this unit"),
            Field::select("keep_alive", "Keep-alive", "layer-seven-keep-alive", kept),
            Field::checkbox("compression", "Compression", "layer-seven-compression")
                .hint("Text that the server sent uncompressed is sent on with gzip (http)"),
            Field::checkbox("redirect_https", "Redirect to https", "layer-seven-redirect-https")
                .hint("Every client is sent to the same place with https:// (http)"),
            Field::checkbox("log_requests", "Log every request", "layer-seven-log-requests").hint(
                "And not only those that fail; in mode tcp every connection. For minutes, where there is much traffic",
            ),
        ],
        usual,
    )
}

fn switching(usual: &Values) -> Section {
    Section::folding(
        "Content switching",
        vec![
            Field::area("rules", "Content rules", "layer-seven-rules", 5)
                .placeholder("path /images /static -> use Images")
                .hint("One a line; the first that fits decides, else the real servers of this virtual server serve"),
            Field::area("request_headers", "Request headers", "layer-seven-headers", 3)
                .placeholder("set X-Shop: 1")
                .hint("One a line: set NAME: VALUE, add NAME: VALUE or remove NAME, on the way to the server"),
            Field::area("response_headers", "Response headers", "layer-seven-headers", 3)
                .placeholder("remove X-Powered-By")
                .hint("The same on the way to the client"),
        ],
        usual,
    )
}

fn limits(usual: &Values) -> Section {
    let limit = |name, label: &str| {
        Field::number(name, label, "layer-seven-limits", 0, MOST_CONNECTIONS).hint("0: unrestricted")
    };
    Section::folding(
        "Limits of one source address",
        vec![limit("limit_requests", "Requests in 10 seconds"), limit("limit_connections", "Connections at once")],
        usual,
    )
}

fn address_and_ports(text: &str) -> Result<(IpAddr, Ports), String> {
    if text.is_empty() {
        return Err("an address and a port are needed here, for example 192.168.1.21:80".into());
    }
    match parse::address_and_port(text)? {
        (address, Some(ports)) => Ok((address, ports.parse().map_err(|e: lb_model::NameError| e.to_string())?)),
        (address, None) => Err(format!("the port is missing; write for example {}", parse::shown(address, Some(80)))),
    }
}

fn fallback(text: &str) -> Result<Option<Layer7Fallback>, String> {
    if text.is_empty() || text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let (address, port) = parse::address_and_port(text)?;
    Ok(Some(Layer7Fallback { address, port: port.map(parse::port).transpose()? }))
}

fn follow(list: &mut [Layer7VirtualServer], before: &Label, now: &Label) {
    if before == now {
        return;
    }
    for rule in list.iter_mut().flat_map(|vs| &mut vs.rules) {
        match &mut rule.then {
            Outcome::Use { virtual_server } if virtual_server == before => *virtual_server = now.clone(),
            _ => {}
        }
    }
}

impl Remove for Layer7VirtualServerForm {
    fn fingerprint(&self, config: &Config) -> Option<String> {
        self.position(config).map(|at| fingerprint_of(&config.layer7.virtual_servers[at]))
    }

    fn remove(&self, config: &Config) -> Option<Removal> {
        let at = self.position(config)?;
        let mut new = config.clone();
        new.layer7.virtual_servers.remove(at);
        Some(removal(config, new))
    }
}
