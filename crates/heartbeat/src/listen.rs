//! What the networks of the floating addresses say: who answers for them, and what the witness says.
//!
//! ```text
//!  Probe ------> "who has it?" on each interface --answer--> Answers   --nothing within the limit--> Free
//!                            \--no link, not sent----------> Unknown
//!  AskWitness -> the same, and "who has the witness?" with this node's note --after the limit--> granted or not
//! ```
//! The note stands in the padding of the ARP question, which everybody on the network gets and nobody else reads:
//! so node two sees that node one has asked (`docs/heartbeat-protocol.md`, a witness). Time is an argument.

use lb_ha::document::Document;
use lb_ha::{Event, Micros, NodeId, Probe, State, Time, Witness};
use lb_kernel::{Ear, FloatingAddress, Heard, Links, NOTE, Said};
use std::{
    collections::HashSet,
    io,
    net::{IpAddr, Ipv4Addr},
};

/// How long an answer may take, milliseconds: three quarters of a keepalive, so that it is there before the next
/// question, but within these.
const ANSWER_MS: std::ops::RangeInclusive<u32> = 4..=200;
/// So long after a take-over the network may still speak of before.
const SETTLED: Micros = 1_000_000;
/// While it serves, a node asks this often whether somebody else has its addresses.
const LOOK_EVERY: Micros = 10_000_000;
/// So many neighbours are asked where the network itself is the witness.
const NEIGHBOURS: usize = 16;

struct Probing {
    until: Time,
    unknown: bool,
}

struct Question {
    asked: Time,
    again: Option<Time>,
    until: Time,
    answered: bool,
    claimed: bool,
}

/// Where and whom to ask as witness.
struct Bystander {
    interface: String,
    address: Option<Ipv4Addr>,
}

pub struct Listener {
    ear: Ear,
    me: NodeId,
    floating: Vec<FloatingAddress>,
    keepalive: Micros,
    limit: Micros,
    probing: Option<Probing>,
    questions: Vec<Question>,
    bystander: Option<Bystander>,
    /// Never a bystander: the pair itself.
    pair: HashSet<IpAddr>,
    neighbours: Vec<Ipv4Addr>,
    /// The bytes that the two nodes' questions carry.
    note: [u8; NOTE],
    peers_note: [u8; NOTE],
    peer_asked: Option<Time>,
    next_look: Time,
}

/// What of the node matters to how something heard is understood.
pub struct Stand {
    pub state: State,
    pub since: Time,
    /// The peer is heard, and says that it holds nothing.
    pub peer_holds_nothing: bool,
}

impl Listener {
    pub fn new(ear: Ear, document: &Document) -> Listener {
        let mut listener = Listener {
            ear,
            me: document.me,
            floating: Vec::new(),
            keepalive: 0,
            limit: 0,
            probing: None,
            questions: Vec::new(),
            bystander: None,
            pair: HashSet::new(),
            neighbours: Vec::new(),
            note: [0; NOTE],
            peers_note: [0; NOTE],
            peer_asked: None,
            next_look: Time(0),
        };
        listener.set(document);
        listener
    }

    pub fn set(&mut self, document: &Document) {
        let settings = &document.settings;
        self.floating = floating(document);
        self.keepalive = u64::from(settings.keepalive_ms) * 1000;
        self.limit = u64::from((settings.keepalive_ms * 3 / 4).clamp(*ANSWER_MS.start(), *ANSWER_MS.end())) * 1000;
        self.bystander = settings.witness.and_then(|witness| {
            let address = match witness {
                Witness::Address(IpAddr::V4(address)) => Some(address),
                Witness::Address(IpAddr::V6(_)) => return None,
                Witness::FloatingNetwork => None,
            };
            Some(Bystander { interface: document.witness_interface()?.to_string(), address })
        });
        let ends = document.transports.iter().filter_map(|transport| match transport {
            lb_ha::document::Transport::Udp(udp) => Some([udp.local.ip(), udp.peer.ip()]),
            lb_ha::document::Transport::Serial(_) => None,
        });
        self.pair = ends.flatten().chain(self.floating.iter().map(|floating| floating.address)).collect();
        self.note = note(document.me, &self.floating);
        self.peers_note = note(document.me.other(), &self.floating);
    }

    /// The interface whose neighbours are the witness.
    pub fn wants_neighbours(&self) -> Option<&str> {
        let bystander = self.bystander.as_ref().filter(|bystander| bystander.address.is_none())?;
        Some(&bystander.interface)
    }

    pub fn set_neighbours(&mut self, all: Vec<Ipv4Addr>) {
        self.neighbours = all.into_iter().filter(|a| !self.pair.contains(&IpAddr::V4(*a))).take(NEIGHBOURS).collect();
    }

    pub fn follow(&mut self, links: &Links) {
        self.ear.follow(links);
    }

    pub fn sockets(&self) -> [std::os::fd::BorrowedFd<'_>; 2] {
        self.ear.sockets()
    }

    pub fn probe(&mut self, now: Time) {
        let unknown = self.floating.is_empty() | !self.ask_for_floating();
        self.probing = Some(Probing { until: now.plus(self.limit), unknown });
    }

    /// Whether every question went out.
    fn ask_for_floating(&self) -> bool {
        let sent = self.floating.iter().filter(|floating| self.ear.probe(floating).is_ok()).count();
        sent == self.floating.len()
    }

    pub fn ask_witness(&mut self, asked: Time, now: Time) {
        self.ask_for_floating();
        self.ask_bystander();
        let limit = self.keepalive / 2;
        let (again, until) = (Some(now.plus(limit / 2)), now.plus(limit));
        self.questions.push(Question { asked, again, until, answered: false, claimed: false });
    }

