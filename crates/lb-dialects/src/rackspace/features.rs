//! What a load balancer has one of: session persistence, health monitor, throttle, logging, caching, error page.

use super::{
    Call, Done, Fault, Result, load_balancers,
    read::{self, Fields},
    show,
};
use crate::render;
use lb_model::{
    dialects::rackspace::{
        LONGEST_ERROR_PAGE, RackspaceLoadBalancer, RackspaceMonitor, RackspaceMonitorType, RackspaceNodeType,
        RackspacePersistence, RackspaceProtocol, RackspaceThrottle,
    },
    layer7::PageText,
};
use serde_json::json;

/// HAProxy's own, which clients get where there is no other.
const ERROR_PAGE: &str = "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n\
                          </body></html>\n";

pub fn handle(call: &Call<'_>, lb: &RackspaceLoadBalancer, method: &str, feature: &str) -> Result<Done> {
    match feature {
        "sessionpersistence" => session_persistence(call, lb, method),
        "healthmonitor" => health_monitor(call, lb, method),
        "connectionthrottle" => connection_throttle(call, lb, method),
        "connectionlogging" => connection_logging(call, lb, method),
        "contentcaching" => content_caching(call, lb, method),
        "errorpage" => error_page(call, lb, method),
        _ => Err(Fault::not_found("Resource not found")),
    }
}

/// The load balancer as `change` makes it, if that goes with its protocol.
pub fn set(
    call: &Call<'_>,
    lb: &RackspaceLoadBalancer,
    what: &str,
    change: impl Fn(&mut RackspaceLoadBalancer),
) -> Result<Done> {
    let mut new = lb.clone();
    change(&mut new);
    load_balancers::fits(&new)?;
    if new == *lb {
        return Done::changed(call.state(), "");
    }
    Done::changed(call.with(lb.id, change), format!("Change the {what} of load balancer {}", lb.id))
}

/// A mode that goes with the protocol.
pub fn persistence(protocol: RackspaceProtocol, mut fields: Fields) -> Result<RackspacePersistence> {
    let wrong = "Persistence type is invalid. Please specify a valid persistence type.";
    let mode = fields.word("persistenceType", RackspacePersistence::ALL, RackspacePersistence::as_str, wrong)?;
    let mode = mode.ok_or_else(|| Fault::invalid("Must provide a persistence type."))?;
    fields.end()?;
    match mode {
        _ if protocol.takes(mode) => Ok(mode),
        RackspacePersistence::HttpCookie => {
            let rule =
                "HTTP_COOKIE Session persistence is only valid with HTTP protocol with or without SSL termination.";
            Err(Fault::bad_request(rule))
        }
        RackspacePersistence::SourceIp => {
            Err(Fault::bad_request("SOURCE_IP session persistence is only valid with non-HTTP protocols."))
        }
    }
}

fn session_persistence(call: &Call<'_>, lb: &RackspaceLoadBalancer, method: &str) -> Result<Done> {
    match method {
        "GET" => {
            let shown = lb.session_persistence.map_or_else(|| json!({}), |mode| json!({"persistenceType": mode}));
            Done::look(json!({"sessionPersistence": shown}))
        }
        "PUT" => {
            let mode = persistence(lb.protocol, read::object(&call.request.body, "sessionPersistence")?)?;
            set(call, lb, "session persistence", |lb| lb.session_persistence = Some(mode))
        }
        _ if lb.session_persistence.is_none() => Err(Fault::unprocessable("Session persistence is already deleted.")),
        _ => set(call, lb, "session persistence", |lb| lb.session_persistence = None),
    }
}

