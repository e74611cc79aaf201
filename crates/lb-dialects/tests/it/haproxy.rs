//! What the dialects make is given to the real HAProxy: it takes every shape, and clients stay where the clouds' words
//! put them. Skipped with a word where none is installed.

use crate::world::World;
use lb_haproxy::{Material, Places, Rendered, render_in};
use lb_model::{Config, dialects::rackspace::RackspaceProtocol};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const BINARY: &str = "/usr/sbin/haproxy";
const LIMIT: Duration = Duration::from_secs(20);

fn installed() -> bool {
    let installed = Path::new(BINARY).exists();
    if !installed {
        println!("skipped: HAProxy is not installed");
    }
    installed
}

fn places(run: &Path, peers: u16) -> Places {
    let certificates = run.join("certs");
    Places {
        run: run.to_owned(),
        user: None,
        certificates,
        peers: SocketAddr::from((Ipv4Addr::LOCALHOST, peers)),
        acme: None,
    }
}

/// The certificate that clients are to trust, in the directory of [`rendered`].
const TRUSTED: &str = "trusted.der";

/// Something for every certificate that is named, in files where they are looked for.
fn rendered(config: &Config, dir: &Path, peers: u16) -> Option<Rendered> {
    let made = rcgen::generate_simple_self_signed(["shop.example.com".to_owned()]).expect("a certificate");
    let pem = format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem()).replace('\r', "");
    let material = Material { pem: Arc::new(pem.into()), sha1: String::new(), ocsp: None };
    let all = config.layer7.certificates.iter().map(|named| (named.fingerprint.clone(), material.clone()));
    let rendered = render_in(config, &places(dir, peers), &all.collect())?;
    fs::create_dir_all(dir.join("certs")).expect("a directory");
    fs::write(dir.join(TRUSTED), made.cert.der()).expect("a file");
    for (name, file) in &rendered.files {
        fs::write(dir.join("certs").join(name), file.text.as_bytes()).expect("a file");
    }
    Some(rendered)
}

/// That `haproxy -c` has nothing to say against it.
#[track_caller]
pub fn accepts(config: &Config) {
    let dir = tempfile::tempdir().expect("a directory");
    // `haproxy -c` listens nowhere.
    let Some(wanted) = rendered(config, dir.path(), 1024) else { return };
    if installed() {
        let file = dir.path().join("haproxy.cfg");
        fs::write(&file, &wanted.text).expect("a file");
        let said = Command::new(BINARY).arg("-c").arg("-f").arg(&file).output().expect("HAProxy");
        assert!(said.status.success(), "{}\n{}", String::from_utf8_lossy(&said.stderr), wanted.text);
    }
}

/// More than one line of networks.
fn networks(count: u8) -> Vec<String> {
    (0..count).map(|i| if i % 5 == 0 { format!("fd00:{i:x}::/32") } else { format!("10.{i}.7.9/24") }).collect()
}

#[test]
fn haproxy_takes_every_protocol_of_rackspace() {
    let world = World::new();
    let algorithms = rackspace_words(&world, "algorithms");
    for (i, protocol) in RackspaceProtocol::ALL.iter().enumerate() {
        let udp = protocol.is_udp();
        let mut lb = json!({
            "name": format!("Läden 'a' \"b\" \\ % {protocol}"), "protocol": protocol, "port": 7000 + i,
            "algorithm": algorithms[i % algorithms.len()], "timeout": 30 + i, "virtualIps": [{"type": "PUBLIC"}],
            "nodes": [
                {"address": "192.168.2.50", "port": 80, "condition": "ENABLED", "weight": 100},
                {"address": "192.168.2.51", "port": 80, "condition": "DRAINING"},
                {"address": "192.168.2.52", "port": 80, "condition": "DISABLED"},
            ],
            "sessionPersistence": {"persistenceType": if *protocol == RackspaceProtocol::Http { "HTTP_COOKIE" } else { "SOURCE_IP" }},
        });
        if !udp {
            let items = networks(90).into_iter().map(|net| json!({"address": net, "type": "DENY"}));
            let allowed = json!({"address": "10.1.7.77", "type": "ALLOW"});
            lb["accessList"] = items.chain([allowed]).collect();
            lb["connectionThrottle"] = json!({"maxConnections": 5});
            lb["healthMonitor"] =
                json!({"type": "CONNECT", "delay": 5, "timeout": 300, "attemptsBeforeDeactivation": 10});
            let second = json!({"address": "192.168.2.53", "port": 81, "condition": "ENABLED", "type": "SECONDARY"});
            lb["nodes"].as_array_mut().expect("a list").push(second);
        }
        let made = world.rackspace("POST", "/loadbalancers", &lb.to_string()).is(202).body;
        let id = made["loadBalancer"]["id"].as_u64().expect("an id");
        // The kernel's NAT keeps to one family.
        let six = r#"{"type":"PUBLIC","ipVersion":"IPV6"}"#;
        world.rackspace("POST", &format!("/loadbalancers/{id}/virtualips"), six).is(if udp { 400 } else { 202 });
    }
}

