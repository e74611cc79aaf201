//! What is counted and told of requests.

use crate::harness::{Live, eventually, free_port, get, installed, servers, shop};
use lb_haproxy::Proxy as _;
use serde_json::json;
use std::fs;

#[test]
fn answers_are_counted_by_status_for_the_virtual_server_and_its_server() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(1));
    let rule = json!({"rules": [{"test": {"on": "path-begins", "values": ["/no"]}, "then": {"do": "refuse"}}]});
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, rule)]}));
    assert_eq!((get(port, "/", "").status, get(port, "/", "").status, get(port, "/no", "").status), (200, 200, 403));
    "404 Not Found\r\n".clone_into(&mut servers[0].answer.lock().unwrap());
    assert_eq!(get(port, "/nothing", "").status, 403, "a refusal begins with /no");
    assert_eq!(get(port, "/elsewhere", "").status, 404);
    let (vs, rs) = eventually("all is counted", || {
        let seen = live.haproxy.statistics().unwrap();
        let vs = *seen.details.values().next()?;
        let (_, rs) = seen.server_details.first_key_value()?;
        (vs.responses == [0, 2, 0, 3, 0, 0]).then_some((vs, *rs))
    });
    assert_eq!((vs.requests, vs.denied, vs.queue, vs.errors), (5, 2, 0, 0));
    assert_eq!((rs.responses, rs.requests), ([0, 2, 0, 1, 0, 0], 3));
}

#[test]
fn requests_that_fail_are_told_without_what_may_be_secret() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(1));
    let live = Live::start(json!({"virtual_servers": [shop(port, &servers, json!({}))]}));
    assert_eq!(get(port, "/good", "").status, 200);
    "500 Oh\r\n".clone_into(&mut servers[0].answer.lock().unwrap());
    assert_eq!(get(port, "/bad?secret=1", "Cookie: session=2\r\n").status, 500);
    let told = |live: &Live| fs::read_to_string(live.paths.run.join("log")).unwrap();
    let line = eventually("the line", || {
        let told = told(&live);
        told.lines().find(|line| line.contains("/bad")).map(str::to_owned)
    });
    assert!(line.starts_with("access 127.0.0.1:") && line.contains(" vs:Shop Shop/Web1 status 500, "), "{line}");
    assert!(line.ends_with(": GET \"/bad\""), "{line}");
    let told = told(&live);
    assert!(!told.contains("secret") && !told.contains("session") && !told.contains("/good"), "{told}");
}

#[test]
fn every_request_is_told_where_that_is_asked_for() {
    if !installed() {
        return;
    }
    let (port, quiet, servers) = (free_port(), free_port(), servers(1));
    let (logs, tcp) = (json!({"log_requests": true}), json!({"label": "Bytes", "mode": "tcp", "log_requests": true}));
    let (bytes, silent) = (free_port(), json!({"label": "Silent"}));
    let shops = [shop(port, &servers, logs), shop(bytes, &servers, tcp), shop(quiet, &servers, silent)];
    let live = Live::start(json!({"virtual_servers": shops}));
    for port in [quiet, bytes, port] {
        assert_eq!(get(port, "/good?secret=1", "").status, 200);
    }
    let told = eventually("both are told", || {
        let told = fs::read_to_string(live.paths.run.join("log")).unwrap();
        (told.contains(" vs:Shop ") && told.contains(" vs:Bytes ")).then_some(told)
    });
    assert!(told.contains(" vs:Shop Shop/Web1 status 200, ") && told.contains(": GET \"/good\""), "{told}");
    assert!(!told.contains("secret") && !told.contains("vs:Silent"), "{told}");
}
