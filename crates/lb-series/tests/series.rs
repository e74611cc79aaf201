//! Stories and properties of a history: rings that wrap, clocks that jump, files that are damaged, objects that go.

use lb_series::{Chart, Key, LIMIT, Series, Span, Traffic, Values};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

const NOON: u64 = 1_795_176_000; // 2026-11-20T12:00:00Z, the beginning of an hour
const DAY: u64 = 86_400;

fn vs(label: &str) -> Key {
    Key::VirtualServer(label.to_owned())
}

fn connections(n: u64) -> Values {
    Values::server(n, Some((n as f64, Traffic::default())))
}

fn open(dir: &Path) -> Series {
    Series::open(dir, 4).expect("a history")
}

fn known(chart: &Chart, column: usize) -> Vec<(u64, f32)> {
    let times = (0..).map(|i| chart.from + i * chart.step);
    times.zip(&chart.columns[column]).filter_map(|(time, value)| Some((time, (*value)?))).collect()
}

fn read(series: &Series, key: &Key, span: Span, now: u64) -> Vec<(u64, f32)> {
    known(&series.read(key, span, now).expect("a chart"), 0)
}

#[test]
fn a_chart_covers_its_span_and_ends_now() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut series = open(dir.path());
    assert!(series.read(&Key::System, Span::Hour, NOON).is_none());
    series.record(NOON + 7, &[(Key::System, Values::system(Some(0.5), Some(1 << 30)))]).expect("recorded");
    for (span, steps, step) in [(Span::Hour, 360, 10), (Span::Day, 720, 120), (Span::Month, 720, 3600)] {
        let chart = series.read(&Key::System, span, NOON + 9).expect("a chart");
        assert_eq!((chart.names.as_slice(), chart.step), (["cpu_busy", "memory_used"].as_slice(), step));
        assert_eq!((chart.columns[0].len(), chart.peaks[1].len()), (steps, steps));
        assert_eq!(chart.from + (steps as u64 - 1) * step, NOON);
        assert_eq!(known(&chart, 0), [(NOON, 0.5)], "{span}: also the step that is not over");
        assert_eq!(known(&chart, 1), [(NOON, (1u64 << 30) as f32)]);
    }
}

#[test]
fn coarser_steps_are_averages_with_peaks() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut series = open(dir.path());
    for i in 0..720 {
        series.record(NOON + i * 10, &[(vs("A"), connections(i % 12 * 10))]).expect("recorded");
    }
    let now = NOON + 7199;
    let day = series.read(&vs("A"), Span::Day, now).expect("a chart");
    assert_eq!(known(&day, 0), (0..60).map(|i| (NOON + i * 120, 55.0)).collect::<Vec<_>>());
    assert!(day.peaks[0].iter().flatten().all(|peak| *peak == 110.0));
    let month = series.read(&vs("A"), Span::Month, now).expect("a chart");
    assert_eq!(known(&month, 0), [(NOON, 55.0), (NOON + 3600, 55.0)]);
    assert!(month.peaks[0].iter().flatten().all(|peak| *peak == 110.0));
    assert_eq!(read(&series, &vs("A"), Span::Hour, now).len(), 360);
}

#[test]
fn nothing_is_lost_when_the_program_restarts() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut whole = open(&dir.path().join("whole"));
    for i in 0..1000 {
        let sample = [(vs("A"), connections(i)), (vs("B"), connections(7))];
        whole.record(NOON + i * 10, &sample).expect("recorded");
        open(&dir.path().join("restarted")).record(NOON + i * 10, &sample).expect("recorded");
    }
    let restarted = open(&dir.path().join("restarted"));
    for (key, span) in [(vs("A"), Span::Hour), (vs("A"), Span::Day), (vs("B"), Span::Month)] {
        assert_eq!(whole.read(&key, span, NOON + 9990), restarted.read(&key, span, NOON + 9990), "{key} {span}");
    }
}

