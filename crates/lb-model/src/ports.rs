//! The ports of a virtual server: one, a list, ranges, or any.

use crate::NameError;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An inclusive range of ports, 1..=65535, `first <= last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl PortRange {
    pub fn overlaps(self, other: PortRange) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Ports as written in the form: `80`, `80,443`, `8000-8100`, `any`. Sorted, without overlap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "PortsText", into = "String")]
pub struct Ports(Vec<PortRange>);

impl Ports {
    /// The only port, where there is just one.
    pub fn single(&self) -> Option<u16> {
        match self.0[..] {
            [PortRange { first, last }] if first == last => Some(first),
            _ => None,
        }
    }

    /// Every port of the protocol.
    pub fn is_any(&self) -> bool {
        self.0.first() == Some(&PortRange { first: 1, last: u16::MAX })
    }

    /// The lowest port; what a health check asks when nothing else is said.
    pub fn first(&self) -> u16 {
        self.0.first().map_or(0, |r| r.first)
    }

    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }

    pub fn overlaps(&self, other: &Ports) -> bool {
        self.0.iter().any(|a| other.0.iter().any(|b| a.overlaps(*b)))
    }
}

impl From<u16> for Ports {
    /// `port` must not be 0; 0 becomes `any`, as the kernel reads it.
    fn from(port: u16) -> Self {
        match port {
            0 => Ports(vec![PortRange { first: 1, last: u16::MAX }]),
            p => Ports(vec![PortRange { first: p, last: p }]),
        }
    }
}

fn parse_port(s: &str) -> Result<u16, NameError> {
    let digits = s.trim_matches(' ');
    // `u16::from_str` takes `+80` and `0080` too.
    let plain = digits.starts_with(|c: char| matches!(c, '1'..='9')) && digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse::<u16>() {
        Ok(p) if plain => Ok(p),
        _ => Err(NameError(format!(
            "\"{}\" is not a port; use 1 to 65535, for example 80 or 80,443 or 8000-8100",
            s.trim()
        ))),
    }
}

impl FromStr for Ports {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        if s.trim_matches(' ').eq_ignore_ascii_case("any") {
            return Ok(Ports(vec![PortRange { first: 1, last: u16::MAX }]));
        }
        let mut ranges = Vec::new();
        for part in s.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((a, b)) => (parse_port(a)?, parse_port(b)?),
                None => (parse_port(part)?, parse_port(part)?),
            };
            if first > last {
                return Err(NameError(format!("port range \"{}\" runs backwards; write {last}-{first}", part.trim())));
            }
            ranges.push(PortRange { first, last });
        }
        ranges.sort();
        if let Some(w) = ranges.windows(2).find(|w| w[0].overlaps(w[1])) {
            return Err(NameError(format!("port {} is named twice in \"{s}\"", w[1].first)));
        }
        // 80,81 and 80-81 are one and the same, and must compare equal.
        let mut merged: Vec<PortRange> = Vec::new();
        for r in ranges {
            match merged.last_mut() {
                Some(l) if u32::from(l.last) + 1 == u32::from(r.first) => l.last = r.last,
                _ => merged.push(r),
            }
        }
        Ok(Ports(merged))
    }
}

/// A number is taken too, where a document says `"ports": 80`.
#[derive(Deserialize)]
#[serde(untagged)]
enum PortsText {
    Number(u16),
    Text(String),
}

impl TryFrom<PortsText> for Ports {
    type Error = NameError;
    fn try_from(t: PortsText) -> Result<Self, NameError> {
        match t {
            PortsText::Number(n) => n.to_string().parse(),
            PortsText::Text(s) => s.parse(),
        }
    }
}

impl From<Ports> for String {
    fn from(p: Ports) -> String {
        p.to_string()
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() {
            return f.write_str("any");
        }
        for (i, r) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match r.first == r.last {
                true => write!(f, "{comma}{}", r.first)?,
                false => write!(f, "{comma}{}-{}", r.first, r.last)?,
            }
        }
        Ok(())
    }
}
