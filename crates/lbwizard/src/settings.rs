//! From the answers to a configuration.
//!
//! What the questions do not speak of stays as it runs, wherever it still makes sense in the new
//! network; what does not is taken out, and the list of changes says so before anything is made permanent.

use crate::flow::common;
use ipnet::{IpNet, Ipv4Net};
use lb_api::PairedView;
use lb_model::{
    Check, Config, FallbackServer, ForwardingMethod, Heartbeat, HeartbeatPath, IfName, Interface, Label, Node, NodeId,
    Ports, Protocol, RealServer, RequestedState, Scheduler, SerialPath, Service, Tunnel, UdpPath, VirtualServer,
    factory,
    heartbeat::{HEARTBEAT_PORT, MAX_PATHS},
    problems,
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

/// All answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub network: Network,
    pub role: Role,
}

/// What is this unit's alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    pub eth0: Ipv4Net,
    /// eth1's address in the two-arm set-up; `None`: one arm.
    pub eth1: Option<Ipv4Net>,
    pub gateway: Ipv4Addr,
    pub nameserver: Ipv4Addr,
}

/// What the unit is, and what it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    Single(First),
    /// Serves nothing until the master's configuration arrives.
    Slave,
    Master(First, Pair),
}

/// The first virtual server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct First {
    /// eth0's own address; in a pair a floating IP.
    pub vip: Ipv4Addr,
    /// 1..=65535
    pub port: u16,
    pub real_server: Ipv4Addr,
}

/// The two units together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub peer: PairedView,
    /// With two arms: the floating IP that is the real servers' gateway.
    pub internal: Option<Ipv4Addr>,
    pub cable: bool,
    /// Of a new pair: 1..=254.
    pub sync_id: u8,
}

impl Network {
    /// One arm: DR. Two arms: NAT.
    pub fn forwarding(&self) -> ForwardingMethod {
        match self.eth1 {
            None => ForwardingMethod::Dr,
            Some(_) => ForwardingMethod::Nat,
        }
    }

    /// The running configuration with this network alone: what a unit needs to reach its peer. What makes no sense
    /// in it is left out, virtual servers among it.
    pub fn configure(&self, running: &Config) -> Config {
        let mut config = running.clone();
        self.put_into(&mut config);
        drop_floating(&mut config, 0);
        drop_impossible(&mut config, 0);
        config
    }

    fn put_into(&self, config: &mut Config) {
        set_address(config, "eth0", Some(self.eth0));
        set_address(config, "eth1", self.eth1);
        let node = &mut config.node;
        node.gateway = Some(self.gateway);
        // Somebody who confirms the first nameserver keeps the second one too.
        if node.nameservers.first() != Some(&self.nameserver.into()) {
            node.nameservers = vec![self.nameserver.into()];
        }
        // Between two networks only.
        config.globals.masquerade &= self.eth1.is_some();
        drop_unreachable(config);
    }
}

impl Settings {
    /// The first virtual server; a slave is asked for none.
    pub fn first(&self) -> Option<&First> {
        match &self.role {
            Role::Single(first) | Role::Master(first, _) => Some(first),
            Role::Slave => None,
        }
    }

    /// For the history.
    pub fn comment(&self) -> String {
        let arms = if self.network.eth1.is_some() { "two-arm NAT" } else { "one-arm DR" };
        match &self.role {
            Role::Single(first) => format!("setup wizard: {arms}, {}:{}", first.vip, first.port),
            Role::Slave => format!("setup wizard: slave of a pair, {}", self.network.eth0.addr()),
            Role::Master(first, pair) => {
                format!("setup wizard: {arms}, {}:{}, pair with {}", first.vip, first.port, pair.peer.hostname)
            }
        }
    }

    /// The running configuration with these settings in it.
    pub fn configure(&self, running: &Config) -> Config {
        let mut config = running.clone();
        self.network.put_into(&mut config);
        let first = match &self.role {
            Role::Slave => {
                slave(&mut config);
                return config;
            }
            Role::Single(first) => first,
            Role::Master(first, pair) => {
                master(&mut config, first, pair);
                first
            }
        };
        config.globals.default_forwarding = self.network.forwarding();
        config.globals.masquerade = self.network.eth1.is_some();
        let first = self.virtual_server(first, running);
        match config.virtual_servers.first_mut() {
            Some(old) => *old = first,
            None => config.virtual_servers.push(first),
        }
        // The first is the wizard's own, and stays: what is wrong with it must be heard.
        drop_floating(&mut config, usize::from(matches!(&self.role, Role::Master(_, p) if p.internal.is_some())));
        drop_impossible(&mut config, 1);
        config
    }

