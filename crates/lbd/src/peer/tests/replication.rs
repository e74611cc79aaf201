//! The decisions alone: two of them, with a network between that loses connections at any moment.

use crate::peer::replication::{Replication, Say, Verdict};
use lb_api::Keep;
use lb_model::Problem;
use lb_pair::{Id, Relation, SharedVersion, next, relation};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet, VecDeque},
    rc::Rc,
};

/// Numbers that look random (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

#[derive(Debug, Clone)]
enum Word {
    Push(SharedVersion, Option<Id>),
    Pushed(SharedVersion),
    Refused(SharedVersion),
    Stale(Option<Id>),
    Ask(Option<Id>),
    Alive(bool, Option<Id>),
}

/// A unit: what its disk holds, and its side of the connection.
struct Unit {
    history: Vec<SharedVersion>,
    active: bool,
    refuses: bool,
    replication: Option<Replication>,
    out: VecDeque<Word>,
    /// A version that the engine has in hand.
    applying: Option<(SharedVersion, Option<Id>)>,
    /// Of every version, what it was made from: known to the test only.
    made_from: MadeFrom,
    /// An administrator has chosen: what is not in it may be overwritten.
    chosen: bool,
}

type MadeFrom = Rc<RefCell<HashMap<Id, HashSet<Id>>>>;

impl Unit {
    fn ids(&self) -> Vec<Id> {
        self.history.iter().map(|version| version.id).collect()
    }

    fn newest(&self) -> Option<Id> {
        self.history.last().map(|version| version.id)
    }

    fn say(&mut self, say: Option<Say>) {
        match (say, self.history.last()) {
            (Some(Say::Push { ground }), Some(version)) => self.out.push_back(Word::Push(*version, ground)),
            (Some(Say::Ask { ground }), _) => self.out.push_back(Word::Ask(ground)),
            _ => {}
        }
    }

    fn settle(&mut self) {
        let say = self.replication.as_mut().and_then(Replication::next);
        self.say(say);
    }

    fn changed(&mut self) {
        let (ids, active, newest) = (self.ids(), self.active, self.newest());
        let Some(replication) = &mut self.replication else { return };
        let say = replication.changed_here(ids, active);
        self.say(say);
        self.out.push_back(Word::Alive(active, newest));
    }

    fn apply(&mut self, text: &str) {
        let version = next(self.history.last().copied(), text);
        let mut made_from = HashSet::new();
        if let Some(before) = self.newest() {
            made_from.extend(self.made_from.borrow()[&before].iter().copied());
            made_from.insert(before);
        }
        self.made_from.borrow_mut().insert(version.id, made_from);
        self.history.push(version);
        self.changed();
    }

    /// What the engine makes of the version in hand.
    fn commit(&mut self) {
        let Some((version, ground)) = self.applying.take() else { return };
        let fits = self.newest() == ground;
        let refuses = self.refuses;
        if fits && !refuses {
            if let Some(before) = self.newest() {
                let has_it = self.made_from.borrow()[&version.id].contains(&before);
                assert!(has_it || self.chosen, "{version} overwrites {before:?} unseen");
            }
            self.history.push(version);
        }
        let Some(replication) = &mut self.replication else { return };
        let word = match (fits, refuses) {
            (false, _) => {
                replication.overtaken();
                Word::Stale(self.history.last().map(|version| version.id))
            }
            (true, true) => {
                let problem = Problem { path: "/a".into(), value: String::new(), reason: "no".into(), hint: None };
                replication.committed(version, Err(vec![problem]));
                Word::Refused(version)
            }
            (true, false) => {
                replication.committed(version, Ok(()));
                Word::Pushed(version)
            }
        };
        self.out.push_back(word);
        if fits && !refuses {
            self.changed();
        }
    }

    fn hear(&mut self, word: Word) {
        let Some(replication) = &mut self.replication else { return };
        match word {
            Word::Push(version, ground) => match replication.offered(version, ground) {
                Verdict::Commit => {
                    assert!(self.applying.is_none());
                    self.applying = Some((version, ground));
                }
                Verdict::Have => self.out.push_back(Word::Pushed(version)),
                Verdict::Stale(newest) => self.out.push_back(Word::Stale(newest)),
                Verdict::Refuse(_) => self.out.push_back(Word::Refused(version)),
                Verdict::OutOfTurn => panic!("two pushes at once"),
            },
            Word::Pushed(version) => replication.pushed(version),
            Word::Refused(version) => replication.refused(version, vec![]),
            Word::Stale(theirs) => {
                // The session hangs up then; the schedule goes on without a connection.
                if replication.stale(theirs).is_err() {
                    self.replication = None;
                }
            }
            Word::Ask(ground) => {
                let say = replication.asked(ground);
                self.say(say);
            }
            Word::Alive(active, theirs) => replication.alive(active, theirs),
        }
    }
}

