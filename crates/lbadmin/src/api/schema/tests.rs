use super::*;
use crate::api::openapi;
use serde_json::json;

fn problems_of(name: &str, value: Value) -> String {
    let schemas = openapi::schemas();
    let found = Schemas(schemas).problems(&schemas[name], &value);
    found.iter().map(|p| format!("{} ({}): {}\n", p.path, p.value, p.reason)).collect()
}

#[test]
fn every_place_is_named() {
    let value = json!({
        "label": "a b", "weight": 70000, "address": "10.0.0", "port": "80", "forwarding": "ip/ip", "x/y": 1,
    });
    insta::assert_snapshot!(problems_of("RealServer", value), @r"
    /address (10.0.0): must be an IPv4 address or an IPv6 address
    /forwarding (ip/ip): must be dr, nat, tun
    /label (a b): does not fit: The name of a virtual or real server: letters, digits, `_`, `-` and `.`
    /port (80): must be a whole number or null
    /weight (70000): must be 0 to 65535
    /x~1y (1): is not a field of this
    ");
}

#[test]
fn a_tag_says_which_form_was_meant() {
    let service = |service: Value| problems_of("VirtualServer", json!({"label": "a", "service": service}));
    insta::assert_snapshot!(service(json!({"kind": "address", "ports": []})), @r"
    /service/address (null): is missing
    /service/ports ([]): must be a text or a whole number
    ");
    insta::assert_snapshot!(service(json!({"kind": "port", "ports": "80"})), @"/service/kind (port): must be address, firewall-mark");
    insta::assert_snapshot!(service(json!("10.0.0.21:80")), @"/service (10.0.0.21:80): must be an object");
}

#[test]
fn what_the_model_writes_fits() {
    for seed in 0..300 {
        let config = lb_model::sample::config(seed, false);
        if lb_model::problems(&config).is_empty() {
            assert_eq!(problems_of("Config", serde_json::to_value(&config).expect("written")), "", "seed {seed}");
        }
    }
}

/// A list is not an object, though serde would read one as the fields in order.
#[test]
fn a_list_is_no_object() {
    assert_ne!(problems_of("Globals", json!([])), "");
    assert_ne!(problems_of("PlanRequest", json!([])), "");
}

#[test]
fn the_document_uses_only_words_that_are_checked() {
    fn walk(schema: &Value, at: &str) {
        let Some(fields) = schema.as_object() else { return };
        for (word, value) in fields {
            assert!(KNOWN.contains(&word.as_str()), "{word} at {at} is not checked");
            match word.as_str() {
                "properties" => {
                    value.as_object().into_iter().flatten().for_each(|(n, s)| walk(s, &format!("{at}/{n}")))
                }
                "items" | "additionalProperties" | "propertyNames" => walk(value, at),
                "oneOf" | "anyOf" | "allOf" => value.as_array().into_iter().flatten().for_each(|s| walk(s, at)),
                _ => {}
            }
        }
    }
    for (name, schema) in openapi::schemas() {
        walk(schema, name);
    }
}

/// A password that is too short is refused without being said.
#[test]
fn a_secret_is_not_said_back() {
    let user = |password: Value| problems_of("NewUser", json!({"name": "a", "role": "report", "password": password}));
    insta::assert_snapshot!(user(json!("hush")), @"/password (null): must have 10 to 128 characters");
    insta::assert_snapshot!(user(json!(["hush"])), @"/password (null): must be a text");
}
