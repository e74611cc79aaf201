//! Maintenance > Backup & Restore, Support > Support Bundle, Support > API, in a browser without JavaScript.

use crate::rig::{Browser, Page, Rig, guide};
use lb_model::Config;

const PAGE: &str = "/lbadmin/maintenance/backup";
const PASSPHRASE: &str = "correct horse battery";

/// Posts the restore form with a file.
fn look(browser: &mut Browser, file: &str, fields: &[(&str, &str)]) -> Page {
    let csrf = browser.csrf.clone();
    look_with(browser, &csrf, file, fields)
}

fn look_with(browser: &mut Browser, csrf: &str, file: &str, fields: &[(&str, &str)]) -> Page {
    let mut body = String::new();
    let mut part = |head: &str, value: &str| {
        body.push_str(&format!("--x\r\ncontent-disposition: form-data; {head}\r\n\r\n{value}\r\n"));
    };
    part("name=\"csrf\"", csrf);
    part("name=\"file\"; filename=\"a.backup.json\"", file);
    for (name, value) in fields {
        part(&format!("name=\"{name}\""), value);
    }
    body.push_str("--x--\r\n");
    let origin = format!("http://{}", browser.address);
    let headers = [("content-type", "multipart/form-data; boundary=x"), ("origin", origin.as_str())];
    browser.send("POST", "/lbadmin/maintenance/backup/look", &headers, Some(body.as_bytes()))
}

fn with_interval(interval: u32) -> Config {
    let mut config = guide();
    config.globals.health.interval = interval;
    config
}

#[test]
fn a_backup_is_downloaded_looked_at_and_restored() {
    let (rig, mut browser) = Rig::with(&with_interval(7));
    browser.get(PAGE).has("Make a backup").has("Restore a backup");
    let file = browser.post("/lbadmin/maintenance/backup/download", &[("passphrase", ""), ("repeat", "")]);
    assert_eq!(file.status, 200);
    assert!(file.header("content-disposition").starts_with("attachment; filename=\"lbmaster-"));
    let request = lb_api::ApplyRequest { config: Some(with_interval(3)), ..Default::default() };
    rig.lbd().apply(&request).expect("applied");

    browser.get(PAGE);
    let page = look(&mut browser, &file.text, &[]);
    page.has("Change health check interval from 3 s to 7 s")
        .has("Nothing is changed yet")
        .lacks("Users and certificate");
    assert_eq!(rig.lbd().candidate().expect("what runs").etag, 0, "looking changes nothing");
    let done = browser.post("/lbadmin/maintenance/backup/restore", &[]);
    browser.follow(&done).has("The backup is pending.").has("Change health check interval from 3 s to 7 s");
    let again = browser.post("/lbadmin/maintenance/backup/restore", &[]);
    browser.follow(&again).has("No backup waits to be restored any more");
}

#[test]
fn users_are_restored_when_asked() {
    let (rig, mut browser) = Rig::with(&guide());
    browser.get(PAGE);
    let wrong = browser.post("/lbadmin/maintenance/backup/download", &[("passphrase", PASSPHRASE), ("repeat", "x")]);
    assert_eq!(wrong.status, 422);
    wrong.has("The two are not the same.");
    let short = browser.post("/lbadmin/maintenance/backup/download", &[("passphrase", "short"), ("repeat", "short")]);
    short.has("A passphrase has 10 to 256 characters.");
    let both = [("passphrase", PASSPHRASE), ("repeat", PASSPHRASE)];
    let file = browser.post("/lbadmin/maintenance/backup/download", &both);
    assert_eq!(file.status, 200, "{}", file.text);
    assert!(!file.text.contains("argon2id$") && !file.text.contains("PRIVATE KEY"));
    let by = crate::api::administrator();
    rig.app.access.add_user("carol", lb_access::Role::Report, "ten letters", &by, lbadmin::app::now()).expect("added");

    browser.get(PAGE);
    let page = look(&mut browser, &file.text, &[("passphrase", "another passphrase")]);
    assert_eq!(page.status, 422);
    page.has("The passphrase does not fit");
    let page = look(&mut browser, &file.text, &[("passphrase", PASSPHRASE)]);
    page.has("loadbalancer (configuration)").has("Nothing: the backup is what runs.");
    let done = browser.post("/lbadmin/maintenance/backup/restore", &[("users", "on")]);
    // The password is the same: this session goes on.
    browser.follow(&done);
    assert!(rig.app.access.users().iter().all(|u| u.name != "carol"), "all users are those of the file");
}

#[test]
fn what_is_no_backup_says_so_at_the_field() {
    let (_rig, mut browser) = Rig::with(&guide());
    browser.get(PAGE);
    for (file, said) in [
        ("", "Choose a file, or paste its text."),
        ("hello", "This is no backup of a load balancer"),
        (r#"{"format": "steelyard-backup", "version": 9}"#, "update the software first"),
    ] {
        let page = look(&mut browser, file, &[]);
        assert_eq!(page.status, 422);
        page.has(said);
    }
    let foreign = look_with(&mut browser, "stale", "{}", &[]);
    assert_eq!(foreign.status, 403);
}

#[test]
fn a_support_bundle_and_the_api_have_pages() {
    let (_rig, mut browser) = Rig::with(&guide());
    browser.get("/lbadmin/support/bundle").has("look through it before you hand it on");
    let bundle = browser.post("/lbadmin/support/bundle", &[]);
    assert_eq!((bundle.status, bundle.header("content-type")), (200, "application/gzip"));
    browser.get("/lbadmin/api").has("/api/v1/virtual-servers/{label}").has("Take a real server online or offline");
    browser.get("/lbadmin/api/openapi.json").has("\"openapi\":\"3.1.0\"");
}
