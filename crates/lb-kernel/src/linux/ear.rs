//! Asks the networks who has an address, and hears who claims one: ARP (RFC 5227) and neighbour discovery (RFC 4861).
//!
//! A probe has no sender address, so it changes nobody's table (RFC 5227 section 2.1.1; RFC 4862 section 5.4.2), and
//! the kernel of a machine whose daemon is frozen answers it all the same. Our own kernel neither hears nor answers
//! what we send, so an answer is always another machine's. Sockets are open from the start, never wait, and a
//! filter in the kernel keeps everything but neighbour discovery away from the IPv6 one.

use super::{
    announce::{ARP_END, arp, checksum6, link_address},
    link_watch::Links,
    route_socket::{CardState, RouteSocket},
};
use crate::{Cause, KernelError, floating::FloatingAddress};
use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
};
use nix::{
    errno::Errno,
    sys::socket::{LinkAddr, recvfrom},
};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IP6: u16 = 0x86dd;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const ICMPV6: u8 = 58;
/// Ethernet's shortest frame without its checksum. What follows an ARP packet is padding (RFC 894), which nobody reads.
const SHORTEST: usize = 60;
/// What can stand in the padding of a question.
pub const NOTE: usize = SHORTEST - ARP_END;

/// Somebody spoke about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    pub interface: u32,
    pub mac: [u8; 6],
    pub said: Said,
}

/// What was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// "It is mine": an answer, an announcement, or anything sent from it.
    Has(IpAddr),
    /// An ARP question for an address, with what stood in its padding.
    Asks { address: Ipv4Addr, note: [u8; NOTE] },
}

/// Asks and hears, on all interfaces of the namespace in which it was opened.
pub struct Ear {
    route: RouteSocket,
    sends: Socket,
    arp: Socket,
    nd: Socket,
    cards: HashMap<String, CardState>,
}

impl Ear {
    pub fn open() -> Result<Ear, KernelError> {
        let doing = |cause: Cause| KernelError::new("open packet sockets", cause);
        let open = || -> Result<Ear, Cause> {
            // Protocol 0 receives nothing.
            let sends = packet_socket()?;
            let arp = packet_socket()?;
            arp.bind(&link_address(0, ETH_P_ARP))?;
            let nd = packet_socket()?;
            // The filter before the protocol, so that nothing else gets in between.
            nd.attach_filter(&neighbour_discovery())?;
            nd.bind(&link_address(0, ETH_P_IP6))?;
            let mut ear = Ear { route: RouteSocket::open()?, sends, arp, nd, cards: HashMap::new() };
            ear.look()?;
            Ok(ear)
        };
        open().map_err(doing)
    }

    /// Takes over what a [`super::LinkWatch`] knows of the cards. Asks the kernel nothing.
    pub fn follow(&mut self, links: &Links) {
        self.cards.clone_from(&links.0);
    }

    fn look(&mut self) -> Result<(), Cause> {
        self.cards = self.route.cards()?.into_iter().map(|card| (card.name.clone(), card)).collect();
        Ok(())
    }

    /// The number by which an interface is called in [`Heard`].
    pub fn index(&self, interface: &str) -> Option<u32> {
        self.cards.get(interface).map(|card| card.index)
    }

    /// Both are to be watched for being readable.
    pub fn sockets(&self) -> [BorrowedFd<'_>; 2] {
        [self.arp.as_fd(), self.nd.as_fd()]
    }

    /// Asks whether anybody has the address. Answers come by [`Ear::hear`].
    pub fn probe(&self, floating: &FloatingAddress) -> Result<(), Cause> {
        let (card, mac) = self.card(floating.interface.as_str())?;
        match floating.address {
            IpAddr::V4(address) => {
                let frame = noted(arp(REQUEST, mac, Ipv4Addr::UNSPECIFIED, address), &[0; NOTE]);
                self.send(&frame, card, ETH_P_ARP)
            }
            IpAddr::V6(address) => self.send(&solicitation(mac, address), card, ETH_P_IP6),
        }
    }

    /// Asks for a neighbour of ours, as `from`, in a way that everybody on the network sees; `note` goes along.
    pub fn ask(&self, interface: &str, from: Ipv4Addr, address: Ipv4Addr, note: &[u8; NOTE]) -> Result<(), Cause> {
        let (card, mac) = self.card(interface)?;
        self.send(&noted(arp(REQUEST, mac, from, address), note), card, ETH_P_ARP)
    }

