//! What the services have said, newest first.
//!
//! svlogd keeps each service's lines in a directory of its own: `current`, and older ones as `@….s`, whose names sort
//! by time. They are read backwards in blocks, so that a page costs what is on it and not the whole log. lbd's own
//! lines are two logs: health checks, which begin with [`CHECK`], and everything else it does.
//!
//! A cursor is `TIME/SERVICE/OFFSET`, as the lines sort. A line keeps its own when svlogd renames its file; a line that
//! is gone is looked for by its time. Tested with directories as svlogd leaves them.

mod backwards;
mod keeper;
mod page;
mod source;

pub use keeper::Keeper;
pub use page::Cursor;

use lb_api::{LogName, LogQuery, LogView};
use source::Source;
use std::{io, path::Path};

/// What every line about a health check begins with.
pub const CHECK: &str = "check: ";

/// The directory of lbd's own lines.
const OWN: &str = "lbd";
/// The directory of heartbeat's lines.
const HEARTBEAT: &str = "heartbeat";
/// The directory of what HAProxy says of requests and connections that failed; each line begins with [`ACCESS`].
const HAPROXY_ACCESS: &str = "haproxy-access";
const ACCESS: &str = "access ";
/// The directory of what programs say by syslog(3), which names them itself.
const SYSLOG: &str = "syslog";

pub const LIMIT: usize = 200;
pub const LARGEST_LIMIT: usize = 1000;

/// What a page is to have.
#[derive(Debug, Default, Clone)]
pub struct Wanted {
    /// In lower case.
    pub filter: Option<String>,
    pub before: Option<Cursor>,
    pub after: Option<Cursor>,
    pub limit: usize,
}

impl Wanted {
    /// Or the field that makes no sense, and why.
    pub fn new(query: LogQuery) -> Result<Wanted, (&'static str, String)> {
        let cursor = |field, text: Option<String>| {
            text.map(|t| Cursor::parse(&t).ok_or((field, format!("\"{t}\" is no cursor of a line")))).transpose()
        };
        Ok(Wanted {
            filter: query.filter.filter(|f| !f.is_empty()).map(|f| f.to_lowercase()),
            before: cursor("before", query.before)?,
            after: cursor("after", query.after)?,
            limit: match query.limit {
                0 => LIMIT,
                n if n <= LARGEST_LIMIT => n,
                n => return Err(("limit", format!("{n} is more than {LARGEST_LIMIT}"))),
            },
        })
    }
}

/// A page of the log `name` below `dir`. A log that nobody has written yet is empty.
pub fn read(dir: &Path, name: LogName, wanted: &Wanted) -> io::Result<LogView> {
    let sources: Vec<Source> = services(dir)?
        .into_iter()
        .filter(|service| has(name, service))
        .map(|service| Source::open(&dir.join(&service), &service))
        .collect::<io::Result<_>>()?;
    page::collect(sources, wanted, |service, text| shown(name, service, text))
}

/// Whether lines of `service` stand in the log `name`.
fn has(name: LogName, service: &str) -> bool {
    match name {
        LogName::LoadBalancer | LogName::Ldirectord => service == OWN,
        LogName::Layer7 => service == HAPROXY_ACCESS,
        LogName::Heartbeat => service == HEARTBEAT,
        LogName::System => ![OWN, HEARTBEAT, HAPROXY_ACCESS].contains(&service),
    }
}

/// The services that have a log, sorted.
fn services(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if plain && entry.file_type()?.is_dir() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A line as the log `name` has it; `None`: it belongs into another one.
fn shown(name: LogName, service: &str, text: &str) -> Option<String> {
    if name == LogName::System {
        return Some(if service == SYSLOG { text.to_owned() } else { format!("{service}: {text}") });
    }
    if name == LogName::Layer7 {
        return Some(text.strip_prefix(ACCESS).unwrap_or(text).to_owned());
    }
    let text = text.trim_start();
    let (level, text) = match text.split_once(' ') {
        Some(("INFO", text)) => ("", text),
        Some(("WARN", text)) => ("warning: ", text),
        Some(("ERROR", text)) => ("error: ", text),
        _ => ("", text),
    };
    match (name, text.strip_prefix(CHECK)) {
        // It is in the transition's own words whether it is a good one.
        (LogName::Ldirectord, Some(check)) => Some(check.to_owned()),
        (LogName::Heartbeat, None) => Some(format!("{level}{text}")),
        (LogName::LoadBalancer, None) => Some(format!("{level}{text}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
