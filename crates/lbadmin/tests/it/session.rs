//! Log in, the forced change of password, log out, and what is refused.

use crate::rig::{PASSWORD, Rig, guide};

#[test]
fn nothing_is_shown_without_a_session() {
    let rig = Rig::start();
    let mut browser = rig.browser();
    let page = browser.get("/lbadmin/");
    assert_eq!((page.status, page.header("location")), (303, "/lbadmin/login"));
    let page = browser.get("/lbadmin/history?page=1");
    assert_eq!(page.header("location"), "/lbadmin/login?next=%2Flbadmin%2Fhistory%3Fpage%3D1");
}

#[test]
fn the_first_log_in_must_change_the_password_before_anything_else() {
    let rig = Rig::start();
    let mut browser = rig.browser();
    browser.post("/lbadmin/login", &[("user", "loadbalancer"), ("password", "loadbalancer")]);
    for path in ["/lbadmin/", "/lbadmin/changes", "/lbadmin/live/overview", "/lbadmin/logs/system/follow"] {
        let page = browser.get(path);
        assert_eq!((page.status, page.header("location")), (303, "/lbadmin/password"), "{path}");
    }
    let form = browser.get("/lbadmin/password");
    form.has("factory default");
    let refused = browser.post("/lbadmin/password", &[("old", "loadbalancer"), ("new", "short"), ("repeat", "short")]);
    assert_eq!(refused.status, 422);
    let refused = browser.post("/lbadmin/password", &[("old", "loadbalancer"), ("new", PASSWORD), ("repeat", "other")]);
    refused.has("The two new passwords differ");
    let done = browser.post("/lbadmin/password", &[("old", "loadbalancer"), ("new", PASSWORD), ("repeat", PASSWORD)]);
    browser.follow(&done).has("Your password is changed.");
    let mut other = rig.browser();
    let old = other.post("/lbadmin/login", &[("user", "loadbalancer"), ("password", "loadbalancer")]);
    assert_eq!(old.status, 401);
    let new = other.post("/lbadmin/login", &[("user", "loadbalancer"), ("password", PASSWORD)]);
    assert_eq!(new.status, 303);
}

#[test]
fn logging_out_ends_the_session() {
    let (_rig, mut browser) = Rig::with(&guide());
    browser.get("/lbadmin/").has("HTTP_Cluster");
    let kept = browser.clone();
    let page = browser.post("/lbadmin/logout", &[]);
    assert_eq!(page.header("location"), "/lbadmin/login");
    let mut stolen = kept;
    assert_eq!(stolen.get("/lbadmin/").status, 303, "the cookie is worth nothing any more");
}

#[test]
fn a_form_with_a_stale_token_or_from_another_site_is_refused_and_logged() {
    let (rig, mut browser) = Rig::with(&guide());
    browser.get("/lbadmin/");
    let mut stale = browser.clone();
    stale.csrf = "0".repeat(browser.csrf.len());
    let page = stale.post("/lbadmin/discard", &[]);
    assert_eq!(page.status, 403);
    page.has("This form is out of date");
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", "http://evil.example")];
    let body = format!("csrf={}", browser.csrf);
    let page = browser.send("POST", "/lbadmin/discard", &headers, Some(body.as_bytes()));
    assert_eq!(page.status, 403);
    page.has("Sent by another site");
    let log = rig.app.access.audit(None, None, 50);
    let refused = log.entries.iter().filter(|e| e.entry.refused && e.entry.action == "POST /lbadmin/discard").count();
    assert_eq!(refused, 2, "{:?}", log.entries);
}

#[test]
fn a_log_in_leads_only_to_our_own_pages() {
    let rig = Rig::start();
    rig.logged_in();
    for (next, to) in [
        ("//evil.example/", "/lbadmin/"),
        ("https://evil.example/", "/lbadmin/"),
        ("/lbadmin/history", "/lbadmin/history"),
    ] {
        let mut browser = rig.browser();
        let page = browser.post("/lbadmin/login", &[("user", "loadbalancer"), ("password", PASSWORD), ("next", next)]);
        assert_eq!(page.header("location"), to);
    }
}
