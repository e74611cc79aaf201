//! What content rules compare with, changed while HAProxy runs.

use crate::{
    harness::{Connection, Live, eventually, free_port, get, get_from, installed, servers, shop},
    traffic::{nasty, percent},
};
use lb_haproxy::Proxy as _;
use serde_json::{Value, json};
use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

fn refuse(test: Value) -> Value {
    json!({"test": test, "then": {"do": "refuse"}})
}

fn gives(rule: usize, values: &str) -> String {
    format!("layer 7: give rule {rule} of Shop its {values}: no connection notices")
}

fn edit(live: &mut Live, rule: usize, values: &[String]) {
    live.edit(&format!("/virtual_servers/0/rules/{}/test/values", rule - 1), json!(values));
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// Whoever starts anew, of whatever there is to start, finds the same.
fn outlives_everything(live: &mut Live, as_it_should_be: &dyn Fn()) {
    as_it_should_be();
    live.haproxy = lb_haproxy::Haproxy::new(live.paths.clone());
    live.settled();
    live.kill();
    eventually("it is gone", || live.haproxy.observe().unwrap().shape.is_none().then_some(()));
    live.spawn();
    eventually("it is back", || live.haproxy.observe().ok()?.shape);
    live.settled();
    eventually("it serves", || Connection::open(get_port(live), Ipv4Addr::LOCALHOST).ok());
    as_it_should_be();
    let most = live.config().layer7.virtual_servers[0].max_connections;
    live.edit("/virtual_servers/0/max_connections", json!(most + 1000));
    assert_eq!(live.apply().len(), 1, "a reload");
    as_it_should_be();
}

fn get_port(live: &Live) -> u16 {
    live.config().layer7.virtual_servers[0].ports.ranges()[0].first
}

#[test]
fn values_of_every_test_change_without_a_reload() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(1));
    let mut inside = refuse(json!({"on": "source", "values": ["127.0.0.0/24"]}));
    inside["not"] = json!(true);
    let rules = [
        refuse(json!({"on": "path-begins", "values": ["/a"]})),
        refuse(json!({"on": "path-ends", "values": [".php"]})),
        refuse(json!({"on": "header", "name": "X-Kind", "values": ["one"]})),
        refuse(json!({"on": "query", "name": "q", "values": ["1"]})),
        inside,
        refuse(json!({"on": "host", "values": ["Other.example"]})),
    ];
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, json!({"rules": rules}))]}));
    let worker = live.worker();
    let near = |path: &str, headers: &str| get(port, path, headers).status;
    let far = || get_from(Ipv4Addr::new(127, 0, 2, 1), port, "/", "").status;
    let seen = || {
        [
            near("/a", ""),
            near("/%61", ""),
            near("/b/c", ""),
            near("/x.php", ""),
            near("/x.pl", ""),
            near("/", "X-Kind: one\r\n"),
            near("/", "X-Kind: two words\r\n"),
            near("/?q=1", ""),
            near("/?q=2%3b3", ""),
            far(),
            near("/", ""),
        ]
    };
    assert_eq!(seen(), [403, 403, 200, 403, 200, 403, 200, 403, 200, 403, 200]);
    edit(&mut live, 1, &texts(&["/b"]));
    edit(&mut live, 2, &texts(&[".cgi", ".pl"]));
    edit(&mut live, 3, &texts(&["two words"]));
    edit(&mut live, 4, &texts(&["2;3"]));
    edit(&mut live, 5, &texts(&["127.0.0.0/16", "fd00::/8"]));
    let done = [(1, "1 value"), (2, "2 values"), (3, "1 value"), (4, "1 value"), (5, "2 values")];
    assert_eq!(live.apply(), done.map(|(rule, values)| gives(rule, values)));
    assert_eq!(live.worker(), worker, "no reload in place of it");
    let after = [200, 200, 403, 200, 403, 200, 403, 200, 403, 200, 200];
    outlives_everything(&mut live, &|| assert_eq!(seen(), after));
    edit(&mut live, 6, &texts(&["a.example", "SHOP.example"]));
    assert_eq!(live.apply(), [gives(6, "2 values")]);
    assert_eq!(near("/", ""), 403, "hosts have no case");

    // Order and repetition mean nothing, and somebody at the socket is put right.
    edit(&mut live, 6, &texts(&["SHOP.example", "a.example", "a.example"]));
    assert_eq!(live.apply(), [""; 0]);
    live.ask("add acl #1000000 /c");
    live.ask("clear acl #1000010");
    assert_eq!([near("/c", ""), near("/", "")], [403, 200]);
    assert_eq!(live.apply(), [gives(1, "1 value"), gives(6, "3 values")]);
    edit(&mut live, 6, &texts(&["a.example"]));
    live.apply();
    assert_eq!([near("/c", ""), near("/", "")], [200, 200]);

    // Another test is a reload.
    let rules = json!([refuse(json!({"on": "path-ends", "values": ["/b"]}))]);
    live.edit("/virtual_servers/0/rules", rules);
    assert_eq!(live.apply(), ["layer 7: reload HAProxy: open connections stay with the old process"]);
    assert_eq!([near("/b", ""), near("/b/c", "")], [403, 200]);
}

