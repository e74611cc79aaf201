use super::*;
use crate::{
    keys::SigningKey,
    manifest::{ARCHITECTURE, Formats, Manifest, PRODUCT, Packed, Version},
    record::{Given, Start},
};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::{cell::RefCell, collections::BTreeMap, io::Cursor, rc::Rc};

const HERE: Here = Here { version: Version(0, 1, 0), configuration: 1, slot: 64 << 20 };

/// A unit whose power may be cut.
#[derive(Clone)]
struct Unit(Rc<RefCell<Inside>>);

struct Inside {
    /// Steps that are still done.
    power: usize,
    environment: BTreeMap<String, String>,
    record: Option<Record>,
    /// Of slot B: on the disk, and on the way there.
    disk: Vec<u8>,
    cache: Vec<u8>,
    at: usize,
    /// The disk forgets a byte.
    bad: bool,
}

impl Inside {
    fn step(&mut self) -> io::Result<()> {
        self.power = self.power.checked_sub(1).ok_or_else(|| io::Error::other("no power"))?;
        Ok(())
    }
}

impl Unit {
    fn new(power: usize, before: &[(&str, &str)]) -> Unit {
        let mut environment: BTreeMap<String, String> =
            [("ORDER", "A B"), ("A_OK", "1"), ("A_TRY", "0"), ("B_OK", "0"), ("B_TRY", "0")]
                .map(|(n, v)| (n.into(), v.into()))
                .into();
        environment.extend(before.iter().map(|(n, v)| ((*n).into(), (*v).into())));
        let disk = b"what was there before".to_vec();
        let inside = Inside { power, environment, record: None, cache: disk.clone(), disk, at: 0, bad: false };
        Unit(Rc::new(RefCell::new(inside)))
    }

    /// As `image/grub/grub.cfg` chooses.
    fn starts(&self) -> SlotName {
        let inside = self.0.borrow();
        let word = |name: String| inside.environment.get(&name).map(String::as_str).unwrap_or_default();
        let fits = |slot: &&SlotName| word(format!("{slot}_OK")) == "1" && word(format!("{slot}_TRY")) != "3";
        let order = if word("ORDER".into()) == "B A" { [SlotName::B, SlotName::A] } else { [SlotName::A, SlotName::B] };
        order.iter().find(fits).copied().unwrap_or(SlotName::A)
    }

    fn given(&self) -> Given {
        let inside = self.0.borrow();
        let is = |name: &str, value: &str| inside.environment.get(name).is_some_and(|found| found == value);
        Given { ok: is("B_OK", "1"), spent: is("B_TRY", "3"), first: is("ORDER", "B A") }
    }
}

impl Machine for Unit {
    type Place = Unit;

    fn remember(&mut self, words: &[String]) -> io::Result<()> {
        let mut inside = self.0.borrow_mut();
        inside.step()?;
        for (name, value) in words.iter().filter_map(|word| word.split_once('=')) {
            inside.environment.insert(name.into(), value.into());
        }
        Ok(())
    }

    fn keep(&mut self, record: &Record) -> io::Result<()> {
        self.0.borrow_mut().step()?;
        self.0.borrow_mut().record = Some(record.clone());
        Ok(())
    }

    fn open(&mut self, slot: SlotName) -> io::Result<Unit> {
        assert_eq!(slot, SlotName::B, "never the slot that runs");
        Ok(self.clone())
    }
}

impl Place for Unit {
    fn settle(&mut self) -> io::Result<()> {
        let mut inside = self.0.borrow_mut();
        inside.step()?;
        inside.disk = inside.cache.clone();
        if inside.bad {
            inside.disk[1000] ^= 1;
        }
        Ok(())
    }
}

impl Read for Unit {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut inside = self.0.borrow_mut();
        let got = (&inside.disk[inside.at..]).read(buffer)?;
        inside.at += got;
        Ok(got)
    }
}

