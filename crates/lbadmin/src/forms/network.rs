//! The forms of the unit's own network: interfaces, DNS & hostname, routing.

use super::{
    edit::{Object, Removal, Remove, Standing, Typed, Values, fingerprint_of, removal},
    form::{Field, Section},
    parse,
};
use lb_model::{Config, Hostname, IfName, Interface};
use std::net::{Ipv4Addr, Ipv6Addr};

/// An interface to bring into use, or the one with this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceForm {
    name: Option<String>,
}

impl InterfaceForm {
    pub fn add() -> Self {
        InterfaceForm { name: None }
    }

    pub fn modify(name: &str) -> Self {
        InterfaceForm { name: Some(name.to_owned()) }
    }

    fn position(&self, config: &Config) -> Option<usize> {
        let name = self.name.as_deref()?;
        config.node.interfaces.iter().position(|i| i.name.as_str() == name)
    }
}

/// eth0 is the external card, eth1 the internal one.
fn card_words(name: &str) -> &'static str {
    match name {
        "eth0" => "External card (Gb1)",
        "eth1" => "Internal card (Gb2)",
        _ => "",
    }
}

impl Object for InterfaceForm {
    fn title(&self) -> String {
        match &self.name {
            Some(name) => format!("Network Interface {name}"),
            None => "Add a Network Interface".to_owned(),
        }
    }

    fn name(&self) -> String {
        format!("Network Interface {}", self.name.as_deref().unwrap_or("(new)"))
    }

    fn standing(&self, config: &Config) -> Standing {
        let blank = || Values::from([("name", String::new()), ("addresses", String::new()), ("mtu", String::new())]);
        match (self.position(config), &self.name) {
            (Some(at), _) => {
                let interface = &config.node.interfaces[at];
                Standing::There(Values::from([
                    ("name", interface.name.to_string()),
                    ("addresses", parse::joined(&interface.addresses)),
                    ("mtu", interface.mtu.map_or_else(String::new, |m| m.to_string())),
                ]))
            }
            (None, Some(name)) => {
                let mut values = blank();
                values.insert("name", name.clone());
                Standing::Gone(values)
            }
            (None, None) => Standing::New(blank()),
        }
    }

    fn sections(&self, config: &Config, _: &Values) -> Vec<Section> {
        let name = match self.position(config) {
            Some(_) => {
                let field = Field::readonly("name", "Interface", "interface-name");
                match card_words(self.name.as_deref().unwrap_or_default()) {
                    "" => field,
                    words => field.hint(words),
                }
            }
            None => {
                let next = (0..).map(|n| format!("eth{n}"));
                let mut free = next.filter(|n| !config.node.interfaces.iter().any(|i| i.name.as_str() == n));
                Field::text("name", "Interface", "interface-name").placeholder(free.next().unwrap_or_default())
            }
        };
        vec![Section::new(
            "",
            vec![
                name,
                Field::area("addresses", "Addresses", "interface-addresses", 4)
                    .placeholder("10.0.0.21/24")
                    .hint("One a line, with the netmask behind: 10.0.0.21/24 or 10.0.0.21/255.255.255.0"),
                Field::number("mtu", "MTU", "interface-mtu", 576, 9216).unit("bytes").hint("Empty: what the card has"),
            ],
        )]
    }

    fn pointer(&self, config: &Config) -> Option<String> {
        self.position(config).map(|at| format!("/node/interfaces/{at}"))
    }

    fn write(&self, config: &mut Config, typed: &mut Typed) -> String {
        let at = self.position(config);
        let mut interface = match at {
            Some(at) => config.node.interfaces[at].clone(),
            None => Interface {
                name: match "eth0".parse() {
                    Ok(name) => name,
                    Err(e) => unreachable!("a name of letters: {e}"),
                },
                addresses: Vec::new(),
                mtu: None,
            },
        };
        if at.is_none() {
            typed.put("name", &mut interface.name, str::parse::<IfName>);
        }
        typed.put("addresses", &mut interface.addresses, |text| parse::lines(text, parse::network));
        typed.put_optional_number("mtu", &mut interface.mtu);
        let at = at.unwrap_or(config.node.interfaces.len());
        match config.node.interfaces.get_mut(at) {
            Some(there) => *there = interface,
            None => config.node.interfaces.push(interface),
        }
        format!("/node/interfaces/{at}")
    }

    fn field_at(&self, tail: &str) -> Option<&'static str> {
        match tail {
            "/name" => Some("name"),
            "/mtu" => Some("mtu"),
            _ if tail.starts_with("/addresses") => Some("addresses"),
            _ => None,
        }
    }
}

