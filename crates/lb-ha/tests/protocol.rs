//! The bytes: `docs/heartbeat-protocol.md` is read and believed, and nothing else is.

use lb_ha::frame::{Lane, Lanes};
use lb_ha::sim::Random;
use lb_ha::{
    Codec, Event, Frame, Key, Node, NodeId, Path, Rank, Refused, Settings, Start, State, Time, Word, codec, serial,
};
use proptest::prelude::*;

fn key(id: u8, first: u8) -> Key {
    let mut secret = [0; 32];
    (first..).zip(&mut secret).for_each(|(n, byte)| *byte = n);
    Key { id, secret: secret.into() }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .chunks(16)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ") + "\n")
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("two hex digits")).collect()
}

fn frame() -> Frame {
    let word = Word {
        state: State::Active,
        holds: true,
        fit: true,
        hot: true,
        maintenance: false,
        leaving: false,
        taking: false,
        asks: false,
        hears: true,
        pings: 2,
        epoch: 3,
        rank: Rank { epoch: 3, merit: 2 },
        claim: 0,
        grant: 0,
        deadtime_ms: 400,
    };
    let mut lanes = Lanes::default();
    lanes.push(Lane { path: 0, sent: 60, echo: 41, age: 120 });
    lanes.push(Lane { path: 1, sent: 61, echo: 0, age: Lane::NEVER });
    Frame {
        from: NodeId::One,
        boot: 7,
        seq: 61,
        nonce: 0x0102_0304_0506_0708,
        echo: 0x1112_1314_1516_1718,
        word,
        lanes,
    }
}

/// The fenced blocks of the document in order, with their language.
fn blocks(text: &str) -> Vec<(&str, String)> {
    let (mut found, mut open) = (Vec::new(), None::<(&str, String)>);
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language, String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some((_, body)), None) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

#[test]
fn the_documents_examples_are_what_goes_over_the_wire() {
    let document = include_str!("../../../docs/heartbeat-protocol.md");
    let codec = Codec::new(&key(1, 0), None);
    let mut frames = 0;
    let mut sealed = Vec::new();
    let mut meant = None;
    for (language, body) in blocks(document) {
        match language {
            "json" => meant = Some(serde_json::from_str::<Frame>(&body).expect("an example is a frame")),
            "hex" => {
                let meant: Frame = meant.take().expect("each hex follows its json");
                sealed = codec.seal(&meant);
                assert_eq!(body, hex(&sealed));
                assert_eq!(codec.open(&unhex(&body)), Ok(meant));
                frames += 1;
            }
            "hex serial" => assert_eq!(body, hex(&serial::encode(&sealed)), "the last frame on a serial line"),
            _ => {}
        }
    }
    assert_eq!(frames, 3, "the document has three examples");
}

/// Prints what the document's examples should be: `cargo test -p lb-ha --test protocol -- --ignored --nocapture`.
#[test]
#[ignore = "writes the examples, tests nothing"]
fn print_the_examples() {
    let codec = Codec::new(&key(1, 0), None);
    let idle = Word {
        state: State::Starting,
        holds: false,
        fit: false,
        hot: false,
        hears: false,
        pings: 0,
        epoch: 0,
        rank: Rank::default(),
        ..frame().word
    };
    let mut lanes = Lanes::default();
    lanes.push(Lane { path: 0, sent: 1, echo: 0, age: Lane::NEVER });
    let hello = Frame { from: NodeId::Two, boot: 12, seq: 1, nonce: 0x1112_1314_1516_1718, echo: 0, word: idle, lanes };
    let grant =
        Word { state: State::Standby, holds: false, fit: true, hears: true, epoch: 3, grant: 0x000c_0001, ..idle };
    let granting = Frame { seq: 62, word: grant, ..frame() };
    for (title, frame) in [
        ("Node two has just started. Its daemon's predecessor left nothing, and it has heard nobody.", hello),
        ("Node one serves. Node two is heard on path 0 only.", frame()),
        ("Node one has let go and grants claim 0x000c0001.", granting),
    ] {
        let json = serde_json::to_string(&frame)
            .unwrap()
            .replace(",\"word\"", ",\n\"word\"")
            .replace(",\"lanes\"", ",\n\"lanes\"");
        println!("{title}\n\n```json\n{json}\n```\n```hex\n{}```\n", hex(&codec.seal(&frame)));
    }
    println!("The last one on a serial line:\n\n```hex serial\n{}```", hex(&serial::encode(&codec.seal(&granting))));
}

#[test]
fn keys_rotate_without_a_refused_frame() {
    let (old, new) = (key(1, 0), key(2, 100));
    let stages =
        [Codec::new(&old, None), Codec::new(&old, Some(&new)), Codec::new(&new, Some(&old)), Codec::new(&new, None)];
    for pair in stages.windows(2) {
        assert_eq!(pair[0].open(&pair[1].seal(&frame())), Ok(frame()));
        assert_eq!(pair[1].open(&pair[0].seal(&frame())), Ok(frame()));
    }
    assert_eq!(stages[3].open(&stages[0].seal(&frame())), Err(Refused::UnknownKey));
    let impostor = Codec::new(&key(1, 9), None);
    assert_eq!(stages[0].open(&impostor.seal(&frame())), Err(Refused::Forged));
    assert_eq!(format!("{old:?} {:?}", stages[1]), "Key { id: 1, secret: .. } [1, 2]", "secrets are not printed");
}

