//! When to ask next, and what the answers add up to.
//!
//! Each different [`CheckSpec`] is one entry with one probe at a time:
//!
//! ```text
//!             due(now)                result(outcome, now)
//!   waiting -----------> in flight ------------------------+
//!      ^                                                   |
//!      +--- first failures of a fit server: now + retry ---+
//!      +--- else: next point of the entry's own grid ------+
//! ```
//!
//! The grid is `phase + n * interval`. The phase comes from a hash of the spec: it spreads the load
//! evenly over the interval, is the same after every restart, and never drifts with what the probes
//! take. A probe that outlasts its interval leaves out the points it has missed, so a slow server is
//! never asked back to back.
//!
//! New entries are asked at once, those without a verdict first, [`FIRST_PER_MS`] per millisecond.
//!
//! `due`, `result` and `deadline` cost O(log n) for each probe.

use crate::{CheckSpec, Kind, LastState, Outcome, Target, Verdict, reply::Expected, verdict::State};
use lb_model::Label;
use std::{
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

/// First probes of new entries in one millisecond. 10,000 servers are known after some 2.5 s, and
/// neither they nor we see them all in one burst.
pub const FIRST_PER_MS: u64 = 4;

/// Names an entry of the [`Checker`] for as long as it lives; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeKey(u64);

/// A probe to carry out, with one [`Checker::result`] to follow in every case.
#[derive(Debug, Clone)]
pub struct Probe {
    pub key: ProbeKey,
    pub spec: Arc<CheckSpec>,
    /// For [`Kind::Negotiate`]: what the answer must be.
    pub expected: Option<Arc<Expected>>,
}

impl Probe {
    /// A probe outside of any schedule, for a diagnosis by hand. No checker knows its key.
    pub fn once(spec: CheckSpec) -> Probe {
        Probe { key: ProbeKey(0), expected: expected(&spec.kind), spec: Arc::new(spec) }
    }
}

fn expected(kind: &Kind) -> Option<Arc<Expected>> {
    match kind {
        Kind::Connect | Kind::Ping => None,
        Kind::Negotiate(n) => Some(Arc::new(Expected::new(n))),
    }
}

/// A real server's verdict has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    pub vs: Label,
    pub rs: Label,
    pub from: Verdict,
    pub to: Verdict,
    /// Why, in words for an administrator: "connection refused".
    pub text: String,
}

/// How a real server stands, for the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<'a> {
    pub verdict: Verdict,
    /// What the last probe found; empty before the first.
    pub text: &'a str,
    pub target: Target,
}

struct User {
    vs: Label,
    rs: Label,
    verdict: Verdict,
}

struct Entry {
    spec: Arc<CheckSpec>,
    expected: Option<Arc<Expected>>,
    users: Vec<User>,
    state: State,
    text: String,
    phase: Duration,
    /// `None`: in flight.
    due: Option<Duration>,
}

/// The checks of a whole configuration.
#[derive(Default)]
pub struct Checker {
    entries: HashMap<ProbeKey, Entry>,
    by_spec: HashMap<Arc<CheckSpec>, ProbeKey>,
    by_user: HashMap<(Label, Label), ProbeKey>,
    queue: BTreeSet<(Duration, ProbeKey)>,
    last_key: u64,
}

impl Checker {
    pub fn new() -> Checker {
        Checker::default()
    }

