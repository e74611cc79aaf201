//! Logs: what lbd can show, with a filter, older and newer lines, and following.
//!
//! Newest first, so that a text browser shows the end without scrolling. Following is a stream of events
//! ([`crate::live::tail`]); without JavaScript the page reloads.

use crate::{
    Shared,
    frame::{Frame, show},
    live::tail,
    pages::list::query,
    refusal::Refusal,
    seat::Seat,
};
use askama::Template;
use axum::{
    Router,
    extract::{OriginalUri, Path, State},
    response::Response,
    routing::get,
};
use lb_api::{ClientError, LogLine, LogName, LogQuery};
use serde::Deserialize;

/// Lines on a page.
const PER_PAGE: usize = 200;
/// Seconds between two reloads of a page that follows without JavaScript.
const RELOAD: u32 = 10;

pub fn routes() -> Router<Shared> {
    Router::new().route("/lbadmin/logs/{name}", get(page)).route("/lbadmin/logs/{name}/follow", get(follow))
}

struct Log {
    name: LogName,
    path: &'static str,
    here: &'static str,
    title: &'static str,
    about: &'static str,
}

const LOGS: [Log; 5] = [
    Log {
        name: LogName::LoadBalancer,
        path: "load-balancer",
        here: "logs/load-balancer",
        title: "Load Balancer",
        about: "Every change of the configuration: who, when, and what it did.",
    },
    Log {
        name: LogName::Ldirectord,
        path: "ldirectord",
        here: "logs/ldirectord",
        title: "Ldirectord",
        about: "Health checks: real servers that failed, and that came back.",
    },
    Log {
        name: LogName::Layer7,
        path: "layer-7",
        here: "logs/layer-7",
        title: "Layer 7",
        about: "Requests and connections of layer 7 that failed: aborted, timed out, or answered with status 5xx. What goes well is counted under Reports > Layer 7 Statistics.",
    },
    Log {
        name: LogName::Heartbeat,
        path: "heartbeat",
        here: "logs/heartbeat",
        title: "Heartbeat",
        about: "The pair: which unit serves since when and why, and which paths work.",
    },
    Log {
        name: LogName::System,
        path: "system",
        here: "logs/system",
        title: "System",
        about: "What the kernel and all other programs say.",
    },
];

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    filter: String,
    before: String,
    after: String,
    follow: String,
}

impl Wanted {
    fn of(query: &str) -> Wanted {
        let mut wanted: Wanted = serde_urlencoded::from_str(query).unwrap_or_default();
        wanted.filter = wanted.filter.trim().chars().take(200).collect();
        wanted
    }

    /// Following shows the newest lines, whatever was looked at before.
    fn follows(&self) -> bool {
        !self.follow.is_empty()
    }

    fn ask(&self) -> LogQuery {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let newest = self.follows();
        LogQuery {
            filter: some(&self.filter),
            before: some(&self.before).filter(|_| !newest && self.after.is_empty()),
            after: some(&self.after).filter(|_| !newest),
            limit: PER_PAGE,
        }
    }

    fn link(&self, parts: &[(&str, &str)]) -> String {
        let all: Vec<(&str, &str)> =
            [("filter", self.filter.as_str())].into_iter().chain(parts.iter().copied()).collect();
        query(&all, 0)
    }
}

/// A line, cut where the filter matches.
struct Line {
    time: String,
    /// Text and whether it matches.
    parts: Vec<(String, bool)>,
}

fn line(line: LogLine, filter: &str) -> Line {
    // A carriage return would end a line of an event.
    let line = LogLine { text: line.text.replace('\r', " "), ..line };
    let time = line.time.replacen('T', " ", 1).trim_end_matches('Z').to_owned();
    Line { time, parts: parts(&line.text, filter) }
}

/// Upper and lower case alike, in ASCII; as lbd filters.
fn parts(text: &str, filter: &str) -> Vec<(String, bool)> {
    if filter.is_empty() {
        return vec![(text.to_owned(), false)];
    }
    let (mut parts, mut rest) = (Vec::new(), text);
    let find = |text: &str| {
        let (text, filter) = (text.to_ascii_lowercase(), filter.to_ascii_lowercase());
        text.find(&filter)
    };
    while let Some(at) = find(rest) {
        let (before, from) = rest.split_at(at);
        let (matched, after) = from.split_at(filter.len());
        if !before.is_empty() {
            parts.push((before.to_owned(), false));
        }
        parts.push((matched.to_owned(), true));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push((rest.to_owned(), false));
    }
    parts
}

/// Lines in their place on the page, and in an event.
#[derive(Template)]
#[template(path = "log_lines.html")]
struct Lines<'a> {
    lines: Vec<Line>,
    filter: &'a str,
}

fn lines_html(lines: Vec<LogLine>, filter: &str) -> Result<String, askama::Error> {
    Lines { lines: lines.into_iter().map(|l| line(l, filter)).collect(), filter }.render()
}