fn rackspace_words(world: &World, list: &str) -> Vec<String> {
    let all = world.rackspace("GET", &format!("/loadbalancers/{list}"), "").is(200).body[list].clone();
    let all = all.as_array().expect("a list").iter().filter_map(|word| word["name"].as_str().map(str::to_owned));
    all.collect()
}

#[test]
fn haproxy_takes_every_monitor_of_rackspace() {
    let world = World::new();
    let texts = [
        ("/", "^[234][0-9][0-9]$", "", Value::Null),
        ("/a'b\"c\\d%20e#f", "200", "it's \"all\" good; % # $x", json!("shop.example:8080")),
        ("/${HOME}", "^(200|302)$", ".*", json!("[fd00::1]")),
    ];
    for (i, (path, status, body, host)) in texts.iter().enumerate() {
        for (protocol, port) in [("HTTP", 8000 + i), ("HTTPS", 8100 + i)] {
            let monitor = json!({"type": protocol, "delay": 1, "timeout": 1, "attemptsBeforeDeactivation": 1,
                                 "path": path, "statusRegex": status, "bodyRegex": body, "hostHeader": host});
            let lb = json!({"name": "x", "protocol": protocol, "port": port, "virtualIps": [{"type": "PUBLIC"}],
                            "healthMonitor": monitor,
                            "nodes": [{"address": "fd00:a::50", "port": 80, "condition": "ENABLED"}]});
            world.rackspace("POST", "/loadbalancers", &lb.to_string()).is(202);
        }
    }
    let redirect = json!({"name": "x", "protocol": "HTTPS", "port": 443, "httpsRedirect": true,
                          "virtualIps": [{"type": "SERVICENET"}]});
    world.rackspace("POST", "/loadbalancers", &redirect.to_string()).is(202);
}

