//! Destinations (real servers) of a service: identity, configuration, attributes. Pure.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::service::{Family, address, union};
use crate::stats::Stats;
use crate::wire::{Attrs, DecodeError, Encoder, attr};

/// Numbers inside the destination nest (`IPVS_DEST_ATTR_*`).
mod id {
    pub const ADDR: u16 = 1;
    pub const PORT: u16 = 2;
    pub const FWD_METHOD: u16 = 3;
    pub const WEIGHT: u16 = 4;
    pub const U_THRESH: u16 = 5;
    pub const L_THRESH: u16 = 6;
    pub const ACTIVE_CONNS: u16 = 7;
    pub const INACT_CONNS: u16 = 8;
    pub const PERSIST_CONNS: u16 = 9;
    pub const STATS: u16 = 10;
    pub const ADDR_FAMILY: u16 = 11;
    pub const STATS64: u16 = 12;
    pub const TUN_TYPE: u16 = 13;
    pub const TUN_PORT: u16 = 14;
    pub const TUN_FLAGS: u16 = 15;
}

/// What makes a destination that destination within its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DestId {
    pub address: IpAddr,
    pub port: u16,
}

impl DestId {
    fn encode(&self, out: &mut Encoder) {
        out.u16(id::ADDR_FAMILY, Family::of(self.address).number());
        out.raw(id::ADDR, &union(self.address));
        out.be16(id::PORT, self.port);
    }

    /// Writes the destination nest with the identity alone, as a delete needs it.
    pub fn encode_nest(&self, out: &mut Encoder) {
        let nest = out.nest(attr::DEST);
        self.encode(out);
        out.end_nest(nest);
    }
}

impl fmt::Display for DestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// Checksums on the outer header of a GUE or GRE tunnel (`IP_VS_TUNNEL_ENCAP_FLAG_*`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// None.
    #[default]
    None,
    /// Full checksum.
    Full,
    /// Remote checksum offload (GUE).
    Remote,
}

/// How packets are wrapped on the way to a tunnelled destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation to `port` (1..=65535; the kernel refuses 0).
    Gue { port: u16, checksum: Checksum },
    /// Generic routing encapsulation.
    Gre { checksum: Checksum },
}

/// How packets reach a destination (`IP_VS_CONN_F_FWD_MASK`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forward {
    /// Network address translation.
    Masq,
    /// The local stack. Rarely set by hand: the kernel does this by itself for local addresses.
    Local,
    /// Wrapped in another packet; the only method that may cross address families.
    Tunnel(Tunnel),
    /// Direct routing: only the link-layer address changes, so the destination must listen on the
    /// service's port.
    Direct,
    /// Past IPVS.
    Bypass,
}

impl Forward {
    fn number(self) -> u32 {
        match self {
            Self::Masq => 0,
            Self::Local => 1,
            Self::Tunnel(_) => 2,
            Self::Direct => 3,
            Self::Bypass => 4,
        }
    }
}

/// A destination as it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dest {
    pub address: IpAddr,
    /// Part of the identity even where forwarding ignores it (direct, tunnel): keep the service's port.
    pub port: u16,
    pub forward: Forward,
    /// 0..=2^31-1; 0 = no new connections.
    pub weight: u32,
    /// No new connections from this many on; 0 = no limit.
    pub upper: u32,
    /// New connections again below this; 0 = three quarters of `upper`. Not above `upper`.
    pub lower: u32,
}

impl Dest {
    /// A destination of weight 1 without thresholds.
    pub fn new(address: IpAddr, port: u16, forward: Forward) -> Self {
        Self { address, port, forward, weight: 1, upper: 0, lower: 0 }
    }

    /// Its identity.
    pub fn id(&self) -> DestId {
        DestId { address: self.address, port: self.port }
    }

