//! What the kernel should have, from the configuration and the health of its real servers.

use crate::{
    Address, Desired, Dest, DestKey, Forward, HeldBack, ManagementDoor, MarkRule, Masquerade, Observed, PeersDoor,
    Route, Ruleset, Service, ServiceKey, SyncDaemon, SyncPair,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use lb_model::{
    CheckMethod, Config, FALLBACK_PAGE_PORT, FallbackServer, Family, ForwardingMethod, HeartbeatPath, Label,
    MANAGEMENT_PORTS, NodeId, Ports, Protocol, RealServer, RequestedState, Service as VirtualService, Tunnel,
    VirtualServer,
    layer7::{PEERS_PORT, Peers},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Of a card whose configuration says nothing else.
const ETHERNET_MTU: u32 = 1500;

/// What the checks know of a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fitness {
    /// Not checked yet: gets no clients, as an unfit one.
    #[default]
    Unknown,
    Fit,
    Unfit,
}

/// What a real server's agent leaves of its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentShare {
    /// Of the configured weight.
    pub percent: u32,
    /// No new clients.
    pub drains: bool,
    /// As an unfit server.
    pub out: bool,
}

impl Default for AgentShare {
    /// As without an agent.
    fn default() -> Self {
        AgentShare { percent: 100, drains: false, out: false }
    }
}

impl AgentShare {
    /// The weight in the kernel of a fit server, 0..=65535. A share that is not nothing never becomes so by rounding.
    pub fn of(self, weight: u32) -> u32 {
        if self.drains || self.percent == 0 || weight == 0 {
            return 0;
        }
        let share = u64::from(weight) * u64::from(self.percent) / 100;
        u32::try_from(share).unwrap_or(u32::MAX).clamp(1, MOST_WEIGHT)
    }

    /// The share by which a weight became the one that is seen in the kernel.
    fn seen(weight: u32, is: u32) -> AgentShare {
        let percent = (u64::from(is) * 100).div_ceil(u64::from(weight.max(1)));
        AgentShare { percent: u32::try_from(percent).unwrap_or(100), ..AgentShare::default() }
    }
}

/// As lb-model allows.
const MOST_WEIGHT: u32 = 65_535;

/// The fitness of real servers by label of virtual and of real server, and what their agents say; unlisted ones are
/// unknown, and have said nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    fitness: HashMap<Label, HashMap<Label, Fitness>>,
    agents: HashMap<(Label, Label), AgentShare>,
}

impl Health {
    pub fn agent(&self, vs: &Label, rs: &Label) -> AgentShare {
        if self.agents.is_empty() {
            return AgentShare::default();
        }
        self.agents.get(&(vs.clone(), rs.clone())).copied().unwrap_or_default()
    }

    /// Returns what was known before.
    pub fn set_agent(&mut self, vs: &Label, rs: &Label, share: AgentShare) -> AgentShare {
        let server = (vs.clone(), rs.clone());
        let before = match share == AgentShare::default() {
            true => self.agents.remove(&server),
            false => self.agents.insert(server, share),
        };
        before.unwrap_or_default()
    }

    pub fn get(&self, vs: &Label, rs: &Label) -> Fitness {
        self.fitness.get(vs).and_then(|m| m.get(rs)).copied().unwrap_or_default()
    }

    /// Returns what was known before.
    pub fn set(&mut self, vs: &Label, rs: &Label, fitness: Fitness) -> Fitness {
        if let Some(m) = self.fitness.get_mut(vs) {
            return m.insert(rs.clone(), fitness).unwrap_or_default();
        }
        self.fitness.entry(vs.clone()).or_default().insert(rs.clone(), fitness).unwrap_or_default()
    }

    /// Forgets what is no longer configured.
    pub fn retain(&mut self, mut keep: impl FnMut(&Label, &Label) -> bool) {
        self.agents.retain(|(vs, rs), _| keep(vs, rs));
        self.fitness.retain(|vs, m| {
            m.retain(|rs, _| keep(vs, rs));
            !m.is_empty()
        });
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Label, &Label, Fitness)> {
        self.fitness.iter().flat_map(|(vs, m)| m.iter().map(move |(rs, f)| (vs, rs, *f)))
    }
}