#[test]
fn haproxy_takes_every_farm_of_ovh() {
    let world = World::new();
    let mut port = 5000;
    for (kind, balances, sticky) in [
        (
            "http",
            json!(["first", "leastconn", "roundrobin", "source", "uri", null]),
            json!(["cookie", "sourceIp", null]),
        ),
        ("tcp", json!(["first", "leastconn", "roundrobin", "source", null]), json!(["sourceIp", null])),
    ] {
        for balance in balances.as_array().expect("a list") {
            for stickiness in sticky.as_array().expect("a list") {
                port += 1;
                let farm = json!({"zone": "rbx", "balance": balance, "stickiness": stickiness, "port": 80,
                                  "displayName": "Läden 'a' \"b\" \\"});
                let farm =
                    world.ovh("POST", &format!("/{kind}/farm"), &farm.to_string()).is(200).body["farmId"].clone();
                for (i, proxy) in [json!(null), json!("v1"), json!("v2"), json!("v2-ssl-cn")].into_iter().enumerate() {
                    let server = json!({"address": format!("192.168.2.{}", 50 + i), "status": "active", "weight": i * 85,
                                        "proxyProtocolVersion": proxy, "ssl": i == 1, "backup": i == 3, "probe": true,
                                        "onMarkedDown": if i == 2 { json!("shutdown-sessions") } else { json!(null) }});
                    world.ovh("POST", &format!("/{kind}/farm/{farm}/server"), &server.to_string()).is(200);
                }
                let networks = networks(100);
                let mut frontend = json!({"zone": "all", "port": format!("{port},{}-{}", port + 1000, port + 1003),
                                          "defaultFarmId": farm});
                frontend[if port % 2 == 0 { "allowedSource" } else { "deniedSource" }] = json!(networks);
                if kind == "http" {
                    frontend["httpHeader"] = json!(["X-Shop it's \"open\" \\ # $HOME ${x}", "X-A: b"]);
                    frontend["redirectLocation"] = if port % 3 == 0 {
                        json!("https://www.example.com/a%20b?c=\"d\"&e='f'#g")
                    } else {
                        json!(null)
                    };
                }
                port += 3;
                world.ovh("POST", &format!("/{kind}/frontend"), &frontend.to_string()).is(200);
            }
        }
    }
    let udp = world.ovh("POST", "/udp/farm", r#"{"zone":"rbx","port":53}"#).is(200).body["farmId"].clone();
    let frontend = json!({"zone": "rbx", "port": "1-1000", "defaultFarmId": udp});
    world.ovh("POST", "/udp/frontend", &frontend.to_string()).is(200);
    let task = world.ovh("POST", "/refresh", "").is(200).body;
    assert_eq!(task["status"], "done");
    assert_eq!(world.config.borrow().layer7.virtual_servers.len(), 28);
}

#[test]
fn haproxy_takes_every_probe_of_ovh() {
    let world = World::new();
    let types = ["http", "internal", "mysql", "oco", "pgsql", "smtp", "tcp"];
    let http = [
        json!({"type": "http", "url": "www.example.com/it's?a=\"b\"&c=%20$x", "match": "status", "pattern": "200-299,302"}),
        json!({"type": "http", "forceSsl": true, "match": "contains", "pattern": "it's \"all\" good; % # $x \\"}),
        json!({"type": "http", "url": "/", "method": "GET", "port": 8080}),
        json!({"type": "http", "method": "HEAD", "match": "status", "pattern": "404", "negate": true}),
        json!({"type": "http", "method": "OPTIONS", "forceSsl": true}),
        json!({"type": "http", "match": "contains", "pattern": "it's down", "negate": true}),
        json!({"type": "http", "match": "matches", "pattern": "^(a|b)\\s*\"[0-9]+\"$"}),
        json!({"type": "http", "match": "matches", "pattern": "(?i)error #[1-9]", "negate": true}),
    ];
    let probes: Vec<Value> = types.iter().map(|kind| json!({"type": kind, "interval": 30})).chain(http).collect();
    for (i, probe) in probes.iter().enumerate() {
        let farm = json!({"zone": "rbx", "probe": probe});
        let farm = world.ovh("POST", "/http/farm", &farm.to_string()).is(200).body["farmId"].clone();
        let server = r#"{"address":"192.168.2.50","status":"active","probe":true}"#;
        world.ovh("POST", &format!("/http/farm/{farm}/server"), server).is(200);
        let frontend = json!({"zone": "all", "port": (9000 + i).to_string(), "defaultFarmId": farm});
        world.ovh("POST", "/http/frontend", &frontend.to_string()).is(200);
    }
    assert_eq!(world.ovh("POST", "/refresh", "").is(200).body["status"], "done");
}

/// A port that nobody in this program gets a second time, and that the kernel gives to no client: below those of its
/// own choice (ip_local_port_range).
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 64) as u16 * 300;
    (0..1000)
        .map(|_| first + NEXT.fetch_add(1, Ordering::SeqCst))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// A real server that answers each request with its name, for as long as the tests run.
fn server(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().ok()?);
                let mut line = String::new();
                while reader.read_line(&mut line).ok()? > 2 {
                    line.clear();
                }
                let answer =
                    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{name}", name.len());
                (&stream).write_all(answer.as_bytes()).ok()
            });
        }
    });
    port
}

/// The whole answer; nothing where the connection was refused or closed.
fn ask(from: u8, port: u16, path: &str, headers: &str) -> Option<String> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).ok()?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, from), 0).into()).ok()?;
    socket.connect(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into()).ok()?;
    let mut stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}

fn who(answer: &str) -> &str {
    answer.rsplit("\r\n").next().unwrap_or_default()
}

/// One without a master, on what `config` says with all addresses on loopback.
struct Running {
    child: Child,
    dir: tempfile::TempDir,
}

