//! Becoming a pair over the network.

use super::rig::{connected, make_pair, pair, run, two, until};
use crate::peer::{Refusal, pairing::Pairing};
use lb_api::{PairingStep, PairingView, ReplicationState};
use lb_model::NodeId;
use lb_pair::{Peer, peer_file};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

fn call(address: std::net::IpAddr, code: &str) -> PairingStep {
    PairingStep::CallNetwork { address, code: code.into() }
}

#[test]
fn two_units_become_a_pair() {
    run(async {
        let (a, b) = two();
        assert_eq!((a.handle().pairing(), b.handle().pairing()), (PairingView::Idle, PairingView::Idle));
        make_pair(&a, &b).await;
        connected(&a, &b).await;
        let (one, two) = (Peer::open(&a.settings.dir).unwrap().unwrap(), Peer::open(&b.settings.dir).unwrap().unwrap());
        assert_eq!((one.unit, two.unit), (NodeId::One, NodeId::Two));
        assert_eq!(a.shelf.state.lock().unwrap().unit, Some(NodeId::One));
        assert_eq!(b.shelf.state.lock().unwrap().unit, Some(NodeId::Two));
        let PairingView::Done(view) = a.handle().pairing() else { panic!() };
        assert_eq!((view.hostname.as_str(), view.unit), ("lbslave", NodeId::One));
        assert_eq!(view.addresses, [b.address().into()]);
        assert_eq!(view.fingerprint, one.card.certificate.fingerprint().to_string());
        let keys = |unit: &super::rig::Unit| std::fs::read(unit.settings.dir.join(peer_file::KEYS)).unwrap();
        assert_eq!(keys(&a), keys(&b));
        let seen = b.status().seen.unwrap();
        assert_eq!((seen.hostname.as_str(), seen.unit, seen.active), ("lbmaster", NodeId::One, false));
        assert_eq!(seen.web.as_deref(), Some("https://lbmaster:9443"));
        // Without a configuration both have the same: none.
        super::rig::both_show(&a, &b, ReplicationState::InSync).await;
    });
}

#[test]
fn a_wrong_code_is_said_and_five_end_the_waiting() {
    run(async {
        let (a, b) = two();
        let right = b.waits().await;
        let wrong = if right == "0000 0000" { "0000 0001" } else { "0000 0000" };
        for n in 1..=5 {
            a.handle().step(call(b.address(), wrong)).await.unwrap();
            let said = until("failed", || match a.handle().pairing() {
                PairingView::Failed { reason, hint } => Some((reason, hint)),
                _ => None,
            })
            .await;
            assert_eq!(said.0, "the code is wrong", "try {n}");
            assert!(said.1.contains("compare the code"), "{}", said.1);
        }
        let over = until("the waiting ends", || match b.handle().pairing() {
            PairingView::Failed { reason, .. } => Some(reason),
            _ => None,
        })
        .await;
        assert_eq!(over, "too many wrong codes were tried");
        // The right one comes too late; a new offer helps.
        a.handle().step(call(b.address(), &right)).await.unwrap();
        until("failed", || matches!(a.handle().pairing(), PairingView::Failed { .. }).then_some(())).await;
        assert_eq!(Peer::open(&a.settings.dir).unwrap(), None);
        make_pair(&a, &b).await;
    });
}

#[test]
fn what_cannot_be_begun_says_why() {
    run(async {
        let (a, b) = two();
        let refused = a.handle().step(call(b.address(), "123")).await.unwrap_err();
        assert_eq!(refused.reason, "a pairing code has 8 digits");
        a.handle().step(call(b.address(), "12345678")).await.unwrap();
        let PairingView::Failed { reason, hint } =
            until("failed", || Some(a.handle().pairing()).filter(|view| matches!(view, PairingView::Failed { .. })))
                .await
        else {
            panic!()
        };
        assert!(reason.contains("refused"), "{reason}");
        assert!(hint.contains("let the other unit wait"), "{hint}");
        a.handle().step(PairingStep::CallSerial {}).await.unwrap();
        let reason = until("failed", || match a.handle().pairing() {
            PairingView::Failed { reason, .. } if reason.contains("/dev/no-such-line") => Some(reason),
            _ => None,
        })
        .await;
        assert!(reason.contains("No such file"), "{reason}");
        let nothing = a.handle().unpair().await.unwrap_err();
        assert_eq!(nothing.reason, "this unit is not one of a pair");
        let nothing = a.handle().resolve(lb_api::Keep::Mine).await.unwrap_err();
        assert_eq!(nothing.reason, "this unit has no peer");
    });
}

#[test]
fn a_unit_that_waits_says_what_is_wrong_with_the_cable_and_can_give_up() {
    run(async {
        let (a, b) = two();
        let code = b.waits().await;
        let error = until("the cable's error", || match b.handle().pairing() {
            PairingView::Waiting { serial_error, .. } => serial_error,
            _ => None,
        })
        .await;
        assert!(error.starts_with("/dev/no-such-line: "), "{error}");
        b.handle().step(PairingStep::Cancel {}).await.unwrap();
        assert_eq!(b.handle().pairing(), PairingView::Idle);
        a.handle().step(call(b.address(), &code)).await.unwrap();
        until("nobody answers", || matches!(a.handle().pairing(), PairingView::Failed { .. }).then_some(())).await;
        // A new code is another one, and the port is free at once.
        assert_ne!(b.waits().await, code);
        assert_ne!(b.waits().await, code);
    });
}

