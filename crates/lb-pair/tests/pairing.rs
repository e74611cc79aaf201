//! Two units become a pair, or do not and say why.

mod common;
#[path = "common/forge.rs"]
mod forge;

use common::{Unit, code, seconds, seed, unit};
use lb_ha::NodeId;
use lb_pair::{
    Call, Code, Failure, Offer, Output, Paired, Peer, Wait,
    pairing::{PATIENCE, VALID, WRONG_TRIES},
    peer_file,
};
use proptest::prelude::*;
use std::time::Duration;

/// Both machines until nothing is said any more; `change` may touch every message, numbered from 1.
struct Run {
    caller: Vec<Output>,
    waiter: Vec<Output>,
}

fn run(
    call_code: &Code,
    offer: &mut Offer,
    a: &Unit,
    b: &Unit,
    now: Duration,
    change: impl FnMut(usize, &mut Vec<u8>),
) -> Run {
    run_seeded(call_code, offer, a, b, now, (1, 2), change)
}

fn run_seeded(
    call_code: &Code,
    offer: &mut Offer,
    a: &Unit,
    b: &Unit,
    now: Duration,
    seeds: (u64, u64),
    mut change: impl FnMut(usize, &mut Vec<u8>),
) -> Run {
    let (mut call, start) = Call::new(call_code, a.card.clone(), seed(seeds.0), now);
    let mut wait = Wait::new(b.card.clone(), seed(seeds.1), now);
    let mut run = Run { caller: Vec::new(), waiter: Vec::new() };
    let (mut to_waiter, mut to_caller) = (vec![start], Vec::new());
    let mut number = 0;
    while !to_waiter.is_empty() || !to_caller.is_empty() {
        for mut message in std::mem::take(&mut to_waiter) {
            number += 1;
            change(number, &mut message);
            for output in wait.step(offer, &message, now) {
                if let Output::Send(bytes) = &output {
                    to_caller.push(bytes.clone());
                }
                run.waiter.push(output);
            }
        }
        for mut message in std::mem::take(&mut to_caller) {
            number += 1;
            change(number, &mut message);
            for output in call.step(&message, now) {
                if let Output::Send(bytes) = &output {
                    to_waiter.push(bytes.clone());
                }
                run.caller.push(output);
            }
        }
    }
    run
}

fn paired(outputs: &[Output]) -> Option<&Paired> {
    outputs.iter().find_map(|output| match output {
        Output::Paired(paired) => Some(&**paired),
        _ => None,
    })
}

fn failed(outputs: &[Output]) -> Option<&Failure> {
    outputs.iter().find_map(|output| match output {
        Output::Failed(failure) => Some(failure),
        _ => None,
    })
}

fn untouched(_: usize, _: &mut Vec<u8>) {}

#[test]
fn the_same_code_makes_a_pair() {
    let (a, b) = (unit("master"), unit("slave"));
    for (ours, theirs) in [(code("1234 5678"), code("12345678")), (Code::Cable, Code::Cable)] {
        let mut offer = Offer::new(theirs, seconds(0));
        let run = run(&ours, &mut offer, &a, &b, seconds(9), untouched);
        let (one, two) = (paired(&run.caller).unwrap(), paired(&run.waiter).unwrap());
        assert_eq!((one.unit, two.unit), (NodeId::One, NodeId::Two));
        assert_eq!((&one.peer, &two.peer), (&b.card, &a.card));
        assert_eq!(one.heartbeat.secret, two.heartbeat.secret);
        assert_eq!(one.heartbeat.id, two.heartbeat.id);
        assert_ne!(*one.heartbeat.secret, [0; 32]);
        // Kept before the other side is told so.
        assert!(matches!(run.waiter[..], [_, _, Output::Paired(_), Output::Send(_)]));
        assert_eq!((offer.refused(), offer.over(seconds(9))), (0, Some(Failure::NotWaiting)));
    }
}

