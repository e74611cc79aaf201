//! The kernel's state in our words: what should be ([`Desired`]) and what is ([`Observed`]).

use crate::Ruleset;
use ipnet::IpNet;
use lb_model::{Family, Hostname, IfName, Protocol, Scheduler, TimeServer, Timeouts, Tunnel};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// Everything that the configuration determines on this unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    pub hostname: Hostname,
    /// `/etc/resolv.conf`, in order.
    pub nameservers: Vec<IpAddr>,
    /// Whom chronyd asks for the time; none: it does not run.
    pub time_servers: Vec<TimeServer>,
    /// Interfaces that must be up, with the MTU that was asked for.
    pub links: BTreeMap<IfName, Option<u32>>,
    /// The interfaces' own addresses; in the kernel before the services are.
    pub addresses: BTreeSet<Address>,
    /// Addresses of virtual servers that no interface has as its own; in the kernel after their services are.
    pub vips: BTreeSet<Address>,
    /// Addresses that the pair's heartbeat brings up. One that lbd added before there was a pair is left to it.
    pub floating: BTreeSet<Address>,
    pub routes: BTreeSet<Route>,
    /// Dotted names below `/proc/sys`, with their values.
    pub sysctls: BTreeMap<String, String>,
    pub ruleset: Ruleset,
    /// Families whose packets with [`Ruleset::DETOUR`] are this unit's, whatever their destination.
    pub detours: BTreeSet<Family>,
    pub timeouts: Timeouts,
    pub services: BTreeMap<ServiceKey, Service>,
    /// The two halves of connection synchronisation; `None`: this unit has no partner.
    pub sync: Option<SyncPair>,
    /// HTML for clients that no real server takes; `None`: the shipped page.
    pub fallback_page: Option<String>,
}

/// What the kernel has at the moment, as far as it concerns us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    pub hostname: String,
    pub nameservers: Vec<IpAddr>,
    /// `None`: chronyd's list is not one that lbd writes.
    pub time_servers: Option<Vec<TimeServer>>,
    pub links: BTreeMap<IfName, Link>,
    pub addresses: Vec<ObservedAddress>,
    pub routes: Vec<ObservedRoute>,
    /// The values of the settings that were asked for; absent where the kernel does not have one.
    pub sysctls: BTreeMap<String, String>,
    /// Our own table of firewall rules; `None` when it is missing or was changed by hand.
    pub ruleset: Option<Ruleset>,
    /// Of ours; `false`: only a part of it is there.
    pub detours: BTreeMap<Family, bool>,
    pub timeouts: Timeouts,
    /// Every IPVS service of the kernel, whoever made it.
    pub services: BTreeMap<ServiceKey, Service>,
    /// Services that we programmed, by our journal: what is in `services` and not here is somebody else's.
    pub owned: BTreeSet<ServiceKey>,
    /// The synchronisation daemons that run, but for one on the loopback: with that a persistent
    /// entry is removed, and it is gone in a moment.
    pub sync: BTreeMap<SyncRole, ObservedSync>,
    /// As in [`Desired`].
    pub fallback_page: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub up: bool,
    pub mtu: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub interface: IfName,
    pub net: IpNet,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.net, self.interface)
    }
}

/// `ours` is read off the address itself (IFA_PROTO), so it survives a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedAddress {
    pub address: Address,
    pub ours: bool,
}

/// A route through a router; the default route is `0.0.0.0/0` or `::/0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    pub to: IpNet,
    pub via: IpAddr,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to.prefix_len() {
            0 => write!(f, "default through {}", self.via),
            _ => write!(f, "{} through {}", self.to, self.via),
        }
    }
}

/// `ours` is read off the route itself (RTPROT), so it survives a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedRoute {
    pub route: Route,
    pub ours: bool,
}

/// Which half of connection synchronisation, in the kernel's words; one of each at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncRole {
    /// Sends this unit's connections.
    Master,
    /// Takes the partner's.
    Backup,
}

impl fmt::Display for SyncRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SyncRole::Master => "master",
            SyncRole::Backup => "backup",
        })
    }
}

/// Both halves run on both units all the time: what a unit serves, the other has. This unit's backup has the id of the
/// partner's master, and the other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncPair {
    pub master: SyncDaemon,
    pub backup: SyncDaemon,
}

