//! Rackspace load balancers as virtual servers: one for each virtual IP, `rackspace-7` and `rackspace-7-ip-9`.

use super::{Rendered, label, layer4, refusals, rejections, status_codes, text, unasked, without};
use ipnet::IpNet;
use lb_model::{
    Config, ForwardingMethod, Label, Layer7RealServer, Layer7VirtualServer, Persistence, Ports, RealServer,
    RequestedState, Scheduler, StatusCodes, Tunnel,
    dialects::rackspace::{
        RackspaceAccessType, RackspaceAlgorithm, RackspaceCondition, RackspaceLoadBalancer, RackspaceMonitor,
        RackspaceMonitorType, RackspaceNode, RackspaceNodeType, RackspacePersistence, RackspaceProtocol,
        RackspaceSslTermination,
    },
    layer7::{
        Balance, Cookie, HeaderOperation, HeaderRule, HttpText, Layer7Check, Layer7CheckMethod, Layer7Fallback,
        Layer7Persistence, Limits, PageText, ProxyMode, SourceTable, Tls,
    },
};
use std::net::IpAddr;

pub(crate) fn label_of(load_balancer: u32) -> String {
    format!("rackspace-{load_balancer}")
}

pub(crate) fn node_label(node: u32) -> String {
    format!("node-{node}")
}

/// Of the virtual server on which TLS ends.
pub(crate) fn secure_label_of(load_balancer: u32) -> String {
    format!("{}-ssl", label_of(load_balancer))
}

pub(crate) fn certificate_label(load_balancer: u32) -> Label {
    label(&label_of(load_balancer))
}

/// The unit's own address that clients see, or the one towards the servers.
pub(crate) fn own_address(config: &Config, inside: bool, six: bool) -> Option<IpAddr> {
    let outer = config.node.gateway.map(IpAddr::V4).and_then(|gateway| config.interface_to(gateway));
    let outer = outer.map(|(interface, _)| interface).or(config.node.interfaces.first())?;
    let other = config.node.interfaces.iter().find(|i| i.name != outer.name && !i.addresses.is_empty());
    let interface = if inside { other.unwrap_or(outer) } else { outer };
    interface.addresses.iter().map(IpNet::addr).find(|address| address.is_ipv6() == six)
}

pub(super) fn render(config: &Config, into: &mut Rendered) {
    let state = &config.dialects.rackspace;
    for lb in &state.load_balancers {
        for (i, ip) in lb.virtual_ips.iter().filter_map(|id| state.virtual_ip(*id)).enumerate() {
            let own = match i {
                0 => label_of(lb.id),
                _ => format!("{}-ip-{}", label_of(lb.id), ip.id),
            };
            let ssl = lb.ssl_termination.as_ref().filter(|ssl| ssl.enabled);
            if lb.protocol.is_udp() {
                into.layer4.push(udp(lb, &own, ip.address));
            } else if ssl.is_none_or(|ssl| !ssl.secure_traffic_only) {
                into.layer7.push(proxied(lb, &own, ip.address, None));
            }
            if let Some(ssl) = ssl {
                into.layer7.push(proxied(lb, &format!("{own}-ssl"), ip.address, Some(ssl)));
            }
            if lb.https_redirect {
                let mut redirect =
                    Layer7VirtualServer::new(label(&format!("{own}-redirect")), ip.address, Ports::from(80));
                redirect.redirect_https = true;
                redirect.fallback = None;
                redirect.check = unasked();
                into.layer7.push(redirect);
            }
        }
        into.certificates.extend(lb.ssl_termination.as_ref().map(|ssl| ssl.kept.clone()));
    }
}

fn state(node: &RackspaceNode) -> RequestedState {
    match node.condition {
        RackspaceCondition::Enabled => RequestedState::Online,
        RackspaceCondition::Draining => RequestedState::Drain,
        RackspaceCondition::Disabled => RequestedState::Offline,
    }
}

fn weight(lb: &RackspaceLoadBalancer, node: &RackspaceNode) -> u16 {
    if lb.algorithm.is_weighted() { node.weight } else { 1 }
}

fn primaries(lb: &RackspaceLoadBalancer) -> impl Iterator<Item = &RackspaceNode> {
    lb.nodes.iter().filter(|node| node.kind == RackspaceNodeType::Primary)
}

fn udp(lb: &RackspaceLoadBalancer, own: &str, address: IpAddr) -> lb_model::VirtualServer {
    let scheduler = match lb.algorithm {
        RackspaceAlgorithm::LeastConnections => Scheduler::Lc,
        RackspaceAlgorithm::WeightedLeastConnections => Scheduler::Wlc,
        RackspaceAlgorithm::WeightedRoundRobin => Scheduler::Wrr,
        // The kernel draws no lots.
        RackspaceAlgorithm::RoundRobin | RackspaceAlgorithm::Random => Scheduler::Rr,
    };
    let mut vs = layer4(label(own), address, Ports::from(lb.port), scheduler);
    vs.persistence = lb.session_persistence.map(|_| Persistence { timeout: 300, granularity: None });
    vs.real_servers = primaries(lb)
        .map(|node| RealServer {
            label: label(&node_label(node.id)),
            address: node.address,
            port: Some(node.port),
            weight: weight(lb, node).into(),
            min_connections: 0,
            max_connections: 0,
            forwarding: ForwardingMethod::Nat,
            tunnel: Tunnel::default(),
            state: state(node),
        })
        .collect();
    vs
}

