//! A floating IP beside the VIPs: added, or removed.

use super::{
    edit::{Object, Removal, Remove, Standing, Typed, Values, fingerprint_of, removal},
    form::{Field, Section},
    parse,
};
use lb_model::Config;
use std::net::IpAddr;

/// One that is to be added, or the one with this address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloatingIpForm {
    address: Option<String>,
}

impl FloatingIpForm {
    pub fn add() -> Self {
        FloatingIpForm { address: None }
    }

    pub fn of(address: &str) -> Self {
        FloatingIpForm { address: Some(address.to_owned()) }
    }

    fn position(&self, config: &Config) -> Option<usize> {
        let address: IpAddr = self.address.as_deref()?.parse().ok()?;
        config.floating_ips.iter().position(|a| *a == address)
    }
}

impl Object for FloatingIpForm {
    fn title(&self) -> String {
        match &self.address {
            Some(address) => format!("Floating IP {address}"),
            None => "Add a Floating IP".to_owned(),
        }
    }

    fn name(&self) -> String {
        format!("Floating IP {}", self.address.as_deref().unwrap_or("(new)"))
    }

    fn standing(&self, config: &Config) -> Standing {
        match (self.position(config), &self.address) {
            (Some(at), _) => Standing::There(Values::from([("address", config.floating_ips[at].to_string())])),
            (None, Some(address)) => Standing::Gone(Values::from([("address", address.clone())])),
            (None, None) => Standing::New(Values::from([("address", String::new())])),
        }
    }

    fn sections(&self, _: &Config, _: &Values) -> Vec<Section> {
        let field = Field::text("address", "Address", "floating-ip")
            .placeholder("192.168.2.20")
            .hint("A free address in the network of a card, such as the one that is the gateway of NAT real servers");
        vec![Section::new("", vec![field])]
    }

    fn pointer(&self, config: &Config) -> Option<String> {
        self.position(config).map(|at| format!("/floating_ips/{at}"))
    }

    fn write(&self, config: &mut Config, typed: &mut Typed) -> String {
        let at = self.position(config).unwrap_or(config.floating_ips.len());
        if let Some(address) = typed.parsed("address", parse::address) {
            match config.floating_ips.get_mut(at) {
                Some(there) => *there = address,
                None => config.floating_ips.push(address),
            }
        }
        format!("/floating_ips/{at}")
    }

    fn field_at(&self, tail: &str) -> Option<&'static str> {
        tail.is_empty().then_some("address")
    }
}

impl Remove for FloatingIpForm {
    fn fingerprint(&self, config: &Config) -> Option<String> {
        self.position(config).map(|at| fingerprint_of(&config.floating_ips[at]))
    }

    fn remove(&self, config: &Config) -> Option<Removal> {
        let at = self.position(config)?;
        let mut new = config.clone();
        new.floating_ips.remove(at);
        Some(removal(config, new))
    }
}
