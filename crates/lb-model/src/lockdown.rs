//! The firewall lock-down: who may open connections to the unit's own services.
//!
//! What the networks mean and whom they leave out is decided here, so that the kernel's rules, the refusal of a change
//! that would lock its author out, and what a page says of it cannot differ.

use crate::{Config, FALLBACK_PAGE_PORT, HeartbeatPath};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// What the lock-down covers, by TCP: SSH, the web interface and its API over http and https, and the fallback page
/// where it is asked for by its own port.
pub const MANAGEMENT_PORTS: [u16; 4] = [22, 9080, FALLBACK_PAGE_PORT, 9443];

/// New connections to [`MANAGEMENT_PORTS`] are taken from these networks only, while it is on. The same on both units of
/// a pair.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Lockdown {
    pub enabled: bool,
    /// Where administrators are: `10.0.0.0/8`, `2001:db8::/32`; at most [`Lockdown::MOST_NETWORKS`]. They stay while it
    /// is off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<crate::schema::IpNetwork>, max_items = 64))]
    pub networks: Vec<IpNet>,
}

impl Lockdown {
    /// More than any list that a person keeps in mind; each may cost every new connection to the unit a comparison.
    pub const MOST_NETWORKS: usize = 64;

    pub fn is_unused(&self) -> bool {
        *self == Lockdown::default()
    }
}

/// `off`, or from where: `from 10.0.0.0/8, 2001:db8::/32 only`.
impl fmt::Display for Lockdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.enabled {
            return f.write_str("off");
        }
        let networks: Vec<String> = self.networks.iter().map(IpNet::to_string).collect();
        write!(f, "from {} only", networks.join(", "))
    }
}

impl Config {
    /// From where the unit's own services take new connections while the lock-down is on: the management networks, and
    /// both units of a pair by the addresses of their heartbeat. Each address is in one of them at most. `None`: from
    /// everywhere.
    pub fn management_sources(&self) -> Option<Vec<IpNet>> {
        let lockdown = &self.globals.lockdown;
        let paths = self.heartbeat.iter().flat_map(|heartbeat| &heartbeat.paths);
        let pair = paths.flat_map(|path| match path {
            HeartbeatPath::Udp(udp) => vec![IpNet::from(udp.one), IpNet::from(udp.two)],
            HeartbeatPath::Serial(_) => Vec::new(),
        });
        let all: Vec<IpNet> = lockdown.networks.iter().map(IpNet::trunc).chain(pair).collect();
        lockdown.enabled.then(|| IpNet::aggregate(&all))
    }

    /// Whether somebody at `address` gets through to the unit's own services. The unit itself always does.
    pub fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let Some(sources) = self.management_sources() else { return true };
        address.is_loopback() || self.node.owns(address) || sources.iter().any(|net| net.contains(&address))
    }

    /// The network in which somebody at `address` is likely to have company: that of a card, else the address alone.
    pub fn likely_management_network(&self, address: IpAddr) -> IpNet {
        let address = address.to_canonical();
        let linklocal = matches!(address, IpAddr::V6(a) if a.is_unicast_link_local());
        match self.interface_to(address) {
            Some((_, net)) => net.trunc(),
            // `fe80::/10` (RFC 4291, section 2.4): of whichever card.
            None if linklocal => IpNet::new(address, 10).map_or_else(|_| address.into(), |net| net.trunc()),
            None => address.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Heartbeat, SerialPath, UdpPath, factory};

    fn locked(networks: &[&str]) -> Config {
        let mut config = factory();
        let networks = networks.iter().map(|net| net.parse().expect("a network")).collect();
        config.globals.lockdown = Lockdown { enabled: true, networks };
        config
    }

    #[track_caller]
    fn admits(config: &Config, address: &str, whether: bool) {
        assert_eq!(config.admits(address.parse().expect("an address")), whether, "{address}");
    }

    #[test]
    fn only_the_management_networks_get_through() {
        let config = locked(&["10.1.0.0/16", "2001:db8:1::/48"]);
        for inside in ["10.1.0.1", "10.1.255.255", "2001:db8:1:2::3", "::ffff:10.1.0.1"] {
            admits(&config, inside, true);
        }
        for outside in ["10.2.0.1", "192.168.2.50", "2001:db8:2::1", "::ffff:10.2.0.1", "0.0.0.0", "fe80::1"] {
            admits(&config, outside, false);
        }
    }

    #[test]
    fn the_unit_itself_always_gets_through() {
        let config = locked(&["10.1.0.0/16"]);
        for own in ["127.0.0.1", "::1", "192.168.2.21"] {
            admits(&config, own, true);
        }
    }

    #[test]
    fn off_everybody_gets_through() {
        let mut config = locked(&["10.1.0.0/16"]);
        config.globals.lockdown.enabled = false;
        admits(&config, "203.0.113.9", true);
        assert_eq!(config.management_sources(), None);
        assert_eq!(config.globals.lockdown.to_string(), "off");
    }

    #[test]
    fn both_units_of_a_pair_get_through() {
        let mut config = locked(&["10.1.0.0/16"]);
        let udp = UdpPath { one: [172, 16, 0, 1].into(), two: [172, 16, 0, 2].into(), port: 694 };
        let serial = SerialPath { device: "/dev/ttyS1".into(), baud: 115_200 };
        let paths = vec![HeartbeatPath::Serial(serial), HeartbeatPath::Udp(udp)];
        config.heartbeat = Some(Heartbeat { paths, ..Heartbeat::default() });
        admits(&config, "172.16.0.1", true);
        admits(&config, "172.16.0.2", true);
        admits(&config, "172.16.0.3", false);
    }

    /// `nft` refuses lists whose parts overlap.
    #[test]
    fn sources_do_not_overlap() {
        let config = locked(&["10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/24", "192.168.1.0/24", "fd00::/8"]);
        let sources = config.management_sources().expect("locked");
        let text: Vec<String> = sources.iter().map(IpNet::to_string).collect();
        assert_eq!(text, ["10.0.0.0/8", "192.168.0.0/23", "fd00::/8"]);
        assert!(config.globals.lockdown.to_string().starts_with("from 10.0.0.0/8, 10.1.0.0/16, "));
    }

    #[test]
    fn a_clients_network_is_that_of_its_card() {
        let of = |address: &str| factory().likely_management_network(address.parse().expect("an address")).to_string();
        assert_eq!(of("192.168.2.77"), "192.168.2.0/24");
        assert_eq!(of("::ffff:192.168.2.77"), "192.168.2.0/24");
        assert_eq!(of("203.0.113.9"), "203.0.113.9/32");
        assert_eq!(of("2001:db8::9"), "2001:db8::9/128");
        assert_eq!(of("fe80::1:2"), "fe80::/10");
    }
}
