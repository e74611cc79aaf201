//! lbd's routes, and the parts of the candidate as objects.

use super::Program;
use crate::rig::guide;
use lb_access::Role;
use serde_json::json;
use std::{sync::Barrier, thread};

const VS: &str = "/api/v1/virtual-servers";
const RS: &str = "/api/v1/virtual-servers/HTTP_Cluster/real-servers";

#[test]
fn a_real_server_is_added_changed_applied_and_removed() {
    let p = Program::start();
    let new = json!({"label": "WebServer9", "address": "192.168.2.59", "forwarding": "nat", "weight": 3});
    let made = p.post(RS, &new).is(201);
    assert_eq!(made.header("location"), format!("{RS}/WebServer9"));
    p.post(RS, &new).problem(409, "conflict");
    let place = made.header("location");
    let read = p.get(place).is(200);
    assert_eq!(read.header("etag"), made.header("etag"));
    assert_eq!(read.json()["weight"], 3);

    let mut changed = read.json();
    changed["weight"] = 7.into();
    p.send("PUT", place, &[], Some(&changed.to_string())).problem(428, "precondition-required");
    p.put(place, "\"another\"", &changed).problem(412, "precondition-failed");
    let now = p.put(place, read.header("etag"), &changed).is(200);
    p.put(place, read.header("etag"), &changed).problem(412, "precondition-failed");
    assert_eq!(p.get(place).header("etag"), now.header("etag"));

    let candidate = p.get("/api/v1/config/candidate").is(200).json();
    assert_eq!(candidate["author"], "loadbalancer/token first (127.0.0.1)");
    assert_eq!(
        candidate["changes"][0]["text"],
        "Add real server WebServer9 at 192.168.2.59 (nat, weight 7) to HTTP_Cluster"
    );
    let applied = p.post("/api/v1/apply", &json!({"author": "somebody else", "comment": "more"})).is(200).json();
    assert_eq!(applied["revision"]["author"], "loadbalancer/token first (127.0.0.1)", "the token says who it was");
    assert_eq!(applied["converged"], true);

    p.delete(place, "").problem(428, "precondition-required");
    p.delete(place, now.header("etag")).is(204);
    p.get(place).problem(404, "not-found");
    p.delete("/api/v1/config/candidate", "*").is(200);
    p.get(place).is(200);
}

#[test]
fn layer_7_has_the_same_objects() {
    const VS: &str = "/api/v1/layer-7/virtual-servers";
    let p = Program::start();
    let shop = json!({"label": "Shop", "address": "10.0.0.21", "ports": 8080, "persistence": {"type": "cookie"}});
    let made = p.post(VS, &shop).is(201);
    assert_eq!(made.header("location"), format!("{VS}/Shop"));
    p.post(VS, &shop).problem(409, "conflict");
    let taken = json!({"label": "HTTP_Cluster", "address": "10.0.0.21", "ports": 8081});
    p.post(VS, &taken).problem(409, "conflict");
    let wrong = json!({"label": "Far", "address": "10.0.0.21", "ports": 8080, "persistence": {"type": "cookies"}});
    let wrong = p.post(VS, &wrong).problem(422, "malformed").json();
    assert_eq!(wrong["problems"][0]["path"], "/persistence/type");
    let same = json!({"label": "Same", "address": "10.0.0.21", "ports": 8080});
    let refused = p.post(VS, &same).problem(422, "invalid").json();
    assert_eq!(refused["problems"][0]["path"], "/layer7/virtual_servers/1/ports");

    let rs = format!("{VS}/Shop/real-servers");
    p.post(&rs, &json!({"label": "WebServer1", "address": "192.168.2.50", "port": 80})).is(201);
    let place = format!("{rs}/WebServer1");
    let read = p.get(&place).is(200);
    let mut changed = read.json();
    changed["weight"] = 256.into();
    p.put(&place, "", &changed).problem(428, "precondition-required");
    p.put(&place, read.header("etag"), &changed).is(200);
    p.put(&place, read.header("etag"), &changed).problem(412, "precondition-failed");
    changed["weight"] = 257.into();
    p.put(&place, "*", &changed).problem(422, "malformed");

    let mut vs = p.get(&format!("{VS}/Shop")).is(200).json();
    assert_eq!(vs["real_servers"][0]["weight"], 256);
    vs["label"] = "Store".into();
    let renamed = p.put(&format!("{VS}/Shop"), "*", &vs).is(200);
    assert_eq!(renamed.header("content-location"), format!("{VS}/Store"));
    assert_eq!(p.get(&format!("{VS}?q=8080")).is(200).json()["total"], 1);
    assert_eq!(p.get(&format!("{VS}/Store/real-servers")).is(200).json()["total"], 1);

    let settings = p.get("/api/v1/layer-7/settings").is(200);
    let mut more = settings.json();
    more["timeouts"]["client"] = 90.into();
    more["max_connections"] = 5000.into();
    p.put("/api/v1/layer-7/settings", settings.header("etag"), &more).is(200);
    p.put("/api/v1/layer-7/settings", settings.header("etag"), &more).problem(412, "precondition-failed");
    more["timeouts"]["client"] = 0.into();
    p.put("/api/v1/layer-7/settings", "*", &more).problem(422, "malformed");

    let applied = p.post("/api/v1/apply", &json!({})).is(200).json();
    assert_eq!(applied["revision"]["number"], 2);
    let status = p.get("/api/v1/status").is(200).json();
    assert_eq!(
        (&status["virtual_servers"][1]["label"], &status["virtual_servers"][1]["layer"]),
        (&"Store".into(), &7.into())
    );
    p.delete(&format!("{VS}/Store/real-servers/WebServer1"), "*").is(204);
    p.delete(&format!("{VS}/Store"), "*").is(204);
    p.get(&format!("{VS}/Store")).problem(404, "not-found");
}

