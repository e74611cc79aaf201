//! Stories of the shelf: how keys get there, what a configuration needs of it, and that they never come out.

use crate::rig::Rig;
use lb_api::{ApiError, Applied, CertificateKind, CertificateView, Done, ErrorCode, RequestCertificate, SelfSigned};
use lb_certs::{Upload, read};
use lb_haproxy::Action;
use lb_kernel::Fake;
use lb_model::{Config, Layer7VirtualServer, layer7::Tls};
use lb_pair::{SharedVersion, next};
use lbd::engine::{Command, pair};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

fn self_signed(rig: &Rig, name: &str, days: u32) -> Result<CertificateView, ApiError> {
    let request = SelfSigned { names: vec![name.into()], days: Some(days), author: "alice".into() };
    rig.ask(Command::SelfSigned(Box::new(request)))
}

fn add(rig: &Rig, pem: &str, authority: bool) -> Result<CertificateView, ApiError> {
    let found = read(Upload { file: pem.as_bytes(), key: None, passphrase: None }).expect("readable");
    rig.ask(Command::AddCertificate { found: Box::new(found), authority, author: "alice".into() })
}

fn list(rig: &Rig) -> Vec<CertificateView> {
    rig.ask(Command::Certificates).expect("a list")
}

fn remove(rig: &Rig, view: &CertificateView) -> Result<Done, ApiError> {
    let fingerprint = view.fingerprint.parse().expect("a fingerprint");
    rig.ask(Command::RemoveCertificate { fingerprint, author: "alice".into() })
}

/// A configuration with one virtual server that shows `shop`.
fn shop(view: &CertificateView) -> Config {
    let mut config = lb_model::factory();
    config.node.interfaces[0].addresses = vec!["10.0.0.21/24".parse().expect("a network")];
    let label = || "shop".parse().expect("a label");
    config.layer7.certificates = vec![view.named(label()).expect("a certificate")];
    let address = "10.0.0.21".parse().expect("an address");
    let mut vs = Layer7VirtualServer::new("Shop".parse().expect("a label"), address, 443.into());
    vs.tls = Some(Tls::new(vec![label()]));
    config.layer7.virtual_servers = vec![vs];
    config
}

