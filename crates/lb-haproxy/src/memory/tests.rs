use super::*;
use serde_json::{Value, json};

fn config(more: Value) -> Config {
    let mut shop = json!({"label": "Shop", "address": "10.0.0.20", "ports": "80"});
    shop.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let document = json!({
        "version": 1, "node": {"hostname": "lb", "interfaces": []}, "layer7": {"virtual_servers": [shop]}
    });
    serde_json::from_value(document).unwrap()
}

fn one(more: Value) -> Table {
    let [table] = &tables(&config(more))[..] else { panic!("one table") };
    table.clone()
}

/// As 2.6.12 answers.
#[test]
fn entries_are_read() {
    let read = |line: &str| entry(line).map(|e| (e.key.into_owned(), e.server.map(str::to_owned), e.expires));
    let of = |key: &str, server: &str, expires| Some((key.to_owned(), Some(server.to_owned()), expires));
    let line = "0x558ce167cba0: key=127.0.0.1 use=0 exp=1799124 server_id=1 server_key=Web1";
    assert_eq!(read(line), of("127.0.0.1", "Web1", 1799));
    let line = r"0x558ce167d430: key=DOM\\user use=0 exp=900 server_id=1 server_key=Web1";
    assert_eq!(read(line), of(r"DOM\user", "Web1", 0));
    let line = r"0x7fe4bc0429a0: key=a\ b\=c;d use=0 exp=1798388 server_id=1 server_key=Web1";
    assert_eq!(read(line), of("a b=c;d", "Web1", 1798));
    let line = r"0x558ce167d540: key=\xC3\xBC use=0 exp=1798408 server_id=1 server_key=Web1";
    assert_eq!(read(line), of(r"\xC3\xBC", "Web1", 1798));
    assert_eq!(read("0x1: key=10.0.0.1 use=1 exp=1000 server_id=0"), Some(("10.0.0.1".into(), None, 1)));
    // A key cannot play the server, whatever it holds.
    let line = r"0x1: key=\ server_key\=Web2 use=0 exp=1000 server_id=1 server_key=Web1";
    assert_eq!(read(line), of(" server_key=Web2", "Web1", 1));
    for other in ["# table: Shop, type: ip, size:1000, used:1", "", "0x1: key=a", "0x1: key=a use=0"] {
        assert_eq!(read(other), None, "{other}");
    }
    assert_eq!(used("# table: source:Shop, type: ip, size:1000, used:12"), Some(("source:Shop".into(), 12)));
    assert_eq!(used("0x1: key=used:1"), None);
}

#[test]
fn a_key_is_never_a_second_command() {
    assert_eq!(key_word(r"DOM\a user").as_deref(), Some(r"DOM\\a\ user"));
    assert_eq!(key_word("::ffff:10.0.0.1").as_deref(), Some("::ffff:10.0.0.1"));
    for key in ["a;shutdown", "a\nshutdown", "a <<", "", "a\"b", "a'b", "a#b", "ü", "a\tb", &"x".repeat(257)] {
        assert_eq!(key_word(key), None, "{key:?}");
    }
}

#[test]
fn each_persistence_has_its_tables() {
    let names = |persistence: Value| {
        let tables = tables(&config(json!({"persistence": persistence})));
        tables.iter().map(|t| format!("{} {:?}", t.name(), t.known)).collect::<Vec<_>>()
    };
    assert_eq!(names(json!({"type": "cookie"})), [""; 0]);
    assert_eq!(names(json!({"type": "cookie", "source": {}})), ["Shop Source"]);
    assert_eq!(names(json!({"type": "source"})), ["Shop Source"]);
    assert_eq!(
        names(json!({"type": "application-cookie", "name": "SID", "source": {}})),
        ["Shop ApplicationCookie", "source:Shop Source"]
    );
    assert_eq!(names(json!({"type": "rdp-cookie"})), ["Shop RdpCookie"]);
    assert_eq!(names(json!({"type": "ssl-session-id"})), ["Shop SslSessionId"]);
    assert_eq!(names(Value::Null), [""; 0]);
}

#[test]
fn a_client_is_looked_for_as_its_table_knows_it() {
    let source = |granularity: Value| json!({"type": "source", "granularity": granularity});
    let v4 = one(json!({"persistence": source(json!(24))}));
    assert_eq!(v4.keys("10.1.2.3"), ["10.1.2.0"]);
    assert_eq!(v4.keys("2001:db8::1"), [""; 0]);
    assert_eq!(v4.keys("nobody"), [""; 0]);
    assert_eq!(one(json!({"persistence": source(Value::Null)})).keys("10.1.2.3"), ["10.1.2.3"]);
    let mapped = one(json!({"persistence": source(json!(16)), "accept_proxy": true}));
    assert_eq!(mapped.keys("10.1.2.3"), ["::ffff:10.1.0.0"]);
    assert_eq!(mapped.keys("2001:db8::1"), ["2001:db8::1"]);
    let v6 = one(json!({"persistence": source(json!(64)), "address": "2001:db8::20"}));
    assert_eq!(v6.keys("2001:db8:0:1:2::3"), ["2001:db8:0:1::"]);
    let cookie = one(json!({"persistence": {"type": "application-cookie", "name": "SID"}}));
    let digest = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
    assert_eq!(cookie.keys("abc"), ["ABC", digest]);
}
