use super::*;

const MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

#[test]
fn gratuitous_arp_byte_for_byte() {
    let expected = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x08, 0x06, // Ethernet
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, // Ethernet, IPv4, request
        0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 10, 0, 0, 20, // sender
        0, 0, 0, 0, 0, 0, 10, 0, 0, 20, // target
    ];
    assert_eq!(gratuitous_arp(REQUEST, MAC, Ipv4Addr::new(10, 0, 0, 20)), expected);
}

#[test]
fn neighbour_advertisement_byte_for_byte() {
    let vip: Ipv6Addr = "2001:db8::20".parse().expect("an address");
    let mut expected = vec![0x33, 0x33, 0, 0, 0, 1, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x86, 0xdd];
    expected.extend([0x60, 0, 0, 0, 0, 32, 58, 255]);
    expected.extend(vip.octets());
    expected.extend([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    // By hand: addresses, length 0x20, next header 0x3a and body sum to 0x30bcc, folded 0x0bcf, complement 0xf430.
    expected.extend([136, 0, 0xf4, 0x30, 0xa0, 0, 0, 0]);
    expected.extend(vip.octets());
    expected.extend([2, 1, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
    assert_eq!(neighbour_advertisement(MAC, vip).to_vec(), expected);
}

/// RFC 1071: over a packet with its checksum in place the sum is 0.
#[test]
fn a_checksum_in_place_sums_to_nothing() {
    let vip: Ipv6Addr = "fd00:1234::ffff:8".parse().expect("an address");
    let frame = neighbour_advertisement([0xff; 6], vip);
    let to: Ipv6Addr = "ff02::1".parse().expect("an address");
    assert_eq!(checksum6(vip, to, 58, &frame[54..]), 0);
}