impl Running {
    fn start(config: &Config, listens: u16) -> Running {
        let dir = tempfile::tempdir().expect("a directory");
        let text = rendered(config, dir.path(), free_port()).expect("layer 7").text;
        let on_loopback: Vec<String> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("chroot"))
            .map(|line| line.replace("10.0.0.21", "127.0.0.1").replace("192.168.2.50", "127.0.0.1"))
            .collect();
        let file = dir.path().join("haproxy.cfg");
        fs::write(&file, on_loopback.join("\n") + "\n").expect("a file");
        let quiet = Stdio::null;
        let mut haproxy = Command::new(BINARY);
        haproxy.arg("-db").arg("-f").arg(&file).stdin(quiet()).stdout(quiet()).stderr(quiet());
        let running = Running { child: haproxy.spawn().expect("HAProxy"), dir };
        let deadline = Instant::now() + LIMIT;
        while TcpStream::connect(("127.0.0.1", listens)).is_err() {
            assert!(Instant::now() < deadline, "HAProxy does not listen:\n{}", on_loopback.join("\n"));
            thread::sleep(Duration::from_millis(5));
        }
        running
    }
}

impl Running {
    /// The whole answer over TLS, to a client that trusts the one certificate; nothing where there is no TLS.
    fn ask_over_tls(&self, port: u16, headers: &str) -> Option<String> {
        let der = fs::read(self.dir.path().join(TRUSTED)).expect("a certificate");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der.into()).expect("a certificate");
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "shop.example.com".try_into().expect("a name");
        let connection = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let request = format!("GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        match stream.read_to_string(&mut answer) {
            // Without a last word of TLS.
            Err(e) if e.kind() != ErrorKind::UnexpectedEof => None,
            _ => Some(answer),
        }
    }

    /// A change at run time; what HAProxy has against it.
    fn order(&self, command: &str) -> String {
        let mut socket = UnixStream::connect(self.dir.path().join("admin.sock")).expect("its socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a socket");
        writeln!(socket, "{command}").expect("a command");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const CLIENTS: std::ops::Range<u8> = 10..25;

/// Every client gets the same server again and again, and they do not all get the same one.
fn sticks(what: &str, mut request: impl FnMut(u8) -> String) {
    let homes: Vec<String> = CLIENTS.map(&mut request).collect();
    assert!(homes.iter().collect::<BTreeSet<_>>().len() > 1, "{what}: all clients are on {}", homes[0]);
    for _ in 0..2 {
        for (client, home) in CLIENTS.zip(&homes) {
            assert_eq!(request(client), *home, "{what}: client {client}");
        }
    }
}

/// With the cookie `name`, which the first answer must set.
fn by_cookie(what: &str, name: &str, port: u16) {
    let mut cookies: Vec<Option<String>> = vec![None; usize::from(CLIENTS.end)];
    sticks(what, |client| {
        let cookie = &mut cookies[usize::from(client)];
        let sent = cookie.as_ref().map_or_else(String::new, |cookie| format!("Cookie: {cookie}\r\n"));
        let answer = ask(1, port, "/", &sent).expect("an answer");
        let set = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).map(str::to_owned);
        match cookie {
            Some(_) => assert_eq!(set, None, "{what}: it is known"),
            None => *cookie = set.and_then(|set| set.split(';').next().map(str::to_owned)),
        }
        assert!(cookie.as_ref().is_some_and(|cookie| cookie.starts_with(name)), "{what}: {answer}");
        who(&answer).to_owned()
    });
}