fn done(rig: &Rig) -> Vec<String> {
    rig.proxy.0.lock().expect("the proxy").done.iter().map(ToString::to_string).collect()
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir.join("certificates"))
        .map(|all| all.flatten().map(|file| file.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

#[test]
fn a_certificate_is_made_named_renewed_and_removed() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    let first = self_signed(&rig, "shop.example.com", 90).expect("made");
    assert_eq!((first.kind, &first.names[..]), (CertificateKind::Server, &["shop.example.com".to_owned()][..]));
    assert_eq!((first.in_use, &first.labels[..]), (false, &[][..]));
    let config = shop(&first);
    rig.apply(&config).expect("applied");
    rig.wait("HAProxy has it", |rig| done(rig).iter().any(|line| line.contains("reload")));
    assert_eq!(list(&rig)[0].labels, ["shop"]);
    assert!(list(&rig)[0].in_use);
    let refused = remove(&rig, &first).expect_err("in use");
    assert_eq!(refused.code, ErrorCode::Conflict);
    assert!(refused.message.contains("running configuration names it as shop"), "{refused}");

    let second = self_signed(&rig, "shop.example.com", 90).expect("made");
    let renewed = shop(&second);
    let applied: Applied = rig.apply(&renewed).expect("applied");
    assert!(applied.changes.iter().any(|c| c.text.starts_with("Renew certificate shop")), "{:?}", applied.changes);
    assert!(applied.plan.iter().any(|line| line.contains("renew certificate shop")), "{:?}", applied.plan);
    assert!(!applied.plan.iter().any(|line| line.contains("reload")), "{:?}", applied.plan);
    rig.wait("it is renewed", |rig| {
        rig.proxy.0.lock().expect("the proxy").done.iter().any(|action| matches!(action, Action::Renew { .. }))
    });
    remove(&rig, &first).expect("nothing names it any more");
    assert_eq!(files(dir.path()), [format!("{}.pem", second.fingerprint)]);
    // The way back says what is missing.
    let back = rig.apply(&config).expect_err("its key is gone");
    assert_eq!(back.problems[0].path, "/layer7/certificates/0/fingerprint");
}

#[test]
fn keys_are_for_root_alone_and_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let (view, proxy) = {
        let rig = Rig::start(dir.path());
        let view = self_signed(&rig, "shop.example.com", 90).expect("made");
        rig.apply(&shop(&view)).expect("applied");
        (view, rig.proxy.clone())
    };
    let file = dir.path().join("certificates").join(format!("{}.pem", view.fingerprint));
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(&dir.path().join("certificates"))), (0o600, 0o700));
    // What the store keeps, and writes for people to read, has no key in it.
    for entry in fs::read_dir(dir.path()).expect("a directory").flatten().filter(|entry| entry.path().is_file()) {
        let text = fs::read(entry.path()).expect("a file");
        assert!(!text.windows(11).any(|window| window == b"PRIVATE KEY"), "{:?}", entry.path());
    }
    let rig = Rig::with(dir.path(), Fake::new(&["eth0", "eth1"]), proxy);
    assert_eq!(list(&rig)[0].fingerprint, view.fingerprint);
    assert!(rig.summary().alarms.is_empty(), "{:?}", rig.summary().alarms);
    drop(rig);

    // A key that was lost is an alarm, and no reason to refuse other changes.
    fs::remove_file(&file).expect("removed");
    let rig = Rig::start(dir.path());
    let alarms = rig.summary().alarms;
    assert!(alarms.iter().any(|alarm| alarm.starts_with("certificate shop is not on this unit")), "{alarms:?}");
    let mut config = rig.running().config;
    config.globals.timeouts.tcp = 901;
    rig.apply(&config).expect("another change");
    drop(rig);
    fs::write(&file, "-----BEGIN CERTIFICATE-----\n").expect("written");
    let alarms = Rig::start(dir.path()).summary().alarms;
    assert!(alarms.iter().any(|alarm| alarm.contains("cannot be used")), "{alarms:?}");
}

#[test]
fn what_ends_soon_is_an_alarm_while_it_is_in_use() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    let soon = self_signed(&rig, "shop.example.com", 10).expect("made");
    assert!(rig.summary().alarms.is_empty());
    rig.apply(&shop(&soon)).expect("applied");
    let alarms = rig.summary().alarms;
    assert!(alarms.iter().any(|alarm| alarm.starts_with("certificate shop expires in ")), "{alarms:?}");
    let later = self_signed(&rig, "shop.example.com", 90).expect("made");
    rig.apply(&shop(&later)).expect("applied");
    assert!(rig.summary().alarms.is_empty(), "{:?}", rig.summary().alarms);
}

/// The public key in a request: a point of P-256 (RFC 5480, section 2.2).
struct Asked(Vec<u8>);

impl Asked {
    fn in_request(pem: &str) -> Asked {
        use rustls::pki_types::{CertificateSigningRequestDer, pem::PemObject as _};
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).expect("a request");
        let bit_string = [0x03, 0x42, 0x00, 0x04];
        let at = der.as_ref().windows(4).position(|window| window == bit_string).expect("a point") + 3;
        Asked(der.as_ref()[at..at + 65].to_vec())
    }
}