#[test]
fn every_pairing_has_keys_of_its_own() {
    let (a, b) = (unit("master"), unit("slave"));
    let key = |seeds| {
        let mut offer = Offer::new(Code::Cable, seconds(0));
        let run = run_seeded(&Code::Cable, &mut offer, &a, &b, seconds(0), seeds, untouched);
        paired(&run.caller).unwrap().heartbeat.secret.clone()
    };
    assert_eq!(key((1, 2)), key((1, 2)), "randomness is an argument");
    assert_ne!(key((1, 2)), key((3, 2)));
    assert_ne!(key((1, 2)), key((1, 3)));
}

#[test]
fn five_wrong_codes_end_the_offer() {
    let (a, b) = (unit("master"), unit("slave"));
    let mut offer = Offer::new(code("12345678"), seconds(0));
    for n in 1..=WRONG_TRIES {
        assert_eq!(offer.over(seconds(1)), None);
        let run = run(&code("12345679"), &mut offer, &a, &b, seconds(1), untouched);
        assert_eq!((failed(&run.waiter), failed(&run.caller)), (Some(&Failure::WrongCode), Some(&Failure::WrongCode)));
        assert!(paired(&run.waiter).is_none() && paired(&run.caller).is_none());
        assert_eq!((offer.wrong(), offer.refused()), (n, u64::from(n)));
    }
    let run = run(&code("12345678"), &mut offer, &a, &b, seconds(1), untouched);
    assert_eq!((failed(&run.waiter), failed(&run.caller)), (Some(&Failure::Spent), Some(&Failure::Spent)));
    assert_eq!((offer.wrong(), offer.refused()), (WRONG_TRIES, 6));
}

/// Attempts that were begun before the fifth wrong try must not be worth more tries.
#[test]
fn attempts_side_by_side_share_the_tries() {
    let (a, b) = (unit("master"), unit("slave"));
    let mut offer = Offer::new(code("12345678"), seconds(0));
    let mut attempts: Vec<_> = (0..20)
        .map(|n| {
            let (call, start) = Call::new(&code("00000000"), a.card.clone(), seed(n), seconds(0));
            (call, Wait::new(b.card.clone(), seed(100 + n), seconds(0)), start)
        })
        .collect();
    let mut proofs = Vec::new();
    for (call, wait, start) in &mut attempts {
        for output in wait.step(&mut offer, start, seconds(1)) {
            let Output::Send(answer) = output else { panic!("{output:?}") };
            proofs.extend(call.step(&answer, seconds(1)));
        }
    }
    let mut refused = Vec::new();
    for ((_, wait, _), proof) in attempts.iter_mut().zip(&proofs) {
        let Output::Send(proof) = proof else { panic!("{proof:?}") };
        refused.extend(wait.step(&mut offer, proof, seconds(1)));
    }
    let wrong = refused.iter().filter(|o| matches!(o, Output::Failed(Failure::WrongCode))).count();
    let spent = refused.iter().filter(|o| matches!(o, Output::Failed(Failure::Spent))).count();
    assert_eq!((wrong, spent), (5, 15));
}

#[test]
fn a_code_ends_after_ten_minutes() {
    let (a, b) = (unit("master"), unit("slave"));
    let mut offer = Offer::new(code("12345678"), seconds(100));
    let last = seconds(100) + VALID - Duration::from_nanos(1);
    assert!(paired(&run(&code("12345678"), &mut offer, &a, &b, last, untouched).caller).is_some());
    let mut offer = Offer::new(code("12345678"), seconds(100));
    let run = run(&code("12345678"), &mut offer, &a, &b, seconds(100) + VALID, untouched);
    assert_eq!(failed(&run.caller), Some(&Failure::Expired));
}

#[test]
fn a_code_does_not_open_the_cable_nor_the_cable_a_code() {
    let (a, b) = (unit("master"), unit("slave"));
    for (ours, theirs) in [(Code::Cable, code("12345678")), (code("12345678"), Code::Cable)] {
        let mut offer = Offer::new(theirs, seconds(0));
        let run = run(&ours, &mut offer, &a, &b, seconds(0), untouched);
        assert_eq!(failed(&run.caller), Some(&Failure::WrongCode));
        assert!(paired(&run.waiter).is_none());
    }
}

#[test]
fn a_unit_does_not_pair_with_itself() {
    let a = unit("master");
    let mut offer = Offer::new(Code::Cable, seconds(0));
    let run = run(&Code::Cable, &mut offer, &a, &a, seconds(0), untouched);
    assert_eq!(failed(&run.caller), Some(&Failure::Myself));
    assert!(paired(&run.waiter).is_none() && paired(&run.caller).is_none());
}

