use super::*;

const MINE: u64 = 1;
const THEIRS: u64 = 2;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// This unit serves, the other is ready.
fn serving() -> Sight {
    let peer = Peer { serves: false, ready: Some(THEIRS), hot: None };
    Sight { serves: true, daemons: Some(MINE), converged: true, peer: Some(peer) }
}

/// The other unit serves and says this.
fn joining(hot: Option<u64>) -> Sight {
    let peer = Peer { serves: true, ready: None, hot };
    Sight { serves: false, daemons: Some(MINE), converged: true, peer: Some(peer) }
}

fn peer(sight: Sight, change: impl FnOnce(&mut Peer)) -> Sight {
    let mut peer = sight.peer.expect("a peer");
    change(&mut peer);
    Sight { peer: Some(peer), ..sight }
}

/// One that has sent everything at 0 s.
fn sent() -> Keeper {
    let mut keeper = Keeper::default();
    assert_eq!(keeper.see(serving(), seconds(0)), Some(Order::Send));
    assert_eq!((keeper.tells(), keeper.standing()), (None, Standing::Sending));
    keeper.ended(Outcome::Hot, seconds(0));
    assert_eq!(keeper.see(serving(), seconds(0)), None);
    assert_eq!((keeper.tells(), keeper.standing()), (Some(THEIRS), Standing::Sent));
    keeper
}

#[test]
fn nothing_is_sent_before_the_other_unit_is_ready() {
    let cold = Sight { peer: None, ..serving() };
    let unready = peer(serving(), |peer| peer.ready = None);
    let both = peer(serving(), |peer| peer.serves = true);
    let single = Sight { daemons: None, ..serving() };
    let neither = Sight { serves: false, ..serving() };
    for sight in [cold, unready, both, single, neither] {
        let mut keeper = Keeper::default();
        assert_eq!(keeper.see(sight, seconds(0)), None, "{sight:?}");
        assert_eq!(keeper.see(serving(), seconds(1)), Some(Order::Send));
    }
}

#[test]
fn a_unit_is_ready_when_it_stands_by_and_its_daemons_run() {
    let mut keeper = Keeper::default();
    let mut ready = |sight| {
        keeper.see(sight, seconds(0));
        keeper.ready()
    };
    assert_eq!(ready(joining(None)), Some(MINE));
    assert_eq!(ready(Sight { converged: false, ..joining(None) }), None);
    assert_eq!(ready(Sight { daemons: None, ..joining(None) }), None);
    assert_eq!(ready(serving()), None);
    // Also while nobody serves, so that whoever will can begin at once.
    assert_eq!(ready(Sight { peer: None, ..joining(None) }), Some(MINE));
}

#[test]
fn what_may_have_missed_connections_is_cold_at_once() {
    let gone = [
        peer(serving(), |peer| peer.ready = Some(3)),
        Sight { daemons: Some(3), ..serving() },
        Sight { daemons: Some(3), ..peer(serving(), |peer| peer.ready = None) },
        Sight { serves: false, ..serving() },
        peer(serving(), |peer| peer.serves = true),
        Sight { daemons: None, ..serving() },
    ];
    for sight in gone {
        let mut keeper = sent();
        keeper.see(sight, seconds(1));
        assert_eq!(keeper.tells(), None, "{sight:?}");
    }
    // And the next transfer is under way where it can be.
    assert_eq!(sent().see(gone[0], seconds(1)), Some(Order::Send));
    assert_eq!(sent().see(gone[1], seconds(1)), Some(Order::Send));
}

#[test]
fn a_short_absence_is_forgiven() {
    for away in [Sight { peer: None, ..serving() }, peer(serving(), |peer| peer.ready = None)] {
        let mut keeper = sent();
        assert_eq!(keeper.see(away, seconds(5)), None);
        assert_eq!((keeper.tells(), keeper.deadline()), (Some(THEIRS), Some(seconds(15))));
        assert_eq!(keeper.see(serving(), seconds(14)), None);
        assert_eq!((keeper.tells(), keeper.deadline()), (Some(THEIRS), None));
        // Counted anew.
        keeper.see(away, seconds(20));
        keeper.see(away, seconds(29));
        assert_eq!(keeper.tells(), Some(THEIRS));
        keeper.see(away, seconds(30));
        assert_eq!((keeper.tells(), keeper.standing(), keeper.deadline()), (None, Standing::Waits, None));
        assert_eq!(keeper.see(serving(), seconds(31)), Some(Order::Send));
    }
}

