//! Random requests: no input gives 5xx, and whatever is accepted can run.

use crate::world::{World, signed};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Words that mean something somewhere.
const WORDS: &[&str] = &[
    "loadbalancers",
    "nodes",
    "1",
    "2",
    "3",
    "999999999999",
    "0",
    "-1",
    "metadata",
    "virtualips",
    "accesslist",
    "sessionpersistence",
    "healthmonitor",
    "connectionthrottle",
    "connectionlogging",
    "contentcaching",
    "errorpage",
    "ssltermination",
    "stats",
    "events",
    "limits",
    "algorithms",
    "http",
    "tcp",
    "udp",
    "farm",
    "server",
    "frontend",
    "refresh",
    "task",
    "zone",
    "pendingChanges",
    "status",
    "auth",
    "time",
    "%00",
    "..",
    "ä",
    "x.json",
    "natIp",
    "ssl",
];

const FIELDS: &[&str] = &[
    "loadBalancer",
    "name",
    "protocol",
    "port",
    "algorithm",
    "virtualIps",
    "nodes",
    "node",
    "address",
    "condition",
    "type",
    "weight",
    "sessionPersistence",
    "persistenceType",
    "healthMonitor",
    "delay",
    "timeout",
    "path",
    "attemptsBeforeDeactivation",
    "statusRegex",
    "bodyRegex",
    "connectionThrottle",
    "maxConnections",
    "accessList",
    "networkItem",
    "metadata",
    "key",
    "value",
    "id",
    "halfClosed",
    "httpsRedirect",
    "zone",
    "stickiness",
    "balance",
    "probe",
    "interval",
    "match",
    "negate",
    "url",
    "status",
    "defaultFarmId",
    "allowedSource",
    "deniedSource",
    "dedicatedIpfo",
    "httpHeader",
    "redirectLocation",
    "displayName",
    "cookie",
    "enabled",
    "content",
    "ipVersion",
    "sslTermination",
    "certificate",
    "privatekey",
    "securePort",
    "secureTrafficOnly",
    "key",
    "chain",
    "ssl",
    "hsts",
    "defaultSslId",
    "sslConfiguration",
];

fn value() -> impl Strategy<Value = Value> {
    let words = [
        "HTTP",
        "TCP",
        "UDP",
        "HTTPS",
        "PUBLIC",
        "SERVICENET",
        "ENABLED",
        "DRAINING",
        "HTTP_COOKIE",
        "SOURCE_IP",
        "DENY",
        "ALLOW",
        "192.168.2.50",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "80",
        "80,8080",
        "all",
        "rbx",
        "cookie",
        "sourceIp",
        "active",
        "/",
        "X-A b",
        "(",
        "",
        "\u{0}",
        "IPV6",
        "SECONDARY",
        "CONNECT",
        "WEIGHTED_ROUND_ROBIN",
        "uri",
        "true",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![0..120i64, any::<i64>()].prop_map(Value::from),
        any::<f64>().prop_map(|f| json!(f)),
        proptest::sample::select(words.to_vec()).prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((proptest::sample::select(FIELDS.to_vec()), inner), 0..7)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

fn call() -> impl Strategy<Value = (String, String, String)> {
    let method = proptest::sample::select(vec!["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS"]);
    let path = proptest::collection::vec(proptest::sample::select(WORDS.to_vec()), 0..6);
    let body = prop_oneof![4 => value().prop_map(|v| v.to_string()), 1 => ".{0,40}"];
    let query = prop_oneof![Just(""), Just("?id=1&id=2"), Just("?limit=1&marker=x"), Just("?%zz=%"), Just("?zone=rbx")];
    (method, path, body, query)
        .prop_map(|(method, path, body, query)| (method.to_owned(), format!("/{}{query}", path.join("/")), body))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_input_breaks_a_dialect(calls in proptest::collection::vec(call(), 1..30)) {
        let world = World::new();
        let lb = r#"{"name":"x","protocol":"HTTP","port":8000,"virtualIps":[{"type":"PUBLIC"}]}"#;
        world.rackspace("POST", "/loadbalancers", lb).is(202);
        world.ovh("POST", "/http/farm", r#"{"zone":"rbx"}"#).is(200);
        for (method, path, body) in calls {
            // Both judge what they leave, and refuse 5xx, in `World::settle`.
            world.rackspace(&method, &path, &body);
            world.rackspace(&method, &format!("/loadbalancers{path}"), &body);
            world.ovh(&method, &path, &body);
            world.ovh(&method, &format!("/http{path}"), &body);
            world.ovh_request(&World::request(&method, &format!("/1.0{path}"), &body));
            world.ovh_request(&signed(World::request(&method, &format!("/v1{path}"), &body)));
        }
    }
}
