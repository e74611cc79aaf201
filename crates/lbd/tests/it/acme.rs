//! Stories of certificates that the unit obtains by itself. What orders them is in memory here; `pebble.rs` has a real
//! ACME server.

use crate::rig::Rig;
use lb_api::{AcmeState, AcmeView, ApiError, CertificateView, Done, ErrorCode, OrderCertificate, RollbackRequest};
use lb_certs::{Chain, Upload, read};
use lb_model::{
    Config, Layer7VirtualServer,
    layer7::{Acme, Certificate, Tls},
};
use lbd::{
    acme::{Failure, Job, Obtained},
    engine::{Command, pair},
};
use std::{
    path::Path,
    time::{Duration, SystemTime},
};

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}

const DAY: Duration = Duration::from_secs(86_400);

/// As an authority has signed it a day ago, with so much left.
fn signed(names: &[String], left: Duration) -> Box<Chain> {
    let authority = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Authority");
    let issuer = rcgen::Issuer::new(params, authority);
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(names.to_vec()).expect("parameters");
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + left).into();
    let made = params.signed_by(&key, &issuer).expect("a certificate");
    let pem = format!("{}{}", key.serialize_pem(), made.pem());
    let found = read(Upload { file: pem.as_bytes(), key: None, passphrase: None }).expect("readable");
    Box::new(lb_certs::chain(found, &[], now()).expect("a chain"))
}

/// One virtual server that shows `shop`, which is obtained.
fn shop() -> Config {
    let mut config = lb_model::factory();
    config.node.interfaces[0].addresses = vec!["10.0.0.21/24".parse().expect("a network")];
    let label = || "shop".parse().expect("a label");
    let name = "shop.example.com".parse().expect("a name");
    config.layer7.certificates = vec![Certificate::awaited(label(), vec![name])];
    config.layer7.acme =
        Some(Acme { directory: Default::default(), contact: None, terms_agreed: true, authority: None });
    let address = "10.0.0.21".parse().expect("an address");
    let mut vs = Layer7VirtualServer::new("Shop".parse().expect("a label"), address, 443.into());
    vs.tls = Some(Tls::new(vec![label()]));
    config.layer7.virtual_servers = vec![vs];
    config
}

fn status(rig: &Rig) -> AcmeView {
    rig.ask::<Vec<AcmeView>>(Command::Acme).expect("a list").remove(0)
}

fn ordered(rig: &Rig) -> Job {
    rig.wait("an order", |rig| !rig.orders.lock().expect("the orders").is_empty());
    rig.orders.lock().expect("the orders").remove(0)
}

fn end(rig: &Rig, job: &Job, outcome: Result<Box<Chain>, &str>) {
    let outcome = outcome.map_err(|text| Failure { text: text.into(), limited: false, asked: None });
    rig.obtained(Obtained { label: job.label.clone(), names: job.names.clone(), outcome });
}

fn shelf(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("certificates")).expect("a shelf").count()
}

fn fingerprint(rig: &Rig) -> String {
    rig.running().config.layer7.certificates[0].fingerprint.to_string()
}

#[test]
fn a_stand_in_is_shown_until_the_real_one_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    let applied = rig.apply(&shop()).expect("applied");
    assert!(applied.changes.iter().any(|c| c.text == "Obtain certificate shop for shop.example.com"));
    let stand_in = fingerprint(&rig);
    assert_ne!(stand_in, "0".repeat(64));
    let job = ordered(&rig);
    assert_eq!((job.label.as_str(), &job.names[..]), ("shop", &["shop.example.com".to_owned()][..]));
    assert_eq!(status(&rig).state, AcmeState::Ordered);
    // Somebody edits meanwhile.
    let mut edited = rig.running().config;
    edited.globals.timeouts.tcp = 901;
    rig.put(&edited).expect("pending");

    end(&rig, &job, Ok(signed(&job.names, DAY * 89)));
    rig.wait("it runs", |rig| fingerprint(rig) != stand_in);
    let (running, first) = (rig.running(), fingerprint(&rig));
    assert_eq!((running.revision.author.as_str(), running.revision.number), ("lbd", 2));
    assert_eq!(running.revision.comment, "Obtained certificate shop");
    let view = status(&rig);
    assert_eq!((view.state, view.error, view.waits_for), (AcmeState::Valid, None, None));
    // Two thirds of 90 days.
    let left = view.next - now();
    assert!((55 * 86_400..60 * 86_400).contains(&left), "{left}");
    assert_eq!(shelf(dir.path()), 1, "the stand-in is gone");
    assert_eq!(rig.ask::<Vec<CertificateView>>(Command::Certificates).expect("a list")[0].fingerprint, first);
    // The edits go on from what runs, and apply.
    let candidate: lb_api::CandidateView = rig.ask(Command::Candidate).expect("the candidate");
    assert_eq!((candidate.base, candidate.changes.len()), (2, 1), "{:?}", candidate.changes);
    rig.ask::<lb_api::Applied>(Command::Apply(Box::default())).expect("applied");
    assert_eq!(fingerprint(&rig), first);

    // The way back is no way back to the stand-in.
    let back = RollbackRequest { revision: 1, author: "alice".into(), comment: String::new(), ..Default::default() };
    rig.ask::<lb_api::Applied>(Command::Rollback(back)).expect("rolled back");
    assert_eq!((rig.running().config.globals.timeouts.tcp == 901, fingerprint(&rig)), (false, first));
    assert!(rig.orders.lock().expect("the orders").is_empty(), "nothing more is ordered");
    assert!(rig.summary().alarms.is_empty(), "{:?}", rig.summary().alarms);
}

