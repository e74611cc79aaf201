use super::*;
use lb_model::NodeId;

fn pair() -> HaView {
    HaView {
        role: HaRole::Active,
        unit: Some(NodeId::One),
        since: Some(1_795_233_600),
        why: "Nobody served, and this unit is the preferred one of the two; lbslave agreed.".into(),
        edits: true,
        floating: vec![FloatingView {
            address: "2001:db8:1234:5678:9abc:def0:1234:5678".parse().expect("address"),
            interface: "eth0.1234567890".parse().expect("name"),
            vip: true,
            here: true,
        }],
        paths: vec![PathView {
            name: "2001:db8:1234:5678:9abc:def0:1234:5679".into(),
            serial: false,
            up: true,
            loss_percent: Some(100),
            latency_us: Some(99_999_999),
            error: None,
        }],
        peer: Some(PeerView {
            hostname: "lbslave".into(),
            role: HaRole::Standby,
            heard: true,
            fit: true,
            hot: true,
            web: Some("https://10.0.0.22:9443".into()),
            fingerprint: "ab:".repeat(31) + "cd",
        }),
        unfit: vec![],
        hot: true,
        replication: Some(ReplicationView { state: ReplicationState::InSync, last: None, detail: String::new() }),
        alarms: vec![],
    }
}

#[test]
fn a_pair_that_is_well_has_nothing_to_complain_of() {
    assert_eq!(complaints(&pair()), Vec::<String>::new());
    assert!(!render(&pair()).contains("! "), "{}", render(&pair()));
    assert_eq!(complaints(&HaView::default()), Vec::<String>::new());
}

/// A fault anywhere is a complaint and a line with a mark.
#[test]
fn every_fault_is_marked() {
    type Fault = fn(&mut HaView);
    let faults: [(Fault, &str); 10] = [
        (|v| v.alarms.push("both units serve".into()), "alarm: both units serve"),
        (|v| v.role = HaRole::Maintenance, "this unit's role is: maintenance"),
        (|v| v.role = HaRole::Unknown, "this unit's role is: unknown"),
        (|v| v.unfit.push("eth0 has no carrier".into()), "this unit cannot serve: eth0 has no carrier"),
        (|v| v.peer = None, "nothing is known of the other unit"),
        (|v| v.peer.as_mut().expect("peer").heard = false, "lbslave is not heard"),
        (|v| v.peer.as_mut().expect("peer").fit = false, "lbslave cannot serve"),
        (|v| v.paths[0].up = false, "path 2001:db8:1234:5678:9abc:def0:1234:5679 is down"),
        (
            |v| v.replication.as_mut().expect("replication").state = ReplicationState::Diverged,
            "configuration: both units were changed without each other",
        ),
        (
            |v| {
                let replication = v.replication.as_mut().expect("replication");
                replication.state = ReplicationState::Refused;
                replication.detail = "eth1 is missing there".into();
            },
            "configuration: the other unit cannot run it: eth1 is missing there",
        ),
    ];
    for (fault, want) in faults {
        let mut view = pair();
        fault(&mut view);
        assert_eq!(complaints(&view), [want]);
        assert!(render(&view).lines().any(|l| l.starts_with("! ")), "{want}\n{}", render(&view));
        assert!(one_line(&view).starts_with("! "), "{want}");
    }
}

#[test]
fn nothing_is_wider_than_the_console() {
    let mut view = pair();
    view.alarms.push("the other unit serves as well ".repeat(6));
    view.unfit.push("a reason of some length, with more to it ".repeat(4));
    view.paths[0].error = Some("no such device, and nobody knows why that is so ".repeat(3));
    view.paths[0].up = false;
    view.replication.as_mut().expect("replication").detail = "the reason is a long story that is told here ".repeat(3);
    for line in render(&view).lines().chain(one_line(&view).lines()) {
        // A fingerprint is one word of 95 characters.
        assert!(line.chars().count() <= 79 || line.contains("ab:ab"), "{line}");
    }
}
