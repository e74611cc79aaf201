//! Reports > Graphs: what was measured over an hour, a day, 30 days. A table and an SVG for everybody, uPlot with
//! JavaScript, from the same lines.

pub mod small;
mod svg;

use crate::{
    Shared,
    app::now,
    frame::{Frame, show},
    pages::{
        list::{byte_rate, number},
        overview::bytes,
    },
    refusal::Refusal,
    seat::Seat,
};
use askama::Template;
use axum::{
    Json, Router,
    extract::{OriginalUri, State},
    response::Response,
    routing::get,
};
use lb_series::{Chart, Key, Span};
use serde::{Deserialize, Serialize};

pub fn routes() -> Router<Shared> {
    Router::new().route("/lbadmin/graphs", get(page)).route("/lbadmin/graphs/data", get(data))
}

/// One picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Graph {
    name: &'static str,
    title: &'static str,
    unit: Unit,
    columns: &'static [(&'static str, &'static str)],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Count,
    PerSecond,
    BytesPerSecond,
    Bytes,
    /// Recorded from 0 to 1.
    Percent,
}

impl Unit {
    fn word(self) -> &'static str {
        match self {
            Unit::Count => "",
            Unit::PerSecond => "/s",
            Unit::BytesPerSecond => "B/s",
            Unit::Bytes => "B",
            Unit::Percent => "%",
        }
    }

    fn text(self, value: f64) -> String {
        match self {
            Unit::Count => number(value),
            Unit::PerSecond => format!("{}/s", number(value)),
            Unit::BytesPerSecond => byte_rate(value),
            Unit::Bytes => bytes(value.round() as u64),
            Unit::Percent => format!("{} %", number(value)),
        }
    }
}

const GRAPHS: [Graph; 6] = [
    Graph {
        name: "connections",
        title: "Active connections",
        unit: Unit::Count,
        columns: &[("active_connections", "connections")],
    },
    Graph {
        name: "rate",
        title: "Connections per second",
        unit: Unit::PerSecond,
        columns: &[("connections_per_second", "connections")],
    },
    Graph {
        name: "packets",
        title: "Packets per second",
        unit: Unit::PerSecond,
        columns: &[("packets_in", "in"), ("packets_out", "out")],
    },
    Graph {
        name: "bytes",
        title: "Bytes per second",
        unit: Unit::BytesPerSecond,
        columns: &[("bytes_in", "in"), ("bytes_out", "out")],
    },
    Graph { name: "cpu", title: "CPU busy", unit: Unit::Percent, columns: &[("cpu_busy", "busy")] },
    Graph { name: "memory", title: "Memory used", unit: Unit::Bytes, columns: &[("memory_used", "used")] },
];

/// The graphs that an object has.
fn graphs_of(key: &Key) -> impl Iterator<Item = &'static Graph> {
    let columns = key.columns();
    GRAPHS.iter().filter(move |g| g.columns.iter().all(|(name, _)| columns.iter().any(|c| c.name == *name)))
}

/// A line of a graph, in the graph's unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Line {
    label: String,
    values: Vec<Option<f64>>,
}

/// A line for each column; over a day and more, one for the peaks as well.
fn lines(graph: &Graph, chart: &Chart) -> Vec<Line> {
    let factor = if graph.unit == Unit::Percent { 100.0 } else { 1.0 };
    let line = |label: String, values: &[Option<f32>]| Line {
        label,
        values: values.iter().map(|v| v.map(|v| f64::from(v) * factor)).collect(),
    };
    let columns = graph.columns.iter().filter_map(|(name, label)| {
        let at = chart.names.iter().position(|n| n == name)?;
        Some((*label, chart.columns.get(at)?, chart.peaks.get(at)?))
    });
    let columns: Vec<_> = columns.collect();
    let averages = columns.iter().map(|(label, values, _)| line((*label).to_owned(), values));
    let peaks = columns.iter().filter(|_| chart.step > Span::Hour.step());
    averages.chain(peaks.map(|(label, _, peaks)| line(format!("{label}, highest"), peaks))).collect()
}

