use super::*;
use lb_model::{RealServer, VirtualServer, factory};
use proptest::prelude::*;

fn real_server(label: &str) -> RealServer {
    let json = format!(r#"{{"label": "{label}", "address": "192.168.2.50", "port": 80, "forwarding": "nat"}}"#);
    serde_json::from_str(&json).expect("a real server")
}

fn virtual_server(label: &str, real_servers: &[&str]) -> VirtualServer {
    let json =
        format!(r#"{{"label": "{label}", "service": {{"kind": "address", "address": "10.0.0.21", "ports": "80"}}}}"#);
    let vs: VirtualServer = serde_json::from_str(&json).expect("a virtual server");
    VirtualServer { real_servers: real_servers.iter().map(|l| real_server(l)).collect(), ..vs }
}

fn sample() -> Config {
    Config {
        virtual_servers: vec![
            virtual_server("HTTP_Cluster", &["WebServer1", "WebServer2"]),
            virtual_server("www.example.com", &["a.b", "a"]),
        ],
        ..factory()
    }
}

#[track_caller]
fn shows(path: &str, want: &str) {
    let got = match get(&sample(), path) {
        Ok(v) => v.to_string(),
        Err(PathError { message, hint: None }) => message,
        Err(PathError { message, hint: Some(hint) }) => format!("{message}; {hint}"),
    };
    assert_eq!(got, want);
}

#[test]
fn labels_names_indexes_and_pointers_select() {
    shows("node.hostname", "\"lbmaster\"");
    shows("virtual_servers.HTTP_Cluster.real_servers.WebServer2.label", "\"WebServer2\"");
    shows("virtual_servers.0.real_servers.1.label", "\"WebServer2\"");
    shows("/virtual_servers/0/real_servers/1/label", "\"WebServer2\"");
    shows("virtual_servers.www.example.com.real_servers.a.b.label", "\"a.b\"");
    shows("virtual_servers.\"www.example.com\".real_servers.a.label", "\"a\"");
    shows("node.interfaces.eth0.addresses.192.168.2.21/24", "\"192.168.2.21/24\"");
    shows("globals.health.interval", "10");
}

#[test]
fn a_field_that_is_not_set_is_null_and_an_unknown_one_is_an_error() {
    shows("node.gateway", "null");
    shows("virtual_servers.HTTP_Cluster.persistence.timeout", "null");
    shows("globals.health.intervall", "globals.health.intervall: there is no field intervall; did you mean interval?");
    shows("nod.hostname", "nod.hostname: there is no field nod; did you mean node?");
    shows("node.hostname.x", "node.hostname is a plain value; there is no x in it");
    shows(
        "virtual_servers.HTTP_Clutser.scheduler",
        "virtual_servers.HTTP_Clutser.scheduler: there is no entry HTTP_Clutser; did you mean HTTP_Cluster?",
    );
    shows("node.interfaces.bond0", "node.interfaces.bond0: there is no entry bond0; there is eth0");
    shows(
        "virtual_servers.7",
        "virtual_servers.7: there is no entry 7; the list has 2; the first is 0; + is a new entry",
    );
    shows("node..hostname", "node..hostname has a dot too many");
    shows("virtual_servers.\"x", "a quote is not closed in virtual_servers.\"x");
}

#[track_caller]
fn sets(path: &str, value: &str, want: &str) {
    let got = match set(&sample(), path, value) {
        Ok(config) => get(&config, path.trim_end_matches(".+")).expect("what was set").to_string(),
        Err(PathError { message, hint: None }) => message,
        Err(PathError { message, hint: Some(hint) }) => format!("{message}; {hint}"),
    };
    assert_eq!(got, want);
}

#[test]
fn values_are_json_or_text_or_a_list_of_texts() {
    sets("virtual_servers.HTTP_Cluster.real_servers.WebServer1.weight", "5", "5");
    sets("node.gateway", "192.168.2.1", "\"192.168.2.1\"");
    sets("node.gateway", "null", "null");
    sets("node.hostname", "123", "\"123\"");
    sets("node.nameservers", "10.0.0.31, 10.0.0.32", "[\"10.0.0.31\",\"10.0.0.32\"]");
    sets("node.nameservers", "[\"10.0.0.31\"]", "[\"10.0.0.31\"]");
    sets("node.nameservers.+", "10.0.0.31", "[\"10.0.0.31\"]");
    sets("virtual_servers.HTTP_Cluster.persistence.timeout", "600", "600");
    sets("virtual_servers.HTTP_Cluster.service.ports", "80,443", "\"80,443\"");
    sets("virtual_servers.HTTP_Cluster.service.ports", "8080", "\"8080\"");
    sets("virtual_servers.HTTP_Cluster.check.interval", "2", "2");
}

#[test]
fn what_the_model_does_not_take_is_refused_with_the_path() {
    sets(
        "virtual_servers.HTTP_Cluster.scheduler",
        "wcl",
        "virtual_servers.HTTP_Cluster.scheduler = wcl: there is no value wcl; did you mean wlc?",
    );
    sets("node.gateway", "256.1.1.1", "node.gateway = 256.1.1.1: invalid IPv4 address syntax");
    sets(
        "node.hostname",
        "a b",
        "node.hostname = a b: host name \"a b\" is not valid; use letters, digits and - inside, for example lbmaster",
    );
    sets(
        "virtual_servers.HTTP_Cluster.check.method.type",
        "negotiate",
        "virtual_servers.HTTP_Cluster.check.method.type = negotiate: service is missing; set what holds it as a whole, as JSON; \
         for example check.method '{\"type\": \"negotiate\", \"service\": \"http\"}'",
    );
    sets(
        "virtual_servers.+.label",
        "x",
        "virtual_servers.+.label: a new entry is set as a whole; end the path at the +, and give the entry as JSON",
    );
}

#[test]
fn unset_removes_fields_and_entries() {
    let config = set(&sample(), "node.gateway", "192.168.2.1").expect("set");
    assert_eq!(unset(&config, "node.gateway"), Ok(Some(sample())));
    assert_eq!(unset(&sample(), "node.gateway"), Ok(None));
    let without =
        unset(&sample(), "virtual_servers.HTTP_Cluster.real_servers.WebServer1").expect("unset").expect("was there");
    assert_eq!(without.virtual_servers[0].real_servers, [real_server("WebServer2")]);
    let error = unset(&sample(), "node.hostname").expect_err("needed");
    assert_eq!(error.message, "node.hostname cannot be left out");
    assert!(unset(&sample(), "globals.helth").is_err());
}

#[test]
fn pointers_become_paths_that_can_be_typed() {
    for (pointer, want) in [
        ("/virtual_servers/0/real_servers/1/port", "virtual_servers.HTTP_Cluster.real_servers.WebServer2.port"),
        ("/virtual_servers/1/scheduler", "virtual_servers.\"www.example.com\".scheduler"),
        ("/node/gateway", "node.gateway"),
        ("/virtual_servers/9/label", "/virtual_servers/9/label"),
    ] {
        assert_eq!(dotted(&sample(), pointer), want);
    }
    let mut twins = sample();
    twins.virtual_servers.push(virtual_server("HTTP_Cluster", &[]));
    assert_eq!(dotted(&twins, "/virtual_servers/2/label"), "/virtual_servers/2/label");
}

fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| leaves(v, &format!("{at}/{k}"), found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| leaves(v, &format!("{at}/{i}"), found)),
        _ => found.push(at.to_owned()),
    }
}

