//! Links, addresses and routes over rtnetlink.
//!
//! Who made an address or a route is written on the object itself (IFA_PROTO, kernel 5.18 and later;
//! RTA_PROTOCOL), so it survives us. An object that is there already when it should be added, or gone when
//! it should be removed, is no error.

mod detour;

use crate::Cause;
use futures_util::StreamExt;
use ipnet::IpNet;
use lb_model::{Family, IfName};
use lb_plan::{Address, Link, ObservedAddress, ObservedRoute, Route};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressProtocol, CacheInfo},
    link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage},
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
    },
};
use nix::errno::Errno;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    time::Duration,
};
use tokio::runtime::Runtime;

/// IFA_PROTO of addresses that lbd adds. The kernel uses 1 to 3 (`if_addr.h`); the rest is free.
pub const ADDRESS_OWNER: u8 = 0x4c;
/// IFA_PROTO of the floating addresses that heartbeat adds: lbd does not even see them.
pub const HEARTBEAT_ADDRESS_OWNER: u8 = 0x4d;
/// RTA_PROTOCOL of routes that lbd adds; unassigned in `rtnetlink.h` and in iproute2's `rt_protos`.
pub const ROUTE_OWNER: u8 = 76;

/// A request without an answer would otherwise wait for ever.
const TIMEOUT: Duration = Duration::from_secs(10);
const FOREVER: u32 = u32::MAX;

/// What it takes to reach a network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Card {
    pub(super) index: u32,
    /// Ethernet only.
    pub(super) mac: Option<[u8; 6]>,
}

pub(super) struct Net {
    runtime: Runtime,
    handle: rtnetlink::Handle,
    cards: HashMap<IfName, Card>,
}

pub(super) struct State {
    pub(super) links: BTreeMap<IfName, Link>,
    pub(super) addresses: Vec<ObservedAddress>,
    pub(super) routes: Vec<ObservedRoute>,
    pub(super) detours: BTreeMap<Family, bool>,
}

