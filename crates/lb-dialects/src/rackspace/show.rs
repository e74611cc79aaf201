//! Objects as the vendor shows them. Nothing stands in nodes and virtual IPs that the vendor does not have there:
//! clients take every field for an argument.

use super::{Call, rates, ssl};
use crate::{render, timestamp};
use lb_model::dialects::rackspace::{
    MOST_ACCESS_ITEMS, MOST_LOAD_BALANCERS, MOST_METADATA, MOST_NODES, RackspaceAccess, RackspaceAlgorithm,
    RackspaceLoadBalancer, RackspaceMetadata, RackspaceMonitor, RackspaceNode, RackspaceProtocol, RackspaceThrottle,
    RackspaceVirtualIp,
};
use serde_json::{Map, Value, json};

/// Ids that one DELETE may name.
pub const MOST_DELETED: usize = 10;
const MOST_IPV6: usize = 25;

fn time(seconds: u64) -> Value {
    json!({"time": timestamp(seconds)})
}

fn put(into: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(map), Some(value)) = (into.as_object_mut(), value) {
        map.insert(name.to_owned(), value);
    }
}

pub fn short(call: &Call<'_>, lb: &RackspaceLoadBalancer) -> Value {
    json!({
        "id": lb.id,
        "name": lb.name,
        "protocol": lb.protocol,
        "port": lb.port,
        "algorithm": lb.algorithm,
        "status": "ACTIVE",
        "nodeCount": lb.nodes.len(),
        "timeout": lb.timeout,
        "virtualIps": virtual_ips(call, lb),
        "created": time(lb.created),
        "updated": time(lb.updated),
    })
}

pub fn full(call: &Call<'_>, lb: &RackspaceLoadBalancer) -> Value {
    full_as(call, lb, "ACTIVE")
}

pub fn full_as(call: &Call<'_>, lb: &RackspaceLoadBalancer, status: &str) -> Value {
    let own = |six: bool, inside: bool| render::own_address(call.config, inside, six);
    let mut sources = Map::new();
    for (name, address) in
        [("ipv4Public", own(false, false)), ("ipv4Servicenet", own(false, true)), ("ipv6Public", own(true, false))]
    {
        if let Some(address) = address {
            sources.insert(name.into(), json!(address));
        }
    }
    let mut shown = json!({
        "id": lb.id,
        "name": lb.name,
        "protocol": lb.protocol,
        "port": lb.port,
        "algorithm": lb.algorithm,
        "status": status,
        "timeout": lb.timeout,
        "halfClosed": lb.half_closed,
        "httpsRedirect": lb.https_redirect,
        "nodes": nodes(call, lb),
        "virtualIps": virtual_ips(call, lb),
        "cluster": {"name": call.config.node.hostname},
        "created": time(lb.created),
        "updated": time(lb.updated),
        "connectionLogging": {"enabled": lb.connection_logging},
        "contentCaching": {"enabled": lb.content_caching},
        "sourceAddresses": sources,
    });
    // An empty object in its place breaks a client.
    put(&mut shown, "sessionPersistence", lb.session_persistence.map(|mode| json!({"persistenceType": mode})));
    put(&mut shown, "healthMonitor", lb.health_monitor.as_ref().map(monitor));
    put(&mut shown, "connectionThrottle", lb.connection_throttle.as_ref().map(throttle));
    let list = Some(&lb.access_list).filter(|list| !list.is_empty());
    put(&mut shown, "accessList", list.map(|list| access_list(list)));
    let entries = Some(&lb.metadata).filter(|list| !list.is_empty());
    put(&mut shown, "metadata", entries.map(|list| metadata(list)));
    put(&mut shown, "sslTermination", lb.ssl_termination.as_ref().map(ssl::shown));
    shown
}

pub fn nodes(call: &Call<'_>, lb: &RackspaceLoadBalancer) -> Value {
    lb.nodes.iter().map(|entry| node(call, lb, entry)).collect()
}

pub fn node(call: &Call<'_>, lb: &RackspaceLoadBalancer, node: &RackspaceNode) -> Value {
    let own = render::node_label(node.id);
    let fit = [render::label_of(lb.id), render::secure_label_of(lb.id)];
    let fit = fit.iter().find_map(|label| call.facts.fit(label, &own));
    // Without a monitor nobody asks, and a node counts as there.
    let online = lb.health_monitor.is_none() || fit == Some(true);
    let mut shown = json!({
        "id": node.id,
        "address": node.address,
        "port": node.port,
        "condition": node.condition,
        "status": if online { "ONLINE" } else { "OFFLINE" },
        "type": node.kind,
    });
    put(&mut shown, "weight", lb.algorithm.is_weighted().then(|| json!(node.weight)));
    shown
}

