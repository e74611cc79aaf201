//! The pair's pages and calls, with an lbd that answers as one of a pair.

use crate::{
    api::token,
    pair::{Pair, active, paired, standby},
    rig::{Browser, Rig, guide},
};
use lb_access::Role;
use lb_api::{ApiError, ErrorCode, HaRole, HaView, PairingView, ReplicationState};
use lb_model::{Heartbeat, HeartbeatPath, NodeId};
use serde_json::{Value, json};

fn unit(ha: HaView) -> (Rig, Pair, Browser) {
    let (rig, pair) = Rig::one_of_a_pair();
    rig.apply(&guide());
    pair.now().ha = ha;
    let browser = rig.logged_in();
    (rig, pair, browser)
}

/// As the pages are after what was kept has become old.
fn becomes(rig: &Rig, pair: &Pair, ha: HaView) {
    pair.now().ha = ha;
    rig.forget();
}

#[test]
fn both_units_show_the_pair() {
    let (rig, pair, mut browser) = unit(active());
    let page = browser.get("/lbadmin/ha");
    for text in [
        "● active",
        "unit one",
        "since 2026-09-21",
        "The other unit was silent for 400 ms.",
        "lbslave",
        "href=\"https://10.0.0.22:9443/lbadmin/ha\"",
        "ttyS1",
        "null-modem cable",
        "0.42 ms",
        "10.0.0.100",
        "● on this unit",
        "● the same on both",
        "Both units have revision 7.",
        "/lbadmin/ha/do/stand-by",
        "/lbadmin/ha/do/maintenance-on",
        "sse-connect=\"/lbadmin/live/ha",
    ] {
        page.has(text);
    }
    page.lacks("/lbadmin/ha/do/take-over").lacks("edited there");
    // The header of every page, and the overview's own line.
    browser.get("/lbadmin/status").has("href=\"/lbadmin/ha\"").has("● active");
    browser.get("/lbadmin/").has("One of a pair (unit one)");

    becomes(&rig, &pair, standby());
    let page = browser.get("/lbadmin/ha");
    page.has("◌ stand-by").has("○ on the other unit").has("lbmaster").has("/lbadmin/ha/do/take-over");
    page.lacks("/lbadmin/ha/do/stand-by");
}

#[test]
fn what_is_wrong_is_told() {
    let mut ha = standby();
    ha.unfit = vec!["eth1 has no cable".into(), "the disk is full".into()];
    ha.hot = false;
    ha.paths[1].up = false;
    ha.paths[1].loss_percent = Some(100);
    ha.paths[1].error = Some("Network is unreachable".into());
    ha.alarms = vec!["The heartbeat path 10.0.0.22 is down.".into()];
    let peer = ha.peer.as_mut().expect("a peer");
    (peer.heard, peer.web) = (false, Some("javascript:alert(1)".into()));
    let (_rig, _pair, mut browser) = unit(ha);
    let page = browser.get("/lbadmin/ha");
    page.has("unfit: eth1 has no cable; the disk is full").has("▲ not all of them yet").has("✕ down").has("100 %");
    page.has("Network is unreachable").has("✕ not heard").has("✕ not on this unit").lacks("javascript:");
    browser.get("/lbadmin/status").has("Alarm:</strong> The heartbeat path 10.0.0.22 is down.");
}

#[test]
fn a_single_unit_says_what_a_pair_gives() {
    let (rig, _pair, mut browser) = unit(HaView::default());
    let page = browser.get("/lbadmin/ha");
    page.has("This is a single unit").has("What a pair gives").has("/lbadmin/maintenance/pairing").lacks("sse-connect");
    browser.get("/lbadmin/").lacks("One of a pair").lacks("class=\"pair\"");
    browser.get("/lbadmin/edit/heartbeat").has("This is a single unit.").lacks("<textarea");
    browser.get("/lbadmin/edit/floating-ips").has("This is a single unit.");
    let page = browser.post("/lbadmin/edit/heartbeat", &[("keepalive", "50")]);
    assert_eq!(page.status, 404, "{}", page.text);
    assert!(rig.lbd().candidate().expect("a candidate").config.heartbeat.is_none());
}

