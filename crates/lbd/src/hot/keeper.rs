//! Whether the other unit has this unit's connections, and this one the other's: a function of what both say, and time.
//!
//! ```text
//!   of the unit that serves:
//!             the other is ready                     everything arrived
//!     Nobody ------------------> Sending -----------------------------> Hot
//!       ^                         ^   | it lacks some, or an error       | one more round, asked for
//!       |              in a minute|   v                                  v
//!       |                         Failed (an alarm)                   Sending, and hot meanwhile
//!       +-- from every state: this unit does not serve, both do, the other's or this unit's sync daemons were
//!       |   restarted; or the other one is away, behind or not converged for more than FORGIVEN
//!       +-- Parting: it has served until now, and the other one is there: what that one lacks, for PARTING at most
//! ```
//! Which daemons: by a number that is another one whenever connections may have been missed. What the serving unit says
//! names the other's number, so that no word of before can be taken for one of now.

use std::time::Duration;

/// A connection between the units that is lost for so long, or a configuration that is behind for so long, makes nobody
/// cold: the kernels go on telling each other meanwhile.
pub const FORGIVEN: Duration = Duration::from_secs(10);
/// After a transfer that came to nothing.
pub const AGAIN: Duration = Duration::from_secs(60);
/// After one that was cut short by the connection's end.
pub const SOON: Duration = Duration::from_secs(2);

/// After a hand-over: what has not gone to the other unit by then, its kernel has sent, or the clients have given up.
pub const PARTING: Duration = Duration::from_secs(5);

/// All that decides, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sight {
    /// This unit holds the floating addresses.
    pub serves: bool,
    /// The number of this unit's sync daemons; none where there are to be none.
    pub daemons: Option<u64>,
    /// The last reconcile left nothing to be done.
    pub converged: bool,
    /// None while there is no connection, and before its first word on it.
    pub peer: Option<Peer>,
}

/// What the other unit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub serves: bool,
    pub ready: Option<u64>,
    pub hot: Option<u64>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Send the table. [`Keeper::ended`] says what came of it.
    Send,
    /// Send what the other unit lacks, now that it serves. [`Keeper::ended`] likewise.
    Part,
    /// The transfer under way means nothing any more.
    Break,
}

/// What a transfer came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Hot,
    /// Broken off, or the connection to the other unit ended.
    Cut,
    Failed(String),
}

/// How it stands, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Standing {
    /// Nothing is known of a peer, or none is to be told of connections.
    #[default]
    Nothing,
    /// This unit serves, and the other cannot be sent anything yet.
    Waits,
    Sending,
    Sent,
    Failed(String),
    /// The other one serves.
    Joins {
        hot: bool,
    },
}

/// See the module.
#[derive(Debug, Default)]
pub struct Keeper {
    sight: Sight,
    serving: Serving,
    /// Until when it makes sense to send what the other unit lacks: this one has handed over.
    parts: Option<Duration>,
    /// Since when there is nobody to send to.
    lost: Option<Duration>,
    /// Why the last transfer failed, until one does not.
    complaint: Option<String>,
    /// The other unit's word that this one has all, for these daemons.
    granted: Option<u64>,
    /// Since when the other unit has not said so itself.
    unsaid: Option<Duration>,
}

#[derive(Debug, Default)]
enum Serving {
    #[default]
    Nobody,
    Sending {
        to: Ends,
        /// It has been hot, and is, while one more round goes.
        hot: bool,
        /// Nobody waits for what it comes to.
        void: bool,
    },
    Hot(Ends),
    Failed {
        to: Ends,
        again: Duration,
    },
    /// It does not serve any more.
    Parting {
        until: Duration,
        void: bool,
    },
}

/// Between which daemons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends {
    mine: u64,
    theirs: u64,
}