/// A log that somebody follows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Follow {
    /// In the address.
    path: &'static str,
    filter: String,
}

impl Follow {
    pub fn of(path: &str, filter: &str) -> Option<Follow> {
        let log = LOGS.iter().find(|l| l.path == path)?;
        Some(Follow { path: log.path, filter: filter.to_owned() })
    }

    /// The newest lines, if others came than those up to `newest`, which becomes the newest of them. Only lines that
    /// are new are looked through for the filter, not the log.
    pub async fn news(&self, app: &Shared, newest: &mut Option<String>) -> Result<Option<String>, ClientError> {
        let Some(log) = LOGS.iter().find(|l| l.path == self.path) else { return Ok(None) };
        let wanted = Wanted { filter: self.filter.clone(), follow: "1".into(), ..Wanted::default() };
        if newest.is_some() {
            let since = LogQuery { after: newest.clone(), limit: 1, ..wanted.ask() };
            match app.lbd.client.log(log.name, &since).await {
                Ok(view) if view.lines.is_empty() => return Ok(None),
                // The place may be gone with its file: what is there now is the news.
                Ok(_) | Err(ClientError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let lines = app.lbd.client.log(log.name, &wanted.ask()).await?.lines;
        *newest = lines.first().map(|l| l.cursor.clone());
        Ok(lines_html(lines, &self.filter).ok())
    }
}

async fn follow(
    State(app): State<Shared>,
    seat: Seat,
    Path(name): Path<String>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Refusal> {
    let wanted = Wanted::of(uri.query().unwrap_or_default());
    let follow = Follow::of(&name, &wanted.filter).ok_or_else(|| Refusal::NotFound("There is no such log.".into()))?;
    Ok(tail::stream(app, seat, follow))
}

#[derive(Template)]
#[template(path = "log.html")]
struct Page {
    frame: Frame,
    about: &'static str,
    filter: String,
    /// Safe HTML.
    lines: String,
    empty: bool,
    follows: bool,
    /// The newest lines are shown.
    at_end: bool,
    /// Queries.
    older: Option<String>,
    newer: Option<String>,
    newest: String,
    follow: String,
}

async fn page(
    State(app): State<Shared>,
    seat: Seat,
    Path(name): Path<String>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Refusal> {
    let Some(log) = LOGS.iter().find(|l| l.path == name) else {
        return Err(Refusal::NotFound("There is no such log.".into()));
    };
    let wanted = Wanted::of(uri.query().unwrap_or_default());
    let mut frame = Frame::load(&app, &seat, log.here, &["Logs", log.title]).await?;
    if wanted.follows() {
        frame = frame.live(format!("/lbadmin/{}/follow?{}", log.here, wanted.link(&[])), RELOAD);
    }
    let view = app.lbd.client.log(log.name, &wanted.ask()).await?;
    let lines = view.lines;
    // What stands before newer lines is older; beyond what is not the newest there is newer.
    let after = !wanted.after.is_empty() && !wanted.follows();
    let at_end = wanted.follows() || (wanted.before.is_empty() && wanted.after.is_empty());
    let newer = lines.first().filter(|_| if after { view.more } else { !at_end });
    let older = lines.last().filter(|_| after || view.more);
    let newer = newer.map(|l| wanted.link(&[("after", &l.cursor)]));
    let older = older.map(|l| wanted.link(&[("before", &l.cursor)]));
    show(&Page {
        about: log.about,
        empty: lines.is_empty(),
        lines: lines_html(lines, &wanted.filter)?,
        follows: wanted.follows(),
        at_end,
        older,
        newer,
        newest: wanted.link(&[]),
        follow: wanted.link(&[("follow", "1")]),
        filter: wanted.filter,
        frame,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matches_is_marked() {
        let marked = |text, filter| {
            let parts = parts(text, filter);
            parts.into_iter().map(|(t, m)| if m { format!("[{t}]") } else { t }).collect::<String>()
        };
        assert_eq!(marked("eth0: Link up, link UP", "link"), "eth0: [Link] up, [link] UP");
        assert_eq!(marked("größer als", "SS"), "größer als");
        assert_eq!(marked("ÄÖ üb", "Ö"), "Ä[Ö] üb");
        assert_eq!(marked("", "x"), "");
    }

    #[test]
    fn following_shows_the_newest() {
        let ask = |query: &str| Wanted::of(query).ask();
        assert_eq!(ask("before=5&follow=1"), LogQuery { limit: PER_PAGE, ..LogQuery::default() });
        assert_eq!(ask("before=5&filter= x ").before.as_deref(), Some("5"));
        assert_eq!(ask("filter= x ").filter.as_deref(), Some("x"));
        assert_eq!(
            ask("after=5&before=9"),
            LogQuery { after: Some("5".into()), limit: PER_PAGE, ..LogQuery::default() }
        );
    }
}
