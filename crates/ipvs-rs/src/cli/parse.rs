//! From arguments to a [`Command`]. Options work in the order they are given, as in the original: `-r`
//! takes its port from a service named before it, `-6` needs its `-f` before it. Pure but for [`Names`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use super::address::{endpoint, leading_number, netmask, number};
use super::names::Names;
use super::options::{self, Opt, TUNNEL, TUNNEL_DETAILS, Trait, Traits};
use super::popt::Popt;
use super::verb::Verb;
use super::{Command, Format, Listing, Rejection};
use crate::config::Timeouts;
use crate::daemon::Daemon;
use crate::dest::{Checksum, Dest, Forward, Tunnel};
use crate::request::Request;
use crate::service::{Family, Flags, MAX_PE_NAME, MAX_SCHEDULER_NAME, Netmask, Protocol, Service, ServiceId};

/// Longest timeout in seconds that is accepted: 31 days.
const MAX_TIMEOUT: i64 = 86_400 * 31;
/// Persistence timeout in seconds when `-p` stands alone.
const DEFAULT_PERSISTENCE: u32 = 360;
const DEFAULT_SCHEDULER: &str = "wlc";
const DEFAULT_INTERFACE: &str = "eth0";
/// Longest interface name in bytes (`IP_VS_IFNAME_MAXLEN` less the NUL).
const MAX_INTERFACE: usize = 15;
/// Debian's patch to 1.29: upstream stops at 65535.
const MAX_WEIGHT: i64 = i32::MAX as i64;

/// Reads a command line; `args` without the program's name, `program` for messages.
pub fn parse(program: &str, args: &[&str], names: &dyn Names) -> Result<Command, Rejection> {
    let mut popt = Popt::new(args);
    let Ok(Some((command, value))) = popt.next_option() else {
        return Err(Rejection::try_help(program));
    };
    let verb = match command {
        Opt::Help => return Ok(Command::Help),
        Opt::Version => return Ok(Command::Version),
        _ => Verb::of(command, value).unwrap_or_else(|| Err(Rejection::try_help(program)))?,
    };
    let mut draft = Draft::default();
    loop {
        match popt.next_option() {
            Ok(None) => break,
            Ok(Some((opt, value))) => draft.take(opt, value, popt.current(), names)?,
            Err(error) => return Err(Rejection { status: 255, text: error.text(), fatal: false }),
        }
    }
    let timeouts = match verb {
        Verb::Set => Some(take_timeouts(&mut popt.operands)?),
        _ => None,
    };
    if let Some(operand) = popt.operands.first() {
        return Err(Rejection::local(format!("unexpected argument {operand}")));
    }
    if let Some(list) = draft.sched_flags {
        let all = Flags::SCHED1 | Flags::SCHED2 | Flags::SCHED3;
        let others = draft.flags.bits() & !all.bits();
        draft.flags = Flags::from_bits(others) | sched_flags(draft.scheduler(), list)?;
    }
    verb.rule().check(draft.traits)?;
    draft.finish(verb, timeouts)
}

#[derive(Debug, Clone, Copy)]
enum Method {
    Masq,
    Tunnel,
    Direct,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TunnelType {
    Ipip,
    Gue,
    Gre,
}

/// What the options so far add up to.
struct Draft<'a> {
    traits: Traits,
    format: Format,
    // the service
    protocol: Option<Protocol>,
    address: Option<IpAddr>,
    port: u16,
    mark: Option<NonZeroU32>,
    family: Option<Family>,
    scheduler: &'a str,
    sched_flags: Option<&'a str>,
    flags: Flags,
    timeout: u32,
    netmask: Netmask,
    pe_name: Option<&'a str>,
    // the real server
    server: Option<(IpAddr, u16)>,
    method: Method,
    weight: u32,
    upper: u32,
    lower: u32,
    tunnel: TunnelType,
    tunnel_port: u16,
    checksum: Checksum,
    // the daemon
    interface: &'a str,
    sync_id: u32,
    max_len: u16,
    group: Option<IpAddr>,
    mcast_port: u16,
    ttl: u8,
}

impl Default for Draft<'_> {
    fn default() -> Self {
        Self {
            traits: Traits::default(),
            format: Format::default(),
            protocol: None,
            address: None,
            port: 0,
            mark: None,
            family: None,
            scheduler: "",
            sched_flags: None,
            flags: Flags::NONE,
            timeout: 0,
            netmask: Netmask::full(Family::V4),
            pe_name: None,
            server: None,
            method: Method::Direct,
            weight: 1,
            upper: 0,
            lower: 0,
            tunnel: TunnelType::Ipip,
            tunnel_port: 0,
            checksum: Checksum::None,
            interface: "",
            sync_id: 0,
            max_len: 0,
            group: None,
            mcast_port: 0,
            ttl: 0,
        }
    }
}