    /// Takes over a configuration: what [`specs`](crate::specs) makes of it.
    ///
    /// - A spec that was there keeps its verdict, its counts and its phase.
    /// - A new one is asked at once. Its real server keeps its verdict if it was here under the same
    ///   address and port (only the question or the timing has changed), starts as unknown if address or
    ///   port are others, and with what is `known` of it if it was not here at all.
    ///
    /// Returns where a verdict is now another than the one told or `known` before.
    pub fn configure(
        &mut self,
        specs: Vec<(Label, Label, CheckSpec)>,
        now: Duration,
        known: impl Fn(&Label, &Label) -> Verdict,
    ) -> Vec<Transition> {
        let before = self.take_users();
        let mut fresh = Vec::new();
        for (vs, rs, spec) in specs {
            let key = match self.by_spec.get(&spec) {
                Some(key) => *key,
                None => {
                    let key = self.insert(spec);
                    fresh.push(key);
                    key
                }
            };
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let pair = (vs, rs);
            let verdict = match before.get(&pair) {
                Some((_, verdict)) => *verdict,
                None => known(&pair.0, &pair.1),
            };
            self.by_user.insert(pair.clone(), key);
            entry.users.push(User { vs: pair.0, rs: pair.1, verdict });
        }
        self.drop_unused();
        for key in &fresh {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.state = State::of(entry.inherited(&before));
            }
        }
        self.ask_at_once(fresh, now);
        let mut transitions: Vec<_> = self.entries.values_mut().flat_map(|entry| entry.agree(&before)).collect();
        transitions.sort_by(|a, b| (&a.vs, &a.rs).cmp(&(&b.vs, &b.rs)));
        transitions
    }

    /// The probes to start now. Each is in flight until its [`result`](Checker::result).
    pub fn due(&mut self, now: Duration) -> Vec<Probe> {
        let mut probes = Vec::new();
        while let Some((at, key)) = self.queue.first().copied() {
            if at > now {
                break;
            }
            self.queue.pop_first();
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            entry.due = None;
            probes.push(Probe { key, spec: entry.spec.clone(), expected: entry.expected.clone() });
        }
        probes
    }

    /// When [`due`](Checker::due) has something next; `None`: not before a result or a configuration.
    pub fn deadline(&self) -> Option<Duration> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes in what a probe has found. A key that a configuration has dropped meanwhile, or that is not
    /// in flight, is ignored.
    pub fn result(&mut self, key: ProbeKey, outcome: Outcome, now: Duration) -> Vec<Transition> {
        let Some(entry) = self.entries.get_mut(&key).filter(|e| e.due.is_none()) else { return Vec::new() };
        (entry.state, entry.text) = entry.state.next(outcome, entry.spec.rise, entry.spec.fall);
        let at = match entry.state.doubted() {
            true => now + entry.spec.retry,
            false => next_on_grid(entry.phase, entry.spec.interval, now),
        };
        entry.due = Some(at);
        self.queue.insert((at, key));
        let verdict = entry.state.verdict();
        entry.users.iter_mut().filter_map(|user| user.turn(verdict, &entry.text)).collect()
    }

    /// How a real server stands; `None` where nothing is asked of it.
    pub fn standing(&self, vs: &Label, rs: &Label) -> Option<Standing<'_>> {
        // The map's key is a pair of owned labels; the status is asked for seldom enough to make one.
        let pair = (vs.clone(), rs.clone());
        let entry = self.entries.get(self.by_user.get(&pair)?)?;
        let user = entry.users.iter().find(|u| u.vs == pair.0 && u.rs == pair.1)?;
        Some(Standing { verdict: user.verdict, text: &entry.text, target: entry.spec.target })
    }

    /// All verdicts, sorted by labels, to be kept over a restart. Unknown ones are left out.
    pub fn last_states(&self) -> Vec<LastState> {
        let users = self.entries.values().flat_map(|e| &e.users).filter(|u| u.verdict != Verdict::Unknown);
        let mut states: Vec<_> =
            users.map(|u| LastState { vs: u.vs.clone(), rs: u.rs.clone(), verdict: u.verdict }).collect();
        states.sort_by(|a, b| (&a.vs, &a.rs).cmp(&(&b.vs, &b.rs)));
        states
    }

    /// Different questions, each asked once per interval.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn take_users(&mut self) -> HashMap<(Label, Label), (Target, Verdict)> {
        self.by_user.clear();
        let mut before = HashMap::new();
        for entry in self.entries.values_mut() {
            let target = entry.spec.target;
            before.extend(entry.users.drain(..).map(|u| ((u.vs, u.rs), (target, u.verdict))));
        }
        before
    }

    fn insert(&mut self, spec: CheckSpec) -> ProbeKey {
        self.last_key += 1;
        let key = ProbeKey(self.last_key);
        let spec = Arc::new(spec);
        self.by_spec.insert(spec.clone(), key);
        let entry = Entry {
            phase: phase(&spec, spec.interval),
            expected: expected(&spec.kind),
            spec,
            users: Vec::new(),
            state: State::Unknown,
            text: String::new(),
            due: None,
        };
        self.entries.insert(key, entry);
        key
    }

    fn drop_unused(&mut self) {
        let (queue, by_spec) = (&mut self.queue, &mut self.by_spec);
        self.entries.retain(|key, entry| {
            if entry.users.is_empty() {
                by_spec.remove(&entry.spec);
                if let Some(at) = entry.due {
                    queue.remove(&(at, *key));
                }
            }
            !entry.users.is_empty()
        });
    }

    fn ask_at_once(&mut self, mut fresh: Vec<ProbeKey>, now: Duration) {
        fresh.sort_by_key(|key| self.entries.get(key).is_some_and(|e| e.state != State::Unknown));
        for (n, key) in (0u64..).zip(fresh) {
            let at = now + Duration::from_millis(n / FIRST_PER_MS);
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.due = Some(at);
                self.queue.insert((at, key));
            }
        }
    }
}

