//! Looking at the kernel from any thread: counters, the connection table, cards and routes.
//!
//! Has sockets of its own, so that nobody who looks waits for lbd's own work, nor lbd for him.

use super::{
    ADDRESS_OWNER, HEARTBEAT_ADDRESS_OWNER, ROUTE_OWNER, firewall, forget,
    net::{Net, ip},
    services::convert,
};
use crate::{
    AddressOwner, CardSeen, Cause, Connection, Counters, DestCounters, Forgotten, Inspect, KernelError, Network,
    RouteOrigin, RouteSeen, ServiceCounters, Template, Totals, table,
};
use ipnet::IpNet;
use ipvs::Ipvs;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{LinkAttribute, LinkFlags, LinkMessage},
    route::{RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteType},
};
use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Readers within this time of each other are shown the same counters: reading those of 5,000 services costs the
/// kernel 5,000 dumps, however many people look.
const FRESH: Duration = Duration::from_millis(250);

/// The namespace's own table, also for a thread that is in another one than the process.
pub(super) const TABLE: &str = "/proc/thread-self/net/ip_vs_conn";

pub(super) struct Inspector {
    counters: Mutex<Reader>,
    net: Mutex<Net>,
}

#[derive(Default)]
struct Reader {
    socket: Option<Ipvs>,
    last: Option<(Instant, Arc<Counters>)>,
}

impl Inspector {
    pub(super) fn open() -> Result<Self, Cause> {
        Ok(Inspector { counters: Mutex::default(), net: Mutex::new(Net::open()?) })
    }
}

/// A reader that panicked has left nothing half done: all is read anew.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inspect for Inspector {
    fn counters(&self) -> Result<Arc<Counters>, KernelError> {
        let mut reader = lock(&self.counters);
        if let Some((at, last)) = &reader.last
            && at.elapsed() < FRESH
        {
            return Ok(last.clone());
        }
        let counters = match reader.read() {
            Err(Cause::NoIpvs) => Counters::new(),
            other => other.map_err(|cause| KernelError::new("read the IPVS counters", cause))?,
        };
        let counters = Arc::new(counters);
        reader.last = Some((Instant::now(), counters.clone()));
        Ok(counters)
    }

    fn connections(
        &self,
        visit: &mut dyn FnMut(&Connection<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, KernelError> {
        read_table(visit)
            .map_err(|source| KernelError::new("read the connection table", Cause::File { path: TABLE.into(), source }))
    }

    fn network(&self) -> Result<Network, KernelError> {
        network(&mut lock(&self.net)).map_err(|cause| KernelError::new("read links, addresses and routes", cause))
    }

    fn firewall(&self) -> Result<String, KernelError> {
        firewall::list_all().map_err(|cause| KernelError::new("list the firewall rules", cause))
    }

    fn forget(&self, template: &Template) -> Result<Forgotten, KernelError> {
        forget::forget(template).map_err(|cause| KernelError::new("remove the persistent entry", cause))
    }
}

impl Reader {
    fn read(&mut self) -> Result<Counters, Cause> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            None => self.socket.insert(Ipvs::open()?),
        };
        let table = socket.table();
        if matches!(&table, Err(error) if error.kind().is_none()) {
            // A late answer must not meet the next request.
            self.socket = None;
        }
        let counters = table?.into_iter().filter_map(|(entry, dests)| {
            let dest = |d: &ipvs::DestEntry| {
                let counters = DestCounters {
                    active: d.active,
                    inactive: d.inactive,
                    persistent: d.persistent,
                    totals: totals(&d.stats),
                };
                (convert::dest_key(&d.dest), counters)
            };
            let dests = dests.iter().map(dest).collect();
            Some((convert::key(&entry.service.id)?, ServiceCounters { totals: totals(&entry.stats), dests }))
        });
        Ok(counters.collect())
    }
}

fn totals(stats: &ipvs::Stats) -> Totals {
    Totals {
        connections: stats.conns,
        packets_in: stats.in_packets,
        packets_out: stats.out_packets,
        bytes_in: stats.in_bytes,
        bytes_out: stats.out_bytes,
        connections_per_second: stats.cps,
    }
}

