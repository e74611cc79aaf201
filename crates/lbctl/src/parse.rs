//! Values of the command line that parse once: addresses with ports, masks, check types.
//!
//! Each refusal names the value and an example. Tested beside the code.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use ipnet::IpNet;
use lb_api::{Keep, LogName};
use lb_model::{ForwardingMethod, NegotiateService, Ports};
use std::{
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

/// `10.0.0.21:80`, `[2001:db8::21]:80,443`, `10.0.0.21:any`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPorts {
    pub address: IpAddr,
    pub ports: Ports,
}

/// `192.168.2.50`, `192.168.2.50:80`, `[2001:db8::50]:80`, `2001:db8::50`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPort {
    pub address: IpAddr,
    pub port: Option<u16>,
}

/// Where the traffic goes when no real server is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    None,
    To(AddressPort),
}

/// What the option `--check` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckType {
    Connect,
    Ping,
    On,
    Off,
    Negotiate(NegotiateService),
}

/// A network; an address is that one alone.
pub fn network(s: &str) -> Result<IpNet, String> {
    let address = s.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| s.parse()).map_err(|_| {
        format!("\"{s}\" is no network; write an address and its prefix length, for example 192.168.2.0/24")
    })
}

/// Address and what follows its `:`. A bare IPv6 address has no port: its last group would be taken for one.
fn split(s: &str) -> Result<(IpAddr, Option<&str>), String> {
    if let Ok(address) = s.parse() {
        return Ok((address, None));
    }
    let (address, ports) = match s.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']').ok_or_else(|| format!("\"{s}\" has no ] after its address"))?;
            (address, rest.strip_prefix(':').filter(|p| !p.is_empty()))
        }
        None => s.split_once(':').map_or((s, None), |(address, ports)| (address, Some(ports))),
    };
    match address.parse() {
        Ok(address) => Ok((address, ports)),
        Err(_) => {
            Err(format!("\"{address}\" is not an IP address; write for example 10.0.0.21:80 or [2001:db8::21]:80"))
        }
    }
}

impl FromStr for AddressPorts {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let (address, ports) = split(s)?;
        let ports = ports.ok_or_else(|| match address {
            IpAddr::V4(_) => format!("the port is missing; write for example {address}:80, or {address}:any"),
            IpAddr::V6(_) => format!("the port is missing; write for example [{address}]:80, or [{address}]:any"),
        })?;
        Ok(AddressPorts { address, ports: ports.parse().map_err(|e: lb_model::NameError| e.to_string())? })
    }
}

impl FromStr for AddressPort {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let (address, port) = split(s)?;
        let port = match port {
            None => None,
            Some(p) => match p.parse() {
                Ok(p) if p > 0 => Some(p),
                _ => return Err(format!("\"{p}\" is not a port; use 1 to 65535, or leave it out")),
            },
        };
        Ok(AddressPort { address, port })
    }
}

impl FromStr for Fallback {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "none" => Ok(Fallback::None),
            _ => s.parse().map(Fallback::To),
        }
    }
}

impl Fallback {
    pub fn server(self) -> Option<lb_model::FallbackServer> {
        match self {
            Fallback::None => None,
            Fallback::To(AddressPort { address, port }) if address.is_loopback() => {
                Some(lb_model::FallbackServer { address, port, forwarding: ForwardingMethod::Nat })
            }
            Fallback::To(AddressPort { address, port }) => {
                Some(lb_model::FallbackServer { address, port, forwarding: ForwardingMethod::default() })
            }
        }
    }
}

impl FromStr for CheckType {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "connect" => Ok(CheckType::Connect),
            "ping" => Ok(CheckType::Ping),
            "on" => Ok(CheckType::On),
            "off" => Ok(CheckType::Off),
            "http" => Ok(CheckType::Negotiate(NegotiateService::Http)),
            "https" => Ok(CheckType::Negotiate(NegotiateService::Https)),
            _ => Err("use connect, ping, on, off, http or https".to_owned()),
        }
    }
}

/// `24`, `/24` or `255.255.255.0`.
pub fn granularity(s: &str) -> Result<u8, String> {
    if let Ok(mask) = s.parse::<Ipv4Addr>() {
        let bits = u32::from(mask);
        return match bits.leading_ones() + bits.trailing_zeros() {
            32 if bits != 0 => Ok(bits.leading_ones() as u8),
            _ => Err(format!("{mask} is not a netmask; write for example 255.255.255.0 or 24")),
        };
    }
    match s.strip_prefix('/').unwrap_or(s).parse() {
        Ok(n) if (1..=128).contains(&n) => Ok(n),
        _ => Err(format!("\"{s}\" is neither a netmask nor a prefix length; write for example 255.255.255.0 or 24")),
    }
}

/// The names of lbd's logs.
pub fn log_name() -> impl TypedValueParser<Value = LogName> {
    PossibleValuesParser::new(["load-balancer", "ldirectord", "layer-7", "heartbeat", "system"]).map(|name| match name
        .as_str()
    {
        "load-balancer" => LogName::LoadBalancer,
        "ldirectord" => LogName::Ldirectord,
        "layer-7" => LogName::Layer7,
        "heartbeat" => LogName::Heartbeat,
        _ => LogName::System,
    })
}

pub fn on_or_off() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["on", "off"]).map(|word| word == "on")
}

/// Whose configuration stays.
pub fn keep() -> impl TypedValueParser<Value = Keep> {
    PossibleValuesParser::new(["mine", "theirs"]).map(|word| if word == "mine" { Keep::Mine } else { Keep::Theirs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromStr<Err = String> + std::fmt::Debug>(s: &str, want: &str) {
        let got = match s.parse::<T>() {
            Ok(v) => format!("{v:?}"),
            Err(e) => format!("error: {e}"),
        };
        assert_eq!(got, want, "{s}");
    }

    #[test]
    fn addresses() {
        check::<AddressPort>("192.168.2.50", "AddressPort { address: 192.168.2.50, port: None }");
        check::<AddressPort>("192.168.2.50:80", "AddressPort { address: 192.168.2.50, port: Some(80) }");
        check::<AddressPort>("2001:db8::50", "AddressPort { address: 2001:db8::50, port: None }");
        check::<AddressPort>("[2001:db8::50]:80", "AddressPort { address: 2001:db8::50, port: Some(80) }");
        check::<AddressPort>("[2001:db8::50]", "AddressPort { address: 2001:db8::50, port: None }");
        check::<AddressPort>("[2001:db8::50:80", "error: \"[2001:db8::50:80\" has no ] after its address");
        check::<AddressPort>("10.0.0.1:0", "error: \"0\" is not a port; use 1 to 65535, or leave it out");
        check::<AddressPort>(
            "256.1.1.1:80",
            "error: \"256.1.1.1\" is not an IP address; write for example 10.0.0.21:80 or [2001:db8::21]:80",
        );
        check::<AddressPorts>(
            "10.0.0.21",
            "error: the port is missing; write for example 10.0.0.21:80, or 10.0.0.21:any",
        );
        assert_eq!("10.0.0.21:443,80".parse::<AddressPorts>().map(|a| a.ports.to_string()), Ok("80,443".to_owned()));
    }

    #[test]
    fn masks() {
        assert_eq!(granularity("255.255.255.0"), Ok(24));
        assert_eq!(granularity("255.255.255.255"), Ok(32));
        assert_eq!(granularity("/64"), Ok(64));
        for wrong in ["255.0.255.0", "0.0.0.0", "0", "129", "x"] {
            assert!(granularity(wrong).is_err(), "{wrong}");
        }
    }
}
