use super::*;
use crate::manifest::{ARCHITECTURE, Formats, PRODUCT, Packed, Version};

fn key(name: &str) -> SigningKey {
    SigningKey::generate().and_then(|text| SigningKey::parse(name, &text)).expect("a key")
}

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::parse(&key.name, &key.public_text()).expect("a public key")
}

fn manifest() -> Manifest {
    Manifest {
        product: PRODUCT.into(),
        version: Version(1, 2, 3),
        architecture: ARCHITECTURE.into(),
        size: 7,
        sha256: "0".repeat(64),
        packed: Packed { size: 7, sha256: "1".repeat(64) },
        oldest: Version(1, 0, 0),
        configuration: Formats::OURS,
    }
}

#[test]
fn a_bundle_is_read_as_it_was_written() {
    let key = key("release");
    let mut file = Vec::new();
    write_bundle(&manifest(), &key, &mut &b"payload"[..], &mut file).expect("written");
    let head = parse_head(&file, &[public(&key)]).expect("read");
    assert_eq!((head.manifest, head.key.as_str()), (manifest(), "release"));
    assert_eq!(&file[head.payload_at as usize..], b"payload");
}

/// No bit of what is signed can be changed, nor of the signature.
#[test]
fn every_changed_bit_of_the_head_is_seen() {
    let key = key("release");
    let keys = [public(&key)];
    let head = head(&manifest(), &key).expect("head");
    assert!(parse_head(&head, &keys).is_ok());
    for at in 0..head.len() - 1 {
        for bit in 0..8 {
            let mut changed = head.clone();
            changed[at] ^= 1 << bit;
            // Base64 may be written with other bits behind its end; none of them is accepted either.
            assert!(parse_head(&changed, &keys).is_err(), "byte {at}, bit {bit}");
        }
    }
    for end in 0..head.len() {
        assert!(parse_head(&head[..end], &keys).is_err(), "cut at {end}");
    }
}

#[test]
fn a_stranger_is_named() {
    let (ours, theirs) = (key("release"), key("other"));
    let head = head(&manifest(), &theirs).expect("head");
    assert_eq!(parse_head(&head, &[public(&ours)]), Err(Refusal::UnknownKey("other".into())));
    // Under our key's name it is a wrong signature.
    let text = String::from_utf8(head).expect("text").replace("\nother ", "\nrelease ");
    assert_eq!(parse_head(text.as_bytes(), &[public(&ours)]), Err(Refusal::Signature));
    assert_eq!(parse_head(text.as_bytes(), &[]), Err(Refusal::UnknownKey("release".into())));
}

#[test]
fn other_files_are_told_apart() {
    let keys = [public(&key("release"))];
    assert_eq!(parse_head(b"\x7fELF", &keys), Err(Refusal::NotABundle));
    assert_eq!(parse_head(b"", &keys), Err(Refusal::NotABundle));
    assert_eq!(parse_head(b"steelyard-updates 1\n\n\n", &keys), Err(Refusal::NotABundle));
    assert_eq!(parse_head(b"steelyard-update 2\n\n\n", &keys), Err(Refusal::OtherFormat("2".into())));
    let endless = [b"steelyard-update 1\n".to_vec(), vec![b'x'; 2 * HEAD_LIMIT]].concat();
    assert!(matches!(read_head(&endless[..], &keys), Ok(Err(Refusal::Head(_)))));
}

#[test]
fn a_hash_is_of_what_was_asked_for() {
    // sha256sum's.
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let hashed = |text: &[u8], size| hash(&mut &*text, size, |_| Ok(())).expect("hashed");
    assert_eq!(hashed(b"", 0), (empty.into(), 0));
    assert_eq!(hashed(b"abc", 0), (empty.into(), 0));
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hashed(b"abcd", 3), (abc.into(), 3));
    assert_eq!(hashed(b"abc", 9), (abc.into(), 3));
}
