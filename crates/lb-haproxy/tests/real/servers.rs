//! Real servers that come and go: without a reload where HAProxy makes exactly what the file says, and without a lost
//! connection in any case.

use crate::harness::{Connection, Live, Server, eventually, free_port, get, installed, servers, shop};
use lb_haproxy::Proxy as _;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

const RELOAD: &str = "layer 7: reload HAProxy: open connections stay with the old process";

fn added(label: &str) -> String {
    format!("layer 7: add {label} in Shop: no connection notices")
}

fn removed(label: &str) -> String {
    format!("layer 7: remove {label} in Shop, which has no connections")
}

/// The real servers of `labels`, Web1 the first of `servers` and so on.
fn real_servers(servers: &[Server], labels: &[usize]) -> Value {
    let server = |n: &usize| json!({"label": format!("Web{n}"), "address": "127.0.0.1", "port": servers[n - 1].port});
    labels.iter().map(server).collect()
}

const SERVERS: &str = "/virtual_servers/0/real_servers";

fn who(port: u16, requests: usize) -> BTreeSet<String> {
    (0..requests).map(|_| get(port, "/", "").by().to_owned()).collect()
}

fn names(labels: &[usize]) -> BTreeSet<String> {
    labels.iter().map(|n| format!("Web{n}")).collect()
}

/// In every mode and balance that can, with every word that a server may have; and what runs is what a start from the
/// file gives.
#[test]
fn servers_come_and_go_without_a_reload() {
    if !installed() {
        return;
    }
    let every = json!({"method": "http", "request": "/", "interval": 1, "timeout": 1, "fall": 2, "rise": 2});
    for more in [
        json!({}),
        json!({"balance": "leastconn", "check": every, "slow_start": 1}),
        json!({"balance": "random", "mode": "tcp", "check": {"method": "on"}}),
        json!({"persistence": {"type": "source"}, "limits": {"requests_per_10s": 100_000}}),
        json!({"persistence": {"type": "application-cookie", "name": "SID"}, "keep_alive": "close"}),
    ] {
        let (port, servers) = (free_port(), servers(3));
        let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers[..1], more.clone())]}));
        let worker = live.worker();
        live.edit(SERVERS, real_servers(&servers, &[1, 2]));
        assert_eq!(live.apply(), [added("Web2")], "{more}");
        let sticky = more["persistence"]["type"] == "source";
        if !sticky {
            eventually("both serve", || (who(port, 20) == names(&[1, 2])).then_some(()));
        }
        let mut wide = real_servers(&servers, &[2, 3]);
        wide[1]["max_connections"] = json!(9);
        wide[1]["min_connections"] = json!(3);
        wide[1]["weight"] = json!(200);
        live.edit(SERVERS, wide);
        eventually("no connection is left", || live.observed().busy.is_empty().then_some(()));
        assert_eq!(live.apply(), [removed("Web1"), added("Web3")], "{more}");
        if !sticky {
            eventually("both serve", || (who(port, 20) == names(&[2, 3])).then_some(()));
        }
        live.edit(&format!("{SERVERS}/1/state"), json!("offline"));
        live.apply();
        assert_eq!(who(port, 5), names(&[2]));
        assert_eq!(live.worker(), worker);
        // The same from the file alone, and over a reload.
        let before = live.haproxy.observe().unwrap();
        if !more["persistence"].is_null() {
            // Its peers' port is free again only when its worker has ended as well.
            live.edit("/virtual_servers/0/max_connections", json!(1000));
            assert_eq!(live.apply(), [RELOAD]);
            assert_eq!(live.haproxy.observe().unwrap().servers, before.servers);
            continue;
        }
        live.kill();
        eventually("it is gone", || live.haproxy.observe().unwrap().shape.is_none().then_some(()));
        live.spawn();
        eventually("it is back", || live.haproxy.observe().ok()?.shape);
        live.settled();
        assert_eq!(live.haproxy.observe().unwrap().servers, before.servers);
    }
}