#[test]
fn clients_stay_where_the_clouds_words_put_them() {
    if !installed() {
        return;
    }
    let world = World::new();
    let servers = [server("Web1"), server("Web2"), server("Web3")];
    let nodes: Vec<Value> =
        servers.iter().map(|port| json!({"address": "192.168.2.50", "port": port, "condition": "ENABLED"})).collect();
    let load_balancer = |protocol: &str, mode: &str| {
        let port = free_port();
        let lb = json!({"name": "x", "protocol": protocol, "port": port, "algorithm": "ROUND_ROBIN", "nodes": nodes,
                        "virtualIps": [{"type": "PUBLIC"}], "sessionPersistence": {"persistenceType": mode},
                        "accessList": [{"address": "127.0.0.0/29", "type": "DENY"}, {"address": "127.0.0.1", "type": "ALLOW"}]});
        let made = world.rackspace("POST", "/loadbalancers", &lb.to_string()).is(202).body;
        (made["loadBalancer"]["id"].clone(), port)
    };
    let sorry = "<html>\n\n<h1>Läden \"zu\" 'heute' \\ $x % file</h1>\n</html>";
    let closed = free_port();
    let lb = json!({"name": "x", "protocol": "HTTP", "port": closed, "virtualIps": [{"type": "PUBLIC"}],
                    "sessionPersistence": {"persistenceType": "HTTP_COOKIE"}});
    let made = world.rackspace("POST", "/loadbalancers", &lb.to_string()).is(202).body;
    let empty = made["loadBalancer"]["id"].clone();
    let page = json!({"content": sorry}).to_string();
    world.rackspace("PUT", &format!("/loadbalancers/{empty}/errorpage"), &page).is(202);
    let logging = r#"{"enabled":true}"#;
    world.rackspace("PUT", &format!("/loadbalancers/{empty}/connectionlogging"), logging).is(202);
    let (cookie, http) = load_balancer("HTTP", "HTTP_COOKIE");
    let (_, tcp) = load_balancer("TCP", "SOURCE_IP");
    let farm = |kind: &str, balance: &str, stickiness: Value| {
        let port = free_port();
        let farm = json!({"zone": "rbx", "balance": balance, "stickiness": stickiness});
        let farm = world.ovh("POST", &format!("/{kind}/farm"), &farm.to_string()).is(200).body["farmId"].clone();
        for port in servers {
            let server = json!({"address": "192.168.2.50", "port": port, "status": "active"});
            world.ovh("POST", &format!("/{kind}/farm/{farm}/server"), &server.to_string()).is(200);
        }
        let frontend =
            json!({"zone": "rbx", "port": port.to_string(), "defaultFarmId": farm, "deniedSource": ["127.0.0.7"]});
        world.ovh("POST", &format!("/{kind}/frontend"), &frontend.to_string()).is(200);
        (farm, port)
    };
    let (ovh_cookie, ovh_http) = farm("http", "roundrobin", json!("cookie"));
    let by_source = [
        farm("http", "roundrobin", json!("sourceIp")).1,
        farm("tcp", "roundrobin", json!("sourceIp")).1,
        farm("http", "source", Value::Null).1,
        farm("tcp", "source", Value::Null).1,
        tcp,
    ];
    let (uri, by_path) = farm("http", "uri", Value::Null);
    world.ovh("POST", "/refresh", "").is(200);
    let running = Running::start(&world.config.borrow(), tcp);

    by_cookie("HTTP_COOKIE", &format!("X-Mapping-{cookie}="), http);
    by_cookie("stickiness cookie", &format!("SERVERID{ovh_cookie}="), ovh_http);
    for (i, port) in by_source.into_iter().enumerate() {
        sticks(&format!("source {i}"), |client| who(&ask(client, port, "/", "").expect("an answer")).to_owned());
    }
    sticks("balance uri", |path| who(&ask(1, by_path, &format!("/{path}"), "").expect("an answer")).to_owned());
    let frontends = world.ovh("GET", &format!("/http/frontend?defaultFarmId={uri}"), "").body;
    let (frontend, server) = (&frontends[0], &world.ovh("GET", &format!("/http/farm/{uri}/server"), "").body[0]);
    assert_eq!(running.order(&format!("set server ovh-http-{frontend}/server-{server} weight 3")).trim(), "");
    let answer = ask(1, closed, "/", "").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with(&format!("\r\n\r\n{sorry}")), "{answer}");
    // Who is not let in: a status where HAProxy speaks http, nothing at all otherwise; ALLOW goes before DENY.
    for (from, port) in [(7, http), (7, ovh_http)] {
        assert!(ask(from, port, "/", "").is_some_and(|answer| answer.starts_with("HTTP/1.1 403 ")));
    }
    for port in [tcp, by_source[1]] {
        assert_eq!(ask(7, port, "/", ""), None);
    }
    assert!(ask(1, tcp, "/", "").is_some());
}

