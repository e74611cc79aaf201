//! What to ask next, with which default, and whether an answer can be taken. Pure.
//!
//! ```text
//! HA-Pair? --y--> master or slave? --slave-------------------------+
//!    | n                 | master                                  |
//!    |          slave set up? --n--> refused: the slave first      |
//!    |                   | y                                       |
//!    +-------------------+-----------------------------------------+
//!    v
//! one arm? --y--> eth0, netmask ---------------------+
//!    | n                                             v
//!    +----------> eth0, netmask, eth1, netmask --> gateway, nameserver --slave--> confirm, wait for the master
//!                                                    |          | master
//!                                                    |          v
//!                                                    |    slave's address, pairing, floating IP (two arms: two)
//!                                                    v          v
//!                                                  port, real server --> confirm
//! ```
//! A refused answer changes nothing and the question comes again. A default is one that would be
//! taken: the same judgement chooses it.

mod defaults;
mod judge;
mod question;

pub use judge::common;
pub use question::Question;

use crate::{
    check::{self, Refusal},
    settings::{First, Network, Pair, Role, Settings},
};
use ipnet::Ipv4Net;
use lb_api::PairedView;
use lb_model::{Config, Heartbeat, HeartbeatPath, NodeId, problems};
use std::net::Ipv4Addr;

/// What has been answered so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    pub ha_pair: Option<bool>,
    /// In a pair: this unit is its master.
    pub master: Option<bool>,
    pub slave_ready: Option<bool>,
    pub one_arm: Option<bool>,
    pub eth0_address: Option<Ipv4Addr>,
    pub eth0_prefix: Option<u8>,
    pub eth1_address: Option<Ipv4Addr>,
    pub eth1_prefix: Option<u8>,
    pub gateway: Option<Ipv4Addr>,
    pub nameserver: Option<Ipv4Addr>,
    /// The slave's own address; only this unit's master asks for it, to pair with it.
    pub slave: Option<Ipv4Addr>,
    /// The same as it was typed last, offered again after a pairing that failed.
    pub slave_typed: Option<Ipv4Addr>,
    /// The other unit, once it is known.
    pub paired: Option<PairedView>,
    /// A null-modem cable connects the two units.
    pub cable: Option<bool>,
    /// Of a new pair; see [`lb_model::Heartbeat::sync_id`].
    pub sync_id: u8,
    pub floating: Option<Ipv4Addr>,
    pub internal: Option<Ipv4Addr>,
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

    /// This unit is a pair's master.
    pub fn master(&self) -> bool {
        self.ha_pair == Some(true) && self.master == Some(true)
    }

    /// This unit is a pair's slave.
    pub fn slave_unit(&self) -> bool {
        self.ha_pair == Some(true) && self.master == Some(false)
    }

    /// The first question without an answer; `None` when all are answered, or the pairing comes first.
    pub fn open(&self) -> Option<Question> {
        let two = self.two_arm();
        let pair = self.ha_pair == Some(true);
        let (master, slave) = (self.master(), self.slave_unit());
        let call = master && self.paired.is_none();
        let before = [
            (self.ha_pair.is_none(), Question::HaPair),
            (pair && self.master.is_none(), Question::Role),
            (call && self.slave_ready.is_none(), Question::SlaveReady),
            (self.one_arm.is_none(), Question::OneArm),
            (self.eth0_address.is_none(), Question::Eth0Address),
            (self.eth0_prefix.is_none(), Question::Eth0Netmask),
            (two && self.eth1_address.is_none(), Question::Eth1Address),
            (two && self.eth1_prefix.is_none(), Question::Eth1Netmask),
            (self.gateway.is_none(), Question::Gateway),
            (self.nameserver.is_none(), Question::Nameserver),
            (call && self.slave.is_none(), Question::SlaveAddress),
        ];
        let after = [
            (master && self.cable.is_none(), Question::Cable),
            (master && self.floating.is_none(), Question::FloatingIp),
            (master && two && self.internal.is_none(), Question::InternalFloatingIp),
            (!slave && self.port.is_none(), Question::Port),
            (!slave && self.real_server.is_none(), Question::RealServer),
        ];
        let first = |all: &[(bool, Question)]| all.iter().find_map(|(open, question)| open.then_some(*question));
        first(&before).or_else(|| if call { None } else { first(&after) })
    }

    /// This unit's own part, once it is all there.
    pub fn network(&self) -> Option<Network> {
        Some(Network {
            eth0: self.eth0()?,
            eth1: if self.two_arm() { Some(self.eth1()?) } else { None },
            gateway: self.gateway?,
            nameserver: self.nameserver?,
        })
    }

    /// All of them together, once there are all.
    pub fn settings(&self) -> Option<Settings> {
        let network = self.network()?;
        let first = |vip| Some(First { vip, port: self.port?, real_server: self.real_server? });
        let role = if self.ha_pair == Some(false) {
            Role::Single(first(network.eth0.addr())?)
        } else if self.slave_unit() {
            Role::Slave
        } else {
            let internal = if self.two_arm() { Some(self.internal?) } else { None };
            let peer = self.paired.clone()?;
            let pair = Pair { peer, internal, cable: self.cable?, sync_id: self.sync_id };
            Role::Master(first(self.floating?)?, pair)
        };
        Some(Settings { network, role })
    }
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Ask(Ask),
    /// The slave is set up and its address known: now the units must become a pair, see [`paired`].
    Pair {
        slave: Ipv4Addr,
    },
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
        (Some(question), _) => Step::Ask(Ask { question, default: defaults::default(running, answers, question) }),
        (None, Some(settings)) => Step::Confirm(settings),
        (None, None) => match answers.slave {
            Some(slave) if answers.paired.is_none() => Step::Pair { slave },
            _ => unreachable!("every question is answered, and yet a setting is missing"),
        },
    }
}

