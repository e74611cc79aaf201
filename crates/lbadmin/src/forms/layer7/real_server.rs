//! The form of a real server of a layer 7 virtual server.

use crate::forms::{
    edit::{Object, Removal, Remove, Standing, Typed, Values, fingerprint_of, removal},
    form::{Field, Section},
    parse,
    real_server::{address_and_port, following},
};
use lb_model::{
    Config, Family, Label, Layer7RealServer, Layer7VirtualServer,
    layer7::{CookieValue, SendProxy},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const MOST_CONNECTIONS: u32 = 1_000_000;

/// A real server to add to a virtual server, or one that is there; both by their labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer7RealServerForm {
    virtual_server: String,
    label: Option<String>,
}

impl Layer7RealServerForm {
    pub fn add(virtual_server: &str) -> Self {
        Layer7RealServerForm { virtual_server: virtual_server.to_owned(), label: None }
    }

    pub fn modify(virtual_server: &str, label: &str) -> Self {
        Layer7RealServerForm { virtual_server: virtual_server.to_owned(), label: Some(label.to_owned()) }
    }

    /// The virtual server's place, and the real server's own.
    fn position(&self, config: &Config) -> Option<(usize, Option<usize>)> {
        let list = &config.layer7.virtual_servers;
        let vs = list.iter().position(|v| v.label.as_str() == self.virtual_server)?;
        let label = self.label.as_deref();
        let rs = label.and_then(|label| list[vs].real_servers.iter().position(|r| r.label.as_str() == label));
        Some((vs, rs))
    }

    fn there<'a>(&self, config: &'a Config) -> Option<&'a Layer7RealServer> {
        let (vs, rs) = self.position(config)?;
        Some(&config.layer7.virtual_servers[vs].real_servers[rs?])
    }
}

/// As an added one begins.
fn blank() -> Layer7RealServer {
    let label = match "RIP".parse() {
        Ok(label) => label,
        Err(e) => unreachable!("a label of letters: {e}"),
    };
    Layer7RealServer::new(label, Ipv4Addr::UNSPECIFIED.into(), None)
}

fn values(rs: &Layer7RealServer) -> Values {
    Values::from([
        ("label", rs.label.to_string()),
        ("address", parse::shown(rs.address, rs.port)),
        ("weight", rs.weight.to_string()),
        ("min_connections", rs.min_connections.to_string()),
        ("max_connections", rs.max_connections.to_string()),
        ("send_proxy", rs.send_proxy.to_string()),
        ("tls", if rs.tls { "on".to_owned() } else { String::new() }),
        ("cookie", rs.cookie.as_ref().map_or_else(String::new, CookieValue::to_string)),
        ("shutdown_sessions", if rs.shutdown_sessions { "on".to_owned() } else { String::new() }),
    ])
}

/// The address after the last real server's, or one of the guide's one-arm lab.
fn example(vs: &Layer7VirtualServer) -> IpAddr {
    match (vs.real_servers.last().map(|r| r.address), Family::of(vs.address)) {
        (Some(last), _) => following(last),
        (None, Family::Ipv4) => Ipv4Addr::new(192, 168, 1, 50).into(),
        (None, Family::Ipv6) => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x50).into(),
    }
}

/// A label that the virtual server does not have yet: WebServer1, WebServer2, …
fn next_label(vs: &Layer7VirtualServer) -> String {
    let taken = |label: &str| vs.real_servers.iter().any(|r| r.label.as_str() == label);
    (vs.real_servers.len() + 1..).map(|n| format!("WebServer{n}")).find(|l| !taken(l)).unwrap_or_default()
}

impl Object for Layer7RealServerForm {
    fn title(&self) -> String {
        if self.label.is_some() { "Modify a Layer 7 Real Server" } else { "Add a new Layer 7 Real Server" }.to_owned()
    }

    fn name(&self) -> String {
        format!("Real Server {} of {}", self.label.as_deref().unwrap_or("(new)"), self.virtual_server)
    }

    fn standing(&self, config: &Config) -> Standing {
        let defaults = || {
            let mut values = values(&blank());
            values.extend([("label", String::new()), ("address", String::new())]);
            values
        };
        match (self.position(config), self.there(config), &self.label) {
            (None, ..) => Standing::Nowhere(format!(
                "Layer 7 Virtual Server {} is not there any more: it was removed or renamed.",
                self.virtual_server
            )),
            (_, Some(there), _) => Standing::There(values(there)),
            (_, None, Some(_)) => Standing::Gone(defaults()),
            (_, None, None) => Standing::New(defaults()),
        }
    }

