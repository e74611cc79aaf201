//! The last hour of one server on its own page: two small pictures with their figures in words.

use super::{Figures, GRAPHS, chart, figures, lines, svg, words};
use crate::{Shared, refusal::Refusal};
use askama::Template;
use lb_series::{Key, Span};

/// Of these there is a small one.
const SMALL: [&str; 2] = ["connections", "bytes"];

struct Small {
    title: &'static str,
    svg: String,
    figures: Vec<Figures>,
}

#[derive(Template)]
#[template(path = "small_graphs.html")]
struct View {
    all: Vec<Small>,
    more: String,
}

/// Safe HTML; empty where nothing was measured.
pub async fn last_hour(app: &Shared, key: &Key) -> Result<String, Refusal> {
    let Some(chart) = chart(app, key, Span::Hour).await? else { return Ok(String::new()) };
    let small = GRAPHS.iter().filter(|graph| SMALL.contains(&graph.name)).filter_map(|graph| {
        let lines = lines(graph, &chart);
        let title = format!("{} of {} in the last hour", graph.title, words(key));
        let svg = svg::draw(&lines, &title, |v| graph.unit.text(v));
        let figures = lines.iter().map(|line| figures(line, graph.unit)).collect();
        (!svg.is_empty()).then_some(Small { title: graph.title, svg, figures })
    });
    let all: Vec<Small> = small.collect();
    if all.is_empty() {
        return Ok(String::new());
    }
    let more = super::super::list::query(&[("object", key.to_string().as_str())], 0);
    Ok(View { all, more: format!("/lbadmin/graphs?{more}") }.render()?)
}