/// Up to a hundred, which take two lines of the text, whatever is in them.
#[test]
fn as_many_values_as_there_may_be_mean_themselves() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(1));
    let rules = [
        refuse(json!({"on": "path-begins", "values": ["/first"]})),
        refuse(json!({"on": "header", "name": "X-Kind", "values": ["none"]})),
    ];
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, json!({"rules": rules}))]}));
    let worker = live.worker();
    let status = |path: &str| get(port, &format!("/{}", percent(path)), "").status;
    let all: Vec<String> =
        nasty().into_iter().chain(["/<<".into(), "/ ".into()]).map(|text| format!("/{text}")).collect();
    let holds = |inside: &[String]| {
        for text in &all {
            let wanted = if inside.iter().any(|begin| text.starts_with(begin)) { 403 } else { 200 };
            assert_eq!(status(&text[1..]), wanted, "{text}");
        }
    };
    let many = &all[all.len() - 100..];
    edit(&mut live, 1, many);
    assert_eq!(live.apply(), [gives(1, "100 values")]);
    assert_eq!(live.worker(), worker);
    outlives_everything(&mut live, &|| holds(many));
    // Now on two lines.
    for values in [&all[..60], &all[..1], &all[..51], many] {
        edit(&mut live, 1, values);
        let count = if values.len() == 1 { "1 value".to_owned() } else { format!("{} values", values.len()) };
        assert_eq!(live.apply(), [gives(1, &count)]);
        holds(values);
    }

    let long: Vec<String> = (0..100).map(|n| format!("{n:03}{}", ";\\ \"".repeat(249)) + "x").collect();
    edit(&mut live, 2, &long);
    assert_eq!(live.apply(), [gives(2, "100 values")]);
    for value in &long {
        assert_eq!(get(port, "/", &format!("X-Kind: {value}\r\n")).status, 403);
        assert_eq!(get(port, "/", &format!("X-Kind: {value}y\r\n")).status, 200);
    }
    outlives_everything(&mut live, &|| assert_eq!(get(port, "/", &format!("X-Kind: {}\r\n", long[99])).status, 403));
}

/// No request ever slips through while the values around it change.
#[test]
fn what_stays_counts_at_every_moment() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(1));
    let values = |from: usize, count: usize| -> Vec<String> {
        let mut all: Vec<String> = (from..from + count).map(|n| format!("/{n}/")).collect();
        all.insert(from % count, "/kept".into());
        all
    };
    let rules = [refuse(json!({"on": "path-begins", "values": values(0, 99)}))];
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, json!({"rules": rules}))]}));
    let (worker, stop) = (live.worker(), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let stop = stop.clone();
            thread::spawn(move || {
                let mut connection = Connection::open(port, Ipv4Addr::LOCALHOST).unwrap();
                let mut asked = 0;
                while !stop.load(Ordering::SeqCst) {
                    assert_eq!(connection.get("/kept/x", "").expect("an answer").status, 403);
                    assert_eq!(connection.get("/free", "").expect("an answer").status, 200);
                    asked += 2;
                }
                asked
            })
        })
        .collect();
    for n in 0..40 {
        edit(&mut live, 1, &values(n * 7, [1, 60, 99, 30][n % 4]));
        assert_eq!(live.apply().len(), 1);
    }
    stop.store(true, Ordering::SeqCst);
    let asked: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(asked > 100, "{asked}");
    assert_eq!(live.worker(), worker);
    println!("{asked} requests among 40 changes");
}
