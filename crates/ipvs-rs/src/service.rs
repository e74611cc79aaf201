//! Virtual services: what they are called, how they are configured, and their attributes. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use crate::stats::Stats;
use crate::wire::{Attrs, DecodeError, Encoder, attr};

/// Numbers inside the service nest (`IPVS_SVC_ATTR_*`).
mod id {
    pub const AF: u16 = 1;
    pub const PROTOCOL: u16 = 2;
    pub const ADDR: u16 = 3;
    pub const PORT: u16 = 4;
    pub const FWMARK: u16 = 5;
    pub const SCHED_NAME: u16 = 6;
    pub const FLAGS: u16 = 7;
    pub const TIMEOUT: u16 = 8;
    pub const NETMASK: u16 = 9;
    pub const STATS: u16 = 10;
    pub const PE_NAME: u16 = 11;
    pub const STATS64: u16 = 12;
}

/// Longest scheduler name in bytes (`IP_VS_SCHEDNAME_MAXLEN` less the NUL).
pub const MAX_SCHEDULER_NAME: usize = 15;
/// Longest persistence engine name in bytes (`IP_VS_PENAME_MAXLEN`).
pub const MAX_PE_NAME: usize = 16;

/// Address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// `AF_INET` (2) or `AF_INET6` (10).
    pub fn number(self) -> u16 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub(crate) fn from_number(number: u16) -> Result<Self, DecodeError> {
        match number {
            2 => Ok(Self::V4),
            10 => Ok(Self::V6),
            _ => Err(DecodeError::Value("address family")),
        }
    }
}

/// Transport protocol of an address service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
    /// Something another program made: the netlink interface does not check the number.
    Other(u16),
}

impl Protocol {
    /// The IP protocol number.
    pub fn number(self) -> u16 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
            Self::Other(number) => number,
        }
    }

    /// The protocol of an IP protocol number.
    pub fn from_number(number: u16) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            132 => Self::Sctp,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Udp => f.write_str("udp"),
            Self::Sctp => f.write_str("sctp"),
            Self::Other(number) => write!(f, "protocol {number}"),
        }
    }
}

/// What makes a service that service. The same mark may exist once for IPv4 and once for IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceId {
    /// Packets to an address and port; port 0 = all ports (the kernel wants persistence for that).
    Address { protocol: Protocol, address: IpAddr, port: u16 },
    /// Packets that carry a firewall mark.
    Mark { mark: NonZeroU32, family: Family },
}

impl ServiceId {
    /// An address service.
    pub fn address(protocol: Protocol, address: IpAddr, port: u16) -> Self {
        Self::Address { protocol, address, port }
    }

    /// The family of the packets it takes.
    pub fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } => Family::of(*address),
            Self::Mark { family, .. } => *family,
        }
    }

    fn encode(&self, out: &mut Encoder) {
        out.u16(id::AF, self.family().number());
        match self {
            Self::Address { protocol, address, port } => {
                out.u16(id::PROTOCOL, protocol.number());
                out.raw(id::ADDR, &union(*address));
                out.be16(id::PORT, *port);
            }
            Self::Mark { mark, .. } => out.u32(id::FWMARK, mark.get()),
        }
    }

    /// Writes the service nest with the identity alone: enough for a delete, a read, and every command on
    /// a destination.
    pub fn encode_nest(&self, out: &mut Encoder) {
        let nest = out.nest(attr::SERVICE);
        self.encode(out);
        out.end_nest(nest);
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, address, port } => {
                write!(f, "{protocol} {}", std::net::SocketAddr::new(*address, *port))
            }
            Self::Mark { mark, family: Family::V4 } => write!(f, "mark {mark}"),
            Self::Mark { mark, family: Family::V6 } => write!(f, "mark {mark} (IPv6)"),
        }
    }
}

/// Flags of a service (`IP_VS_SVC_F_*`). The kernel's own `HASHED` is never among them: it comes back from
/// every read and would make each comparison with what was asked for fail (kubernetes#53801).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flags(u32);

