//! Maintenance > Software Update and Factory Settings before a door that notes what it is asked for.

use crate::rig::{Browser, LIMIT, PASSWORD, Page, Rig, connect, guide, user};
use lb_access::Role;
use lb_api::{
    BUNDLE_NAME, BundleView, LastUpdate, SlotView, UpdateAct, UpdateAnswer, UpdateOrder, UpdateRefused, UpdateStage,
    UpdateStep, UpdateView, UpdateWork,
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const PAGE: &str = "/lbadmin/maintenance/update";
const FACTORY: &str = "/lbadmin/maintenance/factory-settings";
/// Bytes that the other slot takes.
const ROOM: usize = 200_000;

fn slot(slot: &str, version: Option<&str>, startable: bool, next: bool) -> SlotView {
    SlotView { slot: slot.into(), version: version.map(str::to_owned), startable, next }
}

/// Slot A runs 0.1.0, B is empty.
fn fresh() -> UpdateView {
    UpdateView {
        running: slot("A", Some("0.1.0"), true, true),
        other: slot("B", None, false, false),
        room: ROOM as u64,
        probation: false,
        last: None,
        work: None,
        failed: None,
    }
}

fn with_last(stage: UpdateStage, reason: Option<&str>) -> UpdateView {
    let installed = stage == UpdateStage::Installed;
    UpdateView {
        running: slot("A", Some("0.1.0"), true, !installed),
        other: slot("B", Some("0.2.0"), installed, installed),
        last: Some(LastUpdate {
            version: "0.2.0".into(),
            from: "0.1.0".into(),
            slot: "B".into(),
            by: "anna".into(),
            time: 1_800_000_000,
            stage,
            reason: reason.map(str::to_owned),
            acknowledged: false,
        }),
        ..fresh()
    }
}

/// Answers as `lbupdate serve` does, and does nothing.
#[derive(Clone)]
struct Door(Arc<Mutex<(UpdateView, Vec<UpdateOrder>)>>);

impl Door {
    fn open(rig: &Rig) -> Door {
        let door = Door(Arc::new(Mutex::new((fresh(), Vec::new()))));
        let listener = UnixListener::bind(rig.dir.path().join("updates.sock")).expect("a socket");
        let (own, bundle) = (door.clone(), bundle(rig));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut line = String::new();
                // Somebody may only have looked whether it listens.
                if !matches!(BufReader::new(&stream).read_line(&mut line), Ok(1..)) {
                    continue;
                }
                let answer = own.answer(serde_json::from_str(&line).expect("an order"), &bundle);
                let _ = (&stream).write_all((serde_json::to_string(&answer).expect("words") + "\n").as_bytes());
            }
        });
        door
    }

    fn answer(&self, order: UpdateOrder, bundle: &Path) -> UpdateAnswer {
        let mut inside = self.0.lock().expect("a door");
        match order.act {
            UpdateAct::Status => return UpdateAnswer::Unit(Box::new(inside.0.clone())),
            UpdateAct::Check => {
                let text = std::fs::read_to_string(bundle).expect("a bundle");
                let (version, key) = ("0.2.0".to_owned(), "development".to_owned());
                return match text.as_str() {
                    text if text.starts_with("good") => {
                        let older = text.starts_with("good, older");
                        UpdateAnswer::Bundle(BundleView { version, key, size: text.len() as u64, older })
                    }
                    _ => refusal("the bundle is for another, this is a steelyard", None),
                };
            }
            _ => inside.1.push(order),
        }
        UpdateAnswer::Done
    }

    fn shows(&self, view: UpdateView) {
        self.0.lock().expect("a door").0 = view;
    }

    fn asked(&self) -> Vec<UpdateOrder> {
        std::mem::take(&mut self.0.lock().expect("a door").1)
    }
}

fn refusal(message: &str, hint: Option<&str>) -> UpdateAnswer {
    UpdateAnswer::Refused(UpdateRefused { message: message.into(), hint: hint.map(str::to_owned) })
}

