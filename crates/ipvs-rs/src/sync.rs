//! Messages of the connection synchronisation, version 1 (`net/netfilter/ipvs/ip_vs_sync.c`). Pure.
//!
//! A backup daemon does with them what they say: a persistence template that it already has gets the time-out in the
//! message (`ip_vs_proc_conn`). That is the one way to make the kernel forget a template before its time: netlink has
//! no call for it.

use std::net::{IpAddr, SocketAddr};

/// `SYNC_PROTO_VER`.
const VERSION: u8 = 1;
/// `sizeof(struct ip_vs_sync_mesg)`.
const HEADER: usize = 8;
/// `IP_VS_CONN_F_TEMPLATE` (`ip_vs.h`).
const TEMPLATE: u32 = 0x1000;
/// `STYPE_F_INET6`.
const INET6: u8 = 1;

/// What binds a client, or a network of clients, to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Template {
    /// IPPROTO_TCP, …; 0 for a template of a firewall mark, whose number stands in the first four bytes of
    /// `virtual_server`.
    pub protocol: u8,
    /// The network's address; the port is 0.
    pub client: SocketAddr,
    pub virtual_server: SocketAddr,
    pub destination: SocketAddr,
}

/// The message that gives `template` this time-out (seconds, from now on; 0 would mean three minutes). `None` where the
/// template's addresses are of different families, which a message cannot say.
pub fn time_out(sync_id: u8, template: &Template, seconds: u32) -> Option<Vec<u8>> {
    let Template { protocol, client, virtual_server, destination } = template;
    let addresses: Vec<u8> = match (client.ip(), virtual_server.ip(), destination.ip()) {
        (IpAddr::V4(c), IpAddr::V4(v), IpAddr::V4(d)) => [c.octets(), v.octets(), d.octets()].concat(),
        (IpAddr::V6(c), IpAddr::V6(v), IpAddr::V6(d)) => [c.octets(), v.octets(), d.octets()].concat(),
        _ => return None,
    };
    let size = 24 + addresses.len();
    let mut message = Vec::with_capacity(HEADER + size);
    // struct ip_vs_sync_mesg: reserved, syncid, size, nr_conns, version, spare
    message.extend([0, sync_id]);
    message.extend(u16::try_from(HEADER + size).unwrap_or(u16::MAX).to_be_bytes());
    message.extend([1, VERSION, 0, 0]);
    // struct ip_vs_sync_v4 and _v6: type, protocol, version (0, the upper 4 bits) and size
    message.extend([if client.is_ipv6() { INET6 } else { 0 }, *protocol]);
    message.extend(u16::try_from(size).unwrap_or(u16::MAX).to_be_bytes());
    message.extend(TEMPLATE.to_be_bytes());
    // The state of a template: none.
    message.extend(0u16.to_be_bytes());
    for port in [client.port(), virtual_server.port(), destination.port()] {
        message.extend(port.to_be_bytes());
    }
    // The firewall mark of a packet, asked for only where a connection is made.
    message.extend(0u32.to_be_bytes());
    message.extend(seconds.to_be_bytes());
    message.extend(addresses);
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(client: &str, virtual_server: &str, destination: &str) -> Template {
        let address = |text: &str| text.parse().expect("an address");
        Template {
            protocol: 6,
            client: address(client),
            virtual_server: address(virtual_server),
            destination: address(destination),
        }
    }

    #[test]
    fn a_message_is_laid_out_as_the_kernel_reads_it() {
        let message = time_out(7, &template("10.0.0.0:0", "10.0.0.21:80", "192.168.2.50:8080"), 1).expect("IPv4");
        #[rustfmt::skip]
        let expected = [
            0, 7, 0, 44, 1, 1, 0, 0,
            0, 6, 0, 36,
            0, 0, 0x10, 0,
            0, 0, 0, 0, 0, 80, 0x1f, 0x90,
            0, 0, 0, 0,
            0, 0, 0, 1,
            10, 0, 0, 0, 10, 0, 0, 21, 192, 168, 2, 50,
        ];
        assert_eq!(message, expected);
        let message = time_out(7, &template("[fd00::]:0", "[fd00::1]:80", "[fd00::2]:80"), 1).expect("IPv6");
        assert_eq!((message.len(), &message[..4], &message[8..12]), (80, &[0, 7, 0, 80][..], &[1, 6, 0, 72][..]));
        assert_eq!(time_out(7, &template("10.0.0.0:0", "10.0.0.21:80", "[fd00::2]:80"), 1), None);
    }
}
