use super::*;
use lb_api::{CheckStatus, Counters};

fn rip(label: &str, address: &str, requested: RequestedState, actual: ActualState) -> RealServerStatus {
    let check = Some(CheckStatus { text: "connection refused".into(), since: 0 });
    RealServerStatus {
        label: label.into(),
        address: address.into(),
        forwarding: "nat".into(),
        weight: 65535,
        requested,
        actual,
        check,
        active_connections: 123_456,
        inactive_connections: 12_345,
        persistent_connections: 0,
        counters: Counters::default(),
    }
}

fn status(real_servers: Vec<RealServerStatus>) -> Status {
    let vip = VirtualServerStatus {
        label: "HTTP_Cluster".into(),
        layer: 4,
        service: "tcp 10.0.0.21:80".into(),
        scheduler: "wrr".into(),
        active: true,
        fallback: false,
        counters: Counters::default(),
        real_servers,
    };
    Status {
        version: "0.1.0".into(),
        hostname: "lbmaster".into(),
        revision: 3,
        alarms: Vec::new(),
        converged: true,
        pending: Vec::new(),
        drift: Vec::new(),
        confirm: None,
        pending_changes: 0,
        old_connections: 0,
        virtual_servers: vec![vip],
    }
}

#[test]
fn no_line_of_ours_is_wider_than_the_console() {
    let long = "a-label-of-quite-some-length-for-a-real-server-in-the-cluster-x";
    let v6 = "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535";
    let mut status = status(vec![
        rip("WebServer1", "192.168.2.50:80", RequestedState::Online, ActualState::NonActive),
        rip(long, "192.168.2.51:80", RequestedState::Online, ActualState::Active),
        rip(long, v6, RequestedState::Offline, ActualState::NonActive),
    ]);
    status.virtual_servers[0].service = format!("tcp {v6}");
    for line in render(&status, None, true).lines() {
        assert!(line.chars().count() <= 79, "{line}");
    }
}

#[test]
fn a_full_console_keeps_the_top_and_says_how_much_is_missing() {
    let frame: String = (0..30).map(|i| format!("line {i}\n")).collect();
    let shown = fit(&frame, 24);
    assert_eq!(shown.lines().count(), 23);
    assert!(
        shown.starts_with("line 0\n") && shown.ends_with("line 21\n(8 more lines; lbctl status shows all)\n"),
        "{shown}"
    );
    assert_eq!(fit("one\n", 24), "one\n");
}

#[test]
fn what_was_asked_for_is_no_complaint() {
    let fine = [
        (RequestedState::Online, ActualState::Active),
        (RequestedState::Drain, ActualState::Draining),
        (RequestedState::Offline, ActualState::NonActive),
    ];
    let servers = fine.map(|(requested, actual)| rip("a", "192.168.2.50:80", requested, actual)).to_vec();
    assert_eq!(complaints(&status(servers)), Vec::<String>::new());
    let failed = rip("a", "192.168.2.50:80", RequestedState::Online, ActualState::NonActive);
    assert_eq!(
        complaints(&status(vec![failed])),
        ["a in HTTP_Cluster: requested ONLINE, is non-active: connection refused"]
    );
    let wrong = Status { alarms: vec!["FAILSAFE".into()], converged: false, drift: vec!["x".into()], ..status(vec![]) };
    assert_eq!(complaints(&wrong).len(), 3);
}
