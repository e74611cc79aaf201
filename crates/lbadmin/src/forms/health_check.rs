//! The part of a virtual server's form that is about its health check.

use super::{
    edit::{Typed, Values},
    form::{Field, Section},
    parse,
};
use lb_model::{Check, CheckMethod, Config, Negotiate, NegotiateService, Pattern, StatusCodes};

const NEGOTIATE: [&str; 5] = ["check_service", "check_request", "check_response", "check_host", "check_status"];

pub(super) fn section(config: &Config) -> Section {
    let health = &config.globals.health;
    let global = |value: u32| format!("{value} (global)");
    let types = [
        ("negotiate", "negotiate: a request gets the expected answer"),
        ("connect", "connect: a TCP connection is accepted"),
        ("ping", "ping: an ICMP echo is answered"),
        ("on", "on: always fit, never asked"),
        ("off", "off: never fit"),
    ];
    Section::new(
        "Health check",
        vec![
            Field::select("check_type", "Check type", "check-type", types),
            Field::select("check_service", "Service to check", "check-service", [("http", "HTTP"), ("https", "HTTPS")])
                .hint("For negotiate, as the next four"),
            Field::text("check_request", "Request to send", "check-request").placeholder("/check.html"),
            Field::text("check_response", "Response expected", "check-response")
                .hint("A regular expression; empty: any answer with the right status"),
            Field::text("check_host", "Virtual host", "check-virtual-host").placeholder("www.example.com"),
            Field::text("check_status", "Status codes expected", "check-status").placeholder("200-299"),
            Field::number("check_port", "Port to check", "check-port", 1, 65_535)
                .hint("Empty: the real server's own port"),
            Field::number("check_interval", "Check interval", "check-interval", 1, 3600)
                .unit("seconds")
                .placeholder(global(health.interval)),
            Field::number("check_timeout", "Check timeout", "check-timeout", 1, 300)
                .unit("seconds")
                .placeholder("global")
                .hint(format!("Empty: {}, of negotiate {} (global)", health.timeout, health.negotiate_timeout)),
            Field::number("check_fall", "Failure count", "check-fall", 1, 100)
                .unit("failures in a row take a server out")
                .placeholder(global(health.fall)),
            Field::number("check_rise", "Success count", "check-rise", 1, 100)
                .unit("successes in a row take it back")
                .placeholder(global(health.rise)),
        ],
    )
}

pub(super) fn values(check: &Check, values: &mut Values) {
    let number = |n: Option<u32>| n.map_or_else(String::new, |n| n.to_string());
    let blank = blank();
    let (word, negotiate) = match &check.method {
        CheckMethod::On => ("on", &blank),
        CheckMethod::Off => ("off", &blank),
        CheckMethod::Connect => ("connect", &blank),
        CheckMethod::Ping => ("ping", &blank),
        CheckMethod::Negotiate(negotiate) => ("negotiate", negotiate),
    };
    // A line of a form cannot hold a line end; to the expression it is the same.
    let response = negotiate.response.as_ref().map_or_else(String::new, |p| p.as_str().replace('\n', "\\n"));
    values.extend([
        ("check_type", word.to_owned()),
        ("check_service", service_word(negotiate.service).to_owned()),
        ("check_request", negotiate.request.clone()),
        ("check_response", response),
        ("check_host", negotiate.virtual_host.clone().unwrap_or_default()),
        ("check_status", negotiate.status.to_string()),
        ("check_port", number(check.port.map(u32::from))),
        ("check_interval", number(check.interval)),
        ("check_timeout", number(check.timeout)),
        ("check_fall", number(check.fall)),
        ("check_rise", number(check.rise)),
    ]);
}

fn service_word(service: NegotiateService) -> &'static str {
    match service {
        NegotiateService::Http => "http",
        NegotiateService::Https => "https",
    }
}

fn blank() -> Negotiate {
    Negotiate {
        service: NegotiateService::Http,
        request: "/".into(),
        response: None,
        virtual_host: None,
        status: StatusCodes::default(),
    }
}

pub(super) fn write(check: &mut Check, typed: &mut Typed) {
    let kind = typed.text("check_type").to_owned();
    match kind.as_str() {
        "on" => check.method = CheckMethod::On,
        "off" => check.method = CheckMethod::Off,
        "connect" => check.method = CheckMethod::Connect,
        "ping" => check.method = CheckMethod::Ping,
        _ if typed.changed(&["check_type"]) || typed.changed(&NEGOTIATE) => {
            let mut negotiate = match &check.method {
                CheckMethod::Negotiate(negotiate) => negotiate.clone(),
                _ => blank(),
            };
            write_negotiate(&mut negotiate, typed);
            check.method = CheckMethod::Negotiate(negotiate);
        }
        _ => {}
    }
    typed.put("check_port", &mut check.port, |text| match text {
        "" => Ok(None),
        text => parse::port(text).map(Some),
    });
    typed.put_optional_number("check_interval", &mut check.interval);
    typed.put_optional_number("check_timeout", &mut check.timeout);
    typed.put_optional_number("check_fall", &mut check.fall);
    typed.put_optional_number("check_rise", &mut check.rise);
}

/// What is wrong with an expression comes with a drawing of the place; its last line says it.
fn one_line(error: &str) -> String {
    match error.rsplit_once("error: ") {
        Some((_, reason)) => format!("this is not a regular expression: {}", reason.trim()),
        None => error.to_owned(),
    }
}

fn write_negotiate(negotiate: &mut Negotiate, typed: &mut Typed) {
    typed.put("check_service", &mut negotiate.service, |text| match text {
        "http" => Ok(NegotiateService::Http),
        "https" => Ok(NegotiateService::Https),
        _ => Err("choose HTTP or HTTPS"),
    });
    typed.put("check_request", &mut negotiate.request, |text| {
        Ok::<_, String>(if text.is_empty() { "/".to_owned() } else { text.to_owned() })
    });
    typed.put("check_response", &mut negotiate.response, |text| match text {
        "" => Ok(None),
        text => text.parse::<Pattern>().map(Some).map_err(|e| one_line(&e.to_string())),
    });
    typed.put("check_host", &mut negotiate.virtual_host, |text| {
        Ok::<_, String>(Some(text.to_owned()).filter(|t| !t.is_empty()))
    });
    typed.put("check_status", &mut negotiate.status, |text| match text {
        "" => Ok(StatusCodes::default()),
        text => text.parse(),
    });
}

/// The field that a pointer below `/check` is about.
pub(super) fn field_at(tail: &str) -> Option<&'static str> {
    Some(match tail {
        "/method/service" => "check_service",
        "/method/request" => "check_request",
        "/method/response" => "check_response",
        "/method/virtual_host" => "check_host",
        "/method/status" => "check_status",
        "/port" => "check_port",
        "/interval" => "check_interval",
        "/timeout" => "check_timeout",
        "/fall" => "check_fall",
        "/rise" => "check_rise",
        _ => "check_type",
    })
}
