//! The pages under Edit Configuration: every form posted good, bad, in conflict, and by those who may not.

use crate::{
    form::filled,
    rig::{Browser, Page, Rig, guide, shop, user},
};
use lb_access::Role;
use lb_model::Config;

type Typed = &'static [(&'static str, &'static str)];

const TOO_LONG: &str = match std::str::from_utf8(&[b'x'; 262_145]) {
    Ok(text) => text,
    Err(_) => "",
};

/// The forms with a change that is good and one that is not, and what each then says.
const FORMS: &[(&str, Typed, &str, Typed, &str)] = &[
    (
        "/lbadmin/edit/virtual-servers/new",
        &[("label", "DNS"), ("service", "10.0.0.22:53"), ("protocol", "udp"), ("check_type", "ping")],
        "Add virtual server DNS on udp 10.0.0.22:53 (wrr)",
        &[("label", "no spaces"), ("service", "10.0.0.22")],
        "The port is missing",
    ),
    (
        "/lbadmin/edit/virtual-servers/modify?vip=HTTP_Cluster",
        &[("scheduler", "wlc"), ("persistent", "on")],
        "Change scheduler of HTTP_Cluster from wrr to wlc",
        &[("persistent", "on"), ("granularity", "255.0.255.0")],
        "is not a netmask",
    ),
    (
        "/lbadmin/edit/real-servers/new?vip=HTTP_Cluster",
        &[("label", "WebServer2"), ("address", "192.168.2.51:80")],
        "Add real server WebServer2 at 192.168.2.51 port 80 (nat, weight 1) to HTTP_Cluster",
        &[("label", "WebServer2"), ("address", "192.168.2.21:80")],
        "is this unit&#39;s own address",
    ),
    (
        "/lbadmin/edit/real-servers/modify?vip=HTTP_Cluster&rip=WebServer1",
        &[("weight", "5")],
        "Change weight of WebServer1 in HTTP_Cluster from 1 to 5",
        &[("weight", "heavy")],
        "is not a whole number; use 0 to 65535",
    ),
    (
        "/lbadmin/edit/layer-7/virtual-servers/new",
        &[
            ("label", "Blog"),
            ("service", "10.0.0.21:8081"),
            ("persistence", "cookie"),
            ("cookie_name", "BLOGID"),
            ("rules", "path /images -> use Shop\nnot source 10.0.0.0/8 -> refuse"),
        ],
        "Add layer 7 virtual server Blog on http 10.0.0.21:8081 (roundrobin)",
        &[("label", "Blog"), ("service", "10.0.0.21:80"), ("rules", "path images -> use Nobody")],
        "Rule 1, &#34;Nobody&#34;: There is no such layer 7 virtual server",
    ),
    (
        "/lbadmin/edit/layer-7/virtual-servers/modify?vip=Shop",
        &[("balance", "leastconn"), ("request_headers", "set X-Shop: 1")],
        "Change balance of Shop from roundrobin to leastconn",
        &[("rules", "path /images => use Shop"), ("manual", "backend other")],
        "Line 1: &#34;path /images =&#62; use Shop&#34; does not say what is done",
    ),
    (
        "/lbadmin/edit/layer-7/real-servers/new?vip=Shop",
        &[("label", "WebServer2"), ("address", "192.168.2.51:80"), ("tls", "on")],
        "Add real server WebServer2 at 192.168.2.51 port 80 (weight 1) to Shop",
        &[("label", "WebServer2"), ("address", "10.0.0.21:8080")],
        "is the virtual server itself",
    ),
    (
        "/lbadmin/edit/layer-7/real-servers/modify?vip=Shop&rip=WebServer1",
        &[("weight", "256"), ("send_proxy", "v2")],
        "Change weight of WebServer1 in Shop from 1 to 256",
        &[("weight", "257")],
        "257 is out of range; use 0 to 256",
    ),
    (
        "/lbadmin/edit/interfaces/new",
        &[("name", "eth2"), ("addresses", "172.16.0.21/24")],
        "Add interface eth2 with 172.16.0.21/24",
        &[("name", "eth2"), ("addresses", "10.0.0.99/24")],
        "overlaps the network 10.0.0.0/24 of eth0",
    ),
    (
        "/lbadmin/edit/interfaces/modify?name=eth1",
        &[("addresses", "192.168.2.21/24\nfd00:2::21/64")],
        "Add address fd00:2::21/64 to eth1",
        &[("addresses", "192.168.2.21")],
        "has no netmask",
    ),
    (
        "/lbadmin/edit/dns",
        &[("hostname", "lb1")],
        "Change host name from lbmaster to lb1",
        &[("nameservers", "10.0.0.31\nns1")],
        "Line 2: &#34;ns1&#34; is not an IP address",
    ),
    (
        "/lbadmin/edit/routing",
        &[("routes", "172.16.0.0/12 via 10.0.0.2")],
        "Add route to 172.16.0.0/12 through 10.0.0.2",
        &[("gateway", "10.9.0.1")],
        "is in none of this unit&#39;s networks",
    ),
    (
        "/lbadmin/edit/globals",
        &[("fall", "3"), ("quiescent", ""), ("timeout_client", "90"), ("layer7_connections", "5000")],
        "Change failure count from 1 to 3",
        &[("interval", "0")],
        "use 1 to 3600",
    ),
    (
        "/lbadmin/edit/globals",
        &[("time_servers", "ntp.example.com\n10.0.0.5")],
        "Change time servers from none to ntp.example.com, 10.0.0.5",
        &[("time_servers", "10.0.0.5\nallow all")],
        "Line 2: time server &#34;allow all&#34; is no host&#39;s name",
    ),
    (
        "/lbadmin/maintenance/fallback-page",
        &[("page", "<!doctype html>\n<p>Back soon.")],
        "Set a fallback page of 29 bytes",
        &[("page", TOO_LONG)],
        "This is too long; at most 262144 characters are allowed",
    ),
    (
        "/lbadmin/maintenance/lockdown",
        &[("enabled", "on"), ("networks", "10.0.0.0/24\n2001:db8::/32")],
        "Turn the firewall lock-down on",
        &[("networks", "10.0.0.21/24")],
        "is an address within a network",
    ),
];

