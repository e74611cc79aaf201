//! The connection synchronisation daemons: one master and one backup at most per network namespace. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::{Attrs, DecodeError, Encoder, attr};

/// Numbers inside the daemon nest (`IPVS_DAEMON_ATTR_*`).
mod id {
    pub const STATE: u16 = 1;
    pub const MCAST_IFN: u16 = 2;
    pub const SYNC_ID: u16 = 3;
    pub const SYNC_MAXLEN: u16 = 4;
    pub const MCAST_GROUP: u16 = 5;
    pub const MCAST_GROUP6: u16 = 6;
    pub const MCAST_PORT: u16 = 7;
    pub const MCAST_TTL: u16 = 8;
}

/// Which half of the synchronisation (`IP_VS_STATE_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DaemonRole {
    /// Sends its connections.
    Master,
    /// Receives them.
    Backup,
}

impl DaemonRole {
    fn number(self) -> u32 {
        match self {
            Self::Master => 1,
            Self::Backup => 2,
        }
    }

    /// Writes the daemon nest with the role alone, as a stop needs it.
    pub fn encode_nest(self, out: &mut Encoder) {
        let nest = out.nest(attr::DAEMON);
        out.u32(id::STATE, self.number());
        out.end_nest(nest);
    }
}

impl fmt::Display for DaemonRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Backup => "backup",
        })
    }
}

/// A sync daemon. The kernel refuses to start one while a destination of another family than its service
/// exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    pub role: DaemonRole,
    /// Interface to send on or listen at.
    pub interface: String,
    /// 0..=255; a backup takes messages of its own id, or of all with 0.
    pub sync_id: u32,
    /// Longest message in bytes; 0 = from the interface's MTU.
    pub max_len: u16,
    /// Multicast group; `None` = 224.0.0.81.
    pub group: Option<IpAddr>,
    /// UDP port; 0 = 8848.
    pub port: u16,
    /// Time to live, 1..=255; 0 = 1.
    pub ttl: u8,
}

impl Daemon {
    /// A daemon with the kernel's defaults.
    pub fn new(role: DaemonRole, interface: impl Into<String>, sync_id: u32) -> Self {
        Self { role, interface: interface.into(), sync_id, max_len: 0, group: None, port: 0, ttl: 0 }
    }

    /// Writes the daemon nest; what is at its default is left out.
    pub fn encode_nest(&self, out: &mut Encoder) {
        let nest = out.nest(attr::DAEMON);
        out.u32(id::STATE, self.role.number());
        out.string(id::MCAST_IFN, &self.interface);
        out.u32(id::SYNC_ID, self.sync_id);
        if self.max_len != 0 {
            out.u16(id::SYNC_MAXLEN, self.max_len);
        }
        if self.port != 0 {
            out.u16(id::MCAST_PORT, self.port);
        }
        if self.ttl != 0 {
            out.u8(id::MCAST_TTL, self.ttl);
        }
        match self.group {
            Some(IpAddr::V4(group)) => out.raw(id::MCAST_GROUP, &group.octets()),
            Some(IpAddr::V6(group)) => out.raw(id::MCAST_GROUP6, &group.octets()),
            None => {}
        }
        out.end_nest(nest);
    }

    /// Reads the top-level attributes of a reply to a read of daemons.
    pub fn decode(attrs: Attrs<'_>) -> Result<Self, DecodeError> {
        for attr in attrs {
            let attr = attr?;
            if attr.kind == attr::DAEMON {
                return Self::decode_nest(attr.nested());
            }
        }
        Err(DecodeError::Missing("daemon"))
    }

    fn decode_nest(attrs: Attrs<'_>) -> Result<Self, DecodeError> {
        let (mut role, mut interface, mut sync_id) = (None, None, None);
        let (mut max_len, mut group, mut port, mut ttl) = (0, None, 0, 0);
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                id::STATE => {
                    role = Some(match attr.u32("state")? {
                        1 => DaemonRole::Master,
                        2 => DaemonRole::Backup,
                        _ => return Err(DecodeError::Value("state")),
                    });
                }
                id::MCAST_IFN => interface = Some(attr.text("interface")?.to_owned()),
                id::SYNC_ID => sync_id = Some(attr.u32("sync id")?),
                id::SYNC_MAXLEN => max_len = attr.u16("maximum length")?,
                id::MCAST_GROUP => group = Some(IpAddr::V4(Ipv4Addr::from(attr.chunk::<4>("group")?))),
                id::MCAST_GROUP6 => group = Some(IpAddr::V6(Ipv6Addr::from(attr.chunk::<16>("group")?))),
                // Host order, unlike every other port of this interface.
                id::MCAST_PORT => port = attr.u16("port")?,
                id::MCAST_TTL => ttl = attr.u8("time to live")?,
                _ => {}
            }
        }
        Ok(Self {
            role: role.ok_or(DecodeError::Missing("state"))?,
            interface: interface.ok_or(DecodeError::Missing("interface"))?,
            sync_id: sync_id.ok_or(DecodeError::Missing("sync id"))?,
            max_len,
            group,
            port,
            ttl,
        })
    }
}