#[test]
fn a_transfer_that_means_nothing_any_more_is_broken_off_before_the_next() {
    let mut keeper = Keeper::default();
    keeper.see(serving(), seconds(0));
    let restarted = peer(serving(), |peer| peer.ready = Some(3));
    assert_eq!(keeper.see(restarted, seconds(1)), Some(Order::Break));
    assert_eq!(keeper.see(restarted, seconds(2)), None);
    // Its end says nothing about the new one, not even a good one.
    keeper.ended(Outcome::Hot, seconds(3));
    assert_eq!(keeper.tells(), None);
    assert_eq!(keeper.see(restarted, seconds(3)), Some(Order::Send));
    assert_eq!(keeper.see(Sight { serves: false, ..restarted }, seconds(4)), Some(Order::Break));
    assert_eq!(keeper.see(Sight { serves: false, ..restarted }, seconds(5)), None);
    keeper.ended(Outcome::Cut, seconds(5));
    assert_eq!(keeper.see(restarted, seconds(6)), Some(Order::Send));
    // Nor does it go on for a unit that is away for long.
    let away = Sight { peer: None, ..serving() };
    assert_eq!(keeper.see(away, seconds(7)), None);
    assert_eq!(keeper.see(away, seconds(17)), Some(Order::Break));
}

#[test]
fn what_failed_is_an_alarm_and_tried_again_in_a_minute() {
    let mut keeper = Keeper::default();
    keeper.see(serving(), seconds(0));
    keeper.ended(Outcome::Failed("12 were lost".into()), seconds(5));
    assert_eq!(keeper.see(serving(), seconds(6)), None);
    assert_eq!((keeper.tells(), keeper.complaint()), (None, Some("12 were lost")));
    assert_eq!(keeper.standing(), Standing::Failed("12 were lost".into()));
    assert_eq!(keeper.deadline(), Some(seconds(65)));
    assert_eq!(keeper.see(serving(), seconds(64)), None);
    assert_eq!(keeper.see(serving(), seconds(65)), Some(Order::Send));
    // It stays an alarm until it is mended.
    assert_eq!(keeper.complaint(), Some("12 were lost"));
    keeper.ended(Outcome::Hot, seconds(70));
    assert_eq!((keeper.tells(), keeper.complaint()), (Some(THEIRS), None));
    // What was cut short is no alarm, and soon tried again.
    let mut keeper = Keeper::default();
    keeper.see(serving(), seconds(0));
    keeper.ended(Outcome::Cut, seconds(5));
    assert_eq!((keeper.see(serving(), seconds(5)), keeper.complaint()), (None, None));
    assert_eq!(keeper.see(serving(), seconds(7)), Some(Order::Send));
    // A unit that started anew is not waited for.
    keeper.ended(Outcome::Failed("no answer".into()), seconds(8));
    let other = peer(serving(), |peer| peer.ready = Some(3));
    assert_eq!(keeper.see(other, seconds(9)), Some(Order::Send));
}

#[test]
fn one_more_round_leaves_hot_what_is_hot_unless_it_finds_something() {
    let mut keeper = Keeper::default();
    assert_eq!((keeper.round(), keeper.sends()), (None, false));
    keeper.see(serving(), seconds(0));
    // The one under way will do.
    assert_eq!((keeper.round(), keeper.sends()), (None, true));
    for (outcome, tells) in [(Outcome::Hot, Some(THEIRS)), (Outcome::Cut, Some(THEIRS)), (failed(), None)] {
        let mut keeper = sent();
        assert_eq!((keeper.round(), keeper.sends()), (Some(Order::Send), true));
        assert_eq!(keeper.tells(), Some(THEIRS));
        assert_eq!(keeper.see(serving(), seconds(1)), None);
        keeper.ended(outcome, seconds(1));
        assert_eq!((keeper.tells(), keeper.sends()), (tells, false));
    }
}

fn failed() -> Outcome {
    Outcome::Failed("1 was lost".into())
}

#[test]
fn the_serving_units_word_counts_for_the_daemons_that_it_names() {
    let mut keeper = Keeper::default();
    for (hot, is) in [(None, false), (Some(MINE), true), (Some(9), false), (Some(MINE), true), (None, false)] {
        keeper.see(joining(hot), seconds(0));
        assert_eq!((keeper.hot(), keeper.standing()), (is, Standing::Joins { hot: is }));
    }
    keeper.see(joining(Some(MINE)), seconds(0));
    // Restarted here: what is said is of before.
    keeper.see(Sight { daemons: Some(7), ..joining(Some(MINE)) }, seconds(1));
    assert!(!keeper.hot());
}

#[test]
fn a_unit_stays_hot_while_the_other_is_away_for_a_moment() {
    let handing_over = peer(joining(None), |peer| peer.serves = false);
    for away in [Sight { peer: None, ..joining(None) }, handing_over] {
        let mut keeper = Keeper::default();
        keeper.see(joining(Some(MINE)), seconds(0));
        keeper.see(away, seconds(1));
        assert_eq!((keeper.hot(), keeper.deadline()), (true, Some(seconds(11))));
        keeper.see(away, seconds(10));
        assert!(keeper.hot());
        keeper.see(away, seconds(11));
        assert_eq!((keeper.hot(), keeper.deadline()), (false, None));
    }
}