/// The state that a configuration without [`lb_model::problems`] asks for.
pub fn desired(config: &Config, health: &Health) -> Desired {
    let node = &config.node;
    let addresses: BTreeSet<Address> = node
        .interfaces
        .iter()
        .flat_map(|i| i.addresses.iter().map(|net| Address { interface: i.name.clone(), net: *net }))
        .collect();
    let alone = Desired {
        hostname: node.hostname.clone(),
        nameservers: node.nameservers.clone(),
        time_servers: config.globals.time_servers.clone(),
        links: node.interfaces.iter().map(|i| (i.name.clone(), i.mtu)).collect(),
        vips: vips(config),
        floating: floating(config),
        addresses,
        routes: routes(config),
        sysctls: sysctls(config),
        ruleset: ruleset(config),
        detours: transparent(config).values().flatten().map(|server| Family::of(*server)).collect(),
        timeouts: config.globals.timeouts,
        services: config.virtual_servers.iter().filter_map(|vs| service(config, vs, health)).collect(),
        sync: None,
        fallback_page: config.fallback_page.as_ref().map(|page| page.as_str().to_owned()),
    };
    match sync_pair(config) {
        Some(pair) => alone.synchronised(pair),
        None => alone,
    }
}

/// Both kernels' daemons, on the card of the first network path.
fn sync_pair(config: &Config) -> Option<SyncPair> {
    let (unit, heartbeat) = config.pair()?;
    let mine = heartbeat.paths.iter().find_map(|path| match path {
        HeartbeatPath::Udp(udp) => Some(udp.of(unit)),
        HeartbeatPath::Serial(_) => None,
    })?;
    let (interface, _) = config.interface_to(mine)?;
    let daemon = |id| SyncDaemon::new(interface.name.clone(), id, interface.mtu.unwrap_or(ETHERNET_MTU));
    let (one, two) = (daemon(heartbeat.sync_id), daemon(heartbeat.sync_id.saturating_add(1)));
    Some(match unit {
        NodeId::One => SyncPair { master: one, backup: two },
        NodeId::Two => SyncPair { master: two, backup: one },
    })
}

impl Desired {
    /// The same for a unit of a pair, and when its master sends a connection: by itself at the third packet and then at
    /// every fiftieth, so that one of two packets, or a slow one whose time has run out on the other unit, is lost.
    pub fn synchronised(mut self, pair: SyncPair) -> Desired {
        self.sync = Some(pair);
        let sysctls = [
            // As soon as it is established, ...
            ("net.ipv4.vs.sync_threshold", "3 0"),
            // ... again when its end has moved by ten seconds, ...
            ("net.ipv4.vs.sync_refresh_period", "10"),
            // ... and once more after an eighth of that: messages may be lost.
            ("net.ipv4.vs.sync_retries", "1"),
        ];
        self.sysctls.extend(sysctls.map(|(name, value)| (name.to_owned(), value.to_owned())));
        self
    }

    /// The same for a unit of a pair that does not serve, or has begun to a moment ago: the other unit's youngest
    /// connections are not known here yet, and must not be ended by an answer of somebody who does not know them. The
    /// packets are lost, and come again. Who serves alone answers at once.
    pub fn holding_back(mut self, config: &Config) -> Desired {
        let floating: BTreeSet<IpAddr> = self.floating.iter().map(|address| address.net.addr()).collect();
        if !floating.is_empty() {
            self.ruleset.held_back = Some(HeldBack { floating, answers: answers(config) });
        }
        self
    }
}

/// Where real servers answer through this unit, by TCP: without IPVS under their own addresses, which a client refuses.
fn answers(config: &Config) -> BTreeMap<Ports, BTreeSet<IpAddr>> {
    let mut answers: BTreeMap<Ports, BTreeSet<IpAddr>> = BTreeMap::new();
    for vs in &config.virtual_servers {
        let own = match &vs.service {
            VirtualService::Address { protocol: Protocol::Tcp, ports, .. } => Some(ports),
            VirtualService::Address { .. } => continue,
            VirtualService::FirewallMark { .. } => None,
        };
        let servers = vs.real_servers.iter().map(|rs| (rs.address, rs.port, rs.forwarding));
        let fallback = vs.fallback.as_ref().filter(|fallback| !fallback.address.is_loopback());
        let fallback = fallback.map(|fallback| (fallback.address, fallback.port, fallback.forwarding));
        for (address, port, forwarding) in servers.chain(fallback) {
            let ports = port.map(Ports::from).or_else(|| own.cloned());
            if let (ForwardingMethod::Nat, Some(ports)) = (forwarding, ports) {
                answers.entry(ports).or_default().insert(address);
            }
        }
    }
    answers
}