fn config() -> impl Strategy<Value = Config> {
    let label = "[ab1](\\.?[ab1]){0,2}";
    let servers = proptest::collection::vec(label, 0..4);
    proptest::collection::vec((label, servers), 0..4).prop_map(|list| Config {
        virtual_servers: list
            .iter()
            .map(|(label, servers)| virtual_server(label, &servers.iter().map(String::as_str).collect::<Vec<_>>()))
            .collect(),
        ..factory()
    })
}

proptest! {
    /// Labels with dots, digits and doubles: each leaf is reached by its pointer and by its path.
    #[test]
    fn pointer_and_path_lead_to_the_same_leaf(config in config()) {
        let tree = tree(&config).expect("tree");
        let mut pointers = Vec::new();
        leaves(&tree, "", &mut pointers);
        for pointer in pointers {
            let value = get(&config, &pointer).expect("pointer");
            prop_assert_eq!(Some(&value), tree.pointer(&pointer));
            prop_assert_eq!(&get(&config, &dotted(&config, &pointer)).expect("path"), &value);
            let again = set(&config, &pointer, &value.to_string()).expect("set");
            prop_assert_eq!(&again, &config);
        }
    }

    #[test]
    fn set_then_get(weight in 0..70_000_u32, i in 0..2_usize, j in 0..2_usize) {
        let path = format!("/virtual_servers/{i}/real_servers/{j}/weight");
        let changed = set(&sample(), &dotted(&sample(), &path), &weight.to_string()).expect("set");
        prop_assert_eq!(get(&changed, &path).expect("get"), Value::from(weight));
        let mut want = sample();
        want.virtual_servers[i].real_servers[j].weight = weight;
        prop_assert_eq!(changed, want);
    }

    #[test]
    fn any_path_and_value_is_answered(path in "[a-z0-9./\"+~-]{0,30}", value in ".{0,20}") {
        let _ = get(&sample(), &path);
        let _ = set(&sample(), &path, &value);
        let _ = unset(&sample(), &path);
    }
}

