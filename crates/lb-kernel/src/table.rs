//! Lines of `/proc/net/ip_vs_conn`, as `ip_vs_conn_seq_show` in the kernel's `ip_vs_conn.c` prints them:
//!
//! ```text
//! Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
//! TCP 0A000064 C350 0A000015 0050 C0A80232 0050 ESTABLISHED     897
//! ```
//!
//! IPv4 addresses are eight hexadecimal digits, IPv6 ones all 32 with colons; the real server's family may be another
//! one than the client's. There is no other way to the table: IPVS has no netlink call for it.

use crate::Connection;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::SplitAsciiWhitespace,
};

/// `None` for the headline, and for what is no such line.
pub(crate) fn connection(line: &str) -> Option<Connection<'_>> {
    let mut words = line.split_ascii_whitespace();
    Some(Connection {
        protocol: words.next()?,
        client: socket(&mut words)?,
        virtual_server: socket(&mut words)?,
        real_server: socket(&mut words)?,
        state: words.next()?,
        expires: words.next()?.parse().ok()?,
    })
}

fn socket(words: &mut SplitAsciiWhitespace<'_>) -> Option<SocketAddr> {
    let address = words.next()?;
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?)),
        39 => IpAddr::V6(address.parse::<Ipv6Addr>().ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(words.next()?, 16).ok()?))
}

#[cfg(test)]
mod tests;
