//! The same with real ones: Pebble, the ACME server of Let's Encrypt's authors, comes over HTTP to a real HAProxy.
//!
//! In a network of its own, as Pebble asks on port 80 of the address that a name has; needs root, Debian's `pebble` and
//! `haproxy`, and says so where they are missing.

use crate::rig::{Hands, Rig};
use lb_api::{AcmeState, AcmeView, CertificateView, Done, OrderCertificate};
use lb_certs::{Upload, read};
use lb_haproxy::{Haproxy, Paths, Places, fake};
use lb_kernel::Fake;
use lb_model::{
    Config, Layer7VirtualServer,
    layer7::{Acme, Certificate, Tls},
};
use lbd::{
    acme,
    engine::{Command, Event},
};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command as Program, Stdio},
    thread,
    time::{Duration, Instant},
};

const VIP: &str = "10.77.0.21";
const LIMIT: Duration = Duration::from_secs(90);

struct Running(Vec<Child>);

impl Running {
    fn start(&mut self, program: &mut Program, log: &Path) {
        let log = fs::File::options().create(true).append(true).open(log).expect("a log");
        let child = program.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log).spawn();
        self.0.push(child.expect("started"));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn eventually(what: &str, mut state: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !state() {
        assert!(Instant::now() < end, "{what}: not within {LIMIT:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A network that nobody else is in, for this thread and those that it starts.
pub fn own_network() -> bool {
    if nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_err() {
        return false;
    }
    let ip = |args: &str| Program::new("ip").args(args.split(' ')).status().is_ok_and(|status| status.success());
    ip("link set lo up") && ip("addr add 10.77.0.21/24 dev lo")
}

fn http(place: &str, request: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(place) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_string(&mut answer);
    }
    answer
}

/// An authority, and Pebble's own certificate by it.
fn authority(dir: &Path) -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).expect("a root").pem();
    let issuer = rcgen::Issuer::new(params, key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".into()]).expect("parameters");
    let own = params.signed_by(&key, &issuer).expect("a certificate");
    fs::write(dir.join("pebble.pem"), own.pem()).expect("written");
    fs::write(dir.join("pebble.key"), key.serialize_pem()).expect("written");
    root
}

fn pebble(dir: &Path, running: &mut Running) {
    let config = serde_json::json!({"pebble": {
        "listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
        "certificate": dir.join("pebble.pem"), "privateKey": dir.join("pebble.key"),
        "httpPort": 80, "tlsPort": 443,
    }});
    fs::write(dir.join("pebble.json"), config.to_string()).expect("written");
    let log = dir.join("pebble.log");
    let names = ["-defaultIPv4", VIP, "-defaultIPv6", "", "-dns01", "127.0.0.1:8053", "-management", "127.0.0.1:8055"];
    let none = ["-http01", "", "-https01", "", "-tlsalpn01", ""];
    running.start(Program::new("pebble-challtestsrv").args(names).args(none), &log);
    // Nonces that Pebble refuses by chance would end an order by chance; instant-acme has its own tests of them.
    let mut server = Program::new("pebble");
    server.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0");
    running.start(server.arg("-config").arg(dir.join("pebble.json")).args(["-dnsserver", "127.0.0.1:8053"]), &log);
    for place in ["127.0.0.1:14000", "127.0.0.1:8055"] {
        eventually(place, || TcpStream::connect(place).is_ok());
    }
}

fn obtained(label: &str, host: &str) -> Certificate {
    Certificate::awaited(label.parse().expect("a label"), vec![host.parse().expect("a name")])
}

fn shows(label: &str, port: u16, certificate: &str) -> Layer7VirtualServer {
    let address = VIP.parse().expect("an address");
    let mut vs = Layer7VirtualServer::new(label.parse().expect("a label"), address, port.into());
    vs.tls = Some(Tls::new(vec![certificate.parse().expect("a label")]));
    vs
}

fn status(rig: &Rig, label: &str) -> AcmeView {
    let all: Vec<AcmeView> = rig.ask(Command::Acme).expect("a list");
    all.into_iter().find(|view| view.label == label).expect("it is obtained")
}

/// Who issued what a client is shown.
fn issuer(port: u16) -> String {
    let script = format!(
        "openssl s_client -connect {VIP}:{port} </dev/null 2>/dev/null | openssl x509 -noout -issuer -ext subjectAltName"
    );
    let output = Program::new("sh").args(["-c", &script]).output().expect("openssl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn settled(rig: &Rig, label: &str, state: AcmeState) -> AcmeView {
    eventually("the order's end", || {
        let view = status(rig, label);
        assert!(view.state != AcmeState::Failed || state == AcmeState::Failed, "{view:?}");
        view.state == state
    });
    status(rig, label)
}

#[test]
fn a_real_server_gives_certificates_to_a_real_haproxy() {
    let installed = ["/usr/bin/pebble", "/usr/bin/pebble-challtestsrv", "/usr/sbin/haproxy", "/usr/bin/openssl"];
    if let Some(missing) = installed.iter().find(|path| !Path::new(path).exists()) {
        println!("skipped: {missing} is not installed");
        return;
    }
    if !own_network() {
        println!("skipped: only root can make a network of its own");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let root = authority(dir.path());
    let mut running = Running(Vec::new());
    pebble(dir.path(), &mut running);

    let run = dir.path().join("haproxy");
    fs::create_dir(&run).expect("made");
    let (file, certificates) = (dir.path().join("haproxy.cfg"), dir.path().join("haproxy-certs"));
    let paths =
        Paths { binary: "/usr/sbin/haproxy".into(), file, run: run.clone(), certificates: certificates.clone() };
    let places = Places { run: run.clone(), certificates, ..Places::default() };
    let hands = || Box::new(Haproxy::new(paths.clone())) as Hands;
    let order = |job, events: &std::sync::mpsc::Sender<Event>| {
        let events = events.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let ended = Event::Obtained(Box::new(runtime.block_on(acme::run(job))));
            drop(events.send(ended));
        });
    };
    let kernel = Fake::new(&["eth0", "eth1"]);
    let rig = Rig::with_hands(dir.path(), kernel, fake::Fake::default(), (hands(), hands(), places), order);
    let found = read(Upload { file: root.as_bytes(), key: None, passphrase: None }).expect("readable");
    let add = Command::AddCertificate { found: Box::new(found), authority: true, author: "alice".into() };
    let root: CertificateView = rig.ask(add).expect("added");

    let mut config: Config = lb_model::factory();
    config.node.interfaces[0].addresses = vec!["10.77.0.21/24".parse().expect("a network")];
    config.node.gateway = None;
    config.layer7.acme = Some(Acme {
        directory: "https://127.0.0.1:14000/dir".parse().expect("a directory"),
        contact: "admin@example.com".parse().ok(),
        terms_agreed: true,
        authority: "office".parse().ok(),
    });
    let office = root.named("office".parse().expect("a label")).expect("an authority");
    config.layer7.certificates = vec![office, obtained("shop", "shop.example.com")];
    config.layer7.virtual_servers = vec![shows("Shop", 443, "shop")];
    rig.apply(&config).expect("applied");
    // As the service does.
    eventually("HAProxy's configuration", || paths.file.exists());
    let socket = format!("{}/master.sock,mode,600", run.display());
    let haproxy = ["-W", "-db", "-S", &socket, "-f"];
    running.start(Program::new(&paths.binary).args(haproxy).arg(&paths.file), &dir.path().join("haproxy.log"));

    // Nobody else listens at port 80 of the VIP: HAProxy does for the server alone.
    let view = settled(&rig, "shop", AcmeState::Valid);
    assert_eq!((view.failures, view.error), (0, None));
    eventually("clients see it", || issuer(443).contains("Pebble"));
    assert!(issuer(443).contains("DNS:shop.example.com"), "{}", issuer(443));
    let other = http(&format!("{VIP}:80"), "GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n");
    assert!(other.starts_with("HTTP/1.1 404"), "{other}");

    // In front of a redirect, a rule and a limit; certificates of others are left to their servers.
    let mut config = rig.running().config;
    config.layer7.certificates.push(obtained("blog", "blog.example.com"));
    config.layer7.virtual_servers.push(shows("Blog", 8443, "blog"));
    let mut plain: Layer7VirtualServer = shows("Plain", 80, "blog");
    (plain.tls, plain.redirect_https) = (None, true);
    plain.limits = serde_json::from_str(r#"{"requests_per_10s": 1}"#).ok();
    let refuse = r#"[{"test": {"on": "path-begins", "values": ["/"]}, "then": {"do": "refuse"}}]"#;
    plain.rules = serde_json::from_str(refuse).expect("a rule");
    config.layer7.virtual_servers.push(plain);
    rig.apply(&config).expect("applied");
    settled(&rig, "blog", AcmeState::Valid);
    eventually("clients see it", || issuer(8443).contains("DNS:blog.example.com"));
    assert!(issuer(8443).contains("Pebble"));
    let ask = |host: &str, token: &str| {
        let path = format!("/.well-known/acme-challenge/{token}");
        http(&format!("{VIP}:80"), &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    };
    assert!(ask("BLOG.example.com:80", "token").starts_with("HTTP/1.1 200"));
    assert!(!ask("other.example.com", "token").starts_with("HTTP/1.1 200"));
    assert!(!ask("blog.example.com", "%3Cscript%3E").starts_with("HTTP/1.1 200"));

    // A name that leads elsewhere: the server's words, at the label; and again once it is put right.
    let lead = |address: &str| {
        let body = format!(r#"{{"host":"news.example.com","addresses":["{address}"]}}"#);
        let head = format!("POST /add-a HTTP/1.1\r\nHost: names\r\nContent-Length: {}\r\n", body.len());
        assert!(http("127.0.0.1:8055", &format!("{head}Connection: close\r\n\r\n{body}")).contains("200 OK"));
    };
    lead("127.0.0.9");
    let mut config = rig.running().config;
    config.layer7.certificates.push(obtained("news", "news.example.com"));
    config.layer7.virtual_servers.push(shows("News", 9444, "news"));
    rig.apply(&config).expect("applied");
    let view = settled(&rig, "news", AcmeState::Failed);
    let said = view.error.expect("a reason");
    assert!(said.starts_with("news.example.com: ") && said.contains("connection"), "{said}");
    let clear = r#"{"host":"news.example.com"}"#;
    let head = format!("POST /clear-a HTTP/1.1\r\nHost: names\r\nContent-Length: {}\r\n", clear.len());
    http("127.0.0.1:8055", &format!("{head}Connection: close\r\n\r\n{clear}"));
    let label = "news".parse().expect("a label");
    let again = Command::OrderCertificate(OrderCertificate { label, author: "alice".into() });
    rig.ask::<Done>(again).expect("ordered");
    settled(&rig, "news", AcmeState::Valid);

    // Renewed before its time, for a client nothing but another certificate.
    let before = status(&rig, "shop");
    let serial = rig.running().config.layer7.certificate("shop").expect("there").fingerprint.clone();
    let label = "shop".parse().expect("a label");
    rig.ask::<Done>(Command::OrderCertificate(OrderCertificate { label, author: "alice".into() })).expect("ordered");
    eventually("it is renewed", || {
        rig.running().config.layer7.certificate("shop").expect("there").fingerprint != serial
    });
    assert_eq!(before.state, AcmeState::Valid);
    assert!(rig.summary().alarms.is_empty(), "{:?}", rig.summary().alarms);
}