fn bundle(rig: &Rig) -> PathBuf {
    rig.dir.path().join("web").join(BUNDLE_NAME)
}

fn order(act: UpdateAct) -> UpdateOrder {
    UpdateOrder { act, by: "loadbalancer:127.0.0.1".into(), downgrade: false }
}

fn start() -> (Rig, Browser, Door) {
    let (rig, mut browser) = Rig::with(&guide());
    let door = Door::open(&rig);
    browser.get(PAGE);
    (rig, browser, door)
}

fn form(csrf: &str, file: &str) -> String {
    format!(
        "--x\r\ncontent-disposition: form-data; name=\"csrf\"\r\n\r\n{csrf}\r\n--x\r\ncontent-disposition: form-data; \
         name=\"file\"; filename=\"steelyard.lbu\"\r\n\r\n{file}\r\n--x--\r\n"
    )
}

fn upload(browser: &mut Browser, file: &str, headers: &[(&str, &str)]) -> Page {
    let body = form(&browser.csrf, file);
    let mut all = vec![("content-type", "multipart/form-data; boundary=x")];
    all.extend(headers);
    browser.send("POST", "/lbadmin/maintenance/update/upload", &all, Some(body.as_bytes()))
}

#[test]
fn without_a_door_the_page_says_so() {
    let (_rig, mut browser) = Rig::with(&guide());
    browser.get(PAGE).has("The service that installs updates does not answer").lacks("type=\"file\"");
}

#[test]
fn a_bundle_is_uploaded_installed_and_deleted() {
    let (rig, mut browser, door) = start();
    browser.get(PAGE).has("No update was installed since the factory settings").has("data-most=\"200000\"");
    let done = upload(&mut browser, "good", &[]);
    browser
        .follow(&done)
        .has("The bundle is here: version 0.2.0, signed with the key development.")
        .has("Install 0.2.0");
    assert_eq!(std::fs::read_to_string(bundle(&rig)).expect("the bundle"), "good");
    assert_eq!(door.asked(), [], "nothing is installed unasked");

    let done = browser.post("/lbadmin/maintenance/update/install", &[]);
    browser.follow(&done).has("The installation has begun.");
    assert_eq!(door.asked(), [order(UpdateAct::Install)]);
    let work = UpdateWork { step: UpdateStep::Writing, done: 50, of: 200 };
    door.shows(UpdateView { work: Some(work), ..fresh() });
    browser
        .get(PAGE)
        .has("Writing the slot")
        .has("25 %")
        .has("hx-trigger=\"every 2s\"")
        .has("http-equiv=\"refresh\" content=\"3\"")
        .lacks("type=\"file\"");
    let late = upload(&mut browser, "good", &[]);
    browser.follow(&late).has("An installation is under way. Wait until it is done.");
    assert!(bundle(&rig).exists(), "what is being installed is left alone");

    door.shows(fresh());
    browser.get(PAGE);
    let done = browser.post("/lbadmin/maintenance/update/remove", &[]);
    browser.follow(&done).has("The uploaded bundle is deleted.").has("type=\"file\"");
    assert!(!bundle(&rig).exists());
    let none = browser.post("/lbadmin/maintenance/update/install", &[]);
    browser.follow(&none).has("No bundle is uploaded.");
    assert_eq!(door.asked(), []);
    let log: Vec<String> =
        rig.app.access.audit(Some("update-"), None, 20).entries.into_iter().map(|l| l.entry.action).collect();
    assert_eq!(log, ["update-install", "update-remove", "update-upload", "update-install", "update-upload"]);
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_nothing() {
    let (rig, mut browser, door) = start();
    let left = || std::fs::read_dir(rig.dir.path().join("web")).expect("the folder");
    for (file, said) in [
        ("bad".to_owned(), "The bundle is for another, this is a steelyard."),
        ("good".repeat(100_000), "The bundle is larger than the slot: 208192 bytes at most."),
        (String::new(), "No bundle is uploaded."),
    ] {
        let done = upload(&mut browser, &file, &[]);
        browser.follow(&done).has(said);
        let names: Vec<_> = left().flatten().map(|e| e.file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().starts_with("update")), "{names:?}");
    }
    let body = form("stale", "good");
    let kind = ("content-type", "multipart/form-data; boundary=x");
    let stale = browser.send("POST", "/lbadmin/maintenance/update/upload", &[kind], Some(body.as_bytes()));
    assert_eq!(stale.status, 403);
    assert!(!bundle(&rig).exists());
    assert_eq!(door.asked(), []);
}

