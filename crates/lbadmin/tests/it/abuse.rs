//! What strangers, wrong roles, other sites and broken clients send: refused, written down, and no reason to stall.

use crate::{
    access,
    program::{Program, until},
    rig::{Browser, PASSWORD, Page, Rig, connect, guide},
    routes,
};
use lb_access::{Permission, Role, Via, Who};
use lbadmin::menu::MENU;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// What one may ask for without a session: the way in, and files that are the same for everybody.
const PUBLIC: &[&str] = &["/lbadmin", "/lbadmin/help", "/lbadmin/login", "/lbadmin/static/1"];

/// Forms of everybody's own things, whatever the role.
const OWN: &[&str] = &[
    "/lbadmin/login",
    "/lbadmin/logout",
    "/lbadmin/password",
    "/lbadmin/maintenance/passwords",
    "/lbadmin/maintenance/totp",
    "/lbadmin/maintenance/totp/begin",
    "/lbadmin/maintenance/totp/off",
    "/lbadmin/maintenance/sessions/end",
];

/// Forms that carry files.
const UPLOADS: &[&str] = &[
    "/lbadmin/edit/web-interface/certificate",
    "/lbadmin/edit/layer-7/ssl/upload",
    "/lbadmin/maintenance/backup/look",
    "/lbadmin/maintenance/update/upload",
];

/// The form with nothing but its token in it, as a browser sends it; `headers` come in place of its own.
fn send(browser: &mut Browser, path: &str, headers: &[(&str, &str)]) -> Page {
    let (kind, body) = if UPLOADS.contains(&path) {
        let part = format!("--b\r\ncontent-disposition: form-data; name=\"csrf\"\r\n\r\n{}\r\n--b--\r\n", browser.csrf);
        ("multipart/form-data; boundary=b", part)
    } else {
        ("application/x-www-form-urlencoded", format!("csrf={}", browser.csrf))
    };
    let mut all = vec![("content-type", kind)];
    all.extend(headers);
    browser.send("POST", &format!("{path}{QUERY}"), &all, Some(body.as_bytes()))
}

/// A page while others misbehave. It takes some milliseconds on a quiet machine; seconds are what a person notices.
const QUICK: Duration = Duration::from_secs(10);

/// Kilobytes that lbadmin may ever have had; the appliance has 256 MB in all.
const MEMORY: u64 = 128 << 10;

/// The tests that take the whole machine, one after the other: each has its own limits of time.
fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    // One that failed has gone.
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What pages about one thing are told about it; the others do not mind.
const QUERY: &str = "?name=eth0&vip=HTTP_Cluster&rip=WebServer1&user=loadbalancer&id=1&address=10.0.0.21";

/// So many forms are refused three times each before the audit log sums refusals up (`lb_access`, BURST).
const LOGGED_THRICE: usize = 60;

fn refusals(rig: &Rig, action: &str) -> usize {
    let log = rig.app.access.audit(None, None, 1000);
    log.entries.iter().filter(|line| line.entry.refused && line.entry.action == action).count()
}

/// Somebody with this role, logged in.
fn with_role(rig: &Rig, role: Role) -> Browser {
    let by = Who {
        user: "loadbalancer".into(),
        role: Role::Configuration,
        address: [127, 0, 0, 1].into(),
        via: Via::Session,
    };
    let given = "given to somebody";
    rig.app.access.add_user("somebody", role, given, &by, lbadmin::app::now()).expect("a user");
    let mut browser = rig.browser();
    browser.post("/lbadmin/login", &[("user", "somebody"), ("password", given)]);
    browser.get("/lbadmin/password");
    let page = browser.post("/lbadmin/password", &[("old", given), ("new", PASSWORD), ("repeat", PASSWORD)]);
    assert_eq!(page.status, 303, "{}", page.text);
    browser
}

#[test]
fn without_a_session_every_page_and_form_leads_to_the_log_in() {
    let (rig, _) = Rig::with(&guide());
    for route in routes::all() {
        if PUBLIC.contains(&route.path.as_str()) {
            continue;
        }
        for (method, there) in [("GET", route.get), ("POST", route.post)] {
            if !there {
                continue;
            }
            let (mut stranger, asked) = (rig.browser(), format!("{}{QUERY}", route.path));
            let page = if method == "GET" { stranger.get(&asked) } else { send(&mut stranger, &route.path, &[]) };
            let to_login = page.status == 303 && page.header("location").starts_with("/lbadmin/login");
            assert!(to_login, "{method} {}: {} {}", route.path, page.status, page.text);
            if method == "POST" {
                assert_eq!(refusals(&rig, &format!("POST {}", route.path)), 1, "{}: not in the audit log", route.path);
            }
        }
    }
}

