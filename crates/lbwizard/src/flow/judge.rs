//! Whether an answer fits the earlier ones: cards beside cards, hosts inside networks, nobody's address twice.

use super::Answers;
use crate::check::{self, Refusal};
use ipnet::{IpNet, Ipv4Net};
use lb_api::PairedView;
use lb_model::Config;
use std::net::{IpAddr, Ipv4Addr};

/// Networks that a card cannot overlap: the other cards', under their names.
pub(super) fn taken(running: &Config, answers: &Answers, name: &str) -> Vec<(String, Ipv4Net)> {
    let others = running.node.interfaces.iter().filter(|i| !["eth0", "eth1"].contains(&i.name.as_str()));
    let mut taken: Vec<(String, Ipv4Net)> = others
        .flat_map(|i| i.addresses.iter().map(move |a| (i.name.to_string(), *a)))
        .filter_map(|(name, net)| match net {
            IpNet::V4(net) => Some((name, net)),
            IpNet::V6(_) => None,
        })
        .collect();
    if name == "eth1" {
        taken.extend(answers.eth0().map(|net| ("eth0".to_owned(), net)));
    }
    taken
}

const OWN_NETWORK: &str = "give each card an address of its own, in a network of its own";

/// An address that card `name` can have, with some netmask.
pub(super) fn card(running: &Config, answers: &Answers, name: &str, address: Ipv4Addr) -> Result<Ipv4Addr, Refusal> {
    for (other, net) in taken(running, answers, name) {
        if net.addr() == address {
            return Err(Refusal::new(format!("{address} is the address of {other} already"), OWN_NETWORK));
        }
        if net.contains(&address) {
            return Err(Refusal::new(format!("{address} is in the network {} of {other}", net.trunc()), OWN_NETWORK));
        }
    }
    if let Some(peer) = peer_with(answers, address) {
        return Err(Refusal::new(format!("{address} is the address of the other unit, {peer}"), OWN_NETWORK));
    }
    // With a shorter netmask it might be a host's, but who types it has nearly always meant the network.
    let edge = match address.octets()[3] {
        0 => "a network's own address",
        255 => "a network's broadcast address",
        _ => "",
    };
    let possible =
        |prefix: &u8| Ipv4Net::new(address, *prefix).is_ok_and(|net| fits(running, answers, name, Some(net)).is_ok());
    let longest_prefix = longest(answers);
    if !edge.is_empty() {
        Err(Refusal::new(format!("{address} is {edge}, not a host's"), "the last number of a host is 1 to 254"))
    } else if let Some(refusal) =
        (8..=longest_prefix).find(|p| possible(p)).and(far_from_peer(answers, name, address, longest_prefix))
    {
        Err(refusal)
    } else if !(8..=longest_prefix).any(|p| possible(&p)) {
        Err(Refusal::new(
            format!("there is no netmask with which {address} would not overlap another card's network"),
            OWN_NETWORK,
        ))
    } else {
        Ok(address)
    }
}

/// The last card decides whether any network is the other unit's too: an error with no netmask for that.
fn far_from_peer(answers: &Answers, name: &str, address: Ipv4Addr, longest_prefix: u8) -> Option<Refusal> {
    let with = |prefix| match name {
        "eth0" => Answers { eth0_address: Some(address), eth0_prefix: Some(prefix), ..answers.clone() },
        _ => Answers { eth1_address: Some(address), eth1_prefix: Some(prefix), ..answers.clone() },
    };
    let mut last = None;
    for prefix in 8..=longest_prefix {
        last = Some(near_the_peer(&with(prefix)).err()?);
    }
    last
}

/// The longest netmask that leaves room: for the gateway and the real server on one arm, and for the other unit and
/// the floating IP of a pair on every card.
fn longest(answers: &Answers) -> u8 {
    if answers.one_arm == Some(true) || answers.ha_pair == Some(true) { 29 } else { 30 }
}

/// A netmask for the card that has the gateway.
pub(super) fn roomy(answers: &Answers, prefix: u8) -> Result<u8, Refusal> {
    room(answers, prefix, "a gateway and a real server beside this unit")
}