impl<'a> Draft<'a> {
    /// Takes one option; `at` is the argument it stood in.
    fn take(&mut self, opt: Opt, value: Option<&'a str>, at: &str, names: &dyn Names) -> Result<(), Rejection> {
        let text = value.unwrap_or_default();
        match opt {
            Opt::TcpService => self.service(Protocol::Tcp, text, names)?,
            Opt::UdpService => self.service(Protocol::Udp, text, names)?,
            Opt::SctpService => self.service(Protocol::Sctp, text, names)?,
            Opt::FwmarkService => self.fwmark(text)?,
            Opt::Ipv6 if self.mark.is_some() => {
                self.family = Some(Family::V6);
                self.netmask = Netmask::full(Family::V6);
            }
            // The original's message has a line end of its own.
            Opt::Ipv6 => return Err(Rejection::local("-6 used before -f\n")),
            Opt::Scheduler => {
                self.traits.insert(Trait::Scheduler)?;
                self.scheduler = cut(text, MAX_SCHEDULER_NAME);
            }
            Opt::Persistent => {
                self.traits.insert(Trait::Persistent)?;
                self.flags |= Flags::PERSISTENT;
                self.timeout = match value {
                    Some(text) => timeout(text, 1)?,
                    None => DEFAULT_PERSISTENCE,
                };
            }
            Opt::Netmask => self.netmask(text, names)?,
            Opt::Ops => {
                self.traits.insert(Trait::Ops)?;
                self.flags |= Flags::ONE_PACKET;
            }
            Opt::Pe => {
                self.traits.insert(Trait::Pe)?;
                self.pe_name = Some(cut(text, MAX_PE_NAME)).filter(|name| !name.is_empty());
            }
            Opt::SchedFlags => {
                self.traits.insert(Trait::SchedFlags)?;
                self.sched_flags = Some(text).filter(|list| !list.is_empty());
            }
            Opt::RealServer => self.server(text, names)?,
            Opt::Ipip => self.forward(Method::Tunnel)?,
            Opt::Gatewaying => self.forward(Method::Direct)?,
            Opt::Masquerading => self.forward(Method::Masq)?,
            Opt::Weight => self.weight = self.number(Trait::Weight, text, 0, MAX_WEIGHT, "weight")?,
            Opt::UThreshold => self.upper = self.number(Trait::UThreshold, text, 0, MAX_WEIGHT, "u_threshold")?,
            Opt::LThreshold => self.lower = self.number(Trait::LThreshold, text, 0, MAX_WEIGHT, "l_threshold")?,
            Opt::TunType => {
                self.traits.insert(Trait::TunType)?;
                self.tunnel = match text {
                    "ipip" => TunnelType::Ipip,
                    "gue" => TunnelType::Gue,
                    "gre" => TunnelType::Gre,
                    _ => return Err(Rejection::local("illegal tunnel type specified")),
                };
            }
            Opt::TunPort => self.tunnel_port = self.number(Trait::TunPort, text, 1, 65_535, "tunnel port")?,
            Opt::TunNocsum => self.traits.insert(Trait::TunNocsum)?,
            Opt::TunCsum => {
                self.traits.insert(Trait::TunCsum)?;
                self.checksum = Checksum::Full;
            }
            Opt::TunRemcsum => {
                self.traits.insert(Trait::TunRemcsum)?;
                self.checksum = Checksum::Remote;
            }
            Opt::McastInterface => {
                self.traits.insert(Trait::Mcast)?;
                self.interface = cut(text, MAX_INTERFACE);
            }
            Opt::Syncid => self.sync_id = self.number(Trait::Syncid, text, 0, 255, "syncid")?,
            Opt::McastGroup => self.group(text)?,
            Opt::McastPort => self.mcast_port = self.number(Trait::McastPort, text, 1, 65_535, "mcast-port")?,
            Opt::McastTtl => self.ttl = self.number(Trait::McastTtl, text, 1, 255, "mcast-ttl")?,
            // What fits a UDP datagram over IPv4.
            Opt::SyncMaxlen => {
                self.max_len = self.number(Trait::SyncMaxlen, text, 1, 65_535 - 20 - 8, "sync-maxlen")?;
            }
            Opt::Numeric => {
                self.traits.insert(Trait::Numeric)?;
                self.format.numeric = true;
            }
            Opt::Connection => self.traits.insert(Trait::Connection)?,
            Opt::Timeout => self.traits.insert(Trait::Timeout)?,
            Opt::Daemon => self.traits.insert(Trait::Daemon)?,
            Opt::Stats => {
                self.traits.insert(Trait::Stats)?;
                self.format.stats = true;
            }
            Opt::Rate => {
                self.traits.insert(Trait::Rate)?;
                self.format.rate = true;
            }
            Opt::Thresholds => {
                self.traits.insert(Trait::Thresholds)?;
                self.format.thresholds = true;
            }
            Opt::PersistentConn => {
                self.traits.insert(Trait::PersistentConn)?;
                self.format.persistent_conn = true;
            }
            Opt::TunInfo => {
                self.traits.insert(Trait::TunInfo)?;
                self.format.tun_info = true;
            }
            Opt::Nosort => {
                self.traits.insert(Trait::Nosort)?;
                self.format.nosort = true;
            }
            Opt::Exact => {
                self.traits.insert(Trait::Exact)?;
                self.format.exact = true;
            }
            Opt::Sort => {}
            Opt::AddService
            | Opt::EditService
            | Opt::DeleteService
            | Opt::Clear
            | Opt::List
            | Opt::Zero
            | Opt::AddServer
            | Opt::EditServer
            | Opt::DeleteServer
            | Opt::Set
            | Opt::Help
            | Opt::Version
            | Opt::Restore
            | Opt::Save
            | Opt::StartDaemon
            | Opt::StopDaemon => return Err(Rejection::local(format!("invalid option `{at}'"))),
        }
        Ok(())
    }

