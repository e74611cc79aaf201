//! Every seeded defect is seen: by a promise that the simulator audits, or by a story in `stories.rs`.
//!
//! A defect that nothing sees would mean that a mistake of its kind could be in the code today.

use lb_ha::Defect;
use lb_ha::sim::{Rule, Schedule, run};

/// Defects that need a precise moment, which random schedules do not hit often; the story that hits it.
const BY_STORY: &[(Defect, &str)] = &[
    (Defect::NoStallGrace, "stories::a_frozen_standby_does_not_take_its_own_freeze_for_a_death"),
    (Defect::OwnDeadtimeOnly, "stories::settings_that_change_on_one_node_first_move_nothing"),
    (Defect::TrustOldGrant, "stories::a_grant_that_waited_while_the_daemon_was_frozen_is_not_believed"),
    (Defect::SkipNotice, "stories::a_take_over_is_said_half_a_keepalive_before_it_is_done"),
    (Defect::IgnoreNotice, "stories::an_owner_makes_way_for_a_deaf_peer_before_that_one_acquires"),
];

/// The first broken promise within so many schedules.
fn first(defect: Defect, schedules: u64) -> Option<(u64, Rule)> {
    (0..schedules).find_map(|seed| {
        let ended = run(Schedule::random(seed), Some(defect));
        ended.broken.map(|broken| (seed, broken.rule))
    })
}

#[test]
fn every_defect_is_seen() {
    let by_story = |defect: Defect| BY_STORY.iter().any(|(known, _)| *known == defect);
    let mut unseen = Vec::new();
    for defect in Defect::ALL.iter().copied().filter(|defect| !by_story(*defect)) {
        match first(defect, 6000) {
            Some((seed, rule)) => println!("| `{defect:?}` | `{rule:?}`, seed {seed} |"),
            None => unseen.push(defect),
        }
    }
    assert!(unseen.is_empty(), "nothing saw {unseen:?}");
}