pub fn monitor(mut fields: Fields) -> Result<RackspaceMonitor> {
    let kinds = RackspaceMonitorType::ALL;
    let kind = fields.word("type", kinds, RackspaceMonitorType::as_str, "Health monitor type is invalid.")?;
    let kind = kind.ok_or_else(|| Fault::invalid("Must provide a type for the health monitor."))?;
    let mut number = |name: &str, to: u32| {
        let wrong = format!("{name} is invalid. Must be between 1 and {to}.");
        fields.number(name, 1, to, &wrong)?.ok_or_else(|| Fault::invalid(format!("Must provide {name}.")))
    };
    let (delay, timeout) = (number("delay", 3600)?, number("timeout", 300)?);
    let attempts = number("attemptsBeforeDeactivation", 10)?;
    fields.take("id");
    let path = fields.text("path")?;
    let status_regex = fields.text("statusRegex")?;
    let body_regex = fields.text("bodyRegex")?;
    let host_header = fields.text("hostHeader")?;
    fields.end()?;
    let monitor = RackspaceMonitor { kind, delay, timeout, attempts, path, status_regex, body_regex, host_header };
    texts(&monitor)?;
    Ok(monitor)
}

fn texts(monitor: &RackspaceMonitor) -> Result<()> {
    let RackspaceMonitor { kind, path, status_regex, body_regex, host_header, .. } = monitor;
    if *kind == RackspaceMonitorType::Connect {
        if [path, status_regex, body_regex, host_header].iter().any(|text| text.is_some()) {
            let rule = "A CONNECT monitor has no path, statusRegex, bodyRegex or hostHeader.";
            return Err(Fault::invalid(rule));
        }
        return Ok(());
    }
    let printable = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    match path.as_deref() {
        None => return Err(Fault::invalid("Must provide a path.")),
        Some(path) if !path.starts_with('/') || !printable(path) || path.len() > 128 => {
            return Err(Fault::invalid("Path is invalid. It begins with / and has at most 128 characters, no spaces."));
        }
        Some(_) => {}
    }
    for (name, text) in [("statusRegex", status_regex), ("bodyRegex", body_regex)] {
        let Some(text) = text else { return Err(Fault::invalid(format!("Must provide {name}."))) };
        let built = regex::RegexBuilder::new(text).size_limit(1 << 20).build();
        if text.chars().count() > 128 || built.is_err() {
            return Err(Fault::invalid(format!(
                "{name} is invalid. Use a regular expression of at most 128 characters."
            )));
        }
    }
    let host = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b));
    match host_header.as_deref() {
        Some(text) if text.is_empty() || text.len() > 256 || !host(text) => {
            Err(Fault::invalid("hostHeader is invalid. Use a host name of at most 256 characters."))
        }
        _ => Ok(()),
    }
}

fn health_monitor(call: &Call<'_>, lb: &RackspaceLoadBalancer, method: &str) -> Result<Done> {
    match method {
        "GET" => {
            let shown = lb.health_monitor.as_ref().map_or_else(|| json!({}), show::monitor);
            Done::look(json!({"healthMonitor": shown}))
        }
        "PUT" => {
            let monitor = monitor(read::object(&call.request.body, "healthMonitor")?)?;
            set(call, lb, "health monitor", |lb| lb.health_monitor = Some(monitor.clone()))
        }
        _ if lb.health_monitor.is_none() => Err(Fault::unprocessable("No health monitor found to delete.")),
        _ if lb.nodes.iter().any(|node| node.kind == RackspaceNodeType::Secondary) => {
            Err(Fault::bad_request("you must enable health monitoring to use secondary nodes"))
        }
        _ => set(call, lb, "health monitor", |lb| lb.health_monitor = None),
    }
}