#[test]
fn a_change_of_any_bit_and_any_cut_is_refused() {
    let codec = Codec::new(&key(1, 0), None);
    let sealed = codec.seal(&frame());
    for bit in 0..sealed.len() * 8 {
        let mut bytes = sealed.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(codec.open(&bytes).is_err(), "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert!(codec.open(&sealed[..length]).is_err(), "{length} bytes");
    }
    let longer = [sealed.as_slice(), &[0]].concat();
    assert!(codec.open(&longer).is_err());
}

#[test]
fn a_serial_line_finds_frames_again_after_garbage_and_cuts() {
    let codec = Codec::new(&key(1, 0), None);
    let sealed = codec.seal(&frame());
    let line = serial::encode(&sealed);
    assert!(line.len() <= serial::MAX_ON_LINE);
    let mut random = Random::new(3);
    for _ in 0..2000 {
        let mut decoder = serial::Decoder::default();
        let noise: Vec<u8> = (0..random.between(0, 300)).map(|_| random.bits() as u8).collect();
        let cut = random.between(0, line.len() as u64) as usize;
        let bytes = [noise.as_slice(), &line[cut..], &line].concat();
        let mut good = 0;
        // As a line delivers them: in pieces.
        for piece in bytes.chunks(random.between(1, 40) as usize) {
            decoder.push(piece, |found| good += usize::from(codec.open(found) == Ok(frame())));
        }
        assert!(good >= 1, "the whole frame after the noise is found");
    }
}

/// A node that serves, and what it would say.
fn owner() -> (Node, Time) {
    let paths = vec![Path { name: "eth0".into(), min_interval_ms: 0 }];
    let settings = Settings { paths, ..Settings::default() };
    let (mut now, mut out) = (Time(0), Vec::new());
    let mut node = Node::start(Start { me: NodeId::One, boot: 1, nonce: 99, settings, at: now }, &mut out).unwrap();
    node.handle(Event::Hands(lb_ha::Hands::Released), now, &mut out);
    node.handle(Event::Fitness { reasons: Vec::new() }, now, &mut out);
    while node.core().state() != State::Active {
        now = node.deadline();
        node.handle(Event::Timer, now, &mut out);
        node.handle(Event::Probe(lb_ha::Probe::Free), now, &mut out);
        if node.core().state() == State::Acquiring {
            node.handle(Event::Hands(lb_ha::Hands::Acquired), now, &mut out);
        }
    }
    (node, now)
}

#[test]
fn forged_frames_by_the_hundred_thousand_move_nothing() {
    let (mut node, now) = owner();
    let codec = Codec::new(&key(1, 0), None);
    let sealed = codec.seal(&frame());
    let before = node.core().clone();
    let (mut random, mut out, mut refused) = (Random::new(8), Vec::new(), 0);
    for _ in 0..100_000 {
        let mut bytes = sealed.clone();
        match random.between(0, 3) {
            0 => bytes.truncate(random.between(0, bytes.len() as u64) as usize),
            1 => bytes.iter_mut().for_each(|byte| *byte = random.bits() as u8),
            _ => {
                for _ in 0..random.between(1, 8) {
                    let at = random.between(0, bytes.len() as u64 - 1) as usize;
                    bytes[at] = random.bits() as u8;
                }
            }
        }
        match codec.open(&bytes) {
            Ok(_) => assert_eq!(bytes, sealed, "only the very frame opens"),
            Err(why) => {
                refused += 1;
                node.handle(Event::Refused { path: 0, why }, now, &mut out);
            }
        }
    }
    assert_eq!(node.core(), &before, "nothing moved");
    assert_eq!(node.counters().refused, refused);
    assert!(out.is_empty() && refused > 99_000);
}

#[test]
fn whatever_an_authentic_peer_says_nothing_panics() {
    let mut random = Random::new(17);
    let codec = Codec::new(&key(1, 0), None);
    for round in 0..200 {
        let (mut node, mut now) = owner();
        let mut out = Vec::new();
        for seq in 1..100 {
            let mut plain = codec.seal(&frame());
            plain.truncate(plain.len() - codec::TAG);
            // State, flags, merit, numbers: any, but of the peer and live.
            plain[6..38].iter_mut().for_each(|byte| *byte = random.bits() as u8);
            plain[6] %= 9;
            plain[9] %= 4;
            let word = reseal(&codec, &plain).map(|frame| frame.word);
            let Some(word) = word else { continue };
            let frame = Frame { from: NodeId::Two, boot: 1, seq, nonce: 5, echo: 99, word, lanes: frame().lanes };
            node.handle(Event::Frame { path: random.between(0, 9) as u8, frame }, now, &mut out);
            now = now.plus(random.between(0, 200_000));
            node.handle(Event::Timer, now, &mut out);
        }
        assert!(node.status(now).frames.new > 50, "round {round}: the frames were believed");
    }
}

/// A frame with these contents, if they make one: sealed by writing them through a frame.
fn reseal(codec: &Codec, plain: &[u8]) -> Option<Frame> {
    use hmac::{Hmac, KeyInit, Mac};
    let mac = Hmac::<sha2::Sha256>::new_from_slice(&key(1, 0).secret[..]).ok()?;
    let tag = mac.chain_update(plain).finalize().into_bytes();
    codec.open(&[plain, &tag[..codec::TAG]].concat()).ok()
}

proptest! {
    #[test]
    fn stuffing_is_undone(frame in proptest::collection::vec(any::<u8>(), 1..codec::MAX_FRAME)) {
        let mut found = Vec::new();
        serial::Decoder::default().push(&serial::encode(&frame), |bytes| found.push(bytes.to_vec()));
        prop_assert_eq!(found, vec![frame]);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Codec::new(&key(1, 0), None).open(&bytes).is_err());
        serial::Decoder::default().push(&bytes, |_| {});
    }
}
