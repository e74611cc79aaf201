//! Stories of OCSP stapling, with OpenSSL's responder; HAProxy is in memory in the first ones, and a real one in the
//! last. Skipped where they are not installed.

use crate::{
    pebble::own_network,
    rig::{Hands, Rig},
};
use lb_api::{CertificateView, OcspState, OcspView};
use lb_certs::{Upload, read};
use lb_haproxy::{Haproxy, Paths, Places, fake};
use lb_kernel::Fake;
use lb_model::{Config, Layer7VirtualServer, layer7::Tls};
use lbd::engine::Command;
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command as Program, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

/// An authority, its responder, and certificates of shop.example.com by it: `one` and `two`.
struct Lab {
    dir: tempfile::TempDir,
    port: u16,
    responder: Option<Child>,
}

const VIP: &str = "10.77.0.21";
const SERIALS: [(&str, u32); 2] = [("one", 0x1001), ("two", 0x1002)];

/// Each lab begins its search behind the one before: a responder binds its port some time after that was found free.
static NEXT: AtomicU16 = AtomicU16::new(0);

impl Lab {
    fn new() -> Option<Lab> {
        if !Path::new("/usr/bin/openssl").exists() {
            println!("skipped: OpenSSL is not installed");
            return None;
        }
        // Below those that the kernel gives to clients, and another one in each test program.
        let first = 9000 + (std::process::id() % 90) as u16 * 10;
        let mut ports = (0..10).map(|_| first + NEXT.fetch_add(1, Ordering::Relaxed) % 10);
        let free = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
        let lab = Lab { dir: tempfile::tempdir().expect("a directory"), port: free.expect("a port"), responder: None };
        let leaf = format!(
            "basicConstraints=CA:false\nsubjectAltName=DNS:shop.example.com\nauthorityInfoAccess=OCSP;URI:http://127.0.0.1:{}/\n",
            lab.port
        );
        fs::write(lab.path("leaf.cnf"), leaf).expect("written");
        fs::write(lab.path("ca.cnf"), "basicConstraints=critical,CA:true\n").expect("written");
        let key = "ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        lab.openssl(&format!("req -x509 -newkey {key} -keyout root.key -out root.pem -days 90 -subj /CN=Root"));
        lab.openssl(&format!("req -newkey {key} -keyout ca.key -out ca.csr -subj /CN=Authority"));
        lab.openssl(
            "x509 -req -in ca.csr -CA root.pem -CAkey root.key -set_serial 7 -out ca.pem -days 90 -extfile ca.cnf",
        );
        for (name, serial) in SERIALS {
            lab.openssl(&format!("req -newkey {key} -keyout {name}.key -out {name}.csr -subj /CN=shop.example.com"));
            lab.openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -set_serial {serial} -out {name}.pem -days 90 -extfile leaf.cnf"
            ));
        }
        Some(lab)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn openssl(&self, words: &str) {
        let mut program = Program::new("openssl");
        let output = program.args(words.split(' ')).current_dir(self.dir.path()).stdin(Stdio::null()).output();
        let output = output.expect("openssl");
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Starts the responder, whose answers count for so many minutes; `revoked` are revoked.
    fn answers(&mut self, minutes: u32, revoked: &[&str]) {
        self.silent();
        let line = |(name, serial): (&str, u32)| match revoked.contains(&name) {
            true => format!("R\t351231235959Z\t261101000000Z,keyCompromise\t{serial:X}\tunknown\t/CN={name}\n"),
            false => format!("V\t351231235959Z\t\t{serial:X}\tunknown\t/CN={name}\n"),
        };
        fs::write(self.path("index"), SERIALS.map(line).concat()).expect("written");
        let words = format!(
            "ocsp -port {} -index index -CA ca.pem -rsigner ca.pem -rkey ca.key -nmin {minutes} -ignore_err",
            self.port
        );
        let log = fs::File::create(self.path("log")).expect("a log");
        let mut program = Program::new("openssl");
        program.args(words.split(' ')).current_dir(self.dir.path()).stdin(Stdio::null());
        let child = program.stdout(log.try_clone().expect("a log")).stderr(log).spawn().expect("started");
        self.responder = Some(child);
        // Whoever connects and says nothing keeps it from everybody else.
        let waits = || fs::read_to_string(self.path("log")).is_ok_and(|log| log.contains("waiting for OCSP client"));
        eventually("the responder", waits);
    }

    fn silent(&mut self) {
        if let Some(mut child) = self.responder.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Onto the shelf.
    fn add(&self, rig: &Rig, name: &str) -> CertificateView {
        let pem = ["key", "pem"].map(|kind| fs::read_to_string(self.path(&format!("{name}.{kind}"))).expect("a file"));
        let text = pem.concat() + &fs::read_to_string(self.path("ca.pem")).expect("a file");
        let found = read(Upload { file: text.as_bytes(), key: None, passphrase: None }).expect("readable");
        rig.ask(Command::AddCertificate { found: Box::new(found), authority: false, author: "alice".into() })
            .expect("added")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.silent();
    }
}

fn eventually(what: &str, mut state: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !state() {
        assert!(Instant::now() < end, "{what}: not in time");
        thread::sleep(Duration::from_millis(20));
    }
}

/// One virtual server at this port that shows the certificate.
fn shop(view: &CertificateView, port: u16) -> Config {
    let mut config = lb_model::factory();
    config.node.interfaces[0].addresses = vec![format!("{VIP}/24").parse().expect("a network")];
    config.node.gateway = None;
    let label = || "shop".parse().expect("a label");
    config.layer7.certificates = vec![view.named(label()).expect("a certificate")];
    let address = VIP.parse().expect("an address");
    let mut vs = Layer7VirtualServer::new("Shop".parse().expect("a label"), address, port.into());
    vs.tls = Some(Tls::new(vec![label()]));
    config.layer7.virtual_servers = vec![vs];
    config
}

fn of(rig: &Rig, view: &CertificateView) -> OcspView {
    let all: Vec<CertificateView> = rig.ask(Command::Certificates).expect("a list");
    let one = all.into_iter().find(|one| one.fingerprint == view.fingerprint).expect("it is there");
    one.ocsp.expect("it names a responder")
}

/// What HAProxy was told of answers.
fn told(rig: &Rig) -> Vec<String> {
    let done: Vec<String> = rig.proxy.0.lock().expect("the proxy").done.iter().map(ToString::to_string).collect();
    done.into_iter().filter(|line| line.contains("OCSP") || line.contains(".ocsp")).collect()
}

#[test]
fn an_answer_is_kept_and_told_and_survives_a_restart() {
    let Some(mut lab) = Lab::new() else { return };
    lab.answers(60, &[]);
    let dir = tempfile::tempdir().expect("a directory");
    let view = {
        let rig = Rig::start(dir.path());
        let view = lab.add(&rig, "one");
        assert_eq!(of(&rig, &view).state, OcspState::Off, "nobody is shown it");
        rig.apply(&shop(&view, 443)).expect("applied");
        rig.wait("an answer", |rig| of(rig, &view).state == OcspState::Stapled);
        let ocsp = of(&rig, &view);
        assert_eq!((ocsp.responder, ocsp.failures, ocsp.error), (format!("http://127.0.0.1:{}/", lab.port), 0, None));
        // Half of an hour's answer, and not all of it.
        assert!(
            (ocsp.next_update - 2000..ocsp.next_update - 1500).contains(&ocsp.next),
            "{} {}",
            ocsp.next,
            ocsp.next_update
        );
        rig.wait("HAProxy has it", |rig| !told(rig).is_empty());
        assert!(rig.summary().alarms.is_empty(), "{:?}", rig.summary().alarms);
        view
    };
    // Nobody answers any more: the answer still counts.
    lab.silent();
    let rig = Rig::start(dir.path());
    assert_eq!(of(&rig, &view).state, OcspState::Stapled);
    rig.wait("HAProxy has it", |rig| told(rig) == ["layer 7: write shop.pem.ocsp"]);
    // Who does not want it says so.
    let mut config = rig.running().config;
    config.layer7.certificates[0].stapling = false;
    let applied = rig.apply(&config).expect("applied");
    assert!(applied.changes.iter().any(|c| c.text == "Staple no OCSP responses to certificate shop"), "{applied:?}");
    rig.wait("HAProxy forgets it", |rig| told(rig).last().is_some_and(|line| line == "layer 7: remove shop.pem.ocsp"));
    assert_eq!(of(&rig, &view).state, OcspState::Off);
}

#[test]
fn a_revoked_certificate_is_an_alarm() {
    let Some(mut lab) = Lab::new() else { return };
    lab.answers(60, &["one"]);
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    let (one, two) = (lab.add(&rig, "one"), lab.add(&rig, "two"));
    rig.apply(&shop(&one, 443)).expect("applied");
    rig.wait("an answer", |rig| of(rig, &one).state == OcspState::Revoked);
    let alarms = rig.summary().alarms;
    let said = "certificate shop: its authority has revoked it (its key is in other hands): clients that ask refuse it. \
                hint: ";
    assert!(alarms.iter().any(|alarm| alarm.starts_with(said)), "{alarms:?}");
    let all: Vec<CertificateView> = rig.ask(Command::Certificates).expect("a list");
    assert!(all.iter().any(|view| view.warning.as_ref().is_some_and(|text| text.contains("has revoked it"))));
    assert!(told(&rig).is_empty(), "{:?}", told(&rig));
    // Another one mends it.
    let mut config = rig.running().config;
    config.layer7.certificates = vec![two.named("shop".parse().expect("a label")).expect("a certificate")];
    rig.apply(&config).expect("applied");
    rig.wait("an answer", |rig| of(rig, &two).state == OcspState::Stapled);
    assert!(rig.summary().alarms.is_empty(), "{:?}", rig.summary().alarms);
}

#[test]
fn who_does_not_answer_is_asked_again_later() {
    let Some(lab) = Lab::new() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    let view = lab.add(&rig, "one");
    rig.apply(&shop(&view, 443)).expect("applied");
    rig.wait("a failure", |rig| of(rig, &view).state == OcspState::Failed);
    let ocsp = of(&rig, &view);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    assert!((now + 290..now + 380).contains(&ocsp.next), "{}", ocsp.next);
    assert_eq!(ocsp.failures, 1);
    let error = ocsp.error.expect("a reason");
    assert!(error.starts_with(&format!("http://127.0.0.1:{}/: ", lab.port)), "{error}");
    // That is no reason to frighten anybody: clients ask for themselves.
    assert!(rig.summary().alarms.is_empty(), "{:?}", rig.summary().alarms);
}

/// What a client is shown: the serial of the certificate that the answer is about.
fn stapled(port: u16) -> Option<String> {
    let script = format!("openssl s_client -connect {VIP}:{port} -servername shop.example.com -status </dev/null");
    let output = Program::new("sh").args(["-c", &script]).output().expect("openssl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, answer) = text.split_once("OCSP Response Status: successful")?;
    assert!(answer.contains("Cert Status: good"), "{answer}");
    Some(answer.split_once("Serial Number:")?.1.lines().next()?.trim().to_owned())
}

#[test]
fn a_real_haproxy_shows_it_to_clients() {
    if !Path::new("/usr/sbin/haproxy").exists() {
        println!("skipped: HAProxy is not installed");
        return;
    }
    if !own_network() {
        println!("skipped: only root can make a network of its own");
        return;
    }
    let Some(mut lab) = Lab::new() else { return };
    lab.answers(60, &[]);
    let dir = tempfile::tempdir().expect("a directory");
    let run = dir.path().join("haproxy");
    fs::create_dir(&run).expect("made");
    let (file, certificates) = (dir.path().join("haproxy.cfg"), dir.path().join("haproxy-certs"));
    let paths =
        Paths { binary: "/usr/sbin/haproxy".into(), file, run: run.clone(), certificates: certificates.clone() };
    let places = Places { run: run.clone(), certificates, ..Places::default() };
    let hands = || Box::new(Haproxy::new(paths.clone())) as Hands;
    let kernel = Fake::new(&["eth0", "eth1"]);
    let rig = Rig::with_hands(dir.path(), kernel, fake::Fake::default(), (hands(), hands(), places), |_, _| ());
    let (one, two) = (lab.add(&rig, "one"), lab.add(&rig, "two"));
    let port = 443;
    rig.apply(&shop(&one, port)).expect("applied");
    eventually("HAProxy's configuration", || paths.file.exists());
    // As the service does.
    let socket = format!("{}/master.sock,mode,600", run.display());
    let log = fs::File::create(dir.path().join("haproxy.log")).expect("a log");
    let mut program = Program::new(&paths.binary);
    program.args(["-W", "-db", "-S", &socket, "-f"]).arg(&paths.file).stdin(Stdio::null());
    let mut haproxy = program.stdout(log.try_clone().expect("a log")).stderr(log).spawn().expect("started");
    eventually("a stapled answer", || stapled(port).as_deref() == Some("1001"));
    let worker = || {
        let mut socket = UnixStream::connect(run.join("master.sock")).expect("the master");
        socket.write_all(b"show proc\n").expect("asked");
        socket.shutdown(std::net::Shutdown::Write).expect("asked");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        let line = answer.lines().find(|line| line.contains(" worker ")).expect("a worker");
        line.split_whitespace().next().map(str::to_owned)
    };
    let before = worker();

    // Another certificate: its own answer comes after it, without a reload.
    let mut config = rig.running().config;
    config.layer7.certificates = vec![two.named("shop".parse().expect("a label")).expect("a certificate")];
    rig.apply(&config).expect("applied");
    eventually("another answer", || stapled(port).as_deref() == Some("1002"));
    // Taken back by its authority: clients are not told any more that it is good. Who uploads it again has it asked
    // about at once.
    lab.answers(60, &["two"]);
    lab.add(&rig, "two");
    rig.wait("what the responder says", |rig| of(rig, &two).state == OcspState::Revoked);
    eventually("no answer", || stapled(port).is_none());
    assert!(rig.summary().alarms.iter().any(|alarm| alarm.contains("has revoked it")), "{:?}", rig.summary().alarms);
    assert_eq!(before, worker(), "no reload");
    let _ = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(haproxy.id().try_into().expect("a number")),
        nix::sys::signal::Signal::SIGTERM,
    );
    let _ = haproxy.wait();
}