/// The first one needs its maximum; what is left out of a later one stays.
pub fn throttle(old: Option<RackspaceThrottle>, mut fields: Fields) -> Result<RackspaceThrottle> {
    let mut number = |name: &str, from: u32, to: u32| {
        fields.number(name, from, to, &format!("{name} is invalid. Must be between {from} and {to}."))
    };
    let most = number("maxConnections", 0, 100_000)?;
    let least = number("minConnections", 0, 1000)?;
    let rate = number("maxConnectionRate", 0, 100_000)?;
    let interval = number("rateInterval", 1, 3600)?;
    fields.end()?;
    if [most, least, rate, interval].iter().all(Option::is_none) {
        return Err(Fault::invalid("Must provide at least one attribute of the connection throttle."));
    }
    let max_connections = most.or(old.map(|old| old.max_connections));
    Ok(RackspaceThrottle {
        max_connections: max_connections.ok_or_else(|| Fault::invalid("Must provide maxConnections."))?,
        min_connections: least.or(old.and_then(|old| old.min_connections)),
        max_connection_rate: rate.or(old.and_then(|old| old.max_connection_rate)),
        rate_interval: interval.or(old.and_then(|old| old.rate_interval)),
    })
}

fn connection_throttle(call: &Call<'_>, lb: &RackspaceLoadBalancer, method: &str) -> Result<Done> {
    match method {
        "GET" => {
            let shown = lb.connection_throttle.as_ref().map_or_else(|| json!({}), show::throttle);
            Done::look(json!({"connectionThrottle": shown}))
        }
        "PUT" => {
            let fields = read::object(&call.request.body, "connectionThrottle")?;
            let throttle = throttle(lb.connection_throttle, fields)?;
            set(call, lb, "connection throttle", |lb| lb.connection_throttle = Some(throttle))
        }
        _ if lb.connection_throttle.is_none() => Err(Fault::unprocessable("No connection throttle found to delete.")),
        _ => set(call, lb, "connection throttle", |lb| lb.connection_throttle = None),
    }
}

fn enabled(call: &Call<'_>, root: &str) -> Result<bool> {
    let mut fields = read::object(&call.request.body, root)?;
    let enabled = fields.flag("enabled")?.ok_or_else(|| Fault::invalid("Must provide enabled."))?;
    fields.end()?;
    Ok(enabled)
}

fn connection_logging(call: &Call<'_>, lb: &RackspaceLoadBalancer, method: &str) -> Result<Done> {
    if method == "GET" {
        return Done::look(json!({"connectionLogging": {"enabled": lb.connection_logging}}));
    }
    let enabled = enabled(call, "connectionLogging")?;
    set(call, lb, "connection logging", |lb| lb.connection_logging = enabled)
}

fn content_caching(call: &Call<'_>, lb: &RackspaceLoadBalancer, method: &str) -> Result<Done> {
    if method == "GET" {
        return Done::look(json!({"contentCaching": {"enabled": lb.content_caching}}));
    }
    let enabled = enabled(call, "contentCaching")?;
    caching(enabled)?;
    set(call, lb, "content caching", |lb| lb.content_caching = enabled)
}

/// Nothing caches here.
pub fn caching(enabled: bool) -> Result<bool> {
    match enabled {
        true => Err(Fault::bad_request("Content caching is not available on this unit.")),
        false => Ok(false),
    }
}

fn error_page(call: &Call<'_>, lb: &RackspaceLoadBalancer, method: &str) -> Result<Done> {
    match method {
        "GET" => {
            let content = lb.error_page.as_deref().unwrap_or(ERROR_PAGE);
            Done::look(json!({"errorpage": {"content": content}}))
        }
        "PUT" => {
            let mut fields = read::object(&call.request.body, "errorpage")?;
            let content = fields.text("content")?.ok_or_else(|| Fault::invalid("Must provide content."))?;
            fields.end()?;
            if !(1..=LONGEST_ERROR_PAGE).contains(&content.len()) {
                return Err(Fault::invalid(format!("Content must have 1 to {LONGEST_ERROR_PAGE} bytes.")));
            }
            if !render::serves(&content) {
                let most = PageText::LONGEST;
                let rule = format!("The error page is too long for this unit: {most} bytes are possible.");
                return Err(Fault::bad_request(rule));
            }
            set(call, lb, "error page", |lb| lb.error_page = Some(content.clone()))
        }
        _ if lb.error_page.is_none() => Err(Fault::unprocessable("No error page found to delete.")),
        _ => set(call, lb, "error page", |lb| lb.error_page = None),
    }
}
