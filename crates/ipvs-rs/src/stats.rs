//! Counters and rates of a service or a destination. Pure.

use crate::wire::{Attrs, DecodeError};

/// Totals since the object was made or zeroed, and rates the kernel estimates (a tick every 2 s, averaged
/// over about 8 s). Byte rates are bytes per second, not bits.
///
/// Taken from the 64-bit statistics (kernel 4.1 and later); from the 32-bit ones, which wrap, when the
/// kernel sends no others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    pub conns: u64,
    pub in_packets: u64,
    pub out_packets: u64,
    pub in_bytes: u64,
    pub out_bytes: u64,
    /// Connections per second.
    pub cps: u64,
    /// Packets per second, in.
    pub in_pps: u64,
    /// Packets per second, out.
    pub out_pps: u64,
    /// Bytes per second, in.
    pub in_bps: u64,
    /// Bytes per second, out.
    pub out_bps: u64,
}

impl Stats {
    /// Reads `STATS` or `STATS64`: the numbers are the same, the widths differ. Number 11 is padding that
    /// the kernel puts before 64-bit values where they would be misaligned.
    pub fn decode(attrs: Attrs<'_>) -> Result<Self, DecodeError> {
        let mut stats = Self::default();
        for attr in attrs {
            let attr = attr?;
            let slot = match attr.kind {
                1 => &mut stats.conns,
                2 => &mut stats.in_packets,
                3 => &mut stats.out_packets,
                4 => &mut stats.in_bytes,
                5 => &mut stats.out_bytes,
                6 => &mut stats.cps,
                7 => &mut stats.in_pps,
                8 => &mut stats.out_pps,
                9 => &mut stats.in_bps,
                10 => &mut stats.out_bps,
                _ => continue,
            };
            *slot = match attr.data.len() {
                8 => attr.u64("stats")?,
                4 => u64::from(attr.u32("stats")?),
                _ => return Err(DecodeError::Length("stats")),
            };
        }
        Ok(stats)
    }
}
