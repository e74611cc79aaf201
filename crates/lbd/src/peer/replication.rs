//! What to say to the peer about the configuration, and what it means: a function of what both units have.
//!
//! ```text
//!   relation        in sync <---------------------------+
//!     Same            |  mine changed                    | Pushed
//!     PeerBehind      +--> push, on its way -------------+
//!                             | Refused: shown; again when either side changes
//!     PeerAhead     the peer pushes; this unit waits, commits, answers
//!     Diverged      nothing moves until an administrator chooses, on the active unit
//! ```
//!
//! A push names the ground it was made for, and is taken only there, so that nothing is overwritten unseen. No I/O; the
//! session obeys [`Say`].

use lb_api::{Keep, ReplicationState, ReplicationView};
use lb_model::Problem;
use lb_pair::{Id, Relation, SharedVersion, lineage::MOST_TOLD, relation};

/// Problems that the detail names; the peer's own page has all of them.
const MOST_NAMED: usize = 3;

/// One connection's view of both configurations.
#[derive(Debug, Default)]
pub struct Replication {
    peer_name: String,
    mine: Side,
    theirs: Side,
    /// What was pushed, and for which ground.
    in_flight: Option<(Id, Option<Id>)>,
    refused_there: Option<Refusal>,
    refused_here: Option<Refusal>,
    /// A version of the peer's is being applied.
    committing: bool,
    choice: Option<Keep>,
}

#[derive(Debug, Default)]
struct Side {
    history: Vec<Id>,
    active: bool,
}

#[derive(Debug)]
struct Refusal {
    version: SharedVersion,
    problems: Vec<Problem>,
}

/// What is to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// My newest, for this ground.
    Push {
        ground: Option<Id>,
    },
    Ask {
        ground: Option<Id>,
    },
}

/// What to do with a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Commit,
    /// It is here already.
    Have,
    Stale(Option<Id>),
    Refuse(Problem),
    /// One is being applied: the peer does not keep to the order.
    OutOfTurn,
}

/// Why a choice is not possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoChoice {
    NotDiverged,
    NotActive,
}

/// The peer contradicts itself; the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contradiction;

impl Replication {
    /// After both hellos.
    pub fn new(peer_name: String, mine: (Vec<Id>, bool), theirs: (Vec<Id>, bool)) -> Replication {
        let side = |(history, active)| Side { history, active };
        Replication { peer_name, mine: side(mine), theirs: side(theirs), ..Replication::default() }
    }

    pub fn relation(&self) -> Relation {
        relation(&self.mine.history, &self.theirs.history)
    }

    /// An answer of the peer's is missing.
    pub fn waits(&self) -> bool {
        self.in_flight.is_some()
    }

    /// What is to be said as things stand.
    pub fn next(&mut self) -> Option<Say> {
        if self.in_flight.is_some() || self.committing {
            return None;
        }
        let (mine, ground) = (self.mine.newest(), self.theirs.newest());
        match (self.relation(), self.choice) {
            (Relation::Same, _) => {
                self.choice = None;
                None
            }
            (Relation::PeerBehind, _) | (Relation::Diverged, Some(Keep::Mine)) => {
                let refused = self.refused_there.as_ref().is_some_and(|refusal| Some(refusal.version.id) == mine);
                let version = mine.filter(|_| !refused)?;
                self.in_flight = Some((version, ground));
                Some(Say::Push { ground })
            }
            (Relation::Diverged, Some(Keep::Theirs)) if self.refused_here.is_none() => {
                // Once: the peer pushes, or hangs up.
                self.in_flight = Some((self.theirs.newest()?, mine));
                Some(Say::Ask { ground: mine })
            }
            (Relation::PeerAhead | Relation::Diverged, _) => None,
        }
    }

    /// Something changed on this unit. A version that could not run here may be able to now.
    pub fn changed_here(&mut self, history: Vec<Id>, active: bool) -> Option<Say> {
        if self.mine.newest() != history.last().copied() {
            self.refused_there = None;
            self.refused_here = None;
        }
        self.mine = Side { history, active };
        // Between two histories only a person asks: the answer overwrites what is here.
        let waiting = self.refused_here.is_some() && self.relation() == Relation::PeerAhead;
        if waiting && !self.committing && self.in_flight.is_none() {
            return Some(Say::Ask { ground: self.mine.newest() });
        }
        None
    }

    /// The peer says who it is and what it has.
    pub fn alive(&mut self, active: bool, newest: Option<Id>) {
        self.theirs.active = active;
        if self.theirs.newest() != newest {
            self.refused_there = None;
            self.refused_here = None;
        }
        self.theirs.learn(newest);
    }

    /// The peer runs what was pushed.
    pub fn pushed(&mut self, version: SharedVersion) {
        self.in_flight = None;
        self.refused_there = None;
        self.theirs.learn(Some(version.id));
    }

    pub fn refused(&mut self, version: SharedVersion, problems: Vec<Problem>) {
        self.in_flight = None;
        self.choice = None;
        self.refused_there = Some(Refusal { version, problems });
    }

