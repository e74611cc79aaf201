//! What holds for a whole network namespace: connection timeouts, and facts about the kernel's IPVS. Pure.

use crate::wire::{Attrs, DecodeError, Encoder, attr};

/// Connection timeouts in seconds. In a set, 0 leaves the value as it is. Kernel defaults: 900, 120, 300.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    pub tcp: u32,
    pub tcp_fin: u32,
    pub udp: u32,
}

impl Timeouts {
    /// Writes the three attributes of a set.
    pub fn encode(&self, out: &mut Encoder) {
        out.u32(attr::TIMEOUT_TCP, self.tcp);
        out.u32(attr::TIMEOUT_TCP_FIN, self.tcp_fin);
        out.u32(attr::TIMEOUT_UDP, self.udp);
    }

    /// Reads the reply; a kernel built without one of the protocols leaves its value out (0).
    pub fn decode(attrs: Attrs<'_>) -> Result<Self, DecodeError> {
        let mut timeouts = Self::default();
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                attr::TIMEOUT_TCP => timeouts.tcp = attr.u32("tcp timeout")?,
                attr::TIMEOUT_TCP_FIN => timeouts.tcp_fin = attr.u32("tcp fin timeout")?,
                attr::TIMEOUT_UDP => timeouts.udp = attr.u32("udp timeout")?,
                _ => {}
            }
        }
        Ok(timeouts)
    }
}

/// What the kernel says of its IPVS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Three numbers in the low three bytes, as in 0x010201 = 1.2.1.
    pub version: u32,
    /// Buckets of the connection table.
    pub conn_table_size: u32,
}

impl Info {
    /// Major, minor, patch.
    pub fn version_parts(&self) -> (u32, u32, u32) {
        ((self.version >> 16) & 0xff, (self.version >> 8) & 0xff, self.version & 0xff)
    }

    /// Reads the reply. Its top-level numbers are its own (`IPVS_INFO_ATTR_*`), not those of [`attr`].
    pub fn decode(attrs: Attrs<'_>) -> Result<Self, DecodeError> {
        let (mut version, mut size) = (None, None);
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                1 => version = Some(attr.u32("version")?),
                2 => size = Some(attr.u32("connection table size")?),
                _ => {}
            }
        }
        Ok(Self {
            version: version.ok_or(DecodeError::Missing("version"))?,
            conn_table_size: size.ok_or(DecodeError::Missing("connection table size"))?,
        })
    }
}