    fn sections(&self, config: &Config, _: &Values) -> Vec<Section> {
        let vs = self.position(config).map(|(vs, _)| &config.layer7.virtual_servers[vs]);
        let example = vs.map_or_else(|| Ipv4Addr::new(192, 168, 1, 50).into(), example);
        let port = vs.and_then(|vs| vs.places().next()).map_or(80, |place| place.port());
        let versions =
            [(SendProxy::None, "none"), (SendProxy::V1, "version 1, as text"), (SendProxy::V2, "version 2, binary")];
        let fields = vec![
            Field::text("label", "Label", "real-server-label").placeholder(vs.map_or_else(String::new, next_label)),
            Field::text("address", "Real Server (ipaddress:port)", "layer-seven-real-server-address")
                .placeholder(parse::shown(example, Some(port)))
                .hint("Without a port: the port that the client asked for"),
            Field::number("weight", "Weight", "layer-seven-real-server-weight", 0, 256)
                .hint("Share of the load; 0: no new clients"),
            Field::number(
                "min_connections",
                "Minimum Connections",
                "layer-seven-real-server-minimum",
                0,
                MOST_CONNECTIONS,
            )
            .hint("Under little load the maximum shrinks to this; 0: it does not"),
            Field::number(
                "max_connections",
                "Maximum Connections",
                "layer-seven-real-server-maximum",
                0,
                MOST_CONNECTIONS,
            )
            .hint("Further requests wait in a queue; 0: unrestricted"),
            Field::select("send_proxy", "PROXY protocol", "layer-seven-real-server-proxy", versions)
                .hint("Tells the server the client's address before anything else; it must expect that"),
            Field::checkbox("tls", "TLS to the server", "layer-seven-real-server-tls")
                .hint("Its certificate is not verified"),
            Field::text("cookie", "Cookie value", "layer-seven-real-server-cookie")
                .hint("With persistence by this unit's cookie; empty: the label"),
            Field::checkbox("shutdown_sessions", "End connections when unfit", "layer-seven-real-server-shutdown")
                .hint("When its health check fails; otherwise they stay until either side closes them"),
        ];
        vec![Section::new("", fields)]
    }

    fn pointer(&self, config: &Config) -> Option<String> {
        let (vs, rs) = self.position(config)?;
        Some(format!("/layer7/virtual_servers/{vs}/real_servers/{}", rs?))
    }

    fn write(&self, config: &mut Config, typed: &mut Typed) -> String {
        let mut rs = self.there(config).cloned().unwrap_or_else(blank);
        let Some((vs, at)) = self.position(config) else { return String::new() };
        typed.put("label", &mut rs.label, str::parse::<Label>);
        if typed.changed(&["address"])
            && let Some((address, port)) = typed.parsed("address", address_and_port)
        {
            (rs.address, rs.port) = (address, port);
        }
        let mut weight = u32::from(rs.weight);
        typed.put_number("weight", &mut weight);
        rs.weight = u16::try_from(weight).unwrap_or(rs.weight);
        typed.put_number("min_connections", &mut rs.min_connections);
        typed.put_number("max_connections", &mut rs.max_connections);
        typed.put("send_proxy", &mut rs.send_proxy, str::parse::<SendProxy>);
        rs.tls = typed.on("tls");
        typed.put("cookie", &mut rs.cookie, |text| match text {
            "" => Ok(None),
            text => text.parse().map(Some),
        });
        rs.shutdown_sessions = typed.on("shutdown_sessions");
        let list = &mut config.layer7.virtual_servers[vs].real_servers;
        let at = at.unwrap_or(list.len());
        match list.get_mut(at) {
            Some(there) => *there = rs,
            None => list.push(rs),
        }
        format!("/layer7/virtual_servers/{vs}/real_servers/{at}")
    }

    fn field_at(&self, tail: &str) -> Option<&'static str> {
        Some(match tail {
            "/label" => "label",
            "/address" | "/port" => "address",
            "/weight" => "weight",
            "/min_connections" => "min_connections",
            "/max_connections" => "max_connections",
            "/send_proxy" => "send_proxy",
            "/tls" => "tls",
            "/cookie" => "cookie",
            "/shutdown_sessions" => "shutdown_sessions",
            _ => return None,
        })
    }
}

impl Remove for Layer7RealServerForm {
    fn fingerprint(&self, config: &Config) -> Option<String> {
        self.there(config).map(fingerprint_of)
    }

    fn remove(&self, config: &Config) -> Option<Removal> {
        let (vs, rs) = self.position(config)?;
        let mut new = config.clone();
        new.layer7.virtual_servers[vs].real_servers.remove(rs?);
        Some(removal(config, new))
    }
}
