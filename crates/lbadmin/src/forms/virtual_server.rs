//! The Virtual Server form: the service's own settings and its health check. Its real servers have forms of their own.

use super::{
    agent,
    edit::{Object, Removal, Remove, Standing, Typed, Values, fingerprint_of, removal},
    form::{Field, Section},
    health_check, parse,
};
use lb_model::{
    Check, Config, FallbackServer, Family, FirewallMark, ForwardingMethod, Label, Persistence, Ports, Protocol,
    Scheduler, Service, VirtualServer,
};
use std::net::{IpAddr, Ipv4Addr};

/// A virtual server to add, or the one with this label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualServerForm {
    label: Option<String>,
}

impl VirtualServerForm {
    pub fn add() -> Self {
        VirtualServerForm { label: None }
    }

    pub fn modify(label: &str) -> Self {
        VirtualServerForm { label: Some(label.to_owned()) }
    }

    fn position(&self, config: &Config) -> Option<usize> {
        let label = self.label.as_deref()?;
        config.virtual_servers.iter().position(|v| v.label.as_str() == label)
    }
}

/// What a scheduler does, in a phrase.
pub fn scheduler_phrase(scheduler: Scheduler) -> &'static str {
    match scheduler {
        Scheduler::Rr => "round robin: one after the other",
        Scheduler::Wrr => "weighted round robin: one after the other, by weight",
        Scheduler::Lc => "least connections: the server with the fewest",
        Scheduler::Wlc => "weighted least connections: the fewest for its weight",
        Scheduler::Sh => "source hash: a client's address decides",
        Scheduler::Dh => "destination hash: the destination's address decides",
        Scheduler::Mh => "Maglev hash: a client's address decides, and few move when servers change",
        Scheduler::Sed => "shortest expected delay: the fewest for its weight, the new one counted",
        Scheduler::Nq => "never queue: an idle server first, else shortest expected delay",
        Scheduler::Lblc => "locality-based least connections: a destination stays with its server",
        Scheduler::Lblcr => "locality-based with replication: a destination stays with a set of servers",
        Scheduler::Fo => "weighted fail-over: the highest weight gets everything",
        Scheduler::Ovf => "weighted overflow: the highest weight, until it has as many connections",
    }
}

const ONE_PACKET: &str = "ops";
const MARK: &str = "fwm";
pub(super) const EACH: &str = "255.255.255.255";

fn protocol_word(vs: &VirtualServer) -> &'static str {
    match (&vs.service, vs.one_packet) {
        (Service::FirewallMark { .. }, _) => MARK,
        (Service::Address { protocol: Protocol::Udp, .. }, true) => ONE_PACKET,
        (Service::Address { protocol, .. }, _) => protocol.as_str(),
    }
}

fn service_text(service: &Service) -> String {
    match service {
        Service::Address { address, ports, .. } => parse::shown(*address, Some(ports)),
        Service::FirewallMark { mark, family: Family::Ipv4 } => mark.to_string(),
        Service::FirewallMark { mark, family: Family::Ipv6 } => format!("{mark} ipv6"),
    }
}

/// A virtual server of which nothing more is known.
pub(super) fn blank(label: Label, address: IpAddr, port: u16) -> VirtualServer {
    VirtualServer {
        label,
        service: Service::Address { address, protocol: Protocol::Tcp, ports: Ports::from(port), mark: None },
        scheduler: Scheduler::default(),
        hash_port: false,
        one_packet: false,
        persistence: None,
        check: Check::default(),
        agent: None,
        quiescent: None,
        fallback: FallbackServer::page(),
        real_servers: Vec::new(),
    }
}

pub(super) fn some_label() -> Label {
    match "VIP".parse() {
        Ok(label) => label,
        Err(e) => unreachable!("a label of letters: {e}"),
    }
}

