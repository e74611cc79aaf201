//! What programs written for a cloud may have made: a load balancer, and a farm with its front-end.

use super::Random;
use crate::{
    Dialects, Ports,
    dialects::{
        ovh::{OvhFarm, OvhFrontend, OvhKind, OvhServer, OvhStickiness},
        rackspace::{
            RackspaceAlgorithm, RackspaceCondition, RackspaceLoadBalancer, RackspaceNode, RackspaceNodeType,
            RackspacePersistence, RackspaceProtocol, RackspaceVirtualIp, RackspaceVirtualIpType,
        },
    },
};
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn dialects(r: &mut Random, wild: bool) -> Dialects {
    let mut dialects = Dialects::default();
    let rackspace = &mut dialects.rackspace;
    rackspace.enabled = r.one_in(2);
    rackspace.next_id = 4;
    let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 21));
    rackspace.virtual_ips.push(RackspaceVirtualIp { id: 1, address, kind: RackspaceVirtualIpType::Public });
    let protocol = r.pick(RackspaceProtocol::ALL);
    let mode = match protocol {
        RackspaceProtocol::Http => RackspacePersistence::HttpCookie,
        _ => RackspacePersistence::SourceIp,
    };
    rackspace.load_balancers.push(RackspaceLoadBalancer {
        id: 2,
        name: "sample".into(),
        protocol,
        port: 8000,
        algorithm: r.pick(RackspaceAlgorithm::ALL),
        timeout: if wild && r.one_in(3) { 10 } else { 30 },
        half_closed: false,
        https_redirect: false,
        virtual_ips: vec![1],
        nodes: vec![RackspaceNode {
            id: 3,
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 50)),
            port: 80,
            condition: r.pick(RackspaceCondition::ALL),
            kind: RackspaceNodeType::Primary,
            weight: 1,
            metadata: Vec::new(),
        }],
        session_persistence: r.one_in(2).then_some(mode),
        health_monitor: None,
        connection_throttle: None,
        connection_logging: r.one_in(2),
        content_caching: false,
        access_list: Vec::new(),
        error_page: None,
        ssl_termination: None,
        metadata: Vec::new(),
        created: 0,
        updated: 0,
    });
    let ovh = &mut dialects.ovh;
    ovh.enabled = r.one_in(2);
    ovh.next_id = if wild && r.one_in(3) { 1 } else { 4 };
    let server = OvhServer {
        id: 2,
        address: Ipv4Addr::new(10, 0, 0, 50),
        inactive: r.one_in(4),
        port: None,
        weight: 1,
        probe: false,
        ssl: false,
        backup: false,
        chain: None,
        display_name: None,
        shutdown_sessions: false,
        proxy_protocol: None,
        cookie: None,
    };
    ovh.objects.farms.push(OvhFarm {
        id: 1,
        kind: OvhKind::Http,
        zone: "all".into(),
        display_name: None,
        balance: None,
        port: Some(80),
        stickiness: r.one_in(2).then_some(OvhStickiness::Cookie),
        vrack_network_id: None,
        probe: None,
        servers: vec![server],
    });
    ovh.objects.frontends.push(OvhFrontend {
        id: 3,
        kind: OvhKind::Http,
        zone: "rbx".into(),
        ports: Ports::from(8001),
        display_name: None,
        default_farm: Some(1),
        disabled: r.one_in(2),
        allowed_source: Vec::new(),
        denied_source: Vec::new(),
        addresses: Vec::new(),
        redirect_location: None,
        http_header: Vec::new(),
        ssl: false,
        default_ssl: None,
        hsts: false,
    });
    if r.one_in(2) {
        ovh.applied = ovh.objects.clone();
    }
    dialects
}
