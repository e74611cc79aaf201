//! Who is let in, and how every refusal looks.

use super::{Program, administrator, token};
use crate::rig::Rig;
use lb_access::Role;
use lbadmin::app::now;
use serde_json::json;

#[test]
fn no_token_no_answer() {
    let rig = Rig::start();
    let refused = rig.browser().send("GET", "/api/v1/status", &[], None).problem(401, "unauthorized");
    assert!(refused.header("www-authenticate").starts_with("Bearer "));
    for bad in ["Bearer lbt_x", "Bearer", "Basic bG9hZGJhbGFuY2VyOmxvYWRiYWxhbmNlcg==", "lbt_x"] {
        let refused = rig.browser().send("GET", "/api/v1/status", &[("authorization", bad)], None);
        refused.problem(401, "unauthorized");
    }
    let log = rig.app.access.audit(Some("/v1/status"), None, 10).entries;
    assert_eq!(log.iter().filter(|l| l.entry.refused).count(), 5, "{log:?}");
}

/// A session of the browser is none of the API's, and a body is not even read without a token.
#[test]
fn a_cookie_counts_for_nothing() {
    let rig = Rig::start();
    let mut browser = rig.logged_in();
    browser.send("GET", "/api/v1/status", &[], None).problem(401, "unauthorized");
    let body = "x".repeat(2 << 20);
    browser
        .send("PUT", "/api/v1/globals", &[("content-type", "application/json")], Some(body.as_bytes()))
        .problem(401, "unauthorized");
}

#[test]
fn a_token_that_is_revoked_or_expired_is_none() {
    let p = Program::start();
    p.get("/api/v1/summary").is(200);
    for token in p.rig.app.access.tokens() {
        p.rig.app.access.revoke_token(&token.id, &administrator(), now()).expect("revoked");
    }
    p.get("/api/v1/summary").problem(401, "unauthorized");
}

#[test]
fn every_refusal_is_problem_details() {
    let p = Program::start();
    p.get("/api/v1/nowhere").problem(404, "not-found");
    p.get("/api").problem(404, "not-found");
    p.get("/api/v1/virtual-servers/a%2Fb").problem(404, "not-found");
    p.get("/api/v1/virtual-servers/%ff").problem(404, "not-found");
    let refused = p.send("PATCH", "/api/v1/config/candidate", &[], None).problem(405, "method-not-allowed");
    for method in ["GET", "PUT", "DELETE"] {
        assert!(refused.header("allow").contains(method), "{}", refused.header("allow"));
    }
    p.send("GET", "/api/v1/status", &[("accept", "text/html")], None).problem(406, "not-acceptable");
    let put = |headers: &[(&str, &str)], body: &str| {
        let mut all = vec![("if-match", "*")];
        all.extend(headers);
        p.send("PUT", "/api/v1/globals", &all, Some(body))
    };
    put(&[("content-type", "text/plain")], "{}").problem(415, "unsupported-media-type");
    put(&[("content-type", "")], "{}").problem(415, "unsupported-media-type");
    put(&[], &"x".repeat(2 << 20)).problem(413, "too-large");
    put(&[], "{").problem(400, "bad-request");
    put(&[], "[]").problem(422, "malformed");
    put(&[], r#"{"masquerade": 1, "surprise": 2}"#).problem(422, "malformed");
    let many = put(&[], r#"{"health": {"interval": 0, "fall": "x"}}"#).problem(422, "malformed").json();
    let paths: Vec<&str> =
        many["problems"].as_array().expect("a list").iter().filter_map(|p| p["path"].as_str()).collect();
    assert_eq!(paths, ["/health/fall", "/health/interval"]);
}

/// A page of another site cannot know a token; what it sends is refused before anything is looked at.
#[test]
fn a_foreign_origin_is_refused() {
    let p = Program::start();
    let foreign = [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    p.send("POST", "/api/v1/reconcile", &foreign, None).problem(403, "forbidden");
}

#[test]
fn lbd_that_does_not_answer_is_503() {
    let p = Program::start();
    std::fs::remove_file(&p.rig.socket).expect("the socket");
    let refused = p.get("/api/v1/status?").problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "5");
    p.post("/api/v1/apply", &json!({})).problem(503, "unavailable");
}

/// What each role may, by the document: every route with a lesser role is 403, none is with enough.
#[test]
fn roles_are_as_the_document_says() {
    let p = Program::start();
    let document = p.get("/api/v1/openapi.json").is(200).json();
    let rank = |scope: &str| match scope {
        "look" => 0,
        "set-state" | "backup" => 1,
        "configure" | "administer" => 2,
        other => panic!("no permission {other}"),
    };
    let tokens = [(0, token(&p.rig, "report", Role::Report)), (1, token(&p.rig, "maintenance", Role::Maintenance))];
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let scope = operation["security"][0]["token"][0].as_str().expect("a scope");
            for (has, token) in &tokens {
                if *has < rank(scope) {
                    let path = path.replace(['{', '}'], "");
                    let authorization = format!("Bearer {token}");
                    let page =
                        p.rig.browser().send(&method.to_uppercase(), &path, &[("authorization", &authorization)], None);
                    page.problem(403, "forbidden");
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 20, "only {asked}");
    let log = p.rig.app.access.audit(Some("refused"), None, 1000).entries;
    assert_eq!(log.iter().filter(|l| l.entry.detail.contains("does not allow this")).count(), asked);
}
