//! Each folder of `tests/cases`: a configuration and what HAProxy is told. The real HAProxy reads them all, where it is
//! installed. `UPDATE=1` writes what is told now.

use lb_model::Config;
use std::{fs, path::Path, process::Command};

#[test]
fn goldens() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut wrong = Vec::new();
    for case in fs::read_dir(cases).unwrap() {
        let case = case.unwrap().path();
        let config: Config = serde_json::from_slice(&fs::read(case.join("config.json")).unwrap()).unwrap();
        let rendered = lb_haproxy::render(&config).unwrap();
        let golden = case.join("haproxy.cfg");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&golden, &rendered.text).unwrap();
        }
        if fs::read_to_string(&golden).unwrap_or_default() != rendered.text {
            wrong.push(format!("{} differs:\n{}", golden.display(), rendered.text));
        }
        wrong.extend(complaint(&golden));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What has no problems is what HAProxy takes: an administrator hears of all others before.
#[test]
fn haproxy_takes_every_configuration_without_problems() {
    let dir = tempfile::tempdir().unwrap();
    let (mut seen, mut wrong) = (0, Vec::new());
    for seed in 0..400 {
        let config = lb_model::sample::config(seed, false);
        let Some(rendered) = lb_haproxy::render(&config).filter(|_| lb_model::problems(&config).is_empty()) else {
            continue;
        };
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
