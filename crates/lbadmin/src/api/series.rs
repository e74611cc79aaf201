//! What was measured: the rates of now, and the history over an hour, a day, 30 days.

use super::{
    caller::{Caller, Look},
    extract::Query,
    people::blocking,
    problem::Problem,
};
use crate::{Shared, app::now};
use axum::{Json as Answer, extract::State};
use lb_series::{Key, Span};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

type Result<T> = std::result::Result<T, Problem>;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default().routes(routes!(series)).routes(routes!(keys)).routes(routes!(rates))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SeriesQuery {
    /// `system`, `if:eth0`, `vs:LABEL` or `rs:LABEL/LABEL`
    #[param(pattern = "^(system|if:[^/]+|vs:[^/]+|rs:[^/]+/[^/]+)$", max_length = 140, example = "vs:HTTP_Cluster")]
    key: String,
    /// How far back
    #[param(inline, value_type = Option<SpanWord>, default = "1h")]
    span: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of lb_series::Span")]
enum SpanWord {
    #[schema(rename = "1h")]
    Hour,
    #[schema(rename = "24h")]
    Day,
    #[schema(rename = "30d")]
    Month,
}

/// A history. The value `i` of a column is that of the time `from + i * step`; null: nothing was measured.
#[derive(Serialize, ToSchema)]
struct SeriesView {
    key: String,
    /// Seconds since 1970.
    from: u64,
    /// Seconds.
    step: u64,
    columns: Vec<SeriesColumn>,
}

#[derive(Serialize, ToSchema)]
struct SeriesColumn {
    /// `active_connections`, `connections_per_second`, `packets_in`, `packets_out`, `bytes_in`, `bytes_out` (per
    /// second), `cpu_busy` (0 to 1), `memory_used` (bytes)
    name: String,
    /// Averages over the steps
    values: Vec<Option<f32>>,
    /// The highest within each step
    peaks: Vec<Option<f32>>,
}

/// The history of one object
#[utoipa::path(get, path = "/v1/series", tag = "reports", security(("token" = ["look"])), params(SeriesQuery),
    responses((status = 200, body = SeriesView), (status = 404)))]
async fn series(
    _: Caller<Look>,
    State(app): State<Shared>,
    Query(query): Query<SeriesQuery>,
) -> Result<Answer<SeriesView>> {
    let bad = |e: String| Problem::new(lb_api::ErrorCode::BadRequest, format!("the query cannot be read: {e}"));
    let key: Key = query.key.parse().map_err(|e: lb_series::KeyError| bad(e.to_string()))?;
    let span: Span = match query.span {
        Some(span) => span.parse().map_err(|e: lb_series::SpanError| bad(e.to_string()))?,
        None => Span::Hour,
    };
    let (work, of) = (app.clone(), key.clone());
    let chart = blocking(&app, move |_| work.history.chart(&of, span, now())).await?;
    let chart = chart.ok_or_else(|| Problem::not_found(format!("nothing was ever recorded of {key}")))?;
    let columns = chart.names.iter().zip(chart.columns).zip(chart.peaks);
    Ok(Answer(SeriesView {
        key: key.to_string(),
        from: chart.from,
        step: chart.step,
        columns: columns
            .map(|((name, values), peaks)| SeriesColumn { name: (*name).to_owned(), values, peaks })
            .collect(),
    }))
}

/// Everything that has a history.
#[derive(Serialize, ToSchema)]
struct SeriesKeys {
    keys: Vec<String>,
    /// Objects for which there was no room.
    not_recorded: usize,
    /// Why nothing is recorded; empty: it is.
    trouble: String,
}

/// The objects that have a history
#[utoipa::path(get, path = "/v1/series/keys", tag = "reports", security(("token" = ["look"])),
    responses((status = 200, body = SeriesKeys)))]
async fn keys(_: Caller<Look>, State(app): State<Shared>) -> Answer<SeriesKeys> {
    let keys = app.history.keys().iter().map(Key::to_string).collect();
    Answer(SeriesKeys { keys, not_recorded: app.history.not_recorded(), trouble: app.history.trouble() })
}

/// Rates over the last ten seconds, of everything that is there.
#[derive(Serialize, ToSchema)]
struct RatesView {
    /// Seconds since 1970; 0: nothing was measured yet.
    time: u64,
    rates: Vec<RateView>,
}

/// Per second.
#[derive(Serialize, ToSchema)]
struct RateView {
    key: String,
    connections: f64,
    packets_in: f64,
    packets_out: f64,
    bytes_in: f64,
    bytes_out: f64,
}

/// Traffic rates of now
#[utoipa::path(get, path = "/v1/rates", tag = "reports", security(("token" = ["look"])),
    responses((status = 200, body = RatesView)))]
async fn rates(_: Caller<Look>, State(app): State<Shared>) -> Answer<RatesView> {
    let now = app.history.rates();
    let mut rates: Vec<RateView> = now
        .of
        .iter()
        .map(|(key, rate)| RateView {
            key: key.to_string(),
            connections: rate.connections,
            packets_in: rate.traffic.packets_in,
            packets_out: rate.traffic.packets_out,
            bytes_in: rate.traffic.bytes_in,
            bytes_out: rate.traffic.bytes_out,
        })
        .collect();
    rates.sort_by(|a, b| a.key.cmp(&b.key));
    Answer(RatesView { time: now.time, rates })
}