/// A netmask for the card towards the real servers.
pub(super) fn roomy_behind(answers: &Answers, prefix: u8) -> Result<u8, Refusal> {
    room(answers, prefix, "a real server beside this unit")
}

fn room(answers: &Answers, prefix: u8, single: &str) -> Result<u8, Refusal> {
    if prefix <= longest(answers) {
        return Ok(prefix);
    }
    let whom = if answers.ha_pair == Some(true) { "the other unit and the floating IP of a pair" } else { single };
    Err(Refusal::new(format!("this netmask leaves no room for {whom}"), "at most 255.255.255.248 (/29)"))
}

/// Whether card `name` can have address and netmask `net`.
pub(super) fn fits(running: &Config, answers: &Answers, name: &str, net: Option<Ipv4Net>) -> Result<(), Refusal> {
    let Some(net) = net else { return Ok(()) };
    let mask = check::dotted(net.prefix_len());
    if net.addr() == net.network() || net.addr() == net.broadcast() {
        let what = if net.addr() == net.network() { "own" } else { "broadcast" };
        let reason = format!("with the netmask {mask}, {} is the network's {what} address", net.addr());
        return Err(Refusal::new(reason, "use a shorter netmask, for example 255.255.255.0"));
    }
    match taken(running, answers, name)
        .into_iter()
        .find(|(_, t)| t.contains(&net.network()) || net.contains(&t.network()))
    {
        Some((other, t)) => {
            let reason =
                format!("with the netmask {mask}, {name}'s network {} overlaps {} of {other}", net.trunc(), t.trunc());
            Err(Refusal::new(reason, "use a longer netmask; two cards cannot be in one network"))
        }
        None => Ok(()),
    }
}

/// The card that has `address`.
pub(super) fn owner(answers: &Answers, address: Ipv4Addr) -> Option<&'static str> {
    let eth1 = answers.eth1_address.filter(|_| answers.two_arm());
    if answers.eth0_address == Some(address) {
        Some("eth0")
    } else if eth1 == Some(address) {
        Some("eth1")
    } else {
        None
    }
}

/// A host of `net`, which is card `name`'s network.
pub(super) fn host_of(net: Ipv4Net, name: &str, address: Ipv4Addr, hint: &str) -> Result<(), Refusal> {
    if !net.contains(&address) {
        Err(Refusal::new(format!("{address} is outside {name}'s subnet {}", net.trunc()), hint))
    } else if address == net.network() || address == net.broadcast() {
        Err(Refusal::new(format!("{address} is not a host's address in {}", net.trunc()), hint))
    } else {
        Ok(())
    }
}

pub(super) fn gateway(answers: &Answers, address: Ipv4Addr) -> Result<Ipv4Addr, Refusal> {
    const HINT: &str = "enter the address of the router in eth0's subnet";
    if let Some(name) = owner(answers, address) {
        return Err(Refusal::new(format!("{address} is this unit's own address ({name})"), HINT));
    }
    if let Some(net) = answers.eth0() {
        host_of(net, "eth0", address, HINT)?;
    }
    Ok(address)
}

pub(super) fn real_server(answers: &Answers, address: Ipv4Addr) -> Result<Ipv4Addr, Refusal> {
    let (net, name, hint) = match answers.two_arm() {
        true => (answers.eth1(), "eth1", "with two arms the real server must be on the internal subnet"),
        false => (answers.eth0(), "eth0", "with one arm the real server must be in this unit's subnet"),
    };
    let vip = if answers.master() { answers.floating } else { answers.eth0_address };
    if vip == Some(address) {
        let reason = format!("{address} is the virtual server's own address");
        return Err(Refusal::new(reason, "enter the address of the machine that serves the clients"));
    }
    if let Some(what) = taken_by(answers, address) {
        return Err(Refusal::new(format!("{address} is {what}"), "enter the address of the real server"));
    }
    if let Some(net) = net {
        host_of(net, name, address, hint)?;
    }
    Ok(address)
}

