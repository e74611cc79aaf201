//! Sends the connection table to the other unit of a pair, and says what a unit has.
//!
//! From user space, in the place of the kernel's own master daemon: that one sends a connection when a packet of it
//! comes, and has no way to be told to send the rest. Paced: the backup daemon's socket holds some 90 messages, and what
//! comes on top is lost without a word. Memory: a message, and the fingerprints of the first round.

use super::{inspector::TABLE, inspector::network, inspector::read_table, net::Net, services::convert};
use crate::{
    Cause, Connection, KernelError,
    transfer::{self, Buckets, Digest, DigestKey, Held, Rules, Unsent},
};
use ipvs::{Ipvs, sync};
use lb_plan::{MarkRule, SyncDaemon};
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    net::{IpAddr, SocketAddr},
    ops::ControlFlow,
    time::{Duration, Instant},
};

/// A card that takes nothing for so long has failed.
const STUCK: Duration = Duration::from_secs(5);
/// No pause becomes longer.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// Rounds after the first. The pause is four times as long in each, so that the fourth goes as slowly as it gets.
const ROUNDS: usize = 8;
/// A backup daemon that has so much to read is being sent to all the time: no reason to wait any longer.
const SETTLED: Duration = Duration::from_secs(2);

/// So many messages, then a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub burst: u32,
    pub pause: Duration,
}

impl Default for Pace {
    /// 3,200 messages of 40 entries a second: a million entries take eight.
    fn default() -> Self {
        Pace { burst: 16, pause: Duration::from_millis(5) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub sent: u64,
    /// By the services' counters when the round began; a little more or less will come.
    pub total: u64,
}

/// The other unit's answers, over the pair's own channel: [`table_digest`] and [`table_held`] there.
pub trait OtherTable {
    type Error: From<KernelError>;
    fn digest(&mut self, key: DigestKey) -> Result<Digest, Self::Error>;
    fn held(&mut self, key: DigestKey, buckets: &[u16]) -> Result<Held, Self::Error>;
}

/// What is sent how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// As the other unit's backup runs, which is as this unit's master runs.
    pub daemon: SyncDaemon,
    /// The rules by which this unit's packets get their marks.
    pub marks: Vec<MarkRule>,
    /// Random, new for every transfer.
    pub key: DigestKey,
    pub pace: Pace,
    pub first: First,
}

/// What goes in the first round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    Everything,
    /// What the other unit lacks. It serves already: of what it has, it knows more than this one.
    Lacking,
}

/// What a transfer came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub end: End,
    /// In all rounds.
    pub entries: u64,
    pub messages: u64,
    /// Of the last round: entries that stay here, because they mean nothing elsewhere or cannot be said.
    pub local: u64,
    pub unsaid: u64,
    /// Sent, but beyond [`Held::MOST`]: nobody asks whether they arrived.
    pub unverified: u64,
    /// What each round found missing of what had been sent before.
    pub lost: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The other unit has everything that was said and is still here.
    Hot,
    /// It lacks so many even after the last round.
    Lacking(u64),
    /// `progress` broke it off.
    BrokenOff,
}

