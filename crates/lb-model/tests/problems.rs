//! Stories: `tests/cases/<story>.json` is a configuration, `<story>.txt` all its problems.
//! `UPDATE_GOLDEN=1` (set by `cargo xtask bless`) rewrites the texts.

use std::{fs, path::Path};

#[test]
fn every_story_has_the_problems_it_says() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut stories = 0;
    for entry in fs::read_dir(&dir).expect("the stories") {
        let path = entry.expect("a story").path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        stories += 1;
        let document = fs::read_to_string(&path).expect("a configuration");
        let found = match lb_model::migrate(&document) {
            Ok(config) => lb_model::problems(&config).iter().map(|p| format!("{p}\n")).collect::<String>(),
            Err(error) => format!("{error}\n"),
        };
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &found).expect("writing the golden text");
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(found, expected, "{}", path.display());
    }
    assert!(stories > 8, "the stories in {} are gone", dir.display());
}