/// What is said of a line in words.
struct Figures {
    label: String,
    last: String,
    lowest: String,
    average: String,
    highest: String,
}

fn figures(line: &Line, unit: Unit) -> Figures {
    let known: Vec<f64> = line.values.iter().flatten().copied().collect();
    let text = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| unit.text(v));
    let sum: f64 = known.iter().sum();
    Figures {
        label: line.label.clone(),
        last: text(known.last().copied()),
        lowest: text(known.iter().copied().reduce(f64::min)),
        average: text((!known.is_empty()).then(|| sum / known.len() as f64)),
        highest: text(known.iter().copied().reduce(f64::max)),
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    object: String,
    span: String,
    graph: String,
}

impl Wanted {
    fn of(query: &str) -> (Wanted, Key, Span) {
        let wanted: Wanted = serde_urlencoded::from_str(query).unwrap_or_default();
        let key = wanted.object.parse().unwrap_or(Key::System);
        let span = wanted.span.parse().unwrap_or_default();
        (wanted, key, span)
    }
}

/// An object in words.
fn words(key: &Key) -> String {
    match key {
        Key::System => "This unit".to_owned(),
        Key::Interface(name) => name.clone(),
        Key::VirtualServer(label) => label.clone(),
        Key::RealServer { virtual_server, real_server } => format!("{virtual_server} / {real_server}"),
    }
}

/// A group of the list of objects.
struct Choices {
    title: &'static str,
    /// Key, words, chosen.
    keys: Vec<(String, String, bool)>,
}

fn choices(keys: &[Key], chosen: &Key) -> Vec<Choices> {
    let group = |title, fits: fn(&Key) -> bool| Choices {
        title,
        keys: keys.iter().filter(|k| fits(k)).map(|k| (k.to_string(), words(k), k == chosen)).collect(),
    };
    let groups = [
        group("Unit", |k| matches!(k, Key::System)),
        group("Interfaces", |k| matches!(k, Key::Interface(_))),
        group("Virtual servers", |k| matches!(k, Key::VirtualServer(_))),
        group("Real servers", |k| matches!(k, Key::RealServer { .. })),
    ];
    groups.into_iter().filter(|g| !g.keys.is_empty()).collect()
}

struct Shown {
    title: &'static str,
    src: String,
    figures: Vec<Figures>,
    svg: String,
    empty: bool,
}

#[derive(Template)]
#[template(path = "graphs.html")]
struct Page {
    frame: Frame,
    words: String,
    choices: Vec<Choices>,
    /// Text form, words, chosen.
    spans: Vec<(String, &'static str, bool)>,
    span: &'static str,
    step: &'static str,
    refresh: u64,
    shown: Vec<Shown>,
    not_recorded: usize,
    limit: usize,
    trouble: String,
}

fn span_words(span: Span) -> &'static str {
    match span {
        Span::Hour => "1 hour",
        Span::Day => "24 hours",
        Span::Month => "30 days",
    }
}

fn step_words(span: Span) -> &'static str {
    match span {
        Span::Hour => "10 seconds",
        Span::Day => "2 minutes",
        Span::Month => "1 hour",
    }
}

async fn chart(app: &Shared, key: &Key, span: Span) -> Result<Option<Chart>, Refusal> {
    let (app, key) = (app.clone(), key.clone());
    tokio::task::spawn_blocking(move || app.history.chart(&key, span, now()))
        .await
        .map_err(|e| Refusal::Internal(format!("reading what was measured: {e}")))
}