impl Keeper {
    /// Looks at how things are, also when [`Keeper::deadline`] has come.
    pub fn see(&mut self, sight: Sight, now: Duration) -> Option<Order> {
        let served = std::mem::replace(&mut self.sight, sight).serves;
        self.join(now);
        if sight.serves {
            self.parts = None;
            return self.serve(now);
        }
        if served {
            self.parts = Some(now + PARTING);
        }
        self.part(now)
    }

    /// The transfer has ended.
    pub fn ended(&mut self, outcome: Outcome, now: Duration) {
        if matches!(self.serving, Serving::Parting { .. }) {
            self.serving = Serving::Nobody;
        }
        let Serving::Sending { to, hot, void } = self.serving else { return };
        if void {
            self.serving = Serving::Nobody;
            return;
        }
        self.serving = match outcome {
            Outcome::Hot => {
                self.complaint = None;
                Serving::Hot(to)
            }
            Outcome::Cut if hot => Serving::Hot(to),
            Outcome::Cut => Serving::Failed { to, again: now + SOON },
            Outcome::Failed(why) => {
                self.complaint = Some(why);
                Serving::Failed { to, again: now + AGAIN }
            }
        };
    }

    /// One more round for a unit that is hot, before it takes over. None is needed, or possible, where nothing is under
    /// way afterwards: [`Keeper::sends`].
    pub fn round(&mut self) -> Option<Order> {
        let Serving::Hot(to) = self.serving else { return None };
        self.serving = Serving::Sending { to, hot: true, void: false };
        Some(Order::Send)
    }

    pub fn sends(&self) -> bool {
        matches!(self.serving, Serving::Sending { void: false, .. })
    }

    /// It sends what is left, having handed over. Nothing that comes of it is anybody's concern.
    pub fn parts(&self) -> bool {
        matches!(self.serving, Serving::Parting { .. })
    }

    /// When to look again though nothing happens.
    pub fn deadline(&self) -> Option<Duration> {
        let again = match &self.serving {
            Serving::Failed { again, .. } => Some(*again),
            Serving::Parting { until, void: false } => Some(*until),
            Serving::Nobody | Serving::Sending { .. } | Serving::Hot(_) | Serving::Parting { void: true, .. } => None,
        };
        // Once it has passed, nothing more comes of it.
        let idle =
            matches!(self.serving, Serving::Nobody | Serving::Sending { void: true, .. } | Serving::Parting { .. });
        let lost = self.lost.filter(|_| !idle);
        let unsaid = self.unsaid.filter(|_| self.granted.is_some());
        let forgiven = [lost, unsaid].into_iter().flatten().map(|since| since + FORGIVEN);
        forgiven.chain(again).min()
    }

    /// This unit can be sent connections: first it sends its last ones.
    pub fn ready(&self) -> Option<u64> {
        let parts = matches!(self.serving, Serving::Parting { void: false, .. });
        self.sight.daemons.filter(|_| !self.sight.serves && self.sight.converged && !parts)
    }

    /// The other unit has all of this one's connections, if it is ready by this number.
    pub fn tells(&self) -> Option<u64> {
        match &self.serving {
            Serving::Hot(to) | Serving::Sending { to, hot: true, void: false } => Some(to.theirs),
            Serving::Nobody | Serving::Sending { .. } | Serving::Failed { .. } | Serving::Parting { .. } => None,
        }
    }

    /// This unit has all connections: those of the one that serves, or its own.
    pub fn hot(&self) -> bool {
        self.sight.serves || self.granted.is_some()
    }

    /// What people must know.
    pub fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    pub fn standing(&self) -> Standing {
        let Sight { serves, daemons, peer, .. } = self.sight;
        if daemons.is_none() {
            return Standing::Nothing;
        }
        match (&self.serving, &self.complaint) {
            (_, None) if !serves => match peer {
                Some(Peer { serves: true, .. }) => Standing::Joins { hot: self.granted.is_some() },
                _ => Standing::Nothing,
            },
            (Serving::Hot(_), _) => Standing::Sent,
            (Serving::Sending { void: false, .. }, _) => Standing::Sending,
            (_, Some(why)) => Standing::Failed(why.clone()),
            (_, None) => Standing::Waits,
        }
    }

