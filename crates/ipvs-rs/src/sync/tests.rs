use super::*;
use proptest::prelude::*;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn message(connection: &Connection) -> Message {
    let mut message = Message::new(7, 1472);
    assert_eq!(message.push(connection), Ok(true));
    message
}

#[test]
fn a_message_is_laid_out_as_the_kernel_reads_it() {
    let template = |client, virtual_server, destination| {
        Connection::template(6, address(client), address(virtual_server), address(destination), 1)
    };
    let v4 = message(&template("10.0.0.0:0", "10.0.0.21:80", "192.168.2.50:8080"));
    #[rustfmt::skip]
    let expected = [
        0, 7, 0, 44, 1, 1, 0, 0,
        0, 6, 0, 36,
        0, 0, 0x10, 0,
        0, 0, 0, 0, 0, 80, 0x1f, 0x90,
        0, 0, 0, 0,
        0, 0, 0, 1,
        10, 0, 0, 0, 10, 0, 0, 21, 192, 168, 2, 50,
    ];
    assert_eq!(v4.bytes(), expected);
    let v6 = message(&template("[fd00::]:0", "[fd00::1]:80", "[fd00::2]:80"));
    assert_eq!((v6.bytes().len(), &v6.bytes()[..4], &v6.bytes()[8..12]), (80, &[0, 7, 0, 80][..], &[1, 6, 0, 72][..]));
    let mixed = template("10.0.0.0:0", "10.0.0.21:80", "[fd00::2]:80");
    assert_eq!(Message::new(7, 1472).push(&mixed), Err(SyncError::MixedFamilies));
}

#[test]
fn a_full_message_takes_no_more() {
    let one = Connection::template(6, address("10.0.0.1:0"), address("10.0.0.21:80"), address("10.0.0.50:80"), 300);
    let mut message = Message::new(1, 1472);
    while message.push(&one) == Ok(true) {}
    assert_eq!((message.len(), message.bytes().len()), (40, 8 + 40 * 36));
    message.clear();
    assert!(message.is_empty() && message.bytes() == [0, 1, 0, 8, 0, 1, 0, 0]);
    // The number of entries is one byte.
    let mut message = Message::new(1, 65507);
    while message.push(&one) == Ok(true) {}
    assert_eq!(message.len(), 255);
    assert_eq!(Message::new(1, 40).push(&one), Err(SyncError::TooLong));
}

fn socket(v6: bool) -> BoxedStrategy<SocketAddr> {
    match v6 {
        false => any::<([u8; 4], u16)>().prop_map(SocketAddr::from).boxed(),
        true => any::<([u8; 16], u16)>().prop_map(SocketAddr::from).boxed(),
    }
}

fn sequences() -> impl Strategy<Value = Sequences> {
    let one =
        || any::<[u32; 3]>().prop_map(|[initial, delta, previous_delta]| Sequence { initial, delta, previous_delta });
    (one(), one()).prop_map(|(incoming, outgoing)| Sequences { incoming, outgoing })
}

prop_compose! {
    fn connection()(v6 in any::<bool>())(
        protocol in any::<u8>(),
        flags in any::<u32>(),
        state in any::<u16>(),
        sockets in [socket(v6), socket(v6), socket(v6)],
        mark in any::<u32>(),
        timeout in any::<u32>(),
        sequence in proptest::option::of(sequences()),
        engine in proptest::option::of(("[a-z]{1,16}", proptest::collection::vec(any::<u8>(), 1..=255))),
    ) -> Connection {
        let [client, virtual_server, destination] = sockets;
        let engine = engine.map(|(name, data)| Engine { name, data });
        Connection { protocol, flags, state, client, virtual_server, destination, mark, timeout, sequence, engine }
    }
}

proptest! {
    #[test]
    fn connections_come_back(connections in proptest::collection::vec(connection(), 0..30), longest in 400..2000u16) {
        let mut message = Message::new(9, longest);
        let mut packed = Vec::new();
        for connection in &connections {
            let length = message.bytes().len();
            if message.push(connection) == Ok(true) {
                packed.push(connection.clone());
            } else {
                prop_assert_eq!(message.bytes().len(), length);
            }
        }
        prop_assert!(message.bytes().len() <= longest.into());
        prop_assert_eq!(decode(message.bytes()), Ok((9, packed)));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }

    /// Closer to what a decoder must survive than noise.
    #[test]
    fn no_damage_panics(connection in connection(), damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5), cut in 0..40usize) {
        let mut bytes = message(&connection).bytes().to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - cut.min(bytes.len()));
        let _ = decode(&bytes);
    }
}

#[test]
fn what_a_backup_refuses_is_refused() {
    let good =
        message(&Connection::template(6, address("10.0.0.1:0"), address("10.0.0.21:80"), address("10.0.0.50:80"), 1));
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.bytes().to_vec();
        change(&mut bytes);
        let size = bytes.len() as u16;
        bytes[2..4].copy_from_slice(&size.to_be_bytes());
        decode(&bytes)
    };
    assert!(with(&|_| {}).is_ok());
    assert_eq!(decode(&good.bytes()[..43]), Err(SyncError::Size));
    assert_eq!(with(&|b| b[5] = 0), Err(SyncError::Version));
    assert_eq!(with(&|b| b[4] = 2), Err(SyncError::Size));
    assert_eq!(with(&|b| b[8] = 2), Err(SyncError::Type(2)));
    assert_eq!(with(&|b| b[10] = 0x10), Err(SyncError::Version));
    let option = |kind: u8, data: &[u8]| {
        with(&|b| {
            b.extend([kind, data.len() as u8]);
            b.extend(data);
            b[11] = (b.len() - 8) as u8;
        })
    };
    assert_eq!(option(9, &[1]), Err(SyncError::Option(9)));
    assert!(option(9 | 64, &[1]).is_ok(), "an unknown option that need not be known");
    assert_eq!(option(1, &[1; 23]), Err(SyncError::Option(1)));
    assert_eq!(option(3, b"sip"), Err(SyncError::Engine));
    assert_eq!(option(2, &[]), Err(SyncError::Option(2)));
}
