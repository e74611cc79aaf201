//! Load balancers: lists, what PUT may change, removal.

use super::{Call, Done, Fault, Result, number, read, show};
use lb_model::dialects::rackspace::{
    Rackspace, RackspaceAlgorithm, RackspaceLoadBalancer, RackspaceMonitorType, RackspaceProtocol,
};
use serde_json::{Value, json};

/// Entries of a page, unless fewer are asked for.
const PAGE: usize = 100;

pub fn list(call: &Call<'_>) -> Result<Done> {
    let all = &call.config.dialects.rackspace.load_balancers;
    let word = |name: &str| call.request.parameter(name);
    let (name, address, status) = (word("name"), word("nodeaddress"), word("status"));
    let since = match word("changes-since") {
        None => None,
        Some(text) => {
            let time: std::result::Result<jiff::Timestamp, _> = text.parse();
            let time =
                time.map_err(|_| Fault::bad_request("changes-since must be a time such as 2026-11-21T21:46:21Z."))?;
            Some(u64::try_from(time.as_second()).unwrap_or(0))
        }
    };
    let found = all.iter().filter(|lb| match (&address, &name) {
        (Some(address), _) => lb.nodes.iter().any(|node| node.address.to_string() == *address),
        (None, Some(name)) => lb.name == *name,
        (None, None) => true,
    });
    let found = found.filter(|lb| since.is_none_or(|since| lb.updated >= since));
    let found: Vec<&RackspaceLoadBalancer> =
        found.filter(|_| status.as_deref().is_none_or(|status| status == "ACTIVE")).collect();
    let shown: Vec<Value> = page(call, &found, |lb| lb.id)?.iter().map(|lb| show::short(call, lb)).collect();
    Done::look(json!({"loadBalancers": shown}))
}

/// `limit`, `marker` (the first to show) and `offset`.
pub fn page<'a, T>(call: &Call<'_>, all: &'a [T], id: impl Fn(&T) -> u32) -> Result<&'a [T]> {
    let count = |name: &str| match call.request.parameter(name) {
        None => Ok(None),
        Some(text) => {
            let number: Option<usize> = text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
            number.map(Some).ok_or_else(|| Fault::bad_request(format!("{name} must be a number.")))
        }
    };
    let (limit, marker, offset) = (count("limit")?, count("marker")?, count("offset")?);
    let first = match marker {
        None => 0,
        Some(marker) => all.iter().position(|entry| id(entry) as usize >= marker).unwrap_or(all.len()),
    };
    let from = first.saturating_add(offset.unwrap_or(0)).min(all.len());
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(PAGE).min(PAGE);
    Ok(&all[from..from.saturating_add(limit).min(all.len())])
}

/// What a name may be.
pub fn name(text: String) -> Result<String> {
    match text.chars().count() {
        0 => Err(Fault::invalid("Load balancer name is invalid. Please specify a name.")),
        1..=128 => Ok(text),
        _ => Err(Fault::invalid("Load balancer name must not exceed 128 characters.")),
    }
}

pub const PROTOCOL: &str = "Load balancer protocol is invalid. Please specify a valid protocol.";
pub const ALGORITHM: &str = "Load balancer algorithm is invalid. Please specify a valid algorithm.";
pub const TIMEOUT: &str = "Timeout is invalid. Must be between 30 and 120 seconds.";

/// What only some protocols have.
pub fn fits(lb: &RackspaceLoadBalancer) -> Result<()> {
    if lb.half_closed && !matches!(lb.protocol, RackspaceProtocol::Tcp | RackspaceProtocol::TcpClientFirst) {
        return Err(Fault::bad_request("halfClosed is only supported with the TCP and TCP_CLIENT_FIRST protocols."));
    }
    let secure = lb.ssl_termination.as_ref().filter(|ssl| ssl.enabled && ssl.secure_traffic_only);
    let terminated = lb.protocol == RackspaceProtocol::Http && secure.is_some_and(|ssl| ssl.secure_port == 443);
    if lb.https_redirect && (lb.protocol, lb.port) != (RackspaceProtocol::Https, 443) && !terminated {
        let rule = "HTTPS redirect is only valid with protocol HTTPS on port 443, or with HTTP and SSL termination on \
                    port 443 for secure traffic only.";
        return Err(Fault::bad_request(rule));
    }
    if let Some(ssl) = &lb.ssl_termination {
        if !lb.protocol.takes_ssl_termination() {
            let rule = format!("SSL termination is not supported with protocol {}.", lb.protocol);
            return Err(Fault::bad_request(rule));
        }
        if ssl.secure_port == lb.port {
            return Err(Fault::bad_request("The securePort of SSL termination cannot be the load balancer's port."));
        }
    }
    if let Some(monitor) = &lb.health_monitor {
        let good = match monitor.kind {
            RackspaceMonitorType::Connect => !lb.protocol.is_udp(),
            RackspaceMonitorType::Http => lb.protocol == RackspaceProtocol::Http,
            RackspaceMonitorType::Https => lb.protocol == RackspaceProtocol::Https,
        };
        if !good {
            let (kind, protocol) = (monitor.kind, lb.protocol);
            return Err(Fault::bad_request(format!("A health monitor of type {kind} is not valid with {protocol}.")));
        }
    }
    if lb.protocol.is_udp() {
        for (name, set) in [
            ("Access lists are", !lb.access_list.is_empty()),
            ("A connection throttle is", lb.connection_throttle.is_some()),
            ("Connection logging is", lb.connection_logging),
        ] {
            if set {
                return Err(Fault::bad_request(format!("{name} not supported with UDP protocols.")));
            }
        }
    }
    if lb.error_page.is_some() && lb.protocol != RackspaceProtocol::Http {
        return Err(Fault::bad_request("Error pages are only supported with the HTTP protocol."));
    }
    Ok(())
}

