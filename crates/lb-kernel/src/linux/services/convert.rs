//! Between our words and IPVS's. Pure.
//!
//! What was set by hand on a service of ours and has no word of ours must not look like what we asked for,
//! or it would never be put right: it becomes something that we never ask for.

use ipvs::{Checksum, DestId, Flags, Netmask, Request, ServiceId};
use lb_model::{Family, Protocol, Tunnel};
use lb_plan::{Action, Dest, DestKey, Forward, Service, ServiceKey};
use std::{collections::BTreeMap, num::NonZeroU32};

/// Generic UDP Encapsulation (IANA: `gue`).
const GUE_PORT: u16 = 6080;

/// `None` for mark 0, which is none.
fn id(key: &ServiceKey) -> Option<ServiceId> {
    Some(match *key {
        ServiceKey::Address { protocol, address, port } => ServiceId::Address {
            protocol: match protocol {
                Protocol::Tcp => ipvs::Protocol::Tcp,
                Protocol::Udp => ipvs::Protocol::Udp,
                Protocol::Sctp => ipvs::Protocol::Sctp,
            },
            address,
            port,
        },
        ServiceKey::Mark { mark, family } => ServiceId::Mark {
            mark: NonZeroU32::new(mark)?,
            family: match family {
                Family::Ipv4 => ipvs::Family::V4,
                Family::Ipv6 => ipvs::Family::V6,
            },
        },
    })
}

/// `None` for a protocol that we have no word for: it can only be somebody else's.
pub(in crate::linux) fn key(id: &ServiceId) -> Option<ServiceKey> {
    Some(match *id {
        ServiceId::Address { protocol, address, port } => ServiceKey::Address {
            protocol: match protocol {
                ipvs::Protocol::Tcp => Protocol::Tcp,
                ipvs::Protocol::Udp => Protocol::Udp,
                ipvs::Protocol::Sctp => Protocol::Sctp,
                ipvs::Protocol::Other(_) => return None,
            },
            address,
            port,
        },
        ServiceId::Mark { mark, family } => ServiceKey::Mark {
            mark: mark.get(),
            family: match family {
                ipvs::Family::V4 => Family::Ipv4,
                ipvs::Family::V6 => Family::Ipv6,
            },
        },
    })
}

/// `None` where the service's key is none (mark 0), and for actions that are not IPVS's.
pub(super) fn request(action: &Action) -> Option<Request> {
    Some(match action {
        Action::AddService { key, service } => Request::AddService(to_service(id(key)?, service)),
        Action::SetService { key, service } => Request::SetService(to_service(id(key)?, service)),
        Action::DelService(key) => Request::DelService(id(key)?),
        Action::AddDest { service, key, dest } => Request::AddDest(id(service)?, to_dest(key, dest)),
        Action::SetDest { service, key, dest } => Request::SetDest(id(service)?, to_dest(key, dest)),
        Action::DelDest { service, key } => {
            Request::DelDest(id(service)?, DestId { address: key.address, port: key.port })
        }
        _ => return None,
    })
}

fn to_service(id: ServiceId, service: &Service) -> ipvs::Service {
    let mut flags = Flags::from_bits(u32::from(service.scheduler_flags) * Flags::SCHED1.bits());
    if service.one_packet {
        flags |= Flags::ONE_PACKET;
    }
    let mut to = ipvs::Service::new(id, service.scheduler.as_str());
    to.flags = flags;
    match service.persistence {
        Some((timeout, prefix)) => to.persistent(timeout, Netmask::prefix(id.family(), prefix)),
        None => to,
    }
}

pub(in crate::linux) fn service(is: ipvs::Service, dests: BTreeMap<DestKey, Dest>) -> Service {
    let prefix = match is.netmask {
        // A mask with holes is no prefix; 0 is one that we never ask for.
        Netmask::V4(mask) => match mask.to_bits() {
            bits if bits.leading_ones() == bits.count_ones() => bits.leading_ones() as u8,
            _ => 0,
        },
        Netmask::V6(length) => length,
    };
    let scheduler = match is.pe_name {
        Some(engine) => format!("{} with persistence engine {engine}", is.scheduler),
        None => is.scheduler,
    };
    Service {
        scheduler,
        persistence: is.flags.contains(Flags::PERSISTENT).then_some((is.timeout, prefix)),
        one_packet: is.flags.contains(Flags::ONE_PACKET),
        scheduler_flags: ((is.flags.bits() / Flags::SCHED1.bits()) & 7) as u8,
        dests,
    }
}

fn to_dest(key: &DestKey, dest: &Dest) -> ipvs::Dest {
    ipvs::Dest {
        address: key.address,
        port: key.port,
        forward: match dest.forward {
            Forward::Dr => ipvs::Forward::Direct,
            Forward::Nat => ipvs::Forward::Masq,
            Forward::Tun(Tunnel::Ipip) => ipvs::Forward::Tunnel(ipvs::Tunnel::Ipip),
            Forward::Tun(Tunnel::Gue) => {
                ipvs::Forward::Tunnel(ipvs::Tunnel::Gue { port: GUE_PORT, checksum: Checksum::None })
            }
            Forward::Tun(Tunnel::Gre) => ipvs::Forward::Tunnel(ipvs::Tunnel::Gre { checksum: Checksum::None }),
            Forward::Local => ipvs::Forward::Local,
            Forward::Bypass => ipvs::Forward::Bypass,
        },
        weight: dest.weight,
        upper: dest.upper,
        lower: dest.lower,
    }
}

pub(in crate::linux) fn dest_key(is: &ipvs::Dest) -> DestKey {
    DestKey { address: is.address, port: is.port }
}

pub(in crate::linux) fn dest(is: &ipvs::Dest) -> Dest {
    use ipvs::Tunnel as T;
    let forward = match is.forward {
        ipvs::Forward::Direct => Forward::Dr,
        ipvs::Forward::Masq => Forward::Nat,
        ipvs::Forward::Tunnel(T::Ipip) => Forward::Tun(Tunnel::Ipip),
        ipvs::Forward::Tunnel(T::Gue { port: GUE_PORT, checksum: Checksum::None }) => Forward::Tun(Tunnel::Gue),
        ipvs::Forward::Tunnel(T::Gre { checksum: Checksum::None }) => Forward::Tun(Tunnel::Gre),
        ipvs::Forward::Local => Forward::Local,
        // Another port or checksum is a tunnel that we have no word for.
        ipvs::Forward::Tunnel(T::Gue { .. } | T::Gre { .. }) | ipvs::Forward::Bypass => Forward::Bypass,
    };
    Dest { forward, weight: is.weight, upper: is.upper, lower: is.lower }
}

#[cfg(test)]
mod tests;