#[test]
fn callers_that_say_nothing_keep_nobody_away() {
    run(async {
        let (a, b) = two();
        let code = b.waits().await;
        // They come from an address of their own, as a stranger does.
        let mut idle = Vec::new();
        for _ in 0..40 {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((std::net::Ipv4Addr::new(127, 9, 9, 9), 0).into()).unwrap();
            let mut stream = socket.connect(b.settings.listen).await.unwrap();
            let _ = stream.write_all(&[0, 0, 64, 0, 1]).await;
            idle.push(stream);
        }
        a.handle().step(call(b.address(), &code)).await.unwrap();
        until("paired", || matches!(a.handle().pairing(), PairingView::Done(_)).then_some(())).await;
    });
}

#[test]
fn of_two_callers_with_the_code_one_becomes_the_peer() {
    run(async {
        let ((a, b), (c, d)) = (two(), two());
        // The third unit calls at the port of the second.
        let mut c = c;
        c.settings.port = b.settings.port;
        c.boot();
        drop(d);
        let code = b.waits().await;
        for unit in [&a, &c] {
            unit.handle().step(call(b.address(), &code)).await.unwrap();
        }
        let ended = |unit: &super::rig::Unit| match unit.handle().pairing() {
            PairingView::Done(_) => Some(true),
            PairingView::Failed { .. } => Some(false),
            _ => None,
        };
        let (of_a, of_c) = (until("a", || ended(&a)).await, until("c", || ended(&c)).await);
        assert!(of_a ^ of_c, "{of_a} {of_c}");
        until("b", || ended(&b)).await;
        let peer = Peer::open(&b.settings.dir).unwrap().unwrap();
        assert_eq!(peer.card.hostname.to_string(), "lbmaster");
        connected(if of_a { &a } else { &c }, &b).await;
    });
}

/// Whatever the order in which cable, network and the user's change of mind arrive.
#[test]
fn only_the_first_is_kept_and_nobody_after_the_end() {
    run(async {
        let (a, b) = two();
        let card = |unit: &super::rig::Unit| lb_pair::Card {
            certificate: lb_pair::Identity::open(&unit.settings.dir).unwrap().certificate().clone(),
            hostname: "lbother".parse().unwrap(),
            version: "0.1.0".into(),
            addresses: Vec::new(),
        };
        let paired = || lb_pair::Paired {
            unit: NodeId::Two,
            peer: card(&b),
            heartbeat: lb_ha::Key { id: 1, secret: [7; 32].into() },
        };
        let waiting = || Arc::new(Pairing::new(Arc::new(a.settings.clone()), card(&a)));
        let closed = waiting();
        assert_eq!(closed.close().await, None);
        assert!(closed.keep(paired()).await.is_err());
        assert_eq!(Peer::open(&a.settings.dir).unwrap(), None);
        let open = waiting();
        let kept = open.keep(paired()).await.unwrap();
        assert_eq!(open.keep(paired()).await.unwrap_err().reason, "the other unit does not wait for a peer");
        assert_eq!(open.close().await, Some(kept));
    });
}

#[test]
fn a_unit_of_a_pair_does_not_pair_again() {
    run(async {
        let (a, b) = pair().await;
        for unit in [&a, &b] {
            for step in [PairingStep::Wait {}, PairingStep::CallSerial {}, call(b.address(), "12345678")] {
                let Refusal { reason, hint } = unit.handle().step(step).await.unwrap_err();
                assert_eq!(
                    (reason.as_str(), hint.as_str()),
                    ("this unit is one of a pair already", "end the pair first")
                );
            }
        }
    });
}

#[test]
fn an_ended_pair_is_forgotten_here_and_told_there() {
    run(async {
        let (a, b) = pair().await;
        a.handle().unpair().await.unwrap();
        assert_eq!(a.handle().pairing(), PairingView::Idle);
        assert_eq!(Peer::open(&a.settings.dir).unwrap(), None);
        assert!(!a.settings.dir.join(peer_file::KEYS).exists());
        assert_eq!(a.shelf.state.lock().unwrap().unit, None);
        let said = b.shows(ReplicationState::Unreachable).await;
        assert!(said.ends_with("the peer hung up: the pair was ended there"), "{said}");
        // The other one ends it, too, and they can start over.
        b.handle().unpair().await.unwrap();
        // Its port is free at once.
        b.waits().await;
        make_pair(&b, &a).await;
        connected(&a, &b).await;
        assert_eq!(b.shelf.state.lock().unwrap().unit, Some(NodeId::One));
    });
}

/// A pair must not become two single units because a file cannot be read.
#[test]
fn a_damaged_peer_file_is_an_alarm() {
    run(async {
        let (a, mut b) = pair().await;
        b.stop();
        std::fs::write(b.settings.dir.join(peer_file::FILE), "{").unwrap();
        b.boot();
        let alarm = until("the alarm", || b.status().alarm).await;
        assert!(alarm.contains("peer.json is damaged"), "{alarm}");
        assert_eq!(b.shelf.state.lock().unwrap().unit, Some(NodeId::Two));
        a.shows(ReplicationState::Unreachable).await;
        b.handle().unpair().await.unwrap();
        assert_eq!(b.status().alarm, None);
    });
}
