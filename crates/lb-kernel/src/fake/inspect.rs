//! What people see of the fake: counters, a made-up connection table, cards and routes.

use super::{Fake, FakeState, Inner};
use crate::{
    AddressOwner, CardSeen, Connection, Counters, DestCounters, Forgotten, Inspect, KernelError, Network, RouteOrigin,
    RouteSeen, ServiceCounters, Template,
};
use ipnet::IpNet;
use lb_model::{Family, Protocol};
use lb_plan::{Address, DestKey, ObservedRoute, Service, ServiceKey};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::ControlFlow,
    sync::Arc,
};

impl Inspect for Fake {
    fn counters(&self) -> Result<Arc<Counters>, KernelError> {
        let mut inner = self.lock();
        inner.told_to_fail("counters").map_err(|cause| KernelError::new("read the IPVS counters", cause))?;
        inner.carry();
        let Inner { state: FakeState { services, counters, .. }, traffic, .. } = &*inner;
        let of = |(key, service): (&ServiceKey, &Service)| {
            let mut all = match traffic {
                Some(traffic) => traffic.counters(key, service),
                None => ServiceCounters::default(),
            };
            let said = counters.get(key);
            all.totals = said.map_or(all.totals, |s| s.totals);
            let dest = |k: &DestKey| {
                let carried = all.dests.get(k).copied().unwrap_or_else(DestCounters::default);
                said.and_then(|c| c.dests.get(k)).copied().unwrap_or(carried)
            };
            let dests = service.dests.keys().map(|k| (*k, dest(k))).collect();
            (*key, ServiceCounters { totals: all.totals, dests })
        };
        Ok(Arc::new(services.iter().map(of).collect()))
    }

