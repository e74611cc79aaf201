//! What is said on the status socket: texts that other programs rely on.

use lb_ha::control::{Reply, Report, Request};
use lb_ha::{Command, Document, Event, Frame, Node, Path, Settings, Start, State, Time};

fn node(me: lb_ha::NodeId) -> (Node, Vec<lb_ha::Output>) {
    let paths =
        vec![Path { name: "ttyS1".into(), min_interval_ms: 0 }, Path { name: "eth0".into(), min_interval_ms: 0 }];
    let settings = Settings { paths, ..Settings::default() };
    let mut out = Vec::new();
    let node = Node::start(Start { me, boot: 7, nonce: 1 + me as u64, settings, at: Time(0) }, &mut out).unwrap();
    (node, out)
}

fn said(out: &mut Vec<lb_ha::Output>) -> Vec<Frame> {
    let frames = out.drain(..).filter_map(|output| match output {
        lb_ha::Output::Send { frame, .. } => Some(frame),
        _ => None,
    });
    frames.collect()
}

/// lbd reads with these types what the daemon says with them.
#[test]
fn a_report_survives_its_text_and_says_what_a_page_needs() {
    let (mut one, mut from_one) = node(lb_ha::NodeId::One);
    let (mut two, mut from_two) = node(lb_ha::NodeId::Two);
    for (node, out) in [(&mut one, &mut from_one), (&mut two, &mut from_two)] {
        for event in [Event::Fitness { reasons: vec![] }, Event::Hot(true), Event::Hands(lb_ha::Hands::Released)] {
            node.handle(event, Time(1000), out);
        }
    }
    for at in 1..40 {
        let now = Time(at * 10_000);
        let (to_two, to_one) = (said(&mut from_one), said(&mut from_two));
        for (node, frames, out) in [(&mut one, to_one, &mut from_one), (&mut two, to_two, &mut from_two)] {
            for frame in frames {
                node.handle(Event::Frame { path: 1, frame }, now, out);
            }
            let acquires = |out: &Vec<lb_ha::Output>| out.contains(&lb_ha::Output::Acquire);
            if acquires(out) {
                node.handle(Event::Hands(lb_ha::Hands::Acquired), now, out);
            }
            node.handle(Event::Timer, now, out);
        }
    }
    let document = serde_json::json!({
        "version": 1, "me": "two", "settings": {"paths": [{"name": "ttyS1"}, {"name": "eth0"}]},
        "floating": [{"interface": "eth0", "net": "10.0.0.20/24"}],
        "transports": [{"serial": {}}, {"udp": {"local": "10.0.0.22:694", "peer": "10.0.0.21:694"}}],
    });
    let report = Report {
        now: 400_000,
        status: two.status(Time(400_000)),
        document: serde_json::from_value::<Document>(document).unwrap(),
        path_errors: vec![Some("/dev/ttyS1: No such file or directory".into()), None],
        degraded: vec!["may not lock its memory: EPERM".into()],
    };
    let text = serde_json::to_string(&Reply::Status(Box::new(report.clone()))).unwrap();
    assert_eq!(serde_json::from_str::<Reply>(&text).unwrap(), Reply::Status(Box::new(report.clone())));

    assert_eq!((one.status(Time(400_000)).state, report.status.state), (State::Active, State::Standby));
    assert_eq!(report.status.because, "starting -> stand-by: the peer is there");
    assert_eq!(report.status.why, "the peer is there");
    assert!(report.for_how_long().as_millis() > 300, "{:?}", report.for_how_long());
    let peer = report.status.peer.unwrap();
    assert!(peer.alive && peer.word.holds && peer.word.fit && peer.word.hot && peer.word.state == State::Active);
    let paths = report.status.paths;
    assert_eq!(
        paths.iter().map(|(name, path)| (name.as_str(), path.up)).collect::<Vec<_>>(),
        [("ttyS1", false), ("eth0", true)]
    );
    assert_eq!(paths[1].1.loss_permille, 0);
    assert!(paths[1].1.round_trip_us.is_some());
}

#[test]
fn requests_are_short_lines() {
    let read = |text: &str| serde_json::from_str::<Request>(text);
    assert_eq!(read(r#""status""#).unwrap(), Request::Status);
    assert_eq!(read(r#"{"takeover":{}}"#).unwrap().command(), Some(Command::Takeover { force: false }));
    assert_eq!(read(r#""standby""#).unwrap().command(), Some(Command::Standby));
    let on = Command::Maintenance { on: true, force: true };
    assert_eq!(read(r#"{"maintenance":{"on":true,"force":true}}"#).unwrap().command(), Some(on));
    assert_eq!(read(r#""shutdown""#).unwrap().command(), Some(Command::Shutdown));
    assert_eq!(read(r#"{"hot":true}"#).unwrap(), Request::Hot(true));
    for wrong in
        [r#""takeover""#, r#"{"takeover":{"now":true}}"#, r#"{"maintenance":{}}"#, "{}", "null", r#"{"hot":1}"#]
    {
        assert!(read(wrong).is_err(), "{wrong}");
    }
    let refused = Reply::Refused { reason: lb_ha::Refusal::Busy, text: lb_ha::Refusal::Busy.to_string() };
    let text = serde_json::to_string(&refused).unwrap();
    assert!(text.starts_with(r#"{"refused":{"reason":"busy","text":""#), "{text}");
    assert_eq!(serde_json::from_str::<Reply>(&text).unwrap(), refused);
}
