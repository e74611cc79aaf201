//! One node, as its daemon drives it: the core, and the link that feeds it.
//!
//! The daemon opens bytes with [`crate::Codec`], hands over what came ([`Event`]), carries out what is wanted
//! ([`Output`], in order) and calls again at [`Node::deadline`]. Before a timer it hands over every frame that
//! waits in its sockets. Events are serialisable and hold no secrets: [`crate::trace`] plays them again.

use crate::codec::Refused;
use crate::core::{Act, Command, Core, Hands, Input, Probe};
use crate::frame::Frame;
use crate::link::{Counters, Link, PathQuality, Received};
use crate::reason::{Alarm, Note, Refusal};
use crate::settings::{MAX_PATHS, NodeId, Settings};
use crate::time::Time;
use crate::word::{State, Word};
use lb_model::Problem;
use serde::{Deserialize, Serialize};

/// What happens to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// [`Node::deadline`] has come.
    Timer,
    Frame {
        path: u8,
        frame: Frame,
    },
    /// Bytes came that are no frame of the pair.
    Refused {
        path: u8,
        why: Refused,
    },
    /// Why this node cannot serve; empty = fit. A node is unfit until this is said.
    Fitness {
        reasons: Vec<String>,
    },
    /// Whether the peer's connection table has been received.
    Hot(bool),
    /// Instead of [`Hands::Released`] at the start: the floating addresses are here, because this unit served alone
    /// before there was a pair. Then it serves as soon as it is fit, unless the peer does; until then nothing is
    /// removed. Where that cannot be, [`Output::Release`] comes once more, and they go.
    Inherits,
    /// How many ping nodes answer.
    Pings(u8),
    Command(Command),
    Hands(Hands),
    Probe(Probe),
    Witness {
        asked: Time,
        granted: bool,
    },
    /// A machine that is not the peer answers for a floating address.
    Duplicate {
        address: String,
        by: String,
    },
    /// Read anew; in force at once, whoever serves goes on.
    Settings(Box<Settings>),
}

/// What a node wants done, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Send this frame on these paths.
    Send {
        paths: Vec<u8>,
        frame: Frame,
    },
    /// Add the floating addresses with the lease's lifetime; answer with [`Hands`]. Orders to the kernel are
    /// carried out and answered one after the other, in the order in which they were given. If a freeze of the
    /// daemon came between, by more than a keepalive, this one is not begun but answered with
    /// [`Hands::AcquireFailed`]: the peer may serve by now.
    Acquire,
    /// Remove them all, whoever added them; answer with [`Hands`]. The daemon removes only what heartbeat owns.
    Release,
    /// Set their lifetime to the lease again, if they are still there. Never add one that is gone.
    Renew,
    /// One round of gratuitous ARP and unsolicited neighbour advertisements for every address.
    Announce,
    /// Find out whether somebody answers for the floating addresses; answer with [`Probe`].
    Probe,
    /// Ask the witness; answer with [`Event::Witness`], after a time without an answer too.
    AskWitness {
        asked: Time,
    },
    Log(Note),
    Alarm {
        alarm: Alarm,
        on: bool,
    },
    Outcome {
        command: Command,
        result: Result<(), Refusal>,
    },
    /// All is handed over: the daemon may exit.
    Exit,
}

/// What a node is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    pub me: NodeId,
    /// Stored on the disk and counted up, durably, before each start.
    pub boot: u32,
    /// Random, not zero.
    pub nonce: u64,
    pub settings: Settings,
    pub at: Time,
}