#[test]
fn each_button_asks_and_reports_what_came_of_it() {
    let (rig, pair, mut browser) = unit(standby());
    for (action, button, ha, call, body) in [
        ("take-over", "Take over", standby(), "takeover", json!({"force": false})),
        ("stand-by", "Stand by", active(), "standby", json!({})),
        ("maintenance-on", "Maintenance on", active(), "maintenance", json!({"on": true, "force": false})),
        (
            "maintenance-off",
            "Maintenance off",
            HaView { role: HaRole::Maintenance, ..standby() },
            "maintenance",
            json!({"on": false, "force": false}),
        ),
    ] {
        becomes(&rig, &pair, ha);
        let path = format!("/lbadmin/ha/do/{action}");
        let page = browser.get("/lbadmin/ha");
        page.has(&format!("href=\"{path}\""));
        let page = browser.get(&path);
        page.has(&format!(">{button}</button>")).lacks("name=\"force\"");
        assert!(pair.asked().is_empty(), "{action}: nothing is done before it is confirmed");
        let page = browser.post(&path, &[]);
        browser.follow(&page).has(&format!("✓ Done: {call}."));
        let mut expected = body;
        expected["author"] = json!("loadbalancer (127.0.0.1)");
        assert_eq!(pair.asked(), [(call.to_owned(), expected)]);
    }
    assert_eq!(browser.get("/lbadmin/ha/do/explode").status, 404);

    // What breaks something is done only when that is wanted expressly.
    becomes(&rig, &pair, HaView { unfit: vec!["eth1 has no cable".into()], hot: false, ..standby() });
    let page = browser.get("/lbadmin/ha/do/take-over");
    page.has("This unit is unfit: eth1 has no cable.").has("name=\"force\"");
    browser.post("/lbadmin/ha/do/take-over", &[("force", "on")]);
    assert_eq!(pair.asked()[0].1["force"], true);

    let refusal =
        ApiError { hint: Some("mend it".into()), ..ApiError::new(ErrorCode::Conflict, "This unit is unfit.") };
    pair.now().refusal = Some(refusal);
    let page = browser.post("/lbadmin/ha/do/take-over", &[]);
    browser.follow(&page).has("✕ This unit is unfit.").has("<li>mend it</li>");
    let log = rig.app.access.audit(Some("take over"), None, 10).entries;
    assert!(log.iter().any(|l| l.entry.refused) && log.iter().any(|l| !l.entry.refused), "{log:?}");
}

#[test]
fn diverged_is_a_choice_on_the_unit_that_serves() {
    let diverged = |mut ha: HaView| {
        ha.replication.as_mut().expect("a state").state = ReplicationState::Diverged;
        ha
    };
    let (rig, pair, mut browser) = unit(diverged(active()));
    browser.get("/lbadmin/ha").has("diverged").has("href=\"/lbadmin/ha/resolve\"");
    browser.get("/lbadmin/ha/resolve").has("value=\"mine\"").has("value=\"theirs\"").has("lbslave");
    let page = browser.post("/lbadmin/ha/resolve", &[]);
    browser.follow(&page).has("Choose one of the two.");
    assert!(pair.asked().is_empty());
    let page = browser.post("/lbadmin/ha/resolve", &[("keep", "theirs")]);
    browser.follow(&page).has("Done: resolve.");
    assert_eq!(pair.asked(), [("resolve".to_owned(), json!({"author": "loadbalancer (127.0.0.1)", "keep": "theirs"}))]);

    becomes(&rig, &pair, diverged(standby()));
    let page = browser.get("/lbadmin/ha/resolve");
    page.has("href=\"https://10.0.0.21:9443/lbadmin/ha/resolve\"").lacks("value=\"mine\"");
    becomes(&rig, &pair, active());
    let page = browser.get("/lbadmin/ha/resolve");
    browser.follow(&page).has("There is nothing to choose");
}

