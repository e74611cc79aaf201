use super::*;
use lb_access::{Access, Role, Via, Who};

const PASSPHRASE: &str = "correct horse battery";

fn secrets() -> Secrets {
    let dir = tempfile::tempdir().expect("a directory");
    let access = Access::open(dir.path(), 1_795_000_000).expect("users");
    let by = Who {
        user: "loadbalancer".into(),
        role: Role::Configuration,
        address: [127, 0, 0, 1].into(),
        via: Via::Session,
    };
    access.add_user("carol", Role::Report, "ten letters", &by, 1_795_000_000).expect("a user");
    Secrets { access: access.export().expect("users"), certificate: "-----BEGIN PRIVATE KEY-----".into() }
}

fn about() -> About {
    About { made: 1_795_233_600, hostname: "lbmaster".parse().expect("a name") }
}

fn sealed() -> Backup {
    let config = crate::testing::guide();
    Backup::of(&config, about()).and_then(|b| b.seal(&secrets(), PASSPHRASE)).expect("a backup")
}

#[test]
fn what_was_saved_comes_back() {
    let backup = sealed();
    let text = serde_json::to_vec_pretty(&backup).expect("written");
    let read = Backup::parse(&text).expect("read");
    assert_eq!(read, backup);
    assert_eq!(read.config(), Ok(crate::testing::guide()));
    let secrets = read.open(PASSPHRASE).expect("opened");
    assert_eq!(
        secrets.access.users().collect::<Vec<_>>(),
        [("carol", Role::Report), ("loadbalancer", Role::Configuration)]
    );
    assert_eq!(secrets.certificate, "-----BEGIN PRIVATE KEY-----");
    assert_eq!(backup.file_name(), "lbmaster-2026-11-21-0400.backup.json");
}

#[test]
fn nothing_secret_is_readable() {
    let text = serde_json::to_string(&sealed()).expect("written");
    for secret in ["argon2id$", "BEGIN", "carol", PASSPHRASE] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert!(text.contains("HTTP_Cluster"), "the configuration is");
    let without = Backup::of(&crate::testing::guide(), about()).expect("a backup");
    assert!(!serde_json::to_string(&without).expect("written").contains("secrets"));
    assert_eq!(without.open(PASSPHRASE).err(), Some(BackupError::NoSecrets));
}

#[test]
fn another_passphrase_or_any_change_is_noticed() {
    let backup = sealed();
    assert_eq!(backup.open("correct horse batterz").err(), Some(BackupError::Passphrase));
    let changes: [fn(&mut Backup); 7] = [
        |b| b.made += 1,
        |b| b.software.push('x'),
        |b| b.configuration["globals"]["masquerade"] = false.into(),
        |b| {
            if let Some(s) = &mut b.secrets {
                s.kdf.passes += 1
            }
        },
        |b| {
            if let Some(s) = &mut b.secrets {
                s.kdf.salt = BASE64_STANDARD.encode([0; SALT])
            }
        },
        |b| {
            if let Some(s) = &mut b.secrets {
                s.nonce = BASE64_STANDARD.encode([0; NONCE])
            }
        },
        |b| {
            if let Some(s) = &mut b.secrets {
                s.text.replace_range(0..1, if s.text.starts_with('A') { "B" } else { "A" })
            }
        },
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut changed = backup.clone();
        change(&mut changed);
        assert_eq!(changed.open(PASSPHRASE).err(), Some(BackupError::Passphrase), "change {i}");
    }
}

#[test]
fn a_short_passphrase_is_none() {
    let backup = Backup::of(&crate::testing::guide(), about()).expect("a backup");
    assert_eq!(backup.seal(&secrets(), "short").err(), Some(BackupError::PassphraseLength));
}

/// Parameters are an attacker's to choose: what would take minutes or gigabytes is refused before it begins.
#[test]
fn a_document_cannot_exhaust_the_unit() {
    for (memory, passes, lanes) in [(1 << 30, 1, 1), (8, 4_000_000, 1), (8, 1, 255)] {
        let mut backup = sealed();
        if let Some(sealed) = &mut backup.secrets {
            (sealed.kdf.memory_kib, sealed.kdf.passes, sealed.kdf.lanes) = (memory, passes, lanes);
        }
        assert!(matches!(backup.open(PASSPHRASE).err(), Some(BackupError::Cost(_))));
    }
    assert_eq!(Backup::parse(&vec![b' '; LARGEST + 1]), Err(BackupError::TooLarge));
}

#[test]
fn what_is_no_backup_is_said_to_be_none() {
    let parse = |text: &str| Backup::parse(text.as_bytes()).map(|_| ()).map_err(|e| e.to_string());
    let no = "this is no backup of a load balancer: ";
    assert_eq!(parse("{}"), Err(format!("{no}it does not say format \"steelyard-backup\"")));
    assert_eq!(parse(r#"{"format": "steelyard-backup"}"#), Err(format!("{no}it says no version")));
    assert!(
        parse(r#"{"format": "steelyard-backup", "version": 2, "new": 1}"#)
            .is_err_and(|e| e.contains("update the software"))
    );
    assert!(parse("[").is_err_and(|e| e.starts_with(no)));
    let mut backup = sealed();
    backup.configuration = serde_json::json!({"version": 1, "surprise": true});
    assert!(backup.config().is_err_and(|e| e.to_string().contains("surprise")));
}

#[test]
fn this_units_own_addresses_can_stay() {
    let theirs = crate::testing::guide();
    let mut own = lb_model::factory();
    own.globals.health.interval = 7;
    let config = keeping_node(theirs.clone(), &own);
    assert_eq!((&config.node, &config.virtual_servers), (&own.node, &theirs.virtual_servers));
}
