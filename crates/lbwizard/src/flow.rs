//! What to ask next, with which default, and whether an answer can be taken. Pure.
//!
//! ```text
//! HA-Pair? --y--> refused: not in this version yet, asked again
//!    | n
//! one arm? --y--> eth0, netmask ----------------------+
//!    | n                                              v
//!    +----------> eth0, netmask, eth1, netmask --> gateway, nameserver, port, real server --> confirm
//! ```
//! A refused answer changes nothing and the question comes again. A default is one that would be
//! taken: the same judgement chooses it.

use crate::{
    check::{self, Refusal},
    settings::Settings,
};
use ipnet::{IpNet, Ipv4Net};
use lb_model::{Config, FACTORY_ADDRESS, problems};
use std::net::{IpAddr, Ipv4Addr};

/// The questions, in the order of the quick start guide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Question {
    HaPair,
    OneArm,
    Eth0Address,
    Eth0Netmask,
    Eth1Address,
    Eth1Netmask,
    Gateway,
    Nameserver,
    Port,
    RealServer,
}

impl Question {
    /// As printed, without default and colon; at most 65 columns, so that the answer fits on the line.
    pub fn text(self) -> &'static str {
        match self {
            Question::HaPair => "Is this unit part of an HA-Pair? (y/n)",
            Question::OneArm => "Is this a one-armed set-up (i.e. same subnet as servers)? (y/n)",
            Question::Eth0Address => "IP address for interface eth0",
            Question::Eth0Netmask => "Netmask for interface eth0",
            Question::Eth1Address => "IP address for interface eth1",
            Question::Eth1Netmask => "Netmask for interface eth1",
            Question::Gateway => "IP address of the default gateway",
            Question::Nameserver => "IP address of the nameserver",
            Question::Port => "Port for first virtual server",
            Question::RealServer => "IP address of the first real server (backend)",
        }
    }

    /// What `?` shows; lines of at most 78 columns.
    pub fn help(self) -> &'static str {
        match self {
            Question::HaPair => "Two units that stand in for each other are a pair. n: a single unit.",
            Question::OneArm => {
                "One arm: load balancer and real servers in one subnet, on one card; DR.\n\
                 Two arms: eth0 to the clients, eth1 to the real servers; NAT."
            }
            Question::Eth0Address => {
                "The address of the card towards the clients (Gb1). The first virtual server\n\
                 gets this address too."
            }
            Question::Eth0Netmask | Question::Eth1Netmask => "How large the card's subnet is: 255.255.255.0, or /24.",
            Question::Eth1Address => {
                "The address of the card towards the real servers (Gb2), in its own subnet.\n\
                 The real servers use it as their default gateway."
            }
            Question::Gateway => "The router of eth0's subnet, through which clients are reached.",
            Question::Nameserver => "The DNS server that this unit asks.",
            Question::Port => "The TCP port that clients connect to: 80 for HTTP.",
            Question::RealServer => {
                "The machine that serves the clients. One arm: in eth0's subnet. Two arms: in\n\
                 eth1's. More can be added afterwards with lbctl."
            }
        }
    }
}

/// What has been answered so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    pub ha_pair: Option<bool>,
    pub one_arm: Option<bool>,
    pub eth0_address: Option<Ipv4Addr>,
    pub eth0_prefix: Option<u8>,
    pub eth1_address: Option<Ipv4Addr>,
    pub eth1_prefix: Option<u8>,
    pub gateway: Option<Ipv4Addr>,
    pub nameserver: Option<Ipv4Addr>,
    pub port: Option<u16>,
    pub real_server: Option<Ipv4Addr>,
}

impl Answers {
    fn eth0(&self) -> Option<Ipv4Net> {
        Ipv4Net::new(self.eth0_address?, self.eth0_prefix?).ok()
    }

    fn eth1(&self) -> Option<Ipv4Net> {
        Ipv4Net::new(self.eth1_address?, self.eth1_prefix?).ok()
    }

    fn two_arm(&self) -> bool {
        self.one_arm == Some(false)
    }

