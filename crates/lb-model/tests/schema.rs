//! The OpenAPI schema of a configuration and the parser agree: what the product writes fits the schema, and
//! what the schema refuses the product refuses too.

use lb_model::{Config, problems, sample};
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

/// The schema of a [`Config`] with everything it refers to, as a JSON Schema of its own.
fn schema() -> Value {
    let mut parts = Vec::new();
    Config::schemas(&mut parts);
    let parts: serde_json::Map<String, Value> =
        parts.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).expect("schema"))).collect();
    let mut schema = serde_json::to_value(Config::schema()).expect("schema");
    schema["components"] = json!({ "schemas": parts });
    schema
}

fn validator() -> jsonschema::Validator {
    jsonschema::options().should_validate_formats(true).build(&schema()).expect("a JSON Schema")
}

/// What keeps `document` from being applied, by the product's own judgement.
fn refused(document: &Value) -> Option<String> {
    match lb_model::migrate(&document.to_string()) {
        Ok(config) => problems(&config).first().map(ToString::to_string),
        Err(e) => Some(e.to_string()),
    }
}

#[test]
fn sample_configurations_fit_the_schema() {
    let validator = validator();
    let mut fitting = 0;
    for seed in 0..2_000 {
        let config = if seed % 2 == 0 { sample::config(seed, false) } else { sample::config_with_tls(seed, false) };
        let document = serde_json::to_value(&config).expect("writing");
        if problems(&config).is_empty() {
            let errors: Vec<String> =
                validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(errors.is_empty(), "seed {seed}: {errors:?}");
            fitting += 1;
        }
    }
    assert!(fitting > 1_000, "only {fitting} valid samples");
}

/// One valid document with everything in it.
fn full() -> Value {
    let mut config = json!({
        "version": 1,
        "node": {
            "hostname": "lbmaster", "nameservers": ["10.0.0.31"], "gateway": "10.0.0.1", "gateway6": "fd00:a::1",
            "interfaces": [{"name": "eth0", "addresses": ["10.0.0.21/24", "fd00:a::21/64"], "mtu": 1500}],
            "routes": [{"to": "172.16.0.0/12", "via": "10.0.0.2"}],
        },
        "fallback_page": "<h1>Back soon</h1>",
        "virtual_servers": [
            {
                "label": "VIP", "service": {"kind": "address", "address": "10.0.0.21", "protocol": "tcp", "ports": "80"},
                "scheduler": "wlc", "persistence": {"timeout": 300, "granularity": 24}, "quiescent": true,
                "check": {
                    "method": {"type": "negotiate", "service": "https", "request": "/check.html", "response": "OK",
                               "virtual_host": "www.example.com", "status": "200-299,301"},
                    "port": 443, "interval": 10, "timeout": 5, "fall": 3, "rise": 2,
                },
                "fallback": {"address": "10.0.0.99", "port": 8080, "forwarding": "nat"},
                "real_servers": [{
                    "label": "RIP", "address": "10.0.0.50", "port": 8080, "weight": 5, "min_connections": 1,
                    "max_connections": 9, "forwarding": "nat", "state": "drain",
                }],
            },
            {"label": "MARK", "service": {"kind": "firewall-mark", "mark": 7, "family": "ipv6"},
             "check": {"method": {"type": "ping"}}, "fallback": null},
        ],
    });
    config["globals"] = serde_json::to_value(lb_model::factory().globals).expect("globals");
    config["globals"]["time_servers"] = json!(["ntp.example.com", "10.0.0.5"]);
    config["globals"]["lockdown"] = json!({"enabled": true, "networks": ["10.0.0.0/8", "2001:db8::/32"]});
    config
}

/// Values that a single field may or may not have, tried in every field of [`full`].
fn values() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "80",
        "080",
        "+80",
        "80 , 443",
        "any ",
        "ANY",
        "1-2",
        "65536",
        "0",
        "a",
        "-a",
        "a-",
        ".",
        "..",
        "...",
        "a.b",
        "eth0:1",
        "eth0",
        "abcdefghijklmnop",
        "lbmaster",
        "on",
        "tcp",
        "TCP",
        "10.0.0.50",
        "010.0.0.50",
        "10.0.0.256",
        "10.0.0.50/24",
        "10.0.0.50/33",
        "010.0.0.50/08",
        "::1",
        "fd00:a::50",
        "fd00:a::50/64",
        "fd00:a::50/129",
        "fe80::1%eth0",
        "fd00:a::50/064",
        "::ffff:10.0.0.1/96",
        "200",
        "200-299",
        "+200",
        "0200",
        "99",
        "600",
        "200 - 204",
        "/",
        "/a b",
        "/é",
        "é",
        "x\n",
        "(",
        "http",
        "www.example.com:80",
        "online",
        "ipip",
        "address",
    ];
    let numbers = [
        -1i64,
        0,
        1,
        2,
        7,
        32,
        33,
        80,
        101,
        300,
        301,
        576,
        3600,
        3601,
        9217,
        65_535,
        65_536,
        70_000,
        1 << 30,
        1 << 31,
        1 << 32,
    ];
    let mut values: Vec<Value> = texts.iter().map(|t| json!(t)).chain(numbers.iter().map(|n| json!(n))).collect();
    values.extend([json!(null), json!(true), json!(1.5), json!({}), json!([]), json!({"x": 1}), json!(["10.0.0.50"])]);
    values.extend([json!("a".repeat(63)), json!("a".repeat(64)), json!("a".repeat(1001))]);
    values
}

fn pointers(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(k, v)| pointers(v, format!("{at}/{k}"), into)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| pointers(v, format!("{at}/{i}"), into)),
        _ => {}
    }
    into.push(at);
}

#[test]
fn what_the_schema_refuses_is_refused() {
    let validator = validator();
    let full = full();
    assert_eq!(refused(&full), None);
    assert!(validator.is_valid(&full));
    let mut all = Vec::new();
    pointers(&full, String::new(), &mut all);
    let (mut tried, mut both) = (0, 0);
    let mut stricter = Vec::new();
    for pointer in &all {
        for value in values() {
            let mut document = full.clone();
            *document.pointer_mut(pointer).expect("a place in it") = value.clone();
            let fits = validator.is_valid(&document);
            let refused = refused(&document);
            tried += 1;
            both += usize::from(!fits && refused.is_some());
            // serde takes a list for a struct whose fields all have defaults; who reads from outside refuses that first.
            if !fits && refused.is_none() && !value.is_array() {
                stricter.push(format!("{pointer} = {value}"));
            }
        }
    }
    assert!(stricter.is_empty(), "refused by the schema alone:\n{}", stricter.join("\n"));
    assert!(both > tried / 2, "of {tried} documents only {both} are refused by both");
}

#[test]
fn an_unknown_field_is_refused_everywhere() {
    let validator = validator();
    let mut all = Vec::new();
    pointers(&full(), String::new(), &mut all);
    for pointer in all {
        let mut document = full();
        if let Some(Value::Object(object)) = document.pointer_mut(&pointer) {
            object.insert("surprise".into(), json!(1));
            assert!(!validator.is_valid(&document), "the schema takes a surprise in {pointer}");
            assert!(refused(&document).is_some(), "the product takes a surprise in {pointer}");
        }
    }
}