#[test]
fn a_slave_waits_and_shows_its_code() {
    let (_rig, pair, mut browser) = unit(HaView::default());
    browser.get("/lbadmin/maintenance/pairing").has("Wait for the master").lacks("hx-trigger");
    let until = lbadmin::app::now() + 590;
    let serial_error = Some("/dev/ttyS1: no such device".into());
    pair.now().pairing = PairingView::Waiting { code: "12345678".into(), until, serial_error };
    let page = browser.post("/lbadmin/maintenance/pairing", &[("step", "wait")]);
    let page = browser.follow(&page);
    page.has("12345678").has("9 min from now").has("/dev/ttyS1: no such device").has("hx-trigger=\"every 2s\"");
    page.has("http-equiv=\"refresh\"");
    assert_eq!(pair.asked()[0].1["step"], json!({"wait": {}}));
    browser.post("/lbadmin/maintenance/pairing", &[("step", "cancel")]);
    assert_eq!(pair.asked()[0].1["step"], json!({"cancel": {}}));
    pair.now().pairing = paired(NodeId::Two);
    let page = browser.get("/lbadmin/maintenance/pairing");
    page.has("This unit is the slave").has("AB:CD").lacks("Wait for the master");
}

#[test]
fn a_master_calls_over_the_cable_or_with_the_code() {
    let (rig, pair, mut browser) = unit(HaView::default());
    browser.get("/lbadmin/maintenance/pairing");
    browser.post("/lbadmin/maintenance/pairing", &[("step", "call-serial")]);
    assert_eq!(pair.asked()[0].1["step"], json!({"call-serial": {}}));
    let call = |browser: &mut Browser, address: &str, code: &str| {
        let fields = [("step", "call-network"), ("address", address), ("code", code)];
        browser.post("/lbadmin/maintenance/pairing", &fields)
    };
    let page = call(&mut browser, "10.0.0.300", "123");
    assert_eq!(page.status, 422, "{}", page.text);
    page.has("This is not an IP address").has("The code has 8 digits").has("value=\"10.0.0.300\"");
    assert!(pair.asked().is_empty());
    pair.now().pairing = PairingView::Working { text: "Calling 10.0.0.22.".into() };
    let page = call(&mut browser, " 10.0.0.22 ", "1234-5678 ");
    browser.follow(&page).has("Calling 10.0.0.22.").has("Give up");
    assert_eq!(pair.asked()[0].1["step"], json!({"call-network": {"address": "10.0.0.22", "code": "12345678"}}));
    pair.now().pairing = PairingView::Failed { reason: "The code is wrong.".into(), hint: "Read it again.".into() };
    let page = browser.get("/lbadmin/maintenance/pairing");
    page.has("✕ The code is wrong.").has("Read it again.").has("Call over the network");
    // The code is in no log.
    let log = rig.app.access.audit(None, None, 1000).entries;
    assert!(log.iter().any(|l| l.entry.detail.contains("10.0.0.22")), "{log:?}");
    assert!(!log.iter().any(|l| l.entry.detail.contains("12345678")), "{log:?}");
}

#[test]
fn after_pairing_the_heartbeat_is_filled_in() {
    let (rig, pair, mut browser) = unit(HaView::default());
    pair.now().pairing = paired(NodeId::One);
    browser
        .get("/lbadmin/maintenance/pairing")
        .has("Paired with <strong>lbslave</strong>")
        .has("/lbadmin/edit/heartbeat");
    let page = browser.get("/lbadmin/edit/heartbeat");
    page.has("/dev/ttyS1 115200").has("192.168.2.21 to 192.168.2.22").has("unit one");
    let mut fields = vec![("seen", page.field("seen").expect("seen"))];
    for (name, value) in [
        ("networks", "192.168.2.21 to 192.168.2.22\r\n10.0.0.21 to 10.0.0.22 port 695"),
        ("serial", ""),
        ("pace", "fast"),
        // The guide's VIP is the unit's own address, which a pair does not allow.
        ("anyway", "on"),
    ] {
        fields.push((name, value.to_owned()));
    }
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let page = browser.post("/lbadmin/edit/heartbeat", &fields);
    browser.follow(&page).has("Set up the heartbeat of a pair");
    let config = rig.lbd().candidate().expect("a candidate").config;
    let heartbeat = config.heartbeat.expect("a heartbeat");
    assert_eq!((config.node.unit, heartbeat.deadtime_ms, heartbeat.paths.len()), (Some(NodeId::One), 50, 2));

    let page = browser.get("/lbadmin/edit/floating-ips/new");
    let seen = page.field("seen").expect("seen");
    let page = browser.post("/lbadmin/edit/floating-ips/new", &[("seen", &seen), ("address", "192.168.2.20")]);
    browser.follow(&page).has("192.168.2.20").has("added here");
    let page = browser.get("/lbadmin/edit/floating-ips/remove?address=192.168.2.20");
    let seen = page.field("seen").expect("seen");
    browser.post("/lbadmin/edit/floating-ips/remove?address=192.168.2.20", &[("seen", &seen)]);
    assert!(rig.lbd().candidate().expect("a candidate").config.floating_ips.is_empty());
}

