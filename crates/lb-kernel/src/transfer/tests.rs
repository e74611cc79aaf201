use super::{digest::*, *};
use crate::Connection;
use ipvs::sync::flag;
use lb_model::Protocol;
use lb_plan::{Dest, DestKey, Forward, MarkRule, Service, ServiceKey};
use std::{collections::BTreeMap, net::SocketAddr};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn connection<'a>(protocol: &'a str, sockets: [&str; 3], state: &'a str) -> Connection<'a> {
    let [client, virtual_server, real_server] = sockets.map(address);
    Connection { protocol, client, virtual_server, real_server, state, expires: 42 }
}

/// The vectors of the authors' reference implementation, for 15 and for no bytes.
#[test]
fn siphash_is_siphash() {
    let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
    let bytes: Vec<u8> = (0..15).collect();
    assert_eq!(siphash(key, &bytes), 0xa129_ca61_49be_45e5);
    assert_eq!(siphash(key, &[]), 0x726f_db47_dd0e_0e31);
}

#[test]
fn a_fingerprint_is_of_what_identifies_an_entry() {
    let key = [1, 2];
    let is = connection("TCP", ["10.0.0.1:5000", "10.0.0.21:80", "10.0.0.50:80"], "ESTABLISHED");
    let print = fingerprint(key, &is);
    assert_eq!(print, fingerprint(key, &Connection { state: "FIN_WAIT", expires: 1, ..is }));
    let others = [
        Connection { protocol: "UDP", ..is },
        Connection { client: address("10.0.0.1:5001"), ..is },
        Connection { virtual_server: address("10.0.0.22:80"), ..is },
        Connection { real_server: address("10.0.0.50:81"), ..is },
    ];
    assert!(others.iter().all(|other| fingerprint(key, other) != print));
    assert_ne!(fingerprint([1, 3], &is), print);
    // A template and the data connection of the same addresses.
    let template = Connection { client: address("10.0.0.1:0"), state: "NONE", ..is };
    assert_ne!(fingerprint(key, &template), fingerprint(key, &Connection { state: "ESTABLISHED", ..template }));
}

#[test]
fn a_digest_shows_what_one_side_lacks() {
    let prints: Vec<u64> = (0..20_000u64).map(|n| siphash([3, 4], &n.to_be_bytes())).collect();
    let (mut ours, mut theirs) = (Digest::default(), Digest::default());
    prints.iter().for_each(|p| ours.add(*p));
    // In another order, without every 5,000th, and with one of its own.
    for (n, print) in prints.iter().enumerate().rev().filter(|(n, _)| n % 5000 != 7) {
        assert!(n < prints.len());
        theirs.add(*print);
    }
    theirs.add(99);
    let theirs = Digest::from_bytes(&theirs.to_bytes()).expect("a digest");
    assert_eq!((ours.entries(), theirs.entries()), (20_000, 19_997));
    let differing = ours.differing(&theirs);
    assert_eq!(differing.len(), 5);
    let wanted = Buckets::new(&differing);
    let held = Held::new(
        prints.iter().enumerate().filter(|(n, p)| n % 5000 != 7 && wanted.contains(**p)).map(|(_, p)| *p).collect(),
    );
    let held = Held::from_bytes(&held.to_bytes()).expect("fingerprints");
    let missing = prints.iter().filter(|p| wanted.contains(**p) && !held.contains(**p));
    assert_eq!(missing.count(), 4);
    assert!(ours.differing(&ours).is_empty());
    assert!(Digest::from_bytes(&[0; 12]).is_none() && Held::from_bytes(&[0; 9]).is_none());
}

#[test]
fn what_the_backup_daemon_has_not_read_is_seen() {
    let head = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
    let line = |port: &str, received: &str| {
        format!(
            "{head}  119: 510000E0:{port} 00000000:0000 07 00000000:{received} 00:00000000 00000000     0        0 12 2 0 0\n"
        )
    };
    assert!(unread(&line("2290", "00000300"), 8848));
    assert!(!unread(&line("2290", "00000000"), 8848));
    assert!(!unread(&line("2291", "00000300"), 8848));
    assert!(!unread(head, 8848));
}

fn service(persistence: Option<u32>, dests: &[(&str, Forward)]) -> Service {
    let dest = |(at, forward): &(&str, Forward)| {
        let at = address(at);
        (DestKey { address: at.ip(), port: at.port() }, Dest { forward: *forward, weight: 1, upper: 0, lower: 0 })
    };
    Service {
        scheduler: "wrr".into(),
        persistence: persistence.map(|seconds| (seconds, 32)),
        one_packet: false,
        scheduler_flags: 0,
        dests: dests.iter().map(dest).collect(),
    }
}