#[test]
fn every_entry_of_the_menu_answers_and_only_for_roles_that_may_go_there() {
    let (rig, mut administrator) = Rig::with(&guide());
    let mut reader = with_role(&rig, Role::Report);
    for entry in MENU.iter().flat_map(|group| group.entries) {
        let path = format!("/lbadmin/{}", entry.path);
        let page = administrator.get(&path);
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        let page = reader.get(&path);
        let expected = if entry.needs == Permission::Look { 200 } else { 403 };
        assert_eq!(page.status, expected, "{path} for the role report: {}", page.text);
    }
}

#[test]
fn a_role_that_may_only_look_changes_nothing() {
    let (rig, _) = Rig::with(&guide());
    let mut reader = with_role(&rig, Role::Report);
    reader.get("/lbadmin/");
    let before = rig.lbd().summary().expect("a summary");
    let mut written = 0;
    for path in routes::forms() {
        if OWN.contains(&path.as_str()) {
            continue;
        }
        let page = send(&mut reader, &path, &[]);
        assert_eq!(page.status, 403, "{path}: {}", page.text);
        page.has("Not allowed");
        let log = rig.app.access.audit(Some("somebody refused"), None, 1000).entries.len();
        assert!(log > written, "{path}: not in the audit log");
        written = log;
    }
    let after = rig.lbd().summary().expect("a summary");
    assert_eq!((before.revision, before.candidate_etag), (after.revision, after.candidate_etag));
}

#[test]
fn a_stale_token_is_refused_by_every_form() {
    let forms: Vec<String> = routes::forms().into_iter().filter(|path| path != "/lbadmin/login").collect();
    for forms in forms.chunks(LOGGED_THRICE) {
        let (rig, mut browser) = Rig::with(&guide());
        browser.get("/lbadmin/");
        for path in forms {
            for token in ["", "0", &"0".repeat(browser.csrf.len())] {
                let mut stale = browser.clone();
                stale.csrf = token.to_owned();
                let page = send(&mut stale, path, &[]);
                assert_eq!(page.status, 403, "{path}: {}", page.text);
                page.has("This form is out of date");
            }
            assert_eq!(refusals(&rig, &format!("POST {path}")), 3, "{path}: not in the audit log");
        }
    }
}

#[test]
fn another_site_s_page_is_refused_by_every_form() {
    for forms in routes::forms().chunks(LOGGED_THRICE) {
        let (rig, mut browser) = Rig::with(&guide());
        browser.get("/lbadmin/");
        let own = format!("http://{}", rig.address);
        let foreign: [&[(&str, &str)]; 3] = [
            &[("origin", "http://evil.example")],
            &[("origin", "null")],
            // What a browser says itself counts, whatever origin is claimed.
            &[("origin", &own), ("sec-fetch-site", "cross-site")],
        ];
        for path in forms {
            for headers in foreign {
                let page = send(&mut browser.clone(), path, headers);
                assert_eq!(page.status, 403, "{path} {headers:?}: {}", page.text);
                page.has("Sent by another site");
            }
            assert_eq!(refusals(&rig, &format!("POST {path}")), 3, "{path}: not in the audit log");
        }
        // And our own form still goes through.
        assert_eq!(browser.post("/lbadmin/logout", &[]).status, 303);
    }
}

