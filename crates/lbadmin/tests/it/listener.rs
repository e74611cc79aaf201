//! What the listener answers in place of the pages: redirects to https, and what a handler that panics leaves behind.

use crate::{
    program::{Program, until},
    rig::{Browser, LIMIT, Rig, connect, guide},
};
use axum::{Router, routing::get};
use std::io::{Read, Write};

#[test]
fn http_is_redirected_for_people_and_refused_for_programs() {
    let program = Program::start(&guide());
    let mut browser = program.logged_in();
    browser.get("/lbadmin/edit/web-interface");
    let page = browser.post(
        "/lbadmin/edit/web-interface",
        &[("http", "redirect"), ("metrics", "token"), ("session_idle", "1800"), ("session_absolute", "28800")],
    );
    page.has(&format!("https://127.0.0.1:{}/", program.https.port()));
    until("the redirect", || browser.clone().get("/lbadmin/").status == 308);
    let to = |path: &str| format!("https://127.0.0.1:{}{path}", program.https.port());
    for path in ["/lbadmin/?page=2&q=a%20b", "/lbadmin/login", "/"] {
        let page = browser.get(path);
        assert_eq!((page.status, page.header("location")), (308, to(path).as_str()));
    }
    let page = browser.post("/lbadmin/discard", &[]);
    assert_eq!((page.status, page.header("location")), (308, to("/lbadmin/discard").as_str()), "posted again as it is");
    for path in ["/api/v1/status", "/metrics"] {
        browser.get(path).problem(403, "forbidden").has("https");
    }
    // Only a host's name or address comes back in the address.
    for host in ["host: evil.example/x?\r\n", "host: a@evil.example\r\n"] {
        let mut stream = connect([127, 0, 0, 1], program.http);
        stream.set_read_timeout(Some(LIMIT)).expect("a socket");
        let head = format!("GET /lbadmin/ HTTP/1.1\r\n{host}connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.contains("evil"), "{host}{answer}");
    }
}

/// The page has a reference and nothing else of what went wrong; the next request is served.
#[test]
fn a_handler_that_panics_harms_nobody() {
    let rig = Rig::start();
    let broken = Router::new()
        .route("/lbadmin/broken", get(async || -> &'static str { panic!("the secret is {}", "hunter2") }))
        .route("/lbadmin/whole", get(async || "whole"));
    let address = rig.serve(lbadmin::server::around(&rig.app, broken));
    let mut browser = Browser { address, ..rig.browser() };
    let mut references = Vec::new();
    for _ in 0..3 {
        let page = browser.get("/lbadmin/broken");
        assert_eq!(page.status, 500);
        page.lacks("hunter2").lacks(".rs").lacks("panicked").has("Reference: ");
        assert!(page.header("content-security-policy").contains("default-src 'self'"));
        let reference =
            page.text.split("Reference: ").nth(1).and_then(|rest| rest.split('.').next()).map(str::to_owned);
        references.push(reference.expect("a reference"));
        browser.get("/lbadmin/whole").is(200).has("whole");
    }
    references.dedup();
    assert_eq!(references.len(), 3, "each its own: {references:?}");
}
