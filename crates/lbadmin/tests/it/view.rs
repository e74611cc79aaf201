//! View Configuration, logs, restarts: what runs, in words; and what a report user may not do.

use crate::rig::{Rig, guide, shop, user};
use lb_access::Role;
use lb_model::{Config, Label};

#[test]
fn the_network_says_whose_each_address_is() {
    let mut config = guide();
    config.virtual_servers[0].service =
        serde_json::from_str(r#"{"kind":"address","address":"10.0.0.80","ports":"80"}"#).expect("a service");
    let (_rig, mut browser) = Rig::with(&config);
    let page = browser.get("/lbadmin/view/network");
    page.has("lbmaster").has("10.0.0.31").has("● up, cable connected");
    page.has("<td class=\"addr\">10.0.0.21/24</td><td>this unit&#39;s own</td>");
    page.has("<td class=\"addr\">10.0.0.80/32</td><td>virtual servers</td><td>HTTP_Cluster</td>");
    browser.get("/lbadmin/view/network?q=http_").has("10.0.0.80/32").lacks("10.0.0.21/24");
    browser.get("/lbadmin/view/routing").has("default").has("10.0.0.31").has("configured");
    browser.get("/lbadmin/view/firewall").has("masquerade");
}

#[test]
fn layer_4_says_every_setting() {
    let (_rig, mut browser) = Rig::with(&guide());
    let page = browser.get("/lbadmin/view/layer-4");
    page.has("VIP 1 HTTP_Cluster: tcp 10.0.0.21:80").has("RIP 1 WebServer1").has("Auto-NAT (MASQUERADE)</dt><dd>yes");
    page.has("on: never asked, always active").has("unrestricted").has("the unit&#39;s own page").has("revision 1");
    browser.get("/lbadmin/view/layer-4?q=nobody").has("Nothing matches").lacks("VIP 1");
}

#[test]
fn layer_7_says_every_setting_and_the_state() {
    let mut config = shop();
    let vs = &mut config.layer7.virtual_servers[0];
    let rule = r#"{"test":{"on":"path-begins","values":["/old"]},"then":{"do":"redirect","to":"/new"}}"#;
    vs.rules.push(serde_json::from_str(rule).expect("a rule"));
    vs.manual = Some("option http-buffer-request".parse().expect("a line"));
    (vs.fallback_page, vs.log_requests) = (Some("<h1>Shut</h1>".parse().expect("a page")), true);
    let (_rig, mut browser) = Rig::with(&config);
    let page = browser.get("/lbadmin/view/layer-7");
    page.has("VIP 2 Shop: http 10.0.0.21:8080").has("RIP 1 WebServer1").has("192.168.2.50:80").has("revision 1");
    page.has("Client timeout</dt><dd>60 s").has("cookie SERVERID").has("30 min").has("on: never asked, always active");
    page.has("path /old -&#62; redirect /new").has("remove Server").has("option http-buffer-request");
    page.has("&#60;h1&#62;Shut").has("a page of its own").has("Log of every request</dt><dd>yes");
    page.has("class=\"state state-").has("sse-connect=\"/lbadmin/live/layer-7?");
    browser.get("/lbadmin/view/layer-7?q=nobody").has("Nothing matches").lacks("VIP 2");
    browser.get("/lbadmin/view/layer-4").lacks("Shop");
    let (_rig, mut browser) = Rig::with(&guide());
    browser.get("/lbadmin/view/layer-7").has("There is no layer 7 virtual server yet.").lacks("HTTP_Cluster");
}

#[test]
fn the_document_is_shown_and_kept() {
    let (_rig, mut browser) = Rig::with(&guide());
    browser.get("/lbadmin/view/document").has("&#34;label&#34;: &#34;HTTP_Cluster&#34;");
    let file = browser.get("/lbadmin/view/document.json");
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"lbmaster-revision-1.json\"");
    assert_eq!(lb_model::migrate(&file.text).expect("a document"), guide());
}

