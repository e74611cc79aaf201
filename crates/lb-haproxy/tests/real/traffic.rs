//! What HAProxy makes of requests: rules, headers, limits, nasty texts.

use crate::harness::{Connection, Live, eventually, free_port, get, get_from, installed, servers, shop};
use lb_haproxy::Proxy as _;
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// SplitMix64, as in lb-model's samples.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Texts that mean something in HAProxy's language, and printable noise.
pub fn nasty() -> Vec<String> {
    let mut texts: Vec<String> = [
        "'",
        "\"",
        "\\",
        "$",
        "%",
        "#",
        "${HOME}",
        "$HOME",
        "\"${HOME}\"",
        "'\"'\"'",
        "%[src]",
        "%%",
        "%[",
        "%]",
        "%ci",
        "a # b",
        "a  b",
        "a   b    c",
        "\\\"",
        "\\'",
        "\\\\",
        "\\x41",
        "\\n",
        "x\\",
        "{ }",
        "}",
        "if TRUE",
        "-i",
        "--",
        "-f /etc/passwd",
        "a,b",
        "(a)",
        ")",
        "[a]",
        "unless FALSE",
        "%[bin(20)]",
        "%{+Q}o",
        "%{+E}o %ci",
        "\u{7e}",
        "'a'b\"c\"",
        "\"a\" '$b' \\c %d #e",
    ]
    .map(str::to_owned)
    .into();
    let mut seed = 7;
    for _ in 0..120 {
        let length = 1 + draw(&mut seed) % 40;
        let special = b"'\"\\$%#{}[] ()";
        let text = (0..length).map(|_| match draw(&mut seed) % 3 {
            0 => char::from(special[usize::try_from(draw(&mut seed)).unwrap() % special.len()]),
            _ => char::from(u8::try_from(32 + draw(&mut seed) % 95).unwrap()),
        });
        texts.push(text.collect());
    }
    // Spaces at the ends are no part of a header's value (RFC 9110, section 5.5).
    texts.iter_mut().for_each(|text| *text = format!("<{text}>"));
    texts
}

pub fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[test]
fn nasty_texts_mean_themselves() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(1));
    let texts = nasty();
    for texts in texts.chunks(50) {
        let set = |prefix: &str| -> Vec<Value> {
            let rule = |(i, text)| json!({"operation": "set", "name": format!("{prefix}{i}"), "value": text});
            texts.iter().enumerate().map(rule).collect()
        };
        let refuse = |on: &str, text: &String| {
            let mut test = json!({"on": on, "values": ["/never", text]});
            if on == "header" || on == "query" {
                test["name"] = json!("q");
            }
            json!({"test": test, "then": {"do": "refuse"}})
        };
        let path = |text: &String| json!({"test": {"on": "path-begins", "values": [format!("/p/{text}")]}, "then": {"do": "refuse"}});
        let redirect = |(i, text): (usize, &String)| json!({"test": {"on": "path-begins", "values": [format!("/to/{i}/")]}, "then": {"do": "redirect", "to": text}});
        let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, json!({
            "request_headers": set("X-In-"), "response_headers": set("X-Out-"),
            "rules": texts.iter().enumerate().map(redirect).collect::<Vec<_>>(),
        }))]}));
        let answer = get(port, "/", "");
        for (i, text) in texts.iter().enumerate() {
            assert_eq!(answer.asked(&format!("X-In-{i}")), Some(text.as_str()), "to the server");
            assert_eq!(answer.header(&format!("X-Out-{i}")), Some(text.as_str()), "to the client");
            let answer = get(port, &format!("/to/{i}/"), "");
            assert_eq!((answer.status, answer.header("Location")), (302, Some(text.as_str())));
        }
        live.edit("/virtual_servers/0/request_headers", json!([]));
        live.edit("/virtual_servers/0/response_headers", json!([]));
        let rules = texts.iter().flat_map(|text| [refuse("query", text), path(text)]).take(100);
        live.edit("/virtual_servers/0/rules", rules.collect());
        live.apply();
        for text in texts {
            assert_eq!(get(port, &format!("/?q={}", percent(text)), "").status, 403, "{text}");
            assert_eq!(get(port, &format!("/p/{}/x", percent(text)), "").status, 403, "{text}");
        }
        assert_eq!(get(port, "/?q=other", "").status, 200);
    }
}