impl SyncPair {
    pub fn daemon(&self, role: SyncRole) -> &SyncDaemon {
        match role {
            SyncRole::Master => &self.master,
            SyncRole::Backup => &self.backup,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncDaemon {
    pub interface: IfName,
    /// 1..=255. With 0 a backup takes everybody's messages: never ours, and what an id beyond a byte is shown as.
    pub sync_id: u8,
    /// Longest message in bytes, without IP and UDP headers; 1024..=65507.
    pub max_len: u16,
    /// Multicast.
    pub group: IpAddr,
    pub port: u16,
    pub ttl: u8,
}

impl SyncDaemon {
    /// The kernel's own group (`IP_VS_SYNC_GROUP`), port (`IP_VS_SYNC_PORT`) and reach: this network alone.
    pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 81);
    pub const PORT: u16 = 8848;
    /// The shortest that the kernel takes for a backup (`start_sync_thread`).
    pub const SHORTEST: u16 = 1024;
    /// IP and UDP headers.
    const HEADERS: u32 = 28;

    /// With messages as long as fit `mtu` unfragmented.
    pub fn new(interface: IfName, sync_id: u8, mtu: u32) -> SyncDaemon {
        let longest = u32::from(u16::MAX) - Self::HEADERS;
        let max_len = mtu.saturating_sub(Self::HEADERS).clamp(Self::SHORTEST.into(), longest);
        SyncDaemon {
            interface,
            sync_id,
            max_len: u16::try_from(max_len).unwrap_or(Self::SHORTEST),
            group: IpAddr::V4(Self::GROUP),
            port: Self::PORT,
            ttl: 1,
        }
    }
}

impl fmt::Display for SyncDaemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SyncDaemon { interface, sync_id, max_len, group, port, ttl } = self;
        write!(f, "on {interface} id {sync_id}, messages of {max_len} bytes")?;
        if (*group, *port, *ttl) != (IpAddr::V4(Self::GROUP), Self::PORT, 1) {
            write!(f, ", to {} ttl {ttl}", SocketAddr::new(*group, *port))?;
        }
        Ok(())
    }
}

/// `ours` by our journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSync {
    pub daemon: SyncDaemon,
    pub ours: bool,
}

/// What identifies an IPVS service in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    Address { protocol: Protocol, address: IpAddr, port: u16 },
    Mark { mark: u32, family: Family },
}

impl ServiceKey {
    pub fn family(&self) -> Family {
        match self {
            ServiceKey::Address { address, .. } => Family::of(*address),
            ServiceKey::Mark { family, .. } => *family,
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceKey::Address { protocol, address, port } => {
                write!(f, "{protocol} {}", SocketAddr::new(*address, *port))
            }
            ServiceKey::Mark { mark, family } => write!(f, "mark {mark} {family}"),
        }
    }
}

/// An IPVS service. `scheduler` is the kernel's name: a foreign one may be of a kind that we do not offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub scheduler: String,
    /// Seconds, and the prefix length that makes clients one client.
    pub persistence: Option<(u32, u8)>,
    pub one_packet: bool,
    /// Scheduler flags 1 to 3 of `ip_vs.h` as bits 0 to 2.
    pub scheduler_flags: u8,
    pub dests: BTreeMap<DestKey, Dest>,
}

impl Service {
    /// Equal but for the destinations.
    pub fn same_settings(&self, other: &Service) -> bool {
        self.scheduler == other.scheduler
            && self.persistence == other.persistence
            && self.one_packet == other.one_packet
            && self.scheduler_flags == other.scheduler_flags
    }

    /// `sh` and `mh` keep refusing clients of a server with weight 0 unless told to fall back:
    /// flag 1 (`IP_VS_SVC_F_SCHED_SH_FALLBACK`, `ip_vs_mh.c`); flag 2 hashes the port as well.
    pub fn flags_for(scheduler: Scheduler, hash_port: bool) -> u8 {
        match scheduler {
            Scheduler::Sh | Scheduler::Mh => 1 | (u8::from(hash_port) << 1),
            _ => 0,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.scheduler)?;
        if let Some((timeout, prefix)) = self.persistence {
            write!(f, " persistent {timeout} s by /{prefix}")?;
        }
        if self.one_packet {
            f.write_str(" one-packet")?;
        }
        match self.scheduler_flags {
            0 => Ok(()),
            flags => write!(f, " flags {flags}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestKey {
    pub address: IpAddr,
    /// The virtual server's own port for DR and TUN; 0 under a mark, where the packet's port stays.
    pub port: u16,
}

impl fmt::Display for DestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dest {
    pub forward: Forward,
    pub weight: u32,
    /// Connections, 0 = unrestricted.
    pub upper: u32,
    pub lower: u32,
}

impl fmt::Display for Dest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} weight {}", self.forward, self.weight)?;
        if self.upper > 0 {
            write!(f, " connections {}..{}", self.lower, self.upper)?;
        }
        Ok(())
    }
}

/// The kernel's forwarding methods. The last two are never ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    Dr,
    Nat,
    Tun(Tunnel),
    Local,
    Bypass,
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Forward::Dr => f.write_str("dr"),
            Forward::Nat => f.write_str("nat"),
            Forward::Tun(tunnel) => write!(f, "tun {tunnel}"),
            Forward::Local => f.write_str("local"),
            Forward::Bypass => f.write_str("bypass"),
        }
    }
}
