//! Clients stay on their servers.

use crate::harness::{Client, Live, eventually, free_port, get, get_from, installed, servers, shop};
use serde_json::json;
use std::{collections::BTreeSet, net::Ipv4Addr};

const STATE: &str = "/virtual_servers/0/real_servers/0/state";

#[test]
fn an_inserted_cookie_keeps_50_clients_and_a_lost_server_moves_only_its_own() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(3));
    let cookie = json!({"persistence": {"type": "cookie", "idle": 3600, "life": 7200}});
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, cookie)]}));
    let mut clients: Vec<Client> = std::iter::repeat_with(Client::default).take(50).collect();
    let homes: Vec<String> = clients.iter_mut().map(|client| client.get(port).by().to_owned()).collect();
    assert_eq!(homes.iter().collect::<BTreeSet<_>>().len(), 3);
    assert!(clients[0].cookie("SERVERID").is_some());
    for _ in 0..19 {
        for (client, home) in clients.iter_mut().zip(&homes) {
            let answer = client.get(port);
            assert_eq!(answer.by(), home);
            assert_eq!(answer.asked("Cookie"), None, "the servers do not see it");
        }
    }
    live.edit(STATE, json!("offline"));
    assert_eq!(live.apply(), ["layer 7: set Web1 in Shop to OFFLINE"]);
    for (client, home) in clients.iter_mut().zip(&homes) {
        let now = client.get(port).by().to_owned();
        assert!(if home == "Web1" { now != "Web1" } else { now == *home }, "from {home} to {now}");
        assert_eq!(client.get(port).by(), now, "and stays there");
    }
}

#[test]
fn a_server_that_dies_moves_only_its_clients() {
    if !installed() {
        return;
    }
    let (port, mut servers) = (free_port(), servers(3));
    let cookie = json!({"persistence": {"type": "cookie"}});
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, cookie)]}));
    let mut clients: Vec<Client> = std::iter::repeat_with(Client::default).take(12).collect();
    let homes: Vec<String> = clients.iter_mut().map(|client| client.get(port).by().to_owned()).collect();
    drop(servers.remove(0));
    let key = live.wanted().servers.keys().next().unwrap().clone();
    let down = eventually("Web1 is down", || {
        let found = lb_haproxy::Proxy::statistics(&mut live.haproxy).unwrap().servers.remove(&key)?;
        (found.fit == Some(false)).then_some(found)
    });
    assert_eq!(down.check.as_deref(), Some("connection refused"));
    for (client, home) in clients.iter_mut().zip(&homes) {
        let now = client.get(port).by().to_owned();
        assert!(if home == "Web1" { now != "Web1" } else { now == *home }, "from {home} to {now}");
    }
    // The new process knows it: no client is sent there until a check has said so again.
    live.edit("/virtual_servers/0/max_connections", json!(1000));
    assert_eq!(live.apply(), ["layer 7: reload HAProxy: open connections stay with the old process"]);
    let states = live.ask("show servers state");
    let web1 = states.lines().find(|line| line.contains(" Web1 ")).unwrap();
    assert_eq!(web1.split(' ').nth(5), Some("0"), "{web1}");
}

#[test]
fn the_applications_own_cookie_keeps_clients_over_a_reload() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(2));
    let cookie = json!({"persistence": {"type": "application-cookie", "name": "SESSION"}});
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, cookie)]}));
    // Each client's session has its own value, longer than any fixed room.
    let value = |i: usize| format!("{}{i}", "x".repeat(200));
    let mut homes = Vec::new();
    for i in 0..20 {
        for server in &servers {
            *server.answer.lock().unwrap() = format!("200 OK\r\nSet-Cookie: SESSION={}; Path=/\r\n", value(i));
        }
        homes.push(get(port, "/", "").by().to_owned());
    }
    assert_eq!(homes.iter().collect::<BTreeSet<_>>().len(), 2);
    for server in &servers {
        *server.answer.lock().unwrap() = "200 OK\r\n".to_owned();
    }
    let stay = || {
        for (i, home) in homes.iter().enumerate() {
            assert_eq!(get(port, "/", &format!("Cookie: a=b; SESSION={}\r\n", value(i))).by(), home);
        }
    };
    stay();
    assert!(!live.ask("show table Shop").contains("xxx"), "no session can be stolen from the table");
    let entries = |live: &Live| live.ask("show table Shop").matches("server_id=").count();
    assert_eq!(entries(&live), 20);
    live.edit("/virtual_servers/0/max_connections", json!(1000));
    assert_eq!(live.apply().len(), 1);
    eventually("the new process was taught", || (entries(&live) == 20).then_some(()));
    stay();
}

#[test]
fn a_source_network_is_one_client() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(3));
    let source = json!({"persistence": {"type": "source", "granularity": 24}});
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, source)]}));
    let ask = |net: u8, host: u8| get_from(Ipv4Addr::new(127, 0, net, host), port, "/", "").by().to_owned();
    let homes: Vec<String> = (1..=12).map(|net| ask(net, 1)).collect();
    assert_eq!(homes.iter().collect::<BTreeSet<_>>().len(), 3);
    for (net, home) in (1..=12).zip(&homes) {
        for host in [2, 77, 254] {
            assert_eq!(ask(net, host), *home);
        }
    }
    live.edit(STATE, json!("offline"));
    live.apply();
    for (net, home) in (1..=12).zip(&homes) {
        let now = ask(net, 9);
        assert!(if home == "Web1" { now != "Web1" } else { now == *home }, "from {home} to {now}");
    }
}

#[test]
fn without_its_cookie_a_client_is_known_by_its_source() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(3));
    let cookie = json!({"persistence": {"type": "cookie", "source": {}}});
    let _live = Live::start(json!({"virtual_servers": [shop(port, &servers, cookie)]}));
    let from = |host: u8, cookie: &str| get_from(Ipv4Addr::new(127, 0, 0, host), port, "/", cookie).by().to_owned();
    for host in 1..20 {
        let home = from(host, "");
        assert_eq!(from(host, ""), home);
        assert_eq!(from(host, "Cookie: SERVERID=Web2\r\n"), "Web2", "the cookie first");
    }
}