    fn ask_bystander(&self) {
        let Some(bystander) = &self.bystander else { return };
        let one = bystander.address.as_slice();
        let whom = if one.is_empty() { &self.neighbours } else { one };
        for address in whom {
            // Not sent is not answered.
            let _ = self.ear.ask(&bystander.interface, Ipv4Addr::UNSPECIFIED, *address, &self.note);
        }
    }

    /// When [`Listener::expire`] is due.
    pub fn deadline(&self) -> Time {
        let questions = self.questions.iter().map(|question| question.again.unwrap_or(question.until));
        let probing = self.probing.iter().map(|probing| probing.until);
        questions.chain(probing).min().unwrap_or(Time::NEVER)
    }

    /// Takes what was said; at most so much at once. `Err`: the socket itself failed.
    pub fn hear(&mut self, now: Time, stand: &Stand, events: &mut Vec<Event>) -> io::Result<()> {
        for _ in 0..crate::paths::AT_ONCE {
            match self.ear.hear() {
                Ok(Some(heard)) => self.understand(heard, now, stand, events),
                Ok(None) => return Ok(()),
                Err(cause) => return Err(io::Error::other(cause.to_string())),
            }
        }
        Ok(())
    }

    fn understand(&mut self, heard: Heard, now: Time, stand: &Stand, events: &mut Vec<Event>) {
        match heard.said {
            Said::Asks { note, .. } => {
                if note == self.peers_note {
                    self.peer_asked = Some(now);
                }
            }
            Said::Has(address) => {
                let on = |floating: &&FloatingAddress| {
                    floating.address == address && self.ear.index(floating.interface.as_str()) == Some(heard.interface)
                };
                if let Some(floating) = self.floating.iter().find(on).cloned() {
                    self.claimed(&floating, heard.mac, now, stand, events);
                } else if self.is_bystander(address, heard.interface) {
                    for question in &mut self.questions {
                        question.answered = true;
                    }
                }
            }
        }
    }

    fn is_bystander(&self, address: IpAddr, interface: u32) -> bool {
        let (Some(bystander), IpAddr::V4(address)) = (&self.bystander, address) else { return false };
        let asked = match bystander.address {
            Some(witness) => witness == address,
            None => self.neighbours.contains(&address),
        };
        asked && self.ear.index(&bystander.interface) == Some(interface)
    }

    fn claimed(&mut self, floating: &FloatingAddress, mac: [u8; 6], now: Time, stand: &Stand, events: &mut Vec<Event>) {
        for question in &mut self.questions {
            question.claimed = true;
        }
        match stand.state {
            // Also when it comes later than the limit: then "free" was wrong.
            State::Standby | State::Claiming | State::Taking => {
                self.probing = None;
                events.push(Event::Probe(Probe::Answers));
            }
            // The peer may still be letting go, or, where it is not heard, may serve as well: that is told otherwise.
            State::Active if stand.peer_holds_nothing && now.since(stand.since) >= SETTLED => {
                let [a, b, c, d, e, f] = mac;
                let by = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
                events.push(Event::Duplicate { address: floating.address.to_string(), by });
            }
            State::Starting | State::Acquiring | State::Active | State::Releasing | State::Leaving | State::Stopped => {
            }
        }
    }

    /// What has come to its limit. To be called after [`Listener::hear`].
    pub fn expire(&mut self, now: Time, stand: &Stand, events: &mut Vec<Event>) {
        if let Some(probing) = self.probing.take_if(|probing| probing.until <= now) {
            events.push(Event::Probe(if probing.unknown { Probe::Unknown } else { Probe::Free }));
        }
        if self.questions.iter().any(|question| question.again.is_some_and(|again| again <= now)) {
            if self.questions.iter().any(|question| !question.answered) {
                // One lost packet is no refusal.
                self.ask_bystander();
            }
            for question in &mut self.questions {
                question.again.take_if(|again| *again <= now);
            }
        }
        let two_keepalives = 2 * self.keepalive;
        let peer_asks = self.me == NodeId::Two && self.peer_asked.is_some_and(|at| now.since(at) < two_keepalives);
        self.questions.retain(|question| {
            let over = question.until <= now;
            if over {
                let granted = question.answered && !question.claimed && !peer_asks;
                events.push(Event::Witness { asked: question.asked, granted });
            }
            !over
        });
        if stand.state == State::Active && now >= self.next_look {
            self.next_look = now.plus(LOOK_EVERY);
            self.ask_for_floating();
        }
    }
}

/// The document's floating addresses as the kernel takes them.
pub fn floating(document: &Document) -> Vec<FloatingAddress> {
    let one = |floating: &lb_ha::document::Floating| FloatingAddress {
        interface: floating.interface.clone(),
        address: floating.net.addr(),
    };
    document.floating.iter().map(one).collect()
}

/// Which node of which pair: pairs on one network may share a witness.
fn note(node: NodeId, floating: &[FloatingAddress]) -> [u8; NOTE] {
    let mut note = [0; NOTE];
    let (mark, rest) = note.split_at_mut(5);
    mark[..4].copy_from_slice(b"LBHB");
    mark[4] = match node {
        NodeId::One => 1,
        NodeId::Two => 2,
    };
    let pair = match floating.first().map(|floating| floating.address) {
        Some(IpAddr::V4(address)) => address.octets().to_vec(),
        // The interface's half tells more than the network's.
        Some(IpAddr::V6(address)) => address.octets()[3..].to_vec(),
        None => Vec::new(),
    };
    rest[..pair.len()].copy_from_slice(&pair);
    note
}