    fn connections(
        &self,
        visit: &mut dyn FnMut(&Connection<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, KernelError> {
        let (total, sources, forgotten) = {
            let mut inner = self.lock();
            inner.told_to_fail("connections").map_err(|cause| KernelError::new("read the connection table", cause))?;
            let configured = inner.connections;
            drop(inner);
            let counters = self.counters()?;
            let connected =
                |c: &ServiceCounters| c.dests.values().map(|d| (d.active + d.inactive) as usize).sum::<usize>();
            let total = configured.unwrap_or_else(|| counters.values().map(connected).sum());
            let inner = self.lock();
            (total, sources(&inner.state), inner.forgotten.clone())
        };
        let visit = &mut |c: &Connection<'_>| match c.is_template() && forgotten.contains(&template(c)) {
            true => ControlFlow::Continue(()),
            false => visit(c),
        };
        for n in 0..if sources.is_empty() { 0 } else { total } {
            if sources[n % sources.len()].connection(n, n / sources.len(), visit).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn network(&self) -> Result<Network, KernelError> {
        let mut inner = self.lock();
        inner.told_to_fail("network").map_err(|cause| KernelError::new("read links, addresses and routes", cause))?;
        Ok(network(&inner.state))
    }

    fn firewall(&self) -> Result<String, KernelError> {
        let mut inner = self.lock();
        inner.told_to_fail("firewall").map_err(|cause| KernelError::new("list the firewall rules", cause))?;
        let ours = inner.state.ruleset.as_ref().filter(|r| !r.is_empty());
        Ok(ours.map(ToString::to_string).unwrap_or_default())
    }

    fn forget(&self, template: &Template) -> Result<Forgotten, KernelError> {
        let mut inner = self.lock();
        inner.told_to_fail("forget").map_err(|cause| KernelError::new("remove the persistent entry", cause))?;
        inner.forgotten.insert(template.clone());
        Ok(Forgotten::Gone)
    }
}

fn template(c: &Connection<'_>) -> Template {
    Template {
        protocol: c.protocol.to_owned(),
        client: c.client,
        virtual_server: c.virtual_server,
        real_server: c.real_server,
    }
}

/// A service that has clients.
struct Source {
    key: ServiceKey,
    /// Where its clients go, and how they get there.
    address: IpAddr,
    port: u16,
    protocol: Protocol,
    /// The prefix length that makes clients one client.
    persistent: Option<u8>,
    dests: Vec<(DestKey, u64)>,
}

fn sources(state: &FakeState) -> Vec<Source> {
    let source = |(key, service): (&ServiceKey, &Service)| {
        let usable = service.dests.iter().filter(|(_, d)| d.weight > 0);
        let dests: Vec<_> = usable.map(|(k, d)| (*k, u64::from(d.weight))).collect();
        let (address, port, protocol) = match key {
            ServiceKey::Address { protocol, address, port } => (*address, *port, *protocol),
            ServiceKey::Mark { mark, family } => {
                let rule = state.ruleset.as_ref().and_then(|r| r.marks.iter().find(|m| m.mark == *mark));
                let own = state.addresses.iter().map(|a| a.address.net.addr()).find(|a| Family::of(*a) == *family)?;
                (rule.map_or(own, |r| r.address), 80, rule.map_or(Protocol::Tcp, |r| r.protocol))
            }
        };
        let persistent = service.persistence.map(|(_, prefix)| prefix);
        (!dests.is_empty()).then_some(Source { key: *key, address, port, protocol, persistent, dests })
    };
    state.services.iter().filter_map(source).collect()
}

impl Source {
    /// Entry number `n` of the table, the `own`th of this service.
    fn connection(
        &self,
        n: usize,
        own: usize,
        visit: &mut dyn FnMut(&Connection<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let (n, own) = (n as u64, own as u64);
        // SplitMix64's last step: spreads the numbers.
        let mixed = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = mixed ^ (mixed >> 27);
        let virtual_server = SocketAddr::new(self.address, self.port);
        let dest = self.dest(own);
        let port = if dest.port == 0 { self.port } else { dest.port };
        let client = client(n, self.address.is_ipv4());
        if let Some(prefix) = self.persistent.filter(|_| own.is_multiple_of(4)) {
            let network = IpNet::new(client, prefix).map_or(client, |net| net.network());
            let (protocol, place) = match self.key {
                ServiceKey::Mark { mark, .. } => ("IP", SocketAddr::new(Ipv4Addr::from(mark).into(), 0)),
                ServiceKey::Address { .. } => (word(self.protocol), virtual_server),
            };
            return visit(&Connection {
                protocol,
                client: SocketAddr::new(network, 0),
                virtual_server: place,
                real_server: SocketAddr::new(dest.address, dest.port),
                state: "ASSURED",
                expires: (mixed % 300) as u32,
            });
        }
        let (state, longest) = match (self.protocol, mixed % 20) {
            (Protocol::Udp, _) => ("UDP", 300),
            (Protocol::Sctp, _) => ("ESTABLISHED", 480),
            (Protocol::Tcp, 0) => ("SYN_RECV", 60),
            (Protocol::Tcp, 1..=2) => ("TIME_WAIT", 120),
            (Protocol::Tcp, 3..=5) => ("FIN_WAIT", 120),
            (Protocol::Tcp, _) => ("ESTABLISHED", 900),
        };
        visit(&Connection {
            protocol: word(self.protocol),
            client: SocketAddr::new(client, 1024 + (mixed % 60_000) as u16),
            virtual_server,
            real_server: SocketAddr::new(dest.address, port),
            state,
            expires: (mixed / 20 % longest) as u32,
        })
    }

    fn dest(&self, own: u64) -> DestKey {
        let all: u64 = self.dests.iter().map(|(_, weight)| weight).sum();
        let mut at = own % all;
        for (key, weight) in &self.dests {
            match at.checked_sub(*weight) {
                None => return *key,
                Some(rest) => at = rest,
            }
        }
        self.dests[0].0
    }
}

/// Out of 100.64.0.0/10 (RFC 6598), or 2001:db8::/32 (RFC 3849).
fn client(n: u64, v4: bool) -> IpAddr {
    match v4 {
        true => Ipv4Addr::from(0x6440_0000 + (n % 0x003f_ffff) as u32 + 1).into(),
        false => Ipv6Addr::from(0x2001_0db8_0001_0000_0000_0000_0000_0000 + u128::from(n) + 1).into(),
    }
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    }
}

fn network(state: &FakeState) -> Network {
    let addresses = |name: &str| {
        let on = state.addresses.iter().filter(|a| a.address.interface.as_str() == name);
        on.map(|a| (a.address.net, if a.ours { AddressOwner::Lbd } else { AddressOwner::Other })).collect()
    };
    let card = |(n, (name, link)): (usize, (&lb_model::IfName, &lb_plan::Link))| CardSeen {
        name: name.to_string(),
        up: link.up,
        carrier: link.up,
        mtu: link.mtu,
        // QEMU's own numbers.
        mac: format!("52:54:00:00:00:{:02x}", n + 1),
        addresses: addresses(name.as_str()),
    };
    let cards = state.links.iter().enumerate().map(card).collect();
    let over = |via: IpAddr| state.addresses.iter().map(|a| &a.address).find(|a| a.net.contains(&via));
    let through = |ObservedRoute { route, ours }: &ObservedRoute| RouteSeen {
        to: route.to,
        via: Some(route.via),
        card: over(route.via).map_or_else(String::new, |a| a.interface.to_string()),
        origin: if *ours { RouteOrigin::Lbd } else { RouteOrigin::Other },
    };
    let own = |Address { interface, net }: &Address| RouteSeen {
        to: net.trunc(),
        via: None,
        card: interface.to_string(),
        origin: RouteOrigin::Kernel,
    };
    let nets = state.addresses.iter().map(|a| &a.address).filter(|a| a.net.prefix_len() < a.net.max_prefix_len());
    Network { cards, routes: state.routes.iter().map(through).chain(nets.map(own)).collect() }
}