#[test]
fn an_older_version_is_installed_only_when_it_is_meant() {
    let (_rig, mut browser, door) = start();
    let done = upload(&mut browser, "good, older", &[]);
    browser.follow(&done).has("It is older than the 0.1.0 that runs.").has("name=\"downgrade\"");
    browser.post("/lbadmin/maintenance/update/install", &[("downgrade", "on")]);
    assert_eq!(door.asked(), [UpdateOrder { downgrade: true, ..order(UpdateAct::Install) }]);
}

#[test]
fn a_script_is_answered_without_a_page_and_the_next_one_tells() {
    let (_rig, mut browser, _door) = start();
    let done = upload(&mut browser, "good", &[("accept", "text/plain")]);
    assert_eq!((done.status, done.text.as_str()), (204, ""));
    browser.get(PAGE).has("The bundle is here");
}

#[test]
fn who_leaves_during_an_upload_leaves_nothing() {
    let (rig, browser, _door) = start();
    let part = bundle(&rig).with_extension("lbu.part");
    let body = form(&browser.csrf, &"good".repeat(40_000));
    let mut stream = connect([127, 0, 0, 1], rig.address);
    let cookies: Vec<String> = browser.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
    let head = format!(
        "POST /lbadmin/maintenance/update/upload HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\ncontent-type: \
         multipart/form-data; boundary=x\r\ncontent-length: {}\r\n\r\n",
        rig.address,
        cookies.join("; "),
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("the head");
    stream.write_all(&body.as_bytes()[..100_000]).expect("a part of it");
    let wait = |what: &str, state: &dyn Fn() -> bool| {
        let end = Instant::now() + LIMIT;
        while !state() {
            assert!(Instant::now() < end, "{what}: not within {LIMIT:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait("the upload", &|| part.exists());
    drop(stream);
    wait("its end", &|| !part.exists());
    assert!(!bundle(&rig).exists());
    // And the place is free again.
    let mut browser = browser;
    wait("another upload", &|| {
        let mut again = browser.clone();
        upload(&mut again, "good", &[("accept", "text/plain")]).status == 204 && bundle(&rig).exists()
    });
    browser.get(PAGE).has("Install 0.2.0");
}

#[test]
fn an_update_waits_for_a_restart_and_one_that_came_back_says_why() {
    let (rig, mut browser, door) = start();
    let page = browser.get("/lbadmin/maintenance/update/restart");
    browser.follow(&page).has("No update waits for a restart.");
    door.shows(with_last(UpdateStage::Installed, None));
    browser.get(PAGE).has("Restart into 0.2.0…").has("◌ starts next").lacks("Go back to");
    browser
        .get("/lbadmin/maintenance/update/restart")
        .has("Every connection through this unit breaks")
        .has("the unit goes back to 0.1.0 by itself")
        .lacks("name=\"force\"");
    browser.post("/lbadmin/maintenance/update/restart", &[]).has("The unit restarts.");
    assert_eq!(door.asked(), [order(UpdateAct::Restart)]);

    door.shows(with_last(UpdateStage::Returned, Some("lbd does not answer, 180 s after it began")));
    browser
        .get(PAGE)
        .has("Version 0.2.0 did not stay: lbd does not answer, 180 s after it began. This unit runs 0.1.0 again.")
        .has("✕ is not started")
        .lacks("Restart into")
        .lacks("Go back to");
    browser.post("/lbadmin/maintenance/update/acknowledge", &[]);
    assert_eq!(door.asked(), [order(UpdateAct::Acknowledge)]);

    let mut view = with_last(UpdateStage::Works, None);
    (view.running, view.other) = (slot("B", Some("0.2.0"), true, true), slot("A", Some("0.1.0"), true, false));
    door.shows(view.clone());
    browser.get(PAGE).has("Version 0.2.0, which came after 0.1.0, works.").has("Go back to 0.1.0…");
    browser.get("/lbadmin/maintenance/update/back").has("The next start is from slot A, with version 0.1.0.");
    browser.post("/lbadmin/maintenance/update/back", &[]);
    assert_eq!(door.asked(), [order(UpdateAct::Back)]);
    if let Some(last) = &mut view.last {
        last.stage = UpdateStage::Installed;
    }
    view.probation = true;
    door.shows(view);
    browser.get(PAGE).has("◌ runs, on probation").has("three minutes").lacks("Go back to").has("every 2s");
    drop(rig);
}

#[test]
fn the_unit_that_serves_hands_over_first() {
    let (rig, pair) = Rig::one_of_a_pair();
    let door = Door::open(&rig);
    pair.now().ha.role = lb_api::HaRole::Active;
    rig.forget();
    let mut browser = rig.logged_in();
    door.shows(with_last(UpdateStage::Installed, None));
    let page = browser.get("/lbadmin/maintenance/update/restart");
    page.has("Hand over first").has("/lbadmin/ha/do/stand-by").has("name=\"force\"");
    let refused = browser.post("/lbadmin/maintenance/update/restart", &[]);
    browser.follow(&refused).has("Nothing was restarted: this unit serves.");
    assert_eq!(door.asked(), []);
    browser.post("/lbadmin/maintenance/update/restart", &[("force", "on")]);
    assert_eq!(door.asked(), [order(UpdateAct::Restart)]);
}

#[test]
fn factory_settings_want_a_word_and_the_password() {
    let (_rig, mut browser, door) = start();
    browser
        .get(FACTORY)
        .has("the configuration with its history")
        .has("the system itself, in both slots")
        .has("192.168.2.21");
    for (word, password, said) in [
        ("yes", PASSWORD, "Nothing was changed: type restore to go on."),
        ("restore", "a wrong one", "The password is wrong"),
    ] {
        let page = browser.post(FACTORY, &[("word", word), ("password", password)]);
        assert_eq!(page.status, 422);
        page.has(said);
        assert_eq!(door.asked(), []);
    }
    let done = browser.post(FACTORY, &[("word", "restore"), ("password", PASSWORD)]);
    assert_eq!(done.status, 200);
    done.has("The unit restarts, with factory settings.");
    assert_eq!(door.asked(), [order(UpdateAct::Restore)]);
}

/// An update may be what mends lbd, and factory settings what mends its store.
#[test]
fn both_do_without_lbd() {
    let (rig, mut browser, door) = start();
    std::fs::remove_file(&rig.socket).expect("lbd's socket");
    assert_eq!(browser.get("/lbadmin/").status, 502);
    browser.get(PAGE).has("daemon does not answer").has("type=\"file\"");
    let done = upload(&mut browser, "good", &[]);
    browser.follow(&done).has("Install 0.2.0");
    browser.post("/lbadmin/maintenance/update/install", &[]);
    assert_eq!(door.asked(), [order(UpdateAct::Install)]);
    browser.get(FACTORY).has("daemon does not answer");
    let done = browser.post(FACTORY, &[("word", "restore"), ("password", PASSWORD)]);
    assert_eq!((done.status, door.asked()), (200, vec![order(UpdateAct::Restore)]));
}

#[test]
fn a_maintainer_may_not() {
    let (rig, _, door) = start();
    let mut maintainer = user(&rig, "maintainer", Role::Maintenance);
    for path in [PAGE, FACTORY, "/lbadmin/maintenance/update/restart"] {
        assert_eq!(maintainer.get(path).status, 403, "{path}");
    }
    maintainer.get("/lbadmin/");
    let page = upload(&mut maintainer, "good", &[]);
    assert_eq!(page.status, 403);
    page.has("Not allowed");
    assert!(!bundle(&rig).exists());
    assert_eq!(door.asked(), []);
}

struct Api<'a> {
    rig: &'a Rig,
    token: String,
}

impl Api<'_> {
    fn of(rig: &Rig, role: Role) -> Api<'_> {
        let token = crate::api::token(rig, role.name(), role);
        Api { rig, token }
    }

    fn send(&self, method: &str, path: &str, kind: &str, body: Option<&str>) -> (u16, Value) {
        let authorization = format!("Bearer {}", self.token);
        let headers = [("authorization", authorization.as_str()), ("content-type", kind)];
        let headers = if body.is_some() { &headers[..] } else { &headers[..1] };
        let page = self.rig.browser().send(method, &format!("/api/v1/{path}"), headers, body.map(str::as_bytes));
        (page.status, serde_json::from_str(&page.text).unwrap_or(Value::Null))
    }
}

#[test]
fn a_program_does_the_same() {
    let (rig, _, door) = start();
    let (api, reader) = (Api::of(&rig, Role::Configuration), Api::of(&rig, Role::Report));
    let (json, stream) = ("application/json", "application/octet-stream");
    let (status, report) = reader.send("GET", "update", json, None);
    assert_eq!(
        (status, &report["unit"]["running"]["version"], &report["bundle"]),
        (200, &json!("0.1.0"), &Value::Null)
    );
    assert_eq!(reader.send("PUT", "update/bundle", stream, Some("good")).0, 403);
    assert_eq!(reader.send("POST", "factory-settings", json, Some(r#"{"confirm":"restore"}"#)).0, 403);

    assert_eq!(api.send("PUT", "update/bundle", json, Some("good")).0, 415);
    let (status, problem) = api.send("PUT", "update/bundle", stream, Some("bad"));
    assert_eq!((status, &problem["detail"]), (422, &json!("the bundle is for another, this is a steelyard")));
    assert_eq!(api.send("PUT", "update/bundle", stream, Some(&"good".repeat(100_000))).0, 413);
    assert_eq!(api.send("POST", "update/install", json, None).0, 409, "there is none");
    assert_eq!(api.send("DELETE", "update/bundle", json, None).0, 404);
    let (status, made) = api.send("PUT", "update/bundle", stream, Some("good"));
    assert_eq!((status, &made["version"], &made["size"]), (200, &json!("0.2.0"), &json!(4)));
    assert_eq!(api.send("GET", "update", json, None).1["bundle"]["version"], json!("0.2.0"));
    assert_eq!(api.send("POST", "update/install", json, Some(r#"{"file":"/etc/shadow"}"#)).0, 422);
    assert_eq!(api.send("POST", "update/install", json, Some(r#"{"downgrade":true}"#)).0, 202);
    assert_eq!(api.send("DELETE", "update/bundle", json, None).0, 204);
    assert_eq!(api.send("POST", "update/restart", json, None).0, 409, "nothing waits for it");
    door.shows(with_last(UpdateStage::Installed, None));
    assert_eq!(api.send("POST", "update/restart", json, None).0, 202);
    assert_eq!(api.send("POST", "update/back", json, None).0, 202);
    assert_eq!(api.send("POST", "update/acknowledge", json, None).0, 204);
    assert_eq!(api.send("POST", "factory-settings", json, Some(r#"{"confirm":"yes"}"#)).0, 422);
    assert_eq!(api.send("POST", "factory-settings", json, Some(r#"{"confirm":"restore"}"#)).0, 202);
    let asked: Vec<UpdateAct> = door.asked().into_iter().map(|order| order.act).collect();
    use UpdateAct::{Acknowledge, Back, Install, Restart, Restore};
    assert_eq!(asked, [Install, Restart, Back, Acknowledge, Restore]);
}