#[test]
fn a_check_asks_for_nasty_texts() {
    if !installed() {
        return;
    }
    let texts = ["it's \"fine\" $HOME ${HOME} 100% #1 \\n", "<a  b>", "<%[src]>", "<'", "<\""];
    for text in texts {
        let (port, servers) = (free_port(), servers(1));
        let check = json!({"method": "http", "request": "/up?a='b'&c=\"$d\"#%25\\", "virtual_host": "x%[src]y", "response": text,
            "interval": 1, "timeout": 1});
        *servers[0].answer.lock().unwrap() = "207 Well\r\n".to_owned();
        let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, json!({"check": check}))]}));
        let key = live.wanted().servers.keys().next().unwrap().clone();
        let mut found = || live.haproxy.statistics().unwrap().servers.remove(&key).unwrap();
        // The text is not there yet, and the right status alone does not make it fit.
        let unfit = eventually("asked", || Some(found()).filter(|found| found.fit == Some(false)));
        assert_eq!(unfit.fit, Some(false));
        // The head of a request is what the server's body has; a header brings the text in.
        *servers[0].answer.lock().unwrap() = "207 Well\r\n".to_owned();
        servers[0].say(text);
        let fit = eventually("fit", || Some(found()).filter(|found| found.fit == Some(true)));
        assert_eq!(fit.check.as_deref(), Some("status 207"));
        let asked = servers[0].asked();
        assert!(asked.starts_with("GET /up?a='b'&c=\"$d\"#%25\\ HTTP/1.1\r\n"), "{asked}");
        assert!(asked.to_lowercase().contains("host: x%[src]y\r\n"), "{asked}");
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    if !installed() {
        return;
    }
    let (port, other, mut servers) = (free_port(), free_port(), servers(2));
    let images = shop(other, &[servers.remove(1)], json!({"label": "Images"}));
    let rules = json!([
        {"test": {"on": "path-begins", "values": ["/img/", "/pics/"]}, "then": {"do": "use", "virtual_server": "Images"}},
        {"test": {"on": "path-begins", "values": ["/admin"]}, "then": {"do": "refuse"}},
        {"test": {"on": "header", "name": "X-Old", "values": ["1"]}, "then": {"do": "refuse"}},
        {"test": {"on": "path-ends", "values": [".gif"]}, "then": {"do": "use", "virtual_server": "Images"}},
        {"test": {"on": "host", "values": ["OLD.example"]}, "then": {"do": "redirect", "to": "https://new.example/"}},
        {"test": {"on": "source", "values": ["127.0.0.0/24"]}, "not": true, "then": {"do": "refuse"}}
    ]);
    let headers = json!([{"operation": "remove", "name": "X-Old"}]);
    let front = shop(port, &servers, json!({"rules": rules, "request_headers": headers}));
    let images_server = images["real_servers"][0]["port"].clone();
    let _live = Live::start(json!({"virtual_servers": [front, images]}));
    assert!(images_server.is_u64());
    let status = |path: &str, headers: &str| get(port, path, headers).status;
    assert_eq!(get(port, "/x", "").by(), "Web1");
    assert_eq!(status("/admin/x", ""), 403);
    assert_eq!(status("/%61dmin/x", ""), 403, "however it is written");
    assert_eq!(status("/x", "X-Old: 1\r\n"), 403);
    // The first one decides, and 503 is the other group's, whose server is gone.
    assert_eq!(status("/img/x", "X-Old: 1\r\n"), 503);
    assert_eq!(status("/x.gif", ""), 503);
    assert_eq!(get_from(Ipv4Addr::new(127, 0, 1, 1), port, "/x", "").status, 403);
    assert_eq!(get_from(Ipv4Addr::new(127, 0, 1, 1), port, "/pics/x", "").status, 503);
}

#[test]
fn limits() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(1));
    let limits = json!({"limits": {"requests_per_10s": 5, "connections": 3}});
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, limits)]}));
    let from = |host| Ipv4Addr::new(127, 0, 0, host);
    let all: Vec<u16> = (0..7).map(|_| get_from(from(9), port, "/", "").status).collect();
    assert_eq!(all, [200, 200, 200, 200, 200, 429, 429]);
    let page = get_from(from(9), port, "/", "");
    assert!(page.body.contains("Too many requests") && page.header("Retry-After") == Some("10"));
    assert_eq!(get_from(from(10), port, "/", "").status, 200, "another client is not meant");
    let mut held: Vec<_> = (0..3).map(|_| Connection::open(port, from(11)).unwrap()).collect();
    for connection in &mut held {
        assert_eq!(connection.get("/", "").unwrap().status, 200);
    }
    assert_eq!(get_from(from(11), port, "/", "").status, 429, "the fourth at once");
    live.edit("/virtual_servers/0/mode", json!("tcp"));
    live.edit("/virtual_servers/0/limits", json!({"requests_per_10s": 2}));
    live.apply();
    let open = || Connection::open(port, from(12)).unwrap().get("/", "Connection: close\r\n").is_some();
    assert_eq!([open(), open(), open()], [true, true, false]);
}