#[test]
fn tls_ends_at_a_front_end_after_a_refresh() {
    if !installed() {
        return;
    }
    let world = World::new();
    let port = server("Web1");
    let farm = json!({"zone": "rbx", "port": port, "stickiness": "cookie"}).to_string();
    let farm = world.ovh("POST", "/http/farm", &farm).is(200).body["farmId"].clone();
    let home = r#"{"address":"192.168.2.50","status":"active"}"#;
    let named = home.replace("active", "active\",\"cookie\":\"web=1~");
    world.ovh("POST", &format!("/http/farm/{farm}/server"), &named).is(200);
    let ssl = r#"{"certificate":"a certificate","key":"a key"}"#;
    let ssl = world.ovh("POST", "/ssl", ssl).is(200).body["id"].clone();
    world.ovh("POST", "/ssl", r#"{"certificate":"the second","key":"a key"}"#).is(200);
    let (http, tcp) = (free_port(), free_port());
    let frontend = json!({"zone": "all", "port": http.to_string(), "defaultFarmId": farm, "ssl": true, "hsts": true,
                          "defaultSslId": ssl});
    world.ovh("POST", "/http/frontend", &frontend.to_string()).is(200);
    let bytes = json!({"zone": "rbx", "port": port}).to_string();
    let bytes = world.ovh("POST", "/tcp/farm", &bytes).is(200).body["farmId"].clone();
    world.ovh("POST", &format!("/tcp/farm/{bytes}/server"), home).is(200);
    let frontend = json!({"zone": "all", "port": tcp.to_string(), "defaultFarmId": bytes, "ssl": true});
    world.ovh("POST", "/tcp/frontend", &frontend.to_string()).is(200);
    world.ovh("PUT", "", r#"{"sslConfiguration":"modern"}"#).is(200);
    assert_eq!(world.config.borrow().layer7.virtual_servers, [], "until a refresh");
    world.ovh("POST", "/refresh", "").is(200).says("done");
    let running = Running::start(&world.config.borrow(), http);
    let answer = running.ask_over_tls(http, "").expect("an answer over TLS");
    assert!(answer.starts_with("HTTP/1.1 200 ") && who(&answer) == "Web1", "{answer}");
    assert!(answer.contains("strict-transport-security: max-age=15768000"), "{answer}");
    assert!(answer.contains(&format!("set-cookie: SERVERID{farm}=web=1~;")), "{answer}");
    assert_eq!(running.ask_over_tls(tcp, "").as_deref().map(who), Some("Web1"));
    for port in [http, tcp] {
        assert_eq!(ask(1, port, "/", "").filter(|answer| answer.contains("Web1")), None, "without TLS");
    }
}

#[test]
fn tls_ends_at_a_load_balancer_whose_cookie_serves_both() {
    if !installed() {
        return;
    }
    let world = World::new();
    let servers = [server("Web1"), server("Web2"), server("Web3")];
    let nodes: Vec<Value> =
        servers.iter().map(|port| json!({"address": "192.168.2.50", "port": port, "condition": "ENABLED"})).collect();
    let made = |secure_only: bool| {
        let (plain, secure) = (free_port(), free_port());
        let lb = json!({"name": "x", "protocol": "HTTP", "port": plain, "algorithm": "ROUND_ROBIN", "nodes": nodes,
                        "virtualIps": [{"type": "PUBLIC"}], "sessionPersistence": {"persistenceType": "HTTP_COOKIE"}});
        let made = world.rackspace("POST", "/loadbalancers", &lb.to_string()).is(202).body;
        let id = made["loadBalancer"]["id"].clone();
        let ssl = json!({"certificate": "a certificate", "privatekey": "a key", "securePort": secure, "enabled": true,
                         "secureTrafficOnly": secure_only});
        world.rackspace("PUT", &format!("/loadbalancers/{id}/ssltermination"), &ssl.to_string()).is(200);
        (id, plain, secure)
    };
    let (id, plain, secure) = made(false);
    let (_, closed, only) = made(true);
    let running = Running::start(&world.config.borrow(), secure);

    let mut homes = BTreeSet::new();
    for client in 0..6 {
        let first = running.ask_over_tls(secure, "").expect("an answer over TLS");
        let set = first.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
        let cookie = set.split(';').next().unwrap_or_default();
        assert!(first.starts_with("HTTP/1.1 200 ") && cookie.starts_with(&format!("X-Mapping-{id}=")), "{first}");
        let home = who(&first).to_owned();
        let sent = format!("Cookie: {cookie}\r\n");
        for _ in 0..3 {
            let again = running.ask_over_tls(secure, &sent).expect("an answer over TLS");
            assert_eq!(who(&again), home, "client {client} over TLS");
            let again = ask(1, plain, "/", &sent).expect("an answer");
            assert_eq!(who(&again), home, "client {client} without TLS");
        }
        homes.insert(home);
    }
    assert!(homes.len() > 1, "all clients are on one server: {homes:?}");
    // On each port only what belongs there.
    assert_eq!(ask(1, secure, "/", "").filter(|answer| answer.contains("Web")), None);
    assert_eq!(running.ask_over_tls(plain, ""), None);
    assert!(running.ask_over_tls(only, "").is_some_and(|answer| answer.starts_with("HTTP/1.1 200 ")));
    assert_eq!(ask(1, closed, "/", ""), None, "secureTrafficOnly");
}
