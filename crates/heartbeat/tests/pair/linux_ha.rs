//! The tests of the Linux-HA suite (heartbeat 3, `cts`), under their names, and its audit: after each step every
//! floating address has exactly one owner. What a test adds to its namesake is said there.

use crate::rig::{Pair, Says, in_pair, in_pair_with};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

impl Pair {
    /// A step, and then the audit.
    fn audited(&mut self, what: &str, act: impl FnOnce(&mut Pair)) {
        self.step(what, act);
        self.one_owner_of_each();
    }
}

/// A node that runs is stopped, one that does not is started.
#[test]
fn flip() {
    in_pair("Flip", |pair| {
        pair.start_both();
        for node in [0, 0, 1, 1, 1, 1, 0, 0] {
            if pair.runs(node) {
                pair.audited(&format!("node {node} down"), |pair| {
                    pair.stop(node);
                    pair.until_active(1 - node);
                });
            } else {
                pair.audited(&format!("node {node} up"), |pair| {
                    pair.start(node);
                    pair.until_settled();
                });
            }
        }
    });
}

#[test]
fn restart() {
    in_pair("Restart", |pair| {
        pair.start_both();
        for node in [0, 1, 1, 0] {
            pair.audited(&format!("node {node}"), |pair| {
                pair.stop(node);
                pair.start(node);
                pair.until_settled();
            });
        }
    });
}

/// Stopped while it is still starting.
#[test]
fn partial_start() {
    in_pair("PartialStart", |pair| {
        pair.start(0);
        pair.until_active(0);
        for round in 0..4 {
            pair.audited(&format!("round {round}"), |pair| {
                pair.start(1);
                pair.until("its socket is there", |pair| pair.answers(1));
                pair.stop(1);
                pair.until_active(0);
            });
        }
        pair.audited("started", |pair| {
            pair.start(1);
            pair.until_settled();
        });
    });
}

