//! A new load balancer.

use super::{
    Call, Done, Fault, Response, Result, access_list, features,
    load_balancers::{ALGORITHM, PROTOCOL, TIMEOUT, fits, name, shares},
    nodes, read, show, take_id, virtual_ips,
};
use lb_model::dialects::rackspace::{
    MOST_LOAD_BALANCERS, MOST_METADATA, RackspaceAlgorithm, RackspaceLoadBalancer, RackspaceProtocol,
};
use serde_json::json;

/// Seconds.
const DEFAULT_TIMEOUT: u32 = 30;

pub fn create(call: &Call<'_>) -> Result<Done> {
    let mut fields = read::object(&call.request.body, "loadBalancer")?;
    if call.config.dialects.rackspace.load_balancers.len() >= MOST_LOAD_BALANCERS {
        let rule = format!("Load balancer limit reached: at most {MOST_LOAD_BALANCERS}.");
        return Err(Fault::over_limit(rule));
    }
    let mut state = call.state();
    let id = take_id(&mut state);
    let name = name(fields.text("name")?.ok_or_else(|| Fault::invalid("Must provide a name for the load balancer."))?)?;
    let protocol = fields
        .word("protocol", RackspaceProtocol::ALL, RackspaceProtocol::as_str, PROTOCOL)?
        .ok_or_else(|| Fault::invalid("Must provide a protocol for the load balancer."))?;
    let port = match (fields.port("port")?, protocol.default_port()) {
        (Some(port), _) => port,
        (None, 0) => return Err(Fault::invalid(format!("Must provide a port for protocol {protocol}."))),
        (None, port) => port,
    };
    let algorithm = fields.word("algorithm", RackspaceAlgorithm::ALL, RackspaceAlgorithm::as_str, ALGORITHM)?;
    let mut lb = RackspaceLoadBalancer {
        id,
        name,
        protocol,
        port,
        algorithm: algorithm.unwrap_or_default(),
        timeout: fields.number("timeout", 30, 120, TIMEOUT)?.unwrap_or(DEFAULT_TIMEOUT),
        half_closed: fields.flag("halfClosed")?.unwrap_or(false),
        https_redirect: fields.flag("httpsRedirect")?.unwrap_or(false),
        virtual_ips: Vec::new(),
        nodes: Vec::new(),
        session_persistence: None,
        health_monitor: None,
        connection_throttle: None,
        connection_logging: false,
        content_caching: false,
        access_list: Vec::new(),
        error_page: None,
        ssl_termination: None,
        metadata: Vec::new(),
        created: call.now,
        updated: call.now,
    };
    let asked = fields.list("virtualIps")?.unwrap_or_default();
    if asked.is_empty() {
        return Err(Fault::invalid("Must provide at least one virtual ip for the load balancer."));
    }
    if fields.has("sslTermination") {
        return Err(Fault::bad_request("sslTermination cannot be set when a load balancer is created."));
    }
    if let Some(list) = fields.list("nodes")? {
        nodes::add(&mut lb, list, &mut state)?;
    }
    if let Some(mode) = fields.object("sessionPersistence")? {
        lb.session_persistence = Some(features::persistence(lb.protocol, mode)?);
    }
    if let Some(monitor) = fields.object("healthMonitor")?.filter(|monitor| !monitor.is_empty()) {
        lb.health_monitor = Some(features::monitor(monitor)?);
    }
    if let Some(throttle) = fields.object("connectionThrottle")?.filter(|throttle| !throttle.is_empty()) {
        lb.connection_throttle = Some(features::throttle(None, throttle)?);
    }
    if let Some(mut logging) = fields.object("connectionLogging")? {
        lb.connection_logging = logging.flag("enabled")?.unwrap_or(false);
    }
    if let Some(mut caching) = fields.object("contentCaching")? {
        lb.content_caching = features::caching(caching.flag("enabled")?.unwrap_or(false))?;
    }
    if let Some(list) = fields.list("accessList")? {
        access_list::add(&mut lb, list, &mut state)?;
    }
    if let Some(list) = fields.list("metadata")? {
        lb.metadata = read::metadata(list)?;
        if lb.metadata.len() > MOST_METADATA {
            return Err(Fault::over_limit(format!("At most {MOST_METADATA} entries of metadata are possible.")));
        }
        for entry in &mut lb.metadata {
            entry.id = take_id(&mut state);
        }
    }
    fields.end()?;
    nodes::secondaries_have_a_monitor(&lb)?;
    virtual_ips::give(call, &mut state, &mut lb, asked)?;
    fits(&lb)?;
    shares(&state, &lb)?;
    let comment = format!("Create load balancer {} ({})", lb.id, lb.name);
    state.load_balancers.push(lb.clone());
    // As it is shown when its virtual IPs are there.
    let mut config = call.config.clone();
    config.dialects.rackspace = state.clone();
    let shown = show::full_as(&Call { config: &config, ..*call }, &lb, "BUILD");
    Done::with(state, Response::json(202, json!({"loadBalancer": shown})), comment)
}