fn connect(units: &mut [Unit; 2]) {
    let sides = units.each_ref().map(|unit| (unit.ids(), unit.active));
    for (n, unit) in units.iter_mut().enumerate() {
        unit.replication = Some(Replication::new("peer".into(), sides[n].clone(), sides[1 - n].clone()));
        unit.out.clear();
        // The engine goes on with what it has in hand, but nobody waits for its answer any more.
        unit.settle();
    }
}

fn deliver(units: &mut [Unit; 2], from: usize) -> bool {
    let Some(word) = units[from].out.pop_front() else { return false };
    units[1 - from].hear(word);
    units[1 - from].settle();
    true
}

/// Everything that is under way arrives and is applied.
fn quiet(units: &mut [Unit; 2]) {
    for _ in 0..10_000 {
        let moved = deliver(units, 0) | deliver(units, 1);
        let busy = units.iter().any(|unit| unit.applying.is_some());
        for unit in units.iter_mut() {
            unit.commit();
            unit.settle();
        }
        if !moved && !busy {
            return;
        }
    }
    panic!("they never stop talking");
}

fn schedule(seed: u64) -> Relation {
    let mut numbers = Numbers(seed);
    let made_from = MadeFrom::default();
    let unit = |active| Unit {
        made_from: made_from.clone(),
        history: vec![],
        active,
        refuses: false,
        replication: None,
        out: VecDeque::new(),
        applying: None,
        chosen: false,
    };
    let mut units = [unit(true), unit(false)];
    units[0].apply("first");
    connect(&mut units);
    for step in 0..60 {
        let who = numbers.below(2) as usize;
        match numbers.below(12) {
            0..=5 => drop(deliver(&mut units, who)),
            6 => {
                units[who].commit();
                units[who].settle();
            }
            7 if numbers.below(3) == 0 || units[who].active => units[who].apply(&format!("{seed} {step} {who}")),
            8 => {
                units.iter_mut().for_each(|unit| {
                    unit.replication = None;
                    unit.commit();
                });
            }
            9 => {
                units.iter_mut().for_each(Unit::commit);
                connect(&mut units);
            }
            10 => {
                units[who].refuses = numbers.below(3) == 0;
                units[who].changed();
            }
            11 => {
                units[who].active ^= true;
                units[1 - who].active = !units[who].active;
                units.iter_mut().for_each(Unit::changed);
            }
            _ => {}
        }
        units.iter_mut().for_each(Unit::settle);
    }
    units.iter_mut().for_each(Unit::commit);
    connect(&mut units);
    // A version that cannot run is not sent for ever.
    quiet(&mut units);
    for unit in &mut units {
        unit.refuses = false;
        unit.changed();
    }
    // Everything is mended: they come to one, or show that they cannot.
    quiet(&mut units);
    let [a, b] = &units;
    let now = relation(&a.ids(), &b.ids());
    assert!(matches!(now, Relation::Same | Relation::Diverged), "seed {seed}: {now:?} is not the end");
    assert_eq!(a.replication.as_ref().unwrap().relation(), now, "seed {seed}: it knows");
    assert_eq!(b.replication.as_ref().unwrap().relation(), now, "seed {seed}: it knows");
    if now == Relation::Diverged {
        let serves = usize::from(!units[0].active);
        let keep = if numbers.below(2) == 0 { Keep::Mine } else { Keep::Theirs };
        let (mine, theirs) = (units[serves].newest(), units[1 - serves].newest());
        assert!(units[1 - serves].replication.as_mut().unwrap().choose(keep).is_err(), "only where it serves");
        units[serves].replication.as_mut().unwrap().choose(keep).unwrap();
        units.iter_mut().for_each(|unit| unit.chosen = true);
        units[serves].settle();
        quiet(&mut units);
        let kept = if keep == Keep::Mine { mine } else { theirs };
        assert_eq!((units[0].newest(), units[1].newest()), (kept, kept), "seed {seed}: {keep:?}");
    }
    now
}

#[test]
fn schedules_end_in_one_history_or_a_choice() {
    let ends: Vec<Relation> = (0..20_000).map(schedule).collect();
    let diverged = ends.iter().filter(|end| **end == Relation::Diverged).count();
    assert!((1_000..15_000).contains(&diverged), "both ends are seen: {diverged} of 20,000 diverged");
}