/// `answers` with `text` as the answer to `question`; or why it cannot be taken.
pub fn answered(running: &Config, answers: &Answers, question: Question, text: &str) -> Result<Answers, Refusal> {
    let text = check::line(text)?;
    let mut new = answers.clone();
    match question {
        Question::HaPair => new.ha_pair = Some(pair(running, answers, check::yes_or_no(text)?)?),
        Question::Role => new.master = Some(role(running, answers, check::master_or_slave(text)?)?),
        Question::SlaveReady => match check::yes_or_no(text)? {
            true => new.slave_ready = Some(true),
            false => {
                let hint = "type lbwizard at the slave, answer s, and come back when it waits for the master";
                return Err(Refusal::new("configure the slave first", hint));
            }
        },
        Question::OneArm => new.one_arm = Some(check::yes_or_no(text)?),
        Question::Eth0Address => new.eth0_address = Some(judge::card(running, answers, "eth0", check::address(text)?)?),
        Question::Eth0Netmask => {
            new.eth0_prefix = Some(judge::roomy(answers, check::netmask(text)?)?);
            judge::fits(running, answers, "eth0", new.eth0())?;
            judge::near_the_peer(&new)?;
        }
        Question::Eth1Address => new.eth1_address = Some(judge::card(running, answers, "eth1", check::address(text)?)?),
        Question::Eth1Netmask => {
            new.eth1_prefix = Some(judge::roomy_behind(answers, check::netmask(text)?)?);
            judge::fits(running, answers, "eth1", new.eth1())?;
            judge::near_the_peer(&new)?;
        }
        Question::Gateway => new.gateway = Some(judge::gateway(answers, check::address(text)?)?),
        Question::Nameserver => {
            let address = check::address(text)?;
            if let Some(name) = judge::owner(answers, address) {
                let reason = format!("{address} is this unit's own address ({name}), and it is no nameserver");
                return Err(Refusal::new(reason, "enter the address of your DNS server"));
            }
            new.nameserver = Some(address);
        }
        Question::Port => new.port = Some(check::port(text)?),
        Question::SlaveAddress => {
            new.slave = Some(judge::slave(answers, check::address(text)?)?);
            new.slave_typed = new.slave;
        }
        Question::Cable => new.cable = Some(check::yes_or_no(text)?),
        Question::FloatingIp => {
            new.floating = Some(judge::floating(answers, answers.eth0(), "eth0", check::address(text)?)?);
        }
        Question::InternalFloatingIp => {
            new.internal = Some(judge::floating(answers, answers.eth1(), "eth1", check::address(text)?)?);
        }
        Question::RealServer => new.real_server = Some(judge::real_server(answers, check::address(text)?)?),
    }
    // The judgement of lb-model comes last and is the one that counts.
    if let Some(problem) = new.settings().and_then(|s| problems(&s.configure(running)).into_iter().next()) {
        return Err(Refusal::new(problem.reason, problem.hint.unwrap_or(problem.path)));
    }
    Ok(new)
}

/// A unit that is one of a pair cannot be set up as a single one.
fn pair(running: &Config, answers: &Answers, pair: bool) -> Result<bool, Refusal> {
    let Some(unit) = running.node.unit.filter(|_| !pair) else { return Ok(pair) };
    let with = answers.paired.as_ref().map_or_else(String::new, |p| format!(" with {}", p.hostname));
    let reason = format!("this unit is one of a pair{with}: unit {unit}");
    Err(Refusal::new(reason, "answer y; or take the pair apart with lbctl ha unpair, and come back"))
}

/// The roles were given out when the units were paired.
fn role(running: &Config, answers: &Answers, master: bool) -> Result<bool, Refusal> {
    let Some(paired) = &answers.paired else { return Ok(master) };
    let peer = &paired.hostname;
    let apart = "lbctl ha unpair, at both units, takes the pair apart; lbctl ha shows it";
    match (paired.unit, master) {
        (NodeId::One, false) => {
            Err(Refusal::new(format!("this unit is paired already, as the master; {peer} is the slave"), apart))
        }
        (NodeId::Two, true) => {
            Err(Refusal::new(format!("this unit is paired already, as the slave; {peer} is the master"), apart))
        }
        (NodeId::Two, false) if running.pair().is_some() => {
            let reason = format!("this unit is the slave of {peer} already, and has its configuration");
            Err(Refusal::new(reason, apart))
        }
        _ => Ok(master),
    }
}

/// `answers` when the other unit is known: paired just now, over the `cable` or not, or long ago (`None`).
/// An error: these two cannot be a pair as they are.
pub fn paired(running: &Config, answers: &Answers, view: PairedView, cable: Option<bool>) -> Result<Answers, Refusal> {
    let mut new = answers.clone();
    let serial = |h: &Heartbeat| h.paths.iter().any(|p| matches!(p, HeartbeatPath::Serial(_)));
    new.cable = cable.or_else(|| running.heartbeat.as_ref().map(serial));
    if new.master() && view.unit != NodeId::One {
        let reason = format!("{} takes itself for the master", view.hostname);
        return Err(Refusal::new(reason, "lbctl ha unpair, at both units, takes the pair apart"));
    }
    new.paired = Some(view);
    judge::near_the_peer(&new)?;
    Ok(new)
}