#[test]
fn a_virtual_server_is_renamed_and_removed() {
    let p = Program::start();
    let mut vs = p.get(&format!("{VS}/HTTP_Cluster")).is(200).json();
    vs["label"] = "Shop".into();
    let renamed = p.put(&format!("{VS}/HTTP_Cluster"), "*", &vs).is(200);
    assert_eq!(renamed.header("content-location"), format!("{VS}/Shop"));
    p.get(&format!("{VS}/HTTP_Cluster")).problem(404, "not-found");
    p.put(&format!("{VS}/HTTP_Cluster"), "*", &vs).problem(404, "not-found");
    p.delete(&format!("{VS}/Shop"), renamed.header("etag")).is(204);
    assert_eq!(p.get(VS).is(200).json()["total"], 0);
}

#[test]
fn somebody_elses_change_elsewhere_is_no_conflict() {
    let p = Program::start();
    let tag = p.get(&format!("{VS}/HTTP_Cluster")).header("etag").to_owned();
    let globals = p.get("/api/v1/globals").is(200);
    let mut other = globals.json();
    other["health"]["interval"] = 3.into();
    p.put("/api/v1/globals", globals.header("etag"), &other).is(200);
    let mut vs = p.get(&format!("{VS}/HTTP_Cluster")).json();
    vs["scheduler"] = "rr".into();
    p.put(&format!("{VS}/HTTP_Cluster"), &tag, &vs).is(200);
    let config = p.get("/api/v1/config/candidate").json()["config"].clone();
    assert_eq!(
        (&config["globals"]["health"]["interval"], &config["virtual_servers"][0]["scheduler"]),
        (&3.into(), &"rr".into())
    );
}

#[test]
fn a_new_problem_is_refused_and_an_old_one_keeps_nobody_from_mending() {
    let p = Program::start();
    let bad = json!({"label": "Far", "address": "172.16.0.9", "forwarding": "dr"});
    let refused = p.post(RS, &bad).problem(422, "invalid").json();
    assert_eq!(refused["problems"][0]["path"], "/virtual_servers/0/real_servers/1/address");
    // By the whole candidate it may come in: an edit in steps.
    let mut config = serde_json::to_value(guide()).expect("written");
    config["virtual_servers"][0]["real_servers"].as_array_mut().expect("a list").push(bad);
    let put = p.put("/api/v1/config/candidate", "*", &json!({"config": config})).is(200).json();
    assert_eq!(put["problems"][0]["path"], "/virtual_servers/0/real_servers/1/address");
    p.post("/api/v1/apply", &json!({})).problem(422, "invalid");
    let globals = p.get("/api/v1/globals").json();
    p.put("/api/v1/globals", "*", &globals).is(200);
    p.delete(&format!("{RS}/Far"), "*").is(204);
    assert_eq!(p.get("/api/v1/config/candidate").json()["problems"], json!([]));
}

