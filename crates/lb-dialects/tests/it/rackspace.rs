//! The Rackspace dialect, row by row.

use crate::world::{Answer, Books, NOW, World};
use lb_dialects::{Person, commit::by_hand, rackspace::login};
use lb_model::{
    RequestedState,
    layer7::{Layer7Persistence, ProxyMode},
};
use serde_json::{Value, json};

/// A load balancer of this protocol with two nodes.
fn made(world: &World, protocol: &str, port: u16) -> u64 {
    let body = json!({"loadBalancer": {"name": "web", "protocol": protocol, "port": port,
        "virtualIps": [{"type": "PUBLIC"}],
        "nodes": [{"address": "192.168.2.50", "port": 80, "condition": "ENABLED"},
                  {"address": "192.168.2.51", "port": 80, "condition": "ENABLED"}]}});
    let answer = world.rackspace("POST", "/loadbalancers", &body.to_string()).is(202);
    assert_eq!(answer.body["loadBalancer"]["status"], "BUILD");
    answer.body["loadBalancer"]["id"].as_u64().expect("an id")
}

fn get(world: &World, id: u64) -> Value {
    world.rackspace("GET", &format!("/loadbalancers/{id}"), "").is(200).body["loadBalancer"].clone()
}

fn persistence(world: &World, id: u64) -> Value {
    world.rackspace("GET", &format!("/loadbalancers/{id}/sessionpersistence"), "").is(200).body
}

fn put_persistence(world: &World, id: u64, body: &str) -> Answer {
    world.rackspace("PUT", &format!("/loadbalancers/{id}/sessionpersistence"), body)
}

const COOKIE: &str = r#"{"sessionPersistence":{"persistenceType":"HTTP_COOKIE"}}"#;
const SOURCE: &str = r#"{"sessionPersistence":{"persistenceType":"SOURCE_IP"}}"#;

