//! `ha.json` and the key file: what is read, what is refused, and that every problem is told at once.

use lb_ha::document::{Document, Floating, Serial, Transport, Udp, frame_ms};
use lb_ha::{Keys, NodeId, Path, Settings, Witness};

fn document() -> Document {
    let path = |name: &str| Path { name: name.into(), min_interval_ms: 0 };
    let udp = |local: &str, peer: &str| {
        Transport::Udp(Udp { local: local.parse().unwrap(), peer: peer.parse().unwrap(), interface: None })
    };
    Document {
        version: 1,
        me: NodeId::One,
        settings: Settings { paths: vec![path("ttyS1"), path("eth0"), path("eth1")], ..Settings::default() },
        floating: vec![Floating { interface: "eth0".parse().unwrap(), net: "10.0.0.20/24".parse().unwrap() }],
        transports: vec![
            Transport::Serial(Serial::default()),
            udp("10.0.0.1:694", "10.0.0.2:694"),
            udp("[2001:db8::1]:694", "[2001:db8::2]:694"),
        ],
    }
}

/// `path: reason` of each problem.
fn problems(document: &Document) -> Vec<String> {
    let found = document.problems();
    assert!(found.iter().all(|p| !p.reason.is_empty()));
    found.into_iter().map(|p| format!("{}: {}", p.path, p.reason)).collect()
}

#[test]
fn a_document_survives_its_text() {
    let document = document();
    assert_eq!(problems(&document), [""; 0]);
    let text = serde_json::to_string(&document).unwrap();
    assert_eq!(serde_json::from_str::<Document>(&text).unwrap(), document);
}

/// The shortest document that an administrator may have to read: what is left out has its default.
#[test]
fn defaults_are_filled_in() {
    let text = r#"{"version":1,"me":"two","settings":{"paths":[{"name":"cable"}]},
        "floating":[{"interface":"eth0","net":"10.0.0.20/24"}],"transports":[{"serial":{}}]}"#;
    let document: Document = serde_json::from_str(text).unwrap();
    assert_eq!(document.transports, [Transport::Serial(Serial { device: "/dev/ttyS1".into(), baud: 115_200 })]);
    assert_eq!(document.settings.deadtime_ms, 400);
    assert_eq!(problems(&document), [""; 0]);
}

