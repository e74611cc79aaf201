//! Several services' lines as one row, and a page of it.

use super::{
    Wanted,
    source::{Source, is_stamp},
};
use lb_api::{LogLine, LogView};
use std::{collections::VecDeque, fmt, io};

/// A place in a log: sorts as the lines do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    time: String,
    service: String,
    offset: u64,
}

impl Cursor {
    pub fn parse(text: &str) -> Option<Cursor> {
        let mut parts = text.split('/');
        let (time, service, offset) = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
        let known = time.is_empty() || is_stamp(time);
        let plain = service.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        (known && plain && parts.next().is_none()).then(|| Cursor {
            time: time.to_owned(),
            service: service.to_owned(),
            offset,
        })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As many digits as sort right for any file that svlogd keeps.
        write!(f, "{}/{}/{:09}", self.time, self.service, self.offset)
    }
}

/// The newest lines of all `sources` that are wanted and `shown`; with `after` the oldest ones, so that a reader who asks
/// on misses none.
pub fn collect(
    mut sources: Vec<Source>,
    wanted: &Wanted,
    shown: impl Fn(&str, &str) -> Option<String>,
) -> io::Result<LogView> {
    let mut lines = VecDeque::new();
    let mut more = false;
    let mut ends = Vec::with_capacity(sources.len());
    for source in &mut sources {
        ends.push(match &wanted.after {
            Some(after) => Some(End { exact: at_line(source, after)?.is_some(), cursor: after }),
            None => None,
        });
        if let Some(before) = &wanted.before {
            skip(source, before)?;
        }
    }
    while let Some((newest, at)) = newest(&mut sources)? {
        if ends[newest].as_ref().is_some_and(|end| end.reached(&at)) {
            // What follows in this one is older.
            sources.remove(newest);
            ends.remove(newest);
            continue;
        }
        let source = &mut sources[newest];
        let Some(line) = source.next_line()? else { continue };
        let Some(text) = shown(&source.service, &line.text) else { continue };
        if wanted.filter.as_ref().is_some_and(|f| !text.to_lowercase().contains(f)) {
            continue;
        }
        if lines.len() == wanted.limit {
            more = true;
            if wanted.after.is_none() {
                break;
            }
            lines.pop_front();
        }
        lines.push_back(LogLine { cursor: at.to_string(), time: shown_time(&line.time), text });
    }
    Ok(LogView { lines: lines.into(), more })
}

/// Which source has the newest line, and that line's place.
fn newest(sources: &mut [Source]) -> io::Result<Option<(usize, Cursor)>> {
    let mut newest: Option<(usize, Cursor)> = None;
    for (i, source) in sources.iter_mut().enumerate() {
        if let Some(at) = peek(source)?
            && newest.as_ref().is_none_or(|(_, other)| at > *other)
        {
            newest = Some((i, at));
        }
    }
    Ok(newest)
}

fn peek(source: &mut Source) -> io::Result<Option<Cursor>> {
    let service = source.service.clone();
    Ok(source.peek()?.map(|line| Cursor { time: line.time.clone(), service, offset: line.offset }))
}

/// Where following begins.
struct End<'a> {
    cursor: &'a Cursor,
    /// At this very line, whatever the clock said before and after it. Else it is of another log, or gone, and the time
    /// decides.
    exact: bool,
}

impl End<'_> {
    fn reached(&self, at: &Cursor) -> bool {
        if self.exact { at == self.cursor } else { at <= self.cursor }
    }
}

/// The same log, with the line of `cursor` next; `None`: it has no such line.
fn at_line(source: &Source, cursor: &Cursor) -> io::Result<Option<Source>> {
    if cursor.service != source.service {
        return Ok(None);
    }
    let mut search = source.again()?;
    while let Some(line) = search.peek()? {
        if line.offset == cursor.offset && line.time == cursor.time {
            return Ok(Some(search));
        }
        search.next_line()?;
    }
    Ok(None)
}

/// To the first line that is older than `cursor`.
fn skip(source: &mut Source, cursor: &Cursor) -> io::Result<()> {
    if let Some(found) = at_line(source, cursor)? {
        *source = found;
        source.next_line()?;
        return Ok(());
    }
    while peek(source)?.is_some_and(|at| at >= *cursor) {
        source.next_line()?;
    }
    Ok(())
}

/// `2026-11-21T07:13:20Z`
fn shown_time(stamp: &str) -> String {
    match stamp.split_once('_').zip(stamp.split_once('.')) {
        Some(((day, _), (seconds, _))) => format!("{day}T{}Z", &seconds[day.len() + 1..]),
        None => String::new(),
    }
}
