//! Moments that random schedules hit too seldom, and what operators are told.

use lb_ha::core::{Act, Core, Input};
use lb_ha::{
    Command, Defect, Event, Hands, Node, NodeId, Note, Output, Path, Probe, Rank, Reason, Refusal, Settings, Start,
    State, Time, Word,
};

const MS: u64 = 1000;

fn settings() -> Settings {
    let paths = ["ttyS1", "eth0"].map(|name| Path { name: name.into(), min_interval_ms: 0 });
    Settings { paths: paths.to_vec(), ..Settings::default() }
}

/// The peer, serving.
fn serving() -> Word {
    Word {
        state: State::Active,
        holds: true,
        fit: true,
        hot: true,
        maintenance: false,
        leaving: false,
        taking: false,
        asks: false,
        hears: true,
        pings: 0,
        epoch: 4,
        rank: Rank { epoch: 4, merit: 0 },
        claim: 0,
        grant: 0,
        deadtime_ms: 400,
    }
}

fn standing_by() -> Word {
    Word { state: State::Standby, holds: false, rank: Rank::default(), ..serving() }
}

struct Story {
    core: Core,
    now: Time,
    acts: Vec<Act>,
}

impl Story {
    fn new(defect: Option<Defect>) -> Story {
        Story::with(settings(), defect)
    }

    fn with(settings: Settings, defect: Option<Defect>) -> Story {
        let (now, mut acts) = (Time(1_000 * MS), Vec::new());
        let mut node = Vec::new();
        let start = Start { me: NodeId::Two, boot: 1, nonce: 1, settings, at: now };
        let mut core = Node::start(start, &mut node).unwrap().core().clone();
        core.break_it(defect);
        core.handle(Input::Hands(Hands::Released), now, &mut acts);
        core.handle(Input::Fit(true), now, &mut acts);
        Story { core, now, acts: Vec::new() }
    }

    fn tell(&mut self, input: Input) -> &mut Story {
        self.acts.clear();
        self.core.handle(input, self.now, &mut self.acts);
        self
    }

    fn hears(&mut self, word: Word) -> &mut Story {
        self.tell(Input::Heard { word, confirmed: Some(self.now), restarted: false })
    }

    /// Time passes, timers as they are due, until `end`; what was done, and when.
    fn until(&mut self, end: Time) -> Vec<(Time, Act)> {
        let mut done = Vec::new();
        while self.core.deadline() <= end {
            self.now = self.core.deadline();
            self.tell(Input::Tick);
            done.extend(self.acts.iter().map(|act| (self.now, *act)));
            if self.acts.contains(&Act::Probe) {
                self.tell(Input::Probe(Probe::Free));
                done.extend(self.acts.iter().map(|act| (self.now, *act)));
            }
        }
        self.now = end;
        done
    }

    /// Becomes the owner: the peer grants.
    fn serve(&mut self) -> &mut Story {
        let cannot = Word { maintenance: true, ..standing_by() };
        self.hears(cannot).hears(cannot);
        let grant = self.core.word(self.now).claim;
        assert_ne!(grant, 0, "{:?}", self.core.state());
        self.hears(Word { grant, ..standing_by() });
        self.tell(Input::Hands(Hands::Acquired));
        assert_eq!(self.core.state(), State::Active);
        self.hears(standing_by())
    }

    fn reason(&self) -> Option<Reason> {
        self.acts.iter().rev().find_map(|act| match act {
            Act::Note(Note::Moved { reason, .. }) => Some(*reason),
            _ => None,
        })
    }
}

#[test]
fn a_frozen_standby_does_not_take_its_own_freeze_for_a_death() {
    let after_freeze = |defect| {
        let mut story = Story::new(defect);
        story.hears(serving());
        story.now = story.now.plus(3_000 * MS);
        story.tell(Input::Tick);
        story.core.state()
    };
    assert_eq!(after_freeze(None), State::Standby);
    assert_eq!(after_freeze(Some(Defect::NoStallGrace)), State::Taking, "the test sees the defect");
}