    fn service(&mut self, protocol: Protocol, text: &str, names: &dyn Names) -> Result<(), Rejection> {
        self.traits.insert(Trait::Service)?;
        self.protocol = Some(protocol);
        let found = endpoint(text, self.protocol, names)
            .ok_or_else(|| Rejection::local("illegal virtual server address[:port] specified"))?;
        self.address = Some(found.address);
        self.port = found.port.unwrap_or(0);
        let family = Family::of(found.address);
        self.family = Some(family);
        if family == Family::V6 {
            self.netmask = Netmask::full(family);
        }
        Ok(())
    }

    fn fwmark(&mut self, text: &str) -> Result<(), Rejection> {
        self.traits.insert(Trait::Service)?;
        self.family = Some(Family::V4);
        self.protocol = Some(Protocol::Tcp);
        let mark = number(text, 1..=i64::from(u32::MAX)).and_then(|mark| u32::try_from(mark).ok());
        match mark.and_then(NonZeroU32::new) {
            Some(mark) => self.mark = Some(mark),
            None => return Err(Rejection::local(format!("invalid fwmark value `{text}' specified"))),
        }
        Ok(())
    }

    fn netmask(&mut self, text: &str, names: &dyn Names) -> Result<(), Rejection> {
        self.traits.insert(Trait::Netmask)?;
        self.netmask = if self.family == Some(Family::V6) {
            let length = u8::try_from(leading_number(text)).ok().filter(|length| (1..=128).contains(length));
            Netmask::V6(length.ok_or_else(|| Rejection::local("illegal ipv6 netmask specified"))?)
        } else {
            let mask = netmask(text, names);
            Netmask::V4(mask.ok_or_else(|| Rejection::local("illegal virtual server persistent mask specified"))?)
        };
        Ok(())
    }

    fn server(&mut self, text: &str, names: &dyn Names) -> Result<(), Rejection> {
        self.traits.insert(Trait::Server)?;
        let found = endpoint(text, self.protocol, names)
            .ok_or_else(|| Rejection::local("illegal real server address[:port] specified"))?;
        self.server = Some((found.address, found.port.unwrap_or(self.port)));
        Ok(())
    }

    fn forward(&mut self, method: Method) -> Result<(), Rejection> {
        self.traits.insert(Trait::Forward)?;
        self.method = method;
        Ok(())
    }

    fn number<T: TryFrom<i64>>(
        &mut self,
        which: Trait,
        text: &str,
        min: i64,
        max: i64,
        name: &str,
    ) -> Result<T, Rejection> {
        self.traits.insert(which)?;
        number(text, min..=max)
            .and_then(|value| T::try_from(value).ok())
            .ok_or_else(|| Rejection::local(format!("illegal {name} specified")))
    }