/// As a browser sends the form of `page`, some fields typed over; an empty check box is not sent.
fn post(browser: &mut Browser, page: &Page, mark: &str, typed: &[(&str, &str)]) -> Page {
    let (action, mut fields) = filled(&page.text, mark);
    for (name, value) in typed {
        fields.retain(|(n, _)| n != name);
        if !(value.is_empty() && ["quiescent", "persistent", "masquerade"].contains(name)) {
            fields.push(((*name).to_owned(), (*value).to_owned()));
        }
    }
    fields.retain(|(name, _)| name != "csrf");
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    browser.post(&action, &fields)
}

fn candidate(rig: &Rig) -> Config {
    rig.lbd().candidate().expect("the candidate").config
}

#[test]
fn every_form_is_staged_when_it_is_good_and_comes_back_when_it_is_not() {
    let (rig, mut browser) = Rig::with(&shop());
    for (path, good, change, bad, error) in FORMS {
        let page = browser.get(path);
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        page.has("Update</button>").has(" &#62; ");
        let before = candidate(&rig);
        let refused = post(&mut browser, &page, "class=\"edit\"", bad);
        assert_eq!(refused.status, 422, "{path}: {}", refused.text);
        refused.has(error).has("aria-invalid");
        for (_, kept) in *bad {
            refused.has(&kept.replace('>', "&#62;"));
        }
        assert_eq!(candidate(&rig), before, "{path}: nothing is changed by what is refused");
        // The form that came back is mended, and goes through.
        let mended: Vec<(&str, &str)> = bad
            .iter()
            .map(|(name, _)| {
                let (_, fields) = filled(&page.text, "class=\"edit\"");
                let old = fields.into_iter().find(|(n, _)| n == name).map_or(String::new(), |(_, v)| v);
                (*name, &*old.leak())
            })
            .chain(good.iter().copied())
            .collect();
        let done = post(&mut browser, &refused, "class=\"edit\"", &mended);
        assert_eq!(done.status, 303, "{path}: {}", done.text);
        browser.follow(&done).has("Saved, and pending until the configuration is applied.").has(change);
        // Once more, unchanged: the candidate is not touched.
        if !path.contains("/new") && *path != "/lbadmin/edit/dns" {
            let etag = rig.lbd().candidate().expect("the candidate").etag;
            let page = browser.get(path);
            let done = post(&mut browser, &page, "class=\"edit\"", &[]);
            browser.follow(&done).has("Nothing was changed: it is like that already.");
            assert_eq!(rig.lbd().candidate().expect("the candidate").etag, etag, "{path}");
        }
    }
    let log = rig.app.access.audit(Some("edit"), None, 100);
    assert!(log.entries.iter().any(|e| format!("{e:?}").contains("Real Server WebServer1 of HTTP_Cluster")));
}

