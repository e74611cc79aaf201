use super::*;

const HERE: Here = Here { version: Version(0, 3, 1), configuration: 4, slot: 1000 };

fn manifest() -> Manifest {
    Manifest {
        product: PRODUCT.into(),
        version: Version(0, 4, 0),
        architecture: ARCHITECTURE.into(),
        size: 1000,
        sha256: "0".repeat(64),
        packed: Packed { size: 400, sha256: "1".repeat(64) },
        oldest: Version(0, 3, 0),
        configuration: Formats { oldest: 1, newest: 4 },
    }
}

#[test]
fn versions_are_numbers_and_not_words() {
    assert!("0.10.0".parse::<Version>().is_ok_and(|ten| ten > Version(0, 9, 9)));
    assert_eq!("1.2.3".parse::<Version>().map(|v| v.to_string()), Ok("1.2.3".to_owned()));
    for wrong in ["", "1", "1.2", "1.2.3.4", "1.2.x", "1.2.-3", "1.2.3-rc1", "1.2.4294967296", " 1.2.3"] {
        assert!(wrong.parse::<Version>().is_err(), "{wrong:?}");
    }
}

#[test]
fn the_same_version_and_newer_ones_may_come() {
    for version in [Version(0, 3, 1), Version(0, 3, 2), Version(1, 0, 0)] {
        assert_eq!(Manifest { version, ..manifest() }.may_follow(&HERE, false), Ok(()), "{version}");
    }
}

/// Whatever is changed about a good bundle is refused for what it is, and `--downgrade` helps an older version only.
#[test]
fn what_does_not_fit_is_refused() {
    let from = HERE.version;
    let cases = [
        (Manifest { product: "bal\x1bance".into(), ..manifest() }, Refusal::Product { found: "bal?ance".into() }),
        (Manifest { architecture: "m68k".into(), ..manifest() }, Refusal::Architecture { found: "m68k".into() }),
        (Manifest { size: 1001, ..manifest() }, Refusal::TooLarge { size: 1001, slot: 1000 }),
        (
            Manifest { oldest: Version(0, 3, 2), ..manifest() },
            Refusal::TooOld { from, to: Version(0, 4, 0), oldest: Version(0, 3, 2) },
        ),
        (
            Manifest { configuration: Formats { oldest: 1, newest: 3 }, ..manifest() },
            Refusal::Configuration { to: Version(0, 4, 0), reads: Formats { oldest: 1, newest: 3 }, here: 4 },
        ),
        (
            Manifest { configuration: Formats { oldest: 5, newest: 6 }, ..manifest() },
            Refusal::Configuration { to: Version(0, 4, 0), reads: Formats { oldest: 5, newest: 6 }, here: 4 },
        ),
    ];
    for (manifest, why) in cases {
        assert_eq!(manifest.may_follow(&HERE, false), Err(why.clone()));
        assert_eq!(manifest.may_follow(&HERE, true), Err(why), "--downgrade");
    }
    let older = Manifest { version: Version(0, 3, 0), ..manifest() };
    assert_eq!(older.may_follow(&HERE, false), Err(Refusal::Downgrade { from, to: older.version }));
    assert_eq!(older.may_follow(&HERE, true), Ok(()));
}

#[test]
fn unknown_fields_are_refused() {
    let mut value = serde_json::to_value(manifest()).expect("json");
    value["extra"] = 1.into();
    let error = serde_json::from_value::<Manifest>(value).expect_err("refused").to_string();
    assert!(error.contains("extra"), "{error}");
}