impl Flags {
    /// None.
    pub const NONE: Self = Self(0);
    /// One client stays on one destination for the timeout.
    pub const PERSISTENT: Self = Self(1);
    /// Every packet is scheduled by itself (UDP).
    pub const ONE_PACKET: Self = Self(4);
    /// Scheduler flag 1.
    pub const SCHED1: Self = Self(8);
    /// Scheduler flag 2.
    pub const SCHED2: Self = Self(16);
    /// Scheduler flag 3.
    pub const SCHED3: Self = Self(32);
    /// `sh`: take another destination when the hashed one is unusable.
    pub const SH_FALLBACK: Self = Self::SCHED1;
    /// `sh`: the source port is part of the hash.
    pub const SH_PORT: Self = Self::SCHED2;
    /// `mh`: take another destination when the hashed one is unusable (`ip_vs_mh.c`).
    pub const MH_FALLBACK: Self = Self::SCHED1;
    /// `mh`: the source port is part of the hash (`ip_vs_mh.c`).
    pub const MH_PORT: Self = Self::SCHED2;
    /// The kernel's mark for "in the table".
    const HASHED: u32 = 2;

    /// As the kernel's number, `HASHED` removed.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & !Self::HASHED)
    }

    /// As the kernel's number.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl std::ops::BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({:#x})", self.0)
    }
}

/// How much of a client's address persistence looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Netmask {
    /// IPv4: any mask; the kernel takes holes too.
    V4(Ipv4Addr),
    /// IPv6: prefix length 1..=128. The kernel refuses others, also on services without persistence.
    V6(u8),
}

impl Netmask {
    /// Every client by itself: /32 or /128. Also what services without persistence carry.
    pub fn full(family: Family) -> Self {
        match family {
            Family::V4 => Self::V4(Ipv4Addr::BROADCAST),
            Family::V6 => Self::V6(128),
        }
    }

    /// A prefix length: 0..=32 for IPv4, 1..=128 for IPv6; larger ones are cut to the full length.
    pub fn prefix(family: Family, length: u8) -> Self {
        match family {
            Family::V4 => {
                let zeros = 32 - u32::from(length.min(32));
                Self::V4(Ipv4Addr::from_bits(u32::MAX.checked_shl(zeros).unwrap_or(0)))
            }
            Family::V6 => Self::V6(length.min(128)),
        }
    }

    fn wire(self) -> [u8; 4] {
        match self {
            Self::V4(mask) => mask.octets(),
            Self::V6(length) => u32::from(length).to_ne_bytes(),
        }
    }

    fn from_wire(family: Family, bytes: [u8; 4]) -> Result<Self, DecodeError> {
        match family {
            Family::V4 => Ok(Self::V4(Ipv4Addr::from(bytes))),
            Family::V6 => {
                u8::try_from(u32::from_ne_bytes(bytes)).map(Self::V6).map_err(|_| DecodeError::Value("netmask"))
            }
        }
    }
}

/// A virtual service as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub id: ServiceId,
    /// Scheduler name, 1..=15 bytes; `none` = no scheduler.
    pub scheduler: String,
    pub flags: Flags,
    /// Persistence timeout in seconds; 0 without [`Flags::PERSISTENT`].
    pub timeout: u32,
    /// Granularity of persistence; [`Netmask::full`] without persistence.
    pub netmask: Netmask,
    /// Persistence engine (the kernel has one: `sip`, for UDP). Leaving it out of a set removes it.
    pub pe_name: Option<String>,
}

impl Service {
    /// A service without persistence and flags.
    pub fn new(id: ServiceId, scheduler: impl Into<String>) -> Self {
        Self {
            id,
            scheduler: scheduler.into(),
            flags: Flags::NONE,
            timeout: 0,
            netmask: Netmask::full(id.family()),
            pe_name: None,
        }
    }

    /// The same with persistence of `timeout` seconds.
    pub fn persistent(mut self, timeout: u32, netmask: Netmask) -> Self {
        self.flags |= Flags::PERSISTENT;
        self.timeout = timeout;
        self.netmask = netmask;
        self
    }