#[test]
fn a_long_pause_is_a_gap_and_what_was_before_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut series = open(dir.path());
    series.record(NOON, &[(vs("A"), connections(5))]).expect("recorded");
    series.record(NOON + 3 * DAY, &[(vs("A"), connections(9))]).expect("recorded");
    assert_eq!(read(&series, &vs("A"), Span::Month, NOON + 3 * DAY), [(NOON, 5.0), (NOON + 3 * DAY, 9.0)]);
    assert_eq!(read(&series, &vs("A"), Span::Day, NOON + 3 * DAY), [(NOON + 3 * DAY, 9.0)]);
}

#[test]
fn a_clock_that_was_wrong_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut series = open(dir.path());
    let sample = [(vs("A"), connections(5))];
    for i in 0..30 {
        series.record(NOON + i * 10, &sample).expect("recorded");
    }
    series.record(NOON + 7000 * DAY + 25_000, &sample).expect("recorded");
    series.record(3, &sample).expect("recorded");
    for i in 30..60 {
        series.record(NOON + i * 10, &sample).expect("recorded");
    }
    assert!(read(&series, &vs("A"), Span::Hour, NOON + 599).len() >= 58);
    assert_eq!(read(&series, &vs("A"), Span::Day, NOON + 599).len(), 5);
    series.record(NOON + 600 + 32 * DAY, &[(vs("B"), connections(1))]).expect("recorded");
    assert_eq!(series.keys(), [vs("B")], "A is forgotten although it was seen in twenty years");
}

#[test]
fn objects_beyond_the_limit_are_counted_and_the_unit_comes_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut series = Series::open(dir.path(), 2).expect("a history");
    let system = (Key::System, Values::system(Some(0.1), None));
    series.record(NOON, &[(vs("A"), connections(1)), (vs("B"), connections(2)), system.clone()]).expect("recorded");
    assert_eq!((series.keys(), series.not_recorded()), (vec![Key::System, vs("A")], 1));
    series.record(NOON + 10, &[system]).expect("recorded");
    assert_eq!(series.not_recorded(), 0);
}

#[test]
fn a_place_that_changed_hands_tells_nothing_of_who_had_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut series = Series::open(dir.path(), 1).expect("a history");
    series.record(NOON, &[(vs("A"), connections(1))]).expect("recorded");
    let later = NOON + 29 * DAY;
    series.record(later, &[(vs("B"), connections(2))]).expect("recorded");
    assert_eq!((series.keys(), series.not_recorded()), (vec![vs("A")], 1), "A is kept for 31 days");
    let later = NOON + 31 * DAY + 1;
    series.record(later, &[(vs("B"), connections(2))]).expect("recorded");
    assert_eq!((series.keys(), series.not_recorded()), (vec![vs("B")], 0));
    assert_eq!(read(&series, &vs("B"), Span::Month, later), [(later / 3600 * 3600, 2.0)]);
    // Looked at from where A's values were.
    assert_eq!(read(&series, &vs("B"), Span::Hour, NOON), []);
}

#[test]
fn names_that_are_lost_cost_no_truth() {
    for damage in
        ["", "{", "[]", "[{\"key\":\"vs:B\",\"place\":0,\"seen\":1},{\"key\":\"vs:B\",\"place\":1,\"seen\":1}]"]
    {
        let dir = tempfile::tempdir().expect("a directory");
        let mut series = open(dir.path());
        series.record(NOON, &[(vs("A"), connections(1)), (vs("B"), connections(2))]).expect("recorded");
        fs::write(dir.path().join("names.json"), damage).expect("written");
        let mut series = open(dir.path());
        // C takes the place that was A's, or B's.
        series.record(NOON + 10, &[(vs("B"), connections(3)), (vs("C"), connections(4))]).expect("recorded");
        assert_eq!(read(&series, &vs("C"), Span::Hour, NOON + 10), [(NOON + 10, 4.0)]);
        assert!(read(&series, &vs("B"), Span::Hour, NOON + 10).contains(&(NOON + 10, 3.0)));
    }
}