#[test]
fn who_serves_is_hot_and_must_be_told_anew_after_it() {
    let mut keeper = Keeper::default();
    keeper.see(joining(Some(MINE)), seconds(0));
    let alone = Sight { serves: true, peer: None, ..joining(None) };
    keeper.see(alone, seconds(1));
    assert!(keeper.hot());
    // It handed over: what the other one takes from now on, it may miss.
    keeper.see(Sight { serves: false, ..alone }, seconds(2));
    assert!(!keeper.hot());
    // An old word of the other unit's, from before it stopped serving.
    keeper.see(joining(None), seconds(3));
    assert!(!keeper.hot());
}

/// This unit has handed over to the other one, which says so, or not yet.
fn handed_over(peer_serves: bool) -> Sight {
    let peer = Peer { serves: peer_serves, ready: None, hot: None };
    Sight { serves: false, peer: Some(peer), ..serving() }
}

#[test]
fn who_hands_over_sends_what_the_other_lacks_and_can_be_sent_to_then() {
    for peer_serves in [false, true] {
        let mut keeper = sent();
        assert_eq!(keeper.see(handed_over(peer_serves), seconds(1)), Some(Order::Part));
        assert_eq!((keeper.parts(), keeper.ready(), keeper.tells(), keeper.hot()), (true, None, None, false));
        assert_eq!(keeper.see(handed_over(true), seconds(2)), None);
        assert_eq!(keeper.deadline(), Some(seconds(1) + PARTING));
        keeper.ended(Outcome::Hot, seconds(2));
        assert_eq!(keeper.see(handed_over(true), seconds(2)), None, "once");
        assert_eq!(
            (keeper.parts(), keeper.ready(), keeper.standing()),
            (false, Some(MINE), Standing::Joins { hot: false })
        );
    }
    // Whichever unit hears first that the other one serves.
    let mut keeper = sent();
    assert_eq!(keeper.see(peer(serving(), |peer| peer.serves = true), seconds(1)), None);
    assert_eq!(keeper.see(handed_over(true), seconds(2)), Some(Order::Part));
    // One that was being sent everything lacks some all the more.
    let mut keeper = Keeper::default();
    assert_eq!(keeper.see(serving(), seconds(0)), Some(Order::Send));
    assert_eq!(keeper.see(handed_over(true), seconds(1)), Some(Order::Break));
    assert_eq!(keeper.see(handed_over(true), seconds(1)), None);
    keeper.ended(Outcome::Cut, seconds(2));
    assert_eq!(keeper.see(handed_over(true), seconds(2)), Some(Order::Part));
}

#[test]
fn a_parting_is_no_alarm_and_has_its_time() {
    let mut keeper = sent();
    keeper.see(handed_over(true), seconds(1));
    keeper.ended(failed(), seconds(2));
    assert_eq!((keeper.see(handed_over(true), seconds(2)), keeper.complaint()), (None, None));
    assert_eq!(keeper.ready(), Some(MINE));
    // It takes too long.
    let mut keeper = sent();
    keeper.see(handed_over(true), seconds(1));
    let end = seconds(1) + PARTING;
    assert_eq!(keeper.see(handed_over(true), end), Some(Order::Break));
    assert_eq!((keeper.see(handed_over(true), end), keeper.ready(), keeper.deadline()), (None, Some(MINE), None));
    keeper.ended(Outcome::Cut, end);
    assert_eq!(keeper.see(handed_over(true), end), None);
    // It serves again.
    let mut keeper = sent();
    keeper.see(handed_over(true), seconds(1));
    assert_eq!(keeper.see(serving(), seconds(2)), Some(Order::Break));
    assert_eq!(keeper.see(serving(), seconds(2)), None);
    keeper.ended(Outcome::Hot, seconds(3));
    assert_eq!((keeper.tells(), keeper.see(serving(), seconds(3))), (None, Some(Order::Send)));
    // The other one is away: as soon as it is there, but not for ever.
    for (back, order) in [(3, Some(Order::Part)), (60, None)] {
        let mut keeper = sent();
        assert_eq!(keeper.see(Sight { peer: None, ..handed_over(true) }, seconds(1)), None);
        assert_eq!(keeper.see(handed_over(true), seconds(back)), order);
    }
    // It has never served.
    assert_eq!(Keeper::default().see(handed_over(true), seconds(0)), None);
}

/// After a power cut of both nobody has anything, and nobody waits for it: heartbeat decides without (lb-ha,
/// `nobody_hot_is_no_reason_not_to_serve`), and the one that serves then makes the other hot.
#[test]
fn after_a_power_cut_of_both_one_serves_and_makes_the_other_hot() {
    let (mut one, mut two) = (Keeper::default(), Keeper::default());
    let nobody = |ready| Sight {
        serves: false,
        daemons: Some(MINE),
        converged: true,
        peer: Some(Peer { serves: false, ready, hot: None }),
    };
    for keeper in [&mut one, &mut two] {
        assert_eq!(keeper.see(nobody(Some(THEIRS)), seconds(0)), None);
        assert!(!keeper.hot());
    }
    assert_eq!(one.see(Sight { serves: true, ..nobody(two.ready()) }, seconds(1)), Some(Order::Send));
    one.ended(Outcome::Hot, seconds(2));
    two.see(joining(one.tells()), seconds(2));
    assert!(one.hot() && two.hot());
}