#[test]
fn the_fallback_serves_when_nobody_else_does_and_no_longer() {
    if !installed() {
        return;
    }
    let (port, mut servers) = (free_port(), servers(2));
    let fallback = servers.remove(1);
    let more = json!({"fallback": {"address": "127.0.0.1", "port": fallback.port}, "persistence": {"type": "source"}});
    let mut live = Live::start(json!({"virtual_servers": [shop(port, &servers, more)]}));
    let label = live.wanted().servers.keys().next().unwrap().virtual_server.clone();
    let serves = |live: &mut Live| live.haproxy.statistics().unwrap().virtual_servers.remove(&label).unwrap();
    assert_eq!(get(port, "/", "").by(), "Web1");
    assert!(!serves(&mut live).fallback);
    live.edit("/virtual_servers/0/real_servers/0/state", json!("offline"));
    live.apply();
    assert_eq!(get(port, "/", "").by(), "Web2");
    assert!(serves(&mut live).fallback);
    live.edit("/virtual_servers/0/real_servers/0/state", json!("online"));
    live.apply();
    eventually("clients go back", || (get(port, "/", "").by() == "Web1").then_some(()));
    let totals = serves(&mut live).totals;
    assert!(totals.sessions >= 3 && totals.bytes_out > 0, "{totals:?}");
}

#[test]
fn a_page_of_its_own_when_nobody_serves() {
    if !installed() {
        return;
    }
    let (port, other, servers) = (free_port(), free_port(), servers(1));
    let page = "<!DOCTYPE html>\n\n\t<h1>Läden \"zu\" 'heute' \\ \\n $HOME ${HOME} %[src] 100% # x</h1>\n";
    let own = json!({"fallback_page": page, "fallback": {"address": "127.0.0.1", "port": 9081}});
    let rule =
        json!({"test": {"on": "path-begins", "values": ["/shop"]}, "then": {"do": "use", "virtual_server": "Shop"}});
    let front = json!({"label": "Front", "rules": [rule]});
    let shops = [shop(port, &servers, own), shop(other, &servers, front)];
    let mut live = Live::start(json!({"virtual_servers": shops}));
    assert_eq!(get(port, "/", "").by(), "Web1");
    for i in 0..2 {
        live.edit(&format!("/virtual_servers/{i}/real_servers/0/state"), json!("offline"));
    }
    live.apply();
    for port in [(port, "/"), (other, "/shop")] {
        let answer = get(port.0, port.1, "");
        assert_eq!((answer.status, answer.body.as_str()), (503, page));
        assert_eq!(answer.header("Content-Type"), Some("text/html; charset=utf-8"));
        assert_eq!(answer.header("Cache-Control"), Some("no-cache"));
    }
    assert!(!get(other, "/", "").body.contains("Läden"), "another virtual server's is HAProxy's own");
    let long = "ü$".repeat(lb_model::layer7::PageText::LONGEST / 3);
    live.edit("/virtual_servers/0/fallback_page", json!(long));
    live.apply();
    assert_eq!(get(port, "/", "").body, long);
    live.edit("/virtual_servers/0/real_servers/0/state", json!("online"));
    live.apply();
    eventually("clients go back", || (get(port, "/", "").by() == "Web1").then_some(()));
}

#[test]
fn to_https() {
    if !installed() {
        return;
    }
    let (port, servers) = (free_port(), servers(1));
    let _live = Live::start(json!({"virtual_servers": [shop(port, &servers, json!({"redirect_https": true}))]}));
    let answer = get(port, "/a/b?c=d%20e&f", "");
    assert_eq!((answer.status, answer.header("Location")), (302, Some("https://shop.example/a/b?c=d%20e&f")));
    assert_eq!(get(port, "/.well-known/acme-challenge/x", "").status, 200);
    assert_eq!(get(port, "/.well-known/acme-challenge/x", "").asked("X-Forwarded-For"), Some("127.0.0.1"));
}
