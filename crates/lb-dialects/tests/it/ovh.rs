//! The OVH dialect, row by row.

use crate::world::{NOW, World, signed};
use lb_dialects::{Request, ovh::signature};
use lb_model::layer7::{Balance, Layer7Persistence};
use serde_json::{Value, json};

/// A farm with a server and a front-end on port 80, applied.
fn site(world: &World) -> (u64, u64) {
    let farm = world.ovh("POST", "/http/farm", r#"{"zone":"rbx","port":8080}"#).is(200).body;
    let id = farm["farmId"].as_u64().expect("an id");
    let server = r#"{"address":"192.168.2.50","status":"active"}"#;
    world.ovh("POST", &format!("/http/farm/{id}/server"), server).is(200);
    let frontend = json!({"zone": "all", "port": "80", "defaultFarmId": id}).to_string();
    let frontend = world.ovh("POST", "/http/frontend", &frontend).is(200).body;
    world.ovh("POST", "/refresh", "").is(200);
    (id, frontend["frontendId"].as_u64().expect("an id"))
}

fn pending(world: &World) -> Value {
    world.ovh("GET", "/pendingChanges", "").is(200).body
}

#[test]
fn stickiness_waits_for_a_refresh() {
    let world = World::new();
    let (farm, frontend) = site(&world);
    let path = format!("/http/farm/{farm}");
    let label = format!("ovh-http-{frontend}");
    let running = || world.config.borrow().layer7_virtual_server(&label).cloned().expect("it runs");
    let shown = world.ovh("GET", &path, "").is(200).body;
    for field in ["farmId", "balance", "zone", "port", "probe", "displayName", "stickiness"] {
        assert!(shown.get(field).is_some(), "{field}");
    }
    assert_eq!((pending(&world), &shown["stickiness"]), (json!([]), &Value::Null));
    assert_eq!(world.ovh("PUT", &path, r#"{"stickiness":"cookie"}"#).is(200).text, "null");
    assert_eq!(world.ovh("GET", &path, "").body["stickiness"], "cookie");
    assert_eq!(running().persistence, None, "it does not run yet");
    assert_eq!(pending(&world), json!([{"zone": "rbx", "number": 1}]));
    let task = world.ovh("POST", "/refresh", r#"{"zone":"rbx"}"#).is(200).body;
    assert_eq!(
        (&task["action"], &task["status"], &task["progress"]),
        (&json!("refreshIplb"), &json!("done"), &json!(100))
    );
    assert!(matches!(running().persistence, Some(Layer7Persistence::Cookie(_))));
    assert_eq!(pending(&world), json!([]));
    world.ovh("PUT", &path, r#"{"stickiness":"sourceIp","zone":"rbx","farmId":1}"#).is(200);
    world.ovh("POST", "/refresh", "{}").is(200);
    assert!(matches!(running().persistence, Some(Layer7Persistence::Source(_))));
    world.ovh("PUT", &path, r#"{"stickiness":null,"port":null}"#).is(200);
    world.ovh("POST", "/refresh", r#"{"zone":"all"}"#).is(200);
    assert_eq!(running().persistence, None);
    assert_eq!(running().real_servers[0].port, None, "null: the front-end's port");
    world.ovh("POST", "/refresh", r#"{"zone":"gra"}"#).is(400);
    world.ovh("POST", "/refresh", "").is(200);
}

#[test]
fn farms_refuse_what_makes_no_sense() {
    let world = World::new();
    let (farm, _) = site(&world);
    let path = format!("/http/farm/{farm}");
    for (body, field) in [
        (r#"{"stickiness":"Cookie"}"#, "stickiness"),
        (r#"{"stickiness":5}"#, "stickiness"),
        (r#"{"balance":"random"}"#, "balance"),
        (r#"{"port":0}"#, "port"),
        (r#"{"port":65536}"#, "port"),
        (r#"{"port":"80"}"#, "port"),
        (r#"{"probe":{"interval":29}}"#, "interval"),
        (r#"{"probe":{"interval":3601}}"#, "interval"),
        (r#"{"probe":{"type":"ping"}}"#, "type"),
        (r#"{"probe":{"method":"POST"}}"#, "method"),
        (r#"{"probe":{"negate":true}}"#, "A probe can not negate without a match"),
        (r#"{"probe":{"negate":true,"match":"contains"}}"#, "A probe can not negate without a pattern"),
        (r#"{"probe":{"match":"status","pattern":"good"}}"#, "pattern"),
        (r#"{"probe":{"match":"matches","pattern":"ä"}}"#, "pattern"),
        (r#"{"vrackNetworkId":7}"#, "vRack"),
        (r#"{"probe":"http"}"#, "probe"),
        (r#"{"colour":"red"}"#, "colour"),
        (r#"{"displayName":7}"#, "displayName"),
        ("[]", "object"),
        ("{", "JSON"),
    ] {
        let answer = world.ovh("PUT", &path, body).is(400).says(field);
        assert_eq!(answer.body["class"], "Client::BadRequest");
    }
    for body in ["{}", r#"{"zone":null}"#, r#"{"zone":"gra"}"#, r#"{"zone":5}"#] {
        world.ovh("POST", "/http/farm", body).is(400).says("zone");
    }
    for body in [r#"{"zone":"all","stickiness":"cookie"}"#, r#"{"zone":"all","balance":"uri"}"#] {
        world.ovh("POST", "/tcp/farm", body).is(400);
    }
    world.ovh("POST", "/tcp/farm", r#"{"zone":"all","stickiness":"sourceIp"}"#).is(200);
    for body in
        [r#"{"zone":"all"}"#, r#"{"zone":"all","port":53,"balance":"first"}"#, r#"{"zone":"all","port":53,"probe":{}}"#]
    {
        world.ovh("POST", "/udp/farm", body).is(400);
    }
    let udp = world.ovh("POST", "/udp/farm", r#"{"zone":"all","port":53}"#).is(200).body;
    assert!(udp.get("stickiness").is_none() && udp.get("probe").is_none());
    world.ovh("GET", "/http/farm/99999", "").is(404);
    world.ovh("GET", "/http/farm/x", "").is(400);
    world.ovh("GET", "/http/farm/0", "").is(400);
    world.ovh("GET", &format!("/tcp/farm/{farm}"), "").is(404);
    world.ovh("DELETE", &path, "").is(409);
    assert_eq!(world.ovh("GET", "/http/farm?zone=rbx", "").is(200).body, json!([farm]));
    assert_eq!(world.ovh("GET", "/http/farm?zone=all", "").is(200).body, json!([]));
}

#[test]
fn a_uri_balances_by_the_proxys_own_word() {
    let world = World::new();
    let (farm, frontend) = site(&world);
    world.ovh("PUT", &format!("/http/farm/{farm}"), r#"{"balance":"uri","probe":{"type":"http"}}"#).is(200);
    world.ovh("POST", "/refresh", "").is(200);
    let running = world.config.borrow().layer7_virtual_server(&format!("ovh-http-{frontend}")).cloned().expect("it");
    assert_eq!(running.balance, Balance::RoundRobin);
    assert_eq!(running.manual.map(|m| m.as_str().to_owned()), Some("balance uri\nhash-type consistent".into()));
    let probe = world.ovh("GET", &format!("/http/farm/{farm}"), "").body["probe"].clone();
    assert_eq!((&probe["interval"], &probe["match"]), (&json!(30), &json!("default")));
}

#[test]
fn servers_have_their_rules() {
    let world = World::new();
    let (farm, frontend) = site(&world);
    let path = format!("/http/farm/{farm}/server");
    let first = world.ovh("GET", &path, "").is(200).body[0].as_u64().expect("an id");
    let own = format!("{path}/{first}");
    for (method, path, body) in [
        ("POST", &path, "{}"),
        ("POST", &path, r#"{"address":"192.168.2.60"}"#),
        ("POST", &path, r#"{"address":"nowhere","status":"active"}"#),
        ("POST", &path, r#"{"address":"::1","status":"active"}"#),
        ("PUT", &own, r#"{"weight":257}"#),
        ("PUT", &own, r#"{"weight":-1}"#),
        ("PUT", &own, r#"{"status":"down"}"#),
        ("PUT", &own, r#"{"status":null}"#),
        ("PUT", &own, r#"{"proxyProtocolVersion":"v3"}"#),
        ("PUT", &own, r#"{"onMarkedDown":"ignore"}"#),
        ("PUT", &own, r#"{"cookie":"a;b"}"#),
        ("PUT", &own, r#"{"cookie":""}"#),
        ("PUT", &own, r#"{"chain":"-----BEGIN CERTIFICATE-----"}"#),
        ("PUT", &own, r#"{"colour":"red"}"#),
    ] {
        world.ovh(method, path, body).is(400);
    }
    world.ovh("POST", &path, r#"{"address":"192.168.2.50","status":"active"}"#).is(409);
    let shown = world.ovh("GET", &own, "").is(200).body;
    assert_eq!(
        (&shown["backendId"], &shown["weight"], &shown["cookie"]),
        (&json!(farm), &json!(1), &json!(format!("server-{first}")))
    );
    world.ovh("PUT", &own, r#"{"weight":0,"address":"10.9.9.9","proxyProtocolVersion":"v2-ssl"}"#).is(200);
    let shown = world.ovh("GET", &own, "").is(200).body;
    assert_eq!((&shown["weight"], &shown["address"]), (&json!(0), &json!("192.168.2.50")));
    world.ovh("PUT", &own, r#"{"weight":null,"status":"inactive"}"#).is(200);
    assert_eq!(world.ovh("GET", &own, "").body["weight"], 1);
    assert_eq!(world.ovh("GET", &format!("{path}?status=inactive"), "").body, json!([first]));
    assert_eq!(world.ovh("GET", &format!("{path}?status=active"), "").body, json!([]));
    assert_eq!(world.ovh("GET", &format!("{path}?address=192.168.2.50"), "").body, json!([first]));
    assert_eq!(pending(&world)[0]["number"], 1);
    world.ovh("POST", "/refresh", "").is(200);
    let running = world.config.borrow().layer7_virtual_server(&format!("ovh-http-{frontend}")).cloned().expect("it");
    assert_eq!(running.real_servers[0].state, lb_model::RequestedState::Offline);
    world.ovh("DELETE", &own, "").is(200);
    world.ovh("GET", &own, "").is(404);
}

#[test]
fn a_servers_cookie_value_is_its_own() {
    let world = World::new();
    let (farm, frontend) = site(&world);
    let path = format!("/http/farm/{farm}/server");
    let first = world.ovh("GET", &path, "").is(200).body[0].as_u64().expect("an id");
    let own = format!("{path}/{first}");
    let running = || {
        let vs = world.config.borrow().layer7_virtual_server(&format!("ovh-http-{frontend}")).cloned().expect("it");
        let of = |rs: &lb_model::Layer7RealServer| (rs.cookie_value().to_owned(), rs.shutdown_sessions);
        vs.real_servers.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(running(), [(format!("server-{first}"), false)]);
    world.ovh("PUT", &own, r#"{"cookie":"web=1","onMarkedDown":"shutdown-sessions"}"#).is(200);
    let second = r#"{"address":"192.168.2.51","status":"active","cookie":"web=1"}"#;
    world.ovh("POST", &path, second).is(409).says("has this cookie already");
    let second = world.ovh("POST", &path, &second.replace("=1", "=2")).is(200).body["serverId"].clone();
    world.ovh("PUT", &format!("{path}/{second}"), r#"{"cookie":"web=1"}"#).is(409);
    assert_eq!(world.ovh("GET", &format!("{path}?cookie=web=2"), "").is(200).body, json!([second]));
    let shown = world.ovh("GET", &own, "").is(200).body;
    assert_eq!((&shown["cookie"], &shown["onMarkedDown"]), (&json!("web=1"), &json!("shutdown-sessions")));
    world.ovh("POST", "/refresh", "").is(200).says("done");
    assert_eq!(running(), [("web=1".to_owned(), true), ("web=2".to_owned(), false)]);
    world.ovh("PUT", &own, r#"{"cookie":null,"onMarkedDown":null}"#).is(200);
    world.ovh("POST", "/refresh", "").is(200).says("done");
    assert_eq!(running()[0], (format!("server-{first}"), false), "one is generated");
}

#[test]
fn probes_say_what_must_and_what_must_not_be() {
    use lb_model::layer7::{CheckExpect, CheckVerb};
    let world = World::new();
    let (farm, frontend) = site(&world);
    let (path, server) = (format!("/http/farm/{farm}"), world.ovh("GET", &format!("/http/farm/{farm}/server"), ""));
    world.ovh("PUT", &format!("{path}/server/{}", server.body[0]), r#"{"probe":true}"#).is(200);
    let running = |probe: Value| {
        world.ovh("PUT", &path, r#"{"probe":null}"#).is(200);
        world.ovh("PUT", &path, &json!({"probe": probe}).to_string()).is(200);
        world.ovh("POST", "/refresh", "").is(200).says("done");
        let vs = world.config.borrow().layer7_virtual_server(&format!("ovh-http-{frontend}")).cloned().expect("it");
        let text = |text: Option<String>| text.unwrap_or_default();
        let check = vs.check;
        (
            check.verb,
            check.expect,
            text(check.response.map(|t| t.to_string())),
            text(check.status.map(|s| s.to_string())),
        )
    };
    let (contains, get) = (CheckExpect::Contains, CheckVerb::Get);
    for (probe, verb, expect, response, status) in [
        (json!({"method": "HEAD"}), CheckVerb::Head, contains, "", ""),
        (json!({"method": "OPTIONS"}), CheckVerb::Options, contains, "", ""),
        (json!({"method": "internal", "match": "default", "pattern": "x"}), get, contains, "", ""),
        (json!({"match": "contains", "pattern": "OK"}), get, contains, "OK", ""),
        (json!({"match": "contains", "pattern": "OK", "negate": true}), get, CheckExpect::Lacks, "OK", ""),
        (json!({"match": "matches", "pattern": "^O.$"}), get, CheckExpect::Matches, "^O.$", ""),
        (json!({"match": "matches", "pattern": "^O.$", "negate": true}), get, CheckExpect::MatchesNot, "^O.$", ""),
        (json!({"match": "status", "pattern": "200"}), get, contains, "", "200"),
        (json!({"match": "status", "pattern": "300-599,100", "negate": true}), get, contains, "", "101-299"),
    ] {
        let mut probe = probe;
        probe["type"] = json!("http");
        assert_eq!(running(probe.clone()), (verb, expect, response.to_owned(), status.to_owned()), "{probe}");
    }
    let available = world.ovh("GET", "/availableFarmProbes", "").is(200).body;
    let http = available.as_array().expect("a list").iter().find(|probe| probe["type"] == "http").expect("http");
    assert_eq!((&http["negate"], http["method"].as_array().map(Vec::len)), (&json!(true), Some(4)));
}

#[test]
fn frontends_have_their_rules() {
    let world = World::new();
    let (farm, frontend) = site(&world);
    let own = format!("/http/frontend/{frontend}");
    for (method, path, body) in [
        ("POST", "/http/frontend", r#"{"zone":"all"}"#.to_owned()),
        ("POST", "/http/frontend", r#"{"zone":"all","port":80}"#.into()),
        ("POST", "/http/frontend", r#"{"zone":"all","port":"80-90000"}"#.into()),
        ("POST", "/http/frontend", r#"{"zone":"all","port":"1-1000"}"#.into()),
        ("POST", "/http/frontend", r#"{"zone":"all","port":"any"}"#.into()),
        ("POST", "/http/frontend", r#"{"port":"80"}"#.into()),
        ("PUT", &own, r#"{"defaultFarmId":99999}"#.into()),
        ("PUT", &own, r#"{"allowedSource":["10.0.0.0/8"],"deniedSource":["10.1.0.0/16"]}"#.into()),
        ("PUT", &own, r#"{"allowedSource":["nowhere"]}"#.into()),
        ("PUT", &own, r#"{"ssl":true}"#.into()),
        ("PUT", &own, r#"{"ssl":"yes"}"#.into()),
        ("PUT", &own, r#"{"hsts":true}"#.into()),
        ("PUT", &own, r#"{"defaultSslId":4}"#.into()),
        ("POST", "/udp/frontend", r#"{"zone":"all","port":"90","ssl":true}"#.into()),
        ("PUT", &own, r#"{"redirectLocation":"ftp://x"}"#.into()),
        ("PUT", &own, r#"{"httpHeader":["X-Ip %ci"]}"#.into()),
        ("POST", "/tcp/frontend", json!({"zone": "all", "port": "90", "defaultFarmId": farm}).to_string()),
        ("POST", "/tcp/frontend", r#"{"zone":"all","port":"90","hsts":false}"#.into()),
    ] {
        let answer = world.ovh(method, path, &body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
    }
    let good = r#"{"port":"8080,80","deniedSource":["10.1.0.0/16"],"httpHeader":["X-Shop one two"],"disabled":false,
                   "displayName":"Läden","dedicatedIpfo":["10.0.0.60/32"]}"#;
    world.ovh("PUT", &own, good).is(200);
    let shown = world.ovh("GET", &own, "").is(200).body;
    assert_eq!((&shown["port"], &shown["deniedSource"]), (&json!("80,8080"), &json!(["10.1.0.0/16"])));
    assert_eq!(shown["dedicatedIpfo"], json!(["10.0.0.60/32"]));
    world.ovh("POST", "/refresh", "").is(200);
    let running = world.config.borrow().layer7_virtual_server(&format!("ovh-http-{frontend}")).cloned().expect("it");
    assert_eq!((running.rules.len(), running.request_headers.len()), (1, 1));
    assert_eq!(running.address.to_string(), "10.0.0.60");
    let tcp = r#"{"zone":"rbx","port":"9000-9002","allowedSource":["10.0.0.0/8"]}"#;
    let tcp = world.ovh("POST", "/tcp/frontend", tcp).is(200).body["frontendId"].clone();
    let farm = world.ovh("POST", "/udp/farm", r#"{"zone":"all","port":53}"#).is(200).body["farmId"].clone();
    let tcp_to_udp = json!({"zone": "rbx", "port": "53", "defaultFarmId": farm}).to_string();
    world.ovh("POST", "/tcp/frontend", &tcp_to_udp).is(400).says("is for udp, not for tcp");
    world.ovh("POST", "/udp/frontend", r#"{"zone":"rbx","port":"any"}"#).is(400).says("must name its ports");
    let udp = json!({"zone": "rbx", "port": "53,5353", "defaultFarmId": farm}).to_string();
    let udp = world.ovh("POST", "/udp/frontend", &udp).is(200).body["frontendId"].clone();
    let server = r#"{"address":"192.168.2.50","status":"active"}"#;
    world.ovh("POST", &format!("/udp/farm/{farm}/server"), server).is(200);
    world.ovh("POST", "/refresh", "").is(200).says("done");
    let config = world.config.borrow().clone();
    let manual = config.layer7_virtual_server(&format!("ovh-tcp-{tcp}")).and_then(|vs| vs.manual.clone());
    assert_eq!(manual.map(|m| m.as_str().lines().count()), Some(2));
    assert!(config.virtual_server(&format!("ovh-udp-{udp}")).is_some_and(|vs| vs.service.mark().is_some()));
    world.ovh("DELETE", &own, "").is(200);
    assert!(world.config.borrow().layer7_virtual_server(&format!("ovh-http-{frontend}")).is_some(), "until a refresh");
    world.ovh("POST", "/refresh", "").is(200);
    assert!(world.config.borrow().layer7_virtual_server(&format!("ovh-http-{frontend}")).is_none());
    assert_eq!(world.ovh("GET", "/definedFrontends", "").body.as_array().map(Vec::len), Some(2));
}

#[test]
fn a_refresh_that_cannot_run_is_a_failed_task() {
    let world = World::new();
    site(&world);
    let before = world.config.borrow().layer7.clone();
    world.ovh("POST", "/tcp/frontend", r#"{"zone":"all","port":"80"}"#).is(200);
    let task = world.ovh("POST", "/refresh", "").is(200).body;
    assert_eq!(task["status"], "error");
    assert_eq!(world.config.borrow().layer7, before, "what ran goes on");
    assert_eq!(pending(&world)[0]["number"], 1, "the change is still pending");
    let id = task["id"].as_u64().expect("an id");
    assert_eq!(world.ovh("GET", &format!("/task/{id}"), "").is(200).body["status"], "error");
    assert_eq!(world.ovh("GET", "/task?action=refreshIplb&status=error", "").body, json!([id]));
    assert_eq!(world.ovh("GET", "/task?action=refreshIplb&status=todo", "").body, json!([]));
    assert!(world.comments.borrow().iter().any(|comment| comment.contains("failed") && comment.contains("80")));
}

#[test]
fn tasks_are_bounded() {
    let world = World::new();
    for _ in 0..120 {
        world.ovh("POST", "/refresh", "").is(200);
    }
    assert_eq!(world.ovh("GET", "/task", "").body.as_array().map(Vec::len), Some(100));
}

#[test]
fn a_rackspace_change_does_not_push_pending_ones_out() {
    let world = World::new();
    let (farm, frontend) = site(&world);
    world.ovh("PUT", &format!("/http/farm/{farm}"), r#"{"stickiness":"cookie"}"#).is(200);
    let body = r#"{"name":"x","protocol":"HTTP","port":8000,"virtualIps":[{"type":"PUBLIC"}]}"#;
    world.rackspace("POST", "/loadbalancers", body).is(202);
    let running = world.config.borrow().layer7_virtual_server(&format!("ovh-http-{frontend}")).cloned().expect("it");
    assert_eq!(running.persistence, None);
    assert_eq!(pending(&world)[0]["number"], 1);
}

#[test]
fn the_service_describes_itself() {
    let world = World::new();
    let service = world.ovh("GET", "", "").is(200).body;
    assert_eq!((&service["ipLoadbalancing"], &service["zone"]), (&json!("10.0.0.21"), &json!(["rbx"])));
    assert_eq!(world.ovh("PUT", "", r#"{"displayName":"Läden","sslConfiguration":null}"#).is(200).text, "null");
    assert_eq!(world.ovh("GET", "", "").body["displayName"], "Läden");
    world.ovh("PUT", "", r#"{"sslConfiguration":"old"}"#).is(400);
    for place in [
        "/zone",
        "/status",
        "/definedFarms",
        "/definedFrontends",
        "/availableFarmProbes",
        "/availableFarmType",
        "/availableFrontendType",
        "/natIp",
        "/ssl",
        "/zone/rbx",
        "/task",
        "/http/farm",
        "/udp/frontend",
    ] {
        world.ovh("GET", place, "").is(200);
    }
    world.ovh("GET", "/zone/gra", "").is(404);
    world.ovh("GET", "/nothing", "").is(404);
    world.ovh("POST", "/zone", "").is(405);
    world.ovh_request(&signed(World::request("GET", "/1.0/ipLoadbalancing/other", ""))).is(404);
    let list = world.ovh_request(&signed(World::request("GET", "/v1/ipLoadbalancing", ""))).is(200).body;
    assert_eq!(list, json!(["loadbalancer-1"]));
    let described = world.ovh_request(&World::request("GET", "/1.0/ipLoadbalancing.json", "")).is(200).body;
    assert_eq!(described["basePath"], "https://10.0.0.21:9443/1.0");
    assert!(described["apis"].as_array().is_some_and(|apis| apis.len() > 30));
    assert_eq!(world.ovh_request(&World::request("GET", "/1.0/auth/time", "")).is(200).body, json!(NOW));
}

#[test]
fn certificates_are_shown_after_a_refresh() {
    let world = World::new();
    let (_, frontend) = site(&world);
    let own = format!("/http/frontend/{frontend}");
    let running = || world.config.borrow().layer7_virtual_server(&format!("ovh-http-{frontend}")).cloned().expect("it");
    let kept = || -> Vec<String> {
        let config = world.config.borrow();
        config.layer7.certificates.iter().map(|certificate| certificate.label.to_string()).collect()
    };
    let names = |tls: &lb_model::layer7::Tls| tls.certificates.iter().map(ToString::to_string).collect::<Vec<_>>();
    world.ovh("PUT", &own, r#"{"ssl":true}"#).is(400).says("there is none");
    for (body, word) in [
        ("{}", "certificate"),
        (r#"{"certificate":"a certificate"}"#, "key"),
        (r#"{"certificate":"","key":"a key"}"#, "certificate"),
        (r#"{"certificate":7,"key":"a key"}"#, "certificate"),
        (r#"{"certificate":"an authority","key":"a key"}"#, "not one of a server"),
        (r#"{"certificate":"a certificate","key":"a key","id":4}"#, "id"),
    ] {
        world.ovh("POST", "/ssl", body).is(400).says(word);
    }
    assert_eq!(kept(), [""; 0]);

    let body = r#"{"certificate":"a certificate","key":"a key","chain":"an issuer","displayName":"Läden"}"#;
    let made = world.ovh("POST", "/ssl", body).is(200);
    assert!(!made.text.contains("a key"), "{}", made.text);
    let first = made.body["id"].as_u64().expect("an id");
    let shown = world.ovh("GET", &format!("/ssl/{first}"), "").is(200).body;
    let fields = json!({
        "id": first, "displayName": "Läden", "expireDate": "2030-03-17T17:46:40+00:00", "san": ["shop.example.com"],
        "fingerprint": crate::world::FINGERPRINT, "serial": "0a01", "subject": "CN=shop.example.com", "type": "custom",
    });
    assert_eq!((&shown, &made.body), (&fields, &fields));
    let again = r#"{"certificate":"a certificate","key":"a key"}"#;
    world.ovh("POST", "/ssl", again).is(409).says("there already");
    let second = world.ovh("POST", "/ssl", r#"{"certificate":"the second","key":"a key"}"#).is(200).body["id"].clone();
    let labels = [format!("ovh-ssl-{first}"), format!("ovh-ssl-{second}")];
    assert_eq!(kept(), labels, "kept at once");
    for (query, found) in [
        ("", json!([first, second])),
        ("?type=custom", json!([first, second])),
        ("?type=built", json!([])),
        ("?serial=0a01", json!([first, second])),
        (&format!("?fingerprint={}", crate::world::SECOND), json!([second])),
    ] {
        assert_eq!(world.ovh("GET", &format!("/ssl{query}"), "").is(200).body, found, "{query}");
    }
    let renamed = r#"{"displayName":null,"fingerprint":"x","serial":"7"}"#;
    assert_eq!(world.ovh("PUT", &format!("/ssl/{first}"), renamed).is(200).text, "null");
    assert_eq!(world.ovh("GET", &format!("/ssl/{first}"), "").body["displayName"], Value::Null);
    world.ovh("PUT", &format!("/ssl/{first}"), r#"{"key":"another"}"#).is(400).says("key");

    let shows = json!({"ssl": true, "hsts": true, "defaultSslId": second, "port": "443"});
    world.ovh("PUT", &own, &shows.to_string()).is(200);
    world.ovh("PUT", "", r#"{"sslConfiguration":"modern"}"#).is(200);
    let shown = world.ovh("GET", &own, "").is(200).body;
    assert_eq!((&shown["ssl"], &shown["hsts"], &shown["defaultSslId"]), (&json!(true), &json!(true), &second));
    let found = |query: &str| world.ovh("GET", &format!("/http/frontend?{query}"), "").is(200).body;
    assert_eq!(found(&format!("defaultSslId={second}")), json!([frontend]));
    assert_eq!(found(&format!("defaultSslId={first}")), json!([]));
    assert_eq!(running().tls, None, "it does not run yet");
    assert_eq!(pending(&world), json!([{"zone": "rbx", "number": 4}]));
    world.ovh("POST", "/refresh", "").is(200).says("done");
    let tls = running().tls.expect("TLS");
    assert_eq!(names(&tls), [labels[1].clone(), labels[0].clone()], "the default first");
    assert_eq!((tls.profile.as_str(), tls.hsts), ("modern", Some(15_768_000)));

    world.ovh("DELETE", &format!("/ssl/{second}"), "").is(409).says("used by frontend");
    world.ovh("PUT", &own, r#"{"hsts":false,"defaultSslId":null}"#).is(200);
    world.ovh("DELETE", &format!("/ssl/{second}"), "").is(200);
    world.ovh("GET", &format!("/ssl/{second}"), "").is(404);
    world.ovh("DELETE", &format!("/ssl/{first}"), "").is(409).says("used by frontend");
    assert_eq!((names(&running().tls.expect("TLS")).len(), kept().len()), (2, 2), "until a refresh");
    world.ovh("PUT", "", r#"{"sslConfiguration":null}"#).is(200);
    world.ovh("POST", "/refresh", "").is(200).says("done");
    let tls = running().tls.expect("TLS");
    assert_eq!((names(&tls), tls.profile.as_str(), tls.hsts), (vec![labels[0].clone()], "compatible", None));
    assert_eq!(kept(), labels[..1]);
    world.ovh("PUT", &own, r#"{"ssl":false}"#).is(200);
    world.ovh("DELETE", &format!("/ssl/{first}"), "").is(200);
    world.ovh("POST", "/refresh", "").is(200).says("done");
    assert_eq!((running().tls, kept().len()), (None, 0));

    // A front-end of tcp, and a label that is somebody's own.
    let third = world.ovh("POST", "/ssl", again).is(200).body["id"].clone();
    let tcp = json!({"zone": "all", "port": "993", "ssl": true}).to_string();
    let tcp = world.ovh("POST", "/tcp/frontend", &tcp).is(200).body;
    assert!(tcp.get("hsts").is_none() && tcp["ssl"] == json!(true));
    world.ovh("POST", "/refresh", "").is(200).says("done");
    let label = format!("ovh-tcp-{}", tcp["frontendId"]);
    assert!(world.config.borrow().layer7_virtual_server(&label).is_some_and(|vs| vs.tls.is_some()));
    assert_eq!(kept(), [format!("ovh-ssl-{third}")]);
}

#[test]
fn keys_and_signatures_are_checked() {
    let world = World::new();
    let path = "/1.0/ipLoadbalancing/loadbalancer-1/http/farm?zone=r%62x";
    let plain = World::request("GET", path, "");
    let header = |name: &str, value: &str| {
        let mut request = signed(plain.clone());
        request.headers.iter_mut().filter(|(n, _)| n == name).for_each(|(_, v)| *v = value.into());
        request
    };
    let check = |request: &Request, status: u16, code: &str| {
        let answer = world.ovh_request(request).is(status).says(code);
        assert!(answer.body["message"].as_str().is_some_and(|words| !words.is_empty()));
    };
    world.ovh_request(&signed(plain.clone())).is(200);
    check(&plain, 401, "You must login first");
    check(&header("x-ovh-application", "OTHER"), 403, "INVALID_KEY");
    check(&header("x-ovh-consumer", "OTHER"), 403, "NOT_CREDENTIAL");
    check(&header("x-ovh-timestamp", &(NOW - 181).to_string()), 400, "QUERY_TIME_OUT");
    check(&header("x-ovh-timestamp", "now"), 400, "QUERY_TIME_OUT");
    check(&header("x-ovh-signature", "$1$0"), 400, "INVALID_SIGNATURE");
    let mut moved = signed(plain.clone());
    moved.query = "zone=rbx".into();
    check(&moved, 400, "INVALID_SIGNATURE");
    // Clients that leave the port out, or speak to whoever ends TLS.
    let sign = |consumer: &str, method: &str, url: &str| {
        let mut request = header("x-ovh-consumer", consumer);
        request.method = method.into();
        let signature = signature(crate::world::SECRET, consumer, method, url, b"", &NOW.to_string());
        request.headers.iter_mut().filter(|(n, _)| n == "x-ovh-signature").for_each(|(_, v)| *v = signature.clone());
        request
    };
    for base in ["https://10.0.0.21:9443", "https://10.0.0.21", "http://10.0.0.21:9443", "http://10.0.0.21"] {
        world.ovh_request(&sign("CK", "GET", &format!("{base}{path}"))).is(200);
    }
    let url = format!("https://10.0.0.21{path}");
    check(&sign("WAITING", "GET", &url), 403, "INVALID_CREDENTIAL");
    world.ovh_request(&sign("LOOK", "GET", &url)).is(200);
    check(&sign("LOOK", "POST", &url), 403, "NOT_GRANTED_CALL");
    let mut look = World::new();
    look.changes = false;
    look.ovh("GET", "/http/farm", "").is(200);
    look.ovh("POST", "/http/farm", r#"{"zone":"all"}"#).is(403).says("Client::Forbidden");
}

#[test]
fn a_grant_is_asked_for() {
    let world = World::new();
    let ask = |body: &str, key: &str| {
        let mut request = World::request("POST", "/1.0/auth/credential", body);
        request.headers.push(("x-ovh-application".into(), key.into()));
        world.ovh_request(&request)
    };
    let good =
        r#"{"accessRules":[{"method":"GET","path":"/*"}],"redirection":"https://www.example.com/","allowedIPs":null}"#;
    let answer = ask(good, "AK").is(200).body;
    assert_eq!(answer["state"], "pendingValidation");
    assert_eq!(answer["validationUrl"], "https://10.0.0.21:9443/auth/?credentialToken=approval");
    ask(good, "OTHER").is(403).says("INVALID_KEY");
    for wrong in [
        "{}",
        r#"{"accessRules":[]}"#,
        r#"{"accessRules":[{"method":"PATCH","path":"/*"}]}"#,
        r#"{"accessRules":[{"method":"GET","path":"*"}]}"#,
        r#"{"accessRules":[{"method":"GET","path":"/*"}],"redirection":"javascript:alert(1)"}"#,
        r#"{"accessRules":[{"method":"GET","path":"/*"}],"allowedIPs":["x"]}"#,
    ] {
        ask(wrong, "AK").is(400);
    }
    let current = world.ovh_request(&signed(World::request("GET", "/1.0/auth/currentCredential", ""))).is(200).body;
    assert_eq!(current["status"], "validated");
}
