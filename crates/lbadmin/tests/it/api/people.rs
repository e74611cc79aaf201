//! Users, tokens, sessions, the audit log, web settings, the certificate.

use super::Program;
use crate::rig::PASSWORD;
use lb_access::Role;
use serde_json::json;

#[test]
fn a_user_is_added_changed_and_removed() {
    let p = Program::start();
    let carol = json!({"name": "carol", "role": "report", "password": "ten letters"});
    let made = p.post("/api/v1/users", &carol).is(201);
    assert_eq!(made.header("location"), "/api/v1/users/carol");
    assert_eq!(made.json()["must_change_password"], true);
    p.post("/api/v1/users", &carol).problem(409, "conflict");
    let secret = p.post("/api/v1/users", &json!({"name": "dave", "role": "report", "password": "loadbalancer"}));
    let secret = secret.problem(422, "malformed").json();
    assert_eq!(secret["problems"][0]["path"], "/password", "the factory password is refused: {secret}");
    let changed = p.put("/api/v1/users/carol/role", "*", &json!({"role": "maintenance"})).is(200);
    assert_eq!(changed.json()["role"], "maintenance");
    p.put("/api/v1/users/carol/password", "*", &json!({"password": "eleven letters"})).is(204);
    p.post("/api/v1/users/carol/unlock", &json!({})).is(200);
    p.delete("/api/v1/users/carol/totp", "*").is(204);
    p.delete("/api/v1/users/loadbalancer", "*").problem(409, "conflict");
    p.put("/api/v1/users/loadbalancer/role", "*", &json!({"role": "report"})).problem(409, "conflict");
    p.delete("/api/v1/users/carol", "*").is(204);
    p.get("/api/v1/users/carol").problem(404, "not-found");
    p.get("/api/v1/users/%2e%2e").problem(404, "not-found");
    let log = p.get("/api/v1/audit?q=carol").is(200).json();
    assert!(log["entries"].as_array().expect("entries").len() >= 5, "{log}");
    assert_eq!(log["entries"][0]["user"], "loadbalancer/token first");
}

#[test]
fn a_token_is_shown_once_and_revoked() {
    let p = Program::start();
    let made = p.post("/api/v1/tokens", &json!({"name": "ci", "role": "report"})).is(201).json();
    let text = made["token"].as_str().expect("its text").to_owned();
    assert!(!p.get("/api/v1/tokens").is(200).text.contains(&text), "shown once");
    let bearer = format!("Bearer {text}");
    let ask =
        |status: u16| p.rig.browser().send("GET", "/api/v1/summary", &[("authorization", &bearer)], None).is(status);
    ask(200);
    p.post("/api/v1/tokens", &json!({"name": "ci", "role": "report"})).problem(409, "conflict");
    p.post("/api/v1/tokens", &json!({"name": " x", "role": "report"})).problem(422, "malformed");
    p.post("/api/v1/tokens", &json!({"name": "old", "role": "report", "expires": 1})).problem(422, "malformed");
    p.delete(&format!("/api/v1/tokens/{}", made["id"].as_str().expect("an id")), "*").is(204);
    ask(401);
}

#[test]
fn a_session_is_seen_and_ended() {
    let p = Program::start();
    let mut browser = p.rig.browser();
    browser.post("/lbadmin/login", &[("user", "loadbalancer"), ("password", PASSWORD)]).is(303);
    assert_eq!(browser.get("/lbadmin/").status, 200);
    for session in p.get("/api/v1/sessions").is(200).json().as_array().expect("sessions") {
        p.delete(&format!("/api/v1/sessions/{}", session["id"].as_str().expect("an id")), "*").is(204);
    }
    assert_eq!(browser.get("/lbadmin/").status, 303);
    p.delete("/api/v1/sessions/none", "*").problem(404, "not-found");
}

#[test]
fn web_settings_are_protected_by_their_tag() {
    let p = Program::start();
    let read = p.get("/api/v1/web-settings").is(200);
    let mut new = read.json();
    new["session_idle"] = 600.into();
    p.put("/api/v1/web-settings", "\"x\"", &new).problem(412, "precondition-failed");
    p.put("/api/v1/web-settings", read.header("etag"), &new).is(200);
    new["session_absolute"] = 300.into();
    let refused = p.put("/api/v1/web-settings", "*", &new).problem(422, "malformed").json();
    assert_eq!(refused["problems"][0]["path"], "/session_absolute");
}

#[test]
fn the_certificate_is_replaced() {
    let p = Program::start();
    let before = p.get("/api/v1/certificate").is(200).json();
    let made =
        p.post("/api/v1/certificate/self-signed", &json!({"names": ["lb1.example.com", "10.0.0.21"]})).is(200).json();
    assert_ne!(before["fingerprint"], made["fingerprint"]);
    assert_eq!(made["names"], json!(["lb1.example.com", "10.0.0.21"]));
    let bad = json!({"chain": "x", "key": "-----BEGIN PRIVATE KEY-----"});
    let refused = p.put("/api/v1/certificate", "*", &bad).problem(422, "malformed");
    assert!(!refused.text.contains("BEGIN PRIVATE"), "{}", refused.text);
    assert_eq!(p.get("/api/v1/certificate").json()["fingerprint"], made["fingerprint"]);
}

#[test]
fn what_is_measured_is_there() {
    let p = Program::with(Role::Report);
    p.get("/api/v1/rates").is(200);
    p.get("/api/v1/series/keys").is(200);
    p.get("/api/v1/series?key=vs:nothing").problem(404, "not-found");
    p.get("/api/v1/series?key=x").problem(400, "bad-request");
    p.get("/api/v1/series?key=system&span=2h").problem(400, "bad-request");
    p.get("/api/v1/series").problem(400, "bad-request");
}