#[test]
fn session_persistence_is_the_documents() {
    let world = World::new();
    let id = made(&world, "HTTP", 80);
    let path = format!("/loadbalancers/{id}/sessionpersistence");
    assert_eq!(persistence(&world, id), json!({"sessionPersistence": {}}));
    assert!(get(&world, id).get("sessionPersistence").is_none(), "an empty object breaks a client");
    world.rackspace("DELETE", &path, "").is(422).says("Session persistence is already deleted.");
    assert_eq!(put_persistence(&world, id, COOKIE).is(202).text, "");
    put_persistence(&world, id, COOKIE).is(202);
    put_persistence(&world, id, r#"{"persistenceType":"HTTP_COOKIE"}"#).is(202);
    assert_eq!(persistence(&world, id), json!({"sessionPersistence": {"persistenceType": "HTTP_COOKIE"}}));
    let running = world.config.borrow().layer7_virtual_server(&format!("rackspace-{id}")).cloned().expect("it runs");
    assert!(matches!(running.persistence, Some(Layer7Persistence::Cookie(_))));
    put_persistence(&world, id, SOURCE).is(400).says("SOURCE_IP session persistence is only valid with non-HTTP");
    for wrong in [
        r#"{"sessionPersistence":{"persistenceType":"http_cookie"}}"#,
        r#"{"sessionPersistence":{"persistenceType":5}}"#,
        r#"{"sessionPersistence":{"persistenceType":"NONE"}}"#,
    ] {
        put_persistence(&world, id, wrong).is(400).says("Persistence type is invalid");
    }
    for missing in ["{}", r#"{"sessionPersistence":{}}"#, r#"{"sessionPersistence":{"persistenceType":null}}"#] {
        put_persistence(&world, id, missing).is(400).says("Must provide a persistence type.");
    }
    put_persistence(&world, id, "{").is(400).says("\"code\":400");
    assert_eq!(persistence(&world, id)["sessionPersistence"]["persistenceType"], "HTTP_COOKIE", "nothing changed");
    assert_eq!(world.rackspace("DELETE", &path, "").is(202).text, "");
    world.rackspace("DELETE", &path, "").is(422);
    assert_eq!(get(&world, id)["status"], "ACTIVE");
    world.rackspace("GET", "/loadbalancers/999/sessionpersistence", "").is(404).says("Load balancer not found");

    let tcp = made(&world, "TCP", 8000);
    put_persistence(&world, tcp, COOKIE).is(400).says("HTTP_COOKIE Session persistence is only valid with HTTP");
    put_persistence(&world, tcp, SOURCE).is(202);
}

#[test]
fn another_protocol_or_port_disables_persistence() {
    for (protocol, port, mode, change, stays) in [
        ("HTTP", 80, COOKIE, json!({"port": 8080}), false),
        ("HTTP", 80, COOKIE, json!({"protocol": "HTTPS"}), false),
        ("HTTPS", 443, SOURCE, json!({"protocol": "TCP"}), false),
        ("HTTPS", 443, SOURCE, json!({"protocol": "HTTP", "port": 443}), false),
        ("HTTP", 80, COOKIE, json!({"name": "other", "algorithm": "ROUND_ROBIN", "timeout": 60}), true),
        (
            "HTTP",
            80,
            COOKIE,
            json!({"name": "web", "protocol": "HTTP", "port": 80, "timeout": 30, "algorithm": "RANDOM",
                                    "httpsRedirect": "false", "halfClosed": false}),
            true,
        ),
    ] {
        let world = World::new();
        let id = made(&world, protocol, port);
        put_persistence(&world, id, mode).is(202);
        world.rackspace("PUT", &format!("/loadbalancers/{id}"), &json!({"loadBalancer": change}).to_string()).is(202);
        let left = persistence(&world, id)["sessionPersistence"].as_object().is_some_and(|m| !m.is_empty());
        assert_eq!(left, stays, "{change}");
        let path = format!("/loadbalancers/{id}/sessionpersistence");
        world.rackspace("DELETE", &path, "").is(if stays { 202 } else { 422 });
    }
}

#[test]
fn two_load_balancers_share_an_address_on_different_ports() {
    let world = World::new();
    let http = made(&world, "HTTP", 80);
    let ip = get(&world, http)["virtualIps"][0]["id"].clone();
    let body = |port: u16, ip: Value, more: Value| {
        let mut lb = json!({"name": "s", "protocol": "HTTPS", "port": port, "virtualIps": [ip]});
        lb.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        lb.to_string()
    };
    let more = json!({"sessionPersistence": {"persistenceType": "SOURCE_IP"}});
    let https = world.rackspace("POST", "/loadbalancers", &body(443, json!({"id": ip}), more)).is(202);
    assert_eq!(https.body["loadBalancer"]["virtualIps"][0]["id"], ip);
    put_persistence(&world, http, COOKIE).is(202);
    world.rackspace("POST", "/loadbalancers", &body(80, json!({"id": ip}), json!({}))).is(400).says("already in use");
    world.rackspace("POST", "/loadbalancers", &body(81, json!({"id": 999}), json!({}))).is(400);
    let both = json!({"id": ip, "type": "PUBLIC"});
    world.rackspace("POST", "/loadbalancers", &body(81, both, json!({}))).is(400);
    let six = json!({"type": "SERVICENET", "ipVersion": "IPV6"});
    world.rackspace("POST", "/loadbalancers", &body(81, six, json!({}))).is(400);
    world.rackspace("POST", "/loadbalancers", &body(80, json!({"type": "PUBLIC"}), json!({}))).is(400).says("already");
    world.rackspace("POST", "/loadbalancers", &body(9443, json!({"type": "PUBLIC"}), json!({}))).is(400).says("9443");
}

#[test]
fn creation_refuses_what_makes_no_sense() {
    let world = World::new();
    let good = json!({"name": "web", "protocol": "HTTP", "virtualIps": [{"type": "PUBLIC"}]});
    let with = |more: Value| {
        let mut body = good.clone();
        let map = body.as_object_mut().expect("an object");
        for (name, value) in more.as_object().expect("an object") {
            map.insert(name.clone(), value.clone());
        }
        body.to_string()
    };
    let node = |port: u32| json!({"address": "192.168.2.50", "port": port, "condition": "ENABLED"});
    for wrong in [
        json!({"name": null}),
        json!({"name": ""}),
        json!({"name": "x".repeat(129)}),
        json!({"protocol": "http"}),
        json!({"protocol": null}),
        json!({"protocol": "TCP"}),
        json!({"protocol": "UDP_STREAM"}),
        json!({"port": 0}),
        json!({"port": 65536}),
        json!({"port": "eighty"}),
        json!({"timeout": 29}),
        json!({"timeout": 121}),
        json!({"algorithm": "FASTEST"}),
        json!({"virtualIps": []}),
        json!({"virtualIps": null}),
        json!({"virtualIps": [{"type": "OTHER"}]}),
        json!({"virtualIps": "PUBLIC"}),
        json!({"halfClosed": true}),
        json!({"halfClosed": "maybe"}),
        json!({"httpsRedirect": true}),
        json!({"sslTermination": {"enabled": true}}),
        json!({"colour": "red"}),
        json!({"nodes": [node(80), node(80)]}),
        json!({"nodes": [node(0)]}),
        json!({"nodes": [{"address": "nowhere", "port": 80, "condition": "ENABLED"}]}),
        json!({"nodes": [{"address": "192.168.2.50", "port": 80}]}),
        json!({"nodes": [{"address": "10.0.0.21", "port": 80, "condition": "ENABLED"}]}),
        json!({"sessionPersistence": {"persistenceType": "SOURCE_IP"}}),
        json!({"healthMonitor": {"type": "HTTPS", "delay": 5, "timeout": 5, "attemptsBeforeDeactivation": 2,
                                 "path": "/", "statusRegex": "200", "bodyRegex": ""}}),
        json!({"accessList": [{"address": "10.0.0.0/8"}]}),
    ] {
        let answer = world.rackspace("POST", "/loadbalancers", &with(wrong.clone()));
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text);
        assert_eq!(answer.body["code"], 400);
    }
    for body in ["", "[]", "5", "{", "null", "{\"loadBalancer\":5}"] {
        world.rackspace("POST", "/loadbalancers", body).is(400);
    }
    assert_eq!(world.rackspace("GET", "/loadbalancers", "").is(200).body, json!({"loadBalancers": []}));
    let full = json!({
        "port": 8080, "algorithm": "WEIGHTED_ROUND_ROBIN", "timeout": 120,
        "nodes": [{"id": null, "type": null, "address": "192.168.2.50", "port": 80, "condition": "ENABLED", "weight": 5}],
        "sessionPersistence": {"persistenceType": "HTTP_COOKIE"}, "connectionLogging": {"enabled": "true"},
        "healthMonitor": {"type": "CONNECT", "delay": 5, "timeout": 5, "attemptsBeforeDeactivation": 2},
        "connectionThrottle": {"maxConnections": 10}, "accessList": [{"address": "10.9.0.0/16", "type": "DENY"}],
        "metadata": [{"key": "a", "value": "b"}],
    });
    let shown = world.rackspace("POST", "/loadbalancers", &with(full)).is(202).body["loadBalancer"].clone();
    assert_eq!(shown["nodes"][0]["weight"], 5);
    assert_eq!(shown["nodes"][0]["status"], "OFFLINE", "nobody has asked it yet");
    assert_eq!(shown["connectionLogging"]["enabled"], true);
    assert_eq!(shown["virtualIps"][0]["address"], "10.0.0.21");
    for name in ["halfClosed", "cluster", "created", "updated", "contentCaching", "sourceAddresses"] {
        assert!(shown.get(name).is_some(), "{name}");
    }
}