/// Sends the whole table, or what is to go first, and then what the other unit lacks, until it is hot. Says after every burst how far it is;
/// `Break` ends it. Blocks, for seconds at a million entries: call from a thread of your own, in the table's namespace.
pub fn send_table<O: OtherTable + ?Sized>(
    transfer: &Transfer,
    other: &mut O,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, O::Error> {
    let mut sending = Sending::new(transfer);
    let mut going = match transfer.first {
        First::Everything => sending.round(&mut |_, _| Pick::Send, progress)?,
        First::Lacking => {
            let held = other.held(transfer.key, &Buckets::all())?;
            let pick = |lacks| if lacks { Pick::Send } else { Pick::Leave };
            sending.round(&mut |fingerprint, _| pick(!held.contains(fingerprint)), progress)?
        }
    };
    for _ in 0..ROUNDS {
        if going.is_break() {
            return Ok(sending.report(End::BrokenOff));
        }
        let buckets = sending.ours.differing(&other.digest(transfer.key)?);
        if buckets.is_empty() {
            return Ok(sending.report(End::Hot));
        }
        let held = other.held(transfer.key, &buckets)?;
        let (wanted, mut missing) = (Buckets::new(&buckets), 0);
        let said = std::mem::take(&mut sending.said);
        // Whatever was lost, was lost by haste.
        sending.pace.pause = (sending.pace.pause * 4).clamp(Pace::default().pause, LONGEST_PAUSE);
        sending.pace.burst = sending.pace.burst.min(Pace::default().burst);
        going = sending.round(
            &mut |fingerprint, entry| {
                if !wanted.contains(fingerprint) || held.contains(fingerprint) {
                    return Pick::Leave;
                }
                let again = said.contains(fingerprint);
                let hidden = again && entry.flags & sync::flag::INACTIVE != 0;
                // The unit that serves has another connection of that client's port by now, which is the one that counts.
                let superseded = hidden && transfer.first == First::Lacking;
                missing += u64::from(again && !superseded && !entry.has_ended());
                if hidden && !superseded { Pick::Replace } else { Pick::Send }
            },
            progress,
        )?;
        sending.said = said.and(std::mem::take(&mut sending.said));
        if missing == 0 && going.is_continue() {
            return Ok(sending.report(End::Hot));
        }
        sending.report.lost.push(missing);
    }
    let end = match (going, sending.report.lost.last()) {
        (ControlFlow::Break(()), _) => End::BrokenOff,
        (ControlFlow::Continue(()), last) => End::Lacking(last.copied().unwrap_or_default()),
    };
    Ok(sending.report(end))
}

/// What becomes of an entry in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pick {
    Leave,
    Send,
    /// First as if it were active, then as it is. The other kernel has an older connection of the same client's port to
    /// another server; it takes one that is not active for the end of a third and ignores it (`ip_vs_proc_conn`).
    Replace,
}

/// A transfer under way.
struct Sending<'a> {
    order: &'a Transfer,
    pace: Pace,
    /// What was sent so far.
    said: Held,
    /// Of what this unit could send in the last round.
    ours: Digest,
    report: Report,
}