#[test]
fn one_that_ends_is_renewed() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    rig.apply(&shop()).expect("applied");
    let job = ordered(&rig);
    // A day old, and a fifth of a day left: past two thirds.
    end(&rig, &job, Ok(signed(&job.names, DAY / 5)));
    let again = ordered(&rig);
    let first = fingerprint(&rig);
    end(&rig, &again, Ok(signed(&job.names, DAY * 89)));
    rig.wait("it is renewed", |rig| fingerprint(rig) != first);
    rig.wait("HAProxy has it", |rig| {
        let done = &rig.proxy.0.lock().expect("the proxy").done;
        done.iter().any(|action| matches!(action, lb_haproxy::Action::Renew { .. }))
    });
}

#[test]
fn what_the_server_says_is_shown_and_not_asked_again_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    {
        let rig = Rig::start(dir.path());
        rig.apply(&shop()).expect("applied");
        let job = ordered(&rig);
        end(&rig, &job, Err("shop.example.com: no such host (dns)"));
        rig.wait("it has failed", |rig| status(rig).state == AcmeState::Failed);
        let view = status(&rig);
        assert_eq!((view.failures, view.error.as_deref()), (1, Some("shop.example.com: no such host (dns)")));
        assert!((now() + 290..now() + 380).contains(&view.next), "{}", view.next);
        let alarms = rig.summary().alarms;
        assert!(alarms.iter().any(|alarm| alarm.contains("no such host (dns). Until then clients see")), "{alarms:?}");
    }
    // A restart is no reason to ask again either.
    let rig = Rig::start(dir.path());
    assert_eq!(status(&rig).state, AcmeState::Failed);
    assert!(rig.orders.lock().expect("the orders").is_empty());
    let order = |label: &str| -> Result<Done, ApiError> {
        let label = label.parse().expect("a label");
        rig.ask(Command::OrderCertificate(OrderCertificate { label, author: "alice".into() }))
    };
    assert_eq!(order("other").expect_err("unknown").code, ErrorCode::NotFound);
    order("shop").expect("ordered");
    let job = ordered(&rig);
    end(&rig, &job, Ok(signed(&job.names, DAY * 89)));
    rig.wait("it runs", |rig| status(rig).state == AcmeState::Valid);
    assert!(rig.summary().alarms.is_empty(), "{:?}", rig.summary().alarms);
}

/// In a pair the one that serves orders; the other gets it with the configuration.
#[test]
fn who_stands_by_orders_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    let mut config = shop();
    config.node.unit = Some(lb_model::NodeId::Two);
    config.heartbeat = serde_json::from_str(r#"{"paths":[{"udp":{"one":"10.0.0.21","two":"10.0.0.22"}}]}"#).ok();
    config.node.interfaces[0].addresses = vec!["10.0.0.22/24".parse().expect("a network")];
    config.floating_ips = serde_json::from_str(r#"["10.0.0.30"]"#).expect("a floating IP");
    config.layer7.virtual_servers[0].address = "10.0.0.30".parse().expect("an address");
    let facts = |serves| pair::Facts { unit: Some(lb_model::NodeId::Two), serves: Some(serves), ..Default::default() };
    rig.pair(facts(false));
    rig.apply(&config).expect("applied");
    assert_eq!(status(&rig).waits_for.as_deref(), Some("the unit that serves orders it"));
    assert!(rig.orders.lock().expect("the orders").is_empty());
    rig.pair(facts(true));
    assert_eq!(status(&rig).waits_for, None);
    rig.ask::<Done>(Command::OrderCertificate(OrderCertificate {
        label: "shop".parse().expect("a label"),
        author: String::new(),
    }))
    .expect("ordered");
    ordered(&rig);
}

#[test]
fn keys_of_the_account_are_for_root_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path());
    assert!(!dir.path().join("acme").exists(), "no key before one is needed");
    rig.apply(&shop()).expect("applied");
    let key = dir.path().join("acme/account.pem");
    assert_eq!(std::fs::metadata(&key).expect("there").permissions().mode() & 0o777, 0o600);
    let thumbprint = ordered(&rig).account.thumbprint();
    rig.wait("HAProxy answers for it", |rig| {
        let done = &rig.proxy.0.lock().expect("the proxy").done;
        done.iter().any(|action| match action {
            lb_haproxy::Action::Write { text } => text.contains(&thumbprint) && text.contains("bind 10.0.0.21:80"),
            _ => false,
        })
    });
}
