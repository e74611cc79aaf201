//! Changes while it runs: what needs no reload, what a reload does, what a refusal and a restart do.

use crate::harness::{Client, Connection, Live, eventually, free_port, get, installed, servers, shop};
use lb_haproxy::{Action, Proxy as _, ProxyError};
use serde_json::json;
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

fn shares(port: u16, requests: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        *shares.entry(get(port, "/", "").by().to_owned()).or_default() += 1;
    }
    shares
}

fn map(shares: &[(&str, usize)]) -> BTreeMap<String, usize> {
    shares.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect()
}

#[test]
fn weights_and_states_need_no_reload() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(2));
    let cookie = json!({"persistence": {"type": "cookie"}});
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, cookie)]}));
    let worker = live.worker();
    assert_eq!(shares(port, 40), map(&[("Web1", 20), ("Web2", 20)]));
    let web1 = "/virtual_servers/0/real_servers/0";
    live.edit(&format!("{web1}/weight"), json!(3));
    assert_eq!(live.apply(), ["layer 7: set weight of Web1 in Shop to 3"]);
    assert_eq!(shares(port, 40), map(&[("Web1", 30), ("Web2", 10)]));

    let mut old = Client::default();
    while old.get(port).by() != "Web1" {
        old = Client::default();
    }
    live.edit(&format!("{web1}/state"), json!("drain"));
    assert_eq!(live.apply(), ["layer 7: set Web1 in Shop to DRAIN"]);
    assert_eq!(shares(port, 10), map(&[("Web2", 10)]), "no new clients");
    assert_eq!(old.get(port).by(), "Web1", "those connected stay");

    live.edit(&format!("{web1}/state"), json!("offline"));
    live.apply();
    assert_eq!(old.get(port).by(), "Web2");
    live.edit(&format!("{web1}/state"), json!("online"));
    assert_eq!(live.apply(), ["layer 7: set Web1 in Shop to ONLINE"]);
    eventually("Web1 is back", || shares(port, 4).contains_key("Web1").then_some(()));
    assert_eq!(shares(port, 40), map(&[("Web1", 30), ("Web2", 10)]));

    // Somebody at the socket.
    live.ask("set server Shop/Web2 state maint");
    live.ask("set server Shop/Web1 weight 77");
    let mut repaired = live.apply();
    repaired.sort();
    assert_eq!(repaired, ["layer 7: set Web2 in Shop to ONLINE", "layer 7: set weight of Web1 in Shop to 3"]);
    assert_eq!(live.worker(), worker);
}

/// Every balance takes weights at run time, or a change of one would be refused for ever.
#[test]
fn every_balance_takes_weights() {
    if !installed() {
        return;
    }
    let servers = servers(2);
    let names = ["roundrobin", "leastconn", "source", "first", "random"];
    let shops: Vec<_> = names
        .iter()
        .map(|name| shop(free_port(), &servers, json!({"label": format!("Shop-{name}"), "balance": name})))
        .collect();
    let mut live = Live::start(json!({"virtual_servers": shops}));
    for (weight, state) in
        [(7, "online"), (0, "online"), (256, "online"), (256, "drain"), (1, "offline"), (2, "online")]
    {
        for i in 0..names.len() {
            live.edit(&format!("/virtual_servers/{i}/real_servers/0/weight"), json!(weight));
            live.edit(&format!("/virtual_servers/{i}/real_servers/0/state"), json!(state));
        }
        live.apply();
    }
}

#[test]
fn out_at_once_closes_connections() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(1));
    let tcp = json!({"mode": "tcp"});
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, tcp)]}));
    let mut before = Connection::open(port, Ipv4Addr::LOCALHOST).unwrap();
    assert!(before.get("/", "").is_some());
    live.edit("/virtual_servers/0/max_connections", json!(1000));
    live.apply();
    let mut after = Connection::open(port, Ipv4Addr::LOCALHOST).unwrap();
    assert!(after.get("/", "").is_some());
    assert!(before.get("/", "").is_some(), "served by the old process");
    assert_eq!(live.haproxy.observe().unwrap().old_connections, 1);
    live.edit("/virtual_servers/0/real_servers/0/state", json!("offline"));
    live.apply();
    assert!(after.get("/", "").is_none());
    assert!(before.get("/", "").is_none(), "by the old process too");
    eventually("the old process is gone", || (live.haproxy.observe().unwrap().old_connections == 0).then_some(()));
}

