//! Judges one answer by itself: is it an address, a netmask, a port, a yes?
//!
//! What an answer means beside earlier ones is [`crate::flow`]'s business.

use crate::text::wrapped;
use std::{fmt, net::Ipv4Addr};

/// Longer answers are refused unread; the longest sensible one is an IPv6 address with 39 characters.
pub const LONGEST: usize = 64;

/// Why an answer was not taken, and what to try instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: String,
    pub hint: String,
}

impl Refusal {
    pub fn new(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Refusal { reason: reason.into(), hint: hint.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = wrapped(&format!("error: {}", self.reason), 7);
        let hint = wrapped(&format!("hint: {}", self.hint), 6);
        write!(f, "{error}\n{hint}")
    }
}

/// What was typed, without the spaces around it.
pub fn line(text: &str) -> Result<&str, Refusal> {
    let text = text.trim();
    if text.chars().count() > LONGEST {
        return Err(Refusal::new("this answer is too long", format!("at most {LONGEST} characters")));
    }
    // A key such as Delete or an arrow arrives as an escape sequence; printing it back would move the cursor.
    if text.chars().any(char::is_control) {
        return Err(Refusal::new(
            "this answer has characters in it that cannot be seen",
            "type it again; Backspace removes a character",
        ));
    }
    Ok(text)
}

pub fn yes_or_no(text: &str) -> Result<bool, Refusal> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        "" => Err(Refusal::new("this question has no default", "answer y or n")),
        _ => Err(Refusal::new(format!("\"{text}\" is neither yes nor no"), "answer y or n")),
    }
}

/// True: the master.
pub fn master_or_slave(text: &str) -> Result<bool, Refusal> {
    match text.to_ascii_lowercase().as_str() {
        "m" | "master" => Ok(true),
        "s" | "slave" => Ok(false),
        "" => Err(Refusal::new("this question has no default", "answer m or s; the slave is configured first")),
        _ => Err(Refusal::new(format!("\"{text}\" is neither master nor slave"), "answer m or s")),
    }
}

/// The slave's pairing code: its digits alone.
pub fn code(text: &str) -> Result<String, Refusal> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    match digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(digits),
        false => Err(Refusal::new("this is not a pairing code", "eight digits, for example 1234 5678")),
    }
}

const FOUR_NUMBERS: &str = "four numbers of 0 to 255 with dots, for example 192.168.2.21";

/// An IPv4 address that a host can have.
pub fn address(text: &str) -> Result<Ipv4Addr, Refusal> {
    let address: Ipv4Addr = text.parse().map_err(|_| not_an_address(text))?;
    let what = match address.octets() {
        [0, ..] => "belongs to \"this network\" (0.0.0.0/8), not to a host",
        [127, ..] => "is a loopback address, which no other machine can reach",
        [224..=239, ..] => "is a multicast address, not a host's",
        [255, 255, 255, 255] => "is the broadcast address, not a host's",
        [240..=255, ..] => "is in the reserved range above 240.0.0.0",
        _ => return Ok(address),
    };
    Err(Refusal::new(format!("{address} {what}"), "use an address of your network, for example 192.168.2.21"))
}

fn not_an_address(text: &str) -> Refusal {
    if text.is_empty() {
        return Refusal::new("an IP address is needed here", FOUR_NUMBERS);
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Refusal::new(
            format!("{text} is an IPv6 address"),
            "the wizard sets up IPv4; add IPv6 afterwards with lbctl",
        );
    }
    if text.contains('/') {
        return Refusal::new(
            format!("\"{text}\" is not an IP address"),
            "leave out the netmask; it has a question of its own",
        );
    }
    let parts: Vec<&str> = text.split('.').collect();
    let large =
        parts.iter().find(|p| p.bytes().all(|b| b.is_ascii_digit()) && p.parse::<u8>().is_err() && !p.is_empty());
    match large {
        Some(part) if parts.len() == 4 => {
            Refusal::new(format!("{text} is not an IP address: {part} is above 255"), FOUR_NUMBERS)
        }
        _ => Refusal::new(format!("\"{text}\" is not an IP address"), FOUR_NUMBERS),
    }
}

/// A netmask as a prefix length, 8..=30: `255.255.255.0`, `/24` or `24`.
pub fn netmask(text: &str) -> Result<u8, Refusal> {
    const HINT: &str = "for example 255.255.255.0, or /24";
    let none = || Refusal::new(format!("\"{text}\" is not a netmask"), HINT);
    let prefix = match text.parse::<Ipv4Addr>() {
        Ok(mask) => {
            let bits = u32::from(mask);
            if bits.leading_ones() != bits.count_ones() {
                let hint = "a netmask is ones, then zeros: 255.255.255.0, 255.255.254.0, 255.0.0.0";
                return Err(Refusal::new(format!("{text} is not a netmask"), hint));
            }
            bits.leading_ones() as u8
        }
        Err(_) => {
            let digits = text.strip_prefix('/').unwrap_or(text);
            let digits =
                Some(digits).filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit())).ok_or_else(none)?;
            digits.parse().ok().filter(|p| *p <= 32).ok_or_else(none)?
        }
    };
    match prefix {
        0 => Err(Refusal::new("this netmask would make the whole world the card's own network", HINT)),
        // Nobody is given more than a /8 (RFC 1466, section 4); wider ones leave no room for the other card.
        1..=7 => Err(Refusal::new("this netmask is wider than any network is", HINT)),
        31 | 32 => Err(Refusal::new("this netmask leaves no room for other machines", HINT)),
        _ => Ok(prefix),
    }
}

/// A prefix length as it is shown: `255.255.255.0`.
pub fn dotted(prefix: u8) -> String {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)).to_string()
}

/// Ports of the unit itself. The first virtual server is on the unit's own address, and would take them away.
const OWN: [(u16, &str); 4] =
    [(22, "SSH to this unit"), (9080, "its web interface"), (9081, "its fallback page"), (9443, "its web interface")];

pub fn port(text: &str) -> Result<u16, Refusal> {
    const HINT: &str = "a number of 1 to 65535, for example 80";
    let port = match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => port,
        _ => return Err(Refusal::new(format!("\"{text}\" is not a port"), HINT)),
    };
    match OWN.iter().find(|(own, _)| *own == port) {
        Some((_, what)) => Err(Refusal::new(
            format!("port {port} of the unit's own address is {what}"),
            "use another port; lbctl can add virtual servers on other addresses",
        )),
        None => Ok(port),
    }
}