#[test]
fn unpairing_says_what_it_means() {
    let (rig, pair, mut browser) = unit(active());
    browser.get("/lbadmin/maintenance/pairing").has("are a pair").has("/lbadmin/maintenance/unpair");
    browser.get("/lbadmin/maintenance/unpair").has("End the pair on lbslave first").has("goes on alone");
    becomes(&rig, &pair, standby());
    browser.get("/lbadmin/maintenance/unpair").has("balances nothing afterwards").lacks("first");
    let page = browser.post("/lbadmin/maintenance/unpair", &[]);
    browser.follow(&page).has("Done: unpair.");
    assert_eq!(pair.asked(), [("unpair".to_owned(), json!({"author": "loadbalancer (127.0.0.1)"}))]);
}

#[test]
fn a_unit_that_does_not_edit_leads_to_the_one_that_does() {
    let (_rig, pair, mut browser) = unit(standby());
    for path in [
        "edit/virtual-servers",
        "edit/layer-7/virtual-servers",
        "edit/globals",
        "edit/wizard",
        "maintenance/servers",
        "changes",
    ] {
        browser.get(&format!("/lbadmin/{path}")).has(&format!("href=\"https://10.0.0.21:9443/lbadmin/{path}\""));
    }
    // What stays with each unit is edited on each.
    for path in ["edit/interfaces", "edit/dns", "edit/users", "status"] {
        browser.get(&format!("/lbadmin/{path}")).lacks("edited there");
    }
    let hint = Some("make it on lbmaster, which serves".into());
    pair.now().no_edits =
        Some(ApiError { hint, ..ApiError::new(ErrorCode::Conflict, "the other unit decides what both share") });
    let page = browser.get("/lbadmin/edit/globals");
    let seen = page.field("seen").expect("seen");
    let page = browser.post("/lbadmin/edit/globals", &[("seen", &seen), ("fall", "7")]);
    assert_eq!(page.status, 409, "{}", page.text);
    page.has("the other unit decides what both share")
        .has("make it on lbmaster")
        .has("https://10.0.0.21:9443/lbadmin/");
}

#[test]
fn a_pair_that_cannot_be_asked_keeps_no_page_from_anybody() {
    let (rig, pair, mut browser) = unit(active());
    becomes(
        &rig,
        &pair,
        HaView { role: HaRole::Unknown, why: "the heartbeat does not answer".into(), ..HaView::default() },
    );
    browser.get("/lbadmin/ha").has("▲ unknown").has("the heartbeat does not answer").lacks("/lbadmin/ha/do/");
    browser.get("/lbadmin/edit/globals").lacks("edited there");
}

