//! Reports: graphs, traffic rate, status, connections.

use crate::rig::{LIMIT, Page, Rig, connect, guide, user};
use lb_kernel::Fake;
use lb_series::{Key, Traffic, Values};
use lbadmin::{app::now, sampler::Rate};
use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Write},
    time::Instant,
};

fn vip() -> Key {
    Key::VirtualServer("HTTP_Cluster".into())
}

fn measured(rig: &Rig) {
    let traffic = Traffic { packets_in: 1500.0, packets_out: 0.0, bytes_in: 2_000_000.0, bytes_out: 3.0 };
    let time = now();
    for (before, active) in [(20, 3), (10, 7), (0, 5)] {
        let samples = [
            (vip(), Values::server(active, Some((12.5, traffic)))),
            (Key::System, Values::system(Some(0.25), Some(1 << 30))),
        ];
        let rates = HashMap::from([
            (vip(), Rate { connections: 12.5, traffic }),
            (Key::Interface("eth0".into()), Rate { connections: 0.0, traffic }),
        ]);
        rig.app.history.record(time - before, &samples, rates);
    }
}

#[test]
fn graphs_are_tables_pictures_and_data() {
    let (rig, mut browser) = Rig::with(&guide());
    browser.get("/lbadmin/graphs").has("Nothing was recorded in this period yet");
    measured(&rig);
    let page = browser.get("/lbadmin/graphs?object=vs%3AHTTP_Cluster&span=1h");
    page.has("Active connections").has("<option value=\"vs:HTTP_Cluster\" selected>HTTP_Cluster</option>");
    page.has(
        "<th scope=\"row\">connections</th><td class=\"num\">5</td><td class=\"num\">3</td><td class=\"num\">5</td>",
    );
    page.has("<noscript><svg").has("2.0 MB/s").lacks("style=").lacks("<script>");
    let data = browser.get("/lbadmin/graphs/data?object=vs%3AHTTP_Cluster&span=1h&graph=connections");
    assert_eq!(data.header("content-type"), "application/json");
    let data: serde_json::Value = serde_json::from_str(&data.text).expect("JSON");
    let values = data["series"][0]["values"].as_array().expect("values");
    assert_eq!((values.len(), data["times"].as_array().map(Vec::len)), (360, Some(360)));
    assert_eq!(values.iter().filter_map(|v| v.as_f64()).collect::<Vec<_>>(), [3.0, 7.0, 5.0]);
    let day = browser.get("/lbadmin/graphs/data?object=vs%3AHTTP_Cluster&span=24h&graph=bytes");
    day.has("\"in, highest\"").has("\"unit\":\"B/s\"");
    assert_eq!(browser.get("/lbadmin/graphs/data?object=system&graph=bytes").status, 404);
    browser.get("/lbadmin/graphs?object=system").has("CPU busy").has("25 %").has("1.1 GB");
    browser.get("/lbadmin/graphs?object=vs:Nobody&span=30d").has("Nothing was recorded in this period yet");
}

#[test]
fn the_traffic_rate_is_that_of_the_last_ten_seconds() {
    let (rig, mut browser) = Rig::with(&guide());
    browser.get("/lbadmin/traffic").has("Nothing was measured yet").has("VIP 1 HTTP_Cluster");
    measured(&rig);
    let page = browser.get("/lbadmin/traffic?sort=bytes");
    page.has("All virtual servers together: 13 connections per second, 2.0 MB/s in, 3 B/s out.");
    page.has("RIP 1 WebServer1").has("1\u{a0}500").has("eth0").has("hx-get=\"/lbadmin/traffic?sort=bytes\"");
    browser.get("/lbadmin/traffic?q=nobody").has("Nothing matches");
}

#[test]
fn the_status_names_every_server_that_is_not_active() {
    let mut config = guide();
    config.virtual_servers[0].fallback = None;
    config.virtual_servers[0].check.method = lb_model::CheckMethod::Off;
    let (_rig, mut browser) = Rig::with(&config);
    let page = browser.get("/lbadmin/status");
    page.has("0 of 1").has("no real server is left, and clients are refused").has("192.168.2.50:80").has("ONLINE");
}

#[test]
fn a_filter_that_cannot_be_read_comes_back_with_the_reason_at_the_field() {
    let (_rig, mut browser) = Rig::with(&guide());
    let page = browser.get("/lbadmin/connections?client=10.0.0.300&virtual_server=HTTP_Cluster&state=ESTABLISHED");
    assert_eq!(page.status, 422);
    page.has("\"10.0.0.300\" is no address".replace('"', "&#34;").as_str());
    page.has("value=\"HTTP_Cluster\"").has("value=\"ESTABLISHED\"").has("Nothing was looked for");
}

#[test]
fn a_hundred_thousand_connections_are_paged_and_filtered() {
    let rig = Rig::over(Fake::new(&["eth0", "eth1"]).with_connections(100_000));
    rig.apply(&guide());
    let mut browser = rig.logged_in();
    let page = browser.get("/lbadmin/connections");
    page.has("100\u{a0}000 entries of both kinds").has("Page 1 of ").has("HTTP_Cluster").has("WebServer1");
    assert_eq!(page.text.matches("192.168.2.50:80").count(), 100, "a page of 100");
    page.has("SYN_RECV means a wrong configuration of the real server").has("Its default gateway must be this unit");
    page.has("/lbadmin/help/field/current-connections").has("state=ESTABLISHED").has("rel=\"next\"");
    let half_open = browser.get("/lbadmin/connections?state=syn_recv&virtual_server=HTTP_Cluster&page=1");
    half_open.has("match the filter").has("Page 2 of ").lacks("<td>ESTABLISHED</td>").has("rel=\"prev\"");
    browser.get("/lbadmin/connections?client=1.1.1.1").has("Nothing matches.");
}