#[test]
fn no_path_leads_out_of_the_files_and_pages_that_are_ours() {
    let (_rig, mut browser) = Rig::with(&guide());
    let up = ["..", "%2e%2e", "%2E.", "..%2f..", "..%5c..", "%252e%252e", "..%c0%af..", "%00", "/etc", "C:"];
    for base in ["/lbadmin/static", "/lbadmin/help", "/lbadmin/help/field", "/lbadmin", "/lbadmin/live"] {
        for step in up {
            for times in [1, 8] {
                let path = format!("{base}/{}/etc/passwd", vec![step; times].join("/"));
                let page = browser.get(&path);
                assert!([400, 404].contains(&page.status), "{path}: {} {}", page.status, page.text);
                page.lacks("root:").lacks("root file");
            }
        }
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_without_being_kept() {
    let _alone = alone();
    let program = Program::start(&guide());
    let mut browser = program.logged_in();
    browser.get("/lbadmin/");
    let cookies: Vec<_> = browser.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
    let cookie = format!("cookie: {}\r\n", cookies.join("; "));
    let forms = routes::forms();
    let to = program.http;
    thread::scope(|scope| {
        // At once: one after the other would hide what they take together.
        for path in &forms {
            let path = format!("{path}{QUERY}");
            for chunked in [false, true] {
                scope.spawn({
                    let path = path.clone();
                    move || flood(to, &path, "", chunked)
                });
            }
        }
        for n in 0..200 {
            scope.spawn(move || flood(to, "/lbadmin/login", "", n % 2 == 0));
        }
    });
    // With a session one at a time, which is how somebody who may come in sends forms.
    for path in &forms {
        flood(to, &format!("{path}{QUERY}"), &cookie, false);
        flood(to, &format!("{path}{QUERY}"), &cookie, true);
    }
    let (peak, files) = (program.proc("VmHWM"), program.files());
    assert!(peak < MEMORY, "lbadmin took {peak} kB for bodies of 100 MB");
    assert!(files < 100, "{files} files are still open");
    browser.get("/lbadmin/").has("HTTP_Cluster");
}

/// Sends a form of 100 MB, for as long as it is taken.
fn flood(to: SocketAddr, path: &str, cookie: &str, chunked: bool) {
    const SIZE: usize = 100 << 20;
    let mut stream = TcpStream::connect(to).expect("lbadmin listens");
    let length = if chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {SIZE}") };
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {to}\r\norigin: http://{to}\r\n{cookie}\
         content-type: application/x-www-form-urlencoded\r\n{length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("the head is sent");
    let mut block = vec![b'a'; 64 << 10];
    if chunked {
        block.splice(0..0, format!("{:x}\r\n", 64 << 10).into_bytes());
        block.extend(b"\r\n");
    }
    let mut sent = 0;
    while sent < SIZE && stream.write_all(&block).is_ok() {
        sent += block.len();
    }
    assert!(sent < SIZE, "{path}: all 100 MB were taken");
}

#[test]
fn two_hundred_slow_clients_hold_nobody_up_and_are_shown_out() {
    let _alone = alone();
    let program = Program::start(&guide());
    let mut browser = program.logged_in();
    let begun = |to: SocketAddr, text: &str| {
        // Other than the browser's: one address has but a share of all connections.
        let mut stream = connect([127, 0, 0, 3], to);
        stream.write_all(text.as_bytes()).expect("something is sent");
        stream
    };
    let post = "POST /lbadmin/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                content-length: 1000\r\n\r\nuser=";
    let mut slow = Vec::new();
    for _ in 0..50 {
        slow.push(begun(program.http, ""));
        slow.push(begun(program.http, "GET /lbadmin/ HTTP/1.1\r\nhost: x\r\nx-slow: "));
        slow.push(begun(program.https, ""));
        slow.push(begun(program.https, "\u{16}\u{3}\u{1}"));
    }
    let bodies: Vec<_> = (0..150).map(|_| begun(program.http, post)).collect();
    for _ in 0..20 {
        let asked = Instant::now();
        browser.get("/lbadmin/").has("HTTP_Cluster");
        assert!(asked.elapsed() < QUICK, "a page took {:?}", asked.elapsed());
    }
    // Bytes that trickle do not make a head that never ends longer.
    let mut open = slow.len();
    let end = Instant::now() + Duration::from_secs(60);
    while open > 0 {
        assert!(Instant::now() < end, "{open} slow connections are still open");
        for stream in &mut slow {
            let _ = stream.write_all(b"a");
        }
        thread::sleep(Duration::from_millis(250));
        slow.retain_mut(is_open);
        open = slow.len();
    }
    drop(bodies);
    until("the connections' files", || program.files() < 60);
}

#[test]
fn one_address_that_holds_all_it_can_leaves_room_for_others() {
    let _alone = alone();
    let program = Program::start(&guide());
    let mut browser = program.logged_in();
    let greedy = [127, 0, 0, 1];
    // Half a request each; one that is turned away has its answer, or its end, before it could have one.
    let mut held = Vec::new();
    let refused = loop {
        let mut stream = connect(greedy, program.http);
        let _ = stream.write_all(b"GET /lbadmin/ HTTP/1.1\r\nhost: x\r\nx-slow: ");
        stream.set_read_timeout(Some(Duration::from_millis(if held.len() < 300 { 1 } else { 30 }))).expect("a socket");
        let mut answer = String::new();
        match stream.read_to_string(&mut answer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => held.push(stream),
            _ => break answer,
        }
        assert!(held.len() < 1000, "one address holds {} connections", held.len());
    };
    assert!((300..500).contains(&held.len()), "one address holds {} connections", held.len());
    assert!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("which is its share"), "{refused:?}");
    // https shares the places with http.
    let mut tls = connect(greedy, program.https);
    tls.set_read_timeout(Some(QUICK)).expect("a socket");
    assert_eq!(tls.read(&mut [0; 1]).ok(), Some(0), "one more over https is closed");

    browser.from = [127, 0, 0, 2].into();
    for _ in 0..10 {
        let asked = Instant::now();
        browser.get("/lbadmin/").has("HTTP_Cluster");
        assert!(asked.elapsed() < QUICK, "a page took {:?}", asked.elapsed());
    }
    assert_eq!(program.log().matches("has its share of all connections").count(), 1, "once in the log");
    drop(held);
    browser.from = greedy.into();
    until("the address's places", || browser.clone().get("/lbadmin/").status == 200);
}

/// Whether the other side has not closed it; what it says is thrown away.
fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let open = loop {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => break false,
            Ok(_) => {}
            Err(error) => break error.kind() == std::io::ErrorKind::WouldBlock,
        }
    };
    stream.set_nonblocking(false).expect("a socket");
    open
}