/// A heartbeat that is there is edited like everything else.
#[test]
fn settings_of_the_heartbeat_are_changed() {
    let (rig, _pair, mut browser) = unit(active());
    let mut config = guide();
    config.heartbeat = Some(Heartbeat {
        paths: vec![HeartbeatPath::Udp(lb_model::UdpPath {
            one: [192, 168, 2, 21].into(),
            two: [192, 168, 2, 22].into(),
            port: 694,
        })],
        ..Heartbeat::default()
    });
    let put = lb_api::PutCandidate { config, base: None, etag: None, author: "rig".into() };
    rig.lbd().put_candidate(&put).expect("a candidate");
    let page = browser.get("/lbadmin/edit/heartbeat");
    let seen = page.field("seen").expect("seen");
    let page = browser.post(
        "/lbadmin/edit/heartbeat",
        &[("seen", &seen), ("deadtime", "250"), ("witness", "address"), ("auto_failback", "on")],
    );
    assert_eq!(page.status, 422, "{}", page.text);
    page.has("An address is needed here");
    let page = browser.post(
        "/lbadmin/edit/heartbeat",
        &[("seen", &seen), ("deadtime", "250"), ("warntime", "150"), ("auto_failback", "on")],
    );
    assert_eq!(page.status, 422, "{}", page.text);
    page.has("No unit is preferred").has("three times keepalive_ms or more");
}

/// The same by the API: the caller is the author, a code is in no log, and an edit names what it saw.
#[test]
fn programs_move_the_addresses_and_make_pairs_too() {
    let (rig, pair, _) = unit(standby());
    let token = format!("Bearer {}", token(&rig, "pair", Role::Configuration));
    let call = |method: &str, path: &str, tag: &str, body: Option<Value>| {
        let body = body.map(|b| b.to_string());
        let mut headers = vec![("authorization", token.as_str())];
        headers.extend(body.as_ref().map(|_| ("content-type", "application/json")));
        headers.extend((!tag.is_empty()).then_some(("if-match", tag)));
        rig.browser().send(method, &format!("/api/v1/{path}"), &headers, body.as_deref().map(str::as_bytes))
    };
    let ha = call("GET", "ha", "", None).is(200).json();
    assert_eq!((&ha["role"], &ha["peer"]["hostname"]), (&json!("standby"), &json!("lbmaster")));
    assert_eq!(call("GET", "ha/pairing", "", None).is(200).json(), json!({"state": "idle"}));
    let author = "loadbalancer/token pair (127.0.0.1)";
    let code = json!({"call-network": {"address": "10.0.0.22", "code": "12345678"}});
    for (path, sent) in [
        ("takeover", json!({"force": true})),
        ("standby", json!({})),
        ("maintenance", json!({"on": true, "force": false})),
        ("pairing", json!({"step": code})),
        ("unpair", json!({})),
        ("resolve", json!({"keep": "mine"})),
    ] {
        let mut body = sent.clone();
        body["author"] = json!("somebody else");
        call("POST", &format!("ha/{path}"), "", Some(body)).is(200);
        let mut expected = sent;
        expected["author"] = json!(author);
        assert_eq!(pair.asked(), [(path.to_owned(), expected)]);
    }
    call("POST", "ha/takeover", "", Some(json!({"now": true}))).problem(422, "malformed");
    pair.now().refusal = Some(ApiError::new(ErrorCode::Conflict, "This unit is unfit."));
    call("POST", "ha/takeover", "", Some(json!({}))).problem(409, "conflict");
    let log = rig.app.access.audit(None, None, 1000).entries;
    assert!(!log.iter().any(|l| l.entry.detail.contains("12345678")), "{log:?}");

    let now = call("GET", "heartbeat", "", None).is(200);
    assert_eq!(now.json(), json!({"unit": null, "heartbeat": null}));
    let paths = json!([{"udp": {"one": "192.168.2.21", "two": "192.168.2.22"}}]);
    let body = json!({"unit": null, "heartbeat": {"paths": paths}});
    call("PUT", "heartbeat", "", Some(body.clone())).is(428);
    let made = call("PUT", "heartbeat", now.header("etag"), Some(body.clone())).is(200).json();
    assert_eq!(made["heartbeat"]["deadtime_ms"], 400);
    call("PUT", "heartbeat", now.header("etag"), Some(body)).is(412);
    let now = call("GET", "floating-ips", "", None).is(200);
    let body = json!({"floating_ips": ["192.168.2.20"]});
    call("PUT", "floating-ips", now.header("etag"), Some(body.clone())).is(200);
    assert_eq!(call("GET", "floating-ips", "", None).json(), body);
}