fn values(vs: &VirtualServer, config: &Config) -> Values {
    let on = |b: bool| if b { "on".to_owned() } else { String::new() };
    let persistence = vs.persistence.unwrap_or(Persistence { timeout: 300, granularity: None });
    let mut values = Values::from([
        ("label", vs.label.to_string()),
        ("service", service_text(&vs.service)),
        ("protocol", protocol_word(vs).to_owned()),
        ("scheduler", vs.scheduler.to_string()),
        ("hash_port", on(vs.hash_port)),
        ("persistent", on(vs.persistence.is_some())),
        ("persistence_timeout", persistence.timeout.to_string()),
        ("granularity", granularity_text(persistence.granularity, vs.service.family())),
        ("fallback", vs.fallback.as_ref().map_or_else(String::new, |f| parse::shown(f.address, f.port))),
        ("fallback_forwarding", fallback_forwarding(vs.fallback.as_ref(), config).to_owned()),
        ("quiescent", vs.quiescent.map_or("", |q| if q { "on" } else { "off" }).to_owned()),
    ]);
    health_check::values(&vs.check, &mut values);
    agent::values(vs.agent.as_ref(), &mut values);
    values
}

pub(super) fn granularity_text(granularity: Option<u8>, family: Family) -> String {
    match (granularity, family) {
        (None, Family::Ipv4) => EACH.to_owned(),
        (None, Family::Ipv6) => "/128".to_owned(),
        (Some(prefix), Family::Ipv4) if prefix <= 32 => parse::mask(prefix).to_string(),
        (Some(prefix), _) => format!("/{prefix}"),
    }
}

pub(super) fn granularity(text: &str, family: Family) -> Result<Option<u8>, String> {
    if text.is_empty() || text == EACH {
        return Ok(None);
    }
    let prefix = parse::prefix(text)?;
    match family {
        Family::Ipv6 if text.contains('.') => {
            Err("this virtual server is IPv6; use a prefix length, for example /64".into())
        }
        _ if prefix == 0 || prefix > family.bits() => {
            Err(format!("a prefix of {prefix} bits makes no sense here; use 1 to {}", family.bits()))
        }
        _ => Ok(Some(prefix).filter(|p| *p < family.bits())),
    }
}

/// Empty: what a fallback server gets that nothing was chosen for.
fn fallback_forwarding(fallback: Option<&FallbackServer>, config: &Config) -> &'static str {
    match fallback {
        Some(f) if f.forwarding != usual_forwarding(f.address, config) => f.forwarding.as_str(),
        _ => "",
    }
}

fn usual_forwarding(address: IpAddr, config: &Config) -> ForwardingMethod {
    if address.is_loopback() { ForwardingMethod::Nat } else { config.globals.default_forwarding }
}

impl Object for VirtualServerForm {
    fn title(&self) -> String {
        if self.label.is_some() { "Modify a Virtual Server" } else { "Add a new Virtual Server" }.to_owned()
    }

    fn name(&self) -> String {
        format!("Virtual Server {}", self.label.as_deref().unwrap_or("(new)"))
    }

    fn standing(&self, config: &Config) -> Standing {
        let defaults = || {
            let mut values = values(&blank(some_label(), Ipv4Addr::UNSPECIFIED.into(), 80), config);
            values.extend([("label", String::new()), ("service", String::new())]);
            values
        };
        match (self.position(config), &self.label) {
            (Some(at), _) => Standing::There(values(&config.virtual_servers[at], config)),
            (None, Some(_)) => Standing::Gone(defaults()),
            (None, None) => Standing::New(defaults()),
        }
    }