impl Write for Unit {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inside = self.0.borrow_mut();
        inside.step()?;
        let at = inside.at;
        inside.cache.truncate(at);
        inside.cache.extend(bytes);
        // Half of what is on its way is already there.
        if (at / bundle::CHUNK).is_multiple_of(2) {
            inside.disk = inside.cache.clone();
        }
        inside.at += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Unit {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        assert_eq!(to, SeekFrom::Start(0));
        self.0.borrow_mut().at = 0;
        Ok(0)
    }
}

fn payload() -> Vec<u8> {
    (0..(bundle::CHUNK * 3 + 17)).map(|n| (n % 251) as u8).collect()
}

/// A bundle and who is trusted.
fn bundle_of(payload: &[u8], change: impl FnOnce(&mut Manifest)) -> (Vec<u8>, Vec<PublicKey>) {
    let key = SigningKey::generate().and_then(|text| SigningKey::parse("release", &text)).expect("a key");
    let hash = |bytes: &[u8]| bundle::hash(&mut &*bytes, bytes.len() as u64, |_| Ok(())).expect("hash");
    let packed = compress_to_vec(payload, CompressionLevel::Fastest);
    let (sha256, size) = hash(payload);
    let of_packed = hash(&packed);
    let mut manifest = Manifest {
        product: PRODUCT.into(),
        version: Version(0, 2, 0),
        architecture: ARCHITECTURE.into(),
        size,
        sha256,
        packed: Packed { size: of_packed.1, sha256: of_packed.0 },
        oldest: Version(0, 1, 0),
        configuration: Formats::OURS,
    };
    change(&mut manifest);
    let mut file = Vec::new();
    bundle::write_bundle(&manifest, &key, &mut &*packed, &mut file).expect("bundle");
    (file, vec![PublicKey::parse("release", &key.public_text()).expect("public")])
}

fn record() -> Record {
    Record {
        slot: SlotName::B,
        version: Version(0, 2, 0),
        from: Version(0, 1, 0),
        by: "root".into(),
        time: 1,
        stage: Stage::Writing,
        reason: None,
        excused: Vec::new(),
        acknowledged: false,
    }
}

fn examined(file: &[u8], keys: &[PublicKey]) -> Result<Head, Failure> {
    examine(&mut Cursor::new(file), file.len() as u64, keys, &HERE, false, &mut |_, _, _| {})
}

fn installed(unit: &Unit, file: &[u8], head: &Head) -> Result<(), Failure> {
    install(&mut unit.clone(), &mut Cursor::new(file), head, &mut record(), &mut |_, _, _| {})
}

#[test]
fn a_good_bundle_is_the_next_start() {
    let (file, keys) = bundle_of(&payload(), |_| {});
    let head = examined(&file, &keys).expect("examined");
    let unit = Unit::new(usize::MAX, &[]);
    installed(&unit, &file, &head).expect("installed");
    assert_eq!(unit.starts(), SlotName::B);
    let inside = unit.0.borrow();
    assert!(inside.disk == payload());
    assert_eq!(inside.record.as_ref().map(|record| record.stage), Some(Stage::Installed));
}