fn host(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

/// On the card in whose network they are.
fn on_cards(config: &Config, addresses: impl Iterator<Item = IpAddr>) -> BTreeSet<Address> {
    addresses
        .filter_map(|a| config.interface_to(a).map(|(i, _)| Address { interface: i.name.clone(), net: host(a) }))
        .collect()
}

/// The VIPs that this unit itself brings up: in a pair they are the heartbeat's.
fn vips(config: &Config) -> BTreeSet<Address> {
    if config.pair().is_some() {
        return BTreeSet::new();
    }
    on_cards(config, config.virtual_addresses().filter(|vip| !config.node.owns(*vip)))
}

/// The addresses that the pair's heartbeat brings up where it serves, each with the card that carries it.
pub fn floating(config: &Config) -> BTreeSet<Address> {
    match config.pair() {
        Some(_) => on_cards(config, config.floating().into_iter()),
        None => BTreeSet::new(),
    }
}

fn routes(config: &Config) -> BTreeSet<Route> {
    let node = &config.node;
    let default4 = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0));
    let default6 = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0));
    let gateway = node.gateway.map(|g| Route { to: default4, via: g.into() });
    let gateway6 = node.gateway6.map(|g| Route { to: default6, via: g.into() });
    let routes = node.routes.iter().map(|r| Route { to: r.to.trunc(), via: r.via });
    routes.chain(gateway).chain(gateway6).collect()
}

/// Settings of `Documentation/networking/ip-sysctl.rst` and `ipvs-sysctl.rst`, and why.
fn sysctls(config: &Config) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = [
        // IPVS forwards, and in NAT the unit is the real servers' router.
        ("net.ipv4.ip_forward", "1"),
        // An address answers ARP only on the card whose network it is in, and asks with that card's address.
        ("net.ipv4.conf.all.arp_ignore", "1"),
        ("net.ipv4.conf.all.arp_announce", "2"),
        // One arm: a redirect would teach clients and servers to go around the load balancer.
        ("net.ipv4.conf.all.send_redirects", "0"),
        ("net.ipv4.conf.default.send_redirects", "0"),
        // Removing an address must not take the others of its network along.
        ("net.ipv4.conf.all.promote_secondaries", "1"),
        // A client whose server was taken out is told at once, and finds another.
        ("net.ipv4.vs.expire_nodest_conn", "1"),
        // Stickiness ends where its server has weight 0.
        ("net.ipv4.vs.expire_quiescent_template", "1"),
        // A client port that comes again is scheduled again where that is safe.
        ("net.ipv4.vs.conn_reuse_mode", "1"),
        // Connection tracking would cost every packet, and layer 4 does not need it.
        ("net.ipv4.vs.conntrack", "0"),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .collect();
    let ipv6 = config.node.interfaces.iter().any(|i| i.addresses.iter().any(|a| a.addr().is_ipv6()));
    if ipv6 {
        all.insert("net.ipv6.conf.all.forwarding".into(), "1".into());
    }
    if !config.layer7.virtual_servers.is_empty() {
        // HAProxy listens at VIPs that this unit has not yet, or that the other one of a pair serves.
        all.insert("net.ipv4.ip_nonlocal_bind".into(), "1".into());
        all.insert("net.ipv6.ip_nonlocal_bind".into(), "1".into());
    }
    for interface in &config.node.interfaces {
        // The kernel takes the larger of `all` and the interface's own value, so a card's own 1 would win.
        // A VLAN's dot is a slash in sysctl(8)'s dotted names.
        let name = interface.name.as_str().replace('.', "/");
        all.insert(format!("net.ipv4.conf.{name}.send_redirects"), "0".into());
    }
    all
}

