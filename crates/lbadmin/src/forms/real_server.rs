//! The Real Server form.

use super::{
    edit::{Object, Removal, Remove, Standing, Typed, Values, fingerprint_of, removal},
    form::{Field, Section},
    parse,
};
use lb_model::{Config, Family, ForwardingMethod, Label, RealServer, RequestedState, Tunnel, VirtualServer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A real server to add to a virtual server, or one that is there; both by their labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealServerForm {
    virtual_server: String,
    label: Option<String>,
}

impl RealServerForm {
    pub fn add(virtual_server: &str) -> Self {
        RealServerForm { virtual_server: virtual_server.to_owned(), label: None }
    }

    pub fn modify(virtual_server: &str, label: &str) -> Self {
        RealServerForm { virtual_server: virtual_server.to_owned(), label: Some(label.to_owned()) }
    }

    /// The virtual server's place, and the real server's own.
    fn position(&self, config: &Config) -> Option<(usize, Option<usize>)> {
        let vs = config.virtual_servers.iter().position(|v| v.label.as_str() == self.virtual_server)?;
        let rs = self
            .label
            .as_deref()
            .and_then(|label| config.virtual_servers[vs].real_servers.iter().position(|r| r.label.as_str() == label));
        Some((vs, rs))
    }

    fn there<'a>(&self, config: &'a Config) -> Option<&'a RealServer> {
        let (vs, rs) = self.position(config)?;
        Some(&config.virtual_servers[vs].real_servers[rs?])
    }
}

fn blank(config: &Config) -> RealServer {
    RealServer {
        label: match "RIP".parse() {
            Ok(label) => label,
            Err(e) => unreachable!("a label of letters: {e}"),
        },
        address: Ipv4Addr::UNSPECIFIED.into(),
        port: None,
        weight: 1,
        min_connections: 0,
        max_connections: 0,
        forwarding: config.globals.default_forwarding,
        tunnel: Tunnel::default(),
        state: RequestedState::default(),
    }
}

fn values(rs: &RealServer) -> Values {
    Values::from([
        ("label", rs.label.to_string()),
        ("address", parse::shown(rs.address, rs.port)),
        ("weight", rs.weight.to_string()),
        ("min_connections", rs.min_connections.to_string()),
        ("max_connections", rs.max_connections.to_string()),
        ("forwarding", rs.forwarding.to_string()),
        ("tunnel", rs.tunnel.to_string()),
    ])
}

const GUIDES_OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 50));

/// The address after the last real server's, or the guide's.
fn example(vs: &VirtualServer) -> IpAddr {
    match (vs.real_servers.last().map(|r| r.address), vs.service.family()) {
        (Some(last), _) => following(last),
        (None, Family::Ipv4) => GUIDES_OWN,
        (None, Family::Ipv6) => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x50).into(),
    }
}

pub(super) fn following(last: IpAddr) -> IpAddr {
    match last {
        IpAddr::V4(last) => Ipv4Addr::from(u32::from(last).saturating_add(1)).into(),
        IpAddr::V6(last) => Ipv6Addr::from(u128::from(last).saturating_add(1)).into(),
    }
}

/// A label that the virtual server does not have yet, after the guide's manner: WebServer1, WebServer2, …
fn next_label(vs: &VirtualServer) -> String {
    let taken = |label: &str| vs.real_servers.iter().any(|r| r.label.as_str() == label);
    (vs.real_servers.len() + 1..).map(|n| format!("WebServer{n}")).find(|l| !taken(l)).unwrap_or_default()
}

impl Object for RealServerForm {
    fn title(&self) -> String {
        if self.label.is_some() { "Modify a Real Server" } else { "Add a new Real Server" }.to_owned()
    }

    fn name(&self) -> String {
        format!("Real Server {} of {}", self.label.as_deref().unwrap_or("(new)"), self.virtual_server)
    }

    fn standing(&self, config: &Config) -> Standing {
        let defaults = || {
            let mut values = values(&blank(config));
            values.extend([("label", String::new()), ("address", String::new())]);
            values
        };
        match (self.position(config), &self.label) {
            (None, _) => Standing::Nowhere(format!(
                "Virtual Server {} is not there any more: it was removed or renamed.",
                self.virtual_server
            )),
            (Some((vs, Some(rs))), _) => Standing::There(values(&config.virtual_servers[vs].real_servers[rs])),
            (Some(_), Some(_)) => Standing::Gone(defaults()),
            (Some(_), None) => Standing::New(defaults()),
        }
    }

