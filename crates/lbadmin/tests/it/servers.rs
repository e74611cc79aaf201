//! Maintenance > Take a Real Server Offline or Online.

use crate::{
    form::filled,
    rig::{Browser, Page, Rig, guide, user},
};
use lb_access::Role;
use lb_model::{Config, RequestedState};

const PAGE: &str = "/lbadmin/maintenance/servers";

/// Presses a button in the row of WebServer1.
fn press(browser: &mut Browser, page: &Page, state: &str) -> Page {
    let (action, mut fields) = filled(&page.text, "Change status of WebServer1");
    fields.retain(|(name, _)| name != "csrf");
    fields.push(("state".into(), state.into()));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    browser.post(&action, &fields)
}

fn requested(rig: &Rig) -> RequestedState {
    rig.lbd().running().expect("what runs").config.virtual_servers[0].real_servers[0].state
}

#[test]
fn a_server_goes_offline_drains_and_comes_back_at_once() {
    let (rig, mut browser) = Rig::with(&guide());
    let mut mia = user(&rig, "mia", Role::Maintenance);
    for browser in [&mut browser, &mut mia] {
        let mut page = browser.get(PAGE);
        page.has("MAINTENANCE &#62; TAKE A REAL SERVER OFFLINE OR ONLINE");
        for column in
            ["Number", "Label", "IP:Port", "Active Connections", "Requested Status", "Change Status", "Actual Status"]
        {
            page.has(&format!("{column}</th>"));
        }
        page.has("VIP 1").has("RIP 1").has("ONLINE (1)").has("● active");
        for (button, state, shown) in [
            ("offline", RequestedState::Offline, "OFFLINE"),
            ("drain", RequestedState::Drain, "DRAIN"),
            ("online", RequestedState::Online, "ONLINE (1)"),
        ] {
            let done = press(browser, &page, button);
            page = browser.follow(&done);
            page.has(shown).lacks("Apply configuration");
            assert_eq!(requested(&rig), state);
        }
    }
    assert!(rig.lbd().history(1).expect("history")[0].author.starts_with("mia "));
}

#[test]
fn who_may_not_is_refused() {
    let (rig, mut admin) = Rig::with(&guide());
    let page = admin.get(PAGE);
    let mut rob = user(&rig, "rob", Role::Report);
    assert_eq!(rob.get(PAGE).status, 403);
    rob.get("/lbadmin/").lacks("Offline or Online");
    assert_eq!(press(&mut rob, &page, "offline").status, 403);
    let mut nobody = rig.browser();
    assert_eq!(press(&mut nobody, &page, "offline").header("location"), "/lbadmin/login");
    for (fields, status) in [
        (&[("vip", "HTTP_Cluster"), ("rip", "WebServer1"), ("state", "broken")], 400),
        (&[("vip", "HTTP Cluster"), ("rip", "WebServer1"), ("state", "offline")], 400),
        (&[("vip", "HTTP_Cluster"), ("rip", "nobody"), ("state", "offline")], 303),
    ] {
        assert_eq!(admin.post(PAGE, fields).status, status, "{fields:?}");
    }
    admin.get(PAGE).has("nobody");
    assert_eq!(requested(&rig), RequestedState::Online);
}

/// Wanted online and not active: the failed check's log is a link away.
#[test]
fn a_failed_server_leads_to_the_log() {
    let mut config = guide();
    config.virtual_servers[0].check.method = lb_model::CheckMethod::Off;
    let (rig, mut browser) = Rig::with(&config);
    let page = browser.get(PAGE);
    page.has("ONLINE (1)").has("✕ non-active").has("/lbadmin/logs/ldirectord?filter=192.168.2.50");
    let done = press(&mut browser, &page, "offline");
    browser.follow(&done).lacks("/lbadmin/logs/ldirectord?filter");
    assert_eq!(requested(&rig), RequestedState::Offline);
}

/// A long list: found by address, and after a button one is where one was.
#[test]
fn a_long_list_is_paged_and_searched() {
    let (rig, mut browser) = Rig::with(&many(250));
    browser.get(PAGE).has("Page 1 of 3 (250 virtual servers)").has(">VIP100<").lacks(">VIP101<");
    browser.get(&format!("{PAGE}?page=2")).has(">VIP250<").lacks("rel=\"next\"");
    let page = browser.get(&format!("{PAGE}?q=192.168.3.199"));
    page.has("VIP 199").lacks("VIP 198<");
    let (action, mut fields) = filled(&page.text, "Change status of RIP");
    fields.retain(|(name, _)| name != "csrf");
    fields.push(("state".into(), "drain".into()));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let done = browser.post(&action, &fields);
    assert_eq!(done.header("location"), "/lbadmin/maintenance/servers?q=192.168.3.199");
    browser.follow(&done).has("DRAIN");
    for path in ["/lbadmin/edit/virtual-servers", "/lbadmin/edit/real-servers"] {
        browser.get(path).has("Page 1 of 3 (250 virtual servers)");
        browser.get(&format!("{path}?q=vip24")).has("VIP 240").lacks("VIP 250<");
    }
    drop(rig);
}

fn many(n: usize) -> Config {
    let mut config = guide();
    let one = config.virtual_servers[0].clone();
    config.virtual_servers.clear();
    config.node.interfaces[1].addresses = vec!["192.168.2.21/16".parse().expect("an address")];
    for i in 1..=n {
        let mut vs = one.clone();
        vs.label = format!("VIP{i}").parse().expect("a label");
        vs.service = serde_json::from_value(serde_json::json!(
            {"kind": "address", "address": "10.0.0.21", "ports": 1000 + i}
        ))
        .expect("a service");
        vs.real_servers[0].label = format!("RIP{i}").parse().expect("a label");
        vs.real_servers[0].address = format!("192.168.{}.{}", 3 + i / 250, i % 250).parse().expect("an address");
        config.virtual_servers.push(vs);
    }
    config
}