impl Net {
    pub(super) fn open() -> Result<Self, Cause> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let (connection, handle, _) = rtnetlink::new_connection()?;
        runtime.spawn(connection);
        drop(entered);
        Ok(Net { runtime, handle, cards: HashMap::new() })
    }

    pub(super) fn observe(&mut self) -> Result<State, Cause> {
        let links = self.links()?;
        let names: HashMap<u32, IfName> = self.cards.iter().map(|(name, card)| (card.index, name.clone())).collect();
        let mut addresses = Vec::new();
        for message in self.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))? {
            if let RouteNetlinkMessage::NewAddress(message) = message {
                addresses.extend(observed_address(&message, &names));
            }
        }
        let (mut routes, mut to_us) = (Vec::new(), BTreeSet::new());
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut all = RouteMessage::default();
            all.header.address_family = family;
            for message in self.dump(RouteNetlinkMessage::GetRoute(all))? {
                if let RouteNetlinkMessage::NewRoute(message) = message {
                    routes.extend(observed_route(&message));
                    to_us.extend(detour::route_family(&message));
                }
            }
        }
        let detours = detour::of(&to_us, &self.detour_rules()?);
        Ok(State { links, addresses, routes, detours })
    }

    fn links(&mut self) -> Result<BTreeMap<IfName, Link>, Cause> {
        let mut links = BTreeMap::new();
        let mut cards = HashMap::new();
        for message in self.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))? {
            let RouteNetlinkMessage::NewLink(LinkMessage { header, attributes, .. }) = message else { continue };
            if header.flags.contains(LinkFlags::Loopback) {
                continue;
            }
            let mut name = None;
            let mut mtu = 0;
            let mut mac = None;
            for attribute in attributes {
                match attribute {
                    // A name that the model does not take cannot be in a configuration either.
                    LinkAttribute::IfName(text) => name = text.parse::<IfName>().ok(),
                    LinkAttribute::Mtu(value) => mtu = value,
                    LinkAttribute::Address(bytes) => mac = bytes.try_into().ok(),
                    _ => {}
                }
            }
            let Some(name) = name else { continue };
            let ethernet = header.link_layer_type == LinkLayerType::Ether;
            cards.insert(name.clone(), Card { index: header.index, mac: mac.filter(|_| ethernet) });
            links.insert(name, Link { up: header.flags.contains(LinkFlags::Up), mtu });
        }
        self.cards = cards;
        Ok(links)
    }

    /// Runs `f` with the card; again with a fresh look where the kernel no longer knows its number, as after a card
    /// was taken out and put in.
    fn with_card<T>(&mut self, name: &IfName, f: impl Fn(&mut Self, &Card) -> Result<T, Cause>) -> Result<T, Cause> {
        if let Some(card) = self.cards.get(name).cloned() {
            match f(self, &card) {
                Err(Cause::Errno(Errno::ENODEV)) => {}
                other => return other,
            }
        }
        self.links()?;
        match self.cards.get(name).cloned() {
            Some(card) => f(self, &card),
            None => Err(Cause::NoInterface(name.to_string())),
        }
    }

    pub(super) fn link_up(&mut self, name: &IfName) -> Result<(), Cause> {
        self.with_card(name, |net, card| {
            let mut message = LinkMessage::default();
            message.header.index = card.index;
            message.header.flags = LinkFlags::Up;
            message.header.change_mask = LinkFlags::Up;
            net.change(RouteNetlinkMessage::SetLink(message), 0)
        })
    }

    pub(super) fn set_mtu(&mut self, name: &IfName, mtu: u32) -> Result<(), Cause> {
        self.with_card(name, |net, card| {
            let mut message = LinkMessage::default();
            message.header.index = card.index;
            message.attributes.push(LinkAttribute::Mtu(mtu));
            net.change(RouteNetlinkMessage::SetLink(message), 0)
        })
    }

    /// A VIP is never the source of what this unit sends by itself: for IPv6, where the source is chosen among all
    /// addresses, it is added as deprecated (RFC 6724, rule 3). For IPv4 a /32 is in no route.
    pub(super) fn add_address(&mut self, address: &Address, vip: bool) -> Result<Card, Cause> {
        self.with_card(&address.interface, |net, card| {
            let mut message = address_message(address, card);
            message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(ADDRESS_OWNER)));
            match address.net {
                IpNet::V4(net) if net.prefix_len() < 31 => {
                    message.attributes.push(AddressAttribute::Broadcast(net.broadcast()));
                }
                IpNet::V4(_) => {}
                IpNet::V6(_) => {
                    // Without duplicate address detection the address answers at once, not after a second or two:
                    // it moves between machines that know of each other.
                    message.header.flags = AddressHeaderFlags::Nodad;
                    let preferred = if vip { 0 } else { FOREVER };
                    let mut times = CacheInfo::default();
                    times.ifa_preferred = preferred;
                    times.ifa_valid = FOREVER;
                    message.attributes.push(AddressAttribute::CacheInfo(times));
                }
            }
            net.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)?;
            Ok(card.clone())
        })
    }

    pub(super) fn del_address(&mut self, address: &Address) -> Result<(), Cause> {
        let gone = self.with_card(&address.interface, |net, card| {
            net.change(RouteNetlinkMessage::DelAddress(address_message(address, card)), 0)
        });
        match gone {
            Err(Cause::Errno(Errno::EADDRNOTAVAIL | Errno::ENODEV) | Cause::NoInterface(_)) => Ok(()),
            other => other,
        }
    }

    pub(super) fn replace_route(&mut self, route: &Route) -> Result<(), Cause> {
        self.change(RouteNetlinkMessage::NewRoute(route_message(route)), NLM_F_CREATE | NLM_F_REPLACE)
    }

    pub(super) fn del_route(&mut self, route: &Route) -> Result<(), Cause> {
        match self.change(RouteNetlinkMessage::DelRoute(route_message(route)), 0) {
            Err(Cause::Errno(Errno::ESRCH)) => Ok(()),
            other => other,
        }
    }

    fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<(), Cause> {
        self.ask(message, NLM_F_ACK | flags).map(|_| ())
    }

    pub(super) fn dump(&mut self, message: RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>, Cause> {
        self.ask(message, NLM_F_DUMP)
    }

    fn ask(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<Vec<RouteNetlinkMessage>, Cause> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        let mut answers = self.handle.request(request).map_err(|e| Cause::Netlink(e.to_string()))?;
        let all = async {
            let mut found = Vec::new();
            while let Some(answer) = answers.next().await {
                match answer.payload {
                    NetlinkPayload::InnerMessage(message) => found.push(message),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(Cause::Errno(Errno::from_raw(error.raw_code().wrapping_neg())));
                    }
                    _ => {}
                }
            }
            Ok(found)
        };
        let answered = self.runtime.block_on(async { tokio::time::timeout(TIMEOUT, all).await });
        answered.unwrap_or(Err(Cause::NoAnswer(TIMEOUT)))
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn address_message(address: &Address, card: &Card) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.net.addr());
    message.header.prefix_len = address.net.prefix_len();
    message.header.index = card.index;
    message.attributes.push(AddressAttribute::Local(address.net.addr()));
    message.attributes.push(AddressAttribute::Address(address.net.addr()));
    message
}