pub fn virtual_ip(ip: &RackspaceVirtualIp) -> Value {
    let version = if ip.address.is_ipv4() { "IPV4" } else { "IPV6" };
    json!({"id": ip.id, "address": ip.address, "type": ip.kind, "ipVersion": version})
}

pub fn virtual_ips(call: &Call<'_>, lb: &RackspaceLoadBalancer) -> Value {
    let state = &call.config.dialects.rackspace;
    lb.virtual_ips.iter().filter_map(|id| state.virtual_ip(*id)).map(virtual_ip).collect()
}

pub fn monitor(monitor: &RackspaceMonitor) -> Value {
    let mut shown = json!({
        "type": monitor.kind,
        "delay": monitor.delay,
        "timeout": monitor.timeout,
        "attemptsBeforeDeactivation": monitor.attempts,
    });
    put(&mut shown, "path", monitor.path.as_ref().map(|text| json!(text)));
    put(&mut shown, "statusRegex", monitor.status_regex.as_ref().map(|text| json!(text)));
    put(&mut shown, "bodyRegex", monitor.body_regex.as_ref().map(|text| json!(text)));
    put(&mut shown, "hostHeader", monitor.host_header.as_ref().map(|text| json!(text)));
    shown
}

pub fn throttle(throttle: &RackspaceThrottle) -> Value {
    let mut shown = json!({"maxConnections": throttle.max_connections});
    put(&mut shown, "minConnections", throttle.min_connections.map(|n| json!(n)));
    put(&mut shown, "maxConnectionRate", throttle.max_connection_rate.map(|n| json!(n)));
    put(&mut shown, "rateInterval", throttle.rate_interval.map(|n| json!(n)));
    shown
}

pub fn access_list(list: &[RackspaceAccess]) -> Value {
    let address = |item: &RackspaceAccess| match item.network.prefix_len() == item.network.max_prefix_len() {
        true => item.network.addr().to_string(),
        false => item.network.to_string(),
    };
    list.iter().map(|item| json!({"id": item.id, "address": address(item), "type": item.kind})).collect()
}

pub fn metadata(list: &[RackspaceMetadata]) -> Value {
    list.iter().map(|entry| json!({"id": entry.id, "key": entry.key, "value": entry.value})).collect()
}

pub fn stats(call: &Call<'_>, lb: &RackspaceLoadBalancer) -> Value {
    let mut shown = Map::new();
    for name in ["connectTimeOut", "connectError", "connectFailure", "dataTimedOut", "keepAliveTimedOut", "maxConn"] {
        shown.insert(name.into(), json!(0));
        shown.insert(format!("{name}Ssl"), json!(0));
    }
    shown.insert("currentConn".into(), json!(call.facts.connections(&render::label_of(lb.id))));
    shown.insert("currentConnSsl".into(), json!(call.facts.connections(&render::secure_label_of(lb.id))));
    Value::Object(shown)
}

pub fn algorithms() -> Value {
    let names: Vec<Value> = RackspaceAlgorithm::ALL.iter().map(|name| json!({"name": name})).collect();
    json!({"algorithms": names})
}

pub fn protocols() -> Value {
    let all = RackspaceProtocol::ALL.iter().map(|name| json!({"name": name, "port": name.default_port()}));
    json!({"protocols": all.collect::<Vec<_>>()})
}

pub fn absolute_limits() -> Value {
    let limits = [
        ("LOADBALANCER_LIMIT", MOST_LOAD_BALANCERS),
        ("IPV6_LIMIT", MOST_IPV6),
        ("BATCH_DELETE_LIMIT", MOST_DELETED),
        ("ACCESS_LIST_LIMIT", MOST_ACCESS_ITEMS),
        ("NODE_LIMIT", MOST_NODES),
        ("NODE_META_LIMIT", MOST_METADATA),
        ("CERTIFICATE_MAPPING_LIMIT", 20),
        ("LOADBALANCER_META_LIMIT", MOST_METADATA),
    ];
    limits.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// The rates to which an account is held, as one that has not called for a minute finds them.
pub fn limits() -> Value {
    let rate = |(verb, second): (&str, u32)| {
        [("SECOND", second), ("MINUTE", 60 * second)].map(|(unit, value)| {
            json!({"verb": verb, "value": value, "remaining": value, "unit": unit,
                   "next-available": "1970-01-01T00:00:00Z"})
        })
    };
    let all: Vec<Value> = rates::all().flat_map(rate).collect();
    json!({"limits": {"rate": [{"uri": "/v1.0/*", "regex": "/v1.0/.*", "limit": all}],
                      "absolute": {"values": absolute_limits()}}})
}