    /// Of the unit that may have to take over.
    fn join(&mut self, now: Duration) {
        let Sight { serves, daemons, peer, .. } = self.sight;
        // Its own table is what counts while it serves; after that, the next one's.
        self.granted = self.granted.filter(|number| !serves && daemons == Some(*number));
        match peer.filter(|peer| peer.serves && !serves) {
            Some(peer) => {
                self.unsaid = None;
                self.granted = peer.hot.filter(|number| daemons == Some(*number));
            }
            // Away, or on its way to hand over.
            None => {
                if now >= *self.unsaid.get_or_insert(now) + FORGIVEN {
                    self.granted = None;
                }
            }
        }
    }

    /// Of the unit that serves.
    fn serve(&mut self, now: Duration) -> Option<Order> {
        let Sight { serves, daemons, peer, .. } = self.sight;
        let both = peer.is_some_and(|peer| peer.serves);
        let Some(mine) = daemons.filter(|_| serves && !both) else { return self.forget() };
        let Some(theirs) = peer.and_then(|peer| peer.ready) else {
            let away = now >= *self.lost.get_or_insert(now) + FORGIVEN;
            let restarted = self.ends().is_some_and(|ends| ends.mine != mine);
            return if away || restarted { self.forget() } else { None };
        };
        self.lost = None;
        let to = Ends { mine, theirs };
        match &mut self.serving {
            Serving::Nobody => {}
            Serving::Sending { void: true, .. } | Serving::Parting { void: true, .. } => return None,
            Serving::Parting { void, .. } => {
                *void = true;
                return Some(Order::Break);
            }
            Serving::Sending { to: other, .. } if *other == to => return None,
            Serving::Sending { hot, void, .. } => {
                (*hot, *void) = (false, true);
                return Some(Order::Break);
            }
            Serving::Hot(other) if *other == to => return None,
            Serving::Failed { to: other, again } if *other == to && now < *again => return None,
            Serving::Hot(_) | Serving::Failed { .. } => {}
        }
        self.serving = Serving::Sending { to, hot: false, void: false };
        Some(Order::Send)
    }

    /// Of the unit that has handed over, or never served.
    fn part(&mut self, now: Duration) -> Option<Order> {
        self.complaint = None;
        let Sight { daemons, peer, .. } = self.sight;
        let in_time = |until: &Duration| now < *until && daemons.is_some();
        match &self.serving {
            Serving::Sending { void: true, .. } | Serving::Parting { void: true, .. } => None,
            Serving::Parting { until, .. } if in_time(until) => None,
            Serving::Sending { .. } | Serving::Parting { .. } => self.forget(),
            Serving::Nobody | Serving::Hot(_) | Serving::Failed { .. } => {
                self.serving = Serving::Nobody;
                let until = self.parts.filter(in_time).filter(|_| peer.is_some())?;
                self.parts = None;
                self.serving = Serving::Parting { until, void: false };
                Some(Order::Part)
            }
        }
    }

    fn ends(&self) -> Option<Ends> {
        match self.serving {
            Serving::Nobody | Serving::Parting { .. } => None,
            Serving::Sending { to, .. } | Serving::Hot(to) | Serving::Failed { to, .. } => Some(to),
        }
    }

    /// Nobody has anything of this unit's.
    fn forget(&mut self) -> Option<Order> {
        self.complaint = None;
        match &mut self.serving {
            Serving::Sending { hot, void, .. } => {
                let first = !*void;
                (*hot, *void) = (false, true);
                first.then_some(Order::Break)
            }
            Serving::Parting { void, .. } => (!std::mem::replace(void, true)).then_some(Order::Break),
            Serving::Nobody | Serving::Hot(_) | Serving::Failed { .. } => {
                self.serving = Serving::Nobody;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