/// For the HA page. Moments are of the node's own clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub state: State,
    /// The last transition and why: `standby -> taking: the peer is silent …`.
    pub because: String,
    /// The reason alone.
    pub why: String,
    /// When it came into this state.
    pub since: Time,
    /// The floating addresses may be here.
    pub holds: bool,
    pub epoch: u32,
    /// Why it cannot serve; empty = fit.
    pub unfit: Vec<String>,
    /// It has the peer's connection table.
    pub hot: bool,
    pub maintenance: bool,
    /// What the peer last said; `None`: nothing yet.
    pub peer: Option<PeerStatus>,
    /// In the order of the settings, by name.
    pub paths: Vec<(String, PathQuality)>,
    /// Each prints as a sentence.
    pub alarms: Vec<Alarm>,
    pub frames: Counters,
}

/// What the peer last said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    pub alive: bool,
    pub heard: Time,
    pub word: Word,
}

/// One node of a pair.
#[derive(Debug, Clone)]
pub struct Node {
    settings: Settings,
    core: Core,
    link: Link,
    reasons: Vec<String>,
    because: Option<Note>,
    up: [bool; MAX_PATHS],
    refused_told: (u64, Time),
    acts: Vec<Act>,
}

/// Refused frames are told of at most this often, microseconds.
const TELL_REFUSED: u64 = 10_000_000;

impl Node {
    /// All problems of the settings, or a node and what it wants first.
    pub fn start(start: Start, out: &mut Vec<Output>) -> Result<Node, Vec<Problem>> {
        let problems = start.settings.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let Start { me, boot, nonce, settings, at } = start;
        let mut acts = Vec::new();
        let core = Core::new(me, boot, settings.timing(), at, &mut acts);
        let link = Link::new(me, boot, nonce, &settings.paths);
        let (reasons, up) = (vec!["nothing is known of it yet".to_owned()], [false; MAX_PATHS]);
        let mut node = Node { settings, core, link, reasons, because: None, up, refused_told: (0, at), acts };
        node.carry_out(at, false, out);
        Ok(node)
    }

    /// Takes one event at `now`, which never goes back.
    pub fn handle(&mut self, event: Event, now: Time, out: &mut Vec<Output>) {
        let mut reply = false;
        match event {
            Event::Timer => self.core.handle(Input::Tick, now, &mut self.acts),
            Event::Frame { path, frame } => reply = self.frame(path, &frame, now),
            Event::Refused { .. } => self.link.counters.refused += 1,
            Event::Fitness { reasons } => {
                let fit = reasons.is_empty();
                self.reasons = reasons;
                self.core.handle(Input::Fit(fit), now, &mut self.acts);
            }
            Event::Hot(hot) => self.core.handle(Input::Hot(hot), now, &mut self.acts),
            Event::Inherits => self.core.handle(Input::Inherits, now, &mut self.acts),
            Event::Pings(reached) => self.core.handle(Input::Pings(reached), now, &mut self.acts),
            Event::Command(command) => self.core.handle(Input::Command(command), now, &mut self.acts),
            Event::Hands(done) => self.core.handle(Input::Hands(done), now, &mut self.acts),
            Event::Probe(probe) => self.core.handle(Input::Probe(probe), now, &mut self.acts),
            Event::Witness { asked, granted } => {
                self.core.handle(Input::Witness { asked, granted }, now, &mut self.acts);
            }
            Event::Duplicate { .. } => self.core.handle(Input::Duplicate, now, &mut self.acts),
            Event::Settings(settings) => {
                // The daemon shows what is wrong with settings; bad ones never get as far as into force.
                if settings.problems().is_empty() {
                    self.link.set_paths(&settings.paths);
                    self.core.handle(Input::Timing(settings.timing()), now, &mut self.acts);
                    self.settings = *settings;
                }
            }
        }
        self.carry_out(now, reply, out);
    }

    fn frame(&mut self, path: u8, frame: &Frame, now: Time) -> bool {
        let keepalive = self.core.timing().keepalive;
        let received = self.link.receive(path, frame, now, keepalive);
        if matches!(received, Received::New { .. } | Received::Copy) {
            self.core.heard_on(path, now);
        }
        match received {
            Received::New { confirmed, restarted } => {
                let word = frame.word;
                self.core.handle(Input::Heard { word, confirmed, restarted }, now, &mut self.acts);
                false
            }
            Received::Greeting { reply } => {
                // What is said must be true now: this may be the first thing after a freeze.
                self.core.handle(Input::Tick, now, &mut self.acts);
                reply
            }
            Received::Copy | Received::Refused => false,
        }
    }