#[test]
fn a_reload_keeps_connections_and_loses_no_request() {
    const RELOADS: u32 = 10;
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(2));
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, json!({}))]}));
    let mut held = Connection::open(port, Ipv4Addr::LOCALHOST).unwrap();
    assert!(held.get("/", "").is_some());
    let (done, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (done, stop) = (done.clone(), stop.clone());
            thread::spawn(move || {
                let mut connection = None;
                while !stop.load(Ordering::SeqCst) {
                    // Half of them keep their connection as long as HAProxy does.
                    let mut stays =
                        connection.take().unwrap_or_else(|| Connection::open(port, Ipv4Addr::LOCALHOST).unwrap());
                    let close = if client % 2 == 0 { "" } else { "Connection: close\r\n" };
                    let answer = stays.get("/", close).expect("an answer");
                    assert_eq!(answer.status, 200);
                    if !answer.header("Connection").is_some_and(|it| it.eq_ignore_ascii_case("close"))
                        && close.is_empty()
                    {
                        connection = Some(stays);
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let worker = live.worker();
    for reload in 0..RELOADS {
        let before = done.load(Ordering::SeqCst);
        live.edit("/virtual_servers/0/max_connections", json!(1000 + reload));
        assert_eq!(live.apply().len(), 1);
        // Each of the four is asking again, and some were served while it was reloaded.
        eventually("requests meanwhile", || (done.load(Ordering::SeqCst) > before + 4).then_some(()));
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().expect("no request has failed");
    }
    assert_ne!(live.worker(), worker);
    assert!(held.get("/", "").is_some(), "the connection of before is served");
    println!("{RELOADS} reloads among {} requests", done.load(Ordering::SeqCst));
}

#[test]
fn what_haproxy_refuses_never_replaces_what_is_good() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(1));
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, json!({}))]}));
    let good = live.wanted();
    live.edit(
        "/virtual_servers/0/manual",
        json!("acl here src 10.0.0.0/8\nretries 2\nbogus words\nstick on nonsense\n"),
    );
    let bad = live.wanted();
    let problems = live.haproxy.check(&bad).unwrap();
    let all: Vec<_> = problems.iter().map(|p| (p.path.as_str(), p.value.as_str())).collect();
    let manual = "/layer7/virtual_servers/0/manual";
    assert_eq!(all, [(manual, "bogus words"), (manual, "stick on nonsense")], "{problems:?}");
    assert_eq!(live.haproxy.observe().unwrap().text.as_deref(), Some(good.text.as_str()));

    // And if it came that far in spite of the check.
    let worker = live.worker();
    live.haproxy.execute(&Action::Write { text: bad.text.clone() }).unwrap();
    let refused = live.haproxy.execute(&Action::Reload);
    assert!(matches!(&refused, Err(ProxyError::Reload(why)) if why.contains("bogus")), "{refused:?}");
    assert_eq!(get(port, "/", "").by(), "Web1");
    assert_eq!(live.worker(), worker);
    let observed = live.haproxy.observe().unwrap();
    assert_eq!(observed.shape.as_ref(), Some(&good.shape), "it goes on with the old one");
    assert_eq!(observed.text.as_ref(), Some(&good.text), "and would start with it");
    live.edit("/virtual_servers/0/manual", json!(null));
    assert_eq!(live.apply(), [""; 0], "what runs is what is wanted again");
    live.edit("/virtual_servers/0/manual", json!("retries 2"));
    assert_eq!(live.apply().len(), 1, "and it still reloads");
}

#[test]
fn a_restart_comes_back_with_weights_and_states() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(3));
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, json!({}))]}));
    live.edit("/virtual_servers/0/real_servers/0/weight", json!(3));
    live.edit("/virtual_servers/0/real_servers/1/state", json!("drain"));
    live.edit("/virtual_servers/0/real_servers/2/state", json!("offline"));
    assert_eq!(live.apply().len(), 3);
    live.kill();
    eventually("it is gone", || live.haproxy.observe().unwrap().shape.is_none().then_some(()));
    live.spawn();
    eventually("it is back", || live.haproxy.observe().ok()?.shape);
    live.settled();
    assert_eq!(shares(port, 8), map(&[("Web1", 8)]));
    // Another lbd, which has only what is written down.
    live.haproxy = lb_haproxy::Haproxy::new(live.paths.clone());
    live.settled();
}

#[test]
fn the_end() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(1));
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, json!({}))]}));
    assert_eq!(get(port, "/", "").status, 200);
    live.haproxy.execute(&Action::Stop).unwrap();
    live.ended();
    let nothing = live.haproxy.observe().unwrap();
    assert_eq!(nothing, lb_haproxy::Observed::default());
    assert_eq!(live.haproxy.statistics().unwrap(), lb_haproxy::Statistics::default());
    live.haproxy.execute(&Action::Stop).unwrap();
    assert!(Connection::open(port, Ipv4Addr::LOCALHOST).is_err());
}

/// Whoever is connected ends his requests, though the last virtual server has gone; and a new first one need not wait
/// for that.
#[test]
fn the_end_waits_for_those_connected_and_a_new_beginning_does_not() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(1));
    let tcp = json!({"mode": "tcp", "persistence": {"type": "source"}});
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, tcp)]}));
    let mut held = Connection::open(port, Ipv4Addr::LOCALHOST).unwrap();
    assert_eq!(held.get("/", "").unwrap().by(), "Web1");
    live.haproxy.execute(&Action::Stop).unwrap();
    let ending = live.haproxy.observe().unwrap();
    assert_eq!((ending.shape.as_ref(), ending.text.as_ref(), ending.old_connections), (None, None, 1));
    assert_eq!(lb_haproxy::plan(None, &ending), [], "it need not be told twice");
    live.haproxy.execute(&Action::Stop).unwrap();
    assert!(Connection::open(port, Ipv4Addr::LOCALHOST).is_err(), "no new clients");
    assert_eq!(held.get("/", "").unwrap().by(), "Web1");

    // The same place, at once.
    assert_eq!(live.apply(), ["layer 7: reload HAProxy: open connections stay with the old process"]);
    assert_eq!(get(port, "/", "").by(), "Web1");
    assert_eq!(held.get("/", "").unwrap().by(), "Web1");
    assert_eq!(live.haproxy.observe().unwrap().old_connections, 1);
    drop(held);
    eventually("the old process has ended", || (live.haproxy.observe().unwrap().old_connections == 0).then_some(()));

    // Without anybody connected it is over soon.
    live.haproxy.execute(&Action::Stop).unwrap();
    live.ended();
}

/// HAProxy would go on asking the port that its file of states says.
#[test]
fn a_check_asks_another_port_after_a_reload() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(1));
    let check = json!({"check": {"interval": 1, "timeout": 1, "port": free_port()}});
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, check)]}));
    eventually("it is unfit", || (get(port, "/", "").status == 503).then_some(()));
    live.edit("/virtual_servers/0/check/port", json!(servers[0].port));
    assert!(live.apply().iter().any(|action| action.contains("reload")));
    eventually("it is fit", || (get(port, "/", "").status == 200).then_some(()));
}
