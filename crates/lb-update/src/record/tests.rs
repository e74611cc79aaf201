use super::*;

const FREE: Given = Given { ok: true, spent: false, first: true };
const SPENT: Given = Given { ok: true, spent: true, first: true };
const BAD: Given = Given { ok: false, spent: false, first: false };

fn record(stage: Stage) -> Record {
    Record {
        slot: SlotName::B,
        version: Version(0, 2, 0),
        from: Version(0, 1, 0),
        by: "root".into(),
        time: 1,
        stage,
        reason: None,
        excused: Vec::new(),
        acknowledged: false,
    }
}

#[test]
fn a_start_from_its_slot_is_a_probation_until_it_works() {
    for given in [FREE, SPENT, BAD] {
        assert_eq!(record(Stage::Installed).started(SlotName::B, given), Start::Probation);
        // The switch was made, and the power went before it was written down.
        assert_eq!(record(Stage::Writing).started(SlotName::B, given), Start::Probation);
        assert_eq!(record(Stage::Works).started(SlotName::B, given), Start::Ordinary);
    }
}

#[test]
fn who_comes_back_is_told_why() {
    let mut silent = record(Stage::Installed);
    assert_eq!(silent.started(SlotName::A, SPENT), Start::Left);
    assert_eq!(silent.outcome(), "did not stay: it did not come up in three tries");
    let mut told = Record { reason: Some("lbd does not answer".into()), ..record(Stage::Installed) };
    assert_eq!(told.started(SlotName::A, BAD), Start::Left);
    assert_eq!(
        told.alarm(told.from).as_deref(),
        Some(
            "the update to 0.2.0 did not stay: lbd does not answer. This unit runs 0.1.0 again. hint: lbctl update \
             acknowledge takes this line away"
        )
    );
    assert_eq!(told.started(SlotName::A, BAD), Start::Ordinary, "once");
    told.acknowledged = true;
    assert_eq!(told.alarm(told.from), None);
}

#[test]
fn a_cut_while_it_is_written_is_no_failure_of_the_new_system() {
    let mut cut = record(Stage::Writing);
    assert_eq!(cut.started(SlotName::A, BAD), Start::Left);
    assert_eq!((cut.stage, cut.reason.as_deref()), (Stage::Interrupted, Some("the installation was interrupted")));
    // Before the slot was marked: it still has what it had.
    let mut early = record(Stage::Writing);
    assert_eq!(early.started(SlotName::A, Given { first: false, ..FREE }), Start::Left);
    assert_eq!(early.stage, Stage::Interrupted);
    // After the switch: it was the new system that did not come up.
    let mut late = record(Stage::Writing);
    assert_eq!(late.started(SlotName::A, SPENT), Start::Left);
    assert_eq!(late.stage, Stage::Returned);
}

#[test]
fn what_was_not_started_yet_waits() {
    for stage in [Stage::Writing, Stage::Installed] {
        let mut waiting = record(stage);
        assert_eq!(waiting.started(SlotName::A, FREE), Start::Waiting);
        assert_eq!(waiting, record(stage));
    }
}

#[test]
fn the_command_line_tells_the_slot() {
    assert_eq!(SlotName::running("lb.slot=B quiet"), Some(SlotName::B));
    assert_eq!(SlotName::running("quiet lb.slot=A"), Some(SlotName::A));
    assert_eq!(SlotName::running("quiet xlb.slot=A lb.slot=C"), None);
}

#[test]
fn there_is_a_way_back_where_a_system_is_left_that_worked() {
    let (a, system) = (SlotName::A, Some(Version(0, 2, 0)));
    assert_eq!(may_go_back(None, a, system, FREE), Ok(Version(0, 2, 0)));
    assert_eq!(may_go_back(Some(&record(Stage::Works)), SlotName::B, system, FREE), Ok(Version(0, 2, 0)));
    assert_eq!(may_go_back(Some(&record(Stage::Interrupted)), a, system, BAD), Err(NoWayBack::NotStartable));
    assert_eq!(may_go_back(Some(&record(Stage::Returned)), a, system, SPENT), Err(NoWayBack::NotStartable));
    assert_eq!(may_go_back(None, a, None, FREE), Err(NoWayBack::Empty));
    // It is being judged: the judge decides.
    assert_eq!(may_go_back(Some(&record(Stage::Installed)), SlotName::B, system, FREE), Err(NoWayBack::Probation));
    assert_eq!(may_go_back(Some(&record(Stage::Installed)), a, system, FREE), Err(NoWayBack::Already));
}
