//! Runs a schedule: an event queue in virtual time, two hosts, wires between them.

use super::Random;
use super::audit::{ANSWER_PART, Audit, Broken, HANDS, Rule};
use super::host::Host;
use super::schedule::{Kind, Schedule, Wire};
use crate::codec::{Codec, Key};
use crate::core::{Hands, Probe};
use crate::defect::Defect;
use crate::frame::Frame;
use crate::node::{Event, Node, Output, Start};
use crate::settings::NodeId;
use crate::trace::Line;
use crate::word::State;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use zeroize::Zeroizing;

mod faults;

/// So many frames cannot be under way at once.
const KEPT: usize = 8192;

/// What happens at a moment. `boot` says of which daemon: what a dead one began is lost with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Fault(usize),
    Switch { node: usize },
    Arrive { to: usize, path: usize, frame: usize, replayed: bool },
    Wake { node: usize },
    Thaw { node: usize },
    Hands { node: usize, boot: u32, acquire: bool, fails: bool },
    Renew { node: usize, boot: u32 },
    Expire { node: usize },
    Probed { node: usize, boot: u32 },
    Asked { node: usize, boot: u32, asked: u64 },
    Look,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    pub broken: Option<Broken>,
    pub takeovers: u32,
    pub heals: u32,
    pub events: u64,
    pub frames: usize,
    /// What happened to each node, if it was recorded.
    pub traces: [Vec<Line>; 2],
    /// What each node wanted, if it was recorded.
    pub wanted: [crate::trace::Wanted; 2],
}

pub struct World {
    schedule: Schedule,
    random: Random,
    now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, What)>>,
    queued: u64,
    hosts: [Host; 2],
    /// Which directions of a path are cut, and what it loses.
    cut: Vec<[bool; 2]>,
    wires: Vec<Wire>,
    /// The last [`KEPT`] frames, to arrive and to be played back; frame n is at n modulo that.
    frames: Vec<Frame>,
    sent: usize,
    newest: [(u32, u64); 2],
    audit: Audit,
    defect: Option<Defect>,
    out: Vec<Output>,
    events: u64,
    codec: Option<Codec>,
    record: bool,
    traces: [Vec<Line>; 2],
    wanted: [crate::trace::Wanted; 2],
}

/// Runs a schedule to its end or to the first broken promise.
pub fn run(schedule: Schedule, defect: Option<Defect>) -> Ended {
    World::new(schedule, defect).run()
}

fn id(node: usize) -> NodeId {
    if node == 0 { NodeId::One } else { NodeId::Two }
}

impl World {
    pub fn new(schedule: Schedule, defect: Option<Defect>) -> World {
        let random = Random::new(schedule.seed ^ 0x5eed);
        let hosts = [Host::new(schedule.drift[0], 7_000_000), Host::new(schedule.drift[1], 911_000_000)];
        let audit = Audit::new(&schedule.settings);
        let mut world = World {
            random,
            now: 0,
            queue: BinaryHeap::new(),
            queued: 0,
            hosts,
            cut: vec![[false; 2]; schedule.wires.len()],
            wires: schedule.wires.clone(),
            frames: Vec::new(),
            sent: 0,
            newest: [(0, 0); 2],
            audit,
            defect,
            out: Vec::new(),
            events: 0,
            codec: None,
            record: false,
            traces: [Vec::new(), Vec::new()],
            wanted: [Vec::new(), Vec::new()],
            schedule,
        };
        for node in 0..2 {
            world.at(world.schedule.start[node], What::Switch { node });
        }
        for number in 0..world.schedule.faults.len() {
            world.at(world.schedule.faults[number].0, What::Fault(number));
        }
        world
    }

    /// Every frame goes through its bytes.
    pub fn in_bytes(mut self) -> World {
        let key = Key { id: 1, secret: Zeroizing::new([7; 32]) };
        self.codec = Some(Codec::new(&key, None));
        self
    }

    /// Keeps what happened to each node, to be played again.
    pub fn recorded(mut self) -> World {
        self.record = true;
        self
    }

