//! Says to a network that an address is here now: gratuitous ARP for IPv4, unsolicited neighbour
//! advertisements for IPv6.

use super::net::Card;
use crate::Cause;
use lb_plan::Address;
use nix::libc;
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How often: one may be lost, and nobody answers to say so.
const TIMES: usize = 3;

const ETH_P_IP6: u16 = 0x86dd;
const ETH_P_ARP: u16 = 0x0806;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;

pub(super) struct Announcer(Socket);

impl Announcer {
    /// Protocol 0: it receives nothing, so nothing fills up. Kept open, because closing a packet socket waits for an
    /// RCU grace period (`packet_release` -> `synchronize_net`).
    pub(super) fn open() -> Result<Self, Cause> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        // A full queue of a card must not hold up a plan.
        socket.set_nonblocking(true)?;
        Ok(Announcer(socket))
    }

    /// An address that cannot be announced works all the same as soon as somebody asks for it, so that is no failure
    /// of adding it.
    pub(super) fn announce(&self, card: &Card, address: &Address) {
        let Some(mac) = card.mac else { return };
        let (frame, protocol) = match address.net.addr() {
            IpAddr::V4(a) => (gratuitous_arp(REQUEST, mac, a).to_vec(), ETH_P_ARP),
            IpAddr::V6(a) => (neighbour_advertisement(mac, a).to_vec(), ETH_P_IP6),
        };
        let to = link_address(card.index, protocol);
        for _ in 0..TIMES {
            if let Err(error) = self.0.send_to(&frame, &to) {
                tracing::debug!(%address, %error, "cannot announce");
                return;
            }
        }
    }

    /// Once, and for IPv4 also as a reply: some machines learn from the one only, some from the other (RFC 5227,
    /// section 3).
    pub(super) fn once(&self, card: &Card, address: IpAddr) {
        let Some(mac) = card.mac else { return };
        let said = match address {
            IpAddr::V4(a) => [REQUEST, REPLY].into_iter().try_for_each(|operation| {
                let frame = gratuitous_arp(operation, mac, a);
                self.0.send_to(&frame, &link_address(card.index, ETH_P_ARP)).map(drop)
            }),
            IpAddr::V6(a) => {
                let frame = neighbour_advertisement(mac, a);
                self.0.send_to(&frame, &link_address(card.index, ETH_P_IP6)).map(drop)
            }
        };
        if let Err(error) = said {
            tracing::debug!(%address, %error, "cannot announce");
        }
    }
}

/// packet(7): `sendto` needs no more than the interface and the protocol; the frame has its own header.
#[expect(unsafe_code, reason = "socket2 and nix make no link-layer address to send to")]
pub(super) fn link_address(index: u32, protocol: u16) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is plain data, valid for every bit pattern, and no larger than `sockaddr_storage`,
    // which `view_as` checks.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as libc::sa_family_t;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index as libc::c_int;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the storage was zeroed and then filled as the family says; the length is that of what was filled.
    unsafe { SockAddr::new(storage, length) }
}

/// RFC 5227, section 3: an ARP announcement is a request for the address by its owner, to everybody.
fn gratuitous_arp(operation: u8, mac: [u8; 6], address: Ipv4Addr) -> [u8; ARP_END] {
    arp(operation, mac, address, address)
}

/// Where an ARP packet ends in an Ethernet frame.
pub(super) const ARP_END: usize = 42;

/// To everybody (RFC 826).
pub(super) fn arp(operation: u8, mac: [u8; 6], from: Ipv4Addr, about: Ipv4Addr) -> [u8; ARP_END] {
    let mut frame = [0; ARP_END];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&mac);
    frame[12..14].copy_from_slice(&ETH_P_ARP.to_be_bytes());
    // Ethernet, IPv4, lengths 6 and 4.
    frame[14..22].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, operation]);
    frame[22..28].copy_from_slice(&mac);
    frame[28..32].copy_from_slice(&from.octets());
    frame[38..].copy_from_slice(&about.octets());
    frame
}

/// RFC 4861, section 7.2.6: to all nodes, override set, with the link-layer address. The router flag is set as the
/// kernel does while it forwards: without it, hosts would drop us from their routers (section 7.2.5).
fn neighbour_advertisement(mac: [u8; 6], address: Ipv6Addr) -> [u8; 86] {
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    const ICMPV6: u8 = 58;
    const LENGTH: u16 = 32;
    let mut frame = [0; 86];
    frame[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
    frame[6..12].copy_from_slice(&mac);
    frame[12..14].copy_from_slice(&ETH_P_IP6.to_be_bytes());
    frame[14] = 0x60;
    frame[18..20].copy_from_slice(&LENGTH.to_be_bytes());
    frame[20] = ICMPV6;
    // Hop limit 255 proves that it did not come through a router.
    frame[21] = 255;
    frame[22..38].copy_from_slice(&address.octets());
    frame[38..54].copy_from_slice(&ALL_NODES.octets());
    let icmp = &mut frame[54..];
    icmp[0] = 136;
    icmp[4] = 0x80 | 0x20;
    icmp[8..24].copy_from_slice(&address.octets());
    // Target link-layer address, one unit of 8 bytes.
    icmp[24..26].copy_from_slice(&[2, 1]);
    icmp[26..32].copy_from_slice(&mac);
    let checksum = checksum6(address, ALL_NODES, ICMPV6, icmp);
    frame[56..58].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// RFC 8200, section 8.1, with RFC 1071's sum.
pub(super) fn checksum6(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, payload: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> u32 {
        bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | w.get(1).map_or(0, |b| u32::from(*b))).sum()
    };
    let mut sum =
        words(&from.octets()) + words(&to.octets()) + payload.len() as u32 + u32::from(protocol) + words(payload);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests;
