//! What the C library accepts, accepted; and nothing more.

use super::*;
use crate::cli::names::Numbers;

#[test]
fn numbers_are_those_of_strtol() {
    assert_eq!(number(" +7", 0..=9), Some(7));
    assert_eq!(number("-1", -5..=9), Some(-1));
    for bad in ["", "+", "1 ", "1x", "0x1", "10", "99999999999999999999"] {
        assert_eq!(number(bad, 0..=9), None, "{bad:?}");
    }
    assert_eq!((leading_number("64x"), leading_number("x"), leading_number("-3")), (64, 0, -3));
}

#[test]
fn ipv4_addresses_have_one_to_four_parts_in_three_radices() {
    for (text, want) in [
        ("10.1.0.1", "10.1.0.1"),
        ("10.1", "10.0.0.1"),
        ("10.1.258", "10.1.1.2"),
        ("0x0a010001", "10.1.0.1"),
        ("012.1.0.1", "10.1.0.1"),
        ("167772161", "10.0.0.1"),
        ("10.1.0.1 x", "10.1.0.1"),
        ("4294967295", "255.255.255.255"),
    ] {
        assert_eq!(inet_aton(text).map(|a| a.to_string()).as_deref(), Some(want), "{text}");
    }
    for bad in ["", "10.1.0.256", "10.1.0.1.", "10..1", "256.1.1.1", "08.1.1.1", "10.16777216", "1.2.3.4.5", "a", "+1"]
    {
        assert_eq!(inet_aton(bad), None, "{bad:?}");
    }
}

#[test]
fn endpoints() {
    let read = |text| endpoint(text, Some(Protocol::Tcp), &Numbers).map(|e| (e.address.to_string(), e.port));
    assert_eq!(read("10.1.0.1:80"), Some(("10.1.0.1".into(), Some(80))));
    assert_eq!(read("10.1.0.1"), Some(("10.1.0.1".into(), None)));
    assert_eq!(read("[fd00::1]:80"), Some(("fd00::1".into(), Some(80))));
    assert_eq!(read("fd00::1"), Some(("fd00::1".into(), None)));
    assert_eq!(read("[10.1.0.1]:80"), Some(("10.1.0.1".into(), None)));
    for bad in ["80", "", "[fd00::1]", "[fd00::1", "10.1.0.1:65536", "10.1.0.1:http!", "10.1.0.1:", "256.1.1.1:80"] {
        assert_eq!(read(bad), None, "{bad:?}");
    }
}