    /// The next thing that was said, without waiting. What is neither is skipped; `None`: nothing waits.
    pub fn hear(&self) -> Result<Option<Heard>, Cause> {
        let mut buffer = [0_u8; 256];
        for (socket, read) in [(&self.arp, read_arp as fn(&[u8]) -> Option<_>), (&self.nd, read_nd)] {
            loop {
                match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) {
                    Ok((length, from)) => {
                        let Some((mac, said)) = read(&buffer[..length]) else { continue };
                        let interface = from.map_or(0, |from| from.ifindex() as u32);
                        return Ok(Some(Heard { interface, mac, said }));
                    }
                    // A card that went down says so once.
                    Err(Errno::EINTR | Errno::ENETDOWN) => {}
                    Err(Errno::EAGAIN) => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(None)
    }

    /// IPv4 neighbours that the kernel has reason to think of as there.
    pub fn neighbours(&mut self, interface: &str) -> Result<Vec<Ipv4Addr>, Cause> {
        let index = self.index(interface).ok_or_else(|| Cause::NoInterface(interface.to_owned()))?;
        let mut all = NeighbourMessage::default();
        all.header.family = AddressFamily::Inet;
        let mut found = Vec::new();
        for message in self.route.ask(RouteNetlinkMessage::GetNeighbour(all), NLM_F_DUMP)? {
            let RouteNetlinkMessage::NewNeighbour(message) = message else { continue };
            let known = matches!(
                message.header.state,
                NeighbourState::Reachable
                    | NeighbourState::Stale
                    | NeighbourState::Delay
                    | NeighbourState::Probe
                    | NeighbourState::Permanent
            );
            if message.header.ifindex != index || !known {
                continue;
            }
            found.extend(message.attributes.iter().find_map(|attribute| match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(*address),
                _ => None,
            }));
        }
        Ok(found)
    }

    fn card(&self, name: &str) -> Result<(u32, [u8; 6]), Cause> {
        let card = self.cards.get(name).ok_or_else(|| Cause::NoInterface(name.to_owned()))?;
        match card.mac {
            Some(mac) if card.runs => Ok((card.index, mac)),
            Some(_) => Err(Cause::Errno(Errno::ENETDOWN)),
            None => Err(Cause::Refused(format!("{name} is no Ethernet interface"))),
        }
    }

    fn send(&self, frame: &[u8], card: u32, protocol: u16) -> Result<(), Cause> {
        self.sends.send_to(frame, &link_address(card, protocol))?;
        Ok(())
    }
}

fn packet_socket() -> Result<Socket, Cause> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Classic BPF: ICMPv6 (next header at 20) of type 135 or 136 (at 54), in an Ethernet frame without options.
fn neighbour_discovery() -> [SockFilter; 7] {
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    [
        SockFilter::new(LOAD_BYTE, 0, 0, 20),
        SockFilter::new(JUMP_EQUAL, 0, 4, u32::from(ICMPV6)),
        SockFilter::new(LOAD_BYTE, 0, 0, 54),
        SockFilter::new(JUMP_EQUAL, 1, 0, u32::from(NEIGHBOUR_ADVERTISEMENT)),
        SockFilter::new(JUMP_EQUAL, 0, 1, u32::from(NEIGHBOUR_SOLICITATION)),
        SockFilter::new(RETURN, 0, 0, 0xffff),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// A question with its note in the padding.
fn noted(frame: [u8; ARP_END], note: &[u8; NOTE]) -> [u8; SHORTEST] {
    let mut long = [0; SHORTEST];
    long[..ARP_END].copy_from_slice(&frame);
    long[ARP_END..].copy_from_slice(note);
    long
}

fn read_arp(frame: &[u8]) -> Option<([u8; 6], Said)> {
    let packet = frame.get(14..ARP_END)?;
    let operation = packet[7];
    if packet[..6] != [0, 1, 8, 0, 6, 4] || packet[6] != 0 || !matches!(operation, REQUEST | REPLY) {
        return None;
    }
    let address = |at: usize| Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
    let mac = packet[8..14].try_into().ok()?;
    let (from, about) = (address(14), address(24));
    let note = frame.get(ARP_END..SHORTEST).and_then(|note| note.try_into().ok()).unwrap_or_default();
    let marked = note != [0; NOTE];
    if operation == REQUEST && marked && from != about {
        return Some((mac, Said::Asks { address: about, note }));
    }
    (!from.is_unspecified()).then_some((mac, Said::Has(IpAddr::V4(from))))
}

/// RFC 4862 section 5.4.2: from the unspecified address to the solicited-node group.
fn solicitation(mac: [u8; 6], address: Ipv6Addr) -> [u8; 78] {
    const LENGTH: u16 = 24;
    let [.., a, b, c] = address.octets();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]));
    let mut frame = [0; 78];
    frame[..6].copy_from_slice(&[0x33, 0x33, 0xff, a, b, c]);
    frame[6..12].copy_from_slice(&mac);
    frame[12..14].copy_from_slice(&ETH_P_IP6.to_be_bytes());
    frame[14] = 0x60;
    frame[18..20].copy_from_slice(&LENGTH.to_be_bytes());
    frame[20] = ICMPV6;
    // Hop limit 255 proves that it did not come through a router.
    frame[21] = 255;
    frame[38..54].copy_from_slice(&group.octets());
    frame[54] = NEIGHBOUR_SOLICITATION;
    frame[62..78].copy_from_slice(&address.octets());
    let checksum = checksum6(Ipv6Addr::UNSPECIFIED, group, ICMPV6, &frame[54..]);
    frame[56..58].copy_from_slice(&checksum.to_be_bytes());
    frame
}

fn read_nd(frame: &[u8]) -> Option<([u8; 6], Said)> {
    let address =
        |at: usize| -> Option<Ipv6Addr> { Some(Ipv6Addr::from(<[u8; 16]>::try_from(frame.get(at..at + 16)?).ok()?)) };
    let through_no_router = *frame.get(21)? == 255 && frame[20] == ICMPV6;
    if !through_no_router {
        return None;
    }
    let mac = frame[6..12].try_into().ok()?;
    match *frame.get(54)? {
        NEIGHBOUR_ADVERTISEMENT => Some((mac, Said::Has(IpAddr::V6(address(62)?)))),
        NEIGHBOUR_SOLICITATION => {
            let from = address(22)?;
            (!from.is_unspecified()).then_some((mac, Said::Has(IpAddr::V6(from))))
        }
        _ => None,
    }
}