#[test]
fn a_take_over_is_said_half_a_keepalive_before_it_is_done() {
    let said_before = |defect| {
        let mut story = Story::new(defect);
        story.hears(serving());
        let (mut said, mut acquired) = (None, None);
        while acquired.is_none() {
            let next = story.core.deadline();
            let acts = story.until(next);
            if story.core.word(story.now).taking {
                said = said.or(Some(story.now));
            }
            acquired = acts.iter().find(|(_, act)| *act == Act::Acquire).map(|(at, _)| *at);
            assert!(story.now < Time(10_000 * MS), "nothing happens");
        }
        said.zip(acquired).is_some_and(|(said, acquired)| acquired.since(said) >= 50 * MS)
    };
    assert!(said_before(None));
    assert!(!said_before(Some(Defect::SkipNotice)), "the test sees the defect");
}

#[test]
fn settings_that_change_on_one_node_first_move_nothing() {
    let state = |defect| {
        let fast = Settings { paths: settings().paths, ..Settings::fast() };
        let mut story = Story::with(fast, defect);
        story.hears(serving());
        // The peer still speaks every 100 ms; here 50 ms of silence are a death.
        story.until(story.now.plus(350 * MS));
        story.core.state()
    };
    assert_eq!(state(None), State::Standby);
    assert_ne!(state(Some(Defect::OwnDeadtimeOnly)), State::Standby, "the test sees the defect");
}

#[test]
fn a_grant_that_waited_while_the_daemon_was_frozen_is_not_believed() {
    let believes = |defect| {
        let mut story = Story::new(defect);
        let cannot = Word { maintenance: true, ..standing_by() };
        story.hears(cannot);
        let (grant, confirmed) = (story.core.word(story.now).claim, Some(story.now));
        story.now = story.now.plus(600 * MS);
        story.tell(Input::Heard { word: Word { grant, ..cannot }, confirmed, restarted: false });
        story.acts.contains(&Act::Acquire)
    };
    assert!(!believes(None));
    assert!(believes(Some(Defect::TrustOldGrant)), "the test sees the defect");
}

#[test]
fn an_owner_makes_way_for_a_deaf_peer_before_that_one_acquires() {
    let lets_go = |defect| {
        let mut story = Story::new(defect);
        story.serve();
        story.hears(Word { state: State::Taking, taking: true, hears: false, ..standing_by() });
        story.acts.contains(&Act::Release)
    };
    assert!(lets_go(None));
    assert!(!lets_go(Some(Defect::IgnoreNotice)), "the test sees the defect");
}

#[test]
fn a_take_over_comes_after_exactly_the_dead_time_and_half_a_keepalive() {
    let mut story = Story::new(None);
    let heard = story.hears(serving()).now;
    let acts = story.until(heard.plus(2_000 * MS));
    let acquired = acts.iter().find(|(_, act)| *act == Act::Acquire).map(|(at, _)| at.since(heard));
    assert_eq!(acquired, Some(450 * MS));
}

#[test]
fn an_unfit_owner_hands_over_only_to_a_fit_peer() {
    let mut story = Story::new(None);
    story.serve().hears(Word { fit: false, ..standing_by() });
    story.tell(Input::Fit(false));
    assert_eq!(story.core.state(), State::Active, "somebody has to serve");
    story.hears(standing_by());
    assert_eq!((story.core.state(), story.reason()), (State::Releasing, Some(Reason::Unfit)));
}

#[test]
fn the_node_that_reaches_fewer_ping_nodes_hands_over_after_the_dead_time_if_that_is_switched_on() {
    let gateway = vec!["10.0.0.1".parse().unwrap()];
    for on in [false, true] {
        let mut story =
            Story::with(Settings { ping_nodes: gateway.clone(), failover_on_network_failure: on, ..settings() }, None);
        story.serve();
        for _ in 0..8 {
            story.until(story.now.plus(100 * MS));
            story.hears(Word { pings: 1, ..standing_by() });
        }
        assert_eq!(story.core.state() != State::Active, on);
    }
}

#[test]
fn operators_are_told_why_not() {
    let told = |story: &mut Story, command| {
        story.tell(Input::Command(command));
        story.acts.iter().find_map(|act| match act {
            Act::Outcome { result: Err(refusal), .. } => Some(*refusal),
            _ => None,
        })
    };
    let mut story = Story::new(None);
    assert_eq!(told(&mut story, Command::Takeover { force: true }), Some(Refusal::Busy));
    story.hears(serving());
    assert_eq!(told(&mut story, Command::Standby), Some(Refusal::NotActive));
    assert_eq!(told(&mut story, Command::Takeover { force: false }), Some(Refusal::ThisNodeNotHot));
    story.tell(Input::Fit(false));
    assert_eq!(told(&mut story, Command::Takeover { force: true }), Some(Refusal::ThisNodeUnfit));
    let mut story = Story::new(None);
    story.serve().hears(Word { fit: false, ..standing_by() });
    assert_eq!(told(&mut story, Command::Standby), Some(Refusal::PeerCannotServe));
    assert_eq!(told(&mut story, Command::Maintenance { on: true, force: false }), Some(Refusal::PeerCannotServe));
    assert_eq!(told(&mut story, Command::Takeover { force: true }), Some(Refusal::AlreadyActive));
}

