//! Decoders never panic, whatever the bytes; what is encoded is decoded to the same.

mod support;

use std::net::IpAddr;
use std::num::NonZeroU32;

use ipvs::wire::{Attrs, Encoder, Messages};
use ipvs::*;
use proptest::prelude::*;

/// Every decoder on every message in `bytes`.
fn decode_everything(bytes: &[u8]) {
    for message in Messages(bytes).flatten() {
        let _errno = message.errno();
        if let Ok(attrs) = message.attrs() {
            decode_attrs(attrs);
        }
    }
    decode_attrs(Attrs(bytes));
}

fn decode_attrs(attrs: Attrs<'_>) {
    let _service = ServiceEntry::decode(attrs.clone());
    let _dest = DestEntry::decode(attrs.clone(), Family::V6);
    let _daemon = Daemon::decode(attrs.clone());
    let _timeouts = Timeouts::decode(attrs.clone());
    let _info = Info::decode(attrs.clone());
    let _stats = Stats::decode(attrs);
}

fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

fn address_of(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::V4 => any::<[u8; 4]>().prop_map(IpAddr::from).boxed(),
        Family::V6 => any::<[u8; 16]>().prop_map(IpAddr::from).boxed(),
    }
}

fn service_id() -> impl Strategy<Value = ServiceId> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Sctp)];
    let address = family().prop_flat_map(address_of);
    prop_oneof![
        (protocol, address, any::<u16>())
            .prop_map(|(protocol, address, port)| ServiceId::address(protocol, address, port)),
        (1..=u32::MAX, family())
            .prop_map(|(mark, family)| ServiceId::Mark { mark: NonZeroU32::new(mark).expect("from 1"), family }),
    ]
}

prop_compose! {
    fn service()(
        id in service_id(),
        scheduler in "[a-z]{1,15}",
        flags in 0..64u32,
        timeout in any::<u32>(),
        mask in any::<[u8; 4]>(),
        length in 1..=128u8,
        pe_name in proptest::option::of("[a-z]{1,16}"),
    ) -> Service {
        let netmask = match id.family() {
            Family::V4 => Netmask::V4(mask.into()),
            Family::V6 => Netmask::V6(length),
        };
        Service { id, scheduler, flags: Flags::from_bits(flags), timeout, netmask, pe_name }
    }
}

fn forward() -> impl Strategy<Value = Forward> {
    let checksum = || prop_oneof![Just(Checksum::None), Just(Checksum::Full), Just(Checksum::Remote)];
    prop_oneof![
        Just(Forward::Masq),
        Just(Forward::Local),
        Just(Forward::Direct),
        Just(Forward::Bypass),
        Just(Forward::Tunnel(Tunnel::Ipip)),
        (any::<u16>(), checksum()).prop_map(|(port, checksum)| Forward::Tunnel(Tunnel::Gue { port, checksum })),
        checksum().prop_map(|checksum| Forward::Tunnel(Tunnel::Gre { checksum })),
    ]
}

prop_compose! {
    fn dest()(
        address in family().prop_flat_map(address_of),
        port in any::<u16>(),
        forward in forward(),
        weight in any::<u32>(),
        upper in any::<u32>(),
        lower in any::<u32>(),
    ) -> Dest {
        Dest { address, port, forward, weight, upper, lower }
    }
}

prop_compose! {
    fn daemon()(
        master in any::<bool>(),
        interface in "[a-z0-9]{1,15}",
        sync_id in 0..=255u32,
        max_len in any::<u16>(),
        group in proptest::option::of(family().prop_flat_map(address_of)),
        port in any::<u16>(),
        ttl in any::<u8>(),
    ) -> Daemon {
        let role = if master { DaemonRole::Master } else { DaemonRole::Backup };
        Daemon { role, interface, sync_id, max_len, group, port, ttl }
    }
}

