//! Becoming a pair over a null-modem cable: two ptys whose far ends are joined.

use super::rig::{connected, run, two, until};
use lb_api::{PairingStep, PairingView};
use lb_model::NodeId;
use nix::{
    pty::openpty,
    sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr},
    unistd::ttyname,
};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

/// Both ends of a cable; of so many bytes one is lost.
struct Cable {
    ends: [PathBuf; 2],
    /// Kept open, so that an end that nobody has opened is not hung up.
    _slaves: [OwnedFd; 2],
}

fn cable(lose_one_of: u32) -> Cable {
    let ptys = [(); 2].map(|()| openpty(None, None).unwrap());
    let masters = ptys.each_ref().map(|pty| File::from(pty.master.try_clone().unwrap()));
    for pty in &ptys {
        let mut line = tcgetattr(&pty.slave).unwrap();
        cfmakeraw(&mut line);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &line).unwrap();
    }
    let counted = Arc::new(AtomicU32::new(1));
    for (from, to) in [(0, 1), (1, 0)] {
        let (mut from, mut to) = (masters[from].try_clone().unwrap(), masters[to].try_clone().unwrap());
        let counted = counted.clone();
        // Ends with the cable: reading from a master whose slave is closed is an error.
        thread::spawn(move || {
            let mut buffer = [0; 256];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                let kept = buffer[..length].iter().copied();
                let kept: Vec<u8> =
                    kept.filter(|_| !counted.fetch_add(1, Ordering::Relaxed).is_multiple_of(lose_one_of)).collect();
                if to.write_all(&kept).is_err() {
                    return;
                }
            }
        });
    }
    let ends = ptys.each_ref().map(|pty| ttyname(&pty.slave).unwrap());
    Cable { ends, _slaves: ptys.map(|pty| pty.slave) }
}

fn pairs_over(cable: &Cable) {
    run(async {
        let (mut a, mut b) = two();
        (a.settings.serial, b.settings.serial) = (cable.ends[0].clone(), cable.ends[1].clone());
        a.boot();
        b.boot();
        b.waits().await;
        a.handle().step(PairingStep::CallSerial {}).await.unwrap();
        for unit in [&a, &b] {
            until("paired", || match unit.handle().pairing() {
                PairingView::Done(_) => Some(()),
                PairingView::Failed { reason, .. } => panic!("{reason}"),
                _ => None,
            })
            .await;
        }
        connected(&a, &b).await;
        assert_eq!(b.shelf.state.lock().unwrap().unit, Some(NodeId::Two));
    });
}

#[test]
fn two_units_become_a_pair_with_nothing_to_type() {
    pairs_over(&cable(u32::MAX));
}

#[test]
fn a_cable_that_loses_bytes_will_do() {
    pairs_over(&cable(211));
}

/// The unit at the other end of the cable and one on the network at the same time.
#[test]
fn of_both_ways_one_brings_the_peer() {
    run(async {
        let cable = cable(u32::MAX);
        let ((mut a, mut b), (mut c, _d)) = (two(), two());
        (a.settings.serial, b.settings.serial) = (cable.ends[0].clone(), cable.ends[1].clone());
        c.settings.port = b.settings.port;
        a.boot();
        b.boot();
        c.boot();
        let code = b.waits().await;
        a.handle().step(PairingStep::CallSerial {}).await.unwrap();
        // Pairing over the cable takes a tenth of a second: let both be under way.
        until("calling", || matches!(a.handle().pairing(), PairingView::Working { .. }).then_some(())).await;
        c.handle().step(PairingStep::CallNetwork { address: b.address(), code }).await.unwrap();
        until("b has a peer", || matches!(b.handle().pairing(), PairingView::Done(_)).then_some(())).await;
        let fingerprint = |unit: &super::rig::Unit| {
            lb_pair::Identity::open(&unit.settings.dir).unwrap().certificate().fingerprint().to_string()
        };
        let PairingView::Done(peer) = b.handle().pairing() else { panic!() };
        let (first, other) = if peer.fingerprint == fingerprint(&a) { (&a, &c) } else { (&c, &a) };
        assert_eq!(peer.fingerprint, fingerprint(first));
        connected(first, &b).await;
        let over = lb_pair::Peer::open(&other.settings.dir).unwrap();
        assert_eq!(over, None, "the other one is nobody's peer");
    });
}

#[test]
fn a_cable_without_anybody_says_so() {
    run(async {
        let cable = cable(u32::MAX);
        let (mut a, _b) = two();
        a.settings.serial = cable.ends[0].clone();
        // At the highest speed the line is given up soonest.
        a.settings.baud = 921_600;
        a.boot();
        a.handle().step(PairingStep::CallSerial {}).await.unwrap();
        let said = until("given up", || match a.handle().pairing() {
            PairingView::Failed { reason, hint } => Some((reason, hint)),
            _ => None,
        })
        .await;
        assert_eq!(said.0, "nobody answers at the other end of the cable");
        assert!(said.1.contains("let the other unit wait"), "{}", said.1);
    });
}