/// `None` for what is neither ours nor an administrator's: loopback, link-local IPv6, what the kernel made by
/// itself, heartbeat's.
fn observed_address(message: &AddressMessage, names: &HashMap<u32, IfName>) -> Option<ObservedAddress> {
    let interface = names.get(&message.header.index)?.clone();
    let mut local = None;
    let mut peer = None;
    let mut owner = 0;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            AddressAttribute::Protocol(protocol) => owner = u8::from(*protocol),
            _ => {}
        }
    }
    // IPv6 has no IFA_LOCAL unless there is a peer.
    let address = local.or(peer)?;
    let link_local = matches!(address, IpAddr::V6(a) if a.is_unicast_link_local());
    if link_local || (1..=3).contains(&owner) || owner == HEARTBEAT_ADDRESS_OWNER {
        return None;
    }
    let net = IpNet::new(address, message.header.prefix_len).ok()?;
    Some(ObservedAddress { address: Address { interface, net }, ours: owner == ADDRESS_OWNER })
}

fn route_message(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: family(route.to.addr()),
        destination_prefix_length: route.to.prefix_len(),
        table: RouteHeader::RT_TABLE_MAIN,
        protocol: RouteProtocol::Other(ROUTE_OWNER),
        scope: RouteScope::Universe,
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    };
    if route.to.prefix_len() > 0 {
        message.attributes.push(RouteAttribute::Destination(RouteAddress::from(route.to.network())));
    }
    message.attributes.push(RouteAttribute::Gateway(RouteAddress::from(route.via)));
    message
}

/// Routes through one router, of the main table, that a person or a program made; not those of the kernel,
/// of a redirect or of a router advertisement, which come and go by themselves.
fn observed_route(message: &RouteMessage) -> Option<ObservedRoute> {
    let header = &message.header;
    let passing = matches!(header.protocol, RouteProtocol::Kernel | RouteProtocol::IcmpRedirect | RouteProtocol::Ra);
    if header.kind != RouteType::Unicast || passing || header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let mut table = u32::from(header.table);
    let mut via = None;
    let mut to = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Gateway(address) => via = ip(address),
            RouteAttribute::Destination(address) => to = ip(address)?,
            _ => {}
        }
    }
    if table != u32::from(RouteHeader::RT_TABLE_MAIN) {
        return None;
    }
    let to = IpNet::new(to, header.destination_prefix_length).ok()?;
    let ours = header.protocol == RouteProtocol::Other(ROUTE_OWNER);
    Some(ObservedRoute { route: Route { to, via: via? }, ours })
}

pub(super) fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(a) => Some(IpAddr::V4(*a)),
        RouteAddress::Inet6(a) => Some(IpAddr::V6(*a)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
