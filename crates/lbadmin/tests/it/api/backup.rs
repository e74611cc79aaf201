//! Backup, restore and support bundle by the API.

use super::{Program, administrator};
use lb_access::Role;
use lbadmin::app::now;
use serde_json::{Value, json};
use std::io::Read;

const PASSPHRASE: &str = "correct horse battery";

fn with_weight(backup: &Value, weight: u32) -> Value {
    let mut backup = backup.clone();
    backup["configuration"]["virtual_servers"][0]["real_servers"][0]["weight"] = weight.into();
    backup
}

#[test]
fn a_backup_is_looked_at_and_restored() {
    let p = Program::start();
    let made = p.send("POST", "/api/v1/backup", &[], None).is(200);
    assert!(made.header("content-disposition").contains("attachment; filename=\"lbmaster-"), "{:?}", made.headers);
    assert!(made.text.starts_with("{\n  \"format\": \"steelyard-backup\""), "it is readable");
    let backup = made.json();
    assert_eq!(backup.get("secrets"), None);

    let changed = with_weight(&backup, 9);
    let looked = p.post("/api/v1/restore", &json!({"backup": changed})).is(200).json();
    assert_eq!(looked["changes"][0]["text"], "Change weight of WebServer1 in HTTP_Cluster from 1 to 9");
    assert_eq!((&looked["done"], &p.get("/api/v1/config/candidate").json()["etag"]), (&false.into(), &0.into()));
    p.post("/api/v1/restore", &json!({"backup": changed, "dry_run": false})).is(200);
    let candidate = p.get("/api/v1/config/candidate").json();
    assert_eq!(candidate["changes"], looked["changes"]);
    assert_eq!(candidate["author"], "loadbalancer/token first (127.0.0.1)");
}

#[test]
fn users_come_back_under_their_passphrase() {
    let p = Program::start();
    let carol = json!({"name": "carol", "role": "report", "password": "ten letters"});
    p.post("/api/v1/users", &carol).is(201);
    let backup = p.post("/api/v1/backup", &json!({"passphrase": PASSPHRASE})).is(200).json();
    p.delete("/api/v1/users/carol", "*").is(204);
    let ask = |more: Value| {
        let mut body = json!({"backup": backup, "users": true, "certificate": true, "dry_run": false});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        p.post("/api/v1/restore", &body)
    };
    ask(json!({})).problem(422, "malformed");
    let wrong = ask(json!({"passphrase": "another passphrase"})).problem(422, "malformed").json();
    assert_eq!(wrong["problems"][0]["path"], "/passphrase");
    p.get("/api/v1/users/carol").problem(404, "not-found");
    let done = ask(json!({"passphrase": PASSPHRASE})).is(200).json();
    assert_eq!(done["secrets"]["users"][0], json!({"name": "carol", "role": "report"}));
    // The token is in the backup, too.
    p.get("/api/v1/users/carol").is(200);
    let log = p.get("/api/v1/audit?q=backup").json().to_string();
    assert!(
        log.contains("2 users and 1 tokens from a backup") && log.contains("with users and keys, encrypted"),
        "{log}"
    );
    assert!(!log.contains(PASSPHRASE));
}

#[test]
fn a_bad_backup_changes_nothing() {
    let p = Program::start();
    let backup = p.send("POST", "/api/v1/backup", &[], None).is(200).json();
    let restore = |backup: &Value| p.post("/api/v1/restore", &json!({"backup": backup, "dry_run": false}));
    let mut newer = backup.clone();
    newer["configuration"]["version"] = 99.into();
    let refused = restore(&newer).problem(422, "malformed").json();
    assert_eq!(refused["problems"][0]["path"], "/backup/configuration");
    let mut strange = backup.clone();
    strange["configuration"]["surprise"] = 1.into();
    restore(&strange).problem(422, "malformed");
    let mut other = backup.clone();
    other["format"] = "other".into();
    restore(&other).problem(422, "malformed");
    p.post("/api/v1/backup", &json!({"passphrase": "short"})).problem(422, "malformed");
    assert_eq!(p.get("/api/v1/config/candidate").json()["etag"], 0);
}