    fn group(&mut self, text: &str) -> Result<(), Rejection> {
        self.traits.insert(Trait::McastGroup)?;
        let (kind, group) = if text.contains(':') {
            let group = text.parse::<Ipv6Addr>().ok().filter(Ipv6Addr::is_multicast);
            ("IPv6", group.map(IpAddr::V6))
        } else {
            let group = text.parse::<Ipv4Addr>().ok().filter(Ipv4Addr::is_multicast);
            ("IPv4", group.map(IpAddr::V4))
        };
        if group.is_none() {
            return Err(Rejection::local(format!("invalid {kind} mcast-group `{text}'")));
        }
        self.group = group;
        Ok(())
    }

    fn scheduler(&self) -> &'a str {
        if self.scheduler.is_empty() { DEFAULT_SCHEDULER } else { self.scheduler }
    }

    fn finish(self, verb: Verb, timeouts: Option<Timeouts>) -> Result<Command, Rejection> {
        let id = self.service_id();
        let request = match (verb, id) {
            (Verb::AddService, Some(id)) => Request::AddService(self.whole_service(id)?),
            (Verb::EditService, Some(id)) => Request::SetService(self.whole_service(id)?),
            (Verb::DeleteService, Some(id)) => Request::DelService(id),
            (Verb::AddServer, Some(id)) => Request::AddDest(id, self.whole_dest(id)?),
            (Verb::EditServer, Some(id)) => Request::SetDest(id, self.whole_dest(id)?),
            (Verb::DeleteServer, Some(id)) => Request::DelDest(id, self.dest()?.id()),
            // The rules have refused these without a service.
            (Verb::AddService | Verb::EditService | Verb::DeleteService, None)
            | (Verb::AddServer | Verb::EditServer | Verb::DeleteServer, None) => {
                return Err(Rejection::local("no virtual service specified"));
            }
            (Verb::Clear, _) => Request::Flush,
            (Verb::Zero, id) => Request::Zero(id.filter(|id| !is_nothing(id))),
            (Verb::Set, _) => Request::SetTimeouts(timeouts.unwrap_or_default()),
            (Verb::StartDaemon(role), _) => Request::StartDaemon(Daemon {
                role,
                interface: if self.interface.is_empty() { DEFAULT_INTERFACE } else { self.interface }.to_owned(),
                sync_id: self.sync_id,
                max_len: self.max_len,
                group: self.group,
                port: self.mcast_port,
                ttl: self.ttl,
            }),
            (Verb::StopDaemon(role), _) => Request::StopDaemon(role),
            (Verb::Restore, _) => return Ok(Command::Restore),
            (Verb::Save, _) => return Ok(Command::Save(self.format)),
            (Verb::List, id) => return self.list(id),
        };
        Ok(Command::Change(request))
    }

    fn service_id(&self) -> Option<ServiceId> {
        match (self.mark, self.protocol, self.address) {
            (Some(mark), _, _) => Some(ServiceId::Mark { mark, family: self.family.unwrap_or(Family::V4) }),
            (None, Some(protocol), Some(address)) => Some(ServiceId::address(protocol, address, self.port)),
            (None, ..) => None,
        }
    }

    fn whole_service(&self, id: ServiceId) -> Result<Service, Rejection> {
        if let ServiceId::Address { protocol, port, .. } = id {
            if port == 0 && !self.flags.contains(Flags::PERSISTENT) {
                return Err(Rejection::local("Zero port specified for non-persistent service"));
            }
            if self.flags.contains(Flags::ONE_PACKET) && protocol != Protocol::Udp {
                return Err(Rejection::local("One-Packet Scheduling is only for UDP virtual services"));
            }
        }
        Ok(Service {
            id,
            scheduler: self.scheduler().to_owned(),
            flags: self.flags,
            timeout: self.timeout,
            netmask: self.netmask,
            pe_name: self.pe_name.map(str::to_owned),
        })
    }

    fn dest(&self) -> Result<Dest, Rejection> {
        // The rules have refused a command without one.
        let (address, port) = self.server.ok_or_else(|| Rejection::local("no real server specified"))?;
        let forward = match (self.method, self.tunnel) {
            (Method::Masq, _) => Forward::Masq,
            (Method::Direct, _) => Forward::Direct,
            (Method::Tunnel, TunnelType::Ipip) => Forward::Tunnel(Tunnel::Ipip),
            (Method::Tunnel, TunnelType::Gue) => {
                Forward::Tunnel(Tunnel::Gue { port: self.tunnel_port, checksum: self.checksum })
            }
            (Method::Tunnel, TunnelType::Gre) => Forward::Tunnel(Tunnel::Gre { checksum: self.checksum }),
        };
        Ok(Dest { address, port, forward, weight: self.weight, upper: self.upper, lower: self.lower })
    }

    fn whole_dest(&self, id: ServiceId) -> Result<Dest, Rejection> {
        let mut dest = self.dest()?;
        let tunnelled = matches!(self.method, Method::Tunnel);
        // Direct routing and tunnels do not touch the port, so that the server's is the service's.
        if self.mark.is_none() && !matches!(self.method, Method::Masq) {
            dest.port = self.port;
        }
        if Family::of(dest.address) != id.family() && !tunnelled {
            let text = "Different address family is allowed only for tunneling servers";
            return Err(Rejection::local(text));
        }
        if self.traits.any(TUNNEL) && !tunnelled {
            return Err(Rejection::local("Tunnel options conflict with forward method"));
        }
        let rule = match self.tunnel {
            TunnelType::Ipip => &options::IPIP,
            TunnelType::Gue => &options::GUE,
            TunnelType::Gre => &options::GRE,
        };
        rule.check_among(self.traits, TUNNEL_DETAILS)?;
        Ok(dest)
    }

    fn list(&self, id: Option<ServiceId>) -> Result<Command, Rejection> {
        let apart = Traits::of(&[Trait::Timeout, Trait::Daemon]);
        let numbers = Traits::of(&[Trait::Stats, Trait::Rate, Trait::Thresholds]);
        let other_table = self.traits.any(apart) || self.traits.has(Trait::Connection);
        if other_table && self.traits.any(numbers) || self.traits.any(apart) && self.traits.has(Trait::PersistentConn) {
            return Err(Rejection::local("options conflicts in the list command"));
        }
        let what = match id {
            _ if self.traits.has(Trait::Connection) => Listing::Connections,
            Some(id) => Listing::One(id),
            None if self.traits.has(Trait::Timeout) => Listing::Timeouts,
            None if self.traits.has(Trait::Daemon) => Listing::Daemons,
            None => Listing::All,
        };
        Ok(Command::List(what, self.format))
    }
}