/// The guide's own walk: the second web server is added with its form, applied, and is in the kernel.
#[test]
fn web_server_2_is_added_as_in_the_guide() {
    let (rig, mut browser) = Rig::with(&guide());
    let tree = browser.get("/lbadmin/edit/real-servers");
    tree.has("EDIT CONFIGURATION &#62; REAL SERVERS").has("(10.0.0.21:80)").has("Add a new Real Server");
    let form = browser.get("/lbadmin/edit/real-servers/new?vip=HTTP_Cluster");
    form.has("EDIT CONFIGURATION &#62; ADD A NEW REAL SERVER").has("VIP 1 HTTP_Cluster (10.0.0.21:80)");
    let (_, fields) = filled(&form.text, "class=\"edit\"");
    for (name, value) in [("weight", "1"), ("min_connections", "0"), ("max_connections", "0"), ("forwarding", "nat")] {
        assert!(fields.contains(&(name.to_owned(), value.to_owned())), "{name}: {fields:?}");
    }
    let done = post(&mut browser, &form, "class=\"edit\"", &[("label", "WebServer2"), ("address", "192.168.2.51:80")]);
    let tree = browser.follow(&done);
    tree.has("192.168.2.51:80").has("Apply configuration");
    let etag = tree.field("etag").expect("the bar's etag");
    let applied = browser.post("/lbadmin/apply", &[("etag", &etag)]);
    browser.follow(&applied).has("Applied as revision 2.");
    let status = rig.lbd().status().expect("a status");
    assert_eq!(status.virtual_servers[0].real_servers[1].address, "192.168.2.51:80");
}

#[test]
fn two_administrators_see_each_others_change_as_a_conflict() {
    let (rig, mut anna) = Rig::with(&guide());
    let mut ben = user(&rig, "ben", Role::Configuration);
    let path = "/lbadmin/edit/real-servers/modify?vip=HTTP_Cluster&rip=WebServer1";
    let hers = anna.get(path);
    let his = ben.get(path);
    let done = post(&mut ben, &his, "class=\"edit\"", &[("weight", "5"), ("max_connections", "100")]);
    assert_eq!(done.status, 303);
    let conflict = post(&mut anna, &hers, "class=\"edit\"", &[("weight", "7")]);
    assert_eq!(conflict.status, 409, "{}", conflict.text);
    conflict
        .has("Weight is now 5, you typed 7.")
        .has("Maximum Connections is now 100, which is taken over here.")
        .has("last edited by ben (127.0.0.1)");
    assert_eq!(candidate(&rig).virtual_servers[0].real_servers[0].weight, 5);
    let done = post(&mut anna, &conflict, "class=\"edit\"", &[]);
    assert_eq!(done.status, 303, "{}", done.text);
    let rs = candidate(&rig).virtual_servers[0].real_servers[0].clone();
    assert_eq!((rs.weight, rs.max_connections), (7, 100), "nobody's change is lost");
    // Different objects do not get into each other's way.
    let hers = anna.get("/lbadmin/edit/globals");
    let his = ben.get("/lbadmin/edit/dns");
    assert_eq!(post(&mut ben, &his, "class=\"edit\"", &[("hostname", "lb1")]).status, 303);
    assert_eq!(post(&mut anna, &hers, "class=\"edit\"", &[("fall", "2")]).status, 303);
    let both = candidate(&rig);
    assert_eq!((both.node.hostname.as_str(), both.globals.health.fall), ("lb1", 2));
}

