//! The filter of the connection table: what was typed, and what it means. Pure.

use crate::pages::list::query;
use lb_api::{ConnectionKind, ConnectionQuery};
use lb_model::{Config, RealServer, Service};
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};

/// As typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Filter {
    pub client: String,
    pub virtual_server: String,
    pub real_server: String,
    pub state: String,
    pub page: usize,
    /// Of what layer 7 remembers.
    pub page7: usize,
}

/// What is wrong with each field; empty: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wrong {
    pub client: String,
    pub virtual_server: String,
    pub real_server: String,
    pub state: String,
}

impl Filter {
    pub fn of(query: &str) -> Filter {
        let mut filter: Filter = serde_urlencoded::from_str(query).unwrap_or_default();
        for field in [&mut filter.client, &mut filter.virtual_server, &mut filter.real_server, &mut filter.state] {
            *field = field.trim().chars().take(100).collect();
        }
        filter
    }

    pub fn query(&self, page: usize) -> String {
        let page7 = if self.page7 == 0 { String::new() } else { self.page7.to_string() };
        let parts = [
            ("client", self.client.as_str()),
            ("virtual_server", &self.virtual_server),
            ("real_server", &self.real_server),
            ("state", &self.state),
            ("page7", &page7),
        ];
        query(&parts, page)
    }

    pub fn is_empty(&self) -> bool {
        *self == Filter { page: self.page, page7: self.page7, ..Filter::default() }
    }

    /// As lbd is asked; labels become addresses.
    pub fn parse(&self, config: &Config, kind: ConnectionKind, limit: usize) -> Result<ConnectionQuery, Wrong> {
        let mut wrong = Wrong::default();
        let query = ConnectionQuery {
            kind,
            client: set(client(&self.client), &mut wrong.client),
            virtual_server: set(virtual_server(&self.virtual_server, config), &mut wrong.virtual_server),
            real_server: set(real_server(&self.real_server, config), &mut wrong.real_server),
            state: set(state(&self.state), &mut wrong.state),
            offset: self.page.saturating_mul(limit),
            limit,
        };
        if wrong == Wrong::default() { Ok(query) } else { Err(wrong) }
    }
}

fn set<T>(parsed: Result<Option<T>, String>, wrong: &mut String) -> Option<T> {
    parsed.unwrap_or_else(|why| {
        *wrong = why;
        None
    })
}

fn client(text: &str) -> Result<Option<IpAddr>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let address = text.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(Some).ok_or_else(|| format!("\"{text}\" is no address; for example 198.51.100.7"))
}

/// `ADDRESS` or `ADDRESS:PORT`, in the form that lbd reads.
fn address(text: &str) -> Option<String> {
    let whole = text.parse::<IpAddr>().map(|a| a.to_string());
    whole.or_else(|_| text.parse::<SocketAddr>().map(|a| a.to_string())).ok()
}

fn virtual_server(text: &str, config: &Config) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(address) = address(text) {
        return Ok(Some(address));
    }
    match config.virtual_server(text).map(|v| &v.service) {
        Some(Service::Address { address, ports, .. }) => Ok(Some(with_port(*address, ports.single()))),
        Some(Service::FirewallMark { .. }) => {
            Err(format!("{text} is a firewall mark: its connections have the addresses that clients asked for"))
        }
        None => Err(format!("\"{text}\" is neither an address nor the label of a virtual server")),
    }
}

fn real_server(text: &str, config: &Config) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(address) = address(text) {
        return Ok(Some(address));
    }
    let all = config.virtual_servers.iter().flat_map(|v| v.real_servers.iter());
    let named: Vec<&RealServer> = all.filter(|r| r.label.as_str() == text).collect();
    let Some(first) = named.first() else {
        return Err(format!("\"{text}\" is neither an address nor the label of a real server"));
    };
    if named.iter().any(|r| r.address != first.address) {
        return Err(format!("several real servers are called {text}; give an address"));
    }
    let same_port = named.iter().all(|r| r.port == first.port);
    Ok(Some(with_port(first.address, first.port.filter(|_| same_port))))
}

fn with_port(address: IpAddr, port: Option<u16>) -> String {
    port.map_or_else(|| address.to_string(), |p| SocketAddr::new(address, p).to_string())
}

fn state(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let name = text.to_ascii_uppercase();
    let good = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "_-!?".contains(c));
    good.then_some(Some(name)).ok_or_else(|| format!("\"{text}\" is no state; for example ESTABLISHED"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::guide;

    fn parse(filter: Filter) -> Result<ConnectionQuery, Wrong> {
        filter.parse(&guide(), ConnectionKind::Connections, 100)
    }

    #[test]
    fn addresses_and_labels_are_read() {
        let config = guide();
        let v = &config.virtual_servers[0];
        let by_label = Filter { virtual_server: v.label.to_string(), ..Filter::default() };
        let expected = with_port(v.service.address().expect("an address"), v.service.single_port());
        assert_eq!(parse(by_label).map(|q| q.virtual_server), Ok(Some(expected)));
        let r = &v.real_servers[0];
        let by_label = Filter { real_server: r.label.to_string(), ..Filter::default() };
        assert_eq!(parse(by_label).map(|q| q.real_server), Ok(Some(with_port(r.address, r.port))));
        let typed = Filter::of("client=198.51.100.7&virtual_server=[2001:db8::1]:80&state=syn_recv&page=3");
        let query = parse(typed).expect("a query");
        assert_eq!(query.client, Some(IpAddr::from([198, 51, 100, 7])));
        assert_eq!(
            (query.virtual_server.as_deref(), query.state.as_deref()),
            (Some("[2001:db8::1]:80"), Some("SYN_RECV"))
        );
        assert_eq!((query.offset, query.limit), (300, 100));
    }

    #[test]
    fn each_field_says_what_is_wrong_with_it() {
        let wrong = parse(Filter::of("client=x&virtual_server=nope&real_server=1.2.3&state=a b")).expect_err("wrong");
        assert!(wrong.client.contains("no address"), "{wrong:?}");
        assert!(wrong.virtual_server.contains("neither"), "{wrong:?}");
        assert!(wrong.real_server.contains("neither"), "{wrong:?}");
        assert!(wrong.state.contains("no state"), "{wrong:?}");
    }
}
