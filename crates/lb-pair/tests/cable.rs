//! Two machines over a serial line that loses and garbles bytes.

mod common;

use common::{Numbers, seed, unit};
use lb_pair::{
    Call, Code, Offer, Output, Paired, Wait,
    cable::{Act, Cable, PIECE, TRIES},
    pairing::MAX_MESSAGE,
};
use proptest::prelude::*;
use std::{collections::VecDeque, time::Duration};

const BAUD: u32 = 115_200;

/// Both directions of a line, in steps of a millisecond.
struct Line {
    numbers: Numbers,
    /// Of a thousand bytes, how many are lost, and how many are garbled.
    lost: usize,
    garbled: usize,
    ways: [VecDeque<u8>; 2],
}

impl Line {
    fn put(&mut self, way: usize, bytes: &[u8]) {
        for byte in bytes {
            match self.numbers.below(1000) {
                n if n < self.lost => {}
                n if n < self.lost + self.garbled => self.ways[way].push_back(self.numbers.next() as u8),
                _ => self.ways[way].push_back(*byte),
            }
        }
    }

    /// What arrives within a millisecond.
    fn take(&mut self, way: usize) -> Vec<u8> {
        let count = self.ways[way].len().min(BAUD as usize / 10_000);
        self.ways[way].drain(..count).collect()
    }
}

struct Pairing {
    caller: Option<Box<Paired>>,
    waiter: Option<Box<Paired>>,
    took: Duration,
    refused: u64,
}

/// Pairs two units over such a line; `caller_restarts_at`: then the caller begins anew.
fn pair(lost: usize, garbled: usize, line_seed: u64, caller_restarts_at: Option<u64>) -> Pairing {
    let (a, b) = (unit("master"), unit("slave"));
    let mut line = Line { numbers: Numbers(line_seed), lost, garbled, ways: Default::default() };
    let mut offer = Offer::new(Code::Cable, Duration::ZERO);
    let mut cables = [Cable::call(7, BAUD), Cable::wait(BAUD)];
    let (mut call, start) = Call::new(&Code::Cable, a.card.clone(), seed(1), Duration::ZERO);
    let mut wait = None;
    let mut done = Pairing { caller: None, waiter: None, took: Duration::ZERO, refused: 0 };
    // The line has been open for a while: whatever lies on it.
    let noise = line.numbers.bytes(300);
    line.put(0, &noise);
    line.put(1, &noise);
    let mut acts: [Vec<Act>; 2] = [cables[0].send(start, Duration::ZERO), Vec::new()];
    for millisecond in 0..60_000 {
        let now = Duration::from_millis(millisecond);
        if caller_restarts_at == Some(millisecond) {
            cables[0] = Cable::call(8, BAUD);
            let (again, start) = Call::new(&Code::Cable, a.card.clone(), seed(3), now);
            call = again;
            acts[0] = cables[0].send(start, now);
        }
        for side in 0..2 {
            let bytes = line.take(1 - side);
            acts[side].extend(cables[side].receive(&bytes, now));
            acts[side].extend(cables[side].tick(now));
            let mut todo: VecDeque<Act> = std::mem::take(&mut acts[side]).into();
            while let Some(act) = todo.pop_front() {
                let outputs = match act {
                    Act::Write(bytes) => {
                        line.put(side, &bytes);
                        continue;
                    }
                    Act::Opened => {
                        assert_eq!(side, 1);
                        wait = Some(Wait::new(b.card.clone(), seed(100 + millisecond), now));
                        continue;
                    }
                    Act::Broken => panic!("broken after {now:?}"),
                    Act::Message(message) if side == 0 => call.step(&message, now),
                    Act::Message(message) => wait.as_mut().unwrap().step(&mut offer, &message, now),
                };
                for output in outputs {
                    match output {
                        Output::Send(message) => todo.extend(cables[side].send(message, now)),
                        Output::Paired(paired) if side == 0 => done.caller = Some(paired),
                        Output::Paired(paired) => done.waiter = Some(paired),
                        Output::Failed(failure) => panic!("side {side}: {failure} after {now:?}"),
                    }
                }
            }
        }
        if done.caller.is_some() && done.waiter.is_some() {
            done.took = now;
            break;
        }
    }
    done.refused = cables.iter().map(Cable::refused).sum();
    done
}