#[test]
fn what_is_removed_is_asked_about_first_and_only_as_it_was_seen() {
    let (rig, mut browser) = Rig::with(&guide());
    let path = "/lbadmin/edit/real-servers/remove?vip=HTTP_Cluster&rip=WebServer1";
    let page = browser.get(path);
    page.has("Remove real server WebServer1 at 192.168.2.50 (nat, weight 1) from HTTP_Cluster")
        .has("drops its sessions");
    let weight = browser.get("/lbadmin/edit/real-servers/modify?vip=HTTP_Cluster&rip=WebServer1");
    assert_eq!(post(&mut browser, &weight, "class=\"edit\"", &[("weight", "2")]).status, 303);
    let stale = post(&mut browser, &page, "action=\"/lbadmin/edit/real-servers/remove", &[]);
    assert_eq!(stale.status, 409);
    stale.has("Somebody else changed Real Server WebServer1 of HTTP_Cluster since you looked.").has("weight 2");
    let done = post(&mut browser, &stale, "action=\"/lbadmin/edit/real-servers/remove", &[]);
    browser.follow(&done).has("Saved, and pending");
    assert!(candidate(&rig).virtual_servers[0].real_servers.is_empty());
    let again = post(&mut browser, &stale, "action=\"/lbadmin/edit/real-servers/remove", &[]);
    browser.follow(&again).has("is not there any more");
    assert_eq!(browser.get(path).status, 404);

    let page = browser.get("/lbadmin/edit/interfaces/remove?name=eth0");
    page.has("What would no longer fit").has("Virtual Server HTTP_Cluster");
    let page = browser.get("/lbadmin/edit/virtual-servers/remove?vip=HTTP_Cluster");
    let done = post(&mut browser, &page, "action=\"/lbadmin/edit/virtual-servers/remove", &[]);
    assert_eq!(done.status, 303);
    assert!(candidate(&rig).virtual_servers.is_empty());
}

/// Cookie persistence with two servers, as in the guide's chapter on layer 7; applied, it stands beside layer 4.
#[test]
fn a_layer_7_virtual_server_is_added_as_in_the_guide() {
    let (rig, mut browser) = Rig::with(&guide());
    browser.get("/lbadmin/edit/layer-7/virtual-servers").has("There is no layer 7 virtual server yet.");
    browser.get("/lbadmin/edit/layer-7/real-servers").has("add one</a> first");
    let form = browser.get("/lbadmin/edit/layer-7/virtual-servers/new");
    form.has("EDIT CONFIGURATION &#62; ADD A NEW LAYER 7 VIRTUAL SERVER").has("<details class=\"fold\">");
    form.lacks("<details class=\"fold\" open>");
    let shop = [("label", "Shop"), ("service", "10.0.0.21:8080"), ("persistence", "cookie"), ("check_type", "on")];
    let done = post(&mut browser, &form, "class=\"edit\"", &shop);
    let tree = browser.follow(&done);
    tree.has("EDIT CONFIGURATION &#62; LAYER 7 REAL SERVERS").has("VIP 2").has("(http 10.0.0.21:8080)");
    for (label, address) in [("WebServer1", "192.168.2.50:80"), ("WebServer2", "192.168.2.51:80")] {
        let form = browser.get("/lbadmin/edit/layer-7/real-servers/new?vip=Shop");
        form.has("VIP 2 Shop (http 10.0.0.21:8080)");
        let done = post(&mut browser, &form, "class=\"edit\"", &[("label", label), ("address", address)]);
        browser.follow(&done).has(address);
    }
    let list = browser.get("/lbadmin/edit/layer-7/virtual-servers");
    list.has("cookie SERVERID").has("modify?vip=Shop").has("remove?vip=Shop");
    let applied = browser.post("/lbadmin/apply", &[("etag", &list.field("etag").expect("the bar's etag"))]);
    browser.follow(&applied).has("Applied as revision 2.");
    rig.forget();
    browser.get("/lbadmin/").has("VIP 1 HTTP_Cluster").has("VIP 2 Shop").has("http 10.0.0.21:8080").has("SNAT");
    let page = browser.get("/lbadmin/edit/layer-7/virtual-servers/remove?vip=Shop");
    page.has("Remove layer 7 virtual server Shop on http 10.0.0.21:8080").has("those connected end their requests");
    let done = post(&mut browser, &page, "action=\"/lbadmin/edit/layer-7/virtual-servers/remove", &[]);
    browser.follow(&done).has("Saved, and pending");
    assert!(candidate(&rig).layer7.virtual_servers.is_empty());
}

