//! The served document is the router, and nothing else.

use super::Program;
use serde_json::Value;
use std::collections::BTreeSet;

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of = |(path, item): (&String, &Value)| {
        let item = item.as_object().expect("methods").clone();
        item.into_iter().map(|(method, operation)| (path.clone(), method, operation)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

#[test]
fn every_documented_method_is_routed_and_no_other() {
    let p = Program::start();
    let document = p.get("/api/v1/openapi.json").is(200).json();
    assert_eq!(document["openapi"], "3.1.0");
    let all = operations(&document);
    assert!(all.len() > 30, "only {}", all.len());
    let paths: BTreeSet<&String> = all.iter().map(|(path, ..)| path).collect();
    for path in paths {
        let documented: BTreeSet<&str> = all.iter().filter(|(p, ..)| p == path).map(|(_, m, _)| m.as_str()).collect();
        let asked = path.replace(['{', '}'], "");
        for method in METHODS {
            // Without a token: what is routed says 401, before it does anything.
            let page = p.rig.browser().send(&method.to_uppercase(), &asked, &[], None);
            if documented.contains(method) {
                page.problem(401, "unauthorized");
            } else {
                let page = page.problem(405, "method-not-allowed");
                let allowed: BTreeSet<String> =
                    page.header("allow").split(',').map(|m| m.trim().to_lowercase()).filter(|m| m != "head").collect();
                assert_eq!(allowed, documented.iter().map(|m| (*m).to_owned()).collect(), "{path}");
            }
        }
    }
}

#[test]
fn lbds_routes_are_all_there() {
    use lb_api::route;
    let p = Program::start();
    let document = p.get("/api/v1/openapi.json").json();
    for path in [
        route::RUNNING,
        route::CANDIDATE,
        route::FACTORY,
        route::PLAN,
        route::APPLY,
        route::CONFIRM,
        route::HISTORY,
        route::REVISION,
        route::ROLLBACK,
        route::STATUS,
        route::STATE,
        route::RECONCILE,
        route::SUMMARY,
        route::CONNECTIONS,
        route::NETWORK,
        route::SYSTEM,
        route::LOG,
        route::SERVICES,
        route::RESTART_SERVICE,
        route::UNIT,
        route::HA,
        route::TAKEOVER,
        route::STANDBY,
        route::MAINTENANCE,
        route::PAIRING,
        route::UNPAIR,
        route::RESOLVE,
    ] {
        assert!(document["paths"].get(format!("/api{path}")).is_some(), "{path} is not served");
    }
}

#[test]
fn every_operation_is_described() {
    let p = Program::start();
    let document = p.get("/api/v1/openapi.json").json();
    let tags: BTreeSet<&str> =
        document["tags"].as_array().expect("tags").iter().filter_map(|t| t["name"].as_str()).collect();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let at = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty() && !s.ends_with('.')), "{at}: summary");
        assert!(
            operation["tags"].as_array().expect("tags").iter().all(|t| tags.contains(t.as_str().expect("a tag"))),
            "{at}"
        );
        assert!(ids.insert(operation["operationId"].as_str().expect("an id").to_owned()), "{at}: its id is taken");
        let responses = operation["responses"].as_object().expect("responses");
        assert!(responses.keys().any(|c| c.starts_with('2')) && responses.contains_key("401"), "{at}");
        let named = path.matches('{').count();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        assert_eq!(parameters.iter().filter(|p| p["in"] == "path").count(), named, "{at}: the variables of the path");
        assert!(parameters.iter().all(|p| p["description"].is_string() || !p["schema"].is_null()), "{at}");
    }
    // Nothing refers to what is not there, and no doc comment's link is left.
    let text = document.to_string();
    assert!(!text.contains("[`"), "a link of rustdoc");
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|r| r.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference} is not in the document");
    }
}