/// What has `address` already, of all that the answers speak of.
fn taken_by(answers: &Answers, address: Ipv4Addr) -> Option<String> {
    let of_slave = answers.slave.filter(|_| answers.master()) == Some(address);
    if let Some(name) = owner(answers, address) {
        Some(format!("this unit's own address ({name})"))
    } else if answers.gateway == Some(address) {
        Some("the default gateway's address".to_owned())
    } else if let Some(peer) = peer_with(answers, address) {
        Some(format!("the address of the other unit, {peer}"))
    } else if of_slave {
        Some("the slave's own address".to_owned())
    } else if answers.internal == Some(address) {
        Some("the floating IP of the real servers' gateway".to_owned())
    } else {
        None
    }
}

/// The other unit's name, if it has `address`.
fn peer_with(answers: &Answers, address: Ipv4Addr) -> Option<&str> {
    let paired = answers.paired.as_ref()?;
    paired.addresses.iter().any(|net| net.addr() == address).then_some(paired.hostname.as_str())
}

pub(super) fn slave(answers: &Answers, address: Ipv4Addr) -> Result<Ipv4Addr, Refusal> {
    const HINT: &str = "enter the slave's own address, as its wizard was told";
    if let Some(what) = taken_by(answers, address) {
        return Err(Refusal::new(format!("{address} is {what}"), HINT));
    }
    let internal = answers.eth1().filter(|net| net.contains(&address));
    match (internal, answers.eth0()) {
        (Some(net), _) => host_of(net, "eth1", address, HINT)?,
        (None, Some(net)) => host_of(net, "eth0", address, HINT)?,
        (None, None) => {}
    }
    Ok(address)
}

/// An address that the unit which serves holds, in card `name`'s network `net`.
pub(super) fn floating(
    answers: &Answers,
    net: Option<Ipv4Net>,
    name: &str,
    address: Ipv4Addr,
) -> Result<Ipv4Addr, Refusal> {
    const HINT: &str = "enter an address that no machine has yet: it moves between the two units";
    let vip = answers.floating == Some(address);
    let what = taken_by(answers, address).or_else(|| vip.then(|| "the virtual server's floating IP".to_owned()));
    let what = what.or_else(|| (answers.nameserver == Some(address)).then(|| "the nameserver's address".to_owned()));
    if let Some(what) = what {
        return Err(Refusal::new(format!("{address} is {what}"), HINT));
    }
    if let Some(net) = net {
        host_of(net, name, address, HINT)?;
    }
    Ok(address)
}

/// Once all cards have their networks: one of them must be the other unit's too.
pub(super) fn near_the_peer(answers: &Answers) -> Result<(), Refusal> {
    let complete = answers.eth0().is_some() && (!answers.two_arm() || answers.eth1().is_some());
    match &answers.paired {
        Some(paired) if complete && answers.master() => {
            let cards = answers.eth0().into_iter().chain(answers.eth1().filter(|_| answers.two_arm()));
            let cards: Vec<IpNet> = cards.map(IpNet::V4).collect();
            if common(&cards, &paired.addresses).is_empty() { Err(apart(paired)) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// Why the units cannot be a pair as they are.
pub(super) fn apart(paired: &PairedView) -> Refusal {
    let addresses: Vec<String> = paired.addresses.iter().map(IpNet::to_string).collect();
    let reason = format!(
        "no network of this unit has an address of the other unit, {} ({})",
        paired.hostname,
        addresses.join(", ")
    );
    Refusal::new(reason, "both units need an address in the same network, with the same netmask")
}

/// The networks in which both units have an address: this unit's address there, and the other's.
pub fn common(mine: &[IpNet], theirs: &[IpNet]) -> Vec<(IpAddr, IpAddr)> {
    let reachable = |net: &&IpNet| match net {
        IpNet::V4(_) => true,
        // Of link-local addresses (RFC 4291, section 2.5.6) every card has one, and they say nothing without it.
        IpNet::V6(net) => net.addr().segments()[0] & 0xffc0 != 0xfe80,
    };
    let other = |mine: &IpNet| {
        theirs.iter().filter(reachable).find(|t| mine.contains(&t.addr()) && t.contains(&mine.addr())).map(IpNet::addr)
    };
    mine.iter().filter(reachable).filter_map(|m| Some((m.addr(), other(m)?))).collect()
}
