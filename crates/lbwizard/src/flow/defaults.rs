//! What Enter means: the first of the candidates that would be taken as an answer.

use super::{Answers, Question, answered, judge};
use crate::check;
use ipnet::{IpNet, Ipv4Net};
use lb_model::{Config, FACTORY_ADDRESS};
use std::net::{IpAddr, Ipv4Addr};

/// The first of the candidates that would be taken as an answer.
pub(super) fn default(running: &Config, answers: &Answers, question: Question) -> Option<String> {
    candidates(running, answers, question).into_iter().find(|c| answered(running, answers, question, c).is_ok())
}

/// eth0's address on a unit, if it has one.
fn address_of(running: &Config, name: &str) -> Option<Ipv4Net> {
    let interface = running.node.interfaces.iter().find(|i| i.name.as_str() == name)?;
    interface.addresses.iter().find_map(|a| match a {
        IpNet::V4(net) => Some(*net),
        IpNet::V6(_) => None,
    })
}

/// What might be offered: what runs, then what the guide prints, then what can be derived.
fn candidates(running: &Config, answers: &Answers, question: Question) -> Vec<String> {
    match question {
        Question::HaPair | Question::Role | Question::SlaveReady | Question::OneArm | Question::Cable => Vec::new(),
        Question::Eth0Address => {
            let runs = address_of(running, "eth0").map(|n| n.addr());
            // Both units come from the factory with the same address; the slave leaves it to the master.
            let runs = runs.filter(|a| !answers.slave_unit() || *a != FACTORY_ADDRESS);
            runs.into_iter().chain([beside(answers, FACTORY_ADDRESS)]).map(|a| a.to_string()).collect()
        }
        Question::Eth0Netmask => netmasks(address_of(running, "eth0")),
        Question::Eth1Address => eth1_addresses(running, answers),
        Question::Eth1Netmask => netmasks(address_of(running, "eth1")),
        Question::Gateway => {
            let runs = running.node.gateway;
            runs.into_iter()
                .chain(answers.eth0().into_iter().flat_map(|n| hosts(n, 1)))
                .map(|a| a.to_string())
                .collect()
        }
        Question::Nameserver => {
            let runs = running.node.nameservers.first().and_then(|a| match a {
                IpAddr::V4(a) => Some(*a),
                IpAddr::V6(_) => None,
            });
            let guide = Ipv4Addr::new(192, 168, 2, 1);
            runs.into_iter().chain([guide]).chain(answers.gateway).map(|a| a.to_string()).collect()
        }
        Question::SlaveAddress => {
            let next = answers.eth0_address.map(|a| Ipv4Addr::from(u32::from(a).saturating_add(1)));
            answers.slave_typed.into_iter().chain(next).map(|a| a.to_string()).collect()
        }
        // Nobody can know which address is free; only what floats already, or served before, is offered.
        Question::FloatingIp => {
            let runs = running.virtual_servers.first().and_then(|v| v.service.address());
            runs.into_iter().map(|a| a.to_string()).collect()
        }
        Question::InternalFloatingIp => {
            let runs = running.floating_ips.iter().map(IpAddr::to_string);
            runs.chain(address_of(running, "eth1").map(|n| n.addr().to_string())).collect()
        }
        Question::Port => {
            let runs = running.virtual_servers.first().and_then(|v| v.service.single_port());
            runs.into_iter().chain([80]).map(|p| p.to_string()).collect()
        }
        Question::RealServer => {
            let runs = running.virtual_servers.first().and_then(|v| v.real_servers.first()).map(|r| r.address);
            let guide = Ipv4Addr::new(10, 0, 0, 100);
            let net = if answers.two_arm() { answers.eth1() } else { answers.eth0() };
            let derived = net.into_iter().flat_map(|n| hosts(n, 100)).map(|a| a.to_string());
            runs.map(|a| a.to_string()).into_iter().chain([guide.to_string()]).chain(derived).collect()
        }
    }
}

/// The slave's address is the one after the master's.
fn beside(answers: &Answers, master: Ipv4Addr) -> Ipv4Addr {
    if answers.slave_unit() { Ipv4Addr::from(u32::from(master).saturating_add(1)) } else { master }
}

fn netmasks(runs: Option<Ipv4Net>) -> Vec<String> {
    let runs = runs.map(|n| n.prefix_len());
    runs.into_iter().chain([24]).chain(25..=30).chain((8..24).rev()).map(check::dotted).collect()
}

/// The guide prints 10.0.0.21, which is eth0's on its own path: then the factory's address, free by
/// then, and after that private networks that are seldom in use.
fn eth1_addresses(running: &Config, answers: &Answers) -> Vec<String> {
    let runs = address_of(running, "eth1").map(|n| n.addr());
    let guide = Ipv4Addr::new(10, 0, 0, 21);
    let others = [[192, 168, 1, 21], [172, 16, 0, 21], [10, 1, 0, 21], [192, 168, 100, 21]].map(Ipv4Addr::from);
    let usual = [guide, FACTORY_ADDRESS].into_iter().chain(others).map(|a| beside(answers, a)).filter(|a| {
        let net = Ipv4Net::new(*a, 24).ok();
        judge::fits(running, answers, "eth1", net).is_ok()
    });
    runs.into_iter().chain(usual).map(|a| a.to_string()).collect()
}

/// Some hosts of a network, from the `n`-th on if it is that large; enough that one is free.
fn hosts(net: Ipv4Net, n: usize) -> impl Iterator<Item = Ipv4Addr> {
    net.hosts().skip(n - 1).take(4).chain(net.hosts().take(8))
}