#[test]
fn put_changes_seven_fields_and_no_other() {
    let world = World::new();
    let id = made(&world, "HTTP", 80);
    let path = format!("/loadbalancers/{id}");
    for field in ["id", "status", "nodes", "virtualIps", "sessionPersistence", "healthMonitor", "created", "cluster"] {
        world.rackspace("PUT", &path, &json!({field: []}).to_string()).is(400);
    }
    world.rackspace("PUT", &path, "{}").is(400);
    world.rackspace("PUT", &path, r#"{"port":null}"#).is(400);
    let before = world.comments.borrow().len();
    world.rackspace("PUT", &path, r#"{"name":"web"}"#).is(202);
    assert_eq!(world.comments.borrow().len(), before, "the same again is no change");
    world.rackspace("PUT", &path, r#"{"name":"Wörld ☃","algorithm":"LEAST_CONNECTIONS"}"#).is(202);
    assert_eq!(get(&world, id)["name"], "Wörld ☃");
    world.rackspace("PUT", &path, r#"{"protocol":"TCP","halfClosed":"true"}"#).is(202);
    let mode = world.config.borrow().layer7_virtual_server(&format!("rackspace-{id}")).map(|vs| vs.mode);
    assert_eq!(mode, Some(ProxyMode::Tcp));
}

#[test]
fn lists_are_filtered_and_paged() {
    let world = World::new();
    let ids: Vec<u64> = (0..3).map(|n| made(&world, "HTTP", 8000 + n)).collect();
    let listed = |query: &str| -> Vec<u64> {
        let body = world.rackspace("GET", &format!("/loadbalancers{query}"), "").is(200).body;
        body["loadBalancers"].as_array().expect("a list").iter().map(|lb| lb["id"].as_u64().expect("an id")).collect()
    };
    assert_eq!(listed(""), ids);
    assert_eq!(listed(".json"), ids);
    assert_eq!(listed("?limit=2"), ids[..2]);
    assert_eq!(listed(&format!("?marker={}", ids[1])), ids[1..]);
    assert_eq!(listed("?offset=2"), ids[2..]);
    assert_eq!(listed("?marker=99999"), [0u64; 0]);
    assert_eq!(listed("?name=web&nodeaddress=10.1.1.1"), [0u64; 0]);
    assert_eq!(listed("?nodeaddress=192.168.2.51"), ids);
    assert_eq!(listed("?status=ERROR"), [0u64; 0]);
    assert_eq!(listed("?changes-since=2030-01-01T00:00:00Z"), [0u64; 0]);
    world.rackspace("GET", "/loadbalancers?limit=x", "").is(400);
    world.rackspace("DELETE", &format!("/loadbalancers?id={}&id=99999", ids[0]), "").is(400);
    assert_eq!(listed(""), ids, "all or none");
    world.rackspace("DELETE", "/loadbalancers", "").is(400);
    world.rackspace("DELETE", &format!("/loadbalancers?id={}&id={}", ids[0], ids[1]), "").is(202);
    assert_eq!(listed(""), ids[2..]);
    world.rackspace("DELETE", &format!("/loadbalancers/{}", ids[2]), "").is(202);
    world.rackspace("GET", &format!("/loadbalancers/{}", ids[2]), "").is(404);
    assert!(world.config.borrow().layer7.virtual_servers.is_empty());
    assert!(world.config.borrow().dialects.rackspace.virtual_ips.is_empty());
}

#[test]
fn nodes_have_their_rules() {
    let world = World::new();
    let id = made(&world, "HTTP", 80);
    let path = format!("/loadbalancers/{id}/nodes");
    let nodes = world.rackspace("GET", &path, "").is(200).body["nodes"].clone();
    let known = ["id", "address", "port", "condition", "status", "type"];
    assert!(nodes[0].as_object().expect("a node").keys().all(|name| known.contains(&name.as_str())), "{nodes}");
    let first = nodes[0]["id"].as_u64().expect("an id");
    let node = format!("{path}/{first}");
    for (body, words) in [
        (r#"{"address":"10.1.1.1"}"#, "Node ip field cannot be modified."),
        (r#"{"node":{"port":81}}"#, "Port field cannot be modified."),
        (r#"{"id":5}"#, "Node id field cannot be modified."),
        (r#"{"weight":0}"#, "Node weight is invalid. Range is 1-100."),
        (r#"{"weight":101}"#, "Node weight is invalid."),
        (r#"{"type":"SECONDARY"}"#, "you must enable health monitoring to use secondary nodes"),
        ("{}", "at least one"),
    ] {
        world.rackspace("PUT", &node, body).is(400).says(words);
    }
    world.rackspace("PUT", &node, r#"{"node":{"condition":"DRAINING"}}"#).is(202);
    assert_eq!(world.rackspace("GET", &node, "").is(200).body["node"]["condition"], "DRAINING");
    let state =
        world.config.borrow().layer7_virtual_server(&format!("rackspace-{id}")).map(|v| v.real_servers[0].state);
    assert_eq!(state, Some(RequestedState::Drain));
    let again = r#"{"nodes":[{"address":"192.168.2.50","port":80,"condition":"ENABLED"}]}"#;
    world.rackspace("POST", &path, again).is(422).says("Duplicate nodes detected.");
    let more = r#"{"nodes":[{"address":"192.168.2.52","port":80,"condition":"ENABLED","weight":7}]}"#;
    let made = world.rackspace("POST", &path, more).is(202).body["nodes"][0].clone();
    assert_eq!((&made["status"], made.get("weight")), (&json!("ONLINE"), None));
    world.rackspace("PUT", &format!("/loadbalancers/{id}"), r#"{"algorithm":"WEIGHTED_LEAST_CONNECTIONS"}"#).is(202);
    let third = format!("{path}/{}", made["id"]);
    assert_eq!(world.rackspace("GET", &third, "").is(200).body["node"]["weight"], 7);
    world.rackspace("GET", &format!("{path}/99999"), "").is(404).says("Node not found");
    world.rackspace("DELETE", &format!("{path}?id={first}&id=100"), "").is(400).says("Node ids 100 are not a part");
    world.rackspace("DELETE", &format!("{path}?id={first}"), "").is(202);
    world.rackspace("DELETE", &third, "").is(202);
    let last = nodes[1]["id"].as_u64().expect("an id");
    world
        .rackspace("PUT", &format!("{path}/{last}"), r#"{"condition":"DISABLED"}"#)
        .is(400)
        .says("at least one primary");
    world.rackspace("DELETE", &format!("{path}/{last}"), "").is(202);
    assert_eq!(world.rackspace("GET", &format!("{path}/events"), "").is(200).body, json!({"nodeServiceEvents": []}));
}

#[test]
fn tls_ends_at_a_port_of_its_own() {
    let world = World::new();
    let id = made(&world, "HTTP", 80);
    let (at, lb) = (format!("/loadbalancers/{id}/ssltermination"), format!("/loadbalancers/{id}"));
    let running = |label: &str| world.config.borrow().layer7_virtual_server(label).cloned();
    let (plain, secure) = (format!("rackspace-{id}"), format!("rackspace-{id}-ssl"));
    let body = |more: Value| {
        let mut body = json!({"certificate": "-----BEGIN CERTIFICATE-----", "privatekey": "-----BEGIN PRIVATE KEY-----",
                              "securePort": 443, "enabled": true, "secureTrafficOnly": false});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({"sslTermination": body}).to_string()
    };
    world.rackspace("GET", &at, "").is(404);
    world.rackspace("DELETE", &at, "").is(404);
    for (wrong, word) in [
        (json!({"securePort": null}), "securePort"),
        (json!({"securePort": 0}), "securePort"),
        (json!({"securePort": 80}), "securePort"),
        (json!({"privatekey": null}), "privatekey"),
        (json!({"certificate": null}), "certificate"),
        (json!({"certificate": ""}), "certificate"),
        (json!({"certificate": "x".repeat(70_000)}), "certificate"),
        (json!({"enabled": "perhaps"}), "enabled"),
        (json!({"colour": "red"}), "schema"),
    ] {
        world.rackspace("PUT", &at, &body(wrong)).is(400).says(word);
    }
    assert_eq!(world.config.borrow().layer7.certificates, []);
    world.rackspace("PUT", &format!("{lb}/sessionpersistence"), r#"{"persistenceType":"HTTP_COOKIE"}"#).is(202);
    let answer = world.rackspace("PUT", &at, &body(json!({"intermediateCertificate": "-----BEGIN CERTIFICATE-----i"})));
    assert!(!answer.is(200).text.contains("PRIVATE KEY"), "a key is shown to nobody");
    let shown = world.rackspace("GET", &at, "").is(200).body["sslTermination"].clone();
    let expected = json!({"certificate": "-----BEGIN CERTIFICATE-----", "securePort": 443, "enabled": true,
                          "intermediateCertificate": "-----BEGIN CERTIFICATE-----i", "secureTrafficOnly": false});
    assert_eq!(shown, expected);
    let whole = world.rackspace("GET", &lb, "").is(200);
    assert_eq!(whole.body["loadBalancer"]["sslTermination"], expected);
    assert!(!whole.text.contains("PRIVATE KEY"), "a key is shown to nobody");
    // The cookie serves both, and the servers know which it was.
    let (http, https) = (running(&plain).expect("http"), running(&secure).expect("https"));
    assert_eq!((https.ports.to_string(), &https.persistence), ("443".into(), &http.persistence));
    assert_eq!(https.real_servers, http.real_servers);
    let tls = https.tls.as_ref().map(|tls| tls.certificates[0].to_string());
    assert_eq!((tls, &http.tls), (Some(plain.clone()), &None));
    let certificate = world.config.borrow().layer7.certificate(&plain).cloned().expect("a certificate");
    assert_eq!(certificate.fingerprint.as_str(), crate::world::FINGERPRINT);
    let values = |vs: &lb_model::Layer7VirtualServer| -> Vec<String> {
        vs.request_headers.iter().flat_map(|header| header.value.as_ref().map(ToString::to_string)).collect()
    };
    assert_eq!((values(&http), values(&https)), (vec!["http".into(), "80".into()], vec!["https".into(), "443".into()]));
    assert!(
        !world.config.borrow().dialects.rackspace.load_balancers.iter().any(|lb| format!("{lb:?}").contains("PRIVATE"))
    );
    // What goes with it, and what does not.
    world
        .rackspace("PUT", &lb, r#"{"protocol":"TCP"}"#)
        .is(400)
        .says("Cannot update protocol on a load balancer with ssl");
    world.rackspace("PUT", &lb, r#"{"port":443}"#).is(400);
    world.rackspace("PUT", &lb, r#"{"httpsRedirect":true}"#).is(400);
    let other = r#"{"name":"x","protocol":"HTTPS","port":443,"virtualIps":[{"type":"PUBLIC"}]}"#;
    world.rackspace("POST", "/loadbalancers", other).is(400);
    world.rackspace("PUT", &at, r#"{"secureTrafficOnly":true}"#).is(200);
    assert!(running(&plain).is_none() && running(&secure).is_some());
    world.rackspace("PUT", &lb, r#"{"httpsRedirect":true}"#).is(202);
    assert!(running(&format!("{plain}-redirect")).is_some_and(|vs| vs.redirect_https));
    world.rackspace("PUT", &lb, r#"{"httpsRedirect":false}"#).is(202);
    world.rackspace("PUT", &at, r#"{"enabled":"false","securePort":8443}"#).is(200);
    assert!(running(&plain).is_some() && running(&secure).is_none());
    assert_eq!(world.rackspace("GET", &at, "").body["sslTermination"]["securePort"], 8443);
    world.rackspace("DELETE", &at, "").is(202);
    assert_eq!(world.rackspace("GET", &lb, "").is(200).body["loadBalancer"].get("sslTermination"), None);
    assert_eq!(world.config.borrow().layer7.certificates, []);
    for protocol in ["HTTPS", "IMAPS", "UDP"] {
        let id = made(&world, protocol, 8000);
        world.rackspace("PUT", &format!("/loadbalancers/{id}/ssltermination"), &body(json!({}))).is(400).says(protocol);
        world.rackspace("DELETE", &format!("/loadbalancers/{id}"), "").is(202);
    }
}

#[test]
fn features_come_and_go() {
    let world = World::new();
    let id = made(&world, "HTTP", 80);
    let at = |feature: &str| format!("/loadbalancers/{id}/{feature}");
    let ask = |method: &str, feature: &str, body: &str| world.rackspace(method, &at(feature), body);

    assert_eq!(ask("GET", "healthmonitor", "").is(200).body, json!({"healthMonitor": {}}));
    ask("DELETE", "healthmonitor", "").is(422).says("No health monitor found to delete.");
    let connect = r#"{"type":"CONNECT","delay":10,"timeout":5,"attemptsBeforeDeactivation":3}"#;
    ask("PUT", "healthmonitor", connect).is(202);
    for wrong in [
        r#"{"type":"CONNECT","delay":0,"timeout":5,"attemptsBeforeDeactivation":3}"#,
        r#"{"type":"CONNECT","delay":10,"timeout":301,"attemptsBeforeDeactivation":3}"#,
        r#"{"type":"CONNECT","delay":10,"timeout":5,"attemptsBeforeDeactivation":11}"#,
        r#"{"type":"CONNECT","delay":10,"timeout":5,"attemptsBeforeDeactivation":3,"path":"/"}"#,
        r#"{"type":"HTTP","delay":10,"timeout":5,"attemptsBeforeDeactivation":3}"#,
        r#"{"type":"HTTP","delay":10,"timeout":5,"attemptsBeforeDeactivation":3,"path":"x","statusRegex":"","bodyRegex":""}"#,
        r#"{"type":"HTTP","delay":10,"timeout":5,"attemptsBeforeDeactivation":3,"path":"/","statusRegex":"(","bodyRegex":""}"#,
        r#"{"type":"PING","delay":10,"timeout":5,"attemptsBeforeDeactivation":3}"#,
    ] {
        ask("PUT", "healthmonitor", wrong).is(400);
    }
    let http = r#"{"healthMonitor":{"type":"HTTP","delay":10,"timeout":5,"attemptsBeforeDeactivation":3,"path":"/check",
                  "statusRegex":"^[23][0-9][0-9]$","bodyRegex":"good","hostHeader":"www.example.com"}}"#;
    ask("PUT", "healthmonitor", http).is(202);
    assert_eq!(ask("GET", "healthmonitor", "").body["healthMonitor"]["path"], "/check");
    world.rackspace("PUT", &format!("/loadbalancers/{id}"), r#"{"protocol":"TCP","port":81}"#).is(400).says("monitor");
    let secondary = r#"{"nodes":[{"address":"192.168.2.60","port":80,"condition":"ENABLED","type":"SECONDARY"}]}"#;
    let backup = ask("POST", "nodes", secondary).is(202).body["nodes"][0]["id"].clone();
    let running = world.config.borrow().layer7_virtual_server(&format!("rackspace-{id}")).cloned().expect("it runs");
    assert_eq!(running.fallback.map(|f| f.address.to_string()), Some("192.168.2.60".into()));
    assert_eq!(running.check.status.map(|s| s.to_string()), Some("200-399".into()));
    ask("DELETE", "healthmonitor", "").is(400);
    ask("DELETE", &format!("nodes/{backup}"), "").is(202);
    ask("DELETE", "healthmonitor", "").is(202);

    assert_eq!(ask("GET", "connectionthrottle", "").is(200).body, json!({"connectionThrottle": {}}));
    ask("DELETE", "connectionthrottle", "").is(422).says("No connection throttle found to delete.");
    ask("PUT", "connectionthrottle", r#"{"rateInterval":5}"#).is(400);
    ask("PUT", "connectionthrottle", r#"{"maxConnections":100001}"#).is(400);
    ask("PUT", "connectionthrottle", r#"{"maxConnections":7}"#).is(202);
    ask("PUT", "connectionthrottle", r#"{"connectionThrottle":{"rateInterval":5}}"#).is(202);
    let throttle = json!({"connectionThrottle": {"maxConnections": 7, "rateInterval": 5}});
    assert_eq!(ask("GET", "connectionthrottle", "").body, throttle);
    let limits = world.config.borrow().layer7_virtual_server(&format!("rackspace-{id}")).and_then(|v| v.limits);
    assert_eq!(limits.map(|l| l.connections), Some(7));
    ask("DELETE", "connectionthrottle", "").is(202);

    ask("PUT", "connectionlogging", r#"{"connectionLogging":{"enabled":"true"}}"#).is(202);
    assert_eq!(ask("GET", "connectionlogging", "").body["connectionLogging"]["enabled"], true);
    ask("PUT", "connectionlogging", r#"{"enabled":"yes"}"#).is(400);
    let running = || world.config.borrow().layer7_virtual_server(&format!("rackspace-{id}")).cloned().expect("it runs");
    assert!(running().log_requests, "every request is logged");
    ask("PUT", "connectionlogging", r#"{"enabled":false}"#).is(202);
    assert!(!running().log_requests);
    ask("PUT", "contentcaching", r#"{"contentCaching":{"enabled":false}}"#).is(202);
    ask("PUT", "contentcaching", r#"{"contentCaching":{"enabled":true}}"#).is(400).says("not available");
    assert_eq!(ask("GET", "contentcaching", "").body["contentCaching"]["enabled"], false);
    ask("GET", "errorpage", "").is(200).says("<html>");
    ask("PUT", "errorpage", r#"{"errorpage":{"content":"<html>Sorry</html>"}}"#).is(202);
    assert_eq!(ask("GET", "errorpage", "").body["errorpage"]["content"], "<html>Sorry</html>");
    let page = || running().fallback_page.map(|page| page.to_string());
    assert_eq!(page(), Some("<html>Sorry</html>".into()));
    let odd = json!({"errorpage": {"content": "a\u{0}b\nc\u{85}"}}).to_string();
    ask("PUT", "errorpage", &odd).is(202);
    assert_eq!(page(), Some("a b\nc ".into()), "what no page may hold is a space");
    let long = json!({"errorpage": {"content": "x".repeat(12_289)}}).to_string();
    ask("PUT", "errorpage", &long).is(400).says("too long");
    ask("DELETE", "errorpage", "").is(202);
    assert_eq!((page(), running().manual), (None, None));
    assert_eq!(ask("GET", "stats", "").is(200).body["maxConnSsl"], 0);

    let list = r#"{"accessList":[{"address":"0.0.0.0/0","type":"DENY"},{"address":"10.0.0.5","type":"ALLOW"}]}"#;
    ask("POST", "accesslist", list).is(202);
    ask("POST", "accesslist", r#"{"networkItem":{"address":"10.0.0.5","type":"DENY"}}"#).is(400).says("duplicate");
    ask("POST", "accesslist", r#"{"networkItem":{"address":"10.0.0.999","type":"DENY"}}"#).is(400);
    let items = ask("GET", "accesslist", "").is(200).body["accessList"].clone();
    assert_eq!((&items[0]["address"], &items[1]["address"]), (&json!("0.0.0.0/0"), &json!("10.0.0.5")));
    let rules = world.config.borrow().layer7_virtual_server(&format!("rackspace-{id}")).map(|v| v.rules.len());
    assert_eq!(rules, Some(1));
    ask("DELETE", &format!("accesslist/{}", items[0]["id"]), "").is(202);
    ask("DELETE", &format!("accesslist/{}", items[0]["id"]), "").is(404);
    ask("DELETE", "accesslist", "").is(202);
    ask("DELETE", "accesslist", "").is(422);

    let meta = ask("POST", "metadata", r#"{"metadata":[{"key":"a","value":"1"}]}"#).is(200).body["metadata"].clone();
    let entry = format!("metadata/{}", meta[0]["id"]);
    ask("POST", "metadata", r#"{"metadata":[{"key":"a","value":"1"}]}"#).is(400);
    ask("PUT", &entry, r#"{"meta":{"value":"2"}}"#).is(200);
    assert_eq!(ask("GET", &entry, "").is(200).body["meta"]["value"], "2");
    ask("DELETE", &entry, "").is(200);
    ask("GET", &entry, "").is(404);
}

#[test]
fn addresses_come_from_the_pool() {
    let world = World::new();
    let pool = ["10.0.0.60", "10.0.0.61"].map(|a| a.parse().expect("an address"));
    world.config.borrow_mut().dialects.rackspace.public = pool.to_vec();
    let first = made(&world, "HTTP", 80);
    let second = made(&world, "HTTP", 80);
    let address = |id| get(&world, id)["virtualIps"][0]["address"].clone();
    assert_eq!((address(first), address(second)), (json!("10.0.0.60"), json!("10.0.0.61")));
    let third = r#"{"name":"x","protocol":"HTTP","port":80,"virtualIps":[{"type":"PUBLIC"}]}"#;
    world.rackspace("POST", "/loadbalancers", third).is(413);
    world.rackspace("DELETE", &format!("/loadbalancers/{first}"), "").is(202);
    let again = made(&world, "HTTP", 80);
    assert_eq!(address(again), json!("10.0.0.60"));
    let ips = format!("/loadbalancers/{again}/virtualips");
    let six = world.rackspace("POST", &ips, r#"{"type":"PUBLIC","ipVersion":"IPV6"}"#).is(202).body;
    assert_eq!(six["address"], "fd00:a::21");
    assert_eq!(world.config.borrow().layer7.virtual_servers.len(), 3);
    world.rackspace("DELETE", &format!("{ips}/{}", six["id"]), "").is(202);
    let left = get(&world, again)["virtualIps"][0]["id"].clone();
    world
        .rackspace("DELETE", &format!("{ips}/{left}"), "")
        .is(400)
        .says("Minimum number of virtual ips required is 1.");
    world.rackspace("DELETE", &format!("{ips}/99999"), "").is(404);
}

#[test]
fn udp_goes_through_the_kernel() {
    let world = World::new();
    let id = made(&world, "DNS_UDP", 53);
    let config = world.config.borrow().clone();
    let vs = config.virtual_server(&format!("rackspace-{id}")).expect("it runs");
    assert_eq!(vs.service.to_string(), "udp 10.0.0.21:53");
    assert!(config.layer7.virtual_servers.is_empty());
    put_persistence(&world, id, SOURCE).is(202);
    let deny = r#"{"networkItem":{"address":"10.0.0.5","type":"DENY"}}"#;
    world.rackspace("POST", &format!("/loadbalancers/{id}/accesslist"), deny).is(400);
    let connect = r#"{"type":"CONNECT","delay":10,"timeout":5,"attemptsBeforeDeactivation":3}"#;
    world.rackspace("PUT", &format!("/loadbalancers/{id}/healthmonitor"), connect).is(400);
}

#[test]
fn account_places_answer() {
    let world = World::new();
    for (path, name) in [
        ("/limits", "limits"),
        ("/loadbalancers/algorithms", "algorithms"),
        ("/loadbalancers/protocols", "protocols"),
        ("/loadbalancers/absolutelimits", "absolute"),
        ("/loadbalancers/alloweddomains", "allowedDomains"),
    ] {
        assert!(world.rackspace("GET", path, "").is(200).body.get(name).is_some(), "{path}");
        world.rackspace("POST", path, "").is(405).says("\"code\":405");
    }
    let protocols = world.rackspace("GET", "/loadbalancers/protocols", "").body["protocols"].clone();
    assert!(protocols.as_array().expect("a list").contains(&json!({"name": "TCP_CLIENT_FIRST", "port": 0})));
    world.rackspace("GET", "/nothing", "").is(404).says("\"code\":404");
    world.rackspace("GET", "/loadbalancers/x", "").is(404);
    world.rackspace("GET", "/loadbalancers.xml", "").is(406);
    world.rackspace_request(&World::request("GET", "/v1.0/1001/loadbalancers", "")).is(404);
    let mut request = World::request("POST", "/v1.0/1000/loadbalancers", "<loadBalancer/>");
    request.headers = vec![("content-type".into(), "application/xml".into())];
    world.rackspace_request(&request).is(415);
    let mut look = World::new();
    look.changes = false;
    look.rackspace("GET", "/loadbalancers", "").is(200);
    look.rackspace("POST", "/loadbalancers", "{}").is(403);
}

#[test]
fn the_login_answers_as_keystone() {
    let books = Books { person: Person { name: "anna".into(), author: "anna".into(), changes: true } };
    let ask = |path: &str, body: &str| login(&books, 1000, &World::request("POST", path, body));
    let key = r#"{"auth":{"RAX-KSKEY:apiKeyCredentials":{"username":"anna","apiKey":"key"},"tenantId":"1000"}}"#;
    let password = r#"{"auth":{"passwordCredentials":{"username":"anna","password":"password"}}}"#;
    for body in [key, password] {
        let answer = ask("/v2.0/tokens", body);
        assert_eq!(answer.status, 200);
        let access = &answer.body.expect("a body")["access"];
        assert_eq!(access["token"]["tenant"], json!({"id": "1000", "name": "1000"}));
        let endpoint = &access["serviceCatalog"][0]["endpoints"][0];
        assert_eq!(endpoint["publicURL"], "https://10.0.0.21:9443/v1.0/1000");
        assert_eq!(endpoint["region"], "ORD");
        assert!(access["user"]["roles"].is_array());
    }
    let wrong = ask("/v2.0/tokens", &key.replace("\"key\"", "\"other\""));
    let unauthorized =
        json!({"unauthorized": {"code": 401, "message": "Unable to authenticate user with credentials provided."}});
    assert_eq!((wrong.status, wrong.body), (401, Some(unauthorized)));
    for body in ["", "{", "{}", "[]", r#"{"auth":{}}"#, r#"{"auth":{"passwordCredentials":{"username":5}}}"#] {
        let answer = ask("/v2.0/tokens", body);
        assert_eq!((answer.status, answer.body.expect("a body")["badRequest"]["code"].clone()), (400, json!(400)));
    }
    assert_eq!(ask("/v2.0/users", key).status, 404);
}

#[test]
fn what_was_changed_by_hand_stays_and_is_reported() {
    let world = World::new();
    let id = made(&world, "HTTP", 80);
    let hand = r#"{"label":"hand","address":"10.0.0.21","ports":"8081","check":{"method":"on"}}"#;
    {
        let mut config = world.config.borrow_mut();
        config.layer7.virtual_servers[0].compression = true;
        config.layer7.virtual_servers[0].real_servers[0].state = RequestedState::Offline;
        config.layer7.virtual_servers.push(serde_json::from_str(hand).expect("a virtual server"));
    }
    let reported = by_hand(&world.config.borrow());
    assert_eq!(reported, [format!("Change compression of rackspace-{id} from off to on")]);
    let nodes = world.rackspace("GET", &format!("/loadbalancers/{id}/nodes"), "").is(200).body["nodes"].clone();
    assert_eq!(nodes[0]["condition"], "DISABLED", "the dialect sees who was taken offline");
    put_persistence(&world, id, COOKIE).is(202);
    let config = world.config.borrow().clone();
    let vs = config.layer7_virtual_server(&format!("rackspace-{id}")).expect("it runs");
    assert!(vs.compression && vs.persistence.is_some());
    assert_eq!(vs.real_servers[0].state, RequestedState::Offline);
    assert!(config.layer7_virtual_server("hand").is_some());
    world.rackspace("DELETE", &format!("/loadbalancers/{id}"), "").is(202);
    assert_eq!(world.config.borrow().layer7.virtual_servers.len(), 1, "only what somebody made by hand is left");
}

#[test]
fn a_label_that_somebody_has_is_not_taken() {
    let world = World::new();
    let hand = r#"{"label":"rackspace-1","address":"10.0.0.21","ports":"8081","check":{"method":"on"}}"#;
    world.config.borrow_mut().layer7.virtual_servers.push(serde_json::from_str(hand).expect("a virtual server"));
    let body = r#"{"name":"x","protocol":"HTTP","virtualIps":[{"type":"PUBLIC"}]}"#;
    world.rackspace("POST", "/loadbalancers", body).is(400).says("made by hand");
}

#[test]
fn times_are_written_as_the_vendor_does() {
    let world = World::new();
    let id = made(&world, "HTTP", 80);
    assert_eq!(NOW, 1_700_000_000);
    assert_eq!(get(&world, id)["created"]["time"], "2023-11-14T22:13:20Z");
}
