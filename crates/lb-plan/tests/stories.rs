//! Stories: in `tests/cases/<story>/`, `before.json` (optional) and `after.json` are configurations, `down.txt`
//! (optional) lists real servers that failed, `stands-by` (optional, empty) says that the unit does not serve after it,
//! `plan.txt` is what leads from the one to the other, then the firewall
//! rules. `UPDATE_GOLDEN=1` (set by `cargo xtask bless`) rewrites `plan.txt`.

use lb_model::{Config, Timeouts, problems};
use lb_plan::{Fitness, Health, Link, Observed, Ruleset, desired, plan};
use std::{fs, path::Path};

#[test]
fn every_story_has_the_plan_it_says() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut stories = 0;
    for entry in fs::read_dir(&cases).expect("the stories") {
        let dir = entry.expect("a story").path();
        let text = story(&dir);
        let golden = dir.join("plan.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &text).expect("writing the golden text");
        }
        assert_eq!(text, fs::read_to_string(&golden).unwrap_or_default(), "{}", dir.display());
        stories += 1;
    }
    assert!(stories > 6, "the stories in {} are gone", cases.display());
}

fn story(dir: &Path) -> String {
    let down = fs::read_to_string(dir.join("down.txt")).unwrap_or_default();
    let mut kernel = Observed {
        hostname: "lbmaster".into(),
        nameservers: Vec::new(),
        time_servers: Some(Vec::new()),
        links: ["eth0", "eth1"].map(|n| (n.parse().expect("a name"), Link { up: false, mtu: 1500 })).into(),
        addresses: Vec::new(),
        routes: Vec::new(),
        sysctls: ["net.ipv4.ip_nonlocal_bind", "net.ipv6.ip_nonlocal_bind"].map(|n| (n.into(), "0".into())).into(),
        ruleset: Some(Ruleset::default()),
        detours: Default::default(),
        timeouts: Timeouts::default(),
        services: Default::default(),
        owned: Default::default(),
        sync: Default::default(),
        fallback_page: None,
    };
    if let Some(before) = read(&dir.join("before.json")) {
        let wanted = desired(&before, &health(&before, ""));
        for action in plan(&wanted, &kernel).actions {
            kernel.after(&action);
        }
    }
    let after = read(&dir.join("after.json")).expect("after.json");
    let serves = desired(&after, &health(&after, &down));
    let wanted = if dir.join("stands-by").exists() { serves.holding_back(&after) } else { serves };
    let plan = plan(&wanted, &kernel);
    if wanted.ruleset.is_empty() { plan.to_string() } else { format!("{plan}\n{}", wanted.ruleset) }
}

fn health(config: &Config, down: &str) -> Health {
    let mut health = Health::default();
    for vs in &config.virtual_servers {
        for rs in &vs.real_servers {
            let fit = !down.lines().any(|l| l == rs.label.as_str());
            health.set(&vs.label, &rs.label, if fit { Fitness::Fit } else { Fitness::Unfit });
        }
    }
    health
}

fn read(path: &Path) -> Option<Config> {
    let document = fs::read_to_string(path).ok()?;
    let mut config = lb_model::migrate(&document).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    config.assign_marks();
    let problems = problems(&config);
    assert!(problems.is_empty(), "{}: {problems:?}", path.display());
    Some(config)
}
