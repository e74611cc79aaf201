//! The floating addresses in the kernel of the calling thread's network namespace.
//!
//! An address has a valid lifetime (IFA_CACHEINFO), and goes when nobody renews it. The kernel adds an address that
//! it is told to replace even without NLM_F_CREATE ("userspace already relies on not having to provide this",
//! `inet_rtm_newaddr`, `inet6_rtm_newaddr`), so a renewal has to be of a kind that cannot add: with
//! IFA_F_MCAUTOJOIN a *new* address makes the kernel join it as a multicast group first, which fails with EINVAL for
//! a host's address, while for one that is there the flag changes nothing. So an address that ran out between two
//! system calls of a daemon that froze there stays gone.

use super::{
    announce::Announcer,
    net::{ADDRESS_OWNER, Card, HEARTBEAT_ADDRESS_OWNER},
    route_socket::{CardState, RouteSocket},
};
use crate::{
    Cause, KernelError,
    floating::{Floating, FloatingAddress, lease_seconds},
};
use lb_model::IfName;
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, CacheInfo},
};
use nix::errno::Errno;
use std::{collections::HashMap, net::IpAddr, time::Duration};

/// Hands on the floating addresses; root (CAP_NET_ADMIN, CAP_NET_RAW).
pub struct LinuxFloating {
    route: RouteSocket,
    announcer: Announcer,
    cards: HashMap<String, CardState>,
}

/// An address that is in the kernel.
struct Present {
    index: u32,
    address: IpAddr,
    prefix: u8,
    owner: u8,
}

impl Present {
    fn place(&self) -> (u32, IpAddr) {
        (self.index, self.address)
    }

    fn is_lbds_vip(&self, places: &[(u32, IpAddr)]) -> bool {
        self.owner == ADDRESS_OWNER && self.prefix == host_prefix(self.address) && places.contains(&self.place())
    }
}

impl LinuxFloating {
    /// Opens its sockets; they stay open, because closing a packet socket waits for an RCU grace period.
    pub fn open() -> Result<LinuxFloating, KernelError> {
        Ok(LinuxFloating {
            route: RouteSocket::open().map_err(|cause| KernelError::new("open rtnetlink", cause))?,
            announcer: Announcer::open().map_err(|cause| KernelError::new("open a packet socket", cause))?,
            cards: HashMap::new(),
        })
    }

    fn look(&mut self) -> Result<(), Cause> {
        self.cards = self.route.cards()?.into_iter().map(|card| (card.name.clone(), card)).collect();
        Ok(())
    }

    fn index(&self, name: &IfName) -> Result<u32, Cause> {
        let card = self.cards.get(name.as_str()).ok_or_else(|| Cause::NoInterface(name.to_string()))?;
        Ok(card.index)
    }

    /// Where they are; without those whose interface is not there.
    fn places(&self, addresses: &[FloatingAddress]) -> Vec<(u32, IpAddr)> {
        let place = |floating: &FloatingAddress| Some((self.index(&floating.interface).ok()?, floating.address));
        addresses.iter().filter_map(place).collect()
    }

    fn find_lbds(&mut self, addresses: &[FloatingAddress]) -> Result<bool, Cause> {
        self.look()?;
        let places = self.places(addresses);
        Ok(self.present()?.iter().any(|is| is.is_lbds_vip(&places)))
    }

    fn present(&mut self) -> Result<Vec<Present>, Cause> {
        let all = self.route.ask(RouteNetlinkMessage::GetAddress(AddressMessage::default()), NLM_F_DUMP)?;
        Ok(all.iter().filter_map(present).collect())
    }

    fn add_all(&mut self, addresses: &[FloatingAddress], lease: Duration) -> Result<(), Cause> {
        self.look()?;
        let present = self.present()?;
        for floating in addresses {
            let index = self.index(&floating.interface)?;
            let same = present.iter().find(|is| is.index == index && is.address == floating.address);
            let flags = match same {
                // Lifetime and owner change in place: the kernel neither removes the address nor flushes its routes.
                Some(is)
                    if [HEARTBEAT_ADDRESS_OWNER, ADDRESS_OWNER].contains(&is.owner)
                        && is.prefix == host_prefix(floating.address) =>
                {
                    NLM_F_REPLACE
                }
                Some(_) => {
                    let reason = format!("{floating} is there already, and heartbeat did not add it");
                    return Err(Cause::Refused(reason));
                }
                None => NLM_F_CREATE | NLM_F_EXCL,
            };
            let message = message(floating.address, index, lease, AddressFlags::empty());
            self.route.ask(RouteNetlinkMessage::NewAddress(message), NLM_F_ACK | flags)?;
        }
        Ok(())
    }