impl Remove for InterfaceForm {
    fn fingerprint(&self, config: &Config) -> Option<String> {
        self.position(config).map(|at| fingerprint_of(&config.node.interfaces[at]))
    }

    fn remove(&self, config: &Config) -> Option<Removal> {
        let at = self.position(config)?;
        let mut new = config.clone();
        new.node.interfaces.remove(at);
        Some(removal(config, new))
    }
}

/// Host name and nameservers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DnsForm;

impl Object for DnsForm {
    fn title(&self) -> String {
        "DNS & Hostname".into()
    }

    fn name(&self) -> String {
        self.title()
    }

    fn standing(&self, config: &Config) -> Standing {
        Standing::There(Values::from([
            ("hostname", config.node.hostname.to_string()),
            ("nameservers", parse::joined(&config.node.nameservers)),
        ]))
    }

    fn sections(&self, _: &Config, _: &Values) -> Vec<Section> {
        vec![Section::new(
            "",
            vec![
                Field::text("hostname", "Hostname", "hostname").placeholder(lb_model::FACTORY_HOSTNAME),
                Field::area("nameservers", "Nameservers", "nameservers", 3)
                    .placeholder("10.0.0.53")
                    .hint("One address a line, at most three; asked in this order"),
            ],
        )]
    }

    fn pointer(&self, _: &Config) -> Option<String> {
        Some("/node".into())
    }

    fn write(&self, config: &mut Config, typed: &mut Typed) -> String {
        typed.put("hostname", &mut config.node.hostname, str::parse::<Hostname>);
        typed.put("nameservers", &mut config.node.nameservers, |text| parse::lines(text, parse::address));
        "/node".into()
    }

    fn field_at(&self, tail: &str) -> Option<&'static str> {
        match tail {
            "/hostname" => Some("hostname"),
            _ if tail.starts_with("/nameservers") => Some("nameservers"),
            _ => None,
        }
    }
}

/// Default gateways and static routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoutingForm;

impl Object for RoutingForm {
    fn title(&self) -> String {
        "Routing".into()
    }

    fn name(&self) -> String {
        self.title()
    }

    fn standing(&self, config: &Config) -> Standing {
        let routes: Vec<String> = config.node.routes.iter().map(|r| format!("{} via {}", r.to, r.via)).collect();
        Standing::There(Values::from([
            ("gateway", config.node.gateway.map_or_else(String::new, |g| g.to_string())),
            ("gateway6", config.node.gateway6.map_or_else(String::new, |g| g.to_string())),
            ("routes", parse::joined(&routes)),
        ]))
    }

    fn sections(&self, _: &Config, _: &Values) -> Vec<Section> {
        vec![Section::new(
            "",
            vec![
                Field::text("gateway", "Default gateway", "default-gateway")
                    .placeholder("none")
                    .hint("An IPv4 router in the network of a card"),
                Field::text("gateway6", "IPv6 default gateway", "default-gateway").placeholder("none"),
                Field::area("routes", "Static routes", "static-routes", 6)
                    .placeholder("172.16.0.0/12 via 10.0.0.2")
                    .hint("One a line: NETWORK via ROUTER"),
            ],
        )]
    }

    fn pointer(&self, _: &Config) -> Option<String> {
        Some("/node".into())
    }

    fn write(&self, config: &mut Config, typed: &mut Typed) -> String {
        let node = &mut config.node;
        typed.put("gateway", &mut node.gateway, |text| match text {
            "" => Ok(None),
            text => text.parse::<Ipv4Addr>().map(Some).map_err(|_| not_a_router(text, "IPv4", "10.0.0.1")),
        });
        typed.put("gateway6", &mut node.gateway6, |text| match text {
            "" => Ok(None),
            text => text.parse::<Ipv6Addr>().map(Some).map_err(|_| not_a_router(text, "IPv6", "fd00::1")),
        });
        typed.put("routes", &mut node.routes, |text| parse::lines(text, parse::route));
        "/node".into()
    }

    fn field_at(&self, tail: &str) -> Option<&'static str> {
        match tail {
            "/gateway" => Some("gateway"),
            "/gateway6" => Some("gateway6"),
            _ if tail.starts_with("/routes") => Some("routes"),
            _ => None,
        }
    }
}

fn not_a_router(text: &str, family: &str, example: &str) -> String {
    format!("\"{text}\" is not an {family} address; use for example {example}, or leave it empty")
}
