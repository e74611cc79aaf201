//! The program itself, over its socket.

use crate::rig::guide_unchecked;
use lb_api::{ApplyRequest, BlockingClient, ClientError, ConnectionKind, ConnectionQuery, ErrorCode, PutCandidate};
use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

struct Lbd {
    child: Child,
    dir: tempfile::TempDir,
}

impl Lbd {
    fn start() -> Lbd {
        Lbd::with(&[])
    }

    fn with(more: &[&str]) -> Lbd {
        let dir = tempfile::tempdir().expect("a directory");
        Lbd { child: spawn(&dir, more), dir }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("lbd.sock")
    }

    fn client(&self) -> BlockingClient {
        let client = BlockingClient::new(self.socket());
        let end = Instant::now() + Duration::from_secs(20);
        while client.status().is_err() {
            assert!(Instant::now() < end, "lbd does not answer");
            std::thread::sleep(Duration::from_millis(2));
        }
        client
    }

    fn kill(&mut self) {
        self.child.kill().expect("killing lbd");
        self.child.wait().expect("its end");
    }
}

fn spawn(dir: &tempfile::TempDir, more: &[&str]) -> Child {
    command(dir, more).stderr(Stdio::null()).spawn().expect("starting lbd")
}

fn command(dir: &tempfile::TempDir, more: &[&str]) -> Command {
    let at = |name: &str| dir.path().join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_lbd"));
    command
        .arg("--fake-kernel")
        .args(more)
        .args(["--state".as_ref(), at("lb").as_os_str()])
        .args(["--run".as_ref(), at("run").as_os_str()])
        .args(["--socket".as_ref(), at("lbd.sock").as_os_str()]);
    command
}

impl Drop for Lbd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn candidate_apply_and_status_over_the_socket() {
    let lbd = Lbd::start();
    let client = lbd.client();
    let config = guide_unchecked();
    let put = PutCandidate { config: config.clone(), base: None, etag: None, author: "test".into() };
    assert!(!client.put_candidate(&put).expect("a candidate").changes.is_empty());
    assert!(
        client
            .plan(&Default::default())
            .expect("a plan")
            .actions
            .iter()
            .any(|a| a.contains("add service tcp 10.0.0.21:80"))
    );
    assert_eq!(client.apply(&ApplyRequest::default()).expect("applied").revision.number, 1);
    let status = client.status().expect("the status");
    assert_eq!((status.revision, status.virtual_servers.len(), status.pending_changes), (1, 1, 0));
    assert_eq!(client.revision(1).expect("revision 1").config, config);
    assert_eq!(client.history(5).expect("the history").len(), 1);
}