    /// The first question without an answer; `None` when all are answered.
    pub fn open(&self) -> Option<Question> {
        let two = self.two_arm();
        [
            (self.ha_pair.is_none(), Question::HaPair),
            (self.one_arm.is_none(), Question::OneArm),
            (self.eth0_address.is_none(), Question::Eth0Address),
            (self.eth0_prefix.is_none(), Question::Eth0Netmask),
            (two && self.eth1_address.is_none(), Question::Eth1Address),
            (two && self.eth1_prefix.is_none(), Question::Eth1Netmask),
            (self.gateway.is_none(), Question::Gateway),
            (self.nameserver.is_none(), Question::Nameserver),
            (self.port.is_none(), Question::Port),
            (self.real_server.is_none(), Question::RealServer),
        ]
        .into_iter()
        .find_map(|(open, question)| open.then_some(question))
    }

    /// All of them together, once there are all.
    pub fn settings(&self) -> Option<Settings> {
        Some(Settings {
            eth0: self.eth0()?,
            eth1: if self.two_arm() { Some(self.eth1()?) } else { None },
            gateway: self.gateway?,
            nameserver: self.nameserver?,
            port: self.port?,
            real_server: self.real_server?,
        })
    }
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Ask(Ask),
    /// All is answered; this is what would be applied.
    Confirm(Settings),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub question: Question,
    /// What Enter means; `None`: an answer must be typed.
    pub default: Option<String>,
}

/// The next step on a unit that runs `running`.
pub fn next(running: &Config, answers: &Answers) -> Step {
    match (answers.open(), answers.settings()) {
        (Some(question), _) => Step::Ask(Ask { question, default: default(running, answers, question) }),
        (None, Some(settings)) => Step::Confirm(settings),
        (None, None) => unreachable!("every question is answered, and yet a setting is missing"),
    }
}

/// `answers` with `text` as the answer to `question`; or why it cannot be taken.
pub fn answered(running: &Config, answers: &Answers, question: Question, text: &str) -> Result<Answers, Refusal> {
    let text = check::line(text)?;
    let mut new = answers.clone();
    match question {
        Question::HaPair => new.ha_pair = Some(single(text)?),
        Question::OneArm => new.one_arm = Some(check::yes_or_no(text)?),
        Question::Eth0Address => new.eth0_address = Some(card(running, answers, "eth0", check::address(text)?)?),
        Question::Eth0Netmask => {
            let prefix = check::netmask(text)?;
            if answers.one_arm == Some(true) && prefix > 29 {
                let reason = "this netmask leaves no room for a gateway and a real server beside this unit";
                return Err(Refusal::new(reason, "at most 255.255.255.248 (/29)"));
            }
            new.eth0_prefix = Some(prefix);
            fits(running, answers, "eth0", new.eth0())?;
        }
        Question::Eth1Address => new.eth1_address = Some(card(running, answers, "eth1", check::address(text)?)?),
        Question::Eth1Netmask => {
            new.eth1_prefix = Some(check::netmask(text)?);
            fits(running, answers, "eth1", new.eth1())?;
        }
        Question::Gateway => new.gateway = Some(gateway(answers, check::address(text)?)?),
        Question::Nameserver => {
            let address = check::address(text)?;
            if let Some(name) = owner(answers, address) {
                let reason = format!("{address} is this unit's own address ({name}), and it is no nameserver");
                return Err(Refusal::new(reason, "enter the address of your DNS server"));
            }
            new.nameserver = Some(address);
        }
        Question::Port => new.port = Some(check::port(text)?),
        Question::RealServer => {
            new.real_server = Some(real_server(answers, check::address(text)?)?);
            // The judgement of lb-model comes last and is the one that counts.
            if let Some(problem) = new.settings().and_then(|s| problems(&s.configure(running)).into_iter().next()) {
                return Err(Refusal::new(problem.reason, problem.hint.unwrap_or(problem.path)));
            }
        }
    }
    Ok(new)
}

fn single(text: &str) -> Result<bool, Refusal> {
    match check::yes_or_no(text)? {
        false => Ok(false),
        true => Err(Refusal::new(
            "clustered pairs are not in this version yet; nothing was changed",
            "answer n to set this unit up by itself, or press Ctrl-C to leave",
        )),
    }
}

