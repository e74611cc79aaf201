use super::*;
use lb_api::{RealServerStatus, VirtualServerStatus};
use lb_model::RequestedState;

fn status(virtual_servers: usize, real_servers: usize) -> Status {
    let real_server = |n: usize| RealServerStatus {
        label: format!("RIP{n}"),
        address: format!("10.0.0.{n}:80"),
        forwarding: "dr".into(),
        weight: 1,
        requested: RequestedState::Online,
        actual: if n == 0 { ActualState::Active } else { ActualState::NonActive },
        check: None,
        active_connections: 12,
        inactive_connections: 3,
        persistent_connections: 0,
        counters: Counters { connections: 7, bytes_in: 700, ..Counters::default() },
    };
    let virtual_server = |n: usize| VirtualServerStatus {
        label: format!("VIP{n}"),
        layer: 4,
        service: "tcp 10.0.0.21:80".into(),
        scheduler: "wrr".into(),
        active: true,
        fallback: false,
        counters: Counters { connections: 9, ..Counters::default() },
        real_servers: (0..real_servers).map(real_server).collect(),
    };
    Status {
        version: "0.1.0".into(),
        hostname: "lbmaster".into(),
        revision: 3,
        alarms: vec![],
        converged: true,
        pending: vec![],
        drift: vec![],
        confirm: None,
        pending_changes: 0,
        old_connections: 0,
        virtual_servers: (0..virtual_servers).map(virtual_server).collect(),
    }
}

#[test]
fn a_scrape() {
    let summary = Summary {
        version: "0.1.0".into(),
        hostname: "lb\"1".into(),
        revision: 3,
        converged: true,
        ..Summary::default()
    };
    let interfaces = vec![lb_api::InterfaceCounters {
        name: "eth0".into(),
        bytes_in: 1,
        bytes_out: 2,
        packets_in: 3,
        packets_out: 4,
        errors: 5,
        dropped: 6,
    }];
    let system = SystemView {
        uptime: 60,
        cpus: 2,
        cpu_busy: 250,
        cpu_total: 1000,
        memory_total: 1 << 30,
        interfaces,
        ..SystemView::default()
    };
    let scrape = Scrape {
        summary: Some(summary),
        status: Some(status(1, 2).into()),
        system: Some(system),
        ha: Some(Arc::default()),
        layer7: None,
    };
    insta::assert_snapshot!(scrape.text().expect("a text"));
}

#[test]
fn a_scrape_of_one_of_a_pair() {
    let ha = HaView {
        role: HaRole::Standby,
        since: Some(1_790_000_000),
        floating: vec![lb_api::FloatingView {
            address: [10, 0, 0, 100].into(),
            interface: "eth0".parse().expect("a name"),
            vip: true,
            here: false,
        }],
        paths: vec![
            lb_api::PathView {
                name: "ttyS1".into(),
                serial: true,
                up: true,
                loss_percent: Some(25),
                latency_us: Some(1500),
                error: None,
            },
            lb_api::PathView {
                name: "10.0.0.22".into(),
                serial: false,
                up: false,
                loss_percent: None,
                latency_us: None,
                error: Some("network unreachable".into()),
            },
        ],
        peer: Some(lb_api::PeerView { heard: true, fit: true, ..Default::default() }),
        unfit: vec!["eth1 has no cable".into()],
        hot: true,
        replication: Some(lb_api::ReplicationView {
            state: ReplicationState::Diverged,
            last: None,
            detail: String::new(),
        }),
        alarms: vec!["both serve".into()],
        ..HaView::default()
    };
    let scrape = Scrape { summary: None, status: None, system: None, ha: Some(ha.into()), layer7: None };
    insta::assert_snapshot!(scrape.text().expect("a text"));
}

#[test]
fn without_lbd_there_is_still_an_answer() {
    let text = Scrape { summary: None, status: None, system: None, ha: None, layer7: None }.text().expect("a text");
    assert!(text.contains("steelyard_lbd_up 0.0\n") && text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn what_does_not_fit_is_counted() {
    let text = Scrape { summary: None, status: Some(status(900, 30).into()), system: None, ha: None, layer7: None }
        .text()
        .expect("a text");
    let kept = MOST / 31;
    assert!(text.contains(&format!("steelyard_servers_left_out {}.0\n", (900 - kept) * 31)), "{}", &text[..400]);
    assert_eq!(text.matches("steelyard_virtual_server_up{").count(), kept);
}

#[test]
fn a_scrape_of_layer_7() {
    let figures = lb_api::Layer7Figures {
        responses: lb_api::Responses { s2xx: 10, s5xx: 1, ..Default::default() },
        queue: 2,
        response_ms: 12,
        denied: 3,
        ..Default::default()
    };
    let server = lb_api::Layer7RealServerFigures { label: "Shop1".into(), figures, ..Default::default() };
    let layer7 = Layer7Statistics {
        old_connections: 4,
        virtual_servers: vec![lb_api::Layer7VirtualServerFigures {
            label: "Shop".into(),
            mode: "http".into(),
            figures,
            real_servers: vec![server],
        }],
    };
    let scrape = Scrape { summary: None, status: None, system: None, ha: None, layer7: Some(layer7) };
    insta::assert_snapshot!(scrape.text().expect("a text"));
}