pub(super) fn read_table(
    visit: &mut dyn FnMut(&Connection<'_>) -> ControlFlow<()>,
) -> std::io::Result<ControlFlow<()>> {
    let file = match File::open(TABLE) {
        // A kernel without IPVS has no connections.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(ControlFlow::Continue(())),
        other => other?,
    };
    let mut lines = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        // What a client sent may stand at a line's end.
        if let Some(connection) = table::connection(&String::from_utf8_lossy(&line))
            && visit(&connection).is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        line.clear();
    }
    Ok(ControlFlow::Continue(()))
}

pub(super) fn network(net: &mut Net) -> Result<Network, Cause> {
    let mut cards = Vec::new();
    let mut indices = HashMap::new();
    for message in net.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))? {
        let RouteNetlinkMessage::NewLink(message) = message else { continue };
        if let Some(card) = card(&message) {
            indices.insert(message.header.index, cards.len());
            cards.push(card);
        }
    }
    for message in net.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))? {
        let RouteNetlinkMessage::NewAddress(message) = message else { continue };
        if let Some(card) = indices.get(&message.header.index).and_then(|i| cards.get_mut(*i)) {
            card.addresses.extend(address(&message));
        }
    }
    let mut routes = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut all = RouteMessage::default();
        all.header.address_family = family;
        for message in net.dump(RouteNetlinkMessage::GetRoute(all))? {
            if let RouteNetlinkMessage::NewRoute(message) = message {
                let name = |index: u32| indices.get(&index).and_then(|i| cards.get(*i)).map(|c| c.name.clone());
                routes.extend(route(&message, name));
            }
        }
    }
    Ok(Network { cards, routes })
}

fn card(message: &LinkMessage) -> Option<CardSeen> {
    let flags = message.header.flags;
    if flags.contains(LinkFlags::Loopback) {
        return None;
    }
    let mut card = CardSeen {
        name: String::new(),
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        mtu: 0,
        mac: String::new(),
        addresses: Vec::new(),
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => card.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => card.mtu = *mtu,
            LinkAttribute::Address(bytes) if bytes.len() == 6 => {
                card.mac = bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":");
            }
            _ => {}
        }
    }
    Some(card)
}

fn address(message: &AddressMessage) -> Option<(IpNet, AddressOwner)> {
    let (mut local, mut peer, mut owner) = (None, None, AddressOwner::Other);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            AddressAttribute::Protocol(protocol) => {
                owner = match u8::from(*protocol) {
                    ADDRESS_OWNER => AddressOwner::Lbd,
                    HEARTBEAT_ADDRESS_OWNER => AddressOwner::Heartbeat,
                    _ => AddressOwner::Other,
                }
            }
            _ => {}
        }
    }
    // IPv6 has no IFA_LOCAL unless there is a peer.
    let net = IpNet::new(local.or(peer)?, message.header.prefix_len).ok()?;
    Some((net, owner))
}

/// One for each way that the route has.
fn route(message: &RouteMessage, card: impl Fn(u32) -> Option<String>) -> Vec<RouteSeen> {
    let header = &message.header;
    if header.kind != RouteType::Unicast || header.flags.contains(RouteFlags::Cloned) {
        return Vec::new();
    }
    let mut to = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let mut table = u32::from(header.table);
    let (mut via, mut out, mut ways) = (None, None, Vec::new());
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Gateway(address) => via = ip(address),
            RouteAttribute::Oif(index) => out = Some(*index),
            RouteAttribute::Destination(address) => to = ip(address).unwrap_or(to),
            RouteAttribute::MultiPath(hops) => {
                for hop in hops {
                    let gateway = hop.attributes.iter().find_map(|a| match a {
                        RouteAttribute::Gateway(address) => ip(address),
                        _ => None,
                    });
                    ways.push((gateway, hop.interface_index));
                }
            }
            _ => {}
        }
    }
    if table != u32::from(RouteHeader::RT_TABLE_MAIN) {
        return Vec::new();
    }
    let origin = match header.protocol {
        RouteProtocol::Kernel => RouteOrigin::Kernel,
        RouteProtocol::Other(ROUTE_OWNER) => RouteOrigin::Lbd,
        _ => RouteOrigin::Other,
    };
    let Ok(to) = IpNet::new(to, header.destination_prefix_length) else { return Vec::new() };
    let ways = if ways.is_empty() { out.map(|out| (via, out)).into_iter().collect() } else { ways };
    let seen = |(via, out)| Some(RouteSeen { to, via, card: card(out)?, origin });
    ways.into_iter().filter_map(seen).collect()
}
