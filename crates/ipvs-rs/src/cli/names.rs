//! Host and service names. [`System`] asks the C library and `/etc/services`; [`Numbers`] knows no names.

use std::cell::OnceCell;
use std::ffi::CStr;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use nix::libc;
use nix::sys::socket::{SockaddrLike, SockaddrStorage};

use crate::service::Protocol;

/// Where names come from.
pub trait Names {
    /// A host's first IPv4 address: the original resolves no IPv6 names.
    fn host_to_address(&self, host: &str) -> Option<Ipv4Addr>;
    /// A host's name.
    fn address_to_host(&self, address: IpAddr) -> Option<String>;
    /// The port of a service.
    fn service_to_port(&self, service: &str, protocol: Protocol) -> Option<u16>;
    /// The service of a port.
    fn port_to_service(&self, port: u16, protocol: Protocol) -> Option<String>;
}

/// No names at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Numbers;

impl Names for Numbers {
    fn host_to_address(&self, _host: &str) -> Option<Ipv4Addr> {
        None
    }
    fn address_to_host(&self, _address: IpAddr) -> Option<String> {
        None
    }
    fn service_to_port(&self, _service: &str, _protocol: Protocol) -> Option<u16> {
        None
    }
    fn port_to_service(&self, _port: u16, _protocol: Protocol) -> Option<String> {
        None
    }
}

/// The system's names; `/etc/services` is read once, when first needed.
#[derive(Debug, Default)]
pub struct System {
    services: OnceCell<Services>,
}

impl System {
    fn services(&self) -> &Services {
        self.services.get_or_init(|| Services::parse(&fs::read_to_string("/etc/services").unwrap_or_default()))
    }
}

impl Names for System {
    fn host_to_address(&self, host: &str) -> Option<Ipv4Addr> {
        (host, 0).to_socket_addrs().ok()?.find_map(|found| match found {
            SocketAddr::V4(v4) => Some(*v4.ip()),
            SocketAddr::V6(_) => None,
        })
    }

    fn address_to_host(&self, address: IpAddr) -> Option<String> {
        let socket = SockaddrStorage::from(SocketAddr::new(address, 0));
        name_of(&socket)
    }

    fn service_to_port(&self, service: &str, protocol: Protocol) -> Option<u16> {
        self.services().port(service, protocol)
    }

    fn port_to_service(&self, port: u16, protocol: Protocol) -> Option<String> {
        self.services().name(port, protocol).map(str::to_owned)
    }
}

#[expect(unsafe_code, reason = "neither std nor nix wraps getnameinfo")]
fn name_of(address: &SockaddrStorage) -> Option<String> {
    // NI_MAXHOST of the C libraries.
    let mut host = [0 as libc::c_char; 1025];
    // SAFETY: `address` is a valid socket address of the length given; `host` is writable for its length;
    // a null service of length 0 means "not wanted".
    let failed = unsafe {
        libc::getnameinfo(
            address.as_ptr(),
            address.len(),
            host.as_mut_ptr(),
            host.len() as libc::socklen_t,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    if failed != 0 {
        return None;
    }
    // SAFETY: on success getnameinfo leaves a NUL-terminated string in `host`, which outlives the borrow.
    let name = unsafe { CStr::from_ptr(host.as_ptr()) };
    name.to_str().ok().map(str::to_owned)
}

/// What `/etc/services` says: (name or alias, port, protocol), the name before its aliases.
#[derive(Debug, Default)]
struct Services(Vec<(String, u16, Protocol)>);

impl Services {
    fn parse(text: &str) -> Self {
        let mut found = Vec::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let (Some(name), Some(at)) = (words.next(), words.next()) else { continue };
            let Some((port, protocol)) = at.split_once('/') else { continue };
            let protocol = match protocol {
                "tcp" => Protocol::Tcp,
                "udp" => Protocol::Udp,
                "sctp" => Protocol::Sctp,
                _ => continue,
            };
            let Ok(port) = port.parse() else { continue };
            for name in std::iter::once(name).chain(words) {
                found.push((name.to_owned(), port, protocol));
            }
        }
        Self(found)
    }

    fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.0.iter().find(|row| row.2 == protocol && row.0 == name).map(|row| row.1)
    }

    fn name(&self, port: u16, protocol: Protocol) -> Option<&str> {
        self.0.iter().find(|row| row.2 == protocol && row.1 == port).map(|row| row.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_by_name_alias_and_port() {
        let services = Services::parse("# c\nhttp 80/tcp www # w\nhttp 80/udp\ndomain\t53/udp\nbad\nx 1/ddp\n");
        assert_eq!(services.port("www", Protocol::Tcp), Some(80));
        assert_eq!(services.port("www", Protocol::Udp), None);
        assert_eq!(services.name(80, Protocol::Tcp), Some("http"));
        assert_eq!(services.name(53, Protocol::Tcp), None);
        assert_eq!(services.port("x", Protocol::Tcp), None);
    }
}