impl Sending<'_> {
    fn new(order: &Transfer) -> Sending<'_> {
        let none =
            Report { end: End::Hot, entries: 0, messages: 0, local: 0, unsaid: 0, unverified: 0, lost: Vec::new() };
        Sending { order, pace: order.pace, said: Held::default(), ours: Digest::default(), report: none }
    }

    fn report(self, end: End) -> Report {
        Report { end, ..self.report }
    }

    /// Goes through the table once and sends what is picked, by its fingerprint and what would be said of it.
    fn round(
        &mut self,
        pick: &mut dyn FnMut(u64, &sync::Connection) -> Pick,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, KernelError> {
        let failed = |cause| KernelError::new("send the connection table to the other unit", cause);
        let (rules, total) = self.rules().map_err(failed)?;
        let mut sender = Sender::open(&self.order.daemon, self.pace).map_err(failed)?;
        let (mut said, mut result) = (Vec::new(), Ok(ControlFlow::Continue(())));
        let report = &mut self.report;
        self.ours = Digest::default();
        (report.local, report.unsaid) = (0, 0);
        let before = report.entries;
        each(&mut |connection| {
            let entry = match rules.message(connection) {
                Ok(entry) => entry,
                Err(Unsent::Local) => {
                    report.local += 1;
                    return ControlFlow::Continue(());
                }
                Err(Unsent::MixedFamilies | Unsent::NoClientPort | Unsent::Unknown) => {
                    report.unsaid += 1;
                    return ControlFlow::Continue(());
                }
            };
            let fingerprint = transfer::fingerprint(self.order.key, connection);
            self.ours.add(fingerprint);
            let picked = pick(fingerprint, &entry);
            if picked == Pick::Leave {
                return ControlFlow::Continue(());
            }
            report.entries += 1;
            if said.len() < Held::MOST {
                said.push(fingerprint);
            } else {
                report.unverified += 1;
            }
            let mut pushed = Ok(false);
            if picked == Pick::Replace {
                let active = sync::Connection { flags: entry.flags & !sync::flag::INACTIVE, ..entry.clone() };
                pushed = sender.push(&active);
            }
            result = match pushed.and_then(|_| sender.push(&entry)) {
                Ok(false) => Ok(ControlFlow::Continue(())),
                Ok(true) => Ok(progress(Progress { sent: report.entries - before, total })),
                Err(cause) => Err(cause),
            };
            if let Ok(ControlFlow::Continue(())) = result { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let going = result.and_then(|going| sender.flush().map(|()| going)).map_err(failed)?;
        report.messages += sender.messages;
        self.said = Held::new(said);
        Ok(going)
    }

    /// Read anew for every round: services come and go. And how many entries they count.
    fn rules(&self) -> Result<(Rules, u64), Cause> {
        let mut total = 0;
        let services = Ipvs::open()?.table()?.into_iter().filter_map(|(entry, dests)| {
            total += dests
                .iter()
                .map(|d| u64::from(d.active) + u64::from(d.inactive) + u64::from(d.persistent))
                .sum::<u64>();
            let key = convert::key(&entry.service.id)?;
            let dests = dests.iter().map(|d| (convert::dest_key(&d.dest), convert::dest(&d.dest))).collect();
            Some((key, convert::service(entry.service, dests)))
        });
        let services = services.collect();
        let cards = network(&mut Net::open()?)?.cards;
        let own = cards.iter().flat_map(|card| &card.addresses).map(|(net, _)| net.addr()).collect();
        Ok((Rules::new(services, &self.order.marks, own), total))
    }
}

/// A digest of this unit's table, once the backup daemon has read what came (or is still reading after two seconds).
pub fn table_digest(key: DigestKey) -> Result<Digest, KernelError> {
    settle();
    let mut digest = Digest::default();
    each(&mut |connection| {
        digest.add(transfer::fingerprint(key, connection));
        ControlFlow::Continue(())
    })?;
    Ok(digest)
}

/// Without the kernel's list of sockets, or when it takes too long, the next round finds what was not read yet.
fn settle() {
    let end = Instant::now() + SETTLED;
    let waiting = || {
        ["udp", "udp6"].iter().any(|name| {
            let sockets = std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
            transfer::unread(&sockets, SyncDaemon::PORT)
        })
    };
    while waiting() && Instant::now() < end {
        std::thread::sleep(Pace::default().pause);
    }
}

/// The fingerprints of this unit's entries in these buckets; the other unit sends again what has none.
pub fn table_held(key: DigestKey, buckets: &[u16]) -> Result<Held, KernelError> {
    let wanted = Buckets::new(buckets);
    let mut held = Vec::new();
    each(&mut |connection| {
        let fingerprint = transfer::fingerprint(key, connection);
        if wanted.contains(fingerprint) && held.len() < Held::MOST {
            held.push(fingerprint);
        }
        ControlFlow::Continue(())
    })?;
    Ok(Held::new(held))
}

fn each(visit: &mut dyn FnMut(&Connection<'_>) -> ControlFlow<()>) -> Result<(), KernelError> {
    match read_table(visit) {
        Ok(ControlFlow::Continue(()) | ControlFlow::Break(())) => Ok(()),
        Err(source) => Err(KernelError::new("read the connection table", Cause::File { path: TABLE.into(), source })),
    }
}

/// A socket as the kernel's master daemon has it.
struct Sender {
    socket: Socket,
    to: SockAddr,
    message: sync::Message,
    messages: u64,
    pace: Pace,
}

impl Sender {
    fn open(daemon: &SyncDaemon, pace: Pace) -> Result<Sender, Cause> {
        let interface = daemon.interface.as_str();
        let socket = Socket::new(Domain::for_address(SocketAddr::new(daemon.group, 0)), Type::DGRAM, None)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_write_timeout(Some(STUCK))?;
        match daemon.group {
            IpAddr::V4(_) => {
                socket.set_multicast_loop_v4(false)?;
                socket.set_multicast_ttl_v4(daemon.ttl.into())?;
            }
            IpAddr::V6(_) => {
                socket.set_multicast_loop_v6(false)?;
                socket.set_multicast_hops_v6(daemon.ttl.into())?;
                socket.set_multicast_if_v6(nix::net::if_::if_nametoindex(interface)?)?;
            }
        }
        let to = SocketAddr::new(daemon.group, daemon.port).into();
        let message = sync::Message::new(daemon.sync_id, daemon.max_len);
        Ok(Sender { socket, to, message, messages: 0, pace })
    }

    /// Whether a burst is over with it.
    fn push(&mut self, entry: &sync::Connection) -> Result<bool, Cause> {
        let mut paused = false;
        // What does not fit goes into the next, which is empty.
        while !self.message.push(entry).map_err(|error| Cause::Refused(error.to_string()))? {
            self.flush()?;
            if self.messages.is_multiple_of(self.pace.burst.max(1).into()) {
                std::thread::sleep(self.pace.pause);
                paused = true;
            }
        }
        Ok(paused)
    }

    fn flush(&mut self) -> Result<(), Cause> {
        if !self.message.is_empty() {
            self.socket.send_to(self.message.bytes(), &self.to)?;
            self.messages += 1;
            self.message.clear();
        }
        Ok(())
    }
}