/// After a power cut of both, neither has the other's connections, because nobody serves that could send any.
#[test]
fn nobody_hot_is_no_reason_not_to_serve() {
    let cold = Word { hot: false, ..standing_by() };
    // Both are there: the claim does not ask who is hot.
    let mut story = Story::new(None);
    for _ in 0..20 {
        story.hears(cold);
        story.until(story.now.plus(100 * MS));
    }
    assert_eq!(story.core.state(), State::Claiming);
    assert!(!story.core.word(story.now).hot);
    // The other one does not come back.
    let mut story = Story::new(None);
    story.hears(cold);
    story.until(story.now.plus(60_000 * MS));
    assert!(story.core.holds(), "{}", story.core.state());
    // One is hot and cannot serve: the other one does.
    let mut story = Story::new(None);
    for _ in 0..20 {
        story.hears(Word { hot: true, fit: false, ..cold });
        story.until(story.now.plus(100 * MS));
    }
    assert_eq!(story.core.state(), State::Claiming);
}

#[test]
fn fail_back_waits_until_the_node_is_hot() {
    let settings =
        Settings { auto_failback: true, preferred: Some(NodeId::Two), failback_delay_ms: 1000, ..settings() };
    let mut story = Story::with(settings, None);
    let wait = |story: &mut Story| {
        for _ in 0..30 {
            story.until(story.now.plus(100 * MS));
            story.hears(serving());
        }
    };
    wait(&mut story);
    assert_eq!(story.core.state(), State::Standby);
    story.tell(Input::Hot(true));
    wait(&mut story);
    assert_eq!(story.core.state(), State::Claiming);
    assert!(story.core.word(story.now).asks);
}

#[test]
fn settings_are_replaced_without_a_gap_and_bad_ones_do_not_come_into_force() {
    let (mut out, mut now) = (Vec::new(), Time(0));
    let start = Start { me: NodeId::One, boot: 1, nonce: 5, settings: settings(), at: now };
    let mut node = Node::start(start, &mut out).unwrap();
    node.handle(Event::Hands(Hands::Released), now, &mut out);
    node.handle(Event::Fitness { reasons: Vec::new() }, now, &mut out);
    while node.core().state() != State::Active {
        now = node.deadline();
        out.clear();
        node.handle(Event::Timer, now, &mut out);
        for answer in out.clone() {
            match answer {
                Output::Acquire => node.handle(Event::Hands(Hands::Acquired), now, &mut out),
                Output::Probe => node.handle(Event::Probe(Probe::Free), now, &mut out),
                _ => {}
            }
        }
    }
    out.clear();
    node.handle(Event::Settings(Box::new(Settings { paths: settings().paths, ..Settings::fast() })), now, &mut out);
    node.handle(Event::Settings(Box::new(Settings { keepalive_ms: 0, ..settings() })), now, &mut out);
    assert_eq!(node.settings().keepalive_ms, 10);
    assert!(!out.contains(&Output::Release) && node.core().holds());
    assert_eq!(node.deadline(), now.plus(10 * MS));
}

#[test]
fn a_machine_that_steals_the_address_is_answered_and_told_of() {
    let mut story = Story::new(None);
    story.serve();
    story.until(story.now.plus(300 * MS));
    story.hears(standing_by()).tell(Input::Duplicate);
    assert!(story.acts.contains(&Act::Announce), "the address is defended");
    assert!(story.core.alarms().any(|alarm| alarm == lb_ha::Alarm::DuplicateAddress));
    story.tell(Input::Duplicate);
    assert!(!story.acts.contains(&Act::Announce), "at most once in ten seconds");
}