    pub fn run(mut self) -> Ended {
        while let Some(Reverse((at, _, what))) = self.queue.pop() {
            if at > self.schedule.end || self.audit.broken.is_some() {
                break;
            }
            self.now = at;
            self.events += 1;
            self.happen(what);
            self.audit.look(&self.hosts, self.now);
        }
        if self.audit.broken.is_none() {
            self.in_the_end();
        }
        let World { audit, traces, wanted, events, sent, .. } = self;
        let (broken, takeovers, heals) = (audit.broken, audit.takeovers, audit.heals);
        Ended { broken, takeovers, heals, events, frames: sent, traces, wanted }
    }

    fn in_the_end(&mut self) {
        let owners = self.hosts.iter().filter(|host| host.kernel.holds).count();
        let able = self.hosts.iter().any(|host| host.runs());
        if able && owners != 1 {
            let states = self.hosts.each_ref().map(|host| host.node.as_ref().map(|node| node.core().state()));
            self.audit.breaks(Rule::OneInTheEnd, self.now, format!("{owners} owners, {states:?}"));
        }
    }

    fn at(&mut self, at: u64, what: What) {
        self.queued += 1;
        self.queue.push(Reverse((at.max(self.now), self.queued, what)));
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Fault(number) => {
                let fault = self.schedule.faults[number].1.clone();
                self.fault(fault);
            }
            What::Switch { node } => self.switch_on(node),
            What::Arrive { to, path, frame, replayed } => self.arrive(to, path, frame, replayed),
            What::Wake { node } => {
                if self.hosts[node].wake <= self.now && self.hosts[node].runs() {
                    self.hosts[node].wake = u64::MAX;
                    self.tell(node, Event::Timer);
                }
            }
            What::Thaw { node } => self.thaw(node),
            What::Hands { node, boot, acquire, fails } => self.hands(node, boot, acquire, fails),
            What::Renew { node, boot } => {
                let lease = u64::from(self.schedule.settings.lease_ms) * 1000;
                let host = &mut self.hosts[node];
                if host.boot == boot && host.node.is_some() && host.kernel.holds {
                    host.kernel.expires = self.now + lease;
                }
            }
            What::Expire { node } => self.expire(node),
            What::Probed { node, boot } => {
                let (host, other) = (&self.hosts[node], &self.hosts[1 - node]);
                let probe = match (host.floating_up, other.answers()) {
                    (false, _) => Probe::Unknown,
                    (true, true) => Probe::Answers,
                    (true, false) => Probe::Free,
                };
                self.tell_daemon(node, boot, Event::Probe(probe));
            }
            What::Asked { node, boot, asked } => {
                let other = &self.hosts[1 - node];
                // The questions are seen on the network; if both ask, node one goes first.
                let window = u64::from(self.schedule.settings.keepalive_ms) * 2000;
                let takes = !self.hosts[node].kernel.holds;
                let yields = node == 1 && takes && other.floating_up && self.now - other.asked_at < window;
                let granted = self.hosts[node].floating_up && !other.answers() && !yields;
                self.tell_daemon(node, boot, Event::Witness { asked: crate::Time(asked), granted });
            }
            What::Look => {}
        }
    }

    fn switch_on(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        if host.node.is_some() || host.exited {
            return;
        }
        host.powered = true;
        host.boot += 1;
        host.running_since = self.now;
        let start = Start {
            me: id(node),
            boot: host.boot,
            nonce: self.random.bits() | 1,
            settings: self.schedule.settings.clone(),
            at: host.clock(self.now),
        };
        if self.record {
            self.traces[node].push(Line::Start(start.clone()));
        }
        let mut out = std::mem::take(&mut self.out);
        if let Ok(mut daemon) = Node::start(start, &mut out) {
            daemon.break_it(self.defect);
            self.hosts[node].node = Some(daemon);
        }
        self.audit.interrupted(node, true);
        self.carry_out(node, &mut out);
        self.out = out;
        let reasons = if self.hosts[node].fit { Vec::new() } else { vec!["lbd is silent".to_owned()] };
        self.tell(node, Event::Fitness { reasons });
        let hot = self.hosts[node].hot;
        self.tell(node, Event::Hot(hot));
    }

    fn tell_daemon(&mut self, node: usize, boot: u32, event: Event) {
        if self.hosts[node].boot == boot && self.hosts[node].node.is_some() {
            self.tell(node, event);
        }
    }

    fn tell(&mut self, node: usize, event: Event) {
        if self.hosts[node].frozen {
            self.hosts[node].inbox.push(event);
            return;
        }
        let local = self.hosts[node].clock(self.now);
        if self.record {
            self.traces[node].push(Line::Event { at: local, event: event.clone() });
        }
        let mut out = std::mem::take(&mut self.out);
        if let Some(daemon) = &mut self.hosts[node].node {
            daemon.handle(event, local, &mut out);
        }
        self.carry_out(node, &mut out);
        self.out = out;
    }

    fn carry_out(&mut self, node: usize, out: &mut Vec<Output>) {
        let boot = self.hosts[node].boot;
        let local = self.hosts[node].clock(self.now);
        let mut announced = false;
        let mut active = false;
        for output in out.drain(..) {
            self.audit.output(node, &output, &self.hosts[node], &self.hosts[1 - node], local, self.now);
            if self.record {
                self.wanted[node].push((local, output.clone()));
            }
            match output {
                Output::Send { paths, frame } => self.send(node, &paths, frame),
                Output::Acquire | Output::Release => {
                    let acquire = output == Output::Acquire;
                    let fails = acquire && self.random.permille(5) && self.schedule.kind == Kind::Mixed;
                    let at = self.hosts[node].hands_busy.max(self.now) + self.random.between(100, HANDS);
                    self.hosts[node].hands_busy = at;
                    self.at(at, What::Hands { node, boot, acquire, fails });
                }
                Output::Renew => {
                    let at = self.hosts[node].hands_busy.max(self.now);
                    self.at(at, What::Renew { node, boot });
                }
                Output::Probe => {
                    let longest = u64::from(self.schedule.settings.keepalive_ms) * 1000 / ANSWER_PART;
                    let at = self.now + self.random.between(200, longest);
                    self.at(at, What::Probed { node, boot });
                }
                Output::AskWitness { asked } => {
                    let longest = u64::from(self.schedule.settings.keepalive_ms) * 1000 / ANSWER_PART;
                    self.hosts[node].asked_at = self.now;
                    let at = self.now + self.random.between(200, longest);
                    self.at(at, What::Asked { node, boot, asked: asked.0 });
                }
                Output::Exit => {
                    let host = &mut self.hosts[node];
                    host.exited = true;
                    host.dies();
                    self.audit.interrupted(node, false);
                }
                Output::Announce => announced = true,
                Output::Log(crate::Note::Moved { to, .. }) => active = to == State::Active,
                Output::Log(_) | Output::Alarm { .. } | Output::Outcome { .. } => {}
            }
        }
        if active && !announced {
            self.audit.breaks(Rule::Announced, self.now, format!("node {} serves and says nothing", node + 1));
        }
        let host = &mut self.hosts[node];
        if let Some(daemon) = &host.node {
            let wake = host.world(daemon.deadline());
            if wake < host.wake || wake > host.wake && host.wake <= self.now {
                host.wake = wake;
                self.at(wake, What::Wake { node });
            }
        }
    }

    fn send(&mut self, node: usize, paths: &[u8], frame: Frame) {
        let number = self.sent % KEPT;
        self.sent += 1;
        match self.frames.get_mut(number) {
            Some(old) => *old = frame,
            None => self.frames.push(frame),
        }
        for path in paths.iter().map(|path| usize::from(*path)) {
            if self.cut[path][node] {
                continue;
            }
            let Wire { delay, slow, loss, twice } = self.wires[path];
            let copies = 1 + u64::from(twice > 0 && self.random.permille(twice));
            for _ in 0..copies {
                if loss > 0 && self.random.permille(loss) {
                    continue;
                }
                let mut at = self.now + self.random.between(delay.0, delay.1);
                if loss > 0 && self.random.permille(10) {
                    at += self.random.between(0, slow);
                }
                self.at(at, What::Arrive { to: 1 - node, path, frame: number, replayed: false });
            }
        }
    }

    fn arrive(&mut self, to: usize, path: usize, number: usize, replayed: bool) {
        if self.hosts[to].node.is_none() || self.hosts[to].frozen && self.hosts[to].inbox.len() > 64 {
            return;
        }
        let frame = self.frames[number];
        if let Some(codec) = &self.codec {
            let opened = codec.open(&codec.seal(&frame));
            if opened != Ok(frame) {
                self.audit.breaks(Rule::ReplayBelieved, self.now, "bytes say something else than the frame");
            }
        }
        let frozen = self.hosts[to].frozen;
        let before = self.believed(to);
        self.tell(to, Event::Frame { path: path as u8, frame });
        if frozen || self.believed(to) == before {
            return;
        }
        if replayed {
            self.audit.breaks(Rule::ReplayBelieved, self.now, format!("node {} believed {}", to + 1, frame.seq));
        }
        self.newest[to] = self.newest[to].max((frame.boot, frame.seq));
        let local = self.hosts[to].clock(self.now);
        self.audit.heard_new(to, &frame, local, self.now);
    }

    fn believed(&self, node: usize) -> u64 {
        self.hosts[node].node.as_ref().map_or(0, |daemon| daemon.counters().new)
    }

    fn hands(&mut self, node: usize, boot: u32, acquire: bool, fails: bool) {
        let lease = u64::from(self.schedule.settings.lease_ms) * 1000;
        let host = &mut self.hosts[node];
        if host.boot != boot || host.node.is_none() || !host.powered {
            return;
        }
        if fails {
            self.audit.fault(self.now);
        }
        let host = &mut self.hosts[node];
        let had = host.kernel.holds;
        if !fails {
            host.kernel.holds = acquire;
        }
        if host.kernel.holds && acquire {
            host.kernel.expires = self.now + lease;
            if !had {
                host.kernel.since = self.now;
            }
            if !host.kernel.expiry_set {
                host.kernel.expiry_set = true;
                self.at(self.now + lease, What::Expire { node });
            }
        }
        if self.hosts[node].kernel.holds != had {
            self.audit.kernel_changed(node, !acquire, &self.hosts, self.now);
        }
        let done = match (acquire, fails) {
            (true, false) => Hands::Acquired,
            (true, true) => Hands::AcquireFailed,
            (false, _) => Hands::Released,
        };
        self.tell(node, Event::Hands(done));
    }

    fn expire(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        host.kernel.expiry_set = false;
        if !host.kernel.holds {
            return;
        }
        if self.now < host.kernel.expires {
            host.kernel.expiry_set = true;
            let at = host.kernel.expires;
            self.at(at, What::Expire { node });
            return;
        }
        let serves =
            host.node.as_ref().is_some_and(|daemon| matches!(daemon.core().state(), State::Active | State::Acquiring));
        let kept = !host.frozen && serves;
        host.kernel.holds = false;
        if kept {
            self.audit.breaks(Rule::LeaseKept, self.now, format!("node {}", node + 1));
        }
        self.audit.kernel_changed(node, false, &self.hosts, self.now);
    }

    fn thaw(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        if !host.frozen {
            return;
        }
        host.frozen = false;
        host.running_since = self.now;
        let inbox = std::mem::take(&mut host.inbox);
        self.audit.interrupted(node, false);
        for event in inbox {
            let heard = if let Event::Frame { frame, .. } = &event { Some(*frame) } else { None };
            let before = self.believed(node);
            self.tell(node, event);
            if let Some(frame) = heard.filter(|_| self.believed(node) > before) {
                // What waited in the sockets is no sign that the paths work now.
                let local = self.hosts[node].clock(self.now);
                self.audit.heard_new(node, &frame, local, self.now);
                self.audit.interrupted(node, false);
            }
        }
        if self.hosts[node].runs() && self.hosts[node].wake <= self.now {
            self.hosts[node].wake = u64::MAX;
            self.tell(node, Event::Timer);
        }
    }
}