/// A form whose object somebody else removed is a conflict; one whose virtual server is gone has no place.
#[test]
fn what_somebody_else_removed_is_told() {
    let (rig, mut browser) = Rig::with(&guide());
    let vip = browser.get("/lbadmin/edit/virtual-servers/modify?vip=HTTP_Cluster");
    let rip = browser.get("/lbadmin/edit/real-servers/modify?vip=HTTP_Cluster&rip=WebServer1");
    let mut without = guide();
    without.virtual_servers.clear();
    let put = lb_api::PutCandidate { config: without, base: None, etag: None, author: "ben".into() };
    rig.lbd().put_candidate(&put).expect("a candidate");
    let conflict = post(&mut browser, &vip, "class=\"edit\"", &[("scheduler", "rr")]);
    assert_eq!(conflict.status, 409);
    conflict.has("was removed or renamed by somebody else meanwhile");
    let gone = post(&mut browser, &rip, "class=\"edit\"", &[("weight", "2")]);
    assert_eq!(gone.status, 404);
    gone.has("Virtual Server HTTP_Cluster is not there any more");
    assert_eq!(post(&mut browser, &conflict, "class=\"edit\"", &[]).status, 303);
    assert_eq!(candidate(&rig).virtual_servers[0].scheduler.as_str(), "rr");
}

#[test]
fn only_the_role_configuration_edits() {
    let (rig, mut admin) = Rig::with(&shop());
    let others = [
        "/lbadmin/edit/virtual-servers",
        "/lbadmin/edit/real-servers",
        "/lbadmin/edit/layer-7/virtual-servers",
        "/lbadmin/edit/layer-7/real-servers",
        "/lbadmin/edit/interfaces",
        "/lbadmin/edit/wizard",
    ];
    for (name, role) in [("mia", Role::Maintenance), ("rob", Role::Report)] {
        let mut browser = user(&rig, name, role);
        for path in FORMS.iter().map(|f| f.0).chain(others) {
            assert_eq!(browser.get(path).status, 403, "{name}: {path}");
        }
        browser.get("/lbadmin/").lacks("Edit Configuration");
        for (path, good, ..) in FORMS {
            let page = admin.get(path);
            let (action, fields) = filled(&page.text, "class=\"edit\"");
            let mut fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            fields.retain(|(n, _)| *n != "csrf" && !good.iter().any(|(g, _)| g == n));
            fields.extend(*good);
            assert_eq!(browser.post(&action, &fields).status, 403, "{name}: {path}");
        }
    }
    assert_eq!(candidate(&rig), shop());
    let log = rig.app.access.audit(None, None, 200);
    let refused = log.entries.iter().filter(|e| e.entry.refused).count();
    assert!(refused >= 2 * 2 * FORMS.len(), "only {refused} refusals are in the log");
    let mut nobody = rig.browser();
    for (path, ..) in FORMS {
        assert_eq!(nobody.get(path).status, 303, "{path}");
        assert_eq!(nobody.post(path, &[]).header("location"), "/lbadmin/login", "{path}");
    }
    admin.get("/lbadmin/");
    let mut stale = admin.clone();
    stale.csrf = "0".repeat(admin.csrf.len());
    for (path, good, ..) in FORMS {
        assert_eq!(stale.post(path, good).status, 403, "{path}");
    }
    assert_eq!(candidate(&rig), shop());
}