#[test]
fn another_units_addresses_need_not_come_along() {
    let p = Program::start();
    let mut backup = p.send("POST", "/api/v1/backup", &[], None).is(200).json();
    backup["configuration"]["node"]["hostname"] = "other".into();
    backup["configuration"]["globals"]["health"]["interval"] = 7.into();
    let looked = p.post("/api/v1/restore", &json!({"backup": backup, "keep_node": true})).is(200).json();
    assert_eq!(looked["changes"], json!([{"text": "Change health check interval from 10 s to 7 s"}]));
}

#[test]
fn the_role_maintenance_backs_up_without_secrets() {
    let p = Program::with(Role::Maintenance);
    let backup = p.send("POST", "/api/v1/backup", &[], None).is(200).json();
    p.post("/api/v1/backup", &json!({"passphrase": PASSPHRASE})).problem(403, "forbidden");
    p.post("/api/v1/restore", &json!({"backup": backup})).problem(403, "forbidden");
    p.get("/api/v1/support-bundle").is(200);
}

/// A unit full of secrets, and a bundle in which none of them is found.
#[test]
fn no_secret_is_in_a_support_bundle() {
    let p = Program::start();
    let app = &p.rig.app;
    let mut secrets: Vec<String> = Vec::new();
    secrets.push(p.token.clone());
    let totp = app.access.begin_totp("lbmaster", &administrator(), now()).expect("a secret");
    let code = lb_access::code_at(&totp.secret, now()).expect("a code");
    app.access.confirm_totp(&code, &administrator(), now()).expect("confirmed");
    secrets.push(totp.secret);
    secrets.push(crate::rig::PASSWORD.into());
    let pem = app.tls.export().expect("the certificate");
    let key = pem.split("PRIVATE KEY-----").nth(1).expect("a key").trim();
    secrets.extend(key.lines().filter(|l| l.len() > 20).map(str::to_owned));
    for file in ["access.json", "access.json.bak"] {
        let Ok(text) = std::fs::read_to_string(p.rig.dir.path().join("web").join(file)) else { continue };
        let document: Value = serde_json::from_str(&text).unwrap_or_default();
        secrets.extend(document["users"]["loadbalancer"]["hash"].as_str().map(str::to_owned));
        secrets.extend(document["tokens"][0]["sha256"].as_str().map(str::to_owned));
    }
    assert!(secrets.len() >= 6, "hashes are among them: {}", secrets.len());
    let mut vs = p.get("/api/v1/virtual-servers/HTTP_Cluster").json();
    vs["check"] = json!({"method": {"type": "negotiate", "service": "http", "request": "/check?key=hush-hush"}});
    p.put("/api/v1/virtual-servers/HTTP_Cluster", "*", &vs).is(200);
    secrets.push("hush-hush".into());
    // Somebody put a token where it does not belong.
    p.post("/api/v1/apply", &json!({"comment": format!("for {} and password=open-sesame", p.token)})).is(200);
    secrets.push("open-sesame".into());

    let bundle = p.send_raw("GET", "/api/v1/support-bundle");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&bundle[..]));
    let mut names = Vec::new();
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("a file");
        let name = entry.path().expect("a name").display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("a text");
        for secret in &secrets {
            assert!(!text.contains(secret), "{name} holds {secret}");
        }
        names.push(name.split_once('/').expect("in a folder").1.to_owned());
    }
    for wanted in [
        "README.txt",
        "versions.json",
        "configuration.json",
        "status.json",
        "network.json",
        "history.json",
        "logs/audit.json",
    ] {
        assert!(names.iter().any(|n| n == wanted), "no {wanted} in {names:?}");
    }
}
