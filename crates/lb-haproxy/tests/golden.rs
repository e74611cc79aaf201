//! Each folder of `tests/cases`: a configuration and what HAProxy is told. The real HAProxy reads them all, where it is
//! installed. `UPDATE=1` writes what is told now.

use lb_haproxy::{Certificates, Material, Places, Rendered, render_in};
use lb_model::Config;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// Something behind each fingerprint. What it is comes into no golden text but by its digest.
fn at_hand(config: &Config) -> Certificates {
    let made = rcgen::generate_simple_self_signed(["shop.example.com".to_owned()]).unwrap();
    let server = format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem()).replace("\r", "");
    let pem = |label: &str| match label {
        "office" => Arc::new(include_str!("certificates/authority.pem").to_owned().into()),
        _ => Arc::new(server.clone().into()),
    };
    let all = config.layer7.certificates.iter();
    all.map(|c| (c.fingerprint.clone(), Material { pem: pem(c.label.as_str()), sha1: "AB".repeat(20), ocsp: None }))
        .collect()
}

fn places() -> Places {
    Places { acme: Some("thumbprint_of-the-account".into()), ..Places::default() }
}

/// With certificates where HAProxy can read them.
fn readable(config: &Config, certificates: PathBuf) -> Rendered {
    let places = Places { certificates, ..places() };
    let rendered = render_in(config, &places, &at_hand(config)).unwrap();
    fs::create_dir_all(&places.certificates).unwrap();
    for (name, file) in &rendered.files {
        fs::write(places.certificates.join(name), file.text.as_str()).unwrap();
    }
    rendered
}

#[test]
fn goldens() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut wrong = Vec::new();
    for case in fs::read_dir(cases).unwrap() {
        let case = case.unwrap().path();
        let config: Config = serde_json::from_slice(&fs::read(case.join("config.json")).unwrap()).unwrap();
        let rendered = render_in(&config, &places(), &at_hand(&config)).unwrap();
        let golden = case.join("haproxy.cfg");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&golden, &rendered.text).unwrap();
        }
        if fs::read_to_string(&golden).unwrap_or_default() != rendered.text {
            wrong.push(format!("{} differs:\n{}", golden.display(), rendered.text));
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("haproxy.cfg");
        fs::write(&file, readable(&config, dir.path().join("certs")).text).unwrap();
        wrong.extend(complaint(&file).map(|said| format!("{}: {said}", golden.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What has no problems is what HAProxy takes: an administrator hears of all others before.
#[test]
fn haproxy_takes_every_configuration_without_problems() {
    let dir = tempfile::tempdir().unwrap();
    let (mut seen, mut wrong) = (0, Vec::new());
    for seed in 0..400 {
        let config = lb_model::sample::config_with_tls(seed, false);
        if config.layer7.virtual_servers.is_empty() || !lb_model::problems(&config).is_empty() {
            continue;
        }
        let rendered = readable(&config, dir.path().join("certs"));
        assert_eq!(rendered.missing, []);
        seen += 1;
        let file = dir.path().join(format!("{seed}.cfg"));
        fs::write(&file, rendered.text).unwrap();
        wrong.extend(complaint(&file));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 30, "{seen}");
}

fn complaint(file: &Path) -> Option<String> {
    let Ok(output) = Command::new("/usr/sbin/haproxy").arg("-c").arg("-f").arg(file).output() else {
        println!("skipped: HAProxy is not installed");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // The file of states is there where HAProxy runs.
    let warnings = said.lines().filter(|line| line.contains("[WARNING]") && !line.contains("server state file"));
    (!output.status.success() || warnings.count() > 0).then(|| format!("{}: {said}", file.display()))
}
