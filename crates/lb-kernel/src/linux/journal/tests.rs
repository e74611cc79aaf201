use super::*;

fn keys() -> Vec<ServiceKey> {
    let address =
        |a: &str, protocol, port| ServiceKey::Address { protocol, address: a.parse().expect("an address"), port };
    vec![
        address("10.0.0.1", Protocol::Tcp, 80),
        address("2001:db8::1", Protocol::Udp, 53),
        address("10.0.0.1", Protocol::Sctp, 9),
        ServiceKey::Mark { mark: 0x8000_0001, family: Family::Ipv4 },
        ServiceKey::Mark { mark: 1, family: Family::Ipv6 },
    ]
}

#[test]
fn every_key_is_read_back() {
    for key in keys() {
        assert_eq!(parse(&key.to_string()), Some(key));
    }
}

#[test]
fn a_restart_knows_what_was_ours() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("owned");
    let mut journal = Journal::open(path.clone()).expect("opened");
    journal.add(keys().iter()).expect("written");
    journal.remove(keys()[..2].iter()).expect("written");
    drop(journal);
    let again = Journal::open(path).expect("opened");
    let known: Vec<bool> = keys().iter().map(|k| again.contains(k)).collect();
    assert_eq!(known, [false, false, true, true, true]);
}

#[test]
fn a_torn_last_line_counts_for_nothing() {
    assert_eq!(replay("+tcp 10.0.0.1:80\n+tcp 10.0.0.1:44").len(), 1);
    assert_eq!(replay("+tcp 10.0.0.1:80\nrubbish\n\n-mark\n").len(), 1);
}

#[test]
fn the_file_does_not_grow_for_ever() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("owned");
    let mut journal = Journal::open(path.clone()).expect("opened");
    for _ in 0..1000 {
        journal.add(keys().iter()).expect("written");
        journal.remove(keys().iter()).expect("written");
    }
    assert!(std::fs::metadata(&path).expect("there").len() < 4096);
}
