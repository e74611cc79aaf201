//! The settings that a unit leaves the factory with, and those it falls back to. Computed, never stored.

use crate::{Config, DOCUMENT_VERSION, Globals, Hostname, IfName, Interface, Node};
use ipnet::{IpNet, Ipv4Net};
use std::net::Ipv4Addr;

/// eth0 of a new unit.
pub const FACTORY_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 21);
pub const FACTORY_HOSTNAME: &str = "lbmaster";

/// Factory settings: eth0 at 192.168.2.21/24, host name `lbmaster`, nothing balanced.
pub fn factory() -> Config {
    let eth0 = Interface {
        name: name("eth0"),
        addresses: vec![IpNet::V4(Ipv4Net::new_assert(FACTORY_ADDRESS, 24))],
        mtu: None,
    };
    Config {
        version: DOCUMENT_VERSION,
        node: Node {
            hostname: match FACTORY_HOSTNAME.parse::<Hostname>() {
                Ok(h) => h,
                Err(e) => unreachable!("factory host name: {e}"),
            },
            nameservers: Vec::new(),
            interfaces: vec![eth0],
            gateway: None,
            gateway6: None,
            routes: Vec::new(),
            unit: None,
        },
        globals: Globals::default(),
        virtual_servers: Vec::new(),
        layer7: crate::Layer7::default(),
        dialects: crate::Dialects::default(),
        fallback_page: None,
        floating_ips: Vec::new(),
        heartbeat: None,
    }
}

/// What runs when the stored configuration cannot: the factory's management address and nothing balanced.
pub fn failsafe() -> Config {
    factory()
}

fn name(s: &str) -> IfName {
    match s.parse() {
        Ok(n) => n,
        Err(e) => unreachable!("factory interface: {e}"),
    }
}