fn of_a_pair() -> Config {
    let heartbeat = r#"{"paths": [{"serial": {}}, {"udp": {"one": "10.0.0.21", "two": "10.0.0.22"}}]}"#;
    let config = set(&sample(), "heartbeat", heartbeat).expect("heartbeat");
    set(&config, "node.unit", "one").expect("unit")
}

#[track_caller]
fn pair_sets(path: &str, value: &str, want: &str) {
    let got = match set(&of_a_pair(), path, value) {
        Ok(config) => get(&config, path.trim_end_matches(".+")).expect("what was set").to_string(),
        Err(PathError { message, hint: None }) => message,
        Err(PathError { message, hint: Some(hint) }) => format!("{message}; {hint}"),
    };
    assert_eq!(got, want);
}

/// What a pair shares, and which of the two a unit is, are set like everything else.
#[test]
fn a_pair_is_set_by_its_paths() {
    pair_sets("node.unit", "two", "\"two\"");
    pair_sets("node.unit", "three", "node.unit = three: there is no value three; there are one, two");
    pair_sets("heartbeat.deadtime_ms", "800", "800");
    pair_sets("heartbeat.auto_failback", "true", "true");
    pair_sets("heartbeat.preferred", "one", "\"one\"");
    pair_sets("heartbeat.ping_nodes", "10.0.0.31, 10.0.0.32", "[\"10.0.0.31\",\"10.0.0.32\"]");
    pair_sets("heartbeat.ping_nodes.+", "10.0.0.31", "[\"10.0.0.31\"]");
    pair_sets("heartbeat.witness", "floating_network", "\"floating_network\"");
    pair_sets("heartbeat.witness.address", "10.0.0.31", "\"10.0.0.31\"");
    pair_sets("heartbeat.paths.0.serial.baud", "9600", "9600");
    pair_sets("heartbeat.paths.1.udp.port", "1694", "1694");
    pair_sets(
        "heartbeat.deadtime",
        "800",
        "heartbeat.deadtime = 800: there is no field deadtime; did you mean deadtime_ms?",
    );
    sets("globals.time_servers", "ntp1.example.com,10.0.0.5", "[\"ntp1.example.com\",\"10.0.0.5\"]");
    sets("globals.time_servers.+", "ntp.example.com", "[\"ntp.example.com\"]");
    sets("globals.lockdown.networks", "10.0.0.0/8,2001:db8::/32", "[\"10.0.0.0/8\",\"2001:db8::/32\"]");
    sets("globals.lockdown.networks.+", "10.0.0.0/8", "[\"10.0.0.0/8\"]");
    sets("globals.lockdown.enabled", "true", "true");
    pair_sets("floating_ips", "10.0.0.20,192.168.2.20", "[\"10.0.0.20\",\"192.168.2.20\"]");
    pair_sets("floating_ips.+", "192.168.2.20", "[\"192.168.2.20\"]");
    assert_eq!(get(&sample(), "heartbeat"), Ok(Value::Null));
    assert_eq!(get(&sample(), "node.unit"), Ok(Value::Null));
    let paths = set(&of_a_pair(), "heartbeat.paths.+", r#"{"udp": {"one": "192.168.2.21", "two": "192.168.2.22"}}"#);
    assert_eq!(paths.expect("path").heartbeat.map(|h| h.paths.len()), Some(3));
    let single = unset(&of_a_pair(), "heartbeat").expect("unset").expect("was there");
    assert_eq!(unset(&single, "node.unit"), Ok(Some(sample())));
}
