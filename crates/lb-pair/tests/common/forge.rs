//! Attempts to become a peer without the code: used by a test for a slice and by `examples/forge.rs` for a million.

use super::common::{Numbers, code, seconds, seed, unit};
use lb_pair::{Call, Card, Code, Failure, Offer, Output, Wait, pairing::WRONG_TRIES};

/// What came of the attempts.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub attempts: u64,
    pub paired: u64,
    pub wrong_code: u64,
    pub malformed: u64,
    pub spent: u64,
    pub other: u64,
    /// What the offers counted themselves.
    pub counted: u64,
    pub offers: u64,
}

/// One honest pairing, as somebody who listens has it: what the caller sent.
fn overheard(caller: &Card, waiter: &Card, right: &Code) -> Vec<Vec<u8>> {
    let now = seconds(0);
    let mut offer = Offer::new(right.clone(), now);
    let mut wait = Wait::new(waiter.clone(), seed(901), now);
    let (mut call, start) = Call::new(right, caller.clone(), seed(902), now);
    let mut sent = vec![start];
    while let Some(message) = sent.last().cloned() {
        let Some(Output::Send(answer)) =
            wait.step(&mut offer, &message, now).into_iter().find(|o| matches!(o, Output::Send(_)))
        else {
            break;
        };
        match call.step(&answer, now).into_iter().next() {
            Some(Output::Send(next)) => sent.push(next),
            _ => break,
        }
    }
    assert_eq!(sent.len(), 3, "start, proof, card");
    sent
}

/// Makes `count` attempts against offers that are renewed when they are spent.
pub fn attack(first_seed: u64, count: u64) -> Tally {
    let (waiter, caller) = (unit("slave").card, unit("mallory").card);
    let right = code("31415926");
    let now = seconds(1);
    let recorded = overheard(&caller, &waiter, &right);
    let mut numbers = Numbers(first_seed);
    let mut tally = Tally::default();
    let mut offer = Offer::new(right.clone(), now);
    tally.offers += 1;
    for attempt in 0..count {
        tally.attempts += 1;
        // Now and then somebody goes on after the offer is spent, and must be refused for that alone.
        if offer.wrong() >= WRONG_TRIES && numbers.below(4) > 0 {
            tally.counted += offer.refused();
            offer = Offer::new(right.clone(), now);
            tally.offers += 1;
        }
        let mut wait = Wait::new(waiter.clone(), seed(numbers.next()), now);
        let mut failure = None;
        let mut take = |outputs: Vec<Output>, answers: &mut Vec<Vec<u8>>| {
            for output in outputs {
                match output {
                    Output::Send(bytes) => answers.push(bytes),
                    Output::Failed(why) => failure = Some(why),
                    Output::Paired(_) => tally.paired += 1,
                }
            }
        };
        let mut answers = Vec::new();
        match numbers.below(16) {
            // A guess, with a caller that keeps to the protocol.
            0 => {
                let mut guess = Code::from_random(numbers.next().to_be_bytes());
                if guess == right {
                    guess = code("00000000");
                }
                let (mut call, start) = Call::new(&guess, caller.clone(), seed(numbers.next()), now);
                take(wait.step(&mut offer, &start, now), &mut answers);
                let sent: Vec<_> = answers.iter().flat_map(|answer| call.step(answer, now)).collect();
                for output in sent {
                    if let Output::Send(proof) = output {
                        take(wait.step(&mut offer, &proof, now), &mut answers);
                    }
                }
            }
            // The cable's missing code, on the network.
            1 => {
                let (mut call, start) = Call::new(&Code::Cable, caller.clone(), seed(numbers.next()), now);
                take(wait.step(&mut offer, &start, now), &mut answers);
                let sent: Vec<_> = answers.iter().flat_map(|answer| call.step(answer, now)).collect();
                for output in sent {
                    if let Output::Send(proof) = output {
                        take(wait.step(&mut offer, &proof, now), &mut answers);
                    }
                }
            }
            // All that was overheard, played again, perhaps with messages left out.
            2 => {
                for message in &recorded {
                    if numbers.below(8) > 0 {
                        take(wait.step(&mut offer, message, now), &mut answers);
                    }
                }
            }
            // One bit of it changed, or cut.
            3..=8 => {
                let mut message = recorded[numbers.below(recorded.len())].clone();
                if numbers.below(2) == 0 {
                    let at = numbers.below(message.len());
                    message[at] ^= 1 << numbers.below(8);
                } else {
                    message.truncate(numbers.below(message.len()));
                }
                take(wait.step(&mut offer, &message, now), &mut answers);
                let junk = numbers.bytes(36);
                take(wait.step(&mut offer, &[b"SP\x01\x03", &junk[..32]].concat(), now), &mut answers);
            }
            // Noise, with and without a head.
            9..=14 => {
                let length = numbers.below(200);
                let mut noise = numbers.bytes(length);
                if numbers.below(2) == 0 {
                    noise.splice(0..noise.len().min(4), [b'S', b'P', 1, numbers.below(9) as u8]);
                }
                take(wait.step(&mut offer, &noise, now), &mut answers);
            }
            // Longer than any message.
            _ => {
                let mut long = vec![0; lb_pair::pairing::MAX_MESSAGE + 1 + numbers.below(1000)];
                long[..4].copy_from_slice(b"SP\x01\x05");
                take(wait.step(&mut offer, &long, now), &mut answers);
            }
        }
        // Who stays silent now is thrown out by time.
        take(wait.tick(&mut offer, now + lb_pair::pairing::PATIENCE), &mut answers);
        match failure {
            Some(Failure::WrongCode) => tally.wrong_code += 1,
            Some(Failure::Spent) => tally.spent += 1,
            Some(Failure::NotOurs | Failure::OutOfPlace | Failure::Version { .. }) => tally.malformed += 1,
            Some(_) => tally.other += 1,
            None => panic!("attempt {attempt} of seed {first_seed} was neither refused nor counted"),
        }
        assert!(offer.wrong() <= WRONG_TRIES, "no try after the fifth");
    }
    tally.counted += offer.refused();
    tally
}