    fn sections(&self, config: &Config, _: &Values) -> Vec<Section> {
        let own = config.node.interfaces.first().and_then(|i| i.addresses.first()).map(ipnet::IpNet::addr);
        let own = own.unwrap_or(Ipv4Addr::new(10, 0, 0, 21).into());
        let protocols = [
            ("tcp", "TCP"),
            ("udp", "UDP"),
            ("sctp", "SCTP"),
            (MARK, "Firewall mark"),
            (ONE_PACKET, "UDP, one-packet"),
        ];
        let schedulers = Scheduler::ALL.iter().map(|s| (s.as_str(), format!("{s} - {}", scheduler_phrase(*s))));
        let usual = config.globals.default_forwarding;
        let methods = [
            (String::new(), format!("as a new real server ({})", usual.as_str().to_uppercase())),
            ("dr".into(), "DR".into()),
            ("nat".into(), "NAT".into()),
            ("tun".into(), "TUN".into()),
        ];
        let quiescent = if config.globals.health.quiescent { "on" } else { "off" };
        vec![
            Section::new(
                "",
                vec![
                    Field::text("label", "Label", "virtual-server-label").placeholder("HTTP_Cluster"),
                    Field::text("service", "Virtual Server (ipaddress:port)", "virtual-server-address")
                        .placeholder(parse::shown(own, Some(80)))
                        .hint("Several ports as 80,443 or 8000-8100 or any; IPv6 as [fd00::21]:80; for a firewall mark its number"),
                    Field::select("protocol", "Protocol", "virtual-server-protocol", protocols),
                    Field::select("scheduler", "Scheduler", "virtual-server-scheduler", schedulers),
                    Field::checkbox("hash_port", "Hash the client's port too", "virtual-server-hash-port")
                        .hint("For sh and mh"),
                ],
            ),
            Section::new(
                "Persistence",
                vec![
                    Field::checkbox("persistent", "Persistent", "virtual-server-persistence")
                        .hint("A client stays with its real server"),
                    Field::number("persistence_timeout", "Timeout", "persistence-timeout", 1, 2_678_400)
                        .unit("seconds"),
                    Field::text("granularity", "Granularity", "persistence-granularity")
                        .placeholder(EACH)
                        .hint("A netmask, or a prefix length such as /24: clients in one such network are one client"),
                ],
            ),
            health_check::section(config),
            agent::section(config, &values(&blank(some_label(), Ipv4Addr::UNSPECIFIED.into(), 80), config)),
            Section::new(
                "When servers fail",
                vec![
                    Field::text("fallback", "Fallback server (ipaddress:port)", "fallback-server")
                        .placeholder("none")
                        .hint("127.0.0.1:9081 is this unit's own fallback page; empty: none"),
                    Field::select("fallback_forwarding", "Fallback forwarding method", "fallback-forwarding", methods)
                        .hint("Counts for another machine only"),
                    Field::select(
                        "quiescent",
                        "Quiescent",
                        "quiescent",
                        [
                            (String::new(), format!("as in Global Settings ({quiescent})")),
                            ("on".into(), "on: a failed server stays with weight 0".into()),
                            ("off".into(), "off: a failed server is removed, its connections are cut".into()),
                        ],
                    ),
                ],
            ),
        ]
    }

    fn pointer(&self, config: &Config) -> Option<String> {
        self.position(config).map(|at| format!("/virtual_servers/{at}"))
    }

    fn write(&self, config: &mut Config, typed: &mut Typed) -> String {
        let at = self.position(config).unwrap_or(config.virtual_servers.len());
        let mut vs = match config.virtual_servers.get(at) {
            Some(there) => there.clone(),
            None => blank(some_label(), Ipv4Addr::UNSPECIFIED.into(), 80),
        };
        typed.put("label", &mut vs.label, str::parse::<Label>);
        write_service(&mut vs, typed);
        typed.put("scheduler", &mut vs.scheduler, str::parse::<Scheduler>);
        vs.hash_port = typed.on("hash_port");
        if !typed.on("persistent") {
            vs.persistence = None;
        } else if typed.changed(&["persistent", "persistence_timeout", "granularity"]) {
            let mut persistence = vs.persistence.unwrap_or(Persistence { timeout: 300, granularity: None });
            typed.put_number("persistence_timeout", &mut persistence.timeout);
            let family = vs.service.family();
            typed.put("granularity", &mut persistence.granularity, |text| granularity(text, family));
            vs.persistence = Some(persistence);
        }
        health_check::write(&mut vs.check, typed);
        agent::write(&mut vs.agent, typed);
        write_fallback(&mut vs, config, typed);
        typed.put("quiescent", &mut vs.quiescent, |text| match text {
            "" => Ok(None),
            "on" => Ok(Some(true)),
            "off" => Ok(Some(false)),
            _ => Err("choose one of the list"),
        });
        if config.virtual_servers.get(at) != Some(&vs) {
            match config.virtual_servers.get_mut(at) {
                Some(there) => *there = vs,
                None => config.virtual_servers.push(vs),
            }
            config.assign_marks();
        }
        format!("/virtual_servers/{at}")
    }