    fn virtual_server(&self, first: &First, running: &Config) -> VirtualServer {
        let real_server = RealServer {
            label: label("WebServer1"),
            address: first.real_server.into(),
            port: None,
            weight: 1,
            min_connections: 0,
            max_connections: 0,
            forwarding: self.network.forwarding(),
            tunnel: Tunnel::default(),
            state: RequestedState::default(),
        };
        VirtualServer {
            label: first_label(first.port, running),
            service: Service::Address {
                address: first.vip.into(),
                protocol: Protocol::Tcp,
                ports: Ports::from(first.port),
                mark: None,
            },
            scheduler: Scheduler::Wrr,
            hash_port: false,
            one_packet: false,
            persistence: None,
            check: Check::default(),
            agent: None,
            quiescent: None,
            fallback: FallbackServer::page(),
            real_servers: vec![real_server],
        }
    }
}

/// The name that the first virtual server has, if it is for this port; else one that says what it is for.
fn first_label(port: u16, running: &Config) -> Label {
    if let Some(first) = running.virtual_servers.first().filter(|v| v.service.single_port() == Some(port)) {
        return first.label.clone();
    }
    let name = match port {
        80 => "HTTP_Cluster".to_owned(),
        port => format!("Cluster_{port}"),
    };
    let taken = |l: &str| running.virtual_servers.iter().skip(1).any(|v| v.label.as_str() == l);
    let numbered = (2..).map(|n| format!("{name}_{n}"));
    label(&std::iter::once(name.clone()).chain(numbered).find(|l| !taken(l)).unwrap_or(name))
}

/// What the master sends replaces whatever this unit served, and two units must not serve one address.
fn slave(config: &mut Config) {
    config.virtual_servers.clear();
    config.floating_ips.clear();
    config.heartbeat = None;
    config.node.unit = None;
    // Both units come from the factory with the same name.
    if config.node.hostname == factory().node.hostname
        && let Ok(name) = "lbslave".parse()
    {
        config.node.hostname = name;
    }
}

fn master(config: &mut Config, first: &First, pair: &Pair) {
    config.node.unit = Some(NodeId::One);
    let new = Heartbeat { sync_id: pair.sync_id, ..Heartbeat::default() };
    let mut heartbeat = config.heartbeat.take().unwrap_or(new);
    heartbeat.paths = paths(&heartbeat, &config.node, pair);
    config.heartbeat = Some(heartbeat);
    if let Some(internal) = pair.internal {
        // As the first virtual server replaces the first one.
        if let Some(old) = config.floating_ips.iter().position(IpAddr::is_ipv4) {
            config.floating_ips.remove(old);
        }
        config.floating_ips.retain(|a| *a != internal);
        config.floating_ips.insert(0, internal.into());
    }
    config.floating_ips.retain(|a| *a != first.vip);
    // A VIP that was one unit's own address moves to the floating IP.
    let node = config.node.clone();
    for vs in &mut config.virtual_servers {
        if let Service::Address { address, .. } = &mut vs.service
            && (node.owns(*address) || pair.peer.addresses.iter().any(|net| net.addr() == *address))
        {
            *address = first.vip.into();
        }
    }
}

/// The cable, and every network in which both units have an address.
fn paths(old: &Heartbeat, node: &Node, pair: &Pair) -> Vec<HeartbeatPath> {
    let serial = old.paths.iter().find(|p| matches!(p, HeartbeatPath::Serial(_))).cloned();
    let serial = pair.cable.then(|| serial.unwrap_or(HeartbeatPath::Serial(SerialPath::default())));
    let mine: Vec<IpNet> = node.interfaces.iter().flat_map(|i| i.addresses.iter().copied()).collect();
    let networks = common(&mine, &pair.peer.addresses).into_iter().map(|(one, two)| {
        let same = |p: &&HeartbeatPath| matches!(p, HeartbeatPath::Udp(u) if (u.one, u.two) == (one, two));
        let new = || HeartbeatPath::Udp(UdpPath { one, two, port: HEARTBEAT_PORT });
        old.paths.iter().find(same).cloned().unwrap_or_else(new)
    });
    serial.into_iter().chain(networks).take(MAX_PATHS).collect()
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

/// Floating IPs, from the `from`-th on, that make no sense in the new network.
fn drop_floating(config: &mut Config, from: usize) {
    let wrong: BTreeSet<usize> = numbered(config, "/floating_ips/").filter(|n| *n >= from).collect();
    retain_others(&mut config.floating_ips, &wrong);
}

/// Virtual servers, from the `from`-th on, that make no sense in the new network.
fn drop_impossible(config: &mut Config, from: usize) {
    loop {
        let wrong: BTreeSet<usize> = numbered(config, "/virtual_servers/").filter(|n| *n >= from).collect();
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
