//! Corners the recorded listings do not reach: large numbers, names, the original's sort order.

use super::*;
use crate::cli::names::Numbers;
use crate::dest::Dest;
use std::net::Ipv4Addr;

fn column(value: u64, exact: bool) -> String {
    let mut out = String::new();
    large(&mut out, value, &Format { exact, ..Format::default() });
    out
}

#[test]
fn large_numbers_are_shortened_unless_exact() {
    assert_eq!(column(99_999_999, false), " 99999999");
    assert_eq!(column(100_000_000, false), "  100000K");
    assert_eq!(column(1_000_000_000, false), "    1000M");
    assert_eq!(column(100_000_000_000, false), "     100G");
    assert_eq!(column(100_000_000_000_000, false), "     100T");
    assert_eq!(column(1_000_000_000, true), " 1000000000");
}

#[test]
fn addresses_far_apart_sort_as_the_originals_subtraction_says() {
    let entry = |address: [u8; 4]| DestEntry {
        dest: Dest::new(Ipv4Addr::from(address).into(), 80, Forward::Masq),
        active: 0,
        inactive: 0,
        persistent: 0,
        stats: Stats::default(),
    };
    let mut dests = vec![entry([10, 0, 0, 2]), entry([192, 168, 0, 1]), entry([10, 0, 0, 1])];
    sort_dests(&mut dests);
    let order: Vec<String> = dests.iter().map(|e| e.dest.address.to_string()).collect();
    assert_eq!(order, ["192.168.0.1", "10.0.0.1", "10.0.0.2"]);
}

#[test]
fn names_are_used_where_known_and_long_ones_are_cut() {
    struct Known;
    impl Names for Known {
        fn host_to_address(&self, _: &str) -> Option<Ipv4Addr> {
            None
        }
        fn address_to_host(&self, _: IpAddr) -> Option<String> {
            Some("a-very-long-name.of-a-server.example".to_owned())
        }
        fn service_to_port(&self, _: &str, _: Protocol) -> Option<u16> {
            None
        }
        fn port_to_service(&self, port: u16, _: Protocol) -> Option<String> {
            (port == 80).then(|| "http".to_owned())
        }
    }
    let id = ServiceId::address(Protocol::Tcp, IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1)), 80);
    let service = ServiceEntry { service: Service::new(id, "rr"), stats: Stats::default() };
    let mut out = String::new();
    entry(&mut out, &service, &[], &Format::default(), &Known);
    assert_eq!(out, "TCP  a-very-long-name.of-a-server rr\n");
    out.clear();
    commands(&mut out, &service, &[], &Format::default(), &Known);
    assert_eq!(out, "-A -t a-very-long-name.of-a-server.example:http -s rr\n");
    out.clear();
    commands(&mut out, &service, &[], &Format::default(), &Numbers);
    assert_eq!(out, "-A -t 10.1.0.1:80 -s rr\n");
}