#[test]
fn the_whole_candidate_is_protected_by_its_tag() {
    let p = Program::start();
    let path = "/api/v1/config/candidate";
    let seen = p.get(path).is(200);
    let mut config = seen.json()["config"].clone();
    config["node"]["hostname"] = "one".into();
    p.send("PUT", path, &[], Some(&json!({"config": config}).to_string())).problem(428, "precondition-required");
    let put = p.put(path, seen.header("etag"), &json!({"config": config, "author": "x"})).is(200);
    assert_eq!(put.header("etag"), p.get(path).header("etag"));
    p.put(path, seen.header("etag"), &json!({"config": config})).problem(412, "precondition-failed");
    p.delete(path, seen.header("etag")).problem(412, "precondition-failed");
    // As on the socket: the etag in the body.
    p.put(path, "*", &json!({"config": config, "etag": 99})).problem(409, "conflict");
    p.send("DELETE", path, &[("if-match", "*")], Some(&json!({"etag": 99}).to_string())).problem(409, "conflict");
    p.send("DELETE", path, &[], None).problem(428, "precondition-required");
    p.delete(path, put.header("etag")).is(200);
}

/// An edit at the same moment as a discard that has not seen it: one of the two is refused, whichever comes second.
#[test]
fn a_discard_never_throws_away_an_edit_of_the_same_moment() {
    let p = Program::start();
    let path = "/api/v1/config/candidate";
    let named = |name: &str| {
        let mut config = p.get("/api/v1/config/running").is(200).json()["config"].clone();
        config["node"]["hostname"] = name.into();
        json!({"config": config})
    };
    for round in 0..30 {
        let seen = p.put(path, "*", &named("first")).is(200).header("etag").to_owned();
        let newer = named(&format!("newer{round}"));
        let together = Barrier::new(2);
        let (discard, edit) = thread::scope(|scope| {
            let edit = scope.spawn(|| {
                together.wait();
                p.put(path, &seen, &newer)
            });
            together.wait();
            (p.delete(path, &seen), edit.join().expect("an answer"))
        });
        let there = p.get(path).is(200).json();
        let late = if edit.status == 200 { &discard } else { &edit };
        assert!([409, 412].contains(&late.status), "round {round}: {} and {}", discard.status, edit.status);
        assert_eq!(there["etag"] != 0, edit.status == 200, "round {round}: {there}");
    }
}

#[test]
fn lists_come_in_pages() {
    let p = Program::start();
    for n in 10..35 {
        p.post(
            RS,
            &json!({"label": format!("S{n}"), "address": format!("192.168.2.{}", 100 + n), "forwarding": "nat"}),
        )
        .is(201);
    }
    let page = p.get(&format!("{RS}?limit=10&offset=10&q=S")).is(200);
    assert_eq!(page.json()["total"], 26, "WebServer1 has an s, too");
    assert_eq!(page.json()["items"].as_array().map(Vec::len), Some(10));
    assert!(
        page.header("link").contains(&format!("<{RS}?limit=10&offset=20&q=S>; rel=\"next\"")),
        "{}",
        page.header("link")
    );
    p.get(&format!("{RS}?limit=0")).problem(400, "bad-request");
    p.get(&format!("{RS}?limit=1001")).problem(400, "bad-request");
    p.get(&format!("{RS}?limit=1&limit=2")).problem(400, "bad-request");
    p.get(&format!("{RS}?page=2")).problem(400, "bad-request");
}

#[test]
fn a_server_goes_offline_with_the_role_maintenance() {
    let p = Program::with(Role::Maintenance);
    let request = json!({"virtual_server": "HTTP_Cluster", "real_server": "WebServer1", "state": "offline"});
    p.post("/api/v1/real-servers/state", &request).is(200);
    let status = p.get("/api/v1/status").is(200).json();
    assert_eq!(status["virtual_servers"][0]["real_servers"][0]["requested"], "offline");
    p.post("/api/v1/apply", &json!({})).problem(403, "forbidden");
    p.post(RS, &json!({"label": "x", "address": "192.168.2.9", "forwarding": "nat"})).problem(403, "forbidden");
}

