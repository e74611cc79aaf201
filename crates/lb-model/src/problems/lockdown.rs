//! Problems of the lock-down: networks that name nobody, or everybody, and none at all.

use super::Found;
use crate::Lockdown;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn check(lockdown: &Lockdown, found: &mut Found) {
    let (networks, at) = (&lockdown.networks, "/globals/lockdown/networks");
    if lockdown.enabled && networks.is_empty() {
        let hint = "name the networks of the administrators, for example 192.168.2.0/24";
        found.add(at.into(), "none", "nobody could reach SSH or the web interface any more", hint);
    }
    for (i, network) in networks.iter().enumerate() {
        let at = format!("{at}/{i}");
        if network.prefix_len() == 0 {
            let hint = "name the networks of the administrators; without the lock-down everybody gets through";
            found.add(at, network, "is everybody's network", hint);
        } else if let Some((reason, hint)) = nobodys(*network) {
            found.add(at, network, reason, &hint);
        } else if *network != network.trunc() {
            let alone = IpNet::from(network.addr());
            let hint = format!("write {} for the network, {alone} for this address alone", network.trunc());
            found.add(at, network, "is an address within a network", &hint);
        } else if networks[..i].contains(network) {
            found.add(at, network, "stands there twice", "remove one");
        }
    }
    if networks.len() > Lockdown::MOST_NETWORKS {
        let reason = format!("there are at most {}", Lockdown::MOST_NETWORKS);
        found.add(at.into(), networks.len(), reason, "join neighbouring networks to larger ones");
    }
}

/// Why no packet comes from there over a wire, and what to do.
fn nobodys(network: IpNet) -> Option<(&'static str, String)> {
    let address = network.addr();
    if address.is_loopback() {
        return Some(("is the unit itself, which always gets through", "remove it".to_owned()));
    }
    if address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Some(("is no host's address", "name the networks of the administrators".to_owned()));
    }
    match (network, address) {
        (IpNet::V6(net), IpAddr::V6(inner)) if net.prefix_len() >= 96 => {
            let inner = inner.to_ipv4_mapped()?;
            let hint = format!("write {inner}/{}", net.prefix_len() - 96);
            Some(("is an IPv4 network inside IPv6, and no packet comes from there", hint))
        }
        _ => None,
    }
}