/// Offline or drained from its first moment, and one that does not answer.
#[test]
fn a_server_comes_as_it_was_asked_for() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(3));
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers[..1], json!({}))]}));
    let mut three = real_servers(&servers, &[1, 2, 3]);
    three[1]["state"] = json!("offline");
    three[2]["state"] = json!("drain");
    let nobody = json!({"label": "Nobody", "address": "127.0.0.1", "port": free_port()});
    three.as_array_mut().unwrap().push(nobody);
    live.edit(SERVERS, three);
    assert_eq!(live.apply(), [added("Nobody"), added("Web2"), added("Web3")]);
    eventually("the one that does not answer is found out", || {
        let statistics = live.haproxy.statistics().unwrap();
        let nobody = statistics.servers.iter().find(|(key, _)| key.real_server.as_str() == "Nobody")?.1.fit;
        (nobody == Some(false)).then_some(())
    });
    assert_eq!(who(port, 8), names(&[1]));
    live.edit(&format!("{SERVERS}/1/state"), json!("online"));
    live.edit(&format!("{SERVERS}/2/state"), json!("online"));
    live.apply();
    eventually("they serve", || (who(port, 12) == names(&[1, 2, 3])).then_some(()));
    // Fitness goes over a reload as it does for those of the file.
    live.edit("/virtual_servers/0/max_connections", json!(1000));
    assert_eq!(live.apply(), [RELOAD]);
    assert_eq!(who(port, 12), names(&[1, 2, 3]));
}

/// Whoever is connected to a server that goes keeps it: the plan says "reload" then.
#[test]
fn a_server_with_connections_goes_by_a_reload() {
    if !installed() {
        return;
    }
    for mode in ["http", "tcp"] {
        let (port, servers) = (free_port(), servers(2));
        let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, json!({"mode": mode}))]}));
        // Asks for more than it sends, so that a server is held in mode http too.
        let mut held = Connection::open(port, Ipv4Addr::LOCALHOST).unwrap();
        held.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\n12");
        eventually("a server has it", || (!live.observed().busy.is_empty()).then_some(()));
        let busy = live.observed().busy.pop_first().unwrap().real_server;
        let other = if busy.as_str() == "Web1" { 2 } else { 1 };
        live.edit(SERVERS, real_servers(&servers, &[other]));
        assert_eq!(live.apply(), [RELOAD], "{mode}");
        assert_eq!(who(port, 4), names(&[other]));
        held.send("345");
        assert_eq!(held.answer().expect("an answer").by(), busy.as_str(), "{mode}");
    }
}

/// Should connections come between the look and the removal, a reload does it.
#[test]
fn a_removal_that_comes_too_late_is_a_reload() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(2));
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, json!({"mode": "tcp"}))]}));
    let worker = live.worker();
    live.edit(SERVERS, real_servers(&servers, &[2]));
    let actions = lb_haproxy::plan(Some(&live.wanted()), &live.haproxy.observe().unwrap());
    let mut all: Vec<Connection> = (0..2).map(|_| Connection::open(port, Ipv4Addr::LOCALHOST).unwrap()).collect();
    assert!(all.iter_mut().all(|connection| connection.get("/", "").is_some()));
    for action in &actions {
        live.haproxy.execute(action).unwrap();
    }
    live.settled();
    assert_ne!(live.worker(), worker);
    assert!(all.iter_mut().all(|connection| connection.get("/", "").is_some()), "no connection is dropped");
    assert_eq!(who(port, 4), names(&[2]));
}

/// Under load: no request is lost, and the worker lives.
#[test]
fn a_hundred_changes_of_servers_lose_nothing() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(4));
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers[..2], json!({}))]}));
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (stop, done) = (stop.clone(), done.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let mut connection = Connection::open(port, Ipv4Addr::LOCALHOST).unwrap();
                    for _ in 0..20 {
                        let Some(answer) = connection.get("/", "") else { break };
                        assert_eq!(answer.status, 200);
                        done.fetch_add(1, Ordering::SeqCst);
                        if answer.header("Connection").is_some_and(|it| it.eq_ignore_ascii_case("close")) {
                            break;
                        }
                    }
                }
            })
        })
        .collect();
    let (mut runtime, mut reloads) = (0, 0);
    for i in 0..100 {
        let labels = [&[1, 2][..], &[1, 2, 3], &[1, 2, 3, 4], &[2, 3, 4], &[1, 3]][i % 5];
        live.edit(SERVERS, real_servers(&servers, labels));
        let said = live.apply();
        reloads += usize::from(said.iter().any(|line| line == RELOAD));
        runtime += usize::from(said.iter().all(|line| line != RELOAD));
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(runtime + reloads, 100);
    assert!(runtime >= 40, "servers always come without a reload: {runtime}");
    println!("{runtime} at run time, {reloads} by a reload, among {} requests", done.load(Ordering::SeqCst));
}
