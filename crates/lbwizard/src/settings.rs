//! From the answers to a configuration.
//!
//! What the questions do not speak of stays as it runs, wherever it still makes sense in the new
//! network; what does not is taken out, and the list of changes says so before anything is made permanent.

use ipnet::{IpNet, Ipv4Net};
use lb_model::{
    Check, Config, FallbackServer, ForwardingMethod, IfName, Interface, Label, Ports, Protocol, RealServer,
    RequestedState, Scheduler, Service, Tunnel, VirtualServer, problems,
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

/// All answers of a single unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// eth0's address, which is also the first virtual server's.
    pub eth0: Ipv4Net,
    /// eth1's address in the two-arm set-up; `None`: one arm.
    pub eth1: Option<Ipv4Net>,
    pub gateway: Ipv4Addr,
    pub nameserver: Ipv4Addr,
    /// 1..=65535
    pub port: u16,
    pub real_server: Ipv4Addr,
}

impl Settings {
    /// One arm: DR. Two arms: NAT.
    pub fn forwarding(&self) -> ForwardingMethod {
        match self.eth1 {
            None => ForwardingMethod::Dr,
            Some(_) => ForwardingMethod::Nat,
        }
    }

    /// The network that real servers are in.
    pub fn servers(&self) -> Ipv4Net {
        self.eth1.unwrap_or(self.eth0)
    }

    /// For the history.
    pub fn comment(&self) -> String {
        let arms = if self.eth1.is_some() { "two-arm NAT" } else { "one-arm DR" };
        format!("setup wizard: {arms}, {}:{}", self.eth0.addr(), self.port)
    }

    /// The running configuration with these settings in it.
    pub fn configure(&self, running: &Config) -> Config {
        let mut config = running.clone();
        set_address(&mut config, "eth0", Some(self.eth0));
        set_address(&mut config, "eth1", self.eth1);
        let node = &mut config.node;
        node.gateway = Some(self.gateway);
        // Somebody who confirms the first nameserver keeps the second one too.
        if node.nameservers.first() != Some(&self.nameserver.into()) {
            node.nameservers = vec![self.nameserver.into()];
        }
        config.globals.default_forwarding = self.forwarding();
        config.globals.masquerade = self.eth1.is_some();
        drop_unreachable(&mut config);
        let first = self.virtual_server(running);
        match config.virtual_servers.first_mut() {
            Some(old) => *old = first,
            None => config.virtual_servers.push(first),
        }
        drop_impossible(&mut config);
        config
    }

    fn virtual_server(&self, running: &Config) -> VirtualServer {
        let real_server = RealServer {
            label: label("WebServer1"),
            address: self.real_server.into(),
            port: None,
            weight: 1,
            min_connections: 0,
            max_connections: 0,
            forwarding: self.forwarding(),
            tunnel: Tunnel::default(),
            state: RequestedState::default(),
        };
        VirtualServer {
            label: self.label(running),
            service: Service::Address {
                address: self.eth0.addr().into(),
                protocol: Protocol::Tcp,
                ports: Ports::from(self.port),
                mark: None,
            },
            scheduler: Scheduler::Wrr,
            hash_port: false,
            one_packet: false,
            persistence: None,
            check: Check::default(),
            quiescent: None,
            fallback: FallbackServer::page(),
            real_servers: vec![real_server],
        }
    }

    /// The name that the first virtual server has, if it is for this port; else one that says what it is for.
    fn label(&self, running: &Config) -> Label {
        if let Some(first) = running.virtual_servers.first().filter(|v| v.service.single_port() == Some(self.port)) {
            return first.label.clone();
        }
        let name = match self.port {
            80 => "HTTP_Cluster".to_owned(),
            port => format!("Cluster_{port}"),
        };
        let taken = |l: &str| running.virtual_servers.iter().skip(1).any(|v| v.label.as_str() == l);
        let numbered = (2..).map(|n| format!("{name}_{n}"));
        label(&std::iter::once(name.clone()).chain(numbered).find(|l| !taken(l)).unwrap_or(name))
    }
}

fn set_address(config: &mut Config, name: &str, address: Option<Ipv4Net>) {
    let interfaces = &mut config.node.interfaces;
    let at = interfaces.iter().position(|i| i.name.as_str() == name);
    match (at, address) {
        (Some(at), Some(address)) => {
            let interface = &mut interfaces[at];
            interface.addresses.retain(|a| matches!(a, IpNet::V6(_)));
            interface.addresses.insert(0, address.into());
        }
        (Some(at), None) => {
            interfaces.remove(at);
        }
        (None, Some(address)) => {
            let at = if name == "eth0" { 0 } else { 1.min(interfaces.len()) };
            interfaces.insert(at, Interface { name: interface_name(name), addresses: vec![address.into()], mtu: None });
        }
        (None, None) => {}
    }
}

/// Routes and routers that no card can reach any more.
fn drop_unreachable(config: &mut Config) {
    let node = config.node.clone();
    let reached = |via: IpAddr| node.interface_to(via).is_some() && !node.owns(via);
    let attached: Vec<IpNet> = node.interfaces.iter().flat_map(|i| &i.addresses).map(IpNet::trunc).collect();
    config.node.routes.retain(|r| reached(r.via) && !attached.contains(&r.to.trunc()));
    config.node.gateway6 = config.node.gateway6.filter(|g| reached((*g).into()));
    let edges: BTreeSet<usize> = numbered(config, "/node/routes/").collect();
    retain_others(&mut config.node.routes, &edges);
}

/// Further virtual servers that make no sense in the new network. The first is the wizard's own, and
/// stays: what is wrong with it must be heard.
fn drop_impossible(config: &mut Config) {
    loop {
        let wrong: BTreeSet<usize> = numbered(config, "/virtual_servers/").filter(|n| *n > 0).collect();
        if wrong.is_empty() {
            return;
        }
        retain_others(&mut config.virtual_servers, &wrong);
    }
}

/// The numbers of the entries below `path` that have problems.
fn numbered(config: &Config, path: &'static str) -> impl Iterator<Item = usize> {
    problems(config).into_iter().filter_map(move |p| p.path.strip_prefix(path)?.split('/').next()?.parse().ok())
}

fn retain_others<T>(list: &mut Vec<T>, wrong: &BTreeSet<usize>) {
    let mut number = 0..;
    list.retain(|_| number.next().is_some_and(|n| !wrong.contains(&n)));
}

fn label(text: &str) -> Label {
    match text.parse() {
        Ok(label) => label,
        Err(e) => unreachable!("the wizard's own label: {e}"),
    }
}

fn interface_name(text: &str) -> IfName {
    match text.parse() {
        Ok(name) => name,
        Err(e) => unreachable!("the wizard's own interface: {e}"),
    }
}