/// True when it goes, also by a panic.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// For an answer while a thousand want one.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_thousand_wrong_log_ins_at_once_leave_it_usable() {
    const GUESSES: usize = 1000;
    /// Each guess costs the processor what it costs; a page meanwhile shall not wait for all of them.
    const SOON: Duration = Duration::from_secs(30);
    let _alone = alone();
    let program = Program::start(&guide());
    let mut browser = program.logged_in();
    browser.get("/lbadmin/");
    browser.patience = PATIENCE;
    let (start, over) = (RwLock::new(()), AtomicBool::new(false));
    let mut slowest = Duration::ZERO;
    let answers: Vec<Page> = thread::scope(|scope| {
        // Whatever fails in here lets the others begin and end: the scope waits for them.
        let (over, start) = (Over(&over), &start);
        let held = start.write();
        let guesses: Vec<_> = (0..GUESSES)
            .map(|n| {
                let mut stranger = program.browser();
                stranger.patience = PATIENCE;
                // Each less than the share of one address.
                stranger.from = [127, 0, 0, 2 + u8::try_from(n % 3).expect("a few")].into();
                let guess = move || {
                    drop(start.read());
                    stranger.post("/lbadmin/login", &[("user", "loadbalancer"), ("password", &format!("guess {n}"))])
                };
                thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, guess).expect("a thread")
            })
            .collect();
        let is_over = over.0;
        let looking = scope.spawn(move || {
            let mut slowest = Duration::ZERO;
            while !is_over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                browser.get("/lbadmin/").has("HTTP_Cluster");
                slowest = slowest.max(asked.elapsed());
            }
            slowest
        });
        drop(held);
        let answers = guesses.into_iter().map(|guess| guess.join().expect("an answer")).collect();
        drop(over);
        slowest = looking.join().expect("pages");
        answers
    });
    for page in &answers {
        assert!([401, 429].contains(&page.status), "{} {}", page.status, page.text);
    }
    let guessed = answers.iter().filter(|page| page.status == 401).count();
    assert!(guessed <= 20, "{guessed} of {GUESSES} passwords were tried; the rest had to wait");
    let peak = program.proc("VmHWM");
    println!("slowest page {slowest:?}; {guessed} tried; peak {peak} kB; {} threads", program.proc("Threads"));
    assert!(slowest < SOON, "a page took {slowest:?} meanwhile");
    assert!(peak < MEMORY, "lbadmin took {peak} kB");
    // Whoever has the right password and was here before, at another address, gets in all the same.
    let mut owner = program.browser();
    let page = owner.post("/lbadmin/login", &[("user", "loadbalancer"), ("password", PASSWORD)]);
    assert_eq!(page.status, 303, "{}", page.text);
    assert!(!program.log().contains("guess 1"), "a password is in the log");
}

/// Refused by its head alone, with all of its body under way: the answer is not lost with the connection.
#[test]
fn who_is_refused_over_https_reads_why() {
    let _alone = alone();
    let rig = Rig::start();
    let https = rig.https();
    for n in 0..40 {
        let mut stream = access::secured(https);
        let body = "x".repeat(60_000 + n * 4_000);
        let head = format!(
            "POST /api/v1/apply HTTP/1.1\r\nhost: {https}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            body.len()
        );
        let mut answer = Vec::new();
        let read = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body.as_bytes()))
            .and_then(|()| stream.read_to_end(&mut answer));
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("\"code\""), "{n}: {read:?} {answer}");
    }
}