#[test]
fn files_that_are_missing_cut_short_or_of_another_shape_begin_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let sample = [(vs("A"), connections(1))];
    open(dir.path()).record(NOON, &sample).expect("recorded");
    fs::remove_file(dir.path().join("day.ring")).expect("removed");
    fs::write(dir.path().join("month.ring"), "?").expect("written");
    let hour = OpenOptions::new().write(true).open(dir.path().join("hour.ring")).expect("a file");
    hour.set_len(5000).expect("cut");
    let mut series = open(dir.path());
    series.record(NOON + 10, &sample).expect("recorded");
    assert_eq!(read(&series, &vs("A"), Span::Hour, NOON + 10).last(), Some(&(NOON + 10, 1.0)));
    let mut series = Series::open(dir.path(), 9).expect("a history");
    series.record(NOON + 20, &sample).expect("recorded");
    assert_eq!(read(&series, &vs("A"), Span::Hour, NOON + 20), [(NOON + 20, 1.0)]);
    assert!(Series::open(dir.path(), 0).is_err());
}

#[test]
fn the_files_stay_within_their_bounds() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut series = Series::open(dir.path(), LIMIT).expect("a history");
    let samples: Vec<_> = (0..600).map(|i| (vs(&format!("VS{i}")), connections(i))).collect();
    for i in 0..800 {
        series.record(NOON + i * 3600, &samples).expect("recorded");
    }
    assert_eq!((series.keys().len(), series.not_recorded()), (512, 88));
    let size = |name: &str| fs::metadata(dir.path().join(name)).expect("a file").len();
    assert!(size("hour.ring") + size("day.ring") + size("month.ring") < 26_000_000);
    assert!(size("names.json") < 64 * 1024);
    assert_eq!(read(&series, &vs("VS100"), Span::Month, NOON + 799 * 3600).len(), 720);
}

#[derive(Debug, Clone)]
enum Step {
    /// Seconds later, with values of the objects whose bits are set.
    Record(u64, u8, u64),
    /// The clock is set.
    Set(i64),
    Reopen,
    /// A file, where (in thousandths), what.
    Damage(usize, u64, Vec<u8>),
    Cut(usize, u64),
}

fn step(damage: bool) -> impl Strategy<Value = Step> {
    let record = (prop_oneof![Just(10u64), 1u64..30, 30u64..5000], 0u8..8, 0u64..500);
    let record = record.prop_map(|(later, who, value)| Step::Record(later, who, value));
    let set = prop_oneof![-200i64..200, -10_000i64..10_000, -40 * DAY as i64..40 * DAY as i64].prop_map(Step::Set);
    let bytes = prop::collection::vec(any::<u8>(), 1..600);
    let harm = prop_oneof![
        (0usize..3, 0u64..1000, bytes).prop_map(|(file, at, bytes)| Step::Damage(file, at, bytes)),
        (0usize..3, 0u64..1000).prop_map(|(file, at)| Step::Cut(file, at)),
    ];
    match damage {
        true => prop_oneof![20 => record, 1 => set, 1 => Just(Step::Reopen), 4 => harm].boxed(),
        false => prop_oneof![20 => record, 1 => set, 2 => Just(Step::Reopen)].boxed(),
    }
}

/// What was ever recorded, by object and step of 10 s.
#[derive(Default)]
struct Model {
    ever: BTreeMap<Key, BTreeMap<u64, Vec<u64>>>,
    /// What each row of the finest ring holds: its step and the objects in it.
    rows: BTreeMap<u64, (u64, BTreeMap<Key, u64>)>,
}

impl Model {
    fn record(&mut self, now: u64, samples: &BTreeMap<Key, u64>) {
        let n = now / 10;
        self.rows.insert(n % 360, (n, samples.clone()));
        for (key, value) in samples {
            self.ever.entry(key.clone()).or_default().entry(n).or_default().push(*value);
        }
    }