impl Entry {
    /// The verdict a new entry begins with: what its users were told of the same target, if they agree.
    fn inherited(&self, before: &HashMap<(Label, Label), (Target, Verdict)>) -> Verdict {
        let mut told = self.users.iter().filter(|u| u.moved_to(self.spec.target, before).is_none()).map(|u| u.verdict);
        match told.next() {
            Some(first) if told.all(|v| v == first) => first,
            Some(_) | None => Verdict::Unknown,
        }
    }

    /// Tells every user the entry's verdict; while there is none yet, a user on the same target keeps his.
    fn agree(&mut self, before: &HashMap<(Label, Label), (Target, Verdict)>) -> Vec<Transition> {
        let (verdict, target) = (self.state.verdict(), self.spec.target);
        let mut transitions = Vec::new();
        for user in &mut self.users {
            let old = user.moved_to(target, before);
            if verdict == Verdict::Unknown && old.is_none() {
                continue;
            }
            let text = match old {
                Some(old) => format!("now at {target}, before at {old}"),
                None => self.text.clone(),
            };
            transitions.extend(user.turn(verdict, &text));
        }
        transitions
    }
}

impl User {
    /// The target before, where it was another.
    fn moved_to(&self, target: Target, before: &HashMap<(Label, Label), (Target, Verdict)>) -> Option<Target> {
        let pair = (self.vs.clone(), self.rs.clone());
        // A ping knows no port, so only the address can tell.
        let same = |old: Target| {
            old.address == target.address && (old.port == target.port || old.port == 0 || target.port == 0)
        };
        before.get(&pair).map(|(old, _)| *old).filter(|old| !same(*old))
    }

    fn turn(&mut self, to: Verdict, text: &str) -> Option<Transition> {
        let from = std::mem::replace(&mut self.verdict, to);
        let changed = || Transition { vs: self.vs.clone(), rs: self.rs.clone(), from, to, text: text.to_owned() };
        (from != to).then(changed)
    }
}

pub(crate) fn phase(spec: &impl Hash, interval: Duration) -> Duration {
    // `new()` has fixed keys: the same spec gets the same phase in every run of the same build.
    let mut hasher = DefaultHasher::new();
    spec.hash(&mut hasher);
    nanos(u128::from(hasher.finish()) % grid(interval))
}

/// The first point of `phase + n * interval` after `now`.
pub(crate) fn next_on_grid(phase: Duration, interval: Duration, now: Duration) -> Duration {
    match now.as_nanos().checked_sub(phase.as_nanos()) {
        None => phase,
        Some(since) => phase + nanos((since / grid(interval) + 1) * grid(interval)),
    }
}

/// Nanoseconds between two points; an interval of 0 would have none.
fn grid(interval: Duration) -> u128 {
    interval.as_nanos().max(1_000_000)
}

fn nanos(n: u128) -> Duration {
    Duration::from_nanos(u64::try_from(n).unwrap_or(u64::MAX))
}
