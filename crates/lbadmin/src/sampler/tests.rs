use super::*;
use lb_api::{ActualState, InterfaceCounters, VirtualServerStatus};
use lb_model::RequestedState;

fn status(bytes_in: u64, active: u32) -> Status {
    let counters = Counters { connections: bytes_in / 100, bytes_in, ..Counters::default() };
    let real_server = RealServerStatus {
        label: "WebServer1".into(),
        address: "192.168.2.50:80".into(),
        forwarding: "nat".into(),
        weight: 1,
        requested: RequestedState::Online,
        actual: ActualState::Active,
        check: None,
        active_connections: active,
        inactive_connections: 0,
        persistent_connections: 0,
        counters,
    };
    let virtual_server = VirtualServerStatus {
        label: "HTTP".into(),
        layer: 4,
        service: "tcp 10.0.0.21:80".into(),
        scheduler: "wrr".into(),
        active: true,
        fallback: false,
        counters,
        real_servers: vec![real_server.clone(), RealServerStatus { label: "WebServer2".into(), ..real_server }],
    };
    Status {
        version: String::new(),
        hostname: String::new(),
        revision: 1,
        alarms: Vec::new(),
        converged: true,
        pending: Vec::new(),
        drift: Vec::new(),
        confirm: None,
        pending_changes: 0,
        old_connections: 0,
        virtual_servers: vec![virtual_server],
    }
}

fn system(busy: u64, total: u64) -> SystemView {
    let eth0 = InterfaceCounters {
        name: "eth0".into(),
        bytes_in: total * 10,
        bytes_out: total,
        packets_in: total,
        packets_out: 0,
        errors: 0,
        dropped: 0,
    };
    SystemView {
        cpu_busy: busy,
        cpu_total: total,
        memory_total: 1000,
        memory_available: 400,
        interfaces: vec![eth0],
        ..SystemView::default()
    }
}

const TEN: Duration = Duration::from_secs(10);

#[test]
fn the_second_reading_has_rates() {
    let mut sampler = Sampler::default();
    let (samples, rates) = sampler.sample(TEN, &status(1000, 3), Some(&system(100, 1000)));
    assert!(rates.is_empty());
    let keys: Vec<String> = samples.iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(keys, ["system", "if:eth0", "vs:HTTP", "rs:HTTP/WebServer1", "rs:HTTP/WebServer2"]);
    let (_, rates) = sampler.sample(TEN * 2, &status(3000, 3), Some(&system(600, 2000)));
    let rate = rates[&Key::VirtualServer("HTTP".into())];
    assert_eq!((rate.traffic.bytes_in, rate.connections, rate.traffic.bytes_out), (200.0, 2.0, 0.0));
    assert_eq!(rates[&Key::Interface("eth0".into())].traffic.bytes_in, 1000.0);
    assert!(!rates.contains_key(&Key::System));
}

#[test]
fn what_is_recorded_can_be_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let history = History::open(dir.path(), 8);
    let mut sampler = Sampler::default();
    for (i, (busy, total)) in [(100, 1000), (600, 2000), (1600, 3000)].into_iter().enumerate() {
        let at = TEN * i as u32;
        let (samples, rates) = sampler.sample(at, &status(1000 * i as u64, 3), Some(&system(busy, total)));
        history.record(1_795_176_000 + at.as_secs(), &samples, rates);
    }
    let column = |key: &Key, column: usize| {
        let chart = history.chart(key, Span::Hour, 1_795_176_020).expect("a chart");
        chart.columns[column][357..].to_vec()
    };
    assert_eq!(column(&Key::System, 0), [None, Some(0.5), Some(1.0)]);
    assert_eq!(column(&Key::System, 1), [Some(600.0); 3]);
    assert_eq!(column(&Key::VirtualServer("HTTP".into()), 0), [Some(6.0); 3]);
    assert_eq!(column(&Key::VirtualServer("HTTP".into()), 4), [None, Some(100.0), Some(100.0)]);
    assert_eq!((history.keys().len(), history.not_recorded(), history.rates().time), (5, 0, 1_795_176_020));
}

#[test]
fn without_a_directory_there_are_rates_and_a_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("series"), "in the way").expect("written");
    let history = History::open(dir.path(), 8);
    history.record(10, &[], HashMap::from([(Key::System, Rate::default())]));
    assert!(history.trouble().contains("series"), "{}", history.trouble());
    assert_eq!((history.rates().time, history.keys().len()), (10, 0));
}