    /// Writes the whole destination nest, as an add or a set needs it. Tunnel attributes are left out
    /// where they are zero: that is what the kernel assumes, on a set too.
    pub fn encode_nest(&self, out: &mut Encoder) {
        let nest = out.nest(attr::DEST);
        self.id().encode(out);
        out.u32(id::FWD_METHOD, self.forward.number());
        out.u32(id::WEIGHT, self.weight);
        match self.forward {
            Forward::Tunnel(Tunnel::Gue { port, checksum }) => {
                out.u8(id::TUN_TYPE, 1);
                out.be16(id::TUN_PORT, port);
                out.u16(id::TUN_FLAGS, checksum as u16);
            }
            Forward::Tunnel(Tunnel::Gre { checksum }) => {
                out.u8(id::TUN_TYPE, 2);
                out.u16(id::TUN_FLAGS, checksum as u16);
            }
            Forward::Tunnel(Tunnel::Ipip) | Forward::Masq | Forward::Local | Forward::Direct | Forward::Bypass => {}
        }
        out.u32(id::U_THRESH, self.upper);
        out.u32(id::L_THRESH, self.lower);
        out.end_nest(nest);
    }
}

/// A destination as the kernel reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestEntry {
    pub dest: Dest,
    /// Connections in an established state.
    pub active: u32,
    /// All other connections.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
    pub stats: Stats,
}

impl DestEntry {
    /// Reads the top-level attributes of a reply to a read of destinations. `service` is the service's
    /// family: kernels before 3.18 do not name the destination's own.
    pub fn decode(attrs: Attrs<'_>, service: Family) -> Result<Self, DecodeError> {
        for attr in attrs {
            let attr = attr?;
            if attr.kind == attr::DEST {
                return Self::decode_nest(attr.nested(), service);
            }
        }
        Err(DecodeError::Missing("destination"))
    }

    fn decode_nest(attrs: Attrs<'_>, service: Family) -> Result<Self, DecodeError> {
        let (mut addr, mut port, mut family) = (None, None, service);
        let (mut method, mut weight, mut upper, mut lower) = (None, 0, 0, 0);
        let (mut tun_type, mut tun_port, mut tun_flags) = (0, 0, 0);
        let (mut active, mut inactive, mut persistent) = (0, 0, 0);
        let (mut stats, mut stats64) = (None, None);
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                id::ADDR => addr = Some(attr.data),
                id::PORT => port = Some(attr.be16("port")?),
                id::FWD_METHOD => method = Some(attr.u32("forwarding method")?),
                id::WEIGHT => weight = attr.u32("weight")?,
                id::U_THRESH => upper = attr.u32("upper threshold")?,
                id::L_THRESH => lower = attr.u32("lower threshold")?,
                id::ACTIVE_CONNS => active = attr.u32("active connections")?,
                id::INACT_CONNS => inactive = attr.u32("inactive connections")?,
                id::PERSIST_CONNS => persistent = attr.u32("persistent connections")?,
                id::STATS => stats = Some(attr.nested()),
                id::STATS64 => stats64 = Some(attr.nested()),
                id::ADDR_FAMILY => match attr.u16("address family")? {
                    0 => {}
                    number => family = Family::from_number(number)?,
                },
                id::TUN_TYPE => tun_type = attr.u8("tunnel type")?,
                id::TUN_PORT => tun_port = attr.be16("tunnel port")?,
                id::TUN_FLAGS => tun_flags = attr.u16("tunnel flags")?,
                _ => {}
            }
        }
        // Both flags at once is possible on the wire; remote offload implies the checksum.
        let checksum = match tun_flags & 3 {
            0 => Checksum::None,
            1 => Checksum::Full,
            _ => Checksum::Remote,
        };
        // The kernel uses the low three bits alone (IP_VS_CONN_F_FWD_MASK).
        let forward = match method.ok_or(DecodeError::Missing("forwarding method"))? & 7 {
            0 => Forward::Masq,
            1 => Forward::Local,
            2 => Forward::Tunnel(match tun_type {
                0 => Tunnel::Ipip,
                1 => Tunnel::Gue { port: tun_port, checksum },
                2 => Tunnel::Gre { checksum },
                _ => return Err(DecodeError::Value("tunnel type")),
            }),
            3 => Forward::Direct,
            4 => Forward::Bypass,
            _ => return Err(DecodeError::Value("forwarding method")),
        };
        Ok(Self {
            dest: Dest {
                address: address(family, addr.ok_or(DecodeError::Missing("address"))?)?,
                port: port.ok_or(DecodeError::Missing("port"))?,
                forward,
                weight,
                upper,
                lower,
            },
            active,
            inactive,
            persistent,
            stats: stats64.or(stats).map(Stats::decode).transpose()?.unwrap_or_default(),
        })
    }
}