/// Two load balancers share an address on different ports, or one with TCP and one with UDP on the same.
pub fn shares(state: &Rackspace, lb: &RackspaceLoadBalancer) -> Result<()> {
    let clash = |other: &RackspaceLoadBalancer| other.ports().find(|port| lb.ports().any(|own| own == *port));
    let other = state.load_balancers.iter().find(|other| {
        other.id != lb.id
            && clash(other).is_some()
            && other.protocol.is_udp() == lb.protocol.is_udp()
            && other.virtual_ips.iter().any(|id| lb.virtual_ips.contains(id))
    });
    match other {
        None => Ok(()),
        Some(other) => Err(Fault::bad_request(format!(
            "Port {} is already in use on this virtual ip by load balancer {}.",
            clash(other).unwrap_or(lb.port),
            other.id
        ))),
    }
}

pub fn update(call: &Call<'_>, lb: &RackspaceLoadBalancer) -> Result<Done> {
    let mut fields = read::object(&call.request.body, "loadBalancer")?;
    if fields.is_empty() {
        return Err(Fault::bad_request("At least one attribute must be specified for update."));
    }
    let mut new = lb.clone();
    if let Some(text) = fields.text("name")? {
        new.name = name(text)?;
    }
    let algorithm = fields.word("algorithm", RackspaceAlgorithm::ALL, RackspaceAlgorithm::as_str, ALGORITHM)?;
    new.algorithm = algorithm.unwrap_or(lb.algorithm);
    let protocol = fields.word("protocol", RackspaceProtocol::ALL, RackspaceProtocol::as_str, PROTOCOL)?;
    new.protocol = protocol.unwrap_or(lb.protocol);
    new.port = fields.port("port")?.unwrap_or(lb.port);
    new.timeout = fields.number("timeout", 30, 120, TIMEOUT)?.unwrap_or(lb.timeout);
    new.half_closed = fields.flag("halfClosed")?.unwrap_or(lb.half_closed);
    new.https_redirect = fields.flag("httpsRedirect")?.unwrap_or(lb.https_redirect);
    if !fields.is_empty() {
        let rule = "Only name, algorithm, protocol, port, timeout, halfClosed and httpsRedirect can be updated.";
        return Err(Fault::bad_request(rule));
    }
    if new.protocol != lb.protocol && lb.ssl_termination.is_some() {
        return Err(Fault::bad_request("Cannot update protocol on a load balancer with ssl termination."));
    }
    if (new.protocol, new.port) != (lb.protocol, lb.port) {
        new.session_persistence = None;
    }
    fits(&new)?;
    shares(&call.config.dialects.rackspace, &new)?;
    if new == *lb {
        return Done::changed(call.state(), "");
    }
    let comment = format!("Update load balancer {} ({})", lb.id, new.name);
    Done::changed(call.with(lb.id, |lb| *lb = new), comment)
}

/// `?id=1&id=2`, all or none.
pub fn delete_several(call: &Call<'_>) -> Result<Done> {
    let ids = call.ids()?;
    if ids.is_empty() {
        return Err(Fault::bad_request("Must supply one or more ids to process this request."));
    }
    if ids.len() > show::MOST_DELETED {
        let most = show::MOST_DELETED;
        return Err(Fault::bad_request(format!("Currently, the limit of accepted parameters is: {most}.")));
    }
    let state = &call.config.dialects.rackspace;
    let unknown: Vec<String> =
        ids.iter().filter(|id| state.load_balancer(**id).is_none()).map(ToString::to_string).collect();
    if !unknown.is_empty() {
        let list = unknown.join(",");
        return Err(Fault::bad_request(format!("Must provide valid load balancers, {list}  could not be found.")));
    }
    delete(call, &ids)
}

pub fn delete(call: &Call<'_>, ids: &[u32]) -> Result<Done> {
    let mut state = call.state();
    state.load_balancers.retain(|lb| !ids.contains(&lb.id));
    forget_addresses(&mut state);
    let words: Vec<String> = ids.iter().map(ToString::to_string).collect();
    Done::changed(state, format!("Delete load balancer {}", words.join(", ")))
}

/// Virtual IPs that no load balancer has any more.
pub fn forget_addresses(state: &mut Rackspace) {
    let Rackspace { virtual_ips, load_balancers, .. } = state;
    virtual_ips.retain(|ip| load_balancers.iter().any(|lb| lb.virtual_ips.contains(&ip.id)));
}

/// A number in a path, of what has this name.
pub fn id_of(text: &str, what: &str) -> Result<u32> {
    number(text).ok_or_else(|| Fault::not_found(format!("{what} not found")))
}