/// Cut before every step, over an empty slot, a good one, one that waits for its first start, one that was given up:
/// what starts then is the running system, or the whole new one; and the next start says what became of it.
#[test]
fn a_power_cut_at_any_step_leaves_a_system_that_starts() {
    let (file, keys) = bundle_of(&payload(), |_| {});
    let head = examined(&file, &keys).expect("examined");
    let slots: [&[(&str, &str)]; 4] =
        [&[], &[("B_OK", "1")], &[("B_OK", "1"), ("ORDER", "B A")], &[("B_OK", "1"), ("B_TRY", "3")]];
    for before in slots {
        let mut cuts = 0;
        loop {
            let unit = Unit::new(cuts, before);
            // What waits for its first start begins as a whole system.
            let waits = before.len() == 2 && before[1].0 == "ORDER";
            let done = installed(&unit, &file, &head).is_ok();
            let whole = unit.0.borrow().disk == payload();
            let touched = unit.0.borrow().disk != b"what was there before";
            match unit.starts() {
                SlotName::A => assert!(!done, "cut {cuts} of {before:?}: it was promised"),
                SlotName::B => assert!(whole || (waits && !touched), "cut {cuts} of {before:?}: half a system starts"),
            }
            let record = unit.0.borrow().record.clone();
            if let (Some(mut record), SlotName::A) = (record, unit.starts()) {
                assert_eq!(record.started(SlotName::A, unit.given()), Start::Left, "cut {cuts} of {before:?}");
                assert_eq!(record.stage, Stage::Interrupted, "cut {cuts} of {before:?}");
            }
            if done {
                break;
            }
            cuts += 1;
        }
        // Record, boot loader, four pieces, flush, boot loader, record.
        assert_eq!(cuts, 9, "{before:?}");
    }
}

#[test]
fn what_is_not_whole_is_refused_before_anything_is_written() {
    let payload = payload();
    let (file, keys) = bundle_of(&payload, |_| {});
    let short = examined(&file[..file.len() - 1], &keys);
    assert!(matches!(short, Err(Failure::Refused(Refusal::Truncated { .. }))), "{short:?}");
    let long = examined(&[&file[..], b"x"].concat(), &keys);
    assert!(matches!(long, Err(Failure::Refused(Refusal::TooLong { .. }))), "{long:?}");
    let mut changed = file.clone();
    *changed.last_mut().expect("a byte") ^= 1;
    assert!(matches!(examined(&changed, &keys), Err(Failure::Refused(Refusal::Damaged))));
    let (huge, keys) = bundle_of(&payload, |manifest| manifest.size = HERE.slot + 1);
    assert!(matches!(examined(&huge, &keys), Err(Failure::Refused(Refusal::TooLarge { .. }))));
    assert!(matches!(examined(&file, &keys), Err(Failure::Refused(Refusal::Signature))));
}

/// Signed, whole, and yet not what it says: it is not started.
#[test]
fn what_unpacks_to_something_else_never_starts() {
    let (file, keys) = bundle_of(&payload(), |manifest| manifest.sha256 = "0".repeat(64));
    let (long, long_keys) = bundle_of(&payload(), |manifest| manifest.size += 1);
    for (file, keys) in [(file, keys), (long, long_keys)] {
        let head = examined(&file, &keys).expect("examined");
        let unit = Unit::new(usize::MAX, &[]);
        assert!(matches!(installed(&unit, &file, &head), Err(Failure::Refused(Refusal::Damaged))));
        assert_eq!(unit.starts(), SlotName::A);
    }
}

#[test]
fn a_bundle_that_changes_after_it_was_examined_never_starts() {
    let (mut file, keys) = bundle_of(&payload(), |_| {});
    let head = examined(&file, &keys).expect("examined");
    *file.last_mut().expect("a byte") ^= 1;
    let unit = Unit::new(usize::MAX, &[]);
    assert!(matches!(installed(&unit, &file, &head), Err(Failure::Refused(Refusal::Damaged))));
    assert_eq!(unit.starts(), SlotName::A);
}

#[test]
fn a_disk_that_does_not_keep_it_is_found_out() {
    let (file, keys) = bundle_of(&payload(), |_| {});
    let head = examined(&file, &keys).expect("examined");
    let unit = Unit::new(usize::MAX, &[]);
    unit.0.borrow_mut().bad = true;
    assert!(matches!(installed(&unit, &file, &head), Err(Failure::Medium(SlotName::B))));
    assert_eq!(unit.starts(), SlotName::A);
    let record = unit.0.borrow().record.clone().expect("a record");
    assert_eq!(record.stage, Stage::Interrupted);
    assert!(record.reason.is_some_and(|reason| reason.contains("failing")));
}