async fn page(State(app): State<Shared>, seat: Seat, OriginalUri(uri): OriginalUri) -> Result<Response, Refusal> {
    let (_, key, span) = Wanted::of(uri.query().unwrap_or_default());
    let frame = Frame::load(&app, &seat, "graphs", &["Reports", "Graphs"]).await?;
    let mut keys = app.history.keys();
    if !keys.contains(&key) {
        keys.insert(0, key.clone());
    }
    let object = key.to_string();
    let chart = chart(&app, &key, span).await?;
    let src = |graph: &str| {
        let parts = [("object", object.as_str()), ("span", &span.to_string()), ("graph", graph)];
        format!("/lbadmin/graphs/data?{}", super::list::query(&parts, 0))
    };
    let shown = |graph: &'static Graph| {
        let lines = chart.as_ref().map(|c| lines(graph, c)).unwrap_or_default();
        Shown {
            title: graph.title,
            src: src(graph.name),
            empty: lines.iter().all(|l| l.values.iter().all(Option::is_none)),
            svg: svg::draw(&lines, &format!("{} of {}", graph.title, words(&key)), |v| graph.unit.text(v)),
            figures: lines.iter().map(|l| figures(l, graph.unit)).collect(),
        }
    };
    show(&Page {
        shown: graphs_of(&key).map(shown).collect(),
        words: words(&key),
        choices: choices(&keys, &key),
        spans: Span::ALL.iter().map(|s| (s.to_string(), span_words(*s), *s == span)).collect(),
        span: if span == Span::Hour { "hour" } else { span_words(span) },
        step: step_words(span),
        refresh: span.step(),
        not_recorded: app.history.not_recorded(),
        limit: lb_series::LIMIT,
        trouble: app.history.trouble(),
        frame,
    })
}

/// What the graph library draws.
#[derive(Serialize)]
struct Data {
    unit: &'static str,
    times: Vec<u64>,
    series: Vec<Line>,
}

async fn data(State(app): State<Shared>, _seat: Seat, OriginalUri(uri): OriginalUri) -> Result<Json<Data>, Refusal> {
    let (wanted, key, span) = Wanted::of(uri.query().unwrap_or_default());
    let graph = graphs_of(&key)
        .find(|g| g.name == wanted.graph)
        .ok_or_else(|| Refusal::NotFound(format!("There is no such graph of {}.", words(&key))))?;
    let unit = graph.unit.word();
    let Some(chart) = chart(&app, &key, span).await? else {
        return Ok(Json(Data { unit, times: Vec::new(), series: Vec::new() }));
    };
    let steps = chart.columns.first().map_or(0, Vec::len) as u64;
    let times = (0..steps).map(|i| chart.from + i * chart.step).collect();
    Ok(Json(Data { unit, times, series: lines(graph, &chart) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(step: u64) -> Chart {
        Chart {
            from: 0,
            step,
            names: vec!["cpu_busy", "memory_used"],
            columns: vec![vec![Some(0.25), None, Some(0.75)], vec![None; 3]],
            peaks: vec![vec![Some(0.5), None, Some(1.0)], vec![None; 3]],
        }
    }

    #[test]
    fn every_object_has_its_graphs() {
        let names = |key: &str| graphs_of(&key.parse().expect("a key")).map(|g| g.name).collect::<Vec<_>>();
        assert_eq!(names("system"), ["cpu", "memory"]);
        assert_eq!(names("if:eth0"), ["packets", "bytes"]);
        assert_eq!(names("rs:A/B"), ["connections", "rate", "packets", "bytes"]);
    }

    #[test]
    fn peaks_are_told_where_a_value_is_an_average() {
        let cpu = &GRAPHS[4];
        let labels = |step| lines(cpu, &chart(step)).into_iter().map(|l| l.label).collect::<Vec<_>>();
        assert_eq!(labels(10), ["busy"]);
        assert_eq!(labels(120), ["busy", "busy, highest"]);
        let line = &lines(cpu, &chart(10))[0];
        assert_eq!(line.values, [Some(25.0), None, Some(75.0)]);
        let f = figures(line, cpu.unit);
        assert_eq!([f.last, f.lowest, f.average, f.highest], ["75 %", "25 %", "50 %", "75 %"]);
        let f = figures(&lines(&GRAPHS[5], &chart(10))[0], Unit::Bytes);
        assert_eq!([f.last, f.lowest, f.average, f.highest], ["–"; 4]);
    }
}