fn rules() -> Rules {
    let tcp =
        |at: &str| ServiceKey::Address { protocol: Protocol::Tcp, address: address(at).ip(), port: address(at).port() };
    let mark = |mark| ServiceKey::Mark { mark, family: lb_model::Family::Ipv4 };
    let services = BTreeMap::from([
        (
            tcp("10.0.0.21:80"),
            service(Some(300), &[("192.168.2.50:8080", Forward::Nat), ("127.0.0.1:81", Forward::Nat)]),
        ),
        (tcp("10.0.0.22:80"), service(None, &[("192.168.2.50:80", Forward::Dr), ("10.0.0.20:80", Forward::Dr)])),
        (mark(7), service(Some(60), &[("192.168.2.51:0", Forward::Dr)])),
        (mark(8), service(None, &[("192.168.2.52:0", Forward::Dr), ("192.168.2.53:0", Forward::Nat)])),
        (mark(9), service(None, &[("192.168.2.52:0", Forward::Dr)])),
    ]);
    let marks = [MarkRule {
        address: address("10.0.0.23:0").ip(),
        protocol: Protocol::Tcp,
        ports: "80,8000-8100".parse().expect("ports"),
        mark: 9,
    }];
    Rules::new(services, &marks, [address("10.0.0.20:0").ip()].into())
}

#[test]
fn an_entry_says_what_proc_does_not() {
    let rules = rules();
    let message = |c: &Connection<'_>| rules.message(c).expect("sent");
    let client = "10.0.0.1:5000";
    let is = message(&connection("TCP", [client, "10.0.0.21:80", "192.168.2.50:8080"], "ESTABLISHED"));
    assert_eq!((is.protocol, is.flags, is.state, is.mark, is.timeout), (6, 0, 1, 0, 0));
    let is = message(&connection("TCP", [client, "10.0.0.22:80", "192.168.2.50:80"], "TIME_WAIT"));
    assert_eq!((is.flags, is.state), (3 | flag::NO_OUTPUT | flag::INACTIVE, 5));
    // A template gets its service's time-out, and not what it had left.
    let is = message(&connection("TCP", ["10.0.0.1:0", "10.0.0.21:80", "192.168.2.50:8080"], "ASSURED"));
    assert_eq!((is.flags, is.state, is.timeout), (flag::TEMPLATE, 1, 300));
    let is = message(&connection("IP", ["10.0.0.1:0", "0.0.0.7:0", "192.168.2.51:0"], "NONE"));
    assert_eq!((is.protocol, is.mark, is.timeout), (0, 7, 60));
    // By our rules; by the only marked service with that server; by nothing.
    let is = message(&connection("TCP", [client, "10.0.0.23:8050", "192.168.2.52:8050"], "ESTABLISHED"));
    assert_eq!((is.mark, is.flags), (9, 3 | flag::NO_OUTPUT));
    let is = message(&connection("TCP", [client, "10.0.0.24:443", "192.168.2.53:443"], "ESTABLISHED"));
    assert_eq!((is.mark, is.flags), (8, 0));
    let is = message(&connection("TCP", [client, "10.0.0.24:443", "192.168.2.52:443"], "ESTABLISHED"));
    assert_eq!(is.mark, 0);
    let is = message(&connection("UDP", [client, "10.0.0.24:53", "192.168.2.99:53"], "UDP"));
    assert_eq!((is.protocol, is.flags, is.state), (17, flag::INACTIVE, 0));
}

#[test]
fn what_means_nothing_elsewhere_stays() {
    let rules = rules();
    let refused = |c: &Connection<'_>| rules.message(c).expect_err("kept");
    let client = "10.0.0.1:5000";
    assert_eq!(refused(&connection("TCP", [client, "10.0.0.21:80", "127.0.0.1:81"], "ESTABLISHED")), Unsent::Local);
    assert_eq!(refused(&connection("TCP", [client, "10.0.0.22:80", "10.0.0.20:80"], "ESTABLISHED")), Unsent::Local);
    let mixed = connection("TCP", [client, "10.0.0.21:80", "[fd00::50]:80"], "ESTABLISHED");
    assert_eq!(refused(&mixed), Unsent::MixedFamilies);
    let data = connection("TCP", ["10.0.0.1:0", "10.0.0.21:20", "192.168.2.50:20"], "SYN_RECV");
    assert_eq!(refused(&data), Unsent::NoClientPort);
    assert_eq!(refused(&connection("AH", [client, "10.0.0.21:80", "192.168.2.50:80"], "NONE")), Unsent::Unknown);
    assert_eq!(refused(&connection("TCP", [client, "10.0.0.21:80", "192.168.2.50:80"], "NEW")), Unsent::Unknown);
}