    /// The peer has something else than was thought.
    pub fn stale(&mut self, newest: Option<Id>) -> Result<(), Contradiction> {
        match self.in_flight.take() {
            Some((_, ground)) if ground != newest => {
                self.theirs.learn(newest);
                Ok(())
            }
            _ => Err(Contradiction),
        }
    }

    /// The peer wants what is here.
    pub fn asked(&mut self, ground: Option<Id>) -> Option<Say> {
        self.theirs.learn(ground);
        self.refused_there = None;
        if self.in_flight.is_some() || self.committing || self.mine.newest() == ground {
            return None;
        }
        self.in_flight = Some((self.mine.newest()?, ground));
        Some(Say::Push { ground })
    }

    /// Whether to take what the peer pushes.
    pub fn offered(&mut self, version: SharedVersion, ground: Option<Id>) -> Verdict {
        if self.committing {
            return Verdict::OutOfTurn;
        }
        let asked = self.choice == Some(Keep::Theirs);
        if asked {
            // What came is the answer to the question.
            self.in_flight = None;
        }
        self.theirs.learn(Some(version.id));
        if self.mine.newest() == Some(version.id) {
            return Verdict::Have;
        }
        if self.mine.newest() != ground || self.mine.history.contains(&version.id) {
            return Verdict::Stale(self.mine.newest());
        }
        if self.relation() == Relation::Diverged && self.mine.active && !asked {
            return Verdict::Refuse(Problem {
                path: String::new(),
                value: version.to_string(),
                reason: "both units were changed without the other, and this one serves".into(),
                hint: Some("choose on the unit that serves which configuration to keep".into()),
            });
        }
        self.committing = true;
        Verdict::Commit
    }

    /// What became of it.
    pub fn committed(&mut self, version: SharedVersion, done: Result<(), Vec<Problem>>) {
        self.committing = false;
        self.choice = None;
        self.refused_here = done.err().map(|problems| Refusal { version, problems });
        if self.refused_here.is_none() {
            self.mine.learn(Some(version.id));
        }
    }

    /// It was made for another ground, after all.
    pub fn overtaken(&mut self) {
        self.committing = false;
    }

    /// An administrator of this unit decides.
    pub fn choose(&mut self, keep: Keep) -> Result<(), NoChoice> {
        if self.relation() != Relation::Diverged {
            return Err(NoChoice::NotDiverged);
        }
        if !self.mine.active {
            return Err(NoChoice::NotActive);
        }
        self.choice = Some(keep);
        self.refused_there = None;
        self.refused_here = None;
        Ok(())
    }

    /// What people see. `last`: when both were last known to have the same.
    pub fn view(&self, last: Option<u64>) -> ReplicationView {
        let peer = &self.peer_name;
        let view = |state, detail: String| ReplicationView { state, last, detail };
        if self.committing {
            return view(ReplicationState::Behind, format!("a configuration of {peer} is being applied here"));
        }
        if self.in_flight.is_some() {
            return view(ReplicationState::Behind, format!("the configuration is on its way between here and {peer}"));
        }
        if let Some(refusal) = &self.refused_there {
            return view(ReplicationState::Refused, refusal.sentence(peer));
        }
        if let Some(refusal) = &self.refused_here {
            return view(ReplicationState::Refused, refusal.sentence("this unit"));
        }
        match self.relation() {
            Relation::Same => view(ReplicationState::InSync, format!("{peer} has the same configuration")),
            Relation::PeerBehind => {
                view(ReplicationState::Behind, format!("{peer} does not have the newest changes yet"))
            }
            Relation::PeerAhead => {
                view(ReplicationState::Behind, format!("this unit does not have the newest changes of {peer} yet"))
            }
            Relation::Diverged => {
                let place = if self.mine.active { "here".to_owned() } else { format!("on {peer}, which serves,") };
                let detail = format!(
                    "this unit and {peer} were both changed without the other. hint: choose {place} which configuration to keep"
                );
                view(ReplicationState::Diverged, detail)
            }
        }
    }
}

impl Side {
    fn newest(&self) -> Option<Id> {
        self.history.last().copied()
    }

    fn learn(&mut self, newest: Option<Id>) {
        match newest {
            None => self.history.clear(),
            Some(id) => match self.history.iter().position(|known| *known == id) {
                Some(at) => self.history.truncate(at + 1),
                None => self.history.push(id),
            },
        }
        let surplus = self.history.len().saturating_sub(MOST_TOLD);
        self.history.drain(..surplus);
    }
}

impl Refusal {
    fn sentence(&self, who: &str) -> String {
        let mut text = format!("{who} cannot run version {} of the configuration: ", self.version.number);
        for (n, problem) in self.problems.iter().take(MOST_NAMED).enumerate() {
            let gap = if n == 0 { "" } else { "; " };
            let place = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
            text.push_str(&format!("{gap}{place}{}", problem.reason));
        }
        match self.problems.len().saturating_sub(MOST_NAMED) {
            0 => {}
            more => text.push_str(&format!("; and {more} more")),
        }
        if let Some(hint) = self.problems.iter().find_map(|problem| problem.hint.as_ref()) {
            text.push_str(&format!(". hint: {hint}"));
        }
        text
    }
}
