//! Histories of two units that change, pass on and lose revisions.

use lb_pair::{Id, Relation, SharedVersion, next, relation};
use proptest::prelude::*;

#[test]
fn a_name_hangs_on_everything_before() {
    let first = next(None, "{}");
    assert_eq!(first.number, 1);
    // SHA-256 of 32 zero bytes and "{}": written down once, so that units of different versions agree.
    assert_eq!(first.id.to_string(), GOLDEN);
    assert_eq!(next(None, "{}"), first);
    assert_ne!(next(None, "{ }").id, first.id);
    let second = next(Some(first), "{}");
    assert_eq!(second.number, 2);
    assert_ne!(second.id, first.id);
    let other = SharedVersion { number: 1, id: Id([1; 32]) };
    assert_ne!(next(Some(other), "{}").id, second.id);
    assert_eq!(first.id.to_string().parse(), Ok(first.id));
    for bad in ["", "ab", &"AB".repeat(32), &"ab".repeat(33), &"zz".repeat(32)] {
        assert!(bad.parse::<Id>().is_err());
    }
}

const GOLDEN: &str = "fb1634c4e6cd4b1f1afe3ce2d6ef080f7ac5d1f357d723ad4dfca782733b62db";

#[test]
fn relations() {
    let ids = |text: &str| text.bytes().map(|b| Id([b; 32])).collect::<Vec<_>>();
    let check = |mine: &str, theirs: &str, expected| {
        assert_eq!(relation(&ids(mine), &ids(theirs)), expected, "{mine:?} {theirs:?}");
    };
    check("", "", Relation::Same);
    check("abc", "abc", Relation::Same);
    check("abc", "c", Relation::Same);
    check("abc", "", Relation::PeerBehind);
    check("abc", "ab", Relation::PeerBehind);
    // It was away: of the two versions it missed it got the newer one only.
    check("abcde", "ad", Relation::PeerBehind);
    check("ab", "abc", Relation::PeerAhead);
    check("", "a", Relation::PeerAhead);
    check("abx", "aby", Relation::Diverged);
    check("a", "b", Relation::Diverged);
    check("ab", "ba", Relation::Diverged);
}

#[derive(Debug, Clone)]
enum Step {
    /// This unit changes something.
    Change(bool, u8),
    /// What one has reaches the other, if that one is behind.
    Pass(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![(any::<bool>(), any::<u8>()).prop_map(|(w, d)| Step::Change(w, d)), any::<bool>().prop_map(Step::Pass)]
}

proptest! {
    /// As long as only one unit changes at a time, and what is passed on is passed on only to who is behind, the units
    /// never diverge; two changes apart always do.
    #[test]
    fn relations_follow_what_happened(steps in prop::collection::vec(step(), 0..40)) {
        let mut histories: [Vec<SharedVersion>; 2] = Default::default();
        // Who has changed something since both had the same.
        let mut apart = [false, false];
        for step in steps {
            match step {
                Step::Change(who, document) => {
                    let history = &mut histories[usize::from(who)];
                    // The number of steps in the text: the same change twice is another revision here.
                    let text = format!("{who} {document} {}", history.len());
                    history.push(next(history.last().copied(), &text));
                    apart[usize::from(who)] = true;
                }
                Step::Pass(from) => {
                    let (from, to) = (usize::from(from), usize::from(!from));
                    if apart[from] && !apart[to] {
                        let newest = *histories[from].last().unwrap();
                        histories[to].push(newest);
                        apart = [false, false];
                    }
                }
            }
            let ids = histories.each_ref().map(|history| history.iter().map(|version| version.id).collect::<Vec<_>>());
            let expected = match apart {
                [false, false] => Relation::Same,
                [true, false] => Relation::PeerBehind,
                [false, true] => Relation::PeerAhead,
                [true, true] => Relation::Diverged,
            };
            prop_assert_eq!(relation(&ids[0], &ids[1]), expected);
            prop_assert_eq!(relation(&ids[1], &ids[0]), expected.reversed());
        }
    }

    #[test]
    fn any_two_histories_have_one_relation(mine in prop::collection::vec(0u8..6, 0..8), theirs in prop::collection::vec(0u8..6, 0..8)) {
        let ids = |bytes: &[u8]| bytes.iter().map(|b| Id([*b; 32])).collect::<Vec<_>>();
        let (mine, theirs) = (ids(&mine), ids(&theirs));
        prop_assert_eq!(relation(&mine, &theirs), relation(&theirs, &mine).reversed());
        prop_assert_eq!(relation(&mine, &mine), Relation::Same);
    }
}