#[test]
fn all_problems_of_settings_are_found_at_once_and_say_what_to_do() {
    let bad = Settings { keepalive_ms: 100, warntime_ms: 100, deadtime_ms: 150, initdead_ms: 200, ..settings() };
    let text: Vec<String> = bad.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "/warntime_ms (100): must be longer than keepalive_ms, here 101 ms\n  \
             hint: one late beat is not worth a warning: set about twice the keepalive",
            "/deadtime_ms (150): must be warntime_ms + keepalive_ms or more, here 200 ms\n  \
             hint: set at least three times the keepalive, and leave a keepalive between warntime and deadtime",
            "/deadtime_ms (150): must be three times keepalive_ms or more, here 300 ms\n  \
             hint: set at least three times the keepalive, and leave a keepalive between warntime and deadtime",
            "/initdead_ms (200): must be twice deadtime_ms or more, here 300 ms\n  \
             hint: switches and cards need time after a start: 5000 is usual",
        ]
    );
    for good in [settings(), Settings { paths: settings().paths, ..Settings::fast() }] {
        assert_eq!(good.problems(), []);
    }
}

#[test]
fn every_transition_says_why_in_one_sentence() {
    let mut story = Story::new(None);
    story.hears(serving());
    let acts = story.until(story.now.plus(1_000 * MS));
    let notes: Vec<String> = acts
        .iter()
        .filter_map(|(_, act)| if let Act::Note(note) = act { Some(note.to_string()) } else { None })
        .collect();
    assert_eq!(
        notes,
        [
            "late heartbeat: nothing from the peer for 200 ms",
            "stand-by -> taking over: nothing was heard from the peer on any path for 400 ms",
            "taking over -> acquiring: the peer is silent and nobody answers for the floating address",
        ]
    );
}

/// Of two daemons started at the same moment one knows earlier that it is fit; that alone must not decide.
#[test]
fn a_peer_that_has_just_started_may_find_itself_fit_yet() {
    let mut story = Story::new(None);
    let unfit = Word { fit: false, ..standing_by() };
    story.hears(unfit).hears(unfit);
    assert_eq!(story.core.state(), State::Standby);
    story.hears(standing_by());
    assert_eq!(story.core.state(), State::Standby, "it is node one, and comes first");

    let mut story = Story::new(None);
    for beat in 1..=4 {
        story.hears(unfit);
        assert_eq!(story.core.state(), State::Standby, "{beat}");
        story.until(story.now.plus(100 * MS));
    }
    story.hears(unfit);
    assert_eq!(story.core.state(), State::Claiming, "after the dead time");
}

/// The unit that served alone before the pair was made goes on without a gap, whatever its peer is about to do.
#[test]
fn a_unit_that_served_alone_goes_on() {
    let young = || {
        let settings = settings();
        let start = Start { me: NodeId::Two, boot: 1, nonce: 1, settings, at: Time(1_000 * MS) };
        let core = Node::start(start, &mut Vec::new()).unwrap().core().clone();
        let mut story = Story { core, now: Time(1_000 * MS), acts: Vec::new() };
        story.tell(Input::Inherits);
        story
    };
    let mut story = young();
    story.hears(Word { claim: 9, state: State::Claiming, ..standing_by() });
    assert_eq!((story.core.state(), story.core.word(story.now).grant), (State::Starting, 0), "not fit yet");
    assert!(story.core.word(story.now).holds);
    story.tell(Input::Fit(true));
    assert_eq!((story.core.state(), story.reason()), (State::Acquiring, Some(Reason::ServedAlone)));
    assert!(story.acts.contains(&Act::Acquire) && !story.acts.contains(&Act::Release));

    let mut story = young();
    story.tell(Input::Fit(true));
    assert_eq!(story.core.state(), State::Starting, "it listens first: the peer may serve");
    story.until(story.now.plus(u64::from(settings().warntime_ms) * MS));
    assert_eq!((story.core.state(), story.reason()), (State::Acquiring, Some(Reason::ServedAlone)));

    let mut story = young();
    story.tell(Input::Fit(true)).hears(serving());
    assert!(story.acts.contains(&Act::Release), "the peer serves");
    story.tell(Input::Fit(true)).tell(Input::Hands(Hands::Released));
    assert_eq!(story.core.state(), State::Standby);

    let mut story = young();
    let done = story.until(story.now.plus(u64::from(settings().initdead_ms) * MS));
    assert!(done.iter().any(|(_, act)| *act == Act::Release), "it cannot serve, so somebody else must");
}
