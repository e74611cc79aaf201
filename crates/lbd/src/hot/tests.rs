//! Two units with tables in memory, over the peer's real channel.

use super::{
    table::{Other, Told},
    *,
};
use crate::peer::tests::rig::{self, Unit, in_sync, run, until};
use lb_api::ReplicationState;
use lb_plan::SyncDaemon;
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, Weak},
};

/// Entries are numbers. What is sent arrives, but for what is lost.
#[derive(Default)]
struct Memory {
    entries: Mutex<BTreeSet<u64>>,
    other: Mutex<Weak<Memory>>,
    /// So many entries are lost on their way.
    loses: AtomicU64,
    /// Every entry.
    loses_all: AtomicBool,
    transfers: AtomicU64,
    /// Entries of the first round of each transfer.
    carried: Mutex<Vec<usize>>,
    /// A transfer waits here until it may go on, or is broken off.
    held_up: AtomicBool,
    broken: AtomicU64,
    /// The unit does not say what it has.
    mute: AtomicBool,
}

fn fingerprint(key: DigestKey, entry: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, entry).hash(&mut hasher);
    hasher.finish()
}

impl Memory {
    fn has(&self) -> BTreeSet<u64> {
        self.entries.lock().unwrap().clone()
    }

    fn carry(&self, entries: impl Iterator<Item = u64>) -> u64 {
        let other = self.other.lock().unwrap().upgrade();
        let mut sent = 0;
        for entry in entries {
            sent += 1;
            let lost = self.loses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |lost| lost.checked_sub(1)).is_ok();
            if let Some(other) = other.as_ref().filter(|_| !lost && !self.loses_all.load(Ordering::SeqCst)) {
                other.entries.lock().unwrap().insert(entry);
            }
        }
        sent
    }

    fn transfers(&self) -> u64 {
        self.transfers.load(Ordering::SeqCst)
    }
}