    fn field_at(&self, tail: &str) -> Option<&'static str> {
        Some(match tail {
            "/label" => "label",
            "/one_packet" => "protocol",
            "/scheduler" => "scheduler",
            "/hash_port" => "hash_port",
            "/quiescent" => "quiescent",
            "/persistence" => "persistent",
            "/persistence/timeout" => "persistence_timeout",
            "/persistence/granularity" => "granularity",
            "/fallback/forwarding" => "fallback_forwarding",
            _ if tail.starts_with("/service") => "service",
            _ if tail.starts_with("/fallback") => "fallback",
            _ if tail.starts_with("/agent") => agent::field_at(tail.strip_prefix("/agent")?),
            _ => return health_check::field_at(tail.strip_prefix("/check")?).filter(|_| tail.starts_with("/check")),
        })
    }

    fn verbatim(&self) -> &'static [&'static str] {
        &["check_response", "agent_send"]
    }
}

fn write_service(vs: &mut VirtualServer, typed: &mut Typed) {
    if !typed.changed(&["service", "protocol"]) {
        return;
    }
    let word = typed.text("protocol").to_owned();
    if word == MARK {
        if let Some((mark, family)) = typed.parsed("service", mark) {
            vs.service = Service::FirewallMark { mark, family };
            vs.one_packet = false;
        }
        return;
    }
    let protocol = match word.as_str() {
        ONE_PACKET => Protocol::Udp,
        word => word.parse().unwrap_or_default(),
    };
    let Some((address, ports)) = typed.parsed("service", address_and_ports) else { return };
    // The mark of several ports is the identity of the kernel's service, so it stays.
    let mark = match &vs.service {
        Service::Address { mark, .. } => *mark,
        Service::FirewallMark { .. } => None,
    };
    vs.service = Service::Address { address, protocol, ports, mark };
    vs.one_packet = word == ONE_PACKET;
}

fn address_and_ports(text: &str) -> Result<(IpAddr, Ports), String> {
    if text.is_empty() {
        return Err("an address and a port are needed here, for example 10.0.0.21:80".into());
    }
    match parse::address_and_port(text)? {
        (address, Some(ports)) => Ok((address, ports.parse().map_err(|e: lb_model::NameError| e.to_string())?)),
        (address, None) => {
            let example = parse::shown(address, Some(80));
            Err(format!("the port is missing; write for example {example}, or any for all ports"))
        }
    }
}

fn mark(text: &str) -> Result<(FirewallMark, Family), String> {
    let mut words = text.split_whitespace();
    let (number, family) = (words.next().unwrap_or_default(), words.next());
    let usage = || format!("\"{text}\" is not a firewall mark; use 1 to 1073741823, and ipv6 behind it for IPv6");
    let family = family.map_or(Ok(Family::Ipv4), |f| f.parse().map_err(|_| usage()))?;
    if words.next().is_some() || !parse::digits(number) {
        return Err(usage());
    }
    let mark = number.parse::<u32>().map_err(|_| usage())?;
    Ok((FirewallMark::try_from(mark).map_err(|e| e.to_string())?, family))
}

fn write_fallback(vs: &mut VirtualServer, config: &Config, typed: &mut Typed) {
    if !typed.changed(&["fallback", "fallback_forwarding"]) {
        return;
    }
    let chosen = typed.text("fallback_forwarding").parse::<ForwardingMethod>().ok();
    let fallback = typed.parsed("fallback", |text| {
        if text.is_empty() || text.eq_ignore_ascii_case("none") {
            return Ok(None);
        }
        let (address, port) = parse::address_and_port(text)?;
        let port = port.map(parse::port).transpose()?;
        let forwarding = chosen.unwrap_or_else(|| usual_forwarding(address, config));
        Ok::<_, String>(Some(FallbackServer { address, port, forwarding }))
    });
    if let Some(fallback) = fallback {
        vs.fallback = fallback;
    }
}

impl Remove for VirtualServerForm {
    fn fingerprint(&self, config: &Config) -> Option<String> {
        self.position(config).map(|at| fingerprint_of(&config.virtual_servers[at]))
    }

    fn remove(&self, config: &Config) -> Option<Removal> {
        let at = self.position(config)?;
        let mut new = config.clone();
        new.virtual_servers.remove(at);
        Some(removal(config, new))
    }
}
