use super::*;
use proptest::prelude::*;
use std::future::Future;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn a_hello() -> Hello {
    Hello {
        protocol: PROTOCOL,
        version: "0.1.0".into(),
        hostname: "lbmaster".parse().unwrap(),
        unit: NodeId::One,
        history: vec![Id([1; 32]), Id([0xab; 32])],
        web: Some("https://192.168.2.21:9443/".into()),
        active: true,
    }
}

/// The form on the wire: a change of it is a change of [`PROTOCOL`].
#[test]
fn messages_have_their_form() {
    let id = Id([0xab; 32]);
    let version = SharedVersion { number: 7, id };
    let document = RawValue::from_string("{\"schema\": 1}".into()).unwrap();
    let push = Push {
        version,
        ground: None,
        author: "admin".into(),
        comment: String::new(),
        at: 1_700_000_000,
        certificates: Vec::new(),
        document,
    };
    let hex = "ab".repeat(32);
    let check = |message: Message, text: &str| {
        let written = serde_json::to_string(&message).unwrap();
        assert_eq!(written, text.replace("HEX", &hex));
        let again: Message = serde_json::from_str(&written).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), written);
    };
    check(
        Message::Push(push),
        r#"{"push":{"version":{"number":7,"id":"HEX"},"ground":null,"author":"admin","comment":"","at":1700000000,"document":{"schema": 1}}}"#,
    );
    check(Message::Pushed { version }, r#"{"pushed":{"version":{"number":7,"id":"HEX"}}}"#);
    let problem = Problem { path: "/a".into(), value: "1".into(), reason: "no".into(), hint: None };
    check(
        Message::Refused { version, problems: vec![problem] },
        r#"{"refused":{"version":{"number":7,"id":"HEX"},"problems":[{"path":"/a","value":"1","reason":"no"}]}}"#,
    );
    check(
        Message::Stale { version, newest: Some(id) },
        r#"{"stale":{"version":{"number":7,"id":"HEX"},"newest":"HEX"}}"#,
    );
    check(Message::Ask { ground: Some(id) }, r#"{"ask":{"ground":"HEX"}}"#);
    check(
        Message::Alive(Alive { active: false, web: None, newest: None, ready: None, hot: None }),
        r#"{"alive":{"active":false,"newest":null}}"#,
    );
    check(
        Message::Alive(Alive { active: true, web: None, newest: None, ready: Some(1), hot: Some(u64::MAX) }),
        r#"{"alive":{"active":true,"newest":null,"ready":1,"hot":18446744073709551615}}"#,
    );
    let key = [1, u64::MAX];
    check(Message::Table(Table::AskDigest { key }), r#"{"table":{"ask_digest":{"key":[1,18446744073709551615]}}}"#);
    check(
        Message::Table(Table::Digest { key, bytes: Bytes(vec![1, 2, 3, 4]) }),
        r#"{"table":{"digest":{"key":[1,18446744073709551615],"bytes":"AQIDBA=="}}}"#,
    );
    let buckets = Buckets::try_from(vec![0, 4095]).unwrap();
    check(
        Message::Table(Table::AskHeld { key, buckets }),
        r#"{"table":{"ask_held":{"key":[1,18446744073709551615],"buckets":[0,4095]}}}"#,
    );
    check(
        Message::Table(Table::Held { key, bytes: Bytes(vec![0; 8]) }),
        r#"{"table":{"held":{"key":[1,18446744073709551615],"bytes":"AAAAAAAAAAA="}}}"#,
    );
    check(Message::Table(Table::AskRound { key }), r#"{"table":{"ask_round":{"key":[1,18446744073709551615]}}}"#);
    check(Message::Table(Table::Round { key }), r#"{"table":{"round":{"key":[1,18446744073709551615]}}}"#);
    check(Message::Bye { reason: "restart".into() }, r#"{"bye":{"reason":"restart"}}"#);
}

#[test]
fn what_is_said_of_the_table_is_bounded() {
    let digest = |bytes: usize| {
        let message = Table::Digest { key: [0; 2], bytes: Bytes(vec![7; bytes]) };
        serde_json::from_str::<Table>(&serde_json::to_string(&message).unwrap()).is_ok()
    };
    assert!(digest(table::LARGEST_DIGEST) && !digest(table::LARGEST_DIGEST + 1));
    let asks = |buckets: usize| {
        let text = format!("{{\"ask_held\":{{\"key\":[0,0],\"buckets\":{:?}}}}}", vec![7u16; buckets]);
        serde_json::from_str::<Table>(&text).is_ok()
    };
    assert!(asks(table::BUCKETS) && !asks(table::BUCKETS + 1));
    // The largest that is allowed fits into a message.
    let largest = Message::Table(Table::Held { key: [u64::MAX; 2], bytes: Bytes(vec![0xff; table::LARGEST_HELD]) });
    assert!(serde_json::to_vec(&largest).unwrap().len() <= LARGEST);
    for bad in [r#"{"digest":{"key":[0,0],"bytes":"A"}}"#, r#"{"digest":{"key":[0],"bytes":""}}"#, r#"{"round":{}}"#] {
        assert!(serde_json::from_str::<Table>(bad).is_err(), "{bad}");
    }
}

#[test]
fn unknown_fields_are_refused() {
    for text in [
        r#"{"bye":{"reason":"a","more":1}}"#,
        r#"{"alive":{"active":true,"newest":null,"more":1}}"#,
        r#"{"ask":{"ground":null,"x":1}}"#,
        r#"{"hallo":{}}"#,
        r#"{"bye":{"reason":"a"},"ask":{"ground":null}}"#,
    ] {
        assert!(serde_json::from_str::<Message>(text).is_err(), "{text}");
    }
}

#[test]
fn a_hello_of_another_protocol_is_named_whatever_else_is_in_it() {
    let error = hello(br#"{"hello":{"protocol":2,"new":{"things":[]}}}"#).unwrap_err();
    assert!(matches!(error, WireError::Protocol { theirs: 2 }));
    assert!(
        error.to_string().contains("version 2 of the pair's protocol, this unit version 1. hint: install"),
        "{error}"
    );
    for bad in [&b"{}"[..], b"", b"{\"hello\":{}}", b"\xff", br#"{"ask":{"ground":null}}"#] {
        assert!(matches!(hello(bad), Err(WireError::NoHello)));
    }
}

#[test]
fn a_hello_is_bounded() {
    let good = serde_json::to_vec(&Message::Hello(a_hello())).unwrap();
    assert_eq!(hello(&good).unwrap(), a_hello());
    for bad in [
        Hello { history: vec![Id([0; 32]); MOST_TOLD + 1], ..a_hello() },
        Hello { version: "1 <b>".into(), ..a_hello() },
        Hello { web: Some("javascript:alert(1)".into()), ..a_hello() },
        Hello { web: Some("https://a b".into()), ..a_hello() },
    ] {
        let bytes = serde_json::to_vec(&Message::Hello(bad)).unwrap();
        assert!(matches!(hello(&bytes), Err(WireError::Hello)));
    }
    let most = Hello { history: vec![Id([0; 32]); MOST_TOLD], ..a_hello() };
    assert!(serde_json::to_vec(&Message::Hello(most)).unwrap().len() <= LARGEST_HELLO);
}

#[test]
fn a_length_that_is_only_announced_takes_no_memory() {
    // 64 MiB announced, three bytes sent: the error comes from the end, nothing was set aside for the rest.
    let mut short: &[u8] = &[4, 0, 0, 0, 1, 2, 3];
    assert!(matches!(run(read_frame(&mut short, LARGEST)), Err(WireError::Io(_))));
    let mut long: &[u8] = &[4, 0, 0, 1, 1, 2, 3];
    assert!(matches!(run(read_frame(&mut long, LARGEST)), Err(WireError::TooLong(..))));
    let mut none: &[u8] = &[];
    assert!(run(read_frame(&mut none, LARGEST)).unwrap().is_none());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = hello(&bytes);
        let mut stream = &bytes[..];
        while let Ok(Some(_)) = run(read(&mut stream)) {}
    }

    #[test]
    fn frames_come_out_as_they_went_in(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5)) {
        let mut stream = Vec::new();
        for frame in &frames {
            run(write_frame(&mut stream, frame)).unwrap();
        }
        let mut from = &stream[..];
        for frame in &frames {
            prop_assert_eq!(run(read_frame(&mut from, 300)).unwrap().unwrap(), frame.clone());
        }
        prop_assert!(run(read_frame(&mut from, 300)).unwrap().is_none());
    }
}
