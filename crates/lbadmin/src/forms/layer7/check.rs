//! The part of a layer 7 virtual server's form that is about its health check.

use crate::forms::{
    edit::{Typed, Values},
    form::{Field, Section},
    parse,
};
use lb_model::{
    Config, StatusCodes,
    layer7::{CheckExpect, CheckVerb, HttpText, Layer7Check, Layer7CheckMethod},
};

/// How a server is asked, in a phrase.
fn phrase(method: Layer7CheckMethod) -> &'static str {
    match method {
        Layer7CheckMethod::Connect => "connect: a TCP connection is accepted",
        Layer7CheckMethod::Http => "http: a request gets the expected answer",
        Layer7CheckMethod::Https => "https: the same over TLS",
        Layer7CheckMethod::On => "on: always fit, never asked",
        Layer7CheckMethod::Smtp => "smtp: a mail server greets",
        Layer7CheckMethod::Mysql => "mysql: a MySQL server greets",
        Layer7CheckMethod::Pgsql => "pgsql: a PostgreSQL server answers",
        Layer7CheckMethod::Redis => "redis: a Redis server answers PING",
        Layer7CheckMethod::Ldap => "ldap: a directory answers a bind",
    }
}

fn expectation(expect: CheckExpect) -> &'static str {
    match expect {
        CheckExpect::Contains => "stands in the answer",
        CheckExpect::Lacks => "does not stand in the answer",
        CheckExpect::Matches => "is an expression that matches",
        CheckExpect::MatchesNot => "is an expression that does not match",
    }
}

pub fn section(config: &Config) -> Section {
    let health = &config.globals.health;
    let global = |value: u32| format!("{value} (global)");
    let types = Layer7CheckMethod::ALL.iter().map(|m| (m.as_str(), phrase(*m)));
    let expectations = CheckExpect::ALL.iter().map(|e| (e.as_str(), expectation(*e)));
    let verbs = CheckVerb::ALL.iter().map(|v| (v.as_str(), v.as_str()));
    Section::new(
        "Health check",
        vec![
            Field::select("check_type", "Check type", "layer-seven-check-type", types),
            Field::text("check_request", "Request to send", "layer-seven-check-request")
                .placeholder("/")
                .hint("For http and https, as the next five"),
            Field::select("check_verb", "Method of the request", "layer-seven-check-verb", verbs),
            Field::text("check_response", "Response expected", "layer-seven-check-response")
                .hint("A text in the answer; empty: any answer with the right status"),
            Field::select("check_expect", "The response expected", "layer-seven-check-expect", expectations),
            Field::text("check_host", "Virtual host", "layer-seven-check-host").placeholder("www.example.com"),
            Field::text("check_status", "Status codes expected", "layer-seven-check-status").placeholder("200-399"),
            Field::number("check_port", "Port to check", "check-port", 1, 65_535)
                .hint("Empty: the real server's own port"),
            Field::number("check_interval", "Check interval", "check-interval", 1, 3600)
                .unit("seconds")
                .placeholder(global(health.interval)),
            Field::number("check_timeout", "Check timeout", "check-timeout", 1, 300)
                .unit("seconds")
                .placeholder(global(health.timeout)),
            Field::number("check_fall", "Failure count", "check-fall", 1, 100)
                .unit("failures in a row take a server out")
                .placeholder(global(health.fall)),
            Field::number("check_rise", "Success count", "check-rise", 1, 100)
                .unit("successes in a row take it back")
                .placeholder(global(health.rise)),
        ],
    )
}

pub fn values(check: &Layer7Check, values: &mut Values) {
    let number = |n: Option<u32>| n.map_or_else(String::new, |n| n.to_string());
    let text = |t: &Option<HttpText>| t.as_ref().map_or_else(String::new, HttpText::to_string);
    values.extend([
        ("check_type", check.method.to_string()),
        ("check_request", text(&check.request)),
        ("check_response", text(&check.response)),
        ("check_verb", check.verb.to_string()),
        ("check_expect", check.expect.to_string()),
        ("check_host", text(&check.virtual_host)),
        ("check_status", check.status.as_ref().map_or_else(String::new, StatusCodes::to_string)),
        ("check_port", number(check.port.map(u32::from))),
        ("check_interval", number(check.interval)),
        ("check_timeout", number(check.timeout)),
        ("check_fall", number(check.fall)),
        ("check_rise", number(check.rise)),
    ]);
}

pub fn write(check: &mut Layer7Check, typed: &mut Typed) {
    let before = check.method;
    typed.put("check_type", &mut check.method, str::parse);
    // What only requests have goes with them, unless it was typed just now: then it is refused.
    if before.is_http() && !check.method.is_http() {
        let untouched = |name| !typed.changed(&[name]);
        check.request = check.request.take().filter(|_| !untouched("check_request"));
        check.response = check.response.take().filter(|_| !untouched("check_response"));
        if untouched("check_verb") {
            check.verb = CheckVerb::default();
        }
        if untouched("check_expect") {
            check.expect = CheckExpect::default();
        }
        check.virtual_host = check.virtual_host.take().filter(|_| !untouched("check_host"));
        check.status = check.status.take().filter(|_| !untouched("check_status"));
    }
    typed.put("check_request", &mut check.request, text);
    typed.put("check_response", &mut check.response, text);
    typed.put("check_verb", &mut check.verb, str::parse);
    typed.put("check_expect", &mut check.expect, str::parse);
    typed.put("check_host", &mut check.virtual_host, text);
    typed.put("check_status", &mut check.status, |text| match text {
        "" => Ok(None),
        text => text.parse().map(Some),
    });
    typed.put("check_port", &mut check.port, |text| match text {
        "" => Ok(None),
        text => parse::port(text).map(Some),
    });
    typed.put_optional_number("check_interval", &mut check.interval);
    typed.put_optional_number("check_timeout", &mut check.timeout);
    typed.put_optional_number("check_fall", &mut check.fall);
    typed.put_optional_number("check_rise", &mut check.rise);
}

fn text(text: &str) -> Result<Option<HttpText>, lb_model::NameError> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

/// The field that a pointer below `/check` is about.
pub fn field_at(tail: &str) -> &'static str {
    match tail {
        "/request" => "check_request",
        "/response" => "check_response",
        "/verb" => "check_verb",
        "/expect" => "check_expect",
        "/virtual_host" => "check_host",
        "/status" => "check_status",
        "/port" => "check_port",
        "/interval" => "check_interval",
        "/timeout" => "check_timeout",
        "/fall" => "check_fall",
        "/rise" => "check_rise",
        _ => "check_type",
    }
}