#[test]
fn the_settings_of_the_node() {
    let p = Program::start();
    for path in ["/api/v1/globals", "/api/v1/dns", "/api/v1/routes", "/api/v1/interfaces/eth0", "/api/v1/fallback-page"]
    {
        let read = p.get(path).is(200);
        let put = p.put(path, read.header("etag"), &read.json()).is(200);
        assert_eq!(put.header("etag"), read.header("etag"), "{path}: what was read is what there is");
    }
    p.put("/api/v1/fallback-page", "*", &json!({"html": "<h1>Back soon</h1>"})).is(200);
    p.put("/api/v1/fallback-page", "*", &json!({"html": ""})).problem(422, "malformed");
    let eth2 = json!({"name": "eth2", "addresses": ["10.9.0.1/24"]});
    p.post("/api/v1/interfaces", &eth2).is(201);
    p.post("/api/v1/interfaces", &eth2).problem(409, "conflict");
    p.put("/api/v1/interfaces/eth2", "*", &json!({"name": "eth3"})).problem(400, "bad-request");
    p.delete("/api/v1/interfaces/eth2", "*").is(204);
    p.delete("/api/v1/interfaces/eth2", "*").problem(404, "not-found");
    p.put("/api/v1/routes", "*", &json!({"gateway": "1.2.3.4", "routes": []})).problem(422, "invalid");
    p.put("/api/v1/dns", "*", &json!({"hostname": "-", "nameservers": []})).problem(422, "malformed");
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let p = Program::start();
    let read = p.get("/api/v1/config/running").is(200);
    let again = p.send("GET", "/api/v1/config/running", &[("if-none-match", read.header("etag"))], None).is(304);
    assert_eq!((again.text.as_str(), again.header("etag")), ("", read.header("etag")));
}

/// Where a request comes from is seen, not believed: this stranger would be locked out, the test itself is not.
#[test]
fn a_lock_down_goes_by_the_address_that_is_seen() {
    let p = Program::start();
    let mut globals = p.get("/api/v1/globals").json();
    globals["lockdown"] = json!({"enabled": true, "networks": []});
    p.put("/api/v1/globals", "*", &globals).problem(422, "invalid");
    globals["lockdown"]["networks"] = json!(["10.1.0.0/16"]);
    p.put("/api/v1/globals", "*", &globals).is(200);
    p.send("POST", "/api/v1/apply", &[("content-type", "application/json")], Some(r#"{"from": "203.0.113.9"}"#))
        .is(200);
    assert_eq!(p.get("/api/v1/globals").json()["lockdown"]["enabled"], true);
}

#[test]
fn history_plan_and_rollback() {
    let p = Program::start();
    let mut globals = p.get("/api/v1/globals").json();
    globals["health"]["interval"] = 7.into();
    p.put("/api/v1/globals", "*", &globals).is(200);
    let plan = p.send("POST", "/api/v1/plan", &[], None).is(200).json();
    assert_eq!(plan["changes"][0]["text"], "Change health check interval from 10 s to 7 s");
    p.send("POST", "/api/v1/apply", &[], None).is(200);
    assert_eq!(p.get("/api/v1/history?limit=1").is(200).json()[0]["number"], 2);
    p.get("/api/v1/history/99").problem(404, "not-found");
    p.get("/api/v1/history/x").problem(404, "not-found");
    let sentences = |path: &str| {
        let all = p.get(path).is(200).json();
        all.as_array().expect("a list").iter().map(|c| c["text"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let (made, back): (Vec<String>, Vec<String>) =
        (sentences("/api/v1/history/2/changes?from=1"), sentences("/api/v1/history/1/changes"));
    assert!(!made.is_empty() && made.len() == back.len() && made != back, "{made:?} {back:?}");
    assert_eq!(sentences("/api/v1/history/2/changes"), Vec::<String>::new(), "it runs");
    p.get("/api/v1/history/1/changes?from=99").problem(404, "not-found");
    p.post("/api/v1/rollback", &json!({"revision": 1})).is(200);
    assert_eq!(p.get("/api/v1/globals").json()["health"]["interval"], 10);
}
