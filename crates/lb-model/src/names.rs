//! Names that parse once: label, host name, interface name, time server, firewall mark.

use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, str::FromStr};

/// Why a name was refused. The text names the value, the reason and, where there is one, a way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(pub String);

macro_rules! string_name {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(s: &str) -> Result<Self, NameError> {
                $check(s).map_err(NameError)?;
                Ok(Self(s.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(s: String) -> Result<Self, NameError> {
                $check(&s).map_err(NameError)?;
                Ok(Self(s))
            }
        }

        impl From<$name> for String {
            fn from(n: $name) -> String {
                n.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}
pub(crate) use string_name;

string_name! {
    /// The name of a virtual or real server: 1 to 63 of letters, digits, `_`, `-` and `.`.
    Label, check_label
}

string_name! {
    /// The unit's host name: labels of letters, digits and `-` (RFC 1123, section 2.1), 63 characters in all
    /// (`HOST_NAME_MAX` less one).
    Hostname, check_hostname
}

string_name! {
    /// A network interface: 1 to 15 characters without `/`, `:` or space (`IFNAMSIZ` in `linux/if.h`; `dev_valid_name`).
    IfName, check_ifname
}

string_name! {
    /// Who tells the time, by name or address: an IP address, or 1 to 253 characters of labels joined by dots (RFC 1035,
    /// section 2.3.4), of letters, digits and `-`, the last of which begins with a letter.
    TimeServer, check_time_server
}

fn check_label(s: &str) -> Result<(), String> {
    if s.is_empty() || s.len() > 63 {
        return Err(format!("label \"{s}\" has {} characters; 1 to 63 are allowed", s.len()));
    }
    match s.chars().find(|c| !c.is_ascii_alphanumeric() && !"_-.".contains(*c)) {
        Some(c) => Err(format!("label \"{s}\" contains {c:?}; use letters, digits, _ - and .")),
        None => Ok(()),
    }
}

fn check_hostname(s: &str) -> Result<(), String> {
    if s.is_empty() || s.len() > 63 {
        return Err(format!("host name \"{s}\" has {} characters; 1 to 63 are allowed", s.len()));
    }
    for part in s.split('.') {
        let edge = part.starts_with('-') || part.ends_with('-') || part.is_empty();
        if edge || !part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(format!(
                "host name \"{s}\" is not valid; use letters, digits and - inside, for example lbmaster"
            ));
        }
    }
    Ok(())
}

fn check_ifname(s: &str) -> Result<(), String> {
    let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || !c.is_ascii_graphic();
    if s.is_empty() || s.len() > 15 || s == "." || s == ".." || s.contains(bad) {
        return Err(format!("interface name \"{s}\" is not valid; use 1 to 15 characters, for example eth0"));
    }
    Ok(())
}

/// What passes is one word without any sign that means something in chronyd's configuration.
fn check_time_server(s: &str) -> Result<(), String> {
    let refused = |reason: &str| {
        Err(format!("time server \"{s}\" {reason}; use a name or an address, for example ntp.example.com or 10.0.0.5"))
    };
    if s.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    if s.is_empty() || s.len() > 253 {
        return refused(&format!("has {} characters, and 1 to 253 are allowed", s.len()));
    }
    let last = s.rsplit('.').next().unwrap_or_default();
    if !last.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return refused("is no address, and the last part of a name begins with a letter");
    }
    for part in s.split('.') {
        let edge = part.starts_with('-') || part.ends_with('-') || part.is_empty() || part.len() > 63;
        if edge || !part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return refused("is no host's name");
        }
    }
    Ok(())
}

/// A firewall mark that an administrator's own firewall rules set: 1 to 0x3fffffff.
/// Marks above that are given by the appliance itself, to virtual servers with several ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct FirewallMark(u32);

impl FirewallMark {
    /// The first mark that the appliance gives by itself. Below 2^31, as the C `ipvsadm` prints marks as signed numbers.
    pub const AUTOMATIC: u32 = 0x4000_0000;

    pub fn get(self) -> u32 {
        self.0
    }

    pub fn is_automatic(self) -> bool {
        self.0 >= Self::AUTOMATIC
    }
}

impl TryFrom<u32> for FirewallMark {
    type Error = NameError;
    fn try_from(mark: u32) -> Result<Self, NameError> {
        if mark == 0 {
            return Err(NameError("firewall mark 0 means no mark; use 1 to 1073741823".into()));
        }
        Ok(Self(mark))
    }
}

impl From<FirewallMark> for u32 {
    fn from(m: FirewallMark) -> u32 {
        m.0
    }
}

impl fmt::Display for FirewallMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_server_is_a_name_or_an_address() {
        let long = format!("{}.example", "a".repeat(64));
        for good in ["ntp.example.com", "0.pool.ntp.org", "ntp", "NTP-1", "10.0.0.5", "2001:db8::123"] {
            assert_eq!(good.parse::<TimeServer>().map(String::from).as_deref(), Ok(good));
        }
        for bad in ["", " ", "a b", "a\nallow", "a#", "-a", "a-", "a..b", "a.", "10.0.0.256", "10.0.0", "[::1]", &long]
        {
            assert!(bad.parse::<TimeServer>().is_err(), "{bad:?}");
        }
        let error = "10.0.0.256".parse::<TimeServer>().expect_err("no address").to_string();
        assert!(error.contains("time server \"10.0.0.256\"") && error.contains("ntp.example.com"), "{error}");
    }
}