    /// Writes the whole service nest, as an add or a set needs it.
    pub fn encode_nest(&self, out: &mut Encoder) {
        let nest = out.nest(attr::SERVICE);
        self.id.encode(out);
        out.string(id::SCHED_NAME, &self.scheduler);
        if let Some(name) = &self.pe_name {
            out.string(id::PE_NAME, name);
        }
        // struct ip_vs_flags { flags, mask }: all bits are ours to say.
        let mut flags = [0xff; 8];
        flags[..4].copy_from_slice(&self.flags.bits().to_ne_bytes());
        out.raw(id::FLAGS, &flags);
        out.u32(id::TIMEOUT, self.timeout);
        out.raw(id::NETMASK, &self.netmask.wire());
        out.end_nest(nest);
    }
}

/// A virtual service as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEntry {
    pub service: Service,
    pub stats: Stats,
}

impl ServiceEntry {
    /// Reads the top-level attributes of a reply to a read of services.
    pub fn decode(attrs: Attrs<'_>) -> Result<Self, DecodeError> {
        for attr in attrs {
            let attr = attr?;
            if attr.kind == attr::SERVICE {
                return Self::decode_nest(attr.nested());
            }
        }
        Err(DecodeError::Missing("service"))
    }

    fn decode_nest(attrs: Attrs<'_>) -> Result<Self, DecodeError> {
        let (mut family, mut protocol, mut addr, mut port, mut mark) = (None, None, None, 0, None);
        let (mut scheduler, mut pe_name, mut flags, mut timeout, mut mask) = ("", None, Flags::NONE, 0, None);
        let (mut stats, mut stats64) = (None, None);
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                id::AF => family = Some(Family::from_number(attr.u16("address family")?)?),
                id::PROTOCOL => protocol = Some(Protocol::from_number(attr.u16("protocol")?)),
                id::ADDR => addr = Some(attr.data),
                id::PORT => port = attr.be16("port")?,
                id::FWMARK => mark = NonZeroU32::new(attr.u32("mark")?),
                id::SCHED_NAME => scheduler = attr.text("scheduler")?,
                id::PE_NAME => pe_name = Some(attr.text("persistence engine")?.to_owned()),
                id::FLAGS => flags = Flags::from_bits(attr.u32("flags")?),
                id::TIMEOUT => timeout = attr.u32("timeout")?,
                id::NETMASK => mask = Some(attr.chunk::<4>("netmask")?),
                id::STATS => stats = Some(attr.nested()),
                id::STATS64 => stats64 = Some(attr.nested()),
                _ => {}
            }
        }
        let family = family.ok_or(DecodeError::Missing("address family"))?;
        let id = match mark {
            Some(mark) => ServiceId::Mark { mark, family },
            None => ServiceId::Address {
                protocol: protocol.ok_or(DecodeError::Missing("protocol"))?,
                address: address(family, addr.ok_or(DecodeError::Missing("address"))?)?,
                port,
            },
        };
        Ok(Self {
            service: Service {
                id,
                scheduler: scheduler.to_owned(),
                flags,
                timeout,
                netmask: match mask {
                    Some(bytes) => Netmask::from_wire(family, bytes)?,
                    None => Netmask::full(family),
                },
                pe_name,
            },
            stats: stats64.or(stats).map(Stats::decode).transpose()?.unwrap_or_default(),
        })
    }
}

/// `union nf_inet_addr`: IPv4 in the first four bytes, the rest zero.
pub(crate) fn union(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&v4.octets());
            bytes
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The address in a `union nf_inet_addr` of 4 or 16 bytes.
pub(crate) fn address(family: Family, bytes: &[u8]) -> Result<IpAddr, DecodeError> {
    const WRONG: DecodeError = DecodeError::Length("address");
    match family {
        Family::V4 => bytes.first_chunk::<4>().map(|b| IpAddr::V4(Ipv4Addr::from(*b))).ok_or(WRONG),
        Family::V6 => bytes.first_chunk::<16>().map(|b| IpAddr::V6(Ipv6Addr::from(*b))).ok_or(WRONG),
    }
}