#[test]
fn unknown_fields_are_refused_everywhere() {
    let text = serde_json::to_string(&document()).unwrap();
    for (from, to) in [
        (r#"{"version""#, r#"{"key":"00","version""#),
        (r#"{"keepalive_ms""#, r#"{"keepalife_ms":1,"keepalive_ms""#),
        (r#"{"interface""#, r#"{"mask":24,"interface""#),
        (r#"{"device""#, r#"{"parity":"even","device""#),
        (r#"{"local""#, r#"{"secret":"x","local""#),
        (r#"{"serial""#, r#"{"pigeon""#),
    ] {
        assert!(text.contains(from), "{from}");
        let error = serde_json::from_str::<Document>(&text.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains("unknown"), "{to}: {error}");
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let mut d = document();
    d.version = 2;
    d.settings.keepalive_ms = 1;
    d.settings.witness = Some(Witness::Address("10.0.0.20".parse().unwrap()));
    d.settings.ping_nodes = vec!["10.0.0.20".parse().unwrap(); 2];
    d.floating.push(Floating { interface: "eth1".parse().unwrap(), net: "10.0.0.20/32".parse().unwrap() });
    d.floating.push(Floating { interface: "eth1".parse().unwrap(), net: "224.0.0.1/24".parse().unwrap() });
    d.transports = vec![
        Transport::Serial(Serial { device: "/dev/../etc/passwd".into(), baud: 12 }),
        Transport::Udp(Udp {
            local: "10.0.0.1:0".parse().unwrap(),
            peer: "[fe80::2]:694".parse().unwrap(),
            interface: None,
        }),
        Transport::Udp(Udp {
            local: "10.0.0.20:694".parse().unwrap(),
            peer: "10.0.0.20:694".parse().unwrap(),
            interface: None,
        }),
        Transport::Serial(Serial { device: "/dev/../etc/passwd".into(), baud: 9600 }),
    ];
    let expected = [
        "/version: this software reads version 1",
        "/settings/keepalive_ms: must be 5 to 10000 ms",
        "/floating/1/net: stands here twice, also on eth0",
        "/floating/2/net: is a multicast address, not a host's",
        "/transports: there are 3 paths in the settings, each needs one",
        "/transports/0/serial/device: is not a device below /dev/",
        "/transports/0/serial/baud: is not a speed of serial lines",
        "/transports/1/udp/local: port 0 is none",
        "/transports/1/udp/peer: is link-local, so it says nothing without its interface",
        "/transports/1/udp/peer: is of another family than the local address",
        "/transports/2/udp/local: is a floating address of this pair",
        "/transports/2/udp/peer: is a floating address of this pair",
        "/transports/2/udp/peer: is this node's own address",
        "/transports/3/serial/device: is not a device below /dev/",
        "/transports/3: another path uses the same device or addresses, so one fault would cut both",
        "/settings/ping_nodes/0: is a floating address of this pair",
        "/settings/ping_nodes/1: is a floating address of this pair",
        "/settings/ping_nodes/1: stands here twice",
        "/settings/witness/address: is a floating address of this pair",
    ];
    assert_eq!(problems(&d), expected);
}

/// 9600 baud: 99 bytes of ten bits are 104 ms, so a line cannot carry one each 100 ms.
#[test]
fn a_slow_line_needs_an_interval() {
    let mut d = document();
    d.transports[0] = Transport::Serial(Serial { baud: 9600, ..Serial::default() });
    assert_eq!(frame_ms(9600, 3), 104);
    assert_eq!(problems(&d), ["/settings/paths/0/min_interval_ms: a frame takes 104 ms on a line of 9600 baud"]);
    d.settings.paths[0].min_interval_ms = 104;
    let two_beats = "/settings/paths/0/min_interval_ms: ttyS1 is too slow for a dead time of 400 ms";
    assert_eq!(problems(&d), [two_beats]);
    d.settings.deadtime_ms = 600;
    assert_eq!(problems(&d), [""; 0]);
}

const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

#[test]
fn keys_survive_their_text() {
    let text = format!("# pair\n\nseal 1 {SECRET}\n accept 200 {}  # next\n", "Ff".repeat(32));
    let keys = Keys::parse(&text).unwrap();
    assert_eq!((keys.seal.id, keys.seal.secret[31]), (1, 31));
    assert_eq!(keys.accept.as_ref().map(|key| (key.id, key.secret[0])), Some((200, 255)));
    let again = Keys::parse(&keys.print()).unwrap();
    assert_eq!(*again.seal.secret, *keys.seal.secret);
    assert_eq!(again.accept.map(|key| key.id), Some(200));
    assert!(!format!("{keys:?}").contains("31"), "no secret in the log");
}

#[test]
fn a_bad_key_file_says_where_and_not_what() {
    for (text, error) in [
        (String::new(), "there is no key to seal with"),
        (format!("accept 1 {SECRET}"), "there is no key to seal with"),
        (format!("seal 1 {SECRET}\naccept 1 {SECRET}"), "both keys have the same number"),
        (format!("seal 1 {SECRET}\nseal 2 {SECRET}"), "line 2: there is one such key already"),
        (format!("\nseal 256 {SECRET}"), "line 2: the key's number must be 0 to 255"),
        (format!("seal 1 {SECRET}0"), "line 1: a key is 64 hexadecimal digits"),
        (format!("seal 1 +{}", &SECRET[1..]), "line 1: a key is 64 hexadecimal digits"),
        (format!("open 1 {SECRET}"), "line 1: a key is for seal or for accept"),
        (SECRET.to_owned(), "line 1: expected: seal or accept, the key's number, 64 hexadecimal digits"),
    ] {
        let found = Keys::parse(&text).unwrap_err().to_string();
        assert_eq!(found, error);
    }
}