#[test]
fn a_persistent_entry_is_removed_by_its_button() {
    let rig = Rig::over(Fake::new(&["eth0", "eth1"]).with_connections(40));
    let mut config = guide();
    config.virtual_servers[0].persistence = Some(lb_model::Persistence { timeout: 300, granularity: None });
    rig.apply(&config);
    let mut browser = rig.logged_in();
    let page = browser.get("/lbadmin/persistent?real_server=WebServer1");
    page.has("10 match the filter").has("The kernel forgets it within two seconds").lacks("<th>State</th>");
    let button = page.text.find("/lbadmin/persistent/remove").expect("a button");
    let row = Page { status: 200, headers: Vec::new(), text: page.text[button..].to_owned() };
    let field = |name: &str| row.field(name).unwrap_or_else(|| panic!("no {name} beside a button"));
    let client = field("client");
    let entry = [
        ("protocol", field("protocol")),
        ("client", client.clone()),
        ("virtual_server", field("virtual_server")),
        ("real_server", field("real_server")),
        ("back", field("back")),
    ];
    let fields: Vec<(&str, &str)> = entry.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let done = browser.post("/lbadmin/persistent/remove", &fields);
    assert_eq!(done.header("location"), "/lbadmin/persistent?real_server=WebServer1");
    let page = browser.follow(&done);
    page.has("The entry is removed").has("9 match the filter").lacks(&format!("value=\"{client}\""));
    browser.get("/lbadmin/logs/load-balancer?filter=removed+the+persistent+entry").has("loadbalancer");
    rig.kernel.fail_next("forget", 1);
    let refused = browser.post("/lbadmin/persistent/remove", &fields);
    browser.follow(&refused).has("flash-bad");
    assert_eq!(browser.post("/lbadmin/persistent/remove", &[("client", "x")]).status, 400);
    let mut report = user(&rig, "report", lb_access::Role::Report);
    report.get("/lbadmin/persistent").lacks("Remove<");
    assert_eq!(report.post("/lbadmin/persistent/remove", &fields).status, 403);
}

#[test]
fn a_log_that_is_followed_comes_by_events() {
    let (rig, mut browser) = Rig::with(&guide());
    let folder = rig.dir.path().join("log/syslog");
    std::fs::create_dir_all(&folder).expect("a directory");
    let log = File::options().append(true).create(true).open(folder.join("current"));
    let mut log = log.expect("a log");
    let mut write = |second: u32, text: &str| {
        writeln!(log, "2026-11-21_07:00:{second:02}.00000 kern.info kernel: {text}").expect("written");
    };
    write(1, "eth0 is up");
    let page = browser.get("/lbadmin/logs/system?filter=is+up&follow=1");
    page.has("<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>").has("Stop following");
    page.has("eth0 <mark>is up</mark>").lacks("hx-trigger");
    page.has("sse-connect=\"/lbadmin/logs/system/follow?filter=is");
    let mut stream = connect(browser.from, rig.address);
    stream.set_read_timeout(Some(LIMIT)).expect("a socket");
    let cookies: Vec<_> = browser.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
    let head = format!(
        "GET /lbadmin/logs/system/follow?filter=is+up HTTP/1.1\r\nhost: x\r\ncookie: {}\r\n\r\n",
        cookies.join("; ")
    );
    stream.write_all(head.as_bytes()).expect("asked");
    let mut lines = BufReader::new(stream).lines();
    let mut until = |text: &str| {
        let (mut heard, end) = (String::new(), Instant::now() + LIMIT);
        while let Some(Ok(line)) = lines.next().filter(|_| Instant::now() < end) {
            if line.contains(text) {
                return line;
            }
            heard.push_str(&line);
        }
        panic!("no {text:?} in time in:\n{heard}")
    };
    let first = until("id=\"log-lines\"");
    assert!(first.contains("eth0 <mark>is up</mark>"), "{first}");
    write(2, "eth0 is down");
    write(3, "<b>eth1</b>\rwhich is up");
    let second = until("id=\"log-lines\"");
    assert!(second.contains("&#60;b&#62;eth1&#60;/b&#62; which <mark>is up</mark>"), "{second}");
    assert_eq!(browser.get("/lbadmin/logs/nothing/follow").status, 404);
}

#[test]
fn a_servers_own_page_has_its_last_hour() {
    let (rig, mut browser) = Rig::with(&guide());
    let page = "/lbadmin/edit/virtual-servers/modify?vip=HTTP_Cluster";
    browser.get(page).lacks("The last hour").lacks("<svg");
    measured(&rig);
    let shown = browser.get(page);
    shown
        .has("aria-label=\"Active connections of HTTP_Cluster in the last hour\"")
        .has("connections: 5 now, 5 on average, 7 at most");
    shown
        .has("Bytes per second")
        .has("in: 2.0 MB/s now")
        .has("/lbadmin/graphs?object=vs%3AHTTP_Cluster")
        .lacks("style=");
    let rip = Key::RealServer { virtual_server: "HTTP_Cluster".into(), real_server: "WebServer1".into() };
    let page = "/lbadmin/edit/real-servers/modify?vip=HTTP_Cluster&rip=WebServer1";
    browser.get(page).lacks("The last hour");
    // Another unit: what was measured there is older.
    let (rig, mut browser) = Rig::with(&guide());
    for (before, active) in [(20, 2), (10, 9)] {
        rig.app.history.record(now() - before, &[(rip.clone(), Values::server(active, None))], HashMap::new());
    }
    browser.get(page).has("Active connections of HTTP_Cluster / WebServer1").has("9 at most").lacks("Bytes per second");
}