impl rcgen::PublicKeyData for Asked {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

#[test]
fn a_request_waits_for_its_certificate() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    let request = RequestCertificate { names: vec!["shop.example.com".into()], ..Default::default() };
    let asked: CertificateView = rig.ask(Command::RequestCertificate(Box::new(request))).expect("made");
    let text = asked.request.expect("the text for the authority");
    assert_eq!(asked.kind, CertificateKind::Request);
    let authority = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = params.self_signed(&authority).expect("a root").pem();
    let issuer = rcgen::Issuer::new(params, authority);
    let params = rcgen::CertificateParams::new(vec!["shop.example.com".into()]).expect("parameters");
    let signed = params.signed_by(&Asked::in_request(&text), &issuer).expect("a certificate").pem();
    let view = add(&rig, &signed, false).expect("its key is here");
    assert_eq!((view.kind, &view.names[..]), (CertificateKind::Server, &["shop.example.com".to_owned()][..]));
    assert_eq!(list(&rig), std::slice::from_ref(&view), "the request is answered");
    rig.apply(&shop(&view)).expect("applied");
    let refused = add(&rig, &root, false).expect_err("no key");
    assert_eq!((refused.code, refused.problems[0].path.as_str()), (ErrorCode::Invalid, "/key"));
    assert_eq!(add(&rig, &root, true).expect("an authority").kind, CertificateKind::Authority);
}

#[test]
fn a_document_says_what_the_certificate_says() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    let view = self_signed(&rig, "shop.example.com", 90).expect("made");
    let mut config = shop(&view);
    config.layer7.certificates[0].not_after += 1;
    config.layer7.certificates[0].names.clear();
    let refused = rig.apply(&config).expect_err("it says otherwise");
    let paths: Vec<_> = refused.problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["/layer7/certificates/0/not_after", "/layer7/certificates/0/names"]);
    let mut config = shop(&view);
    config.layer7.certificates[0].fingerprint = "0".repeat(64).parse().expect("a fingerprint");
    let refused = rig.apply(&config).expect_err("nobody has it");
    assert_eq!(refused.problems[0].path, "/layer7/certificates/0/fingerprint");
}

fn pushed(config: &Config, version: SharedVersion, certificates: Vec<lb_pair::wire::Pem>) -> pair::Pushed {
    let document = serde_json::to_string(&config.shared()).expect("a document").into();
    pair::Pushed { version, ground: None, author: "alice".into(), comment: "more".into(), document, certificates }
}

/// The other unit is sent what it needs, and refuses what it cannot serve.
#[test]
fn a_push_brings_its_keys_along() {
    let (here, there) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let rig = Rig::start(here.path());
    let view = self_signed(&rig, "shop.example.com", 90).expect("made");
    rig.apply(&shop(&view)).expect("applied");
    let config = rig.running().config;
    let version = next(None, "one");
    let pem = fs::read_to_string(here.path().join("certificates").join(format!("{}.pem", view.fingerprint)));
    let pem = lb_pair::wire::Pem::new(pem.expect("the key"));
    assert!(!format!("{pem:?}").contains("PRIVATE"));

    let other = Rig::start(there.path());
    let mut alone = config.clone();
    alone.layer7 = lb_model::Layer7::default();
    other.apply(&alone).expect("its own addresses");
    let Err(pair::NotTaken::Problems(problems)) = other.push(pushed(&config, version, Vec::new())) else {
        panic!("it took what it cannot serve");
    };
    assert_eq!(problems[0].path, "/layer7/certificates/0/fingerprint");
    assert!(files(there.path()).is_empty());
    // What the configuration does not name is not kept.
    let stranger = self_signed(&rig, "other.example.com", 90).expect("made");
    let text = fs::read_to_string(here.path().join("certificates").join(format!("{}.pem", stranger.fingerprint)));
    let stranger = lb_pair::wire::Pem::new(text.expect("the key"));
    other.push(pushed(&config, version, vec![pem, stranger])).expect("taken");
    assert_eq!(files(there.path()), [format!("{}.pem", view.fingerprint)]);
    assert!(list(&other)[0].in_use);
    let broken = lb_pair::wire::Pem::new("no certificate".into());
    assert!(
        other
            .push(pair::Pushed {
                ground: Some(version.id),
                ..pushed(&config, next(Some(version), "two"), vec![broken])
            })
            .is_err()
    );
}