#[test]
fn five_thousand_virtual_servers_come_in_pages() {
    let mut config = guide();
    config.node.interfaces[0].addresses.push("10.2.0.254/16".parse().expect("a network"));
    let first = config.virtual_servers.remove(0);
    for n in 0..5000u16 {
        let mut v = first.clone();
        v.label = format!("VS{n}").parse::<Label>().expect("a label");
        v.service = serde_json::from_str(&format!(
            r#"{{"kind":"address","address":"10.2.{}.{}","ports":"80"}}"#,
            n / 250,
            n % 250 + 1
        ))
        .expect("a service");
        config.virtual_servers.push(v);
    }
    let (_rig, mut browser) = Rig::with(&config);
    let limits = [
        ("/lbadmin/view/layer-4", "Page 1 of 200 (5\u{a0}000 virtual servers)", 100_000),
        ("/lbadmin/view/network", "Page 1 of 26 (5\u{a0}00", 60_000),
        ("/lbadmin/traffic", "Page 1 of 100 (5\u{a0}000 virtual servers)", 60_000),
        ("/lbadmin/view/document", "Page 1 of ", 100_000),
        ("/lbadmin/status", "5000 of 5000", 20_000),
        ("/lbadmin/connections?virtual_server=VS4999", "Current Connections", 20_000),
    ];
    for (path, text, size) in limits {
        let page = browser.get(path);
        page.has(text);
        assert!(page.text.len() < size, "{path}: {} bytes", page.text.len());
    }
    browser.get("/lbadmin/view/layer-4?q=vs4999").has("VIP 5000 VS4999");
}

#[test]
fn a_restart_is_explained_and_asked_for() {
    let (rig, mut browser) = Rig::with(&Config::clone(&guide()));
    browser.get("/lbadmin/unit").has("Restart the unit…").has("Halt the unit…");
    browser.get("/lbadmin/unit/halt").has("no client is served until somebody switches it on again");
    assert_eq!(browser.get("/lbadmin/unit/explode").status, 404);
    let mut report = user(&rig, "report", Role::Report);
    for path in ["/lbadmin/unit", "/lbadmin/unit/halt", "/lbadmin/services", "/lbadmin/services/lbd"] {
        assert_eq!(report.get(path).status, 403, "{path}");
    }
    report.get("/lbadmin/view/document").lacks("/lbadmin/unit");
    for path in ["/lbadmin/unit/halt", "/lbadmin/services/lbd"] {
        assert_eq!(report.post(path, &[]).status, 403, "{path}");
    }
}

/// Lines as svlogd leaves them, oldest first.
fn log(rig: &Rig, service: &str, lines: &[String]) {
    let dir = rig.dir.path().join("log").join(service);
    std::fs::create_dir_all(&dir).expect("a directory");
    std::fs::write(dir.join("current"), lines.join("\n") + "\n").expect("written");
}

