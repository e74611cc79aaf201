//! A thousand virtual servers with four real servers each: how long things take. For a quiet machine:
//! `cargo test --release -p lb-haproxy --test real many -- --ignored --nocapture`

use crate::harness::{Live, free_port, installed};
use lb_haproxy::{Proxy as _, plan};
use serde_json::{Value, json};
use std::time::Instant;

#[test]
#[ignore = "measures"]
fn a_thousand_virtual_servers() {
    if !installed() {
        return;
    }
    let port = free_port();
    let shops: Vec<Value> = (0..1000)
        .map(|i| {
            let server = |j| json!({"label": format!("Web{j}"), "address": format!("127.3.{}.{j}", i % 250), "port": 80});
            json!({
                "label": format!("Shop{i}"), "address": format!("127.2.{}.{}", i / 250, 1 + i % 250), "ports": port.to_string(),
                "persistence": {"type": "cookie"}, "check": {"interval": 60}, "real_servers": (1..=4).map(server).collect::<Vec<_>>(),
            })
        })
        .collect();
    let mut live = Live::start(json!({"virtual_servers": shops}));
    let start = Instant::now();
    let wanted = live.wanted();
    println!("read and render: {:?}, {} bytes", start.elapsed(), wanted.text.len());
    let start = Instant::now();
    assert_eq!(live.haproxy.check(&wanted).unwrap(), []);
    println!("check: {:?}", start.elapsed());
    let start = Instant::now();
    let observed = live.haproxy.observe().unwrap();
    println!("observe: {:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(plan(Some(&wanted), &observed), []);
    println!("plan of nothing: {:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(live.haproxy.statistics().unwrap().servers.len(), 4000);
    println!("statistics: {:?}", start.elapsed());
    live.edit("/virtual_servers/500/real_servers/2/weight", json!(9));
    let start = Instant::now();
    assert_eq!(live.apply(), ["layer 7: set weight of Web3 in Shop500 to 9"]);
    println!("a weight, with reading, rendering and looking twice: {:?}", start.elapsed());
    live.edit("/virtual_servers/500/max_connections", json!(9));
    let wanted = live.wanted();
    for action in plan(Some(&wanted), &live.haproxy.observe().unwrap()) {
        let start = Instant::now();
        live.haproxy.execute(&action).unwrap();
        println!("{action}: {:?}", start.elapsed());
    }
    live.settled();
}
