//! What HAProxy remembers of clients is seen, searched, removed and cleared.

use crate::harness::{Live, eventually, free_port, get, get_from, installed, servers, shop};
use lb_haproxy::{Forgotten, Memory as _, Table};
use serde_json::json;
use std::{collections::BTreeMap, net::Ipv4Addr, ops::ControlFlow};

fn tables(live: &Live) -> Vec<Table> {
    lb_haproxy::tables(&live.config())
}

/// Keys with their servers.
fn entries(live: &Live, table: &Table, key: Option<&str>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let end = live.haproxy.entries(table, key, &mut |entry| {
        assert!((1700..=1800).contains(&entry.expires), "{entry:?}");
        found.insert(entry.key.clone().into_owned(), table.server(&entry).expect("a server").real_server.to_string());
        ControlFlow::Continue(())
    });
    assert_eq!(end.unwrap(), ControlFlow::Continue(()));
    found
}

fn address(net: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, net, host)
}

#[test]
fn sources_are_seen_removed_and_cleared_and_connections_stay() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(3));
    let source = json!({"persistence": {"type": "source", "granularity": 24, "size": 1000}});
    let live = Live::start(json!({"virtual_servers": [shop(port, &servers, source)]}));
    let table = &tables(&live)[0];
    assert_eq!(live.haproxy.used().unwrap()["Shop"], 0);
    let homes: BTreeMap<String, String> = (1..=12)
        .map(|net| (address(net, 0).to_string(), get_from(address(net, 7), port, "/", "").by().to_owned()))
        .collect();
    assert_eq!(entries(&live, table, None), homes);
    assert_eq!(live.haproxy.used().unwrap()["Shop"], 12);
    let keys = table.keys("127.0.5.99");
    assert_eq!(entries(&live, table, Some(&keys[0])).into_keys().collect::<Vec<_>>(), ["127.0.5.0"]);
    assert_eq!(entries(&live, table, Some("127.0.77.0")), BTreeMap::new());
    let mut seen = 0;
    let stop = &mut |_: lb_haproxy::Entry<'_>| {
        seen += 1;
        ControlFlow::Break(())
    };
    assert_eq!(live.haproxy.entries(table, None, stop).unwrap(), ControlFlow::Break(()));
    assert_eq!(seen, 1);

    let mut held = crate::harness::Connection::open(port, address(9, 1)).unwrap();
    held.get("/", "").unwrap();
    assert_eq!(live.haproxy.forget(table, "127.0.5.0").unwrap(), Forgotten::Gone);
    assert_eq!(live.haproxy.forget(table, "127.0.5.0").unwrap(), Forgotten::Unknown);
    assert_eq!(live.haproxy.forget(table, "x;shutdown sessions server Shop/Web1").unwrap(), Forgotten::Unknown);
    assert_eq!(entries(&live, table, None).len(), 11);
    live.haproxy.clear(table).unwrap();
    assert_eq!(entries(&live, table, None), BTreeMap::new());
    assert!(held.get("/", "").is_some(), "whoever is connected stays so");
}

#[test]
fn a_session_of_the_application_is_found_by_its_cookie_and_removed() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(2));
    let cookie = json!({"persistence": {"type": "application-cookie", "name": "SESSION", "source": {}}});
    let live = Live::start(json!({"virtual_servers": [shop(port, &servers, cookie)]}));
    let [sessions, sources] = &tables(&live)[..] else { panic!("two tables") };
    for server in &servers {
        *server.answer.lock().unwrap() = "200 OK\r\nSet-Cookie: SESSION=abc; Path=/\r\n".to_owned();
    }
    let home = get(port, "/", "").by().to_owned();
    let key = &sessions.keys("abc")[1];
    assert_eq!(entries(&live, sessions, Some(key)), BTreeMap::from([(key.clone(), home.clone())]));
    assert_eq!(entries(&live, sources, None), BTreeMap::from([("127.0.0.1".to_owned(), home)]));
    assert_eq!(live.haproxy.forget(sessions, key).unwrap(), Forgotten::Gone);
    assert_eq!((entries(&live, sessions, None).len(), entries(&live, sources, None).len()), (0, 1));
}

/// The name is what a stranger sends, and is put into commands.
#[test]
fn a_nasty_name_in_an_rdp_cookie_is_no_command() {
    if !installed() {
        return;
    }
    use std::io::Write as _;
    let (port, servers) = (free_port(), servers(1));
    let rdp = json!({"mode": "tcp", "persistence": {"type": "rdp-cookie"}});
    let live = Live::start(json!({"virtual_servers": [shop(port, &servers, rdp)]}));
    let table = &tables(&live)[0];
    let names = [r"DOMAIN\user", "a;clear table Shop", "server_key=Web9", r"\x41"];
    for name in names {
        let cookie = format!("Cookie: mstshash={name}\r\n");
        // A connection request as in MS-RDPBCGR 2.2.1.1: TPKT, X.224, and the cookie.
        let length = u8::try_from(11 + cookie.len()).unwrap();
        let mut request = vec![3, 0, 0, length, length - 5, 0xe0, 0, 0, 0, 0, 0];
        request.extend_from_slice(cookie.as_bytes());
        let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.write_all(&request).unwrap();
        eventually("the name is remembered", || entries(&live, table, None).contains_key(name).then_some(()));
    }
    assert_eq!(live.haproxy.forget(table, names[1]).unwrap(), Forgotten::Unknown, "it is not named to HAProxy");
    assert_eq!(entries(&live, table, None).len(), 4);
    for name in [names[0], names[2]] {
        assert_eq!(live.haproxy.forget(table, name).unwrap(), Forgotten::Gone, "{name}");
    }
    assert_eq!(entries(&live, table, None).len(), 2);
    live.haproxy.clear(table).unwrap();
    assert_eq!(entries(&live, table, None).len(), 0);
}