    /// Turns the core's acts into outputs; however often it wants to speak, one frame says it all, last.
    fn carry_out(&mut self, now: Time, reply: bool, out: &mut Vec<Output>) {
        let mut speak = reply;
        for act in self.acts.drain(..) {
            out.push(match act {
                Act::Speak => {
                    speak = true;
                    continue;
                }
                Act::Acquire => Output::Acquire,
                Act::Release => Output::Release,
                Act::Renew => Output::Renew,
                Act::Announce => Output::Announce,
                Act::Probe => Output::Probe,
                Act::AskWitness { asked } => Output::AskWitness { asked },
                Act::Note(note) => {
                    if matches!(note, Note::Moved { .. }) {
                        self.because = Some(note);
                    }
                    Output::Log(note)
                }
                Act::Alarm { alarm, on } => Output::Alarm { alarm, on },
                Act::Outcome { command, result } => Output::Outcome { command, result },
                Act::Exit => Output::Exit,
            });
        }
        if speak {
            self.watch_paths(now, out);
            let (paths, frame) = self.link.compose(self.core.word(now), now);
            // The last word before the exit must be out before it.
            let exit = out.pop_if(|last| *last == Output::Exit);
            out.push(Output::Send { paths, frame });
            out.extend(exit);
        }
    }

    fn watch_paths(&mut self, now: Time, out: &mut Vec<Output>) {
        let deadtime = self.core.timing().deadtime;
        for (path, was) in (0..self.settings.paths.len()).zip(&mut self.up) {
            let up = self.link.up(path, now, deadtime);
            if up != *was {
                *was = up;
                let path = path as u8;
                out.push(Output::Log(if up { Note::PathUp { path } } else { Note::PathDown { path } }));
            }
        }
        let Counters { refused, old, reflected, .. } = self.link.counters;
        let (total, (told, at)) = (refused + old + reflected, self.refused_told);
        if total > told && now.since(at) >= TELL_REFUSED {
            self.refused_told = (total, now);
            out.push(Output::Log(Note::Refused { frames: total - told }));
        }
    }

    /// When [`Event::Timer`] is due.
    pub fn deadline(&self) -> Time {
        self.core.deadline()
    }

    pub fn core(&self) -> &Core {
        &self.core
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn counters(&self) -> Counters {
        self.link.counters
    }

    pub fn status(&self, now: Time) -> Status {
        let word = self.core.word(now);
        let deadtime = self.core.timing().deadtime;
        let quality = |(number, path): (usize, &crate::settings::Path)| {
            (path.name.clone(), self.link.quality(number, now, deadtime))
        };
        let alive = self.core.peer_alive(now);
        Status {
            state: word.state,
            because: self.because.map(|note| note.to_string()).unwrap_or_default(),
            why: match self.because {
                Some(Note::Moved { reason, .. }) => reason.to_string(),
                _ => String::new(),
            },
            since: self.core.since(),
            holds: word.holds,
            epoch: word.epoch,
            unfit: self.reasons.clone(),
            hot: word.hot,
            maintenance: word.maintenance,
            peer: self.core.peer().map(|(word, heard)| PeerStatus { alive, heard, word }),
            paths: self.settings.paths.iter().enumerate().map(quality).collect(),
            alarms: self.core.alarms().collect(),
            frames: self.link.counters,
        }
    }

    #[cfg(feature = "sim")]
    pub fn break_it(&mut self, defect: Option<crate::Defect>) {
        self.link.defect = defect;
        self.core.break_it(defect);
    }
}
