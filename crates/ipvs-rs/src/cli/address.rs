//! Numbers, addresses and ports as the C library and `ipvsadm` read them. Pure but for [`Names`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::names::Names;
use crate::service::Protocol;

/// `strtol` in base 10 over the whole string: leading blanks and a sign are fine, anything behind is not.
pub fn number(text: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // A number too long for i64 is out of every range.
    text.parse().ok().filter(|value| range.contains(value))
}

/// `atoi`: the number at the front, 0 without one.
pub fn leading_number(text: &str) -> i64 {
    let text = text.trim_start();
    let sign = usize::from(text.starts_with(['+', '-']));
    let end = text[sign..].bytes().position(|b| !b.is_ascii_digit()).map_or(text.len(), |at| sign + at);
    text[..end].parse().unwrap_or(0)
}

/// `inet_aton`: one to four parts, decimal, octal (`0…`) or hexadecimal (`0x…`); the last part fills what
/// is left. Blanks may follow.
pub fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let end = text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len());
    let mut parts = [0u32; 4];
    let mut count = 0;
    for part in text[..end].split('.') {
        *parts.get_mut(count)? = aton_part(part)?;
        count += 1;
    }
    let last = count.checked_sub(1)?;
    let mut value = 0u32;
    for part in &parts[..last] {
        value = value << 8 | u32::from(u8::try_from(*part).ok()?);
    }
    let bits = 32 - 8 * last as u32;
    if bits < 32 && parts[last] >> bits != 0 {
        return None;
    }
    let shifted = value.checked_shl(bits).unwrap_or(0);
    Some(Ipv4Addr::from_bits(shifted | parts[last]))
}

fn aton_part(part: &str) -> Option<u32> {
    if !part.as_bytes().first()?.is_ascii_digit() {
        return None;
    }
    if let Some(hex) = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        // A sign is no digit, though from_str_radix would take it.
        return hex.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(hex, 16).ok())?;
    }
    let (radix, digits) = match part.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => (8, octal),
        _ => (10, part),
    };
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| u32::from_str_radix(digits, radix).ok())?
}

/// An address, and a port when one was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    pub address: IpAddr,
    pub port: Option<u16>,
}

/// `host[:port]`, `[v6]:port` or a bare IPv6 address. A string of digits alone is no host. Names of
/// services are those of `protocol`.
pub fn endpoint(text: &str, protocol: Option<Protocol>, names: &dyn Names) -> Option<Endpoint> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (host, bracket_port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            (host, Some(behind.strip_prefix(':')?))
        }
        None => (text, None),
    };
    let (address, port) = match host.parse::<Ipv6Addr>() {
        Ok(v6) => (IpAddr::V6(v6), bracket_port),
        Err(_) => {
            // A bracketed IPv4 address loses the port behind the bracket, as it does in the original.
            let (host, port) = match host.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (host, None),
            };
            let v4 = inet_aton(host).or_else(|| names.host_to_address(host))?;
            (IpAddr::V4(v4), port)
        }
    };
    let port = match port {
        Some(text) => Some(self::port(text, protocol, names)?),
        None => None,
    };
    Some(Endpoint { address, port })
}

fn port(text: &str, protocol: Option<Protocol>, names: &dyn Names) -> Option<u16> {
    match number(text, 0..=65535) {
        Some(number) => u16::try_from(number).ok(),
        None => names.service_to_port(text, protocol?),
    }
}

/// `-M` on IPv4: an address, or a host's.
pub fn netmask(text: &str, names: &dyn Names) -> Option<Ipv4Addr> {
    inet_aton(text).or_else(|| names.host_to_address(text))
}

#[cfg(test)]
mod tests;