/// Networks that a card cannot overlap: the other cards', under their names.
fn taken(running: &Config, answers: &Answers, name: &str) -> Vec<(String, Ipv4Net)> {
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
fn card(running: &Config, answers: &Answers, name: &str, address: Ipv4Addr) -> Result<Ipv4Addr, Refusal> {
    for (other, net) in taken(running, answers, name) {
        if net.addr() == address {
            return Err(Refusal::new(format!("{address} is the address of {other} already"), OWN_NETWORK));
        }
        if net.contains(&address) {
            return Err(Refusal::new(format!("{address} is in the network {} of {other}", net.trunc()), OWN_NETWORK));
        }
    }
    // With a shorter netmask it might be a host's, but who types it has nearly always meant the network.
    let edge = match address.octets()[3] {
        0 => "a network's own address",
        255 => "a network's broadcast address",
        _ => "",
    };
    let possible =
        |prefix| Ipv4Net::new(address, prefix).is_ok_and(|net| fits(running, answers, name, Some(net)).is_ok());
    let widest = if answers.one_arm == Some(true) { 29 } else { 30 };
    if !edge.is_empty() {
        Err(Refusal::new(format!("{address} is {edge}, not a host's"), "the last number of a host is 1 to 254"))
    } else if !(8..=widest).any(possible) {
        Err(Refusal::new(
            format!("there is no netmask with which {address} would not overlap another card's network"),
            OWN_NETWORK,
        ))
    } else {
        Ok(address)
    }
}

/// Whether card `name` can have address and netmask `net`.
fn fits(running: &Config, answers: &Answers, name: &str, net: Option<Ipv4Net>) -> Result<(), Refusal> {
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
fn owner(answers: &Answers, address: Ipv4Addr) -> Option<&'static str> {
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
fn host_of(net: Ipv4Net, name: &str, address: Ipv4Addr, hint: &str) -> Result<(), Refusal> {
    if !net.contains(&address) {
        Err(Refusal::new(format!("{address} is outside {name}'s subnet {}", net.trunc()), hint))
    } else if address == net.network() || address == net.broadcast() {
        Err(Refusal::new(format!("{address} is not a host's address in {}", net.trunc()), hint))
    } else {
        Ok(())
    }
}

fn gateway(answers: &Answers, address: Ipv4Addr) -> Result<Ipv4Addr, Refusal> {
    const HINT: &str = "enter the address of the router in eth0's subnet";
    if let Some(name) = owner(answers, address) {
        return Err(Refusal::new(format!("{address} is this unit's own address ({name})"), HINT));
    }
    if let Some(net) = answers.eth0() {
        host_of(net, "eth0", address, HINT)?;
    }
    Ok(address)
}

fn real_server(answers: &Answers, address: Ipv4Addr) -> Result<Ipv4Addr, Refusal> {
    let (net, name, hint) = match answers.two_arm() {
        true => (answers.eth1(), "eth1", "with two arms the real server must be on the internal subnet"),
        false => (answers.eth0(), "eth0", "with one arm the real server must be in this unit's subnet"),
    };
    if answers.eth0_address == Some(address) {
        let reason = format!("{address} is the virtual server's own address");
        return Err(Refusal::new(reason, "enter the address of the machine that serves the clients"));
    }
    if let Some(name) = owner(answers, address) {
        return Err(Refusal::new(
            format!("{address} is this unit's own address ({name})"),
            "enter the address of the real server",
        ));
    }
    if answers.gateway == Some(address) {
        return Err(Refusal::new(
            format!("{address} is the default gateway's address"),
            "enter the address of the real server",
        ));
    }
    if let Some(net) = net {
        host_of(net, name, address, hint)?;
    }
    Ok(address)
}

/// The first of the candidates that would be taken as an answer.
fn default(running: &Config, answers: &Answers, question: Question) -> Option<String> {
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
        Question::HaPair | Question::OneArm => Vec::new(),
        Question::Eth0Address => {
            let runs = address_of(running, "eth0").map(|n| n.addr());
            runs.into_iter().chain([FACTORY_ADDRESS]).map(|a| a.to_string()).collect()
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
    let usual = [guide, FACTORY_ADDRESS].into_iter().chain(others).filter(|a| {
        let net = Ipv4Net::new(*a, 24).ok();
        fits(running, answers, "eth1", net).is_ok()
    });
    runs.into_iter().chain(usual).map(|a| a.to_string()).collect()
}

/// Some hosts of a network, from the `n`-th on if it is that large; enough that one is free.
fn hosts(net: Ipv4Net, n: usize) -> impl Iterator<Item = Ipv4Addr> {
    net.hosts().skip(n - 1).take(4).chain(net.hosts().take(8))
}