#[test]
fn standby() {
    in_pair("Standby", |pair| {
        pair.start_both();
        for _ in 0..4 {
            let active = pair.active();
            pair.audited(&format!("node {active}"), |pair| {
                assert_eq!(pair.ask(active, r#""standby""#), r#""done""#);
                pair.until_active(1 - active);
            });
        }
    });
}

#[test]
fn simul_start_and_simul_stop() {
    in_pair("SimulStart", |pair| {
        for round in 0..3 {
            pair.audited(&format!("both start, round {round}"), Pair::start_both);
            pair.step("SimulStop: both stop", |pair| {
                (0..2).for_each(|node| pair.signal(node, Signal::SIGTERM));
                (0..2).for_each(|node| pair.until_ended(node));
                assert_eq!(pair.owners(), [false, false]);
            });
        }
    });
}

#[test]
fn start_one_by_one_and_stop_one_by_one() {
    in_pair("StartOnebyOne", |pair| {
        for first in [0, 1] {
            pair.audited(&format!("node {first} starts"), |pair| {
                pair.start(first);
                pair.until_active(first);
            });
            pair.audited("the other one starts", |pair| {
                pair.start(1 - first);
                pair.until_settled();
                assert_eq!(pair.active(), first, "nothing moves");
            });
            pair.audited("StopOnebyOne: the active one stops", |pair| {
                pair.stop(first);
                pair.until_active(1 - first);
            });
            pair.step("the other one stops", |pair| {
                pair.stop(1 - first);
                assert_eq!(pair.owners(), [false, false]);
            });
        }
    });
}

#[test]
fn restart_one_by_one() {
    in_pair("RestartOnebyOne", |pair| {
        pair.start_both();
        for round in 0..2 {
            for node in 0..2 {
                pair.audited(&format!("round {round}, node {node}"), |pair| {
                    pair.stop(node);
                    pair.until_active(1 - node);
                    pair.start(node);
                    pair.until_settled();
                });
            }
        }
    });
}

/// The dead time is kept: found dead neither before it nor later than a keepalive after it, and the owner is there
/// half a keepalive later. The bound has room for a loaded machine.
#[test]
fn fastdetection() {
    in_pair("Fastdetection", |pair| {
        pair.start_both();
        for _ in 0..3 {
            let active = pair.active();
            let (died, before) = (Instant::now(), pair.log(1 - active).len());
            pair.audited("power off", |pair| {
                pair.power_off(active);
                pair.until_active(1 - active);
            });
            let took = died.elapsed();
            let silence = "nothing was heard from the peer on any path for ";
            // The log is written by a thread of its own.
            pair.until("it says why", |pair| pair.log(1 - active)[before..].contains(silence));
            let log = pair.log(1 - active);
            let said = log[before..].split(silence).nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
            let said = said.expect("a number");
            println!("Fastdetection: silence of {said} ms found, owner {took:.0?} after the death");
            assert!((400..=500).contains(&said), "{said} ms, with a dead time of 400 ms");
            assert!(took < Duration::from_secs(5), "{took:?}");
            pair.power_on(active);
            pair.until_settled();
        }
    });
}

/// At the default settings, less than 2 kB a second on each network, while nothing else is sent.
#[test]
fn bandwidth() {
    in_pair("Bandwidth", |pair| {
        pair.start_both();
        let (began, before) = (Instant::now(), pair.sent(pair.active()));
        pair.sleeps(Duration::from_secs(3));
        let after = pair.sent(pair.active());
        let rate = |n: usize| (after[n] - before[n]) as f64 / began.elapsed().as_secs_f64();
        println!(
            "Bandwidth: {:.0} bytes/s on the network of their own, {:.0} with the client's echoes",
            rate(1),
            rate(0)
        );
        assert!(rate(1) > 500.0 && rate(1) < 2500.0, "{}", rate(1));
    });
}

/// Any one path, and any two of three.
#[test]
fn redundantpath() {
    in_pair("Redundantpath", |pair| {
        pair.start_both();
        for cut in [&[0][..], &[1], &[2], &[0, 1], &[1, 2], &[0, 2]] {
            pair.audited(&format!("paths {cut:?} cut and healed"), |pair| {
                cut.iter().for_each(|path| pair.cut(*path));
                pair.until("both pages say so", |pair| {
                    (0..2).all(|node| cut.iter().all(|path| !pair.status(node).path_up(*path)))
                });
                cut.iter().for_each(|path| pair.heal(*path));
                pair.until("all paths are up", |pair| {
                    (0..2).all(|node| cut.iter().all(|path| pair.status(node).path_up(*path)))
                });
            });
        }
        assert_eq!(pair.moves(), 0);
    });
}

/// All cut: both serve, both say so. After any one path is back exactly one serves within a second, the client's
/// table is right.
#[test]
fn split_brain() {
    in_pair("Split_brain", |pair| {
        pair.start_both();
        for healed in 0..3 {
            pair.two_owners_allowed(true);
            pair.step("all paths cut", |pair| {
                (0..3).for_each(|path| pair.cut(path));
                pair.until("two owners, an alarm on both", |pair| {
                    pair.owners() == [true, true]
                        && (0..2).all(|node| pair.status(node).alarms.contains(&"peer_silent".to_owned()))
                });
            });
            let began = Instant::now();
            pair.step(&format!("path {healed} healed"), |pair| {
                pair.heal(healed);
                pair.until("one owner", |pair| pair.owners()[0] != pair.owners()[1]);
                let took = began.elapsed();
                println!("Split_brain: one owner {took:.0?} after path {healed} was back");
                assert!(took < Duration::from_secs(5), "{took:?}");
            });
            pair.two_owners_allowed(false);
            (0..3).for_each(|path| pair.heal(path));
            pair.audited("all paths healed", |pair| {
                pair.until_settled();
                pair.until("the client's table is right", |pair| pair.client_knows(pair.active()));
            });
        }
    });
}

/// An address that is knocked down.
#[test]
fn ipaddr() {
    in_pair("IPaddr", |pair| {
        pair.start_both();
        for _ in 0..2 {
            let active = pair.active();
            pair.audited("addresses removed by hand", |pair| {
                pair.remove_by_hand(active);
                pair.until_active(1 - active);
            });
            pair.until_settled();
        }
    });
}

/// The components of an active node that can fail: its daemon (started again at once), its lbd, its card.
#[test]
fn component_fail() {
    in_pair("ComponentFail", |pair| {
        for node in 0..2 {
            pair.with_lbd(node);
            pair.start_supervised(node);
        }
        pair.until("one serves", |pair| pair.owners() != [false, false]);
        for node in 0..2 {
            assert_eq!(pair.ask(node, r#"{"hot":true}"#), r#""done""#);
        }
        pair.until_settled();
        for _ in 0..3 {
            let active = pair.active();
            pair.audited("SIGKILL of the active daemon, the supervisor starts it again", |pair| {
                pair.signal(active, Signal::SIGKILL);
                pair.until("it is back", |pair| pair.answers(active));
                assert_eq!(pair.ask(active, r#"{"hot":true}"#), r#""done""#);
                pair.until_settled();
            });
        }
        let active = pair.active();
        pair.audited("lbd does not answer any more", |pair| {
            pair.lbd_says(active, Says::Nothing);
            pair.until_active(1 - active);
            assert_eq!(pair.status(active).unfit.len(), 1, "{:?}", pair.status(active).unfit);
        });
        pair.audited("lbd answers again: nothing moves", |pair| {
            pair.lbd_says(active, Says::Well);
            pair.until_settled();
            assert_eq!(pair.active(), 1 - active);
        });
        let active = pair.active();
        pair.audited("lbd answers that HAProxy does not run", |pair| {
            pair.lbd_says(active, Says::Unfit("HAProxy does not run"));
            pair.until_active(1 - active);
            assert_eq!(pair.status(active).unfit, ["HAProxy does not run"]);
        });
        pair.audited("HAProxy runs again: nothing moves", |pair| {
            pair.lbd_says(active, Says::Well);
            pair.until_settled();
            assert_eq!(pair.active(), 1 - active);
        });
        let active = pair.active();
        pair.audited("the card of the floating addresses has no link", |pair| {
            pair.link(active, "down");
            pair.until_active(1 - active);
        });
        pair.audited("it has one again: nothing moves", |pair| {
            pair.link(active, "up");
            pair.until_settled();
            assert_eq!(pair.active(), 1 - active);
        });
    });
}

/// Frozen for shorter and longer than the dead time and the lease, either node.
#[test]
fn stall() {
    in_pair_with("Stall", r#""lease_ms":2000,"#, |pair| {
        pair.start_both();
        for (milliseconds, whom) in [(150, 0), (150, 1), (600, 1), (600, 0), (2800, 0), (2800, 1)] {
            let active = pair.active();
            let node = if whom == 0 { active } else { 1 - active };
            let role = ["the active one", "the stand-by"][whom];
            pair.audited(&format!("{role} frozen for {milliseconds} ms"), |pair| {
                pair.signal(node, Signal::SIGSTOP);
                pair.sleeps(Duration::from_millis(milliseconds));
                pair.signal(node, Signal::SIGCONT);
                pair.until_settled();
            });
            if whom == 1 || milliseconds < 700 {
                assert_eq!(pair.active(), active, "its kernel went on answering");
            }
        }
    });
}

/// With both cables pulled and a witness: the node that reaches it serves, and nobody else.
#[test]
fn split_brain_with_a_witness() {
    in_pair_with("Split_brain, witness", r#""witness":{"address":"10.9.0.9"},"#, |pair| {
        pair.start_both();
        pair.audited("all paths cut, the witness is with node 0", |pair| {
            (0..3).for_each(|path| pair.cut(path));
            pair.until_active(0);
            pair.until("the other one does not serve", |pair| !pair.owners()[1]);
        });
        let began = Instant::now();
        pair.audited("healed", |pair| {
            (0..3).for_each(|path| pair.heal(path));
            pair.until_settled();
        });
        println!("Split_brain, witness: settled {:.0?} after the heal", began.elapsed());
        assert_eq!(pair.active(), 0);
    });
}