fn ruleset(config: &Config) -> Ruleset {
    let marks = config.virtual_servers.iter().filter_map(|vs| match &vs.service {
        VirtualService::Address { address, protocol, ports, mark: Some(mark) } => {
            Some(MarkRule { address: *address, protocol: *protocol, ports: ports.clone(), mark: mark.get() })
        }
        _ => None,
    });
    Ruleset {
        marks: marks.collect(),
        masquerade: masquerade(config),
        held_back: None,
        peers: peers(config),
        management: management(config),
        transparent: transparent(config),
    }
}

/// `None`: the lock-down is off. A virtual server at a port of the unit's own is no service of the unit's own: clients of
/// its address reach it from everywhere. Layer 7 has none there, as [`lb_model::problems`] sees to.
fn management(config: &Config) -> Option<ManagementDoor> {
    let sources = config.management_sources()?;
    let mut door = ManagementDoor { sources, ..ManagementDoor::default() };
    for vs in &config.virtual_servers {
        match &vs.service {
            VirtualService::Address { address, protocol: Protocol::Tcp, ports, .. } => {
                let taken = MANAGEMENT_PORTS.into_iter().filter(|port| ports.overlaps(&Ports::from(*port)));
                door.services.extend(taken.map(|port| (*address, port)));
            }
            VirtualService::Address { .. } => {}
            VirtualService::FirewallMark { mark, .. } => {
                door.marks.insert(mark.get());
            }
        }
    }
    Some(door)
}

/// With whom layer 7 speaks under clients' addresses. The unit's own fallback page is not among them.
fn transparent(config: &Config) -> BTreeMap<Ports, BTreeSet<IpAddr>> {
    let mut servers: BTreeMap<Ports, BTreeSet<IpAddr>> = BTreeMap::new();
    for vs in config.layer7.virtual_servers.iter().filter(|vs| vs.transparent) {
        let fallback = vs.fallback.iter().filter(|f| !f.is_page()).map(|f| (f.address, f.port));
        for (address, port) in vs.real_servers.iter().map(|rs| (rs.address, rs.port)).chain(fallback) {
            servers.entry(port.map_or_else(|| vs.ports.clone(), Ports::from)).or_default().insert(address);
        }
    }
    servers
}

/// Both addresses of the path are of one family, as [`lb_model::problems`] sees to.
fn peers(config: &Config) -> Option<PeersDoor> {
    let Peers { mine, other, .. } = config.layer7_peers()?;
    Some(PeersDoor { mine, other, port: PEERS_PORT })
}

fn masquerade(config: &Config) -> Option<Masquerade> {
    let gateway = config.node.gateway.filter(|_| config.globals.masquerade)?;
    let (external, _) = config.interface_to(gateway.into())?;
    let inside = config.node.interfaces.iter().filter(|i| i.name != external.name);
    let networks: Vec<IpNet> =
        inside.flat_map(|i| &i.addresses).filter(|n| n.addr().is_ipv4()).map(IpNet::trunc).collect();
    Some(Masquerade { networks, out: external.name.clone() }).filter(|m| !m.networks.is_empty())
}

/// What identifies a virtual server in the kernel. `None` only for several ports without a mark, which
/// [`Config::assign_marks`] gives before anything is applied.
pub fn service_key(vs: &VirtualServer) -> Option<ServiceKey> {
    match &vs.service {
        VirtualService::Address { address, protocol, ports, mark } => match (ports.single(), mark) {
            (Some(port), _) => Some(ServiceKey::Address { protocol: *protocol, address: *address, port }),
            (None, Some(mark)) => Some(ServiceKey::Mark { mark: mark.get(), family: Family::of(*address) }),
            (None, None) => None,
        },
        VirtualService::FirewallMark { mark, family } => Some(ServiceKey::Mark { mark: mark.get(), family: *family }),
    }
}

/// What identifies a real server within its virtual server in the kernel.
pub fn dest_key(vs: &VirtualServer, rs: &RealServer) -> DestKey {
    DestKey { address: rs.address, port: dest_port(vs, rs.port, rs.forwarding) }
}