#[test]
fn nonsense_in_the_address_and_the_form_is_refused() {
    let (_rig, mut browser) = Rig::with(&guide());
    for (path, status) in [
        ("/lbadmin/edit/virtual-servers/modify?vip=nobody", 404),
        ("/lbadmin/edit/virtual-servers/modify?vip=..%2F..%2Fetc", 404),
        ("/lbadmin/edit/virtual-servers/modify", 400),
        ("/lbadmin/edit/real-servers/new?vip=nobody", 404),
        ("/lbadmin/edit/real-servers/modify?vip=HTTP_Cluster&rip=%00", 404),
        ("/lbadmin/edit/layer-7/virtual-servers/modify?vip=HTTP_Cluster", 404),
        ("/lbadmin/edit/layer-7/virtual-servers/modify", 400),
        ("/lbadmin/edit/layer-7/real-servers/new?vip=HTTP_Cluster", 404),
        ("/lbadmin/edit/layer-7/virtual-servers?page=7&q=%3Cscript%3E", 200),
        ("/lbadmin/edit/interfaces/modify?name=eth7", 404),
        ("/lbadmin/edit/virtual-servers?page=99999999999999999999", 400),
        ("/lbadmin/edit/virtual-servers?page=7&q=%3Cscript%3E", 200),
    ] {
        let page = browser.get(path);
        assert_eq!(page.status, status, "{path}: {}", page.text);
        page.lacks("<script>");
    }
    let page = browser.get("/lbadmin/edit/dns");
    let refused = post(&mut browser, &page, "class=\"edit\"", &[("weight", "1")]);
    assert_eq!(refused.status, 422);
    refused.has("This form has no field &#34;weight&#34;.");
}

/// Renumbering a card breaks what else is in its network; it can be staged, and applied when all of it fits again.
#[test]
fn a_network_is_renumbered_step_by_step() {
    let (rig, mut browser) = Rig::with(&guide());
    let page = browser.get("/lbadmin/edit/interfaces/modify?name=eth0");
    let refused = post(&mut browser, &page, "class=\"edit\"", &[("addresses", "10.9.0.21/24")]);
    assert_eq!(refused.status, 422);
    refused.has("With this change other settings would no longer fit:").has("Stage it all the same");
    let done = post(&mut browser, &refused, "class=\"edit\"", &[("anyway", "on")]);
    browser.follow(&done).has("problem").has("cannot be applied");
    let page = browser.get("/lbadmin/edit/routing");
    page.has("10.0.0.31 is in none of this unit&#39;s networks");
    let done = post(&mut browser, &page, "class=\"edit\"", &[("gateway", "10.9.0.1")]);
    assert_eq!(done.status, 303, "{}", done.text);
    let page = browser.get("/lbadmin/edit/virtual-servers/modify?vip=HTTP_Cluster");
    let done = post(&mut browser, &page, "class=\"edit\"", &[("service", "10.9.0.21:80")]);
    assert_eq!(done.status, 303, "{}", done.text);
    assert!(rig.lbd().candidate().expect("the candidate").problems.is_empty());
}

/// The preview is of what is pending, and nothing in it can act as this interface.
#[test]
fn the_fallback_page_is_previewed_in_a_sandbox() {
    let (rig, mut browser) = Rig::with(&guide());
    browser.get("/lbadmin/maintenance/fallback-page/preview").has("Service temporarily unavailable");
    let page = browser.get("/lbadmin/maintenance/fallback-page");
    let html = "<script>alert(1)</script></textarea><p>Back soon";
    let done = post(&mut browser, &page, "class=\"edit\"", &[("page", html)]);
    browser.follow(&done).lacks("<script>alert").has("&#60;script&#62;");
    let preview = browser.get("/lbadmin/maintenance/fallback-page/preview");
    assert_eq!(preview.text, html);
    let policy = preview.header("content-security-policy");
    assert!(policy.starts_with("sandbox; default-src 'none'") && !policy.contains("allow-"), "{policy}");
    assert_eq!(user(&rig, "mia", Role::Maintenance).get("/lbadmin/maintenance/fallback-page/preview").status, 403);
}