/// A caller's own messages sent back to it, as by a plug with both pins joined.
#[test]
fn an_echo_is_no_peer() {
    let a = unit("master");
    let (mut call, start) = Call::new(&Code::Cable, a.card.clone(), seed(1), seconds(0));
    assert!(matches!(call.step(&start, seconds(0))[..], [Output::Send(_), Output::Failed(Failure::OutOfPlace)]));
    // And not either when the kind is changed to the one that is expected.
    let (mut call, mut start) = Call::new(&Code::Cable, a.card.clone(), seed(1), seconds(0));
    start[3] = 2;
    assert!(matches!(call.step(&start, seconds(0))[..], [Output::Send(_), Output::Failed(Failure::OutOfPlace)]));
}

#[test]
fn silence_ends_an_attempt() {
    let (a, b) = (unit("master"), unit("slave"));
    let mut offer = Offer::new(Code::Cable, seconds(0));
    let (mut call, start) = Call::new(&Code::Cable, a.card.clone(), seed(1), seconds(0));
    let mut wait = Wait::new(b.card.clone(), seed(2), seconds(0));
    wait.step(&mut offer, &start, seconds(1));
    assert!(call.tick(seconds(59)).is_empty() && wait.tick(&mut offer, seconds(59)).is_empty());
    assert_eq!(call.deadline(), Some(PATIENCE));
    assert!(matches!(call.tick(PATIENCE)[..], [Output::Send(_), Output::Failed(Failure::TooSlow)]));
    assert!(matches!(wait.tick(&mut offer, PATIENCE)[..], [Output::Send(_), Output::Failed(Failure::TooSlow)]));
    assert!(call.tick(seconds(99)).is_empty() && call.deadline().is_none());
    assert!(call.step(&start, seconds(99)).is_empty() && wait.step(&mut offer, &start, seconds(99)).is_empty());
    assert_eq!(offer.refused(), 1);
}

#[test]
fn another_version_is_named() {
    let (a, b) = (unit("master"), unit("slave"));
    let mut offer = Offer::new(Code::Cable, seconds(0));
    let run = run(&Code::Cable, &mut offer, &a, &b, seconds(0), |_, message| message[2] = 2);
    assert_eq!(failed(&run.waiter), Some(&Failure::Version { theirs: 2 }));
    assert_eq!(failed(&run.caller), Some(&Failure::Version { theirs: 2 }));
    assert!(failed(&run.caller).unwrap().to_string().contains("version 2"));
}

#[test]
fn what_the_other_unit_says_does_not_count_as_a_try() {
    let b = unit("slave");
    let mut offer = Offer::new(code("12345678"), seconds(0));
    for _ in 0..20 {
        let mut wait = Wait::new(b.card.clone(), seed(2), seconds(0));
        wait.step(&mut offer, b"SP\x01\x07\x01", seconds(0));
        assert!(wait.over());
    }
    assert_eq!((offer.wrong(), offer.refused()), (0, 20));
}

/// Whatever is changed on the way, nobody ends up with a peer that the other unit does not have in the same way; and a
/// change before the end makes no pair at all.
#[test]
fn any_changed_byte_is_noticed() {
    let (a, b) = (unit("master"), unit("slave"));
    let mut lengths = Vec::new();
    let mut offer = Offer::new(Code::Cable, seconds(0));
    run(&Code::Cable, &mut offer, &a, &b, seconds(0), |_, message| lengths.push(message.len()));
    assert_eq!(lengths.len(), 6);
    for (number, length) in (1..).zip(&lengths) {
        for at in (0..*length).step_by(if *length > 100 { 17 } else { 3 }) {
            let mut offer = Offer::new(Code::Cable, seconds(0));
            let run = run(&Code::Cable, &mut offer, &a, &b, seconds(0), |n, message| {
                if n == number {
                    message[at] ^= 0x10;
                }
            });
            assert!(paired(&run.caller).is_none(), "byte {at} of message {number}");
            // The last message is the answer to a pair that the waiter has already kept.
            assert_eq!(paired(&run.waiter).is_some(), number == 6, "byte {at} of message {number}");
        }
    }
}