#[test]
fn made_up_clients_are_counted() {
    let lbd = Lbd::with(&["--fake-traffic"]);
    let client = lbd.client();
    client.apply(&ApplyRequest { config: Some(guide_unchecked()), ..Default::default() }).expect("applied");
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let status = client.status().expect("the status");
        let servers = &status.virtual_servers[0].real_servers;
        if servers.iter().all(|s| s.counters.connections > 0 && s.active_connections > 0) {
            break;
        }
        assert!(Instant::now() < end, "{status:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_hundred_thousand_connections_are_paged_and_filtered() {
    let lbd = Lbd::with(&["--fake-connections", "100000"]);
    let client = lbd.client();
    assert_eq!(client.connections(&Default::default()).expect("a page").total, 0, "nobody to connect to");
    let mut config = guide_unchecked();
    config.virtual_servers[0].persistence = Some(lb_model::Persistence { timeout: 300, granularity: None });
    client.apply(&ApplyRequest { config: Some(config), ..Default::default() }).expect("applied");
    let page = |query: &ConnectionQuery| client.connections(query).expect("a page");
    let all = page(&ConnectionQuery::default());
    assert_eq!((all.total, all.entries.len(), all.truncated), (100_000, 100, false));
    let persistent = page(&ConnectionQuery { kind: ConnectionKind::Persistent, ..Default::default() });
    assert_eq!(all.matching + persistent.matching, 100_000);
    assert_eq!(all.states.iter().map(|s| s.count).sum::<usize>(), all.matching);
    let last = page(&ConnectionQuery { offset: all.matching - 7, limit: 1000, ..Default::default() });
    assert_eq!(last.entries.len(), 7);
    let one = page(&ConnectionQuery {
        client: Some(last.entries[3].client.ip()),
        state: Some(last.entries[3].state.clone()),
        real_server: Some(last.entries[3].real_server.to_string()),
        ..Default::default()
    });
    assert_eq!(one.entries, [last.entries[3].clone()]);
}

#[test]
fn a_bad_query_is_refused_with_its_field() {
    let lbd = Lbd::start();
    lbd.client();
    for (path, field) in [
        ("/v1/connections?limit=many", "limit"),
        ("/v1/connections?limit=5000", "limit"),
        ("/v1/connections?client=web", "client"),
        ("/v1/connections?virtual_server=web", "virtual_server"),
        ("/v1/connections?kind=all", "kind"),
        ("/v1/connections?colour=red", "colour"),
        ("/v1/connections?offset=-1", "offset"),
        ("/v1/logs/system?limit=1001", "limit"),
        ("/v1/logs/system?after=now", "after"),
        ("/v1/logs/system?before=/", "before"),
        ("/v1/logs/system?since=1", "since"),
    ] {
        let answer = raw(&lbd.socket(), "GET", path, "");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(head.starts_with("HTTP/1.1 400"), "{path}: {answer}");
        let error: lb_api::ApiError = serde_json::from_str(body).expect("an error");
        assert!(error.message.contains(field), "{path}: {error}");
    }
}

#[test]
fn the_network_is_shown_with_what_its_addresses_are_for() {
    let lbd = Lbd::start();
    let client = lbd.client();
    let mut config = guide_unchecked();
    let mut vip = config.virtual_servers[0].clone();
    vip.label = "Ports".parse().expect("a label");
    vip.service =
        serde_json::from_str(r#"{"kind":"address","address":"10.0.0.20","ports":"80,443"}"#).expect("a service");
    config.virtual_servers.push(vip);
    client.apply(&ApplyRequest { config: Some(config), ..Default::default() }).expect("applied");
    let network = client.network().expect("the network");
    let addresses: Vec<String> = network
        .interfaces
        .iter()
        .flat_map(|i| &i.addresses)
        .map(|a| format!("{} {} {}", a.address, a.purpose, a.virtual_servers.join(",")))
        .collect();
    let expected = ["10.0.0.21/24 interface HTTP_Cluster", "10.0.0.20/32 vip Ports", "192.168.2.21/24 interface "];
    assert_eq!(addresses, expected);
    let routes: Vec<String> = network
        .routes
        .iter()
        .map(|r| format!("{} {} {} {}", r.to, r.via.as_deref().unwrap_or("-"), r.interface, r.origin))
        .collect();
    assert_eq!(routes[0], "default 10.0.0.31 eth0 configured");
    assert!(routes.contains(&"192.168.2.0/24 - eth1 kernel".to_owned()), "{routes:?}");
    assert!(network.firewall.contains("tcp dport { 80, 443 }"), "{}", network.firewall);
    assert!(network.interfaces[0].up && network.interfaces[0].mtu == 1500, "{network:?}");
}

#[test]
fn the_machines_load_is_shown() {
    let lbd = Lbd::start();
    let system = lbd.client().system().expect("the load");
    assert!(system.cpus > 0 && system.disk_total > 0 && system.cpu_total > system.cpu_busy, "{system:?}");
    assert!(system.time > 1_700_000_000 && system.memory_total > system.memory_available, "{system:?}");
}

/// One line for each thing that somebody did, with who, what and the revision; and one for each turn of a check.
#[test]
fn what_was_done_and_what_checks_found_is_in_the_logs() {
    let lbd = Lbd::start();
    let client = lbd.client();
    let mut config = crate::rig::guide();
    (config.globals.health.timeout, config.globals.health.interval) = (1, 1);
    let apply = |config: &lb_model::Config, comment: &str| ApplyRequest {
        config: Some(config.clone()),
        author: "alice".into(),
        comment: comment.into(),
        confirm_within: Some(3600),
        ..Default::default()
    };
    // Nobody can write a line of his own.
    client.apply(&apply(&config, "First\n2026-11-21_07:00:00.00000  INFO check: forged")).expect("applied");
    client.confirm(&lb_api::ConfirmRequest { revision: None, author: "bob".into() }).expect("confirmed");
    config.globals.masquerade = false;
    let put = PutCandidate { config: config.clone(), base: None, etag: None, author: "carol".into() };
    client.put_candidate(&put).expect("a candidate");
    let mut discard = lb_api::DiscardRequest { etag: Some(u64::MAX), author: "dave".into() };
    let refused = client.discard(&discard).expect_err("carol's change was not looked at").to_string();
    assert!(refused.contains("no longer the one you looked at: carol changed it"), "{refused}");
    discard.etag = Some(client.candidate().expect("a candidate").etag);
    client.discard(&discard).expect("discarded");
    let refused = client.discard(&discard).expect_err("it is gone").to_string();
    assert!(refused.contains("it was applied or discarded"), "{refused}");
    let state = lb_api::StateRequest {
        virtual_server: "HTTP_Cluster".parse().expect("a label"),
        real_server: "WebServer1".parse().expect("a label"),
        state: lb_model::RequestedState::Offline,
        author: "erin".into(),
    };
    client.set_state(&state).expect("offline");
    let back =
        lb_api::RollbackRequest { revision: 2, author: "frank".into(), comment: "".into(), ..Default::default() };
    client.rollback(&back).expect("rolled back");
    let filter = |filter: &str| lb_api::LogQuery { filter: Some(filter.into()), ..Default::default() };
    let log = client.log(lb_api::LogName::LoadBalancer, &filter("change: ")).expect("the log");
    let starts = [
        "change: frank rolled back with revision 4 (Roll back to revision 2): Take WebServer1 in HTTP_Cluster online",
        "change: erin applied revision 3 (Take WebServer1 in HTTP_Cluster offline): Take WebServer1 in",
        "change: dave discarded 1 pending change: Turn MASQUERADE off",
        "change: bob confirmed revision 2",
        "change: alice applied revision 2 (First 2026-11-21_07:00:00.00000  INFO check: forged): Change nameservers",
    ];
    assert_eq!(log.lines.len(), starts.len(), "{log:?}");
    for (line, start) in log.lines.iter().zip(starts) {
        assert!(line.text.starts_with(start) && line.time.ends_with('Z'), "{line:?}");
    }
    let newer = lb_api::LogQuery { after: Some(log.lines[1].cursor.clone()), ..filter("CHANGE: ") };
    assert_eq!(client.log(lb_api::LogName::LoadBalancer, &newer).expect("the log").lines, log.lines[..1]);
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let checks = client.log(lb_api::LogName::Ldirectord, &Default::default()).expect("the log");
        assert!(!checks.lines.iter().any(|l| l.text.contains("forged")), "{checks:?}");
        // Whether somebody answers there depends on where this runs.
        let turn = "WebServer2 in HTTP_Cluster went from checking to ";
        if checks.lines.iter().any(|l| l.text.starts_with(turn) && l.text.contains("active: ")) {
            break;
        }
        assert!(Instant::now() < end, "{checks:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(client.log(lb_api::LogName::System, &Default::default()).expect("the log").lines.is_empty());
    assert!(raw(&lbd.socket(), "GET", "/v1/logs/passwords", "").starts_with("HTTP/1.1 404"));
}

#[test]
fn services_are_restarted_and_the_unit_halted_by_name_only() {
    let lbd = Lbd::start();
    let client = lbd.client();
    let services = client.services().expect("the services");
    let names: Vec<&str> = services.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["lbd", "heartbeat", "haproxy", "lbadmin", "fallback", "dropbear", "time", "syslog"]);
    let by = lb_api::ByRequest { author: "alice".into() };
    assert_eq!(client.restart_service("dropbear", &by).expect("restarted").message, "dropbear restarts.");
    let ClientError::Refused(error) = client.restart_service("getty", &by).expect_err("not ours") else {
        panic!("no refusal");
    };
    assert_eq!(error.code, ErrorCode::NotFound);
    assert!(error.hint.as_ref().is_some_and(|h| h.contains("dropbear")), "{error}");
    let halt = lb_api::UnitRequest { action: lb_api::UnitAction::Halt, author: "bob".into() };
    assert_eq!(client.unit(&halt).expect("halted").message, "The unit switches itself off.");
    for body in ["", "{}", r#"{"action": "explode"}"#, r#"{"action": "halt", "when": "now"}"#] {
        assert!(raw(&lbd.socket(), "POST", "/v1/unit", body).starts_with("HTTP/1.1 400"), "{body}");
    }
    let log = client.log(lb_api::LogName::LoadBalancer, &Default::default()).expect("the log");
    for line in ["change: alice restarted the service dropbear", "change: bob switched the unit off"] {
        assert!(log.lines.iter().any(|l| l.text == line), "{line}: {log:?}");
    }
}

#[test]
fn every_acknowledged_apply_survives_a_kill() {
    let mut lbd = Lbd::start();
    for round in 1..=10_u8 {
        let mut config = guide_unchecked();
        config.virtual_servers[0].real_servers[0].weight = round.into();
        let request = ApplyRequest { config: Some(config.clone()), ..Default::default() };
        lbd.client().apply(&request).expect("applied");
        lbd.kill();
        lbd.child = spawn(&lbd.dir, &[]);
        let running = lbd.client().running().expect("what runs");
        assert_eq!((running.revision.number, running.config), (round.into(), config));
    }
}

/// As while the disk is full: the supervisor's logger takes no line.
#[test]
fn a_logger_that_stands_still_stops_nothing() {
    let mut lbd = Lbd::start();
    lbd.kill();
    lbd.child = command(&lbd.dir, &[]).stderr(Stdio::piped()).spawn().expect("starting lbd");
    let client = lbd.client();
    // More than a pipe holds, 64 KB, in lines of some thousand bytes.
    for round in 1..=100_u8 {
        let mut config = guide_unchecked();
        config.virtual_servers[0].real_servers[0].weight = round.into();
        let comment = "x".repeat(1000);
        client.apply(&ApplyRequest { config: Some(config), comment, ..Default::default() }).expect("applied");
    }
    assert_eq!(client.status().expect("the status").revision, 100);
}

#[test]
fn nonsense_is_refused_with_the_field_and_the_reason() {
    let lbd = Lbd::start();
    lbd.client();
    let refused = |method: &str, path: &str, body: &str| -> lb_api::ApiError {
        let answer = raw(&lbd.socket(), method, path, body);
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).expect("a body"))
            .unwrap_or_else(|e| panic!("{e}: {answer}"))
    };
    let colour = refused("POST", "/v1/apply", r#"{"colour": 1}"#);
    assert!(colour.code == ErrorCode::BadRequest && colour.message.contains("colour"), "{colour}");
    let broken = refused("PUT", "/v1/config/candidate", "{");
    assert_eq!(broken.code, ErrorCode::BadRequest);
    let field = refused(
        "POST",
        "/v1/apply",
        r#"{"config": {"version": 1, "node": {"hostname": "a", "interfaces": [{"name": "eth0", "addresses": ["256.1.1.1/24"]}]}}}"#,
    );
    assert!(field.message.contains("config.node.interfaces[0].addresses[0]"), "{field}");
    assert_eq!(refused("GET", "/v1/nothing", "").code, ErrorCode::NotFound);
    assert_eq!(refused("PUT", "/v1/apply", "").code, ErrorCode::BadRequest);
    assert_eq!(refused("GET", "/v1/history/last", "").code, ErrorCode::BadRequest);
}

#[test]
fn a_refusal_is_problem_details() {
    let lbd = Lbd::start();
    lbd.client();
    let answer = raw(&lbd.socket(), "GET", "/v1/history/99", "");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(head.starts_with("HTTP/1.1 404") && head.contains("content-type: application/problem+json"), "{head}");
    let details: lb_api::ProblemDetails = serde_json::from_str(body).expect("problem details");
    assert_eq!((details.kind.as_str(), details.status), ("urn:steelyard:problem:not-found", 404));
    assert_eq!(details.detail, "revision 99 is not in the history");
}

#[test]
fn a_second_lbd_does_not_touch_the_store_of_the_first() {
    let lbd = Lbd::start();
    let client = lbd.client();
    client.apply(&ApplyRequest { config: Some(guide_unchecked()), ..Default::default() }).expect("applied");
    let store = lbd.dir.path().join("lb");
    let error = lb_store::Store::open(&store, 0).err().expect("it is in use");
    assert!(error.to_string().contains("in use"), "{error}");
}

#[test]
fn a_client_without_a_server_says_what_to_do() {
    let error = BlockingClient::new("/nonexistent/lbd.sock").status().expect_err("nobody is there");
    assert!(matches!(error, ClientError::Connect { .. }));
    assert!(error.to_string().contains("hint:"), "{error}");
}

fn raw(socket: &PathBuf, method: &str, path: &str, body: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::os::unix::net::UnixStream::connect(socket).expect("connecting");
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: lbd\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).expect("asking");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer");
    answer
}