/// The message of `request`, checked to be one whole message and nothing else.
fn sent(request: &Request) -> Vec<u8> {
    let mut out = Encoder::new();
    request.encode(&mut out, 32, 7);
    let messages: Vec<_> = Messages(out.bytes()).collect();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].map(|m| (m.kind, m.seq)), Ok((32, 7)));
    out.bytes().to_vec()
}

fn attrs(message: &[u8]) -> Attrs<'_> {
    Messages(message).next().expect("one").expect("well-formed").attrs().expect("attributes")
}

proptest! {
    #[test]
    fn no_decoder_panics_on_random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        decode_everything(&bytes);
    }

    #[test]
    fn no_decoder_panics_on_small_attributes(
        parts in proptest::collection::vec((0..20u16, proptest::collection::vec(any::<u8>(), 0..20)), 0..12)
    ) {
        let mut out = Encoder::new();
        out.begin(32, 0, 1, 1, 1);
        for nest_kind in 1..=3 {
            let nest = out.nest(nest_kind);
            for (kind, data) in &parts {
                out.raw(*kind, data);
            }
            out.end_nest(nest);
        }
        out.end();
        decode_everything(out.bytes());
    }

    #[test]
    fn services_come_back(service in service()) {
        let message = sent(&Request::AddService(service.clone()));
        prop_assert_eq!(ServiceEntry::decode(attrs(&message)).map(|entry| entry.service), Ok(service));
    }

    #[test]
    fn dests_come_back(id in service_id(), dest in dest()) {
        let message = sent(&Request::AddDest(id, dest));
        prop_assert_eq!(DestEntry::decode(attrs(&message), id.family()).map(|entry| entry.dest), Ok(dest));
    }

    #[test]
    fn daemons_and_timeouts_come_back(daemon in daemon(), tcp in any::<u32>(), tcp_fin in any::<u32>(), udp in any::<u32>()) {
        let message = sent(&Request::StartDaemon(daemon.clone()));
        prop_assert_eq!(Daemon::decode(attrs(&message)), Ok(daemon));
        let timeouts = Timeouts { tcp, tcp_fin, udp };
        let message = sent(&Request::SetTimeouts(timeouts));
        prop_assert_eq!(Timeouts::decode(attrs(&message)), Ok(timeouts));
    }

    #[test]
    fn messages_of_a_batch_stand_apart(services in proptest::collection::vec(service(), 1..20)) {
        let mut out = Encoder::new();
        for (at, service) in services.iter().enumerate() {
            Request::AddService(service.clone()).encode(&mut out, 32, at as u32);
        }
        let seen: Vec<u32> = Messages(out.bytes()).map(|m| m.expect("well-formed").seq).collect();
        prop_assert_eq!(seen, (0..services.len() as u32).collect::<Vec<_>>());
    }
}

/// Real replies with bytes changed, dropped or cut off: closer to what a decoder must survive than noise.
#[test]
fn no_decoder_panics_on_damaged_replies() {
    let mut replies: Vec<Vec<u8>> = Vec::new();
    for record in support::recorded() {
        for exchange in record.exchanges() {
            for message in exchange.messages().filter(|message| message.kind == support::IPVS_FAMILY) {
                let mut out = vec![0; 16];
                out.extend_from_slice(message.payload);
                let len = out.len() as u32;
                out[..4].copy_from_slice(&len.to_ne_bytes());
                out[4..6].copy_from_slice(&message.kind.to_ne_bytes());
                replies.push(out);
            }
        }
    }
    assert!(replies.len() > 300, "only {} replies", replies.len());
    // xorshift: the same damage in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for reply in &replies {
        for _ in 0..60 {
            let mut damaged = reply.clone();
            for _ in 0..=random(4) {
                let at = random(damaged.len());
                damaged[at] = random(256) as u8;
            }
            if random(3) == 0 {
                damaged.truncate(random(damaged.len()));
            }
            decode_everything(&damaged);
        }
    }
}