#[test]
fn a_slice_of_the_million_forgeries() {
    let tally = forge::attack(7, 1_500);
    assert_eq!((tally.paired, tally.counted, tally.attempts), (0, 1_500, 1_500), "{tally:?}");
    assert!(tally.wrong_code > 50 && tally.malformed > 500 && tally.spent > 5 && tally.offers > 10, "{tally:?}");
}

#[test]
fn what_was_agreed_is_kept_and_forgotten() {
    let (a, b) = (unit("master"), unit("slave"));
    let mut offer = Offer::new(Code::Cable, seconds(0));
    let run = run(&Code::Cable, &mut offer, &a, &b, seconds(0), untouched);
    let agreed = paired(&run.caller).unwrap();
    let dir = a.dir.path();
    assert_eq!(Peer::open(dir).unwrap(), None);
    let kept = Peer::keep(dir, agreed, 1_700_000_000).unwrap();
    assert_eq!(Peer::open(dir).unwrap(), Some(kept.clone()));
    assert_eq!((kept.unit, kept.paired_at, &kept.card), (NodeId::One, 1_700_000_000, &b.card));
    let keys = std::fs::read_to_string(dir.join(peer_file::KEYS)).unwrap();
    let hex: String = agreed.heartbeat.secret.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(keys, format!("seal 1 {hex}\n"));
    for file in [peer_file::FILE, peer_file::KEYS] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(dir.join(file)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    peer_file::forget(dir).unwrap();
    assert_eq!(Peer::open(dir).unwrap(), None);
    assert!(!dir.join(peer_file::KEYS).exists());
    peer_file::forget(dir).unwrap();
    peer_file::forget(&dir.join("never made")).unwrap();
}

#[test]
fn a_damaged_peer_file_is_not_no_peer() {
    let (a, b) = (unit("master"), unit("slave"));
    let mut offer = Offer::new(Code::Cable, seconds(0));
    let run = run(&Code::Cable, &mut offer, &a, &b, seconds(0), untouched);
    Peer::keep(a.dir.path(), paired(&run.caller).unwrap(), 1).unwrap();
    let file = a.dir.path().join(peer_file::FILE);
    let good = std::fs::read_to_string(&file).unwrap();
    for bad in [
        String::new(),
        good[..good.len() / 2].to_owned(),
        good.replace("\"form\": 1", "\"form\": 2"),
        good.replace("\"unit\"", "\"more\": 1, \"unit\""),
        good.replace("MI", "!!"),
        "x".repeat(100_000),
    ] {
        std::fs::write(&file, &bad).unwrap();
        assert!(matches!(Peer::open(a.dir.path()), Err(lb_pair::peer_file::PeerError::Damaged(_))), "{bad}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let (a, b) = (unit("master"), unit("slave"));
    let mut offer = Offer::new(code("12345678"), seconds(0));
    let printed = format!("{offer:?}");
    assert!(!printed.contains("1234"), "{printed}");
    let run = run(&code("12345678"), &mut offer, &a, &b, seconds(0), untouched);
    let agreed = paired(&run.caller).unwrap();
    let printed = format!("{agreed:?}");
    assert!(printed.contains("secret: .."), "{printed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_messages_never_panic_and_never_pair(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..6), heads in any::<[u8; 6]>()) {
        thread_local!(static UNITS: (Unit, Unit) = (unit("master"), unit("slave")));
        UNITS.with(|(a, b)| {
            let mut offer = Offer::new(Code::Cable, seconds(0));
            let mut wait = Wait::new(b.card.clone(), seed(2), seconds(0));
            let (mut call, _) = Call::new(&Code::Cable, a.card.clone(), seed(1), seconds(0));
            for (mut message, kind) in messages.into_iter().zip(heads) {
                if kind % 2 == 0 {
                    message.splice(0..0, [b'S', b'P', 1, kind / 2 % 9]);
                }
                let outputs: Vec<_> = wait.step(&mut offer, &message, seconds(0)).into_iter().chain(call.step(&message, seconds(0))).collect();
                assert!(paired(&outputs).is_none());
            }
        });
    }
}