#[test]
fn logs_are_filtered_paged_and_followed() {
    let (rig, mut browser) = Rig::with(&guide());
    browser.get("/lbadmin/logs/ldirectord").has("The log is empty here.");
    let line = |n: u32| format!("2026-11-21_07:{:02}:{:02}.00000 kern.info kernel: <line {n}>", n / 60, n % 60);
    log(&rig, "syslog", &(0..450).map(line).collect::<Vec<_>>());
    let newest = browser.get("/lbadmin/logs/system");
    newest.has("<time>2026-11-21 07:07:29</time> kern.info kernel: &#60;line 449&#62;").lacks("line 249&").has("Older");
    newest.lacks("Newer").lacks("hx-trigger");
    let link = |page: &crate::rig::Page, rel: &str| {
        let at =
            page.text.find(&format!("rel=\"{rel}\" href=\"")).unwrap_or_else(|| panic!("no {rel} in {}", page.text));
        let rest = &page.text[at..];
        let from = rest.find("href=\"").expect("a link") + 6;
        let to = from + rest[from..].find('"').expect("its end");
        format!("/lbadmin/logs/system{}", rest[from..to].replace("&#38;", "&"))
    };
    let second = browser.get(&link(&newest, "next"));
    second.has("line 249&").has("line 50&").lacks("line 49&").lacks("line 250&").has("Newest");
    let third = browser.get(&link(&second, "next"));
    third.has("line 49&").has("line 0&").lacks("rel=\"next\"");
    let back = browser.get(&link(&third, "prev"));
    back.has("line 249&").has("line 50&").lacks("line 250&");
    let newest = browser.get(&link(&back, "prev"));
    newest.has("line 449&").has("line 250&").lacks("line 249&").lacks("rel=\"prev\"");
    browser.get("/lbadmin/logs/system?filter=LINE+12%3E").has("<mark>line 12&#62;</mark>").lacks("line 13&");
    browser
        .get("/lbadmin/logs/system?follow=1")
        .has("sse-connect=\"/lbadmin/logs/system/follow?")
        .has("Stop following");
    assert_eq!(browser.get("/lbadmin/logs/../secret").status, 404);
    assert_eq!(browser.get("/lbadmin/logs/passwd").status, 404);
}

#[test]
fn services_and_the_unit_restart_when_asked() {
    let (rig, mut browser) = Rig::with(&guide());
    browser.get("/lbadmin/services").has("fallback").has("● running").has("Clients of a virtual server without a real");
    browser.get("/lbadmin/services/fallback").has("get no page for a moment").has(">Restart fallback</button>");
    let done = browser.post("/lbadmin/services/fallback", &[]);
    browser.follow(&done).has("fallback restarts.");
    let done = browser.post("/lbadmin/services/lbadmin", &[]);
    assert_eq!(done.status, 200, "what would show the next page goes away");
    done.has("lbadmin restarts.").has("you stay logged in");
    assert_eq!(browser.get("/lbadmin/services/nobody").status, 404);
    browser.get("/lbadmin/services");
    let refused = browser.post("/lbadmin/services/nobody", &[]);
    browser.follow(&refused).has("flash-bad").has("there is no service");
    browser.get("/lbadmin/unit/restart");
    let done = browser.post("/lbadmin/unit/restart", &[]);
    done.has("The unit restarts; it answers again in about a minute.").lacks("nav class=\"menu\"");
    let log = rig.dir.path().join("log");
    assert_eq!(rig.lbd().running().expect("lbd goes on").revision.number, 1, "{log:?}");
}

/// A page for every entry, for everybody who sees it, and what it links to exists.
#[test]
fn the_menu_has_no_dead_links() {
    let (rig, mut browser) = Rig::with(&guide());
    let mut people = vec![(Role::Configuration, browser.clone())];
    people.extend([Role::Report, Role::Maintenance].map(|role| (role, user(&rig, role.name(), role))));
    for (role, mine) in &mut people {
        let parts = lbadmin::menu::visible(*role).into_iter().flat_map(|(_, parts)| parts);
        for entry in parts.flat_map(|(_, entries)| entries) {
            let page = mine.get(&format!("/lbadmin/{}", entry.path));
            assert_eq!(page.status, 200, "{} as {role}: {}", entry.path, page.text);
            page.has("aria-current=\"page\"");
        }
    }
    let mut seen = std::collections::BTreeSet::from(["/lbadmin/".to_owned()]);
    let mut next = seen.clone();
    while let Some(path) = next.pop_first() {
        let page = browser.get(&path);
        assert!(matches!(page.status, 200 | 303 | 307), "{path}: {}", page.status);
        for link in page.text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let link = link.split('#').next().unwrap_or_default().replace("&#38;", "&").replace("&amp;", "&");
            if link.starts_with("/lbadmin/") && !link.contains('?') && seen.insert(link.clone()) {
                next.insert(link);
            }
        }
    }
    assert!(seen.len() > 60, "{seen:?}");
}