impl ConnectionTable for Memory {
    fn send(&self, transfer: &Transfer, other: &mut Other, told: &mut Told<'_>) -> Result<Report, Failure> {
        self.transfers.fetch_add(1, Ordering::SeqCst);
        let key = transfer.key;
        let mine: BTreeMap<u64, u64> = self.has().iter().map(|entry| (fingerprint(key, *entry), *entry)).collect();
        let mut report =
            Report { end: End::Hot, entries: 0, messages: 0, local: 0, unsaid: 0, unverified: 0, lost: Vec::new() };
        let held = match transfer.first {
            First::Everything => BTreeSet::new(),
            First::Lacking => {
                let all = other.held(key, &(0..4096).collect::<Vec<u16>>())?;
                mine.iter().filter(|(fingerprint, _)| all.contains(**fingerprint)).map(|(_, entry)| *entry).collect()
            }
        };
        let first: Vec<u64> = mine.values().filter(|entry| !held.contains(entry)).copied().collect();
        self.carried.lock().unwrap().push(first.len());
        report.entries += self.carry(first.into_iter());
        loop {
            let at = lb_kernel::transfer::Progress { sent: report.entries, total: mine.len() as u64 };
            if told(at).is_break() {
                self.broken.fetch_add(1, Ordering::SeqCst);
                return Ok(Report { end: End::BrokenOff, ..report });
            }
            if !self.held_up.load(Ordering::SeqCst) {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        for _ in 0..2 {
            let mut ours = Digest::default();
            mine.keys().for_each(|fingerprint| ours.add(*fingerprint));
            let buckets = ours.differing(&other.digest(key)?);
            if buckets.is_empty() {
                return Ok(report);
            }
            let held = other.held(key, &buckets)?;
            let lacks = |f: u64| buckets.contains(&((f >> 52) as u16)) && !held.contains(f);
            let lacks: Vec<u64> = mine.iter().filter(|(f, _)| lacks(**f)).map(|(_, entry)| *entry).collect();
            if lacks.is_empty() {
                return Ok(report);
            }
            report.lost.push(lacks.len() as u64);
            report.entries += self.carry(lacks.into_iter());
        }
        let missing = report.lost.last().copied().unwrap_or_default();
        Ok(Report { end: End::Lacking(missing), ..report })
    }

    fn digest(&self, key: DigestKey) -> Result<Digest, Failure> {
        if self.mute.load(Ordering::SeqCst) {
            return Err(Failure::Form);
        }
        let mut digest = Digest::default();
        self.has().iter().for_each(|entry| digest.add(fingerprint(key, *entry)));
        Ok(digest)
    }

    fn held(&self, key: DigestKey, buckets: &[u16]) -> Result<Held, Failure> {
        if self.mute.load(Ordering::SeqCst) {
            return Err(Failure::Form);
        }
        let in_them = |f: &u64| buckets.contains(&((f >> 52) as u16));
        Ok(Held::new(self.has().iter().map(|entry| fingerprint(key, *entry)).filter(in_them).collect()))
    }
}

/// One unit's task, with what it sees in the test's hands.
struct Half {
    unit: Unit,
    table: Arc<Memory>,
    serves: watch::Sender<bool>,
    sync: watch::Sender<Option<Sync>>,
    view: watch::Receiver<View>,
    handle: Option<Handle>,
}

fn daemons(starts: u64) -> Option<Sync> {
    let master = SyncDaemon::new("eth0".parse().unwrap(), 51, 1500);
    Some(Sync { starts, converged: true, master, marks: Vec::new() })
}

impl Half {
    fn new(unit: Unit) -> Half {
        let table = Arc::new(Memory::default());
        let serves = watch::channel(false).0;
        let sync = watch::channel(daemons(1)).0;
        let (handle, view) = begin(&unit, &table, &serves, &sync);
        Half { unit, table, serves, sync, view, handle: Some(handle) }
    }

    fn handle(&self) -> &Handle {
        self.handle.as_ref().unwrap()
    }

    /// lbd stops, and everything that it knew is forgotten.
    fn stop(&mut self) {
        self.handle = None;
        self.unit.stop();
    }

    fn boot(&mut self) {
        self.unit.boot();
        let (handle, view) = begin(&self.unit, &self.table, &self.serves, &self.sync);
        (self.handle, self.view) = (Some(handle), view);
    }

    fn serve(&self, serves: bool) {
        self.unit.shelf.change(|state| state.current.active = serves);
        self.serves.send_replace(serves);
    }

    fn hot(&self) -> bool {
        self.view.borrow().hot
    }

    async fn is(&self, what: &str, hot: bool) {
        until(what, || (self.hot() == hot).then_some(())).await;
    }
}

fn begin(
    unit: &Unit,
    table: &Arc<Memory>,
    serves: &watch::Sender<bool>,
    sync: &watch::Sender<Option<Sync>>,
) -> (Handle, watch::Receiver<View>) {
    let (told, words) = mpsc::channel(4);
    *unit.shelf.tables.lock().unwrap() = Some(told);
    let (view, seen) = watch::channel(View::default());
    let mut shown = seen.clone();
    let shelf = unit.shelf.clone();
    tokio::spawn(async move {
        loop {
            let View { ready, tells, .. } = shown.borrow_and_update().clone();
            shelf.change(|state| (state.current.ready, state.current.hot) = (ready, tells));
            if shown.changed().await.is_err() {
                return;
            }
        }
    });
    let (peer, table) = (unit.handle().clone(), table.clone());
    let handle = start(Parts { table, peer, words, sync: sync.subscribe(), serves: serves.subscribe(), view });
    (handle, seen)
}

/// A serves, with a configuration and some connections; B has joined and is hot.
async fn pair() -> (Half, Half) {
    let (a, b) = rig::pair().await;
    a.shelf.apply("{}");
    in_sync(&a, &b, "{}").await;
    let (a, b) = (Half::new(a), Half::new(b));
    *a.table.other.lock().unwrap() = Arc::downgrade(&b.table);
    *b.table.other.lock().unwrap() = Arc::downgrade(&a.table);
    a.table.entries.lock().unwrap().extend(0..1000);
    a.serve(true);
    b.is("the other unit hot", true).await;
    assert_eq!(b.table.has(), a.table.has());
    a.is("who serves hot", true).await;
    (a, b)
}

#[test]
fn a_unit_that_joins_gets_every_connection_and_is_hot_then() {
    run(async {
        let (a, b) = pair().await;
        assert_eq!(a.table.transfers(), 1);
        assert_eq!(a.handle().clause("lbslave").unwrap(), "it has every connection");
        assert_eq!(b.handle().clause("lbmaster").unwrap(), "every connection of it is here");
    });
}

#[test]
fn what_is_lost_on_the_way_is_found_by_asking() {
    run(async {
        let (a, b) = pair().await;
        b.table.entries.lock().unwrap().clear();
        a.table.loses.store(40, Ordering::SeqCst);
        // Its backup daemon was restarted.
        b.sync.send_replace(daemons(2));
        until("a second transfer", || (a.table.transfers() == 2 && b.hot()).then_some(())).await;
        assert_eq!(b.table.has(), a.table.has());
    });
}

#[test]
fn a_unit_that_lacks_some_is_not_hot_and_an_alarm_says_so() {
    run(async {
        let (a, b) = pair().await;
        b.table.entries.lock().unwrap().clear();
        a.table.loses_all.store(true, Ordering::SeqCst);
        b.sync.send_replace(daemons(2));
        let mut view = a.view.clone();
        let alarm = view.wait_for(|view| view.alarm.is_some()).await.unwrap().alarm.clone().unwrap();
        assert!(alarm.contains("1000 of its 3000 were lost on the way. hint: "), "{alarm}");
        b.is("cold", false).await;
        assert!(b.handle().clause("lbmaster").unwrap().contains("not every connection of lbmaster is here"));
        // Mended, and joined anew.
        a.table.loses_all.store(false, Ordering::SeqCst);
        b.sync.send_replace(daemons(3));
        b.is("hot again", true).await;
        until("no alarm", || a.view.borrow().alarm.is_none().then_some(())).await;
    });
}

#[test]
fn a_unit_that_restarts_is_sent_everything_again() {
    run(async {
        let (mut a, mut b) = pair().await;
        b.stop();
        a.unit.shows(ReplicationState::Unreachable).await;
        b.table.entries.lock().unwrap().clear();
        b.boot();
        until("a second transfer", || (a.table.transfers() == 2 && b.hot()).then_some(())).await;
        assert_eq!(b.table.has(), a.table.has());
        // The serving one's lbd: it does not know any more what the other has.
        a.stop();
        b.unit.shows(ReplicationState::Unreachable).await;
        a.boot();
        until("a third transfer", || (a.table.transfers() == 3 && b.hot()).then_some(())).await;
    });
}

#[test]
fn roles_change_and_the_new_one_sends_its_table() {
    run(async {
        let (a, b) = pair().await;
        a.serve(false);
        b.serve(true);
        let joined = || a.view.borrow().standing == Standing::Joins { hot: true };
        until("hot by the other's word", || joined().then_some(())).await;
        assert_eq!((a.table.transfers(), b.table.transfers()), (2, 1));
        assert!(a.hot() && b.hot());
    });
}

/// The kernels tell each other of a connection after two seconds and more; a take-over does not wait for them.
#[test]
fn the_youngest_connections_follow_a_unit_that_hands_over() {
    run(async {
        let (a, b) = pair().await;
        // Only its own kernel knows these; and the other unit has some of its own already.
        a.table.entries.lock().unwrap().extend(2000..2010);
        b.table.entries.lock().unwrap().extend(3000..3005);
        // Whoever hears of it first.
        b.serve(true);
        a.serve(false);
        until("the youngest", || b.table.has().contains(&2009).then_some(())).await;
        assert_eq!(a.table.carried.lock().unwrap()[1..], [10], "only what the other unit lacks");
        let joined = || a.view.borrow().standing == Standing::Joins { hot: true };
        until("hot by the other's word", || joined().then_some(())).await;
        assert_eq!(b.table.has().len(), 1000 + 10 + 5);
        assert_eq!(a.table.has(), b.table.has());
        assert!(a.view.borrow().alarm.is_none() && b.view.borrow().alarm.is_none());
    });
}

/// What is left of a hand-over that fails is nobody's alarm, and keeps the other unit's table from nobody.
#[test]
fn a_parting_that_fails_is_no_alarm() {
    run(async {
        let (a, b) = pair().await;
        b.table.mute.store(true, Ordering::SeqCst);
        a.table.entries.lock().unwrap().insert(2000);
        b.serve(true);
        a.serve(false);
        until("hot by the other's word", || (a.view.borrow().standing == Standing::Joins { hot: true }).then_some(()))
            .await;
        assert!(a.view.borrow().alarm.is_none() && b.view.borrow().alarm.is_none());
        assert!(!b.table.has().contains(&2000));
    });
}

#[test]
fn a_transfer_is_broken_off_when_its_unit_does_not_serve_any_more() {
    run(async {
        let (a, b) = pair().await;
        a.table.held_up.store(true, Ordering::SeqCst);
        b.sync.send_replace(daemons(2));
        until("a transfer", || (a.table.transfers() == 2).then_some(())).await;
        let clause = || a.handle().clause("lbslave").unwrap();
        until("its progress", || clause().contains("being sent to it (1000 of about 1000)").then_some(())).await;
        a.serve(false);
        until("broken off", || (a.table.broken.load(Ordering::SeqCst) == 1).then_some(())).await;
        b.serve(true);
        let joined = || a.view.borrow().standing == Standing::Joins { hot: true };
        until("hot the other way round", || joined().then_some(())).await;
    });
}

#[test]
fn one_more_round_goes_before_a_take_over_asked_for_on_either_unit() {
    run(async {
        let (a, b) = pair().await;
        let begun = Instant::now();
        a.handle().round().await;
        assert_eq!(a.table.transfers(), 2);
        // What the kernels lost meanwhile comes with it, whichever unit is asked.
        b.table.entries.lock().unwrap().remove(&7);
        b.handle().round().await;
        assert_eq!(a.table.transfers(), 3);
        assert_eq!(b.table.has(), a.table.has());
        assert!(b.hot() && begun.elapsed() < ROUND);
        // Where there is nothing to be sent it takes no time.
        let (c, _d) = rig::two();
        let c = Half::new(c);
        let begun = Instant::now();
        c.handle().round().await;
        assert!(begun.elapsed() < ROUND);
    });
}

#[test]
fn an_answer_to_another_question_is_no_answer() {
    run(async {
        let (a, b) = pair().await;
        b.table.mute.store(true, Ordering::SeqCst);
        b.sync.send_replace(daemons(2));
        let heard =
            |is: &dyn Fn(&Table) -> bool| b.unit.shelf.state.lock().unwrap().heard.iter().filter(|w| is(w)).count();
        // The first was of the first transfer.
        let asked = || heard(&|word| matches!(word, Table::AskDigest { .. })) == 2;
        until("the question", || asked().then_some(())).await;
        // The other unit says what it was not asked, and what it was asked, of another transfer.
        let full = a.table.digest([0; 2]).unwrap();
        b.unit.handle().table(Table::Digest { key: [0; 2], bytes: Bytes(full.to_bytes()) });
        b.unit.handle().table(Table::Held { key: [0; 2], bytes: Bytes(Vec::new()) });
        b.unit.handle().table(Table::Round { key: [0; 2] });
        // Words come in their order: when some later ones are answered, these have been heard.
        for n in 1..=20 {
            b.unit.handle().table(Table::AskDigest { key: [n; 2] });
            let answer = |word: &Table| matches!(word, Table::Digest { key, .. } if *key == [n; 2]);
            until("an answer", || (heard(&answer) == 1).then_some(())).await;
        }
        assert_eq!(heard(&|word| matches!(word, Table::AskHeld { .. })), 0, "the transfer goes on with a wrong answer");
        // It hangs up: the transfer is not waited for, and nobody is hot by it.
        assert!(!b.hot());
        let transfers = a.table.transfers();
        let mut b = b;
        let begun = Instant::now();
        b.stop();
        until("the transfer's end", || (a.view.borrow().standing == Standing::Waits).then_some(())).await;
        assert!(begun.elapsed() < keeper::FORGIVEN);
        b.table.mute.store(false, Ordering::SeqCst);
        b.boot();
        until("another transfer", || (a.table.transfers() > transfers && b.hot()).then_some(())).await;
        assert!(a.view.borrow().alarm.is_none());
    });
}