/// What a former lbd knew of the real servers, read off the kernel that it programmed: a restart goes on from there
/// and changes nothing. Where the kernel has no such service, nothing is known.
pub fn health_seen(config: &Config, observed: &Observed) -> Health {
    let mut health = Health::default();
    for vs in &config.virtual_servers {
        let Some(service) = service_key(vs).and_then(|key| observed.services.get(&key)) else { continue };
        for rs in vs.real_servers.iter().filter(|rs| rs.state == RequestedState::Online && rs.weight > 0) {
            let weight = service.dests.get(&dest_key(vs, rs)).map_or(0, |d| d.weight);
            health.set(&vs.label, &rs.label, if weight > 0 { Fitness::Fit } else { Fitness::Unfit });
            if vs.agent.is_some() && weight > 0 {
                health.set_agent(&vs.label, &rs.label, AgentShare::seen(rs.weight, weight));
            }
        }
    }
    health
}

fn service(config: &Config, vs: &VirtualServer, health: &Health) -> Option<(ServiceKey, Service)> {
    let key = service_key(vs)?;
    let family = key.family();
    let mut dests = BTreeMap::new();
    let mut serving = false;
    for rs in &vs.real_servers {
        let Some(dest) = real_server(config, vs, rs, health) else { continue };
        serving |= dest.weight > 0;
        dests.insert(dest_key(vs, rs), dest);
    }
    if !serving && let Some((key, dest)) = fallback(config, vs, family) {
        dests.insert(key, dest);
    }
    let service = Service {
        scheduler: vs.scheduler.as_str().to_owned(),
        persistence: vs.persistence.map(|p| (p.timeout, p.granularity.unwrap_or(family.bits()))),
        one_packet: vs.one_packet,
        scheduler_flags: Service::flags_for(vs.scheduler, vs.hash_port),
        dests,
    };
    Some((key, service))
}

fn dest_port(vs: &VirtualServer, port: Option<u16>, forwarding: ForwardingMethod) -> u16 {
    let own = vs.service.single_port().unwrap_or(0);
    match forwarding {
        ForwardingMethod::Nat => port.unwrap_or(own),
        ForwardingMethod::Dr | ForwardingMethod::Tun => own,
    }
}

fn forward(method: ForwardingMethod, tunnel: Tunnel) -> Forward {
    match method {
        ForwardingMethod::Dr => Forward::Dr,
        ForwardingMethod::Nat => Forward::Nat,
        ForwardingMethod::Tun => Forward::Tun(tunnel),
    }
}

/// `None`: the server has no place in the kernel's table.
fn real_server(config: &Config, vs: &VirtualServer, rs: &RealServer, health: &Health) -> Option<Dest> {
    let fit = match vs.check.method {
        CheckMethod::On => true,
        CheckMethod::Off => false,
        _ => health.get(&vs.label, &rs.label) == Fitness::Fit,
    };
    let agent = if vs.agent.is_some() { health.agent(&vs.label, &rs.label) } else { AgentShare::default() };
    let quiescent = vs.quiescent.unwrap_or(config.globals.health.quiescent);
    let weight = match (rs.state, fit && !agent.out) {
        (RequestedState::Offline, _) => return None,
        (RequestedState::Drain, _) => 0,
        (RequestedState::Online, true) => agent.of(rs.weight),
        (RequestedState::Online, false) if quiescent => 0,
        (RequestedState::Online, false) => return None,
    };
    Some(Dest {
        forward: forward(rs.forwarding, rs.tunnel),
        weight,
        upper: rs.max_connections,
        lower: rs.min_connections,
    })
}

/// The fallback page is reached by NAT to the VIP's own address: IPVS refuses to send clients to a loopback address
/// (`ip_vs_nat_xmit`, "stopping DNAT to loopback address").
fn fallback(config: &Config, vs: &VirtualServer, family: Family) -> Option<(DestKey, Dest)> {
    let FallbackServer { address, port, forwarding } = vs.fallback.as_ref()?;
    if !address.is_loopback() {
        let key = DestKey { address: *address, port: dest_port(vs, *port, *forwarding) };
        return Some((key, Dest { forward: forward(*forwarding, Tunnel::Ipip), weight: 1, upper: 0, lower: 0 }));
    }
    let local = vs.service.address().or_else(|| {
        let all = config.node.interfaces.iter().flat_map(|i| &i.addresses);
        all.map(IpNet::addr).find(|a| Family::of(*a) == family)
    })?;
    let key = DestKey { address: local, port: port.unwrap_or(FALLBACK_PAGE_PORT) };
    Some((key, Dest { forward: Forward::Nat, weight: 1, upper: 0, lower: 0 }))
}
