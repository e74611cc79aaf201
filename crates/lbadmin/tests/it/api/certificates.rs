//! Certificates of layer 7, from the upload to the configuration.

use super::Program;
use lb_access::Role;
use serde_json::json;

#[test]
fn a_certificate_is_made_named_and_removed() {
    let p = Program::start();
    assert_eq!(p.get("/api/v1/certificates").is(200).json(), json!([]));
    let made = p.post("/api/v1/certificates/self-signed", &json!({"names": ["shop.example.com"], "days": 90})).is(201);
    assert!(!made.text.contains("PRIVATE"), "{}", made.text);
    let made = made.json();
    let place = format!("/api/v1/certificates/{}", made["fingerprint"].as_str().expect("a fingerprint"));
    let list = p.get("/api/v1/certificates").is(200);
    assert!(!list.text.contains("PRIVATE"), "{}", list.text);
    assert_eq!(list.json()[0]["names"], json!(["shop.example.com"]));
    p.delete(&place, "*").is(200);
    p.delete(&place, "*").problem(404, "not-found");
    p.post("/api/v1/certificates/self-signed", &json!({"names": []})).problem(422, "malformed");
    let wrong = p.post("/api/v1/certificates", &json!({"pem": "hello"})).problem(422, "invalid").json();
    assert_eq!(wrong["problems"][0]["path"], "/file", "{wrong}");
    let large = "x".repeat(10 << 20);
    let large = p.post("/api/v1/certificates", &json!({"pem": large}));
    assert!(large.status == 422 && large.text.contains("1500000"), "{}: {}", large.status, large.text);
    let log = p.get("/api/v1/audit?q=certificate").is(200).json();
    assert!(log["entries"].as_array().expect("entries").len() >= 2, "{log}");
}

#[test]
fn a_request_waits_for_its_certificate() {
    let p = Program::start();
    let body = json!({"names": ["shop.example.com"], "country": "DE"});
    let made = p.post("/api/v1/certificates/request", &body).is(201).json();
    assert_eq!(made["kind"], "request");
    assert!(made["request"].as_str().is_some_and(|text| text.starts_with("-----BEGIN CERTIFICATE REQUEST")), "{made}");
}

#[test]
fn who_only_looks_adds_nothing() {
    let p = Program::with(Role::Report);
    p.get("/api/v1/certificates").is(200);
    p.post("/api/v1/certificates/self-signed", &json!({"names": ["a.example.com"]})).problem(403, "forbidden");
}