    fn renew_all(&mut self, addresses: &[FloatingAddress], lease: Duration) -> Result<Vec<FloatingAddress>, Cause> {
        let mut gone = Vec::new();
        for floating in addresses {
            let index = match self.index(&floating.interface) {
                Ok(index) => index,
                Err(_) => {
                    self.look()?;
                    let Ok(index) = self.index(&floating.interface) else {
                        gone.push(floating.clone());
                        continue;
                    };
                    index
                }
            };
            let message = message(floating.address, index, lease, AddressFlags::Mcautojoin);
            match self.route.ask(RouteNetlinkMessage::NewAddress(message), NLM_F_ACK | NLM_F_REPLACE) {
                Ok(_) => {}
                Err(Cause::Errno(Errno::EINVAL | Errno::ENODEV)) => gone.push(floating.clone()),
                Err(cause) => return Err(cause),
            }
        }
        if !gone.is_empty() {
            // A card that was taken out and put in has another number.
            self.look()?;
        }
        Ok(gone)
    }

    fn remove(&mut self, keep: &[FloatingAddress], lbds: &[FloatingAddress]) -> Result<usize, Cause> {
        self.look()?;
        let (kept, lbds) = (self.places(keep), self.places(lbds));
        let goes =
            |is: &&Present| is.owner == HEARTBEAT_ADDRESS_OWNER && !kept.contains(&is.place()) || is.is_lbds_vip(&lbds);
        let (mut removed, mut failed) = (0, None);
        for is in self.present()?.iter().filter(goes) {
            let mut message = AddressMessage::default();
            message.header.family = family(is.address);
            message.header.prefix_len = is.prefix;
            message.header.index = is.index;
            message.attributes.push(AddressAttribute::Local(is.address));
            message.attributes.push(AddressAttribute::Address(is.address));
            match self.route.ask(RouteNetlinkMessage::DelAddress(message), NLM_F_ACK) {
                Ok(_) => removed += 1,
                Err(Cause::Errno(Errno::EADDRNOTAVAIL | Errno::ENODEV)) => {}
                // One that stays must not keep the others.
                Err(cause) => failed = Some(cause),
            }
        }
        failed.map_or(Ok(removed), Err)
    }
}

impl Floating for LinuxFloating {
    fn acquire(&mut self, addresses: &[FloatingAddress], lease: Duration) -> Result<(), KernelError> {
        self.add_all(addresses, lease).map_err(|cause| KernelError::new("add the floating addresses", cause))
    }

    fn renew(&mut self, addresses: &[FloatingAddress], lease: Duration) -> Result<Vec<FloatingAddress>, KernelError> {
        self.renew_all(addresses, lease).map_err(|cause| KernelError::new("renew the floating addresses", cause))
    }

    fn release(&mut self, keep: &[FloatingAddress], lbds: &[FloatingAddress]) -> Result<usize, KernelError> {
        self.remove(keep, lbds).map_err(|cause| KernelError::new("remove the floating addresses", cause))
    }

    fn lbds(&mut self, addresses: &[FloatingAddress]) -> Result<bool, KernelError> {
        self.find_lbds(addresses).map_err(|cause| KernelError::new("see who added the floating addresses", cause))
    }

    fn announce(&mut self, addresses: &[FloatingAddress]) {
        for floating in addresses {
            let Some(card) = self.cards.get(floating.interface.as_str()) else { continue };
            self.announcer.once(&Card { index: card.index, mac: card.mac }, floating.address);
        }
    }
}

fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn message(address: IpAddr, index: u32, lease: Duration, flags: AddressFlags) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address);
    message.header.prefix_len = host_prefix(address);
    message.header.index = index;
    let mut times = CacheInfo::default();
    times.ifa_valid = lease_seconds(lease);
    // Deprecated: never the source of what this unit sends by itself (RFC 6724, rule 3). For IPv4 a /32 is in no
    // route, and 0 would be refused by no kernel but means nothing.
    times.ifa_preferred = if address.is_ipv4() { times.ifa_valid } else { 0 };
    // It answers at once: whether it is free has been found out before.
    let flags = flags | AddressFlags::Nodad | AddressFlags::Noprefixroute;
    message.attributes = vec![
        AddressAttribute::Local(address),
        AddressAttribute::Address(address),
        AddressAttribute::CacheInfo(times),
        AddressAttribute::Flags(flags),
        AddressAttribute::Protocol(AddressProtocol::Other(HEARTBEAT_ADDRESS_OWNER)),
    ];
    message
}

fn present(message: &RouteNetlinkMessage) -> Option<Present> {
    let RouteNetlinkMessage::NewAddress(message) = message else { return None };
    let (mut local, mut peer, mut owner) = (None, None, 0);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            AddressAttribute::Protocol(by) => owner = u8::from(*by),
            _ => {}
        }
    }
    let (index, prefix) = (message.header.index, message.header.prefix_len);
    // IPv6 has no IFA_LOCAL unless there is a peer.
    Some(Present { index, address: local.or(peer)?, prefix, owner })
}