fn agreed(done: &Pairing) -> bool {
    match (&done.caller, &done.waiter) {
        (Some(one), Some(two)) => one.heartbeat.secret == two.heartbeat.secret,
        _ => false,
    }
}

#[test]
fn a_good_line_pairs_within_half_a_second() {
    let done = pair(0, 0, 1, None);
    assert!(agreed(&done) && done.took < Duration::from_millis(500), "{:?}", done.took);
}

/// The last byte of every message lost once would end a protocol without repetition.
#[test]
fn lost_and_garbled_bytes_only_take_time() {
    for line_seed in 0..8 {
        let done = pair(5, 5, line_seed, None);
        assert!(agreed(&done), "seed {line_seed}: {:?}", done.took);
        assert!(done.refused > 0, "the line was bad");
    }
}

#[test]
fn a_caller_that_begins_anew_is_a_new_attempt() {
    let done = pair(0, 0, 3, Some(40));
    assert!(agreed(&done) && done.took > Duration::from_millis(40));
}

#[test]
fn a_line_without_anybody_is_given_up() {
    let mut cable = Cable::call(1, BAUD);
    let mut written = usize::from(!cable.send(vec![1], Duration::ZERO).is_empty());
    let given_up = loop {
        let now = cable.deadline().unwrap();
        match &cable.tick(now)[..] {
            [Act::Write(_)] => written += 1,
            [Act::Broken] => break now,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(written, TRIES as usize);
    assert!(cable.deadline().is_none() && cable.idle());
    assert!((Duration::from_secs(1)..Duration::from_secs(20)).contains(&given_up), "{given_up:?}");
}

#[test]
fn messages_of_every_length_arrive_whole() {
    let mut sides = [Cable::call(1, BAUD), Cable::wait(BAUD)];
    for length in [1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 256 * PIECE / 2 + 5, MAX_MESSAGE] {
        for from in 0..2 {
            let message: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut got = None;
            let mut queue: VecDeque<(usize, Act)> = Default::default();
            queue.extend(sides[from].send(message.clone(), Duration::ZERO).into_iter().map(|act| (from, act)));
            while let Some((side, act)) = queue.pop_front() {
                match act {
                    Act::Write(bytes) => {
                        queue.extend(
                            sides[1 - side].receive(&bytes, Duration::ZERO).into_iter().map(|act| (1 - side, act)),
                        );
                    }
                    Act::Message(message) => {
                        assert_eq!(side, 1 - from);
                        got = Some(message);
                    }
                    Act::Opened => assert_eq!(side, 1),
                    Act::Broken => panic!(),
                }
            }
            assert_eq!(got, Some(message), "{length} bytes from {from}");
            assert!(sides[0].idle() && sides[1].idle());
        }
    }
}

#[test]
fn what_cannot_be_sent_is_dropped() {
    let mut cable = Cable::wait(BAUD);
    assert!(cable.send(vec![1], Duration::ZERO).is_empty(), "nobody has called");
    let mut cable = Cable::call(1, BAUD);
    assert!(cable.send(vec![0; MAX_MESSAGE + 1], Duration::ZERO).is_empty());
    assert!(cable.send(Vec::new(), Duration::ZERO).is_empty());
    for _ in 0..100 {
        cable.send(vec![0; MAX_MESSAGE], Duration::ZERO);
    }
    assert!(format!("{cable:?}").len() < 6 * MAX_MESSAGE * 3, "the queue is bounded");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_bring_no_message(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        for mut cable in [Cable::call(1, BAUD), Cable::wait(BAUD)] {
            prop_assert!(cable.receive(&bytes, Duration::ZERO).is_empty());
        }
    }
}
