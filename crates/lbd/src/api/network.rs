//! What the kernel has of cards, addresses, routes and firewall rules, and what of it the configuration means.

use super::{Served, answer, look};
use crate::engine::chain;
use axum::{extract::State, response::Response};
use ipnet::IpNet;
use lb_api::{AddressView, InterfaceView, NetworkView, RouteView};
use lb_kernel::{AddressOwner, CardSeen, Network, RouteOrigin, RouteSeen};
use lb_model::Config;
use std::{collections::HashMap, net::IpAddr};

/// Bytes of firewall rules that are shown.
const RULES: usize = 1 << 20;

pub async fn show(State(served): State<Served>) -> Response {
    let snapshot = match look::snapshot(&served).await {
        Ok(snapshot) => snapshot,
        Err(error) => return answer::refusal(&error),
    };
    answer::aside(move || {
        let seen = served.inspector.network().map_err(|error| answer::internal(&error))?;
        // The rest is worth showing without them.
        let rules = served.inspector.firewall().unwrap_or_else(|error| format!("# {}\n", chain(&error)));
        Ok(view(seen, shortened(rules), &snapshot.config))
    })
    .await
}

fn view(seen: Network, firewall: String, config: &Config) -> NetworkView {
    let mut labels: HashMap<IpAddr, Vec<String>> = HashMap::new();
    for vs in &config.virtual_servers {
        if let Some(address) = vs.service.address() {
            labels.entry(address).or_default().push(vs.label.to_string());
        }
    }
    let interface = |card: CardSeen| {
        let addresses = card.addresses.iter().map(|(net, owner)| address(&card.name, *net, *owner, config, &labels));
        InterfaceView {
            addresses: addresses.collect(),
            up: card.up,
            carrier: card.carrier,
            mtu: card.mtu,
            mac: card.mac.clone(),
            name: card.name.clone(),
        }
    };
    NetworkView {
        interfaces: seen.cards.into_iter().map(interface).collect(),
        routes: seen.routes.into_iter().map(route).collect(),
        firewall,
    }
}

fn address(
    card: &str,
    net: IpNet,
    owner: AddressOwner,
    config: &Config,
    labels: &HashMap<IpAddr, Vec<String>>,
) -> AddressView {
    let on_it = labels.get(&net.addr()).cloned().unwrap_or_default();
    let configured = config.node.interfaces.iter().any(|i| i.name.as_str() == card && i.addresses.contains(&net));
    let purpose = match owner {
        _ if configured => "interface",
        AddressOwner::Heartbeat => "floating",
        _ if !on_it.is_empty() => "vip",
        _ => "other",
    };
    AddressView { address: net.to_string(), purpose: purpose.into(), virtual_servers: on_it }
}

fn route(seen: RouteSeen) -> RouteView {
    let origin = match seen.origin {
        RouteOrigin::Lbd => "configured",
        RouteOrigin::Kernel => "kernel",
        RouteOrigin::Other => "other",
    };
    RouteView {
        to: if seen.to.prefix_len() == 0 { "default".into() } else { seen.to.to_string() },
        via: seen.via.map(|via| via.to_string()),
        interface: seen.card,
        origin: origin.into(),
    }
}

fn shortened(mut rules: String) -> String {
    if rules.len() > RULES {
        let more = rules.len() - RULES;
        let line = rules.as_bytes()[..RULES].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        rules.truncate(line);
        rules += &format!("# … and some {more} bytes more\n");
    }
    rules
}
