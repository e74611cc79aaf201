//! Persistent Connections at layer 7: seen, searched, removed and cleared, beside the kernel's; and what it counts.

use crate::rig::{Browser, Page, Rig, guide, shop, user};

/// The shop, which knows clients by their address; HAProxy in memory has had one client on each of its servers.
fn remembering() -> (Rig, Browser) {
    let mut config = shop();
    let source = r#"{"type":"source"}"#;
    let vs = &mut config.layer7.virtual_servers[0];
    vs.persistence = Some(serde_json::from_str(source).expect("by source"));
    let mut second = vs.real_servers[0].clone();
    second.label = "WebServer2".parse().expect("a label");
    second.address = [192, 168, 2, 51].into();
    vs.real_servers.push(second);
    let (rig, mut browser) = Rig::with(&config);
    rig.wait("the entries", |rig| rig.lbd().persistence(&Default::default()).is_ok_and(|view| view.matching > 0));
    browser.get("/lbadmin/persistent").has("<h2>Layer 4</h2>").has("<h2>Layer 7</h2>").has("198.51.100.1");
    (rig, browser)
}

/// The fields of the first button that removes an entry of layer 7.
fn first(page: &Page) -> Vec<(&'static str, String)> {
    let button = page.text.find("/lbadmin/persistent/remove-layer-7").expect("a button");
    let row = Page { status: 200, headers: Vec::new(), text: page.text[button..].to_owned() };
    ["virtual_server", "kind", "key", "back"]
        .map(|name| (name, row.field(name).unwrap_or_else(|| panic!("no {name} beside a button"))))
        .into()
}

#[test]
fn an_entry_of_layer_7_is_found_and_removed_and_a_table_is_cleared() {
    let (rig, mut browser) = remembering();
    let page = browser.get("/lbadmin/persistent?client=198.51.100.1");
    page.has("of 2 entries match the filter").has("source address").lacks("198.51.100.2");
    let fields = first(&page);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let done = browser.post("/lbadmin/persistent/remove-layer-7", &fields);
    assert_eq!(done.header("location"), "/lbadmin/persistent?client=198.51.100.1");
    browser.follow(&done).has("The entry is removed").has("Nothing matches");
    let again = browser.post("/lbadmin/persistent/remove-layer-7", &fields);
    browser.follow(&again).has("flash-bad").has("no entry for");
    browser.get("/lbadmin/logs/audit").has("remove a persistent entry").has("198.51.100.1 in Shop");

    let mut report = user(&rig, "report", lb_access::Role::Report);
    report.get("/lbadmin/persistent").has("198.51.100.2").lacks("Remove<").lacks("Clear<");
    assert_eq!(report.post("/lbadmin/persistent/remove-layer-7", &fields).status, 403);
    assert_eq!(report.get("/lbadmin/persistent/clear/Shop").status, 403);
    assert_eq!(report.post("/lbadmin/persistent/clear/Shop", &[]).status, 403);

    assert_eq!(browser.get("/lbadmin/persistent/clear/Nobody").status, 404);
    browser.get("/lbadmin/persistent/clear/Shop").has("Remove all entries of Shop").has("No connection is cut");
    let cleared = browser.post("/lbadmin/persistent/clear/Shop", &[]);
    browser.follow(&cleared).has("All entries are removed").lacks("198.51.100.2");
    assert_eq!(browser.post("/lbadmin/persistent/remove-layer-7", &[("kind", "x")]).status, 400);
}

#[test]
fn a_filter_of_one_layer_shows_nothing_of_the_other() {
    let (_rig, mut browser) = remembering();
    browser
        .get("/lbadmin/persistent?virtual_server=Shop")
        .has("The filter means nothing of layer 4")
        .has("198.51.100.1");
    let page = browser.get("/lbadmin/persistent?virtual_server=HTTP_Cluster");
    page.lacks("<h2>Layer 7</h2>").has("the kernel&#39;s table".replace("&#39;", "'").as_str());
    assert_eq!(browser.get("/lbadmin/persistent?virtual_server=Nobody").status, 422);
    browser.get("/lbadmin/persistent?client=nobody").has("Nothing matches");
}

#[test]
fn without_layer_7_the_page_is_as_it_was() {
    let (_rig, mut browser) = Rig::with(&guide());
    browser.get("/lbadmin/persistent").lacks("<h2>Layer 7</h2>").lacks("<h2>Layer 4</h2>");
    assert_eq!(browser.get("/lbadmin/persistent?client=nobody").status, 422);
}

#[test]
fn layer_7_says_what_it_counts() {
    let (_rig, mut browser) = Rig::with(&shop());
    let page = browser.get("/lbadmin/layer-7-statistics");
    page.has("Shop (http)").has("WebServer1").has("5xx").lacks("HTTP_Cluster").lacks("still served");
    browser.get("/lbadmin/layer-7-statistics?q=nobody").has("Nothing matches");
    browser.get("/lbadmin/logs/layer-7").has("Requests and connections of layer 7 that failed");
    let (_rig, mut browser) = Rig::with(&guide());
    browser.get("/lbadmin/layer-7-statistics").has("There is no layer 7 virtual server yet.");
}
