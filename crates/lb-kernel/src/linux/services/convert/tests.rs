use super::*;
use lb_plan::desired;

fn there_and_back(action: &Action) {
    match (action, request(action).expect("a request")) {
        (Action::AddService { key: k, service: s }, Request::AddService(to)) => {
            assert_eq!(key(&to.id).as_ref(), Some(k));
            // What the kernel stores in any case: a service without persistence has the full mask.
            assert_eq!(&service(to, BTreeMap::new()), s, "{action}");
        }
        (Action::AddDest { key, dest: d, .. }, Request::AddDest(_, to)) => {
            assert_eq!((&dest_key(&to), &dest(&to)), (key, d), "{action}");
        }
        (action, to) => panic!("{action} became {to:?}"),
    }
}

/// Everything that a configuration can ask for reads back as it was asked for.
#[test]
fn what_is_asked_for_reads_back() {
    let mut actions = 0;
    for seed in 0..2_000 {
        let config = lb_model::sample::config(seed, false);
        for (key, service) in desired(&config, &Default::default()).services {
            for (dest_key, dest) in &service.dests {
                there_and_back(&Action::AddDest { service: key, key: *dest_key, dest: *dest });
                actions += 1;
            }
            there_and_back(&Action::AddService { key, service: Service { dests: BTreeMap::new(), ..service } });
        }
    }
    assert!(actions > 1_000, "{actions}");
}

/// What was set by hand and has no word of ours differs from everything that we ask for.
#[test]
fn what_has_no_word_does_not_look_right() {
    let mark = ServiceId::Mark { mark: NonZeroU32::MIN, family: ipvs::Family::V4 };
    let sip = ipvs::Service { pe_name: Some("sip".into()), ..ipvs::Service::new(mark, "wlc") };
    assert_ne!(service(sip, BTreeMap::new()).scheduler, "wlc");
    let holes = ipvs::Service::new(mark, "wlc").persistent(300, Netmask::V4([255, 0, 255, 0].into()));
    assert_eq!(service(holes, BTreeMap::new()).persistence, Some((300, 0)));
    let gue = ipvs::Tunnel::Gue { port: 9999, checksum: Checksum::None };
    let odd = ipvs::Dest::new([10, 0, 0, 9].into(), 80, ipvs::Forward::Tunnel(gue));
    assert_ne!(dest(&odd).forward, Forward::Tun(Tunnel::Gue));
    let other = ServiceId::Address { protocol: ipvs::Protocol::Other(99), address: [10, 0, 0, 1].into(), port: 1 };
    assert_eq!(key(&other), None);
}