/// `-Z -t 0.0.0.0:0`: to the original that is no service at all, so it zeroes all.
fn is_nothing(id: &ServiceId) -> bool {
    matches!(id, ServiceId::Address { address, port: 0, .. } if address.is_unspecified())
}

fn take_timeouts(operands: &mut Vec<&str>) -> Result<Timeouts, Rejection> {
    let [tcp, tcp_fin, udp, ..] = operands[..] else {
        return Err(Rejection::local("--set option requires 3 timeout values"));
    };
    let timeouts = Timeouts { tcp: timeout(tcp, 0)?, tcp_fin: timeout(tcp_fin, 0)?, udp: timeout(udp, 0)? };
    operands.drain(..3);
    Ok(timeouts)
}

fn timeout(text: &str, min: i64) -> Result<u32, Rejection> {
    number(text, min..=MAX_TIMEOUT)
        .and_then(|value| u32::try_from(value).ok())
        .ok_or_else(|| Rejection::local(format!("invalid timeout value `{text}' specified")))
}

/// `-b`: names that belong to a scheduler go with that one alone.
fn sched_flags(scheduler: &str, list: &str) -> Result<Flags, Rejection> {
    let mut flags = Flags::NONE;
    for name in list.split(',').filter(|name| !name.is_empty()) {
        let (flag, only) = match name {
            "flag-1" => (Flags::SCHED1, None),
            "flag-2" => (Flags::SCHED2, None),
            "flag-3" => (Flags::SCHED3, None),
            "sh-fallback" => (Flags::SH_FALLBACK, Some("sh")),
            "sh-port" => (Flags::SH_PORT, Some("sh")),
            "mh-fallback" => (Flags::MH_FALLBACK, Some("mh")),
            "mh-port" => (Flags::MH_PORT, Some("mh")),
            _ => return Err(Rejection::local(format!("invalid scheduler flag `{name}'"))),
        };
        if only.is_some_and(|only| only != scheduler) {
            return Err(Rejection::local(format!("incompatible scheduler flag `{name}'")));
        }
        flags |= flag;
    }
    Ok(flags)
}

/// At most `max` bytes, as the kernel's fixed-size names hold.
fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests;