    fn sections(&self, config: &Config, _: &Values) -> Vec<Section> {
        let vs = self.position(config).map(|(vs, _)| &config.virtual_servers[vs]);
        let port = vs.and_then(|v| v.service.single_port());
        let example = parse::shown(vs.map_or(GUIDES_OWN, example), port);
        let methods = [
            (ForwardingMethod::Dr, "DR - Direct Routing"),
            (ForwardingMethod::Nat, "NAT - Network Address Translation"),
            (ForwardingMethod::Tun, "TUN - IP encapsulation"),
        ];
        let tunnels = [(Tunnel::Ipip, "IP in IP"), (Tunnel::Gue, "GUE, UDP port 6080"), (Tunnel::Gre, "GRE")];
        let most = i32::MAX.unsigned_abs();
        let fields = vec![
            Field::text("label", "Label", "real-server-label").placeholder(vs.map_or_else(String::new, next_label)),
            Field::text("address", "Real Server (ipaddress:port)", "real-server-address")
                .placeholder(example)
                .hint("Without a port: the port that the client asked for"),
            Field::number("weight", "Weight", "real-server-weight", 0, 65_535)
                .hint("Share of the load; 0: no new clients"),
            Field::number("min_connections", "Minimum Connections", "real-server-minimum-connections", 0, most)
                .hint("A full server gets clients again below this number; 0: as soon as it is below the maximum"),
            Field::number("max_connections", "Maximum Connections", "real-server-maximum-connections", 0, most)
                .hint("0: unrestricted"),
            Field::select("forwarding", "Forwarding Method", "real-server-forwarding-method", methods),
            Field::select("tunnel", "Tunnel type", "real-server-tunnel-type", tunnels).hint("For TUN"),
        ];
        vec![Section::new("", fields)]
    }

    fn pointer(&self, config: &Config) -> Option<String> {
        let (vs, rs) = self.position(config)?;
        Some(format!("/virtual_servers/{vs}/real_servers/{}", rs?))
    }

    fn write(&self, config: &mut Config, typed: &mut Typed) -> String {
        let mut rs = self.there(config).cloned().unwrap_or_else(|| blank(config));
        let Some((vs, at)) = self.position(config) else { return String::new() };
        let service_port = config.virtual_servers[vs].service.single_port();
        typed.put("label", &mut rs.label, str::parse::<Label>);
        typed.put_number("weight", &mut rs.weight);
        typed.put_number("min_connections", &mut rs.min_connections);
        typed.put_number("max_connections", &mut rs.max_connections);
        typed.put("forwarding", &mut rs.forwarding, str::parse::<ForwardingMethod>);
        typed.put("tunnel", &mut rs.tunnel, str::parse::<Tunnel>);
        if typed.changed(&["address"])
            && let Some((address, port)) = typed.parsed("address", address_and_port)
        {
            // DR and TUN cannot translate: naming the only possible port would just stand in the way of changing it.
            let the_only_one = rs.forwarding != ForwardingMethod::Nat && port == service_port;
            (rs.address, rs.port) = (address, port.filter(|_| !the_only_one));
        }
        let list = &mut config.virtual_servers[vs].real_servers;
        let at = at.unwrap_or(list.len());
        match list.get_mut(at) {
            Some(there) => *there = rs,
            None => list.push(rs),
        }
        format!("/virtual_servers/{vs}/real_servers/{at}")
    }

    fn field_at(&self, tail: &str) -> Option<&'static str> {
        Some(match tail {
            "/label" => "label",
            "/address" | "/port" => "address",
            "/weight" => "weight",
            "/min_connections" => "min_connections",
            "/max_connections" => "max_connections",
            "/forwarding" => "forwarding",
            "/tunnel" => "tunnel",
            _ => return None,
        })
    }
}

pub(super) fn address_and_port(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    if text.is_empty() {
        return Err("the real server's address is needed here, for example 192.168.1.50:80".into());
    }
    let (address, port) = parse::address_and_port(text)?;
    Ok((address, port.map(parse::port).transpose()?))
}

impl Remove for RealServerForm {
    fn fingerprint(&self, config: &Config) -> Option<String> {
        self.there(config).map(fingerprint_of)
    }

    fn remove(&self, config: &Config) -> Option<Removal> {
        let (vs, rs) = self.position(config)?;
        let mut new = config.clone();
        new.virtual_servers[vs].real_servers.remove(rs?);
        Some(removal(config, new))
    }
}