    fn hour(&self, key: &Key, now: u64) -> Vec<(u64, f32)> {
        let current = now / 10;
        let window = (current + 1).saturating_sub(360)..=current;
        let rows = self.rows.values().filter(|(n, _)| window.contains(n));
        let mut values: Vec<(u64, f32)> = rows.filter_map(|(n, row)| Some((n * 10, *row.get(key)? as f32))).collect();
        values.sort_by_key(|(time, _)| *time);
        values
    }

    /// Every value that is told of a coarse step lies within what was measured in it.
    fn judge(&self, key: &Key, chart: &Chart) {
        for (i, (average, peak)) in chart.columns[0].iter().zip(&chart.peaks[0]).enumerate() {
            let (Some(average), Some(peak)) = (average, peak) else { continue };
            let from = (chart.from + i as u64 * chart.step) / 10;
            let range = from..from + chart.step / 10;
            let measured = self.ever.get(key).map(|steps| steps.range(range).flat_map(|(_, v)| v));
            let measured: Vec<f32> = measured.into_iter().flatten().map(|v| *v as f32).collect();
            let low = measured.iter().copied().fold(f32::MAX, f32::min);
            let high = measured.iter().copied().fold(f32::MIN, f32::max);
            assert!(low * 0.99 <= *average && *average <= high * 1.01, "{average} of {measured:?}");
            assert!(*peak <= high * 1.01 && *peak >= *average * 0.99, "peak {peak} of {measured:?}");
        }
    }
}

fn run(steps: &[Step], damaged: bool) {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut series, mut model, mut now) = (open(dir.path()), Model::default(), NOON);
    let mut forgotten = BTreeSet::new();
    let keys = [vs("A"), vs("B"), Key::RealServer { virtual_server: "A".into(), real_server: "R".into() }];
    let ring = |file: usize| {
        let path = dir.path().join(["hour.ring", "day.ring", "month.ring"][file]);
        let file = OpenOptions::new().write(true).open(path).expect("a ring");
        let length = file.metadata().expect("its length").len();
        (file, length)
    };
    for (i, step) in steps.iter().enumerate() {
        match step {
            Step::Record(later, who, value) => {
                now += later;
                let present = keys.iter().enumerate().filter(|(i, _)| who >> i & 1 == 1);
                let samples: BTreeMap<Key, u64> = present.map(|(i, k)| (k.clone(), value + i as u64)).collect();
                model.record(now, &samples);
                let samples: Vec<_> = samples.into_iter().map(|(key, value)| (key, connections(value))).collect();
                series.record(now, &samples).expect("recorded");
            }
            Step::Set(by) => now = now.saturating_add_signed(*by),
            Step::Reopen => series = open(dir.path()),
            Step::Damage(file, at, bytes) => {
                let (file, length) = ring(*file);
                file.write_all_at(bytes, length * at / 1000).expect("damaged");
            }
            Step::Cut(file, at) => {
                let (file, length) = ring(*file);
                file.set_len(length * at / 1000).expect("cut");
            }
        }
        forgotten.extend(model.ever.keys().filter(|key| !series.keys().contains(key)).cloned());
        // Looking is most of the work: one object a step.
        for key in &keys[i % 3..=i % 3] {
            let Some(hour) = series.read(key, Span::Hour, now) else { continue };
            let (found, expected) = (known(&hour, 0), model.hour(key, now));
            match damaged {
                true => assert!(found.iter().all(|value| expected.contains(value)), "{found:?} {expected:?}"),
                // An object that was forgotten by a jump of the clock may come back without its past.
                false if forgotten.contains(key) => assert!(found.iter().all(|value| expected.contains(value))),
                false => assert_eq!(found, expected),
            }
            for span in [Span::Day, Span::Month].into_iter().filter(|_| i % 5 == 0 || i + 1 == steps.len()) {
                model.judge(key, &series.read(key, span, now).expect("a chart"));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_read_is_what_was_recorded(steps in prop::collection::vec(step(false), 1..120)) {
        run(&steps, false);
    }

    #[test]
    fn damage_makes_gaps_and_no_untruths(steps in prop::collection::vec(step(true), 1..120)) {
        run(&steps, true);
    }
}
