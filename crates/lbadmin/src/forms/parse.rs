//! Text to values, where lb-model has no newtype of its own for what a form says.

use ipnet::{IpNet, Ipv4Net};
use lb_model::Route;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `10.0.0.21:80`, `[fd00::21]:80`, `10.0.0.21`, `fd00::21`: the address, and the text after the colon.
pub(super) fn address_and_port(text: &str) -> Result<(IpAddr, Option<&str>), String> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('[') {
        let Some((inside, after)) = rest.split_once(']') else {
            return Err(format!("\"{text}\" has no closing bracket; write [fd00::21]:80"));
        };
        let address: Ipv6Addr =
            inside.trim().parse().map_err(|_| format!("\"{inside}\" is not an IPv6 address; write [fd00::21]:80"))?;
        return match (after.trim(), after.trim().strip_prefix(':')) {
            ("", _) => Ok((address.into(), None)),
            (_, Some(port)) => Ok((address.into(), Some(port.trim()))),
            _ => Err(format!("after the bracket comes a colon and the port, as in [{address}]:80")),
        };
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok((address.into(), None));
    }
    let (address, port) = match text.split_once(':') {
        Some((address, port)) => (address.trim(), Some(port.trim())),
        None => (text, None),
    };
    match address.parse::<Ipv4Addr>() {
        Ok(address) => Ok((address.into(), port)),
        Err(_) if text.matches(':').count() > 1 => {
            Err(format!("\"{text}\" is not an address; put IPv6 addresses in brackets, for example [fd00::21]:80"))
        }
        Err(_) => Err(format!("\"{address}\" is not an IP address; use for example 10.0.0.21:80")),
    }
}

/// `10.0.0.21:80`, `[fd00::21]:80`
pub(super) fn shown(address: IpAddr, port: Option<impl ToString>) -> String {
    match (address, port) {
        (address, None) => address.to_string(),
        (IpAddr::V4(a), Some(port)) => format!("{a}:{}", port.to_string()),
        (IpAddr::V6(a), Some(port)) => format!("[{a}]:{}", port.to_string()),
    }
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 && digits(text) => Ok(port),
        _ => Err(format!("\"{text}\" is not a port; use 1 to 65535, for example 80")),
    }
}

pub(super) fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// A whole number of `min..=max`.
pub(super) fn number(text: &str, min: u32, max: u32) -> Result<u32, String> {
    let range = format!("use {min} to {max}");
    if text.is_empty() {
        return Err(format!("A number is needed here; {range}"));
    }
    if !digits(text) {
        return Err(format!("\"{text}\" is not a whole number; {range}"));
    }
    match text.parse() {
        Ok(n) if (min..=max).contains(&n) => Ok(n),
        _ => Err(format!("{text} is out of range; {range}")),
    }
}

/// A prefix length as a dotted mask.
pub(super) fn mask(prefix: u8) -> Ipv4Addr {
    Ipv4Net::new(Ipv4Addr::UNSPECIFIED, prefix.min(32)).map_or(Ipv4Addr::BROADCAST, |n| n.netmask())
}

/// `255.255.255.0`, `/24` or `24` as a prefix length.
pub(super) fn prefix(text: &str) -> Result<u8, String> {
    let none = || format!("\"{text}\" is not a netmask; use for example 255.255.255.0, /24, or /64 for IPv6");
    if let Ok(mask) = text.parse::<Ipv4Addr>() {
        return ipnet::ipv4_mask_to_prefix(mask).map_err(|_| none());
    }
    let bits = text.strip_prefix('/').unwrap_or(text);
    Some(bits).filter(|b| digits(b)).and_then(|b| b.parse().ok()).filter(|b| *b <= 128).ok_or_else(none)
}

/// `10.0.0.21/24`, `10.0.0.21/255.255.255.0`, `10.0.0.21 255.255.255.0`
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let (address, length) = match text.split_once('/').or_else(|| text.split_once(char::is_whitespace)) {
        Some((address, length)) => (address.trim(), Some(length.trim())),
        None => (text, None),
    };
    let address: IpAddr =
        address.parse().map_err(|_| format!("\"{address}\" is not an IP address; use for example 10.0.0.21/24"))?;
    let Some(length) = length else {
        return Err(format!("{address} has no netmask; write it behind, for example {address}/{}", usual(address)));
    };
    let length = prefix(length)?;
    IpNet::new(address, length).map_err(|_| format!("/{length} is too long for {address}"))
}

fn usual(address: IpAddr) -> u8 {
    if address.is_ipv4() { 24 } else { 64 }
}

/// `172.16.0.0/12 via 10.0.0.2`
pub(super) fn route(text: &str) -> Result<Route, String> {
    const FORM: &str = "write NETWORK via ROUTER, for example 172.16.0.0/12 via 10.0.0.2";
    let words: Vec<&str> = text.split_whitespace().collect();
    let [to, via] = match words[..] {
        [to, via, router] if via.eq_ignore_ascii_case("via") => [to, router],
        _ => return Err(format!("\"{text}\" is not a route; {FORM}")),
    };
    let to = if to.eq_ignore_ascii_case("default") {
        return Err("The default route has a field of its own: the default gateway".into());
    } else {
        network(to)?
    };
    let via = via.parse().map_err(|_| format!("\"{via}\" is not an IP address; {FORM}"))?;
    Ok(Route { to, via })
}

pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not an IP address; use for example 10.0.0.53"))
}

/// One value a line, empty lines left out; an error names its line.
pub(super) fn lines<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    const MOST: usize = 1000;
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    let mut values = Vec::new();
    let mut errors = Vec::new();
    for (number, line) in lines {
        match parse(line.trim()) {
            Ok(value) => values.push(value),
            Err(error) => errors.push(format!("Line {}: {error}", number + 1)),
        }
    }
    if values.len() + errors.len() > MOST {
        return Err(format!("At most {MOST} lines are allowed"));
    }
    match errors.is_empty() {
        true => Ok(values),
        false => Err(errors.into_iter().take(5).collect::<Vec<_>>().join(". ")),
    }
}

pub(super) fn joined<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join("\n")
}
