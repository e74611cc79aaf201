//! `/proc/net/ip_vs_conn`, the only place where the kernel lists connections, to text. Pure.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use super::Format;
use super::names::Names;
use super::render::endpoint;
use crate::service::Protocol;

/// The file.
pub const PATH: &str = "/proc/net/ip_vs_conn";

/// The listing of the file's text. Its first line is a head; lines that are no connection are left out.
pub fn listing(out: &mut String, text: &str, format: &Format, names: &dyn Names) {
    out.push_str("IPVS connection entries\n");
    let (state, source, service, dest) = ("state", "source", "virtual", "destination");
    let _infallible = if format.persistent_conn {
        writeln!(out, "pro expire {state:<11} {source:<18} {service:<18} {dest:<18} {:<16} pe_data", "pe name")
    } else {
        writeln!(out, "pro expire {state:<11} {source:<18} {service:<18} {dest}")
    };
    for line in text.lines().skip(1) {
        let _not_a_connection = connection(out, line, format, names);
    }
}

fn connection(out: &mut String, line: &str, format: &Format, names: &dyn Names) -> Option<()> {
    let mut words = line.split_ascii_whitespace();
    let short = words.next()?;
    let protocol = match short {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        _ => Protocol::Other(0),
    };
    let mut name = || {
        let address = address(words.next()?)?;
        let port = u16::from_str_radix(words.next()?, 16).ok()?;
        let mut name = String::new();
        endpoint(&mut name, address, port, protocol, format, names);
        Some(name)
    };
    let (client, service, dest) = (name()?, name()?, name()?);
    let state = words.next()?;
    let expires: u32 = words.next()?.parse().ok()?;
    let expires = format!("{:02}:{:02}", expires / 60, expires % 60);
    let left = format!("{short:<3} {expires:<6} {state:<11} {client:<18} {service:<18}");
    let _infallible = match (words.next(), words.next()) {
        (Some(pe), Some(data)) if format.persistent_conn => writeln!(out, "{left} {dest:<16} {pe:<18} {data}"),
        _ => writeln!(out, "{left} {dest}"),
    };
    Some(())
}

/// IPv6 as usual, IPv4 as eight hexadecimal digits.
fn address(text: &str) -> Option<IpAddr> {
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => u32::from_str_radix(text, 16).ok().map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::names::Numbers;

    #[test]
    fn connections_of_both_families() {
        // Lines as ip_vs_conn.c of 6.1 prints them.
        let text = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n\
            TCP 0A000002 9C40 0A010001 0050 0A090101 0050 ESTABLISHED     899\n\
            UDP fd00:0009:0000:0000:0000:0000:0000:0002 1388 fd00:0009:0000:0000:0000:0000:0000:0100 0035 \
            fd00:0009:0000:0000:0000:0000:0000:0011 0035 UDP             5 sip x@y\n\
            nonsense\n";
        let mut out = String::new();
        listing(&mut out, text, &Format { numeric: true, ..Format::default() }, &Numbers);
        assert_eq!(
            out,
            "IPVS connection entries\n\
             pro expire state       source             virtual            destination\n\
             TCP 14:59  ESTABLISHED 10.0.0.2:40000     10.1.0.1:80        10.9.1.1:80\n\
             UDP 00:05  UDP         [fd00:9::2]:5000   [fd00:9::100]:53   [fd00:9::11]:53\n"
        );
    }
}
