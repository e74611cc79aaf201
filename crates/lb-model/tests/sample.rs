//! Properties over configurations made from seeds.

use lb_model::{changes, migrate, problems, sample};

/// No configuration makes validation panic, and enough of them are valid to make the other properties mean something.
#[test]
fn ten_thousand_configurations_are_judged() {
    let valid = (0..10_000).filter(|seed| problems(&sample::config(*seed, seed % 4 == 0)).is_empty()).count();
    assert!(valid > 5_000, "only {valid} of 10,000 sample configurations are valid");
}

#[test]
fn a_document_survives_writing_and_reading() {
    for seed in 0..500 {
        let config = sample::config_with_tls(seed, false);
        let text = serde_json::to_string(&config).expect("writing");
        assert_eq!(migrate(&text).expect("reading"), config, "seed {seed}");
    }
}

#[test]
fn there_are_changes_exactly_where_there_is_a_difference() {
    for seed in 0..500 {
        let (a, b) = (sample::config_with_tls(seed, false), sample::config(seed + 1, false));
        assert!(changes(&a, &a).is_empty());
        assert_eq!(changes(&a, &b).is_empty(), a == b, "seed {seed}");
    }
}