fn proxied(
    lb: &RackspaceLoadBalancer,
    own: &str,
    address: IpAddr,
    ssl: Option<&RackspaceSslTermination>,
) -> Layer7VirtualServer {
    let http = lb.protocol == RackspaceProtocol::Http;
    let port = ssl.map_or(lb.port, |ssl| ssl.secure_port);
    let mut vs = Layer7VirtualServer::new(label(own), address, Ports::from(port));
    vs.tls = ssl.map(|ssl| Tls::new(vec![ssl.kept.label.clone()]));
    vs.mode = if http { ProxyMode::Http } else { ProxyMode::Tcp };
    vs.balance = match lb.algorithm {
        RackspaceAlgorithm::LeastConnections | RackspaceAlgorithm::WeightedLeastConnections => Balance::LeastConn,
        RackspaceAlgorithm::RoundRobin | RackspaceAlgorithm::WeightedRoundRobin => Balance::RoundRobin,
        RackspaceAlgorithm::Random => Balance::Random,
    };
    vs.persistence = lb.session_persistence.map(|mode| match mode {
        // Cookies do not know ports: two load balancers on one address must not share a name.
        RackspacePersistence::HttpCookie => {
            let cookie = Cookie::default();
            let name = text(&format!("X-Mapping-{}", lb.id)).unwrap_or_else(|| cookie.name.clone());
            Layer7Persistence::Cookie(Cookie { name, ..cookie })
        }
        RackspacePersistence::SourceIp => Layer7Persistence::Source(SourceTable::default()),
    });
    vs.check = lb.health_monitor.as_ref().map_or_else(unasked, check);
    (vs.timeouts.client, vs.timeouts.server) = (Some(lb.timeout), Some(lb.timeout));
    if let Some(throttle) = lb.connection_throttle.filter(|throttle| throttle.max_connections > 0) {
        vs.limits = Some(Limits { requests_per_10s: 0, connections: throttle.max_connections });
    }
    let of = |kind: RackspaceAccessType| -> Vec<IpNet> {
        lb.access_list.iter().filter(|item| item.kind == kind).map(|item| item.network).collect()
    };
    let denied = without(&of(RackspaceAccessType::Deny), &of(RackspaceAccessType::Allow));
    if http {
        vs.rules = refusals(&denied, false);
        let header = |name: &str, value: &str| {
            let value = text::<HttpText>(value);
            text(name).map(|name| HeaderRule { operation: HeaderOperation::Set, name, value })
        };
        let scheme = if ssl.is_some() { "https" } else { "http" };
        vs.request_headers = [header("X-Forwarded-Proto", scheme), header("X-Forwarded-Port", &port.to_string())]
            .into_iter()
            .flatten()
            .collect();
    }
    // Who is not let in where no requests are read, the document cannot say otherwise.
    vs.manual = if http { None } else { rejections(&denied, false) };
    vs.log_requests = lb.connection_logging;
    vs.fallback_page = lb.error_page.as_deref().filter(|_| http).and_then(error_page);
    vs.fallback = lb
        .nodes
        .iter()
        .find(|node| node.kind == RackspaceNodeType::Secondary && node.condition == RackspaceCondition::Enabled)
        .map(|node| Layer7Fallback { address: node.address, port: Some(node.port) });
    vs.real_servers = primaries(lb)
        .map(|node| Layer7RealServer {
            weight: weight(lb, node),
            state: state(node),
            ..Layer7RealServer::new(label(&node_label(node.id)), node.address, Some(node.port))
        })
        .collect();
    vs
}

/// An error page as clients are shown it; nothing where it is too long.
fn error_page(page: &str) -> Option<PageText> {
    let plain = |c: char| if c.is_control() && !"\n\r\t".contains(c) { ' ' } else { c };
    text(&page.chars().map(plain).collect::<String>())
}

/// Whether clients can be shown this error page.
pub(crate) fn serves(page: &str) -> bool {
    error_page(page).is_some()
}

fn check(monitor: &RackspaceMonitor) -> Layer7Check {
    let method = match monitor.kind {
        RackspaceMonitorType::Connect => Layer7CheckMethod::Connect,
        RackspaceMonitorType::Http => Layer7CheckMethod::Http,
        RackspaceMonitorType::Https => Layer7CheckMethod::Https,
    };
    Layer7Check {
        method,
        request: monitor.path.as_deref().and_then(text),
        virtual_host: monitor.host_header.as_deref().and_then(text),
        status: monitor.status_regex.as_deref().and_then(matched),
        response: monitor.body_regex.as_deref().filter(|body| is_plain(body)).and_then(text),
        port: None,
        interval: Some(monitor.delay),
        timeout: Some(monitor.timeout),
        fall: Some(monitor.attempts),
        rise: Some(1),
        ..Layer7Check::default()
    }
}

/// HAProxy compares bodies with a text: an expression that is more than that is not looked at.
fn is_plain(body: &str) -> bool {
    !body.is_empty() && !body.chars().any(|c| r"\.+*?()|[]{}^$#&-~".contains(c))
}

/// The codes that an expression matches. Nothing where it matches none.
fn matched(expression: &str) -> Option<StatusCodes> {
    let expression = regex::RegexBuilder::new(expression).size_limit(1 << 20).build().ok()?;
    status_codes(|code| expression.is_match(&code.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_become_status_codes() {
        for (expression, codes) in [
            ("^[234][0-9][0-9]$", Some("200-499")),
            ("200", Some("200")),
            ("^(200|302)$", Some("200,302")),
            ("", Some("100-599")),
            ("(", None),
            ("^9", None),
        ] {
            assert_eq!(matched(expression).map(|codes| codes.to_string()).as_deref(), codes, "{expression}");
        }
        assert!(is_plain("all good") && !is_plain(".*") && !is_plain(""));
    }
}
